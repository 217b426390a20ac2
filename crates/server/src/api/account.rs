use aftertone_model::{CallingRights, DeviceId, Subscriber, Timestamp};
use aftertone_server_store::{Calling, SubscriberSettings};
use aftertone_sync::{Device, DirectoryEntry, Health, MailboxBounds, Me, MeBody, ProblemCode, TurnCredentials};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    SharedApp,
    auth::SignedInDevice,
    document::{BodyProblems, CommonProblems, NotFoundProblem, TokenProblem, UnprocessableProblem},
    problem::{self, ApiError, ApiResult, Path, Query},
};
use crate::{VERSION, bells::Revocation};

/// Whether the server works.
///
/// And how much room there is, how the recordings do, and what the last start had to repair.
#[utoipa::path(get, path = "/v1/health", tag = "server", security(()),
    responses(
        (status = 200, description = "It works.", body = Health),
        (status = 503, description = "It doesn't; `status` says why.", body = Health),
    ))]
pub(super) async fn health(State(app): State<SharedApp>) -> (StatusCode, Json<Health>) {
    let spool = app.spool.clone();
    let free = tokio::task::spawn_blocking(move || Ok::<_, std::io::Error>((spool.free_bytes()?, spool.has_room()?))).await;
    let free = free.map_err(std::io::Error::other).flatten();
    let ill = if *app.stopping.borrow() {
        Some("stopping")
    } else if let Err(error) = app.store.subscriber(aftertone_model::SubscriberId::from_random(0)).await {
        tracing::error!(%error, "the store doesn't answer");
        Some("the store failed")
    } else {
        match &free {
            Ok((_, true)) => None,
            Ok((_, false)) => Some("the disk is full: callers can leave no message"),
            Err(error) => {
                tracing::error!(%error, "the spool's disk doesn't answer");
                Some("the disk failed: callers can leave no message")
            }
        }
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let health = Health {
        status: ill.unwrap_or("ok").to_owned(),
        version: VERSION.to_owned(),
        free_bytes: free.map_or(0, |(free, _)| free),
        recordings: count(app.spool.recordings()),
        waiting: count(app.spool.left()),
        sync_gap_ms: u32::try_from(app.spool.sync_gap().as_millis()).unwrap_or(u32::MAX),
        worst_sync_gap_ms: u32::try_from(app.spool.worst_sync_gap().as_millis()).unwrap_or(u32::MAX),
        repaired: app.repaired.clone(),
    };
    (if ill.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

/// Who I am.
#[utoipa::path(get, path = "/v1/me", tag = "account",
    responses((status = 200, description = "The person that the device belongs to.", body = Me), TokenProblem, CommonProblems))]
pub(super) async fn me(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<Me>> {
    let subscriber = app.store.subscriber(asking.device.subscriber).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(Json(Me { subscriber, domain: app.domain.clone(), records_calls: app.records_calls }))
}

/// What is kept of my messages.
///
/// How much room there is, and when messages go by themselves; an administrator says so.
#[utoipa::path(get, path = "/v1/me/mailbox", operation_id = "mailbox", tag = "account",
    responses((status = 200, description = "Room and times.", body = MailboxBounds), TokenProblem, CommonProblems))]
pub(super) async fn mailbox(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<MailboxBounds>> {
    let owner = asking.device.subscriber;
    let (room, keeping) = (app.store.room(owner).await?, app.store.keeping(owner).await?);
    Ok(Json(MailboxBounds { room, trash_days: keeping.trash_days, heard_days: keeping.heard_days }))
}

/// How this device uses the account's TURN servers.
///
/// The credentials are good for some minutes, in which calls begin; a device asks anew before they end. One that was signed out gets none.
#[utoipa::path(get, path = "/v1/turn", operation_id = "turn_credentials", tag = "calls",
    responses((status = 200, description = "The servers; none if the account has none.", body = TurnCredentials), TokenProblem, CommonProblems))]
pub(super) async fn turn(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<TurnCredentials>> {
    let (device, now) = (&asking.device, Timestamp::now());
    let Some(turn) = &app.turn else {
        return Ok(Json(TurnCredentials { uris: Vec::new(), username: String::new(), password: String::new(), expires_at: now }));
    };
    Ok(Json(turn.credentials(device.subscriber, device.id, now)))
}

/// Changes what is mine to change: the language of my prompts, and how long my devices ring.
#[utoipa::path(put, path = "/v1/me", operation_id = "change_me", tag = "account", request_body = MeBody,
    responses((status = 200, description = "As it is now.", body = Me), UnprocessableProblem, BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn change_me(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    problem::Json(MeBody { language, ring_s }): problem::Json<MeBody>,
) -> ApiResult<Json<Me>> {
    let owner = asking.device.subscriber;
    if ring_s > 300 {
        let detail = "devices ring for 0 to 300 seconds";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::BadRequest, detail));
    }
    let known = app.store.subscriber(owner).await?.ok_or_else(ApiError::unauthorized)?;
    let settings = SubscriberSettings { display_name: known.display_name, language, ring_s };
    let subscriber = app.store.change_subscriber(owner, settings).await?.ok_or_else(ApiError::unauthorized)?;
    app.answering_changed(owner).await;
    Ok(Json(Me { subscriber, domain: app.domain.clone(), records_calls: app.records_calls }))
}

/// How I may call and be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct CallingView {
    /// Whom I may call over trunks; an administrator says so.
    rights: CallingRights,
    /// My devices don't ring: the mailbox takes every call.
    do_not_disturb: bool,
}

impl From<Calling> for CallingView {
    fn from(Calling { rights, do_not_disturb }: Calling) -> Self {
        Self { rights, do_not_disturb }
    }
}

/// A change of it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct CallingChange {
    /// Whether my devices shall not ring.
    do_not_disturb: bool,
}

/// How I may call and be called.
#[utoipa::path(get, path = "/v1/calling", tag = "calls",
    responses((status = 200, description = "Rights and do-not-disturb.", body = CallingView), TokenProblem, CommonProblems))]
pub(super) async fn calling(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<CallingView>> {
    let calling = app.store.calling().await?.remove(&asking.device.subscriber).unwrap_or_default();
    Ok(Json(calling.into()))
}

/// Turns do-not-disturb on or off; it holds for the next call.
#[utoipa::path(put, path = "/v1/calling", operation_id = "change_calling", tag = "calls", request_body = CallingChange,
    responses((status = 200, description = "As it is now.", body = CallingView), UnprocessableProblem, BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn change_calling(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    problem::Json(change): problem::Json<CallingChange>,
) -> ApiResult<Json<CallingView>> {
    let owner = asking.device.subscriber;
    let known = app.store.calling().await?.remove(&owner).unwrap_or_default();
    let calling = Calling { do_not_disturb: change.do_not_disturb, ..known };
    app.store.put_calling(owner, calling).await?;
    app.answering_changed(owner).await;
    Ok(Json(calling.into()))
}

/// My devices, the oldest first.
#[utoipa::path(get, path = "/v1/devices", operation_id = "list_devices", tag = "account",
    responses((status = 200, description = "The devices.", body = Vec<Device>), TokenProblem, CommonProblems))]
pub(super) async fn devices(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<Vec<Device>>> {
    let devices = app.store.devices(asking.device.subscriber).await?;
    Ok(Json(devices.iter().map(|device| device.to_wire(Some(asking.device.id))).collect()))
}

/// Takes a device away, or signs this one out.
///
/// Its token is dead at once, here and on its open WebSockets.
#[utoipa::path(delete, path = "/v1/devices/{id}", operation_id = "revoke_device", tag = "account", params(("id" = DeviceId, Path)),
    responses((status = 204, description = "It is gone."), NotFoundProblem, TokenProblem, CommonProblems))]
pub(super) async fn revoke(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<DeviceId>,
) -> ApiResult<StatusCode> {
    if !app.store.revoke(asking.device.subscriber, id).await? {
        return Err(ApiError::not_found("device"));
    }
    tracing::info!(device = %id, "a device was revoked");
    app.revocations.tell(Revocation::Device(id));
    // SIP credentials die with it, and calls that were made by them.
    app.directory_changed().await;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DirectoryQuery {
    /// Part of a name, a user name or an extension, in any case. Without it: everybody.
    q: Option<String>,
}

/// The people of the account, by extension.
#[utoipa::path(get, path = "/v1/directory", tag = "account", params(DirectoryQuery),
    responses((status = 200, description = "Who matches.", body = Vec<DirectoryEntry>), TokenProblem, CommonProblems))]
pub(super) async fn directory(
    State(app): State<SharedApp>,
    _asking: SignedInDevice,
    Query(query): Query<DirectoryQuery>,
) -> ApiResult<Json<Vec<DirectoryEntry>>> {
    let wanted = query.q.unwrap_or_default().trim().to_lowercase();
    let people = app.store.subscribers().await?;
    Ok(Json(people.into_iter().filter(|person| matches(person, &wanted)).map(entry).collect()))
}

fn matches(person: &Subscriber, wanted: &str) -> bool {
    person.display_name.to_lowercase().contains(wanted)
        || person.user.as_str().contains(wanted)
        || person.extension.as_str().starts_with(wanted)
}

fn entry(person: Subscriber) -> DirectoryEntry {
    DirectoryEntry { user: person.user.into(), extension: person.extension.into(), display_name: person.display_name }
}

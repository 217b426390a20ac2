use std::num::NonZeroU32;

use aftertone_model::{CallId, CallRecord, Message, MessageId, StreamFigures, SubscriberId, Timestamp};
use aftertone_server_store::{Acted, ForwardOrder, ForwardOutcome, Lookup, Reported};
use aftertone_sync::{ActionBody, FiguresBody, ForwardBody, Forwarded, IdempotencyKey, ProblemCode};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{
    SharedApp,
    auth::SignedInDevice,
    document::{
        BodyProblems, CommonProblems, ForwardProblems, KeyProblem, MeasuredProblem, MessageProblems, NotFoundProblem,
        TokenProblem, UnprocessableProblem,
    },
    problem::{ApiError, ApiResult, Json, Path, Query},
};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next` of the page before; without it, the newest.
    before: Option<String>,
    /// Entries in a page, at most 500 whatever is asked for; 100 if not given.
    #[param(value_type = Option<u32>, minimum = 1)]
    limit: Option<NonZeroU32>,
}

impl PageQuery {
    fn limit(&self) -> u32 {
        self.limit.map_or(100, NonZeroU32::get).min(500)
    }
}

/// A page of messages.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MessagesPage {
    /// The newest first; those in the trash too.
    messages: Vec<Message>,
    /// For `before` of the next page; null if this may be the last one.
    next: Option<String>,
}

/// A page of the call log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct CallRecordsPage {
    /// The newest first.
    call_records: Vec<CallRecord>,
    /// For `before` of the next page; null if this may be the last one.
    next: Option<String>,
}

/// My messages, the newest first.
///
/// For programs that look now and then; a device that keeps a copy follows `/v1/changes`.
#[utoipa::path(get, path = "/v1/messages", operation_id = "list_messages", tag = "messages", params(PageQuery),
    responses((status = 200, description = "A page.", body = MessagesPage), TokenProblem, CommonProblems))]
pub(super) async fn list(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<MessagesPage>> {
    let before = query.before.as_deref().map(|before| {
        let (at, id) = before.split_once('_')?;
        Some((at.parse::<Timestamp>().ok()?, id.parse::<MessageId>().ok()?))
    });
    let before = before.map(|before| before.ok_or_else(|| ApiError::bad_request("before is no `next` of a page"))).transpose()?;
    let limit = query.limit();
    let messages = app.store.messages(asking.device.subscriber, before, limit).await?;
    let last = messages.last().filter(|_| messages.len() >= limit as usize);
    let next = last.map(|last| format!("{}_{}", last.envelope.received_at, last.envelope.id));
    Ok(axum::Json(MessagesPage { messages, next }))
}

/// One message.
#[utoipa::path(get, path = "/v1/messages/{id}", operation_id = "get_message", tag = "messages", params(("id" = MessageId, Path)),
    responses((status = 200, description = "The message.", body = Message), MessageProblems, TokenProblem, CommonProblems))]
pub(super) async fn get(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<MessageId>,
) -> ApiResult<axum::Json<Message>> {
    found(app.store.message(asking.device.subscriber, id).await?).map(axum::Json)
}

/// Marks, deletes, restores or expunges a message.
///
/// With a header `Idempotency-Key`, a repeated request with the same key does it once.
#[utoipa::path(post, path = "/v1/messages/{id}/actions", operation_id = "act_on_message", tag = "messages", request_body = ActionBody,
    params(("id" = MessageId, Path), ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters.")),
    responses(
        (status = 200, description = "The message as it is now.", body = Message),
        (status = 204, description = "The message was expunged."),
        MessageProblems, KeyProblem, BodyProblems, TokenProblem, CommonProblems,
    ))]
pub(super) async fn act(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<MessageId>,
    headers: HeaderMap,
    Json(body): Json<ActionBody>,
) -> ApiResult<Response> {
    let (mailbox, key) = (asking.device.subscriber, idempotency_key(&headers)?);
    let response = match app.store.act(mailbox, id, body.action, &key, Timestamp::now()).await? {
        Acted::Message(message) => axum::Json(message).into_response(),
        Acted::Expunged => StatusCode::NO_CONTENT.into_response(),
        Acted::Gone => return Err(ApiError::gone()),
        Acted::NotFound => return Err(ApiError::not_found("message")),
        Acted::KeyReused => return Err(key_reused()),
    };
    app.feed_grew(mailbox);
    Ok(response)
}

/// Forwards a message to other people, with a note.
///
/// With a header `Idempotency-Key`, a repeated request with the same key delivers nothing and gives the first answer again.
#[utoipa::path(post, path = "/v1/messages/{id}/forward", operation_id = "forward_message", tag = "messages", request_body = ForwardBody,
    params(("id" = MessageId, Path), ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters.")),
    responses(
        (status = 200, description = "Who got it.", body = Forwarded),
        ForwardProblems, MessageProblems, BodyProblems, TokenProblem, CommonProblems,
    ))]
pub(super) async fn forward(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<MessageId>,
    headers: HeaderMap,
    Json(body): Json<ForwardBody>,
) -> ApiResult<axum::Json<Forwarded>> {
    let key = idempotency_key(&headers)?;
    if !(1..=50).contains(&body.to.len()) {
        return Err(ApiError::bad_request("a forward has 1 to 50 recipients"));
    }
    if body.note.chars().count() > 2000 {
        return Err(ApiError::bad_request("a note has at most 2,000 characters"));
    }
    let to = recipients(&app, &body.to).await?;
    let order =
        ForwardOrder { mailbox: asking.device.subscriber, message: id, to: to.clone(), note: body.note, sound: None, key };
    match app.store.forward(order, Timestamp::now()).await? {
        ForwardOutcome::Done(forwarded) => {
            to.into_iter().for_each(|mailbox| app.feed_grew(mailbox));
            Ok(axum::Json(forwarded))
        }
        ForwardOutcome::UnknownRecipient => Err(unknown_recipient("somebody")),
        ForwardOutcome::Gone => Err(ApiError::gone()),
        ForwardOutcome::NotFound => Err(ApiError::not_found("message")),
        ForwardOutcome::Private => {
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::PrivateMessage, "its caller marked it private"))
        }
        ForwardOutcome::KeyReused => Err(key_reused()),
    }
}

/// My call log, the newest first.
#[utoipa::path(get, path = "/v1/call-records", tag = "calls", params(PageQuery),
    responses((status = 200, description = "A page.", body = CallRecordsPage), TokenProblem, CommonProblems))]
pub(super) async fn call_records(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<CallRecordsPage>> {
    let before = query.before.as_deref().map(|before| before.parse::<Timestamp>()).transpose();
    let before = before.map_err(|_| ApiError::bad_request("before is no `next` of a page"))?;
    let limit = query.limit();
    let call_records = app.store.call_records(asking.device.subscriber, before, limit).await?;
    let last = call_records.last().filter(|_| call_records.len() >= limit as usize);
    let next = last.map(|last| last.started_at.to_string());
    Ok(axum::Json(CallRecordsPage { call_records, next }))
}

/// A year at fifty a second.
const MOST_PACKETS: u64 = 50 * 3_600 * 24 * 365;
/// No opinion is better or worse (ITU-T G.107).
const OPINIONS: std::ops::RangeInclusive<u16> = 100..=450;

/// Says how a call of mine sounded that the server saw nothing of.
///
/// Of a call from device to device, once its record says so (`path`); what the server has measured itself stays.
#[utoipa::path(put, path = "/v1/call-records/{call}/figures", operation_id = "report_call_figures", tag = "calls",
    request_body = FiguresBody, params(("call" = CallId, Path)),
    responses((status = 204, description = "They are in the record."), NotFoundProblem, MeasuredProblem, UnprocessableProblem,
        BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn report_figures(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(call): Path<CallId>,
    Json(body): Json<FiguresBody>,
) -> ApiResult<StatusCode> {
    let owner = asking.device.subscriber;
    let is_likely =
        |stream: StreamFigures| OPINIONS.contains(&stream.mos_centi) && stream.packets.max(stream.lost) <= MOST_PACKETS;
    if ![body.inbound, body.outbound].into_iter().flatten().all(is_likely) {
        let detail = "an opinion is 100 to 450, and no call has so many packets";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::BadRequest, detail));
    }
    match app.store.report_figures(owner, call, body).await? {
        Reported::Noted => {
            app.feed_grew(owner);
            Ok(StatusCode::NO_CONTENT)
        }
        Reported::NotFound => Err(ApiError::not_found("call record")),
        Reported::Measured => {
            Err(ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, "the server knows itself how this call sounded"))
        }
    }
}

/// The thing, or the problem that says why there is none.
pub(super) fn found<T>(lookup: Lookup<T>) -> ApiResult<T> {
    match lookup {
        Lookup::Found(thing) => Ok(thing),
        Lookup::Gone => Err(ApiError::gone()),
        Lookup::NotFound => Err(ApiError::not_found("message")),
    }
}

async fn recipients(app: &SharedApp, names: &[String]) -> ApiResult<Vec<SubscriberId>> {
    let mut to = Vec::with_capacity(names.len());
    for name in names {
        let person = app.store.find_subscriber(name.trim()).await?;
        to.push(person.ok_or_else(|| unknown_recipient(&format!("{name:?}")))?.id);
    }
    Ok(to)
}

fn unknown_recipient(who: &str) -> ApiError {
    let detail = format!("{who} is nobody of this account; nothing was forwarded");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::UnknownRecipient, detail)
}

fn key_reused() -> ApiError {
    let detail = "this Idempotency-Key was used for another write";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::BadRequest, detail)
}

/// Without the header every request is a write of its own.
fn idempotency_key(headers: &HeaderMap) -> ApiResult<IdempotencyKey> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(IdempotencyKey::from_random(rand::random())) };
    let key = value.to_str().ok().and_then(|text| text.parse().ok());
    key.ok_or_else(|| ApiError::bad_request("an Idempotency-Key has 1 to 128 visible ASCII characters"))
}

use std::num::NonZeroU32;

use aftertone_server_store::Changes;
use aftertone_sync::{ChangesPage, Cursor, ProblemCode};
use axum::{
    Json,
    extract::{State, WebSocketUpgrade, ws::Message, ws::rejection::WebSocketUpgradeRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    SharedApp,
    auth::SignedInDevice,
    document::{CommonProblems, CursorProblem, TokenProblem, UpgradeProblem},
    problem::{ApiError, ApiResult, Query},
    socket::{Session, Turn, not_an_upgrade},
};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesQuery {
    /// The cursor of the last page; without it, the feed from its beginning, which is a snapshot.
    since: Option<String>,
    /// Changes in a page, at most 1,000 whatever is asked for; 200 if not given.
    #[param(value_type = Option<u32>, minimum = 1)]
    limit: Option<NonZeroU32>,
}

/// What changed in my mailbox and my call log.
///
/// Messages and call records reach a device this way alone. Applying a page twice is harmless.
#[utoipa::path(get, path = "/v1/changes", tag = "feed", params(ChangesQuery),
    responses((status = 200, description = "The next page.", body = ChangesPage), CursorProblem, TokenProblem, CommonProblems))]
pub(super) async fn changes(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Query(query): Query<ChangesQuery>,
) -> ApiResult<Json<ChangesPage>> {
    let since = query.since.filter(|since| !since.is_empty()).map(|since| since.parse::<Cursor>()).transpose();
    let since = since.map_err(|_| ApiError::bad_request("since is no cursor: EPOCH.N is expected"))?;
    let limit = query.limit.map_or(200, NonZeroU32::get).min(1000);
    match app.store.changes(asking.device.subscriber, since, limit).await? {
        Changes::Page(page) => Ok(Json(page)),
        Changes::Reset => {
            let detail = "the cursor is not of this feed: fetch the changes without since, and keep the outbox";
            Err(ApiError::new(StatusCode::CONFLICT, ProblemCode::CursorReset, detail))
        }
    }
}

/// The doorbell, a WebSocket.
///
/// Sends the text `{"kind":"changed"}` whenever my feed grew, and nothing else; rings that come close together may be
/// one. It takes no messages.
#[utoipa::path(get, path = "/v1/doorbell", tag = "feed",
    responses((status = 101, description = "The WebSocket is open."), UpgradeProblem, TokenProblem, CommonProblems))]
pub(super) async fn doorbell(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|_| not_an_upgrade())?;
    // Listening begins before the answer: what changes after the device sees the open socket rings.
    let place = app.place_of(&asking)?;
    let mut bell = app.bells.listen(asking.device.subscriber);
    let session = Session::begin(app, Some(asking));
    let limited = upgrade.max_message_size(1024).max_frame_size(1024);
    Ok(limited.on_upgrade(async move |socket| {
        let _place = place;
        let mut session = session.over(socket);
        loop {
            match session.next(async { bell.changed().await.ok() }).await {
                Turn::Mine(()) => {
                    if !session.send(Message::text(r#"{"kind":"changed"}"#)).await {
                        return;
                    }
                }
                Turn::Received(_) => {}
                Turn::Over => return,
            }
        }
    }))
}

use std::time::{Duration, Instant};

use aftertone_model::{Subscriber, Timestamp};
use aftertone_server_store::NewApp;
use aftertone_sync::{Credentials, Me, SignIn, SignedIn};
use axum::{Extension, extract::State};

use super::{
    App, SharedApp,
    document::{BodyProblems, CommonProblems, SignInProblems},
    problem::{ApiError, ApiResult, Json},
};
use crate::listen::Peer;

/// Signs a device in.
///
/// With the user name or extension and a password, or with the one-time token of an invitation. The answer holds the device's
/// bearer token; it is shown this once. An unknown name, a wrong password and a used invitation answer alike. Tries are
/// counted per name and address; after some failures one has to wait (`Retry-After`), longer each time.
#[utoipa::path(post, path = "/v1/sign-in", tag = "account", request_body = SignIn, security(()),
    responses((status = 200, description = "Signed in.", body = SignedIn), SignInProblems, BodyProblems, CommonProblems))]
pub(super) async fn sign_in(
    State(app): State<SharedApp>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<SignIn>,
) -> ApiResult<axum::Json<SignedIn>> {
    let name = device_name(&body.device_name)?;
    let user = match &body.credentials {
        Credentials::Password { user, .. } => Some(user.as_str()),
        Credentials::Invitation { .. } => None,
    };
    let who = app.limiter().who(peer.remote.ip(), user);
    app.limiter().try_now(who, Instant::now()).map_err(ApiError::rate_limited)?;
    let checked = match &body.credentials {
        Credentials::Password { user, password } => by_password(&app, user, password, &name).await?,
        Credentials::Invitation { invitation } => app.store.accept_invitation(invitation, &name, Timestamp::now()).await?,
    };
    let (subscriber, NewApp { device, token }) = checked.ok_or_else(ApiError::wrong_credentials)?;
    app.limiter().forgive(who, Instant::now());
    // The person may have been added a moment ago, by the command line: the exchange has to know them before they register.
    app.directory_changed().await;
    tracing::info!(device = %device.id, subscriber = %subscriber.id, "a device signed in");
    let me = Me { subscriber, domain: app.domain.clone(), records_calls: app.records_calls };
    Ok(axum::Json(SignedIn { token: token.expose().to_owned(), device: device.id, me }))
}

/// A try waits so long for its turn to be hashed.
const TURN: Duration = Duration::from_secs(10);

async fn by_password(app: &App, user: &str, password: &str, name: &str) -> ApiResult<Option<(Subscriber, NewApp)>> {
    let turn = tokio::time::timeout(TURN, app.hashing.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(ApiError::rate_limited(TURN)) };
    let Some(subscriber) = app.store.check_password(user, password).await? else { return Ok(None) };
    let new = app.store.add_app(subscriber.id, name, Timestamp::now()).await?;
    Ok(Some((subscriber, new)))
}

fn device_name(name: &str) -> ApiResult<String> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= 100 && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(ApiError::bad_request("device_name must have 1 to 100 characters")) }
}

//! Greetings, the spoken name, and how calls are answered.

use std::time::Duration;

use aftertone_model::{Greeting, GreetingId, GreetingKind, Plan, SubscriberId};
use aftertone_server_store::{NewSound, PutGreeting, StoredPlan};
use aftertone_sync::{GreetingBody, PlanView, ProblemCode};
use axum::{
    Json,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::{
    SharedApp,
    audio::{self, Served},
    auth::SignedInDevice,
    document::{
        BodyProblems, CommonProblems, NotFoundProblem, PlanProblems, RangeProblem, SoundProblems, TokenProblem,
        UnprocessableProblem,
    },
    problem::{self, ApiError, ApiResult, Path},
};
use crate::greeting_sound::{self, SoundError};

/// A file of so many bytes is taken.
pub(crate) const MAX_SOUND: usize = 32 << 20;
/// The longest spoken name, as in the phone menu.
const LONGEST_NAME: Duration = Duration::from_secs(10);
/// What the whole of it may take, over a slow line.
const UPLOAD: Duration = Duration::from_secs(300);

/// My greetings and my spoken name.
#[utoipa::path(get, path = "/v1/greetings", operation_id = "list_greetings", tag = "greetings",
    responses((status = 200, description = "The greetings.", body = Vec<Greeting>), TokenProblem, CommonProblems))]
pub(super) async fn list(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<Vec<Greeting>>> {
    Ok(Json(app.store.greetings(asking.device.subscriber).await?))
}

/// Makes a greeting under an id that I choose (a random UUID), or changes what is said of it. Its sound stays.
#[utoipa::path(put, path = "/v1/greetings/{id}", operation_id = "put_greeting", tag = "greetings", params(("id" = GreetingId, Path)),
    request_body = GreetingBody,
    responses((status = 200, description = "As it is now.", body = Greeting), NotFoundProblem, UnprocessableProblem,
        BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn put(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<GreetingId>,
    problem::Json(body): problem::Json<GreetingBody>,
) -> ApiResult<Json<Greeting>> {
    let owner = asking.device.subscriber;
    let title = body.title.trim();
    if title.is_empty() || title.chars().count() > 200 || body.text.chars().count() > 5_000 {
        return Err(unprocessable("a greeting has a title of 1 to 200 characters and a text of at most 5,000"));
    }
    if body.kind == GreetingKind::Name && body.expires_at.is_some() {
        return Err(unprocessable("a spoken name has no end: remove it instead"));
    }
    let body = GreetingBody { title: title.to_owned(), ..body };
    match app.store.put_greeting(owner, id, body, jiff::Timestamp::now()).await? {
        PutGreeting::Done(greeting) => {
            app.answering_changed(owner).await;
            Ok(Json(greeting))
        }
        PutGreeting::TooMany => Err(unprocessable("there are too many greetings: remove some first")),
        PutGreeting::NameTaken => Err(unprocessable("there is a spoken name already: change that one")),
        PutGreeting::Foreign => Err(unprocessable("this id is taken: choose another at random")),
    }
}

/// Removes a greeting. Rules that name it are passed over from then on.
#[utoipa::path(delete, path = "/v1/greetings/{id}", operation_id = "remove_greeting", tag = "greetings", params(("id" = GreetingId, Path)),
    responses((status = 204, description = "It is gone."), NotFoundProblem, TokenProblem, CommonProblems))]
pub(super) async fn remove(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<GreetingId>,
) -> ApiResult<StatusCode> {
    let owner = asking.device.subscriber;
    if !app.store.remove_greeting(owner, id).await? {
        return Err(ApiError::not_found("greeting"));
    }
    app.answering_changed(owner).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a greeting its sound: WAV, MP3, M4A (AAC), FLAC or Ogg (Vorbis, Opus), of 32 MB and three minutes at most; a spoken name
/// has ten seconds at most.
///
/// Silence at both ends is cut off and the loudness set. When this is answered, the next caller hears it.
#[utoipa::path(put, path = "/v1/greetings/{id}/audio", operation_id = "put_greeting_audio", tag = "greetings",
    params(("id" = GreetingId, Path)), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "As it is now.", body = Greeting), NotFoundProblem, SoundProblems, TokenProblem, CommonProblems))]
pub(super) async fn put_audio(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<GreetingId>,
    request: Request,
) -> ApiResult<Json<Greeting>> {
    let owner = asking.device.subscriber;
    let known = app.store.greetings(owner).await?;
    let known = known.into_iter().find(|greeting| greeting.id == id).ok_or_else(|| ApiError::not_found("greeting"))?;
    let bytes = whole(request).await?;
    // A core for some seconds, and some hundred megabytes: few at once.
    let permit = app.importing.acquire().await.map_err(ApiError::internal)?;
    let made = tokio::task::spawn_blocking(move || greeting_sound::make(&bytes)).await.map_err(ApiError::internal)?;
    drop(permit);
    let sound: NewSound = made.map_err(refused)?;
    if known.kind == GreetingKind::Name && u128::from(sound.duration_ms) > LONGEST_NAME.as_millis() {
        return Err(too_long("a spoken name has ten seconds at most"));
    }
    let greeting = app.store.put_greeting_sound(owner, id, sound, jiff::Timestamp::now()).await?;
    let greeting = greeting.ok_or_else(|| ApiError::not_found("greeting"))?;
    app.answering_changed(owner).await;
    Ok(Json(greeting))
}

/// The file. What announces itself as too large is told so before it is sent.
async fn whole(request: Request) -> ApiResult<Bytes> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_SOUND) {
        return Err(ApiError::too_large());
    }
    let Ok(read) = timeout(UPLOAD, to_bytes(request.into_body(), MAX_SOUND)).await else {
        return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, ProblemCode::BadRequest, "the file took too long"));
    };
    read.map_err(|error| {
        let is_too_large = std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_large { ApiError::too_large() } else { ApiError::bad_request("the file broke off") }
    })
}

fn refused(error: SoundError) -> ApiError {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        SoundError::Unknown => ApiError::new(
            status,
            ProblemCode::UnsupportedSound,
            "this is no sound that we know: WAV, MP3, M4A, FLAC or Ogg is expected",
        ),
        SoundError::Silent => ApiError::new(status, ProblemCode::UnsupportedSound, "nothing can be heard in it"),
        SoundError::TooLong => too_long("a greeting has three minutes at most"),
        SoundError::Failed(error) => ApiError::internal(error),
    }
}

fn too_long(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::SoundTooLong, detail)
}

/// The sound of a greeting, as Ogg-Opus. Takes ranges and conditions like the sound of a message.
#[utoipa::path(method(get, head), path = "/v1/greetings/{id}/audio", operation_id = "greeting_audio", tag = "greetings",
    params(
        ("id" = GreetingId, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1023`."),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that is there already."),
    ),
    responses(
        (status = 200, description = "The whole sound.", content_type = "audio/ogg"),
        (status = 206, description = "A part of it; `Content-Range` says which.", content_type = "audio/ogg"),
        (status = 304, description = "It is what the condition says."),
        RangeProblem, NotFoundProblem, TokenProblem, CommonProblems,
    ))]
pub(super) async fn audio(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<GreetingId>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let sound = app.store.greeting_sound(asking.device.subscriber, id).await?.ok_or_else(|| ApiError::not_found("greeting"))?;
    audio::serve(Served { sound: &sound, name: format!("greeting-{id}") }, &method, &headers).await
}

/// What callers of mine hear where no greeting of my own is played: my spoken name, and the account's greeting in my language.
#[utoipa::path(get, path = "/v1/me/account-greeting", operation_id = "account_greeting", tag = "greetings",
    responses((status = 200, description = "The sound.", content_type = "audio/wav"), TokenProblem, CommonProblems))]
pub(super) async fn account_greeting(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Response> {
    let owner = app.store.subscriber(asking.device.subscriber).await?.ok_or_else(ApiError::unauthorized)?;
    let name = spoken_name(&app, owner.id).await?;
    let greeting = app.greetings.standard(owner.language).clone();
    let permit = app.importing.acquire().await.map_err(ApiError::internal)?;
    let made = tokio::task::spawn_blocking(move || greeting_sound::account(&greeting, name.as_deref()));
    let sound = made.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    drop(permit);
    Ok(([(header::CONTENT_TYPE, "audio/wav")], sound).into_response())
}

async fn spoken_name(app: &SharedApp, owner: SubscriberId) -> ApiResult<Option<Vec<u8>>> {
    let known = app.store.greetings(owner).await?;
    let Some(name) = known.into_iter().find(|greeting| greeting.kind == GreetingKind::Name) else { return Ok(None) };
    let Some(sound) = app.store.greeting_sound(owner, name.id).await? else { return Ok(None) };
    tokio::fs::read(sound.path).await.map(Some).map_err(ApiError::internal)
}

/// How my calls are answered. The `ETag` is the plan's version.
#[utoipa::path(get, path = "/v1/plan", operation_id = "plan", tag = "greetings",
    responses((status = 200, description = "The plan.", body = PlanView), TokenProblem, CommonProblems))]
pub(super) async fn plan(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Response> {
    Ok(plan_answer(app.store.plan(asking.device.subscriber).await?))
}

/// Says how my calls are answered. With `If-Match` only if the plan still has that version. It holds for the next call.
#[utoipa::path(put, path = "/v1/plan", operation_id = "put_plan", tag = "greetings", request_body = Plan,
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the plan that was changed.")),
    responses((status = 200, description = "As it is now.", body = PlanView), PlanProblems, BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn put_plan(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    headers: HeaderMap,
    problem::Json(plan): problem::Json<Plan>,
) -> ApiResult<Response> {
    let owner = asking.device.subscriber;
    let expected = headers.get(header::IF_MATCH).map(version_of).transpose()?.flatten();
    aftertone_rules::check(&plan).map_err(|problem| unprocessable(&problem.to_string()))?;
    match app.store.put_plan(owner, plan.clone(), expected).await? {
        Ok(version) => {
            app.answering_changed(owner).await;
            Ok(plan_answer(StoredPlan { version, plan }))
        }
        Err(found) => {
            let detail = format!("the plan was changed elsewhere: it has version {found} now");
            Err(ApiError::new(StatusCode::PRECONDITION_FAILED, ProblemCode::Conflict, detail))
        }
    }
}

fn plan_answer(StoredPlan { version, plan }: StoredPlan) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
    ([(HeaderName::from_static("etag"), tag)], Json(PlanView { version, plan })).into_response()
}

fn version_of(value: &HeaderValue) -> ApiResult<Option<u64>> {
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_matches('"').parse();
    version.map(Some).map_err(|_| ApiError::bad_request("If-Match is no ETag of a plan, such as \"3\""))
}

fn unprocessable(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::BadRequest, detail)
}

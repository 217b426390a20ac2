//! A call to oneself, to hear what callers hear and see the message arrive.

use aftertone_sync::{Problem, ProblemCode, TestCall};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    SharedApp,
    auth::SignedInDevice,
    document::{CommonProblems, NotFoundProblem, TokenProblem},
    problem::{ApiError, ApiResult},
};
use crate::test_call::Refusal;

/// Why there is no test call now.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum TestCallProblems {
    /// One is under way (`conflict`): see how it gets on.
    #[response(status = 409, content_type = "application/problem+json")]
    Running(Problem),
    /// There were too many (`rate_limited`); `Retry-After` says how many seconds to wait.
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(Problem),
}

/// Calls my number, as somebody from outside would, and leaves a message in my mailbox.
///
/// The call rings, is answered and is recorded as any other is; whoever answers it ends the test. It says a sentence, and its message
/// is marked as a test. It is in nobody's call log. One at a time, six in a row, then one a minute.
#[utoipa::path(post, path = "/v1/me/test-call", operation_id = "start_test_call", tag = "calls",
    responses((status = 202, description = "It has begun.", body = TestCall), TestCallProblems, TokenProblem, CommonProblems))]
pub(super) async fn start_test_call(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
) -> ApiResult<(StatusCode, Json<TestCall>)> {
    let owner = app.store.subscriber(asking.device.subscriber).await?.ok_or_else(ApiError::unauthorized)?;
    let begun = app.test_calls.start(owner).map_err(|refusal| match refusal {
        Refusal::Running => ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, "a test call of yours is under way"),
        Refusal::TooMany(wait) => ApiError::rate_limited(wait),
    })?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// How my last test call gets on, or went. The server remembers it for an hour.
#[utoipa::path(get, path = "/v1/me/test-call", operation_id = "test_call", tag = "calls",
    responses((status = 200, description = "As far as it is.", body = TestCall), NotFoundProblem, TokenProblem, CommonProblems))]
pub(super) async fn test_call(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<TestCall>> {
    app.test_calls.of(asking.device.subscriber).map(Json).ok_or_else(|| ApiError::not_found("test call"))
}

/// What the caller of my last test call heard: greeting and beep.
#[utoipa::path(get, path = "/v1/me/test-call/greeting", operation_id = "test_call_greeting", tag = "calls",
    responses((status = 200, description = "The sound.", content_type = "audio/wav"), NotFoundProblem, TokenProblem, CommonProblems))]
pub(super) async fn test_call_greeting(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Response> {
    let heard = app.test_calls.heard(asking.device.subscriber).ok_or_else(|| ApiError::not_found("sound"))?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], heard).into_response())
}

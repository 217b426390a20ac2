//! The OpenAPI document: its frame, and the answers that many operations share.

use std::sync::Arc;

use aftertone_sync::Problem;
use axum::{
    Extension,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::VERSION;

/// The document as it is served.
#[derive(Clone)]
pub(super) struct Document(Arc<Result<Bytes, String>>);

impl Document {
    pub(super) fn new(document: &utoipa::openapi::OpenApi) -> Self {
        Self(Arc::new(document.to_pretty_json().map(Bytes::from).map_err(|e| e.to_string())))
    }
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "server", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")))]
pub(super) async fn openapi(Extension(Document(document)): Extension<Document>) -> Response {
    match document.as_ref() {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json.clone()).into_response(),
        Err(error) => super::ApiError::internal(anyhow::anyhow!("the API's document can't be written: {error}")).into_response(),
    }
}

pub(super) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    document.info.version = VERSION.to_owned();
    document
}

/// A handler that takes GET and HEAD is two operations, and an `operationId` stands for one.
pub(super) fn name_operations_once(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        if let Some(name) = item.head.as_mut().and_then(|head| head.operation_id.as_mut()) {
            name.push_str("_head");
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Aftertone account", description = "Mailbox, call log and directory of a hosted account. Errors are problem details \
        (RFC 9457) with a stable `code`. WebSockets take the same bearer token.", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    tags(
        (name = "account", description = "Signing in, devices, people."),
        (name = "feed", description = "What changed, and the doorbell that says so."),
        (name = "messages", description = "The mailbox."),
        (name = "greetings", description = "What callers hear, and how calls are answered."),
        (name = "calls", description = "The call log, and SIP itself."),
        (name = "server", description = "The server."),
    ),
    components(schemas(aftertone_sync::Problem, aftertone_sync::ProblemCode)),
    security(("device_token" = [])),
    modifiers(&Token),
)]
struct Base;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A device's token, from /v1/sign-in.")).build();
        document.components.get_or_insert_default().add_security_scheme("device_token", SecurityScheme::Http(token));
    }
}

/// Every operation.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum CommonProblems {
    /// The request can't be understood (`bad_request`).
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The server failed (`internal`).
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The server can't store anything now (`storage_full`).
    #[response(status = 507, content_type = "application/problem+json")]
    StorageFull(Problem),
}

/// Every operation with a token.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum TokenProblem {
    /// No token, or one that was revoked (`unauthorized`).
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
}

/// Every operation with a body.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum BodyProblems {
    /// The body took too long (`bad_request`).
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The body is too large (`too_large`).
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not announced as JSON (`bad_request`).
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
}

/// Signing in.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum SignInProblems {
    /// Name, password or invitation is wrong (`wrong_credentials`).
    #[response(status = 401, content_type = "application/problem+json")]
    WrongCredentials(Problem),
    /// The body is JSON, but not the expected one (`bad_request`).
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
    /// Too many tries (`rate_limited`); `Retry-After` says how many seconds to wait.
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(Problem),
}

/// A thing by its id.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum NotFoundProblem {
    /// There is no such thing of mine (`not_found`).
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// A message by its id.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum MessageProblems {
    /// There is no such message in my mailbox (`not_found`).
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The message was expunged (`gone`).
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
}

/// An action.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum KeyProblem {
    /// The key was used for another write, or the body is not the expected JSON (`bad_request`).
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// A forward.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum ForwardProblems {
    /// A recipient doesn't exist (`unknown_recipient`), the message is private (`private_message`), the key was used for another write, or the body is not the expected
    /// JSON (`bad_request`). Nothing was delivered.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// A cursor.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum CursorProblem {
    /// The cursor is not of this feed (`cursor_reset`): fetch it without `since`, keep the outbox.
    #[response(status = 409, content_type = "application/problem+json")]
    Reset(Problem),
}

/// What can be read, but not done.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum UnprocessableProblem {
    /// It says something that can't be (`bad_request`).
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// Figures of a call.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum MeasuredProblem {
    /// The server has measured the call itself, or there was nothing to measure (`conflict`).
    #[response(status = 409, content_type = "application/problem+json")]
    Measured(Problem),
}

/// A plan.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum PlanProblems {
    /// It was changed elsewhere meanwhile (`conflict`): fetch it again.
    #[response(status = 412, content_type = "application/problem+json")]
    Conflict(Problem),
    /// It says something that can't be (`bad_request`).
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// A sound.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum SoundProblems {
    /// The file took too long (`bad_request`).
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The file is larger than 32 MB (`too_large`).
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// It is no sound that is known, or nothing can be heard (`unsupported_sound`), or it is too long (`sound_too_long`).
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// A range.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum RangeProblem {
    /// The range lies outside (`bad_request`).
    #[response(status = 416, content_type = "application/problem+json")]
    Unsatisfiable(Problem),
}

/// A WebSocket.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(super) enum UpgradeProblem {
    /// The request is no WebSocket handshake (`bad_request`).
    #[response(status = 426, content_type = "application/problem+json")]
    UpgradeRequired(Problem),
}

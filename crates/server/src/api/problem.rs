//! Errors as RFC 9457 problem details.

use std::time::Duration;

use aftertone_sync::{Problem, ProblemCode};
use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: ProblemCode,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), header: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ProblemCode::BadRequest, detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "a valid device token is needed: Authorization: Bearer TOKEN";
        Self {
            header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            ..Self::new(StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, detail)
        }
    }

    pub(crate) fn wrong_credentials() -> Self {
        let detail = "the name, the password or the invitation is wrong";
        Self {
            header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            ..Self::new(StatusCode::UNAUTHORIZED, ProblemCode::WrongCredentials, detail)
        }
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("too many tries: wait {seconds} seconds");
        Self {
            header: Some((header::RETRY_AFTER, HeaderValue::from(seconds))),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, ProblemCode::RateLimited, detail)
        }
    }

    pub(crate) fn too_many_connections() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::RateLimited, "too many connections")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30"))
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, format!("there is no such {what}"))
    }

    pub(crate) fn gone() -> Self {
        Self::new(StatusCode::GONE, ProblemCode::Gone, "the message was removed for ever")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::TooLarge, "the request's body is larger than allowed")
    }

    /// The cause goes to the log and not to the client.
    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        tracing::error!("{error:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, "the server failed; its log says why")
    }

    pub(crate) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem =
            Problem { title: title(self.code).to_owned(), status: self.status.as_u16(), detail: self.detail, code: self.code };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

fn title(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::BadRequest => "The request can't be understood",
        ProblemCode::Unauthorized => "Not signed in",
        ProblemCode::WrongCredentials => "Wrong credentials",
        ProblemCode::RateLimited => "Too many tries",
        ProblemCode::NotFound => "Not found",
        ProblemCode::Gone => "Gone",
        ProblemCode::CursorReset => "The cursor is not of this feed",
        ProblemCode::UnknownRecipient => "Unknown recipient",
        ProblemCode::PrivateMessage => "The message is private",
        ProblemCode::TooLarge => "Too large",
        ProblemCode::UnsupportedSound => "Not a sound that is known",
        ProblemCode::SoundTooLong => "The sound is too long",
        ProblemCode::Conflict => "Changed elsewhere",
        ProblemCode::WeakPin => "Not a good PIN",
        ProblemCode::StorageFull => "The storage is full",
        ProblemCode::Internal => "The server failed",
        ProblemCode::Unknown => "Error",
    }
}

/// What the small bodies here may take.
const BODY: Duration = Duration::from_secs(30);

/// A body in JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let Ok(read) = timeout(BODY, axum::Json::from_request(request, state)).await else {
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, ProblemCode::BadRequest, "the body took too long"));
        };
        match read {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(e)))
                if e.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Err(ApiError::too_large())
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(ApiError::too_large()),
            // What serde says may quote the body, which may hold a password.
            Err(rejection @ (JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_))) => {
                tracing::debug!(status = %rejection.status(), "a body was refused");
                Err(ApiError::new(rejection.status(), ProblemCode::BadRequest, "the body is not the JSON that is expected here"))
            }
            Err(rejection) => Err(ApiError::new(rejection.status(), ProblemCode::BadRequest, rejection.body_text())),
        }
    }
}

/// Parameters behind the `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let query: Result<_, QueryRejection> = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|e| ApiError::bad_request(e.body_text()))
    }
}

/// Parameters in the path. What is no id names nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path: Result<_, PathRejection> = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| ApiError::not_found("thing"))
    }
}

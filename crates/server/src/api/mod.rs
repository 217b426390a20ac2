//! The HTTP interface: `/v1`, and `/sip` on the same port.
//!
//! JSON in and out as `aftertone-sync` says, errors as RFC 9457 problem details, described by an OpenAPI 3.1 document that is
//! generated from the handlers and served at `/v1/openapi.json`.

mod account;
mod audio;
mod auth;
mod document;
mod feed;
mod limit;
mod messages;
mod problem;
mod sign_in;
mod sip;
mod socket;

use std::sync::{Arc, Mutex};

use aftertone_model::SubscriberId;
use aftertone_net::ConnectionNumbers;
use aftertone_server_store::{Store, StoreError};
use aftertone_sync::ProblemCode;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::sync::{Semaphore, mpsc, watch};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{limit::Limiter, problem::ApiError};
use crate::{
    bells::{Doorbells, Revocations},
    listen::Peer,
    run::{Notice, SocketEvent},
};

/// What handlers share.
pub(crate) struct App {
    parts: Parts,
    limiter: Mutex<Limiter>,
    /// Argon2 takes a core and many megabytes for a while: few at once.
    hashing: Semaphore,
    /// WebSockets of those who showed no token: so many at once.
    strangers: Arc<Semaphore>,
}

/// A browser or a phone of another make takes one.
const STRANGERS: usize = 512;

/// What an [`App`] is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) domain: String,
    pub(crate) turn: Option<crate::turn::Turn>,
    pub(crate) bells: Arc<Doorbells>,
    pub(crate) revocations: Arc<Revocations>,
    /// To the exchange's loop.
    pub(crate) sockets: mpsc::Sender<SocketEvent>,
    /// To the bookkeeping.
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    pub(crate) numbers: ConnectionNumbers,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, limiter: Mutex::default(), hashing: Semaphore::new(2), strangers: Arc::new(Semaphore::new(STRANGERS)) }
    }

    /// The feed of this mailbox grew: devices are told at once, lamps right after.
    fn feed_grew(&self, mailbox: SubscriberId) {
        if self.notices.send(Notice::FeedGrew(mailbox)).is_err() {
            tracing::debug!("a change after the end of the bookkeeping");
        }
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

type SharedApp = Arc<App>;

/// The larger bodies are forwards with a long note to many people.
const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router(app: App) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(account::health))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(account::me))
        .routes(routes!(account::devices))
        .routes(routes!(account::calling, account::change_calling))
        .routes(routes!(account::revoke))
        .routes(routes!(account::directory))
        .routes(routes!(account::turn))
        .routes(routes!(feed::changes))
        .routes(routes!(feed::doorbell))
        .routes(routes!(messages::list))
        .routes(routes!(messages::get))
        .routes(routes!(messages::act))
        .routes(routes!(messages::forward))
        .routes(routes!(audio::audio))
        .routes(routes!(messages::call_records))
        .routes(routes!(sip::sip))
        .routes(routes!(document::openapi))
        .split_for_parts();
    document::name_operations_once(&mut document);
    router
        .fallback(async || ApiError::not_found("address"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ProblemCode::BadRequest, "this address doesn't take this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::Extension(document::Document::new(&document)))
        .layer(middleware::from_fn(secure))
        .with_state(Arc::new(app))
}

/// Headers that keep browsers from doing anything clever with an answer.
async fn secure(request: Request, next: Next) -> Response {
    let over_tls = request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(headers, header::CACHE_CONTROL, "no-store");
    if over_tls {
        set(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// What a handler has set stays.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => {
                tracing::error!("the disk is full");
                let detail = "the server has no space left; nothing was stored";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, ProblemCode::StorageFull, detail)
            }
            StoreError::Database(_) | StoreError::Corrupt(_) | StoreError::File(_) | StoreError::TooNew { .. } => {
                Self::internal(error)
            }
        }
    }
}

//! The HTTP interface: `/v1`, and `/sip` on the same port.
//!
//! JSON in and out as `aftertone-sync` says, errors as RFC 9457 problem details, described by an OpenAPI 3.1 document that is
//! generated from the handlers and served at `/v1/openapi.json`.

mod account;
mod audio;
mod auth;
mod document;
mod feed;
mod greetings;
mod limit;
mod messages;
mod phone_menu;
mod problem;
mod sign_in;
mod sip;
mod socket;
mod test_call;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aftertone_model::{DeviceId, SubscriberId};
use aftertone_net::{ConnectionNumbers, Place, Places};
use aftertone_server_store::{SpoolMonitor, Store, StoreError, StoredDevice};
use aftertone_sync::{ProblemCode, Repaired};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{limit::Limiter, problem::ApiError};
use crate::{
    bells::{Doorbells, Revocations},
    listen::Peer,
    media::Greetings,
    pins::Pins,
    run::{Notice, SocketEvent},
    test_call::TestCalls,
};

/// What handlers share.
pub(crate) struct App {
    parts: Parts,
    limiter: Mutex<Limiter>,
    /// Where each device was last used from, and when that was told to the limiter.
    used: Mutex<HashMap<DeviceId, (IpAddr, Instant)>>,
    /// Argon2 takes a core and many megabytes for a while: few at once.
    hashing: Semaphore,
    /// WebSockets of those who showed no token.
    strangers: Places<IpAddr>,
    /// WebSockets of devices.
    sockets_of: Places<DeviceId>,
    /// Sound files being made greetings.
    importing: Semaphore,
}

/// A browser or a phone of another make takes one WebSocket; an office behind one address has many of them.
const STRANGERS: usize = 512;
const STRANGERS_OF_ONE: usize = 64;
/// A device takes one for calls and one for the doorbell, and may open new ones before it notices that the old are dead.
const SOCKETS_OF_DEVICE: usize = 16;
const SOCKETS: usize = 20_000;
/// So often the limiter is told where a device is used.
const TELL_USED: Duration = Duration::from_secs(3600);

/// What an [`App`] is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) domain: String,
    /// Whether people may record their calls.
    pub(crate) records_calls: bool,
    pub(crate) turn: Option<crate::turn::Turn>,
    pub(crate) bells: Arc<Doorbells>,
    pub(crate) revocations: Arc<Revocations>,
    /// To the exchange's loop.
    pub(crate) sockets: mpsc::Sender<SocketEvent>,
    /// To the bookkeeping.
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    pub(crate) numbers: ConnectionNumbers,
    pub(crate) stopping: watch::Receiver<bool>,
    /// How the recordings do.
    pub(crate) spool: SpoolMonitor,
    /// What the start had to repair.
    pub(crate) repaired: Repaired,
    /// The exchange is to know what was changed.
    pub(crate) look: mpsc::Sender<oneshot::Sender<()>>,
    /// Of the phone menu.
    pub(crate) pins: Arc<Pins>,
    /// People call themselves.
    pub(crate) test_calls: Arc<TestCalls>,
    /// What callers hear where nobody has recorded anything.
    pub(crate) greetings: Greetings,
    /// What opens the phone menu: on a device of one's own, and on any.
    pub(crate) menu_numbers: (Option<String>, Option<String>),
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            limiter: Mutex::default(),
            used: Mutex::default(),
            hashing: Semaphore::new(2),
            importing: Semaphore::new(2),
            strangers: Places::new(STRANGERS, STRANGERS_OF_ONE),
            sockets_of: Places::new(SOCKETS, SOCKETS_OF_DEVICE),
        }
    }

    /// A place for one more WebSocket of this device.
    fn place_of(&self, asking: &auth::SignedInDevice) -> Result<Place<DeviceId>, ApiError> {
        self.sockets_of.take(asking.device.id).ok_or_else(ApiError::too_many_connections)
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where an account is used from: there nobody locks its owner out.
    async fn is_used_from(&self, device: &StoredDevice, address: IpAddr) -> Result<(), StoreError> {
        let now = Instant::now();
        let known = self.used.lock().unwrap_or_else(PoisonError::into_inner).get(&device.id).copied();
        if known.is_some_and(|(at, told)| at == address && now.saturating_duration_since(told) < TELL_USED) {
            return Ok(());
        }
        let Some(subscriber) = self.store.subscriber(device.subscriber).await? else { return Ok(()) };
        self.limiter().used(address, &[subscriber.user.as_str(), subscriber.extension.as_str()], now);
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(device.id, (address, now));
        Ok(())
    }

    /// The feed of this mailbox grew: devices are told at once, lamps right after.
    fn feed_grew(&self, mailbox: SubscriberId) {
        if self.notices.send(Notice::FeedGrew(mailbox)).is_err() {
            tracing::debug!("a change after the end of the bookkeeping");
        }
    }

    /// How this person's calls are answered has changed: returns when the exchange knows it, so that the next call is
    /// answered so.
    async fn answering_changed(&self, owner: SubscriberId) {
        self.feed_grew(owner);
        self.directory_changed().await;
    }

    /// Returns when the exchange knows what the store has of people, phones and how calls are answered.
    async fn directory_changed(&self) {
        let (done, known) = oneshot::channel();
        if self.look.send(done).await.is_err() || known.await.is_err() {
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

pub(crate) use greetings::MAX_SOUND;

/// The larger bodies are forwards with a long note to many people.
const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router(app: App) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(account::health))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(account::me, account::change_me))
        .routes(routes!(account::mailbox))
        .routes(routes!(phone_menu::phone_menu, phone_menu::change_phone_menu))
        .routes(routes!(phone_menu::set_pin, phone_menu::remove_pin))
        .routes(routes!(test_call::test_call, test_call::start_test_call))
        .routes(routes!(test_call::test_call_greeting))
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
        .routes(routes!(messages::report_figures))
        .routes(routes!(greetings::list))
        .routes(routes!(greetings::put, greetings::remove))
        .routes(routes!(greetings::audio, greetings::put_audio))
        .routes(routes!(greetings::account_greeting))
        .routes(routes!(greetings::plan, greetings::put_plan))
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
            error if error.is_full() => {
                tracing::error!("the disk is full");
                let detail = "the server has no space left; nothing was stored";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, ProblemCode::StorageFull, detail)
            }
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_full_wherever_it_is_met() {
        let status = |kind| ApiError::from(StoreError::File(io::Error::from(kind))).into_response().status();
        assert_eq!(status(io::ErrorKind::StorageFull), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(status(io::ErrorKind::QuotaExceeded), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(status(io::ErrorKind::PermissionDenied), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

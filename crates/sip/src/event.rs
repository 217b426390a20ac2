//! What goes into a user agent and what comes out of it, as data.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::digest::Credentials;
use crate::flow::{ConnectionId, Flow};
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::refer::ReferTo;
use crate::uri::{NameAddr, Uri};

/// An INVITE session, from either side. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A request of ours outside sessions. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request that waits for [`UserAgent::respond`](crate::UserAgent::respond). Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub u64);

/// A subscription that somebody holds with us. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// A REFER, ours or the peer's. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferralId(pub u64);

/// A subscription that we hold with somebody. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// How a user agent behaves.
#[derive(Debug, Clone)]
pub struct UaConfig {
    /// For User-Agent and Server, such as `Aftertone/0.1`.
    pub product: String,
    /// From the system's random numbers; all tags, branches, Call-IDs and client nonces come of it.
    pub seed: [u8; 32],
    /// Extensions named in Supported and tolerated in Require. `100rel` makes provisional responses reliable in both
    /// roles (RFC 3262), all inside. Whoever names `replaces` must look at `Event::Incoming::replaces`.
    pub supported: Vec<String>,
    /// Whether REFER is taken: `Event::Referred`, and `Event::Request` outside of sessions. Otherwise it is refused inside.
    pub takes_refer: bool,
    /// Whether MESSAGE is taken in sessions: `Event::Message`. Otherwise it is refused inside.
    pub takes_texts: bool,
    /// The session interval that is asked for and the largest that is granted, in seconds (RFC 4028); `None`: only
    /// the peer's wishes are followed. At least 90.
    pub session_expires: Option<u32>,
    /// The shortest session interval that is granted, in seconds; wishes below get 422 (RFC 4028). At least 90.
    pub min_session_expires: u32,
    /// The longest duration that a refresh of a subscription is granted, in seconds, whatever it had at first (RFC 6665 4.2.1.1).
    pub max_subscription_expires: u32,
    /// How much the requests that are being served, and their answers, may take of the memory, in bytes. A new request
    /// beyond that outside of dialogs is answered with 503 and not remembered.
    pub max_served_bytes: usize,
    /// RFC 3261's T1, T2 and T4; only tests change them.
    pub timers: Timers,
}

impl UaConfig {
    /// The usual behaviour.
    #[must_use]
    pub fn new(product: impl Into<String>, seed: [u8; 32]) -> Self {
        Self {
            product: product.into(),
            seed,
            supported: ["timer", "100rel", "norefersub"].map(str::to_owned).to_vec(),
            takes_refer: false,
            takes_texts: false,
            session_expires: Some(1800),
            min_session_expires: 90,
            max_subscription_expires: 3600,
            max_served_bytes: 256 << 20,
            timers: Timers::default(),
        }
    }
}

/// RFC 3261 17.1.1.1 and its table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// An estimate of the round-trip time, 500 ms.
    pub t1: Duration,
    /// The longest interval between retransmissions, 4 s.
    pub t2: Duration,
    /// The longest life of a message in the network, 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// A body and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The value of Content-Type.
    pub content_type: String,
    /// The content.
    pub data: Vec<u8>,
}

impl Body {
    /// A body.
    #[must_use]
    pub fn new(content_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), data: data.into() }
    }

    /// Whether it is a session description.
    #[must_use]
    pub fn is_sdp(&self) -> bool {
        self.content_type.trim().to_ascii_lowercase().starts_with("application/sdp")
    }

    /// A session description.
    #[must_use]
    pub fn sdp(sdp: impl Into<String>) -> Self {
        Self::new("application/sdp", sdp.into().into_bytes())
    }
}

/// A request outside INVITE sessions. Via, From's tag, CSeq, Max-Forwards and User-Agent are added.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// REGISTER, MESSAGE, OPTIONS, SUBSCRIBE, NOTIFY, …
    pub method: Method,
    /// The Request-URI; for REGISTER the domain without a user.
    pub uri: Uri,
    /// Our address; gets a tag unless it has one.
    pub from: NameAddr,
    /// The other's address; with a tag the request is inside a dialog that the caller keeps.
    pub to: NameAddr,
    /// `None`: a new one. Registrations keep theirs (RFC 3261 10.2.4). CSeq numbers grow over all requests of a user agent.
    pub call_id: Option<String>,
    /// Contact, Expires, Event, Route, …
    pub headers: Headers,
    /// The body.
    pub body: Option<Body>,
}

impl OutgoingRequest {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, uri: Uri, from: NameAddr, to: NameAddr) -> Self {
        Self { method, uri, from, to, call_id: None, headers: Headers::new(), body: None }
    }
}

/// A call that we make.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The Request-URI.
    pub uri: Uri,
    /// Our address; gets a tag.
    pub from: NameAddr,
    /// The other's address.
    pub to: NameAddr,
    /// Where we can be reached in the dialog.
    pub contact: NameAddr,
    /// Further headers: Route, Diversion, Max-Forwards, …
    pub headers: Headers,
    /// The offer; `None`: the peer makes it, and [`UserAgent::acknowledge`](crate::UserAgent::acknowledge) answers.
    pub sdp: Option<String>,
    /// For 401 and 407, also of later requests in the dialog.
    pub credentials: Option<Credentials>,
}

/// A subscription of ours (RFC 6665).
#[derive(Debug, Clone)]
pub struct Watch {
    /// The Request-URI.
    pub uri: Uri,
    /// Our address; gets a tag.
    pub from: NameAddr,
    /// Whose state.
    pub to: NameAddr,
    /// Where NOTIFY reaches us.
    pub contact: NameAddr,
    /// The event package, such as `message-summary`.
    pub event: String,
    /// The media types that we can read; empty: the package's own.
    pub accept: Vec<String>,
    /// The duration that is asked for, in seconds.
    pub expires: u32,
    /// Route and the like.
    pub headers: Headers,
    /// For 401 and 407.
    pub credentials: Option<Credentials>,
}

/// A response of ours to a request outside sessions. Via, From, To with a tag, Call-ID, CSeq and Server are added.
#[derive(Debug, Clone)]
pub struct ResponseParts {
    /// 100 to 699. A final one ends the transaction.
    pub status: u16,
    /// `None`: the usual phrase.
    pub reason: Option<String>,
    /// Contact, WWW-Authenticate, …
    pub headers: Headers,
    /// The body.
    pub body: Option<Body>,
}

impl ResponseParts {
    /// A response without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, reason: None, headers: Headers::new(), body: None }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push(name, value);
        self
    }
}

/// What [`UserAgent::poll_output`](crate::UserAgent::poll_output) gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing more for now. Call [`UserAgent::handle_timeout`](crate::UserAgent::handle_timeout) at that time at the latest.
    Timeout(Option<Instant>),
    /// Bytes to send: one datagram, one WebSocket message, or a piece of a stream.
    Transmit {
        /// Where to.
        flow: Flow,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something the caller must know.
    Event(Event),
}

/// What happened.
///
/// A session tells of its end once: by `Rejected`, `Cancelled` or `Ended`. After the caller's own `reject`,
/// `cancel` or `hang_up` nothing more is told of it, whatever the peer still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody calls. 100 is sent if nothing else is within 200 ms. Goes on with `ring`, `accept`, `reject` or `hang_up`.
    Incoming {
        /// The new session.
        session: SessionId,
        /// The INVITE; its offer, if any, is [`Request::sdp`].
        request: Request,
        /// Where it came from.
        flow: Flow,
        /// The session that this one takes the place of (RFC 3891): accept this one, then hang up that one. An INVITE
        /// whose Replaces fits no session is refused inside. Always `None` unless `replaces` is supported.
        replaces: Option<SessionId>,
    },
    /// Our INVITE got a provisional response above 100. With forking each branch tells its own.
    Progress {
        /// Which session.
        session: SessionId,
        /// The response.
        response: Response,
    },
    /// Our INVITE without an offer got one in a reliable provisional response (RFC 3262 5): `acknowledge` must follow.
    EarlyOffered {
        /// Which session.
        session: SessionId,
        /// The peer's description.
        sdp: String,
    },
    /// Our INVITE was answered. ACK is sent, except for a late offer.
    Answered {
        /// Which session.
        session: SessionId,
        /// The 2xx.
        response: Response,
        /// The peer's description: its answer, or what it has offered since in a `Reinvited`.
        sdp: Option<String>,
        /// Our INVITE had no offer, so `sdp` is one: `acknowledge` must follow.
        late_offer: bool,
    },
    /// The caller got our 2xx and sent ACK.
    Confirmed {
        /// Which session.
        session: SessionId,
        /// The answer, if the INVITE had no offer.
        sdp: Option<String>,
    },
    /// Our INVITE failed.
    Rejected {
        /// Which session; it is over.
        session: SessionId,
        /// Why.
        failure: RequestFailure,
    },
    /// The caller gave up before we answered. 487 is sent.
    Cancelled {
        /// Which session; it is over.
        session: SessionId,
        /// The headers of CANCEL, for its Reason.
        headers: Headers,
    },
    /// An established session is over, or one whose caller's connection went away.
    Ended {
        /// Which session.
        session: SessionId,
        /// Who or what ended it.
        by: EndedBy,
        /// The headers of BYE; empty otherwise.
        headers: Headers,
    },
    /// The peer wants to change the session, by INVITE or UPDATE: by UPDATE or PRACK even before the call is answered, once both
    /// sides have described themselves reliably (RFC 3311 5.1, RFC 3262 5). `accept_reinvite` or `reject_reinvite` must follow.
    Reinvited {
        /// Which session.
        session: SessionId,
        /// The offer; `None`: our `accept_reinvite` makes it, the answer comes as `ReinviteConfirmed`.
        sdp: Option<String>,
        /// Which branch of a call of ours that nobody has answered yet: the tag in `To` of its responses.
        branch: Option<String>,
    },
    /// The peer's ACK to our 2xx to its re-INVITE.
    ReinviteConfirmed {
        /// Which session.
        session: SessionId,
        /// The answer, if we had made the offer.
        sdp: Option<String>,
    },
    /// Our re-INVITE was answered, or refused. Glare (491) and digest are handled inside.
    ReinviteAnswered {
        /// Which session; it goes on as before if refused.
        session: SessionId,
        /// The answer.
        result: Result<String, RequestFailure>,
    },
    /// The peer of a session tells who it is now, by P-Asserted-Identity or Remote-Party-ID: in UPDATE without an offer,
    /// already answered 200, or in a request whose offer the next `Reinvited` tells.
    Updated {
        /// Which session.
        session: SessionId,
        /// The request.
        request: Request,
    },
    /// The peer of a session wants us to call somebody else (RFC 3515): `accept_referral`, or `respond` with a refusal.
    Referred {
        /// Which session.
        session: SessionId,
        /// For the response.
        id: IncomingId,
        /// Whom.
        refer_to: Box<ReferTo>,
        /// The request, for Referred-By and the like.
        request: Request,
    },
    /// News of a REFER of ours: 202 when the peer took it, then the status of its call, each time below 200.
    ReferProgress {
        /// Which REFER.
        referral: ReferralId,
        /// The status.
        status: u16,
    },
    /// The end of a REFER of ours. The session is not ended by it.
    ReferEnded {
        /// Which REFER; it is over.
        referral: ReferralId,
        /// What came of it.
        end: ReferEnd,
    },
    /// A NOTIFY of a subscription of ours, already answered 200.
    Notified {
        /// Which subscription.
        watch: WatchId,
        /// The request: the state in its body.
        request: Request,
    },
    /// A subscription of ours is over, and not by `unwatch`. Refreshes, and new attempts after failures that may pass, are
    /// made inside.
    Unwatched {
        /// Which; it is over.
        watch: WatchId,
        /// Why.
        by: UnwatchedBy,
    },
    /// INFO in a session; already answered 200.
    Info {
        /// Which session.
        session: SessionId,
        /// The request.
        request: Request,
    },
    /// A text in a session (RFC 3428): `respond` must follow.
    Message {
        /// Which session.
        session: SessionId,
        /// For the response.
        id: IncomingId,
        /// The request.
        request: Request,
    },
    /// A request outside sessions: SUBSCRIBE, REGISTER, MESSAGE, OPTIONS, NOTIFY, … `respond` (or `accept_subscription`) must follow.
    Request {
        /// For the response.
        id: IncomingId,
        /// The request.
        request: Request,
        /// Where it came from.
        flow: Flow,
    },
    /// The final response to a request of ours outside sessions.
    Response {
        /// Which request; it is over.
        id: RequestId,
        /// A 2xx, or why not.
        result: Result<Response, RequestFailure>,
    },
    /// A subscription was refreshed; the last state has been sent again.
    Resubscribed {
        /// Which.
        subscription: SubscriptionId,
        /// Its new duration in seconds.
        expires: u32,
    },
    /// A subscription ended other than by `terminate_subscription`. The last NOTIFY is sent.
    Unsubscribed {
        /// Which; it is over.
        subscription: SubscriptionId,
        /// Why.
        by: UnsubscribedBy,
    },
    /// The TCP connection is gone that requests came over which are not answered yet: open another one to `remote`
    /// (RFC 3261 18.2.2), or to where `name` leads if nobody is there. [`UserAgent::handle_reopened`](crate::UserAgent::handle_reopened) must follow; their answers wait for it.
    Reopen {
        /// The one that is gone.
        closed: ConnectionId,
        /// Where to: from where they came, at the port that Via gives.
        remote: SocketAddr,
        /// The host that Via names, if it is a name (RFC 3263 5). Follow it for peers that are believed alone: a request could
        /// name a victim.
        name: Option<Uri>,
    },
    /// A peer on a connection sends what can't be framed; the caller should close it. Further bytes of it are ignored.
    Unframeable {
        /// Which.
        connection: ConnectionId,
    },
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFailure {
    /// A final response of 300 or above; 401 and 407 if the credentials were missing or refused.
    Refused(Box<Response>),
    /// No final response in time.
    Timeout,
    /// The connection is gone.
    Transport,
}

impl RequestFailure {
    /// The status; 408 for a timeout and 503 for a lost connection (RFC 3261 8.1.3.1).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused(response) => response.status,
            Self::Timeout => 408,
            Self::Transport => 503,
        }
    }
}

/// What came of a REFER of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferEnd {
    /// The peer's call ended its setup with that status: 200 to 299 is a transfer that worked.
    Final(u16),
    /// The peer did not take the REFER.
    Refused(RequestFailure),
    /// The peer took it and never told the end.
    Unknown,
}

/// What ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The peer, by BYE.
    Remote,
    /// The peer fell silent: no ACK, or the session timer lapsed (RFC 4028), or it answered 408 or 481. BYE is sent.
    Timeout,
    /// Its connection went away and no new one took its place for 64*T1.
    Transport,
}

/// What ended a subscription of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnwatchedBy {
    /// SUBSCRIBE was refused for good, or its connection is gone: subscribe anew over another one.
    Failure(RequestFailure),
    /// The notifier ended it for good: `rejected`, `noresource` or `invariant` (RFC 6665 4.1.3).
    Notifier(String),
}

/// What ended a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsubscribedBy {
    /// The subscriber, by Expires: 0.
    Remote,
    /// Its time was over.
    Expired,
    /// A NOTIFY could not be delivered, or was answered 481 or similarly.
    Failed,
}

/// The state of a subscription in NOTIFY (RFC 6665 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// State is told.
    Active,
    /// The right to it is still open.
    Pending,
}

/// How much a user agent holds, for tests and for health reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// INVITE sessions, also those that wait for ACK after `hang_up`.
    pub sessions: usize,
    /// Subscriptions at us.
    pub subscriptions: usize,
    /// Our subscriptions at others.
    pub watches: usize,
    /// Transfers under way, of either side.
    pub referrals: usize,
    /// Our open requests outside sessions.
    pub requests: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Connections with a piece of a message.
    pub partial_messages: usize,
    /// Running timers.
    pub timers: usize,
}

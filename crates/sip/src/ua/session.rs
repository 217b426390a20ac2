use std::collections::BTreeMap;
use std::time::Duration;

use super::core::{Core, Farewell};
use super::dialog::Dialog;
use super::reliable::{Early, Reliable};
use crate::digest::{Authorizer, Challenged};
use crate::event::{Body, SessionId};
use crate::flow::Flow;
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::TxId;
use crate::uri::Uri;

/// An INVITE session.
///
/// ```text
///  invite --> Calling --2xx--> [Unacknowledged --acknowledge-->] Established --BYE--> gone
///                 \--300-699, timeout, cancel--> gone
///  INVITE --> Ringing --accept--> Established (awaiting ACK) --ACK--> Established --BYE--> gone
///                 \--reject, CANCEL--> gone
/// ```
///
/// What is left to do for a session that is gone (ACK again, BYE and its challenge, CANCEL) the transactions know.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) authorizer: Option<Authorizer>,
    pub(crate) phase: Phase,
}

#[derive(Debug)]
pub(crate) enum Phase {
    Calling(Box<Calling>),
    /// The 2xx carried an offer that is not answered yet.
    Unacknowledged {
        tx: TxId,
        dialog: Box<Dialog>,
        response: Box<Response>,
    },
    Ringing(Box<Ringing>),
    Established(Box<Established>),
}

/// We called.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) tx: TxId,
    /// Without Via, to be sent again after a challenge.
    pub(crate) request: Request,
    pub(crate) flow: Flow,
    pub(crate) challenged: Challenged,
    pub(crate) has_offer: bool,
    /// The branches that ring, by tag.
    pub(crate) early: BTreeMap<String, Early>,
    /// The UPDATE that waits for our answer, and the tag of its branch.
    pub(crate) change: Option<(TxId, String)>,
}

/// Somebody calls us.
#[derive(Debug)]
pub(crate) struct Ringing {
    pub(crate) tx: TxId,
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// The number of the peer's last request.
    pub(crate) remote_cseq: u32,
    pub(crate) source: Flow,
    pub(crate) user: String,
    pub(crate) has_offer: bool,
    pub(crate) reliable: Reliable,
    /// The UPDATE that waits for our answer.
    pub(crate) change: Option<TxId>,
    /// Where the peer has moved to since its INVITE.
    pub(crate) target: Option<Uri>,
}

#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) dialog: Dialog,
    pub(crate) awaiting: Option<AwaitingAck>,
    /// `hang_up` came before ACK: BYE has to wait for it (RFC 3261 15), nobody is told of anything any more.
    pub(crate) ending: Option<Headers>,
    pub(crate) change: Change,
    /// A `reinvite` or `update` that waits for its turn.
    pub(crate) wanted: Option<Offer>,
    pub(crate) local_sdp: String,
    pub(crate) remote_sdp: Option<String>,
    /// The peer named UPDATE in Allow.
    pub(crate) knows_update: bool,
    /// Whether we made up the Call-ID, which decides who waits longer after 491.
    pub(crate) is_caller: bool,
    pub(crate) interval: Option<Interval>,
    /// RSeq of the last reliable response before the answer.
    pub(crate) last_reliable: u32,
}

/// Our 2xx, until ACK comes.
#[derive(Debug)]
pub(crate) struct AwaitingAck {
    pub(crate) number: u32,
    pub(crate) flow: Flow,
    pub(crate) bytes: Vec<u8>,
    pub(crate) pause: Duration,
    pub(crate) is_initial: bool,
    /// The 2xx carried the offer, so ACK carries the answer.
    pub(crate) expects_answer: bool,
    /// PRACK carried it.
    pub(crate) early_answer: Option<String>,
}

/// A change of an established session; one at a time (RFC 3261 14).
#[derive(Debug)]
pub(crate) enum Change {
    None,
    Ours(TxId, Offer),
    /// Ours got 491 and waits.
    Glared(Offer),
    Theirs {
        tx: TxId,
        is_update: bool,
        has_offer: bool,
    },
}

impl Change {
    /// An UPDATE that came before the answer, and is not answered yet.
    pub(crate) fn early(update: Option<TxId>) -> Self {
        update.map_or(Self::None, |tx| Self::Theirs { tx, is_update: true, has_offer: true })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) sdp: String,
    /// What else it tells.
    pub(crate) headers: Headers,
    pub(crate) challenged: Challenged,
    /// Nobody asked for it but the session timer.
    pub(crate) is_refresh: bool,
    /// By UPDATE, if the peer knows it.
    pub(crate) is_update: bool,
}

impl Offer {
    pub(crate) fn new(sdp: String) -> Self {
        Self { sdp, headers: Headers::new(), challenged: Challenged::default(), is_refresh: false, is_update: false }
    }
}

/// What was agreed on keeping the session alive (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) seconds: u32,
    pub(crate) we_refresh: bool,
}

impl Session {
    pub(crate) fn established(&self) -> Option<&Established> {
        match &self.phase {
            Phase::Established(established) => Some(established),
            Phase::Calling(_) | Phase::Unacknowledged { .. } | Phase::Ringing(_) => None,
        }
    }

    pub(crate) fn established_mut(&mut self) -> Option<&mut Established> {
        match &mut self.phase {
            Phase::Established(established) => Some(established),
            Phase::Calling(_) | Phase::Unacknowledged { .. } | Phase::Ringing(_) => None,
        }
    }

    pub(crate) fn flow(&self) -> Flow {
        match &self.phase {
            Phase::Calling(calling) => calling.flow,
            Phase::Unacknowledged { dialog, .. } => dialog.next_hop(),
            Phase::Ringing(ringing) => ringing.source,
            Phase::Established(established) => established.dialog.next_hop(),
        }
    }

    /// Call-ID and our tag, by which requests in the dialog are found.
    pub(crate) fn key(&self) -> (String, String) {
        let of_dialog = |dialog: &Dialog| (dialog.call_id.clone(), dialog.local.tag().unwrap_or_default().to_owned());
        match &self.phase {
            Phase::Calling(calling) => request_key(&calling.request),
            Phase::Unacknowledged { dialog, .. } => of_dialog(dialog),
            Phase::Ringing(ringing) => (ringing.call_id.clone(), ringing.local_tag.clone()),
            Phase::Established(established) => of_dialog(&established.dialog),
        }
    }
}

/// Call-ID and From's tag of a request of ours.
pub(crate) fn request_key(request: &Request) -> (String, String) {
    let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned));
    (request.headers.call_id().unwrap_or_default().to_owned(), tag.unwrap_or_default())
}

impl Established {
    pub(crate) fn new(dialog: Dialog, is_caller: bool, local_sdp: String, remote_sdp: Option<String>, peer: &Headers) -> Self {
        Self {
            dialog,
            awaiting: None,
            ending: None,
            change: Change::None,
            wanted: None,
            local_sdp,
            remote_sdp,
            knows_update: peer.lists("Allow", "UPDATE"),
            is_caller,
            interval: None,
            last_reliable: 0,
        }
    }

    pub(crate) fn farewell(self, authorizer: Option<Authorizer>, headers: Headers) -> Farewell {
        Farewell { dialog: self.dialog, authorizer, headers, challenged: Challenged::default() }
    }

    /// A request in the dialog with our description.
    pub(crate) fn offer_request(&self, offer: &Offer) -> Request {
        let by_update = offer.is_update && self.knows_update;
        let mut request = self.dialog.request(if by_update { Method::Update } else { Method::Invite });
        request.headers.extend(offer.headers.clone());
        super::core::set_body(&mut request.headers, &mut request.body, Body::sdp(offer.sdp.as_str()));
        request
    }
}

/// Starts the timers of RFC 4028 10 anew, as after each request that refreshed the session.
pub(crate) fn run_interval(core: &mut Core, id: SessionId, interval: Option<Interval>, now: std::time::Instant) {
    let timers = &mut core.wire.timers;
    timers.stop(TimerKey::Refresh(id));
    timers.stop(TimerKey::Lapse(id));
    let Some(Interval { seconds, we_refresh }) = interval else { return };
    let whole = Duration::from_secs(u64::from(seconds));
    if we_refresh {
        timers.set(TimerKey::Refresh(id), now + whole / 2);
        timers.set(TimerKey::Lapse(id), now + whole);
    } else {
        // RFC 4028 10: BYE somewhat before the end.
        timers.set(TimerKey::Lapse(id), now + whole - (whole / 3).min(Duration::from_secs(32)));
    }
}

pub(crate) fn stop_all(core: &mut Core, id: SessionId) {
    let early = [TimerKey::Progress, TimerKey::NoPrack];
    let keys = [TimerKey::Answer, TimerKey::NoAck, TimerKey::Glare, TimerKey::Refresh, TimerKey::Lapse, TimerKey::Detached];
    for key in early.into_iter().chain(keys) {
        core.wire.timers.stop(key(id));
    }
}

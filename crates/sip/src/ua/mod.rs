//! The user agent: transactions below, sessions and subscriptions above, one queue of output.

mod callee;
mod caller;
mod change;
mod core;
mod dialog;
mod early;
mod established;
mod incoming;
mod interval;
mod referrals;
mod reliable;
mod replaced;
mod requests;
mod session;
mod subscriptions;
mod watches;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use self::core::{Core, Owner};
use self::referrals::Referral;
use self::requests::{AuthorizerKey, Pending};
use self::session::Session;
use self::subscriptions::Subscription;
use self::watches::Watching;
use crate::digest::{Authorizer, Credentials};
use crate::event::{
    Body, Counts, EndedBy, Event, IncomingId, Invite, OutgoingRequest, Output, ReferralId, RequestId, ResponseParts, SessionId,
    SubscriptionId, SubscriptionState, UaConfig, Watch, WatchId,
};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Headers, Request, StreamBuffer};
use crate::refer::{Refer, Replaces};
use crate::timers::TimerKey;
use crate::transaction::{ClientOutcome, TxId};
use crate::uri::NameAddr;

/// A SIP user agent, sans-IO. After each call of a `&mut` method, drain [`UserAgent::poll_output`] until it gives `Timeout`.
///
/// Commands for a session, request or subscription that is over do nothing: it may have ended a moment before.
#[derive(Debug)]
pub struct UserAgent {
    core: Core,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that nobody answered yet, by their INVITE.
    ringing: BTreeMap<TxId, SessionId>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    requests: BTreeMap<RequestId, Pending>,
    referrals: BTreeMap<ReferralId, Referral>,
    watches: BTreeMap<WatchId, Watching>,
    /// By Call-ID and our tag.
    dialogs: BTreeMap<(String, String), DialogOwner>,
    streams: BTreeMap<ConnectionId, StreamBuffer>,
    authorizers: BTreeMap<AuthorizerKey, Authorizer>,
}

/// Whose the requests of a dialog are.
#[derive(Debug, Clone, Copy)]
enum DialogOwner {
    Session(SessionId),
    Subscription(SubscriptionId),
    Watch(WatchId),
    /// Transfers that were asked in a session that is gone, or in none.
    Remains,
}

impl UserAgent {
    /// A user agent without any state.
    #[must_use]
    pub fn new(config: UaConfig) -> Self {
        Self {
            core: Core::new(config),
            sessions: BTreeMap::new(),
            ringing: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            requests: BTreeMap::new(),
            referrals: BTreeMap::new(),
            watches: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            streams: BTreeMap::new(),
            authorizers: BTreeMap::new(),
        }
    }

    /// A datagram, a WebSocket message or a piece of a stream came in. Keepalives (RFC 5626 3.5.1) are answered.
    pub fn handle_received(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        if flow.transport.is_stream() {
            self.stream_received(flow, bytes, now);
        } else {
            self.packet_received(flow, bytes, now);
        }
    }

    /// A connection was opened by us. The peer is asked to use it for its own requests, too (RFC 5923): whatever stands in between
    /// lets nothing in.
    pub fn opened(&mut self, connection: ConnectionId) {
        self.core.opened.insert(connection);
    }

    /// A connection is gone: transactions of ours over it fail at once; sessions over it end after 64*T1 unless the peer
    /// comes back on another connection, or [`UserAgent::move_session`] is called. Sessions not yet answered end at once, but
    /// for calls that came over TCP: see `Event::Reopen`.
    pub fn handle_closed(&mut self, connection: ConnectionId, now: Instant) {
        self.streams.remove(&connection);
        self.core.opened.remove(&connection);
        for (remote, name) in self.core.servers.handle_closed(connection, &mut self.core.wire) {
            self.core.emit(Event::Reopen { closed: connection, remote, name });
        }
        for outcome in self.core.clients.handle_closed(connection, &mut self.core.wire) {
            self.client_outcome(outcome, now);
        }
        self.sessions_closed(connection, now);
        self.subscriptions_closed(connection);
        self.watches_closed(connection);
    }

    /// What became of an `Event::Reopen`: the new connection, or `None` if there is none, which ends what waited for it.
    pub fn handle_reopened(&mut self, closed: ConnectionId, remote: SocketAddr, flow: Option<Flow>, now: Instant) {
        self.core.opened.extend(flow.and_then(|flow| flow.connection));
        self.reopened(closed, remote, flow, now);
    }

    /// The time that `Output::Timeout` told has come. Calling it too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.core.wire.timers.pop_due(now) {
            self.timer_due(key, now);
        }
    }

    /// What is to be done next, until it gives `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        self.core.wire.out.pop_front().unwrap_or_else(|| Output::Timeout(self.core.wire.timers.next()))
    }

    /// Sends a request outside INVITE sessions; `Event::Response` tells the end. Digest is answered if credentials are given.
    pub fn request(&mut self, request: OutgoingRequest, flow: Flow, credentials: Option<Credentials>, now: Instant) -> RequestId {
        self.start_request(request, flow, credentials, now)
    }

    /// Answers an `Event::Request`.
    pub fn respond(&mut self, id: IncomingId, response: ResponseParts, now: Instant) {
        self.core.respond(TxId(id.0), response, now);
    }

    /// Calls somebody.
    pub fn invite(&mut self, invite: Invite, flow: Flow, now: Instant) -> SessionId {
        self.start_call(invite, flow, now)
    }

    /// 180 to the caller. A Contact is added unless `headers` has one.
    pub fn ring(&mut self, session: SessionId, headers: Headers, now: Instant) {
        self.send_progress(session, ResponseParts { headers, ..ResponseParts::new(180) }, now);
    }

    /// Another provisional response, such as 181, 182 or 183 with a description.
    pub fn progress(&mut self, session: SessionId, response: ResponseParts, now: Instant) {
        self.send_progress(session, response, now);
    }

    /// 200 to the caller, repeated until ACK. `sdp` answers the INVITE's offer, or is the offer if it had none.
    pub fn accept(&mut self, session: SessionId, contact: NameAddr, sdp: String, headers: Headers, now: Instant) {
        self.answer(session, contact, sdp, headers, now);
    }

    /// A final response of 300 or above to the caller; the session is over.
    pub fn reject(&mut self, session: SessionId, status: u16, headers: Headers, now: Instant) {
        self.refuse_call(session, ResponseParts { headers, ..ResponseParts::new(status.clamp(300, 699)) }, now);
    }

    /// Gives up a call that was not answered yet (with `headers` such as Reason in CANCEL); an answer that crosses
    /// gets ACK and BYE. In any other state the same as `hang_up`. The session is over for the caller of this.
    pub fn cancel(&mut self, session: SessionId, headers: Headers, now: Instant) {
        self.end_quietly(session, headers, now);
    }

    /// Ends a session in whatever state: CANCEL, 603, or BYE (after ACK). The session is over for the caller of this.
    pub fn hang_up(&mut self, session: SessionId, headers: Headers, now: Instant) {
        self.end_quietly(session, headers, now);
    }

    /// Answers a late offer: ACK with `sdp` (see `Event::Answered`), or PRACK (see `Event::EarlyOffered`).
    pub fn acknowledge(&mut self, session: SessionId, sdp: String, now: Instant) {
        self.answer_late_offer(session, sdp, now);
    }

    /// Offers a change of an established session. While another change is under way it waits for that one to end;
    /// a second call while waiting replaces the first.
    pub fn reinvite(&mut self, session: SessionId, sdp: String, now: Instant) {
        self.want_offer(session, sdp, now);
    }

    /// 200 to an `Event::Reinvited`: `sdp` is the answer, or the offer if it brought none.
    pub fn accept_reinvite(&mut self, session: SessionId, sdp: String, now: Instant) {
        self.accept_change(session, sdp, now);
    }

    /// A refusal, such as 488, of an `Event::Reinvited`; the session goes on as before.
    pub fn reject_reinvite(&mut self, session: SessionId, status: u16, now: Instant) {
        self.refuse_change(session, status.clamp(300, 699), now);
    }

    /// INFO in an established session, such as DTMF of `application/dtmf-relay`. Nothing is told of its response.
    pub fn info(&mut self, session: SessionId, body: Body, now: Instant) {
        self.send_info(session, body, now);
    }

    /// MESSAGE in an established session (RFC 3428), with `headers` such as Max-Forwards; `Event::Response` tells the end.
    /// `None` if the session isn't established.
    pub fn message(&mut self, session: SessionId, body: Body, headers: Headers, now: Instant) -> Option<RequestId> {
        self.send_text(session, body, headers, now)
    }

    /// Offers a change of an established session by UPDATE (RFC 3311), or by INVITE if the peer does not know UPDATE.
    /// Otherwise as `reinvite`. Without `sdp` it only tells `headers`, such as P-Asserted-Identity after a transfer, with what was
    /// described last if it has to be an INVITE; nothing is told of its end.
    pub fn update(&mut self, session: SessionId, sdp: Option<String>, headers: Headers, now: Instant) {
        self.want_update(session, sdp, headers, now);
    }

    /// Asks the peer of an established session to call somebody else (RFC 3515): a blind transfer, or with
    /// [`ReferTo::with_replaces`](crate::ReferTo::with_replaces) an attended one. `Event::ReferProgress` and
    /// `Event::ReferEnded` tell the rest, also after the session is over; hang up when it worked.
    pub fn refer(&mut self, session: SessionId, refer: Refer, now: Instant) -> ReferralId {
        self.send_refer(session, refer, now)
    }

    /// 202 to an `Event::Referred`, or to a REFER that came as `Event::Request`; the peer is told 100. `report_referral`
    /// must follow, at last with a final status. `None` if that request is no longer open. The session goes on; most
    /// peers hang up when they hear 200.
    pub fn accept_referral(&mut self, id: IncomingId, now: Instant) -> Option<ReferralId> {
        self.begin_referral(id, now)
    }

    /// Tells whoever sent a REFER how the call goes that it asked for: 180, 200, 486, … A final status ends it.
    /// After five minutes without one the peer is told that nothing more will come.
    pub fn report_referral(&mut self, referral: ReferralId, status: u16, now: Instant) {
        self.report(referral, status.clamp(100, 699), now);
    }

    /// The session that a Replaces means (RFC 3891): of an INVITE, or of a Refer-To that points at a call of our own.
    #[must_use]
    pub fn replaced(&self, replaces: &Replaces) -> Option<SessionId> {
        self.session_replaced(replaces)
    }

    /// What to write into a Refer-To or an INVITE so that the peer of this session gives it up for the new call;
    /// `None` if it has no dialog yet.
    #[must_use]
    pub fn replaces(&self, session: SessionId) -> Option<Replaces> {
        self.replaces_of(session)
    }

    /// The session's requests go over `flow` from now on, and `contact` (if given) is told with the next re-INVITE:
    /// after a change of network or a new connection.
    pub fn move_session(&mut self, session: SessionId, flow: Flow, contact: Option<NameAddr>) {
        self.session_moves(session, flow, contact);
    }

    /// 200 to a SUBSCRIBE that came as `Event::Request`, for `expires` seconds. A `notify` must follow at once (RFC 6665 4.2.1.2).
    /// Refreshes and ends are handled inside; a refresh may get more, up to `UaConfig::max_subscription_expires`. `None` if that request is no longer open or was no SUBSCRIBE.
    pub fn accept_subscription(
        &mut self,
        id: IncomingId,
        contact: NameAddr,
        expires: u32,
        now: Instant,
    ) -> Option<SubscriptionId> {
        self.begin_subscription(id, contact, expires, now)
    }

    /// Tells a subscriber the state. If a NOTIFY is under way, the newest state follows when it is answered.
    pub fn notify(&mut self, subscription: SubscriptionId, state: SubscriptionState, body: Option<Body>, now: Instant) {
        self.tell(subscription, (state, body), true, now);
    }

    /// The same for a body that is good once, such as one of what has changed or with a number of its own. After a refresh
    /// (`Event::Resubscribed`) the whole state is to be told by another call.
    pub fn notify_once(&mut self, subscription: SubscriptionId, state: SubscriptionState, body: Body, now: Instant) {
        self.tell(subscription, (state, Some(body)), false, now);
    }

    /// Whether every NOTIFY has been answered. If not, what is told now may take the place of what still waits.
    #[must_use]
    pub fn is_told(&self, subscription: SubscriptionId) -> bool {
        self.has_heard_all(subscription)
    }

    /// Ends a subscription with a last NOTIFY; `reason` as in RFC 6665 4.1.3, such as `noresource` or `deactivated`.
    pub fn terminate_subscription(&mut self, subscription: SubscriptionId, reason: &str, now: Instant) {
        self.close_subscription(subscription, reason, now);
    }

    /// Subscribes to a state of somebody's (RFC 6665). Refreshes, digest, 423, a notifier that forgot us, and new attempts
    /// with growing pauses are handled inside. `Event::Notified` tells each state, `Event::Unwatched` the end.
    pub fn watch(&mut self, watch: Watch, flow: Flow, now: Instant) -> WatchId {
        self.begin_watch(watch, flow, now)
    }

    /// Ends a subscription of ours. Nothing is told of it afterwards.
    pub fn unwatch(&mut self, watch: WatchId, now: Instant) {
        self.end_watch(watch, now);
    }

    /// Where requests of a session go now; `None` if it is over.
    #[must_use]
    pub fn session_flow(&self, session: SessionId) -> Option<Flow> {
        self.sessions.get(&session).map(Session::flow)
    }

    /// How much is held.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            subscriptions: self.subscriptions.len(),
            watches: self.watches.len(),
            referrals: self.referrals.len(),
            requests: self.requests.len(),
            client_transactions: self.core.clients.len(),
            server_transactions: self.core.servers.len(),
            partial_messages: self.streams.values().filter(|stream| stream.is_partial()).count(),
            timers: self.core.wire.timers.len(),
        }
    }

    /// Whether nothing is held: no session, no transaction, no timer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.counts() == Counts::default()
    }
}

impl UserAgent {
    fn timer_due(&mut self, key: TimerKey, now: Instant) {
        let core = &mut self.core;
        match key {
            TimerKey::ClientRetransmit(tx) => core.clients.handle_retransmit(tx, &mut core.wire, now),
            TimerKey::ClientEnd(tx) => {
                if let Some(outcome) = core.clients.handle_end(tx, &mut core.wire) {
                    self.client_outcome(outcome, now);
                }
            }
            TimerKey::Trying(tx) => core.respond_status(tx, 100, now),
            TimerKey::ServerRetransmit(tx) => core.servers.handle_retransmit(tx, &mut core.wire, now),
            TimerKey::ServerEnd(tx) => core.servers.handle_end(tx, &mut core.wire),
            TimerKey::Answer(session) => self.answer_again(session, now),
            TimerKey::NoAck(session) | TimerKey::Lapse(session) => self.end_by_us(session, EndedBy::Timeout, now),
            TimerKey::Detached(session) => self.end_by_us(session, EndedBy::Transport, now),
            TimerKey::Progress(session) => self.progress_again(session, now),
            TimerKey::NoPrack(session) => self.no_prack(session, now),
            TimerKey::Glare(session) => self.glare_over(session, now),
            TimerKey::Refresh(session) => self.refresh(session, now),
            TimerKey::Subscription(subscription) => self.subscription_over(subscription, now),
            TimerKey::WatchRefresh(watch) => self.resubscribe(watch, now),
            TimerKey::WatchGone(watch) => {
                self.forget_watch(watch);
            }
            TimerKey::Referral(referral) => self.referral_over(referral, now),
            TimerKey::ReferralGone(referral) => self.forget_referral(referral),
        }
    }

    fn client_outcome(&mut self, outcome: ClientOutcome<Owner>, now: Instant) {
        match outcome.owner.clone() {
            Owner::Nobody => {}
            Owner::Request(id) => self.request_outcome(id, outcome.result, now),
            Owner::Invite(id) => self.invite_outcome(id, outcome, now),
            Owner::Reinvite(id) => self.reinvite_outcome(id, outcome, now),
            Owner::Refresh(id) => self.refresh_outcome(id, outcome, now),
            Owner::Info(id) => self.info_outcome(id, &outcome, now),
            Owner::Bye(farewell) => self.bye_outcome(*farewell, outcome.result, now),
            Owner::Notify(id) => self.notify_outcome(id, &outcome.result, now),
            Owner::Prack(id) => self.prack_outcome(id, &outcome, now),
            Owner::Refer(id) => self.refer_outcome(id, outcome.result, now),
            Owner::Watch(id) => self.watch_outcome(id, outcome, now),
            Owner::Report(id) => self.report_outcome(id, &outcome.result, now),
        }
    }
}

/// Call-ID and our tag of a request that came in; `None` outside of dialogs.
fn dialog_key(request: &Request) -> Option<(String, String)> {
    let tag = request.headers.to().ok()?.tag()?.to_owned();
    Some((request.headers.call_id().ok()?.to_owned(), tag))
}

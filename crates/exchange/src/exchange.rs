//! The exchange's face: inputs and outputs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use aftertone_media::{Codec, dtmf::Digit};
use aftertone_model::{CallId, CallRecord, DeviceId, MeasuredCall, Now, SubscriberId};
use aftertone_sip::{
    self as sip, ConnectionId, Flow, IncomingId, RequestId, SessionId, SubscriptionId, UaConfig, Uri, UserAgent,
    digest::{Algorithm, Verifier},
};

use crate::{
    Described, Directory, ExchangeConfig, LegFigures, LegId, MediaCommand, MediaFailure, MediaRequestId,
    busy::Watcher,
    call::Call,
    ended::End,
    guard::Guard,
    measured::Awaiting,
    media::Pending,
    pages::Page,
    registrar::{Bindings, SavedBinding},
    reopened::Reopening,
    requests::Lamp,
    timers::{Timer, Timers},
    transfer::Replacement,
    trunks::{Line, LineId, ReachId, TrunkState, Way},
};

/// How many messages wait, for the lamp: RFC 3842 section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageCounts {
    /// Not heard yet.
    pub new: u32,
    /// Heard and saved, without the deleted ones.
    pub old: u32,
}

/// What comes out. Drain it after every input until `Timeout` comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Nothing more now. Call [`Exchange::handle_timeout`] then, or never if `None`.
    Timeout(Option<Instant>),
    /// Send these bytes: one datagram, one WebSocket message, or a piece of a stream.
    Transmit {
        /// From where to where.
        flow: Flow,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Something for the server.
    Event(Event),
}

/// What the server has to do or may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An order for the media plane.
    Media(MediaCommand),
    /// A call is over for its owner: into the call log. Both people of a call inside the account get one each. The record of
    /// a call that ended in a deposit is not here, but in [`DepositOrder`](crate::DepositOrder).
    Logged(CallRecord),
    /// How a call sounded, for a record that was logged, or that is the media plane's (then it may come before that).
    Measured(MeasuredCall),
    /// A device of this person came or went.
    BindingsChanged(SubscriberId),
    /// A phone of this person registered, or its registration ended: [`Exchange::saved_bindings`] tells what to keep over a
    /// restart.
    BindingsToSave(SubscriberId),
    /// A device of this person wants the lamp: push the counts with [`Exchange::handle_message_waiting`] (until then the
    /// last known ones, or none, are sent).
    MessageWaitingWanted(SubscriberId),
    /// A device was heard of, authenticated: by its digest or its connection. At each REGISTER.
    DeviceSeen(SubscriberId, DeviceId),
    /// Look this up by RFC 3263; [`Exchange::handle_located`] takes the ways.
    Locate {
        /// Comes back with them.
        request: ReachId,
        /// Of a trunk, or of a believed caller whose connection is gone.
        uri: Uri,
    },
    /// Find the flow to this: for UDP our end of it, else a new connection; [`Exchange::handle_reached`] takes it.
    Reach {
        /// Comes back with it.
        request: ReachId,
        /// Where to.
        way: Way,
    },
    /// Open a TCP connection to this, for answers to requests whose own is gone; [`Exchange::handle_reached`] takes it.
    Reopen {
        /// Comes back with it.
        request: ReachId,
        /// Where to.
        address: SocketAddr,
    },
    /// A trunk came up, went down or was refused.
    TrunkChanged(String, TrunkState),
}

/// The exchange of one account.
pub struct Exchange {
    pub(crate) config: ExchangeConfig,
    pub(crate) directory: Directory,
    pub(crate) ua: UserAgent,
    pub(crate) verifier: Verifier,
    /// Open connections, and whose they are.
    pub(crate) connections: BTreeMap<ConnectionId, Option<(SubscriberId, DeviceId)>>,
    /// Connections whose other end has shown a name that is believed.
    pub(crate) believed: BTreeSet<ConnectionId>,
    /// Those of them over which the server itself makes test calls.
    pub(crate) testers: BTreeSet<ConnectionId>,
    pub(crate) bindings: Bindings,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) sessions: BTreeMap<SessionId, (CallId, LegId)>,
    pub(crate) leg_calls: BTreeMap<LegId, CallId>,
    pub(crate) pending: BTreeMap<MediaRequestId, Pending>,
    /// Legs whose figures belong into records.
    pub(crate) measuring: BTreeMap<LegId, Vec<Awaiting>>,
    pub(crate) lamps: BTreeMap<SubscriptionId, Lamp>,
    pub(crate) watchers: BTreeMap<SubscriptionId, Watcher>,
    pub(crate) pages: BTreeMap<IncomingId, Page>,
    pub(crate) counts: BTreeMap<SubscriberId, MessageCounts>,
    pub(crate) guard: Guard,
    /// By the new leg.
    pub(crate) replacements: BTreeMap<LegId, Replacement>,
    pub(crate) lines: BTreeMap<LineId, Line>,
    /// Requests that take a binding at a registrar back, unanswered.
    pub(crate) leaving: BTreeSet<RequestId>,
    pub(crate) last_line: u64,
    pub(crate) last_reach: u64,
    /// Connections to callers whose own is gone, being opened.
    pub(crate) reopening: BTreeMap<ReachId, Reopening>,
    pub(crate) timers: Timers,
    pub(crate) draining: bool,
    /// Nothing has happened yet that calls are concerned by.
    is_calm: bool,
    /// Whoever calls now is told to come back.
    pub(crate) overloaded: bool,
    pub(crate) last_request: u64,
    last_leg: u64,
    drawn: u64,
    ua_timeout: Option<Instant>,
    unframeable: Vec<ConnectionId>,
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

impl Exchange {
    /// An exchange with nobody in it.
    #[must_use]
    pub fn new(config: ExchangeConfig) -> Self {
        let mut ua = UaConfig::new(config.product.clone(), derived(config.seed, "ua"));
        (ua.takes_refer, ua.takes_texts) = (true, true);
        ua.max_subscription_expires = u32::try_from(config.max_expires.as_secs()).unwrap_or(u32::MAX);
        // The latter are for registrations, which may insist on them (RFC 3327 section 5, RFC 5626 section 6).
        ua.supported.extend(["replaces", "path", "outbound"].map(str::to_owned));
        let ua = UserAgent::new(ua);
        // RFC 8760 section 2.4: the best first. Of the two strong ones that which every phone has a hash for.
        let algorithms = vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
        let verifier = Verifier::new(config.domain.clone(), derived(config.seed, "nonce"), algorithms);
        Self {
            config,
            directory: Directory::default(),
            ua,
            verifier,
            connections: BTreeMap::new(),
            believed: BTreeSet::new(),
            testers: BTreeSet::new(),
            bindings: Bindings::default(),
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leg_calls: BTreeMap::new(),
            pending: BTreeMap::new(),
            measuring: BTreeMap::new(),
            lamps: BTreeMap::new(),
            watchers: BTreeMap::new(),
            pages: BTreeMap::new(),
            counts: BTreeMap::new(),
            guard: Guard::default(),
            replacements: BTreeMap::new(),
            lines: BTreeMap::new(),
            leaving: BTreeSet::new(),
            last_line: 0,
            last_reach: 0,
            reopening: BTreeMap::new(),
            timers: Timers::default(),
            draining: false,
            is_calm: false,
            overloaded: false,
            last_request: 0,
            last_leg: 0,
            drawn: 0,
            ua_timeout: None,
            unframeable: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether the machine is at its limit: then new calls are answered with 503 and Retry-After, and those that run go on.
    /// Emergency calls are taken all the same.
    pub fn handle_overload(&mut self, overloaded: bool) {
        self.overloaded = overloaded;
    }

    /// Replaces the directory. Bindings, lamps and calls of phones that are gone end at once; those of our
    /// own devices end with their connections.
    pub fn handle_directory(&mut self, directory: Directory, now: Now) {
        self.hang_up_revoked(&directory, now);
        self.directory = directory;
        let changed = self.bindings.keep_known(&self.directory);
        self.tell_bindings(changed);
        self.drop_unknown_lamps(now);
        self.drop_unknown_watchers(now);
        self.pump(now);
    }

    /// A stream or WebSocket connection was opened to us; `authenticated` says whose it is, if a token came with it. To be
    /// said before its first bytes. Not needed for UDP, nor for streams without a token.
    pub fn handle_connected(&mut self, flow: Flow, authenticated: Option<(SubscriberId, DeviceId)>, now: Now) {
        if let Some(connection) = flow.connection {
            self.connections.insert(connection, authenticated);
        }
        self.pump(now);
    }

    /// The other end of a connection has proved to be somebody whom the administrator believes, as `trusted` networks are. To be
    /// said after it was opened and before its first bytes.
    pub fn handle_believed(&mut self, connection: ConnectionId, now: Now) {
        self.believed.insert(connection);
        self.pump(now);
    }

    /// The other end of a connection is the server itself, which makes a test call over it: it comes from outside as any other
    /// call does, is marked in its message, and is in nobody's log. To be said as [`Self::handle_believed`] is.
    pub fn handle_tester(&mut self, connection: ConnectionId, now: Now) {
        self.testers.insert(connection);
        self.handle_believed(connection, now);
    }

    /// Bytes came. `flow.local` must be the address that the other side can reach, not the unspecified one.
    pub fn handle_received(&mut self, flow: Flow, bytes: &[u8], now: Now) {
        // A banned source gets no answer at all, and costs no more than this.
        if self.guard.admits(flow, now.mono) || self.is_exempt(flow) {
            self.line_heard(flow, bytes);
            self.is_calm = true;
            self.ua.handle_received(flow, bytes, now.mono);
        }
        self.pump(now);
    }

    /// A connection is closed: its bindings end, its unanswered legs have failed, and its calls are hung up unless their
    /// device comes back over another connection within five seconds.
    pub fn handle_closed(&mut self, connection: ConnectionId, now: Now) {
        self.connections.remove(&connection);
        self.believed.remove(&connection);
        self.testers.remove(&connection);
        let changed = self.bindings.drop_connection(connection);
        self.tell_bindings(changed);
        self.await_return(connection, now);
        self.lines_closed(connection, now);
        self.ua.handle_closed(connection, now.mono);
        self.pump(now);
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.ua.handle_timeout(now.mono);
        let changed = self.bindings.expire(now.mono);
        self.tell_bindings(changed);
        self.pump(now);
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::RingTime(call) => self.ring_time_is_over(call, now),
                Timer::Media(request) => self.media_is_late(request, now),
                Timer::Return(call, leg, connection) => self.return_is_due(call, leg, connection, now),
                Timer::Lamp(subscription) => self.lamp_is_due(subscription, now),
                Timer::Line(line, round) => self.line_is_due(line, round, now),
                Timer::KeepAlive(line, round) => self.keep_line_alive(line, round, now),
                Timer::Pong(line, round) => self.pong_is_due(line, round, now),
                Timer::Reach(request) => self.reach_is_late(request, now),
                Timer::Attempt(call, leg) => self.attempt_is_due(call, leg, now),
                Timer::Page(page) => self.page_is_over(page, 480, now),
            }
            self.pump(now);
        }
    }

    /// The result of [`MediaCommand::Offer`] or [`MediaCommand::Answer`].
    pub fn handle_described(&mut self, request: MediaRequestId, result: Result<Described, MediaFailure>, now: Now) {
        self.on_described(request, result, now);
        self.pump(now);
    }

    /// The result of [`MediaCommand::Apply`]: the codec that both ends use.
    pub fn handle_applied(&mut self, request: MediaRequestId, result: Result<Codec, MediaFailure>, now: Now) {
        self.on_applied(request, result, now);
        self.pump(now);
    }

    /// A leg was closed, on [`MediaCommand::Close`]: what was measured of it, if anything could be.
    pub fn handle_measured(&mut self, leg: LegId, figures: Option<LegFigures>, now: Now) {
        self.on_measured(leg, figures);
        self.pump(now);
    }

    /// A deposit ended by itself (the hash key, silence, its length): the caller is hung up.
    pub fn handle_deposit_over(&mut self, leg: LegId, now: Now) {
        self.deposit_is_over(leg, now);
        self.pump(now);
    }

    /// Whoever listens in the phone menu on this leg wants to call `number` in the name of the mailbox's owner. Answered by
    /// [`MediaCommand::Dialled`].
    pub fn handle_dialled(&mut self, leg: LegId, owner: SubscriberId, number: &str, now: Now) {
        self.dial_from_menu(leg, owner, number, now);
        self.pump(now);
    }

    /// A caller has left a deposit on this leg by a key that [`KeyOrder::Leave`](crate::KeyOrder::Leave) stood for. What they had
    /// said until then is kept.
    pub fn handle_key(&mut self, leg: LegId, digit: Digit, now: Now) {
        self.lead_away(leg, digit, now);
        self.pump(now);
    }

    /// A leg's media is dead for good (ICE or DTLS failed, the worker died): the call is hung up on both sides; a device that
    /// only rang is given up.
    pub fn handle_media_failed(&mut self, leg: LegId, now: Now) {
        self.media_failed(leg, now);
        self.pump(now);
    }

    /// The counts of a mailbox, at each change: goes to the devices that asked for the lamp. Pushed for everybody at the
    /// start, they are there when the first phone asks.
    pub fn handle_message_waiting(&mut self, mailbox: SubscriberId, counts: MessageCounts, now: Now) {
        self.set_counts(mailbox, counts, now);
        self.pump(now);
    }

    /// Stop taking calls (503); running ones go on.
    pub fn handle_drain(&mut self, now: Now) {
        self.draining = true;
        self.pump(now);
    }

    /// Hangs up every call and ends every subscription, for a shutdown that doesn't wait.
    pub fn hang_up_all(&mut self, now: Now) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(id, End::Failed, now);
        }
        let watchers = std::mem::take(&mut self.watchers).into_keys();
        for subscription in std::mem::take(&mut self.lamps).into_keys().chain(watchers) {
            self.ua.terminate_subscription(subscription, "deactivated", now.mono);
        }
        self.leave_trunks(now.mono);
        self.pump(now);
    }

    /// A connection over which comes what is no SIP, or nothing any more: to be closed by the server. What else comes over it is
    /// ignored.
    pub fn poll_unframeable(&mut self) -> Option<ConnectionId> {
        self.unframeable.pop()
    }

    /// What is to be kept over a restart of a person's bindings: those that don't hang on a connection.
    #[must_use]
    pub fn saved_bindings(&self, person: SubscriberId, now: Now) -> Vec<SavedBinding> {
        self.bindings.of(person).iter().filter_map(|binding| SavedBinding::of(binding, now)).collect()
    }

    /// Takes up what was saved before a restart, as far as its phones still exist.
    pub fn restore_bindings(&mut self, saved: Vec<(SubscriberId, SavedBinding)>, now: Now) {
        for (person, saved) in saved {
            if let Some(binding) = saved.restored(now).filter(|binding| self.directory.has_phone(person, binding.device)) {
                self.bindings.put(person, binding);
            }
        }
    }

    /// Whether something hangs on a connection: a phone, a call, a trunk.
    #[must_use]
    pub fn holds(&self, connection: ConnectionId) -> bool {
        let is_over = |flow: Flow| flow.connection == Some(connection);
        self.bindings.holds(connection)
            || self.lines.values().any(|line| line.flow.is_some_and(is_over))
            || self.sessions.keys().any(|session| self.ua.session_flow(*session).is_some_and(is_over))
    }

    /// How many calls run, deposits included.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The devices of a person that can be reached now; a device with several contacts stands there several times.
    pub fn registered(&self, person: SubscriberId) -> impl Iterator<Item = DeviceId> {
        self.bindings.of(person).iter().map(|binding| binding.device)
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            Output::Timeout([self.ua_timeout, self.timers.next(), self.bindings.next_end()].into_iter().flatten().min())
        })
    }

    pub(crate) fn give_up_connection(&mut self, connection: ConnectionId) {
        self.unframeable.push(connection);
    }

    pub(crate) fn events(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Bytes that are no message of SIP.
    pub(crate) fn transmit(&mut self, flow: Flow, bytes: &[u8]) {
        self.outputs.push_back(Output::Transmit { flow, bytes: bytes.to_vec() });
    }

    pub(crate) fn new_leg(&mut self) -> LegId {
        self.last_leg += 1;
        LegId(self.last_leg)
    }

    /// 128 bits that nobody can guess: a keyed hash of a counter.
    pub(crate) fn random_bits(&mut self) -> u128 {
        self.drawn += 1;
        let bytes = derived(self.config.seed, &format!("id {}", self.drawn));
        bytes.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }

    fn tell_bindings(&mut self, changed: Vec<SubscriberId>) {
        for person in changed {
            self.events(Event::BindingsChanged(person));
        }
    }

    /// Drains the user agent; what its events set going is drained too.
    pub(crate) fn pump(&mut self, now: Now) {
        loop {
            match self.ua.poll_output() {
                // Whatever has happened is over by now: those who watch see no state in between.
                sip::Output::Timeout(_) if !self.is_calm && self.tell_watchers(now) => {}
                sip::Output::Timeout(at) => {
                    self.is_calm = false;
                    self.ua_timeout = at;
                    return;
                }
                sip::Output::Transmit { flow, bytes } => self.outputs.push_back(Output::Transmit { flow, bytes }),
                sip::Output::Event(event) => {
                    // Phones that only register are many, and light no lamp.
                    self.is_calm &= is_apart_from_calls(&event);
                    self.on_sip(event, now);
                }
            }
        }
    }

    fn on_sip(&mut self, event: sip::Event, now: Now) {
        match event {
            sip::Event::Incoming { session, request, flow, replaces } => {
                self.on_incoming(session, &request, flow, replaces, now);
            }
            sip::Event::Referred { session, id, refer_to, request } => {
                let by = request.headers.addresses("Referred-By").into_iter().next();
                self.on_referred(session, id, &refer_to, by, now);
            }
            sip::Event::Progress { session, response } => self.on_progress(session, &response, now),
            sip::Event::Answered { session, sdp, .. } => self.on_answered(session, sdp, now),
            sip::Event::Confirmed { session, sdp } => self.on_confirmed(session, sdp, now),
            sip::Event::Rejected { session, failure } => self.on_rejected(session, &failure, now),
            sip::Event::Cancelled { session, headers } => self.on_cancelled(session, &headers, now),
            sip::Event::Ended { session, by, headers } => self.on_ended(session, by, &headers, now),
            sip::Event::Reinvited { session, sdp, branch } => self.on_reinvited(session, sdp, branch, now),
            sip::Event::Updated { session, request } => self.on_updated(session, &request, now),
            sip::Event::Message { session, id, request } => self.page_in_call(session, id, &request, now),
            sip::Event::ReinviteConfirmed { session, sdp } => self.on_reinvite_confirmed(session, sdp, now),
            sip::Event::Request { id, request, flow } => self.on_request(id, &request, flow, now),
            sip::Event::Unsubscribed { subscription, .. } => {
                self.lamps.remove(&subscription);
                self.watchers.remove(&subscription);
            }
            sip::Event::Unframeable { connection } => self.unframeable.push(connection),
            sip::Event::Reopen { closed, remote, name } => self.reopen(closed, remote, name, now),
            sip::Event::Response { id, result } => {
                if !self.on_page_response(id, &result, now) {
                    self.on_line_response(id, result, now);
                }
            }
            sip::Event::Info { session, request } => self.on_info(session, &request),
            sip::Event::ReinviteAnswered { session, result } => self.on_reinvite_answered(session, result, now),
            sip::Event::Resubscribed { subscription, .. } => self.tell_all_dialogs(subscription, now),
            // We send no REFER.
            sip::Event::EarlyOffered { .. }
            | sip::Event::ReferProgress { .. }
            | sip::Event::ReferEnded { .. }
            | sip::Event::Notified { .. }
            | sip::Event::Unwatched { .. } => {}
        }
    }
}

fn is_apart_from_calls(event: &sip::Event) -> bool {
    match event {
        sip::Event::Request { .. }
        | sip::Event::Message { .. }
        | sip::Event::Response { .. }
        | sip::Event::Resubscribed { .. }
        | sip::Event::Unsubscribed { .. }
        | sip::Event::Reopen { .. }
        | sip::Event::Unframeable { .. } => true,
        sip::Event::Incoming { .. }
        | sip::Event::Progress { .. }
        | sip::Event::Answered { .. }
        | sip::Event::Confirmed { .. }
        | sip::Event::Rejected { .. }
        | sip::Event::Cancelled { .. }
        | sip::Event::Ended { .. }
        | sip::Event::Reinvited { .. }
        | sip::Event::ReinviteConfirmed { .. }
        | sip::Event::ReinviteAnswered { .. }
        | sip::Event::Referred { .. }
        | sip::Event::Info { .. }
        | sip::Event::EarlyOffered { .. }
        | sip::Event::Updated { .. }
        | sip::Event::ReferProgress { .. }
        | sip::Event::ReferEnded { .. }
        | sip::Event::Notified { .. }
        | sip::Event::Unwatched { .. } => false,
    }
}

/// Independent secrets of one seed.
fn derived(seed: [u8; 32], purpose: &str) -> [u8; 32] {
    let mut input = seed.to_vec();
    input.extend_from_slice(purpose.as_bytes());
    // Twice, so that no output is the inner state of another's hash.
    let hex = Algorithm::Sha256.hash(Algorithm::Sha256.hash(&input).as_bytes());
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_default();
    }
    bytes
}

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Instant,
};

use aftertone_model::{CallId, Direction, EndReason, Now};
use aftertone_sip::{ConnectionId, Flow, Headers, UaConfig, Uri, UserAgent};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    CallPhase, CallSnapshot, Describe, Event, MediaFailure, MediaRequestId, Output, Target,
    call::{Call, State},
    hold,
    registration::{self, Registration},
};

/// Who this phone is.
#[derive(Debug, Clone)]
pub struct PhoneConfig {
    /// The user part of the address of record.
    pub user: String,
    /// The account's SIP domain.
    pub domain: String,
    /// The name that others see.
    pub display_name: String,
    /// What the phone calls itself, e.g. `Aftertone/0.1.0`.
    pub product: String,
    /// The device, as a UUID: `+sip.instance` (RFC 5626 section 4.1).
    pub instance: String,
    /// Register; a phone that only calls doesn't.
    pub register: bool,
    /// 256 random bits.
    pub seed: [u8; 32],
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no connection.
    #[error("not connected")]
    Offline,
    /// No such call, or not in a state where this can be done.
    #[error("no such call, or it is past that")]
    NoSuchCall,
}

/// One device: its registration and its calls.
pub struct Phone {
    pub(crate) config: PhoneConfig,
    pub(crate) ua: UserAgent,
    pub(crate) rng: StdRng,
    /// Random, so that the address says nothing of the machine; stays for the phone's life (RFC 7118 section 5).
    pub(crate) contact: Uri,
    /// One for all REGISTERs of the phone's life (RFC 3261 section 10.2.4).
    pub(crate) registration_call_id: String,
    pub(crate) flow: Option<Flow>,
    /// Our end of the last connection.
    pub(crate) address: Option<IpAddr>,
    pub(crate) registration: Registration,
    /// What is asked for, in seconds; a 423 raises it.
    pub(crate) expires: u32,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) last_request: u64,
    pub(crate) ua_timeout: Option<Instant>,
    pub(crate) out: VecDeque<Output>,
}

impl Phone {
    /// A phone without a connection.
    #[must_use]
    pub fn new(config: PhoneConfig) -> Self {
        let mut rng = StdRng::from_seed(config.seed);
        let mut ua_seed = [0; 32];
        rng.fill_bytes(&mut ua_seed);
        let contact = Uri::sip(&format!("{:016x}", rng.next_u64()), &format!("{:016x}.invalid", rng.next_u64()))
            .with_param("transport", Some("ws"));
        let ua = UserAgent::new(UaConfig::new(config.product.clone(), ua_seed));
        Self {
            config,
            ua,
            contact,
            registration_call_id: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
            rng,
            flow: None,
            address: None,
            registration: Registration::Offline,
            expires: u32::try_from(registration::EXPIRES.as_secs()).unwrap_or(600),
            calls: BTreeMap::new(),
            last_request: 0,
            ua_timeout: None,
            out: VecDeque::new(),
        }
    }

    /// The calls that have not ended.
    pub fn calls(&self) -> impl Iterator<Item = &CallSnapshot> {
        self.calls.values().map(|call| &call.snapshot)
    }

    /// Whether the device can be called.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.registration.has_binding()
    }

    /// The account's WebSocket is open: registers over it. Where our end has another address than it had, calls get new media
    /// from there.
    pub fn handle_connected(&mut self, flow: Flow, now: Now) {
        let address = flow.local.ip();
        let moved = self.address.replace(address).is_some_and(|before| before != address);
        self.flow = Some(flow);
        for call in self.calls.values() {
            if let State::Active { session, .. } = call.state {
                self.ua.move_session(session, flow, Some(self.contact_address()));
            }
        }
        if self.config.register {
            self.register(now);
        }
        if moved {
            self.renew_media();
        }
        self.settle(now);
    }

    /// The connection is gone. Calls that are not answered end; the others go on as long as their media do, and use the
    /// next connection.
    pub fn handle_disconnected(&mut self, connection: ConnectionId, now: Now) {
        if self.flow.is_some_and(|flow| flow.connection == Some(connection)) {
            self.flow = None;
            self.registration = Registration::Offline;
        }
        self.ua.handle_closed(connection, now.mono);
        self.settle(now);
        let unanswered = |call: &&Call| !matches!(call.state, State::Active { .. });
        let lost: Vec<CallId> = self.calls.values().filter(unanswered).map(|call| call.snapshot.id).collect();
        for id in lost {
            self.end(id, EndReason::Failed);
        }
    }

    /// One SIP message came over the connection.
    pub fn handle_received(&mut self, flow: Flow, bytes: &[u8], now: Now) {
        self.ua.handle_received(flow, bytes, now.mono);
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.ua.handle_timeout(now.mono);
        if self.registration.timeout().is_some_and(|at| at <= now.mono) && self.flow.is_some() {
            self.register(now);
        }
        self.settle(now);
    }

    /// What has to be done now; ends with [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        self.out
            .pop_front()
            .unwrap_or_else(|| Output::Timeout([self.ua_timeout, self.registration.timeout()].into_iter().flatten().min()))
    }
}

/// What the person wants.
impl Phone {
    /// Calls `target`. `call` is made of fresh random bits.
    ///
    /// # Errors
    /// Where there is no connection.
    pub fn dial(&mut self, call: CallId, target: &Target, now: Now) -> Result<(), Refused> {
        self.begin(call, target, false, now)
    }

    /// Calls a number back that the person has not dialled, but a caller has shown or left: the account makes no call at which
    /// somebody earns.
    ///
    /// # Errors
    /// Where there is no connection.
    pub fn call_back(&mut self, call: CallId, target: &Target, now: Now) -> Result<(), Refused> {
        self.begin(call, target, true, now)
    }

    fn begin(&mut self, call: CallId, target: &Target, is_back: bool, now: Now) -> Result<(), Refused> {
        if self.flow.is_none() {
            return Err(Refused::Offline);
        }
        let request = self.next_request();
        let uri = target.uri(&self.config.domain);
        let snapshot = CallSnapshot {
            id: call,
            account_id: None,
            direction: Direction::Outgoing,
            party: target.party(&self.config.domain),
            phase: CallPhase::Dialing,
            started_at: now.wall,
            answered_at: None,
            muted: false,
            held: false,
            held_by_other: false,
            refusal: None,
        };
        self.calls.insert(call, Call { snapshot, state: State::Offering { request, uri, is_back } });
        self.tell(call);
        self.out.push_back(Output::Event(Event::DescribeMedia { request, call, describe: Describe::Offer }));
        Ok(())
    }

    /// Takes an incoming call.
    ///
    /// # Errors
    /// Where no such call rings here.
    pub fn answer(&mut self, id: CallId) -> Result<(), Refused> {
        let request = self.next_request();
        let call = self.calls.get_mut(&id).ok_or(Refused::NoSuchCall)?;
        let State::Ringing { session, offer } = &mut call.state else { return Err(Refused::NoSuchCall) };
        let (session, offer) = (*session, offer.take());
        call.state = State::Answering { session, request, late_offer: offer.is_none() };
        let describe = offer.map_or(Describe::Offer, |offer| Describe::Answer { offer });
        call.snapshot.phase = CallPhase::Connecting;
        self.tell(id);
        self.out.push_back(Output::Event(Event::DescribeMedia { request, call: id, describe }));
        Ok(())
    }

    /// Declines an incoming call: 603, so that all devices stop ringing and the mailbox answers.
    ///
    /// # Errors
    /// Where no such call rings here.
    pub fn decline(&mut self, id: CallId, now: Now) -> Result<(), Refused> {
        let call = self.calls.get(&id).ok_or(Refused::NoSuchCall)?;
        let State::Ringing { session, .. } = call.state else { return Err(Refused::NoSuchCall) };
        self.ua.reject(session, 603, Headers::new(), now.mono);
        self.end(id, EndReason::Declined);
        self.settle(now);
        Ok(())
    }

    /// Ends a call in whatever state it is; one that rings here is declined.
    ///
    /// # Errors
    /// Where there is no such call.
    pub fn hang_up(&mut self, id: CallId, now: Now) -> Result<(), Refused> {
        let call = self.calls.get(&id).ok_or(Refused::NoSuchCall)?;
        let end = match &call.state {
            State::Offering { .. } | State::Calling { .. } => EndReason::Cancelled,
            State::Ringing { .. } => return self.decline(id, now),
            State::Answering { .. } | State::Active { .. } => EndReason::LocalHangup,
        };
        self.hang_up_because(id, end, now);
        self.settle(now);
        Ok(())
    }

    /// Remembers that the microphone is off, or on again. Returns the media that it is about.
    ///
    /// # Errors
    /// Where there is no such call.
    pub fn mute(&mut self, id: CallId, muted: bool) -> Result<Vec<MediaRequestId>, Refused> {
        let call = self.calls.get_mut(&id).ok_or(Refused::NoSuchCall)?;
        let media = call.state.media();
        if call.snapshot.muted != muted {
            call.snapshot.muted = muted;
            self.tell(id);
        }
        Ok(media)
    }

    /// Holds a call, or goes on with it; the other end is told. Returns the media that it is about.
    ///
    /// # Errors
    /// Where no such call is active.
    pub fn hold(&mut self, id: CallId, held: bool) -> Result<Vec<MediaRequestId>, Refused> {
        let call =
            self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Active { .. })).ok_or(Refused::NoSuchCall)?;
        let media = call.state.media();
        if call.snapshot.held != held {
            call.snapshot.held = held;
            self.tell(id);
            self.renew(id);
        }
        Ok(media)
    }

    /// The media over which keys can be sent (RFC 4733).
    ///
    /// # Errors
    /// Where no such call is active.
    pub fn media(&self, id: CallId) -> Result<MediaRequestId, Refused> {
        match self.calls.get(&id).map(|call| &call.state) {
            Some(State::Active { media, .. }) => Ok(*media),
            _ => Err(Refused::NoSuchCall),
        }
    }

    /// Ends all calls and takes the registration back; what is to be sent for it comes out of [`Phone::poll_output`].
    pub fn shut_down(&mut self, now: Now) {
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for id in calls {
            let end = match self.calls.get(&id).map(|call| &call.state) {
                Some(State::Offering { .. } | State::Calling { .. }) => EndReason::Cancelled,
                // Another device may still take it: only this one goes.
                Some(State::Ringing { session, .. }) => {
                    let session = *session;
                    self.ua.reject(session, 480, Headers::new(), now.mono);
                    self.end(id, EndReason::Failed);
                    continue;
                }
                Some(State::Answering { .. } | State::Active { .. }) | None => EndReason::LocalHangup,
            };
            self.hang_up_because(id, end, now);
        }
        if self.registration.has_binding()
            && let Some(flow) = self.flow
        {
            let request = self.register_request(0);
            let _unanswered = self.ua.request(request, flow, None, now.mono);
        }
        self.registration = Registration::Offline;
        self.config.register = false;
        self.settle(now);
    }
}

/// Answers about media.
impl Phone {
    /// The answer to [`Event::DescribeMedia`]. One that nobody waits for any more is dropped (its media were told to be
    /// closed before).
    pub fn handle_description(&mut self, request: MediaRequestId, described: Result<String, MediaFailure>, now: Now) {
        let Some((id, call)) = self.calls.iter_mut().find(|(_, call)| call.state.waits_for(request)) else { return };
        let id = *id;
        match (&mut call.state, described) {
            (State::Offering { uri, is_back, .. }, Ok(sdp)) => {
                let (uri, is_back) = (uri.clone(), *is_back);
                self.invite(id, (uri, is_back), request, sdp, now);
            }
            (State::Answering { session, .. }, Ok(sdp)) => {
                let session = *session;
                self.accept(id, session, request, sdp, now);
            }
            (State::Active { session, renewal: Some(renewal), .. }, Ok(sdp)) if renewal.media == request => {
                (renewal.offered, renewal.held) = (true, call.snapshot.held);
                let sdp = if renewal.held { hold::held(&sdp) } else { sdp };
                self.ua.reinvite(*session, sdp, now.mono);
            }
            (State::Active { renewal, .. }, Err(_)) if renewal.is_some_and(|renewal| renewal.media == request) => {
                *renewal = None;
                self.out.push_back(Output::Event(Event::CloseMedia { media: request }));
            }
            (State::Active { session, media, change, .. }, Ok(sdp)) => {
                let (session, earlier) = (*session, std::mem::replace(media, request));
                *change = None;
                let sdp = if call.snapshot.held { hold::held(&sdp) } else { sdp };
                self.ua.accept_reinvite(session, sdp, now.mono);
                self.out.push_back(Output::Event(Event::UseMedia { media: request, call: id }));
                self.out.push_back(Output::Event(Event::CloseMedia { media: earlier }));
            }
            (State::Active { session, change, .. }, Err(_)) => {
                *change = None;
                // The call goes on as it was (RFC 3261 section 14.2).
                self.ua.reject_reinvite(*session, 488, now.mono);
                self.out.push_back(Output::Event(Event::CloseMedia { media: request }));
            }
            (State::Answering { session, .. }, Err(_)) => {
                self.ua.reject(*session, 488, Headers::new(), now.mono);
                self.end(id, EndReason::Failed);
            }
            (State::Offering { .. } | State::Calling { .. } | State::Ringing { .. }, _) => self.end(id, EndReason::Failed),
        }
        self.settle(now);
    }

    /// The result of [`Event::ApplyMedia`]: where the answer can't be used, the call fails.
    pub fn handle_applied(&mut self, media: MediaRequestId, applied: Result<(), MediaFailure>, now: Now) {
        let of_media = |call: &Call| matches!(&call.state, State::Active { media: used, .. } if *used == media);
        let Some(id) = self.calls.values().find(|call| of_media(call)).map(|call| call.snapshot.id) else { return };
        match applied {
            Ok(()) => self.out.push_back(Output::Event(Event::UseMedia { media, call: id })),
            Err(_) => self.hang_up_because(id, EndReason::Failed, now),
        }
        self.settle(now);
    }

    /// Media that go directly to the other device have not come up, or are cut off: the server is offered new ones, and takes
    /// the other device's back too.
    pub fn handle_media_stuck(&mut self, media: MediaRequestId, now: Now) {
        let uses = |call: &Call| matches!(&call.state, State::Active { media: used, .. } if *used == media);
        if let Some(id) = self.calls.values().find(|call| uses(call)).map(|call| call.snapshot.id) {
            self.renew(id);
            self.settle(now);
        }
    }

    /// The media broke for good (ICE failed): the call ends.
    pub fn handle_media_lost(&mut self, media: MediaRequestId, now: Now) {
        let uses = |call: &Call| matches!(&call.state, State::Active { media: used, .. } if *used == media);
        if let Some(id) = self.calls.values().find(|call| uses(call)).map(|call| call.snapshot.id) {
            self.hang_up_because(id, EndReason::Failed, now);
            self.settle(now);
        }
    }
}

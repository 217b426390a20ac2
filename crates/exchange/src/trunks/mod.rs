//! Trunks: ways to the telephone network and to other exchanges. A line is a trunk while the exchange runs.
//!
//! ```text
//!              Locate                Reach              REGISTER or OPTIONS answered
//!  waiting ------------> locating ------------> reaching ------------> asking ------------> up
//!     ^   back-off, with spread  |  the next way, if there is one  |                         |
//!     +--------------------------+---------------------------------+-------------------------+
//!                                                     connection closed, no answer, expired
//! ```
//!
//! While a registration is refreshed, the line stays up and carries calls.

mod contact;
mod keeping;
mod line;
mod moved;
mod registration;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use aftertone_model::{Now, Trunk};
use aftertone_sip::{ConnectionId, Flow, RequestFailure, RequestId, Response, Transport, Uri};

pub(crate) use self::{
    line::{Line, LineId, Waits},
    registration::credentials,
};
use crate::{Event, Exchange, timers::Timer};

/// A trunk with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct TrunkAccount {
    /// Everything else.
    pub trunk: Trunk,
    /// For digest; empty where none is asked for.
    pub password: String,
}

impl std::fmt::Debug for TrunkAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrunkAccount").field("trunk", &self.trunk.name).finish_non_exhaustive()
    }
}

/// Joins a question to the network and its answer. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReachId(pub u64);

/// One way to a peer: a result of looking its name up (RFC 3263).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// Whom a certificate must be for.
    pub name: String,
    /// The SHA-256 of the one certificate that is taken; the exchange puts it in.
    pub fingerprint: Option<String>,
}

/// How a trunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrunkState {
    /// It carries calls.
    Up,
    /// It is being looked up, connected to, or registered at.
    Connecting,
    /// It can't be reached.
    Unreachable,
    /// It refuses our name or password.
    Refused,
}

/// What a trunk is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrunkStep {
    /// Its server's name is being looked up.
    Locating,
    /// A connection is being opened.
    Connecting,
    /// It was asked, and has not answered yet.
    Registering,
    /// It carries calls.
    Up,
    /// It failed, and is tried again after a pause.
    Waiting,
}

/// What the last try failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrunkFailure {
    /// The server's name leads nowhere.
    NotFound,
    /// No connection could be opened, or it broke.
    NotReached,
    /// The server's certificate is not trusted, or it doesn't speak TLS.
    Untrusted,
    /// It was asked and did not answer.
    Silent,
    /// It doesn't take our name and password (401 and 407 to a request that had them).
    WrongCredentials,
    /// It refused with this status.
    Refused(u16),
}

/// How a trunk gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrunkReport {
    /// What it is doing.
    pub step: TrunkStep,
    /// What the last try failed at; none once it is up.
    pub failure: Option<TrunkFailure>,
    /// Tries in a row that reached nothing, each over every way there is.
    pub failures: u32,
}

impl Exchange {
    /// Replaces the trunks. Those that are new or have changed begin anew; calls over those that are gone go on.
    pub fn handle_trunks(&mut self, accounts: Vec<TrunkAccount>, now: Now) {
        let gone: Vec<_> = self.lines.iter().filter(|(_, line)| !accounts.contains(&line.account)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(line) = self.lines.remove(&id) {
                self.leave(&line, now);
            }
        }
        for account in accounts {
            if self.lines.values().any(|line| line.account == account) {
                continue;
            }
            self.last_line += 1;
            let id = LineId(self.last_line);
            let contact = format!("t-{:032x}", self.random_bits());
            let call_id = format!("{:032x}", self.random_bits());
            if let Some(line) = Line::new(account, contact, call_id) {
                self.lines.insert(id, line);
                self.locate(id, now);
            }
        }
        self.pump(now);
    }

    /// The result of [`Event::Locate`]: the ways to try, in order; none if the name can't be resolved.
    pub fn handle_located(&mut self, request: ReachId, ways: Vec<Way>, now: Now) {
        self.reopened_elsewhere(request, &ways, now);
        if let Some(id) = self.line_that(|line| line.waits == Waits::Locate(request))
            && let Some(line) = self.lines.get_mut(&id)
        {
            line.peers = ways.iter().map(|way| way.address.ip().to_canonical()).collect();
            line.ways = ways.into();
            if line.ways.is_empty() {
                line.failure = Some(TrunkFailure::NotFound);
            }
            self.try_next_way(id, now);
        }
        self.pump(now);
    }

    /// The result of [`Event::Reach`] and [`Event::Reopen`]: the flow to it (for a connection: open, and told by
    /// [`Exchange::handle_connected`] before), or `None`.
    pub fn handle_reached(&mut self, request: ReachId, flow: Option<Flow>, now: Now) {
        self.reopened(request, flow, now);
        if let Some(id) = self.line_that(|line| line.waits == Waits::Reach(request)) {
            if let Some(connection) = flow.and_then(|flow| flow.connection) {
                self.ua.opened(connection);
            }
            match flow {
                Some(flow) => self.line_reached(id, flow, now),
                None => self.line_not_reached(id, TrunkFailure::NotReached, now),
            }
        }
        self.pump(now);
    }

    /// The result of [`Event::Reach`] where the other end was there but showed no certificate that is trusted.
    pub fn handle_untrusted(&mut self, request: ReachId, now: Now) {
        if let Some(id) = self.line_that(|line| line.waits == Waits::Reach(request)) {
            self.line_not_reached(id, TrunkFailure::Untrusted, now);
        }
        self.pump(now);
    }

    /// Addresses have changed, or the machine slept: every trunk is looked up and registered at anew, now.
    pub fn handle_network_changed(&mut self, now: Now) {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            if let Some(line) = self.lines.get_mut(&id) {
                // Another network has another NAT, or none.
                line.seen_as = None;
            }
            self.locate(id, now);
        }
        self.pump(now);
    }

    /// How the trunks are, by name.
    #[must_use]
    pub fn trunks(&self) -> BTreeMap<String, TrunkState> {
        self.lines.values().map(|line| (line.account.trunk.name.clone(), line.state())).collect()
    }

    /// Brings `known` up to how the trunks get on, by name; whether that changed it.
    pub fn report_trunks(&self, known: &mut BTreeMap<String, TrunkReport>) -> bool {
        let reports = || self.lines.values().map(|line| (&line.account.trunk.name, line.report()));
        let is_same = known.len() == self.lines.len() && reports().all(|(name, report)| known.get(name) == Some(&report));
        if !is_same {
            *known = reports().map(|(name, report)| (name.clone(), report)).collect();
        }
        !is_same
    }

    /// The line that a request came over: by the connection or address that the line uses, or by the contact that we gave it
    /// alone; else by an address of the peer's, unless the sender claims to be one of ours.
    pub(crate) fn line_of(&self, uri: &Uri, flow: Flow, claims_us: bool) -> Option<LineId> {
        let ip = flow.remote.ip().to_canonical();
        let user = uri.user().unwrap_or_default();
        let is_exact = |line: &Line| line.uses(flow) || (line.is_of_peer(ip) && line.contact_user == user);
        let first = |matches: &dyn Fn(&Line) -> bool| self.lines.iter().find(|(_, line)| matches(line)).map(|(id, _)| *id);
        // Two accounts at one provider share its addresses: the contact tells them apart, then the number.
        let by_contact = first(&|line: &Line| is_exact(line) && line.contact_user == user);
        let by_number = || first(&|line: &Line| is_exact(line) && self.trunk_number(line, &user).is_some());
        by_contact
            .or_else(by_number)
            .or_else(|| first(&is_exact))
            .or_else(|| if claims_us { None } else { first(&|line: &Line| line.is_of_peer(ip)) })
    }

    /// Whether this is the address of a trunk's peer.
    pub(crate) fn is_trunk_peer(&self, ip: IpAddr) -> bool {
        self.lines.values().any(|line| line.is_of_peer(ip))
    }

    /// A response to a request of ours outside calls, if it is a line's.
    pub(crate) fn on_line_response(&mut self, request: RequestId, result: Result<Response, RequestFailure>, now: Now) {
        if self.leaving.remove(&request) {
            return;
        }
        let Some(id) = self.line_that(|line| line.waits == Waits::Response(request)) else { return };
        self.line_answered(id, result, now);
    }

    /// A connection is closed: the lines over it begin anew.
    pub(crate) fn lines_closed(&mut self, connection: ConnectionId, now: Now) {
        let over = |line: &Line| line.flow.is_some_and(|flow| flow.connection == Some(connection));
        for id in self.lines.iter().filter(|(_, line)| over(line)).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.line_failed(id, TrunkFailure::NotReached, now);
        }
    }

    pub(crate) fn line_is_due(&mut self, id: LineId, round: u64, now: Now) {
        let Some(line) = self.lines.get(&id).filter(|line| line.round == round) else { return };
        match line.flow {
            Some(_) if line.is_up => self.ask(id, now),
            Some(_) | None => self.locate(id, now),
        }
    }

    fn line_that(&self, matches: impl Fn(&Line) -> bool) -> Option<LineId> {
        self.lines.iter().find(|(_, line)| matches(line)).map(|(id, _)| *id)
    }

    pub(crate) fn new_reach(&mut self) -> ReachId {
        self.last_reach += 1;
        ReachId(self.last_reach)
    }

    /// Begins anew, with a look-up.
    fn locate(&mut self, id: LineId, now: Now) {
        let request = self.new_reach();
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.begin(Waits::Locate(request));
        let uri = line.server.clone();
        self.timers.set(now.mono + registration::LOCATE_WAIT, Timer::Reach(request));
        self.events(Event::Locate { request, uri });
    }

    /// The network did not answer.
    pub(crate) fn reach_is_late(&mut self, request: ReachId, now: Now) {
        self.reopened(request, None, now);
        for (waits, failure) in
            [(Waits::Locate(request), TrunkFailure::NotFound), (Waits::Reach(request), TrunkFailure::NotReached)]
        {
            if let Some(id) = self.line_that(|line| line.waits == waits) {
                return self.line_not_reached(id, failure, now);
            }
        }
    }

    fn line_not_reached(&mut self, id: LineId, failure: TrunkFailure, now: Now) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.failure = Some(failure);
        }
        self.try_next_way(id, now);
    }

    /// The next way of the last look-up; after the last of them, a pause and a new look-up.
    fn try_next_way(&mut self, id: LineId, now: Now) {
        let request = self.new_reach();
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(way) = line.ways.pop_front() else { return self.back_off(id, now) };
        let way = Way { fingerprint: line.account.trunk.fingerprint.clone(), ..way };
        line.begin(Waits::Reach(request));
        self.timers.set(now.mono + registration::REACH_WAIT, Timer::Reach(request));
        self.events(Event::Reach { request, way });
    }

    fn line_reached(&mut self, id: LineId, flow: Flow, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.flow = Some(flow);
        line.waits = Waits::Nothing;
        self.ask(id, now);
    }

    /// The flow carries nothing: the next way is tried, or it is begun anew after a pause.
    fn line_failed(&mut self, id: LineId, failure: TrunkFailure, now: Now) {
        let is_refused = matches!(failure, TrunkFailure::WrongCredentials | TrunkFailure::Refused(403 | 404));
        let Some(line) = self.lines.get_mut(&id) else { return };
        let was_up = line.is_up;
        (line.refused, line.failure) = (is_refused, Some(failure));
        self.tell_trunk(id, was_up);
        if was_up {
            // It worked until now, so all its ways are worth another try.
            self.back_off(id, now);
        } else if is_refused {
            // Another machine of the same peer refuses as well.
            if let Some(line) = self.lines.get_mut(&id) {
                line.ways.clear();
            }
            self.back_off(id, now);
        } else {
            self.try_next_way(id, now);
        }
    }

    fn back_off(&mut self, id: LineId, now: Now) {
        let spread = self.random_bits();
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.begin(Waits::Nothing);
        let pause = registration::pause(line.failures, spread);
        line.failures = line.failures.saturating_add(1);
        let round = line.round;
        self.timers.set(now.mono + pause, Timer::Line(id, round));
    }

    /// Tells the server, if the line's being up has changed since `was_up`.
    fn tell_trunk(&mut self, id: LineId, was_up: bool) {
        let Some(line) = self.lines.get(&id) else { return };
        if was_up || line.is_up || line.refused {
            let (name, state) = (line.account.trunk.name.clone(), line.state());
            self.events(Event::TrunkChanged(name, state));
        }
    }
}

//! How calls end, and what the call logs get.

use aftertone_model::{CallId, CallRecord, Caller, Direction, EndReason, Now, SubscriberId, Timestamp};
use aftertone_sip::{ConnectionId, EndedBy, Headers, SessionId, origin::Reason};

use crate::{
    Directory, Exchange, LegId, MediaCommand, MediaFailure,
    call::{Call, Called, Partner, RETURN_WAIT, State, TRUNK_RETURN_WAIT},
    direct::Way,
    incoming::RETRY_AFTER,
    measured::of_direct,
    party,
    ringing::GivenUp,
    timers::Timer,
};

/// What ends a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The caller hung up, or gave up; there is nobody left to tell.
    CallerGone,
    /// The exchange in front has found somebody else who takes the call (RFC 3326), so that nobody here has missed it.
    TakenElsewhere,
    /// The called device hung up.
    CalleeGone,
    /// The caller's own connection or silence ended it, or both sides are hung up on.
    Failed,
    /// The media plane could not describe the caller's leg.
    NoMedia(MediaFailure),
    /// A deposit ended by itself.
    DepositOver,
    /// The outside refused, with this status.
    Refused(u16),
}

impl End {
    /// What a caller hears who was not answered yet.
    fn status(&self) -> u16 {
        match self {
            Self::CallerGone | Self::TakenElsewhere => 487,
            Self::CalleeGone => 480,
            Self::Failed | Self::DepositOver => 500,
            Self::Refused(status) => *status,
            Self::NoMedia(MediaFailure::Unacceptable(_)) => 488,
            Self::NoMedia(MediaFailure::Exhausted) => 503,
            Self::NoMedia(MediaFailure::Failed(_)) => 500,
        }
    }
}

/// What a record says of the end.
struct Outcome {
    answered_at: Option<Timestamp>,
    end: EndReason,
    diverted: Option<aftertone_model::Reason>,
}

impl Exchange {
    /// CANCEL of the caller.
    pub(crate) fn on_cancelled(&mut self, session: SessionId, headers: &Headers, now: Now) {
        let Some((id, _)) = self.sessions.remove(&session) else { return };
        let is_believed = self.calls.get(&id).is_some_and(|call| call.stranger.is_none());
        let is_taken = is_believed && Reason::sip_cause(headers) == Some(200);
        self.finish(id, if is_taken { End::TakenElsewhere } else { End::CallerGone }, now);
    }

    /// `headers`: of the BYE, whose Reason the other side is told.
    pub(crate) fn on_ended(&mut self, session: SessionId, by: EndedBy, headers: &Headers, now: Now) {
        let Some((id, leg)) = self.sessions.remove(&session) else { return };
        if self.transferor_left(id, leg, now) {
            return;
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if leg == call.caller.leg || call.is_partner(leg) {
            call.farewell = reasons(headers);
        }
        let is_caller = leg == call.caller.leg;
        let answered = !matches!(call.state, State::Ringing);
        match by {
            EndedBy::Remote if is_caller => self.finish(id, End::CallerGone, now),
            EndedBy::Timeout | EndedBy::Transport if is_caller && !answered => self.finish(id, End::CallerGone, now),
            EndedBy::Remote if call.is_partner(leg) => self.finish(id, End::CalleeGone, now),
            EndedBy::Timeout | EndedBy::Transport if is_caller || call.is_partner(leg) => self.finish(id, End::Failed, now),
            EndedBy::Remote | EndedBy::Timeout | EndedBy::Transport => self.forget_leg(id, leg),
        }
    }

    pub(crate) fn deposit_is_over(&mut self, leg: LegId, now: Now) {
        let Some(id) = self.leg_calls.get(&leg).copied() else { return };
        let is_deposit = self.calls.get(&id).is_some_and(|call| matches!(call.state, State::Running(Partner::Mailbox { .. })));
        if is_deposit {
            self.finish(id, End::DepositOver, now);
        }
    }

    pub(crate) fn media_failed(&mut self, leg: LegId, now: Now) {
        let Some(id) = self.leg_calls.get(&leg).copied() else { return };
        let Some(call) = self.calls.get(&id) else { return };
        if leg == call.caller.leg || call.is_partner(leg) {
            self.finish(id, End::Failed, now);
        } else {
            self.ringing_leg_failed(id, leg, now);
        }
    }

    /// The calls of phones whose credentials are gone in `directory` end.
    pub(crate) fn hang_up_revoked(&mut self, directory: &Directory, now: Now) {
        let people = self.directory.people().map(|person| person.subscriber.id);
        let bindings = people.flat_map(|owner| self.bindings.of(owner).iter().map(move |binding| (owner, binding)));
        let gone = bindings.filter(|(owner, binding)| binding.is_phone && !directory.has_phone(*owner, binding.device));
        let flows: Vec<_> = gone.map(|(_, binding)| (binding.flow.remote, binding.flow.connection)).collect();
        if flows.is_empty() {
            return;
        }
        let over_one =
            |session| self.ua.session_flow(session).is_some_and(|flow| flows.contains(&(flow.remote, flow.connection)));
        let talks = |call: &Call, leg: LegId| leg == call.caller.leg || call.is_partner(leg);
        let calls = self.calls.values();
        let theirs = calls.filter(|call| call.sessions().any(|(leg, session)| talks(call, leg) && over_one(session)));
        for id in theirs.map(|call| call.id).collect::<Vec<_>>() {
            // Both sides are hung up on.
            self.finish(id, End::Failed, now);
        }
    }

    /// A connection closed: established legs over it have a moment to come back over another one.
    pub(crate) fn await_return(&mut self, connection: ConnectionId, now: Now) {
        let over = |session| self.ua.session_flow(session).is_some_and(|flow| flow.connection == Some(connection));
        for call in self.calls.values() {
            for (leg, _) in call.sessions().filter(|(_, session)| over(*session)) {
                let wait = if call.line(leg).is_some() { TRUNK_RETURN_WAIT } else { RETURN_WAIT };
                self.timers.set(now.mono + wait, Timer::Return(call.id, leg, connection));
            }
        }
    }

    pub(crate) fn return_is_due(&mut self, id: CallId, leg: LegId, connection: ConnectionId, now: Now) {
        let Some(call) = self.calls.get(&id) else { return };
        let flow = call.session(leg).and_then(|session| self.ua.session_flow(session));
        if flow.is_none_or(|flow| flow.connection == Some(connection)) && (leg == call.caller.leg || call.is_partner(leg)) {
            self.finish(id, End::Failed, now);
        }
    }

    /// Everything about a call ends: sessions, media, and it is logged.
    pub(crate) fn finish(&mut self, id: CallId, end: End, now: Now) {
        let given_up = if end == End::TakenElsewhere { GivenUp::AnsweredElsewhere } else { GivenUp::CallerGone };
        self.give_up_legs(id, None, given_up, now);
        let status = end.status();
        self.report(id, status, now);
        let Some(mut call) = self.calls.remove(&id) else { return };
        self.pending.retain(|_, pending| !pending.is_of(id));
        let direct = if matches!(call.way, Way::Direct) { of_direct(&call) } else { None };
        self.refuse_deferred(std::mem::take(&mut call.way), now);
        if let Some(to) = call.transfer {
            self.abort_transfer(to, now);
        }
        match call.lender {
            Some(lender) => self.give_back(lender),
            None if call.caller.is_released => {}
            None => self.let_go(&call, &end, now),
        }
        self.measure_deposit(&call);
        let mut records = records(&call, &end, now.wall);
        records.iter_mut().filter(|record| record.answered_at.is_some()).for_each(|record| record.figures.clone_from(&direct));
        self.log(&call, records);
    }

    /// The caller's leg ends with the call.
    fn let_go(&mut self, call: &Call, end: &End, now: Now) {
        let session = call.caller.session;
        self.sessions.remove(&session);
        self.leg_calls.remove(&call.caller.leg);
        match call.state {
            _ if matches!(end, End::CallerGone | End::TakenElsewhere) => {}
            State::Ringing | State::Deciding(_) if !call.caller.is_answered => {
                let headers = match end.status() {
                    503 => Headers::new().with("Retry-After", RETRY_AFTER),
                    _ => Headers::new(),
                };
                self.ua.reject(session, end.status(), headers, now.mono);
            }
            State::Ringing | State::Deciding(_) | State::Accepted(_) | State::Running(_) => {
                self.ua.hang_up(session, call.farewell.clone(), now.mono);
            }
        }
        if call.caller.has_media {
            self.command(MediaCommand::Close { leg: call.caller.leg });
        }
    }

    /// Somebody leaves a call that goes on without them.
    pub(crate) fn log_leaving(&mut self, id: CallId, leg: LegId, now: Now) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let (end, person) = if leg == call.caller.leg {
            (End::CallerGone, call.origin)
        } else {
            (End::CalleeGone, call.legs.get(&leg).and_then(|device| device.owner))
        };
        if let Some(person) = person {
            let records = records(&call, &end, now.wall).into_iter().filter(|record| record.owner == person).collect();
            call.logged.insert(person);
            self.log(&call, records);
        }
        self.calls.insert(id, call);
    }
}

/// One of SIP and one of ISDN are usual.
const MOST_REASONS: usize = 4;

/// Why a party hangs up (RFC 3326), as it can be told to the other one.
fn reasons(headers: &Headers) -> Headers {
    Reason::all(headers).iter().take(MOST_REASONS).fold(Headers::new(), |told, reason| told.with("Reason", reason))
}

/// What goes into the call logs: the called person's, the caller's if that is one of ours, and those of people whom the call
/// was forwarded to. The mailbox's owner gets theirs with the deposit. Somebody who called their own mailbox needs no record
/// beside that, nor does who listened to it by phone; a test call is none of anybody's.
fn records(call: &Call, end: &End, ended_at: Timestamp) -> Vec<CallRecord> {
    let callee = call.callee().map(|callee| callee.id);
    let is_own = callee.is_some() && call.origin == callee;
    let mut records = Vec::new();
    if call.is_test {
        return records;
    }
    if let Some(callee) = callee.filter(|_| !is_own)
        && let Some(outcome) = callee_outcome(call, end, callee)
    {
        records.push(record(call, callee, Direction::Incoming, outcome, ended_at));
    }
    for person in &call.forwarded {
        let outcome =
            callee_outcome(call, end, *person).unwrap_or(Outcome { answered_at: None, end: EndReason::NoAnswer, diverted: None });
        records.push(record(call, *person, Direction::Incoming, outcome, ended_at));
    }
    if let Some(origin) = call.origin.filter(|_| !is_own && !matches!(call.called, Called::Menu(_))) {
        records.push(record(call, origin, Direction::Outgoing, caller_outcome(call, end), ended_at));
    }
    records.retain(|record| !call.logged.contains(&record.owner));
    records
}

/// `None`: the deposit's record says it.
fn callee_outcome(call: &Call, end: &End, person: SubscriberId) -> Option<Outcome> {
    let unanswered = |end, diverted| Some(Outcome { answered_at: None, end, diverted });
    let missed = match end {
        End::CallerGone => EndReason::Cancelled,
        End::TakenElsewhere => EndReason::AnsweredElsewhere,
        End::CalleeGone | End::Failed | End::NoMedia(_) | End::DepositOver | End::Refused(_) => EndReason::Failed,
    };
    match call.state {
        State::Ringing => unanswered(missed, None),
        State::Running(Partner::Mailbox { .. }) => None,
        State::Deciding(Partner::Mailbox { reason }) | State::Accepted(Partner::Mailbox { reason }) => {
            unanswered(missed, Some(reason))
        }
        State::Deciding(Partner::Device { owner, answered_at, .. })
        | State::Accepted(Partner::Device { owner, answered_at, .. })
        | State::Running(Partner::Device { owner, answered_at, .. }) => {
            if owner == Some(person) {
                let end = ended_for(end, EndReason::RemoteHangup, EndReason::LocalHangup);
                Some(Outcome { answered_at: Some(answered_at), end, diverted: None })
            } else {
                unanswered(EndReason::AnsweredElsewhere, None)
            }
        }
    }
}

fn caller_outcome(call: &Call, end: &End) -> Outcome {
    let unanswered = match end {
        End::CallerGone | End::TakenElsewhere => EndReason::Cancelled,
        End::Refused(486 | 600) => EndReason::Busy,
        End::Refused(603) => EndReason::Declined,
        End::Refused(408 | 480 | 487) => EndReason::NoAnswer,
        End::Refused(_) | End::CalleeGone | End::Failed | End::NoMedia(_) | End::DepositOver => EndReason::Failed,
    };
    match call.state {
        State::Ringing | State::Deciding(Partner::Mailbox { .. }) => {
            Outcome { answered_at: None, end: unanswered, diverted: None }
        }
        State::Accepted(Partner::Mailbox { reason }) | State::Running(Partner::Mailbox { reason }) => {
            Outcome { answered_at: None, end: EndReason::Diverted, diverted: Some(reason) }
        }
        State::Deciding(Partner::Device { answered_at, .. })
        | State::Accepted(Partner::Device { answered_at, .. })
        | State::Running(Partner::Device { answered_at, .. }) => {
            let end = ended_for(end, EndReason::LocalHangup, EndReason::RemoteHangup);
            Outcome { answered_at: Some(answered_at), end, diverted: None }
        }
    }
}

fn ended_for(end: &End, caller_gone: EndReason, callee_gone: EndReason) -> EndReason {
    match end {
        End::CallerGone | End::TakenElsewhere => caller_gone,
        End::CalleeGone => callee_gone,
        End::Failed | End::NoMedia(_) | End::DepositOver | End::Refused(_) => EndReason::Failed,
    }
}

/// The other side of an outgoing call, as its caller logs it.
pub(crate) fn called_party(call: &Call) -> Caller {
    match &call.called {
        Called::Person(callee) => party::person(callee),
        Called::Outside(outside) => Caller { number: outside.number.normal.clone(), name: None },
        Called::Menu(_) => Caller { number: crate::MAILBOX_USER.to_owned(), name: None },
    }
}

fn record(call: &Call, owner: SubscriberId, direction: Direction, outcome: Outcome, ended_at: Timestamp) -> CallRecord {
    let party = match direction {
        Direction::Incoming => call.party.clone(),
        Direction::Outgoing => called_party(call),
    };
    let Outcome { answered_at, end, diverted } = outcome;
    let (started_at, message, figures) = (call.started_at, None, None);
    CallRecord { call: call.id, owner, direction, party, started_at, answered_at, ended_at, end, diverted, message, figures }
}

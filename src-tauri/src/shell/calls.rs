//! The calls that the window shows: those that go on, and for some seconds those that ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::sound::Cue;
use aftertone_client::{CallPhase, CallQuality, CallSnapshot, MediaPath};
use aftertone_model::{CallId, Caller, Direction, Timestamp};
use aftertone_view::{CallState, CallView, PartyView, QualityView, bars};

/// How long an ended call stays, so that the reason can be read.
pub(super) const SHOWN_AFTER_END: Duration = Duration::from_secs(4);

/// The calls, in the order they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    shown: BTreeMap<(Timestamp, CallId), (CallSnapshot, u32)>,
    quality: BTreeMap<CallId, QualityView>,
    /// The keys that were pressed.
    digits: BTreeMap<CallId, String>,
    /// Those that are recorded.
    recorded: BTreeSet<CallId>,
}

impl Calls {
    /// `waiting` messages of the other party were not heard yet.
    pub(super) fn update(&mut self, call: CallSnapshot, waiting: u32) {
        self.shown.insert((call.started_at, call.id), (call, waiting));
    }

    /// How a call sounds; `true` when that is news.
    pub(super) fn heard(&mut self, quality: &CallQuality) -> bool {
        let view = quality_view(quality);
        self.quality.insert(quality.call, view.clone()).is_none_or(|before| before != view)
    }

    /// A call is recorded, or not any more.
    pub(super) fn recorded(&mut self, call: CallId, is_recorded: bool) {
        if is_recorded {
            self.recorded.insert(call);
        } else {
            self.recorded.remove(&call);
        }
    }

    /// Whom a call is with.
    pub(super) fn party(&self, id: CallId) -> Option<&Caller> {
        self.shown.values().find(|(call, _)| call.id == id).map(|(call, _)| &call.party)
    }

    pub(super) fn forget(&mut self, id: CallId) {
        self.quality.remove(&id);
        self.digits.remove(&id);
        self.recorded.remove(&id);
        self.shown.retain(|(_, call), _| *call != id);
    }

    /// A key was pressed in a call.
    pub(super) fn pressed(&mut self, id: CallId, digit: char) {
        self.digits.entry(id).or_default().push(digit);
    }

    /// The calls that somebody talks in, besides `one`: they are held while that one is talked in.
    pub(super) fn talked_in_besides(&self, one: CallId) -> Vec<CallId> {
        let talks = |call: &CallSnapshot| call.phase == CallPhase::Active && !call.held && call.id != one;
        self.shown.values().filter(|(call, _)| talks(call)).map(|(call, _)| call.id).collect()
    }

    pub(super) fn knows(&self, id: CallId) -> bool {
        self.shown.keys().any(|(_, call)| *call == id)
    }

    /// Whether an incoming call wants to be heard.
    pub(super) fn any_rings(&self) -> bool {
        self.shown.values().any(|(call, _)| call.direction == Direction::Incoming && matches!(call.phase, CallPhase::Ringing))
    }

    /// Whether somebody can be heard.
    pub(super) fn any_connected(&self) -> bool {
        self.shown.values().any(|(call, _)| matches!(call.phase, CallPhase::Active | CallPhase::Connecting))
    }

    /// What these calls let be heard besides voices.
    pub(super) fn cue(&self) -> Option<Cue> {
        let rings_there = |call: &CallSnapshot| call.direction == Direction::Outgoing && matches!(call.phase, CallPhase::Ringing);
        match (self.any_rings(), self.any_connected()) {
            (true, false) => Some(Cue::Ring),
            (true, true) => Some(Cue::Waiting),
            (false, _) => self.shown.values().any(|(call, _)| rings_there(call)).then_some(Cue::Ringback),
        }
    }

    /// `test` says which of them are test calls, `recordable` whether any may be recorded.
    pub(super) fn views(&self, test: impl Fn(&CallSnapshot) -> bool, recordable: bool) -> Vec<CallView> {
        let view = |(call, waiting): &(CallSnapshot, u32)| CallView {
            id: call.id,
            direction: call.direction.into(),
            party: PartyView::from(&call.party),
            state: state(call),
            muted: call.muted,
            recording: self.recorded.contains(&call.id),
            recordable,
            held: call.held,
            held_by_other: call.held_by_other,
            quality: self.quality.get(&call.id).cloned(),
            digits: self.digits.get(&call.id).cloned().unwrap_or_default(),
            waiting_messages: *waiting,
            test: test(call),
        };
        self.shown.values().map(view).collect()
    }
}

fn quality_view(quality: &CallQuality) -> QualityView {
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    QualityView {
        bars: bars(quality.mos),
        codec: quality.codec.name().into(),
        round_trip_ms: quality.round_trip.map(ms),
        loss_permille: quality.loss_permille,
        jitter_ms: ms(quality.jitter),
        mos_tenths: (quality.mos * 10.0).round() as u8,
        relayed: quality.path == MediaPath::Relayed,
        one_way: quality.one_way,
        unheard: quality.unheard,
    }
}

fn state(call: &CallSnapshot) -> CallState {
    match call.phase {
        CallPhase::Dialing => CallState::Dialling,
        CallPhase::Ringing => CallState::Ringing,
        CallPhase::Connecting | CallPhase::Active => CallState::Connected { since: call.answered_at.unwrap_or(call.started_at) },
        CallPhase::Ended(reason) => CallState::Ended { reason: reason.into() },
    }
}

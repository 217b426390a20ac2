//! How calls sounded: what the media plane has measured of legs, on its way into the call records.
//!
//! A record is logged when the call ends; the figures follow when the plane has closed the leg, and find it by what is noted
//! here. A leg that is handed on from call to call is measured once, for all of them.

use aftertone_model::{CallFigures, CallId, CallRecord, Direction, MeasuredCall, MediaPath, SubscriberId};

use crate::{
    Event, Exchange, LegFigures, LegId,
    call::{Call, Partner, State},
};

/// The record that a leg's figures belong into.
#[derive(Debug)]
pub(crate) struct Awaiting {
    call: CallId,
    owner: SubscriberId,
    direction: Direction,
    path: MediaPath,
}

impl Exchange {
    /// Records go into the log; the figures of their legs will follow them.
    pub(crate) fn log(&mut self, call: &Call, records: Vec<CallRecord>) {
        for record in records {
            if let Some((leg, path)) = heard_on(call, &record) {
                let (call, owner, direction) = (record.call, record.owner, record.direction);
                self.measuring.entry(leg).or_default().push(Awaiting { call, owner, direction, path });
            }
            self.events(Event::Logged(record));
        }
    }

    /// The record of a deposit's owner is the media plane's, its figures come as all others do.
    pub(crate) fn measure_deposit(&mut self, call: &Call) {
        let is_deposit = matches!(call.state, State::Running(Partner::Mailbox { .. })) && !call.is_test;
        if let Some(callee) = call.callee().filter(|_| is_deposit) {
            let (leg, call, owner) = (call.caller.leg, call.id, callee.id);
            let awaiting = Awaiting { call, owner, direction: Direction::Incoming, path: MediaPath::Mailbox };
            self.measuring.entry(leg).or_default().push(awaiting);
        }
    }

    /// The media plane has closed a leg.
    pub(crate) fn on_measured(&mut self, leg: LegId, figures: Option<LegFigures>) {
        let awaiting = self.measuring.remove(&leg).unwrap_or_default();
        let Some(figures) = figures else { return };
        for Awaiting { call, owner, direction, path } in awaiting {
            let LegFigures { codec, encrypted, inbound, outbound, round_trip_ms } = figures;
            let codec = codec.name().to_owned();
            let figures = CallFigures { codec, path, encrypted, inbound: Some(inbound), outbound, round_trip_ms };
            self.events(Event::Measured(MeasuredCall { call, owner, direction, figures }));
        }
    }
}

/// All that is known of media that the server never saw.
pub(crate) fn of_direct(call: &Call) -> Option<CallFigures> {
    let codec = call.caller.codec?.name().to_owned();
    Some(CallFigures { codec, path: MediaPath::Direct, encrypted: true, inbound: None, outbound: None, round_trip_ms: None })
}

/// On which leg the owner of a record spoke, and where to; `None` where they didn't, or not by way of the server.
fn heard_on(call: &Call, record: &CallRecord) -> Option<(LegId, MediaPath)> {
    let (State::Accepted(partner) | State::Running(partner)) = call.state else { return None };
    if record.figures.is_some() {
        return None;
    }
    let caller = call.caller.leg;
    match (partner, record.direction) {
        (Partner::Device { .. }, Direction::Outgoing) => Some((caller, MediaPath::Relay)),
        (Partner::Device { leg, owner, .. }, Direction::Incoming) => {
            (owner == Some(record.owner)).then_some((leg, MediaPath::Relay))
        }
        (Partner::Mailbox { .. }, Direction::Outgoing) => Some((caller, MediaPath::Mailbox)),
        (Partner::Mailbox { .. }, Direction::Incoming) => None,
    }
}

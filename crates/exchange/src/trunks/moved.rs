//! Calls that go on when their trunk is reached another way: from another address of ours, or over another connection.

use aftertone_model::{CallId, Now};
use aftertone_sip::{Flow, NameAddr, RequestFailure, SessionId};

use super::LineId;
use crate::{
    Described, Exchange, LegId, MediaCommand, MediaFailure,
    call::{Call, Partner, State},
    media::Purpose,
};

/// How a line was reached, and where its peer reaches us.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    flow: Flow,
    contact: NameAddr,
}

impl Exchange {
    /// The line works over its flow. If that is another one than before, its calls go the new way, and the peer is told where
    /// we and our sound are now.
    pub(super) fn bring_calls(&mut self, id: LineId, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(flow) = line.flow else { return };
        let here = Place { flow, contact: line.contact_over(flow) };
        let Some(before) = line.place.replace(here.clone()).filter(|before| *before != here) else { return };
        let of_line = |call: &Call, leg| call.line(leg) == Some(id) && talks(call, leg);
        let legs = |call: &Call| {
            let legs = call.sessions().filter(|(leg, _)| of_line(call, *leg));
            legs.map(|(leg, session)| (call.id, leg, session)).collect::<Vec<_>>()
        };
        for (call, leg, session) in self.calls.values().flat_map(legs).collect::<Vec<_>>() {
            self.bring_call(id, (call, leg, session), &before, &here, now);
        }
    }

    fn bring_call(
        &mut self,
        line: LineId,
        (id, leg, session): (CallId, LegId, SessionId),
        before: &Place,
        here: &Place,
        now: Now,
    ) {
        let Some(old) = self.ua.session_flow(session) else { return };
        // The peer may have called from another machine of its own; a datagram still goes there.
        let is_elsewhere = old.connection.is_none() && old.remote != before.flow.remote && here.flow.connection.is_none();
        let flow = if is_elsewhere { Flow { local: here.flow.local, ..old } } else { here.flow };
        self.ua.move_session(session, flow, Some(here.contact.clone()));
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (media, prefer) = if leg == call.caller.leg {
            call.caller.flow = flow;
            (call.caller.media, call.caller.codec)
        } else {
            let Some(device) = call.legs.get_mut(&leg) else { return };
            device.flow = flow;
            (device.media, device.codec)
        };
        let (peer, prefer) = (self.towards(Some(line), flow), prefer.into_iter().collect());
        let request = self.ask_media(id, leg, Purpose::Moved, now);
        self.command(MediaCommand::Offer { request, call: self.media_call(id), leg, media, peer, prefer });
    }

    /// The peer is told where the sound of a call is now.
    pub(crate) fn moved_described(&mut self, id: CallId, leg: LegId, result: Result<Described, MediaFailure>, now: Now) {
        let session = self.calls.get(&id).and_then(|call| call.session(leg));
        if let (Some(session), Ok(described)) = (session, result) {
            self.ua.reinvite(session, described.sdp, now.mono);
        }
    }

    /// The peer's answer to that. If it refuses, the call goes on as it was: it may still hear us.
    pub(crate) fn on_moved_answered(&mut self, session: SessionId, result: Result<String, RequestFailure>, now: Now) {
        let (Some((id, leg)), Ok(answer)) = (self.sessions.get(&session).copied(), result) else { return };
        self.note_hold(id, leg, &answer);
        let request = self.ask_media(id, leg, Purpose::ReinviteAnswer, now);
        self.command(MediaCommand::Apply { request, leg, answer });
    }
}

/// Whether sound runs over this leg.
fn talks(call: &Call, leg: LegId) -> bool {
    match call.state {
        State::Running(Partner::Device { leg: partner, .. }) => leg == call.caller.leg || leg == partner,
        State::Running(Partner::Mailbox { .. }) => leg == call.caller.leg,
        State::Ringing | State::Deciding(_) | State::Accepted(_) => false,
    }
}

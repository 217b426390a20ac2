//! Media that go directly between two devices of ours, encrypted from end to end and unseen by the server, and their way back
//! to its relay.
//!
//! ```text
//!  caller's offer ----> device          as it is: the media plane is not asked
//!  caller <---- device's answer         the same
//!  ... a device offers anew (its ICE failed, it holds, it has another address), or somebody transfers or replaces
//!  re-INVITE, described by the plane, to each side that has not offered itself; then both are bridged
//! ```

use std::{collections::BTreeSet, net::IpAddr};

use aftertone_media::{Codec, webrtc};
use aftertone_model::{CallId, Now, Reason};
use aftertone_sip::{Flow, IncomingId, NameAddr, ReferTo, Request, RequestFailure, ResponseParts, SessionId};

use crate::{
    Described, Direct, Exchange, LegId, LegMedia, MediaCommand, MediaFailure, Sound,
    call::{Call, Partner, State},
    ended::End,
    media::Purpose,
    requests::{call_headers, contact_of},
};

/// How a call's media go.
#[derive(Debug, Default)]
pub(crate) enum Way {
    /// By the server.
    #[default]
    Relayed,
    /// Between the two devices.
    Direct,
    /// Back to the server.
    Returning {
        /// The legs that are not there yet.
        waiting: BTreeSet<LegId>,
        /// What can only be done there.
        deferred: Vec<Deferred>,
    },
}

/// A request of a party that waits for the media to be back.
#[derive(Debug)]
pub(crate) enum Deferred {
    Refer { session: SessionId, id: IncomingId, to: Box<ReferTo>, by: Option<NameAddr> },
    Replace { session: SessionId, request: Box<Request>, flow: Flow, old: SessionId },
}

impl Exchange {
    /// Whether a call's media may go directly to the device behind `to`.
    pub(crate) fn may_go_directly(&self, call: &Call, to: Flow) -> bool {
        let caller = &call.caller;
        let can = caller.offer.is_some() && !caller.is_answered && caller.media == LegMedia::WebRtc;
        let reaches = match self.config.direct {
            Direct::Never => false,
            Direct::InOneNetwork => share_a_network(caller.flow.remote.ip(), to.remote.ip()),
            Direct::Everywhere => true,
        };
        can && reaches && self.is_ours(caller.flow) && self.is_ours(to)
    }

    /// A device that signed in, which opens new media when it is asked to.
    fn is_ours(&self, flow: Flow) -> bool {
        flow.connection.is_some_and(|connection| matches!(self.connections.get(&connection), Some(Some(_))))
    }

    /// A device took the caller's own offer: its answer is the caller's.
    pub(crate) fn answered_directly(&mut self, id: CallId, leg: LegId, answer: String, now: Now) {
        let codec = webrtc::codecs(&answer).first().copied();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (Some(codec), Some(partner)) = (codec, call.partner()) else { return self.divert(id, Reason::NoAnswer, now) };
        if let Some(device) = call.legs.get_mut(&leg) {
            device.codec = Some(codec);
        }
        call.caller.codec = Some(codec);
        call.way = Way::Direct;
        call.state = State::Accepted(partner);
        let (session, contact) = (call.caller.session, contact_of(call.caller.flow, "call"));
        self.ua.accept(session, contact, answer, call_headers(id), now.mono);
    }

    /// Whether something about a call has to wait until its media are back at the server, where they are called now.
    pub(crate) fn defer(&mut self, id: CallId, deferred: impl FnOnce() -> Deferred, now: Now) -> bool {
        let is_direct = self.calls.get(&id).is_some_and(|call| matches!(call.way, Way::Direct));
        if is_direct {
            self.call_back(id, None, now);
        }
        match self.calls.get_mut(&id).map(|call| &mut call.way) {
            Some(Way::Returning { deferred: waiting, .. }) => {
                waiting.push(deferred());
                true
            }
            Some(Way::Relayed | Way::Direct) | None => false,
        }
    }

    /// A device offers anew: media that were direct come back, and what we would have offered this device is not needed.
    pub(crate) fn offered_anew(&mut self, id: CallId, leg: LegId, now: Now) {
        match self.calls.get(&id).map(|call| &call.way) {
            Some(Way::Direct) => self.call_back(id, Some(leg), now),
            Some(Way::Returning { .. }) => {
                self.pending.retain(|_, pending| !pending.is_return_of(leg));
            }
            Some(Way::Relayed) | None => {}
        }
    }

    /// Calls direct media back: each leg but the one that `offers` itself is offered the server's.
    fn call_back(&mut self, id: CallId, offers: Option<LegId>, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(Partner::Device { leg: partner, .. }) = call.partner() else { return };
        let caller = call.caller.leg;
        call.way = Way::Returning { waiting: [caller, partner].into(), deferred: Vec::new() };
        call.caller.has_media = true;
        if let Some(device) = call.legs.get_mut(&partner) {
            device.is_direct = false;
        }
        let prefer = call.preference();
        for leg in [caller, partner].into_iter().filter(|leg| Some(*leg) != offers) {
            let session = self.calls.get(&id).and_then(|call| call.session(leg));
            let Some(flow) = session.and_then(|session| self.ua.session_flow(session)) else { continue };
            let request = self.ask_media(id, leg, Purpose::Return, now);
            let (call, media, peer, prefer) = (self.media_call(id), LegMedia::WebRtc, flow.remote.ip().into(), prefer.clone());
            self.command(MediaCommand::Offer { request, call, leg, media, peer, prefer });
        }
    }

    fn is_awaited(&self, id: CallId, leg: LegId) -> bool {
        let way = self.calls.get(&id).map(|call| &call.way);
        matches!(way, Some(Way::Returning { waiting, .. }) if waiting.contains(&leg))
    }

    pub(crate) fn return_described(&mut self, id: CallId, leg: LegId, result: Result<Described, MediaFailure>, now: Now) {
        let session = self.calls.get(&id).and_then(|call| call.session(leg));
        let Some(session) = session.filter(|_| self.is_awaited(id, leg)) else { return };
        match result {
            Ok(described) => self.ua.reinvite(session, described.sdp, now.mono),
            Err(_) => self.finish(id, End::Failed, now),
        }
    }

    /// The other end answered our re-INVITE: a device whose media come back, or a trunk's peer that was told where we are now.
    pub(crate) fn on_reinvite_answered(&mut self, session: SessionId, result: Result<String, RequestFailure>, now: Now) {
        let Some((id, leg)) = self.sessions.get(&session).copied() else { return };
        if !self.is_awaited(id, leg) {
            return self.on_moved_answered(session, result, now);
        }
        match result {
            Ok(answer) => {
                let request = self.ask_media(id, leg, Purpose::ReturnAnswer, now);
                self.command(MediaCommand::Apply { request, leg, answer });
            }
            Err(_) => self.finish(id, End::Failed, now),
        }
    }

    /// A leg's media are at the server, or can't be brought there. Nothing to do for legs that were there all the time.
    pub(crate) fn returned(&mut self, id: CallId, leg: LegId, result: Result<Codec, MediaFailure>, now: Now) {
        if !self.is_awaited(id, leg) {
            return;
        }
        let Ok(codec) = result else { return self.finish(id, End::Failed, now) };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if leg == call.caller.leg {
            call.caller.codec = Some(codec);
        } else if let Some(device) = call.legs.get_mut(&leg) {
            device.codec = Some(codec);
        }
        let Way::Returning { waiting, .. } = &mut call.way else { return };
        waiting.remove(&leg);
        if waiting.is_empty() {
            self.all_returned(id, now);
        }
    }

    fn all_returned(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (a, Some(Partner::Device { leg: b, .. })) = (call.caller.leg, call.partner()) else { return };
        let Way::Returning { deferred, .. } = std::mem::take(&mut call.way) else { return };
        let held_by = call.held_by.clone();
        self.command(MediaCommand::Bridge { a, b });
        for leg in held_by {
            let leg = if leg == a { b } else { a };
            self.command(MediaCommand::Play { leg, sound: Sound::HoldMusic, repeat: true });
        }
        for deferred in deferred {
            match deferred {
                Deferred::Refer { session, id, to, by } => self.on_referred(session, id, &to, by, now),
                Deferred::Replace { session, request, flow, old } => self.on_replacing(session, &request, flow, old, now),
            }
        }
    }

    /// The call is over before its media were back.
    pub(crate) fn refuse_deferred(&mut self, way: Way, now: Now) {
        let Way::Returning { deferred, .. } = way else { return };
        for deferred in deferred {
            match deferred {
                Deferred::Refer { id, .. } => self.ua.respond(id, ResponseParts::new(481), now.mono),
                Deferred::Replace { session, .. } => self.ua.reject(session, 481, aftertone_sip::Headers::new(), now.mono),
            }
        }
    }
}

/// Whether two devices, as the server sees them, are likely to reach each other without help: behind one NAT, on one machine,
/// or in one local network.
fn share_a_network(a: IpAddr, b: IpAddr) -> bool {
    match (a.to_canonical(), b.to_canonical()) {
        (a, b) if a == b => true,
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let is_one = (a.to_bits() ^ b.to_bits()) >> 8 == 0;
            is_one && (a.is_private() || a.is_link_local() || a.is_loopback())
        }
        // A network of hosts, RFC 4291 section 2.5.4.
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()) >> 64 == 0,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unwrap_used, reason = "a test")]
    fn check(a: &str, b: &str, expect: bool) {
        assert_eq!(share_a_network(a.parse().unwrap(), b.parse().unwrap()), expect, "{a} {b}");
    }

    #[test]
    fn networks_that_two_devices_share() {
        check("203.0.113.9", "203.0.113.9", true);
        check("203.0.113.9", "203.0.113.8", false);
        check("192.168.1.9", "192.168.1.200", true);
        check("192.168.1.9", "::ffff:192.168.1.7", true);
        check("192.168.1.9", "192.168.2.9", false);
        check("10.0.0.1", "172.16.0.1", false);
        check("127.0.0.1", "127.0.0.2", true);
        check("2001:db8:1:2::1", "2001:db8:1:2::9", true);
        check("2001:db8:1:2::1", "2001:db8:1:3::1", false);
        check("::1", "127.0.0.1", false);
    }
}

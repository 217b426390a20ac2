//! What the telephone network says before the answer ("the number you have dialled …"): a trunk's 18x with a description is
//! relayed to a caller who can take it. Either side may describe itself anew meanwhile.

use aftertone_media::Codec;
use aftertone_model::{CallId, Now};
use aftertone_sip::{Body, ResponseParts};

use crate::{
    Described, Exchange, LegId, LegMedia, MediaCommand, MediaFailure,
    call::State,
    media::Purpose,
    requests::{call_headers, contact_of},
};

impl Exchange {
    /// A trunk described its sound before the answer. Our own devices make a ring tone of their own and take an answer only.
    /// Of several branches behind it the first one is heard.
    pub(crate) fn early_media(&mut self, id: CallId, leg: LegId, (answer, branch): (String, Option<String>), now: Now) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Ringing)) else { return };
        let is_trunk = call.legs.get(&leg).is_some_and(|device| device.line.is_some());
        let takes = call.caller.media == LegMedia::Rtp && call.caller.offer.is_some() && !call.caller.is_answered;
        if !is_trunk || !takes || call.early == Some(leg) {
            return;
        }
        call.early = Some(leg);
        if let Some(device) = call.legs.get_mut(&leg) {
            device.branch = branch;
        }
        let request = self.ask_media(id, leg, Purpose::EarlyAnswer, now);
        self.command(MediaCommand::Apply { request, leg, answer });
    }

    pub(crate) fn early_applied(&mut self, id: CallId, leg: LegId, result: Result<Codec, MediaFailure>, now: Now) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Ringing)) else { return };
        let (Ok(codec), true) = (result, call.early == Some(leg)) else { return };
        if let Some(device) = call.legs.get_mut(&leg) {
            device.codec = Some(codec);
        }
        let caller = &mut call.caller;
        if caller.early.is_some() {
            // A trunk before this one said something too.
            let a = caller.leg;
            return self.command(MediaCommand::Bridge { a, b: leg });
        }
        let Some(offer) = caller.offer.clone() else { return };
        caller.has_media = true;
        let (leg, media, line, flow) = (caller.leg, caller.media, caller.line, caller.flow);
        let peer = self.towards(line, flow);
        let request = self.ask_media(id, leg, Purpose::EarlyDescription, now);
        let (call, prefer) = (self.media_call(id), vec![codec]);
        self.command(MediaCommand::Answer { request, call, leg, media, peer, offer, prefer });
    }

    /// The caller's answer is made, and goes out before the call is answered.
    pub(crate) fn early_described(&mut self, id: CallId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Ringing)) else { return };
        let Some((described, b)) = result.ok().zip(call.early) else { return };
        call.caller.codec = described.codecs.first().copied();
        call.caller.early = Some(described.sdp.clone());
        let (session, a) = (call.caller.session, call.caller.leg);
        let headers = call_headers(id).with("Contact", contact_of(call.caller.flow, "call"));
        let response = ResponseParts { headers, body: Some(Body::sdp(described.sdp)), ..ResponseParts::new(183) };
        self.ua.progress(session, response, now.mono);
        if self.calls.get(&id).is_some_and(|call| call.legs.contains_key(&b)) {
            self.command(MediaCommand::Bridge { a, b });
        }
    }

    /// A side of a call may describe itself anew before the answer (RFC 3311 section 5.1); not where its media would go directly,
    /// for they are described by the other side, which has not answered; nor another branch than the one whose media are used, which
    /// would move the sound to itself. Whether it may.
    pub(crate) fn take_early_offer(&mut self, id: CallId, leg: LegId, offer: &str, branch: Option<String>) -> bool {
        let Some(call) = self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Ringing)) else { return true };
        let Some(device) = call.legs.get_mut(&leg) else { return true };
        let is_of_another = device.branch.as_ref().zip(branch.as_ref()).is_some_and(|(used, offering)| used != offering);
        if device.is_direct || is_of_another {
            return false;
        }
        (device.offered, device.branch) = (Some(offer.to_owned()), branch);
        true
    }

    /// It is described anew: the answer will say the same.
    pub(crate) fn note_early_change(&mut self, id: CallId, leg: LegId, described: &Described) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let codec = described.codecs.first().copied();
        if leg != call.caller.leg {
            let device = call.legs.get_mut(&leg).filter(|device| device.offered.is_some());
            device.into_iter().for_each(|device| device.codec = codec);
        } else if call.caller.early.is_some() {
            (call.caller.early, call.caller.codec) = (Some(described.sdp.clone()), codec);
        }
    }
}

//! Connected lines: a believed peer says in mid-call who is at its end by now (P-Asserted-Identity of RFC 3325, or
//! Remote-Party-ID, in UPDATE or re-INVITE), such as after a transfer there. The other party's phone is told the same.
//!
//! Who called, and what stands in the call logs, doesn't change by it.

use aftertone_model::{CallId, Caller, Now};
use aftertone_sip::{Headers, NameAddr, Request, SessionId, Uri};

use crate::{
    Exchange, LegId,
    call::{Call, Partner},
    ended::called_party,
    party,
};

impl Exchange {
    /// The peer of a session says who it is now. Only news are passed on: most peers say it in each refresh, too.
    pub(crate) fn on_updated(&mut self, session: SessionId, request: &Request, now: Now) {
        let Some((id, leg)) = self.sessions.get(&session).copied() else { return };
        let Some(named) = party::named(request).filter(|_| self.is_believed_on(id, leg)) else { return };
        // As the caller of an INVITE over the same way is read.
        let is_trunk = self.calls.get(&id).is_some_and(|call| call.line(leg).is_some());
        let named = if is_trunk { self.trunk_caller(named) } else { named };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if is_same(&call.known(leg), &named) {
            return;
        }
        call.connected.insert(leg, named);
        let Some(other) = call.partner_of(leg).filter(|_| call.transfer.is_none()) else { return };
        let Some(session) = call.session(other) else { return };
        let headers = self.connected_line(id, other);
        if !headers.is_empty() {
            self.ua.update(session, None, headers, now.mono);
        }
    }

    /// What the party on `leg` is told of who is at the other end, if that is somebody else than it knows. Nothing goes over
    /// trunks, whose peers show no numbers but the account's, and nothing to strangers.
    pub(crate) fn connected_line(&self, id: CallId, leg: LegId) -> Headers {
        let Some(call) = self.calls.get(&id) else { return Headers::new() };
        let is_stranger = leg == call.caller.leg && call.stranger.is_some();
        let named = call.partner_of(leg).and_then(|other| call.connected.get(&other));
        match named.filter(|_| call.line(leg).is_none() && !is_stranger) {
            Some(named) => identity_headers(named, &self.config.domain),
            None => Headers::new(),
        }
    }

    /// Whether a leg is a trunk's, or of a trusted peer that has not shown to be one of our people.
    fn is_believed_on(&self, id: CallId, leg: LegId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let person = call.legs.get(&leg).map_or(call.origin, |device| device.owner);
        let flow = call.session(leg).and_then(|session| self.ua.session_flow(session));
        call.line(leg).is_some() || person.is_none() && flow.is_some_and(|flow| self.is_trusted(flow))
    }
}

impl Call {
    /// Who is at a leg, as far as the other party was told.
    fn known(&self, leg: LegId) -> Caller {
        let first = || if leg == self.caller.leg { self.party.clone() } else { called_party(self) };
        self.connected.get(&leg).cloned().unwrap_or_else(first)
    }

    /// The other one of the two legs that talk.
    fn partner_of(&self, leg: LegId) -> Option<LegId> {
        let Some(Partner::Device { leg: partner, .. }) = self.partner() else { return None };
        if leg == self.caller.leg { Some(partner) } else { Some(self.caller.leg).filter(|_| leg == partner) }
    }
}

/// A name that is left out is no other name.
fn is_same(known: &Caller, named: &Caller) -> bool {
    known.number == named.number && (named.name.is_none() || known.name == named.name)
}

fn identity_headers(named: &Caller, domain: &str) -> Headers {
    if named.number.is_empty() {
        return Headers::new().with("P-Asserted-Identity", party::anonymous()).with("Privacy", "id");
    }
    let with_host = named.number.contains('@').then(|| format!("sip:{}", named.number).parse().ok()).flatten();
    let uri = with_host.unwrap_or_else(|| Uri::sip(&named.number, domain));
    let name = named.name.as_deref().unwrap_or_default();
    Headers::new().with("P-Asserted-Identity", NameAddr::new(uri).with_display(name))
}

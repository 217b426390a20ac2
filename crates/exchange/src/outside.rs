//! Calls over trunks: which way out, what callers show there, whom calls from there are for.

use std::collections::VecDeque;
use std::time::Duration;

use aftertone_model::{CallId, CallRefusal, Caller, Now, SubscriberId};
use aftertone_sip::{
    Body, Flow, Headers, Invite, Method, NameAddr, OutgoingRequest, Request, RequestId, ResponseParts, Uri, origin::Diversion,
};

use crate::{
    Exchange, LegId, LegMedia, MediaCommand,
    call::{Call, Called, DeviceLeg, Forward, Outside, Referrer},
    dialplan::{Number, Reach},
    ended::End,
    media::Purpose,
    party,
    requests::call_headers,
    trunks::{Line, LineId, credentials},
};

/// A trunk that says nothing for so long is given up, if there is another one.
const ATTEMPT: Duration = Duration::from_secs(8);

/// A text for somebody outside.
#[derive(Debug)]
pub(crate) struct TextOut {
    pub(crate) to: Outside,
    pub(crate) sender: SubscriberId,
    pub(crate) party: Caller,
    pub(crate) hops: u8,
    pub(crate) body: Body,
}

impl Exchange {
    /// What `dialled` means as a number of the outside, and the ways there: for people who have shown who they are.
    pub(crate) fn way_out(&self, caller: SubscriberId, number: Number) -> Result<Outside, ResponseParts> {
        let rights = self.directory.person(caller).map(|person| person.rights).unwrap_or_default();
        if !number.reach.is_open_to(rights) {
            let is_barred = number.reach == Reach::Barred;
            return Err(refused(if is_barred { CallRefusal::Barred } else { CallRefusal::Rights }));
        }
        let routes = self.routes(number.reach == Reach::Emergency);
        if routes.is_empty() {
            return Err(ResponseParts::new(if self.lines.is_empty() { 404 } else { 503 }));
        }
        Ok(Outside { number, routes, status: 503 })
    }

    /// The same for a number that was not dialled, but left by a caller: none at which somebody earns.
    pub(crate) fn way_back(&self, caller: SubscriberId, number: Number) -> Result<Outside, ResponseParts> {
        let outside = self.way_out(caller, number)?;
        if self.config.dial_plan.costs_extra(&outside.number) {
            return Err(refused(CallRefusal::CostsExtra));
        }
        Ok(outside)
    }

    /// The trunks that are up, in order; for emergencies the one that is named for them first, and every trunk that has a flow.
    fn routes(&self, is_emergency: bool) -> VecDeque<LineId> {
        let named = self.config.dial_plan.emergency_trunk.as_deref().filter(|_| is_emergency);
        let usable = |line: &Line| line.flow.is_some() && (line.is_up || is_emergency);
        let mut lines: Vec<_> = self.lines.iter().filter(|(_, line)| usable(line)).collect();
        lines.sort_by_key(|(id, line)| {
            let trunk = &line.account.trunk;
            (named != Some(trunk.name.as_str()), !line.is_up, trunk.order, trunk.name.clone(), **id)
        });
        lines.into_iter().map(|(id, _)| *id).collect()
    }

    /// Opens a leg over the next trunk; after the last one the caller learns what that said.
    pub(crate) fn dial_out(&mut self, id: CallId, now: Now) {
        let leg = self.new_leg();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(outside) = call.outside_mut() else { return };
        let found = std::iter::from_fn(|| outside.routes.pop_front())
            .find_map(|line| Some((line, self.lines.get(&line)?, self.lines.get(&line)?.flow?)));
        let Some((line_id, line, flow)) = found else {
            let status = outside.status;
            return self.nobody_outside(id, status, now);
        };
        let number = self.config.dial_plan.formatted(&outside.number, line.account.trunk.format);
        let contact = line.address(&number);
        let device = DeviceLeg {
            owner: None,
            line: Some(line_id),
            flow,
            media: LegMedia::Rtp,
            contact,
            path: Vec::new(),
            rings: false,
            session: None,
            codec: None,
            is_direct: false,
            offered: None,
            branch: None,
        };
        call.legs.insert(leg, device);
        let prefer = call.preference();
        self.leg_calls.insert(leg, id);
        let request = self.ask_media(id, leg, Purpose::RingOffer, now);
        let (media, peer) = (LegMedia::Rtp, self.towards(Some(line_id), flow));
        self.command(MediaCommand::Offer { request, call: self.media_call(id), leg, media, peer, prefer });
        self.timers.set(now.mono + ATTEMPT, crate::timers::Timer::Attempt(id, leg));
    }

    /// The INVITE of a leg over a trunk.
    pub(crate) fn trunk_invite(&self, call: &Call, line: &Line, flow: Flow, to: Uri, sdp: String) -> Invite {
        let mut headers = call_headers(call.id).with("Max-Forwards", call.hops);
        let payer = call.forward.as_ref().map(|forward| forward.by);
        let from = self.sender_on(line, call.origin.or(payer), &call.party, &mut headers);
        if let Some(forward) = &call.forward {
            self.tell_forward(line, forward, &to, &mut headers);
        }
        match &call.referrer {
            // Extensions stay in the house.
            Some(Referrer::Person(person)) => {
                headers.push("Referred-By", NameAddr::new(line.address(&self.shown_number(Some(*person), line))));
            }
            Some(Referrer::Peer(said)) => headers.push("Referred-By", said),
            None => {}
        }
        let (contact, credentials) = (line.contact_over(flow), credentials(line));
        Invite { uri: to.clone(), from, to: NameAddr::new(to), contact, headers, sdp: Some(sdp), credentials }
    }

    /// Who has forwarded the call, and why (RFC 5806, RFC 7044). Extensions stay in the house.
    fn tell_forward(&self, line: &Line, forward: &Forward, to: &Uri, headers: &mut Headers) {
        let by = line.address(&self.shown_number(Some(forward.by), line));
        let from = NameAddr::new(by.clone());
        headers.push("Diversion", Diversion { from, reason: forward.reason.clone(), counter: 1, privacy: None });
        let first = NameAddr::new(by.with_header("Reason", "SIP;cause=302")).with_param("index", Some("1"));
        let next = NameAddr::new(to.clone().with_param("cause", Some("302")));
        headers.push("History-Info", first);
        headers.push("History-Info", next.with_param("index", Some("1.1")).with_param("mp", Some("1")));
    }

    /// The called person's phone forwards to a number of the outside: over the trunks, if that person may call it. Only one, and
    /// no emergency, for whom others call is no reason to send help.
    pub(crate) fn forward_outside(&mut self, id: CallId, by: SubscriberId, (dialled, reason): (&str, &str), now: Now) {
        let number = self.config.dial_plan.number(dialled).filter(|number| number.reach != Reach::Emergency);
        let Some(Ok(outside)) = number.map(|number| self.way_out(by, number)) else { return };
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.forward.is_none()) else { return };
        call.forward = Some(Forward { by, outside, reason: reason.to_owned() });
        self.dial_out(id, now);
    }

    /// The `From` of a request over a trunk, and the headers that say who sends it and take it there (RFC 3325, RFC 3608). Who
    /// withholds their number tells it to the provider alone (RFC 3323).
    fn sender_on(&self, line: &Line, origin: Option<SubscriberId>, party: &Caller, headers: &mut Headers) -> NameAddr {
        line.service_route.iter().for_each(|route| headers.push("Route", route));
        let name = party.name.as_deref().unwrap_or_default();
        let shown = NameAddr::new(line.address(&self.shown_number(origin, line))).with_display(name);
        let asserts = line.account.trunk.asserted_identity;
        let is_withheld = party.number.is_empty();
        if asserts || is_withheld {
            headers.push(if asserts { "P-Asserted-Identity" } else { "P-Preferred-Identity" }, &shown);
        }
        match (is_withheld, asserts) {
            (true, _) => {
                headers.push("Privacy", "id");
                party::anonymous()
            }
            (false, true) => NameAddr::new(line.address(&line.account.trunk.user)).with_display(name),
            (false, false) => shown,
        }
    }

    /// A text over the next trunk that has a flow (RFC 3428); `None` after the last one.
    pub(crate) fn text_outside(&mut self, text: &mut TextOut, now: Now) -> Option<RequestId> {
        let (line, flow) = std::iter::from_fn(|| text.to.routes.pop_front())
            .find_map(|line| self.lines.get(&line).and_then(|line| Some((line, line.flow?))))?;
        let to = line.address(&self.config.dial_plan.formatted(&text.to.number, line.account.trunk.format));
        let mut headers = Headers::new().with("Max-Forwards", text.hops);
        let from = self.sender_on(line, Some(text.sender), &text.party, &mut headers);
        let mut request = OutgoingRequest::new(Method::Message, to.clone(), from, NameAddr::new(to));
        (request.headers, request.body) = (headers, Some(text.body.clone()));
        let credentials = credentials(line);
        Some(self.ua.request(request, flow, credentials, now.mono))
    }

    /// What somebody shows on a trunk: their own number there, else the trunk's, else its account.
    fn shown_number(&self, caller: Option<SubscriberId>, line: &Line) -> String {
        let trunk = &line.account.trunk;
        let is_theirs = |name: &String| self.directory.find(name).map(|person| person.subscriber.id) == caller;
        let own = trunk.numbers.iter().find(|(_, name)| caller.is_some() && is_theirs(name)).map(|(number, _)| number);
        let number = own.or(trunk.caller_number.as_ref());
        match number.and_then(|number| self.config.dial_plan.number(number)) {
            Some(number) => self.config.dial_plan.formatted(&number, trunk.format),
            None => number.unwrap_or(&trunk.user).clone(),
        }
    }

    /// A leg over a trunk came to nothing: the next trunk is tried if this one was the cause, else the caller is told.
    pub(crate) fn trunk_refused(&mut self, id: CallId, status: u16, now: Now) {
        let Some(outside) = self.calls.get_mut(&id).and_then(Call::outside_mut) else { return };
        // What a trunk wants of us is no business of the phone's.
        outside.status = if matches!(status, 401 | 407) { 503 } else { status };
        let is_final = match outside.number.reach {
            Reach::Emergency => matches!(status, 486 | 600 | 603),
            Reach::National | Reach::International | Reach::Barred => is_of_called(status),
        };
        if is_final {
            self.nobody_outside(id, status, now);
        } else {
            self.dial_out(id, now);
        }
    }

    /// Nobody outside has taken it: the caller is told, or it is as if one more phone of the called person's had not answered.
    fn nobody_outside(&mut self, id: CallId, status: u16, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.called {
            Called::Outside(_) | Called::Menu(_) => self.finish(id, End::Refused(status), now),
            Called::Person(_) => {
                call.tally.busy |= matches!(status, 486 | 600);
                self.divert_if_alone(id, now);
            }
        }
    }

    /// A trunk that has said nothing yet is given up for the next one.
    pub(crate) fn attempt_is_due(&mut self, id: CallId, leg: LegId, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let has_more = call.outside_mut().is_some_and(|outside| !outside.routes.is_empty());
        let Some(device) = call.legs.get(&leg).filter(|device| !device.rings) else { return };
        if !has_more || call.partner().is_some() {
            return;
        }
        if let Some(session) = device.session {
            self.sessions.remove(&session);
            self.ua.cancel(session, Headers::new(), now.mono);
        }
        self.forget_leg(id, leg);
        self.trunk_refused(id, 408, now);
    }

    /// Who has a number of a trunk.
    pub(crate) fn trunk_number(&self, line: &Line, number: &str) -> Option<SubscriberId> {
        Some(self.directory.find(self.trunk_name(line, number)?)?.subscriber.id)
    }

    fn trunk_name<'a>(&self, line: &'a Line, number: &str) -> Option<&'a str> {
        let plan = &self.config.dial_plan;
        let (_, name) = line.account.trunk.numbers.iter().find(|(own, _)| plan.is_same(own, number))?;
        Some(name)
    }

    /// Whose mailbox a call from a trunk asks for: a number of the trunk may stand for one (`*981001`).
    pub(crate) fn trunk_mailbox(&self, line: LineId, request: &Request) -> Option<SubscriberId> {
        let line = self.lines.get(&line)?;
        let called = called_numbers(line, request);
        called.iter().find_map(|number| self.live_mailbox(self.trunk_name(line, number)?))
    }

    /// What one of the called numbers stands for on the trunk.
    pub(crate) fn trunk_meaning<T>(&self, line: LineId, request: &Request, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        let line = self.lines.get(&line)?;
        called_numbers(line, request).iter().find_map(|number| of(self.trunk_name(line, number)?))
    }

    /// Whom a call from a trunk is for: by the number that was called, else by an extension, else whoever gets the rest.
    pub(crate) fn trunk_target(&self, line: LineId, request: &Request) -> Option<SubscriberId> {
        let line = self.lines.get(&line)?;
        let called = request.uri.user();
        let called = called.as_deref().filter(|user| *user != line.contact_user);
        let by_number = called_numbers(line, request).iter().find_map(|number| self.trunk_number(line, number));
        let named = |name: &str| Some(self.directory.find(name)?.subscriber.id);
        let by_name = || called.filter(|user| *user != line.account.trunk.user).and_then(named);
        by_number.or_else(by_name).or_else(|| line.account.trunk.default_to.as_deref().and_then(named))
    }

    /// A caller from a trunk as people can call them back.
    pub(crate) fn trunk_caller(&self, caller: Caller) -> Caller {
        Caller { number: self.config.dial_plan.normal(&caller.number), ..caller }
    }
}

fn refused(refusal: CallRefusal) -> ResponseParts {
    ResponseParts::new(403).with(crate::REFUSAL_HEADER, refusal)
}

/// What says something about the called person would be the same over any other trunk.
pub(crate) fn is_of_called(status: u16) -> bool {
    !matches!(status, 401 | 403 | 407 | 408 | 500..=599)
}

/// The numbers that a call from a trunk may be for, the most telling one first.
fn called_numbers(line: &Line, request: &Request) -> Vec<String> {
    let called = request.uri.user().filter(|user| **user != *line.contact_user).map(|user| user.to_string());
    let party = request.headers.addresses("P-Called-Party-ID").into_iter().next().and_then(|address| user_of(&address));
    let to = request.headers.to().ok().and_then(|address| user_of(&address));
    called.into_iter().chain(party).chain(to).collect()
}

fn user_of(address: &NameAddr) -> Option<String> {
    address.uri.user().map(std::borrow::Cow::into_owned)
}

//! Short texts (MESSAGE, RFC 3428): between people of the account, from believed peers, and over trunks. They go where a call
//! would go, with the same rights; of devices to those that take them. In a call they go to the other party, in its dialog.
//!
//! Nothing is kept: a text that reaches no device is refused, and its sender knows.

use std::time::Duration;

use aftertone_model::{Now, SubscriberId};
use aftertone_sip::{
    Body, Flow, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, RequestFailure, RequestId, Response,
    ResponseParts, SessionId, Uri,
};

use crate::{
    Exchange,
    incoming::{MAX_FORWARDS, Sender, Target},
    outside::{TextOut, is_of_called},
    party,
    registrar::Binding,
    requests::{ALLOW, challenge},
    timers::Timer,
};

/// RFC 3428 section 8: the whole request stays below this where the way isn't known to be a stream from end to end.
const LONGEST: usize = 1300;
/// What a text may be: RFC 3428 section 7, RFC 3862.
const KINDS: &[&str] = &["text/plain", "message/cpim"];
/// The sender must hear in time, before it gives up by itself (RFC 3261 section 17.1.2.2: 64*T1).
const WAIT: Duration = Duration::from_secs(20);

/// A text under way.
#[derive(Debug)]
pub(crate) struct Page {
    /// To the devices, or over a trunk, not answered yet.
    open: Vec<RequestId>,
    /// What it was refused with.
    refusal: Option<u16>,
    /// For somebody outside: what the next trunk gets if this one is the cause.
    outside: Option<TextOut>,
}

impl Exchange {
    /// Passes a text on, to whom a call would go. It is answered when a device or a trunk has taken it, or none has.
    pub(crate) fn page(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        let sender = self.sender(request, &from, flow, now)?;
        if matches!(sender, Sender::Stranger) {
            // Whoever reads is not to be bothered by everybody.
            return Err(self.identify(request, flow, now.mono).map_or_else(challenge, |_| ResponseParts::new(403)));
        }
        let hops = request.headers.max_forwards().unwrap_or(MAX_FORWARDS).checked_sub(1).ok_or(ResponseParts::new(483))?;
        let body = text_of(request)?;
        let origin = match sender {
            Sender::Person(identity) => Some(identity.person),
            Sender::Trusted => self.person_at(&from.uri, flow),
            Sender::Trunk(_) | Sender::Stranger => None,
        };
        let party = self.party(request, &from, sender, origin, false);
        let page = match (self.target(request, sender, flow), sender) {
            (Some(Target::Person { person, direct: None }), _) => {
                let shown = party::address(&party, &from, &self.config.domain);
                let open = self.page_devices(person, sender, (shown, hops, body), now)?;
                Page { open, refusal: None, outside: None }
            }
            (Some(Target::Outside(number)), Sender::Person(identity)) => {
                let to = self.way_out(identity.person, number)?;
                let mut text = TextOut { to, sender: identity.person, party, hops, body };
                let open = self.text_outside(&mut text, now).ok_or(ResponseParts::new(503))?;
                Page { open: vec![open], refusal: None, outside: Some(text) }
            }
            // A mailbox takes no texts, and nobody writes at somebody's cost because of where they are.
            (Some(Target::Person { .. } | Target::Outside(_) | Target::Menu { .. }) | None, _) => {
                return Err(ResponseParts::new(404));
            }
        };
        self.pages.insert(id, page);
        self.timers.set(now.mono + WAIT, Timer::Page(id));
        Ok(())
    }

    /// Passes it on to a person's devices.
    fn page_devices(
        &mut self,
        called: SubscriberId,
        sender: Sender,
        (shown, hops, body): (NameAddr, u8, Body),
        now: Now,
    ) -> Result<Vec<RequestId>, ResponseParts> {
        let mut devices = self.bindings.to_ring(called);
        if let Sender::Person(identity) = sender {
            // One's own other devices may get it, not the one that it comes from.
            devices.retain(|binding| called != identity.person || binding.device != identity.device);
        }
        if devices.is_empty() {
            return Err(ResponseParts::new(480));
        }
        devices.retain(|binding| binding.takes_texts);
        if devices.is_empty() {
            return Err(ResponseParts::new(405).with("Allow", ALLOW));
        }
        let called = &self.directory.person(called).ok_or(ResponseParts::new(404))?.subscriber;
        let to = NameAddr::new(Uri::sip(called.user.as_str(), &self.config.domain)).with_display(&called.display_name);
        let open = devices.iter().map(|binding| {
            let request = text_to(binding, (shown.clone(), to.clone()), hops, body.clone());
            self.ua.request(request, binding.flow, None, now.mono)
        });
        Ok(open.collect())
    }

    /// A text of somebody in a call goes to the other party. It is answered when that has answered it.
    pub(crate) fn page_in_call(&mut self, session: SessionId, id: IncomingId, request: &Request, now: Now) {
        match self.pass_on(session, request, now) {
            Ok(open) => {
                self.pages.insert(id, Page { open: vec![open], refusal: None, outside: None });
                self.timers.set(now.mono + WAIT, Timer::Page(id));
            }
            Err(refusal) => self.ua.respond(id, refusal, now.mono),
        }
    }

    fn pass_on(&mut self, session: SessionId, request: &Request, now: Now) -> Result<RequestId, ResponseParts> {
        let (id, leg) = self.sessions.get(&session).copied().ok_or(ResponseParts::new(481))?;
        let hops = request.headers.max_forwards().unwrap_or(MAX_FORWARDS).checked_sub(1).ok_or(ResponseParts::new(483))?;
        let body = text_of(request)?;
        let call = self.calls.get(&id).ok_or(ResponseParts::new(481))?;
        if leg == call.caller.leg && call.stranger.is_some() {
            return Err(ResponseParts::new(403));
        }
        self.go_on_without_ack(id, now);
        let other = self.other_leg(id, leg).and_then(|other| self.calls.get(&id)?.session(other));
        // Neither a mailbox reads, nor somebody who has not answered yet.
        let other = other.ok_or(ResponseParts::new(480))?;
        let headers = Headers::new().with("Max-Forwards", hops);
        self.ua.message(other, body, headers, now.mono).ok_or(ResponseParts::new(480))
    }

    /// An answer to a text, if it is one.
    pub(crate) fn on_page_response(&mut self, request: RequestId, result: &Result<Response, RequestFailure>, now: Now) -> bool {
        let Some((id, page)) = self.pages.iter_mut().find(|(_, page)| page.open.contains(&request)) else { return false };
        let id = *id;
        page.open.retain(|open| *open != request);
        let failure = match result {
            Ok(response) => {
                self.page_is_over(id, response.status, now);
                return true;
            }
            Err(failure) => failure,
        };
        // A device that isn't there says less than one that refuses, and what it wants of us is no business of the sender's.
        page.refusal = Some(failure.status()).filter(|status| !matches!(status, 401 | 407 | 408 | 503)).or(page.refusal);
        if let (Some(mut text), RequestFailure::Refused(response)) = (page.outside.take(), failure)
            && !is_of_called(response.status)
            && let Some(next) = self.text_outside(&mut text, now)
        {
            // A trunk that has said nothing may have passed it on: nobody is to read it twice.
            let page = Page { open: vec![next], refusal: None, outside: Some(text) };
            self.pages.insert(id, page);
            return true;
        }
        if let Some(page) = self.pages.get(&id).filter(|page| page.open.is_empty()) {
            let status = page.refusal.unwrap_or(480);
            self.page_is_over(id, status, now);
        }
        true
    }

    /// Answers a text that has none yet.
    pub(crate) fn page_is_over(&mut self, id: IncomingId, status: u16, now: Now) {
        if self.pages.remove(&id).is_some() {
            let parts = ResponseParts::new(status);
            let parts = if status == 405 { parts.with("Allow", ALLOW) } else { parts };
            self.ua.respond(id, parts, now.mono);
        }
    }
}

fn text_of(request: &Request) -> Result<Body, ResponseParts> {
    let is_text = request.headers.content_type().is_some_and(|kind| KINDS.contains(&kind.as_str()));
    if !is_text || request.headers.get("Content-Encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(ResponseParts::new(415).with("Accept", KINDS.join(", ")));
    }
    if request.body.len() > LONGEST {
        return Err(ResponseParts::new(413));
    }
    // As it was written, with its character set.
    Ok(Body::new(request.headers.get("Content-Type").unwrap_or_default(), request.body.clone()))
}

fn text_to(binding: &Binding, (from, to): (NameAddr, NameAddr), hops: u8, body: Body) -> OutgoingRequest {
    let mut request = OutgoingRequest::new(Method::Message, binding.contact.clone(), from, to);
    request.headers = Headers::new().with("Max-Forwards", hops);
    binding.path.iter().for_each(|hop| request.headers.push("Route", hop));
    request.body = Some(body);
    request
}

/// Whether a device says that it takes texts: in its contact (RFC 3840 section 9), else in Allow.
pub(crate) fn takes_texts(contact: &NameAddr, headers: &Headers) -> bool {
    match contact.params.get("methods") {
        Some(methods) => methods.split(',').any(|method| method.trim().trim_matches('"') == Method::Message.as_str()),
        None => headers.lists("Allow", Method::Message.as_str()),
    }
}

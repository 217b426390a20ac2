//! Short texts between people of the account (MESSAGE, RFC 3428), passed on to those devices that take them.
//!
//! Nothing is kept: a text that reaches no device is refused, and its sender knows.

use std::time::Duration;

use aftertone_model::Now;
use aftertone_sip::{
    Body, Flow, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, RequestFailure, RequestId, Response,
    ResponseParts, Uri,
};

use crate::{
    Exchange,
    incoming::MAX_FORWARDS,
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
    /// To the devices, not answered yet.
    open: Vec<RequestId>,
    /// What a device has refused it with.
    refusal: Option<u16>,
}

impl Exchange {
    /// Passes a text on. It is answered when a device has taken it, or none has.
    pub(crate) fn page(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        let identity = self.identify(request, flow, now.mono).map_err(challenge)?;
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        if self.person_at(&from.uri, flow) != Some(identity.person) {
            return Err(ResponseParts::new(403));
        }
        let hops = request.headers.max_forwards().unwrap_or(MAX_FORWARDS).checked_sub(1).ok_or(ResponseParts::new(483))?;
        let body = text_of(request)?;
        let called = self.person_at(&request.uri, flow).ok_or(ResponseParts::new(404))?;
        let mut devices = self.bindings.to_ring(called);
        // One's own other devices may get it, not the one that it comes from.
        devices.retain(|binding| called != identity.person || binding.device != identity.device);
        if devices.is_empty() {
            return Err(ResponseParts::new(480));
        }
        devices.retain(|binding| binding.takes_texts);
        if devices.is_empty() {
            return Err(ResponseParts::new(405).with("Allow", ALLOW));
        }
        let person = |id| self.directory.person(id).map(|person| &person.subscriber);
        let (sender, called) = person(identity.person).zip(person(called)).ok_or(ResponseParts::new(404))?;
        let shown = party::address(&party::person(sender), &from, &self.config.domain);
        let to = NameAddr::new(Uri::sip(called.user.as_str(), &self.config.domain)).with_display(&called.display_name);
        let open = devices.iter().map(|binding| {
            let request = text_to(binding, (shown.clone(), to.clone()), hops, body.clone());
            self.ua.request(request, binding.flow, None, now.mono)
        });
        let page = Page { open: open.collect(), refusal: None };
        self.pages.insert(id, page);
        self.timers.set(now.mono + WAIT, Timer::Page(id));
        Ok(())
    }

    /// A device's answer to a text, if it is one.
    pub(crate) fn on_page_response(&mut self, request: RequestId, result: &Result<Response, RequestFailure>, now: Now) -> bool {
        let Some((id, page)) = self.pages.iter_mut().find(|(_, page)| page.open.contains(&request)) else { return false };
        let id = *id;
        page.open.retain(|open| *open != request);
        match result {
            Ok(_) => self.page_is_over(id, 200, now),
            Err(failure) => {
                // A device that isn't there says less than one that refuses, and what it wants of us is no business of the sender's.
                page.refusal = Some(failure.status()).filter(|status| !matches!(status, 401 | 407 | 408 | 503)).or(page.refusal);
                if page.open.is_empty() {
                    let status = page.refusal.unwrap_or(480);
                    self.page_is_over(id, status, now);
                }
            }
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

//! A phone: a user agent with an address, and what a person does with it.

use aftertone_media::Codec;
use aftertone_model::{DeviceId, SubscriberId};
use aftertone_sip::{
    Credentials, Event, Flow, Headers, Invite, Method, NameAddr, OutgoingRequest, Request, RequestFailure, Response, SessionId,
    Transport, UaConfig, Uri, UserAgent,
};

use super::{DOMAIN, PASSWORD, World, device, flow_of, id, plane};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PhoneId(pub(crate) usize);

pub(crate) struct Phone {
    pub(crate) name: String,
    pub(crate) ua: UserAgent,
    pub(crate) flow: Flow,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) events: Vec<Event>,
    /// `Max-Forwards` of its calls.
    pub(crate) hops: u8,
    /// It gets nothing.
    pub(crate) deaf: bool,
    /// Nothing of it arrives.
    pub(crate) gone: bool,
}

impl Phone {
    pub(crate) fn contact(&self) -> NameAddr {
        let uri = Uri::sip(&self.name, &self.flow.local.ip().to_string()).with_port(self.flow.local.port());
        NameAddr::new(match self.flow.transport {
            Transport::Udp => uri,
            other => uri.with_param("transport", Some(other.uri_name())),
        })
    }

    pub(crate) fn sdp(&self) -> String {
        plane::text(&self.name, self.flow.transport.is_web_socket(), &self.codecs)
    }
}

impl World {
    /// A phone with credentials at 10.0.0.N, over UDP; not registered.
    pub(crate) fn phone(&mut self, name: &str, host: u8) -> PhoneId {
        self.phone_at(name, &format!("10.0.0.{host}:5060"))
    }

    pub(crate) fn phone_at(&mut self, name: &str, address: &str) -> PhoneId {
        let credentials = Some(Credentials::new(format!("{name}-phone"), PASSWORD));
        self.add_phone(name, flow_of(address, Transport::Udp, None), credentials, vec![Codec::Pcma, Codec::Pcmu])
    }

    /// A device of ours over WebSocket, signed in by token; not registered.
    pub(crate) fn app(&mut self, name: &str, number: u64) -> PhoneId {
        self.app_of(name, number, (id(name), device(number.into())))
    }

    pub(crate) fn app_of(&mut self, name: &str, number: u64, owner: (SubscriberId, DeviceId)) -> PhoneId {
        self.app_at(name, &format!("192.0.2.{number}:40000"), number, owner)
    }

    pub(crate) fn app_at(&mut self, name: &str, address: &str, number: u64, owner: (SubscriberId, DeviceId)) -> PhoneId {
        let flow = flow_of(address, Transport::Wss, Some(number));
        let phone = self.add_phone(name, flow, None, vec![Codec::Opus, Codec::Pcmu]);
        let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
        self.exchange.handle_connected(flow, Some(owner), self.now);
        self.settle();
        phone
    }

    fn add_phone(&mut self, name: &str, flow: Flow, credentials: Option<Credentials>, codecs: Vec<Codec>) -> PhoneId {
        let seed = [u8::try_from(self.phones.len() + 1).unwrap(); 32];
        let ua = UserAgent::new(UaConfig { takes_texts: true, ..UaConfig::new("Phone/1", seed) });
        let (name, events) = (name.to_owned(), Vec::new());
        self.phones.push(Phone { name, ua, flow, credentials, codecs, events, hops: 70, deaf: false, gone: false });
        PhoneId(self.phones.len() - 1)
    }

    /// A registered phone.
    pub(crate) fn registered(&mut self, name: &str, host: u8) -> PhoneId {
        let phone = self.phone(name, host);
        assert_eq!(self.register(phone, name, 300), 200);
        phone
    }

    pub(crate) fn registered_app(&mut self, name: &str, number: u64) -> PhoneId {
        let phone = self.app(name, number);
        assert_eq!(self.register(phone, name, 300), 200);
        phone
    }

    /// Registers for the address of `name` (a user name or an extension); the final status.
    pub(crate) fn register(&mut self, phone: PhoneId, name: &str, expires: u32) -> u16 {
        let contact = self.phones[phone.0].contact().with_param("expires", Some(&expires.to_string()));
        status_of(&self.register_with(phone, name, Headers::new().with("Contact", contact)))
    }

    pub(crate) fn register_with(&mut self, phone: PhoneId, name: &str, headers: Headers) -> Result<Response, RequestFailure> {
        let aor = NameAddr::new(Uri::sip(name, DOMAIN));
        let mut request = OutgoingRequest::new(Method::Register, Uri::sip("", DOMAIN), aor.clone(), aor);
        request.headers = headers;
        self.request(phone, request)
    }

    /// Sends a request outside calls; its end.
    pub(crate) fn request(&mut self, phone: PhoneId, request: OutgoingRequest) -> Result<Response, RequestFailure> {
        let now = self.now.mono;
        let Phone { ua, flow, credentials, .. } = &mut self.phones[phone.0];
        let wanted = ua.request(request, *flow, credentials.clone(), now);
        self.settle();
        let events = &mut self.phones[phone.0].events;
        let at = events.iter().position(|event| matches!(event, Event::Response { id, .. } if *id == wanted));
        match events.remove(at.expect("the request was answered")) {
            Event::Response { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    /// Calls `to`, a user name or an extension, as the phone's own person.
    pub(crate) fn call(&mut self, phone: PhoneId, to: &str) -> SessionId {
        let from = NameAddr::new(Uri::sip(&self.phones[phone.0].name.clone(), DOMAIN)).with_display("Whoever I Say");
        self.call_as(phone, from, Uri::sip(to, DOMAIN))
    }

    pub(crate) fn call_as(&mut self, phone: PhoneId, from: NameAddr, uri: Uri) -> SessionId {
        let sdp = Some(self.phones[phone.0].sdp());
        self.call_with(phone, from, uri, sdp)
    }

    /// Calls a number that was not dialled.
    pub(crate) fn call_back(&mut self, phone: PhoneId, to: &str) -> SessionId {
        let from = NameAddr::new(Uri::sip(&self.phones[phone.0].name.clone(), DOMAIN));
        let sdp = Some(self.phones[phone.0].sdp());
        let headers = Headers::new().with(aftertone_exchange::CALL_BACK_HEADER, 1);
        self.invite(phone, from, Uri::sip(to, DOMAIN), sdp, headers)
    }

    /// Why the account has not made a call.
    pub(crate) fn refusal(&self, phone: PhoneId, of: SessionId) -> Option<String> {
        self.phones[phone.0].events.iter().find_map(|event| match event {
            Event::Rejected { session, failure: RequestFailure::Refused(response) } if *session == of => {
                response.headers.get(aftertone_exchange::REFUSAL_HEADER).map(ToOwned::to_owned)
            }
            _ => None,
        })
    }

    pub(crate) fn call_with(&mut self, phone: PhoneId, from: NameAddr, uri: Uri, sdp: Option<String>) -> SessionId {
        self.invite(phone, from, uri, sdp, Headers::new())
    }

    fn invite(&mut self, phone: PhoneId, from: NameAddr, uri: Uri, sdp: Option<String>, headers: Headers) -> SessionId {
        let now = self.now.mono;
        let phone = &mut self.phones[phone.0];
        let (contact, credentials) = (phone.contact(), phone.credentials.clone());
        let headers = headers.with("Max-Forwards", phone.hops);
        let invite = Invite { uri: uri.clone(), from, to: NameAddr::new(uri), contact, headers, sdp, credentials };
        let session = phone.ua.invite(invite, phone.flow, now);
        self.settle();
        session
    }

    /// The call that came in at a phone, if one did: it rings from now on.
    pub(crate) fn incoming(&mut self, phone: PhoneId) -> Option<(SessionId, Request)> {
        let now = self.now.mono;
        let events = &mut self.phones[phone.0].events;
        let at = events.iter().position(|event| matches!(event, Event::Incoming { .. }))?;
        let Event::Incoming { session, request, .. } = events.remove(at) else { return None };
        self.phones[phone.0].ua.ring(session, Headers::new(), now);
        self.settle();
        Some((session, request))
    }

    /// The phone rings.
    pub(crate) fn rings(&mut self, phone: PhoneId) -> SessionId {
        self.incoming(phone).expect("the phone rings").0
    }

    pub(crate) fn answer(&mut self, phone: PhoneId, session: SessionId) {
        let phone = &mut self.phones[phone.0];
        let (contact, sdp) = (phone.contact(), phone.sdp());
        phone.ua.accept(session, contact, sdp, Headers::new(), self.now.mono);
        self.settle();
    }

    pub(crate) fn reject(&mut self, phone: PhoneId, session: SessionId, status: u16) {
        self.reject_with(phone, session, status, Headers::new());
    }

    pub(crate) fn reject_with(&mut self, phone: PhoneId, session: SessionId, status: u16, headers: Headers) {
        self.phones[phone.0].ua.reject(session, status, headers, self.now.mono);
        self.settle();
    }

    pub(crate) fn hang_up(&mut self, phone: PhoneId, session: SessionId) {
        self.phones[phone.0].ua.hang_up(session, Headers::new(), self.now.mono);
        self.settle();
    }

    /// What became of a session at a phone, in the order in which the phone learned it; then it is forgotten.
    pub(crate) fn story(&mut self, phone: PhoneId, session: SessionId) -> Vec<String> {
        let (told, rest) = std::mem::take(&mut self.phones[phone.0].events).into_iter().partition(|event| is_of(event, session));
        self.phones[phone.0].events = rest;
        let told: Vec<Event> = told;
        told.iter().map(told_as).collect()
    }
}

pub(crate) fn status_of(result: &Result<Response, RequestFailure>) -> u16 {
    match result {
        Ok(response) => response.status,
        Err(failure) => failure.status(),
    }
}

fn is_of(event: &Event, of: SessionId) -> bool {
    match event {
        Event::Incoming { session, .. }
        | Event::Progress { session, .. }
        | Event::Answered { session, .. }
        | Event::Confirmed { session, .. }
        | Event::Rejected { session, .. }
        | Event::Cancelled { session, .. }
        | Event::Ended { session, .. }
        | Event::Reinvited { session, .. }
        | Event::ReinviteConfirmed { session, .. }
        | Event::ReinviteAnswered { session, .. }
        | Event::EarlyOffered { session, .. }
        | Event::Updated { session, .. }
        | Event::Referred { session, .. }
        | Event::Message { session, .. }
        | Event::Info { session, .. } => *session == of,
        Event::Request { .. }
        | Event::Response { .. }
        | Event::Resubscribed { .. }
        | Event::Unsubscribed { .. }
        | Event::ReferProgress { .. }
        | Event::ReferEnded { .. }
        | Event::Notified { .. }
        | Event::Unwatched { .. }
        | Event::Reopen { .. }
        | Event::Unframeable { .. } => false,
    }
}

fn told_as(event: &Event) -> String {
    let reason = |headers: &Headers| headers.get("Reason").map_or_else(String::new, |reason| format!(" ({reason})"));
    match event {
        Event::Progress { response, .. } => response.status.to_string(),
        Event::Answered { response, .. } => response.status.to_string(),
        Event::Rejected { failure, .. } => failure.status().to_string(),
        Event::Confirmed { .. } => "confirmed".into(),
        Event::Cancelled { headers, .. } => format!("cancelled{}", reason(headers)),
        Event::Ended { by, .. } => format!("ended by {by:?}"),
        Event::ReinviteAnswered { result, .. } => {
            format!("re-INVITE {}", result.as_ref().map_or_else(RequestFailure::status, |_| 200))
        }
        other => format!("{other:?}"),
    }
}

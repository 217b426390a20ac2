use std::time::{Duration, Instant};

use aftertone_call::{CallPhase, CallSnapshot, Describe, Event, MediaRequestId, Output, Phone, PhoneConfig};
use aftertone_model::{CallId, EndReason, Now, Timestamp};
use aftertone_sip::{
    self as sip, ConnectionId, Flow, Headers, IncomingId, Invite, Method, NameAddr, Request, ResponseParts, SessionId, Transport,
    UaConfig, Uri, UserAgent,
};

pub(crate) const CALL: &str = "6a0f1a3e-58ae-4c43-9d19-5a4b1d0f1c11";

/// A phone, an exchange, and a connection between them that can break.
pub(crate) struct World {
    pub(crate) phone: Phone,
    pub(crate) exchange: UserAgent,
    start: Instant,
    elapsed: Duration,
    connection: u64,
    up: bool,
    /// The phone's end of a connection.
    pub(crate) address: &'static str,
    /// What the phone told, without registrations that were answered.
    pub(crate) told: Vec<Event>,
    /// What the exchange heard, REGISTERs apart.
    pub(crate) heard: Vec<sip::Event>,
    pub(crate) registers: Vec<Request>,
    /// How REGISTER is answered: status and granted seconds.
    pub(crate) registrar: (u16, u32),
}

impl World {
    pub(crate) fn new() -> Self {
        let config = PhoneConfig {
            user: "bob".into(),
            domain: "example.com".into(),
            display_name: "Bob".into(),
            product: "Aftertone/test".into(),
            instance: "0b5c2b1e-7f0a-4a53-8c0e-0f5d5e1c2a77".into(),
            register: true,
            seed: [1; 32],
        };
        Self {
            phone: Phone::new(config),
            exchange: UserAgent::new(UaConfig::new("exchange", [2; 32])),
            start: Instant::now(),
            elapsed: Duration::ZERO,
            connection: 0,
            up: false,
            address: "192.0.2.7:50000",
            told: Vec::new(),
            heard: Vec::new(),
            registers: Vec::new(),
            registrar: (200, 600),
        }
    }

    pub(crate) fn online() -> Self {
        let mut world = Self::new();
        world.connect();
        assert!(world.phone.is_registered());
        world.told.clear();
        world
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::UNIX_EPOCH + self.elapsed;
        Now { mono: self.start + self.elapsed, wall }
    }

    fn flow(&self, at_phone: bool) -> Flow {
        let (a, b) = (self.address.parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        let (local, remote) = if at_phone { (a, b) } else { (b, a) };
        Flow { transport: Transport::Wss, local, remote, connection: Some(ConnectionId(self.connection)) }
    }

    pub(crate) fn connect(&mut self) {
        self.connection += 1;
        self.up = true;
        self.phone.handle_connected(self.flow(true), self.now());
        self.settle();
    }

    pub(crate) fn break_connection(&mut self) {
        self.up = false;
        let now = self.now();
        self.phone.handle_disconnected(ConnectionId(self.connection), now);
        self.exchange.handle_closed(ConnectionId(self.connection), now.mono);
        self.settle();
    }

    /// Lets messages go back and forth until nobody has anything to say.
    pub(crate) fn settle(&mut self) {
        while self.drain_phone() | self.drain_exchange() {}
    }

    fn drain_phone(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.phone.poll_output() {
                Output::Timeout(_) => return moved,
                Output::Transmit { connection, bytes } => {
                    moved = true;
                    if self.up && connection.0 == self.connection {
                        self.exchange.handle_received(self.flow(false), &bytes, self.now().mono);
                    }
                }
                Output::Event(event) => self.told.push(event),
            }
        }
    }

    fn drain_exchange(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.exchange.poll_output() {
                sip::Output::Timeout(_) => return moved,
                sip::Output::Transmit { flow, bytes } => {
                    moved = true;
                    if self.up && flow.connection == Some(ConnectionId(self.connection)) {
                        self.phone.handle_received(self.flow(true), &bytes, self.now());
                    }
                }
                sip::Output::Event(sip::Event::Request { id, request, .. }) if request.method == Method::Register => {
                    moved = true;
                    self.answer_register(id, request);
                }
                sip::Output::Event(event) => self.heard.push(event),
            }
        }
    }

    fn answer_register(&mut self, id: IncomingId, request: Request) {
        let (status, granted) = self.registrar;
        let mut response = ResponseParts::new(status);
        if status == 200 && request.headers.expires() != Some(0) {
            let contact = request.headers.contact().unwrap().with_param("expires", Some(&granted.to_string()));
            response = response.with("Contact", contact);
        }
        self.registers.push(request);
        self.exchange.respond(id, response, self.now().mono);
    }

    /// Lets time pass, in small steps.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.elapsed + duration;
        while self.elapsed < end {
            self.elapsed = (self.elapsed + Duration::from_millis(500)).min(end);
            let now = self.now();
            self.phone.handle_timeout(now);
            self.exchange.handle_timeout(now.mono);
            self.settle();
        }
    }

    /// The exchange rings this phone.
    pub(crate) fn ring(&mut self) -> SessionId {
        self.ring_with(Some("offer of the exchange".into()))
    }

    pub(crate) fn ring_with(&mut self, sdp: Option<String>) -> SessionId {
        let bob = self.registers.last().unwrap().headers.contact().unwrap().uri;
        let invite = Invite {
            uri: bob,
            from: NameAddr::new(Uri::sip("1001", "example.com")).with_display("Alice"),
            to: NameAddr::new(Uri::sip("bob", "example.com")),
            contact: NameAddr::new(Uri::sip("", "192.0.2.1")),
            headers: Headers::new().with("Aftertone-Call", CALL),
            sdp,
            credentials: None,
        };
        let session = self.exchange.invite(invite, self.flow(false), self.now().mono);
        self.settle();
        session
    }

    /// Answers the phone's last question for a description.
    pub(crate) fn describe(&mut self, sdp: &str) -> MediaRequestId {
        let (request, _) = self.described().unwrap();
        self.phone.handle_description(request, Ok(sdp.into()), self.now());
        self.settle();
        request
    }

    /// The phone's last question for a description.
    pub(crate) fn described(&self) -> Option<(MediaRequestId, Describe)> {
        self.told.iter().rev().find_map(|event| match event {
            Event::DescribeMedia { request, describe, .. } => Some((*request, describe.clone())),
            _ => None,
        })
    }

    /// An outgoing call up to the INVITE at the exchange.
    pub(crate) fn dial(&mut self, target: &str) -> (CallId, SessionId, Request) {
        let call = CallId::from_random(77);
        self.phone.dial(call, &target.parse().unwrap(), self.now()).unwrap();
        self.invited(call)
    }

    pub(crate) fn call_back(&mut self, target: &str) -> (CallId, SessionId, Request) {
        let call = CallId::from_random(78);
        self.phone.call_back(call, &target.parse().unwrap(), self.now()).unwrap();
        self.invited(call)
    }

    fn invited(&mut self, call: CallId) -> (CallId, SessionId, Request) {
        self.settle();
        self.describe("offer of the phone");
        let invited = self.heard.iter().rev().find_map(|event| match event {
            sip::Event::Incoming { session, request, .. } => Some((*session, request.clone())),
            _ => None,
        });
        let (session, request) = invited.unwrap();
        (call, session, request)
    }

    pub(crate) fn calls(&self) -> Vec<CallSnapshot> {
        let snapshot = |event: &Event| match event {
            Event::Call(call) => Some(call.clone()),
            _ => None,
        };
        self.told.iter().filter_map(snapshot).collect()
    }

    pub(crate) fn phases(&self) -> Vec<CallPhase> {
        self.calls().into_iter().map(|call| call.phase).collect()
    }

    pub(crate) fn end(&self) -> Option<EndReason> {
        match self.phases().last() {
            Some(CallPhase::Ended(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// The media that are described and not closed.
    pub(crate) fn open_media(&self) -> Vec<MediaRequestId> {
        let mut open = Vec::new();
        for event in &self.told {
            match event {
                Event::DescribeMedia { request, .. } => open.push(*request),
                Event::CloseMedia { media } => open.retain(|known| known != media),
                _ => {}
            }
        }
        open
    }

    pub(crate) fn contact(&self) -> NameAddr {
        NameAddr::new(Uri::sip("exchange", "192.0.2.1"))
    }
}

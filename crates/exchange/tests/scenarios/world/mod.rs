//! A little simulated world in virtual time: an exchange, phones that are real user agents, a network that delivers at once or
//! not at all, and a media plane that makes descriptions of a few lines.

mod phone;
mod plane;

pub(crate) use phone::{Phone, PhoneId, status_of};
pub(crate) use plane::{Plane, codecs_of, text};

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftertone_exchange::{
    DepositOrder, Directory, Event, Exchange, ExchangeConfig, LegId, MediaCommand, Output, Person, PhoneCredentials, ReachId, Way,
};
use aftertone_model::{CallRecord, CallingRights, DeviceId, Language, MeasuredCall, Now, Subscriber, SubscriberId, Timestamp};
use aftertone_rules::Answering;
use aftertone_sip::{
    self as sip, ConnectionId, Flow, Transport,
    digest::{Algorithm, ha1},
};

pub(crate) const DOMAIN: &str = "example.org";
pub(crate) const SERVER: &str = "10.0.0.1:5060";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) exchange: Exchange,
    pub(crate) phones: Vec<Phone>,
    pub(crate) plane: Plane,
    pub(crate) logged: Vec<CallRecord>,
    pub(crate) measured: Vec<MeasuredCall>,
    pub(crate) events: Vec<Event>,
    /// Everything that went over the wire: from whom, and the first line.
    pub(crate) wire: Vec<String>,
    /// What every look-up finds, in order.
    pub(crate) ways: Vec<Way>,
    /// What others see the exchange's datagrams come from, if a NAT stands in between.
    pub(crate) nat: Option<SocketAddr>,
    /// Our end of the ways to trunks.
    pub(crate) home: SocketAddr,
    /// How many connections were opened.
    dialled: u64,
    /// Addresses to which no connection can be opened.
    pub(crate) closed: Vec<SocketAddr>,
    /// Whole messages of the exchange, for what the first lines don't say.
    pub(crate) sent: Vec<(SocketAddr, String)>,
}

/// Anna 1001, Ben 1002, Cleo 1003 (speaks German, rings 5 s).
pub(crate) fn subscriber(name: &str) -> Subscriber {
    let (number, display_name, language, ring_s) = match name {
        "anna" => (1, "Anna Adler", Language::En, 20),
        "ben" => (2, "Ben Brandt", Language::En, 20),
        "cleo" => (3, "Cleo Conrad", Language::De, 5),
        other => panic!("nobody is called {other}"),
    };
    Subscriber {
        id: SubscriberId::from_random(number),
        user: name.parse().unwrap(),
        extension: format!("100{number}").parse().unwrap(),
        display_name: display_name.into(),
        language,
        ring_s,
    }
}

pub(crate) fn id(name: &str) -> SubscriberId {
    subscriber(name).id
}

pub(crate) fn device(number: u128) -> DeviceId {
    DeviceId::from_random(1_000 + number)
}

/// Each person has a phone with the digest user `NAME-phone`; its hash is known by every algorithm.
pub(crate) fn person(name: &str) -> Person {
    let subscriber = subscriber(name);
    let user = format!("{name}-phone");
    let hash = |algorithm| ha1(algorithm, &user, DOMAIN, PASSWORD);
    let [ha1_sha256, ha1_sha512_256, ha1_md5] = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5].map(hash);
    let number = u128::from(subscriber.extension.as_str().as_bytes()[3]);
    Person {
        subscriber,
        phones: vec![PhoneCredentials { device: device(number), user, ha1_sha256, ha1_sha512_256, ha1_md5 }],
        rights: CallingRights::National,
        do_not_disturb: false,
        dials_from_menu: false,
        answering: Answering::default(),
        greetings: std::collections::BTreeMap::new(),
        spoken_name: None,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    pub(crate) fn with(adjust: impl FnOnce(&mut ExchangeConfig)) -> Self {
        let start = Instant::now();
        let now = Now { mono: start, wall: Timestamp::from_second(1_800_000_000).unwrap() };
        let mut config = ExchangeConfig::new(DOMAIN, [7; 32]);
        adjust(&mut config);
        let mut exchange = Exchange::new(config);
        exchange.handle_directory(Directory::new(["anna", "ben", "cleo"].map(person)), now);
        Self {
            now,
            exchange,
            phones: Vec::new(),
            plane: Plane::default(),
            logged: Vec::new(),
            measured: Vec::new(),
            events: Vec::new(),
            wire: Vec::new(),
            ways: Vec::new(),
            nat: None,
            home: SERVER.parse().unwrap(),
            dialled: 0,
            closed: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Delivers everything until nobody has anything to say, without time passing.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.poll_exchange() {
                quiet = false;
                match output {
                    Output::Transmit { flow, bytes } => self.deliver(flow, &bytes),
                    Output::Event(event) => self.on_event(event),
                    Output::Timeout(_) => {}
                }
            }
            for index in 0..self.phones.len() {
                quiet &= !self.drain_phone(index);
            }
            if quiet {
                return;
            }
        }
    }

    /// Lets time pass, and everything in it happen in order.
    pub(crate) fn wait(&mut self, seconds: f64) {
        self.settle();
        let until = self.now.mono + Duration::from_secs_f64(seconds);
        loop {
            let next = self.next_timeout();
            let at = next.filter(|at| *at <= until).unwrap_or(until).max(self.now.mono);
            let passed = at - self.now.mono;
            self.now = Now { mono: at, wall: self.now.wall + passed };
            if next.is_none_or(|next| next > until) {
                return;
            }
            self.exchange.handle_timeout(self.now);
            for phone in &mut self.phones {
                phone.ua.handle_timeout(at);
            }
            self.settle();
        }
    }

    fn next_timeout(&mut self) -> Option<Instant> {
        let exchange = match self.exchange.poll_output() {
            Output::Timeout(at) => at,
            other => panic!("undrained: {other:?}"),
        };
        let phones = self.phones.iter_mut().map(|phone| match phone.ua.poll_output() {
            sip::Output::Timeout(at) => at,
            other => panic!("undrained: {other:?}"),
        });
        phones.chain([exchange]).flatten().min()
    }

    fn poll_exchange(&mut self) -> Option<Output> {
        match self.exchange.poll_output() {
            Output::Timeout(_) => None,
            output => Some(output),
        }
    }

    fn deliver(&mut self, flow: Flow, bytes: &[u8]) {
        self.wire.push(format!("-> {}", first_line(bytes)));
        self.sent.push((flow.remote, String::from_utf8_lossy(bytes).into_owned()));
        let now = self.now.mono;
        let reached = |phone: &&mut Phone| match flow.connection {
            Some(connection) => phone.flow.connection == Some(connection),
            None => phone.flow.local == flow.remote,
        };
        if let Some(phone) = self.phones.iter_mut().find(reached).filter(|phone| !phone.deaf) {
            let flow = Flow { remote: self.nat.unwrap_or(phone.flow.remote), ..phone.flow };
            phone.ua.handle_received(flow, bytes, now);
        }
    }

    fn drain_phone(&mut self, index: usize) -> bool {
        let mut spoke = false;
        loop {
            match self.phones[index].ua.poll_output() {
                sip::Output::Timeout(_) => return spoke,
                sip::Output::Event(event) => self.phones[index].events.push(event),
                sip::Output::Transmit { bytes, .. } => {
                    let phone = &self.phones[index];
                    self.wire.push(format!("{} {}", phone.name, first_line(&bytes)));
                    let flow = Flow { local: phone.flow.remote, remote: phone.flow.local, ..phone.flow };
                    if !phone.gone {
                        self.exchange.handle_received(flow, &bytes, self.now);
                    }
                }
            }
            spoke = true;
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Media(command) => self.on_media(command),
            Event::Logged(record) => self.logged.push(record),
            Event::Measured(measured) => self.measured.push(measured),
            Event::BindingsToSave(_) => {}
            Event::Locate { request, .. } => self.exchange.handle_located(request, self.ways.clone(), self.now),
            Event::Reach { request, way } => self.reach(request, &way),
            Event::Reopen { request, address } => {
                let way = Way { transport: Transport::Tcp, address, name: String::new(), fingerprint: None };
                self.reach(request, &way);
            }
            Event::BindingsChanged(_) | Event::MessageWaitingWanted(_) | Event::DeviceSeen(..) | Event::TrunkChanged(..) => {
                self.events.push(event);
            }
        }
    }

    fn reach(&mut self, request: ReachId, way: &Way) {
        // The first connection has the port's number, and none has another one's.
        let connection = way.transport.is_reliable().then(|| u64::from(way.address.port()) + self.dialled * 100_000);
        let flow = Flow { local: self.home, remote: way.address, ..flow_of(SERVER, way.transport, connection) };
        let flow = (!self.closed.contains(&way.address)).then_some(flow);
        self.dialled += u64::from(flow.is_some() && connection.is_some());
        if let Some(flow) = flow {
            self.exchange.handle_connected(flow, None, self.now);
        }
        self.exchange.handle_reached(request, flow, self.now);
    }

    fn on_media(&mut self, command: MediaCommand) {
        let reply = self.plane.take(command);
        match reply {
            Some(plane::Reply::Described(request, result)) => self.exchange.handle_described(request, result, self.now),
            Some(plane::Reply::Applied(request, result)) => self.exchange.handle_applied(request, result, self.now),
            Some(plane::Reply::Measured(leg, figures)) => self.exchange.handle_measured(leg, Some(figures), self.now),
            None => {}
        }
    }

    pub(crate) fn hang_up_deposit(&mut self, leg: LegId) {
        self.exchange.handle_deposit_over(leg, self.now);
        self.settle();
    }

    /// The one deposit that was ordered.
    pub(crate) fn deposit(&self) -> (LegId, &DepositOrder) {
        match self.plane.deposits.as_slice() {
            [(leg, order)] => (*leg, order),
            other => panic!("{} deposits", other.len()),
        }
    }

    pub(crate) fn close(&mut self, phone: PhoneId) {
        let connection = self.phones[phone.0].flow.connection.unwrap();
        self.phones[phone.0].gone = true;
        self.phones[phone.0].deaf = true;
        self.exchange.handle_closed(connection, self.now);
        self.settle();
    }

    /// Nothing is left of anything once all timers have run out.
    pub(crate) fn check_clean(&mut self) {
        self.wait(64.0);
        assert_eq!(self.exchange.calls(), 0, "calls are left");
        assert!(self.plane.open.is_empty(), "the media plane was left with {:?}", self.plane.open);
    }

    /// The records of a person: direction, party's number, end.
    pub(crate) fn log_of(&self, name: &str) -> Vec<&CallRecord> {
        self.logged.iter().filter(|record| record.owner == id(name)).collect()
    }
}

pub(crate) fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}

pub(crate) fn flow_of(local: &str, transport: Transport, connection: Option<u64>) -> Flow {
    Flow { transport, local: local.parse().unwrap(), remote: SERVER.parse().unwrap(), connection: connection.map(ConnectionId) }
}

//! A world of user agents in virtual time, with a network that loses, doubles and reorders.

#![expect(dead_code, unreachable_pub, reason = "each test file is a program of its own and uses a part of this")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aftertone_sip::{
    ConnectionId, Credentials, Event, Flow, Headers, Invite, Message, NameAddr, Output, SessionId, Transport, UaConfig, Uri,
    UserAgent, parse,
};

pub const ALICE: usize = 0;
pub const BOB: usize = 1;
pub const CAROL: usize = 2;

pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
pub const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";

#[derive(Debug, Clone, Copy, Default)]
pub struct Network {
    /// Per thousand.
    pub loss: u64,
    /// Per thousand.
    pub doubled: u64,
    pub jitter: u64,
}

pub struct Agent {
    pub ua: UserAgent,
    pub addr: SocketAddr,
    pub events: VecDeque<Event>,
}

pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub transport: Transport,
    pub network: Network,
    pub agents: Vec<Agent>,
    /// Everything that was sent, with its time, sender and text.
    pub trace: Vec<(Duration, usize, String)>,
    /// What a test plays itself: bytes sent to an address that is no agent's.
    pub strangers: VecDeque<(SocketAddr, Vec<u8>)>,
    in_flight: BTreeMap<(Instant, u64), (usize, Flow, Vec<u8>)>,
    random: u64,
    sent: u64,
}

impl World {
    pub fn new(transport: Transport) -> Self {
        Self::with_configs(transport, Network::default(), 1, |_| {})
    }

    pub fn lossy(seed: u64, network: Network) -> Self {
        Self::with_configs(Transport::Udp, network, seed, |_| {})
    }

    pub fn with_configs(transport: Transport, network: Network, seed: u64, change: impl Fn(&mut UaConfig)) -> Self {
        let now = any_time();
        let agent = |n: u8| {
            let mut config = UaConfig::new("Test/1", [n.wrapping_add(seed as u8); 32]);
            config.takes_texts = true;
            change(&mut config);
            let addr = SocketAddr::from(([127, 0, 0, n], 5060));
            Agent { ua: UserAgent::new(config), addr, events: VecDeque::new() }
        };
        let agents = vec![agent(1), agent(2), agent(3)];
        let (trace, strangers, in_flight) = (Vec::new(), VecDeque::new(), BTreeMap::new());
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { now, start: now, transport, network, agents, trace, strangers, in_flight, random, sent: 0 }
    }

    pub fn flow(&self, from: usize, to: usize) -> Flow {
        let connection = self.transport.is_reliable().then_some(ConnectionId((from.min(to) * 10 + from.max(to)) as u64));
        Flow { transport: self.transport, local: self.agents[from].addr, remote: self.agents[to].addr, connection }
    }

    pub fn uri(&self, user: &str, agent: usize) -> Uri {
        let addr = self.agents[agent].addr;
        Uri::sip(user, &addr.ip().to_string()).with_port(addr.port())
    }

    pub fn invite_to_bob(&self, credentials: Option<Credentials>) -> Invite {
        Invite {
            uri: self.uri("bob", BOB),
            from: Uri::sip("alice", "example.com").into(),
            to: Uri::sip("bob", "example.com").into(),
            contact: self.contact("alice", ALICE),
            headers: Headers::new(),
            sdp: Some(OFFER.to_owned()),
            credentials,
        }
    }

    pub fn contact(&self, user: &str, agent: usize) -> NameAddr {
        self.uri(user, agent).into()
    }

    /// Does something to an agent and lets what follows from it happen, without time going on.
    pub fn act<T>(&mut self, agent: usize, act: impl FnOnce(&mut UserAgent, Instant) -> T) -> T {
        let result = act(&mut self.agents[agent].ua, self.now);
        self.drain(agent);
        result
    }

    /// Bytes from somewhere that is no agent of this world.
    pub fn inject(&mut self, agent: usize, from: SocketAddr, text: &str) {
        let local = self.agents[agent].addr;
        let flow = Flow { transport: Transport::Udp, local, remote: from, connection: None };
        self.act(agent, |ua, now| ua.handle_received(flow, text.as_bytes(), now));
    }

    fn drain(&mut self, agent: usize) {
        loop {
            match self.agents[agent].ua.poll_output() {
                Output::Timeout(_) => return,
                Output::Event(event) => self.agents[agent].events.push_back(event),
                Output::Transmit { flow, bytes } => self.send(agent, flow, bytes),
            }
        }
    }

    fn send(&mut self, from: usize, flow: Flow, bytes: Vec<u8>) {
        self.trace.push((self.now - self.start, from, String::from_utf8_lossy(&bytes).into_owned()));
        let Some(to) = self.agents.iter().position(|agent| agent.addr == flow.remote) else {
            self.strangers.push_back((flow.remote, bytes));
            return;
        };
        let reliable = flow.transport.is_reliable();
        let copies = if reliable {
            1
        } else if self.chance(self.network.loss) {
            0
        } else {
            1 + usize::from(self.chance(self.network.doubled))
        };
        for _ in 0..copies {
            let jitter = if reliable { 0 } else { self.next_random() % (self.network.jitter + 1) };
            self.sent += 1;
            let at = self.now + Duration::from_millis(10 + jitter);
            let back = Flow { local: flow.remote, remote: flow.local, ..flow };
            self.in_flight.insert((at, self.sent), (to, back, bytes.clone()));
        }
    }

    /// Lets the next thing happen, unless that is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        for agent in 0..self.agents.len() {
            self.drain(agent);
        }
        let arrival = self.in_flight.keys().next().copied();
        let timeout = (0..self.agents.len()).filter_map(|n| match self.agents[n].ua.poll_output() {
            Output::Timeout(at) => at.map(|at| (at, n)),
            Output::Transmit { .. } | Output::Event(_) => panic!("drained before"),
        });
        let timeout = timeout.min();
        let next = [arrival.map(|(at, _)| at), timeout.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if let Some(key) = arrival.filter(|(at, _)| *at == next)
            && let Some((to, flow, bytes)) = self.in_flight.remove(&key)
        {
            self.act(to, |ua, now| ua.handle_received(flow, &bytes, now));
        } else if let Some((_, agent)) = timeout {
            self.act(agent, |ua, now| ua.handle_timeout(now));
        }
        true
    }

    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
    }

    /// Runs until an agent has an event that `pick` wants, dropping those before it.
    pub fn wait<T>(&mut self, agent: usize, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let end = self.now + Duration::from_secs(3600);
        loop {
            while let Some(event) = self.agents[agent].events.pop_front() {
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
            assert!(self.step(end), "the event never came:\n{}", self.dump());
        }
    }

    pub fn wait_incoming(&mut self, agent: usize) -> SessionId {
        self.wait(agent, |event| {
            let Event::Incoming { session, .. } = event else { return None };
            Some(*session)
        })
    }

    pub fn wait_answered(&mut self, agent: usize, id: SessionId) -> Option<String> {
        self.wait(agent, |event| {
            let Event::Answered { session, sdp, .. } = event else { return None };
            (*session == id).then(|| sdp.clone())
        })
    }

    pub fn wait_confirmed(&mut self, agent: usize, id: SessionId) {
        self.wait(agent, |event| matches!(event, Event::Confirmed { session, .. } if *session == id).then_some(()));
    }

    /// Alice calls Bob and Bob answers.
    pub fn call(&mut self) -> (SessionId, SessionId) {
        self.call_between(ALICE, BOB)
    }

    pub fn call_between(&mut self, from: usize, to: usize) -> (SessionId, SessionId) {
        let flow = self.flow(from, to);
        let invite = Invite { uri: self.uri("callee", to), contact: self.contact("caller", from), ..self.invite_to_bob(None) };
        let ours = self.act(from, |ua, now| ua.invite(invite, flow, now));
        let theirs = self.wait_incoming(to);
        self.act(to, |ua, now| ua.ring(theirs, Headers::new(), now));
        let contact = self.contact("callee", to);
        self.act(to, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
        assert_eq!(self.wait_answered(from, ours).as_deref(), Some(ANSWER));
        self.wait_confirmed(to, theirs);
        (ours, theirs)
    }

    /// After enough time nothing may be left of anything.
    pub fn assert_idle_later(&mut self) {
        self.run(Duration::from_secs(200));
        for agent in &self.agents {
            assert!(agent.ua.is_idle(), "{:?}\n{}", agent.ua.counts(), self.dump());
        }
    }

    /// The first lines of what an agent sent, without repetitions in a row.
    pub fn sent_by(&self, agent: usize) -> Vec<String> {
        let lines = self.trace.iter().filter(|(_, from, _)| *from == agent).map(|(_, _, text)| first_line(text));
        lines.collect()
    }

    pub fn dump(&self) -> String {
        self.trace.iter().map(|(at, from, text)| format!("{at:?} {from}: {}\n", first_line(text))).collect()
    }

    fn chance(&mut self, per_thousand: u64) -> bool {
        self.next_random() % 1000 < per_thousand
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.split_once(" sip:") {
        Some((method, _)) => method.to_owned(),
        None => line.to_owned(),
    }
}

/// Where virtual time begins: there is no other way to make an `Instant`.
#[expect(clippy::disallowed_methods, reason = "only a beginning; it does not matter which")]
pub fn any_time() -> Instant {
    Instant::now()
}

/// A message that must be readable.
pub fn read(bytes: &[u8]) -> Message {
    parse(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// Somebody who is no agent of the world, played by hand.
pub fn stranger() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 5062))
}

/// An INVITE of a simple program, such as sipp: without rport.
pub fn invite(via: &str, body: &str) -> String {
    format!(
        "INVITE sip:bob@127.0.0.2 SIP/2.0\r\nVia: {via}\r\nFrom: sipp <sip:sipp@192.0.2.7:5062>;tag=1\r\nTo: <sip:bob@127.0.0.2>\r\n\
         Call-ID: 1-2@192.0.2.7\r\nCSeq: 1 INVITE\r\nContact: sip:sipp@192.0.2.7:5062\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub const VIA: &str = "SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK-1";

/// Its request without a body, in the dialog that `to` names.
pub fn in_dialog(method: &str, number: u32, branch: &str, to: &str) -> String {
    format!(
        "{method} sip:bob@127.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch={branch}\r\n\
         From: sipp <sip:sipp@192.0.2.7:5062>;tag=1\r\nTo: {to}\r\nCall-ID: 1-2@192.0.2.7\r\nCSeq: {number} {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

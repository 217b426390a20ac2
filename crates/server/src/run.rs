//! The exchange's loop: one task owns the exchange, the sockets of SIP and the media plane's handle. Everybody else holds
//! channels. One input, then every output, then the next input.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::{
    Directory, Event, Exchange, MediaCommand, MessageCounts, Output, ReachId, TrunkAccount, TrunkReport, Way,
};
use aftertone_model::{CallId, CallRecord, DeviceId, MeasuredCall, Now, SubscriberId, Timestamp};
use aftertone_net::{ConnectionNumber, Datagram, StreamEvent, StreamSender, UdpPort, stun, tls};
use aftertone_sip::{ConnectionId, Flow, Transport};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, sleep_until},
};

use crate::{
    bindings::Saved,
    load::Gauge,
    media::{MediaEvent, MediaPlane},
    oversize::{How, Oversize},
    public::Public,
    reach::Reach,
    routes::Routes,
    test_call::TestCalls,
    trunks::state_word,
};

/// How often the exchange looks whether the machine is at its limit.
const LOOK_AT_LOAD: Duration = Duration::from_millis(250);

/// What others tell the exchange.
#[derive(Debug)]
pub(crate) enum Command {
    /// People or phones have changed.
    Directory(Directory),
    /// Tells when everything before this is known.
    Known(oneshot::Sender<()>),
    /// Trunks have changed.
    Trunks(Vec<TrunkAccount>),
    /// A trunk's server was looked up.
    Located(ReachId, Vec<Way>),
    /// A mailbox's counts have changed.
    MessageWaiting(SubscriberId, MessageCounts),
    /// The machine's addresses have changed, or it slept.
    NetworkChanged,
    /// Ask this STUN server for our address.
    AskStun(SocketAddr),
    /// Take no new calls.
    Drain,
    /// Hang up, commit what was recorded, and end; says whether everything was committed in time.
    Finish { within: Duration, done: oneshot::Sender<bool> },
}

/// What happens on the WebSockets of `/sip`. Of one connection: `Opened`, any number of `Received`, `Closed`.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// Somebody came.
    Opened {
        /// With its connection.
        flow: Flow,
        /// Whose it is and which, if a token said so; without one it authenticates in SIP.
        device: Option<(SubscriberId, DeviceId)>,
        /// To send on it; dropping it closes the connection.
        sender: mpsc::Sender<Bytes>,
    },
    /// The server itself makes a test call.
    TestCaller {
        /// With its connection.
        flow: Flow,
        /// To send on it.
        sender: mpsc::Sender<Bytes>,
    },
    /// One SIP message.
    Received {
        /// Over which.
        flow: Flow,
        /// The message.
        bytes: Bytes,
    },
    /// It is closed.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
}

/// What the exchange has for those who keep the books.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Into the call log.
    Logged(CallRecord),
    /// How a call sounded, into its record.
    Measured(MeasuredCall),
    /// Push this mailbox's counts.
    CountsWanted(SubscriberId),
    /// A device was heard of.
    Seen(DeviceId),
    /// How the trunks are now.
    TrunkChanged(BTreeMap<String, String>),
    /// The mailbox's feed grew.
    FeedGrew(SubscriberId),
}

/// How busy the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Calls, deposits included.
    pub(crate) calls: usize,
    /// Deposits that are not committed yet.
    pub(crate) deposits: usize,
}

/// Where inputs come from.
pub(crate) struct Inputs {
    pub(crate) datagrams: mpsc::Receiver<Datagram>,
    pub(crate) streams: mpsc::Receiver<StreamEvent>,
    pub(crate) sockets: mpsc::Receiver<SocketEvent>,
    pub(crate) media: mpsc::Receiver<MediaEvent>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The owner of it all.
pub(crate) struct ExchangeLoop {
    pub(crate) exchange: Exchange,
    pub(crate) media: MediaPlane,
    pub(crate) udp: Option<UdpPort>,
    pub(crate) routes: Routes,
    pub(crate) public: Public,
    pub(crate) oversize: Oversize,
    /// Of the last question to a STUN server.
    pub(crate) stun_id: stun::TransactionId,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    pub(crate) load: watch::Sender<Load>,
    pub(crate) trunks: watch::Sender<BTreeMap<String, TrunkReport>>,
    pub(crate) links: BTreeMap<ConnectionId, Link>,
    pub(crate) deposits: BTreeSet<CallId>,
    /// Whether the machine is at its limit.
    pub(crate) gauge: Gauge,
    pub(crate) reach: Reach,
    pub(crate) bindings: mpsc::UnboundedSender<Saved>,
    /// Whose certificates are believed.
    pub(crate) trust_names: Vec<String>,
    /// The addresses whose routes are watched.
    pub(crate) watched: watch::Sender<BTreeSet<IpAddr>>,
    /// Their callers hear of what they can't see.
    pub(crate) test_calls: Arc<TestCalls>,
    /// When idle connections were looked for last.
    pub(crate) swept_at: Instant,
}

/// More peers of trunks than these are not watched.
const MOST_WATCHED: usize = 64;

/// The way to the rest of the world, by both families; nothing is sent to these addresses (RFC 5737, RFC 3849).
pub(crate) fn always_watched() -> BTreeSet<IpAddr> {
    let four = std::net::Ipv4Addr::new(192, 0, 2, 1);
    let six = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    BTreeSet::from([four.into(), six.into()])
}

/// A stream that nothing hangs on, no phone, no call and no trunk, is closed when nothing has come over it for so long.
const IDLE: Duration = Duration::from_secs(600);
/// How often it is looked for them.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// An open stream or WebSocket connection.
#[derive(Debug)]
pub(crate) enum Link {
    /// SIP over TCP or TLS.
    Stream { flow: Flow, sender: StreamSender, heard_at: Instant },
    /// SIP over a WebSocket.
    Socket { sender: mpsc::Sender<Bytes> },
}

/// What registrars may take to answer at the end.
const LEAVING: Duration = Duration::from_secs(2);

enum Step {
    GoOn,
    Finish { within: Duration, done: oneshot::Sender<bool> },
}

impl ExchangeLoop {
    pub(crate) async fn run(mut self, mut inputs: Inputs) {
        let mut look = interval(LOOK_AT_LOAD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.drain().into_iter().chain(self.oversize.deadline()).chain([self.swept_at + SWEEP_EVERY]).min();
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            let step = tokio::select! {
                _ = look.tick() => {
                    let overloaded = self.gauge.is_over(self.exchange.calls(), Instant::now());
                    self.exchange.handle_overload(overloaded);
                    Step::GoOn
                }
                () = due => self.time_has_come(),
                Some(datagram) = inputs.datagrams.recv() => self.datagram(datagram),
                Some(event) = inputs.streams.recv() => self.stream(event),
                Some(event) = inputs.sockets.recv() => self.socket(event),
                Some(event) = inputs.media.recv() => self.media(event),
                command = inputs.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
            };
            if let Step::Finish { within, done } = step {
                let finished = self.finish(inputs, within).await;
                let _ = done.send(finished);
                return;
            }
        }
    }

    fn time_has_come(&mut self) -> Step {
        self.exchange.handle_timeout(now());
        let now = Instant::now();
        for (remote, bytes) in self.oversize.overdue(now) {
            self.send_datagram(remote, bytes);
        }
        if now >= self.swept_at + SWEEP_EVERY {
            self.swept_at = now;
            for connection in idle(&self.links, now, |connection| self.exchange.holds(connection)) {
                tracing::debug!(connection = connection.0, "an idle connection is closed");
                // Without its sender it closes, and says so.
                self.links.remove(&connection);
            }
        }
        Step::GoOn
    }

    /// Carries out everything the exchange wants; the result is when it wants to be woken.
    fn drain(&mut self) -> Option<Instant> {
        let deadline = loop {
            match self.exchange.poll_output() {
                Output::Timeout(deadline) => break deadline,
                Output::Transmit { flow, bytes } => self.transmit(flow, bytes.into()),
                Output::Event(event) => self.event(event),
            }
        };
        // Where a stream's messages begin is no longer known: nothing that follows on it can be understood.
        while let Some(connection) = self.exchange.poll_unframeable() {
            if self.links.remove(&connection).is_some() {
                tracing::warn!(connection = connection.0, "a connection carries no SIP: closed");
            }
        }
        let load = Load { calls: self.exchange.calls(), deposits: self.deposits.len() };
        self.load.send_if_modified(|known| std::mem::replace(known, load) != load);
        self.trunks.send_if_modified(|known| self.exchange.report_trunks(known));
        deadline
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        match flow.transport {
            Transport::Udp => match self.oversize.route(flow.remote, bytes, Instant::now()) {
                How::Datagram(bytes) => self.send_datagram(flow.remote, bytes),
                How::Over(connection, bytes) => self.send_over(connection, bytes),
                How::Dial(token) => self.reach.dial(flow.remote, token),
                How::Nothing => {}
            },
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                let Some(connection) = flow.connection else { return };
                self.send_over(connection, bytes);
            }
        }
    }

    fn send_datagram(&self, remote: SocketAddr, bytes: Bytes) {
        match &self.udp {
            Some(udp) => udp.send(remote, bytes),
            None => tracing::warn!("a datagram is to be sent, but SIP over UDP is off"),
        }
    }

    fn send_over(&mut self, connection: ConnectionId, bytes: Bytes) {
        let sent = self.links.get(&connection).is_some_and(|link| link.send(bytes));
        if !sent && self.links.remove(&connection).is_some() {
            tracing::warn!(connection = connection.0, "a connection takes nothing more: closed");
        }
    }

    fn event(&mut self, event: Event) {
        let notice = match event {
            Event::Media(command) => {
                if let MediaCommand::Deposit { deposit, .. } = &command {
                    self.deposits.insert(deposit.envelope.call);
                    self.test_calls.answered(deposit);
                }
                self.media.send(command);
                return;
            }
            Event::BindingsChanged(_) => return,
            Event::BindingsToSave(person) => {
                // Nobody keeps them any more: the server stops.
                let _ = self.bindings.send((person, self.exchange.saved_bindings(person, now())));
                return;
            }
            Event::Locate { request, uri } => return self.reach.locate(request, &uri),
            Event::Reach { request, way } => return self.reach(request, &way),
            Event::Reopen { request, address } => return self.reach.dial(address, request.0),
            Event::TrunkChanged(name, state) => {
                let state = state_word(state);
                tracing::info!(trunk = name, state, "a trunk has changed");
                let states = self.exchange.trunks().into_iter();
                Notice::TrunkChanged(states.map(|(name, state)| (name, state_word(state).to_owned())).collect())
            }
            Event::Logged(record) => Notice::Logged(record),
            Event::Measured(measured) => Notice::Measured(measured),
            Event::MessageWaitingWanted(mailbox) => Notice::CountsWanted(mailbox),
            Event::DeviceSeen(_, device) => Notice::Seen(device),
        };
        self.notify(notice);
    }

    /// The flow to a trunk's server.
    fn reach(&mut self, request: ReachId, way: &Way) {
        let ip = way.address.ip().to_canonical();
        self.watched.send_if_modified(|watched| watched.len() < MOST_WATCHED && watched.insert(ip));
        if way.transport != Transport::Udp {
            if let Err(error) = self.reach.connect(request, way) {
                tracing::warn!("a trunk can't be connected to: {error:#}");
                self.exchange.handle_reached(request, None, now());
            }
            return;
        }
        // A socket of IPv4 alone sends nothing to IPv6: the next way is tried at once.
        let reaches = |udp: &&UdpPort| udp.local_addr().is_ipv6() || ip.is_ipv4();
        let local = self.udp.as_ref().filter(reaches).map(|udp| self.routes.local(udp.local_addr(), ip));
        if local.is_none() {
            tracing::warn!("a trunk wants SIP over UDP, which is off for this kind of address");
        }
        self.exchange.handle_reached(request, local.map(|local| Flow::udp(local, way.address)), now());
    }

    fn notify(&self, notice: Notice) {
        if self.notices.send(notice).is_err() {
            tracing::error!("nobody keeps the books any more");
        }
    }

    fn datagram(&mut self, datagram: Datagram) -> Step {
        // Phones keep their way through a NAT open with STUN (RFC 5626 section 4.4.2).
        if let Some(answer) = stun::answer(&datagram.bytes, datagram.remote) {
            self.send_datagram(datagram.remote, answer.into());
            return Step::GoOn;
        }
        if stun::is_stun(&datagram.bytes) {
            self.learn(&datagram.bytes);
            return Step::GoOn;
        }
        let local = self.routes.local(datagram.local, datagram.remote.ip());
        let flow = Flow { transport: Transport::Udp, local, remote: datagram.remote, connection: None };
        self.exchange.handle_received(flow, &datagram.bytes, now());
        Step::GoOn
    }

    /// Of an answer to our own question: the address that a NAT gives us.
    fn learn(&mut self, answer: &[u8]) {
        if let Some((id, seen)) = stun::mapped(answer)
            && id == self.stun_id
            && self.public.learn(seen.ip())
        {
            tracing::info!(address = %seen.ip(), "the outside sees this server at another address");
            self.network_changed();
        }
    }

    fn network_changed(&mut self) {
        self.routes.forget();
        // Another network has other name servers.
        self.reach.forget();
        self.exchange.handle_network_changed(now());
    }

    fn stream(&mut self, event: StreamEvent) -> Step {
        match event {
            StreamEvent::Opened { connection, local, remote, secure, certificate, dialled, sender } => {
                let local = self.routes.local(local, remote.ip());
                let connection = connection_id(connection);
                let transport = if secure { Transport::Tls } else { Transport::Tcp };
                let flow = Flow { transport, local, remote, connection: Some(connection) };
                self.links.insert(connection, Link::Stream { flow, sender, heard_at: Instant::now() });
                self.exchange.handle_connected(flow, None, now());
                if certificate.is_some_and(|shown| self.trust_names.iter().any(|name| tls::is_for(&shown, name))) {
                    self.exchange.handle_believed(connection, now());
                }
                match dialled {
                    Some(token) if Oversize::dialled(token) => {
                        for bytes in self.oversize.opened(token, connection, Instant::now()) {
                            self.send_over(connection, bytes);
                        }
                    }
                    Some(request) => self.exchange.handle_reached(ReachId(request), Some(flow), now()),
                    None => {}
                }
            }
            StreamEvent::Received { connection, bytes } => {
                if let Some(Link::Stream { flow, heard_at, .. }) = self.links.get_mut(&connection_id(connection)) {
                    *heard_at = Instant::now();
                    let flow = *flow;
                    self.exchange.handle_received(flow, &bytes, now());
                }
            }
            StreamEvent::Failed { dialled, .. } if Oversize::dialled(dialled) => {
                if let Some((remote, waited)) = self.oversize.failed(dialled, Instant::now()) {
                    waited.into_iter().for_each(|bytes| self.send_datagram(remote, bytes));
                }
            }
            StreamEvent::Failed { dialled, untrusted: true } => self.exchange.handle_untrusted(ReachId(dialled), now()),
            StreamEvent::Failed { dialled, untrusted: false } => self.exchange.handle_reached(ReachId(dialled), None, now()),
            StreamEvent::Closed { connection } => self.closed(connection_id(connection)),
        }
        Step::GoOn
    }

    fn socket(&mut self, event: SocketEvent) -> Step {
        match event {
            SocketEvent::Opened { flow, device, sender } => {
                if let Some(connection) = flow.connection {
                    self.links.insert(connection, Link::Socket { sender });
                }
                self.exchange.handle_connected(flow, device, now());
            }
            SocketEvent::TestCaller { flow, sender } => {
                if let Some(connection) = flow.connection {
                    self.links.insert(connection, Link::Socket { sender });
                    self.exchange.handle_connected(flow, None, now());
                    self.exchange.handle_tester(connection, now());
                }
            }
            SocketEvent::Received { flow, bytes } => self.exchange.handle_received(flow, &bytes, now()),
            SocketEvent::Closed { connection } => self.closed(connection),
        }
        Step::GoOn
    }

    fn closed(&mut self, connection: ConnectionId) {
        self.links.remove(&connection);
        self.oversize.closed(connection);
        self.exchange.handle_closed(connection, now());
    }

    fn media(&mut self, event: MediaEvent) -> Step {
        match event {
            MediaEvent::Described { request, result } => self.exchange.handle_described(request, result, now()),
            MediaEvent::Applied { request, result } => self.exchange.handle_applied(request, result, now()),
            MediaEvent::DepositOver { leg } => self.exchange.handle_deposit_over(leg, now()),
            MediaEvent::Key { leg, digit } => self.exchange.handle_key(leg, digit, now()),
            MediaEvent::Dial { leg, owner, number } => self.exchange.handle_dialled(leg, owner, &number, now()),
            MediaEvent::MailboxChanged { mailbox } => self.notify(Notice::FeedGrew(mailbox)),
            MediaEvent::Measured { leg, figures } => self.exchange.handle_measured(leg, figures, now()),
            MediaEvent::Failed { leg } => self.exchange.handle_media_failed(leg, now()),
            MediaEvent::Deposited { mailbox, call, message } => {
                tracing::info!(%call, message = message.is_some(), "a deposit is committed");
                self.deposits.remove(&call);
                self.test_calls.committed(mailbox, call, message);
                self.notify(Notice::FeedGrew(mailbox));
            }
        }
        Step::GoOn
    }

    fn command(&mut self, command: Command) -> Step {
        match command {
            Command::Directory(directory) => self.exchange.handle_directory(directory, now()),
            // Who asked may have gone.
            Command::Known(asked) => drop(asked.send(())),
            Command::Trunks(trunks) => self.exchange.handle_trunks(trunks, now()),
            Command::Located(request, ways) => self.exchange.handle_located(request, ways, now()),
            Command::MessageWaiting(mailbox, counts) => self.exchange.handle_message_waiting(mailbox, counts, now()),
            Command::NetworkChanged => self.network_changed(),
            Command::AskStun(server) => {
                self.stun_id = rand::random();
                self.send_datagram(server, stun::request(self.stun_id).into());
            }
            Command::Drain => self.exchange.handle_drain(now()),
            Command::Finish { within, done } => return Step::Finish { within, done },
        }
        Step::GoOn
    }

    /// Hangs up, and goes on receiving what the media plane commits until it has stopped.
    async fn finish(mut self, mut inputs: Inputs, within: Duration) -> bool {
        self.exchange.hang_up_all(now());
        self.drain_last();
        self.take_leave(&mut inputs).await;
        let Self { media, notices, mut exchange, .. } = self;
        let shutdown = media.shutdown(within);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                Some(event) = inputs.media.recv() => last_of_media(event, &mut exchange, &notices),
                finished = &mut shutdown => return finished,
            }
        }
    }

    /// Registrars may ask for the credentials once more before they take a binding back.
    async fn take_leave(&mut self, inputs: &mut Inputs) {
        let deadline = tokio::time::Instant::now() + LEAVING;
        while self.exchange.is_leaving() {
            let _goes_on = tokio::select! {
                () = sleep_until(deadline) => return,
                Some(datagram) = inputs.datagrams.recv() => self.datagram(datagram),
                Some(event) = inputs.streams.recv() => self.stream(event),
            };
            self.drain_last();
        }
    }

    fn drain_last(&mut self) {
        loop {
            match self.exchange.poll_output() {
                Output::Timeout(_) => return,
                Output::Transmit { flow, bytes } => self.transmit(flow, bytes.into()),
                // The media plane closes every leg when it shuts down, and then notes that these callers did not hang up.
                Output::Event(Event::Media(MediaCommand::Close { .. })) => {}
                Output::Event(event) => self.event(event),
            }
        }
    }
}

/// What the media plane says while it stops. The bookkeeping ends after it.
fn last_of_media(event: MediaEvent, exchange: &mut Exchange, notices: &mpsc::UnboundedSender<Notice>) {
    match event {
        MediaEvent::Deposited { mailbox, .. } | MediaEvent::MailboxChanged { mailbox } => {
            let _ = notices.send(Notice::FeedGrew(mailbox));
        }
        MediaEvent::Measured { leg, figures } => {
            exchange.handle_measured(leg, figures, now());
            while let Output::Event(event) = exchange.poll_output() {
                if let Event::Measured(measured) = event {
                    let _ = notices.send(Notice::Measured(measured));
                }
            }
        }
        MediaEvent::Described { .. }
        | MediaEvent::Applied { .. }
        | MediaEvent::DepositOver { .. }
        | MediaEvent::Dial { .. }
        | MediaEvent::Key { .. }
        | MediaEvent::Failed { .. } => {}
    }
}

impl Link {
    /// False if it is closed or takes nothing.
    fn send(&self, bytes: Bytes) -> bool {
        match self {
            Self::Stream { sender, .. } => sender.try_send(bytes),
            Self::Socket { sender } => sender.try_send(bytes).is_ok(),
        }
    }
}

/// The streams that nothing hangs on and over which nothing comes.
fn idle(links: &BTreeMap<ConnectionId, Link>, now: Instant, holds: impl Fn(ConnectionId) -> bool) -> Vec<ConnectionId> {
    let is_idle = |link: &Link| match link {
        Link::Stream { heard_at, .. } => now.saturating_duration_since(*heard_at) >= IDLE,
        // Those have pings of their own.
        Link::Socket { .. } => false,
    };
    links.iter().filter(|(id, link)| is_idle(link) && !holds(**id)).map(|(id, _)| *id).collect()
}

pub(crate) fn now() -> Now {
    Now { mono: Instant::now(), wall: Timestamp::now() }
}

fn connection_id(number: ConnectionNumber) -> ConnectionId {
    ConnectionId(number.0)
}

/// A flow over a WebSocket of ours.
pub(crate) fn socket_flow(local: SocketAddr, remote: SocketAddr, secure: bool, number: ConnectionNumber) -> Flow {
    let transport = if secure { Transport::Wss } else { Transport::Ws };
    Flow { transport, local, remote, connection: Some(connection_id(number)) }
}

//! A media worker: one thread with a single-threaded runtime, and the tasks on it.
//!
//! The tasks share one [`State`] and never hold it across an `await`: one reads orders, one keeps the deadlines, one reads
//! each socket. So everything about a call happens on one thread, and no task waits for another.

use std::{
    cell::RefCell,
    future::pending,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    thread,
    time::Instant,
};

use aftertone_exchange::{LegId, MediaCommand};
use aftertone_media::rtp::RtpPacket;
use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, LocalSet},
};

use super::{
    Shared,
    describe::Meaning,
    ports::PortPair,
    state::State,
    tcp,
    webrtc::{Sockets, Source},
};

/// Larger datagrams are none of ours: an Ethernet frame holds less.
pub(super) const LARGEST_DATAGRAM: usize = 2048;

/// What the plane tells a worker.
pub(super) enum Order {
    /// Of the exchange.
    Command(MediaCommand),
    /// Relay between one of its legs and another worker's.
    Bridge {
        /// Here.
        leg: LegId,
        /// There.
        to: LegId,
        /// Where that is.
        worker: usize,
    },
    /// End every leg, then the thread.
    Stop,
}

/// A packet for a leg of another worker, with what it is on the leg that it came from.
pub(super) struct Crossing {
    pub(super) from: LegId,
    pub(super) to: LegId,
    pub(super) packet: RtpPacket,
    pub(super) meaning: Option<Meaning>,
}

/// So many packets may wait on their way to another worker; more would come too late anyway.
const CROSSINGS: usize = 1024;

/// A worker's handle.
pub(super) struct Worker {
    crossings: mpsc::Sender<Crossing>,
    orders: mpsc::UnboundedSender<Order>,
    addresses: Vec<SocketAddr>,
    stopped: oneshot::Receiver<()>,
}

impl Worker {
    /// Binds the WebRTC sockets and starts the thread.
    pub(super) fn start(index: usize, webrtc_port: u16, shared: Arc<Shared>) -> io::Result<Self> {
        let (orders, received) = mpsc::unbounded_channel();
        let (crossings, crossed) = mpsc::channel(CROSSINGS);
        let (stop, stopped) = oneshot::channel();
        let (ready, bound) = std::sync::mpsc::channel();
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            LocalSet::new().block_on(&runtime, async move {
                let result = Sockets::bind(shared.bind, webrtc_port);
                let sockets = match result {
                    Ok(sockets) => sockets,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(sockets.addresses()));
                run(shared, sockets, received, crossed).await;
            });
            let _ = stop.send(());
        };
        thread::Builder::new().name(format!("media-{index}")).spawn(body)?;
        let addresses = bound.recv().unwrap_or_else(|_| Err(io::Error::other("the media worker did not start")))?;
        Ok(Self { crossings, orders, addresses, stopped })
    }

    /// Where WebRTC legs reach it.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The way for other workers' packets.
    pub(super) fn crossings(&self) -> mpsc::Sender<Crossing> {
        self.crossings.clone()
    }

    /// # Errors
    /// Gives the order back if the worker is gone.
    pub(super) fn send(&self, order: Order) -> Result<(), Order> {
        self.orders.send(order).map_err(|refused| {
            tracing::error!("a media worker is gone");
            refused.0
        })
    }

    /// Waits for the thread to be through with its legs.
    pub(super) async fn stopped(&mut self) {
        // An error means that it is gone.
        let _ = (&mut self.stopped).await;
    }
}

async fn run(
    shared: Arc<Shared>,
    sockets: Sockets,
    mut orders: mpsc::UnboundedReceiver<Order>,
    crossed: mpsc::Receiver<Crossing>,
) {
    let wake = Rc::new(Notify::new());
    let state = Rc::new_cyclic(|this| RefCell::new(State::new(shared, sockets.clone(), Rc::clone(&wake), Weak::clone(this))));
    let mut tasks = vec![tokio::task::spawn_local(keep_time(Rc::clone(&state), wake))];
    tasks.extend(sockets.all().map(|socket| tokio::task::spawn_local(read_webrtc(Rc::clone(&state), socket))));
    for listener in sockets.listeners() {
        tasks.push(tokio::task::spawn_local(tcp::accept(Rc::clone(&state), listener, sockets.streams())));
    }
    tasks.push(tokio::task::spawn_local(read_crossings(Rc::clone(&state), crossed)));
    while let Some(order) = orders.recv().await {
        match order {
            Order::Command(command) => state.borrow_mut().handle_command(command, Instant::now()),
            Order::Bridge { leg, to, worker } => state.borrow_mut().bridge_across(leg, to, worker),
            Order::Stop => break,
        }
    }
    state.borrow_mut().close_all(Instant::now());
    tasks.iter().for_each(JoinHandle::abort);
}

/// Serves the deadlines; woken when an earlier one is set.
async fn keep_time(state: Rc<RefCell<State>>, wake: Rc<Notify>) {
    loop {
        let next = state.borrow().next_deadline();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = due => {
                let now = Instant::now();
                let mut state = state.borrow_mut();
                if let Some(next) = next {
                    state.note_lateness(now.saturating_duration_since(next));
                }
                state.handle_deadlines(now);
            }
            () = wake.notified() => {}
        }
    }
}

async fn read_crossings(state: Rc<RefCell<State>>, mut crossed: mpsc::Receiver<Crossing>) {
    while let Some(crossing) = crossed.recv().await {
        state.borrow_mut().handle_crossing(&crossing, Instant::now());
    }
}

async fn read_webrtc(state: Rc<RefCell<State>>, socket: Rc<UdpSocket>) {
    let mut buffer = [0; LARGEST_DATAGRAM];
    loop {
        // ICMP's answers to what was sent come up as errors here; the socket is as good as before.
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            state.borrow_mut().handle_webrtc_datagram(Source::udp(from), &buffer[..length], Instant::now());
        }
    }
}

/// Reads a leg's sockets for as long as the leg lives.
pub(super) fn spawn_rtp_reader(state: Weak<RefCell<State>>, leg: LegId, sockets: Rc<PortPair>) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let (mut buffer, mut reports) = ([0; LARGEST_DATAGRAM], [0; LARGEST_DATAGRAM]);
        loop {
            tokio::select! {
                received = sockets.rtp.recv_from(&mut buffer) => {
                    let Some(state) = state.upgrade() else { return };
                    if let Ok((length, from)) = received {
                        state.borrow_mut().handle_rtp_datagram(leg, from, &buffer[..length], Instant::now());
                    }
                }
                received = sockets.rtcp.recv_from(&mut reports) => {
                    let Some(state) = state.upgrade() else { return };
                    if let Ok((length, from)) = received {
                        state.borrow_mut().handle_report(leg, from, &reports[..length], Instant::now());
                    }
                }
            }
        }
    })
}

//! The media plane: sockets, packets, greetings and recordings of every call, on pinned workers.
//!
//! It owns what the exchange never touches: one UDP socket per RTP leg, one for all WebRTC legs of a worker, the relay
//! between two legs, and a deposit from its greeting to its commit. It decides nothing about a call: orders come as
//! [`MediaCommand`], results go back as [`MediaEvent`]. All legs of a call live on one worker (chosen by the call's id), so
//! that a packet crosses no thread, unless a transfer joined two calls; files are written by the spool's own threads.
//!
//! ```text
//! exchange loop --MediaCommand--> MediaPlane --by call--> worker 0..n: one thread, one LocalSet
//!               <--MediaEvent-----------------------------   legs: RtpLeg (own socket) | WebRtcLeg (the worker's socket)
//!                                                            uses of a leg: idle | bridged to another | deposit | phone menu
//! ```

mod address;
mod deposit;
mod describe;
mod figures;
mod leg;
mod menu;
mod negotiate;
mod play;
mod ports;
mod press;
mod prompts;
mod recording;
mod relay;
mod reports;
mod rtp;
mod sounds;
pub(crate) mod speech;
pub(crate) mod srtp;
mod state;
mod stream;
mod tcp;
mod timeline;
mod timers;
mod transcode;
mod webrtc;
mod worker;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use aftertone_exchange::{Described, LegFigures, LegId, MediaCommand, MediaFailure, MediaRequestId};
use aftertone_media::{Codec, dtmf::Digit};
use aftertone_model::{CallId, MessageId, SubscriberId};
use aftertone_server_store::{Spool, Store};
use tokio::sync::{
    Semaphore,
    mpsc::{self, error::TrySendError},
};

pub(crate) use self::prompts::Greetings;
use crate::{load::Lateness, pins::Pins, public::Public};

use self::{
    ports::Ports,
    prompts::Prompts,
    sounds::Sounds,
    speech::Speech,
    worker::{Crossing, Order, Worker},
};
use crate::config::Encryption;

/// So many events may wait for the exchange's loop before reports take a detour.
const EVENTS: usize = 1024;
/// So many messages are decoded for listeners at once: each takes a core for a moment, and is whole in memory.
const DECODING: usize = 2;

/// How the media plane is set up. Ports are UDP where nothing else is said.
pub(crate) struct MediaConfig {
    /// The address that sockets are bound to; unspecified (`0.0.0.0` or `::`) for every interface.
    pub(crate) bind: IpAddr,
    /// Ports of RTP legs: the even ones carry RTP, the odd one above each its RTCP.
    pub(crate) rtp_ports: RangeInclusive<u16>,
    /// The first port for WebRTC, TCP beside UDP; worker `n` takes this one plus `n`. 0: any free port.
    pub(crate) webrtc_port: u16,
    /// What descriptions say to peers that are neither on this machine nor in a private network; the local address of the route
    /// to the peer where it isn't known.
    pub(crate) public: Public,
    /// Whether plain RTP legs are encrypted.
    pub(crate) encryption: Encryption,
    /// Threads; 0: one for each core.
    pub(crate) workers: usize,
    /// Where recordings grow.
    pub(crate) spool: Arc<Spool>,
    /// What becomes of them.
    pub(crate) store: Arc<dyn Store>,
    /// What callers hear before the beep.
    pub(crate) greetings: Greetings,
    /// Who opens mailboxes by phone.
    pub(crate) pins: Arc<Pins>,
    /// Where the workers note how late they are.
    pub(crate) lateness: Lateness,
}

/// What the media plane reports.
#[derive(Debug)]
pub(crate) enum MediaEvent {
    /// For `Exchange::handle_described`.
    Described {
        /// Of the command.
        request: MediaRequestId,
        /// The description, or why there is none.
        result: Result<Described, MediaFailure>,
    },
    /// For `Exchange::handle_applied`.
    Applied {
        /// Of the command.
        request: MediaRequestId,
        /// The codec that both ends use.
        result: Result<Codec, MediaFailure>,
    },
    /// A deposit ended by itself (`#`, silence, its length), or the phone menu: for `Exchange::handle_deposit_over`.
    DepositOver {
        /// The caller's leg.
        leg: LegId,
    },
    /// Who listens by phone wants to call somebody: for `Exchange::handle_dialled`.
    Dial {
        /// The listener's leg.
        leg: LegId,
        /// In whose name.
        owner: SubscriberId,
        /// Whom, as it is dialled.
        number: String,
    },
    /// A caller leaves a deposit by a key: for `Exchange::handle_key`.
    Key {
        /// The caller's leg.
        leg: LegId,
        /// The key.
        digit: Digit,
    },
    /// Something was done with a mailbox by phone.
    MailboxChanged {
        /// Whose.
        mailbox: SubscriberId,
    },
    /// A leg was closed: for `Exchange::handle_measured`.
    Measured {
        /// The leg.
        leg: LegId,
        /// What was measured of it; `None` where it never came to a description of both ends.
        figures: Option<LegFigures>,
    },
    /// A leg is dead for good (ICE or DTLS failed): for `Exchange::handle_media_failed`.
    Failed {
        /// The leg.
        leg: LegId,
    },
    /// A deposit is committed: its call record, and its message if there was a second of sound.
    Deposited {
        /// Whose mailbox.
        mailbox: SubscriberId,
        /// The call.
        call: CallId,
        /// The message, if the caller left one.
        message: Option<MessageId>,
    },
}

/// The media plane's handle. Dropping it stops the workers without finishing what runs; see [`MediaPlane::shutdown`].
pub(crate) struct MediaPlane {
    workers: Vec<Worker>,
    legs: Mutex<BTreeMap<LegId, usize>>,
    shared: Arc<Shared>,
    finishing: mpsc::Receiver<Infallible>,
}

impl MediaPlane {
    /// Binds the WebRTC sockets and starts the workers. To be called inside the server's tokio runtime: commits run there.
    ///
    /// # Errors
    ///
    /// A WebRTC port is taken, the range of RTP ports is empty, a greeting is no WAV file, or a thread can't be started.
    pub(crate) fn start(config: MediaConfig) -> io::Result<(Self, mpsc::Receiver<MediaEvent>)> {
        let (events, received) = mpsc::channel(EVENTS);
        let (finisher, finishing) = mpsc::channel(1);
        let workers = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let shared = Arc::new(Shared {
            bind: config.bind,
            encryption: config.encryption,
            public: config.public,
            ports: Ports::new(config.rtp_ports)?,
            prompts: Prompts::start(&config.greetings)?,
            sounds: Sounds::default(),
            speech: Speech::default(),
            decoding: Arc::new(Semaphore::new(DECODING)),
            pins: config.pins,
            events,
            crossings: OnceLock::new(),
            spool: config.spool,
            store: config.store,
            lateness: config.lateness,
            runtime: tokio::runtime::Handle::current(),
            finisher: Mutex::new(Some(finisher)),
        });
        let start = |index: usize| Worker::start(index, webrtc_port(config.webrtc_port, index)?, Arc::clone(&shared));
        let workers = (0..workers).map(start).collect::<io::Result<Vec<_>>>()?;
        drop(shared.crossings.set(workers.iter().map(Worker::crossings).collect()));
        Ok((Self { workers, legs: Mutex::default(), shared, finishing }, received))
    }

    /// Where WebRTC legs reach the workers.
    pub(crate) fn webrtc_addresses(&self) -> Vec<SocketAddr> {
        self.workers.iter().flat_map(|worker| worker.addresses().iter().copied()).collect()
    }

    /// Hands an order to the worker of its call. Never blocks. What no worker can do is answered at once.
    pub(crate) fn send(&self, command: MediaCommand) {
        if let MediaCommand::Bridge { a, b } = command
            && let Some((at_a, at_b)) = self.workers_of(a, b)
            && at_a != at_b
        {
            for (leg, to, here, there) in [(a, b, at_a, at_b), (b, a, at_b, at_a)] {
                if self.workers[here].send(Order::Bridge { leg, to, worker: there }).is_err() {
                    self.shared.report(MediaEvent::Failed { leg });
                }
            }
            return;
        }
        let refused = match self.worker_of(&command) {
            Some(worker) => self.workers[worker].send(Order::Command(command)).err(),
            None => Some(Order::Command(command)),
        };
        if let Some(Order::Command(command)) = refused {
            self.shared.refuse(command);
        }
    }

    /// Finishes every deposit as interrupted, closes every leg and stops the workers. Waits at most `within` for the
    /// messages to be committed; `false` if it was not enough (the spool keeps what is missing). Keep receiving the events
    /// meanwhile.
    pub(crate) async fn shutdown(mut self, within: Duration) -> bool {
        for worker in &self.workers {
            // A worker that is gone has nothing left to finish.
            let _ = worker.send(Order::Stop);
        }
        self.shared.stop_accepting_finishers();
        let finished = async {
            for worker in &mut self.workers {
                worker.stopped().await;
            }
            while self.finishing.recv().await.is_some() {}
        };
        tokio::time::timeout(within, finished).await.is_ok()
    }

    fn workers_of(&self, a: LegId, b: LegId) -> Option<(usize, usize)> {
        let legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        legs.get(&a).copied().zip(legs.get(&b).copied())
    }

    fn worker_of(&self, command: &MediaCommand) -> Option<usize> {
        let mut legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        match command {
            MediaCommand::Offer { call, leg, .. } | MediaCommand::Answer { call, leg, .. } => {
                Some(*legs.entry(*leg).or_insert_with(|| by_call(*call, self.workers.len())))
            }
            MediaCommand::Apply { leg, .. }
            | MediaCommand::Deposit { leg, .. }
            | MediaCommand::Menu { leg, .. }
            | MediaCommand::Dialled { leg, .. }
            | MediaCommand::Play { leg, .. }
            | MediaCommand::StopPlaying { leg }
            | MediaCommand::Press { leg, .. } => legs.get(leg).copied(),
            MediaCommand::Bridge { a, b } => legs.get(a).filter(|worker| legs.get(b) == Some(worker)).copied(),
            MediaCommand::Close { leg } => legs.remove(leg),
        }
    }
}

/// What all workers use.
struct Shared {
    bind: IpAddr,
    encryption: Encryption,
    public: Public,
    ports: Ports,
    prompts: Prompts,
    sounds: Sounds,
    speech: Speech,
    /// Whole messages are decoded for listeners, few at once.
    decoding: Arc<Semaphore>,
    pins: Arc<Pins>,
    events: mpsc::Sender<MediaEvent>,
    /// To each worker, for packets from the others' legs.
    crossings: OnceLock<Vec<mpsc::Sender<Crossing>>>,
    spool: Arc<Spool>,
    store: Arc<dyn Store>,
    lateness: Lateness,
    /// The server's runtime: store and files are waited for there, not on a worker.
    runtime: tokio::runtime::Handle,
    /// Held by everything that has a recording to finish; a shutdown waits until nobody holds it.
    finisher: Mutex<Option<mpsc::Sender<Infallible>>>,
}

impl Shared {
    /// Reports without waiting: where the receiver lags, a task of its own waits.
    fn report(&self, event: MediaEvent) {
        match self.events.try_send(event) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(event)) => {
                let events = self.events.clone();
                self.runtime.spawn(async move { events.send(event).await });
            }
        }
    }

    /// Answers what can't be done: the leg is not known, or its worker is gone.
    fn refuse(self: &Arc<Self>, command: MediaCommand) {
        let failure = || MediaFailure::Failed("the leg has no worker".into());
        match command {
            MediaCommand::Offer { request, .. } | MediaCommand::Answer { request, .. } => {
                self.report(MediaEvent::Described { request, result: Err(failure()) });
            }
            MediaCommand::Apply { request, .. } => self.report(MediaEvent::Applied { request, result: Err(failure()) }),
            MediaCommand::Bridge { a, .. } => {
                tracing::warn!(leg = a.0, "closed legs can't be bridged");
                self.report(MediaEvent::Failed { leg: a });
            }
            MediaCommand::Deposit { leg, deposit } => {
                deposit::give_up(self, *deposit);
                self.report(MediaEvent::Failed { leg });
            }
            MediaCommand::Menu { leg, .. } => self.report(MediaEvent::Failed { leg }),
            MediaCommand::Close { leg } => self.report(MediaEvent::Measured { leg, figures: None }),
            // The leg is gone, and nobody listens.
            MediaCommand::Play { .. }
            | MediaCommand::StopPlaying { .. }
            | MediaCommand::Press { .. }
            | MediaCommand::Dialled { .. } => {}
        }
    }

    fn finisher(&self) -> Option<mpsc::Sender<Infallible>> {
        self.finisher.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop_accepting_finishers(&self) {
        *self.finisher.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn webrtc_port(first: u16, index: usize) -> io::Result<u16> {
    if first == 0 {
        return Ok(0);
    }
    let port = u16::try_from(index).ok().and_then(|index| first.checked_add(index));
    port.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the WebRTC ports end above 65535"))
}

fn by_call(call: CallId, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    call.hash(&mut hasher);
    usize::try_from(hasher.finish() % workers as u64).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;

//! A WebSocket to the account that comes back by itself: `/sip` and `/v1/doorbell`.

use std::{sync::Arc, time::Duration};

use aftertone_net::{CloseReason, ConnectOptions, Frame, WebSocketSender, connect};
use bytes::Bytes;
use rand::RngExt;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{InvalidServer, OfflineReason, ServerAddress, http};

/// Devices that lost the same server at the same moment come back over so long a time: a server that starts has room for
/// them, and each is back soon.
const FIRST_PAUSE: std::ops::RangeInclusive<f64> = 0.2..=3.0;
/// The next pause; each further one is twice as long, up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that held so long was a good one: the next failure starts with the short pause again.
const GOOD: Duration = Duration::from_secs(30);

/// Where to, and as whom.
#[derive(Clone)]
pub(crate) struct LineConfig {
    pub(crate) server: ServerAddress,
    pub(crate) path: &'static str,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) token: String,
    pub(crate) user_agent: String,
}

/// What happens on a line.
#[derive(Debug)]
pub(crate) enum LineEvent {
    /// Open; send with `sender`. `connection` counts the line's connections, beginning with 1.
    Open { connection: u64, sender: WebSocketSender, local: std::net::SocketAddr, remote: std::net::SocketAddr, secure: bool },
    /// A message came.
    Received { connection: u64, bytes: Bytes },
    /// It is closed, and will be tried again.
    Closed { connection: u64, reason: OfflineReason, detail: String, retry_in: Duration },
    /// It could not be opened, and will be tried again.
    Failed { reason: OfflineReason, detail: String, retry_in: Duration },
}

/// A line that is kept open until it is dropped.
pub(crate) struct Line {
    now: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Line {
    /// Opens a line. What happens on it is passed through `wrap` and sent to `events`.
    pub(crate) fn open<T: Send + 'static>(
        config: LineConfig,
        events: mpsc::UnboundedSender<T>,
        wrap: impl Fn(LineEvent) -> T + Send + Sync + 'static,
    ) -> Result<Self, InvalidServer> {
        let options = ConnectOptions {
            trust: config.server.trust()?,
            protocol: config.protocol.map(str::to_owned),
            ..ConnectOptions::default()
        };
        let now = Arc::new(Notify::new());
        let kept = Arc::clone(&now);
        let task =
            tokio::spawn(async move { keep_open(&config, &options, &kept, |event| events.send(wrap(event)).is_ok()).await });
        Ok(Self { now, task })
    }

    /// Ends a pause at once. An open line is closed and opened again: after a sleep nobody knows whether it still is one.
    pub(crate) fn hurry(&self) {
        self.now.notify_one();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_open(config: &LineConfig, options: &ConnectOptions, now: &Notify, tell: impl Fn(LineEvent) -> bool) {
    let url = config.server.web_socket(config.path);
    let authorization = format!("Bearer {}", config.token);
    let headers = [("Authorization", authorization.as_str()), ("User-Agent", config.user_agent.as_str())];
    let (mut failures, mut connection) = (0, 0);
    loop {
        // What changed meanwhile makes this try pointless: the next one begins at once.
        let opened = tokio::select! {
            opened = connect(&url, &headers, options) => opened,
            () = now.notified() => continue,
        };
        let pause = match opened {
            Ok(socket) => {
                connection += 1;
                let opened = Instant::now();
                let (sender, mut receiver) = (socket.sender.clone(), socket.receiver);
                let (local, remote, secure) = (socket.local, socket.remote, socket.secure);
                if !tell(LineEvent::Open { connection, sender, local, remote, secure }) {
                    return;
                }
                let hurried = loop {
                    tokio::select! {
                        frame = receiver.recv() => match frame {
                            Some(frame) => if !tell(LineEvent::Received { connection, bytes: frame.into_bytes() }) { return },
                            None => break false,
                        },
                        () = now.notified() => break true,
                    }
                };
                // Where we broke off ourselves, the other end is told.
                let _closed = timeout(Duration::from_millis(200), socket.sender.close()).await;
                failures = if opened.elapsed() > GOOD { 1 } else { failures + 1 };
                let pause = if hurried { Duration::ZERO } else { pause(failures) };
                let (reason, detail) = closed(receiver.close_reason());
                if !tell(LineEvent::Closed { connection, reason, detail, retry_in: pause }) {
                    return;
                }
                pause
            }
            Err(e) => {
                failures += 1;
                let (reason, detail) = http::offline(&e);
                // A refused token gets no better soon; whether it is the end of the session, the API knows.
                let retry_in = if reason == OfflineReason::Credentials { LONGEST_PAUSE } else { pause(failures) };
                if !tell(LineEvent::Failed { reason, detail, retry_in }) {
                    return;
                }
                retry_in
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = now.notified() => {}
        }
    }
}

/// Half of it is fixed and half random, so that devices that lost the same server don't come back together.
fn pause(failures: u32) -> Duration {
    if failures <= 1 {
        return Duration::from_secs_f64(rand::rng().random_range(FIRST_PAUSE));
    }
    let full = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn closed(reason: Option<&CloseReason>) -> (OfflineReason, String) {
    match reason {
        Some(CloseReason::Remote { code, reason }) => {
            (OfflineReason::Server, format!("the server closed the connection ({code}) {reason}"))
        }
        Some(CloseReason::TimedOut) => (OfflineReason::Connect, "the server fell silent".into()),
        Some(CloseReason::Lost(detail)) => (OfflineReason::Connect, detail.clone()),
        Some(CloseReason::Local) | None => (OfflineReason::Connect, "connecting again".into()),
    }
}

/// A frame of SIP; text, as most of it is (RFC 7118 section 4.2 allows both).
pub(crate) fn frame(bytes: Vec<u8>) -> Frame {
    match String::from_utf8(bytes) {
        Ok(text) => Frame::Text(text),
        Err(e) => Frame::Binary(e.into_bytes().into()),
    }
}

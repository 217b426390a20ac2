//! Stands between two phones: passes SIP on, puts its own ports into the descriptions, and harms what the caller says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::Result;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{HEADERS, fate::Fate};

/// Ends with its handle.
pub(crate) struct Relay {
    sip_port: u16,
    count: Arc<Mutex<Count>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Count {
    octets: usize,
    packets: usize,
    since: Option<Instant>,
    last: Option<Instant>,
}

/// Where each side listens, once its description has passed.
#[derive(Debug, Default)]
struct Sides {
    caller: Option<SocketAddr>,
    callee: Option<SocketAddr>,
}

type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Shared<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    pub(crate) async fn start(callee_sip: u16, fate: Fate) -> Result<Self> {
        let local = || UdpSocket::bind(("127.0.0.1", 0));
        let (sip, to_caller, to_callee) = (local().await?, Arc::new(local().await?), Arc::new(local().await?));
        let sip_port = sip.local_addr()?.port();
        let ports = (to_caller.local_addr()?.port(), to_callee.local_addr()?.port());
        let (sides, count) = (Shared::<Sides>::default(), Shared::<Count>::default());
        let callee = SocketAddr::from(([127, 0, 0, 1], callee_sip));
        // The caller sends to `to_callee`'s port and hears from there; the callee the other way round.
        let tasks = vec![
            tokio::spawn(signalling(sip, callee, ports, Arc::clone(&sides))),
            tokio::spawn(harmed(Arc::clone(&to_callee), Arc::clone(&to_caller), Arc::clone(&sides), fate, Arc::clone(&count))),
            tokio::spawn(unharmed(to_caller, to_callee, sides)),
        ];
        Ok(Self { sip_port, count, tasks })
    }

    pub(crate) fn sip_port(&self) -> u16 {
        self.sip_port
    }

    /// Of what the caller sent, lost or not.
    pub(crate) fn kbps(&self) -> f64 {
        let count = lock(&self.count);
        let seconds = count.since.zip(count.last).map_or(0.0, |(since, last)| (last - since).as_secs_f64());
        // The last packet lasts as well.
        (count.octets + count.packets * HEADERS) as f64 * 8.0 / 1_000.0 / (seconds + 0.02)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn signalling(sip: UdpSocket, callee: SocketAddr, (for_callee, for_caller): (u16, u16), sides: Shared<Sides>) {
    let (mut buffer, mut caller) = (vec![0; 65_536], None);
    while let Ok((length, from)) = sip.recv_from(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let from_callee = from == callee;
        let (port, to) = if from_callee { (for_caller, caller) } else { (for_callee, Some(callee)) };
        if !from_callee {
            caller = Some(from);
        }
        let (text, described) = with_port(&text, port);
        if let Some(described) = described {
            let side = SocketAddr::from(([127, 0, 0, 1], described));
            let mut sides = lock(&sides);
            *(if from_callee { &mut sides.callee } else { &mut sides.caller }) = Some(side);
        }
        if let Some(to) = to {
            let _ = sip.send_to(text.as_bytes(), to).await;
        }
    }
}

/// The message with another port in its description, and the port that stood there.
fn with_port(message: &str, port: u16) -> (String, Option<u16>) {
    let unchanged = || (message.to_owned(), None);
    let Some((head, body)) = message.split_once("\r\n\r\n") else { return unchanged() };
    let Some((before, rest)) = body.split_once("m=audio ") else { return unchanged() };
    let Some((old, after)) = rest.split_once(' ') else { return unchanged() };
    let Ok(described) = old.parse() else { return unchanged() };
    // Reports would go past the relay; nothing here depends on them.
    let body = format!("{before}m=audio {port} {after}");
    let lines = head.split("\r\n").map(|line| {
        let is_length = line.to_ascii_lowercase().starts_with("content-length");
        if is_length { format!("Content-Length: {}", body.len()) } else { line.to_owned() }
    });
    (format!("{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n")), Some(described))
}

/// From the caller to the callee.
async fn harmed(from: Arc<UdpSocket>, by: Arc<UdpSocket>, sides: Shared<Sides>, mut fate: Fate, count: Shared<Count>) {
    let mut buffer = [0; 2_048];
    while let Ok((length, _)) = from.recv_from(&mut buffer).await {
        let now = Instant::now();
        {
            let mut count = lock(&count);
            (count.octets, count.packets) = (count.octets + length, count.packets + 1);
            count.since.get_or_insert(now);
            count.last = Some(now);
        }
        let Some(to) = lock(&sides).callee else { continue };
        let (datagram, by) = (buffer[..length].to_vec(), Arc::clone(&by));
        match fate.next() {
            None => {}
            Some(delay) if delay.is_zero() => drop(by.send_to(&datagram, to).await),
            Some(delay) => drop(tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = by.send_to(&datagram, to).await;
            })),
        }
    }
}

/// From the callee to the caller.
async fn unharmed(from: Arc<UdpSocket>, by: Arc<UdpSocket>, sides: Shared<Sides>) {
    let mut buffer = [0; 2_048];
    while let Ok((length, _)) = from.recv_from(&mut buffer).await {
        let to = lock(&sides).caller;
        if let Some(to) = to {
            let _ = by.send_to(&buffer[..length], to).await;
        }
    }
}

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::mpsc, task::JoinHandle};

/// What happened to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The address from which the other end is reached is another one, or there is one again.
    Address(IpAddr),
    /// The machine slept, or its clock was set: connections may be dead without anybody having said so.
    Woke,
}

/// Watches the way to somebody, and the clock. Dropping it ends the watch.
#[derive(Debug)]
pub struct NetworkWatch {
    task: JoinHandle<()>,
}

impl NetworkWatch {
    /// Watches the way to `remote`, which may change; what changes is told to `changes`.
    pub fn start(remote: IpAddr, changes: mpsc::Sender<Change>) -> Self {
        Self { task: tokio::spawn(watch(remote, changes)) }
    }
}

impl Drop for NetworkWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address from which `remote` is reached, as the routing table says; `None` without a route.
#[must_use]
pub fn route_to(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a UDP socket sends nothing.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look that comes so much later than it should was held up by a sleep. The clock of `Instant` may stand still meanwhile,
/// that of the wall does not.
const SLEPT: Duration = Duration::from_secs(5);

async fn watch(remote: IpAddr, changes: mpsc::Sender<Change>) {
    let mut known = route_to(remote);
    let mut clocks = Clocks::read();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Clocks::read();
        let slept = clocks.slept_until(now);
        clocks = now;
        let found = route_to(remote);
        let moved = found.filter(|_| found != known);
        // A moment without a route is no news; the address after it is, the same one too.
        known = found;
        let change = match (moved, slept) {
            (Some(address), _) => Change::Address(address),
            (None, true) => Change::Woke,
            (None, false) => continue,
        };
        if changes.send(change).await.is_err() {
            return;
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Clocks {
    mono: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn read() -> Self {
        Self { mono: Instant::now(), wall: SystemTime::now() }
    }

    /// Whether between this look and the next one lay more than a busy machine explains.
    fn slept_until(self, next: Self) -> bool {
        let mono = next.mono.duration_since(self.mono);
        let wall = next.wall.duration_since(self.wall).unwrap_or_default();
        mono.max(wall) > LOOK_EVERY + SLEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mono_s: u64, wall_s: i64, slept: bool) {
        let from = Clocks::read();
        let wall = Duration::from_secs(wall_s.unsigned_abs());
        let to = Clocks {
            mono: from.mono + Duration::from_secs(mono_s),
            wall: if wall_s < 0 { from.wall - wall } else { from.wall + wall },
        };
        assert_eq!(from.slept_until(to), slept, "{mono_s} {wall_s}");
    }

    #[test]
    fn a_jump_of_either_clock_is_a_sleep() {
        check(1, 1, false);
        check(3, 3, false);
        check(1, 3600, true);
        check(3600, 3600, true);
        // Set back by its owner.
        check(1, -3600, false);
    }

    #[test]
    fn this_machine_reaches_itself() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(route_to(loopback), Some(loopback));
    }
}

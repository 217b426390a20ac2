use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// What happened to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The address from which one of them is reached is another one, or there is one again.
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
        // It never changes, so nobody needs to hold its end.
        Self::start_all(watch::channel(BTreeSet::from([remote])).1, changes)
    }

    /// Watches the ways to all of `remotes`, whoever they are at the moment.
    pub fn start_all(remotes: watch::Receiver<BTreeSet<IpAddr>>, changes: mpsc::Sender<Change>) -> Self {
        Self { task: tokio::spawn(follow(remotes, changes)) }
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

async fn follow(remotes: watch::Receiver<BTreeSet<IpAddr>>, changes: mpsc::Sender<Change>) {
    let mut ways = Ways::default();
    let mut clocks = Clocks::read();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Clocks::read();
        let slept = clocks.slept_until(now);
        clocks = now;
        let moved = ways.look(&remotes.borrow(), route_to);
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

/// From which address each of them was reached, at the last look.
#[derive(Debug, Default)]
struct Ways(BTreeMap<IpAddr, Option<IpAddr>>);

impl Ways {
    /// The address that is another one than before. Who is watched anew is no news, nor is a moment without a route; the
    /// address after that is, the same one too.
    fn look(&mut self, remotes: &BTreeSet<IpAddr>, route_to: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<IpAddr> {
        let found: BTreeMap<_, _> = remotes.iter().map(|remote| (*remote, route_to(*remote))).collect();
        let moved =
            found.iter().find_map(|(remote, found)| found.filter(|_| self.0.get(remote).is_some_and(|known| known != found)));
        self.0 = found;
        moved
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
    fn each_way_is_watched() {
        let [one, two, here, there] = [1, 2, 3, 4].map(|last| IpAddr::from([198, 51, 100, last]));
        let mut ways = Ways::default();
        let mut look = |remotes: &[IpAddr], first: Option<IpAddr>, second: Option<IpAddr>| {
            ways.look(&remotes.iter().copied().collect(), |remote| if remote == one { first } else { second })
        };
        assert_eq!(look(&[one], Some(here), None), None);
        assert_eq!(look(&[one, two], Some(here), Some(here)), None, "watched anew");
        assert_eq!(look(&[one, two], Some(here), Some(there)), Some(there));
        assert_eq!(look(&[one, two], Some(here), None), None, "a moment without a route");
        assert_eq!(look(&[one, two], Some(here), Some(there)), Some(there), "it is back");
        assert_eq!(look(&[one, two], Some(here), Some(there)), None);
    }

    #[test]
    fn this_machine_reaches_itself() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(route_to(loopback), Some(loopback));
    }
}

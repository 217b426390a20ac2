//! Connections of callers that break before we have answered: another one is opened, to where the caller listens (RFC 3261
//! section 18.2.2). Where nobody does, a believed peer may have named itself, and is looked up (RFC 3263 section 5).

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use aftertone_model::Now;
use aftertone_sip::{ConnectionId, Flow, Transport, Uri};

use crate::{Event, Exchange, ReachId, Way, timers::Timer};

/// A connection that isn't open, or a name that isn't found after this time, won't be.
const WAIT: Duration = Duration::from_secs(10);

/// An answer that waits for a connection.
#[derive(Debug)]
pub(crate) struct Reopening {
    /// The connection that is gone.
    closed: ConnectionId,
    /// What is known of it by: where the caller should listen.
    remote: SocketAddr,
    /// What else it may be looked up by.
    name: Option<Uri>,
    /// What that has led to, not tried yet.
    addresses: VecDeque<SocketAddr>,
}

impl Exchange {
    pub(crate) fn reopen(&mut self, closed: ConnectionId, remote: SocketAddr, name: Option<Uri>, now: Now) {
        let ip = remote.ip();
        let is_believed = self.is_trunk_peer(ip.to_canonical()) || self.config.trusted.iter().any(|network| network.contains(ip));
        let name = name.filter(|_| is_believed);
        self.open(Reopening { closed, remote, name, addresses: VecDeque::new() }, remote, now);
    }

    fn open(&mut self, reopening: Reopening, address: SocketAddr, now: Now) {
        let request = self.wait_for(reopening, now);
        self.events(Event::Reopen { request, address });
    }

    fn wait_for(&mut self, reopening: Reopening, now: Now) -> ReachId {
        let request = self.new_reach();
        self.reopening.insert(request, reopening);
        self.timers.set(now.mono + WAIT, Timer::Reach(request));
        request
    }

    /// A connection is open, or can't be: then the next one is tried.
    pub(crate) fn reopened(&mut self, request: ReachId, flow: Option<Flow>, now: Now) {
        let Some(mut reopening) = self.reopening.remove(&request) else { return };
        if flow.is_some() {
            return self.ua.handle_reopened(reopening.closed, reopening.remote, flow, now.mono);
        }
        if let Some(address) = reopening.addresses.pop_front() {
            return self.open(reopening, address, now);
        }
        match reopening.name.take() {
            Some(uri) => {
                let request = self.wait_for(reopening, now);
                self.events(Event::Locate { request, uri });
            }
            None => self.ua.handle_reopened(reopening.closed, reopening.remote, None, now.mono),
        }
    }

    /// What a name has led to, if it was asked for here.
    pub(crate) fn reopened_elsewhere(&mut self, request: ReachId, ways: &[Way], now: Now) {
        let Some(reopening) = self.reopening.get_mut(&request) else { return };
        let tried = reopening.remote;
        let over_tcp = ways.iter().filter(|way| way.transport == Transport::Tcp).map(|way| way.address);
        reopening.addresses = over_tcp.filter(|address| *address != tried).collect();
        self.reopened(request, None, now);
    }
}

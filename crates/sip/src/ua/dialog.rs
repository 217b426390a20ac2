use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::core::is_asked_securely;
use crate::flow::Flow;
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::transaction::ServerTransaction;
use crate::uri::{NameAddr, Uri};

/// A dialog (RFC 3261 12): who talks to whom, and which way.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// With our tag.
    pub(crate) local: NameAddr,
    /// With the peer's tag, if it has one (RFC 2543).
    pub(crate) remote: NameAddr,
    /// The number of the INVITE that made it, if it is ours.
    pub(crate) invite_number: u32,
    /// The number of our last request in it. Shared by all clones: a transfer or a BYE may outlive the session.
    last_number: Arc<AtomicU32>,
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) target: Uri,
    pub(crate) routes: Vec<NameAddr>,
    pub(crate) contact: NameAddr,
    pub(crate) flow: Flow,
    /// The peer is where its messages say it is, so the addresses it gives can be reached.
    is_direct: bool,
    /// Of the request that is acknowledged (RFC 3261 22.1: ACK carries the same).
    credentials: Headers,
}

impl Dialog {
    /// RFC 3261 12.1.2. `request` is ours, `response` the 2xx.
    pub(crate) fn as_caller(request: &Request, response: &Response, flow: Flow) -> Option<Self> {
        let headers = &request.headers;
        let contact = headers.contact()?;
        let target = response.headers.contact().map_or_else(|| request.uri.clone(), |contact| contact.uri);
        let mut routes = response.headers.addresses("Record-Route");
        routes.reverse();
        let mut dialog = Self {
            call_id: headers.call_id().ok()?.to_owned(),
            local: headers.from().ok()?,
            remote: response.headers.to().ok()?,
            invite_number: headers.cseq().ok()?.number,
            last_number: Arc::new(AtomicU32::new(headers.cseq().ok()?.number)),
            remote_cseq: None,
            target,
            routes,
            contact,
            flow,
            is_direct: false,
            credentials: Headers::new(),
        };
        dialog.is_direct = dialog.named_hop().is_some_and(|hop| reach(hop.ip()) == reach(flow.remote.ip()));
        dialog.note_credentials(request);
        Some(dialog)
    }

    /// RFC 3261 12.1.1.
    pub(crate) fn as_callee(tx: &ServerTransaction, contact: NameAddr) -> Option<Self> {
        let headers = &tx.request.headers;
        let remote = headers.from().ok()?;
        let is_secure = is_asked_securely(&tx.request, tx.source);
        let contact = if is_secure { NameAddr { uri: contact.uri.secured(), ..contact } } else { contact };
        let mut local = headers.to().ok()?;
        if local.tag().is_none() {
            local.params.set("tag", Some(&tx.local_tag));
        }
        Some(Self {
            call_id: headers.call_id().ok()?.to_owned(),
            local,
            target: headers.contact().map_or_else(|| remote.uri.clone(), |contact| contact.uri),
            remote,
            invite_number: 0,
            last_number: Arc::default(),
            remote_cseq: headers.cseq().ok().map(|cseq| cseq.number),
            routes: headers.addresses("Record-Route"),
            contact,
            flow: tx.source,
            is_direct: is_direct(&tx.request, tx.source),
            credentials: Headers::new(),
        })
    }

    /// A new request in the dialog (RFC 3261 12.2.1.1).
    pub(crate) fn request(&self, method: Method) -> Request {
        self.numbered(method, self.next_number())
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Our next request has a number above this one.
    pub(crate) fn numbered_from(self, number: u32) -> Self {
        self.last_number.store(number, Ordering::Relaxed);
        self
    }

    /// Goes on where the early dialog of the same branch was.
    pub(crate) fn succeed(&mut self, early: &Self) {
        self.last_number = early.last_number.clone();
        self.remote_cseq = early.remote_cseq;
    }

    /// Call-ID and our tag.
    pub(crate) fn key(&self) -> (String, String) {
        (self.call_id.clone(), self.local.tag().unwrap_or_default().to_owned())
    }

    /// The ACK for a 2xx to the INVITE of that number (RFC 3261 13.2.2.4).
    pub(crate) fn ack(&self, number: u32) -> Request {
        let mut ack = self.numbered(Method::Ack, number);
        ack.headers.extend(self.credentials.clone());
        ack
    }

    /// ACK has to carry what its INVITE carried.
    pub(crate) fn note_credentials(&mut self, invite: &Request) {
        self.credentials = Headers::new();
        for name in ["Authorization", "Proxy-Authorization"] {
            for value in invite.headers.all(name) {
                self.credentials.push(name, value);
            }
        }
    }

    /// Takes the peer's Contact and the way its request came, for a request in the dialog (RFC 3261 12.2.2).
    pub(crate) fn follow(&mut self, request: &Request, source: Flow) {
        let refreshes = matches!(request.method, Method::Invite | Method::Update | Method::Subscribe);
        if let Some(contact) = request.headers.contact().filter(|_| refreshes) {
            self.target = contact.uri;
        }
        self.flow = source;
        self.is_direct = is_direct(request, source);
    }

    /// Where requests go. Connections are kept; over UDP the addresses that the peer and its proxies named are used
    /// if they are addresses and no NAT stands in between, else wherever the peer was seen.
    pub(crate) fn next_hop(&self) -> Flow {
        if self.flow.transport.is_reliable() || !self.is_direct {
            return self.flow;
        }
        let mut remote = self.flow.remote;
        match self.named_hop().filter(|hop| hop.is_ipv4() == self.flow.local.is_ipv4()) {
            // The address that is seen has its zone, the one that is named has none.
            Some(hop) if hop.ip() == remote.ip() => remote.set_port(hop.port()),
            Some(hop) => remote = hop,
            None => {}
        }
        Flow { remote, ..self.flow }
    }

    pub(crate) fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    fn named_hop(&self) -> Option<SocketAddr> {
        let uri = self.routes.first().map_or(&self.target, |route| &route.uri);
        let is_udp = uri.params().get("transport").is_none_or(|name| name.eq_ignore_ascii_case("udp"));
        uri.socket_addr(5060).filter(|addr| is_udp && addr.port() != 0 && !addr.ip().is_unspecified())
    }

    fn numbered(&self, method: Method, number: u32) -> Request {
        let mut routes = self.routes.clone();
        let mut uri = self.target.clone();
        // A strict router (RFC 2543) wants to be the Request-URI.
        if routes.first().is_some_and(|first| !first.uri.params().contains("lr")) {
            uri = std::mem::replace(&mut routes[0].uri, uri);
            routes.rotate_left(1);
        }
        let mut request = Request::new(method, uri);
        let headers = &mut request.headers;
        for route in routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", &self.local);
        headers.push("To", &self.remote);
        headers.push("Call-ID", &self.call_id);
        headers.push("CSeq", format!("{number} {}", request.method));
        if !matches!(request.method, Method::Bye) {
            headers.push("Contact", &self.contact);
        }
        request
    }
}

fn is_direct(request: &Request, source: Flow) -> bool {
    request.headers.top_via().is_ok_and(|via| via.is_truthful(source.remote, source.transport.default_port()))
}

/// An address of one kind is no way to a peer that was reached at another kind: it stands behind a NAT.
#[derive(PartialEq, Eq)]
enum Reach {
    Machine,
    Site,
    World,
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Reach::Machine,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => {
            Reach::Site
        }
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::Site,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::World,
    }
}

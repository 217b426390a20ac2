use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::dialog::Dialog;
use crate::digest::{Authorizer, Challenged, hex};
use crate::event::{Body, Event, Output, ReferralId, RequestId, ResponseParts, SessionId, SubscriptionId, UaConfig, WatchId};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Headers, Request, Response, Via, reason_phrase};
use crate::method::Method;
use crate::params::Params;
use crate::transaction::{ClientTransactions, Outgoing, ServerTransactions, TxId, Wire};
use crate::uri::{NameAddr, Scheme, Uri};

/// What this user agent does at all, told in Allow.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, NOTIFY";

/// Whose a client transaction is.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// Nobody waits for its end.
    Nobody,
    Request(RequestId),
    Invite(SessionId),
    Reinvite(SessionId),
    /// UPDATE, to refresh.
    Refresh(SessionId),
    Info(SessionId),
    /// The BYE of a session that is gone already.
    Bye(Box<Farewell>),
    Notify(SubscriptionId),
    Prack(SessionId),
    Refer(ReferralId),
    Watch(WatchId),
    /// NOTIFY about a REFER of the peer's.
    Report(ReferralId),
}

/// What a BYE needs to be sent again with an answer to a challenge.
#[derive(Debug, Clone)]
pub(crate) struct Farewell {
    pub(crate) dialog: Dialog,
    pub(crate) authorizer: Option<Authorizer>,
    pub(crate) headers: Headers,
    pub(crate) challenged: Challenged,
}

/// What sessions, subscriptions and plain requests stand on.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: UaConfig,
    pub(crate) wire: Wire,
    pub(crate) clients: ClientTransactions<Owner>,
    pub(crate) servers: ServerTransactions,
    /// Connections that we have opened.
    pub(crate) opened: BTreeSet<ConnectionId>,
    rng: StdRng,
    last_id: u64,
    last_cseq: u32,
    stateless_key: u64,
}

impl Core {
    pub(crate) fn new(config: UaConfig) -> Self {
        let mut rng = StdRng::from_seed(config.seed);
        let stateless_key = rng.next_u64();
        let wire = Wire::new(config.timers);
        let (clients, servers) = (ClientTransactions::default(), ServerTransactions::default());
        Self { config, wire, clients, servers, opened: BTreeSet::new(), rng, last_id: 0, last_cseq: 0, stateless_key }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.wire.out.push_back(Output::Event(event));
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Grows over all requests, so it grows within every Call-ID.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.last_cseq += 1;
        self.last_cseq
    }

    /// Unguessable, for tags, Call-IDs and branches (RFC 3261 19.3).
    pub(crate) fn token(&mut self) -> String {
        let mut bytes = [0; 12];
        self.rng.fill_bytes(&mut bytes);
        hex(&bytes)
    }

    /// Milliseconds in `range`, in steps of 10 (RFC 3261 14.1).
    pub(crate) fn random_millis(&mut self, range: std::ops::Range<u64>) -> u64 {
        let steps = (range.end - range.start) / 10;
        range.start + self.rng.next_u64() % steps * 10
    }

    /// The tag of responses that are not remembered: the same for the same request (RFC 3261 8.2.7).
    pub(crate) fn stateless_tag(&self, request: &Request) -> String {
        let branch = request.headers.top_via().map(|via| via.branch().to_owned()).unwrap_or_default();
        let text = format!("{:x} {branch} {}", self.stateless_key, request.headers.call_id().unwrap_or_default());
        crate::digest::Algorithm::Sha256.hash(text.as_bytes())[..16].to_owned()
    }

    /// Starts a client transaction. The request has everything but Via, User-Agent and what everybody says of themselves.
    pub(crate) fn send(&mut self, mut request: Request, flow: Flow, owner: Owner, now: Instant) -> TxId {
        if !request.headers.contains("Max-Forwards") {
            request.headers.push("Max-Forwards", 70);
        }
        if request.method == Method::Invite {
            self.push_capabilities(&mut request.headers);
        }
        if request.method != Method::Register && asks_securely(&request, flow) {
            secure_contact(&mut request.headers);
        }
        if !request.headers.contains("User-Agent") {
            request.headers.push("User-Agent", &self.config.product);
        }
        let via = self.via(flow);
        let tx = TxId(self.next_id());
        self.clients.start(tx, Outgoing { request, via, flow, owner }, &mut self.wire, now);
        tx
    }

    /// Gives up an INVITE, now or as soon as it is allowed.
    pub(crate) fn cancel(&mut self, tx: TxId, headers: Headers, now: Instant) {
        let cancel = self.clients.cancel(tx, headers, &mut self.wire, now);
        self.start_cancel(cancel, now);
    }

    pub(crate) fn send_waiting_cancel(&mut self, tx: TxId, now: Instant) {
        let cancel = self.clients.waiting_cancel(tx, &mut self.wire, now);
        self.start_cancel(cancel, now);
    }

    /// ACK for a 2xx, with an answer if there is one to give.
    pub(crate) fn acknowledge(&mut self, tx: TxId, dialog: &Dialog, number: u32, sdp: Option<String>) {
        let mut ack = dialog.ack(number);
        if let Some(sdp) = sdp {
            set_body(&mut ack.headers, &mut ack.body, Body::sdp(sdp));
        }
        ack.headers.push("User-Agent", &self.config.product);
        let flow = dialog.next_hop();
        let via = self.via(flow);
        ack.headers.push_front("Via", via);
        self.clients.acknowledge(tx, dialog.remote_tag(), flow, ack.to_bytes(), &mut self.wire);
    }

    /// A 2xx that nobody wants any more: a fork that lost, or an answer that crossed a CANCEL (RFC 3261 13.2.2.4).
    pub(crate) fn decline_answer(&mut self, tx: TxId, response: &Response, authorizer: Option<Authorizer>, now: Instant) {
        let Some((request, flow)) = self.clients.request(tx) else { return };
        let Some(dialog) = Dialog::as_caller(request, response, flow) else { return };
        self.acknowledge(tx, &dialog, dialog.invite_number, None);
        self.bye(Farewell { dialog, authorizer, headers: Headers::new(), challenged: Challenged::default() }, now);
    }

    /// ACK for a 2xx to a re-INVITE of a session that is gone.
    pub(crate) fn acknowledge_only(&mut self, tx: TxId, response: &Response) {
        let Some((request, flow)) = self.clients.request(tx) else { return };
        let Some(dialog) = Dialog::as_caller(request, response, flow) else { return };
        self.acknowledge(tx, &dialog, dialog.invite_number, None);
    }

    pub(crate) fn bye(&mut self, mut farewell: Farewell, now: Instant) {
        let mut bye = farewell.dialog.request(Method::Bye);
        bye.headers.extend(farewell.headers.clone());
        self.authorize(farewell.authorizer.as_mut(), &mut bye);
        let flow = farewell.dialog.next_hop();
        self.send(bye, flow, Owner::Bye(Box::new(farewell)), now);
    }

    pub(crate) fn authorize(&mut self, authorizer: Option<&mut Authorizer>, request: &mut Request) {
        if let Some(authorizer) = authorizer {
            let cnonce = self.token();
            authorizer.authorize(request, &cnonce);
        }
    }

    /// Starts a server transaction.
    pub(crate) fn serve(&mut self, request: Request, source: Flow, now: Instant) -> TxId {
        let (tx, tag) = (TxId(self.next_id()), self.token());
        self.servers.start(tx, request, source, tag, &mut self.wire, now);
        tx
    }

    /// Answers a request; the flow and bytes that went out, unless it has been answered finally before.
    pub(crate) fn respond(&mut self, tx: TxId, mut parts: ResponseParts, now: Instant) -> Option<(Flow, Vec<u8>)> {
        let transaction = self.servers.get(tx)?;
        if parts.status < 300 && is_asked_securely(&transaction.request, transaction.source) {
            secure_contact(&mut parts.headers);
        }
        let response = self.complete(&transaction.request, &transaction.local_tag, parts);
        self.servers.respond(tx, &response, &mut self.wire, now)
    }

    pub(crate) fn respond_status(&mut self, tx: TxId, status: u16, now: Instant) {
        self.respond(tx, ResponseParts::new(status), now);
    }

    /// Answers without remembering (RFC 3261 8.2.7).
    pub(crate) fn respond_stateless(&mut self, request: &Request, source: Flow, parts: ResponseParts) {
        let response = self.complete(request, &self.stateless_tag(request), parts);
        let reply = crate::transaction::reply_flow(request, source);
        self.wire.transmit(reply, response.to_bytes());
    }

    /// Where we can be reached over a flow, for responses whose caller gives no Contact.
    pub(crate) fn contact(&self, flow: Flow, user: &str) -> NameAddr {
        let host = local_host(flow);
        let uri = Uri::sip(user, host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host)).with_port(flow.local.port());
        let uri = if flow.transport.is_reliable() { uri.with_param("transport", Some(flow.transport.uri_name())) } else { uri };
        NameAddr::new(uri)
    }

    fn via(&mut self, flow: Flow) -> Via {
        let host = local_host(flow);
        let (host, port) = host.rsplit_once(':').map_or((host.as_str(), None), |(host, port)| (host, port.parse().ok()));
        let mut params = Params::new();
        params.set("branch", Some(&format!("z9hG4bK{}", self.token())));
        params.set("rport", None);
        if flow.transport.is_stream() && flow.connection.is_some_and(|connection| self.opened.contains(&connection)) {
            params.set("alias", None);
        }
        Via { transport: flow.transport.via_name().to_owned(), host: host.to_owned(), port, params }
    }

    fn start_cancel(&mut self, cancel: Option<(Request, Via, Flow)>, now: Instant) {
        let Some((mut request, via, flow)) = cancel else { return };
        request.headers.push("User-Agent", &self.config.product);
        let tx = TxId(self.next_id());
        let owner = Owner::Nobody;
        self.clients.start(tx, Outgoing { request, via, flow, owner }, &mut self.wire, now);
    }

    fn push_capabilities(&self, headers: &mut Headers) {
        if !headers.contains("Allow") {
            let more = [(self.config.takes_texts, ", MESSAGE"), (self.config.takes_refer, ", REFER")];
            let more = more.into_iter().filter_map(|(takes, method)| takes.then_some(method));
            headers.push("Allow", std::iter::once(ALLOW).chain(more).collect::<String>());
        }
        if !headers.contains("Supported") && !self.config.supported.is_empty() {
            headers.push("Supported", self.config.supported.join(", "));
        }
    }

    /// RFC 3261 8.2.6.
    fn complete(&self, request: &Request, local_tag: &str, parts: ResponseParts) -> Response {
        let mut response = Response::new(parts.status);
        response.reason = parts.reason.unwrap_or_else(|| reason_phrase(parts.status).to_owned());
        let headers = &mut response.headers;
        for via in request.headers.all("Via") {
            headers.push("Via", via);
        }
        let makes_dialog = matches!(request.method, Method::Invite | Method::Subscribe) && (101..300).contains(&parts.status);
        for route in request.headers.all("Record-Route").filter(|_| makes_dialog) {
            headers.push("Record-Route", route);
        }
        // A request that is refused may lack some of them.
        for name in ["From", "To", "Call-ID", "CSeq"] {
            let Some(value) = request.headers.get(name) else { continue };
            match name {
                "To" => headers.push(name, tagged(value, local_tag, parts.status)),
                _ => headers.push(name, value),
            }
        }
        // RFC 3261 8.2.6.1: the caller measures the way with it.
        if let Some(sent_at) = request.headers.get("Timestamp").filter(|_| parts.status == 100) {
            headers.push("Timestamp", sent_at);
        }
        headers.extend(parts.headers);
        let tells = request.method == Method::Invite && makes_dialog || request.method == Method::Options && parts.status < 300;
        if tells || matches!(parts.status, 405 | 501) {
            self.push_capabilities(headers);
        }
        if !headers.contains("Server") {
            headers.push("Server", &self.config.product);
        }
        if let Some(body) = parts.body {
            set_body(&mut response.headers, &mut response.body, body);
        }
        response
    }
}

/// Whether a request of ours wants TLS all the way, so that its Contact has to promise that too (RFC 3261 8.1.1.8). Nothing is
/// promised over datagrams, which TLS doesn't carry.
fn asks_securely(request: &Request, flow: Flow) -> bool {
    let route = request.headers.addresses("Route").into_iter().next();
    flow.transport.is_reliable()
        && [Some(&request.uri), route.as_ref().map(|route| &route.uri)].into_iter().flatten().any(is_sips)
}

/// The same for a request that came, and the dialog that it makes (RFC 3261 12.1.1). What a registrar lists is not its own.
pub(crate) fn is_asked_securely(request: &Request, source: Flow) -> bool {
    if !source.transport.is_reliable() || request.method == Method::Register {
        return false;
    }
    let last = request.headers.addresses("Record-Route").into_iter().next().or_else(|| request.headers.contact());
    is_sips(&request.uri) || last.is_some_and(|last| is_sips(&last.uri))
}

fn is_sips(uri: &Uri) -> bool {
    *uri.scheme() == Scheme::Sips
}

fn secure_contact(headers: &mut Headers) {
    if let Some(contact) = headers.contact() {
        headers.set("Contact", NameAddr { uri: contact.uri.secured(), ..contact });
    }
}

pub(crate) fn set_body(headers: &mut Headers, target: &mut Vec<u8>, body: Body) {
    headers.set("Content-Type", body.content_type);
    *target = body.data;
}

/// To with our tag, in everything but 100 (RFC 3261 8.2.6.2).
fn tagged(to: &str, local_tag: &str, status: u16) -> String {
    match to.parse::<NameAddr>() {
        Ok(addr) if addr.tag().is_none() && status > 100 => format!("{to};tag={local_tag}"),
        Ok(_) | Err(_) => to.to_owned(),
    }
}

/// `host:port` of our end, or a name that says that we don't know (RFC 7118 5).
fn local_host(flow: Flow) -> String {
    if flow.local.ip().is_unspecified() {
        format!("unknown.invalid:{}", flow.local.port().max(1))
    } else {
        // A zone is nothing to tell others (RFC 4007 9.1).
        SocketAddr::new(flow.local.ip(), flow.local.port()).to_string()
    }
}

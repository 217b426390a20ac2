//! Each takes any bytes and panics only if something is wrong.

use std::time::{Duration, Instant};

use aftertone_sip::dialog_info::DialogInfo;
use aftertone_sip::digest::{Authorization, Challenge, Credentials};
use aftertone_sip::origin::{Diversion, HistoryEntry, Reason, SignedIdentity, asserted};
use aftertone_sip::{
    Body, ConnectionId, Event, Flow, Headers, IncomingId, Invite, Message, NameAddr, Output, Params, Refer, ReferTo, ReferralId,
    Replaces, Request, Response, ResponseParts, SessionId, Transport, UaConfig, Uri, UserAgent, Via, parse,
};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// What is read is written so that it reads the same, and is written the same again.
pub fn message(data: &[u8]) {
    let Ok(read) = parse(data) else { return };
    let written = read.to_bytes();
    let again = parse(&written).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&written)));
    assert_eq!(written, again.to_bytes());
    let (Message::Request(Request { headers, .. }) | Message::Response(Response { headers, .. })) = &read;
    let _ = (headers.from(), headers.to(), headers.call_id(), headers.cseq(), headers.top_via(), headers.contacts());
    let _ = (headers.expires(), headers.max_forwards(), headers.content_type(), headers.event(), ReferTo::of(headers));
}

/// The values of headers, and of bodies that stand in messages.
pub fn values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(uri) = text.parse::<Uri>() {
        assert_eq!(uri.to_string().parse::<Uri>().as_ref(), Ok(&uri));
        let _ = (uri.user(), uri.host_ip(), uri.header_fields(), uri.is_equivalent(&uri.bare()));
    }
    if let Ok(addr) = text.parse::<NameAddr>() {
        let again = addr.to_string().parse::<NameAddr>().unwrap_or_else(|e| panic!("{e}: {addr}"));
        assert_eq!(addr.to_string(), again.to_string());
        let _ = (addr.q(), addr.expires(), addr.tag());
    }
    if let Ok(via) = text.parse::<Via>() {
        assert_eq!(via.to_string().parse::<Via>().map(|via| via.to_string()), Ok(via.to_string()));
    }
    if let Ok(replaces) = text.parse::<Replaces>() {
        assert_eq!(replaces.to_string().parse::<Replaces>().as_ref(), Ok(&replaces));
    }
    if let Ok(refer_to) = text.parse::<ReferTo>() {
        let _ = refer_to.to_string().parse::<ReferTo>();
    }
    let params = Params::parse(&text).to_string();
    assert_eq!(Params::parse(&params).to_string(), params);
    for challenge in Challenge::parse_all(&text) {
        let _ = Challenge::parse_all(&challenge.to_string());
    }
    if let Some(authorization) = Authorization::parse(&text) {
        let _ = Authorization::parse(&authorization.to_string());
    }
    let _ = aftertone_sip::mwi::MessageSummary::parse(&text);
    if let Some(info) = DialogInfo::parse(&text) {
        let again = DialogInfo::parse(&info.to_body()).unwrap_or_else(|| panic!("{}", info.to_body()));
        assert_eq!(again.dialogs.len(), info.dialogs.len());
    }
    if let Ok(reason) = text.parse::<Reason>() {
        assert_eq!(reason.to_string().parse::<Reason>().map(|again| again.cause), Ok(reason.cause));
    }
    let headers = Headers::new().with("Diversion", &text).with("History-Info", &text).with("P-Asserted-Identity", &text);
    for diversion in Diversion::all(&headers) {
        assert_eq!(Diversion::all(&Headers::new().with("Diversion", &diversion)).len(), 1, "{diversion}");
    }
    let _ = (HistoryEntry::all(&headers), asserted(&headers), text.parse::<SignedIdentity>());
}

/// A stream that is cut where the first bytes say; nothing is held but a piece of a message.
pub fn stream(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let mut desk = Desk::new(Transport::Tcp);
    for chunk in data.chunks(usize::from(*cut).max(1)) {
        desk.ua.handle_received(desk.flow, chunk, desk.now);
        desk.drain();
    }
    desk.ua.handle_closed(ConnectionId(1), desk.now);
    desk.drain();
    desk.end();
}

/// A conversation: pieces that end with 0xff. The first byte of each says what happens, the rest is what comes in. In it
/// 1, 2 and 3 stand for the branch, our tag and the Call-ID of what was sent last. In the end nothing may be left.
pub fn agent(data: &[u8]) {
    let mut desk = Desk::new(Transport::Udp);
    for piece in data.split(|byte| *byte == 0xff).take(64) {
        let [deed, rest @ ..] = piece else { continue };
        desk.perform(*deed, rest);
        desk.drain();
    }
    desk.end();
}

struct Desk {
    ua: UserAgent,
    flow: Flow,
    now: Instant,
    branch: String,
    tag: String,
    call_id: String,
    sessions: Vec<SessionId>,
    asked: Vec<IncomingId>,
    referrals: Vec<ReferralId>,
}

impl Desk {
    fn new(transport: Transport) -> Self {
        let connection = transport.is_reliable().then_some(ConnectionId(1));
        let (local, remote) = (([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 7], 5060).into());
        let mut config = UaConfig::new("Test/1", [1; 32]);
        config.takes_refer = true;
        config.supported.push("replaces".to_owned());
        let (branch, tag, call_id) = Default::default();
        let (sessions, asked, referrals) = Default::default();
        let flow = Flow { transport, local, remote, connection };
        Self { ua: UserAgent::new(config), flow, now: any_time(), branch, tag, call_id, sessions, asked, referrals }
    }

    fn perform(&mut self, deed: u8, rest: &[u8]) {
        let Self { flow, now, .. } = *self;
        let session = self.sessions.last().copied().unwrap_or(SessionId(0));
        let asked = self.asked.last().copied().unwrap_or(IncomingId(0));
        let contact = NameAddr::new(Uri::sip("me", "192.0.2.1"));
        let body = || Body::sdp(SDP);
        match deed {
            b'R' => {
                let bytes = self.filled_in(rest);
                self.ua.handle_received(flow, &bytes, now);
            }
            b'T' => {
                self.now += Duration::from_secs(rest.first().copied().unwrap_or(1).into());
                self.ua.handle_timeout(self.now);
            }
            b'I' => {
                let you = Uri::sip("you", "192.0.2.7");
                let sdp = rest.is_empty().then(|| SDP.to_owned());
                let credentials = Some(Credentials::new("me", "secret"));
                let (from, to, headers) = (contact.clone(), you.clone().into(), Headers::new());
                let id = self.ua.invite(Invite { uri: you, from, to, contact, headers, sdp, credentials }, flow, now);
                self.sessions.push(id);
            }
            b'P' => self.ua.progress(session, ResponseParts { body: Some(body()), ..ResponseParts::new(183) }, now),
            b'A' => self.ua.accept(session, contact, SDP.to_owned(), Headers::new(), now),
            b'K' => self.ua.acknowledge(session, SDP.to_owned(), now),
            b'H' => self.ua.hang_up(session, Headers::new(), now),
            b'V' => self.ua.reinvite(session, SDP.to_owned(), now),
            b'U' => self.ua.update(session, Some(SDP.to_owned()), Headers::new(), now),
            b'Y' => self.ua.accept_reinvite(session, SDP.to_owned(), now),
            b'N' => self.ua.reject_reinvite(session, 488, now),
            b'F' => {
                self.ua.refer(session, Refer::new(ReferTo::new(Uri::sip("other", "192.0.2.9"))), now);
            }
            b'C' => self.referrals.extend(self.ua.accept_referral(asked, now)),
            b'W' => self.referrals.iter().for_each(|id| self.ua.report_referral(*id, u16::from(rest.len() as u8) + 100, now)),
            b'S' => {
                self.ua.accept_subscription(asked, contact, 60, now);
            }
            _ => self.ua.respond(asked, ResponseParts::new(200), now),
        }
    }

    fn filled_in(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::new();
        for byte in text {
            match byte {
                1 => filled.extend_from_slice(self.branch.as_bytes()),
                2 => filled.extend_from_slice(self.tag.as_bytes()),
                3 => filled.extend_from_slice(self.call_id.as_bytes()),
                _ => filled.push(*byte),
            }
        }
        filled
    }

    fn drain(&mut self) {
        for _ in 0..10_000 {
            match self.ua.poll_output() {
                Output::Timeout(_) => return,
                Output::Transmit { bytes, .. } => self.sent(&bytes),
                Output::Event(Event::Incoming { session, .. }) => self.sessions.push(session),
                Output::Event(Event::Request { id, .. } | Event::Referred { id, .. } | Event::Message { id, .. }) => {
                    self.asked.push(id)
                }
                Output::Event(Event::Reopen { closed, remote, .. }) => self.ua.handle_reopened(closed, remote, None, self.now),
                Output::Event(_) => {}
            }
        }
        panic!("the output never ends");
    }

    fn sent(&mut self, bytes: &[u8]) {
        let (headers, own) = match parse(bytes) {
            Ok(Message::Request(request)) => (request.headers, "From"),
            Ok(Message::Response(response)) => (response.headers, "To"),
            Err(_) => return assert!(bytes == b"\r\n", "what is sent can be read"),
        };
        self.branch = headers.top_via().map(|via| via.branch().to_owned()).unwrap_or_default();
        self.call_id = headers.call_id().unwrap_or_default().to_owned();
        let own = headers.get(own).and_then(|value| value.parse::<NameAddr>().ok());
        self.tag = own.and_then(|own| own.tag().map(str::to_owned)).unwrap_or_default();
    }

    /// Hangs up everything; an hour later nothing may be left.
    fn end(mut self) {
        for session in self.sessions.clone() {
            self.ua.hang_up(session, Headers::new(), self.now);
            self.drain();
        }
        for _ in 0..4000 {
            match self.ua.poll_output() {
                Output::Timeout(None) => break,
                Output::Timeout(Some(at)) => {
                    self.now = self.now.max(at);
                    self.ua.handle_timeout(self.now);
                }
                Output::Transmit { .. } | Output::Event(_) => {}
            }
        }
        assert!(self.ua.is_idle(), "{:?}", self.ua.counts());
    }
}

/// Where virtual time begins: there is no other way to make an `Instant`.
#[expect(clippy::disallowed_methods, reason = "only a beginning; it does not matter which")]
fn any_time() -> Instant {
    Instant::now()
}

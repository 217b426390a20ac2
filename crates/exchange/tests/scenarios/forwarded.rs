//! An exchange in front of us: calls that it forwards, and its lamps.

use aftertone_exchange::{ExchangeConfig, MessageCounts, TrunkAccount, Way};
use aftertone_model::{EndReason, Reason, SubscriberId, Trunk};
use aftertone_sip::{
    ConnectionId, Event, Headers, Invite, Method, NameAddr, OutgoingRequest, RequestFailure, Response, ResponseParts, Transport,
    Uri,
};

use crate::world::{DOMAIN, PhoneId, World, flow_of, id};

fn trusting(config: &mut ExchangeConfig) {
    config.trusted = vec!["192.0.2.9".parse().unwrap()];
}

impl World {
    /// What becomes of a call with these headers: the reason and owner of the deposit, if it is one.
    fn forwards(&mut self, peer: PhoneId, uri: &str, headers: &[(&str, &str)]) -> Option<(Reason, SubscriberId)> {
        let now = self.now.mono;
        let phone = &mut self.phones[peer.0];
        let uri: Uri = uri.parse().unwrap();
        let headers = headers.iter().fold(Headers::new(), |all, (name, value)| all.with(name, value));
        let invite = Invite {
            uri: uri.clone(),
            from: "<sip:+4930555123@pbx.example>".parse().unwrap(),
            to: NameAddr::new(uri),
            contact: phone.contact(),
            headers,
            sdp: Some(phone.sdp()),
            credentials: None,
        };
        let session = phone.ua.invite(invite, phone.flow, now);
        self.settle();
        let taken = self.plane.deposits.last().map(|(_, order)| (order.envelope.reason, order.envelope.mailbox));
        self.plane.deposits.clear();
        self.hang_up(peer, session);
        self.wait(1.0);
        taken
    }
}

#[test]
fn the_right_mailbox_answers_with_the_right_reason() {
    let mut world = World::with(trusting);
    let pbx = world.phone_at("pbx", "192.0.2.9:5060");
    let anna = world.registered("anna", 11);
    let mailbox = "sip:voicemail@example.org";
    let mut check = |uri: &str, header: (&str, &str), reason, owner| {
        assert_eq!(world.forwards(pbx, uri, &[header]), Some((reason, id(owner))), "{uri} {header:?}");
    };
    check(mailbox, ("Diversion", "<sip:1001@pbx.example>;reason=no-answer"), Reason::NoAnswer, "anna");
    check(mailbox, ("Diversion", "<sip:1002@pbx.example>;reason=user-busy"), Reason::Busy, "ben");
    check(mailbox, ("Diversion", "<sip:1002@pbx.example>;reason=do-not-disturb"), Reason::Dnd, "ben");
    check(mailbox, ("Diversion", "<sip:1002@pbx.example>;reason=unconditional"), Reason::Direct, "ben");
    let history = "<sip:1001@pbx.example?Reason=SIP%3Bcause%3D408>;index=1, <sip:voicemail@example.org>;index=1.1";
    check(mailbox, ("History-Info", history), Reason::NoAnswer, "anna");
    // Some write no entry for where they send the call.
    let history = "<sip:1002@pbx.example?Reason=SIP%3Bcause%3D486>;index=1";
    check(mailbox, ("History-Info", history), Reason::Busy, "ben");
    // Forwarded to the person's own address after her phone there has rung: she is not rung again.
    check("sip:1001@example.org", ("Diversion", "<sip:1001@pbx.example>;reason=no-answer"), Reason::NoAnswer, "anna");
    assert!(world.incoming(anna).is_none());
}

#[test]
fn a_peer_is_believed_by_its_connection_and_only_over_that() {
    let mut world = World::new();
    let (pbx, other) = (world.phone_at("pbx", "198.51.100.9:5061"), world.phone_at("pbx", "198.51.100.9:5062"));
    for (phone, number) in [(pbx, 7), (other, 8)] {
        let at = world.phones[phone.0].flow.local.to_string();
        world.phones[phone.0].flow = flow_of(&at, Transport::Tls, Some(number));
    }
    world.exchange.handle_believed(ConnectionId(7), world.now);
    let header = ("Diversion", "<sip:1001@pbx.example>;reason=user-busy");
    assert_eq!(world.forwards(pbx, "sip:voicemail@example.org", &[header]), Some((Reason::Busy, id("anna"))));
    assert_eq!(world.forwards(other, "sip:voicemail@example.org", &[header]), None, "the same address is not enough");
    world.close(pbx);
    world.phones[pbx.0].gone = false;
    assert_eq!(world.forwards(pbx, "sip:voicemail@example.org", &[header]), None, "nor a number that was used before");
}

#[test]
fn an_older_exchange_names_the_caller_in_its_own_way() {
    let mut world = World::with(|config| {
        trusting(config);
        config.open = true;
    });
    let (pbx, stranger) = (world.phone_at("pbx", "192.0.2.9:5060"), world.phone_at("pbx", "192.0.2.10:5060"));
    let anna = world.registered("anna", 11);
    let told = ("Remote-Party-ID", "\"Zoe\" <sip:+4940777@pbx.example>;party=calling;screen=yes;privacy=off");
    let mut shown = |peer: PhoneId, header: (&str, &str)| {
        world.forwards(peer, "sip:1001@example.org", &[header]);
        world.incoming(anna).unwrap().1.headers.from().unwrap().to_string().split(";tag").next().unwrap().to_owned()
    };
    assert_eq!(shown(pbx, told), "\"Zoe\" <sip:+4940777@example.org>");
    let hidden = ("Remote-Party-ID", "<sip:+4940777@pbx.example>;party=calling;privacy=full");
    assert_eq!(shown(pbx, hidden), "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    assert_eq!(shown(stranger, told), "<sip:+4930555123@example.org>", "who is not believed");
}

#[test]
fn a_call_forwarded_at_once_rings() {
    let mut world = World::with(trusting);
    let pbx = world.phone_at("pbx", "192.0.2.9:5060");
    let anna = world.registered("anna", 11);
    let header = ("Diversion", "<sip:1001@pbx.example>;reason=unconditional");
    assert_eq!(world.forwards(pbx, "sip:1001@example.org", &[header]), None);
    assert!(world.incoming(anna).is_some());
}

#[test]
fn who_is_not_believed_forwards_nothing() {
    let mut world = World::with(|config| config.open = true);
    let stranger = world.phone_at("pbx", "192.0.2.9:5060");
    let anna = world.registered("anna", 11);
    let header = ("Diversion", "<sip:1001@pbx.example>;reason=no-answer");
    assert_eq!(world.forwards(stranger, "sip:voicemail@example.org", &[header]), None);
    assert_eq!(world.forwards(stranger, "sip:1001@example.org", &[header]), None);
    assert!(world.incoming(anna).is_some(), "it is a call like any other");
}

fn subscribe(world: &mut World, peer: PhoneId, whose: &str) -> Result<Response, RequestFailure> {
    let to = NameAddr::new(Uri::sip(whose, DOMAIN));
    let from: NameAddr = "<sip:lamps@pbx.example>".parse().unwrap();
    let mut request = OutgoingRequest::new(Method::Subscribe, to.uri.clone(), from, to);
    let contact = world.phones[peer.0].contact();
    request.headers = Headers::new().with("Event", "message-summary").with("Expires", 600).with("Contact", contact);
    world.phones[peer.0].credentials = None;
    world.request(peer, request)
}

fn lamps(world: &World, to: &str) -> Vec<String> {
    let told = world.sent.iter().filter(|(remote, bytes)| remote.to_string() == to && bytes.starts_with("NOTIFY"));
    let line = |bytes: &str| bytes.lines().find(|line| line.starts_with("Voice-Message")).map(str::to_owned);
    told.filter_map(|(_, bytes)| line(bytes)).collect()
}

#[test]
fn an_exchange_in_front_may_watch_its_peoples_lamps() {
    let mut world = World::with(trusting);
    let (pbx, other) = (world.phone_at("pbx", "192.0.2.9:5060"), world.phone_at("other", "192.0.2.10:5060"));
    let counts = |new| MessageCounts { new, old: 0 };
    world.exchange.handle_message_waiting(id("anna"), counts(1), world.now);
    world.settle();
    assert_eq!(subscribe(&mut world, pbx, "1001").unwrap().status, 200);
    assert_eq!(subscribe(&mut world, other, "1001").unwrap_err().status(), 401);
    assert_eq!(lamps(&world, "192.0.2.9:5060"), ["Voice-Message: 1/0 (0/0)"]);
    assert!(lamps(&world, "192.0.2.10:5060").is_empty());
}

#[test]
fn a_trunks_peer_is_told_without_asking() {
    let mut world = World::new();
    let peer = world.phone_at("pbx", "192.0.2.9:5060");
    world.ways = vec![Way {
        transport: Transport::Udp,
        address: "192.0.2.9:5060".parse().unwrap(),
        name: "pbx.example".into(),
        fingerprint: None,
    }];
    let numbers = [("2001".to_owned(), "anna".to_owned())].into();
    let trunk = Trunk { numbers, lamps: true, ..Trunk::new("pbx", "pbx.example") };
    world.exchange.handle_trunks(vec![TrunkAccount { trunk, password: String::new() }], world.now);
    world.exchange.handle_message_waiting(id("anna"), MessageCounts { new: 2, old: 1 }, world.now);
    world.settle();
    assert!(lamps(&world, "192.0.2.9:5060").is_empty(), "not before it is up");
    let options = world.phones[peer.0].events.iter().find_map(|event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    let now = world.now.mono;
    world.phones[peer.0].ua.respond(options.unwrap(), ResponseParts::new(200), now);
    world.settle();
    world.exchange.handle_message_waiting(id("anna"), MessageCounts { new: 3, old: 1 }, world.now);
    world.exchange.handle_message_waiting(id("ben"), MessageCounts { new: 9, old: 9 }, world.now);
    world.settle();
    assert_eq!(lamps(&world, "192.0.2.9:5060"), ["Voice-Message: 2/1 (0/0)", "Voice-Message: 3/1 (0/0)"]);
}

#[test]
fn who_wants_not_to_be_disturbed_is_not_rung() {
    let mut world = World::with(trusting);
    let pbx = world.phone_at("pbx", "192.0.2.9:5060");
    let anna = world.registered("anna", 11);
    let people = ["anna", "ben", "cleo"].map(|name| {
        let person = crate::world::person(name);
        aftertone_exchange::Person { do_not_disturb: name == "anna", ..person }
    });
    world.exchange.handle_directory(aftertone_exchange::Directory::new(people), world.now);
    assert_eq!(world.forwards(pbx, "sip:1001@example.org", &[]), Some((Reason::Dnd, id("anna"))));
    assert!(world.incoming(anna).is_none());
}

/// RFC 3326: nobody has missed what a colleague on the other exchange took.
#[test]
fn a_call_that_the_exchange_in_front_gives_to_somebody_else_is_no_missed_call() {
    let mut world = World::with(trusting);
    let pbx = world.phone_at("pbx", "192.0.2.9:5060");
    world.phones[pbx.0].credentials = None;
    let anna = world.registered("anna", 11);
    let elsewhere = Headers::new().with("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"");
    for (headers, end, told) in [
        (elsewhere, EndReason::AnsweredElsewhere, "cancelled (SIP;cause=200;text=\"Call completed elsewhere\")"),
        (Headers::new(), EndReason::Cancelled, "cancelled"),
    ] {
        let session = world.call_as(pbx, "<sip:+4930555123@pbx.example>".parse().unwrap(), Uri::sip("1001", DOMAIN));
        let leg = world.rings(anna);
        world.phones[pbx.0].ua.cancel(session, headers, world.now.mono);
        world.settle();
        assert_eq!(world.story(anna, leg), [told]);
        assert_eq!(world.log_of("anna").pop().unwrap().end, end);
    }
    world.check_clean();
}

//! What goes over the wire when a stranger, played by hand, talks to a user agent.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use aftertone_sip::{
    Body, Credentials, EndedBy, Event, Flow, Headers, Invite, Message, Method, NameAddr, Request, Response, ResponseParts,
    SessionId, Transport, Uri,
};

use common::{ALICE, ANSWER, BOB, Network, OFFER, VIA, World, in_dialog, invite, read, stranger};

fn response(world: &mut World) -> (SocketAddr, Response) {
    let (to, bytes) = world.strangers.pop_front().expect("nothing was sent");
    match read(&bytes) {
        Message::Response(response) => (to, response),
        Message::Request(request) => panic!("a request: {request:?}"),
    }
}

fn request(world: &mut World) -> (SocketAddr, Request) {
    let (to, bytes) = world.strangers.pop_front().expect("nothing was sent");
    match read(&bytes) {
        Message::Request(request) => (to, request),
        Message::Response(response) => panic!("a response: {response:?}"),
    }
}

fn statuses(world: &mut World) -> Vec<u16> {
    std::iter::from_fn(|| (!world.strangers.is_empty()).then(|| response(world).1.status)).collect()
}

fn answered_stranger(world: &mut World, invite: &str, from: SocketAddr) -> (SessionId, Response) {
    world.inject(BOB, from, invite);
    let session = world.wait_incoming(BOB);
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(session, contact, ANSWER.to_owned(), Headers::new(), now));
    let (_, ok) = response(world);
    (session, ok)
}

/// A flood from made-up addresses must not fill the memory: what can't be remembered is answered and forgotten.
#[test]
fn a_flood_of_requests_takes_bounded_memory() {
    let mut world = World::with_configs(Transport::Udp, common::Network::default(), 1, |config| config.max_served_bytes = 50_000);
    let flood = |world: &mut World, numbers: std::ops::Range<u32>| {
        for number in numbers {
            let from = SocketAddr::from(([198, 51, 100, 7], 1024 + number as u16));
            let options = in_dialog("OPTIONS", 1, &format!("z9hG4bK-{number}"), "<sip:bob@127.0.0.2>");
            world.inject(BOB, from, &options.replace("1-2@", &format!("{number}@")));
            let asked = world.agents[BOB].events.pop_front();
            if let Some(Event::Request { id, .. }) = asked {
                world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(200), now));
            }
        }
    };
    flood(&mut world, 0..2_000);
    let answers: Vec<Response> = std::iter::from_fn(|| (!world.strangers.is_empty()).then(|| response(&mut world).1)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(answers.len(), 2_000, "everybody is answered");
    assert!((1_900..2_000).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|answer| answer.headers.get("Retry-After") == Some("32")));
    world.run(Duration::from_secs(33));
    flood(&mut world, 2_000..2_010);
    assert!(statuses(&mut world).iter().all(|status| *status == 200), "and taken again when the flood is over");
}

#[test]
fn a_simple_callers_whole_call_works() {
    let mut world = World::new(Transport::Udp);
    let (session, ok) = answered_stranger(&mut world, &invite(VIA, OFFER), stranger());
    assert_eq!((ok.status, ok.sdp().as_deref()), (200, Some(ANSWER)));
    assert_eq!(ok.headers.get("Via"), Some(VIA), "it is where it says and did not ask for rport");
    assert_eq!(ok.headers.contact().unwrap().uri, world.uri("bob", BOB));
    assert!(!ok.headers.contains("Session-Expires"), "it does not know of session timers");
    let to = ok.headers.get("To").unwrap();
    // INVITE again is absorbed, as is ACK again.
    world.inject(BOB, stranger(), &invite(VIA, OFFER));
    let ack = in_dialog("ACK", 1, "z9hG4bK-2", to);
    world.inject(BOB, stranger(), &ack);
    world.inject(BOB, stranger(), &ack);
    world.wait_confirmed(BOB, session);
    let bye = in_dialog("BYE", 2, "z9hG4bK-3", to);
    for _ in 0..3 {
        world.inject(BOB, stranger(), &bye);
    }
    assert_eq!(statuses(&mut world), [200, 200, 200]);
    assert!(matches!(world.agents[BOB].events.pop_front(), Some(Event::Ended { by: EndedBy::Remote, .. })));
    assert!(world.agents[BOB].events.is_empty());
    world.assert_idle_later();
}

#[test]
fn a_caller_behind_a_nat_is_answered_and_called_where_it_was_seen() {
    let mut world = World::new(Transport::Udp);
    let nat = SocketAddr::from(([198, 51, 100, 9], 40_000));
    let via = "SIP/2.0/UDP 192.168.1.5:5060;rport;branch=z9hG4bK-1";
    world.inject(BOB, nat, &invite(via, OFFER));
    let session = world.wait_incoming(BOB);
    world.run(Duration::from_millis(200));
    let (to, trying) = response(&mut world);
    assert_eq!((to, trying.status), (nat, 100));
    let via = trying.headers.top_via().unwrap();
    assert_eq!((via.params.get("received"), via.params.get("rport")), (Some("198.51.100.9"), Some("40000")));
    assert_eq!(world.agents[BOB].ua.session_flow(session).unwrap().remote, nat);

    // Without rport the port that Via names is used, at the address the request came from (RFC 3261 18.2.2).
    let mut world = World::new(Transport::Udp);
    world.inject(BOB, nat, &invite("SIP/2.0/UDP 192.168.1.5:5070;branch=z9hG4bK-1", OFFER));
    world.run(Duration::from_millis(200));
    assert_eq!(response(&mut world).0, SocketAddr::from(([198, 51, 100, 9], 5070)));
}

#[test]
fn requests_in_a_dialog_go_where_contact_and_route_say() {
    let mut world = World::new(Transport::Udp);
    let text = invite(VIA, OFFER).replace("Contact: sip:sipp@192.0.2.7:5062", "Contact: <sip:sipp@192.0.2.8:5099;x=y>");
    let (session, ok) = answered_stranger(&mut world, &text, stranger());
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", ok.headers.get("To").unwrap()));
    world.act(BOB, |ua, now| ua.hang_up(session, Headers::new(), now));
    let (to, bye) = request(&mut world);
    assert_eq!(to, SocketAddr::from(([192, 0, 2, 8], 5099)));
    assert_eq!((bye.method.clone(), bye.uri.to_string()), (Method::Bye, "sip:sipp@192.0.2.8:5099;x=y".to_owned()));
    assert_eq!(bye.headers.to().unwrap().tag(), Some("1"));

    let mut world = World::new(Transport::Udp);
    let routes =
        "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.21:5080;lr>\r\nRecord-Route: <sip:proxy.example.com;lr>\r\nMax-Forwards";
    let (session, ok) = answered_stranger(&mut world, &invite(VIA, OFFER).replace("Max-Forwards", routes), stranger());
    assert_eq!(ok.headers.list("Record-Route").len(), 3);
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", ok.headers.get("To").unwrap()));
    world.act(BOB, |ua, now| ua.hang_up(session, Headers::new(), now));
    let (to, bye) = request(&mut world);
    assert_eq!(to, SocketAddr::from(([192, 0, 2, 20], 5060)));
    let expected = ["<sip:192.0.2.20;lr>", "<sip:192.0.2.21:5080;lr>", "<sip:proxy.example.com;lr>"];
    assert_eq!(bye.headers.list("Route"), expected);
    assert_eq!(bye.uri.to_string(), "sip:sipp@192.0.2.7:5062");
}

#[test]
fn a_strict_router_becomes_the_request_uri() {
    let mut world = World::new(Transport::Udp);
    let text = invite(VIA, OFFER).replace("Max-Forwards", "Record-Route: <sip:192.0.2.20>, <sip:192.0.2.21;lr>\r\nMax-Forwards");
    let (session, ok) = answered_stranger(&mut world, &text, stranger());
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", ok.headers.get("To").unwrap()));
    world.act(BOB, |ua, now| ua.hang_up(session, Headers::new(), now));
    let (_, bye) = request(&mut world);
    assert_eq!(bye.uri.to_string(), "sip:192.0.2.20");
    assert_eq!(bye.headers.list("Route"), ["<sip:192.0.2.21;lr>", "<sip:sipp@192.0.2.7:5062>"]);
}

#[test]
fn what_breaks_the_rules_gets_the_right_answer() {
    let good = invite(VIA, OFFER);
    let cases = [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 3000000000 INVITE", 400),
        ("Call-ID: 1-2@192.0.2.7\r\n", "", 400),
        ("Call-ID: 1-2@192.0.2.7", "Call-ID:", 400),
        ("To: <sip:bob@127.0.0.2>\r\n", "", 400),
        ("To: <sip:bob", "To: <sip:carol@x>\r\nTo: <sip:bob", 400),
        ("Max-Forwards: 70", "Max-Forwards: 300", 400),
        ("Max-Forwards: 70", "Content-Length: 3\r\nMax-Forwards: 70", 400),
        ("Content-Length: ", "Content-Length: -", 400),
        ("Content-Length: ", "Content-Length: 99", 400),
        ("INVITE sip:bob@127.0.0.2", "INVITE sip:bob@127.0.0.2 ;x", 400),
        ("INVITE sip:bob@127.0.0.2", "INVITE http://example.com", 416),
        ("Max-Forwards: 70", "Require: precondition, timer\r\nMax-Forwards: 70", 420),
        ("application/sdp", "text/plain", 415),
        ("Max-Forwards: 70", "Supported: timer\r\nSession-Expires: 30\r\nMax-Forwards: 70", 422),
        ("To: <sip:bob@127.0.0.2>", "To: <sip:bob@127.0.0.2>;tag=unknown", 481),
    ];
    for (from, to, expected) in cases {
        assert!(good.contains(from));
        let mut world = World::new(Transport::Udp);
        world.inject(BOB, stranger(), &good.replacen(from, to, 1));
        let (_, refusal) = response(&mut world);
        assert_eq!(refusal.status, expected, "{from} -> {to}: {}", refusal.reason);
        assert!(world.agents[BOB].events.is_empty(), "{to}");
        match expected {
            415 => assert_eq!(refusal.headers.get("Accept"), Some("application/sdp")),
            420 => assert_eq!(refusal.headers.get("Unsupported"), Some("precondition")),
            422 => assert_eq!(refusal.headers.get("Min-SE"), Some("90")),
            _ => {}
        }
        world.assert_idle_later();
    }
}

#[test]
fn what_can_not_be_answered_is_not() {
    let good = invite(VIA, OFFER);
    let no_via = good.replace(&format!("Via: {VIA}\r\n"), "");
    let ack = in_dialog("ACK", 1, "z9hG4bK-9", "<sip:bob@127.0.0.2>;tag=none");
    let http = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned();
    let reply = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKforged\r\nCSeq: 1 INVITE\r\n\r\n".to_owned();
    for text in [no_via, ack, http, reply, "\r\n\r\n".to_owned(), "\0\u{1}\u{2}".to_owned(), String::new()] {
        let mut world = World::new(Transport::Udp);
        world.inject(BOB, stranger(), &text);
        assert!(world.strangers.is_empty() && world.agents[BOB].events.is_empty(), "{text}");
        assert!(world.agents[BOB].ua.is_idle());
    }
}

#[test]
fn methods_without_a_dialog_get_their_answers() {
    for (method, expected) in [("BYE", 481), ("UPDATE", 481), ("PRACK", 481), ("CANCEL", 481), ("INFO", 481), ("NEWMETHOD", 501)]
    {
        let mut world = World::new(Transport::Udp);
        world.inject(BOB, stranger(), &in_dialog(method, 1, "z9hG4bK-1", "<sip:bob@127.0.0.2>"));
        let (_, refusal) = response(&mut world);
        assert_eq!(refusal.status, expected, "{method}");
        assert!(refusal.headers.to().unwrap().tag().is_some());
        if expected == 501 {
            assert!(refusal.headers.lists("Allow", "INVITE"));
        }
        world.assert_idle_later();
    }
}

#[test]
fn the_same_request_by_two_ways_is_served_once() {
    let mut world = World::new(Transport::Udp);
    world.inject(BOB, stranger(), &invite(VIA, OFFER));
    world.inject(BOB, stranger(), &invite("SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK-other", OFFER));
    assert_eq!(statuses(&mut world), [482]);
    assert_eq!(world.agents[BOB].events.len(), 1);
}

#[test]
fn a_branch_of_rfc_2543_still_makes_a_transaction() {
    let mut world = World::new(Transport::Udp);
    let (session, ok) = answered_stranger(&mut world, &invite("SIP/2.0/UDP 192.0.2.7:5062", OFFER), stranger());
    world.inject(BOB, stranger(), &invite("SIP/2.0/UDP 192.0.2.7:5062", OFFER));
    assert!(world.strangers.is_empty());
    let ack = in_dialog("ACK", 1, "x", ok.headers.get("To").unwrap()).replace(";branch=x", "");
    world.inject(BOB, stranger(), &ack);
    world.wait_confirmed(BOB, session);
}

#[test]
fn options_and_foreign_requests_inside_a_call_are_answered() {
    let mut world = World::new(Transport::Udp);
    let (_, ok) = answered_stranger(&mut world, &invite(VIA, OFFER), stranger());
    let to = ok.headers.get("To").unwrap().to_owned();
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", &to));
    let cases =
        [("OPTIONS", 200), ("UPDATE", 200), ("INFO", 200), ("NOTIFY", 489), ("PUBLISH", 405), ("PRACK", 481), ("ODD", 501)];
    for (number, (method, expected)) in (2..).zip(cases) {
        world.inject(BOB, stranger(), &in_dialog(method, number, &format!("z9hG4bK-{method}"), &to));
        assert_eq!(statuses(&mut world), [expected], "{method}");
    }
    // A number that was seen before, and a tag that is not the caller's.
    world.inject(BOB, stranger(), &in_dialog("INFO", 3, "z9hG4bK-old", &to));
    world.inject(BOB, stranger(), &in_dialog("BYE", 20, "z9hG4bK-forged", &to).replace("tag=1", "tag=2"));
    assert_eq!(statuses(&mut world), [500, 481]);
}

/// The same with a description.
fn describing(request: &str, sdp: &str) -> String {
    let head = request.replace("Content-Length: 0", &format!("Content-Type: application/sdp\r\nContent-Length: {}", sdp.len()));
    format!("{head}{sdp}")
}

#[test]
fn what_is_compressed_can_not_be_read() {
    let mut world = World::new(Transport::Udp);
    world.inject(BOB, stranger(), &invite(VIA, OFFER).replace("Max-Forwards", "Content-Encoding: gzip\r\nMax-Forwards"));
    let (_, refusal) = response(&mut world);
    assert_eq!((refusal.status, refusal.headers.get("Accept-Encoding")), (415, Some("identity")));
}

/// RFC 3311 5.2, before anybody has answered.
#[test]
fn a_call_that_rings_is_described_anew_once_it_has_an_answer_that_counts() {
    let mut world = World::new(Transport::Udp);
    world.inject(BOB, stranger(), &invite(VIA, OFFER).replace("Max-Forwards", "Supported: 100rel\r\nMax-Forwards"));
    let session = world.wait_incoming(BOB);
    let early = ResponseParts { body: Some(Body::sdp(ANSWER)), ..ResponseParts::new(183) };
    world.act(BOB, |ua, now| ua.progress(session, early, now));
    let (_, progress) = response(&mut world);
    let to = progress.headers.get("To").unwrap().to_owned();
    let mut number = 1;
    let mut update = |world: &mut World, sdp: Option<&str>| {
        number += 1;
        let plain = in_dialog("UPDATE", number, &format!("z9hG4bK-u{number}"), &to);
        world.inject(BOB, stranger(), &sdp.map_or_else(|| plain.clone(), |sdp| describing(&plain, sdp)));
        response(world).1
    };
    assert_eq!(update(&mut world, Some(OFFER)).status, 500, "our answer is under way");
    let granted = update(&mut world, None);
    assert_eq!((granted.status, granted.headers.contact().is_some(), granted.body.len()), (200, true, 0));
    let prack = in_dialog("PRACK", 10, "z9hG4bK-p", &to).replace("Content-Length", "RAck: 1 1 INVITE\r\nContent-Length");
    world.inject(BOB, stranger(), &prack);
    assert_eq!(statuses(&mut world), [200]);
    number = 10;
    let mut update = |world: &mut World, sdp: &str| {
        number += 1;
        let plain = in_dialog("UPDATE", number, &format!("z9hG4bK-u{number}"), &to);
        world.inject(BOB, stranger(), &describing(&plain, sdp));
    };
    let [changed, answered] = [OFFER, ANSWER].map(|sdp| sdp.replace("RTP/AVP 0", "RTP/AVP 8"));
    update(&mut world, OFFER);
    assert_eq!(response(&mut world).1.sdp().as_deref(), Some(ANSWER), "nothing has changed");
    update(&mut world, &changed);
    assert_eq!(reinvited(&mut world, BOB).as_deref(), Some(changed.as_str()));
    update(&mut world, OFFER);
    assert_eq!(statuses(&mut world), [500], "one at a time");
    world.act(BOB, |ua, now| ua.accept_reinvite(session, answered.clone(), now));
    assert_eq!(response(&mut world).1.sdp(), Some(answered.clone()));
    update(&mut world, &changed);
    assert_eq!(response(&mut world).1.sdp(), Some(answered.clone()), "it stands from now on");
    update(&mut world, OFFER);
    world.act(BOB, |ua, now| ua.reject_reinvite(session, 488, now));
    assert_eq!(statuses(&mut world), [488], "what was agreed on stands");
    // The call is answered before the next one is.
    update(&mut world, OFFER);
    world.act(BOB, |ua, now| ua.accept(session, "<sip:bob@127.0.0.2>".parse().unwrap(), answered, Headers::new(), now));
    assert_eq!(response(&mut world).1.sdp(), None);
    world.act(BOB, |ua, now| ua.accept_reinvite(session, ANSWER.to_owned(), now));
    assert_eq!(response(&mut world).1.sdp().as_deref(), Some(ANSWER));
}

fn reinvited(world: &mut World, agent: usize) -> Option<String> {
    world.wait(agent, |event| if let Event::Reinvited { sdp, .. } = event { Some(sdp.clone()) } else { None })
}

/// Bob calls the stranger, with what he was given; what he sent.
fn calls_stranger(world: &mut World, credentials: Option<Credentials>) -> (SessionId, Request) {
    let flow = Flow { remote: stranger(), ..world.flow(BOB, ALICE) };
    let (to, contact) = (Uri::sip("sipp", "192.0.2.7"), world.contact("bob", BOB));
    let from: NameAddr = "<sip:bob@127.0.0.2>".parse().unwrap();
    let call = Invite {
        uri: to.clone(),
        from,
        to: to.into(),
        contact,
        headers: Headers::new(),
        sdp: Some(OFFER.to_owned()),
        credentials,
    };
    let session = world.act(BOB, |ua, now| ua.invite(call, flow, now));
    (session, request(world).1)
}

/// The stranger describes itself while it rings, with the headers that make it reliable.
fn progress_of(sent: &Request, reliable: &str, sdp: &str) -> String {
    let copied = |name: &str| format!("{name}: {}\r\n", sent.headers.get(name).unwrap());
    let head = ["Via", "From", "Call-ID", "CSeq"].map(copied).concat();
    format!(
        "SIP/2.0 183 Session Progress\r\n{head}To: <sip:sipp@192.0.2.7>;tag=9\r\nContact: <sip:sipp@192.0.2.7:5062>\r\n{reliable}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// It describes itself anew.
fn update_of(sent: &Request, number: u32, sdp: &str) -> String {
    let from = sent.headers.get("From").unwrap();
    let text = in_dialog("UPDATE", number, &format!("z9hG4bK-u{number}"), from);
    let text = text.replace("From: sipp <sip:sipp@192.0.2.7:5062>;tag=1", "From: <sip:sipp@192.0.2.7>;tag=9");
    describing(&text.replace("Call-ID: 1-2@192.0.2.7", &format!("Call-ID: {}", sent.headers.call_id().unwrap())), sdp)
}

const RELIABLE: &str = "Require: 100rel\r\nRSeq: 1\r\n";

#[test]
fn a_call_of_ours_that_rings_may_be_updated_too() {
    let mut world = World::new(Transport::Udp);
    let (session, sent) = calls_stranger(&mut world, None);
    let progress = |reliable: &str, sdp: &str| progress_of(&sent, reliable, sdp);
    let update = |number: u32, sdp: &str| update_of(&sent, number, sdp);
    world.inject(BOB, stranger(), &progress("", ANSWER));
    world.inject(BOB, stranger(), &update(1, ANSWER));
    assert_eq!(statuses(&mut world), [491], "our offer has no answer that counts yet");
    world.inject(BOB, stranger(), &progress(RELIABLE, ANSWER));
    assert_eq!(request(&mut world).1.method, Method::Prack);
    world.inject(BOB, stranger(), &update(2, ANSWER));
    assert_eq!(response(&mut world).1.sdp().as_deref(), Some(OFFER));
    let [changed, answered] = [ANSWER, OFFER].map(|sdp| sdp.replace("RTP/AVP 0", "RTP/AVP 8"));
    world.inject(BOB, stranger(), &update(3, &changed));
    assert_eq!(reinvited(&mut world, BOB).as_deref(), Some(changed.as_str()));
    world.act(BOB, |ua, now| ua.accept_reinvite(session, answered.clone(), now));
    assert_eq!(response(&mut world).1.sdp(), Some(answered));
    // Nobody waits for the answer to the next one any more.
    world.inject(BOB, stranger(), &update(4, ANSWER));
    world.act(BOB, |ua, now| ua.hang_up(session, Headers::new(), now));
    assert_eq!(response(&mut world).1.status, 487);
    assert_eq!(request(&mut world).1.method, Method::Cancel);
}

/// A peer that doesn't name UPDATE in Allow is told who is there now by INVITE, as it was described before.
#[test]
fn news_of_who_is_there_reach_peers_without_update_too() {
    let mut world = World::new(Transport::Udp);
    let (session, ok) = answered_stranger(&mut world, &invite(VIA, OFFER), stranger());
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", ok.headers.get("To").unwrap()));
    world.agents[BOB].events.clear();
    for status in [200, 488] {
        let headers = Headers::new().with("P-Asserted-Identity", "<sip:zoe@example.com>");
        world.act(BOB, |ua, now| ua.update(session, None, headers, now));
        let (_, told) = request(&mut world);
        assert_eq!((&told.method, told.headers.get("P-Asserted-Identity")), (&Method::Invite, Some("<sip:zoe@example.com>")));
        assert_eq!(told.sdp(), ok.sdp(), "what was said before");
        world.inject(BOB, stranger(), &answer(&told, status, "1").replace(ANSWER, OFFER));
        assert_eq!(request(&mut world).1.method, Method::Ack);
        world.run(Duration::from_secs(60));
        assert!(world.strangers.is_empty() && world.agents[BOB].events.is_empty(), "that is all");
    }
}

/// RFC 3261 12.3: with the refusal of our INVITE its early dialogs are over, and what is open in them.
#[test]
fn what_rang_is_over_when_the_call_is_made_again_with_credentials() {
    let mut world = World::new(Transport::Udp);
    let (session, sent) = calls_stranger(&mut world, Some(Credentials::new("bob", "secret")));
    world.inject(BOB, stranger(), &progress_of(&sent, RELIABLE, ANSWER));
    assert_eq!(request(&mut world).1.method, Method::Prack);
    let changed = ANSWER.replace("RTP/AVP 0", "RTP/AVP 8");
    world.inject(BOB, stranger(), &update_of(&sent, 1, &changed));
    assert_eq!(reinvited(&mut world, BOB), Some(changed.clone()));
    let challenge = answer(&sent, 407, "9");
    let asked = "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\"\r\nContact";
    world.inject(BOB, stranger(), &challenge.replace("Contact", asked));
    let mut sent_now = Vec::new();
    while let Some((_, bytes)) = world.strangers.pop_front() {
        sent_now.push(match read(&bytes) {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => format!("{} {}", response.status, response.headers.cseq().unwrap().method),
        });
    }
    assert_eq!(sent_now, ["ACK", "481 UPDATE", "INVITE"]);
    world.act(BOB, |ua, now| ua.accept_reinvite(session, OFFER.to_owned(), now));
    world.inject(BOB, stranger(), &update_of(&sent, 2, &changed));
    assert_eq!(statuses(&mut world), [481], "nothing rings any more");
    world.act(BOB, |ua, now| ua.hang_up(session, Headers::new(), now));
    world.assert_idle_later();
}

/// RFC 3262 5: whoever has our answer may offer anew with the acknowledgement.
#[test]
fn an_offer_in_prack_is_asked_for_and_answered() {
    let mut world = World::new(Transport::Udp);
    world.inject(BOB, stranger(), &invite(VIA, OFFER).replace("Max-Forwards", "Supported: 100rel\r\nMax-Forwards"));
    let session = world.wait_incoming(BOB);
    let progress = |world: &mut World, status: u16, sdp: &str| {
        let parts = ResponseParts { body: Some(Body::sdp(sdp)), ..ResponseParts::new(status) };
        world.act(BOB, |ua, now| ua.progress(session, parts, now));
        response(world).1
    };
    let to = progress(&mut world, 183, ANSWER).headers.get("To").unwrap().to_owned();
    let prack = |number: u32, rseq: u32, sdp: &str| {
        let rack = format!("RAck: {rseq} 1 INVITE\r\nContent-Length");
        describing(&in_dialog("PRACK", number, &format!("z9hG4bK-p{number}"), &to), sdp).replace("Content-Length", &rack)
    };
    let [changed, answered] = [OFFER, ANSWER].map(|sdp| sdp.replace("RTP/AVP 0", "RTP/AVP 8"));
    world.inject(BOB, stranger(), &prack(2, 1, &changed));
    assert_eq!(reinvited(&mut world, BOB), Some(changed.clone()));
    world.run(Duration::from_secs(10));
    assert!(world.strangers.is_empty(), "it is acknowledged, and not answered yet");
    world.act(BOB, |ua, now| ua.accept_reinvite(session, answered.clone(), now));
    assert_eq!(response(&mut world).1.sdp(), Some(answered.clone()));
    // The same offer gets the same answer; one that can't be taken is refused, and what was agreed on stands.
    progress(&mut world, 183, &answered);
    world.inject(BOB, stranger(), &prack(3, 2, &changed));
    assert_eq!(response(&mut world).1.sdp(), Some(answered.clone()));
    progress(&mut world, 183, &answered);
    world.inject(BOB, stranger(), &prack(4, 3, OFFER));
    assert_eq!(reinvited(&mut world, BOB).as_deref(), Some(OFFER));
    world.act(BOB, |ua, now| ua.reject_reinvite(session, 488, now));
    assert_eq!(statuses(&mut world), [488]);
    world.run(Duration::from_secs(60));
    // The call is answered while one is open: it is part of the call, whose session timer it leaves alone.
    progress(&mut world, 183, &answered);
    world.inject(BOB, stranger(), &prack(5, 4, OFFER));
    world.act(BOB, |ua, now| ua.accept(session, "<sip:bob@127.0.0.2>".parse().unwrap(), answered, Headers::new(), now));
    assert_eq!(response(&mut world).1.sdp(), None);
    world.act(BOB, |ua, now| ua.accept_reinvite(session, ANSWER.to_owned(), now));
    let granted = response(&mut world).1;
    assert_eq!((granted.sdp().as_deref(), granted.headers.contains("Session-Expires")), (Some(ANSWER), false));
}

/// RFC 4028 9: 422 is for those who know session timers; a proxy may have asked in the name of one who does not.
#[test]
fn short_intervals_are_refused_to_who_understands_that_alone() {
    let wary = || World::with_configs(Transport::Udp, Network::default(), 1, |config| config.min_session_expires = 600);
    let asking =
        |supported: &str| invite(VIA, OFFER).replace("Max-Forwards", &format!("{supported}Session-Expires: 60\r\nMax-Forwards"));
    let mut world = wary();
    world.inject(BOB, stranger(), &asking("Supported: timer\r\n"));
    let (_, refusal) = response(&mut world);
    assert_eq!((refusal.status, refusal.headers.get("Min-SE")), (422, Some("600")));
    let mut world = wary();
    let (_, ok) = answered_stranger(&mut world, &asking(""), stranger());
    assert_eq!(ok.headers.get("Session-Expires"), Some("90;refresher=uas"), "not raised above what no interval is below");
}

#[test]
fn a_change_while_ours_is_open_gets_491_and_a_second_one_500() {
    let mut world = World::new(Transport::Udp);
    let (session, ok) = answered_stranger(&mut world, &invite(VIA, OFFER), stranger());
    let to = ok.headers.get("To").unwrap().to_owned();
    world.inject(BOB, stranger(), &in_dialog("ACK", 1, "z9hG4bK-2", &to));
    world.inject(BOB, stranger(), &in_dialog("INVITE", 2, "z9hG4bK-3", &to));
    world.inject(BOB, stranger(), &in_dialog("INVITE", 3, "z9hG4bK-4", &to));
    assert_eq!(statuses(&mut world), [500]);
    // The first one is taken back.
    world.inject(BOB, stranger(), &in_dialog("CANCEL", 2, "z9hG4bK-3", &to));
    assert_eq!(statuses(&mut world), [200, 487]);
    world.act(BOB, |ua, now| ua.reinvite(session, OFFER.to_owned(), now));
    let (_, reinvite) = request(&mut world);
    assert_eq!(reinvite.method, Method::Invite);
    world.inject(BOB, stranger(), &in_dialog("INVITE", 4, "z9hG4bK-5", &to));
    assert_eq!(statuses(&mut world), [491]);
}

#[test]
fn every_fork_that_answers_is_acknowledged_and_the_losers_get_bye() {
    let mut world = World::new(Transport::Udp);
    let proxy = stranger();
    let mut call = world.invite_to_bob(None);
    call.uri = Uri::sip("bob", "example.com");
    let flow = Flow::udp(world.agents[ALICE].addr, proxy);
    let session = world.act(ALICE, |ua, now| ua.invite(call, flow, now));
    let (_, sent) = request(&mut world);
    for (status, tag) in [(180, "a"), (183, "b"), (200, "b"), (200, "a"), (200, "b"), (200, "a")] {
        let text = answer(&sent, status, tag);
        world.inject(ALICE, proxy, &text);
    }
    let events: Vec<_> = world.agents[ALICE].events.drain(..).collect();
    assert!(matches!(&events[..], [Event::Progress { .. }, Event::Progress { .. }, Event::Answered { .. }]));
    let sent: Vec<_> = std::iter::from_fn(|| (!world.strangers.is_empty()).then(|| request(&mut world).1)).collect();
    let seen: Vec<_> = sent.iter().map(|r| (r.method.as_str(), r.headers.to().unwrap().tag().unwrap().to_owned())).collect();
    let expected = [("ACK", "b"), ("ACK", "a"), ("BYE", "a"), ("ACK", "b"), ("ACK", "a")];
    assert_eq!(seen, expected.map(|(method, tag)| (method, tag.to_owned())));
    let bye = answer(&sent[2], 200, "a");
    world.inject(ALICE, proxy, &bye);
    world.act(ALICE, |ua, now| ua.hang_up(session, Headers::new(), now));
    world.assert_idle_later();
}

/// What a server answers to a request of ours.
fn answer(request: &Request, status: u16, tag: &str) -> String {
    let mut response = Response::new(status);
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        response.headers.push(name, request.headers.get(name).unwrap());
    }
    let to: NameAddr = request.headers.to().unwrap();
    response.headers.push("To", to.with_param("tag", Some(tag)));
    response.headers.push("Contact", "<sip:bob@192.0.2.7:5062>");
    if status < 300 && request.method == Method::Invite {
        response.headers.push("Content-Type", "application/sdp");
        response.body = ANSWER.as_bytes().to_vec();
    }
    String::from_utf8(response.to_bytes()).unwrap()
}

#[test]
fn a_callee_whose_contact_lies_behind_a_nat_is_reached_where_the_call_went() {
    let mut world = World::new(Transport::Udp);
    let proxy = stranger();
    let (call, flow) = (world.invite_to_bob(None), Flow::udp(world.agents[ALICE].addr, proxy));
    let session = world.act(ALICE, |ua, now| ua.invite(call, flow, now));
    let (_, sent) = request(&mut world);
    world.inject(ALICE, proxy, &answer(&sent, 200, "b").replace("sip:bob@192.0.2.7:5062", "sip:bob@192.168.7.7:5060"));
    let (to, ack) = request(&mut world);
    assert_eq!((to, ack.uri.to_string()), (proxy, "sip:bob@192.168.7.7:5060".to_owned()));
    world.act(ALICE, |ua, now| ua.hang_up(session, Headers::new(), now));
    assert_eq!(request(&mut world).0, proxy);
}

#[test]
fn a_web_socket_message_needs_no_length() {
    let mut world = World::new(Transport::Ws);
    let flow = world.flow(BOB, ALICE);
    let text = invite("SIP/2.0/WS xyz.invalid;branch=z9hG4bK-1", OFFER);
    let text: String = text.split_inclusive("\r\n").filter(|line| !line.starts_with("Content-Length")).collect();
    world.act(BOB, |ua, now| ua.handle_received(flow, text.as_bytes(), now));
    let request = world.wait(BOB, |event| match event {
        Event::Incoming { request, .. } => Some(request.clone()),
        _ => None,
    });
    assert_eq!(request.sdp().as_deref(), Some(OFFER));
    world.run(Duration::from_millis(200));
    let trying = &world.trace.last().unwrap().2;
    assert!(trying.contains("Via: SIP/2.0/WS xyz.invalid;branch=z9hG4bK-1;received=127.0.0.1\r\n"), "{trying}");
}

#[test]
fn requests_outside_sessions_wait_for_the_caller_and_are_absorbed_meanwhile() {
    let mut world = World::new(Transport::Udp);
    let options = in_dialog("OPTIONS", 1, "z9hG4bK-1", "<sip:bob@127.0.0.2>");
    for _ in 0..3 {
        world.inject(BOB, stranger(), &options);
    }
    assert_eq!(world.agents[BOB].events.len(), 1);
    let Some(Event::Request { id, .. }) = world.agents[BOB].events.pop_front() else { panic!("no request") };
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(200).with("Accept", "application/sdp"), now));
    world.inject(BOB, stranger(), &options);
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(500), now));
    assert_eq!(statuses(&mut world), [200, 200]);
    world.run(Duration::from_secs(33));
    assert!(world.agents[BOB].ua.is_idle());
}

#[test]
fn a_challenge_is_forgotten_at_once_and_given_again() {
    let mut world = World::new(Transport::Udp);
    let register = in_dialog("REGISTER", 1, "z9hG4bK-1", "<sip:bob@127.0.0.2>");
    for _ in 0..2 {
        world.inject(BOB, stranger(), &register);
        let Some(Event::Request { id, .. }) = world.agents[BOB].events.pop_front() else { panic!("no request") };
        world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(401), now));
        assert_eq!(statuses(&mut world), [401]);
        assert!(world.agents[BOB].ua.is_idle(), "whoever asks without a password costs no memory");
    }
}

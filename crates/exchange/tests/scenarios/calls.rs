//! Running calls: hanging up, holding, late offers, failures, limits.

use aftertone_exchange::{LegId, MediaCommand, MediaFailure, Way};
use aftertone_media::Codec;
use aftertone_model::EndReason;
use aftertone_sip::{ConnectionId, Event, Flow, NameAddr, RequestFailure, SessionId, Transport, Uri};

use crate::world::{DOMAIN, PhoneId, World, device, flow_of, id, text};

/// Anna on a desk phone and Ben on a device of ours, in a call.
struct Talking {
    world: World,
    anna: PhoneId,
    at_anna: SessionId,
    ben: PhoneId,
    at_ben: SessionId,
}

impl Talking {
    fn new() -> Self {
        let mut world = World::new();
        let anna = world.registered("anna", 11);
        let ben = world.registered_app("ben", 50);
        world.phones[ben.0].codecs = vec![Codec::Pcmu];
        let at_anna = world.call(anna, "ben");
        let at_ben = world.rings(ben);
        world.answer(ben, at_ben);
        assert_eq!(world.story(anna, at_anna), ["180", "200"]);
        assert_eq!(world.story(ben, at_ben), ["confirmed"]);
        Self { world, anna, at_anna, ben, at_ben }
    }

    fn legs(&self) -> (LegId, LegId) {
        self.world.plane.bridges[0]
    }

    fn check_ends(&self) -> (EndReason, EndReason) {
        (self.world.log_of("anna")[0].end, self.world.log_of("ben")[0].end)
    }
}

#[test]
fn the_called_side_hangs_up() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    world.hang_up(ben, at_ben);
    assert_eq!(world.story(anna, at_anna), ["ended by Remote"]);
    assert_eq!(world.log_of("anna")[0].end, EndReason::RemoteHangup);
    assert_eq!(world.log_of("ben")[0].end, EndReason::LocalHangup);
    assert_eq!(world.logged.len(), 2);
    world.check_clean();
}

#[test]
fn the_call_of_a_revoked_phone_ends_at_once_and_no_other() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    let cleo = world.registered("cleo", 13);
    let others = world.call(cleo, "1001");
    let mut people = ["anna", "ben", "cleo"].map(crate::world::person);
    people[0].phones.clear();
    world.exchange.handle_directory(aftertone_exchange::Directory::new(people), world.now);
    world.settle();
    assert_eq!(world.story(anna, at_anna), ["ended by Remote"]);
    assert_eq!(world.story(ben, at_ben), ["ended by Remote"]);
    assert!(!world.story(cleo, others).iter().any(|told| told.starts_with("ended")));
    assert_eq!(world.log_of("ben")[0].end, EndReason::Failed);
}

#[test]
fn a_machine_at_its_limit_takes_no_new_call_and_keeps_those_that_run() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    let cleo = world.registered("cleo", 13);
    world.exchange.handle_overload(true);
    let refused = world.call(cleo, "ben");
    assert_eq!(world.story(cleo, refused), ["503"]);
    world.wait(60.0);
    assert!(world.story(anna, at_anna).is_empty(), "they talk on");
    world.exchange.handle_overload(false);
    let taken = world.call(cleo, "ben");
    assert!(!world.story(cleo, taken).contains(&"503".to_owned()));
    world.hang_up(ben, at_ben);
    assert_eq!(world.story(anna, at_anna), ["ended by Remote"]);
}

#[test]
fn a_codec_that_can_not_be_transcoded_goes_from_phone_to_phone_or_not_at_all() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    world.phones[anna.0].codecs = vec![Codec::G729, Codec::Pcma];
    world.phones[ben.0].codecs = vec![Codec::G729];
    let at_anna = world.call(anna, "ben");
    let offered = world.plane.offers().pop().unwrap().1;
    assert_eq!((offered[0], offered.last()), (Codec::Pcma, Some(&Codec::G729)), "only where there is nothing better");
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    assert_eq!(world.plane.answers().pop().unwrap().1, [Codec::G729]);
    assert_eq!(world.story(anna, at_anna), ["180", "200"]);
    world.hang_up(anna, at_anna);
    world.check_clean();

    world.phones[anna.0].codecs = vec![Codec::G729];
    world.call(anna, "ben");
    assert_eq!(world.plane.offers().pop().unwrap().1, [Codec::G729], "whoever speaks nothing else is not offered anything else");
}

#[test]
fn a_phone_holds_and_resumes() {
    let mut talking = Talking::new();
    let (a, _) = talking.legs();
    let Talking { anna, at_anna, .. } = talking;
    let world = &mut talking.world;
    for direction in ["a=sendonly\r\n", "a=sendrecv\r\n"] {
        let sdp = world.phones[anna.0].sdp() + direction;
        let now = world.now.mono;
        world.phones[anna.0].ua.reinvite(at_anna, sdp.clone(), now);
        world.settle();
        assert_eq!(world.story(anna, at_anna), ["re-INVITE 200"]);
        let Some(MediaCommand::Answer { leg, offer, prefer, .. }) = world.plane.commands.last() else {
            panic!("no answer was asked for")
        };
        // The partner speaks PCMU, so that is what is preferred.
        assert_eq!((*leg, offer, prefer.as_slice()), (a, &sdp, [Codec::Pcmu].as_slice()));
    }
    assert!(talking.world.story(talking.ben, talking.at_ben).is_empty(), "the partner stays anchored");
    talking.world.hang_up(anna, at_anna);
    talking.world.check_clean();
}

#[test]
fn a_description_that_can_not_be_used_leaves_the_call_as_it_was() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    world.plane.refuses = Some(Box::new(|_| Some(MediaFailure::Unacceptable("no".into()))));
    let now = world.now.mono;
    world.phones[ben.0].ua.reinvite(at_ben, text("odd", true, &[Codec::Opus]), now);
    world.settle();
    assert_eq!(world.story(ben, at_ben), ["re-INVITE 488"]);
    world.wait(30.0);
    assert_eq!(world.exchange.calls(), 1);
    world.hang_up(anna, at_anna);
    assert_eq!(world.story(ben, at_ben), ["ended by Remote"]);
    world.check_clean();
}

#[test]
fn a_caller_may_leave_the_offer_to_us() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    let from = NameAddr::new(Uri::sip("anna", DOMAIN));
    let call = world.call_with(anna, from, Uri::sip("ben", DOMAIN), None);
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    assert!(world.plane.bridges.is_empty(), "the caller has not said yet where to send");
    let answer = world.phones[anna.0].sdp();
    let events = &world.phones[anna.0].events;
    assert!(events.iter().any(|event| matches!(event, Event::Answered { late_offer: true, sdp: Some(_), .. })));
    let now = world.now.mono;
    world.phones[anna.0].ua.acknowledge(call, answer, now);
    world.settle();
    assert_eq!(world.plane.bridges.len(), 1);
    world.hang_up(ben, at_ben);
    world.check_clean();
}

#[test]
fn a_lost_connection_ends_the_call_unless_the_device_comes_back() {
    let Talking { mut world, anna, at_anna, ben, .. } = Talking::new();
    world.close(ben);
    world.wait(4.0);
    assert!(world.story(anna, at_anna).is_empty());
    world.wait(1.5);
    assert_eq!(world.story(anna, at_anna), ["ended by Remote"]);
    assert_eq!(world.log_of("ben")[0].end, EndReason::Failed);
    world.check_clean();
}

#[test]
fn a_device_that_comes_back_over_another_connection_goes_on_talking() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    let spare = world.app_of("ben", 51, (id("ben"), device(50)));
    let flow = world.phones[spare.0].flow;
    world.phones.truncate(spare.0);
    let old = world.phones[ben.0].flow.connection.unwrap();
    world.exchange.handle_closed(old, world.now);
    world.settle();
    let now = world.now.mono;
    let phone = &mut world.phones[ben.0];
    phone.flow = flow;
    let (contact, sdp) = (phone.contact(), phone.sdp());
    phone.ua.handle_closed(old, now);
    phone.ua.move_session(at_ben, flow, Some(contact));
    phone.ua.reinvite(at_ben, sdp, now);
    world.settle();
    assert_eq!(world.story(ben, at_ben), ["re-INVITE 200"]);
    world.wait(120.0);
    assert!(world.story(anna, at_anna).is_empty());
    world.hang_up(anna, at_anna);
    assert_eq!(world.story(ben, at_ben), ["ended by Remote"]);
    world.check_clean();
}

#[test]
fn dead_media_ends_the_call_on_both_sides() {
    let mut talking = Talking::new();
    let (_, b) = talking.legs();
    let now = talking.world.now;
    talking.world.exchange.handle_media_failed(b, now);
    talking.world.settle();
    assert_eq!(talking.world.story(talking.anna, talking.at_anna), ["ended by Remote"]);
    assert_eq!(talking.world.story(talking.ben, talking.at_ben), ["ended by Remote"]);
    assert_eq!(talking.check_ends(), (EndReason::Failed, EndReason::Failed));
    talking.world.check_clean();
}

#[test]
fn a_caller_without_a_common_codec_is_refused_before_anybody_rings() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    let from = NameAddr::new(Uri::sip("anna", DOMAIN));
    let plain = world.phones[anna.0].sdp();
    let offers = [
        plain.replace("RTP/AVP 8 0", "RTP/AVP 3").replace("a=rtpmap", "a=x"),
        plain.replace("RTP/AVP", "RTP/SAVP"),
        plain.replace("m=audio", "m=image"),
        "nonsense".to_owned(),
    ];
    for offer in offers {
        let call = world.call_with(anna, from.clone(), Uri::sip("ben", DOMAIN), Some(offer.clone()));
        assert_eq!(world.story(anna, call), ["488"], "{offer}");
    }
    assert!(world.incoming(ben).is_none());
    world.check_clean();
}

#[test]
fn a_silent_media_plane_has_failed() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let _ben = world.registered("ben", 12);
    world.plane.stuck = true;
    let call = world.call(anna, "ben");
    world.wait(25.0);
    assert_eq!(world.story(anna, call), ["500"]);
    assert_eq!(world.log_of("ben")[0].end, EndReason::Failed);
    world.check_clean();
}

#[test]
fn a_full_exchange_says_when_to_try_again() {
    let mut world = World::with(|config| config.max_calls = 1);
    let anna = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    let first = world.call(anna, "ben");
    let second = world.call(ben, "cleo");
    assert_eq!(retry_after(&mut world, ben, second), Some("30".to_owned()));
    world.hang_up(anna, first);
    // CANCEL waits for a provisional response (RFC 3261 section 9.1).
    world.wait(1.0);
    let third = world.call(ben, "cleo");
    assert_eq!(world.story(ben, third), ["200"]);
}

#[test]
fn an_exchange_that_is_going_down_takes_no_new_calls() {
    let mut talking = Talking::new();
    let now = talking.world.now;
    talking.world.exchange.handle_drain(now);
    let cleo = talking.world.registered("cleo", 13);
    let call = talking.world.call(cleo, "ben");
    assert!(retry_after(&mut talking.world, cleo, call).is_some());
    assert_eq!(talking.world.exchange.calls(), 1);
    talking.world.exchange.hang_up_all(now);
    talking.world.settle();
    assert_eq!(talking.world.story(talking.anna, talking.at_anna), ["ended by Remote"]);
    assert_eq!(talking.world.story(talking.ben, talking.at_ben), ["ended by Remote"]);
    talking.world.check_clean();
}

fn retry_after(world: &mut World, phone: PhoneId, call: SessionId) -> Option<String> {
    world.phones[phone.0].events.iter().find_map(|event| match event {
        Event::Rejected { session, failure: RequestFailure::Refused(response) } if *session == call => {
            assert_eq!(response.status, 503);
            response.headers.get("Retry-After").map(str::to_owned)
        }
        _ => None,
    })
}

#[test]
fn both_sides_hang_up_at_once() {
    let Talking { mut world, anna, at_anna, ben, at_ben } = Talking::new();
    let now = world.now.mono;
    world.phones[anna.0].ua.hang_up(at_anna, aftertone_sip::Headers::new(), now);
    world.phones[ben.0].ua.hang_up(at_ben, aftertone_sip::Headers::new(), now);
    world.settle();
    assert_eq!(world.logged.len(), 2);
    world.check_clean();
}

#[test]
fn a_caller_who_never_acknowledges_is_given_up() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    let _call = world.call(anna, "ben");
    let at_ben = world.rings(ben);
    world.phones[anna.0].gone = true;
    world.answer(ben, at_ben);
    world.wait(33.0);
    assert_eq!(world.story(ben, at_ben), ["confirmed", "ended by Remote"]);
    world.check_clean();
}

#[test]
fn a_call_that_goes_round_in_circles_ends() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    world.phones[anna.0].hops = 1;
    world.call(anna, "ben");
    let (_, request) = world.incoming(ben).unwrap();
    assert_eq!(request.headers.max_forwards(), Some(0), "one hop less at each");
    world.phones[anna.0].hops = 0;
    let session = world.call(anna, "ben");
    assert_eq!(world.story(anna, session), ["483"]);
}

/// RFC 3261 section 18.2.2: the answer goes to where the caller listens.
#[test]
fn a_caller_whose_connection_breaks_while_it_rings_is_answered_over_another_one() {
    for is_there in [true, false] {
        let mut world = World::new();
        let (anna, ben) = (world.phone("anna", 11), world.registered("ben", 12));
        world.phones[anna.0].flow = flow_of("10.0.0.11:5060", Transport::Tcp, Some(1));
        assert_eq!(world.register(anna, "anna", 300), 200);
        let call = world.call(anna, "ben");
        let leg = world.rings(ben);
        world.exchange.handle_closed(ConnectionId(1), world.now);
        // The first connection that is opened has this number.
        world.phones[anna.0].flow.connection = Some(ConnectionId(5060));
        if !is_there {
            world.closed.push("10.0.0.11:5060".parse().unwrap());
        }
        world.settle();
        if is_there {
            world.wait(6.0);
            world.answer(ben, leg);
            assert_eq!(world.story(anna, call).last().unwrap(), "200");
            world.hang_up(ben, leg);
            assert!(world.story(anna, call).last().unwrap().starts_with("ended"));
        } else {
            assert_eq!(world.story(ben, leg).last().unwrap(), "cancelled", "nobody is left to talk to");
        }
        world.check_clean();
    }
}

/// RFC 3263 section 5: where nobody listens at the address any more, the name in Via leads on; for believed peers alone.
#[test]
fn a_believed_caller_is_looked_up_by_its_name_where_its_machine_is_gone() {
    for is_believed in [true, false] {
        let mut world = World::with(|config| {
            config.open = true;
            config.trusted = if is_believed { vec!["192.0.2.9".parse().unwrap()] } else { Vec::new() };
        });
        let ben = world.registered("ben", 12);
        let flow = flow_of("192.0.2.9:40000", Transport::Tcp, Some(1));
        let back = Flow { local: flow.remote, remote: flow.local, ..flow };
        let sdp = text("pbx", false, &[Codec::Pcma]);
        let invite = format!(
            "INVITE sip:ben@example.org SIP/2.0\r\nVia: SIP/2.0/TCP pbx.example:5070;branch=z9hG4bKpbx\r\nMax-Forwards: 70\r\n\
             From: <sip:+4930555123@pbx.example>;tag=pbx\r\nTo: <sip:ben@example.org>\r\nCall-ID: pbx\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:pbx.example:5070;transport=tcp>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        world.exchange.handle_received(back, invite.as_bytes(), world.now);
        world.settle();
        let leg = world.rings(ben);
        // Neither the machine that called nor the first one that the name leads to takes connections.
        world.closed = ["192.0.2.9:5070", "192.0.2.10:5070"].map(|address| address.parse().unwrap()).into();
        let way = |transport, address: &str| Way {
            transport,
            address: address.parse().unwrap(),
            name: "pbx.example".into(),
            fingerprint: None,
        };
        world.ways = vec![
            way(Transport::Udp, "192.0.2.12:5060"),
            way(Transport::Tcp, "192.0.2.10:5070"),
            way(Transport::Tcp, "192.0.2.11:5070"),
        ];
        world.exchange.handle_closed(ConnectionId(1), world.now);
        world.settle();
        if !is_believed {
            assert_eq!(world.story(ben, leg).last().unwrap(), "cancelled");
            world.check_clean();
            continue;
        }
        world.answer(ben, leg);
        let to_caller = world.sent.iter().filter(|(to, _)| to.ip() != world.phones[ben.0].flow.local.ip());
        let to_caller: Vec<_> = to_caller.map(|(to, text)| (to.to_string(), text[8..11].to_owned())).collect();
        let expect = [("192.0.2.9:40000", "180"), ("192.0.2.11:5070", "180"), ("192.0.2.11:5070", "200")];
        assert_eq!(to_caller, expect.map(|(to, status)| (to.to_owned(), status.to_owned())));
        world.hang_up(ben, leg);
        world.check_clean();
    }
}

//! What keeps a trunk: flows that the registrar knows apart (RFC 5626), keepalives that are answered, and coming back.

use std::time::Duration;

use aftertone_exchange::{TrunkState, Way};
use aftertone_model::{CallingRights, Now};
use aftertone_sip::{Flow, Method, ResponseParts, Transport};

use crate::{
    trunks::{PROVIDER, account, bound, plan, provider, way},
    world::{PhoneId, SERVER, World, flow_of, person},
};

const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";

/// A provider that was asked to register, and has not answered yet.
fn asking(transport: Transport) -> (World, PhoneId) {
    let mut world = World::with(|config| {
        plan(config);
        config.instance = Some(INSTANCE.into());
    });
    world.ways = vec![Way { transport, ..way(PROVIDER) }];
    let phone = world.phone_at("provider", PROVIDER);
    world.phones[phone.0].flow = flow_of(PROVIDER, transport, transport.is_reliable().then_some(5060));
    world.exchange.handle_trunks(vec![account(provider())], world.now);
    world.settle();
    (world, phone)
}

fn pings(world: &World) -> usize {
    world.sent.iter().filter(|(to, bytes)| to.to_string() == PROVIDER && bytes == "\r\n\r\n").count()
}

fn last_sent<'a>(world: &'a World, method: &str) -> &'a str {
    &world.sent.iter().rfind(|(_, bytes)| bytes.starts_with(method)).expect("sent").1
}

#[test]
fn a_registrar_learns_which_flow_it_is() {
    let (mut world, provider) = asking(Transport::Udp);
    let asked = world.takes_registration(provider, 600);
    let contact = asked.headers.contact().unwrap();
    assert_eq!(contact.params.get("+sip.instance"), Some(format!("<{INSTANCE}>").as_str()));
    assert_eq!(contact.params.get("reg-id"), Some("1"));
    assert!(asked.headers.lists("Supported", "outbound") && asked.headers.lists("Supported", "path"));
    assert_eq!(world.state("provider"), TrunkState::Up);
}

#[test]
fn a_registrar_behind_a_proxy_without_flows_is_asked_without() {
    let (mut world, provider) = asking(Transport::Udp);
    world.answers(provider, Method::Register, |_| ResponseParts::new(439));
    let again = world.takes_registration(provider, 600);
    assert!(!again.headers.contact().unwrap().params.contains("reg-id") && !again.headers.contains("Supported"));
    assert_eq!(world.state("provider"), TrunkState::Up);
}

#[test]
fn a_flow_whose_pong_stays_away_is_replaced() {
    let (mut world, provider) = asking(Transport::Tcp);
    world.takes_registration(provider, 600);
    world.wait(76.0);
    assert_eq!((pings(&world), world.state("provider")), (3, TrunkState::Up), "each was answered");
    // The network drops everything, and says nothing.
    world.phones[provider.0].deaf = true;
    world.wait(33.5);
    assert_eq!((pings(&world), world.state("provider")), (4, TrunkState::Up), "the pong may still come");
    world.wait(1.0);
    assert_ne!(world.state("provider"), TrunkState::Up);
    assert_eq!(world.exchange.poll_unframeable().map(|connection| connection.0), Some(5060), "to be closed");
    // It is registered at over another connection.
    let phone = &mut world.phones[provider.0];
    phone.deaf = false;
    phone.flow = flow_of(PROVIDER, Transport::Tcp, Some(105_060));
    world.wait(3.0);
    world.takes_registration(provider, 600);
    assert_eq!(world.state("provider"), TrunkState::Up);
}

/// RFC 5626 section 3.5.2. A datagram may get lost, three in ten seconds don't.
#[test]
fn over_udp_a_flow_is_asked_by_stun() {
    let (mut world, provider) = asking(Transport::Udp);
    world.answers(provider, Method::Register, |request| {
        let contact = request.headers.contacts().remove(0).with_param("expires", Some("600"));
        ResponseParts::new(200).with("Contact", contact).with("Require", "outbound")
    });
    let asked = |world: &World| world.sent.iter().filter(|(_, bytes)| bytes.starts_with("\0\u{1}\0\0!\u{12}")).count();
    world.wait(55.0);
    assert_eq!((asked(&world), pings(&world), world.state("provider")), (2, 0, TrunkState::Up), "it has never answered");
    let flow = Flow::udp(SERVER.parse().unwrap(), PROVIDER.parse().unwrap());
    let answer = [&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    world.exchange.handle_received(flow, &answer, world.now);
    world.settle();
    world.wait(29.0);
    assert_eq!((asked(&world), world.state("provider")), (5, TrunkState::Up), "what is lost is asked again");
    world.exchange.handle_received(flow, &answer, world.now);
    world.wait(25.5);
    assert_eq!(world.state("provider"), TrunkState::Up);
    world.wait(8.0);
    assert_ne!(world.state("provider"), TrunkState::Up);
}

#[test]
fn a_peer_that_never_answered_a_keepalive_owes_none() {
    let (mut world, provider) = asking(Transport::Tcp);
    world.takes_registration(provider, 600);
    world.phones[provider.0].gone = true;
    world.wait(120.0);
    assert_eq!((pings(&world), world.state("provider")), (4, TrunkState::Up));
}

#[test]
fn a_peer_that_promises_to_answer_is_held_to_it() {
    for promise in [("Require", "outbound"), ("Flow-Timer", "20")] {
        let (mut world, provider) = asking(Transport::Tcp);
        world.answers(provider, Method::Register, |request| {
            let contact = request.headers.contacts().remove(0).with_param("expires", Some("600"));
            ResponseParts::new(200).with("Contact", contact).with(promise.0, promise.1)
        });
        world.phones[provider.0].gone = true;
        let every = if promise.0 == "Flow-Timer" { 18.0 } else { 25.0 };
        world.wait(every + 9.5);
        assert_eq!((pings(&world), world.state("provider")), (1, TrunkState::Up), "{promise:?}");
        world.wait(1.0);
        assert_ne!(world.state("provider"), TrunkState::Up, "{promise:?}");
    }
}

/// RFC 5923: only where we have connected; who connected to us knows the way.
#[test]
fn a_provider_may_use_our_connection_for_its_own_requests() {
    let is_alias = |text: &str| text.lines().any(|line| line.starts_with("Via:") && line.contains(";alias"));
    for (transport, expected) in [(Transport::Tcp, true), (Transport::Udp, false)] {
        let (world, _) = asking(transport);
        assert_eq!(is_alias(last_sent(&world, "REGISTER")), expected, "{transport}");
    }
    let (mut world, provider) = asking(Transport::Tcp);
    let asked = world.takes_registration(provider, 600);
    let anna = world.phone("anna", 11);
    world.phones[anna.0].flow = flow_of("10.0.0.11:5060", Transport::Tcp, Some(7));
    assert_eq!(world.register(anna, "anna", 300), 200);
    world.provider_calls(provider, &bound(&asked), "+49301001", "<sip:+4930555123@provider.example>");
    assert!(!is_alias(last_sent(&world, "INVITE")));
}

/// RFC 3608: every request to the provider takes the way that it has told.
#[test]
fn calls_and_lamps_go_the_way_that_the_registrar_tells() {
    let (mut world, provider) = asking(Transport::Udp);
    let route = "<sip:core.provider.example;lr>";
    world.answers(provider, Method::Register, |request| {
        let contact = request.headers.contacts().remove(0).with_param("expires", Some("600"));
        ResponseParts::new(200).with("Contact", contact).with("Service-Route", route)
    });
    let anna = world.registered("anna", 11);
    world.call(anna, "030555123");
    let (_, request) = world.incoming(provider).unwrap();
    assert_eq!(request.headers.get("Route"), Some(route));
}

#[test]
fn who_slept_for_hours_registers_at_once() {
    let (mut world, provider) = asking(Transport::Udp);
    let first = world.takes_registration(provider, 600);
    let night = Duration::from_secs(8 * 3600);
    world.now = Now { mono: world.now.mono + night, wall: world.now.wall + night };
    world.exchange.handle_timeout(world.now);
    world.settle();
    let again = world.takes_registration(provider, 600);
    assert_eq!(bound(&again), bound(&first));
    assert!(again.headers.cseq().unwrap().number > first.headers.cseq().unwrap().number);
    assert_eq!(world.state("provider"), TrunkState::Up);
    world.wait(300.0);
    assert_eq!(world.state("provider"), TrunkState::Up, "and goes on as before");
}

#[test]
fn an_emergency_goes_out_while_the_server_stops_and_nothing_else_does() {
    let (mut world, provider) = asking(Transport::Udp);
    world.takes_registration(provider, 600);
    let people = ["anna", "ben"].map(|name| aftertone_exchange::Person { rights: CallingRights::National, ..person(name) });
    world.exchange.handle_directory(aftertone_exchange::Directory::new(people), world.now);
    let anna = world.registered("anna", 11);
    world.exchange.handle_drain(world.now);
    let refused = world.call(anna, "030555123");
    assert_eq!(world.story(anna, refused).last().unwrap(), "503");
    assert!(world.incoming(provider).is_none());
    let session = world.call(anna, "112");
    let (leg, request) = world.incoming(provider).expect("it goes out");
    assert_eq!(request.uri.user().unwrap(), "112");
    world.answer(provider, leg);
    assert_eq!(world.story(anna, session).last().unwrap(), "200");
}

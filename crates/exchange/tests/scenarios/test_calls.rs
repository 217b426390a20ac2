//! The server calls somebody over a connection of its own, who wants to try their mailbox.

use aftertone_sip::{ConnectionId, NameAddr, Uri};

use crate::world::{DOMAIN, PhoneId, World, id};

fn address() -> NameAddr {
    NameAddr::new(Uri::sip("test-call", DOMAIN)).with_display("Test call")
}

/// The end of a WebSocket within the server.
fn tester(world: &mut World) -> PhoneId {
    let phone = world.app("anna", 70);
    let flow = world.phones[phone.0].flow;
    let flow = aftertone_sip::Flow { local: flow.remote, remote: flow.local, ..flow };
    world.exchange.handle_connected(flow, None, world.now);
    world.exchange.handle_tester(ConnectionId(70), world.now);
    world.phones[phone.0].credentials = None;
    phone
}

#[test]
fn a_test_call_rings_and_leaves_a_marked_message_and_is_in_no_log() {
    let mut world = World::new();
    let (ben, tester) = (world.registered("ben", 12), tester(&mut world));
    let call = world.call_as(tester, address(), Uri::sip("1002", DOMAIN));
    let _rings = world.rings(ben);
    world.wait(20.0);
    assert_eq!(world.story(tester, call), ["180", "200"]);
    let (_, order) = world.deposit();
    assert!(order.envelope.test);
    assert_eq!((order.envelope.mailbox, order.envelope.caller.name.as_deref()), (id("ben"), Some("Test call")));
    world.hang_up(tester, call);
    assert!(world.logged.is_empty(), "{:?}", world.logged);
    world.check_clean();
}

#[test]
fn a_test_call_that_is_answered_or_given_up_is_in_no_log_either() {
    let mut world = World::new();
    let (ben, tester) = (world.registered("ben", 12), tester(&mut world));
    let call = world.call_as(tester, address(), Uri::sip("1002", DOMAIN));
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    world.hang_up(tester, call);
    let call = world.call_as(tester, address(), Uri::sip("1002", DOMAIN));
    world.hang_up(tester, call);
    assert!(world.logged.is_empty(), "{:?}", world.logged);
    world.check_clean();
}

#[test]
fn nobody_else_makes_test_calls() {
    let mut world = World::with(|config| config.open = true);
    world.registered("ben", 12);
    let stranger = world.phone_at("mallory", "203.0.113.9:5060");
    world.phones[stranger.0].credentials = None;
    let call = world.call_as(stranger, address(), Uri::sip("1002", DOMAIN));
    assert_eq!(world.story(stranger, call), ["401"]);
    // Once its connection is closed, the next one of that number is anybody's.
    let tester = tester(&mut world);
    world.close(tester);
    world.phones[tester.0].gone = false;
    world.phones[tester.0].deaf = false;
    let call = world.call_as(tester, address(), Uri::sip("1002", DOMAIN));
    assert_eq!(world.story(tester, call), ["401"]);
}

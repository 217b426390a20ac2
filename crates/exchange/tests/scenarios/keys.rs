//! Where callers are led from a greeting by a key.

use std::{collections::BTreeMap, path::PathBuf};

use aftertone_exchange::{Directory, KeyOrder, LegId, MediaCommand, Person, Sound};
use aftertone_media::dtmf::Digit;
use aftertone_model::{CallingRights, EndReason, GreetingId, GreetingKey, KeyTarget, Reason};
use aftertone_sip::SessionId;

use crate::world::{PhoneId, World, id, person};

fn digit(key: char) -> Digit {
    Digit::from_char(key).unwrap()
}

fn key(key: char, target: KeyTarget) -> GreetingKey {
    GreetingKey { key, title: "key".into(), target }
}

fn colleague(extension: &str) -> KeyTarget {
    KeyTarget::Person { extension: extension.into() }
}

fn number(number: &str) -> KeyTarget {
    KeyTarget::Number { number: number.into() }
}

/// Ben's keys, with the rights that he has.
fn know(world: &mut World, rights: CallingRights, keys: Vec<GreetingKey>) {
    let mut ben = Person { rights, ..person("ben") };
    ben.answering.plan.keys = keys;
    ben.greetings.insert(GreetingId::from_random(1), PathBuf::from("/blobs/1.ogg"));
    world.exchange.handle_directory(Directory::new([person("anna"), ben, person("cleo")]), world.now);
    world.settle();
}

/// Anna calls Ben, who is away, and presses a key.
fn pressed(world: &mut World, anna: PhoneId, key: char) -> (SessionId, LegId) {
    let call = world.call(anna, "ben");
    let (leg, order) = world.plane.deposits.pop().expect("a deposit");
    assert_eq!(order.keys.get(&digit(key)), Some(&KeyOrder::Leave));
    world.exchange.handle_key(leg, digit(key), world.now);
    world.settle();
    (call, leg)
}

#[test]
fn a_key_leads_to_a_colleague_whose_devices_ring() {
    let mut world = World::new();
    know(&mut world, CallingRights::Internal, vec![key('0', colleague("1003"))]);
    let (anna, cleo) = (world.registered("anna", 11), world.registered("cleo", 13));
    let (call, leg) = pressed(&mut world, anna, '0');
    let ring_back = MediaCommand::Play { leg, sound: Sound::RingBack, repeat: true };
    assert!(world.plane.commands.contains(&ring_back), "the caller hears that it rings");
    let (at_cleo, request) = world.incoming(cleo).expect("it rings");
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "1001", "who calls is still Anna");
    world.answer(cleo, at_cleo);
    assert_eq!(world.plane.bridges.last().map(|(a, _)| *a), Some(leg));
    world.hang_up(cleo, at_cleo);
    assert!(world.story(anna, call).last().unwrap().starts_with("ended by Remote"));
    let end = |name: &str| world.log_of(name).iter().map(|record| record.end).collect::<Vec<_>>();
    assert_eq!(end("cleo"), [EndReason::LocalHangup]);
    assert_eq!(end("ben"), [], "his record came with the deposit");
    world.check_clean();
}

#[test]
fn a_colleague_who_does_not_answer_has_a_mailbox_too() {
    let mut world = World::new();
    let to_mailbox = KeyTarget::Mailbox { extension: "cleo".into() };
    know(&mut world, CallingRights::Internal, vec![key('1', colleague("1003")), key('2', to_mailbox)]);
    let (anna, cleo) = (world.registered("anna", 11), world.registered("cleo", 13));
    for (pressing, reason) in [('1', Reason::NoAnswer), ('2', Reason::Direct)] {
        let (call, _) = pressed(&mut world, anna, pressing);
        assert_eq!(world.incoming(cleo).is_some(), reason == Reason::NoAnswer, "{pressing}");
        world.wait(21.0);
        let (_, order) = world.plane.deposits.pop().expect("a deposit");
        assert_eq!((order.envelope.mailbox, order.envelope.reason), (id("cleo"), reason));
        world.hang_up(anna, call);
    }
    world.check_clean();
}

#[test]
fn a_key_leads_outside_with_the_owners_rights_and_back_where_nobody_answers() {
    let (mut world, provider) = World::with_provider();
    know(&mut world, CallingRights::National, vec![key('1', number("030 555123"))]);
    let anna = world.registered("anna", 11);
    let (call, leg) = pressed(&mut world, anna, '1');
    let (out, request) = world.incoming(provider).expect("it goes out");
    assert_eq!(request.uri.to_string(), "sip:+4930555123@provider.example");
    assert_eq!(request.headers.get("Diversion"), Some("<sip:+49301000@provider.example>;reason=deflection"));
    world.reject(provider, out, 486);
    let (again, order) = world.plane.deposits.pop().expect("Ben's mailbox takes her back");
    assert_eq!((again, order.envelope.mailbox, order.envelope.reason), (leg, id("ben"), Reason::Busy));
    world.exchange.handle_key(leg, digit('1'), world.now);
    world.settle();
    let out = world.rings(provider);
    world.answer(provider, out);
    assert_eq!(world.plane.bridges.last().map(|(a, _)| *a), Some(leg));
    world.hang_up(anna, call);
    assert!(world.log_of("ben").is_empty(), "his record came with the deposit");
    world.check_clean();
}

#[test]
fn keys_that_lead_nowhere_or_cost_extra_are_none() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let announcement = |number| KeyTarget::Announcement { greeting: GreetingId::from_random(number) };
    let keys = || {
        vec![
            key('0', colleague("1002")),
            key('1', colleague("1099")),
            key('2', number("09001234567")),
            key('3', number("112")),
            key('4', number("030555123")),
            key('5', announcement(1)),
            key('6', announcement(2)),
        ]
    };
    let announced = (digit('5'), KeyOrder::Announce(Sound::File("/blobs/1.ogg".into())));
    for (rights, expected) in [
        (CallingRights::Internal, vec![announced.clone()]),
        (CallingRights::National, vec![(digit('4'), KeyOrder::Leave), announced]),
    ] {
        know(&mut world, rights, keys());
        let call = world.call(anna, "ben");
        let (leg, order) = world.plane.deposits.pop().expect("a deposit");
        assert_eq!(order.keys, BTreeMap::from_iter(expected));
        // A key that leads nowhere any more, or never did, keeps nobody waiting.
        world.exchange.handle_key(leg, digit('2'), world.now);
        world.settle();
        assert!(world.story(anna, call).last().unwrap().starts_with("ended by Remote"));
        assert!(world.incoming(provider).is_none());
    }
    world.check_clean();
}

use std::time::Duration;

use aftertone_call::Event;

use crate::world::World;

#[test]
fn registers_when_connected() {
    let mut world = World::new();
    world.connect();
    assert_eq!(world.told, [Event::Registered]);
    let register = &world.registers[0];
    assert_eq!(register.uri.to_string(), "sip:example.com");
    assert_eq!(register.headers.to().unwrap().uri.to_string(), "sip:bob@example.com");
    let contact = register.headers.contact().unwrap();
    assert!(contact.uri.host().ends_with(".invalid"), "{contact}");
    assert_eq!(contact.uri.param("transport").as_deref(), Some("ws"));
    assert!(contact.to_string().contains("+sip.instance=\"<urn:uuid:0b5c2b1e-7f0a-4a53-8c0e-0f5d5e1c2a77>\""), "{contact}");
}

#[test]
fn renews_before_the_binding_ends_without_telling() {
    let mut world = World::online();
    world.wait(Duration::from_secs(389));
    assert_eq!(world.registers.len(), 1);
    world.wait(Duration::from_secs(122));
    assert_eq!(world.registers.len(), 2);
    assert_eq!(world.told, []);
    let (first, second) = (&world.registers[0].headers, &world.registers[1].headers);
    assert_eq!(first.call_id().unwrap(), second.call_id().unwrap(), "one Call-ID for all");
    assert!(first.cseq().unwrap().number < second.cseq().unwrap().number);
}

#[test]
fn a_shorter_grant_is_kept() {
    let mut world = World::new();
    world.registrar = (200, 60);
    world.connect();
    world.wait(Duration::from_secs(52));
    assert_eq!(world.registers.len(), 2);
}

#[test]
fn a_refusal_is_told_and_tried_again_later_each_time() {
    let mut world = World::new();
    world.registrar = (503, 0);
    world.connect();
    let mut pauses = Vec::new();
    for tries in 1..=3 {
        let Some(Event::NotRegistered { status: 503, retry_in }) = world.told.last() else { panic!("{:?}", world.told) };
        pauses.push(*retry_in);
        assert_eq!(world.registers.len(), tries);
        let pause = *retry_in;
        world.wait(pause - Duration::from_millis(10));
        assert_eq!(world.registers.len(), tries, "not before");
        if tries == 3 {
            world.registrar = (200, 600);
        }
        world.wait(Duration::from_millis(20));
    }
    for (pause, whole) in pauses.iter().zip([10, 20, 40]) {
        assert!((whole / 2..=whole).contains(&pause.as_secs()), "{pauses:?}");
    }
    assert_eq!(world.told.last(), Some(&Event::Registered));
    assert!(world.phone.is_registered());
}

#[test]
fn registers_again_after_a_lost_connection() {
    let mut world = World::online();
    world.break_connection();
    assert!(!world.phone.is_registered());
    world.wait(Duration::from_secs(3));
    world.connect();
    assert_eq!(world.told, [Event::Registered]);
    let contacts: Vec<_> = world.registers.iter().map(|r| r.headers.contact().unwrap().uri).collect();
    assert_eq!(contacts[0], contacts[1], "the same binding, not a second one");
}

#[test]
fn unregisters_when_it_is_shut_down() {
    let mut world = World::online();
    world.phone.shut_down(world.now());
    world.settle();
    assert_eq!(world.registers.last().unwrap().headers.expires(), Some(0));
    world.wait(Duration::from_secs(1_000));
    assert_eq!(world.registers.len(), 2, "nothing registers again");
}

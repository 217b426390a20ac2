//! What the media plane measures of legs, and whose records it belongs into.

use aftertone_exchange::{LegId, MediaCommand};
use aftertone_model::{Direction, MediaPath};

use crate::world::{PhoneId, World, id};

/// Whose record, which of theirs, by which way and on which leg: the plane counts as many packets as a leg's number says.
type Measured = (&'static str, Direction, MediaPath, LegId);

impl World {
    fn measured_of(&self) -> Vec<Measured> {
        let name = |owner| ["anna", "ben", "cleo"].into_iter().find(|name| id(name) == owner).unwrap();
        let leg = |packets: Option<u64>| LegId(packets.unwrap());
        let all = self.measured.iter().map(|measured| {
            let figures = &measured.figures;
            let packets = figures.inbound.map(|inbound| inbound.packets);
            (name(measured.owner), measured.direction, figures.path, leg(packets))
        });
        all.collect()
    }

    /// Anna, who called, and Ben, with their phones.
    fn talking() -> (Self, [(PhoneId, aftertone_sip::SessionId); 2]) {
        let mut world = Self::new();
        let [anna, ben] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
        let annas = world.call(anna, "ben");
        let bens = world.rings(ben);
        world.answer(ben, bens);
        (world, [(anna, annas), (ben, bens)])
    }
}

#[test]
fn each_side_has_the_figures_of_its_own_leg() {
    for who in [0, 1] {
        let (mut world, sides) = World::talking();
        let (a, b) = world.plane.bridges[0];
        world.wait(30.0);
        world.hang_up(sides[who].0, sides[who].1);
        let mut measured = world.measured_of();
        measured.sort_by_key(|(name, ..)| *name);
        let expect = [("anna", Direction::Outgoing, MediaPath::Relay, a), ("ben", Direction::Incoming, MediaPath::Relay, b)];
        assert_eq!(measured, expect);
        let (first, logged) = (&world.measured[0], &world.logged);
        assert!(logged.iter().all(|record| record.call == first.call && record.figures.is_none()), "they follow the record");
        assert_eq!((first.figures.codec.as_str(), first.figures.round_trip_ms), ("PCMU", Some(3)));
        world.check_clean();
    }
}

#[test]
fn a_call_that_nobody_answered_has_none() {
    let mut world = World::new();
    let [anna, ben] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
    let call = world.call(anna, "ben");
    world.rings(ben);
    world.hang_up(anna, call);
    assert_eq!(world.logged.len(), 2);
    assert!(world.plane.commands.iter().any(|command| matches!(command, MediaCommand::Close { .. })), "a leg that rang");
    assert_eq!(world.measured_of(), []);
    world.check_clean();
}

#[test]
fn what_the_mailbox_heard_is_in_its_owners_record_too() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "ben");
    let (leg, _) = world.deposit();
    world.wait(12.0);
    world.hang_up(anna, call);
    let mut measured = world.measured_of();
    measured.sort_by_key(|(name, ..)| *name);
    let expect = [("anna", Direction::Outgoing, MediaPath::Mailbox, leg), ("ben", Direction::Incoming, MediaPath::Mailbox, leg)];
    assert_eq!(measured, expect);
    world.check_clean();
}

#[test]
fn a_leg_that_is_handed_on_is_measured_at_its_end_for_all_its_calls() {
    let (mut world, [(_, _), (ben, bens)]) = World::talking();
    let cleo = world.registered("cleo", 13);
    let (annas_leg, bens_leg) = world.plane.bridges[0];
    let to = aftertone_sip::ReferTo::new(aftertone_sip::Uri::sip("1003", crate::world::DOMAIN));
    world.refers(ben, bens, to);
    let cleos = world.rings(cleo);
    world.answer(cleo, cleos);
    assert_eq!(world.measured_of(), [("ben", Direction::Incoming, MediaPath::Relay, bens_leg)], "Anna goes on talking");
    world.hang_up(cleo, cleos);
    let annas: Vec<_> = world.measured.iter().filter(|measured| measured.owner == id("anna")).collect();
    assert_eq!(annas.len(), 2, "{annas:?}");
    assert_ne!(annas[0].call, annas[1].call);
    assert!(annas.iter().all(|measured| measured.figures.inbound.is_some_and(|inbound| inbound.packets == annas_leg.0)));
    world.check_clean();
}

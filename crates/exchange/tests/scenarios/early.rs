//! What the network says before the answer.

use aftertone_exchange::MediaCommand;
use aftertone_sip::{Body, Event, Headers, ResponseParts, SessionId};

use crate::world::{PhoneId, World};

impl World {
    /// The provider's network says something before the answer.
    fn announces(&mut self, provider: PhoneId, session: SessionId) {
        let now = self.now.mono;
        let phone = &mut self.phones[provider.0];
        let (contact, body) = (phone.contact(), Some(Body::sdp(phone.sdp())));
        let headers = Headers::new().with("Contact", contact);
        phone.ua.progress(session, ResponseParts { headers, body, ..ResponseParts::new(183) }, now);
        self.settle();
    }
}

/// The descriptions that a caller got, each with its status.
fn described(world: &World, phone: PhoneId) -> Vec<(u16, Option<String>)> {
    let of = |event: &Event| match event {
        Event::Progress { response, .. } if response.status > 180 => Some((response.status, response.sdp())),
        Event::Answered { response, sdp, .. } => Some((response.status, sdp.clone())),
        _ => None,
    };
    world.phones[phone.0].events.iter().filter_map(of).collect()
}

#[test]
fn an_announcement_before_the_answer_reaches_the_caller() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    let early = described(&world, anna);
    assert_eq!((early.len(), early[0].0), (1, 183));
    assert!(early[0].1.as_ref().is_some_and(|sdp| sdp.contains("s=leg-")), "{early:?}");
    assert_eq!(world.plane.bridges.len(), 1);
    // Said twice, it is done once.
    world.announces(provider, leg);
    assert_eq!(world.plane.answers().len(), 1);
    world.answer(provider, leg);
    let all = described(&world, anna);
    let last = all.last().unwrap();
    assert_eq!((last.0, &last.1), (200, &early[0].1), "the answer is the same (RFC 3261 section 13.2.1)");
    assert_eq!(world.plane.answers().len(), 1);
    let (a, b) = world.plane.bridges[0];
    assert!(world.plane.bridges.iter().all(|bridge| *bridge == (a, b)));
    world.hang_up(anna, session);
    world.check_clean();
}

#[test]
fn a_call_that_is_refused_after_an_announcement_leaves_nothing() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    world.reject(provider, leg, 404);
    assert_eq!(world.story(anna, session).last().unwrap(), "404");
    world.check_clean();
}

#[test]
fn devices_of_ours_ring_by_themselves() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered_app("anna", 50);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    assert!(described(&world, anna).iter().all(|(_, sdp)| sdp.is_none()), "no provisional description");
    assert!(!world.plane.commands.iter().any(|command| matches!(command, MediaCommand::Apply { .. })));
    world.answer(provider, leg);
    assert_eq!(described(&world, anna).last().unwrap().0, 200);
    world.hang_up(anna, session);
    world.check_clean();
}

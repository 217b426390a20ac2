//! Phones that forward their calls outside (302): at whose cost, over which trunk, and what that is told.

use aftertone_exchange::{Directory, Person};
use aftertone_model::{CallingRights, EndReason, Reason};
use aftertone_sip::{Headers, Request, SessionId};

use crate::{
    trunks::{contact_of, two},
    world::{PhoneId, World, id, person},
};

/// Anna calls Ben, whose phone forwards to `to`.
struct Forwarded {
    world: World,
    provider: PhoneId,
    anna: PhoneId,
    call: SessionId,
}

impl Forwarded {
    fn to(to: &str) -> Self {
        Self::with(CallingRights::National, to, |_| {})
    }

    fn with(rights: CallingRights, to: &str, prepare: impl FnOnce(&mut World)) -> Self {
        let (mut world, provider) = World::with_provider();
        let people = ["anna", "cleo"].map(person).into_iter().chain([Person { rights, ..person("ben") }]);
        world.exchange.handle_directory(Directory::new(people), world.now);
        let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
        prepare(&mut world);
        let call = world.call(anna, "ben");
        forward(&mut world, ben, to);
        Self { world, provider, anna, call }
    }

    fn check_in_mailbox(mut self, reason: Reason) {
        let (_, order) = self.world.deposit();
        assert_eq!((order.envelope.reason, order.envelope.mailbox), (reason, id("ben")));
        assert!(self.world.incoming(self.provider).is_none(), "nobody outside is called");
        self.world.hang_up(self.anna, self.call);
        self.world.check_clean();
    }
}

fn forward(world: &mut World, phone: PhoneId, to: &str) {
    let at = world.rings(phone);
    let headers = Headers::new().with("Contact", to).with("Diversion", "<sip:1002@example.org>;reason=unconditional");
    world.reject_with(phone, at, 302, headers);
}

fn all<'a>(request: &'a Request, name: &'a str) -> Vec<&'a str> {
    request.headers.all(name).collect()
}

#[test]
fn a_call_is_forwarded_to_a_number_outside_and_the_trunk_learns_by_whom_and_why() {
    for to in ["<sip:030555123@example.org>", "<sip:030555123@10.0.0.1>", "<tel:+4930555123>"] {
        let Forwarded { mut world, provider, anna, call } = Forwarded::to(to);
        let (leg, request) = world.incoming(provider).expect("it goes out");
        assert_eq!(request.uri.to_string(), "sip:+4930555123@provider.example");
        // Ben has no number of his own there.
        assert_eq!(all(&request, "Diversion"), ["<sip:+49301000@provider.example>;reason=unconditional"]);
        let history = [
            "<sip:+49301000@provider.example?Reason=SIP%3Bcause%3D302>;index=1",
            "<sip:+4930555123@provider.example;cause=302>;index=1.1;mp=1",
        ];
        assert_eq!(all(&request, "History-Info"), history);
        assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "+49301001", "the caller shows her own number");
        world.answer(provider, leg);
        assert_eq!(world.story(anna, call).last().unwrap(), "200");
        assert_eq!(world.plane.bridges.len(), 1);
        world.hang_up(anna, call);
        let end = |name: &str| world.log_of(name).iter().map(|record| record.end).collect::<Vec<_>>();
        assert_eq!((end("anna"), end("ben")), (vec![EndReason::LocalHangup], vec![EndReason::AnsweredElsewhere]));
        world.check_clean();
    }
}

#[test]
fn nobody_forwards_where_they_may_not_call_themselves() {
    Forwarded::with(CallingRights::Internal, "<sip:030555123@example.org>", |_| {}).check_in_mailbox(Reason::NoAnswer);
    Forwarded::to("<sip:0043155512@example.org>").check_in_mailbox(Reason::NoAnswer);
    Forwarded::to("<sip:112@example.org>").check_in_mailbox(Reason::NoAnswer);
    Forwarded::to("<sip:030555123@elsewhere.example>").check_in_mailbox(Reason::NoAnswer);
    // One's own mailbox by its number; a colleague's takes no call that was for somebody else.
    Forwarded::to("<sip:*981002@example.org>").check_in_mailbox(Reason::Declined);
    Forwarded::to("<sip:*981001@example.org>").check_in_mailbox(Reason::NoAnswer);
}

#[test]
fn the_mailbox_takes_what_nobody_outside_takes() {
    for (status, reason) in [(486, Reason::Busy), (404, Reason::NoAnswer), (503, Reason::NoAnswer)] {
        let Forwarded { mut world, provider, anna, call } = Forwarded::to("<sip:030555123@example.org>");
        let leg = world.rings(provider);
        world.reject(provider, leg, status);
        let (_, order) = world.deposit();
        assert_eq!((order.envelope.reason, order.envelope.mailbox), (reason, id("ben")), "{status}");
        world.hang_up(anna, call);
        world.check_clean();
    }
    // It rings there for as long as it would have here.
    let Forwarded { mut world, provider, anna, call } = Forwarded::to("<sip:030555123@example.org>");
    let leg = world.rings(provider);
    world.wait(20.1);
    assert_eq!(world.deposit().1.envelope.reason, Reason::NoAnswer);
    assert!(world.story(provider, leg).last().unwrap().starts_with("cancelled"));
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_forwarded_call_takes_the_next_trunk_and_leaves_other_phones_ringing() {
    let (mut world, first, second) = two();
    let [anna, desk] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
    let app = world.registered_app("ben", 50);
    let call = world.call(anna, "ben");
    let at_app = world.rings(app);
    forward(&mut world, desk, "<sip:030555123@example.org>");
    let leg = world.rings(first);
    world.reject(first, leg, 503);
    let leg = world.rings(second);
    world.answer(second, leg);
    assert_eq!(world.story(anna, call), ["180", "200"]);
    assert_eq!(world.story(app, at_app), ["cancelled (SIP;cause=200;text=\"Call completed elsewhere\")"]);
    world.hang_up(second, leg);
    world.check_clean();
}

#[test]
fn two_phones_forward_to_one_number_outside_only() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let (desk, app) = (world.registered("ben", 12), world.registered_app("ben", 50));
    let call = world.call(anna, "ben");
    forward(&mut world, desk, "<sip:030555123@example.org>, <sip:030555124@example.org>");
    forward(&mut world, app, "<sip:030555125@example.org>");
    assert_eq!(world.incoming(provider).unwrap().1.uri.user().unwrap(), "+4930555123");
    assert!(world.incoming(provider).is_none());
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_caller_from_outside_is_forwarded_outside_at_the_persons_cost() {
    let (mut world, provider) = World::with_provider();
    let (contact, anna) = (contact_of(&world), world.registered("anna", 11));
    let call = world.provider_calls(provider, &contact, "+49301001", "\"Zoe\" <sip:030777@provider.example>");
    forward(&mut world, anna, "<sip:0172555123@example.org>");
    let (leg, request) = world.incoming(provider).expect("it goes out");
    let from = request.headers.from().unwrap();
    assert_eq!((from.uri.user().unwrap().as_ref(), from.display.as_deref()), ("+49301001", Some("Zoe")));
    assert_eq!(all(&request, "Diversion"), ["<sip:+49301001@provider.example>;reason=unconditional"]);
    world.answer(provider, leg);
    assert_eq!(world.story(provider, call).last().unwrap(), "200");
    world.hang_up(provider, call);
    world.check_clean();
}

//! What goes over the wire, byte for byte: a change of it is seen in review. `INSTA_UPDATE=always cargo test` writes it anew.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::time::Duration;

use aftertone_sip::{
    Body, Credentials, Event, Headers, Method, NameAddr, OutgoingRequest, Refer, ReferTo, ResponseParts, SubscriptionState,
    Transport, Uri, digest, mwi,
};

use common::{ALICE, ANSWER, BOB, CAROL, Network, OFFER, World};

fn wire(world: &World) -> String {
    let name = |agent: usize| ["Alice", "Bob", "Carol"][agent];
    let messages =
        world.trace.iter().map(|(at, from, text)| format!("=== {} ms, {}\n{}", at.as_millis(), name(*from), shown(text)));
    messages.collect::<Vec<_>>().join("\n")
}

/// Each line end shows.
fn shown(text: &str) -> String {
    text.replace("\r\n", "␍\n").replace('\0', "␀")
}

#[test]
fn a_call_with_everything() {
    let mut world = World::with_configs(Transport::Udp, Network::default(), 1, |config| config.takes_refer = true);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    let early = ResponseParts { body: Some(Body::sdp(ANSWER)), ..ResponseParts::new(183) };
    world.act(BOB, |ua, now| ua.progress(theirs, early, now));
    world.run(Duration::from_millis(100));
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
    world.wait_confirmed(BOB, theirs);
    world.act(BOB, |ua, now| ua.reinvite(theirs, OFFER.to_owned(), now));
    world.wait(ALICE, |event| matches!(event, Event::Reinvited { .. }).then_some(()));
    world.act(ALICE, |ua, now| ua.accept_reinvite(ours, ANSWER.to_owned(), now));
    world.run(Duration::from_millis(100));
    let to = ReferTo::new(world.uri("carol", CAROL));
    world.act(ALICE, |ua, now| ua.refer(ours, Refer::new(to), now));
    let id = world.wait(BOB, |event| match event {
        Event::Referred { id, .. } => Some(*id),
        _ => None,
    });
    let referral = world.act(BOB, |ua, now| ua.accept_referral(id, now));
    world.run(Duration::from_millis(100));
    world.act(BOB, |ua, now| referral.into_iter().for_each(|id| ua.report_referral(id, 200, now)));
    world.run(Duration::from_millis(100));
    let reason = Headers::new().with("Reason", "SIP;cause=200");
    world.act(ALICE, |ua, now| ua.hang_up(ours, reason, now));
    world.run(Duration::from_millis(100));
    insta::assert_snapshot!(wire(&world));
}

#[test]
fn a_registration_a_lamp_and_a_given_up_call() {
    let mut world = World::new(Transport::Ws);
    let domain = Uri::sip("", "example.com");
    let me = NameAddr::new(Uri::sip("alice", "example.com"));
    let contact = world.contact("alice", ALICE);
    let mut register = OutgoingRequest::new(Method::Register, domain, me.clone(), me.clone());
    register.headers = Headers::new().with("Contact", &contact).with("Expires", 600);
    let flow = world.flow(ALICE, BOB);
    let credentials = Credentials::new("alice", "secret");
    world.act(ALICE, |ua, now| ua.request(register, flow, Some(credentials), now));
    let mut verifier = digest::Verifier::new("example.com", [7; 32], vec![digest::Algorithm::Sha256, digest::Algorithm::Md5]);
    for status in [401, 200] {
        let id = world.wait(BOB, |event| match event {
            Event::Request { id, .. } => Some(*id),
            _ => None,
        });
        let headers = if status == 401 { verifier.challenge(false, world.now) } else { Headers::new() };
        world.act(BOB, |ua, now| ua.respond(id, ResponseParts { headers, ..ResponseParts::new(status) }, now));
    }
    let mut subscribe = OutgoingRequest::new(Method::Subscribe, world.uri("bob", BOB), me.clone(), me);
    subscribe.headers = Headers::new().with("Event", mwi::EVENT).with("Contact", contact).with("Expires", 300);
    world.act(ALICE, |ua, now| ua.request(subscribe, flow, None, now));
    let id = world.wait(BOB, |event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    let summary = mwi::MessageSummary { waiting: true, new: 2, old: 1, ..Default::default() };
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| {
        let subscription = ua.accept_subscription(id, contact, 300, now);
        let body = Body::new(mwi::CONTENT_TYPE, summary.to_body());
        subscription.into_iter().for_each(|id| ua.notify(id, SubscriptionState::Active, Some(body.clone()), now));
    });
    world.run(Duration::from_millis(100));
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.run(Duration::from_millis(100));
    world.act(ALICE, |ua, now| ua.cancel(ours, Headers::new(), now));
    world.run(Duration::from_millis(100));
    insta::assert_snapshot!(wire(&world));
}

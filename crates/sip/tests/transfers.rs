//! REFER from either side, its reports, and calls that replace others.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::time::Duration;

use aftertone_sip::{
    Event, Headers, IncomingId, Invite, Refer, ReferEnd, ReferTo, Replaces, ResponseParts, SessionId, Transport, Uri,
};

use common::{ALICE, ANSWER, BOB, CAROL, OFFER, World};

fn world(transport: Transport) -> World {
    World::with_configs(transport, common::Network::default(), 1, |config| {
        config.takes_refer = true;
        config.supported.push("replaces".to_owned());
    })
}

fn wait_referred(world: &mut World, agent: usize) -> (SessionId, IncomingId, ReferTo) {
    world.wait(agent, |event| {
        let Event::Referred { session, id, refer_to, .. } = event else { return None };
        Some((*session, *id, (**refer_to).clone()))
    })
}

fn wait_refer_end(world: &mut World, agent: usize) -> ReferEnd {
    world.wait(agent, |event| match event {
        Event::ReferEnded { end, .. } => Some(end.clone()),
        _ => None,
    })
}

fn to_carol(world: &World) -> ReferTo {
    ReferTo::new(world.uri("carol", CAROL))
}

#[test]
fn a_blind_transfer_is_reported_step_by_step() {
    for transport in [Transport::Udp, Transport::Ws] {
        let mut world = world(transport);
        let (ours, theirs) = world.call();
        let to = to_carol(&world);
        world.act(ALICE, |ua, now| ua.refer(ours, Refer::new(to.clone()), now));
        let (session, id, refer_to) = wait_referred(&mut world, BOB);
        assert_eq!((session, refer_to), (theirs, to));
        let referral = world.act(BOB, |ua, now| ua.accept_referral(id, now));
        let referral = referral.unwrap_or_else(|| panic!("it is open"));
        let mut heard = Vec::new();
        for status in [180, 200] {
            world.run(Duration::from_secs(1));
            world.act(BOB, |ua, now| ua.report_referral(referral, status, now));
        }
        let end = world.wait(ALICE, |event| match event {
            Event::ReferProgress { status, .. } => {
                heard.push(*status);
                None
            }
            Event::ReferEnded { end, .. } => Some(end.clone()),
            _ => None,
        });
        assert_eq!((heard, end), (vec![202, 100, 180], ReferEnd::Final(200)), "{}", world.dump());
        assert_eq!(world.agents[ALICE].ua.counts().sessions, 1);
        world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
        world.assert_idle_later();
    }
}

#[test]
fn reports_go_on_after_the_session_is_over() {
    let mut world = world(Transport::Udp);
    let (ours, _) = world.call();
    let to = to_carol(&world);
    world.act(ALICE, |ua, now| ua.refer(ours, Refer::new(to), now));
    let (_, id, _) = wait_referred(&mut world, BOB);
    let referral = world.act(BOB, |ua, now| ua.accept_referral(id, now)).unwrap_or_else(|| panic!("it is open"));
    world.run(Duration::from_secs(1));
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    world.wait(BOB, |event| matches!(event, Event::Ended { .. }).then_some(()));
    world.run(Duration::from_secs(1));
    world.act(BOB, |ua, now| ua.report_referral(referral, 486, now));
    assert_eq!(wait_refer_end(&mut world, ALICE), ReferEnd::Final(486));
    world.assert_idle_later();
}

#[test]
fn whoever_takes_no_refer_says_so_and_the_call_goes_on() {
    let mut world = World::new(Transport::Udp);
    let (ours, _) = world.call();
    let to = to_carol(&world);
    world.act(ALICE, |ua, now| ua.refer(ours, Refer::new(to), now));
    let end = wait_refer_end(&mut world, ALICE);
    assert!(matches!(&end, ReferEnd::Refused(failure) if failure.status() == 405), "{end:?}");
    world.run(Duration::from_secs(60));
    assert_eq!(world.agents[ALICE].ua.counts().sessions, 1);
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn a_refer_that_is_never_reported_ends_unknown_on_both_sides() {
    let mut world = world(Transport::Udp);
    let (ours, _) = world.call();
    let to = to_carol(&world);
    world.act(ALICE, |ua, now| ua.refer(ours, Refer::new(to), now));
    let (_, id, _) = wait_referred(&mut world, BOB);
    world.act(BOB, |ua, now| ua.accept_referral(id, now));
    world.run(Duration::from_secs(310));
    assert_eq!(wait_refer_end(&mut world, ALICE), ReferEnd::Unknown);
    let last = world.trace.iter().rfind(|(_, from, text)| *from == BOB && text.starts_with("NOTIFY"));
    assert!(last.is_some_and(|(_, _, text)| text.contains("terminated;reason=timeout")), "{}", world.dump());
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn an_attended_transfer_replaces_the_call_it_names() {
    let mut world = world(Transport::Udp);
    let (first, at_bob) = world.call();
    // Alice asks Carol.
    let (second, at_carol) = world.call_between(ALICE, CAROL);
    let replaces = world.agents[ALICE].ua.replaces(second).unwrap_or_else(|| panic!("it has a dialog"));
    let to = to_carol(&world).with_replaces(replaces);
    world.act(ALICE, |ua, now| ua.refer(first, Refer::new(to.clone()), now));
    let (_, id, refer_to) = wait_referred(&mut world, BOB);
    assert_eq!(refer_to, to);
    let referral = world.act(BOB, |ua, now| ua.accept_referral(id, now)).unwrap_or_else(|| panic!("it is open"));
    // Bob calls Carol.
    let replaces = refer_to.replaces.unwrap_or_else(|| panic!("attended"));
    let headers = Headers::new().with("Replaces", &replaces).with("Require", "replaces");
    let invite = Invite { uri: refer_to.uri, contact: world.contact("bob", BOB), headers, ..world.invite_to_bob(None) };
    let flow = world.flow(BOB, CAROL);
    let third = world.act(BOB, |ua, now| ua.invite(invite, flow, now));
    let (new, replaced) = world.wait(CAROL, |event| match event {
        Event::Incoming { session, replaces, .. } => Some((*session, *replaces)),
        _ => None,
    });
    assert_eq!(replaced, Some(at_carol));
    let contact = world.contact("carol", CAROL);
    world.act(CAROL, |ua, now| {
        ua.accept(new, contact, ANSWER.to_owned(), Headers::new(), now);
        ua.hang_up(at_carol, Headers::new(), now);
    });
    assert_eq!(world.wait_answered(BOB, third).as_deref(), Some(ANSWER));
    world.act(BOB, |ua, now| ua.report_referral(referral, 200, now));
    assert_eq!(wait_refer_end(&mut world, ALICE), ReferEnd::Final(200));
    world.act(ALICE, |ua, now| ua.hang_up(first, Headers::new(), now));
    world.wait(BOB, |event| matches!(event, Event::Ended { session, .. } if *session == at_bob).then_some(()));
    world.act(BOB, |ua, now| ua.hang_up(third, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn an_invite_that_replaces_nothing_of_ours_is_refused() {
    let mut world = world(Transport::Udp);
    let (ours, theirs) = world.call();
    let good = world.agents[ALICE].ua.replaces(ours).unwrap_or_else(|| panic!("it has a dialog"));
    let cases = [
        (Replaces { from_tag: "other".to_owned(), ..good.clone() }.to_string(), 481),
        (Replaces { call_id: "other".to_owned(), ..good.clone() }.to_string(), 481),
        (Replaces { early_only: true, ..good }.to_string(), 486),
        ("nonsense".to_owned(), 400),
    ];
    for (text, status) in cases {
        let invite = Invite { headers: Headers::new().with("Replaces", &text), ..world.invite_to_bob(None) };
        let flow = world.flow(ALICE, BOB);
        world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
        let failure = world.wait(ALICE, |event| match event {
            Event::Rejected { failure, .. } => Some(failure.status()),
            _ => None,
        });
        assert_eq!(failure, status, "{text}");
    }
    world.act(BOB, |ua, now| ua.hang_up(theirs, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn update_changes_a_call_and_tells_who_it_is_now() {
    let mut world = world(Transport::Udp);
    let (ours, theirs) = world.call();
    let headers = Headers::new().with("P-Asserted-Identity", "<sip:carol@example.com>");
    world.act(ALICE, |ua, now| ua.update(ours, None, headers, now));
    world.wait(BOB, |event| match event {
        Event::Updated { request, .. } => request.headers.get("P-Asserted-Identity").map(str::to_owned),
        _ => None,
    });
    world.act(ALICE, |ua, now| ua.update(ours, Some(OFFER.to_owned()), Headers::new(), now));
    world.wait(BOB, |event| matches!(event, Event::Reinvited { sdp: Some(_), .. }).then_some(()));
    world.act(BOB, |ua, now| ua.accept_reinvite(theirs, ANSWER.to_owned(), now));
    let result = world.wait(ALICE, |event| match event {
        Event::ReinviteAnswered { result, .. } => Some(result.clone()),
        _ => None,
    });
    assert_eq!(result, Ok(ANSWER.to_owned()));
    assert!(world.sent_by(ALICE).iter().filter(|line| *line == "INVITE").count() == 1, "{}", world.dump());
    world.act(BOB, |ua, now| ua.hang_up(theirs, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn a_refer_outside_of_calls_is_taken_and_reported() {
    let mut world = world(Transport::Udp);
    let mut refer = aftertone_sip::OutgoingRequest::new(
        aftertone_sip::Method::Refer,
        world.uri("bob", BOB),
        Uri::sip("alice", "example.com").into(),
        Uri::sip("bob", "example.com").into(),
    );
    refer.headers.push("Refer-To", to_carol(&world));
    refer.headers.push("Contact", world.contact("alice", ALICE));
    let flow = world.flow(ALICE, BOB);
    world.act(ALICE, |ua, now| ua.request(refer, flow, None, now));
    let id = world.wait(BOB, |event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    let referral = world.act(BOB, |ua, now| ua.accept_referral(id, now)).unwrap_or_else(|| panic!("it is open"));
    for expected in ["100 Trying", "200 OK"] {
        let (id, body) = world.wait(ALICE, |event| match event {
            Event::Request { id, request, .. } => Some((*id, String::from_utf8_lossy(&request.body).into_owned())),
            _ => None,
        });
        assert!(body.contains(expected), "{body}");
        world.act(ALICE, |ua, now| ua.respond(id, ResponseParts::new(200), now));
        world.act(BOB, |ua, now| ua.report_referral(referral, 200, now));
    }
    world.assert_idle_later();
}

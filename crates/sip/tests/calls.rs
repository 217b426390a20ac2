//! Calls from INVITE to BYE between two user agents.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::time::Duration;

use aftertone_sip::{EndedBy, Event, Headers, RequestFailure, Transport};

use common::{ALICE, ANSWER, BOB, Network, OFFER, World};

fn ended(event: &Event) -> Option<EndedBy> {
    match event {
        Event::Ended { by, .. } => Some(*by),
        _ => None,
    }
}

fn status(event: &Event) -> Option<u16> {
    match event {
        Event::Rejected { failure, .. } => Some(failure.status()),
        _ => None,
    }
}

#[test]
fn a_call_is_made_answered_and_ended_on_every_transport() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        let mut world = World::new(transport);
        let (ours, _) = world.call();
        world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new().with("Reason", "Q.850;cause=16"), now));
        let headers = world.wait(BOB, |event| match event {
            Event::Ended { by: EndedBy::Remote, headers, .. } => Some(headers.clone()),
            _ => None,
        });
        assert_eq!(headers.get("Reason"), Some("Q.850;cause=16"));
        world.assert_idle_later();
        assert_eq!(world.sent_by(ALICE), ["INVITE", "ACK", "BYE"], "{transport}");
        assert_eq!(world.sent_by(BOB), ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "SIP/2.0 200 OK"]);
    }
}

#[test]
fn the_callee_may_hang_up_too_but_not_before_ack() {
    let mut world = World::new(Transport::Udp);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| {
        ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now);
        ua.hang_up(theirs, Headers::new(), now);
    });
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 200 OK"]);
    assert_eq!(world.wait(ALICE, ended), EndedBy::Remote);
    world.assert_idle_later();
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 200 OK", "BYE"]);
}

#[test]
fn a_refusal_reaches_the_caller_with_its_headers() {
    let mut world = World::new(Transport::Udp);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    world.act(BOB, |ua, now| ua.reject(theirs, 486, Headers::new().with("Retry-After", 30), now));
    let response = world.wait(ALICE, |event| match event {
        Event::Rejected { failure: RequestFailure::Refused(response), .. } => Some(response.clone()),
        _ => None,
    });
    assert_eq!((response.status, response.headers.get("Retry-After")), (486, Some("30")));
    world.assert_idle_later();
}

#[test]
fn a_cancelled_call_ends_with_487_and_tells_why() {
    for transport in [Transport::Udp, Transport::Ws] {
        let mut world = World::new(transport);
        let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
        let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
        // Before any response CANCEL has to wait (RFC 3261 9.1).
        let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
        world.act(ALICE, |ua, now| ua.cancel(ours, Headers::new().with("Reason", reason), now));
        assert_eq!(world.sent_by(ALICE), ["INVITE"]);
        let headers = world.wait(BOB, |event| match event {
            Event::Cancelled { headers, .. } => Some(headers.clone()),
            _ => None,
        });
        assert_eq!(headers.get("Reason"), Some(reason));
        world.assert_idle_later();
        assert_eq!(world.sent_by(ALICE), ["INVITE", "CANCEL", "ACK"]);
        assert!(world.agents[ALICE].events.iter().all(|event| status(event).is_none()), "nothing is told after cancel");
    }
}

#[test]
fn an_answer_that_crosses_cancel_gets_ack_and_bye() {
    let mut world = World::new(Transport::Udp);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.wait(ALICE, |event| matches!(event, Event::Progress { .. }).then_some(()));
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
    world.act(ALICE, |ua, now| ua.cancel(ours, Headers::new(), now));
    assert_eq!(world.wait(BOB, ended), EndedBy::Remote);
    world.assert_idle_later();
    assert_eq!(world.sent_by(ALICE), ["INVITE", "CANCEL", "ACK", "BYE"]);
    assert!(world.agents[ALICE].events.iter().all(|event| ended(event).is_none()));
}

#[test]
fn a_caller_that_nobody_hears_gives_up_after_32_seconds() {
    let mut world = World::lossy(1, Network { loss: 1000, ..Network::default() });
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    assert_eq!(world.wait(ALICE, status), 408);
    assert_eq!(world.now - world.start, Duration::from_secs(32));
    let times: Vec<_> = world.trace.iter().map(|(at, _, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 15500, 31500]);
    world.assert_idle_later();
}

#[test]
fn an_answer_without_ack_is_repeated_and_then_ended() {
    let mut world = World::new(Transport::Udp);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    world.network.loss = 1000;
    let contact = world.contact("bob", BOB);
    let answered_at = world.now - world.start;
    world.act(BOB, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
    assert_eq!(world.wait(BOB, ended), EndedBy::Timeout);
    let answers = world.trace.iter().filter(|(_, from, text)| *from == BOB && text.starts_with("SIP/2.0 200"));
    let times: Vec<_> = answers.map(|(at, _, _)| (*at - answered_at).as_millis()).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert!(world.sent_by(BOB).contains(&"BYE".to_owned()));
    // Alice still hears nothing but 100, and nobody answers her CANCEL.
    world.act(ALICE, |ua, now| ua.cancel(ours, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn a_late_offer_is_answered_in_ack() {
    let mut world = World::new(Transport::Udp);
    let (mut invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    invite.sdp = None;
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(theirs, contact, OFFER.to_owned(), Headers::new(), now));
    let offer = world.wait(ALICE, |event| match event {
        Event::Answered { sdp, late_offer: true, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(offer, OFFER);
    // Bob's 2xx comes again meanwhile and is no second answer.
    world.run(Duration::from_secs(2));
    assert!(world.agents[ALICE].events.is_empty());
    world.act(ALICE, |ua, now| ua.acknowledge(ours, ANSWER.to_owned(), now));
    let answer = world.wait(BOB, |event| match event {
        Event::Confirmed { sdp, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(answer, ANSWER);
    world.act(BOB, |ua, now| ua.hang_up(theirs, Headers::new(), now));
    assert_eq!(world.wait(ALICE, ended), EndedBy::Remote);
    world.assert_idle_later();
}

#[test]
fn hanging_up_on_a_late_offer_acknowledges_first() {
    let mut world = World::new(Transport::Udp);
    let (mut invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    invite.sdp = None;
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(theirs, contact, OFFER.to_owned(), Headers::new(), now));
    world.wait_answered(ALICE, ours).unwrap();
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    assert_eq!(world.wait(BOB, ended), EndedBy::Remote);
    world.assert_idle_later();
    assert_eq!(world.sent_by(ALICE), ["INVITE", "ACK", "BYE"]);
}

#[test]
fn calls_survive_a_bad_network_and_leave_nothing_behind() {
    for seed in 1..=200 {
        let network = Network { loss: 150, doubled: 100, jitter: 80 };
        let mut world = World::lossy(seed, network);
        let (ours, theirs) = world.call();
        world.run(Duration::from_secs(5));
        let (who, session, other) = if seed % 2 == 0 { (ALICE, ours, BOB) } else { (BOB, theirs, ALICE) };
        world.act(who, |ua, now| ua.hang_up(session, Headers::new(), now));
        assert_eq!(world.wait(other, ended), EndedBy::Remote, "seed {seed}\n{}", world.dump());
        world.assert_idle_later();
        let told: Vec<_> = world.agents.iter().flat_map(|agent| &agent.events).collect();
        assert!(told.is_empty(), "seed {seed}: told twice: {told:?}");
    }
}

#[test]
fn refusals_and_cancellations_survive_a_bad_network_and_leave_nothing_behind() {
    for seed in 1..=200 {
        let network = Network { loss: 200, doubled: 100, jitter: 80 };
        let mut world = World::lossy(seed, network);
        let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
        let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
        let theirs = world.wait_incoming(BOB);
        world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
        world.run(Duration::from_millis(seed * 10));
        if seed % 2 == 0 {
            world.act(BOB, |ua, now| ua.reject(theirs, 486, Headers::new(), now));
            assert_eq!(world.wait(ALICE, status), 486, "seed {seed}");
        } else {
            world.act(ALICE, |ua, now| ua.cancel(ours, Headers::new(), now));
            world.wait(BOB, |event| matches!(event, Event::Cancelled { .. }).then_some(()));
        }
        world.assert_idle_later();
    }
}

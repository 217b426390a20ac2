//! Reliable provisional responses and PRACK (RFC 3262), in both roles.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::time::Duration;

use aftertone_sip::{Body, EndedBy, Event, Headers, Invite, ResponseParts, SessionId, Transport};

use common::{ALICE, ANSWER, BOB, Network, OFFER, World};

const OTHER: &str = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5002 RTP/AVP 0\r\n";

fn early(sdp: &str) -> ResponseParts {
    ResponseParts { body: Some(Body::sdp(sdp)), ..ResponseParts::new(183) }
}

fn invite(world: &mut World, change: impl FnOnce(&mut Invite)) -> (SessionId, SessionId) {
    let mut invite = world.invite_to_bob(None);
    change(&mut invite);
    let flow = world.flow(ALICE, BOB);
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    (ours, world.wait_incoming(BOB))
}

fn accept(world: &mut World, theirs: SessionId, sdp: &str) {
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(theirs, contact, sdp.to_owned(), Headers::new(), now));
}

fn end(mut world: World, ours: SessionId) {
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    world.assert_idle_later();
}

fn statuses_heard(world: &mut World) -> Vec<u16> {
    let heard = std::mem::take(&mut world.agents[ALICE].events);
    let of = |event| if let Event::Progress { response, .. } = event { Some(response.status) } else { None };
    heard.into_iter().filter_map(of).collect()
}

#[test]
fn an_early_answer_survives_a_bad_network_and_is_not_given_twice() {
    for seed in 1..40 {
        let mut world = World::lossy(seed, Network { loss: 300, doubled: 200, jitter: 400 });
        let (ours, theirs) = invite(&mut world, |_| {});
        world.act(BOB, |ua, now| ua.progress(theirs, early(ANSWER), now));
        // At once: it has to wait for PRACK by itself.
        accept(&mut world, theirs, ANSWER);
        assert_eq!(world.wait_answered(ALICE, ours).as_deref(), Some(ANSWER));
        world.wait_confirmed(BOB, theirs);
        let answers = world.trace.iter().filter(|(_, from, text)| *from == BOB && text.contains("CSeq: 1 INVITE"));
        for (_, _, text) in answers.filter(|(_, _, text)| text.starts_with("SIP/2.0 200")) {
            assert!(text.ends_with("Content-Length: 0\r\n\r\n"), "{text}");
        }
        end(world, ours);
    }
}

#[test]
fn the_answer_waits_for_prack() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |_| {});
    world.act(BOB, |ua, now| {
        ua.progress(theirs, early(ANSWER), now);
        ua.progress(theirs, ResponseParts { body: Some(Body::new("text/plain", "soon")), ..ResponseParts::new(182) }, now);
    });
    accept(&mut world, theirs, ANSWER);
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 183 Session Progress"]);
    world.wait_answered(ALICE, ours);
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 183 Session Progress", "SIP/2.0 200 OK", "SIP/2.0 200 OK"], "{}", world.dump());
    end(world, ours);
}

#[test]
fn reliable_responses_come_in_order_and_each_once() {
    let mut world = World::lossy(7, Network { loss: 100, doubled: 500, jitter: 300 });
    let (ours, theirs) = invite(&mut world, |invite| invite.headers.push("Require", "100rel"));
    world.act(BOB, |ua, now| {
        for status in [180, 181, 182, 183] {
            ua.progress(theirs, ResponseParts::new(status), now);
        }
    });
    world.run(Duration::from_secs(30));
    assert_eq!(statuses_heard(&mut world), [180, 181, 182, 183]);
    end(world, ours);
}

#[test]
fn an_offer_in_a_provisional_response_is_answered_in_prack() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |invite| invite.sdp = None);
    world.act(BOB, |ua, now| ua.progress(theirs, early(OFFER), now));
    let offer = world.wait(ALICE, |event| match event {
        Event::EarlyOffered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(offer, OFFER);
    world.run(Duration::from_secs(3));
    world.act(ALICE, |ua, now| ua.acknowledge(ours, ANSWER.to_owned(), now));
    world.run(Duration::from_secs(1));
    accept(&mut world, theirs, OFFER);
    let late = world.wait(ALICE, |event| match event {
        Event::Answered { late_offer, .. } => Some(*late_offer),
        _ => None,
    });
    assert!(!late);
    let answer = world.wait(BOB, |event| match event {
        Event::Confirmed { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer.as_deref(), Some(ANSWER));
    end(world, ours);
}

/// RFC 3262 5: the first reliable response makes the offer, so nothing that has none may be reliable before it.
#[test]
fn without_an_offer_nothing_is_reliable_before_ours() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |invite| {
        invite.sdp = None;
        invite.headers.push("Require", "100rel");
    });
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.run(Duration::from_secs(40));
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 100 Trying"], "a caller who insists is told nothing else: {}", world.dump());
    world.act(BOB, |ua, now| ua.progress(theirs, early(OFFER), now));
    world.wait(ALICE, |event| matches!(event, Event::EarlyOffered { .. }).then_some(()));
    world.act(ALICE, |ua, now| ua.acknowledge(ours, ANSWER.to_owned(), now));
    world.run(Duration::from_secs(1));
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.run(Duration::from_secs(1));
    assert!(statuses_heard(&mut world).ends_with(&[180]), "from then on it is told that it rings");
    end(world, ours);

    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |invite| invite.sdp = None);
    let text = ResponseParts { body: Some(Body::new("text/plain", "soon")), ..ResponseParts::new(182) };
    world.act(BOB, |ua, now| ua.progress(theirs, text, now));
    world.run(Duration::from_secs(1));
    assert_eq!(statuses_heard(&mut world), [182]);
    assert!(!world.dump().contains("PRACK"), "to one who merely can, it is told as it always was: {}", world.dump());
    end(world, ours);
}

#[test]
fn a_caller_that_never_sends_prack_is_refused() {
    let mut world = World::new(Transport::Udp);
    let text = "INVITE sip:bob@127.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bKx\r\nFrom: <sip:x@127.0.0.9>;tag=1\r\n\
        To: <sip:bob@127.0.0.2>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:127.0.0.9>\r\nRequire: 100rel\r\nMax-Forwards: 70\r\n\
        Content-Type: application/sdp\r\n\r\n";
    world.inject(BOB, ([127, 0, 0, 9], 5060).into(), &format!("{text}{OFFER}"));
    let theirs = world.wait_incoming(BOB);
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    let by = world.wait(BOB, |event| match event {
        Event::Ended { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(by, EndedBy::Timeout);
    let sent = world.sent_by(BOB);
    assert_eq!(sent.iter().filter(|line| *line == "SIP/2.0 180 Ringing").count(), 7, "{}", world.dump());
    assert!(sent.iter().any(|line| line.starts_with("SIP/2.0 504")), "{}", world.dump());
    world.assert_idle_later();
}

#[test]
fn ringing_stays_unreliable_unless_the_caller_insists_and_old_callers_are_left_alone() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |_| {});
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.run(Duration::from_secs(1));
    assert!(!world.sent_by(ALICE).contains(&"PRACK".to_owned()));
    end(world, ours);
    let mut world = World::with_configs(Transport::Udp, Network::default(), 1, |config| config.supported.clear());
    let (ours, theirs) = invite(&mut world, |_| {});
    world.act(BOB, |ua, now| ua.progress(theirs, early(ANSWER), now));
    accept(&mut world, theirs, ANSWER);
    assert_eq!(world.wait_answered(ALICE, ours).as_deref(), Some(ANSWER));
    assert!(!world.dump().contains("PRACK"));
    end(world, ours);
}

#[test]
fn another_description_in_the_answer_becomes_a_change() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = invite(&mut world, |_| {});
    world.act(BOB, |ua, now| ua.progress(theirs, early(ANSWER), now));
    accept(&mut world, theirs, OTHER);
    assert_eq!(world.wait_answered(ALICE, ours).as_deref(), Some(ANSWER));
    let offer = world.wait(ALICE, |event| match event {
        Event::Reinvited { sdp, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(offer, OTHER);
    world.act(ALICE, |ua, now| ua.accept_reinvite(ours, OFFER.to_owned(), now));
    world.run(Duration::from_secs(1));
    end(world, ours);
}

#[test]
fn cancel_and_hang_up_while_prack_is_awaited_leave_nothing() {
    for by_caller in [true, false] {
        let mut world = World::lossy(3, Network { loss: 200, doubled: 0, jitter: 100 });
        let (ours, theirs) = invite(&mut world, |_| {});
        world.act(BOB, |ua, now| ua.progress(theirs, early(ANSWER), now));
        accept(&mut world, theirs, ANSWER);
        let (agent, session) = if by_caller { (ALICE, ours) } else { (BOB, theirs) };
        world.act(agent, |ua, now| ua.hang_up(session, Headers::new(), now));
        world.network = Network::default();
        world.run(Duration::from_secs(40));
        world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
        world.assert_idle_later();
    }
}

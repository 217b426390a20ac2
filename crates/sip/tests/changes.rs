//! Established sessions: re-INVITE, UPDATE, session timers, lost connections.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use aftertone_sip::{
    Body, ConnectionId, EndedBy, Event, Flow, Headers, Method, OutgoingRequest, RequestFailure, ResponseParts, SessionId,
    Transport,
};

use common::{ALICE, ANSWER, BOB, Network, OFFER, World};

const HOLD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";
const HELD: &str = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 5000 RTP/AVP 0\r\na=recvonly\r\n";

fn wait_reinvited(world: &mut World, agent: usize) -> Option<String> {
    world.wait(agent, |event| match event {
        Event::Reinvited { sdp, .. } => Some(sdp.clone()),
        _ => None,
    })
}

fn wait_change(world: &mut World, agent: usize) -> Result<String, RequestFailure> {
    world.wait(agent, |event| match event {
        Event::ReinviteAnswered { result, .. } => Some(result.clone()),
        _ => None,
    })
}

fn hang_up(world: &mut World, session: SessionId) {
    world.act(ALICE, |ua, now| ua.hang_up(session, Headers::new(), now));
    world.assert_idle_later();
}

#[test]
fn both_sides_can_hold() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = world.call();
    for (from, from_session, to, to_session) in [(ALICE, ours, BOB, theirs), (BOB, theirs, ALICE, ours)] {
        world.act(from, |ua, now| ua.reinvite(from_session, HOLD.to_owned(), now));
        assert_eq!(wait_reinvited(&mut world, to).as_deref(), Some(HOLD));
        world.act(to, |ua, now| ua.accept_reinvite(to_session, HELD.to_owned(), now));
        assert_eq!(wait_change(&mut world, from).unwrap(), HELD);
        world.wait(to, |event| matches!(event, Event::ReinviteConfirmed { .. }).then_some(()));
    }
    hang_up(&mut world, ours);
}

#[test]
fn a_refused_change_leaves_the_call_as_it_was() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = world.call();
    world.act(ALICE, |ua, now| ua.reinvite(ours, HOLD.to_owned(), now));
    wait_reinvited(&mut world, BOB);
    world.act(BOB, |ua, now| ua.reject_reinvite(theirs, 488, now));
    assert_eq!(wait_change(&mut world, ALICE).unwrap_err().status(), 488);
    hang_up(&mut world, ours);
    assert!(matches!(world.agents[BOB].events.back(), Some(Event::Ended { by: EndedBy::Remote, .. })));
}

#[test]
fn when_both_offer_at_once_both_get_through_one_after_the_other() {
    for seed in 1..=50 {
        let mut world = World::lossy(seed, Network { loss: 100, doubled: 50, jitter: 30 });
        let (ours, theirs) = world.call();
        world.act(ALICE, |ua, now| ua.reinvite(ours, HOLD.to_owned(), now));
        world.act(BOB, |ua, now| ua.reinvite(theirs, HOLD.to_owned(), now));
        let mut answered = [false, false];
        for _ in 0..2000 {
            world.run(Duration::from_millis(50));
            for (agent, session) in [(ALICE, ours), (BOB, theirs)] {
                while let Some(event) = world.agents[agent].events.pop_front() {
                    match event {
                        Event::Reinvited { .. } => world.act(agent, |ua, now| ua.accept_reinvite(session, HELD.to_owned(), now)),
                        Event::ReinviteAnswered { result, .. } => {
                            assert_eq!(result.unwrap(), HELD);
                            answered[agent] = true;
                        }
                        Event::ReinviteConfirmed { .. } => {}
                        other => panic!("seed {seed}: {other:?}"),
                    }
                }
            }
        }
        assert_eq!(answered, [true, true], "seed {seed}\n{}", world.dump());
        hang_up(&mut world, ours);
    }
}

#[test]
fn a_second_wish_waits_for_the_first() {
    let mut world = World::new(Transport::Udp);
    let (ours, theirs) = world.call();
    world.act(ALICE, |ua, now| {
        ua.reinvite(ours, HOLD.to_owned(), now);
        ua.reinvite(ours, "never sent".to_owned(), now);
        ua.reinvite(ours, OFFER.to_owned(), now);
    });
    for expected in [HOLD, OFFER] {
        assert_eq!(wait_reinvited(&mut world, BOB).as_deref(), Some(expected));
        world.act(BOB, |ua, now| ua.accept_reinvite(theirs, ANSWER.to_owned(), now));
        wait_change(&mut world, ALICE).unwrap();
    }
    hang_up(&mut world, ours);
}

#[test]
fn hanging_up_amid_a_change_leaves_nothing_behind() {
    for seed in 1..=40 {
        let who = if seed % 2 == 0 { BOB } else { ALICE };
        let mut world = World::lossy(seed, Network { loss: 100, doubled: 100, jitter: 50 });
        let (ours, theirs) = world.call();
        world.act(ALICE, |ua, now| ua.reinvite(ours, HOLD.to_owned(), now));
        wait_reinvited(&mut world, BOB);
        if seed > 20 {
            world.act(BOB, |ua, now| ua.accept_reinvite(theirs, HELD.to_owned(), now));
        }
        let session = if who == ALICE { ours } else { theirs };
        world.act(who, |ua, now| ua.hang_up(session, Headers::new(), now));
        world.assert_idle_later();
    }
}

#[test]
fn info_reaches_the_peer() {
    let mut world = World::new(Transport::Ws);
    let (ours, _) = world.call();
    world.act(ALICE, |ua, now| ua.info(ours, Body::new("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"), now));
    let body = world.wait(BOB, |event| match event {
        Event::Info { request, .. } => Some(request.body.clone()),
        _ => None,
    });
    assert!(body.starts_with(b"Signal=5"));
    hang_up(&mut world, ours);
}

/// RFC 3428, in a dialog.
#[test]
fn texts_in_a_call_reach_the_peer_and_are_answered() {
    let mut world = World::lossy(5, Network { loss: 200, doubled: 200, jitter: 50 });
    let (ours, theirs) = world.call();
    for (from, from_session, to, status) in [(ALICE, ours, BOB, 200), (BOB, theirs, ALICE, 200), (ALICE, ours, BOB, 486)] {
        let hops = Headers::new().with("Max-Forwards", 7);
        let sent = world.act(from, |ua, now| ua.message(from_session, Body::new("text/plain", "I'm late"), hops, now)).unwrap();
        let (id, request) = world.wait(to, |event| match event {
            Event::Message { id, request, .. } => Some((*id, request.clone())),
            _ => None,
        });
        assert_eq!((request.body.as_slice(), request.headers.max_forwards()), (b"I'm late".as_slice(), Some(7)));
        assert!(!request.headers.contains("Contact"));
        world.act(to, |ua, now| ua.respond(id, ResponseParts::new(status), now));
        let heard = world.wait(from, |event| match event {
            Event::Response { id, result } => Some((*id, result.as_ref().map_or_else(RequestFailure::status, |ok| ok.status))),
            _ => None,
        });
        assert_eq!(heard, (sent, status));
    }
    world.network = Network::default();
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    let late = world.act(ALICE, |ua, now| ua.message(ours, Body::new("text/plain", "gone"), Headers::new(), now));
    assert_eq!(late, None);
    world.assert_idle_later();
}

#[test]
fn a_long_call_is_refreshed_without_anybody_noticing() {
    let mut world = World::with_configs(Transport::Udp, Network::default(), 1, |config| config.session_expires = Some(90));
    let (ours, _) = world.call();
    world.run(Duration::from_secs(3600));
    assert!(world.agents.iter().all(|agent| agent.events.is_empty()));
    let updates = world.sent_by(BOB).iter().filter(|line| *line == "UPDATE").count();
    assert_eq!(updates, 79, "the callee refreshes each 45 seconds and a little");
    hang_up(&mut world, ours);
}

#[test]
fn a_call_whose_peer_vanished_ends_for_both_by_the_session_timer() {
    let mut world = World::with_configs(Transport::Udp, Network::default(), 1, |config| config.session_expires = Some(90));
    world.call();
    world.network.loss = 1000;
    for agent in [ALICE, BOB] {
        let by = world.wait(agent, |event| match event {
            Event::Ended { by, .. } => Some(*by),
            _ => None,
        });
        assert_eq!(by, EndedBy::Timeout);
    }
    assert!(world.now - world.start < Duration::from_secs(91));
    world.assert_idle_later();
}

#[test]
fn a_peer_that_has_forgotten_the_call_ends_it() {
    let mut world = World::new(Transport::Udp);
    let (ours, _) = world.call();
    world.agents[BOB].ua = aftertone_sip::UserAgent::new(aftertone_sip::UaConfig::new("Restarted/1", [99; 32]));
    world.act(ALICE, |ua, now| ua.reinvite(ours, HOLD.to_owned(), now));
    let by = world.wait(ALICE, |event| match event {
        Event::Ended { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(by, EndedBy::Timeout);
    world.assert_idle_later();
}

#[test]
fn a_lost_connection_ends_what_hangs_on_it() {
    let mut world = World::new(Transport::Wss);
    let (ours, theirs) = world.call();
    let connection = world.flow(ALICE, BOB).connection.unwrap();
    for agent in [ALICE, BOB] {
        world.act(agent, |ua, now| ua.handle_closed(connection, now));
    }
    world.run(Duration::from_secs(10));
    assert!(world.agents.iter().all(|agent| agent.events.is_empty()), "sound may still go on");
    // Alice comes back and Bob does not hear of it: her side stays, his ends.
    let mut flow = world.flow(ALICE, BOB);
    flow.connection = Some(ConnectionId(77));
    world.act(ALICE, |ua, _| ua.move_session(ours, flow, None));
    let ended = world.wait(BOB, |event| match event {
        Event::Ended { session, by, .. } => Some((*session, *by)),
        _ => None,
    });
    assert_eq!(ended, (theirs, EndedBy::Transport));
    world.assert_idle_later();
}

#[test]
fn a_call_moves_to_a_new_connection() {
    let mut world = World::new(Transport::Wss);
    let (ours, theirs) = world.call();
    let connection = world.flow(ALICE, BOB).connection.unwrap();
    for agent in [ALICE, BOB] {
        world.act(agent, |ua, now| ua.handle_closed(connection, now));
    }
    let mut flow = world.flow(ALICE, BOB);
    flow.connection = Some(ConnectionId(77));
    world.act(ALICE, |ua, now| {
        ua.move_session(ours, flow, None);
        ua.reinvite(ours, OFFER.to_owned(), now);
    });
    wait_reinvited(&mut world, BOB);
    world.act(BOB, |ua, now| ua.accept_reinvite(theirs, ANSWER.to_owned(), now));
    wait_change(&mut world, ALICE).unwrap();
    world.run(Duration::from_secs(60));
    assert_eq!(world.agents[BOB].ua.session_flow(theirs).unwrap().connection, Some(ConnectionId(77)));
    hang_up(&mut world, ours);
}

#[test]
fn a_ringing_call_ends_with_its_connection_on_both_sides() {
    let mut world = World::new(Transport::Wss);
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    world.wait_incoming(BOB);
    let connection = flow.connection.unwrap();
    for agent in [ALICE, BOB] {
        world.act(agent, |ua, now| ua.handle_closed(connection, now));
    }
    assert!(matches!(world.agents[ALICE].events.back(), Some(Event::Rejected { failure: RequestFailure::Transport, .. })));
    assert!(matches!(world.agents[BOB].events.back(), Some(Event::Ended { by: EndedBy::Transport, .. })));
    world.assert_idle_later();
}

/// A call over TCP whose connection Bob loses while it rings; where he is to open another one.
fn cut_off(world: &mut World) -> (SessionId, SessionId, SocketAddr) {
    let (invite, flow) = (world.invite_to_bob(None), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let theirs = world.wait_incoming(BOB);
    world.act(BOB, |ua, now| ua.ring(theirs, Headers::new(), now));
    world.act(BOB, |ua, now| ua.handle_closed(flow.connection.unwrap(), now));
    let (closed, remote) = world.wait(BOB, |event| match event {
        Event::Reopen { closed, remote, .. } => Some((*closed, *remote)),
        _ => None,
    });
    assert_eq!((closed, remote), (flow.connection.unwrap(), world.agents[ALICE].addr));
    (ours, theirs, remote)
}

const FRESH: Option<ConnectionId> = Some(ConnectionId(77));

/// RFC 3261 18.2.2.
#[test]
fn an_answer_whose_connection_is_gone_goes_over_another_one() {
    for answers_first in [true, false] {
        let mut world = World::new(Transport::Tcp);
        let (ours, theirs, remote) = cut_off(&mut world);
        let (closed, fresh) = (world.flow(ALICE, BOB).connection.unwrap(), Flow { connection: FRESH, ..world.flow(BOB, ALICE) });
        let contact = world.contact("bob", BOB);
        let accept = |world: &mut World| {
            world.act(BOB, |ua, now| ua.accept(theirs, contact.clone(), ANSWER.to_owned(), Headers::new(), now));
        };
        let sent = world.sent_by(BOB).len();
        if answers_first {
            accept(&mut world);
            world.run(Duration::from_millis(300));
            assert_eq!(world.sent_by(BOB).len(), sent, "there is nothing to send it over yet: {}", world.dump());
        }
        world.act(BOB, |ua, now| ua.handle_reopened(closed, remote, Some(fresh), now));
        if !answers_first {
            assert_eq!(world.sent_by(BOB)[sent..], ["SIP/2.0 180 Ringing"], "so that it is known to lead there");
            accept(&mut world);
        }
        assert_eq!(world.wait_answered(ALICE, ours).as_deref(), Some(ANSWER));
        world.wait_confirmed(BOB, theirs);
        world.run(Duration::from_secs(60));
        assert_eq!(world.agents[BOB].ua.counts().sessions, 1);
        hang_up(&mut world, ours);
    }
}

#[test]
fn a_call_that_can_not_be_answered_any_more_is_over() {
    for answers_first in [true, false] {
        let mut world = World::new(Transport::Tcp);
        let (ours, theirs, remote) = cut_off(&mut world);
        let closed = world.flow(ALICE, BOB).connection.unwrap();
        let contact = world.contact("bob", BOB);
        if answers_first {
            world.act(BOB, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
        }
        world.act(BOB, |ua, now| ua.handle_reopened(closed, remote, None, now));
        assert!(matches!(world.agents[BOB].events.back(), Some(Event::Ended { by: EndedBy::Transport, .. })));
        world.act(ALICE, |ua, now| ua.handle_closed(closed, now));
        world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
        world.assert_idle_later();
    }
}

#[test]
fn a_request_outside_calls_is_answered_over_another_connection_too() {
    let mut world = World::new(Transport::Tcp);
    let (flow, uri) = (world.flow(ALICE, BOB), world.uri("bob", BOB));
    let message = OutgoingRequest::new(Method::Message, uri.clone(), uri.clone().into(), uri.into());
    let sent = world.act(ALICE, |ua, now| ua.request(message, flow, None, now));
    let id = world.wait(BOB, |event| if let Event::Request { id, .. } = event { Some(*id) } else { None });
    let closed = flow.connection.unwrap();
    world.act(BOB, |ua, now| ua.handle_closed(closed, now));
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(200), now));
    let remote = world.agents[ALICE].addr;
    let fresh = Flow { connection: FRESH, ..world.flow(BOB, ALICE) };
    world.act(BOB, |ua, now| ua.handle_reopened(closed, remote, Some(fresh), now));
    world.wait(ALICE, |event| matches!(event, Event::Response { id, result: Ok(_) } if *id == sent).then_some(()));
    world.assert_idle_later();
}

/// Two user agents with different opinions on session timers.
fn timers_world(alice: (Option<u32>, u32), bob: (Option<u32>, u32)) -> World {
    let nth = std::cell::Cell::new(0);
    World::with_configs(Transport::Udp, Network::default(), 1, |config| {
        let (longest, least) = if nth.replace(nth.get() + 1) == ALICE { alice } else { bob };
        (config.session_expires, config.min_session_expires) = (longest, least);
    })
}

#[test]
fn a_wish_for_too_short_intervals_is_raised() {
    let mut world = timers_world((Some(100), 90), (Some(1800), 600));
    let (ours, _) = world.call();
    assert!(world.dump().contains("422"), "{}", world.dump());
    let granted = world.trace.iter().rfind(|(_, from, text)| *from == BOB && text.contains("Session-Expires"));
    assert!(granted.is_some_and(|(_, _, text)| text.contains("Session-Expires: 600;refresher=uas")), "{}", world.dump());
    world.run(Duration::from_secs(2000));
    assert_eq!(world.agents[BOB].ua.counts().sessions, 1);
    hang_up(&mut world, ours);
}

#[test]
fn whoever_has_to_refresh_does_and_the_other_notices_when_it_does_not() {
    for (asked, expected) in [("120;refresher=uac", ALICE), ("120;refresher=uas", BOB)] {
        let mut world = World::new(Transport::Udp);
        let mut invite = world.invite_to_bob(None);
        invite.headers.push("Session-Expires", asked);
        let flow = world.flow(ALICE, BOB);
        let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
        let theirs = world.wait_incoming(BOB);
        let contact = world.contact("bob", BOB);
        world.act(BOB, |ua, now| ua.accept(theirs, contact, ANSWER.to_owned(), Headers::new(), now));
        world.wait_answered(ALICE, ours);
        world.run(Duration::from_secs(1000));
        let updates = |agent: usize| world.sent_by(agent).iter().filter(|line| *line == "UPDATE").count();
        assert!(updates(expected) > 10 && updates(1 - expected) == 0, "{asked}: {}", world.dump());
        // The refresher vanishes without a word.
        world.agents[expected].ua = aftertone_sip::UserAgent::new(aftertone_sip::UaConfig::new("Restarted/1", [99; 32]));
        world.agents[1 - expected].events.clear();
        world.wait(1 - expected, |event| matches!(event, Event::Ended { by: EndedBy::Timeout, .. }).then_some(()));
        world.assert_idle_later();
    }
}

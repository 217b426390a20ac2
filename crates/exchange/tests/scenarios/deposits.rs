//! Calls that the mailbox takes.

use aftertone_exchange::{MediaCommand, MediaFailure};
use aftertone_model::{EndReason, Reason};
use aftertone_sip::{Body, Headers, NameAddr, RequestFailure, Uri};

use crate::world::{DOMAIN, PhoneId, World, id};

fn anna() -> NameAddr {
    NameAddr::new(Uri::sip("anna", DOMAIN))
}

fn deposit_at(world: &mut World, phone: PhoneId, uri: &str) -> Option<(Reason, aftertone_model::SubscriberId)> {
    let call = world.call_as(phone, anna(), uri.parse().unwrap());
    let (_, order) = world.plane.deposits.pop()?;
    world.hang_up(phone, call);
    Some((order.envelope.reason, order.envelope.mailbox))
}

#[test]
fn the_caller_hangs_up_and_the_media_plane_finishes() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "ben");
    let (leg, order) = world.deposit();
    let order = order.clone();
    assert_eq!(order.envelope.call, order.record.call);
    assert_eq!(order.envelope.received_at, order.record.started_at);
    assert!(world.plane.answers()[0].1.is_empty(), "the caller's own order of codecs");
    world.wait(12.0);
    world.hang_up(anna, call);
    assert_eq!(world.plane.commands.last(), Some(&MediaCommand::Close { leg }));
    assert_eq!(world.log_of("anna")[0].ended_at, world.now.wall);
    world.check_clean();
}

#[test]
fn keys_in_the_signalling_are_for_the_mailbox() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "ben");
    let (leg, _) = world.deposit();
    let bodies = [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
        ("Application/DTMF-Relay; charset=utf-8", "signal= # \nDuration=100"),
        ("application/dtmf", "*"),
        ("application/dtmf", "11"),
        ("application/dtmf-relay", "Signal=\u{e9}"),
        ("application/dtmf-relay", "Duration=100"),
        ("application/media_control+xml", "5"),
    ];
    for (kind, body) in bodies {
        let now = world.now.mono;
        world.phones[anna.0].ua.info(call, Body::new(kind, body), now);
        world.settle();
    }
    assert_eq!(world.plane.presses(), [(leg, '5'), (leg, '#'), (leg, '*'), (leg, '#')]);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn keys_in_the_signalling_are_for_the_other_party() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    let call = world.call(anna, "ben");
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    let (annas, bens) = world.plane.bridges[0];
    for (phone, session, key) in [(anna, call, "7"), (ben, at_ben, "8")] {
        let now = world.now.mono;
        world.phones[phone.0].ua.info(session, Body::new("application/dtmf", key), now);
        world.settle();
    }
    assert_eq!(world.plane.presses(), [(bens, '7'), (annas, '8')]);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_deposit_that_is_over_hangs_up() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "ben");
    let (leg, _) = world.deposit();
    world.wait(30.0);
    world.hang_up_deposit(leg);
    assert_eq!(world.story(anna, call), ["200", "ended by Remote"]);
    assert_eq!(world.plane.commands.last(), Some(&MediaCommand::Close { leg }));
    assert_eq!(world.log_of("anna")[0].end, EndReason::Diverted);
    world.hang_up_deposit(leg);
    world.check_clean();
}

#[test]
fn the_recording_waits_for_the_callers_ack() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let _call = world.call(anna, "nobody-yet");
    let phone = world.phone_at("ben", "10.0.0.12:5060");
    world.phones[phone.0].deaf = true;
    let from = NameAddr::new(Uri::sip("anna", DOMAIN));
    // Anna's phone hears nothing any more after its INVITE: 200 is repeated, ACK never comes.
    let deaf = world.registered_app("anna", 50);
    world.phones[deaf.0].deaf = true;
    world.call_as(deaf, from, Uri::sip("ben", DOMAIN));
    assert!(world.plane.deposits.is_empty());
    world.wait(33.0);
    assert!(world.plane.deposits.is_empty());
    let log = world.log_of("ben");
    assert_eq!((log.len(), log[0].answered_at, log[0].diverted), (1, None, Some(Reason::Offline)));
    world.check_clean();
}

#[test]
fn the_mailbox_can_be_called_without_ringing() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    let ben = world.registered("ben", 12);
    let direct = Some((Reason::Direct, id("ben")));
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@example.org;target=sip:1002@example.org"), direct);
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@example.org;target=sip%3Aben%40example.org"), direct);
    let busy = Some((Reason::Busy, id("ben")));
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@10.0.0.1;target=sip:ben@example.org;cause=486"), busy);
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@example.org;target=sip:nobody@example.org"), None);
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@example.org;target=sip:ben@elsewhere.example"), None);
    let own = Some((Reason::Direct, id("anna")));
    assert_eq!(deposit_at(&mut world, phone, "sip:voicemail@example.org"), own, "the caller is known");
    assert!(world.incoming(ben).is_none());
    world.check_clean();
}

#[test]
fn calling_oneself_reaches_the_own_mailbox() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    let _app = world.registered_app("anna", 50);
    assert_eq!(deposit_at(&mut world, phone, "sip:1001@example.org"), Some((Reason::Direct, id("anna"))));
    assert!(world.logged.is_empty(), "the deposit has the only record");
    world.check_clean();
}

#[test]
fn a_mailbox_that_can_not_answer_is_a_missed_call() {
    for (failure, status) in [(MediaFailure::Exhausted, "503"), (MediaFailure::Unacceptable("no".into()), "488")] {
        let mut world = World::new();
        let anna = world.registered("anna", 11);
        world.plane.refuses = Some(Box::new(move |_| Some(failure.clone())));
        let call = world.call(anna, "ben");
        assert_eq!(
            retry_after(&world, anna, call).is_some(),
            status == "503",
            "who meets a full server is told when to come back"
        );
        assert_eq!(world.story(anna, call), [status]);
        let (anna, ben) = (world.log_of("anna")[0], world.log_of("ben")[0]);
        assert_eq!((anna.end, ben.end, ben.diverted), (EndReason::Failed, EndReason::Failed, Some(Reason::Offline)));
        assert!(ben.is_missed());
        world.check_clean();
    }
}

#[test]
fn a_caller_who_gives_up_while_the_mailbox_prepares_is_a_missed_call() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    world.plane.stuck = true;
    let call = world.call(anna, "ben");
    world.wait(1.0);
    world.phones[anna.0].ua.cancel(call, Headers::new(), world.now.mono);
    world.settle();
    let record = world.log_of("ben")[0];
    assert_eq!((record.end, record.diverted, record.message), (EndReason::Cancelled, Some(Reason::Offline), None));
    world.check_clean();
}

#[test]
fn a_late_offer_is_answered_before_the_recording() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call_with(anna, NameAddr::new(Uri::sip("anna", DOMAIN)), Uri::sip("ben", DOMAIN), None);
    assert!(world.plane.deposits.is_empty());
    let (answer, now) = (world.phones[anna.0].sdp(), world.now.mono);
    world.phones[anna.0].ua.acknowledge(call, answer, now);
    world.settle();
    assert_eq!(world.deposit().1.envelope.reason, Reason::Offline);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_caller_may_hold_while_the_mailbox_records() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "ben");
    let (leg, _) = world.deposit();
    let (sdp, now) = (world.phones[anna.0].sdp() + "a=inactive\r\n", world.now.mono);
    world.phones[anna.0].ua.reinvite(call, sdp, now);
    world.settle();
    assert_eq!(world.story(anna, call), ["200", "re-INVITE 200"]);
    assert_eq!(world.plane.answers().last().unwrap().0, leg);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn several_callers_leave_messages_at_once() {
    let mut world = World::new();
    let (anna, cleo) = (world.registered("anna", 11), world.registered("cleo", 13));
    let (first, second) = (world.call(anna, "ben"), world.call(cleo, "ben"));
    let ids: Vec<_> = world.plane.deposits.iter().map(|(_, order)| (order.envelope.id, order.envelope.call)).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0].0 != ids[1].0 && ids[0].1 != ids[1].1);
    world.hang_up(anna, first);
    world.hang_up(cleo, second);
    world.check_clean();
}

fn retry_after(world: &World, phone: crate::world::PhoneId, call: aftertone_sip::SessionId) -> Option<String> {
    world.phones[phone.0].events.iter().find_map(|event| match event {
        aftertone_sip::Event::Rejected { session, failure: RequestFailure::Refused(response) } if *session == call => {
            response.headers.get("Retry-After").map(str::to_owned)
        }
        _ => None,
    })
}

use std::time::Duration;

use aftertone_call::{
    CallPhase::{Active, Connecting, Dialing, Ended, Ringing},
    Describe, Event, MediaFailure, MediaRequestId, Refused,
};
use aftertone_model::{CallId, CallRefusal, Caller, Direction, EndReason};
use aftertone_sip::{self as sip, EndedBy, Headers, ResponseParts};

use crate::world::{CALL, World};

fn call() -> CallId {
    CALL.parse().unwrap()
}

/// An incoming call that is answered and has its media.
fn talking() -> (World, sip::SessionId) {
    let mut world = World::online();
    let session = world.ring();
    world.phone.answer(call()).unwrap();
    world.settle();
    world.describe("answer of the phone");
    assert_eq!(world.phases(), [Ringing, Connecting, Active]);
    (world, session)
}

#[test]
fn an_incoming_call_is_answered_and_the_caller_hangs_up() {
    let mut world = World::online();
    let session = world.ring();
    let ringing = world.calls().remove(0);
    assert_eq!((ringing.id, ringing.direction, ringing.phase), (call(), Direction::Incoming, Ringing));
    assert_eq!(ringing.account_id, Some(call()));
    assert_eq!(ringing.party, Caller { number: "1001".into(), name: Some("Alice".into()) });
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Progress { response, .. } if response.status == 180)));
    assert_eq!(world.described(), None, "no media before the person answers");

    world.wait(Duration::from_secs(4));
    world.phone.answer(call()).unwrap();
    world.settle();
    assert_eq!(world.described().unwrap().1, Describe::Answer { offer: "offer of the exchange".into() });
    let media = world.describe("answer of the phone");
    assert!(world.told.contains(&Event::UseMedia { media, call: call() }));
    let answer = world.heard.iter().find_map(|e| match e {
        sip::Event::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(answer.as_deref(), Some("answer of the phone"));

    world.exchange.hang_up(session, Headers::new(), world.now().mono);
    world.settle();
    assert_eq!(world.phases(), [Ringing, Connecting, Active, Ended(EndReason::RemoteHangup)]);
    assert_eq!(world.open_media(), []);
    assert!(!world.calls().last().unwrap().is_missed());
}

#[test]
fn declining_says_603_so_that_the_mailbox_answers() {
    let mut world = World::online();
    world.ring();
    world.phone.decline(call(), world.now()).unwrap();
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Declined));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Rejected { failure, .. } if failure.status() == 603)));
    assert_eq!(world.phone.answer(call()), Err(Refused::NoSuchCall));
}

#[test]
fn a_cancel_says_by_its_reason_what_happened_to_the_call() {
    let check = |reason: Option<&str>, end: EndReason, missed: bool| {
        let mut world = World::online();
        let session = world.ring();
        let headers = reason.map_or(Headers::new(), |reason| Headers::new().with("Reason", reason));
        world.exchange.cancel(session, headers, world.now().mono);
        world.settle();
        assert_eq!(world.end(), Some(end), "{reason:?}");
        assert_eq!(world.calls().last().unwrap().is_missed(), missed, "{reason:?}");
    };
    check(None, EndReason::Cancelled, true);
    check(Some(r#"SIP;cause=200;text="Call completed elsewhere""#), EndReason::AnsweredElsewhere, false);
    check(Some("SIP ;cause=603"), EndReason::Declined, false);
    check(Some(r#"SIP;cause=408;text="Diverted""#), EndReason::Diverted, true);
    check(Some(r#"Q.850;cause=16, SIP;cause=200"#), EndReason::AnsweredElsewhere, false);
    check(Some("Q.850;cause=200"), EndReason::Cancelled, true);
}

#[test]
fn a_cancel_while_the_answer_is_being_made_wins() {
    let mut world = World::online();
    let session = world.ring();
    world.phone.answer(call()).unwrap();
    world.settle();
    world.exchange.cancel(session, Headers::new(), world.now().mono);
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Cancelled));
    assert_eq!(world.open_media(), [], "the media that were being made are closed");
    let told = world.told.len();
    world.describe("too late");
    assert_eq!(world.told.len(), told, "a late description changes nothing");
}

#[test]
fn media_that_can_not_be_described_fail_the_call() {
    let mut world = World::online();
    world.ring();
    world.phone.answer(call()).unwrap();
    world.settle();
    let (request, _) = world.described().unwrap();
    world.phone.handle_description(request, Err(MediaFailure("no common codec".into())), world.now());
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Failed));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Rejected { failure, .. } if failure.status() == 488)));
    assert_eq!(world.open_media(), []);
}

#[test]
fn an_invite_without_an_offer_gets_one_and_waits_for_the_answer() {
    let mut world = World::online();
    let session = world.ring_with(None);
    world.phone.answer(call()).unwrap();
    world.settle();
    assert_eq!(world.described().unwrap().1, Describe::Offer);
    let media = world.describe("offer of the phone");
    let in_use = |world: &World| world.told.contains(&Event::UseMedia { media, call: call() });
    assert!(!in_use(&world));
    world.exchange.acknowledge(session, "answer of the exchange".into(), world.now().mono);
    world.settle();
    assert!(world.told.contains(&Event::ApplyMedia { media, call: call(), answer: "answer of the exchange".into() }));
    world.phone.handle_applied(media, Ok(()), world.now());
    world.settle();
    assert!(in_use(&world));
}

#[test]
fn an_outgoing_call_rings_is_answered_and_hung_up() {
    let mut world = World::online();
    let (call, session, request) = world.dial("1001");
    assert_eq!(request.uri.to_string(), "sip:1001@example.com");
    assert_eq!(request.sdp().as_deref(), Some("offer of the phone"));
    assert_eq!(request.headers.get("Aftertone-Call"), Some(call.to_string().as_str()));
    assert_eq!(request.headers.from().unwrap().to_string().split(";tag").next(), Some("\"Bob\" <sip:bob@example.com>"));

    let now = world.now().mono;
    world.exchange.progress(session, ResponseParts::new(183), now);
    world.settle();
    assert_eq!(world.phases(), [Dialing], "183 is no ringing");
    world.exchange.ring(session, Headers::new().with("Aftertone-Call", CALL), now);
    world.settle();
    let contact = world.contact();
    world.exchange.accept(session, contact, "answer of the exchange".into(), Headers::new(), now);
    world.settle();
    assert_eq!(world.phases(), [Dialing, Ringing, Active]);
    let ids: Vec<_> = world.calls().into_iter().map(|call| call.account_id).collect();
    assert_eq!(ids, [None, Some(self::call()), Some(self::call())], "the account's id is known from the ringing on");
    let media = world.open_media()[0];
    assert!(world.told.contains(&Event::ApplyMedia { media, call, answer: "answer of the exchange".into() }));
    world.phone.handle_applied(media, Ok(()), world.now());
    assert_eq!(world.phone.media(call), Ok(media));

    world.phone.hang_up(call, world.now()).unwrap();
    world.settle();
    assert_eq!(world.end(), Some(EndReason::LocalHangup));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Ended { by: EndedBy::Remote, .. })));
    assert_eq!(world.open_media(), []);
}

#[test]
fn refusals_of_an_outgoing_call() {
    let check = |status, end| {
        let mut world = World::online();
        let (_, session, _) = world.dial("1001");
        world.exchange.reject(session, status, Headers::new(), world.now().mono);
        world.settle();
        assert_eq!(world.end(), Some(end), "{status}");
        assert_eq!(world.open_media(), [], "{status}");
    };
    check(486, EndReason::Busy);
    check(600, EndReason::Busy);
    check(603, EndReason::Declined);
    check(480, EndReason::NoAnswer);
    check(408, EndReason::NoAnswer);
    check(404, EndReason::Failed);
    check(503, EndReason::Failed);
}

#[test]
fn a_number_that_is_called_back_is_marked_and_why_it_is_refused_is_known() {
    let mut world = World::online();
    let (_, _, dialled) = world.dial("1001");
    assert_eq!(dialled.headers.get("Aftertone-Call-Back"), None);
    let check = |said: &str, expect| {
        let mut world = World::online();
        let (_, session, request) = world.call_back("09001234567");
        assert_eq!(request.headers.get("Aftertone-Call-Back"), Some("1"));
        let headers = Headers::new().with("Aftertone-Refusal", said);
        world.exchange.reject(session, 403, headers, world.now().mono);
        world.settle();
        assert_eq!((world.end(), world.calls().last().unwrap().refusal), (Some(EndReason::Failed), expect), "{said}");
    };
    check("costs-extra", Some(CallRefusal::CostsExtra));
    check("rights", Some(CallRefusal::Rights));
    check("barred", Some(CallRefusal::Barred));
    check("whatever", None);
}

#[test]
fn hanging_up_before_an_answer_cancels() {
    let mut world = World::online();
    let (call, session, _) = world.dial("1001");
    world.exchange.ring(session, Headers::new(), world.now().mono);
    world.settle();
    world.phone.hang_up(call, world.now()).unwrap();
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Cancelled));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Cancelled { .. })));
}

#[test]
fn hanging_up_before_the_offer_is_made_calls_nobody() {
    let mut world = World::online();
    let call = CallId::from_random(5);
    world.phone.dial(call, &"1001".parse().unwrap(), world.now()).unwrap();
    world.phone.hang_up(call, world.now()).unwrap();
    world.settle();
    assert_eq!(world.phases(), [Dialing, Ended(EndReason::Cancelled)]);
    world.describe("too late");
    assert!(world.heard.is_empty());
    assert_eq!(world.open_media(), []);
}

#[test]
fn an_answer_that_can_not_be_applied_fails_the_call() {
    let mut world = World::online();
    let (_, session, _) = world.dial("1001");
    let contact = world.contact();
    world.exchange.accept(session, contact, "nonsense".into(), Headers::new(), world.now().mono);
    world.settle();
    let media = world.open_media()[0];
    world.phone.handle_applied(media, Err(MediaFailure("nonsense".into())), world.now());
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Failed));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Ended { .. })), "the exchange is told");
}

#[test]
fn a_reinvite_gets_fresh_media_and_the_earlier_ones_are_closed() {
    let (mut world, session) = talking();
    let earlier = world.open_media()[0];
    world.exchange.reinvite(session, "another offer".into(), world.now().mono);
    world.settle();
    assert_eq!(world.described().unwrap().1, Describe::Answer { offer: "another offer".into() });
    assert_eq!(world.phone.media(call()), Ok(earlier), "the earlier media stay until the new ones are described");
    let fresh = world.describe("another answer");
    assert_ne!(earlier, fresh);
    assert_eq!(world.open_media(), [fresh]);
    assert_eq!(world.phone.media(call()), Ok(fresh));
    assert!(
        world.heard.iter().any(|e| matches!(e, sip::Event::ReinviteAnswered { result: Ok(sdp), .. } if sdp == "another answer"))
    );
    assert_eq!(world.end(), None);
}

#[test]
fn a_reinvite_that_can_not_be_answered_leaves_the_call_as_it_was() {
    let (mut world, session) = talking();
    let earlier = world.open_media()[0];
    world.exchange.reinvite(session, "nonsense".into(), world.now().mono);
    world.settle();
    let (request, _) = world.described().unwrap();
    world.phone.handle_description(request, Err(MediaFailure("nonsense".into())), world.now());
    world.settle();
    assert_eq!(world.open_media(), [earlier]);
    assert_eq!(world.end(), None);
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::ReinviteAnswered { result: Err(f), .. } if f.status() == 488)));
}

#[test]
fn a_lost_connection_ends_what_rings_and_keeps_what_talks() {
    let mut world = World::online();
    world.ring();
    world.break_connection();
    assert_eq!(world.end(), Some(EndReason::Failed));

    let (mut world, _) = talking();
    world.break_connection();
    assert_eq!(world.end(), None);
    world.wait(Duration::from_secs(5));
    world.connect();
    assert_eq!(world.end(), None);
    world.phone.hang_up(call(), world.now()).unwrap();
    world.settle();
    assert!(
        world.heard.iter().any(|e| matches!(e, sip::Event::Ended { by: EndedBy::Remote, .. })),
        "the hang-up goes over the new connection"
    );
}

/// A call, and then another address of the phone's, up to the offer of new media.
fn moved() -> (World, sip::SessionId, MediaRequestId) {
    let (mut world, session) = talking();
    let earlier = world.open_media()[0];
    world.break_connection();
    world.address = "198.51.100.9:50000";
    world.connect();
    assert_eq!(world.described().unwrap().1, Describe::Offer);
    assert_eq!(world.phone.media(call()), Ok(earlier), "the earlier media stay until the new ones are agreed");
    (world, session, earlier)
}

#[test]
fn another_address_gets_new_media_for_a_call_that_goes_on() {
    let (mut world, session, earlier) = moved();
    let fresh = world.describe("offer from the new address");
    let offered =
        |e: &sip::Event| matches!(e, sip::Event::Reinvited { sdp: Some(sdp), .. } if sdp == "offer from the new address");
    assert!(world.heard.iter().any(offered), "over the new connection");
    world.exchange.accept_reinvite(session, "answer to it".into(), world.now().mono);
    world.settle();
    let answered =
        |e: &Event| matches!(e, Event::ApplyMedia { media, answer, .. } if *media == fresh && answer == "answer to it");
    assert!(world.told.iter().any(answered));
    world.phone.handle_applied(fresh, Ok(()), world.now());
    world.settle();
    assert_eq!(world.open_media(), [fresh]);
    assert_ne!(earlier, fresh);
    assert_eq!(world.end(), None);
}

#[test]
fn new_media_that_nobody_wants_or_that_can_not_be_made_leave_the_earlier_ones() {
    let (mut world, session, earlier) = moved();
    world.describe("offer from the new address");
    world.exchange.reject_reinvite(session, 488, world.now().mono);
    world.settle();
    assert_eq!((world.open_media(), world.end()), (vec![earlier], None));

    let (mut world, _, earlier) = moved();
    let (request, _) = world.described().unwrap();
    world.phone.handle_description(request, Err(MediaFailure("no network".into())), world.now());
    world.settle();
    assert_eq!((world.open_media(), world.end()), (vec![earlier], None));
}

#[test]
fn media_that_are_stuck_between_two_devices_are_offered_anew() {
    let (mut world, session) = talking();
    let earlier = world.open_media()[0];
    world.phone.handle_media_stuck(earlier, world.now());
    world.settle();
    assert_eq!(world.described().unwrap().1, Describe::Offer);
    world.describe("offer for the server");
    let offered = |e: &sip::Event| matches!(e, sip::Event::Reinvited { sdp: Some(sdp), .. } if sdp == "offer for the server");
    assert!(world.heard.iter().any(offered));
    world.exchange.accept_reinvite(session, "the server's answer".into(), world.now().mono);
    world.settle();
    assert!(!world.open_media().contains(&earlier));
    // Media that were replaced are nobody's.
    let asked = world.described();
    world.phone.handle_media_stuck(earlier, world.now());
    world.settle();
    assert_eq!((world.described(), world.end()), (asked, None));
}

#[test]
fn who_takes_over_at_the_other_end_is_shown() {
    let (mut world, session) = talking();
    let named = |name: &str| Headers::new().with("P-Asserted-Identity", name);
    for (said, number, name) in [
        ("\"Yan\" <sip:+4930999@example.com>", "+4930999", Some("Yan")),
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", "", None),
    ] {
        world.exchange.update(session, None, named(said), world.now().mono);
        world.settle();
        let party = world.calls().pop().unwrap().party;
        assert_eq!((party.number.as_str(), party.name.as_deref()), (number, name));
    }
    // Texts are not shown, and whoever writes learns that.
    let text = sip::Body::new("text/plain", "I'm late");
    let sent = world.exchange.message(session, text, Headers::new(), world.now().mono).unwrap();
    world.settle();
    let refused = |event: &sip::Event| matches!(event, sip::Event::Response { id, result: Err(failure) } if *id == sent && failure.status() == 405);
    assert!(world.heard.iter().any(refused));
    assert_eq!(world.end(), None);
}

#[test]
fn the_same_address_keeps_its_media() {
    let (mut world, _) = talking();
    let earlier = world.open_media();
    world.break_connection();
    world.connect();
    assert_eq!(world.open_media(), earlier);
    assert_ne!(world.described().unwrap().1, Describe::Offer);
}

#[test]
fn media_that_break_end_the_call() {
    let (mut world, _) = talking();
    let media = world.open_media()[0];
    world.phone.handle_media_lost(media, world.now());
    world.settle();
    assert_eq!(world.end(), Some(EndReason::Failed));
    assert_eq!(world.open_media(), []);
}

#[test]
fn muting_is_remembered_and_told_once() {
    let (mut world, _) = talking();
    let media = world.open_media();
    assert_eq!(world.phone.mute(call(), true), Ok(media.clone()));
    assert_eq!(world.phone.mute(call(), true), Ok(media));
    world.settle();
    assert_eq!(world.calls().iter().filter(|call| call.muted).count(), 1);
    assert_eq!(world.phone.mute(CallId::from_random(9), true), Err(Refused::NoSuchCall));
}

#[test]
fn two_calls_live_side_by_side() {
    let (mut world, _) = talking();
    let (second, session, _) = world.dial("1002");
    world.exchange.reject(session, 486, Headers::new(), world.now().mono);
    world.settle();
    assert_eq!(world.calls().last().unwrap().id, second);
    let left: Vec<_> = world.phone.calls().map(|call| call.id).collect();
    assert_eq!(left, [call()]);
}

#[test]
fn shutting_down_ends_calls_and_tells_the_exchange() {
    let (mut world, _) = talking();
    world.phone.shut_down(world.now());
    world.settle();
    assert_eq!(world.end(), Some(EndReason::LocalHangup));
    assert!(world.heard.iter().any(|e| matches!(e, sip::Event::Ended { by: EndedBy::Remote, .. })));

    let mut world = World::online();
    world.ring();
    world.phone.shut_down(world.now());
    world.settle();
    let rejected = world.heard.iter().any(|e| matches!(e, sip::Event::Rejected { failure, .. } if failure.status() == 480));
    assert!(rejected, "other devices go on ringing");
}

#[test]
fn nothing_can_be_dialled_without_a_connection() {
    let mut world = World::new();
    let dialled = world.phone.dial(CallId::from_random(1), &"1001".parse().unwrap(), world.now());
    assert_eq!(dialled, Err(Refused::Offline));
    assert_eq!(world.told, []);
}

const TALKING: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\na=sendrecv\r\n";

/// The last description that the exchange was offered in a call that goes on.
fn offered(world: &World) -> String {
    let sdp = |event: &sip::Event| match event {
        sip::Event::Reinvited { sdp, .. } => sdp.clone(),
        _ => None,
    };
    world.heard.iter().rev().find_map(sdp).unwrap()
}

#[test]
fn a_held_call_offers_to_send_only_and_to_talk_again_when_it_is_taken_up() {
    let (mut world, session) = talking();
    world.phone.hold(call(), true).unwrap();
    world.settle();
    assert!(world.calls().last().unwrap().held);
    let holding = world.describe(TALKING);
    assert_eq!(offered(&world), TALKING.replace("sendrecv", "sendonly"));
    world.exchange.accept_reinvite(session, "answer".into(), world.now().mono);
    world.settle();
    assert_eq!(world.open_media(), [holding]);

    world.phone.hold(call(), false).unwrap();
    world.settle();
    let again = world.describe(TALKING);
    assert_eq!(offered(&world), TALKING);
    world.exchange.accept_reinvite(session, "answer".into(), world.now().mono);
    world.settle();
    assert_eq!((world.open_media(), world.calls().last().unwrap().held), (vec![again], false));
}

#[test]
fn who_changes_their_mind_while_the_offer_is_out_offers_again_after_its_answer() {
    let (mut world, session) = talking();
    world.phone.hold(call(), true).unwrap();
    world.settle();
    world.describe(TALKING);
    world.phone.hold(call(), false).unwrap();
    world.exchange.accept_reinvite(session, "answer".into(), world.now().mono);
    world.settle();
    world.describe(TALKING);
    assert_eq!(offered(&world), TALKING);
}

#[test]
fn a_call_that_the_other_end_holds_says_so() {
    let (mut world, session) = talking();
    for (sdp, held) in [(TALKING.replace("sendrecv", "sendonly"), true), (TALKING.to_owned(), false)] {
        world.exchange.reinvite(session, sdp, world.now().mono);
        world.settle();
        world.describe("answer");
        assert_eq!(world.calls().last().unwrap().held_by_other, held);
    }
    assert_eq!(world.phone.hold(CallId::from_random(9), true), Err(Refused::NoSuchCall));
}

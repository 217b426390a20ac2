//! The table of the architecture: what a leg says, and what becomes of the others, the caller and the mailbox.

use aftertone_exchange::{LegMedia, MediaCommand, MediaFailure};
use aftertone_media::Codec;
use aftertone_model::{EndReason, Reason};
use aftertone_sip::{Headers, SessionId, Uri};

use crate::world::{DOMAIN, PhoneId, World, id};

/// Anna calls Ben, who has a desk phone and one of our devices; both ring.
struct Ringing {
    world: World,
    anna: PhoneId,
    call: SessionId,
    desk: PhoneId,
    at_desk: SessionId,
    app: PhoneId,
    at_app: SessionId,
}

const ELSEWHERE: &str = "cancelled (SIP;cause=200;text=\"Call completed elsewhere\")";
const DIVERTED: &str = "cancelled (SIP;cause=408;text=\"Diverted\")";

impl Ringing {
    fn new() -> Self {
        let mut world = World::new();
        let anna = world.registered("anna", 11);
        let desk = world.registered("ben", 12);
        let app = world.registered_app("ben", 50);
        let call = world.call(anna, "ben");
        let (at_desk, at_app) = (world.rings(desk), world.rings(app));
        assert_eq!(world.story(anna, call), ["180"], "the caller hears it ring, once");
        Self { world, anna, call, desk, at_desk, app, at_app }
    }

    fn caller_story(&mut self) -> Vec<String> {
        self.world.story(self.anna, self.call)
    }

    fn desk_story(&mut self) -> Vec<String> {
        self.world.story(self.desk, self.at_desk)
    }

    fn app_story(&mut self) -> Vec<String> {
        self.world.story(self.app, self.at_app)
    }

    /// The caller was answered by the mailbox for that reason; after hanging up nothing is left.
    fn check_diverted(mut self, reason: Reason) {
        assert_eq!(self.caller_story(), ["200"]);
        let (_, order) = self.world.deposit();
        assert_eq!((order.envelope.reason, order.record.diverted), (reason, Some(reason)));
        assert_eq!((order.envelope.mailbox, order.record.owner), (id("ben"), id("ben")));
        assert_eq!((order.record.end, order.record.answered_at), (EndReason::Diverted, None));
        assert_eq!(order.record.is_missed(), reason != Reason::Declined, "who declined knows of it");
        self.world.hang_up(self.anna, self.call);
        assert!(self.world.log_of("ben").is_empty(), "the deposit has the record");
        let log = self.world.log_of("anna");
        assert_eq!((log.len(), log[0].end, log[0].diverted), (1, EndReason::Diverted, Some(reason)));
        self.world.check_clean();
    }
}

#[test]
fn the_first_answer_wins_and_the_others_are_told() {
    let mut ringing = Ringing::new();
    ringing.world.wait(3.0);
    let (desk, at_desk) = (ringing.desk, ringing.at_desk);
    ringing.world.answer(desk, at_desk);
    assert_eq!(ringing.caller_story(), ["200"]);
    assert_eq!(ringing.desk_story(), ["confirmed"]);
    assert_eq!(ringing.app_story(), [ELSEWHERE]);
    let Ringing { mut world, anna, call, .. } = ringing;
    assert_eq!(world.plane.bridges.len(), 1);
    assert!(world.plane.deposits.is_empty());
    world.wait(60.0);
    world.hang_up(anna, call);
    assert_eq!(world.story(desk, at_desk), ["ended by Remote"]);
    let (anna, ben) = (world.log_of("anna")[0].clone(), world.log_of("ben")[0].clone());
    assert_eq!((anna.end, ben.end), (EndReason::LocalHangup, EndReason::RemoteHangup));
    assert_eq!((anna.call, anna.answered_at), (ben.call, ben.answered_at));
    let (rang, talked) = (ben.answered_at.unwrap() - ben.started_at, ben.ended_at - ben.answered_at.unwrap());
    assert_eq!((rang.as_secs(), talked.as_secs()), (3, 60));
    assert_eq!((anna.party.number.as_str(), ben.party.number.as_str()), ("1002", "1001"));
    world.check_clean();
}

#[test]
fn busy_on_one_device_lets_the_others_ring() {
    for status in [486, 600] {
        let mut ringing = Ringing::new();
        let (desk, at_desk) = (ringing.desk, ringing.at_desk);
        ringing.world.reject(desk, at_desk, status);
        assert!(ringing.caller_story().is_empty());
        assert!(ringing.app_story().is_empty(), "still ringing after {status}");
        let (app, at_app) = (ringing.app, ringing.at_app);
        ringing.world.answer(app, at_app);
        assert_eq!(ringing.caller_story(), ["200"]);
    }
}

#[test]
fn busy_on_every_device_is_busy() {
    let mut ringing = Ringing::new();
    let Ringing { desk, at_desk, app, at_app, .. } = ringing;
    ringing.world.reject(desk, at_desk, 486);
    ringing.world.reject(app, at_app, 480);
    ringing.check_diverted(Reason::Busy);
}

#[test]
fn declining_on_one_device_stops_all_ringing() {
    let mut ringing = Ringing::new();
    let Ringing { app, at_app, .. } = ringing;
    ringing.world.reject(app, at_app, 603);
    assert_eq!(ringing.desk_story(), ["cancelled (SIP;cause=603)"]);
    ringing.check_diverted(Reason::Declined);
}

#[test]
fn other_refusals_let_the_others_ring() {
    let mut ringing = Ringing::new();
    let Ringing { desk, at_desk, app, at_app, .. } = ringing;
    ringing.world.reject(desk, at_desk, 480);
    assert!(ringing.app_story().is_empty());
    assert!(ringing.caller_story().is_empty());
    ringing.world.reject(app, at_app, 500);
    ringing.check_diverted(Reason::NoAnswer);
}

#[test]
fn devices_that_are_not_there_are_offline() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let app = world.registered_app("ben", 50);
    world.phones[app.0].deaf = true;
    let call = world.call(anna, "ben");
    world.wait(2.0);
    world.close(app);
    assert_eq!(world.story(anna, call), ["200"]);
    assert_eq!(world.deposit().1.envelope.reason, Reason::Offline);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_late_answer_bothers_nobody() {
    let mut ringing = Ringing::new();
    let Ringing { desk, at_desk, app, at_app, .. } = ringing;
    // Both answer at the same moment: the app's 200 and our CANCEL cross.
    for (phone, session) in [(desk, at_desk), (app, at_app)] {
        let phone = &mut ringing.world.phones[phone.0];
        let (contact, sdp) = (phone.contact(), phone.sdp());
        phone.ua.accept(session, contact, sdp, Headers::new(), ringing.world.now.mono);
    }
    ringing.world.settle();
    assert_eq!(ringing.app_story(), ["confirmed", "ended by Remote"]);
    assert_eq!(ringing.caller_story(), ["200"]);
    assert_eq!(ringing.desk_story(), ["confirmed"]);
    assert_eq!(ringing.world.plane.bridges.len(), 1);
}

#[test]
fn a_late_answer_after_the_diversion_leaves_the_caller_with_the_mailbox() {
    let mut ringing = Ringing::new();
    let Ringing { desk, at_desk, .. } = ringing;
    ringing.world.phones[desk.0].deaf = true;
    ringing.world.wait(20.0);
    ringing.world.answer(desk, at_desk);
    ringing.world.phones[desk.0].deaf = false;
    ringing.world.wait(8.0);
    assert_eq!(ringing.desk_story().last().map(String::as_str), Some("ended by Remote"));
    ringing.check_diverted(Reason::NoAnswer);
}

#[test]
fn nobody_registered_is_offline_at_once() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "1002");
    assert_eq!(world.story(anna, call), ["200"], "it does not even ring");
    assert_eq!(world.deposit().1.envelope.reason, Reason::Offline);
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn the_mailbox_answers_when_the_ring_time_is_over() {
    let mut ringing = Ringing::new();
    ringing.world.wait(19.9);
    assert!(ringing.caller_story().is_empty());
    ringing.world.wait(0.2);
    assert_eq!(ringing.desk_story(), [DIVERTED]);
    assert_eq!(ringing.app_story(), [DIVERTED]);
    ringing.check_diverted(Reason::NoAnswer);
}

#[test]
fn everybody_has_their_own_ring_time() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let _cleo = world.registered("cleo", 13);
    let call = world.call(anna, "cleo");
    world.wait(4.9);
    assert!(world.plane.deposits.is_empty());
    world.wait(0.2);
    assert_eq!(world.deposit().1.language, aftertone_model::Language::De);
    world.hang_up(anna, call);
}

#[test]
fn a_caller_who_gives_up_is_a_missed_call() {
    let mut ringing = Ringing::new();
    ringing.world.wait(5.0);
    let Ringing { anna, call, .. } = ringing;
    ringing.world.phones[anna.0].ua.cancel(call, Headers::new(), ringing.world.now.mono);
    ringing.world.settle();
    assert_eq!(ringing.desk_story(), ["cancelled"], "without a reason: missed");
    assert_eq!(ringing.app_story(), ["cancelled"]);
    let mut world = ringing.world;
    let (anna, ben) = (world.log_of("anna")[0], world.log_of("ben")[0]);
    assert_eq!((anna.end, ben.end), (EndReason::Cancelled, EndReason::Cancelled));
    assert!(ben.is_missed() && ben.message.is_none());
    assert!(world.plane.deposits.is_empty());
    world.check_clean();
}

#[test]
fn a_device_may_forward_to_a_colleague() {
    let mut ringing = Ringing::new();
    let cleo = ringing.world.registered("cleo", 13);
    let Ringing { desk, at_desk, .. } = ringing;
    let contact = Headers::new().with("Contact", Uri::sip("1003", DOMAIN));
    ringing.world.reject_with(desk, at_desk, 302, contact);
    let at_cleo = ringing.world.rings(cleo);
    assert!(ringing.app_story().is_empty(), "still ringing");
    ringing.world.answer(cleo, at_cleo);
    assert_eq!(ringing.caller_story(), ["200"]);
    assert_eq!(ringing.app_story(), [ELSEWHERE]);
    let mut world = ringing.world;
    world.hang_up(cleo, at_cleo);
    let (ben, cleo) = (world.log_of("ben")[0], world.log_of("cleo")[0]);
    assert_eq!((ben.end, ben.answered_at), (EndReason::AnsweredElsewhere, None));
    assert_eq!((cleo.end, cleo.party.number.as_str()), (EndReason::LocalHangup, "1001"));
    world.check_clean();
}

#[test]
fn forwarding_goes_neither_in_circles_nor_outside() {
    let mut ringing = Ringing::new();
    let cleo = ringing.world.registered("cleo", 13);
    let Ringing { desk, at_desk, app, at_app, .. } = ringing;
    ringing.world.reject_with(
        desk,
        at_desk,
        302,
        Headers::new().with("Contact", "<sip:cleo@example.org>, <sip:900@elsewhere.example>"),
    );
    let at_cleo = ringing.world.rings(cleo);
    ringing.world.reject_with(cleo, at_cleo, 302, Headers::new().with("Contact", "<sip:ben@example.org>"));
    ringing.world.reject_with(app, at_app, 301, Headers::new().with("Contact", "<sip:anna@example.org>"));
    assert!(ringing.world.incoming(desk).is_none());
    ringing.check_diverted_with_forward(Reason::NoAnswer);
}

#[test]
fn a_device_may_forward_to_the_mailbox() {
    let mut ringing = Ringing::new();
    let Ringing { desk, at_desk, .. } = ringing;
    ringing.world.reject_with(desk, at_desk, 302, Headers::new().with("Contact", "<sip:voicemail@example.org>"));
    assert_eq!(ringing.app_story(), ["cancelled (SIP;cause=603)"]);
    ringing.check_diverted(Reason::Declined);
}

impl Ringing {
    /// As `check_diverted`, and Cleo, whom the call was forwarded to, finds it in her log.
    fn check_diverted_with_forward(mut self, reason: Reason) {
        assert_eq!(self.caller_story(), ["200"]);
        assert_eq!(self.world.deposit().1.envelope.reason, reason);
        self.world.hang_up(self.anna, self.call);
        assert_eq!(self.world.log_of("cleo")[0].end, EndReason::NoAnswer);
        self.world.check_clean();
    }
}

#[test]
fn each_leg_is_offered_what_it_speaks_with_the_callers_codecs_first() {
    let ringing = Ringing::new();
    let rest = [Codec::Pcma, Codec::Pcmu, Codec::Opus, Codec::G722].to_vec();
    assert_eq!(ringing.world.plane.offers(), [(LegMedia::Rtp, rest.clone()), (LegMedia::WebRtc, rest)]);
}

#[test]
fn a_phone_that_does_not_accept_rtp_is_offered_ice_and_dtls_once() {
    let mut ringing = Ringing::new();
    let Ringing { anna, call, desk, at_desk, app, .. } = ringing;
    ringing.world.reject(desk, at_desk, 488);
    let offered: Vec<_> = ringing.world.plane.offers().into_iter().map(|(media, _)| media).collect();
    assert_eq!(offered, [LegMedia::Rtp, LegMedia::WebRtc, LegMedia::WebRtc]);
    let again = ringing.world.rings(desk);
    ringing.world.reject(desk, again, 488);
    assert_eq!(ringing.world.plane.offers().len(), 3, "nothing else is left to offer");
    assert!(ringing.app_story().is_empty());
    let at_app = ringing.at_app;
    ringing.world.answer(app, at_app);
    assert_eq!(ringing.caller_story(), ["200"]);
    ringing.world.hang_up(anna, call);
    ringing.world.check_clean();
}

#[test]
fn the_caller_is_answered_with_the_codec_that_the_device_chose() {
    let mut ringing = Ringing::new();
    let Ringing { app, at_app, .. } = ringing;
    ringing.world.phones[app.0].codecs = vec![Codec::Pcmu];
    ringing.world.answer(app, at_app);
    assert_eq!(ringing.world.plane.answers()[0].1, [Codec::Pcmu]);
    assert_eq!(ringing.caller_story(), ["200"]);
}

#[test]
fn every_leg_carries_the_call_id_and_shows_the_caller() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let (desk, app) = (world.registered("ben", 12), world.registered_app("ben", 50));
    let call = world.call(anna, "1002");
    let (session, request) = world.incoming(desk).unwrap();
    let (_, other) = world.incoming(app).unwrap();
    let call_id = request.headers.get("Aftertone-Call").unwrap().to_owned();
    assert_eq!(other.headers.get("Aftertone-Call"), Some(call_id.as_str()));
    let from = request.headers.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("Anna Adler"), "the directory's name, whatever the phone says");
    assert_eq!(from.uri.to_string(), "sip:1001@example.org");
    assert_eq!(request.uri.to_string(), "sip:ben@10.0.0.12:5060");
    world.answer(desk, session);
    world.hang_up(anna, call);
    assert_eq!(world.log_of("ben")[0].call.to_string(), call_id);
}

#[test]
fn an_answer_that_can_not_be_used_leaves_the_caller_to_the_mailbox() {
    let mut ringing = Ringing::new();
    let is_apply = |command: &MediaCommand| matches!(command, MediaCommand::Apply { .. });
    let failure = MediaFailure::Unacceptable("nothing in common".into());
    ringing.world.plane.refuses = Some(Box::new(move |command| is_apply(command).then(|| failure.clone())));
    let Ringing { desk, at_desk, .. } = ringing;
    ringing.world.answer(desk, at_desk);
    assert_eq!(ringing.desk_story(), ["confirmed", "ended by Remote"]);
    ringing.check_diverted(Reason::NoAnswer);
}

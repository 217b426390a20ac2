//! Hold, and transfers in every role.

use aftertone_exchange::{LegId, MediaCommand, Sound};
use aftertone_media::Codec;
use aftertone_model::{EndReason, Reason};
use aftertone_sip::{Event, Headers, Invite, NameAddr, Refer, ReferEnd, ReferTo, ReferralId, Replaces, SessionId, Uri};

use crate::{
    trunks::contact_of,
    world::{DOMAIN, PhoneId, World, id},
};

/// Who has the phone with REFER, in a call of Anna (who called) and Ben.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Caller,
    Callee,
}

struct Talk {
    world: World,
    anna: PhoneId,
    ben: PhoneId,
    cleo: PhoneId,
    annas: SessionId,
    bens: SessionId,
}

impl Talk {
    fn new() -> Self {
        let mut world = World::new();
        let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
        let annas = world.call(anna, "ben");
        let bens = world.rings(ben);
        world.answer(ben, bens);
        assert_eq!(world.story(anna, annas).last().unwrap(), "200");
        Self { world, anna, ben, cleo, annas, bens }
    }

    /// The transferor and the transferred, each with their session.
    fn roles(&self, by: By) -> ((PhoneId, SessionId), (PhoneId, SessionId)) {
        let (anna, ben) = ((self.anna, self.annas), (self.ben, self.bens));
        if by == By::Caller { (anna, ben) } else { (ben, anna) }
    }

    fn refers(&mut self, by: By, to: ReferTo) -> ReferralId {
        let ((phone, session), _) = self.roles(by);
        self.world.refers(phone, session, to)
    }
}

impl World {
    pub(crate) fn refers(&mut self, phone: PhoneId, session: SessionId, to: ReferTo) -> ReferralId {
        let now = self.now.mono;
        let referral = self.phones[phone.0].ua.refer(session, Refer::new(to), now);
        self.settle();
        referral
    }

    /// What a transferor was told: each status, then the end.
    pub(crate) fn told(&mut self, phone: PhoneId, referral: ReferralId) -> Vec<String> {
        let events = &self.phones[phone.0].events;
        let told = events.iter().filter_map(|event| match event {
            Event::ReferProgress { referral: of, status } if *of == referral => Some(status.to_string()),
            Event::ReferEnded { referral: of, end } if *of == referral => Some(match end {
                ReferEnd::Final(status) => format!("final {status}"),
                ReferEnd::Refused(failure) => format!("refused {}", failure.status()),
                ReferEnd::Unknown => "unknown".into(),
            }),
            _ => None,
        });
        told.collect()
    }

    /// The dialog of a call that rings, as its 180 names it.
    fn early(&self, phone: PhoneId, session: SessionId) -> Replaces {
        let found = self.phones[phone.0].events.iter().find_map(|event| match event {
            Event::Progress { session: of, response } if *of == session => Some(&response.headers),
            _ => None,
        });
        let headers = found.expect("it rings");
        let tag = |address: NameAddr| address.tag().unwrap().to_owned();
        Replaces {
            call_id: headers.call_id().unwrap().to_owned(),
            to_tag: tag(headers.to().unwrap()),
            from_tag: tag(headers.from().unwrap()),
            early_only: false,
        }
    }

    pub(crate) fn replaces_call(&mut self, phone: PhoneId, to: &str, replaces: &Replaces) -> SessionId {
        let now = self.now.mono;
        let phone = &mut self.phones[phone.0];
        let (uri, from) = (Uri::sip(to, DOMAIN), NameAddr::new(Uri::sip(&phone.name, DOMAIN)));
        let invite = Invite {
            uri: uri.clone(),
            from,
            to: NameAddr::new(uri),
            contact: phone.contact(),
            headers: Headers::new().with("Replaces", replaces),
            sdp: Some(phone.sdp()),
            credentials: phone.credentials.clone(),
        };
        let session = phone.ua.invite(invite, phone.flow, now);
        self.settle();
        session
    }

    fn last_bridge(&self) -> (LegId, LegId) {
        *self.plane.bridges.last().unwrap()
    }

    /// What a leg hears in place of its partner, as it was last said.
    fn hears(&self, leg: LegId) -> Option<Sound> {
        let said = |command: &MediaCommand| match command {
            MediaCommand::Play { leg: of, sound, .. } if *of == leg => Some(Some(sound.clone())),
            MediaCommand::StopPlaying { leg: of } if *of == leg => Some(None),
            _ => None,
        };
        self.plane.commands.iter().rev().find_map(said).flatten()
    }

    fn is_over(&mut self, phone: PhoneId, session: SessionId) -> bool {
        self.story(phone, session).iter().any(|told| told.starts_with("ended"))
    }
}

fn cleo() -> ReferTo {
    ReferTo::new(Uri::sip("1003", DOMAIN))
}

#[test]
fn who_is_put_on_hold_hears_music_until_the_call_is_taken_up_again() {
    for by in [By::Caller, By::Callee] {
        let mut talk = Talk::new();
        let (a, b) = talk.world.last_bridge();
        let ((phone, session), _) = talk.roles(by);
        let waiting = if by == By::Caller { b } else { a };
        let sdp = talk.world.phones[phone.0].sdp();
        for (direction, heard) in [("sendonly", Some(Sound::HoldMusic)), ("sendrecv", None), ("inactive", Some(Sound::HoldMusic))]
        {
            let now = talk.world.now.mono;
            talk.world.phones[phone.0].ua.reinvite(session, format!("{sdp}a={direction}\r\n"), now);
            talk.world.settle();
            assert_eq!(talk.world.hears(waiting), heard, "{by:?} {direction}");
        }
        let (phone, session) = (talk.anna, talk.annas);
        talk.world.hang_up(phone, session);
        talk.world.check_clean();
    }
}

#[test]
fn a_blind_transfer_connects_the_other_party_with_the_target() {
    for by in [By::Caller, By::Callee] {
        let mut talk = Talk::new();
        let ((transferor, own), (other, rest)) = talk.roles(by);
        let (a, b) = talk.world.last_bridge();
        let moved = if by == By::Caller { b } else { a };
        let referral = talk.refers(by, cleo());
        assert_eq!(talk.world.hears(moved), Some(Sound::HoldMusic), "{by:?}");
        let (leg, request) = talk.world.incoming(talk.cleo).expect("Cleo is called");
        let shown = request.headers.from().unwrap().uri.user().unwrap().into_owned();
        assert_eq!(shown, if by == By::Caller { "1002" } else { "1001" }, "whom Cleo will talk to");
        let referred_by = request.headers.addresses("Referred-By").remove(0).to_string();
        let (anna, ben) = ("\"Anna Adler\" <sip:1001@example.org>", "\"Ben Brandt\" <sip:1002@example.org>");
        assert_eq!(referred_by, if by == By::Caller { anna } else { ben }, "as it is proved, whatever the phone says");
        talk.world.answer(talk.cleo, leg);
        assert_eq!(talk.world.told(transferor, referral), ["202", "100", "180", "final 200"], "{by:?}");
        assert!(talk.world.is_over(transferor, own), "the transferor is done");
        assert_eq!(talk.world.last_bridge().0, moved);
        assert_eq!(talk.world.hears(moved), None);
        assert!(!talk.world.is_over(other, rest));
        talk.world.hang_up(other, rest);
        assert!(talk.world.is_over(talk.cleo, leg));
        let ends: Vec<_> = ["anna", "ben", "cleo"].map(|name| talk.world.log_of(name).len()).into();
        assert_eq!(ends, if by == By::Caller { [1, 2, 1] } else { [2, 1, 1] }, "who took part in what");
        talk.world.check_clean();
    }
}

#[test]
fn a_call_may_be_held_and_transferred_before_its_callers_ack_comes() {
    let mut world = World::new();
    let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    let annas = world.call(anna, "ben");
    let bens = world.rings(ben);
    // What she sends is lost for a moment.
    world.phones[anna.0].gone = true;
    world.answer(ben, bens);
    let referral = world.refers(ben, bens, ReferTo::new(Uri::sip("1003", DOMAIN)));
    assert!(world.told(ben, referral).iter().all(|told| !told.starts_with("refused")));
    let leg = world.rings(cleo);
    world.phones[anna.0].gone = false;
    world.wait(1.0);
    world.answer(cleo, leg);
    assert!(world.is_over(ben, bens) && !world.is_over(anna, annas));
    world.hang_up(anna, annas);
    assert!(world.is_over(cleo, leg));
    world.check_clean();
}

#[test]
fn a_transferor_may_hang_up_at_once() {
    for by in [By::Caller, By::Callee] {
        let mut talk = Talk::new();
        let ((transferor, own), (other, rest)) = talk.roles(by);
        talk.refers(by, cleo());
        talk.world.hang_up(transferor, own);
        assert!(!talk.world.is_over(other, rest), "{by:?}");
        let leg = talk.world.rings(talk.cleo);
        talk.world.answer(talk.cleo, leg);
        talk.world.hang_up(talk.cleo, leg);
        assert!(talk.world.is_over(other, rest));
        talk.world.check_clean();
    }
}

#[test]
fn a_colleague_who_does_not_answer_has_a_mailbox() {
    let mut talk = Talk::new();
    let referral = talk.refers(By::Callee, cleo());
    talk.world.rings(talk.cleo);
    talk.world.wait(5.1);
    assert_eq!(talk.world.told(talk.ben, referral), ["202", "100", "180", "final 200"]);
    let (leg, order) = talk.world.deposit();
    assert_eq!((order.envelope.mailbox, order.envelope.reason), (id("cleo"), Reason::NoAnswer));
    assert_eq!(order.envelope.caller.number, "1001", "it is Anna who speaks");
    talk.world.hang_up_deposit(leg);
    let (anna, annas) = (talk.anna, talk.annas);
    assert!(talk.world.is_over(anna, annas));
    talk.world.check_clean();
}

#[test]
fn when_the_other_party_gives_up_the_target_stops_ringing() {
    let mut talk = Talk::new();
    let referral = talk.refers(By::Callee, cleo());
    let leg = talk.world.rings(talk.cleo);
    talk.world.hang_up(talk.anna, talk.annas);
    assert_eq!(talk.world.story(talk.cleo, leg), ["cancelled"]);
    assert_eq!(talk.world.told(talk.ben, referral).last().unwrap(), "final 487");
    let (ben, bens) = (talk.ben, talk.bens);
    assert!(talk.world.is_over(ben, bens));
    talk.world.check_clean();
}

#[test]
fn nobody_is_transferred_to_nobody() {
    let mut talk = Talk::new();
    for target in ["sip:nobody@example.org", "sip:x@elsewhere.example"] {
        let referral = talk.refers(By::Caller, ReferTo::new(target.parse().unwrap()));
        assert_eq!(talk.world.told(talk.anna, referral), ["refused 404"], "{target}");
    }
    let (ben, bens) = (talk.ben, talk.bens);
    assert!(!talk.world.is_over(ben, bens));
}

#[test]
fn an_attended_transfer_connects_the_two_whom_the_transferor_talked_to() {
    for by in [By::Caller, By::Callee] {
        let mut talk = Talk::new();
        let ((transferor, own), (other, rest)) = talk.roles(by);
        let (a, b) = talk.world.last_bridge();
        let moved = if by == By::Caller { b } else { a };
        let second = talk.world.call(transferor, "cleo");
        let leg = talk.world.rings(talk.cleo);
        talk.world.answer(talk.cleo, leg);
        let cleos = talk.world.last_bridge().1;
        talk.world.story(transferor, second);
        let replaces = talk.world.phones[transferor.0].ua.replaces(second).unwrap();
        let referral = talk.refers(by, cleo().with_replaces(replaces));
        assert_eq!(talk.world.told(transferor, referral).last().unwrap(), "final 200", "{by:?}");
        assert_eq!(talk.world.last_bridge(), (moved, cleos));
        assert!(talk.world.is_over(transferor, own) && talk.world.is_over(transferor, second));
        assert!(!talk.world.is_over(other, rest));
        talk.world.hang_up(other, rest);
        assert!(talk.world.is_over(talk.cleo, leg));
        talk.world.check_clean();
    }
}

#[test]
fn nobody_is_connected_with_whom_they_could_not_hear() {
    let mut talk = Talk::new();
    talk.world.phones[talk.anna.0].codecs = vec![Codec::Pcma, Codec::G729];
    talk.world.phones[talk.cleo.0].codecs = vec![Codec::G729];
    let second = talk.world.call(talk.anna, "cleo");
    let leg = talk.world.rings(talk.cleo);
    talk.world.answer(talk.cleo, leg);
    let replaces = talk.world.phones[talk.anna.0].ua.replaces(second).unwrap();
    let referral = talk.refers(By::Caller, cleo().with_replaces(replaces));
    assert_eq!(talk.world.told(talk.anna, referral), ["refused 488"]);
    let calls = [(talk.anna, talk.annas), (talk.anna, second), (talk.ben, talk.bens), (talk.cleo, leg)];
    assert!(calls.into_iter().all(|(phone, session)| !talk.world.is_over(phone, session)), "both calls go on");
}

#[test]
fn who_was_called_second_can_be_transferred_too() {
    // Cleo calls Ben while he talks to Anna, and he connects them.
    let mut talk = Talk::new();
    let cleos = talk.world.call(talk.cleo, "ben");
    let second = talk.world.rings(talk.ben);
    talk.world.answer(talk.ben, second);
    let replaces = talk.world.phones[talk.ben.0].ua.replaces(second).unwrap();
    let referral = talk.refers(By::Callee, cleo().with_replaces(replaces));
    assert_eq!(talk.world.told(talk.ben, referral).last().unwrap(), "final 200");
    let (cleo, ben) = (talk.cleo, talk.ben);
    assert!(talk.world.is_over(ben, second));
    talk.world.hang_up(cleo, cleos);
    let (anna, annas) = (talk.anna, talk.annas);
    assert!(talk.world.is_over(anna, annas));
    let bens: Vec<_> = talk.world.log_of("ben").iter().map(|record| record.end).collect();
    assert_eq!(bens.len(), 2, "one record for each of his calls: {bens:?}");
    assert!(bens.iter().all(|end| matches!(end, EndReason::LocalHangup | EndReason::RemoteHangup)));
    talk.world.check_clean();
}

#[test]
fn a_call_may_be_transferred_before_the_target_answers() {
    let mut talk = Talk::new();
    let first = talk.world.last_bridge();
    let second = talk.world.call(talk.ben, "cleo");
    let leg = talk.world.rings(talk.cleo);
    let replaces = talk.world.early(talk.ben, second);
    let referral = talk.refers(By::Callee, cleo().with_replaces(replaces));
    assert_eq!(talk.world.told(talk.ben, referral).last().unwrap(), "final 200");
    let (annas_leg, _) = first;
    assert_eq!(talk.world.hears(annas_leg), Some(Sound::RingBack));
    talk.world.answer(talk.cleo, leg);
    assert_eq!(talk.world.last_bridge().0, annas_leg);
    talk.world.hang_up(talk.anna, talk.annas);
    let cleo = talk.cleo;
    assert!(talk.world.is_over(cleo, leg));
    talk.world.check_clean();
}

#[test]
fn nobody_connects_a_call_that_is_not_theirs() {
    let mut talk = Talk::new();
    let cleos = talk.world.call(talk.cleo, "1002");
    let second = talk.world.rings(talk.ben);
    talk.world.answer(talk.ben, second);
    // Anna has learned the ids of Ben's call with Cleo.
    let replaces = talk.world.phones[talk.ben.0].ua.replaces(second).unwrap();
    let referral = talk.refers(By::Caller, cleo().with_replaces(replaces));
    assert_eq!(talk.world.told(talk.anna, referral), ["refused 603"]);
    let cleo = talk.cleo;
    assert!(!talk.world.is_over(cleo, cleos));
}

#[test]
fn a_call_from_a_trunk_is_transferred_inside_and_out_again() {
    let (mut world, provider) = World::with_provider();
    let contact = contact_of(&world);
    let [anna, ben] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
    let outside = world.provider_calls(provider, &contact, "+49301001", "<sip:+4930555123@provider.example>");
    let annas = world.rings(anna);
    world.answer(anna, annas);
    // To Ben, who sees who it is.
    world.refers(anna, annas, ReferTo::new(Uri::sip("1002", DOMAIN)));
    let (bens, request) = world.incoming(ben).unwrap();
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "+4930555123");
    world.answer(ben, bens);
    assert!(world.is_over(anna, annas));
    // And out, with Ben's rights: abroad he may not.
    let referral = world.refers(ben, bens, ReferTo::new(Uri::sip("0043155512", DOMAIN)));
    assert_eq!(world.told(ben, referral), ["refused 403"]);
    let referral = world.refers(ben, bens, ReferTo::new(Uri::sip("030777", DOMAIN)));
    let leg = world.rings(provider);
    world.reject(provider, leg, 486);
    // The other side is busy, and Ben has stayed: he has the caller back.
    assert_eq!(world.told(ben, referral).last().unwrap(), "final 486");
    assert!(!world.is_over(ben, bens) && !world.is_over(provider, outside));
    world.refers(ben, bens, ReferTo::new(Uri::sip("030777", DOMAIN)));
    let leg = world.rings(provider);
    world.answer(provider, leg);
    assert!(world.is_over(ben, bens));
    world.hang_up(provider, outside);
    assert!(world.is_over(provider, leg));
    world.check_clean();
}

#[test]
fn the_peer_of_a_trunk_transfers_to_its_own_people_and_to_ours() {
    let (mut world, provider) = World::with_provider();
    let contact = contact_of(&world);
    let [anna, ben] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
    for (target, rings) in [("sip:2001@provider.example", provider), ("sip:1002@example.org", ben)] {
        let outside = world.provider_calls(provider, &contact, "+49301001", "<sip:+4930555123@provider.example>");
        let annas = world.rings(anna);
        world.answer(anna, annas);
        world.refers(provider, outside, ReferTo::new(target.parse().unwrap()));
        let (leg, request) = world.incoming(rings).unwrap();
        assert!(rings == ben || request.uri.user().unwrap() == "2001");
        world.answer(rings, leg);
        assert!(world.is_over(provider, outside), "{target}");
        world.hang_up(anna, annas);
        assert!(world.is_over(rings, leg));
    }
    world.check_clean();
}

#[test]
fn an_invite_with_replaces_takes_over_a_call() {
    let mut talk = Talk::new();
    // Ben's other phone knows the dialog of the first.
    let replaces = talk.world.phones[talk.ben.0].ua.replaces(talk.bens).unwrap();
    let other = talk.world.registered("ben", 22);
    let took = talk.world.replaces_call(other, "anna", &replaces);
    assert_eq!(talk.world.story(other, took).last().unwrap(), "200");
    let (ben, bens) = (talk.ben, talk.bens);
    assert!(talk.world.is_over(ben, bens));
    talk.world.hang_up(other, took);
    let (anna, annas) = (talk.anna, talk.annas);
    assert!(talk.world.is_over(anna, annas));
    talk.world.check_clean();
}

#[test]
fn a_call_is_transferred_into_a_colleagues_mailbox() {
    let mut talk = Talk::new();
    let referral = talk.refers(By::Callee, ReferTo::new(Uri::sip("*981003", DOMAIN)));
    assert_eq!(talk.world.told(talk.ben, referral).last().unwrap(), "final 200");
    let (_, order) = talk.world.deposit();
    assert_eq!((order.envelope.mailbox, order.envelope.reason), (id("cleo"), Reason::Direct));
    assert!(talk.world.incoming(talk.cleo).is_none(), "it doesn't ring");
    talk.world.hang_up(talk.anna, talk.annas);
    talk.world.check_clean();
}

/// RFC 4458, asked for by REFER.
#[test]
fn a_call_is_transferred_to_the_mailbox_that_an_address_names() {
    let cases = [
        ("sip:voicemail@example.org;target=sip:1003%40example.org;cause=486", "cleo", Reason::Busy),
        ("sip:voicemail@example.org;target=sip:cleo%40example.org", "cleo", Reason::Direct),
        // Without a name, that of whoever asks.
        ("sip:voicemail@example.org", "ben", Reason::Direct),
    ];
    for (to, owner, reason) in cases {
        let mut talk = Talk::new();
        let referral = talk.refers(By::Callee, ReferTo::new(to.parse().unwrap()));
        let Talk { mut world, anna, ben, cleo, annas, bens } = talk;
        assert_eq!(world.told(ben, referral), ["202", "100", "final 200"], "{to}");
        assert!(world.is_over(ben, bens) && world.incoming(cleo).is_none());
        let (_, order) = world.deposit();
        let caller = order.envelope.caller.number.as_str();
        assert_eq!((order.envelope.mailbox, order.envelope.reason, caller), (id(owner), reason, "1001"), "{to}");
        world.hang_up(anna, annas);
        world.check_clean();
    }
    let mut talk = Talk::new();
    let nobody = "sip:voicemail@example.org;target=sip:1009%40example.org";
    let referral = talk.refers(By::Caller, ReferTo::new(nobody.parse().unwrap()));
    assert_eq!(talk.world.told(talk.anna, referral), ["refused 404"]);
    talk.world.hang_up(talk.anna, talk.annas);
    talk.world.check_clean();
}

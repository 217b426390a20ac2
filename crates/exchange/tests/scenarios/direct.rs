//! Media that go directly between two devices of ours, and their way back to the server.

use aftertone_exchange::{Direct, LegId, LegMedia, MediaCommand, MediaFailure, Sound};
use aftertone_media::Codec;
use aftertone_model::{EndReason, MediaPath};
use aftertone_sip::{Event, Headers, Refer, ReferTo, SessionId, Uri};

use crate::world::{DOMAIN, PhoneId, World, device, id};

/// Anna has called Ben, each on a device of ours in the same network.
struct Talking {
    world: World,
    anna: PhoneId,
    at_anna: SessionId,
    ben: PhoneId,
    at_ben: SessionId,
}

fn apps(direct: Direct, addresses: [&str; 2]) -> (World, PhoneId, PhoneId) {
    let mut world = World::with(|config| config.direct = direct);
    let anna = world.app_at("anna", addresses[0], 50, (id("anna"), device(50)));
    let ben = world.app_at("ben", addresses[1], 51, (id("ben"), device(51)));
    assert_eq!(world.register(anna, "anna", 300), 200);
    assert_eq!(world.register(ben, "ben", 300), 200);
    (world, anna, ben)
}

const NEAR: [&str; 2] = ["192.168.7.20:40000", "192.168.7.21:40000"];

impl Talking {
    fn new() -> Self {
        let (mut world, anna, ben) = apps(Direct::InOneNetwork, NEAR);
        let at_anna = world.call(anna, "ben");
        let at_ben = world.rings(ben);
        world.answer(ben, at_ben);
        Self { world, anna, at_anna, ben, at_ben }
    }

    /// The device offers anew; what it offers is its own description with this behind.
    fn reinvites(&mut self, phone: PhoneId, session: SessionId, more: &str) {
        let (sdp, now) = (self.world.phones[phone.0].sdp() + more, self.world.now.mono);
        self.world.phones[phone.0].ua.reinvite(session, sdp, now);
    }

    /// The device is asked for new media, and describes them.
    fn follows(&mut self, phone: PhoneId) {
        self.world.settle();
        let now = self.world.now.mono;
        let phone = &mut self.world.phones[phone.0];
        let at = phone.events.iter().position(|event| matches!(event, Event::Reinvited { .. })).expect("a re-INVITE");
        let Event::Reinvited { session, sdp, .. } = phone.events.remove(at) else { return };
        assert!(sdp.is_some_and(|sdp| sdp.contains("s=leg-")), "the server's description");
        let sdp = phone.sdp();
        phone.ua.accept_reinvite(session, sdp, now);
        self.world.settle();
    }

    fn bridge(&self) -> (LegId, LegId) {
        assert_eq!(self.world.plane.bridges.len(), 1, "{:?}", self.world.plane.bridges);
        self.world.plane.bridges[0]
    }
}

/// What a session's other end described to a phone.
fn description(world: &World, phone: PhoneId) -> String {
    let described = world.phones[phone.0].events.iter().find_map(|event| match event {
        Event::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    described.expect("an answer")
}

#[test]
fn descriptions_pass_as_they_are_and_the_media_plane_hears_of_nothing() {
    let (mut world, anna, ben) = apps(Direct::InOneNetwork, NEAR);
    let at_anna = world.call(anna, "ben");
    let (at_ben, invite) = world.incoming(ben).unwrap();
    assert_eq!(invite.sdp().unwrap(), world.phones[anna.0].sdp());
    let early = world.phones[anna.0].events.iter().filter_map(|event| match event {
        Event::Progress { response, .. } => Some(response.sdp()),
        _ => None,
    });
    assert_eq!(early.collect::<Vec<_>>(), [None], "no provisional description reaches the caller");
    world.answer(ben, at_ben);
    assert_eq!(description(&world, anna), world.phones[ben.0].sdp());
    assert_eq!(world.story(anna, at_anna), ["180", "200"]);
    assert_eq!(world.story(ben, at_ben), ["confirmed"]);
    world.wait(60.0);
    world.hang_up(ben, at_ben);
    assert_eq!(world.story(anna, at_anna), ["ended by Remote"]);
    assert!(world.plane.commands.is_empty(), "{:?}", world.plane.commands);
    assert_eq!(world.log_of("anna")[0].end, EndReason::RemoteHangup);
    assert!(world.log_of("ben")[0].answered_at.is_some());
    for name in ["anna", "ben"] {
        let figures = world.log_of(name)[0].figures.clone().expect("as far as the server knows them");
        assert_eq!((figures.path, figures.encrypted, figures.inbound), (MediaPath::Direct, true, None));
    }
    assert!(world.measured.is_empty());
    world.check_clean();
}

/// Whether the plane is asked when Anna's device calls Ben's.
fn is_relayed(direct: Direct, addresses: [&str; 2]) -> bool {
    let (mut world, anna, ben) = apps(direct, addresses);
    let at_anna = world.call(anna, "ben");
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    assert_eq!(world.story(anna, at_anna), ["180", "200"]);
    world.hang_up(anna, at_anna);
    let asked = !world.plane.commands.is_empty();
    world.check_clean();
    asked
}

#[test]
fn only_devices_of_one_network_find_each_other_without_help() {
    let far = ["203.0.113.20:40000", "198.51.100.21:40000"];
    assert!(is_relayed(Direct::Never, NEAR));
    assert!(is_relayed(Direct::InOneNetwork, far));
    assert!(!is_relayed(Direct::InOneNetwork, NEAR));
    assert!(!is_relayed(Direct::Everywhere, far), "a TURN server helps");
}

#[test]
fn phones_of_other_makes_have_their_media_at_the_server() {
    let (mut world, anna, ben) = apps(Direct::Everywhere, NEAR);
    let desk = world.registered("ben", 12);
    let at_anna = world.call(anna, "ben");
    let (at_ben, invite) = world.incoming(ben).unwrap();
    assert_eq!(invite.sdp().unwrap(), world.phones[anna.0].sdp());
    let (at_desk, invite) = world.incoming(desk).unwrap();
    assert!(invite.sdp().unwrap().contains("s=leg-"));
    world.answer(desk, at_desk);
    assert_eq!(world.story(anna, at_anna).last().unwrap(), "200");
    assert!(world.story(ben, at_ben)[0].starts_with("cancelled (SIP;cause=200"));
    assert_eq!(world.plane.bridges.len(), 1);
    world.hang_up(anna, at_anna);
    world.check_clean();

    // And a call from one.
    let at_desk = world.call(desk, "anna");
    let (at_anna, invite) = world.incoming(anna).unwrap();
    assert!(invite.sdp().unwrap().contains("s=leg-"));
    world.answer(anna, at_anna);
    world.hang_up(desk, at_desk);
    world.check_clean();
}

#[test]
fn a_call_that_nobody_takes_comes_to_the_mailbox() {
    let (mut world, anna, ben) = apps(Direct::InOneNetwork, NEAR);
    let at_anna = world.call(anna, "ben");
    let at_ben = world.rings(ben);
    world.reject(ben, at_ben, 603);
    assert!(description(&world, anna).contains("s=leg-"));
    assert_eq!(world.story(anna, at_anna).last().unwrap(), "200");
    let (leg, _) = world.deposit();
    world.hang_up_deposit(leg);
    world.check_clean();
}

#[test]
fn when_one_device_offers_anew_both_come_back_to_the_server() {
    for by_caller in [true, false] {
        let mut talking = Talking::new();
        let roles = [(talking.anna, talking.at_anna), (talking.ben, talking.at_ben)];
        let [(first, at_first), (other, at_other)] = if by_caller { roles } else { [roles[1], roles[0]] };
        talking.reinvites(first, at_first, "");
        talking.follows(other);
        let (a, b) = talking.bridge();
        assert_eq!(talking.world.story(first, at_first).last().unwrap(), "re-INVITE 200");
        let offers = talking.world.plane.offers();
        assert_eq!(offers.len(), 1, "only who did not offer is offered something: {offers:?}");
        assert_eq!((offers[0].0, offers[0].1[0]), (LegMedia::WebRtc, Codec::Opus));
        assert_eq!(talking.world.plane.answers()[0].0, if by_caller { a } else { b });
        // From here on it is a call like any other.
        talking.reinvites(first, at_first, "a=sendonly\r\n");
        talking.world.settle();
        let music = MediaCommand::Play { leg: if by_caller { b } else { a }, sound: Sound::HoldMusic, repeat: true };
        assert_eq!(talking.world.plane.commands.iter().filter(|command| **command == music).count(), 1);
        talking.world.hang_up(other, at_other);
        talking.world.check_clean();
    }
}

#[test]
fn both_devices_may_ask_at_the_same_time() {
    let mut talking = Talking::new();
    let Talking { anna, at_anna, ben, at_ben, .. } = talking;
    talking.reinvites(anna, at_anna, "");
    talking.reinvites(ben, at_ben, "");
    // Who met the exchange's own re-INVITE waits and tries again (RFC 3261 section 14.1).
    for _ in 0..8 {
        talking.world.wait(1.0);
        for phone in [anna, ben] {
            let asked = talking.world.phones[phone.0].events.iter().any(|event| matches!(event, Event::Reinvited { .. }));
            if asked {
                talking.follows(phone);
            }
        }
    }
    let (a, b) = talking.bridge();
    assert_eq!(talking.world.plane.open, [a, b].into());
    talking.world.hang_up(anna, at_anna);
    talking.world.check_clean();
}

#[test]
fn who_is_put_on_hold_hears_music_once_the_media_are_back() {
    let mut talking = Talking::new();
    let Talking { anna, at_anna, ben, .. } = talking;
    talking.reinvites(anna, at_anna, "a=sendonly\r\n");
    talking.follows(ben);
    let (_, b) = talking.bridge();
    let last = talking.world.plane.commands.last().unwrap();
    assert_eq!(*last, MediaCommand::Play { leg: b, sound: Sound::HoldMusic, repeat: true });
    talking.world.hang_up(anna, at_anna);
    talking.world.check_clean();
}

#[test]
fn a_transfer_waits_for_the_media() {
    let mut talking = Talking::new();
    let Talking { anna, at_anna, ben, at_ben, .. } = talking;
    let cleo = talking.world.registered("cleo", 13);
    let (now, to) = (talking.world.now.mono, ReferTo::new(Uri::sip("cleo", DOMAIN)));
    let _referral = talking.world.phones[anna.0].ua.refer(at_anna, Refer::new(to), now);
    talking.follows(ben);
    talking.follows(anna);
    let at_cleo = talking.world.rings(cleo);
    talking.world.answer(cleo, at_cleo);
    assert_eq!(talking.world.plane.bridges.len(), 2, "first with each other, then with the target");
    assert_eq!(talking.world.story(anna, at_anna).last().unwrap(), "ended by Remote");
    talking.world.hang_up(ben, at_ben);
    assert_eq!(talking.world.story(cleo, at_cleo).last().unwrap(), "ended by Remote");
    talking.world.check_clean();
}

#[test]
fn a_device_that_can_not_come_back_ends_the_call() {
    let mut talking = Talking::new();
    let Talking { anna, at_anna, ben, at_ben, .. } = talking;
    talking.reinvites(anna, at_anna, "");
    talking.world.settle();
    let now = talking.world.now.mono;
    talking.world.phones[ben.0].ua.reject_reinvite(at_ben, 488, now);
    talking.world.settle();
    assert_eq!(talking.world.story(anna, at_anna).last().unwrap(), "ended by Remote");
    assert_eq!(talking.world.log_of("anna")[0].end, EndReason::Failed);
    talking.world.check_clean();

    let mut talking = Talking::new();
    talking.world.plane.refuses = Some(Box::new(|_| Some(MediaFailure::Exhausted)));
    talking.reinvites(anna, at_anna, "");
    talking.world.settle();
    assert_eq!(talking.world.log_of("ben")[0].end, EndReason::Failed);
    talking.world.check_clean();
}

#[test]
fn whoever_hangs_up_meanwhile_leaves_nothing_behind() {
    let mut talking = Talking::new();
    let Talking { anna, at_anna, ben, at_ben, .. } = talking;
    let to = ReferTo::new(Uri::sip("cleo", DOMAIN));
    let now = talking.world.now.mono;
    let _referral = talking.world.phones[anna.0].ua.refer(at_anna, Refer::new(to), now);
    talking.world.settle();
    talking.world.phones[ben.0].ua.hang_up(at_ben, Headers::new(), now);
    talking.world.settle();
    assert!(talking.world.wire.iter().any(|line| line.contains("481")), "the REFER is answered: {:?}", talking.world.wire);
    talking.world.check_clean();
}

//! Trunks: registering at a provider, calls in and out, who may.

use aftertone_exchange::{DialPlan, Directory, ExchangeConfig, Person, TrunkAccount, TrunkFailure, TrunkState, TrunkStep, Way};
use aftertone_model::{CallingRights, EndReason, NumberFormat, Reason, Trunk};
use aftertone_sip::{Event, Headers, Invite, Method, NameAddr, Request, ResponseParts, SessionId, Transport, Uri};

use crate::world::{DOMAIN, PhoneId, World, id, person};

pub(crate) const PROVIDER: &str = "198.51.100.1:5060";
const OTHER: &str = "198.51.100.2:5060";

pub(crate) fn plan(config: &mut ExchangeConfig) {
    config.dial_plan = DialPlan { country: Some("49".into()), area: Some("30".into()), ..DialPlan::default() };
}

/// Anna has the number +49301001, and what has no number goes to Ben.
pub(crate) fn provider() -> Trunk {
    Trunk {
        user: "4930".into(),
        register: true,
        numbers: [("+49301001".into(), "anna".into())].into(),
        default_to: Some("ben".into()),
        caller_number: Some("+49301000".into()),
        ..Trunk::new("provider", "provider.example")
    }
}

pub(crate) fn account(trunk: Trunk) -> TrunkAccount {
    TrunkAccount { trunk, password: "theirs".into() }
}

pub(crate) fn way(address: &str) -> Way {
    Way { transport: Transport::Udp, address: address.parse().unwrap(), name: "provider.example".into(), fingerprint: None }
}

impl World {
    pub(crate) fn with_trunks(trunks: Vec<Trunk>, at: &[&str]) -> Self {
        let mut world = Self::with(plan);
        world.ways = at.iter().map(|address| way(address)).collect();
        world.exchange.handle_trunks(trunks.into_iter().map(account).collect(), world.now);
        world
    }

    /// With one provider, who has taken the registration.
    pub(crate) fn with_provider() -> (Self, PhoneId) {
        let mut world = Self::with_trunks(vec![provider()], &[PROVIDER]);
        let provider = world.phone_at("provider", PROVIDER);
        world.settle();
        world.takes_registration(provider, 600);
        (world, provider)
    }

    pub(crate) fn asked(&mut self, peer: PhoneId, method: Method) -> Option<(aftertone_sip::IncomingId, Request)> {
        let events = &mut self.phones[peer.0].events;
        let at = events.iter().position(|event| matches!(event, Event::Request { request, .. } if request.method == method))?;
        match events.remove(at) {
            Event::Request { id, request, .. } => Some((id, request)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn answers(&mut self, peer: PhoneId, method: Method, response: impl FnOnce(&Request) -> ResponseParts) -> Request {
        let (id, request) = self.asked(peer, method).expect("a request");
        let now = self.now.mono;
        self.phones[peer.0].ua.respond(id, response(&request), now);
        self.settle();
        request
    }

    pub(crate) fn takes_registration(&mut self, peer: PhoneId, expires: u32) -> Request {
        self.answers(peer, Method::Register, |request| {
            let contact = request.headers.contacts().remove(0).with_param("expires", Some(&expires.to_string()));
            ResponseParts::new(200).with("Contact", contact)
        })
    }

    /// The provider calls us, as it was told: at our contact, with the number in To.
    pub(crate) fn provider_calls(&mut self, peer: PhoneId, contact: &Uri, number: &str, from: &str) -> SessionId {
        let now = self.now.mono;
        let phone = &mut self.phones[peer.0];
        let to = NameAddr::new(Uri::sip(number, "provider.example"));
        let invite = Invite {
            uri: contact.clone(),
            from: from.parse().unwrap(),
            to,
            contact: phone.contact(),
            headers: Headers::new(),
            sdp: Some(phone.sdp()),
            credentials: None,
        };
        let session = phone.ua.invite(invite, phone.flow, now);
        self.settle();
        session
    }

    pub(crate) fn state(&self, name: &str) -> TrunkState {
        self.exchange.trunks()[name]
    }

    /// What the one trunk does, and what it failed at.
    fn report(&self) -> (TrunkStep, Option<TrunkFailure>) {
        let mut known = std::collections::BTreeMap::new();
        assert!(self.exchange.report_trunks(&mut known), "a first look is news");
        assert!(!self.exchange.report_trunks(&mut known), "a second one isn't");
        let report = known["provider"];
        (report.step, report.failure)
    }
}

pub(crate) fn bound(request: &Request) -> Uri {
    request.headers.contact().unwrap().uri
}

#[test]
fn a_registration_is_renewed_before_its_end_and_taken_back_at_the_end() {
    let (mut world, provider) = World::with_provider();
    assert_eq!(world.state("provider"), TrunkState::Up);
    world.wait(400.0);
    assert!(world.asked(provider, Method::Register).is_none(), "not so soon");
    let is_asked = |world: &World| {
        let events = &world.phones[provider.0].events;
        events.iter().any(|event| matches!(event, Event::Request { .. }))
    };
    let mut waited = 400;
    while !is_asked(&world) {
        world.wait(1.0);
        waited += 1;
    }
    assert!(waited <= 541, "after {waited} s of 600");
    let renewed = world.takes_registration(provider, 600);
    assert_eq!(renewed.uri.host(), "provider.example");
    world.exchange.hang_up_all(world.now);
    world.settle();
    let (_, last) = world.asked(provider, Method::Register).expect("it says good-bye");
    assert_eq!(last.headers.expires(), Some(0));
}

/// Whoever stops waits until the registrar has let the binding go, else it rings where nobody is for another ten minutes.
#[test]
fn a_registration_is_taken_back_though_the_registrar_asks_for_the_password_again() {
    let (mut world, provider) = World::with_provider();
    world.exchange.hang_up_all(world.now);
    world.settle();
    assert!(world.exchange.is_leaving());
    let challenge = "Digest realm=\"provider.example\", nonce=\"fresh\", algorithm=MD5, qop=\"auth\", stale=true";
    world.answers(provider, Method::Register, |_| ResponseParts::new(401).with("WWW-Authenticate", challenge));
    assert!(world.exchange.is_leaving());
    let last = world.answers(provider, Method::Register, |_| ResponseParts::new(200));
    assert_eq!(last.headers.expires(), Some(0));
    assert!(last.headers.get("Authorization").is_some_and(|shown| shown.contains("fresh")), "{last:?}");
    assert!(!world.exchange.is_leaving());
}

#[test]
fn a_registrar_says_how_long_it_wants() {
    let mut world = World::with_trunks(vec![Trunk { expires: 30, ..provider() }], &[PROVIDER]);
    let provider = world.phone_at("provider", PROVIDER);
    world.settle();
    let first = world.answers(provider, Method::Register, |_| ResponseParts::new(423).with("Min-Expires", 120));
    let second = world.takes_registration(provider, 120);
    assert_eq!((first.headers.expires(), second.headers.expires()), (Some(30), Some(120)));
    assert_eq!(first.headers.call_id(), second.headers.call_id(), "one registration");
    assert_eq!(world.state("provider"), TrunkState::Up);
}

#[test]
fn another_machine_of_the_provider_is_tried_when_one_is_dead() {
    let mut world = World::with_trunks(vec![provider()], &[PROVIDER, OTHER]);
    let (dead, alive) = (world.phone_at("dead", PROVIDER), world.phone_at("alive", OTHER));
    world.phones[dead.0].deaf = true;
    world.settle();
    world.wait(33.0);
    world.takes_registration(alive, 600);
    assert_eq!(world.state("provider"), TrunkState::Up);
}

#[test]
fn a_provider_that_is_gone_is_asked_again_with_growing_pauses() {
    let mut world = World::with_trunks(vec![provider()], &[]);
    world.settle();
    assert_eq!(world.state("provider"), TrunkState::Unreachable);
    world.ways = vec![way(PROVIDER)];
    let provider = world.phone_at("provider", PROVIDER);
    world.wait(2.1);
    world.takes_registration(provider, 600);
    assert_eq!(world.state("provider"), TrunkState::Up);
}

#[test]
fn a_wrong_password_is_told_and_not_tried_at_once_again() {
    let mut world = World::with_trunks(vec![provider()], &[PROVIDER, OTHER]);
    let provider = world.phone_at("provider", PROVIDER);
    world.settle();
    world.answers(provider, Method::Register, |_| ResponseParts::new(403));
    assert_eq!(world.state("provider"), TrunkState::Refused);
    assert!(world.asked(provider, Method::Register).is_none());
}

/// Whoever set the trunk up is told what it does, and at which step it fails.
#[test]
fn each_step_and_its_failure_is_told() {
    let mut world = World::with_trunks(vec![provider()], &[]);
    assert_eq!(world.report(), (TrunkStep::Locating, None));
    world.settle();
    assert_eq!(world.report(), (TrunkStep::Waiting, Some(TrunkFailure::NotFound)));

    let refusals = [(401, TrunkFailure::WrongCredentials), (403, TrunkFailure::Refused(403)), (500, TrunkFailure::Refused(500))];
    for (status, failure) in refusals {
        let mut world = World::with_trunks(vec![provider()], &[PROVIDER]);
        let peer = world.phone_at("provider", PROVIDER);
        world.settle();
        assert_eq!(world.report(), (TrunkStep::Registering, None));
        world.answers(peer, Method::Register, |_| ResponseParts::new(status));
        assert_eq!(world.report(), (TrunkStep::Waiting, Some(failure)));
    }

    let mut world = World::with_trunks(vec![provider()], &[PROVIDER]);
    let peer = world.phone_at("provider", PROVIDER);
    world.phones[peer.0].deaf = true;
    world.settle();
    world.wait(33.0);
    assert_eq!(world.report(), (TrunkStep::Waiting, Some(TrunkFailure::Silent)));
    world.phones[peer.0].deaf = false;
    world.wait(2.1);
    world.takes_registration(peer, 600);
    assert_eq!(world.report(), (TrunkStep::Up, None));

    let mut world = World::with_trunks(vec![provider()], &[]);
    world.ways = vec![Way { transport: Transport::Tcp, ..way(PROVIDER) }];
    world.closed.push(PROVIDER.parse().unwrap());
    world.settle();
    assert_eq!(world.report(), (TrunkStep::Waiting, Some(TrunkFailure::NotReached)));
}

#[test]
fn behind_a_nat_the_contact_is_what_the_provider_sees() {
    let mut world = World::with_trunks(vec![provider()], &[PROVIDER]);
    let provider = world.phone_at("provider", PROVIDER);
    // What the exchange sends comes from this address, as the provider sees it.
    world.nat = Some("203.0.113.77:40123".parse().unwrap());
    world.settle();
    let first = world.takes_registration(provider, 600);
    let second = world.takes_registration(provider, 600);
    assert_eq!(bound(&first).socket_addr(5060).unwrap().to_string(), "10.0.0.1:5060");
    let contacts = second.headers.contacts();
    assert_eq!(contacts[0].uri.socket_addr(5060).unwrap().to_string(), "203.0.113.77:40123");
    assert_eq!((contacts[1].uri.clone(), contacts[1].expires()), (bound(&first), Some(0)), "the former one is taken back");
    assert!(world.asked(provider, Method::Register).is_none(), "once is enough");
}

#[test]
fn the_way_to_the_provider_is_kept_open() {
    let (mut world, _) = World::with_provider();
    let before = world.sent.len();
    world.wait(60.0);
    let kept = world.sent[before..].iter().filter(|(to, bytes)| to.to_string() == PROVIDER && bytes == "\r\n\r\n").count();
    assert_eq!(kept, 2);
}

#[test]
fn a_call_to_somebodys_number_rings_at_that_person_and_others_at_whoever_gets_the_rest() {
    let (mut world, provider) = World::with_provider();
    let contact = contact_of(&world);
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    for (number, rings) in [("49301001", anna), ("+4930777", ben)] {
        let session = world.provider_calls(provider, &contact, number, "\"Zoe\" <sip:030555123@provider.example>");
        let (leg, request) = world.incoming(rings).expect("it rings");
        let from = request.headers.from().unwrap();
        assert_eq!((from.uri.user().unwrap().as_ref(), from.display.as_deref()), ("+4930555123", Some("Zoe")));
        world.answer(rings, leg);
        assert_eq!(world.story(provider, session).last().unwrap(), "200");
        world.hang_up(provider, session);
    }
    let record = world.log_of("anna")[0];
    assert_eq!((record.party.number.as_str(), record.end), ("+4930555123", EndReason::RemoteHangup));
    world.check_clean();
}

/// The contact that the provider was given last.
pub(crate) fn contact_of(world: &World) -> Uri {
    let registers = world.sent.iter().rev().find(|(to, bytes)| to.to_string() == PROVIDER && bytes.starts_with("REGISTER"));
    let line = registers.unwrap().1.lines().find(|line| line.starts_with("Contact:")).unwrap().to_owned();
    line.trim_start_matches("Contact:").trim().parse::<NameAddr>().unwrap().uri
}

#[test]
fn a_missed_call_from_a_trunk_is_taken_by_the_mailbox() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let contact = contact_of(&world);
    let session = world.provider_calls(provider, &contact, "+49301001", "<sip:+4930555123@provider.example>");
    world.rings(anna);
    world.wait(20.1);
    let (_, order) = world.deposit();
    assert_eq!((order.envelope.reason, order.envelope.caller.number.as_str()), (Reason::NoAnswer, "+4930555123"));
    world.hang_up(provider, session);
    world.check_clean();
}

#[test]
fn people_dial_out_as_they_are_used_to() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030 555-123");
    let (leg, request) = world.incoming(provider).expect("the provider is called");
    assert_eq!(request.uri.to_string(), "sip:+4930555123@provider.example");
    let from = request.headers.from().unwrap();
    assert_eq!(from.uri.to_string(), "sip:+49301001@provider.example", "her own number");
    assert_eq!(from.display.as_deref(), Some("Anna Adler"));
    world.answer(provider, leg);
    assert_eq!(world.story(anna, session), ["180", "200"]);
    assert_eq!(world.plane.bridges.len(), 1);
    world.hang_up(anna, session);
    let record = world.log_of("anna")[0];
    assert_eq!((record.party.number.as_str(), record.end), ("+4930555123", EndReason::LocalHangup));
    world.check_clean();
}

#[test]
fn who_has_no_number_shows_the_trunks() {
    let (mut world, provider) = World::with_provider();
    let ben = world.registered("ben", 12);
    world.call(ben, "0301234567");
    let (_, request) = world.incoming(provider).unwrap();
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "+49301000");
}

#[test]
fn a_trunk_may_want_another_form_and_the_identity_apart() {
    let trunk = Trunk { format: NumberFormat::National, asserted_identity: true, ..provider() };
    let mut world = World::with_trunks(vec![trunk], &[PROVIDER]);
    let provider = world.phone_at("provider", PROVIDER);
    world.settle();
    world.takes_registration(provider, 600);
    let anna = world.registered("anna", 11);
    world.call(anna, "+4989555");
    let (_, request) = world.incoming(provider).unwrap();
    assert_eq!(request.uri.user().unwrap(), "089555");
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "4930");
    assert_eq!(request.headers.addresses("P-Asserted-Identity")[0].uri.user().unwrap(), "0301001");
}

#[test]
fn what_the_outside_answers_is_what_the_caller_hears() {
    for (status, end) in
        [(486, EndReason::Busy), (404, EndReason::Failed), (480, EndReason::NoAnswer), (603, EndReason::Declined)]
    {
        let (mut world, provider) = World::with_provider();
        let anna = world.registered("anna", 11);
        let session = world.call(anna, "030555123");
        let leg = world.rings(provider);
        world.reject(provider, leg, status);
        assert_eq!(world.story(anna, session).last().unwrap(), &status.to_string());
        assert_eq!(world.log_of("anna")[0].end, end, "{status}");
        world.check_clean();
    }
}

/// Two providers, each with its own machine, both up.
pub(crate) fn two() -> (World, PhoneId, PhoneId) {
    two_with(plan)
}

fn two_with(adjust: impl FnOnce(&mut ExchangeConfig)) -> (World, PhoneId, PhoneId) {
    let mut world = World::with(adjust);
    let (first, second) = (world.phone_at("first", PROVIDER), world.phone_at("second", OTHER));
    let peer = |name: &str, order| Trunk { order, caller_number: Some("+49301000".into()), ..Trunk::new(name, name) };
    // Each look-up is answered at once, in this order.
    world.ways = vec![way(PROVIDER)];
    world.exchange.handle_trunks(vec![account(peer("first", 1))], world.now);
    world.settle();
    world.ways = vec![way(OTHER)];
    world.exchange.handle_trunks(vec![account(peer("first", 1)), account(peer("second", 2))], world.now);
    world.settle();
    for peer in [first, second] {
        world.answers(peer, Method::Options, |_| ResponseParts::new(200));
    }
    assert_eq!((world.state("first"), world.state("second")), (TrunkState::Up, TrunkState::Up));
    (world, first, second)
}

#[test]
fn the_next_trunk_is_tried_when_one_fails_but_not_when_the_other_side_is_busy() {
    let (mut world, first, second) = two();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(first);
    world.reject(first, leg, 503);
    let leg = world.rings(second);
    world.reject(second, leg, 486);
    assert_eq!(world.story(anna, session).last().unwrap(), "486");
    assert!(world.incoming(first).is_none());
    world.check_clean();
}

#[test]
fn a_silent_trunk_is_given_up_soon() {
    let (mut world, first, second) = two();
    world.phones[first.0].deaf = true;
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    world.wait(8.1);
    let leg = world.rings(second);
    world.answer(second, leg);
    assert_eq!(world.story(anna, session).last().unwrap(), "200");
}

#[test]
fn emergencies_go_over_the_trunk_that_is_named_for_them_whoever_calls() {
    let (mut world, first, second) = two_with(|config| {
        plan(config);
        config.dial_plan.emergency_trunk = Some("second".into());
    });
    let people = ["anna", "ben", "cleo"].map(|name| Person { rights: CallingRights::Internal, ..person(name) });
    world.exchange.handle_directory(Directory::new(people), world.now);
    let anna = world.registered("anna", 11);
    world.call(anna, "112");
    let (_, request) = world.incoming(second).expect("the named trunk");
    assert_eq!(request.uri.user().unwrap(), "112");
    assert!(world.incoming(first).is_none());
}

#[test]
fn rights_decide_how_far_somebody_may_call() {
    let allowed = |rights: CallingRights, number: &str| {
        let (mut world, provider) = World::with_provider();
        let people = ["anna", "ben", "cleo"].map(|name| Person { rights, ..person(name) });
        world.exchange.handle_directory(Directory::new(people), world.now);
        let anna = world.registered("anna", 11);
        let session = world.call(anna, number);
        let rings = world.incoming(provider).is_some();
        assert!(rings || world.story(anna, session) == ["403"], "{number}");
        rings
    };
    assert!(!allowed(CallingRights::Internal, "030555123"));
    assert!(allowed(CallingRights::National, "030555123"));
    assert!(!allowed(CallingRights::National, "0043155512"));
    assert!(allowed(CallingRights::International, "0043155512"));
}

/// What a caller has left is no number that somebody has dialled.
#[test]
fn a_number_at_which_somebody_earns_is_dialled_and_not_called_back() {
    let called = |rights: CallingRights, barred: &str, number: &str, is_back: bool| {
        let mut world = World::with(|config| {
            plan(config);
            config.dial_plan.barred = vec![barred.into()];
        });
        world.ways = vec![way(PROVIDER)];
        world.exchange.handle_trunks(vec![account(provider())], world.now);
        let provider = world.phone_at("provider", PROVIDER);
        world.settle();
        world.takes_registration(provider, 600);
        let people = ["anna", "ben", "cleo"].map(|name| Person { rights, ..person(name) });
        world.exchange.handle_directory(Directory::new(people), world.now);
        let anna = world.registered_app("anna", 1);
        let session = if is_back { world.call_back(anna, number) } else { world.call(anna, number) };
        let refused = world.refusal(anna, session);
        assert_eq!(world.incoming(provider).is_some(), refused.is_none(), "{number}: {refused:?}");
        refused
    };
    let (national, premium) = (CallingRights::National, "09001234567");
    assert_eq!(called(national, "+4999", premium, false), None, "who dials it means it");
    assert_eq!(called(national, "+4999", premium, true).as_deref(), Some("costs-extra"));
    assert_eq!(called(national, "+4999", "030555123", true), None);
    assert_eq!(called(national, "+4999", "112", true), None);
    for is_back in [false, true] {
        assert_eq!(called(national, "+49900", premium, is_back).as_deref(), Some("barred"));
        assert_eq!(called(CallingRights::Internal, "+4999", "030555123", is_back).as_deref(), Some("rights"));
    }
}

#[test]
fn nobody_unauthenticated_uses_a_trunk() {
    let check = |adjust: &dyn Fn(&mut ExchangeConfig), from: &str, expect: &str| {
        let mut world = World::with(|config| {
            plan(config);
            adjust(config);
        });
        world.ways = vec![way(PROVIDER)];
        world.exchange.handle_trunks(vec![account(provider())], world.now);
        let provider = world.phone_at("provider", PROVIDER);
        world.settle();
        world.takes_registration(provider, 600);
        let stranger = world.phone("mallory", 66);
        world.phones[stranger.0].credentials = None;
        let session = world.call_as(stranger, from.parse().unwrap(), Uri::sip("030555123", DOMAIN));
        assert!(world.incoming(provider).is_none(), "{from}");
        assert_eq!(world.story(stranger, session), [expect], "{from}");
    };
    let trusting = |config: &mut ExchangeConfig| config.trusted = vec!["10.0.0.0/8".parse().unwrap()];
    check(&|_| {}, "<sip:x@elsewhere.example>", "403");
    check(&|_| {}, "<sip:anna@example.org>", "401");
    check(&|config| config.open = true, "<sip:x@elsewhere.example>", "404");
    check(&trusting, "<sip:x@elsewhere.example>", "404");
    check(&trusting, "<sip:anna@example.org>", "401");
}

#[test]
fn a_trunks_peer_cannot_call_through_us() {
    let (mut world, provider) = World::with_provider();
    let uri = Uri::sip("+431555", DOMAIN);
    let session = world.provider_calls(provider, &uri, "+431555", "<sip:+4930555123@provider.example>");
    // It goes to whoever gets what has no number, and not out again.
    assert!(world.incoming(provider).is_none());
    assert_eq!(world.deposit().1.envelope.mailbox, id("ben"));
    world.hang_up(provider, session);
}

#[test]
fn a_trunk_that_is_taken_away_takes_no_calls() {
    let (mut world, provider) = World::with_provider();
    world.exchange.handle_trunks(Vec::new(), world.now);
    world.settle();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    assert_eq!(world.story(anna, session), ["404"]);
    assert!(world.incoming(provider).is_none());
}

//! Those who guess and those who ask too often; and what the registrar keeps.

use aftertone_sip::{Credentials, Headers, Method, NameAddr, OutgoingRequest, Uri};

use crate::world::{DOMAIN, PhoneId, World, id, status_of};

impl World {
    fn tries(&mut self, phone: PhoneId, name: &str, password: &str) -> u16 {
        self.phones[phone.0].credentials = Some(Credentials::new(format!("{name}-phone"), password));
        self.register(phone, name, 300)
    }

    /// A REGISTER without any proof; whether it was answered at all, and how.
    fn asks_as(&mut self, phone: PhoneId, name: &str) -> Option<u16> {
        let before = self.phones[phone.0].events.len();
        let aor = NameAddr::new(Uri::sip(name, DOMAIN));
        let request = OutgoingRequest::new(Method::Register, Uri::sip("", DOMAIN), aor.clone(), aor);
        let now = self.now.mono;
        let flow = self.phones[phone.0].flow;
        self.phones[phone.0].ua.request(request, flow, None, now);
        self.settle();
        let events = &self.phones[phone.0].events[before..];
        events.iter().find_map(|event| match event {
            aftertone_sip::Event::Response { result, .. } => Some(status_of(result)),
            _ => None,
        })
    }
}

#[test]
fn a_password_is_not_guessed_and_its_owner_is_not_locked_out() {
    let mut world = World::new();
    let (owner, guesser) = (world.phone("anna", 11), world.phone("anna", 66));
    for _ in 0..6 {
        assert_eq!(world.tries(guesser, "anna", "wrong"), 401);
    }
    assert_eq!(world.tries(guesser, "anna", crate::world::PASSWORD), 401, "not even the right one, for now");
    assert_eq!(world.tries(owner, "anna", crate::world::PASSWORD), 200, "elsewhere it is");
    world.wait(5.0);
    assert_eq!(world.tries(guesser, "anna", crate::world::PASSWORD), 200, "whoever mistyped it may try again soon");
}

#[test]
fn the_pauses_grow() {
    let mut world = World::new();
    let guesser = world.phone("anna", 66);
    for _ in 0..9 {
        world.tries(guesser, "anna", "wrong");
        world.wait(40.0);
    }
    world.tries(guesser, "anna", "wrong");
    world.wait(30.0);
    assert_eq!(world.tries(guesser, "anna", crate::world::PASSWORD), 401);
    world.wait(300.0);
    assert_eq!(world.tries(guesser, "anna", crate::world::PASSWORD), 200);
}

#[test]
fn a_scanner_that_guesses_names_is_not_heard_any_more_but_others_are() {
    let mut world = World::new();
    let (scanner, anna) = (world.phone("scanner", 66), world.phone("anna", 11));
    let answers: Vec<_> = (0..60)
        .map(|number| {
            world.wait(1.0);
            world.asks_as(scanner, &format!("{}", 1000 + number))
        })
        .collect();
    assert!(
        answers[..35].iter().all(|answer| *answer == Some(401)),
        "the same for whoever exists and whoever doesn't: {answers:?}"
    );
    assert!(answers[37..].iter().all(Option::is_none), "{answers:?}");
    assert_eq!(world.tries(anna, "anna", crate::world::PASSWORD), 200);
    world.wait(700.0);
    assert_eq!(world.asks_as(scanner, "1001"), Some(401), "bans end");
}

#[test]
fn a_site_whose_phones_all_start_at_once_is_no_scanner() {
    let mut world = World::new();
    // All from one address: every phone asks before the first of them answers its challenge.
    let phones: Vec<_> = (0..60).map(|number| world.phone_at("desk", &format!("10.0.0.66:{}", 6000 + number))).collect();
    for (number, phone) in phones.iter().enumerate() {
        assert_eq!(world.asks_as(*phone, &format!("desk-{number}")), Some(401));
    }
    assert_eq!(world.tries(phones[0], "anna", crate::world::PASSWORD), 200);
    world.wait(10.0);
    assert_eq!(world.asks_as(phones[1], "desk-1"), Some(401), "and is heard later");
}

#[test]
fn this_machine_is_limited_like_any_other() {
    let mut world = World::new();
    let hasty = world.phone_at("anna", "127.0.0.1:7000");
    let answers: Vec<_> = (0..110).map(|_| world.asks_as(hasty, "anna")).collect();
    assert_eq!((answers[0], answers[105]), (Some(401), Some(503)));
    world.wait(10.0);
    for number in 0..60 {
        world.wait(1.0);
        world.asks_as(hasty, &format!("{number}"));
    }
    assert_eq!(world.asks_as(hasty, "anna"), None, "and banned like any other");
}

#[test]
fn calls_and_phones_of_a_banned_source_go_on() {
    let mut world = World::new();
    let (desk, scanner, ben) =
        (world.phone_at("anna", "10.0.0.66:5060"), world.phone_at("scanner", "10.0.0.66:9999"), world.registered("ben", 12));
    assert_eq!(world.register(desk, "anna", 3600), 200);
    let session = world.call(desk, "ben");
    let leg = world.rings(ben);
    world.answer(ben, leg);
    // Its proof was believed for an hour.
    world.wait(3550.0);
    for number in 0..120 {
        world.wait(1.0);
        world.asks_as(scanner, &format!("{number}"));
    }
    assert_eq!(world.asks_as(scanner, "anna"), None, "banned");
    world.hang_up(desk, session);
    assert!(world.story(ben, leg).last().unwrap().starts_with("ended by Remote"));
}

#[test]
fn who_asks_too_often_is_told_to_wait() {
    let mut world = World::new();
    let hasty = world.phone("anna", 66);
    let answers: Vec<_> = (0..110).map(|_| world.asks_as(hasty, "anna")).collect();
    assert!(answers[..100].iter().all(|answer| *answer == Some(401)));
    assert_eq!(answers[105], Some(503));
    world.wait(2.0);
    assert_eq!(world.asks_as(hasty, "anna"), Some(401));
}

#[test]
fn calls_take_the_path_that_a_phone_registered_over() {
    let mut world = World::new();
    let (edge, caller) = (world.phone_at("anna", "10.0.0.80:5060"), world.registered("ben", 12));
    let headers = Headers::new()
        .with("Contact", "<sip:anna@172.16.0.5:5060>;expires=300")
        .with("Path", "<sip:10.0.0.80;lr>")
        .with("Supported", "path");
    let response = world.register_with(edge, "anna", headers).unwrap();
    assert_eq!(response.headers.get("Path"), Some("<sip:10.0.0.80;lr>"));
    world.call(caller, "anna");
    let (_, request) = world.incoming(edge).expect("over the proxy");
    assert_eq!(request.uri.to_string(), "sip:anna@172.16.0.5:5060");
    assert_eq!(request.headers.get("Route"), Some("<sip:10.0.0.80;lr>"));
}

#[test]
fn a_phone_with_several_flows_rings_once() {
    let mut world = World::new();
    let (first, second, caller) = (world.phone("anna", 11), world.phone("anna", 12), world.registered("ben", 13));
    for (flow, number) in [(first, 1), (second, 2)] {
        let contact = world.phones[flow.0].contact().with_param("+sip.instance", Some("\"<urn:uuid:1>\""));
        let contact = contact.with_param("reg-id", Some(&number.to_string()));
        let headers = Headers::new().with("Contact", contact).with("Supported", "outbound, path");
        let response = world.register_with(flow, "anna", headers).unwrap();
        assert_eq!(response.headers.get("Require"), Some("outbound"));
        assert_eq!(response.headers.contacts().len(), number);
    }
    world.call(caller, "anna");
    assert!(world.incoming(first).is_none());
    assert!(world.incoming(second).is_some(), "over the newest");
}

#[test]
fn phones_are_still_registered_after_a_restart() {
    let mut before = World::new();
    before.registered("anna", 11);
    before.registered_app("anna", 50);
    let saved = before.exchange.saved_bindings(id("anna"), before.now);
    assert_eq!(saved.len(), 1, "an app comes back by itself");

    let mut after = World::new();
    let caller = after.registered("ben", 12);
    let annas = after.phone("anna", 11);
    let restored = saved.iter().map(|saved| (id("anna"), saved.clone())).collect();
    after.exchange.restore_bindings(restored, after.now);
    after.settle();
    after.call(caller, "anna");
    assert!(after.incoming(annas).is_some());

    let mut late = World::new();
    late.wait(301.0);
    late.exchange.restore_bindings(saved.into_iter().map(|saved| (id("anna"), saved)).collect(), late.now);
    assert_eq!(late.exchange.registered(id("anna")).count(), 0, "its time was over");
}

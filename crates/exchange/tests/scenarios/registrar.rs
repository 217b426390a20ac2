//! Who may register, for how long, and what ends a binding.

use aftertone_exchange::{Directory, Event};
use aftertone_sip::{
    Credentials, Flow, Headers, Method, NameAddr, OutgoingRequest, RequestFailure, Uri,
    digest::{Algorithm, Secret, ha1},
};

use crate::world::{DOMAIN, PASSWORD, World, device, id, person, status_of};

fn reachable(world: &World, name: &str) -> usize {
    world.exchange.registered(id(name)).count()
}

#[test]
fn a_phone_registers_by_digest() {
    let mut world = World::new();
    let phone = world.phone("anna", 11);
    assert_eq!(world.register(phone, "anna", 300), 200);
    assert_eq!(reachable(&world, "anna"), 1);
    assert!(world.events.contains(&Event::BindingsChanged(id("anna"))));
    let seen = world.events.iter().filter(|event| matches!(event, Event::DeviceSeen(owner, _) if *owner == id("anna")));
    assert_eq!(seen.count(), 1);
    // The challenge offers the better hash first.
    assert_eq!(world.wire[1], "-> SIP/2.0 401 Unauthorized");
}

#[test]
fn user_name_and_extension_are_the_same_person() {
    let mut world = World::new();
    let (desk, cellar) = (world.phone("anna", 11), world.phone("anna", 12));
    assert_eq!(world.register(desk, "anna", 300), 200);
    assert_eq!(world.register(cellar, "1001", 300), 200);
    assert_eq!(reachable(&world, "anna"), 2);
}

#[test]
fn a_phone_that_only_knows_one_hash_registers() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
        let mut world = World::new();
        let phone = world.phone("anna", 11);
        let user = "anna-phone".to_owned();
        let secret = Secret::Ha1([(algorithm, ha1(algorithm, &user, DOMAIN, PASSWORD))].into());
        world.phones[phone.0].credentials = Some(Credentials { username: user, secret });
        assert_eq!(world.register(phone, "anna", 300), 200, "{algorithm}");
    }
}

#[test]
fn a_phone_from_before_the_third_hash_was_kept_registers() {
    let mut world = World::new();
    let mut anna = person("anna");
    anna.phones[0].ha1_sha512_256.clear();
    world.exchange.handle_directory(Directory::new([anna]), world.now);
    let phone = world.phone("anna", 11);
    assert_eq!(world.register(phone, "anna", 300), 200);
}

#[test]
fn a_wrong_password_registers_nothing() {
    let mut world = World::new();
    let phone = world.phone("anna", 11);
    world.phones[phone.0].credentials = Some(Credentials::new("anna-phone", "wrong"));
    assert_eq!(world.register(phone, "anna", 300), 401);
    world.phones[phone.0].credentials = Some(Credentials::new("nobody", PASSWORD));
    assert_eq!(world.register(phone, "anna", 300), 401);
    world.phones[phone.0].credentials = None;
    assert_eq!(world.register(phone, "anna", 300), 401);
    // An unknown name is answered alike.
    assert_eq!(world.register(phone, "nobody", 300), 401);
    assert_eq!(reachable(&world, "anna"), 0);
}

#[test]
fn nobody_registers_as_somebody_else() {
    let mut world = World::new();
    let phone = world.phone("anna", 11);
    assert_eq!(world.register(phone, "ben", 300), 403);
    let app = world.app("anna", 50);
    assert_eq!(world.register(app, "ben", 300), 403);
    assert_eq!(reachable(&world, "ben"), 0);
    // From must be theirs, too.
    let (from, to) = (NameAddr::new(Uri::sip("ben", DOMAIN)), NameAddr::new(Uri::sip("anna", DOMAIN)));
    let mut request = OutgoingRequest::new(Method::Register, Uri::sip("", DOMAIN), from, to);
    request.headers = Headers::new().with("Contact", "<sip:anna@192.0.2.50>");
    assert_eq!(world.request(app, request).unwrap_err().status(), 403);
    assert_eq!(reachable(&world, "anna"), 0);
}

#[test]
fn a_device_of_ours_needs_no_digest() {
    let mut world = World::new();
    let app = world.app("anna", 50);
    assert_eq!(world.register(app, "anna", 300), 200);
    assert_eq!(world.exchange.registered(id("anna")).collect::<Vec<_>>(), [device(50)]);
    assert!(!world.wire.iter().any(|line| line.contains("401")));
}

#[test]
fn registrations_may_not_be_too_short_and_are_shortened_if_too_long() {
    let mut world = World::new();
    let phone = world.phone("anna", 11);
    let contact = world.phones[phone.0].contact();
    let too_brief = Headers::new().with("Contact", &contact).with("Expires", 10);
    let RequestFailure::Refused(refusal) = world.register_with(phone, "anna", too_brief).unwrap_err() else { panic!() };
    assert_eq!((refusal.status, refusal.headers.get("Min-Expires")), (423, Some("60")));
    assert_eq!(reachable(&world, "anna"), 0);
    let too_long = Headers::new().with("Contact", &contact).with("Expires", 1_000_000);
    let granted = world.register_with(phone, "anna", too_long).unwrap();
    assert_eq!(granted.headers.contact().unwrap().expires(), Some(3600));
}

#[test]
fn a_binding_lasts_as_long_as_it_was_asked_for() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    world.wait(299.0);
    assert_eq!(reachable(&world, "anna"), 1);
    assert_eq!(world.register(phone, "anna", 300), 200);
    world.wait(299.0);
    assert_eq!(reachable(&world, "anna"), 1);
    world.wait(2.0);
    assert_eq!(reachable(&world, "anna"), 0);
    let changes = world.events.iter().filter(|event| **event == Event::BindingsChanged(id("anna"))).count();
    assert_eq!(changes, 2, "a refresh changes nothing");
}

/// RFC 3261 section 10.3, steps 6 and 7: an update that is not newer than what is known is none.
#[test]
fn an_old_registration_changes_nothing() {
    let mut world = World::new();
    let app = world.app("anna", 50);
    let flow = world.phones[app.0].flow;
    let back = Flow { local: flow.remote, remote: flow.local, ..flow };
    let mut sent = 0;
    let mut register = |world: &mut World, call: &str, number: u32, contact: &str| {
        sent += 1;
        let text = format!(
            "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK{sent}\r\nMax-Forwards: 70\r\n\
             From: <sip:anna@example.org>;tag={sent}\r\nTo: <sip:anna@example.org>\r\nCall-ID: {call}\r\nCSeq: {number} REGISTER\r\n\
             Contact: {contact}\r\nContent-Length: 0\r\n\r\n"
        );
        world.exchange.handle_received(back, text.as_bytes(), world.now);
        world.settle();
        let (_, answer) = world.sent.last().unwrap();
        (answer[8..11].parse::<u16>().unwrap(), world.exchange.registered(id("anna")).count())
    };
    let (here, gone) = ("<sip:anna@x.invalid;transport=ws>;expires=300", "<sip:anna@x.invalid;transport=ws>;expires=0");
    assert_eq!(register(&mut world, "one", 5, here), (200, 1));
    assert_eq!(register(&mut world, "one", 5, gone), (500, 1), "the same number");
    assert_eq!(register(&mut world, "one", 4, gone), (500, 1));
    assert_eq!(register(&mut world, "one", 6, here), (200, 1));
    assert_eq!(register(&mut world, "one", 6, "*\r\nExpires: 0"), (500, 1));
    assert_eq!(register(&mut world, "one", 7, "*\r\nExpires: 0"), (200, 0));
    // Another program of the same device begins with its own numbers.
    assert_eq!(register(&mut world, "one", 8, here), (200, 1));
    assert_eq!(register(&mut world, "two", 1, here), (200, 1));
}

#[test]
fn unregistering_ends_one_binding_and_a_star_those_of_the_device() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    let _app = world.registered_app("anna", 50);
    let cellar = world.registered("anna", 12);
    assert_eq!(reachable(&world, "anna"), 3);
    assert_eq!(world.register(phone, "anna", 0), 200);
    assert_eq!(reachable(&world, "anna"), 2);
    let star = Headers::new().with("Contact", "*").with("Expires", 0);
    assert_eq!(world.register_with(cellar, "anna", star).unwrap().status, 200);
    assert_eq!(world.exchange.registered(id("anna")).collect::<Vec<_>>(), [device(50)]);
    let star = Headers::new().with("Contact", "*").with("Expires", 60);
    assert_eq!(world.register_with(cellar, "anna", star).unwrap_err().status(), 400);
}

#[test]
fn a_register_without_contact_lists_the_bindings() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    world.wait(100.0);
    let listed = world.register_with(phone, "anna", Headers::new()).unwrap();
    let contact = listed.headers.contact().unwrap();
    assert_eq!((contact.uri.to_string(), contact.expires()), ("sip:anna@10.0.0.11:5060".to_owned(), Some(200)));
}

#[test]
fn a_closed_connection_ends_its_bindings() {
    let mut world = World::new();
    let app = world.registered_app("anna", 50);
    world.close(app);
    assert_eq!(reachable(&world, "anna"), 0);
}

#[test]
fn a_device_of_ours_that_comes_back_is_there_once() {
    let mut world = World::new();
    let _lost = world.registered_app("anna", 50);
    let back = world.app_of("anna", 51, (id("anna"), device(50)));
    assert_eq!(world.register(back, "anna", 300), 200);
    assert_eq!(reachable(&world, "anna"), 1);
}

#[test]
fn a_revoked_phone_is_gone_at_once() {
    let mut world = World::new();
    let _phone = world.registered("anna", 11);
    let _app = world.registered_app("anna", 50);
    let mut anna = person("anna");
    anna.phones.clear();
    world.exchange.handle_directory(Directory::new([anna]), world.now);
    world.settle();
    assert_eq!(world.exchange.registered(id("anna")).collect::<Vec<_>>(), [device(50)]);
    world.exchange.handle_directory(Directory::default(), world.now);
    world.settle();
    assert_eq!(reachable(&world, "anna"), 0);
}

#[test]
fn one_person_has_only_so_many_bindings() {
    let mut world = World::with(|config| config.max_bindings = 2);
    let phones = [11, 12, 13].map(|host| world.phone_at("anna", &format!("10.0.0.{host}:5060")));
    let mut anna = person("anna");
    let template = anna.phones[0].clone();
    for number in 1..3 {
        anna.phones.push(aftertone_exchange::PhoneCredentials { device: device(200 + number), ..template.clone() });
    }
    world.exchange.handle_directory(Directory::new([anna]), world.now);
    assert_eq!(world.register(phones[0], "anna", 300), 200);
    let app = world.app("anna", 50);
    assert_eq!(world.register(app, "anna", 300), 200);
    let other = world.app("anna", 51);
    assert_eq!(world.register(other, "anna", 300), 403);
    assert_eq!(world.register(app, "anna", 300), 200, "a refresh is no new one");
}

#[test]
fn options_are_answered_for_everybody_alike() {
    let mut world = World::new();
    let stranger = world.phone_at("mallory", "203.0.113.9:5060");
    for to in ["anna", "nobody"] {
        let (from, to) = (NameAddr::new(Uri::sip("mallory", "example.com")), NameAddr::new(Uri::sip(to, DOMAIN)));
        let response = world.request(stranger, OutgoingRequest::new(Method::Options, to.uri.clone(), from, to)).unwrap();
        assert!(response.headers.lists("Allow", "INVITE"));
    }
}

#[test]
fn a_registration_may_insist_on_what_it_needs_and_finds_its_flow_again() {
    let mut world = World::new();
    let anna = world.phone("anna", 11);
    let instance = "\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";
    let contact = world.phones[anna.0].contact().with_param("+sip.instance", Some(instance)).with_param("reg-id", Some("1"));
    let headers = Headers::new().with("Contact", contact).with("Require", "path, outbound").with("Supported", "path, outbound");
    let response = world.register_with(anna, "anna", headers).unwrap();
    let bound = response.headers.contact().unwrap();
    assert_eq!((bound.params.get("+sip.instance"), bound.params.get("reg-id")), (Some(instance.trim_matches('"')), Some("1")));
    let strange = Headers::new().with("Contact", world.phones[anna.0].contact()).with("Require", "gruu");
    assert_eq!(status_of(&world.register_with(anna, "anna", strange)), 420);
}

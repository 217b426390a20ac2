//! Who may call, how they are shown, and what nobody learns.

use aftertone_model::EndReason;
use aftertone_sip::{Credentials, Headers, Invite, NameAddr, SessionId, Uri};

use crate::world::{DOMAIN, PhoneId, World};

fn address(text: &str) -> NameAddr {
    text.parse().unwrap()
}

fn final_status(world: &mut World, phone: PhoneId, call: SessionId) -> String {
    world.story(phone, call).last().cloned().unwrap_or_default()
}

fn stranger(world: &mut World) -> PhoneId {
    let phone = world.phone_at("mallory", "203.0.113.9:5060");
    world.phones[phone.0].credentials = None;
    phone
}

#[test]
fn a_phone_shows_who_it_is_before_it_calls() {
    let mut world = World::new();
    let anna = world.phone("anna", 11);
    let call = world.call(anna, "ben");
    assert_eq!(final_status(&mut world, anna, call), "200");
    assert!(world.wire.contains(&"-> SIP/2.0 401 Unauthorized".to_owned()));
    world.phones[anna.0].credentials = Some(Credentials::new("anna-phone", "wrong"));
    let call = world.call(anna, "ben");
    assert_eq!(final_status(&mut world, anna, call), "401");
}

#[test]
fn nobody_calls_as_somebody_else() {
    let mut world = World::new();
    let (phone, app) = (world.registered("anna", 11), world.registered_app("anna", 50));
    for from in ["<sip:ben@example.org>", "<sip:1002@10.0.0.1>", "<sip:nobody@example.org>", "<sip:anna@elsewhere.example>"] {
        let call = world.call_as(app, address(from), Uri::sip("cleo", DOMAIN));
        assert_eq!(final_status(&mut world, app, call), "403", "{from}");
    }
    for from in ["<sip:ben@example.org>", "<sip:1002@10.0.0.1>", "<sip:nobody@example.org>"] {
        let call = world.call_as(phone, address(from), Uri::sip("cleo", DOMAIN));
        assert_eq!(final_status(&mut world, phone, call), "403", "{from}");
    }
    assert!(world.plane.commands.is_empty());
}

#[test]
fn a_person_may_name_themselves_in_several_ways() {
    let mut world = World::new();
    let app = world.registered_app("anna", 50);
    for from in ["<sip:anna@example.org>", "<sip:ANNA@EXAMPLE.org>", "<sip:1001@example.org>", "<sip:anna@10.0.0.1:5060>"] {
        let call = world.call_as(app, address(from), Uri::sip("cleo", DOMAIN));
        assert_eq!(final_status(&mut world, app, call), "200", "{from}");
        world.hang_up(app, call);
        let (_, order) = world.plane.deposits.pop().unwrap();
        assert_eq!((order.envelope.caller.number.as_str(), order.envelope.caller.name.as_deref()), ("1001", Some("Anna Adler")));
    }
}

#[test]
fn strangers_learn_nothing() {
    let mut world = World::new();
    let mallory = stranger(&mut world);
    for to in ["anna", "1001", "nobody", "voicemail"] {
        let call = world.call_as(mallory, address("<sip:mallory@example.com>"), Uri::sip(to, DOMAIN));
        assert_eq!(final_status(&mut world, mallory, call), "403", "{to}");
        let call = world.call_as(mallory, address("<sip:ben@example.org>"), Uri::sip(to, DOMAIN));
        assert_eq!(final_status(&mut world, mallory, call), "401", "{to}");
    }
    let call = world.call_as(mallory, address("<sip:mallory@example.com>"), Uri::sip("anna", "elsewhere.example"));
    assert_eq!(final_status(&mut world, mallory, call), "403");
    assert!(world.logged.is_empty());
    world.check_clean();
}

#[test]
fn an_open_door_is_for_people_and_not_for_many_calls() {
    let mut world = World::with(|config| {
        config.open = true;
        config.max_calls_of_stranger = 2;
    });
    let mallory = stranger(&mut world);
    let from = address("\"Mallory\" <sip:mallory@example.com>");
    let first = world.call_as(mallory, from.clone(), Uri::sip("anna", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, first), "200");
    let caller = &world.deposit().1.envelope.caller;
    assert_eq!((caller.number.as_str(), caller.name.as_deref()), ("mallory@example.com", Some("Mallory")));
    let call = world.call_as(mallory, from.clone(), Uri::sip("nobody", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, call), "404");
    let call = world.call_as(mallory, address("<sip:ben@example.org>"), Uri::sip("anna", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, call), "401", "never as one of ours");
    let second = world.call_as(mallory, from.clone(), Uri::sip("ben", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, second), "200");
    let third = world.call_as(mallory, from.clone(), Uri::sip("cleo", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, third), "503");
    world.hang_up(mallory, first);
    let fourth = world.call_as(mallory, from, Uri::sip("cleo", DOMAIN));
    assert_eq!(final_status(&mut world, mallory, fourth), "200");
}

#[test]
fn a_trusted_exchange_is_believed() {
    let mut world = World::with(|config| config.trusted = vec!["203.0.113.0/24".parse().unwrap()]);
    let exchange = stranger(&mut world);
    let ben = world.registered("ben", 12);
    let shown = |world: &mut World, from: &str| {
        let call = world.call_as(exchange, address(from), Uri::sip("1002", DOMAIN));
        let (_, request) = world.incoming(ben).unwrap();
        world.hang_up(exchange, call);
        let from = request.headers.from().unwrap();
        (from.display.unwrap_or_default(), from.uri.to_string())
    };
    assert_eq!(shown(&mut world, "\"Ada\" <sip:+493012345@198.51.100.7>"), ("Ada".into(), "sip:+493012345@example.org".into()));
    assert_eq!(shown(&mut world, "<sip:anna@example.org>"), ("Anna Adler".into(), "sip:1001@example.org".into()));
    assert_eq!(shown(&mut world, "<sip:ada@example.com>"), (String::new(), "sip:ada@example.com".into()));
    assert_eq!(
        shown(&mut world, "\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
        ("Anonymous".into(), "sip:anonymous@anonymous.invalid".into())
    );
    let call = world.call_as(exchange, address("<sip:ada@example.com>"), Uri::sip("1999", DOMAIN));
    assert_eq!(final_status(&mut world, exchange, call), "404");
    world.check_clean();
}

/// RFC 8224: whoever can check a signature needs it as it was made.
#[test]
fn a_believed_peers_signature_reaches_the_phone_and_nobody_elses_does() {
    let signed = "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiJ9.eyJhdHRlc3QiOiJBIn0.c2ln;info=<https://cert.example.com/1>;ppt=shaken";
    let mut world = World::with(|config| {
        config.trusted = vec!["203.0.113.0/24".parse().unwrap()];
        config.open = true;
    });
    let (exchange, ben) = (stranger(&mut world), world.registered("ben", 12));
    let other = world.phone_at("other", "198.51.100.9:5060");
    let passed = |world: &mut World, by: PhoneId, from: &str| {
        let now = world.now.mono;
        let phone = &mut world.phones[by.0];
        let uri = Uri::sip("1002", DOMAIN);
        let headers = Headers::new().with("Identity", signed).with("Identity", "nonsense");
        let (contact, sdp) = (phone.contact(), Some(phone.sdp()));
        let invite = Invite { uri: uri.clone(), from: address(from), to: uri.into(), contact, headers, sdp, credentials: None };
        let session = phone.ua.invite(invite, phone.flow, now);
        world.settle();
        let (_, request) = world.incoming(ben).unwrap();
        world.hang_up(by, session);
        request.headers.all("Identity").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(passed(&mut world, exchange, "<sip:+493012345@198.51.100.7>"), [signed]);
    assert!(passed(&mut world, exchange, "<sip:anonymous@anonymous.invalid>").is_empty(), "a number that is withheld");
    assert!(passed(&mut world, other, "<sip:+493012345@198.51.100.7>").is_empty(), "anybody may write anything");
    world.check_clean();
}

#[test]
fn our_people_hear_of_unknown_numbers_and_find_them_in_their_log() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "1999");
    assert_eq!(final_status(&mut world, anna, call), "404");
    let record = world.log_of("anna")[0];
    assert_eq!((record.party.number.as_str(), record.end), ("1999", EndReason::Failed));
    let call = world.call_as(anna, address("<sip:anna@example.org>"), Uri::sip("ben", "elsewhere.example"));
    assert_eq!(final_status(&mut world, anna, call), "404", "we are no relay");
    assert_eq!(world.log_of("anna")[1].party.number, "ben@elsewhere.example");
}

#[test]
fn the_servers_own_addresses_are_its_domain() {
    let mut world = World::with(|config| config.own_addresses = vec!["198.51.100.1".parse().unwrap()]);
    let app = world.registered_app("anna", 50);
    for host in ["10.0.0.1", "198.51.100.1", "EXAMPLE.ORG"] {
        let call = world.call_as(app, address("<sip:anna@example.org>"), Uri::sip("1002", host).with_port(5060));
        assert_eq!(final_status(&mut world, app, call), "200", "{host}");
    }
    for host in ["localhost", "198.51.100.2", "example.com"] {
        let call = world.call_as(app, address("<sip:anna@example.org>"), Uri::sip("1002", host));
        assert_eq!(final_status(&mut world, app, call), "404", "{host}");
    }
    let call = world.call_as(app, address("<sip:anna@example.org>"), "tel:1002".parse().unwrap());
    assert_eq!(final_status(&mut world, app, call), "200");
}

#[test]
fn who_withholds_their_number_tells_it_to_the_provider_alone() {
    let (mut world, provider) = World::with_provider();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let call = world.call_as(anna, address(anonymous), Uri::sip("ben", DOMAIN));
    let (_, request) = world.incoming(ben).expect("she is asked who she is, and proves it");
    assert_eq!(request.headers.from().unwrap().uri.host(), "anonymous.invalid");
    world.hang_up(anna, call);
    assert_eq!(world.log_of("ben")[0].party.number, "");
    let call = world.call_as(anna, address(anonymous), Uri::sip("030555123", DOMAIN));
    let (_, request) = world.incoming(provider).unwrap();
    assert_eq!(request.headers.from().unwrap().uri.host(), "anonymous.invalid");
    assert_eq!(request.headers.get("Privacy"), Some("id"));
    assert_eq!(request.headers.addresses("P-Preferred-Identity")[0].uri.user().unwrap(), "+49301001");
    world.hang_up(anna, call);
    // In an emergency they are found.
    world.call_as(anna, address(anonymous), Uri::sip("112", DOMAIN));
    let (_, request) = world.incoming(provider).unwrap();
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "+49301001");
    assert!(!request.headers.contains("Privacy"));
}

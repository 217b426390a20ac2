//! The message-waiting lamp (RFC 3842).

use aftertone_exchange::{Directory, Event as ExchangeEvent, MessageCounts};
use aftertone_sip::{
    Event, Headers, Method, NameAddr, OutgoingRequest, RequestFailure, Response, ResponseParts, Uri, mwi::MessageSummary,
};

use crate::world::{DOMAIN, PhoneId, World, id};

fn subscribe(world: &mut World, phone: PhoneId, name: &str, event: &str, expires: u32) -> Result<Response, RequestFailure> {
    let aor = NameAddr::new(Uri::sip(name, DOMAIN));
    let mut request = OutgoingRequest::new(Method::Subscribe, Uri::sip(name, DOMAIN), aor.clone(), aor);
    let contact = world.phones[phone.0].contact();
    request.headers = Headers::new().with("Contact", contact).with("Event", event).with("Expires", expires);
    world.request(phone, request)
}

/// Answers every NOTIFY at the phone; what they said.
fn notified(world: &mut World, phone: PhoneId) -> Vec<(String, Option<(u32, u32)>)> {
    let mut said = Vec::new();
    while let Some(at) = world.phones[phone.0].events.iter().position(|event| matches!(event, Event::Request { .. })) {
        let Event::Request { id, request, .. } = world.phones[phone.0].events.remove(at) else { unreachable!() };
        assert_eq!(request.method, Method::Notify);
        let now = world.now.mono;
        world.phones[phone.0].ua.respond(id, ResponseParts::new(200), now);
        world.settle();
        let state = request.headers.get("Subscription-State").unwrap().split(';').next().unwrap().to_owned();
        let summary = MessageSummary::parse(std::str::from_utf8(&request.body).unwrap());
        if let Some(summary) = &summary {
            assert_eq!(summary.waiting, summary.new > 0);
        }
        said.push((state, summary.map(|summary| (summary.new, summary.old))));
    }
    said
}

fn push(world: &mut World, name: &str, new: u32, old: u32) {
    world.exchange.handle_message_waiting(id(name), MessageCounts { new, old }, world.now);
    world.settle();
}

fn active(new: u32, old: u32) -> (String, Option<(u32, u32)>) {
    ("active".into(), Some((new, old)))
}

#[test]
fn a_phone_sees_its_owners_counts_at_once_and_at_each_change() {
    let mut world = World::new();
    push(&mut world, "anna", 2, 5);
    let phone = world.registered("anna", 11);
    let granted = subscribe(&mut world, phone, "anna", "message-summary", 600).unwrap();
    assert_eq!(granted.headers.expires(), Some(600));
    assert_eq!(notified(&mut world, phone), [active(2, 5)]);
    push(&mut world, "ben", 9, 9);
    push(&mut world, "anna", 2, 5);
    assert!(notified(&mut world, phone).is_empty(), "nothing changed");
    push(&mut world, "anna", 1, 6);
    assert_eq!(notified(&mut world, phone), [active(1, 6)]);
    push(&mut world, "anna", 0, 7);
    assert_eq!(notified(&mut world, phone), [active(0, 7)]);
}

#[test]
fn counts_that_are_not_known_are_asked_for() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    subscribe(&mut world, phone, "1001", "message-summary", 600).unwrap();
    assert!(world.events.contains(&ExchangeEvent::MessageWaitingWanted(id("anna"))));
    assert!(notified(&mut world, phone).is_empty());
    push(&mut world, "anna", 3, 0);
    assert_eq!(notified(&mut world, phone), [active(3, 0)]);
    world.wait(5.0);
    assert!(notified(&mut world, phone).is_empty());
}

#[test]
fn a_phone_is_not_kept_waiting_for_counts() {
    let mut world = World::new();
    let phone = world.registered("anna", 11);
    subscribe(&mut world, phone, "anna", "message-summary", 600).unwrap();
    world.wait(1.5);
    assert_eq!(notified(&mut world, phone), [("active".into(), None)]);
    push(&mut world, "anna", 0, 0);
    assert_eq!(notified(&mut world, phone), [active(0, 0)]);
}

#[test]
fn nobody_sees_another_lamp() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    assert_eq!(subscribe(&mut world, anna, "ben", "message-summary", 600).unwrap_err().status(), 403);
    let mallory = world.phone_at("mallory", "203.0.113.9:5060");
    for name in ["anna", "nobody"] {
        assert_eq!(subscribe(&mut world, mallory, name, "message-summary", 600).unwrap_err().status(), 401);
    }
    let refusal = subscribe(&mut world, anna, "anna", "presence", 600).unwrap_err();
    assert_eq!(refusal.status(), 489);
}

#[test]
fn a_lamp_ends_with_its_time_its_phone_or_its_owners_wish() {
    let mut world = World::new();
    push(&mut world, "anna", 1, 0);
    let phones = [11, 12, 13].map(|host| world.registered("anna", host));
    for (phone, expires) in phones.into_iter().zip([60, 600, 600]) {
        subscribe(&mut world, phone, "anna", "message-summary", expires).unwrap();
        assert_eq!(notified(&mut world, phone), [active(1, 0)]);
    }
    world.wait(61.0);
    assert_eq!(notified(&mut world, phones[0])[0].0, "terminated");
    world.phones[phones[1].0].deaf = true;
    push(&mut world, "anna", 2, 0);
    assert_eq!(notified(&mut world, phones[2]), [active(2, 0)]);
    world.exchange.handle_directory(Directory::default(), world.now);
    world.settle();
    assert_eq!(notified(&mut world, phones[2])[0].0, "terminated");
    push(&mut world, "anna", 3, 0);
    assert!(notified(&mut world, phones[2]).is_empty());
    world.wait(64.0);
}

#[test]
fn a_device_of_ours_has_a_lamp_too() {
    let mut world = World::new();
    push(&mut world, "anna", 4, 0);
    let app = world.registered_app("anna", 50);
    subscribe(&mut world, app, "anna", "message-summary", 600).unwrap();
    assert_eq!(notified(&mut world, app), [active(4, 0)]);
}

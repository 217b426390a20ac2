//! Short texts (RFC 3428) between people of the account.

use aftertone_sip::{
    Body, Event, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, RequestFailure, Response, ResponseParts,
    SessionId, Uri,
};

use crate::{
    trunks::{contact_of, two},
    world::{DOMAIN, PhoneId, World, status_of},
};

fn text(from: &str, to: &str, body: Body) -> OutgoingRequest {
    let at = |name: &str| NameAddr::new(Uri::sip(name, DOMAIN));
    let mut request = OutgoingRequest::new(Method::Message, Uri::sip(to, DOMAIN), at(from), at(to));
    request.body = Some(body);
    request
}

fn hello() -> Body {
    Body::new("text/plain;charset=UTF-8", "Grüße")
}

/// A phone that says that it takes texts, by `Allow` or in its contact.
fn texting(world: &mut World, name: &str, host: u8, by_contact: bool) -> PhoneId {
    let phone = world.phone(name, host);
    let contact = world.phones[phone.0].contact().with_param("expires", Some("300"));
    let headers = if by_contact {
        Headers::new().with("Contact", contact.with_param("methods", Some("\"INVITE,MESSAGE\"")))
    } else {
        Headers::new().with("Contact", contact).with("Allow", "INVITE, ACK, MESSAGE")
    };
    assert_eq!(status_of(&world.register_with(phone, name, headers)), 200);
    phone
}

/// Sends without waiting for the end.
fn send(world: &mut World, phone: PhoneId, request: OutgoingRequest) {
    let now = world.now.mono;
    let phone = &mut world.phones[phone.0];
    phone.ua.request(request, phone.flow, phone.credentials.clone(), now);
    world.settle();
}

fn arrived(world: &mut World, phone: PhoneId) -> Option<(IncomingId, Request)> {
    let events = &mut world.phones[phone.0].events;
    let at =
        events.iter().position(|event| matches!(event, Event::Request { request, .. } if request.method == Method::Message))?;
    let Event::Request { id, request, .. } = events.remove(at) else { unreachable!() };
    Some((id, request))
}

fn answer(world: &mut World, phone: PhoneId, id: IncomingId, status: u16) {
    let now = world.now.mono;
    world.phones[phone.0].ua.respond(id, ResponseParts::new(status), now);
    world.settle();
}

fn end(world: &mut World, phone: PhoneId) -> Option<Result<Response, RequestFailure>> {
    let events = &mut world.phones[phone.0].events;
    let at = events.iter().position(|event| matches!(event, Event::Response { .. }))?;
    let Event::Response { result, .. } = events.remove(at) else { unreachable!() };
    Some(result)
}

#[test]
fn a_text_reaches_every_device_that_takes_it() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let (desk, cellar, old) =
        (texting(&mut world, "ben", 12, false), texting(&mut world, "ben", 13, true), world.registered("ben", 14));
    send(&mut world, anna, text("1001", "1002", hello()));
    let (id, request) = arrived(&mut world, desk).unwrap();
    assert_eq!(
        (request.body.as_slice(), request.headers.get("Content-Type")),
        ("Grüße".as_bytes(), Some("text/plain;charset=UTF-8"))
    );
    let from = request.headers.from().unwrap();
    assert_eq!(
        (from.display.as_deref(), from.uri.to_string().as_str()),
        (Some("Anna Adler"), "sip:1001@example.org"),
        "as it is proved"
    );
    assert_eq!(request.headers.max_forwards(), Some(69));
    assert!(request.headers.contact().is_none(), "it begins no dialog");
    assert!(arrived(&mut world, cellar).is_some() && arrived(&mut world, old).is_none());
    assert!(end(&mut world, anna).is_none());
    answer(&mut world, desk, id, 200);
    assert_eq!(end(&mut world, anna).unwrap().unwrap().status, 200);
    // The other one stays silent; that changes nothing any more.
    world.wait(40.0);
    assert!(end(&mut world, anna).is_none());
}

#[test]
fn a_sender_learns_why_a_text_reached_nobody() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let status = |world: &mut World, to: &str, body: Body| status_of(&world.request(anna, text("anna", to, body)));
    assert_eq!(status(&mut world, "nobody", hello()), 404);
    assert_eq!(status(&mut world, "ben", hello()), 480, "no device");
    world.registered("ben", 14);
    assert_eq!(status(&mut world, "ben", hello()), 405, "none that takes it");
    for (kind, length, expected) in [("application/json", 2, 415), ("text/plain", 1301, 413), ("message/cpim", 20, 405)] {
        assert_eq!(status(&mut world, "ben", Body::new(kind, "x".repeat(length))), expected, "{kind}");
    }
    assert_eq!(status(&mut world, "anna", hello()), 480, "one's own device is no other");
    let mut last = text("anna", "ben", hello());
    last.headers.push("Max-Forwards", 0);
    assert_eq!(status_of(&world.request(anna, last)), 483);
}

#[test]
fn a_device_may_refuse_a_text_or_be_gone() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let (desk, cellar) = (texting(&mut world, "ben", 12, false), texting(&mut world, "ben", 13, false));
    for (statuses, expected) in [([486, 480], 480), ([603, 200], 200), ([415, 408], 415), ([401, 503], 480)] {
        send(&mut world, anna, text("anna", "ben", hello()));
        for (phone, status) in [desk, cellar].into_iter().zip(statuses) {
            let (id, _) = arrived(&mut world, phone).unwrap();
            answer(&mut world, phone, id, status);
        }
        assert_eq!(status_of(&end(&mut world, anna).unwrap()), expected, "{statuses:?}");
    }
    [desk, cellar].into_iter().for_each(|phone| world.phones[phone.0].deaf = true);
    send(&mut world, anna, text("anna", "ben", hello()));
    world.wait(19.0);
    assert!(end(&mut world, anna).is_none());
    world.wait(2.0);
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 480);
}

#[test]
fn nobody_writes_without_proof_or_in_anothers_name() {
    let mut world = World::with(|config| {
        config.trusted = vec!["10.9.9.0/24".parse().unwrap()];
        config.open = true;
    });
    let (anna, ben) = (world.registered("anna", 11), texting(&mut world, "ben", 12, false));
    assert_eq!(status_of(&world.request(anna, text("cleo", "ben", hello()))), 403);
    let mallory = world.phone_at("mallory", "203.0.113.9:5060");
    for to in ["ben", "nobody"] {
        for from in ["<sip:mallory@example.org>", "<sip:mallory@elsewhere.example>"] {
            let text = OutgoingRequest { from: from.parse().unwrap(), ..text("mallory", to, hello()) };
            assert_eq!(status_of(&world.request(mallory, text)), 401, "{from}");
        }
    }
    assert!(arrived(&mut world, ben).is_none());
}

#[test]
fn a_believed_peer_writes_to_people_and_not_through_us() {
    let (mut world, provider) = World::with_provider();
    let contact = contact_of(&world);
    let anna = texting(&mut world, "anna", 11, false);
    let mut inward = text("x", "x", hello());
    inward.from = "\"Zoe\" <sip:030555123@provider.example>".parse().unwrap();
    (inward.uri, inward.to) = (contact, NameAddr::new(Uri::sip("+49301001", "provider.example")));
    send(&mut world, provider, inward.clone());
    let (id, request) = arrived(&mut world, anna).unwrap();
    let from = request.headers.from().unwrap();
    assert_eq!((from.uri.to_string().as_str(), from.display.as_deref()), ("sip:+4930555123@example.org", Some("Zoe")));
    answer(&mut world, anna, id, 202);
    assert_eq!(status_of(&end(&mut world, provider).unwrap()), 202);
}

#[test]
fn a_text_goes_out_over_the_trunk_as_a_call_would() {
    let (mut world, first, second) = two();
    let anna = world.registered("anna", 11);
    assert_eq!(status_of(&world.request(anna, text("anna", "0043155512", hello()))), 403, "she may not call there");
    assert_eq!(status_of(&world.request(anna, text("anna", "voicemail", hello()))), 404, "a mailbox doesn't read");
    send(&mut world, anna, text("anna", "030 555-123", hello()));
    let (id, request) = arrived(&mut world, first).unwrap();
    assert_eq!((request.uri.to_string().as_str(), request.body.as_slice()), ("sip:+4930555123@first", "Grüße".as_bytes()));
    assert_eq!(request.headers.from().unwrap().uri.to_string(), "sip:+49301000@first");
    // It is this trunk's fault, so the next one is tried; what that says is what counts.
    answer(&mut world, first, id, 503);
    let (id, _) = arrived(&mut world, second).unwrap();
    answer(&mut world, second, id, 404);
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 404);
    // Who says nothing may have passed it on.
    world.phones[first.0].deaf = true;
    send(&mut world, anna, text("anna", "030555123", hello()));
    world.wait(40.0);
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 480);
    assert!(arrived(&mut world, second).is_none());
}

/// A text in a call that came to a phone.
fn arrived_in_call(world: &mut World, phone: PhoneId) -> Option<(IncomingId, Request)> {
    let events = &mut world.phones[phone.0].events;
    let at = events.iter().position(|event| matches!(event, Event::Message { .. }))?;
    let Event::Message { id, request, .. } = events.remove(at) else { unreachable!() };
    Some((id, request))
}

fn send_in_call(world: &mut World, phone: PhoneId, session: SessionId, body: Body) {
    let now = world.now.mono;
    world.phones[phone.0].ua.message(session, body, Headers::new(), now);
    world.settle();
}

#[test]
fn texts_in_a_call_go_to_the_other_party() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered_app("ben", 50));
    let call = world.call(anna, "ben");
    let leg = world.rings(ben);
    world.answer(ben, leg);
    for (from, session, to, status) in [(anna, call, ben, 200), (ben, leg, anna, 202), (anna, call, ben, 405)] {
        send_in_call(&mut world, from, session, hello());
        let (id, request) = arrived_in_call(&mut world, to).unwrap();
        assert_eq!((request.body.as_slice(), request.headers.max_forwards()), ("Grüße".as_bytes(), Some(69)));
        assert!(end(&mut world, from).is_none(), "not before the other one has answered");
        answer(&mut world, to, id, status);
        assert_eq!(status_of(&end(&mut world, from).unwrap()), status);
    }
    send_in_call(&mut world, anna, call, Body::new("application/json", "{}"));
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 415);
    // The other one says nothing, and is gone in the end.
    world.phones[ben.0].deaf = true;
    send_in_call(&mut world, anna, call, hello());
    world.wait(21.0);
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 480);
    world.phones[ben.0].deaf = false;
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_mailbox_reads_no_texts_and_a_stranger_writes_none() {
    let mut world = World::with(|config| config.open = true);
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "voicemail");
    send_in_call(&mut world, anna, call, hello());
    assert_eq!(status_of(&end(&mut world, anna).unwrap()), 480);
    world.hang_up(anna, call);

    let mallory = world.phone_at("mallory", "203.0.113.9:5060");
    world.phones[mallory.0].credentials = None;
    let call = world.call_as(mallory, "<sip:mallory@elsewhere.example>".parse().unwrap(), Uri::sip("anna", DOMAIN));
    let leg = world.rings(anna);
    world.answer(anna, leg);
    send_in_call(&mut world, mallory, call, hello());
    assert_eq!(status_of(&end(&mut world, mallory).unwrap()), 403);
    assert!(arrived_in_call(&mut world, anna).is_none());
    world.hang_up(anna, leg);
    world.check_clean();
}

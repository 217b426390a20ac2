//! Short texts (RFC 3428) between people of the account.

use aftertone_sip::{
    Body, Event, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, RequestFailure, Response, ResponseParts, Uri,
};

use crate::world::{DOMAIN, PhoneId, World, status_of};

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
    for (name, address) in [("mallory", "203.0.113.9:5060"), ("exchange", "10.9.9.1:5060")] {
        let stranger = world.phone_at(name, address);
        for to in ["ben", "nobody"] {
            assert_eq!(status_of(&world.request(stranger, text(name, to, hello()))), 401, "{name}");
        }
    }
    assert!(arrived(&mut world, ben).is_none());
}

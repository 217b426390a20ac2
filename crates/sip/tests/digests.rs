//! Digest from both ends (RFC 7616, RFC 8760).

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aftertone_sip::digest::{Algorithm, Authorization, Challenge, Secret, Verdict, Verifier, ha1};
use aftertone_sip::{
    Body, Credentials, Event, Headers, IncomingId, Method, OutgoingRequest, Request, RequestFailure, Response, ResponseParts,
    Transport, Uri,
};

use common::{ALICE, ANSWER, BOB, World, any_time};

const PASSWORD: &str = "correct horse";

fn stored(user: &str, algorithm: Algorithm) -> Option<String> {
    (user == "alice").then(|| ha1(algorithm, "alice", "example.com", PASSWORD))
}

fn verifier(algorithms: &[Algorithm]) -> Verifier {
    Verifier::new("example.com", [7; 32], algorithms.to_vec())
}

fn register(world: &World) -> OutgoingRequest {
    let aor = Uri::sip("alice", "example.com");
    let mut request = OutgoingRequest::new(Method::Register, Uri::sip("", "example.com"), aor.clone().into(), aor.into());
    request.headers.push("Contact", world.contact("alice", ALICE));
    request
}

/// Bob checks whatever Alice asks, until he is content or she gives up.
fn serve(world: &mut World, verifier: &mut Verifier) -> (Result<Response, RequestFailure>, Vec<Verdict>) {
    let mut verdicts = Vec::new();
    loop {
        world.run(Duration::from_millis(30));
        while let Some(Event::Request { id, request, .. }) = world.agents[BOB].events.pop_front() {
            let verdict = verifier.check(&request, stored, world.now);
            let parts = match &verdict {
                Verdict::Accepted { .. } => ResponseParts::new(200),
                other => ResponseParts {
                    headers: verifier.challenge(matches!(other, Verdict::Stale { .. }), world.now),
                    ..ResponseParts::new(401)
                },
            };
            verdicts.push(verdict);
            world.act(BOB, |ua, now| ua.respond(id, parts, now));
        }
        if let Some(Event::Response { result, .. }) = world.agents[ALICE].events.pop_front() {
            return (result, verdicts);
        }
    }
}

fn accepted() -> Verdict {
    Verdict::Accepted { username: "alice".to_owned() }
}

#[test]
fn every_algorithm_works_and_a_second_registration_needs_no_challenge() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5] {
        let mut world = World::new(Transport::Udp);
        let mut verifier = verifier(&[algorithm]);
        let flow = world.flow(ALICE, BOB);
        for expected in [vec![Verdict::Missing, accepted()], vec![accepted()], vec![accepted()]] {
            let request = register(&world);
            world.act(ALICE, |ua, now| ua.request(request, flow, Some(Credentials::new("alice", PASSWORD)), now));
            let (result, verdicts) = serve(&mut world, &mut verifier);
            assert_eq!((result.unwrap().status, verdicts), (200, expected), "{algorithm}");
        }
        world.assert_idle_later();
    }
}

#[test]
fn an_old_nonce_is_stale_and_replaced_without_asking_anybody() {
    let mut world = World::new(Transport::Udp);
    let mut verifier = verifier(&[Algorithm::Sha256, Algorithm::Md5]);
    let flow = world.flow(ALICE, BOB);
    let stale = Verdict::Stale { username: "alice".to_owned() };
    for expected in [vec![Verdict::Missing, accepted()], vec![stale, accepted()]] {
        let request = register(&world);
        world.act(ALICE, |ua, now| ua.request(request, flow, Some(Credentials::new("alice", PASSWORD)), now));
        assert_eq!(serve(&mut world, &mut verifier).1, expected);
        world.run(Duration::from_secs(600));
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut world = World::new(Transport::Udp);
    let mut verifier = verifier(&[Algorithm::Sha256, Algorithm::Md5]);
    let flow = world.flow(ALICE, BOB);
    let request = register(&world);
    world.act(ALICE, |ua, now| ua.request(request, flow, Some(Credentials::new("alice", "wrong")), now));
    let (result, verdicts) = serve(&mut world, &mut verifier);
    assert_eq!(result.unwrap_err().status(), 401);
    assert_eq!(verdicts, [Verdict::Missing, Verdict::Refused { username: "alice".to_owned() }]);
    world.assert_idle_later();
}

#[test]
fn an_invite_is_challenged_and_the_bye_carries_a_growing_counter() {
    let mut world = World::new(Transport::Udp);
    let mut verifier = verifier(&[Algorithm::Sha256]);
    let (invite, flow) = (world.invite_to_bob(Some(Credentials::new("alice", PASSWORD))), world.flow(ALICE, BOB));
    let ours = world.act(ALICE, |ua, now| ua.invite(invite, flow, now));
    let first = world.wait_incoming(BOB);
    let challenge = verifier.challenge(false, world.now);
    world.act(BOB, |ua, now| ua.reject(first, 401, challenge, now));
    assert_eq!(world.sent_by(BOB), ["SIP/2.0 401 Unauthorized"], "simple callers expect no 100 before it");
    let (second, request) = world.wait(BOB, |event| match event {
        Event::Incoming { session, request, .. } => Some((*session, request.clone())),
        _ => None,
    });
    assert_eq!(verifier.check(&request, stored, world.now), accepted());
    let contact = world.contact("bob", BOB);
    world.act(BOB, |ua, now| ua.accept(second, contact, ANSWER.to_owned(), Headers::new(), now));
    world.wait_answered(ALICE, ours).unwrap();
    world.wait_confirmed(BOB, second);
    let ack = world.trace.iter().rfind(|(_, _, text)| text.starts_with("ACK")).unwrap();
    assert!(ack.2.contains("nc=00000001"), "ACK carries what INVITE carried");
    world.act(ALICE, |ua, now| ua.hang_up(ours, Headers::new(), now));
    let bye = world.trace.iter().rfind(|(_, _, text)| text.starts_with("BYE")).unwrap();
    assert!(bye.2.contains("nc=00000002"));
    world.assert_idle_later();
}

#[test]
fn a_captured_request_is_worth_nothing() {
    let now = any_time();
    let mut verifier = verifier(&[Algorithm::Sha256]);
    let request = answered(&mut verifier, &Credentials::new("alice", PASSWORD), now);
    assert_eq!(verifier.check(&request, stored, now), accepted());
    assert_ne!(verifier.check(&request, stored, now), accepted());
    let mut forged = request.clone();
    let mut authorization = Authorization::parse(request.headers.get("Authorization").unwrap()).unwrap();
    authorization.nc = Some(2);
    forged.headers.set("Authorization", &authorization);
    assert_eq!(verifier.check(&forged, stored, now), Verdict::Refused { username: "alice".to_owned() });
    authorization.username = "nobody".to_owned();
    forged.headers.set("Authorization", &authorization);
    assert_eq!(verifier.check(&forged, stored, now), Verdict::Refused { username: "nobody".to_owned() });
}

#[test]
fn a_nonce_of_somebody_else_is_not_accepted() {
    let now = any_time();
    let mut foreign = Verifier::new("example.com", [8; 32], vec![Algorithm::Sha256]);
    let request = answered(&mut foreign, &Credentials::new("alice", PASSWORD), now);
    let mut verifier = verifier(&[Algorithm::Sha256]);
    assert_eq!(verifier.check(&request, stored, now), Verdict::Stale { username: "alice".to_owned() });
}

/// A REGISTER with the right answer to a challenge, as any client would make it.
fn answered(verifier: &mut Verifier, credentials: &Credentials, now: Instant) -> Request {
    answer_to(&challenge_of(&verifier.challenge(false, now)), credentials, 1)
}

fn answer_to(challenge: &Challenge, credentials: &Credentials, nc: u32) -> Request {
    let Secret::Password(password) = &credentials.secret else { unreachable!() };
    let algorithm = challenge.algorithm;
    let secret = ha1(algorithm, &credentials.username, &challenge.realm, password);
    let uri = "sip:example.com";
    let ha2 = algorithm.hash(format!("REGISTER:{uri}").as_bytes());
    let response = algorithm.hash(format!("{secret}:{}:{nc:08x}:abc:auth:{ha2}", challenge.nonce).as_bytes());
    let authorization = Authorization {
        username: credentials.username.clone(),
        realm: challenge.realm.clone(),
        nonce: challenge.nonce.clone(),
        uri: uri.to_owned(),
        response,
        algorithm,
        session: false,
        cnonce: "abc".to_owned(),
        opaque: None,
        qop: Some("auth".to_owned()),
        nc: Some(nc),
    };
    let mut request = Request::new(Method::Register, uri.parse().unwrap());
    request.headers.push("Authorization", authorization);
    request
}

/// Where a server asks for it, what was said is proved too, and nobody changes it on the way.
#[test]
fn the_body_is_proved_where_only_that_is_offered() {
    let mut world = World::new(Transport::Udp);
    let mut verifier = verifier(&[Algorithm::Sha512_256]);
    let flow = world.flow(ALICE, BOB);
    let aor = Uri::sip("alice", "example.com");
    let mut request = OutgoingRequest::new(Method::Message, Uri::sip("bob", "example.com"), aor.clone().into(), aor.into());
    request.body = Some(Body::new("text/plain", "I pay 10"));
    world.act(ALICE, |ua, now| ua.request(request, flow, Some(Credentials::new("alice", PASSWORD)), now));
    let (id, _) = world.wait(BOB, incoming);
    let mut offered = challenge_of(&verifier.challenge(false, world.now));
    offered.qop = vec!["token".to_owned(), "auth-int".to_owned()];
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(401).with("WWW-Authenticate", offered), now));
    let (_, again) = world.wait(BOB, incoming);
    let given = Authorization::parse(again.headers.get("Authorization").unwrap()).unwrap();
    assert_eq!((given.qop.as_deref(), given.algorithm), (Some("auth-int"), Algorithm::Sha512_256));
    let changed = Request { body: b"I pay 99".to_vec(), ..again.clone() };
    assert_eq!(verifier.check(&changed, stored, world.now), Verdict::Refused { username: "alice".to_owned() });
    assert_eq!(verifier.check(&again, stored, world.now), accepted());
}

#[test]
fn a_challenge_that_offers_nothing_known_is_not_answered() {
    assert!(challenged_with(&[("WWW-Authenticate", "Digest realm=r, nonce=n, qop=\"token\"")], password()).is_none());
    let listed = [("WWW-Authenticate", "Digest realm=r, nonce=n, qop=\" auth-int , AUTH,token\"")];
    assert_eq!(challenged_with(&listed, password()).unwrap().qop.as_deref(), Some("auth"), "the body may change on the way");
}

/// A proxy asks first, then whoever it leads to: the last try answers both (RFC 3261 22.3).
#[test]
fn a_proxy_and_a_server_are_answered_in_one_request() {
    let mut world = registering(Credentials::new("alice", PASSWORD));
    for (status, header, realm) in [(407, "Proxy-Authenticate", "edge"), (401, "WWW-Authenticate", "example.com")] {
        let (id, _) = world.wait(BOB, incoming);
        let challenge = format!("Digest realm=\"{realm}\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"");
        world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(status).with(header, challenge), now));
    }
    let (id, last) = world.wait(BOB, incoming);
    let answers =
        ["Proxy-Authorization", "Authorization"].map(|name| Authorization::parse(last.headers.get(name).unwrap()).unwrap());
    assert_eq!(
        answers.map(|answer| (answer.realm, answer.nc)),
        [("edge".to_owned(), Some(2)), ("example.com".to_owned(), Some(1))]
    );
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(200), now));
    world.assert_idle_later();
}

/// Both in one response, and two proxies at once: each realm gets its own answer.
#[test]
fn every_realm_is_answered_once() {
    let mut world = registering(Credentials::new("alice", PASSWORD));
    let (id, _) = world.wait(BOB, incoming);
    let parts =
        [("WWW-Authenticate", "a"), ("Proxy-Authenticate", "b"), ("Proxy-Authenticate", "c"), ("Proxy-Authenticate", "b")];
    let parts = parts.iter().fold(ResponseParts::new(407), |parts, (name, realm)| {
        parts.with(name, format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\""))
    });
    world.act(BOB, |ua, now| ua.respond(id, parts.clone(), now));
    let (id, again) = world.wait(BOB, incoming);
    let realms: Vec<_> = ["Authorization", "Proxy-Authorization"]
        .into_iter()
        .flat_map(|name| again.headers.all(name).filter_map(Authorization::parse).map(|answer| answer.realm).collect::<Vec<_>>())
        .collect();
    assert_eq!(realms, ["a", "b", "c"]);
    // The same challenges again say that the password is wrong.
    world.act(BOB, |ua, now| ua.respond(id, parts, now));
    world.run(Duration::from_secs(1));
    let end = world.agents[ALICE].events.pop_front();
    assert!(matches!(end, Some(Event::Response { result: Err(RequestFailure::Refused(_)), .. })), "{end:?}");
}

/// Over UDP requests overtake each other: each counter is good once, in whatever order, and none that is far behind.
#[test]
fn counters_may_come_out_of_order_but_not_twice() {
    let now = any_time();
    let mut verifier = verifier(&[Algorithm::Sha256]);
    let challenge = challenge_of(&verifier.challenge(false, now));
    let stale = Verdict::Stale { username: "alice".to_owned() };
    for (nc, expected) in
        [(3, accepted()), (1, accepted()), (2, accepted()), (2, stale.clone()), (100, accepted()), (4, stale.clone()), (0, stale)]
    {
        let request = answer_to(&challenge, &Credentials::new("alice", PASSWORD), nc);
        assert_eq!(verifier.check(&request, stored, now), expected, "{nc}");
    }
}

/// Alice has sent her registration to Bob.
fn registering(credentials: Credentials) -> World {
    let mut world = World::new(Transport::Udp);
    let (request, flow) = (register(&world), world.flow(ALICE, BOB));
    world.act(ALICE, |ua, now| ua.request(request, flow, Some(credentials), now));
    world
}

fn incoming(event: &Event) -> Option<(IncomingId, Request)> {
    match event {
        Event::Request { id, request, .. } => Some((*id, request.clone())),
        _ => None,
    }
}

fn challenge_of(headers: &Headers) -> Challenge {
    Challenge::parse_all(headers.get("WWW-Authenticate").unwrap()).remove(0)
}

/// A server like those that real ones are, to which Alice registers.
fn challenged_with(headers: &[(&str, &str)], secret: Secret) -> Option<Authorization> {
    let mut world = registering(Credentials { username: "Mufasa".to_owned(), secret });
    let (id, _) = world.wait(BOB, incoming);
    let parts = headers.iter().fold(ResponseParts::new(401), |parts, (name, value)| parts.with(name, value));
    world.act(BOB, |ua, now| ua.respond(id, parts, now));
    world.run(Duration::from_secs(1));
    let (_, again) = world.agents[BOB].events.pop_front().as_ref().and_then(incoming)?;
    let value = again.headers.get("Authorization").or(again.headers.get("Proxy-Authorization"))?;
    Authorization::parse(value)
}

fn password() -> Secret {
    Secret::Password("Circle of Life".to_owned())
}

#[test]
fn the_strongest_challenge_is_answered() {
    let md5 = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"m\", algorithm=MD5, qop=\"auth\"");
    let sha = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"s\", algorithm=SHA-256, qop=\"auth,auth-int\", opaque=\"o\"");
    let basic = ("WWW-Authenticate", "Basic realm=\"r\"");
    let unknown = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"u\", algorithm=SHA3-999");
    for order in [[md5, sha, basic], [sha, md5, unknown], [unknown, md5, sha]] {
        let answer = challenged_with(&order, password()).unwrap();
        assert_eq!((answer.algorithm, answer.nonce.as_str()), (Algorithm::Sha256, "s"));
        assert_eq!((answer.qop.as_deref(), answer.nc, answer.opaque.as_deref()), (Some("auth"), Some(1), Some("o")));
    }
    let only_md5 = Secret::Ha1(BTreeMap::from([(Algorithm::Md5, "00".to_owned())]));
    assert_eq!(challenged_with(&[sha, md5], only_md5).unwrap().nonce, "m");
    assert!(challenged_with(&[basic, unknown], password()).is_none());
}

#[test]
fn old_and_odd_challenges_are_answered() {
    let plain = challenged_with(&[("WWW-Authenticate", "digest realm=\"a \\\"b\\\", c\",nonce=n")], password()).unwrap();
    assert_eq!((plain.realm.as_str(), plain.qop, plain.nc), ("a \"b\", c", None, None));
    let one_line = "Digest realm=\"r\",nonce=\"1\",algorithm=MD5, Digest realm=\"r\",nonce=\"2\",algorithm=sha-256";
    assert_eq!(challenged_with(&[("WWW-Authenticate", one_line)], password()).unwrap().nonce, "2");
    let integrity = challenged_with(&[("WWW-Authenticate", "Digest realm=r, nonce=n, qop=auth-int")], password()).unwrap();
    assert_eq!(integrity.qop.as_deref(), Some("auth-int"));
    let session =
        challenged_with(&[("WWW-Authenticate", "Digest realm=r, nonce=n, algorithm=MD5-sess, qop=\"auth\"")], password());
    assert!(session.unwrap().session);
}

#[test]
fn the_example_of_rfc_7616_comes_out() {
    // RFC 7616 3.9.1
    for (algorithm, expected) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let (user, realm) = ("Mufasa", "http-auth@example.org");
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let secret = ha1(algorithm, user, realm, "Circle of Life");
        let ha2 = algorithm.hash(b"GET:/dir/index.html");
        assert_eq!(algorithm.hash(format!("{secret}:{nonce}:00000001:{cnonce}:auth:{ha2}").as_bytes()), expected);
    }
}

#[test]
fn old_phones_get_a_challenge_that_they_understand() {
    let all = vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
    let mut verifier = verifier(&all);
    let now = any_time();
    for (user_agent, expected) in [
        (Some("Aftertone/0.1"), all.clone()),
        (Some("baresip v1.0.0 (x86_64/linux)"), vec![Algorithm::Md5]),
        (Some("baresip v3.9.0 (x86_64/Linux)"), vec![Algorithm::Sha256, Algorithm::Md5]),
        (Some("sipp/3.8"), vec![Algorithm::Md5]),
        (None, all),
    ] {
        let mut request = Request::new(Method::Register, Uri::sip("", "example.com"));
        if let Some(user_agent) = user_agent {
            request.headers.push("User-Agent", user_agent);
        }
        let headers = verifier.challenge_for(&request, false, now);
        let offered: Vec<_> = headers.all("WWW-Authenticate").flat_map(Challenge::parse_all).map(|one| one.algorithm).collect();
        assert_eq!(offered, expected, "{user_agent:?}");
    }
}

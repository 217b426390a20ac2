//! SUBSCRIBE and NOTIFY (RFC 6665) from either side, and requests outside dialogs.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::time::Duration;

use aftertone_sip::{
    Body, Credentials, Event, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, RequestFailure, ResponseParts,
    SubscriptionId, SubscriptionState, Transport, UnsubscribedBy, UnwatchedBy, Uri, Watch, WatchId, mwi,
};

use common::{ALICE, BOB, Network, World};

struct Subscriber {
    from: NameAddr,
    to: NameAddr,
    call_id: String,
}

fn subscriber() -> Subscriber {
    let from = NameAddr::new(Uri::sip("alice", "example.com")).with_param("tag", Some("alice"));
    Subscriber { from, to: Uri::sip("alice", "example.com").into(), call_id: "subscription@alice".to_owned() }
}

fn subscribe(world: &mut World, subscriber: &Subscriber, expires: u32) {
    let flow = world.flow(ALICE, BOB);
    let uri = world.uri("alice", BOB);
    let mut request = OutgoingRequest::new(Method::Subscribe, uri, subscriber.from.clone(), subscriber.to.clone());
    request.call_id = Some(subscriber.call_id.clone());
    request.headers = Headers::new().with("Event", "message-summary;id=7").with("Expires", expires);
    request.headers.push("Contact", world.contact("alice", ALICE));
    world.act(ALICE, |ua, now| ua.request(request, flow, None, now));
}

fn request(event: &Event) -> Option<(IncomingId, Request)> {
    match event {
        Event::Request { id, request, .. } => Some((*id, request.clone())),
        _ => None,
    }
}

/// Alice gets a NOTIFY and answers it.
fn notified(world: &mut World, status: u16) -> Request {
    let (id, notify) = world.wait(ALICE, request);
    assert_eq!(notify.method, Method::Notify);
    world.act(ALICE, |ua, now| ua.respond(id, ResponseParts::new(status), now));
    notify
}

fn summary(new: u32) -> Option<Body> {
    let summary = mwi::MessageSummary { waiting: new > 0, new, ..mwi::MessageSummary::default() };
    Some(Body::new(mwi::CONTENT_TYPE, summary.to_body()))
}

fn subscribed(world: &mut World, expires: u32) -> (Subscriber, SubscriptionId) {
    let mut subscriber = subscriber();
    subscribe(world, &subscriber, expires);
    let (id, _) = world.wait(BOB, request);
    let contact = world.contact("mwi", BOB);
    let subscription = world.act(BOB, |ua, now| ua.accept_subscription(id, contact, expires, now)).unwrap();
    world.act(BOB, |ua, now| ua.notify(subscription, SubscriptionState::Active, summary(1), now));
    // NOTIFY may come before the 200 (RFC 6665 4.1.4); it is kept for later.
    let mut early = Vec::new();
    subscriber.to = world.wait(ALICE, |event| match event {
        Event::Response { result: Ok(response), .. } => response.headers.to().ok(),
        other => {
            early.push(other.clone());
            None
        }
    });
    world.agents[ALICE].events.extend(early);
    (subscriber, subscription)
}

#[test]
fn a_subscriber_learns_each_state_refreshes_and_leaves() {
    let mut world = World::new(Transport::Udp);
    let (subscriber, subscription) = subscribed(&mut world, 600);
    let first = notified(&mut world, 200);
    assert_eq!(first.headers.get("Event"), Some("message-summary;id=7"));
    assert_eq!(first.headers.get("Subscription-State"), Some("active;expires=600"));
    assert_eq!(mwi::MessageSummary::parse(&String::from_utf8(first.body).unwrap()).unwrap().new, 1);

    world.run(Duration::from_secs(100));
    world.act(BOB, |ua, now| ua.notify(subscription, SubscriptionState::Active, summary(2), now));
    assert_eq!(notified(&mut world, 200).headers.get("Subscription-State"), Some("active;expires=499"));

    subscribe(&mut world, &subscriber, 300);
    let refreshed = world.wait(BOB, |event| match event {
        Event::Resubscribed { expires, .. } => Some(*expires),
        _ => None,
    });
    assert_eq!(refreshed, 300);
    assert!(String::from_utf8(notified(&mut world, 200).body).unwrap().contains("Voice-Message: 2/0"));

    subscribe(&mut world, &subscriber, 0);
    let by = unsubscribed(&mut world);
    assert_eq!(by, UnsubscribedBy::Remote);
    assert_eq!(notified(&mut world, 200).headers.get("Subscription-State"), Some("terminated;reason=timeout"));
    world.assert_idle_later();
}

/// RFC 6665 4.2.1.1: each SUBSCRIBE says anew how long it shall last.
#[test]
fn a_refresh_may_last_longer_than_the_first_subscription() {
    let mut world = World::new(Transport::Udp);
    let (subscriber, _) = subscribed(&mut world, 60);
    notified(&mut world, 200);
    for (asked, granted) in [(900, 900), (100_000, 3600), (120, 120)] {
        subscribe(&mut world, &subscriber, asked);
        let refreshed = world.wait(BOB, |event| match event {
            Event::Resubscribed { expires, .. } => Some(*expires),
            _ => None,
        });
        assert_eq!(refreshed, granted, "of {asked}");
        assert_eq!(notified(&mut world, 200).headers.get("Subscription-State").unwrap(), format!("active;expires={granted}"));
    }
    world.run(Duration::from_secs(119));
    assert_eq!(world.agents[BOB].ua.counts().subscriptions, 1);
    assert_eq!(unsubscribed(&mut world), UnsubscribedBy::Expired);
    notified(&mut world, 200);
    world.assert_idle_later();
}

fn unsubscribed(world: &mut World) -> UnsubscribedBy {
    world.wait(BOB, |event| match event {
        Event::Unsubscribed { by, .. } => Some(*by),
        _ => None,
    })
}

#[test]
fn a_subscription_expires_by_itself() {
    let mut world = World::new(Transport::Ws);
    subscribed(&mut world, 60);
    notified(&mut world, 200);
    assert_eq!(unsubscribed(&mut world), UnsubscribedBy::Expired);
    assert_eq!(notified(&mut world, 200).headers.get("Subscription-State"), Some("terminated;reason=timeout"));
    world.assert_idle_later();
}

#[test]
fn a_subscriber_that_is_gone_is_forgotten() {
    let mut world = World::new(Transport::Udp);
    subscribed(&mut world, 600);
    notified(&mut world, 481);
    assert_eq!(unsubscribed(&mut world), UnsubscribedBy::Failed);
    world.assert_idle_later();

    let mut world = World::new(Transport::Tcp);
    subscribed(&mut world, 600);
    notified(&mut world, 200);
    let connection = world.flow(ALICE, BOB).connection.unwrap();
    world.act(BOB, |ua, now| ua.handle_closed(connection, now));
    assert_eq!(unsubscribed(&mut world), UnsubscribedBy::Failed);
    world.assert_idle_later();
}

#[test]
fn asking_once_is_answered_once() {
    let mut world = World::new(Transport::Udp);
    subscribed(&mut world, 0);
    assert_eq!(notified(&mut world, 200).headers.get("Subscription-State"), Some("terminated;reason=timeout"));
    world.assert_idle_later();
}

#[test]
fn the_newest_state_arrives_last_however_bad_the_network() {
    for seed in 1..=50 {
        let mut world = World::lossy(seed, Network { loss: 200, doubled: 100, jitter: 100 });
        let (_, subscription) = subscribed(&mut world, 3600);
        for new in 2..=20 {
            world.act(BOB, |ua, now| ua.notify(subscription, SubscriptionState::Active, summary(new), now));
        }
        let mut last = 0;
        for _ in 0..600 {
            world.run(Duration::from_millis(100));
            while let Some(event) = world.agents[ALICE].events.pop_front() {
                let Some((id, notify)) = request(&event) else { continue };
                let new = mwi::MessageSummary::parse(&String::from_utf8(notify.body).unwrap()).unwrap().new;
                assert!(new > last, "seed {seed}: {new} after {last}");
                last = new;
                world.act(ALICE, |ua, now| ua.respond(id, ResponseParts::new(200), now));
            }
        }
        assert_eq!(last, 20, "seed {seed}");
        world.act(BOB, |ua, now| ua.terminate_subscription(subscription, "noresource", now));
        world.wait(ALICE, request);
        world.run(Duration::from_secs(200));
        assert!(world.agents[BOB].ua.is_idle());
    }
}

#[test]
fn a_message_nobody_answers_times_out_and_a_lost_connection_tells_at_once() {
    let mut world = World::lossy(1, Network { loss: 1000, ..Network::default() });
    let failure = |event: &Event| match event {
        Event::Response { result: Err(failure), .. } => Some(failure.clone()),
        _ => None,
    };
    let (flow, uri) = (world.flow(ALICE, BOB), world.uri("bob", BOB));
    let message = OutgoingRequest::new(Method::Message, uri.clone(), uri.clone().into(), uri.into());
    let again = message.clone();
    world.act(ALICE, |ua, now| ua.request(message, flow, None, now));
    assert_eq!(world.wait(ALICE, failure), RequestFailure::Timeout);
    let times: Vec<_> = world.trace.iter().map(|(at, _, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    world.assert_idle_later();

    world.transport = Transport::Ws;
    let flow = world.flow(ALICE, BOB);
    world.act(ALICE, |ua, now| ua.request(again, flow, None, now));
    world.act(ALICE, |ua, now| ua.handle_closed(flow.connection.unwrap(), now));
    assert_eq!(world.wait(ALICE, failure), RequestFailure::Transport);
}

fn watch_bob(world: &mut World, expires: u32) -> WatchId {
    let me = NameAddr::new(Uri::sip("alice", "example.com"));
    let watch = Watch {
        uri: world.uri("bob", BOB),
        from: me.clone(),
        to: me,
        contact: world.contact("alice", ALICE),
        event: mwi::EVENT.to_owned(),
        accept: vec![mwi::CONTENT_TYPE.to_owned()],
        expires,
        headers: Headers::new(),
        credentials: Some(Credentials::new("alice", "secret")),
    };
    let flow = world.flow(ALICE, BOB);
    world.act(ALICE, |ua, now| ua.watch(watch, flow, now))
}

fn asked(world: &mut World) -> aftertone_sip::IncomingId {
    world.wait(BOB, |event| match event {
        Event::Request { id, request, .. } if request.method == Method::Subscribe => Some(*id),
        _ => None,
    })
}

fn grant(world: &mut World, expires: u32) -> SubscriptionId {
    let id = asked(world);
    let contact = world.contact("bob", BOB);
    let subscription = world.act(BOB, |ua, now| ua.accept_subscription(id, contact, expires, now));
    let subscription = subscription.unwrap_or_else(|| panic!("it is open"));
    let body = Body::new(mwi::CONTENT_TYPE, "Messages-Waiting: no\r\n");
    world.act(BOB, |ua, now| ua.notify(subscription, SubscriptionState::Active, Some(body), now));
    subscription
}

fn heard(world: &mut World) -> String {
    world.wait(ALICE, |event| match event {
        Event::Notified { request, .. } => Some(String::from_utf8_lossy(&request.body).into_owned()),
        _ => None,
    })
}

#[test]
fn a_subscription_of_ours_lives_over_a_bad_network_until_it_is_ended() {
    for seed in 1..10 {
        let mut world = World::lossy(seed, Network { loss: 200, doubled: 200, jitter: 200 });
        let watch = watch_bob(&mut world, 600);
        let subscription = grant(&mut world, 100);
        assert_eq!(heard(&mut world), "Messages-Waiting: no\r\n");
        world.run(Duration::from_secs(2000));
        let body = Body::new(mwi::CONTENT_TYPE, "Messages-Waiting: yes\r\n");
        world.act(BOB, |ua, now| ua.notify(subscription, SubscriptionState::Active, Some(body), now));
        while heard(&mut world) != "Messages-Waiting: yes\r\n" {}
        world.act(ALICE, |ua, now| ua.unwatch(watch, now));
        world.network = Network::default();
        world.assert_idle_later();
    }
}

#[test]
fn challenges_short_intervals_and_a_forgetful_notifier_are_overcome() {
    let mut world = World::new(Transport::Udp);
    let watch = watch_bob(&mut world, 60);
    let id = asked(&mut world);
    let challenge = "Digest realm=\"example.com\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(401).with("WWW-Authenticate", challenge), now));
    let id = asked(&mut world);
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(423).with("Min-Expires", 300), now));
    grant(&mut world, 300);
    heard(&mut world);
    // Restarted, it knows nothing of us: 481 to the refresh, and a new subscription.
    world.agents[BOB].ua = aftertone_sip::UserAgent::new(aftertone_sip::UaConfig::new("Restarted/1", [99; 32]));
    let subscription = grant(&mut world, 300);
    heard(&mut world);
    // Sent away for a while, and then for good.
    world.act(BOB, |ua, now| ua.terminate_subscription(subscription, "probation;retry-after=10", now));
    let subscription = grant(&mut world, 300);
    world.act(BOB, |ua, now| ua.terminate_subscription(subscription, "noresource", now));
    let (over, by) = world.wait(ALICE, |event| match event {
        Event::Unwatched { watch, by } => Some((*watch, by.clone())),
        _ => None,
    });
    assert_eq!((over, by), (watch, UnwatchedBy::Notifier("noresource".to_owned())));
    world.assert_idle_later();
}

#[test]
fn a_notifier_that_is_away_is_asked_again_later_and_later() {
    let mut world = World::new(Transport::Udp);
    world.network.loss = 1000;
    let watch = watch_bob(&mut world, 600);
    world.run(Duration::from_secs(3600));
    let starts = world.trace.iter().filter(|(_, _, text)| text.starts_with("SUBSCRIBE")).count();
    assert!((6 * 11..=8 * 11).contains(&starts), "{starts} messages of 11 an attempt");
    world.network.loss = 0;
    grant(&mut world, 600);
    heard(&mut world);
    world.act(ALICE, |ua, now| ua.unwatch(watch, now));
    world.assert_idle_later();
}

#[test]
fn a_subscription_that_nobody_takes_ends_at_once() {
    let mut world = World::new(Transport::Ws);
    watch_bob(&mut world, 600);
    let id = asked(&mut world);
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(489), now));
    world.wait(ALICE, |event| matches!(event, Event::Unwatched { by: UnwatchedBy::Failure(_), .. }).then_some(()));
    let watch = watch_bob(&mut world, 600);
    world.act(ALICE, |ua, now| ua.unwatch(watch, now));
    let id = asked(&mut world);
    world.act(BOB, |ua, now| ua.respond(id, ResponseParts::new(404), now));
    world.assert_idle_later();
}

use aftertone_model::{
    CallFigures, Direction, Fullness, MeasuredCall, MediaPath, Message, MessageState, OwnKeeping, StreamFigures, Timestamp,
};
use aftertone_server_store::{Disk, MailboxKeeping, SqliteStore};
use aftertone_sync::{Change, ChangeBody, ChangesPage, Forwarded, MailboxRoom, ProblemCode};
use reqwest::{Method, Response};
use serde_json::json;

use crate::world::{Phone, World, problem, soon};

async fn changes(phone: &Phone, query: &str) -> ChangesPage {
    serde_json::from_value(phone.json(&format!("/v1/changes{query}")).await).unwrap()
}

async fn put(phone: &Phone, path: &str, body: &serde_json::Value) -> Response {
    phone.request(Method::PUT, path).json(body).send().await.unwrap()
}

async fn act(phone: &Phone, message: &Message, action: &str, key: &str) -> Response {
    phone.post(&format!("/v1/messages/{}/actions", message.envelope.id), &json!({"action": action}), key).await
}

#[tokio::test]
async fn a_message_travels_in_the_feed_and_its_state_with_it() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let before = changes(&phone, "").await;
    assert_eq!((before.changes.len(), before.more), (0, false));
    let message = world.leave_message(&phone, b"sound").await;
    let page = changes(&phone, &format!("?since={}", before.cursor)).await;
    assert!(page.changes.iter().any(|change| change.body == ChangeBody::Message { message: Box::new(message.clone()) }));
    assert!(page.changes.iter().any(|change| matches!(&change.body, ChangeBody::CallRecord { .. })));

    let heard: Message = act(&phone, &message, "heard", "k1").await.json().await.unwrap();
    assert_eq!(heard.state, MessageState::Heard);
    let page = changes(&phone, &format!("?since={}", page.cursor)).await;
    let [change] = &page.changes[..] else { panic!("{page:?}") };
    assert_eq!(change.body, ChangeBody::Message { message: Box::new(heard) });

    let stale = phone.get("/v1/changes?since=1.1").await;
    problem(stale, 409, ProblemCode::CursorReset).await;
}

#[tokio::test]
async fn how_a_call_sounded_is_in_its_record_and_travels_in_the_feed() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let message = world.leave_message(&phone, b"sound").await;
    let before = changes(&phone, "").await;
    let (call, owner) = (message.envelope.call, phone.signed_in.me.subscriber.id);
    let inbound = StreamFigures { packets: 950, lost: 50, jitter_ms: 7, mos_centi: 380 };
    let figures = CallFigures {
        codec: "PCMA".into(),
        path: MediaPath::Mailbox,
        encrypted: false,
        inbound: Some(inbound),
        outbound: None,
        round_trip_ms: Some(31),
    };
    let measured = MeasuredCall { call, owner, direction: Direction::Incoming, figures: figures.clone() };
    assert!(world.server.store().note_figures(&measured).await.unwrap());
    let page = changes(&phone, &format!("?since={}", before.cursor)).await;
    let [Change { body: ChangeBody::CallRecord { record }, .. }] = &page.changes[..] else { panic!("{page:?}") };
    assert_eq!(record.figures, Some(figures));
    let expect = json!({
        "codec": "PCMA", "path": "mailbox", "encrypted": false, "outbound": null, "round_trip_ms": 31,
        "inbound": {"packets": 950, "lost": 50, "jitter_ms": 7, "mos_centi": 380},
    });
    assert_eq!(phone.json("/v1/call-records").await["call_records"][0]["figures"], expect);
}

#[tokio::test]
async fn a_device_says_how_a_call_sounded_that_the_server_saw_nothing_of() {
    let world = World::start().await;
    let (phone, other) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let message = world.leave_message(&phone, b"sound").await;
    let (call, owner) = (message.envelope.call, phone.signed_in.me.subscriber.id);
    let heard = json!({"packets": 990, "lost": 10, "jitter_ms": 4, "mos_centi": 431});
    let body = json!({"direction": "incoming", "inbound": null, "outbound": heard, "round_trip_ms": 12});
    let path = format!("/v1/call-records/{call}/figures");
    problem(put(&phone, &path, &body).await, 409, ProblemCode::Conflict).await;
    let figures = CallFigures {
        codec: "opus".into(),
        path: MediaPath::Direct,
        encrypted: true,
        inbound: None,
        outbound: None,
        round_trip_ms: None,
    };
    world.server.store().note_figures(&MeasuredCall { call, owner, direction: Direction::Incoming, figures }).await.unwrap();
    assert_eq!(put(&phone, &path, &body).await.status(), 204);
    let expect = json!({
        "codec": "opus", "path": "direct", "encrypted": true, "inbound": null, "outbound": heard, "round_trip_ms": 12,
    });
    assert_eq!(phone.json("/v1/call-records").await["call_records"][0]["figures"], expect);
    // Nobody says it of others' calls, nor of one that wasn't, nor what can't be.
    problem(put(&other, &path, &body).await, 404, ProblemCode::NotFound).await;
    let outgoing = json!({"direction": "outgoing", "inbound": null, "outbound": heard, "round_trip_ms": 12});
    problem(put(&phone, &path, &outgoing).await, 404, ProblemCode::NotFound).await;
    let absurd = json!({"packets": 1, "lost": 0, "jitter_ms": 4, "mos_centi": 451});
    let absurd = json!({"direction": "incoming", "inbound": absurd, "outbound": heard, "round_trip_ms": 12});
    problem(put(&phone, &path, &absurd).await, 422, ProblemCode::BadRequest).await;
}

#[tokio::test]
async fn whose_mailbox_fills_is_told_by_the_feed_and_at_once() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let owner = phone.signed_in.me.subscriber.id;
    let bounds = json!({"used_s": 0, "quota_s": 0, "fullness": "roomy", "trash_days": 30, "heard_days": 0});
    assert_eq!(phone.json("/v1/me/mailbox").await, bounds);
    let message = world.leave_message(&phone, b"sound").await;
    let before = changes(&phone, "").await;
    let mut doorbell = phone.socket("/v1/doorbell", None).await;
    // Another program does so, as the command line does.
    let other = std::sync::Arc::new(Disk);
    let other = SqliteStore::open(world.folder.path(), other).await.unwrap();
    let own = OwnKeeping { quota_s: Some(2), heard_days: Some(9), ..Default::default() };
    other.put_own_keeping(owner, own, Timestamp::now()).await.unwrap();
    soon(doorbell.receiver.recv()).await.unwrap();
    let page = changes(&phone, &format!("?since={}", before.cursor)).await;
    let room = MailboxRoom { used_s: 2, quota_s: 2, fullness: Fullness::Full };
    assert_eq!(page.changes.into_iter().map(|change| change.body).collect::<Vec<_>>(), [ChangeBody::Room { room }]);
    let bounds = json!({"used_s": 2, "quota_s": 2, "fullness": "full", "trash_days": 30, "heard_days": 9});
    assert_eq!(phone.json("/v1/me/mailbox").await, bounds);
    act(&phone, &message, "delete", "k").await;
    assert_eq!(phone.json("/v1/me/mailbox").await["fullness"], "roomy");
}

#[tokio::test]
async fn a_feed_comes_in_pages() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    for _ in 0..3 {
        world.leave_message(&phone, b"sound").await;
    }
    let (mut query, mut seen, mut pages) = ("?limit=2".to_owned(), 0, 0);
    loop {
        let page = changes(&phone, &query).await;
        seen += page.changes.len();
        pages += 1;
        if !page.more {
            break;
        }
        query = format!("?limit=2&since={}", page.cursor);
    }
    assert_eq!((seen, pages), (6, 3), "three messages and three call records");
}

#[tokio::test]
async fn messages_and_call_records_are_listed_in_pages() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let mut left = Vec::new();
    for _ in 0..3 {
        left.push(world.leave_message(&phone, b"sound").await.envelope.id.to_string());
    }
    left.reverse();
    let first = phone.json("/v1/messages?limit=2").await;
    let next = first["next"].as_str().unwrap();
    let second = phone.request(Method::GET, "/v1/messages").query(&[("before", next), ("limit", "2")]).send().await.unwrap();
    let second: serde_json::Value = second.json().await.unwrap();
    let ids: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["messages"].as_array().unwrap())
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, left);
    assert_eq!(second["next"], serde_json::Value::Null);
    assert_eq!(phone.json("/v1/call-records").await["call_records"].as_array().unwrap().len(), 3);
    let one: Message = serde_json::from_value(phone.json(&format!("/v1/messages/{}", left[0])).await).unwrap();
    assert_eq!(one.envelope.id.to_string(), left[0]);
}

#[tokio::test]
async fn an_action_is_done_once_per_key() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let message = world.leave_message(&phone, b"sound").await;
    assert_eq!(act(&phone, &message, "save", "k1").await.status(), 200);
    assert_eq!(act(&phone, &message, "delete", "k2").await.status(), 200);
    let repeated: Message = act(&phone, &message, "save", "k1").await.json().await.unwrap();
    assert_eq!(repeated.state, MessageState::Deleted, "as it is now, without doing it again");
    problem(act(&phone, &message, "heard", "k1").await, 422, ProblemCode::BadRequest).await;
    problem(act(&phone, &message, "heard", "with space").await, 400, ProblemCode::BadRequest).await;
    problem(act(&phone, &message, "sing", "k3").await, 422, ProblemCode::BadRequest).await;
    assert_eq!(act(&phone, &message, "expunge", "k4").await.status(), 204);
    assert_eq!(act(&phone, &message, "expunge", "k4").await.status(), 204, "a repeated key answers the same");
    problem(act(&phone, &message, "heard", "k5").await, 410, ProblemCode::Gone).await;
    problem(phone.get(&format!("/v1/messages/{}", message.envelope.id)).await, 410, ProblemCode::Gone).await;
    problem(phone.get(&format!("/v1/messages/{}/audio", message.envelope.id)).await, 410, ProblemCode::Gone).await;
}

#[tokio::test]
async fn a_foreign_message_is_not_there() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let message = world.leave_message(&ada, b"sound").await;
    let path = format!("/v1/messages/{}", message.envelope.id);
    problem(bob.get(&path).await, 404, ProblemCode::NotFound).await;
    problem(bob.get(&format!("{path}/audio")).await, 404, ProblemCode::NotFound).await;
    problem(act(&bob, &message, "expunge", "k").await, 404, ProblemCode::NotFound).await;
    let forward = bob.post(&format!("{path}/forward"), &json!({"to": ["bob"], "note": ""}), "f").await;
    problem(forward, 404, ProblemCode::NotFound).await;
    problem(bob.get("/v1/messages/nonsense").await, 404, ProblemCode::NotFound).await;
    assert_eq!(ada.get(&path).await.status(), 200);
}

#[tokio::test]
async fn a_message_is_forwarded_once_per_key() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let message = world.leave_message(&ada, b"the sound").await;
    let path = format!("/v1/messages/{}/forward", message.envelope.id);
    let body = json!({"to": ["1002", "carl"], "note": "please call back"});
    let first: Forwarded = ada.post(&path, &body, "f1").await.json().await.unwrap();
    let again: Forwarded = ada.post(&path, &body, "f1").await.json().await.unwrap();
    assert_eq!((first.delivered.len(), &first), (2, &again));
    let got = bob.json("/v1/messages").await;
    assert_eq!(got["messages"].as_array().unwrap().len(), 1);
    assert_eq!(got["messages"][0]["forwarded"]["note"], "please call back");
    let id = got["messages"][0]["id"].as_str().unwrap();
    assert_eq!(bob.get(&format!("/v1/messages/{id}/audio")).await.bytes().await.unwrap(), "the sound");

    let unknown = ada.post(&path, &json!({"to": ["bob", "nobody"], "note": ""}), "f2").await;
    problem(unknown, 422, ProblemCode::UnknownRecipient).await;
    problem(ada.post(&path, &json!({"to": [], "note": ""}), "f3").await, 400, ProblemCode::BadRequest).await;
    let long = json!({"to": ["bob"], "note": "x".repeat(2001)});
    problem(ada.post(&path, &long, "f4").await, 400, ProblemCode::BadRequest).await;
    assert_eq!(bob.json("/v1/messages").await["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn sound_comes_whole_in_parts_and_not_twice() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let sound: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let message = world.leave_message(&phone, &sound).await;
    let path = format!("/v1/messages/{}/audio", message.envelope.id);

    let whole = phone.get(&path).await;
    assert_eq!((whole.status().as_u16(), whole.content_length()), (200, Some(200_000)));
    assert_eq!(whole.headers()["content-type"], "audio/wav");
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let tag = whole.headers()["etag"].clone();
    assert!(whole.bytes().await.unwrap() == sound);

    let with =
        async |name: &'static str, value: &str| phone.request(Method::GET, &path).header(name, value).send().await.unwrap();
    let part = with("range", "bytes=100000-100099").await;
    assert_eq!((part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()), (206, "bytes 100000-100099/200000"));
    assert!(part.bytes().await.unwrap() == sound[100_000..100_100]);
    assert!(with("range", "bytes=-5").await.bytes().await.unwrap() == sound[199_995..]);
    assert!(with("range", "bytes=150000-").await.bytes().await.unwrap() == sound[150_000..]);
    let outside = with("range", "bytes=200000-").await;
    assert_eq!(outside.headers()["content-range"], "bytes */200000");
    problem(outside, 416, ProblemCode::BadRequest).await;

    let known = with("if-none-match", tag.to_str().unwrap()).await;
    assert_eq!((known.status().as_u16(), &known.headers()["etag"]), (304, &tag));
    assert_eq!(with("if-none-match", "\"other\"").await.status(), 200);
    let stale = phone.request(Method::GET, &path).header("range", "bytes=0-1").header("if-range", "\"other\"");
    assert_eq!(stale.send().await.unwrap().status(), 200, "the whole, for the part is of another sound");

    let head = phone.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "200000"));
    assert_eq!(head.headers()["etag"], tag);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

/// The job that makes sounds small, over the running server: the feed says so, the sound stays, the old file goes.
#[tokio::test]
async fn a_sound_becomes_small_after_a_while() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let wav = aftertone_media::container::decode(include_bytes!("../../../../assets/test-message.wav")).unwrap();
    let pcm = aftertone_media::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let recorded = aftertone_media::container::wav_pcm16(&pcm, 8_000);
    let message = world.leave_message(&phone, &recorded).await;
    let path = format!("/v1/messages/{}", message.envelope.id);
    let job = aftertone_server_store::NewJob {
        kind: "compact".into(),
        payload: message.envelope.id.to_string(),
        due_at: aftertone_model::Timestamp::now(),
    };
    world.server.store().add_job(job).await.unwrap();
    soon(until(async || phone.json(&path).await["media_type"] == "audio/ogg")).await;
    let response = phone.get(&format!("{path}/audio")).await;
    assert_eq!(response.headers()["content-type"], "audio/ogg");
    let small = response.bytes().await.unwrap();
    assert!(small.len() * 6 < recorded.len(), "{} of {}", small.len(), recorded.len());
    let again = aftertone_media::container::decode(&small).unwrap();
    assert!(again.duration().as_secs_f64() - pcm.len() as f64 / 8_000.0 < 0.1);
    let changes = phone.json("/v1/changes").await;
    let fed =
        changes["changes"].as_array().unwrap().iter().find(|change| change["message"]["id"] == message.envelope.id.to_string());
    assert_eq!(fed.map(|change| &change["message"]["media_type"]), Some(&serde_json::json!("audio/ogg")), "{changes}");
    let old = world.folder.path().join("blobs").join(format!("{}.wav", message.envelope.id));
    soon(until(async || !old.exists())).await;
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

//! A call to oneself over the API: the real exchange takes it, the real media workers play and record, and a message comes of it.

use std::{sync::Arc, time::Duration};

use aftertone_media::{container, import::trim_silence, level::dbfs};
use aftertone_model::{Message, OwnKeeping, Reason, Timestamp};
use aftertone_server_store::{Disk, MailboxKeeping, SqliteStore};
use aftertone_sync::{ProblemCode, TestCall, TestCallFailure, TestCallQuiet, TestCallStage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Phone, World, problem};

const PATH: &str = "/v1/me/test-call";
/// Greeting and sentence are fourteen seconds.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(phone: &Phone) -> TestCall {
    let response = phone.request(Method::POST, PATH).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response.json().await.unwrap()
}

async fn over(phone: &Phone) -> TestCall {
    let look = async {
        loop {
            let call: TestCall = serde_json::from_value(phone.json(PATH).await).unwrap();
            if call.stage == TestCallStage::Over {
                return call;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("an end of the test call")
}

async fn messages(phone: &Phone) -> Vec<Message> {
    serde_json::from_value(phone.json("/v1/messages").await["messages"].take()).unwrap()
}

#[tokio::test]
async fn who_calls_themselves_hears_their_greeting_and_finds_what_was_said() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    problem(ada.get(PATH).await, 404, ProblemCode::NotFound).await;
    problem(ada.get(&format!("{PATH}/greeting")).await, 404, ProblemCode::NotFound).await;

    let begun = start(&ada).await;
    assert_eq!((begun.stage, begun.rang, begun.message), (TestCallStage::Calling, false, None));
    let again = ada.request(Method::POST, PATH).send().await.unwrap();
    problem(again, 409, ProblemCode::Conflict).await;
    problem(bob.get(PATH).await, 404, ProblemCode::NotFound).await;

    let call = over(&ada).await;
    assert_eq!((call.failure, call.status), (None, None), "{call:?}");
    // No phone of hers is there.
    assert_eq!((call.rang, call.quiet, call.reason), (false, Some(TestCallQuiet::NoDevice), Some(Reason::Offline)));
    let greeting = call.greeting.expect("a greeting was heard");
    assert_eq!((greeting.own, greeting.lost), (false, false));
    assert!((7_000..8_000).contains(&greeting.sound.duration_ms), "{greeting:?}");
    assert!((-260..-150).contains(&greeting.sound.level), "{greeting:?}");
    let heard = ada.get(&format!("{PATH}/greeting")).await;
    assert_eq!(heard.headers()["content-type"], "audio/wav");
    let heard = container::decode(&heard.bytes().await.unwrap()).unwrap();
    assert!(heard.duration() > Duration::from_secs(7), "{:?} of greeting and beep", heard.duration());

    let [message] = &messages(&ada).await[..] else { panic!("one message") };
    assert_eq!((Some(message.envelope.id), Some(message.envelope.call)), (call.message, call.call));
    assert!(message.envelope.test && !message.interrupted);
    assert_eq!(message.envelope.caller.name.as_deref(), Some("Test call"));
    assert_eq!(ada.json("/v1/call-records").await["call_records"], json!([]), "nobody called");

    // What arrived is what was spoken.
    let sound = ada.get(&format!("/v1/messages/{}/audio", message.envelope.id)).await.bytes().await.unwrap();
    let mut sound = container::decode(&sound).unwrap();
    trim_silence(&mut sound, Duration::ZERO);
    let spoken = call.spoken.expect("what was spoken");
    assert!(sound.duration().as_millis().abs_diff(u128::from(spoken.duration_ms)) < 200, "{:?} of {spoken:?}", sound.duration());
    assert!((dbfs(&sound.samples) - spoken.level as f32 / 10.0).abs() < 1.0, "{spoken:?}");
}

async fn put(phone: &Phone, path: &str, body: &Value) {
    assert_eq!(phone.request(Method::PUT, path).json(body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_greeting_whose_file_is_gone_is_named() {
    const ID: &str = "0d8f1c9e-5b1e-4c53-9a34-0c6a0e1f5a01";
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let blobs = || walk(&world.folder.path().join("blobs"));
    let body = json!({"kind": "greeting", "title": "Office", "text": "", "language": "en", "expires_at": null});
    put(&ada, &format!("/v1/greetings/{ID}"), &body).await;
    let tone: Vec<i16> = (0..16_000).map(|n| ((f64::from(n) * 0.35).sin() * 9_000.0) as i16).collect();
    let sound = ada.request(Method::PUT, &format!("/v1/greetings/{ID}/audio")).body(container::wav_pcm16(&tone, 8_000));
    assert_eq!(sound.send().await.unwrap().status(), 200);
    let mut plan = ada.json("/v1/plan").await["plan"].clone();
    plan["standard"] = json!(ID);
    put(&ada, "/v1/plan", &plan).await;
    let [file] = &blobs()[..] else { panic!("one file: {:?}", blobs()) };
    std::fs::remove_file(file).unwrap();

    start(&ada).await;
    let call = over(&ada).await;
    let greeting = call.greeting.expect("a greeting was heard");
    assert_eq!((call.failure, greeting.own, greeting.lost), (None, true, true));
    assert!(greeting.sound.duration_ms > 7_000, "the one that comes with the server: {greeting:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_full_mailbox_is_named_and_do_not_disturb_explained() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    world.leave_message(&ada, b"sound").await;
    let store = SqliteStore::open(world.folder.path(), Arc::new(Disk)).await.unwrap();
    let own = OwnKeeping { quota_s: Some(2), ..Default::default() };
    store.put_own_keeping(ada.signed_in.me.subscriber.id, own, Timestamp::now()).await.unwrap();
    put(&ada, "/v1/calling", &json!({"do_not_disturb": true})).await;

    start(&ada).await;
    let call = over(&ada).await;
    assert_eq!((call.failure, call.message), (Some(TestCallFailure::MailboxFull), None), "{call:?}");
    assert_eq!((call.reason, call.quiet), (Some(Reason::Dnd), Some(TestCallQuiet::DoNotDisturb)));
    assert_eq!(messages(&ada).await.len(), 1);
}

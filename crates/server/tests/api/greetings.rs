//! Greetings and plans over the API.

use aftertone_media::container;
use aftertone_model::{Greeting, Plan};
use aftertone_sync::{ChangeBody, ChangesPage, Me, PlanView, ProblemCode};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Phone, World, problem, soon};

const ID: &str = "0d8f1c9e-5b1e-4c53-9a34-0c6a0e1f5a01";
const OTHER: &str = "0d8f1c9e-5b1e-4c53-9a34-0c6a0e1f5a02";
/// A sound of one second in each kind of file.
const FILES: [(&str, &[u8]); 4] = [
    ("mp3", include_bytes!("../../../media/tests/sounds/tone.mp3")),
    ("m4a", include_bytes!("../../../media/tests/sounds/tone.m4a")),
    ("flac", include_bytes!("../../../media/tests/sounds/tone.flac")),
    ("ogg", include_bytes!("../../../media/tests/sounds/tone.ogg")),
];

async fn put(phone: &Phone, path: &str, body: &Value) -> Response {
    phone.request(Method::PUT, path).json(body).send().await.unwrap()
}

async fn greeting(phone: &Phone, id: &str) -> Greeting {
    let body = json!({"kind": "greeting", "title": " Office ", "text": "Hello", "language": "en", "expires_at": null});
    let response = put(phone, &format!("/v1/greetings/{id}"), &body).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

async fn put_sound(phone: &Phone, id: &str, sound: impl Into<reqwest::Body>) -> Response {
    phone.request(Method::PUT, &format!("/v1/greetings/{id}/audio")).body(sound).send().await.unwrap()
}

#[tokio::test]
async fn a_greeting_takes_every_kind_of_sound_file() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let made = greeting(&ada, ID).await;
    assert_eq!((made.title.as_str(), &made.sound), ("Office", &None));
    problem(ada.get(&format!("/v1/greetings/{ID}/audio")).await, 404, ProblemCode::NotFound).await;
    let mut contents = std::collections::BTreeSet::new();
    let tone: Vec<i16> = (0..8_000).map(|n| (f64::from(n) * 0.35).sin() * 9_000.0).map(|sample| sample as i16).collect();
    let wav = container::wav_pcm16(&tone, 8_000);
    let opus = container::encode_ogg_opus(&container::Pcm { samples: tone, rate: 8_000 }).unwrap();
    let own = [("wav", wav), ("opus", opus)];
    for (kind, file) in FILES.map(|(kind, file)| (kind, file.to_vec())).into_iter().chain(own) {
        let response = put_sound(&ada, ID, file).await;
        assert_eq!(response.status(), 200, "{kind}");
        let sound = response.json::<Greeting>().await.unwrap().sound.unwrap();
        assert!((900..=1_100).contains(&sound.duration_ms), "{kind}: {} ms", sound.duration_ms);
        assert!(sound.peaks.len() <= 120 && sound.peaks.iter().any(|peak| *peak > 20), "{kind}");
        let served = ada.get(&format!("/v1/greetings/{ID}/audio")).await;
        assert_eq!(
            (&served.headers()["content-type"], &served.headers()["etag"]),
            (&"audio/ogg".parse().unwrap(), &format!("\"{}\"", sound.content).parse().unwrap()),
            "{kind}"
        );
        let pcm = container::decode(&served.bytes().await.unwrap()).unwrap();
        assert!(pcm.duration().as_millis().abs_diff(u128::from(sound.duration_ms)) <= 2, "{kind}");
        contents.insert(sound.content);
    }
    assert!(contents.len() > 1);
    let page: ChangesPage = serde_json::from_value(ada.json("/v1/changes").await).unwrap();
    let listed: Vec<Greeting> = serde_json::from_value(ada.json("/v1/greetings").await).unwrap();
    assert_eq!(page.changes.last().unwrap().body, ChangeBody::Greeting { greeting: Box::new(listed[0].clone()) });
    // Nobody else's.
    let bob = world.sign_in("bob").await;
    assert_eq!(bob.json("/v1/greetings").await, json!([]));
    problem(bob.get(&format!("/v1/greetings/{ID}/audio")).await, 404, ProblemCode::NotFound).await;
    problem(put_sound(&bob, ID, FILES[0].1).await, 404, ProblemCode::NotFound).await;
    let removed = ada.request(Method::DELETE, &format!("/v1/greetings/{ID}")).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    let again = ada.request(Method::DELETE, &format!("/v1/greetings/{ID}")).send().await.unwrap();
    problem(again, 404, ProblemCode::NotFound).await;
}

#[tokio::test]
async fn what_is_no_greeting_gets_a_clear_answer() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    greeting(&ada, ID).await;
    let refused = async |sound: Vec<u8>, code| problem(put_sound(&ada, ID, sound).await, 422, code).await;
    let unknown = refused(b"%PDF-1.7 this is a letter".to_vec(), ProblemCode::UnsupportedSound).await;
    assert!(unknown.detail.contains("WAV, MP3, M4A, FLAC or Ogg"), "{unknown:?}");
    refused(Vec::new(), ProblemCode::UnsupportedSound).await;
    let silence = container::wav_pcm16(&[0; 16_000], 8_000);
    let silent = refused(silence, ProblemCode::UnsupportedSound).await;
    assert!(silent.detail.contains("nothing can be heard"), "{silent:?}");
    // Ten minutes of a tone: allowed by its size, but not by its length.
    let long = container::wav_pcm16(&[9_000, -9_000].repeat(300 * 4_000), 8_000);
    refused(long, ProblemCode::SoundTooLong).await;
    // Hours of silence in a few kilobytes.
    let bomb = flac_of_silence();
    assert!(bomb.len() < 200_000);
    let answer = problem(put_sound(&ada, ID, bomb).await, 422, ProblemCode::SoundTooLong).await;
    assert!(answer.detail.contains("three minutes"), "{answer:?}");
    // Whoever announces so much is told before sending it.
    let host = world.base.strip_prefix("http://").unwrap();
    let head = format!(
        "PUT /v1/greetings/{ID}/audio HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        ada.signed_in.token,
        (32 << 20) + 1
    );
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let length = soon(socket.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The limit is that of this address alone.
    let elsewhere = put(&ada, &format!("/v1/greetings/{ID}"), &json!({"text": "x".repeat(70_000)})).await;
    problem(elsewhere, 413, ProblemCode::TooLarge).await;
    for body in [json!({"title": " "}), json!({"title": "x".repeat(201)}), json!({"text": "x".repeat(5_001)})] {
        let mut whole = json!({"kind": "greeting", "title": "t", "text": "", "language": "de", "expires_at": null});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        problem(put(&ada, &format!("/v1/greetings/{OTHER}"), &whole).await, 422, ProblemCode::BadRequest).await;
    }
    let listed: Vec<Greeting> = serde_json::from_value(ada.json("/v1/greetings").await).unwrap();
    assert_eq!((listed.len(), &listed[0].sound), (1, &None), "nothing was stored");
}

#[tokio::test]
async fn there_is_one_spoken_name_of_ten_seconds_at_most() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let name = |end: Value| json!({"kind": "name", "title": "Name", "text": "Ada Test", "language": "en", "expires_at": end});
    let ending = put(&ada, &format!("/v1/greetings/{ID}"), &name(json!("2126-12-06T00:00:00Z"))).await;
    problem(ending, 422, ProblemCode::BadRequest).await;
    assert_eq!(put(&ada, &format!("/v1/greetings/{ID}"), &name(Value::Null)).await.status(), 200);
    let second = put(&ada, &format!("/v1/greetings/{OTHER}"), &name(Value::Null)).await;
    problem(second, 422, ProblemCode::BadRequest).await;
    let tone = |seconds: usize| container::wav_pcm16(&[9_000, 9_000, -9_000, -9_000].repeat(seconds * 2_000), 8_000);
    let long = problem(put_sound(&ada, ID, tone(11)).await, 422, ProblemCode::SoundTooLong).await;
    assert!(long.detail.contains("ten seconds"), "{long:?}");
    assert_eq!(put_sound(&ada, ID, tone(10)).await.status(), 200);
    let made = greeting(&ada, OTHER).await;
    assert_eq!(put_sound(&ada, &made.id.to_string(), tone(11)).await.status(), 200, "a greeting may be longer");
}

#[tokio::test]
async fn the_greeting_of_the_account_is_heard_with_my_name_and_in_my_language() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let heard = async |phone: &Phone| {
        let answer = phone.get("/v1/me/account-greeting").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &"audio/wav".parse().unwrap()));
        container::decode(&answer.bytes().await.unwrap()).unwrap()
    };
    let [english, german] =
        [&include_bytes!("../../../../assets/greeting-en.wav")[..], &include_bytes!("../../../../assets/greeting-de.wav")[..]]
            .map(|file| container::decode(file).unwrap());
    assert_eq!(put(&ada, "/v1/me", &json!({"language": "en", "ring_s": 20})).await.status(), 200);
    assert_eq!(heard(&ada).await, english);
    assert_eq!(put(&ada, "/v1/me", &json!({"language": "de", "ring_s": 20})).await.status(), 200);
    assert_eq!(heard(&ada).await, german);

    let name = json!({"kind": "name", "title": "Name", "text": "", "language": "de", "expires_at": null});
    assert_eq!(put(&ada, &format!("/v1/greetings/{ID}"), &name).await.status(), 200);
    assert_eq!(heard(&ada).await, german, "a name without a sound");
    let named: Greeting = put_sound(&ada, ID, FILES[3].1).await.json().await.unwrap();
    let both = heard(&ada).await;
    assert!(both.samples.ends_with(&german.samples), "the whole greeting comes last");
    let name_ms = (both.duration() - german.duration()).as_millis();
    assert!(name_ms.abs_diff(named.sound.unwrap().duration_ms.into()) <= 2, "{name_ms} ms of name");
    let bob = world.sign_in("bob").await;
    assert!(heard(&bob).await.duration() < both.duration(), "nobody else's name");
    let stranger = world.http.get(format!("{}/v1/me/account-greeting", world.base)).send().await.unwrap();
    problem(stranger, 401, ProblemCode::Unauthorized).await;
}

/// A FLAC stream whose frames are of one constant value each, of 65,535 samples at 8 kHz: eleven bytes for eight seconds.
fn flac_of_silence() -> Vec<u8> {
    let crc = |bytes: &[u8], polynomial: u32, width: u32| {
        bytes.iter().fold(0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << (width - 8), |crc, _| {
                let shifted = crc << 1;
                if crc >> (width - 1) & 1 == 1 {
                    (shifted ^ polynomial) & ((1 << width) - 1)
                } else {
                    shifted & ((1 << width) - 1)
                }
            })
        })
    };
    let block: u16 = 65_535;
    let mut file = b"fLaC\x80\0\0\x22".to_vec();
    file.extend(block.to_be_bytes());
    file.extend(block.to_be_bytes());
    file.extend([0; 6]);
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples (0: unknown).
    file.extend(((8_000_u64 << 44) | (15 << 36)).to_be_bytes());
    file.extend([0; 16]);
    for number in 0..60_u8 {
        // A fixed block size of 16 bits that follow, 8 kHz, mono, 16 bits.
        let mut frame = vec![0xff, 0xf8, 0x74, 0x08, number];
        frame.extend((block - 1).to_be_bytes());
        frame.push(crc(&frame, 0x07, 8) as u8);
        frame.extend([0, 0x10, 0]);
        let footer = crc(&frame, 0x8005, 16) as u16;
        frame.extend(footer.to_be_bytes());
        file.extend(frame);
    }
    file
}

#[tokio::test]
async fn a_plan_is_changed_by_who_has_its_version() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let first = ada.get("/v1/plan").await;
    assert_eq!(first.headers()["etag"], "\"0\"");
    assert_eq!(first.json::<PlanView>().await.unwrap(), PlanView::default());
    let change = async |tag: Option<&str>, body: Value| {
        let request = ada.request(Method::PUT, "/v1/plan").json(&body);
        tag.map_or(request.try_clone().unwrap(), |tag| request.header("If-Match", tag)).send().await.unwrap()
    };
    let plan = json!({"zone": "Europe/Berlin", "region": "DE-BE", "longest_s": 120});
    let changed = change(Some("\"0\""), plan.clone()).await;
    assert_eq!((changed.status().as_u16(), &changed.headers()["etag"]), (200, &"\"1\"".parse().unwrap()));
    let conflict = problem(change(Some("\"0\""), plan.clone()).await, 412, ProblemCode::Conflict).await;
    assert!(conflict.detail.contains("version 1"), "{conflict:?}");
    assert_eq!(change(Some("*"), plan.clone()).await.status(), 200);
    assert_eq!(change(None, plan).await.status(), 200);
    problem(change(Some("once"), json!({})).await, 400, ProblemCode::BadRequest).await;
    let wrong = problem(change(None, json!({"zone": "Mars/Olympus"})).await, 422, ProblemCode::BadRequest).await;
    assert!(wrong.detail.contains("Mars/Olympus"), "{wrong:?}");
    let now: PlanView = serde_json::from_value(ada.json("/v1/plan").await).unwrap();
    let expect = Plan { zone: "Europe/Berlin".into(), region: "DE-BE".into(), longest_s: Some(120), ..Plan::default() };
    assert_eq!(now, PlanView { version: 3, plan: expect });
    assert_eq!(bob.json("/v1/plan").await["version"], 0);
}

#[tokio::test]
async fn i_change_my_language_and_my_ring_time() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let response = put(&ada, "/v1/me", &json!({"language": "de", "ring_s": 35})).await;
    assert_eq!(response.status(), 200);
    let changed: Me = response.json().await.unwrap();
    assert_eq!((changed.subscriber.ring_s, changed.subscriber.display_name.as_str()), (35, "ADA Test"));
    assert_eq!(ada.json("/v1/me").await, serde_json::to_value(&changed).unwrap());
    problem(put(&ada, "/v1/me", &json!({"language": "de", "ring_s": 301})).await, 422, ProblemCode::BadRequest).await;
}

use std::time::Duration;

use aftertone_model::Timestamp;
use aftertone_server::{
    Config, Https, Server, Turn,
    admin::{self, InviteTo},
};
use aftertone_sync::{Device, Me, ProblemCode, SignedIn, TurnCredentials};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{PASSWORD, Phone, World, add_user, http_trusting, problem, soon};

async fn try_password(world: &World, user: &str, password: &str) -> Response {
    world.post("/v1/sign-in", &json!({"user": user, "password": password, "device_name": "test"})).send().await.unwrap()
}

#[tokio::test]
async fn a_password_signs_in_under_either_name() {
    let world = World::start().await;
    for name in ["ada", "ADA", "1001"] {
        let phone = world.sign_in(name).await;
        let me: Me = serde_json::from_value(phone.json("/v1/me").await).unwrap();
        assert_eq!(me, phone.signed_in.me);
        assert_eq!((me.subscriber.extension.as_str(), me.domain.as_str()), ("1001", "localhost"));
    }
}

#[tokio::test]
async fn what_is_wrong_all_sounds_the_same() {
    let world = World::start().await;
    let unknown = problem(try_password(&world, "nobody", PASSWORD).await, 401, ProblemCode::WrongCredentials).await;
    let wrong = problem(try_password(&world, "ada", "wrong").await, 401, ProblemCode::WrongCredentials).await;
    let without = problem(try_password(&world, "carl", PASSWORD).await, 401, ProblemCode::WrongCredentials).await;
    let invitation = json!({"invitation": "nonsense", "device_name": "test"});
    let invitation = world.post("/v1/sign-in", &invitation).send().await.unwrap();
    let invitation = problem(invitation, 401, ProblemCode::WrongCredentials).await;
    assert!([&wrong, &without, &invitation].iter().all(|other| **other == unknown));
}

#[tokio::test]
async fn turn_credentials_are_for_signed_in_devices_alone() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let none: TurnCredentials = serde_json::from_value(phone.json("/v1/turn").await).unwrap();
    assert!(none.uris.is_empty() && none.password.is_empty(), "{none:?}");
    world.server.shutdown().await.unwrap();

    let turn = Turn::new(vec!["turn:turn.example.com:3478".into()], Some("north".parse().unwrap())).unwrap();
    let config = Config { turn, media_workers: 1, ..Config::on_free_ports(world.folder.path()) };
    let server = Server::start(config).await.unwrap();
    let phone = Phone { base: server.addresses.url().unwrap(), ..phone };
    let given = phone.json("/v1/turn").await;
    assert!(!given.to_string().contains("north"), "{given}");
    let given: TurnCredentials = serde_json::from_value(given).unwrap();
    assert_eq!(given.uris, ["turn:turn.example.com:3478"]);
    let (until, _who) = given.username.split_once(':').unwrap();
    assert_eq!(until.parse::<i64>().unwrap(), given.expires_at.as_second());
    assert!(given.expires_at > Timestamp::now() && !given.password.is_empty());

    let me = phone.signed_in.device;
    assert_eq!(phone.request(Method::DELETE, &format!("/v1/devices/{me}")).send().await.unwrap().status(), 204);
    problem(phone.get("/v1/turn").await, 401, ProblemCode::Unauthorized).await;
}

#[tokio::test]
async fn many_tries_have_to_wait_even_with_the_right_password() {
    let world = World::start().await;
    let mut limited = None;
    for _ in 0..8 {
        let response = try_password(&world, "ada", "wrong").await;
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.expect("a limit");
    let wait: u64 = limited.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    problem(limited, 429, ProblemCode::RateLimited).await;
    // Nothing tells whose the other names are, and nobody else is held up.
    assert_eq!(try_password(&world, "1001", PASSWORD).await.status(), 200);
    world.sign_in("bob").await;
    tokio::time::sleep(Duration::from_secs(wait)).await;
    world.sign_in("ada").await;
}

#[tokio::test]
async fn an_invitation_signs_in_once() {
    let world = World::start().await;
    let link = admin::invite(world.folder.path(), "carl", InviteTo::default()).await.unwrap();
    let url = world.base.replace(':', "%3A").replace('/', "%2F");
    let token = link.trim().strip_prefix(&format!("aftertone://invite?server={url}&token=")).expect("the link").to_owned();
    let body = json!({"invitation": token, "device_name": "Carl's laptop"});
    let signed_in: SignedIn = world.post("/v1/sign-in", &body).send().await.unwrap().json().await.unwrap();
    assert_eq!(signed_in.me.subscriber.user.as_str(), "carl");
    let again = world.post("/v1/sign-in", &body).send().await.unwrap();
    problem(again, 401, ProblemCode::WrongCredentials).await;
    let phone = Phone { http: world.http.clone(), base: world.base.clone(), signed_in };
    assert_eq!(phone.json("/v1/devices").await[0]["name"], "Carl's laptop");
}

#[tokio::test]
async fn devices_are_listed_and_signed_out() {
    let world = World::start().await;
    let (first, second, bob) = (world.sign_in("ada").await, world.sign_in("ada").await, world.sign_in("bob").await);
    let devices: Vec<Device> = serde_json::from_value(second.json("/v1/devices").await).unwrap();
    let listed: Vec<_> = devices.iter().map(|device| (device.id, device.current)).collect();
    assert_eq!(listed, [(first.signed_in.device, false), (second.signed_in.device, true)]);

    let foreign = format!("/v1/devices/{}", bob.signed_in.device);
    problem(second.request(Method::DELETE, &foreign).send().await.unwrap(), 404, ProblemCode::NotFound).await;
    let nonsense = second.request(Method::DELETE, "/v1/devices/nonsense").send().await.unwrap();
    problem(nonsense, 404, ProblemCode::NotFound).await;

    for device in [first.signed_in.device, second.signed_in.device] {
        let response = second.request(Method::DELETE, &format!("/v1/devices/{device}")).send().await.unwrap();
        assert_eq!(response.status(), 204);
    }
    for phone in [first, second] {
        let refused = phone.get("/v1/me").await;
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
        problem(refused, 401, ProblemCode::Unauthorized).await;
    }
    assert_eq!(bob.get("/v1/me").await.status(), 200);
}

#[tokio::test]
async fn nothing_but_the_door_is_open_without_a_token() {
    let world = World::start().await;
    let paths = ["me", "devices", "directory", "changes", "messages", "call-records", "doorbell"];
    let id = "00000000-0000-4000-8000-000000000000";
    let more = [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/audio")];
    let wrong = ["Bearer x", "Basic eDp5", "Bearer ", "Bearer"];
    for path in paths.iter().map(|path| format!("/v1/{path}")).chain(more) {
        let url = format!("{}{path}", world.base);
        problem(world.http.get(&url).send().await.unwrap(), 401, ProblemCode::Unauthorized).await;
        for authorization in wrong {
            let request = world.http.get(&url).header("authorization", authorization);
            problem(request.send().await.unwrap(), 401, ProblemCode::Unauthorized).await;
        }
    }
    // Phones of other makes may open SIP's socket without a token and are challenged on it, but a wrong token is refused.
    for authorization in wrong {
        let request = world.http.get(format!("{}/sip", world.base)).header("authorization", authorization);
        problem(request.send().await.unwrap(), 401, ProblemCode::Unauthorized).await;
    }
}

#[tokio::test]
async fn the_directory_is_searched_and_grows_while_the_server_runs() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let found = async |query: &str| -> Vec<String> {
        let people = phone.json(&format!("/v1/directory{query}")).await;
        people.as_array().unwrap().iter().map(|person| person["user"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found("").await, ["ada", "bob", "carl"]);
    assert_eq!(found("?q=BO").await, ["bob"]);
    assert_eq!(found("?q=1003").await, ["carl"]);
    assert_eq!(found("?q=nobody").await, [""; 0]);
    add_user(world.folder.path(), "dora", "1004", Some(PASSWORD)).await;
    assert_eq!(found("?q=dora").await, ["dora"]);
    world.sign_in("dora").await;
}

#[tokio::test]
async fn malformed_requests_get_problems() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    let send = async |body: &'static str, kind: &'static str| {
        let request = world.http.post(format!("{}/v1/sign-in", world.base)).header("content-type", kind).body(body);
        request.send().await.unwrap()
    };
    problem(send("{", "application/json").await, 400, ProblemCode::BadRequest).await;
    let secret = problem(send(r#"{"password": "geheim"}"#, "application/json").await, 422, ProblemCode::BadRequest).await;
    assert!(!secret.detail.contains("geheim"));
    problem(send("{}", "text/plain").await, 415, ProblemCode::BadRequest).await;
    let nameless = json!({"user": "ada", "password": PASSWORD, "device_name": " "});
    problem(world.post("/v1/sign-in", &nameless).send().await.unwrap(), 400, ProblemCode::BadRequest).await;
    let huge = json!({"user": "a".repeat(100_000), "password": "", "device_name": "x"});
    problem(world.post("/v1/sign-in", &huge).send().await.unwrap(), 413, ProblemCode::TooLarge).await;

    problem(phone.get("/v1/nothing").await, 404, ProblemCode::NotFound).await;
    problem(phone.get("/").await, 404, ProblemCode::NotFound).await;
    let put = phone.request(Method::PUT, "/v1/directory").send().await.unwrap();
    assert_eq!(put.headers()["allow"], "GET,HEAD");
    problem(put, 405, ProblemCode::BadRequest).await;
    problem(phone.get("/v1/changes?since=x").await, 400, ProblemCode::BadRequest).await;
    problem(phone.get("/v1/changes?limit=x").await, 400, ProblemCode::BadRequest).await;
    problem(phone.get("/v1/messages?before=x").await, 400, ProblemCode::BadRequest).await;
    problem(phone.get("/v1/doorbell").await, 426, ProblemCode::BadRequest).await;
}

#[tokio::test]
async fn answers_carry_headers_for_browsers() {
    let world = World::start().await;
    let response = world.http.get(format!("{}/v1/health", world.base)).send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(!headers.contains_key("strict-transport-security"), "not over plain http");
    let health: Value = response.json().await.unwrap();
    assert_eq!(health["status"], "ok");
    assert!(health["free_bytes"].as_u64() > Some(1 << 20), "{health}");
    assert_eq!(health["repaired"], json!({"interrupted": 0, "completed": 0, "too_short": 0, "cleared": 0, "failed": 0}));
}

#[tokio::test]
async fn https_is_served_with_the_certificate_that_the_invitation_names() {
    let folder = tempfile::tempdir().unwrap();
    add_user(folder.path(), "ada", "1001", Some(PASSWORD)).await;
    let made = rcgen::generate_simple_self_signed(["phones.example".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let https = Https { address: "127.0.0.1:0".parse().unwrap(), cert, key };
    let config = Config { http: None, https: Some(https), media_workers: 1, ..Config::on_free_ports(folder.path()) };
    let server = Server::start(config).await.unwrap();
    let base = server.addresses.url().unwrap();
    assert!(base.starts_with("https://127.0.0.1:"));

    let link = admin::invite(folder.path(), "ada", InviteTo::default()).await.unwrap();
    let (link, fingerprint) = link.trim().split_once("&fingerprint=").expect("a fingerprint");
    let token = link.split_once("&token=").unwrap().1;
    let http = http_trusting(fingerprint.parse().unwrap());
    let body = json!({"invitation": token, "device_name": "test"});
    let response = http.post(format!("{base}/v1/sign-in")).json(&body).send().await.unwrap();
    assert!(response.headers().contains_key("strict-transport-security"));
    assert_eq!(response.status(), 200);
    let other = crate::world::plain_http().get(format!("{base}/v1/health")).send().await;
    assert!(other.is_err(), "another certificate is pinned");
    soon(server.shutdown()).await.unwrap();
}

#[tokio::test]
async fn one_folder_has_one_server_and_one_domain() {
    let world = World::start().await;
    let config = || Config { media_workers: 1, ..Config::on_free_ports(world.folder.path()) };
    let second = Server::start(config()).await.err().expect("refused").to_string();
    assert!(second.contains("another server"), "{second}");
    let device = admin::add_device(world.folder.path(), "ada", "Desk phone", None, true).await.unwrap();
    let device: Value = serde_json::from_str(&device).unwrap();
    assert_eq!(device["domain"], "localhost");
    soon(world.server.shutdown()).await.unwrap();
    let config = Config { domain: Some("other.example".into()), media_workers: 1, ..Config::on_free_ports(world.folder.path()) };
    let moved = Server::start(config).await.err().expect("refused").to_string();
    assert!(moved.contains("belongs to the domain localhost"), "{moved}");
    let config = Config { media_workers: 1, ..Config::on_free_ports(world.folder.path()) };
    soon(Server::start(config).await.unwrap().shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_pin_is_set_and_taken_away_by_its_owner_and_is_no_easy_one() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let put = async |path: &str, body: serde_json::Value| ada.request(Method::PUT, path).json(&body).send().await.unwrap();
    for pin in ["12345", "123456", "111111", "100110", "1234567890123", "12a456", ""] {
        problem(put("/v1/me/pin", json!({"pin": pin})).await, 422, ProblemCode::WeakPin).await;
    }
    assert_eq!(ada.json("/v1/me/phone-menu").await["has_pin"], false);
    assert_eq!(put("/v1/me/pin", json!({"pin": "482159"})).await.status(), 204);
    assert_eq!(put("/v1/me/phone-menu", json!({"layout": "asterisk"})).await.status(), 200);
    let expected = json!({"has_pin": true, "layout": "asterisk", "calls_from_foreign_phones": false, "menu_number": "*97", "mailbox_number": "*98"});
    assert_eq!(ada.json("/v1/me/phone-menu").await, expected);
    assert_eq!(bob.json("/v1/me/phone-menu").await["has_pin"], false);
    problem(put("/v1/me/phone-menu", json!({"layout": "other"})).await, 422, ProblemCode::BadRequest).await;
    assert_eq!(ada.request(Method::DELETE, "/v1/me/pin").send().await.unwrap().status(), 204);
    assert_eq!(ada.json("/v1/me/phone-menu").await["has_pin"], false);
}

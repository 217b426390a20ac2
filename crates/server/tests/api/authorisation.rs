//! Who may do what, for every operation that the API describes: a new one is tested by being described. And what hostile
//! clients send.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{PASSWORD, Phone, World, soon};

struct Operation {
    method: Method,
    path: String,
    is_open: bool,
    takes_key: bool,
}

async fn operations(world: &World) -> Vec<Operation> {
    let document: Value = world.http.get(format!("{}/v1/openapi.json", world.base)).send().await.unwrap().json().await.unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_open = operation["security"].as_array().is_some_and(|all| all.iter().all(|one| *one == json!({})));
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                is_open,
                takes_key: parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"),
            });
        }
    }
    assert!(operations.len() >= 17, "{}", operations.len());
    operations
}

/// Sent with a body that each operation would take, so that nothing but the right decides.
async fn ask(phone: &Phone, operation: &Operation, path: &str, token: Option<&str>) -> u16 {
    let mut request = phone.http.request(operation.method.clone(), format!("{}{path}", phone.base));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if operation.takes_key {
        request = request.header("Idempotency-Key", format!("{:032x}", rand::random::<u128>()));
    }
    if operation.method == Method::POST || operation.method == Method::PUT {
        let body = json!({"action": "delete", "to": ["1002"], "note": "", "do_not_disturb": true,
                          "user": "ada", "password": "wrong", "device_name": "x"});
        let body = if operation.path.ends_with("/actions") {
            json!({"action": "expunge"})
        } else if operation.path.ends_with("/forward") {
            json!({"to": ["1002"], "note": ""})
        } else if operation.path.ends_with("/calling") {
            json!({"do_not_disturb": true})
        } else if operation.path.ends_with("/greetings/{id}") {
            greeting()
        } else {
            body
        };
        request = request.json(&body);
    }
    request.send().await.unwrap().status().as_u16()
}

fn greeting() -> Value {
    json!({"kind": "greeting", "title": "Office", "text": "", "language": "en", "expires_at": null})
}

const GREETING: &str = "0d8f1c9e-5b1e-4c53-9a34-0c6a0e1f5a01";

#[tokio::test]
async fn nothing_is_had_without_a_token_or_with_somebody_elses() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let message = world.leave_message(&ada, b"for ada alone").await;
    let made = ada.request(Method::PUT, &format!("/v1/greetings/{GREETING}")).json(&greeting()).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let before = ada.json("/v1/changes").await;
    let of_ada = |path: &str| match path.split('/').nth(2) {
        Some("devices") => path.replace("{id}", &ada.signed_in.device.to_string()),
        Some("greetings") => path.replace("{id}", GREETING),
        _ => path.replace("{id}", &message.envelope.id.to_string()),
    };
    let mut with_ids = 0;
    for operation in &operations(&world).await {
        let (name, path) = (format!("{} {}", operation.method, operation.path), of_ada(&operation.path));
        // Phones of other makes open this one and show who they are in SIP.
        let is_sip = operation.path == "/sip";
        if !operation.is_open && !is_sip {
            assert_eq!(ask(&ada, operation, &path, None).await, 401, "{name} without a token");
        }
        if !operation.is_open {
            assert_eq!(ask(&ada, operation, &path, Some("nonsense")).await, 401, "{name} with a wrong token");
        }
        if operation.path.contains("{id}") {
            with_ids += 1;
            // Who makes a greeting chooses its id: one that is taken is refused, and one of nobody's is theirs.
            let makes = operation.method == Method::PUT && operation.path.ends_with("/greetings/{id}");
            let status = if makes { 422 } else { 404 };
            assert_eq!(ask(&bob, operation, &path, Some(&bob.signed_in.token)).await, status, "{name} of somebody else");
            if makes {
                continue;
            }
            let unknown = operation.path.replace("{id}", "00000000-0000-4000-8000-000000000001");
            assert_eq!(
                ask(&bob, operation, &unknown, Some(&bob.signed_in.token)).await,
                404,
                "{name} of nobody: the same answer"
            );
        }
    }
    assert!(with_ids >= 5, "{with_ids}");
    assert_eq!(ada.json("/v1/changes").await, before, "nothing of hers has changed");
    assert_eq!(bob.json("/v1/messages").await["messages"], json!([]), "and nothing came to him");
}

#[tokio::test]
async fn tricks_in_names_and_paths_find_nothing() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    for user in ["ada' OR '1'='1", "ada'; DROP TABLE subscribers; --", "ada\u{0}", "../ada", "%", "ada\" OR 1=1", "１００１"]
    {
        let body = json!({"user": user, "password": PASSWORD, "device_name": "x"});
        assert_eq!(world.post("/v1/sign-in", &body).send().await.unwrap().status(), 401, "{user:?}");
    }
    for query in ["%25", "_", "%27%20OR%201=1", "%00", "%F0%9F%92%A3"] {
        assert_eq!(phone.json(&format!("/v1/directory?q={query}")).await, json!([]), "{query}");
    }
    for path in [
        "/v1/messages/..%2F..%2Faftertone.db/audio",
        "/v1/messages/%2e%2e%2fkey",
        "/v1/messages/%00/audio",
        "/v1/../key",
        "//etc/passwd",
        "/v1/messages/' OR 1=1/audio",
        "/v1/changes?since=1.1' OR 1=1",
        "/v1/changes?since=99999999999999999999.1",
        "/v1/messages?limit=-1",
    ] {
        let answer = raw(
            &world,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                phone.signed_in.token
            ),
        )
        .await;
        let status: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!((400..500).contains(&status), "{path}: {answer:.60}");
        assert!(!answer.contains("SQLite"), "{path}");
    }
    assert_eq!(phone.json("/v1/directory").await.as_array().unwrap().len(), 3, "everybody is still there");
}

/// Two readings of where a request ends must not let one hide behind another.
#[tokio::test]
async fn requests_are_not_smuggled() {
    let world = World::start().await;
    let smuggled = "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads = [
        format!("POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: {}\r\n\r\n", smuggled.len()),
        "POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n".to_owned(),
        "GET /v1/health HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n".to_owned(),
        "GET /v1/health HTTP/1.1\r\nHost: x\r\nBad Name: a\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let answer = raw(&world, &format!("{head}{smuggled}")).await;
        assert!(answer.matches("HTTP/1.1 200").count() == 0, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn bodies_without_an_end_and_json_without_a_bottom_are_refused() {
    let world = World::start().await;
    for body in ["[".repeat(60_000), "{\"user\":".repeat(7_000), format!("{{\"user\":\"{}\"}}", "x".repeat(60_000))] {
        let response =
            world.http.post(format!("{}/v1/sign-in", world.base)).header("content-type", "application/json").body(body);
        assert!(response.send().await.unwrap().status().is_client_error());
    }
    // It never ends: the server has read enough at its limit.
    let mut stream = TcpStream::connect(world.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let mut sent = 0_usize;
    while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 32 << 20, "{sent} bytes were taken");
    let unread = raw(&world, &format!("GET /v1/health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1 << 20))).await;
    assert!(!unread.starts_with("HTTP/1.1 200"), "{unread:.60}");
    assert_eq!(world.http.get(format!("{}/v1/health", world.base)).send().await.unwrap().status(), 200, "others are served");
}

/// A device has only so many WebSockets, and others have theirs.
#[tokio::test]
async fn one_device_does_not_take_all_web_sockets() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(ada.socket("/v1/doorbell", None).await);
    }
    let refused = ada
        .request(Method::GET, "/v1/doorbell")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send()
        .await
        .unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    bob.socket("/v1/doorbell", None).await;
    drop(open);
    // The places are free again as soon as the server notices.
    soon(async {
        loop {
            let request = ada.request(Method::GET, "/v1/me").send().await.unwrap();
            assert_eq!(request.status(), 200);
            let again = ada
                .request(Method::GET, "/v1/doorbell")
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                .send()
                .await
                .unwrap();
            if again.status() == 101 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// What the server says to these bytes, until it closes or for two seconds.
async fn raw(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.base.strip_prefix("http://").unwrap()).await.unwrap();
    // It may close before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

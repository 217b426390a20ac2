use std::time::Duration;

use aftertone_net::{CloseReason, ConnectError, ConnectOptions, Frame, connect};
use reqwest::Method;
use serde_json::json;

use crate::world::{Phone, World, soon, text};

const CHANGED: &str = r#"{"kind":"changed"}"#;

async fn revoke(phone: &Phone) {
    let path = format!("/v1/devices/{}", phone.signed_in.device);
    assert_eq!(phone.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn the_doorbell_rings_for_its_mailbox_and_for_no_other() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let (mut at_adas, mut at_bobs) = (ada.socket("/v1/doorbell", None).await, bob.socket("/v1/doorbell", None).await);
    let message = world.leave_message(&ada, b"sound").await;
    let path = format!("/v1/messages/{}", message.envelope.id);
    ada.post(&format!("{path}/actions"), &json!({"action": "heard"}), "k1").await;
    assert_eq!(text(soon(at_adas.receiver.recv()).await), CHANGED);
    let quiet = tokio::time::timeout(Duration::from_millis(200), at_bobs.receiver.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    ada.post(&format!("{path}/forward"), &json!({"to": ["bob"], "note": ""}), "k2").await;
    assert_eq!(text(soon(at_bobs.receiver.recv()).await), CHANGED);
}

#[tokio::test]
async fn a_revoked_token_is_dead_at_once_everywhere() {
    let world = World::start().await;
    let (gone, stays) = (world.sign_in("ada").await, world.sign_in("ada").await);
    let mut sockets = [gone.socket("/v1/doorbell", None).await, gone.socket("/sip", Some("sip")).await];
    let mut other = stays.socket("/v1/doorbell", None).await;
    revoke(&gone).await;
    for socket in &mut sockets {
        assert_eq!(soon(socket.receiver.recv()).await, None);
        let reason = socket.receiver.close_reason();
        assert!(matches!(reason, Some(CloseReason::Remote { code: 1008, .. })), "{reason:?}");
    }
    let authorization = format!("Bearer {}", gone.signed_in.token);
    let url = format!("{}/sip", world.base.replacen("http", "ws", 1));
    let options = ConnectOptions { protocol: Some("sip".into()), ..ConnectOptions::default() };
    let again = connect(&url, &[("authorization", &authorization)], &options).await;
    assert!(matches!(again, Err(ConnectError::Refused { status: 401, .. })), "{again:?}");
    let quiet = tokio::time::timeout(Duration::from_millis(100), other.receiver.recv()).await;
    assert!(quiet.is_err(), "the other device stays");
}

/// A REGISTER as our client sends it, without credentials: the connection is authenticated.
fn register(user: &str, cseq: u32) -> String {
    format!(
        "REGISTER sip:localhost SIP/2.0\r\n\
         Via: SIP/2.0/WS client.invalid;branch=z9hG4bK-{cseq}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{user}@localhost>;tag=a\r\n\
         To: <sip:{user}@localhost>\r\n\
         Call-ID: test\r\n\
         CSeq: {cseq} REGISTER\r\n\
         Contact: <sip:{user}@client.invalid;transport=ws>;expires=300\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn sip_over_a_websocket_is_the_person_of_the_token() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let mut socket = ada.socket("/sip", Some("sip")).await;
    socket.sender.send(Frame::Text(register("ada", 1))).await.unwrap();
    let answer = text(soon(socket.receiver.recv()).await);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    socket.sender.send(Frame::Text(register("bob", 2))).await.unwrap();
    let answer = text(soon(socket.receiver.recv()).await);
    assert!(answer.starts_with("SIP/2.0 403 "), "{answer}");
}

#[tokio::test]
async fn sip_wants_its_subprotocol() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let authorization = format!("Bearer {}", ada.signed_in.token);
    let url = format!("{}/sip", world.base.replacen("http", "ws", 1));
    for protocol in [None, Some("xmpp".to_owned())] {
        let options = ConnectOptions { protocol, ..ConnectOptions::default() };
        let refused = connect(&url, &[("authorization", &authorization)], &options).await;
        assert!(matches!(refused, Err(ConnectError::Refused { status: 400, .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_shutdown_closes_the_sockets_and_comes_to_an_end() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let mut sockets = [ada.socket("/v1/doorbell", None).await, ada.socket("/sip", Some("sip")).await];
    soon(world.server.shutdown()).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(soon(socket.receiver.recv()).await, None);
        let reason = socket.receiver.close_reason();
        assert!(matches!(reason, Some(CloseReason::Remote { code: 1001, .. })), "{reason:?}");
    }
    let restarted = World::start_in(world.folder).await;
    let response =
        restarted.http.get(format!("{}/v1/me", restarted.base)).bearer_auth(&ada.signed_in.token).send().await.unwrap();
    assert_eq!(response.status(), 200, "the token outlives the server's run");
}

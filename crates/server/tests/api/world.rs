//! A running account with people and messages, and clients for it.

use std::path::Path;

use aftertone_model::{CallId, CallRecord, Caller, Direction, EndReason, Envelope, Message, MessageId, Reason, Timestamp};
use aftertone_net::{ConnectOptions, Frame, WebSocket, connect};
use aftertone_server::{
    Config, Running, Server,
    admin::{self, AddUser},
};
use aftertone_server_store::{Committed, FinishedRecording, Sound};
use aftertone_sync::{Problem, ProblemCode, SignedIn};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) server: Running,
    pub(crate) base: String,
    pub(crate) folder: TempDir,
    pub(crate) http: reqwest::Client,
}

/// One signed-in device.
#[derive(Clone)]
pub(crate) struct Phone {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) signed_in: SignedIn,
}

impl World {
    /// Ada has extension 1001 and a password, Bob 1002 and one, Carl 1003 and none.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, extension) in [("ada", "1001"), ("bob", "1002"), ("carl", "1003")] {
            add_user(folder.path(), name, extension, (name != "carl").then_some(PASSWORD)).await;
        }
        Self::start_in(folder).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let mut config = Config::on_free_ports(folder.path());
        config.media_workers = 1;
        let server = Server::start(config).await.unwrap();
        let base = server.addresses.url().unwrap();
        Self { server, base, folder, http: plain_http() }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base)).json(body)
    }

    pub(crate) async fn sign_in(&self, user: &str) -> Phone {
        let body = json!({"user": user, "password": PASSWORD, "device_name": "test"});
        let response = self.post("/v1/sign-in", &body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Phone { http: self.http.clone(), base: self.base.clone(), signed_in: response.json().await.unwrap() }
    }

    /// A message in this phone's mailbox whose sound is `sound`.
    pub(crate) async fn leave_message(&self, phone: &Phone, sound: &[u8]) -> Message {
        let (id, call) = (MessageId::from_random(rand::random()), CallId::from_random(rand::random()));
        let owner = phone.signed_in.me.subscriber.id;
        let file = format!("{id}.wav");
        std::fs::write(self.folder.path().join("blobs").join(&file), sound).unwrap();
        let (caller, at) = (Caller { number: "1002".into(), name: Some("Bob".into()) }, Timestamp::now());
        let record = CallRecord {
            call,
            owner,
            direction: Direction::Incoming,
            party: caller.clone(),
            started_at: at,
            answered_at: None,
            ended_at: at,
            end: EndReason::Diverted,
            diverted: Some(Reason::NoAnswer),
            message: None,
            figures: None,
        };
        let recording = FinishedRecording {
            envelope: Envelope {
                id,
                call,
                mailbox: owner,
                caller,
                received_at: at,
                reason: Reason::NoAnswer,
                urgent: false,
                private: false,
                call_back: None,
                test: false,
            },
            sound: Sound {
                content: format!("pcmu-{id}"),
                file,
                bytes: sound.len() as u64,
                media_type: "audio/wav".into(),
                duration_ms: 2000,
                peaks: vec![1, 2, 3],
            },
            record,
            interrupted: false,
            jobs: Vec::new(),
        };
        match self.server.store().commit_recording(recording).await.unwrap() {
            Committed::Added(message) => message,
            other @ (Committed::Already(_) | Committed::Expunged) => panic!("{other:?}"),
        }
    }
}

impl Phone {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.signed_in.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, key: &str) -> Response {
        self.request(Method::POST, path).header("Idempotency-Key", key).json(body).send().await.unwrap()
    }

    pub(crate) async fn socket(&self, path: &str, protocol: Option<&str>) -> WebSocket {
        let url = format!("{}{path}", self.base.replacen("http", "ws", 1));
        let options = ConnectOptions { protocol: protocol.map(str::to_owned), ..ConnectOptions::default() };
        let authorization = format!("Bearer {}", self.signed_in.token);
        connect(&url, &[("Authorization", &authorization)], &options).await.unwrap()
    }
}

pub(crate) async fn add_user(data: &Path, name: &str, extension: &str, password: Option<&str>) {
    let add = AddUser {
        user: name.into(),
        extension: extension.into(),
        display_name: format!("{} Test", name.to_uppercase()),
        language: aftertone_model::Language::En,
        ring_s: 20,
        password: password.map(str::to_owned),
    };
    admin::add_user(data, add).await.unwrap();
}

/// Without encryption, so no certificates of the system's are read.
pub(crate) fn plain_http() -> reqwest::Client {
    let certificate = rcgen::generate_simple_self_signed(["unused.example".to_owned()]).unwrap();
    http_trusting(aftertone_net::Fingerprint::of(certificate.cert.der()))
}

pub(crate) fn http_trusting(fingerprint: aftertone_net::Fingerprint) -> reqwest::Client {
    let config = aftertone_net::tls::client_config(&aftertone_net::Trust::Pinned(fingerprint)).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
}

/// Checks that an answer is a problem of this status and code.
pub(crate) async fn problem(response: Response, status: u16, code: ProblemCode) -> Problem {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.status(), status);
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((problem.status, problem.code), (status, code), "{problem:?}");
    assert!(!problem.title.is_empty() && !problem.detail.is_empty());
    problem
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(10), future).await.expect("within ten seconds")
}

pub(crate) fn text(frame: Option<Frame>) -> String {
    match frame.expect("a frame") {
        Frame::Text(text) => text,
        Frame::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

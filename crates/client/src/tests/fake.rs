//! A server that says what a test wants it to say.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aftertone_model::{
    CallId, Caller, Envelope, Greeting, GreetingId, GreetingSound, Language, Message, MessageId, MessageState, Reason,
    Subscriber, SubscriberId, Timestamp,
};
use aftertone_sync::{
    ActionBody, Change, ChangeBody, ChangesPage, Credentials, Cursor, GreetingBody, Me, MeBody, PlanView, Problem, ProblemCode,
    SignIn, SignedIn,
};
use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared, WebSocketUpgrade, ws},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use tokio::sync::Notify;

pub(crate) const TOKEN: &str = "the token";

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) revoked: bool,
    /// 503 to every write.
    pub(crate) failing: bool,
    /// 503 to every write of this message.
    pub(crate) failing_at: Option<MessageId>,
    /// 400 to every write.
    pub(crate) refusing: bool,
    /// 503 to every revocation of a device.
    pub(crate) revoke_fails: bool,
    /// 401 to every WebSocket.
    pub(crate) sockets_refused: bool,
    /// The keys of all writes that were tried.
    pub(crate) keys: Vec<String>,
    pub(crate) greetings: Vec<Greeting>,
    pub(crate) plan: PlanView,
    /// The ring time that was set; none: the account's first.
    pub(crate) ring_s: Option<u16>,
    asked: Vec<String>,
    epoch: u32,
    feed: Vec<Message>,
}

impl Script {
    /// Whether the server has this message in this state.
    pub(crate) fn has(&self, id: MessageId, state: MessageState) -> bool {
        self.feed.iter().rev().find(|message| message.envelope.id == id).is_some_and(|message| message.state == state)
    }
}

pub(crate) struct Fake {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    bell: Arc<Notify>,
    cut: Arc<Notify>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Handles {
    script: Arc<Mutex<Script>>,
    bell: Arc<Notify>,
    /// Ends every WebSocket.
    cut: Arc<Notify>,
}

impl Handles {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script { epoch: 1, ..Script::default() }));
        let handles = Handles { script, bell: Arc::default(), cut: Arc::default() };
        let router = Router::new()
            .route("/v1/sign-in", post(sign_in))
            .route("/v1/me", get(me).put(put_me))
            .route("/v1/devices/{id}", delete(revoke))
            .route("/v1/changes", get(changes))
            .route("/v1/messages/{id}/actions", post(act))
            .route("/v1/messages/{id}/audio", get(audio))
            .route("/v1/greetings", get(async |handles: Shared<Handles>| Json(handles.script().greetings.clone())))
            .route("/v1/greetings/{id}", put(put_greeting))
            .route("/v1/greetings/{id}/audio", put(put_greeting_audio))
            .route("/v1/plan", get(async |handles: Shared<Handles>| Json(handles.script().plan.clone())).put(put_plan))
            .route("/v1/doorbell", get(doorbell))
            .route("/sip", get(sip))
            .with_state(handles.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script: handles.script, bell: handles.bell, cut: handles.cut, server }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, message: Message) {
        self.state().feed.push(message);
    }

    pub(crate) fn ring(&self) {
        self.bell.notify_waiters();
    }

    /// Every WebSocket breaks.
    pub(crate) fn hang_up(&self) {
        self.cut.notify_waiters();
    }

    /// As after a backup was played back: another epoch, and what was in it.
    pub(crate) fn restore(&self, feed: Vec<Message>) {
        let mut script = self.state();
        script.epoch += 1;
        script.feed = feed;
    }

    /// Until a kind of request came that often.
    pub(crate) async fn asked(&self, kind: &str, times: usize) {
        while self.state().asked.iter().filter(|asked| *asked == kind).count() < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn message(number: u128, state: MessageState) -> Message {
    let at = Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap();
    let envelope = Envelope {
        id: MessageId::from_random(number),
        call: CallId::from_random(number),
        mailbox: SubscriberId::from_random(1),
        caller: Caller { number: "1001".into(), name: None },
        received_at: at,
        reason: Reason::NoAnswer,
        urgent: false,
        private: false,
        call_back: None,
        test: false,
    };
    Message {
        envelope,
        duration_ms: 500,
        state,
        peaks: vec![1, 2],
        media_type: "audio/wav".into(),
        forwarded: None,
        interrupted: false,
    }
}

/// The account's ring time at first.
const RING_S: u16 = 20;

fn account(ring_s: u16) -> Me {
    let subscriber = Subscriber {
        id: SubscriberId::from_random(1),
        user: "bob".parse().unwrap(),
        extension: "1002".parse().unwrap(),
        display_name: "Bob".into(),
        language: Language::En,
        ring_s,
    };
    Me { subscriber, domain: "example.com".into(), records_calls: false }
}

fn problem(status: StatusCode, code: ProblemCode) -> Response {
    let problem = Problem { title: "refused".into(), status: status.as_u16(), detail: String::new(), code };
    (status, Json(problem)).into_response()
}

fn unauthorized(handles: &Handles, headers: &HeaderMap) -> Option<Response> {
    let right = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let known = right && !handles.script().revoked;
    (!known).then(|| problem(StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized))
}

async fn sign_in(Json(body): Json<SignIn>) -> Response {
    match body.credentials {
        Credentials::Password { password, .. } if password == "right" => {
            let device = aftertone_model::DeviceId::from_random(9);
            Json(SignedIn { token: TOKEN.into(), device, me: account(RING_S) }).into_response()
        }
        Credentials::Password { .. } | Credentials::Invitation { .. } => {
            problem(StatusCode::UNAUTHORIZED, ProblemCode::WrongCredentials)
        }
    }
}

async fn me(Shared(handles): Shared<Handles>, headers: HeaderMap) -> Response {
    let ring_s = handles.script().ring_s.unwrap_or(RING_S);
    unauthorized(&handles, &headers).unwrap_or_else(|| Json(account(ring_s)).into_response())
}

async fn revoke(Shared(handles): Shared<Handles>, Path(_id): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = unauthorized(&handles, &headers) {
        return refused;
    }
    if handles.script().revoke_fails {
        return problem(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Internal);
    }
    handles.script().revoked = true;
    StatusCode::NO_CONTENT.into_response()
}

#[derive(serde::Deserialize)]
struct Since {
    since: Option<Cursor>,
}

async fn changes(Shared(handles): Shared<Handles>, Query(Since { since }): Query<Since>, headers: HeaderMap) -> Response {
    if let Some(refused) = unauthorized(&handles, &headers) {
        return refused;
    }
    let script = handles.script();
    if since.is_some_and(|cursor| cursor.epoch != script.epoch) {
        return problem(StatusCode::CONFLICT, ProblemCode::CursorReset);
    }
    // One change a page, so that pages matter.
    let from = since.map_or(0, |cursor| cursor.n);
    let next = usize::try_from(from).unwrap();
    let change = script.feed.get(next).map(|message| {
        let body = ChangeBody::Message { message: Box::new(message.clone()) };
        Change { n: from + 1, body }
    });
    let n = from + u64::from(change.is_some());
    let more = usize::try_from(n).unwrap() < script.feed.len();
    let cursor = Cursor { epoch: script.epoch, n };
    Json(ChangesPage { cursor, changes: change.into_iter().collect(), more }).into_response()
}

async fn act(
    Shared(handles): Shared<Handles>,
    Path(id): Path<MessageId>,
    headers: HeaderMap,
    Json(body): Json<ActionBody>,
) -> Response {
    if let Some(refused) = unauthorized(&handles, &headers) {
        return refused;
    }
    let mut script = handles.script();
    let key = headers.get("idempotency-key").unwrap().to_str().unwrap().to_owned();
    script.keys.push(key);
    script.asked.push("actions".into());
    if script.failing || script.failing_at == Some(id) {
        return problem(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Internal);
    }
    if script.refusing {
        return problem(StatusCode::BAD_REQUEST, ProblemCode::BadRequest);
    }
    let known = script.feed.iter().rev().find(|message| message.envelope.id == id).cloned();
    let Some(known) = known else { return problem(StatusCode::NOT_FOUND, ProblemCode::NotFound) };
    let standing = aftertone_model::Standing::stored(known.state, false).after(body.action).unwrap();
    script.feed.push(Message { state: standing.state(), ..known });
    StatusCode::NO_CONTENT.into_response()
}

async fn audio(Shared(handles): Shared<Handles>, Path(_id): Path<String>, headers: HeaderMap) -> Response {
    let sound = || aftertone_media::container::wav_pcm16(&[100; 4_000], 8_000).into_response();
    unauthorized(&handles, &headers).unwrap_or_else(sound)
}

async fn put_greeting(Shared(handles): Shared<Handles>, Path(id): Path<GreetingId>, Json(body): Json<GreetingBody>) -> Response {
    let mut script = handles.script();
    if script.failing {
        return problem(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Internal);
    }
    let GreetingBody { kind, title, text, language, expires_at } = body;
    let greeting = Greeting { id, kind, title, text, language, expires_at, changed_at: Timestamp::UNIX_EPOCH, sound: None };
    script.greetings.retain(|other| other.id != id);
    script.greetings.push(greeting.clone());
    Json(greeting).into_response()
}

async fn put_greeting_audio(Shared(handles): Shared<Handles>, Path(id): Path<GreetingId>, sound: axum::body::Bytes) -> Response {
    let mut script = handles.script();
    if script.refusing {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::UnsupportedSound);
    }
    let Some(greeting) = script.greetings.iter_mut().find(|greeting| greeting.id == id) else {
        return problem(StatusCode::NOT_FOUND, ProblemCode::NotFound);
    };
    let content = format!("{} bytes", sound.len());
    greeting.sound = Some(GreetingSound { content, duration_ms: 500, peaks: vec![7], media_type: "audio/ogg".into() });
    Json(greeting.clone()).into_response()
}

async fn put_me(Shared(handles): Shared<Handles>, Json(body): Json<MeBody>) -> Json<Me> {
    handles.script().ring_s = Some(body.ring_s);
    Json(account(body.ring_s))
}

/// Somebody else is faster at the first try.
async fn put_plan(Shared(handles): Shared<Handles>, headers: HeaderMap, Json(plan): Json<aftertone_model::Plan>) -> Response {
    let mut script = handles.script();
    if script.plan.version == 0 {
        script.plan.version = 1;
        script.plan.plan.zone = "Europe/Berlin".into();
    }
    let expected = format!("\"{}\"", script.plan.version);
    if headers.get("if-match").is_none_or(|version| version != expected.as_str()) {
        return problem(StatusCode::PRECONDITION_FAILED, ProblemCode::Conflict);
    }
    script.plan = PlanView { version: script.plan.version + 1, plan };
    Json(script.plan.clone()).into_response()
}

async fn doorbell(Shared(handles): Shared<Handles>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    if handles.script().sockets_refused || unauthorized(&handles, &headers).is_some() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (bell, cut) = (Arc::clone(&handles.bell), Arc::clone(&handles.cut));
    socket.on_upgrade(async move |mut socket| {
        loop {
            tokio::select! {
                () = cut.notified() => return,
                () = bell.notified() => if socket.send(ws::Message::Text("ring".into())).await.is_err() { return },
                message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            }
        }
    })
}

/// Takes SIP and never answers.
async fn sip(Shared(handles): Shared<Handles>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    if handles.script().sockets_refused || unauthorized(&handles, &headers).is_some() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let cut = Arc::clone(&handles.cut);
    socket.protocols(["sip"]).on_upgrade(async move |mut socket| {
        loop {
            tokio::select! {
                () = cut.notified() => return,
                message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            }
        }
    })
}

//! The account's HTTP API.

use std::{error::Error, path::Path, time::Duration};

use aftertone_model::{CallId, DeviceId, Greeting, GreetingId, MessageAction, MessageId, Plan};
use aftertone_net::{ConnectError, tls};
use aftertone_sync::{
    ActionBody, ChangesPage, Cursor, Device, DirectoryEntry, FiguresBody, ForwardBody, Forwarded, GreetingBody, IdempotencyKey,
    Me, MeBody, PhoneMenuBody, PhoneMenuView, PinBody, PlanView, Problem, ProblemCode, SignIn, SignedIn, TestCall,
    TurnCredentials,
};
use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;

use crate::{CommandError, InvalidServer, OfflineReason, ServerAddress};

/// A recording of three minutes over a slow line.
const UPLOAD: Duration = Duration::from_secs(300);

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server can't be reached, or it is no server of ours.
    #[error("{detail}")]
    Offline { reason: OfflineReason, detail: String },
    /// The server refuses.
    #[error("the server refused with status {status}: {detail}")]
    Refused { status: u16, code: ProblemCode, detail: String, retry_after: Option<u64> },
}

impl ApiError {
    pub(crate) fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Offline { .. } => None,
            Self::Refused { code, .. } => Some(*code),
        }
    }

    /// There is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the same request may work later without anybody doing anything.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Offline { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429 || *status == 408,
        }
    }
}

impl From<ApiError> for CommandError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Offline { reason, detail } => Self::Offline { reason, detail },
            ApiError::Refused { code: ProblemCode::Unauthorized, detail, .. } => {
                Self::Offline { reason: OfflineReason::Credentials, detail }
            }
            ApiError::Refused { code: ProblemCode::NotFound | ProblemCode::Gone, .. } => Self::NoSuchMessage,
            ApiError::Refused { code, detail, .. } => Self::Refused { code, detail },
        }
    }
}

/// A server, and who asks it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(server: &ServerAddress) -> Result<Self, InvalidServer> {
        // Checked again: the file that it was read from may have been edited.
        let server = ServerAddress::parse(&server.url, server.fingerprint.as_deref())?;
        let config = tls::client_config(&server.trust()?).map_err(|_| InvalidServer::Fingerprint)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            // A redirect could lead the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            // Sooner than the server closes a connection that idles, else a request can meet its end.
            .pool_idle_timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .map_err(|_| InvalidServer::NotAnAddress)?;
        Ok(Self { http, base: server.url, token: None })
    }

    pub(crate) fn with_token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    pub(crate) async fn sign_in(&self, body: &SignIn) -> Result<SignedIn, ApiError> {
        read(self.request(Method::POST, "sign-in").json(body)).await
    }

    pub(crate) async fn me(&self) -> Result<Me, ApiError> {
        read(self.request(Method::GET, "me")).await
    }

    pub(crate) async fn put_me(&self, body: &MeBody) -> Result<Me, ApiError> {
        read(self.request(Method::PUT, "me").json(body)).await
    }

    pub(crate) async fn report_figures(&self, call: CallId, figures: &FiguresBody) -> Result<(), ApiError> {
        send(self.request(Method::PUT, &format!("call-records/{call}/figures")).json(figures)).await.map(drop)
    }

    pub(crate) async fn changes(&self, since: Option<Cursor>) -> Result<ChangesPage, ApiError> {
        let mut request = self.request(Method::GET, "changes");
        if let Some(cursor) = since {
            request = request.query(&[("since", cursor.to_string())]);
        }
        read(request).await
    }

    pub(crate) async fn act(&self, message: MessageId, action: MessageAction, key: &IdempotencyKey) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &format!("messages/{message}/actions")).json(&ActionBody { action });
        send(request.header("Idempotency-Key", key.as_str())).await.map(drop)
    }

    pub(crate) async fn forward(
        &self,
        message: MessageId,
        body: &ForwardBody,
        key: &IdempotencyKey,
    ) -> Result<Forwarded, ApiError> {
        let request = self.request(Method::POST, &format!("messages/{message}/forward")).json(body);
        read(request.header("Idempotency-Key", key.as_str())).await
    }

    pub(crate) async fn directory(&self) -> Result<Vec<DirectoryEntry>, ApiError> {
        read(self.request(Method::GET, "directory")).await
    }

    pub(crate) async fn turn(&self) -> Result<TurnCredentials, ApiError> {
        read(self.request(Method::GET, "turn")).await
    }

    pub(crate) async fn devices(&self) -> Result<Vec<Device>, ApiError> {
        read(self.request(Method::GET, "devices")).await
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> Result<(), ApiError> {
        send(self.request(Method::DELETE, &format!("devices/{device}"))).await.map(drop)
    }

    /// Starts a test call, or asks how the last one gets on.
    pub(crate) async fn test_call(&self, start: bool) -> Result<TestCall, ApiError> {
        read(self.request(if start { Method::POST } else { Method::GET }, "me/test-call")).await
    }

    pub(crate) async fn test_call_greeting(&self) -> Result<Vec<u8>, ApiError> {
        let response = send(self.request(Method::GET, "me/test-call/greeting")).await?;
        Ok(response.bytes().await.map_err(|e| ApiError::from(&e))?.to_vec())
    }

    /// What callers hear where no greeting of one's own is played: a WAV file.
    pub(crate) async fn account_greeting(&self) -> Result<Vec<u8>, ApiError> {
        let response = send(self.request(Method::GET, "me/account-greeting")).await?;
        Ok(response.bytes().await.map_err(|e| ApiError::from(&e))?.to_vec())
    }

    pub(crate) async fn phone_menu(&self) -> Result<PhoneMenuView, ApiError> {
        read(self.request(Method::GET, "me/phone-menu")).await
    }

    pub(crate) async fn put_phone_menu(&self, body: &PhoneMenuBody) -> Result<PhoneMenuView, ApiError> {
        read(self.request(Method::PUT, "me/phone-menu").json(body)).await
    }

    /// `None` takes it away.
    pub(crate) async fn put_pin(&self, body: Option<&PinBody>) -> Result<(), ApiError> {
        let request = match body {
            Some(body) => self.request(Method::PUT, "me/pin").json(body),
            None => self.request(Method::DELETE, "me/pin"),
        };
        send(request).await.map(drop)
    }

    pub(crate) async fn greetings(&self) -> Result<Vec<Greeting>, ApiError> {
        read(self.request(Method::GET, "greetings")).await
    }

    pub(crate) async fn put_greeting(&self, id: GreetingId, body: &GreetingBody) -> Result<Greeting, ApiError> {
        read(self.request(Method::PUT, &format!("greetings/{id}")).json(body)).await
    }

    pub(crate) async fn put_greeting_audio(&self, id: GreetingId, sound: Vec<u8>) -> Result<Greeting, ApiError> {
        let request = self.request(Method::PUT, &format!("greetings/{id}/audio")).timeout(UPLOAD);
        read(request.header("Content-Type", "application/octet-stream").body(sound)).await
    }

    pub(crate) async fn remove_greeting(&self, id: GreetingId) -> Result<(), ApiError> {
        send(self.request(Method::DELETE, &format!("greetings/{id}"))).await.map(drop)
    }

    pub(crate) async fn plan(&self) -> Result<PlanView, ApiError> {
        read(self.request(Method::GET, "plan")).await
    }

    /// Only if the plan still has that version.
    pub(crate) async fn put_plan(&self, plan: &Plan, version: u64) -> Result<PlanView, ApiError> {
        read(self.request(Method::PUT, "plan").header("If-Match", format!("\"{version}\"")).json(plan)).await
    }

    /// Fetches a message's sound into the file `to`, which appears only when it is whole. Meanwhile it is in a file of
    /// `parts`, which must be of the same disk; the same sound may be fetched twice at once.
    pub(crate) async fn audio(&self, message: MessageId, to: &Path, parts: &Path) -> Result<(), FetchError> {
        self.fetch(&format!("messages/{message}/audio"), to, parts).await
    }

    /// The same for a greeting's.
    pub(crate) async fn greeting_audio(&self, id: GreetingId, to: &Path, parts: &Path) -> Result<(), FetchError> {
        self.fetch(&format!("greetings/{id}/audio"), to, parts).await
    }

    async fn fetch(&self, what: &str, to: &Path, parts: &Path) -> Result<(), FetchError> {
        let response = send(self.request(Method::GET, what)).await?;
        let part = parts.join(format!("{:016x}.part", rand::random::<u64>()));
        let fetched = store(response, &part).await;
        let fetched = match fetched {
            Ok(()) => tokio::fs::rename(&part, to).await.map_err(FetchError::from),
            Err(e) => Err(e),
        };
        if fetched.is_err() {
            let _never_made = tokio::fs::remove_file(&part).await;
        }
        fetched
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/v1/{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

async fn store(response: Response, part: &Path) -> Result<(), FetchError> {
    let expected = response.content_length();
    let mut file = tokio::fs::File::create(part).await?;
    let (mut body, mut length) = (response.bytes_stream(), 0);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|e| ApiError::from(&e))?;
        length += piece.len() as u64;
        file.write_all(&piece).await?;
    }
    if expected.is_some_and(|expected| expected != length) {
        return Err(FetchError::Api(server_failed("the sound was cut off")));
    }
    Ok(file.sync_all().await?)
}

/// Why a sound could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the sound can't be stored: {0}")]
    Io(#[from] std::io::Error),
}

async fn send(request: RequestBuilder) -> Result<Response, ApiError> {
    let response = request.send().await.map_err(|e| ApiError::from(&e))?;
    if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ApiError> {
    let response = send(request).await?;
    let body = response.bytes().await.map_err(|e| ApiError::from(&e))?;
    serde_json::from_slice(&body).map_err(|e| server_failed(&format!("the server's answer can't be understood: {e}")))
}

async fn refusal(response: Response) -> ApiError {
    let status = response.status();
    let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => {
            let detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
            ApiError::Refused { status: status.as_u16(), code: problem.code, detail, retry_after }
        }
        // A proxy in between answered, or it is another kind of server.
        Err(_) => ApiError::Refused {
            status: status.as_u16(),
            code: if status == StatusCode::UNAUTHORIZED { ProblemCode::Unauthorized } else { ProblemCode::Unknown },
            detail: format!("status {status}"),
            retry_after,
        },
    }
}

fn server_failed(detail: &str) -> ApiError {
    ApiError::Offline { reason: OfflineReason::Server, detail: detail.into() }
}

impl From<&reqwest::Error> for ApiError {
    fn from(error: &reqwest::Error) -> Self {
        let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
        let reason = if chain(error).any(is_tls) {
            OfflineReason::Tls
        } else if texts.iter().any(|text| is_look_up(text)) {
            OfflineReason::Dns
        } else if error.is_connect() || error.is_timeout() {
            OfflineReason::Connect
        } else {
            OfflineReason::Server
        };
        // Without the URL: it may name a message. The last error of the chain says most.
        Self::Offline { reason, detail: texts.last().cloned().unwrap_or_default() }
    }
}

/// Why a WebSocket could not be opened, in the same words.
pub(crate) fn offline(error: &ConnectError) -> (OfflineReason, String) {
    let reason = match error {
        ConnectError::Unreachable(e) if is_look_up(&e.to_string()) => OfflineReason::Dns,
        ConnectError::Unreachable(_) | ConnectError::TimedOut | ConnectError::Unencrypted | ConnectError::Invalid(_) => {
            OfflineReason::Connect
        }
        ConnectError::Tls(_) | ConnectError::TlsSetup(_) => OfflineReason::Tls,
        ConnectError::Refused { status: 401, .. } => OfflineReason::Credentials,
        ConnectError::Refused { .. } | ConnectError::Handshake(_) => OfflineReason::Server,
    };
    let detail = chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    (reason, detail)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| Error::source(*error))
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An io::Error's source is its content's source: the content itself has to be asked for, and may be one again.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => is_tls(inner),
        None => error.is::<rustls::Error>(),
    }
}

fn is_look_up(text: &str) -> bool {
    text.contains("dns error") || text.contains("lookup address")
}

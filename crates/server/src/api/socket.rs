//! What the two kinds of WebSocket have in common: pings, idleness, revoked tokens, the server's end.

use std::{sync::Arc, time::Duration};

use aftertone_model::DeviceId;
use aftertone_sync::ProblemCode;
use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, close_code},
    http::StatusCode,
};
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, Interval, interval, timeout},
};

use super::{SharedApp, auth::SignedInDevice, problem::ApiError};
use crate::{
    bells::{Revocation, RevocationListener},
    listen::stopped,
};

const PING: Duration = Duration::from_secs(20);
/// Nothing came for so long, not even a pong: the other side is gone.
const IDLE: Duration = Duration::from_secs(60);
/// The other side takes nothing for so long.
const WRITE: Duration = Duration::from_secs(10);

/// A connection that was authenticated and is about to be upgraded. Revocations are heard from here on.
pub(super) struct Session {
    app: SharedApp,
    /// Nobody: a phone that shows its credentials in SIP.
    asking: Option<SignedInDevice>,
    revocations: RevocationListener,
    stopping: watch::Receiver<bool>,
}

/// An open connection.
pub(super) struct OpenSession {
    session: Session,
    socket: WebSocket,
    ping: Interval,
    heard: Instant,
}

/// What comes next.
pub(super) enum Turn<T> {
    /// The caller's own future is ready.
    Mine(T),
    /// A message came.
    Received(Bytes),
    /// The connection is over: drop it.
    Over,
}

impl Session {
    pub(super) fn begin(app: SharedApp, asking: Option<SignedInDevice>) -> Self {
        let (revocations, stopping) = (app.revocations.listen(), app.stopping.clone());
        Self { app, asking, revocations, stopping }
    }

    pub(super) fn over(self, socket: WebSocket) -> OpenSession {
        let mut ping = interval(PING);
        ping.reset();
        OpenSession { session: self, socket, ping, heard: Instant::now() }
    }

    /// Unknown for the moment counts as valid: a store that is busy is no reason to hang up on somebody.
    async fn is_still_valid(&self) -> bool {
        let Some(asking) = &self.asking else { return true };
        match self.app.store.authenticate(&asking.token).await {
            Ok(device) => device.is_some(),
            Err(error) => {
                tracing::warn!(%error, "can't look whether a token is still valid");
                true
            }
        }
    }
}

impl OpenSession {
    /// Whose connection it is, if a token said so.
    pub(super) fn asking(&self) -> Option<&SignedInDevice> {
        self.session.asking.as_ref()
    }

    pub(super) fn app(&self) -> SharedApp {
        Arc::clone(&self.session.app)
    }

    /// Waits for a message, for `mine` (whose `None` ends the connection), or for the end.
    pub(super) async fn next<T>(&mut self, mine: impl Future<Output = Option<T>>) -> Turn<T> {
        tokio::pin!(mine);
        let device = self.session.asking.as_ref().map(|asking| asking.device.id);
        loop {
            tokio::select! {
                mine = &mut mine => return match mine {
                    Some(mine) => Turn::Mine(mine),
                    None => self.close(close_code::AWAY, "the server ends the connection").await,
                },
                message = self.socket.recv() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => return Turn::Received(text.into()),
                        Some(Ok(Message::Binary(bytes))) => return Turn::Received(bytes),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Turn::Over,
                    }
                }
                _ = self.ping.tick() => {
                    if self.heard.elapsed() > IDLE || !self.send(Message::Ping(Bytes::new())).await {
                        return Turn::Over;
                    }
                    if !self.session.is_still_valid().await {
                        return self.revoked().await;
                    }
                }
                revocation = revocation(&mut self.session.revocations, device) => {
                    let dead = match revocation {
                        Revocation::Device(_) => true,
                        Revocation::LookAgain => !self.session.is_still_valid().await,
                    };
                    if dead {
                        return self.revoked().await;
                    }
                }
                () = stopped(&mut self.session.stopping) => {
                    return self.close(close_code::AWAY, "the server stops").await;
                }
            }
        }
    }

    /// False if the connection is over.
    pub(super) async fn send(&mut self, message: Message) -> bool {
        matches!(timeout(WRITE, self.socket.send(message)).await, Ok(Ok(())))
    }

    async fn revoked<T>(&mut self) -> Turn<T> {
        self.close(close_code::POLICY, "the token was revoked").await
    }

    async fn close<T>(&mut self, code: u16, reason: &'static str) -> Turn<T> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        Turn::Over
    }
}

/// The next revocation that may concern this device; none ever does where there is none.
async fn revocation(listener: &mut RevocationListener, device: Option<DeviceId>) -> Revocation {
    match device {
        Some(device) => listener.next(device).await,
        None => std::future::pending().await,
    }
}

pub(super) fn not_an_upgrade() -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, ProblemCode::BadRequest, "a WebSocket is expected here (RFC 6455)")
        .with_header(axum::http::header::UPGRADE, axum::http::HeaderValue::from_static("websocket"))
}

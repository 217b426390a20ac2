use std::net::IpAddr;

use aftertone_model::DeviceId;
use aftertone_net::Place;
use axum::{
    Extension,
    extract::{State, WebSocketUpgrade, ws::Message, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    SharedApp,
    auth::PerhapsSignedIn,
    document::{CommonProblems, TokenProblem, UpgradeProblem},
    problem::{ApiError, ApiResult},
    socket::{OpenSession, Session, Turn, not_an_upgrade},
};
use crate::{
    listen::Peer,
    run::{SocketEvent, socket_flow},
};

/// Larger SIP messages are refused by everybody; ours with a WebRTC description have 4 to 8 KiB.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages that may wait to be sent to one device.
const QUEUE: usize = 256;

/// A place among the open WebSockets.
enum Taken {
    OfDevice(#[expect(dead_code, reason = "held until the end")] Place<DeviceId>),
    OfStranger(#[expect(dead_code, reason = "held until the end")] Place<IpAddr>),
}

/// SIP over a WebSocket (RFC 7118), subprotocol `sip`.
///
/// One SIP message per WebSocket message. The token of a device authenticates everything on it. Without one, every request is
/// challenged (digest) as over any other transport: so browsers and phones of other makes come in, as WebRTC phones.
#[utoipa::path(get, path = "/sip", tag = "calls",
    responses((status = 101, description = "The WebSocket is open."), UpgradeProblem, TokenProblem, CommonProblems))]
pub(super) async fn sip(
    State(app): State<SharedApp>,
    Extension(peer): Extension<Peer>,
    PerhapsSignedIn(asking): PerhapsSignedIn,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|_| not_an_upgrade())?.protocols(["sip"]);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::bad_request("the subprotocol must be sip: Sec-WebSocket-Protocol: sip"));
    }
    let place = match &asking {
        Some(asking) => Taken::OfDevice(app.place_of(asking)?),
        None => Taken::OfStranger(app.strangers.take_for(peer.remote.ip()).ok_or_else(ApiError::too_many_connections)?),
    };
    let session = Session::begin(app, asking);
    let limited = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(limited.on_upgrade(async move |socket| {
        let _place = place;
        carry(session.over(socket), peer).await;
    }))
}

async fn carry(mut session: OpenSession, peer: Peer) {
    let app = session.app();
    let connection = app.numbers.next();
    let flow = socket_flow(peer.local, peer.remote, peer.secure, connection);
    let (sender, mut outgoing) = mpsc::channel(QUEUE);
    let device = session.asking().map(|asking| (asking.device.subscriber, asking.device.id));
    let opened = SocketEvent::Opened { flow, device, sender };
    if app.sockets.send(opened).await.is_err() {
        return;
    }
    loop {
        match session.next(outgoing.recv()).await {
            Turn::Mine(bytes) => {
                if !session.send(message(bytes)).await {
                    break;
                }
            }
            Turn::Received(bytes) => {
                if app.sockets.send(SocketEvent::Received { flow, bytes }).await.is_err() {
                    break;
                }
            }
            Turn::Over => break,
        }
    }
    if let Some(connection) = flow.connection {
        // Nobody there means that the exchange has ended.
        let _ = app.sockets.send(SocketEvent::Closed { connection }).await;
    }
}

/// Text where it is UTF-8 (RFC 7118 section 4.2), which all of ours is.
fn message(bytes: Bytes) -> Message {
    match String::from_utf8(bytes.into()) {
        Ok(text) => Message::text(text),
        Err(e) => Message::binary(e.into_bytes()),
    }
}

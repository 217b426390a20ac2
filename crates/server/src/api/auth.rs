//! Who asks: the bearer token of a device.

use std::sync::Arc;

use aftertone_model::Timestamp;
use aftertone_server_store::StoredDevice;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{SharedApp, problem::ApiError};
use crate::listen::Peer;

/// A request with a valid token.
pub(super) struct SignedInDevice {
    pub(super) device: StoredDevice,
    /// For connections that stay open: to look again whether it is still valid.
    pub(super) token: Arc<str>,
}

impl FromRequestParts<SharedApp> for SignedInDevice {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let device = app.store.authenticate(token).await?.ok_or_else(ApiError::unauthorized)?;
        if let Err(error) = app.store.seen(device.id, Timestamp::now()).await {
            tracing::warn!(%error, "can't note that a device was seen");
        }
        if let Some(peer) = parts.extensions.get::<Peer>() {
            app.is_used_from(&device, peer.remote.ip()).await?;
        }
        Ok(Self { device, token: token.into() })
    }
}

/// A request that needn't show a token: phones of other makes authenticate in SIP. A token that is shown must be valid.
pub(super) struct PerhapsSignedIn(pub(super) Option<SignedInDevice>);

impl FromRequestParts<SharedApp> for PerhapsSignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        SignedInDevice::from_request_parts(parts, app).await.map(|asking| Self(Some(asking)))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= 256).then_some(token)
}

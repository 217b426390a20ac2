//! Calls that take the place of others (RFC 3891).

use std::str::FromStr;

use super::session::{Phase, Session};
use super::{DialogOwner, UserAgent};
use crate::event::SessionId;
use crate::message::Request;
use crate::refer::Replaces;

impl UserAgent {
    /// The session that an INVITE wants to replace, or the status of its refusal (RFC 3891 3).
    pub(super) fn replacing(&self, invite: &Request) -> Result<Option<SessionId>, u16> {
        let is_ours = self.core.config.supported.iter().any(|known| known == "replaces");
        if !is_ours || !invite.headers.contains("Replaces") {
            return Ok(None);
        }
        if invite.headers.count("Replaces") > 1 {
            return Err(400);
        }
        let replaces = Replaces::from_str(invite.headers.get("Replaces").unwrap_or_default()).map_err(|_| 400_u16)?;
        let id = self.session_replaced(&replaces).ok_or(481_u16)?;
        match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Established(established)) if established.ending.is_some() => Err(603),
            Some(Phase::Established(_) | Phase::Unacknowledged { .. }) if replaces.early_only => Err(486),
            Some(Phase::Established(_) | Phase::Unacknowledged { .. } | Phase::Calling(_)) => Ok(Some(id)),
            // Only calls that we make can be replaced before they are answered.
            Some(Phase::Ringing(_)) | None => Err(481),
        }
    }

    pub(super) fn session_replaced(&self, replaces: &Replaces) -> Option<SessionId> {
        let key = (replaces.call_id.clone(), replaces.to_tag.clone());
        let Some(DialogOwner::Session(id)) = self.dialogs.get(&key) else { return None };
        let session = self.sessions.get(id)?;
        let fits = session.remote_tags().any(|tag| tag == replaces.from_tag);
        fits.then_some(*id)
    }

    pub(super) fn replaces_of(&self, id: SessionId) -> Option<Replaces> {
        let session = self.sessions.get(&id)?;
        let to_tag = session.remote_tags().next()?.to_owned();
        let (call_id, from_tag) = session.key();
        Some(Replaces { call_id, to_tag, from_tag, early_only: false })
    }
}

impl Session {
    /// The peer's tags: one, or with forking one for each branch that rings.
    fn remote_tags(&self) -> impl Iterator<Item = &str> {
        let one = match &self.phase {
            Phase::Unacknowledged { dialog, .. } => Some(dialog.remote_tag()),
            Phase::Established(established) => Some(established.dialog.remote_tag()),
            Phase::Ringing(ringing) => Some(ringing.remote_tag.as_str()),
            Phase::Calling(_) => None,
        };
        let early = match &self.phase {
            Phase::Calling(calling) => Some(calling.early.keys().map(String::as_str)),
            Phase::Unacknowledged { .. } | Phase::Established(_) | Phase::Ringing(_) => None,
        };
        one.into_iter().chain(early.into_iter().flatten())
    }
}

use aftertone_model::{CallId, CallRefusal, Caller, Direction, EndReason, Timestamp};
use aftertone_sip::{SessionId, Uri};

use crate::MediaRequestId;

/// A call as this device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSnapshot {
    /// The call, on this device.
    pub id: CallId,
    /// The id that its record and a message of it have in the account: an incoming call's own one; an outgoing one's as
    /// soon as it rings.
    pub account_id: Option<CallId>,
    /// Who began it.
    pub direction: Direction,
    /// The other party.
    pub party: Caller,
    /// Where it stands.
    pub phase: CallPhase,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Nothing is sent of the microphone.
    pub muted: bool,
    /// Held here: nothing is said and nothing heard.
    pub held: bool,
    /// The other end said that it holds the call.
    pub held_by_other: bool,
    /// Why the account did not make it, where that is why it ended.
    pub refusal: Option<CallRefusal>,
}

impl CallSnapshot {
    /// Whether it ended as one that its owner should know of: it came in and neither they nor anybody for them took or
    /// declined it.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        let CallPhase::Ended(end) = self.phase else { return false };
        let untaken = match end {
            EndReason::Cancelled
            | EndReason::Diverted
            | EndReason::NoRoom
            | EndReason::MailboxFull
            | EndReason::NoAnswer
            | EndReason::Failed => true,
            EndReason::LocalHangup
            | EndReason::RemoteHangup
            | EndReason::Declined
            | EndReason::Busy
            | EndReason::AnsweredElsewhere => false,
        };
        self.direction == Direction::Incoming && self.answered_at.is_none() && untaken
    }
}

/// Where a call stands.
///
/// ```text
/// outgoing   Dialing --> Ringing --> Active --> Ended
///               \___________\_______________________^
/// incoming   Ringing --> Connecting --> Active --> Ended
///               \___________\_______________________^
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallPhase {
    /// Outgoing: on its way to the other party.
    Dialing,
    /// It rings: here if it is incoming, there if it is outgoing.
    Ringing,
    /// Incoming: the person took it, and the media are being set up.
    Connecting,
    /// They talk.
    Active,
    /// It is over; nothing follows.
    Ended(EndReason),
}

/// A call with what its state owns.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) snapshot: CallSnapshot,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Outgoing: our offer is being made; no INVITE has been sent.
    Offering { request: MediaRequestId, uri: Uri, is_back: bool },
    /// Outgoing: the INVITE is out.
    Calling { session: SessionId, media: MediaRequestId },
    /// Incoming: the person is asked. Without an offer the answer will carry ours (RFC 3261 section 13.3.1).
    Ringing { session: SessionId, offer: Option<String> },
    /// Incoming: taken, our description is being made.
    Answering { session: SessionId, request: MediaRequestId, late_offer: bool },
    /// Both sides have described their media.
    Active {
        session: SessionId,
        media: MediaRequestId,
        /// The other end offered anew, and the answer is being made.
        change: Option<MediaRequestId>,
        /// We offer anew, since the machine has another address, or since the call is held or taken up again.
        renewal: Option<Renewal>,
    },
}

/// New media for a call that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renewal {
    pub(crate) media: MediaRequestId,
    /// The re-INVITE is out.
    pub(crate) offered: bool,
    /// It offered a held call.
    pub(crate) held: bool,
}

impl State {
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Offering { .. } => None,
            Self::Calling { session, .. }
            | Self::Ringing { session, .. }
            | Self::Answering { session, .. }
            | Self::Active { session, .. } => Some(*session),
        }
    }

    /// What has to be closed when the call ends.
    pub(crate) fn media(&self) -> Vec<MediaRequestId> {
        match self {
            Self::Ringing { .. } => Vec::new(),
            Self::Offering { request: media, .. } | Self::Calling { media, .. } | Self::Answering { request: media, .. } => {
                vec![*media]
            }
            Self::Active { media, change, renewal, .. } => {
                std::iter::once(*media).chain(*change).chain(renewal.map(|renewal| renewal.media)).collect()
            }
        }
    }

    pub(crate) fn waits_for(&self, wanted: MediaRequestId) -> bool {
        match self {
            Self::Offering { request, .. } | Self::Answering { request, .. } => *request == wanted,
            Self::Active { change, renewal, .. } => {
                *change == Some(wanted) || renewal.is_some_and(|renewal| renewal.media == wanted && !renewal.offered)
            }
            Self::Calling { .. } | Self::Ringing { .. } => false,
        }
    }
}

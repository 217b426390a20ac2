use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CallId, Caller, MessageId, Reason, SubscriberId, Timestamp};

/// Who began a call, seen from the record's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The other party called.
    Incoming,
    /// The owner called.
    Outgoing,
}

/// How a call ended, seen from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// This side hung up an answered call.
    LocalHangup,
    /// The other side hung up an answered call.
    RemoteHangup,
    /// The called person declined.
    Declined,
    /// The called person was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// The caller gave up while it rang.
    Cancelled,
    /// Another device of the same person answered.
    AnsweredElsewhere,
    /// The mailbox took the call.
    Diverted,
    /// The mailbox took the call, and the caller heard that no message could be left: the disk is full.
    NoRoom,
    /// The mailbox took the call, and the caller heard that no message could be left: the mailbox is full.
    MailboxFull,
    /// The network, the media or the other end failed.
    Failed,
}

/// Why the account makes no call to a number of the outside. Its text is what goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallRefusal {
    /// The caller may not call that far.
    Rights,
    /// Nobody may call it.
    Barred,
    /// Somebody earns at calls to it, and it was called back without being dialled.
    CostsExtra,
}

impl CallRefusal {
    const ALL: [(Self, &str); 3] = [(Self::Rights, "rights"), (Self::Barred, "barred"), (Self::CostsExtra, "costs-extra")];
}

impl fmt::Display for CallRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(refusal, _)| refusal == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for CallRefusal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, word)| *word == text.trim()).map(|(refusal, _)| *refusal).ok_or(())
    }
}

/// One entry of a subscriber's call log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CallRecord {
    /// The call.
    pub call: CallId,
    /// Whose log this is.
    pub owner: SubscriberId,
    /// Who began it.
    pub direction: Direction,
    /// The other party.
    pub party: Caller,
    /// When it began to ring.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// When somebody answered, unless nobody did.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
    /// How it ended.
    pub end: EndReason,
    /// Why the mailbox answered, if it did.
    pub diverted: Option<Reason>,
    /// The message that the caller left, if any.
    pub message: Option<MessageId>,
}

impl CallRecord {
    /// Whether the owner missed it: it came in, and no device of theirs answered or declined it.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.direction == Direction::Incoming
            && self.answered_at.is_none()
            && !matches!(self.end, EndReason::AnsweredElsewhere | EndReason::Declined)
            && self.diverted != Some(Reason::Declined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_is_what_came_in_and_was_neither_answered_nor_declined() {
        let at = Timestamp::UNIX_EPOCH;
        let check = |direction, is_answered: bool, end, diverted, missed| {
            let record = CallRecord {
                call: CallId::from_random(1),
                owner: SubscriberId::from_random(1),
                direction,
                party: Caller { number: "1001".into(), name: None },
                started_at: at,
                answered_at: is_answered.then_some(at),
                ended_at: at,
                end,
                diverted,
                message: None,
            };
            assert_eq!(record.is_missed(), missed, "{record:?}");
        };
        let incoming = Direction::Incoming;
        check(incoming, false, EndReason::Cancelled, None, true);
        check(incoming, false, EndReason::NoAnswer, None, true);
        check(incoming, false, EndReason::Diverted, Some(Reason::NoAnswer), true);
        check(incoming, false, EndReason::Diverted, Some(Reason::Busy), true);
        check(incoming, false, EndReason::Diverted, Some(Reason::Declined), false);
        check(incoming, false, EndReason::Declined, None, false);
        check(incoming, false, EndReason::AnsweredElsewhere, None, false);
        check(incoming, true, EndReason::RemoteHangup, None, false);
        check(Direction::Outgoing, false, EndReason::NoAnswer, None, false);
    }
}

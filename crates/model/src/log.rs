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
    /// How the sound travelled, once that is known: a moment after the end, and never of a call that nobody answered.
    #[serde(default)]
    pub figures: Option<CallFigures>,
}

/// How the sound of a call travelled between the server and one phone: the owner's, or where the mailbox took the call the
/// caller's. The server has measured it, except where the sound went from device to device: that is what the device says. Of a phone that was handed on from call to call they are of all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CallFigures {
    /// The codec, by its name in descriptions: `opus`, `G722`, `PCMA` or `PCMU` (RFC 3551, RFC 7587).
    pub codec: String,
    /// Which way it took.
    pub path: MediaPath,
    /// Whether it was encrypted on that way (RFC 3711).
    pub encrypted: bool,
    /// What came from the phone. Where the sound went from device to device, what arrived there, once the phone has said so.
    pub inbound: Option<StreamFigures>,
    /// What the phone was sent, by its own reports (RFC 3550 section 6.4.1); absent where it sent none. What had been lost before
    /// the server is part of it, unless the server decoded the sound.
    pub outbound: Option<StreamFigures>,
    /// To the other end of that way and back on average, in milliseconds; absent where no report told.
    pub round_trip_ms: Option<u32>,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StreamFigures {
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that did not.
    pub lost: u64,
    /// How unevenly they arrived, in milliseconds (RFC 3550 section 6.4.1).
    pub jitter_ms: u32,
    /// What a listener would say, in hundredths: 100 (bad) to 450 (ITU-T G.107).
    pub mos_centi: u16,
}

/// Which way the sound of a call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MediaPath {
    /// The server passed it on.
    Relay,
    /// It ended at the mailbox.
    Mailbox,
    /// From device to device; the server saw nothing of it.
    Direct,
}

/// Figures on their way into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredCall {
    /// The call.
    pub call: CallId,
    /// Whose record.
    pub owner: SubscriberId,
    /// Which of the owner's.
    pub direction: Direction,
    /// What was measured.
    pub figures: CallFigures,
}

impl StreamFigures {
    /// Packets of a thousand that did not arrive.
    #[must_use]
    pub fn loss_permille(&self) -> u32 {
        let (packets, lost) = (u128::from(self.packets), u128::from(self.lost));
        u32::try_from((lost * 1_000).checked_div(packets + lost).unwrap_or(0)).unwrap_or(1_000)
    }
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
                figures: None,
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

    #[test]
    fn loss_is_a_part_of_what_was_sent() {
        let loss = |packets, lost| StreamFigures { packets, lost, jitter_ms: 0, mos_centi: 100 }.loss_permille();
        assert_eq!([loss(0, 0), loss(900, 100), loss(0, 7), loss(1_000, 0)], [0, 100, 1_000, 0]);
        assert_eq!(loss(u64::MAX, u64::MAX), 500);
    }
}

use aftertone_model::{CallId, CallRecord, Message, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Direction, EndReason, FiguresView, MessageState, PartyView, Reason};

/// A call that is going on, or ended a moment ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct CallView {
    /// Names it in commands.
    #[ts(type = "string")]
    pub id: CallId,
    /// Who began it.
    pub direction: Direction,
    /// The other party.
    pub party: PartyView,
    /// Where it stands.
    pub state: CallState,
    /// The other party doesn't hear the microphone.
    pub muted: bool,
    /// It is being recorded here.
    pub recording: bool,
    /// It may be recorded here.
    pub recordable: bool,
    /// It is held here.
    pub held: bool,
    /// The other party holds it.
    pub held_by_other: bool,
    /// How good the sound is, once that is known.
    pub quality: Option<QualityView>,
    /// The keys that were pressed in it.
    pub digits: String,
    /// Messages from them that wait to be heard.
    pub waiting_messages: u32,
    /// It is a test call of one's own: it is to be left to the mailbox.
    pub test: bool,
}

/// How good the sound of a call is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct QualityView {
    /// 0 (nothing is heard) to 4 (as good as it gets).
    pub bars: u8,
    /// The codec's name.
    pub codec: String,
    /// There and back, when it was measured.
    pub round_trip_ms: Option<u32>,
    /// Packets that were lost of a thousand, lately.
    pub loss_permille: u32,
    /// How unevenly they come.
    pub jitter_ms: u32,
    /// What a listener would say, in tenths: 10 (bad) to 45 (ITU-T G.107).
    pub mos_tenths: u8,
    /// It goes through a relay.
    pub relayed: bool,
    /// Nothing comes for some seconds, though it should: warn.
    pub one_way: bool,
    /// Nothing of what is said here arrives there, by what the other end reports: warn.
    pub unheard: bool,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum CallState {
    /// An outgoing call that nobody rings for yet.
    Dialling,
    /// Incoming: it rings here. Outgoing: it rings there.
    Ringing,
    /// Both can speak.
    Connected {
        /// Since when.
        #[ts(type = "string")]
        since: Timestamp,
    },
    /// It is over.
    Ended {
        /// How.
        reason: EndReason,
    },
}

/// A window of the call log, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct CallLogView {
    /// How many calls there are.
    pub total: u32,
    /// Index of the first row.
    pub offset: u32,
    /// The rows.
    pub rows: Vec<CallLogRow>,
}

/// An entry of the call log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct CallLogRow {
    /// The call.
    #[ts(type = "string")]
    pub call: CallId,
    /// Who began it.
    pub direction: Direction,
    /// The other party.
    pub party: PartyView,
    /// When it began to ring.
    #[ts(type = "string")]
    pub started_at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// The message that the caller left, while it is there and not in the trash.
    pub message: Option<LogMessage>,
    /// How it sounded, once that is known.
    pub figures: Option<FiguresView>,
}

/// The message of a missed call: both are one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct LogMessage {
    /// Names it in commands.
    #[ts(type = "string")]
    pub id: MessageId,
    /// Length of the sound.
    pub duration_ms: u32,
    /// Where it stands.
    pub state: MessageState,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Outcome {
    /// They spoke.
    Answered {
        /// For how long.
        duration_ms: u32,
    },
    /// Another device of the owner answered.
    AnsweredElsewhere,
    /// It came in, and nobody answered; the mailbox may have.
    Missed {
        /// Why the mailbox answered.
        diverted: Option<Reason>,
        /// The caller heard that no message could be left, for the server's disk is full.
        no_room: bool,
        /// The caller heard that no message could be left, for the mailbox is full.
        mailbox_full: bool,
    },
    /// The owner declined.
    Declined,
    /// It went out, and nobody spoke.
    NotReached {
        /// Why.
        reason: EndReason,
    },
}

impl CallLogRow {
    /// The row of a call. `message` is the one that its caller left, if it is still there.
    #[must_use]
    pub fn new(record: &CallRecord, message: Option<&Message>) -> Self {
        let listed = message.filter(|message| message.state != aftertone_model::MessageState::Deleted);
        Self {
            call: record.call,
            direction: record.direction.into(),
            party: (&record.party).into(),
            started_at: record.started_at,
            outcome: outcome(record),
            message: listed.map(LogMessage::from),
            figures: record.figures.as_ref().map(FiguresView::from),
        }
    }
}

impl From<&Message> for LogMessage {
    fn from(message: &Message) -> Self {
        let duration_ms = u32::try_from(message.duration_ms).unwrap_or(u32::MAX);
        Self { id: message.envelope.id, duration_ms, state: message.state.into() }
    }
}

fn outcome(record: &CallRecord) -> Outcome {
    let declined =
        record.end == aftertone_model::EndReason::Declined || record.diverted == Some(aftertone_model::Reason::Declined);
    match (record.answered_at, record.direction) {
        (Some(answered_at), _) if record.diverted.is_none() => {
            let spoken = record.ended_at.as_millisecond() - answered_at.as_millisecond();
            Outcome::Answered { duration_ms: spoken.clamp(0, u32::MAX.into()) as u32 }
        }
        (_, aftertone_model::Direction::Outgoing) => Outcome::NotReached { reason: record.end.into() },
        _ if record.end == aftertone_model::EndReason::AnsweredElsewhere => Outcome::AnsweredElsewhere,
        _ if declined => Outcome::Declined,
        _ => Outcome::Missed {
            diverted: record.diverted.map(Into::into),
            no_room: record.end == aftertone_model::EndReason::NoRoom,
            mailbox_full: record.end == aftertone_model::EndReason::MailboxFull,
        },
    }
}

#[cfg(test)]
mod tests {
    use aftertone_model::{Caller, Direction, EndReason, Reason, SubscriberId};

    use super::*;

    fn record(direction: Direction, answered_s: Option<i64>, end: EndReason, diverted: Option<Reason>) -> CallRecord {
        let at = |second| Timestamp::constant(1_700_000_000 + second, 0);
        CallRecord {
            call: CallId::from_random(1),
            owner: SubscriberId::from_random(2),
            direction,
            party: Caller { number: "1002".into(), name: None },
            started_at: at(0),
            answered_at: answered_s.map(at),
            ended_at: at(65),
            end,
            diverted,
            message: None,
            figures: None,
        }
    }

    #[test]
    fn every_end_has_an_outcome() {
        let check = |direction, answered, end, diverted, expect| {
            assert_eq!(CallLogRow::new(&record(direction, answered, end, diverted), None).outcome, expect);
        };
        let (incoming, outgoing) = (Direction::Incoming, Direction::Outgoing);
        check(incoming, Some(5), EndReason::RemoteHangup, None, Outcome::Answered { duration_ms: 60_000 });
        check(outgoing, Some(99), EndReason::LocalHangup, None, Outcome::Answered { duration_ms: 0 });
        check(incoming, None, EndReason::AnsweredElsewhere, None, Outcome::AnsweredElsewhere);
        check(incoming, None, EndReason::Declined, None, Outcome::Declined);
        check(incoming, None, EndReason::Diverted, Some(Reason::Declined), Outcome::Declined);
        check(
            incoming,
            None,
            EndReason::Cancelled,
            None,
            Outcome::Missed { diverted: None, no_room: false, mailbox_full: false },
        );
        let diverted = Some(Reason::NoAnswer);
        let missed = Outcome::Missed { diverted: diverted.map(Into::into), no_room: false, mailbox_full: false };
        let turned_away = |no_room| Outcome::Missed { diverted: diverted.map(Into::into), no_room, mailbox_full: !no_room };
        check(incoming, Some(20), EndReason::NoRoom, diverted, turned_away(true));
        check(incoming, Some(20), EndReason::MailboxFull, diverted, turned_away(false));
        check(incoming, None, EndReason::Diverted, diverted, missed);
        check(incoming, Some(20), EndReason::Diverted, diverted, missed);
        check(outgoing, None, EndReason::Busy, None, Outcome::NotReached { reason: crate::EndReason::Busy });
    }
}

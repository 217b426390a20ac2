use aftertone_model::{CallId, CallRecord, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Direction, EndReason, PartyView, Reason};

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
    /// Messages from them that wait to be heard.
    pub waiting_messages: u32,
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
    /// The message that the caller left.
    #[ts(type = "string | null")]
    pub message: Option<MessageId>,
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
    },
    /// The owner declined.
    Declined,
    /// It went out, and nobody spoke.
    NotReached {
        /// Why.
        reason: EndReason,
    },
}

impl From<&CallRecord> for CallLogRow {
    fn from(record: &CallRecord) -> Self {
        Self {
            call: record.call,
            direction: record.direction.into(),
            party: (&record.party).into(),
            started_at: record.started_at,
            outcome: outcome(record),
            message: record.message,
        }
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
        _ => Outcome::Missed { diverted: record.diverted.map(Into::into) },
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
        }
    }

    #[test]
    fn every_end_has_an_outcome() {
        let check = |direction, answered, end, diverted, expect| {
            assert_eq!(CallLogRow::from(&record(direction, answered, end, diverted)).outcome, expect);
        };
        let (incoming, outgoing) = (Direction::Incoming, Direction::Outgoing);
        check(incoming, Some(5), EndReason::RemoteHangup, None, Outcome::Answered { duration_ms: 60_000 });
        check(outgoing, Some(99), EndReason::LocalHangup, None, Outcome::Answered { duration_ms: 0 });
        check(incoming, None, EndReason::AnsweredElsewhere, None, Outcome::AnsweredElsewhere);
        check(incoming, None, EndReason::Declined, None, Outcome::Declined);
        check(incoming, None, EndReason::Diverted, Some(Reason::Declined), Outcome::Declined);
        check(incoming, None, EndReason::Cancelled, None, Outcome::Missed { diverted: None });
        let diverted = Some(Reason::NoAnswer);
        let missed = Outcome::Missed { diverted: diverted.map(Into::into) };
        check(incoming, None, EndReason::Diverted, diverted, missed);
        check(incoming, Some(20), EndReason::Diverted, diverted, missed);
        check(outgoing, None, EndReason::Busy, None, Outcome::NotReached { reason: crate::EndReason::Busy });
    }
}

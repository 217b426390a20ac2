//! What one puts into a mailbox.

use aftertone_model::{
    CallId, CallRecord, Caller, Direction, EndReason, Envelope, Message, MessageId, MessageState, Reason, SubscriberId, Timestamp,
};
use aftertone_sync::{Change, ChangeBody, ChangesPage, Cursor, IdempotencyKey};

pub(crate) fn message(number: u128, state: MessageState) -> Message {
    let envelope = Envelope {
        id: MessageId::from_random(number),
        call: CallId::from_random(number),
        mailbox: SubscriberId::from_random(1),
        caller: Caller { number: format!("+4930{number}"), name: None },
        received_at: Timestamp::constant(1_700_000_000 + i64::try_from(number).unwrap(), 0),
        reason: Reason::NoAnswer,
        urgent: false,
        private: false,
        call_back: None,
        test: false,
    };
    let media_type = "audio/wav".into();
    Message { envelope, duration_ms: 4200, state, peaks: vec![1, 2], media_type, forwarded: None, interrupted: false }
}

pub(crate) fn record(number: u128) -> CallRecord {
    CallRecord {
        call: CallId::from_random(number),
        owner: SubscriberId::from_random(1),
        direction: Direction::Incoming,
        party: Caller { number: "1002".into(), name: None },
        started_at: Timestamp::constant(1_700_000_000, 0),
        answered_at: None,
        ended_at: Timestamp::constant(1_700_000_009, 0),
        end: EndReason::Diverted,
        diverted: Some(Reason::NoAnswer),
        message: Some(MessageId::from_random(number)),
        figures: None,
    }
}

pub(crate) fn put(message: &Message) -> ChangeBody {
    ChangeBody::Message { message: Box::new(message.clone()) }
}

pub(crate) fn page(n: u64, bodies: Vec<ChangeBody>) -> ChangesPage {
    let changes = bodies.into_iter().enumerate().map(|(i, body)| Change { n: n + i as u64, body }).collect();
    ChangesPage { cursor: Cursor { epoch: 7, n }, changes, more: false }
}

pub(crate) fn key(number: u128) -> IdempotencyKey {
    IdempotencyKey::from_random(number)
}

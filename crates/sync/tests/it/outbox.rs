//! The overlay, what answers mean, and how writes are written down.

use aftertone_model::{MessageAction, MessageState};
use aftertone_sync::{
    ForwardBody, IdempotencyKey, InvalidIdempotencyKey, Pending, PendingWrite, ProblemCode, SendFailure, Settled, overlay, settle,
};

use crate::world::{id, message};

fn action(number: u128, action: MessageAction) -> Pending {
    Pending { key: IdempotencyKey::from_random(number), message: id(number), write: PendingWrite::Action { action } }
}

#[test]
fn waiting_writes_cover_their_own_message_in_order() {
    let shown = |state, pending: &[Pending]| overlay(&message(id(1), state), pending).map(|message| message.state);
    assert_eq!(shown(MessageState::New, &[]), Some(MessageState::New));
    assert_eq!(shown(MessageState::New, &[action(2, MessageAction::Heard)]), Some(MessageState::New), "another message");
    let heard_then_new = [action(1, MessageAction::Heard), action(1, MessageAction::New)];
    assert_eq!(shown(MessageState::Heard, &heard_then_new), Some(MessageState::New));
    assert_eq!(shown(MessageState::Saved, &[action(1, MessageAction::Heard)]), Some(MessageState::Saved));
    assert_eq!(shown(MessageState::Deleted, &[action(1, MessageAction::Restore)]), Some(MessageState::Heard));
    assert_eq!(shown(MessageState::Deleted, &[action(1, MessageAction::Expunge)]), None);
    let forward = PendingWrite::Forward { forward: ForwardBody { to: vec!["ben".into()], note: String::new() } };
    assert_eq!(shown(MessageState::New, &[Pending { write: forward, ..action(1, MessageAction::New) }]), Some(MessageState::New));
}

#[test]
fn only_a_clear_answer_empties_the_outbox() {
    for (result, expected) in [
        (Ok(()), Settled::Done),
        (Err(SendFailure::Unreachable), Settled::Retry),
        (Err(SendFailure::Refused(ProblemCode::Internal)), Settled::Skip),
        (Err(SendFailure::Refused(ProblemCode::Unauthorized)), Settled::Retry),
        (Err(SendFailure::Refused(ProblemCode::Gone)), Settled::DropMessage),
        (Err(SendFailure::Refused(ProblemCode::NotFound)), Settled::DropMessage),
        (Err(SendFailure::Refused(ProblemCode::UnknownRecipient)), Settled::GiveUp),
    ] {
        assert_eq!(settle(result), expected, "{result:?}");
    }
}

#[test]
fn keys_are_visible_ascii() {
    assert_eq!(IdempotencyKey::from_random(255).as_str(), "000000000000000000000000000000ff");
    assert!("a-key_1".parse::<IdempotencyKey>().is_ok());
    for bad in ["", "with blank", "tab\t", "ü", &"x".repeat(129)] {
        assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidIdempotencyKey), "{bad:?}");
    }
}

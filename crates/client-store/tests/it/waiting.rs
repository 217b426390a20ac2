//! What waits in the outbox, from the click to the feed.

use aftertone_client_store::{Applied, Mailbox};
use aftertone_model::{Message, MessageAction, MessageState};
use aftertone_sync::{ChangesPage, ForwardBody, Pending, PendingWrite};

use crate::common::{key, message, page, put};

async fn state(mailbox: &Mailbox, message: &Message) -> MessageState {
    mailbox.message(message.envelope.id).await.unwrap().unwrap().state
}

/// Between the server's answer and the feed the message must not jump back.
#[tokio::test]
async fn an_answered_write_covers_until_the_feed_has_told_it() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let (one, two) = (message(1, MessageState::New), message(2, MessageState::New));
    mailbox.apply(page(2, vec![put(&one), put(&two)])).await.unwrap();
    mailbox.enqueue(one.envelope.id, MessageAction::Save, key(1)).await.unwrap();
    mailbox.answered(&key(1)).await.unwrap();
    assert_eq!((mailbox.waiting().await.unwrap(), mailbox.outbox().await.unwrap().len()), (0, 0), "not sent again");
    assert_eq!(state(&mailbox, &one).await, MessageState::Saved);

    let first = ChangesPage { more: true, ..page(3, vec![put(&message(2, MessageState::Heard))]) };
    assert_eq!(mailbox.apply(first).await.unwrap().len(), 1);
    assert_eq!(state(&mailbox, &one).await, MessageState::Saved, "the feed has more to tell");
    let last = page(4, vec![put(&message(1, MessageState::Saved))]);
    assert_eq!(mailbox.apply(last).await.unwrap(), [], "nothing that wasn't seen already");
    assert_eq!(state(&mailbox, &one).await, MessageState::Saved);
}

/// The server's answer was lost; meanwhile another device undid it, and that was told before the repetition was answered.
#[tokio::test]
async fn a_late_answer_does_not_bring_an_old_state_back() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let new = message(1, MessageState::New);
    mailbox.apply(page(1, vec![put(&new)])).await.unwrap();
    mailbox.enqueue(new.envelope.id, MessageAction::Heard, key(1)).await.unwrap();
    mailbox.apply(page(3, vec![put(&new)])).await.unwrap();
    mailbox.answered(&key(1)).await.unwrap();
    let nothing = page(3, Vec::new());
    assert_eq!(mailbox.apply(nothing).await.unwrap(), [Applied::Changed(new.clone())]);
    assert_eq!(state(&mailbox, &new).await, MessageState::New);
}

#[tokio::test]
async fn a_write_is_queued_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let new = message(1, MessageState::New);
    mailbox.apply(page(1, vec![put(&new)])).await.unwrap();
    let id = new.envelope.id;
    let forward = ForwardBody { to: vec!["ben".into()], note: "listen".into() };
    let forward = Pending { key: key(2), message: id, write: PendingWrite::Forward { forward } };
    mailbox.enqueue(id, MessageAction::Delete, key(1)).await.unwrap();
    mailbox.enqueue_write(&forward).await.unwrap();
    mailbox.enqueue(id, MessageAction::Restore, key(3)).await.unwrap();
    mailbox.enqueue(id, MessageAction::Delete, key(1)).await.unwrap();
    let keys: Vec<_> = mailbox.outbox().await.unwrap().into_iter().map(|pending| pending.key).collect();
    assert_eq!(keys, [key(1), key(2), key(3)]);
    assert_eq!(state(&mailbox, &new).await, MessageState::New, "deleted and restored, in that order");
    mailbox.drop_message(id).await.unwrap();
    assert_eq!((mailbox.waiting().await.unwrap(), mailbox.messages().await.unwrap().len()), (0, 0));
}

#[tokio::test]
async fn many_writes_are_queued_in_order_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let messages: Vec<_> = (1..=200).map(|number| message(number, MessageState::New)).collect();
    mailbox.apply(page(200, messages.iter().map(put).collect())).await.unwrap();
    let actions = messages.iter().zip(1..).flat_map(|(message, number)| {
        let id = message.envelope.id;
        [(id, MessageAction::Save, key(number)), (id, MessageAction::Delete, key(1000 + number))]
    });
    mailbox.enqueue_all(&actions.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(mailbox.waiting().await.unwrap(), 400);
    for message in &messages {
        assert_eq!(state(&mailbox, message).await, MessageState::Deleted);
    }
    let first: Vec<_> = mailbox.outbox().await.unwrap().into_iter().take(2).map(|pending| pending.key).collect();
    assert_eq!(first, [key(1), key(1001)]);
}

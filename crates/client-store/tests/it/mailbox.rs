//! The stored mailbox, on a real file: what a page does, what survives, what waits.

use aftertone_client_store::{Applied, Mailbox};
use aftertone_model::{CallFigures, CallRecord, MediaPath, MessageAction, MessageState};
use aftertone_sync::{ChangeBody, ChangesPage, Cursor, DirectoryEntry};

use crate::common::{key, message, page, put, record};

#[tokio::test]
async fn a_page_is_kept_with_its_cursor_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(mailbox.cursor().await.unwrap(), None);
    let (first, second) = (message(1, MessageState::New), message(2, MessageState::Saved));
    let bodies = vec![put(&first), put(&second), ChangeBody::CallRecord { record: Box::new(record(1)) }];
    let applied = mailbox.apply(page(3, bodies.clone())).await.unwrap();
    let expected = [Applied::Arrived(first.clone()), Applied::Arrived(second.clone()), Applied::CallRecord(record(1))];
    assert_eq!(applied, expected);
    assert_eq!(mailbox.apply(page(3, bodies)).await.unwrap(), [], "the same page again changes nothing");
    mailbox.close().await;

    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(mailbox.cursor().await.unwrap(), Some(Cursor { epoch: 7, n: 3 }));
    assert_eq!(mailbox.messages().await.unwrap(), [second, first], "the newest first");
    assert_eq!(mailbox.call_records(10).await.unwrap(), [record(1)]);
    assert_eq!(mailbox.new_messages().await.unwrap(), 1);
}

#[tokio::test]
async fn how_a_call_sounded_is_no_new_call() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let put = |record: &CallRecord| vec![ChangeBody::CallRecord { record: Box::new(record.clone()) }];
    mailbox.apply(page(1, put(&record(1)))).await.unwrap();
    let figures = CallFigures {
        codec: "opus".into(),
        path: MediaPath::Direct,
        encrypted: true,
        inbound: None,
        outbound: None,
        round_trip_ms: None,
    };
    let measured = CallRecord { figures: Some(figures), ..record(1) };
    let applied = mailbox.apply(page(2, put(&measured))).await.unwrap();
    assert_eq!(applied, [Applied::CallMeasured(measured.clone())]);
    assert_eq!(mailbox.call_records(10).await.unwrap(), std::slice::from_ref(&measured));
    // Whoever is told of both at once is told of a call.
    let at_once = CallRecord { call: record(2).call, ..measured };
    assert_eq!(mailbox.apply(page(3, put(&at_once))).await.unwrap(), [Applied::CallRecord(at_once)]);
}

#[tokio::test]
async fn what_waits_is_seen_at_once_and_over_what_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let new = message(1, MessageState::New);
    mailbox.apply(page(1, vec![put(&new)])).await.unwrap();
    mailbox.enqueue(new.envelope.id, MessageAction::Delete, key(1)).await.unwrap();
    let seen = mailbox.message(new.envelope.id).await.unwrap().unwrap();
    assert_eq!(seen.state, MessageState::Deleted);
    // Another device listened meanwhile: the deletion here still covers it.
    let heard = message(1, MessageState::Heard);
    assert_eq!(mailbox.apply(page(2, vec![put(&heard)])).await.unwrap(), []);
    mailbox.close().await;

    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(mailbox.outbox().await.unwrap().len(), 1, "the outbox survives a restart");
    mailbox.finish(&key(1)).await.unwrap();
    assert_eq!(mailbox.waiting().await.unwrap(), 0);
    assert_eq!(mailbox.message(new.envelope.id).await.unwrap().unwrap().state, MessageState::Heard);
}

#[tokio::test]
async fn a_snapshot_replaces_the_copy_and_keeps_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let (stays, goes) = (message(1, MessageState::New), message(2, MessageState::New));
    mailbox.apply(page(2, vec![put(&stays), put(&goes)])).await.unwrap();
    mailbox.enqueue(stays.envelope.id, MessageAction::Heard, key(1)).await.unwrap();
    let snapshot = ChangesPage { cursor: Cursor { epoch: 8, n: 1 }, ..page(1, vec![put(&stays)]) };
    assert_eq!(mailbox.replace(vec![snapshot]).await.unwrap(), [Applied::Expunged(goes.envelope.id)]);
    assert_eq!(mailbox.cursor().await.unwrap(), Some(Cursor { epoch: 8, n: 1 }));
    assert_eq!(mailbox.messages().await.unwrap().len(), 1);
    assert_eq!(mailbox.waiting().await.unwrap(), 1);
}

#[tokio::test]
async fn an_expunged_message_takes_what_waits_for_it_and_its_sound_along() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let (gone, kept) = (message(1, MessageState::New), message(2, MessageState::New));
    mailbox.apply(page(2, vec![put(&gone), put(&kept)])).await.unwrap();
    mailbox.enqueue(gone.envelope.id, MessageAction::Heard, key(1)).await.unwrap();
    for message in [&gone, &kept] {
        std::fs::write(mailbox.sound_path(message), b"sound").unwrap();
    }
    let expunged = ChangeBody::Expunged { message: gone.envelope.id };
    assert_eq!(mailbox.apply(page(3, vec![expunged])).await.unwrap(), [Applied::Expunged(gone.envelope.id)]);
    assert_eq!(mailbox.waiting().await.unwrap(), 0);
    mailbox.drop_orphaned_sounds().await.unwrap();
    assert!(!mailbox.sound_path(&gone).exists() && mailbox.sound_path(&kept).exists());
}

#[tokio::test]
async fn the_directory_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(mailbox.directory().await.unwrap(), None);
    let entries = [DirectoryEntry { user: "ada".into(), extension: "1001".into(), display_name: "Ada".into() }];
    mailbox.keep_directory(&entries).await.unwrap();
    assert_eq!(mailbox.directory().await.unwrap().as_deref(), Some(&entries[..]));
}

//! Folders, windows and the search.

use aftertone_client_store::{Folder, FolderCounts, Mailbox, StoreError, Window};
use aftertone_model::{Caller, ForwardNote, Message, MessageAction, MessageState, Timestamp};

use crate::common::{key, message, page, put, record};

async fn mailbox(folder: &tempfile::TempDir, messages: &[Message]) -> Mailbox {
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    mailbox.apply(page(1, messages.iter().map(put).collect())).await.unwrap();
    mailbox
}

fn named(number: u128, name: &str, caller: &str) -> Message {
    let mut message = message(number, MessageState::New);
    message.envelope.caller = Caller { number: caller.into(), name: Some(name.into()).filter(|name: &String| !name.is_empty()) };
    message
}

async fn found(mailbox: &Mailbox, query: &str) -> Vec<String> {
    let window = Window { query: query.into(), limit: 100, ..Window::default() };
    let listing = mailbox.window(&window).await.unwrap();
    assert_eq!(listing.total as usize, listing.messages.len());
    listing.messages.into_iter().map(|message| message.envelope.caller.number).collect()
}

#[tokio::test]
async fn a_search_finds_parts_of_names_numbers_and_notes() {
    let folder = tempfile::tempdir().unwrap();
    let mut forwarded = named(3, "", "1003");
    let from = Caller { number: "1001".into(), name: Some("Anna Bauer".into()) };
    forwarded.forwarded = Some(ForwardNote { from, at: Timestamp::UNIX_EPOCH, note: "Bitte 50% \"Rabatt\" geben".into() });
    let messages = [named(1, "Zoë ÄRZTEHAUS", "+4930123456"), named(2, "Jörg Ärger", "+4989777"), forwarded];
    let mailbox = mailbox(&folder, &messages).await;
    let (zoe, joerg, note) = ("+4930123456", "+4989777", "1003");
    for (query, expected) in [
        ("", vec![note, joerg, zoe]),
        ("zoë", vec![zoe]),
        ("ärz", vec![zoe]),
        ("är", vec![joerg, zoe]),
        ("RGER jörg", vec![joerg]),
        ("jörg zoë", vec![]),
        ("0123", vec![zoe]),
        ("30 12 34", vec![zoe]),
        ("030 123456", vec![zoe]),
        ("030/12 34-56", vec![zoe]),
        ("0049 (30) 123", vec![zoe]),
        ("0777", vec![]),
        ("089777", vec![joerg]),
        ("+49", vec![joerg, zoe]),
        ("bauer", vec![note]),
        ("50% \"rabatt\"", vec![note]),
        ("50_", vec![]),
        ("\" OR \"zoë", vec![]),
        ("rabatt*", vec![]),
        ("NEAR(zoë", vec![]),
    ] {
        assert_eq!(found(&mailbox, query).await, expected, "{query:?}");
    }
    // What changed is found by what it is now.
    mailbox.apply(page(2, vec![put(&named(2, "Klaus", "+4989777"))])).await.unwrap();
    assert_eq!((found(&mailbox, "jörg").await.len(), found(&mailbox, "klaus").await.len()), (0, 1));
    mailbox.drop_message(messages[0].envelope.id).await.unwrap();
    assert_eq!(found(&mailbox, "zoë").await.len(), 0);
}

#[tokio::test]
async fn folders_and_counts_have_the_outbox_applied() {
    let folder = tempfile::tempdir().unwrap();
    let states = [MessageState::New, MessageState::Heard, MessageState::Saved, MessageState::Deleted, MessageState::New];
    let messages: Vec<Message> = (1..).zip(states).map(|(number, state)| message(number, state)).collect();
    let mailbox = mailbox(&folder, &messages).await;
    assert_eq!(mailbox.counts().await.unwrap(), FolderCounts { new: 2, all: 4, saved: 1, trash: 1 });
    for (index, action) in [(0, MessageAction::Save), (1, MessageAction::Delete), (4, MessageAction::Expunge)] {
        mailbox.enqueue(messages[index].envelope.id, action, key(index as u128)).await.unwrap();
    }
    assert_eq!(mailbox.counts().await.unwrap(), FolderCounts { new: 0, all: 2, saved: 2, trash: 2 });
    for (shown, expected) in
        [(Folder::New, vec![]), (Folder::All, vec![2, 0]), (Folder::Saved, vec![2, 0]), (Folder::Trash, vec![3, 1])]
    {
        let window = Window { folder: shown, limit: 9, ..Window::default() };
        let ids: Vec<_> = mailbox.window(&window).await.unwrap().messages.iter().map(|m| m.envelope.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|index: usize| messages[index].envelope.id).collect();
        assert_eq!(ids, expected, "{shown:?}");
    }
    assert_eq!(mailbox.message(messages[4].envelope.id).await.unwrap(), None);
    assert_eq!(mailbox.message(messages[0].envelope.id).await.unwrap().unwrap().state, MessageState::Saved);
    assert_eq!(mailbox.messages().await.unwrap().len(), 4);
}

#[tokio::test]
async fn windows_join_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut messages: Vec<Message> = (1..=25).map(|number| message(number, MessageState::New)).collect();
    // Two of the same moment have an order all the same.
    messages[10].envelope.received_at = messages[11].envelope.received_at;
    let mailbox = mailbox(&folder, &messages).await;
    let mut seen = Vec::new();
    for offset in (0..30).step_by(10) {
        let window = Window { offset, limit: 10, ..Window::default() };
        let listing = mailbox.window(&window).await.unwrap();
        assert_eq!(listing.total, 25);
        seen.extend(listing.messages);
    }
    assert_eq!(seen, mailbox.messages().await.unwrap());
}

#[tokio::test]
async fn the_call_log_is_paged_and_keeps_both_sides_of_a_call_to_oneself() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let (incoming, mut outgoing) = (record(1), record(1));
    outgoing.direction = aftertone_model::Direction::Outgoing;
    outgoing.started_at = Timestamp::constant(1_700_000_005, 0);
    let bodies = [&incoming, &outgoing].map(|record| aftertone_sync::ChangeBody::CallRecord { record: Box::new(record.clone()) });
    assert_eq!(mailbox.apply(page(1, bodies.to_vec())).await.unwrap().len(), 2);
    assert_eq!(mailbox.call_log(0, 1).await.unwrap(), [outgoing.clone()]);
    assert_eq!(mailbox.call_log(1, 1).await.unwrap(), [incoming]);
    // A snapshot without one of them takes it away.
    let [_, kept] = bodies;
    mailbox.replace(vec![page(9, vec![kept])]).await.unwrap();
    assert_eq!(mailbox.call_records(9).await.unwrap(), [outgoing]);
}

#[tokio::test]
async fn settings_are_kept_apart_from_the_stores_own() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = mailbox(&folder, &[]).await;
    assert_eq!(mailbox.setting("ringtone").await.unwrap(), None);
    mailbox.keep_setting("ringtone", "bell").await.unwrap();
    mailbox.keep_setting("ringtone", "none").await.unwrap();
    assert_eq!(mailbox.setting("ringtone").await.unwrap().as_deref(), Some("none"));
    assert!(matches!(mailbox.keep_setting(".cursor", "0.0").await, Err(StoreError::ReservedName)));
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    mailbox(&folder, &[]).await.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("mailbox.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("PRAGMA user_version = 900").execute(&mut connection).await.unwrap();
    assert!(matches!(Mailbox::open(folder.path()).await, Err(StoreError::TooNew { found: 900, .. })));
}

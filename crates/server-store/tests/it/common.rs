//! A store in a temporary folder, and what one puts into it.

use std::{path::Path, sync::Arc};

use aftertone_model::{
    CallId, CallRecord, Caller, Direction, EndReason, Envelope, Language, MessageId, Reason, Subscriber, Timestamp,
};
use aftertone_server_store::{FileLayer, FinishedRecording, NewSubscriber, Sound, SqliteStore, Store};
use aftertone_sync::IdempotencyKey;

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) anna: Subscriber,
    pub(crate) ben: Subscriber,
}

pub(crate) async fn world(files: Arc<dyn FileLayer>) -> World {
    // In memory where there is such a folder: the crashes are played on the files, and a real sync only costs time.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let store = open(dir.path(), files).await;
    let anna = store.add_subscriber(person("anna", "1001")).await.unwrap();
    let ben = store.add_subscriber(person("ben", "1002")).await.unwrap();
    World { dir, store, anna, ben }
}

pub(crate) async fn open(dir: &Path, files: Arc<dyn FileLayer>) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(dir, files).await.unwrap())
}

pub(crate) fn person(user: &str, extension: &str) -> NewSubscriber {
    NewSubscriber {
        user: user.parse().unwrap(),
        extension: extension.parse().unwrap(),
        display_name: format!("{user} of the tests"),
        language: Language::De,
        ring_s: 20,
        password: None,
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

pub(crate) fn message_id(number: u128) -> MessageId {
    MessageId::from_random(number << 64)
}

pub(crate) fn envelope(to: &Subscriber, number: u128) -> Envelope {
    Envelope {
        id: message_id(number),
        call: CallId::from_random(number << 64),
        mailbox: to.id,
        caller: Caller { number: "+4930123456".into(), name: Some("Zoë".into()) },
        received_at: at(i64::try_from(number).unwrap()),
        reason: Reason::NoAnswer,
        urgent: number % 2 == 1,
        private: number == 99,
        call_back: (number % 3 == 2).then(|| format!("+4930{number}")),
        test: false,
    }
}

pub(crate) fn record(envelope: &Envelope) -> CallRecord {
    CallRecord {
        call: envelope.call,
        owner: envelope.mailbox,
        direction: Direction::Incoming,
        party: envelope.caller.clone(),
        started_at: envelope.received_at,
        answered_at: None,
        ended_at: envelope.received_at,
        end: EndReason::Diverted,
        diverted: Some(envelope.reason),
        message: None,
        figures: None,
    }
}

/// A recording whose sound is only a name.
pub(crate) fn recording(to: &Subscriber, number: u128) -> FinishedRecording {
    let envelope = envelope(to, number);
    let sound = Sound {
        content: format!("pcma-{number:064x}"),
        file: format!("00/{}.wav", envelope.id),
        bytes: 8_058,
        media_type: "audio/wav".into(),
        duration_ms: 1_000,
        peaks: vec![0, 128, 255],
    };
    FinishedRecording { record: record(&envelope), envelope, sound, interrupted: false, jobs: Vec::new() }
}

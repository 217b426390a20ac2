//! The promise: no accepted message is ever lost, and none is there twice. The power fails at each operation of the
//! spool's files in turn, with each kind of disk; then the server starts again, and may be cut off again.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use aftertone_model::{CallRecord, MessageId};
use aftertone_server_store::{
    Changes, Commits, Committed, Fate, Finished, FinishedRecording, Lookup, Spool, SqliteStore, Store, StoreError,
    testing::{ForgetfulFiles, Survival},
};
use aftertone_sync::ChangeBody;
use async_trait::async_trait;

use crate::{
    common::{World, message_id, world},
    spool::{HEADER, SECOND, finished, header, new_recording, piece, start_syncing},
};

/// The calls of the scenario: message number, pieces of half a second, and whether the caller hangs up in the end or the
/// handle is lost.
const CALLS: [(u128, usize, bool); 3] = [(1, 4, true), (2, 1, true), (3, 3, false)];

/// What the caller's side was told before the power failed.
#[derive(Default)]
struct Promised {
    /// The beep was heard.
    begun: Vec<u128>,
    /// The recording is over, and the server knew what became of it.
    finished: Vec<u128>,
}

#[tokio::test]
async fn no_crash_loses_or_doubles_a_message() {
    let operations = dry_run().await;
    assert!(operations > 30, "the scenario is worth something: {operations} operations");
    let survivals = [Survival::Nothing, Survival::Everything, Survival::Some(1), Survival::Some(2), Survival::Some(3)];
    for crash in 0..operations {
        for survival in survivals {
            check(crash, survival).await;
        }
    }
}

/// A crash while the spool is being recovered, at each operation of it.
#[tokio::test]
async fn a_crash_during_the_recovery_changes_nothing() {
    let crash_while_recording = 14;
    for second_crash in 0..60 {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Some(second_crash)] {
            let files = ForgetfulFiles::new();
            let world = world(Arc::new(files.clone())).await;
            files.crash_at(crash_while_recording);
            let promised = run(&files, &world).await;
            assert!(files.has_crashed());
            files.restart(survival);
            files.crash_at(second_crash);
            if let Ok(spool) = power_on(&files, &world.store) {
                let _ = spool.recover().await;
                spool.close().await;
            }
            files.restart(survival);
            verify(&files, &world, &promised, &format!("second crash at {second_crash}, {survival:?}")).await;
        }
    }
}

/// Expunging while the spool still has files of the message.
#[tokio::test]
async fn an_expunged_message_does_not_come_back_from_the_spool() {
    let operations = dry_run().await;
    for crash in 0..operations {
        let files = ForgetfulFiles::new();
        let world = world(Arc::new(files.clone())).await;
        files.crash_at(crash);
        run(&files, &world).await;
        let store = &world.store;
        let held = store.message(world.anna.id, message_id(1)).await.unwrap().found().is_some();
        if held {
            let key = "expunge".parse().unwrap();
            let action = aftertone_model::MessageAction::Expunge;
            store.act(world.anna.id, message_id(1), action, &key, crate::common::at(9)).await.unwrap();
        }
        files.restart(Survival::Nothing);
        let spool = power_on(&files, store).unwrap();
        spool.recover().await.unwrap();
        let after = store.message(world.anna.id, message_id(1)).await.unwrap();
        assert_eq!(after == Lookup::Gone, held, "crash at {crash}");
        spool.close().await;
    }
}

/// A store that is on the same power line as the files.
pub(crate) struct Powered {
    pub(crate) files: ForgetfulFiles,
    pub(crate) store: Arc<SqliteStore>,
}

#[async_trait]
impl Commits for Powered {
    async fn commit_recording(&self, recording: FinishedRecording) -> Result<Committed, StoreError> {
        self.files.tick()?;
        let committed = self.store.commit_recording(recording).await;
        // It may fail between the commit and the word of it.
        self.files.tick()?;
        committed
    }

    async fn commit_call_record(&self, record: &CallRecord) -> Result<(), StoreError> {
        self.files.tick()?;
        self.store.commit_call_record(record).await
    }

    async fn commit_call_record_if_absent(&self, record: &CallRecord) -> Result<bool, StoreError> {
        self.files.tick()?;
        self.store.commit_call_record_if_absent(record).await
    }

    async fn fate(&self, message: MessageId) -> Result<Fate, StoreError> {
        self.files.tick()?;
        self.store.fate(message).await
    }
}

fn power_on(files: &ForgetfulFiles, store: &Arc<SqliteStore>) -> std::io::Result<Spool> {
    let powered = Powered { files: files.clone(), store: store.clone() };
    // Never by the clock, so that the operations are the same ones each time.
    start_syncing(Duration::from_secs(3_600), Arc::new(files.clone()), Arc::new(powered), Path::new("/account"))
}

async fn dry_run() -> u64 {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let promised = run(&files, &world).await;
    assert_eq!((promised.begun.len(), promised.finished.len()), (3, 2));
    files.operations()
}

async fn check(crash: u64, survival: Survival) {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    files.crash_at(crash);
    let promised = run(&files, &world).await;
    assert!(files.has_crashed(), "operation {crash} was never reached");
    files.restart(survival);
    verify(&files, &world, &promised, &format!("crash at {crash}, {survival:?}")).await;
}

/// Three calls, one after the other, until the power fails.
async fn run(files: &ForgetfulFiles, world: &World) -> Promised {
    let mut promised = Promised::default();
    let Ok(spool) = power_on(files, &world.store) else { return promised };
    for (number, pieces, hangs_up) in CALLS {
        call(&spool, world, number, pieces, hangs_up, &mut promised).await;
    }
    spool.close().await;
    promised
}

async fn call(spool: &Spool, world: &World, number: u128, pieces: usize, hangs_up: bool, promised: &mut Promised) {
    let Ok(handle) = spool.begin(new_recording(world, number)).await else { return };
    promised.begun.push(number);
    let _ = handle.append(header(0));
    for index in 0..pieces {
        let _ = handle.append(piece(number, index));
    }
    if !hangs_up {
        return;
    }
    let _ = handle.patch(0, header(pieces * SECOND / 2));
    match handle.finish(finished(world, number, pieces * SECOND / 2)).await {
        Ok(Finished::Message(message)) => {
            assert_eq!(message.envelope.id, message_id(number));
            promised.finished.push(number);
        }
        Ok(Finished::TooShort) => promised.finished.push(number),
        Ok(Finished::Expunged) => panic!("nobody expunged {number}"),
        Err(_) => {}
    }
}

/// After a start: what was promised is there, once, with its sound; the spool is empty; a second scan finds nothing.
async fn verify(files: &ForgetfulFiles, world: &World, promised: &Promised, when: &str) {
    let store = &world.store;
    let spool = power_on(files, store).unwrap();
    let recovered = spool.recover().await.unwrap();
    assert_eq!(recovered.failed, [], "{when}");
    let again = spool.recover().await.unwrap();
    assert_eq!(again, aftertone_server_store::Recovered::default(), "{when}");
    spool.close().await;

    let held: BTreeMap<MessageId, _> =
        store.messages(world.anna.id, None, 99).await.unwrap().into_iter().map(|m| (m.envelope.id, m)).collect();
    let disk = files.snapshot();
    for (number, pieces, hangs_up) in CALLS {
        let id = message_id(number);
        let sound: Vec<u8> = (0..pieces).flat_map(|index| piece(number, index)).collect();
        if promised.finished.contains(&number) {
            assert_eq!(held.contains_key(&id), sound.len() >= SECOND, "{when}: message {number}");
        }
        let Some(message) = held.get(&id) else { continue };
        assert!(promised.begun.contains(&number) || message.interrupted, "{when}");
        assert!(hangs_up || message.interrupted, "{when}");
        let stored = store.sound(world.anna.id, id).await.unwrap().found().unwrap();
        let name = stored.path.strip_prefix(world.store.blobs_dir()).unwrap();
        let bytes = &disk[&Path::new("/account/blobs").join(name)];
        assert_eq!(bytes.len() as u64, stored.bytes, "{when}: {number}");
        assert_eq!(bytes[..HEADER], header(bytes.len() - HEADER), "{when}: the header of {number}");
        if !message.interrupted {
            assert_eq!(bytes[HEADER..], sound, "{when}: the sound of {number}");
        }
    }
    // A call whose beep was heard is in the log, once; what the feed says is what is there.
    let logged: Vec<_> = store.call_records(world.anna.id, None, 99).await.unwrap().into_iter().map(|r| r.call).collect();
    for number in &promised.begun {
        let call = crate::common::envelope(&world.anna, *number).call;
        assert_eq!(logged.iter().filter(|logged| **logged == call).count(), 1, "{when}: the call {number}");
    }
    let Changes::Page(page) = store.changes(world.anna.id, None, 99).await.unwrap() else { panic!("reset") };
    let messages = page.changes.iter().filter(|change| matches!(change.body, ChangeBody::Message { .. })).count();
    assert_eq!(messages, held.len(), "{when}");
    assert!(disk.keys().all(|path| path.starts_with("/account/blobs")), "{when}: {:?}", disk.keys());
    assert_eq!(disk.len(), held.len(), "{when}: a blob for each message and no more");
}

//! Recordings on a disk that works, on one that is full, and through a handle that is dropped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftertone_model::{MessageAction, MessageState};
use aftertone_server_store::{
    AppendError, BeginError, Commits, Disk, FileLayer, Finished, FinishedSound, Lookup, NewJob, NewRecording, Recovered,
    RepairedSound, SoundFormat, Spool, SpoolConfig, SpoolHandle, Store,
    testing::{ForgetfulFiles, Survival},
};

use crate::common::{World, at, envelope, key, message_id, record, world};

/// The test's container: a header with the length of what follows, 0 while it is being written. A second of sound is
/// `SECOND` bytes.
pub(crate) const SECOND: usize = 400;
pub(crate) const HEADER: usize = 8;

pub(crate) fn header(sound: usize) -> Vec<u8> {
    (sound as u64).to_be_bytes().to_vec()
}

/// Knows the test's container.
pub(crate) fn repair(_: &SoundFormat, mut bytes: Vec<u8>) -> Option<RepairedSound> {
    let sound = bytes.len().checked_sub(HEADER)?;
    bytes[..HEADER].copy_from_slice(&header(sound));
    Some(RepairedSound { bytes, header_bytes: HEADER as u64, duration_ms: ms(sound), peaks: vec![1] })
}

pub(crate) fn ms(sound: usize) -> u64 {
    (sound * 1_000 / SECOND) as u64
}

fn start(files: Arc<dyn FileLayer>, store: Arc<dyn Commits>, dir: &Path) -> std::io::Result<Spool> {
    start_syncing(Duration::from_millis(500), files, store, dir)
}

pub(crate) fn start_syncing(
    every: Duration,
    files: Arc<dyn FileLayer>,
    store: Arc<dyn Commits>,
    dir: &Path,
) -> std::io::Result<Spool> {
    let mut config = SpoolConfig::new(dir.join("spool"), dir.join("blobs"));
    config.writers = 1;
    config.sync_every = every;
    Spool::open(config, files, store, Arc::new(repair))
}

pub(crate) fn new_recording(world: &World, number: u128) -> NewRecording {
    let envelope = envelope(&world.anna, number);
    NewRecording {
        record: record(&envelope),
        envelope,
        format: SoundFormat { media_type: "audio/wav".into(), codec: "PCMA".into() },
        language: world.anna.language,
        jobs: vec![NewJob { kind: "mail".into(), payload: number.to_string(), due_at: at(0) }],
    }
}

pub(crate) fn finished(world: &World, number: u128, sound: usize) -> FinishedSound {
    let mut record = record(&envelope(&world.anna, number));
    record.ended_at = at(500);
    FinishedSound {
        duration_ms: ms(sound),
        peaks: vec![9; 120],
        header_bytes: HEADER as u64,
        record,
        interrupted: false,
        marks: envelope(&world.anna, number).marks(),
    }
}

/// The sound of message `number`: `pieces` of half a second.
pub(crate) fn piece(number: u128, piece: usize) -> Vec<u8> {
    vec![u8::try_from(number * 16).unwrap() + u8::try_from(piece).unwrap(); SECOND / 2]
}

fn record_pieces(handle: &SpoolHandle, number: u128, pieces: usize) {
    handle.append(header(0)).unwrap();
    for index in 0..pieces {
        handle.append(piece(number, index)).unwrap();
    }
    handle.patch(0, header(pieces * SECOND / 2)).unwrap();
}

fn spool_files(dir: &Path) -> Vec<String> {
    Disk.list(&dir.join("spool")).unwrap()
}

fn blob_path(dir: &Path, number: u128) -> PathBuf {
    let id = message_id(number).to_string();
    dir.join("blobs").join(&id[..2]).join(format!("{id}.wav"))
}

#[tokio::test]
async fn a_recording_becomes_a_message() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    assert_eq!(spool.recover().await.unwrap(), Recovered::default());

    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    let id = message_id(1);
    assert_eq!(spool_files(dir), [format!("{id}.json"), format!("{id}.wav")]);
    assert!(matches!(spool.begin(new_recording(&world, 1)).await, Err(BeginError::Running)));
    record_pieces(&handle, 1, 3);
    assert_eq!(spool.recover().await.unwrap(), Recovered::default(), "a scan leaves it alone");
    let Finished::Message(message) = handle.finish(finished(&world, 1, 600)).await.unwrap() else { panic!("no message") };

    assert_eq!((message.duration_ms, message.peaks.len(), message.interrupted), (1_500, 120, false));
    assert_eq!(store.message(world.anna.id, id).await.unwrap(), Lookup::Found(message));
    let sound = store.sound(world.anna.id, id).await.unwrap().found().unwrap();
    assert_eq!(sound.path, blob_path(dir, 1));
    let expected = [header(600), piece(1, 0), piece(1, 1), piece(1, 2)].concat();
    assert_eq!(std::fs::read(&sound.path).unwrap(), expected);
    assert!(sound.content.starts_with("pcma-") && sound.content.len() == 69, "{}", sound.content);
    assert_eq!(spool_files(dir), [""; 0]);
    assert_eq!(store.call_records(world.anna.id, None, 9).await.unwrap()[0].ended_at, at(500));
    assert_eq!(store.take_jobs("mail", at(9), at(10), 9).await.unwrap().len(), 1);
    spool.close().await;
}

#[tokio::test]
async fn equal_sounds_are_kept_once() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    for number in [1, 2] {
        let handle = spool.begin(new_recording(&world, number)).await.unwrap();
        record_pieces(&handle, 1, 3);
        handle.finish(finished(&world, number, 600)).await.unwrap();
    }
    let first = store.sound(world.anna.id, message_id(1)).await.unwrap().found().unwrap();
    let second = store.sound(world.anna.id, message_id(2)).await.unwrap().found().unwrap();
    assert_eq!(first, second);
    store.tidy(at(0), at(0)).await.unwrap();
    assert!(!blob_path(dir, 2).exists(), "the double is unlinked");
    store.act(world.anna.id, message_id(1), MessageAction::Expunge, &key("x"), at(1)).await.unwrap();
    assert!(second.path.exists(), "the second message still holds it");
    store.act(world.anna.id, message_id(2), MessageAction::Expunge, &key("y"), at(1)).await.unwrap();
    assert!(!second.path.exists());
}

#[tokio::test]
async fn what_is_thrown_away_leaves_nothing() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    record_pieces(&handle, 1, 6);
    handle.discard();
    spool.close().await;
    assert_eq!(spool_files(dir), [""; 0]);
    assert!(store.messages(world.anna.id, None, 10).await.unwrap().is_empty());
    assert!(store.call_records(world.anna.id, None, 10).await.unwrap().is_empty(), "and no call is logged");
    let again = start(Arc::new(Disk), store, dir).unwrap();
    assert_eq!(again.recover().await.unwrap(), Recovered::default());
    assert!(again.begin(new_recording(&world, 1)).await.is_ok());
}

#[tokio::test]
async fn under_a_second_only_the_call_is_logged() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    record_pieces(&handle, 1, 1);
    assert_eq!(handle.finish(finished(&world, 1, 200)).await.unwrap(), Finished::TooShort);
    let records = store.call_records(world.anna.id, None, 9).await.unwrap();
    assert_eq!((records.len(), records[0].message, records[0].ended_at), (1, None, at(500)));
    assert_eq!(store.counts(world.anna.id).await.unwrap().new, 0);
    assert_eq!(spool_files(dir), [""; 0]);
}

#[tokio::test]
async fn a_dropped_handle_leaves_an_interrupted_message() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    handle.append(header(0)).unwrap();
    (0..4).for_each(|index| handle.append(piece(1, index)).unwrap());
    drop(handle);
    // Closing waits for what was begun.
    spool.close().await;
    let message = store.message(world.anna.id, message_id(1)).await.unwrap().found().unwrap();
    assert_eq!((message.interrupted, message.duration_ms, message.state), (true, 2_000, MessageState::New));
    assert_eq!(std::fs::read(blob_path(dir, 1)).unwrap()[..HEADER], header(800), "repaired");
    let record = store.call_records(world.anna.id, None, 9).await.unwrap().remove(0);
    assert_eq!((record.message, record.ended_at), (Some(message_id(1)), at(1 + 2)));
}

#[tokio::test]
async fn a_recording_that_was_open_at_the_stop_is_a_message_at_the_start() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    assert!(start(Arc::new(Disk), store.clone(), dir).is_err(), "one spool per folder");
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    record_pieces(&handle, 1, 2);
    spool.close().await;
    assert_eq!(handle.append(vec![1]), Err(AppendError::Closed));
    drop(handle);
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    let expected = Recovered { interrupted: vec![message_id(1)], ..Recovered::default() };
    assert_eq!(spool.recover().await.unwrap(), expected);
    assert_eq!(spool.recover().await.unwrap(), Recovered::default(), "once");
    assert_eq!(store.counts(world.anna.id).await.unwrap().new, 1);
}

#[tokio::test]
async fn what_is_no_recording_is_reported_and_left() {
    let world = world(Arc::new(Disk)).await;
    let (dir, store) = (world.dir.path(), world.store.clone());
    let spool = start(Arc::new(Disk), store.clone(), dir).unwrap();
    let id = message_id(1);
    std::fs::write(dir.join("spool/notes.txt"), "hello").unwrap();
    std::fs::write(dir.join(format!("spool/{id}.wav")), "sound without a sidecar").unwrap();
    let recovered = spool.recover().await.unwrap();
    let failed: Vec<_> = recovered.failed.into_iter().map(|(name, _)| name).collect();
    assert_eq!(failed, ["notes.txt".to_owned(), id.to_string()]);
    assert_eq!(spool_files(dir).len(), 2);
}

#[tokio::test]
async fn a_full_disk_refuses_before_the_beep() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let spool = start(Arc::new(files.clone()), world.store.clone(), world.dir.path()).unwrap();
    files.set_space(Some(1 << 20));
    assert!(matches!(spool.begin(new_recording(&world, 1)).await, Err(BeginError::Full)), "below the reserve");
    assert_eq!(files.snapshot().len(), 0);
    files.set_space(None);
    assert!(spool.begin(new_recording(&world, 1)).await.is_ok(), "the id is free again");
}

#[tokio::test]
async fn a_disk_that_fills_up_keeps_what_was_said_before() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let spool = start(Arc::new(files.clone()), world.store.clone(), world.dir.path()).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    handle.append(header(0)).unwrap();
    (0..3).for_each(|index| handle.append(piece(1, index)).unwrap());
    let whole = HEADER + 3 * SECOND / 2;
    wait_until(|| files.snapshot().values().any(|bytes| bytes.len() == whole)).await;
    files.set_space(Some(50));
    handle.append(piece(1, 3)).unwrap();
    wait_until(|| handle.append(vec![0]) == Err(AppendError::Broken)).await;

    assert!(handle.finish(finished(&world, 1, 9_999)).await.is_err(), "no room for the repaired file");
    assert_eq!(world.store.counts(world.anna.id).await.unwrap().new, 0);
    files.set_space(None);
    assert_eq!(spool.recover().await.unwrap().interrupted, [message_id(1)]);
    let message = world.store.message(world.anna.id, message_id(1)).await.unwrap().found().unwrap();
    assert!(message.interrupted && message.duration_ms >= 1_500, "{message:?}");
}

#[tokio::test]
async fn a_disk_that_does_not_keep_up_ends_the_deposit_and_not_the_server() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let mut config = SpoolConfig::new("/spool".into(), "/blobs".into());
    config.max_queued_bytes = 10_000;
    let spool = Spool::open(config, Arc::new(files), world.store.clone(), Arc::new(repair)).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    assert_eq!(handle.append(vec![0; 10_001]), Err(AppendError::Overrun));
    assert_eq!(handle.append(vec![0]), Err(AppendError::Broken), "a hole would shift all that follows");
    assert_eq!(handle.finish(finished(&world, 1, 10_000)).await.unwrap(), Finished::TooShort);
}

/// A busy spool has always something else to do: what was left is not put off by that.
#[tokio::test]
async fn what_was_left_is_tried_again_while_others_call() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let mut config = SpoolConfig::new("/account/spool".into(), "/account/blobs".into());
    config.retry_every = Duration::from_millis(60);
    let spool = Spool::open(config, Arc::new(files.clone()), world.store.clone(), Arc::new(repair)).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    record_pieces(&handle, 1, 3);
    wait_until(|| files.snapshot().values().any(|bytes| bytes.len() == HEADER + 3 * SECOND / 2)).await;
    files.set_space(Some(0));
    assert!(handle.finish(finished(&world, 1, 600)).await.is_err());
    assert_eq!(spool.monitor().left(), 1);
    files.set_space(None);
    for number in 2..500 {
        drop(spool.begin(new_recording(&world, number)).await.unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
        if world.store.counts(world.anna.id).await.unwrap().new == 1 {
            return wait_until(|| spool.monitor().left() == 0).await;
        }
    }
    panic!("the message was never tried again");
}

#[tokio::test]
async fn the_monitor_tells_how_the_spool_does() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let spool = start(Arc::new(files.clone()), world.store.clone(), Path::new("/account")).unwrap();
    let monitor = spool.monitor();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    handle.append(header(0)).unwrap();
    wait_until(|| monitor.sync_gap() > Duration::ZERO).await;
    assert_eq!((monitor.recordings(), monitor.left(), monitor.has_room().unwrap()), (1, 0, true));
    assert!(monitor.worst_sync_gap() >= monitor.sync_gap());
    files.set_space(Some(1 << 20));
    assert_eq!((monitor.has_room().unwrap(), monitor.free_bytes().unwrap()), (false, 1 << 20));
    handle.finish(finished(&world, 1, 0)).await.unwrap();
    assert_eq!(monitor.recordings(), 0);
}

#[tokio::test]
async fn what_was_said_a_second_ago_survives() {
    let files = ForgetfulFiles::new();
    let world = world(Arc::new(files.clone())).await;
    let spool = start(Arc::new(files.clone()), world.store.clone(), Path::new("/account")).unwrap();
    let handle = spool.begin(new_recording(&world, 1)).await.unwrap();
    handle.append(header(0)).unwrap();
    (0..3).for_each(|index| handle.append(piece(1, index)).unwrap());
    let said = std::time::Instant::now();
    let whole = HEADER + 3 * SECOND / 2;
    wait_until(|| files.durable().values().any(|bytes| bytes.len() == whole)).await;
    assert!(said.elapsed() < Duration::from_secs(1), "{:?}", said.elapsed());
    handle.append(piece(1, 3)).unwrap();
    files.crash_at(files.operations());
    spool.close().await;
    files.restart(Survival::Nothing);
    let spool = start(Arc::new(files.clone()), world.store.clone(), Path::new("/account")).unwrap();
    assert_eq!(spool.recover().await.unwrap().interrupted, [message_id(1)]);
    let message = world.store.message(world.anna.id, message_id(1)).await.unwrap().found().unwrap();
    assert_eq!(message.duration_ms, 1_500);
}

async fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that within 5 s");
}

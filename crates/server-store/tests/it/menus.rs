//! How people listen by phone: PINs, keys, and forwards with words before them.

use std::sync::Arc;

use aftertone_model::{MenuLayout, WrongPins};
use aftertone_server_store::{
    Commits, Disk, ForwardOrder, ForwardOutcome, HashedPassword, NewSound, PhoneMenu, Store,
    testing::{ForgetfulFiles, Survival},
};

use crate::common::{World, at, key, message_id, open, recording, world};

fn pin(digits: &str) -> Option<HashedPassword> {
    Some(HashedPassword::of_pin(digits).unwrap())
}

#[tokio::test]
async fn a_pin_opens_its_own_mailbox_alone() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let right = async |extension: &str, pin: &str| store.check_pin(extension, pin).await.unwrap().map(|person| person.id);
    assert_eq!(right("1001", "").await, None, "without a PIN there is no way in");
    store.set_pin(anna.id, pin("482159")).await.unwrap();
    store.set_pin(ben.id, pin("739164")).await.unwrap();
    assert_eq!(right("1001", "482159").await, Some(anna.id));
    assert_eq!(right("1002", "739164").await, Some(ben.id));
    for (extension, pin) in [("1001", "739164"), ("1001", ""), ("anna", "482159"), ("9999", "482159"), ("", "")] {
        assert_eq!(right(extension, pin).await, None, "{extension} {pin}");
    }
    store.set_menu_layout(anna.id, MenuLayout::Asterisk).await.unwrap();
    store.set_menu_dials(anna.id, true).await.unwrap();
    let again = open(dir.path(), Arc::new(Disk)).await;
    let menu = PhoneMenu { has_pin: true, layout: MenuLayout::Asterisk, dials: true };
    assert_eq!(again.phone_menu(anna.id).await.unwrap(), menu, "each is kept when the others change");
    assert_eq!(again.menu_dials().await.unwrap().into_iter().collect::<Vec<_>>(), [anna.id]);
    again.set_pin(anna.id, None).await.unwrap();
    assert_eq!(again.check_pin("1001", "482159").await.unwrap(), None);
    assert_eq!(again.phone_menu(anna.id).await.unwrap(), PhoneMenu { has_pin: false, ..menu });
}

#[tokio::test]
async fn wrong_pins_are_counted_over_a_restart() {
    let World { dir, store, .. } = world(Arc::new(Disk)).await;
    let wrong = |who: &str, count, second| WrongPins { who: who.into(), count, until: at(second + 60), last: at(second) };
    let (mailbox, caller) = (wrong("mailbox 1001", 3, 1), wrong("caller +4930123", 3, 1));
    store.put_wrong_pins(vec![mailbox, caller.clone()], vec![]).await.unwrap();
    let more = wrong("mailbox 1001", 4, 2);
    store.put_wrong_pins(vec![more.clone()], vec!["mailbox 9".into()]).await.unwrap();
    assert_eq!(store.wrong_pins().await.unwrap(), [caller.clone(), more.clone()]);
    store.close().await;
    let store = open(dir.path(), Arc::new(Disk)).await;
    assert_eq!(store.wrong_pins().await.unwrap(), [caller, more.clone()]);
    store.put_wrong_pins(vec![], vec!["caller +4930123".into()]).await.unwrap();
    assert_eq!(store.wrong_pins().await.unwrap(), [more]);
}

/// The exchange looks when this changes.
#[tokio::test]
async fn who_may_call_from_the_menu_is_a_change_of_the_directory() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let before = store.directory_version().await.unwrap();
    store.set_menu_dials(anna.id, true).await.unwrap();
    let allowed = store.directory_version().await.unwrap();
    store.set_pin(anna.id, pin("482159")).await.unwrap();
    assert!(allowed > before);
    assert_eq!(store.directory_version().await.unwrap(), allowed, "a PIN is no business of the exchange's");
}

fn introduced() -> NewSound {
    let (codec, media_type) = ("opus".into(), "audio/ogg".into());
    NewSound { bytes: b"words, and the message".to_vec(), codec, media_type, duration_ms: 9_000, peaks: vec![1, 2] }
}

#[tokio::test]
async fn words_before_a_forwarded_message_are_the_recipients_alone() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 4)).await.unwrap();
    let to = vec![ben.id];
    let (note, sound) = (String::new(), Some(introduced()));
    let order = ForwardOrder { mailbox: anna.id, message: message_id(4), to, note, sound, key: key("f") };
    let ForwardOutcome::Done(done) = store.forward(order.clone(), at(50)).await.unwrap() else { panic!("not done") };
    let (_, id) = done.delivered[0].clone();
    let copy = store.message(ben.id, id).await.unwrap().found().unwrap();
    assert_eq!((copy.duration_ms, copy.media_type.as_str(), copy.peaks), (9_000, "audio/ogg", vec![1, 2]));
    let stored = store.sound(ben.id, id).await.unwrap().found().unwrap();
    assert_eq!(std::fs::read(&stored.path).unwrap(), b"words, and the message");
    let own = store.message(anna.id, message_id(4)).await.unwrap().found().unwrap();
    assert_ne!(own.duration_ms, 9_000, "the own one stays as it was");
    let files = || walk(&dir.path().join("blobs"));
    let before = files();
    // The same again delivers nothing, and leaves no file behind.
    assert_eq!(store.forward(order.clone(), at(60)).await.unwrap(), ForwardOutcome::Done(done));
    let lost = ForwardOrder { message: message_id(99), key: key("g"), ..order };
    assert_eq!(store.forward(lost, at(61)).await.unwrap(), ForwardOutcome::NotFound);
    assert_eq!(files(), before);
}

fn walk(folder: &std::path::Path) -> usize {
    let shards = std::fs::read_dir(folder).unwrap().filter_map(|shard| std::fs::read_dir(shard.unwrap().path()).ok());
    shards.flatten().count()
}

/// Whatever a crash leaves of the file, no message points to a sound that isn't there, and no file stays that nobody points to.
#[tokio::test]
async fn a_crash_leaves_no_forward_without_its_sound() {
    let mut operation = 0;
    loop {
        let files = ForgetfulFiles::new();
        let World { dir, store, anna, ben } = world(Arc::new(files.clone())).await;
        store.commit_recording(recording(&anna, 4)).await.unwrap();
        files.crash_at(files.operations() + operation);
        let (note, sound) = (String::new(), Some(introduced()));
        let order = ForwardOrder { mailbox: anna.id, message: message_id(4), to: vec![ben.id], note, sound, key: key("f") };
        let is_done = store.forward(order, at(50)).await.is_ok();
        let crashed = files.has_crashed();
        store.close().await;
        files.restart(Survival::Some(operation));
        let store = open(dir.path(), Arc::new(files.clone())).await;
        let (messages, there) = (store.messages(ben.id, None, 9).await.unwrap(), files.snapshot());
        assert_eq!(messages.len(), usize::from(is_done), "{operation}");
        for message in &messages {
            let sound = store.sound(ben.id, message.envelope.id).await.unwrap().found().unwrap();
            assert_eq!(there.get(&sound.path).map(Vec::as_slice), Some(&b"words, and the message"[..]), "{operation}");
        }
        assert_eq!(there.len(), messages.len(), "{operation}: {there:?}");
        if !crashed {
            assert!(operation > 3, "{operation}");
            return;
        }
        operation += 1;
    }
}

//! Which sounds are on the device.

use aftertone_client_store::Mailbox;
use aftertone_model::{Message, MessageState, Timestamp};

use crate::common::{message, page, put};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn fetch(mailbox: &Mailbox, message: &Message, bytes: usize, second: i64) {
    std::fs::write(mailbox.sound_path(message), vec![0; bytes]).unwrap();
    mailbox.sound_fetched(message, 1_000, at(second)).await.unwrap();
}

#[tokio::test]
async fn what_was_heard_longest_ago_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let messages: Vec<Message> = (1..=4).map(|number| message(number, MessageState::Heard)).collect();
    mailbox.apply(page(1, messages.iter().map(put).collect())).await.unwrap();
    let [one, two, three, four] = &messages[..] else { panic!("four messages") };
    fetch(&mailbox, one, 400, 1).await;
    fetch(&mailbox, two, 400, 2).await;
    mailbox.sound_used(one.envelope.id, at(3)).await.unwrap();
    let missing = |mailbox: &Mailbox| {
        let mailbox = mailbox.clone();
        async move { mailbox.missing_sounds(9).await.unwrap().into_iter().map(|m| m.envelope.id).collect::<Vec<_>>() }
    };
    assert_eq!(missing(&mailbox).await, [four.envelope.id, three.envelope.id], "the newest first");
    fetch(&mailbox, three, 400, 4).await;
    let there = |message: &Message| mailbox.sound_path(message).exists();
    assert_eq!([one, two, three].map(there), [true, false, true]);
    assert_eq!(mailbox.sound_bytes().await.unwrap(), 800);
    assert_eq!(missing(&mailbox).await, [four.envelope.id], "what was dropped is not fetched again by itself");
    fetch(&mailbox, four, 5_000, 5).await;
    assert_eq!(messages.iter().map(there).collect::<Vec<_>>(), [false, false, false, true], "never the one just fetched");
    fetch(&mailbox, two, 10, 6).await;
    assert_eq!(messages.iter().map(there).collect::<Vec<_>>(), [false, true, false, false]);
}

#[tokio::test]
async fn a_sound_goes_with_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let (gone, trash) = (message(1, MessageState::New), message(2, MessageState::Deleted));
    mailbox.apply(page(1, vec![put(&gone), put(&trash)])).await.unwrap();
    assert_eq!(mailbox.missing_sounds(9).await.unwrap(), std::slice::from_ref(&gone), "nothing for the trash");
    fetch(&mailbox, &gone, 100, 1).await;
    mailbox.drop_message(gone.envelope.id).await.unwrap();
    mailbox.drop_orphaned_sounds().await.unwrap();
    assert_eq!((mailbox.sound_path(&gone).exists(), mailbox.sound_bytes().await.unwrap()), (false, 0));
}

/// The server makes a message's sound small: offline it still plays, and it isn't fetched twice.
#[tokio::test]
async fn a_sound_that_is_here_stays_when_the_server_has_another_form_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    let recorded = message(1, MessageState::New);
    assert_eq!(recorded.media_type, "audio/wav");
    mailbox.apply(page(1, vec![put(&recorded)])).await.unwrap();
    fetch(&mailbox, &recorded, 100, 1).await;
    let small = Message { media_type: "audio/ogg".into(), ..recorded.clone() };
    mailbox.apply(page(2, vec![put(&small)])).await.unwrap();
    assert_eq!(mailbox.sound_path(&small), mailbox.sound_path(&recorded));
    assert!(mailbox.sound_path(&small).exists());
    assert_eq!(mailbox.missing_sounds(9).await.unwrap(), []);
    std::fs::remove_file(mailbox.sound_path(&small)).unwrap();
    assert_eq!(mailbox.sound_path(&small).extension().and_then(|kind| kind.to_str()), Some("ogg"));
}

//! What the mailbox's view models say of a mailbox.

use aftertone_model::{
    CallId, CallRecord, Caller, Direction, EndReason, Envelope, ForwardNote, Message, MessageAction, MessageId, MessageState,
    Reason, Standing, SubscriberId, Timestamp,
};
use aftertone_view::{Folder, FolderCounts, MailboxView, MessageView, Story, Window, undoing};

fn at(second: i64) -> Timestamp {
    Timestamp::constant(1_700_000_000 + second, 0)
}

fn message(n: u8, state: MessageState, number: &str, name: Option<&str>) -> Message {
    Message {
        envelope: Envelope {
            id: MessageId::from_random(n.into()),
            call: CallId::from_random(100 + u128::from(n)),
            mailbox: SubscriberId::from_random(1),
            caller: Caller { number: number.into(), name: name.map(Into::into) },
            received_at: at(n.into()),
            reason: Reason::NoAnswer,
            urgent: false,
            private: false,
            call_back: None,
            test: false,
        },
        duration_ms: 4200,
        state,
        peaks: vec![0, 255],
        media_type: "audio/wav".into(),
        forwarded: None,
        interrupted: false,
    }
}

fn mailbox() -> Vec<Message> {
    let mut forwarded = message(3, MessageState::Saved, "1003", Some("Warehouse"));
    let from = Caller { number: "1002".into(), name: Some("Grace Hopper".into()) };
    forwarded.forwarded = Some(ForwardNote { from, at: at(500), note: "Please call them".into() });
    vec![
        message(1, MessageState::New, "+4930901820", None),
        message(2, MessageState::Heard, "1002", Some("Grace Hopper")),
        forwarded,
        message(4, MessageState::Deleted, "1004", Some("Ärztehaus")),
        message(5, MessageState::New, "1002", Some("Grace Hopper")),
    ]
}

fn ids(view: &MailboxView) -> Vec<MessageId> {
    view.rows.iter().map(|row| row.id).collect()
}

fn expected(numbers: &[u8]) -> Vec<MessageId> {
    numbers.iter().map(|n| MessageId::from_random((*n).into())).collect()
}

#[test]
fn folders_hold_what_they_say_the_latest_first() {
    let check = |folder, expect: &[u8]| {
        let window = Window { folder, query: String::new(), offset: 0, limit: 50 };
        let view = MailboxView::of(&mailbox(), &window, true, |_| true);
        assert_eq!(ids(&view), expected(expect), "{folder:?}");
        assert_eq!(view.total as usize, expect.len());
        assert_eq!(view.counts, FolderCounts { new: 2, all: 4, saved: 1, trash: 1 });
    };
    check(Folder::New, &[5, 1]);
    check(Folder::All, &[5, 3, 2, 1]);
    check(Folder::Saved, &[3]);
    check(Folder::Trash, &[4]);
}

#[test]
fn a_window_is_a_part_and_knows_the_whole() {
    let window = Window { folder: Folder::All, query: String::new(), offset: 1, limit: 2 };
    let view = MailboxView::of(&mailbox(), &window, true, |id| id == MessageId::from_random(3));
    assert_eq!((ids(&view), view.total, view.offset), (expected(&[3, 2]), 4, 1));
    assert_eq!(view.rows.iter().map(|row| row.playable).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_search_finds_names_numbers_and_notes() {
    let check = |folder, query: &str, expect: &[u8]| {
        let window = Window { folder, query: query.into(), offset: 0, limit: 50 };
        assert_eq!(ids(&MailboxView::of(&mailbox(), &window, true, |_| true)), expected(expect), "{query:?}");
    };
    check(Folder::All, "grace", &[5, 3, 2]);
    check(Folder::All, "hop gra", &[5, 3, 2]);
    check(Folder::All, "+49 30 90", &[1]);
    check(Folder::All, "030", &[]);
    check(Folder::All, "030/901", &[1]);
    check(Folder::All, "please", &[3]);
    check(Folder::Trash, "ÄRZTE", &[4]);
    check(Folder::All, "nobody", &[]);
}

#[test]
fn the_story_is_in_order() {
    let messages = mailbox();
    let record = CallRecord {
        call: messages[2].envelope.call,
        owner: SubscriberId::from_random(1),
        direction: Direction::Incoming,
        party: messages[2].envelope.caller.clone(),
        started_at: at(3),
        answered_at: None,
        ended_at: at(30),
        end: EndReason::Diverted,
        diverted: Some(Reason::NoAnswer),
        message: Some(messages[2].envelope.id),
        figures: None,
    };
    let story = MessageView::new(&messages[2], Some(&record), true).story;
    assert_eq!(story.iter().map(|line| line.at).collect::<Vec<_>>(), [at(3), at(30), at(500)]);
    assert_eq!(story[1].what, Story::Recorded { duration_ms: 4200, urgent: false });

    let broken = Message { interrupted: true, ..messages[2].clone() };
    assert_eq!(MessageView::new(&broken, Some(&record), true).story[1].what, Story::Interrupted { duration_ms: 4200 });
    assert_eq!(MessageView::new(&messages[0], None, true).story.len(), 1);
}

#[test]
fn undoing_gives_back_what_was_there() {
    use MessageAction::{Delete, Expunge, Heard, New, Restore, Save};
    for before in [MessageState::New, MessageState::Heard, MessageState::Saved] {
        for deleted in [false, true] {
            let start = Standing::stored(before, deleted);
            for action in [New, Save, Delete, Restore] {
                if deleted && action != Restore {
                    continue; // the trash offers nothing else
                }
                let after = start.after(action).into_iter();
                let undone = after.map(|after| undoing(start.state(), action).into_iter().try_fold(after, Standing::after));
                assert_eq!(undone.collect::<Vec<_>>(), [Some(start)], "{start:?} {action:?}");
            }
        }
    }
    assert!(undoing(MessageState::Deleted, Expunge).is_empty());
    assert_eq!(undoing(MessageState::New, Heard), [New]);
}

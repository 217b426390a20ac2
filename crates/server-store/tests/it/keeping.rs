//! How much is kept of a mailbox and for how long, and what a legal hold keeps beyond that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aftertone_model::{Fullness, Keeping, Message, MessageAction, MessageId, MessageState, OwnKeeping, SubscriberId, Timestamp};
use aftertone_server_store::{
    Acted, Changes, Commits, Disk, Fate, FileLayer, ForwardOrder, Held, Lookup, MailboxKeeping, Rendition, Replaced, SqliteStore,
    Store,
};
use aftertone_sync::{ChangeBody, MailboxRoom};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::common::{World, at, key, message_id, recording, world};

const DAY: i64 = 24 * 3600;

fn own(quota_s: Option<u32>, trash_days: Option<u32>, heard_days: Option<u32>) -> OwnKeeping {
    OwnKeeping { quota_s, trash_days, heard_days }
}

/// The room that the feed told last, and at which change.
async fn told(store: &SqliteStore, mailbox: SubscriberId) -> Option<(u64, MailboxRoom)> {
    let Changes::Page(page) = store.changes(mailbox, None, 999).await.unwrap() else { panic!("a reset") };
    page.changes.iter().find_map(|change| match &change.body {
        ChangeBody::Room { room } => Some((change.n, *room)),
        ChangeBody::Message { .. }
        | ChangeBody::Expunged { .. }
        | ChangeBody::CallRecord { .. }
        | ChangeBody::Greeting { .. }
        | ChangeBody::GreetingRemoved { .. }
        | ChangeBody::Plan { .. }
        | ChangeBody::Unknown => None,
    })
}

async fn act(store: &SqliteStore, mailbox: SubscriberId, message: MessageId, action: MessageAction, second: i64) -> Acted {
    let name = format!("{message} {action:?} {second}");
    store.act(mailbox, message, action, &key(&name.replace(' ', "-")), at(second)).await.unwrap()
}

#[tokio::test]
async fn the_owner_is_told_once_at_each_step_as_the_mailbox_fills_and_empties() {
    let World { dir: _dir, store, anna, ben } = world(Arc::new(Disk)).await;
    store.put_own_keeping(anna.id, own(Some(20), None, None), at(0)).await.unwrap();
    let mut steps = BTreeMap::new();
    for number in 1..=21 {
        // Of a second each.
        store.commit_recording(recording(&anna, number)).await.unwrap();
        if let Some((n, room)) = told(&store, anna.id).await {
            steps.entry(n).or_insert((number, room.fullness));
        }
    }
    let steps: BTreeMap<_, _> = steps.into_values().map(|(number, fullness)| (fullness, number)).collect();
    let expected = [(Fullness::Filling, 15), (Fullness::NearlyFull, 18), (Fullness::Full, 20)];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), expected, "at three quarters, at nine tenths, and full");
    let full = MailboxRoom { used_s: 21, quota_s: 20, fullness: Fullness::Full };
    assert_eq!(store.room(anna.id).await.unwrap(), full, "what was being recorded is kept beyond the quota");

    // The trash doesn't count, so that deleting helps at once; what is restored counts again.
    let fullness = async || told(&store, anna.id).await.unwrap().1.fullness;
    for number in 1..=2 {
        act(&store, anna.id, message_id(number), MessageAction::Delete, 100).await;
    }
    assert_eq!(fullness().await, Fullness::NearlyFull);
    act(&store, anna.id, message_id(1), MessageAction::Restore, 101).await;
    assert_eq!(fullness().await, Fullness::Full);
    for number in 1..=21 {
        act(&store, anna.id, message_id(number), MessageAction::Expunge, 102).await;
    }
    assert_eq!(fullness().await, Fullness::Roomy);

    // A forward arrives whatever it does to the recipient's room, and is counted there.
    store.put_own_keeping(anna.id, own(Some(1), None, None), at(103)).await.unwrap();
    store.commit_recording(recording(&ben, 50)).await.unwrap();
    let (to, note, sound) = (vec![anna.id], String::new(), None);
    let order = ForwardOrder { mailbox: ben.id, message: message_id(50), to, note, key: key("f"), sound };
    store.forward(order, at(104)).await.unwrap();
    assert_eq!(fullness().await, Fullness::Full);
    assert_eq!(told(&store, ben.id).await, None, "Ben has no limit, and hears nothing of it");
}

#[tokio::test]
async fn what_holds_for_all_gives_way_to_what_was_said_of_one() {
    let World { dir: _dir, store, anna, ben } = world(Arc::new(Disk)).await;
    for number in [1, 2, 3] {
        store.commit_recording(recording(&anna, number)).await.unwrap();
        store.commit_recording(recording(&ben, 10 + number)).await.unwrap();
    }
    store.put_own_keeping(ben.id, own(Some(0), None, Some(7)), at(20)).await.unwrap();
    let account = Keeping { quota_s: 3, trash_days: 9, heard_days: 0 };
    assert_eq!(store.put_account_keeping(account).await.unwrap(), [anna.id], "fuller by that");
    assert_eq!(store.put_account_keeping(account).await.unwrap(), [], "nothing new");
    assert_eq!(told(&store, anna.id).await.unwrap().1, MailboxRoom { used_s: 3, quota_s: 3, fullness: Fullness::Full });
    assert_eq!(told(&store, ben.id).await, None);
    assert_eq!(store.keeping(ben.id).await.unwrap(), Keeping { quota_s: 0, trash_days: 9, heard_days: 7 });
    let audit = store.audit(0).await.unwrap();
    assert_eq!((audit.len(), audit[0].mailbox), (1, ben.id));
    assert_eq!(audit[0].what, "quota_s 0, trash_days the account's, heard_days 7");
    assert_eq!(store.audit(audit[0].id).await.unwrap(), []);
}

/// A message whose sound really lies there.
async fn with_sound(world: &World, number: u128) -> (MessageId, std::path::PathBuf) {
    let recording = recording(&world.anna, number);
    let path = world.store.blobs_dir().join(&recording.sound.file);
    Disk.create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"sound").unwrap();
    world.store.commit_recording(recording).await.unwrap();
    (message_id(number), path)
}

#[tokio::test]
async fn a_held_message_is_gone_for_its_owner_and_kept_until_the_hold_is_lifted() {
    let world = world(Arc::new(Disk)).await;
    let (store, anna) = (&world.store, world.anna.id);
    let (first, first_sound) = with_sound(&world, 1).await;
    let (second, second_sound) = with_sound(&world, 2).await;
    assert!(store.hold(anna, Held::Message(first), true, at(5)).await.unwrap());
    assert!(!store.hold(anna, Held::Message(first), true, at(6)).await.unwrap(), "it is held already");
    for message in [first, second] {
        assert_eq!(act(store, anna, message, MessageAction::Expunge, 10).await, Acted::Expunged, "as without a hold");
        assert_eq!(store.message(anna, message).await.unwrap(), Lookup::Gone);
        assert_eq!(store.sound(anna, message).await.unwrap(), Lookup::Gone);
        assert_eq!(store.fate(message).await.unwrap(), Fate::Expunged);
    }
    assert_eq!(act(store, anna, first, MessageAction::Restore, 11).await, Acted::Gone);
    assert!(first_sound.exists() && !second_sound.exists());
    let withheld = store.withheld(anna).await.unwrap();
    assert_eq!(withheld.iter().map(|one| one.message.envelope.id).collect::<Vec<_>>(), [first]);
    assert_eq!((withheld[0].expunged_at, store.blobs_dir().join(&withheld[0].file)), (at(10), first_sound.clone()));

    // A hold on everything keeps what one on the message kept before.
    assert!(store.hold(anna, Held::Mailbox, true, at(12)).await.unwrap());
    assert!(store.hold(anna, Held::Message(first), false, at(13)).await.unwrap());
    assert!(first_sound.exists());
    let (third, third_sound) = with_sound(&world, 3).await;
    act(store, anna, third, MessageAction::Delete, 14).await;
    let done = store.retain(at(14 + 30 * DAY)).await.unwrap();
    assert_eq!((done.expunged, third_sound.exists()), (1, true), "what retention takes is kept, too");
    assert_eq!(store.withheld(anna).await.unwrap().len(), 2);
    assert!(store.hold(anna, Held::Mailbox, false, at(15)).await.unwrap());
    assert!(!store.hold(anna, Held::Mailbox, false, at(15)).await.unwrap(), "there is none any more");
    assert!(!first_sound.exists() && !third_sound.exists(), "nothing keeps them any longer");
    assert_eq!(store.withheld(anna).await.unwrap(), []);
    let audit: Vec<_> = store.audit(0).await.unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(
        audit,
        [
            format!("legal hold placed on the message {first}"),
            "legal hold placed on the mailbox".into(),
            format!("legal hold lifted from the message {first}; 0 expunged messages are gone by that"),
            "legal hold lifted from the mailbox; 2 expunged messages are gone by that".into(),
        ]
    );
}

#[tokio::test]
async fn the_sound_of_a_held_message_stays_as_it_was_recorded() {
    let world = world(Arc::new(Disk)).await;
    let (message, sound) = with_sound(&world, 1).await;
    let content = world.store.sound(world.anna.id, message).await.unwrap().found().unwrap().content;
    let small =
        || Rendition { bytes: b"small".to_vec(), codec: "opus".into(), media_type: "audio/ogg".into(), loudness_clufs: None };
    world.store.hold(world.anna.id, Held::Mailbox, true, at(2)).await.unwrap();
    assert_eq!(world.store.replace_sound(message, &content, small()).await.unwrap(), Replaced::Gone);
    assert_eq!(std::fs::read(&sound).unwrap(), b"sound");
    world.store.hold(world.anna.id, Held::Mailbox, false, at(3)).await.unwrap();
    assert_eq!(world.store.replace_sound(message, &content, small()).await.unwrap(), Replaced::Done(vec![world.anna.id]));
}

/// What happens to the mailboxes of two people.
#[derive(Debug, Clone)]
enum Step {
    Arrives { owner: usize },
    Act { which: Index, action: MessageAction },
    Hold { owner: usize, which: Option<Index>, on: bool },
    Keep { owner: usize, trash_days: Option<u32>, heard_days: Option<u32> },
    Retain,
    Wait { hours: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop::sample::select(vec![
        MessageAction::Heard,
        MessageAction::New,
        MessageAction::Save,
        MessageAction::Delete,
        MessageAction::Restore,
        MessageAction::Expunge,
    ]);
    let days = || prop::option::of(0..4_u32);
    prop_oneof![
        3 => (0..2_usize).prop_map(|owner| Step::Arrives { owner }),
        6 => (any::<Index>(), action).prop_map(|(which, action)| Step::Act { which, action }),
        1 => (0..2_usize, prop::option::of(any::<Index>()), any::<bool>()).prop_map(|(owner, which, on)| Step::Hold { owner, which, on }),
        2 => (0..2_usize, days(), days()).prop_map(|(owner, trash_days, heard_days)| Step::Keep { owner, trash_days, heard_days }),
        3 => Just(Step::Retain),
        // To the hour on which a time is over, too.
        4 => (1..5_i64).prop_map(|halves| Step::Wait { hours: 12 * halves }),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    owner: usize,
    /// What was done to it.
    history: Vec<MessageAction>,
    /// When that last changed how it stands.
    since: i64,
}

impl Known {
    /// What lies below a deletion, and whether it is deleted: the table of conflicts, read off the whole history and not step
    /// by step as the product does it.
    fn standing(&self) -> (MessageState, bool) {
        let moved = [MessageAction::Delete, MessageAction::Restore];
        let deleted = self.history.iter().rev().find(|action| moved.contains(action)) == Some(&MessageAction::Delete);
        // The later one; and listening takes nothing out of the saved ones.
        let since_new = self.history.rsplit(|action| *action == MessageAction::New).next().unwrap_or_default();
        let kept = match () {
            () if since_new.contains(&MessageAction::Save) => MessageState::Saved,
            () if since_new.contains(&MessageAction::Heard) => MessageState::Heard,
            () => MessageState::New,
        };
        (kept, deleted)
    }

    fn state(&self) -> MessageState {
        let (kept, deleted) = self.standing();
        if deleted { MessageState::Deleted } else { kept }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Is(MessageState),
    Expunged,
    Gone,
}

impl From<Acted> for Outcome {
    fn from(acted: Acted) -> Self {
        match acted {
            Acted::Message(message) => Self::Is(message.state),
            Acted::Expunged => Self::Expunged,
            Acted::Gone => Self::Gone,
            Acted::NotFound | Acted::KeyReused => panic!("{acted:?}"),
        }
    }
}

/// What the documentation says, and nothing else: written without looking at how the store does it.
#[derive(Debug, Default)]
struct Reference {
    there: BTreeMap<MessageId, Known>,
    gone: BTreeMap<MessageId, usize>,
    withheld: BTreeMap<MessageId, usize>,
    mailboxes_held: BTreeSet<usize>,
    messages_held: BTreeSet<(usize, MessageId)>,
    keeping: [OwnKeeping; 2],
    now: i64,
}

impl Reference {
    fn is_held(&self, owner: usize, message: MessageId) -> bool {
        self.mailboxes_held.contains(&owner) || self.messages_held.contains(&(owner, message))
    }

    fn expunge(&mut self, message: MessageId) {
        let Some(known) = self.there.remove(&message) else { return };
        self.gone.insert(message, known.owner);
        if self.is_held(known.owner, message) {
            self.withheld.insert(message, known.owner);
        }
    }

    /// What the owner is told of it: its state, or that it is expunged by this, or that it had been.
    fn act(&mut self, message: MessageId, action: MessageAction) -> Outcome {
        let now = self.now;
        let Some(known) = self.there.get_mut(&message) else { return Outcome::Gone };
        if action == MessageAction::Expunge {
            self.expunge(message);
            return Outcome::Expunged;
        }
        let before = known.standing();
        known.history.push(action);
        if known.standing() != before {
            known.since = now;
        }
        Outcome::Is(known.state())
    }

    fn hold(&mut self, owner: usize, message: Option<MessageId>, on: bool) {
        match (message, on) {
            (None, true) => _ = self.mailboxes_held.insert(owner),
            (None, false) => _ = self.mailboxes_held.remove(&owner),
            (Some(message), true) => _ = self.messages_held.insert((owner, message)),
            (Some(message), false) => _ = self.messages_held.remove(&(owner, message)),
        }
        let kept: Vec<_> = self.withheld.iter().map(|(id, owner)| (*id, *owner)).collect();
        self.withheld = kept.into_iter().filter(|(id, owner)| self.is_held(*owner, *id)).collect();
    }

    fn retain(&mut self) -> (usize, usize) {
        let over = |known: &Known, days: Option<u32>, default: u32| {
            let days = days.unwrap_or(default);
            days > 0 && self.now - known.since >= i64::from(days) * DAY
        };
        let expunged: Vec<_> = self
            .there
            .iter()
            .filter(|(_, known)| known.state() == MessageState::Deleted && over(known, self.keeping[known.owner].trash_days, 30))
            .map(|(id, _)| *id)
            .collect();
        let trashed: Vec<_> = self
            .there
            .iter()
            .filter(|(_, known)| known.state() == MessageState::Heard && over(known, self.keeping[known.owner].heard_days, 0))
            .map(|(id, _)| *id)
            .collect();
        expunged.iter().for_each(|id| self.expunge(*id));
        trashed.iter().for_each(|id| _ = self.act(*id, MessageAction::Delete));
        (expunged.len(), trashed.len())
    }
}

struct Run {
    world: World,
    reference: Reference,
    arrived: u128,
    acts: u32,
}

impl Run {
    fn owner(&self, owner: usize) -> SubscriberId {
        [self.world.anna.id, self.world.ben.id][owner]
    }

    /// Any message that ever was, and whose.
    fn any(&self, which: Index) -> Option<(MessageId, usize)> {
        let here = self.reference.there.iter().map(|(id, known)| (*id, known.owner));
        let all: Vec<_> = here.chain(self.reference.gone.iter().map(|(id, owner)| (*id, *owner))).collect();
        (!all.is_empty()).then(|| *which.get(&all))
    }

    async fn step(&mut self, step: &Step) {
        let now = at(self.reference.now);
        match step {
            Step::Arrives { owner } => {
                self.arrived += 1;
                let person = if *owner == 0 { &self.world.anna } else { &self.world.ben };
                let mut recording = recording(person, self.arrived);
                recording.envelope.received_at = now;
                self.world.store.commit_recording(recording).await.unwrap();
                let known = Known { owner: *owner, history: Vec::new(), since: self.reference.now };
                self.reference.there.insert(message_id(self.arrived), known);
            }
            Step::Act { which, action } => {
                let Some((message, owner)) = self.any(*which) else { return };
                self.acts += 1;
                let key = key(&format!("k{}", self.acts));
                let acted = self.world.store.act(self.owner(owner), message, *action, &key, now).await.unwrap();
                assert_eq!(Outcome::from(acted), self.reference.act(message, *action), "{action:?} of {message}");
            }
            Step::Hold { owner, which, on } => {
                let message = which.and_then(|which| self.any(which)).filter(|(_, of)| of == owner).map(|(id, _)| id);
                let held = message.map_or(Held::Mailbox, Held::Message);
                self.world.store.hold(self.owner(*owner), held, *on, now).await.unwrap();
                self.reference.hold(*owner, message, *on);
            }
            Step::Keep { owner, trash_days, heard_days } => {
                let own = own(None, *trash_days, *heard_days);
                self.world.store.put_own_keeping(self.owner(*owner), own, now).await.unwrap();
                self.reference.keeping[*owner] = own;
            }
            Step::Retain => {
                let done = self.world.store.retain(now).await.unwrap();
                assert_eq!((done.expunged, done.trashed), self.reference.retain());
            }
            Step::Wait { hours } => self.reference.now += hours * 3600,
        }
    }

    async fn check(&self, after: &Step) {
        let store = &self.world.store;
        for owner in [0, 1] {
            let mailbox = self.owner(owner);
            let held = store.messages(mailbox, None, 999).await.unwrap();
            let state = |message: &Message| (message.envelope.id, message.state);
            let held: BTreeMap<_, _> = held.iter().map(state).collect();
            let of_owner = self.reference.there.iter().filter(|(_, known)| known.owner == owner);
            let expected: BTreeMap<_, _> = of_owner.map(|(id, known)| (*id, known.state())).collect();
            assert_eq!(held, expected, "the mailbox of {owner} after {after:?}");
            let withheld = store.withheld(mailbox).await.unwrap();
            let withheld: BTreeSet<_> = withheld.iter().map(|one| one.message.envelope.id).collect();
            let expected: BTreeSet<_> =
                self.reference.withheld.iter().filter(|(_, of)| **of == owner).map(|(id, _)| *id).collect();
            assert_eq!(withheld, expected, "what is withheld of {owner} after {after:?}");
        }
        for message in self.reference.gone.keys() {
            assert_eq!(store.fate(*message).await.unwrap(), Fate::Expunged, "{message} after {after:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn retention_takes_what_the_reference_says_and_nothing_else(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world(Arc::new(Disk)).await;
            let mut run = Run { world, reference: Reference { now: 1, ..Reference::default() }, arrived: 0, acts: 0 };
            for step in &steps {
                run.step(step).await;
                run.check(step).await;
            }
        });
    }
}

#[tokio::test]
async fn more_than_fits_into_one_go_is_done_in_several() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    for number in 1..=501 {
        store.commit_recording(recording(&anna, number)).await.unwrap();
        act(&store, anna.id, message_id(number), MessageAction::Delete, 600).await;
    }
    let late: Timestamp = at(600 + 30 * DAY);
    let first = store.retain(late).await.unwrap();
    assert_eq!((first.expunged, first.more, first.mailboxes.len()), (500, true, 1));
    let second = store.retain(late).await.unwrap();
    assert_eq!((second.expunged, second.more), (1, false));
    assert!(store.messages(anna.id, None, 9).await.unwrap().is_empty());
}

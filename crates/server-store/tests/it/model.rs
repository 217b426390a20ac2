//! The promise under whatever people do: random histories of calls, deeds on messages, forwards, renditions and clearing
//! up, cut off by power failures at random operations of the disk; after each the server starts again and is compared with a
//! model that knows what was promised. Everything is drawn from a seed, which a failure names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftertone_model::{MessageAction, MessageId, Standing, Subscriber};
use aftertone_server_store::{
    Acted, Changes, Finished, ForwardOrder, ForwardOutcome, NewRecording, Rendition, SoundFormat, Spool, SpoolHandle,
    SqliteStore, Store,
    testing::{ForgetfulFiles, Survival},
};
use aftertone_sync::{ChangeBody, IdempotencyKey};

use crate::{
    common::{World, at, envelope, message_id, open, record, world},
    crash::Powered,
    spool::{HEADER, SECOND, finished, header, piece, start_syncing},
};

/// Power failures in one history.
const FAILURES: usize = 20;
/// Seeds of one test; there are four, so that they run beside each other.
const SEEDS: u64 = 13;

#[tokio::test]
async fn no_history_loses_doubles_or_confuses_a_message_1() {
    histories(0).await;
}

#[tokio::test]
async fn no_history_loses_doubles_or_confuses_a_message_2() {
    histories(1).await;
}

#[tokio::test]
async fn no_history_loses_doubles_or_confuses_a_message_3() {
    histories(2).await;
}

#[tokio::test]
async fn no_history_loses_doubles_or_confuses_a_message_4() {
    histories(3).await;
}

async fn histories(part: u64) {
    let mut told = Told::default();
    for seed in part * SEEDS..(part + 1) * SEEDS {
        let mut history = History::begin(seed).await;
        for failure in 0..FAILURES {
            history.live(failure).await;
            history.power_fails(failure).await;
        }
        told.add(&history.told);
    }
    assert_eq!(told.failures, usize::try_from(SEEDS).unwrap() * FAILURES, "(seed, point) pairs");
    // A test that never met what it is about would show nothing.
    let Told { messages, broken_off, expunged, forwards, renditions, in_doubt, .. } = told;
    assert!(messages > 30 && broken_off > 20 && expunged > 20 && forwards > 20 && renditions > 20 && in_doubt > 20, "{told:?}");
}

/// Files by their paths.
type Disk = BTreeMap<PathBuf, Vec<u8>>;

/// What happened, over all.
#[derive(Debug, Default)]
struct Told {
    failures: usize,
    messages: usize,
    broken_off: usize,
    expunged: usize,
    forwards: usize,
    renditions: usize,
    /// Writes whose answer the power took.
    in_doubt: usize,
}

impl Told {
    fn add(&mut self, other: &Self) {
        self.failures += other.failures;
        self.messages += other.messages;
        self.broken_off += other.broken_off;
        self.expunged += other.expunged;
        self.forwards += other.forwards;
        self.renditions += other.renditions;
        self.in_doubt += other.in_doubt;
    }
}

struct History {
    seed: u64,
    dice: Dice,
    files: ForgetfulFiles,
    world: World,
    /// None while the power is off.
    spool: Option<Spool>,
    calls: BTreeMap<u128, Call>,
    messages: BTreeMap<MessageId, Known>,
    expunged: BTreeSet<MessageId>,
    /// Calls whose beep was heard and that are over: in the log, once.
    logged: Vec<(usize, u128)>,
    /// Writes without an answer: a device repeats them under their key.
    outbox: Vec<Write>,
    next: u128,
    keys: u64,
    told: Told,
}

/// A call that leaves a message.
struct Call {
    owner: usize,
    /// Whose voice it is: what two callers say may be the same.
    voice: u128,
    pieces: usize,
    handle: Option<SpoolHandle>,
    /// It was being finished when the power failed.
    ending: bool,
}

impl Call {
    fn sound(&self) -> Vec<u8> {
        (0..self.pieces).flat_map(|index| piece(self.voice, index)).collect()
    }
}

/// A message as it was promised.
#[derive(Debug, Clone)]
struct Known {
    owner: usize,
    sound: Vec<u8>,
    standing: Standing,
}

#[derive(Debug, Clone)]
enum Write {
    Act { owner: usize, message: MessageId, action: MessageAction, key: IdempotencyKey },
    Forward { owner: usize, message: MessageId, to: Vec<usize>, key: IdempotencyKey },
}

impl History {
    async fn begin(seed: u64) -> Self {
        let files = ForgetfulFiles::new();
        let world = world(Arc::new(files.clone())).await;
        let spool = Some(power_on(&files, &world).unwrap());
        let (calls, messages, expunged) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (logged, outbox, told) = (Vec::new(), Vec::new(), Told::default());
        Self { seed, dice: Dice(seed), files, world, spool, calls, messages, expunged, logged, outbox, next: 1, keys: 0, told }
    }

    fn when(&self, failure: usize) -> String {
        format!("seed {}, failure {failure}", self.seed)
    }

    fn person(&self, owner: usize) -> &Subscriber {
        if owner == 0 { &self.world.anna } else { &self.world.ben }
    }

    /// Some deeds, until the power fails in the middle of one, or after the last.
    async fn live(&mut self, failure: usize) {
        let point = self.files.operations() + self.dice.below(120);
        self.files.crash_at(point);
        for _ in 0..25 {
            match self.dice.below(100) {
                0..14 => self.call_begins().await,
                14..36 => self.caller_speaks().await,
                36..52 => self.caller_hangs_up().await,
                52..56 => self.handle_is_lost(),
                56..74 => self.acts().await,
                74..82 => self.forwards().await,
                82..92 => self.renders(failure).await,
                92..96 => self.tidies().await,
                _ => self.restarts(failure).await,
            }
            if self.files.has_crashed() {
                return;
            }
        }
        self.files.crash_at(self.files.operations());
    }

    async fn call_begins(&mut self) {
        let number = self.next;
        self.next += 1;
        let (owner, voice) = (self.dice.one_of(2), 1 + u128::from(self.dice.below(4)));
        let envelope = envelope(self.person(owner), number);
        let recording = NewRecording {
            record: record(&envelope),
            envelope,
            format: SoundFormat { media_type: "audio/wav".into(), codec: "PCMA".into() },
            language: self.person(owner).language,
            jobs: Vec::new(),
        };
        let Ok(handle) = self.spool.as_ref().unwrap().begin(recording).await else { return };
        let _ = handle.append(header(0));
        self.calls.insert(number, Call { owner, voice, pieces: 0, handle: Some(handle), ending: false });
    }

    /// One of those that speak.
    fn a_call(&mut self) -> Option<u128> {
        let running: BTreeMap<u128, ()> =
            self.calls.iter().filter(|(_, call)| call.handle.is_some()).map(|(number, _)| (*number, ())).collect();
        self.dice.key_of(&running)
    }

    async fn caller_speaks(&mut self) {
        let Some(number) = self.a_call() else { return };
        let call = self.calls.get_mut(&number).unwrap();
        for _ in 0..2 {
            let _ = call.handle.as_ref().unwrap().append(piece(call.voice, call.pieces));
            call.pieces += 1;
        }
        // The spool syncs every millisecond here: sometimes it gets to it.
        tokio::time::sleep(Duration::from_millis(self.dice.below(3))).await;
    }

    async fn caller_hangs_up(&mut self) {
        let Some(number) = self.a_call() else { return };
        let call = self.calls.get_mut(&number).unwrap();
        let (handle, sound, owner) = (call.handle.take().unwrap(), call.sound(), call.owner);
        let _ = handle.patch(0, header(sound.len()));
        let mut end = finished(&self.world, number, sound.len());
        end.record = record(&envelope(self.person(owner), number));
        match handle.finish(end).await {
            Ok(Finished::Message(message)) => {
                assert_eq!((message.envelope.id, message.envelope.mailbox), (message_id(number), self.person(owner).id));
                self.told.messages += 1;
                self.logged.push((owner, number));
                self.calls.remove(&number);
                self.messages.insert(message_id(number), Known { owner, sound, standing: Standing::NEW });
            }
            Ok(Finished::TooShort) => {
                assert!(sound.len() < SECOND, "seed {}", self.seed);
                self.logged.push((owner, number));
                self.calls.remove(&number);
            }
            Ok(Finished::Expunged) => panic!("seed {}: nobody expunged {number}", self.seed),
            Err(_) => {
                assert!(self.files.has_crashed(), "seed {}", self.seed);
                self.calls.get_mut(&number).unwrap().ending = true;
            }
        }
    }

    /// What a worker that panics does. The message comes with the next start at the latest.
    fn handle_is_lost(&mut self) {
        let Some(number) = self.a_call() else { return };
        let call = self.calls.get_mut(&number).unwrap();
        drop(call.handle.take());
        call.ending = true;
        self.files.crash_at(self.files.operations() + self.dice.below(8));
    }

    async fn acts(&mut self) {
        const ACTIONS: [MessageAction; 7] = [
            MessageAction::Heard,
            MessageAction::New,
            MessageAction::Save,
            MessageAction::Delete,
            MessageAction::Restore,
            MessageAction::Expunge,
            MessageAction::Expunge,
        ];
        let Some(message) = self.dice.key_of(&self.messages) else { return };
        let (action, key) = (ACTIONS[self.dice.one_of(ACTIONS.len())], self.key());
        let write = Write::Act { owner: self.messages[&message].owner, message, action, key };
        self.write(write).await;
    }

    async fn forwards(&mut self) {
        let Some(message) = self.dice.key_of(&self.messages) else { return };
        let to = if self.dice.below(3) == 0 { vec![0, 1] } else { vec![self.dice.one_of(2)] };
        let write = Write::Forward { owner: self.messages[&message].owner, message, to, key: self.key() };
        self.write(write).await;
    }

    fn key(&mut self) -> IdempotencyKey {
        self.keys += 1;
        format!("key-{}", self.keys).parse().unwrap()
    }

    /// As a device does: a write without an answer waits, and those of the same message behind it.
    async fn write(&mut self, write: Write) {
        let waits = |waiting: &Write| waiting.message() == write.message();
        if self.outbox.iter().any(waits) || !self.send(&write).await {
            self.told.in_doubt += 1;
            self.outbox.push(write);
        }
    }

    /// Whether there was an answer. The power may fail before the write, and between the write and its answer.
    async fn send(&mut self, write: &Write) -> bool {
        if self.files.tick().is_err() {
            return false;
        }
        let answered = match write {
            Write::Act { owner, message, action, key } => {
                let acted = self.world.store.act(self.person(*owner).id, *message, *action, key, at(9)).await;
                if self.files.tick().is_err() {
                    return false;
                }
                acted.map(|acted| self.acted(*message, *action, acted))
            }
            Write::Forward { owner, message, to, key } => {
                let order = ForwardOrder {
                    mailbox: self.person(*owner).id,
                    message: *message,
                    to: to.iter().map(|to| self.person(*to).id).collect(),
                    note: "for you".into(),
                    sound: None,
                    key: key.clone(),
                };
                let outcome = self.world.store.forward(order, at(9)).await;
                if self.files.tick().is_err() {
                    return false;
                }
                outcome.map(|outcome| self.forwarded(*message, to, outcome))
            }
        };
        answered.unwrap_or_else(|error| panic!("seed {}: {write:?}: {error:?}", self.seed));
        true
    }

    fn acted(&mut self, message: MessageId, action: MessageAction, acted: Acted) {
        let seed = self.seed;
        let known = self.messages.get_mut(&message).unwrap_or_else(|| panic!("seed {seed}: {message} {action:?} {acted:?}"));
        match (known.standing.after(action), acted) {
            (Some(standing), Acted::Message(message)) => {
                assert_eq!(message.state, standing.state(), "seed {seed}: {action:?}");
                known.standing = standing;
            }
            (None, Acted::Expunged) => {
                self.messages.remove(&message);
                self.expunged.insert(message);
                self.told.expunged += 1;
            }
            (expected, acted) => panic!("seed {seed}: {message}: {expected:?} was expected of {action:?}, not {acted:?}"),
        }
    }

    fn forwarded(&mut self, message: MessageId, to: &[usize], outcome: ForwardOutcome) {
        let ForwardOutcome::Done(done) = outcome else { panic!("seed {}: {outcome:?}", self.seed) };
        assert_eq!(done.delivered.len(), to.len(), "seed {}", self.seed);
        for (caller, id) in done.delivered {
            let owner = usize::from(caller.number != self.world.anna.extension.as_str());
            let copy = Known { owner, standing: Standing::NEW, ..self.messages[&message].clone() };
            assert!(self.messages.insert(id, copy).is_none(), "seed {}: {id} is there twice", self.seed);
            self.told.forwards += 1;
        }
    }

    /// The sound gets another form, as by the job that makes it small.
    async fn renders(&mut self, failure: usize) {
        let Some(message) = self.dice.key_of(&self.messages) else { return };
        let store = Arc::clone(&self.world.store);
        let Ok(Some(sound)) = store.sound_of(message).await else { panic!("{}: no sound", self.when(failure)) };
        if sound.media_type == "audio/ogg" || self.files.tick().is_err() {
            return;
        }
        let bytes = render(&self.messages[&message].sound);
        let (codec, media_type) = ("opus".to_owned(), "audio/ogg".to_owned());
        let rendition = Rendition { bytes, codec, media_type, loudness_clufs: Some(-2_300) };
        if store.replace_sound(message, &sound.content, rendition).await.is_ok() {
            self.told.renditions += 1;
        }
    }

    async fn tidies(&mut self) {
        if self.files.tick().is_ok() {
            // Keys are kept: a device's write may still wait. What fails is tried again by the next one.
            let _ = self.world.store.tidy(at(10), at(0)).await;
        }
    }

    /// A stop and a start as an administrator does them. Recordings that run are broken off.
    async fn restarts(&mut self, failure: usize) {
        self.stop().await;
        if self.files.has_crashed() {
            // Too late to stop in peace: the start after the failure sees to it.
            return;
        }
        self.files.crash_at(u64::MAX);
        self.start(None, failure).await;
        self.files.crash_at(self.files.operations() + self.dice.below(40));
    }

    async fn stop(&mut self) {
        for call in self.calls.values_mut() {
            drop(call.handle.take());
        }
        if let Some(spool) = self.spool.take() {
            spool.close().await;
        }
    }

    async fn power_fails(&mut self, failure: usize) {
        self.told.failures += 1;
        self.stop().await;
        if !self.files.has_crashed() {
            // The stop met no operation at all: the disk had everything.
            let _ = self.files.tick();
        }
        // What the disk has for sure.
        let durable = self.files.durable();
        let survival = match self.dice.below(4) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            _ => Survival::Some(self.dice.next()),
        };
        self.files.restart(survival);
        if self.dice.below(3) == 0 {
            // It fails again while the server starts.
            self.files.crash_at(self.dice.below(25));
            self.world.store.close().await;
            if let Ok(store) = SqliteStore::open(self.world.dir.path(), Arc::new(self.files.clone())).await {
                self.world.store = Arc::new(store);
                if let Ok(spool) = power_on(&self.files, &self.world) {
                    let _ = spool.recover().await;
                    spool.close().await;
                }
            }
            self.files.restart(Survival::Some(self.dice.next()));
        }
        self.start(Some(&durable), failure).await;
    }

    /// The server starts, devices repeat what had no answer, and everything is compared.
    async fn start(&mut self, durable: Option<&Disk>, failure: usize) {
        let when = self.when(failure);
        self.world.store.close().await;
        self.world.store = open(self.world.dir.path(), Arc::new(self.files.clone())).await;
        let spool = power_on(&self.files, &self.world).unwrap();
        assert_eq!(spool.recover().await.unwrap().failed, [], "{when}");
        assert_eq!(spool.recover().await.unwrap(), aftertone_server_store::Recovered::default(), "{when}: once is enough");
        self.spool = Some(spool);
        self.look_at_calls(durable, &when).await;
        for write in std::mem::take(&mut self.outbox) {
            let is_gone = !self.messages.contains_key(&write.message());
            if is_gone && self.expunged.contains(&write.message()) {
                // Its message was expunged by one before it in the outbox: the answer is "gone".
                continue;
            }
            assert!(self.send(&write).await, "{when}: the power holds");
        }
        self.compare(&when).await;
    }

    /// What became of the calls that ran. `durable`: what the disk had for sure; `None` where the server was stopped in
    /// peace, which loses nothing.
    async fn look_at_calls(&mut self, durable: Option<&Disk>, when: &str) {
        for (number, call) in std::mem::take(&mut self.calls) {
            let (id, owner) = (message_id(number), call.owner);
            self.logged.push((owner, number));
            let said = call.sound();
            let file = format!("{id}.wav");
            let of_it = |path: &Path| path.file_name() == Some(file.as_ref());
            let kept = durable.map_or(Some(said.len()), |disk| {
                disk.iter().filter(|(path, _)| of_it(path)).map(|(_, bytes)| bytes.len().saturating_sub(HEADER)).max()
            });
            let kept = kept.unwrap_or(0).min(said.len());
            let found = self.world.store.message(self.person(owner).id, id).await.unwrap().found();
            let Some(found) = found else {
                assert!(kept < SECOND, "{when}: {kept} bytes of message {number} were durable, and it is lost");
                continue;
            };
            assert!(found.interrupted || call.ending, "{when}: the end of message {number} was never seen");
            self.told.broken_off += usize::from(found.interrupted);
            let sound = self.sound(owner, id).await;
            assert!(sound.len() >= kept.max(SECOND) && sound.len() <= said.len(), "{when}: {} bytes of {number}", sound.len());
            assert_eq!(sound[..kept], said[..kept], "{when}: what was durable of message {number}");
            self.messages.insert(id, Known { owner, sound, standing: Standing::NEW });
        }
    }

    async fn sound(&self, owner: usize, id: MessageId) -> Vec<u8> {
        let stored = self.world.store.sound(self.person(owner).id, id).await.unwrap().found().unwrap();
        let disk = self.files.snapshot();
        let bytes = disk.get(&stored.path).unwrap_or_else(|| panic!("seed {}: the sound of {id} is gone", self.seed));
        assert_eq!(bytes.len() as u64, stored.bytes, "seed {}: {id}", self.seed);
        if stored.media_type == "audio/ogg" { unrender(bytes) } else { bytes[HEADER..].to_vec() }
    }

    async fn compare(&mut self, when: &str) {
        let mut files = BTreeSet::new();
        for owner in [0, 1] {
            let mailbox = self.person(owner).id;
            let held = self.world.store.messages(mailbox, None, 9_999).await.unwrap();
            let (ids, expected): (BTreeSet<_>, BTreeSet<_>) = (
                held.iter().map(|message| message.envelope.id).collect(),
                self.messages.iter().filter(|(_, known)| known.owner == owner).map(|(id, _)| *id).collect(),
            );
            assert_eq!(ids, expected, "{when}: the mailbox of {owner}");
            assert_eq!(held.len(), ids.len(), "{when}: once each");
            for message in &held {
                let (id, known) = (message.envelope.id, &self.messages[&message.envelope.id]);
                assert_eq!(message.state, known.standing.state(), "{when}: {id}");
                assert_eq!(self.sound(owner, id).await, known.sound, "{when}: the sound of {id}");
                files.insert(self.world.store.sound(mailbox, id).await.unwrap().found().unwrap().path);
            }
            let log: Vec<_> =
                self.world.store.call_records(mailbox, None, 9_999).await.unwrap().into_iter().map(|r| r.call).collect();
            for (_, number) in self.logged.iter().filter(|(of, _)| *of == owner) {
                let call = envelope(self.person(owner), *number).call;
                assert_eq!(log.iter().filter(|logged| **logged == call).count(), 1, "{when}: call {number} in the log");
            }
            let Changes::Page(page) = self.world.store.changes(mailbox, None, 9_999).await.unwrap() else { panic!("{when}") };
            let fed = page.changes.iter().filter_map(|change| match &change.body {
                ChangeBody::Message { message } => Some((**message).clone()),
                ChangeBody::Expunged { .. }
                | ChangeBody::CallRecord { .. }
                | ChangeBody::Greeting { .. }
                | ChangeBody::GreetingRemoved { .. }
                | ChangeBody::Plan { .. }
                | ChangeBody::Room { .. }
                | ChangeBody::Unknown => None,
            });
            let by_id = |messages: Vec<aftertone_model::Message>| -> BTreeMap<_, _> {
                messages.into_iter().map(|message| (message.envelope.id, message)).collect()
            };
            assert_eq!(by_id(fed.collect()), by_id(held), "{when}: the feed says what is there");
        }
        let disk = self.files.snapshot();
        assert_eq!(disk.into_keys().collect::<BTreeSet<_>>(), files, "{when}: a file for each sound, and nothing else");
    }
}

impl Write {
    fn message(&self) -> MessageId {
        match self {
            Self::Act { message, .. } | Self::Forward { message, .. } => *message,
        }
    }
}

/// Another form of a sound, from which it can be had back.
fn render(sound: &[u8]) -> Vec<u8> {
    [b"small:", sound].concat()
}

fn unrender(bytes: &[u8]) -> Vec<u8> {
    bytes.strip_prefix(b"small:").unwrap().to_vec()
}

fn power_on(files: &ForgetfulFiles, world: &World) -> std::io::Result<Spool> {
    let powered = Powered { files: files.clone(), store: world.store.clone() };
    start_syncing(Duration::from_millis(1), Arc::new(files.clone()), Arc::new(powered), world.dir.path())
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap()
    }

    fn key_of<K: Copy + Ord, V>(&mut self, map: &BTreeMap<K, V>) -> Option<K> {
        if map.is_empty() {
            return None;
        }
        let at = self.one_of(map.len());
        map.keys().nth(at).copied()
    }
}

//! The phone's own process is killed in the middle of synchronising, and started again: what its owner did without the network
//! is done once, and the mailbox that it shows is the server's.

#![expect(clippy::print_stdout, reason = "the seed and what was found are worth seeing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_client_store::Mailbox;
use aftertone_media::container::wav_pcm16;
use aftertone_model::{CallId, CallRecord, Caller, Direction, EndReason, Envelope, MessageAction, MessageId, Reason, Timestamp};
use aftertone_server_store::{Commits, Disk, FinishedRecording, Sound, SqliteStore, Store};
use aftertone_sync::{ForwardBody, IdempotencyKey, Pending, PendingWrite};
use aftertone_tests::{
    hosted::{self, ALICE, Api, BOB, Hosted},
    process::{self, PATIENCE, Running},
};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::Method;
use serde_json::{Value, json};

/// In each of the two halves, which run beside each other.
const ROUNDS: u32 = 25;
/// What each round brings from elsewhere, and what is done offline to it.
const ARRIVING: usize = 8;

struct World {
    folder: tempfile::TempDir,
    hosted: Hosted,
    alice: Api,
    bob: Api,
    /// Bob's, which he forwards over and over.
    source: Value,
}

impl World {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        for person in [ALICE, BOB] {
            hosted::add_person(&data, &person).await?;
        }
        leave_one(&data).await?;
        let hosted = Hosted::start(&data, &[]).await?;
        let (alice, bob) = (hosted.sign_in(ALICE.name).await?, hosted.sign_in(BOB.name).await?);
        let source = bob.messages().await?.pop().context("Bob has no message")?;
        Ok(Self { folder, hosted, alice, bob, source })
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("phone")
    }

    /// The phone on Alice's desk, which stays signed in.
    async fn start(&self) -> Result<Running> {
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        let kept = self.kept();
        command.args(["--server", &self.hosted.http, "--user", ALICE.name, "--password-stdin", "--data"]).arg(kept);
        command.args(["mailbox", "watch"]);
        process::start_with_line(&mut command, &hosted::password(ALICE.name), &self.folder.path().join("phone.log")).await
    }

    /// Its copy of the mailbox, while it doesn't run.
    async fn copy(&self) -> Result<Mailbox> {
        Ok(Mailbox::open(&self.kept().join("mailbox")).await?)
    }

    /// Lets it synchronise to the end. How long that took.
    async fn synchronise(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut phone = self.start().await?;
        while !phone.line(PATIENCE).await?.contains(r#""connected""#) {}
        let took = began.elapsed();
        let copy = self.copy().await?;
        let sent = async || Ok((copy.waiting().await? == 0).then_some(()));
        process::eventually("what was done offline is sent", PATIENCE, sent).await?;
        copy.close().await;
        phone.terminate(PATIENCE).await?;
        Ok(took)
    }

    /// Bob forwards his message to Alice; what it is called in her mailbox.
    async fn arrives(&self) -> Result<String> {
        let id = self.source["id"].as_str().context("no id")?;
        let body = json!({"to": [ALICE.name], "note": ""});
        let sent = self.bob.send(Method::POST, &format!("messages/{id}/forward"), Some(&body)).await?.error_for_status()?;
        let sent: Value = sent.json().await?;
        Ok(sent["delivered"][0][1].as_str().context("not delivered")?.to_owned())
    }

    /// What the server has of Alice's: the state of each message.
    async fn states(&self) -> Result<BTreeMap<String, String>> {
        let messages = self.alice.messages().await?;
        let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        Ok(messages.iter().map(|message| (text(message, "id"), text(message, "state"))).collect())
    }

    /// What the phone has of them.
    async fn shown(&self) -> Result<BTreeMap<String, String>> {
        let copy = self.copy().await?;
        let messages = copy.messages().await?;
        copy.close().await;
        let state =
            |state| serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        Ok(messages.iter().map(|message| (message.envelope.id.to_string(), state(message.state))).collect())
    }
}

/// A message in Bob's mailbox, as if somebody had called before the server was started.
async fn leave_one(data: &Path) -> Result<()> {
    let store = SqliteStore::open(data, Arc::new(Disk)).await?;
    let owner = store.find_subscriber(BOB.name).await?.context("no Bob")?.id;
    let (id, call, at) = (MessageId::from_random(rand::random()), CallId::from_random(rand::random()), Timestamp::now());
    let sound = wav_pcm16(&[0; 16_000], 16_000);
    let file = format!("{id}.wav");
    std::fs::write(store.blobs_dir().join(&file), &sound)?;
    let party = Caller { number: "+4930901820".into(), name: None };
    let envelope = Envelope {
        id,
        call,
        mailbox: owner,
        caller: party.clone(),
        received_at: at,
        reason: Reason::NoAnswer,
        urgent: false,
        private: false,
        call_back: None,
        test: false,
    };
    let record = CallRecord {
        call,
        owner,
        direction: Direction::Incoming,
        party,
        started_at: at,
        answered_at: None,
        ended_at: at,
        end: EndReason::Diverted,
        diverted: Some(Reason::NoAnswer),
        message: None,
        figures: None,
    };
    let (content, bytes) = (format!("pcm-{id}"), sound.len() as u64);
    let sound = Sound { content, file, bytes, media_type: "audio/wav".into(), duration_ms: 1_000, peaks: vec![1] };
    store.commit_recording(FinishedRecording { envelope, sound, record, interrupted: false, jobs: Vec::new() }).await?;
    store.close().await;
    Ok(())
}

/// What the owner did without the network, and what must have come of it.
struct Deeds {
    saved: BTreeSet<String>,
    expunged: BTreeSet<String>,
    notes: Vec<String>,
}

/// Puts into the outbox what a person does offline: keeps these messages, forwards two, removes one, in any order.
async fn do_offline(world: &World, round: u32, arrived: &[String], random: &mut StdRng) -> Result<Deeds> {
    let copy = world.copy().await?;
    let mut deeds = Deeds { saved: BTreeSet::new(), expunged: BTreeSet::new(), notes: Vec::new() };
    for (number, id) in arrived.iter().enumerate() {
        let message: MessageId = id.parse()?;
        let key = || -> Result<IdempotencyKey> { Ok(format!("{round}-{number}-{:x}", rand::random::<u64>()).parse()?) };
        if number % 4 == 1 {
            let note = format!("round {round}, number {number}");
            let forward = ForwardBody { to: vec![BOB.name.into()], note: note.clone() };
            copy.enqueue_write(&Pending { key: key()?, message, write: PendingWrite::Forward { forward } }).await?;
            deeds.notes.push(note);
        }
        let expunges = number == 0 && random.random_bool(0.5);
        let action = if expunges { MessageAction::Expunge } else { MessageAction::Save };
        copy.enqueue(message, action, key()?).await?;
        if expunges {
            deeds.expunged.insert(id.clone())
        } else {
            deeds.saved.insert(id.clone())
        };
    }
    copy.close().await;
    Ok(deeds)
}

/// One round; how many of what was done offline had reached the server when the phone was killed.
async fn round(world: &World, round: u32, after: Duration, random: &mut StdRng) -> Result<usize> {
    let mut arrived = Vec::new();
    for _ in 0..ARRIVING {
        arrived.push(world.arrives().await?);
    }
    // These are on the phone; more come while it is off.
    world.synchronise().await?;
    let deeds = do_offline(world, round, &arrived, random).await?;
    world.arrives().await?;

    let phone = world.start().await?;
    // The moment is what this is about; nothing is waited for.
    tokio::time::sleep(after).await;
    phone.kill().await?;

    // What is done already is undone by another device: a phone that sends it once more would do it twice.
    let before = world.states().await?;
    let done: Vec<_> = deeds.saved.iter().filter(|id| before.get(*id).is_some_and(|state| state == "saved")).cloned().collect();
    let undone: BTreeSet<_> = done.sample(random, done.len() / 2).cloned().collect();
    for id in &undone {
        world.alice.act(&json!({ "id": id }), "new").await?;
    }
    world.synchronise().await?;

    let states = world.states().await?;
    for id in &deeds.saved {
        let expected = if undone.contains(id) { "new" } else { "saved" };
        ensure!(states.get(id).is_some_and(|state| state == expected), "{id} is {:?} and not {expected}", states.get(id));
    }
    for id in &deeds.expunged {
        ensure!(!states.contains_key(id), "{id} was to go, and is there");
    }
    let at_bobs = world.bob.messages().await?;
    for note in &deeds.notes {
        let count = at_bobs.iter().filter(|message| message["forwarded"]["note"] == note.as_str()).count();
        ensure!(count == 1, "{note} arrived {count} times");
    }
    ensure!(world.shown().await? == states, "the phone shows {:?}, and the server has {states:?}", world.shown().await?);
    Ok(done.len())
}

async fn kills() -> Result<()> {
    let seed = std::env::var("AFTERTONE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("AFTERTONE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new().await?;
    world.synchronise().await?;
    let longest = world.synchronise().await?.mul_f64(0.8);
    let (mut nothing, mut part, mut all) = (0, 0, 0);
    for number in 0..ROUNDS {
        // At random, but everywhere: each round has its own part of the time that a synchronisation takes.
        let after = longest.mul_f64((f64::from(number) + random.random_range(0.0..1.0)) / f64::from(ROUNDS));
        let done = round(&world, number, after, &mut random).await.with_context(|| format!("round {number}"))?;
        println!("round {number}, killed after {after:?}: {done} were done");
        match done {
            0 => nothing += 1,
            done if done + 1 < ARRIVING => part += 1,
            _ => all += 1,
        }
    }
    println!("killed {nothing} times before anything was sent, {part} times amid it, {all} times after it");
    ensure!(nothing > 0 && nothing < ROUNDS, "every moment was the same");
    world.hosted.stop().await
}

#[tokio::test]
async fn fifty_kills_of_the_phone_do_each_deed_once_1() -> Result<()> {
    kills().await
}

#[tokio::test]
async fn fifty_kills_of_the_phone_do_each_deed_once_2() -> Result<()> {
    kills().await
}

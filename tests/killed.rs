//! The server is killed while callers speak, and comes back: whoever had begun to leave a message has left it.

#![expect(clippy::print_stdout, reason = "the seed and what was found are worth seeing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use aftertone_media::container;
use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, BOB, Hosted},
    sipp,
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

/// In each of the two halves, which run beside each other.
const ROUNDS: u32 = 25;
/// By then the last callers have spoken for seconds, and the first have hung up.
const LONGEST: Duration = Duration::from_millis(5_500);
/// A recording with so many bytes has a second of sound for sure: 8,000 are a second of PCMU, and people pause.
const SURE_BYTES: u64 = 16_000;

/// Everything that the mailboxes ever showed, by message.
#[derive(Default)]
struct Known(BTreeMap<String, Value>);

impl Known {
    /// What stands in the mailbox is there once, with the caller and the words that belong there, and what was known is still
    /// as it was.
    async fn look(&mut self, api: &Api, digit: &str) -> Result<usize> {
        let messages = api.messages().await?;
        let listed: BTreeMap<_, _> = messages.iter().map(|message| (id(message), message)).collect();
        ensure!(listed.len() == messages.len(), "a message is listed twice");
        let callers: BTreeSet<_> = messages.iter().map(number).collect();
        ensure!(callers.len() == messages.len(), "a call has become two messages");
        let stray = callers.iter().find(|caller| !caller.starts_with(&format!("+4930{digit}")));
        ensure!(stray.is_none(), "{stray:?} spoke to somebody else");
        for (id, before) in self.0.iter().filter(|(_, message)| number(message).starts_with(&format!("+4930{digit}"))) {
            let now = listed.get(id).with_context(|| format!("{id} is lost"))?;
            ensure!(now["duration_ms"] == before["duration_ms"] && now["caller"] == before["caller"], "{before} became {now}");
        }
        self.0.extend(messages.iter().map(|message| (id(message), message.clone())));
        Ok(messages.len())
    }
}

fn id(message: &Value) -> String {
    message["id"].as_str().unwrap_or_default().to_owned()
}

fn number(message: &Value) -> String {
    message["caller"]["number"].as_str().unwrap_or_default().to_owned()
}

/// One round: sipp calls both mailboxes, baresip the first one, and the server is killed `after` so long. What its spool had.
async fn round(folder: &Path, number: u32, words: &[Sound; 2], after: Duration) -> Result<BTreeMap<String, u64>> {
    let data = folder.join("account");
    let hosted = Hosted::start(&data, &[]).await?;
    let prefix = |digit: u32| format!("+4930{digit}{number:02}");
    let hold = Duration::from_secs(4);
    let load = |extension, speech| sipp::Load { server: hosted.sip_udp, extension, calls: 6, speech, hold };
    let _first = sipp::begin(&load("1001", &words[0]), &prefix(1))?;
    let _second = sipp::begin(&load("1002", &words[1]), &prefix(2))?;
    let account = format!("\"Caller\" <sip:{}99@caller.example>;regint=0;audio_codecs=PCMA", prefix(1));
    let mut caller = Baresip::start(&Setup { account, speech: folder.join("words.wav"), rate: sound::RATE }).await?;
    caller.command(&format!("dial sip:1001@{};transport=udp", hosted.sip_udp)).await?;
    caller.happening("CALL_ESTABLISHED", Duration::from_secs(20)).await?;
    // The moment is what this is about; nothing is waited for.
    tokio::time::sleep(after).await;
    hosted.kill().await?;
    hosted::spooled(&data)
}

/// The longest message of each mailbox says what its callers said.
async fn sounds_right(api: &Api, words: &Sound, other: &Sound) -> Result<()> {
    let messages = api.messages().await?;
    let longest = messages.iter().max_by_key(|message| message["duration_ms"].as_u64()).context("no message")?;
    let bytes = api.bytes(&format!("messages/{}/audio", id(longest))).await?;
    let stored = container::decode(&bytes)?;
    let stored = Sound(sound::to_rate(&stored.samples, stored.rate)?);
    let (right, wrong) = (sound::likeness(&stored.part(0.2, 1.2), words), sound::likeness(&stored.part(0.2, 1.2), other));
    ensure!(right > 0.8 && wrong < 0.5, "{}: like the words {right:.2}, like the other's {wrong:.2}", number(longest));
    Ok(())
}

#[tokio::test]
async fn fifty_kills_lose_no_accepted_message_1() -> Result<()> {
    kills().await
}

#[tokio::test]
async fn fifty_kills_lose_no_accepted_message_2() -> Result<()> {
    kills().await
}

async fn kills() -> Result<()> {
    let seed = std::env::var("AFTERTONE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("AFTERTONE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let words = [sound::sentence()?.repeated(12.0), sound::reply()?.repeated(12.0)];
    words[0].save(&folder.path().join("words.wav"))?;
    for person in [ALICE, BOB] {
        hosted::add_person(&data, &person).await?;
    }
    let hosted = Hosted::start(&data, &[]).await?;
    for person in [ALICE, BOB] {
        hosted.sign_in(person.name).await?.greet(&Sound::tone(440.0, 0.6)).await?;
    }
    hosted.stop().await?;

    let (mut known, mut sure) = (Known::default(), 0);
    for number in 0..ROUNDS {
        // At random, but everywhere: each round has its own part of the time that calls take.
        let after = LONGEST.mul_f64((f64::from(number) + random.random_range(0.0..1.0)) / f64::from(ROUNDS));
        let left = round(folder.path(), number, &words, after).await.with_context(|| format!("round {number}"))?;
        let hosted = Hosted::start(&data, &[]).await?;
        let [alice, bob] = [hosted.sign_in(ALICE.name).await?, hosted.sign_in(BOB.name).await?];
        let listed = known.look(&alice, "1").await? + known.look(&bob, "2").await?;
        for (id, bytes) in left.iter().filter(|(_, bytes)| **bytes >= SURE_BYTES) {
            sure += 1;
            let message = known.0.get(id).with_context(|| format!("round {number}: {id} of {bytes} bytes is lost"))?;
            let ms = message["duration_ms"].as_u64().context("no duration")?;
            // PCMU and PCMA: eight bytes a millisecond, and a header.
            ensure!(ms.abs_diff(bytes / 8) <= 20, "round {number}: {bytes} bytes were there, and {ms} ms are listed");
        }
        let health = hosted.anonymous()?.get("health").await?;
        println!("round {number}, after {after:?}: {} in the spool, {listed} listed, {}", left.len(), health["repaired"]);
        ensure!(hosted::spooled(&data)?.is_empty(), "something is left in the spool");
        if number + 1 == ROUNDS {
            sounds_right(&alice, &words[0], &words[1]).await?;
            sounds_right(&bob, &words[1], &words[0]).await?;
        }
        hosted.stop().await?;
    }
    ensure!(sure >= ROUNDS as usize && known.0.len() > sure, "{sure} broke off, {} messages", known.0.len());
    println!("{} messages, {sure} of them broken off by a kill", known.0.len());
    Ok(())
}

//! Callers leave messages: other people's phones at the real server.

use std::{collections::BTreeSet, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{Api, Hosted},
    sipp,
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
/// Silence before the speech: longer than the cut greeting and the beep.
const LEAD_S: f64 = 4.0;
const BEEP_HZ: f64 = 1000.0;

struct World {
    hosted: Hosted,
    api: Api,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
        hosted.add_user("alice", "1001", "Alice Adler", 20).await?;
        let api = hosted.sign_in("alice").await?;
        Ok(Self { hosted, api, folder })
    }

    /// baresip calls, skips the greeting, speaks and hangs up. How long it spoke after the beep, in seconds.
    async fn leave(&self, codec: &str, speech: &Sound) -> Result<f64> {
        let path = self.folder.path().join("speech.wav");
        Sound::silence(LEAD_S).then(speech).then(&Sound::silence(1.0)).save(&path)?;
        let account = format!("\"Caller\" <sip:+4930901821@caller.example>;regint=0;audio_codecs={codec}");
        let mut caller = Baresip::start(&Setup { account, speech: path, rate: sound::RATE }).await?;
        caller.command(&format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp)).await?;
        let answered = caller.happening("CALL_ESTABLISHED", PATIENCE).await?.at;
        tokio::time::sleep_until(answered + Duration::from_millis(700)).await;
        caller.command("sndcode #").await?;
        let closed = caller.happening("CALL_CLOSED", Duration::from_secs(60)).await?.at;
        let heard = Sound::load(&caller.heard()?)?;
        let beep_end = sound::tone_end(&heard, BEEP_HZ).context("the caller heard no beep")?;
        ensure!(beep_end < LEAD_S, "the beep came too late: after {beep_end:.2} s");
        Ok(closed.duration_since(answered).as_secs_f64() - beep_end)
    }

    async fn sound_of(&self, message: &Value) -> Result<Sound> {
        let id = message["id"].as_str().context("no id")?;
        let bytes = self.api.bytes(&format!("messages/{id}/audio")).await?;
        let decoded = aftertone_media::container::decode(&bytes).context("the stored sound can't be decoded")?;
        Ok(Sound(sound::to_rate(&decoded.samples, decoded.rate)?))
    }
}

fn seconds(message: &Value) -> Result<f64> {
    Ok(message["duration_ms"].as_f64().context("no duration")? / 1000.0)
}

async fn check(codec: &str, pesq: f64) -> Result<()> {
    let world = World::new().await?;
    let speech = sound::speech()?;
    let sent_s = world.leave(codec, &speech).await?;
    let message = world.api.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!(message["caller"]["number"], "+4930901821", "{message}");
    assert_eq!(message["reason"], "offline", "{message}");
    assert_eq!(message["state"], "new", "{message}");
    let listed_s = seconds(&message)?;
    assert!((listed_s - sent_s).abs() <= 0.2, "{codec}: listed {listed_s:.2} s, sent {sent_s:.2} s");
    let quality = sound::quality(&speech, &world.sound_of(&message).await?)?;
    assert!(quality.pesq >= pesq, "{codec}: {quality:?}");
    world.hosted.stop().await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_mu_law() -> Result<()> {
    check("PCMU", 4.0).await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_a_law() -> Result<()> {
    check("PCMA", 4.0).await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_opus() -> Result<()> {
    check("opus/48000/2", 3.5).await
}

#[tokio::test]
async fn fifty_callers_at_once_are_all_recorded() -> Result<()> {
    let world = World::new().await?;
    // sipp begins to speak at the answer and hears nothing: the greeting is over after some seconds, so it speaks on.
    let load =
        sipp::Load { server: world.hosted.sip_udp, extension: "1001", calls: 50, speech: &sound::speech()?, hold_ms: 16_000 };
    sipp::run(&load).await?;
    let messages = world.api.wait_for_messages(50, PATIENCE).await?;
    assert_eq!(messages.len(), 50, "one message a call");
    let callers: BTreeSet<_> = messages.iter().filter_map(|message| message["caller"]["number"].as_str()).collect();
    assert_eq!(callers.len(), 50, "each from its own caller");
    // All stayed equally long and heard the same greeting, so all messages are equally long.
    let lengths = messages.iter().map(seconds).collect::<Result<Vec<_>>>()?;
    let (shortest, longest) = lengths.iter().fold((f64::MAX, 0.0f64), |(low, high), s| (low.min(*s), high.max(*s)));
    assert!(longest - shortest <= 0.2 && shortest > 2.0, "from {shortest:.2} s to {longest:.2} s");
    world.hosted.stop().await
}

//! Calls that are recorded at the device, with both sides in one file.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::path::{Path, PathBuf};

use aftertone_media::container::{self, Pcm};
use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, BOB, Hosted},
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Alice begins to speak after so many seconds, and Bob after so many: the tone is over by then.
const LEADS_S: [f64; 2] = [1.5, 2.5];

struct World {
    hosted: Hosted,
    bob: Baresip,
    folder: tempfile::TempDir,
}

impl World {
    /// A server with these arguments, and Bob at his desk phone.
    async fn new(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        hosted::add_person(&data, &BOB).await?;
        let bobs = hosted::add_phone(&data, BOB.name).await?;
        let hosted = Hosted::start_wary(&data, arguments).await?;
        let speech = folder.path().join("bob.wav");
        Sound::silence(LEADS_S[1]).then(&sound::reply()?).then(&Sound::silence(30.0)).save(&speech)?;
        let account = bobs.account(&BOB, hosted.sip_udp, ";audio_codecs=PCMU;answermode=auto");
        let mut bob = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        bob.registered().await?;
        Ok(Self { hosted, bob, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Alice calls Bob and records that, for so long.
    fn call(&self, length: &str) -> Result<Running> {
        let says = self.file("alice.wav");
        Sound::silence(LEADS_S[0]).then(&sound::sentence()?).then(&Sound::silence(30.0)).save(&says)?;
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        command.args(["--server", &self.hosted.http, "--user", ALICE.name, "call", "1002", "--for", length]);
        command.arg("--play").arg(says).arg("--record").arg(self.file("heard.wav"));
        command.arg("--record-call").arg(self.file("call.ogg"));
        command.env("AFTERTONE_PASSWORD", hosted::password(ALICE.name));
        process::start(&mut command, &self.file("alice.log"))
    }
}

/// The next event of that kind; what else is told is passed over.
async fn event(phone: &mut Running, kind: &str) -> Result<Value> {
    loop {
        let line = phone.line(PATIENCE).await.with_context(|| format!("no {kind}"))?;
        let event: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        if event["event"] == kind {
            return Ok(event);
        }
    }
}

fn sides(file: &Path) -> Result<[Sound; 2]> {
    let sound = |pcm: &Pcm| sound::to_rate(&pcm.samples, pcm.rate).map(Sound);
    let [said, heard] = container::decode_two_sides(&std::fs::read(file)?)?;
    Ok([sound(&said)?, sound(&heard)?])
}

#[tokio::test]
async fn what_is_said_is_left_what_is_heard_right_and_both_at_their_time() -> Result<()> {
    let mut world = World::new(&["--call-recording"]).await?;
    let mut alice = world.call("9s")?;
    ensure!(event(&mut alice, "recording").await?["state"] == "running");
    ensure!(event(&mut alice, "recording").await?["state"] == "done", "the file is whole at the end of the call");
    world.bob.happening("CALL_CLOSED", PATIENCE).await?;
    alice.ended(PATIENCE).await?;

    let [left, right] = sides(&world.file("call.ogg"))?;
    let (sentence, reply) = (sound::sentence()?, sound::reply()?);
    let (said, heard) = (sound::quality(&sentence, &left)?, sound::quality(&reply, &right)?);
    println!("left {said:?}, right {heard:?}");
    ensure!(said.pesq >= 4.2 && heard.pesq >= 3.8, "{said:?} {heard:?}");
    // The same moments by the phone's own clock: it counts what it says and what it hears.
    let at_phone = container::decode(&std::fs::read(world.file("heard.wav"))?)?;
    let at_phone = sound::quality(&reply, &Sound(sound::to_rate(&at_phone.samples, at_phone.rate)?))?;
    let apart = (said.offset_s - LEADS_S[0]) - (heard.offset_s - at_phone.offset_s);
    println!("both sides are {:.0} ms apart", apart * 1_000.0);
    ensure!(apart.abs() < 0.05, "{apart} s");
    // Bob heard that he was recorded, and Alice's words after it.
    let bob_heard = Sound::load(&world.bob.heard()?)?;
    ensure!(sound::tone_end(&bob_heard.part(0.0, 3.0), 1_400.0).is_some(), "there was no tone");
    world.hosted.stop().await
}

#[tokio::test]
async fn a_crash_keeps_what_was_recorded() -> Result<()> {
    let world = World::new(&["--call-recording"]).await?;
    let mut alice = world.call("60s")?;
    event(&mut alice, "recording").await?;
    world.bob.hears(6.0, PATIENCE).await?;
    alice.kill().await?;
    let [left, right] = sides(&world.file("call.ogg"))?;
    println!("{:.1} s are there", left.seconds());
    ensure!(left.seconds() > 4.0 && (left.seconds() - right.seconds()).abs() < 0.001, "{} s", left.seconds());
    ensure!(sound::likeness(&sound::sentence()?.part(0.0, 2.0), &left) > 0.9, "her words are in it");
    world.hosted.stop().await
}

#[tokio::test]
async fn nobody_records_where_the_administrator_has_not_allowed_it() -> Result<()> {
    let world = World::new(&[]).await?;
    let mut alice = world.call("5s")?;
    let error = event(&mut alice, "error").await?;
    ensure!(error["code"] == "not_allowed", "{error}");
    ensure!(!world.file("call.ogg").exists());
    ensure!(!alice.ended(PATIENCE).await?.success());
    world.hosted.stop().await
}

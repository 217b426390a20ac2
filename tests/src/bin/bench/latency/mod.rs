//! From mouth to ear: two phones on virtual sound devices of one PulseAudio, ours beside baresip in the same run.
//!
//! Ours are two sessions of the desktop app without its window, each in a process of its own, with the app's own sound
//! engine, voice processing as it is by default: microphone, encoder, WebRTC from phone to phone, jitter buffer, loudspeaker.

mod card;
mod room;

use std::{path::Path, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Card, Setup},
    desktop::Desktop,
    hosted::Hosted,
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::room::Room;
use crate::{quality, say};

pub(crate) use card::run as run_card;

/// Before the words: what a call begins with is not what it sounds like, and each gets the same.
const SETTLES: Duration = Duration::from_secs(3);

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let runs: usize = arguments.first().map_or(Ok(10), |text| text.parse()).context("the number of repetitions")?;
    let desktop = Desktop::without_keyring().await?;
    let room = Room::furnish(&desktop).await?;
    let words = sound::sentence()?.part(0.0, 4.0);
    let office = Office::open(&desktop).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        ours.push(office.call(&desktop, &room, &words).await.context("ours")?);
        theirs.push(baresip(&desktop, &room, &words).await.context("baresip")?);
        say(&format!("repetition {run} of {runs}: ours {:.1} ms, baresip {:.1} ms", ours[run - 1], theirs[run - 1]));
    }
    let buffer = quality::buffered()?;
    say(&format!(
        "the jitter buffer adds {} ms on a calm network, {} ms where packets are late by up to 30 ms",
        buffer[0], buffer[1]
    ));
    Ok(json!({
        "ours_ms": quality::median(ours), "baresip_ms": quality::median(theirs), "runs": runs,
        "buffer_ms": { "calm": buffer[0], "jitter30": buffer[1] },
    }))
}

/// Alice and Bob, and the server that they call each other by.
struct Office {
    hosted: Hosted,
    folder: tempfile::TempDir,
}

impl Office {
    async fn open(desktop: &Desktop) -> Result<Self> {
        let folder = tempfile::tempdir_in(desktop.folder())?;
        let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
        for (name, number) in [("alice", "1001"), ("bob", "1002")] {
            hosted.add_user(name, number, name, 30).await?;
        }
        Ok(Self { hosted, folder })
    }

    /// Alice calls Bob and speaks; how long that takes to his ear, in milliseconds.
    async fn call(&self, desktop: &Desktop, room: &Room, words: &Sound) -> Result<f64> {
        let mut bob = self.phone(desktop, "bob", [room::QUIET, room::EAR], None).await?;
        let mut alice = self.phone(desktop, "alice", [room::MICROPHONE, room::DEAF], Some("1002")).await?;
        for phone in [&mut alice, &mut bob] {
            while !phone.line(PATIENCE).await?.contains("talking") {}
        }
        let latency = room.latency(desktop, words, SETTLES).await?;
        alice.terminate(PATIENCE).await?;
        bob.terminate(PATIENCE).await?;
        Ok(latency)
    }

    async fn phone(&self, desktop: &Desktop, user: &str, devices: [&str; 2], target: Option<&str>) -> Result<Running> {
        let folder = tempfile::tempdir_in(self.folder.path())?.keep();
        let mut command = desktop.command(&std::env::current_exe()?);
        command.args(["card", &self.hosted.http, user, &folder.to_string_lossy()]).args(devices).args(target);
        let mut running = process::start(&mut command, &folder.join("log"))?;
        while !running.line(PATIENCE).await?.contains("registered") {}
        Ok(running)
    }
}

/// The same from baresip to baresip, in Opus, over RTP from phone to phone, as they come out of the box.
async fn baresip(desktop: &Desktop, room: &Room, words: &Sound) -> Result<f64> {
    let environment = room.alsa(desktop)?;
    let phone = async |name: &str, microphone: &str, loudspeaker: &str| {
        let account = format!("<sip:{name}@127.0.0.1>;regint=0;audio_codecs=opus;answermode=auto");
        let setup = Setup { account, speech: Path::new("").into(), rate: 48_000 };
        let card = Card { microphone: microphone.into(), loudspeaker: loudspeaker.into(), environment: environment.clone() };
        Baresip::start_at(&setup, "5-10", &card).await
    };
    let mut callee = phone("callee", room::QUIET, room::EAR).await?;
    let mut caller = phone("caller", room::MICROPHONE, room::DEAF).await?;
    caller.command(&format!("dial sip:callee@127.0.0.1:{}", callee.sip_port())).await?;
    for phone in [&mut caller, &mut callee] {
        phone.happening("CALL_ESTABLISHED", PATIENCE).await?;
    }
    let latency = room.latency(desktop, words, SETTLES).await?;
    caller.command("hangup").await?;
    callee.happening("CALL_CLOSED", PATIENCE).await?;
    Ok(latency)
}

//! A room with a mouth and an ear, on one clock: both are channels of one sink, so that one recording has what was said on
//! the left and what was heard on the right, to the sample.

use std::{path::PathBuf, process::Stdio, time::Duration};

use aftertone_tests::{
    desktop::Desktop,
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};

use crate::quality;

/// The microphone that hears the mouth.
pub(crate) const MICROPHONE: &str = "microphone";
/// A microphone that hears nothing.
pub(crate) const QUIET: &str = "quiet";
/// The loudspeaker at the ear.
pub(crate) const EAR: &str = "ear";
/// A loudspeaker that nobody hears.
pub(crate) const DEAF: &str = "deaf";

const RATE: u32 = 48_000;
/// So many pieces of a second are looked for at the ear, each half a second after the last.
const LOOKS: u32 = 6;
/// A voice that was cleaned and coded is more like itself than this.
const ALIKE: f64 = 0.3;

pub(crate) struct Room {
    asoundrc: PathBuf,
}

impl Room {
    pub(crate) async fn furnish(desktop: &Desktop) -> Result<Self> {
        let modules = [
            "module-null-sink sink_name=room rate=48000 channels=2 channel_map=front-left,front-right norewinds=1",
            "module-null-sink sink_name=deaf rate=48000 channels=1 channel_map=mono norewinds=1",
            "module-null-sink sink_name=nothing rate=48000 channels=1 channel_map=mono norewinds=1",
            "module-remap-sink sink_name=mouth master=room channels=1 channel_map=mono master_channel_map=front-left remix=no",
            "module-remap-sink sink_name=ear master=room channels=1 channel_map=mono master_channel_map=front-right remix=no",
            "module-remap-source source_name=microphone master=room.monitor channels=1 channel_map=mono \
             master_channel_map=front-left remix=no",
            "module-remap-source source_name=quiet master=nothing.monitor channels=1 channel_map=mono \
             master_channel_map=mono remix=no",
        ];
        for module in modules {
            let mut load = desktop.command("pactl".as_ref());
            let loaded = load.arg("load-module").args(module.split_whitespace()).output().await?;
            ensure!(loaded.status.success(), "{module}: {}", String::from_utf8_lossy(&loaded.stderr));
        }
        let asoundrc = desktop.folder().join("room.asoundrc");
        let pcm = |name: &str| format!("pcm.{name} {{ type pulse device {name} }}\n");
        std::fs::write(&asoundrc, [MICROPHONE, QUIET, EAR, DEAF].map(pcm).concat())?;
        Ok(Self { asoundrc })
    }

    /// What a program needs to know to find the room's devices through ALSA.
    pub(crate) fn alsa(&self, desktop: &Desktop) -> Result<Vec<(String, String)>> {
        let mut environment = desktop.environment().to_vec();
        let path = environment.iter_mut().find(|(name, _)| name == "ALSA_CONFIG_PATH").context("no ALSA here")?;
        path.1 = format!("/usr/share/alsa/alsa.conf:{}", self.asoundrc.display());
        Ok(environment)
    }

    /// Says the words after `settles` and gives how much later they came to the ear, in milliseconds.
    pub(crate) async fn latency(&self, desktop: &Desktop, words: &Sound, settles: Duration) -> Result<f64> {
        let said = desktop.folder().join("words.wav");
        Sound::silence(settles.as_secs_f64()).then(words).then(&Sound::silence(1.0)).save(&said)?;
        let path = desktop.folder().join("room.raw");
        let mut record = desktop.command("parec".as_ref());
        record.args(["--device=room.monitor", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=20"]);
        record.stdin(Stdio::null()).stdout(std::fs::File::create(&path)?).stderr(Stdio::null()).kill_on_drop(true);
        let mut recording = record.spawn()?;
        process::eventually("the room is heard", PATIENCE, || async { Ok((std::fs::metadata(&path)?.len() > 0).then_some(())) })
            .await?;
        let mut play = desktop.command("paplay".as_ref());
        let played = play.args(["--device=mouth", "--latency-msec=20"]).arg(&said).stdin(Stdio::null()).status().await?;
        recording.kill().await?;
        ensure!(played.success(), "nobody speaks");
        between(&std::fs::read(&path)?)
    }
}

/// How much later the right channel has the words of the left one, in milliseconds.
fn between(stereo: &[u8]) -> Result<f64> {
    let channel = |at: usize| {
        let samples = stereo.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[at], frame[at + 1]]));
        anyhow::Ok(Sound(sound::to_rate(&samples.collect::<Vec<_>>(), RATE)?))
    };
    let (mouth, ear) = (channel(0)?, channel(2)?);
    let begins = mouth.sounding().iter().position(|loud| *loud).context("the mouth was silent")? as f64 * 0.02;
    let starts = (0..LOOKS).map(|n| begins + f64::from(n) * 0.5);
    let found = starts.filter_map(|from_s| {
        let (known, rest) = (mouth.part(from_s, 1.0), ear.part(from_s, 3.0));
        (sound::likeness(&known, &rest) > ALIKE).then(|| sound::find(&known, &rest) * 1_000.0)
    });
    let found: Vec<f64> = found.collect();
    ensure!(found.len() >= 3, "the ear heard something else, or nothing ({:.0} dB)", ear.level());
    Ok(quality::median(found))
}

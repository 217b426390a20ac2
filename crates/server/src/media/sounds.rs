//! Sounds to be played to legs, encoded once for each codec and kept.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use aftertone_exchange::Sound;
use aftertone_media::{
    Codec,
    import::{ImportLimits, import},
    resample::resample,
    tones::{self, Tone},
};
use anyhow::Context;

use super::prompts::{Frames, frames};

/// So many are kept; then all are forgotten but those that are being played.
const KEPT: usize = 64;
/// Frames that are there in a moment.
pub(super) type Slot = Arc<OnceLock<Frames>>;

/// What was encoded so far.
#[derive(Debug, Default)]
pub(super) struct Sounds(Mutex<BTreeMap<(Sound, Codec), Slot>>);

impl Sounds {
    /// A sound in a codec: read and encoded beside the workers when it is asked for the first time.
    pub(super) fn get(&self, sound: &Sound, codec: Codec, runtime: &tokio::runtime::Handle) -> Slot {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(&(sound.clone(), codec)) {
            return Arc::clone(slot);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        let slot = Slot::default();
        known.insert((sound.clone(), codec), Arc::clone(&slot));
        let (filling, sound) = (Arc::clone(&slot), sound.clone());
        runtime.spawn_blocking(move || {
            let made = pcm(&sound, codec.sample_rate()).and_then(|pcm| frames(codec, pcm)).unwrap_or_else(|error| {
                tracing::error!(?sound, "a sound can't be played: {error:#}");
                Frames::from([])
            });
            drop(filling.set(made));
        });
        slot
    }
}

fn pcm(sound: &Sound, rate: u32) -> anyhow::Result<Vec<i16>> {
    Ok(match sound {
        Sound::HoldMusic => tones::hold_music(rate),
        Sound::RingBack => Tone::ring_back(rate).once(),
        Sound::Busy => Tone::busy(rate).once(),
        Sound::Beep => tones::beep(rate),
        Sound::File(path) => file(path, rate)?,
    })
}

fn file(path: &Path, rate: u32) -> anyhow::Result<Vec<i16>> {
    let limits = ImportLimits::default();
    let length = std::fs::metadata(path).context("no such file")?.len();
    anyhow::ensure!(length <= limits.bytes as u64, "larger than {} MB", limits.bytes >> 20);
    let decoded = import(&std::fs::read(path)?, limits)?;
    Ok(resample(&decoded.samples, decoded.rate, rate)?)
}

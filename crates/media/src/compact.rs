//! A recording made small for keeping: Ogg-Opus, speech at 16 or 24 kbit/s.

use std::time::Duration;

use crate::{
    codec::{CodecError, StorageEncoder},
    container::{OggOpusWriter, Pcm, decode},
    import::loudness,
    resample::{ResampleError, resample},
};

/// What Opus works at.
const RATE: u32 = 48_000;
/// 20 ms.
const FRAME: usize = 960;
/// How much longer or shorter the small form may be: a frame that is filled up, and what the codec needs to begin.
const LENGTH_TOLERANCE: Duration = Duration::from_millis(60);
/// How much louder or quieter, in LU.
const LOUDNESS_TOLERANCE: f64 = 1.5;

/// Why a recording was not made small.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The encoder failed.
    #[error("the sound can't be encoded")]
    Codec(#[from] CodecError),
    /// The rate is none.
    #[error("the sound can't be resampled")]
    Resample(#[from] ResampleError),
    /// What came out is not what went in.
    #[error("the small form is not the same sound: {0}")]
    Differs(String),
}

/// A recording made small.
#[derive(Debug, Clone, PartialEq)]
pub struct Compact {
    /// The Ogg-Opus file.
    pub bytes: Vec<u8>,
    /// In LUFS (EBU R 128, gated); `None` for silence.
    pub loudness: Option<f64>,
}

/// Encodes, and decodes again to see that it is the same sound. `serial` names the Ogg stream. Takes about 0.3 s of a core
/// for each minute.
///
/// # Errors
/// When it could not be encoded, or came out otherwise.
pub fn compact(sound: &Pcm, serial: u32) -> Result<Compact, CompactError> {
    let mut pcm = resample(&sound.samples, sound.rate, RATE)?;
    pcm.resize(pcm.len().next_multiple_of(FRAME), 0);
    let (mut encoder, mut ogg) = (StorageEncoder::new(sound.rate)?, OggOpusWriter::new(serial));
    let mut bytes = ogg.start();
    let mut timestamp = 0_u32;
    for frame in pcm.chunks_exact(FRAME) {
        bytes.extend(ogg.push(0, timestamp, &encoder.encode(frame)?));
        timestamp = timestamp.wrapping_add(FRAME as u32);
    }
    bytes.extend(ogg.finish());
    let loudness = loudness(sound);
    verify(&bytes, sound, loudness)?;
    Ok(Compact { bytes, loudness })
}

fn verify(bytes: &[u8], sound: &Pcm, expected: Option<f64>) -> Result<(), CompactError> {
    let again = decode(bytes).map_err(|error| CompactError::Differs(error.to_string()))?;
    let (length, was) = (again.duration(), sound.duration());
    if length.abs_diff(was) > LENGTH_TOLERANCE {
        return Err(CompactError::Differs(format!("{length:?} instead of {was:?}")));
    }
    let found = loudness(&again);
    match (expected, found) {
        (Some(expected), Some(found)) if (expected - found).abs() > LOUDNESS_TOLERANCE => {
            Err(CompactError::Differs(format!("{found:.1} LUFS instead of {expected:.1}")))
        }
        // Whatever is hardly to be heard may be heard no more.
        (Some(expected), None) if expected > -60.0 => Err(CompactError::Differs("silence".into())),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, codec::Encoder};

    fn speech(codec: Codec) -> Pcm {
        let wav = decode(include_bytes!("../../../assets/test-message.wav")).expect("a file");
        let rate = codec.sample_rate();
        let mut pcm = resample(&wav.samples, wav.rate, rate).expect("a rate");
        pcm.truncate(pcm.len() / codec.frame() * codec.frame());
        let mut encoder = Encoder::new(codec).expect("an encoder");
        let mut decoder = crate::codec::Decoder::new(codec).expect("a decoder");
        let samples = pcm.chunks_exact(codec.frame()).flat_map(|frame| {
            let payload = encoder.encode(frame).expect("encoded");
            decoder.decode(&payload).expect("decoded")
        });
        Pcm { rate, samples: samples.collect() }
    }

    #[test]
    fn telephone_speech_becomes_small_and_stays_what_it_is() {
        for (codec, at_most) in [(Codec::Pcma, 4), (Codec::Pcmu, 4), (Codec::G722, 3)] {
            let sound = speech(codec);
            let small = compact(&sound, 1).expect("a small form");
            let was = sound.duration().as_millis() as usize * 8;
            assert!(small.bytes.len() * at_most < was * 3 / 2, "{codec}: {} of {was} bytes", small.bytes.len());
            assert!(small.loudness.is_some_and(|lufs| (-30.0..-12.0).contains(&lufs)), "{:?}", small.loudness);
            let again = decode(&small.bytes).expect("a file");
            let level = |pcm: &Pcm| crate::level::dbfs(&pcm.samples);
            assert!((level(&again) - level(&sound)).abs() < 1.5, "{codec}: {} dB instead of {}", level(&again), level(&sound));
        }
    }

    #[test]
    fn silence_and_nothing_are_made_small_too() {
        for samples in [0, 1, 8_000] {
            let small = compact(&Pcm { rate: 8_000, samples: vec![0; samples] }, 1);
            assert!(small.is_ok_and(|small| small.loudness.is_none() && !small.bytes.is_empty()), "{samples}");
        }
    }

    #[test]
    fn another_sound_is_not_taken_for_the_same() {
        let sound = speech(Codec::Pcma);
        let small = compact(&sound, 1).expect("a small form");
        let half = Pcm { samples: sound.samples[..sound.samples.len() / 2].to_vec(), ..sound.clone() };
        assert!(verify(&small.bytes, &half, loudness(&half)).is_err());
        let quiet = Pcm { samples: sound.samples.iter().map(|sample| sample / 4).collect(), ..sound.clone() };
        assert!(verify(&small.bytes, &quiet, loudness(&quiet)).is_err());
        assert!(verify(&small.bytes[..200], &sound, loudness(&sound)).is_err());
    }
}

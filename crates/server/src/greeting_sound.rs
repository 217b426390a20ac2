//! What becomes of a sound file that somebody wants as a greeting: trimmed, as loud as it should be, Ogg-Opus.

use std::time::Duration;

use aftertone_media::{
    container::{self, Pcm},
    import::{self, ImportError, ImportLimits},
    level::{self, Peaks},
    resample::resample,
};
use aftertone_server_store::NewSound;

/// What stays of the silence at both ends.
const MARGIN: Duration = Duration::from_millis(150);
/// As loud as the greetings that come with the account, and speech on telephones.
const LOUDNESS_LUFS: f64 = -19.0;
/// Quieter than this all through, it is silence.
const AUDIBLE_DBFS: f32 = -55.0;
/// A deposit plays no longer greeting.
pub(crate) const LONGEST: Duration = Duration::from_secs(180);
/// Shorter ones, with what stays of the silence, are a click.
const SHORTEST: Duration = Duration::from_millis(600);

/// Why a file can't be a greeting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoundError {
    #[error("no sound that is known")]
    Unknown,
    #[error("nothing to be heard")]
    Silent,
    #[error("too long")]
    TooLong,
    #[error("can't be encoded")]
    Failed(#[source] anyhow::Error),
}

/// Takes some seconds of a core: not on a thread that others wait for.
pub(crate) fn make(bytes: &[u8]) -> Result<NewSound, SoundError> {
    let limits = ImportLimits { bytes: super::api::MAX_SOUND, duration: LONGEST };
    let mut pcm = import::import(bytes, limits).map_err(|error| match error {
        ImportError::TooLong(_) | ImportError::TooLarge(_) => SoundError::TooLong,
        ImportError::NoSound => SoundError::Silent,
        ImportError::UnknownFormat | ImportError::Container(_) | ImportError::Broken(_) | ImportError::Faulty => {
            SoundError::Unknown
        }
    })?;
    import::trim_silence(&mut pcm, MARGIN);
    if pcm.duration() < SHORTEST || !is_audible(&pcm) {
        return Err(SoundError::Silent);
    }
    import::normalise(&mut pcm, LOUDNESS_LUFS);
    let mut peaks = Peaks::new(pcm.rate);
    peaks.push(&pcm.samples);
    let bytes = container::encode_ogg_opus(&pcm).map_err(|error| SoundError::Failed(error.into()))?;
    let duration_ms = pcm.duration().as_millis().try_into().unwrap_or(u64::MAX);
    Ok(NewSound { bytes, codec: "opus".into(), media_type: "audio/ogg".into(), duration_ms, peaks: peaks.finish() })
}

/// What callers hear where no greeting of one's own is played: a WAV file of the account's with the spoken name before it.
pub(crate) fn account(greeting: &[u8], name: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
    let greeting = container::decode(greeting)?;
    let mut samples = Vec::new();
    if let Some(name) = name {
        let name = container::decode(name)?;
        samples = resample(&name.samples, name.rate, greeting.rate)?;
    }
    samples.extend(greeting.samples);
    Ok(container::wav_pcm16(&samples, greeting.rate))
}

/// Whether any 50 ms of it can be heard.
fn is_audible(pcm: &Pcm) -> bool {
    let window = (pcm.rate as usize / 20).max(1);
    pcm.samples.chunks(window).any(|chunk| level::dbfs(chunk) > AUDIBLE_DBFS)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// A second of silence, a tone of this length and level, and a second of silence.
    fn tone(seconds: f64, amplitude: f64) -> Vec<u8> {
        let rate = 16_000_u32;
        let sample = |n: u32| (f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin() * amplitude;
        let sound = (0..(seconds * f64::from(rate)) as u32).map(|n| sample(n) as i16);
        let silence = || std::iter::repeat_n(0_i16, rate as usize);
        container::wav_pcm16(&silence().chain(sound).chain(silence()).collect::<Vec<_>>(), rate)
    }

    #[test]
    fn a_recording_is_trimmed_and_as_loud_as_others() {
        for amplitude in [600.0, 6_000.0, 30_000.0] {
            let made = make(&tone(2.0, amplitude)).unwrap();
            assert!((2_200..=2_400).contains(&made.duration_ms), "{}", made.duration_ms);
            let pcm = container::decode_ogg_opus(&made.bytes).unwrap();
            let loudness = import::loudness(&pcm).unwrap();
            assert!((loudness - LOUDNESS_LUFS).abs() < 1.0, "{amplitude}: {loudness}");
            assert!(pcm.duration().abs_diff(Duration::from_millis(made.duration_ms)) < Duration::from_millis(2));
            assert_eq!(made.media_type, "audio/ogg");
            assert!(made.peaks.len() <= 120 && made.peaks.iter().any(|peak| *peak > 20));
        }
    }

    #[test]
    fn what_is_no_greeting_is_refused() {
        let refused = |bytes: &[u8]| make(bytes).map(|made| made.duration_ms).unwrap_err();
        assert!(matches!(refused(b"%PDF-1.7 and so on"), SoundError::Unknown));
        assert!(matches!(refused(b""), SoundError::Unknown));
        assert!(matches!(refused(&tone(2.0, 0.0)), SoundError::Silent));
        assert!(matches!(refused(&tone(0.1, 9_000.0)), SoundError::Silent));
        assert!(matches!(refused(&tone(181.0, 9_000.0)), SoundError::TooLong));
    }
}

//! Sound files of others: WAV, MP3, M4A (AAC), FLAC, Ogg with Vorbis or Opus. What comes out is bounded by what the caller
//! allows, whatever the file claims, so that a small file can't fill the memory. Also what makes such a sound fit for a
//! greeting: silence trimmed at its ends, and a loudness by EBU R 128.

use std::{io::Cursor, time::Duration};

use ebur128::{EbuR128, Mode};
use symphonia::{
    core::{
        codecs::audio::{AudioDecoder, AudioDecoderOptions},
        errors::Error as SymphoniaError,
        formats::{FormatReader, TrackType, probe::Hint},
        io::MediaSourceStream,
    },
    default::{get_codecs, get_probe},
};

use crate::container::{self, DecodeError, Pcm};

/// More channels than loudspeakers in a cinema are a broken header.
const MOST_CHANNELS: usize = 16;
/// Rates that a sound card could have.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// So many packets that decode to nothing are no sound any more.
const MOST_BROKEN: u32 = 1_000;

/// How much may come of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Of the file.
    pub bytes: usize,
    /// Of its sound.
    pub duration: Duration,
}

impl Default for ImportLimits {
    /// 32 MB and ten minutes.
    fn default() -> Self {
        Self { bytes: 32 << 20, duration: Duration::from_secs(600) }
    }
}

/// Why a file can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has too many bytes.
    #[error("the file is larger than {0} bytes")]
    TooLarge(usize),
    /// The sound lasts too long.
    #[error("the sound is longer than {0:?}")]
    TooLong(Duration),
    /// It is no sound file, or of a kind that isn't known.
    #[error("not a sound file that we know")]
    UnknownFormat,
    /// There is a track, but nothing could be decoded.
    #[error("there is no sound in it")]
    NoSound,
    /// One of the containers that messages live in, and broken.
    #[error(transparent)]
    Container(DecodeError),
    /// Its decoder failed where it should have said that the file is broken.
    #[error("it can't be decoded")]
    Faulty,
    /// Any other container, and broken.
    #[error("it can't be decoded")]
    Broken(#[source] SymphoniaError),
}

/// Decodes a file of any known kind to mono at the file's own rate.
///
/// # Errors
/// When it isn't a sound file, or more than `limits` allow.
pub fn import(bytes: &[u8], limits: ImportLimits) -> Result<Pcm, ImportError> {
    if bytes.len() > limits.bytes {
        return Err(ImportError::TooLarge(limits.bytes));
    }
    let is_opus =
        bytes.starts_with(b"OggS") && bytes.iter().take(256).copied().collect::<Vec<u8>>().windows(8).any(|w| w == b"OpusHead");
    let pcm = if is_opus {
        let most = (limits.duration.as_millis() * 48).try_into().unwrap_or(usize::MAX);
        container::decode_ogg_opus_up_to(bytes, most).map_err(|error| {
            let too_long = matches!(error, DecodeError::TooLong);
            if too_long { ImportError::TooLong(limits.duration) } else { ImportError::Container(error) }
        })?
    } else if let Ok(pcm) = container::decode_wav(bytes) {
        // A byte of it is two samples at most.
        pcm
    } else {
        // Hostile bytes may make a decoder panic, by arithmetic that overflows for one: that costs the file, not the program.
        std::panic::catch_unwind(|| foreign(bytes, limits.duration)).unwrap_or(Err(ImportError::Faulty))?
    };
    match pcm {
        pcm if pcm.samples.is_empty() => Err(ImportError::NoSound),
        pcm if pcm.duration() > limits.duration => Err(ImportError::TooLong(limits.duration)),
        pcm => Ok(pcm),
    }
}

fn foreign(bytes: &[u8], longest: Duration) -> Result<Pcm, ImportError> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), Default::default());
    let format = get_probe().probe(&Hint::new(), source, Default::default(), Default::default());
    let mut format = format.map_err(|_| ImportError::UnknownFormat)?;
    let track = format.default_track(TrackType::Audio).ok_or(ImportError::NoSound)?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio()).ok_or(ImportError::NoSound)?;
    let decoder = get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default()).map_err(ImportError::Broken)?;
    let track = track.id;
    decode_track(format.as_mut(), decoder, track, longest)
}

fn decode_track(
    format: &mut dyn FormatReader,
    mut decoder: Box<dyn AudioDecoder>,
    track: u32,
    longest: Duration,
) -> Result<Pcm, ImportError> {
    let (mut pcm, mut broken, mut interleaved) = (Pcm { samples: Vec::new(), rate: 0 }, 0, Vec::<f32>::new());
    // A file that ends early is decoded as far as it goes.
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id != track {
            continue;
        }
        let Ok(decoded) = decoder.decode(&packet) else {
            broken += 1;
            if broken > MOST_BROKEN {
                break;
            }
            continue;
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.num_planes());
        if pcm.rate == 0 && RATES.contains(&rate) {
            pcm.rate = rate;
        }
        if rate != pcm.rate || !(1..=MOST_CHANNELS).contains(&channels) {
            break;
        }
        decoded.copy_to_vec_interleaved(&mut interleaved);
        let mix = |frame: &[f32]| (frame.iter().sum::<f32>() / channels as f32 * 32_767.0).clamp(-32_768.0, 32_767.0) as i16;
        pcm.samples.extend(interleaved.chunks_exact(channels).map(mix));
        if pcm.duration() > longest {
            return Err(ImportError::TooLong(longest));
        }
    }
    Ok(pcm)
}

/// A sound's loudness in LUFS (EBU R 128, gated); `None` for silence and for less than 0.4 s.
#[must_use]
pub fn loudness(pcm: &Pcm) -> Option<f64> {
    let mut meter = EbuR128::new(1, pcm.rate, Mode::I).ok()?;
    meter.add_frames_i16(&pcm.samples).ok()?;
    meter.loudness_global().ok().filter(|lufs| lufs.is_finite())
}

/// Brings a sound to a loudness (EBU R 128 itself wants -23 LUFS; beside speech on telephones -19 is usual), as far as its
/// peaks stay 1 dB below full scale and noise isn't raised by more than 20 dB.
pub fn normalise(pcm: &mut Pcm, target: f64) {
    let Some(now) = loudness(pcm) else { return };
    let peak = pcm.samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0).max(1);
    let headroom = 20.0 * (32_767.0 / f64::from(peak)).log10() - 1.0;
    let gain = 10f64.powf((target - now).min(headroom).min(20.0) / 20.0);
    for sample in &mut pcm.samples {
        *sample = (f64::from(*sample) * gain).round().clamp(-32_768.0, 32_767.0) as i16;
    }
}

/// Cuts silence off both ends, all but `margin` of it. A sound that is silent all through is left as it is.
pub fn trim_silence(pcm: &mut Pcm, margin: Duration) {
    let window = (pcm.rate as usize / 100).max(1);
    let levels: Vec<f32> = pcm.samples.chunks(window).map(crate::level::dbfs).collect();
    let loudest = levels.iter().copied().fold(-96.0, f32::max);
    // 35 dB below the loudest moment nothing is said, and -60 dBFS is silence in any case.
    let threshold = (loudest - 35.0).max(-60.0);
    let (Some(first), Some(last)) =
        (levels.iter().position(|level| *level > threshold), levels.iter().rposition(|level| *level > threshold))
    else {
        return;
    };
    let margin = (margin.as_millis() * u128::from(pcm.rate) / 1_000) as usize;
    let end = ((last + 1) * window).saturating_add(margin).min(pcm.samples.len());
    pcm.samples.truncate(end);
    pcm.samples.drain(..(first * window).saturating_sub(margin).min(end));
}

#[cfg(test)]
mod tests;

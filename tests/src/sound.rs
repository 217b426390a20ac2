//! Ears: what arrived of what was said.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use realfft::RealFftPlanner;

/// Rate of everything that is measured here, in Hz: the telephone's.
pub const RATE: u32 = 8000;

/// What is looked at together, in seconds.
const FRAME_S: f64 = 0.02;

/// Mono sound at [`RATE`].
#[derive(Debug, Clone, Default)]
pub struct Sound(pub Vec<i16>);

impl Sound {
    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.len() as f64 / f64::from(RATE)
    }

    /// That many seconds of silence.
    #[must_use]
    pub fn silence(seconds: f64) -> Self {
        Self(vec![0; samples(seconds)])
    }

    /// The # key as its two tones, for 150 ms.
    #[must_use]
    pub fn hash_key() -> Self {
        let wave = |tone: f64, n: usize| (std::f64::consts::TAU * tone * n as f64 / f64::from(RATE)).sin();
        Self((0..samples(0.15)).map(|n| (3_000.0 * wave(941.0, n) + 3_500.0 * wave(1477.0, n)) as i16).collect())
    }

    /// This, and then `other`.
    #[must_use]
    pub fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// The part from `from` seconds on, at most `seconds` long.
    #[must_use]
    pub fn part(&self, from: f64, seconds: f64) -> Self {
        let start = samples(from.max(0.0)).min(self.0.len());
        let end = (start + samples(seconds)).min(self.0.len());
        Self(self.0[start..end].to_vec())
    }

    /// Writes it as WAV, 16 bit, mono.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let spec =
            hound::WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).with_context(|| format!("writing {}", path.display()))?;
        for sample in &self.0 {
            writer.write_sample(*sample)?;
        }
        Ok(writer.finalize()?)
    }

    /// Reads a WAV file of 16-bit samples at 8, 16 or 48 kHz, mixed to mono.
    ///
    /// # Errors
    /// Where it is none.
    pub fn load(path: &Path) -> Result<Self> {
        let mut reader = hound::WavReader::open(path).with_context(|| format!("reading {}", path.display()))?;
        let spec = reader.spec();
        let channels = usize::from(spec.channels.max(1));
        // A file that another program still writes has a length of zero in its header: what is there counts.
        let mut all: Vec<i16> = Vec::new();
        for sample in reader.samples::<i16>() {
            let Ok(sample) = sample else { break };
            all.push(sample);
        }
        let mono: Vec<i16> = all
            .chunks_exact(channels)
            .map(|frame| (frame.iter().map(|s| i32::from(*s)).sum::<i32>() / channels as i32) as i16)
            .collect();
        Ok(Self(to_rate(&mono, spec.sample_rate)?))
    }

    /// Reads a WAV file of G.711, µ-law, at 8 kHz, as messages of telephones are: RFC 2361's format 7.
    ///
    /// # Errors
    /// Where it is none.
    pub fn load_mu_law(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let chunk = |name: &[u8]| bytes.windows(4).position(|four| four == name).map(|at| at + 8).context("a part is missing");
        let (format, data) = (chunk(b"fmt ")?, chunk(b"data")?);
        ensure!(bytes.starts_with(b"RIFF") && bytes.get(format..format + 4) == Some(&[7, 0, 1, 0]), "no µ-law in mono");
        ensure!(bytes.get(format + 4..format + 8) == Some(&RATE.to_le_bytes()), "another rate");
        let length = u32::from_le_bytes(bytes[data - 4..data].try_into()?) as usize;
        let codes = bytes.get(data..data + length).context("shorter than it says")?;
        Ok(Self(codes.iter().map(|code| linear(*code)).collect()))
    }

    /// This, over and over, for so many seconds.
    #[must_use]
    pub fn repeated(&self, seconds: f64) -> Self {
        Self(self.0.iter().copied().cycle().take(samples(seconds)).collect())
    }

    /// What a perfect line of G.711, µ-law, leaves of it.
    #[must_use]
    pub fn in_mu_law(&self) -> Self {
        Self(self.0.iter().map(|sample| linear(mu_law(*sample))).collect())
    }

    /// A tone of `frequency` Hz.
    #[must_use]
    pub fn tone(frequency: f64, seconds: f64) -> Self {
        let step = std::f64::consts::TAU * frequency / f64::from(RATE);
        Self((0..samples(seconds)).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect())
    }

    /// Where it sounds: for each 20 ms whether they are louder than -45 dBFS.
    #[must_use]
    pub fn sounding(&self) -> Vec<bool> {
        self.0.chunks_exact(samples(FRAME_S)).map(|frame| Sound(frame.to_vec()).level() > -45.0).collect()
    }

    /// How many seconds lie between its first and its last sound that is louder than -45 dBFS.
    #[must_use]
    pub fn sounding_s(&self) -> f64 {
        let frames = self.sounding();
        let (first, last) = (frames.iter().position(|loud| *loud), frames.iter().rposition(|loud| *loud));
        first.zip(last).map_or(0.0, |(first, last)| (last - first + 1) as f64 * FRAME_S)
    }

    /// The longest silence between two sounds, in seconds.
    #[must_use]
    pub fn longest_pause_s(&self) -> f64 {
        let frames = self.sounding();
        let within = frames.split(|loud| *loud).skip(1).map(<[bool]>::len).collect::<Vec<_>>();
        // What follows the last sound lies between no two.
        within.split_last().map_or(0, |(_, between)| between.iter().copied().max().unwrap_or(0)) as f64 * FRAME_S
    }

    /// The frequency of a single tone in Hz: the median of how often tenths of a second that sound throughout cross zero.
    #[must_use]
    pub fn pitch(&self) -> f64 {
        let frames = self.sounding();
        let tenths =
            self.0.chunks_exact(samples(0.1)).zip(frames.chunks_exact(5)).filter(|(_, loud)| loud.iter().all(|loud| *loud));
        let crossings = |tenth: &[i16]| tenth.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        let mut pitches: Vec<f64> = tenths.map(|(tenth, _)| crossings(tenth) as f64 / 2.0 / 0.1).collect();
        pitches.sort_by(f64::total_cmp);
        pitches.get(pitches.len() / 2).copied().unwrap_or(0.0)
    }

    /// Level in dBFS (a full-scale square wave is 0).
    #[must_use]
    pub fn level(&self) -> f64 {
        let power: f64 = self.0.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / self.0.len().max(1) as f64;
        10.0 * (power.max(1.0) / 32768f64.powi(2)).log10()
    }
}

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}

/// PCM at `rate` brought to [`RATE`].
///
/// # Errors
/// Where the rate is not 8, 16 or 48 kHz.
pub fn to_rate(pcm: &[i16], rate: u32) -> Result<Vec<i16>> {
    ensure!(matches!(rate, 8000 | 16000 | 48000), "a rate of {rate} Hz is not expected here");
    let factor = (rate / RATE) as usize;
    if factor == 1 {
        return Ok(pcm.to_vec());
    }
    // A windowed sinc at the lower rate's half, long enough that no alias is heard by PESQ.
    let half = 24 * factor as isize;
    let kernel: Vec<f64> = (-half..=half)
        .map(|k| {
            let x = k as f64 / factor as f64;
            let sinc = if k == 0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
            let window = 0.5 + 0.5 * (std::f64::consts::PI * k as f64 / half as f64).cos();
            sinc * window / factor as f64
        })
        .collect();
    let convolve = |centre: usize| -> i16 {
        let sum: f64 = (-half..=half)
            .zip(&kernel)
            .filter_map(|(k, weight)| {
                let index = usize::try_from(centre as isize + k).ok()?;
                pcm.get(index).map(|sample| f64::from(*sample) * weight)
            })
            .sum();
        sum.round().clamp(-32768.0, 32767.0) as i16
    };
    Ok((0..pcm.len() / factor).map(|n| convolve(n * factor)).collect())
}

/// Real recorded speech: two of the LibriVox clips of Debian's `pocketsphinx-testdata` (public domain), one after the other.
///
/// # Errors
/// Where the package is missing.
pub fn speech() -> Result<Sound> {
    Ok(sentence()?.then(&reply()?))
}

/// One sentence of real recorded speech, 7.1 s.
///
/// # Errors
/// Where the package is missing.
pub fn sentence() -> Result<Sound> {
    clip("0870")
}

/// Another sentence of the same voice, 5.3 s.
///
/// # Errors
/// Where the package is missing.
pub fn reply() -> Result<Sound> {
    clip("0890")
}

fn clip(number: &str) -> Result<Sound> {
    let folder = PathBuf::from("/usr/share/pocketsphinx/test/data/librivox");
    let path = folder.join(format!("sense_and_sensibility_01_austen_64kb-{number}.wav"));
    Sound::load(&path).context("pocketsphinx-testdata is missing: cargo xtask setup")
}

/// A sound that comes with the product, by its file name in `assets`.
///
/// # Errors
/// Where there is none.
pub fn asset(name: &str) -> Result<Sound> {
    Sound::load(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets")).join(name))
}

/// How much sound a WAV file of 16-bit samples has by now, in seconds, whatever its header says: somebody still writes it.
///
/// # Errors
/// Where its format can't be read.
pub fn seconds_so_far(path: &Path) -> Result<f64> {
    let bytes = std::fs::read(path)?;
    let Some(start) = bytes.windows(4).position(|four| four == b"data").map(|at| at + 8) else { return Ok(0.0) };
    let spec = hound::WavReader::new(&bytes[..]).with_context(|| format!("reading {}", path.display()))?.spec();
    let frames = bytes.len().saturating_sub(start) / 2 / usize::from(spec.channels.max(1));
    Ok(frames as f64 / f64::from(spec.sample_rate))
}

/// What a WAV file of 16-bit samples, mono, has by now, whatever its header says: somebody still writes it.
///
/// # Errors
/// Where its format can't be read.
pub fn so_far(path: &Path) -> Result<Sound> {
    let bytes = std::fs::read(path)?;
    let Some(start) = bytes.windows(4).position(|four| four == b"data").map(|at| at + 8) else { return Ok(Sound::default()) };
    let spec = hound::WavReader::new(&bytes[..]).with_context(|| format!("reading {}", path.display()))?.spec();
    let samples = bytes.get(start..).unwrap_or_default().chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
    Ok(Sound(to_rate(&samples.collect::<Vec<_>>(), spec.sample_rate)?))
}

/// ITU-T G.711, µ-law: one linear sample as its code.
#[must_use]
pub fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = i32::from(sample).unsigned_abs().min(32635) + 132;
    let exponent = 24u32.saturating_sub(magnitude.leading_zeros()).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// One sample of its code.
fn linear(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i32::from(code & 0x0f) << 3) + 132) << ((code >> 4) & 7);
    let sample = (magnitude - 132) as i16;
    if code & 0x80 == 0 { sample } else { -sample }
}

/// Where `wanted` lies in `sound`, in seconds from its beginning: the highest cross-correlation.
#[must_use]
pub fn find(wanted: &Sound, sound: &Sound) -> f64 {
    let size = (wanted.0.len() + sound.0.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, backward) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let spectrum = |sound: &Sound| {
        let mut time: Vec<f64> = sound.0.iter().map(|s| f64::from(*s)).collect();
        time.resize(size, 0.0);
        let mut frequency = forward.make_output_vec();
        forward.process(&mut time, &mut frequency).map(|()| frequency)
    };
    let (Ok(wanted_f), Ok(mut product)) = (spectrum(wanted), spectrum(sound)) else { return 0.0 };
    for (value, other) in product.iter_mut().zip(&wanted_f) {
        *value *= other.conj();
    }
    // The ends of a real spectrum are real; rounding must not leave anything else there.
    for end in [0, size / 2] {
        product[end].im = 0.0;
    }
    let mut correlation = backward.make_output_vec();
    if backward.process(&mut product, &mut correlation).is_err() {
        return 0.0;
    }
    let best = (0..size).max_by(|a, b| correlation[*a].total_cmp(&correlation[*b])).unwrap_or(0);
    // What begins behind the end of the sound begins before its beginning: the correlation is circular.
    let lag = if best >= sound.0.len() { best as f64 - size as f64 } else { best as f64 };
    lag / f64::from(RATE)
}

/// How like `wanted` the best fitting place of `sound` is: 1 is the same but for its volume, 0 has nothing to do with it. What
/// came over a good line of G.711 has more than 0.9, other speech or music less than 0.3.
#[must_use]
pub fn likeness(wanted: &Sound, sound: &Sound) -> f64 {
    let lag = find(wanted, sound);
    let there = if lag >= 0.0 { sound.part(lag, wanted.seconds()) } else { Sound::silence(-lag).then(sound) };
    let pairs = || wanted.0.iter().zip(&there.0).map(|(one, other)| (f64::from(*one), f64::from(*other)));
    let (product, one, other) =
        pairs().fold((0.0, 0.0, 0.0), |(product, one, other), (a, b)| (product + a * b, one + a * a, other + b * b));
    if one == 0.0 || other == 0.0 { 0.0 } else { product / (one * other).sqrt() }
}

/// What a listener would say of `got`, against what was `sent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// PESQ, narrow-band, as MOS-LQO (ITU-T P.862 and P.862.1).
    pub pesq: f64,
    /// Where the speech begins in what was got, in seconds.
    pub offset_s: f64,
    /// How much longer (or shorter) the speech came out than it went in, in seconds: gaps, drop-outs, drift.
    pub stretch_s: f64,
}

/// Measures the speech `sent` inside `got`.
///
/// # Errors
/// Where less than two seconds are common, or PESQ refuses.
pub fn quality(sent: &Sound, got: &Sound) -> Result<Quality> {
    let head = sent.part(0.0, 2.5);
    let tail = sent.part(sent.seconds() - 2.5, 2.5);
    let offset_s = find(&head, got);
    let tail_s = find(&tail, got) - (sent.seconds() - tail.seconds());
    let from = if offset_s >= 0.0 { got.part(offset_s, sent.seconds()) } else { Sound::silence(-offset_s).then(got) };
    let common = from.0.len().min(sent.0.len());
    ensure!(common >= 2 * RATE as usize, "only {common} samples in common, at {offset_s:.2} s");
    let raw = pesq::pesq_8k(&sent.0[..common], &from.0[..common]).map_err(|error| anyhow::anyhow!("PESQ: {error:?}"))?;
    Ok(Quality { pesq: f64::from(pesq::score::mos_lqo(f64::from(raw))), offset_s, stretch_s: tail_s - offset_s })
}

/// Where the last tone of `frequency` Hz ends, in seconds: of the greeting's beep, for one.
#[must_use]
pub fn tone_end(sound: &Sound, frequency: f64) -> Option<f64> {
    const WINDOW: usize = 160;
    let tonal = |frame: &[i16]| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        let step = 2.0 * std::f64::consts::PI * frequency / f64::from(RATE);
        let (re, im) = frame.iter().enumerate().fold((0.0, 0.0), |(re, im), (n, s)| {
            let angle = step * n as f64;
            (re + f64::from(*s) * angle.cos(), im + f64::from(*s) * angle.sin())
        });
        energy > 1e6 && 2.0 * (re * re + im * im) / (frame.len() as f64 * energy) > 0.8
    };
    let last = sound.0.chunks_exact(WINDOW).rposition(tonal)?;
    Some(((last + 1) * WINDOW) as f64 / f64::from(RATE))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_said_is_told_from_what_was_not() {
        let (sentence, reply) = (super::sentence().expect("speech"), super::reply().expect("speech"));
        let line = super::Sound::silence(1.3).then(&sentence.in_mu_law());
        let part = sentence.part(0.3, 2.0);
        assert!(super::likeness(&part, &line) > 0.9);
        assert!(super::likeness(&part, &super::Sound::silence(1.0).then(&reply)) < 0.3);
        assert_eq!(super::likeness(&part, &super::Sound::silence(3.0)), 0.0);
    }

    use super::*;

    #[test]
    fn speech_is_found_and_judged() -> Result<()> {
        let speech = speech()?;
        let late = Sound::silence(1.25).then(&speech);
        let clean = quality(&speech, &late)?;
        assert!((clean.offset_s - 1.25).abs() < 0.001, "{clean:?}");
        assert!(clean.pesq > 4.4 && clean.stretch_s.abs() < 0.001, "{clean:?}");

        let mut broken = late.clone();
        broken.0.chunks_mut(800).step_by(3).for_each(|chunk| chunk.fill(0));
        let broken = quality(&speech, &broken)?;
        assert!(broken.pesq < 3.0, "a third missing must be heard: {broken:?}");
        Ok(())
    }

    #[test]
    fn the_end_of_a_beep_is_found() {
        let beep: Vec<i16> = (0..3200).map(|n| (8000.0 * (f64::from(n) * std::f64::consts::FRAC_PI_4).sin()) as i16).collect();
        let sound = Sound::silence(2.0).then(&Sound(beep)).then(&Sound::silence(1.0));
        let end = tone_end(&sound, 1000.0).unwrap_or_default();
        assert!((end - 2.4).abs() <= 0.03, "{end}");
    }

    #[test]
    fn tones_and_pauses_are_measured() {
        let tone = Sound::tone(440.0, 1.5);
        let sound = Sound::silence(1.0).then(&tone).then(&Sound::silence(0.8)).then(&tone).then(&Sound::silence(3.0));
        assert!((sound.pitch() - 440.0).abs() < 8.0, "{}", sound.pitch());
        assert!((sound.sounding_s() - 3.8).abs() < 0.05, "{}", sound.sounding_s());
        assert!((sound.longest_pause_s() - 0.8).abs() < 0.05, "{}", sound.longest_pause_s());
        assert!((Sound::silence(1.0).longest_pause_s()).abs() < f64::EPSILON);
    }

    #[test]
    fn codes_are_those_of_g711() {
        assert_eq!([mu_law(0), mu_law(32767), mu_law(-32768), mu_law(1000)], [0xff, 0x80, 0x00, 0xce]);
        assert_eq!([linear(0xff), linear(0x80), linear(0x00), linear(0xce)], [0, 32124, -32124, 988]);
    }
}

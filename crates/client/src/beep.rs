//! Hears where the mailbox's beep ends.

use crate::{FRAME_SAMPLES, Frame};

/// Shorter tones are no beep: a vowel may be as pure for a moment.
const SHORTEST_FRAMES: u32 = 18;
/// So much without the tone, and it is over.
const AFTER_FRAMES: u32 = 5;
/// Every sixth sample: 8 kHz, at which neighbouring samples of speech differ enough.
const STEP: usize = 6;
/// About -46 dBFS.
const QUIETEST: f64 = 160.0;
/// A beep keeps its pitch.
const DRIFT: f64 = 0.03;
/// How much of the energy the best single tone may leave unexplained.
const IMPURITY: f64 = 0.02;

/// Fed with what is heard, ten milliseconds at a time.
#[derive(Debug, Default)]
pub(crate) struct BeepDetector {
    frames: u32,
    quiet: u32,
    pitch: f64,
    over: bool,
}

impl BeepDetector {
    /// Takes ten milliseconds; `true` from the moment on when a beep has ended.
    pub(crate) fn hear(&mut self, frame: &Frame) -> bool {
        match pitch(frame) {
            Some(pitch) if self.frames == 0 || (pitch - self.pitch).abs() < self.pitch * DRIFT => {
                self.pitch = pitch;
                self.frames += 1;
                self.quiet = 0;
            }
            Some(_) | None if self.frames >= SHORTEST_FRAMES => {
                self.quiet += 1;
                self.over |= self.quiet >= AFTER_FRAMES;
            }
            Some(pitch) => (self.frames, self.pitch) = (1, pitch),
            None => self.frames = 0,
        }
        self.over
    }
}

/// The pitch in hertz of a frame that is one pure tone.
///
/// A tone obeys `x[n] + x[n-2] = 2 cos(w) x[n-1]`: the `w` that fits best leaves almost nothing, for a tone alone.
fn pitch(frame: &Frame) -> Option<f64> {
    let samples: Vec<f64> =
        frame.chunks(STEP).map(|chunk| chunk.iter().map(|s| f64::from(*s)).sum::<f64>() / STEP as f64).collect();
    debug_assert_eq!(samples.len(), FRAME_SAMPLES / STEP, "whole frames");
    let (mut product, mut middle, mut outer) = (0.0, 0.0, 0.0);
    for window in samples.windows(3) {
        let sum = window[0] + window[2];
        product += window[1] * sum;
        middle += window[1] * window[1];
        outer += sum * sum;
    }
    let loudness = (middle / samples.len() as f64).sqrt();
    if loudness < QUIETEST {
        return None;
    }
    let factor = product / middle;
    let left = (outer - factor * product) / middle;
    let cosine = factor / 2.0;
    // Below 600 Hz a drawn-out vowel can be as pure; above 2.5 kHz no mailbox beeps.
    let hertz = cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::TAU * 8_000.0;
    (left < IMPURITY && (600.0..2_500.0).contains(&hertz)).then_some(hertz)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use aftertone_media::{
        Codec,
        codec::{Decoder, Encoder},
        resample::resample,
    };

    use super::*;

    fn tone(hertz: f64, from: usize) -> Frame {
        std::array::from_fn(|i| (((from + i) as f64 * hertz * std::f64::consts::TAU / 48_000.0).sin() * 8_000.0) as i16)
    }

    /// Two tones at once, which is what voiced speech looks like to the detector.
    fn voice(from: usize) -> Frame {
        let (a, b) = (tone(220.0, from), tone(1_130.0, from));
        std::array::from_fn(|i| a[i] / 2 + b[i] / 2)
    }

    fn ends_after(frames: impl IntoIterator<Item = Frame>) -> Option<usize> {
        let mut detector = BeepDetector::default();
        frames.into_iter().position(|frame| detector.hear(&frame))
    }

    #[test]
    fn a_beep_ends_when_silence_follows() {
        for hertz in [700.0, 1_000.0, 1_400.0, 2_000.0] {
            let beep = (0..30).map(|n| tone(hertz, n * FRAME_SAMPLES));
            let silence = std::iter::repeat_n([0; FRAME_SAMPLES], 20);
            assert_eq!(ends_after(beep.chain(silence)), Some(34), "{hertz} Hz");
        }
    }

    #[test]
    fn a_beep_after_a_greeting_is_heard() {
        let greeting = (0..200).map(|n| voice(n * FRAME_SAMPLES));
        let beep = (200..230).map(|n| tone(1_000.0, n * FRAME_SAMPLES));
        let silence = std::iter::repeat_n([0; FRAME_SAMPLES], 20);
        assert_eq!(ends_after(greeting.chain(beep).chain(silence)), Some(234));
    }

    /// Each of the built-in voices through each codec, with and without the beep behind it.
    #[test]
    fn the_built_in_voices_are_no_beep_and_the_real_beep_is_one() {
        let voices: [&[u8]; 3] = [
            include_bytes!("../../../assets/greeting-en.wav"),
            include_bytes!("../../../assets/greeting-de.wav"),
            include_bytes!("../../../assets/test-message.wav"),
        ];
        for (voice, codec) in voices.iter().flat_map(|voice| Codec::ALL.map(|codec| (voice, codec))) {
            let mut pcm = coded(&crate::decode_file(voice).unwrap(), codec);
            assert_eq!(ends_after(frames(&pcm)), None, "{codec}");
            let beep = coded(&aftertone_media::tones::beep(48_000), codec);
            pcm.extend(beep);
            let beep_ends = pcm.len() / FRAME_SAMPLES;
            pcm.extend([0; 48_000]);
            let heard = ends_after(frames(&pcm)).unwrap();
            assert!((beep_ends..beep_ends + 15).contains(&heard), "{codec}: {heard}, {beep_ends}");
        }
    }

    fn frames(pcm: &[i16]) -> Vec<Frame> {
        pcm.chunks_exact(FRAME_SAMPLES).map(|chunk| chunk.try_into().unwrap()).collect()
    }

    /// As it sounds at the other end of a codec.
    fn coded(pcm: &[i16], codec: Codec) -> Vec<i16> {
        let (mut encoder, mut decoder) = (Encoder::new(codec).unwrap(), Decoder::new(codec).unwrap());
        let narrow = resample(pcm, 48_000, encoder.sample_rate()).unwrap();
        let coded: Vec<i16> =
            narrow.chunks_exact(codec.frame()).flat_map(|f| decoder.decode(&encoder.encode(f).unwrap()).unwrap()).collect();
        resample(&coded, decoder.sample_rate(), 48_000).unwrap()
    }

    #[test]
    fn speech_silence_and_a_lasting_tone_are_no_beep() {
        assert_eq!(ends_after((0..300).map(|n| voice(n * FRAME_SAMPLES))), None);
        assert_eq!(ends_after(std::iter::repeat_n([0; FRAME_SAMPLES], 300)), None);
        assert_eq!(ends_after((0..300).map(|n| tone(1_000.0, n * FRAME_SAMPLES))), None);
    }
}

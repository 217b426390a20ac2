//! Listening faster or slower at the same pitch, and without the pauses.
//!
//! Waveform-similarity overlap-add (Verhelst and Roelands, ICASSP 1993): the sound is taken up again where it looks most
//! like what would have come next, and both are cross-faded. A jump over a pause is the same with a longer way.

use std::{ops::Range, time::Duration};

use crate::level::SoundDetector;

/// What one step gives.
const STEP: Duration = Duration::from_millis(15);
/// The best place to go on is looked for so far in both directions: a period of the deepest voice.
const REACH: Duration = Duration::from_millis(10);
/// The first look is at every so many-th sample and place; the second at all around the best.
const COARSE: usize = 6;
/// Shorter pauses belong to speech.
const LEAST_PAUSE: Duration = Duration::from_millis(700);
/// What stays of a pause before and after it: sounds fade in and out, and a word needs a breath before it.
const KEPT: Duration = Duration::from_millis(180);

/// Reads sound that is wholly at hand at another speed.
#[derive(Debug)]
pub struct Stretch {
    step: usize,
    reach: usize,
    /// Where the sound would go on that was given last.
    natural: Option<usize>,
}

impl Stretch {
    /// For sound at `rate` Hz.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let samples = |duration: Duration| (duration.as_millis() as usize * rate as usize) / 1000;
        Self { step: samples(STEP), reach: samples(REACH), natural: None }
    }

    /// Adds the next 15 ms to `out`, read from `pcm` at `position` with `percent` of its speed, and says where to read
    /// next. A position that doesn't follow the last one is faded to. At the end it adds less, and then nothing.
    pub fn read(&mut self, pcm: &[i16], position: usize, percent: u16, out: &mut Vec<i16>) -> usize {
        let position = position.min(pcm.len());
        let from = self.natural.unwrap_or(position);
        let is_straight = percent == 100 && from == position;
        if is_straight || position + self.step > pcm.len() || from + self.step > pcm.len() {
            // At the end there is nothing left to fade to.
            let start = if from.abs_diff(position) <= self.step + self.reach { from } else { position };
            let end = (start + self.step).min(pcm.len());
            out.extend_from_slice(&pcm[start..end]);
            self.natural = Some(end);
            return end;
        }
        let target = self.best(pcm, from, position);
        for index in 0..self.step {
            let (a, b) = (i32::from(pcm[from + index]), i32::from(pcm[target + index]));
            let (index, step) = (index as i32, self.step as i32);
            // Both are alike, so their amplitudes are weighed and not their powers.
            out.push(((a * (step - index) + b * index) / step) as i16);
        }
        let natural = target + self.step;
        self.natural = Some(natural);
        if percent == 100 { natural } else { position + self.step * usize::from(percent) / 100 }
    }

    /// Where around `position` the sound looks most like what is at `from`.
    fn best(&self, pcm: &[i16], from: usize, position: usize) -> usize {
        let last = pcm.len() - self.step;
        let places = position.saturating_sub(self.reach)..=(position + self.reach).min(last);
        let wanted = &pcm[from..from + self.step];
        let coarse = places.clone().step_by(COARSE).map(|place| (likeness(wanted, &pcm[place..], COARSE), place));
        let near = coarse.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(position.min(last), |(_, place)| place);
        let around = near.saturating_sub(COARSE - 1).max(*places.start())..=(near + COARSE - 1).min(*places.end());
        let fine = around.map(|place| (likeness(wanted, &pcm[place..], 2), place));
        fine.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(near, |(_, place)| place)
    }
}

/// The normalised correlation of two pieces of sound, by every `stride`-th sample.
fn likeness(wanted: &[i16], found: &[i16], stride: usize) -> f32 {
    let pairs = wanted.iter().step_by(stride).zip(found.iter().step_by(stride));
    let (product, power) = pairs.fold((0.0f32, 1.0f32), |(product, power), (&a, &b)| {
        let (a, b) = (f32::from(a), f32::from(b));
        (a.mul_add(b, product), b.mul_add(b, power))
    });
    product / power.sqrt()
}

/// What may be left out of sound at `rate` Hz: long silence between words, at the beginning and at the end, in order.
#[must_use]
pub fn pauses(pcm: &[i16], rate: u32) -> Vec<Range<usize>> {
    let samples = |duration: Duration| (duration.as_millis() as usize * rate as usize) / 1000;
    let (least, kept) = (samples(LEAST_PAUSE), samples(KEPT));
    let mut detector = SoundDetector::new(rate);
    let mut found = Vec::new();
    let mut silent_since = 0;
    let mut add = |since: usize, until: usize| {
        if until.saturating_sub(since) >= least {
            found.push(since + kept..until - kept);
        }
    };
    for (number, frame) in pcm.chunks(samples(Duration::from_millis(20)).max(1)).enumerate() {
        let (start, sound) = (number * frame.len(), detector.sound());
        detector.push(frame);
        if detector.sound() > sound {
            add(silent_since, start);
            silent_since = start + frame.len();
        }
    }
    add(silent_since, pcm.len());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn tone(hertz: f32, seconds: f32) -> Vec<i16> {
        let count = (seconds * RATE as f32) as usize;
        (0..count).map(|n| ((n as f32 / RATE as f32 * hertz * std::f32::consts::TAU).sin() * 12_000.0) as i16).collect()
    }

    fn read_all(pcm: &[i16], percent: u16) -> Vec<i16> {
        let (mut stretch, mut out, mut position) = (Stretch::new(RATE), Vec::new(), 0);
        while position < pcm.len() {
            position = stretch.read(pcm, position, percent, &mut out);
        }
        out
    }

    /// By its zero crossings.
    fn pitch(pcm: &[i16]) -> f32 {
        let crossings = pcm.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        crossings as f32 * RATE as f32 / pcm.len() as f32
    }

    #[test]
    fn the_length_changes_and_the_pitch_stays() {
        let pcm = tone(220.0, 3.0);
        for percent in [75, 100, 125, 150, 200] {
            let out = read_all(&pcm, percent);
            let expected = pcm.len() as f32 * 100.0 / f32::from(percent);
            assert!((out.len() as f32 / expected - 1.0).abs() < 0.02, "{percent}: {} and {expected}", out.len());
            assert!((pitch(&out) - 220.0).abs() < 3.0, "{percent}: {} Hz", pitch(&out));
            let jump = out.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
            assert!(jump < Some(700), "{percent}: a click of {jump:?}");
        }
    }

    #[test]
    fn at_its_own_speed_nothing_is_touched() {
        let pcm = tone(317.0, 0.5);
        assert_eq!(read_all(&pcm, 100), pcm);
    }

    #[test]
    fn a_jump_is_faded_to() {
        let mut pcm = tone(200.0, 1.0);
        pcm.extend(std::iter::repeat_n(0, RATE as usize));
        let (mut stretch, mut out) = (Stretch::new(RATE), Vec::new());
        let position = stretch.read(&pcm, 1010, 100, &mut out);
        let next = stretch.read(&pcm, pcm.len() - 9_600, 100, &mut out);
        assert_eq!(position, 1010 + 720);
        assert!(next > pcm.len() - 9_600);
        let jump = out.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
        assert!(jump < Some(700), "a click of {jump:?}");
    }

    #[test]
    fn long_pauses_are_found_and_short_ones_kept() {
        let silence = |seconds: f32| vec![0i16; (seconds * RATE as f32) as usize];
        let pcm = [silence(1.0), tone(300.0, 1.0), silence(0.4), tone(300.0, 1.0), silence(2.0), tone(300.0, 0.5)].concat();
        let found = pauses(&pcm, RATE);
        let seconds: Vec<_> = found.iter().map(|span| [span.start, span.end].map(|at| at as f32 / RATE as f32)).collect();
        assert_eq!(seconds.len(), 2, "{seconds:?}");
        let expected = [[0.18, 0.82], [3.58, 5.22]];
        for (found, expected) in seconds.iter().flatten().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 0.1, "{seconds:?}");
        }
        assert!(pauses(&tone(300.0, 2.0), RATE).is_empty());
    }
}

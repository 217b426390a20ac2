//! Tones that a line makes: beeps, and the German call progress tones (ITU-T E.180 and its supplement 2: 425 Hz).

use std::f32::consts::TAU;

/// About -14 dBFS, quiet enough beside speech.
const LEVEL: f32 = 0.2;
/// Rising and falling in 5 ms, so that nothing clicks.
const RAMP_MS: u32 = 5;

/// A sound that repeats: one frequency, switched on and off.
#[derive(Debug, Clone)]
pub struct Tone {
    rate: u32,
    frequency: f32,
    /// Milliseconds on and off in turn.
    cadence: &'static [u32],
    repeats: bool,
    /// Samples since the start of the cadence.
    at: u32,
    done: bool,
}

impl Tone {
    fn new(rate: u32, frequency: f32, cadence: &'static [u32], repeats: bool) -> Self {
        Self { rate, frequency, cadence, repeats, at: 0, done: false }
    }

    /// Ring back, what the caller hears while it rings: 1 s on, 4 s off.
    #[must_use]
    pub fn ring_back(rate: u32) -> Self {
        Self::new(rate, 425.0, &[1_000, 4_000], true)
    }

    /// Busy: 480 ms on, 480 ms off.
    #[must_use]
    pub fn busy(rate: u32) -> Self {
        Self::new(rate, 425.0, &[480, 480], true)
    }

    /// Congestion, when a call fails: 240 ms on, 240 ms off.
    #[must_use]
    pub fn congestion(rate: u32) -> Self {
        Self::new(rate, 425.0, &[240, 240], true)
    }

    /// Call waiting: 200 ms on, 200 ms off, 200 ms on, 5 s off.
    #[must_use]
    pub fn call_waiting(rate: u32) -> Self {
        Self::new(rate, 425.0, &[200, 200, 200, 5_000], true)
    }

    /// The beep after a greeting, once: 1000 Hz for 400 ms.
    #[must_use]
    pub fn beep(rate: u32) -> Self {
        Self::new(rate, 1_000.0, &[400], false)
    }

    /// The warning before a recording's end, once: two short beeps of 1400 Hz.
    #[must_use]
    pub fn warning_beep(rate: u32) -> Self {
        Self::new(rate, 1_400.0, &[120, 80, 120], false)
    }

    /// The recorder warning tone, by which the other end knows that it is recorded: 1400 Hz for half a second, every 15 s (US
    /// Federal Standard 1037C).
    #[must_use]
    pub fn recording(rate: u32) -> Self {
        Self::new(rate, 1_400.0, &[500, 14_500], true)
    }

    /// Whether a tone that doesn't repeat is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.done
    }

    /// Overwrites `pcm` with what follows; silence when the tone is over.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        pcm.iter_mut().for_each(|sample| *sample = self.next_sample());
    }

    /// All of a tone that doesn't repeat, or one period of one that does.
    #[must_use]
    pub fn once(mut self) -> Vec<i16> {
        let milliseconds: u32 = self.cadence.iter().sum();
        let mut pcm = vec![0; self.samples(milliseconds) as usize];
        self.fill(&mut pcm);
        pcm
    }

    fn samples(&self, ms: u32) -> u32 {
        (u64::from(self.rate) * u64::from(ms) / 1_000) as u32
    }

    fn next_sample(&mut self) -> i16 {
        if self.done {
            return 0;
        }
        let sample = self.sample_at(self.at);
        self.at += 1;
        if self.at >= self.samples(self.cadence.iter().sum()) {
            self.at = 0;
            self.done = !self.repeats;
        }
        sample
    }

    fn sample_at(&self, at: u32) -> i16 {
        let mut start = 0;
        for (index, &ms) in self.cadence.iter().enumerate() {
            let length = self.samples(ms);
            if at < start + length {
                return if index % 2 == 0 { self.sounding(at - start, length) } else { 0 };
            }
            start += length;
        }
        0
    }

    fn sounding(&self, at: u32, length: u32) -> i16 {
        let ramp = self.samples(RAMP_MS).max(1);
        let edge = (at + 1).min(length - at).min(ramp) as f32 / ramp as f32;
        // Raised cosine.
        let gain = LEVEL * (1.0 - (edge * std::f32::consts::PI).cos()) / 2.0;
        // The phase in whole periods first: f32 has too few digits for a long tone.
        let periods = f64::from(at) * f64::from(self.frequency) / f64::from(self.rate);
        (gain * 32_767.0 * (periods.fract() as f32 * TAU).sin()) as i16
    }
}

/// The beep after a greeting: 1000 Hz, 400 ms.
#[must_use]
pub fn beep(rate: u32) -> Vec<i16> {
    Tone::beep(rate).once()
}

/// The warning before a recording's end.
#[must_use]
pub fn warning_beep(rate: u32) -> Vec<i16> {
    Tone::warning_beep(rate).once()
}

/// Chords of the music on hold: notes in semitones from A3, one chord for each bar.
const CHORDS: [[i32; 4]; 8] =
    [[0, 4, 7, 12], [-3, 4, 9, 12], [-7, 0, 5, 9], [-5, 2, 7, 11], [0, 4, 7, 16], [-3, 4, 9, 16], [-7, 0, 5, 14], [-5, 2, 7, 14]];
const HOLD_BAR_MS: u32 = 2_400;
/// The notes of a chord are plucked in this order.
const PATTERN: [usize; 8] = [0, 1, 2, 3, 2, 1, 2, 3];

/// Music on hold, 19 s that can be repeated without a seam: plucked chords, soft enough to speak over.
#[must_use]
pub fn hold_music(rate: u32) -> Vec<i16> {
    let step = (u64::from(rate) * u64::from(HOLD_BAR_MS) / 1_000) as usize / PATTERN.len();
    let length = step * PATTERN.len() * CHORDS.len();
    let mut sum = vec![0f32; length];
    for (bar, chord) in CHORDS.iter().enumerate() {
        for (beat, &voice) in PATTERN.iter().enumerate() {
            let frequency = 220.0 * 2f32.powf(chord[voice] as f32 / 12.0);
            pluck(&mut sum, (bar * PATTERN.len() + beat) * step, frequency, rate as f32);
        }
    }
    sum.iter().map(|sample| (sample * 32_767.0) as i16).collect()
}

/// Adds a string's sound, which rings on into the beginning of the next turn.
fn pluck(into: &mut [f32], at: usize, frequency: f32, rate: f32) {
    let (length, fade) = ((rate * 1.6) as usize, rate * 0.35);
    for n in 0..length {
        let phase = (n as f32 * frequency / rate).fract() * TAU;
        let attack = (n as f32 / (rate * 0.004)).min(1.0);
        let envelope = attack * (-(n as f32) / fade).exp() * 0.09;
        let index = (at + n) % into.len();
        into[index] += envelope * (phase.sin() + 0.35 * (2.0 * phase).sin() + 0.12 * (3.0 * phase).sin());
    }
}

#[cfg(test)]
mod tests;

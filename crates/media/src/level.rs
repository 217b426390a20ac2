//! How loud sound is: a meter, a detector of silence, and the peaks that a message's waveform is drawn from.

use std::time::Duration;

/// What silence measures: the meter's floor.
pub const SILENCE_DBFS: f32 = -96.0;

/// The level of some sound in dB relative to full scale: 0 for a full square wave, -3 for a full sine, -96 for silence.
#[must_use]
pub fn dbfs(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return SILENCE_DBFS;
    }
    let energy: f64 = pcm.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    let rms = (energy / pcm.len() as f64).sqrt() / 32_768.0;
    (20.0 * rms.log10()).max(f64::from(SILENCE_DBFS)) as f32
}

/// Frames of 20 ms are judged.
const FRAME_MS: u64 = 20;
/// Never sound, however quiet the line is.
const THRESHOLD_MIN_DBFS: f32 = -52.0;
/// No line is noisier: what goes on louder than this and [`ABOVE_NOISE_DB`], be it a steady tone, is meant to be heard.
const NOISE_MAX_DBFS: f32 = -45.0;
/// Sound is what stands out of the noise by this.
const ABOVE_NOISE_DB: f32 = 9.0;
/// The floor follows a quieter frame at once and a louder one at 3 dB per second: a caller's pauses hold it down.
const NOISE_RISE_DB: f32 = 3.0 * FRAME_MS as f32 / 1_000.0;
/// Filled gaps are quieter than any line and say nothing about its noise.
const DIGITAL_SILENCE_DBFS: f32 = -72.0;
/// Clicks aren't sound: 60 ms in a row are.
const MIN_FRAMES: u32 = 3;

/// Tells sound from silence on a line whose noise it doesn't know beforehand.
#[derive(Debug, Clone)]
pub struct SoundDetector {
    frame: usize,
    waiting: Vec<i16>,
    noise: f32,
    run: u32,
    sound_frames: u64,
    silent_frames: u64,
    total_frames: u64,
}

impl SoundDetector {
    /// A detector for sound at `rate` Hz.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let frame = (u64::from(rate) * FRAME_MS / 1_000).max(1) as usize;
        Self { frame, waiting: Vec::new(), noise: -60.0, run: 0, sound_frames: 0, silent_frames: 0, total_frames: 0 }
    }

    /// Takes sound of any length.
    pub fn push(&mut self, pcm: &[i16]) {
        self.waiting.extend_from_slice(pcm);
        let waiting = std::mem::take(&mut self.waiting);
        let frames = waiting.chunks_exact(self.frame);
        self.waiting.extend_from_slice(frames.remainder());
        frames.for_each(|frame| self.judge(dbfs(frame)));
    }

    /// Takes sound, and says whether something was heard in it and for how long: what a deposit counts by.
    pub fn hear(&mut self, pcm: &[i16], rate: u32) -> (bool, Duration) {
        let before = self.sound();
        self.push(pcm);
        let sound = self.sound().saturating_sub(before);
        let whole = Duration::from_micros(pcm.len() as u64 * 1_000_000 / u64::from(rate.max(1)));
        if sound.is_zero() { (false, whole) } else { (true, sound) }
    }

    fn judge(&mut self, level: f32) {
        self.total_frames += 1;
        let threshold = (self.noise + ABOVE_NOISE_DB).max(THRESHOLD_MIN_DBFS);
        if level > DIGITAL_SILENCE_DBFS {
            let risen = if level < self.noise { level } else { (self.noise + NOISE_RISE_DB).min(level) };
            self.noise = risen.min(NOISE_MAX_DBFS);
        }
        if level < threshold {
            self.run = 0;
            self.silent_frames += 1;
            return;
        }
        self.run += 1;
        if self.run < MIN_FRAMES {
            self.silent_frames += 1;
            return;
        }
        self.sound_frames += u64::from(if self.run == MIN_FRAMES { MIN_FRAMES } else { 1 });
        self.silent_frames = 0;
    }

    /// How long the line has been silent until now.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.silent_frames * FRAME_MS)
    }

    /// How much sound there was altogether.
    #[must_use]
    pub fn sound(&self) -> Duration {
        Duration::from_millis(self.sound_frames * FRAME_MS)
    }

    /// How long it has listened.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_millis(self.total_frames * FRAME_MS)
    }
}

/// How many peaks there are at most.
pub const MAX_PEAKS: usize = 120;

/// The loudness of a recording over time, in at most 120 equal spans, while its length isn't known yet.
#[derive(Debug, Clone)]
pub struct Peaks {
    /// Samples per peak; doubled whenever there are too many peaks.
    span: usize,
    peaks: Vec<u16>,
    filled: usize,
    current: u16,
}

impl Peaks {
    /// For sound at `rate` Hz; it begins with spans of 10 ms.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { span: (rate / 100).max(1) as usize, peaks: Vec::new(), filled: 0, current: 0 }
    }

    /// Takes sound of any length.
    pub fn push(&mut self, pcm: &[i16]) {
        for &sample in pcm {
            self.current = self.current.max(sample.unsigned_abs());
            self.filled += 1;
            if self.filled == self.span {
                self.close_span();
            }
        }
    }

    fn close_span(&mut self) {
        self.peaks.push(std::mem::take(&mut self.current));
        self.filled = 0;
        // Twice as many as are asked for are kept, so that there are never fewer than half of them at the end.
        if self.peaks.len() == 2 * MAX_PEAKS {
            self.peaks = self.peaks.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
            self.span *= 2;
        }
    }

    /// The peaks, 0 (silence) to 255 (full scale), of the whole so far.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let mut all = self.peaks.clone();
        if self.filled > 0 {
            all.push(self.current);
        }
        let per_peak = all.len().div_ceil(MAX_PEAKS).max(1);
        let loudest = |group: &[u16]| group.iter().copied().max().unwrap_or(0);
        all.chunks(per_peak).map(|group| (u32::from(loudest(group)) * 255 / 32_768).min(255) as u8).collect()
    }
}

#[cfg(test)]
mod tests;

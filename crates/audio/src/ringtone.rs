use std::f32::consts::TAU;

use crate::SAMPLE_RATE;

/// Two notes of a chime, then a pause; three seconds altogether.
const NOTES: [(f32, f32); 4] = [(0.0, 659.26), (0.18, 783.99), (0.6, 659.26), (0.78, 783.99)];
const LENGTH_S: f32 = 3.0;
const LEVEL: f32 = 0.22;
/// How fast a note dies away, per second.
const DECAY: f32 = 6.0;
/// It begins within 4 ms.
const ATTACK: f32 = 250.0;

/// One period of the ringtone at 48 kHz, to be repeated.
#[must_use]
pub fn ringtone() -> Vec<i16> {
    let total = (LENGTH_S * SAMPLE_RATE as f32) as usize;
    (0..total).map(|at| (sample(at as f32 / SAMPLE_RATE as f32) * 32_767.0) as i16).collect()
}

fn sample(time: f32) -> f32 {
    NOTES.iter().map(|&(start, pitch)| note(time - start, pitch)).sum::<f32>() * LEVEL
}

/// A struck bar: the note, and its octave dying away twice as fast.
fn note(time: f32, pitch: f32) -> f32 {
    if time < 0.0 {
        return 0.0;
    }
    let strike = (time * ATTACK).min(1.0) * (-DECAY * time).exp();
    strike * ((TAU * pitch * time).sin() + 0.4 * (-DECAY * time).exp() * (TAU * 2.0 * pitch * time).sin())
}

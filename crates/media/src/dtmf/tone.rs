//! Keys that come as the sound of their two tones (ITU-T Q.23), from phones that know nothing of events.

use std::f32::consts::TAU;

use super::Digit;
use crate::{
    Codec,
    codec::{CodecError, Decoder},
};

/// The tones of the rows and of the columns of the keypad, in Hz.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYPAD: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// Looked at 17 ms at a time, every 8.5 ms: long enough to tell the rows apart, short enough for tones that are 1.5 % off.
const BLOCKS_PER_SECOND: f32 = 1_000.0 / 17.0;
/// So many blocks in a row are a press: 34 ms. Q.24 wants 40 ms to be heard.
const PRESSED: u8 = 3;
/// The least power of a block: -38 dBFS.
const LEAST_POWER: f32 = 32_768.0 * 32_768.0 * 1.6e-4;
/// The two tones have at least so much of a block's power; voices rarely do, and not for three blocks.
const LEAST_SHARE: f32 = 0.65;
/// One of them is at most 8 dB louder than the other.
const MOST_TWIST: f32 = 6.3;

/// Tells each press once, from the payloads of one stream.
pub struct ToneReceiver {
    decoder: Decoder,
    pcm: Vec<f32>,
    block: usize,
    seen: Option<Digit>,
    times: u8,
    told: bool,
}

impl ToneReceiver {
    /// For sound in this codec.
    ///
    /// # Errors
    /// When there is no decoder.
    pub fn new(codec: Codec) -> Result<Self, CodecError> {
        let decoder = Decoder::new(codec)?;
        let block = (codec.sample_rate() as f32 / BLOCKS_PER_SECOND) as usize & !1;
        Ok(Self { decoder, pcm: Vec::new(), block, seen: None, times: 0, told: false })
    }

    /// Takes the next payload; the key if it was found to be pressed here.
    pub fn receive(&mut self, payload: &[u8]) -> Option<Digit> {
        let pcm = self.decoder.decode(payload).ok()?;
        self.pcm.extend(pcm.iter().map(|sample| f32::from(*sample)));
        let rate = self.decoder.codec().sample_rate() as f32;
        let mut pressed = None;
        while self.pcm.len() >= self.block {
            pressed = pressed.or(self.look(tones_of(&self.pcm[..self.block], rate)));
            self.pcm.drain(..self.block / 2);
        }
        pressed
    }

    fn look(&mut self, found: Option<Digit>) -> Option<Digit> {
        if found != self.seen {
            (self.seen, self.times) = (found, 0);
        }
        self.times = self.times.saturating_add(1);
        match self.seen {
            // One block of something else may be a lost packet within a press.
            None => self.told &= self.times < 2,
            Some(_) if self.told || self.times < PRESSED => {}
            Some(digit) => {
                self.told = true;
                return Some(digit);
            }
        }
        None
    }
}

/// The key whose two tones, and nothing else, a block holds.
fn tones_of(block: &[f32], rate: f32) -> Option<Digit> {
    let energy: f32 = block.iter().map(|sample| sample * sample).sum();
    let length = block.len() as f32;
    if energy < LEAST_POWER * length {
        return None;
    }
    let strongest = |tones: [f32; 4]| {
        let powers = tones.map(|tone| power(block, tone / rate));
        (0..4).map(|n| (n, powers[n])).max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let ((row, low), (column, high)) = (strongest(ROWS)?, strongest(COLUMNS)?);
    // A pure tone of amplitude a has the energy a²n/2, and the power (a·n/2)².
    let share = (low + high) * 2.0 / length / energy;
    let is_key = share >= LEAST_SHARE && low <= high * MOST_TWIST && high <= low * MOST_TWIST;
    if is_key { Digit::from_char(KEYPAD[row][column]) } else { None }
}

/// How much of a frequency, in turns per sample, there is (Goertzel).
fn power(block: &[f32], turns: f32) -> f32 {
    let twice_cos = 2.0 * (TAU * turns).cos();
    let (last, before) = block.iter().fold((0.0, 0.0), |(last, before), sample| (sample + twice_cos * last - before, last));
    last * last + before * before - twice_cos * last * before
}

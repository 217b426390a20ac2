use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{SAMPLE_RATE, engine::Interest, mixer::Source};

/// No jump is asked for.
const NOWHERE: u64 = u64::MAX;
/// Fading in and out at pauses and jumps: 5 ms.
const RAMP_STEP: f32 = 1.0 / 240.0;

/// Sound to be played from memory: a message, a tone, a ringtone.
#[derive(Debug, Clone)]
pub struct Clip {
    /// 48 kHz, mono. See `media::resample` for other rates.
    pub samples: Arc<[i16]>,
    /// Begins anew at its end, until it is stopped.
    pub repeat: bool,
    /// In per cent of what it is, 0 to 200.
    pub volume: u32,
    /// Where it begins.
    pub start: Duration,
}

impl Clip {
    /// Played once, from its start, as loud as it is.
    pub fn new(samples: impl Into<Arc<[i16]>>) -> Self {
        Self { samples: samples.into(), repeat: false, volume: 100, start: Duration::ZERO }
    }

    /// Played over and over.
    pub fn repeating(samples: impl Into<Arc<[i16]>>) -> Self {
        Self { repeat: true, ..Self::new(samples) }
    }
}

/// Controls a clip that plays. Dropping it stops the clip.
pub struct Player {
    shared: Arc<Shared>,
    length: u64,
    _interest: Arc<Interest>,
}

/// Between the player and the callback. All positions are in samples.
#[derive(Debug)]
struct Shared {
    position: AtomicU64,
    seek: AtomicU64,
    heard: AtomicU64,
    volume: AtomicU32,
    paused: AtomicBool,
    stopped: AtomicBool,
    over: AtomicBool,
}

impl Player {
    pub(crate) fn new(clip: Clip, interest: Arc<Interest>) -> (Self, Box<dyn Source>) {
        let length = clip.samples.len() as u64;
        let shared = Arc::new(Shared {
            position: AtomicU64::new(samples(clip.start).min(length)),
            seek: AtomicU64::new(NOWHERE),
            heard: AtomicU64::new(0),
            volume: AtomicU32::new(clip.volume.min(200)),
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let source = Playing {
            at: samples(clip.start).min(length) as usize,
            clip,
            gain: 0.0,
            shared: Arc::clone(&shared),
            _interest: Arc::clone(&interest),
        };
        (Self { shared, length, _interest: interest }, Box::new(source))
    }

    /// Stops where it is, until [`Self::resume`].
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::Relaxed);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::Relaxed);
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Relaxed)
    }

    /// Goes on at another place; beyond its end it ends.
    pub fn seek(&self, position: Duration) {
        let position = samples(position).min(self.length);
        self.shared.position.store(position, Ordering::Relaxed);
        self.shared.seek.store(position, Ordering::Release);
    }

    /// In per cent, 0 to 200.
    pub fn set_volume(&self, percent: u32) {
        self.shared.volume.store(percent.min(200), Ordering::Relaxed);
    }

    /// Where it is: what the device took last. It stands still while there is no device.
    #[must_use]
    pub fn position(&self) -> Duration {
        duration(self.shared.position.load(Ordering::Relaxed))
    }

    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        duration(self.length)
    }

    /// How much of it a device really played so far, whatever was skipped or repeated; muted sound doesn't count.
    #[must_use]
    pub fn heard(&self) -> Duration {
        duration(self.shared.heard.load(Ordering::Relaxed))
    }

    /// Whether it came to its end. Seeking doesn't bring it back; play it anew.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Acquire)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

struct Playing {
    clip: Clip,
    at: usize,
    /// 0 to 1, on its way to what the moment asks for.
    gain: f32,
    shared: Arc<Shared>,
    _interest: Arc<Interest>,
}

impl Source for Playing {
    fn add(&mut self, mix: &mut [i32]) -> bool {
        let stopped = self.shared.stopped.load(Ordering::Relaxed);
        let silent = stopped || self.shared.paused.load(Ordering::Relaxed) || self.jumps();
        let volume = self.shared.volume.load(Ordering::Relaxed);
        let mut heard = 0;
        for sum in mix {
            let Some(sample) = self.next(silent) else { break };
            *sum += (sample * self.gain * volume as f32 / 100.0) as i32;
            heard += 1;
        }
        self.report(if volume == 0 { 0 } else { heard });
        let over = self.at >= self.clip.samples.len();
        if over {
            self.shared.over.store(true, Ordering::Release);
        }
        !(over || stopped && self.gain <= 0.0)
    }

    fn is_wanted(&self) -> bool {
        !self.shared.stopped.load(Ordering::Relaxed)
    }
}

impl Playing {
    /// A jump is due; it is made once the sound has faded out.
    fn jumps(&mut self) -> bool {
        let seek = self.shared.seek.load(Ordering::Acquire);
        if seek != NOWHERE && self.gain <= 0.0 {
            self.at = seek as usize;
            // Another jump may have been asked for meanwhile; then it stays.
            let _ = self.shared.seek.compare_exchange(seek, NOWHERE, Ordering::AcqRel, Ordering::Relaxed);
            return false;
        }
        seek != NOWHERE
    }

    /// The next sample, or `None` when it is silent or over.
    fn next(&mut self, silent: bool) -> Option<f32> {
        let towards = if silent { -RAMP_STEP } else { RAMP_STEP };
        self.gain = (self.gain + towards).clamp(0.0, 1.0);
        if silent && self.gain <= 0.0 {
            return None;
        }
        let sample = self.clip.samples.get(self.at).copied()?;
        self.at += 1;
        if self.at == self.clip.samples.len() && self.clip.repeat {
            self.at = 0;
        }
        Some(f32::from(sample))
    }

    fn report(&self, heard: u64) {
        self.shared.heard.fetch_add(heard, Ordering::Relaxed);
        if self.shared.seek.load(Ordering::Acquire) == NOWHERE {
            self.shared.position.store(self.at as u64, Ordering::Relaxed);
        }
    }
}

fn samples(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros() * u128::from(SAMPLE_RATE) / 1_000_000).unwrap_or(u64::MAX - 1)
}

fn duration(samples: u64) -> Duration {
    Duration::from_micros(samples * 1_000 / u64::from(SAMPLE_RATE / 1_000))
}

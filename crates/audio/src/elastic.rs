//! A ring between two clocks: what one side writes at its pace the other reads at its own, slightly faster or slower
//! than it came, so that neither runs dry nor piles up.

use rtrb::{Consumer, Producer, RingBuffer};

/// 400 ms: room for a caller that catches up after a stall.
const CAPACITY: usize = 19_200;
/// So much waits before the first sample is read, and in the middle of it all. More after each time it ran dry.
const START_TARGET: usize = 1_440;
const MAX_TARGET: usize = 9_600;
const TARGET_STEP: usize = 480;
/// After so long (10 s) in which a step less would have been enough, a step less waits.
const CALM: usize = 480_000;
/// At most half a per cent faster or slower: nobody hears that.
const MAX_CORRECTION: f64 = 0.005;
/// Within 5 ms of the target nothing is corrected.
const DEAD_BAND: f64 = 240.0;
/// How quickly the measured level follows, per read.
const SMOOTHING: f64 = 0.02;
/// Fading in and out where sound begins or breaks off: 2 ms.
const RAMP: usize = 96;

/// Makes a ring's two ends.
pub(crate) fn elastic() -> (Producer<i16>, ElasticReader) {
    let (producer, consumer) = RingBuffer::new(CAPACITY);
    let reader = ElasticReader {
        ring: consumer,
        target: START_TARGET,
        level: START_TARGET as f64,
        window: [0; 4],
        phase: 0.0,
        running: false,
        calm: 0,
        lowest: usize::MAX,
    };
    (producer, reader)
}

/// Writes all or nothing; `false` when there is no room.
pub(crate) fn write(ring: &mut Producer<i16>, pcm: &[i16]) -> bool {
    let Ok(chunk) = ring.write_chunk_uninit(pcm.len()) else { return false };
    chunk.fill_from_iter(pcm.iter().copied());
    true
}

pub(crate) struct ElasticReader {
    ring: Consumer<i16>,
    target: usize,
    level: f64,
    /// The samples around the reading position, for interpolation.
    window: [i16; 4],
    /// Between the window's middle two.
    phase: f64,
    running: bool,
    /// Samples read since it was last looked, and the least that waited after any read meanwhile.
    calm: usize,
    lowest: usize,
}

impl ElasticReader {
    /// Whether the writing end is gone and everything was read.
    pub(crate) fn is_over(&self) -> bool {
        self.ring.is_abandoned() && self.ring.is_empty()
    }

    /// Whether the writing end is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Fills `pcm`; `false` when there was nothing, and it is silence.
    pub(crate) fn read(&mut self, pcm: &mut [i16]) -> bool {
        let waiting = self.ring.slots();
        // What its writer left behind is played to the end.
        let needed = if self.ring.is_abandoned() { 1 } else { self.target.max(pcm.len()) };
        if !self.running && waiting < needed {
            pcm.fill(0);
            return false;
        }
        let begins = !std::mem::replace(&mut self.running, true);
        if begins {
            self.level = waiting as f64;
        }
        self.skip_pile(waiting, pcm.len());
        let step = self.step(pcm.len());
        let filled = self.interpolate(pcm, step);
        if begins {
            ramp(&mut pcm[..filled], false);
        }
        if filled < pcm.len() {
            self.ran_dry(pcm, filled);
        } else {
            self.calm_down(pcm.len());
        }
        true
    }

    /// A delay that was needed once needn't last for the rest of the call.
    fn calm_down(&mut self, read: usize) {
        self.lowest = self.lowest.min(self.ring.slots());
        self.calm += read;
        if self.calm >= CALM {
            if self.lowest > 2 * TARGET_STEP {
                self.target = self.target.saturating_sub(TARGET_STEP).max(START_TARGET);
            }
            (self.calm, self.lowest) = (0, usize::MAX);
        }
    }

    /// Far too much waits: nobody read for a while.
    fn skip_pile(&mut self, waiting: usize, wanted: usize) {
        if waiting > CAPACITY * 3 / 4 && waiting > self.target + wanted {
            if let Ok(chunk) = self.ring.read_chunk(waiting - self.target - wanted) {
                chunk.commit_all();
            }
            self.level = (self.target + wanted) as f64;
        }
    }

    /// How far the reading position moves per sample.
    fn step(&mut self, wanted: usize) -> f64 {
        // In the middle between before and after this read.
        let now = self.ring.slots() as f64 - wanted as f64 / 2.0;
        self.level += (now - self.level) * SMOOTHING;
        let error = self.level - self.target as f64;
        if error.abs() < DEAD_BAND {
            return 1.0;
        }
        1.0 + (error / self.target as f64 * MAX_CORRECTION).clamp(-MAX_CORRECTION, MAX_CORRECTION)
    }

    fn interpolate(&mut self, pcm: &mut [i16], step: f64) -> usize {
        for (index, out) in pcm.iter_mut().enumerate() {
            self.phase += step;
            while self.phase >= 1.0 {
                let Ok(sample) = self.ring.pop() else {
                    self.phase -= step;
                    return index;
                };
                self.window.rotate_left(1);
                self.window[3] = sample;
                self.phase -= 1.0;
            }
            *out = if self.phase == 0.0 { self.window[1] } else { hermite(self.window, self.phase) };
        }
        pcm.len()
    }

    fn ran_dry(&mut self, pcm: &mut [i16], filled: usize) {
        ramp(&mut pcm[filled.saturating_sub(RAMP)..filled], true);
        pcm[filled..].fill(0);
        self.running = false;
        self.phase = 0.0;
        self.target = (self.target + TARGET_STEP).min(MAX_TARGET);
        (self.calm, self.lowest) = (0, usize::MAX);
    }
}

/// Fades in over the first samples, or out over all of them.
fn ramp(pcm: &mut [i16], out: bool) {
    let steps = pcm.len().min(RAMP) as i32;
    for (index, sample) in pcm.iter_mut().take(RAMP).enumerate() {
        let gain = if out { steps - index as i32 } else { index as i32 + 1 };
        *sample = (i32::from(*sample) * gain / (steps + 1)) as i16;
    }
}

/// The Catmull-Rom spline through four samples, between the middle two.
fn hermite([a, b, c, d]: [i16; 4], phase: f64) -> i16 {
    let [a, b, c, d] = [a, b, c, d].map(f64::from);
    let slope = (c - a) / 2.0;
    let second = a - 2.5 * b + 2.0 * c - d / 2.0;
    let third = (d - a) / 2.0 + 1.5 * (b - c);
    let value = ((third * phase + second) * phase + slope) * phase + b;
    value.round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn tone(at: usize) -> i16 {
        (10_000.0 * (at as f64 * std::f64::consts::TAU * 440.0 / 48_000.0).sin()) as i16
    }

    /// A writer of 10 ms frames whose clock runs `ppm` fast, read in blocks of `block`; what was read, and how often
    /// there was nothing after the start.
    fn run(seconds: usize, ppm: f64, block: usize) -> (Vec<i16>, usize, ElasticReader) {
        let (mut producer, mut reader) = elastic();
        let (mut heard, mut holes, mut written) = (Vec::new(), 0, 0usize);
        let mut pcm = vec![0; block];
        while heard.len() < seconds * 48_000 {
            let due = (heard.len() as f64 * (1.0 + ppm / 1e6)) as usize;
            while written + 480 <= due {
                let frame: Vec<i16> = (written..written + 480).map(tone).collect();
                write(&mut producer, &frame);
                written += 480;
            }
            let sound = reader.read(&mut pcm);
            holes += usize::from(!sound && heard.len() > 9_600);
            heard.extend_from_slice(&pcm);
        }
        (heard, holes, reader)
    }

    #[test]
    fn equal_clocks_pass_every_sample_unchanged() {
        let (heard, holes, _) = run(3, 0.0, 480);
        assert_eq!(holes, 0);
        let begin = heard.iter().position(|&s| s != 0).unwrap();
        let expected: Vec<i16> = (0..).map(tone).take(100_000).collect();
        // Three samples of the window, and the fade-in.
        let start = begin + 200;
        let shift = (0..2_000).find(|&shift| heard[start..start + 500] == expected[shift..shift + 500]).unwrap();
        assert_eq!(heard[start..start + 90_000], expected[shift..shift + 90_000]);
    }

    #[test]
    fn clocks_may_differ_by_a_thousandth_for_minutes() {
        for ppm in [-1_000.0, -100.0, 100.0, 1_000.0] {
            let (heard, holes, reader) = run(60, ppm, 1_024);
            assert_eq!(holes, 0, "{ppm} ppm");
            assert!((100..6_000).contains(&reader.ring.slots()), "{ppm} ppm: {} wait", reader.ring.slots());
            let jump = heard[48_000..].windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap();
            assert!(jump < 620, "{ppm} ppm: a jump of {jump}");
        }
    }

    #[test]
    fn a_stall_costs_its_time_and_teaches_more_patience() {
        let (mut producer, mut reader) = elastic();
        assert!(write(&mut producer, &[1_000; 1_920]));
        let mut pcm = [0; 480];
        let heard: Vec<bool> = (0..6).map(|_| reader.read(&mut pcm)).collect();
        assert_eq!(heard, [true, true, true, true, false, false]);
        assert_eq!(reader.target, START_TARGET + TARGET_STEP);
        assert!(write(&mut producer, &[1_000; 1_440]) && !reader.read(&mut pcm));
        assert!(write(&mut producer, &[1_000; 480]) && reader.read(&mut pcm));
    }

    #[test]
    fn patience_is_lost_again_when_nothing_stalls_any_more() {
        let (mut producer, mut reader) = elastic();
        let mut pcm = [0; 480];
        for _ in 0..20 {
            assert!(write(&mut producer, &vec![1_000; reader.target]));
            while reader.read(&mut pcm) {}
        }
        assert_eq!(reader.target, MAX_TARGET);
        assert!(write(&mut producer, &vec![1_000; MAX_TARGET]));
        let frames = |seconds: usize| 0..seconds * 100;
        assert!(frames(200).all(|_| write(&mut producer, &[1_000; 480]) && reader.read(&mut pcm)), "without a hole");
        assert_eq!(reader.target, START_TARGET);
        assert!(reader.ring.slots() < START_TARGET + 3 * TARGET_STEP, "{} wait", reader.ring.slots());
    }

    #[test]
    fn a_delay_that_is_still_needed_is_kept() {
        let (mut producer, mut reader) = elastic();
        let mut pcm = [0; 480];
        // Nothing for 40 ms, and then all of it, again and again.
        let mut holes = |seconds: usize| {
            let mut burst = || {
                write(&mut producer, &[1_000; 2_400]);
                (0..5).filter(|_| !reader.read(&mut pcm)).count()
            };
            let holes = (0..seconds * 20).map(|_| burst()).sum::<usize>();
            (holes, reader.target)
        };
        let (_, learnt) = holes(60);
        assert_eq!(holes(60), (0, learnt));
    }

    #[test]
    fn a_pile_is_skipped_and_a_full_ring_refuses() {
        let (mut producer, mut reader) = elastic();
        assert!(write(&mut producer, &vec![5; CAPACITY]));
        assert!(!write(&mut producer, &[5; 480]));
        assert!(reader.read(&mut [0; 480]));
        assert!(reader.ring.slots() <= START_TARGET + 10);
    }

    #[test]
    fn what_the_writer_left_is_read_to_the_end() {
        let (mut producer, mut reader) = elastic();
        write(&mut producer, &[7; 300]);
        drop(producer);
        assert!(!reader.is_over());
        assert!(reader.read(&mut [0; 480]));
        assert!(reader.is_over());
    }
}

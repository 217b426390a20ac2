use crate::level::dbfs;

/// Never louder: what was learnt may have been speech.
const MAX_DBFS: f32 = -55.0;
/// Quieter can't be heard.
const MIN_DBFS: f32 = -80.0;
/// The estimate rises so slowly (per 20 ms) that only a lasting noise counts.
const RISE_DB: f32 = 0.05;

/// Noise as loud as the line's, so that silence doesn't sound like a dead line.
pub(super) struct ComfortNoise {
    frame: usize,
    level: f32,
    state: u32,
    last: i32,
}

impl ComfortNoise {
    pub(super) fn new(rate: u32) -> Self {
        Self { frame: rate as usize / 50, level: MIN_DBFS, state: 0x9E37_79B9, last: 0 }
    }

    /// Follows the quietest sound.
    pub(super) fn learn(&mut self, pcm: &[i16]) {
        for frame in pcm.chunks(self.frame.max(1)) {
            let level = dbfs(frame);
            self.level = if level < self.level { level } else { self.level + RISE_DB };
            self.level = self.level.clamp(MIN_DBFS, MAX_DBFS);
        }
    }

    /// The sender says how loud its silence is.
    pub(super) fn told(&mut self, dbfs: f32) {
        self.level = dbfs.clamp(MIN_DBFS, MAX_DBFS);
    }

    pub(super) fn make(&mut self, samples: usize) -> Vec<i16> {
        if self.level <= MIN_DBFS {
            return vec![0; samples];
        }
        // Uniform noise between ±a has an effective value of a / √3.
        let amplitude = (10f32.powf(self.level / 20.0) * 32_768.0 * 3f32.sqrt()) as i32;
        (0..samples).map(|_| self.next_sample(amplitude)).collect()
    }

    /// A xorshift generator is random enough for the ear, and the same in every test.
    fn next_sample(&mut self, amplitude: i32) -> i16 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let white = (self.state >> 16) as i32 % (2 * amplitude + 1) - amplitude;
        // Softened: a hiss is more noticeable than a hum.
        self.last = (self.last + white) / 2;
        self.last as i16
    }
}

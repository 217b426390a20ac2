//! Concealment for G.711: the last pitch periods again, fading, as ITU-T G.711 Appendix I describes the idea.

/// Pitch between 66 and 200 Hz (5 to 15 ms), as in G.711 Appendix I.
const MIN_PITCH_US: usize = 5_000;
const MAX_PITCH_US: usize = 15_000;
/// What is correlated: 20 ms.
const WINDOW_US: usize = 20_000;
/// Full strength for the first 10 ms, then down to silence at 70 ms: longer would sound like a robot.
const HOLD_US: usize = 10_000;
const FADE_US: usize = 60_000;
/// The seam between made-up and real sound.
const SEAM_US: usize = 4_000;

pub(super) struct Concealer {
    rate: usize,
    /// The last sound that was played: enough for the longest pitch and the window.
    history: Vec<i16>,
    /// Samples made up since the last packet.
    made: usize,
    /// One pitch period to repeat while packets are missing.
    period: Vec<i16>,
}

impl Concealer {
    pub(super) fn new(rate: usize) -> Self {
        Self { rate, history: Vec::new(), made: 0, period: Vec::new() }
    }

    fn samples(&self, us: usize) -> usize {
        self.rate * us / 1_000_000
    }

    /// A packet came: joins it to what was made up before, if anything was.
    pub(super) fn received(&mut self, mut pcm: Vec<i16>) -> Vec<i16> {
        if self.made > 0 && !self.period.is_empty() {
            let seam = self.samples(SEAM_US).min(pcm.len());
            let continued = self.make(seam);
            cross_fade(&continued, &mut pcm[..seam]);
        }
        self.made = 0;
        self.period.clear();
        self.remember(&pcm);
        pcm
    }

    /// Sound for a lost packet.
    pub(super) fn conceal(&mut self, samples: usize) -> Vec<i16> {
        if self.made == 0 {
            self.period = self.find_period();
        }
        let pcm = self.make(samples);
        self.remember(&pcm);
        pcm
    }

    /// The last pitch period, its end blended towards its own beginning so that repeating it doesn't click.
    fn find_period(&self) -> Vec<i16> {
        let (min, max) = (self.samples(MIN_PITCH_US), self.samples(MAX_PITCH_US));
        let Some(lag) = best_lag(&self.history, min, max, self.samples(WINDOW_US)) else {
            return self.history.clone();
        };
        let end = self.history.len();
        let mut period = self.history[end - lag..].to_vec();
        let quarter = lag / 4;
        if end >= lag + quarter {
            // What came before the period leads into its start; blend that over its end.
            let before = &self.history[end - lag - quarter..end - lag];
            let tail = lag - quarter;
            for (i, &sample) in before.iter().enumerate() {
                period[tail + i] = blend(period[tail + i], sample, i + 1, quarter + 1);
            }
        }
        period
    }

    fn make(&mut self, samples: usize) -> Vec<i16> {
        let (hold, fade) = (self.samples(HOLD_US), self.samples(FADE_US));
        let mut pcm = Vec::with_capacity(samples);
        for at in self.made..self.made + samples {
            let source = self.period.get(at % self.period.len().max(1)).copied().unwrap_or(0);
            let faded = fade.saturating_sub(at.saturating_sub(hold));
            pcm.push((i32::from(source) * faded as i32 / fade as i32) as i16);
        }
        self.made += samples;
        pcm
    }

    fn remember(&mut self, pcm: &[i16]) {
        self.history.extend_from_slice(pcm);
        let keep = self.samples(MAX_PITCH_US) + self.samples(WINDOW_US);
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }
}

/// The lag between `min` and `max` at which the last `window` samples resemble those before them most (normalised cross
/// correlation); `None` when there is too little sound.
fn best_lag(pcm: &[i16], min: usize, max: usize, window: usize) -> Option<usize> {
    let max = max.min(pcm.len().checked_sub(window)?);
    let recent = &pcm[pcm.len() - window..];
    let mut best = (f32::MIN, None);
    for lag in min..=max {
        let past = &pcm[pcm.len() - window - lag..pcm.len() - lag];
        let (mut cross, mut energy) = (0f32, 1f32);
        for (&a, &b) in recent.iter().zip(past) {
            cross += f32::from(a) * f32::from(b);
            energy += f32::from(b) * f32::from(b);
        }
        let score = cross / energy.sqrt();
        if score > best.0 {
            best = (score, Some(lag));
        }
    }
    best.1
}

/// Fades from `from` into `into`, in place.
pub(crate) fn cross_fade(from: &[i16], into: &mut [i16]) {
    let steps = from.len().min(into.len());
    for (i, (&old, new)) in from.iter().zip(into).enumerate() {
        *new = blend(old, *new, i + 1, steps + 1);
    }
}

fn blend(from: i16, to: i16, step: usize, steps: usize) -> i16 {
    let (step, steps) = (step as i32, steps as i32);
    ((i32::from(from) * (steps - step) + i32::from(to) * step) / steps) as i16
}

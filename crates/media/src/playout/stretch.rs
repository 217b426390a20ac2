//! Time-stretching by overlapping what resembles itself (WSOLA): a piece of sound a pitch period shorter or longer.

use crate::codec::cross_fade;

/// The least resemblance that loud sound is cut at; nobody hears it then.
const MIN_RESEMBLANCE: f32 = 0.9;
/// A longer wait for resemblance would cost more than a seam does.
const URGENT_RESEMBLANCE: f32 = 0.5;
/// Below this level a cut is never heard.
const QUIET: f32 = 200.0;
/// Pitch between 80 and 400 Hz.
const MIN_LAG_US: usize = 2_500;
const MAX_LAG_US: usize = 12_500;

/// How much a piece may be harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Not at all while somebody speaks.
    Pauses,
    /// Only where it isn't heard.
    Gentle,
    /// The delay is far from where it should be.
    Urgent,
}

/// Takes one period out.
pub(super) fn shorten(pcm: Vec<i16>, rate: u32, haste: Haste) -> Vec<i16> {
    let Some(lag) = seam(&pcm, rate, haste) else { return pcm };
    let mut shorter = pcm[lag..].to_vec();
    let overlap = lag.min(pcm.len() - lag);
    cross_fade(&pcm[..overlap], &mut shorter[..overlap]);
    shorter
}

/// Puts one period in again.
pub(super) fn lengthen(pcm: Vec<i16>, rate: u32, haste: Haste) -> Vec<i16> {
    let Some(lag) = seam(&pcm, rate, haste) else { return pcm };
    let overlap = lag.min(pcm.len() - lag);
    // All up to the seam, then from one period earlier on.
    let mut longer = pcm[..lag].to_vec();
    let mut again = pcm.clone();
    cross_fade(&pcm[lag..lag + overlap], &mut again[..overlap]);
    longer.extend(again);
    longer
}

/// The period at which the piece resembles itself most, if that is enough.
fn seam(pcm: &[i16], rate: u32, haste: Haste) -> Option<usize> {
    let loudness = (pcm.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>() / pcm.len().max(1) as f32).sqrt();
    let wanted = match haste {
        _ if loudness < QUIET => f32::NEG_INFINITY,
        Haste::Pauses => return None,
        Haste::Gentle => MIN_RESEMBLANCE,
        Haste::Urgent => URGENT_RESEMBLANCE,
    };
    let samples = |us: usize| rate as usize * us / 1_000_000;
    let max = samples(MAX_LAG_US).min(pcm.len() * 5 / 8);
    let window = pcm.len().checked_sub(max)?;
    // Every lag at 8 kHz is fine enough to find the period; the best is then refined.
    let stride = (rate as usize / 8_000).max(1);
    let best = |lags: &mut dyn Iterator<Item = usize>, stride: usize| {
        lags.map(|lag| (lag, resemblance(pcm, lag, window, stride))).max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let (coarse, _) = best(&mut (samples(MIN_LAG_US).max(1)..=max).step_by(stride), stride)?;
    let (lag, found) = best(&mut (coarse.saturating_sub(stride).max(1)..=(coarse + stride).min(max)), 1)?;
    (found >= wanted).then_some(lag)
}

/// The normalised cross correlation of the first `window` with what stands `lag` later.
fn resemblance(pcm: &[i16], lag: usize, window: usize, stride: usize) -> f32 {
    let (mut cross, mut a2, mut b2) = (0f32, 1f32, 1f32);
    for (&a, &b) in pcm[..window].iter().zip(&pcm[lag..]).step_by(stride) {
        let (a, b) = (f32::from(a), f32::from(b));
        cross += a * b;
        a2 += a * a;
        b2 += b * b;
    }
    cross / (a2 * b2).sqrt()
}

use crate::codec::cross_fade;

/// The least resemblance that is worth a cut.
const MIN_RESEMBLANCE: f32 = 0.6;
/// Below this level a cut is never heard.
const QUIET: f32 = 200.0;
const MIN_LAG_US: usize = 2_500;

/// Takes one pitch period out of a piece of sound, where it resembles itself enough for nobody to hear it.
pub(super) fn shorten(pcm: Vec<i16>, rate: u32) -> Vec<i16> {
    let half = pcm.len() / 2;
    let min = rate as usize * MIN_LAG_US / 1_000_000;
    let Some((lag, resemblance)) = (min..=half).map(|lag| (lag, resemblance(&pcm, lag, half))).max_by(|a, b| a.1.total_cmp(&b.1))
    else {
        return pcm;
    };
    let loudness = (pcm.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>() / pcm.len().max(1) as f32).sqrt();
    if resemblance < MIN_RESEMBLANCE && loudness > QUIET {
        return pcm;
    }
    let mut shorter = pcm[lag..].to_vec();
    let seam = half.min(shorter.len());
    cross_fade(&pcm[..seam], &mut shorter[..seam]);
    shorter
}

/// The normalised cross correlation of the first `half` with what stands `lag` later.
fn resemblance(pcm: &[i16], lag: usize, half: usize) -> f32 {
    let (mut cross, mut a2, mut b2) = (0f32, 1f32, 1f32);
    for (&a, &b) in pcm[..half].iter().zip(&pcm[lag..]) {
        let (a, b) = (f32::from(a), f32::from(b));
        cross += a * b;
        a2 += a * a;
        b2 += b * b;
    }
    cross / (a2 * b2).sqrt()
}

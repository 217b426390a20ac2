#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn sine(rate: u32, frequency: f64, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * frequency / f64::from(rate);
    (0..samples).map(|i| (10_000.0 * (step * i as f64).sin()) as i16).collect()
}

fn snr(a: &[i16], b: &[i16]) -> f64 {
    let signal: f64 = a.iter().map(|&s| f64::from(s).powi(2)).sum();
    let noise: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (signal / noise.max(1.0)).log10()
}

#[test]
fn a_tone_keeps_its_place_length_and_shape() {
    for (from, to) in [(8_000, 48_000), (48_000, 8_000), (16_000, 48_000), (44_100, 48_000), (48_000, 44_100), (48_000, 16_000)] {
        let out = resample(&sine(from, 1_000.0, from as usize), from, to).unwrap();
        assert_eq!(out.len(), to as usize, "{from} -> {to}");
        let expected = sine(to, 1_000.0, to as usize);
        let edge = to as usize / 20;
        let ratio = snr(&expected[edge..to as usize - edge], &out[edge..to as usize - edge]);
        assert!(ratio > 55.0, "{from} -> {to}: {ratio} dB");
    }
}

#[test]
fn nothing_above_half_the_lower_rate_comes_through() {
    let out = resample(&sine(48_000, 6_000.0, 48_000), 48_000, 8_000).unwrap();
    assert!(crate::level::dbfs(&out[400..7_600]) < -60.0);
}

#[test]
fn pieces_of_any_length_make_the_same_stream() {
    let pcm = sine(44_100, 700.0, 44_100);
    let whole = resample(&pcm, 44_100, 48_000).unwrap();
    let mut stream = Resampler::new(44_100, 48_000).unwrap();
    let mut pieces = Vec::new();
    let mut rest = &pcm[..];
    for length in [1usize, 7, 441, 1_000, 13].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.extend(stream.process(piece));
        rest = after;
    }
    pieces.extend(stream.finish());
    assert_eq!(pieces, whole);
}

#[test]
fn equal_rates_change_nothing_and_zero_is_refused() {
    let pcm = sine(48_000, 440.0, 333);
    assert_eq!(resample(&pcm, 48_000, 48_000).unwrap(), pcm);
    assert!(Resampler::new(0, 48_000).is_err());
    assert!(Resampler::new(0, 0).is_err());
    assert!(resample(&[], 8_000, 48_000).unwrap().is_empty());
}

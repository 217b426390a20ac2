use super::*;
use crate::level::dbfs;

/// The power of one frequency (Goertzel), relative to the whole.
fn share(pcm: &[i16], rate: u32, frequency: f64) -> f64 {
    let w = std::f64::consts::TAU * frequency / f64::from(rate);
    let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
    for (i, &sample) in pcm.iter().enumerate() {
        let sample = f64::from(sample);
        re += sample * (w * i as f64).cos();
        im += sample * (w * i as f64).sin();
        all += sample * sample;
    }
    2.0 * (re * re + im * im) / (pcm.len() as f64 * all)
}

#[test]
fn the_beep_is_400_ms_of_1000_hz_without_clicks() {
    for rate in [8_000, 16_000, 48_000] {
        let pcm = beep(rate);
        assert_eq!(pcm.len() as u32, rate * 4 / 10);
        assert!(share(&pcm, rate, 1_000.0) > 0.97);
        assert!((-19.0..-15.0).contains(&dbfs(&pcm)), "{}", dbfs(&pcm));
        assert!(pcm[0].abs() < 100 && pcm[pcm.len() - 1].abs() < 100);
    }
}

#[test]
fn ring_back_has_the_german_cadence() {
    let mut tone = Tone::ring_back(8_000);
    let mut pcm = vec![0; 8_000 * 10];
    tone.fill(&mut pcm);
    assert!(share(&pcm[..8_000], 8_000, 425.0) > 0.97);
    assert!(pcm[8_000..40_000].iter().all(|&s| s == 0));
    assert_eq!(pcm[..40_000], pcm[40_000..]);
    assert!(!tone.is_over());
}

#[test]
fn busy_is_half_on() {
    let pcm = Tone::busy(8_000).once();
    assert_eq!(pcm.len(), 7_680);
    assert!(dbfs(&pcm[..3_840]) > -20.0 && pcm[3_840..].iter().all(|&s| s == 0));
}

#[test]
fn a_beep_ends() {
    let mut tone = Tone::beep(8_000);
    tone.fill(&mut [0; 3_200]);
    assert!(tone.is_over());
    let mut after = [1; 160];
    tone.fill(&mut after);
    assert_eq!(after, [0; 160]);
}

#[test]
fn the_warning_is_two_beeps() {
    let pcm = warning_beep(8_000);
    assert_eq!(pcm.len(), 2_560);
    assert!(dbfs(&pcm[..960]) > -20.0 && pcm[960..1_600].iter().all(|&s| s == 0) && dbfs(&pcm[1_600..]) > -20.0);
}

#[test]
fn the_music_on_hold_is_soft_and_repeats_without_a_click() {
    let music = hold_music(8_000);
    assert_eq!(music.len(), 8_000 * 192 / 10);
    let level = crate::level::dbfs(&music);
    assert!((-32.0..-18.0).contains(&level), "{level} dBFS");
    let jump = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
    let widest = music.windows(2).map(|w| jump(w[0], w[1])).max().unwrap_or(0);
    assert!(jump(music[music.len() - 1], music[0]) <= widest);
    assert!(music.iter().all(|sample| sample.unsigned_abs() < 16_000));
}

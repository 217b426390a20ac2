use super::*;

fn sine(rate: u32, amplitude: f32, ms: u32) -> Vec<i16> {
    let step = std::f32::consts::TAU * 300.0 / rate as f32;
    (0..rate * ms / 1_000).map(|i| (amplitude * (step * i as f32).sin()) as i16).collect()
}

fn noise(dbfs: f32, rate: u32, ms: u32) -> Vec<i16> {
    let amplitude = 10f32.powf(dbfs / 20.0) * 32_768.0 * 3f32.sqrt();
    let mut state = 12_345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (amplitude * ((state >> 8) as f32 / 8_388_608.0 - 1.0)) as i16
    };
    (0..rate * ms / 1_000).map(|_| next()).collect()
}

#[test]
fn the_meter_is_calibrated() {
    assert!((dbfs(&sine(8_000, 32_767.0, 1_000)) + 3.01).abs() < 0.05);
    assert!((dbfs(&sine(8_000, 3_276.7, 1_000)) + 23.01).abs() < 0.05);
    assert!((dbfs(&[i16::MIN, i16::MIN]) - 0.0).abs() < 0.001);
    assert!((dbfs(&[0; 100]) - SILENCE_DBFS).abs() < f32::EPSILON && (dbfs(&[]) - SILENCE_DBFS).abs() < f32::EPSILON);
}

#[test]
fn ten_seconds_of_silence_are_ten_seconds() {
    let mut detector = SoundDetector::new(8_000);
    detector.push(&sine(8_000, 5_000.0, 2_000));
    assert_eq!(detector.silence(), Duration::ZERO);
    assert!(detector.sound() >= Duration::from_millis(1_900), "{:?}", detector.sound());
    detector.push(&vec![0; 80_000]);
    assert_eq!(detector.silence(), Duration::from_secs(10));
    assert_eq!(detector.total(), Duration::from_secs(12));
}

#[test]
fn a_noisy_line_is_silent_too() {
    let mut detector = SoundDetector::new(8_000);
    // A loud car, then speech above it, then the car alone for 12 s.
    detector.push(&noise(-42.0, 8_000, 8_000));
    for _ in 0..10 {
        let mut speech = sine(8_000, 6_000.0, 300);
        speech.extend(noise(-42.0, 8_000, 200));
        detector.push(&speech);
    }
    assert!(detector.sound() >= Duration::from_secs(2), "{:?}", detector.sound());
    detector.push(&noise(-42.0, 8_000, 12_000));
    assert!(detector.silence() >= Duration::from_secs(11), "{:?}", detector.silence());
}

#[test]
fn a_hum_that_begins_becomes_silence_in_time() {
    let mut detector = SoundDetector::new(8_000);
    detector.push(&vec![0; 8_000]);
    detector.push(&noise(-45.0, 8_000, 20_000));
    assert!(detector.silence() >= Duration::from_secs(10), "{:?}", detector.silence());
}

#[test]
fn a_steady_tone_is_sound_for_as_long_as_it_lasts() {
    let mut detector = SoundDetector::new(8_000);
    detector.push(&noise(-65.0, 8_000, 1_000));
    // -23 dBFS: hold music, a modem, a fax, somebody who hums.
    detector.push(&sine(8_000, 3_276.7, 60_000));
    assert_eq!(detector.silence(), Duration::ZERO);
    assert!(detector.sound() >= Duration::from_secs(59), "{:?}", detector.sound());
}

#[test]
fn clicks_are_no_sound() {
    let mut detector = SoundDetector::new(8_000);
    for _ in 0..50 {
        detector.push(&sine(8_000, 20_000.0, 20));
        detector.push(&[0; 1_600]);
    }
    assert_eq!(detector.sound(), Duration::ZERO);
}

#[test]
fn quiet_speech_is_sound() {
    let mut detector = SoundDetector::new(48_000);
    for _ in 0..20 {
        detector.push(&sine(48_000, 330.0, 250)); // -43 dBFS
        detector.push(&noise(-65.0, 48_000, 150));
    }
    assert!(detector.sound() > Duration::from_secs(4), "{:?}", detector.sound());
}

#[test]
fn peaks_follow_the_loudness_whatever_the_length() {
    for seconds in [1, 5, 61, 300] {
        let mut peaks = Peaks::new(8_000);
        for _ in 0..seconds {
            peaks.push(&sine(8_000, 16_384.0, 500));
            peaks.push(&[0; 4_000]);
        }
        let found = peaks.finish();
        assert!((MAX_PEAKS / 2..=MAX_PEAKS).contains(&found.len()), "{seconds} s: {}", found.len());
        assert!(found.iter().max().is_some_and(|&p| (126..=128).contains(&p)));
    }
    let mut half = Peaks::new(8_000);
    half.push(&sine(8_000, 32_767.0, 2_000));
    half.push(&[0; 16_000]);
    let found = half.finish();
    let (loud, quiet) = found.split_at(found.len() / 2);
    assert!(loud.iter().all(|&p| p > 240) && quiet.iter().all(|&p| p == 0), "{found:?}");
}

#[test]
fn nothing_has_no_peaks() {
    assert_eq!(Peaks::new(8_000).finish(), Vec::<u8>::new());
    let mut peaks = Peaks::new(8_000);
    peaks.push(&[i16::MIN]);
    assert_eq!(peaks.finish(), [255]);
}

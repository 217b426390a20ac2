#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::container::{Recording, wav_pcm16};
use crate::{Codec, rtp::RtpPacket};

fn tone(rate: u32, seconds: f32, amplitude: f32) -> Vec<i16> {
    (0..(rate as f32 * seconds) as usize)
        .map(|n| ((n as f32 * 997.0 / rate as f32).fract() * std::f32::consts::TAU).sin() * amplitude)
        .map(|s| s as i16)
        .collect()
}

/// Made by other programs of one second of 440 Hz (see assets/README.md).
const FOREIGN: [(&str, &[u8]); 4] = [
    ("mp3", include_bytes!("../../tests/sounds/tone.mp3")),
    ("m4a", include_bytes!("../../tests/sounds/tone.m4a")),
    ("flac", include_bytes!("../../tests/sounds/tone.flac")),
    ("ogg", include_bytes!("../../tests/sounds/tone.ogg")),
];

#[test]
fn files_of_other_programs_are_heard() {
    for (kind, bytes) in FOREIGN {
        let pcm = import(bytes, ImportLimits::default()).unwrap();
        let seconds = pcm.duration().as_secs_f64();
        assert!((0.98..1.15).contains(&seconds), "{kind}: {seconds} s");
        let middle = &pcm.samples[pcm.samples.len() / 4..pcm.samples.len() * 3 / 4];
        let crossings = middle.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        let hertz = crossings as f64 / (middle.len() as f64 / f64::from(pcm.rate));
        assert!((hertz - 440.0).abs() < 6.0, "{kind}: {hertz} Hz");
    }
}

#[test]
fn what_is_damaged_or_cut_off_is_an_error_or_shorter_but_never_harm() {
    for (kind, bytes) in FOREIGN {
        for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x5A;
            for file in [&damaged[..], &bytes[..at]] {
                if let Ok(pcm) = import(file, ImportLimits::default()) {
                    assert!(pcm.duration() <= ImportLimits::default().duration, "{kind}");
                }
            }
        }
    }
    assert!(matches!(import(b"no sound at all", ImportLimits::default()), Err(ImportError::UnknownFormat)));
}

#[test]
fn a_small_file_that_claims_hours_is_refused_while_it_is_decoded() {
    // One byte of Opus can stand for 60 ms of silence.
    let (mut recording, mut file) = (Recording::new(Codec::Opus, 1), Vec::new());
    file.extend(recording.start());
    for n in 0..20_000u32 {
        let payload = bytes::Bytes::from_static(&[0x18]);
        let packet = RtpPacket { marker: false, payload_type: 111, sequence: n as u16, timestamp: n * 2_880, ssrc: 1, payload };
        file.extend(recording.push(&packet));
    }
    file.extend(recording.finish().tail);
    assert!(file.len() < 100_000, "{}", file.len());
    assert!(matches!(import(&file, ImportLimits::default()), Err(ImportError::TooLong(_))));
    let limits = ImportLimits { bytes: 1_000, ..ImportLimits::default() };
    assert!(matches!(import(&file, limits), Err(ImportError::TooLarge(1_000))));
    let wav = wav_pcm16(&tone(8_000, 3.0, 1_000.0), 8_000);
    let limits = ImportLimits { duration: Duration::from_secs(2), ..ImportLimits::default() };
    assert!(matches!(import(&wav, limits), Err(ImportError::TooLong(_))));
}

#[test]
fn loudness_follows_ebu_r_128_and_is_brought_to_its_target() {
    // A full-scale sine of 997 Hz in one channel measures -3.01 LUFS (ITU-R BS.1770-4 annex 1), so this one -23.
    let amplitude = 32_767.0 * 10f32.powf(-19.99 / 20.0);
    let mut pcm = Pcm { samples: tone(48_000, 5.0, amplitude), rate: 48_000 };
    let measured = loudness(&pcm).unwrap();
    assert!((measured + 23.0).abs() < 0.2, "{measured}");
    normalise(&mut pcm, -16.0);
    assert!((loudness(&pcm).unwrap() + 16.0).abs() < 0.2);
    normalise(&mut pcm, 0.0);
    let peak = pcm.samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!((29_000..=29_250).contains(&peak), "1 dB below full scale: {peak}");
    let mut silence = Pcm { samples: vec![0; 48_000], rate: 48_000 };
    normalise(&mut silence, -16.0);
    assert_eq!((loudness(&silence), silence.samples.iter().all(|s| *s == 0)), (None, true));
}

#[test]
fn silence_is_trimmed_at_the_ends_only() {
    let (sound, rate) = (tone(8_000, 1.0, 8_000.0), 8_000);
    let mut samples = vec![3; 8_000];
    samples.extend(&sound);
    samples.extend(vec![-2; 4_000]);
    samples.extend(&sound);
    samples.extend(vec![1; 12_000]);
    let mut pcm = Pcm { samples, rate };
    trim_silence(&mut pcm, Duration::from_millis(100));
    let seconds = pcm.duration().as_secs_f64();
    assert!((2.68..2.73).contains(&seconds), "{seconds}");
    let mut silence = Pcm { samples: vec![0; 100], rate };
    trim_silence(&mut silence, Duration::ZERO);
    assert_eq!(silence.samples.len(), 100);
}

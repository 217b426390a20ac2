#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::adapt::Plan;

fn sine(rate: u32, frequency: f32, amplitude: f32, samples: usize) -> Vec<i16> {
    let step = std::f32::consts::TAU * frequency / rate as f32;
    (0..samples).map(|i| (amplitude * (step * i as f32).sin()) as i16).collect()
}

/// Signal to noise in dB, `delay` samples of `heard` left out.
fn snr(sent: &[i16], heard: &[i16]) -> f64 {
    let (mut signal, mut noise) = (0f64, 1e-9f64);
    for (&a, &b) in sent.iter().zip(heard) {
        signal += f64::from(a).powi(2);
        noise += (f64::from(a) - f64::from(b)).powi(2);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn every_g711_byte_survives_decoding_and_encoding() {
    for byte in 0..=u8::MAX {
        assert_eq!(alaw_encode(alaw_decode(byte)), byte, "A-law {byte:#04x}");
        // µ-law has two zeros; the negative one comes back as the positive.
        let expected = if byte == 0x7F { 0xFF } else { byte };
        assert_eq!(ulaw_encode(ulaw_decode(byte)), expected, "µ-law {byte:#04x}");
    }
}

#[test]
fn g711_matches_the_tables_of_the_recommendation() {
    // G.711 tables 1a and 2a: character signals of decision values, on the 16-bit scale.
    assert_eq!((ulaw_decode(0x80), ulaw_decode(0x00), ulaw_decode(0xFF)), (32_124, -32_124, 0));
    assert_eq!((alaw_decode(0xAA), alaw_decode(0x2A), alaw_decode(0xD5)), (32_256, -32_256, 8));
    assert_eq!((ulaw_encode(i16::MAX), ulaw_encode(i16::MIN), ulaw_encode(0)), (0x80, 0x00, 0xFF));
    assert_eq!((alaw_encode(i16::MAX), alaw_encode(i16::MIN), alaw_encode(0)), (0xAA, 0x2A, 0xD5));
}

#[test]
fn g711_is_monotonous_and_near() {
    for (encode, decode) in [(ulaw_encode as fn(i16) -> u8, ulaw_decode as fn(u8) -> i16), (alaw_encode, alaw_decode)] {
        let mut last = i16::MIN;
        for sample in i16::MIN..=i16::MAX {
            let heard = decode(encode(sample));
            assert!(heard >= last, "{sample}");
            last = heard;
            // Half a step: 1/33 of the magnitude, 8 near zero; the ends are clipped.
            let error = (i32::from(heard) - i32::from(sample)).abs();
            assert!(
                error <= (i32::from(sample).abs() / 32).max(8) + 8 || i32::from(sample).abs() > 32_000,
                "{sample} -> {heard}"
            );
        }
    }
}

#[test]
fn g711_carries_a_tone_at_37_db() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let pcm = sine(8_000, 1_020.0, 16_000.0, 8_000);
        let payload = Encoder::new(codec).unwrap().encode(&pcm).unwrap();
        let heard = Decoder::new(codec).unwrap().decode(&payload).unwrap();
        assert!(snr(&pcm, &heard) > 37.0, "{codec}: {}", snr(&pcm, &heard));
    }
}

#[test]
fn opus_carries_a_tone() {
    let pcm = sine(48_000, 440.0, 12_000.0, 48_000);
    let (mut encoder, mut decoder) = (Encoder::new(Codec::Opus).unwrap(), Decoder::new(Codec::Opus).unwrap());
    let mut heard = Vec::new();
    for frame in pcm.chunks_exact(960) {
        let payload = encoder.encode(frame).unwrap();
        assert_eq!(Codec::Opus.duration_of(&payload), 960);
        assert!(payload.len() < 200, "32 kbit/s are 80 bytes, this has {}", payload.len());
        heard.extend(decoder.decode(&payload).unwrap());
    }
    // The first 0.2 s settle. The look-ahead is 312 samples, the high-pass filter shifts the phase a little.
    let ratio = (280..344).map(|delay| snr(&pcm[9_600..], &heard[9_600 + delay..])).fold(f64::MIN, f64::max);
    assert!(ratio > 15.0, "{ratio}");
}

#[test]
fn opus_refuses_odd_frames() {
    let mut encoder = Encoder::new(Codec::Opus).unwrap();
    assert!(matches!(encoder.encode(&[0; 441]), Err(CodecError::FrameSize { samples: 441 })));
}

#[test]
fn opus_decodes_at_eight_kilohertz_for_the_peaks() {
    let payload = Encoder::new(Codec::Opus).unwrap().encode(&sine(48_000, 440.0, 12_000.0, 960)).unwrap();
    assert_eq!(Decoder::with_rate(Codec::Opus, 8_000).unwrap().decode(&payload).unwrap().len(), 160);
}

#[test]
fn garbage_is_no_opus_packet_but_an_error() {
    let mut decoder = Decoder::new(Codec::Opus).unwrap();
    assert!(decoder.decode(&[0xFF, 0xFF, 0xFF]).is_err());
    assert_eq!(decoder.conceal(960, Some(&[0xFF, 0xFF, 0xFF])).len(), 960);
    assert_eq!(opus_packet_samples(&[]), None);
    // Code 3 with no frames, and with more than 120 ms.
    assert_eq!((opus_packet_samples(&[0x03, 0]), opus_packet_samples(&[0x1B, 3])), (None, None));
    assert_eq!(
        (opus_packet_samples(&[0x08]), opus_packet_samples(&[0xFC]), opus_packet_samples(&[0x1B, 2])),
        (Some(960), Some(960), Some(5_760))
    );
}

#[test]
fn a_lost_g711_packet_of_a_vowel_is_filled_in_and_nothing_clicks() {
    // 150 Hz with harmonics, as a voice has.
    let voice = |i: usize| {
        let t = i as f32 / 8_000.0 * std::f32::consts::TAU * 150.0;
        (4_000.0 * t.sin() + 2_500.0 * (2.0 * t).sin() + 1_500.0 * (3.0 * t + 1.0).sin()) as i16
    };
    let pcm: Vec<i16> = (0..1_600).map(voice).collect();
    let mut encoder = Encoder::new(Codec::Pcma).unwrap();
    let mut decoder = Decoder::new(Codec::Pcma).unwrap();
    let mut heard = Vec::new();
    for (index, frame) in pcm.chunks_exact(160).enumerate() {
        let payload = encoder.encode(frame).unwrap();
        heard.extend(if index == 6 { decoder.conceal(160, None) } else { decoder.decode(&payload).unwrap() });
    }
    let filled = snr(&pcm[960..1_120], &heard[960..1_120]);
    assert!(filled > 8.0, "{filled} dB");
    let jump = |pcm: &[i16]| pcm.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap();
    assert!(jump(&heard) < jump(&pcm) * 13 / 10, "{} {}", jump(&heard), jump(&pcm));
}

#[test]
fn long_loss_fades_to_silence() {
    let mut decoder = Decoder::new(Codec::Pcmu).unwrap();
    let payload = Encoder::new(Codec::Pcmu).unwrap().encode(&sine(8_000, 200.0, 10_000.0, 800)).unwrap();
    decoder.decode(&payload).unwrap();
    let filled = decoder.conceal(800, None);
    assert!(crate::level::dbfs(&filled[..160]) > -20.0);
    assert!(filled[600..].iter().all(|&s| s == 0));
    // Before anything came there is nothing to repeat.
    assert_eq!(Decoder::new(Codec::Pcmu).unwrap().conceal(160, None), vec![0; 160]);
}

#[test]
fn fec_brings_a_lost_opus_packet_back_better_than_guessing() {
    // A melody: guessing goes wrong at every note.
    let pcm: Vec<i16> = (0..40).flat_map(|n| sine(48_000, 200.0 + 37.0 * n as f32, 9_000.0, 960)).collect();
    let mut encoder = Encoder::new(Codec::Opus).unwrap();
    encoder.adapt(Plan { expected_loss: 30, ..Plan::default() }).unwrap();
    let payloads: Vec<Vec<u8>> = pcm.chunks_exact(960).map(|f| encoder.encode(f).unwrap()).collect();
    let play = |lossy: bool, fec: bool| -> Vec<i16> {
        let mut decoder = Decoder::new(Codec::Opus).unwrap();
        let step = |(n, payload): (usize, &Vec<u8>)| match payloads.get(n + 1).filter(|_| lossy && n % 5 == 3) {
            Some(next) => decoder.conceal(960, fec.then_some(next.as_slice())),
            None => decoder.decode(payload).unwrap(),
        };
        payloads.iter().enumerate().flat_map(step).collect()
    };
    let whole = play(false, false);
    let (guessed, corrected) = (snr(&whole, &play(true, false)), snr(&whole, &play(true, true)));
    assert!(corrected > guessed + 2.0, "{corrected} dB with FEC, {guessed} without");
}

#[test]
fn names_are_read_in_any_case() {
    assert_eq!("OPUS".parse(), Ok(Codec::Opus));
    assert_eq!("pcmu".parse(), Ok(Codec::Pcmu));
    assert_eq!("g729".parse(), Ok(Codec::G729));
    assert!("GSM".parse::<Codec>().is_err());
}

#[test]
fn what_is_only_passed_on_has_no_coder() {
    assert!(matches!(Encoder::new(Codec::G729), Err(CodecError::PassedOnly(Codec::G729))));
    assert!(matches!(Decoder::new(Codec::G729), Err(CodecError::PassedOnly(Codec::G729))));
    assert!(Codec::G729.meets(Codec::G729) && Codec::Pcmu.meets(Codec::Opus));
    assert!(!Codec::G729.meets(Codec::Pcmu) && !Codec::Pcmu.meets(Codec::G729));
    assert_eq!([20, 22].map(|bytes| Codec::G729.duration_of(&vec![0; bytes])), [160, 240]);
}

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::{codec::Encoder, level::dbfs, rtp::RtpSender};

#[expect(clippy::disallowed_methods, reason = "an Instant can't be made otherwise; only differences count")]
fn epoch() -> Instant {
    Instant::now()
}

fn tone(rate: u32, samples: usize, offset: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * 300.0 / f64::from(rate);
    (offset..offset + samples).map(|i| (8_000.0 * (step * i as f64).sin()) as i16).collect()
}

/// A call of `seconds` with the given delay of each packet, `None` for a lost one; what was heard at 48 kHz.
fn call(codec: Codec, seconds: usize, fate: impl Fn(usize) -> Option<u64>) -> (Vec<i16>, Playout) {
    let start = epoch();
    let mut playout = Playout::new(48_000, &[(codec, 96)], JitterConfig::default()).unwrap();
    let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(1, 0, 0));
    let mut arrivals: Vec<(u64, RtpPacket)> = Vec::new();
    for n in 0..seconds * 50 {
        let pcm = tone(codec.sample_rate(), codec.frame(), n * codec.frame());
        let packet = rtp.audio(96, encoder.encode(&pcm).unwrap(), codec.frame_ticks());
        arrivals.extend(fate(n).map(|delay| (n as u64 * 20 + delay, packet)));
    }
    arrivals.sort_by_key(|(at, _)| *at);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut heard = Vec::new();
    for ms in (0..seconds as u64 * 1_000).step_by(10) {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= ms) {
            playout.receive(packet, start + Duration::from_millis(at)).unwrap();
        }
        let mut pcm = [0; 480];
        playout.pull(&mut pcm, start + Duration::from_millis(ms));
        heard.extend_from_slice(&pcm);
    }
    (heard, playout)
}

/// The quietest and the loudest 40 ms after the first 0.3 s.
fn levels(pcm: &[i16]) -> (f32, f32) {
    let levels = pcm[14_400..].chunks_exact(1_920).map(dbfs);
    levels.fold((0.0f32, -96.0f32), |(low, high), level| (low.min(level), high.max(level)))
}

#[test]
fn a_tone_arrives_steadily_through_every_codec() {
    for codec in Codec::ALL {
        let (heard, _) = call(codec, 3, |_| Some(5));
        let (low, high) = levels(&heard);
        assert!(low > -16.5 && high < -14.0, "{codec}: {low} to {high} dBFS");
    }
}

#[test]
fn five_per_cent_of_loss_are_hardly_a_dent() {
    for codec in Codec::ALL {
        let (heard, playout) = call(codec, 6, |n| (n % 20 != 13).then_some(5));
        let (low, high) = levels(&heard);
        // Opus plays a steady tone without FEC in it, and dips more.
        let floor = if codec == Codec::Opus { -24.0 } else { -19.5 };
        assert!(low > floor && high < -13.0, "{codec}: {low} to {high} dBFS");
        assert!(playout.statistics().lost >= 14, "{codec}: {:?}", playout.statistics());
    }
}

#[test]
fn a_burst_of_jitter_makes_the_delay_longer_and_later_short_again() {
    for codec in Codec::ALL {
        // 2 s calm, 2 s with every fifth packet 100 ms late, then calm.
        let (heard, playout) = call(codec, 20, |n| Some(if (100..200).contains(&n) && n % 5 == 0 { 105 } else { 5 }));
        assert!(playout.target() <= Duration::from_millis(40), "{codec}: {:?}", playout.target());
        // The calm end has neither holes nor a surplus that is still being worked off.
        let (low, high) = levels(&heard[48_000 * 17..]);
        assert!(low > -16.5 && high < -14.0, "{codec}: {low} to {high} dBFS");
        let played = playout.statistics();
        assert!(played.lost + played.late < 15, "{codec}: {played:?}");
    }
}

#[test]
fn silence_before_and_after_a_stream() {
    let start = epoch();
    let mut playout = Playout::new(16_000, &[(Codec::Pcma, 8)], JitterConfig::default()).unwrap();
    let mut pcm = [1; 160];
    playout.pull(&mut pcm, start);
    assert_eq!(pcm, [0; 160]);
    let (heard, _) = call(Codec::Pcmu, 4, |n| (n < 50).then_some(0));
    assert!(dbfs(&heard[48_000 * 2..]) < -70.0);
}

#[test]
fn a_timestamp_that_is_a_few_ticks_off_makes_no_hole() {
    let start = epoch();
    let mut playout = Playout::new(8_000, &[(Codec::Opus, 111)], JitterConfig::default()).unwrap();
    let (mut encoder, mut heard) = (Encoder::new(Codec::Opus).unwrap(), Vec::new());
    for n in 0..100u32 {
        let now = start + Duration::from_millis(u64::from(n) * 20);
        let payload = encoder.encode(&tone(48_000, 960, n as usize * 960)).unwrap().into();
        // Every packet two ticks later than the end of the one before.
        let packet = RtpPacket { marker: false, payload_type: 111, sequence: n as u16, timestamp: n * 962, ssrc: 1, payload };
        playout.receive(packet, now).unwrap();
        let mut pcm = [0; 160];
        playout.pull(&mut pcm, now);
        heard.extend_from_slice(&pcm);
    }
    let low = heard[2_400..].chunks_exact(320).map(dbfs).fold(0.0, f32::min);
    assert!(low > -18.0, "{low} dBFS");
}

#[test]
fn a_sender_may_change_its_codec() {
    let start = epoch();
    let mut playout = Playout::new(8_000, &[(Codec::Opus, 111), (Codec::Pcmu, 0)], JitterConfig::default()).unwrap();
    let mut rtp = RtpSender::new(1, 0, 0);
    let mut encoder = Encoder::new(Codec::Pcmu).unwrap();
    let mut pcm = [0; 160];
    for n in 0..20 {
        let payload = encoder.encode(&tone(8_000, 160, n * 160)).unwrap();
        let now = start + Duration::from_millis(n as u64 * 20);
        playout.receive(rtp.audio(0, payload, 160), now).unwrap();
        playout.pull(&mut pcm, now);
    }
    assert_eq!(playout.codec(), Codec::Pcmu);
    assert!(dbfs(&pcm) > -17.0);
}

#[test]
fn a_late_packet_of_the_codec_before_changes_nothing_back() {
    let start = epoch();
    let mut playout = Playout::new(8_000, &[(Codec::Pcma, 8), (Codec::Pcmu, 0)], JitterConfig::default()).unwrap();
    let (mut encoder, mut rtp) = (Encoder::new(Codec::Pcmu).unwrap(), RtpSender::new(1, 65_530, 0));
    let old: Vec<_> = (0..5).map(|_| rtp.audio(8, vec![0xd5; 160], 160)).collect();
    playout.receive(old[0].clone(), start).unwrap();
    let (mut pcm, mut heard) = ([0; 160], Vec::new());
    for n in 0..50 {
        let now = start + Duration::from_millis(n as u64 * 20);
        playout.receive(rtp.audio(0, encoder.encode(&tone(8_000, 160, n * 160)).unwrap(), 160), now).unwrap();
        if let Some(late) = n.checked_sub(20).and_then(|n| old.get(n)) {
            playout.receive(late.clone(), now).unwrap();
            assert_eq!(playout.codec(), Codec::Pcmu);
        }
        playout.pull(&mut pcm, now);
        heard.extend_from_slice(&pcm);
    }
    let low = heard[2_400..].chunks_exact(320).map(dbfs).fold(0.0, f32::min);
    assert!(low > -17.0, "{low} dBFS");
}

/// The words of a recording, each to the sample, in a call over G.711 whose program is held up by `stalls`: what comes
/// meanwhile is seen at a stall's end, and what was to be played meanwhile is played then. How many words there were.
fn words_heard_whole(stalls: impl Fn(u64) -> Option<u64>) -> usize {
    let wav = crate::container::decode(include_bytes!("../../../../assets/test-message.wav")).unwrap();
    let pcm = crate::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let (mut encoder, mut decoder) = (Encoder::new(Codec::Pcmu).unwrap(), Decoder::new(Codec::Pcmu).unwrap());
    let mut playout = Playout::new(8_000, &[(Codec::Pcmu, 0)], JitterConfig::default()).unwrap();
    let (mut rtp, start) = (RtpSender::new(1, 0, 0), epoch());
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for ms in (0..pcm.len() as u64 / 8 + 200).step_by(10) {
        let due = start + Duration::from_millis(ms);
        if let Some(frame) = pcm.as_chunks::<160>().0.get(ms as usize / 20).filter(|_| ms % 20 == 0) {
            let payload = encoder.encode(frame).unwrap();
            said.extend(decoder.decode(&payload).unwrap());
            let seen = due + Duration::from_millis(stalls(ms).unwrap_or(0));
            playout.receive(rtp.audio(0, payload, 160), seen).unwrap();
        }
        let mut ten_ms = [0; 80];
        playout.pull(&mut ten_ms, due);
        heard.extend_from_slice(&ten_ms);
    }
    let words = said.chunks(160).collect::<Vec<_>>();
    let words: Vec<_> = words.chunk_by(|a, b| (dbfs(a) < -40.0) == (dbfs(b) < -40.0)).filter(|word| word.len() > 5).collect();
    let words: Vec<_> = words.into_iter().map(|word| word.concat()).filter(|word| dbfs(word) > -40.0).collect();
    for word in &words {
        assert!(heard.windows(word.len()).any(|window| window == word), "{:?}", playout.statistics());
    }
    words.len()
}

#[test]
fn the_first_word_of_a_call_is_not_cut_to_shorten_the_delay() {
    assert!(words_heard_whole(|_| None) >= 5);
}

#[test]
fn a_program_that_is_held_up_now_and_then_harms_no_word() {
    // Every 70 ms it sleeps for 20.
    assert!(words_heard_whole(|ms| (ms % 70 < 20).then(|| 20 - ms % 70)) >= 5);
    // Seldom, and for longer.
    assert!(words_heard_whole(|ms| (ms % 1_510 < 40).then(|| 40 - ms % 1_510)) >= 5);
}

#[test]
fn speech_is_cut_only_where_it_repeats_itself() {
    let wav = crate::container::decode(include_bytes!("../../../../assets/test-message.wav")).unwrap();
    let pcm = crate::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let frames: Vec<_> = pcm.chunks_exact(160).filter(|frame| dbfs(frame) > -40.0).collect();
    let cuts = |haste| frames.iter().filter(|frame| stretch::shorten(frame.to_vec(), 8_000, haste).len() < 160).count();
    let (pauses, gentle, urgent) = (cuts(Haste::Pauses), cuts(Haste::Gentle), cuts(Haste::Urgent));
    assert_eq!(pauses, 0);
    assert!(gentle * 50 > frames.len() && gentle * 4 < frames.len() * 3, "{gentle} of {}", frames.len());
    assert!(urgent > gentle, "{urgent} of {}", frames.len());
}

#[test]
fn stretching_takes_whole_periods_out_or_puts_them_in() {
    let jump = |pcm: &[i16]| pcm.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap();
    for rate in [8_000, 16_000, 48_000] {
        let pcm = tone(rate, rate as usize / 50, 3);
        let (shorter, longer) =
            (stretch::shorten(pcm.clone(), rate, Haste::Gentle), stretch::lengthen(pcm.clone(), rate, Haste::Gentle));
        for changed in [pcm.len() - shorter.len(), longer.len() - pcm.len()] {
            // 300 Hz, so whole thirds of 10 ms.
            let periods = changed as f32 * 300.0 / rate as f32;
            assert!(periods > 0.9 && (periods - periods.round()).abs() < 0.06, "{rate}: {periods}");
        }
        assert!(jump(&shorter) <= jump(&pcm) * 11 / 10 && jump(&longer) <= jump(&pcm) * 11 / 10, "{rate}");
    }
    // Noise resembles itself nowhere.
    let mut state = 1u32;
    let noise: Vec<i16> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16
    })
    .take(320)
    .collect();
    assert_eq!(stretch::shorten(noise.clone(), 16_000, Haste::Gentle), noise);
}

#[test]
fn comfort_noise_is_as_loud_as_the_sender_says() {
    let start = epoch();
    let mut playout = Playout::new(8_000, &[(Codec::Pcma, 8)], JitterConfig::default()).unwrap();
    let (mut encoder, mut rtp, mut heard) = (Encoder::new(Codec::Pcma).unwrap(), RtpSender::new(1, 0, 0), Vec::new());
    for n in 0..100u64 {
        let now = start + Duration::from_millis(n * 20);
        match n {
            0..50 => {
                let payload = encoder.encode(&tone(8_000, 160, n as usize * 160)).unwrap();
                playout.receive(rtp.audio(8, payload, 160), now).unwrap();
            }
            50 => playout.receive(rtp.audio(13, vec![60], 160), now).unwrap(),
            _ => rtp.pause(160),
        }
        let mut pcm = [0; 160];
        playout.pull(&mut pcm, now);
        heard.extend_from_slice(&pcm);
    }
    let silence = dbfs(&heard[8_000 * 13 / 10..8_000 * 19 / 10]);
    assert!((-66.0..-56.0).contains(&silence), "{silence} dBFS");
}

#[test]
fn drifting_clocks_neither_starve_nor_pile_up() {
    for parts_per_million in [-400i64, 400] {
        let start = epoch();
        let mut playout = Playout::new(8_000, &[(Codec::Pcma, 8)], JitterConfig::default()).unwrap();
        let (mut encoder, mut rtp) = (Encoder::new(Codec::Pcma).unwrap(), RtpSender::new(1, 0, 0));
        let (mut next, mut at, mut heard) = (0usize, 0i64, Vec::new());
        for ms in (0..60_000i64).step_by(10) {
            while at <= ms * 1_000 {
                let payload = encoder.encode(&tone(8_000, 160, next * 160)).unwrap();
                playout.receive(rtp.audio(8, payload, 160), start + Duration::from_micros(at as u64)).unwrap();
                next += 1;
                at += 20_000 + 20 * parts_per_million / 1_000;
            }
            let mut pcm = [0; 80];
            playout.pull(&mut pcm, start + Duration::from_millis(ms as u64));
            heard.extend_from_slice(&pcm);
        }
        let statistics = playout.statistics();
        assert!(statistics.lost + statistics.late + statistics.resyncs == 0, "{parts_per_million}: {statistics:?}");
        let low = heard[8_000..].chunks_exact(320).map(dbfs).fold(0.0, f32::min);
        assert!(low > -17.0, "{parts_per_million}: {low} dBFS, {statistics:?}");
    }
}

/// A device that asks for 40 ms at once is no reason to touch the sound.
#[test]
fn who_asks_in_bursts_hears_the_same() {
    let wav = crate::container::decode(include_bytes!("../../../../assets/test-message.wav")).unwrap();
    let words = crate::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let (start, mut said, mut heard) = (epoch(), Vec::new(), Vec::new());
    let mut playout = Playout::new(8_000, &[(Codec::Pcma, 8)], JitterConfig::default()).unwrap();
    let mut rtp = RtpSender::new(1, 0, 0);
    let (mut encoder, mut decoder) = (Encoder::new(Codec::Pcma).unwrap(), Decoder::new(Codec::Pcma).unwrap());
    for (n, frame) in words.as_chunks::<160>().0.iter().enumerate() {
        let now = start + Duration::from_millis(n as u64 * 20);
        let payload = encoder.encode(frame).unwrap();
        said.extend(decoder.decode(&payload).unwrap());
        playout.receive(rtp.audio(8, payload, 160), now).unwrap();
        if n % 2 == 1 {
            let mut pcm = [0; 320];
            pcm.chunks_mut(80).for_each(|ten_ms| playout.pull(ten_ms, now));
            heard.extend_from_slice(&pcm);
        }
    }
    // Nearly three seconds of speech without a pause, from the second second on.
    let part = &said[8_000..30_400];
    assert!(heard.windows(part.len()).any(|window| window == part), "{:?}", playout.statistics());
}

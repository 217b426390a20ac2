//! How a recorded voice sounds after each codec, with and without loss, by PESQ (ITU-T P.862 and P.862.2).
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests; an Instant can't be made otherwise, only differences count"
)]

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    codec::{Decoder, Encoder},
    container::{self, Recording},
    jitter::JitterConfig,
    playout::Playout,
    resample::resample,
    rtp::{RtpPacket, RtpSender},
};

/// Some seconds of a voice at 16 kHz.
fn voice() -> Vec<i16> {
    let pcm = container::decode(include_bytes!("../../../assets/test-message.wav")).unwrap();
    resample(&pcm.samples[..pcm.samples.len().min(pcm.rate as usize * 8)], pcm.rate, 16_000).unwrap()
}

fn send(codec: Codec, voice: &[i16]) -> Vec<RtpPacket> {
    let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(1, 0, 0));
    let pcm = resample(voice, 16_000, codec.sample_rate()).unwrap();
    let frames = pcm.chunks_exact(codec.frame());
    frames.map(|frame| rtp.audio(codec.payload_type(), encoder.encode(frame).unwrap(), codec.frame_ticks())).collect()
}

/// Wideband PESQ for Opus, narrowband for G.711: as much as the codec can carry. Never `pesq::pesq`: its own way from
/// 16 to 8 kHz adds 0.1 to 0.5 to the score, while the other two agree with the ITU's program.
fn score(codec: Codec, reference: &[i16], heard: &[i16], rate: u32) -> f64 {
    let at = |pcm: &[i16], from, to| resample(pcm, from, to).unwrap();
    let score = match codec {
        Codec::Opus | Codec::G722 => pesq::pesq_wb(reference, &at(heard, rate, 16_000)).unwrap(),
        Codec::Pcmu | Codec::Pcma | Codec::G729 => {
            let raw = pesq::pesq_8k(&at(reference, 16_000, 8_000), &at(heard, rate, 8_000)).unwrap();
            pesq::score::mos_lqo(f64::from(raw))
        }
    };
    f64::from(score)
}

#[test]
fn a_voice_survives_every_codec() {
    let voice = voice();
    for codec in Codec::ALL {
        let mut decoder = Decoder::new(codec).unwrap();
        let heard: Vec<i16> = send(codec, &voice).iter().flat_map(|p| decoder.decode(&p.payload).unwrap()).collect();
        let score = score(codec, &voice, &heard, codec.sample_rate());
        assert!(score > 4.1, "{codec}: {score}");
    }
}

#[test]
fn a_recording_loses_nothing_more() {
    let voice = voice();
    for codec in Codec::ALL {
        let mut recording = Recording::new(codec, 1);
        let mut file = recording.start();
        send(codec, &voice).iter().for_each(|packet| file.extend(recording.push(packet)));
        let finish = recording.finish();
        file.extend(finish.tail);
        let pcm = container::decode(&file).unwrap();
        let score = score(codec, &voice, &pcm.samples, pcm.rate);
        assert!(score > 4.1, "{codec}: {score}");
    }
}

/// Plays the packets whose delay `fate` tells, and gives what is heard at 16 kHz.
fn play(codec: Codec, packets: Vec<RtpPacket>, fate: impl Fn(usize) -> Option<u64>) -> Vec<i16> {
    let start = Instant::now();
    let length = packets.len() as u64 * 20 + 200;
    let arrivals = packets.into_iter().enumerate().filter_map(|(n, p)| Some((n as u64 * 20 + fate(n)?, p)));
    let mut arrivals: Vec<(u64, RtpPacket)> = arrivals.collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut playout = Playout::new(16_000, &[(codec, codec.payload_type())], JitterConfig::default()).unwrap();
    let mut heard = Vec::new();
    for ms in (0..length).step_by(10) {
        let now = start + Duration::from_millis(ms);
        while let Some((_, packet)) = arrivals.next_if(|(at, _)| *at <= ms) {
            playout.receive(packet, now).unwrap();
        }
        let mut pcm = [0; 160];
        playout.pull(&mut pcm, now);
        heard.extend_from_slice(&pcm);
    }
    heard
}

#[test]
fn a_voice_survives_loss_and_jitter() {
    let voice = voice();
    // 3 % lost here and there.
    let lossy = |n: usize| (n % 33 != 20).then_some(3);
    // Up to 60 ms late, in a fixed pattern.
    let jittery = |n: usize| Some((n * 7919 % 61) as u64);
    for (codec, with_loss, with_jitter) in [(Codec::Opus, 3.2, 3.2), (Codec::Pcma, 3.3, 3.3), (Codec::Pcmu, 3.3, 3.3)] {
        let packets = send(codec, &voice);
        let calm = score(codec, &voice, &play(codec, packets.clone(), |_| Some(3)), 16_000);
        assert!(calm > 4.0, "{codec} undisturbed: {calm}");
        let lost = score(codec, &voice, &play(codec, packets.clone(), lossy), 16_000);
        assert!(lost > with_loss, "{codec} with 3 % loss: {lost}");
        let late = score(codec, &voice, &play(codec, packets, jittery), 16_000);
        assert!(late > with_jitter, "{codec} with jitter: {late}");
    }
}

#[test]
fn concealment_is_better_than_silence() {
    let voice = voice();
    for codec in [Codec::Pcma, Codec::Opus] {
        let packets = send(codec, &voice);
        let run = |conceal: bool| -> f64 {
            let mut decoder = Decoder::new(codec).unwrap();
            let mut heard = Vec::new();
            for (n, packet) in packets.iter().enumerate() {
                let next = packets.get(n + 1).map(|p| &p.payload[..]);
                match (n % 20 == 13, conceal) {
                    (true, true) => heard.extend(decoder.conceal(codec.frame(), next)),
                    (true, false) => heard.extend(vec![0; codec.frame()]),
                    (false, _) => heard.extend(decoder.decode(&packet.payload).unwrap()),
                }
            }
            score(codec, &voice, &heard, codec.sample_rate())
        };
        let (concealed, silent) = (run(true), run(false));
        assert!(concealed > silent + 0.2, "{codec}: {concealed} against {silent}");
    }
}

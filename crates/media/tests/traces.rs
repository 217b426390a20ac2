//! A voice over networks that were recorded or made up, through the jitter buffer, the decoder and the stretcher in virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests; an Instant can't be made otherwise, only differences count; what was measured is worth seeing"
)]

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    codec::Encoder,
    container,
    jitter::{JitterConfig, JitterStatistics},
    playout::Playout,
    resample::resample,
    rtp::{RtpPacket, RtpSender},
};

const RATE: u32 = 16_000;
const PACKET_MS: f64 = 20.0;
/// What the device asks for at a time.
const PULL_MS: f64 = 10.0;

/// When each packet arrives after it was sent, in milliseconds; `None` for those that don't.
type Trace = Vec<Option<f64>>;

/// The same numbers on every machine and in every run.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }

    /// Exponentially distributed, as waiting in a queue is.
    fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.roll()).ln()
    }
}

fn recorded(text: &str) -> Trace {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.parse().ok()).collect()
}

/// Gilbert-Elliott, two and a half packets lost at a time, and the jitter of a busy radio.
fn radio(packets: usize) -> Trace {
    let mut dice = Dice(7);
    let mut bad = false;
    let mut step = || {
        bad = if bad { dice.roll() >= 0.4 } else { dice.roll() < 0.021 };
        let late = 3.0 + dice.wait(6.0);
        (!bad).then_some(late)
    };
    (0..packets).map(|_| step()).collect()
}

/// The sender's clock is that much faster than ours.
fn drift(packets: usize, ppm: f64) -> Trace {
    (0..packets).map(|n| Some(20.0 - n as f64 * PACKET_MS * ppm / 1e6)).collect()
}

/// Nothing for 200 ms, then all at once, every four seconds; some in the wrong order.
fn stalls(packets: usize) -> Trace {
    let late = |n: usize| match n % 200 {
        stalled @ 100..110 => (110 - stalled) as f64 * PACKET_MS,
        swapped if swapped % 50 == 20 => 25.0,
        _ => 4.0,
    };
    (0..packets).map(|n| Some(late(n))).collect()
}

/// Three times six seconds.
fn voice() -> Vec<i16> {
    let pcm = container::decode(include_bytes!("../../../assets/test-message.wav")).unwrap();
    resample(&pcm.samples, pcm.rate, RATE).unwrap().repeat(3)
}

fn sent(codec: Codec, voice: &[i16]) -> Vec<RtpPacket> {
    let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(1, 65_500, u32::MAX - 90_000));
    let pcm = resample(voice, RATE, codec.sample_rate()).unwrap();
    let frames = pcm.chunks_exact(codec.frame());
    frames.map(|frame| rtp.audio(codec.payload_type(), encoder.encode(frame).unwrap(), codec.frame_ticks())).collect()
}

/// What is heard, and what the buffer counted.
fn play(codec: Codec, packets: &[RtpPacket], trace: &Trace) -> (Vec<i16>, JitterStatistics) {
    let start = Instant::now();
    let mut arrivals: Vec<(f64, &RtpPacket)> = packets
        .iter()
        .zip(trace)
        .enumerate()
        .filter_map(|(n, (packet, late))| Some((n as f64 * PACKET_MS + (*late)?, packet)))
        .collect();
    arrivals.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut arrivals = arrivals.into_iter().peekable();
    let mut playout = Playout::new(RATE, &[(codec, codec.payload_type())], JitterConfig::default()).unwrap();
    let mut heard = Vec::new();
    let pulls = (packets.len() as f64 * PACKET_MS / PULL_MS) as usize + 60;
    for at_ms in (0..pulls).map(|n| n as f64 * PULL_MS) {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= at_ms) {
            playout.receive(packet.clone(), start + Duration::from_secs_f64(at / 1_000.0)).unwrap();
        }
        let mut pcm = [0; RATE as usize / 100];
        playout.pull(&mut pcm, start + Duration::from_secs_f64(at_ms / 1_000.0));
        heard.extend_from_slice(&pcm);
    }
    (heard, playout.statistics())
}

/// Over that network: what PESQ (ITU-T P.862.2) says, at least `opus` and `alaw`, and no more than `lost` of a thousand concealed.
fn holds(name: &str, trace: &Trace, opus: f64, alaw: f64, lost: u64) {
    let voice = voice();
    for (codec, at_least) in [(Codec::Opus, opus), (Codec::Pcma, alaw)] {
        let packets = sent(codec, &voice);
        let trace = &trace[..packets.len().min(trace.len())];
        let packets = &packets[..trace.len()];
        let reference = &voice[..packets.len() * RATE as usize / 50];
        let (heard, counted) = play(codec, packets, &trace.to_vec());
        assert_eq!(heard, play(codec, packets, &trace.to_vec()).0, "{name}, {codec}: the same again");
        let arrived = trace.iter().flatten().count() as u64;
        assert_eq!(counted.received + counted.late, arrived, "{name}, {codec}: {counted:?}");
        let score = f64::from(pesq::pesq_wb(reference, &heard).unwrap());
        println!("{name}, {codec}: PESQ {score:.2}, {arrived} of {} arrived, {counted:?}", packets.len());
        assert!(score >= at_least, "{name}, {codec}: {score}");
        assert!(counted.lost * 1_000 <= lost * packets.len() as u64, "{name}, {codec}: {counted:?}");
    }
}

#[test]
fn uploads_in_the_same_line() {
    holds("uploads", &recorded(include_str!("traces/uploads.txt")), 3.0, 2.2, 40);
}

#[test]
fn a_busy_radio() {
    holds("radio", &radio(800), 3.7, 2.9, 25);
}

#[test]
fn clocks_that_differ() {
    for ppm in [-1_000.0, 1_000.0] {
        holds(&format!("{ppm} ppm"), &drift(800, ppm), 4.0, 3.6, 0);
    }
}

#[test]
fn stalls_of_a_fifth_of_a_second() {
    holds("stalls", &stalls(800), 2.6, 2.7, 0);
}

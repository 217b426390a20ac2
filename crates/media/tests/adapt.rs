//! What an encoder that follows its network is worth to the ear: the whole way from voice to ear in virtual time, the other
//! end's reports of it going back once a second.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests; an Instant can't be made otherwise, only differences count; what was measured is worth seeing"
)]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_media::{
    Codec,
    adapt::{Adapter, FULL_BITRATE},
    codec::Encoder,
    container,
    jitter::JitterConfig,
    playout::Playout,
    resample::resample,
    rtcp::Reception,
    rtp::{RtpPacket, RtpSender},
};

/// IPv4, UDP and RTP.
const HEADERS: usize = 40;
const PACKET_US: u64 = 20_000;

/// What becomes of a packet that is sent then (in microseconds) and has so many bytes: when it arrives, if it does.
trait Network {
    fn send(&mut self, at_us: u64, bytes: usize) -> Option<u64>;
}

/// Gilbert-Elliott: from good to bad and back, per packet; in the bad state all is lost.
struct Bursts {
    begin: f64,
    end: f64,
    bad: bool,
    state: u64,
}

impl Network for Bursts {
    fn send(&mut self, at_us: u64, _bytes: usize) -> Option<u64> {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = (self.state >> 33) as f64 / f64::from(1u32 << 31);
        self.bad = if self.bad { dice >= self.end } else { dice < self.begin };
        (!self.bad).then_some(at_us + 3_000)
    }
}

/// A line of so many bits per second with a queue of 150 ms before it; what has no place in it is lost.
struct Line {
    rates: VecDeque<(u64, f64)>,
    free_at_us: u64,
}

impl Network for Line {
    fn send(&mut self, at_us: u64, bytes: usize) -> Option<u64> {
        while self.rates.len() > 1 && self.rates[1].0 <= at_us {
            self.rates.pop_front();
        }
        let begins = self.free_at_us.max(at_us);
        if begins - at_us > 150_000 {
            return None;
        }
        self.free_at_us = begins + (bytes as f64 * 8e6 / self.rates[0].1) as u64;
        Some(self.free_at_us)
    }
}

struct Told {
    heard: Vec<i16>,
    seconds: Vec<Second>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    /// Bits of the codec.
    bits: u32,
    /// Packets of a thousand.
    lost: u32,
    /// How long the last packet that arrived was on its way, in milliseconds.
    delay: u64,
}

/// A voice over a network, adapted by the other end's reports or not.
fn call(voice: &[i16], network: &mut dyn Network, adapts: bool) -> Told {
    let (codec, start) = (Codec::Opus, Instant::now());
    let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(1, 0, 0));
    let (mut adapter, mut reception) = (Adapter::default(), Reception::new(codec.clock_rate()));
    let mut playout = Playout::new(16_000, &[(codec, codec.payload_type())], JitterConfig::default()).unwrap();
    let pcm = resample(voice, 16_000, codec.sample_rate()).unwrap();
    let mut flying: Vec<(u64, RtpPacket)> = Vec::new();
    let mut told = Told { heard: Vec::new(), seconds: Vec::new() };
    let mut second = Second::default();
    for (n, frame) in pcm.chunks_exact(codec.frame()).enumerate() {
        let sent_us = n as u64 * PACKET_US;
        let packet = rtp.audio(codec.payload_type(), encoder.encode(frame).unwrap(), codec.frame_ticks());
        second.bits += packet.payload.len() as u32 * 8;
        match network.send(sent_us, packet.payload.len() + HEADERS) {
            Some(at_us) => {
                second.delay = (at_us - sent_us) / 1_000;
                flying.push((at_us, packet));
            }
            None => second.lost += 20,
        }
        for us in [sent_us, sent_us + PACKET_US / 2] {
            let now = start + Duration::from_micros(us);
            flying.sort_by_key(|(at, _)| *at);
            while flying.first().is_some_and(|(at, _)| *at <= us) {
                let (at, packet) = flying.remove(0);
                let arrived = start + Duration::from_micros(at);
                reception.handle_packet(&packet, arrived);
                playout.receive(packet, arrived).unwrap();
            }
            let mut heard = [0; 160];
            playout.pull(&mut heard, now);
            told.heard.extend_from_slice(&heard);
        }
        if n % 50 == 49 {
            told.seconds.push(std::mem::take(&mut second));
            let now = start + Duration::from_micros(sent_us);
            let plan = reception.report().and_then(|block| adapter.handle_report(&block, codec.clock_rate(), now));
            if let Some(plan) = plan.filter(|_| adapts) {
                encoder.adapt(plan).unwrap();
            }
        }
    }
    told
}

/// So many seconds of a voice at 16 kHz.
fn voice(seconds: usize) -> Vec<i16> {
    let pcm = container::decode(include_bytes!("../../../assets/test-message.wav")).unwrap();
    let once = resample(&pcm.samples, pcm.rate, 16_000).unwrap();
    once.iter().copied().cycle().take(seconds * 16_000).collect()
}

/// PESQ wide-band of ten seconds, from a given one on: of a voice, and of what arrived a moment later.
fn score(voice: &[i16], heard: &[i16], from_s: usize) -> f64 {
    let part = &voice[from_s * 16_000..(from_s + 10) * 16_000];
    let heard = &heard[from_s * 16_000..((from_s + 10) * 16_000 + 8_000).min(heard.len())];
    f64::from(pesq::pesq_wb(part, heard).unwrap())
}

#[test]
fn where_packets_are_lost_in_bursts_whatever_is_sent_it_costs_neither_rate_nor_quality() {
    let voice = voice(31);
    let (mut with, mut without, mut rates) = (0.0, 0.0, Vec::new());
    for seed in 1..=3 {
        // A sixth is lost, in bursts of one and a half packets.
        let network = || Bursts { begin: 0.14, end: 0.66, bad: false, state: seed * 77_777 };
        let (adapted, fixed) = (call(&voice, &mut network(), true), call(&voice, &mut network(), false));
        for from_s in [10, 20] {
            with += score(&voice, &adapted.heard, from_s) / 6.0;
            without += score(&voice, &fixed.heard, from_s) / 6.0;
        }
        let sent = |told: &Told| told.seconds[10..30].iter().map(|second| f64::from(second.bits)).sum::<f64>();
        rates.push(sent(&adapted) / sent(&fixed));
    }
    println!("PESQ {with:.2} with adaptation, {without:.2} without, at these parts of its rate: {rates:.2?}");
    assert!(rates.iter().all(|part| (0.9..1.03).contains(part)), "{rates:?}");
    // The protection that is there from the first packet on is nearly all that libopus has.
    assert!(with > without - 0.1, "{with} with, {without} without");
}

#[test]
fn on_a_full_line_less_is_sent_until_nothing_waits_and_little_is_lost() {
    let voice = voice(62);
    // From the eighth second on there is room for 24 kbit/s and the headers, from the fortieth on for everything.
    let rates = [(0, 200_000.0), (8_000_000, 40_000.0), (40_000_000, 200_000.0)];
    let line = || Line { rates: rates.into(), free_at_us: 0 };
    let (adapted, fixed) = (call(&voice, &mut line(), true), call(&voice, &mut line(), false));
    let mean = |told: &Told, of: fn(&Second) -> u64| told.seconds[16..40].iter().map(of).sum::<u64>() / 24;
    let [lost, delay] = [|second: &Second| u64::from(second.lost), |second: &Second| second.delay];
    println!("lost: {} and {} thousandths", mean(&adapted, lost), mean(&fixed, lost));
    println!("delay: {} and {} ms", mean(&adapted, delay), mean(&fixed, delay));
    assert!(mean(&fixed, lost) > 150 && mean(&fixed, delay) > 120, "the line is full: {:?}", fixed.seconds);
    assert!(mean(&adapted, lost) < 20, "{:?}", adapted.seconds);
    assert!(mean(&adapted, delay) * 3 < mean(&fixed, delay) * 2, "{:?}", adapted.seconds);
    let [full, free] = [30, 61].map(|second: usize| adapted.seconds[second].bits);
    assert!(free > full * 105 / 100, "it takes the room again: {:?}", adapted.seconds);
    assert!(free <= FULL_BITRATE * 11 / 10, "and no more than before");
}

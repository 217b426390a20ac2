//! How good a call sounds: what arrives of a stream (RFC 3550), and what a listener would say of it (ITU-T G.107).

use std::time::{Duration, Instant};

use crate::{Codec, rtcp::Block, rtp::RtpPacket};

/// A sequence number so far behind or ahead begins a new stream (RFC 3550 appendix A.1).
const MAX_JUMP: u16 = 3_000;

/// What arrives of a stream, between one look and the next.
#[derive(Debug, Default)]
pub struct Reception {
    ssrc: Option<u32>,
    /// The highest sequence number, with how often it began anew above it.
    highest: u64,
    /// Where the time since the last look began.
    base: u64,
    received: u64,
    /// In microseconds, smoothed (RFC 3550 section 6.4.1).
    jitter_us: f64,
    transit: Option<(Instant, u32)>,
    last: Option<Instant>,
    /// Of the time before the last look: packets that were due, and that came.
    before: (u64, u64),
    /// In microseconds, of all packets whose time was measured, and how many those were.
    jitters: (f64, u32),
}

/// What arrived in all, of one stream after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Packets that came.
    pub received: u64,
    /// Packets that were sent and did not come.
    pub lost: u64,
    /// How unevenly they came, on average.
    pub jitter: Duration,
}

/// What arrived since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrived {
    /// Packets that came.
    pub received: u64,
    /// Of a thousand that were sent, those that did not come.
    pub loss_permille: u32,
    /// How unevenly they came.
    pub jitter: Duration,
}

/// What the devices of both ends add to the way of the sound, about.
const DEVICES: Duration = Duration::from_millis(60);
/// A jitter buffer holds a packet for so many times the jitter, about.
const BUFFERED: u32 = 2;

impl Totals {
    /// Of `sent` packets, what their receiver has said to have had; its clock runs at `rate`.
    #[must_use]
    pub fn reported(block: &Block, sent: u64, rate: u32) -> Self {
        let lost = u64::from(block.lost.max(0).unsigned_abs());
        let jitter = Duration::from_micros(u64::from(block.jitter) * 1_000_000 / u64::from(rate.max(1)));
        Self { received: sent.saturating_sub(lost), lost, jitter }
    }

    /// What a listener would say of all of it: 1 (also where nothing came) to 4.5.
    #[must_use]
    pub fn opinion(&self, codec: Codec, round_trip: Option<Duration>) -> f64 {
        if self.received == 0 {
            return 1.0;
        }
        let loss_permille = u32::try_from(self.lost * 1_000 / (self.received + self.lost)).unwrap_or(1_000);
        mean_opinion(codec, loss_permille, round_trip.unwrap_or_default() / 2 + self.jitter * BUFFERED + DEVICES)
    }
}

impl Reception {
    /// Takes note of a packet of sound whose clock runs at `rate`.
    pub fn receive(&mut self, packet: &RtpPacket, rate: u32, now: Instant) {
        self.count(packet, now);
        self.measure(packet.timestamp, rate, now);
    }

    /// Takes note of a packet whose timestamp says nothing of when it was sent, such as a telephone event's (RFC 4733).
    pub fn count(&mut self, packet: &RtpPacket, now: Instant) {
        let expected = self.highest as u16;
        let step = packet.sequence.wrapping_sub(expected);
        let is_known = self.ssrc == Some(packet.ssrc) && !(MAX_JUMP..=u16::MAX - MAX_JUMP).contains(&step);
        if !is_known {
            self.put_aside();
            // Not below a whole round, so that what was overtaken by the first packet has a place.
            self.highest = (1 << 16) | u64::from(packet.sequence);
            (self.ssrc, self.base, self.received, self.transit) = (Some(packet.ssrc), self.highest - 1, 0, None);
        } else if step < MAX_JUMP {
            self.highest += u64::from(step);
        }
        self.received += 1;
        self.last = Some(now);
    }

    /// Since when nothing came, or `None` before the first packet.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// What came since the last look.
    pub fn look(&mut self) -> Arrived {
        let expected = self.highest - self.base;
        let lost = expected.saturating_sub(self.received);
        let loss_permille = u32::try_from((lost * 1_000).checked_div(expected).unwrap_or(0)).unwrap_or(1_000);
        let arrived = Arrived { received: self.received, loss_permille, jitter: Duration::from_micros(self.jitter_us as u64) };
        self.put_aside();
        (self.base, self.received) = (self.highest, 0);
        arrived
    }

    /// What came from the beginning on.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let due = self.before.0 + (self.highest - self.base);
        let received = self.before.1 + self.received;
        let (sum, measured) = self.jitters;
        let jitter = Duration::from_micros((sum / f64::from(measured.max(1))) as u64);
        Totals { received, lost: due.saturating_sub(received), jitter }
    }

    /// What came since the last look belongs to the past.
    fn put_aside(&mut self) {
        self.before = (self.before.0 + (self.highest - self.base), self.before.1 + self.received);
    }

    fn measure(&mut self, timestamp: u32, rate: u32, now: Instant) {
        if let Some((before, stamp)) = self.transit {
            let spoken = f64::from(timestamp.wrapping_sub(stamp) as i32) * 1e6 / f64::from(rate.max(1));
            let passed = now.saturating_duration_since(before).as_micros() as f64;
            // A pause of the speaker is no jitter: its clock runs on, or its next stretch of speech begins anew.
            if spoken.abs() < 1e6 && passed < 1e6 {
                self.jitter_us += ((passed - spoken).abs() - self.jitter_us) / 16.0;
                self.jitters = (self.jitters.0 + self.jitter_us, self.jitters.1.saturating_add(1));
            }
        }
        self.transit = Some((now, timestamp));
    }
}

/// What a listener would say: 1 (bad) to 4.5, or `None` while nothing came.
///
/// The E-model of ITU-T G.107 with its defaults, for one way: `delay` is from mouth to ear, `loss_permille` what the jitter
/// buffer has to conceal.
#[must_use]
pub fn mean_opinion(codec: Codec, loss_permille: u32, delay: Duration) -> f64 {
    /// The rating without any impairment but the defaults' (G.107 table 2).
    const R0: f64 = 93.2;
    let loss = f64::from(loss_permille) / 10.0;
    let (impairment, robustness) = equipment(codec);
    // G.107 section 7.4, with random loss.
    let effective = impairment + (95.0 - impairment) * loss / (loss + robustness);
    rating_to_mos(R0 - delay_impairment(delay) - effective)
}

/// Ie and Bpl: G.113 appendix I for G.711 with concealment and for G.729A; G.722 and Opus as narrow-band listeners hear them, Opus with its
/// own concealment and error correction.
fn equipment(codec: Codec) -> (f64, f64) {
    match codec {
        Codec::Opus => (0.0, 35.0),
        Codec::G729 => (11.0, 19.0),
        Codec::Pcmu | Codec::Pcma | Codec::G722 => (0.0, 25.1),
    }
}

/// Id for an echo that is cancelled: G.107 section 7.3, absolute delay.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1_000.0;
    if ms <= 100.0 {
        return 0.0;
    }
    let x = (ms / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
}

/// G.107 annex B.
fn rating_to_mos(rating: f64) -> f64 {
    match rating {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's time begins somewhere")]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> RtpPacket {
        RtpPacket { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: Bytes::new() }
    }

    /// A packet every 20 ms but for those that `lost` names; each `late` by so many milliseconds.
    fn run(first: u16, lost: impl Fn(u16) -> bool, late: impl Fn(u16) -> u64) -> Arrived {
        let start = Instant::now();
        let mut reception = Reception::default();
        for n in 0..200u16 {
            let at = start + Duration::from_millis(u64::from(n) * 20 + late(n));
            if !lost(n) {
                reception.receive(&packet(first.wrapping_add(n), u32::from(n) * 160, 7), 8_000, at);
            }
        }
        reception.look()
    }

    #[test]
    fn loss_is_counted_over_the_wrap_and_between_looks() {
        assert_eq!(run(65_500, |_| false, |_| 0), Arrived { received: 200, loss_permille: 0, jitter: Duration::ZERO });
        let every_tenth = run(65_500, |n| n % 10 == 5, |_| 0);
        assert_eq!((every_tenth.received, every_tenth.loss_permille), (180, 100));
    }

    #[test]
    fn jitter_is_what_packets_differ_by() {
        let uneven = run(1, |_| false, |n| u64::from(n % 2) * 10);
        assert!((9..=10).contains(&uneven.jitter.as_millis()), "{uneven:?}");
    }

    #[test]
    fn another_stream_is_no_loss_and_reordering_neither() {
        let now = Instant::now();
        let mut reception = Reception::default();
        for sequence in [10, 12, 11, 13] {
            reception.receive(&packet(sequence, 0, 1), 8_000, now);
        }
        assert_eq!(reception.look().loss_permille, 0);
        reception.receive(&packet(40_000, 0, 2), 8_000, now);
        assert_eq!(reception.look(), Arrived { received: 1, ..reception.look() });
    }

    #[test]
    fn the_totals_are_of_all_streams_whenever_it_was_looked() {
        let now = Instant::now();
        let mut reception = Reception::default();
        // Of the first stream 2 of 6 are missing, of which one comes after a look; of the second 1 of 4.
        for sequence in [65_534, 65_535, 2, 3] {
            reception.receive(&packet(sequence, 0, 1), 8_000, now);
        }
        assert_eq!((reception.look().loss_permille, reception.totals().lost), (333, 2));
        reception.receive(&packet(1, 0, 1), 8_000, now);
        for sequence in [500, 501, 503] {
            reception.count(&packet(sequence, 0, 2), now);
        }
        assert_eq!(reception.totals(), Totals { received: 8, lost: 2, jitter: Duration::ZERO });
        reception.look();
        assert_eq!(reception.totals().received, 8, "a look takes nothing away");
        assert_eq!(Reception::default().totals(), Totals::default());
    }

    #[test]
    fn what_is_reported_is_of_what_was_sent() {
        let block = Block { lost: 25, jitter: 80, ..Block::default() };
        let there = Totals::reported(&block, 500, 8_000);
        assert_eq!(there, Totals { received: 475, lost: 25, jitter: Duration::from_millis(10) });
        let opinion = there.opinion(Codec::Pcmu, Some(Duration::from_millis(20)));
        assert!((opinion - mean_opinion(Codec::Pcmu, 50, Duration::from_millis(90))).abs() < 1e-9);
        let more = Totals::reported(&Block { lost: -2, ..block }, 500, 8_000);
        assert_eq!((more.received, more.lost), (500, 0), "some came twice");
        assert!((Totals::default().opinion(Codec::Opus, None) - 1.0).abs() < 1e-9, "nothing came");
    }

    #[test]
    fn the_opinion_is_that_of_the_model() {
        // G.107 annex B: R = 93.2 is 4.41.
        assert!((mean_opinion(Codec::Pcmu, 0, Duration::from_millis(50)) - 4.41).abs() < 0.01);
        // G.107: 5 % loss of G.711 with concealment costs about 16 of R, 400 ms one way about 24 (R 69.4: 3.57).
        let lossy = mean_opinion(Codec::Pcmu, 50, Duration::from_millis(50));
        assert!((lossy - 3.95).abs() < 0.05, "{lossy}");
        let late = mean_opinion(Codec::Pcmu, 0, Duration::from_millis(400));
        assert!((late - 3.57).abs() < 0.1, "{late}");
        assert!(mean_opinion(Codec::Opus, 50, Duration::ZERO) > lossy);
        assert!((mean_opinion(Codec::Opus, 1_000, Duration::from_secs(2)) - 1.0).abs() < 0.01);
    }
}

//! RTCP reports (RFC 3550 section 6) of a stream that is received and one that is sent: what was lost, how much it jitters.

use std::time::{Duration, Instant};

use crate::{jitter::extend, rtp::RtpPacket};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
/// Item type of the canonical name (section 6.5.1).
const CNAME: u8 = 1;
/// From 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;
/// In 65536ths of a second: both ends round, so that a short way may take less than nothing.
const ROUNDED: i32 = 656;
/// In 65536ths of a second: ten seconds.
const LONGEST_ROUND_TRIP: i32 = 10 << 16;

/// What is known of a received stream (appendices A.3 and A.8).
#[derive(Debug, Clone)]
pub struct Reception {
    clock_rate: u32,
    stream: Option<Received>,
}

#[derive(Debug, Clone)]
struct Received {
    ssrc: u32,
    first: i64,
    highest: i64,
    packets: i64,
    expected_before: i64,
    packets_before: i64,
    /// In sixteenths of a tick.
    jitter: i64,
    transit: Option<(u32, Instant)>,
}

impl Reception {
    /// For a codec's clock, in hertz.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, stream: None }
    }

    /// A packet came. Another SSRC begins anew.
    pub fn handle_packet(&mut self, packet: &RtpPacket, now: Instant) {
        let sequence = u32::from(packet.sequence);
        let known = self.stream.take().filter(|stream| stream.ssrc == packet.ssrc);
        let mut stream = known.unwrap_or_else(|| {
            let first = i64::from(sequence) + (1 << 20);
            let (ssrc, highest) = (packet.ssrc, first);
            Received { ssrc, first, highest, packets: 0, expected_before: 0, packets_before: 0, jitter: 0, transit: None }
        });
        stream.highest = stream.highest.max(extend(stream.highest, sequence, 16));
        stream.packets += 1;
        if let Some((timestamp, at)) = stream.transit {
            let arrived = now.saturating_duration_since(at).as_micros() * u128::from(self.clock_rate) / 1_000_000;
            let sent = i64::from(packet.timestamp.wrapping_sub(timestamp).cast_signed());
            let difference = (arrived as i64 - sent).abs().min(i64::from(self.clock_rate));
            stream.jitter += difference - ((stream.jitter + 8) >> 4);
        }
        stream.transit = Some((packet.timestamp, now));
        self.stream = Some(stream);
    }

    /// A report block, and the beginning of the next interval; `None` before anything came.
    pub fn report(&mut self) -> Option<Block> {
        let stream = self.stream.as_mut()?;
        let expected = stream.highest - stream.first + 1;
        let (due, came) = (expected - stream.expected_before, stream.packets - stream.packets_before);
        (stream.expected_before, stream.packets_before) = (expected, stream.packets);
        let lost = (due - came).max(0);
        Some(Block {
            ssrc: stream.ssrc,
            fraction_lost: if due > 0 { (lost * 256 / due).min(255) as u8 } else { 0 },
            lost: (expected - stream.packets).clamp(-0x80_0000, 0x7F_FFFF) as i32,
            highest: (stream.highest & 0xFFFF_FFFF) as u32,
            jitter: (stream.jitter >> 4) as u32,
            ..Block::default()
        })
    }
}

/// What one end says of the stream that it receives (section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Block {
    /// The stream.
    pub ssrc: u32,
    /// Of the packets since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Of all packets; negative where more came than were sent.
    pub lost: i32,
    /// The highest sequence number, with its rollovers above.
    pub highest: u32,
    /// In ticks of the clock.
    pub jitter: u32,
    /// The middle of the NTP time in the last report of a sender that it had; 0 for none.
    pub last_report: u32,
    /// How long it had that, in 65536ths of a second.
    pub since_report: u32,
}

impl Block {
    /// How long a report of ours took there, and its answer back; `wall` is the time since 1970 at which the answer came. `None`
    /// where the other end had no report of ours yet, or a clock was set meanwhile.
    #[must_use]
    pub fn round_trip(&self, wall: Duration) -> Option<Duration> {
        let ticks = middle_of_ntp(wall).wrapping_sub(self.last_report).wrapping_sub(self.since_report).cast_signed();
        let is_likely = self.last_report != 0 && (-ROUNDED..=LONGEST_ROUND_TRIP).contains(&ticks);
        is_likely.then(|| Duration::from_micros(u64::from(ticks.max(0).unsigned_abs()) * 1_000_000 / 65_536))
    }

    /// What was lost since the last report, in per cent.
    #[must_use]
    pub fn percent_lost(&self) -> u8 {
        (u16::from(self.fraction_lost) * 100 / 256) as u8
    }
}

/// What one end says of the stream that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The RTP timestamp of now.
    pub timestamp: u32,
    /// So far.
    pub packets: u32,
    /// So far, of payload.
    pub octets: u32,
}

/// A compound packet: a sender's report if something was sent, a receiver's otherwise, and the canonical name.
/// `wall` is the time since 1970.
#[must_use]
pub fn compound(ssrc: u32, sent: Option<Sent>, block: Option<Block>, cname: &str, wall: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let kind = if sent.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    let words = 1 + if sent.is_some() { 5 } else { 0 } + if block.is_some() { 6 } else { 0 };
    out.extend([0x80 | u8::from(block.is_some()), kind, 0, words]);
    out.extend(ssrc.to_be_bytes());
    if let Some(sent) = sent {
        out.extend(ntp(wall).to_be_bytes());
        [sent.timestamp, sent.packets, sent.octets].iter().for_each(|word| out.extend(word.to_be_bytes()));
    }
    if let Some(block) = block {
        out.extend(block.ssrc.to_be_bytes());
        out.push(block.fraction_lost);
        out.extend(&block.lost.to_be_bytes()[1..]);
        [block.highest, block.jitter, block.last_report, block.since_report]
            .iter()
            .for_each(|word| out.extend(word.to_be_bytes()));
    }
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // The name ends with at least one zero and fills its last word.
    let length = (4 + 2 + name.len() + 1).next_multiple_of(4);
    out.extend([0x81, DESCRIPTION, 0, (length / 4) as u8]);
    out.extend(ssrc.to_be_bytes());
    out.extend([CNAME, name.len() as u8]);
    out.extend(name);
    out.resize(out.len() + length - 6 - name.len(), 0);
    out
}

/// Seconds since 1900, with 32 bits of fractions (RFC 5905 section 6); begins anew in 2036.
fn ntp(wall: Duration) -> u64 {
    let seconds = (wall.as_secs() + NTP_EPOCH) & 0xFFFF_FFFF;
    (seconds << 32) | ((u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000)
}

fn middle_of_ntp(wall: Duration) -> u32 {
    ((ntp(wall) >> 16) & 0xFFFF_FFFF) as u32
}

/// All report blocks of a compound packet; what is truncated or unknown is passed over.
#[must_use]
pub fn blocks(compound: &[u8]) -> Vec<Block> {
    let (mut found, mut rest) = (Vec::new(), compound);
    while let [first, kind, high, low, ..] = rest {
        let length = 4 + usize::from(u16::from_be_bytes([*high, *low])) * 4;
        let Some(packet) = rest.get(..length).filter(|_| first >> 6 == 2) else { return found };
        let skipped = match *kind {
            SENDER_REPORT => 28,
            RECEIVER_REPORT => 8,
            _ => packet.len(),
        };
        let blocks = packet.get(skipped..).unwrap_or_default().chunks_exact(24);
        found.extend(blocks.take(usize::from(first & 0x1F)).map(block));
        rest = &rest[length..];
    }
    found
}

fn block(bytes: &[u8]) -> Block {
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    // 24 bits with a sign.
    let lost = (word(4) << 8).cast_signed() >> 8;
    let (last_report, since_report) = (word(16), word(20));
    Block { ssrc: word(0), fraction_lost: bytes[4], lost, highest: word(8), jitter: word(12), last_report, since_report }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can't be made otherwise; only differences count")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn packet(n: u32) -> RtpPacket {
        let sequence = 65_500u16.wrapping_add(n as u16);
        let timestamp = (u32::MAX - 1_000).wrapping_add(n * 160);
        RtpPacket { marker: false, payload_type: 0, sequence, timestamp, ssrc: 9, payload: bytes::Bytes::new() }
    }

    #[test]
    fn loss_and_jitter_are_counted_across_the_wrap() {
        let (start, mut reception) = (epoch(), Reception::new(8_000));
        assert_eq!(reception.report(), None);
        for n in (0..100).filter(|n| n % 10 != 3) {
            // Every other packet 4 ms late.
            let at = start + Duration::from_millis(u64::from(n) * 20 + u64::from(n % 2) * 4);
            reception.handle_packet(&packet(n), at);
        }
        let block = reception.report().unwrap();
        assert_eq!((block.ssrc, block.lost, block.percent_lost()), (9, 10, 9));
        assert_eq!(block.highest & 0xFFFF, 65_599 - 65_536);
        assert!((22..=32).contains(&block.jitter), "4 ms are 32 ticks: {}", block.jitter);
        assert_eq!(reception.report().unwrap().fraction_lost, 0, "nothing since");
    }

    #[test]
    fn reports_are_read_as_they_were_written() {
        let (last_report, since_report) = (3, 4);
        let block = Block { ssrc: 1, fraction_lost: 26, lost: -3, highest: 70_000, jitter: 12, last_report, since_report };
        let sent = Sent { timestamp: 5, packets: 6, octets: 7 };
        for sent in [None, Some(sent)] {
            let packet = compound(2, sent, Some(block), "someone", Duration::from_secs(1_000));
            assert_eq!((packet.len() % 4, blocks(&packet)), (0, vec![block]));
            for end in 0..packet.len() {
                let _ = blocks(&packet[..end]);
            }
        }
        assert_eq!(blocks(&compound(2, None, None, "x", Duration::ZERO)), []);
    }

    #[test]
    fn the_round_trip_is_what_remains_without_the_stay_there() {
        let sent_at = Duration::from_millis(1_700_000_000_250);
        let report = compound(2, Some(Sent { timestamp: 5, packets: 6, octets: 7 }), None, "someone", sent_at);
        // The middle of its NTP time, as the other end reads it: bytes 10 to 14 (RFC 3550 section 6.4.1).
        let last_report = u32::from_be_bytes(report[10..14].try_into().unwrap());
        let answer = Block { last_report, since_report: 65_536 * 3, ..Block::default() };
        let after = |ms| answer.round_trip(sent_at + Duration::from_millis(ms)).map(|time| time.as_millis());
        assert!((39..=41).contains(&after(3_040).unwrap()));
        assert_eq!(after(2_995), Some(0), "rounded there");
        assert_eq!((after(2_000), after(60_000)), (None, None), "somebody has set a clock");
        assert_eq!(Block::default().round_trip(sent_at), None, "no report came there");
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>) {
            proptest::prop_assert!(blocks(&bytes).len() <= bytes.len() / 24 + 1);
        }
    }
}

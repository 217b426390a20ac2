//! The numbers of the packets that a leg is sent: one SSRC, one sequence and one clock for all that it ever hears, be it a
//! greeting, the other end of a bridge or its successor.

use std::time::{Duration, Instant};

use aftertone_media::rtp::RtpPacket;
use bytes::Bytes;

/// A sequence number this far from the last one is no loss and no reordering, but a new stream (RFC 3550 appendix A.1).
const SEQUENCE_JUMP: i16 = 1000;
/// A timestamp that is this far from where the clock should be belongs to a new clock.
const CLOCK_JUMP: Duration = Duration::from_secs(5);

/// What a leg is sent. The sequence never jumps: SRTP guesses its rollover from it.
#[derive(Debug)]
pub(super) struct SendStream {
    ssrc: u32,
    next: u16,
    /// A timestamp that was sent, and when.
    clock: Option<(u32, Instant)>,
    first: u32,
    packets: u32,
    octets: u32,
    /// How many packets of our own it has: what is passed on goes on after them.
    own: u32,
}

impl SendStream {
    /// A stream with random numbers (RFC 3550 section 5.1).
    pub(super) fn new(random: u128) -> Self {
        let [ssrc, first, rest, _] = [0, 32, 64, 96].map(|shift| u32::try_from(random >> shift & 0xffff_ffff).unwrap_or(0));
        // The upper half stays free: a receiver that misses the first packets must not meet the rollover in them.
        Self { ssrc, next: (rest & 0x7fff) as u16, clock: None, first, packets: 0, octets: 0, own: 0 }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number of the next packet.
    pub(super) fn next(&self) -> u16 {
        self.next
    }

    /// Packets and octets of payload; `None` before the first.
    pub(super) fn sent_so_far(&self) -> Option<(u32, u32)> {
        self.clock.map(|_| (self.packets, self.octets))
    }

    /// A packet of it goes out.
    pub(super) fn count(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(octets).unwrap_or(0));
    }

    /// Where the clock of `rate` hertz stands: it went on while nothing was sent.
    pub(super) fn timestamp_at(&self, now: Instant, rate: u32) -> u32 {
        match self.clock {
            None => self.first,
            Some((timestamp, at)) => timestamp.wrapping_add(ticks(now.saturating_duration_since(at), rate)),
        }
    }

    /// The next packet.
    pub(super) fn packet(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: Bytes, now: Instant) -> RtpPacket {
        let sequence = self.next;
        self.own = self.own.wrapping_add(1);
        self.sent(sequence, Some(timestamp), now);
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }

    /// The next packet, of a DTMF event: its timestamp is that of the event's beginning and says nothing of the clock.
    pub(super) fn event(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: Bytes) -> RtpPacket {
        let sequence = self.next;
        self.own = self.own.wrapping_add(1);
        self.next = sequence.wrapping_add(1);
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }

    fn sent(&mut self, sequence: u16, timestamp: Option<u32>, now: Instant) {
        if signed(sequence.wrapping_sub(self.next)) >= 0 {
            self.next = sequence.wrapping_add(1);
            if let Some(timestamp) = timestamp {
                self.clock = Some((timestamp, now));
            }
        }
    }
}

/// Numbers another stream's packets as packets of ours, so that its losses and its order stay visible.
#[derive(Debug, Default)]
pub(super) struct Renumber(Option<Source>);

/// What a packet carries, with the payload type to send it under.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Audio.
    Sound { payload_type: u8 },
    /// RFC 4733: its timestamp stays at the event's beginning.
    Event { payload_type: u8 },
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// The highest sequence number that came.
    sequence: u16,
    sequence_offset: u16,
    timestamp: u32,
    timestamp_offset: u32,
    at: Instant,
    /// Of the stream, when it began: it begins anew after packets of our own, for their numbers are taken.
    own: u32,
}

impl Renumber {
    /// The packet as the next (or an earlier) one of `stream`, both at a clock of `rate` hertz.
    pub(super) fn renumber(
        &mut self,
        stream: &mut SendStream,
        packet: &RtpPacket,
        kind: Kind,
        rate: u32,
        now: Instant,
    ) -> RtpPacket {
        let (sound, payload_type) = match kind {
            Kind::Sound { payload_type } => (true, payload_type),
            Kind::Event { payload_type } => (false, payload_type),
        };
        let (sequence_offset, timestamp_offset, begun) = self.follow(stream, packet, sound, rate, now);
        let sequence = packet.sequence.wrapping_add(sequence_offset);
        let timestamp = packet.timestamp.wrapping_add(timestamp_offset);
        stream.sent(sequence, sound.then_some(timestamp), now);
        let marker = packet.marker || begun;
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: stream.ssrc, payload: packet.payload.clone() }
    }

    /// A packet that came but is not passed on: no hole is left for it.
    pub(super) fn skip(&mut self, packet: &RtpPacket) {
        if let Some(source) = &mut self.0
            && source.ssrc == packet.ssrc
            && packet.sequence == source.sequence.wrapping_add(1)
        {
            source.sequence = packet.sequence;
            source.sequence_offset = source.sequence_offset.wrapping_sub(1);
        }
    }

    /// The offsets of sequence and timestamp. Begins anew where the source is a new one, and says so.
    fn follow(&mut self, stream: &SendStream, packet: &RtpPacket, sound: bool, rate: u32, now: Instant) -> (u16, u32, bool) {
        let offset = || stream.timestamp_at(now, rate).wrapping_sub(packet.timestamp);
        if let Some(source) = &mut self.0 {
            let step = signed(packet.sequence.wrapping_sub(source.sequence));
            if (source.ssrc, source.own) == (packet.ssrc, stream.own) && (-SEQUENCE_JUMP..SEQUENCE_JUMP).contains(&step) {
                let mut jumped = false;
                if step > 0 && sound {
                    let expected = source.timestamp.wrapping_add(ticks(now.saturating_duration_since(source.at), rate));
                    jumped = signed32(packet.timestamp.wrapping_sub(expected)).unsigned_abs() > ticks(CLOCK_JUMP, rate);
                    if jumped {
                        source.timestamp_offset = offset();
                    }
                    (source.timestamp, source.at) = (packet.timestamp, now);
                }
                if step > 0 {
                    source.sequence = packet.sequence;
                }
                return (source.sequence_offset, source.timestamp_offset, jumped);
            }
        }
        let (sequence_offset, timestamp_offset) = (stream.next.wrapping_sub(packet.sequence), offset());
        let (sequence, timestamp) = (packet.sequence, packet.timestamp);
        self.0 =
            Some(Source { ssrc: packet.ssrc, sequence, sequence_offset, timestamp, timestamp_offset, at: now, own: stream.own });
        (sequence_offset, timestamp_offset, true)
    }
}

/// A duration in ticks of a clock; wraps as timestamps do.
pub(super) fn ticks(duration: Duration, rate: u32) -> u32 {
    let ticks = duration.as_nanos() * u128::from(rate) / 1_000_000_000;
    u32::try_from(ticks & 0xffff_ffff).unwrap_or(0)
}

/// A difference of two sequence numbers, with its sign.
pub(super) fn signed(difference: u16) -> i16 {
    difference.cast_signed()
}

/// A difference of two timestamps, with its sign.
pub(super) fn signed32(difference: u32) -> i32 {
    difference.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> RtpPacket {
        RtpPacket { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: Bytes::new() }
    }

    fn at(ms: u64, start: Instant) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn losses_and_order_stay_visible_across_the_wrap() {
        let start = Instant::now();
        let mut stream = SendStream::new(7);
        let mut renumber = Renumber::default();
        let mut sent = Vec::new();
        for (index, sequence) in [65_534_u16, 65_535, 1, 0, 2].into_iter().enumerate() {
            let steps = sequence.wrapping_sub(65_534);
            let came = packet(9, sequence, 1000 + u32::from(steps) * 160);
            let packet =
                renumber.renumber(&mut stream, &came, Kind::Sound { payload_type: 8 }, RATE, at(20 * index as u64, start));
            sent.push((packet.sequence, packet.timestamp, packet.marker));
        }
        let (first, clock, _) = sent[0];
        let expect = [(0, 0, true), (1, 160, false), (3, 480, false), (2, 320, false), (4, 640, false)];
        assert_eq!(sent, expect.map(|(step, ticks, marker)| (first + step, clock.wrapping_add(ticks), marker)));
    }

    #[test]
    fn what_is_passed_on_goes_on_after_what_was_played_in_between() {
        let start = Instant::now();
        let mut stream = SendStream::new(7 << 32);
        let mut renumber = Renumber::default();
        let sound = Kind::Sound { payload_type: 0 };
        let before = renumber.renumber(&mut stream, &packet(1, 100, 5000), sound, RATE, start);
        let mut last = before.sequence;
        for n in 1..=100 {
            let timestamp = stream.timestamp_at(at(20 * n, start), RATE);
            last = stream.packet(n == 1, 0, timestamp, Bytes::new(), at(20 * n, start)).sequence;
        }
        // Meanwhile the other one, on hold, sent nothing.
        let after = renumber.renumber(&mut stream, &packet(1, 101, 5160), sound, RATE, at(2_020, start));
        assert_eq!((after.sequence, after.marker), (last.wrapping_add(1), true));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(101 * 160));
        let next = renumber.renumber(&mut stream, &packet(1, 102, 5320), sound, RATE, at(2_040, start));
        assert_eq!(
            (next.sequence, next.timestamp, next.marker),
            (last.wrapping_add(2), after.timestamp.wrapping_add(160), false)
        );
    }

    #[test]
    fn a_new_source_goes_on_where_the_old_one_ended() {
        let start = Instant::now();
        let mut stream = SendStream::new(7 << 32);
        let mut renumber = Renumber::default();
        let old = renumber.renumber(&mut stream, &packet(1, 100, 5000), Kind::Sound { payload_type: 0 }, RATE, start);
        let new = renumber.renumber(&mut stream, &packet(2, 40_000, 77), Kind::Sound { payload_type: 0 }, RATE, at(500, start));
        assert_eq!(new.sequence, old.sequence + 1);
        assert_eq!(new.timestamp, old.timestamp.wrapping_add(4000));
        assert!(new.marker);
        let jumped = renumber.renumber(
            &mut stream,
            &packet(2, 40_001, 900_000_000),
            Kind::Sound { payload_type: 0 },
            RATE,
            at(520, start),
        );
        assert_eq!((jumped.sequence, jumped.timestamp), (new.sequence + 1, new.timestamp.wrapping_add(160)));
    }

    #[test]
    fn what_is_not_passed_on_leaves_no_hole() {
        let start = Instant::now();
        let mut stream = SendStream::new(0);
        let mut renumber = Renumber::default();
        let first = renumber.renumber(&mut stream, &packet(1, 10, 0), Kind::Sound { payload_type: 0 }, RATE, start);
        renumber.skip(&packet(1, 11, 160));
        let second = renumber.renumber(&mut stream, &packet(1, 12, 320), Kind::Sound { payload_type: 0 }, RATE, at(40, start));
        assert_eq!(second.sequence, first.sequence + 1);
    }

    #[test]
    fn own_packets_follow_relayed_ones() {
        let start = Instant::now();
        let mut stream = SendStream::new(3);
        let mut renumber = Renumber::default();
        let relayed = renumber.renumber(&mut stream, &packet(1, 10, 0), Kind::Sound { payload_type: 0 }, RATE, start);
        let clock = stream.timestamp_at(at(20, start), RATE);
        let own = stream.packet(false, 0, clock, Bytes::new(), at(20, start));
        assert_eq!((own.sequence, own.timestamp), (relayed.sequence + 1, relayed.timestamp.wrapping_add(160)));
    }
}

//! Packets as long as the other end asked for (RFC 8866 section 6.4: `a=ptime` and `a=maxptime`), whatever they were made of.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{Codec, rtp::RtpPacket, sdp::PacketTime};

/// Cuts and joins the packets of G.711 and G.722, whose payloads are bytes in a row. Those of Opus pass: each says itself how
/// long it is (RFC 6716 section 3.1), and every decoder takes all lengths.
///
/// Packets out have a sequence of their own, in which what was lost before stays visible. What is to be joined waits for what
/// follows on it; a pause, a loss, a key or another codec sends it as short as it is.
#[derive(Debug)]
pub struct Repacker {
    time: PacketTime,
    /// Of the next packet out.
    next: u16,
    /// Of the last packet in.
    last: Option<u16>,
    held: Option<Held>,
}

/// Sound that isn't a whole packet yet.
#[derive(Debug)]
struct Held {
    /// What its packet is like but for its payload.
    packet: RtpPacket,
    payload: BytesMut,
}

impl Held {
    fn end(&self) -> u32 {
        self.packet.timestamp.wrapping_add(self.payload.len() as u32)
    }
}

impl Repacker {
    /// For a stream whose next packet has this sequence number.
    #[must_use]
    pub fn new(time: PacketTime, next: u16) -> Self {
        Self { time, next, last: None, held: None }
    }

    /// The other end asks for something else from now on.
    pub fn set(&mut self, time: PacketTime) {
        self.time = time;
    }

    /// A packet is to be sent; `codec` is what it carries, or `None` for what is no sound. What is to be sent now is appended
    /// to `out`. A packet from before the last one has missed its place where packets are joined or cut, and is left out.
    pub fn push(&mut self, packet: RtpPacket, codec: Option<Codec>, out: &mut Vec<RtpPacket>) {
        let step = self.last.map_or(1, |last| packet.sequence.wrapping_sub(last).cast_signed());
        let bytes = codec.and_then(|codec| self.time.bytes(codec, packet.payload.len()));
        if step <= 0 {
            return self.late(packet, step, bytes, out);
        }
        self.last = Some(packet.sequence);
        let lost = (step - 1).cast_unsigned();
        let follows = |held: &Held| {
            let same = (held.packet.payload_type, held.packet.ssrc) == (packet.payload_type, packet.ssrc);
            same && lost == 0 && !packet.marker && held.end() == packet.timestamp
        };
        if bytes.is_none() || !self.held.as_ref().is_some_and(follows) {
            self.flush(out);
            self.next = self.next.wrapping_add(lost);
        }
        let Some(bytes) = bytes else {
            let packet = self.numbered(packet);
            return out.push(packet);
        };
        match &mut self.held {
            None if packet.payload.len() == bytes => {
                let packet = self.numbered(packet);
                out.push(packet);
            }
            Some(held) => held.payload.extend_from_slice(&packet.payload),
            None => {
                let payload = BytesMut::from(&packet.payload[..]);
                self.held = Some(Held { packet: RtpPacket { payload: Bytes::new(), ..packet }, payload });
            }
        }
        while self.held.as_ref().is_some_and(|held| held.payload.len() >= bytes) {
            self.cut(bytes, out);
        }
    }

    /// A packet from before the last one: in its place, if packets are as long as they come.
    fn late(&self, packet: RtpPacket, step: i16, bytes: Option<usize>, out: &mut Vec<RtpPacket>) {
        let passes = bytes.is_none_or(|bytes| bytes == packet.payload.len()) && self.held.is_none();
        if passes && step < 0 {
            let sequence = self.next.wrapping_sub(1).wrapping_add_signed(step);
            out.push(RtpPacket { sequence, ..packet });
        }
    }

    /// Sends what waits.
    fn flush(&mut self, out: &mut Vec<RtpPacket>) {
        if let Some(length) = self.held.as_ref().map(|held| held.payload.len()) {
            self.cut(length, out);
        }
    }

    fn cut(&mut self, length: usize, out: &mut Vec<RtpPacket>) {
        let Some(mut held) = self.held.take() else { return };
        let payload = held.payload.split_to(length).freeze();
        out.push(self.numbered(RtpPacket { payload, ..held.packet.clone() }));
        if !held.payload.is_empty() {
            let timestamp = held.packet.timestamp.wrapping_add(length as u32);
            let packet = RtpPacket { timestamp, marker: false, ..held.packet };
            self.held = Some(Held { packet, payload: held.payload });
        }
    }

    fn numbered(&mut self, packet: RtpPacket) -> RtpPacket {
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        RtpPacket { sequence, ..packet }
    }
}

impl PacketTime {
    /// How many bytes a packet of this codec has for it, when packets of so many bytes come; `None` where they pass.
    fn bytes(self, codec: Codec, comes: usize) -> Option<usize> {
        let per_ms = match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8,
            Codec::Opus | Codec::G729 => return None,
        };
        let comes = Duration::from_millis((comes / per_ms) as u64);
        let wanted = self.of(comes);
        Some((wanted.as_millis() as usize * per_ms).max(per_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(n: u16, ms: u16) -> RtpPacket {
        let timestamp = (u32::MAX - 700).wrapping_add(u32::from(n) * u32::from(ms) * 8);
        let payload: Vec<u8> = (0..ms * 8).map(|at| (u32::from(n * ms * 8 + at) % 251) as u8).collect();
        let sequence = 65_530_u16.wrapping_add(n);
        RtpPacket { marker: n == 0, payload_type: 0, sequence, timestamp, ssrc: 3, payload: payload.into() }
    }

    fn asked(ptime: Option<u64>, maxptime: Option<u64>) -> PacketTime {
        PacketTime { wanted: ptime.map(Duration::from_millis), most: maxptime.map(Duration::from_millis) }
    }

    fn through(time: PacketTime, packets: impl IntoIterator<Item = RtpPacket>) -> Vec<RtpPacket> {
        let (mut repacker, mut out) = (Repacker::new(time, 9), Vec::new());
        packets.into_iter().for_each(|packet| repacker.push(packet, Some(Codec::Pcmu), &mut out));
        out
    }

    #[test]
    fn packets_of_any_length_become_those_that_are_asked_for() {
        for (comes, asks) in [(20, 20), (20, 30), (20, 40), (20, 60), (60, 20), (30, 20), (20, 10), (10, 60)] {
            let sound = |packets: &[RtpPacket]| packets.iter().flat_map(|p| p.payload.to_vec()).collect::<Vec<_>>();
            let packets: Vec<_> = (0..30).map(|n| packet(n, comes)).collect();
            let out = through(asked(Some(asks), None), packets.clone());
            assert!(out.iter().all(|p| p.payload.len() as u64 == asks * 8), "{comes} to {asks}");
            assert!(sound(&packets).starts_with(&sound(&out)) && out.len() as u64 == 30 * u64::from(comes) / asks);
            let steps: Vec<_> = out.windows(2).map(|two| (two[1].sequence - two[0].sequence, two[1].marker)).collect();
            assert!(steps.iter().all(|step| *step == (1, false)), "{steps:?}");
            assert!(out.windows(2).all(|two| u64::from(two[1].timestamp.wrapping_sub(two[0].timestamp)) == asks * 8));
            assert_eq!((out[0].sequence, out[0].marker, out[0].timestamp), (9, true, packets[0].timestamp));
        }
    }

    #[test]
    fn none_is_longer_than_the_other_end_takes_at_most() {
        let long = through(asked(None, Some(40)), (0..4).map(|n| packet(n, 60)));
        assert_eq!(long.iter().map(|p| p.payload.len()).collect::<Vec<_>>(), [320; 6]);
        let short = through(asked(None, Some(40)), (0..4).map(|n| packet(n, 20)));
        assert_eq!(short.iter().map(|p| p.payload.len()).collect::<Vec<_>>(), [160; 4], "what is short enough passes");
    }

    #[test]
    fn a_loss_stays_one_and_a_pause_keeps_nothing_back() {
        let lossy = through(asked(Some(40), None), [0, 1, 2, 4, 5, 6, 7].map(|n| packet(n, 20)));
        let seen: Vec<_> = lossy.iter().map(|p| (p.sequence - 9, p.payload.len())).collect();
        assert_eq!(seen, [(0, 320), (1, 160), (3, 320), (4, 320)], "the third goes alone, the fourth is missing");
        let late = |asks| through(asked(Some(asks), None), [0, 2, 1].map(|n| packet(n, 20)));
        assert_eq!(late(20).iter().map(|p| p.sequence).collect::<Vec<_>>(), [9, 11, 10], "it has its place");
        assert_eq!(late(40).iter().map(|p| p.sequence).collect::<Vec<_>>(), [9], "what it belongs to is gone");
    }

    #[test]
    fn keys_and_opus_pass_with_the_streams_own_numbers() {
        let (mut repacker, mut out) = (Repacker::new(asked(Some(60), None), 9), Vec::new());
        repacker.push(packet(0, 20), Some(Codec::Pcmu), &mut out);
        repacker.push(packet(1, 20), None, &mut out);
        repacker.push(packet(2, 20), Some(Codec::Opus), &mut out);
        assert_eq!(out.iter().map(|p| p.sequence).collect::<Vec<_>>(), [9, 10, 11], "what waited goes before the key");
        assert_eq!(out[1].payload, packet(1, 20).payload);
    }
}

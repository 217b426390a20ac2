//! Where each packet of a recording belongs: packets in, sound and silence in their order out.
//!
//! Position zero is the end of the beep. The first packet of a stream is placed by its arrival, the following ones by their
//! timestamps, so that neither jitter nor loss nor discontinuous transmission moves anything. A stream whose timestamps
//! can't be true any more (they jumped, or the sender has changed) is placed by arrival again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aftertone_media::{Codec, rtp::RtpPacket};
use bytes::Bytes;

use super::stream::{signed, signed32, ticks};

/// A missing packet is waited for while the ones behind it are less than this.
const REORDER: Duration = Duration::from_millis(200);
/// A sequence number this far from the last one is a new stream (RFC 3550 appendix A.1).
const SEQUENCE_JUMP: i16 = 1000;
/// Sound that comes more than this before its time has a timestamp that jumped: the network only delays.
const EARLY: Duration = Duration::from_secs(2);
/// Sound that comes more than this after its time, too: the sender's clock stood still.
const LATE: Duration = Duration::from_secs(5);
/// The same for a packet that says that it begins a new talk spurt.
const LATE_SPURT: Duration = Duration::from_millis(500);

/// A part of a recording. Times are in ticks of the codec's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing was heard.
    Silence { ticks: u64 },
    /// A payload, undecoded.
    Sound { payload: Bytes, ticks: u32 },
}

/// The order of one recording.
#[derive(Debug)]
pub(super) struct Timeline {
    codec: Codec,
    origin: Instant,
    /// Up to where pieces came out.
    written: u64,
    anchor: Option<Anchor>,
    waiting: BTreeMap<u64, (Bytes, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    position: u64,
}

impl Timeline {
    /// A recording that begins now.
    pub(super) fn new(codec: Codec, origin: Instant) -> Self {
        Self { codec, origin, written: 0, anchor: None, waiting: BTreeMap::new() }
    }

    /// A packet of sound came; what can be written is appended to `out`.
    pub(super) fn push(&mut self, packet: &RtpPacket, now: Instant, out: &mut Vec<Piece>) {
        let length = self.codec.duration_of(&packet.payload);
        if length == 0 {
            return;
        }
        let arrival = self.ticks(now.saturating_duration_since(self.origin)).saturating_sub(u64::from(length));
        let position = match self.position(packet, arrival) {
            Some(position) => position,
            None => {
                self.flush(out);
                let position = arrival.max(self.written);
                self.anchor =
                    Some(Anchor { ssrc: packet.ssrc, sequence: packet.sequence, timestamp: packet.timestamp, position });
                position
            }
        };
        if position < self.written {
            return;
        }
        self.waiting.entry(position).or_insert_with(|| (packet.payload.clone(), length));
        self.release(self.ticks(REORDER), out);
    }

    /// Nothing more comes: what waited is appended to `out`.
    pub(super) fn flush(&mut self, out: &mut Vec<Piece>) {
        self.release(0, out);
    }

    /// The position by the timestamp, or `None` if that can't be trusted. Moves the anchor on.
    fn position(&mut self, packet: &RtpPacket, arrival: u64) -> Option<u64> {
        let anchor = self.anchor.as_mut().filter(|anchor| anchor.ssrc == packet.ssrc)?;
        let step = signed(packet.sequence.wrapping_sub(anchor.sequence));
        if !(-SEQUENCE_JUMP..SEQUENCE_JUMP).contains(&step) {
            return None;
        }
        let moved = i64::from(signed32(packet.timestamp.wrapping_sub(anchor.timestamp)));
        if step <= 0 {
            // Late or doubled; before the recording's beginning it is dropped like everything that was written already.
            return Some(anchor.position.checked_add_signed(moved).unwrap_or(0));
        }
        let (early, late) = (
            ticks(EARLY, self.codec.clock_rate()),
            ticks(if packet.marker { LATE_SPURT } else { LATE }, self.codec.clock_rate()),
        );
        let position = anchor.position.checked_add_signed(moved)?;
        let plausible = moved >= 0 && position <= arrival + u64::from(early) && position + u64::from(late) >= arrival;
        plausible.then(|| {
            (anchor.sequence, anchor.timestamp, anchor.position) = (packet.sequence, packet.timestamp, position);
            position
        })
    }

    /// Takes out what follows on what is written, and what waited too long behind a hole.
    fn release(&mut self, patience: u64, out: &mut Vec<Piece>) {
        while let Some(first) = self.waiting.first_entry() {
            let position = *first.key();
            let newest = self.anchor.map_or(position, |anchor| anchor.position);
            if position > self.written && newest < self.written + patience && patience > 0 {
                return;
            }
            let (payload, length) = first.remove();
            if position < self.written {
                continue;
            }
            if position > self.written {
                out.push(Piece::Silence { ticks: position - self.written });
            }
            out.push(Piece::Sound { payload, ticks: length });
            self.written = position + u64::from(length);
        }
    }

    fn ticks(&self, duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos() * u128::from(self.codec.clock_rate()) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u32 = 160;

    struct Recorder {
        timeline: Timeline,
        start: Instant,
        out: Vec<Piece>,
    }

    impl Recorder {
        fn new() -> Self {
            let start = Instant::now();
            Self { timeline: Timeline::new(Codec::Pcmu, start), start, out: Vec::new() }
        }

        /// A packet of 20 ms whose payload says which one it is.
        fn hear(&mut self, ms: u64, ssrc: u32, sequence: u16, timestamp: u32, name: u8) -> &mut Self {
            let payload = Bytes::from(vec![name; FRAME as usize]);
            let packet = RtpPacket { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload };
            self.timeline.push(&packet, self.start + Duration::from_millis(ms), &mut self.out);
            self
        }

        /// `a2 -40` is two packets called a, then 40 ms of silence.
        fn finish(&mut self) -> String {
            self.timeline.flush(&mut self.out);
            let mut words: Vec<String> = Vec::new();
            for piece in &self.out {
                words.push(match piece {
                    Piece::Silence { ticks } => format!("-{}", ticks / 8),
                    Piece::Sound { payload, .. } => char::from(payload[0]).to_string(),
                });
            }
            words.join(" ")
        }
    }

    #[test]
    fn a_steady_stream_is_written_as_it_came() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 65_535, u32::MAX - 159, b'a').hear(41, 1, 0, 0, b'b').hear(59, 1, 1, 160, b'c');
        assert_eq!(recorder.out.len(), 3, "nothing waits in a stream without holes");
        assert_eq!(recorder.finish(), "a b c");
    }

    #[test]
    fn silence_before_the_first_packet_counts_by_its_arrival() {
        assert_eq!(Recorder::new().hear(1020, 1, 5, 900, b'a').finish(), "-1000 a");
    }

    #[test]
    fn reordered_and_doubled_packets_fall_into_place() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 1, 160, b'a').hear(60, 1, 3, 480, b'c').hear(61, 1, 2, 320, b'b').hear(62, 1, 3, 480, b'x');
        assert_eq!(recorder.hear(80, 1, 4, 640, b'd').finish(), "a b c d");
    }

    #[test]
    fn losses_become_silence() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 1, 160, b'a');
        for index in 0..15_u16 {
            recorder.hear(80 + 20 * u64::from(index), 1, 4 + index, 640 + FRAME * u32::from(index), b'b');
        }
        assert!(recorder.out.len() > 5, "a hole is not waited for without end");
        // Far too late: the hole is written.
        recorder.hear(400, 1, 2, 320, b'x');
        assert_eq!(recorder.finish(), format!("a -40{}", " b".repeat(15)));
    }

    #[test]
    fn discontinuous_transmission_keeps_its_time() {
        let mut recorder = Recorder::new();
        assert_eq!(recorder.hear(20, 1, 1, 160, b'a').hear(4020, 1, 2, 160 + 32_000, b'b').finish(), "a -3980 b");
    }

    #[test]
    fn a_jump_of_the_timestamp_is_no_silence_of_hours() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 1, 160, b'a').hear(40, 1, 2, 3_000_000_000, b'b').hear(60, 1, 3, 3_000_000_160, b'c');
        assert_eq!(recorder.hear(80, 1, 4, 5, b'd').hear(100, 1, 5, 165, b'e').finish(), "a b c d e");
    }

    #[test]
    fn a_new_source_goes_on_by_its_arrival() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 1, 160, b'a').hear(540, 2, 900, 77, b'b').hear(560, 2, 901, 237, b'c');
        assert_eq!(recorder.finish(), "a -500 b c");
    }

    #[test]
    fn a_stall_and_its_burst_are_placed_by_their_timestamps() {
        let mut recorder = Recorder::new();
        recorder.hear(20, 1, 1, 160, b'a');
        recorder.hear(1500, 1, 2, 320, b'b').hear(1501, 1, 3, 480, b'c').hear(1502, 1, 4, 640, b'd');
        assert_eq!(recorder.finish(), "a b c d");
    }

    #[test]
    fn rubbish_is_dropped() {
        let mut recorder = Recorder::new();
        let empty = RtpPacket { marker: false, payload_type: 0, sequence: 1, timestamp: 0, ssrc: 1, payload: Bytes::new() };
        recorder.timeline.push(&empty, recorder.start, &mut recorder.out);
        assert_eq!(recorder.finish(), "");
    }
}

//! The jitter buffer: packets go in as they arrive, and come out in order when they are due.
//!
//! ```text
//!            first packet                target reached               next one isn't here
//!   Idle ------------------> Buffering ------------------> Playing --------------------> Playing, expanding
//!     ^                                                                                        |
//!     '------------------------- 1 s without any packet, another stream, a big jump <---------'
//! ```
//!
//! The playing position is a timestamp. Packets are due `target` after the moment at which the fastest packets of the
//! last seconds would have arrived; the target follows the measured delays. A packet that is late is played late and
//! the buffer is longer from then on; [`Pull::Packet::surplus`] tells the player to hurry afterwards.

mod delay;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{Codec, rtp::RtpPacket};
use delay::DelayEstimator;

/// A sequence number that jumps by more than this is of another stream (RFC 3550 appendix A.1).
const MAX_DROPOUT: i64 = 3_000;
/// So many packets in a row that are all too late: the sender began anew.
const MAX_LATE_RUN: u32 = 10;
/// Nothing for so long: the sender paused, and what comes then is buffered anew.
const PAUSE_MS: i64 = 1_000;
/// Less than this part of a packet (5 ms) is no gap but a sender's rounding.
const SLACK: i64 = 4;
/// So many packets are held at most: nobody pulls, or somebody sends what can never be played.
const MAX_HELD: usize = 500;
/// More than this over the target is skipped, not played fast: nobody pulled for a while.
const MAX_SURPLUS_MS: i64 = 500;

/// The bounds of the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// What the delay begins with.
    pub start: Duration,
    /// Never less, however steady the network is.
    pub min: Duration,
    /// Never more, however bad it is.
    pub max: Duration,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self { start: Duration::from_millis(40), min: Duration::from_millis(20), max: Duration::from_millis(200) }
    }
}

/// What is to be played next. Durations are in ticks of the codec's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pull {
    /// The packet that is due.
    Packet {
        /// To be decoded.
        payload: Bytes,
        /// Its payload type.
        payload_type: u8,
        /// By how much the buffer is longer than it needs to be; negative when it is shorter.
        surplus: i64,
    },
    /// A packet is lost: conceal it.
    Lost {
        /// For so long.
        ticks: u32,
        /// The packet right after it, if it is here: Opus finds FEC in it.
        following: Option<Bytes>,
    },
    /// The packet that is due isn't here, and none after it: conceal 20 ms and ask again.
    Late {
        /// For so long.
        ticks: u32,
    },
    /// The sender was silent for a while (discontinuous transmission, DTMF): comfort noise.
    Gap {
        /// For so long, at most 20 ms at a time.
        ticks: u32,
    },
    /// Nothing has come yet, or nothing for a second: silence.
    Idle,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterStatistics {
    /// Packets taken, without duplicates.
    pub received: u64,
    /// Packets concealed since they hadn't come when they were due.
    pub lost: u64,
    /// Packets that came after they had been concealed.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// How often the buffer ran empty.
    pub underruns: u64,
    /// How often it began anew.
    pub resyncs: u64,
}

/// Orders and times the packets of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    codec: Codec,
    delays: DelayEstimator,
    /// By extended sequence number; an empty payload holds the place of a packet that is not sound.
    packets: BTreeMap<i64, Held>,
    stream: Option<Stream>,
    statistics: JitterStatistics,
}

#[derive(Debug)]
struct Held {
    packet: RtpPacket,
    /// Extended.
    timestamp: i64,
    is_sound: bool,
}

/// Where the stream stands: its newest packet, and what is to be played.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    newest_sequence: i64,
    newest_timestamp: i64,
    late_run: u32,
    /// Absent while buffering.
    next: Option<Position>,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    sequence: i64,
    timestamp: i64,
    /// Ticks that were made up at this position while nothing came.
    expanded: i64,
    /// The length of the last packet.
    duration: u32,
}

impl JitterBuffer {
    /// An empty buffer for packets of `codec`.
    #[must_use]
    pub fn new(codec: Codec, config: JitterConfig) -> Self {
        Self {
            codec,
            delays: DelayEstimator::new(codec.clock_rate(), config),
            packets: BTreeMap::new(),
            stream: None,
            statistics: JitterStatistics::default(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> JitterStatistics {
        self.statistics
    }

    /// The delay that the network's jitter asks for.
    #[must_use]
    pub fn target(&self) -> Duration {
        let ticks = u64::try_from(self.delays.target()).unwrap_or(0);
        Duration::from_micros(ticks * 1_000_000 / u64::from(self.codec.clock_rate()))
    }

    /// Forgets the packets and waits for a stream; the measured delays are kept.
    pub fn reset(&mut self) {
        self.packets.clear();
        self.stream = None;
        self.delays.forget_base();
    }

    /// Takes a packet of sound.
    pub fn insert(&mut self, packet: RtpPacket, now: Instant) {
        let is_sound = self.codec.duration_of(&packet.payload) > 0;
        self.take(packet, is_sound, now);
    }

    /// Takes a packet that is no sound, such as a DTMF event: it uses up a sequence number, so it isn't lost.
    pub fn insert_other(&mut self, packet: RtpPacket, now: Instant) {
        self.take(packet, false, now);
    }

    fn take(&mut self, packet: RtpPacket, is_sound: bool, now: Instant) {
        let Some((sequence, timestamp)) = self.place(&packet) else { return };
        let is_next = self.stream.as_ref().and_then(|s| s.next).is_none_or(|next| sequence >= next.sequence);
        if is_next && self.packets.contains_key(&sequence) {
            self.statistics.duplicates += 1;
            return;
        }
        self.statistics.received += 1;
        if is_sound {
            self.delays.observe(timestamp, now);
        }
        let Some(stream) = &mut self.stream else { return };
        if sequence > stream.newest_sequence {
            (stream.newest_sequence, stream.newest_timestamp) = (sequence, timestamp);
        }
        if is_next {
            stream.late_run = 0;
            self.packets.insert(sequence, Held { packet, timestamp, is_sound });
            if self.packets.len() > MAX_HELD {
                self.packets.pop_first();
                self.statistics.lost += 1;
            }
            return;
        }
        self.statistics.late += 1;
        stream.late_run += 1;
        if stream.late_run > MAX_LATE_RUN {
            self.resync();
        }
    }

    /// Extends sequence and timestamp, beginning a new stream where they don't continue the old one.
    fn place(&mut self, packet: &RtpPacket) -> Option<(i64, i64)> {
        if let Some(stream) = &self.stream {
            let sequence = extend(stream.newest_sequence, u32::from(packet.sequence), 16);
            let timestamp = extend(stream.newest_timestamp, packet.timestamp, 32);
            let limit = i64::from(self.codec.clock_rate()) * 60;
            let jumps = (sequence - stream.newest_sequence).abs() > MAX_DROPOUT
                || (timestamp - stream.newest_timestamp).abs() > limit
                // Later by its number, yet earlier by its time.
                || (sequence > stream.newest_sequence && timestamp < stream.newest_timestamp);
            if stream.ssrc == packet.ssrc && !jumps {
                return Some((sequence, timestamp));
            }
            self.resync();
        }
        // High above zero, so that a packet from before the first one has a place.
        let (sequence, timestamp) = (i64::from(packet.sequence) + (1 << 20), i64::from(packet.timestamp) + (1 << 40));
        self.stream =
            Some(Stream { ssrc: packet.ssrc, newest_sequence: sequence, newest_timestamp: timestamp, late_run: 0, next: None });
        Some((sequence, timestamp))
    }

    fn resync(&mut self) {
        self.statistics.resyncs += 1;
        self.reset();
    }

    /// What is to be played next, at `now`. Call it whenever the sound of the last call has been played.
    pub fn pull(&mut self, now: Instant) -> Pull {
        let Some(position) = self.position(now) else { return Pull::Idle };
        self.skip_surplus(position, now);
        loop {
            let Some(position) = self.stream.as_ref().and_then(|s| s.next) else { return Pull::Idle };
            let Some((&sequence, held)) = self.packets.first_key_value() else { return self.expand(position) };
            let ahead = held.timestamp - position.timestamp - position.expanded;
            let slack = i64::from(self.codec.frame_ticks()) / SLACK;
            if sequence > position.sequence {
                // Shorter than it should be: the missing one isn't lost but late, and waiting makes the buffer longer.
                let frame = i64::from(self.codec.frame_ticks());
                if self.delays.delay_at(position.timestamp, now) + frame / 2 < self.delays.target() {
                    return self.expand(position);
                }
                if ahead > slack {
                    return self.lose(position, sequence, ahead);
                }
                // What was made up while waiting took its place.
                self.statistics.lost += (sequence - position.sequence).unsigned_abs();
                self.advance(Position { sequence, ..position });
                continue;
            }
            if !held.is_sound {
                self.packets.pop_first();
                self.advance(Position { sequence: sequence + 1, ..position });
                continue;
            }
            if ahead > slack {
                return self.gap(position, ahead, now);
            }
            return self.play(position, now);
        }
    }

    /// The playing position; sets it when enough is buffered.
    fn position(&mut self, now: Instant) -> Option<Position> {
        let stream = self.stream.as_mut()?;
        if stream.next.is_none() {
            let (&sequence, held) = self.packets.iter().find(|(_, held)| held.is_sound)?;
            if self.delays.delay_at(held.timestamp, now) < self.delays.target() {
                return None;
            }
            let duration = self.codec.duration_of(&held.packet.payload);
            stream.next = Some(Position { sequence, timestamp: held.timestamp, expanded: 0, duration });
            self.packets = self.packets.split_off(&sequence);
        }
        stream.next
    }

    fn advance(&mut self, next: Position) {
        if let Some(stream) = &mut self.stream {
            stream.next = Some(next);
        }
    }

    /// Nothing is here: stretches the present, for a second at most.
    fn expand(&mut self, position: Position) -> Pull {
        let ticks = self.codec.frame_ticks();
        if position.expanded == 0 {
            self.statistics.underruns += 1;
        }
        if position.expanded > i64::from(self.codec.clock_rate()) * PAUSE_MS / 1_000 {
            if let Some(stream) = &mut self.stream {
                stream.next = None;
            }
            return Pull::Idle;
        }
        self.advance(Position { expanded: position.expanded + i64::from(ticks), ..position });
        Pull::Late { ticks }
    }

    /// A later packet is here, this one isn't.
    fn lose(&mut self, position: Position, first: i64, ahead: i64) -> Pull {
        self.statistics.lost += 1;
        let ticks = ahead.min(i64::from(position.duration)).max(1);
        let is_last = first - position.sequence == 1 && ahead <= i64::from(position.duration);
        let following = self.packets.get(&first).filter(|held| is_last && held.is_sound);
        let following = following.map(|held| held.packet.payload.clone());
        let timestamp = position.timestamp + position.expanded + ticks;
        self.advance(Position { sequence: position.sequence + 1, timestamp, expanded: 0, ..position });
        Pull::Lost { ticks: ticks as u32, following }
    }

    /// The sender left time out. Silence can be stretched or cut unheard, so the delay is set right here.
    fn gap(&mut self, position: Position, ahead: i64, now: Instant) -> Pull {
        let frame = i64::from(self.codec.frame_ticks());
        let played = position.timestamp + position.expanded;
        let surplus = self.delays.delay_at(played, now) - self.delays.target();
        let skip = surplus.clamp(0, ahead - 1);
        let ticks = (ahead - skip).min(frame);
        self.advance(Position { timestamp: played + skip + ticks, expanded: 0, ..position });
        Pull::Gap { ticks: ticks as u32 }
    }

    fn play(&mut self, position: Position, now: Instant) -> Pull {
        let Some((sequence, held)) = self.packets.pop_first() else { return Pull::Idle };
        let duration = self.codec.duration_of(&held.packet.payload);
        let surplus = self.delays.delay_at(held.timestamp, now) - self.delays.target();
        let timestamp = held.timestamp + i64::from(duration);
        self.advance(Position {
            sequence: sequence + 1,
            timestamp,
            expanded: 0,
            duration: duration.max(position.duration.min(1)),
        });
        Pull::Packet { payload: held.packet.payload, payload_type: held.packet.payload_type, surplus }
    }

    /// Drops packets that nobody pulled in time.
    fn skip_surplus(&mut self, position: Position, now: Instant) {
        let limit = i64::from(self.codec.clock_rate()) * MAX_SURPLUS_MS / 1_000;
        if self.delays.delay_at(position.timestamp + position.expanded, now) - self.delays.target() <= limit {
            return;
        }
        while self.packets.len() > 1 {
            let Some((&sequence, held)) = self.packets.first_key_value() else { return };
            if self.delays.delay_at(held.timestamp, now) <= self.delays.target() {
                let next = Position { sequence, timestamp: held.timestamp, expanded: 0, ..position };
                return self.advance(next);
            }
            self.packets.pop_first();
            self.statistics.lost += 1;
        }
        if let Some((&sequence, held)) = self.packets.first_key_value() {
            self.advance(Position { sequence, timestamp: held.timestamp, expanded: 0, ..position });
        }
    }
}

/// The value nearest to `near` whose low `bits` are `low`.
pub(crate) fn extend(near: i64, low: u32, bits: u32) -> i64 {
    let modulus = 1i64 << bits;
    let difference = (i64::from(low) - near).rem_euclid(modulus);
    near + if difference >= modulus / 2 { difference - modulus } else { difference }
}

#[cfg(test)]
mod tests;

//! DTMF as telephone events (RFC 4733), both ways, and as sound from those who know nothing of events.

mod tone;

use std::{fmt, time::Duration};

pub use tone::ToneReceiver;

use crate::rtp::{RtpPacket, RtpSender};

/// RFC 4733 section 2.5.1.4: the last packet is sent three times.
const END_PACKETS: u8 = 3;
/// A volume of -10 dBm0, as most phones send (section 2.3.3).
const VOLUME: u8 = 10;
const END: u8 = 0x80;

/// One of the sixteen keys, as event number 0 to 15 (RFC 4733 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

impl Digit {
    const KEYS: &'static [u8; 16] = b"0123456789*#ABCD";

    /// From the key's character, `a` to `d` too.
    #[must_use]
    pub fn from_char(key: char) -> Option<Self> {
        let key = u8::try_from(key).ok()?.to_ascii_uppercase();
        Self::KEYS.iter().position(|&k| k == key).map(|event| Self(event as u8))
    }

    /// From an event's number; flash and the other events are no keys.
    #[must_use]
    pub fn from_event(event: u8) -> Option<Self> {
        (event < 16).then_some(Self(event))
    }

    /// The key's character.
    #[must_use]
    pub fn as_char(self) -> char {
        char::from(Self::KEYS[usize::from(self.0)])
    }

    /// The event's number.
    #[must_use]
    pub fn event(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// Tells each press once, at its first packet that arrives: lost first or last packets do no harm.
#[derive(Debug, Clone, Default)]
pub struct DtmfReceiver {
    last: Option<Press>,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    digit: Digit,
    ssrc: u32,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl DtmfReceiver {
    /// Takes a packet of the negotiated DTMF payload type; the digit if it begins a press.
    pub fn receive(&mut self, packet: &RtpPacket) -> Option<Digit> {
        let &[event, flags, high, low, ..] = &packet.payload[..] else { return None };
        let digit = Digit::from_event(event)?;
        let duration = u16::from_be_bytes([high, low]);
        let ended = flags & END != 0;
        let press = Press { digit, ssrc: packet.ssrc, timestamp: packet.timestamp, duration, ended };
        match &mut self.last {
            Some(last) if last.continued_by(&press, packet.marker) => {
                last.ended |= ended;
                last.duration = last.duration.max(duration);
                last.timestamp = if last.is_before(&press) { press.timestamp } else { last.timestamp };
                None
            }
            last => {
                *last = Some(press);
                Some(digit)
            }
        }
    }
}

impl Press {
    fn is_before(&self, other: &Self) -> bool {
        other.timestamp.wrapping_sub(self.timestamp) as i32 > 0
    }

    /// Whether `next` is of this press, or older than it (reordered).
    fn continued_by(&self, next: &Self, marker: bool) -> bool {
        if next.ssrc != self.ssrc {
            return false;
        }
        if !self.is_before(next) {
            return true;
        }
        // Some gateways let the timestamp run on through one press. Its duration grows then, and no new one is marked.
        !marker && !self.ended && next.digit == self.digit && next.duration > self.duration
    }
}

/// Sends one press: a packet every 20 ms, the last one three times. The audio is left out meanwhile.
#[derive(Debug, Clone)]
pub struct DtmfSender {
    digit: Digit,
    payload_type: u8,
    /// The AUDIO codec's clock, whatever `a=rtpmap` says of the events: browsers count so too.
    clock_rate: u32,
    length: u32,
    started: Option<u32>,
    elapsed: u32,
}

impl DtmfSender {
    /// A press of `duration` (at least 40 ms, at most 8 s at 8 kHz and 1.3 s at 48 kHz; usually 100 to 160 ms).
    #[must_use]
    pub fn new(digit: Digit, payload_type: u8, clock_rate: u32, duration: Duration) -> Self {
        let ticks = duration.as_millis().saturating_mul(u128::from(clock_rate)) / 1_000;
        // The duration has 16 bits; longer events would need segments (section 2.5.1.3), which no key press does.
        let length = u32::try_from(ticks).unwrap_or(u32::MAX).clamp(clock_rate / 25, 0xFFFF);
        Self { digit, payload_type, clock_rate, length, started: None, elapsed: 0 }
    }

    /// The packets of the next 20 ms, `None` when the press is over. The stream's clock runs on with each call.
    pub fn tick(&mut self, rtp: &mut RtpSender) -> Option<Vec<RtpPacket>> {
        if self.elapsed >= self.length {
            return None;
        }
        let first = self.started.is_none();
        let timestamp = *self.started.get_or_insert(rtp.timestamp());
        let step = self.clock_rate / 50;
        self.elapsed = (self.elapsed + step).min(self.length);
        let last = self.elapsed == self.length;
        let count = if last { END_PACKETS } else { 1 };
        let duration = u16::try_from(self.elapsed).unwrap_or(u16::MAX).to_be_bytes();
        let flags = VOLUME | if last { END } else { 0 };
        let payload = [self.digit.event(), flags, duration[0], duration[1]];
        let packets = (0..count).map(|n| rtp.event(first && n == 0, self.payload_type, timestamp, payload.to_vec())).collect();
        rtp.pause(step);
        Some(packets)
    }
}

#[cfg(test)]
mod tests;

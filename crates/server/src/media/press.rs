//! Keys that were pressed in the signalling (SIP INFO), as telephone events (RFC 4733) for the leg that is to hear them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_exchange::LegId;
use aftertone_media::{dtmf::Digit, rtp::RtpPacket};
use bytes::Bytes;

use super::{
    leg::Usage,
    state::{State, Timer},
    stream::SendStream,
};

const FRAME: Duration = Duration::from_millis(20);
/// A press lasts 160 ms, the pause after it 60 ms.
const PRESS: u16 = 8;
const PAUSE: u16 = 3;
/// RFC 4733 section 2.5.1.4: the last packet is sent three times.
const END_PACKETS: usize = 3;
const END: u8 = 0x80;
const VOLUME: u8 = 10;
/// Nobody dials faster ahead.
const MOST_WAITING: usize = 32;

/// What a leg is still to hear.
pub(super) struct Presses {
    waiting: VecDeque<Digit>,
    /// Packets of the first one so far.
    step: u16,
    timestamp: u32,
    due: Instant,
}

impl Presses {
    /// Sends what is due; `false` when all is said.
    fn serve(&mut self, payload_type: u8, rate: u32, stream: &mut SendStream, now: Instant, out: &mut Vec<RtpPacket>) -> bool {
        while self.due <= now {
            let Some(digit) = self.waiting.front() else { return false };
            if self.step == 0 {
                self.timestamp = stream.timestamp_at(now, rate);
            }
            self.step += 1;
            if self.step <= PRESS {
                let last = self.step == PRESS;
                let frame = u16::try_from(rate / 50).unwrap_or(u16::MAX);
                let [high, low] = frame.saturating_mul(self.step).to_be_bytes();
                let payload = Bytes::from(vec![digit.event(), VOLUME | if last { END } else { 0 }, high, low]);
                for n in 0..if last { END_PACKETS } else { 1 } {
                    out.push(stream.event(self.step == 1 && n == 0, payload_type, self.timestamp, payload.clone()));
                }
            } else if self.step == PRESS + PAUSE {
                self.waiting.pop_front();
                self.step = 0;
            }
            self.due += FRAME;
        }
        true
    }
}

impl State {
    /// A deposit or menu on the leg takes the key at once; otherwise the leg's other end hears it, and no sound meanwhile.
    pub(super) fn press(&mut self, id: LegId, digit: Digit, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if let Usage::Deposit(run) = &mut leg.usage {
            let effects = run.handle_digit(digit, &mut leg.stream, now);
            return self.effect(id, effects, now);
        }
        if let Usage::Menu(run) = &mut leg.usage {
            let effects = run.handle_digit(digit, now);
            return self.menu_effect(id, effects, now);
        }
        if leg.agreed.as_ref().is_none_or(|agreed| agreed.event.is_none()) {
            return tracing::debug!(leg = id.0, "a key is not passed on: the other end knows no events");
        }
        let fresh = || Presses { waiting: VecDeque::new(), step: 0, timestamp: 0, due: now };
        let presses = leg.presses.get_or_insert_with(fresh);
        if presses.waiting.len() < MOST_WAITING {
            presses.waiting.push_back(digit);
        }
        self.serve_presses(id, now);
    }

    pub(super) fn serve_presses(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (Some(presses), Some(agreed)) = (&mut leg.presses, &leg.agreed) else { return };
        let mut packets = Vec::new();
        let rate = agreed.codec.clock_rate();
        let goes_on = agreed.event.is_some_and(|event| presses.serve(event, rate, &mut leg.stream, now, &mut packets));
        let due = presses.due;
        if !goes_on {
            leg.presses = None;
        }
        self.set_timer(Timer::Press(id), goes_on.then_some(due));
        self.send(id, packets, now);
    }
}

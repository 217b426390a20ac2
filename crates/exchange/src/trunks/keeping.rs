//! Keeps the ways to trunks open, and notices when one is dead (RFC 5626 section 4.4).
//!
//! Over a stream an empty line is answered by half of one, over UDP a STUN request by its response. Whoever has never answered
//! is left in peace: many don't, and their flows live.

use std::time::Duration;

use aftertone_model::Now;
use aftertone_sip::Flow;

use super::{Line, LineId, TrunkFailure};
use crate::{Exchange, timers::Timer};

/// RFC 5626 section 4.4.1: often enough for the NATs of homes, which forget after 30 s.
pub(super) const EVERY: Duration = Duration::from_secs(25);
/// RFC 5626 section 4.4.1: a flow is dead whose pong stays away for so long.
const PONG_WAIT: Duration = Duration::from_secs(10);
/// A datagram may get lost: it is sent so often within that time.
const TRIES_OVER_UDP: u32 = 3;
/// RFC 5626 section 3.5.1; over UDP an empty datagram that every stack ignores.
const PING: &[u8] = b"\r\n\r\n";
/// What every message of STUN has after its kind and length (RFC 8489 section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

impl Exchange {
    pub(crate) fn keep_line_alive(&mut self, id: LineId, round: u64, now: Now) {
        let Some(line) = self.lines.get_mut(&id).filter(|line| line.round == round && line.is_up) else { return };
        (line.was_heard, line.pinged) = (false, 0);
        let keep_every = line.keep_every;
        self.ping(id, now);
        self.timers.set(now.mono + keep_every, Timer::KeepAlive(id, round));
    }

    fn ping(&mut self, id: LineId, now: Now) {
        let number = self.random_bits();
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(flow) = line.flow else { return };
        line.pinged += 1;
        let (round, owes_pong) = (line.round, line.owes_pongs);
        let is_stream = flow.transport.is_stream();
        let wait = if is_stream { PONG_WAIT } else { PONG_WAIT / TRIES_OVER_UDP };
        if is_stream || !line.promises_pongs {
            self.transmit(flow, PING);
        } else {
            self.transmit(flow, &binding_request(number));
        }
        if owes_pong {
            self.timers.set(now.mono + wait, Timer::Pong(id, round));
        }
    }

    /// Something came: the lines over this flow live.
    pub(crate) fn line_heard(&mut self, flow: Flow, bytes: &[u8]) {
        let is_pong = if flow.transport.is_stream() {
            bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
        } else {
            is_binding_response(bytes)
        };
        for line in self.lines.values_mut().filter(|line| line.uses(flow)) {
            line.was_heard = true;
            line.owes_pongs |= is_pong;
        }
    }

    /// A peer that answers keepalives has not: its flow is dead, whatever the network says.
    pub(crate) fn pong_is_due(&mut self, id: LineId, round: u64, now: Now) {
        let is_due = |line: &&Line| line.round == round && line.is_up && !line.was_heard;
        let Some(line) = self.lines.get(&id).filter(is_due) else { return };
        let Some(flow) = line.flow else { return };
        if !flow.transport.is_stream() && line.pinged < TRIES_OVER_UDP {
            return self.ping(id, now);
        }
        if let Some(connection) = flow.connection {
            self.give_up_connection(connection);
        }
        self.line_failed(id, TrunkFailure::Silent, now);
    }
}

/// Well before the peer takes the flow for dead, which it does after `flow_timer` seconds, and not more often than helps anybody.
pub(super) fn every(flow_timer: u64) -> Duration {
    Duration::from_secs(flow_timer.max(10)).mul_f64(0.9).min(EVERY)
}

/// A STUN binding request without attributes (RFC 5626 section 3.5.2, RFC 8489 section 5); `number` makes it one of a kind.
fn binding_request(number: u128) -> Vec<u8> {
    let kind_and_length = [0, 1, 0, 0];
    let number = number.to_be_bytes();
    [&kind_and_length, &COOKIE[..], &number[..12]].concat()
}

fn is_binding_response(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes.starts_with(&[1, 1]) && bytes[4..8] == COOKIE
}

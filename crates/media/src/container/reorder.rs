use std::collections::BTreeMap;

use crate::{jitter::extend, rtp::RtpPacket};

/// So many packets wait for a missing one; then it is lost.
const MAX_WAITING: usize = 4;
/// A jump of the sequence that is another stream (RFC 3550 appendix A.1).
const MAX_DROPOUT: i64 = 3_000;

/// Puts packets in order before they are written, as far as that costs next to no delay.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    waiting: BTreeMap<i64, RtpPacket>,
    next: Option<(u32, i64)>,
}

impl Reorder {
    /// The packets that may be written now. Older ones than those already given are dropped.
    pub(super) fn push(&mut self, packet: RtpPacket) -> Vec<RtpPacket> {
        let mut ready = Vec::new();
        let mut position = i64::from(packet.sequence);
        if let Some((ssrc, next)) = self.next {
            let extended = extend(next, u32::from(packet.sequence), 16);
            if ssrc == packet.ssrc && (extended - next).abs() < MAX_DROPOUT {
                position = extended;
            } else {
                ready = self.drain();
                self.next = None;
            }
        }
        let (_, mut next) = *self.next.get_or_insert((packet.ssrc, position));
        let ssrc = packet.ssrc;
        if position >= next {
            self.waiting.insert(position, packet);
        }
        while let Some((&first, _)) = self.waiting.first_key_value() {
            if first != next && self.waiting.len() <= MAX_WAITING {
                break;
            }
            ready.extend(self.waiting.pop_first().map(|(_, packet)| packet));
            next = first + 1;
        }
        self.next = Some((ssrc, next));
        ready
    }

    /// All that waits.
    pub(super) fn drain(&mut self) -> Vec<RtpPacket> {
        if let (Some((&last, _)), Some((_, next))) = (self.waiting.last_key_value(), &mut self.next) {
            *next = last + 1;
        }
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

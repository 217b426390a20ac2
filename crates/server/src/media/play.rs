//! A sound that a leg hears instead of its bridge: music on hold, ring back, announcements.

use std::time::{Duration, Instant};

use aftertone_exchange::{LegId, Sound};
use aftertone_media::{Codec, rtp::RtpPacket};

use super::{
    describe::Agreed,
    sounds::Slot,
    state::{State, Timer},
    stream::SendStream,
};

/// One packet.
const FRAME: Duration = Duration::from_millis(20);
/// A player that is later than this has lost its place: it goes on from now.
const LOST_PLACE: Duration = Duration::from_millis(200);

/// What is being played.
pub(super) struct Player {
    sound: Sound,
    repeat: bool,
    codec: Codec,
    frames: Slot,
    next: usize,
    due: Instant,
    timestamp: u32,
    /// The next packet is the first one after something else.
    begins: bool,
}

impl Player {
    /// Sends what is due; `false` when it is over.
    fn serve(&mut self, agreed: &Agreed, stream: &mut SendStream, now: Instant, out: &mut Vec<RtpPacket>) -> bool {
        while self.due <= now {
            if now > self.due + LOST_PLACE || self.begins {
                (self.due, self.timestamp) = (now, stream.timestamp_at(now, self.codec.clock_rate()));
            }
            // It is still being read and encoded.
            let Some(frames) = self.frames.get() else {
                self.due += FRAME;
                continue;
            };
            if self.next == frames.len() {
                self.next = 0;
                if !self.repeat || frames.is_empty() {
                    return false;
                }
            }
            let (marker, payload) = (std::mem::take(&mut self.begins), frames[self.next].clone());
            out.push(stream.packet(marker, agreed.payload_type, self.timestamp, payload, self.due));
            self.timestamp = self.timestamp.wrapping_add(self.codec.frame_ticks());
            self.next += 1;
            self.due += FRAME;
        }
        true
    }
}

impl State {
    pub(super) fn play(&mut self, id: LegId, sound: Sound, repeat: bool, now: Instant) {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(codec) = leg.agreed.as_ref().map(|agreed| agreed.codec).filter(|_| !leg.usage.is_mailbox()) else {
            return tracing::debug!(leg = id.0, "nothing can be played to a leg that is not described, or records");
        };
        let frames = shared.sounds.get(&sound, codec, &shared.runtime);
        leg.player = Some(Player { sound, repeat, codec, frames, next: 0, due: now, timestamp: 0, begins: true });
        self.serve_player(id, now);
    }

    pub(super) fn stop_playing(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.player = None;
            self.set_timer(Timer::Play(id), None);
        }
    }

    pub(super) fn serve_player(&mut self, id: LegId, now: Instant) {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (Some(player), Some(agreed)) = (&mut leg.player, &leg.agreed) else { return };
        if player.codec != agreed.codec {
            // A new description brought another codec.
            (player.codec, player.begins) = (agreed.codec, true);
            player.frames = shared.sounds.get(&player.sound, agreed.codec, &shared.runtime);
        }
        let mut packets = Vec::new();
        let goes_on = player.serve(agreed, &mut leg.stream, now, &mut packets);
        let due = player.due;
        if !goes_on {
            leg.player = None;
        }
        self.set_timer(Timer::Play(id), goes_on.then_some(due));
        self.send(id, packets, now);
    }
}

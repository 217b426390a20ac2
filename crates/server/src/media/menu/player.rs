//! Plays clips one after the other: speech of ours as it is, messages at any speed, from any place.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_media::{
    Codec,
    adapt::Plan,
    codec::{CodecError, Encoder},
    rtp::RtpPacket,
    stretch::Stretch,
};
use aftertone_model::MessageId;
use bytes::Bytes;

use super::super::{describe::Agreed, speech::PcmSlot, stream::SendStream};

/// One packet.
const FRAME: Duration = Duration::from_millis(20);
/// A player that is later than this has lost its place: it goes on from now.
const LOST_PLACE: Duration = Duration::from_millis(200);
/// Who is sent nothing else is sent silence so often: it keeps NATs open.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Of whose sound so much was sent is heard; a shorter message, when half of it was.
const HEARD: Duration = Duration::from_secs(1);

/// A clip.
pub(in super::super) struct Track {
    pub(in super::super) sound: PcmSlot,
    /// It is this message's.
    pub(in super::super) message: Option<MessageId>,
}

/// What happened while packets were made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Progress {
    /// All clips are over.
    pub(in super::super) is_over: bool,
    /// So much of this message was sent that it was heard.
    pub(in super::super) heard: Option<MessageId>,
}

/// What a listener hears. Everything goes through one encoder, so that there is no seam between two clips.
pub(in super::super) struct Player {
    codec: Codec,
    encoder: Encoder,
    tracks: VecDeque<Track>,
    stretch: Stretch,
    /// In the first track, in samples.
    position: usize,
    /// Of its message, in samples of the message.
    sent: usize,
    told: bool,
    buffer: Vec<i16>,
    speed: u16,
    paused: bool,
    due: Instant,
    timestamp: u32,
    /// The next packet is the first one after a pause.
    begins: bool,
}

impl Player {
    pub(in super::super) fn new(codec: Codec, now: Instant) -> Result<Self, CodecError> {
        Ok(Self {
            codec,
            encoder: Encoder::new(codec)?,
            tracks: VecDeque::new(),
            stretch: Stretch::new(codec.sample_rate()),
            position: 0,
            sent: 0,
            told: false,
            buffer: Vec::new(),
            speed: 100,
            paused: false,
            due: now,
            timestamp: 0,
            begins: true,
        })
    }

    /// Plays these in place of what plays.
    pub(in super::super) fn play(&mut self, tracks: Vec<Track>, now: Instant) {
        self.tracks = tracks.into();
        self.buffer.clear();
        self.paused = false;
        self.begin_track();
        // What follows at once on what played goes on in its time.
        if now > self.due || self.begins {
            (self.due, self.begins) = (now, true);
        }
    }

    pub(in super::super) fn pause(&mut self, paused: bool, now: Instant) {
        self.paused = paused;
        if !paused {
            (self.due, self.begins) = (now, true);
        }
    }

    pub(in super::super) fn adapt(&mut self, plan: Plan) {
        if let Err(error) = self.encoder.adapt(plan) {
            tracing::debug!(%error, "an encoder does not adapt");
        }
    }

    pub(in super::super) fn set_speed(&mut self, percent: u16) {
        self.speed = percent;
    }

    /// Moves in the message that plays.
    pub(in super::super) fn skip(&mut self, ms: i32) {
        if self.tracks.front().is_none_or(|track| track.message.is_none()) {
            return;
        }
        let samples = ms.unsigned_abs() as usize * self.codec.sample_rate() as usize / 1000;
        // What waits to be sent is not sent any more.
        self.sent = self.sent.saturating_sub(self.buffer.len());
        self.position = if ms < 0 { self.position.saturating_sub(samples) } else { self.position + samples };
        self.buffer.clear();
    }

    /// When to call [`Self::serve`].
    pub(in super::super) fn due(&self) -> Instant {
        self.due
    }

    /// Sends what is due. Deadlines are absolute, so that no delay adds up.
    pub(in super::super) fn serve(
        &mut self,
        agreed: &Agreed,
        stream: &mut SendStream,
        now: Instant,
        out: &mut Vec<RtpPacket>,
    ) -> Progress {
        let mut progress = Progress::default();
        while self.due <= now && !progress.is_over {
            if now > self.due + LOST_PLACE {
                (self.due, self.begins) = (now, true);
            }
            if std::mem::take(&mut self.begins) {
                self.timestamp = stream.timestamp_at(self.due, self.codec.clock_rate());
            }
            // Who holds the call hears nothing: it stands still.
            let is_idle = self.paused || self.tracks.is_empty() || !agreed.direction.sends();
            let frame = if is_idle { vec![0; self.codec.frame()] } else { self.frame(&mut progress) };
            self.send(&frame, agreed, stream, out);
            self.due += if is_idle { KEEP_ALIVE } else { FRAME };
            self.begins = is_idle;
        }
        progress
    }

    fn send(&mut self, frame: &[i16], agreed: &Agreed, stream: &mut SendStream, out: &mut Vec<RtpPacket>) {
        let Ok(payload) = self.encoder.encode(frame) else { return };
        let marker = self.begins;
        out.push(stream.packet(marker, agreed.payload_type, self.timestamp, Bytes::from(payload), self.due));
        self.timestamp = self.timestamp.wrapping_add(self.codec.frame_ticks());
    }

    /// The next 20 ms; silence while a clip is still being decoded.
    fn frame(&mut self, progress: &mut Progress) -> Vec<i16> {
        let length = self.codec.frame();
        while self.buffer.len() < length {
            let Some(track) = self.tracks.front() else {
                progress.is_over = true;
                break;
            };
            let Some(sound) = track.sound.get().cloned() else { break };
            if self.position >= sound.len() {
                self.tracks.pop_front();
                self.begin_track();
                continue;
            }
            match track.message {
                Some(message) => progress.heard = progress.heard.or(self.read(message, &sound)),
                None => {
                    let end = (self.position + length).min(sound.len());
                    self.buffer.extend_from_slice(&sound[self.position..end]);
                    self.position = end;
                }
            }
        }
        let mut frame: Vec<i16> = self.buffer.drain(..length.min(self.buffer.len())).collect();
        frame.resize(length, 0);
        frame
    }

    /// The next of a message; the message, when so much was read that it was heard.
    fn read(&mut self, message: MessageId, sound: &[i16]) -> Option<MessageId> {
        let next = self.stretch.read(sound, self.position, self.speed, &mut self.buffer);
        self.sent += next.saturating_sub(self.position);
        // At the very end nothing more comes of it.
        self.position = if next > self.position { next } else { sound.len() };
        let second = HEARD.as_secs() as usize * self.codec.sample_rate() as usize;
        let enough = second.min(sound.len() / 2);
        let is_heard = self.sent >= enough && !self.told;
        self.told |= is_heard;
        is_heard.then_some(message)
    }

    fn begin_track(&mut self) {
        (self.position, self.sent, self.told) = (0, 0, false);
        self.stretch = Stretch::new(self.codec.sample_rate());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use super::{super::super::describe::read_rtp_offer, *};

    /// A listener who gets packets in virtual time.
    struct Line {
        player: Player,
        agreed: Agreed,
        stream: SendStream,
        now: Instant,
        heard: Vec<MessageId>,
        packets: usize,
    }

    impl Line {
        fn new() -> Self {
            let now = Instant::now();
            let mut line = Self {
                player: Player::new(Codec::Pcmu, now).unwrap(),
                agreed: agreed("sendrecv"),
                stream: SendStream::new(1),
                now,
                heard: Vec::new(),
                packets: 0,
            };
            line.serve(20);
            line
        }

        /// A message of so many milliseconds begins.
        fn plays(&mut self, ms: usize) -> &mut Self {
            let sound = PcmSlot::default();
            sound.set(vec![900; ms * 8].into()).unwrap();
            self.player.play(vec![Track { sound, message: Some(message()) }], self.now);
            self
        }

        fn serve(&mut self, ms: u64) -> &mut Self {
            for _ in 0..ms / 20 {
                self.now += FRAME;
                let mut out = Vec::new();
                let progress = self.player.serve(&self.agreed, &mut self.stream, self.now, &mut out);
                self.heard.extend(progress.heard);
                self.packets += out.len();
            }
            self
        }

        fn holds(&mut self, holds: bool) -> &mut Self {
            self.agreed = agreed(if holds { "sendonly" } else { "sendrecv" });
            self
        }
    }

    fn message() -> MessageId {
        MessageId::from_random(1)
    }

    /// The other end does this with its media.
    fn agreed(direction: &str) -> Agreed {
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na={direction}\r\n"
        );
        Agreed::answered(&read_rtp_offer(&offer, &[Codec::Pcmu]).unwrap().1)
    }

    #[test]
    fn a_message_was_heard_when_a_second_of_it_was_sent() {
        let mut line = Line::new();
        line.plays(5000).serve(900);
        assert_eq!(line.heard, []);
        line.serve(4500);
        assert_eq!(line.heard, [message()], "and once");
        let mut short = Line::new();
        short.plays(600).serve(240);
        assert_eq!(short.heard, []);
        assert_eq!(short.serve(400).heard, [message()], "there is no second of it");
    }

    #[test]
    fn nothing_was_heard_of_what_was_skipped() {
        let mut line = Line::new();
        line.plays(5000).serve(200).player.skip(10_000);
        assert_eq!(line.serve(2000).heard, []);
        let mut restless = Line::new();
        restless.plays(60_000);
        for _ in 0..4 {
            restless.serve(200).player.skip(5000);
        }
        assert_eq!(restless.heard, []);
    }

    #[test]
    fn who_holds_the_call_misses_nothing() {
        let mut line = Line::new();
        line.plays(5000).serve(500).holds(true).serve(20_000);
        assert_eq!(line.heard, []);
        let before = line.packets;
        line.holds(false).serve(1600);
        assert_eq!(line.heard, [message()], "it goes on where it was, within a second");
        line.serve(6000);
        assert!((225..=235).contains(&(line.packets - before)), "the other 4.5 s are played: {}", line.packets - before);
    }

    /// Only the slot that a listener still waits for is worth a core.
    #[test]
    fn a_slot_tells_whether_somebody_waits_for_it() {
        let mut line = Line::new();
        let slot = PcmSlot::default();
        line.player.play(vec![Track { sound: Arc::clone(&slot), message: None }], line.now);
        assert_eq!(Arc::strong_count(&slot), 2);
        line.plays(100);
        assert_eq!(Arc::strong_count(&slot), 1);
    }
}

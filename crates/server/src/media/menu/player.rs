//! Plays clips one after the other: speech of ours as it is, messages at any speed, from any place.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_media::{
    Codec,
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
/// So much of a message counts as heard; of a shorter one all of it.
const HEARD: Duration = Duration::from_secs(1);

/// A clip.
pub(super) struct Track {
    pub(super) sound: PcmSlot,
    /// It is this message's.
    pub(super) message: Option<MessageId>,
}

/// What happened while packets were made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// All clips are over.
    pub(super) is_over: bool,
    /// So much of this message was sent that it was heard.
    pub(super) heard: Option<MessageId>,
}

/// What a listener hears. Everything goes through one encoder, so that there is no seam between two clips.
pub(super) struct Player {
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
    pub(super) fn new(codec: Codec, now: Instant) -> Result<Self, CodecError> {
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
    pub(super) fn play(&mut self, tracks: Vec<Track>, now: Instant) {
        self.tracks = tracks.into();
        self.buffer.clear();
        self.paused = false;
        self.begin_track();
        // What follows at once on what played goes on in its time.
        if now > self.due || self.begins {
            (self.due, self.begins) = (now, true);
        }
    }

    pub(super) fn pause(&mut self, paused: bool, now: Instant) {
        self.paused = paused;
        if !paused {
            (self.due, self.begins) = (now, true);
        }
    }

    pub(super) fn set_speed(&mut self, percent: u16) {
        self.speed = percent;
    }

    /// Moves in the message that plays.
    pub(super) fn skip(&mut self, ms: i32) {
        if self.tracks.front().is_none_or(|track| track.message.is_none()) {
            return;
        }
        let samples = ms.unsigned_abs() as usize * self.codec.sample_rate() as usize / 1000;
        self.position = if ms < 0 { self.position.saturating_sub(samples) } else { self.position + samples };
        self.buffer.clear();
    }

    /// When to call [`Self::serve`].
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Sends what is due. Deadlines are absolute, so that no delay adds up.
    pub(super) fn serve(&mut self, agreed: &Agreed, stream: &mut SendStream, now: Instant, out: &mut Vec<RtpPacket>) -> Progress {
        let mut progress = Progress::default();
        while self.due <= now && !progress.is_over {
            if now > self.due + LOST_PLACE {
                (self.due, self.begins) = (now, true);
            }
            if std::mem::take(&mut self.begins) {
                self.timestamp = stream.timestamp_at(self.due, self.codec.clock_rate());
            }
            let is_idle = self.paused || self.tracks.is_empty();
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
                progress.heard = progress.heard.or(track.message.filter(|_| !self.told && self.sent > 0));
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
        let enough = HEARD.as_secs() as usize * self.codec.sample_rate() as usize;
        let is_heard = self.sent >= enough && !self.told;
        self.told |= is_heard;
        is_heard.then_some(message)
    }

    fn begin_track(&mut self) {
        (self.position, self.sent, self.told) = (0, 0, false);
        self.stretch = Stretch::new(self.codec.sample_rate());
    }
}

//! What a listener says into the phone. A reply is as durable while it is spoken as a caller's message; an introduction and a
//! greeting stay in memory until they are kept.

use std::time::Instant;

use aftertone_media::{Codec, codec::CodecError, rtp::RtpPacket};
use aftertone_model::{CallRecord, Marks, SubscriberId, Timestamp};
use aftertone_server_store::{FinishError, Finished, FinishedSound, SpoolHandle};
use aftertone_sync::IdempotencyKey;
use tokio::sync::Mutex;

use super::super::recording::{Heard, Recording};

/// A recording that runs.
pub(super) struct Tape {
    recording: Recording,
    bytes: Vec<u8>,
    place: Option<Place>,
}

/// One that is over, as a whole file.
pub(super) struct Taped {
    pub(super) bytes: Vec<u8>,
    pub(super) header_bytes: u64,
    pub(super) duration_ms: u64,
    pub(super) peaks: Vec<u8>,
    /// Whatever is made of it is made once.
    pub(super) key: IdempotencyKey,
    /// Locked while it is being sent: who asks once more waits for that.
    pub(super) sending: Mutex<Sending>,
}

/// How far a reply is on its way.
pub(super) enum Sending {
    /// It is in memory alone: no reply, or one whose place was lost.
    InMemory,
    /// Its place holds it.
    Spooled(Box<Place>),
    /// It is a message, or becomes one without our help.
    Sent,
}

/// Where a reply is kept until it is a message. Dropped with sound in it, it becomes an interrupted one; without, nothing.
pub(super) struct Place {
    handle: Option<SpoolHandle>,
    record: CallRecord,
    has_sound: bool,
}

impl Place {
    pub(super) fn new(handle: SpoolHandle, record: CallRecord) -> Self {
        Self { handle: Some(handle), record, has_sound: false }
    }

    pub(super) fn recipient(&self) -> SubscriberId {
        self.record.owner
    }

    /// A failure shows at the end: the spool then makes what it can of what is on the disk.
    pub(super) fn append(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.has_sound = true;
        if let Some(Err(error)) = self.handle.as_ref().map(|handle| handle.append(bytes)) {
            tracing::warn!(%error, "a reply is not written on");
        }
    }

    fn patch(&self, header: &[u8]) {
        if let Some(Err(error)) = self.handle.as_ref().map(|handle| handle.patch(0, header.to_vec())) {
            tracing::warn!(%error, "the header of a reply is not completed");
        }
    }

    pub(super) fn discard(mut self) {
        self.has_sound = false;
    }

    /// Makes it a message.
    pub(super) async fn finish(mut self, taped: &Taped) -> Result<Finished, FinishError> {
        let record = CallRecord { ended_at: Timestamp::now(), ..self.record.clone() };
        let Some(handle) = self.handle.take() else { return Err(FinishError::Missing) };
        let (duration_ms, peaks, header_bytes) = (taped.duration_ms, taped.peaks.clone(), taped.header_bytes);
        handle
            .finish(FinishedSound { duration_ms, peaks, header_bytes, record, interrupted: false, marks: Marks::default() })
            .await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take().filter(|_| !self.has_sound) {
            handle.discard();
        }
    }
}

impl Tape {
    pub(super) fn new(codec: Codec, now: Instant, mut place: Option<Place>) -> Result<Self, CodecError> {
        let (recording, bytes) = Recording::new(codec, now)?;
        if let Some(place) = &mut place {
            place.append(bytes.clone());
            // A header is none.
            place.has_sound = false;
        }
        Ok(Self { recording, bytes, place })
    }

    pub(super) fn push(&mut self, packet: &RtpPacket, now: Instant) -> Heard {
        let recorded = self.recording.push(packet, now);
        self.keep(recorded)
    }

    /// What still waits for its place in the order is placed.
    pub(super) fn flush(&mut self) -> Heard {
        let recorded = self.recording.flush();
        self.keep(recorded)
    }

    fn keep(&mut self, (bytes, heard): (Vec<u8>, Heard)) -> Heard {
        self.bytes.extend(&bytes);
        if let Some(place) = &mut self.place {
            place.append(bytes);
        }
        heard
    }

    pub(super) fn discard(self) {
        if let Some(place) = self.place {
            place.discard();
        }
    }

    pub(super) fn finish(mut self) -> Taped {
        let closed = self.recording.close();
        self.bytes.extend(&closed.tail);
        if let Some(place) = &mut self.place {
            place.append(closed.tail);
        }
        if let Some(header) = closed.header {
            self.bytes[..header.len()].copy_from_slice(&header);
            self.place.iter().for_each(|place| place.patch(&header));
        }
        Taped {
            bytes: self.bytes,
            header_bytes: closed.header.map_or(0, |header| header.len() as u64),
            duration_ms: closed.duration_ms,
            peaks: closed.peaks,
            key: IdempotencyKey::from_random(rand::random()),
            sending: Mutex::new(self.place.map_or(Sending::InMemory, |place| Sending::Spooled(Box::new(place)))),
        }
    }
}

impl Taped {
    /// Unless it is being sent at this moment, nobody gets it.
    pub(super) fn discard(&self) {
        if let Ok(mut sending) = self.sending.try_lock()
            && let Sending::Spooled(place) = std::mem::replace(&mut *sending, Sending::InMemory)
        {
            place.discard();
        }
    }
}

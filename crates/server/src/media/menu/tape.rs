//! What a listener says into the phone: a reply, an introduction, a greeting. It stays in memory until it is kept.

use std::time::Instant;

use aftertone_media::{Codec, codec::CodecError, rtp::RtpPacket};

use super::super::recording::{Heard, Recording};

/// A recording that runs.
pub(super) struct Tape {
    codec: Codec,
    recording: Recording,
    bytes: Vec<u8>,
}

/// One that is over, as a whole file.
#[derive(Debug)]
pub(super) struct Taped {
    pub(super) bytes: Vec<u8>,
    pub(super) header_bytes: u64,
    pub(super) codec: Codec,
    pub(super) duration_ms: u64,
    pub(super) peaks: Vec<u8>,
}

impl Tape {
    pub(super) fn new(codec: Codec, now: Instant) -> Result<Self, CodecError> {
        let (recording, bytes) = Recording::new(codec, now)?;
        Ok(Self { codec, recording, bytes })
    }

    pub(super) fn push(&mut self, packet: &RtpPacket, now: Instant) -> Heard {
        let (bytes, heard) = self.recording.push(packet, now);
        self.bytes.extend(bytes);
        heard
    }

    pub(super) fn finish(mut self) -> Taped {
        let closed = self.recording.close();
        self.bytes.extend(closed.tail);
        if let Some(header) = closed.header {
            self.bytes[..header.len()].copy_from_slice(&header);
        }
        let header_bytes = closed.header.map_or(0, |header| header.len() as u64);
        Taped { bytes: self.bytes, header_bytes, codec: self.codec, duration_ms: closed.duration_ms, peaks: closed.peaks }
    }
}

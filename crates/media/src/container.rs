//! The files that sound lives in. Recordings are written as their packets arrive, undecoded: G.711 into WAV, Opus into
//! Ogg. Whatever was written is readable at any moment, and a file that a crash left behind can be repaired.
//!
//! ```text
//! start() ─► header ─┐
//! push(packet) ─► … ─┼─► appended to the file      finish() ─► a tail to append, and for WAV a header to write over
//! push(packet) ─► … ─┘                                         the first one
//! ```

mod ogg;
mod ogg_opus;
mod reorder;
mod timeline;
mod two_sides;
mod wav;

use std::time::Duration;

pub use ogg_opus::{OggOpusWriter, decode_ogg_opus, decode_ogg_opus_up_to, encode_ogg_opus, repair_ogg};
pub use two_sides::{TwoSidesWriter, decode_two_sides};
pub use wav::{WAV_HEADER_LEN, WavG711Writer, decode_wav, repair_wav, wav_header, wav_pcm16};

use crate::{Codec, rtp::RtpPacket};
use reorder::Reorder;

/// Decoded sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcm {
    /// Mono.
    pub samples: Vec<i16>,
    /// In hertz.
    pub rate: u32,
}

impl Pcm {
    /// How long it is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples.len() as u64 * 1_000_000 / u64::from(self.rate.max(1)))
    }
}

/// Why a file can't be decoded. A file that only ends early is no error.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Neither WAV nor Ogg-Opus.
    #[error("not a sound file that we know")]
    UnknownFormat,
    /// The header ends early or contradicts itself.
    #[error("the file's header is damaged")]
    Header,
    /// A WAV file of another coding.
    #[error("WAV coding {0} isn't supported")]
    WavCoding(u16),
    /// An Ogg-Opus file for more than two loudspeakers.
    #[error("only mono and stereo are supported")]
    Channels,
    /// More sound than was asked for.
    #[error("the sound is too long")]
    TooLong,
    /// The Opus decoder refused to start.
    #[error("the decoder failed")]
    Decoder(#[from] crate::codec::CodecError),
}

/// Why sound can't be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoder refused.
    #[error("the encoder failed")]
    Encoder(#[from] crate::codec::CodecError),
    /// There is no way from this rate to the encoder's.
    #[error("the sound can't be resampled")]
    Resample(#[from] crate::resample::ResampleError),
}

/// Decodes either container, recognised by its first bytes.
///
/// # Errors
/// When it is neither, or of an unsupported kind.
pub fn decode(bytes: &[u8]) -> Result<Pcm, DecodeError> {
    match bytes {
        [b'R', b'I', b'F', b'F', ..] => decode_wav(bytes),
        [b'O', b'g', b'g', b'S', ..] => decode_ogg_opus(bytes),
        _ => Err(DecodeError::UnknownFormat),
    }
}

/// What completes a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// To be appended.
    pub tail: Vec<u8>,
    /// To be written over the file's beginning after that.
    pub header: Option<Vec<u8>>,
}

/// A recording of one call leg in the container of its codec.
///
/// Packets are put in order (a few of them wait when one is missing), gaps by timestamp become silence, and late or
/// doubled packets are dropped.
#[derive(Debug)]
pub struct Recording {
    codec: Codec,
    order: Reorder,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Wav(WavG711Writer),
    Ogg(OggOpusWriter),
}

impl Recording {
    /// A recording of `codec`; `serial` tells Ogg streams apart (any number will do) and is not used for G.711.
    #[must_use]
    pub fn new(codec: Codec, serial: u32) -> Self {
        let writer = match WavG711Writer::new(codec) {
            Some(writer) => Writer::Wav(writer),
            None => Writer::Ogg(OggOpusWriter::new(serial)),
        };
        Self { codec, order: Reorder::default(), writer }
    }

    /// The codec that it takes.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// `audio/wav` or `audio/ogg`.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.writer {
            Writer::Wav(_) => "audio/wav",
            Writer::Ogg(_) => "audio/ogg",
        }
    }

    /// Where the sound begins in the file: a hash of the sound begins there, since the header changes at the end.
    #[must_use]
    pub fn sound_offset(&self) -> usize {
        match self.writer {
            Writer::Wav(_) => WAV_HEADER_LEN,
            Writer::Ogg(_) => 0,
        }
    }

    /// The file's first bytes.
    pub fn start(&mut self) -> Vec<u8> {
        match &mut self.writer {
            Writer::Wav(writer) => writer.start().to_vec(),
            Writer::Ogg(writer) => writer.start(),
        }
    }

    /// Bytes to append for a packet of the recording's codec; may be none.
    pub fn push(&mut self, packet: &RtpPacket) -> Vec<u8> {
        let mut out = Vec::new();
        for packet in self.order.push(packet.clone()) {
            out.extend(self.write(&packet));
        }
        out
    }

    /// Bytes that wait for the next page; call it when nothing came for a second.
    pub fn flush(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for packet in self.order.drain() {
            out.extend(self.write(&packet));
        }
        if let Writer::Ogg(writer) = &mut self.writer {
            out.extend(writer.flush());
        }
        out
    }

    /// Completes the file.
    pub fn finish(&mut self) -> Finish {
        let mut tail = Vec::new();
        for packet in self.order.drain() {
            tail.extend(self.write(&packet));
        }
        match &mut self.writer {
            Writer::Wav(writer) => {
                let (padding, header) = writer.finish();
                tail.extend(padding);
                Finish { tail, header: Some(header.to_vec()) }
            }
            Writer::Ogg(writer) => {
                tail.extend(writer.finish());
                Finish { tail, header: None }
            }
        }
    }

    /// How much sound it holds, silence between packets included.
    #[must_use]
    pub fn duration(&self) -> Duration {
        match &self.writer {
            Writer::Wav(writer) => writer.duration(),
            Writer::Ogg(writer) => writer.duration(),
        }
    }

    fn write(&mut self, packet: &RtpPacket) -> Vec<u8> {
        match &mut self.writer {
            Writer::Wav(writer) => writer.push(packet.ssrc, packet.timestamp, &packet.payload),
            Writer::Ogg(writer) => writer.push(packet.ssrc, packet.timestamp, &packet.payload),
        }
    }
}

#[cfg(test)]
mod tests;

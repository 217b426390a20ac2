//! The codecs that calls use, their encoders and decoders.

mod conceal;
mod g711;
mod g722;
mod opus_stream;

use std::{fmt, str::FromStr};

pub(crate) use conceal::cross_fade;
pub use g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
pub use opus_stream::{is_dtx, opus_packet_samples, opus_silence_like};

use crate::adapt::Plan;
use conceal::Concealer;
use g722::{G722Decoder, G722Encoder};
use opus_stream::{OpusDecoder, OpusEncoder, TwoSides};

/// An audio codec that both ends may agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.722 at 64 kbit/s, sound of 16 kHz; its RTP clock counts at 8 kHz by a mistake that is kept (RFC 3551 section 4.5.2).
    G722,
    /// Opus (RFC 6716), always 48 kHz and two channels in SDP (RFC 7587 section 4.1); we send and play one channel.
    Opus,
    /// ITU-T G.729, 8 kHz at 8 kbit/s: passed from phone to phone as it is, never encoded or decoded here.
    G729,
}

impl Codec {
    /// All codecs that are encoded and decoded here, best first.
    pub const ALL: [Self; 4] = [Self::Opus, Self::G722, Self::Pcma, Self::Pcmu];

    /// Whether we can encode and decode it; the others are only passed on.
    #[must_use]
    pub fn is_coded(self) -> bool {
        Self::ALL.contains(&self)
    }

    /// Whether the ends of a call may speak these two: the same, or those that can be transcoded.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self == other || (self.is_coded() && other.is_coded())
    }

    /// The encoding name of `a=rtpmap`: `PCMU`, `PCMA`, `G722`, `opus` or `G729`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::G729 => "G729",
        }
    }

    /// The payload type that we offer: the static one (RFC 3551 section 6), and 111 for Opus as browsers do.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
            Self::G729 => 18,
        }
    }

    /// Ticks of the RTP timestamp per second.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::G729 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Samples per second of the sound that our encoder takes and our decoder gives: the clock's rate, but for G.722.
    #[must_use]
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G729 => 8_000,
            Self::G722 => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// What stands behind the name in `a=rtpmap`: `PCMU/8000`, `opus/48000/2`.
    #[must_use]
    pub fn rtpmap(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus => "opus/48000/2",
            Self::G729 => "G729/8000",
        }
    }

    /// The parameters of `a=fmtp` that we offer, or an empty text.
    #[must_use]
    pub fn fmtp(self) -> &'static str {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => "",
            Self::Opus => "minptime=10;useinbandfec=1",
            // Without the silence frames of annex B (RFC 4856 section 2.1.9), which the other end may not know.
            Self::G729 => "annexb=no",
        }
    }

    /// The media type as the `webrtc` and `rtc` crates want it: `audio/opus`.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Pcmu => "audio/PCMU",
            Self::Pcma => "audio/PCMA",
            Self::G722 => "audio/G722",
            Self::Opus => "audio/opus",
            Self::G729 => "audio/G729",
        }
    }

    /// Samples in one packet of 20 ms, at [`Self::sample_rate`].
    #[must_use]
    pub fn frame(self) -> usize {
        self.sample_rate() as usize / 50
    }

    /// Ticks of the RTP timestamp in one packet of 20 ms.
    #[must_use]
    pub fn frame_ticks(self) -> u32 {
        self.clock_rate() / 50
    }

    /// How many ticks of the RTP clock a payload lasts; 0 if it can't be one of this codec.
    #[must_use]
    pub fn duration_of(self, payload: &[u8]) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => u32::try_from(payload.len()).unwrap_or(0),
            Self::Opus => opus_packet_samples(payload).unwrap_or(0),
            // Frames of 10 ms and ten bytes; a shorter one is silence and the last (RFC 3551 section 4.5.6).
            Self::G729 => u32::try_from(payload.len().div_ceil(10) * 80).unwrap_or(0),
        }
    }

    /// The byte that is silence in G.711 (0xFF and 0xD5) and, repeated, in G.722; `None` for the others.
    #[must_use]
    pub fn silence(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0xFF),
            Self::Pcma => Some(0xD5),
            Self::G722 => Some(g722::SILENCE),
            Self::Opus | Self::G729 => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of our codecs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a codec: {0:?}")]
pub struct UnknownCodec(String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        let mut known = Self::ALL.into_iter().chain([Self::G729]);
        known.find(|c| c.name().eq_ignore_ascii_case(name)).ok_or_else(|| UnknownCodec(name.into()))
    }
}

/// Why sound couldn't be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The Opus library refused.
    #[error("opus failed: {0:?}")]
    Opus(opusic_c::ErrorCode),
    /// It is only passed on.
    #[error("{0} is neither encoded nor decoded here")]
    PassedOnly(Codec),
    /// There is no decoder for this rate.
    #[error("no decoder gives {0} Hz")]
    Rate(u32),
    /// Opus takes frames of 10, 20, 40 or 60 ms only.
    #[error("opus takes 10, 20, 40 or 60 ms at a time, not {samples} samples")]
    FrameSize {
        /// What was given, at 48 kHz.
        samples: usize,
    },
}

/// Turns PCM at [`Encoder::sample_rate`] into payloads.
pub struct Encoder(EncoderKind);

enum EncoderKind {
    Pcmu,
    Pcma,
    G722(Box<G722Encoder>),
    Opus(Box<OpusEncoder>),
}

impl Encoder {
    /// An encoder for a call: for Opus speech, with in-band FEC.
    ///
    /// # Errors
    /// When the Opus library can't be set up (it is out of memory), and for a codec that is only passed on.
    pub fn new(codec: Codec) -> Result<Self, CodecError> {
        Ok(Self(match codec {
            Codec::Pcmu => EncoderKind::Pcmu,
            Codec::Pcma => EncoderKind::Pcma,
            Codec::G722 => EncoderKind::G722(Box::default()),
            Codec::Opus => EncoderKind::Opus(Box::new(OpusEncoder::new()?)),
            Codec::G729 => return Err(CodecError::PassedOnly(codec)),
        }))
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self.0 {
            EncoderKind::Pcmu => Codec::Pcmu,
            EncoderKind::Pcma => Codec::Pcma,
            EncoderKind::G722(_) => Codec::G722,
            EncoderKind::Opus(_) => Codec::Opus,
        }
    }

    /// The rate of the PCM that goes in: 8 kHz for G.711, 16 kHz for G.722, 48 kHz for Opus.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.codec().sample_rate()
    }

    /// Encodes one packet's worth of sound, usually [`Codec::frame`] samples.
    ///
    /// # Errors
    /// For Opus when it isn't 10, 20, 40 or 60 ms.
    pub fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        match &mut self.0 {
            EncoderKind::Pcmu => Ok(pcm.iter().map(|&s| ulaw_encode(s)).collect()),
            EncoderKind::Pcma => Ok(pcm.iter().map(|&s| alaw_encode(s)).collect()),
            EncoderKind::G722(encoder) => Ok(encoder.encode(pcm)),
            EncoderKind::Opus(encoder) => encoder.encode(pcm),
        }
    }

    /// Follows the network: of Opus the rate, and how much of it is spent on FEC.
    ///
    /// # Errors
    /// When the Opus library refuses.
    pub fn adapt(&mut self, plan: Plan) -> Result<(), CodecError> {
        match &mut self.0 {
            EncoderKind::Pcmu | EncoderKind::Pcma | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.adapt(plan),
        }
    }

    /// Tells the encoder how long a packet of 20 ms took to encode, so that Opus does with less effort on a machine that is
    /// too slow or too busy, and takes it up again.
    ///
    /// # Errors
    /// When the Opus library refuses.
    pub fn encoding_took(&mut self, time: std::time::Duration) -> Result<(), CodecError> {
        match &mut self.0 {
            EncoderKind::Pcmu | EncoderKind::Pcma | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.encoding_took(time),
        }
    }

    /// Whether silence is left out (discontinuous transmission): of Opus only, where a packet of silence is then a byte or
    /// two (see [`is_dtx`]) and need not be sent.
    ///
    /// # Errors
    /// When the Opus library refuses.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), CodecError> {
        match &mut self.0 {
            EncoderKind::Pcmu | EncoderKind::Pcma | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.set_dtx(on),
        }
    }
}

/// Turns PCM at 48 kHz into Opus packets for a file.
pub(crate) struct StorageEncoder(OpusEncoder);

impl StorageEncoder {
    /// For sound that came at `rate` Hz.
    pub(crate) fn new(rate: u32) -> Result<Self, CodecError> {
        OpusEncoder::for_storage(rate).map(Self)
    }

    /// Encodes 20 ms.
    pub(crate) fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        self.0.encode(pcm)
    }
}

/// Turns two sides of PCM at 48 kHz into Opus packets for a file.
pub(crate) struct TwoSidesEncoder(OpusEncoder);

impl TwoSidesEncoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        OpusEncoder::for_two_sides().map(Self)
    }

    /// Encodes 20 ms: samples of the left and the right side in turn.
    pub(crate) fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        self.0.encode_two_sides(pcm)
    }
}

/// Turns such packets into two sides of PCM.
pub(crate) struct TwoSidesDecoder(TwoSides);

impl TwoSidesDecoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        TwoSides::new().map(Self)
    }

    /// Decodes a packet: samples of the left and the right side in turn.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<Vec<i16>, CodecError> {
        self.0.decode(packet)
    }
}

/// Turns payloads into PCM at [`Decoder::sample_rate`], and makes up for those that never came.
pub struct Decoder {
    codec: Codec,
    rate: u32,
    kind: DecoderKind,
}

enum DecoderKind {
    G711 { decode: fn(u8) -> i16, concealer: Concealer },
    G722 { decoder: Box<G722Decoder>, concealer: Concealer },
    Opus(Box<OpusDecoder>),
}

impl Decoder {
    /// A decoder at the codec's own rate.
    ///
    /// # Errors
    /// When the Opus library can't be set up, and for a codec that is only passed on.
    pub fn new(codec: Codec) -> Result<Self, CodecError> {
        Self::with_rate(codec, codec.sample_rate())
    }

    /// A decoder whose Opus comes out at 8, 12, 16, 24 or 48 kHz; the recorder decodes at 8 kHz for the peaks alone.
    /// G.711 always comes out at 8 kHz, G.722 at 16 kHz unless 8 kHz are asked for.
    ///
    /// # Errors
    /// When the rate isn't one of Opus', and for a codec that is only passed on.
    pub fn with_rate(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        let g711 = |decode| DecoderKind::G711 { decode, concealer: Concealer::new(8_000) };
        let (rate, kind) = match codec {
            Codec::Pcmu => (8_000, g711(ulaw_decode as fn(u8) -> i16)),
            Codec::Pcma => (8_000, g711(alaw_decode as fn(u8) -> i16)),
            Codec::G722 => {
                let rate = if rate == 8_000 { 8_000 } else { 16_000 };
                let concealer = Concealer::new(rate as usize);
                (rate, DecoderKind::G722 { decoder: Box::new(G722Decoder::new(rate)), concealer })
            }
            Codec::Opus => (rate, DecoderKind::Opus(Box::new(OpusDecoder::new(rate)?))),
            Codec::G729 => return Err(CodecError::PassedOnly(codec)),
        };
        Ok(Self { codec, rate, kind })
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The rate of the PCM that comes out.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.rate
    }

    /// Decodes one packet.
    ///
    /// # Errors
    /// When it isn't an Opus packet; conceal then.
    pub fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, CodecError> {
        match &mut self.kind {
            DecoderKind::G711 { decode, concealer } => Ok(concealer.received(payload.iter().map(|&byte| decode(byte)).collect())),
            DecoderKind::G722 { decoder, concealer } => Ok(concealer.received(decoder.decode(payload))),
            DecoderKind::Opus(decoder) => decoder.decode(payload),
        }
    }

    /// Sound for a lost packet that lasted `samples` (at [`Self::sample_rate`]); `following` is the payload of the
    /// packet right after it, if it is here already: Opus then finds its in-band FEC.
    pub fn conceal(&mut self, samples: usize, following: Option<&[u8]>) -> Vec<i16> {
        match &mut self.kind {
            DecoderKind::G711 { concealer, .. } | DecoderKind::G722 { concealer, .. } => concealer.conceal(samples),
            DecoderKind::Opus(decoder) => decoder.conceal(samples, following),
        }
    }
}

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{
    DecodeError, Pcm,
    timeline::{Place, Timeline},
};
use crate::{
    Codec,
    codec::{Decoder, alaw_decode, ulaw_decode},
};

/// Length of the header that [`wav_header`] makes: RIFF, a `fmt ` chunk of 18 bytes, `fact`, and the head of `data`.
pub const WAV_HEADER_LEN: usize = 58;
/// WAVE format codes (RFC 2361).
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
/// G.722, as other programs register and read it (the coding has no number of its own in RFC 2361).
const G722: u16 = 0x028F;
const EXTENSIBLE: u16 = 0xFFFE;
/// Length of a file that is still being written: readers take what is there.
const UNKNOWN: u32 = u32::MAX;

fn format_of(codec: Codec) -> Option<u16> {
    match codec {
        Codec::Pcmu => Some(ULAW),
        Codec::Pcma => Some(ALAW),
        Codec::G722 => Some(G722),
        Codec::Opus | Codec::G729 => None,
    }
}

/// The header of a WAV file with `len` bytes of G.711 or G.722; `None` means that it isn't known yet. Opus has none.
#[must_use]
pub fn wav_header(codec: Codec, len: Option<u32>) -> Option<[u8; WAV_HEADER_LEN]> {
    Some(header(format_of(codec)?, len))
}

fn header(format: u16, len: Option<u32>) -> [u8; WAV_HEADER_LEN] {
    let data = len.unwrap_or(UNKNOWN);
    // Chunks are padded to even lengths.
    let riff = len.map_or(UNKNOWN, |len| len.saturating_add(len % 2).saturating_add(WAV_HEADER_LEN as u32 - 8));
    // Each byte is a sample, of G.722 two.
    let per_byte: u32 = if format == G722 { 2 } else { 1 };
    let samples = len.map_or(UNKNOWN, |len| len.saturating_mul(per_byte));
    let mut out = [0; WAV_HEADER_LEN];
    let parts: [&[u8]; 16] = [
        b"RIFF",
        &riff.to_le_bytes(),
        b"WAVEfmt ",
        &18u32.to_le_bytes(),
        &format.to_le_bytes(),
        &1u16.to_le_bytes(),
        &(8_000 * per_byte).to_le_bytes(),
        &8_000u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &(8 / per_byte as u16).to_le_bytes(),
        &0u16.to_le_bytes(),
        b"fact",
        &4u32.to_le_bytes(),
        &samples.to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
    ];
    out.copy_from_slice(&parts.concat());
    out
}

/// Writes G.711 or G.722 as it arrives.
#[derive(Debug)]
pub struct WavG711Writer {
    format: u16,
    silence: u8,
    timeline: Timeline,
}

impl WavG711Writer {
    /// A writer for either law or for G.722; `None` for Opus.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        Some(Self { format: format_of(codec)?, silence: codec.silence()?, timeline: Timeline::new(8_000) })
    }

    /// The file's first bytes, with an unknown length.
    #[must_use]
    pub fn start(&self) -> [u8; WAV_HEADER_LEN] {
        header(self.format, None)
    }

    /// Bytes to append for a payload, in the order of timestamps; silence first where time was left out.
    pub fn push(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let (gap, known) = match self.timeline.place(ssrc, timestamp) {
            Place::After(ticks) => (ticks as usize, 0),
            Place::Before(ticks) => (0, (ticks as usize).min(payload.len())),
        };
        let mut out = vec![self.silence; gap];
        out.extend_from_slice(&payload[known..]);
        self.timeline.advance(out.len() as u32);
        out
    }

    /// What completes the file: padding to append, and the header to write over the first one.
    #[must_use]
    pub fn finish(&self) -> (Vec<u8>, [u8; WAV_HEADER_LEN]) {
        let written = self.timeline.written();
        let padding = vec![0; usize::from(written % 2 == 1)];
        (padding, header(self.format, Some(u32::try_from(written).unwrap_or(UNKNOWN))))
    }

    /// How much sound was written.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.timeline.written() * 125)
    }
}

/// The header that a file of [`WavG711Writer`] should have, given its first bytes and its length; `None` if it isn't one.
#[must_use]
pub fn repair_wav(start: &[u8], file_len: u64) -> Option<[u8; WAV_HEADER_LEN]> {
    let head = start.get(..WAV_HEADER_LEN)?;
    let format = u16::from_le_bytes([head[20], head[21]]);
    let ours = matches!(format, ALAW | ULAW | G722) && head.starts_with(b"RIFF") && &head[8..20] == b"WAVEfmt \x12\0\0\0";
    let data = file_len.checked_sub(WAV_HEADER_LEN as u64)?;
    (ours && &head[50..54] == b"data").then(|| header(format, u32::try_from(data).ok()))
}

/// A complete WAV file of 16-bit mono PCM.
#[must_use]
pub fn wav_pcm16(pcm: &[i16], rate: u32) -> Vec<u8> {
    let data = u32::try_from(pcm.len() * 2).unwrap_or(UNKNOWN);
    let mut out = Vec::with_capacity(44 + pcm.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&data.saturating_add(36).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&(rate.saturating_mul(2)).to_le_bytes());
    out.extend_from_slice(b"\x02\0\x10\0data");
    out.extend_from_slice(&data.to_le_bytes());
    pcm.iter().for_each(|sample| out.extend_from_slice(&sample.to_le_bytes()));
    out
}

/// Decodes a WAV file of PCM (8, 16, 24 or 32 bits, or float), G.711 or G.722, mixed down to mono. A file that ends early, or
/// whose lengths were never filled in, is decoded as far as it goes.
///
/// # Errors
/// When it isn't WAV or of another coding.
pub fn decode_wav(bytes: &[u8]) -> Result<Pcm, DecodeError> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(DecodeError::UnknownFormat);
    }
    let mut format = None;
    let mut rest = &bytes[12..];
    while let [a, b, c, d, l0, l1, l2, l3, body @ ..] = rest {
        let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let chunk = &body[..len.min(body.len())];
        match &[*a, *b, *c, *d] {
            b"fmt " => format = Some(Format::read(chunk)?),
            b"data" => return format.ok_or(DecodeError::Header)?.decode(chunk),
            _ => {}
        }
        rest = body.get(len.saturating_add(len % 2)..).unwrap_or_default();
    }
    Err(DecodeError::Header)
}

struct Format {
    coding: u16,
    channels: usize,
    rate: u32,
    bits: u16,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, DecodeError> {
        let word = |at: usize| chunk.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or(DecodeError::Header);
        let coding = match word(0)? {
            // The real code stands at the start of the extension's GUID.
            EXTENSIBLE => word(24)?,
            coding => coding,
        };
        let rate = u32::from(word(4)?) | u32::from(word(6)?) << 16;
        let (channels, bits) = (usize::from(word(2)?), word(14)?);
        if channels == 0 || rate == 0 { Err(DecodeError::Header) } else { Ok(Self { coding, channels, rate, bits }) }
    }

    fn decode(&self, data: &[u8]) -> Result<Pcm, DecodeError> {
        let high = |s: &[u8]| i16::from_le_bytes([s[s.len() - 2], s[s.len() - 1]]);
        let float = |s: &[u8]| (f32::from_le_bytes([s[0], s[1], s[2], s[3]]) * 32_767.0).clamp(-32_768.0, 32_767.0) as i16;
        let samples: Vec<i16> = match (self.coding, self.bits) {
            (ULAW, _) => data.iter().map(|&b| ulaw_decode(b)).collect(),
            (ALAW, _) => data.iter().map(|&b| alaw_decode(b)).collect(),
            (G722, _) if self.channels == 1 => Decoder::new(Codec::G722)?.decode(data)?,
            (PCM, 8) => data.iter().map(|&b| (i16::from(b) - 128) << 8).collect(),
            (PCM, 16 | 24 | 32) => data.chunks_exact(usize::from(self.bits / 8)).map(high).collect(),
            (FLOAT, 32) => data.chunks_exact(4).map(float).collect(),
            (coding, _) => return Err(DecodeError::WavCoding(coding)),
        };
        let mix = |frame: &[i16]| (frame.iter().map(|&s| i32::from(s)).sum::<i32>() / self.channels as i32) as i16;
        Ok(Pcm { samples: samples.chunks_exact(self.channels).map(mix).collect(), rate: self.rate })
    }
}

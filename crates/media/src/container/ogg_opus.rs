//! Ogg-Opus (RFC 7845).

use std::time::Duration;

use super::{
    DecodeError, EncodeError, Pcm,
    ogg::{PageWriter, pages},
    timeline::{Place, Timeline},
};
use crate::{
    Codec,
    codec::{Decoder, Encoder, opus_packet_samples, opus_silence_like},
    resample::resample,
};

/// Samples at the start that only prepare the decoder: libopus' own look-ahead, 6.5 ms.
const PRE_SKIP: u16 = 312;
const RATE: u32 = 48_000;
/// A page is closed after so much sound: a crash loses no more.
const PAGE_SAMPLES: u64 = RATE as u64;
const VENDOR: &[u8] = b"Aftertone";
/// A frame of 20 ms in the narrowest mode, before any packet has told another (RFC 6716 table 2, configuration 1).
const DEFAULT_TOC: u8 = 1 << 3;

/// Writes Opus packets as they arrive.
#[derive(Debug)]
pub struct OggOpusWriter {
    pages: PageWriter,
    timeline: Timeline,
    /// Where the open page began.
    page_start: u64,
    toc: u8,
}

impl OggOpusWriter {
    /// A writer of the logical stream `serial`.
    #[must_use]
    pub fn new(serial: u32) -> Self {
        Self { pages: PageWriter::new(serial), timeline: Timeline::new(RATE), page_start: 0, toc: DEFAULT_TOC }
    }

    /// The two header pages (RFC 7845 section 5).
    pub fn start(&mut self) -> Vec<u8> {
        headers(&mut self.pages, 1, PRE_SKIP)
    }

    /// Bytes to append for a packet, in the order of timestamps: a page about once a second. Where time was left out,
    /// empty frames go first, which the decoder fills.
    pub fn push(&mut self, ssrc: u32, timestamp: u32, packet: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(samples) = opus_packet_samples(packet) else { return out };
        match self.timeline.place(ssrc, timestamp) {
            // Half a frame of overlap or more is a packet that came already, or too late.
            Place::Before(ticks) if ticks * 2 >= samples => return out,
            Place::Before(_) => {}
            Place::After(gap) => self.fill(gap, &mut out),
        }
        self.toc = packet[0];
        self.write(packet, samples, &mut out);
        out
    }

    /// Closes the open page.
    pub fn flush(&mut self) -> Vec<u8> {
        if self.pages.is_empty() { Vec::new() } else { self.close_page(false) }
    }

    /// The last page.
    pub fn finish(&mut self) -> Vec<u8> {
        self.close_page(true)
    }

    /// The last page, of which only what is before `end` (in samples, from the beginning of the stream) is to be heard.
    fn finish_at(&mut self, end: u64) -> Vec<u8> {
        self.pages.end_at(end);
        self.close_page(true)
    }

    /// How much sound was written.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.timeline.written() * 1_000 / 48)
    }

    fn fill(&mut self, mut gap: u32, out: &mut Vec<u8>) {
        let (silence, samples) = opus_silence_like(self.toc);
        while gap >= samples {
            self.write(&silence, samples, out);
            gap -= samples;
        }
    }

    fn write(&mut self, packet: &[u8], samples: u32, out: &mut Vec<u8>) {
        self.timeline.advance(samples);
        out.extend(self.pages.add(packet, self.timeline.written()));
        if self.timeline.written() - self.page_start >= PAGE_SAMPLES {
            out.extend(self.close_page(false));
        }
    }

    fn close_page(&mut self, last: bool) -> Vec<u8> {
        self.page_start = self.timeline.written();
        self.pages.page(last)
    }
}

/// The two header pages of so many channels, of which the first `pre_skip` samples only prepare the decoder.
pub(super) fn headers(pages: &mut PageWriter, channels: u8, pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend_from_slice(&pre_skip.to_le_bytes());
    head.extend_from_slice(&RATE.to_le_bytes());
    // No gain, mapping family 0.
    head.extend_from_slice(&[0; 3]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
    tags.extend_from_slice(VENDOR);
    tags.extend_from_slice(&[0; 4]);
    let mut out = pages.add(&head, 0);
    out.extend(pages.page(false));
    out.extend(pages.add(&tags, 0));
    out.extend(pages.page(false));
    out
}

/// Encodes sound of any rate as a file of its own. Its length is kept to the sample: what only prepares the decoder and what
/// fills the last packet is marked as such (RFC 7845 section 4).
///
/// # Errors
/// When the encoder or the resampler can't be set up.
pub fn encode_ogg_opus(pcm: &Pcm) -> Result<Vec<u8>, EncodeError> {
    let mut samples = resample(&pcm.samples, pcm.rate, RATE)?;
    let end = samples.len() as u64 + u64::from(PRE_SKIP);
    // The encoder is behind by as much as is skipped.
    let frame = Codec::Opus.frame();
    samples.resize((samples.len() + usize::from(PRE_SKIP)).next_multiple_of(frame), 0);
    let (mut writer, mut encoder) = (OggOpusWriter::new(1), Encoder::new(Codec::Opus)?);
    let mut file = writer.start();
    for (timestamp, frame) in (0_u32..).step_by(frame).zip(samples.chunks_exact(frame)) {
        file.extend(writer.push(0, timestamp, &encoder.encode(frame)?));
    }
    file.extend(writer.finish_at(end));
    Ok(file)
}

/// What makes a file whole that a crash left behind: how many of its bytes to keep, and an end to append. `None` if
/// nothing in it is intact, or it has its end already.
#[must_use]
pub fn repair_ogg(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let last = pages(bytes).last()?;
    if last.is_last && last.end == bytes.len() {
        return None;
    }
    let end = if last.is_last { Vec::new() } else { PageWriter::resume(last.serial, last.number + 1, last.granule).page(true) };
    Some((last.end, end))
}

/// Decodes an Ogg-Opus file to 48 kHz mono. Damaged and missing pages are left out; a file that ends early is decoded as
/// far as it goes.
///
/// # Errors
/// When there is no Opus stream in it, or one for more than two loudspeakers.
pub fn decode_ogg_opus(bytes: &[u8]) -> Result<Pcm, DecodeError> {
    decode_ogg_opus_up_to(bytes, usize::MAX)
}

/// The same for files of strangers: at most so many samples at 48 kHz.
///
/// # Errors
/// Also when there are more.
pub fn decode_ogg_opus_up_to(bytes: &[u8], most: usize) -> Result<Pcm, DecodeError> {
    let mut reader = Reader { most, ..Reader::default() };
    for page in pages(bytes) {
        if *reader.serial.get_or_insert(page.serial) != page.serial {
            continue;
        }
        if !page.is_continued {
            reader.partial.clear();
        }
        for (piece, is_complete) in page.pieces() {
            reader.partial.extend_from_slice(piece);
            if is_complete {
                let packet = std::mem::take(&mut reader.partial);
                reader.packet(&packet)?;
            }
        }
        if page.is_last {
            reader.end = Some(page.granule);
            break;
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    serial: Option<u32>,
    partial: Vec<u8>,
    packets: u64,
    decoder: Option<Decoder>,
    pre_skip: usize,
    samples: Vec<i16>,
    most: usize,
    end: Option<u64>,
}

impl Reader {
    fn packet(&mut self, packet: &[u8]) -> Result<(), DecodeError> {
        self.packets += 1;
        match self.packets {
            1 => self.head(packet),
            2 => Ok(()),
            _ => {
                let Some(decoder) = &mut self.decoder else { return Err(DecodeError::Header) };
                let lasts = opus_packet_samples(packet).unwrap_or(0) as usize;
                // One bad packet doesn't spoil the rest.
                let pcm = decoder.decode(packet).unwrap_or_else(|_| decoder.conceal(lasts, None));
                self.samples.extend(pcm);
                if self.samples.len() > self.most { Err(DecodeError::TooLong) } else { Ok(()) }
            }
        }
    }

    fn head(&mut self, packet: &[u8]) -> Result<(), DecodeError> {
        let &[b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', _, channels, p0, p1, _, _, _, _, _, _, family, ..] = packet else {
            return Err(DecodeError::UnknownFormat);
        };
        if family != 0 || !(1..=2).contains(&channels) {
            return Err(DecodeError::Channels);
        }
        self.pre_skip = usize::from(u16::from_le_bytes([p0, p1]));
        self.decoder = Some(Decoder::new(Codec::Opus)?);
        Ok(())
    }

    fn finish(mut self) -> Result<Pcm, DecodeError> {
        if self.decoder.is_none() {
            return Err(DecodeError::Header);
        }
        // The last page may cut off what only filled up its packet.
        if let Some(end) = self.end.and_then(|granule| usize::try_from(granule).ok()) {
            self.samples.truncate(end);
        }
        let skipped = self.pre_skip.min(self.samples.len());
        self.samples.drain(..skipped);
        Ok(Pcm { samples: self.samples, rate: RATE })
    }
}

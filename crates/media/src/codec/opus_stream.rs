//! Opus through libopus, and the little that can be known about a packet without it.

use opus::{Application, Bitrate, Channels, Signal};

use super::CodecError;

/// Loss that the encoder provides for from the start: FEC has to be there when the first packet is lost, not after the
/// first report about it.
const ASSUMED_LOSS_PERCENT: i32 = 10;
/// Between the cheapest (0) and the best (10): above 5 speech hardly gains.
const COMPLEXITY: i32 = 5;
const BITRATE: i32 = 32_000;
/// More than any packet of ours at that bitrate; also the limit of one Opus frame (RFC 6716 section 3.4).
const MAX_PACKET: usize = 1_275;
/// 120 ms, the longest packet (RFC 6716 section 3.4 R5).
const MAX_MS: usize = 120;

/// How many samples at 48 kHz an Opus packet holds, from its first two bytes (RFC 6716 section 3.1); `None` if it is
/// not a packet.
#[must_use]
pub fn opus_packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame: u32 = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    let samples = frame * frames;
    (1..=5_760).contains(&samples).then_some(samples)
}

/// A packet of one empty frame with the configuration of `toc`: the decoder fills it by itself, with what would follow
/// fading to silence or with comfort noise (RFC 6716 section 3.2.1). Returns it and its samples at 48 kHz.
#[must_use]
pub fn opus_silence_like(toc: u8) -> ([u8; 1], u32) {
    let packet = [toc & 0xFC];
    let samples = opus_packet_samples(&packet).unwrap_or(960);
    (packet, samples)
}

pub(super) struct OpusEncoder(opus::Encoder);

impl OpusEncoder {
    pub(super) fn new() -> Result<Self, CodecError> {
        let mut encoder = opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(ASSUMED_LOSS_PERCENT)?;
        Ok(Self(encoder))
    }

    pub(super) fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        if !matches!(pcm.len(), 480 | 960 | 1_920 | 2_880) {
            return Err(CodecError::FrameSize { samples: pcm.len() });
        }
        Ok(self.0.encode_vec(pcm, MAX_PACKET)?)
    }

    pub(super) fn set_packet_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        Ok(self.0.set_packet_loss_perc(i32::from(percent.min(100)))?)
    }
}

pub(super) struct OpusDecoder {
    decoder: opus::Decoder,
    rate: usize,
}

impl OpusDecoder {
    pub(super) fn new(rate: u32) -> Result<Self, CodecError> {
        Ok(Self { decoder: opus::Decoder::new(rate, Channels::Mono)?, rate: rate as usize })
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, CodecError> {
        let mut pcm = vec![0; self.rate * MAX_MS / 1_000];
        let samples = self.decoder.decode(payload, &mut pcm, false)?;
        pcm.truncate(samples);
        Ok(pcm)
    }

    pub(super) fn conceal(&mut self, samples: usize, following: Option<&[u8]>) -> Vec<i16> {
        let unit = self.rate / 400;
        // libopus conceals whole multiples of 2.5 ms, and at most 120 ms at once.
        let whole = samples.div_ceil(unit).clamp(1, MAX_MS * 400 / 1_000) * unit;
        let mut pcm = vec![0; whole];
        let made = match following {
            Some(packet) => self.decoder.decode(packet, &mut pcm, true),
            None => self.decoder.decode(&[], &mut pcm, false),
        };
        // What was made is as long as asked for, or there is nothing better than silence.
        pcm.truncate(made.unwrap_or(0));
        pcm.resize(samples, 0);
        pcm
    }
}

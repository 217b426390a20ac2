//! Opus through libopus, and the little that can be known about a packet without it.

use std::time::Duration;

use opusic_c::{Application, Bandwidth, Bitrate, Channels, ErrorCode, InbandFec, SampleRate, Signal};

use super::CodecError;
use crate::adapt::Plan;

/// From this loss on what lies above 8 kHz is left out, and its bits protect the rest.
const NARROWER_FROM_PERCENT: u8 = 3;
/// The encoder's effort, from the cheapest (0) to the best (10).
const COMPLEXITY: u8 = 10;
const LEAST_COMPLEXITY: u8 = 2;
/// Of the time that a packet lasts, encoding may take up to a fifth; under a twentieth there is room for more.
const TOO_SLOW: Duration = Duration::from_millis(4);
const HAS_ROOM: Duration = Duration::from_millis(1);
/// So many packets in a row decide.
const PATIENCE: i32 = 25;
/// From here on libopus conceals by its neural network ("deep PLC").
const DEEP_CONCEALMENT: u8 = 5;
/// Of both sides together, in bits per second.
const TWO_SIDES_BITRATE: u32 = 96_000;
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

/// Whether a packet only says that nothing is said (RFC 6716 section 3.2.1: up to one byte beside the first): with
/// discontinuous transmission it need not be sent.
#[must_use]
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

impl From<ErrorCode> for CodecError {
    fn from(code: ErrorCode) -> Self {
        Self::Opus(code)
    }
}

pub(super) struct OpusEncoder {
    encoder: opusic_c::Encoder,
    complexity: u8,
    /// How many packets in a row were too slow (below zero) or fast (above it).
    trend: i32,
    /// What libopus wants as samples.
    input: Vec<u16>,
}

impl OpusEncoder {
    pub(super) fn new() -> Result<Self, CodecError> {
        let mut encoder = opusic_c::Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Audio)?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_signal(Signal::Voice)?;
        // The second mode does not fall back to the speech-only coder where there is hardly any loss.
        encoder.set_inband_fec(InbandFec::Mode2)?;
        let mut encoder = Self { encoder, complexity: COMPLEXITY, trend: 0, input: Vec::new() };
        encoder.adapt(Plan::default())?;
        Ok(encoder)
    }

    /// For keeping speech that came at `rate` Hz: nothing is lost on the way to a file.
    pub(super) fn for_storage(rate: u32) -> Result<Self, CodecError> {
        let mut encoder = opusic_c::Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Voip)?;
        let (bitrate, band) = match rate {
            0..=8_000 => (16_000, Bandwidth::Narrow),
            8_001..=16_000 => (24_000, Bandwidth::Wide),
            _ => (32_000, Bandwidth::Full),
        };
        encoder.set_bitrate(Bitrate::Value(bitrate))?;
        encoder.set_max_bandwidth(band)?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_signal(Signal::Voice)?;
        Ok(Self { encoder, complexity: COMPLEXITY, trend: 0, input: Vec::new() })
    }

    /// For keeping two people's speech, one to each side and neither heard on the other: above the rates at which libopus
    /// takes both for nearly the same, and without the speech coder, which predicts one side from the other.
    pub(super) fn for_two_sides() -> Result<Self, CodecError> {
        let mut encoder = opusic_c::Encoder::new(Channels::Stereo, SampleRate::Hz48000, Application::LowDelay)?;
        encoder.set_bitrate(Bitrate::Value(TWO_SIDES_BITRATE))?;
        encoder.set_force_channels(Some(Channels::Stereo))?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_signal(Signal::Voice)?;
        Ok(Self { encoder, complexity: COMPLEXITY, trend: 0, input: Vec::new() })
    }

    /// Encodes samples of both sides in turn.
    pub(super) fn encode_two_sides(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        if !matches!(pcm.len(), 960 | 1_920) {
            return Err(CodecError::FrameSize { samples: pcm.len() / 2 });
        }
        self.encode_any(pcm)
    }

    pub(super) fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        if !matches!(pcm.len(), 480 | 960 | 1_920 | 2_880) {
            return Err(CodecError::FrameSize { samples: pcm.len() });
        }
        self.encode_any(pcm)
    }

    fn encode_any(&mut self, pcm: &[i16]) -> Result<Vec<u8>, CodecError> {
        self.input.clear();
        self.input.extend(pcm.iter().map(|sample| sample.cast_unsigned()));
        let mut packet = vec![0; MAX_PACKET];
        let length = self.encoder.encode_to_slice(&self.input, &mut packet)?;
        packet.truncate(length);
        Ok(packet)
    }

    pub(super) fn adapt(&mut self, plan: Plan) -> Result<(), CodecError> {
        let band = if plan.expected_loss < NARROWER_FROM_PERCENT { Bandwidth::Full } else { Bandwidth::Wide };
        self.encoder.set_max_bandwidth(band)?;
        self.encoder.set_bitrate(Bitrate::Value(plan.bitrate))?;
        Ok(self.encoder.set_packet_loss(plan.expected_loss.min(100))?)
    }

    pub(super) fn set_dtx(&mut self, on: bool) -> Result<(), CodecError> {
        Ok(self.encoder.set_dtx(on)?)
    }

    pub(super) fn encoding_took(&mut self, time: Duration) -> Result<(), CodecError> {
        self.trend = match time {
            time if time > TOO_SLOW => self.trend.min(0) - 1,
            time if time < HAS_ROOM => self.trend.max(0) + 1,
            _ => 0,
        };
        let complexity = match self.trend {
            trend if trend <= -PATIENCE => self.complexity.saturating_sub(2).max(LEAST_COMPLEXITY),
            trend if trend >= PATIENCE * 40 => (self.complexity + 1).min(COMPLEXITY),
            _ => return Ok(()),
        };
        self.trend = 0;
        self.complexity = complexity;
        Ok(self.encoder.set_complexity(complexity)?)
    }
}

/// Decodes two channels at 48 kHz.
pub(super) struct TwoSides {
    decoder: opusic_c::Decoder,
    output: Vec<u16>,
}

impl TwoSides {
    pub(super) fn new() -> Result<Self, CodecError> {
        let decoder = opusic_c::Decoder::new(Channels::Stereo, SampleRate::Hz48000)?;
        Ok(Self { decoder, output: vec![0; 48 * MAX_MS * 2] })
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Opus(ErrorCode::InvalidPacket));
        }
        let samples = self.decoder.decode_to_slice(payload, &mut self.output, false)?;
        Ok(self.output[..samples * 2].iter().map(|sample| sample.cast_signed()).collect())
    }
}

pub(super) struct OpusDecoder {
    decoder: opusic_c::Decoder,
    rate: usize,
    /// What libopus gives as samples.
    output: Vec<u16>,
}

impl OpusDecoder {
    pub(super) fn new(rate: u32) -> Result<Self, CodecError> {
        let sample_rate = match rate {
            8_000 => SampleRate::Hz8000,
            12_000 => SampleRate::Hz12000,
            16_000 => SampleRate::Hz16000,
            24_000 => SampleRate::Hz24000,
            48_000 => SampleRate::Hz48000,
            rate => return Err(CodecError::Rate(rate)),
        };
        let mut decoder = opusic_c::Decoder::new(Channels::Mono, sample_rate)?;
        decoder.set_complexity(DEEP_CONCEALMENT)?;
        let rate = rate as usize;
        Ok(Self { decoder, rate, output: vec![0; rate * MAX_MS / 1_000] })
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, CodecError> {
        // An empty payload would mean concealment here.
        if payload.is_empty() {
            return Err(CodecError::Opus(ErrorCode::InvalidPacket));
        }
        let samples = self.decoder.decode_to_slice(payload, &mut self.output, false)?;
        Ok(self.output[..samples].iter().map(|sample| sample.cast_signed()).collect())
    }

    pub(super) fn conceal(&mut self, samples: usize, following: Option<&[u8]>) -> Vec<i16> {
        let unit = self.rate / 400;
        // libopus conceals whole multiples of 2.5 ms, and at most 120 ms at once.
        let whole = samples.div_ceil(unit).clamp(1, MAX_MS * 400 / 1_000) * unit;
        let output = &mut self.output[..whole];
        let following = following.filter(|packet| !packet.is_empty());
        let made = match following {
            Some(packet) => self.decoder.decode_to_slice(packet, output, true),
            None => self.decoder.decode_to_slice(&[], output, false),
        };
        // What was made is as long as asked for, or there is nothing better than silence.
        let made = made.unwrap_or(0);
        let mut pcm: Vec<i16> = self.output[..made].iter().map(|sample| sample.cast_signed()).collect();
        pcm.resize(samples, 0);
        pcm
    }
}

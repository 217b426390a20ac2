//! From the packets of a call to steady sound: jitter buffer, decoder, concealment, comfort noise, and a little
//! time-stretching to get rid of a delay that isn't needed any more.

mod comfort;
mod stretch;

use std::{collections::VecDeque, time::Instant};

use crate::{
    Codec,
    codec::{CodecError, Decoder},
    jitter::{JitterBuffer, JitterConfig, JitterStatistics, Pull},
    resample::{ResampleError, Resampler},
    rtp::RtpPacket,
};
use comfort::ComfortNoise;
use stretch::Haste;

/// Beyond this many milliseconds of surplus the sound is hurried along in its pauses, and beyond this lack of delay slowed
/// down; a pitch period more or less is a matter of 3 to 12 ms.
const STRETCH_MS: f32 = 15.0;
/// Beyond this it is in speech, too, where that isn't heard. Every call begins with half of it too much.
const SPEECH_MS: f32 = 40.0;
/// Beyond this it matters more than how it sounds.
const URGENT_MS: f32 = 100.0;
/// Packets over which the surplus is averaged: devices ask for several at once and then for none for a while, which says
/// nothing of the network.
const AVERAGED: f32 = 12.0;
/// Concealment of G.711 has faded out by then; comfort noise follows.
const CONCEALED_MS: u32 = 60;

/// More than this many packets from before a change of codec: the sender changed back, and counts anew.
const MAX_STRAGGLERS: u32 = 10;

/// The static payload type of comfort noise (RFC 3551 section 6).
const COMFORT_NOISE: u8 = 13;

/// Why sound can't be played out.
#[derive(Debug, thiserror::Error)]
pub enum PlayoutError {
    /// No decoder.
    #[error("no decoder for {1}")]
    Codec(#[source] CodecError, Codec),
    /// The output's rate.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// Plays one incoming stream at a rate of the caller's choice.
pub struct Playout {
    rate: u32,
    config: JitterConfig,
    types: Vec<(Codec, u8)>,
    line: Line,
    /// The stream and the number of the newest packet of sound.
    newest: Option<(u32, u16)>,
    /// Packets in a row from before a change of codec.
    stragglers: u32,
    ready: VecDeque<i16>,
}

/// What depends on the codec in use.
struct Line {
    codec: Codec,
    jitter: JitterBuffer,
    decoder: Decoder,
    resampler: Resampler,
    comfort: ComfortNoise,
    /// Ticks concealed in a row.
    concealed: u32,
    /// The sender said that it is silent now (RFC 3389).
    resting: bool,
    /// How much longer than its target the delay is on average, in milliseconds.
    surplus_ms: f32,
}

impl Line {
    fn new(codec: Codec, rate: u32, config: JitterConfig) -> Result<Self, PlayoutError> {
        let decoder_rate = match rate {
            8_000 | 12_000 | 16_000 | 24_000 => rate,
            _ => codec.sample_rate(),
        };
        let decoder = Decoder::with_rate(codec, decoder_rate).map_err(|e| PlayoutError::Codec(e, codec))?;
        let resampler = Resampler::new(decoder.sample_rate(), rate)?;
        let comfort = ComfortNoise::new(decoder.sample_rate());
        let jitter = JitterBuffer::new(codec, config);
        Ok(Self { codec, jitter, decoder, resampler, comfort, concealed: 0, resting: false, surplus_ms: 0.0 })
    }
}

impl Playout {
    /// Plays packets of the given payload types at `rate` Hz; the first is expected.
    ///
    /// # Errors
    /// When there is no decoder or the rate is impossible.
    pub fn new(rate: u32, types: &[(Codec, u8)], config: JitterConfig) -> Result<Self, PlayoutError> {
        let codec = types.first().map_or(Codec::Opus, |&(codec, _)| codec);
        let line = Line::new(codec, rate, config)?;
        Ok(Self { rate, config, types: types.to_vec(), line, newest: None, stragglers: 0, ready: VecDeque::new() })
    }

    /// Takes a packet. Comfort noise (RFC 3389, static payload type 13) tells the level of the silence that follows; any other
    /// payload type that isn't among the known ones, such as DTMF, only keeps its place.
    ///
    /// # Errors
    /// When the sender changed its codec and there is no decoder for it.
    pub fn receive(&mut self, packet: RtpPacket, now: Instant) -> Result<(), PlayoutError> {
        let Some(&(codec, _)) = self.types.iter().find(|&&(_, pt)| pt == packet.payload_type) else {
            if packet.payload_type == COMFORT_NOISE {
                self.line.rest(&packet.payload);
            }
            self.line.jitter.insert_other(packet, now);
            return Ok(());
        };
        let is_late = self.newest.is_some_and(|(ssrc, newest)| {
            // Less than half the numbers back (RFC 1982).
            ssrc == packet.ssrc && newest.wrapping_sub(packet.sequence).wrapping_sub(1) < 0x7fff
        });
        if codec != self.line.codec {
            if is_late && self.stragglers < MAX_STRAGGLERS {
                // From before the change: its sound is over, and it changes nothing back.
                self.stragglers += 1;
                return Ok(());
            }
            self.line = Line::new(codec, self.rate, self.config)?;
        }
        if !is_late || self.stragglers == MAX_STRAGGLERS {
            self.newest = Some((packet.ssrc, packet.sequence));
        }
        self.stragglers = 0;
        self.line.resting = false;
        self.line.jitter.insert(packet, now);
        Ok(())
    }

    /// Fills `pcm`, usually 10 or 20 ms, with what is to be heard at `now`.
    pub fn pull(&mut self, pcm: &mut [i16], now: Instant) {
        while self.ready.len() < pcm.len() {
            let piece = self.line.next_piece(now);
            self.ready.extend(self.line.resampler.process(&piece));
        }
        let wanted = pcm.len();
        let ready = self.ready.drain(..wanted);
        pcm.iter_mut().zip(ready).for_each(|(sample, ready)| *sample = ready);
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> JitterStatistics {
        self.line.jitter.statistics()
    }

    /// The jitter buffer's present target.
    #[must_use]
    pub fn target(&self) -> std::time::Duration {
        self.line.jitter.target()
    }

    /// The codec that the sender uses.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.line.codec
    }
}

impl Line {
    /// Some sound at the decoder's rate, never empty.
    fn next_piece(&mut self, now: Instant) -> Vec<i16> {
        let pcm = match self.jitter.pull(now) {
            Pull::Packet { payload, surplus, .. } => self.packet(&payload, surplus),
            Pull::Lost { ticks, following } => self.conceal(ticks, following.as_deref()),
            Pull::Late { ticks } => self.conceal(ticks, None),
            Pull::Gap { ticks } => self.quiet(ticks),
            Pull::Idle => {
                // Short, so that a stream that begins isn't kept waiting.
                let ticks = self.codec.frame_ticks() / 4;
                self.comfort.make(self.samples(ticks))
            }
        };
        if pcm.is_empty() { vec![0; self.samples(self.codec.frame_ticks())] } else { pcm }
    }

    fn samples(&self, ticks: u32) -> usize {
        let samples = u64::from(ticks) * u64::from(self.decoder.sample_rate()) / u64::from(self.codec.clock_rate());
        // A gap of a few ticks may be less than a sample.
        (samples as usize).max(1)
    }

    fn packet(&mut self, payload: &[u8], surplus: i64) -> Vec<i16> {
        let Ok(pcm) = self.decoder.decode(payload) else {
            return self.conceal(self.codec.duration_of(payload), None);
        };
        self.concealed = 0;
        self.comfort.learn(&pcm);
        self.stretch(pcm, surplus)
    }

    /// Brings the delay nearer to its target where the sound allows it.
    fn stretch(&mut self, pcm: Vec<i16>, surplus: i64) -> Vec<i16> {
        let ms = surplus as f32 * 1_000.0 / self.codec.clock_rate() as f32;
        self.surplus_ms += (ms - self.surplus_ms) / AVERAGED;
        let (rate, before) = (self.decoder.sample_rate(), pcm.len() as f32);
        let haste = match self.surplus_ms.abs() {
            ms if ms > URGENT_MS => Haste::Urgent,
            ms if ms > SPEECH_MS => Haste::Gentle,
            _ => Haste::Pauses,
        };
        let pcm = match self.surplus_ms {
            ms if ms > STRETCH_MS => stretch::shorten(pcm, rate, haste),
            ms if ms < -STRETCH_MS => stretch::lengthen(pcm, rate, haste),
            _ => pcm,
        };
        self.surplus_ms += (pcm.len() as f32 - before) * 1_000.0 / rate as f32;
        pcm
    }

    fn rest(&mut self, payload: &[u8]) {
        self.resting = true;
        // The first byte is the level in -dBov (RFC 3389 section 3); the rest would colour it.
        if let Some(level) = payload.first() {
            self.comfort.told(-f32::from(*level & 0x7F));
        }
    }

    fn conceal(&mut self, ticks: u32, following: Option<&[u8]>) -> Vec<i16> {
        if self.resting {
            return self.quiet(ticks);
        }
        self.concealed += ticks;
        let faded = self.codec != Codec::Opus && self.concealed > self.codec.clock_rate() * CONCEALED_MS / 1_000;
        let samples = self.samples(ticks);
        let mut pcm = self.decoder.conceal(samples, following);
        if faded {
            let noise = self.comfort.make(samples);
            pcm.iter_mut().zip(noise).for_each(|(sample, noise)| *sample = sample.saturating_add(noise));
        }
        pcm
    }

    /// The sender is silent on purpose. Opus makes its own comfort noise.
    fn quiet(&mut self, ticks: u32) -> Vec<i16> {
        let samples = self.samples(ticks);
        match self.codec {
            Codec::Opus => self.decoder.conceal(samples, None),
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G729 => self.comfort.make(samples),
        }
    }
}

#[cfg(test)]
mod tests;

//! Between packets and frames: what is heard of a call, what is said into it, and the sound of files.

use std::{collections::VecDeque, time::Duration};

use aftertone_media::{
    adapt::Plan,
    codec::{CodecError, Encoder},
    container,
    dtmf::{Digit, DtmfSender},
    jitter::JitterConfig,
    playout::{Playout, PlayoutError},
    resample::{ResampleError, Resampler, resample},
    rtp::{RtpPacket, RtpSender},
    webrtc::Payloads,
};

use crate::{Frame, SAMPLE_RATE};

/// Samples of a packet, at 48 kHz: 20 ms.
pub(crate) const PACKET_SAMPLES: usize = 960;
/// How long a key is pressed, and the pause before the next one.
const PRESS: Duration = Duration::from_millis(120);
const PAUSE_TICKS: u32 = 4;

/// Why a call's sound can't be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoundError {
    #[error(transparent)]
    Playout(#[from] PlayoutError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// What is heard: the codecs that the other end may use, at 48 kHz.
pub(crate) fn incoming(agreed: &Payloads) -> Result<Playout, SoundError> {
    Ok(Playout::new(SAMPLE_RATE, &agreed.all, JitterConfig::default())?)
}

/// What is said: frames in, numbered packets out.
pub(crate) struct Outgoing {
    encoder: Encoder,
    resampler: Resampler,
    /// At the codec's rate, waiting for a packet to be full.
    waiting: VecDeque<i16>,
    rtp: RtpSender,
    payload_type: u8,
    dtmf_payload_type: Option<u8>,
    keys: VecDeque<Digit>,
    pressing: Option<DtmfSender>,
    /// Ticks until the next key may be pressed.
    pause: u32,
}

impl Outgoing {
    pub(crate) fn new(agreed: &Payloads, rtp: RtpSender) -> Result<Self, SoundError> {
        let encoder = Encoder::new(agreed.codec)?;
        let resampler = Resampler::new(SAMPLE_RATE, encoder.sample_rate())?;
        Ok(Self {
            encoder,
            resampler,
            waiting: VecDeque::new(),
            rtp,
            payload_type: agreed.payload_type,
            dtmf_payload_type: agreed.dtmf_payload_type,
            keys: VecDeque::new(),
            pressing: None,
            pause: 0,
        })
    }

    /// Follows the network.
    pub(crate) fn adapt(&mut self, plan: Plan) {
        match self.encoder.adapt(plan) {
            Ok(()) => tracing::debug!(?plan, "the encoder follows the network"),
            Err(e) => tracing::debug!(error = %e, "the encoder does not adapt"),
        }
    }

    /// Presses a key after those that wait; `false` where the other end takes none.
    pub(crate) fn press(&mut self, key: Digit) -> bool {
        self.keys.push_back(key);
        self.dtmf_payload_type.is_some()
    }

    /// The packets of the next 20 ms: sound, or of a key instead.
    pub(crate) fn tick(&mut self, pcm: &[i16; PACKET_SAMPLES]) -> Vec<RtpPacket> {
        let samples = self.resampler.process(pcm);
        self.waiting.extend(samples);
        if let Some(packets) = self.key() {
            // What was said meanwhile is left out, so that nothing is late after it.
            let surplus = self.waiting.len().saturating_sub(self.frame());
            self.waiting.drain(..surplus);
            return packets;
        }
        self.pause = self.pause.saturating_sub(1);
        self.audio().into_iter().collect()
    }

    fn frame(&self) -> usize {
        self.encoder.codec().frame()
    }

    fn audio(&mut self) -> Option<RtpPacket> {
        let frame = self.frame();
        let ticks = self.encoder.codec().frame_ticks();
        if self.waiting.len() < frame {
            // The resampler's first moment.
            self.rtp.pause(ticks);
            return None;
        }
        let pcm: Vec<i16> = self.waiting.drain(..frame).collect();
        let begun = std::time::Instant::now();
        let encoded = self.encoder.encode(&pcm);
        if let Err(e) = self.encoder.encoding_took(begun.elapsed()) {
            tracing::debug!(error = %e, "the encoder does not adapt");
        }
        match encoded {
            Ok(payload) => Some(self.rtp.audio(self.payload_type, payload, ticks)),
            Err(e) => {
                tracing::warn!(error = %e, "sound could not be encoded");
                self.rtp.pause(ticks);
                None
            }
        }
    }

    fn key(&mut self) -> Option<Vec<RtpPacket>> {
        if self.pressing.is_none() && self.pause == 0 {
            let (key, payload_type) = (self.keys.pop_front(), self.dtmf_payload_type);
            let clock = self.encoder.codec().clock_rate();
            self.pressing = key.zip(payload_type).map(|(key, payload_type)| DtmfSender::new(key, payload_type, clock, PRESS));
        }
        let packets = self.pressing.as_mut()?.tick(&mut self.rtp);
        if packets.is_none() {
            self.pressing = None;
            self.pause = PAUSE_TICKS;
        }
        packets
    }
}

/// Why a file's sound can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no sound that we know.
    #[error(transparent)]
    Container(#[from] container::DecodeError),
    /// Its rate can't be changed to ours.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// All of a sound file (WAV or Ogg-Opus) as mono samples at [`SAMPLE_RATE`].
///
/// # Errors
/// Where it is neither.
pub fn decode_file(bytes: &[u8]) -> Result<Vec<i16>, DecodeError> {
    let decoded = container::decode(bytes)?;
    Ok(resample(&decoded.samples, decoded.rate, SAMPLE_RATE)?)
}

/// Two frames are a packet.
pub(crate) fn packet_of(first: &Frame, second: &Frame) -> [i16; PACKET_SAMPLES] {
    let mut packet = [0; PACKET_SAMPLES];
    let (front, back) = packet.split_at_mut(first.len());
    front.copy_from_slice(first);
    back.copy_from_slice(second);
    packet
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use aftertone_media::{Codec, dtmf::DtmfReceiver, sdp::Direction};

    use super::*;

    fn agreed(codec: Codec) -> Payloads {
        let payload_type = codec.payload_type();
        Payloads {
            codec,
            payload_type,
            dtmf_payload_type: Some(110),
            all: vec![(codec, payload_type)],
            direction: Direction::Sendrecv,
        }
    }

    fn tone(from: usize) -> [i16; PACKET_SAMPLES] {
        std::array::from_fn(|i| (((from + i) as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin() * 10_000.0) as i16)
    }

    fn level(pcm: &[i16]) -> f64 {
        (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
    }

    #[test]
    fn a_file_is_decoded_to_our_rate() {
        let file = container::wav_pcm16(&[0; 8_000], 16_000);
        assert_eq!(decode_file(&file).unwrap().len(), 24_000);
        assert!(decode_file(b"no sound at all").is_err());
    }

    #[test]
    fn what_is_said_is_heard_with_every_codec() {
        for codec in Codec::ALL {
            let mut outgoing = Outgoing::new(&agreed(codec), RtpSender::new(7, 1, 1)).unwrap();
            let mut incoming = incoming(&agreed(codec)).unwrap();
            let start = std::time::Instant::now();
            let mut heard = Vec::new();
            for n in 0..100_usize {
                let now = start + Duration::from_millis(20 * n as u64);
                for packet in outgoing.tick(&tone(n * PACKET_SAMPLES)) {
                    incoming.receive(packet, now).unwrap();
                }
                let mut pcm = [0; PACKET_SAMPLES];
                incoming.pull(&mut pcm, now);
                heard.extend(pcm);
            }
            let loud = level(&heard[48_000..]);
            assert!((5_500.0..8_500.0).contains(&loud), "{codec}: {loud}");
        }
    }

    #[test]
    fn keys_go_out_one_after_the_other_with_the_sounds_own_counter() {
        for codec in Codec::ALL {
            let mut outgoing = Outgoing::new(&agreed(codec), RtpSender::new(7, 1, 1)).unwrap();
            let mut receiver = DtmfReceiver::default();
            let (mut keys, mut sequences, mut sound) = (String::new(), Vec::new(), 0);
            for n in 0..60 {
                if n == 5 {
                    assert!(['1', '1', '#'].iter().all(|key| outgoing.press(Digit::from_char(*key).unwrap())));
                }
                for packet in outgoing.tick(&[0; PACKET_SAMPLES]) {
                    sequences.push(packet.sequence);
                    if packet.payload_type == 110 {
                        keys.extend(receiver.receive(&packet).map(Digit::as_char));
                    } else {
                        sound += 1;
                    }
                }
            }
            assert_eq!(keys, "11#", "{codec}");
            assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{codec}: one counter");
            assert!(sound > 30, "{codec}: sound goes on after the keys");
        }
    }

    #[test]
    fn without_an_agreed_payload_type_no_key_is_pressed() {
        let without = Payloads { dtmf_payload_type: None, ..agreed(Codec::Opus) };
        let mut outgoing = Outgoing::new(&without, RtpSender::new(7, 1, 1)).unwrap();
        assert!(!outgoing.press(Digit::from_char('1').unwrap()));
        let types: Vec<u8> = (0..10).flat_map(|_| outgoing.tick(&[0; PACKET_SAMPLES])).map(|p| p.payload_type).collect();
        assert!(types.iter().all(|payload_type| *payload_type == 111), "{types:?}");
    }
}

//! ITU-T G.722 at 64 kbit/s.

use audio_codec::{
    Decoder as _, Encoder as _,
    g722::{self, Bitrate},
};

/// What the encoder makes of silence once it has settled; a decoder that is fed with it falls silent.
pub(super) const SILENCE: u8 = 0xFE;

pub(super) struct G722Encoder(g722::G722Encoder);

impl Default for G722Encoder {
    fn default() -> Self {
        Self(g722::G722Encoder::with_options(Bitrate::Mode1_64000, false, false))
    }
}

impl G722Encoder {
    pub(super) fn encode(&mut self, pcm: &[i16]) -> Vec<u8> {
        self.0.encode(pcm)
    }
}

pub(super) struct G722Decoder(g722::G722Decoder);

impl G722Decoder {
    /// At 8 kHz only the lower band is heard.
    pub(super) fn new(rate: u32) -> Self {
        Self(g722::G722Decoder::with_options(Bitrate::Mode1_64000, false, rate == 8_000))
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        self.0.decode(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::dbfs;

    fn tone(samples: usize) -> Vec<i16> {
        (0..samples).map(|n| ((n as f32 * 0.17).sin() * 9_000.0) as i16).collect()
    }

    #[test]
    fn the_silence_byte_falls_silent_after_sound() {
        let loud = G722Encoder::default().encode(&tone(16_000));
        let level = |byte: u8| {
            let mut decoder = G722Decoder::new(16_000);
            decoder.decode(&loud);
            dbfs(&decoder.decode(&[byte; 1_600])[400..])
        };
        assert!(level(SILENCE) < -50.0, "{} dBFS", level(SILENCE));
    }

    #[test]
    fn a_tone_survives() {
        let pcm = tone(16_000);
        let heard = G722Decoder::new(16_000).decode(&G722Encoder::default().encode(&pcm));
        assert_eq!(heard.len(), pcm.len());
        assert!((dbfs(&heard[1_600..]) - dbfs(&pcm)).abs() < 0.5);
        assert_eq!(G722Decoder::new(8_000).decode(&[SILENCE; 160]).len(), 160);
    }
}

//! What callers hear from the answering machine, encoded once for each codec.

use std::{
    io,
    sync::{Arc, OnceLock},
    thread,
};

use aftertone_media::{Codec, codec::Encoder, resample::resample, tones};
use aftertone_model::Language;
use anyhow::Context;
use bytes::Bytes;

/// What is said to callers, as WAV files (16 bits, mono, any rate).
#[derive(Debug, Clone)]
pub(crate) struct Greetings {
    /// English.
    pub(crate) en: Bytes,
    /// German.
    pub(crate) de: Bytes,
    /// That no message can be left.
    pub(crate) unavailable_en: Bytes,
    /// The same in German.
    pub(crate) unavailable_de: Bytes,
    /// That none can be left because the mailbox is full.
    pub(crate) full_en: Bytes,
    /// The same in German.
    pub(crate) full_de: Bytes,
}

impl Greetings {
    /// Those that come with the server.
    #[must_use]
    pub(crate) fn bundled() -> Self {
        Self {
            en: Bytes::from_static(include_bytes!("../../../../assets/greeting-en.wav")),
            de: Bytes::from_static(include_bytes!("../../../../assets/greeting-de.wav")),
            unavailable_en: Bytes::from_static(include_bytes!("../../../../assets/unavailable-en.wav")),
            unavailable_de: Bytes::from_static(include_bytes!("../../../../assets/unavailable-de.wav")),
            full_en: Bytes::from_static(include_bytes!("../../../../assets/full-en.wav")),
            full_de: Bytes::from_static(include_bytes!("../../../../assets/full-de.wav")),
        }
    }

    /// What callers hear before the beep.
    #[must_use]
    pub(crate) fn standard(&self, language: Language) -> &Bytes {
        match language {
            Language::En => &self.en,
            Language::De => &self.de,
        }
    }
}

/// Payloads of 20 ms each.
pub(super) type Frames = Arc<[Bytes]>;

/// Everything that may be played, in one codec.
#[derive(Debug, Default)]
pub(super) struct CodecPrompts {
    en: Frames,
    de: Frames,
    unavailable_en: Frames,
    unavailable_de: Frames,
    full_en: Frames,
    full_de: Frames,
    pub(super) beep: Frames,
    pub(super) warning: Frames,
    pub(super) silence: Bytes,
}

impl CodecPrompts {
    pub(super) fn greeting(&self, language: Language) -> &Frames {
        match language {
            Language::En => &self.en,
            Language::De => &self.de,
        }
    }

    /// That no message can be left.
    pub(super) fn unavailable(&self, language: Language) -> &Frames {
        match language {
            Language::En => &self.unavailable_en,
            Language::De => &self.unavailable_de,
        }
    }

    /// That no message can be left because the mailbox is full.
    pub(super) fn full(&self, language: Language) -> &Frames {
        match language {
            Language::En => &self.full_en,
            Language::De => &self.full_de,
        }
    }

    fn encode(codec: Codec, spoken: &Spoken) -> anyhow::Result<Self> {
        let rate = codec.sample_rate();
        let say = |pcm: &Pcm| anyhow::Ok(frames(codec, resample(&pcm.samples, pcm.rate, rate)?)?);
        Ok(Self {
            en: say(&spoken.en)?,
            de: say(&spoken.de)?,
            unavailable_en: say(&spoken.unavailable_en)?,
            unavailable_de: say(&spoken.unavailable_de)?,
            full_en: say(&spoken.full_en)?,
            full_de: say(&spoken.full_de)?,
            beep: frames(codec, tones::beep(rate))?,
            warning: frames(codec, tones::warning_beep(rate))?,
            silence: frames(codec, vec![0; codec.frame()])?.first().cloned().unwrap_or_default(),
        })
    }
}

/// The prompts of all codecs. Some take a moment to encode: each has a thread for it while the server starts, so that a caller waits for
/// their own codec alone.
#[derive(Debug, Clone)]
pub(super) struct Prompts(Arc<[(Codec, OnceLock<CodecPrompts>)]>);

impl Prompts {
    pub(super) fn start(greetings: &Greetings) -> io::Result<Self> {
        let read = |name: &str, wav: &[u8]| {
            Pcm::read(wav).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("the {name}: {error:#}")))
        };
        let spoken = Arc::new(Spoken {
            en: read("English greeting", &greetings.en)?,
            de: read("German greeting", &greetings.de)?,
            unavailable_en: read("English announcement", &greetings.unavailable_en)?,
            unavailable_de: read("German announcement", &greetings.unavailable_de)?,
            full_en: read("English announcement of a full mailbox", &greetings.full_en)?,
            full_de: read("German announcement of a full mailbox", &greetings.full_de)?,
        });
        let prompts = Self(Codec::ALL.into_iter().map(|codec| (codec, OnceLock::new())).collect());
        for index in 0..prompts.0.len() {
            let (filling, spoken) = (prompts.clone(), Arc::clone(&spoken));
            thread::Builder::new().name("prompts".into()).spawn(move || filling.fill(index, &spoken))?;
        }
        Ok(prompts)
    }

    fn fill(&self, index: usize, spoken: &Spoken) {
        let Some((codec, slot)) = self.0.get(index) else { return };
        let made = CodecPrompts::encode(*codec, spoken).unwrap_or_else(|error| {
            tracing::error!(%codec, "the prompts can't be encoded, callers hear nothing: {error:#}");
            CodecPrompts::default()
        });
        drop(slot.set(made));
    }

    /// The prompts in this codec, once they are ready.
    pub(super) fn get(&self, codec: Codec) -> Option<&CodecPrompts> {
        self.0.iter().find(|(known, _)| *known == codec)?.1.get()
    }
}

struct Spoken {
    en: Pcm,
    de: Pcm,
    unavailable_en: Pcm,
    unavailable_de: Pcm,
    full_en: Pcm,
    full_de: Pcm,
}

struct Pcm {
    rate: u32,
    samples: Vec<i16>,
}

impl Pcm {
    fn read(wav: &[u8]) -> anyhow::Result<Self> {
        let mut reader = hound::WavReader::new(wav).context("not a WAV file")?;
        let spec = reader.spec();
        let format = (spec.channels, spec.bits_per_sample, spec.sample_format);
        anyhow::ensure!(format == (1, 16, hound::SampleFormat::Int), "not 16 bits and mono");
        let samples = reader.samples::<i16>().collect::<Result<_, _>>().context("broken")?;
        Ok(Self { rate: spec.sample_rate, samples })
    }
}

/// Encodes in frames of 20 ms; the last one is filled up with silence.
pub(super) fn frames(codec: Codec, mut pcm: Vec<i16>) -> anyhow::Result<Frames> {
    pcm.resize(pcm.len().next_multiple_of(codec.frame()), 0);
    let mut encoder = Encoder::new(codec)?;
    let frames = pcm.chunks_exact(codec.frame()).map(|frame| Ok(Bytes::from(encoder.encode(frame)?)));
    frames.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_greetings_are_ready_in_every_codec() {
        let prompts = Prompts::start(&Greetings::bundled()).expect("the prompts");
        for codec in Codec::ALL {
            let made = prompts.0.iter().find(|(known, _)| *known == codec).map(|(_, slot)| slot.wait()).expect("a codec");
            let seconds = |frames: &Frames| frames.len() as f64 / 50.0;
            assert!((7.0..9.0).contains(&seconds(made.greeting(Language::En))), "{codec}");
            assert!((7.0..9.0).contains(&seconds(made.greeting(Language::De))), "{codec}");
            for language in [Language::En, Language::De] {
                assert!((6.0..8.0).contains(&seconds(made.unavailable(language))), "{codec}");
                assert!((7.0..9.0).contains(&seconds(made.full(language))), "{codec}");
            }
            assert_eq!((made.beep.len(), made.warning.len()), (20, 16), "{codec}");
            assert!(made.beep.iter().all(|frame| codec.duration_of(frame) == codec.frame_ticks()), "{codec}");
        }
    }

    #[test]
    fn a_greeting_that_is_no_wav_file_is_refused() {
        let greetings = Greetings { de: Bytes::from_static(b"RIFF"), ..Greetings::bundled() };
        assert!(Prompts::start(&greetings).is_err());
    }
}

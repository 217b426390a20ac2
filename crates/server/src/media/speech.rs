//! The phone menu's prompts, decoded when they are first said.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use aftertone_media::{container, resample::resample};
use aftertone_model::Language;
use aftertone_voicemail::prompt::Prompt;

include!(concat!(env!("OUT_DIR"), "/prompts.rs"));

/// Sound that is there in a moment: mono, at the rate that was asked for.
pub(super) type PcmSlot = Arc<OnceLock<Arc<[i16]>>>;

/// What was decoded so far: a few seconds of each language and rate in most accounts.
#[derive(Debug, Default)]
pub(super) struct Speech(Mutex<BTreeMap<(bool, Prompt, u32), PcmSlot>>);

impl Speech {
    /// A prompt at `rate` hertz, decoded beside the workers.
    pub(super) fn get(&self, prompt: Prompt, language: Language, rate: u32, runtime: &tokio::runtime::Handle) -> PcmSlot {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = known.entry((language == Language::De, prompt, rate)).or_insert_with(|| {
            let slot = PcmSlot::default();
            fill(Arc::clone(&slot), runtime, move || sound(prompt, language, rate));
            slot
        });
        Arc::clone(slot)
    }
}

/// Sound that is there already.
pub(super) fn ready(pcm: Vec<i16>) -> PcmSlot {
    let slot = PcmSlot::default();
    // A slot is filled once, and this one is new.
    drop(slot.set(pcm.into()));
    slot
}

/// Makes sound beside the workers; what can't be made is silence, and logged.
pub(super) fn fill(
    slot: PcmSlot,
    runtime: &tokio::runtime::Handle,
    make: impl FnOnce() -> anyhow::Result<Vec<i16>> + Send + 'static,
) {
    runtime.spawn_blocking(move || {
        let made = make().unwrap_or_else(|error| {
            tracing::error!("something can't be played to who listens by phone: {error:#}");
            Vec::new()
        });
        drop(slot.set(made.into()));
    });
}

/// A file of any kind that is stored here, at `rate`.
pub(super) fn decoded(bytes: &[u8], rate: u32) -> anyhow::Result<Vec<i16>> {
    let pcm = container::decode(bytes)?;
    Ok(resample(&pcm.samples, pcm.rate, rate)?)
}

/// A prompt at `rate` hertz.
pub(crate) fn sound(prompt: Prompt, language: Language, rate: u32) -> anyhow::Result<Vec<i16>> {
    let file = file(prompt, language).ok_or_else(|| anyhow::anyhow!("there is no sound of {}", prompt.name()))?;
    decoded(file, rate)
}

fn file(prompt: Prompt, language: Language) -> Option<&'static [u8]> {
    let table = match language {
        Language::De => DE,
        Language::En => EN,
    };
    let name = prompt.name();
    let at = table.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).ok()?;
    Some(table[at].1)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use aftertone_media::level::dbfs;

    use super::*;

    const LANGUAGES: [Language; 2] = [Language::De, Language::En];

    #[test]
    fn every_prompt_is_spoken_in_both_languages_neither_silent_nor_clipped() {
        for (prompt, language) in Prompt::all().flat_map(|prompt| LANGUAGES.map(|language| (prompt, language))) {
            let name = format!("{} in {language:?}", prompt.name());
            let pcm = decoded(file(prompt, language).expect(&name), 16_000).unwrap();
            let seconds = pcm.len() as f64 / 16_000.0;
            assert!((0.3..30.0).contains(&seconds), "{name}: {seconds:.2} s");
            let loudest = pcm.chunks(320).map(dbfs).fold(f32::MIN, f32::max);
            assert!((-24.0..-6.0).contains(&loudest), "{name}: {loudest:.1} dBFS");
            let clipped = pcm.iter().filter(|sample| sample.unsigned_abs() > 32_700).count();
            assert!(clipped < 3, "{name}: {clipped} samples are clipped");
        }
    }

    #[test]
    fn no_prompt_lies_there_that_is_never_said() {
        let said: BTreeSet<_> = Prompt::all().map(Prompt::name).collect();
        for table in [DE, EN] {
            let there: BTreeSet<_> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(there.symmetric_difference(&said).collect::<Vec<_>>(), Vec::<&String>::new());
        }
    }

    /// Words that are the same in the language.
    const ALIKE: [&[(&str, &str)]; 2] = [ALIKE_DE, ALIKE_EN];
    const ALIKE_DE: &[(&str, &str)] = &[("number-0", "oh")];
    const ALIKE_EN: &[(&str, &str)] = &[("day-2", "second")];

    #[test]
    fn no_two_prompts_sound_the_same_within_a_language_but_those_that_are_the_same_words() {
        for (table, alike) in [DE, EN].into_iter().zip(ALIKE) {
            let pairs = table.iter().enumerate().flat_map(|(at, one)| table[at + 1..].iter().map(move |other| (one, other)));
            let same: Vec<_> = pairs.filter(|(one, other)| one.1 == other.1).map(|(one, other)| (one.0, other.0)).collect();
            assert_eq!(same, alike);
        }
    }
}

//! Who listens to the phone menu: which prompts were heard, told from the recorded sound alone.

use std::path::PathBuf;

use aftertone_media::container;
use aftertone_model::Language;
use aftertone_voicemail::prompt::Prompt;
use anyhow::{Context, Result};

use crate::sound::{RATE, Sound, to_rate};

/// What came over a good line of G.711 is more like its prompt than this, and other speech less.
const ALIKE: f64 = 0.85;
/// Two prompts may overlap by so much, in seconds: their ends are silent.
const OVERLAP_S: f64 = 0.12;

/// A prompt that was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Its name.
    pub name: String,
    /// Where it begins, in seconds.
    pub at_s: f64,
    /// Where it ends, in seconds.
    pub end_s: f64,
    /// 1 is the same.
    pub likeness: f64,
}

/// Somebody who knows every prompt of a language.
#[derive(Debug)]
pub struct Ears {
    prompts: Vec<(String, Sound)>,
}

impl Ears {
    /// The prompts as they are committed.
    ///
    /// # Errors
    /// Where one is missing.
    pub fn of(language: Language) -> Result<Self> {
        let folder = match language {
            Language::De => "de",
            Language::En => "en",
        };
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/prompts")).join(folder);
        let load = |prompt: Prompt| {
            let path = folder.join(format!("{}.opus", prompt.name()));
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let pcm = container::decode(&bytes)?;
            Ok((prompt.name(), Sound(to_rate(&pcm.samples, pcm.rate)?)))
        };
        // What a language doesn't say sounds like what it says instead.
        let never: &[&str] = match language {
            Language::De => &["am", "pm", "oh", "on"],
            Language::En => &["o-clock", "one-feminine", "one-hour"],
        };
        let said = Prompt::all().filter(|prompt| !never.contains(&prompt.name().as_str()));
        Ok(Self { prompts: said.map(load).collect::<Result<_>>()? })
    }

    /// The first place from `from_s` on where this prompt was heard to its end.
    #[must_use]
    pub fn find(&self, name: &str, sound: &Sound, from_s: f64) -> Option<Heard> {
        let (name, prompt) = self.prompts.iter().find(|(known, _)| known == name)?;
        let rest = sound.part(from_s, sound.seconds());
        let found = Searched::new(&rest).places(prompt).into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let at_s = from_s + found.0;
        Some(Heard { name: name.clone(), at_s, end_s: at_s + prompt.seconds(), likeness: found.1 })
    }

    /// How like the prompt the place is that is most like it, for whoever wonders why it was not heard.
    #[must_use]
    pub fn closest(&self, name: &str, sound: &Sound) -> f64 {
        self.prompts.iter().find(|(known, _)| known == name).map_or(0.0, |(_, prompt)| crate::sound::likeness(prompt, sound))
    }

    /// Everything that was heard to its end, in order.
    #[must_use]
    pub fn transcript(&self, sound: &Sound) -> Vec<Heard> {
        let searched = Searched::new(sound);
        let mut all = Vec::new();
        for (name, prompt) in &self.prompts {
            for (at_s, likeness) in searched.places(prompt) {
                all.push(Heard { name: name.clone(), at_s, end_s: at_s + prompt.seconds(), likeness });
            }
        }
        all.sort_by(|a, b| b.likeness.total_cmp(&a.likeness));
        let mut kept: Vec<Heard> = Vec::new();
        for heard in all {
            let overlaps = |other: &Heard| heard.at_s + OVERLAP_S < other.end_s && other.at_s + OVERLAP_S < heard.end_s;
            if !kept.iter().any(overlaps) {
                kept.push(heard);
            }
        }
        kept.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        kept
    }

    /// The names of what was heard, with blanks between them.
    #[must_use]
    pub fn names(&self, sound: &Sound) -> String {
        self.transcript(sound).into_iter().map(|heard| heard.name).collect::<Vec<_>>().join(" ")
    }
}

/// How loud it is over time: the level of 20 ms, each 5 ms.
fn envelope(power: &[f64]) -> Vec<f64> {
    let frames = (power.len().saturating_sub(1 + WINDOW)) / HOP;
    (0..frames).map(|frame| (power[frame * HOP + WINDOW] - power[frame * HOP]).sqrt()).collect()
}

/// In samples.
const HOP: usize = 40;
const WINDOW: usize = 160;
/// The envelope of what is the same is at least so alike; only there the sound itself is compared.
const ALIKE_ENVELOPE: f64 = 0.93;
/// So much of a prompt tells where exactly it lies.
const HEAD: usize = RATE as usize;

/// The power of everything before each sample.
fn powers(sound: &Sound) -> Vec<f64> {
    let mut power = Vec::with_capacity(sound.0.len() + 1);
    let mut sum = 0.0;
    power.push(sum);
    for sample in &sound.0 {
        sum += f64::from(*sample) * f64::from(*sample);
        power.push(sum);
    }
    power
}

/// A sound that several prompts are looked for in.
struct Searched<'a> {
    sound: &'a Sound,
    power: Vec<f64>,
    envelope: Vec<f64>,
}

impl<'a> Searched<'a> {
    fn new(sound: &'a Sound) -> Self {
        let power = powers(sound);
        let envelope = envelope(&power);
        Self { sound, power, envelope }
    }

    /// Where the prompt is, in seconds, and how like it is there (the normalised cross-correlation of both waves).
    fn places(&self, prompt: &Sound) -> Vec<(f64, f64)> {
        let wanted = envelope(&powers(prompt));
        let alike: Vec<_> = correlations(&wanted, &self.envelope);
        let is_peak = |at: usize| {
            let around = alike[at.saturating_sub(2)..(at + 3).min(alike.len())].iter();
            alike[at] > ALIKE_ENVELOPE && around.fold(0.0_f64, |most, one| most.max(*one)) <= alike[at]
        };
        let candidates = (0..alike.len()).filter(|at| is_peak(*at));
        let found = candidates.filter_map(|at| self.place(prompt, at * HOP));
        found.map(|(at, likeness)| (at as f64 / f64::from(RATE), likeness)).collect()
    }

    /// The best place around `near`, if the prompt is there.
    fn place(&self, prompt: &Sound, near: usize) -> Option<(usize, f64)> {
        let head = &prompt.0[..prompt.0.len().min(HEAD)];
        let around = near.saturating_sub(HOP)..=near + HOP;
        let best = around.max_by(|one, other| self.likeness(head, *one).total_cmp(&self.likeness(head, *other)))?;
        let likeness = self.likeness(&prompt.0, best);
        (likeness >= ALIKE).then_some((best, likeness))
    }

    fn likeness(&self, wanted: &[i16], at: usize) -> f64 {
        let Some(there) = self.sound.0.get(at..at + wanted.len()) else { return 0.0 };
        let (mut product, mut own) = (0.0, 0.0);
        for (one, other) in wanted.iter().zip(there) {
            let (one, other) = (f64::from(*one), f64::from(*other));
            product += one * other;
            own += one * one;
        }
        let power = self.power[at + wanted.len()] - self.power[at];
        // Silence is like nothing.
        if power < own * 0.05 { 0.0 } else { product / (power * own).sqrt() }
    }
}

/// How alike the shapes of `wanted` and of each part of `all` are.
fn correlations(wanted: &[f64], all: &[f64]) -> Vec<f64> {
    let length = wanted.len() as f64;
    let mean = wanted.iter().sum::<f64>() / length;
    let wanted: Vec<f64> = wanted.iter().map(|one| one - mean).collect();
    let own = wanted.iter().map(|one| one * one).sum::<f64>();
    let of = |there: &[f64]| {
        let (mut product, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (one, other) in wanted.iter().zip(there) {
            product += one * other;
            sum += other;
            squares += other * other;
        }
        let power = squares - sum * sum / length;
        if power < own * 0.05 { 0.0 } else { product / (power * own).sqrt() }
    };
    all.windows(wanted.len().max(1)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prompt is told from every other, over a line of µ-law, with half a second of another voice before it.
    #[test]
    fn prompts_are_recognised_and_nothing_else_is() -> Result<()> {
        for language in [Language::De, Language::En] {
            let ears = Ears::of(language)?;
            let named = |name: &str| &ears.prompts.iter().find(|(known, _)| known == name).expect(name).1;
            let words =
                ["you-have", "number-2", "new-messages", "and", "number-1", "heard-message", "number-21", "day-3", "month-3"];
            let line = words.iter().fold(Sound::silence(0.4), |line, word| line.then(named(word)));
            let line = line.then(&crate::sound::reply()?).in_mu_law();
            assert_eq!(ears.names(&line), words.join(" "), "{language:?}");
            let heard = ears.find("month-3", &line, 0.0).context("it is there")?;
            assert!(heard.likeness > 0.95, "{heard:?}");
            assert_eq!(ears.find("month-4", &line, 0.0), None);
            assert_eq!(ears.find("you-have", &line, 0.5), None, "it was before");
        }
        Ok(())
    }
}

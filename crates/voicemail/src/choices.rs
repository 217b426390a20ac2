use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_model::{Language, Marks};

use crate::{
    menu::Clip,
    prompt::{Phrase, Prompt},
    spoken,
};

/// How long things may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceLimits {
    /// Without a key for so long after the choices were said, the message is sent.
    pub key: Duration,
    /// Without another digit for so long, a number is complete.
    pub digit: Duration,
    /// What plays longer is stuck; the caller's own message may last so much longer than it is long.
    pub playing: Duration,
    /// So long the caller may choose at all.
    pub all: Duration,
}

impl Default for ChoiceLimits {
    fn default() -> Self {
        Self {
            key: Duration::from_secs(8),
            digit: Duration::from_secs(5),
            playing: Duration::from_secs(60),
            all: Duration::from_secs(1800),
        }
    }
}

/// What the media worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChoiceEvent {
    /// Play this in place of what plays; `handle_played` at its end.
    Play(Vec<Clip>),
    /// Stop what plays and record anew, with a beep before it; `handle_recorded` at its end. What was recorded before stays until
    /// there is something new.
    RecordAgain,
    /// Send what is recorded and hang up. The last event.
    Send,
    /// Send what is recorded, and lead the caller to the person that the owner has named. The last event.
    Person,
}

/// What comes out. Drain it after every input until `Timeout` comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChoiceOutput {
    /// Nothing more now. Call [`Choices::handle_timeout`] then, or never if `None`.
    Timeout(Option<Instant>),
    /// Something to do.
    Event(ChoiceEvent),
}

/// A caller who has spoken their message and pressed the hash key: 1 listens, 3 records again, 4 marks it urgent and 5 private (or
/// takes that back), 6 leaves a number to be called back, 2 or hash sends it, 0 sends it and leads to a person where there is one.
///
/// ```text
///  handle_recorded ──► Choosing ◄──► Entering(number)
///                       │  ▲  └── hash, nothing pressed ──► Sending ──► Over
///                       ▼  │
///                      Recording
/// ```
///
/// Nothing here throws a message away: whoever hangs up, whenever, has sent what was recorded last, with the [`Self::marks`] that
/// it has by then.
#[derive(Debug)]
pub struct Choices {
    limits: ChoiceLimits,
    language: Language,
    /// The 0 leads to somebody.
    person: bool,
    state: State,
    marks: Marks,
    length: Duration,
    entered: String,
    events: VecDeque<ChoiceEvent>,
    playing: bool,
    until: Option<Instant>,
    ends_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Choosing,
    Entering,
    /// The media worker records.
    Recording,
    /// It is said that it is sent.
    Sending,
    Over,
}

/// More digits are no number.
const MOST_DIGITS: usize = 32;

impl Choices {
    /// For a message of this `length`, which was ended with the hash key just now; with a `person` for the 0 or without.
    #[must_use]
    pub fn new(language: Language, length: Duration, person: bool, limits: ChoiceLimits, now: Instant) -> Self {
        let mut choices = Self {
            limits,
            language,
            person,
            state: State::Choosing,
            marks: Marks::default(),
            length,
            entered: String::new(),
            events: VecDeque::new(),
            playing: false,
            until: None,
            ends_at: now + limits.all,
        };
        choices.choose(Vec::new(), now);
        choices
    }

    /// What the caller has said of the message so far.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The new recording is over: how long it is, or `None` if it is none and the old one stays.
    pub fn handle_recorded(&mut self, length: Option<Duration>, now: Instant) {
        if self.state != State::Recording {
            return;
        }
        let said = if length.is_none() { vec![Phrase::NothingRecorded.into()] } else { Vec::new() };
        self.length = length.unwrap_or(self.length);
        self.choose(said, now);
    }

    /// The caller pressed a key.
    pub fn handle_digit(&mut self, key: char, now: Instant) {
        match self.state {
            State::Choosing => self.chosen(key, now),
            State::Entering => self.entry_key(key, now),
            State::Recording | State::Sending | State::Over => {}
        }
    }

    /// What was last told to play is over.
    pub fn handle_played(&mut self, now: Instant) {
        if !std::mem::take(&mut self.playing) {
            return;
        }
        match self.state {
            State::Choosing | State::Entering => self.until = Some(now + self.limits.key),
            State::Sending => self.over(),
            State::Recording | State::Over => {}
        }
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timeout().is_none_or(|at| at > now) {
            return;
        }
        match self.state {
            State::Choosing | State::Entering if self.ends_at <= now => self.send(now),
            State::Choosing | State::Entering if self.playing => self.handle_played(now),
            State::Entering if !self.entered.is_empty() => self.submit(now),
            State::Choosing | State::Entering => self.send(now),
            State::Sending => self.over(),
            State::Recording | State::Over => {}
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> ChoiceOutput {
        self.events.pop_front().map_or_else(|| ChoiceOutput::Timeout(self.timeout()), ChoiceOutput::Event)
    }

    fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Choosing | State::Entering => Some(self.until.map_or(self.ends_at, |until| until.min(self.ends_at))),
            State::Sending => self.until,
            State::Recording | State::Over => None,
        }
    }

    fn chosen(&mut self, key: char, now: Instant) {
        match key {
            '1' => self.choose(vec![Clip::Recording], now),
            '2' | '#' => self.send(now),
            '3' => self.record_again(),
            '4' => {
                self.marks.urgent = !self.marks.urgent;
                let said = if self.marks.urgent { Phrase::MarkedUrgent } else { Phrase::NotUrgent };
                self.choose(vec![said.into()], now);
            }
            '5' => {
                self.marks.private = !self.marks.private;
                let said = if self.marks.private { Phrase::MarkedPrivate } else { Phrase::NotPrivate };
                self.choose(vec![said.into()], now);
            }
            '6' => self.enter(now),
            '0' if self.person => {
                self.state = State::Over;
                self.until = None;
                self.events.push_back(ChoiceEvent::Person);
            }
            _ => self.choose(vec![Phrase::NotHere.into()], now),
        }
    }

    fn entry_key(&mut self, key: char, now: Instant) {
        match key {
            '#' => self.submit(now),
            '*' if self.entered.is_empty() => self.choose(Vec::new(), now),
            '*' => self.enter(now),
            _ if key.is_ascii_digit() => {
                if self.entered.len() < MOST_DIGITS {
                    self.entered.push(key);
                }
                // Whoever presses keys listens no more.
                if std::mem::take(&mut self.playing) {
                    self.events.push_back(ChoiceEvent::Play(Vec::new()));
                }
                self.until = Some(now + self.limits.digit);
            }
            _ => {}
        }
    }

    fn enter(&mut self, now: Instant) {
        self.state = State::Entering;
        self.entered.clear();
        self.say(vec![Phrase::EnterNumber.into()], now);
    }

    /// The number that was entered, read back.
    fn submit(&mut self, now: Instant) {
        let number = std::mem::take(&mut self.entered);
        let Some(digits) = spoken::digits(&number) else { return self.choose(Vec::new(), now) };
        self.marks.call_back = Some(number);
        let said = std::iter::once(Prompt::from(Phrase::NumberNoted)).chain(digits);
        self.choose(said.map(Clip::Prompt).collect(), now);
    }

    fn record_again(&mut self) {
        self.state = State::Recording;
        self.playing = false;
        self.until = None;
        self.events.push_back(ChoiceEvent::RecordAgain);
    }

    fn choose(&mut self, mut said: Vec<Clip>, now: Instant) {
        self.state = State::Choosing;
        said.push(Phrase::DepositMenu.into());
        if self.person {
            said.push(Phrase::ZeroForPerson.into());
        }
        self.say(said, now);
    }

    fn send(&mut self, now: Instant) {
        self.state = State::Sending;
        self.say(vec![Phrase::MessageSent.into()], now);
    }

    fn say(&mut self, clips: Vec<Clip>, now: Instant) {
        let own = if clips.contains(&Clip::Recording) { self.length } else { Duration::ZERO };
        self.playing = true;
        self.until = Some(now + self.limits.playing + own);
        self.events.push_back(ChoiceEvent::Play(clips));
    }

    fn over(&mut self) {
        self.state = State::Over;
        self.until = None;
        self.events.push_back(ChoiceEvent::Send);
    }

    /// Of what is said.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }
}

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long things may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositLimits {
    /// A greeting that plays longer is stuck and is left for the beep.
    pub greeting: Duration,
    /// A beep that plays longer is stuck and is left for the recording.
    pub beep: Duration,
    /// The longest message.
    pub recording: Duration,
    /// How long before the end of the longest message the caller is warned.
    pub warning: Duration,
    /// So much silence in a row ends the recording.
    pub silence: Duration,
    /// A pause up to this long belongs to the sound around it.
    pub pause: Duration,
    /// A recording with less sound than this is no message.
    pub least_sound: Duration,
}

impl Default for DepositLimits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(180),
            beep: Duration::from_secs(3),
            recording: Duration::from_secs(300),
            warning: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            pause: Duration::from_millis(500),
            least_sound: Duration::from_secs(1),
        }
    }
}

/// What ended a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The caller hung up. The only ending after which there is nobody left to hang up on.
    HungUp,
    /// The caller pressed the hash key.
    Finished,
    /// The caller said nothing any more.
    Silence,
    /// The message has its greatest length.
    TooLong,
    /// We broke it off: a shutdown, a full disk, dead media.
    Interrupted,
    /// There was no place for a message, and the caller was told so.
    Unavailable,
    /// The caller wants the menu: it takes over, and nobody is hung up on.
    Menu,
    /// The caller pressed a key that leads to somebody else, and nobody is hung up on.
    Key(char),
}

/// What a key does while the greeting plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It leads to somebody else; the 0 also while the caller speaks.
    Leave,
    /// Something else is played, and the greeting once more.
    Announce,
}

/// What the media worker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Play the mailbox's greeting; `handle_prompt_finished` at its end (or at once if it can't be played).
    PlayGreeting,
    /// Stop what plays and play what this key stands for; `handle_prompt_finished` at its end.
    PlayAnnouncement(char),
    /// Stop what plays and say that no message can be left; `handle_prompt_finished` at its end.
    PlayUnavailable,
    /// Stop what plays and play the beep; `handle_prompt_finished` at its end.
    Beep,
    /// Record from here on, and report what is heard with `handle_sound`.
    StartRecording,
    /// Play the warning beep to the caller, while the recording goes on. Its end needs no report.
    WarningBeep,
    /// It is over: complete the recording and keep it as a message, or drop it. The last event. The caller is hung up by
    /// the exchange, unless they hung up themselves.
    Stop {
        /// What ended it.
        ending: Ending,
        /// Whether there is enough sound for a message.
        keep: bool,
    },
}

/// What comes out. Drain it after every input until `Timeout` comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Nothing more now. Call [`Deposit::handle_timeout`] then, or never if `None`.
    Timeout(Option<Instant>),
    /// Something to do.
    Event(Event),
}

/// How many announcements a caller hears.
const MOST_ANNOUNCEMENTS: u8 = 20;

/// One caller leaving one message. A key may lead from the greeting to an announcement and back, or to somebody else.
///
/// ```text
///  Waiting --start--> Greeting --finished or #--> Beeping --finished--> Recording --hang-up, #, silence, length--> Over
///     |                  |                           |                                                              ^
///     +------------------+------ hang-up, interrupted (nothing to keep) --------------------------------------------+
///     +------------------+------ unavailable ──> Refusing --finished------------------------------------------------+
/// ```
#[derive(Debug)]
pub struct Deposit {
    limits: DepositLimits,
    keys: BTreeMap<char, Key>,
    /// How many more announcements a caller gets: nobody keeps a line busy for ever.
    announcements: u8,
    state: State,
    /// At most three wait: an input causes no more.
    events: Vec<Event>,
}

#[derive(Debug)]
enum State {
    /// With `skip` the caller was faster than the greeting.
    Waiting {
        skip: bool,
    },
    Greeting {
        until: Instant,
    },
    /// What a key stands for plays; the greeting follows.
    Announcing {
        until: Instant,
    },
    Beeping {
        until: Instant,
    },
    Recording(Recording),
    /// The caller hears that no message can be left.
    Refusing {
        until: Instant,
    },
    Over,
}

#[derive(Debug)]
struct Recording {
    warn_at: Option<Instant>,
    end_at: Instant,
    /// When the last sound ended, or the recording began: silence counts from here.
    quiet_since: Instant,
    tally: Tally,
}

/// How much sound was heard, with its short pauses: what decides whether a recording is a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    sound: Duration,
    /// The pause since the last sound; `None` before the first.
    pause: Option<Duration>,
}

impl Tally {
    /// What was heard during the next `duration`.
    pub fn count(&mut self, heard: bool, duration: Duration, limits: &DepositLimits) {
        if heard {
            let pause = self.pause.filter(|pause| *pause <= limits.pause).unwrap_or_default();
            self.sound += pause + duration;
            self.pause = Some(Duration::ZERO);
        } else if let Some(pause) = &mut self.pause {
            *pause += duration;
        }
    }

    /// Whether there is enough sound for a message.
    #[must_use]
    pub fn is_enough(&self, limits: &DepositLimits) -> bool {
        self.sound >= limits.least_sound
    }
}

impl Deposit {
    /// A deposit that waits for the call to be answered.
    #[must_use]
    pub fn new(limits: DepositLimits) -> Self {
        let state = State::Waiting { skip: false };
        Self { limits, keys: BTreeMap::new(), announcements: MOST_ANNOUNCEMENTS, state, events: Vec::new() }
    }

    /// The same with keys that do more than to go on.
    #[must_use]
    pub fn with_keys(self, keys: BTreeMap<char, Key>) -> Self {
        Self { keys, ..self }
    }

    /// The call is answered and its media flows. Only the first call counts.
    pub fn handle_start(&mut self, now: Instant) {
        match self.state {
            State::Waiting { skip: true } => self.beep(now),
            State::Waiting { skip: false } => self.greet(now),
            State::Greeting { .. }
            | State::Announcing { .. }
            | State::Beeping { .. }
            | State::Recording(_)
            | State::Refusing { .. }
            | State::Over => {}
        }
    }

    /// There is no place for a message: instead of greeting or beep the caller hears that none can be left. A recording
    /// that runs goes on.
    pub fn handle_unavailable(&mut self, now: Instant) {
        match self.state {
            State::Waiting { .. } | State::Greeting { .. } | State::Announcing { .. } | State::Beeping { .. } => {
                self.state = State::Refusing { until: now + self.limits.greeting };
                self.events.push(Event::PlayUnavailable);
            }
            State::Recording(_) | State::Refusing { .. } | State::Over => {}
        }
    }

    /// What was last told to play is over: the greeting or the beep.
    pub fn handle_prompt_finished(&mut self, now: Instant) {
        match self.state {
            State::Greeting { .. } => self.beep(now),
            State::Announcing { .. } => self.greet(now),
            State::Beeping { .. } => self.record(now),
            State::Refusing { .. } => self.stop(Ending::Unavailable),
            State::Waiting { .. } | State::Recording(_) | State::Over => {}
        }
    }

    /// The caller pressed a key. The hash key skips the greeting, and ends a recording; the star key leaves the greeting for the
    /// menu; the others mean what [`Self::with_keys`] was told, or nothing.
    pub fn handle_digit(&mut self, digit: char, now: Instant) {
        match self.state {
            State::Waiting { .. } if digit == '#' => self.state = State::Waiting { skip: true },
            State::Greeting { .. } | State::Announcing { .. } => self.greeting_key(digit, now),
            State::Recording(_) if digit == '#' => self.stop(Ending::Finished),
            State::Recording(_) if digit == '0' && self.leads_away('0') => self.stop(Ending::Key('0')),
            State::Waiting { .. } | State::Beeping { .. } | State::Recording(_) | State::Refusing { .. } | State::Over => {}
        }
    }

    fn greeting_key(&mut self, digit: char, now: Instant) {
        match (digit, self.keys.get(&digit)) {
            ('#', _) => self.beep(now),
            ('*', _) => self.stop(Ending::Menu),
            (_, Some(Key::Leave)) => self.stop(Ending::Key(digit)),
            (_, Some(Key::Announce)) if self.announcements > 0 => {
                self.announcements -= 1;
                self.state = State::Announcing { until: now + self.limits.greeting };
                self.events.push(Event::PlayAnnouncement(digit));
            }
            (_, Some(Key::Announce) | None) => {}
        }
    }

    /// Whether a key leads to somebody else.
    #[must_use]
    pub fn leads_away(&self, digit: char) -> bool {
        self.keys.get(&digit) == Some(&Key::Leave)
    }

    /// What the caller was heard to do during the last `duration`, which ends now. Spans follow each other; where none is
    /// reported (no packets), the caller is silent.
    pub fn handle_sound(&mut self, speech: bool, duration: Duration, now: Instant) {
        let State::Recording(recording) = &mut self.state else { return };
        recording.tally.count(speech, duration, &self.limits);
        if speech {
            recording.quiet_since = now;
        }
    }

    /// The caller hung up.
    pub fn handle_hang_up(&mut self) {
        self.stop(Ending::HungUp);
    }

    /// We have to stop: a shutdown, a full disk, dead media. What was recorded so far counts.
    pub fn handle_interruption(&mut self) {
        self.stop(Ending::Interrupted);
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Greeting { until } | State::Announcing { until } if *until <= now => self.beep(now),
            State::Beeping { until } if *until <= now => self.record(now),
            State::Refusing { until } if *until <= now => self.stop(Ending::Unavailable),
            State::Recording(recording) => {
                let silent = now >= recording.quiet_since + self.limits.silence;
                let ended = now >= recording.end_at;
                if recording.warn_at.take_if(|at| *at <= now).is_some() && !ended && !silent {
                    self.events.push(Event::WarningBeep);
                }
                if ended {
                    self.stop(Ending::TooLong);
                } else if silent {
                    self.stop(Ending::Silence);
                }
            }
            State::Waiting { .. }
            | State::Greeting { .. }
            | State::Announcing { .. }
            | State::Beeping { .. }
            | State::Refusing { .. }
            | State::Over => {}
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Output {
        if self.events.is_empty() { Output::Timeout(self.timeout()) } else { Output::Event(self.events.remove(0)) }
    }

    fn timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { .. } | State::Over => None,
            State::Greeting { until } | State::Announcing { until } | State::Beeping { until } | State::Refusing { until } => {
                Some(*until)
            }
            State::Recording(recording) => {
                let end = recording.end_at.min(recording.quiet_since + self.limits.silence);
                Some(recording.warn_at.map_or(end, |warn| warn.min(end)))
            }
        }
    }

    fn greet(&mut self, now: Instant) {
        self.state = State::Greeting { until: now + self.limits.greeting };
        self.events.push(Event::PlayGreeting);
    }

    fn beep(&mut self, now: Instant) {
        self.state = State::Beeping { until: now + self.limits.beep };
        self.events.push(Event::Beep);
    }

    fn record(&mut self, now: Instant) {
        let end_at = now + self.limits.recording;
        let warn_at = end_at.checked_sub(self.limits.warning).filter(|at| *at > now);
        let recording = Recording { warn_at, end_at, quiet_since: now, tally: Tally::default() };
        self.state = State::Recording(recording);
        self.events.push(Event::StartRecording);
    }

    fn stop(&mut self, ending: Ending) {
        let keep = match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return,
            State::Waiting { .. }
            | State::Greeting { .. }
            | State::Announcing { .. }
            | State::Beeping { .. }
            | State::Refusing { .. } => false,
            State::Recording(recording) => recording.tally.is_enough(&self.limits),
        };
        self.events.push(Event::Stop { ending, keep });
    }
}

#[cfg(test)]
mod tests;

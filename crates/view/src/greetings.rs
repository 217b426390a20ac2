use std::cmp::Reverse;

use aftertone_model::{Greeting, GreetingId, GreetingKind, GreetingSound, Plan, Timestamp};
use aftertone_rules::{Draft, Finding, Point};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Code, Language};

/// So soon before its end one is reminded of a greeting.
const SOON_S: i64 = 7 * 24 * 3600;

/// The greetings, and which of them callers hear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct GreetingsView {
    /// What is in use comes first, then the latest.
    pub greetings: Vec<GreetingRow>,
    /// The spoken name, where there is one.
    pub name: Option<SpokenName>,
    /// The server has told them at least once; an empty list is really empty.
    pub loaded: bool,
    /// Changes can be made: the server can be reached.
    pub reachable: bool,
}

/// A greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct GreetingRow {
    /// Which.
    #[ts(type = "string")]
    pub id: GreetingId,
    /// What it is called.
    pub title: String,
    /// What is said in it; may be empty.
    pub text: String,
    /// The language that it is spoken in.
    pub language: Language,
    /// How long it is; none without a sound.
    pub duration_ms: Option<u32>,
    /// Its loudness over time, 0 to 255.
    pub peaks: Vec<u8>,
    /// Callers hear it when no rule fits.
    pub standard: bool,
    /// Callers hear it whatever the rules say.
    pub temporary: bool,
    /// Until then it is the temporary one; none: until it is taken away.
    #[ts(type = "string | null")]
    pub until: Option<Timestamp>,
    /// How many rules name it.
    pub rules: u32,
    /// When it is out of date.
    pub expiry: Option<ExpiryView>,
    /// Whether the server has it.
    pub state: GreetingState,
}

/// The person's name in their own voice: said to callers before the greeting of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SpokenName {
    /// Names it in [`Command::PlayGreeting`](crate::Command::PlayGreeting) and
    /// [`Command::RemoveGreeting`](crate::Command::RemoveGreeting).
    #[ts(type = "string")]
    pub id: GreetingId,
    /// What is said; empty where it was recorded by phone.
    pub text: String,
    /// The language that it is spoken in.
    pub language: Language,
    /// How long it is; none without a sound.
    pub duration_ms: Option<u32>,
    /// Its loudness over time, 0 to 255.
    pub peaks: Vec<u8>,
    /// Whether the server has it.
    pub state: GreetingState,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum RecordingUse {
    /// A greeting, of three minutes at most.
    Greeting,
    /// The spoken name, of ten seconds at most.
    Name,
}

/// When a greeting is out of date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct ExpiryView {
    /// From then on it isn't played.
    #[ts(type = "string")]
    pub at: Timestamp,
    /// That is within a week.
    pub soon: bool,
    /// That is past.
    pub over: bool,
}

/// Whether the server has a greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum GreetingState {
    /// It has.
    Stored,
    /// It is being sent, or waits for a connection.
    Waiting,
    /// It doesn't take it.
    Refused {
        /// Why.
        code: Code,
    },
}

/// What a new greeting is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum GreetingUse {
    /// Nothing yet.
    Keep,
    /// Callers hear it when no rule fits.
    Standard,
    /// Callers hear it whatever the rules say.
    Temporary {
        /// Until then; none: until it is taken away.
        #[ts(type = "string | null")]
        until: Option<Timestamp>,
    },
}

impl GreetingsView {
    /// From what the server told, and from what waits to be sent to it.
    #[must_use]
    pub fn new(stored: &[Greeting], plan: Option<&Plan>, waiting: Vec<GreetingRow>, reachable: bool, now: Timestamp) -> Self {
        let is_waiting = |id: GreetingId| waiting.iter().any(|row| row.id == id);
        let shown = stored.iter().filter(|greeting| greeting.kind == GreetingKind::Greeting && !is_waiting(greeting.id));
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by_key(|greeting| Reverse(greeting.changed_at));
        let stored_name = stored.iter().find(|greeting| greeting.kind == GreetingKind::Name);
        let stored = shown.into_iter().map(|greeting| GreetingRow::stored(greeting, now));
        let mut greetings: Vec<_> = waiting.into_iter().chain(stored).collect();
        if let Some(plan) = plan {
            greetings.iter_mut().for_each(|row| row.look_up(plan, now));
        }
        // Stable: among those of a kind the order stays.
        greetings.sort_by_key(|row| (!row.temporary, !row.standard));
        let name = stored_name.map(SpokenName::from);
        Self { greetings, name, loaded: plan.is_some(), reachable }
    }

    /// With a name that waits to be sent, which takes the place of the stored one.
    #[must_use]
    pub fn with_name(self, waiting: Option<SpokenName>) -> Self {
        Self { name: waiting.or(self.name), ..self }
    }
}

impl From<&Greeting> for SpokenName {
    fn from(name: &Greeting) -> Self {
        let (duration_ms, peaks) = shown_sound(name.sound.as_ref());
        Self {
            id: name.id,
            text: name.text.clone(),
            language: name.language.into(),
            duration_ms,
            peaks,
            state: GreetingState::Stored,
        }
    }
}

/// Its length, and its loudness over time.
fn shown_sound(sound: Option<&GreetingSound>) -> (Option<u32>, Vec<u8>) {
    let duration = |sound: &GreetingSound| u32::try_from(sound.duration_ms).unwrap_or(u32::MAX);
    (sound.map(duration), sound.map(|sound| sound.peaks.clone()).unwrap_or_default())
}

impl GreetingRow {
    fn stored(greeting: &Greeting, now: Timestamp) -> Self {
        let (duration_ms, peaks) = shown_sound(greeting.sound.as_ref());
        Self {
            id: greeting.id,
            title: greeting.title.clone(),
            text: greeting.text.clone(),
            language: greeting.language.into(),
            duration_ms,
            peaks,
            standard: false,
            temporary: false,
            until: None,
            rules: 0,
            expiry: ExpiryView::new(greeting.expires_at, now),
            state: GreetingState::Stored,
        }
    }

    fn look_up(&mut self, plan: &Plan, now: Timestamp) {
        self.standard |= plan.standard == Some(self.id);
        let named = plan.greetings.iter().filter(|rule| rule.on && rule.greeting == Some(self.id)).count();
        self.rules = u32::try_from(named).unwrap_or(u32::MAX);
        // A temporary greeting whose time is over stays in the plan and isn't heard.
        let temporary = plan.temporary.as_ref().filter(|temporary| temporary.until.is_none_or(|until| until > now));
        if let Some(temporary) = temporary.filter(|temporary| temporary.greeting == self.id) {
            (self.temporary, self.until) = (true, temporary.until);
        }
    }
}

impl ExpiryView {
    /// As it looks at that moment.
    #[must_use]
    pub fn new(at: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let at = at?;
        let left = at.as_second() - now.as_second();
        Some(Self { at, soon: left > 0 && left <= SOON_S, over: left <= 0 })
    }
}

/// What is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum RecorderView {
    /// Nothing.
    #[default]
    Empty,
    /// It begins in so many seconds.
    Countdown {
        /// 3, 2, 1.
        seconds: u8,
    },
    /// The microphone is recorded.
    Recording {
        /// How long so far.
        elapsed_ms: u32,
    },
    /// There is a recording, or a file in its place.
    Recorded {
        /// How long.
        duration_ms: u32,
        /// Its loudness over time, 0 to 255.
        peaks: Vec<u8>,
        /// The file's name; none for what was spoken here.
        file: Option<String>,
        /// Nothing can be heard in it.
        silent: bool,
    },
}

/// A text that the coach is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct CoachedText {
    /// What is said.
    pub text: String,
    /// Its language.
    pub language: Language,
    /// The company; may be empty.
    pub company: String,
    /// When the greeting is out of date.
    #[ts(type = "string | null")]
    pub expires_at: Option<Timestamp>,
    /// The length of the recording; none before there is one.
    pub duration_ms: Option<u32>,
}

/// What the coach says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct CoachView {
    /// All points, in their order.
    pub advice: Vec<AdviceView>,
    /// So long it takes to read the text aloud.
    pub estimated_ms: u32,
}

/// What the coach says of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AdviceView {
    /// Which.
    pub point: PointView,
    /// Nothing is to be done.
    pub good: bool,
    /// What is the matter with it.
    pub finding: FindingView,
}

/// A point of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum PointView {
    /// Company and name come first.
    WhoFirst,
    /// When somebody is there.
    Hours,
    /// What the caller can do.
    NextStep,
    /// Another way to reach us.
    OtherWay,
    /// 20 to 25 seconds.
    Length,
    /// It is still true.
    Current,
    /// The caller is thanked.
    Thanks,
}

/// What is the matter with a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum FindingView {
    /// It is there.
    Found {
        /// These words.
        words: String,
    },
    /// It isn't there.
    Missing,
    /// It is there, but late in the text.
    Late {
        /// These words.
        words: String,
    },
    /// The length is just right.
    GoodLength {
        /// In seconds.
        seconds: u32,
    },
    /// It is short.
    TooShort {
        /// In seconds.
        seconds: u32,
    },
    /// It is long.
    TooLong {
        /// In seconds.
        seconds: u32,
    },
    /// It speaks of a time that passes, and has no end.
    NeedsExpiry {
        /// These words.
        words: String,
    },
    /// It doesn't speak of anything that passes.
    Timeless,
    /// It ends by itself.
    Ends {
        /// Then.
        #[ts(type = "string")]
        at: Timestamp,
    },
    /// It ends within a week.
    EndsSoon {
        /// Then.
        #[ts(type = "string")]
        at: Timestamp,
    },
    /// It has ended.
    Ended {
        /// Then.
        #[ts(type = "string")]
        at: Timestamp,
    },
}

/// What the coach says of a text; `name` is the person's.
#[must_use]
pub fn coach_view(asked: &CoachedText, name: &str, now: Timestamp) -> CoachView {
    let draft = Draft {
        text: &asked.text,
        length_ms: asked.duration_ms.map(u64::from),
        expires_at: asked.expires_at,
        language: asked.language.into(),
        company: &asked.company,
        name,
    };
    let advice = aftertone_rules::coach(&draft, now).into_iter().map(|advice| AdviceView {
        point: advice.point.into(),
        good: advice.finding.is_good(),
        finding: advice.finding.into(),
    });
    let estimated_ms = u32::try_from(aftertone_rules::estimated_length_ms(&asked.text)).unwrap_or(u32::MAX);
    CoachView { advice: advice.collect(), estimated_ms }
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        match point {
            Point::WhoFirst => Self::WhoFirst,
            Point::Hours => Self::Hours,
            Point::NextStep => Self::NextStep,
            Point::OtherWay => Self::OtherWay,
            Point::Length => Self::Length,
            Point::Current => Self::Current,
            Point::Thanks => Self::Thanks,
        }
    }
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        let short = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
        match finding {
            Finding::Found(words) => Self::Found { words },
            Finding::Missing => Self::Missing,
            Finding::Late(words) => Self::Late { words },
            Finding::GoodLength(seconds) => Self::GoodLength { seconds: short(seconds) },
            Finding::TooShort(seconds) => Self::TooShort { seconds: short(seconds) },
            Finding::TooLong(seconds) => Self::TooLong { seconds: short(seconds) },
            Finding::NeedsExpiry(words) => Self::NeedsExpiry { words },
            Finding::Timeless => Self::Timeless,
            Finding::Ends(at) => Self::Ends { at },
            Finding::EndsSoon(at) => Self::EndsSoon { at },
            Finding::Ended(at) => Self::Ended { at },
        }
    }
}

//! How a mailbox's owner wants callers to be answered. What follows from a plan at some moment is in `rules`.

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::{GreetingId, Reason, Timestamp};

/// How long a ring lasts with its pause: one second of tone and four of silence (ITU-T E.180).
pub const RING_CYCLE_S: u16 = 5;

/// How callers of one person are answered: which greeting they hear, how long it rings, who gets through.
///
/// Rules are tried in their order; the first that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(default)]
pub struct Plan {
    /// The person's time zone (IANA name, such as `Europe/Berlin`); empty for the server's.
    pub zone: String,
    /// Whose public holidays count: `DE`, `DE-BY`; empty for none.
    pub region: String,
    /// Days of one's own that count as holidays.
    pub own_days: Vec<OwnDay>,
    /// Callers that rules speak of.
    pub groups: Vec<CallerGroup>,
    /// The greeting when no rule fits; without one, that of the account in the person's language.
    #[cfg_attr(feature = "ts", ts(type = "string | null"))]
    pub standard: Option<GreetingId>,
    /// A greeting above all rules.
    pub temporary: Option<Temporary>,
    /// Which greeting is played.
    pub greetings: Vec<GreetingRule>,
    /// Who rings, and how long.
    pub answering: Vec<AnsweringRule>,
    /// What callers get by a key while a greeting plays, or after it.
    pub keys: Vec<GreetingKey>,
    /// The longest message in seconds, 60 to 300, or more where the administrator allows it.
    pub longest_s: Option<u16>,
}

/// A day that counts as a holiday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct OwnDay {
    /// The day.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub date: Date,
    /// Each year again.
    #[serde(default)]
    pub yearly: bool,
    /// What it is called.
    pub title: String,
}

/// Callers under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct CallerGroup {
    /// Unlike any other group's of the plan.
    pub id: String,
    /// What its owner calls it.
    pub title: String,
    /// Numbers, extensions or SIP addresses; one that ends in `*` stands for all that begin so.
    pub members: Vec<String>,
}

/// A greeting that is played whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct Temporary {
    /// Which.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub greeting: GreetingId,
    /// Until then; without it until it is taken away.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    #[cfg_attr(feature = "ts", ts(type = "string | null"))]
    pub until: Option<Timestamp>,
}

/// What a caller gets by one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct GreetingKey {
    /// The key, 0 to 9. The 0 is also taken while the caller speaks and after it, if it leads to somebody.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "1"))]
    pub key: char,
    /// What its owner calls it.
    pub title: String,
    /// Where it leads.
    pub target: KeyTarget,
}

/// Where a key leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum KeyTarget {
    /// To a colleague, whose devices ring.
    Person {
        /// Their extension.
        extension: String,
    },
    /// To a colleague's mailbox at once.
    Mailbox {
        /// Their extension.
        extension: String,
    },
    /// To a number of the outside, with the rights and at the cost of the mailbox's owner.
    Number {
        /// As it would be dialled.
        number: String,
    },
    /// To something that is played; the greeting follows once more.
    Announcement {
        /// Which.
        #[cfg_attr(feature = "ts", ts(type = "string"))]
        greeting: GreetingId,
    },
}

/// When which greeting is played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct GreetingRule {
    /// What its owner calls it.
    pub title: String,
    /// Whether it counts.
    pub on: bool,
    /// When it fits.
    pub when: When,
    /// What is played; without one, the standard greeting.
    #[cfg_attr(feature = "ts", ts(type = "string | null"))]
    pub greeting: Option<GreetingId>,
}

/// When devices ring, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct AnsweringRule {
    /// What its owner calls it.
    pub title: String,
    /// Whether it counts.
    pub on: bool,
    /// When it fits. Its reasons don't count: there is none before it has rung.
    pub when: When,
    /// What happens then.
    pub answer: Answer,
}

/// What happens with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// It rings so long, and not while do-not-disturb is on.
    Ring {
        /// How long.
        time: RingTime,
    },
    /// It rings so long, do-not-disturb or not.
    Through {
        /// How long.
        time: RingTime,
    },
    /// The mailbox takes it at once.
    Mailbox,
}

/// How long it rings before the mailbox answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(rename_all = "snake_case")]
pub enum RingTime {
    /// In seconds.
    Seconds(u16),
    /// In rings, of [`RING_CYCLE_S`] each.
    Rings(u16),
}

impl RingTime {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u16 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Rings(rings) => rings.saturating_mul(RING_CYCLE_S),
        }
    }
}

/// When a rule fits: all that is said must hold; what is left open always does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(default)]
pub struct When {
    /// One of these calls.
    pub callers: Vec<Callers>,
    /// The mailbox answers for one of these reasons.
    #[cfg_attr(feature = "ts", ts(type = "Array<Reason>"))]
    pub reasons: Vec<Reason>,
    /// Inside or outside of these hours.
    pub hours: Option<Hours>,
    /// On holidays alone, or never on one.
    pub holiday: Option<bool>,
    /// Between these days.
    pub dates: Option<Dates>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Callers {
    /// Somebody of a group.
    Group {
        /// The group.
        id: String,
    },
    /// One number, or all that begin so when it ends in `*`.
    Number {
        /// As a member of a group.
        number: String,
    },
    /// People of the account.
    Internal,
    /// Anybody else.
    External,
    /// Whoever doesn't show a number.
    Withheld,
}

/// Spans of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct Hours {
    /// The spans.
    pub spans: Vec<Span>,
    /// What is meant is the time outside of them.
    pub outside: bool,
}

/// The same hours on some weekdays. One that ends at or before its beginning ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct Span {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// From.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "09:00:00"))]
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub from: Time,
    /// To, exclusive.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "17:00:00"))]
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub to: Time,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the days")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<jiff::civil::Weekday> for Weekday {
    fn from(day: jiff::civil::Weekday) -> Self {
        match day {
            jiff::civil::Weekday::Monday => Self::Monday,
            jiff::civil::Weekday::Tuesday => Self::Tuesday,
            jiff::civil::Weekday::Wednesday => Self::Wednesday,
            jiff::civil::Weekday::Thursday => Self::Thursday,
            jiff::civil::Weekday::Friday => Self::Friday,
            jiff::civil::Weekday::Saturday => Self::Saturday,
            jiff::civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "contract.ts"))]
pub struct Dates {
    /// The first.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub from: Date,
    /// The last.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub to: Date,
}

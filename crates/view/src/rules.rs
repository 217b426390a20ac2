use std::time::Duration;

use aftertone_model::{Dates, Greeting, GreetingId, Plan, Timestamp, Weekday};
use aftertone_rules::{
    Action, Answering, Because, Holiday, Met, Occasion, Passed, Shelved, Unmet, greeting, moment_of, screening,
};
use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::Reason;

/// How calls are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct RulesView {
    /// The plan; none before the server told it.
    pub plan: Option<Plan>,
    /// Which version of it; a change names the one that it was made of.
    #[ts(type = "number")]
    pub version: u64,
    /// How long it rings when no rule says so, in seconds.
    pub ring_s: u16,
    /// Whose public holidays are known: `DE`, `DE-BY`.
    pub regions: Vec<String>,
    /// Changes can be made: the server can be reached.
    pub reachable: bool,
}

/// One of the lists in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum PlanPart {
    /// The rules of which greeting is played.
    Greeting,
    /// The rules of who rings, and how long.
    Answering,
    /// Groups of callers.
    Group,
    /// Days that count as holidays.
    OwnDay,
    /// What callers get by keys.
    Key,
}

/// A call that nobody makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SimulatedCall {
    /// The caller's number; empty when it is withheld.
    pub number: String,
    /// The caller is of the account.
    pub internal: bool,
    /// Why the mailbox answers, unless the plan has it answer at once.
    pub reason: Reason,
    /// What the clock on the person's wall shows.
    #[ts(type = "string")]
    pub at: DateTime,
}

/// What happens with such a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SimulationView {
    /// The call.
    pub call: SimulatedCall,
    /// Whether it rings; none: the caller asked for the mailbox itself.
    pub screened: Option<ScreenedView>,
    /// Why the mailbox answers then.
    pub reason: Reason,
    /// What the caller hears; none: the account's greeting.
    #[ts(type = "string | null")]
    pub greeting: Option<GreetingId>,
    /// Why.
    pub because: BecauseView,
    /// What came before and didn't fit.
    pub passed: Vec<PassedView>,
}

/// Whether a call rings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct ScreenedView {
    /// What happens.
    pub action: ActionView,
    /// Why.
    pub because: BecauseView,
    /// What came before and didn't fit.
    pub passed: Vec<PassedView>,
}

/// What happens with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum ActionView {
    /// It rings.
    Ring {
        /// So long.
        seconds: u32,
    },
    /// It rings, do-not-disturb or not.
    Through {
        /// So long.
        seconds: u32,
    },
    /// The mailbox takes it at once.
    Mailbox,
}

/// Why something was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum BecauseView {
    /// A temporary greeting is above all rules.
    Temporary {
        /// Until then.
        #[ts(type = "string | null")]
        until: Option<Timestamp>,
    },
    /// It is the first rule that fits.
    Rule {
        /// Its place in the plan.
        index: u32,
        /// What makes it fit; empty if it always does.
        met: Vec<MetView>,
    },
    /// No rule fits, and do-not-disturb is on.
    DoNotDisturb,
    /// No rule fits.
    NoRule,
}

/// A rule, or the temporary or standard greeting, that didn't count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct PassedView {
    /// Its place in the plan; none for the temporary and the standard greeting.
    pub index: Option<u32>,
    /// What it is called.
    pub title: String,
    /// Why.
    pub unmet: UnmetView,
}

/// A condition of a rule that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum MetView {
    /// The caller belongs to a group.
    Group {
        /// What it is called.
        title: String,
    },
    /// The caller has the number that the rule names.
    Number {
        /// It.
        number: String,
    },
    /// The caller is of the account.
    Internal,
    /// The caller is not of the account.
    External,
    /// The caller shows no number.
    Withheld,
    /// The mailbox answers for this reason.
    Reason {
        /// Which.
        reason: Reason,
    },
    /// It is inside of these hours.
    Inside(SpanView),
    /// It is outside of the rule's hours.
    Outside,
    /// It is this holiday.
    Holiday(HolidayView),
    /// It is no holiday.
    NoHoliday,
    /// The day lies between these.
    Dates {
        /// Both included.
        dates: Dates,
    },
}

/// Why a rule doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum UnmetView {
    /// It is switched off.
    Off,
    /// Its greeting is out of date.
    Expired {
        /// Since then.
        #[ts(type = "string")]
        at: Timestamp,
    },
    /// Its greeting has no sound yet, or is gone.
    Silent,
    /// Somebody else calls.
    Caller,
    /// The mailbox answers for another reason.
    Reason {
        /// This.
        reason: Reason,
    },
    /// It is inside of these hours.
    Inside(SpanView),
    /// It is outside of the rule's hours.
    Outside,
    /// It is this holiday.
    Holiday(HolidayView),
    /// It is no holiday.
    NoHoliday,
    /// It begins later.
    Before {
        /// On that day.
        #[ts(type = "string")]
        date: Date,
    },
    /// It is over.
    After {
        /// This was its last day.
        #[ts(type = "string")]
        date: Date,
    },
    /// It rings, but do-not-disturb is on.
    DoNotDisturb,
}

/// Hours that began on some day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SpanView {
    /// Then.
    pub day: Weekday,
    /// From.
    #[ts(type = "string")]
    pub from: Time,
    /// To.
    #[ts(type = "string")]
    pub to: Time,
}

/// A holiday by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct HolidayView {
    /// In English.
    pub english: String,
    /// As it is called there.
    pub local: String,
}

/// What the rules speak of, as the simulator wants it.
#[must_use]
pub fn answering(plan: Plan, stored: &[Greeting]) -> Answering {
    let shelved = |greeting: &Greeting| Shelved {
        title: greeting.title.clone(),
        has_sound: greeting.sound.is_some(),
        expires_at: greeting.expires_at,
    };
    Answering { plan, greetings: stored.iter().map(|greeting| (greeting.id, shelved(greeting))).collect() }
}

/// What would happen with a call; `ring` is the person's own ring time.
#[must_use]
pub fn simulate(answering: &Answering, ring: Duration, call: SimulatedCall) -> SimulationView {
    let at = moment_of(&answering.plan, call.at);
    let occasion = Occasion { at, number: call.number.trim(), internal: call.internal };
    let screened = (call.reason != Reason::Direct).then(|| screening(answering, &occasion, call.reason == Reason::Dnd, ring));
    let reason = match screened.as_ref().map(|screened| screened.action) {
        // The exchange says the same of whoever is not to be disturbed by a call.
        Some(Action::Mailbox) => Reason::Dnd,
        Some(Action::Ring(_) | Action::Through(_)) if call.reason == Reason::Dnd => Reason::NoAnswer,
        Some(Action::Ring(_) | Action::Through(_)) | None => call.reason,
    };
    let chosen = greeting(answering, &occasion, reason.into());
    SimulationView {
        screened: screened.map(|screened| ScreenedView {
            action: screened.action.into(),
            because: screened.because.into(),
            passed: passed(screened.passed),
        }),
        reason,
        greeting: chosen.greeting,
        because: chosen.because.into(),
        passed: passed(chosen.passed),
        call,
    }
}

fn passed(passed: Vec<Passed>) -> Vec<PassedView> {
    let view = |Passed { index, title, unmet }| PassedView { index: index.map(place), title, unmet: unmet.into() };
    passed.into_iter().map(view).collect()
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl From<Action> for ActionView {
    fn from(action: Action) -> Self {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        match action {
            Action::Ring(time) => Self::Ring { seconds: seconds(time) },
            Action::Through(time) => Self::Through { seconds: seconds(time) },
            Action::Mailbox => Self::Mailbox,
        }
    }
}

impl From<Because> for BecauseView {
    fn from(because: Because) -> Self {
        match because {
            Because::Temporary { until } => Self::Temporary { until },
            Because::Rule { index, title: _, met } => {
                Self::Rule { index: place(index), met: met.into_iter().map(MetView::from).collect() }
            }
            Because::DoNotDisturb => Self::DoNotDisturb,
            Because::NoRule => Self::NoRule,
        }
    }
}

impl From<Holiday> for HolidayView {
    fn from(Holiday { english, local }: Holiday) -> Self {
        Self { english, local }
    }
}

impl From<Met> for MetView {
    fn from(met: Met) -> Self {
        match met {
            Met::Group(title) => Self::Group { title },
            Met::Number(number) => Self::Number { number },
            Met::Internal => Self::Internal,
            Met::External => Self::External,
            Met::Withheld => Self::Withheld,
            Met::Reason(reason) => Self::Reason { reason: reason.into() },
            Met::Inside { day, from, to } => Self::Inside(SpanView { day, from, to }),
            Met::Outside => Self::Outside,
            Met::Holiday(holiday) => Self::Holiday(holiday.into()),
            Met::NoHoliday => Self::NoHoliday,
            Met::Dates(dates) => Self::Dates { dates },
        }
    }
}

impl From<Unmet> for UnmetView {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Off => Self::Off,
            Unmet::Expired(at) => Self::Expired { at },
            Unmet::Silent => Self::Silent,
            Unmet::Caller => Self::Caller,
            Unmet::Reason(reason) => Self::Reason { reason: reason.into() },
            Unmet::Inside { day, from, to } => Self::Inside(SpanView { day, from, to }),
            Unmet::Outside => Self::Outside,
            Unmet::Holiday(holiday) => Self::Holiday(holiday.into()),
            Unmet::NoHoliday => Self::NoHoliday,
            Unmet::Before(date) => Self::Before { date },
            Unmet::After(date) => Self::After { date },
            Unmet::DoNotDisturb => Self::DoNotDisturb,
        }
    }
}

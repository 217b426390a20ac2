//! What a plan may hold.

use std::sync::OnceLock;

use aftertone_model::{Answer, Callers, GreetingKey, KeyTarget, Plan, When};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::holidays;

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// No such time zone.
    #[error("there is no time zone {0:?}: a name such as Europe/Berlin is expected")]
    Zone(String),
    /// No such region.
    #[error("no public holidays are known of {0:?}")]
    Region(String),
    /// More than anybody needs.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// A text that is too long.
    #[error("a {0} is longer than 200 characters")]
    TooLong(&'static str),
    /// Two groups of the same id.
    #[error("two groups have the id {0:?}")]
    SameGroup(String),
    /// A rule speaks of a group that isn't there.
    #[error("the rule {rule:?} speaks of a group that isn't there")]
    NoGroup {
        /// The rule.
        rule: String,
    },
    /// Hours that are on no day.
    #[error("the rule {rule:?} has hours without a day")]
    NoDay {
        /// The rule.
        rule: String,
    },
    /// Days in the wrong order.
    #[error("the rule {rule:?} ends before it begins")]
    Backwards {
        /// The rule.
        rule: String,
    },
    /// Ringing for longer than anybody waits.
    #[error("the rule {rule:?} rings for 0 or more than 300 seconds")]
    RingTime {
        /// The rule.
        rule: String,
    },
    /// A key that is none, or that has two meanings.
    #[error("the key {0:?} is no digit, or has two meanings")]
    Key(char),
    /// A key that leads nowhere.
    #[error("the key {0:?} leads nowhere")]
    KeyTarget(char),
    /// A message that is shorter than a minute.
    #[error("the longest message has 60 seconds at least")]
    Longest,
}

fn database() -> &'static TimeZoneDatabase {
    static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
    BUNDLED.get_or_init(TimeZoneDatabase::bundled)
}

pub(crate) fn zone_of(name: &str) -> Option<TimeZone> {
    database().get(name).ok()
}

/// Whether there is such a time zone.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    zone_of(name).is_some()
}

/// The names of all time zones.
pub fn zones() -> impl Iterator<Item = String> {
    database().available().map(|name| name.as_str().to_owned())
}

/// Whether a plan is one that can be followed.
///
/// # Errors
/// What is wrong with it. Greetings that it names may be gone: that is no error, they are passed over.
pub fn check(plan: &Plan) -> Result<(), PlanProblem> {
    if !plan.zone.is_empty() && !is_zone(&plan.zone) {
        return Err(PlanProblem::Zone(plan.zone.clone()));
    }
    if !plan.region.is_empty() && !holidays::is_region(&plan.region) {
        return Err(PlanProblem::Region(plan.region.clone()));
    }
    at_most(plan.own_days.len(), 1_000, "days")?;
    at_most(plan.groups.len(), 100, "groups")?;
    at_most(plan.greetings.len().max(plan.answering.len()), 100, "rules")?;
    plan.own_days.iter().try_for_each(|day| short(&day.title, "day's name"))?;
    for (index, group) in plan.groups.iter().enumerate() {
        short(&group.id, "group's id")?;
        short(&group.title, "group's name")?;
        at_most(group.members.len(), 1_000, "members of a group")?;
        group.members.iter().try_for_each(|member| short(member, "number"))?;
        if plan.groups[..index].iter().any(|other| other.id == group.id) {
            return Err(PlanProblem::SameGroup(group.id.clone()));
        }
    }
    plan.greetings.iter().try_for_each(|rule| check_when(plan, &rule.title, &rule.when))?;
    for rule in &plan.answering {
        check_when(plan, &rule.title, &rule.when)?;
        let (Answer::Ring { time } | Answer::Through { time }) = rule.answer else { continue };
        if !(1..=300).contains(&time.seconds()) {
            return Err(PlanProblem::RingTime { rule: rule.title.clone() });
        }
    }
    check_keys(plan)?;
    if plan.longest_s.is_some_and(|seconds| seconds < 60) { Err(PlanProblem::Longest) } else { Ok(()) }
}

fn check_keys(plan: &Plan) -> Result<(), PlanProblem> {
    for (index, GreetingKey { key, title, target }) in plan.keys.iter().enumerate() {
        short(title, "key's name")?;
        if !key.is_ascii_digit() || plan.keys[..index].iter().any(|other| other.key == *key) {
            return Err(PlanProblem::Key(*key));
        }
        match target {
            KeyTarget::Person { extension: text }
            | KeyTarget::Mailbox { extension: text }
            | KeyTarget::Number { number: text } => {
                short(text, "number")?;
                if text.trim().is_empty() {
                    return Err(PlanProblem::KeyTarget(*key));
                }
            }
            KeyTarget::Announcement { .. } => {}
        }
    }
    Ok(())
}

fn check_when(plan: &Plan, rule: &str, when: &When) -> Result<(), PlanProblem> {
    short(rule, "rule's name")?;
    at_most(when.callers.len(), 100, "callers in a rule")?;
    for callers in &when.callers {
        match callers {
            Callers::Group { id } if !plan.groups.iter().any(|group| group.id == *id) => {
                return Err(PlanProblem::NoGroup { rule: rule.to_owned() });
            }
            Callers::Number { number } => short(number, "number")?,
            Callers::Group { .. } | Callers::Internal | Callers::External | Callers::Withheld => {}
        }
    }
    if let Some(hours) = &when.hours {
        at_most(hours.spans.len(), 50, "hours in a rule")?;
        if hours.spans.is_empty() || hours.spans.iter().any(|span| span.days.is_empty()) {
            return Err(PlanProblem::NoDay { rule: rule.to_owned() });
        }
    }
    if when.dates.is_some_and(|dates| dates.to < dates.from) {
        return Err(PlanProblem::Backwards { rule: rule.to_owned() });
    }
    Ok(())
}

fn at_most(count: usize, most: usize, what: &'static str) -> Result<(), PlanProblem> {
    if count > most { Err(PlanProblem::TooMany(what)) } else { Ok(()) }
}

fn short(text: &str, what: &'static str) -> Result<(), PlanProblem> {
    if text.chars().count() > 200 { Err(PlanProblem::TooLong(what)) } else { Ok(()) }
}

//! Which rule counts.

use std::{collections::BTreeMap, time::Duration};

use aftertone_model::{Answer, GreetingId, Plan, Reason, Timestamp, Weekday};
use jiff::{
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::{Met, check::zone_of, fit::Moment, holidays::Holiday};

/// What is known of a greeting when one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// What its owner calls it.
    pub title: String,
    /// Whether there is sound.
    pub has_sound: bool,
    /// From then on it isn't played.
    pub expires_at: Option<Timestamp>,
}

/// How one person's calls are answered: the plan, and what it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answering {
    /// The plan.
    pub plan: Plan,
    /// The greetings that there are.
    pub greetings: BTreeMap<GreetingId, Shelved>,
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// When.
    pub at: Timestamp,
    /// The caller's number; empty when it is withheld.
    pub number: &'a str,
    /// The caller is proven to be of the account.
    pub internal: bool,
}

/// The greeting that is played, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `None`: the one that comes with the account.
    pub greeting: Option<GreetingId>,
    /// Why.
    pub because: Because,
    /// What came before and didn't fit.
    pub passed: Vec<Passed>,
}

/// Why something was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// A temporary greeting is above all rules.
    Temporary {
        /// Until then.
        until: Option<Timestamp>,
    },
    /// It is the first rule that fits.
    Rule {
        /// Its place in the plan.
        index: usize,
        /// What its owner calls it.
        title: String,
        /// What makes it fit; empty if it always does.
        met: Vec<Met>,
    },
    /// No rule fits, and do-not-disturb is on.
    DoNotDisturb,
    /// No rule fits.
    NoRule,
}

/// A rule, or the temporary or standard greeting, that didn't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its place in the plan; `None` for the temporary and the standard greeting.
    pub index: Option<usize>,
    /// What its owner calls it.
    pub title: String,
    /// Why.
    pub unmet: Unmet,
}

/// Why a rule doesn't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// It is switched off.
    Off,
    /// Its greeting is out of date since then.
    Expired(Timestamp),
    /// Its greeting has no sound yet, or is gone.
    Silent,
    /// Somebody else calls.
    Caller,
    /// The mailbox answers for this reason, and not for one of the rule's.
    Reason(Reason),
    /// It is inside of these hours.
    Inside {
        /// The day on which they began.
        day: Weekday,
        /// From.
        from: Time,
        /// To.
        to: Time,
    },
    /// It is outside of the rule's hours.
    Outside,
    /// It is this holiday.
    Holiday(Holiday),
    /// It is no holiday.
    NoHoliday,
    /// It begins on that day.
    Before(Date),
    /// It ended with that day.
    After(Date),
    /// It rings, but do-not-disturb is on.
    DoNotDisturb,
}

/// What happens with a call, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screened {
    /// What.
    pub action: Action,
    /// Why.
    pub because: Because,
    /// What came before and didn't fit.
    pub passed: Vec<Passed>,
}

/// What happens with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It rings so long.
    Ring(Duration),
    /// It rings so long, although do-not-disturb is on or may be.
    Through(Duration),
    /// The mailbox takes it at once.
    Mailbox,
}

/// When the clock on the person's wall shows this: of an hour that comes twice the first time, of one that is skipped the
/// moment so long after it would have begun. What no clock reaches is the last moment that there is.
#[must_use]
pub fn moment_of(plan: &Plan, local: DateTime) -> Timestamp {
    zone(plan).to_timestamp(local).unwrap_or(Timestamp::MAX)
}

/// Which greeting this caller hears when the mailbox answers for this reason. There always is one.
#[must_use]
pub fn greeting(answering: &Answering, occasion: &Occasion<'_>, reason: Reason) -> Chosen {
    let plan = &answering.plan;
    let moment = moment(plan, occasion, Some(reason));
    let mut passed = Vec::new();
    if let Some(temporary) = &plan.temporary {
        let until = temporary.until.filter(|until| *until <= occasion.at);
        match until.map_or_else(|| answering.playable(temporary.greeting, occasion.at), |until| Err(Unmet::Expired(until))) {
            Ok(()) => {
                let because = Because::Temporary { until: temporary.until };
                return Chosen { greeting: Some(temporary.greeting), because, passed };
            }
            Err(unmet) => passed.push(Passed { index: None, title: answering.title(temporary.greeting), unmet }),
        }
    }
    for (index, rule) in plan.greetings.iter().enumerate() {
        let playable = || rule.greeting.map_or(Ok(()), |greeting| answering.playable(greeting, occasion.at));
        let fits = if rule.on { moment.fit(&rule.when) } else { Err(Unmet::Off) };
        match fits.and_then(|met| playable().map(|()| met)) {
            Ok(met) => {
                let greeting = rule.greeting.or_else(|| answering.standard(occasion.at, &mut passed));
                return Chosen { greeting, because: Because::Rule { index, title: rule.title.clone(), met }, passed };
            }
            Err(unmet) => passed.push(Passed { index: Some(index), title: rule.title.clone(), unmet }),
        }
    }
    let greeting = answering.standard(occasion.at, &mut passed);
    Chosen { greeting, because: Because::NoRule, passed }
}

/// Whether this call rings and how long. `ring` is the person's own ring time.
#[must_use]
pub fn screening(answering: &Answering, occasion: &Occasion<'_>, do_not_disturb: bool, ring: Duration) -> Screened {
    let moment = moment(&answering.plan, occasion, None);
    let mut passed = Vec::new();
    for (index, rule) in answering.plan.answering.iter().enumerate() {
        let fits = if rule.on { moment.fit(&rule.when) } else { Err(Unmet::Off) };
        let outcome = fits.and_then(|met| {
            let seconds = |time: aftertone_model::RingTime| Duration::from_secs(time.seconds().into());
            match rule.answer {
                Answer::Ring { .. } if do_not_disturb => Err(Unmet::DoNotDisturb),
                Answer::Ring { time } => Ok((Action::Ring(seconds(time)), met)),
                Answer::Through { time } => Ok((Action::Through(seconds(time)), met)),
                Answer::Mailbox => Ok((Action::Mailbox, met)),
            }
        });
        match outcome {
            Ok((action, met)) => {
                return Screened { action, because: Because::Rule { index, title: rule.title.clone(), met }, passed };
            }
            Err(unmet) => passed.push(Passed { index: Some(index), title: rule.title.clone(), unmet }),
        }
    }
    if do_not_disturb {
        return Screened { action: Action::Mailbox, because: Because::DoNotDisturb, passed };
    }
    Screened { action: Action::Ring(ring), because: Because::NoRule, passed }
}

/// How long a message of this person may be, as far as the administrator allows it.
#[must_use]
pub fn limit(plan: &Plan, usual: Duration, most: Duration) -> Duration {
    let wanted = plan.longest_s.map_or(usual, |seconds| Duration::from_secs(u64::from(seconds).max(60)));
    wanted.min(most)
}

/// The greetings among those in use that are out of date by `until`, and since or from when on: for reminders.
#[must_use]
pub fn expiring(answering: &Answering, until: Timestamp) -> BTreeMap<GreetingId, Timestamp> {
    let plan = &answering.plan;
    let rules = plan.greetings.iter().filter(|rule| rule.on).filter_map(|rule| rule.greeting);
    let used = rules.chain(plan.standard).chain(plan.temporary.as_ref().map(|temporary| temporary.greeting));
    let ends = used.filter_map(|id| Some((id, answering.greetings.get(&id)?.expires_at?)));
    ends.filter(|(_, at)| *at <= until).collect()
}

impl Answering {
    fn playable(&self, greeting: GreetingId, at: Timestamp) -> Result<(), Unmet> {
        let Some(shelved) = self.greetings.get(&greeting).filter(|shelved| shelved.has_sound) else { return Err(Unmet::Silent) };
        match shelved.expires_at.filter(|expires_at| *expires_at <= at) {
            Some(expired_at) => Err(Unmet::Expired(expired_at)),
            None => Ok(()),
        }
    }

    fn standard(&self, at: Timestamp, passed: &mut Vec<Passed>) -> Option<GreetingId> {
        let standard = self.plan.standard?;
        match self.playable(standard, at) {
            Ok(()) => Some(standard),
            Err(unmet) => {
                passed.push(Passed { index: None, title: self.title(standard), unmet });
                None
            }
        }
    }

    fn title(&self, greeting: GreetingId) -> String {
        self.greetings.get(&greeting).map(|shelved| shelved.title.clone()).unwrap_or_default()
    }
}

fn moment<'a>(plan: &'a Plan, occasion: &Occasion<'a>, reason: Option<Reason>) -> Moment<'a> {
    Moment { plan, local: zone(plan).to_datetime(occasion.at), number: occasion.number, internal: occasion.internal, reason }
}

fn zone(plan: &Plan) -> TimeZone {
    zone_of(&plan.zone).unwrap_or(TimeZone::UTC)
}

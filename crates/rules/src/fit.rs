//! Whether a rule fits.

use aftertone_model::{CallerGroup, Callers, Dates, Hours, Plan, Reason, Span, Weekday, When};
use jiff::civil::{Date, DateTime, Time};

use crate::{
    Unmet,
    holidays::{self, Holiday},
    numbers,
};

/// A condition of a rule that holds, with what made it hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// The caller belongs to the group of this title.
    Group(String),
    /// The caller has the number that the rule names.
    Number(String),
    /// The caller is of the account.
    Internal,
    /// The caller is not of the account.
    External,
    /// The caller shows no number.
    Withheld,
    /// The mailbox answers for this reason.
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
    /// The day lies between these.
    Dates(Dates),
}

/// A call at a moment, as rules see it.
pub(crate) struct Moment<'a> {
    pub(crate) plan: &'a Plan,
    /// What the clock on the person's wall shows.
    pub(crate) local: DateTime,
    pub(crate) number: &'a str,
    pub(crate) internal: bool,
    /// `None` before it has rung.
    pub(crate) reason: Option<Reason>,
}

impl Moment<'_> {
    /// What holds of a rule, or the first that doesn't.
    pub(crate) fn fit(&self, when: &When) -> Result<Vec<Met>, Unmet> {
        let mut met = Vec::new();
        if !when.callers.is_empty() {
            met.push(when.callers.iter().find_map(|callers| self.caller(callers)).ok_or(Unmet::Caller)?);
        }
        if let Some(reason) = self.reason.filter(|_| !when.reasons.is_empty()) {
            met.push(when.reasons.contains(&reason).then_some(Met::Reason(reason)).ok_or(Unmet::Reason(reason))?);
        }
        if let Some(dates) = when.dates {
            met.push(self.dates(dates)?);
        }
        if let Some(wanted) = when.holiday {
            met.push(match (self.holiday(), wanted) {
                (Some(holiday), true) => Met::Holiday(holiday),
                (None, false) => Met::NoHoliday,
                (Some(holiday), false) => return Err(Unmet::Holiday(holiday)),
                (None, true) => return Err(Unmet::NoHoliday),
            });
        }
        if let Some(hours) = &when.hours {
            met.push(self.hours(hours)?);
        }
        Ok(met)
    }

    fn caller(&self, callers: &Callers) -> Option<Met> {
        let is_withheld = self.number.is_empty();
        match callers {
            Callers::Group { id } => {
                let group = self.plan.groups.iter().find(|group| group.id == *id)?;
                self.is_in(group).then(|| Met::Group(group.title.clone()))
            }
            Callers::Number { number } => numbers::matches(number, self.number).then(|| Met::Number(self.number.to_owned())),
            Callers::Internal => self.internal.then_some(Met::Internal),
            Callers::External => (!self.internal).then_some(Met::External),
            Callers::Withheld => is_withheld.then_some(Met::Withheld),
        }
    }

    fn is_in(&self, group: &CallerGroup) -> bool {
        group.members.iter().any(|member| numbers::matches(member, self.number))
    }

    fn dates(&self, dates: Dates) -> Result<Met, Unmet> {
        let today = self.local.date();
        if today < dates.from {
            Err(Unmet::Before(dates.from))
        } else if today > dates.to {
            Err(Unmet::After(dates.to))
        } else {
            Ok(Met::Dates(dates))
        }
    }

    pub(crate) fn holiday(&self) -> Option<Holiday> {
        let today = self.local.date();
        let own = self.plan.own_days.iter().find(|day| is_own(day.date, day.yearly, today));
        let own = own.map(|day| Holiday { english: day.title.clone(), local: day.title.clone() });
        own.or_else(|| holidays::holiday(&self.plan.region, today))
    }

    fn hours(&self, hours: &Hours) -> Result<Met, Unmet> {
        match (self.span(&hours.spans), hours.outside) {
            (Some((day, span)), false) => Ok(Met::Inside { day, from: span.from, to: span.to }),
            (None, true) => Ok(Met::Outside),
            (Some((day, span)), true) => Err(Unmet::Inside { day, from: span.from, to: span.to }),
            (None, false) => Err(Unmet::Outside),
        }
    }

    /// The span that the moment lies in, and the day on which that began. By the clock on the wall: an hour that the summer
    /// skips is in no span, one that it repeats is twice.
    fn span<'a>(&self, spans: &'a [Span]) -> Option<(Weekday, &'a Span)> {
        let (today, now) = (Weekday::from(self.local.date().weekday()), self.local.time());
        let yesterday = Weekday::from(self.local.date().weekday().previous());
        spans.iter().find_map(|span| {
            let ends_next_day = span.to <= span.from;
            let began_today = now >= span.from && (ends_next_day || now < span.to);
            let began_yesterday = ends_next_day && now < span.to;
            if began_today && span.days.contains(&today) {
                Some((today, span))
            } else if began_yesterday && span.days.contains(&yesterday) {
                Some((yesterday, span))
            } else {
                None
            }
        })
    }
}

/// A 29 February of every year is the 28th in other years.
fn is_own(day: Date, yearly: bool, today: Date) -> bool {
    if !yearly {
        return day == today;
    }
    let last = today.days_in_month();
    day.month() == today.month() && day.day().min(last) == today.day()
}

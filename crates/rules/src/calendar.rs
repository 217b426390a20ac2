//! Days out of a calendar file (iCalendar, RFC 5545): what is all day, once or every year.

use aftertone_model::OwnDay;
use jiff::{ToSpan, civil::Date};

/// What a calendar brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportedDays {
    /// The days.
    pub days: Vec<OwnDay>,
    /// Entries that are no days: with hours, or repeated otherwise than every year.
    pub left_out: usize,
}

/// More are not read.
const MOST_BYTES: usize = 4 << 20;
const MOST_DAYS: usize = 1_000;
/// One entry is expanded into so many days at most.
const LONGEST: i32 = 62;

/// Reads the days of a calendar; `None` if it is none.
#[must_use]
pub fn import_days(text: &str) -> Option<ImportedDays> {
    if text.len() > MOST_BYTES
        || !text.trim_start_matches('\u{feff}').trim_start().to_ascii_uppercase().starts_with("BEGIN:VCALENDAR")
    {
        return None;
    }
    let (mut found, mut event) = (ImportedDays::default(), None::<Entry>);
    for line in unfolded(text) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        match (name.as_str(), &mut event) {
            ("BEGIN", _) if value.trim().eq_ignore_ascii_case("VEVENT") => event = Some(Entry::default()),
            ("END", Some(entry)) if value.trim().eq_ignore_ascii_case("VEVENT") => {
                entry.close(&mut found);
                event = None;
            }
            ("DTSTART", Some(entry)) => entry.start = day(value),
            ("DTEND", Some(entry)) => entry.end = day(value),
            ("SUMMARY", Some(entry)) => entry.title = unescaped(value),
            ("RRULE", Some(entry)) => entry.rule = Some(value.to_ascii_uppercase()),
            (_, _) => {}
        }
    }
    Some(found)
}

#[derive(Default)]
struct Entry {
    start: Option<Date>,
    end: Option<Date>,
    title: String,
    rule: Option<String>,
}

impl Entry {
    fn close(&self, found: &mut ImportedDays) {
        let yearly = self.rule.as_deref().map(is_every_year);
        let (Some(start), None | Some(true)) = (self.start, yearly) else {
            found.left_out += 1;
            return;
        };
        // RFC 5545 section 3.6.1: the end is exclusive; without one it is one day.
        let end = self.end.filter(|end| *end > start).or_else(|| start.tomorrow().ok()).unwrap_or(start);
        for offset in 0..LONGEST {
            let Ok(date) = start.checked_add(offset.days()) else { return };
            if date >= end {
                return;
            }
            if found.days.len() >= MOST_DAYS {
                found.left_out += 1;
                return;
            }
            let title: String = self.title.chars().take(200).collect();
            found.days.push(OwnDay { date, yearly: yearly.is_some(), title });
        }
    }
}

/// Each year on this date, without an end, an interval or another rule.
fn is_every_year(rule: &str) -> bool {
    let mut parts = rule.trim().split(';').filter(|part| !part.is_empty());
    let mut is_yearly = false;
    let plain = parts.all(|part| match part.split_once('=') {
        Some(("FREQ", frequency)) => {
            is_yearly = frequency == "YEARLY";
            is_yearly
        }
        Some(("INTERVAL", interval)) => interval == "1",
        Some(("BYMONTH" | "BYMONTHDAY" | "WKST", _)) => true,
        Some(_) | None => false,
    });
    plain && is_yearly
}

/// A date without a time.
fn day(value: &str) -> Option<Date> {
    let value = value.trim();
    if value.len() == 8 { Date::strptime("%Y%m%d", value).ok() } else { None }
}

/// RFC 5545 section 3.1: a line that begins with white space goes on with the one before.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            (_, _) => lines.push(line.to_owned()),
        }
    }
    lines
}

/// RFC 5545 section 3.3.11.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => text.push(' '),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n\
        BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227\r\nSUMMARY:Betriebsferien\\, alle\r\n  Standorte\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20200511\r\nSUMMARY:Company day\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261201T090000\r\nSUMMARY:Meeting\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261202\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:Day off\r\nEND:VEVENT\r\n\
        END:VCALENDAR\r\n";

    #[test]
    fn days_and_years_come_in_and_the_rest_is_counted() {
        let found = import_days(CALENDAR).unwrap();
        let days: Vec<_> = found.days.iter().map(|day| (day.date, day.yearly, day.title.as_str())).collect();
        let title = "Betriebsferien, alle Standorte";
        let expect = [
            (date(2026, 12, 24), false, title),
            (date(2026, 12, 25), false, title),
            (date(2026, 12, 26), false, title),
            (date(2020, 5, 11), true, "Company day"),
        ];
        assert_eq!(days, expect);
        assert_eq!(found.left_out, 2);
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        assert_eq!(import_days("<html>"), None);
        assert_eq!(import_days(""), None);
    }

    #[test]
    fn a_calendar_fills_no_memory() {
        let event = "BEGIN:VEVENT\nDTSTART:20260101\nDTEND:99991231\nSUMMARY:x\nEND:VEVENT\n";
        let text = format!("BEGIN:VCALENDAR\n{}", event.repeat(10_000));
        let found = import_days(&text).unwrap();
        assert_eq!(found.days.len(), MOST_DAYS);
        assert_eq!(import_days(&format!("BEGIN:VCALENDAR\n{}", "x".repeat(MOST_BYTES))), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_danger(text in "(?s)(BEGIN:VEVENT|END:VEVENT|DTSTART:|DTEND:|SUMMARY:|RRULE:|[0-9]{8}|\\PC|\n){0,60}") {
            let found = import_days(&format!("BEGIN:VCALENDAR\n{text}"));
            prop_assert!(found.is_some_and(|found| found.days.len() <= MOST_DAYS));
        }
    }
}

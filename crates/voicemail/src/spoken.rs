//! How numbers, dates and times are spoken, in each language.

use std::time::Duration;

use aftertone_model::Language;
use jiff::civil::{Date, DateTime, Time};

use crate::prompt::{Phrase, Prompt};

/// What is said, in order.
pub type Words = Vec<Prompt>;

/// The gender of what is counted; English has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    /// Counting: „eins“.
    Neutral,
    /// „eine“ Nachricht, Sekunde, Minute.
    Feminine,
}

/// A number, up to 999,999; what is larger is said to be that.
#[must_use]
pub fn number(number: u32, gender: Gender, language: Language) -> Words {
    let number = number.min(999_999);
    let (thousands, hundreds, rest) = (number / 1000, number / 100 % 10, number % 100);
    let mut words = Words::new();
    if thousands > 0 {
        words.extend(leading(thousands, language));
        words.push(Phrase::Thousand.into());
    }
    if hundreds > 0 {
        words.extend(leading(hundreds, language));
        words.push(Phrase::Hundred.into());
    }
    match (rest, gender, language) {
        (0, _, _) if number > 0 => {}
        (1, Gender::Feminine, Language::De) => words.push(Phrase::OneFeminine.into()),
        (_, _, _) => words.push(below_hundred(rest)),
    }
    words
}

/// How many hundreds or thousands: a single one is not said in German.
fn leading(count: u32, language: Language) -> Words {
    match (count, language) {
        (1, Language::De) => Words::new(),
        (_, _) => number(count, Gender::Neutral, language),
    }
}

fn below_hundred(number: u32) -> Prompt {
    Prompt::Number(u8::try_from(number.min(99)).unwrap_or(99))
}

/// Two names of a thing: for one of it, and for any other number.
pub type Forms = (Phrase, Phrase);

/// A number of things of the feminine gender, as all are that the menu counts.
#[must_use]
pub fn count(of: u32, forms: Forms, language: Language) -> Words {
    let mut words = number(of, Gender::Feminine, language);
    words.push(if of == 1 { forms.0 } else { forms.1 }.into());
    words
}

/// A telephone number, digit by digit; `None` if it is none, as an address (`ada1@example.com`) isn't.
#[must_use]
pub fn digits(number: &str) -> Option<Words> {
    let word = |c: char| match c {
        '+' => Some(Phrase::Plus.into()),
        '*' => Some(Phrase::Star.into()),
        '#' => Some(Phrase::Hash.into()),
        _ => c.to_digit(10).map(below_hundred),
    };
    let is_number = number.chars().all(|c| c.is_ascii_digit() || "+*# -()./".contains(c));
    (is_number && number.chars().any(|c| c.is_ascii_digit())).then(|| number.chars().filter_map(word).collect())
}

/// When something was, as somebody says it today: both by the clock of the listener's time zone.
#[must_use]
pub fn moment(at: DateTime, today: Date, language: Language) -> Words {
    let mut words = day(at.date(), today, language);
    words.push(Phrase::At.into());
    words.extend(time(at.time(), language));
    words
}

/// A day: today, yesterday, a weekday of the last six days, or a date, with its year if that is another one.
#[must_use]
pub fn day(day: Date, today: Date, language: Language) -> Words {
    let ago = today.since(day).map_or(i32::MAX, |span| span.get_days());
    match ago {
        0 => return vec![Phrase::Today.into()],
        1 => return vec![Phrase::Yesterday.into()],
        2..=6 => return vec![Prompt::Weekday(small(day.weekday().to_monday_one_offset()))],
        _ => {}
    }
    let (month, number) = (Prompt::Month(small(day.month())), Prompt::Day(small(day.day())));
    let mut words = match language {
        Language::En => vec![Phrase::On.into(), month, number],
        Language::De => vec![number, month],
    };
    if day.year() != today.year() {
        words.extend(year(day.year(), language));
    }
    words
}

fn small(number: i8) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

/// A year: "twenty twenty-six", „zweitausendsechsundzwanzig“.
fn year(year: i16, language: Language) -> Words {
    let whole = u32::try_from(year).unwrap_or(0);
    let is_in_pairs = language == Language::En && whole % 100 >= 10;
    if is_in_pairs {
        return vec![below_hundred(whole / 100), below_hundred(whole % 100)];
    }
    number(whole, Gender::Neutral, language)
}

/// The time of day: twelve hours in English, twenty-four in German.
#[must_use]
pub fn time(time: Time, language: Language) -> Words {
    let (hour, minute) = (small(time.hour()), small(time.minute()));
    match language {
        Language::De => {
            let hours = if hour == 1 { Phrase::OneHour.into() } else { Prompt::Number(hour) };
            let minutes = (minute > 0).then_some(Prompt::Number(minute));
            [hours, Phrase::OClock.into()].into_iter().chain(minutes).collect()
        }
        Language::En => {
            let noon = if hour < 12 { Phrase::Am } else { Phrase::Pm };
            let oh = (1..10).contains(&minute).then_some(Phrase::Oh.into());
            let minutes = (minute > 0).then_some(Prompt::Number(minute));
            let hours = Prompt::Number((hour + 11) % 12 + 1);
            std::iter::once(hours).chain(oh).chain(minutes).chain([noon.into()]).collect()
        }
    }
}

/// How long something is, to the second; an hour and more in minutes alone.
#[must_use]
pub fn length(length: Duration, language: Language) -> Words {
    let whole = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
    let (minutes, seconds) = (whole / 60, whole % 60);
    let mut words = Words::new();
    if minutes > 0 {
        words.extend(count(minutes, (Phrase::Minute, Phrase::Minutes), language));
    }
    if minutes == 0 || (seconds > 0 && minutes < 60) {
        words.extend(count(seconds, (Phrase::Second, Phrase::Seconds), language));
    }
    words
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time as at};

    use super::*;

    fn said(words: &[Prompt]) -> String {
        words.iter().map(|word| word.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_are_counted_as_people_count() {
        let check = |value, de: &str, feminine: &str, en: &str| {
            assert_eq!(said(&number(value, Gender::Neutral, Language::De)), de);
            assert_eq!(said(&number(value, Gender::Feminine, Language::De)), feminine);
            assert_eq!(said(&number(value, Gender::Feminine, Language::En)), en);
        };
        check(0, "number-0", "number-0", "number-0");
        check(1, "number-1", "one-feminine", "number-1");
        check(2, "number-2", "number-2", "number-2");
        check(21, "number-21", "number-21", "number-21");
        check(100, "hundred", "hundred", "number-1 hundred");
        check(101, "hundred number-1", "hundred one-feminine", "number-1 hundred number-1");
        check(342, "number-3 hundred number-42", "number-3 hundred number-42", "number-3 hundred number-42");
        check(1000, "thousand", "thousand", "number-1 thousand");
        check(2026, "number-2 thousand number-26", "number-2 thousand number-26", "number-2 thousand number-26");
        let largest = "number-9 hundred number-99 thousand number-9 hundred number-99";
        check(999_999, largest, largest, largest);
        check(u32::MAX, largest, largest, largest);
    }

    #[test]
    fn one_message_is_one_and_two_are_several() {
        let forms = (Phrase::NewMessage, Phrase::NewMessages);
        let check = |of, language, expect: &str| assert_eq!(said(&count(of, forms, language)), expect);
        check(1, Language::De, "one-feminine new-message");
        check(2, Language::De, "number-2 new-messages");
        check(0, Language::De, "number-0 new-messages");
        check(1, Language::En, "number-1 new-message");
        check(12, Language::En, "number-12 new-messages");
    }

    #[test]
    fn telephone_numbers_are_read_digit_by_digit() {
        let check = |number: &str, expect: Option<&str>| assert_eq!(digits(number).map(|words| said(&words)).as_deref(), expect);
        check("1002", Some("number-1 number-0 number-0 number-2"));
        check("+49 (30) 7", Some("plus number-4 number-9 number-3 number-0 number-7"));
        check("*98#1", Some("star number-9 number-8 hash number-1"));
        check("", None);
        check("anna", None);
        check("ada1@elsewhere.example", None);
        check(
            "+49 30 12-34.5/6",
            Some("plus number-4 number-9 number-3 number-0 number-1 number-2 number-3 number-4 number-5 number-6"),
        );
        check("+", None);
    }

    #[test]
    fn days_are_named_as_one_speaks_of_them() {
        let today = date(2026, 11, 29);
        let check = |day, de: &str, en: &str| {
            assert_eq!(said(&super::day(day, today, Language::De)), de);
            assert_eq!(said(&super::day(day, today, Language::En)), en);
        };
        check(date(2026, 11, 29), "today", "today");
        check(date(2026, 11, 28), "yesterday", "yesterday");
        check(date(2026, 11, 27), "weekday-5", "weekday-5");
        check(date(2026, 11, 23), "weekday-1", "weekday-1");
        check(date(2026, 11, 22), "day-22 month-11", "on month-11 day-22");
        check(date(2026, 3, 1), "day-1 month-3", "on month-3 day-1");
        check(date(2025, 12, 31), "day-31 month-12 number-2 thousand number-25", "on month-12 day-31 number-20 number-25");
        check(date(2008, 5, 3), "day-3 month-5 number-2 thousand number-8", "on month-5 day-3 number-2 thousand number-8");
        // A clock that went wrong.
        check(date(2026, 12, 24), "day-24 month-12", "on month-12 day-24");
    }

    #[test]
    fn the_clock_has_24_hours_in_german_and_12_in_english() {
        let check = |at, de: &str, en: &str| {
            assert_eq!(said(&time(at, Language::De)), de);
            assert_eq!(said(&time(at, Language::En)), en);
        };
        check(at(0, 0, 0, 0), "number-0 o-clock", "number-12 am");
        check(at(0, 5, 0, 0), "number-0 o-clock number-5", "number-12 oh number-5 am");
        check(at(1, 1, 0, 0), "one-hour o-clock number-1", "number-1 oh number-1 am");
        check(at(11, 59, 59, 0), "number-11 o-clock number-59", "number-11 number-59 am");
        check(at(12, 0, 0, 0), "number-12 o-clock", "number-12 pm");
        check(at(13, 30, 0, 0), "number-13 o-clock number-30", "number-1 number-30 pm");
        check(at(21, 10, 0, 0), "number-21 o-clock number-10", "number-9 number-10 pm");
        check(at(23, 45, 0, 0), "number-23 o-clock number-45", "number-11 number-45 pm");
    }

    #[test]
    fn lengths_are_feminine_too() {
        let check = |seconds, de: &str| assert_eq!(said(&length(Duration::from_secs(seconds), Language::De)), de);
        check(0, "number-0 seconds");
        check(1, "one-feminine second");
        check(59, "number-59 seconds");
        check(60, "one-feminine minute");
        check(61, "one-feminine minute one-feminine second");
        check(125, "number-2 minutes number-5 seconds");
        check(4000, "number-66 minutes");
    }

    #[test]
    fn every_number_that_is_said_has_a_sound() {
        let all: std::collections::BTreeSet<_> = Prompt::all().collect();
        for value in (0..2000).chain([99_999, 123_456]) {
            for language in [Language::De, Language::En] {
                let words = number(value, Gender::Feminine, language);
                assert!(!words.is_empty() && words.iter().all(|word| all.contains(word)), "{value}");
            }
        }
        for minute in 0..24 * 60_i32 {
            let at = at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            assert!(time(at, Language::De).iter().chain(&time(at, Language::En)).all(|word| all.contains(word)), "{at}");
        }
    }
}

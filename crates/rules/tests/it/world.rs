//! A plan with a bit of everything, and short ways to say what it is about.

use std::collections::BTreeMap;

use aftertone_model::{
    Answer, AnsweringRule, CallerGroup, Callers, Dates, GreetingId, GreetingRule, Hours, Plan, Reason, Span, Timestamp, Weekday,
    When,
};
use aftertone_rules::{Answering, Chosen, Occasion, Shelved, greeting};
use jiff::civil::{Date, Time};

pub(crate) fn id(number: u128) -> GreetingId {
    GreetingId::from_random(number)
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn rule(title: &str, greeting: u128, when: When) -> GreetingRule {
    GreetingRule { title: title.into(), on: true, when, greeting: Some(id(greeting)) }
}

pub(crate) fn answer(title: &str, when: When, answer: Answer) -> AnsweringRule {
    AnsweringRule { title: title.into(), on: true, when, answer }
}

pub(crate) const WORKDAYS: [Weekday; 5] =
    [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];

pub(crate) fn span(days: &[Weekday], from: i8, to: i8) -> Span {
    Span { days: days.to_vec(), from: Time::constant(from, 0, 0, 0), to: Time::constant(to % 24, 0, 0, 0) }
}

pub(crate) fn hours(spans: &[Span], outside: bool) -> When {
    When { hours: Some(Hours { spans: spans.to_vec(), outside }), ..When::default() }
}

pub(crate) fn callers(callers: Callers) -> When {
    When { callers: vec![callers], ..When::default() }
}

pub(crate) fn group(id: &str) -> When {
    callers(Callers::Group { id: id.into() })
}

pub(crate) fn dates(from: Date, to: Date) -> When {
    When { dates: Some(Dates { from, to }), ..When::default() }
}

/// In Berlin, with these rules; greetings 1 to 9 have sound.
pub(crate) fn berlin(greetings: Vec<GreetingRule>) -> Answering {
    let groups = vec![
        CallerGroup { id: "vip".into(), title: "Customers".into(), members: vec!["+49 30 123456".into(), "+44*".into()] },
        CallerGroup { id: "ads".into(), title: "Advertising".into(), members: vec!["0900*".into()] },
    ];
    let plan = Plan { zone: "Europe/Berlin".into(), region: "DE-BE".into(), groups, greetings, ..Plan::default() };
    let shelved = |number: u128| (id(number), Shelved { title: format!("Greeting {number}"), has_sound: true, expires_at: None });
    Answering { plan, greetings: (1..=9).map(shelved).collect::<BTreeMap<_, _>>() }
}

pub(crate) fn from(number: &str, time: &str) -> Occasion<'static> {
    Occasion { at: at(time), number: number.to_owned().leak(), internal: number.len() == 4 }
}

/// What a stranger hears who wasn't answered.
pub(crate) fn unanswered(answering: &Answering, time: &str) -> Chosen {
    greeting(answering, &from("+4940555", time), Reason::NoAnswer)
}

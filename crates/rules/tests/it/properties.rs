//! For any plan and any call: some greeting applies, and the explanation is right.

use std::time::Duration;

use aftertone_model::{
    Answer, AnsweringRule, Callers, Dates, GreetingRule, Hours, OwnDay, Reason, RingTime, Span, Temporary, Timestamp, Weekday,
    When,
};
use aftertone_rules::{Action, Answering, Because, Occasion, Passed, Unmet, greeting, screening};
use jiff::{
    ToSpan,
    civil::{Date, Time, date},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::world::{berlin, id};

const FIRST: i64 = 1_767_225_600; // 2026
const YEAR: i64 = 365 * 24 * 3600;

fn day() -> impl Strategy<Value = Date> {
    (0..365_i32).prop_map(|offset| date(2026, 1, 1).checked_add(offset.days()).unwrap())
}

fn weekday() -> impl Strategy<Value = Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    select(vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday])
}

fn time() -> impl Strategy<Value = Time> {
    (0..24_i8, select(vec![0_i8, 15, 30])).prop_map(|(hour, minute)| Time::constant(hour, minute, 0, 0))
}

fn number() -> impl Strategy<Value = String> {
    select(vec!["", "1001", "1002", "+4930123456", "+442071234", "+49900123"]).prop_map(ToOwned::to_owned)
}

fn reason() -> impl Strategy<Value = Reason> {
    select(vec![Reason::NoAnswer, Reason::Busy, Reason::Declined, Reason::Offline, Reason::Dnd, Reason::Direct])
}

fn caller() -> impl Strategy<Value = Callers> {
    let group = select(vec!["vip", "ads", "gone"]).prop_map(|id| Callers::Group { id: id.into() });
    let one = number().prop_map(|number| Callers::Number { number });
    prop_oneof![group, one, select(vec![Callers::Internal, Callers::External, Callers::Withheld])]
}

fn span() -> impl Strategy<Value = Span> {
    (vec(weekday(), 1..5), time(), time()).prop_map(|(days, from, to)| Span { days, from, to })
}

fn when() -> impl Strategy<Value = When> {
    let hours = (vec(span(), 1..3), any::<bool>()).prop_map(|(spans, outside)| Hours { spans, outside });
    let dates = (day(), day()).prop_map(|(one, other)| Dates { from: one.min(other), to: one.max(other) });
    (
        vec(caller(), 0..3),
        vec(reason(), 0..3),
        option::weighted(0.4, hours),
        option::weighted(0.2, any::<bool>()),
        option::weighted(0.3, dates),
    )
        .prop_map(|(callers, reasons, hours, holiday, dates)| When { callers, reasons, hours, holiday, dates })
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..YEAR).prop_map(|offset| Timestamp::from_second(FIRST + offset).unwrap())
}

fn greeting_rule() -> impl Strategy<Value = GreetingRule> {
    (when(), option::weighted(0.8, 1..12_u128), any::<bool>(), 0..100_u32).prop_map(|(when, greeting, on, n)| GreetingRule {
        title: format!("rule {n}"),
        on,
        when,
        greeting: greeting.map(id),
    })
}

fn answering_rule() -> impl Strategy<Value = AnsweringRule> {
    let time = (1..60_u16).prop_map(RingTime::Rings);
    let answer = prop_oneof![
        time.clone().prop_map(|time| Answer::Ring { time }),
        time.prop_map(|time| Answer::Through { time }),
        Just(Answer::Mailbox)
    ];
    (when(), answer, any::<bool>()).prop_map(|(when, answer, on)| AnsweringRule { title: "rule".into(), on, when, answer })
}

prop_compose! {
    fn answering()(
        rules in vec(greeting_rule(), 0..6),
        answers in vec(answering_rule(), 0..5),
        temporary in option::weighted(0.2, (1..12_u128, option::of(moment()))),
        standard in option::of(1..12_u128),
        ends in vec((1..9_u128, option::of(moment()), any::<bool>()), 0..6),
        zone in select(vec!["", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "no/zone"]),
        own in vec((day(), any::<bool>()), 0..4),
    ) -> Answering {
        let mut answering = berlin(rules);
        answering.plan.answering = answers;
        answering.plan.temporary = temporary.map(|(number, until)| Temporary { greeting: id(number), until });
        answering.plan.standard = standard.map(id);
        answering.plan.zone = zone.into();
        answering.plan.own_days = own.into_iter().map(|(date, yearly)| OwnDay { date, yearly, title: "own".into() }).collect();
        for (number, expires_at, has_sound) in ends {
            let shelved = answering.greetings.get_mut(&id(number)).unwrap();
            (shelved.expires_at, shelved.has_sound) = (expires_at, has_sound);
        }
        answering
    }
}

/// The same person with this greeting rule alone.
fn with_only(answering: &Answering, index: usize) -> Answering {
    let mut alone = answering.clone();
    alone.plan.greetings = vec![alone.plan.greetings[index].clone()];
    alone.plan.temporary = None;
    alone
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn some_greeting_applies_and_the_explanation_leads_to_it_again(
        answering in answering(), number in number(), internal in any::<bool>(), at in moment(), reason in reason(),
    ) {
        let occasion = Occasion { at, number: &number, internal };
        let chosen = greeting(&answering, &occasion, reason);
        // What is chosen can be played.
        if let Some(greeting) = chosen.greeting {
            let shelved = &answering.greetings[&greeting];
            prop_assert!(shelved.has_sound && shelved.expires_at.is_none_or(|end| end > at));
        }
        match &chosen.because {
            Because::Temporary { .. } => {
                prop_assert_eq!(chosen.greeting, answering.plan.temporary.as_ref().map(|temporary| temporary.greeting));
            }
            Because::Rule { index, title, met } => {
                let rule = &answering.plan.greetings[*index];
                prop_assert!(rule.on && rule.title == *title);
                // Alone it fits in the same way.
                let alone = greeting(&with_only(&answering, *index), &occasion, reason);
                let expect = Because::Rule { index: 0, title: title.clone(), met: met.clone() };
                prop_assert_eq!((alone.greeting, alone.because), (chosen.greeting, expect));
                // As many reasons are given as the rule has conditions.
                let when = &rule.when;
                let conditions = [!when.callers.is_empty(), !when.reasons.is_empty(), when.hours.is_some(), when.holiday.is_some(),
                    when.dates.is_some()];
                prop_assert_eq!(met.len(), conditions.into_iter().filter(|there| *there).count());
                // Without it something else is said.
                let mut without = answering.clone();
                without.plan.greetings[*index].on = false;
                prop_assert_ne!(greeting(&without, &occasion, reason).because, chosen.because.clone());
            }
            Because::NoRule => prop_assert!(answering.plan.standard == chosen.greeting || chosen.greeting.is_none()),
            Because::DoNotDisturb => prop_assert!(false, "no such reason for a greeting"),
        }
        check_passed(&answering, &occasion, reason, &chosen.because, &chosen.passed)?;
    }

    #[test]
    fn a_call_rings_or_goes_to_the_mailbox_and_the_explanation_leads_to_it_again(
        answering in answering(), number in number(), internal in any::<bool>(), at in moment(), dnd in any::<bool>(),
    ) {
        let own = Duration::from_secs(20);
        let occasion = Occasion { at, number: &number, internal };
        let screened = screening(&answering, &occasion, dnd, own);
        match &screened.because {
            Because::Rule { index, met, title } => {
                let mut alone = answering.clone();
                alone.plan.answering = vec![alone.plan.answering[*index].clone()];
                let again = screening(&alone, &occasion, dnd, own);
                let expect = Because::Rule { index: 0, title: title.clone(), met: met.clone() };
                prop_assert_eq!((again.action, again.because), (screened.action, expect));
                prop_assert_eq!(screened.passed.len(), *index);
            }
            Because::DoNotDisturb => prop_assert!(dnd && screened.action == Action::Mailbox),
            Because::NoRule => prop_assert!(!dnd && screened.action == Action::Ring(own)),
            Because::Temporary { .. } => prop_assert!(false, "no such reason for a call"),
        }
        // Nobody rings through do-not-disturb but whom a rule lets through.
        prop_assert!(!dnd || !matches!(screened.action, Action::Ring(_)));
    }
}

/// Each rule before the chosen one is named once, in order, and alone it doesn't fit for the same reason.
fn check_passed(
    answering: &Answering,
    occasion: &Occasion<'_>,
    reason: Reason,
    because: &Because,
    passed: &[Passed],
) -> Result<(), TestCaseError> {
    let before = match because {
        Because::Temporary { .. } => 0,
        Because::Rule { index, .. } => *index,
        Because::NoRule | Because::DoNotDisturb => answering.plan.greetings.len(),
    };
    let named: Vec<_> = passed.iter().filter_map(|passed| passed.index).collect();
    prop_assert_eq!(named, (0..before).collect::<Vec<_>>());
    for one in passed {
        let Some(index) = one.index else {
            prop_assert!(matches!(one.unmet, Unmet::Expired(_) | Unmet::Silent));
            continue;
        };
        let alone = greeting(&with_only(answering, index), occasion, reason);
        let expect = Passed { index: Some(0), ..one.clone() };
        prop_assert_eq!((&alone.because, alone.passed.first()), (&Because::NoRule, Some(&expect)));
    }
    Ok(())
}

//! Each branch of the choice.

use aftertone_model::{Callers, OwnDay, Reason, Temporary, Weekday, When};
use aftertone_rules::{Answering, Because, Holiday, Met, Passed, Unmet, expiring, greeting, moment_of};
use jiff::civil::{Time, date};

use crate::world::{WORKDAYS, at, berlin, callers, dates, from, group, hours, id, rule, span, unanswered};

/// The rule's condition at these times: whether it holds.
fn check(answering: &Answering, table: &[(&str, bool)]) {
    for (time, expect) in table {
        let chosen = unanswered(answering, time);
        assert_eq!(chosen.greeting.is_some(), *expect, "{time}: {chosen:?}");
    }
}

#[test]
fn without_rules_the_accounts_greeting_is_played_or_the_standard_one() {
    let mut answering = berlin(Vec::new());
    let chosen = unanswered(&answering, "2026-11-27T10:00:00Z");
    assert_eq!((chosen.greeting, chosen.because, chosen.passed), (None, Because::NoRule, Vec::new()));
    answering.plan.standard = Some(id(1));
    assert_eq!(unanswered(&answering, "2026-11-27T10:00:00Z").greeting, Some(id(1)));
}

#[test]
fn friday_evening_is_after_hours() {
    let office = [span(&WORKDAYS, 9, 17)];
    let answering = berlin(vec![rule("Office", 1, hours(&office, false)), rule("After hours", 2, hours(&office, true))]);
    let chosen = unanswered(&answering, "2026-11-27T17:05:00Z");
    assert_eq!(chosen.greeting, Some(id(2)));
    assert_eq!(chosen.because, Because::Rule { index: 1, title: "After hours".into(), met: vec![Met::Outside] });
    assert_eq!(chosen.passed, [Passed { index: Some(0), title: "Office".into(), unmet: Unmet::Outside }]);
    let chosen = unanswered(&answering, "2026-11-27T15:59:59Z");
    let (nine, five) = (Time::constant(9, 0, 0, 0), Time::constant(17, 0, 0, 0));
    let met = vec![Met::Inside { day: Weekday::Friday, from: nine, to: five }];
    assert_eq!(chosen.because, Because::Rule { index: 0, title: "Office".into(), met });
}

/// What the simulator is asked about is what the clock on the wall shows, also where it skips an hour or shows one twice.
#[test]
fn a_moment_is_that_of_the_wall() {
    let plan = berlin(Vec::new()).plan;
    let check = |local: &str, expect: &str| assert_eq!(moment_of(&plan, local.parse().unwrap()), at(expect), "{local}");
    check("2026-11-27T18:05", "2026-11-27T17:05:00Z");
    check("2026-03-29T02:30", "2026-03-29T01:30:00Z");
    check("2026-10-25T02:30", "2026-10-25T00:30:00Z");
}

/// Berlin changes its clocks on 29 March 2026 (2 to 3 o'clock) and on 25 October 2026 (3 to 2 o'clock).
#[test]
fn hours_are_those_of_the_wall_in_summer_and_in_winter() {
    let all = [WORKDAYS.as_slice(), &[Weekday::Saturday, Weekday::Sunday]].concat();
    let office = berlin(vec![rule("Office", 1, hours(&[span(&WORKDAYS, 9, 17)], false))]);
    check(
        &office,
        &[
            ("2026-01-16T07:59:59Z", false),
            ("2026-01-16T08:00:00Z", true),
            ("2026-07-17T06:59:59Z", false),
            ("2026-07-17T07:00:00Z", true),
            ("2026-07-17T14:59:59Z", true),
            ("2026-07-17T15:00:00Z", false),
            ("2026-07-18T10:00:00Z", false),
        ],
    );
    let night = berlin(vec![rule("Night", 1, hours(&[span(&all, 2, 3)], false))]);
    check(
        &night,
        &[
            // Three o'clock follows on two: there is no such hour.
            ("2026-03-29T00:59:59Z", false),
            ("2026-03-29T01:00:00Z", false),
            // Twice.
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T02:00:00Z", false),
        ],
    );
}

#[test]
fn a_span_may_pass_midnight_and_belongs_to_the_day_it_began() {
    let answering = berlin(vec![rule("Night", 1, hours(&[span(&[Weekday::Friday], 22, 6)], false))]);
    check(
        &answering,
        &[
            ("2026-11-26T22:00:00Z", false),
            ("2026-11-27T04:00:00Z", false),
            ("2026-11-27T20:59:59Z", false),
            ("2026-11-27T21:00:00Z", true),
            ("2026-11-28T04:59:59Z", true),
            ("2026-11-28T05:00:00Z", false),
            ("2026-11-28T21:30:00Z", false),
        ],
    );
    let whole = berlin(vec![rule("Sunday", 1, hours(&[span(&[Weekday::Sunday], 0, 24)], false))]);
    check(&whole, &[("2026-11-28T22:59:59Z", false), ("2026-11-28T23:00:00Z", true), ("2026-11-29T22:59:59Z", true)]);
    check(&whole, &[("2026-11-29T23:00:00Z", false)]);
}

#[test]
fn another_zone_has_another_day() {
    let mut answering = berlin(vec![rule("Sunday", 1, hours(&[span(&[Weekday::Sunday], 0, 24)], false))]);
    answering.plan.zone = "Pacific/Auckland".into();
    check(&answering, &[("2026-11-28T10:59:59Z", false), ("2026-11-28T11:00:00Z", true)]);
}

#[test]
fn callers_and_groups() {
    let answering = berlin(vec![
        rule("Customers", 1, group("vip")),
        rule("Boss", 2, callers(Callers::Number { number: "1001".into() })),
        rule("Colleagues", 3, callers(Callers::Internal)),
        rule("Withheld", 4, callers(Callers::Withheld)),
        rule("Outside", 5, callers(Callers::External)),
    ]);
    let heard = |number| greeting(&answering, &from(number, "2026-11-27T10:00:00Z"), Reason::Busy);
    let met = |number| {
        let Because::Rule { met, .. } = heard(number).because else { panic!("{number}") };
        met
    };
    for (number, expect) in [("+4930123456", 1), ("+442071234567", 1), ("1001", 2), ("1002", 3), ("", 4), ("+4940555", 5)] {
        assert_eq!(heard(number).greeting, Some(id(expect)), "{number}");
    }
    assert_eq!(met("+4930123456"), [Met::Group("Customers".into())]);
    assert_eq!(met("1001"), [Met::Number("1001".into())]);
    assert_eq!(heard("1002").passed.iter().map(|passed| &passed.unmet).collect::<Vec<_>>(), [&Unmet::Caller, &Unmet::Caller]);
}

#[test]
fn each_reason_may_have_its_greeting() {
    let reasons = [Reason::NoAnswer, Reason::Busy, Reason::Declined, Reason::Offline, Reason::Dnd, Reason::Direct];
    let rules = reasons
        .into_iter()
        .zip(1..)
        .map(|(reason, number)| rule("By reason", number, When { reasons: vec![reason], ..When::default() }));
    let answering = berlin(rules.collect());
    for (reason, number) in reasons.into_iter().zip(1..) {
        let chosen = greeting(&answering, &from("1002", "2026-11-27T10:00:00Z"), reason);
        assert_eq!(chosen.greeting, Some(id(number)), "{reason:?}");
        let Because::Rule { met, .. } = chosen.because else { panic!("{reason:?}") };
        assert_eq!(met, [Met::Reason(reason)]);
    }
}

#[test]
fn holidays_and_days_of_ones_own() {
    let mut answering = berlin(vec![rule("Holiday", 1, When { holiday: Some(true), ..When::default() })]);
    answering.plan.own_days = vec![
        OwnDay { date: date(2026, 11, 27), yearly: false, title: "Company outing".into() },
        OwnDay { date: date(2024, 2, 29), yearly: true, title: "Founders' day".into() },
    ];
    check(
        &answering,
        &[
            // Christmas begins at midnight in Berlin.
            ("2026-12-24T22:59:59Z", false),
            ("2026-12-24T23:00:00Z", true),
            ("2026-12-26T22:59:59Z", true),
            ("2026-12-26T23:00:00Z", false),
            // Women's Day is one in Berlin.
            ("2026-03-08T12:00:00Z", true),
            ("2026-11-27T12:00:00Z", true),
            ("2025-11-27T12:00:00Z", false),
            ("2026-02-28T12:00:00Z", true),
            ("2028-02-28T12:00:00Z", false),
            ("2028-02-29T12:00:00Z", true),
        ],
    );
    let Because::Rule { met, .. } = unanswered(&answering, "2026-10-03T12:00:00Z").because else { panic!("no rule") };
    let unity = Holiday { english: "German Unity Day".into(), local: "Tag der Deutschen Einheit".into() };
    assert_eq!(met, [Met::Holiday(unity.clone())]);
    answering.plan.greetings[0].when.holiday = Some(false);
    let chosen = unanswered(&answering, "2026-10-03T12:00:00Z");
    assert_eq!(chosen.passed, [Passed { index: Some(0), title: "Holiday".into(), unmet: Unmet::Holiday(unity) }]);
    assert_eq!(unanswered(&answering, "2026-10-05T12:00:00Z").greeting, Some(id(1)));
}

#[test]
fn a_vacation_has_an_end() {
    let answering = berlin(vec![rule("Vacation", 1, dates(date(2026, 12, 1), date(2026, 12, 6)))]);
    check(
        &answering,
        &[
            ("2026-11-30T22:59:59Z", false),
            ("2026-11-30T23:00:00Z", true),
            ("2026-12-06T22:59:59Z", true),
            ("2026-12-06T23:00:00Z", false),
        ],
    );
    let unmet = |time| unanswered(&answering, time).passed.remove(0).unmet;
    assert_eq!(unmet("2026-11-01T12:00:00Z"), Unmet::Before(date(2026, 12, 1)));
    assert_eq!(unmet("2026-12-08T12:00:00Z"), Unmet::After(date(2026, 12, 6)));
}

#[test]
fn a_temporary_greeting_is_above_all_until_it_ends() {
    let mut answering = berlin(vec![rule("Always", 1, When::default())]);
    let until = Some(at("2026-11-27T12:00:00Z"));
    answering.plan.temporary = Some(Temporary { greeting: id(2), until });
    let chosen = unanswered(&answering, "2026-11-27T11:59:59Z");
    assert_eq!((chosen.greeting, chosen.because), (Some(id(2)), Because::Temporary { until }));
    let chosen = unanswered(&answering, "2026-11-27T12:00:00Z");
    assert_eq!(chosen.greeting, Some(id(1)));
    assert_eq!(chosen.passed[0].unmet, Unmet::Expired(at("2026-11-27T12:00:00Z")));
    answering.plan.temporary = Some(Temporary { greeting: id(77), until: None });
    assert_eq!(unanswered(&answering, "2026-11-27T12:00:00Z").greeting, Some(id(1)));
}

#[test]
fn what_is_out_of_date_or_without_sound_or_off_is_passed_over() {
    let rules = (1..=4).map(|number| rule("One of four", number, When::default())).collect();
    let mut answering = berlin(rules);
    answering.greetings.get_mut(&id(1)).unwrap().expires_at = Some(at("2026-11-27T12:00:00Z"));
    answering.greetings.get_mut(&id(2)).unwrap().has_sound = false;
    answering.plan.greetings[2].on = false;
    assert_eq!(unanswered(&answering, "2026-11-27T11:59:59Z").greeting, Some(id(1)));
    let chosen = unanswered(&answering, "2026-11-27T12:00:00Z");
    assert_eq!(chosen.greeting, Some(id(4)));
    let unmet: Vec<_> = chosen.passed.into_iter().map(|passed| passed.unmet).collect();
    assert_eq!(unmet, [Unmet::Expired(at("2026-11-27T12:00:00Z")), Unmet::Silent, Unmet::Off]);
    let noon = at("2026-11-27T12:00:00Z");
    assert_eq!(expiring(&answering, noon).into_iter().collect::<Vec<_>>(), [(id(1), noon)]);
    assert!(expiring(&answering, at("2026-11-27T11:59:59Z")).is_empty());
    answering.greetings.get_mut(&id(3)).unwrap().expires_at = Some(noon);
    assert_eq!(expiring(&answering, noon).len(), 1, "nobody hears what is switched off");
    answering.plan.standard = Some(id(1));
    answering.plan.greetings.clear();
    assert_eq!(unanswered(&answering, "2026-11-27T12:00:00Z").greeting, None);
}

#[test]
fn everything_that_a_rule_says_must_hold() {
    let when = When { dates: dates(date(2026, 11, 27), date(2026, 11, 27)).dates, reasons: vec![Reason::Busy], ..group("vip") };
    let answering = berlin(vec![rule("All of it", 1, when)]);
    let heard = |number, time, reason| greeting(&answering, &from(number, time), reason).greeting.is_some();
    assert!(heard("+4930123456", "2026-11-27T12:00:00Z", Reason::Busy));
    assert!(!heard("+4930123457", "2026-11-27T12:00:00Z", Reason::Busy));
    assert!(!heard("+4930123456", "2026-11-28T12:00:00Z", Reason::Busy));
    assert!(!heard("+4930123456", "2026-11-27T12:00:00Z", Reason::NoAnswer));
}

//! What is refused.

use aftertone_model::{Answer, CallerGroup, GreetingKey, Hours, KeyTarget, Plan, RingTime, Span, When};
use aftertone_rules::{PlanProblem, check, regions, zones};
use jiff::civil::{Time, date};

use crate::world::{answer, berlin, dates, group, hours, rule};

fn plan() -> Plan {
    berlin(vec![rule("One", 1, group("vip"))]).plan
}

fn refused(change: impl FnOnce(&mut Plan), expect: PlanProblem) {
    let mut plan = plan();
    change(&mut plan);
    assert_eq!(check(&plan), Err(expect));
}

#[test]
fn a_sound_plan_is_taken() {
    assert_eq!(check(&plan()), Ok(()));
    assert_eq!(check(&Plan::default()), Ok(()));
}

#[test]
fn what_means_nothing_is_refused() {
    let rule_named = |name: &str| name.to_owned();
    refused(|plan| plan.zone = "Europe/Bonn".into(), PlanProblem::Zone("Europe/Bonn".into()));
    refused(|plan| plan.region = "DE-XX".into(), PlanProblem::Region("DE-XX".into()));
    refused(|plan| plan.groups.clear(), PlanProblem::NoGroup { rule: rule_named("One") });
    let again = CallerGroup { id: "vip".into(), title: "Again".into(), members: Vec::new() };
    refused(|plan| plan.groups.push(again), PlanProblem::SameGroup("vip".into()));
    refused(|plan| plan.greetings[0].title = "x".repeat(201), PlanProblem::TooLong("rule's name"));
    refused(|plan| plan.greetings = vec![plan.greetings[0].clone(); 101], PlanProblem::TooMany("rules"));
    let no_day = Span { days: Vec::new(), from: Time::midnight(), to: Time::midnight() };
    for spans in [Vec::new(), vec![no_day]] {
        let when = When { hours: Some(Hours { spans, outside: true }), ..When::default() };
        refused(|plan| plan.greetings[0].when = when, PlanProblem::NoDay { rule: rule_named("One") });
    }
    let backwards = dates(date(2026, 12, 2), date(2026, 12, 1));
    refused(|plan| plan.greetings[0].when = backwards, PlanProblem::Backwards { rule: rule_named("One") });
    for time in [RingTime::Seconds(0), RingTime::Seconds(301), RingTime::Rings(61), RingTime::Rings(u16::MAX)] {
        let endless = answer("Ring", When::default(), Answer::Through { time });
        refused(|plan| plan.answering = vec![endless], PlanProblem::RingTime { rule: rule_named("Ring") });
    }
    refused(|plan| plan.longest_s = Some(59), PlanProblem::Longest);
    assert_eq!(hours(&[], true).hours.unwrap().spans.len(), 0);
}

#[test]
fn zones_and_regions_can_be_offered() {
    let zones: Vec<_> = zones().collect();
    for zone in ["Europe/Berlin", "Europe/Vienna", "America/New_York", "UTC"] {
        assert!(zones.iter().any(|known| known == zone), "{zone}");
    }
    assert!(regions().all(|region| check(&Plan { region: region.into(), ..Plan::default() }).is_ok()));
}

#[test]
fn a_key_is_one_digit_with_one_meaning() {
    let key = |key, number: &str| GreetingKey { key, title: "Sales".into(), target: KeyTarget::Number { number: number.into() } };
    let mut sound = plan();
    sound.keys = ('0'..='9').map(|digit| key(digit, "030123")).collect();
    assert_eq!(check(&sound), Ok(()));
    for wrong in ['#', '*', 'a', '١'] {
        refused(|plan| plan.keys = vec![key(wrong, "030123")], PlanProblem::Key(wrong));
    }
    refused(|plan| plan.keys = vec![key('1', "030123"), key('1', "030124")], PlanProblem::Key('1'));
    refused(|plan| plan.keys = vec![key('1', " ")], PlanProblem::KeyTarget('1'));
    let target = KeyTarget::Person { extension: "1".repeat(201) };
    refused(|plan| plan.keys = vec![GreetingKey { target, ..key('1', "") }], PlanProblem::TooLong("number"));
}

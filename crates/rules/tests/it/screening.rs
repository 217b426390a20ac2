//! Who rings, and how long.

use std::time::Duration;

use aftertone_model::{Answer, Plan, RingTime};
use aftertone_rules::{Action, Answering, Because, Screened, Unmet, limit, screening};

use crate::world::{WORKDAYS, answer, berlin, from, group, hours, span};

const OWN: Duration = Duration::from_secs(20);

fn world() -> Answering {
    let mut answering = berlin(Vec::new());
    answering.plan.answering = vec![
        answer("Urgent", group("vip"), Answer::Through { time: RingTime::Rings(6) }),
        answer("No advertising", group("ads"), Answer::Mailbox),
        answer("Closed", hours(&[span(&WORKDAYS, 9, 17)], true), Answer::Ring { time: RingTime::Seconds(7) }),
    ];
    answering
}

fn screened(number: &str, time: &str, do_not_disturb: bool) -> Screened {
    screening(&world(), &from(number, time), do_not_disturb, OWN)
}

fn check(number: &str, time: &str, do_not_disturb: bool, expect: Action) {
    let screened = screened(number, time, do_not_disturb);
    assert_eq!(screened.action, expect, "{number} {time} {do_not_disturb}: {screened:?}");
}

const DAY: &str = "2026-11-27T10:00:00Z";
const NIGHT: &str = "2026-11-27T20:00:00Z";

#[test]
fn each_caller_has_a_ring_time() {
    let seconds = Duration::from_secs;
    check("+4940555", DAY, false, Action::Ring(OWN));
    check("+4940555", NIGHT, false, Action::Ring(seconds(7)));
    // Six rings of five seconds.
    check("+4930123456", DAY, false, Action::Through(seconds(30)));
    check("+49900123456", DAY, false, Action::Mailbox);
}

#[test]
fn do_not_disturb_lets_urgent_callers_through_alone() {
    check("+4930123456", NIGHT, true, Action::Through(Duration::from_secs(30)));
    check("+4940555", DAY, true, Action::Mailbox);
    check("+4940555", NIGHT, true, Action::Mailbox);
    check("+49900123456", DAY, true, Action::Mailbox);
    assert_eq!(screened("+4940555", DAY, true).because, Because::DoNotDisturb);
    let night = screened("+4940555", NIGHT, true);
    assert_eq!(night.passed.last().unwrap().unmet, Unmet::DoNotDisturb);
}

#[test]
fn why_is_told() {
    let Because::Rule { index, title, .. } = screened("+49900123456", DAY, false).because else { panic!("no rule") };
    assert_eq!((index, title.as_str()), (1, "No advertising"));
    assert_eq!(screened("+4940555", DAY, false).because, Because::NoRule);
}

#[test]
fn the_administrator_has_the_last_word_on_the_length_of_messages() {
    let of = |longest_s, most| limit(&Plan { longest_s, ..Plan::default() }, Duration::from_secs(180), Duration::from_secs(most));
    assert_eq!(of(None, 300), Duration::from_secs(180));
    assert_eq!(of(Some(60), 300), Duration::from_secs(60));
    assert_eq!(of(Some(600), 300), Duration::from_secs(300));
    assert_eq!(of(Some(600), 900), Duration::from_secs(600));
    assert_eq!(of(Some(3), 300), Duration::from_secs(60));
}

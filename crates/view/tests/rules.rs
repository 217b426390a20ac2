//! The plan on its way to the interface and back, and the simulator.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use aftertone_model::{
    Answer, AnsweringRule, Callers, Greeting, GreetingId, GreetingKind, GreetingRule, GreetingSound, Hours, Plan, RingTime, Span,
    Timestamp, Weekday, When,
};
use aftertone_view::{
    ActionView, BecauseView, Command, MetView, Reason, SimulatedCall, SimulationView, SpanView, UnmetView, answering, simulate,
};
use jiff::civil::{DateTime, Time};
use serde_json::json;

const RING: Duration = Duration::from_secs(20);

fn after_hours() -> GreetingRule {
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let span = Span { days: days.to_vec(), from: Time::constant(18, 0, 0, 0), to: Time::constant(8, 0, 0, 0) };
    let hours = Some(Hours { spans: vec![span], outside: false });
    GreetingRule {
        title: "After hours".into(),
        on: true,
        when: When { hours, ..When::default() },
        greeting: Some(GreetingId::from_random(1)),
    }
}

fn answering_rule(callers: Callers, answer: Answer) -> AnsweringRule {
    AnsweringRule { title: String::new(), on: true, when: When { callers: vec![callers], ..When::default() }, answer }
}

fn plan() -> Plan {
    let urgent = Answer::Through { time: RingTime::Seconds(40) };
    let boss = Callers::Number { number: "1002".into() };
    let answering = vec![answering_rule(boss, urgent), answering_rule(Callers::Withheld, Answer::Mailbox)];
    Plan { zone: "Europe/Berlin".into(), greetings: vec![after_hours()], answering, ..Plan::default() }
}

fn simulated(number: &str, reason: Reason, at: &str) -> SimulationView {
    let greeting = Greeting {
        id: GreetingId::from_random(1),
        kind: GreetingKind::Greeting,
        title: "Closed".into(),
        text: String::new(),
        language: aftertone_model::Language::En,
        expires_at: None,
        changed_at: Timestamp::UNIX_EPOCH,
        sound: Some(GreetingSound { content: "1".into(), duration_ms: 1_000, peaks: vec![1], media_type: "audio/ogg".into() }),
    };
    let at: DateTime = at.parse().unwrap();
    simulate(&answering(plan(), &[greeting]), RING, SimulatedCall { number: number.into(), internal: false, reason, at })
}

/// By the clock on the person's wall, whatever the zone of the machine.
#[test]
fn friday_evening_is_after_hours_and_says_why() {
    let view = simulated("+4940123", Reason::NoAnswer, "2026-11-27T18:05");
    assert_eq!(view.greeting, Some(GreetingId::from_random(1)));
    let (from, to) = (Time::constant(18, 0, 0, 0), Time::constant(8, 0, 0, 0));
    let met = vec![MetView::Inside(SpanView { day: Weekday::Friday, from, to })];
    assert_eq!(view.because, BecauseView::Rule { index: 0, met });
    let screened = view.screened.unwrap();
    assert_eq!((screened.action, screened.because), (ActionView::Ring { seconds: 20 }, BecauseView::NoRule));
    assert_eq!(screened.passed.iter().map(|passed| &passed.unmet).collect::<Vec<_>>(), [&UnmetView::Caller; 2]);

    let noon = simulated("+4940123", Reason::NoAnswer, "2026-11-27T12:00");
    assert_eq!((noon.greeting, noon.because), (None, BecauseView::NoRule));
    assert_eq!(noon.passed[0].unmet, UnmetView::Outside);
}

/// Which reason the mailbox answers for follows from what the rules do with the call, as it does in the exchange.
#[test]
fn do_not_disturb_holds_back_all_but_the_urgent() {
    let check = |number: &str, asked: Reason, action: Option<ActionView>, reason: Reason| {
        let view = simulated(number, asked, "2026-11-27T12:00");
        assert_eq!((view.screened.map(|screened| screened.action), view.reason), (action, reason), "{number} {asked:?}");
    };
    check("1002", Reason::Dnd, Some(ActionView::Through { seconds: 40 }), Reason::NoAnswer);
    check("1003", Reason::Dnd, Some(ActionView::Mailbox), Reason::Dnd);
    check("", Reason::Busy, Some(ActionView::Mailbox), Reason::Dnd);
    check("1003", Reason::Busy, Some(ActionView::Ring { seconds: 20 }), Reason::Busy);
    check("", Reason::Direct, None, Reason::Direct);
}

#[test]
fn a_plan_comes_back_from_the_interface_as_it_went_there() {
    let json = json!({"type": "change_plan", "version": 3, "plan": plan()});
    assert_eq!(json["plan"]["answering"][0]["answer"], json!({"kind": "through", "time": {"seconds": 40}}));
    assert_eq!(serde_json::from_value::<Command>(json).unwrap(), Command::ChangePlan { version: 3, plan: plan() });
    let json = json!({"type": "simulate", "number": "", "internal": false, "reason": "busy", "at": "2026-11-27T18:05:00"});
    let call =
        SimulatedCall { number: String::new(), internal: false, reason: Reason::Busy, at: "2026-11-27T18:05".parse().unwrap() };
    assert_eq!(serde_json::from_value::<Command>(json).unwrap(), Command::Simulate { call });
}

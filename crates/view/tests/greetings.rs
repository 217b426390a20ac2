//! What the interface shows of greetings.
#![expect(clippy::unwrap_used, reason = "tests")]

use aftertone_model::{Greeting, GreetingId, GreetingKind, GreetingSound, Plan, Temporary, Timestamp};
use aftertone_view::{
    CoachedText, FindingView, GreetingRow, GreetingState, GreetingsView, Language, PointView, SpokenName, coach_view,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const DAY: i64 = 24 * 3600;

fn at(days: i64) -> Timestamp {
    Timestamp::new(NOW.as_second() + days * DAY, 0).unwrap()
}

fn greeting(number: u128, expires_at: Option<Timestamp>) -> Greeting {
    let content = format!("{number}");
    Greeting {
        id: GreetingId::from_random(number),
        kind: GreetingKind::Greeting,
        title: format!("Greeting {number}"),
        text: String::new(),
        language: aftertone_model::Language::En,
        expires_at,
        changed_at: at(i64::try_from(number).unwrap() - 30),
        sound: Some(GreetingSound { content, duration_ms: 22_000, peaks: vec![1], media_type: "audio/ogg".into() }),
    }
}

#[test]
fn what_callers_hear_comes_first() {
    let stored = [greeting(1, None), greeting(2, Some(at(3))), greeting(3, Some(at(-1))), greeting(4, Some(at(60)))];
    let ids = stored.each_ref().map(|greeting| greeting.id);
    let until = Some(at(2));
    let plan = Plan { standard: Some(ids[0]), temporary: Some(Temporary { greeting: ids[1], until }), ..Plan::default() };
    let view = GreetingsView::new(&stored, Some(&plan), vec![], true, NOW);
    let order: Vec<_> = view.greetings.iter().map(|row| row.id).collect();
    assert_eq!(order, [ids[1], ids[0], ids[3], ids[2]]);
    let [temporary, standard, later, over] = &view.greetings[..] else { panic!("four") };
    assert!(temporary.temporary && !temporary.standard && temporary.until == until && temporary.expiry.as_ref().unwrap().soon);
    assert!(standard.standard && standard.expiry.is_none());
    assert!(!later.expiry.as_ref().unwrap().soon && over.expiry.as_ref().unwrap().over);

    // Its time is over: callers hear the standard one again.
    let plan = Plan { temporary: Some(Temporary { greeting: ids[1], until: Some(NOW) }), ..plan };
    let view = GreetingsView::new(&stored, Some(&plan), vec![], true, NOW);
    assert!(view.greetings[0].standard && !view.greetings.iter().any(|row| row.temporary));
}

#[test]
fn a_greeting_that_waits_is_shown_once() {
    let stored = [greeting(1, None)];
    let view = GreetingsView::new(&stored, None, vec![], false, NOW);
    assert!(!view.loaded);
    let waiting = GreetingRow { state: GreetingState::Waiting, ..view.greetings[0].clone() };
    let view = GreetingsView::new(&stored, Some(&Plan::default()), vec![waiting], false, NOW);
    assert_eq!(view.greetings.len(), 1);
    assert_eq!(view.greetings[0].state, GreetingState::Waiting);
}

#[test]
fn the_spoken_name_is_no_greeting_and_a_new_one_is_shown_at_once() {
    let name = Greeting { kind: GreetingKind::Name, text: "Ada Lovelace".into(), ..greeting(2, None) };
    let stored = [greeting(1, None), name];
    let view = GreetingsView::new(&stored, None, vec![], true, NOW).with_name(None);
    assert_eq!(view.greetings.iter().map(|row| row.id).collect::<Vec<_>>(), [stored[0].id]);
    let shown = view.name.clone().unwrap();
    assert_eq!((shown.id, shown.text.as_str(), shown.duration_ms), (stored[1].id, "Ada Lovelace", Some(22_000)));
    assert_eq!(shown.state, GreetingState::Stored);
    let waiting = SpokenName { id: GreetingId::from_random(3), state: GreetingState::Waiting, ..shown };
    assert_eq!(view.with_name(Some(waiting.clone())).name, Some(waiting));
}

#[test]
fn the_coach_is_told_whole() {
    let text = "Hello, you have reached Example Ltd. Please leave a message. Thank you for calling.".into();
    let asked = CoachedText { text, language: Language::En, company: "Example Ltd".into(), expires_at: None, duration_ms: None };
    let view = coach_view(&asked, "Ada Lovelace", NOW);
    assert_eq!(view.advice.len(), 7);
    assert_eq!(view.advice[1].point, PointView::Hours);
    assert!(!view.advice[1].good && view.advice[1].finding == FindingView::Missing);
    assert!(view.advice[6].good && view.estimated_ms > 3_000);
}

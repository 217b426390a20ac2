use proptest::prelude::*;

use super::*;

/// A media worker with a caller who has spoken for a minute, in virtual time.
struct Line {
    choices: Choices,
    now: Instant,
    said: String,
    events: Vec<ChoiceEvent>,
}

impl Line {
    fn new() -> Self {
        Self::with(false)
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    fn with(person: bool) -> Self {
        let now = Instant::now();
        let choices = Choices::new(Language::En, Duration::from_secs(300), person, ChoiceLimits::default(), now);
        let mut line = Self { choices, now, said: String::new(), events: Vec::new() };
        line.drain();
        line
    }

    fn drain(&mut self) {
        while let ChoiceOutput::Event(event) = self.choices.poll_output() {
            if let ChoiceEvent::Play(clips) = &event {
                let name = |clip: &Clip| match clip {
                    Clip::Prompt(prompt) => prompt.name(),
                    Clip::Recording => "RECORDING".into(),
                    Clip::Beep | Clip::Message(_) => "WRONG".into(),
                };
                self.said = clips.iter().map(name).collect::<Vec<_>>().join(" ");
            }
            self.events.push(event);
        }
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.choices.handle_digit(key, self.now);
            self.drain();
        }
        self
    }

    fn played(&mut self) -> &mut Self {
        self.choices.handle_played(self.now);
        self.drain();
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        let until = self.now + Duration::from_secs(seconds);
        while let ChoiceOutput::Timeout(Some(at)) = self.choices.poll_output() {
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.choices.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
        self
    }

    #[track_caller]
    fn hears(&mut self, expect: &str) -> &mut Self {
        assert_eq!(self.said, expect);
        self
    }

    fn is_sent(&self) -> bool {
        self.events.last() == Some(&ChoiceEvent::Send)
    }
}

#[test]
fn hash_sends_it_and_so_does_whoever_presses_nothing() {
    let mut line = Line::new();
    line.hears("deposit-menu").press("#").hears("message-sent");
    assert!(!line.is_sent());
    assert!(line.played().is_sent());
    let mut silent = Line::new();
    silent.played().wait(9).hears("message-sent");
    assert!(silent.played().is_sent());
    let mut deaf = Line::new();
    assert!(deaf.wait(200).is_sent(), "with media that never end");
}

#[test]
fn it_is_listened_to_and_recorded_again_as_often_as_one_likes() {
    let mut line = Line::new();
    line.press("1").hears("RECORDING deposit-menu").wait(355).hears("RECORDING deposit-menu").press("3");
    assert_eq!(line.events.last(), Some(&ChoiceEvent::RecordAgain));
    // Recording takes as long as it takes, and its keys are not ours.
    line.press("45").wait(400);
    line.choices.handle_recorded(Some(Duration::from_secs(5)), line.now);
    line.drain();
    line.hears("deposit-menu").press("3");
    line.choices.handle_recorded(None, line.now);
    line.drain();
    line.hears("nothing-recorded deposit-menu").press("9").hears("not-here deposit-menu");
    assert_eq!(line.choices.marks(), &Marks::default());
    assert!(line.press("2").played().is_sent());
}

#[test]
fn it_is_marked_and_the_marks_are_taken_back() {
    let mut line = Line::new();
    line.press("4").hears("marked-urgent deposit-menu").press("5").hears("marked-private deposit-menu");
    assert_eq!(line.choices.marks(), &Marks { urgent: true, private: true, call_back: None });
    line.press("4").hears("not-urgent deposit-menu").press("5").hears("not-private deposit-menu");
    assert_eq!(line.choices.marks(), &Marks::default());
}

#[test]
fn a_number_is_left_and_read_back() {
    let mut line = Line::new();
    line.press("6").hears("enter-number").press("0301#").hears("number-noted number-0 number-3 number-0 number-1 deposit-menu");
    assert_eq!(line.choices.marks().call_back.as_deref(), Some("0301"));
    line.press("6").press("99*").hears("enter-number").press("*").hears("deposit-menu").press("6#").hears("deposit-menu");
    assert_eq!(line.choices.marks().call_back.as_deref(), Some("0301"), "the last one that was entered");
    line.press("617").wait(6).hears("number-noted number-1 number-7 deposit-menu");
    assert_eq!(line.choices.marks().call_back.as_deref(), Some("17"));
    line.press("6").played().wait(9).hears("message-sent");
}

proptest! {
    #[test]
    fn whatever_is_pressed_it_is_sent_once(keys in "[0-9*#]{0,60}", recorded in prop::collection::vec(any::<bool>(), 0..4)) {
        let mut line = Line::new();
        let mut recorded = recorded.into_iter();
        for key in keys.chars() {
            line.press(&key.to_string());
            if line.events.last() == Some(&ChoiceEvent::RecordAgain) {
                let length = recorded.next().unwrap_or_default().then_some(Duration::from_secs(2));
                line.choices.handle_recorded(length, line.now);
                line.drain();
            }
        }
        line.wait(2000);
        prop_assert_eq!(line.events.iter().filter(|event| **event == ChoiceEvent::Send).count(), 1);
        prop_assert!(line.is_sent());
        prop_assert_eq!(line.choices.poll_output(), ChoiceOutput::Timeout(None));
    }
}

#[test]
fn the_zero_leads_to_a_person_where_there_is_one() {
    let mut line = Line::new();
    line.press("0").hears("not-here deposit-menu");
    assert_eq!(line.events.iter().filter(|event| matches!(event, ChoiceEvent::Person)).count(), 0);
    let mut line = Line::with(true);
    line.hears("deposit-menu zero-for-person").press("4").hears("marked-urgent deposit-menu zero-for-person").press("0");
    assert_eq!(line.events.last(), Some(&ChoiceEvent::Person));
    assert!(line.choices.marks().urgent);
    assert_eq!(line.choices.poll_output(), ChoiceOutput::Timeout(None), "nothing more happens");
}

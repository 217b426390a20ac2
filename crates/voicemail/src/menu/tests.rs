use aftertone_model::{Language, MenuLayout, MessageAction as Action, MessageId, MessageState};
use jiff::civil::date;
use proptest::prelude::*;

use super::*;

/// A media worker with a store of three messages, in virtual time.
struct Line {
    menu: Menu,
    start: Instant,
    now: Instant,
    /// What is said now.
    said: Vec<Clip>,
    asked: Vec<Ask>,
    events: Vec<MenuEvent>,
    profile: Profile,
    items: Vec<Item>,
    refuses: bool,
    fails: bool,
}

fn id(number: u128) -> MessageId {
    MessageId::from_random(number)
}

fn item(number: u128, state: MessageState) -> Item {
    Item {
        id: id(number),
        state,
        number: "1002".into(),
        received: date(2026, 11, 28).at(14, 5, 0, 0),
        length: Duration::from_secs(61),
        urgent: false,
        private: false,
        call_back: None,
        forwarded_by: None,
        reply_to: Some("1002".into()),
    }
}

fn phrases(clips: &[Clip]) -> String {
    let name = |clip: &Clip| match clip {
        Clip::Prompt(prompt) => prompt.name(),
        Clip::Beep => "beep".into(),
        Clip::Message(_) => "SOUND".into(),
        Clip::Recording => "RECORDING".into(),
    };
    clips.iter().map(name).collect::<Vec<_>>().join(" ")
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    fn new(access: Access, layout: MenuLayout) -> Self {
        let start = Instant::now();
        let profile = Profile { extension: "1001".into(), language: Language::De, layout, has_temporary: false };
        let items = vec![item(1, MessageState::New), item(2, MessageState::Heard), item(3, MessageState::New)];
        let menu = Menu::new(access, Language::En, MenuLimits::default());
        let said = Vec::new();
        Self {
            menu,
            start,
            now: start,
            said,
            asked: Vec::new(),
            events: Vec::new(),
            profile,
            items,
            refuses: false,
            fails: false,
        }
    }

    /// In the main menu of the own mailbox.
    fn own(layout: MenuLayout) -> Self {
        let mut line = Self::new(Access::Device, layout);
        line.start();
        line
    }

    fn start(&mut self) {
        self.menu.handle_start(self.now);
        self.drain();
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.menu.handle_digit(key, self.now);
            self.drain();
        }
        self
    }

    fn played(&mut self) -> &mut Self {
        self.menu.handle_played(self.now);
        self.drain();
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        let until = self.now + Duration::from_secs(seconds);
        while let MenuOutput::Timeout(Some(at)) = self.menu.poll_output() {
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.menu.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
        self
    }

    fn speak(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds * 50 {
            self.now += Duration::from_millis(20);
            self.menu.handle_sound(true, Duration::from_millis(20), self.now);
        }
        self
    }

    fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            _ if self.refuses => Answer::Refused,
            _ if self.fails => Answer::Failed,
            Ask::Open => Answer::Opened(self.profile.clone()),
            Ask::LogIn { mailbox, pin } if mailbox == "1001" && pin.expose() == "482159" => Answer::Opened(self.profile.clone()),
            Ask::LogIn { .. } => Answer::Refused,
            Ask::List => Answer::Messages { today: date(2026, 11, 29), items: self.items.clone() },
            Ask::Find(extension) if extension.starts_with("100") => Answer::Done,
            Ask::Find(_) => Answer::Refused,
            Ask::Act(message, action) => {
                let Some(item) = self.items.iter_mut().find(|item| item.id == *message) else { return Answer::Refused };
                item.state = match action {
                    Action::Save => MessageState::Saved,
                    Action::Delete => MessageState::Deleted,
                    Action::Restore | Action::New | Action::Expunge => MessageState::New,
                    Action::Heard => MessageState::Heard,
                };
                Answer::Acted(item.state)
            }
            Ask::Forward { .. }
            | Ask::BeginReply(_)
            | Ask::Reply(_)
            | Ask::Greet(_)
            | Ask::EndTemporary
            | Ask::Name
            | Ask::SetPin(_)
            | Ask::Dial(_) => Answer::Done,
        }
    }

    fn drain(&mut self) {
        while let MenuOutput::Event(event) = self.menu.poll_output() {
            match &event {
                MenuEvent::Play { clips, .. } => self.said.clone_from(clips),
                MenuEvent::Ask(ask) => {
                    let answer = self.answer(ask);
                    self.asked.push(ask.clone());
                    self.menu.handle_answer(answer, self.now);
                }
                MenuEvent::Pause(_)
                | MenuEvent::Skip(_)
                | MenuEvent::Speed(_)
                | MenuEvent::Record { .. }
                | MenuEvent::StopRecording
                | MenuEvent::Discard
                | MenuEvent::Heard(_)
                | MenuEvent::Over { .. } => {}
            }
            self.events.push(event);
        }
    }

    #[track_caller]
    fn hears(&mut self, expect: &str) -> &mut Self {
        assert_eq!(phrases(&self.said), expect);
        self
    }

    #[track_caller]
    fn asked_last(&mut self, expect: &Ask) -> &mut Self {
        assert_eq!(self.asked.last(), Some(expect));
        self
    }

    fn is_over(&self) -> bool {
        matches!(self.events.last(), Some(MenuEvent::Over { .. }))
    }
}

const HEADER: &str = "received yesterday at number-14 o-clock number-5 from number-1 number-0 number-0 number-2";

#[test]
fn from_the_own_device_no_pin_is_asked_for_and_the_counts_are_said() {
    let mut line = Line::own(MenuLayout::Aftertone);
    assert_eq!(line.asked, [Ask::Open, Ask::List]);
    line.hears("you-have number-2 new-messages and one-feminine heard-message main-menu");
    let languages: Vec<_> = line
        .events
        .iter()
        .filter_map(|event| if let MenuEvent::Play { language, .. } = event { Some(*language) } else { None })
        .collect();
    assert_eq!(languages, [Language::De], "the mailbox's own language");
    let mut empty = Line::new(Access::Device, MenuLayout::Aftertone);
    empty.items.clear();
    empty.start();
    empty.hears("no-messages main-menu").press("1").hears("none-there main-menu");
}

#[test]
fn authenticate_nominal() {
    let mut line = Line::new(Access::Anybody, MenuLayout::Asterisk);
    line.start();
    line.hears("enter-mailbox").press("1001#").hears("enter-pin").press("482159#");
    line.hears("you-have number-2 new-messages and one-feminine heard-message main-menu-asterisk");
    // Without a hash, after a while; and the PIN alone where the mailbox is known.
    let mut slow = Line::new(Access::Mailbox("1001".into()), MenuLayout::Asterisk);
    slow.start();
    slow.hears("enter-pin")
        .press("482159")
        .wait(6)
        .hears("you-have number-2 new-messages and one-feminine heard-message main-menu-asterisk");
}

#[test]
fn keys_that_come_before_the_first_word_are_not_lost() {
    let mut hasty = Line::new(Access::Anybody, MenuLayout::Aftertone);
    hasty.press("1001#4821").start();
    hasty.press("59#").hears("you-have number-2 new-messages and one-feminine heard-message main-menu");
    let mut own = Line::new(Access::Device, MenuLayout::Aftertone);
    own.press("1").start();
    own.hears(&format!("message number-1 {HEADER} SOUND"));
}

#[test]
fn authenticate_invalid_mailbox_and_invalid_password_sound_the_same() {
    for (mailbox, pin) in [("1001", "482158"), ("9999", "482159"), ("1", ""), ("12345678901234567890123456789012345", "1")] {
        let mut line = Line::new(Access::Anybody, MenuLayout::Aftertone);
        line.start();
        for left in [2, 1] {
            line.press(&format!("{mailbox}#{pin}#")).hears("wrong enter-mailbox");
            assert_eq!(line.menu.limits.tries - line.menu.tries, left);
        }
        line.press(&format!("{mailbox}#{pin}#")).hears("wrong goodbye").press("1001#482159#").played();
        assert!(line.is_over(), "three tries a call");
        assert_eq!(line.asked.len(), 3, "{:?}", line.asked);
    }
}

#[test]
fn messages_are_played_the_oldest_first_and_are_heard_once_they_sounded() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1").hears(&format!("message number-1 {HEADER} SOUND"));
    assert!(!line.events.contains(&MenuEvent::Heard(id(1))), "the envelope alone is not the message");
    line.menu.handle_heard(id(1));
    line.menu.handle_heard(id(1));
    line.drain();
    assert_eq!(line.events.iter().filter(|event| **event == MenuEvent::Heard(id(1))).count(), 1);
    line.played().hears("message-menu").press("6").hears(&format!("message number-2 {HEADER} SOUND"));
    line.press("6").hears("no-more main-menu");
    line.press("2").hears(&format!("message number-1 {HEADER} SOUND"));
    line.press("4").hears(&format!("none-before message number-1 {HEADER} SOUND"));
}

/// Restored, it is what the store says; and the store is told of what was heard in the trash.
#[test]
fn what_was_heard_while_it_was_deleted_is_not_new_any_more() {
    let mut line = Line::own(MenuLayout::Asterisk);
    line.press("17").menu.handle_heard(id(1));
    line.drain();
    assert_eq!(line.events.last(), Some(&MenuEvent::Heard(id(1))));
    line.press("7").hears("restored message-menu-asterisk");
    assert_eq!(line.menu.inbox.current().map(|item| item.state), Some(MessageState::New), "as the store said, and not guessed");
    line.menu.handle_heard(id(1));
    line.drain();
    assert_eq!(line.events.iter().filter(|event| **event == MenuEvent::Heard(id(1))).count(), 2);
}

#[test]
fn a_long_message_is_played_to_its_end() {
    let mut line = Line::new(Access::Device, MenuLayout::Aftertone);
    line.items[0].length = Duration::from_secs(3600);
    line.start();
    line.press("1").wait(3600).hears(&format!("message number-1 {HEADER} SOUND"));
    line.press("75").wait(100).press("5").wait(3600).hears(&format!("message number-1 {HEADER} SOUND"));
    line.wait(301).hears("message-menu");
}

#[test]
fn check_envelope() {
    let mut line = Line::new(Access::Device, MenuLayout::Aftertone);
    line.items[0].urgent = true;
    line.items[0].number = String::new();
    line.items[0].forwarded_by = Some("1003".into());
    line.start();
    let envelope =
        "urgent received yesterday at number-14 o-clock number-5 from-unknown forwarded-by number-1 number-0 number-0 number-3";
    line.press("1").hears(&format!("message number-1 {envelope} SOUND"));
    line.press("0").hears(&format!("{envelope} length one-feminine minute one-feminine second message-menu"));
    let mut marked = Line::new(Access::Device, MenuLayout::Aftertone);
    (marked.items[0].private, marked.items[0].call_back) = (true, Some("17".into()));
    marked.start();
    marked.press("1").hears(&format!("message number-1 private {HEADER} call-back-at number-1 number-7 SOUND"));
    marked.press("*3").hears("cannot-forward message-menu");
    marked.press("*2").played().asked_last(&Ask::Dial("17".into()));
    let mut address = Line::new(Access::Device, MenuLayout::Aftertone);
    address.items[0].number = "ada1@elsewhere.example".into();
    address.start();
    address.press("1").hears("message number-1 received yesterday at number-14 o-clock number-5 from-address SOUND");
}

#[test]
fn check_delete_restore_and_save() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("13").asked_last(&Ask::Act(id(1), Action::Delete)).hears(&format!("deleted message number-2 {HEADER} SOUND"));
    line.press("4").hears(&format!("message number-1 deleted {HEADER} SOUND"));
    line.press("3").asked_last(&Ask::Act(id(1), Action::Restore)).hears("restored message-menu");
    line.press("2").asked_last(&Ask::Act(id(1), Action::Save)).hears(&format!("saved message number-2 {HEADER} SOUND"));
    line.press("2").hears("saved no-more main-menu");
    // Behind the last one nothing leads back to it.
    let mut last = Line::own(MenuLayout::Aftertone);
    last.press("163").asked_last(&Ask::Act(id(3), Action::Delete)).hears("deleted no-more message-menu");
    last.press("3").asked_last(&Ask::Act(id(3), Action::Restore)).hears("restored message-menu");
    last.press("3#").hears("main-menu");
    let mut asterisk = Line::own(MenuLayout::Asterisk);
    asterisk.press("17").asked_last(&Ask::Act(id(1), Action::Delete)).hears("deleted message-menu-asterisk");
    asterisk.press("7").asked_last(&Ask::Act(id(1), Action::Restore)).hears("restored message-menu-asterisk");
    asterisk.press("9").asked_last(&Ask::Act(id(1), Action::Save)).hears("saved message-menu-asterisk");
    // Another device was faster.
    asterisk.refuses = true;
    asterisk.press("7").hears(&format!("gone message number-1 {HEADER} SOUND"));
    asterisk.press("7").hears("gone no-more main-menu-asterisk");
}

#[test]
fn one_moves_in_a_message_pauses_it_and_hears_it_faster() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1");
    line.events.clear();
    line.press("798885");
    use MenuEvent as E;
    assert_eq!(line.events, [E::Skip(-5000), E::Skip(5000), E::Speed(130), E::Speed(160), E::Speed(100), E::Pause(true)]);
    line.events.clear();
    line.press("5").press("5").wait(119);
    assert_eq!(line.events, [E::Pause(false), E::Pause(true)]);
    line.wait(2);
    assert_eq!(line.events.last(), Some(&E::Pause(false)), "nobody is kept for ever");
    line.events.clear();
    line.press("A");
    assert!(line.events.is_empty(), "a key without a meaning stops no message");
    line.played().press("7").hears("not-here message-menu").press("8").hears("faster message-menu");
    let mut asterisk = Line::own(MenuLayout::Asterisk);
    asterisk.press("1");
    asterisk.events.clear();
    asterisk.press("*#");
    assert_eq!(asterisk.events, [E::Skip(-5000), E::Skip(5000)]);
}

#[test]
fn check_forward() {
    let mut line = Line::own(MenuLayout::Asterisk);
    line.press("18").hears("forward-to").press("77#").hears("nobody-there forward-to");
    line.press("1003#").hears("introduction-menu").press("2");
    let forward = |introduced| Ask::Forward { message: id(1), to: vec!["1003".into()], introduced };
    line.asked_last(&forward(false)).hears("forwarded message-menu-asterisk");
    line.press("81003#1").hears("speak-now beep").played().speak(3).press("#").hears("review-menu");
    line.press("1").hears("RECORDING review-menu").press("2").asked_last(&forward(true)).hears("forwarded message-menu-asterisk");
    line.press("81003#*").hears("discarded message-menu-asterisk").press("8*").hears("message-menu-asterisk");
}

#[test]
fn check_forward_to_several() {
    let forward = |to: &[&str], introduced| {
        let to = to.iter().map(|to| (*to).to_owned()).collect();
        Ask::Forward { message: id(1), to, introduced }
    };
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1*31003#").hears("introduction-menu").press("3").hears("forward-to");
    line.press("1004#").hears("number-2 recipients introduction-menu");
    line.press("377#").hears("nobody-there forward-to").press("1005#").hears("number-3 recipients introduction-menu");
    line.press("31004#").hears("number-3 recipients introduction-menu");
    line.press("#").asked_last(&forward(&["1003", "1004", "1005"], false)).hears("forwarded message-menu");

    // Who thinks better of a further one sends it to the others; the next forward begins with nobody.
    line.press("*31003#3*").hears("introduction-menu").press("3#").hears("introduction-menu");
    line.press("31004#1").played().speak(3).press("#2");
    line.asked_last(&forward(&["1003", "1004"], true)).hears("forwarded message-menu");
    line.press("*31005#31003#*").hears("discarded message-menu");
    line.press("*31005#2").asked_last(&forward(&["1005"], false));

    line.press("*31003#");
    line.fails = true;
    line.press("31004#").hears("failed introduction-menu");
    line.fails = false;
    line.press("2").asked_last(&forward(&["1003"], false));

    line.press("*31000#");
    for n in 1..50 {
        line.press(&format!("3100{n}#"));
    }
    line.press("3").hears("not-here introduction-menu").press("#");
    assert!(matches!(line.asked.last(), Some(Ask::Forward { to, .. }) if to.len() == 50));
}

#[test]
fn check_reply() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1*1").hears("speak-now beep").played().speak(2).wait(9).hears("review-menu");
    line.press("3").hears("speak-now beep").played().speak(2).press("5").hears("review-menu");
    line.press("#").asked_last(&Ask::Reply("1002".into())).hears("sent message-menu");
    line.press("*1").played().wait(9).hears("nothing-recorded message-menu");
    line.press("*1").press("*").hears("discarded message-menu");
    assert_eq!(line.asked.iter().filter(|ask| **ask == Ask::BeginReply("1002".into())).count(), 4, "each one has a place");
    let discards = line.events.iter().filter(|event| **event == MenuEvent::Discard).count();
    assert_eq!(discards, 3, "the one that was recorded again, the silent one, and the one that was given up");
    let mut stranger = Line::new(Access::Device, MenuLayout::Aftertone);
    stranger.items[0].reply_to = None;
    stranger.start();
    stranger.press("1*1").hears("no-reply message-menu");
}

#[test]
fn a_reply_that_was_spoken_is_sent_whenever_the_listener_goes() {
    let begin = || {
        let mut line = Line::own(MenuLayout::Aftertone);
        line.press("1*1").played();
        line
    };
    let reply = || MenuEvent::Ask(Ask::Reply("1002".into()));
    let mut cut = begin();
    cut.speak(2).menu.handle_hang_up();
    cut.drain();
    assert!(cut.events.ends_with(&[MenuEvent::StopRecording, reply()]), "{:?}", cut.events);
    let mut in_review = begin();
    in_review.speak(2).press("#").menu.handle_hang_up();
    in_review.drain();
    assert_eq!(in_review.events.last(), Some(&reply()));
    let mut asleep = begin();
    asleep.speak(2).press("#").hears("review-menu").played().wait(9).played().wait(9).played().wait(9).hears("sent goodbye");
    assert_eq!(asleep.asked.last(), Some(&Ask::Reply("1002".into())));
    // Neither what is no reply yet nor what was thrown away, and nothing twice.
    let mut short = begin();
    short.menu.handle_hang_up();
    short.drain();
    assert!(short.events.ends_with(&[MenuEvent::StopRecording, MenuEvent::Discard]));
    let mut discarded = begin();
    discarded.speak(2).press("#*").menu.handle_hang_up();
    discarded.drain();
    assert!(!discarded.events.contains(&reply()));
    let mut sent = begin();
    sent.speak(2).press("##").hears("sent message-menu").menu.handle_hang_up();
    sent.drain();
    assert_eq!(sent.events.iter().filter(|event| **event == reply()).count(), 1);
}

#[test]
fn what_could_not_be_kept_can_be_kept_once_more() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1*1").played().speak(2).press("#");
    line.fails = true;
    line.press("2").hears("failed review-menu").press("1").hears("RECORDING review-menu");
    line.fails = false;
    line.press("2").asked_last(&Ask::Reply("1002".into())).hears("sent message-menu");
    line.press("*31003#1").played().speak(2).press("#");
    line.fails = true;
    line.press("2").hears("failed review-menu");
    line.fails = false;
    let forward = Ask::Forward { message: id(1), to: vec!["1003".into()], introduced: true };
    line.press("2").asked_last(&forward).hears("forwarded message-menu");
    line.press("#31").played().speak(2).press("#");
    line.fails = true;
    line.press("2").hears("failed review-menu").press("*").hears("discarded options-menu");
}

/// A slow store isn't pressed again for what it is doing.
#[test]
fn making_sound_of_sound_may_take_its_time() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1*1").played().speak(2).press("#");
    line.menu.handle_digit('2', line.now);
    while let MenuOutput::Event(_) = line.menu.poll_output() {}
    line.wait(119).hears("review-menu").wait(2).hears("failed review-menu");
}

#[test]
fn check_call_back() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1*2").hears("connecting").played().asked_last(&Ask::Dial("1002".into()));
    assert_eq!(line.events.last(), Some(&MenuEvent::Over { released: true }));
    let mut barred = Line::own(MenuLayout::Aftertone);
    barred.press("1*2");
    barred.refuses = true;
    barred.played().hears("cannot-call message-menu");
    let mut withheld = Line::new(Access::Device, MenuLayout::Aftertone);
    withheld.items[0].number = String::new();
    withheld.start();
    withheld.press("1*2").hears("cannot-call message-menu");
    assert_eq!(withheld.asked.len(), 3, "nothing was dialled");
}

#[test]
fn greetings_and_the_name_are_recorded() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("3").hears("options-menu").press("1").hears("speak-now beep").played().speak(4).press("#2");
    line.asked_last(&Ask::Greet(GreetingUse::Usual)).hears("greeting-kept options-menu");
    line.press("2").played().speak(4).press("##").asked_last(&Ask::Greet(GreetingUse::Busy));
    line.press("3").played().speak(4).press("##").asked_last(&Ask::Greet(GreetingUse::Temporary));
    line.press("3").asked_last(&Ask::EndTemporary).hears("temporary-off options-menu");
    line.press("4").played().speak(1).press("##").asked_last(&Ask::Name).hears("name-kept options-menu");
    line.press("4").played().speak(12).wait(0).hears("review-menu").press("*").hears("discarded options-menu");
    line.press("#").hears("main-menu");
}

#[test]
fn the_pin_is_changed_when_it_was_entered_twice_and_is_no_easy_one() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("4").hears("new-pin").press("123456#").hears("weak-pin new-pin").press("100110#").hears("weak-pin new-pin");
    line.press("482159#").hears("repeat-pin").press("482158#").hears("pin-differs new-pin");
    line.press("482159#482159#").asked_last(&Ask::SetPin(Pin::entered("482159"))).hears("pin-changed main-menu");
    line.press("4*").hears("main-menu");
    let mut asterisk = Line::own(MenuLayout::Asterisk);
    asterisk.press("05").hears("new-pin");
}

#[test]
fn who_presses_nothing_hears_it_again_and_is_let_go() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.played().wait(9).hears("main-menu").played().wait(9).hears("main-menu").played().wait(9).hears("goodbye");
    assert!(!line.is_over());
    line.played();
    assert_eq!(line.events.last(), Some(&MenuEvent::Over { released: false }));
    assert_eq!(line.menu.poll_output(), MenuOutput::Timeout(None));
    let mut silent = Line::new(Access::Anybody, MenuLayout::Aftertone);
    silent.start();
    silent.press("#").hears("enter-mailbox").played().wait(9).played().wait(9).played().wait(9).hears("goodbye");
}

#[test]
fn a_store_that_does_not_answer_ends_nothing_but_the_wish() {
    let mut line = Line::own(MenuLayout::Aftertone);
    line.press("1");
    line.menu.handle_digit('3', line.now);
    while let MenuOutput::Event(_) = line.menu.poll_output() {}
    line.menu.handle_digit('6', line.now);
    line.wait(21).hears(&format!("message number-2 {HEADER} SOUND"));
    let mut dead = Line::new(Access::Device, MenuLayout::Aftertone);
    dead.menu.handle_start(dead.now);
    while let MenuOutput::Event(_) = dead.menu.poll_output() {}
    dead.wait(21).hears("failed goodbye");
}

#[test]
fn a_call_has_an_end() {
    let mut line = Line::own(MenuLayout::Aftertone);
    while !line.is_over() && line.now < line.start + Duration::from_secs(4 * 3600 + 30) {
        line.wait(5).press("A");
    }
    assert!(line.is_over());
}

#[derive(Debug, Clone)]
enum Step {
    Key(char),
    Played,
    Heard(u128),
    Speak,
    Wait(u64),
    Refuse(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::sample::select("0123456789*#ABCD".chars().collect::<Vec<_>>()).prop_map(Step::Key),
        4 => Just(Step::Played),
        1 => (1_u128..5).prop_map(Step::Heard),
        1 => Just(Step::Speak),
        2 => (0_u64..30).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Refuse),
    ]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Device), Just(Access::Anybody), Just(Access::Mailbox("1001".into()))]
}

proptest! {
    #[test]
    fn whatever_is_pressed_the_call_ends(
        access in access(),
        asterisk: bool,
        opens: bool,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let layout = if asterisk { MenuLayout::Asterisk } else { MenuLayout::Aftertone };
        let mut line = Line::new(access.clone(), layout);
        line.start();
        if opens && access != Access::Device {
            line.press(if access == Access::Anybody { "1001#482159#" } else { "482159#" });
        }
        for step in steps {
            match step {
                Step::Key(key) => {
                    line.press(&key.to_string());
                }
                Step::Played => {
                    line.played();
                }
                Step::Heard(number) => line.menu.handle_heard(id(number)),
                Step::Speak => {
                    line.speak(1);
                }
                Step::Wait(seconds) => {
                    line.wait(seconds);
                }
                Step::Refuse(refuses) => line.refuses = refuses,
            }
            line.drain();
        }
        // Nothing is asked of a mailbox that isn't open.
        let opened = line.asked.iter().position(|ask| *ask == Ask::List);
        let before = line.asked.iter().take(opened.unwrap_or(line.asked.len()));
        prop_assert!(before.clone().all(|ask| matches!(ask, Ask::Open | Ask::LogIn { .. })), "{:?}", line.asked);
        // Silence from now on, and media that play to the end.
        for _ in 0..20 {
            line.played().wait(200);
        }
        prop_assert!(line.is_over(), "{:?}", line.menu);
        prop_assert_eq!(line.events.iter().filter(|event| matches!(event, MenuEvent::Over { .. })).count(), 1);
        prop_assert_eq!(line.menu.poll_output(), MenuOutput::Timeout(None));
    }

    #[test]
    fn with_media_that_never_end_it_ends_too(keys in "[0-9*#]{0,60}", asterisk: bool) {
        let layout = if asterisk { MenuLayout::Asterisk } else { MenuLayout::Aftertone };
        let mut line = Line::own(layout);
        line.press(&keys).wait(4 * 3600 + 30);
        prop_assert!(line.is_over(), "{:?}", line.menu);
    }
}

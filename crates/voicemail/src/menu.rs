//! The phone menu: a mailbox's owner listens by phone.

mod entry;
mod keys;
mod messages;
mod recording;
mod terms;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aftertone_model::{Language, MenuLayout, MessageAction, MessageId, MessageState};

use self::{entry::Entry, messages::Inbox, recording::Recording};
pub use self::{
    keys::{Command, Place, command},
    terms::{Access, Answer, Ask, Clip, GreetingUse, Item, MenuEvent, MenuLimits, MenuOutput, Profile},
};
use crate::{Pin, prompt::Phrase};

/// One listener in the menu.
///
/// ```text
///  Waiting ──start──► Entering(mailbox, PIN) ──► Asking ──► At(Main) ◄──► At(Options) ──► Entering(PIN)
///     │    └─ own device ──────────────────────────┘           │  ▲             │
///     │                                                        ▼  │             ▼
///     │                                     At(Playing) ──► At(Message) ──► Recording ──► At(Review)
///     │                                          └── Connecting, At(More), At(Introduction), Entering(extension)
///     └────────────── hang-up, nothing pressed, the longest call ──────► Leaving ──► Over
/// ```
///
/// Whatever is asked of the store is a state `Asking`; keys that come meanwhile wait.
#[derive(Debug)]
pub struct Menu {
    limits: MenuLimits,
    access: Access,
    state: State,
    profile: Profile,
    events: VecDeque<MenuEvent>,
    /// Keys that came while the store was asked.
    waiting: VecDeque<char>,
    /// The digits of a number that is being entered.
    entered: String,
    /// The mailbox whose PIN is asked for, or the extension that was entered last to forward a message to.
    number: String,
    /// Whom it is forwarded to, by extension.
    recipients: Vec<String>,
    new_pin: Option<Pin>,
    tries: u8,
    /// What is said again when nothing is pressed.
    again: Vec<Clip>,
    idle: u8,
    playing: bool,
    paused: bool,
    until: Option<Instant>,
    ends_at: Option<Instant>,
    inbox: Inbox,
    speed: u16,
    recording: Option<Recording>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Entering(Entry),
    Asking(Wish),
    At(Place),
    Recording(Purpose),
    /// It is said that the call goes out.
    Connecting,
    Leaving,
    Over,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Open,
    LogIn,
    /// `None`: to say how many there are.
    List(Option<Folder>),
    Act(MessageAction),
    Find,
    Forward {
        introduced: bool,
    },
    BeginReply,
    Keep(Purpose),
    EndTemporary,
    SetPin,
    Dial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folder {
    New,
    Heard,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reply,
    Introduction,
    Greeting(GreetingUse),
    Name,
}

/// More keys don't wait: nobody dials ahead that far.
const MOST_WAITING: usize = 32;

impl Menu {
    /// A menu that waits for its call's media to flow. `language` is that of what is said before a mailbox is open.
    #[must_use]
    pub fn new(access: Access, language: Language, limits: MenuLimits) -> Self {
        let number = match &access {
            Access::Mailbox(extension) => extension.clone(),
            Access::Device | Access::Anybody => String::new(),
        };
        let layout = MenuLayout::default();
        Self {
            limits,
            access,
            state: State::Waiting,
            profile: Profile { extension: String::new(), language, layout, has_temporary: false },
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            entered: String::new(),
            number,
            recipients: Vec::new(),
            new_pin: None,
            tries: 0,
            again: Vec::new(),
            idle: 0,
            playing: false,
            paused: false,
            until: None,
            ends_at: None,
            inbox: Inbox::default(),
            speed: messages::SPEEDS[0],
            recording: None,
        }
    }

    /// The call's media flow. Only the first time counts.
    pub fn handle_start(&mut self, now: Instant) {
        if self.state != State::Waiting {
            return;
        }
        self.ends_at = Some(now + self.limits.call);
        match self.access {
            Access::Device => self.ask(Ask::Open, Wish::Open, now),
            Access::Mailbox(_) => self.enter(Entry::Pin, Vec::new(), now),
            Access::Anybody => self.enter(Entry::Mailbox, Vec::new(), now),
        }
        self.press_waiting(now);
    }

    /// The listener pressed a key.
    pub fn handle_digit(&mut self, key: char, now: Instant) {
        self.idle = 0;
        match self.state {
            State::Asking(_) | State::Waiting | State::Connecting => {
                if self.waiting.len() < MOST_WAITING {
                    self.waiting.push_back(key);
                }
            }
            State::Entering(entry) => self.entry_key(entry, key, now),
            State::Recording(purpose) => self.recording_key(purpose, key, now),
            State::At(place) => match command(self.profile.layout, place, key) {
                Some(command) => self.obey(place, command, now),
                None => self.not_here(place, now),
            },
            State::Leaving | State::Over => {}
        }
    }

    /// What was last told to play is over.
    pub fn handle_played(&mut self, now: Instant) {
        if !std::mem::take(&mut self.playing) {
            return;
        }
        match self.state {
            State::Leaving => self.over(false),
            State::Connecting => self.dial(now),
            State::Recording(_) => self.begin_recording(now),
            State::At(Place::Playing) => {
                self.state = State::At(Place::Message);
                self.say(Vec::new(), self.menu_of(Place::Message), now);
            }
            State::At(_) | State::Entering(_) => self.until = Some(now + self.limits.key),
            State::Waiting | State::Asking(_) | State::Over => {}
        }
    }

    /// So much of a message's sound was sent that it counts as heard.
    pub fn handle_heard(&mut self, message: MessageId) {
        if self.state == State::Over {
            return;
        }
        let Some(item) = self.inbox.items.iter_mut().find(|item| item.id == message) else { return };
        match item.state {
            MessageState::New => item.state = MessageState::Heard,
            // What is listened to in the trash isn't new any more when it is restored.
            MessageState::Deleted => {}
            MessageState::Heard | MessageState::Saved => return,
        }
        self.events.push_back(MenuEvent::Heard(message));
    }

    /// What the listener was heard to do during the last `duration`, which ends now.
    pub fn handle_sound(&mut self, speech: bool, duration: Duration, now: Instant) {
        if let Some(recording) = &mut self.recording {
            recording.hear(speech, duration, now);
        }
    }

    /// The answer to the open question; without one it is dropped.
    pub fn handle_answer(&mut self, answer: Answer, now: Instant) {
        let State::Asking(wish) = self.state else { return };
        self.answered(wish, answer, now);
        self.press_waiting(now);
    }

    /// The keys that came too early.
    fn press_waiting(&mut self, now: Instant) {
        while !matches!(self.state, State::Waiting | State::Asking(_) | State::Connecting) {
            let Some(key) = self.waiting.pop_front() else { return };
            self.handle_digit(key, now);
        }
    }

    /// The listener hung up, or we have to stop: nothing is told any more. A reply that they haven't thrown away is sent.
    pub fn handle_hang_up(&mut self) {
        self.events.clear();
        if self.state != State::Over {
            self.send_unsent();
        }
        self.state = State::Over;
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_late = self.ends_at.is_some_and(|at| at <= now);
        if is_late && !matches!(self.state, State::Leaving | State::Over) {
            return self.leave(Vec::new(), now);
        }
        if let State::Recording(purpose) = self.state
            && self.recording.as_ref().is_some_and(|recording| recording.end(self.limits.silence) <= now)
        {
            return self.stop_recording(purpose, now);
        }
        if self.until.is_none_or(|until| until > now) {
            return;
        }
        self.until = None;
        match self.state {
            State::Asking(_) => self.handle_answer(Answer::Failed, now),
            State::Leaving => self.over(false),
            State::Waiting | State::Over => {}
            State::Entering(_) | State::At(_) | State::Recording(_) | State::Connecting if self.paused => self.go_on(now),
            State::Entering(_) | State::At(_) | State::Recording(_) | State::Connecting if self.playing => {
                self.handle_played(now)
            }
            State::Entering(entry) if !self.entered.is_empty() => self.entry_key(entry, '#', now),
            State::Entering(_) | State::At(_) | State::Recording(_) | State::Connecting => self.nothing_pressed(now),
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> MenuOutput {
        self.events.pop_front().map_or_else(|| MenuOutput::Timeout(self.timeout()), MenuOutput::Event)
    }

    fn timeout(&self) -> Option<Instant> {
        if self.state == State::Over {
            return None;
        }
        let recording = self.recording.as_ref().filter(|_| matches!(self.state, State::Recording(_)));
        let recording = recording.map(|recording| recording.end(self.limits.silence));
        let end = self.ends_at.filter(|_| self.state != State::Leaving);
        [self.until, end, recording].into_iter().flatten().min()
    }

    fn answered(&mut self, wish: Wish, answer: Answer, now: Instant) {
        match (wish, answer) {
            (Wish::Open | Wish::LogIn, Answer::Opened(profile)) => self.opened(profile, now),
            (Wish::Open, Answer::Refused) => self.leave(vec![Phrase::Failed.into()], now),
            (Wish::LogIn, Answer::Refused) => self.wrong(now),
            (Wish::Open | Wish::LogIn, Answer::Locked) => self.leave(vec![Phrase::Locked.into()], now),
            (Wish::List(folder), Answer::Messages { today, items }) => self.listed(folder, today, items, now),
            (Wish::Act(action), Answer::Acted(state)) => self.acted(action, state, now),
            (Wish::Act(_) | Wish::Forward { .. }, Answer::Refused) => self.message_is_gone(now),
            (Wish::Find, Answer::Done) => self.found(now),
            (Wish::Find, Answer::Refused) => self.enter(Entry::ForwardTo, vec![Phrase::NobodyThere.into()], now),
            (Wish::Forward { .. }, Answer::Done) => self.forwarded(now),
            (Wish::BeginReply, Answer::Done) => self.prepare_recording(Purpose::Reply, now),
            (Wish::Keep(purpose), Answer::Done) => self.kept(purpose, now),
            (Wish::EndTemporary, Answer::Done) => self.temporary_ended(now),
            (Wish::SetPin, Answer::Done) => self.go_to_main(vec![Phrase::PinChanged.into()], now),
            (Wish::Dial, Answer::Done) => self.over(true),
            (Wish::Dial, Answer::Refused) => self.go_to(Place::Message, vec![Phrase::CannotCall.into()], now),
            (_, _) => self.failed(wish, now),
        }
    }

    /// The store could not do it, or has answered something else.
    fn failed(&mut self, wish: Wish, now: Instant) {
        let said = vec![Phrase::Failed.into()];
        match wish {
            Wish::Open | Wish::LogIn | Wish::List(None) => self.leave(said, now),
            Wish::List(Some(_)) | Wish::SetPin => self.go_to_main(said, now),
            // What was said is still there, and may be kept in a moment.
            Wish::Keep(_) | Wish::Forward { introduced: true } => self.go_to(Place::Review, said, now),
            Wish::Find if !self.recipients.is_empty() => self.go_to(Place::Introduction, said, now),
            Wish::Act(_) | Wish::Find | Wish::Forward { introduced: false } | Wish::BeginReply | Wish::Dial => {
                self.go_to(Place::Message, said, now)
            }
            Wish::EndTemporary => self.go_to(Place::Options, said, now),
        }
    }

    fn obey(&mut self, place: Place, command: Command, now: Instant) {
        match command {
            Command::New => self.ask(Ask::List, Wish::List(Some(Folder::New)), now),
            Command::Heard => self.ask(Ask::List, Wish::List(Some(Folder::Heard)), now),
            Command::Options => self.go_to(Place::Options, Vec::new(), now),
            Command::ChangePin => self.enter(Entry::NewPin, Vec::new(), now),
            Command::Help => self.go_to(place, Vec::new(), now),
            Command::Leave => self.leave(Vec::new(), now),
            Command::Up => match place {
                Place::More => self.go_to(Place::Message, Vec::new(), now),
                Place::Main | Place::Playing | Place::Message | Place::Options | Place::Review | Place::Introduction => {
                    self.go_to_main(Vec::new(), now)
                }
            },
            Command::Greeting => self.record(Purpose::Greeting(GreetingUse::Usual), now),
            Command::BusyGreeting => self.record(Purpose::Greeting(GreetingUse::Busy), now),
            Command::TemporaryGreeting => self.temporary_greeting(now),
            Command::Name => self.record(Purpose::Name, now),
            Command::Listen => self.go_to(Place::Review, vec![Clip::Recording], now),
            Command::Keep => self.keep(now),
            Command::RecordAgain => self.record_again(now),
            Command::Discard => self.discard(now),
            Command::Again
            | Command::Save
            | Command::Delete
            | Command::Previous
            | Command::Next
            | Command::Back
            | Command::Ahead
            | Command::Pause
            | Command::Faster
            | Command::Envelope
            | Command::More
            | Command::Reply
            | Command::CallBack
            | Command::Forward
            | Command::Introduce
            | Command::Forthwith
            | Command::AddRecipient => self.with_message(place, command, now),
        }
    }

    fn not_here(&mut self, place: Place, now: Instant) {
        // A key that means nothing must not stop a message.
        if place != Place::Playing {
            self.go_to(place, vec![Phrase::NotHere.into()], now);
        }
    }

    fn nothing_pressed(&mut self, now: Instant) {
        self.idle += 1;
        if self.idle > self.limits.repeats {
            return self.leave(Vec::new(), now);
        }
        let again = std::mem::take(&mut self.again);
        self.say(Vec::new(), again, now);
    }

    fn ask(&mut self, ask: Ask, wish: Wish, now: Instant) {
        self.state = State::Asking(wish);
        let limit = match wish {
            Wish::Forward { .. } | Wish::Keep(_) => self.limits.work,
            Wish::Open
            | Wish::LogIn
            | Wish::List(_)
            | Wish::Act(_)
            | Wish::Find
            | Wish::BeginReply
            | Wish::EndTemporary
            | Wish::SetPin
            | Wish::Dial => self.limits.answer,
        };
        self.until = Some(now + limit);
        self.events.push_back(MenuEvent::Ask(ask));
    }

    /// Says `first`, and then what is said again when nothing is pressed.
    fn say(&mut self, first: Vec<Clip>, menu: Vec<Clip>, now: Instant) {
        let clips = first.into_iter().chain(menu.iter().cloned()).collect();
        self.again = menu;
        self.playing = true;
        self.paused = false;
        self.until = Some(now + self.longest_playing());
        self.events.push_back(MenuEvent::Play { language: self.profile.language, clips });
    }

    /// A message may be as long as it likes; everything else is short.
    fn longest_playing(&self) -> Duration {
        let message = self.inbox.current().filter(|_| self.state == State::At(Place::Playing));
        self.limits.playing + message.map_or(Duration::ZERO, |item| item.length)
    }

    fn go_to(&mut self, place: Place, first: Vec<Clip>, now: Instant) {
        self.state = State::At(place);
        self.say(first, self.menu_of(place), now);
    }

    fn go_to_main(&mut self, first: Vec<Clip>, now: Instant) {
        self.go_to(Place::Main, first, now);
    }

    /// The keys of a place.
    fn menu_of(&self, place: Place) -> Vec<Clip> {
        let (ours, asterisk) = match place {
            Place::Main => (Phrase::MainMenu, Phrase::MainMenuAsterisk),
            Place::Playing | Place::Message => (Phrase::MessageMenu, Phrase::MessageMenuAsterisk),
            Place::More => (Phrase::MoreMenu, Phrase::MoreMenuAsterisk),
            Place::Options => (Phrase::OptionsMenu, Phrase::OptionsMenuAsterisk),
            Place::Review => (Phrase::ReviewMenu, Phrase::ReviewMenu),
            Place::Introduction => (Phrase::IntroductionMenu, Phrase::IntroductionMenu),
        };
        vec![Clip::from(match self.profile.layout {
            MenuLayout::Aftertone => ours,
            MenuLayout::Asterisk => asterisk,
        })]
    }

    fn leave(&mut self, mut first: Vec<Clip>, now: Instant) {
        if self.send_unsent() {
            first.push(Phrase::Sent.into());
        }
        self.state = State::Leaving;
        first.push(Phrase::Goodbye.into());
        self.say(first, Vec::new(), now);
        // Sooner than other prompts: nothing hangs on it.
        self.until = Some(now + self.limits.answer);
    }

    fn over(&mut self, released: bool) {
        self.state = State::Over;
        self.until = None;
        self.events.push_back(MenuEvent::Over { released });
    }
}

#[cfg(test)]
mod tests;

//! Listening, and what is done with a message.

use std::time::Instant;

use aftertone_model::{MenuLayout, MessageAction, MessageState};
use jiff::civil::Date;

use super::{Ask, Clip, Command, Folder, Item, Menu, MenuEvent, Place, Purpose, State, Wish, entry::Entry};
use crate::{
    prompt::{Phrase, Prompt},
    spoken::{self, Gender, Words},
};

/// In percent, one after the other.
pub(super) const SPEEDS: [u16; 3] = [100, 130, 160];
/// How far one moves in a message, in milliseconds.
const STEP_MS: i32 = 5000;
/// A message is forwarded to no more at once, as over the API.
const MOST_RECIPIENTS: usize = 50;

/// The folder that is listened to.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) items: Vec<Item>,
    today: Date,
    at: usize,
}

impl Item {
    /// The caller knows best where they are to be reached.
    fn number_to_call(&self) -> &str {
        self.call_back.as_deref().unwrap_or(&self.number)
    }
}

impl Inbox {
    pub(super) fn current(&self) -> Option<&Item> {
        self.items.get(self.at)
    }

    fn has_next(&self) -> bool {
        self.at + 1 < self.items.len()
    }
}

fn is_in(folder: Folder, item: &Item) -> bool {
    let state = match folder {
        Folder::New => [MessageState::New; 2],
        Folder::Heard => [MessageState::Heard, MessageState::Saved],
    };
    state.contains(&item.state)
}

fn clips(words: Words) -> impl Iterator<Item = Clip> {
    words.into_iter().map(Clip::Prompt)
}

impl Menu {
    pub(super) fn listed(&mut self, folder: Option<Folder>, today: Date, mut items: Vec<Item>, now: Instant) {
        let Some(folder) = folder else {
            let counts = self.counts(&items);
            return self.go_to_main(counts, now);
        };
        items.retain(|item| is_in(folder, item));
        self.inbox = Inbox { items, today, at: 0 };
        if self.inbox.items.is_empty() {
            return self.go_to_main(vec![Phrase::NoneThere.into()], now);
        }
        self.play_message(Vec::new(), now);
    }

    /// "You have one new message and two heard messages."
    fn counts(&self, items: &[Item]) -> Vec<Clip> {
        let language = self.profile.language;
        let of = |folder| u32::try_from(items.iter().filter(|item| is_in(folder, item)).count()).unwrap_or(u32::MAX);
        let (new, heard) = (of(Folder::New), of(Folder::Heard));
        if new + heard == 0 {
            return vec![Phrase::NoMessages.into()];
        }
        let mut words: Words = vec![Phrase::YouHave.into()];
        if new > 0 {
            words.extend(spoken::count(new, (Phrase::NewMessage, Phrase::NewMessages), language));
        }
        if new > 0 && heard > 0 {
            words.push(Phrase::And.into());
        }
        if heard > 0 {
            words.extend(spoken::count(heard, (Phrase::HeardMessage, Phrase::HeardMessages), language));
        }
        clips(words).collect()
    }

    /// The message with its place, its time and its caller before it.
    fn play_message(&mut self, mut first: Vec<Clip>, now: Instant) {
        let Some(item) = self.inbox.current() else { return self.go_to_main(first, now) };
        let number = u32::try_from(self.inbox.at + 1).unwrap_or(u32::MAX);
        first.push(Phrase::Message.into());
        first.extend(clips(spoken::number(number, Gender::Neutral, self.profile.language)));
        if item.state == MessageState::Deleted {
            first.push(Phrase::Deleted.into());
        }
        first.extend(self.envelope(item));
        first.push(Clip::Message(item.id));
        self.state = State::At(Place::Playing);
        self.say(first, Vec::new(), now);
    }

    /// Whether it is urgent, when it came and from whom.
    fn envelope(&self, item: &Item) -> Vec<Clip> {
        let language = self.profile.language;
        let mut words = Words::new();
        if item.urgent {
            words.push(Phrase::Urgent.into());
        }
        if item.private {
            words.push(Phrase::Private.into());
        }
        words.push(Phrase::Received.into());
        words.extend(spoken::moment(item.received, self.inbox.today, language));
        match spoken::digits(&item.number) {
            Some(digits) => words.extend([Prompt::from(Phrase::From)].into_iter().chain(digits)),
            None if item.number.is_empty() => words.push(Phrase::FromUnknown.into()),
            None => words.push(Phrase::FromAddress.into()),
        }
        if let Some(digits) = item.call_back.as_deref().and_then(spoken::digits) {
            words.extend([Prompt::from(Phrase::CallBackAt)].into_iter().chain(digits));
        }
        if let Some(digits) = item.forwarded_by.as_deref().and_then(spoken::digits) {
            words.extend([Prompt::from(Phrase::ForwardedBy)].into_iter().chain(digits));
        }
        clips(words).collect()
    }

    pub(super) fn with_message(&mut self, place: Place, command: Command, now: Instant) {
        let Some(item) = self.inbox.current().cloned() else { return self.not_here(place, now) };
        match command {
            Command::Again => self.play_message(Vec::new(), now),
            Command::Save => self.act(&item, MessageAction::Save, now),
            Command::Delete if item.state == MessageState::Deleted => self.act(&item, MessageAction::Restore, now),
            Command::Delete => self.act(&item, MessageAction::Delete, now),
            Command::Previous => self.previous(now),
            Command::Next => self.next(Vec::new(), now),
            Command::Back => self.skip(place, -STEP_MS, now),
            Command::Ahead => self.skip(place, STEP_MS, now),
            Command::Pause => self.pause(place, now),
            Command::Faster => self.faster(place, now),
            Command::Envelope => self.tell_envelope(&item, now),
            Command::More => self.go_to(Place::More, Vec::new(), now),
            Command::Reply if item.reply_to.is_none() => self.go_to(Place::Message, vec![Phrase::NoReply.into()], now),
            Command::Reply => self.record(Purpose::Reply, now),
            Command::CallBack => self.connect(&item, now),
            Command::Forward if item.private => self.go_to(Place::Message, vec![Phrase::CannotForward.into()], now),
            Command::Forward => {
                self.recipients.clear();
                self.enter(Entry::ForwardTo, Vec::new(), now);
            }
            Command::AddRecipient if self.recipients.len() >= MOST_RECIPIENTS => self.not_here(place, now),
            Command::AddRecipient => self.enter(Entry::ForwardTo, Vec::new(), now),
            Command::Introduce => self.record(Purpose::Introduction, now),
            Command::Forthwith => self.forward(false, now),
            Command::New
            | Command::Heard
            | Command::Options
            | Command::ChangePin
            | Command::Greeting
            | Command::BusyGreeting
            | Command::TemporaryGreeting
            | Command::Name
            | Command::Listen
            | Command::Keep
            | Command::RecordAgain
            | Command::Discard
            | Command::Help
            | Command::Up
            | Command::Leave => self.not_here(place, now),
        }
    }

    fn act(&mut self, item: &Item, action: MessageAction, now: Instant) {
        self.ask(Ask::Act(item.id, action), Wish::Act(action), now);
    }

    pub(super) fn acted(&mut self, action: MessageAction, state: MessageState, now: Instant) {
        let said = match action {
            MessageAction::Save => Phrase::Saved,
            MessageAction::Delete => Phrase::Deleted,
            MessageAction::Restore | MessageAction::Heard | MessageAction::New | MessageAction::Expunge => Phrase::Restored,
        };
        let at = self.inbox.at;
        if let Some(item) = self.inbox.items.get_mut(at) {
            item.state = state;
        }
        // Who knows Asterisk's menu presses 6 for the next one.
        let goes_on = self.profile.layout == MenuLayout::Aftertone && said != Phrase::Restored;
        if goes_on && said == Phrase::Deleted && !self.inbox.has_next() {
            // The main menu lists it no more: here it can still be restored.
            return self.go_to(Place::Message, vec![said.into(), Phrase::NoMore.into()], now);
        }
        let said = vec![said.into()];
        if goes_on { self.next(said, now) } else { self.go_to(Place::Message, said, now) }
    }

    /// Somebody has removed the message meanwhile.
    pub(super) fn message_is_gone(&mut self, now: Instant) {
        if self.inbox.at < self.inbox.items.len() {
            self.inbox.items.remove(self.inbox.at);
        }
        let gone = Clip::from(Phrase::Gone);
        match self.inbox.current() {
            Some(_) => self.play_message(vec![gone], now),
            None => self.go_to_main(vec![gone, Phrase::NoMore.into()], now),
        }
    }

    fn next(&mut self, mut first: Vec<Clip>, now: Instant) {
        if self.inbox.has_next() {
            self.inbox.at += 1;
            return self.play_message(first, now);
        }
        first.push(Phrase::NoMore.into());
        self.go_to_main(first, now);
    }

    fn previous(&mut self, now: Instant) {
        match self.inbox.at.checked_sub(1) {
            Some(at) => {
                self.inbox.at = at;
                self.play_message(Vec::new(), now);
            }
            None => self.play_message(vec![Phrase::NoneBefore.into()], now),
        }
    }

    fn skip(&mut self, place: Place, ms: i32, now: Instant) {
        if place == Place::Playing {
            self.until = Some(now + self.longest_playing());
            self.events.push_back(MenuEvent::Skip(ms));
        } else {
            self.not_here(place, now);
        }
    }

    fn pause(&mut self, place: Place, now: Instant) {
        if place != Place::Playing {
            return self.not_here(place, now);
        }
        if self.paused {
            return self.go_on(now);
        }
        self.paused = true;
        self.until = Some(now + self.limits.pause);
        self.events.push_back(MenuEvent::Pause(true));
    }

    /// After a pause.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.paused = false;
        self.until = Some(now + self.longest_playing());
        self.events.push_back(MenuEvent::Pause(false));
    }

    fn faster(&mut self, place: Place, now: Instant) {
        let next = SPEEDS.iter().position(|speed| *speed == self.speed).map_or(0, |at| (at + 1) % SPEEDS.len());
        self.speed = SPEEDS[next];
        self.events.push_back(MenuEvent::Speed(self.speed));
        // While a message plays, one hears it.
        if place != Place::Playing {
            let said = if next == 0 { Phrase::NormalSpeed } else { Phrase::Faster };
            self.go_to(Place::Message, vec![said.into()], now);
        }
    }

    fn tell_envelope(&mut self, item: &Item, now: Instant) {
        let mut first = self.envelope(item);
        first.push(Phrase::Length.into());
        first.extend(clips(spoken::length(item.length, self.profile.language)));
        self.go_to(Place::Message, first, now);
    }

    fn connect(&mut self, item: &Item, now: Instant) {
        if spoken::digits(item.number_to_call()).is_none() {
            return self.go_to(Place::Message, vec![Phrase::CannotCall.into()], now);
        }
        self.state = State::Connecting;
        self.say(Vec::new(), vec![Phrase::Connecting.into()], now);
    }

    pub(super) fn dial(&mut self, now: Instant) {
        let Some(number) = self.inbox.current().map(|item| item.number_to_call().to_owned()) else {
            return self.go_to_main(Vec::new(), now);
        };
        self.ask(Ask::Dial(number), Wish::Dial, now);
    }

    pub(super) fn forward(&mut self, introduced: bool, now: Instant) {
        let Some(message) = self.inbox.current().map(|item| item.id) else { return self.go_to_main(Vec::new(), now) };
        self.ask(Ask::Forward { message, to: self.recipients.clone(), introduced }, Wish::Forward { introduced }, now);
    }

    /// Somebody has the extension that was entered: they get the message too, once.
    pub(super) fn found(&mut self, now: Instant) {
        if !self.recipients.contains(&self.number) {
            self.recipients.push(self.number.clone());
        }
        let mut said = Words::new();
        if let count @ 2.. = u32::try_from(self.recipients.len()).unwrap_or(u32::MAX) {
            said = spoken::number(count, Gender::Neutral, self.profile.language);
            said.push(Phrase::Recipients.into());
        }
        self.go_to(Place::Introduction, clips(said).collect(), now);
    }

    pub(super) fn forwarded(&mut self, now: Instant) {
        self.recording = None;
        self.go_to(Place::Message, vec![Phrase::Forwarded.into()], now);
    }
}

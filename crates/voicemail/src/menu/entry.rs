//! Numbers that are entered: mailbox, PIN, extension.

use std::time::Instant;

use super::{Access, Ask, Clip, Menu, Place, Profile, State, Wish};
use crate::{Pin, prompt::Phrase};

/// What is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Mailbox,
    Pin,
    ForwardTo,
    NewPin,
    RepeatPin,
}

/// More digits are none of any number here.
const MOST_DIGITS: usize = 32;

impl Menu {
    pub(super) fn enter(&mut self, entry: Entry, first: Vec<Clip>, now: Instant) {
        self.state = State::Entering(entry);
        self.entered.clear();
        let asks = match entry {
            Entry::Mailbox => Phrase::EnterMailbox,
            Entry::Pin => Phrase::EnterPin,
            Entry::ForwardTo => Phrase::ForwardTo,
            Entry::NewPin => Phrase::NewPin,
            Entry::RepeatPin => Phrase::RepeatPin,
        };
        self.say(first, vec![asks.into()], now);
    }

    pub(super) fn entry_key(&mut self, entry: Entry, key: char, now: Instant) {
        match key {
            '#' => self.submit(entry, now),
            '*' if self.entered.is_empty() => self.give_up(entry, now),
            '*' => self.enter(entry, Vec::new(), now),
            _ if key.is_ascii_digit() => {
                if self.entered.len() < MOST_DIGITS {
                    self.entered.push(key);
                }
                self.hush();
                self.until = Some(now + self.limits.digit);
            }
            _ => {}
        }
    }

    /// Whoever presses keys listens no more.
    fn hush(&mut self) {
        if std::mem::take(&mut self.playing) {
            self.events.push_back(super::MenuEvent::Play { language: self.profile.language, clips: Vec::new() });
        }
    }

    fn give_up(&mut self, entry: Entry, now: Instant) {
        match entry {
            Entry::Mailbox => self.leave(Vec::new(), now),
            Entry::Pin if self.access == Access::Anybody => self.enter(Entry::Mailbox, Vec::new(), now),
            Entry::Pin => self.leave(Vec::new(), now),
            Entry::ForwardTo => self.without_another(now),
            Entry::NewPin | Entry::RepeatPin => self.go_to_main(Vec::new(), now),
        }
    }

    fn submit(&mut self, entry: Entry, now: Instant) {
        let entered = std::mem::take(&mut self.entered);
        match entry {
            Entry::ForwardTo if entered.is_empty() && !self.recipients.is_empty() => self.without_another(now),
            // An empty number is no try, but nothing pressed.
            Entry::Mailbox | Entry::ForwardTo if entered.is_empty() => self.nothing_entered(now),
            Entry::Mailbox => {
                self.number = entered;
                self.enter(Entry::Pin, Vec::new(), now);
            }
            Entry::Pin => {
                let ask = Ask::LogIn { mailbox: self.number.clone(), pin: Pin::entered(entered) };
                self.ask(ask, Wish::LogIn, now);
            }
            Entry::ForwardTo => {
                self.number.clone_from(&entered);
                self.ask(Ask::Find(entered), Wish::Find, now);
            }
            Entry::NewPin => match Pin::chosen(entered, &self.profile.extension) {
                Ok(pin) => {
                    self.new_pin = Some(pin);
                    self.enter(Entry::RepeatPin, Vec::new(), now);
                }
                Err(_) => self.enter(Entry::NewPin, vec![Phrase::WeakPin.into()], now),
            },
            Entry::RepeatPin => match self.new_pin.take().filter(|pin| pin.expose() == entered) {
                Some(pin) => self.ask(Ask::SetPin(pin), Wish::SetPin, now),
                None => self.enter(Entry::NewPin, vec![Phrase::PinDiffers.into()], now),
            },
        }
    }

    /// To those who were named before, if there are any.
    fn without_another(&mut self, now: Instant) {
        let place = if self.recipients.is_empty() { Place::Message } else { Place::Introduction };
        self.go_to(place, Vec::new(), now);
    }

    fn nothing_entered(&mut self, now: Instant) {
        let again = self.again.clone();
        self.say(Vec::new(), again, now);
    }

    /// Mailbox or PIN is wrong.
    pub(super) fn wrong(&mut self, now: Instant) {
        self.tries += 1;
        let said = vec![Phrase::Wrong.into()];
        if self.tries >= self.limits.tries {
            return self.leave(said, now);
        }
        // What was dialled ahead was meant for a mailbox that isn't open.
        self.waiting.clear();
        let entry = if self.access == Access::Anybody { Entry::Mailbox } else { Entry::Pin };
        self.enter(entry, said, now);
    }

    pub(super) fn opened(&mut self, profile: Profile, now: Instant) {
        self.profile = profile;
        self.ask(Ask::List, Wish::List(None), now);
    }
}

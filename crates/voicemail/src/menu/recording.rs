//! Replies, introductions, greetings and names: prompt, beep, recording, and whether it is kept.

use std::time::{Duration, Instant};

use super::{Ask, Clip, GreetingUse, Menu, MenuEvent, Place, Purpose, State, Wish};
use crate::{DepositLimits, Tally, prompt::Phrase};

/// A name is short.
const LEAST_OF_NAME: Duration = Duration::from_millis(300);

/// What is being recorded, or was.
#[derive(Debug)]
pub(super) struct Recording {
    purpose: Purpose,
    /// `None`: it is over.
    end_at: Option<Instant>,
    quiet_since: Instant,
    tally: Tally,
    limits: DepositLimits,
}

impl Recording {
    pub(super) fn hear(&mut self, speech: bool, duration: Duration, now: Instant) {
        if !self.runs() {
            return;
        }
        self.tally.count(speech, duration, &self.limits);
        if speech {
            self.quiet_since = now;
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.end_at.is_some()
    }

    /// When it ends unless more is said.
    pub(super) fn end(&self, silence: Duration) -> Instant {
        let quiet = self.quiet_since + silence;
        self.end_at.map_or(quiet, |end| end.min(quiet))
    }
}

/// Where one is after it.
pub(super) fn home(purpose: Purpose) -> Place {
    match purpose {
        Purpose::Reply | Purpose::Introduction => Place::Message,
        Purpose::Greeting(_) | Purpose::Name => Place::Options,
    }
}

impl Menu {
    pub(super) fn record(&mut self, purpose: Purpose, now: Instant) {
        self.throw_away();
        match self.reply_to().filter(|_| purpose == Purpose::Reply) {
            Some(to) => self.ask(Ask::BeginReply(to), Wish::BeginReply, now),
            None => self.prepare_recording(purpose, now),
        }
    }

    fn throw_away(&mut self) {
        if self.recording.take().is_some() {
            self.events.push_back(MenuEvent::Discard);
        }
    }

    fn reply_to(&self) -> Option<String> {
        self.inbox.current().and_then(|item| item.reply_to.clone())
    }

    /// Where it is to be recorded to is there.
    pub(super) fn prepare_recording(&mut self, purpose: Purpose, now: Instant) {
        self.state = State::Recording(purpose);
        self.say(vec![Phrase::SpeakNow.into()], vec![Clip::Beep], now);
    }

    /// The beep is over.
    pub(super) fn begin_recording(&mut self, now: Instant) {
        let State::Recording(purpose) = self.state else { return };
        let longest = if purpose == Purpose::Name { self.limits.name } else { self.limits.recording };
        let usual = DepositLimits::default();
        let least_sound = if purpose == Purpose::Name { LEAST_OF_NAME } else { usual.least_sound };
        let limits = DepositLimits { least_sound, ..usual };
        let tally = Tally::default();
        self.recording = Some(Recording { purpose, end_at: Some(now + longest), quiet_since: now, tally, limits });
        self.until = None;
        self.events.push_back(MenuEvent::Record { spooled: purpose == Purpose::Reply });
    }

    pub(super) fn recording_key(&mut self, purpose: Purpose, key: char, now: Instant) {
        let runs = self.recording.is_some();
        match key {
            _ if runs => self.stop_recording(purpose, now),
            '#' => self.say(Vec::new(), vec![Clip::Beep], now),
            '*' => {
                // Of a reply there is a place already.
                self.events.push_back(MenuEvent::Discard);
                self.go_to(home(purpose), vec![Phrase::Discarded.into()], now);
            }
            _ => {}
        }
    }

    pub(super) fn stop_recording(&mut self, purpose: Purpose, now: Instant) {
        self.events.push_back(MenuEvent::StopRecording);
        let is_enough = self.recording.as_mut().is_some_and(|recording| {
            recording.end_at = None;
            recording.tally.is_enough(&recording.limits)
        });
        if is_enough {
            return self.go_to(Place::Review, Vec::new(), now);
        }
        self.throw_away();
        self.go_to(home(purpose), vec![Phrase::NothingRecorded.into()], now);
    }

    pub(super) fn record_again(&mut self, now: Instant) {
        if let Some(purpose) = self.recorded() {
            self.record(purpose, now);
        }
    }

    /// Throws away what was recorded; or forwards nothing, before an introduction was made.
    pub(super) fn discard(&mut self, now: Instant) {
        let home = self.recorded().map_or(Place::Message, home);
        self.throw_away();
        self.go_to(home, vec![Phrase::Discarded.into()], now);
    }

    pub(super) fn keep(&mut self, now: Instant) {
        let Some(purpose) = self.recorded() else { return };
        let ask = match purpose {
            Purpose::Introduction => return self.forward(true, now),
            Purpose::Reply => match self.reply_to() {
                Some(to) => Ask::Reply(to),
                None => return self.go_to(Place::Message, vec![Phrase::NoReply.into()], now),
            },
            Purpose::Greeting(greeting) => Ask::Greet(greeting),
            Purpose::Name => Ask::Name,
        };
        self.ask(ask, Wish::Keep(purpose), now);
    }

    /// A reply that was spoken, and neither sent nor thrown away, is sent; whether there was one. Other recordings are nothing
    /// without their last key: half a greeting greets nobody.
    pub(super) fn send_unsent(&mut self) -> bool {
        let is_being_kept = matches!(self.state, State::Asking(Wish::Keep(_)));
        let Some(recording) = self.recording.take().filter(|_| !is_being_kept) else { return false };
        let is_enough = recording.tally.is_enough(&recording.limits);
        if recording.runs() {
            self.events.push_back(MenuEvent::StopRecording);
        }
        let to = self.reply_to().filter(|_| recording.purpose == Purpose::Reply && is_enough);
        let is_sent = to.is_some();
        self.events.push_back(to.map_or(MenuEvent::Discard, |to| MenuEvent::Ask(Ask::Reply(to))));
        is_sent
    }

    fn recorded(&self) -> Option<Purpose> {
        self.recording.as_ref().map(|recording| recording.purpose)
    }

    pub(super) fn temporary_greeting(&mut self, now: Instant) {
        if self.profile.has_temporary {
            self.ask(Ask::EndTemporary, Wish::EndTemporary, now);
        } else {
            self.record(Purpose::Greeting(GreetingUse::Temporary), now);
        }
    }

    pub(super) fn temporary_ended(&mut self, now: Instant) {
        self.profile.has_temporary = false;
        self.go_to(Place::Options, vec![Phrase::TemporaryOff.into()], now);
    }

    pub(super) fn kept(&mut self, purpose: Purpose, now: Instant) {
        self.recording = None;
        let said = match purpose {
            Purpose::Reply => Phrase::Sent,
            Purpose::Introduction => Phrase::Forwarded,
            Purpose::Greeting(GreetingUse::Temporary) => {
                self.profile.has_temporary = true;
                Phrase::GreetingKept
            }
            Purpose::Greeting(GreetingUse::Usual | GreetingUse::Busy) => Phrase::GreetingKept,
            Purpose::Name => Phrase::NameKept,
        };
        self.go_to(home(purpose), vec![said.into()], now);
    }
}

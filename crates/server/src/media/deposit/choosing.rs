//! The caller has spoken, and chooses what becomes of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_media::{Codec, dtmf::Digit};
use aftertone_model::{Language, MessageId};
use aftertone_server_store::FinishedSound;
use aftertone_voicemail::{ChoiceEvent, ChoiceLimits, ChoiceOutput, Choices, Clip, Deposit, DepositLimits, Ending};
use anyhow::Context;

use super::{
    super::{
        Shared,
        describe::Agreed,
        menu::player::{Player, Track},
        speech::{self, PcmSlot},
        stream::SendStream,
    },
    DepositRun, Effects, SpoolSlot, begin_spool, keys,
};

/// The key that leads to a person.
const PERSON: char = '0';

/// A recording that is whole, and is no message yet.
pub(super) struct Kept {
    pub(super) spool: SpoolSlot,
    pub(super) sound: FinishedSound,
    /// Its sound, once it was listened to.
    played: Option<PcmSlot>,
}

impl Kept {
    pub(super) fn new(spool: SpoolSlot, sound: FinishedSound) -> Self {
        Self { spool, sound, played: None }
    }

    fn length(&self) -> Duration {
        Duration::from_millis(self.sound.duration_ms)
    }

    /// Nobody hears it, and no call is logged for it: there is another.
    fn discard(self, shared: &Shared) {
        match self.spool {
            SpoolSlot::None => {}
            SpoolSlot::Ready(handle) => handle.discard(),
            SpoolSlot::Beginning(answer) => drop(shared.runtime.spawn(async move {
                if let Ok(Ok(handle)) = answer.await {
                    handle.discard();
                }
            })),
        }
    }
}

/// The choices, and what says them.
pub(super) struct Choosing {
    pub(super) choices: Choices,
    voice: Player,
    /// The machine records once more.
    pub(super) records: bool,
}

impl Choosing {
    fn new(language: Language, length: Duration, person: bool, codec: Codec, now: Instant) -> Option<Self> {
        let choices = Choices::new(language, length, person, ChoiceLimits::default(), now);
        Some(Self { choices, voice: Player::new(codec, now).ok()?, records: false })
    }

    /// When there is something to do.
    pub(super) fn timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.records {
            return None;
        }
        let choices = match self.choices.poll_output() {
            ChoiceOutput::Timeout(at) => at,
            // Nothing is left undrained; at once, if it were.
            ChoiceOutput::Event(_) => Some(now),
        };
        [choices, Some(self.voice.due())].into_iter().flatten().min()
    }
}

impl DepositRun {
    /// Whether the end of a recording is not the end of the deposit.
    pub(super) fn goes_on(&mut self, ending: Ending, keep: bool, now: Instant) -> bool {
        let is_still_there = match ending {
            Ending::Finished => true,
            // Who has recorded something before is asked what becomes of that.
            Ending::Silence | Ending::Unavailable => self.kept.is_some() && !keep,
            Ending::HungUp | Ending::TooLong | Ending::Interrupted | Ending::Menu | Ending::Key(_) => false,
        };
        if !self.order.choices || !is_still_there || !(keep || self.kept.is_some()) {
            return false;
        }
        let recorded = self.complete(ending, keep);
        let length = recorded.length();
        self.replace(recorded, keep);
        (self.unavailable, self.mailbox_full) = (false, false);
        match &mut self.choosing {
            Some(choosing) => {
                choosing.records = false;
                choosing.choices.handle_recorded(keep.then_some(length), now);
            }
            None => {
                let person = self.machine.leads_away(PERSON);
                self.choosing = Choosing::new(self.order.language, length, person, self.codec, now);
            }
        }
        self.choosing.is_some()
    }

    /// What is recorded last counts, unless it is nothing.
    pub(super) fn replace(&mut self, recorded: Kept, is_message: bool) {
        let dropped = if is_message || self.kept.is_none() { self.kept.replace(recorded) } else { Some(recorded) };
        if let Some(dropped) = dropped {
            dropped.discard(&self.shared);
        }
    }

    /// Says the choices and does what is chosen.
    pub(super) fn choose(&mut self, agreed: &Agreed, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        let Some(choosing) = self.choosing.as_mut().filter(|choosing| !choosing.records) else { return };
        if choosing.voice.serve(agreed, stream, now, &mut effects.packets).is_over {
            choosing.choices.handle_played(now);
        }
        choosing.choices.handle_timeout(now);
        self.drain_choices(stream, now, effects);
    }

    pub(super) fn drain_choices(&mut self, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        while let Some(ChoiceOutput::Event(event)) = self.choosing.as_mut().map(|choosing| choosing.choices.poll_output()) {
            match event {
                ChoiceEvent::Play(clips) => {
                    let tracks = clips.into_iter().map(|clip| self.track(clip)).collect();
                    if let Some(choosing) = &mut self.choosing {
                        choosing.voice.play(tracks, now);
                    }
                }
                ChoiceEvent::RecordAgain => self.record_again(stream, now, effects),
                ChoiceEvent::Send => {
                    self.send();
                    effects.over = true;
                }
                ChoiceEvent::Person => {
                    self.send();
                    effects.left = Digit::from_char(PERSON);
                }
            }
        }
    }

    fn record_again(&mut self, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        if let Some(choosing) = &mut self.choosing {
            choosing.records = true;
        }
        self.order.envelope.id = MessageId::from_random(rand::random());
        self.spool = begin_spool(&self.order, self.codec, &self.shared);
        let limits = DepositLimits { recording: self.order.longest, ..DepositLimits::default() };
        self.machine = Deposit::new(limits).with_keys(keys(&self.order));
        // Greeted was the caller once.
        self.machine.handle_digit('#', now);
        self.machine.handle_start(now);
        self.drain(stream, now, effects);
    }

    fn track(&mut self, clip: Clip) -> Track {
        let rate = self.codec.sample_rate();
        let sound = match clip {
            Clip::Prompt(prompt) => self.shared.speech.get(prompt, self.order.language, rate, &self.shared.runtime),
            Clip::Recording => self.own_words(rate),
            // The machine beeps, and no messages are played to a caller.
            Clip::Beep | Clip::Message(_) => speech::ready(Vec::new()),
        };
        Track { sound, message: None }
    }

    fn own_words(&mut self, rate: u32) -> PcmSlot {
        let Some(kept) = &mut self.kept else { return speech::ready(Vec::new()) };
        if let Some(slot) = &kept.played {
            return Arc::clone(slot);
        }
        let SpoolSlot::Ready(handle) = &kept.spool else { return speech::ready(Vec::new()) };
        let (slot, file, shared) = (PcmSlot::default(), handle.file(), Arc::clone(&self.shared));
        let filling = Arc::clone(&slot);
        self.shared.runtime.spawn(async move {
            let turn = Arc::clone(&shared.decoding).acquire_owned().await;
            let path = file.await;
            speech::fill(filling, &shared.runtime, move || {
                let _turn = turn;
                let bytes = std::fs::read(path.context("the recording has no file")?).context("the recording's file")?;
                speech::decoded(&bytes, rate)
            });
        });
        Arc::clone(kept.played.insert(slot))
    }
}

//! The phone menu on a leg: plays what it says, records what the listener says, and asks the store for what it wants.

mod asks;
mod greetings;
pub(super) mod player;
mod tape;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::{MenuAccess, MenuCaller, MenuOrder};
use aftertone_media::{
    Codec,
    adapt::Plan,
    dtmf::{Digit, DtmfReceiver, ToneReceiver},
    rtp::RtpPacket,
    tones,
};
use aftertone_model::{Language, MessageId, Subscriber, SubscriberId};
use aftertone_server_store::Lookup;
use aftertone_sync::IdempotencyKey;
use aftertone_voicemail::{Access, Answer, Ask, Clip, Guesser, Menu, MenuEvent, MenuLimits, MenuOutput};
use anyhow::Context;
use tokio::sync::{mpsc, oneshot};

use self::{
    asks::{Asker, Replied},
    player::{Player, Track},
    tape::{Place, Tape, Taped},
};
use super::{
    Shared,
    describe::{Agreed, Meaning},
    recording::Heard,
    speech::{self, PcmSlot},
    stream::SendStream,
};

/// How often it is looked whether packets flow, and whether an answer is there.
const LOOK: Duration = Duration::from_millis(20);
/// The first word comes so long after packets get through: the other end's decryption and loudspeaker may be a moment later.
const LEAD_IN: Duration = Duration::from_millis(300);

/// One listener.
pub(super) struct MenuRun {
    access: MenuAccess,
    caller: Guesser,
    menu: Menu,
    codec: Codec,
    player: Player,
    owner: Option<Subscriber>,
    /// Where the next reply is recorded to.
    place: Option<Place>,
    tape: Option<Tape>,
    taped: Option<Arc<Taped>>,
    /// What was recorded last, once it was listened to.
    played_back: Option<PcmSlot>,
    /// The message that was played last: who hears it again needn't have it decoded again.
    last: Option<(MessageId, PcmSlot)>,
    /// Of what was forwarded to whom in this call.
    forwards: BTreeMap<(MessageId, Vec<String>), IdempotencyKey>,
    reply: Option<oneshot::Receiver<Replied>>,
    started: bool,
    flows_since: Option<Instant>,
    look_at: Option<Instant>,
    keys: Keys,
    shared: Arc<Shared>,
    /// A shutdown waits for what is being stored.
    finisher: mpsc::Sender<Infallible>,
    over: bool,
}

/// Who hears keys on a leg: it remembers which packets are of a key that was heard already.
pub(super) struct Keys {
    pub(super) dtmf: DtmfReceiver,
    /// For listeners without telephone events.
    pub(super) tones: Option<ToneReceiver>,
}

impl Keys {
    pub(super) fn new(codec: Codec) -> Self {
        Self { dtmf: DtmfReceiver::default(), tones: ToneReceiver::new(codec).ok() }
    }
}

/// What a run wants of its leg after an input.
#[derive(Debug, Default)]
pub(super) struct MenuEffects {
    /// To be sent.
    pub(super) packets: Vec<RtpPacket>,
    /// It ended by itself: the listener is to be hung up.
    pub(super) over: bool,
    /// Somebody is to be called in this person's name.
    pub(super) dial: Option<(SubscriberId, String)>,
}

impl MenuRun {
    /// A menu in the leg's codec. `None` while the plane shuts down, or where nothing can be encoded.
    pub(super) fn new(order: MenuOrder, keys: Keys, codec: Codec, shared: Arc<Shared>, now: Instant) -> Option<Self> {
        let finisher = shared.finisher()?;
        let access = match &order.access {
            MenuAccess::Device(_) => Access::Device,
            MenuAccess::Mailbox(extension) => Access::Mailbox(extension.as_str().to_owned()),
            MenuAccess::Anybody => Access::Anybody,
        };
        Some(Self {
            access: order.access,
            caller: guesser(order.caller),
            menu: Menu::new(access, order.language, MenuLimits::default()),
            codec,
            player: Player::new(codec, now).ok()?,
            owner: None,
            place: None,
            tape: None,
            taped: None,
            played_back: None,
            last: None,
            forwards: BTreeMap::new(),
            reply: None,
            started: false,
            flows_since: None,
            look_at: None,
            keys,
            shared,
            finisher,
            over: false,
        })
    }

    /// The listener's network is another one.
    pub(super) fn adapt(&mut self, plan: Plan) {
        self.player.adapt(plan);
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.over {
            return None;
        }
        let menu = match self.menu.poll_output() {
            MenuOutput::Timeout(at) => at,
            // Nothing is left undrained; at once, if it were.
            MenuOutput::Event(_) => Some(now),
        };
        let waits = !self.started || self.reply.is_some();
        let looking = waits.then(|| *self.look_at.get_or_insert(now + LOOK));
        [menu, looking, self.started.then(|| self.player.due())].into_iter().flatten().min()
    }

    /// Time has come. `flows` says whether packets get through.
    pub(super) fn handle_timeout(&mut self, flows: bool, agreed: &Agreed, stream: &mut SendStream, now: Instant) -> MenuEffects {
        let mut effects = MenuEffects::default();
        self.look_at = None;
        self.start(flows, now);
        self.take_reply(now);
        if self.started {
            let progress = self.player.serve(agreed, stream, now, &mut effects.packets);
            if let Some(message) = progress.heard {
                self.menu.handle_heard(message);
            }
            if progress.is_over {
                self.menu.handle_played(now);
            }
        }
        self.menu.handle_timeout(now);
        self.drain(now, &mut effects);
        effects
    }

    /// A packet of the listener.
    pub(super) fn handle_packet(&mut self, packet: &RtpPacket, agreed: &Agreed, now: Instant) -> MenuEffects {
        let mut effects = MenuEffects::default();
        match agreed.meaning(packet.payload_type) {
            Some(Meaning::Sound(codec)) if codec == self.codec => {
                if agreed.event.is_none()
                    && let Some(digit) = self.keys.tones.as_mut().and_then(|tones| tones.receive(&packet.payload))
                {
                    self.menu.handle_digit(digit.as_char(), now);
                }
                self.record(packet, now);
            }
            Some(Meaning::Event) => {
                if let Some(digit) = self.keys.dtmf.receive(packet) {
                    self.menu.handle_digit(digit.as_char(), now);
                }
            }
            Some(Meaning::Sound(_) | Meaning::Comfort) | None => {}
        }
        self.drain(now, &mut effects);
        effects
    }

    /// The listener pressed a key, as the signalling says.
    pub(super) fn handle_digit(&mut self, digit: Digit, now: Instant) -> MenuEffects {
        let mut effects = MenuEffects::default();
        self.menu.handle_digit(digit.as_char(), now);
        self.drain(now, &mut effects);
        effects
    }

    /// Nobody is called.
    pub(super) fn handle_refused(&mut self, now: Instant) -> MenuEffects {
        let mut effects = MenuEffects::default();
        self.menu.handle_answer(Answer::Refused, now);
        self.drain(now, &mut effects);
        effects
    }

    fn start(&mut self, flows: bool, now: Instant) {
        if self.started || !flows {
            return;
        }
        let since = *self.flows_since.get_or_insert(now);
        if now >= since + LEAD_IN {
            self.started = true;
            self.menu.handle_start(now);
        }
    }

    fn take_reply(&mut self, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        let replied = match reply.try_recv() {
            Ok(replied) => replied,
            Err(oneshot::error::TryRecvError::Empty) => return,
            Err(oneshot::error::TryRecvError::Closed) => Replied::from(Answer::Failed),
        };
        self.reply = None;
        if let Some(owner) = replied.owner {
            self.owner = Some(owner);
        }
        self.place = replied.place;
        self.menu.handle_answer(replied.answer, now);
    }

    fn record(&mut self, packet: &RtpPacket, now: Instant) {
        let heard = self.tape.as_mut().map_or_else(Heard::new, |tape| tape.push(packet, now));
        self.hear(heard, now);
    }

    fn hear(&mut self, heard: Heard, now: Instant) {
        for (sound, duration) in heard {
            self.menu.handle_sound(sound, duration, now);
        }
    }

    fn drain(&mut self, now: Instant, effects: &mut MenuEffects) {
        while let MenuOutput::Event(event) = self.menu.poll_output() {
            match event {
                MenuEvent::Play { language, clips } => {
                    let tracks = clips.into_iter().map(|clip| self.track(clip, language)).collect();
                    self.player.play(tracks, now);
                }
                MenuEvent::Pause(paused) => self.player.pause(paused, now),
                MenuEvent::Skip(ms) => self.player.skip(ms),
                MenuEvent::Speed(percent) => self.player.set_speed(percent),
                MenuEvent::Record { spooled } => {
                    (self.taped, self.played_back) = (None, None);
                    let place = self.place.take().filter(|_| spooled);
                    self.tape = Tape::new(self.codec, now, place).ok();
                }
                MenuEvent::StopRecording => self.taped = self.tape.take().map(|tape| Arc::new(tape.finish())),
                MenuEvent::Discard => self.discard(),
                MenuEvent::Ask(Ask::Dial(number)) => effects.dial = self.owner.as_ref().map(|owner| (owner.id, number)),
                MenuEvent::Ask(ask) => self.ask(ask),
                MenuEvent::Heard(message) => self.note_heard(message),
                MenuEvent::Over { released } => {
                    self.over = true;
                    effects.over = !released;
                }
            }
        }
    }

    fn discard(&mut self) {
        (self.place, self.played_back) = (None, None);
        if let Some(tape) = self.tape.take() {
            tape.discard();
        }
        self.taped.take().inspect(|taped| taped.discard());
    }

    /// The listener hung up, or the plane stops: what they said in reply is sent.
    pub(super) fn end(mut self, now: Instant) {
        let heard = self.tape.as_mut().map_or_else(Heard::new, Tape::flush);
        self.hear(heard, now);
        self.menu.handle_hang_up();
        self.drain(now, &mut MenuEffects::default());
    }

    fn ask(&mut self, ask: Ask) {
        let (reply, answer) = oneshot::channel();
        self.reply = Some(answer);
        let (asker, finisher) = (Asker { key: self.key_of(&ask), ..self.asker() }, self.finisher.clone());
        self.shared.runtime.spawn(async move {
            // The listener may have hung up meanwhile: what was asked for is done all the same.
            let _ = reply.send(asker.answer(ask).await);
            drop(finisher);
        });
    }

    fn note_heard(&self, message: MessageId) {
        let (asker, finisher) = (self.asker(), self.finisher.clone());
        self.shared.runtime.spawn(async move {
            asker.heard(message).await;
            drop(finisher);
        });
    }

    /// Whoever presses the key again because it took long gets nothing twice.
    fn key_of(&mut self, ask: &Ask) -> IdempotencyKey {
        let fresh = || IdempotencyKey::from_random(rand::random());
        match (ask, &self.taped) {
            (Ask::Forward { introduced: true, .. }, Some(taped)) => taped.key.clone(),
            (Ask::Forward { message, to, .. }, _) => self.forwards.entry((*message, to.clone())).or_insert_with(fresh).clone(),
            (_, _) => fresh(),
        }
    }

    fn asker(&self) -> Asker {
        Asker {
            shared: Arc::clone(&self.shared),
            access: self.access.clone(),
            caller: self.caller.clone(),
            owner: self.owner.clone(),
            codec: self.codec,
            taped: self.taped.clone(),
            key: IdempotencyKey::from_random(rand::random()),
        }
    }

    fn track(&mut self, clip: Clip, language: Language) -> Track {
        let (rate, runtime) = (self.codec.sample_rate(), &self.shared.runtime);
        match clip {
            Clip::Prompt(prompt) => Track { sound: self.shared.speech.get(prompt, language, rate, runtime), message: None },
            Clip::Beep => Track { sound: speech::ready(tones::beep(rate)), message: None },
            Clip::Recording => Track { sound: self.recorded(), message: None },
            Clip::Message(message) => Track { sound: self.message(message), message: Some(message) },
        }
    }

    fn recorded(&mut self) -> PcmSlot {
        if let Some(slot) = &self.played_back {
            return Arc::clone(slot);
        }
        let Some(taped) = self.taped.clone() else { return speech::ready(Vec::new()) };
        let (slot, rate) = (PcmSlot::default(), self.codec.sample_rate());
        speech::fill(Arc::clone(&slot), &self.shared.runtime, move || speech::decoded(&taped.bytes, rate));
        Arc::clone(self.played_back.insert(slot))
    }

    /// The sound of a message, read while its envelope is said.
    fn message(&mut self, message: MessageId) -> PcmSlot {
        if let Some((_, slot)) = self.last.as_ref().filter(|(last, _)| *last == message) {
            return Arc::clone(slot);
        }
        let Some(owner) = self.owner.as_ref().map(|owner| owner.id) else { return speech::ready(Vec::new()) };
        let slot = PcmSlot::default();
        self.last = Some((message, Arc::clone(&slot)));
        let filling = Arc::clone(&slot);
        let (shared, rate) = (Arc::clone(&self.shared), self.codec.sample_rate());
        self.shared.runtime.spawn(async move {
            let turn = Arc::clone(&shared.decoding).acquire_owned().await;
            if Arc::strong_count(&filling) == 1 {
                // The listener went on to another one meanwhile.
                return;
            }
            let found = shared.store.sound(owner, message).await;
            speech::fill(filling, &shared.runtime, move || {
                let _turn = turn;
                let Lookup::Found(sound) = found? else { anyhow::bail!("the message is gone") };
                let bytes = std::fs::read(&sound.path).context("the message's file")?;
                speech::decoded(&bytes, rate)
            });
        });
        slot
    }
}

fn guesser(caller: MenuCaller) -> Guesser {
    match caller {
        MenuCaller::Known(name) => Guesser::Known(name),
        MenuCaller::Nameless(way) => Guesser::Nameless(way),
    }
}

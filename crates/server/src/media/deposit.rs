//! A deposit on a leg: plays what the answering machine says, records what the caller says, and hands both over at the end.

mod choosing;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::{DepositOrder, KeyOrder, MenuOrder, Sound};
use aftertone_media::{
    Codec,
    dtmf::{Digit, DtmfReceiver, ToneReceiver},
    rtp::RtpPacket,
};
use aftertone_model::{CallRecord, EndReason, Envelope, Fullness, Marks, SubscriberId, Timestamp};
use aftertone_server_store::{BeginError, Finished, FinishedSound, NewRecording, SpoolHandle, Store};
use aftertone_voicemail::{Deposit, DepositLimits, Ending, Event, Key, Output};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use self::choosing::{Choosing, Kept};
use super::{
    MediaEvent, Shared,
    describe::{Agreed, Meaning},
    menu::Keys,
    prompts::Frames,
    recording::{Heard, Recording},
    sounds::Slot,
    stream::SendStream,
};
use crate::{greeting_sound::LONGEST, jobs::compact_later};

/// One packet.
const FRAME: Duration = Duration::from_millis(20);
/// A player that is later than this has lost its place (the machine slept): it goes on from now instead of catching up.
const LOST_PLACE: Duration = Duration::from_millis(200);
/// The greeting begins so long after packets get through: the other end's decryption and loudspeaker may be a moment later.
const LEAD_IN: Duration = Duration::from_millis(300);
/// A disk that takes longer to make the place for a recording is not waited for any more: the greeting begins, and the beep
/// waits.
const SPOOL_PATIENCE: Duration = Duration::from_secs(2);
/// A greeting that isn't read and encoded by then isn't waited for.
const GREETING_WAIT: Duration = Duration::from_secs(3);
/// While recording the caller is sent a packet of silence so often: it keeps NATs open, and gateways from giving up.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// What is recorded goes to the disk's thread so often. With its sync every half second, sound is durable within a second.
const GATHER: Duration = Duration::from_millis(200);

/// One caller leaving one message.
pub(super) struct DepositRun {
    order: DepositOrder,
    machine: Deposit,
    codec: Codec,
    started: bool,
    flows_since: Option<Instant>,
    player: Option<Player>,
    spool: SpoolSlot,
    /// The caller heard, or hears, that no message can be left.
    unavailable: bool,
    /// Because of the mailbox and not of the disk.
    mailbox_full: bool,
    /// The beep waits for the spool.
    beep_due: bool,
    /// The owner's greeting, if it isn't the one that comes with the server.
    greeting: Option<Slot>,
    /// The owner's spoken name, which goes before the one that comes with the server.
    spoken_name: Option<Slot>,
    /// What keys stand for.
    announcements: BTreeMap<char, Slot>,
    /// When to look again for what is waited for. It stays where it is whatever the caller sends meanwhile.
    look_at: Option<Instant>,
    recording: Option<Recording>,
    /// What was recorded and is still to go to the disk, and when it goes.
    gathered: Vec<u8>,
    hand_over_at: Option<Instant>,
    keep_alive_at: Option<Instant>,
    dtmf: DtmfReceiver,
    /// For callers without telephone events.
    tones: Option<ToneReceiver>,
    /// What was recorded and is not handed over yet.
    kept: Option<Kept>,
    /// The caller chooses what becomes of it, or records it anew.
    choosing: Option<Choosing>,
    shared: Arc<Shared>,
    /// A shutdown waits for it.
    finisher: mpsc::Sender<Infallible>,
    over: bool,
}

/// What is being played: one packet at each deadline.
#[derive(Debug)]
struct Player {
    frames: Frames,
    next: usize,
    due: Instant,
    timestamp: u32,
    prompt: Prompt,
}

/// Of greeting and beep the machine wants to hear the end.
#[derive(Debug, Clone, Copy)]
enum Prompt {
    Greeting,
    Beep,
    Warning,
}

/// The recording's place on the disk.
enum SpoolSlot {
    None,
    Beginning(oneshot::Receiver<Result<SpoolHandle, NoPlace>>),
    Ready(SpoolHandle),
}

/// Why a caller can leave no message.
#[derive(Debug, thiserror::Error)]
enum NoPlace {
    #[error("the mailbox is full")]
    MailboxFull,
    #[error(transparent)]
    Spool(#[from] BeginError),
}

/// What a run wants of its leg after an input.
#[derive(Default)]
pub(super) struct Effects {
    /// To be sent.
    pub(super) packets: Vec<RtpPacket>,
    /// It ended by itself: the caller is to be hung up.
    pub(super) over: bool,
    /// The caller goes on in the phone menu, which must not hear the star key once more.
    pub(super) menu: Option<(MenuOrder, Keys)>,
    /// The caller goes where this key leads.
    pub(super) left: Option<Digit>,
}

impl DepositRun {
    /// A deposit in the leg's codec, whose place on the disk is being made from now on: what the caller hears first depends
    /// on it. `None` while the plane shuts down.
    pub(super) fn new(order: DepositOrder, codec: Codec, shared: Arc<Shared>) -> Option<Self> {
        let finisher = shared.finisher()?;
        let spool = begin_spool(&order, codec, &shared);
        let slot = |sound: &Sound| shared.sounds.get(sound, codec, &shared.runtime);
        let (greeting, spoken_name) = (order.greeting.as_ref().map(slot), order.spoken_name.as_ref().map(slot));
        let sounds = order.keys.iter().filter_map(|(digit, key)| match key {
            KeyOrder::Announce(sound) => Some((digit.as_char(), slot(sound))),
            KeyOrder::Leave => None,
        });
        let announcements = sounds.collect();
        let limits = DepositLimits { recording: order.longest, greeting: LONGEST + GREETING_WAIT, ..DepositLimits::default() };
        Some(Self {
            machine: Deposit::new(limits).with_keys(keys(&order)),
            order,
            greeting,
            spoken_name,
            announcements,
            codec,
            started: false,
            flows_since: None,
            player: None,
            spool,
            unavailable: false,
            mailbox_full: false,
            beep_due: false,
            look_at: None,
            recording: None,
            gathered: Vec::new(),
            hand_over_at: None,
            keep_alive_at: None,
            dtmf: DtmfReceiver::default(),
            tones: ToneReceiver::new(codec).ok(),
            kept: None,
            choosing: None,
            shared,
            finisher,
            over: false,
        })
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.over {
            return None;
        }
        let machine = match self.machine.poll_output() {
            Output::Timeout(at) => at,
            // Nothing is left undrained; at once, if it were.
            Output::Event(_) => Some(now),
        };
        // Waiting for packets to flow, for the prompts or for the spool is looked after like a packet.
        let waits = !self.started || self.beep_due;
        let waiting = waits.then(|| *self.look_at.get_or_insert(now + FRAME));
        let player = self.player.as_ref().map(|player| player.due);
        let choosing = self.choosing.as_mut().and_then(|choosing| choosing.timeout(now));
        [machine, waiting, player, choosing, self.keep_alive_at, self.hand_over_at].into_iter().flatten().min()
    }

    /// Time has come. `flows` says whether packets get through.
    pub(super) fn handle_timeout(&mut self, flows: bool, agreed: &Agreed, stream: &mut SendStream, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.look_at = None;
        self.start(flows, now);
        self.drain(stream, now, &mut effects);
        self.beep_if_ready(stream, now);
        self.play(agreed, stream, now, &mut effects);
        self.keep_alive(agreed, stream, now, &mut effects);
        if self.hand_over_at.is_some_and(|at| at <= now) {
            self.hand_over();
        }
        self.machine.handle_timeout(now);
        self.drain(stream, now, &mut effects);
        self.choose(agreed, stream, now, &mut effects);
        effects
    }

    /// A packet of the caller.
    pub(super) fn handle_packet(
        &mut self,
        packet: &RtpPacket,
        agreed: &Agreed,
        stream: &mut SendStream,
        now: Instant,
    ) -> Effects {
        let mut effects = Effects::default();
        match agreed.meaning(packet.payload_type) {
            Some(Meaning::Sound(codec)) if codec == self.codec => {
                // Who knows of telephone events sends no key as sound, and may talk like one.
                if agreed.event.is_none()
                    && let Some(digit) = self.tones.as_mut().and_then(|tones| tones.receive(&packet.payload))
                {
                    self.key(digit, now);
                }
                self.record(packet, now);
            }
            Some(Meaning::Event) => {
                if let Some(digit) = self.dtmf.receive(packet) {
                    self.key(digit, now);
                }
            }
            // One codec is negotiated for a deposit and kept.
            Some(Meaning::Sound(_) | Meaning::Comfort) | None => {}
        }
        self.drain(stream, now, &mut effects);
        effects
    }

    /// The caller pressed a key, as the signalling says.
    pub(super) fn handle_digit(&mut self, digit: Digit, stream: &mut SendStream, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.key(digit, now);
        self.drain(stream, now, &mut effects);
        effects
    }

    /// Without a menu behind it the star key means nothing.
    fn key(&mut self, digit: Digit, now: Instant) {
        if let Some(choosing) = self.choosing.as_mut().filter(|choosing| !choosing.records) {
            return choosing.choices.handle_digit(digit.as_char(), now);
        }
        if digit.as_char() != '*' || self.order.menu.is_some() {
            self.machine.handle_digit(digit.as_char(), now);
        }
    }

    /// The caller hung up, or (`interrupted`) we have to stop.
    pub(super) fn end(mut self, interrupted: bool, now: Instant) {
        self.flush(now);
        if interrupted {
            self.machine.handle_interruption();
        } else {
            self.machine.handle_hang_up();
        }
        while let Output::Event(event) = self.machine.poll_output() {
            if let Event::Stop { ending, keep } = event {
                self.finish(ending, keep);
            }
        }
        // The machine was over before: what waits is sent.
        self.send();
    }

    fn start(&mut self, flows: bool, now: Instant) {
        if self.started || !flows {
            return;
        }
        let since = *self.flows_since.get_or_insert(now);
        let is_slow = now >= since + GREETING_WAIT;
        let has_greeting = is_slow || [&self.greeting, &self.spoken_name].into_iter().flatten().all(|slot| slot.get().is_some());
        if now < since + LEAD_IN || !has_greeting || self.shared.prompts.get(self.codec).is_none() {
            return;
        }
        self.look_for_spool();
        match self.spool {
            SpoolSlot::Beginning(_) if now < since + SPOOL_PATIENCE => return,
            SpoolSlot::Beginning(_) | SpoolSlot::Ready(_) => self.machine.handle_start(now),
            SpoolSlot::None => self.refuse(now),
        }
        self.started = true;
    }

    /// Whether the place on the disk is there by now.
    fn look_for_spool(&mut self) {
        let SpoolSlot::Beginning(answer) = &mut self.spool else { return };
        self.spool = match answer.try_recv() {
            Ok(Ok(handle)) => SpoolSlot::Ready(handle),
            Ok(Err(NoPlace::MailboxFull)) => {
                tracing::info!(call = %self.order.envelope.call, "a message can't be left: the mailbox is full");
                self.mailbox_full = true;
                SpoolSlot::None
            }
            Ok(Err(NoPlace::Spool(error))) => self.without_spool(&error),
            Err(oneshot::error::TryRecvError::Closed) => self.without_spool(&BeginError::Closed),
            Err(oneshot::error::TryRecvError::Empty) => return,
        };
    }

    fn refuse(&mut self, now: Instant) {
        self.unavailable = true;
        self.machine.handle_unavailable(now);
    }

    fn drain(&mut self, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        while let Output::Event(event) = self.machine.poll_output() {
            match event {
                Event::PlayUnavailable => {
                    self.beep_due = false;
                    let shared = Arc::clone(&self.shared);
                    let said = shared.prompts.get(self.codec).map(|prompts| match self.mailbox_full {
                        true => prompts.full(self.order.language),
                        false => prompts.unavailable(self.order.language),
                    });
                    self.start_playing(said, Prompt::Greeting, stream, now);
                }
                Event::PlayGreeting => {
                    let greeting = self.greeting_frames();
                    self.start_playing(greeting.as_ref(), Prompt::Greeting, stream, now);
                }
                Event::PlayAnnouncement(key) => {
                    let sound = self.announcements.get(&key).and_then(|slot| slot.get()).cloned();
                    self.start_playing(sound.as_ref(), Prompt::Greeting, stream, now);
                }
                Event::Beep => {
                    self.player = None;
                    self.beep_due = true;
                    self.beep_if_ready(stream, now);
                }
                Event::StartRecording => self.start_recording(now),
                Event::WarningBeep => {
                    let shared = Arc::clone(&self.shared);
                    let warning = shared.prompts.get(self.codec).map(|prompts| &prompts.warning);
                    self.start_playing(warning, Prompt::Warning, stream, now);
                }
                Event::Stop { ending, keep } => {
                    if self.goes_on(ending, keep, now) {
                        continue;
                    }
                    self.finish(ending, keep);
                    effects.over = !matches!(ending, Ending::HungUp | Ending::Menu | Ending::Key(_));
                    effects.left = if let Ending::Key(key) = ending { Digit::from_char(key) } else { None };
                    let keys = Keys { dtmf: mem::take(&mut self.dtmf), tones: self.tones.take() };
                    effects.menu = self.order.menu.take().filter(|_| ending == Ending::Menu).map(|menu| (menu, keys));
                }
            }
        }
        self.drain_choices(stream, now, effects);
    }

    /// The owner's greeting, or their name and the one that comes with the server.
    fn greeting_frames(&self) -> Option<Frames> {
        let made = |slot: &Option<Slot>| slot.as_ref()?.get().filter(|frames| !frames.is_empty()).cloned();
        if let Some(own) = made(&self.greeting) {
            return Some(own);
        }
        let standard = self.shared.prompts.get(self.codec)?.greeting(self.order.language);
        Some(match made(&self.spoken_name) {
            Some(name) => name.iter().chain(standard.iter()).cloned().collect(),
            None => Arc::clone(standard),
        })
    }

    /// Beeps once the message's sidecar is durable, and never if it can't be.
    fn beep_if_ready(&mut self, stream: &mut SendStream, now: Instant) {
        if !self.beep_due {
            return;
        }
        self.look_for_spool();
        match self.spool {
            SpoolSlot::Beginning(_) => {}
            SpoolSlot::Ready(_) => {
                self.beep_due = false;
                let shared = Arc::clone(&self.shared);
                let beep = shared.prompts.get(self.codec).map(|prompts| &prompts.beep);
                self.start_playing(beep, Prompt::Beep, stream, now);
            }
            SpoolSlot::None => {
                self.beep_due = false;
                self.refuse(now);
            }
        }
    }

    fn without_spool(&self, error: &BeginError) -> SpoolSlot {
        tracing::error!(call = %self.order.envelope.call, %error, "a message can't be taken");
        SpoolSlot::None
    }

    fn start_playing(&mut self, frames: Option<&Frames>, prompt: Prompt, stream: &SendStream, now: Instant) {
        let frames = frames.map_or_else(|| Frames::from([]), Arc::clone);
        let timestamp = stream.timestamp_at(now, self.codec.clock_rate());
        self.player = Some(Player { frames, next: 0, due: now, timestamp, prompt });
        self.keep_alive_at = None;
    }

    /// Sends what is due. Deadlines are absolute, so that no delay adds up.
    fn play(&mut self, agreed: &Agreed, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        while let Some(player) = self.player.as_mut().filter(|player| player.due <= now) {
            if now > player.due + LOST_PLACE {
                player.due = now;
                player.timestamp = stream.timestamp_at(now, self.codec.clock_rate());
            }
            let Some(payload) = player.frames.get(player.next) else {
                let ended = match player.prompt {
                    Prompt::Greeting => Some(player.due),
                    // Not when it was due: a worker that was held up sends its end only now, and the caller waits for it.
                    Prompt::Beep => Some(now),
                    Prompt::Warning => None,
                };
                self.player = None;
                if let Some(at) = ended {
                    self.machine.handle_prompt_finished(at);
                    self.drain(stream, at, effects);
                } else {
                    self.keep_alive_at = Some(now + KEEP_ALIVE);
                }
                continue;
            };
            let marker = player.next == 0;
            effects.packets.push(stream.packet(marker, agreed.payload_type, player.timestamp, payload.clone(), player.due));
            player.timestamp = player.timestamp.wrapping_add(self.codec.frame_ticks());
            player.next += 1;
            player.due += FRAME;
        }
    }

    fn keep_alive(&mut self, agreed: &Agreed, stream: &mut SendStream, now: Instant, effects: &mut Effects) {
        if self.keep_alive_at.is_some_and(|at| at <= now) {
            self.keep_alive_at = Some(now + KEEP_ALIVE);
            let silence = self.shared.prompts.get(self.codec).map_or_else(Bytes::new, |prompts| prompts.silence.clone());
            let timestamp = stream.timestamp_at(now, self.codec.clock_rate());
            effects.packets.push(stream.packet(true, agreed.payload_type, timestamp, silence, now));
            self.flush_if_idle(now);
        }
    }

    fn start_recording(&mut self, now: Instant) {
        self.player = None;
        self.beep_due = false;
        self.keep_alive_at = Some(now + KEEP_ALIVE);
        match Recording::new(self.codec, now) {
            Ok((recording, header)) => {
                self.recording = Some(recording);
                self.append(&header, now);
            }
            Err(error) => {
                tracing::error!(%error, "a message can't be recorded");
                self.machine.handle_interruption();
            }
        }
    }

    fn record(&mut self, packet: &RtpPacket, now: Instant) {
        if let Some(recording) = &mut self.recording {
            let recorded = recording.push(packet, now);
            self.recorded(recorded, now);
        }
    }

    /// What still waits for its place in the order is placed.
    fn flush(&mut self, now: Instant) {
        if let Some(recording) = &mut self.recording {
            let recorded = recording.flush();
            self.recorded(recorded, now);
        }
    }

    fn flush_if_idle(&mut self, now: Instant) {
        if let Some(recording) = &mut self.recording {
            let recorded = recording.flush_if_idle(now);
            self.recorded(recorded, now);
        }
    }

    fn recorded(&mut self, (bytes, heard): (Vec<u8>, Heard), now: Instant) {
        for (sound, duration) in heard {
            self.machine.handle_sound(sound, duration, now);
        }
        self.append(&bytes, now);
    }

    fn append(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.gathered.extend_from_slice(bytes);
        if *self.hand_over_at.get_or_insert(now + GATHER) <= now {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.hand_over_at = None;
        let bytes = mem::take(&mut self.gathered);
        if bytes.is_empty() {
            return;
        }
        let SpoolSlot::Ready(handle) = &self.spool else {
            // The beep was given up waiting for: there is no place to record to.
            return self.machine.handle_interruption();
        };
        if let Err(error) = handle.append(bytes) {
            tracing::error!(call = %self.order.envelope.call, %error, "a recording is broken off");
            self.machine.handle_interruption();
        }
    }

    /// Completes the file and hands it over, with what the caller has said of it; the worker waits for nothing.
    fn finish(&mut self, ending: Ending, keep: bool) {
        let recorded = self.complete(ending, keep);
        tracing::info!(call = %self.order.envelope.call, ?ending, keep, duration_ms = recorded.sound.duration_ms, "a deposit ended");
        self.replace(recorded, keep);
        self.send();
    }

    /// What was recorded, as a whole file.
    fn complete(&mut self, ending: Ending, keep: bool) -> Kept {
        self.player = None;
        self.keep_alive_at = None;
        self.hand_over();
        let end = match (self.unavailable, self.mailbox_full) {
            (true, true) => EndReason::MailboxFull,
            (true, false) => EndReason::NoRoom,
            (false, _) => self.order.record.end,
        };
        let record = CallRecord { ended_at: Timestamp::now(), end, ..self.order.record.clone() };
        let interrupted = ending == Ending::Interrupted;
        let marks = Marks::default();
        let mut sound = FinishedSound { duration_ms: 0, peaks: Vec::new(), header_bytes: 0, record, interrupted, marks };
        let spool = mem::replace(&mut self.spool, SpoolSlot::None);
        if let (Some(recording), SpoolSlot::Ready(handle)) = (self.recording.take(), &spool)
            && let Err(error) = recording.complete(handle, &mut sound)
        {
            tracing::error!(call = %self.order.envelope.call, %error, "a recording is not complete; what is on the disk counts");
        }
        if !keep {
            // The spool makes no message of less than a second.
            sound.duration_ms = 0;
        }
        Kept::new(spool, sound)
    }

    /// Hands over what is kept, once.
    fn send(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        self.over = true;
        let Kept { spool, mut sound, .. } = kept;
        if let Some(choosing) = self.choosing.take() {
            sound.marks = choosing.choices.marks().clone();
        }
        sound.record.ended_at = Timestamp::now();
        let (shared, finisher, envelope) = (Arc::clone(&self.shared), self.finisher.clone(), self.order.envelope.clone());
        self.shared.runtime.spawn(async move {
            commit(&shared, spool, sound, envelope).await;
            drop(finisher);
        });
    }
}

/// What the machine has to know of a mailbox's keys.
fn keys(order: &DepositOrder) -> BTreeMap<char, Key> {
    let meaning = |key: &KeyOrder| match key {
        KeyOrder::Leave => Key::Leave,
        KeyOrder::Announce(_) => Key::Announce,
    };
    order.keys.iter().map(|(digit, key)| (digit.as_char(), meaning(key))).collect()
}

/// Makes the place for the recording.
fn begin_spool(order: &DepositOrder, codec: Codec, shared: &Shared) -> SpoolSlot {
    let (media_type, codec) = (Recording::media_type(codec), codec.name());
    let format = aftertone_server_store::SoundFormat { media_type: media_type.into(), codec: codec.into() };
    let DepositOrder { envelope, record, language, .. } = order.clone();
    let jobs = vec![compact_later(envelope.id, envelope.received_at)];
    let recording = NewRecording { envelope, record, format, language, jobs };
    let (reply, answer) = oneshot::channel();
    let (spool, store) = (Arc::clone(&shared.spool), Arc::clone(&shared.store));
    shared.runtime.spawn(async move {
        let begun = match is_full(store.as_ref(), recording.envelope.mailbox).await {
            true => Err(NoPlace::MailboxFull),
            false => spool.begin(recording).await.map_err(NoPlace::from),
        };
        reply.send(begun)
    });
    SpoolSlot::Beginning(answer)
}

/// Whether a mailbox takes nothing more. Where the store doesn't say, a message is rather too many than lost. What runs is
/// never cut short: it may go beyond the quota.
async fn is_full(store: &dyn Store, mailbox: SubscriberId) -> bool {
    match store.fullness(mailbox).await {
        Ok(fullness) => fullness == Fullness::Full,
        Err(error) => {
            tracing::warn!(%error, "can't look how full a mailbox is");
            false
        }
    }
}

/// Makes the recording a message, or logs the call alone, and tells of it.
async fn commit(shared: &Shared, spool: SpoolSlot, sound: FinishedSound, envelope: Envelope) {
    let handle = match spool {
        SpoolSlot::None => None,
        SpoolSlot::Ready(handle) => Some(handle),
        SpoolSlot::Beginning(answer) => answer.await.ok().and_then(Result::ok),
    };
    let message = match handle {
        None if envelope.test => None,
        None => {
            if let Err(error) = shared.store.commit_call_record(&sound.record).await {
                tracing::error!(call = %envelope.call, %error, "a call is not logged");
            }
            None
        }
        Some(handle) => match handle.finish(sound).await {
            Ok(Finished::Message(message)) => Some(message.envelope.id),
            Ok(Finished::TooShort | Finished::Expunged) => None,
            Err(error) => {
                tracing::error!(call = %envelope.call, %error, "a message is not committed yet; the spool tries again");
                None
            }
        },
    };
    let event = MediaEvent::Deposited { mailbox: envelope.mailbox, call: envelope.call, message };
    // Nobody listens any more at the end of a shutdown.
    let _ = shared.events.send(event).await;
}

/// Logs the call of a deposit that could not even begin.
pub(super) fn give_up(shared: &Arc<Shared>, order: DepositOrder) {
    let (shared, finisher) = (Arc::clone(shared), shared.finisher());
    let record = CallRecord { ended_at: Timestamp::now(), ..order.record };
    let sound =
        FinishedSound { duration_ms: 0, peaks: Vec::new(), header_bytes: 0, record, interrupted: false, marks: Marks::default() };
    shared.runtime.clone().spawn(async move {
        commit(&shared, SpoolSlot::None, sound, order.envelope).await;
        drop(finisher);
    });
}

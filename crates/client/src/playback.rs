//! Plays one message at a time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftertone_model::{Message, MessageId, Timestamp};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    AudioIo, AudioSink, FRAME_SAMPLES, Frame, PlaybackSnapshot, PlaybackState,
    http::Api,
    run::Input,
    session::PlaybackAction,
    sound,
    store::{Mailbox, StoreError},
    synchronise::{SoundError, fetch_sound},
};

/// A message counts as heard after so much of it came out (or all of it, if it is shorter).
const HEARD_MS: u64 = 1_000;
/// The position is told that often.
const TOLD_EVERY: Duration = Duration::from_millis(200);
const FRAME_MS: u64 = 10;

/// What the player tells the loop.
#[derive(Debug)]
pub(crate) enum PlayerEvent {
    Changed(PlaybackSnapshot),
    Heard(MessageId),
}

/// Plays messages, each on a task of its own; a new one stops the one before.
pub(crate) struct Player {
    api: Api,
    mailbox: Mailbox,
    /// Where sounds are while they are being fetched.
    parts: PathBuf,
    audio: Arc<dyn AudioIo>,
    inputs: mpsc::UnboundedSender<Input>,
    volume: u8,
    playing: Option<Playing>,
}

struct Playing {
    message: MessageId,
    actions: mpsc::UnboundedSender<PlaybackAction>,
    task: JoinHandle<()>,
}

impl Player {
    pub(crate) fn new(
        api: Api,
        mailbox: Mailbox,
        parts: PathBuf,
        audio: Arc<dyn AudioIo>,
        inputs: mpsc::UnboundedSender<Input>,
    ) -> Self {
        Self { api, mailbox, parts, audio, inputs, volume: 100, playing: None }
    }

    pub(crate) fn play(&mut self, message: &Message, from_ms: u64) {
        self.act(PlaybackAction::Stop);
        let (actions, waiting) = mpsc::unbounded_channel();
        let snapshot = PlaybackSnapshot {
            message: message.envelope.id,
            state: PlaybackState::Loading,
            position_ms: from_ms.min(message.duration_ms),
            duration_ms: message.duration_ms,
            volume: self.volume,
        };
        let play = Play { snapshot, actions: waiting, inputs: self.inputs.clone(), sounded_ms: 0, heard: false };
        let (api, mailbox, parts) = (self.api.clone(), self.mailbox.clone(), self.parts.clone());
        let (audio, message) = (Arc::clone(&self.audio), message.clone());
        let id = message.envelope.id;
        let task = tokio::spawn(async move {
            let mut play = play;
            play.tell();
            match load(&api, &mailbox, &parts, &message).await {
                Ok(samples) => match tokio::task::spawn_blocking(move || audio.playback_sink()).await {
                    Ok(sink) => play.run(&samples, sink).await,
                    Err(_) => play.end(PlaybackState::Failed),
                },
                Err(e) => {
                    tracing::info!(message = %id, error = %e, "a message can't be played");
                    play.end(PlaybackState::Failed);
                }
            }
        });
        self.playing = Some(Playing { message: id, actions, task });
    }

    pub(crate) fn act(&mut self, action: PlaybackAction) {
        if let PlaybackAction::Volume(percent) = action {
            self.volume = percent.min(200);
        }
        if let Some(playing) = &self.playing {
            let _ended = playing.actions.send(action);
        }
    }

    /// The message is gone: if it plays, it ends.
    pub(crate) fn forget(&mut self, message: MessageId) {
        if self.playing.as_ref().is_some_and(|playing| playing.message == message) {
            self.act(PlaybackAction::Stop);
        }
    }

    pub(crate) async fn close(mut self) {
        if let Some(playing) = self.playing.take() {
            drop(playing.actions);
            playing.task.abort();
            let _cancelled = playing.task.await;
        }
    }
}

/// Why a message can't be played.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Sound(#[from] SoundError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored sound can't be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("the stored sound can't be decoded: {0}")]
    Decode(String),
}

async fn load(api: &Api, mailbox: &Mailbox, parts: &Path, message: &Message) -> Result<Vec<i16>, LoadError> {
    let path = mailbox.sound_path(message);
    if tokio::fs::try_exists(&path).await? {
        mailbox.sound_used(message.envelope.id, Timestamp::now()).await?;
    } else {
        fetch_sound(api, mailbox, parts, message).await?;
    }
    let decoded = tokio::task::spawn_blocking(move || decode(&path)).await;
    decoded.unwrap_or_else(|e| Err(LoadError::Decode(e.to_string())))
}

fn decode(path: &Path) -> Result<Vec<i16>, LoadError> {
    let bytes = std::fs::read(path)?;
    sound::decode_file(&bytes).map_err(|e| LoadError::Decode(e.to_string()))
}

/// One message being played.
struct Play {
    snapshot: PlaybackSnapshot,
    actions: mpsc::UnboundedReceiver<PlaybackAction>,
    inputs: mpsc::UnboundedSender<Input>,
    /// How much sound came out, whatever was skipped or repeated.
    sounded_ms: u64,
    heard: bool,
}

impl Play {
    async fn run(&mut self, samples: &[i16], mut sink: Box<dyn AudioSink>) {
        self.snapshot.duration_ms = samples.len() as u64 / 48;
        self.seek(self.snapshot.position_ms);
        self.snapshot.state = PlaybackState::Playing;
        self.tell();
        let mut ticks = interval(Duration::from_millis(FRAME_MS));
        // Behind by less than a moment it catches up, so that a device with its own clock doesn't run dry.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut told = tokio::time::Instant::now();
        loop {
            tokio::select! {
                biased;
                action = self.actions.recv() => match action {
                    Some(PlaybackAction::Stop) | None => break,
                    Some(action) => {
                        self.act(action);
                        ticks.reset();
                        self.tell();
                    }
                },
                _ = ticks.tick(), if self.snapshot.state == PlaybackState::Playing => {
                    if !self.frame(samples, &mut *sink) { break }
                    if told.elapsed() >= TOLD_EVERY {
                        told = tokio::time::Instant::now();
                        self.tell();
                    }
                }
            }
        }
        self.end(PlaybackState::Ended);
    }

    fn act(&mut self, action: PlaybackAction) {
        match action {
            PlaybackAction::Pause => self.snapshot.state = PlaybackState::Paused,
            PlaybackAction::Resume => self.snapshot.state = PlaybackState::Playing,
            PlaybackAction::Seek(position_ms) => self.seek(position_ms),
            PlaybackAction::Volume(percent) => self.snapshot.volume = percent.min(200),
            PlaybackAction::Stop => {}
        }
    }

    fn seek(&mut self, position_ms: u64) {
        // To whole frames.
        self.snapshot.position_ms = position_ms.min(self.snapshot.duration_ms) / FRAME_MS * FRAME_MS;
    }

    /// Plays ten milliseconds; `false` at the end.
    fn frame(&mut self, samples: &[i16], sink: &mut dyn AudioSink) -> bool {
        let start = usize::try_from(self.snapshot.position_ms * 48).unwrap_or(usize::MAX);
        let Some(rest) = samples.get(start..).filter(|rest| !rest.is_empty()) else { return false };
        let mut frame: Frame = [0; FRAME_SAMPLES];
        for (out, sample) in frame.iter_mut().zip(rest) {
            *out = scaled(*sample, self.snapshot.volume);
        }
        sink.write(&frame);
        self.snapshot.position_ms = (self.snapshot.position_ms + FRAME_MS).min(self.snapshot.duration_ms);
        self.sounded_ms += FRAME_MS;
        let last = rest.len() <= FRAME_SAMPLES;
        if !self.heard && (self.sounded_ms >= HEARD_MS || last) {
            self.heard = true;
            let _over = self.inputs.send(Input::Player(PlayerEvent::Heard(self.snapshot.message)));
        }
        !last
    }

    fn end(&mut self, state: PlaybackState) {
        self.snapshot.state = state;
        self.tell();
    }

    fn tell(&self) {
        let _over = self.inputs.send(Input::Player(PlayerEvent::Changed(self.snapshot)));
    }
}

fn scaled(sample: i16, percent: u8) -> i16 {
    let scaled = i32::from(sample) * i32::from(percent) / 100;
    i16::try_from(scaled).unwrap_or(if scaled > 0 { i16::MAX } else { i16::MIN })
}

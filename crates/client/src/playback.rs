//! Plays one message or greeting at a time.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftertone_media::stretch::{self, Stretch};
use aftertone_model::{Message, MessageId, Timestamp};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    AudioIo, AudioSink, CommandError, FRAME_SAMPLES, Frame, PlaybackSnapshot, PlaybackState, Played, SAMPLE_RATE,
    greetings::{self, GreetingSoundError, Sounding},
    http::{Api, ApiError},
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
const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;
/// Quieter than -60 dBFS nobody hears anything: the silence of a bad recording is no message.
const AUDIBLE: u16 = 32;
/// A device that takes nothing for so long isn't there.
const UNHEARD_MS: u64 = 2_000;

/// What the player tells the loop.
#[derive(Debug)]
pub(crate) enum PlayerEvent {
    Changed(PlaybackSnapshot),
    Heard(MessageId),
}

/// Plays sounds, each on a task of its own; a new one stops the one before.
pub(crate) struct Player {
    api: Api,
    mailbox: Mailbox,
    /// Where sounds are while they are being fetched.
    parts: PathBuf,
    audio: Arc<dyn AudioIo>,
    inputs: mpsc::UnboundedSender<Input>,
    taste: Taste,
    playing: Option<Playing>,
}

/// How messages are to sound; it holds for those that are played later too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taste {
    /// In percent of the recording's.
    pub(crate) volume: u8,
    /// In percent of how fast it was spoken.
    pub(crate) rate: u16,
    pub(crate) skip_silence: bool,
}

struct Playing {
    played: Played,
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
        let taste = Taste { volume: 100, rate: 100, skip_silence: false };
        Self { api, mailbox, parts, audio, inputs, taste, playing: None }
    }

    pub(crate) fn play(&mut self, wanted: Wanted, from_ms: u64) {
        self.act(PlaybackAction::Stop);
        let (actions, waiting) = mpsc::unbounded_channel();
        let (played, duration_ms) = (wanted.played(), wanted.duration_ms());
        let snapshot = PlaybackSnapshot {
            played,
            state: PlaybackState::Loading,
            position_ms: from_ms.min(duration_ms),
            duration_ms,
            volume: self.taste.volume,
            rate: self.taste.rate,
        };
        let taste = self.taste;
        let play = Play { snapshot, taste, actions: waiting, inputs: self.inputs.clone(), sounded_ms: 0, heard: false };
        let (api, mailbox, parts) = (self.api.clone(), self.mailbox.clone(), self.parts.clone());
        let audio = Arc::clone(&self.audio);
        let task = tokio::spawn(async move {
            let mut play = play;
            play.tell();
            match load(&api, &mailbox, &parts, wanted).await {
                Ok(samples) => match tokio::task::spawn_blocking(move || audio.playback_sink()).await {
                    Ok(sink) => play.run(Track::new(samples), sink).await,
                    Err(_) => play.end(PlaybackState::Failed),
                },
                Err(e) => {
                    tracing::info!(?played, error = %e, "it can't be played");
                    play.end(PlaybackState::Failed);
                }
            }
        });
        self.playing = Some(Playing { played, actions, task });
    }

    pub(crate) fn act(&mut self, action: PlaybackAction) {
        if let PlaybackAction::Taste(taste) = action {
            self.taste = taste;
        }
        if let Some(playing) = &self.playing {
            let _ended = playing.actions.send(action);
        }
    }

    /// It is gone: if it plays, it ends.
    pub(crate) fn forget(&mut self, gone: Played) {
        if self.playing.as_ref().is_some_and(|playing| playing.played == gone) {
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

/// What is to be played.
pub(crate) enum Wanted {
    Message(Box<Message>),
    Greeting(Sounding),
    AccountGreeting,
    Recording(Arc<[i16]>),
}

impl Wanted {
    fn played(&self) -> Played {
        match self {
            Self::Message(message) => Played::Message(message.envelope.id),
            Self::Greeting(greeting) => Played::Greeting(greeting.id),
            Self::AccountGreeting => Played::AccountGreeting,
            Self::Recording(_) => Played::Recording,
        }
    }

    fn duration_ms(&self) -> u64 {
        match self {
            Self::Message(message) => message.duration_ms,
            Self::Greeting(greeting) => greeting.duration_ms,
            // Told once it is here.
            Self::AccountGreeting => 0,
            Self::Recording(pcm) => pcm.len() as u64 / SAMPLES_PER_MS,
        }
    }
}

/// Why something can't be played.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Sound(#[from] SoundError),
    #[error(transparent)]
    Greeting(#[from] GreetingSoundError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the stored sound can't be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("the stored sound can't be decoded: {0}")]
    Decode(String),
}

/// The file with a message's sound, fetched if it isn't stored.
async fn stored(api: &Api, mailbox: &Mailbox, parts: &Path, message: &Message) -> Result<PathBuf, LoadError> {
    let path = mailbox.sound_path(message);
    if tokio::fs::try_exists(&path).await? {
        mailbox.sound_used(message.envelope.id, Timestamp::now()).await?;
    } else {
        fetch_sound(api, mailbox, parts, message).await?;
    }
    Ok(path)
}

/// [`stored`], for who asks from outside.
pub(crate) async fn stored_sound(api: &Api, mailbox: &Mailbox, parts: &Path, message: &Message) -> Result<PathBuf, CommandError> {
    stored(api, mailbox, parts, message).await.map_err(|error| CommandError::NoSound(error.to_string()))
}

async fn load(api: &Api, mailbox: &Mailbox, parts: &Path, wanted: Wanted) -> Result<Vec<i16>, LoadError> {
    let path = match wanted {
        Wanted::Message(message) => stored(api, mailbox, parts, &message).await?,
        Wanted::Greeting(greeting) => greetings::sound(api, &greeting, parts).await?,
        // Not kept: its name and its language change, and it is short.
        Wanted::AccountGreeting => {
            let file = api.account_greeting().await?;
            return decoded(move || Ok(file)).await;
        }
        Wanted::Recording(pcm) => return Ok(pcm.to_vec()),
    };
    decoded(move || std::fs::read(path)).await
}

async fn decoded(read: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static) -> Result<Vec<i16>, LoadError> {
    let decode = move || sound::decode_file(&read()?).map_err(|e| LoadError::Decode(e.to_string()));
    tokio::task::spawn_blocking(decode).await.unwrap_or_else(|e| Err(LoadError::Decode(e.to_string())))
}

/// Something being played.
struct Play {
    snapshot: PlaybackSnapshot,
    taste: Taste,
    actions: mpsc::UnboundedReceiver<PlaybackAction>,
    inputs: mpsc::UnboundedSender<Input>,
    /// How much sound came out, whatever was skipped or repeated.
    sounded_ms: u64,
    heard: bool,
}

impl Play {
    async fn run(&mut self, mut track: Track, mut sink: Box<dyn AudioSink>) {
        self.snapshot.duration_ms = track.pcm.len() as u64 / SAMPLES_PER_MS;
        self.snapshot.position_ms = track.seek(self.snapshot.position_ms);
        let mut unheard_ms = 0;
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
                        self.act(action, &mut track);
                        unheard_ms = 0;
                        ticks.reset();
                        self.tell();
                    }
                },
                _ = ticks.tick(), if self.snapshot.state == PlaybackState::Playing => {
                    if !self.frame(&mut track, &mut *sink) { break }
                    unheard_ms = if sink.is_heard() { 0 } else { unheard_ms + FRAME_MS };
                    if unheard_ms >= UNHEARD_MS {
                        return self.end(PlaybackState::NoDevice);
                    }
                    if told.elapsed() >= TOLD_EVERY {
                        told = tokio::time::Instant::now();
                        self.tell();
                    }
                }
            }
        }
        self.end(PlaybackState::Ended);
    }

    fn act(&mut self, action: PlaybackAction, track: &mut Track) {
        match action {
            PlaybackAction::Pause => self.snapshot.state = PlaybackState::Paused,
            PlaybackAction::Resume => self.snapshot.state = PlaybackState::Playing,
            PlaybackAction::Seek(position_ms) => self.snapshot.position_ms = track.seek(position_ms),
            PlaybackAction::Taste(taste) => {
                self.taste = taste;
                (self.snapshot.volume, self.snapshot.rate) = (taste.volume, taste.rate);
            }
            PlaybackAction::Stop => {}
        }
    }

    /// Plays ten milliseconds; `false` at the end.
    fn frame(&mut self, track: &mut Track, sink: &mut dyn AudioSink) -> bool {
        let mut frame: Frame = [0; FRAME_SAMPLES];
        let goes_on = track.next(self.taste, &mut frame);
        let sounds = frame.iter().any(|sample| sample.unsigned_abs() > AUDIBLE);
        sink.write(&frame);
        self.snapshot.position_ms = track.position_ms();
        if self.taste.volume > 0 && sink.is_heard() {
            self.sounded_ms += if sounds { FRAME_MS } else { 0 };
            if !self.heard && (self.sounded_ms >= HEARD_MS || (!goes_on && self.sounded_ms > 0)) {
                self.heard = true;
                if let Played::Message(message) = self.snapshot.played {
                    let _over = self.inputs.send(Input::Player(PlayerEvent::Heard(message)));
                }
            }
        }
        goes_on
    }

    fn end(&mut self, state: PlaybackState) {
        self.snapshot.state = state;
        self.tell();
    }

    fn tell(&self) {
        let _over = self.inputs.send(Input::Player(PlayerEvent::Changed(self.snapshot)));
    }
}

/// A sound, and where it is read.
struct Track {
    pcm: Vec<i16>,
    /// What may be skipped.
    pauses: Vec<Range<usize>>,
    stretch: Stretch,
    position: usize,
    /// Read and not played yet.
    ready: Vec<i16>,
}

impl Track {
    fn new(pcm: Vec<i16>) -> Self {
        let pauses = stretch::pauses(&pcm, SAMPLE_RATE);
        Self { pcm, pauses, stretch: Stretch::new(SAMPLE_RATE), position: 0, ready: Vec::new() }
    }

    /// Goes there; says where that is.
    fn seek(&mut self, position_ms: u64) -> u64 {
        let position = usize::try_from(position_ms * SAMPLES_PER_MS).unwrap_or(usize::MAX);
        self.position = position.min(self.pcm.len());
        self.ready.clear();
        self.position_ms()
    }

    fn position_ms(&self) -> u64 {
        self.position as u64 / SAMPLES_PER_MS
    }

    /// Fills the next ten milliseconds; `false` at the end.
    fn next(&mut self, taste: Taste, frame: &mut Frame) -> bool {
        while self.ready.len() < FRAME_SAMPLES && self.position < self.pcm.len() {
            if taste.skip_silence {
                let pause = self.pauses.iter().find(|pause| pause.contains(&self.position));
                self.position = pause.map_or(self.position, |pause| pause.end);
            }
            self.position = self.stretch.read(&self.pcm, self.position, taste.rate, &mut self.ready);
        }
        let count = self.ready.len().min(FRAME_SAMPLES);
        for (out, sample) in frame.iter_mut().zip(self.ready.drain(..count)) {
            *out = scaled(sample, taste.volume);
        }
        !self.ready.is_empty() || self.position < self.pcm.len()
    }
}

fn scaled(sample: i16, percent: u8) -> i16 {
    let scaled = i32::from(sample) * i32::from(percent) / 100;
    i16::try_from(scaled).unwrap_or(if scaled > 0 { i16::MAX } else { i16::MIN })
}

//! What the window does with greetings: the list, the recorder, the coach.

use std::{sync::Arc, time::Duration};

use aftertone_client::{CommandError, Greetings, NewGreeting, Purpose, RemovedPart, SAMPLE_RATE, Session, WaitingGreeting};
use aftertone_media::{
    container,
    import::{self, ImportError, ImportLimits},
    level::{self, Peaks},
    resample::resample,
};
use aftertone_model::{GreetingId, GreetingKind, Temporary, Timestamp};
use aftertone_sync::{GreetingBody, ProblemCode};
use aftertone_view::{
    Code, Command, ConnectionView, Event, ExpiryView, GreetingRow, GreetingState, GreetingUse, GreetingsView, PlanPart,
    RecorderView, RecordingUse, Secret, SpokenName, ToastAbout, coach_view,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngExt;

use super::{
    Input, Shell,
    perform::{Reply, command_code},
    rules::Rules,
};
use crate::{
    sound::recorder::{LONGEST_NAME_S, LONGEST_S, Progress, Recorder},
    window,
};

/// The server takes no larger file.
const MOST_BYTES: usize = 32 << 20;
/// Quieter than this all through, nothing can be heard.
const AUDIBLE_DBFS: f32 = -55.0;
/// As the phone menu calls it; the same in both languages.
const NAME_TITLE: &str = "Name";
const SAMPLES_PER_MS: usize = SAMPLE_RATE as usize / 1000;

/// What is recorded, and what was.
#[derive(Default)]
pub(super) struct Studio {
    recorder: Option<Recorder>,
    recorded: Arc<[i16]>,
    view: RecorderView,
}

impl Studio {
    pub(super) fn is_recording(&self) -> bool {
        self.recorder.is_some()
    }
}

/// What the undo of a toast brings back.
pub(super) enum Removed {
    Greeting(GreetingId),
    FromPlan(RemovedPart),
}

/// What a command about greetings comes to.
type Done = Result<Option<Toast>, Code>;

/// What is told then.
pub(crate) enum Toast {
    /// A greeting or the spoken name is gone, and can be brought back.
    Removed(GreetingId, ToastAbout),
    /// Something is gone from the plan, and can be put back.
    RemovedFromPlan(PlanPart, RemovedPart),
    /// Nothing: the window shows it.
    Nothing,
    /// This.
    About(ToastAbout),
}

impl Shell {
    /// Performs a command that is about greetings.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others were performed elsewhere")]
    pub(super) async fn perform_greeting(&mut self, command: Command, reply: Reply) {
        let result = match command {
            Command::PlayGreeting { greeting, position_ms } => self.play_greeting(greeting, position_ms).await,
            Command::PlayAccountGreeting => self.play_account_greeting(),
            Command::DescribeGreeting { greeting, title, text, language, expires_at } => {
                let body = body(&title, text, language, expires_at);
                return self
                    .ask_greetings(reply, async move |session| session.describe_greeting(greeting, body).await.map(|()| None));
            }
            Command::SetStandardGreeting { greeting } => {
                return self
                    .ask_greetings(reply, async move |session| session.set_standard_greeting(greeting).await.map(|()| None));
            }
            Command::SetTemporaryGreeting { greeting, until } => {
                let temporary = greeting.map(|greeting| Temporary { greeting, until });
                return self
                    .ask_greetings(reply, async move |session| session.set_temporary_greeting(temporary).await.map(|()| None));
            }
            Command::RemoveGreeting { greeting } => {
                let about = self.removed_greeting(greeting);
                return self.ask_greetings(reply, async move |session| {
                    session.remove_greeting(greeting).await?;
                    Ok(Some(Toast::Removed(greeting, about)))
                });
            }
            Command::StartRecording { usage } => self.start_recording(usage),
            Command::StopRecording => {
                self.stop_recording();
                Ok(())
            }
            Command::LoadRecording { name, sound } => return self.load_recording(name, sound, reply),
            Command::DiscardRecording => {
                self.forget_recording();
                Ok(())
            }
            Command::PlayRecording { from_ms, to_ms } => self.play_recording(from_ms, to_ms),
            Command::SaveGreeting { title, text, language, expires_at, from_ms, to_ms, usage } => {
                let body = body(&title, text, language, expires_at);
                return self.save_greeting(body, from_ms, to_ms, purpose(usage), reply);
            }
            Command::SaveName { text, language, from_ms, to_ms } => {
                let body = GreetingBody { kind: GreetingKind::Name, ..body(NAME_TITLE, text, language, None) };
                return self.save_greeting(body, from_ms, to_ms, Purpose::Keep, reply);
            }
            Command::Coach { text } => {
                let name = self.phone.as_ref().map(|phone| phone.me.name.clone()).unwrap_or_default();
                window::tell(&self.app, &Event::Coach(coach_view(&text, &name, Timestamp::now())));
                Ok(())
            }
            _ => Err(Code::Internal),
        };
        let _window_gone = reply.send(result);
    }

    /// Asks beside the loop; a slow server holds back no call.
    pub(super) fn ask_greetings<F>(&self, reply: Reply, ask: impl FnOnce(Session) -> F + Send + 'static)
    where
        F: Future<Output = Result<Option<Toast>, CommandError>> + Send + 'static,
    {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let done: Done = match session {
                None => Err(Code::NotSignedIn),
                Some(session) => ask(session).await.map_err(|error| command_code(&error)),
            };
            if let Ok(Some(toast)) = done {
                inputs.send(Input::GreetingDone(toast, reply));
            } else {
                let _window_gone = reply.send(done.map(drop));
            }
        });
    }

    /// The window sees what was done before it hears that it was: the next change is made of this one.
    pub(super) async fn greeting_done(&mut self, toast: Toast, reply: Reply) {
        self.read_greetings().await;
        match toast {
            Toast::Removed(id, about) => self.tell_removed(about, Removed::Greeting(id)),
            Toast::RemovedFromPlan(part, removed) => {
                self.tell_removed(ToastAbout::RemovedFromPlan { part }, Removed::FromPlan(removed));
            }
            Toast::Nothing => {}
            Toast::About(about) => {
                self.forget_recording();
                self.toast(about);
            }
        }
        let _window_gone = reply.send(Ok(()));
    }

    fn tell_removed(&mut self, about: ToastAbout, removed: Removed) {
        let toast = self.mailbox.toast(about, true);
        self.removed.insert(toast.id, removed);
        window::tell(&self.app, &Event::Toast(toast));
    }

    /// Brings back what a toast told of, if it is a greeting or of the plan; hands the reply back where it told of something else.
    pub(super) fn undo_greeting(&mut self, toast: u32, reply: Reply) -> Option<Reply> {
        let Some(removed) = self.removed.remove(&toast) else { return Some(reply) };
        self.ask_greetings(reply, async move |session| {
            match removed {
                Removed::Greeting(id) => session.restore_greeting(id).await?,
                Removed::FromPlan(removed) => session.put_back(removed).await?,
            }
            Ok(Some(Toast::Nothing))
        });
        None
    }

    /// Plays; what is paused goes on where it is.
    async fn play_greeting(&self, greeting: GreetingId, position_ms: Option<u32>) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let is_paused =
            self.playback.as_ref().is_some_and(|at| at.greeting == Some(greeting) && !at.playing && at.position_ms > 0);
        if position_ms.is_none() && is_paused && session.snapshot().playback.is_some() {
            session.resume();
            return Ok(());
        }
        session.play_greeting(greeting, position_ms.unwrap_or(0).into()).await.map_err(|error| command_code(&error))
    }

    fn play_account_greeting(&self) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let is_paused = self.playback.as_ref().is_some_and(|at| at.account_greeting && !at.playing && at.position_ms > 0);
        if is_paused && session.snapshot().playback.is_some() {
            session.resume();
        } else {
            session.play_account_greeting();
        }
        Ok(())
    }

    /// Reads the greetings and shows them.
    pub(super) async fn read_greetings(&mut self) {
        let Some(session) = self.session() else { return };
        let reachable = self.connection() == Some(ConnectionView::Connected);
        match session.greetings().await {
            Ok(greetings) => {
                self.show_rules(&greetings.stored, greetings.plan.clone());
                self.greetings = greetings_view(greetings, reachable);
            }
            Err(error) => tracing::error!(%error, "the stored greetings can't be read"),
        }
        self.tell_greetings();
    }

    pub(super) fn tell_greetings(&self) {
        window::tell(&self.app, &Event::Greetings(self.greetings.clone()));
        window::tell(&self.app, &Event::Recorder(self.studio.view.clone()));
    }

    /// What is told once it is removed.
    fn removed_greeting(&self, id: GreetingId) -> ToastAbout {
        if self.greetings.name.as_ref().is_some_and(|name| name.id == id) {
            return ToastAbout::NameRemoved;
        }
        let title = self.greetings.greetings.iter().find(|row| row.id == id).map(|row| row.title.clone());
        ToastAbout::GreetingRemoved { title: title.unwrap_or_default() }
    }

    fn start_recording(&mut self, usage: RecordingUse) -> Result<(), Code> {
        if self.studio.is_recording() {
            return Ok(());
        }
        if let Some(session) = self.session() {
            session.stop();
        }
        let inputs = self.inputs.clone();
        let longest_s = match usage {
            RecordingUse::Greeting => LONGEST_S,
            RecordingUse::Name => LONGEST_NAME_S,
        };
        let recorder = self.sound.record(longest_s, move |progress| inputs.send(Input::Recorder(progress)));
        self.studio = Studio { recorder: Some(recorder.ok_or(Code::AudioDevice)?), ..Studio::default() };
        self.sound.show_levels(true);
        Ok(())
    }

    pub(super) fn recorder(&mut self, progress: Progress) {
        if !self.studio.is_recording() {
            return;
        }
        let view = match progress {
            Progress::Countdown(seconds) => RecorderView::Countdown { seconds },
            Progress::Recording(samples) => RecorderView::Recording { elapsed_ms: milliseconds(samples) },
            Progress::Full => return self.stop_recording(),
        };
        self.show_recorder(view);
    }

    fn stop_recording(&mut self) {
        let Some(recorder) = self.studio.recorder.take() else { return };
        self.sound.show_levels(self.calls.any_connected());
        self.recorded(recorder.finish(), None);
    }

    pub(super) fn recorded(&mut self, pcm: Vec<i16>, file: Option<String>) {
        let view = if pcm.is_empty() { RecorderView::Empty } else { recorded_view(&pcm, file) };
        self.studio.recorded = pcm.into();
        self.show_recorder(view);
    }

    fn show_recorder(&mut self, view: RecorderView) {
        self.studio.view = view;
        window::tell(&self.app, &Event::Recorder(self.studio.view.clone()));
    }

    pub(super) fn forget_recording(&mut self) {
        if self.studio.is_recording() {
            self.stop_recording();
        }
        self.recorded(Vec::new(), None);
    }

    /// Reads a file in the place of a recording, beside the loop.
    fn load_recording(&mut self, name: String, sound: Secret, reply: Reply) {
        self.forget_recording();
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn_blocking(move || {
            let loaded = read_file(sound.reveal()).map(|pcm| inputs.send(Input::Loaded(pcm, name)));
            let _window_gone = reply.send(loaded);
        });
    }

    fn play_recording(&self, from_ms: u32, to_ms: u32) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let heard = self.studio.recorded.get(..sample(to_ms).min(self.studio.recorded.len())).unwrap_or_default();
        let is_paused = self
            .playback
            .as_ref()
            .is_some_and(|at| at.is_paused_recording() && at.position_ms > from_ms && at.position_ms < to_ms);
        if is_paused {
            session.resume();
        } else {
            session.play_recording(heard.into(), from_ms.into());
        }
        Ok(())
    }

    fn save_greeting(&mut self, body: GreetingBody, from_ms: u32, to_ms: u32, purpose: Purpose, reply: Reply) {
        let recorded = Arc::clone(&self.studio.recorded);
        let online = self.connection() == Some(ConnectionView::Connected);
        self.ask_greetings(reply, async move |session| {
            let range = sample(from_ms)..sample(to_ms).min(recorded.len());
            let pcm = recorded.get(range).filter(|pcm| !pcm.is_empty()).ok_or(CommandError::NoSuchMessage)?;
            let waits = !online;
            let about = match body.kind {
                GreetingKind::Greeting => ToastAbout::GreetingKept { title: body.title.clone(), waits },
                GreetingKind::Name => ToastAbout::NameKept { waits },
            };
            session.add_greeting(new_greeting(pcm, body, purpose)).await?;
            Ok(Some(Toast::About(about)))
        });
    }

    /// A toast that says nothing of a greeting any more can't bring one back.
    pub(super) fn forget_greetings(&mut self) {
        self.removed.clear();
        self.rules = Rules::default();
        self.greetings = GreetingsView::default();
        self.studio = Studio::default();
    }
}

fn body(title: &str, text: String, language: aftertone_view::Language, expires_at: Option<Timestamp>) -> GreetingBody {
    let title = title.trim().to_owned();
    GreetingBody { kind: GreetingKind::Greeting, title, text, language: language.into(), expires_at }
}

fn purpose(usage: GreetingUse) -> Purpose {
    match usage {
        GreetingUse::Keep => Purpose::Keep,
        GreetingUse::Standard => Purpose::Standard,
        GreetingUse::Temporary { until } => Purpose::Temporary { until },
    }
}

fn new_greeting(pcm: &[i16], body: GreetingBody, purpose: Purpose) -> NewGreeting {
    let waiting = WaitingGreeting {
        id: GreetingId::from_random(rand::rng().random()),
        body,
        purpose,
        duration_ms: milliseconds(pcm.len()).into(),
        peaks: peaks(pcm),
        refused: None,
    };
    NewGreeting { waiting, sound: container::wav_pcm16(pcm, SAMPLE_RATE) }
}

fn greetings_view(greetings: Greetings, reachable: bool) -> GreetingsView {
    let Greetings { stored, plan, waiting } = greetings;
    let now = Timestamp::now();
    let (names, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.body.kind == GreetingKind::Name);
    let waiting = waiting.into_iter().map(|waiting| waiting_row(waiting, now)).collect();
    let view = GreetingsView::new(&stored, plan.as_ref().map(|plan| &plan.plan), waiting, reachable, now);
    view.with_name(names.into_iter().next().map(waiting_name))
}

fn waiting_name(waiting: WaitingGreeting) -> SpokenName {
    let WaitingGreeting { id, body, purpose: _, duration_ms, peaks, refused } = waiting;
    SpokenName {
        id,
        text: body.text,
        language: body.language.into(),
        duration_ms: Some(u32::try_from(duration_ms).unwrap_or(u32::MAX)),
        peaks,
        state: waiting_state(refused),
    }
}

fn waiting_state(refused: Option<ProblemCode>) -> GreetingState {
    refused.map_or(GreetingState::Waiting, |code| GreetingState::Refused { code: code.into() })
}

fn waiting_row(waiting: WaitingGreeting, now: Timestamp) -> GreetingRow {
    let WaitingGreeting { id, body, purpose, duration_ms, peaks, refused } = waiting;
    GreetingRow {
        id,
        title: body.title,
        text: body.text,
        language: body.language.into(),
        duration_ms: Some(u32::try_from(duration_ms).unwrap_or(u32::MAX)),
        peaks,
        standard: purpose == Purpose::Standard,
        temporary: matches!(purpose, Purpose::Temporary { .. }),
        until: match purpose {
            Purpose::Temporary { until } => until,
            Purpose::Keep | Purpose::Standard => None,
        },
        rules: 0,
        expiry: ExpiryView::new(body.expires_at, now),
        state: waiting_state(refused),
    }
}

fn recorded_view(pcm: &[i16], file: Option<String>) -> RecorderView {
    let window = SAMPLE_RATE as usize / 20;
    let silent = pcm.chunks(window).all(|chunk| level::dbfs(chunk) <= AUDIBLE_DBFS);
    RecorderView::Recorded { duration_ms: milliseconds(pcm.len()), peaks: peaks(pcm), file, silent }
}

/// The sound of a file that somebody chose, at the rate of recordings.
fn read_file(base64: &str) -> Result<Vec<i16>, Code> {
    if base64.len() / 4 * 3 > MOST_BYTES {
        return Err(Code::SoundTooLong);
    }
    let bytes = STANDARD.decode(base64).map_err(|_| Code::UnsupportedSound)?;
    let limits = ImportLimits { bytes: MOST_BYTES, duration: Duration::from_secs(LONGEST_S as u64) };
    let pcm = import::import(&bytes, limits).map_err(|error| match error {
        ImportError::TooLarge(_) | ImportError::TooLong(_) => Code::SoundTooLong,
        ImportError::UnknownFormat
        | ImportError::NoSound
        | ImportError::Container(_)
        | ImportError::Broken(_)
        | ImportError::Faulty => Code::UnsupportedSound,
    })?;
    resample(&pcm.samples, pcm.rate, SAMPLE_RATE).map_err(|error| {
        tracing::warn!(%error, "a sound file has an odd rate");
        Code::UnsupportedSound
    })
}

fn peaks(pcm: &[i16]) -> Vec<u8> {
    let mut peaks = Peaks::new(SAMPLE_RATE);
    peaks.push(pcm);
    peaks.finish()
}

fn milliseconds(samples: usize) -> u32 {
    u32::try_from(samples / SAMPLES_PER_MS).unwrap_or(u32::MAX)
}

fn sample(ms: u32) -> usize {
    ms as usize * SAMPLES_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(bytes: &[u8]) -> Result<usize, Code> {
        read_file(&STANDARD.encode(bytes)).map(|pcm| pcm.len())
    }

    #[test]
    fn a_file_is_taken_or_it_is_said_why_not() {
        let tone: Vec<i16> = (0..16_000_i32).map(|n| i16::try_from(n % 40 * 200).unwrap_or_default()).collect();
        let second = loaded(&container::wav_pcm16(&tone, 16_000));
        assert!(second.is_ok_and(|samples| samples.abs_diff(48_000) < 480), "a second at 48 kHz");
        assert_eq!(loaded(b"%PDF-1.7 and so on"), Err(Code::UnsupportedSound));
        assert_eq!(loaded(b""), Err(Code::UnsupportedSound));
        assert_eq!(read_file("not base64!"), Err(Code::UnsupportedSound));
        let long = container::wav_pcm16(&vec![900; 181 * 8_000], 8_000);
        assert_eq!(loaded(&long), Err(Code::SoundTooLong));
    }

    #[test]
    fn silence_is_noticed() {
        let silent = |pcm: &[i16]| matches!(recorded_view(pcm, None), RecorderView::Recorded { silent: true, .. });
        assert!(silent(&[3; 48_000]));
        assert!(!silent(&[&[0; 24_000][..], &[9_000; 4_800], &[0; 19_200]].concat()));
    }
}

//! What the window does with messages.

use std::path::{Path, PathBuf};

use aftertone_client::{CommandError, ForwardOutcome, Session};
use aftertone_model::{Caller, Message, MessageAction, MessageId};
use aftertone_view::{Code, Event, PlayerView, ToastAbout};
use tauri_plugin_dialog::{DialogExt, FilePath};
use tokio::sync::oneshot;

use super::{
    Input, Shell,
    perform::{Reply, command_code},
};
use crate::window;

/// What was done to messages.
pub(crate) enum Done {
    /// This, to messages that looked so before.
    Acted(Vec<Message>, MessageAction),
    /// Saved messages were let go.
    LetGo(Vec<MessageId>),
    /// What a toast told of was taken back.
    Undone,
}

impl Shell {
    /// Plays; what is paused goes on where it is.
    pub(super) async fn play(&self, message: MessageId, position_ms: Option<u32>) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let paused = self.playback.as_ref().is_some_and(|at| at.message == Some(message) && !at.playing && at.position_ms > 0);
        match position_ms {
            None if paused && session.snapshot().playback.is_some() => {
                session.resume();
                Ok(())
            }
            from => session.play(message, from.unwrap_or(0).into()).await.map_err(|error| command_code(&error)),
        }
    }

    pub(super) fn set_player(&mut self, player: PlayerView) {
        let PlayerView { rate_percent, volume_percent, skip_silence } = player;
        let rate_percent = rate_percent.clamp(75, 200);
        self.settings.player = PlayerView { rate_percent, volume_percent: volume_percent.min(200), skip_silence };
        self.settings.save(&self.folder);
        self.apply_player();
        window::tell(&self.app, &Event::Player(self.settings.player));
    }

    /// Tells the phone how messages are to sound.
    pub(super) fn apply_player(&self) {
        let PlayerView { rate_percent, volume_percent, skip_silence } = self.settings.player;
        if let Some(session) = self.session() {
            session.set_playback(volume_percent, rate_percent, skip_silence);
        }
    }

    /// Does something to messages, beside the loop: there may be a thousand.
    pub(super) fn act(&self, messages: Vec<MessageId>, action: MessageAction, reply: Reply) {
        self.write(reply, move |session| async move {
            let before = session.messages_of(&messages).await?;
            let wanted: Vec<_> = before.iter().map(|message| (message.envelope.id, action)).collect();
            session.act_many(&wanted).await?;
            Ok(if before.is_empty() { Err(Code::Gone) } else { Ok(Done::Acted(before, action)) })
        });
    }

    /// Lets saved messages go: by way of new, because listening alone takes nothing out of the saved ones.
    pub(super) fn unsave(&self, messages: Vec<MessageId>, reply: Reply) {
        let wanted = messages.iter().flat_map(|id| [(*id, MessageAction::New), (*id, MessageAction::Heard)]);
        let wanted: Vec<_> = wanted.collect();
        self.write(reply, move |session| async move {
            session.act_many(&wanted).await?;
            Ok(Ok(Done::LetGo(messages)))
        });
    }

    pub(super) fn undo(&mut self, toast: u32, reply: Reply) {
        let Some(reply) = self.undo_greeting(toast, reply) else { return };
        let undo = self.mailbox.undo(toast).into_iter();
        let wanted: Vec<_> = undo.flat_map(|(id, actions)| actions.into_iter().map(move |action| (id, action))).collect();
        self.write(reply, move |session| async move {
            session.act_many(&wanted).await?;
            Ok(Ok(Done::Undone))
        });
    }

    fn write<F>(&self, reply: Reply, write: impl FnOnce(Session) -> F + Send + 'static)
    where
        F: Future<Output = Result<Result<Done, Code>, CommandError>> + Send + 'static,
    {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let done = match session {
                None => Err(Code::NotSignedIn),
                Some(session) => write(session).await.unwrap_or_else(|error| Err(command_code(&error))),
            };
            match done {
                Ok(done) => inputs.send(Input::Done(done, reply)),
                Err(code) => _ = reply.send(Err(code)),
            }
        });
    }

    /// Shows what was done.
    pub(super) async fn done(&mut self, done: Done, reply: Reply) {
        let toast = match &done {
            Done::Acted(before, action) => Some(self.mailbox.acted(before, *action)),
            Done::LetGo(messages) => Some(self.mailbox.let_go(messages)),
            Done::Undone => None,
        };
        self.read_mailbox().await;
        if let Some(toast) = toast {
            window::tell(&self.app, &Event::Toast(toast));
        }
        let _window_gone = reply.send(Ok(()));
    }

    pub(super) async fn select(&self, offset: u32, limit: u32) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let selection = self.mailbox.selection(&session, offset, limit).await.map_err(|error| command_code(&error))?;
        window::tell(&self.app, &Event::Selection(selection));
        Ok(())
    }

    pub(super) async fn call_back(&mut self, message: MessageId) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let message = session.message(message).await.map_err(|error| command_code(&error))?.ok_or(Code::Gone)?;
        let envelope = message.envelope;
        // The caller knows best where they are to be reached.
        self.dial_back(envelope.call_back.as_deref().unwrap_or(&envelope.caller.number)).await
    }

    pub(super) fn forward(&self, messages: Vec<MessageId>, to: Vec<String>, note: String, reply: Reply) {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let result = match session {
                None => Err(Code::NotSignedIn),
                Some(session) => forward(&session, &messages, &to, &note).await,
            };
            if let Ok(about) = &result {
                inputs.send(Input::Toast(about.clone()));
                // How many wait is on the screen.
                inputs.send(Input::Stale);
            }
            let _window_gone = reply.send(result.map(|_told| ()));
        });
    }

    /// Asks where the sound is to be kept, and writes it there as it was recorded.
    pub(super) fn export(&self, messages: Vec<MessageId>, reply: Reply) {
        let (session, inputs, app) = (self.session(), self.inputs.clone(), self.app.clone());
        tauri::async_runtime::spawn(async move {
            let result = match session {
                None => Err(Code::NotSignedIn),
                Some(session) => export(&session, &app, &messages).await,
            };
            if let Ok(Some(place)) = &result {
                let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                inputs.send(Input::Toast(ToastAbout::Exported { count, place: place.to_string_lossy().into_owned() }));
            }
            let _window_gone = reply.send(result.map(|_place| ()));
        });
    }
}

/// Forwards one after another; what is to be told of it.
async fn forward(session: &Session, messages: &[MessageId], to: &[String], note: &str) -> Result<ToastAbout, Code> {
    let mut about = ToastAbout::ForwardWaits;
    for message in messages {
        let outcome = session.forward(*message, to.to_vec(), note.to_owned()).await.map_err(|error| command_code(&error))?;
        about = match outcome {
            ForwardOutcome::Waits => ToastAbout::ForwardWaits,
            ForwardOutcome::Delivered(forwarded) => {
                let name = |(who, _id): (Caller, MessageId)| who.name.unwrap_or(who.number);
                ToastAbout::Forwarded { to: forwarded.delivered.into_iter().map(name).collect() }
            }
        };
    }
    Ok(about)
}

/// The file, or the folder of several; none when the person thought better of it.
async fn export(session: &Session, app: &tauri::AppHandle, messages: &[MessageId]) -> Result<Option<PathBuf>, Code> {
    let mut sounds = Vec::new();
    for message in session.messages_of(messages).await.map_err(|error| command_code(&error))? {
        let sound = session.sound_file(message.envelope.id).await.map_err(|error| command_code(&error))?;
        sounds.push((file_name(&message, &sound), sound));
    }
    let (send, chosen) = oneshot::channel();
    let answer = move |path: Option<FilePath>| drop(send.send(path.and_then(|path| path.into_path().ok())));
    let dialog = app.dialog().file();
    match sounds.as_slice() {
        [] => return Err(Code::Gone),
        [(name, _)] => dialog.set_file_name(name).save_file(answer),
        _ => dialog.pick_folder(answer),
    }
    let Some(place) = chosen.await.ok().flatten() else { return Ok(None) };
    for (name, sound) in &sounds {
        let target = if sounds.len() == 1 { place.clone() } else { unused(&place.join(name)).await };
        tokio::fs::copy(sound, &target).await.map_err(|error| {
            tracing::warn!(%error, "a message can't be written into a file");
            Code::FileFailed
        })?;
    }
    Ok(Some(place))
}

/// `2026-11-20 14.32 Main office, billing.wav`, in local time, without what a file system refuses.
fn file_name(message: &Message, sound: &Path) -> String {
    let caller = &message.envelope.caller;
    let at = jiff::tz::TimeZone::system().to_datetime(message.envelope.received_at).strftime("%Y-%m-%d %H.%M");
    let name = caller.name.as_deref().unwrap_or(&caller.number);
    let extension = sound.extension().map_or("wav".into(), |extension| extension.to_string_lossy());
    format!("{at} {}.{extension}", in_file_names(name)).replace(" .", ".")
}

/// A name without what a file system refuses.
pub(super) fn in_file_names(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '-' } else { c }).take(80).collect();
    name.trim().trim_matches('.').to_owned()
}

/// The path, with a number where there is a file of that name already.
pub(super) async fn unused(path: &Path) -> PathBuf {
    let (stem, extension) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
    let numbered = (2..100).map(|n| path.with_file_name(format!("{} ({n}).{}", stem.display(), extension.display())));
    for candidate in std::iter::once(path.to_owned()).chain(numbered) {
        if !tokio::fs::try_exists(&candidate).await.unwrap_or(true) {
            return candidate;
        }
    }
    path.to_owned()
}

//! The shell's loop: it owns the state, performs what the window asks for, and tells it what changed.

mod calls;
mod greetings;
mod messages;
mod perform;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use aftertone_client::{CallPhase, Connection, Event as Told, News, OfflineReason, PlaybackState, Played, Session, TestMessage};
use aftertone_model::{CallId, CallRecord, GreetingId, MessageId, MessageState};
use aftertone_view::{
    AccountView, AppView, Code, Command, ConnectionView, Event, GreetingsView, MeView, MessageRow, Place, PlaybackView,
    ProviderStep, ProviderView, SecretsView, SettingsView, TestMessageView, ToastAbout,
};
use tauri::{AppHandle, Manager, async_runtime::JoinHandle};
use tokio::sync::{mpsc, oneshot};

use crate::{
    arguments::{Arguments, Secrets},
    mailbox::Mailbox,
    notifications::{Notifications, Pressed, Several, Subject},
    own::{self, Own},
    settings::Settings,
    shell::calls::Calls,
    sign_in::{self, Started},
    sound::{Cue, Sound, recorder::Progress},
    tray::Tray,
    window::{self, Focus},
};

/// How often a server is tried that is to be told of a device that was signed out.
const REVOKE_EVERY: Duration = Duration::from_secs(60);

/// What reaches the loop.
pub(crate) enum Input {
    /// The window asks for something.
    Perform(Command, oneshot::Sender<Result<(), Code>>),
    /// The phone tells something.
    Told(Box<Told>),
    /// Signing in, or starting at the app's start, came to an end.
    Started(Result<Option<Box<Started>>, Code>, Option<oneshot::Sender<Result<(), Code>>>),
    /// A command that took a while wants something told.
    Tell(Box<Event>),
    /// The mailbox has to be read again.
    Stale,
    /// Something was done to messages.
    Done(messages::Done, oneshot::Sender<Result<(), Code>>),
    /// Something was done to greetings, and is to be told.
    GreetingDone(greetings::Toast, oneshot::Sender<Result<(), Code>>),
    /// How far the recording of a greeting is.
    Recorder(Progress),
    /// A sound file of this name was read.
    Loaded(Vec<i16>, String),
    /// A toast for something that succeeded or failed late.
    Toast(ToastAbout),
    /// A button of a notification was pressed.
    Pressed(Subject, Pressed),
    /// A button of some program's notification was pressed.
    PressedNumber(u32, Pressed),
    /// The desktop shows a notification under this number.
    Notified(Subject, u32),
    /// The person took a notification off the screen; of which round.
    Dismissed(Subject, u64),
    /// How the account at a provider gets on that the server inside this app uses.
    Provider(Option<aftertone_server::TrunkReport>),
    /// The same while it is being signed in with.
    ProviderStep(ProviderStep),
    /// Another account at a provider was put in the place of the one there.
    ProviderChanged(ProviderView),
    /// A link was opened with the app.
    Link(String),
    /// A sound device came, went or failed.
    Sound(aftertone_audio::SoundEvent),
    /// Whether the desktop has a tray, now.
    Tray(bool),
    /// Show the window, at a place if one is named.
    Show(Option<Place>),
    /// An ended call was shown long enough.
    Forget(CallId),
    /// End the app.
    Quit,
}

/// What is shown is at most this old while changes pour in.
const LONGEST_BURST: Duration = Duration::from_millis(100);

/// The way into the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inputs(mpsc::UnboundedSender<Input>);

impl Inputs {
    /// Performs a command of the window's.
    pub(crate) async fn perform(&self, command: Command) -> Result<(), Code> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Perform(command, reply));
        answer.await.unwrap_or(Err(Code::Internal))
    }

    pub(crate) fn send(&self, input: Input) {
        // The loop ends with the app; whoever is late then is not missed.
        let _ended = self.0.send(input);
    }
}

/// Starts the loop.
pub(crate) fn start(app: &AppHandle, arguments: &Arguments) -> Result<Inputs, Box<dyn std::error::Error>> {
    let folder = match &arguments.profile {
        Some(folder) => std::path::absolute(folder)?,
        None => app.path().app_data_dir()?,
    };
    std::fs::create_dir_all(&folder)?;
    let (send, receive) = mpsc::unbounded_channel();
    let inputs = Inputs(send);
    let settings = Settings::load(&folder);
    let sound = Sound::start(&settings, &inputs);
    let shell = Shell {
        app: app.clone(),
        folder,
        secrets: arguments.secrets.unwrap_or(if settings.file_secrets { Secrets::File } else { Secrets::Keyring }),
        secrets_view: SecretsView::Ok,
        settings,
        sound,
        phone: None,
        own: None,
        provider_step: None,
        why: None,
        invitation: None,
        invite: arguments.invite.clone(),
        mailbox: Mailbox::default(),
        greetings: GreetingsView::default(),
        studio: greetings::Studio::default(),
        removed_greetings: BTreeMap::new(),
        stale: false,
        calls: Calls::default(),
        playback: None,
        test: TestMessageView::Idle,
        test_call: None,
        hung_up_at: None,
        while_away: Several::default(),
        notifications: Notifications::new(inputs.clone()),
        tray: Tray::new(&inputs),
        attached: false,
        go_to: None,
        revoking: None,
        inputs: inputs.clone(),
    };
    tauri::async_runtime::spawn(shell.run(receive));
    Ok(inputs)
}

/// The phone of the account that is signed in.
struct Phone {
    session: Session,
    me: MeView,
}

struct Shell {
    app: AppHandle,
    folder: PathBuf,
    settings: Settings,
    secrets: Secrets,
    secrets_view: SecretsView,
    sound: Sound,
    phone: Option<Phone>,
    /// The account's server, where it is inside this app.
    own: Option<Own>,
    /// What the account at a provider is doing that is being signed in with.
    provider_step: Option<ProviderStep>,
    why: Option<Code>,
    invitation: Option<String>,
    /// An invitation that is to be taken without asking; it stays until it was.
    invite: Option<String>,
    mailbox: Mailbox,
    greetings: GreetingsView,
    studio: greetings::Studio,
    /// What the toasts of removed greetings bring back.
    removed_greetings: BTreeMap<u32, GreetingId>,
    /// The mailbox changed since it was read.
    stale: bool,
    calls: Calls,
    playback: Option<PlaybackView>,
    test: TestMessageView,
    test_call: Option<CallId>,
    hung_up_at: Option<Instant>,
    /// What a catching-up synchronisation brought so far.
    while_away: Several,
    notifications: Notifications,
    tray: Tray,
    /// The window listens.
    attached: bool,
    /// Where a window that is being made goes once it listens.
    go_to: Option<Place>,
    /// Tells servers of devices that were signed out without them.
    revoking: Option<JoinHandle<()>>,
    inputs: Inputs,
}

impl Shell {
    async fn run(mut self, mut receive: mpsc::UnboundedReceiver<Input>) {
        self.begin();
        self.revoke_left();
        while let Some(first) = receive.recv().await {
            let begun = Instant::now();
            let mut next = Some(first);
            // A mailbox that comes in thousands of messages is read and shown some times a second, and not for each.
            while let Some(input) = next {
                if matches!(input, Input::Quit) {
                    self.quit().await;
                    return;
                }
                self.handle(input).await;
                next = if begun.elapsed() < LONGEST_BURST { receive.try_recv().ok() } else { None };
            }
            if self.stale {
                self.read_mailbox().await;
            }
        }
    }

    /// Starts the phone that was signed in, or signs in with the invitation that the app was started with.
    fn begin(&self) {
        let (place, inputs, invite) = (self.place(), self.inputs.clone(), self.invite.clone());
        tauri::async_runtime::spawn(async move {
            let started = match (sign_in::resume(&place).await, invite) {
                (Ok(None), Some(link)) => sign_in::with_invitation(&place, &link).await.map(Some),
                (resumed, _) => resumed,
            };
            inputs.send(Input::Started(started.map(|started| started.map(Box::new)), None));
        });
    }

    /// Tells servers, once they can be reached, of the devices that were signed out here without them.
    fn revoke_left(&mut self) {
        if self.revoking.as_ref().is_some_and(|task| !task.inner().is_finished()) {
            return;
        }
        let (folder, secrets) = (self.folder.clone(), self.place().secrets);
        self.revoking = Some(tauri::async_runtime::spawn(async move {
            while aftertone_client::revoke_left(&folder, &secrets).await > 0 {
                tokio::time::sleep(REVOKE_EVERY).await;
            }
        }));
    }

    async fn quit(&mut self) {
        // Recordings of an account of one's own may go on for some seconds; nobody needs to see that.
        window::hide(&self.app);
        if let Some(phone) = self.phone.take() {
            phone.session.shut_down().await;
        }
        self.notifications.close_all().await;
        if let Some(own) = self.own.take() {
            own.stop().await;
        }
        self.app.exit(0);
    }

    async fn handle(&mut self, input: Input) {
        match input {
            Input::Perform(command, reply) => self.perform(command, reply).await,
            Input::Told(told) => self.told(*told).await,
            Input::Started(result, reply) => self.started(result, reply).await,
            Input::Tell(event) => window::tell(&self.app, &event),
            Input::Toast(about) => self.toast(about),
            Input::Stale => self.stale = true,
            Input::Done(done, reply) => self.done(done, reply).await,
            Input::GreetingDone(toast, reply) => self.greeting_done(toast, reply),
            Input::Recorder(progress) => self.recorder(progress),
            Input::Loaded(pcm, name) => self.recorded(pcm, Some(name)),
            Input::Pressed(subject, pressed) => self.pressed(subject, pressed).await,
            Input::PressedNumber(number, pressed) => {
                if let Some(subject) = self.notifications.pressed(number, pressed) {
                    self.pressed(subject, pressed).await;
                }
            }
            Input::Notified(subject, number) => {
                if let Some(pressed) = self.notifications.shown(subject, number) {
                    self.pressed(subject, pressed).await;
                }
            }
            Input::Provider(report) => self.provider(report),
            Input::ProviderStep(step) => {
                self.provider_step = Some(step);
                self.tell_app();
            }
            Input::ProviderChanged(provider) => {
                if let Some(own) = &mut self.own {
                    own.provider = provider;
                }
                self.tell_app();
            }
            Input::Dismissed(subject, round) => self.notifications.dismissed(subject, round),
            Input::Link(link) => self.link(link),
            Input::Sound(event) => {
                if let Some(notice) = self.sound.happened(event) {
                    window::tell(&self.app, &Event::AudioNotice(notice));
                }
                self.tell_audio_devices();
            }
            Input::Tray(can_be_shown) => {
                self.tray.can_be_shown(&self.app, can_be_shown);
                self.update_tray();
                self.tell_settings();
            }
            Input::Show(Some(place)) => self.show(place),
            Input::Show(None) => self.show_window(),
            Input::Forget(call) => {
                self.calls.forget(call);
                self.tell_app();
            }
            Input::Quit => {}
        }
    }

    fn place(&self) -> sign_in::Place {
        sign_in::Place {
            folder: self.folder.clone(),
            secrets: sign_in::secret_store(self.secrets, &self.folder),
            audio: self.sound.io(),
        }
    }

    async fn started(&mut self, result: Result<Option<Box<Started>>, Code>, reply: Option<oneshot::Sender<Result<(), Code>>>) {
        self.provider_step = None;
        let answer = match result {
            Ok(Some(started)) => {
                self.run_phone(*started).await;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(code) => {
                if code == Code::SecretsLocked {
                    self.secrets_view = SecretsView::Locked;
                } else if code == Code::SecretsMissing {
                    self.secrets_view = SecretsView::Missing;
                }
                self.why = reply.is_none().then_some(code);
                Err(code)
            }
        };
        if let Some(reply) = reply {
            let _window_gone = reply.send(answer);
        }
        self.tell_app();
        self.tell_mailbox();
    }

    async fn run_phone(&mut self, started: Started) {
        let Started { account, session, mut events, own } = started;
        let me = MeView::new(&account.me, &account.server.url);
        if own.is_none() {
            self.settings.server.clone_from(&account.server.url);
            self.settings.user = account.me.subscriber.user.to_string();
            self.settings.save(&self.folder);
        }
        if let Some(own) = &own {
            own.follow(&self.inputs);
        }
        self.own = own;
        (self.why, self.invitation, self.invite, self.secrets_view) = (None, None, None, SecretsView::Ok);
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn(async move {
            while let Some(told) = events.next().await {
                inputs.send(Input::Told(Box::new(told)));
            }
        });
        self.phone = Some(Phone { session, me });
        self.apply_player();
        self.read_mailbox().await;
        self.read_greetings().await;
    }

    async fn told(&mut self, told: Told) {
        match told {
            Told::Connection(connection) => {
                log_connection(&connection);
                self.tell_app();
                self.update_tray();
                // What can't be fetched can't be played.
                self.read_mailbox().await;
                self.read_greetings().await;
            }
            Told::Call(call) => self.call(call).await,
            Told::Quality(quality) => {
                if self.calls.heard(&quality) {
                    self.tell_app();
                }
            }
            Told::MessageArrived { message, news } => {
                self.stale = true;
                self.arrived(&message, news);
            }
            Told::MessageChanged(message) => {
                if message.state != MessageState::New {
                    self.heard(message.envelope.id);
                }
                self.stale = true;
            }
            Told::MessageExpunged(message) => {
                self.heard(message);
                self.stale = true;
            }
            Told::CallRecord { record, news } => {
                self.stale = true;
                self.missed(&record, news);
            }
            Told::GreetingsChanged => self.read_greetings().await,
            Told::CaughtUp => self.caught_up().await,
            Told::AudioCached(_) => {}
            Told::ActionRefused { code, .. } => {
                self.stale = true;
                self.toast(ToastAbout::Failed { code: code.into() });
            }
            Told::Playback(playback) => self.playback(playback),
            Told::TestMessage(test) => self.test_message(&test),
            Told::SignedOut { by_us } => {
                self.forget_phone();
                self.revoke_left();
                self.notifications.close_all().await;
                if let Some(own) = self.own.take() {
                    own.stop().await;
                    if by_us {
                        own::forget(&self.folder).await;
                    }
                }
                self.why = (!by_us).then_some(Code::NotSignedIn);
                self.tell_all();
            }
        }
    }

    /// A message is new no more.
    fn heard(&mut self, message: MessageId) {
        self.while_away.messages.remove(&message);
        self.notifications.heard(message);
    }

    fn arrived(&mut self, message: &aftertone_model::Message, news: News) {
        let (id, is_new) = (message.envelope.id, message.state == MessageState::New);
        tracing::info!(%id, ?news, "a new message");
        if is_new && self.tells(self.settings.notifications.messages) {
            match news {
                News::Fresh => self.notifications.message(&MessageRow::new(message, true), self.settings.language()),
                News::Away => _ = self.while_away.messages.insert(id),
                News::Known => {}
            }
        }
        if self.test_call.is_some_and(|call| call == message.envelope.call) {
            let after = self.hung_up_at.map_or(0, |at| at.elapsed().as_millis());
            self.test_call = None;
            self.test = TestMessageView::Arrived { message: id, after_ms: u32::try_from(after).unwrap_or(u32::MAX) };
            window::tell(&self.app, &Event::TestMessage(self.test));
        }
    }

    /// A call that was missed and left no message; one that did is told by its message.
    fn missed(&mut self, record: &CallRecord, news: News) {
        let missed = record.is_missed() && record.message.is_none();
        if missed && self.tells(self.settings.notifications.missed_calls) {
            match news {
                News::Fresh => self.notifications.missed(record, self.settings.language()),
                News::Away => _ = self.while_away.calls.insert(record.call),
                News::Known => {}
            }
        }
    }

    /// Whether notifications of a kind that is `wanted` are shown at this moment.
    fn tells(&self, wanted: bool) -> bool {
        wanted && !self.settings.quiet_now()
    }

    /// After time offline, whatever came is one notification.
    async fn caught_up(&mut self) {
        self.stale = true;
        let while_away = std::mem::take(&mut self.while_away);
        let Some(session) = self.session() else { return };
        let language = self.settings.language();
        let (message, call) = (while_away.messages.first(), while_away.calls.first());
        match (while_away.messages.len(), while_away.calls.len(), message, call) {
            (0, 0, ..) => {}
            (1, 0, Some(id), _) => {
                if let Ok(Some(message)) = session.message(*id).await {
                    self.notifications.message(&MessageRow::new(&message, true), language);
                }
            }
            (0, 1, _, Some(call)) => {
                if let Ok(Some(record)) = session.incoming_call(*call).await {
                    self.notifications.missed(&record, language);
                }
            }
            _ => self.notifications.several(while_away, language),
        }
    }

    fn playback(&mut self, playback: aftertone_client::PlaybackSnapshot) {
        let at = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        match playback.state {
            PlaybackState::Failed => self.toast(ToastAbout::Failed { code: Code::SoundMissing }),
            PlaybackState::NoDevice => self.toast(ToastAbout::Failed { code: Code::AudioDevice }),
            PlaybackState::Loading | PlaybackState::Playing | PlaybackState::Paused | PlaybackState::Ended => {}
        }
        // At its end nothing plays any more: a click on the waveform plays from there, as it does before the first time.
        let is_over = matches!(playback.state, PlaybackState::Failed | PlaybackState::Ended);
        self.playback = (!is_over).then(|| PlaybackView {
            message: match playback.played {
                Played::Message(message) => Some(message),
                Played::Greeting(_) | Played::Recording => None,
            },
            greeting: match playback.played {
                Played::Greeting(greeting) => Some(greeting),
                Played::Message(_) | Played::Recording => None,
            },
            position_ms: at(playback.position_ms),
            duration_ms: at(playback.duration_ms),
            playing: matches!(playback.state, PlaybackState::Playing | PlaybackState::Loading),
            loading: playback.state == PlaybackState::Loading,
            rate_percent: playback.rate,
            device: self.sound.speaker_name(&self.settings),
        });
        window::tell(&self.app, &Event::Playback(self.playback.clone()));
    }

    fn test_message(&mut self, test: &TestMessage) {
        self.test = match test {
            TestMessage::Calling => TestMessageView::Calling,
            TestMessage::Greeting => TestMessageView::Greeting,
            TestMessage::Speaking => TestMessageView::Speaking,
            TestMessage::HungUp { call } => {
                self.test_call = *call;
                self.hung_up_at = Some(Instant::now());
                TestMessageView::Waiting
            }
            TestMessage::Failed { detail } => {
                tracing::warn!(detail, "the test message failed");
                TestMessageView::Failed { code: Code::Server }
            }
        };
        window::tell(&self.app, &Event::TestMessage(self.test));
    }

    async fn pressed(&mut self, subject: Subject, pressed: Pressed) {
        // A press may be heard twice.
        if !self.notifications.close(subject) {
            return;
        }
        let Some(session) = self.session() else { return };
        match (subject, pressed) {
            (Subject::Message(message), Pressed::Play) => {
                self.show(Place::Message { message });
                if let Err(code) = self.play(message, None).await {
                    self.toast(ToastAbout::Failed { code });
                }
            }
            (Subject::Message(message), Pressed::CallBack) => {
                if let Err(code) = self.call_back(message).await {
                    self.toast(ToastAbout::Failed { code });
                }
                self.show_window();
            }
            (Subject::Message(message), Pressed::Open | Pressed::Answer | Pressed::Decline) => {
                self.show(Place::Message { message })
            }
            (Subject::Call(call), Pressed::Answer) => {
                self.show_window();
                if let Err(code) = self.answer(call).await {
                    self.toast(ToastAbout::Failed { code });
                }
            }
            (Subject::Call(call), Pressed::Decline) => self.toast_failure(session.decline(call).await),
            (Subject::Call(_), Pressed::Open | Pressed::Play | Pressed::CallBack) => self.show_window(),
            (Subject::Missed(call), Pressed::CallBack) => {
                if let Err(code) = self.call_again(call).await {
                    self.toast(ToastAbout::Failed { code });
                }
                self.show_window();
            }
            (Subject::Missed(_), _) => self.show(Place::Calls { number: None }),
            (Subject::Several, _) => self.show(Place::Mailbox),
        }
    }

    fn provider(&mut self, report: Option<aftertone_server::TrunkReport>) {
        let Some(own) = &mut self.own else { return };
        own.report = report;
        tracing::info!(?report, "the account at the provider");
        self.tell_app();
        self.update_tray();
    }

    /// The phone's connection; with a server of its own, the provider's behind it. None: nobody is signed in.
    fn connection(&self) -> Option<ConnectionView> {
        let phone = self.phone.as_ref()?;
        let view = connection_view(&phone.session.snapshot().connection);
        Some(match &self.own {
            Some(own) if view == ConnectionView::Connected => own.connection(),
            Some(_) | None => view,
        })
    }

    fn link(&mut self, link: String) {
        if !link.starts_with("aftertone:") {
            match number_of(&link) {
                Some(number) => self.show(Place::Calls { number: Some(number) }),
                None => self.show_window(),
            }
            return;
        }
        if self.phone.is_some() {
            self.toast(ToastAbout::Failed { code: Code::AlreadySignedIn });
        } else {
            self.invitation = Some(link);
            self.tell_app();
        }
        self.show_window();
    }

    fn show_window(&mut self) {
        self.bring_window(Focus::Take);
    }

    /// Whether the window listens already.
    fn bring_window(&mut self, focus: Focus) -> bool {
        // A new one says so when it does.
        self.attached &= window::show(&self.app, focus);
        self.attached
    }

    fn forget_phone(&mut self) {
        self.phone = None;
        self.mailbox = Mailbox::default();
        self.forget_greetings();
        self.stale = false;
        self.calls = Calls::default();
        self.playback = None;
        self.while_away = Several::default();
        self.test = TestMessageView::Idle;
        self.sound.sound(None, &self.settings);
        self.sound.show_levels(false);
    }

    fn session(&self) -> Option<Session> {
        self.phone.as_ref().map(|phone| phone.session.clone())
    }

    /// How many messages of a caller wait to be heard.
    async fn waiting_from(&self, call: &aftertone_client::CallSnapshot) -> u32 {
        let Some(session) = self.session().filter(|_| !call.party.number.is_empty()) else { return 0 };
        session.new_from(&call.party.number).await.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// What was done here and waits to be told to the server.
    fn waiting(&self) -> u32 {
        self.phone.as_ref().map_or(0, |phone| u32::try_from(phone.session.snapshot().waiting).unwrap_or(u32::MAX))
    }

    async fn read_mailbox(&mut self) {
        self.stale = false;
        let Some(session) = self.session() else { return };
        if let Err(error) = self.mailbox.read(&session).await {
            tracing::error!(%error, "the stored mailbox can't be read");
        }
        self.tell_mailbox();
        self.tell_app();
    }

    /// Shows the window at a place; one that is only being made goes there once it listens.
    fn show(&mut self, place: Place) {
        if self.bring_window(Focus::Take) {
            window::tell(&self.app, &Event::Show(place));
        } else {
            self.go_to = Some(place);
        }
    }

    fn toast(&mut self, about: ToastAbout) {
        let toast = self.mailbox.toast(about, false);
        window::tell(&self.app, &Event::Toast(toast));
    }

    fn toast_failure(&mut self, result: Result<(), aftertone_client::CommandError>) {
        if let Err(error) = result {
            self.toast(ToastAbout::Failed { code: perform::command_code(&error) });
        }
    }

    fn tell_all(&mut self) {
        self.tell_app();
        self.tell_mailbox();
        self.tell_greetings();
        window::tell(&self.app, &Event::Playback(self.playback.clone()));
        window::tell(&self.app, &Event::Player(self.settings.player));
        window::tell(&self.app, &Event::TestMessage(self.test));
        self.tell_settings();
    }

    fn tell_settings(&self) {
        window::tell(
            &self.app,
            &Event::Settings(SettingsView {
                notifications: self.settings.notifications.clone(),
                quiet_now: self.settings.quiet_now(),
                tray: self.tray.is_shown(),
            }),
        );
    }

    fn update_tray(&mut self) {
        let connection = self.connection();
        self.tray.update(connection.as_ref(), self.mailbox.new_messages(), self.settings.language());
    }

    fn tell_mailbox(&mut self) {
        let connection = self.phone.as_ref().map(|phone| connection_view(&phone.session.snapshot().connection));
        let reachable = connection.is_some_and(|connection| connection == ConnectionView::Connected);
        for view in self.mailbox.views(reachable) {
            window::tell(&self.app, &view);
        }
        window::badge(&self.app, self.mailbox.new_messages());
        self.update_tray();
    }

    fn tell_app(&mut self) {
        let calls = self.calls.views();
        let account = match &self.phone {
            Some(phone) => {
                AccountView::SignedIn { me: phone.me.clone(), provider: self.own.as_ref().map(|own| own.provider.clone()) }
            }
            None => AccountView::SignedOut {
                server: self.settings.server.clone(),
                user: self.settings.user.clone(),
                why: self.why,
                invitation: self.invitation.clone(),
                provider: self.provider_step,
            },
        };
        let view = AppView {
            account,
            connection: self.connection().unwrap_or(ConnectionView::Connecting),
            calls,
            language: self.settings.language(),
            secrets: self.secrets_view,
            new_messages: self.mailbox.new_messages(),
            waiting: self.waiting(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        window::tell(&self.app, &Event::App(view));
    }

    /// A call began, changed or ended.
    async fn call(&mut self, call: aftertone_client::CallSnapshot) {
        let id = call.id;
        let ringing = call.direction == aftertone_model::Direction::Incoming && matches!(call.phase, CallPhase::Ringing);
        let ended = matches!(call.phase, CallPhase::Ended(_));
        let is_busy = call.direction == aftertone_model::Direction::Outgoing
            && call.phase == CallPhase::Ended(aftertone_model::EndReason::Busy);
        if ringing && !self.calls.knows(id) {
            let party = aftertone_view::PartyView::from(&call.party);
            if self.settings.notifications.calls {
                self.notifications.call(id, &party, self.settings.language());
            }
            // Whoever types into another program goes on doing so.
            self.bring_window(Focus::Leave);
        }
        if !ringing {
            self.notifications.close(Subject::Call(id));
        }
        let waiting = self.waiting_from(&call).await;
        self.calls.update(call, waiting);
        let quiet = self.settings.quiet_now();
        self.sound.sound(self.calls.cue().filter(|cue| *cue != Cue::Ring || !quiet), &self.settings);
        self.sound.show_levels(self.calls.any_connected() || self.studio.is_recording());
        if is_busy {
            self.sound.busy(&self.settings);
        }
        if ended {
            let inputs = self.inputs.clone();
            tauri::async_runtime::spawn(async move {
                tokio::time::sleep(calls::SHOWN_AFTER_END).await;
                inputs.send(Input::Forget(id));
            });
        }
        self.tell_app();
    }
}

/// The number or address of a `tel:`, `sip:` or `sips:` link, without what RFC 3966 and RFC 3261 let follow it.
fn number_of(link: &str) -> Option<String> {
    let (scheme, rest) = link.split_once(':')?;
    let is_known = ["tel", "sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let number = rest.trim_start_matches('/').split([';', '?']).next().unwrap_or_default();
    (is_known && !number.is_empty()).then(|| number.replace("%2B", "+").replace("%20", " "))
}

fn log_connection(connection: &Connection) {
    match connection {
        Connection::Connecting => tracing::info!("connecting to the account"),
        Connection::Online => tracing::info!("the account is online"),
        Connection::Offline { reason, detail, .. } => tracing::info!(?reason, detail, "not connected to the account"),
    }
}

fn connection_view(connection: &Connection) -> ConnectionView {
    match connection {
        Connection::Connecting => ConnectionView::Connecting,
        Connection::Online => ConnectionView::Connected,
        Connection::Offline { reason, detail, retry_at } => {
            ConnectionView::Offline { reason: offline_view(*reason), detail: detail.clone(), retry_at: *retry_at }
        }
    }
}

fn offline_view(reason: OfflineReason) -> aftertone_view::OfflineReason {
    match reason {
        OfflineReason::Dns => aftertone_view::OfflineReason::Dns,
        OfflineReason::Connect => aftertone_view::OfflineReason::Connect,
        OfflineReason::Tls => aftertone_view::OfflineReason::Tls,
        OfflineReason::Credentials => aftertone_view::OfflineReason::Credentials,
        OfflineReason::Server => aftertone_view::OfflineReason::Server,
    }
}

/// The code for a command that failed for want of a connection.
pub(crate) fn offline_code(reason: OfflineReason) -> Code {
    match reason {
        OfflineReason::Dns => Code::Dns,
        OfflineReason::Connect => Code::Connect,
        OfflineReason::Tls => Code::Tls,
        OfflineReason::Credentials => Code::NotSignedIn,
        OfflineReason::Server => Code::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::number_of;

    #[test]
    fn links_with_numbers() {
        let check = |link: &str, number: Option<&str>| assert_eq!(number_of(link).as_deref(), number, "{link}");
        check("tel:+49-30-901820", Some("+49-30-901820"));
        check("TEL:%2B4930901820", Some("+4930901820"));
        check("tel:901820;phone-context=+4930", Some("901820"));
        check("sip:anna@example.com?subject=hello", Some("anna@example.com"));
        check("tel://1002", Some("1002"));
        check("tel:", None);
        check("mailto:anna@example.com", None);
        check("1002", None);
    }
}

//! The shell's loop: it owns the state, performs what the window asks for, and tells it what changed.

mod calls;
mod greetings;
mod input;
mod messages;
mod perform;
mod recordings;
mod rules;
mod tell;
mod test_call;
mod told;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use aftertone_client::Session;
use aftertone_model::CallId;
use aftertone_view::{
    Code, Event, GreetingsView, MeView, Place, PlaybackView, ProviderStep, SecretsView, TestMessageView, ToastAbout,
};
use tauri::{AppHandle, Manager, async_runtime::JoinHandle};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::{
    input::{Input, Inputs},
    tell::offline_code,
};
use crate::{
    arguments::{Arguments, Secrets},
    mailbox::Mailbox,
    notifications::{Notifications, Pressed, Several, Subject},
    own::Own,
    settings::Settings,
    shell::calls::Calls,
    sign_in::{self, Started},
    sound::Sound,
    tray::Tray,
    window::{self, Focus},
};

/// How often a server is tried that is to be told of a device that was signed out.
const REVOKE_EVERY: Duration = Duration::from_secs(60);

/// What is shown is at most this old while changes pour in.
const LONGEST_BURST: Duration = Duration::from_millis(100);

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
        removed: BTreeMap::new(),
        rules: rules::Rules::default(),
        stale: false,
        calls: Calls::default(),
        playback: None,
        test: TestMessageView::Idle,
        test_call: None,
        tests: test_call::TestCalls::default(),
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
    /// What the toasts of removed greetings and rules bring back.
    removed: BTreeMap<u32, greetings::Removed>,
    rules: rules::Rules,
    /// The mailbox changed since it was read.
    stale: bool,
    calls: Calls,
    playback: Option<PlaybackView>,
    test: TestMessageView,
    test_call: Option<CallId>,
    tests: test_call::TestCalls,
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
        self.remind_every_hour();
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
            Input::GreetingDone(toast, reply) => self.greeting_done(toast, reply).await,
            Input::RingTime(seconds) => self.ring_time(seconds),
            Input::Recorder(progress) => self.recorder(progress),
            Input::Loaded(pcm, name) => self.recorded(pcm, Some(name)),
            Input::Pressed(subject, pressed) => self.pressed(subject, pressed).await,
            Input::PressedNumber(number, pressed) => {
                if let Some(subject) = self.notifications.pressed(number, pressed) {
                    self.pressed(subject, pressed).await;
                }
            }
            Input::TestCall(news) => self.test_call_news(news),
            Input::Notified(subject, number) => {
                self.test_notified(subject);
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
            Input::Remind => self.remind(),
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
        if reply.is_none() && self.phone.is_none() {
            // Also where the session started it without: nobody would know that it waits for somebody to sign in.
            self.show_window();
        }
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
        // As it was at the sign-in, until the server says it.
        self.ring_time(account.me.subscriber.ring_s);
        self.read_mailbox().await;
        self.read_greetings().await;
        if self.attached {
            self.offer_set_up();
        }
    }

    /// Whoever has signed in here for the first time is led through the set-up.
    fn offer_set_up(&self) {
        if self.phone.is_some() && !self.settings.set_up {
            window::tell(&self.app, &Event::Show(Place::SetUp));
        }
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
            (Subject::Test, _) => self.show_window(),
            (Subject::Expiry(_), _) => self.show(Place::Greetings),
        }
    }

    fn provider(&mut self, report: Option<aftertone_server::TrunkReport>) {
        let Some(own) = &mut self.own else { return };
        own.report = report;
        tracing::info!(?report, "the account at the provider");
        self.tell_app();
        self.update_tray();
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
        self.attached &= window::show(&self.app, focus, || self.views());
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
        self.tests = test_call::TestCalls::default();
        self.sound.sound(None, &self.settings);
        self.sound.show_levels(false);
    }

    fn session(&self) -> Option<Session> {
        self.phone.as_ref().map(|phone| phone.session.clone())
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
}

/// The number or address of a `tel:`, `sip:` or `sips:` link, without what RFC 3966 and RFC 3261 let follow it.
fn number_of(link: &str) -> Option<String> {
    let (scheme, rest) = link.split_once(':')?;
    let is_known = ["tel", "sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let number = rest.trim_start_matches('/').split([';', '?']).next().unwrap_or_default();
    (is_known && !number.is_empty()).then(|| number.replace("%2B", "+").replace("%20", " "))
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

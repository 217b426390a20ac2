//! A test call, as this device sees it: what the server tells of it, and what comes true here.

use std::{sync::Arc, time::Duration};

use aftertone_client::{CallSnapshot, CommandError, SAMPLE_RATE, Session};
use aftertone_media::{
    container::Pcm,
    import::{ImportLimits, import, trim_silence},
    level::dbfs,
    resample::resample,
};
use aftertone_model::{Direction, Message, MessageId};
use aftertone_sync::{TestCall, TestCallFailure, TestCallSound, TestCallStage};
use aftertone_view::{Code, Command, Event, PlaybackView, TestCallSeen, TestCallView, TestNote, Unplayable};
use tauri::async_runtime::JoinHandle;
use tokio::time::{interval, sleep};

use super::{
    Input, Shell,
    perform::{Reply, command_code},
};
use crate::{notifications::Subject, window};

/// How often the server is asked how it gets on.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What has not come true so long after its end does not any more.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// What a desktop may take to show a notification.
const SHOWN_WITHIN: Duration = Duration::from_secs(8);
/// Who calls for the server, as devices are told.
const CALLER: &str = "test-call";

/// The last one, and what was seen of it.
#[derive(Default)]
pub(super) struct TestCalls {
    call: Option<TestCall>,
    seen: TestCallSeen,
    /// Its message was removed.
    removed: bool,
    looking: Option<JoinHandle<()>>,
    /// Waits for a notification of nothing, and which one it is.
    notification: Option<(u64, Reply)>,
    notifications: u64,
}

/// What is heard of it beside the phone.
pub(crate) enum News {
    /// It was begun.
    Begun(TestCall),
    /// So far it is.
    Stands(TestCall),
    /// The server doesn't know of it any more.
    Lost,
    /// It is over, and everything else has had its time.
    Late,
    /// How its message sounds.
    Sound(MessageId, Result<TestCallSound, Unplayable>),
    /// That notification has had its time.
    NotificationLate(u64),
}

impl TestCalls {
    /// Whether a call is that which goes on now: by its id, or before the server has told that, by who calls.
    pub(super) fn is_this(&self, call: &CallSnapshot) -> bool {
        let Some(test) = &self.call else { return false };
        let is_meant = test.call.is_some() && call.account_id == test.call;
        let is_caller = test.stage != TestCallStage::Over && call.party.number.split('@').next() == Some(CALLER);
        call.direction == Direction::Incoming && (is_meant || is_caller)
    }

    fn view(&self) -> TestCallView {
        let Some(call) = &self.call else { return TestCallView::default() };
        let view = TestCallView::new(call, &self.seen);
        if self.removed { TestCallView { message: None, ..view } } else { view }
    }
}

impl Drop for TestCalls {
    fn drop(&mut self) {
        if let Some(looking) = self.looking.take() {
            looking.abort();
        }
    }
}

impl Shell {
    /// Performs a command that is about trying things.
    pub(super) fn perform_test_call(&mut self, command: Command, reply: Reply) {
        match (command, self.session()) {
            (Command::TestNotification, _) => self.test_notification(reply),
            (Command::StartTestCall, Some(session)) => self.start_test_call(session, reply),
            (Command::PlayTestCall, Some(session)) => self.play_test_call(session, reply),
            _ => _ = reply.send(Err(Code::NotSignedIn)),
        }
    }

    fn start_test_call(&mut self, session: Session, reply: Reply) {
        let inputs = self.inputs.clone();
        let looking = tauri::async_runtime::spawn(async move {
            let begun = session.start_test_call().await;
            let _window_gone = reply.send(begun.as_ref().map(|_| ()).map_err(begin_code));
            let Ok(begun) = begun else { return };
            inputs.send(Input::TestCall(News::Begun(begun)));
            let known = follow(&session, |call| inputs.send(Input::TestCall(News::Stands(call)))).await;
            if !known {
                inputs.send(Input::TestCall(News::Lost));
            }
            sleep(COMES_WITHIN).await;
            inputs.send(Input::TestCall(News::Late));
        });
        // One that goes on is refused by the server, and goes on being looked at by itself.
        let is_idle = self.tests.call.as_ref().is_none_or(|call| call.stage == TestCallStage::Over);
        if is_idle && let Some(before) = self.tests.looking.replace(looking) {
            before.abort();
        }
    }

    fn play_test_call(&self, session: Session, reply: Reply) {
        let paused = self.playback.as_ref();
        if paused.is_some_and(PlaybackView::is_paused_recording) {
            session.resume();
            let _window_gone = reply.send(Ok(()));
            return;
        }
        tauri::async_runtime::spawn(async move {
            let played = heard(&session).await.map(|pcm| session.play_recording(pcm, 0));
            let _window_gone = reply.send(played);
        });
    }

    fn test_notification(&mut self, reply: Reply) {
        self.tests.notifications += 1;
        let number = self.tests.notifications;
        self.tests.notification = Some((number, reply));
        self.notifications.test(self.settings.language());
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn(async move {
            sleep(SHOWN_WITHIN).await;
            inputs.send(Input::TestCall(News::NotificationLate(number)));
        });
    }

    pub(super) fn test_call_news(&mut self, news: News) {
        match news {
            News::Begun(call) => {
                self.tests.call = Some(call);
                (self.tests.seen, self.tests.removed) = (TestCallSeen::default(), false);
            }
            News::Stands(call) => self.tests.call = Some(call),
            News::Lost => {
                if let Some(call) = &mut self.tests.call {
                    (call.stage, call.failure) = (TestCallStage::Over, Some(TestCallFailure::Failed));
                }
            }
            News::Late => self.tests.seen.over = true,
            News::Sound(message, sound) => {
                if self.tests.seen.message == Some(message) {
                    self.tests.seen.sound = Some(sound);
                }
            }
            News::NotificationLate(number) => {
                if let Some((_, reply)) = self.tests.notification.take_if(|(waiting, _)| *waiting == number) {
                    let _window_gone = reply.send(Err(Code::NotificationNotShown));
                }
                return;
            }
        }
        self.tell_test_call();
        // A call that rings may be known for a test only now.
        self.tell_app();
    }

    /// It rings here.
    pub(super) fn test_rings(&mut self, call: &CallSnapshot) {
        if self.tests.is_this(call) {
            self.tests.seen.rang = true;
            self.tell_test_call();
        }
    }

    /// Its message is here.
    pub(super) fn test_arrived(&mut self, message: &Message) {
        let is_this = self.tests.call.as_ref().is_some_and(|call| call.call == Some(message.envelope.call));
        let Some(session) = self.session().filter(|_| message.envelope.test && is_this) else { return };
        let id = message.envelope.id;
        self.tests.seen.message = Some(id);
        let wanted = self.settings.notifications.messages;
        let quiet = if wanted { TestNote::QuietHours } else { TestNote::NotificationsOff };
        self.tests.seen.quiet = (!self.tells(wanted)).then_some(quiet);
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn(async move {
            let sound = measured(&session, id).await;
            inputs.send(Input::TestCall(News::Sound(id, sound)));
        });
        self.tell_test_call();
    }

    pub(super) fn test_removed(&mut self, message: MessageId) {
        if self.tests.seen.message == Some(message) {
            self.tests.removed = true;
            self.tell_test_call();
        }
    }

    /// The desktop shows a notification.
    pub(super) fn test_notified(&mut self, subject: Subject) {
        match subject {
            Subject::Message(message) if self.tests.seen.message == Some(message) => {
                self.tests.seen.notified = true;
                self.tell_test_call();
            }
            Subject::Test => {
                if let Some((_, reply)) = self.tests.notification.take() {
                    let _window_gone = reply.send(Ok(()));
                }
            }
            Subject::Message(_) | Subject::Call(_) | Subject::Missed(_) | Subject::Several | Subject::Expiry(_) => {}
        }
    }

    pub(super) fn tell_test_call(&self) {
        window::tell(&self.app, &Event::TestCall(self.tests.view()));
    }
}

/// Why none was begun.
fn begin_code(error: &CommandError) -> Code {
    let code = command_code(error);
    if code == Code::Conflict { Code::TestCallRunning } else { code }
}

/// Tells how it gets on until it is over; whether the server knew of it all the time.
async fn follow(session: &Session, tell: impl Fn(TestCall)) -> bool {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        match session.test_call().await {
            Ok(call) => {
                let is_over = call.stage == TestCallStage::Over;
                tell(call);
                if is_over {
                    return true;
                }
            }
            // A connection may come back; nobody else calls an end to it.
            Err(CommandError::Offline { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "nothing more is known of the test call");
                return false;
            }
        }
    }
}

/// What the caller heard, at the rate of the sound card.
async fn heard(session: &Session) -> Result<Arc<[i16]>, Code> {
    let file = session.test_call_greeting().await.map_err(|error| command_code(&error))?;
    let decoded = tokio::task::spawn_blocking(move || {
        let pcm = import(&file, ImportLimits::default()).ok()?;
        resample(&pcm.samples, pcm.rate, SAMPLE_RATE).ok()
    });
    decoded.await.ok().flatten().map(Arc::from).ok_or(Code::UnsupportedSound)
}

/// How a message sounds, without the silence around it.
async fn measured(session: &Session, message: MessageId) -> Result<TestCallSound, Unplayable> {
    let path = session.sound_file(message).await.map_err(|error| {
        tracing::info!(%error, "the test message has no sound here");
        Unplayable
    })?;
    let measure = tokio::task::spawn_blocking(move || {
        let file = std::fs::read(path).ok()?;
        import(&file, ImportLimits::default()).ok().map(measure)
    });
    measure.await.ok().flatten().ok_or(Unplayable)
}

fn measure(mut pcm: Pcm) -> TestCallSound {
    trim_silence(&mut pcm, Duration::ZERO);
    let duration_ms = u32::try_from(pcm.duration().as_millis()).unwrap_or(u32::MAX);
    TestCallSound { duration_ms, level: (dbfs(&pcm.samples) * 10.0).round() as i32 }
}

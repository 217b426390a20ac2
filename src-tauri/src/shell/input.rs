//! What reaches the loop.

use aftertone_client::Event as Told;
use aftertone_model::CallId;
use aftertone_view::{Code, Command, Event, Place, ProviderStep, ProviderView, ToastAbout};
use tokio::sync::{mpsc, oneshot};

use super::{greetings, messages, test_call};
use crate::{
    notifications::{Pressed, Subject},
    sign_in::Started,
    sound::recorder::Progress,
};

/// What reaches the loop.
pub(crate) enum Input {
    /// The window asks for something.
    Perform(Command, oneshot::Sender<Result<(), Code>>),
    /// The phone tells something.
    Told(Box<Told>),
    /// Signing in, or starting at the app's start, came to an end.
    Started(Result<Option<Box<Started>>, Code>, Option<oneshot::Sender<Result<(), Code>>>),
    /// It is time to look whether somebody is to be reminded of something.
    Remind,
    /// A command that took a while wants something told.
    Tell(Box<Event>),
    /// The mailbox has to be read again.
    Stale,
    /// Something was done to messages.
    Done(messages::Done, oneshot::Sender<Result<(), Code>>),
    /// Something was done to greetings, and is to be told.
    GreetingDone(greetings::Toast, oneshot::Sender<Result<(), Code>>),
    /// How long it rings when no rule says so, in seconds.
    RingTime(u16),
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
    /// How a test call gets on.
    TestCall(test_call::News),
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

/// The way into the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inputs(pub(super) mpsc::UnboundedSender<Input>);

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

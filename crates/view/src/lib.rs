//! The whole contract between a shell and the interface: [`Command`]s go in, [`Event`]s with whole view models come out.
//!
//! Every command is a verb that answers `()` or a [`Code`]; whatever it changes arrives as an event. A view model is
//! complete: the interface shows the last one it got and keeps no state of its own beside what is being typed.
//! It begins with [`Command::Attach`], which the shell answers with every view model it has.
//!
//! The builders here are pure: they turn what `model` and `sync` know into view models. Words are the interface's
//! business: a view model says what happened, never a sentence. `cargo test -p aftertone-view` writes the TypeScript
//! into `ui/src/host/generated/`.
//!
//! No input or output, no clock; how commands and events travel is the shell's business.

#![warn(missing_docs)]

mod account;
mod audio;
mod calls;
mod code;
mod command;
mod event;
mod figures;
mod greetings;
mod mailbox;
mod message;
mod mirror;
mod party;
mod rules;
mod settings;
mod test_call;

pub use account::{AccountView, AppView, ConnectionView, MeView, OfflineReason, ProviderStep, ProviderView, SecretsView};
pub use audio::{
    AudioDeviceView, AudioDevicesView, AudioInUse, AudioLevels, AudioNotice, AudioNoticeAbout, AudioUse, ToneRegion,
    VoiceProcessing,
};
pub use calls::{CallLogRow, CallLogView, CallState, CallView, LogMessage, Outcome, QualityView};
pub use code::Code;
pub use command::{Command, Secret};
pub use event::{Event, Place, PlaybackView, PlayerView, SelectionView, TestMessageView, ToastAbout, ToastView};
pub use figures::{FiguresView, StreamView, bars};
pub use greetings::{
    AdviceView, CoachView, CoachedText, ExpiryView, FindingView, GreetingRow, GreetingState, GreetingUse, GreetingsView,
    PointView, RecorderView, RecordingUse, SpokenName, coach_view,
};
pub use mailbox::{Folder, FolderCounts, MailboxView, Window};
pub use message::{ForwardedView, MessageRow, MessageView, Story, StoryLine, undoing};
pub use mirror::{Direction, EndReason, Fullness, Language, MediaPath, MessageState, Reason};
pub use party::{DirectoryEntryView, DirectoryView, PartyView, initials};
pub use rules::{
    ActionView, BecauseView, HolidayView, MetView, PassedView, PlanPart, RulesView, ScreenedView, SimulatedCall, SimulationView,
    SpanView, UnmetView, answering, simulate,
};
pub use settings::{DeviceView, DevicesView, NotificationsView, PhoneMenuView, QuietHours, SettingsView};
pub use test_call::{TestCallSeen, TestCallState, TestCallView, TestNote, TestStep, TestStepState, TestStepView, Unplayable};

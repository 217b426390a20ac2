//! What goes into the menu and what comes out of it.

use std::time::{Duration, Instant};

use aftertone_model::{Language, MenuLayout, MessageAction, MessageId, MessageState};
use jiff::civil::{Date, DateTime};

use crate::{
    Pin,
    prompt::{Phrase, Prompt},
};

/// How long things may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MenuLimits {
    /// Without a key for so long after something was said, it is said again.
    pub key: Duration,
    /// Without another digit for so long, a number is complete.
    pub digit: Duration,
    /// How often something is said again before the call ends.
    pub repeats: u8,
    /// Wrong PINs in a call.
    pub tries: u8,
    /// The store failed that hasn't answered by then.
    pub answer: Duration,
    /// The same where sound is made of sound: a reply, or a message with words before it.
    pub work: Duration,
    /// What plays longer is stuck, unless it is a message: that may last so much longer than it is long.
    pub playing: Duration,
    /// A pause in a message.
    pub pause: Duration,
    /// The longest reply, introduction or greeting.
    pub recording: Duration,
    /// The longest spoken name.
    pub name: Duration,
    /// So much silence in a row ends a recording.
    pub silence: Duration,
    /// The longest call: longer than the longest message and all before it.
    pub call: Duration,
}

impl Default for MenuLimits {
    fn default() -> Self {
        Self {
            key: Duration::from_secs(8),
            digit: Duration::from_secs(5),
            repeats: 2,
            tries: 3,
            answer: Duration::from_secs(20),
            work: Duration::from_secs(120),
            playing: Duration::from_secs(300),
            pause: Duration::from_secs(120),
            recording: Duration::from_secs(180),
            name: Duration::from_secs(10),
            silence: Duration::from_secs(8),
            call: Duration::from_secs(4 * 3600),
        }
    }
}

/// How somebody came to the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// From an authenticated device of the mailbox's owner: no PIN is asked for.
    Device,
    /// By the star key in the greeting of this extension: its PIN is asked for.
    Mailbox(String),
    /// By the number of the menu: mailbox and PIN are asked for.
    Anybody,
}

/// The mailbox that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The owner's extension.
    pub extension: String,
    /// Of everything that is said from now on.
    pub language: Language,
    /// What the keys mean.
    pub layout: MenuLayout,
    /// A temporary greeting is in use.
    pub has_temporary: bool,
}

/// A message as the menu tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The message.
    pub id: MessageId,
    /// New, heard or saved; deleted once the listener has done that.
    pub state: MessageState,
    /// Who left it, as a number; empty if it was withheld.
    pub number: String,
    /// When, by the clock of the owner's time zone.
    pub received: DateTime,
    /// How long it is.
    pub length: Duration,
    /// The caller said so.
    pub urgent: bool,
    /// The caller said so: it can't be forwarded.
    pub private: bool,
    /// The number that the caller left to be called back.
    pub call_back: Option<String>,
    /// The extension of who forwarded it.
    pub forwarded_by: Option<String>,
    /// The extension that a reply goes to; `None` where nobody of the account left or forwarded it.
    pub reply_to: Option<String>,
}

/// Something to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clip {
    /// Speech of ours.
    Prompt(Prompt),
    /// The beep before a recording.
    Beep,
    /// The sound of a message.
    Message(MessageId),
    /// What was recorded last.
    Recording,
}

impl From<Phrase> for Clip {
    fn from(phrase: Phrase) -> Self {
        Self::Prompt(phrase.into())
    }
}

impl From<Prompt> for Clip {
    fn from(prompt: Prompt) -> Self {
        Self::Prompt(prompt)
    }
}

/// What a greeting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetingUse {
    /// Whenever nothing else is said.
    Usual,
    /// When every device is busy.
    Busy,
    /// Above all others, until it is ended.
    Temporary,
}

/// A question to the store or to the exchange; [`Menu::handle_answer`](super::Menu::handle_answer) takes the answer. One at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Open the own mailbox: [`Answer::Opened`].
    Open,
    /// Open a mailbox by its PIN: [`Answer::Opened`], [`Answer::Refused`] or [`Answer::Locked`], all after the same time.
    LogIn {
        /// The extension as it was entered.
        mailbox: String,
        /// The PIN as it was entered.
        pin: Pin,
    },
    /// Every message that is not deleted, the oldest first: [`Answer::Messages`].
    List,
    /// Do this with a message: [`Answer::Acted`] or [`Answer::Refused`], when it is gone.
    Act(MessageId, MessageAction),
    /// Whether somebody has this extension: [`Answer::Done`] or [`Answer::Refused`].
    Find(String),
    /// Forward a message, to all of them or to nobody: [`Answer::Done`] or [`Answer::Refused`], when it is gone.
    Forward {
        /// Which.
        message: MessageId,
        /// The extensions.
        to: Vec<String>,
        /// With what was recorded last before it.
        introduced: bool,
    },
    /// Make the place for a reply to this extension, where it is durable while it is spoken: [`Answer::Done`].
    BeginReply(String),
    /// Leave what was recorded last in the mailbox of this extension: [`Answer::Done`]. Asked again, it is left there once.
    Reply(String),
    /// Greet callers with what was recorded last: [`Answer::Done`].
    Greet(GreetingUse),
    /// End the temporary greeting: [`Answer::Done`].
    EndTemporary,
    /// Make what was recorded last the owner's spoken name: [`Answer::Done`].
    Name,
    /// Set the PIN: [`Answer::Done`].
    SetPin(Pin),
    /// Call this number in the owner's name: [`Answer::Done`], and the call goes on without the menu, or [`Answer::Refused`].
    Dial(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The mailbox is open.
    Opened(Profile),
    /// Mailbox or PIN is wrong; or what was asked for can't be.
    Refused,
    /// There were too many wrong PINs.
    Locked,
    /// The messages.
    Messages {
        /// The date, by the clock of the owner's time zone.
        today: Date,
        /// The oldest first.
        items: Vec<Item>,
    },
    /// It is done with the message, which is in this state by now: another device may have had a say in it.
    Acted(MessageState),
    /// It is done.
    Done,
    /// It could not be done.
    Failed,
}

/// What the media worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuEvent {
    /// Play this in place of what plays; `handle_played` at its end.
    Play {
        /// Of the prompts.
        language: Language,
        /// One after the other.
        clips: Vec<Clip>,
    },
    /// Stand still in what plays, or go on.
    Pause(bool),
    /// Move so many milliseconds in the message that plays.
    Skip(i32),
    /// Play messages at so many percent of their speed, now and from now on.
    Speed(u16),
    /// Record from here on, in place of what was recorded before, and report with `handle_sound`.
    Record {
        /// To the place that [`Ask::BeginReply`] has made; otherwise in memory.
        spooled: bool,
    },
    /// The recording ends.
    StopRecording,
    /// Throw away what was recorded.
    Discard,
    /// Ask, and answer with `handle_answer`.
    Ask(Ask),
    /// Note that sound of a message was heard, deleted or not. Its failure needs no report.
    Heard(MessageId),
    /// It is over: hang up, unless the call goes on with somebody else. The last event.
    Over {
        /// The caller is talking to somebody else now.
        released: bool,
    },
}

/// What comes out. Drain it after every input until `Timeout` comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuOutput {
    /// Nothing more now. Call [`Menu::handle_timeout`](super::Menu::handle_timeout) then, or never if `None`.
    Timeout(Option<Instant>),
    /// Something to do.
    Event(MenuEvent),
}

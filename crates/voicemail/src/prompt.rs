//! What the phone menu says, as words and whole sentences that are put together.

/// A piece of speech. Its sound lies in `assets/prompts`, one file a language, under its [`name`](Self::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prompt {
    /// A sentence, or a part of one.
    Phrase(Phrase),
    /// A number from 0 to 99, in German with „eins“.
    Number(u8),
    /// A day of the month, 1 to 31: "third", „am dritten“.
    Day(u8),
    /// A month, 1 to 12.
    Month(u8),
    /// A day of the week, 1 (Monday) to 7: "on Monday", „am Montag“.
    Weekday(u8),
}

impl Prompt {
    /// Every prompt that there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let phrases = Phrase::ALL.iter().copied().map(Self::Phrase);
        let days = (1..=31).map(Self::Day).chain((1..=12).map(Self::Month)).chain((1..=7).map(Self::Weekday));
        phrases.chain((0..=99).map(Self::Number)).chain(days)
    }

    /// The name of its file, without the ending.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Phrase(phrase) => phrase.name().to_owned(),
            Self::Number(number) => format!("number-{number}"),
            Self::Day(day) => format!("day-{day}"),
            Self::Month(month) => format!("month-{month}"),
            Self::Weekday(day) => format!("weekday-{day}"),
        }
    }
}

impl From<Phrase> for Prompt {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}

macro_rules! phrases {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)*) => {
        /// A sentence of the menu, or a part of one. The words are in `tools/prompts.toml`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Phrase {
            $($(#[$doc])* $name,)*
        }

        impl Phrase {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $file,)*
                }
            }
        }
    };
}

phrases! {
    /// Asks for the number of the mailbox.
    EnterMailbox = "enter-mailbox",
    /// Asks for the PIN.
    EnterPin = "enter-pin",
    /// The mailbox or the PIN is wrong; which of them is not said.
    Wrong = "wrong",
    /// Too many wrong PINs.
    Locked = "locked",
    /// The end of the call.
    Goodbye = "goodbye",
    /// The server could not do it.
    Failed = "failed",
    /// A key without a meaning.
    NotHere = "not-here",
    /// Before the counts.
    YouHave = "you-have",
    /// There is neither a new nor a heard message.
    NoMessages = "no-messages",
    /// There is no message in the chosen folder.
    NoneThere = "none-there",
    /// After 1.
    NewMessage = "new-message",
    /// After any other number.
    NewMessages = "new-messages",
    /// After 1.
    HeardMessage = "heard-message",
    /// After any other number.
    HeardMessages = "heard-messages",
    /// Between two counts.
    And = "and",
    /// The feminine one, before a message or a second.
    OneFeminine = "one-feminine",
    /// One before "o'clock" in German.
    OneHour = "one-hour",
    /// 100, after the number of hundreds.
    Hundred = "hundred",
    /// 1000, after the number of thousands.
    Thousand = "thousand",
    /// A plus before a number.
    Plus = "plus",
    /// The star key.
    Star = "star",
    /// The hash key.
    Hash = "hash",
    /// Before a message's place in the folder.
    Message = "message",
    /// The caller said that it is urgent.
    Urgent = "urgent",
    /// The caller said that nobody else is to hear it.
    Private = "private",
    /// Before the number that the caller left.
    CallBackAt = "call-back-at",
    /// It is private.
    CannotForward = "cannot-forward",
    /// Before date and time.
    Received = "received",
    /// The day.
    Today = "today",
    /// The day.
    Yesterday = "yesterday",
    /// Before a date, in English.
    On = "on",
    /// Before the time of day.
    At = "at",
    /// After the hour in German.
    OClock = "o-clock",
    /// The zero of minutes in English: "two oh five".
    Oh = "oh",
    /// Before noon, in English.
    Am = "am",
    /// After noon, in English.
    Pm = "pm",
    /// Before the caller's number.
    From = "from",
    /// The caller showed no number.
    FromUnknown = "from-unknown",
    /// The caller showed an address instead of a number.
    FromAddress = "from-address",
    /// Before the number of who forwarded it.
    ForwardedBy = "forwarded-by",
    /// Before the length.
    Length = "length",
    /// After 1.
    Second = "second",
    /// After any other number.
    Seconds = "seconds",
    /// After 1.
    Minute = "minute",
    /// After any other number.
    Minutes = "minutes",
    /// The folder ends here.
    NoMore = "no-more",
    /// There is none before this one.
    NoneBefore = "none-before",
    /// Done.
    Deleted = "deleted",
    /// Done.
    Restored = "restored",
    /// Done.
    Saved = "saved",
    /// Somebody else removed it meanwhile.
    Gone = "gone",
    /// Messages are played faster from now on.
    Faster = "faster",
    /// Messages are played as they were spoken from now on.
    NormalSpeed = "normal-speed",
    /// The keys of the main menu, in our layout.
    MainMenu = "main-menu",
    /// The same in Asterisk's layout.
    MainMenuAsterisk = "main-menu-asterisk",
    /// The keys of a message, in our layout.
    MessageMenu = "message-menu",
    /// The same in Asterisk's layout.
    MessageMenuAsterisk = "message-menu-asterisk",
    /// The keys of what else can be done with a message, in our layout.
    MoreMenu = "more-menu",
    /// The same in Asterisk's layout.
    MoreMenuAsterisk = "more-menu-asterisk",
    /// The keys of greetings and name, in our layout.
    OptionsMenu = "options-menu",
    /// The same in Asterisk's layout.
    OptionsMenuAsterisk = "options-menu-asterisk",
    /// The keys of a recording that was made.
    ReviewMenu = "review-menu",
    /// Asks for whom to forward a message to.
    ForwardTo = "forward-to",
    /// Whether to speak before a forwarded message.
    IntroductionMenu = "introduction-menu",
    /// After how many they are.
    Recipients = "recipients",
    /// Done.
    Forwarded = "forwarded",
    /// No person of the account has this extension.
    NobodyThere = "nobody-there",
    /// Who left the message has no mailbox here.
    NoReply = "no-reply",
    /// A reply was sent.
    Sent = "sent",
    /// The call goes out.
    Connecting = "connecting",
    /// The number can't or may not be called.
    CannotCall = "cannot-call",
    /// What a caller may do with the message that they have spoken.
    DepositMenu = "deposit-menu",
    /// After it, where the owner has named somebody.
    ZeroForPerson = "zero-for-person",
    /// Done.
    MarkedUrgent = "marked-urgent",
    /// Undone.
    NotUrgent = "not-urgent",
    /// Done.
    MarkedPrivate = "marked-private",
    /// Undone.
    NotPrivate = "not-private",
    /// Asks for the number that the caller wants to be called back at.
    EnterNumber = "enter-number",
    /// Before that number.
    NumberNoted = "number-noted",
    /// A caller's message is sent.
    MessageSent = "message-sent",
    /// Before the beep of a recording.
    SpeakNow = "speak-now",
    /// Nothing was said.
    NothingRecorded = "nothing-recorded",
    /// A recording was thrown away.
    Discarded = "discarded",
    /// A greeting is in use.
    GreetingKept = "greeting-kept",
    /// The temporary greeting is not used any more.
    TemporaryOff = "temporary-off",
    /// The spoken name is kept.
    NameKept = "name-kept",
    /// Asks for a new PIN.
    NewPin = "new-pin",
    /// Asks for it once more.
    RepeatPin = "repeat-pin",
    /// The new PIN has a length that none has, or could be guessed.
    WeakPin = "weak-pin",
    /// Both entries were different.
    PinDiffers = "pin-differs",
    /// Done.
    PinChanged = "pin-changed",
    /// What a test call says into the mailbox.
    TestCall = "test-call",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_prompt_has_a_file_of_its_own() {
        let names: BTreeSet<_> = Prompt::all().map(Prompt::name).collect();
        assert_eq!(names.len(), Prompt::all().count());
        assert_eq!(names.len(), Phrase::ALL.len() + 100 + 31 + 12 + 7);
    }
}

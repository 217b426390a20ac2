use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The interface's copy of an enum of `model`: the same names on the wire, and TypeScript for it. The compiler sees to it
/// that both stay equal.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
        #[serde(rename_all = "snake_case")]
        #[ts(export_to = "contract.ts")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl From<aftertone_model::$name> for $name {
            fn from(value: aftertone_model::$name) -> Self {
                match value {
                    $(aftertone_model::$name::$variant => Self::$variant),+
                }
            }
        }

        impl From<$name> for aftertone_model::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    };
}

mirror!(
    /// The languages that prompts and the interface exist in.
    Language {
        /// English.
        En,
        /// German.
        De,
    }
);
mirror!(
    /// Who began a call, seen from this side.
    Direction {
        /// The other party called.
        Incoming,
        /// This side called.
        Outgoing,
    }
);
mirror!(
    /// How a call ended, seen from this side.
    EndReason {
        /// This side hung up an answered call.
        LocalHangup,
        /// The other side hung up an answered call.
        RemoteHangup,
        /// The called person declined.
        Declined,
        /// The called person was busy.
        Busy,
        /// Nobody answered.
        NoAnswer,
        /// The caller gave up while it rang.
        Cancelled,
        /// Another device of the same person answered.
        AnsweredElsewhere,
        /// The mailbox took the call.
        Diverted,
        /// The mailbox took the call, and the caller heard that no message could be left: the disk is full.
        NoRoom,
        /// The mailbox took the call, and the caller heard that no message could be left: the mailbox is full.
        MailboxFull,
        /// The network, the media or the other end failed.
        Failed,
    }
);
mirror!(
    /// Which way the sound of a call took.
    MediaPath {
        /// The server passed it on.
        Relay,
        /// It ended at the mailbox.
        Mailbox,
        /// From device to device; the server saw nothing of it.
        Direct,
    }
);
mirror!(
    /// How full a mailbox is.
    #[derive(Default)]
    Fullness {
        /// Less than three quarters, or without a limit.
        #[default]
        Roomy,
        /// Three quarters and more.
        Filling,
        /// Nine tenths and more.
        NearlyFull,
        /// All of it: callers hear that they can leave no message.
        Full,
    }
);
mirror!(
    /// Why the mailbox answered instead of the person.
    Reason {
        /// Nobody answered within the ring time.
        NoAnswer,
        /// Every device was busy.
        Busy,
        /// A device declined the call.
        Declined,
        /// No device was registered.
        Offline,
        /// Do not disturb.
        Dnd,
        /// The caller asked for the mailbox itself.
        Direct,
    }
);
mirror!(
    /// Where a message stands in its mailbox.
    MessageState {
        /// Nobody listened yet.
        New,
        /// Its owner heard sound of it.
        Heard,
        /// Kept on purpose.
        Saved,
        /// In the trash.
        Deleted,
    }
);

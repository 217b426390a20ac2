//! The answering machine and the phone menu, sans-IO.
//!
//! It owns what happens between the answer and the end of a message (greeting, beep, recording, the warning before the longest
//! message ends, and what ends one; what the caller may do with it before it is sent), and what its owner hears and may do who listens by phone: keys, prompts and how numbers and
//! dates are spoken, PINs and how fast they may be tried. It never touches sound, files, a clock or a socket: a media worker
//! plays and records what it is told and reports what it hears; messages and PINs are `server-store`'s, and it asks for them.

#![warn(missing_docs)]

mod choices;
mod deposit;
mod guesses;
mod menu;
mod pin;
pub mod prompt;
pub mod spoken;

pub use choices::{ChoiceEvent, ChoiceLimits, ChoiceOutput, Choices};
pub use deposit::{Deposit, DepositLimits, Ending, Event, Key, Output, Tally};
pub use guesses::{GuessChanges, Guesser, Guesses};
pub use menu::{
    Access, Answer, Ask, Clip, Command, GreetingUse, Item, Menu, MenuEvent, MenuLimits, MenuOutput, Place, Profile, command,
};
pub use pin::{LONGEST_PIN, Pin, SHORTEST_PIN, WeakPin};

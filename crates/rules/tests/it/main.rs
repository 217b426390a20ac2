//! Plans and what follows from them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod checks;
mod greetings;
mod properties;
mod screening;
mod world;

//! The phone against a user agent that plays the exchange, in virtual time.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::disallowed_methods, reason = "tests")]

mod calls;
mod registration;
mod world;

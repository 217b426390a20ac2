//! The hosted account's storage: the trait, the spool, and both under crashes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod crash;
mod exchange;
mod greetings;
mod keeping;
mod menus;
mod model;
mod spool;
mod store;

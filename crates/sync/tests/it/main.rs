//! Several devices and one server: pulling, the outbox, and what comes of conflicts.
#![expect(clippy::unwrap_used, reason = "tests")]

mod conflicts;
mod convergence;
mod outbox;
mod pulling;
mod world;

//! What is fuzzed. The bodies stand apart, so that an ordinary test replays the seeds through them.

mod bodies;

pub use bodies::{call, description, file, packet};

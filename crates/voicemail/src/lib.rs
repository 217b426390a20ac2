//! The answering machine, sans-IO: deposit sessions.

//! The headless phone.

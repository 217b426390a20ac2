//! The hosted account.

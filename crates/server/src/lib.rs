//! The hosted account: one program, also a library.
//!
//! It owns the exchange's loop (`run`), the media workers (`media`), the HTTP interface (`api`), the configuration and the
//! life from start to shutdown. What a call does is decided in `exchange`, what a deposit says in `voicemail`, what is kept
//! and how in `server-store`.
//!
//! ```text
//! net: UDP, TCP ──┐                                ┌── media workers ── spool ──┐
//! /sip WebSocket ─┼─> run: the exchange's loop <───┘                            ├─> server-store
//! books: directory, counts ─┘        │ notices                                  │
//! api: /v1 <──────── bells <──────── books ─────────────────────────────────────┘
//! ```

pub mod admin;
mod api;
mod bells;
mod bindings;
mod books;
mod config;
mod greeting_sound;
mod jobs;
mod limits;
mod listen;
mod load;
mod lock;
pub mod mailboxes;
mod media;
mod oversize;
pub mod own;
mod pins;
mod public;
mod qr;
mod reach;
mod repair;
mod routes;
mod run;
mod server;
mod settings;
mod test_call;
pub mod trunks;
mod turn;

pub use aftertone_exchange::{TrunkFailure, TrunkReport, TrunkStep};
pub use config::{Config, Https, Listen, Options, Ports};
pub use limits::raise_open_files;
pub use server::{Addresses, Running, Server};
pub use turn::{Consoles, Turn, TurnSecret};

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

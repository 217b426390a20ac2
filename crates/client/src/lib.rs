//! The headless phone: signs in, registers, makes and takes calls, keeps a copy of the mailbox, plays messages.
//!
//! One event loop (`run`) owns the state of a session; everybody else holds a [`Session`] handle, sends commands and
//! listens to an [`EventStream`]. It has no interface: the desktop shell and the binary `aftertone-phone` are two.
//! Call control is in `call`, sound devices in `audio` (they come in by [`AudioIo`]), the stored mailbox in
//! `client-store`, the wire types in `sync`.
//!
//! ```text
//! sign_in(..) -> Account              once; writes DATA/account.json, the token goes to the SecretStore
//! Session::start(SessionConfig)       -> (Session, EventStream)
//! session.snapshot()                  who, connection, calls, playback, counts
//! session.messages() / call_records() what is stored
//! ```

mod account;
mod beep;
mod event;
mod frames;
mod greetings;
mod http;
mod line;
mod link;
mod pace;
mod peer;
mod playback;
mod quality;
mod recording;
mod run;
mod secrets;
mod session;
mod sound;
mod station;
mod store;
mod synchronise;
mod test_message;
#[cfg(test)]
mod tests;
mod turn;

pub use aftertone_client_store::{Folder, FolderCounts, Listing, Window};

pub use aftertone_net::log_to_stderr;

pub use account::{
    Account, InvalidInvitation, InvalidServer, Invitation, ServerAddress, SignInError, load_account, relocate_own, revoke_left,
    sign_in,
};
pub use event::{
    CallPhase, CallSnapshot, Connection, Event, EventStream, News, OfflineReason, PlaybackSnapshot, PlaybackState, Played,
    Snapshot, TestMessage,
};
pub use frames::{AudioIo, AudioSink, AudioSource, FRAME_SAMPLES, Frame, SAMPLE_RATE, Silence};
pub use greetings::{Greetings, NewGreeting, Purpose, RemovedPart, WaitingGreeting};
pub use quality::{CallQuality, MediaPath, Sent};
pub use recording::{CallRecording, RecordingState};
#[cfg(feature = "keyring")]
pub use secrets::KeyringSecrets;
pub use secrets::{FileSecrets, MemorySecrets, SecretError, SecretStore};
pub use session::{AskPhoneMenu, CommandError, ForwardOutcome, Session, SessionConfig, StartError};
pub use sound::{DecodeError, decode_file};

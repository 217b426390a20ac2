//! Sound devices: which there are, playing and recording on the chosen ones, ringing, and living through plugging in
//! and out.
//!
//! Whatever a device really does, callers see 48 kHz, one channel, 16 bits, [`Frame`]s of 10 ms; other rates, channels
//! and formats are converted, and a device whose clock runs faster or slower than the caller's is followed. A device
//! that vanishes is replaced by the system's default, and taken again when it comes back. Nothing here knows calls or
//! messages; codecs and tones are in `media`, what is played when is the client's and the desktop's business.
//!
//! ```text
//!  Sound (handle) ── commands ──► audio thread: Engine ── opens, rebuilds ──► AudioHost (cpal, or a double)
//!  Speaker::write ── ring ───────────────────────────────► Mixer ◄── Player (a clip)    in the device's callback
//!  Microphone::read ◄── ring ───────────────────────────── Splitter                     in the device's callback
//! ```
//!
//! Rings are lock-free; the callbacks never wait for anybody, allocate nothing and free nothing (`tests/realtime.rs`).
//! Echo, noise and level are taken care of where a call reads its microphone, not in a callback.

mod adapter;
mod clip;
mod cpal_host;
pub mod cues;
mod device;
pub mod double;
mod elastic;
mod engine;
mod host;
mod meter;
mod mixer;
#[cfg(target_os = "linux")]
mod pulse_host;
mod ringtone;
mod sound;
mod splitter;
mod system_host;
mod voice;

pub use clip::{Clip, Player};
pub use cpal_host::CpalHost;
pub use device::{AudioDevice, Devices, Use};
pub use engine::SoundEvent;
pub use host::{AudioHost, Failed, Fill, OpenError, OpenStream, Take};
pub use mixer::Speaker;
#[cfg(target_os = "linux")]
pub use pulse_host::PulseHost;
pub use ringtone::ringtone;
pub use sound::{Sound, StartError};
pub use splitter::Microphone;
pub use system_host::SystemHost;
pub use voice::Processing;

/// Samples per second of every [`Frame`].
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples of a [`Frame`]: 10 ms.
pub const FRAME_SAMPLES: usize = 480;
/// Ten milliseconds of sound, mono, 48 kHz.
pub type Frame = [i16; FRAME_SAMPLES];

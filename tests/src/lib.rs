//! What scenarios across crates need: outside phones, daemons, a desktop to show a window on, and ears.
//!
//! Nothing here is shipped. Every process is started by the test that uses it and ended by its own id; all traffic
//! stays on 127.0.0.1.

pub mod baresip;
pub mod browser;
pub mod desktop;
pub mod ears;
pub mod hosted;
pub mod namespace;
pub mod notifications;
pub mod office;
pub mod peers;
pub mod process;
pub mod sipp;
pub mod sound;
pub mod tray;
pub mod window;

use std::{any::Any, sync::Arc};

use crate::Devices;

/// Fills the next samples to be heard: 48 kHz, mono, any number. Called on a device's own thread.
pub type Fill = Box<dyn FnMut(&mut [i16]) + Send>;
/// Takes samples that were heard: 48 kHz, mono, any number. Called on a device's own thread.
pub type Take = Box<dyn FnMut(&[i16]) + Send>;
/// Told when a stream can't go on: it must be dropped and opened again.
pub type Failed = Box<dyn FnMut() + Send>;

/// Why a device can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It isn't there, or not any more.
    #[error("the device is not there")]
    NotThere,
    /// Another program has it.
    #[error("the device is busy")]
    Busy,
    /// The person or the system doesn't let us.
    #[error("the system does not allow its use")]
    Denied,
    /// It works in no way that we know, or the system failed.
    #[error("the device can't be used: {0}")]
    Unusable(String),
}

/// A stream that runs until it is dropped.
pub struct OpenStream {
    _stream: Box<dyn Any>,
}

impl OpenStream {
    /// Keeps what has to live as long as the stream does.
    pub fn new(stream: impl Any) -> Self {
        Self { _stream: Box::new(stream) }
    }
}

/// A system of sound devices. It lives on one thread, so it needn't be `Send`.
pub trait AudioHost {
    /// The devices that are there now.
    fn devices(&mut self) -> Devices;

    /// Calls `changed` from whatever thread when devices or defaults may have changed, if the system tells.
    fn watch(&mut self, changed: Arc<dyn Fn() + Send + Sync>) {
        drop(changed);
    }

    /// Opens an output and starts it; `None` is the system's default.
    ///
    /// # Errors
    /// When it isn't there or can't be used.
    fn open_output(&mut self, device: Option<&str>, fill: Fill, failed: Failed) -> Result<OpenStream, OpenError>;

    /// Opens an input and starts it; `None` is the system's default.
    ///
    /// # Errors
    /// When it isn't there or can't be used.
    fn open_input(&mut self, device: Option<&str>, take: Take, failed: Failed) -> Result<OpenStream, OpenError>;
}

//! Sound on its way in and out: 48 kHz, mono, 16 bit, ten milliseconds at a time.

use aftertone_model::CallId;

/// Samples per second of every [`Frame`].
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of a [`Frame`]: ten milliseconds.
pub const FRAME_SAMPLES: usize = 480;

/// Ten milliseconds of sound, mono, 48 kHz.
pub type Frame = [i16; FRAME_SAMPLES];

/// Takes sound: a loudspeaker, or a file.
pub trait AudioSink: Send + 'static {
    /// Takes the next ten milliseconds. Called about every ten milliseconds by the task that owns the sink; it must
    /// not block. A device that runs a little faster or slower has to even that out itself.
    fn write(&mut self, frame: &Frame);

    /// Whether what was written lately comes out somewhere.
    fn is_heard(&self) -> bool {
        true
    }
}

/// Gives sound: a microphone, or a file.
pub trait AudioSource: Send + 'static {
    /// Fills the next ten milliseconds and says whether there was sound; where it says `false`, silence is sent.
    /// Called about every ten milliseconds; it must not block.
    fn read(&mut self, frame: &mut Frame) -> bool;
}

/// Where the sound of calls comes from and goes to. The session asks it once per call when the two ends have found each
/// other (and once more when a call's media start again), and once per message that is played; it drops what it got
/// when it is done with it. When media start again, what was got earlier may be open for a moment beside it. The methods are called where they may take a while, as opening a device does.
pub trait AudioIo: Send + Sync + 'static {
    /// What the other party of `call` will hear.
    fn call_source(&self, call: CallId) -> Box<dyn AudioSource>;
    /// Where the other party of `call` is heard.
    fn call_sink(&self, call: CallId) -> Box<dyn AudioSink>;
    /// Where messages are heard.
    fn playback_sink(&self) -> Box<dyn AudioSink>;
}

/// Hears nothing and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl AudioSink for Silence {
    fn write(&mut self, _frame: &Frame) {}
}

impl AudioSource for Silence {
    fn read(&mut self, frame: &mut Frame) -> bool {
        frame.fill(0);
        false
    }
}

impl AudioIo for Silence {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Self)
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(Self)
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(Self)
    }
}

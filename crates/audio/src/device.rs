/// What a device is used for; each may have a device of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Speaking.
    Microphone,
    /// Hearing calls and messages.
    Speaker,
    /// Ringing.
    Ringer,
}

impl Use {
    /// All uses.
    pub const ALL: [Self; 3] = [Self::Microphone, Self::Speaker, Self::Ringer];
}

/// A device as a person chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioDevice {
    /// Stays the same when the program or the machine starts anew, as far as the system can tell.
    pub id: String,
    /// For people.
    pub name: String,
    /// What is taken when none is chosen.
    pub is_default: bool,
}

/// The devices of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devices {
    /// To speak into.
    pub inputs: Vec<AudioDevice>,
    /// To hear with.
    pub outputs: Vec<AudioDevice>,
}

impl Devices {
    /// The devices that can be used so.
    #[must_use]
    pub fn of(&self, usage: Use) -> &[AudioDevice] {
        match usage {
            Use::Microphone => &self.inputs,
            Use::Speaker | Use::Ringer => &self.outputs,
        }
    }

    /// What is taken for this use when none is chosen.
    #[must_use]
    pub fn default_of(&self, usage: Use) -> Option<&AudioDevice> {
        self.of(usage).iter().find(|device| device.is_default)
    }

    /// The device with this id.
    #[must_use]
    pub fn find(&self, usage: Use, id: &str) -> Option<&AudioDevice> {
        self.of(usage).iter().find(|device| device.id == id)
    }

    /// Whether a device is there for this use.
    #[must_use]
    pub fn has(&self, usage: Use, id: &str) -> bool {
        self.find(usage, id).is_some()
    }
}

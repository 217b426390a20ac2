use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a device is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum AudioUse {
    /// Speaking.
    Microphone,
    /// Hearing calls and messages.
    Speaker,
    /// Ringing.
    Ringer,
}

/// The sound devices of this machine, and which are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AudioDevicesView {
    /// To speak into.
    pub inputs: Vec<AudioDeviceView>,
    /// To hear and to ring.
    pub outputs: Vec<AudioDeviceView>,
    /// The chosen input; none follows the system. It may name a device that is not plugged in now.
    pub microphone: Option<String>,
    /// The chosen output for calls and messages; none follows the system.
    pub speaker: Option<String>,
    /// The chosen output for ringing; none follows the system.
    pub ringer: Option<String>,
}

/// A sound device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AudioDeviceView {
    /// Names it in [`Command::ChooseAudioDevice`](crate::Command::ChooseAudioDevice).
    pub id: String,
    /// For people.
    pub name: String,
    /// The one that the system would take.
    pub system_default: bool,
}

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
    /// What is open for speaking.
    pub microphone_in_use: AudioInUse,
    /// What is open for hearing.
    pub speaker_in_use: AudioInUse,
    /// What is open for ringing.
    pub ringer_in_use: AudioInUse,
    /// In per cent, 0 to 150.
    pub speaker_volume: u8,
    /// In per cent, 0 to 150.
    pub ringer_volume: u8,
    /// What is done to the voice.
    pub processing: VoiceProcessing,
    /// Whose tones are heard while it rings at the other end.
    pub region: ToneRegion,
}

/// What a use's device is at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AudioInUse {
    /// The device that is open, or was last; none where none could be opened.
    pub name: Option<String>,
    /// It is used because the chosen one isn't there or can't be opened.
    pub fallback: bool,
    /// The chosen device's name, when it isn't plugged in.
    pub missing: Option<String>,
}

/// What is done to a voice on its way to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct VoiceProcessing {
    /// Takes out what the loudspeaker plays.
    pub echo_cancellation: bool,
    /// Takes out fans, keyboards and streets.
    pub noise_suppression: bool,
    /// Makes quiet voices louder and loud ones quieter.
    pub gain_control: bool,
}

impl Default for VoiceProcessing {
    fn default() -> Self {
        Self { echo_cancellation: true, noise_suppression: true, gain_control: true }
    }
}

/// Whose tones are heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum ToneRegion {
    /// Germany, and most of the continent.
    #[default]
    Germany,
    /// Austria.
    Austria,
    /// Switzerland.
    Switzerland,
    /// France.
    France,
    /// The United Kingdom and Ireland.
    UnitedKingdom,
    /// The United States and Canada.
    NorthAmerica,
}

/// How loud it is: 0 (silence) to 100 (as loud as can be).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AudioLevels {
    /// What is said.
    pub microphone: u8,
    /// What is heard.
    pub speaker: u8,
}

/// Something happened to a device that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AudioNotice {
    /// Which one.
    #[serde(rename = "use")]
    pub usage: AudioUse,
    /// What.
    pub about: AudioNoticeAbout,
    /// The device that is used now, or for [`AudioNoticeAbout::Unavailable`] the one that isn't.
    pub device: Option<String>,
}

/// What happened to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum AudioNoticeAbout {
    /// It is gone; another one is used in its place.
    Fallback,
    /// The chosen one is back.
    Returned,
    /// None can be used: nothing is heard, or nobody hears us.
    Unavailable,
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

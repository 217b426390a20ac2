//! What the person chose on this device; nothing here is secret.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use aftertone_model::{GreetingId, Timestamp};
use aftertone_view::{Language, NotificationsView, PlayerView, ToneRegion, VoiceProcessing};
use serde::{Deserialize, Serialize};

/// The choices.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// The interface's language; none follows the system.
    pub(crate) language: Option<Language>,
    /// The token is kept in a file.
    pub(crate) file_secrets: bool,
    /// The server of the last sign-in.
    pub(crate) server: String,
    /// The user of the last sign-in.
    pub(crate) user: String,
    /// The chosen input; none follows the system.
    pub(crate) microphone: Option<String>,
    /// The chosen output for calls and messages; none follows the system.
    pub(crate) speaker: Option<String>,
    /// The chosen output for ringing; none follows the system.
    pub(crate) ringer: Option<String>,
    /// What the chosen devices were called when they were chosen, by id: they needn't be plugged in now.
    pub(crate) device_names: BTreeMap<String, String>,
    /// In per cent.
    pub(crate) speaker_volume: u8,
    /// In per cent.
    pub(crate) ringer_volume: u8,
    /// What is done to the voice.
    pub(crate) voice: VoiceProcessing,
    /// Whose tones are heard.
    pub(crate) region: ToneRegion,
    /// What notifications tell, and when.
    pub(crate) notifications: NotificationsView,
    /// How messages sound.
    pub(crate) player: PlayerView,
    /// The set-up was gone through, or left: it does not come by itself again.
    pub(crate) set_up: bool,
    /// The ends of greetings that the person was reminded of.
    pub(crate) reminded: BTreeMap<GreetingId, Timestamp>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: None,
            file_secrets: false,
            server: String::new(),
            user: String::new(),
            microphone: None,
            speaker: None,
            ringer: None,
            device_names: BTreeMap::default(),
            speaker_volume: 100,
            ringer_volume: 100,
            voice: VoiceProcessing::default(),
            region: ToneRegion::default(),
            notifications: NotificationsView::default(),
            player: PlayerView::default(),
            set_up: false,
            reminded: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The choices of the profile `folder`; the defaults where there are none, or where the file is broken.
    pub(crate) fn load(folder: &Path) -> Self {
        let bytes = std::fs::read(file(folder)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Keeps them.
    pub(crate) fn save(&self, folder: &Path) {
        let fresh = file(folder).with_extension("new");
        let saved = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&fresh, text))
            .and_then(|()| std::fs::rename(&fresh, file(folder)));
        if let Err(error) = saved {
            tracing::warn!(%error, "the settings can't be kept");
        }
    }

    /// What a device was called when it was chosen.
    pub(crate) fn device_name(&self, id: &str) -> String {
        self.device_names.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// Whether notifications rest at this moment, in local time.
    pub(crate) fn quiet_now(&self) -> bool {
        let now = jiff::ZonedDateTime::now();
        let weekday = u8::try_from(now.weekday().to_monday_zero_offset()).unwrap_or_default();
        let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        self.notifications.quiet.as_ref().is_some_and(|hours| hours.cover(weekday, minute))
    }

    /// The language that was chosen, or the system's.
    pub(crate) fn language(&self) -> Language {
        let german =
            || ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        self.language.unwrap_or_else(|| if german().is_some_and(|v| v.starts_with("de")) { Language::De } else { Language::En })
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("settings.json")
}

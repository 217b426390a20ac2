use aftertone_model::{DeviceId, Timestamp};
use aftertone_sync::{Device, DeviceKind};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What was chosen on this device, besides sound and language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct SettingsView {
    /// What notifications tell, and when.
    pub notifications: NotificationsView,
    /// It is quiet at this moment.
    pub quiet_now: bool,
    /// The desktop shows the app's tray icon; without one, closing the window leaves the app running unseen.
    pub tray: bool,
}

/// What notifications of the operating system tell, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct NotificationsView {
    /// New messages.
    pub messages: bool,
    /// Ringing calls.
    pub calls: bool,
    /// Calls that were missed and left no message.
    pub missed_calls: bool,
    /// When there are none of messages and missed calls, and calls ring silently; none: never.
    pub quiet: Option<QuietHours>,
}

impl Default for NotificationsView {
    fn default() -> Self {
        Self { messages: true, calls: true, missed_calls: true, quiet: None }
    }
}

/// Hours of the day, in local time. Where they end before they begin, they go over midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct QuietHours {
    /// Minutes since midnight, 0 to 1439.
    pub from_minute: u16,
    /// Minutes since midnight, 0 to 1439.
    pub to_minute: u16,
    /// The weekdays on which they begin: 0 is Monday, 6 is Sunday.
    pub days: Vec<u8>,
}

/// The devices of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct DevicesView {
    /// This one first, then the one that was seen last.
    pub devices: Vec<DeviceView>,
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct DeviceView {
    /// Names it in commands.
    #[ts(type = "string")]
    pub id: DeviceId,
    /// As it was named at the sign-in.
    pub name: String,
    /// It is a phone of another make; else an app.
    pub phone: bool,
    /// It is this one.
    pub this_one: bool,
    /// Since when it belongs to the account.
    #[ts(type = "string")]
    pub since: Timestamp,
    /// When the server last heard of it.
    #[ts(type = "string")]
    pub last_seen: Timestamp,
}

impl DevicesView {
    /// The devices that the server lists.
    #[must_use]
    pub fn new<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Self {
        let mut devices: Vec<_> = devices.into_iter().map(DeviceView::from).collect();
        devices.sort_by_key(|device| (!device.this_one, std::cmp::Reverse(device.last_seen)));
        Self { devices }
    }
}

impl From<&Device> for DeviceView {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id,
            name: device.name.clone(),
            phone: device.kind == DeviceKind::Phone,
            this_one: device.current,
            since: device.created_at,
            last_seen: device.last_seen_at,
        }
    }
}

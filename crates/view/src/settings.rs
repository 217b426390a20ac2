use aftertone_model::{DeviceId, MenuLayout, Timestamp};
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
    /// The session starts the app, without its window.
    pub with_the_session: bool,
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

impl QuietHours {
    /// Whether it is quiet at `minute` of `weekday` (0 is Monday), both in local time. Where both ends are the same, it is
    /// quiet for 24 hours.
    #[must_use]
    pub fn cover(&self, weekday: u8, minute: u16) -> bool {
        let begun = |day: u8| self.days.contains(&day);
        let yesterday = (weekday + 6) % 7;
        if self.from_minute < self.to_minute {
            begun(weekday) && (self.from_minute..self.to_minute).contains(&minute)
        } else {
            (begun(weekday) && minute >= self.from_minute) || (begun(yesterday) && minute < self.to_minute)
        }
    }
}

/// How the mailbox is listened to by phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct PhoneMenuView {
    /// There is a PIN: the mailbox opens from any phone.
    pub has_pin: bool,
    /// What the keys mean.
    #[ts(type = "\"aftertone\" | \"asterisk\"")]
    pub layout: MenuLayout,
    /// What opens the menu on a device of the person.
    pub menu_number: Option<String>,
    /// What opens it on any phone, by extension and PIN.
    pub mailbox_number: Option<String>,
}

impl From<aftertone_sync::PhoneMenuView> for PhoneMenuView {
    fn from(menu: aftertone_sync::PhoneMenuView) -> Self {
        Self { has_pin: menu.has_pin, layout: menu.layout, menu_number: menu.menu_number, mailbox_number: menu.mailbox_number }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_over_midnight() {
        // Weekdays, 22:00 to 7:00; then 12:00 to 13:00; then all of a Sunday.
        let night = QuietHours { from_minute: 22 * 60, to_minute: 7 * 60, days: vec![0, 1, 2, 3, 4] };
        let noon = QuietHours { from_minute: 12 * 60, to_minute: 13 * 60, days: vec![0] };
        let sunday = QuietHours { from_minute: 0, to_minute: 0, days: vec![6] };
        let cases = [
            (&night, 0, 22 * 60, true),
            (&night, 0, 21 * 60 + 59, false),
            (&night, 1, 6 * 60 + 59, true),
            (&night, 1, 7 * 60, false),
            // Friday's night reaches into Saturday; Saturday has none of its own, and Monday's morning belongs to Sunday.
            (&night, 5, 3 * 60, true),
            (&night, 5, 23 * 60, false),
            (&night, 0, 3 * 60, false),
            (&noon, 0, 12 * 60, true),
            (&noon, 0, 13 * 60, false),
            (&noon, 1, 12 * 60, false),
            (&sunday, 6, 0, true),
            (&sunday, 6, 1439, true),
            (&sunday, 0, 0, false),
        ];
        for (hours, weekday, minute, quiet) in cases {
            assert_eq!(hours.cover(weekday, minute), quiet, "{hours:?} on day {weekday} at minute {minute}");
        }
    }
}

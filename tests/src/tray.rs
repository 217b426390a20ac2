//! The desktop's tray, as the tests play it: it takes every icon and shows none.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use zbus::{connection, interface};

const NAME: &str = "org.kde.StatusNotifierWatcher";
const PATH: &str = "/StatusNotifierWatcher";

#[derive(Debug, Default)]
struct Watcher {
    items: Arc<Mutex<Vec<String>>>,
}

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: &str) {
        if let Ok(mut items) = self.items.lock() {
            items.push(service.to_owned());
        }
    }

    fn register_status_notifier_host(&self, _service: &str) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.items.lock().map(|items| items.clone()).unwrap_or_default()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

/// The tray on a bus; dropping it takes it away.
#[derive(Debug)]
pub struct Tray {
    items: Arc<Mutex<Vec<String>>>,
    _connection: zbus::Connection,
}

impl Tray {
    /// Takes the tray's name on the bus at `address`.
    ///
    /// # Errors
    /// Where there is no such bus or the name is taken.
    pub async fn own(address: &str) -> Result<Self> {
        let watcher = Watcher::default();
        let items = Arc::clone(&watcher.items);
        let builder = connection::Builder::address(address).serve_at(PATH, watcher).name(NAME);
        Ok(Self { items, _connection: builder.build().await? })
    }

    /// How many icons were put into it.
    #[must_use]
    pub fn icons(&self) -> usize {
        self.items.lock().map(|items| items.len()).unwrap_or_default()
    }
}

//! The desktop's notification daemon, as the tests play it: it keeps what it was told, and presses buttons.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use anyhow::Result;
use zbus::{OwnedVariant, connection, interface, object_server::SignalEmitter};

/// Of the Desktop Notifications Specification 1.2: the urgency of what can't wait, and why a notification was closed.
const CRITICAL: u8 = 2;
const BY_THE_PERSON: u32 = 2;
const PATH: &str = "/org/freedesktop/Notifications";

/// A notification that a program sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The daemon's number for it.
    pub id: u32,
    /// First line.
    pub summary: String,
    /// Text.
    pub body: String,
    /// Its buttons: key and label in turn.
    pub actions: Vec<String>,
    /// It demands attention (urgency: critical).
    pub urgent: bool,
    /// The desktop entry of the program that showed it.
    pub desktop_entry: Option<String>,
    /// It was closed since.
    pub closed: bool,
    /// When it was shown.
    pub at: SystemTime,
}

#[derive(Debug, Default)]
struct Daemon {
    shown: Arc<Mutex<Vec<Shown>>>,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Daemon {
    #[expect(clippy::too_many_arguments, reason = "the Desktop Notifications Specification 1.2 has that many")]
    fn notify(
        &self,
        _app_name: &str,
        replaces_id: u32,
        _app_icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        _expire_timeout: i32,
    ) -> u32 {
        let at = SystemTime::now();
        let Ok(mut shown) = self.shown.lock() else { return 0 };
        let id = if replaces_id > 0 { replaces_id } else { shown.len() as u32 + 1 };
        let urgent =
            hints.get("urgency").is_some_and(|urgency| u8::try_from(&**urgency).is_ok_and(|urgency| urgency == CRITICAL));
        let desktop_entry = hints.get("desktop-entry").and_then(|entry| <&str>::try_from(&**entry).ok()).map(str::to_owned);
        let (summary, body) = (summary.to_owned(), body.to_owned());
        shown.push(Shown { id, summary, body, actions, urgent, desktop_entry, closed: false, at });
        id
    }

    async fn close_notification(&self, id: u32, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        if let Ok(mut shown) = self.shown.lock() {
            shown.iter_mut().filter(|one| one.id == id).for_each(|one| one.closed = true);
        }
        let _nobody_listens = Self::notification_closed(&emitter, id, 3).await;
    }

    fn get_capabilities(&self) -> Vec<String> {
        vec!["actions".into(), "body".into(), "body-markup".into(), "persistence".into()]
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("Test".into(), "Aftertone".into(), "1".into(), "1.2".into())
    }

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action_key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn notification_closed(emitter: &SignalEmitter<'_>, id: u32, reason: u32) -> zbus::Result<()>;
}

/// The daemon on a bus.
#[derive(Debug)]
pub struct Notifications {
    connection: zbus::Connection,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Notifications {
    /// Takes the name of the notification daemon on the bus at `address`.
    ///
    /// # Errors
    /// Where there is no such bus or the name is taken.
    pub async fn own(address: &str) -> Result<Self> {
        let daemon = Daemon::default();
        let shown = Arc::clone(&daemon.shown);
        let builder = connection::Builder::address(address).name("org.freedesktop.Notifications");
        let connection = builder.serve_at(PATH, daemon).build().await?;
        Ok(Self { connection, shown })
    }

    /// What was shown so far.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        self.shown.lock().map(|shown| shown.clone()).unwrap_or_default()
    }

    /// Takes a notification off the screen, as a person does it.
    ///
    /// # Errors
    /// Where the bus is gone.
    pub async fn dismiss(&self, id: u32) -> Result<()> {
        if let Ok(mut shown) = self.shown.lock() {
            shown.iter_mut().filter(|one| one.id == id).for_each(|one| one.closed = true);
        }
        let emitter = SignalEmitter::new(&self.connection, PATH)?;
        Ok(Daemon::notification_closed(&emitter, id, BY_THE_PERSON).await?)
    }

    /// Presses a button of a notification.
    ///
    /// # Errors
    /// Where the bus is gone.
    pub async fn press(&self, id: u32, action: &str) -> Result<()> {
        let emitter = SignalEmitter::new(&self.connection, PATH)?;
        Ok(Daemon::action_invoked(&emitter, id, action).await?)
    }
}

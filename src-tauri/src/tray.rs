//! The tray: state, count and a menu. Where a desktop has none, starting the app again shows the window.

use aftertone_client::{Connection, OfflineReason};
use aftertone_view::{Language, Place};
use tauri::{
    AppHandle, Manager,
    menu::{Menu, MenuItem, PredefinedMenuItem},
    tray::{TrayIcon, TrayIconBuilder},
};

use crate::shell::{Input, Inputs};

/// The icon in the tray, where the desktop takes one.
pub(crate) struct Tray(Option<Icon>);

struct Icon {
    icon: TrayIcon,
    state: MenuItem<tauri::Wry>,
    messages: MenuItem<tauri::Wry>,
    open: MenuItem<tauri::Wry>,
    quit: MenuItem<tauri::Wry>,
    said: Option<Said>,
}

/// What its menu says; setting it again costs a message to the desktop each time.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    state: &'static str,
    messages: String,
    language: Language,
}

impl Tray {
    /// Puts the icon into the tray.
    pub(crate) fn build(app: &AppHandle) -> Self {
        match Icon::build(app) {
            Ok(icon) => Self(Some(icon)),
            Err(error) => {
                tracing::info!(%error, "this desktop has no tray");
                Self(None)
            }
        }
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Says how the connection is (none: nobody is signed in), and how many messages are new.
    pub(crate) fn update(&mut self, connection: Option<&Connection>, new_messages: u32, language: Language) {
        let Some(icon) = &mut self.0 else { return };
        let words = Words::of(language);
        let said = Said { state: words.state(connection), messages: words.messages(new_messages), language };
        if icon.said.as_ref() == Some(&said) {
            return;
        }
        if let Err(error) = icon.say(&said, words) {
            tracing::debug!(%error, "the tray can't be changed");
        }
        icon.said = Some(said);
    }
}

impl Icon {
    fn build(app: &AppHandle) -> tauri::Result<Self> {
        let item = |id: &str, enabled| MenuItem::with_id(app, id, "Aftertone", enabled, None::<&str>);
        let (state, messages, open, quit) =
            (item("state", false)?, item("messages", true)?, item("open", true)?, item("quit", true)?);
        let line = PredefinedMenuItem::separator(app)?;
        let menu = Menu::with_items(app, &[&state, &messages, &line, &open, &quit])?;
        let mut tray = TrayIconBuilder::with_id("main").menu(&menu).tooltip("Aftertone").on_menu_event(|app, event| {
            let Some(inputs) = app.try_state::<Inputs>() else { return };
            inputs.send(match event.id().as_ref() {
                "quit" => Input::Quit,
                "messages" => Input::Show(Some(Place::Mailbox)),
                _ => Input::Show(None),
            });
        });
        if let Some(icon) = app.default_window_icon() {
            tray = tray.icon(icon.clone());
        }
        Ok(Self { icon: tray.build(app)?, state, messages, open, quit, said: None })
    }

    fn say(&self, said: &Said, words: &Words) -> tauri::Result<()> {
        self.state.set_text(said.state)?;
        self.messages.set_text(&said.messages)?;
        self.open.set_text(words.open)?;
        self.quit.set_text(words.quit)?;
        self.icon.set_tooltip(Some(format!("Aftertone: {}, {}", said.state, said.messages)))
    }
}

struct Words {
    connected: &'static str,
    connecting: &'static str,
    signed_out: &'static str,
    offline: [&'static str; 5],
    no_messages: &'static str,
    one_message: &'static str,
    messages: &'static str,
    open: &'static str,
    quit: &'static str,
}

impl Words {
    fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::De => &GERMAN,
        }
    }

    fn state(&self, connection: Option<&Connection>) -> &'static str {
        match connection {
            None => self.signed_out,
            Some(Connection::Online) => self.connected,
            Some(Connection::Connecting) => self.connecting,
            Some(Connection::Offline { reason, .. }) => {
                self.offline[match reason {
                    OfflineReason::Dns => 0,
                    OfflineReason::Connect => 1,
                    OfflineReason::Tls => 2,
                    OfflineReason::Credentials => 3,
                    OfflineReason::Server => 4,
                }]
            }
        }
    }

    fn messages(&self, count: u32) -> String {
        match count {
            0 => self.no_messages.to_owned(),
            1 => self.one_message.to_owned(),
            n => format!("{n} {}", self.messages),
        }
    }
}

const ENGLISH: Words = Words {
    connected: "Connected",
    connecting: "Connecting …",
    signed_out: "Signed out",
    offline: [
        "No network: the server's name is not found",
        "The server can't be reached",
        "The server's certificate is not trusted",
        "Sign in again",
        "The server has a problem",
    ],
    no_messages: "No new messages",
    one_message: "1 new message",
    messages: "new messages",
    open: "Open Aftertone",
    quit: "Quit",
};

const GERMAN: Words = Words {
    connected: "Verbunden",
    connecting: "Wird verbunden …",
    signed_out: "Abgemeldet",
    offline: [
        "Kein Netz: der Name des Servers wird nicht gefunden",
        "Der Server ist nicht erreichbar",
        "Dem Zertifikat des Servers wird nicht vertraut",
        "Bitte neu anmelden",
        "Der Server hat ein Problem",
    ],
    no_messages: "Keine neuen Nachrichten",
    one_message: "1 neue Nachricht",
    messages: "neue Nachrichten",
    open: "Aftertone öffnen",
    quit: "Beenden",
};

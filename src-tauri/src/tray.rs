//! The tray: state, count and a menu. Where a desktop has none, starting the app again shows the window.

use aftertone_view::{ConnectionView, Language, OfflineReason, Place};
#[cfg(target_os = "linux")]
use futures_util::TryStreamExt;
use tauri::{
    AppHandle, Manager,
    image::Image,
    menu::{Menu, MenuItem, PredefinedMenuItem},
    tray::{TrayIcon, TrayIconBuilder},
};

use crate::shell::{Input, Inputs};

/// The icon in the tray, where the desktop takes one.
pub(crate) struct Tray(Option<Icon>);

struct Icon {
    icon: TrayIcon,
    picture: Option<Image<'static>>,
    state: MenuItem<tauri::Wry>,
    messages: MenuItem<tauri::Wry>,
    open: MenuItem<tauri::Wry>,
    quit: MenuItem<tauri::Wry>,
    said: Option<Said>,
}

/// What its menu says; setting it again costs a message to the desktop each time.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    badge: Badge,
    state: &'static str,
    messages: String,
    language: Language,
}

/// What the picture shows: on many desktops nobody sees the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Badge {
    /// All is well.
    Plain,
    /// There are new messages.
    New,
    /// Calls and messages don't come in.
    Offline,
}

impl Tray {
    /// No icon yet; whether one can be shown is told by [`Input::Tray`].
    pub(crate) fn new(inputs: &Inputs) -> Self {
        tell_whether_shown(inputs.clone());
        Self(None)
    }

    /// Puts the icon into the tray, or takes it out where nobody shows it any more.
    pub(crate) fn can_be_shown(&mut self, app: &AppHandle, can_be: bool) {
        self.0 = match can_be.then(|| Icon::build(app)) {
            None => None,
            Some(Ok(icon)) => Some(icon),
            Some(Err(error)) => {
                tracing::info!(%error, "this desktop has no tray");
                None
            }
        };
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Says how the connection is (none: nobody is signed in), and how many messages are new.
    pub(crate) fn update(&mut self, connection: Option<&ConnectionView>, new_messages: u32, language: Language) {
        let Some(icon) = &mut self.0 else { return };
        let words = Words::of(language);
        let badge = match connection {
            Some(ConnectionView::Connected) if new_messages > 0 => Badge::New,
            Some(ConnectionView::Connected | ConnectionView::Connecting) => Badge::Plain,
            Some(ConnectionView::Offline { .. }) | None => Badge::Offline,
        };
        let said = Said { badge, state: words.state(connection), messages: words.messages(new_messages), language };
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
        let picture = app.default_window_icon().cloned().map(Image::to_owned);
        if let Some(picture) = &picture {
            tray = tray.icon(picture.clone());
        }
        Ok(Self { icon: tray.build(app)?, picture, state, messages, open, quit, said: None })
    }

    fn say(&self, said: &Said, words: &Words) -> tauri::Result<()> {
        self.state.set_text(said.state)?;
        self.messages.set_text(&said.messages)?;
        self.open.set_text(words.open)?;
        self.quit.set_text(words.quit)?;
        let shows = self.said.as_ref().map_or(Badge::Plain, |said| said.badge);
        if let Some(picture) = self.picture.as_ref().filter(|_| shows != said.badge) {
            self.icon.set_icon(Some(badged(picture, said.badge)))?;
        }
        self.icon.set_tooltip(Some(format!("Aftertone: {}, {}", said.state, said.messages)))
    }
}

/// On Linux an icon that nobody shows looks to us like one that is shown: whether there is a tray says the bus.
#[cfg(target_os = "linux")]
fn tell_whether_shown(inputs: Inputs) {
    const WATCHER: &str = "org.kde.StatusNotifierWatcher";

    let watch = async move {
        let bus = zbus::Connection::session().await?;
        let names = zbus::fdo::DBusProxy::new(&bus).await?;
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.DBus")?
            .member("NameOwnerChanged")?
            .arg(0, WATCHER)?;
        let mut changes = zbus::MessageStream::for_match_rule(rule.build(), &bus, None).await?;
        inputs.send(Input::Tray(names.name_has_owner(WATCHER.try_into()?).await?));
        while let Some(change) = changes.try_next().await? {
            let (_name, _before, owner): (String, String, String) = change.body().deserialize()?;
            inputs.send(Input::Tray(!owner.is_empty()));
        }
        zbus::Result::Ok(())
    };
    tauri::async_runtime::spawn(async move {
        if let Err(error) = watch.await {
            tracing::info!(%error, "this desktop has no tray");
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn tell_whether_shown(inputs: Inputs) {
    inputs.send(Input::Tray(true));
}

/// The picture with a dot at its lower right, or pale.
fn badged(picture: &Image<'static>, badge: Badge) -> Image<'static> {
    let (width, height) = (picture.width(), picture.height());
    let mut rgba = picture.rgba().to_vec();
    match badge {
        Badge::Plain => {}
        Badge::Offline => {
            for pixel in rgba.chunks_exact_mut(4) {
                // ITU-R BT.601.
                let grey = (299 * u32::from(pixel[0]) + 587 * u32::from(pixel[1]) + 114 * u32::from(pixel[2])) / 1000;
                pixel[..3].fill(u8::try_from(grey).unwrap_or(u8::MAX));
                pixel[3] /= 2;
            }
        }
        Badge::New => {
            let radius = i64::from(width.min(height)) / 4;
            let (x0, y0) = (i64::from(width) - radius, i64::from(height) - radius);
            for (index, pixel) in (0_i64..).zip(rgba.chunks_exact_mut(4)) {
                let (x, y) = (index % i64::from(width), index / i64::from(width));
                if (x - x0).pow(2) + (y - y0).pow(2) <= radius.pow(2) {
                    pixel.copy_from_slice(&NEW);
                }
            }
        }
    }
    Image::new_owned(rgba, width, height)
}

/// The red of new things.
const NEW: [u8; 4] = [0xe5, 0x48, 0x4d, 0xff];

struct Words {
    connected: &'static str,
    connecting: &'static str,
    signed_out: &'static str,
    offline: [&'static str; 10],
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

    fn state(&self, connection: Option<&ConnectionView>) -> &'static str {
        match connection {
            None => self.signed_out,
            Some(ConnectionView::Connected) => self.connected,
            Some(ConnectionView::Connecting) => self.connecting,
            Some(ConnectionView::Offline { reason, .. }) => {
                self.offline[match reason {
                    OfflineReason::Dns => 0,
                    OfflineReason::Connect => 1,
                    OfflineReason::Tls => 2,
                    OfflineReason::Credentials => 3,
                    OfflineReason::Server => 4,
                    OfflineReason::ProviderDns => 5,
                    OfflineReason::ProviderConnect => 6,
                    OfflineReason::ProviderTls => 7,
                    OfflineReason::ProviderCredentials => 8,
                    OfflineReason::ProviderRefused => 9,
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
        "No network: the provider's name is not found",
        "The provider can't be reached",
        "The provider's certificate is not trusted",
        "The provider doesn't take name and password",
        "The provider refuses to sign you in",
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
        "Kein Netz: der Name des Anbieters wird nicht gefunden",
        "Der Anbieter ist nicht erreichbar",
        "Dem Zertifikat des Anbieters wird nicht vertraut",
        "Der Anbieter nimmt Name und Passwort nicht an",
        "Der Anbieter verweigert die Anmeldung",
    ],
    no_messages: "Keine neuen Nachrichten",
    one_message: "1 neue Nachricht",
    messages: "neue Nachrichten",
    open: "Aftertone öffnen",
    quit: "Beenden",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_tells_new_messages_and_no_connection_apart() {
        let picture = Image::new_owned([10, 200, 30, 255].repeat(32 * 32), 32, 32);
        let pixel = |image: &Image<'_>, x: usize, y: usize| image.rgba()[(y * 32 + x) * 4..][..4].to_vec();
        assert_eq!(badged(&picture, Badge::Plain).rgba(), picture.rgba());
        let new = badged(&picture, Badge::New);
        assert_eq!((pixel(&new, 24, 24), pixel(&new, 4, 4)), (NEW.to_vec(), vec![10, 200, 30, 255]));
        let offline = badged(&picture, Badge::Offline);
        assert_eq!(pixel(&offline, 4, 4), [123, 123, 123, 127], "grey and pale");
    }
}

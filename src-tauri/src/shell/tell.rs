//! What the window and the tray are told: views of the state.

use aftertone_client::{Connection, OfflineReason};
use aftertone_view::{AccountView, AppView, Code, ConnectionView, Event, SettingsView, ToastAbout};
use tauri_plugin_autostart::ManagerExt;

use super::{Shell, perform};
use crate::window;

impl Shell {
    /// The phone's connection; with a server of its own, the provider's behind it. None: nobody is signed in.
    pub(super) fn connection(&self) -> Option<ConnectionView> {
        let phone = self.phone.as_ref()?;
        let view = connection_view(&phone.session.snapshot().connection);
        Some(match &self.own {
            Some(own) if view == ConnectionView::Connected => own.connection(),
            Some(_) | None => view,
        })
    }

    /// What was done here and waits to be told to the server.
    pub(super) fn waiting(&self) -> u32 {
        self.phone.as_ref().map_or(0, |phone| u32::try_from(phone.session.snapshot().waiting).unwrap_or(u32::MAX))
    }

    pub(super) fn toast(&mut self, about: ToastAbout) {
        let toast = self.mailbox.toast(about, false);
        window::tell(&self.app, &Event::Toast(toast));
    }

    pub(super) fn toast_failure(&mut self, result: Result<(), aftertone_client::CommandError>) {
        if let Err(error) = result {
            self.toast(ToastAbout::Failed { code: perform::command_code(&error) });
        }
    }

    pub(super) fn tell_all(&mut self) {
        for view in self.views() {
            window::tell(&self.app, &view);
        }
        window::badge(&self.app, self.mailbox.new_messages());
        self.tell_greetings();
        self.tell_rules();
        window::tell(&self.app, &Event::TestMessage(self.test));
        self.tell_test_call();
        self.tell_settings();
    }

    /// What the first picture of a window shows.
    pub(super) fn views(&self) -> Vec<Event> {
        let first = [Event::App(self.app_view()), Event::Player(self.settings.player), Event::Playback(self.playback.clone())];
        first.into_iter().chain(self.mailbox_views()).collect()
    }

    pub(super) fn tell_settings(&self) {
        window::tell(
            &self.app,
            &Event::Settings(SettingsView {
                notifications: self.settings.notifications.clone(),
                quiet_now: self.settings.quiet_now(),
                tray: self.tray.is_shown(),
                with_the_session: self.app.autolaunch().is_enabled().unwrap_or(false),
            }),
        );
    }

    pub(super) fn update_tray(&mut self) {
        let connection = self.connection();
        self.tray.update(connection.as_ref(), self.mailbox.new_messages(), self.settings.language());
    }

    fn mailbox_views(&self) -> Vec<Event> {
        let connection = self.phone.as_ref().map(|phone| connection_view(&phone.session.snapshot().connection));
        self.mailbox.views(connection.is_some_and(|connection| connection == ConnectionView::Connected))
    }

    pub(super) fn tell_mailbox(&mut self) {
        for view in self.mailbox_views() {
            window::tell(&self.app, &view);
        }
        window::badge(&self.app, self.mailbox.new_messages());
        self.update_tray();
    }

    pub(super) fn tell_app(&self) {
        window::tell(&self.app, &Event::App(self.app_view()));
    }

    fn app_view(&self) -> AppView {
        let recordable = self.session().is_some_and(|session| session.snapshot().me.records_calls);
        let calls = self.calls.views(|call| self.tests.is_this(call), recordable);
        let account = match &self.phone {
            Some(phone) => {
                AccountView::SignedIn { me: phone.me.clone(), provider: self.own.as_ref().map(|own| own.provider.clone()) }
            }
            None => AccountView::SignedOut {
                server: self.settings.server.clone(),
                user: self.settings.user.clone(),
                why: self.why,
                invitation: self.invitation.clone(),
                provider: self.provider_step,
            },
        };
        AppView {
            account,
            connection: self.connection().unwrap_or(ConnectionView::Connecting),
            calls,
            language: self.settings.language(),
            secrets: self.secrets_view,
            new_messages: self.mailbox.new_messages(),
            waiting: self.waiting(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

fn connection_view(connection: &Connection) -> ConnectionView {
    match connection {
        Connection::Connecting => ConnectionView::Connecting,
        Connection::Online => ConnectionView::Connected,
        Connection::Offline { reason, detail, retry_at } => {
            ConnectionView::Offline { reason: offline_view(*reason), detail: detail.clone(), retry_at: *retry_at }
        }
    }
}

fn offline_view(reason: OfflineReason) -> aftertone_view::OfflineReason {
    match reason {
        OfflineReason::Dns => aftertone_view::OfflineReason::Dns,
        OfflineReason::Connect => aftertone_view::OfflineReason::Connect,
        OfflineReason::Tls => aftertone_view::OfflineReason::Tls,
        OfflineReason::Credentials => aftertone_view::OfflineReason::Credentials,
        OfflineReason::Server => aftertone_view::OfflineReason::Server,
    }
}

/// The code for a command that failed for want of a connection.
pub(crate) fn offline_code(reason: OfflineReason) -> Code {
    match reason {
        OfflineReason::Dns => Code::Dns,
        OfflineReason::Connect => Code::Connect,
        OfflineReason::Tls => Code::Tls,
        OfflineReason::Credentials => Code::NotSignedIn,
        OfflineReason::Server => Code::Server,
    }
}

use aftertone_model::Timestamp;
use aftertone_sync::Me;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{CallView, Code, Language, initials};

/// The frame of the app: who, whether connected, and the calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct AppView {
    /// Whose account.
    pub account: AccountView,
    /// Whether calls and messages come in.
    pub connection: ConnectionView,
    /// In the order they began. An ended call stays for some seconds, so that the reason can be read.
    pub calls: Vec<CallView>,
    /// The interface's language.
    pub language: Language,
    /// Where the account's token is kept.
    pub secrets: SecretsView,
    /// New messages, whatever folder is open.
    pub new_messages: u32,
    /// What was done here and waits to be told to the server.
    pub waiting: u32,
    /// The app's version.
    pub version: String,
}

/// Whose account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum AccountView {
    /// Nobody's.
    SignedOut {
        /// The server of the last sign-in, or empty.
        server: String,
        /// The user of the last sign-in, or empty.
        user: String,
        /// Why it ended, unless the person signed out: `not_signed_in` when this device was revoked.
        why: Option<Code>,
        /// An invitation link that was opened with the app and waits to be accepted.
        invitation: Option<String>,
        /// What the account at a provider is doing that is being signed in with
        /// ([`Command::UseOnYourOwn`](crate::Command::UseOnYourOwn)).
        provider: Option<ProviderStep>,
    },
    /// A person's.
    SignedIn {
        /// The person.
        me: MeView,
        /// The account at a provider, where the server is inside this app.
        provider: Option<ProviderView>,
    },
}

/// An account at a SIP provider, which the server inside this app uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct ProviderView {
    /// Its server, as it was typed.
    pub server: String,
    /// The name there.
    pub user: String,
}

/// What an account at a provider is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum ProviderStep {
    /// The server inside the app is starting.
    Starting,
    /// The provider's server is being looked up.
    Locating,
    /// It is being connected to.
    Connecting,
    /// Name and password are being shown to it.
    Registering,
    /// It is done; the app signs in at its own server.
    SigningIn,
}

/// The person whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct MeView {
    /// What they sign in with.
    pub user: String,
    /// Their number.
    pub extension: String,
    /// The name that others see.
    pub name: String,
    /// One or two characters for a picture.
    pub initials: String,
    /// The account's SIP domain.
    pub domain: String,
    /// The server's address.
    pub server: String,
}

impl MeView {
    /// From the server's answer and the address it was asked at.
    #[must_use]
    pub fn new(me: &Me, server: &str) -> Self {
        let Me { subscriber, domain, records_calls: _ } = me;
        Self {
            user: subscriber.user.to_string(),
            extension: subscriber.extension.to_string(),
            name: subscriber.display_name.clone(),
            initials: initials(Some(&subscriber.display_name), subscriber.extension.as_str()),
            domain: domain.clone(),
            server: server.to_owned(),
        }
    }
}

/// Whether calls and messages come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum ConnectionView {
    /// They do.
    Connected,
    /// Not yet.
    Connecting,
    /// They don't; it is tried again by itself.
    Offline {
        /// Why.
        reason: OfflineReason,
        /// What exactly, for people who look into it. English.
        detail: String,
        /// When the next try comes.
        #[ts(type = "string | null")]
        retry_at: Option<Timestamp>,
    },
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum OfflineReason {
    /// The server's name was not found; mostly there is no network.
    Dns,
    /// The server can't be reached.
    Connect,
    /// Its certificate is not trusted.
    Tls,
    /// It doesn't take this device's token any more.
    Credentials,
    /// It answers, but failed.
    Server,
    /// The name of the provider's server was not found.
    ProviderDns,
    /// The provider's server can't be reached, or doesn't answer.
    ProviderConnect,
    /// The certificate of the provider's server is not trusted.
    ProviderTls,
    /// The provider doesn't take name and password.
    ProviderCredentials,
    /// The provider refuses the registration.
    ProviderRefused,
}

/// Where the account's token is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum SecretsView {
    /// In the system's keyring, or by choice in a file.
    Ok,
    /// The keyring is locked: unlock it and try again, or choose a file.
    Locked,
    /// There is no keyring: choose a file.
    Missing,
}

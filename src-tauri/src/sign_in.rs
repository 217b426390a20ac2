//! Signing in, and starting the phone of the account that is signed in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aftertone_client::{
    Account, AudioIo, EventStream, FileSecrets, InvalidServer, Invitation, KeyringSecrets, SecretError, SecretStore,
    ServerAddress, Session, SessionConfig, SignInError, StartError,
};
use aftertone_sync::{Credentials, SignIn};
use aftertone_view::Code;

use crate::{arguments::Secrets, own::Own};

/// A phone that runs, and what it belongs to.
pub(crate) struct Started {
    pub(crate) account: Account,
    pub(crate) session: Session,
    pub(crate) events: EventStream,
    /// The account's server, where it is inside this app.
    pub(crate) own: Option<Own>,
}

/// What signing in and starting need to know.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) secrets: Arc<dyn SecretStore>,
    pub(crate) audio: Arc<dyn AudioIo>,
}

/// The store for tokens: the keyring, or the file `secrets.json` of the profile.
pub(crate) fn secret_store(kind: Secrets, folder: &Path) -> Arc<dyn SecretStore> {
    match kind {
        Secrets::Keyring => Arc::new(KeyringSecrets::new(format!("aftertone:{}", folder.display()))),
        Secrets::File => Arc::new(FileSecrets::new(folder.join("secrets.json"))),
    }
}

/// Starts the phone of the account that is signed in.
pub(crate) async fn resume(place: &Place) -> Result<Option<Started>, Code> {
    let account = aftertone_client::load_account(&place.folder).map_err(|error| {
        tracing::error!(%error, "the account can't be read");
        Code::StorageBroken
    })?;
    match account {
        Some(account) if account.server.own => crate::own::resume(place).await.map(Some),
        Some(account) => start(place, account).await.map(Some),
        None => Ok(None),
    }
}

/// Signs in with name and password.
pub(crate) async fn with_password(place: &Place, server: &str, user: String, password: String) -> Result<Started, Code> {
    let server = ServerAddress::parse(server, None).map_err(|error| server_code(&error))?;
    sign_in(place, server, Credentials::Password { user, password }).await
}

/// Signs in with an invitation.
pub(crate) async fn with_invitation(place: &Place, link: &str) -> Result<Started, Code> {
    let Invitation { server, token } = link.trim().parse().map_err(|_| Code::BadInvitation)?;
    match sign_in(place, server, Credentials::Invitation { invitation: token }).await {
        Err(Code::WrongCredentials) => Err(Code::BadInvitation),
        other => other,
    }
}

pub(crate) async fn sign_in(place: &Place, server: ServerAddress, credentials: Credentials) -> Result<Started, Code> {
    let device_name = hostname();
    let signed_in =
        aftertone_client::sign_in(server, SignIn { credentials, device_name }, &place.folder, Arc::clone(&place.secrets)).await;
    let account = signed_in.map_err(|error| {
        tracing::warn!(%error, "signing in failed");
        code(error)
    })?;
    start(place, account).await
}

pub(crate) async fn start(place: &Place, account: Account) -> Result<Started, Code> {
    let config = SessionConfig {
        data: place.folder.clone(),
        secrets: Arc::clone(&place.secrets),
        audio: Arc::clone(&place.audio),
        user_agent: format!("Aftertone/{}", env!("CARGO_PKG_VERSION")),
    };
    match Session::start(config).await {
        Ok((session, events)) => Ok(Started { account, session, events, own: None }),
        Err(error) => {
            tracing::warn!(%error, "the phone can't start");
            Err(match error {
                StartError::SignedOut => Code::NotSignedIn,
                StartError::TokenMissing => Code::TokenMissing,
                StartError::TooNew => Code::StorageTooNew,
                StartError::Secret(error) => secret_code(&error),
                StartError::Storage(_) => Code::StorageBroken,
                StartError::Server(error) => server_code(&error),
            })
        }
    }
}

fn code(error: SignInError) -> Code {
    match error {
        SignInError::Server(error) => server_code(&error),
        SignInError::WrongCredentials => Code::WrongCredentials,
        SignInError::RateLimited(_) => Code::RateLimited,
        SignInError::Unreachable { reason, .. } => crate::shell::offline_code(reason),
        SignInError::Secret(error) => secret_code(&error),
        SignInError::Storage(_) => Code::StorageBroken,
    }
}

fn server_code(error: &InvalidServer) -> Code {
    match error {
        InvalidServer::NotAnAddress | InvalidServer::Fingerprint => Code::BadServer,
        InvalidServer::Unencrypted => Code::NotEncrypted,
    }
}

fn secret_code(error: &SecretError) -> Code {
    match error {
        SecretError::Missing => Code::SecretsMissing,
        SecretError::Locked => Code::SecretsLocked,
        SecretError::Failed(_) => Code::Internal,
    }
}

/// What this machine calls itself, to tell devices apart in the account's list.
fn hostname() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("COMPUTERNAME").ok());
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "Aftertone".into())
}

//! An account for one person, served inside their app: the API listens on this machine alone, and an account at any SIP
//! provider is its trunk.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
};

use aftertone_exchange::{TrunkFailure, TrunkReport, TrunkStep};
use aftertone_model::{CallingRights, Language, NumberFormat, Trunk};
use aftertone_server_store::Store;
use anyhow::Context;
use tokio::sync::watch;

use crate::{
    Config, Running, Server,
    admin::{self, AddUser, InviteTo},
    trunks,
};

/// The one person.
const PERSON: &str = "me";
/// Nobody can have it as a telephone number, so that every number can be called.
const EXTENSION: &str = "000000";
const TRUNK: &str = "provider";
const RING_S: u16 = 20;

/// The account at the provider.
#[derive(Clone)]
pub struct Provider {
    /// `HOST`, `HOST:PORT`, or a URI such as `sip:HOST;transport=tls`.
    pub server: String,
    /// The name there; with `@`, the domain of the addresses there too.
    pub user: String,
    /// Sealed with the server's key where it is kept.
    pub password: String,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why there is no account to serve.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// What was given as the provider's server is no address, or there is no user.
    #[error("this is no account at a provider: {0}")]
    Provider(anyhow::Error),
    /// Anything else.
    #[error("the account on this machine failed: {0}")]
    Failed(#[from] anyhow::Error),
}

/// Makes the account in the folder `data`, or gives the one that is there another provider; a server that runs on it
/// notices within a second.
///
/// # Errors
/// Where the provider's server is no address, or the folder can't be written.
pub async fn prepare(data: &Path, provider: &Provider, language: Language) -> Result<(), OwnError> {
    let trunk = trunk(provider);
    trunks::check(&trunk).map_err(OwnError::Provider)?;
    let store = admin::open_or_make(data).await?;
    if store.find_subscriber(PERSON).await.context("looking for the person")?.is_none() {
        let (user, extension, display_name) = (PERSON.into(), EXTENSION.into(), provider.user.clone());
        let person = AddUser { user, extension, display_name, language, ring_s: RING_S, password: None };
        admin::add_user(data, person).await?;
    }
    trunks::allow(data, PERSON, Some(CallingRights::International), None).await?;
    store.put_trunk(&trunk, &provider.password).await.context("keeping the trunk")?;
    Ok(())
}

/// The provider of the account in `data`, as far as it may be shown: server and user.
///
/// # Errors
/// Where there is no account.
pub async fn provider(data: &Path) -> anyhow::Result<(String, String)> {
    let found = admin::open(data).await?.trunks().await?.into_iter().find(|(trunk, _)| trunk.name == TRUNK);
    let (trunk, _) = found.context("the account has no provider")?;
    let user = trunk.domain.map_or(trunk.user.clone(), |domain| format!("{}@{domain}", trunk.user));
    Ok((trunk.server, user))
}

/// Serves the account in `data`.
///
/// # Errors
/// Where the folder is another server's, or can't be used.
pub async fn serve(data: &Path) -> anyhow::Result<Running> {
    Server::start(config(data)).await
}

/// A link that signs the person in at the account that is being served in `data`.
///
/// # Errors
/// Where it isn't served.
pub async fn invite(data: &Path) -> anyhow::Result<String> {
    admin::invite(data, PERSON, InviteTo::default()).await
}

/// How the trunk to the provider gets on, of what a server tells of its trunks.
#[must_use]
pub fn report(trunks: &BTreeMap<String, TrunkReport>) -> Option<TrunkReport> {
    trunks.get(TRUNK).copied()
}

/// Waits until the provider has taken the registration, or every way to it has failed once. Each step is told.
///
/// # Errors
/// What the last way failed at.
pub async fn registered(
    trunks: &mut watch::Receiver<BTreeMap<String, TrunkReport>>,
    mut tell: impl FnMut(TrunkStep),
) -> Result<(), TrunkFailure> {
    let mut told = None;
    loop {
        let seen = report(&trunks.borrow_and_update());
        match seen {
            Some(TrunkReport { step: TrunkStep::Up, .. }) => return Ok(()),
            Some(TrunkReport { step: TrunkStep::Waiting, failure, .. }) => return Err(failure.unwrap_or(TrunkFailure::Silent)),
            Some(TrunkReport { step, .. }) if told != Some(step) => {
                told = Some(step);
                tell(step);
            }
            Some(_) | None => {}
        }
        if trunks.changed().await.is_err() {
            return Err(TrunkFailure::Silent);
        }
    }
}

fn trunk(provider: &Provider) -> Trunk {
    let user = provider.user.trim();
    let user = user.strip_prefix("sip:").unwrap_or(user);
    let (user, domain) = user.split_once('@').map_or((user, None), |(user, domain)| (user, Some(domain.to_owned())));
    Trunk {
        user: user.to_owned(),
        domain,
        register: true,
        default_to: Some(PERSON.into()),
        // Where the person lives is not known: the provider understands what its customers dial.
        format: NumberFormat::Dialled,
        ..Trunk::new(TRUNK, provider.server.trim())
    }
}

fn config(data: &Path) -> Config {
    let everywhere = if UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    };
    Config {
        domain: Some("localhost".into()),
        // The provider is somewhere else, and so must our end be. Nobody but the provider and the person is let in.
        sip_udp: Some(everywhere),
        sip_tcp: None,
        http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        // One person talks at one time.
        media_workers: 1,
        ..Config::new(data)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn given(server: &str, user: &str) -> Provider {
        Provider { server: server.into(), user: user.into(), password: "known to us two".into() }
    }

    #[tokio::test]
    async fn the_password_is_in_no_file_and_another_provider_takes_the_place_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("own");
        prepare(&data, &given(" sip.provider.example ", "sip:4930@provider.example"), Language::De).await.unwrap();
        assert_eq!(provider(&data).await.unwrap(), ("sip.provider.example".into(), "4930@provider.example".into()));
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            assert!(!bytes.windows(11).any(|part| part == b"known to us"), "{} has the password", path.display());
        }
        prepare(&data, &given("192.0.2.1:5070", "anna"), Language::De).await.unwrap();
        assert_eq!(provider(&data).await.unwrap(), ("192.0.2.1:5070".into(), "anna".into()));
    }

    #[tokio::test]
    async fn what_is_no_account_at_a_provider_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        for (server, user) in [("no server", "anna"), ("", "anna"), ("sip.provider.example", " ")] {
            let refused = prepare(&folder.path().join("own"), &given(server, user), Language::En).await;
            assert!(matches!(refused, Err(OwnError::Provider(_))), "{server:?} {user:?}: {refused:?}");
        }
    }

    #[test]
    fn only_this_machine_reaches_the_api() {
        let config = config(Path::new("own"));
        config.check().unwrap();
        assert!(config.http.unwrap().ip().is_loopback() && config.https.is_none() && !config.open && config.trust.is_empty());
        assert!(config.media_address().is_unspecified(), "the provider's sound comes from somewhere else");
    }
}

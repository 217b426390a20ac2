//! An account of one's own: its server runs inside this app, and an account at any SIP provider is its trunk.

use std::path::{Path, PathBuf};

use aftertone_client::{Invitation, ServerAddress};
use aftertone_model::Language;
use aftertone_server::{
    Running, TrunkFailure, TrunkReport, TrunkStep,
    own::{self, OwnError, Provider},
};
use aftertone_sync::Credentials;
use aftertone_view::{Code, ConnectionView, OfflineReason, ProviderStep, ProviderView};

use crate::{
    shell::{Input, Inputs},
    sign_in::{self, Place, Started},
};

/// The server that runs inside this app.
pub(crate) struct Own {
    running: Running,
    pub(crate) provider: ProviderView,
    pub(crate) report: Option<TrunkReport>,
}

/// Where the account is kept.
fn folder(profile: &Path) -> PathBuf {
    profile.join("own")
}

impl Own {
    async fn serve(data: &Path) -> Result<Self, Code> {
        // It opens files and makes keys: nothing for the threads that calls are on.
        let (runtime, data) = (tokio::runtime::Handle::current(), data.to_owned());
        let served = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let (server, user) = own::provider(&data).await?;
                anyhow::Ok(Self { running: own::serve(&data).await?, provider: ProviderView { server, user }, report: None })
            })
        });
        served.await.unwrap_or_else(|error| Err(error.into())).map_err(|error| {
            tracing::error!("the account on this device can't be served: {error:#}");
            Code::OwnFailed
        })
    }

    fn address(&self) -> Result<ServerAddress, Code> {
        self.running.addresses.http.map(ServerAddress::own).ok_or(Code::OwnFailed)
    }

    /// Tells from now on how the provider's account gets on.
    pub(crate) fn follow(&self, inputs: &Inputs) {
        let (mut trunks, inputs) = (self.running.trunks(), inputs.clone());
        tauri::async_runtime::spawn(async move {
            loop {
                inputs.send(Input::Provider(own::report(&trunks.borrow_and_update())));
                if trunks.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// What the provider's account means for a phone that is connected to its server.
    pub(crate) fn connection(&self) -> ConnectionView {
        match self.report {
            Some(TrunkReport { step: TrunkStep::Up, .. }) => ConnectionView::Connected,
            Some(TrunkReport { failure: Some(failure), .. }) => {
                ConnectionView::Offline { reason: reason(failure), detail: detail(failure), retry_at: None }
            }
            Some(TrunkReport { failure: None, .. }) | None => ConnectionView::Connecting,
        }
    }

    /// Tries the provider now.
    pub(crate) async fn reconnect(&self) {
        self.running.reconnect().await;
    }

    /// Lets recordings end, takes the registration back, and stops.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.running.shutdown().await {
            tracing::warn!("the server inside the app: {error:#}");
        }
    }
}

/// Starts the phone that is signed in at the server inside this app, after the server.
pub(crate) async fn resume(place: &Place) -> Result<Started, Code> {
    let own = Own::serve(&folder(&place.folder)).await?;
    let started = async {
        let address = own.running.addresses.http.ok_or(Code::OwnFailed)?;
        let account = aftertone_client::relocate_own(&place.folder, address).map_err(|error| {
            tracing::error!(%error, "the account can't be written");
            Code::StorageBroken
        })?;
        sign_in::start(place, account).await
    };
    with(started.await, own).await
}

/// Makes the account, waits until the provider has taken its registration, and signs in there. Each step is told.
pub(crate) async fn begin(
    place: &Place,
    provider: &Provider,
    language: Language,
    mut tell: impl FnMut(ProviderStep),
) -> Result<Started, Code> {
    let data = folder(&place.folder);
    let was_there = data.exists();
    tell(ProviderStep::Starting);
    let started = try_begin(place, &data, provider, language, tell).await;
    if started.is_err() && !was_there {
        forget(&place.folder).await;
    }
    started
}

/// Puts another account at a provider in the place of the one there; the server notices within a second.
pub(crate) async fn change(profile: &Path, provider: &Provider, language: Language) -> Result<(), Code> {
    own::prepare(&folder(profile), provider, language).await.map_err(|error| own_code(&error))
}

/// Removes the account with all that it holds.
pub(crate) async fn forget(profile: &Path) {
    if let Err(error) = tokio::fs::remove_dir_all(folder(profile)).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the account on this device can't be removed");
    }
}

async fn try_begin(
    place: &Place,
    data: &Path,
    provider: &Provider,
    language: Language,
    mut tell: impl FnMut(ProviderStep),
) -> Result<Started, Code> {
    own::prepare(data, provider, language).await.map_err(|error| own_code(&error))?;
    let own = Own::serve(data).await?;
    let started = async {
        let registered = own::registered(&mut own.running.trunks(), |step| tell(view(step))).await;
        registered.map_err(|failure| {
            tracing::warn!("the account at the provider: {}", detail(failure));
            code(failure)
        })?;
        tell(ProviderStep::SigningIn);
        let invited = own::invite(data).await.map_err(|error| {
            tracing::error!("{error:#}");
            Code::OwnFailed
        })?;
        let Invitation { token, .. } = invited.trim().parse().map_err(|_| Code::OwnFailed)?;
        sign_in::sign_in(place, own.address()?, Credentials::Invitation { invitation: token }).await
    };
    with(started.await, own).await
}

/// The phone with its server, or, where it didn't start, no server either.
async fn with(started: Result<Started, Code>, own: Own) -> Result<Started, Code> {
    match started {
        Ok(started) => Ok(Started { own: Some(own), ..started }),
        Err(code) => {
            // Where nothing was registered, nothing is to be taken back, and nobody can have left a message.
            if own::report(&own.running.trunks().borrow()).is_some_and(|report| report.step == TrunkStep::Up) {
                own.stop().await;
            }
            Err(code)
        }
    }
}

fn own_code(error: &OwnError) -> Code {
    tracing::warn!("{error:#}");
    match error {
        OwnError::Provider(_) => Code::BadServer,
        OwnError::Failed(_) => Code::OwnFailed,
    }
}

fn view(step: TrunkStep) -> ProviderStep {
    match step {
        TrunkStep::Locating => ProviderStep::Locating,
        TrunkStep::Connecting => ProviderStep::Connecting,
        TrunkStep::Registering | TrunkStep::Waiting => ProviderStep::Registering,
        TrunkStep::Up => ProviderStep::SigningIn,
    }
}

fn code(failure: TrunkFailure) -> Code {
    match failure {
        TrunkFailure::NotFound => Code::ProviderDns,
        TrunkFailure::NotReached | TrunkFailure::Silent => Code::ProviderConnect,
        TrunkFailure::Untrusted => Code::ProviderTls,
        TrunkFailure::WrongCredentials => Code::ProviderCredentials,
        TrunkFailure::Refused(_) => Code::ProviderRefused,
    }
}

fn reason(failure: TrunkFailure) -> OfflineReason {
    match failure {
        TrunkFailure::NotFound => OfflineReason::ProviderDns,
        TrunkFailure::NotReached | TrunkFailure::Silent => OfflineReason::ProviderConnect,
        TrunkFailure::Untrusted => OfflineReason::ProviderTls,
        TrunkFailure::WrongCredentials => OfflineReason::ProviderCredentials,
        TrunkFailure::Refused(_) => OfflineReason::ProviderRefused,
    }
}

/// For people who look into it.
fn detail(failure: TrunkFailure) -> String {
    match failure {
        TrunkFailure::NotFound => "DNS knows no SIP server of this name".into(),
        TrunkFailure::NotReached => "no connection to the provider's server".into(),
        TrunkFailure::Silent => "the provider's server did not answer REGISTER".into(),
        TrunkFailure::Untrusted => "the provider's certificate is not trusted".into(),
        TrunkFailure::WrongCredentials => "the provider refused name or password (401)".into(),
        TrunkFailure::Refused(status) => format!("the provider refused REGISTER with status {status}"),
    }
}

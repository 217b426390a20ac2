//! A phone without a window: the session of the desktop app (`aftertone-client`), on whatever gives and takes its sound.

use std::{path::Path, sync::Arc};

use aftertone_client::{
    AudioIo, CallPhase, Connection, Event, EventStream, MemorySecrets, ServerAddress, Session, SessionConfig,
};
use aftertone_model::CallId;
use aftertone_sync::{Credentials, SignIn};
use aftertone_tests::{hosted, process::PATIENCE};
use anyhow::{Context, Result, bail};
use tokio::time::timeout;

/// One that is signed in, registered, and ready to call.
pub(crate) struct Handset {
    session: Session,
    events: EventStream,
}

impl Handset {
    /// Signs `user` in at `server` (`http://…`), with this sound.
    pub(crate) async fn start(server: &str, user: &str, folder: &Path, audio: Arc<dyn AudioIo>) -> Result<Self> {
        let data = folder.join(user);
        let secrets = Arc::new(MemorySecrets::default());
        let credentials = Credentials::Password { user: user.into(), password: hosted::password(user) };
        let device = SignIn { credentials, device_name: "bench".into() };
        aftertone_client::sign_in(ServerAddress::parse(server, None)?, device, &data, secrets.clone()).await?;
        let config = SessionConfig { data, secrets, audio, user_agent: "aftertone-bench".into() };
        let (session, events) = Session::start(config).await?;
        let mut handset = Self { session, events };
        handset.until("registered", |event| matches!(event, Event::Connection(Connection::Online)).then_some(())).await?;
        Ok(handset)
    }

    pub(crate) async fn dial(&mut self, target: &str) -> Result<CallId> {
        Ok(self.session.dial(target).await?)
    }

    /// Waits for a call and takes it.
    pub(crate) async fn answer(&mut self) -> Result<CallId> {
        let rings = |event: &Event| {
            let Event::Call(call) = event else { return None };
            (call.phase == CallPhase::Ringing).then_some(call.id)
        };
        let call = self.until("a call", rings).await?;
        self.session.answer(call).await?;
        Ok(call)
    }

    /// Waits until both can speak.
    pub(crate) async fn talks(&mut self) -> Result<()> {
        let talks = |event: &Event| matches!(event, Event::Call(call) if call.phase == CallPhase::Active).then_some(());
        self.until("an answer", talks).await
    }

    pub(crate) async fn hang_up(&mut self, call: CallId) -> Result<()> {
        Ok(self.session.hang_up(call).await?)
    }

    /// Waits for the end of a call.
    pub(crate) async fn over(&mut self) -> Result<()> {
        let over = |event: &Event| matches!(event, Event::Call(call) if matches!(call.phase, CallPhase::Ended(_))).then_some(());
        self.until("the end", over).await
    }

    async fn until<T>(&mut self, what: &str, found: impl Fn(&Event) -> Option<T>) -> Result<T> {
        let wait = async {
            while let Some(event) = self.events.next().await {
                if let Some(found) = found(&event) {
                    return Ok(found);
                }
            }
            bail!("the session is over")
        };
        timeout(PATIENCE, wait).await.with_context(|| format!("no {what}"))?
    }
}

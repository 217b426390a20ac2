//! The event loop of a session: it owns the state, everything else sends it inputs.

mod calls;
mod mailbox;

pub(crate) use self::mailbox::fresh_key;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use aftertone_call::{Phone, PhoneConfig};
use aftertone_model::{CallId, DeviceId, Timestamp};
use aftertone_net::{Change, NetworkWatch};
use aftertone_sync::{FiguresBody, Me};
use rand::RngExt;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep_until, timeout},
};

use crate::{
    Account, Connection, Event, EventStream, OfflineReason, SecretStore, Session, SessionConfig, Snapshot, StartError,
    TestMessage,
    account::{self, mailbox_folder},
    greetings::{Drafts, Uploader},
    http::Api,
    line::{Line, LineConfig, LineEvent},
    peer::PeerEvent,
    playback::{Player, PlayerEvent},
    session::{Command, CommandError},
    station::{Station, StationEvent},
    store::{Mailbox, StoreError},
    synchronise::{SyncEvent, Synchroniser},
    test_message,
    turn::RelayKeeper,
};

/// What comes into the loop besides commands.
pub(crate) enum Input {
    Sip(LineEvent),
    Doorbell(LineEvent),
    Sync(SyncEvent),
    Player(PlayerEvent),
    TestMessage(TestMessage),
    /// A forward was sent, or put into the outbox.
    Enqueued,
    /// The server was asked whether it still knows the token: `false` if it doesn't.
    TokenValid(bool),
    /// The server says who this is.
    Me(Box<Me>),
    /// Something was done to greetings.
    Greetings,
    /// One that waited is gone from here, or was refused.
    GreetingSent,
}

pub(crate) async fn start(config: SessionConfig) -> Result<(Session, EventStream), StartError> {
    let folder = config.data.clone();
    let account = tokio::task::spawn_blocking(move || account::load_account(&folder)).await;
    let account = account.map_err(std::io::Error::other).flatten().map_err(|e| StartError::Storage(e.to_string()))?;
    let account = account.ok_or(StartError::SignedOut)?;
    let token = token(&account, &config.secrets).await?.ok_or(StartError::TokenMissing)?;
    let api = Api::new(&account.server)?.with_token(token.clone());
    let mailbox = Mailbox::open(&mailbox_folder(&config.data)).await.map_err(|error| match error {
        StoreError::TooNew { .. } => StartError::TooNew,
        StoreError::Database(_) | StoreError::File(_) | StoreError::Corrupt(_) | StoreError::ReservedName => {
            StartError::Storage(error.to_string())
        }
    })?;

    let (commands, waiting) = mpsc::unbounded_channel();
    let (events, stream) = mpsc::unbounded_channel();
    let first = Snapshot {
        me: account.me.clone(),
        device: account.device,
        connection: Connection::Connecting,
        calls: Vec::new(),
        playback: None,
        new_messages: mailbox.new_messages().await.unwrap_or(0),
        waiting: mailbox.waiting().await.unwrap_or(0),
    };
    let (published, snapshot) = watch::channel(Arc::new(first.clone()));
    let run = Run::new(config, account, token, api, mailbox.clone(), events, published, first)?;
    let drafts = run.drafts.clone();
    tokio::spawn(run.until_over(waiting));
    Ok((Session { commands, snapshot, mailbox, drafts }, EventStream { events: stream }))
}

async fn token(account: &Account, secrets: &Arc<dyn SecretStore>) -> Result<Option<String>, StartError> {
    let (secrets, name) = (Arc::clone(secrets), account.server.secret_name(account.device));
    let token = tokio::task::spawn_blocking(move || secrets.get(&name)).await;
    Ok(token.unwrap_or_else(|e| Err(crate::SecretError::Failed(e.to_string())))?)
}

/// The state of a session.
struct Run {
    config: SessionConfig,
    account: Account,
    api: Api,
    mailbox: Mailbox,
    station: Station,
    sip: Line,
    doorbell: Line,
    synchroniser: Synchroniser,
    drafts: Drafts,
    uploader: Uploader,
    player: Player,
    relays: RelayKeeper,
    testing: Option<JoinHandle<()>>,
    forwards: mailbox::Forwards,
    token: String,
    inputs: mpsc::UnboundedReceiver<Input>,
    sender: mpsc::UnboundedSender<Input>,
    peers: mpsc::UnboundedReceiver<PeerEvent>,
    /// How calls sounded, on the way to the server.
    reports: JoinSet<()>,
    events: mpsc::UnboundedSender<Event>,
    published: watch::Sender<Arc<Snapshot>>,
    snapshot: Snapshot,
    deadline: Option<std::time::Instant>,
    network: Network,
}

/// The watch over the way to the server, which begins once its address is known.
struct Network {
    watch: Option<(IpAddr, NetworkWatch)>,
    tell: mpsc::Sender<Change>,
    changes: mpsc::Receiver<Change>,
}

impl Network {
    fn new() -> Self {
        let (tell, changes) = mpsc::channel(4);
        Self { watch: None, tell, changes }
    }

    fn follow(&mut self, server: IpAddr) {
        if self.watch.as_ref().is_none_or(|(watched, _)| *watched != server) {
            self.watch = Some((server, NetworkWatch::start(server, self.tell.clone())));
        }
    }
}

/// How the loop goes on.
enum Next {
    Go,
    /// The session ends; whoever asked for it is told when all is closed.
    End(Ending),
}

enum Ending {
    ShutDown(Option<oneshot::Sender<()>>),
    SignOut(oneshot::Sender<Result<(), CommandError>>),
    Revoked,
}

impl Run {
    #[expect(clippy::too_many_arguments, reason = "the parts that `start` made, once")]
    fn new(
        config: SessionConfig,
        account: Account,
        token: String,
        api: Api,
        mailbox: Mailbox,
        events: mpsc::UnboundedSender<Event>,
        published: watch::Sender<Arc<Snapshot>>,
        snapshot: Snapshot,
    ) -> Result<Self, StartError> {
        let (sender, inputs) = mpsc::unbounded_channel();
        let (media, peers) = mpsc::unbounded_channel();
        let phone = Phone::new(phone_config(&account.me, account.device, &config.user_agent, true));
        let relays = RelayKeeper::start(api.clone());
        let station = Station::new(phone, Arc::clone(&config.audio), media, relays.relays());
        let line = |path, protocol| LineConfig {
            server: account.server.clone(),
            path,
            protocol,
            token: token.clone(),
            user_agent: config.user_agent.clone(),
        };
        let sip = Line::open(line("/sip", Some("sip")), sender.clone(), Input::Sip)?;
        let doorbell = Line::open(line("/v1/doorbell", None), sender.clone(), Input::Doorbell)?;
        let parts = mailbox_folder(&config.data);
        drop_parts(&parts);
        let synchroniser = Synchroniser::start(api.clone(), mailbox.clone(), parts.clone(), sender.clone());
        let drafts = Drafts::open(&parts).map_err(|e| StartError::Storage(e.to_string()))?;
        let uploader = Uploader::start(api.clone(), mailbox.clone(), drafts.clone(), sender.clone());
        let player = Player::new(api.clone(), mailbox.clone(), parts, Arc::clone(&config.audio), sender.clone());
        let forwards = mailbox::Forwards::default();
        Ok(Self {
            config,
            account,
            api,
            mailbox,
            station,
            sip,
            doorbell,
            synchroniser,
            drafts,
            uploader,
            player,
            relays,
            testing: None,
            forwards,
            token,
            inputs,
            sender,
            peers,
            reports: JoinSet::new(),
            events,
            published,
            snapshot,
            deadline: None,
            network: Network::new(),
        })
    }

    async fn until_over(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        self.count().await;
        self.publish();
        let ending = loop {
            let deadline = self.deadline;
            let next = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => Next::End(Ending::ShutDown(None)),
                },
                Some(input) = self.inputs.recv() => self.input(input).await,
                Some(event) = self.peers.recv() => { self.station.media(event); Next::Go }
                Some(change) = self.network.changes.recv() => { self.network_changed(change); Next::Go }
                () = sleep_until(deadline.unwrap_or_else(std::time::Instant::now).into()), if deadline.is_some() => {
                    self.station.timeout();
                    Next::Go
                }
            };
            self.drain();
            self.publish();
            match next {
                Next::Go => {}
                Next::End(ending) => break ending,
            }
        };
        self.end(ending).await;
    }

    async fn input(&mut self, input: Input) -> Next {
        match input {
            Input::Sip(event) => self.sip(event),
            Input::Doorbell(event) => self.doorbell(&event),
            Input::Sync(event) => self.synced(event).await,
            Input::Player(event) => self.played(event).await,
            Input::TestMessage(state) => self.tell(Event::TestMessage(state)),
            Input::Enqueued => self.enqueued().await,
            // The line tries again by itself.
            Input::TokenValid(true) => {}
            Input::Me(me) => {
                self.snapshot.me = *me;
                self.publish();
            }
            Input::Greetings => self.greetings_changed().await,
            Input::GreetingSent => {
                self.count().await;
                self.tell(Event::GreetingsChanged);
            }
            Input::TokenValid(false) => return Next::End(Ending::Revoked),
        }
        Next::Go
    }

    /// Connections over the old address, or from before a sleep, are dead and don't say so: others are opened now.
    fn network_changed(&mut self, change: Change) {
        tracing::info!(?change, "the network has changed");
        self.synchroniser.gap();
        self.sip.hurry();
        self.doorbell.hurry();
    }

    fn sip(&mut self, event: LineEvent) {
        if let LineEvent::Open { remote, .. } = &event {
            self.network.follow(remote.ip());
            self.relays.hurry();
        }
        match &event {
            LineEvent::Open { .. } => self.connection(Connection::Connecting),
            LineEvent::Received { .. } => {}
            LineEvent::Closed { reason, detail, retry_in, .. } => {
                self.synchroniser.gap();
                self.offline(*reason, detail, *retry_in);
            }
            LineEvent::Failed { reason, detail, retry_in } => {
                self.synchroniser.gap();
                self.offline(*reason, detail, *retry_in);
                if *reason == OfflineReason::Credentials {
                    self.check_token();
                }
            }
        }
        self.station.line(event);
    }

    /// The doorbell has no content: every message on it, and its coming back, means "something may have changed".
    fn doorbell(&mut self, event: &LineEvent) {
        match event {
            LineEvent::Open { .. } | LineEvent::Received { .. } => self.synchroniser.ring(),
            LineEvent::Closed { .. } => self.synchroniser.gap(),
            LineEvent::Failed { reason, .. } => {
                self.synchroniser.gap();
                if *reason == OfflineReason::Credentials {
                    self.check_token();
                }
            }
        }
    }

    /// A refused token may be a proxy's mood: only when the API says so as well, the session is over.
    fn check_token(&self) {
        let (api, sender) = (self.api.clone(), self.sender.clone());
        tokio::spawn(async move {
            let valid = loop {
                match api.me().await {
                    Ok(_) => break true,
                    Err(e) if e.code() == Some(aftertone_sync::ProblemCode::Unauthorized) => break false,
                    Err(_) => tokio::time::sleep(Duration::from_secs(20)).await,
                }
            };
            let _over = sender.send(Input::TokenValid(valid));
        });
    }

    /// What the administrator lets this person do may have changed since the sign-in.
    fn ask_who(&self) {
        let (api, sender) = (self.api.clone(), self.sender.clone());
        tokio::spawn(async move {
            match api.me().await {
                Ok(me) => _ = sender.send(Input::Me(Box::new(me))),
                Err(error) => tracing::debug!(%error, "who this is can't be asked"),
            }
        });
    }

    fn drain(&mut self) {
        let (told, deadline) = self.station.drain();
        self.deadline = deadline;
        for event in told {
            self.station_event(event);
        }
    }

    fn station_event(&mut self, event: StationEvent) {
        match event {
            StationEvent::Registered => {
                self.connection(Connection::Online);
                self.drafts.ring();
                self.ask_who();
            }
            StationEvent::NotRegistered { status, retry_in } => {
                let detail = format!("the server refused the registration with status {status}");
                self.offline(OfflineReason::Server, &detail, retry_in);
            }
            StationEvent::Call(call) => {
                self.snapshot.calls = self.station.phone().calls().cloned().collect();
                self.tell(Event::Call(call));
            }
            StationEvent::Quality(quality) => self.tell(Event::Quality(quality)),
            StationEvent::Measured { call, figures } => {
                self.reports.spawn(report(self.api.clone(), call, figures));
                while self.reports.try_join_next().is_some() {}
            }
            StationEvent::Recording(recording) => self.tell(Event::Recording(recording)),
        }
    }

    fn offline(&mut self, reason: OfflineReason, detail: &str, retry_in: Duration) {
        let retry_at = Timestamp::now().checked_add(retry_in).ok();
        self.connection(Connection::Offline { reason, detail: detail.into(), retry_at });
    }

    fn connection(&mut self, connection: Connection) {
        if self.snapshot.connection != connection {
            self.snapshot.connection = connection.clone();
            self.tell(Event::Connection(connection));
        }
    }

    fn tell(&self, event: Event) {
        // Whoever hears of it may look at the session at once.
        self.publish();
        // Nobody listens: the handle may still be used.
        let _unheard = self.events.send(event);
    }

    fn publish(&self) {
        if **self.published.borrow() != self.snapshot {
            self.published.send_replace(Arc::new(self.snapshot.clone()));
        }
    }

    fn place_test_message(&mut self) {
        if self.testing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let order = test_message::Order {
            server: self.account.server.clone(),
            token: self.token.clone(),
            user_agent: self.config.user_agent.clone(),
            me: self.account.me.clone(),
            relays: self.relays.relays(),
        };
        let sender = self.sender.clone();
        let task = tokio::spawn(test_message::place(order, move |state| {
            let _over = sender.send(Input::TestMessage(state));
        }));
        self.testing = Some(task);
    }

    async fn end(self, ending: Ending) {
        let Self {
            config,
            account,
            api,
            mailbox,
            station,
            sip,
            doorbell,
            synchroniser,
            uploader,
            player,
            testing,
            mut peers,
            mut reports,
            events,
            ..
        } = self;
        player.close().await;
        for event in station.close(&mut peers).await {
            match event {
                StationEvent::Call(call) => _ = events.send(Event::Call(call)),
                StationEvent::Recording(recording) => _ = events.send(Event::Recording(recording)),
                StationEvent::Measured { call, figures } => _ = reports.spawn(report(api.clone(), call, figures)),
                StationEvent::Registered | StationEvent::NotRegistered { .. } | StationEvent::Quality(_) => {}
            }
        }
        // Afterwards the server doesn't know this device any more.
        let _late = timeout(LAST_REPORT, async { while reports.join_next().await.is_some() {} }).await;
        if let Some(testing) = testing {
            testing.abort();
        }
        drop((sip, doorbell));
        synchroniser.close().await;
        uploader.close().await;
        match ending {
            Ending::ShutDown(reply) => {
                mailbox.close().await;
                if let Some(reply) = reply {
                    let _unheard = reply.send(());
                }
            }
            Ending::SignOut(reply) => {
                let revoked = match timeout(Duration::from_secs(5), api.revoke(account.device)).await {
                    Ok(Ok(())) => true,
                    Ok(Err(error)) => !error.is_passing(),
                    Err(_) => false,
                };
                mailbox.close().await;
                let forgotten = forget(&config.data, &account, &config.secrets, revoked).await;
                let _unheard = events.send(Event::SignedOut { by_us: true });
                let _unheard = reply.send(forgotten);
            }
            Ending::Revoked => {
                mailbox.close().await;
                if let Err(e) = forget(&config.data, &account, &config.secrets, true).await {
                    tracing::warn!(error = %e, "what was stored of a revoked account could not be removed");
                }
                let _unheard = events.send(Event::SignedOut { by_us: false });
            }
        }
    }
}

/// A session that ends waits so long for what it says of its last call.
const LAST_REPORT: Duration = Duration::from_secs(3);
/// The server logs a call a moment after it ended.
const RECORD_PAUSES_MS: [u64; 5] = [100, 300, 600, 3_000, 20_000];

/// Says how a call sounded. Whoever can't read that misses little: it is not kept for later.
async fn report(api: Api, call: CallId, figures: FiguresBody) {
    for pause in RECORD_PAUSES_MS {
        match api.report_figures(call, &figures).await {
            Ok(()) => return,
            // Its record is not there yet, or the server is not.
            Err(error) if error.is_passing() || error.is_not_found() => {
                tracing::debug!(%error, "how a call sounded is not noted yet");
            }
            Err(error) => return tracing::debug!(%error, "how a call sounded is not noted"),
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Removes what a session that ended in the middle of fetching left.
fn drop_parts(folder: &std::path::Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "part")) {
        if let Err(e) = std::fs::remove_file(&path) {
            tracing::warn!(error = %e, "a piece of a sound could not be removed");
        }
    }
}

/// Removes everything that was stored of the account, and its token; a server that doesn't know of it yet
/// ([`crate::revoke_left`]) is told with the token, which stays until then.
async fn forget(
    data: &std::path::Path,
    account: &Account,
    secrets: &Arc<dyn SecretStore>,
    is_known: bool,
) -> Result<(), CommandError> {
    let (data, secrets, account): (PathBuf, _, _) = (data.to_owned(), Arc::clone(secrets), account.clone());
    let forgotten = tokio::task::spawn_blocking(move || {
        let token = if is_known {
            secrets.delete(&account.server.secret_name(account.device)).map_err(|e| e.to_string())
        } else {
            account::leave(&data, &account).map_err(|e| e.to_string())
        };
        token.and(account::forget_account(&data).map_err(|e| e.to_string()))
    });
    forgotten.await.unwrap_or_else(|e| Err(e.to_string())).map_err(CommandError::Storage)
}

pub(crate) fn phone_config(me: &Me, instance: DeviceId, product: &str, register: bool) -> PhoneConfig {
    PhoneConfig {
        user: me.subscriber.user.to_string(),
        domain: me.domain.clone(),
        display_name: me.subscriber.display_name.clone(),
        product: product.into(),
        instance: instance.to_string(),
        register,
        seed: rand::rng().random(),
    }
}

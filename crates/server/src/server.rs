//! A server's life: start, ready, shutdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftertone_exchange::{Direct, Exchange, ExchangeConfig, TrunkReport};
use aftertone_net::{ConnectionNumbers, Fingerprint, NetworkWatch, ServerKeys, StreamConfig, StreamPort, UdpPort};
use aftertone_server_store::{Disk, Spool, SpoolConfig, SqliteStore, Store};
use aftertone_sync::Repaired;
use anyhow::Context;
use axum::Router;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    VERSION, api,
    bells::{Doorbells, Revocations},
    bindings,
    books::{Books, TellingCommits, directory},
    config::Config,
    jobs::Jobs,
    listen::{HttpPort, stopped},
    load::{Gauge, Lateness},
    lock::{FolderLock, make_folder},
    media::{Greetings, MediaConfig, MediaEvent, MediaPlane},
    oversize::Oversize,
    pins::Pins,
    public::Public,
    reach::Reach,
    repair,
    routes::Routes,
    run::{self, Command, ExchangeLoop, Inputs, Load, Notice, SocketEvent},
    settings,
    test_call::{self, TestCalls},
    trunks::accounts,
};

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// Where a running server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The SIP domain.
    pub domain: String,
    /// SIP over UDP.
    pub sip_udp: Option<SocketAddr>,
    /// SIP over TCP.
    pub sip_tcp: Option<SocketAddr>,
    /// SIP over TLS.
    #[serde(default)]
    pub sip_tls: Option<SocketAddr>,
    /// The API on this machine.
    pub http: Option<SocketAddr>,
    /// The API over TLS.
    pub https: Option<SocketAddr>,
    /// Media over WebRTC, one for each media worker and family.
    #[serde(default)]
    pub webrtc: Vec<SocketAddr>,
    /// The UDP ports of plain RTP, `16384-32767`; each call binds some of them.
    #[serde(default)]
    pub rtp_ports: String,
    /// Of the certificate.
    pub fingerprint: Option<String>,
    /// This program's version.
    pub version: String,
}

impl Addresses {
    /// The address for the API that works from the farthest away.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match (self.https, self.http) {
            (Some(https), _) if https.ip().to_canonical().is_loopback() => Some(format!("https://{https}")),
            (Some(https), _) if https.port() == 443 => Some(format!("https://{}", self.domain)),
            (Some(https), _) => Some(format!("https://{}:{}", self.domain, https.port())),
            (None, Some(http)) => Some(format!("http://{http}")),
            (None, None) => None,
        }
    }
}

/// A server that runs. Dropping it without [`Running::shutdown`] leaves recordings to the next start.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    grace: Duration,
    store: Arc<dyn Store>,
    spool: Arc<Spool>,
    commands: mpsc::Sender<Command>,
    load: watch::Receiver<Load>,
    trunks: watch::Receiver<BTreeMap<String, TrunkReport>>,
    stop: watch::Sender<bool>,
    http: Vec<HttpPort>,
    sip_streams: Vec<StreamPort>,
    keys: Option<ServerKeys>,
    exchange: Task,
    /// Of the phones' bindings.
    keeper: Task,
    books: Task,
    data: PathBuf,
    _lock: FolderLock,
}

/// Ends when it is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Starts a server; when it returns, every port listens.
    ///
    /// # Errors
    /// Where the configuration is refused, the data folder is another server's or can't be used, or a port is taken.
    pub async fn start(config: Config) -> anyhow::Result<Running> {
        config.check()?;
        make_folder(&config.data)?;
        let lock = FolderLock::take(&config.data)?;
        let (notices, notice_queue) = mpsc::unbounded_channel();
        let (store, spool, repaired) = open_store(&config.data, notices.clone()).await?;
        let domain = settings::domain(&config, store.as_ref()).await?;
        // Whose mailboxes are fuller by that finds it in the feed at the next sign of life.
        store.put_account_keeping(config.keeping).await.context("can't note what is kept of mailboxes")?;
        let known = directory(store.as_ref(), &domain).await?;
        let public = Public::new(config.public_address);
        let lateness = Lateness::default();
        let pins = Arc::new(Pins::open(store.as_ref()).await.context("can't read how many PINs were wrong")?);
        let (media, media_events) = start_media(&config, &public, &spool, &store, &pins, lateness.clone())?;
        let webrtc = media.webrtc_addresses();
        let numbers = ConnectionNumbers::default();
        let (stop, stopping) = watch::channel(false);

        let keys = server_keys(&config)?;
        let sip = SipPorts::bind(&config, keys.as_ref(), &numbers).await?;
        let sip_addresses = [&sip.tcp, &sip.tls].map(|port| port.as_ref().map(StreamPort::local_addr));
        let sip_udp = sip.udp.as_ref().map(UdpPort::local_addr);
        let (sockets, socket_events) = mpsc::channel::<SocketEvent>(QUEUE);
        let (commands, command_queue) = mpsc::channel(QUEUE);
        let (load, load_seen) = watch::channel(Load::default());
        let (trunks_told, trunks_seen) = watch::channel(BTreeMap::new());
        let mut exchange = Exchange::new(ExchangeConfig {
            instance: Some(settings::instance(&config.data)?),
            ..exchange_config(&config, &domain)
        });
        exchange.handle_directory(known.clone(), crate::run::now());
        exchange.restore_bindings(bindings::kept(store.as_ref()).await?, crate::run::now());
        let (saved_bindings, bindings_to_save) = mpsc::unbounded_channel();
        let keeper = Task(tokio::spawn(bindings::keep(Arc::clone(&store), bindings_to_save)));
        let (watched, to_watch) = watch::channel(run::always_watched());
        let trunks = accounts(store.as_ref(), &config.trunks).await?;
        exchange.handle_trunks(trunks.clone(), crate::run::now());
        let test_calls = Arc::new(TestCalls::new(test_call::World {
            store: Arc::clone(&store),
            domain: domain.clone(),
            sockets: sockets.clone(),
            numbers: numbers.clone(),
            media: config.media_address(),
            encryption: config.encryption,
        }));
        let owner = ExchangeLoop {
            exchange,
            media,
            udp: sip.udp,
            routes: Routes::new(public.clone()),
            public,
            oversize: Oversize::default(),
            stun_id: rand::random(),
            notices: notices.clone(),
            load,
            trunks: trunks_told,
            links: BTreeMap::new(),
            deposits: BTreeSet::new(),
            gauge: Gauge::new(lateness, spool.monitor()),
            reach: Reach::new(commands.clone(), sip.outlet, numbers.clone()),
            bindings: saved_bindings,
            trust_names: config.trust_names.clone(),
            watched,
            test_calls: Arc::clone(&test_calls),
            swept_at: std::time::Instant::now(),
        };
        let inputs = Inputs {
            datagrams: sip.datagrams,
            streams: sip.streams,
            sockets: socket_events,
            media: media_events,
            commands: command_queue,
        };
        let exchange = Task(tokio::spawn(owner.run(inputs)));

        let (bells, revocations) = (Arc::new(Doorbells::default()), Arc::new(Revocations::default()));
        let books = Arc::new(Books {
            store: Arc::clone(&store),
            bells: Arc::clone(&bells),
            revocations: Arc::clone(&revocations),
            commands: commands.clone(),
            domain: domain.clone(),
            trunks: config.trunks.clone(),
            data: config.data.clone(),
        });
        let (look, asked) = mpsc::channel(QUEUE);
        tokio::spawn(Arc::clone(&books).follow_directory(known, trunks, asked, stopping.clone()));
        tokio::spawn(Arc::clone(&books).tidy(stopping.clone()));
        tokio::spawn(Arc::clone(&books).retain(stopping.clone()));
        tokio::spawn(follow_network(to_watch, commands.clone(), stopping.clone()));
        let books = Task(tokio::spawn(books.keep(notice_queue)));
        if let Some(server) = config.stun.clone() {
            tokio::spawn(ask_stun(server, commands.clone(), stopping.clone()));
        }

        if let Some(consoles) = config.turn_consoles.clone() {
            tokio::spawn(consoles.watch(Arc::clone(&store), revocations.listen(), stopping.clone()));
        }

        let jobs = Jobs { store: Arc::clone(&store), spool: spool.monitor(), notices: notices.clone() };
        tokio::spawn(jobs.run(stopping.clone()));
        let app = api::App::new(api::Parts {
            store: Arc::clone(&store),
            domain: domain.clone(),
            records_calls: config.call_recording,
            turn: config.turn.clone(),
            bells,
            revocations,
            sockets,
            notices,
            numbers,
            stopping: stopping.clone(),
            spool: spool.monitor(),
            repaired,
            look,
            pins,
            test_calls,
            greetings: Greetings::bundled(),
            menu_numbers: (config.dial_plan.menu_number.clone(), config.dial_plan.mailbox_number.clone()),
        });
        let (http, web_addresses) = serve_http(&config, keys.as_ref(), api::router(app), &stopping).await?;
        let addresses = Addresses {
            domain,
            sip_udp,
            sip_tcp: sip_addresses[0],
            sip_tls: sip_addresses[1],
            http: web_addresses.0,
            https: web_addresses.1,
            webrtc,
            rtp_ports: format!("{}-{}", config.rtp_ports.start(), config.rtp_ports.end()),
            fingerprint: keys.as_ref().map(|keys| keys.fingerprint().borrow().to_string()),
            version: VERSION.to_owned(),
        };
        settings::write_serving(&config.data, &addresses)?;
        if let Some(keys) = &keys {
            tokio::spawn(note_renewals(keys.fingerprint(), config.data.clone(), addresses.clone()));
        }
        Ok(Running {
            addresses,
            grace: config.grace,
            store,
            spool,
            commands,
            load: load_seen,
            trunks: trunks_seen,
            stop,
            http,
            sip_streams: sip.tcp.into_iter().chain(sip.tls).collect(),
            keys,
            exchange,
            keeper,
            books,
            data: config.data,
            _lock: lock,
        })
    }
}

impl Running {
    /// The store, for whoever embeds the server.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// How the trunks get on, by name.
    #[must_use]
    pub fn trunks(&self) -> watch::Receiver<BTreeMap<String, TrunkReport>> {
        self.trunks.clone()
    }

    /// Looks every trunk up and registers there anew, now instead of after a pause.
    pub async fn reconnect(&self) {
        // A server that has stopped has no trunks.
        let _stopped = self.commands.send(Command::NetworkChanged).await;
    }

    /// Returns when the server's heart has stopped by itself, which it must not.
    pub async fn failed(&mut self) {
        // Whether it returned or panicked: it is over.
        let _ = (&mut self.exchange.0).await;
    }

    /// Takes no new calls, lets running recordings end (bounded by the configured grace), hangs up what is left, commits
    /// it, and stops.
    ///
    /// # Errors
    /// Where something could not be committed in time; it is in the spool then, and the next start makes it a message.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        tracing::info!("shutting down");
        settings::remove_serving(&self.data);
        let _ = self.commands.send(Command::Drain).await;
        let _ = timeout(self.grace, self.load.wait_for(|load| load.deposits == 0)).await;
        let (done, finished) = oneshot::channel();
        let _ = self.commands.send(Command::Finish { within: COMMIT, done }).await;
        let finished = timeout(COMMIT * 2, finished).await.is_ok_and(|finished| finished.unwrap_or(false));
        // After the exchange, whose last messages go out over its sockets.
        let _ = self.stop.send(true);
        for port in std::mem::take(&mut self.http) {
            port.finished().await;
        }
        self.sip_streams.clear();
        drop(self.keys.take());
        let _ = timeout(COMMIT, &mut self.exchange.0).await;
        // The exchange is gone, and with it whoever has more to keep: what it said last is written.
        let _ = timeout(COMMIT, &mut self.keeper.0).await;
        if let Ok(spool) = Arc::try_unwrap(self.spool) {
            let _ = timeout(COMMIT, spool.close()).await;
        } else {
            tracing::warn!("somebody still holds the spool");
        }
        // The last notices are those of the spool's last commits.
        let _ = timeout(COMMIT, &mut self.books.0).await;
        anyhow::ensure!(finished, "not everything was committed in time: the next start does it");
        Ok(())
    }
}

const QUEUE: usize = 1024;
/// What committing the last recordings may take.
const COMMIT: Duration = Duration::from_secs(5);

type OpenStore = (Arc<dyn Store>, Arc<Spool>, Repaired);

async fn open_store(data: &Path, notices: mpsc::UnboundedSender<Notice>) -> anyhow::Result<OpenStore> {
    let store =
        SqliteStore::open(data, Arc::new(Disk)).await.with_context(|| format!("can't open the store in {}", data.display()))?;
    let config = SpoolConfig::new(store.spool_dir(), store.blobs_dir());
    let store: Arc<dyn Store> = Arc::new(store);
    let commits = Arc::new(TellingCommits { store: Arc::clone(&store), notices });
    let spool = Spool::open(config, Arc::new(Disk), commits, Arc::new(repair::repair)).context("can't open the spool")?;
    let recovered = spool.recover().await.context("can't look through the spool")?;
    Ok((store, Arc::new(spool), repair::report(&recovered)))
}

fn start_media(
    config: &Config,
    public: &Public,
    spool: &Arc<Spool>,
    store: &Arc<dyn Store>,
    pins: &Arc<Pins>,
    lateness: Lateness,
) -> anyhow::Result<(MediaPlane, mpsc::Receiver<MediaEvent>)> {
    let media = MediaConfig {
        bind: config.media_address(),
        rtp_ports: config.rtp_ports.clone(),
        webrtc_port: config.webrtc_port,
        encryption: config.encryption,
        public: public.clone(),
        workers: config.media_workers,
        spool: Arc::clone(spool),
        store: Arc::clone(store),
        greetings: Greetings::bundled(),
        pins: Arc::clone(pins),
        lateness,
    };
    MediaPlane::start(media).context("can't start the media workers")
}

fn exchange_config(config: &Config, domain: &str) -> ExchangeConfig {
    let bound = config.sip_addresses().into_iter().map(|address| address.ip()).filter(|address| !address.is_unspecified());
    let own: BTreeSet<_> = bound.chain(config.public_address).collect();
    ExchangeConfig {
        product: format!("Aftertone/{VERSION}"),
        own_addresses: own.into_iter().collect(),
        trusted: config.trust.clone(),
        open: config.open,
        dial_plan: config.dial_plan.clone(),
        direct: if config.turn.is_some() { Direct::Everywhere } else { Direct::InOneNetwork },
        max_calls: config.max_calls.unwrap_or_else(|| most_calls(&config.rtp_ports)),
        longest_message: config.longest_message,
        ..ExchangeConfig::new(domain, rand::random())
    }
}

/// A core takes so many calls, by measurement a fraction of what it could; the gauge sees to the rest.
const CALLS_PER_CORE: usize = 2_000;

/// How many calls at once are taken where the configuration doesn't say: what the cores, the RTP ports (two of them for each
/// of two sides) and the files (a socket for each port) are enough for.
fn most_calls(rtp_ports: &std::ops::RangeInclusive<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let by_ports = usize::from(rtp_ports.end().saturating_sub(*rtp_ports.start())) / 4;
    let by_files = usize::try_from(crate::limits::open_files().saturating_sub(1_000) / 5).unwrap_or(usize::MAX);
    (cores * CALLS_PER_CORE).min(by_ports).min(by_files).max(8)
}

/// Trunks are registered at anew when the machine has another address or has slept.
async fn follow_network(
    watched: watch::Receiver<BTreeSet<IpAddr>>,
    commands: mpsc::Sender<Command>,
    mut stopping: watch::Receiver<bool>,
) {
    let (changes, mut changed) = mpsc::channel(1);
    let _watch = NetworkWatch::start_all(watched, changes);
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            change = changed.recv() => {
                if change.is_none() || commands.send(Command::NetworkChanged).await.is_err() {
                    return;
                }
            }
        }
    }
}

struct SipPorts {
    udp: Option<UdpPort>,
    tcp: Option<StreamPort>,
    tls: Option<StreamPort>,
    datagrams: mpsc::Receiver<aftertone_net::Datagram>,
    streams: mpsc::Receiver<aftertone_net::StreamEvent>,
    /// For connections that are opened from here.
    outlet: mpsc::Sender<aftertone_net::StreamEvent>,
}

impl SipPorts {
    async fn bind(config: &Config, keys: Option<&ServerKeys>, numbers: &ConnectionNumbers) -> anyhow::Result<Self> {
        let (inbound, datagrams) = mpsc::channel(QUEUE);
        let (events, streams) = mpsc::channel(QUEUE);
        let udp = match config.sip_udp {
            Some(at) => {
                let bind = async |at| UdpPort::bind(at, inbound.clone()).await;
                let port = or_on_a_free_port(at, config.by_default.sip_udp, bind).await;
                Some(port.with_context(|| format!("can't listen on {at} for SIP over UDP"))?)
            }
            None => None,
        };
        let listen = async |at, tls| StreamPort::listen(at, tls, StreamConfig::default(), numbers.clone(), events.clone()).await;
        let tcp = match config.sip_tcp {
            Some(at) => {
                let port = or_on_a_free_port(at, config.by_default.sip_tcp, async |at| listen(at, None).await).await;
                Some(port.with_context(|| format!("can't listen on {at} for SIP over TCP"))?)
            }
            None => None,
        };
        let tls = match (&config.sip_tls, keys) {
            (Some(at), Some(keys)) => {
                let tls = match &config.client_ca {
                    Some(authorities) => keys.sip_config_with(authorities)?,
                    None => keys.sip_config()?,
                };
                let port = listen(at.address, Some(Arc::new(tls))).await;
                Some(port.with_context(|| format!("can't listen on {} for SIP over TLS", at.address))?)
            }
            (Some(_), None) | (None, _) => None,
        };
        Ok(Self { udp, tcp, tls, datagrams, streams, outlet: events })
    }
}

/// Where nobody asked for an address and its port is another program's, any free port serves: the ready line tells it.
async fn or_on_a_free_port<T>(
    at: SocketAddr,
    by_default: bool,
    listen: impl AsyncFn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    match listen(at).await {
        Err(error) if by_default && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(%at, "the usual port is another program's; listening on a free one");
            listen(SocketAddr::new(at.ip(), 0)).await
        }
        listening => listening,
    }
}

type WebAddresses = (Option<SocketAddr>, Option<SocketAddr>);

/// NATs forget after half a minute, so this keeps the way open too.
const ASK_STUN: Duration = Duration::from_secs(25);
const STUN_PORT: u16 = 3478;

async fn ask_stun(server: String, commands: mpsc::Sender<Command>, mut stopping: watch::Receiver<bool>) {
    let server = if server.contains(':') { server } else { format!("{server}:{STUN_PORT}") };
    let mut ticks = tokio::time::interval(ASK_STUN);
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            _ = ticks.tick() => {}
        }
        match tokio::net::lookup_host(&server).await {
            Ok(addresses) => {
                // SIP's and RTP's addresses over NAT are IPv4's concern.
                for address in addresses.filter(SocketAddr::is_ipv4).take(1) {
                    if commands.send(Command::AskStun(address)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the STUN server can't be found"),
        }
    }
}

/// The one certificate, for whatever is served over TLS.
fn server_keys(config: &Config) -> anyhow::Result<Option<ServerKeys>> {
    let secured = config.https.as_ref().or(config.sip_tls.as_ref());
    Ok(secured.map(|secured| ServerKeys::load(&secured.cert, &secured.key)).transpose()?)
}

/// Invitations carry the fingerprint of the certificate that is shown now.
async fn note_renewals(mut shown: watch::Receiver<Fingerprint>, data: PathBuf, mut addresses: Addresses) {
    while shown.changed().await.is_ok() {
        addresses.fingerprint = Some(shown.borrow_and_update().to_string());
        if let Err(error) = settings::write_serving(&data, &addresses) {
            tracing::warn!(%error, "the new certificate can't be noted for invitations");
        }
    }
}

async fn serve_http(
    config: &Config,
    keys: Option<&ServerKeys>,
    router: Router,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<(Vec<HttpPort>, WebAddresses)> {
    let mut ports = Vec::new();
    let mut addresses = (None, None);
    if let Some(http) = config.http {
        let listen = async |at| HttpPort::listen(at, None, router.clone(), stopping.clone()).await;
        let port = or_on_a_free_port(http, config.by_default.http, listen).await;
        let port = port.with_context(|| format!("can't listen on {http} for HTTP"))?;
        addresses.0 = Some(port.local);
        ports.push(port);
    }
    if let (Some(https), Some(keys)) = (&config.https, keys) {
        let acceptor = TlsAcceptor::from(Arc::new(keys.http_config()?));
        let port = HttpPort::listen(https.address, Some(acceptor), router, stopping.clone()).await;
        let port = port.with_context(|| format!("can't listen on {} for HTTPS", https.address))?;
        addresses.1 = Some(port.local);
        ports.push(port);
    }
    Ok((ports, addresses))
}

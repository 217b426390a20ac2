//! Finds the servers of trunks, and opens connections.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use aftertone_exchange::{ReachId, Way};
use aftertone_net::{
    ConnectionNumbers, Dial, Protocol, Question, Resolver, ServerName, StreamConfig, StreamEvent, Trust, dial, tls,
};
use aftertone_sip::{Transport, Uri};
use anyhow::Context;
use rustls::ClientConfig;
use tokio::sync::mpsc;

use crate::run::Command;

/// Asks DNS and opens connections, for the exchange.
pub(crate) struct Reach {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) streams: mpsc::Sender<StreamEvent>,
    pub(crate) numbers: ConnectionNumbers,
    resolver: Resolver,
    /// By the fingerprint that is pinned.
    trusted: BTreeMap<Option<String>, Arc<ClientConfig>>,
}

impl Reach {
    pub(crate) fn new(commands: mpsc::Sender<Command>, streams: mpsc::Sender<StreamEvent>, numbers: ConnectionNumbers) -> Self {
        Self { commands, streams, numbers, resolver: Resolver::system(), trusted: BTreeMap::new() }
    }

    /// Asks the name servers that the system names now.
    pub(crate) fn forget(&mut self) {
        self.resolver = Resolver::system();
    }

    /// The result comes as [`Command::Located`].
    pub(crate) fn locate(&self, request: ReachId, uri: &Uri) {
        let (commands, resolver, question) = (self.commands.clone(), self.resolver.clone(), question(uri));
        tokio::spawn(async move {
            let targets = resolver.locate(&question).await;
            if targets.is_empty() {
                tracing::warn!("a trunk's server can't be found");
            }
            let way = |target: aftertone_net::Target| Way {
                transport: transport(target.protocol),
                address: target.address,
                name: target.name,
                fingerprint: None,
            };
            // The exchange gone means that nobody waits any more.
            let _ = commands.send(Command::Located(request, targets.into_iter().map(way).collect())).await;
        });
    }

    /// Opens a connection; what becomes of it comes with the events of all streams, under the request's number.
    ///
    /// # Errors
    /// Where the server's name or fingerprint isn't one.
    pub(crate) fn connect(&mut self, request: ReachId, way: &Way) -> anyhow::Result<()> {
        let tls = match way.transport {
            Transport::Tls => Some((server_name(way.address, &way.name), self.trust(way.fingerprint.as_deref())?)),
            Transport::Udp | Transport::Tcp | Transport::Ws | Transport::Wss => None,
        };
        self.open(Dial { address: way.address, tls, token: request.0 });
        Ok(())
    }

    /// Opens a connection in clear; what becomes of it comes with the events of all streams, under `token`.
    pub(crate) fn dial(&self, address: SocketAddr, token: u64) {
        self.open(Dial { address, tls: None, token });
    }

    fn open(&self, order: Dial) {
        dial(order, StreamConfig::default(), self.numbers.clone(), self.streams.clone());
    }

    fn trust(&mut self, fingerprint: Option<&str>) -> anyhow::Result<Arc<ClientConfig>> {
        let key = fingerprint.map(str::to_owned);
        if let Some(known) = self.trusted.get(&key) {
            return Ok(Arc::clone(known));
        }
        let trust = match fingerprint {
            Some(text) => Trust::Pinned(text.parse().context("the fingerprint of a trunk")?),
            None => Trust::Platform,
        };
        let config = Arc::new(tls::sip_client_config(&trust)?);
        self.trusted.insert(key, Arc::clone(&config));
        Ok(config)
    }
}

fn question(uri: &Uri) -> Question {
    let protocol = uri.param("transport").and_then(|name| match name.to_ascii_lowercase().as_str() {
        "udp" => Some(Protocol::Udp),
        "tcp" => Some(Protocol::Tcp),
        "tls" => Some(Protocol::Tls),
        _ => None,
    });
    let host = uri.host().trim_matches(['[', ']']).to_owned();
    Question { host, port: uri.port(), protocol, secure: *uri.scheme() == aftertone_sip::Scheme::Sips }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Udp => Transport::Udp,
        Protocol::Tcp => Transport::Tcp,
        Protocol::Tls => Transport::Tls,
    }
}

fn server_name(address: SocketAddr, name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap_or_else(|_| ServerName::from(address.ip()))
}

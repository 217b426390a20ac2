//! What a server is started with: flags, environment variables, a TOML file and defaults, in this order of precedence.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use aftertone_exchange::{DialPlan, InvalidNetwork, Network, TrunkAccount};
use aftertone_model::{Keeping, OwnKeeping};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Deserializer};

use crate::{
    trunks::{DialPlanOptions, TrunkOptions},
    turn::{Consoles, Turn, TurnSecret},
};

/// The configuration of a running server, complete and checked by [`Config::check`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder; made at the first start.
    pub data: PathBuf,
    /// The SIP domain of every address of record. `None`: the one that the folder has, or a sane one at the first start.
    pub domain: Option<String>,
    /// SIP over UDP; port 0 for any free one.
    pub sip_udp: Option<SocketAddr>,
    /// SIP over TCP.
    pub sip_tcp: Option<SocketAddr>,
    /// SIP over TLS.
    pub sip_tls: Option<Https>,
    /// The API without encryption: loopback only.
    pub http: Option<SocketAddr>,
    /// The API, the doorbell and `/sip` over TLS.
    pub https: Option<Https>,
    /// Which of them nobody asked for: where such a port is taken, a free one serves as well.
    pub by_default: ByDefault,
    /// UDP ports of plain RTP legs.
    pub rtp_ports: RangeInclusive<u16>,
    /// The first UDP port of WebRTC legs, one for each media worker; 0 for any free ones.
    pub webrtc_port: u16,
    /// Media workers; 0 for one per core.
    pub media_workers: usize,
    /// What peers beyond private networks are told to send to, where the server stands behind a NAT.
    pub public_address: Option<IpAddr>,
    /// Whether the sound of phones that aren't ours is encrypted.
    pub encryption: Encryption,
    /// `HOST` or `HOST:PORT` of a STUN server that is asked for the address that the outside reaches us at.
    pub stun: Option<String>,
    /// Relays for the sound of our devices where it finds no other way.
    pub turn: Option<Turn>,
    /// Where sessions of revoked devices are ended.
    pub turn_consoles: Option<Consoles>,
    /// Peers that may call in without being authenticated.
    pub trust: Vec<Network>,
    /// The same for peers by the names in their certificates.
    pub trust_names: Vec<String>,
    /// The authorities whose certificates peers may show over TLS.
    pub client_ca: Option<PathBuf>,
    /// Whether anybody may call people here, with limits.
    pub open: bool,
    /// Whether people may record their calls.
    pub call_recording: bool,
    /// How numbers are dialled.
    pub dial_plan: DialPlan,
    /// Trunks beside those of the store.
    pub trunks: Vec<TrunkAccount>,
    /// More calls at once are told to come back; `None`: what the machine, the RTP ports and the open files are enough for.
    pub max_calls: Option<usize>,
    /// No message is longer.
    pub longest_message: std::time::Duration,
    /// What is kept of mailboxes of which an administrator said nothing else.
    pub keeping: Keeping,
    /// How long a shutdown waits for running recordings.
    pub grace: std::time::Duration,
}

/// Which addresses are the defaults, and so give way to a program that has the port already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByDefault {
    /// SIP over UDP.
    pub sip_udp: bool,
    /// SIP over TCP.
    pub sip_tcp: bool,
    /// The API without encryption.
    pub http: bool,
}

/// Whether the sound of phones over RTP is encrypted (SRTP with SDES keys). WebRTC always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// Never offered; taken where a phone demands it.
    Off,
    /// Offered and taken; a phone that knows nothing of it is spoken to in the clear (RFC 8643).
    #[default]
    Offer,
    /// Demanded: phones without it can't call.
    Require,
}

/// Where https or SIP over TLS is served, and with what. Both have the same certificate.
#[derive(Debug, Clone)]
pub struct Https {
    /// Port 0 for any free one.
    pub address: SocketAddr,
    /// PEM: the chain, own certificate first.
    pub cert: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
}

impl Config {
    /// The defaults for a data folder: everything on the loopback interface.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            data: data.into(),
            domain: None,
            sip_udp: loopback(5060),
            sip_tcp: loopback(5060),
            sip_tls: None,
            http: loopback(8080),
            https: None,
            by_default: ByDefault::default(),
            rtp_ports: 16384..=32767,
            webrtc_port: 0,
            media_workers: 0,
            public_address: None,
            encryption: Encryption::default(),
            stun: None,
            turn: None,
            turn_consoles: None,
            trust: Vec::new(),
            trust_names: Vec::new(),
            client_ca: None,
            open: false,
            call_recording: false,
            dial_plan: DialPlan::default(),
            trunks: Vec::new(),
            max_calls: None,
            longest_message: std::time::Duration::from_secs(300),
            keeping: Keeping::default(),
            grace: std::time::Duration::from_secs(10),
        }
    }

    /// The defaults with every port chosen by the system, for tests and for an account inside the app.
    #[must_use]
    pub fn on_free_ports(data: impl Into<PathBuf>) -> Self {
        let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { sip_udp: any, sip_tcp: any, http: any, ..Self::new(data) }
    }

    /// # Errors
    /// Where a server with it would be useless or unsafe.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(http) = self.http
            && !http.ip().to_canonical().is_loopback()
        {
            bail!(
                "http without encryption is only served on this machine itself (127.0.0.1, ::1), not on {}: \
                 use --https ADDR --cert FILE --key FILE for other addresses, and --http off if nothing else is wanted",
                http.ip()
            );
        }
        ensure!(self.http.is_some() || self.https.is_some(), "neither http nor https is configured: nobody could sign in");
        ensure!(
            self.rtp_ports.end().saturating_sub(*self.rtp_ports.start()) >= 1 && *self.rtp_ports.start() > 0,
            "the RTP ports must be a range of at least two ports, such as 16384-32767"
        );
        ensure!(
            (60..=3600).contains(&self.longest_message.as_secs()),
            "the longest message must have 60 to 3600 seconds: --longest-message 300"
        );
        if let Some(domain) = &self.domain {
            check_domain(domain)?;
        }
        ensure!(
            self.trust_names.is_empty() || (self.client_ca.is_some() && self.sip_tls.is_some()),
            "who is trusted by tls:NAME shows a certificate over TLS: --sip-tls ADDR, and --client-ca FILE with its authority"
        );
        Ok(())
    }

    /// Whether other machines can reach any part of it.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.sip_addresses().into_iter().chain(self.http).all(|address| address.ip().to_canonical().is_loopback())
    }

    /// The domain of a new account, when none is given.
    #[must_use]
    pub fn default_domain(&self) -> String {
        if self.is_loopback_only() {
            return LOCAL_DOMAIN.into();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
        let host = host.map(|host| host.trim().to_ascii_lowercase());
        host.filter(|host| check_domain(host).is_ok()).unwrap_or_else(|| LOCAL_DOMAIN.into())
    }

    /// Where SIP is taken, over WebSocket too.
    pub(crate) fn sip_addresses(&self) -> Vec<SocketAddr> {
        let secured = [&self.sip_tls, &self.https].map(|secured| secured.as_ref().map(|secured| secured.address));
        [self.sip_udp, self.sip_tcp].into_iter().chain(secured).flatten().collect()
    }

    /// Where media sockets are bound: as widely as the signalling is reachable.
    pub(crate) fn media_address(&self) -> IpAddr {
        let wide: Vec<IpAddr> = self
            .sip_addresses()
            .into_iter()
            .map(|address| address.ip())
            .filter(|address| !address.to_canonical().is_loopback())
            .collect();
        match wide.as_slice() {
            [] => Ipv4Addr::LOCALHOST.into(),
            all if all.iter().any(IpAddr::is_ipv6) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        }
    }
}

/// The domain of an account that only this machine reaches, when none is given.
pub(crate) const LOCAL_DOMAIN: &str = "localhost";

fn check_domain(domain: &str) -> anyhow::Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    ensure!(
        !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(allowed),
        "{domain:?} is no domain: a host name such as phones.example.com is expected"
    );
    Ok(())
}

/// An address to listen on, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Not at all.
    Off,
    /// There.
    At(SocketAddr),
}

impl Listen {
    fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| format!("{text:?} is no address: ADDRESS:PORT (such as 0.0.0.0:5060) or off is expected"))
    }
}

/// A range of ports, `16384-32767`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(RangeInclusive<u16>);

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |port: &str| port.trim().parse::<u16>().ok();
        let range = text.split_once('-').and_then(|(first, last)| Some(parse(first)?..=parse(last)?));
        range.map(Self).ok_or_else(|| format!("{text:?} is no range of ports: 16384-32767 is an example"))
    }
}

/// What may be given in each of the three places; what isn't given is left to the next.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// The data folder; made at the first start
    #[arg(long, env = "AFTERTONE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The SIP domain (default: that of the data folder; at the first start localhost or the host's name)
    #[arg(long, env = "AFTERTONE_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// SIP over UDP, or off (default: 127.0.0.1:5060)
    #[arg(long, env = "AFTERTONE_SIP_UDP", value_name = "ADDR")]
    #[serde(default, alias = "sip_udp", deserialize_with = "from_text")]
    pub sip_udp: Option<Listen>,
    /// SIP over TCP, or off (default: 127.0.0.1:5060)
    #[arg(long, env = "AFTERTONE_SIP_TCP", value_name = "ADDR")]
    #[serde(default, alias = "sip_tcp", deserialize_with = "from_text")]
    pub sip_tcp: Option<Listen>,
    /// SIP over TLS; needs --cert and --key
    #[arg(long, env = "AFTERTONE_SIP_TLS", value_name = "ADDR")]
    #[serde(default, alias = "sip_tls", deserialize_with = "from_text")]
    pub sip_tls: Option<Listen>,
    /// The API without encryption, on this machine only, or off (default: 127.0.0.1:8080)
    #[arg(long, env = "AFTERTONE_HTTP", value_name = "ADDR")]
    #[serde(default, deserialize_with = "from_text")]
    pub http: Option<Listen>,
    /// The API over TLS; needs --cert and --key
    #[arg(long, env = "AFTERTONE_HTTPS", value_name = "ADDR")]
    #[serde(default, deserialize_with = "from_text")]
    pub https: Option<Listen>,
    /// The certificate with its chain, PEM
    #[arg(long, env = "AFTERTONE_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, env = "AFTERTONE_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// UDP ports for RTP (default: 16384-32767)
    #[arg(long, env = "AFTERTONE_RTP_PORTS", value_name = "A-B")]
    #[serde(default, alias = "rtp_ports", deserialize_with = "from_text")]
    pub rtp_ports: Option<Ports>,
    /// The first UDP port for WebRTC, one per media worker (default: any free ones)
    #[arg(long, env = "AFTERTONE_WEBRTC_PORT", value_name = "PORT")]
    #[serde(alias = "webrtc_port")]
    pub webrtc_port: Option<u16>,
    /// Media workers (default: one per core)
    #[arg(long, env = "AFTERTONE_MEDIA_WORKERS", value_name = "N")]
    #[serde(alias = "media_workers")]
    pub media_workers: Option<usize>,
    /// More calls at once are told to come back (default: what the machine is enough for)
    #[arg(long, env = "AFTERTONE_MAX_CALLS", value_name = "N")]
    #[serde(alias = "max_calls")]
    pub max_calls: Option<usize>,
    /// The address that the outside reaches this server at, behind a NAT
    #[arg(long, env = "AFTERTONE_PUBLIC_ADDRESS", value_name = "IP")]
    #[serde(alias = "public_address")]
    pub public_address: Option<IpAddr>,
    /// Whether the sound of phones over RTP is encrypted (default: offer)
    #[arg(long, env = "AFTERTONE_SRTP", value_name = "off|offer|require")]
    pub srtp: Option<Encryption>,
    /// A STUN server that tells the address that the outside reaches this server at, behind a NAT
    #[arg(long, env = "AFTERTONE_STUN", value_name = "HOST[:PORT]")]
    pub stun: Option<String>,
    /// A TURN server for devices that reach nobody else; may be given several times; needs --turn-secret
    #[arg(long, env = "AFTERTONE_TURN", value_name = "turn:HOST[:PORT]", value_delimiter = ',')]
    #[serde(default)]
    pub turn: Vec<String>,
    /// The secret that it shares with us (coturn: static-auth-secret); better by variable or file than as a flag
    #[arg(long, env = "AFTERTONE_TURN_SECRET", value_name = "SECRET", hide_env_values = true)]
    #[serde(alias = "turn_secret")]
    pub turn_secret: Option<TurnSecret>,
    /// Its console on this machine (coturn: cli-port), where sessions of signed-out devices are ended; may be given several times
    #[arg(long, env = "AFTERTONE_TURN_CONSOLE", value_name = "IP:PORT", value_delimiter = ',')]
    #[serde(default, alias = "turn_console")]
    pub turn_console: Vec<SocketAddr>,
    /// The console's password (coturn: cli-password); better by variable or file than as a flag
    #[arg(long, env = "AFTERTONE_TURN_CONSOLE_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    #[serde(alias = "turn_console_password")]
    pub turn_console_password: Option<TurnSecret>,
    /// A network, or by `tls:NAME` a peer with a certificate, whose calls are taken without authentication; may be given several
    /// times
    #[arg(long, env = "AFTERTONE_TRUST", value_name = "CIDR|tls:NAME", value_delimiter = ',')]
    #[serde(default, deserialize_with = "from_texts")]
    pub trust: Vec<Trusted>,
    /// The authorities of certificates that peers show over SIP's TLS, for tls:NAME (PEM)
    #[arg(long, env = "AFTERTONE_CLIENT_CA", value_name = "FILE")]
    #[serde(alias = "client_ca")]
    pub client_ca: Option<PathBuf>,
    /// Take calls to people from anybody (default: only from people, trusted networks and trunks)
    #[arg(long, env = "AFTERTONE_OPEN")]
    #[serde(default)]
    pub open: bool,
    /// Let people record their calls in the app, which the other end hears by a tone (default: nobody may); find out first
    /// what the law asks for where you are
    #[arg(long, env = "AFTERTONE_CALL_RECORDING")]
    #[serde(default, alias = "call_recording")]
    pub call_recording: bool,
    /// No message is longer, whatever people want; 60 to 3600 (default: 300)
    #[arg(long, env = "AFTERTONE_LONGEST_MESSAGE", value_name = "SECONDS")]
    #[serde(alias = "longest_message")]
    pub longest_message: Option<u64>,
    /// A mailbox takes so many seconds of messages, those in the trash not counted; 0 for no limit (default: 0)
    #[arg(long, env = "AFTERTONE_MAILBOX_QUOTA", value_name = "SECONDS")]
    #[serde(alias = "mailbox_quota")]
    pub mailbox_quota: Option<u32>,
    /// Messages are expunged after so many days in the trash; 0 for never (default: 30)
    #[arg(long, env = "AFTERTONE_TRASH_DAYS", value_name = "DAYS")]
    #[serde(alias = "trash_days")]
    pub trash_days: Option<u32>,
    /// Messages go to the trash so many days after they were heard, unless they are saved; 0 for never (default: 0)
    #[arg(long, env = "AFTERTONE_HEARD_DAYS", value_name = "DAYS")]
    #[serde(alias = "heard_days")]
    pub heard_days: Option<u32>,
    /// How numbers are dialled.
    #[command(flatten)]
    #[serde(default, rename = "dial-plan", alias = "dial_plan")]
    pub dial_plan: DialPlanOptions,
    /// Trunks; in the file only, each a table `[[trunk]]`.
    #[arg(skip)]
    #[serde(default, rename = "trunk")]
    pub trunks: Vec<TrunkOptions>,
}

/// Whose calls are taken without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// By address.
    Network(Network),
    /// By the name in its certificate.
    Name(String),
}

impl Trusted {
    fn network(&self) -> Option<Network> {
        match self {
            Self::Network(network) => Some(*network),
            Self::Name(_) => None,
        }
    }

    fn name(self) -> Option<String> {
        match self {
            Self::Network(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl std::str::FromStr for Trusted {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        match text.trim().strip_prefix("tls:") {
            Some(name) if check_domain(&name.to_ascii_lowercase()).is_ok() => Ok(Self::Name(name.to_ascii_lowercase())),
            Some(_) => Err(InvalidNetwork),
            None => text.parse().map(Self::Network),
        }
    }
}

impl Options {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Where it can't be read, or holds a key or a value that means nothing.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no valid configuration", path.display()))
    }

    /// These, and what they leave open from `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            data: self.data.or(others.data),
            domain: self.domain.or(others.domain),
            sip_udp: self.sip_udp.or(others.sip_udp),
            sip_tcp: self.sip_tcp.or(others.sip_tcp),
            sip_tls: self.sip_tls.or(others.sip_tls),
            http: self.http.or(others.http),
            https: self.https.or(others.https),
            cert: self.cert.or(others.cert),
            key: self.key.or(others.key),
            rtp_ports: self.rtp_ports.or(others.rtp_ports),
            webrtc_port: self.webrtc_port.or(others.webrtc_port),
            media_workers: self.media_workers.or(others.media_workers),
            max_calls: self.max_calls.or(others.max_calls),
            public_address: self.public_address.or(others.public_address),
            srtp: self.srtp.or(others.srtp),
            stun: self.stun.or(others.stun),
            turn: if self.turn.is_empty() { others.turn } else { self.turn },
            turn_secret: self.turn_secret.or(others.turn_secret),
            turn_console: if self.turn_console.is_empty() { others.turn_console } else { self.turn_console },
            turn_console_password: self.turn_console_password.or(others.turn_console_password),
            trust: if self.trust.is_empty() { others.trust } else { self.trust },
            client_ca: self.client_ca.or(others.client_ca),
            open: self.open || others.open,
            call_recording: self.call_recording || others.call_recording,
            longest_message: self.longest_message.or(others.longest_message),
            mailbox_quota: self.mailbox_quota.or(others.mailbox_quota),
            trash_days: self.trash_days.or(others.trash_days),
            heard_days: self.heard_days.or(others.heard_days),
            dial_plan: self.dial_plan.or(others.dial_plan),
            trunks: if self.trunks.is_empty() { others.trunks } else { self.trunks },
        }
    }

    /// The configuration: what is still open takes its default.
    ///
    /// # Errors
    /// Where something is missing or [`Config::check`] refuses it.
    pub fn complete(self) -> anyhow::Result<Config> {
        let data = self.data.context("no data folder is given: --data DIR, AFTERTONE_DATA or data = \"DIR\" in the file")?;
        let default = Config::new(data);
        let keys = self.cert.zip(self.key);
        let secured = |listen: Option<Listen>, what: &str| match (listen.and_then(Listen::address), &keys) {
            (Some(address), Some((cert, key))) => Ok(Some(Https { address, cert: cert.clone(), key: key.clone() })),
            (Some(_), None) => bail!("{what} needs a certificate and its key: --cert FILE --key FILE"),
            (None, _) => Ok(None),
        };
        let (https, sip_tls) = (secured(self.https, "https")?, secured(self.sip_tls, "SIP over TLS")?);
        let by_default =
            ByDefault { sip_udp: self.sip_udp.is_none(), sip_tcp: self.sip_tcp.is_none(), http: self.http.is_none() };
        let config = Config {
            by_default,
            domain: self.domain.map(|domain| domain.to_ascii_lowercase()),
            sip_udp: self.sip_udp.map_or(default.sip_udp, Listen::address),
            sip_tcp: self.sip_tcp.map_or(default.sip_tcp, Listen::address),
            sip_tls,
            http: self.http.map_or(default.http, Listen::address),
            https,
            rtp_ports: self.rtp_ports.map_or(default.rtp_ports.clone(), |ports| ports.0),
            webrtc_port: self.webrtc_port.unwrap_or(default.webrtc_port),
            media_workers: self.media_workers.unwrap_or(default.media_workers),
            public_address: self.public_address,
            max_calls: self.max_calls,
            encryption: self.srtp.unwrap_or_default(),
            stun: self.stun,
            turn: Turn::new(self.turn, self.turn_secret)?,
            turn_consoles: Consoles::new(self.turn_console, self.turn_console_password)?,
            trust: self.trust.iter().filter_map(Trusted::network).collect(),
            trust_names: self.trust.into_iter().filter_map(Trusted::name).collect(),
            client_ca: self.client_ca,
            open: self.open,
            call_recording: self.call_recording,
            longest_message: self.longest_message.map_or(default.longest_message, std::time::Duration::from_secs),
            keeping: OwnKeeping { quota_s: self.mailbox_quota, trash_days: self.trash_days, heard_days: self.heard_days }
                .over(default.keeping),
            dial_plan: self.dial_plan.complete()?,
            trunks: self.trunks.into_iter().map(TrunkOptions::complete).collect::<anyhow::Result<_>>()?,
            ..default
        };
        config.check()?;
        Ok(config)
    }
}

fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn from_texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Texts::deserialize(deserializer)? {
        Texts::One(text) => text.split(',').map(str::to_owned).collect(),
        Texts::Several(texts) => texts,
    };
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    texts.map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Options, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn networks_are_a_list_or_one_text() {
        let networks = |text: &str| file(text).unwrap().trust.len();
        assert_eq!(networks("trust = [\"127.0.0.0/8\", \"10.0.0.0/8\"]"), 2);
        assert_eq!(networks("trust = \"127.0.0.0/8, 10.0.0.0/8\""), 2);
        assert_eq!(networks("trust = \"\""), 0);
        assert!(file("trust = \"nonsense\"").is_err());
    }

    #[test]
    fn a_file_may_use_either_spelling() {
        let kebab = file("sip-udp = \"0.0.0.0:5060\"\nrtp-ports = \"10000-10100\"\npublic-address = \"192.0.2.1\"").unwrap();
        let snake = file("sip_udp = \"0.0.0.0:5060\"\nrtp_ports = \"10000-10100\"\npublic_address = \"192.0.2.1\"").unwrap();
        assert_eq!(
            (kebab.sip_udp, &kebab.rtp_ports, kebab.public_address),
            (snake.sip_udp, &snake.rtp_ports, snake.public_address)
        );
        assert_eq!(kebab.rtp_ports, Some(Ports(10000..=10100)));
    }

    #[test]
    fn a_file_with_an_unknown_key_or_value_is_refused() {
        assert!(file("sip-upd = \"127.0.0.1:1\"").is_err());
        assert!(file("sip-udp = \"5060\"").is_err());
        assert!(file("trust = [\"nowhere\"]").is_err());
    }

    #[test]
    fn the_nearer_place_wins() {
        let flags =
            Options { sip_udp: Some(Listen::At("127.0.0.1:1".parse().unwrap())), data: Some("d".into()), ..Options::default() };
        let file = file("sip-udp = \"127.0.0.1:2\"\nsip-tcp = \"off\"\ntrust = [\"192.0.2.0/24\"]").unwrap();
        let config = flags.or(file).complete().unwrap();
        assert_eq!(config.sip_udp.unwrap().port(), 1);
        assert_eq!(config.sip_tcp, None);
        assert_eq!(config.http.unwrap().port(), 8080);
        assert_eq!(config.trust.len(), 1);
    }

    #[test]
    fn the_secret_of_turn_servers_is_taken_from_the_file_and_shown_nowhere() {
        let options = Options { data: Some("d".into()), ..Options::default() };
        let options = options.or(file("turn = [\"turn:turn.example.com:3478\"]\nturn-secret = \"north\"").unwrap());
        assert!(!format!("{options:?}").contains("north"));
        let config = options.complete().unwrap();
        assert!(config.turn.is_some() && !format!("{config:?}").contains("north"));
    }

    #[test]
    fn a_peer_is_trusted_by_its_name_only_where_it_can_show_it() {
        let with = |text: &str| Options { data: Some("d".into()), ..Options::default() }.or(file(text).unwrap()).complete();
        let tls = "sip-tls = \"127.0.0.1:0\"\ncert = \"c\"\nkey = \"k\"\n";
        let trust = "trust = [\"192.0.2.0/24\", \"tls:PBX.example.com\"]\n";
        let config = with(&format!("{tls}{trust}client-ca = \"ca.pem\"")).unwrap();
        assert_eq!((config.trust.len(), config.trust_names), (1, vec!["pbx.example.com".to_owned()]));
        assert!(with(&format!("{tls}{trust}")).is_err(), "nobody's authority");
        assert!(with(&format!("{trust}client-ca = \"ca.pem\"")).is_err(), "no TLS");
        assert!(file("trust = [\"tls:\"]").is_err());
    }

    #[test]
    fn trunks_and_the_dial_plan_stand_in_the_file() {
        let text = "[dial-plan]\ncountry = \"49\"\nemergency = [\"112\"]\nemergency-trunk = \"a\"\n\
            [[trunk]]\nname = \"a\"\nserver = \"sip.provider.example\"\nuser = \"4930\"\nregister = true\n\
            [trunk.numbers]\n\"+49301\" = \"anna\"\n[[trunk]]\nname = \"b\"\nserver = \"192.0.2.1:5070\"\n";
        let options = Options { data: Some("d".into()), ..Options::default() };
        let config = options.or(file(text).unwrap()).complete().unwrap();
        assert_eq!(config.dial_plan.country.as_deref(), Some("49"));
        assert_eq!(config.dial_plan.emergency, ["112"]);
        let trunks: Vec<_> = config.trunks.iter().map(|account| (account.trunk.name.as_str(), account.trunk.register)).collect();
        assert_eq!(trunks, [("a", true), ("b", false)]);
        assert_eq!(config.trunks[0].trunk.numbers["+49301"], "anna");
    }

    fn refused(text: &str, because: &str) {
        let options = Options { data: Some("d".into()), ..Options::default() }.or(file(text).unwrap());
        let error = options.complete().unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn what_would_be_unsafe_or_useless_is_refused() {
        refused("http = \"0.0.0.0:8080\"", "--https");
        refused("http = \"[::]:8080\"", "--https");
        refused("https = \"0.0.0.0:8443\"", "--cert");
        refused("http = \"off\"", "neither http nor https");
        refused("rtp-ports = \"5000-5000\"", "range");
        refused("domain = \"a b\"", "no domain");
        refused("turn = [\"turn:h\"]", "--turn-secret");
        refused("turn = [\"h:3478\"]\nturn-secret = \"s\"", "no TURN server");
        refused("turn-console = [\"192.0.2.1:5766\"]\nturn-console-password = \"s\"", "another machine");
        refused("turn-console = [\"127.0.0.1:5766\"]", "--turn-console-password");
        refused("longest-message = 59", "--longest-message");
        refused("[dial-plan]\ncountry = \"0049\"", "without zeros");
        refused("[[trunk]]\nname = \"a\"\nserver = \"x y\"", "no server");
        refused("[[trunk]]\nname = \"a\"\nserver = \"h\"\nregister = true", "--user");
    }

    #[test]
    fn media_is_bound_as_widely_as_the_signalling() {
        let bound = |text| {
            Options { data: Some("d".into()), ..Options::default() }.or(file(text).unwrap()).complete().unwrap().media_address()
        };
        assert_eq!(bound(""), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(bound("sip-udp = \"192.0.2.1:5060\""), IpAddr::from(Ipv4Addr::UNSPECIFIED));
        assert_eq!(bound("sip-udp = \"[::]:5060\""), IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED));
    }
}

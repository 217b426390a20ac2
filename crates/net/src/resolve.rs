//! Where a SIP URI leads (RFC 3263 section 4): NAPTR, SRV with priorities and weights (RFC 2782), addresses.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use hickory_resolver::{
    Resolver as Dns, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData, RecordType},
};
use rand::RngExt;

/// How SIP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream over TLS.
    Tls,
}

impl Protocol {
    /// In the order that they are tried in where neither the question nor the zone prefers one.
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// What precedes the domain in the name of SRV records.
    fn prefix(self) -> &'static str {
        match self {
            Self::Udp => "_sip._udp",
            Self::Tcp => "_sip._tcp",
            Self::Tls => "_sips._tcp",
        }
    }

    /// The service field of NAPTR records.
    fn of_service(service: &[u8]) -> Option<Self> {
        let is = |name: &[u8]| service.eq_ignore_ascii_case(name);
        [(b"SIP+D2U", Self::Udp), (b"SIP+D2T", Self::Tcp)]
            .into_iter()
            .find_map(|(name, protocol)| is(name).then_some(protocol))
            .or_else(|| is(b"SIPS+D2T").then_some(Self::Tls))
    }
}

/// What a URI says of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// A name, or an address (IPv6 without brackets).
    pub host: String,
    /// If it is given.
    pub port: Option<u16>,
    /// If it is given.
    pub protocol: Option<Protocol>,
    /// A `sips` URI: over TLS or not at all.
    pub secure: bool,
}

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub protocol: Protocol,
    /// Where.
    pub address: SocketAddr,
    /// Whom the certificate must be for: the name that was asked for, not one that DNS gave (RFC 5922 section 4).
    pub name: String,
}

/// Asks DNS.
#[derive(Debug, Clone)]
pub struct Resolver {
    dns: Option<TokioResolver>,
}

/// More targets than this help nobody.
const MOST_TARGETS: usize = 24;

impl Resolver {
    /// With the name servers that the system is configured with.
    #[must_use]
    pub fn system() -> Self {
        let built = Dns::builder_tokio().and_then(|mut builder| {
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        if let Err(error) = &built {
            tracing::warn!(%error, "no name servers are configured: only addresses are understood");
        }
        Self { dns: built.ok() }
    }

    /// With one name server.
    #[must_use]
    pub fn at(server: SocketAddr) -> Self {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut builder = Dns::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self { dns: builder.build().ok() }
    }

    /// The targets in the order to try them in; none if the name leads nowhere.
    pub async fn locate(&self, question: &Question) -> Vec<Target> {
        let fallback = if question.secure { Protocol::Tls } else { Protocol::Udp };
        let asked = question.protocol.map(|asked| if question.secure { Protocol::Tls } else { asked });
        let plain = asked.unwrap_or(fallback);
        let port = question.port.unwrap_or(plain.port());
        let mut targets = Vec::new();
        if let Ok(ip) = question.host.parse::<IpAddr>() {
            targets.push((plain, SocketAddr::new(ip, port)));
        } else if question.port.is_some() {
            self.addresses(&question.host, port, plain, &mut targets).await;
        } else {
            for (protocol, name) in self.services(question, asked).await {
                self.servers(&name, protocol, &mut targets).await;
            }
            if targets.is_empty() {
                self.addresses(&question.host, port, plain, &mut targets).await;
            }
        }
        let mut known = BTreeSet::new();
        targets.retain(|target| known.insert(*target));
        targets.truncate(MOST_TARGETS);
        let named = |(protocol, address)| Target { protocol, address, name: question.host.clone() };
        targets.into_iter().map(named).collect()
    }

    /// The names whose SRV records are asked for, in order: as NAPTR says, or one for each transport (section 4.1).
    async fn services(&self, question: &Question, asked: Option<Protocol>) -> Vec<(Protocol, String)> {
        let host = question.host.trim_end_matches('.');
        let usual = |protocol: Protocol| (protocol, format!("{}.{host}.", protocol.prefix()));
        if let Some(asked) = asked {
            return vec![usual(asked)];
        }
        let takes = |protocol: &Protocol| !question.secure || *protocol == Protocol::Tls;
        let mut rules = Vec::new();
        for data in self.records(&format!("{host}."), RecordType::NAPTR).await {
            if let RData::NAPTR(rule) = data
                && rule.flags.eq_ignore_ascii_case(b"s")
                && let Some(protocol) = Protocol::of_service(&rule.services).filter(takes)
            {
                rules.push((rule.order, rule.preference, protocol, rule.replacement.to_string()));
            }
        }
        if rules.is_empty() {
            return Protocol::ALL.into_iter().filter(takes).map(usual).collect();
        }
        rules.sort();
        rules.into_iter().map(|(_, _, protocol, name)| (protocol, name)).collect()
    }

    async fn servers(&self, name: &str, protocol: Protocol, targets: &mut Vec<(Protocol, SocketAddr)>) {
        let servers = self.records(name, RecordType::SRV).await.into_iter().filter_map(|data| {
            let RData::SRV(server) = data else { return None };
            let (priority, weight, port) = (server.priority, server.weight, server.port);
            // A target of "." says that the service is not offered.
            (!server.target.is_root()).then(|| Server { priority, weight, port, host: server.target.to_string() })
        });
        for server in in_order(servers.collect(), |below| rand::rng().random_range(0..=below)) {
            self.addresses(&server.host, server.port, protocol, targets).await;
        }
    }

    async fn addresses(&self, host: &str, port: u16, protocol: Protocol, targets: &mut Vec<(Protocol, SocketAddr)>) {
        let Some(dns) = &self.dns else { return };
        match dns.lookup_ip(host).await {
            Ok(found) => targets.extend(found.iter().map(|ip| (protocol, SocketAddr::new(ip, port)))),
            Err(error) => tracing::debug!(%error, "no address"),
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Vec<RData> {
        let (Some(dns), Ok(name)) = (&self.dns, Name::from_utf8(name)) else { return Vec::new() };
        match dns.lookup(name, kind).await {
            Ok(found) => found.answers().iter().map(|record| record.data.clone()).collect(),
            Err(error) => {
                tracing::trace!(%error, %kind, "no records");
                Vec::new()
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

/// The lowest priority first; within one, drawn by weight (RFC 2782). `draw(n)` is a number from 0 to n.
fn in_order(mut servers: Vec<Server>, mut draw: impl FnMut(u32) -> u32) -> Vec<Server> {
    // Those of weight 0 first, so that they have a small chance.
    servers.sort_by_key(|server| (server.priority, server.weight));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(first) = servers.first() {
        let count = servers.iter().take_while(|server| server.priority == first.priority).count();
        let sum: u32 = servers[..count].iter().map(|server| u32::from(server.weight)).sum();
        let drawn = draw(sum);
        let mut running = 0;
        let chosen = servers[..count].iter().position(|server| {
            running += u32::from(server.weight);
            running >= drawn
        });
        ordered.push(servers.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, weight: u16) -> Server {
        Server { priority, weight, port: 5060, host: format!("{priority}-{weight}") }
    }

    fn hosts(servers: &[Server]) -> Vec<&str> {
        servers.iter().map(|server| server.host.as_str()).collect()
    }

    #[test]
    fn priorities_come_first_and_weights_draw() {
        let all = vec![server(20, 1), server(10, 60), server(10, 0), server(10, 40)];
        let drawn = in_order(all.clone(), |_| 0);
        assert_eq!(hosts(&drawn), ["10-0", "10-40", "10-60", "20-1"]);
        let drawn = in_order(all, |below| below);
        assert_eq!(hosts(&drawn), ["10-60", "10-40", "10-0", "20-1"]);
    }

    #[test]
    fn a_weight_is_a_share() {
        let mut first = 0;
        for draw in 0..=100 {
            let mut draws = [draw, 0].into_iter();
            let drawn = in_order(vec![server(1, 25), server(1, 75)], |_| draws.next().unwrap_or(0));
            first += u32::from(drawn[0].weight == 75);
        }
        assert_eq!(first, 75);
    }
}

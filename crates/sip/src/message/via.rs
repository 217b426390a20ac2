use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::message::InvalidHeader;
use crate::params::Params;
use crate::uri::{parse_host_port, parse_ip};

/// One element of Via: the way that the response takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, `WS`, `WSS` or any other token, as it came.
    pub transport: String,
    /// The host that the sender gave itself.
    pub host: String,
    /// The port that the sender gave itself.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, …
    pub params: Params,
}

impl Via {
    /// The branch; empty if there is none (RFC 2543).
    #[must_use]
    pub fn branch(&self) -> &str {
        self.params.get("branch").unwrap_or_default()
    }

    /// Host and port as one text, for comparison.
    #[must_use]
    pub fn sent_by(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }

    /// Whether the request came from where its sender thinks it is (RFC 3581 4): no NAT in between, as far as one can see.
    #[must_use]
    pub fn is_truthful(&self, source: SocketAddr, default_port: u16) -> bool {
        parse_ip(&self.host).map(unmapped) == Some(unmapped(source.ip())) && self.port.unwrap_or(default_port) == source.port()
    }

    /// Notes the source address as RFC 3261 18.2.1 and RFC 3581 4 want it.
    pub(crate) fn note_source(&mut self, source: SocketAddr) {
        let wants_port = self.params.contains("rport");
        if wants_port || parse_ip(&self.host).map(unmapped) != Some(unmapped(source.ip())) {
            self.params.set("received", Some(&unmapped(source.ip()).to_string()));
        } else {
            self.params.remove("received");
        }
        if wants_port {
            self.params.set("rport", Some(&source.port().to_string()));
        }
    }

    /// Where the response goes over UDP (RFC 3261 18.2.2, RFC 3581 4), given where the request came from.
    /// `maddr` is not followed: it would let a request name a victim.
    pub(crate) fn response_target(&self, source: SocketAddr, default_port: u16) -> SocketAddr {
        let port = if self.params.contains("rport") { source.port() } else { self.port.unwrap_or(default_port) };
        // With the zone of a link-local address, which only the socket knows.
        let mut target = source;
        target.set_port(port);
        target
    }
}

fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

impl FromStr for Via {
    type Err = InvalidHeader;

    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        parse_via(text).ok_or(InvalidHeader::Malformed("Via"))
    }
}

/// Blanks may stand around the slashes and the colon (RFC 3261 25.1: `SLASH`, `COLON`).
fn parse_via(text: &str) -> Option<Via> {
    let (name, rest) = text.trim().split_once('/')?;
    let (version, rest) = rest.split_once('/')?;
    if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
        return None;
    }
    let (transport, rest) = rest.trim_start().split_once([' ', '\t'])?;
    let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
    let sent_by: String = sent_by.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let (host, port) = parse_host_port(&sent_by).ok()?;
    Some(Via { transport: transport.to_owned(), host: host.to_owned(), port, params: Params::parse(params) })
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

//! How an exchange is set up.

use std::{net::IpAddr, str::FromStr, time::Duration};

use crate::DialPlan;

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a network: expected ADDRESS or ADDRESS/PREFIX")]
pub struct InvalidNetwork;

/// An address range, `192.0.2.0/24` or `2001:db8::/32`; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address lies in it. An IPv4 address that came mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| InvalidNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| InvalidNetwork)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits { Err(InvalidNetwork) } else { Ok(Self { address, prefix }) }
    }
}

/// Between which devices of ours media go directly; others' phones always have theirs at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direct {
    /// Between none.
    #[default]
    Never,
    /// Where both are in one network, as the server sees them.
    InOneNetwork,
    /// Between any two: a TURN server helps them.
    Everywhere,
}

/// What is fixed while an exchange runs. `ExchangeConfig::new` gives sane values for everything but the domain.
#[derive(Debug, Clone)]
pub struct ExchangeConfig {
    /// The account's domain: the host of every address of record, and the digest realm.
    pub domain: String,
    /// `Server` and `User-Agent`.
    pub product: String,
    /// The server's own addresses; a request to one of them is a request to the domain. The local address of the flow that
    /// a request came over always counts too.
    pub own_addresses: Vec<IpAddr>,
    /// Peers (a company's exchange, a provider) that may call without being authenticated, and whose `From` is believed.
    pub trusted: Vec<Network>,
    /// Whether calls from outside are taken from anybody. Only to people, never with a `From` of ours.
    pub open: bool,
    /// How numbers are dialled, and which are emergencies.
    pub dial_plan: DialPlan,
    /// Whose media go directly.
    pub direct: Direct,
    /// No message is longer, whatever its mailbox's owner wants.
    pub longest_message: Duration,
    /// More calls at once are answered with 503.
    pub max_calls: usize,
    /// More calls at once from one address that nobody vouches for are answered with 503.
    pub max_calls_of_stranger: usize,
    /// More bindings of one person are answered with 403.
    pub max_bindings: usize,
    /// A shorter registration is answered with 423.
    pub min_expires: Duration,
    /// Of a registration that names no expiry.
    pub default_expires: Duration,
    /// A longer registration is shortened.
    pub max_expires: Duration,
    /// What tells this exchange from others with the same account at a provider, the same after every restart (RFC 5626 section
    /// 4.1): a URN of a UUID. Without it providers keep no flows apart.
    pub instance: Option<String>,
    /// 32 random bytes: ids, tags and nonces are drawn from it.
    pub seed: [u8; 32],
}

impl ExchangeConfig {
    /// The defaults.
    #[must_use]
    pub fn new(domain: impl Into<String>, seed: [u8; 32]) -> Self {
        Self {
            domain: domain.into(),
            product: "Aftertone".into(),
            own_addresses: Vec::new(),
            trusted: Vec::new(),
            open: false,
            dial_plan: DialPlan::default(),
            direct: Direct::default(),
            longest_message: Duration::from_secs(300),
            max_calls: 500,
            max_calls_of_stranger: 4,
            max_bindings: 10,
            min_expires: Duration::from_secs(60),
            default_expires: Duration::from_secs(300),
            max_expires: Duration::from_secs(3600),
            instance: None,
            seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unwrap_used, reason = "a test")]
    fn check(network: &str, address: &str, expect: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expect, "{network:?} {address}");
    }

    #[test]
    fn networks_contain_their_addresses() {
        check("192.0.2.0/24", "192.0.2.77", true);
        check("192.0.2.0/24", "192.0.3.1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("192.0.2.0/24", "::ffff:192.0.2.1", true);
    }

    #[test]
    fn other_texts_are_no_networks() {
        for text in ["", "192.0.2.0/33", "example.com", "192.0.2.0/x", "::/129"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }
}

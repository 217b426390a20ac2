//! Credentials for TURN servers: for a limited time, made of a secret that both servers know (coturn's `use-auth-secret`; the
//! draft "A REST API for Access to TURN Services").

use std::{fmt, str::FromStr, time::Duration};

use aftertone_model::{DeviceId, SubscriberId, Timestamp};
use aftertone_sync::TurnCredentials;
use anyhow::ensure;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;

mod console;

pub use console::Consoles;

/// How long credentials are good for. TURN servers ask for them as a session begins; a call goes on behind their end.
const LIFETIME: Duration = Duration::from_secs(600);

/// What is shared with the TURN servers. It never shows in logs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct TurnSecret(String);

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(…)")
    }
}

impl FromStr for TurnSecret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// TURN servers, and what they take our word by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    uris: Vec<String>,
    secret: TurnSecret,
}

impl Turn {
    /// TURN servers at `uris` (RFC 7065) that share `secret` with us; `None` if there are none.
    ///
    /// # Errors
    /// Where an URI is none of TURN, or one of both is missing.
    pub fn new(uris: Vec<String>, secret: Option<TurnSecret>) -> anyhow::Result<Option<Self>> {
        let secret = secret.filter(|secret| !secret.0.is_empty());
        match (uris.is_empty(), secret) {
            (true, None) => Ok(None),
            (true, Some(_)) => anyhow::bail!("a TURN secret without a TURN server: --turn turn:HOST:3478 names one"),
            (false, None) => anyhow::bail!("TURN servers need the secret that they share with us: --turn-secret SECRET"),
            (false, Some(secret)) => {
                for uri in &uris {
                    check(uri)?;
                }
                Ok(Some(Self { uris, secret }))
            }
        }
    }

    /// Credentials for a device, good from now on.
    #[must_use]
    pub fn credentials(&self, owner: SubscriberId, device: DeviceId, now: Timestamp) -> TurnCredentials {
        let expires_at = now.checked_add(LIFETIME).unwrap_or(now);
        // By their ids: a name could hold what the two servers disagree about.
        let username = format!("{}:{owner}.{device}", expires_at.as_second());
        let password = sign(&self.secret, &username);
        TurnCredentials { uris: self.uris.clone(), username, password, expires_at }
    }
}

/// Whose credentials have this name, if they are of ours.
fn user_of(username: &str) -> Option<(SubscriberId, DeviceId)> {
    let (owner, device) = username.split_once(':')?.1.split_once('.')?;
    Some((owner.parse().ok()?, device.parse().ok()?))
}

fn sign(secret: &TurnSecret, username: &str) -> String {
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.0.as_bytes()) else { return String::new() };
    mac.update(username.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn check(uri: &str) -> anyhow::Result<()> {
    let expected =
        "turn:HOST, turn:HOST:PORT or turns:HOST, with ?transport=udp or ?transport=tcp behind it if wanted, is expected";
    let rest = uri.strip_prefix("turn:").or_else(|| uri.strip_prefix("turns:"));
    let (host, query) =
        rest.map_or(("", None), |rest| rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query))));
    let transport = query.is_none_or(|query| matches!(query, "transport=udp" | "transport=tcp"));
    let (host, port) = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => (&host[..at], host[at + 1..].parse::<u16>().ok().filter(|port| *port != 0)),
        Some(_) | None => (host, Some(3478)),
    };
    let named =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    ensure!(named && transport && port.is_some(), "{uri:?} is no TURN server: {expected}");
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn turn(uris: &[&str], secret: Option<&str>) -> anyhow::Result<Option<Turn>> {
        Turn::new(uris.iter().map(|uri| (*uri).to_owned()).collect(), secret.map(|secret| secret.parse().unwrap()))
    }

    fn ids() -> (SubscriberId, DeviceId) {
        (SubscriberId::from_random(1), DeviceId::from_random(2))
    }

    #[test]
    fn credentials_are_those_that_coturn_makes() {
        let turn = turn(&["turn:turn.example.com:3478"], Some("north")).unwrap().unwrap();
        let (owner, device) = ids();
        let made = turn.credentials(owner, device, Timestamp::from_second(1_000_000_000 - 600).unwrap());
        assert_eq!(made.username, "1000000000:00000000-0000-4000-8000-000000000001.00000000-0000-4000-8000-000000000002");
        assert_eq!(made.expires_at.as_second(), 1_000_000_000);
        // printf %s NAME | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(made.password, "JImA3GBlEcNdqBhcUu2Jk/l/ckg=");
        assert_eq!(user_of(&made.username), Some((owner, device)));
    }

    #[test]
    fn the_secret_is_in_no_log() {
        let turn = turn(&["turn:turn.example.com"], Some("north")).unwrap().unwrap();
        assert!(!format!("{turn:?}").contains("north"));
        let made = turn.credentials(ids().0, ids().1, Timestamp::UNIX_EPOCH);
        assert!(!format!("{made:?}").contains(&made.password), "{made:?}");
    }

    #[test]
    fn addresses_of_turn_servers() {
        let good =
            ["turn:h", "turn:h:3478", "turns:h:443?transport=tcp", "turn:[2001:db8::1]", "turn:[2001:db8::1]:3478?transport=udp"];
        assert!(turn(&good, Some("s")).unwrap().is_some());
        for bad in ["h:3478", "stun:h", "turn:", "turn:h:0", "turn:h:x", "turn:h?transport=sctp", "turn:a b", "turn://h"] {
            assert!(turn(&[bad], Some("s")).is_err(), "{bad}");
        }
        assert!(turn(&[], Some("s")).is_err());
        assert!(turn(&["turn:h"], None).is_err());
        assert!(turn(&["turn:h"], Some("")).is_err(), "an empty variable is no secret");
        assert!(turn(&[], None).unwrap().is_none());
    }
}

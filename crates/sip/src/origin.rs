//! Where a call comes from and why it came here: Reason (RFC 3326), Diversion (RFC 5806), History-Info (RFC 7044), the
//! addresses of voicemail (RFC 4458), asserted identities (RFC 3325) and signed ones (RFC 8224).
//!
//! All of it is only read. Whether a peer may be believed is for the caller to know.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use thiserror::Error;

use crate::grammar::{self, without_quotes};
use crate::message::Headers;
use crate::params::Params;
use crate::uri::{NameAddr, Scheme, Uri};

/// The text says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed")]
pub struct InvalidOrigin;

/// One value of Reason (RFC 3326).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` or any other token, as it came.
    pub protocol: String,
    /// A status of SIP, or a cause of ISDN.
    pub cause: Option<u16>,
    /// For people.
    pub text: Option<String>,
}

impl Reason {
    /// A status of SIP.
    #[must_use]
    pub fn sip(cause: u16, text: &str) -> Self {
        Self { protocol: "SIP".to_owned(), cause: Some(cause), text: (!text.is_empty()).then(|| text.to_owned()) }
    }

    /// All that can be read.
    #[must_use]
    pub fn all(headers: &Headers) -> Vec<Self> {
        headers.list("Reason").into_iter().filter_map(|element| element.parse().ok()).collect()
    }

    /// The status of SIP among them, if any.
    #[must_use]
    pub fn sip_cause(headers: &Headers) -> Option<u16> {
        Self::all(headers).into_iter().find(|reason| reason.protocol.eq_ignore_ascii_case("SIP"))?.cause
    }
}

impl FromStr for Reason {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (protocol, params) = text.split_once(';').unwrap_or((text, ""));
        let protocol = protocol.trim();
        let params = Params::parse(params);
        let cause = params.get("cause").and_then(|cause| cause.trim().parse().ok());
        let text = params.get("text").filter(|text| !text.is_empty()).map(unescaped);
        if grammar::is_token(protocol) { Ok(Self { protocol: protocol.to_owned(), cause, text }) } else { Err(InvalidOrigin) }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        match &self.text {
            Some(text) => write!(f, ";text={}", grammar::quote(text)),
            None => Ok(()),
        }
    }
}

/// One diversion (RFC 5806 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// Who did not take the call, without the header's parameters.
    pub from: NameAddr,
    /// `no-answer`, `user-busy`, `unconditional`, `unavailable`, … in lower case; `unknown` if none is given.
    pub reason: String,
    /// How many diversions this element stands for; at least 1.
    pub counter: u32,
    /// `full`, `name`, `uri` or `off`.
    pub privacy: Option<String>,
}

impl Diversion {
    /// All that can be read, the latest first (RFC 5806 5.1).
    #[must_use]
    pub fn all(headers: &Headers) -> Vec<Self> {
        headers.addresses("Diversion").into_iter().map(Self::of).collect()
    }

    fn of(mut from: NameAddr) -> Self {
        let param = |name: &str| {
            from.params.get(name).filter(|value| !value.is_empty()).map(|value| unescaped(value).to_ascii_lowercase())
        };
        let reason = param("reason").unwrap_or_else(|| "unknown".to_owned());
        let counter = param("counter").and_then(|counter| counter.parse().ok()).unwrap_or(1).max(1);
        let privacy = param("privacy");
        from.params = Params::new();
        Self { from, reason, counter, privacy }
    }
}

impl fmt::Display for Diversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};reason={}", self.from, grammar::token_or_quoted(&self.reason))?;
        if self.counter > 1 {
            write!(f, ";counter={}", self.counter)?;
        }
        match &self.privacy {
            Some(privacy) => write!(f, ";privacy={}", grammar::token_or_quoted(privacy)),
            None => Ok(()),
        }
    }
}

/// One entry of History-Info (RFC 7044 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Who was targeted, without the headers in the URI and without the header's parameters.
    pub target: NameAddr,
    /// Its place in the tree, such as `[1, 1, 2]`; empty if none is given.
    pub index: Vec<u32>,
    /// Why it was given up: Reason in the URI, else `cause` of the URI (RFC 4458).
    pub reason: Option<Reason>,
    /// Whether its owner wants it hidden.
    pub is_private: bool,
    /// How the next target was found: `rc`, `mp` or `np`.
    pub hop: Option<String>,
}

impl HistoryEntry {
    /// All that can be read, in their order: the first target first.
    #[must_use]
    pub fn all(headers: &Headers) -> Vec<Self> {
        headers.addresses("History-Info").into_iter().map(Self::of).collect()
    }

    fn of(entry: NameAddr) -> Self {
        let fields = entry.uri.header_fields();
        let field =
            |name: &str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let of_cause = || entry.uri.param("cause").and_then(|cause| cause.parse().ok()).map(|cause| Reason::sip(cause, ""));
        let reason = field("Reason").and_then(|reason| reason.parse().ok()).or_else(of_cause);
        let is_private = field("Privacy").is_some_and(|privacy| !privacy.eq_ignore_ascii_case("none"));
        let index = entry.params.get("index").unwrap_or_default().split('.').map_while(|part| part.parse().ok()).collect();
        let hop = ["rc", "mp", "np"].into_iter().find(|name| entry.params.contains(name)).map(str::to_owned);
        let target = NameAddr { display: entry.display, uri: entry.uri.without_headers(), params: Params::new() };
        Self { target, index, reason, is_private, hop }
    }
}

/// A URI that means a mailbox (RFC 4458): `sip:voicemail@example.com;target=sip:bob%40example.com;cause=408`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoicemailTarget {
    /// Whose mailbox.
    pub target: Uri,
    /// Why the call comes there, as a status of SIP: 302 unconditional, 404 unknown, 408 no answer, 486 busy, 487 declined,
    /// 480 and 503 unreachable.
    pub cause: Option<u16>,
}

impl VoicemailTarget {
    /// Reads a Request-URI; `None` if it names no target.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let target = uri.param("target")?.parse().ok()?;
        Some(Self { target, cause: uri.param("cause").and_then(|cause| cause.parse().ok()) })
    }

    /// Writes it into the address of the voicemail.
    #[must_use]
    pub fn write(&self, voicemail: Uri) -> Uri {
        let uri = voicemail.with_param("target", Some(&self.target.to_string()));
        match self.cause {
            Some(cause) => uri.with_param("cause", Some(&cause.to_string())),
            None => uri,
        }
    }
}

/// The caller as a trusted network asserts it (RFC 3325): at most one address of `sip` or `sips` and one of `tel`.
#[must_use]
pub fn asserted(headers: &Headers) -> Vec<NameAddr> {
    let (mut has_sip, mut has_tel) = (false, false);
    let all = headers.addresses("P-Asserted-Identity").into_iter();
    all.filter(|addr| match addr.uri.scheme() {
        Scheme::Sip | Scheme::Sips => !std::mem::replace(&mut has_sip, true),
        Scheme::Tel => !std::mem::replace(&mut has_tel, true),
        Scheme::Other(_) => false,
    })
    .collect()
}

/// Whether the caller wants not to be named (RFC 3323 4.2, RFC 3325 9.3).
#[must_use]
pub fn wants_privacy(headers: &Headers) -> bool {
    let values = headers.all("Privacy").flat_map(|line| line.split([';', ',']));
    values.map(str::trim).any(|value| ["id", "user", "header"].iter().any(|private| value.eq_ignore_ascii_case(private)))
}

/// A signed identity (RFC 8224), read and kept; the signature is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIdentity {
    /// The header's value as it came, for whoever checks it or passes it on.
    pub raw: String,
    /// Where the certificate is.
    pub info: Option<String>,
    /// `shaken`, `div`, …
    pub extension: Option<String>,
    /// How well the provider knows the caller: `A`, `B` or `C` (RFC 8588).
    pub attestation: Option<String>,
    /// The number, else the URI, that is signed for.
    pub origin: Option<String>,
    /// When it was signed, in seconds since 1970.
    pub issued_at: Option<u64>,
}

impl SignedIdentity {
    /// All that can be read.
    #[must_use]
    pub fn all(headers: &Headers) -> Vec<Self> {
        headers.all("Identity").filter_map(|value| value.parse().ok()).collect()
    }
}

impl FromStr for SignedIdentity {
    type Err = InvalidOrigin;

    fn from_str(raw: &str) -> Result<Self, InvalidOrigin> {
        let (token, params) = raw.split_once(';').unwrap_or((raw, ""));
        let params = Params::parse(params);
        let (head, rest) = token.trim().split_once('.').ok_or(InvalidOrigin)?;
        let (claims, _) = rest.split_once('.').ok_or(InvalidOrigin)?;
        // The compact form leaves the parts out that can be told from the message (RFC 8224 7).
        let (head, claims) = (part(head)?, part(claims)?);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let info = params.get("info").map(|info| info.trim_start_matches('<').trim_end_matches('>').to_owned());
        Ok(Self {
            raw: raw.to_owned(),
            info: info.or_else(|| text(&head["x5u"])),
            extension: params.get("ppt").map(|ppt| without_quotes(ppt).to_owned()).or_else(|| text(&head["ppt"])),
            attestation: text(&claims["attest"]),
            origin: text(&claims["orig"]["tn"]).or_else(|| text(&claims["orig"]["uri"])),
            issued_at: claims["iat"].as_u64(),
        })
    }
}

fn part(encoded: &str) -> Result<Value, InvalidOrigin> {
    if encoded.is_empty() {
        return Ok(Value::Null);
    }
    let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| InvalidOrigin)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidOrigin)
}

/// The content of a quoted string whose quotes are gone.
fn unescaped(text: &str) -> String {
    let closed = format!("{text}\"");
    grammar::quoted_string(&closed).map_or_else(|| text.to_owned(), |(content, _)| content)
}

//! What REFER and Replaces say (RFC 3515, RFC 3891), and the fragments that report on a transfer (RFC 3420).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::grammar;
use crate::message::{Headers, reason_phrase};
use crate::method::Method;
use crate::params::Params;
use crate::uri::{NameAddr, Uri};

/// The media type of the fragments.
pub(crate) const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// Which dialog a new call takes the place of (RFC 3891), as the one sees it who gets the INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID of the dialog.
    pub call_id: String,
    /// The tag of whoever gets the INVITE.
    pub to_tag: String,
    /// The tag of the other one.
    pub from_tag: String,
    /// Only if nobody has answered yet.
    pub early_only: bool,
}

/// The text says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRefer {
    /// Replaces lacks the Call-ID or a tag.
    #[error("replaces lacks a call-id or a tag")]
    Replaces,
    /// Refer-To is missing, stands there twice, or is no address.
    #[error("refer-to is missing or malformed")]
    ReferTo,
}

impl FromStr for Replaces {
    type Err = InvalidRefer;

    fn from_str(text: &str) -> Result<Self, InvalidRefer> {
        let (call_id, params) = text.split_once(';').ok_or(InvalidRefer::Replaces)?;
        let params = Params::parse(params);
        let word = |text: &str| Some(text.to_owned()).filter(|text| is_word(text)).ok_or(InvalidRefer::Replaces);
        let tag = |name: &str| word(params.get(name).unwrap_or_default());
        let early_only = params.contains("early-only");
        Ok(Self { call_id: word(call_id.trim())?, to_tag: tag("to-tag")?, from_tag: tag("from-tag")?, early_only })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call_id, to_tag, from_tag, early_only } = self;
        let text = format!("{call_id};to-tag={to_tag};from-tag={from_tag}{}", if *early_only { ";early-only" } else { "" });
        f.write_str(&grammar::one_line(&text))
    }
}

/// Whom a REFER sends its recipient to: Refer-To (RFC 3515 2.1), taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferTo {
    /// The name, if one is given.
    pub display: Option<String>,
    /// Whom, without method and headers.
    pub uri: Uri,
    /// What to send there; INVITE unless the URI says otherwise.
    pub method: Method,
    /// The dialog that the new call takes the place of: an attended transfer.
    pub replaces: Option<Replaces>,
    /// Further headers that the URI asks for. Take from them only what you know (RFC 3261 19.1.5).
    pub headers: Headers,
}

impl ReferTo {
    /// A blind transfer.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, method: Method::Invite, replaces: None, headers: Headers::new() }
    }

    /// An attended transfer: whoever follows it takes the place of a dialog.
    #[must_use]
    pub fn with_replaces(mut self, replaces: Replaces) -> Self {
        self.replaces = Some(replaces);
        self
    }

    /// Reads the one Refer-To of a REFER.
    pub fn of(headers: &Headers) -> Result<Self, InvalidRefer> {
        if headers.count("Refer-To") != 1 {
            return Err(InvalidRefer::ReferTo);
        }
        headers.get("Refer-To").unwrap_or_default().parse()
    }
}

impl FromStr for ReferTo {
    type Err = InvalidRefer;

    fn from_str(text: &str) -> Result<Self, InvalidRefer> {
        // Some leave the brackets out, where everything belongs to the URI.
        let addr = if text.contains('<') { text.parse() } else { text.trim().parse().map(NameAddr::new) };
        let addr = addr.map_err(|_| InvalidRefer::ReferTo)?;
        let method = addr.uri.param("method").map_or(Method::Invite, |name| Method::from(name.as_str()));
        let mut headers = Headers::new();
        for (name, value) in addr.uri.header_fields() {
            headers.push(&name, value);
        }
        let replaces = headers.get("Replaces").map(Replaces::from_str).transpose()?;
        headers.remove("Replaces");
        let uri = addr.uri.without_headers().without_param("method");
        Ok(Self { display: addr.display, uri, method, replaces, headers })
    }
}

impl fmt::Display for ReferTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uri = self.uri.clone();
        if self.method != Method::Invite {
            uri = uri.with_param("method", Some(self.method.as_str()));
        }
        if let Some(replaces) = &self.replaces {
            uri = uri.with_header("Replaces", &replaces.to_string());
        }
        for header in self.headers.iter() {
            uri = uri.with_header(&header.name, &header.value);
        }
        write!(f, "{}", NameAddr::new(uri).with_display(self.display.as_deref().unwrap_or_default()))
    }
}

/// A REFER that we send in a session.
#[derive(Debug, Clone)]
pub struct Refer {
    /// Whom the peer is to call.
    pub to: ReferTo,
    /// Who asks for it (RFC 3892); `None`: our address in the session.
    pub referred_by: Option<NameAddr>,
    /// Further headers.
    pub headers: Headers,
}

impl Refer {
    /// A REFER in our own name.
    #[must_use]
    pub fn new(to: ReferTo) -> Self {
        Self { to, referred_by: None, headers: Headers::new() }
    }
}

/// Call-IDs and tags are more than tokens in practice, but nothing that ends them may stand in them.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ';' | ',' | '"'))
}

/// The body that tells a status.
pub(crate) fn fragment(status: u16) -> Vec<u8> {
    format!("SIP/2.0 {status:03} {}\r\n", reason_phrase(status)).into_bytes()
}

/// The status that a body tells.
pub(crate) fn fragment_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    let mut words = std::str::from_utf8(line.get(..11)?).ok()?.split_ascii_whitespace();
    let is_sip = words.next()?.eq_ignore_ascii_case("SIP/2.0");
    words.next()?.parse().ok().filter(|status| is_sip && (100..700).contains(status))
}

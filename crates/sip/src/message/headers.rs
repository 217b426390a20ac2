use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::grammar;
use crate::message::Via;
use crate::method::Method;
use crate::uri::NameAddr;

/// One header line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name: the long form in its usual spelling if it is known, else as it came.
    pub name: Cow<'static, str>,
    /// The value, unfolded and trimmed, in one line.
    pub value: String,
}

/// The headers of a message in their order. Names are compared without regard to case, compact forms
/// (RFC 3261 7.3.3) are their long ones. Values are raw text; the typed accessors read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

/// A header is missing or unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidHeader {
    /// It is not there.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// It is there but says nothing that can be understood.
    #[error("header {0} is malformed")]
    Malformed(&'static str),
}

/// Number and method of a request (RFC 3261 20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// The same as in the request line.
    pub method: Method,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same with one more header at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.push(name, value);
        self
    }

    /// Appends a header. Line breaks in the value become blanks.
    pub fn push(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(header(name, &value.to_string()));
    }

    /// Puts a header before all others.
    pub fn push_front(&mut self, name: &str, value: impl fmt::Display) {
        self.0.insert(0, header(name, &value.to_string()));
    }

    /// Makes this the only header of that name, in the place of the first one.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        let new = header(name, &value.to_string());
        match self.0.iter().position(|known| same_name(&known.name, name)) {
            Some(at) => {
                self.0[at] = new;
                let mut index = 0;
                self.0.retain(|known| {
                    index += 1;
                    index <= at + 1 || !same_name(&known.name, name)
                });
            }
            None => self.0.push(new),
        }
    }

    /// Takes all headers of that name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|known| !same_name(&known.name, name));
    }

    /// Appends all headers of `other`.
    pub fn extend(&mut self, other: Headers) {
        self.0.extend(other.0);
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|known| same_name(&known.name, name)).map(|known| known.value.as_str())
    }

    /// Every header line of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |known| same_name(&known.name, name)).map(|known| known.value.as_str())
    }

    /// Every element of that name, over all lines and all commas in them; not for authentication headers.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let elements = self.all_lines(name).into_iter().flat_map(|line| grammar::split_top_level(line, b','));
        elements.map(str::trim).filter(|element| !element.is_empty()).collect()
    }

    /// Whether there is a header of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a list such as Supported, Allow or Require names `token`.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).into_iter().any(|element| element.eq_ignore_ascii_case(token))
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr, InvalidHeader> {
        self.parsed("From")
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr, InvalidHeader> {
        self.parsed("To")
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<&str, InvalidHeader> {
        let value = self.get("Call-ID").ok_or(InvalidHeader::Missing("Call-ID"))?;
        if value.is_empty() { Err(InvalidHeader::Malformed("Call-ID")) } else { Ok(value) }
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, InvalidHeader> {
        self.parsed("CSeq")
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via, InvalidHeader> {
        let line = self.get("Via").ok_or(InvalidHeader::Missing("Via"))?;
        let first = grammar::split_outside_quotes(line, b',').into_iter().next().unwrap_or_default();
        first.parse().map_err(|_| InvalidHeader::Malformed("Via"))
    }

    /// Writes the topmost Via anew, leaving those after it on the same line.
    pub(crate) fn replace_top_via(&mut self, via: &Via) {
        let Some(line) = self.0.iter_mut().find(|known| known.name == "Via") else { return };
        let mut elements = grammar::split_outside_quotes(&line.value, b',');
        let first = via.to_string();
        elements[0] = &first;
        line.value = elements.join(",");
    }

    /// The Contacts that can be read; `*` is none of them (see [`Headers::is_contact_star`]).
    #[must_use]
    pub fn contacts(&self) -> Vec<NameAddr> {
        self.addresses("Contact")
    }

    /// The first Contact.
    #[must_use]
    pub fn contact(&self) -> Option<NameAddr> {
        self.contacts().into_iter().next()
    }

    /// Whether Contact is `*` (RFC 3261 10.2.2: all bindings).
    #[must_use]
    pub fn is_contact_star(&self) -> bool {
        self.get("Contact") == Some("*")
    }

    /// The readable addresses of a list header such as Contact, Route or Diversion.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<NameAddr> {
        self.list(name).into_iter().filter_map(|element| element.parse().ok()).collect()
    }

    /// Expires in seconds. A value that can't be read counts as 3600 (RFC 3261 20.19), one that is too large as the largest.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.get("Expires").map(|text| text.parse::<u64>().map_or(3600, |n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// Max-Forwards.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.get("Max-Forwards")?.parse().ok()
    }

    /// The media type of the body without parameters, in lower case.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let value = self.get("Content-Type")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The event package of SUBSCRIBE and NOTIFY without parameters, in lower case.
    #[must_use]
    pub fn event(&self) -> Option<String> {
        let value = self.get("Event")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.all_lines(name).len()
    }

    fn all_lines(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|known| same_name(&known.name, name)).map(|known| known.value.as_str()).collect()
    }

    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, InvalidHeader> {
        let value = self.get(name).ok_or(InvalidHeader::Missing(name))?;
        value.parse().map_err(|_| InvalidHeader::Malformed(name))
    }
}

impl FromStr for CSeq {
    type Err = InvalidHeader;

    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        let malformed = InvalidHeader::Malformed("CSeq");
        let (number, method) = text.trim().split_once([' ', '\t']).ok_or(malformed.clone())?;
        let method = method.trim();
        let number: u32 = number.parse().map_err(|_| malformed.clone())?;
        // RFC 3261 8.1.1.5: less than 2^31.
        if number >= 1 << 31 || !grammar::is_token(method) { Err(malformed) } else { Ok(Self { number, method: method.into() }) }
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

fn header(name: &str, value: &str) -> Header {
    let value = if value.contains(['\r', '\n', '\0']) { Cow::Owned(grammar::one_line(value)) } else { Cow::Borrowed(value) };
    Header { name: canonical_name(name), value: value.trim().to_owned() }
}

fn same_name(known: &str, name: &str) -> bool {
    known.eq_ignore_ascii_case(name) || name.len() == 1 && canonical_name(name).eq_ignore_ascii_case(known)
}

/// The long form in its usual spelling; names that are not known stay as they are.
fn canonical_name(name: &str) -> Cow<'static, str> {
    let name = name.trim();
    if name.len() == 1
        && let Some((_, long)) = COMPACT.iter().find(|(compact, _)| name.eq_ignore_ascii_case(compact))
    {
        return Cow::Borrowed(long);
    }
    match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(grammar::one_line(name)),
    }
}

/// The compact forms that IANA lists.
const COMPACT: [(&str, &str); 19] = [
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("n", "Identity-Info"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
];

const KNOWN: [&str; 54] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Content-Type",
    "Content-Length",
    "Route",
    "Record-Route",
    "Allow",
    "Supported",
    "Require",
    "Unsupported",
    "Proxy-Require",
    "User-Agent",
    "Server",
    "Expires",
    "Min-Expires",
    "Session-Expires",
    "Min-SE",
    "Event",
    "Allow-Events",
    "Subscription-State",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Accept",
    "Accept-Contact",
    "Reason",
    "Retry-After",
    "Diversion",
    "History-Info",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "P-Asserted-Identity",
    "Privacy",
    "Path",
    "Service-Route",
    "Content-Encoding",
    "Subject",
    "Identity-Info",
    "Reject-Contact",
    "Request-Disposition",
    "Identity",
    "RAck",
    "RSeq",
    "Refer-Sub",
    "Warning",
    "Remote-Party-ID",
];

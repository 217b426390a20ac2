use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::grammar::{self, percent_decode, percent_encode};
use crate::params::Params;

/// The scheme of a URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `sip`
    Sip,
    /// `sips`
    Sips,
    /// `tel` (RFC 3966)
    Tel,
    /// Any other, in lower case.
    Other(String),
}

impl Scheme {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(name) => name,
        }
    }
}

/// A URI. Of `sip` and `sips` the parts are known; of any other scheme the part up to the first
/// semicolon stands as the user, and there is no host.
///
/// Written as it was read, so that an address can be compared byte for byte; escapes are decoded by the accessors.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri {
    scheme: Scheme,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    params: Params,
    headers: Option<String>,
}

/// The text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidUri {
    /// There is no scheme before a colon.
    #[error("a uri needs a scheme")]
    Scheme,
    /// The host is missing or has characters no host has.
    #[error("the host is missing or malformed")]
    Host,
    /// The port is no number below 65536.
    #[error("the port is malformed")]
    Port,
    /// Blanks, control characters or brackets where none may stand.
    #[error("a character that no uri has")]
    Character,
}

impl Uri {
    /// `sip:user@host`, or `sip:host` for an empty user; the user is escaped as needed.
    ///
    /// `host` may be a name, an IPv4 address or an IPv6 address with or without brackets.
    #[must_use]
    pub fn sip(user: &str, host: &str) -> Self {
        let user = (!user.is_empty()).then(|| percent_encode(user, b"&=+$,;?/"));
        Self { scheme: Scheme::Sip, user, host: bracketed(host), port: None, params: Params::new(), headers: None }
    }

    /// The same with a port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The same with a parameter; the value is escaped as needed (RFC 3261 25.1 `uri-parameter`).
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value.map(|value| percent_encode(value, b"[]/:&+$")).as_deref());
        self
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether it is a `sip` or `sips` URI.
    #[must_use]
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user without a password, decoded; for `tel` the number.
    #[must_use]
    pub fn user(&self) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref()?;
        let user = if self.is_sip() { user.split_once(':').map_or(user, |(user, _)| user) } else { user };
        Some(if user.contains('%') { Cow::Owned(percent_decode(user)) } else { Cow::Borrowed(user) })
    }

    /// The host as it was written; an IPv6 address in brackets. Empty for other schemes than sip and sips.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host if it is an IP address.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        parse_ip(&self.host)
    }

    /// The port, if one is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port as an address, if the host is an IP address; `default_port` if none is written.
    #[must_use]
    pub fn socket_addr(&self, default_port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host_ip()?, self.port.unwrap_or(default_port)))
    }

    /// The URI's parameters, raw.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// One parameter, decoded; `Some("")` if it has no value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        self.params.get(name).map(percent_decode)
    }

    /// The part after `?`, raw.
    #[must_use]
    pub fn headers(&self) -> Option<&str> {
        self.headers.as_deref()
    }

    /// Name and value of each header after `?`, decoded (RFC 3261 19.1.1).
    #[must_use]
    pub fn header_fields(&self) -> Vec<(String, String)> {
        let pairs = self.headers.as_deref().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (percent_decode(name), percent_decode(value)))
            .filter(|(name, _)| grammar::is_token(name))
            .collect()
    }

    /// The same with one more header after `?`, escaped.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let pair = format!("{}={}", percent_encode(name, b""), percent_encode(value, b""));
        self.headers = Some(self.headers.map_or_else(|| pair.clone(), |headers| format!("{headers}&{pair}")));
        self
    }

    /// The same without the part after `?`.
    #[must_use]
    pub fn without_headers(self) -> Self {
        Self { headers: None, ..self }
    }

    /// The same as a `sips` URI. A transport that TLS runs over goes without saying (RFC 5630 3.1.4); other schemes stay.
    #[must_use]
    pub fn secured(mut self) -> Self {
        if self.scheme == Scheme::Sip {
            self.scheme = Scheme::Sips;
            if self.param("transport").is_some_and(|name| ["tcp", "tls"].iter().any(|known| name.eq_ignore_ascii_case(known))) {
                self.params.remove("transport");
            }
        }
        self
    }

    /// The same without a parameter.
    #[must_use]
    pub fn without_param(mut self, name: &str) -> Self {
        self.params.remove(name);
        self
    }

    /// The same without parameters and headers, as for an address of record.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self { params: Params::new(), headers: None, ..self.clone() }
    }

    /// Whether both mean the same resource: RFC 3261 19.1.4, of which the parameters compared are
    /// `user`, `ttl`, `method`, `maddr` and `transport`.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let same_param = |name: &str| match (self.param(name), other.param(name)) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.scheme == other.scheme
            && self.user.as_deref().map(percent_decode) == other.user.as_deref().map(percent_decode)
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && ["user", "ttl", "method", "maddr", "transport"].into_iter().all(same_param)
    }

    fn parse_sip(scheme: Scheme, rest: &str) -> Result<Self, InvalidUri> {
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = parse_host_port(host_port)?;
        Ok(Self { scheme, user, host: host.to_owned(), port, params: Params::parse(params), headers })
    }
}

impl FromStr for Uri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        if text.chars().any(|c| c.is_ascii_control() || matches!(c, ' ' | '<' | '>' | '"')) {
            return Err(InvalidUri::Character);
        }
        let (scheme, rest) = text.split_once(':').ok_or(InvalidUri::Scheme)?;
        let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !valid {
            return Err(InvalidUri::Scheme);
        }
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "sip" => return Self::parse_sip(Scheme::Sip, rest),
            "sips" => return Self::parse_sip(Scheme::Sips, rest),
            "tel" => Scheme::Tel,
            other => Scheme::Other(other.to_owned()),
        };
        let (user, params) = rest.split_once(';').unwrap_or((rest, ""));
        let params = Params::parse(params);
        Ok(Self { scheme, user: Some(user.to_owned()), host: String::new(), port: None, params, headers: None })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match (&self.user, self.is_sip()) {
            (Some(user), true) => write!(f, "{user}@")?,
            (Some(user), false) => f.write_str(user)?,
            (None, _) => {}
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({self})")
    }
}

/// `host[:port]`; an IPv6 address stands in brackets.
pub(crate) fn parse_host_port(text: &str) -> Result<(&str, Option<u16>), InvalidUri> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').ok_or(InvalidUri::Host)?;
            let after = &rest[end + 1..];
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(InvalidUri::Host)?) };
            (&text[..end + 2], port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !(host.starts_with('[') && parse_ip(host).is_some() || is_name) {
        return Err(InvalidUri::Host);
    }
    let port = port.map(|port| parse_port(port).ok_or(InvalidUri::Port)).transpose()?;
    Ok((host, port))
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// An IP address, IPv6 with or without brackets. A zone (RFC 6874: `%25eth0`, often written `%eth0`) means something to its
/// sender alone and is left out.
pub(crate) fn parse_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => parse_zoned(rest.strip_suffix(']')?).map(IpAddr::V6),
        None => host.parse().ok().or_else(|| parse_zoned(host).map(IpAddr::V6)),
    }
}

fn parse_zoned(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let is_zone =
        |zone: &str| !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
    address.parse().ok().filter(|_| zone.is_none_or(is_zone))
}

fn bracketed(host: &str) -> String {
    let host = grammar::one_line(host);
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host }
}

/// A name and an address, as in From, To, Contact, Route: `"Display" <sip:user@host>;tag=x`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameAddr {
    /// The display name, unescaped; `None` if there is none.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header's parameters (not the URI's).
    pub params: Params,
}

impl NameAddr {
    /// An address without name and parameters.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::new() }
    }

    /// The same with a display name; an empty one is none.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> Self {
        self.display = (!display.is_empty()).then(|| display.to_owned());
        self
    }

    /// The same with a header parameter.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value);
        self
    }

    /// The tag of From and To.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// A Contact's `expires` in seconds.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.params.get("expires").map(|text| text.parse().unwrap_or(3600))
    }

    /// A Contact's `q` in thousandths.
    #[must_use]
    pub fn q(&self) -> Option<u16> {
        let text = self.params.get("q")?;
        let value: f32 = text.parse().ok()?;
        // Rounded and within 0..=1000, so the conversion keeps the value.
        (0.0..=1.0).contains(&value).then(|| (value * 1000.0).round() as u16)
    }
}

impl From<Uri> for NameAddr {
    fn from(uri: Uri) -> Self {
        Self::new(uri)
    }
}

impl FromStr for NameAddr {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('"') {
            let (display, rest) = grammar::quoted_string(rest).ok_or(InvalidUri::Character)?;
            let rest = rest.trim_start().strip_prefix('<').ok_or(InvalidUri::Character)?;
            return parse_angle(Some(display), rest);
        }
        if let Some((display, rest)) = text.split_once('<') {
            return parse_angle(Some(display.trim().to_owned()), rest);
        }
        // Without brackets all parameters are the header's (RFC 3261 20.10).
        let (uri, params) = text.split_once(';').unwrap_or((text, ""));
        if uri.contains('?') {
            return Err(InvalidUri::Character);
        }
        Ok(Self { display: None, uri: uri.trim_end().parse()?, params: Params::parse(params) })
    }
}

fn parse_angle(display: Option<String>, rest: &str) -> Result<NameAddr, InvalidUri> {
    let (uri, params) = rest.split_once('>').ok_or(InvalidUri::Character)?;
    let display = display.filter(|name| !name.is_empty());
    Ok(NameAddr { display, uri: uri.trim().parse()?, params: Params::parse(params) })
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", grammar::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

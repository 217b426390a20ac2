use std::{fmt, str::FromStr};

use aftertone_model::Caller;
use aftertone_sip::Uri;

/// Somebody who can be called: what a person typed, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An extension, a telephone number or a user name: in the own domain.
    Local(String),
    /// A whole SIP address.
    Address(Uri),
}

/// A text that nobody can be called by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a number or address that can be called")]
pub struct InvalidTarget;

impl Target {
    /// The address to call, in the account's `domain`.
    #[must_use]
    pub fn uri(&self, domain: &str) -> Uri {
        match self {
            Self::Local(user) => Uri::sip(user, domain),
            Self::Address(uri) => uri.clone(),
        }
    }

    /// The other party as it is shown until more is known.
    #[must_use]
    pub fn party(&self, domain: &str) -> Caller {
        match self {
            Self::Local(user) => Caller { number: user.clone(), name: None },
            Self::Address(uri) => Caller { number: number(uri, domain), name: None },
        }
    }
}

/// An address as people see it: without the own domain, never with a scheme, empty where it is withheld (RFC 3323
/// section 4.1.1.3).
pub(crate) fn number(uri: &Uri, domain: &str) -> String {
    let host = uri.host();
    let user = uri.user().unwrap_or_default();
    if user.eq_ignore_ascii_case("anonymous") || host.eq_ignore_ascii_case("anonymous.invalid") {
        String::new()
    } else if host.eq_ignore_ascii_case(domain) || user.is_empty() {
        if user.is_empty() { host.to_owned() } else { user.into_owned() }
    } else {
        format!("{user}@{host}")
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            return Err(InvalidTarget);
        }
        if let Some(digits) = telephone_number(text.strip_prefix("tel:").unwrap_or(text)) {
            return Ok(Self::Local(digits));
        }
        let has_scheme =
            ["sip:", "sips:"].iter().any(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)));
        if has_scheme || text.contains('@') {
            let text = if has_scheme { text.to_owned() } else { format!("sip:{text}") };
            let uri: Uri = text.parse().map_err(|_| InvalidTarget)?;
            return if uri.is_sip() && uri.headers().is_none() { Ok(Self::Address(uri)) } else { Err(InvalidTarget) };
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.chars().all(allowed) { Ok(Self::Local(text.to_ascii_lowercase())) } else { Err(InvalidTarget) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(user) => f.write_str(user),
            Self::Address(uri) => uri.fmt(f),
        }
    }
}

/// Digits (with a leading plus, `*` and `#`), or `None` where the text is no telephone number. What people write
/// between the digits is dropped (RFC 3966 section 5.1.1).
fn telephone_number(text: &str) -> Option<String> {
    let mut number = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | '*' | '#' => number.push(c),
            '+' if number.is_empty() => number.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => return None,
        }
    }
    number.chars().any(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let check = |text: &str, expected: Option<&str>| {
            let uri = text.parse::<Target>().ok().map(|target| target.uri("example.com").to_string());
            assert_eq!(uri.as_deref(), expected, "{text:?}");
        };
        check("1001", Some("sip:1001@example.com"));
        check(" Bob ", Some("sip:bob@example.com"));
        check("+49 (30) 90/18-20", Some("sip:+4930901820@example.com"));
        check("tel:+49-30-901820", Some("sip:+4930901820@example.com"));
        check("bob@elsewhere.example", Some("sip:bob@elsewhere.example"));
        check("sip:bob@elsewhere.example", Some("sip:bob@elsewhere.example"));
        check("SIP:bob@elsewhere.example", Some("sip:bob@elsewhere.example"));
        check("", None);
        check("+", None);
        check("bob smith", None);
        check("1001\r\nX: y", None);
        check("sip:bob@x?Replaces=1", None);
        check("http://example.com", None);
    }

    #[test]
    fn a_withheld_number_is_empty() {
        let check = |uri: &str, expected: &str| {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(number(&uri, "example.com"), expected);
        };
        check("sip:1001@example.com", "1001");
        check("sip:bob@other.example", "bob@other.example");
        check("sip:anonymous@anonymous.invalid", "");
    }
}

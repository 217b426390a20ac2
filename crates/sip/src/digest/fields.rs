use std::fmt;

use super::Algorithm;
use crate::grammar;

/// One challenge of WWW-Authenticate or Proxy-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The realm, unescaped.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be given back.
    pub opaque: Option<String>,
    /// The hash.
    pub algorithm: Algorithm,
    /// Whether the algorithm's name ended in `-sess`.
    pub session: bool,
    /// Whether only the nonce was too old.
    pub stale: bool,
    /// `auth`, `auth-int` and whatever else is offered, in lower case.
    pub qop: Vec<String>,
}

impl Challenge {
    /// All digest challenges of a header line that can be answered; others, such as Basic or an unknown hash, are left out.
    #[must_use]
    pub fn parse_all(value: &str) -> Vec<Self> {
        schemes(value)
            .into_iter()
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Digest"))
            .filter_map(|(_, f)| from_fields(&f))
            .collect()
    }
}

fn from_fields(fields: &Fields) -> Option<Challenge> {
    let (algorithm, session) = fields.algorithm()?;
    let qop = fields.get("qop").unwrap_or_default();
    Some(Challenge {
        realm: fields.get("realm")?.to_owned(),
        nonce: fields.get("nonce")?.to_owned(),
        opaque: fields.get("opaque").map(str::to_owned),
        algorithm,
        session,
        stale: fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        qop: qop.split(',').map(|one| one.trim().to_ascii_lowercase()).filter(|one| !one.is_empty()).collect(),
    })
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", grammar::quote(&self.realm), grammar::quote(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", grammar::quote(opaque))?;
        }
        write!(f, ", algorithm={}{}", self.algorithm, if self.session { "-sess" } else { "" })?;
        if self.stale {
            f.write_str(", stale=true")?;
        }
        if self.qop.is_empty() { Ok(()) } else { write!(f, ", qop=\"{}\"", self.qop.join(",")) }
    }
}

/// The value of Authorization or Proxy-Authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Who.
    pub username: String,
    /// Where.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// The `uri` that the client hashed.
    pub uri: String,
    /// The proof, in hexadecimal.
    pub response: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// Whether the algorithm's name ended in `-sess`.
    pub session: bool,
    /// The client's nonce.
    pub cnonce: String,
    /// Given back from the challenge.
    pub opaque: Option<String>,
    /// `auth` or `auth-int`.
    pub qop: Option<String>,
    /// How often the nonce has been used.
    pub nc: Option<u32>,
}

impl Authorization {
    /// Reads a header's value; `None` if it is not digest, or lacks a part.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (_, fields) = schemes(value).into_iter().find(|(scheme, _)| scheme.eq_ignore_ascii_case("Digest"))?;
        let (algorithm, session) = fields.algorithm()?;
        let owned = |name: &str| fields.get(name).map(str::to_owned);
        Some(Self {
            username: owned("username")?,
            realm: owned("realm")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            response: owned("response")?,
            algorithm,
            session,
            cnonce: owned("cnonce").unwrap_or_default(),
            opaque: owned("opaque"),
            qop: owned("qop").map(|qop| qop.to_ascii_lowercase()),
            nc: fields.get("nc").and_then(|nc| u32::from_str_radix(nc, 16).ok()),
        })
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = grammar::quote;
        write!(f, "Digest username={}, realm={}", quote(&self.username), quote(&self.realm))?;
        write!(f, ", nonce={}, uri={}, response=\"{}\"", quote(&self.nonce), quote(&self.uri), self.response)?;
        write!(f, ", algorithm={}{}", self.algorithm, if self.session { "-sess" } else { "" })?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        if self.qop.is_some() || self.session {
            write!(f, ", cnonce={}", quote(&self.cnonce))?;
        }
        match (&self.qop, self.nc) {
            (Some(qop), Some(nc)) => write!(f, ", qop={qop}, nc={nc:08x}"),
            (Some(qop), None) => write!(f, ", qop={qop}"),
            (None, _) => Ok(()),
        }
    }
}

/// Names and values of one challenge or authorisation.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// No algorithm means MD5 (RFC 7616 3.3).
    fn algorithm(&self) -> Option<(Algorithm, bool)> {
        let name = self.get("algorithm").unwrap_or("MD5");
        match name.len().checked_sub(5).and_then(|at| name.split_at_checked(at)) {
            Some((base, tail)) if tail.eq_ignore_ascii_case("-sess") => Some((Algorithm::from_name(base)?, true)),
            Some(_) | None => Some((Algorithm::from_name(name)?, false)),
        }
    }
}

/// Cuts `Digest a="b", c=d, Basic realm="x"` into its schemes. A scheme is a token with a blank and a field after it.
fn schemes(value: &str) -> Vec<(String, Fields)> {
    let mut found: Vec<(String, Fields)> = Vec::new();
    for part in grammar::split_outside_quotes(value, b',') {
        let part = part.trim();
        let (before, text) = part.split_once('=').unwrap_or((part, ""));
        let name = match before.trim().split_once([' ', '\t']) {
            Some((scheme, name)) => {
                found.push((scheme.to_owned(), Fields(Vec::new())));
                name.trim()
            }
            None => before.trim(),
        };
        let Some((_, fields)) = found.last_mut() else { continue };
        if !name.is_empty() {
            fields.0.push((name.to_owned(), unquoted(text.trim())));
        }
    }
    found
}

fn unquoted(text: &str) -> String {
    let quoted = text.strip_prefix('"').and_then(grammar::quoted_string);
    quoted.map_or_else(|| text.to_owned(), |(content, _)| content)
}

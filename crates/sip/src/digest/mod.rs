//! Digest authentication (RFC 7616, RFC 8760, RFC 3261 22): what a client answers and what a server checks.
//!
//! The client side runs inside [`UserAgent`](crate::UserAgent) when [`Credentials`] are given. The server side is
//! [`Verifier`], which the caller asks; passwords and HA1s stay with the caller.

mod client;
mod fields;
mod server;

pub(crate) use client::{Authorizer, Challenged};
pub use fields::{Authorization, Challenge};
pub use server::{Verdict, Verifier};

use std::collections::BTreeMap;
use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A hash of RFC 8760.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// For peers that know nothing else.
    Md5,
    /// The one to use.
    Sha256,
    /// Rare.
    Sha512_256,
}

impl Algorithm {
    /// The name in a challenge.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads a name without `-sess`, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256, Self::Sha512_256].into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// The hash in lower-case hexadecimal.
    #[must_use]
    pub fn hash(self, data: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(data)),
            Self::Sha256 => hex(&Sha256::digest(data)),
            Self::Sha512_256 => hex(&Sha512_256::digest(data)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `H(username:realm:password)` in lower-case hexadecimal: all that a server has to keep of a password (RFC 7616 3.4.2).
#[must_use]
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    algorithm.hash(format!("{username}:{realm}:{password}").as_bytes())
}

/// What a client proves itself with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name for authentication, often the user part of the address.
    pub username: String,
    /// The secret.
    pub secret: Secret,
}

/// A password, or what can be used in its place for one realm.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Password(String),
    /// The HA1 for each algorithm; challenges with other algorithms can't be answered.
    Ha1(BTreeMap<Algorithm, String>),
}

impl Credentials {
    /// Credentials with a password.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), secret: Secret::Password(password.into()) }
    }

    fn ha1(&self, algorithm: Algorithm, realm: &str) -> Option<String> {
        match &self.secret {
            Secret::Password(password) => Some(ha1(algorithm, &self.username, realm, password)),
            Secret::Ha1(known) => known.get(&algorithm).cloned(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The parts of RFC 7616 3.4.1 that client and server put together alike.
struct ResponseInput<'a> {
    algorithm: Algorithm,
    session: bool,
    ha1: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    /// As eight hexadecimal digits.
    nc: &'a str,
    qop: Option<&'a str>,
    method: &'a str,
    uri: &'a str,
    body: &'a [u8],
}

impl ResponseInput<'_> {
    fn response(&self) -> String {
        let Self { nonce, cnonce, nc, method, uri, .. } = self;
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let ha1 = if self.session { hash(format!("{}:{nonce}:{cnonce}", self.ha1)) } else { self.ha1.to_owned() };
        let ha2 = match self.qop {
            Some("auth-int") => hash(format!("{method}:{uri}:{}", self.algorithm.hash(self.body))),
            Some(_) | None => hash(format!("{method}:{uri}")),
        };
        match self.qop {
            Some(qop) => hash(format!("{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}")),
            None => hash(format!("{ha1}:{nonce}:{ha2}")),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

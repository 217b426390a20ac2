use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A way to the telephone network, or to another exchange: an account at a provider that we register for, or a peer at an
/// address. Its password is not in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trunk {
    /// What it is called here: `a-z`, digits, `-` and `_`.
    pub name: String,
    /// Where it is: `HOST`, `HOST:PORT`, or a URI such as `sip:HOST;transport=tls`.
    pub server: String,
    /// The domain in our addresses there; without one the server's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Our name there; a peer by address may have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The name for digest, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_user: Option<String>,
    /// Whether we register there; else it is a peer by address.
    #[serde(default)]
    pub register: bool,
    /// The trunk with the smallest number is tried first.
    #[serde(default)]
    pub order: u16,
    /// Numbers of the outside (E.164) and the user names of the people who have them: where calls go, and what callers show.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, String>,
    /// The user name of who gets calls to any other number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_to: Option<String>,
    /// What people without a number of their own show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_number: Option<String>,
    /// How it wants numbers.
    #[serde(default)]
    pub format: NumberFormat,
    /// Whether the caller's number travels in `P-Asserted-Identity` (RFC 3325), while `From` is our account.
    #[serde(default)]
    pub asserted_identity: bool,
    /// Further addresses or networks that its calls come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// How long a registration shall hold, in seconds.
    #[serde(default = "registration_seconds")]
    pub expires: u32,
    /// Whether it is told of waiting messages without having asked (RFC 3842 section 4.1).
    #[serde(default)]
    pub lamps: bool,
    /// Over TLS: the SHA-256 of its certificate, where no authority vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// How long a registration is asked for.
fn registration_seconds() -> u32 {
    600
}

impl Trunk {
    /// A peer by address with everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            server: server.into(),
            domain: None,
            user: String::new(),
            auth_user: None,
            register: false,
            order: 0,
            numbers: BTreeMap::new(),
            default_to: None,
            caller_number: None,
            format: NumberFormat::E164,
            asserted_identity: false,
            peers: Vec::new(),
            expires: registration_seconds(),
            lamps: false,
            fingerprint: None,
        }
    }
}

/// How a trunk wants the numbers that are dialled over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFormat {
    /// `+4930123456`.
    #[default]
    E164,
    /// `4930123456`.
    Digits,
    /// `030123456` inside the country, `0043123456` to others.
    National,
    /// As it was dialled.
    Dialled,
}

/// Whom somebody may call over trunks. Emergency numbers are open to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CallingRights {
    /// Nobody outside the account.
    Internal,
    /// Numbers of the own country.
    #[default]
    National,
    /// Everybody.
    International,
}

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::SubscriberId;

/// Why a text can't be a user name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 64 of the characters a-z, 0-9, '.', '-' and '_', and begins with a letter")]
pub struct InvalidUserName;

/// Why a text can't be an extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an extension has 2 to 15 digits")]
pub struct InvalidExtension;

/// The name that a subscriber signs in with: lower case ASCII, begins with a letter, 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// A subscriber's number inside the account: 2 to 15 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Extension(String);

macro_rules! text {
    ($name:ident, $error:ident) => {
        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

text!(UserName, InvalidUserName);
text!(Extension, InvalidExtension);

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let text = text.to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if starts_well && text.len() <= 64 && text.bytes().all(allowed) { Ok(Self(text)) } else { Err(InvalidUserName) }
    }
}

impl FromStr for Extension {
    type Err = InvalidExtension;

    fn from_str(text: &str) -> Result<Self, InvalidExtension> {
        if (2..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidExtension)
        }
    }
}

/// The other party as it is shown and called back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Caller {
    /// An extension, a telephone number, or a SIP address without its scheme; empty when withheld.
    pub number: String,
    /// The display name that came with the call, or the directory's.
    pub name: Option<String>,
}

/// The languages that prompts and the interface exist in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

/// A person of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Subscriber {
    /// The person, and the mailbox.
    pub id: SubscriberId,
    /// What the person signs in with; also an address of record, `sip:NAME@domain`.
    pub user: UserName,
    /// The person's number; also an address of record.
    pub extension: Extension,
    /// The name that others see.
    pub display_name: String,
    /// The language of this mailbox's prompts.
    pub language: Language,
    /// How long devices ring before the mailbox answers, in seconds.
    pub ring_s: u16,
}

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {0:?}")]
pub struct InvalidId(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, format = Uuid))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an id from 128 random bits, as a UUID of version 4 (RFC 9562 section 5.4).
            #[must_use]
            pub fn from_random(bits: u128) -> Self {
                Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId(text.into()))
            }
        }
    };
}

id!(
    /// One call, from its first ring to its end. It joins the ringing, the call log and the message.
    CallId
);
id!(
    /// A program or a phone that a subscriber has signed in.
    DeviceId
);
id!(
    /// A greeting of a mailbox, or its owner's spoken name.
    GreetingId
);
id!(
    /// One message in one mailbox; a forwarded message has an id of its own.
    MessageId
);
id!(
    /// A person with an extension and a mailbox. A mailbox has no other id than its owner's.
    SubscriberId
);

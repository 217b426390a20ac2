//! Keys of SRTP in the description (SDES, RFC 4568), which is worth as much as the signalling's own encryption.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How packets are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES of 128 bits, tags of 80 bits (RFC 4568 section 6.2.1): what every phone has.
    AesCm128Sha1_80,
    /// The same with tags of 32 bits.
    AesCm128Sha1_32,
    /// AES of 256 bits (RFC 6188).
    AesCm256Sha1_80,
}

impl Suite {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::AesCm256Sha1_80, Self::AesCm128Sha1_80, Self::AesCm128Sha1_32];

    fn name(self) -> &'static str {
        match self {
            Self::AesCm128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
        }
    }

    /// Bytes of the master key.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::AesCm128Sha1_80 | Self::AesCm128Sha1_32 => 16,
            Self::AesCm256Sha1_80 => 32,
        }
    }

    /// Bytes of the master key and the master salt behind it.
    #[must_use]
    pub fn secret_len(self) -> usize {
        self.key_len() + 14
    }
}

/// One `a=crypto` line.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// An answer takes the tag of the line that it chose.
    pub tag: u32,
    /// What the key is for.
    pub suite: Suite,
    /// Master key and salt, [`Suite::secret_len`] bytes.
    secret: Vec<u8>,
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto").field("tag", &self.tag).field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl Crypto {
    /// A line with the first bytes of `random`, of which 46 are enough for every suite; `None` if they are too few.
    #[must_use]
    pub fn new(tag: u32, suite: Suite, random: &[u8]) -> Option<Self> {
        Some(Self { tag, suite, secret: random.get(..suite.secret_len())?.to_vec() })
    }

    /// Master key and master salt.
    #[must_use]
    pub fn secret(&self) -> (&[u8], &[u8]) {
        self.secret.split_at(self.suite.key_len())
    }

    /// Reads what stands behind `a=crypto:`. A line of another suite, with a key id (MKI) or with session parameters that
    /// change the packets is none of ours.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, key) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let suite = Suite::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(suite))?;
        if words.any(|parameter| parameter.to_ascii_uppercase().starts_with("UNENCRYPTED") || parameter == "UNAUTHENTICATED_SRTP")
        {
            return None;
        }
        let mut parts = key.get(..7).filter(|method| method.eq_ignore_ascii_case("inline:")).and(key.get(7..))?.split('|');
        let secret = STANDARD.decode(parts.next()?).ok()?;
        let has_key_id = parts.any(|part| part.contains(':'));
        (secret.len() == suite.secret_len() && !has_key_id).then_some(Self { tag, suite, secret })
    }

    pub(super) fn to_line(&self) -> String {
        format!("a=crypto:{} {} inline:{}\r\n", self.tag, self.suite.name(), STANDARD.encode(&self.secret))
    }
}

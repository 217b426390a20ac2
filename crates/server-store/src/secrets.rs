use std::{fmt, fs, io, path::Path};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A token or a password in clear, on its way to the one who needs it. It never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that hands it over.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A password of somebody else's server, which was given to us.
    pub(crate) fn given(text: String) -> Self {
        Self(text)
    }

    /// 256 random bits as hexadecimal digits.
    pub(crate) fn token() -> Self {
        Self(hex(&rand::random::<[u8; 32]>()))
    }

    /// 24 letters and digits that people can't confuse, for typing into a phone: 119 bits.
    pub(crate) fn password() -> Self {
        Self(pick(24))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a password was not hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Shorter than eight characters.
    #[error("a password has at least 8 characters")]
    TooShort,
    /// Longer than 1,024 bytes.
    #[error("a password has at most 1024 bytes")]
    TooLong,
    /// The hash failed.
    #[error("the password could not be hashed")]
    Hash,
}

/// A password as argon2id, in PHC string format.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Hashes a password with a random salt. Takes tens of milliseconds of a core: not on a worker that others wait for.
    pub fn new(password: &str) -> Result<Self, PasswordError> {
        if password.chars().count() < 8 {
            return Err(PasswordError::TooShort);
        }
        if password.len() > 1024 {
            return Err(PasswordError::TooLong);
        }
        Self::hash(password).ok_or(PasswordError::Hash)
    }

    /// Hashes a PIN in the same way; how long it has to be is not asked here.
    pub fn of_pin(pin: &str) -> Result<Self, PasswordError> {
        Self::hash(pin).ok_or(PasswordError::Hash)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. As slow as hashing.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        password.len() <= 1024
            && PasswordHash::new(&self.0).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }

    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The hash of a password that nobody has, for spending the same time on people who don't exist.
    pub(crate) fn of_nobody() -> Self {
        Self::hash(Secret::token().expose()).unwrap_or_else(|| Self(String::new()))
    }

    fn hash(password: &str) -> Option<Self> {
        let salt = rand::random::<[u8; 16]>();
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
        Some(Self(hash.to_string()))
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedPassword(…)")
    }
}

/// The server's own key: encrypts what must be known in clear, so that a copy of the database alone tells nothing.
pub(crate) struct ServerKey(XChaCha20Poly1305);

impl ServerKey {
    /// Reads the key file, or makes it at the first start: 32 random bytes that only the owner may read.
    pub(crate) fn open_or_make(path: &Path) -> io::Result<Self> {
        let key = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key_file(path)?,
            Err(error) => return Err(error),
        };
        let bad = |_| io::Error::new(io::ErrorKind::InvalidData, "the server's key file has not 32 bytes");
        let key: [u8; 32] = key.try_into().map_err(|_: Vec<u8>| bad(()))?;
        Ok(Self(XChaCha20Poly1305::new(&key.into())))
    }

    /// Encrypts; `owner` is bound to it, so that a row can't be moved to another device.
    pub(crate) fn seal(&self, owner: &str, clear: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; 24] = rand::random();
        let sealed = self.0.encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: owner.as_bytes() }).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`ServerKey::seal`] made for the same owner.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<24>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: owner.as_bytes() }).ok()
    }
}

/// The key must never be half there: written aside, synced, then named.
fn make_key_file(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Write;

    let key: [u8; 32] = rand::random();
    let aside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    if let Some(dir) = path.parent() {
        crate::disk::sync_dir(dir)?;
    }
    Ok(key.to_vec())
}

/// What the database keeps of a bearer token. The token is random, so one round of SHA-256 is enough.
pub(crate) fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// H(username:realm:password) by MD5 (RFC 2617 section 3.2.2.2).
pub(crate) fn ha1_md5(username: &str, realm: &str, password: &str) -> String {
    hex(&Md5::digest(format!("{username}:{realm}:{password}").as_bytes()))
}

/// H(username:realm:password) by SHA-256 (RFC 7616 section 3.4.2).
pub(crate) fn ha1_sha256(username: &str, realm: &str, password: &str) -> String {
    hex(&Sha256::digest(format!("{username}:{realm}:{password}").as_bytes()))
}

/// H(username:realm:password) by SHA-512-256 (RFC 7616 section 3.4.2).
pub(crate) fn ha1_sha512_256(username: &str, realm: &str, password: &str) -> String {
    hex(&Sha512_256::digest(format!("{username}:{realm}:{password}").as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random letters and digits without 0, 1, i, l, o: 31 of them.
pub(crate) fn pick(count: usize) -> String {
    const CHARACTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    (0..count).map(|_| char::from(CHARACTERS[rand::random_range(0..CHARACTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_password_is_recognised_and_others_are_not() {
        let hashed = HashedPassword::new("correct horse").unwrap();
        assert!(hashed.as_str().starts_with("$argon2id$"));
        assert!(hashed.verify("correct horse"));
        assert!(!hashed.verify("correct horsf"));
        assert_ne!(hashed, HashedPassword::new("correct horse").unwrap(), "salted");
        assert_eq!(HashedPassword::new("1234567"), Err(PasswordError::TooShort));
        assert!(!HashedPassword::of_nobody().as_str().is_empty());
    }

    #[test]
    fn the_key_is_made_once_and_binds_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let sealed = ServerKey::open_or_make(&path).unwrap().seal("a", b"secret").unwrap();
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = ServerKey::open_or_make(&path).unwrap();
        assert_eq!(again.open("a", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(again.open("b", &sealed), None);
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn digest_hashes_are_those_of_the_rfcs() {
        // RFC 2617 section 3.5: HA1 of Mufasa.
        assert_eq!(ha1_md5("Mufasa", "testrealm@host.com", "Circle Of Life"), "939e7578ed9e3c518a452acee763bce9");
        // RFC 7616 section 3.9.1.
        let sha256 = ha1_sha256("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(sha256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }
}

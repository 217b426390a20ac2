//! Where the device's token is kept.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Why a secret can't be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// This system has no keyring, or none that runs: offer the file as an explicit choice.
    #[error("this system has no keyring")]
    Missing,
    /// The keyring is there but locked: ask the person to unlock it and try again.
    #[error("the keyring is locked")]
    Locked,
    /// Something else failed.
    #[error("the secret store failed: {0}")]
    Failed(String),
}

/// Keeps one secret text per name. Calls may block for a moment (a keyring asks its service): not from the event loop.
pub trait SecretStore: Send + Sync + 'static {
    /// The secret, or `None` if there is none of that name.
    fn get(&self, name: &str) -> Result<Option<String>, SecretError>;
    /// Keeps a secret; one of the same name is replaced.
    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError>;
    /// Forgets a secret; it is no error if there is none.
    fn delete(&self, name: &str) -> Result<(), SecretError>;
}

/// Keeps secrets while the program runs.
#[derive(Debug, Default)]
pub struct MemorySecrets(Mutex<BTreeMap<String, String>>);

impl SecretStore for MemorySecrets {
    fn get(&self, name: &str) -> Result<Option<String>, SecretError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), secret.into());
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}

/// Keeps secrets in a file that only its owner can read (mode 0600 where there are modes). Weaker than a keyring: only
/// after the person chose it.
#[derive(Debug)]
pub struct FileSecrets {
    path: PathBuf,
    writing: Mutex<()>,
}

impl FileSecrets {
    /// A store in the file `path`; its folder is made when something is kept.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), writing: Mutex::new(()) }
    }

    fn read(&self) -> Result<BTreeMap<String, String>, SecretError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| SecretError::Failed(e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => Err(SecretError::Failed(e.to_string())),
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), SecretError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secrets = self.read()?;
        change(&mut secrets);
        let failed = |e: std::io::Error| SecretError::Failed(e.to_string());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let text = serde_json::to_vec(&secrets).map_err(|e| SecretError::Failed(e.to_string()))?;
        let fresh = self.path.with_extension("new");
        write_private(&fresh, &text).map_err(failed)?;
        std::fs::rename(&fresh, &self.path).map_err(failed)
    }
}

impl SecretStore for FileSecrets {
    fn get(&self, name: &str) -> Result<Option<String>, SecretError> {
        Ok(self.read()?.remove(name))
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.change(|secrets| {
            secrets.insert(name.into(), secret.into());
        })
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        self.change(|secrets| {
            secrets.remove(name);
        })
    }
}

/// Keeps secrets in the system's keyring: the Secret Service, the Keychain or the Credential Manager.
#[cfg(feature = "keyring")]
#[derive(Debug)]
pub struct KeyringSecrets {
    service: String,
}

#[cfg(feature = "keyring")]
impl KeyringSecrets {
    /// The entries of this program, by the name that the keyring shows for them.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into() }
    }

    /// Whether there is a keyring at all. It may be locked.
    ///
    /// # Errors
    /// [`SecretError::Missing`] where there is none.
    pub fn probe() -> Result<(), SecretError> {
        keyring::v1::Entry::store_status().as_ref().copied().map_err(|_| SecretError::Missing)
    }

    fn entry(&self, name: &str) -> Result<keyring::v1::Entry, SecretError> {
        keyring::v1::Entry::new(&self.service, name).map_err(keyring_error)
    }
}

#[cfg(feature = "keyring")]
impl SecretStore for KeyringSecrets {
    fn get(&self, name: &str) -> Result<Option<String>, SecretError> {
        match self.entry(name)?.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(keyring::v1::Error::NoEntry) => Ok(None),
            Err(e) => Err(keyring_error(e)),
        }
    }

    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError> {
        self.entry(name)?.set_password(secret).map_err(keyring_error)
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        match self.entry(name)?.delete_credential() {
            Ok(()) | Err(keyring::v1::Error::NoEntry) => Ok(()),
            Err(e) => Err(keyring_error(e)),
        }
    }
}

/// The texts of some errors hold the secret: only those that can't are passed on.
#[cfg(feature = "keyring")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the crate adds to its errors")]
fn keyring_error(error: keyring::v1::Error) -> SecretError {
    use keyring::v1::Error;

    if let Error::PlatformFailure(e) = &error {
        return SecretError::Failed(e.to_string());
    }
    match error {
        Error::NoDefaultStore => SecretError::Missing,
        Error::NoStorageAccess(_) => SecretError::Locked,
        error => SecretError::Failed(format!("the keyring refused ({:?})", std::mem::discriminant(&error))),
    }
}

fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;

    // A file of that name left by a crash could have wider rights.
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(e);
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn keeps(store: &dyn SecretStore) {
        assert_eq!(store.get("a").unwrap(), None);
        store.set("a", "one").unwrap();
        store.set("b", "two").unwrap();
        store.set("a", "three").unwrap();
        assert_eq!(store.get("a").unwrap().as_deref(), Some("three"));
        store.delete("a").unwrap();
        store.delete("a").unwrap();
        assert_eq!(store.get("a").unwrap(), None);
        assert_eq!(store.get("b").unwrap().as_deref(), Some("two"));
    }

    #[test]
    fn memory_keeps_secrets() {
        keeps(&MemorySecrets::default());
    }

    #[test]
    fn a_file_keeps_secrets_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("secrets.json");
        keeps(&FileSecrets::new(&path));
        assert_eq!(FileSecrets::new(&path).get("b").unwrap().as_deref(), Some("two"), "it is still there for the next start");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_file_is_an_error_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "not json").unwrap();
        assert!(matches!(FileSecrets::new(&path).get("a"), Err(SecretError::Failed(_))));
        assert!(FileSecrets::new(&path).set("a", "one").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not json");
    }
}

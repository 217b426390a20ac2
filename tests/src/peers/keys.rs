//! Certificates for the outside programs and for our server: each test makes its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A certificate that signs itself, for `localhost` and the loopback addresses, and its key: PEM files.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Keys {
    /// Writes them into `folder`.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn make(folder: &Path, name: &str) -> Result<Self> {
        let names = ["localhost", "127.0.0.1", "::1", "example.test"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names)?;
        let keys = Self { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&keys.cert, made.cert.pem())?;
        std::fs::write(&keys.key, made.signing_key.serialize_pem())?;
        Ok(keys)
    }

    /// The SHA-256 of the certificate, for pinning it.
    ///
    /// # Errors
    /// Where there is no openssl to tell.
    pub fn fingerprint(&self) -> Result<String> {
        let mut command = std::process::Command::new("openssl");
        let output = command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&self.cert).output()?;
        let said = String::from_utf8(output.stdout)?;
        let (_, digits) = said.trim().split_once('=').context("no fingerprint")?;
        Ok(digits.replace(':', "").to_lowercase())
    }
}

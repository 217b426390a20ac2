//! TLS with rustls: whom a client trusts, and what a server shows.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use rustls_platform_verifier::BuilderVerifierExt;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, task::JoinHandle};

/// Which certificates a client accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// What the operating system trusts, for the name in the URL.
    #[default]
    Platform,
    /// This one certificate and no other, whatever its name and dates.
    Pinned(Fingerprint),
}

/// SHA-256 of a certificate in DER; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits (colons between them are allowed)")]
pub struct InvalidFingerprint;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file with a certificate or a key can't be read.
    #[error("can't read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key don't fit, or rustls can't use them.
    #[error("TLS can't be set up")]
    Rustls(#[from] rustls::Error),
}

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Of the first certificate in a PEM file: the server's own.
    ///
    /// # Errors
    /// Where the file can't be read or holds no certificate.
    pub fn of_pem_file(path: &Path) -> Result<Self, TlsError> {
        let certificate = CertificateDer::from_pem_file(path).map_err(|e| unreadable(path, e))?;
        Ok(Self::of(&certificate))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Option<Vec<u8>> =
            text.bytes().filter(|b| *b != b':').map(|b| char::from(b).to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(InvalidFingerprint)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

/// A client's configuration, for WebSockets here and for HTTP clients elsewhere. HTTP/1.1 is announced.
///
/// # Errors
/// Where the system's authorities can't be had.
pub fn client_config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::Platform => builder.with_platform_verifier()?.with_no_client_auth(),
        Trust::Pinned(fingerprint) => {
            let verifier = PinnedVerifier { fingerprint: *fingerprint, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client's configuration for SIP over TLS, which announces no application protocol.
///
/// # Errors
/// Where the system's authorities can't be had.
pub fn sip_client_config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let mut config = client_config(trust)?;
    config.alpn_protocols.clear();
    Ok(config)
}

/// A server's certificate and key from PEM files (the chain, own certificate first). The files are watched: when they change,
/// new connections get the new certificate, and those that are open go on. Dropping it ends the watch.
#[derive(Debug)]
pub struct ServerKeys {
    shown: Arc<Shown>,
    fingerprints: watch::Receiver<Fingerprint>,
    task: JoinHandle<()>,
}

impl ServerKeys {
    /// Reads the files.
    ///
    /// # Errors
    /// Where a file can't be read, or the key doesn't belong to the certificate.
    pub fn load(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificates: certificates.to_owned(), key: key.to_owned() };
        let state = files.state();
        let first = files.read()?;
        let (tell, fingerprints) = watch::channel(fingerprint(&first));
        let shown = Arc::new(Shown(RwLock::new(first)));
        let task = tokio::spawn(reload(files, state, Arc::clone(&shown), tell));
        Ok(Self { shown, fingerprints, task })
    }

    /// For HTTPS and secure WebSockets: HTTP/1.1 is announced.
    ///
    /// # Errors
    /// Where rustls refuses.
    pub fn http_config(&self) -> Result<ServerConfig, TlsError> {
        let mut config = self.sip_config()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// For SIP over TLS.
    ///
    /// # Errors
    /// Where rustls refuses.
    pub fn sip_config(&self) -> Result<ServerConfig, TlsError> {
        let resolver = Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
    }

    /// For SIP over TLS with peers that show who they are: whoever has a certificate of one of the authorities in this PEM file
    /// may show it, and nobody must.
    ///
    /// # Errors
    /// Where the file can't be read, or rustls refuses.
    pub fn sip_config_with(&self, authorities: &Path) -> Result<ServerConfig, TlsError> {
        let read: Vec<_> =
            CertificateDer::pem_file_iter(authorities).and_then(Iterator::collect).map_err(|e| unreadable(authorities, e))?;
        let mut roots = RootCertStore::empty();
        for certificate in read {
            roots.add(certificate)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
        let verifier = verifier.build().map_err(|e| unreadable(authorities, e))?;
        let resolver = Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver))
    }

    /// The fingerprint of the certificate that is shown, as it changes.
    #[must_use]
    pub fn fingerprint(&self) -> watch::Receiver<Fingerprint> {
        self.fingerprints.clone()
    }
}

impl Drop for ServerKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How often the files are looked at: a renewal has weeks of time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

async fn reload(files: Files, mut seen: State, shown: Arc<Shown>, tell: watch::Sender<Fingerprint>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let state = files.state();
        if state == seen {
            continue;
        }
        match files.read() {
            Ok(key) => {
                seen = state;
                let fingerprint = fingerprint(&key);
                *shown.0.write().unwrap_or_else(PoisonError::into_inner) = key;
                tracing::info!(%fingerprint, "a changed certificate is in use");
                tell.send_replace(fingerprint);
            }
            // One of the two may be written a moment later than the other: it is looked at again.
            Err(error) => tracing::warn!(%error, "a changed certificate can't be used; the one before stays"),
        }
    }
}

#[derive(Debug)]
struct Files {
    certificates: PathBuf,
    key: PathBuf,
}

/// When each file was written, and how long it is.
type State = [Option<(SystemTime, u64)>; 2];

impl Files {
    fn state(&self) -> State {
        let look = |path: &Path| path.metadata().ok().and_then(|found| Some((found.modified().ok()?, found.len())));
        [look(&self.certificates), look(&self.key)]
    }

    fn read(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let Self { certificates, key } = self;
        let chain: Vec<_> =
            CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect).map_err(|e| unreadable(certificates, e))?;
        if chain.is_empty() {
            return Err(unreadable(certificates, io::Error::other("no certificate in it")));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, e))?;
        Ok(Arc::new(CertifiedKey::from_der(chain, private, &provider())?))
    }
}

fn fingerprint(key: &CertifiedKey) -> Fingerprint {
    Fingerprint::of(key.cert.first().map_or(&[], |certificate| certificate.as_ref()))
}

/// What is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Whether a certificate was made for this name (RFC 5922 section 7).
#[must_use]
pub fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(name), Ok(parsed)) = (ServerName::try_from(name), ParsedCertificate::try_from(certificate)) else { return false };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn unreadable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::File { path: path.display().to_string(), source: source.into() }
}

/// Accepts one certificate by its fingerprint; that its owner holds the key is still verified by the handshake's signature.
#[derive(Debug)]
struct PinnedVerifier {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Fingerprint::of(end_entity) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

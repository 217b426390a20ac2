//! TLS and outgoing connections, against real sockets on the loopback interface.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use aftertone_net::{
    ConnectionNumbers, Dial, Fingerprint, ServerKeys, ServerName, StreamConfig, StreamEvent, StreamPort, Trust, dial, tls,
};
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{sync::mpsc, time::timeout};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

/// Writes a new certificate and its key.
fn renew(folder: &Path) -> Fingerprint {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    Fingerprint::of(made.cert.der())
}

struct Ends {
    port: StreamPort,
    accepted: mpsc::Receiver<StreamEvent>,
    dialled: mpsc::Receiver<StreamEvent>,
    dialling: mpsc::Sender<StreamEvent>,
}

impl Ends {
    async fn new(at: &str, keys: Option<&ServerKeys>) -> Self {
        let (events, accepted) = mpsc::channel(16);
        let tls = keys.map(|keys| Arc::new(keys.sip_config().unwrap()));
        let config = StreamConfig::default();
        let port = StreamPort::listen(at.parse().unwrap(), tls, config, ConnectionNumbers::default(), events).await.unwrap();
        let (dialling, dialled) = mpsc::channel(16);
        Self { port, accepted, dialled, dialling }
    }

    fn dial(&self, trust: Option<&Trust>, token: u64) {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = trust.map(|trust| (name, Arc::new(tls::sip_client_config(trust).unwrap())));
        let to = Dial { address: self.port.local_addr(), tls, token };
        dial(to, StreamConfig::default(), ConnectionNumbers::default(), self.dialling.clone());
    }

    /// Opens a connection, and sends a word each way.
    async fn talk(&mut self, trust: Option<&Trust>) {
        self.dial(trust, 7);
        let opened = soon(self.dialled.recv()).await.unwrap();
        let StreamEvent::Opened { secure, dialled: Some(7), sender: ours, local, .. } = opened else { panic!("{opened:?}") };
        let accepted = soon(self.accepted.recv()).await.unwrap();
        let StreamEvent::Opened { remote, dialled: None, sender: theirs, .. } = accepted else { panic!("{accepted:?}") };
        assert_eq!((secure, local), (trust.is_some(), remote));
        assert!(ours.try_send(Bytes::from_static(b"there")) && theirs.try_send(Bytes::from_static(b"back")));
        for (events, word) in [(&mut self.accepted, "there"), (&mut self.dialled, "back")] {
            let received = soon(events.recv()).await.unwrap();
            assert!(matches!(&received, StreamEvent::Received { bytes, .. } if bytes == word), "{received:?}");
        }
        drop((ours, theirs));
        assert!(matches!(soon(self.dialled.recv()).await, Some(StreamEvent::Closed { .. })));
        assert!(matches!(soon(self.accepted.recv()).await, Some(StreamEvent::Closed { .. })));
    }

    async fn is_refused(&mut self, trust: Option<&Trust>) {
        self.dial(trust, 9);
        let failed = soon(self.dialled.recv()).await;
        assert!(matches!(failed, Some(StreamEvent::Failed { dialled: 9, untrusted: true })), "{failed:?}");
    }
}

#[tokio::test]
async fn connections_go_out_over_both_families() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        Ends::new(at, None).await.talk(None).await;
    }
}

#[tokio::test]
async fn ipv4_peers_of_a_port_for_both_families_have_plain_addresses() {
    let mut ends = Ends::new("[::]:0", None).await;
    let at = SocketAddr::from(([127, 0, 0, 1], ends.port.local_addr().port()));
    let to = Dial { address: at, tls: None, token: 1 };
    dial(to, StreamConfig::default(), ConnectionNumbers::default(), ends.dialling.clone());
    let Some(StreamEvent::Opened { local, remote, .. }) = soon(ends.accepted.recv()).await else { panic!() };
    assert!(local.is_ipv4() && remote.is_ipv4(), "{local} {remote}");
}

#[tokio::test]
async fn nobody_there_is_told() {
    let mut ends = Ends::new("127.0.0.1:0", None).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = Dial { address: free, tls: None, token: 9 };
    dial(to, StreamConfig::default(), ConnectionNumbers::default(), ends.dialling.clone());
    assert!(matches!(soon(ends.dialled.recv()).await, Some(StreamEvent::Failed { dialled: 9, untrusted: false })));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_only_what_is_trusted_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let keys = ServerKeys::load(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    let mut ends = Ends::new("127.0.0.1:0", Some(&keys)).await;
    ends.talk(Some(&Trust::Pinned(first))).await;
    ends.is_refused(Some(&Trust::Platform)).await;

    let mut shown = keys.fingerprint();
    let second = renew(folder.path());
    soon(shown.wait_for(|shown| *shown == second)).await.unwrap();
    ends.is_refused(Some(&Trust::Pinned(first))).await;
    ends.talk(Some(&Trust::Pinned(second))).await;
}

#[tokio::test]
async fn a_broken_renewal_leaves_the_certificate_before() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let keys = ServerKeys::load(&cert, &key).unwrap();
    let mut shown = keys.fingerprint();
    std::fs::write(&cert, "half a certif").unwrap();
    let mut ends = Ends::new("127.0.0.1:0", Some(&keys)).await;
    ends.talk(Some(&Trust::Pinned(first))).await;
    // Whole again: what was broken in between was never shown.
    let second = renew(folder.path());
    soon(shown.changed()).await.unwrap();
    assert_eq!(*shown.borrow(), second);
    assert!(ServerKeys::load(&cert, &folder.path().join("nothing")).is_err());
}

/// Writes a certificate for `name`, and its key.
fn identity(folder: &Path, name: &str) -> (std::path::PathBuf, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    (file, vec![made.cert.der().clone()], key)
}

#[tokio::test]
async fn peers_may_show_who_they_are_and_nobody_must() {
    let folder = tempfile::tempdir().unwrap();
    let fingerprint = renew(folder.path());
    let keys = ServerKeys::load(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    let (authorities, chain, key) = identity(folder.path(), "pbx.example");
    let (_, strange_chain, strange_key) = identity(folder.path(), "other.example");
    let (events, mut accepted) = mpsc::channel(16);
    let config = Arc::new(keys.sip_config_with(&authorities).unwrap());
    let port = StreamPort::listen(
        "127.0.0.1:0".parse().unwrap(),
        Some(config),
        StreamConfig::default(),
        ConnectionNumbers::default(),
        events,
    );
    let port = port.await.unwrap();
    let (dialling, mut dialled) = mpsc::channel(16);
    let trust = Trust::Pinned(fingerprint);
    let dial_with = |tls: rustls::ClientConfig| {
        let tls = Some((ServerName::try_from("localhost").unwrap(), Arc::new(tls)));
        dial(
            Dial { address: port.local_addr(), tls, token: 1 },
            StreamConfig::default(),
            ConnectionNumbers::default(),
            dialling.clone(),
        );
    };
    let with = |chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>| {
        let mut config = tls::sip_client_config(&trust).unwrap();
        let signing = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        config.client_auth_cert_resolver =
            Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, signing)));
        config
    };
    dial_with(with(chain, key));
    let opened = soon(accepted.recv()).await.unwrap();
    let StreamEvent::Opened { certificate: Some(shown), .. } = &opened else { panic!("{opened:?}") };
    assert!(tls::is_for(shown, "pbx.example") && !tls::is_for(shown, "other.example") && !tls::is_for(shown, "no name"));
    dial_with(tls::sip_client_config(&trust).unwrap());
    let opened = soon(accepted.recv()).await.unwrap();
    assert!(matches!(opened, StreamEvent::Opened { certificate: None, .. }), "{opened:?}");
    dial_with(with(strange_chain, strange_key));
    // With TLS 1.3 the client has finished before it is refused: its connection opens, and is closed.
    let mut closed = false;
    while !closed {
        let event = soon(dialled.recv()).await.unwrap();
        closed = matches!(event, StreamEvent::Closed { .. } | StreamEvent::Failed { .. });
    }
    assert!(accepted.try_recv().is_err(), "a certificate of nobody's is no way in");
}

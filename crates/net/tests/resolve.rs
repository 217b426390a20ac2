//! Where names lead, asked of a real DNS server: dnsmasq.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, process::Stdio};

use aftertone_net::{ConnectionNumbers, Dial, Protocol, Question, Resolver, StreamConfig, StreamEvent, Target, dial};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
};

/// A zone of ours; ends with the test.
struct Zone {
    resolver: Resolver,
    _dnsmasq: Child,
}

const RECORDS: &[&str] = &[
    // Prefers TLS, and has no UDP.
    "--naptr-record=naptr.test,20,50,s,SIP+D2T,,_sip._tcp.naptr.test",
    "--naptr-record=naptr.test,10,50,s,SIPS+D2T,,_sips._tcp.elsewhere.test",
    "--naptr-record=naptr.test,5,50,s,SIP+D2S,,_sip._sctp.naptr.test",
    "--srv-host=_sips._tcp.elsewhere.test,a.test,5061,0,0",
    "--srv-host=_sip._tcp.naptr.test,b.test,5070,0,0",
    // Two of one priority by weight, one in reserve.
    "--srv-host=_sip._udp.srv.test,a.test,5060,10,75",
    "--srv-host=_sip._udp.srv.test,b.test,5062,10,25",
    "--srv-host=_sip._udp.srv.test,c.test,5064,20,0",
    "--srv-host=_sip._tcp.srv.test,a.test,5070,0,0",
    "--host-record=a.test,192.0.2.1,2001:db8::1",
    "--host-record=b.test,192.0.2.2",
    "--host-record=c.test,192.0.2.3",
];

impl Zone {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[String]) -> Self {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut dnsmasq = Command::new("/usr/sbin/dnsmasq")
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/", "--bind-interfaces"])
            .args(["--listen-address=127.0.0.1", "--pid-file=", "--user=", "--group="])
            .arg(format!("--port={port}"))
            .args(RECORDS)
            .args(more)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // It listens before it says anything.
        let mut said = BufReader::new(dnsmasq.stderr.take().unwrap()).lines();
        let first = said.next_line().await.unwrap().unwrap();
        assert!(first.contains("started"), "{first}");
        Self { resolver: Resolver::at(([127, 0, 0, 1], port).into()), _dnsmasq: dnsmasq }
    }

    async fn ask(&self, host: &str, port: Option<u16>, protocol: Option<Protocol>, secure: bool) -> Vec<String> {
        let question = Question { host: host.into(), port, protocol, secure };
        let found = self.resolver.locate(&question).await;
        assert!(found.iter().all(|target| target.name == host));
        found.iter().map(|Target { protocol, address, .. }| format!("{protocol:?} {address}")).collect()
    }
}

#[tokio::test]
async fn names_lead_where_their_records_say() {
    let zone = Zone::new().await;
    // NAPTR chooses the transport, and the replacement the name; a transport that we don't have is passed over.
    let both = ["Tls 192.0.2.1:5061", "Tls [2001:db8::1]:5061", "Tcp 192.0.2.2:5070"];
    assert_eq!(zone.ask("naptr.test", None, None, false).await, both);
    assert_eq!(zone.ask("naptr.test", None, None, true).await, both[..2], "sips is for TLS alone");
    // A transport that is given, or a port, leaves out what is before it.
    assert_eq!(zone.ask("naptr.test", None, Some(Protocol::Tcp), false).await, ["Tcp 192.0.2.2:5070"]);
    assert_eq!(zone.ask("srv.test", None, Some(Protocol::Tcp), false).await, ["Tcp 192.0.2.1:5070", "Tcp [2001:db8::1]:5070"]);
    assert_eq!(zone.ask("b.test", Some(5080), None, false).await, ["Udp 192.0.2.2:5080"]);
    // No records but an address.
    assert_eq!(zone.ask("c.test", None, None, false).await, ["Udp 192.0.2.3:5060"]);
    assert_eq!(zone.ask("c.test", None, None, true).await, ["Tls 192.0.2.3:5061"]);
    // An address is nobody's name.
    assert_eq!(zone.ask("2001:db8::7", None, Some(Protocol::Tcp), false).await, ["Tcp [2001:db8::7]:5060"]);
    assert!(zone.ask("nowhere.test", None, None, false).await.is_empty());
}

#[tokio::test]
async fn weights_share_and_priorities_wait() {
    let zone = Zone::new().await;
    let mut first = BTreeMap::new();
    for _ in 0..200 {
        let found = zone.ask("srv.test", None, Some(Protocol::Udp), false).await;
        assert_eq!(found.len(), 4, "every server is there for fail-over");
        assert_eq!(found[3], "Udp 192.0.2.3:5064");
        *first.entry(found[0].clone()).or_insert(0) += 1;
    }
    // 75 of 100: six standard deviations to each side.
    let share = first["Udp 192.0.2.1:5060"];
    assert!((113..=187).contains(&share), "{first:?}");
    // Where neither zone nor question prefers a transport, all of them are there.
    let all = zone.ask("srv.test", None, None, false).await;
    assert_eq!(all.len(), 6);
    assert!(all[4].starts_with("Tcp "), "{all:?}");
}

/// RFC 3263 section 4.3: whoever asked goes on to the next server, and comes back to the first one at the next look-up.
#[tokio::test]
async fn a_dead_server_is_passed_over_for_the_next() {
    let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Nobody listens here: the port is held by one that never did.
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let records = [
        "--naptr-record=provider.test,10,50,s,SIP+D2T,,_sip._tcp.pool.test".to_owned(),
        format!("--srv-host=_sip._tcp.pool.test,local.test,{dead},10,100"),
        format!("--srv-host=_sip._tcp.pool.test,local.test,{},20,0", alive.local_addr().unwrap().port()),
        "--host-record=local.test,127.0.0.1".to_owned(),
    ];
    let zone = Zone::with(&records).await;
    let question = Question { host: "provider.test".into(), port: None, protocol: None, secure: false };
    for _ in 0..2 {
        let found = zone.resolver.locate(&question).await;
        assert_eq!(found.len(), 2);
        let (events, mut happened) = mpsc::channel(8);
        let mut told = Vec::new();
        for (token, target) in (0..).zip(&found) {
            let order = Dial { address: target.address, tls: None, token };
            dial(order, StreamConfig::default(), ConnectionNumbers::default(), events.clone());
            told.push(happened.recv().await.unwrap());
        }
        assert!(matches!(told[0], StreamEvent::Failed { dialled: 0, untrusted: false }), "{:?}", told[0]);
        assert!(matches!(told[1], StreamEvent::Opened { dialled: Some(1), .. }), "{:?}", told[1]);
        let (_, from) = alive.accept().await.unwrap();
        assert!(from.ip().is_loopback());
    }
}

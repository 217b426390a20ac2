//! Other people's exchanges and phones at our server, in every transport.

use std::net::SocketAddr;

use aftertone_tests::{
    baresip::{Baresip, Setup, Version},
    hosted::{self, ALICE, BOB, Hosted, Phone},
    peers::{
        Peers,
        asterisk::{self, Asterisk},
        capture::Capture,
        kamailio::Kamailio,
        keys::Keys,
    },
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Our server with Alice and Bob, who have a phone each, on every transport and both families.
struct World {
    hosted: Hosted,
    keys: Keys,
    alice: Phone,
    bob: Phone,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        for person in [&ALICE, &BOB] {
            hosted::add_person(&data, person).await?;
        }
        let (alice, bob) = (hosted::add_phone(&data, "alice").await?, hosted::add_phone(&data, "bob").await?);
        let keys = Keys::make(folder.path(), "server")?;
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let ports = ["--sip-udp", "[::]:0", "--sip-tls", "127.0.0.1:0", "--https", "127.0.0.1:0"];
        let hosted = Hosted::start_wary(&data, &[&ports[..], &["--cert", &cert, "--key", &key]].concat()).await?;
        Ok(Self { hosted, keys, alice, bob, folder })
    }

    fn at(&self, transport: &str) -> Result<SocketAddr> {
        let name = match transport {
            "udp" | "udp6" => "sip_udp",
            "tcp" => "sip_tcp",
            "tls" => "sip_tls",
            "ws" => "http",
            "wss" => "https",
            other => anyhow::bail!("no transport {other}"),
        };
        let mut address: SocketAddr = self.hosted.address(name)?.parse()?;
        match transport {
            "udp6" => address.set_ip("::1".parse()?),
            _ => address.set_ip("127.0.0.1".parse()?),
        }
        Ok(address)
    }

    /// A phone of Alice's: registered, over one transport.
    async fn baresip(&self, version: Version, transport: &str) -> Result<Baresip> {
        let speech = self.folder.path().join(format!("speech-{transport}.wav"));
        sound::speech()?.repeated(20.0).save(&speech)?;
        let account =
            self.alice.account(&ALICE, self.at(transport)?, "").replace("transport=udp", &format!("transport={transport}"));
        let setup = Setup { account, speech, rate: sound::RATE };
        let mut baresip = Baresip::start_version(&setup, version, Some(&self.keys.cert)).await?;
        baresip.registered().await?;
        Ok(baresip)
    }
}

/// Registers, and calls Bob, who isn't there: his mailbox answers.
#[tokio::test]
async fn sipp_registers_and_calls_over_every_transport() -> Result<()> {
    let world = World::new().await?;
    let capture = Capture::start("sipp-every-transport", "").await?;
    for transport in ["udp", "udp6", "tcp", "tls", "ws", "wss"] {
        let run = sipp(&world, transport).await;
        run.with_context(|| format!("over {transport}"))?;
    }
    let api = world.hosted.sign_in("bob").await?;
    let calls = api.wait_for_records(6, PATIENCE).await?;
    ensure!(calls.iter().all(|call| call["party"]["number"] == ALICE.extension), "{calls:?}");
    capture.passed();
    Ok(())
}

async fn sipp(world: &World, transport: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let fields = [
        ("@EXTENSION@", ALICE.extension),
        ("@CALLED@", BOB.extension),
        ("@USER@", &world.alice.username),
        ("@PASSWORD@", &world.alice.password),
    ];
    let scenario = fields.iter().fold(REGISTER_AND_CALL.to_owned(), |text, (name, value)| text.replace(name, value));
    std::fs::write(folder.path().join("scenario.xml"), scenario)?;
    let (mode, local) = match transport {
        "udp" => ("u1", "127.0.0.1"),
        "udp6" => ("u1", "[::1]"),
        "tcp" => ("t1", "127.0.0.1"),
        "tls" => ("l1", "127.0.0.1"),
        "ws" => ("w1", "127.0.0.1"),
        _ => ("x1", "127.0.0.1"),
    };
    let mut command = Peers::find()?.command("/usr/bin/env");
    command.arg("-C").arg(folder.path()).arg("/usr/bin/sipp").arg(world.at(transport)?.to_string());
    command.args(["-sf", "scenario.xml", "-m", "1", "-i", local, "-t", mode, "-nostdin", "-timeout", "20s", "-timeout_error"]);
    let port = process::free_port()?.to_string();
    // Process numbers repeat in namespaces; a Call-ID never may.
    command.args(["-p", &port, "-cid_str", &format!("%u-{port}@%s"), "-trace_err", "-error_file", "errors.log"]);
    match transport {
        "tls" | "wss" => drop(command.arg("-tls_ca").arg(&world.keys.cert)),
        _ => {}
    }
    if matches!(transport, "ws" | "wss") {
        command.args(["-ws_path", "/sip"]);
    }
    let log = folder.path().join("sipp.log");
    let mut running = process::start(&mut command, &log)?;
    running.ignore_output();
    let status = running.ended(PATIENCE).await?;
    let said = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    ensure!(status.success(), "sipp: {status}: {} {}", said("errors.log"), said("sipp.log"));
    Ok(())
}

const REGISTER_AND_CALL: &str = include_str!("register-and-call.xml");

/// Both versions, in the transports that they have, one after the other: each is called and answers, and calls.
#[tokio::test]
async fn baresips_of_both_versions_call_each_other_over_every_transport() -> Result<()> {
    let world = World::new().await?;
    let capture = Capture::start("baresip-every-transport", "").await?;
    for (version, transport) in
        [(Version::System, "tls"), (Version::Newer, "udp"), (Version::Newer, "tcp"), (Version::Newer, "tls")]
    {
        let mut phone = world.baresip(version, transport).await.with_context(|| format!("{version:?} over {transport}"))?;
        phone.command(&format!("dial sip:{}@{}", BOB.extension, hosted::DOMAIN)).await?;
        phone.happening("CALL_ESTABLISHED", PATIENCE).await?;
        phone.hears(0.5, PATIENCE).await?;
        phone.command("hangup").await?;
        phone.happening("CALL_CLOSED", PATIENCE).await?;
    }
    capture.passed();
    Ok(())
}

/// A certificate that the phone doesn't trust is none: nothing is sent over it.
#[tokio::test]
async fn a_phone_refuses_a_certificate_of_somebody_elses() -> Result<()> {
    let world = World::new().await?;
    let other = Keys::make(world.folder.path(), "other")?;
    let account = world.alice.account(&ALICE, world.at("tls")?, "").replace("transport=udp", "transport=tls");
    let speech = world.folder.path().join("speech.wav");
    Sound::silence(1.0).save(&speech)?;
    let setup = Setup { account, speech, rate: sound::RATE };
    let mut baresip = Baresip::start_version(&setup, Version::Newer, Some(&other.cert)).await?;
    let told = baresip.one_of(&["REGISTER_OK", "REGISTER_FAIL"], PATIENCE).await?;
    ensure!(told.kind == "REGISTER_FAIL", "{told:?}");
    Ok(())
}

/// Asterisk as one of Alice's phones: registered over `transport`, it is called by Bob's phone and answers.
#[tokio::test]
async fn asterisk_is_a_phone_of_ours_over_every_transport() -> Result<()> {
    let world = World::new().await?;
    let capture = Capture::start("asterisk-as-a-phone", "").await?;
    for transport in ["udp", "tcp", "tls"] {
        let asterisk = Asterisk::start(&world.as_a_phone(transport)?).await?;
        asterisk.says("pjsip show registrations", "Registered", PATIENCE).await.with_context(|| transport.to_owned())?;
        call_alice(&world, &world.hosted.sip_udp).await.with_context(|| format!("{transport}: {}", asterisk.log()))?;
        // And the other way: Bob's mailbox answers Alice.
        let before = world.hosted.sign_in("bob").await?.call_records().await?.len();
        asterisk.cli(&format!("channel originate PJSIP/{}@ours application Wait 2", BOB.extension)).await?;
        world.hosted.sign_in("bob").await?.wait_for_records(before + 1, PATIENCE).await?;
        asterisk.stop().await?;
    }
    capture.passed();
    Ok(())
}

impl World {
    fn as_a_phone(&self, transport: &str) -> Result<asterisk::Setup> {
        let extensions = format!("exten => {},1,Answer()\n same => n,Echo()\n", ALICE.extension);
        let setup = asterisk::Setup::phone(&ALICE, &self.alice, self.at(transport)?, transport, Some(&self.keys.cert));
        Ok(asterisk::Setup { extensions, ..setup })
    }
}

/// Bob's phone calls Alice, hears itself, and hangs up.
async fn call_alice(world: &World, server: &SocketAddr) -> Result<()> {
    let speech = world.folder.path().join("bob.wav");
    sound::speech()?.repeated(20.0).save(&speech)?;
    let at = SocketAddr::new("127.0.0.1".parse()?, server.port());
    let setup = Setup { account: world.bob.account(&BOB, at, ""), speech, rate: sound::RATE };
    let mut bob = Baresip::start(&setup).await?;
    bob.registered().await?;
    bob.command(&format!("dial sip:{}@{}", ALICE.extension, hosted::DOMAIN)).await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.hears(4.0, PATIENCE).await?;
    bob.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = Sound::load(&bob.heard()?)?;
    ensure!(heard.level() > -50.0, "nothing came back: {}", heard.level());
    Ok(())
}

/// Kamailio stays in the dialogs by Record-Route, and leads calls to the phone behind it by Path.
#[tokio::test]
async fn a_phone_behind_kamailio_is_reached_and_calls() -> Result<()> {
    let world = World::new().await?;
    let capture = Capture::start("behind-kamailio", "").await?;
    let kamailio = Kamailio::in_front_of(world.at("tcp")?, "tcp").await?;
    let speech = world.folder.path().join("alice.wav");
    sound::speech()?.repeated(30.0).save(&speech)?;
    let account = world.alice.account(&ALICE, kamailio.sip, ";answermode=auto");
    let mut alice = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    alice.registered().await?;
    call_alice(&world, &world.hosted.sip_udp).await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    alice.command(&format!("dial sip:{}@{}", BOB.extension, hosted::DOMAIN)).await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    capture.passed();
    Ok(())
}

/// A caller that is played by hand: what it has heard so far.
struct ByHand {
    stream: TcpStream,
    heard: String,
}

impl ByHand {
    /// Waits until it has heard these words.
    async fn hears(&mut self, words: &str) -> Result<()> {
        let mut piece = [0; 4096];
        while !self.heard.contains(words) {
            let read = timeout(PATIENCE, self.stream.read(&mut piece)).await.with_context(|| self.heard.clone())??;
            ensure!(read > 0, "closed before {words:?}: {}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        Ok(())
    }

    async fn says(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(text.as_bytes()).await?)
    }

    /// The last header of that name.
    fn header(&self, name: &str) -> Result<&str> {
        let value = self.heard.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.with_context(|| format!("no {name}: {}", self.heard))
    }
}

/// RFC 3261 section 18.2.2: the answer goes over another connection, to where the caller says that it listens.
#[tokio::test]
async fn a_caller_whose_connection_breaks_while_it_rings_is_answered_over_another_one() -> Result<()> {
    let capture = Capture::start("peers-reopened", "udp or tcp").await?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let phone = hosted::add_phone(&data, ALICE.name).await?;
    let hosted = Hosted::start(&data, &[]).await?;
    let speech = folder.path().join("alice.wav");
    sound::speech()?.save(&speech)?;
    let account = phone.account(&ALICE, hosted.sip_udp, "");
    let mut alice = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    alice.registered().await?;

    let ear = TcpListener::bind("127.0.0.1:0").await?;
    let me = ear.local_addr()?;
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let dialog = |method: &str, to: &str| {
        format!(
            "{method} sip:1001@{} SIP/2.0\r\nVia: SIP/2.0/TCP {me};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:zoe@elsewhere.example>;tag=zoe\r\nTo: {to}\r\nCall-ID: broken@{me}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:zoe@{me};transport=tcp>\r\n",
            hosted.sip_tcp
        )
    };
    let mut first = ByHand { stream: TcpStream::connect(hosted.sip_tcp).await?, heard: String::new() };
    let invite = dialog("INVITE", "<sip:1001@example.test>");
    first.says(&format!("{invite}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())).await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    first.hears("SIP/2.0 180").await?;
    drop(first);

    let (stream, _) = timeout(PATIENCE, ear.accept()).await.context("no other connection is opened")??;
    let mut second = ByHand { stream, heard: String::new() };
    second.hears("SIP/2.0 180").await?;
    alice.command("accept").await?;
    second.hears("SIP/2.0 200").await?;
    let to = second.header("To")?.to_owned();
    second.says(&format!("{}Content-Length: 0\r\n\r\n", dialog("ACK", &to))).await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.command("hangup").await?;
    second.hears("BYE sip:zoe@").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    capture.passed();
    hosted.stop().await
}

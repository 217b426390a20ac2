//! Our account behind a NAT, and at a new address, at a provider outside that believes what it is told: no address is guessed
//! there from where packets come from.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{net::Ipv4Addr, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Hosted, Phone},
    namespace::{self, Namespace},
    peers::{
        asterisk::{self, Asterisk},
        capture::Capture,
    },
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

const ACCOUNT: &str = "4930500";
const PASSWORD: &str = "what the provider gave us";
/// As short as NATs of homes are.
const NAT_FORGETS_S: u32 = 30;

/// What stands between the office and the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// A NAT.
    Masquerade,
    /// Nothing but cables.
    Router,
}

/// This machine is the office; a router hides it from the machine on which the provider runs.
struct World {
    asterisk: Asterisk,
    hosted: Hosted,
    alices: Phone,
    _machines: [Namespace; 2],
    number: u8,
    folder: tempfile::TempDir,
}

/// Nothing here guesses: sound goes where the description says, and requests where the contact says.
fn provider(registers: bool, nat: Ipv4Addr) -> asterisk::Setup {
    let aor = if registers {
        "remove_existing=yes\nminimum_expiration=30\n".to_owned()
    } else {
        // A peer by address: the router's, where whatever comes in goes to our port.
        format!("contact=sip:{nat}:5060\n")
    };
    let identified = if registers {
        format!("auth={ACCOUNT}\n[{ACCOUNT}](auth)\nusername={ACCOUNT}\npassword={PASSWORD}\n")
    } else {
        format!("[{ACCOUNT}]\ntype=identify\nendpoint={ACCOUNT}\nmatch={nat}\n")
    };
    asterisk::Setup {
        pjsip: format!(
            "[{ACCOUNT}](endpoint)\naors={ACCOUNT}\ntrust_id_inbound=yes\nrtp_symmetric=no\nforce_rport=no\n\
             rewrite_contact=no\n{identified}[{ACCOUNT}](aor)\n{aor}"
        ),
        extensions: format!(
            "exten => _+4930600,1,Answer()\n same => n,Echo()\nexten => 700,1,Answer()\n same => n,Echo()\n\
             exten => 701,1,Answer()\n same => n,Set(TIMEOUT(absolute)={})\n same => n,Echo()\n",
            NAT_FORGETS_S + 8
        ),
        ..asterisk::Setup::default()
    }
}

impl World {
    /// `number` tells the worlds of tests apart that run at once.
    async fn new(number: u8, between: Between, registers: bool, transport: &str) -> Result<Self> {
        let router = Namespace::new(&format!("nat{number}"))?;
        let outside = Namespace::new(&format!("out{number}"))?;
        let (inner, outer) = (format!("natin{number}"), format!("natout{number}"));
        // TEST-NET-3, eight addresses for each test.
        let first = u8::checked_mul(number, 8).context("too many worlds")?;
        let [nat, there] = [1, 2].map(|last| Ipv4Addr::new(203, 0, 113, first + last));
        router.connect(&inner, &format!("10.214.{number}.1/24"), None, &format!("10.214.{number}.2/24"))?;
        router.ip(&["addr", "add", &format!("10.215.{number}.1/24"), "dev", &inner])?;
        router.connect(&outer, &format!("{nat}/29"), Some(&outside), &format!("{there}/29"))?;
        match between {
            Between::Masquerade => router.masquerade(&outer, NAT_FORGETS_S)?,
            Between::Router => {
                router.forward()?;
                outside.ip(&["route", "add", "default", "via", &nat.to_string()])?;
            }
        }
        namespace::ip(&["route", "add", &format!("{there}/32"), "via", &format!("10.214.{number}.1")])?;

        let asterisk = Asterisk::start_on(&provider(registers, nat), &outside, there).await?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        let alices = hosted::add_phone(&data, ALICE.name).await?;
        let ports = ["--sip-udp", if registers { "0.0.0.0:0" } else { "0.0.0.0:5060" }];
        let hosted = Hosted::start_wary(&data, &[&ports[..], &["--country", "49", "--area", "30"]].concat()).await?;
        let server = format!("sip:{}{transport}", asterisk.sip);
        let numbers = ["--number", "+4930501=alice", "--default-to", "alice", "--expires", "60", "--asserted-identity"];
        let add = ["trunk", "add", "provider", "--server", &server, "--user", ACCOUNT, "--password-stdin"];
        let register: &[&str] = if registers { &["--register"] } else { &[] };
        hosted.admin(&[&add[..], &numbers, register].concat(), PASSWORD).await?;
        let world = Self { asterisk, hosted, alices, _machines: [router, outside], number, folder };
        world.state("up").await?;
        if registers && between == Between::Masquerade {
            let contact = format!("@{nat}:");
            world.asterisk.says("database show registrar", &contact, PATIENCE).await.context("the NAT's address is bound")?;
        }
        Ok(world)
    }

    async fn state(&self, state: &str) -> Result<()> {
        process::eventually(&format!("the trunk is {state}"), PATIENCE, || async {
            let listed: Value = serde_json::from_str(&self.hosted.admin(&["trunk", "list", "--json"], "").await?)?;
            Ok((listed[0]["state"] == state).then_some(()))
        })
        .await
    }

    /// Alice's desk phone, which says the same sentence over and over.
    async fn desk(&self) -> Result<Baresip> {
        let file = self.folder.path().join("alice.wav");
        Sound::silence(0.5).then(&sound::sentence()?).repeated(90.0).save(&file)?;
        let at = (Ipv4Addr::LOCALHOST, self.hosted.sip_udp.port()).into();
        let account = self.alices.account(&ALICE, at, ";audio_codecs=PCMU");
        let mut desk = Baresip::start(&Setup { account, speech: file, rate: sound::RATE }).await?;
        desk.registered().await?;
        Ok(desk)
    }

    /// The office gets another address instead of its own.
    fn moves(&self) -> Result<()> {
        let (number, wire) = (self.number, format!("natin{}p", self.number));
        namespace::ip(&["addr", "add", &format!("10.215.{number}.3/24"), "dev", &wire])?;
        let there = format!("{}/32", self.asterisk.sip.ip());
        namespace::ip(&["route", "replace", &there, "via", &format!("10.215.{number}.1")])?;
        namespace::ip(&["addr", "del", &format!("10.214.{number}.2/24"), "dev", &wire])
    }

    async fn is_called(&self, extension: &str) -> Result<()> {
        let channel = format!("channel originate PJSIP/{ACCOUNT} extension {extension}@internal");
        self.asterisk.cli(&channel).await.map(drop)
    }
}

/// What a phone has heard so far has her words in it: they went out, and the echo of them came back.
fn echoed(heard: &std::path::Path) -> Result<()> {
    let found = sound::likeness(&sound::sentence()?.part(0.3, 2.0), &Sound::load(heard)?);
    ensure!(found > 0.6, "her words don't come back: {found}");
    Ok(())
}

async fn calls_go_in_and_out(number: u8, transport: &str) -> Result<()> {
    let capture = Capture::everywhere(&format!("nat{}", transport.replace([';', '='], "-")), "udp or tcp").await?;
    let world = World::new(number, Between::Masquerade, true, transport).await?;
    let mut alice = world.desk().await?;
    alice.command("dial sip:030600@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(5.0, PATIENCE).await?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    echoed(&alice.heard()?).context("a call out")?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await.context("our BYE arrives")?;

    // In, and for so long that the NAT forgets what isn't used: the provider's own BYE ends it.
    world.is_called("701").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let answered = Instant::now();
    let limit = PATIENCE + Duration::from_secs(NAT_FORGETS_S.into());
    alice.happening("CALL_CLOSED", limit).await.context("their BYE arrives")?;
    println!("the call in lasted {:.0} s", answered.elapsed().as_secs_f64());
    echoed(&alice.heard()?).context("a call in")?;
    ensure!(Sound::load(&alice.heard()?)?.seconds() > f64::from(NAT_FORGETS_S), "it was heard to its end");
    // And it is still open for the next one.
    world.is_called("700").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("hangup").await?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn a_registered_trunk_behind_a_nat_carries_calls_both_ways_over_udp() -> Result<()> {
    calls_go_in_and_out(1, "").await
}

#[tokio::test]
async fn a_registered_trunk_behind_a_nat_carries_calls_both_ways_over_tcp() -> Result<()> {
    calls_go_in_and_out(2, ";transport=tcp").await
}

/// Nobody registers: the address is learned from the answers to OPTIONS, and calls come in by the hole that these keep open.
#[tokio::test]
async fn a_peer_by_address_behind_a_nat_carries_calls_both_ways() -> Result<()> {
    let capture = Capture::everywhere("nat-peer", "udp").await?;
    let world = World::new(3, Between::Masquerade, false, "").await?;
    let mut alice = world.desk().await?;
    for way in ["out", "in"] {
        if way == "out" {
            alice.command("dial sip:030600@example.test").await?;
        } else {
            world.asterisk.cli(&format!("channel originate PJSIP/+4930501@{ACCOUNT} extension 700@internal")).await?;
            alice.happening("CALL_INCOMING", PATIENCE).await?;
            alice.command("accept").await?;
        }
        alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
        alice.hears(5.0, PATIENCE).await?;
        alice.command("hangup").await?;
        alice.happening("CALL_CLOSED", PATIENCE).await?;
        echoed(&alice.heard()?).with_context(|| format!("a call {way}"))?;
        world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    }
    capture.passed();
    world.hosted.stop().await
}

async fn a_call_survives_another_address(number: u8, transport: &str) -> Result<()> {
    let capture = Capture::everywhere(&format!("moved{}", transport.replace([';', '='], "-")), "udp or tcp").await?;
    let world = World::new(number, Between::Router, true, transport).await?;
    let mut alice = world.desk().await?;
    world.is_called("700").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(4.0, PATIENCE).await?;
    let before = sound::seconds_so_far(&alice.heard()?)?;
    let moved = Instant::now();
    world.moves()?;
    alice.hears(before + 5.0, PATIENCE).await.context("she hears nothing more from the trunk")?;
    println!("five seconds more are heard {:.1} s after the change of address", moved.elapsed().as_secs_f64());
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = Sound::load(&alice.heard()?)?;
    let last = heard.part(heard.seconds() - 4.5, 4.5);
    let found = sound::likeness(&sound::sentence()?.part(0.3, 1.0), &last);
    ensure!(found > 0.6, "her words don't come back after the change: {found}");
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await.context("our BYE arrives")?;
    // And the next call comes in.
    world.is_called("700").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("hangup").await?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn a_call_over_a_trunk_survives_another_address_over_udp() -> Result<()> {
    a_call_survives_another_address(4, "").await
}

#[tokio::test]
async fn a_call_over_a_trunk_survives_another_address_over_tcp() -> Result<()> {
    a_call_survives_another_address(5, ";transport=tcp").await
}

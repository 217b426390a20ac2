//! The app's phone when its network changes and when its server is restarted, in a network namespace of its own.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{path::PathBuf, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Hosted},
    namespace::Namespace,
    peers::keys::Keys,
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

/// Far shorter than what a dead connection takes to be noticed by its silence (45 s).
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// A server at one end of a cable, and a machine for the phone at the other.
struct World {
    hosted: Hosted,
    machine: Namespace,
    keys: Keys,
    /// The first three numbers of the cable's network.
    net: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(number: u8) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        hosted::add_person(&folder.path().join("account"), &ALICE).await?;
        let (machine, net) = (Namespace::new(&format!("app{number}"))?, format!("10.213.{number}"));
        machine.connect(&format!("app{number}"), &format!("{net}.2/24"), None, &format!("{net}.1/24"))?;
        let keys = Keys::make(folder.path(), "server")?;
        let hosted = Self::serve(&folder, &keys, &format!("{net}.1:0")).await?;
        Ok(Self { hosted, machine, keys, net, folder })
    }

    async fn serve(folder: &tempfile::TempDir, keys: &Keys, https: &str) -> Result<Hosted> {
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let more = ["--https", https, "--cert", &cert, "--key", &key];
        Hosted::start(&folder.path().join("account"), &more).await
    }

    fn heard(&self) -> PathBuf {
        self.folder.path().join("heard.wav")
    }

    /// Alice's app, which takes one call: it speaks, and notes what it hears.
    async fn phone(&self) -> Result<Running> {
        let says = self.folder.path().join("alice.wav");
        sound::speech()?.repeated(60.0).save(&says)?;
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        let server = format!("https://{}", self.hosted.address("https")?);
        command.args(["--server", &server, "--insecure-fingerprint", self.hosted.address("fingerprint")?, "--user", ALICE.name]);
        command.arg("wait").arg("--answer").arg("--play").arg(says).arg("--record").arg(self.heard());
        command.env("AFTERTONE_PASSWORD", hosted::password(ALICE.name));
        let mut command = self.machine.enter(&command);
        let mut phone = process::start(&mut command, &self.folder.path().join("phone.log"))?;
        event(&mut phone, "registered").await?;
        Ok(phone)
    }

    /// The machine gets another address instead of its own.
    fn move_to(&self, last: u8) -> Result<()> {
        let wire = format!("app{}", self.net.rsplit('.').next().unwrap_or_default());
        self.machine.ip(&["addr", "flush", "dev", &wire])?;
        self.machine.ip(&["addr", "add", &format!("{}.{last}/24", self.net), "dev", &wire])
    }

    async fn caller(&self) -> Result<Baresip> {
        let speech = self.folder.path().join("caller.wav");
        sound::speech()?.repeated(60.0).save(&speech)?;
        let account = "\"Caller\" <sip:+4930901821@caller.example>;regint=0;audio_codecs=PCMU".to_owned();
        let mut caller = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        caller.command(&format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp)).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        Ok(caller)
    }
}

/// The next event of that kind; what else is told is passed over.
async fn event(phone: &mut Running, kind: &str) -> Result<Value> {
    event_within(phone, kind, PATIENCE).await
}

async fn event_within(phone: &mut Running, kind: &str, limit: Duration) -> Result<Value> {
    let end = Instant::now() + limit;
    loop {
        let line = phone.line(end - Instant::now()).await.with_context(|| format!("no {kind}"))?;
        let event: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        ensure!(event["event"] != "ended" || kind == "ended", "the call has ended: {line}");
        if event["event"] == kind {
            return Ok(event);
        }
    }
}

fn seconds(path: &std::path::Path) -> f64 {
    sound::seconds_so_far(path).unwrap_or(0.0)
}

#[tokio::test]
async fn a_call_survives_another_address_and_sound_goes_on_both_ways() -> Result<()> {
    let world = World::new(1).await?;
    let mut phone = world.phone().await?;
    let mut caller = world.caller().await?;
    event(&mut phone, "answered").await?;
    caller.hears(1.0, PATIENCE).await?;

    let moved = Instant::now();
    world.move_to(3)?;
    event_within(&mut phone, "registered", BACK_WITHIN).await?;
    println!("registered from the new address after {:.1} s", moved.elapsed().as_secs_f64());
    // What the caller hears is written as it comes: it goes on growing.
    let (at_caller, at_phone) = (seconds(&caller.heard()?), seconds(&world.heard()));
    caller.hears(at_caller + 2.0, PATIENCE).await.context("the caller hears nothing more")?;
    println!("the caller hears two seconds more after {:.1} s", moved.elapsed().as_secs_f64());
    caller.command("hangup").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    event(&mut phone, "ended").await?;
    phone.ended(PATIENCE).await?;
    let heard = Sound::load(&world.heard())?;
    ensure!(heard.seconds() > at_phone + 2.0, "the phone heard {} s, {at_phone} s of it before", heard.seconds());
    let last = heard.part(heard.seconds() - 2.0, 1.5);
    ensure!(last.level() > -50.0, "the phone hears nothing after the change: {} dBFS", last.level());
    Ok(())
}

#[tokio::test]
async fn a_restarted_server_has_its_phones_back() -> Result<()> {
    let World { hosted, machine, keys, net, folder } = World::new(2).await?;
    let https = hosted.address("https")?.to_owned();
    let world = World { hosted, machine, keys, net, folder };
    let mut phone = world.phone().await?;
    let World { hosted, machine, keys, net, folder } = world;
    hosted.stop().await?;
    let hosted = World::serve(&folder, &keys, &https).await?;
    let ready = Instant::now();
    let world = World { hosted, machine, keys, net, folder };
    event_within(&mut phone, "registered", BACK_WITHIN).await?;
    println!("registered {:.1} s after the restart", ready.elapsed().as_secs_f64());
    let mut caller = world.caller().await?;
    event(&mut phone, "answered").await?;
    caller.command("hangup").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_call_lost_on_its_way_is_in_its_record() -> Result<()> {
    let world = World::new(3).await?;
    let mut phone = world.phone().await?;
    let mut caller = world.caller().await?;
    event(&mut phone, "answered").await?;
    caller.hears(1.0, PATIENCE).await?;
    // From now on every tenth packet to the phone is lost.
    world.machine.filter(
        "add table inet f; add chain inet f in { type filter hook input priority 0; policy accept; }; \
         add rule inet f in meta l4proto udp numgen inc mod 10 0 drop",
    )?;
    caller.hears(9.0, PATIENCE).await?;
    caller.command("hangup").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    event(&mut phone, "ended").await?;
    let figures = world.hosted.sign_in(ALICE.name).await?.wait_for_figures(PATIENCE).await?;
    println!("{figures}");
    let number = |of: &str, what: &str| figures[of][what].as_u64().with_context(|| format!("no {what} {of}: {figures}"));
    ensure!(figures["codec"] == "PCMU" && figures["path"] == "relay" && figures["encrypted"] == true, "{figures}");
    // Of eight seconds' packets, and what no report has told yet.
    let lost = number("outbound", "lost")?;
    ensure!((20..=60).contains(&lost), "{figures}");
    ensure!(number("inbound", "lost")? <= 2, "{figures}");
    ensure!(number("outbound", "mos_centi")? + 30 < number("inbound", "mos_centi")?, "{figures}");
    ensure!(figures["round_trip_ms"].as_u64().is_some_and(|ms| ms < 200), "{figures}");
    world.hosted.stop().await
}

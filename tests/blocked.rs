//! The app's phone in networks that let little through: only a TURN server, or no UDP at all.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use aftertone_media::container;
use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, BOB, Hosted, Person},
    namespace::Namespace,
    peers::{coturn::Coturn, keys::Keys},
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Before anything is said: the way has to be found first.
const LEAD_S: f64 = 4.0;
const SECRET: &str = "a secret between two servers";

/// A server and perhaps a TURN server at one end of a cable, a machine for the phone at the other.
struct World {
    hosted: Hosted,
    coturn: Option<Coturn>,
    machine: Namespace,
    folder: tempfile::TempDir,
}

impl World {
    /// The server tells devices of a TURN server with the secret `told`, if any; the server's is [`SECRET`].
    async fn new(number: u8, told: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        hosted::add_person(&data, &BOB).await?;
        let (machine, net) = (Namespace::new(&format!("blk{number}"))?, format!("10.214.{number}"));
        machine.connect(&format!("blk{number}"), &format!("{net}.2/24"), None, &format!("{net}.1/24"))?;
        let keys = Keys::make(folder.path(), "server")?;
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let https = format!("{net}.1:0");
        let mut more = vec!["--https", &https, "--cert", &cert, "--key", &key];
        let turn: SocketAddr = format!("{net}.1:{}", process::free_port()?).parse()?;
        let uri = format!("turn:{turn}");
        let mut coturn = None;
        if let Some(told) = told {
            coturn = Some(Coturn::start(turn, SECRET).await?);
            more.extend(["--turn", &uri, "--turn-secret", told]);
        }
        let hosted = Hosted::start(&data, &more).await?;
        Ok(Self { hosted, coturn, machine, folder })
    }

    fn https(&self) -> Result<SocketAddr> {
        Ok(self.hosted.address("https")?.parse()?)
    }

    /// The machine's packet filter drops what a rule of these names.
    fn block(&self, rules: &[String]) -> Result<()> {
        let chain = "add table inet f; add chain inet f out { type filter hook output priority 0; policy accept; }";
        let rules = rules.iter().map(|rule| format!("; add rule inet f out {rule} drop"));
        self.machine.filter(&rules.fold(chain.to_owned(), |all, rule| all + &rule))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, name: &str, sound: &Sound) -> Result<PathBuf> {
        let path = self.file(name);
        sound.save(&path)?;
        Ok(path)
    }

    /// A phone of this person's on the machine.
    fn phone(&self, person: &Person<'_>, arguments: &[&str]) -> Result<Running> {
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        let server = format!("https://{}", self.https()?);
        command.args(["--server", &server, "--insecure-fingerprint", self.hosted.address("fingerprint")?, "--user", person.name]);
        command.args(arguments).env("AFTERTONE_PASSWORD", hosted::password(person.name));
        process::start(&mut self.machine.enter(&command), &self.file(&format!("{}.log", person.name)))
    }

    /// Somebody outside calls Alice, both speak at the same time, and hear each other. What her phone told.
    async fn both_hear_each_other(&self) -> Result<Vec<Value>> {
        let words = [sound::sentence()?, sound::reply()?];
        let play = self.save("alice.wav", &Sound::silence(LEAD_S).then(&words[0]).then(&Sound::silence(30.0)))?;
        let record = self.file("heard.wav");
        let mut alice = self.phone(&ALICE, &["wait", "--answer", "--play", text(&play), "--record", text(&record)])?;
        let mut told = until(&mut alice, "registered").await?;
        let speech = self.save("caller.wav", &Sound::silence(LEAD_S).then(&words[1]).then(&Sound::silence(30.0)))?;
        let account = "\"Caller\" <sip:+4930901821@caller.example>;regint=0;audio_codecs=opus/48000/2".to_owned();
        let mut caller = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        caller.command(&format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp)).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        caller.hears(LEAD_S + words[0].seconds() + 2.0, PATIENCE).await?;
        caller.command("hangup").await?;
        caller.happening("CALL_CLOSED", PATIENCE).await?;
        told.extend(until(&mut alice, "ended").await?);
        alice.ended(PATIENCE).await?;
        well_heard("the caller", &words[0], &Sound::load(&caller.heard()?)?)?;
        well_heard("the app", &words[1], &load(&record)?)?;
        Ok(told)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn load(path: &Path) -> Result<Sound> {
    let decoded = container::decode(&std::fs::read(path)?)?;
    Ok(Sound(sound::to_rate(&decoded.samples, decoded.rate)?))
}

fn well_heard(who: &str, said: &Sound, heard: &Sound) -> Result<()> {
    let quality = sound::quality(said, heard)?;
    println!("{who} heard {quality:?}");
    ensure!(quality.pesq >= 3.8 && quality.stretch_s.abs() < 0.06, "{who} heard {quality:?}");
    Ok(())
}

/// All that a phone tells up to an event of this kind.
async fn until(phone: &mut Running, kind: &str) -> Result<Vec<Value>> {
    let mut told = Vec::new();
    loop {
        let line = phone.line(PATIENCE).await.with_context(|| format!("no {kind}, but {told:?}"))?;
        let event: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        ensure!(event["event"] != "error", "{line}");
        told.push(event);
        if told.last().is_some_and(|event| event["event"] == kind) {
            return Ok(told);
        }
    }
}

/// The ways on which a call's sound went.
fn paths(told: &[Value]) -> Vec<&str> {
    told.iter().filter_map(|event| event["path"].as_str()).collect()
}

#[tokio::test]
async fn where_only_the_turn_server_is_reached_sound_goes_through_it() -> Result<()> {
    let world = World::new(1, Some(SECRET)).await?;
    let coturn = world.coturn.as_ref().context("no coturn")?;
    let (turn, https) = (coturn.address.port(), world.https()?.port());
    world.block(&[format!("udp dport != {turn}"), format!("tcp dport != {https}")])?;
    let told = world.both_hear_each_other().await?;
    let paths = paths(&told);
    ensure!(!paths.is_empty() && paths.iter().all(|path| *path == "relayed"), "{paths:?}");
    // The server's own count, at the end of the session: 50 packets a second each way.
    let counted = || async {
        let (sent, received) = coturn.relayed();
        Ok((sent > 300 && received > 300).then_some((sent, received)))
    };
    let counted = process::eventually("coturn has relayed", PATIENCE, counted).await;
    println!("coturn relayed {:?} packets", counted.with_context(|| coturn.log())?);
    world.hosted.stop().await
}

#[tokio::test]
async fn a_turn_server_that_gives_no_relay_is_told_of_and_calls_go_without_it() -> Result<()> {
    let world = World::new(2, Some("another secret")).await?;
    let told = world.both_hear_each_other().await?;
    let paths = paths(&told);
    ensure!(!paths.is_empty() && paths.iter().all(|path| *path == "direct"), "{paths:?}");
    let log = std::fs::read_to_string(world.file("alice.log"))?;
    ensure!(log.contains("no TURN server gave a relay"), "{log}");
    ensure!(!log.contains("another secret"), "{log}");
    world.hosted.stop().await
}

#[tokio::test]
async fn where_udp_is_blocked_calls_and_messages_go_over_tcp() -> Result<()> {
    let world = World::new(3, None).await?;
    world.block(&["meta l4proto udp".into()])?;
    world.both_hear_each_other().await?;
    // The app as the caller, and the mailbox that answers.
    let words = sound::sentence()?;
    let play = world.save("bob.wav", &Sound::silence(LEAD_S).then(&words).then(&Sound::silence(0.5)))?;
    let record = world.file("greeting.wav");
    let call = ["call", "1001", "--press", "#", "--play", text(&play), "--record", text(&record)];
    let mut bob = world.phone(&BOB, &call)?;
    until(&mut bob, "ended").await?;
    bob.ended(PATIENCE).await?;
    sound::tone_end(&load(&record)?, 1000.0).context("no beep was heard")?;
    let alice = world.hosted.sign_in(ALICE.name).await?;
    let message = alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    let bytes = alice.bytes(&format!("messages/{}/audio", message["id"].as_str().context("no id")?)).await?;
    let stored = world.file("stored.ogg");
    std::fs::write(&stored, bytes)?;
    well_heard("the mailbox", &words, &load(&stored)?)?;
    world.hosted.stop().await
}

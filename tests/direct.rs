//! Two of our devices in one network: their sound goes from one to the other, unseen by the server, and by the server when
//! they don't reach each other.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::path::{Path, PathBuf};

use aftertone_media::container;
use aftertone_tests::{
    hosted::{self, ALICE, BOB, Hosted, Person},
    namespace::Namespace,
    peers::{capture::Capture, keys::Keys},
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A server and two machines at one switch.
struct World {
    hosted: Hosted,
    alices: Namespace,
    bobs: Namespace,
    /// The server's end of its cable.
    wire: String,
    net: String,
    _switch: Namespace,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(number: u8) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        hosted::add_person(&data, &BOB).await?;
        let net = format!("10.215.{number}");
        let switch = Namespace::new(&format!("sw{number}"))?;
        switch.ip(&["link", "add", "br0", "type", "bridge"])?;
        switch.ip(&["link", "set", "br0", "up"])?;
        let port = |name: &str| -> Result<()> {
            switch.ip(&["addr", "flush", "dev", name])?;
            switch.ip(&["link", "set", "dev", name, "master", "br0"])
        };
        let (alices, bobs) = (Namespace::new(&format!("al{number}"))?, Namespace::new(&format!("bo{number}"))?);
        for (machine, wire, last) in [(&alices, "al", 2), (&bobs, "bo", 3)] {
            machine.connect(wire, &format!("{net}.{last}/24"), Some(&switch), "192.0.2.1/32")?;
            port(&format!("{wire}p"))?;
        }
        let wire = format!("dsw{number}");
        switch.connect(&wire, "192.0.2.1/32", None, &format!("{net}.1/24"))?;
        port(&wire)?;
        let keys = Keys::make(folder.path(), "server")?;
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let hosted = Hosted::start(&data, &["--https", &format!("{net}.1:0"), "--cert", &cert, "--key", &key]).await?;
        Ok(Self { hosted, alices, bobs, wire: format!("{wire}p"), net, _switch: switch, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A phone of this person's, which says this in its call and notes what it hears in `NAME.wav`.
    fn phone(&self, machine: &Namespace, person: &Person<'_>, what: &[&str], says: &Sound) -> Result<Running> {
        let (play, record) = (self.file(&format!("{}-says.wav", person.name)), self.heard(person));
        says.save(&play)?;
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        let server = format!("https://{}", self.hosted.address("https")?);
        command.args(["--server", &server, "--insecure-fingerprint", self.hosted.address("fingerprint")?, "--user", person.name]);
        command.args(what).arg("--play").arg(play).arg("--record").arg(record);
        command.env("AFTERTONE_PASSWORD", hosted::password(person.name));
        process::start(&mut machine.enter(&command), &self.file(&format!("{}.log", person.name)))
    }

    fn heard(&self, person: &Person<'_>) -> PathBuf {
        self.file(&format!("{}.wav", person.name))
    }

    /// Bob's phone waits, Alice's calls him for so long; both talk.
    async fn call(&self, length: &str, says: [&Sound; 2]) -> Result<[Running; 2]> {
        let mut bob = self.phone(&self.bobs, &BOB, &["wait", "--answer"], says[1])?;
        until(&mut bob, "registered").await?;
        let mut alice = self.phone(&self.alices, &ALICE, &["call", "1002", "--for", length], says[0])?;
        until(&mut alice, "answered").await?;
        Ok([alice, bob])
    }

    /// The two machines don't reach each other any more.
    fn part(&self) -> Result<()> {
        for (machine, other) in [(&self.alices, 3), (&self.bobs, 2)] {
            machine.filter(&format!(
                "add table inet f; add chain inet f in {{ type filter hook input priority 0; policy accept; }}; \
                 add rule inet f in ip saddr {}.{other} drop",
                self.net
            ))?;
        }
        Ok(())
    }
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

async fn over(phones: [Running; 2]) -> Result<()> {
    for mut phone in phones {
        let told = until(&mut phone, "ended").await?;
        let end = told.last().map(|event| event["reason"].clone()).unwrap_or_default();
        ensure!(end == "local_hangup" || end == "remote_hangup", "{told:?}");
        phone.ended(PATIENCE).await?;
    }
    Ok(())
}

/// Both talk after so much silence; the packets of sound that the server saw.
async fn talk(world: &World, capture: &Capture, lead_s: f64, length: &str) -> Result<usize> {
    let words = [sound::sentence()?, sound::reply()?];
    let says = words.clone().map(|words| Sound::silence(lead_s).then(&words).then(&Sound::silence(30.0)));
    let phones = world.call(length, [&says[0], &says[1]]).await?;
    over(phones).await?;
    well_heard("Bob", &words[0], &load(&world.heard(&BOB))?)?;
    well_heard("Alice", &words[1], &load(&world.heard(&ALICE))?)?;
    capture.packets().await
}

#[tokio::test]
async fn sound_goes_from_device_to_device_and_the_server_sees_no_packet_of_it() -> Result<()> {
    let world = World::new(1).await?;
    let capture = Capture::start_at(&world.wire, "direct", "udp").await?;
    let packets = talk(&world, &capture, 2.0, "11s").await?;
    ensure!(packets == 0, "the server saw {packets} packets");
    for person in [ALICE, BOB] {
        let figures = world.hosted.sign_in(person.name).await?.wait_for_figures(PATIENCE).await?;
        println!("{}: {figures}", person.name);
        ensure!(figures["path"] == "direct" && figures["codec"] == "opus", "{figures}");
        // What only the devices know, they have said.
        for way in ["inbound", "outbound"] {
            ensure!(figures[way]["packets"].as_u64() > Some(300) && figures[way]["mos_centi"].as_u64() >= Some(400), "{figures}");
        }
    }
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn devices_that_do_not_reach_each_other_talk_by_the_server() -> Result<()> {
    let world = World::new(2).await?;
    world.part()?;
    let capture = Capture::start_at(&world.wire, "relayed", "udp").await?;
    // Nothing is played before the way by the server stands, five seconds after the answer.
    let packets = talk(&world, &capture, 2.0, "19s").await?;
    println!("the server saw {packets} packets");
    ensure!(packets > 1000, "the server saw {packets} packets");
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn a_way_that_is_cut_in_a_call_is_replaced_by_the_server() -> Result<()> {
    let world = World::new(3).await?;
    let capture = Capture::start_at(&world.wire, "cut", "udp").await?;
    let speech = sound::speech()?.repeated(60.0);
    let [mut alice, bob] = world.call("25s", [&speech, &speech]).await?;
    until(&mut alice, "quality").await?;
    until(&mut alice, "quality").await?;
    ensure!(capture.packets().await? == 0, "it did not go directly");
    world.part()?;
    over([alice, bob]).await?;
    let packets = capture.packets().await?;
    println!("the server saw {packets} packets");
    ensure!(packets > 500, "the server saw {packets} packets");
    for person in [ALICE, BOB] {
        let heard = load(&world.heard(&person))?;
        let last = heard.part(heard.seconds() - 4.0, 3.0);
        ensure!(last.level() > -50.0, "{} hears nothing at the end: {} dBFS", person.name, last.level());
    }
    capture.passed();
    world.hosted.stop().await
}

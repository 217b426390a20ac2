//! The phone for the terminal, with other people's phones and the real server.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
};

use aftertone_media::container;
use aftertone_model::Timestamp;
use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, BOB, Hosted, Person, Phone},
    process::{self, PATIENCE, Running},
    sound::{self, Quality, Sound},
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

const LEAD_S: f64 = 1.5;
const CALLER: &str = "+4930901821";

/// An `aftertone-phone` that runs.
struct Terminal {
    running: Running,
    /// What it told so far.
    told: Vec<Value>,
}

impl Terminal {
    async fn start(world: &World, person: &Person<'_>, arguments: &[&str]) -> Result<Self> {
        Self::start_at(&world.hosted.http, person, &hosted::password(person.name), arguments, world.folder.path()).await
    }

    async fn start_at(server: &str, person: &Person<'_>, password: &str, arguments: &[&str], folder: &Path) -> Result<Self> {
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        command.args(["--server", server, "--user", person.name, "--password-stdin"]).args(arguments);
        let log = folder.join(format!("{}.log", person.name));
        let running = process::start_with_line(&mut command, password, &log).await?;
        Ok(Self { running, told: Vec::new() })
    }

    /// Waits for an event of this kind.
    async fn event(&mut self, kind: &str) -> Result<Value> {
        loop {
            let line = self.running.line(PATIENCE).await.with_context(|| format!("no {kind}, but {:?}", self.told))?;
            let event: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
            ensure!(event["at"].is_string(), "when? {line}");
            self.told.push(event.clone());
            match event["event"].as_str() {
                Some(found) if found == kind => return Ok(event),
                Some("error") => bail!("{line}"),
                Some(_) => {}
                None => bail!("what? {line}"),
            }
        }
    }

    /// Waits for its end; whatever else it told is kept.
    async fn ended(mut self) -> Result<(ExitStatus, Vec<Value>)> {
        while let Some(line) = self.running.line_or_end(PATIENCE).await? {
            self.told.push(serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?);
        }
        Ok((self.running.ended(PATIENCE).await?, self.told))
    }

    /// Waits for its end, which is a good one; all that it told.
    async fn done(self) -> Result<Vec<Value>> {
        let (status, told) = self.ended().await?;
        ensure!(status.success(), "{status}: {told:?}");
        Ok(told)
    }
}

/// What was told of that kind.
fn of<'a>(told: &'a [Value], kind: &str) -> Vec<&'a Value> {
    told.iter().filter(|event| event["event"] == kind).collect()
}

struct World {
    hosted: Hosted,
    alice: Api,
    bob: Api,
    bobs: Phone,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        Self::with_ring(20).await
    }

    async fn with_ring(ring_s: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &Person { ring_s, ..ALICE }).await?;
        hosted::add_person(&data, &BOB).await?;
        let bobs = hosted::add_phone(&data, BOB.name).await?;
        let hosted = Hosted::start(&data, &[]).await?;
        let (alice, bob) = (hosted.sign_in(ALICE.name).await?, hosted.sign_in(BOB.name).await?);
        Ok(Self { hosted, alice, bob, bobs, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, name: &str, sound: &Sound) -> Result<PathBuf> {
        let path = self.file(name);
        sound.save(&path)?;
        Ok(path)
    }

    /// A baresip, in `codec`, that says this in its calls.
    async fn baresip(&self, account: &str, codec: &str, says: &Sound) -> Result<Baresip> {
        let speech = self.save("baresip.wav", says)?;
        Baresip::start(&Setup { account: format!("{account};audio_codecs={codec}"), speech, rate: sound::RATE }).await
    }

    /// Somebody outside calls Alice.
    async fn caller(&self, codec: &str, says: &Sound) -> Result<Baresip> {
        let mut caller = self.baresip(&format!("\"Caller\" <sip:{CALLER}@caller.example>;regint=0"), codec, says).await?;
        caller.command(&format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp)).await?;
        Ok(caller)
    }

    /// A caller who is answered by Alice's mailbox skips the greeting and speaks.
    async fn leave_message(&self, caller: &mut Baresip) -> Result<()> {
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        caller.hears(0.4, PATIENCE).await?;
        caller.command("sndcode #").await?;
        caller.happening("CALL_CLOSED", PATIENCE).await?;
        Ok(())
    }

    /// Makes sure that nothing of `aftertone-phone` is left but this test's own device.
    async fn signed_out(&self, api: &Api) -> Result<()> {
        let devices = api.get("devices").await?;
        let apps = devices.as_array().context("no list")?.iter().filter(|device| device["kind"] == "app").count();
        ensure!(apps == 1, "{devices}");
        Ok(())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn load(path: &Path) -> Result<Sound> {
    let decoded = container::decode(&std::fs::read(path)?)?;
    Ok(Sound(sound::to_rate(&decoded.samples, decoded.rate)?))
}

fn well_heard(who: &str, said: &Sound, heard: &Sound, pesq: f64) -> Result<Quality> {
    let quality = sound::quality(said, heard)?;
    println!("{who} heard {quality:?}");
    ensure!(quality.pesq >= pesq && quality.stretch_s.abs() < 0.06, "{who} heard {quality:?}");
    Ok(quality)
}

/// Somebody outside calls; the terminal answers, and hangs up after ten seconds. Both hear each other.
async fn answers(codec: &str, pesq: f64) -> Result<()> {
    let world = World::new().await?;
    let (callers_words, alices_words) = (sound::reply()?, sound::sentence()?);
    let play = world.save("alice.wav", &Sound::silence(LEAD_S).then(&alices_words).then(&Sound::silence(5.0)))?;
    let record = world.file("heard.wav");
    let wait = ["wait", "--answer", "--play", text(&play), "--record", text(&record), "--for", "10s"];
    let mut alice = Terminal::start(&world, &ALICE, &wait).await?;
    alice.event("registered").await?;
    let says = Sound::silence(LEAD_S).then(&callers_words).then(&Sound::silence(30.0));
    let mut caller = world.caller(codec, &says).await?;
    let incoming = alice.event("incoming").await?;
    assert_eq!((&incoming["from"], &incoming["name"]), (&CALLER.into(), &"Caller".into()), "{incoming}");
    let answered = alice.event("answered").await?;
    assert_eq!(answered["call"], incoming["call"], "{answered}");
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let ended = alice.event("ended").await?;
    assert_eq!((&ended["call"], &ended["reason"]), (&incoming["call"], &"local_hangup".into()), "{ended}");
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    let told = alice.done().await?;
    // The server says what it gets of her, and it is what was sent.
    let last = of(&told, "quality").into_iter().next_back().context("no figures")?;
    assert_eq!((&last["sent"]["loss_permille"], &last["unheard"]), (&0.into(), &false.into()), "{last}");

    well_heard(&format!("the caller ({codec})"), &alices_words, &Sound::load(&caller.heard()?)?, pesq)?;
    well_heard(&format!("the terminal ({codec})"), &callers_words, &load(&record)?, pesq)?;
    world.signed_out(&world.alice).await?;
    let record = world.alice.wait_for_records(1, PATIENCE).await?.remove(0);
    assert_eq!((&record["call"], &record["end"]), (&incoming["call"], &"local_hangup".into()), "one call id for all: {record}");
    world.hosted.stop().await
}

#[tokio::test]
async fn it_answers_a_call_in_mu_law() -> Result<()> {
    answers("PCMU", 3.8).await
}

#[tokio::test]
async fn a_call_that_is_held_and_resumed_is_answered_once_and_its_time_runs_on() -> Result<()> {
    let world = World::new().await?;
    let mut alice = Terminal::start(&world, &ALICE, &["wait", "--answer", "--for", "6s"]).await?;
    alice.event("registered").await?;
    let mut caller = world.caller("PCMU", &Sound::silence(30.0)).await?;
    let answered = time_of(&alice.event("answered").await?)?;
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    // One comes each second.
    for _ in 0..4 {
        alice.event("quality").await?;
    }
    caller.command("hold").await?;
    caller.command("resume").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    let told = alice.done().await?;
    assert_eq!(of(&told, "answered").len(), 1, "{told:?}");
    let ended = of(&told, "ended");
    assert_eq!((ended.len(), &ended[0]["reason"]), (1, &"local_hangup".into()), "{told:?}");
    let lasted = time_of(ended[0])?.duration_since(answered).as_secs_f64();
    assert!((5.9..9.5).contains(&lasted), "six seconds from the answer on, not from the last resume: {lasted}");
    world.hosted.stop().await
}

fn time_of(event: &Value) -> Result<Timestamp> {
    Ok(event["at"].as_str().context("when?")?.parse()?)
}

#[tokio::test]
async fn it_answers_a_call_in_opus() -> Result<()> {
    answers("opus/48000/2", 3.8).await
}

#[tokio::test]
async fn it_calls_a_desk_phone() -> Result<()> {
    let world = World::new().await?;
    let (alices_words, bobs_words) = (sound::sentence()?, sound::reply()?);
    let says = Sound::silence(LEAD_S).then(&bobs_words).then(&Sound::silence(30.0));
    let account = world.bobs.account(&BOB, world.hosted.sip_udp, "");
    let mut bob = world.baresip(&account, "PCMA", &says).await?;
    bob.registered().await?;
    // Without --for it hangs up when all is said.
    let play = world.save("alice.wav", &Sound::silence(LEAD_S).then(&alices_words).then(&Sound::silence(0.5)))?;
    let record = world.file("heard.wav");
    let call = ["call", "1002", "--play", text(&play), "--record", text(&record)];
    let mut alice = Terminal::start(&world, &ALICE, &call).await?;
    let dialing = alice.event("dialing").await?;
    assert_eq!(dialing["to"], "1002", "{dialing}");
    let from = bob.happening("CALL_INCOMING", PATIENCE).await?.parameter;
    assert!(from.contains("1001"), "{from}");
    assert_eq!(alice.event("ringing").await?["call"], dialing["call"]);
    bob.command("accept").await?;
    assert_eq!(alice.event("answered").await?["call"], dialing["call"]);
    let ended = alice.event("ended").await?;
    assert_eq!((&ended["call"], &ended["reason"]), (&dialing["call"], &"local_hangup".into()), "{ended}");
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    alice.done().await?;

    well_heard("the desk phone", &alices_words, &Sound::load(&bob.heard()?)?, 3.8)?;
    well_heard("the terminal", &bobs_words, &load(&record)?, 3.8)?;
    world.signed_out(&world.alice).await?;
    let record = world.bob.wait_for_records(1, PATIENCE).await?.remove(0);
    assert_eq!((&record["party"]["number"], &record["party"]["name"]), (&"1001".into(), &"Alice Adler".into()), "{record}");
    world.hosted.stop().await
}

#[tokio::test]
async fn it_leaves_a_message_over_webrtc() -> Result<()> {
    let world = World::new().await?;
    let words = sound::sentence()?;
    let play = world.save("bob.wav", &Sound::silence(6.0).then(&words).then(&Sound::silence(0.5)))?;
    let record = world.file("heard.wav");
    let call = ["call", "alice", "--press", "#", "--play", text(&play), "--record", text(&record)];
    let told = Terminal::start(&world, &BOB, &call).await?.done().await?;
    assert_eq!(of(&told, "answered").len(), 1, "{told:?}");
    let beep_end = sound::tone_end(&load(&record)?, 1000.0).context("no beep")?;
    assert!(beep_end < 6.0, "the key skipped the greeting: the beep was over after {beep_end:.2} s");
    let message = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!((&message["caller"]["number"], &message["reason"]), (&"1002".into(), &"offline".into()), "{message}");
    assert_eq!(message["media_type"], "audio/ogg", "{message}");
    let bytes = world.alice.bytes(&format!("messages/{}/audio", message["id"].as_str().context("no id")?)).await?;
    let stored = world.file("stored.ogg");
    std::fs::write(&stored, bytes)?;
    well_heard("the mailbox", &words, &load(&stored)?, 3.8)?;
    world.hosted.stop().await
}

#[tokio::test]
async fn a_test_message_of_the_built_in_phone_arrives() -> Result<()> {
    let world = World::new().await?;
    let told = Terminal::start(&world, &ALICE, &["test-message"]).await?.done().await?;
    let states: Vec<_> = of(&told, "test_message").iter().map(|event| event["state"].as_str().unwrap_or_default()).collect();
    assert_eq!(states, ["calling", "greeting", "speaking", "hung_up"], "{told:?}");
    let messages = of(&told, "message");
    assert_eq!(messages.len(), 1, "{told:?}");
    let message = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!((&message["id"], &message["reason"]), (&messages[0]["id"], &"direct".into()), "{message}");
    let bytes = world.alice.bytes(&format!("messages/{}/audio", message["id"].as_str().context("no id")?)).await?;
    let stored = world.file("stored.ogg");
    std::fs::write(&stored, bytes)?;
    well_heard("the mailbox", &sound::asset("test-message.wav")?, &load(&stored)?, 3.8)?;
    world.hosted.stop().await
}

#[tokio::test]
async fn a_caller_whom_it_declines_leaves_a_message() -> Result<()> {
    let world = World::new().await?;
    let mut alice = Terminal::start(&world, &ALICE, &["wait", "--decline"]).await?;
    alice.event("registered").await?;
    let mut caller = world.caller("PCMU", &Sound::silence(LEAD_S).then(&sound::reply()?)).await?;
    let ended = alice.event("ended").await?;
    assert_eq!(ended["reason"], "declined", "{ended}");
    let told = alice.done().await?;
    assert_eq!((of(&told, "incoming").len(), of(&told, "missed").len()), (1, 0), "declined, not missed: {told:?}");
    world.leave_message(&mut caller).await?;
    let message = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!((&message["reason"], &message["call"]), (&"declined".into(), &ended["call"]), "{message}");
    world.hosted.stop().await
}

#[tokio::test]
async fn a_call_that_it_lets_ring_is_missed_and_the_message_is_told_at_once() -> Result<()> {
    let world = World::with_ring(5).await?;
    let mut watching = Terminal::start(&world, &ALICE, &["mailbox", "watch"]).await?;
    watching.event("connected").await?;
    let mut ignoring = Terminal::start(&world, &ALICE, &["wait", "--ignore"]).await?;
    ignoring.event("registered").await?;
    let mut caller = world.caller("opus/48000/2", &Sound::silence(LEAD_S).then(&sound::reply()?)).await?;
    let incoming = ignoring.event("incoming").await?;
    let missed = ignoring.event("missed").await?;
    assert_eq!((&missed["call"], &missed["from"]), (&incoming["call"], &CALLER.into()), "{missed}");
    let ended = ignoring.event("ended").await?;
    assert_eq!(ended["reason"], "diverted", "{ended}");
    ignoring.done().await?;

    world.leave_message(&mut caller).await?;
    let hung_up = tokio::time::Instant::now();
    let message = watching.event("message").await?;
    let after = hung_up.elapsed();
    println!("told {after:?} after the caller hung up");
    let listed = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    let fields = ["id", "call", "reason", "state", "received_at", "urgent", "interrupted"];
    for field in fields {
        assert_eq!(message[field], listed[field], "{field}");
    }
    assert_eq!((&message["from"], &message["name"]), (&CALLER.into(), &"Caller".into()), "{message}");
    assert_eq!((&message["reason"], &message["call"]), (&"no_answer".into(), &incoming["call"]), "{message}");
    assert_eq!(message["duration_s"].as_f64(), listed["duration_ms"].as_f64().map(|ms| ms / 1000.0), "{message}");
    assert_eq!(message["forwarded"], Value::Null, "{message}");

    // Whatever another device does is told too.
    world.alice.act(&listed, "heard").await?;
    let changed = watching.event("changed").await?;
    assert_eq!((&changed["id"], &changed["state"]), (&listed["id"], &"heard".into()), "{changed}");
    world.alice.act(&listed, "expunge").await?;
    assert_eq!(watching.event("changed").await?["state"], "expunged");
    let status = watching.running.terminate(PATIENCE).await?;
    assert!(status.success(), "{status}");
    world.signed_out(&world.alice).await?;
    world.hosted.stop().await
}

#[tokio::test]
async fn messages_are_listed_played_forwarded_deleted_and_restored() -> Result<()> {
    let world = World::new().await?;
    let words = sound::sentence()?;
    let mut caller = world.caller("PCMU", &Sound::silence(LEAD_S).then(&words).then(&Sound::silence(0.5))).await?;
    world.leave_message(&mut caller).await?;
    let listed = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    let id = listed["id"].as_str().context("no id")?;
    let state = || async { Ok::<_, anyhow::Error>(world.alice.messages().await?.remove(0)["state"].clone()) };

    let told = Terminal::start(&world, &ALICE, &["mailbox", "list"]).await?.done().await?;
    assert!(told.iter().all(|line| line["event"] == "message"), "nothing but messages: {told:?}");
    let messages = of(&told, "message");
    assert_eq!(messages.len(), 1, "{told:?}");
    assert_eq!((&messages[0]["id"], &messages[0]["state"]), (&id.into(), &"new".into()), "{told:?}");
    assert_eq!((&messages[0]["from"], &messages[0]["reason"]), (&CALLER.into(), &"offline".into()), "{told:?}");

    let record = world.file("played.wav");
    let told = Terminal::start(&world, &ALICE, &["mailbox", "play", id, "--record", text(&record)]).await?.done().await?;
    let changed = of(&told, "changed");
    assert!(changed.iter().any(|event| event["id"] == id && event["state"] == "heard"), "{told:?}");
    assert_eq!(state().await?, "heard");
    well_heard("who plays the message", &words, &load(&record)?, 4.0)?;

    let forward = ["mailbox", "forward", id, "--to", "bob", "--note", "Could you call back?"];
    let told = Terminal::start(&world, &ALICE, &forward).await?.done().await?;
    let forwarded = of(&told, "forwarded");
    assert_eq!(forwarded.len(), 1, "{told:?}");
    assert_eq!((&forwarded[0]["id"], &forwarded[0]["to"]), (&id.into(), &"1002".into()), "{told:?}");
    let told = Terminal::start(&world, &BOB, &["mailbox", "list"]).await?.done().await?;
    let bobs = of(&told, "message");
    assert_eq!(bobs.len(), 1, "{told:?}");
    assert_eq!((&bobs[0]["id"], &bobs[0]["from"]), (&forwarded[0]["message"], &CALLER.into()), "{told:?}");
    assert_eq!(bobs[0]["forwarded"]["from"], "1001", "{told:?}");
    assert_eq!(bobs[0]["forwarded"]["note"], "Could you call back?", "{told:?}");

    for (action, after) in [("delete", "deleted"), ("restore", "heard")] {
        let told = Terminal::start(&world, &ALICE, &["mailbox", action, id]).await?.done().await?;
        let changed = of(&told, "changed");
        assert!(changed.iter().any(|event| event["id"] == id && event["state"] == after), "{told:?}");
        assert_eq!(state().await?, after);
    }
    world.signed_out(&world.alice).await?;
    world.signed_out(&world.bob).await?;
    world.hosted.stop().await
}

#[tokio::test]
async fn what_goes_wrong_has_a_code() -> Result<()> {
    let world = World::new().await?;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let unreachable = format!("http://127.0.0.1:{}", process::free_port()?);
    let (server, right) = (world.hosted.http.as_str(), hosted::password(ALICE.name));
    let list: &[&str] = &["mailbox", "list"];
    let cases: [(&str, &str, &[&str], &str); 5] = [
        (server, "wrong", list, "wrong_credentials"),
        (&unreachable, &right, list, "connect"),
        ("http://phone.example.com", &right, list, "invalid_server"),
        (server, &right, &["mailbox", "play", nobody], "no_such_message"),
        (server, &right, &["call", "not a number"], "invalid_target"),
    ];
    for (server, password, arguments, code) in cases {
        let terminal = Terminal::start_at(server, &ALICE, password, arguments, world.folder.path()).await?;
        let (status, told) = terminal.ended().await?;
        let codes: Vec<_> = of(&told, "error").iter().map(|event| event["code"].as_str().unwrap_or_default()).collect();
        assert_eq!((status.code(), codes.last()), (Some(1), Some(&code)), "{arguments:?}: {told:?}");
    }
    world.signed_out(&world.alice).await?;
    world.hosted.stop().await
}

#[tokio::test]
async fn a_companys_own_certificate_is_trusted_by_its_fingerprint_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["phone.example.com".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let https = ["--https", "127.0.0.1:0", "--cert", text(&cert), "--key", text(&key)];
    let hosted = Hosted::start(&data, &https).await?;
    let server = format!("https://{}", hosted.address("https")?);
    let fingerprint = hosted.address("fingerprint")?;

    let link = hosted.admin(&["invite", ALICE.name], "").await?;
    assert!(link.starts_with("aftertone://invite?server=https%3A%2F%2F127.0.0.1%3A"), "{link}");
    assert!(link.ends_with(&format!("&fingerprint={fingerprint}")), "{link}");

    let list = async |pins: &[&str]| {
        let arguments = [pins, &["mailbox", "list"]].concat();
        Terminal::start_at(&server, &ALICE, &hosted::password(ALICE.name), &arguments, folder.path()).await
    };
    list(&["--insecure-fingerprint", fingerprint]).await?.done().await?;
    let other = "00".repeat(32);
    for pins in [&[][..], &["--insecure-fingerprint", &other]] {
        let (status, told) = list(pins).await?.ended().await?;
        assert!(!status.success() && of(&told, "error").iter().any(|event| event["code"] == "tls"), "{pins:?}: {told:?}");
    }
    hosted.stop().await
}

//! Calls between desk phones of another make, through the real server, which trusts nobody without credentials.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, BOB, DOMAIN, Hosted, Person, Phone},
    process::PATIENCE,
    sipp::Refusing,
    sound::{self, Sound},
};
use anyhow::{Context, Result};
use serde_json::Value;

const LEAD_S: f64 = 1.0;

struct World {
    hosted: Hosted,
    alice: Api,
    bob: Api,
    alices: Phone,
    /// Her second phone.
    alices_kitchen: Phone,
    bobs: Phone,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        Self::with_ring(20).await
    }

    async fn with_ring(ring_s: u16) -> Result<Self> {
        Self::with(ring_s, &[]).await
    }

    /// With more arguments of the server.
    async fn with(ring_s: u16, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &Person { ring_s, ..ALICE }).await?;
        hosted::add_person(&data, &BOB).await?;
        let alices = hosted::add_phone(&data, ALICE.name).await?;
        let alices_kitchen = hosted::add_phone(&data, ALICE.name).await?;
        let bobs = hosted::add_phone(&data, BOB.name).await?;
        let hosted = Hosted::start_wary(&data, arguments).await?;
        let (alice, bob) = (hosted.sign_in(ALICE.name).await?, hosted.sign_in(BOB.name).await?);
        Ok(Self { hosted, alice, bob, alices, alices_kitchen, bobs, folder })
    }

    /// A baresip with this account, which says `speech` in its calls.
    async fn baresip(&self, account: String, speech: &Sound) -> Result<Baresip> {
        let speech_file = tempfile::Builder::new().suffix(".wav").tempfile_in(self.folder.path())?.into_temp_path().keep()?;
        speech.save(&speech_file)?;
        Baresip::start(&Setup { account, speech: speech_file, rate: sound::RATE }).await
    }

    /// Alice's desk phone, registered.
    async fn alices_desk(&self, codec: &str, speech: &Sound) -> Result<Baresip> {
        let codec = format!(";audio_codecs={codec}");
        let mut desk = self.baresip(self.alices.account(&ALICE, self.hosted.sip_udp, &codec), speech).await?;
        desk.registered().await?;
        Ok(desk)
    }

    /// Bob's desk phone, registered.
    async fn bobs_desk(&self, codec: &str, speech: &Sound) -> Result<Baresip> {
        let codec = format!(";audio_codecs={codec}");
        let mut desk = self.baresip(self.bobs.account(&BOB, self.hosted.sip_udp, &codec), speech).await?;
        desk.registered().await?;
        Ok(desk)
    }

    /// The only calls of both logs: Alice's and Bob's.
    async fn records(&self) -> Result<(Value, Value)> {
        let (mut alices, mut bobs) =
            (self.alice.wait_for_records(1, PATIENCE).await?, self.bob.wait_for_records(1, PATIENCE).await?);
        assert_eq!((alices.len(), bobs.len()), (1, 1), "{alices:?} {bobs:?}");
        let (alices, bobs) = (alices.remove(0), bobs.remove(0));
        assert_eq!((&alices["direction"], &bobs["direction"]), (&"incoming".into(), &"outgoing".into()));
        assert_eq!((&alices["party"]["number"], &bobs["party"]["number"]), (&"1002".into(), &"1001".into()));
        assert_eq!((&alices["party"]["name"], &bobs["party"]["name"]), (&"Bob Brandt".into(), &"Alice Adler".into()));
        assert_eq!(alices["call"], bobs["call"], "one call");
        Ok((alices, bobs))
    }

    /// Bob, whose call Alice did not take, leaves a message; the message and Alice's record of the call.
    async fn leave_message(&self, bob: &mut Baresip) -> Result<(Value, Value)> {
        bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
        bob.hears(0.4, PATIENCE).await?;
        bob.command("sndcode #").await?;
        bob.happening("CALL_CLOSED", PATIENCE).await?;
        let message = self.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
        assert_eq!(message["caller"]["number"], "1002", "{message}");
        assert_eq!(message["caller"]["name"], "Bob Brandt", "{message}");
        let (alices, bobs) = self.records().await?;
        assert_eq!(alices["message"], message["id"], "{alices}");
        assert_eq!(alices["diverted"], message["reason"], "{alices}");
        assert_eq!((&alices["answered_at"], &bobs["answered_at"]), (&Value::Null, &Value::Null), "{bobs}");
        assert_eq!(bobs["end"], "diverted", "{bobs}");
        assert_eq!(bobs["message"], Value::Null, "what was left is Alice's alone: {bobs}");
        for api in [&self.alice, &self.bob] {
            let figures = api.wait_for_figures(PATIENCE).await?;
            assert_eq!(figures["path"], "mailbox", "{figures}");
            assert!(figures["inbound"]["packets"].as_u64() > Some(50), "{figures}");
        }
        Ok((message, alices))
    }
}

/// What somebody says who then stays until the other hangs up.
fn and_stay(speech: &Sound) -> Sound {
    Sound::silence(LEAD_S).then(speech).then(&Sound::silence(30.0))
}

/// What somebody says who hangs up after it.
fn and_hang_up(speech: &Sound) -> Sound {
    Sound::silence(LEAD_S).then(speech).then(&Sound::silence(0.5))
}

/// Both records say how the call sounded: by the codec of each phone, encrypted where that phone is, and nearly nothing lost
/// within one machine.
async fn was_measured(world: &World, alices_codec: &str, bobs_codec: &str) -> Result<()> {
    for (api, codec) in [(&world.alice, alices_codec), (&world.bob, bobs_codec)] {
        let figures = api.wait_for_figures(PATIENCE).await?;
        println!("{codec}: {figures}");
        let name = codec.split(['/', ';']).next();
        assert_eq!((figures["codec"].as_str(), figures["path"].as_str()), (name, Some("relay")), "{figures}");
        assert_eq!(figures["encrypted"], codec.contains("srtp"), "{figures}");
        let inbound = |what: &str| figures["inbound"][what].as_u64().with_context(|| format!("no {what}: {figures}"));
        assert!(inbound("packets")? > 100 && inbound("lost")? <= 2, "{figures}");
        assert!((400..=450).contains(&inbound("mos_centi")?), "{figures}");
    }
    Ok(())
}

/// Bob calls Alice, who answers. They speak at the same time, and both hear each other.
async fn talk(bobs_codec: &str, alices_codec: &str, bob_hangs_up: bool) -> Result<()> {
    talk_in(World::new().await?, bobs_codec, alices_codec, bob_hangs_up).await
}

async fn talk_in(world: World, bobs_codec: &str, alices_codec: &str, bob_hangs_up: bool) -> Result<()> {
    let (alices_words, bobs_words) = (sound::reply()?, sound::sentence()?);
    let (alice_says, bob_says) = if bob_hangs_up {
        (and_stay(&alices_words), and_hang_up(&bobs_words))
    } else {
        (and_hang_up(&alices_words.then(&Sound::silence(3.0))), and_stay(&bobs_words))
    };
    let alices_words = sound::reply()?;
    let mut alice = world.alices_desk(alices_codec, &alice_says).await?;
    let mut bob = world.bobs_desk(bobs_codec, &bob_says).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    bob.happening("CALL_RINGING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let (first, second) = if bob_hangs_up { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
    first.happening("CALL_CLOSED", PATIENCE).await?;
    second.happening("CALL_CLOSED", PATIENCE).await?;

    let bob_heard = sound::quality(&alices_words, &Sound::load(&bob.heard()?)?)?;
    let alice_heard = sound::quality(&bobs_words, &Sound::load(&alice.heard()?)?)?;
    println!("{bobs_codec} calls {alices_codec}: the caller heard {bob_heard:?}, the called person {alice_heard:?}");
    // baresip interpolates between the telephone's rate and that of G.722 in straight lines, which is heard.
    let least = if bobs_codec.starts_with("G722") { 3.5 } else { 3.8 };
    for heard in [bob_heard, alice_heard] {
        assert!(heard.pesq >= least && heard.stretch_s.abs() < 0.03, "{heard:?}");
    }
    let (alices, bobs) = world.records().await?;
    let (alices_end, bobs_end) = if bob_hangs_up { ("remote_hangup", "local_hangup") } else { ("local_hangup", "remote_hangup") };
    assert_eq!((&alices["end"], &bobs["end"]), (&alices_end.into(), &bobs_end.into()));
    assert!(alices["answered_at"].is_string() && bobs["answered_at"].is_string(), "{alices} {bobs}");
    was_measured(&world, alices_codec, bobs_codec).await?;
    assert_eq!(world.alice.messages().await?.len(), 0);
    world.hosted.stop().await
}

#[tokio::test]
async fn they_talk_in_mu_law_until_the_caller_hangs_up() -> Result<()> {
    talk("PCMU", "PCMU", true).await
}

#[tokio::test]
async fn they_talk_in_opus_until_the_called_person_hangs_up() -> Result<()> {
    talk("opus/48000/2", "opus/48000/2", false).await
}

#[tokio::test]
async fn they_talk_without_a_common_codec() -> Result<()> {
    talk("PCMA", "opus/48000/2", true).await
}

#[tokio::test]
async fn they_talk_in_g722_where_only_the_caller_demands_encryption() -> Result<()> {
    talk("G722/16000/1;mediaenc=srtp-mand", "G722/16000/1", true).await
}

#[tokio::test]
async fn they_talk_encrypted_where_the_server_demands_it() -> Result<()> {
    let world = World::with(20, &["--srtp", "require"]).await?;
    talk_in(world, "PCMA;mediaenc=srtp-mand", "opus/48000/2;mediaenc=srtp-mand", false).await
}

#[tokio::test]
async fn a_declined_call_goes_to_the_mailbox() -> Result<()> {
    let world = World::new().await?;
    let alice = Refusing::start(world.hosted.sip_udp, &world.alices, ALICE.extension, "603 Decline").await?;
    let mut bob = world.bobs_desk("PCMU", &and_hang_up(&sound::reply()?)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    alice.refused().await?;
    let (message, record) = world.leave_message(&mut bob).await?;
    assert_eq!(message["reason"], "declined", "{message}");
    assert_eq!(record["end"], "diverted", "{record}");
    world.hosted.stop().await
}

#[tokio::test]
async fn who_calls_a_busy_phone_reaches_the_mailbox() -> Result<()> {
    let world = World::new().await?;
    let mut alice = world.alices_desk("PCMU", &Sound::silence(30.0)).await?;
    let mut bob = world.bobs_desk("PCMU", &and_hang_up(&sound::reply()?)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    // This one says 486.
    alice.command("hangup").await?;
    let (message, _) = world.leave_message(&mut bob).await?;
    assert_eq!(message["reason"], "busy", "{message}");
    world.hosted.stop().await
}

#[tokio::test]
async fn who_does_not_answer_in_time_has_a_message() -> Result<()> {
    let world = World::with_ring(5).await?;
    let mut alice = world.alices_desk("PCMU", &Sound::silence(30.0)).await?;
    let mut bob = world.bobs_desk("PCMA", &and_hang_up(&sound::reply()?)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    let rang = alice.happening("CALL_INCOMING", PATIENCE).await?.at;
    let over = alice.happening("CALL_CLOSED", PATIENCE).await?.at.duration_since(rang).as_secs_f64();
    assert!((over - 5.0).abs() < 0.5, "it rang for {over:.2} s");
    let (message, _) = world.leave_message(&mut bob).await?;
    assert_eq!(message["reason"], "no_answer", "{message}");
    world.hosted.stop().await
}

#[tokio::test]
async fn a_caller_who_gives_up_is_a_missed_call() -> Result<()> {
    let world = World::new().await?;
    let mut alice = world.alices_desk("PCMU", &Sound::silence(30.0)).await?;
    let mut bob = world.bobs_desk("PCMU", &Sound::silence(30.0)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    bob.happening("CALL_RINGING", PATIENCE).await?;
    bob.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    let (alices, bobs) = world.records().await?;
    for record in [&alices, &bobs] {
        assert_eq!(record["end"], "cancelled", "{record}");
        assert_eq!(record["answered_at"], Value::Null, "{record}");
        assert_eq!(record["message"], Value::Null, "{record}");
    }
    assert_eq!(world.alice.messages().await?.len(), 0);
    world.hosted.stop().await
}

#[tokio::test]
async fn the_first_of_two_phones_to_answer_has_the_call() -> Result<()> {
    let world = World::new().await?;
    let mut desk = world.alices_desk("PCMU", &Sound::silence(30.0)).await?;
    let account = world.alices_kitchen.account(&ALICE, world.hosted.sip_udp, "");
    let mut kitchen = world.baresip(account, &Sound::silence(30.0)).await?;
    kitchen.registered().await?;
    let mut bob = world.bobs_desk("PCMU", &Sound::silence(30.0)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    desk.happening("CALL_INCOMING", PATIENCE).await?;
    kitchen.happening("CALL_INCOMING", PATIENCE).await?;
    kitchen.command("accept").await?;
    kitchen.happening("CALL_ESTABLISHED", PATIENCE).await?;
    desk.happening("CALL_CLOSED", PATIENCE).await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    kitchen.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let (alices, _) = world.records().await?;
    assert_eq!(alices["end"], "local_hangup", "{alices}");
    assert!(alices["answered_at"].is_string(), "{alices}");
    world.hosted.stop().await
}

/// Calls Alice from that account, is refused, and says how.
async fn refused(world: &World, account: String) -> Result<String> {
    let mut caller = world.baresip(account, &Sound::silence(5.0)).await?;
    caller.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    Ok(caller.happening("CALL_CLOSED", PATIENCE).await?.parameter)
}

#[tokio::test]
async fn nobody_calls_or_registers_as_somebody_else() -> Result<()> {
    let world = World::new().await?;
    let mut alice = world.alices_desk("PCMU", &Sound::silence(30.0)).await?;
    let server = world.hosted.sip_udp;
    let outbound = format!("outbound=\"sip:{server};transport=udp\"");
    let without_credentials = format!("\"Bob Brandt\" <sip:1002@{DOMAIN}>;{outbound};regint=0");
    assert!(refused(&world, without_credentials).await?.starts_with("401"));
    let stranger = format!("\"Bob Brandt\" <sip:1002@elsewhere.example>;{outbound};regint=0");
    assert!(refused(&world, stranger).await?.starts_with("403"));
    // Not with the name of the phone that calls below: who guesses has to wait, with the right password too.
    let wrong = Phone { password: "guess".into(), ..world.alices_kitchen.clone() };
    let as_bob = wrong.account(&BOB, server, "").replace("regint=60", "regint=0");
    assert!(refused(&world, as_bob).await?.starts_with("401"));
    let as_alice = world.bobs.account(&ALICE, server, "").replace("regint=60", "regint=0");
    assert!(refused(&world, as_alice).await?.starts_with("403"));

    for (account, status) in [(wrong.account(&BOB, server, ""), "401"), (world.bobs.account(&ALICE, server, ""), "403")] {
        let mut phone = world.baresip(account, &Sound::silence(5.0)).await?;
        let failed = phone.happening("REGISTER_FAIL", PATIENCE).await?.parameter;
        assert!(failed.starts_with(status), "{failed}");
    }
    // None of it reached her: the first call that does is Bob's own.
    let mut bob = world.bobs_desk("PCMU", &Sound::silence(5.0)).await?;
    bob.command(&format!("dial sip:1001@{DOMAIN}")).await?;
    let from = alice.happening("CALL_INCOMING", PATIENCE).await?.parameter;
    assert!(from.contains("1002"), "{from}");
    bob.command("hangup").await?;
    world.records().await.context("only Bob's own call is logged")?;
    world.hosted.stop().await
}

//! Our account as a customer of somebody else's exchange: Asterisk 22, at which it registers, and baresip as the desk phones.

use std::{net::UdpSocket, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, BOB, Hosted, Person, Phone},
    peers::{
        asterisk::{self, Asterisk},
        capture::Capture,
        keys::Keys,
        names::NameServer,
    },
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const ACCOUNT: &str = "4930500";
const PASSWORD: &str = "what the provider gave us";

/// The provider's side: our account, an echo at any number of the outside, an announcement for calls to us, and a mailbox of
/// its own that never answers.
fn provider() -> asterisk::Setup {
    asterisk::Setup {
        pjsip: format!(
            "[{ACCOUNT}](endpoint)\nauth={ACCOUNT}\naors={ACCOUNT}\ntrust_id_inbound=yes\ntimers=always\n\
             timers_min_se=90\ntimers_sess_expires=90\n[{ACCOUNT}](auth)\nusername={ACCOUNT}\n\
             password={PASSWORD}\n[{ACCOUNT}](aor)\nremove_existing=yes\nminimum_expiration=30\n"
        ),
        extensions: format!(
            "exten => _+4930600,1,Answer()\n same => n,Echo()\n\
             exten => _+4930601,1,Set(GLOBAL(FORWARDED)=${{REDIRECTING(from-num)}})\n same => n,Answer()\n same => n,Echo()\n\
             exten => _+4930486,1,Hangup(17)\n\
             exten => 112,1,Answer()\n same => n,Echo()\n\
             exten => 700,1,Answer()\n same => n,Echo()\n\
             exten => +4930900,1,Answer()\n same => n,Wait(2)\n same => n,Transfer(PJSIP/sip:1002@example.test)\n\
             exten => 901,1,Answer()\n same => n,Originate(PJSIP/{ACCOUNT}/sip:1002@${{US}},exten,internal,902,1)\n\
             same => n,Wait(1)\n same => n,Transfer(PJSIP/sip:1002@example.test?Replaces=${{REPLACES}})\n\
             exten => +4930901,1,Goto(901,1)\n{CONSULTED}\
             exten => 800,1,Answer()\n same => n,Wait(10)\n same => n,Playback(demo-echodone)\n same => n,Hangup()\n"
        ),
        ..asterisk::Setup::default()
    }
}

/// The second call of an attended transfer, whose dialog the first one names.
const CONSULTED: &str = "exten => 902,1,Set(GLOBAL(REPLACES)=${CHANNEL(pjsip,call-id)}%3Bto-tag%3D${CHANNEL(pjsip,remote_tag)}%3B\
     from-tag%3D${CHANNEL(pjsip,local_tag)})\n same => n,Wait(60)\n";

/// Its own words come back to a phone.
fn hears_itself(phone: &Baresip) -> Result<()> {
    let found = sound::likeness(&sound::sentence()?.part(0.3, 2.0), &Sound::load(&phone.heard()?)?);
    ensure!(found > 0.6, "its words don't come back: {found}");
    Ok(())
}

struct World {
    asterisk: Asterisk,
    hosted: Hosted,
    alices: Phone,
    bobs: Phone,
    alice: Api,
    folder: tempfile::TempDir,
}

impl World {
    /// Alice rings `ring_s`; her number outside is +4930501, and she gets what has none.
    async fn new(ring_s: u16, transport: &str) -> Result<Self> {
        let asterisk = Asterisk::start(&provider()).await?;
        let is_tls = transport.ends_with("tls");
        let server = format!("sip:{}{transport}", if is_tls { asterisk.sip_tls } else { asterisk.sip });
        let pin = asterisk.keys.fingerprint()?;
        let pinned = if is_tls { vec!["--fingerprint", pin.as_str()] } else { Vec::new() };
        Self::at(asterisk, ring_s, &[&["--server", &server][..], &pinned].concat(), None).await
    }

    /// The same at a provider that is known by `server`, whose name leads where `names` says.
    async fn at(asterisk: Asterisk, ring_s: u16, server: &[&str], names: Option<&NameServer>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &Person { ring_s, ..ALICE }).await?;
        hosted::add_person(&data, &BOB).await?;
        let (alices, bobs) = (hosted::add_phone(&data, ALICE.name).await?, hosted::add_phone(&data, BOB.name).await?);
        let plan = ["--country", "49", "--area", "30", "--emergency-trunk", "provider"];
        let hosted = match names {
            Some(names) => Hosted::start_asking(names, &data, &plan).await?,
            None => Hosted::start_wary(&data, &plan).await?,
        };
        let add = ["trunk", "add", "provider", "--register", "--user", ACCOUNT, "--password-stdin"];
        let numbers = [
            "--number",
            "+4930501=alice",
            "--default-to",
            "alice",
            "--caller-number",
            "+4930500",
            "--expires",
            "60",
            "--asserted-identity",
        ];
        hosted.admin(&[&add[..], server, &numbers].concat(), PASSWORD).await?;
        let alice = hosted.sign_in(ALICE.name).await?;
        let world = Self { asterisk, hosted, alices, bobs, alice, folder };
        world.asterisk.says("pjsip show contacts", "sip:t-", PATIENCE).await?;
        world.state("up").await?;
        Ok(world)
    }

    /// Waits until an administrator sees the trunk so.
    async fn state(&self, state: &str) -> Result<()> {
        process::eventually(&format!("the trunk is {state}"), PATIENCE, || async {
            let listed: Value = serde_json::from_str(&self.hosted.admin(&["trunk", "list", "--json"], "").await?)?;
            ensure!(!listed.to_string().contains(PASSWORD), "the password is shown");
            Ok((listed[0]["state"] == state).then_some(()))
        })
        .await
    }

    async fn desk(&self, phone: &Phone, person: &Person<'_>, speech: &Sound) -> Result<Baresip> {
        let file = self.folder.path().join(format!("{}.wav", person.name));
        speech.save(&file)?;
        let account = phone.account(person, self.hosted.sip_udp, ";audio_codecs=PCMU");
        let mut desk = Baresip::start(&Setup { account, speech: file, rate: sound::RATE }).await?;
        desk.registered().await?;
        Ok(desk)
    }

    /// Asterisk calls `number` of ours, and whoever answers is connected with its extension.
    async fn is_called(&self, number: &str, extension: &str) -> Result<()> {
        let target = if number.is_empty() { String::new() } else { format!("/sip:{number}@{}", self.hosted.sip_udp) };
        self.asterisk.cli(&format!("channel originate PJSIP/{ACCOUNT}{target} extension {extension}@internal")).await.map(drop)
    }
}

async fn calls_go_in_and_out(transport: &str) -> Result<()> {
    let capture = Capture::start(&format!("trunk-calls{}", transport.replace([';', '='], "-")), "udp or tcp").await?;
    let world = World::new(20, transport).await?;
    let words = Sound::silence(1.0).then(&sound::sentence()?).then(&Sound::silence(30.0));
    let mut alice = world.desk(&world.alices, &ALICE, &words).await?;

    // Out, as it is dialled here; the provider's echo brings her words back.
    alice.command("dial sip:030600@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(4.0, PATIENCE).await?;
    let channels = world.asterisk.cli("core show channels verbose").await?;
    ensure!(channels.contains("+4930600"), "the number is normalised: {channels}");
    ensure!(channels.contains("+4930501"), "her own number is shown: {channels}");
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&alice).context("the echo is heard")?;

    // What the other side says is what she hears of.
    alice.command("dial sip:+4930486@example.test").await?;
    let closed = alice.happening("CALL_CLOSED", PATIENCE).await?;
    ensure!(closed.parameter.contains("486"), "{closed:?}");
    alice.command("dial sip:0043123@example.test").await?;
    let closed = alice.happening("CALL_CLOSED", PATIENCE).await?;
    ensure!(closed.parameter.contains("403"), "nobody allowed her to call abroad: {closed:?}");

    // In, to her number: over the connection that we opened, if it is one.
    if transport.is_empty() {
        world.is_called("+4930501", "700").await?;
    } else {
        world.asterisk.says("pjsip show contacts", "sip:t-", PATIENCE).await?;
        world.asterisk.cli(&format!("channel originate PJSIP/{ACCOUNT} extension 700@internal")).await?;
    }
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(3.0, PATIENCE).await?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;

    let records = world.alice.wait_for_records(4, PATIENCE).await?;
    let told: Vec<_> = records.iter().rev().map(|record| (&record["direction"], &record["end"])).collect();
    let expect = [("outgoing", "local_hangup"), ("outgoing", "busy"), ("outgoing", "failed"), ("incoming", "local_hangup")];
    for (told, (direction, end)) in told.iter().zip(expect) {
        assert_eq!((told.0.as_str(), told.1.as_str()), (Some(direction), Some(end)), "{records:?}");
    }
    capture.passed();
    world.hosted.stop().await?;
    let left = world.asterisk.cli("pjsip show contacts").await?;
    ensure!(!left.contains("sip:t-"), "the registration is taken back: {left}");
    Ok(())
}

#[tokio::test]
async fn calls_go_in_and_out_over_udp() -> Result<()> {
    calls_go_in_and_out("").await
}

#[tokio::test]
async fn calls_go_in_and_out_over_tls() -> Result<()> {
    calls_go_in_and_out(";transport=tls").await
}

#[tokio::test]
async fn calls_go_in_and_out_over_tcp() -> Result<()> {
    calls_go_in_and_out(";transport=tcp").await
}

/// RFC 3263: the provider is known by its domain alone, whose records name two machines; the first one is dead.
#[tokio::test]
async fn a_provider_known_by_its_domain_is_reached_at_its_second_machine() -> Result<()> {
    let capture = Capture::start("trunk-domain", "tcp").await?;
    let asterisk = Asterisk::start(&provider()).await?;
    // Nobody listens there: the port is held by one that takes no streams.
    let dead = UdpSocket::bind("127.0.0.1:0")?;
    let names = NameServer::start(&[
        "--naptr-record=provider.test,10,50,s,SIP+D2T,,_sip._tcp.pool.test".to_owned(),
        format!("--srv-host=_sip._tcp.pool.test,one.pool.test,{},10,100", dead.local_addr()?.port()),
        format!("--srv-host=_sip._tcp.pool.test,two.pool.test,{},20,0", asterisk.sip.port()),
        "--host-record=one.pool.test,127.0.0.1".to_owned(),
        "--host-record=two.pool.test,127.0.0.1".to_owned(),
    ])
    .await?;
    let world = World::at(asterisk, 20, &["--server", "provider.test"], Some(&names)).await?;
    let bound = world.asterisk.cli("database show registrar").await?;
    ensure!(bound.to_ascii_lowercase().contains("transport=tcp"), "as the records want it: {bound}");
    let words = Sound::silence(1.0).then(&sound::sentence()?).then(&Sound::silence(30.0));
    let mut alice = world.desk(&world.alices, &ALICE, &words).await?;
    alice.command("dial sip:030600@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(4.0, PATIENCE).await?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&alice).context("a call out")?;
    world.asterisk.cli(&format!("channel originate PJSIP/{ACCOUNT} extension 700@internal")).await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(3.0, PATIENCE).await.context("a call in")?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn a_missed_call_from_the_trunk_is_a_message() -> Result<()> {
    let capture = Capture::start("trunk-missed", "udp").await?;
    let world = World::new(5, "").await?;
    let mut alice = world.desk(&world.alices, &ALICE, &Sound::silence(40.0)).await?;
    world.is_called("+4930501", "800").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    let message = world.alice.wait_for_messages(1, Duration::from_secs(45)).await?.remove(0);
    assert_eq!(message["reason"], "no_answer", "{message}");
    let length = message["duration_ms"].as_u64().context("no length")?;
    ensure!(length > 1000, "{message}");
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn an_emergency_goes_out_from_any_phone() -> Result<()> {
    let world = World::new(20, "").await?;
    world.hosted.admin(&["user", "allow", "bob", "--calls", "internal"], "").await?;
    let mut bob = world.desk(&world.bobs, &BOB, &Sound::silence(20.0)).await?;
    bob.command("dial sip:112@example.test").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    world.asterisk.says("core show channels concise", "112", PATIENCE).await?;
    world.hosted.stop().await
}

/// Bob's phone answers 302 with a number outside: the trunk learns who has forwarded, and Alice talks to whoever is there.
#[tokio::test]
async fn a_phone_forwards_its_calls_to_a_number_outside() -> Result<()> {
    let capture = Capture::start("trunk-forward", "udp").await?;
    let world = World::new(20, "").await?;
    let extensions = "exten => 1002,1,Transfer(PJSIP/sip:030601@example.test)\n".to_owned();
    let phone = asterisk::Setup::phone(&BOB, &world.bobs, world.hosted.sip_udp, "udp", None);
    let phone = Asterisk::start(&asterisk::Setup { extensions, ..phone }).await?;
    phone.says("pjsip show registrations", "Registered", PATIENCE).await?;
    let mut alice = world.desk(&world.alices, &ALICE, &words()?).await?;
    alice.command("dial sip:1002@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.hears(4.0, PATIENCE).await?;
    // Bob has no number of his own there.
    world.asterisk.says("dialplan show globals", "FORWARDED=+4930500", PATIENCE).await?;
    alice.command("hangup").await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&alice).context("the echo is heard")?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn a_call_from_the_trunk_is_held_and_transferred_by_a_desk_phone() -> Result<()> {
    let capture = Capture::start("trunk-transfer", "udp").await?;
    let world = World::new(20, "").await?;
    let mut alice = world.desk(&world.alices, &ALICE, &Sound::silence(60.0)).await?;
    let words = Sound::silence(0.5).then(&sound::sentence()?).repeated(40.0);
    let mut bob = world.desk(&world.bobs, &BOB, &words).await?;
    world.is_called("+4930501", "700").await?;
    alice.happening("CALL_INCOMING", PATIENCE).await?;
    alice.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.command("hold").await?;
    alice.command("resume").await?;
    alice.command("transfer sip:1002@example.test").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    alice.happening("CALL_CLOSED", PATIENCE).await?;
    // What the trunk echoes is what Bob says.
    bob.hears(4.0, PATIENCE).await?;
    bob.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&bob).context("the echo is heard")?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn the_trunks_peer_transfers_a_call_to_one_of_ours() -> Result<()> {
    let capture = Capture::start("trunk-refers", "udp").await?;
    let world = World::new(20, "").await?;
    let words = Sound::silence(0.5).then(&sound::sentence()?).repeated(40.0);
    let mut alice = world.desk(&world.alices, &ALICE, &words).await?;
    let mut bob = world.desk(&world.bobs, &BOB, &Sound::silence(60.0)).await?;
    alice.command("dial sip:030900@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.hears(9.0, PATIENCE).await?;
    alice.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&bob).context("Bob hears Alice")?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    capture.passed();
    world.hosted.stop().await
}

/// Alice's phone is an Asterisk that asks for Bob before it connects the two.
async fn consulting(world: &World) -> Result<Asterisk> {
    let consult = "same => n,Originate(PJSIP/1002@ours,exten,internal,902,1)\n same => n,Wait(1)\n\
         same => n,Transfer(PJSIP/sip:1002@example.test?Replaces=${REPLACES})\n";
    let extensions = format!("exten => 1001,1,Answer()\n {consult}exten => 903,1,NoOp()\n {consult}{CONSULTED}");
    let phone = asterisk::Setup::phone(&ALICE, &world.alices, world.hosted.sip_udp, "udp", None);
    let phone = Asterisk::start(&asterisk::Setup { extensions, ..phone }).await?;
    phone.says("pjsip show registrations", "Registered", PATIENCE).await?;
    Ok(phone)
}

/// Bob, who says his sentence over and over, is asked and connected; what comes back to him went all the way.
async fn bob_is_connected(world: &World, bob: &mut Baresip, phone: &Asterisk) -> Result<()> {
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    phone.says("core show channels count", "0 active channels", PATIENCE).await.context("who transfers is out of it")?;
    let so_far = bob.heard().ok().map_or(Ok(0.0), |heard| sound::seconds_so_far(&heard))?;
    bob.hears(so_far + 8.0, PATIENCE).await?;
    bob.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(bob)?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await.map(drop)
}

fn words() -> Result<Sound> {
    Ok(Sound::silence(0.5).then(&sound::sentence()?).repeated(60.0))
}

#[tokio::test]
async fn our_callee_transfers_attended_what_came_over_the_trunk() -> Result<()> {
    let capture = Capture::start("attended-callee", "udp").await?;
    let world = World::new(20, "").await?;
    let mut bob = world.desk(&world.bobs, &BOB, &words()?).await?;
    let phone = consulting(&world).await?;
    world.is_called("+4930501", "700").await?;
    bob_is_connected(&world, &mut bob, &phone).await.with_context(|| phone.log())?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn our_caller_transfers_attended_what_went_over_the_trunk() -> Result<()> {
    let capture = Capture::start("attended-caller", "udp").await?;
    let world = World::new(20, "").await?;
    let mut bob = world.desk(&world.bobs, &BOB, &words()?).await?;
    let phone = consulting(&world).await?;
    phone.cli("channel originate PJSIP/030600@ours extension 903@internal").await?;
    bob_is_connected(&world, &mut bob, &phone).await.with_context(|| phone.log())?;
    capture.passed();
    world.hosted.stop().await
}

#[tokio::test]
async fn the_trunks_peer_transfers_attended() -> Result<()> {
    let capture = Capture::start("attended-peer", "udp").await?;
    let world = World::new(20, "").await?;
    world.asterisk.cli(&format!("dialplan set global US {}", world.hosted.sip_udp)).await?;
    let mut alice = world.desk(&world.alices, &ALICE, &words()?).await?;
    let mut bob = world.desk(&world.bobs, &BOB, &Sound::silence(60.0)).await?;
    alice.command("dial sip:030901@example.test").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await.context("the peer is out of it")?;
    let so_far = bob.heard().ok().map_or(Ok(0.0), |heard| sound::seconds_so_far(&heard))?;
    bob.hears(so_far + 8.0, PATIENCE).await?;
    alice.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    hears_itself(&bob).context("Bob hears Alice")?;
    capture.passed();
    world.hosted.stop().await
}

/// The other party hears music while it is held, and speech again afterwards.
#[tokio::test]
async fn who_is_held_hears_music_and_then_speech_again() -> Result<()> {
    let capture = Capture::start("held", "udp").await?;
    let world = World::new(20, "").await?;
    let mut alice = world.desk(&world.alices, &ALICE, &words()?).await?;
    let mut bob = world.desk(&world.bobs, &BOB, &Sound::silence(60.0)).await?;
    alice.command("dial sip:1002@example.test").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    alice.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.hears(4.0, PATIENCE).await?;
    let mut changes = Vec::new();
    for command in ["hold", "resume"] {
        changes.push(sound::seconds_so_far(&bob.heard()?)?);
        alice.command(command).await?;
        bob.hears(changes[changes.len() - 1] + 8.0, PATIENCE).await?;
    }
    alice.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = Sound::load(&bob.heard()?)?;
    let music = Sound(aftertone_media::tones::hold_music(sound::RATE)).part(0.0, 4.0);
    let words = sound::sentence()?.part(0.3, 2.0);
    // What was under way at the moment of the change is left out.
    let parts = [(0.0, changes[0]), (changes[0] + 1.0, changes[1]), (changes[1] + 1.0, heard.seconds())];
    let likeness = parts.map(|(from, to)| {
        let part = heard.part(from, to - from);
        (sound::likeness(&words, &part), sound::likeness(&music, &part))
    });
    ensure!(likeness[0].0 > 0.6 && likeness[1].0 < 0.3 && likeness[2].0 > 0.6, "speech: {likeness:?}");
    ensure!(likeness[0].1 < 0.3 && likeness[1].1 > 0.6 && likeness[2].1 < 0.3, "music: {likeness:?}");
    capture.passed();
    world.hosted.stop().await
}

/// The provider wants its session refreshed every 45 s.
#[tokio::test]
async fn a_call_lives_past_two_refreshes_of_its_session() -> Result<()> {
    let capture = Capture::start("refreshed", "udp").await?;
    let world = World::new(20, "").await?;
    let long = Sound::silence(0.5).then(&sound::sentence()?).repeated(130.0);
    let mut bob = world.desk(&world.bobs, &BOB, &long).await?;
    world.asterisk.cli("pjsip set logger on").await?;
    world.is_called("1002", "700").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.hears(100.0, Duration::from_secs(130)).await?;
    bob.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = Sound::load(&bob.heard()?)?;
    let found = sound::likeness(&sound::sentence()?.part(0.3, 2.0), &heard.part(heard.seconds() - 12.0, 12.0));
    ensure!(found > 0.6, "nothing comes back at the end: {found}");
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    let log = world.asterisk.log();
    let refreshes = log.split("<--- Received").filter(|message| message.contains("\nUPDATE sip:")).count();
    ensure!(refreshes >= 2, "{refreshes} refreshes: {log}");
    capture.passed();
    world.hosted.stop().await
}

/// Asterisk in front: its extension 1001 is not answered there, so it forwards to our mailbox, and shows our lamp.
#[tokio::test]
async fn an_exchange_in_front_forwards_to_the_mailbox_and_shows_its_lamp() -> Result<()> {
    let capture = Capture::start("exchange-in-front", "udp").await?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let hosted = Hosted::start_wary(&data, &[]).await?;
    let us = hosted.sip_udp;
    let forward = |handler: &str| format!("Dial(PJSIP/us/sip:voicemail@{us},,b(internal^{handler}^1))\n");
    let handler = |name: &str, reason: &str| {
        let set = format!("Set(PJSIP_HEADER(add,Diversion)=<sip:1001@127.0.0.1>\\;reason={reason})");
        format!("exten => {name},1,{set}\n same => n,Return()\n")
    };
    let asterisk = Asterisk::start(&asterisk::Setup {
        pjsip: format!(
            "[us](endpoint)\naors=us\nsend_diversion=yes\nincoming_mwi_mailbox=1001@default\n[us](aor)\ncontact=sip:{us}\n\
             [us]\ntype=identify\nendpoint=us\nmatch=127.0.0.1\n"
        ),
        extensions: format!(
            "exten => 1001,1,{}exten => 2001,1,{}{}{}exten => 1001,hint,MWI:1001@default\n\
             exten => 901,1,Answer()\n same => n,Originate(PJSIP/{ACCOUNT}/sip:1002@${{US}},exten,internal,902,1)\n\
             same => n,Wait(1)\n same => n,Transfer(PJSIP/sip:1002@example.test?Replaces=${{REPLACES}})\n\
             exten => +4930901,1,Goto(901,1)\n{CONSULTED}\
             exten => 800,1,Answer()\n same => n,Wait(11)\n same => n,Playback(demo-echodone)\n same => n,Hangup()\n",
            forward("unanswered"),
            forward("busy"),
            handler("unanswered", "no-answer"),
            handler("busy", "user-busy")
        ),
        ..asterisk::Setup::default()
    })
    .await?;
    let server = asterisk.sip.to_string();
    hosted.admin(&["trunk", "add", "pbx", "--server", &server, "--number", "1001=alice", "--lamps"], "").await?;
    let alice = hosted.sign_in(ALICE.name).await?;
    process::eventually("the trunk is up", PATIENCE, || async {
        let listed: Value = serde_json::from_str(&hosted.admin(&["trunk", "list", "--json"], "").await?)?;
        Ok((listed[0]["state"] == "up").then_some(()))
    })
    .await?;
    for (number, extension, reason) in [(1, "1001", "no_answer"), (2, "2001", "busy")] {
        asterisk.cli(&format!("channel originate Local/{extension}@internal extension 800@internal")).await?;
        let message = alice.wait_for_messages(number, Duration::from_secs(50)).await?.remove(0);
        assert_eq!(message["reason"], reason, "{message}");
    }
    asterisk.says("core show hints", "InUse", PATIENCE).await?;
    for message in alice.messages().await? {
        alice.act(&message, "heard").await?;
    }
    asterisk.says("core show hints", "Idle", PATIENCE).await?;
    capture.passed();
    hosted.stop().await
}

/// Asterisk in front: the desk phone of 1001 rings there and is not answered; Asterisk says so in its own words.
#[tokio::test]
async fn an_exchange_in_front_forwards_what_its_phone_did_not_answer() -> Result<()> {
    let capture = Capture::start("unanswered-in-front", "udp").await?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    hosted::add_person(&data, &BOB).await?;
    let hosted = Hosted::start_wary(&data, &[]).await?;
    let us = hosted.sip_udp;
    let asterisk = Asterisk::start(&asterisk::Setup {
        pjsip: format!(
            "[us](endpoint)\naors=us\nsend_diversion=yes\nsend_history_info=yes\nincoming_mwi_mailbox=1001@default\n\
             [us](aor)\ncontact=sip:{us}\n[us]\ntype=identify\nendpoint=us\nmatch_header=User-Agent: /Aftertone/\n\
             [desk](endpoint)\naors=desk\nauth=desk\n[desk](aor)\n[desk](auth)\nusername=desk\npassword=desk\n"
        ),
        extensions: "exten => 1001,1,Dial(PJSIP/desk,3)\n same => n,Set(REDIRECTING(from-num,i)=1001)\n\
             same => n,Set(REDIRECTING(from-num-pres,i)=allowed)\n same => n,Set(REDIRECTING(count,i)=1)\n\
             same => n,Set(REDIRECTING(reason)=no_answer)\n same => n,Dial(PJSIP/voicemail@us)\n\
             exten => 1001,hint,MWI:1001@default\n\
             exten => 800,1,Answer()\n same => n,Wait(11)\n same => n,Playback(demo-echodone)\n same => n,Hangup()\n"
            .into(),
        ..asterisk::Setup::default()
    })
    .await?;
    let speech = folder.path().join("desk.wav");
    Sound::silence(20.0).save(&speech)?;
    let account = format!("<sip:desk@{}>;auth_user=desk;auth_pass=desk;regint=60", asterisk.sip);
    let mut desk = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    desk.registered().await?;
    let server = asterisk.sip.to_string();
    hosted
        .admin(&["trunk", "add", "pbx", "--server", &server, "--number", "1001=alice", "--default-to", "bob", "--lamps"], "")
        .await?;
    let alice = hosted.sign_in(ALICE.name).await?;
    process::eventually("the trunk is up", PATIENCE, || async {
        let listed: Value = serde_json::from_str(&hosted.admin(&["trunk", "list", "--json"], "").await?)?;
        Ok((listed[0]["state"] == "up").then_some(()))
    })
    .await?;
    asterisk.cli("pjsip set logger on").await?;
    asterisk.cli("channel originate Local/1001@internal extension 800@internal").await?;
    desk.happening("CALL_INCOMING", PATIENCE).await?;
    let message = alice.wait_for_messages(1, Duration::from_secs(60)).await?.remove(0);
    assert_eq!(message["reason"], "no_answer", "{message}");
    let log = asterisk.log();
    for header in ["Diversion:", "History-Info:"] {
        ensure!(log.contains(header), "Asterisk wrote no {header} {log}");
    }
    asterisk.says("core show hints", "InUse", PATIENCE).await?;
    alice.act(&message, "heard").await?;
    asterisk.says("core show hints", "Idle", PATIENCE).await?;
    capture.passed();
    hosted.stop().await
}

/// Asterisk shows a certificate with its name: what it says of a call is believed over that connection, and only there.
#[tokio::test]
async fn a_peer_is_believed_by_the_name_of_its_certificate() -> Result<()> {
    let capture = Capture::start("believed-by-name", "tcp or udp").await?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let (sip, sips) = (process::free_port()?, process::free_port()?);
    let forward = "Set(PJSIP_HEADER(add,Diversion)=<sip:1001@127.0.0.1>\\;reason=user-busy)\n same => n,Return()\n";
    let asterisk = Asterisk::start(&asterisk::Setup {
        pjsip: format!(
            "[named](endpoint)\naors=named\ntransport=tls\n[named](aor)\ncontact=sip:voicemail@127.0.0.1:{sips}\\;transport=tls\n\
             [nobody](endpoint)\naors=nobody\ntransport=udp\n[nobody](aor)\ncontact=sip:voicemail@127.0.0.1:{sip}\n"
        ),
        extensions: format!(
            "exten => 1001,1,Dial(PJSIP/named,20,b(internal^forward^1))\nexten => 2001,1,Dial(PJSIP/nobody,20,b(internal^forward^1))\n\
             exten => forward,1,{forward}\
             exten => 800,1,Answer()\n same => n,Wait(11)\n same => n,Playback(demo-echodone)\n same => n,Hangup()\n"
        ),
        ..asterisk::Setup::default()
    })
    .await?;
    let keys = Keys::make(folder.path(), "server")?;
    let [cert, key, ca] = [&keys.cert, &keys.key, &asterisk.keys.cert].map(|path| path.to_string_lossy().into_owned());
    let ports = ["--sip-udp", &format!("127.0.0.1:{sip}"), "--sip-tls", &format!("127.0.0.1:{sips}")].map(str::to_owned);
    let trust = ["--trust", "tls:example.test", "--client-ca", &ca, "--cert", &cert, "--key", &key].map(str::to_owned);
    let more: Vec<&str> = ports.iter().chain(&trust).map(String::as_str).collect();
    let hosted = Hosted::start_wary(&data, &more).await?;
    let alice = hosted.sign_in(ALICE.name).await?;
    // Over UDP nobody is believed: the call is refused, and leaves nothing.
    asterisk.cli("channel originate Local/2001@internal extension 800@internal").await?;
    asterisk.says("core show channels count", "1 call processed", PATIENCE).await?;
    asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;
    asterisk.cli("channel originate Local/1001@internal extension 800@internal").await?;
    let messages = alice.wait_for_messages(1, Duration::from_secs(60)).await.with_context(|| asterisk.log())?;
    assert_eq!((messages.len(), messages[0]["reason"].as_str()), (1, Some("busy")), "{messages:?}");
    capture.passed();
    hosted.stop().await
}

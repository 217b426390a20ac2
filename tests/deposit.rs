//! Callers leave messages: other people's phones at the real server.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use aftertone_media::container;
use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, Hosted, Person},
    process::{self, PATIENCE},
    sipp,
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Silence before the speech: longer than the cut greeting and the beep.
const LEAD_S: f64 = 2.5;
/// Silence after it, which must not be missing from a message either.
const TAIL_S: f64 = 1.0;
/// How much of a greeting impatient callers listen to.
const PATIENT_S: f64 = 0.5;
const BEEP_HZ: f64 = 1000.0;
const WARNING_HZ: f64 = 1400.0;
const BEEP_S: f64 = 0.4;
/// The answering machine takes so long before it speaks, so that a caller's sound is up.
const PAUSE_S: f64 = 0.3;
/// A server that has just started may still be encoding its prompts: so long a caller waits for what is late.
const LATE_S: f64 = 6.0;
const CALLER: &str = "+4930901821";

struct World {
    hosted: Hosted,
    api: Api,
    folder: tempfile::TempDir,
}

/// A call that is over.
struct Call {
    /// When the first packet of the greeting came.
    greeted: Instant,
    closed: Instant,
    said: Sound,
    heard: Sound,
}

impl Call {
    /// How long the caller was connected after the beep, in seconds.
    fn after_the_beep(&self) -> Result<f64> {
        let beep_end = sound::tone_end(&self.heard, BEEP_HZ).context("the caller heard no beep")?;
        Ok(self.closed.duration_since(self.greeted).as_secs_f64() - beep_end)
    }
}

impl World {
    async fn new() -> Result<Self> {
        Self::of(&ALICE).await
    }

    async fn of(person: &Person<'_>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, person).await?;
        let hosted = Hosted::start(&data, &[]).await?;
        let api = hosted.sign_in(person.name).await?;
        Ok(Self { hosted, api, folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("account")
    }

    /// A server on the same folder, after the one before ended.
    async fn restarted(folder: tempfile::TempDir) -> Result<Self> {
        let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
        let api = hosted.sign_in(ALICE.name).await?;
        Ok(Self { hosted, api, folder })
    }

    /// Somebody outside with a baresip, who calls Alice and begins to hear the greeting, at the returned moment.
    async fn caller(&self, codec: &str, transport: &str, speech: &Sound) -> Result<(Baresip, Instant)> {
        let path = self.folder.path().join("speech.wav");
        speech.save(&path)?;
        let account = format!("\"Caller\" <sip:{CALLER}@caller.example>;regint=0;audio_codecs={codec}");
        let mut caller = Baresip::start(&Setup { account, speech: path, rate: sound::RATE }).await?;
        let server = if transport == "tcp" { self.hosted.sip_tcp } else { self.hosted.sip_udp };
        caller.command(&format!("dial sip:1001@{server};transport={transport}")).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        let greeted = caller.happening("CALL_RTPESTAB", PATIENCE).await?.at;
        Ok((caller, greeted))
    }

    /// The same, and the caller skips the greeting.
    async fn impatient_caller(&self, codec: &str, transport: &str, speech: &Sound) -> Result<(Baresip, Instant)> {
        let (mut caller, greeted) = self.caller(codec, transport, speech).await?;
        caller.hears(PATIENT_S, PATIENCE).await?;
        caller.command("sndcode #").await?;
        Ok((caller, greeted))
    }

    /// Waits for the end of a call that somebody is about to end.
    async fn over(mut caller: Baresip, greeted: Instant) -> Result<Call> {
        let closed = caller.happening("CALL_CLOSED", Duration::from_secs(90)).await?.at;
        Ok(Call { greeted, closed, said: Sound::load(&caller.said()?)?, heard: Sound::load(&caller.heard()?)? })
    }

    /// Waits until Alice's message has so much sound that she could not lose it any more.
    async fn recorded(&self, bytes: u64) -> Result<()> {
        let enough = || async { Ok((self.hosted.recorded_bytes()? >= bytes).then_some(())) };
        process::eventually("the message is being recorded", PATIENCE, enough).await
    }

    /// The only message.
    async fn message(&self) -> Result<Value> {
        let mut messages = self.api.wait_for_messages(1, PATIENCE).await?;
        ensure!(messages.len() == 1, "{} messages", messages.len());
        Ok(messages.remove(0))
    }

    /// The only call, which became no message.
    async fn missed_call(&self) -> Result<Value> {
        let mut records = self.api.wait_for_records(1, PATIENCE).await?;
        ensure!(records.len() == 1, "{} calls", records.len());
        // The record comes in the same transaction as the message, if there is one.
        ensure!(self.api.messages().await?.is_empty(), "there is a message");
        let record = records.remove(0);
        assert_eq!(record["party"]["number"], CALLER, "{record}");
        assert_eq!(record["direction"], "incoming", "{record}");
        assert_eq!(record["diverted"], "offline", "{record}");
        assert_eq!(record["answered_at"], Value::Null, "{record}");
        assert_eq!(record["message"], Value::Null, "{record}");
        Ok(record)
    }

    async fn sound_of(&self, message: &Value) -> Result<container::Pcm> {
        let id = message["id"].as_str().context("no id")?;
        let bytes = self.api.bytes(&format!("messages/{id}/audio")).await?;
        container::decode(&bytes).context("the stored sound can't be decoded")
    }
}

fn seconds(message: &Value) -> Result<f64> {
    Ok(message["duration_ms"].as_f64().context("no duration")? / 1000.0)
}

/// A caller leaves a sentence: who, when, how long and every word of it are in the mailbox.
async fn leaves_a_message(codec: &str, transport: &str, pesq: f64) -> Result<()> {
    let world = World::new().await?;
    let speech = sound::sentence()?;
    let said = Sound::silence(LATE_S).then(&speech).then(&Sound::silence(TAIL_S));
    let (caller, greeted) = world.impatient_caller(codec, transport, &said).await?;
    let call = World::over(caller, greeted).await?;
    let sent_s = call.after_the_beep()?;
    ensure!(sent_s > speech.seconds() + TAIL_S, "the beep came too late: {sent_s:.2} s of the call were left");

    let message = world.message().await?;
    assert_eq!(message["caller"]["number"], CALLER, "{message}");
    assert_eq!(message["caller"]["name"], "Caller", "{message}");
    assert_eq!(message["reason"], "offline", "{message}");
    assert_eq!(message["state"], "new", "{message}");
    assert_eq!(message["interrupted"], false, "{message}");
    let listed_s = seconds(&message)?;
    assert!((listed_s - sent_s).abs() <= 0.2, "{codec}: listed {listed_s:.2} s, sent {sent_s:.2} s");

    let stored = world.sound_of(&message).await?;
    let stored = Sound(sound::to_rate(&stored.samples, stored.rate)?);
    assert!((stored.seconds() - listed_s).abs() <= 0.05, "{codec}: {:.2} s of sound, {listed_s:.2} s listed", stored.seconds());
    let quality = sound::quality(&speech, &stored)?;
    println!("{codec} over {transport}: listed {listed_s:.2} s, sent {sent_s:.2} s, {quality:?}");
    assert!(quality.pesq >= pesq && quality.stretch_s.abs() < 0.01, "{codec}: {quality:?}");
    // To the last packet: what came after the last word is not missing either.
    let after_s = |sound: &Sound| sound.seconds() - sound::find(&speech, sound) - speech.seconds();
    let (kept_s, said_s) = (after_s(&stored), after_s(&call.said));
    assert!((kept_s - said_s).abs() <= 0.1 && kept_s > 0.9, "{codec}: {kept_s:.2} s after the last word, sent {said_s:.2} s");
    world.hosted.stop().await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_mu_law() -> Result<()> {
    leaves_a_message("PCMU", "udp", 4.0).await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_a_law_over_tcp() -> Result<()> {
    leaves_a_message("PCMA", "tcp", 4.0).await
}

#[tokio::test]
async fn baresip_leaves_a_message_in_opus() -> Result<()> {
    leaves_a_message("opus/48000/2", "udp", 3.5).await
}

/// A caller who listens to the whole greeting hears it as it is, then the beep at once, and is not recorded before.
async fn hears_the_greeting(language: &str, other: &str, codec: &str, after: &Sound) -> Result<()> {
    let world = World::of(&Person { language, ..ALICE }).await?;
    let greeting = greeting(language, codec)?;
    let said = Sound::silence(PAUSE_S + greeting.seconds() + BEEP_S + 0.2).then(after).then(&Sound::silence(LATE_S));
    let (caller, greeted) = world.caller(codec, "udp", &said).await?;
    let call = World::over(caller, greeted).await?;

    let quality = sound::quality(&greeting, &call.heard)?;
    let heard = call.heard.part(quality.offset_s, greeting.seconds());
    let beep_end = sound::tone_end(&call.heard, BEEP_HZ).context("the caller heard no beep")?;
    let beep_s = beep_end - quality.offset_s - greeting.seconds();
    let beep = call.heard.part(beep_end - 0.35, 0.3);
    println!("{language}, {codec}: {quality:?}, {:.1} dBFS; beep {beep_s:.2} s, {:.1} dBFS", heard.level(), beep.level());
    assert!((0.0..0.2).contains(&quality.offset_s), "the greeting begins at once: {quality:?}");
    assert!(quality.pesq >= 4.0 && quality.stretch_s.abs() < 0.01, "the greeting sounds as it should: {quality:?}");
    assert!((heard.level() - greeting.level()).abs() < 1.0, "{:.1} dBFS, not {:.1}", heard.level(), greeting.level());
    // The last packet of the greeting is filled up with silence.
    assert!((0.36..=0.46).contains(&beep_s), "the beep lasts until {beep_s:.2} s after the greeting");
    assert!((-20.0..=-14.0).contains(&beep.level()), "the beep has {:.1} dBFS", beep.level());
    let wrong = sound::quality(&self::greeting(other, codec)?, &call.heard)?;
    assert!(wrong.pesq < 2.0, "the other language is not heard: {wrong:?}");

    let record = world.missed_call().await?;
    assert_eq!(record["end"], "diverted", "{record}");
    world.hosted.stop().await
}

/// A greeting as a perfect phone hears it in that codec. PESQ takes much of what µ-law does to such a clean voice for damage.
fn greeting(language: &str, codec: &str) -> Result<Sound> {
    let greeting = sound::asset(&format!("greeting-{language}.wav"))?;
    Ok(if codec == "PCMU" { greeting.in_mu_law() } else { greeting })
}

#[tokio::test]
async fn who_speaks_for_less_than_a_second_hears_the_whole_greeting_and_is_a_missed_call() -> Result<()> {
    hears_the_greeting("en", "de", "PCMU", &sound::sentence()?.part(1.0, 0.6)).await
}

#[tokio::test]
async fn who_says_nothing_to_a_german_mailbox_hears_it_in_german_and_is_a_missed_call() -> Result<()> {
    hears_the_greeting("de", "en", "opus/48000/2", &Sound::silence(0.6)).await
}

#[tokio::test]
async fn who_hangs_up_in_the_greeting_is_a_missed_call() -> Result<()> {
    let world = World::new().await?;
    let (mut caller, greeted) = world.caller("PCMU", "udp", &sound::speech()?).await?;
    caller.hears(2.0, PATIENCE).await?;
    caller.command("hangup").await?;
    let call = World::over(caller, greeted).await?;
    assert_eq!(sound::tone_end(&call.heard, BEEP_HZ), None, "no beep yet");
    world.missed_call().await?;
    assert_eq!(world.hosted.recorded_bytes()?, 0, "nothing is left in the spool");
    world.hosted.stop().await
}

#[tokio::test]
async fn a_shutdown_keeps_the_message_that_is_being_left() -> Result<()> {
    let world = World::new().await?;
    let speech = sound::sentence()?;
    let said = Sound::silence(LEAD_S).then(&speech.repeated(60.0));
    let (caller, greeted) = world.impatient_caller("PCMU", "udp", &said).await?;
    world.recorded(3 * 8000).await?;
    // Ends well although the caller would speak on for a minute, whom it hangs up on.
    world.hosted.stop().await?;
    let call = World::over(caller, greeted).await?;
    let sent_s = call.after_the_beep()?;

    let world = World::restarted(world.folder).await?;
    let message = world.message().await?;
    let listed_s = seconds(&message)?;
    println!("shutdown: listed {listed_s:.2} s, sent {sent_s:.2} s");
    assert!((listed_s - sent_s).abs() <= 0.2, "listed {listed_s:.2} s, sent {sent_s:.2} s");
    assert_eq!(message["interrupted"], true, "{message}");
    let stored = Sound(world.sound_of(&message).await?.samples);
    let quality = sound::quality(&speech, &stored)?;
    assert!(quality.pesq >= 4.0, "{quality:?}");
    world.hosted.stop().await
}

#[tokio::test]
async fn a_crash_keeps_what_was_recorded() -> Result<()> {
    let world = World::new().await?;
    let speech = sound::sentence()?;
    let said = Sound::silence(LEAD_S).then(&speech.repeated(60.0));
    let (_caller, _greeted) = world.impatient_caller("PCMU", "udp", &said).await?;
    world.recorded(4 * 8000).await?;
    let before = Instant::now();
    world.hosted.kill().await?;
    let at_least = 4.0 - 0.01;

    let world = World::restarted(world.folder).await?;
    let message = world.message().await?;
    let listed_s = seconds(&message)?;
    println!("crash: listed {listed_s:.2} s, killed within {:?}", before.elapsed());
    assert!(listed_s >= at_least, "listed {listed_s:.2} s");
    assert_eq!(message["caller"]["number"], CALLER, "{message}");
    assert_eq!(message["interrupted"], true, "{message}");
    let stored = Sound(world.sound_of(&message).await?.samples);
    assert!((stored.seconds() - listed_s).abs() < 0.01, "{:.2} s of sound, {listed_s:.2} s listed", stored.seconds());
    let begun = speech.part(0.0, listed_s - 1.8);
    let quality = sound::quality(&begun, &stored)?;
    assert!(quality.pesq >= 4.0, "{quality:?}");
    assert_eq!(world.api.call_records().await?.len(), 1, "the call is in the log");
    world.hosted.stop().await?;
    // Once, however often it is started.
    let world = World::restarted(world.folder).await?;
    assert_eq!(world.message().await?["id"], message["id"]);
    world.hosted.stop().await
}

/// Somebody puts the receiver beside the phone: the answering machine hangs up, and the words are a message.
#[tokio::test]
async fn ten_seconds_of_silence_end_a_message() -> Result<()> {
    let world = World::new().await?;
    let words = sound::sentence()?;
    let said = Sound::silence(LEAD_S).then(&words).then(&Sound::silence(60.0));
    let (caller, greeted) = world.impatient_caller("PCMU", "udp", &said).await?;
    let call = World::over(caller, greeted).await?;
    let message = world.message().await?;
    let stored = Sound(world.sound_of(&message).await?.samples);
    let quality = sound::quality(&words, &stored)?;
    let last_word = stored.sounding().iter().rposition(|loud| *loud).context("nothing sounds")?;
    let quiet_s = call.after_the_beep()? - last_word as f64 * 0.02;
    println!("hung up after {quiet_s:.2} s of silence, {:.2} s stored, {quality:?}", stored.seconds());
    assert!((9.5..11.0).contains(&quiet_s), "{quiet_s:.2} s");
    assert!(quality.pesq >= 4.0, "{quality:?}");
    assert_eq!(message["interrupted"], false, "{message}");
    world.hosted.stop().await
}

/// A caller who speaks without an end is warned ten seconds before it.
#[tokio::test]
async fn a_message_ends_at_its_greatest_length_and_a_beep_warns_before() -> Result<()> {
    const LONGEST_S: f64 = 60.0;
    let world = World::new().await?;
    world.api.change_plan(json!({"longest_s": 60})).await?;
    let said = Sound::silence(LEAD_S).then(&sound::sentence()?.repeated(90.0));
    let (caller, greeted) = world.impatient_caller("PCMU", "udp", &said).await?;
    // Nothing is sent to who speaks: in what they heard the warning follows the beep at once. So here the clock counts.
    let warned = async || Ok(sound::tone_end(&sound::so_far(&caller.heard()?)?, WARNING_HZ));
    process::eventually("the caller is warned", Duration::from_secs(90), warned).await?;
    let warned = Instant::now();
    let call = World::over(caller, greeted).await?;
    let left_s = call.closed.duration_since(warned).as_secs_f64();
    let (sent_s, listed_s) = (call.after_the_beep()?, seconds(&world.message().await?)?);
    println!("warned {left_s:.2} s before the end, hung up {sent_s:.2} s after the beep, {listed_s:.2} s listed");
    assert!((9.0..10.5).contains(&left_s), "warned {left_s:.2} s before the end");
    assert!((sent_s - LONGEST_S).abs() < 1.0, "hung up {sent_s:.2} s after the beep");
    assert!((listed_s - LONGEST_S).abs() <= 0.2, "{listed_s:.2} s listed");
    world.hosted.stop().await
}

#[tokio::test]
async fn keys_by_sip_info_and_as_sound_skip_the_greeting_and_end_the_message() -> Result<()> {
    let world = World::new().await?;
    let (words, key) = (sound::reply()?, Sound::hash_key());
    let before = Sound::silence(0.8).then(&key).then(&Sound::silence(LEAD_S - 0.8 - key.seconds()));
    let sounding = before.then(&words).then(&Sound::silence(0.5)).then(&key).then(&Sound::silence(30.0));
    let silent = Sound::silence(LEAD_S).then(&words).then(&Sound::silence(30.0));
    let pauses = [Duration::from_millis(800), Duration::from_millis(7_700)];
    let (server, info) = (world.hosted.sip_udp, sipp::Keys::Info('#', &pauses));
    let (by_sound, by_info) =
        tokio::join!(sipp::leave(server, "1001", &sounding, sipp::Keys::Sounding), sipp::leave(server, "1001", &silent, info));
    by_sound.context("as sound")?;
    by_info.context("by INFO")?;
    for message in world.api.wait_for_messages(2, PATIENCE).await? {
        let (stored, listed_s) = (Sound(world.sound_of(&message).await?.samples), seconds(&message)?);
        let quality = sound::quality(&words, &stored)?;
        println!("{listed_s:.2} s, {quality:?}");
        assert!((6.0..8.0).contains(&listed_s), "skipped and ended by the keys alone: {listed_s:.2} s");
        assert!(quality.pesq >= 4.0 && quality.offset_s < 1.5, "{quality:?}");
    }
    world.hosted.stop().await
}

#[tokio::test]
async fn fifty_callers_at_once_are_all_recorded() -> Result<()> {
    let world = World::new().await?;
    // In whole packets of 20 ms.
    let greeting_s = (sound::asset("greeting-en.wav")?.seconds() / 0.02).ceil() * 0.02;
    let before_s = PAUSE_S + greeting_s + BEEP_S;
    let speech = sound::speech()?;
    let hold = Duration::from_secs(14);
    let load = sipp::Load { server: world.hosted.sip_udp, extension: "1001", calls: 50, speech: &speech, hold };
    let connected = sipp::run(&load).await?;
    let messages = world.api.wait_for_messages(50, PATIENCE).await?;
    assert_eq!(messages.len(), 50, "one message a call");
    let callers: BTreeSet<_> = messages.iter().filter_map(|message| message["caller"]["number"].as_str()).collect();
    assert_eq!(callers, connected.keys().map(String::as_str).collect(), "each from its own caller");

    let spoken = speech.repeated(30.0).in_mu_law();
    let (mut worst_s, mut latest_s) = (0.0f64, 0.0f64);
    for message in &messages {
        let number = message["caller"]["number"].as_str().context("no number")?;
        let stored = Sound(world.sound_of(message).await?.samples);
        let begins_s = intact(&stored, &spoken, before_s - 0.1).with_context(|| number.to_owned())?;
        latest_s = latest_s.max(begins_s - before_s);
        let sent_s = connected.get(number).context("nobody's message")?.as_secs_f64() - begins_s;
        let listed_s = seconds(message)?;
        worst_s = worst_s.max((listed_s - sent_s).abs());
        assert!((listed_s - sent_s).abs() <= 0.2, "{number}: listed {listed_s:.2} s, sent {sent_s:.2} s");
    }
    println!("fifty callers: durations within {worst_s:.3} s, beeps at most {latest_s:.3} s late");
    assert!(world.data().join("spool").read_dir()?.next().is_none(), "the spool is empty");
    world.hosted.stop().await
}

/// Makes sure that the message is to the sample what was said, and says from which second on, which is not long after
/// `earliest_s`. Its first packet may be a part of one, and its last packets may have been on their way.
fn intact(stored: &Sound, said: &Sound, earliest_s: f64) -> Result<f64> {
    let begins_s = earliest_s + sound::find(&stored.part(1.0, 3.0), &said.part(earliest_s + 1.0, 8.0));
    let sure = stored.part(0.1, stored.seconds() - 0.3);
    let wanted = said.part(begins_s + 0.1, sure.seconds());
    let differing = sure.0.iter().zip(&wanted.0).filter(|(a, b)| a != b).count();
    ensure!(differing == 0 && sure.0.len() == wanted.0.len(), "{differing} of {} samples differ", sure.0.len());
    Ok(begins_s)
}

//! Every way on which sound travels to phones of another make, in every codec.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::path::PathBuf;

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, DOMAIN, Hosted, Person, Phone},
    process::PATIENCE,
    sound::{self, Sound},
};
use anyhow::{Context, Result};
use futures_util::future::try_join_all;

const CODECS: [&str; 4] = ["PCMU", "PCMA", "G722/16000/1", "opus/48000/2"];
const SDES: &str = ";mediaenc=srtp-mand";

/// Two people with a desk phone each, who talk in one codec.
struct Pair {
    codec: &'static str,
    people: [(String, String, Phone); 2],
}

impl Pair {
    async fn new(data: &std::path::Path, number: usize, codec: &'static str) -> Result<Self> {
        let person = async |role: &str, digit: usize| -> Result<_> {
            let (name, extension) = (format!("{role}{number}"), format!("1{digit}{number:02}"));
            let person = Person { name: &name, extension: &extension, display_name: &name, ring_s: 30, language: "en" };
            hosted::add_person(data, &person).await?;
            let phone = hosted::add_phone(data, &name).await?;
            anyhow::Ok((name, extension, phone))
        };
        Ok(Self { codec, people: [person("caller", 1).await?, person("called", 2).await?] })
    }

    async fn phone(&self, which: usize, hosted: &Hosted, path: &str, speech: PathBuf) -> Result<Baresip> {
        let (name, extension, phone) = &self.people[which];
        let person = Person { name, extension, display_name: name, ring_s: 30, language: "en" };
        let account = phone.account(&person, hosted.sip_udp, &format!(";audio_codecs={}{path}", self.codec));
        let mut baresip = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        baresip.registered().await?;
        Ok(baresip)
    }

    /// They speak at the same time, and both hear each other.
    async fn talk(&self, phones: [Baresip; 2], paths: [&str; 2], words: &[Sound; 2]) -> Result<()> {
        let [mut caller, mut called] = phones;
        caller.command(&format!("dial sip:{}@{DOMAIN}", self.people[1].1)).await?;
        called.happening("CALL_INCOMING", PATIENCE).await?;
        called.command("accept").await?;
        called.happening("CALL_ESTABLISHED", PATIENCE).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        // The caller hangs up at the end of its words.
        caller.happening("CALL_CLOSED", PATIENCE).await?;
        called.happening("CALL_CLOSED", PATIENCE).await?;
        let heard_by_called = sound::quality(&words[0], &Sound::load(&called.heard()?)?)?;
        let heard_by_caller = sound::quality(&words[1], &Sound::load(&caller.heard()?)?)?;
        println!("{}, {paths:?}: {heard_by_caller:?}, {heard_by_called:?}", self.codec);
        // baresip interpolates between the telephone's rate and that of G.722 in straight lines, which is heard.
        let least = if self.codec.starts_with("G722") { 3.5 } else { 3.8 };
        for heard in [heard_by_caller, heard_by_called] {
            assert!(heard.pesq >= least && heard.stretch_s.abs() < 0.03, "{}, {paths:?}: {heard:?}", self.codec);
        }
        Ok(())
    }
}

/// All codecs at once, the caller and the called phone on these paths.
async fn all_codecs(caller: &str, called: &str, arguments: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let mut pairs = Vec::new();
    for (number, codec) in CODECS.into_iter().enumerate() {
        pairs.push(Pair::new(&data, number, codec).await?);
    }
    let hosted = Hosted::start_wary(&data, arguments).await?;
    let words = [sound::sentence()?.part(0.0, 5.0), sound::reply()?];
    let speech = [folder.path().join("caller.wav"), folder.path().join("called.wav")];
    // ICE and DTLS take their time after the answer.
    let lead = Sound::silence(1.5);
    lead.clone().then(&words[0]).then(&Sound::silence(1.5)).save(&speech[0])?;
    lead.then(&words[1]).then(&Sound::silence(30.0)).save(&speech[1])?;
    let mut talks = Vec::new();
    for pair in &pairs {
        let phones =
            [pair.phone(0, &hosted, caller, speech[0].clone()).await?, pair.phone(1, &hosted, called, speech[1].clone()).await?];
        talks.push(async { pair.talk(phones, [caller, called], &words).await.context(pair.codec) });
    }
    try_join_all(talks).await?;
    hosted.stop().await
}

#[tokio::test]
async fn phones_that_encrypt_with_sdes_talk_in_every_codec() -> Result<()> {
    all_codecs(SDES, SDES, &["--srtp", "require"]).await
}

//! Every way on which sound travels to phones of another make, in every codec.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{net::SocketAddr, path::PathBuf};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, DOMAIN, Hosted, Person, Phone},
    process::PATIENCE,
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::sync::Mutex;

const CODECS: [&str; 4] = ["PCMU", "PCMA", "G722/16000/1", "opus/48000/2"];
/// A way to a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// RTP as it is.
    Plain,
    /// The same over IPv6.
    Plain6,
    /// Encrypted, with the keys in the description (RFC 4568).
    Sdes,
    /// ICE and DTLS-SRTP, as browsers have it.
    Dtls,
}

impl Way {
    /// What an account of baresip's has for it.
    fn parameters(self) -> &'static str {
        match self {
            Self::Plain | Self::Plain6 => "",
            Self::Sdes => ";mediaenc=srtp-mand",
            Self::Dtls => ";mediaenc=dtls_srtp;medianat=ice",
        }
    }
}

/// The ways, from whom to whom, and what the server is told.
const WAYS: [(Way, Way, &[&str]); 4] = [
    (Way::Plain, Way::Plain, &[]),
    (Way::Plain6, Way::Plain6, &["--sip-udp", "[::]:0"]),
    (Way::Sdes, Way::Sdes, &["--srtp", "require"]),
    (Way::Dtls, Way::Plain, &[]),
];

/// Before the words: ICE and DTLS take their time after the answer.
const LEAD_S: f64 = 1.5;
/// Phones that compute beside each other are enough for a small machine: one way after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

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

    async fn phone(&self, which: usize, hosted: &Hosted, way: Way, speech: PathBuf) -> Result<Baresip> {
        let (name, extension, phone) = &self.people[which];
        let person = Person { name, extension, display_name: name, ring_s: 30, language: "en" };
        let here = if way == Way::Plain6 { "::1" } else { "127.0.0.1" };
        let server = SocketAddr::new(here.parse()?, hosted.sip_udp.port());
        let account = phone.account(&person, server, &format!(";audio_codecs={}{}", self.codec, way.parameters()));
        let setup = Setup { account, speech, rate: sound::RATE };
        let mut baresip = if way == Way::Plain6 { Baresip::start_v6(&setup).await? } else { Baresip::start(&setup).await? };
        baresip.registered().await?;
        Ok(baresip)
    }

    /// They speak at the same time, and both hear each other; one holds the call and takes it up again, and keys go both ways.
    async fn talk(&self, phones: [Baresip; 2], ways: [Way; 2], words: &[Sound; 2]) -> Result<()> {
        let [mut caller, mut called] = phones;
        caller.command(&format!("dial sip:{}@{DOMAIN}", self.people[1].1)).await?;
        called.happening("CALL_INCOMING", PATIENCE).await?;
        called.command("accept").await?;
        called.happening("CALL_ESTABLISHED", PATIENCE).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        // Of the words nothing may be missing when the call is held.
        let all = LEAD_S + words.iter().map(Sound::seconds).fold(0.0, f64::max) + 0.5;
        caller.hears(all, PATIENCE).await?;
        called.hears(all, PATIENCE).await?;
        hold_and_resume(&mut caller).await.context("held and resumed")?;
        press("5", &mut caller, &mut called).await.context("the caller's key")?;
        press("7", &mut called, &mut caller).await.context("the called person's key")?;
        caller.command("hangup").await?;
        caller.happening("CALL_CLOSED", PATIENCE).await?;
        called.happening("CALL_CLOSED", PATIENCE).await?;
        let heard_by_called = sound::quality(&words[0], &Sound::load(&called.heard()?)?)?;
        let heard_by_caller = sound::quality(&words[1], &Sound::load(&caller.heard()?)?)?;
        println!("{}, {ways:?}: {heard_by_caller:?}, {heard_by_called:?}", self.codec);
        // baresip interpolates between the telephone's rate and that of G.722 in straight lines, which is heard.
        let least = if self.codec.starts_with("G722") { 3.5 } else { 3.8 };
        for heard in [heard_by_caller, heard_by_called] {
            assert!(heard.pesq >= least && heard.stretch_s.abs() < 0.03, "{}, {ways:?}: {heard:?}", self.codec);
        }
        Ok(())
    }
}

async fn hold_and_resume(phone: &mut Baresip) -> Result<()> {
    for command in ["hold", "resume"] {
        phone.command(command).await?;
        phone.happening("CALL_REMOTE_SDP", PATIENCE).await?;
    }
    Ok(())
}

/// A key of one phone is heard at the other: the way is open in that direction.
async fn press(key: &str, phone: &mut Baresip, other: &mut Baresip) -> Result<()> {
    phone.command(&format!("sndcode {key}")).await?;
    let heard = other.happening("CALL_DTMF_START", PATIENCE).await?.parameter;
    ensure!(heard == key, "{key} was pressed, {heard} was heard");
    Ok(())
}

/// All codecs at once, from whom to whom on these ways.
async fn all_codecs(caller: Way, called: Way, arguments: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let mut pairs = Vec::new();
    for (number, codec) in CODECS.into_iter().enumerate() {
        pairs.push(Pair::new(&data, number, codec).await?);
    }
    let hosted = Hosted::start_wary(&data, arguments).await?;
    let words = [sound::sentence()?.part(0.0, 5.0), sound::reply()?];
    let speech = [folder.path().join("caller.wav"), folder.path().join("called.wav")];
    for (words, speech) in words.iter().zip(&speech) {
        Sound::silence(LEAD_S).then(words).then(&Sound::silence(60.0)).save(speech)?;
    }
    let mut talks = Vec::new();
    for pair in &pairs {
        let phones =
            [pair.phone(0, &hosted, caller, speech[0].clone()).await?, pair.phone(1, &hosted, called, speech[1].clone()).await?];
        talks.push(async { pair.talk(phones, [caller, called], &words).await.context(pair.codec) });
    }
    try_join_all(talks).await?;
    hosted.stop().await
}

async fn way(number: usize) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let (caller, called, arguments) = WAYS[number];
    all_codecs(caller, called, arguments).await.with_context(|| format!("{caller:?} to {called:?}"))
}

#[tokio::test]
async fn phones_talk_hold_and_press_keys_over_plain_rtp_in_every_codec() -> Result<()> {
    way(0).await
}

#[tokio::test]
async fn phones_talk_hold_and_press_keys_over_ipv6_in_every_codec() -> Result<()> {
    way(1).await
}

#[tokio::test]
async fn phones_that_encrypt_with_sdes_talk_hold_and_press_keys_in_every_codec() -> Result<()> {
    way(2).await
}

#[tokio::test]
async fn phones_with_ice_and_dtls_talk_with_plain_ones_hold_and_press_keys_in_every_codec() -> Result<()> {
    way(3).await
}

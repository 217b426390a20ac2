//! Two people of one account: Alice at her desktop, in whose windows one looks, and Bob with a phone of another make.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    baresip::{Baresip, Setup},
    desktop::Desktop,
    hosted::{self, ALICE, BOB, Hosted, Person},
    process::{self, PATIENCE},
    sound::{self, Sound},
    window::Window,
};

/// Carla, whose extension is 1003. She has no phone.
pub const CARLA: Person<'_> =
    Person { name: "carla", extension: "1003", display_name: "Carla Conti", ring_s: 20, language: "en" };

/// The office.
#[derive(Debug)]
pub struct Office {
    /// Alice's.
    pub desktop: Desktop,
    /// The account of all three.
    pub hosted: Hosted,
    /// Bob's desk phone.
    pub bob: Baresip,
    /// What Bob says in a call.
    pub says: Sound,
    folder: tempfile::TempDir,
}

impl Office {
    /// Opens it: Bob's phone is registered, and in each of his calls he says `says`.
    ///
    /// # Errors
    /// Where a part doesn't come up.
    pub async fn open(says: Sound) -> Result<Self> {
        Self::open_with(says, &[]).await
    }

    /// The same, with more arguments of the server.
    ///
    /// # Errors
    /// Where a part doesn't come up.
    pub async fn open_with(says: Sound, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        for person in [ALICE, BOB, CARLA] {
            hosted::add_person(&data, &person).await?;
        }
        let phone = hosted::add_phone(&data, BOB.name).await?;
        let hosted = Hosted::start_wary(&data, arguments).await?;
        let speech = folder.path().join("speech.wav");
        says.save(&speech)?;
        let account = phone.account(&BOB, hosted.sip_udp, ";audio_codecs=PCMU;answermode=manual");
        let mut bob = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        bob.registered().await?;
        let desktop = Desktop::start().await?;
        Ok(Self { desktop, hosted, bob, says, folder })
    }

    /// An app in a profile of its own, with these arguments.
    ///
    /// # Errors
    /// Where its window doesn't come.
    pub async fn app(&self, profile: &str, more: &[&str]) -> Result<Window> {
        let folder = self.desktop.folder().join(profile);
        let folder = folder.to_string_lossy();
        let arguments = [&["--profile", folder.as_ref()], more].concat();
        Window::open(&self.desktop, &arguments, &self.file(&format!("{profile}.log"))).await
    }

    /// The same, signed in as Alice and connected.
    ///
    /// # Errors
    /// Where it isn't connected in time.
    pub async fn alice(&self, profile: &str) -> Result<Window> {
        let link = self.invitation(&[]).await?;
        let window = self.app(profile, &["--invite", &link]).await?;
        window.wait_for(CONNECTED).await?;
        Ok(window)
    }

    /// An invitation for Alice.
    ///
    /// # Errors
    /// Where the server makes none.
    pub async fn invitation(&self, more: &[&str]) -> Result<String> {
        let arguments = [&["invite", ALICE.name, "--server", &self.hosted.http], more].concat();
        let said = self.hosted.admin(&arguments, "").await?;
        said.lines().find(|line| line.starts_with("aftertone://")).map(str::to_owned).context("no link")
    }

    /// A file of this test's.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bob calls Alice.
    ///
    /// # Errors
    /// Where his phone is gone.
    pub async fn bob_calls(&mut self) -> Result<()> {
        let target = format!("dial sip:{}@{};transport=udp", ALICE.extension, self.hosted.sip_udp);
        self.bob.command(&target).await
    }

    /// Bob, whose call the mailbox takes, goes straight to the beep, leaves so many seconds and hangs up.
    ///
    /// # Errors
    /// Where that doesn't happen in time.
    pub async fn bob_leaves(&mut self, seconds: f64) -> Result<()> {
        self.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
        self.bob.hears(0.4, PATIENCE).await?;
        self.bob.command("sndcode #").await?;
        // µ-law has a byte a sample.
        let bytes = (seconds * f64::from(sound::RATE)) as u64;
        process::eventually("so much is recorded", PATIENCE * 2, || async {
            Ok((self.hosted.recorded_bytes()? > bytes).then_some(()))
        })
        .await?;
        self.bob.command("hangup").await?;
        self.bob.happening("CALL_CLOSED", PATIENCE).await.map(drop)
    }

    /// Bob leaves the `nth` message in Alice's mailbox, which her window shows.
    ///
    /// # Errors
    /// Where that doesn't happen in time.
    pub async fn message(&mut self, window: &Window, nth: usize, seconds: f64) -> Result<()> {
        self.bob_calls().await?;
        window.click("decline").await?;
        self.bob_leaves(seconds).await?;
        process::eventually("it has a row", PATIENCE, || async {
            Ok((window.all("message-row").await?.len() >= nth).then_some(()))
        })
        .await
    }

    /// Waits until the last second that Bob heard is louder than -50 dBFS, or silent.
    ///
    /// # Errors
    /// Where it isn't in time.
    pub async fn bob_hears(&self, something: bool) -> Result<f64> {
        let what = if something { "Bob hears something" } else { "Bob hears silence" };
        process::eventually(what, PATIENCE, || async {
            let heard = sound::so_far(&self.bob.heard()?)?;
            let level = heard.part(heard.seconds() - 1.0, 1.0).level();
            Ok(((level > -50.0) == something).then_some(level))
        })
        .await
    }

    /// Closes the office.
    ///
    /// # Errors
    /// Where the server doesn't end well.
    pub async fn close(self) -> Result<()> {
        drop(self.bob);
        self.hosted.stop().await
    }
}

/// Matches when a window is connected.
pub const CONNECTED: &str = "[data-testid=\"connection\"][data-state=\"connected\"]";

//! A browser as a phone: Debian's Chromium with SIP.js over a secure WebSocket, digest credentials, and WebRTC.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_media::container;
use aftertone_tests::{
    browser::{self, Browser, Setup},
    desktop::Desktop,
    hosted::{self, ALICE, Api, BOB, DOMAIN, Hosted, Person, Phone},
    office::CONNECTED,
    peers::keys::Keys,
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use serde_json::{Value, json};

const LEAD_S: f64 = 1.5;
/// What is heard live goes through a jitter buffer, which stretches it where the machine is busy; what is recorded doesn't.
const HEARD_LIVE: f64 = 2.8;
/// The same, where the browser, the window and their server share two cores. Other words have less than 1.5.
const HEARD_BY_WINDOW: f64 = 2.0;

struct World {
    hosted: Hosted,
    bob: Api,
    alices: Phone,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        hosted::add_person(&data, &Person { ring_s: 5, ..BOB }).await?;
        let alices = hosted::add_phone(&data, ALICE.name).await?;
        let keys = Keys::make(folder.path(), "server")?;
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let hosted = Hosted::start_wary(&data, &["--https", "127.0.0.1:0", "--cert", &cert, "--key", &key]).await?;
        let bob = hosted.sign_in(BOB.name).await?;
        Ok(Self { hosted, bob, alices, folder })
    }

    fn save(&self, name: &str, sound: &Sound) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        sound.save(&path)?;
        Ok(path)
    }

    /// Alice's browser, registered.
    async fn browser(&self, says: &Sound, codec: Option<&str>, trickles: bool) -> Result<Browser> {
        let speech = self.save("browser.wav", says)?;
        let mut browser = Browser::start(&Setup {
            server: format!("wss://{}/sip", self.hosted.address("https")?),
            uri: format!("sip:{}@{DOMAIN}", ALICE.extension),
            username: &self.alices.username,
            password: &self.alices.password,
            speech: &speech,
            codec,
            trickles,
        })
        .await?;
        browser.happening("registration", &[("state", "Registered")], PATIENCE).await?;
        Ok(browser)
    }

    /// Bob's phone without a window.
    fn terminal(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = process::clean_command(process::built("aftertone-phone")?);
        command.env("AFTERTONE_PASSWORD", hosted::password(BOB.name));
        command.args(["--server", &self.hosted.http, "--user", BOB.name]).args(arguments);
        process::start(&mut command, &self.folder.path().join("bob.log"))
    }
}

/// Waits until the terminal tells of this.
async fn event(terminal: &mut Running, kind: &str) -> Result<Value> {
    loop {
        let line = terminal.line(PATIENCE).await.with_context(|| format!("no {kind}"))?;
        let event: Value = serde_json::from_str(&line)?;
        if event["event"] == kind {
            return Ok(event);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn load(path: &Path) -> Result<Sound> {
    let decoded = container::decode(&std::fs::read(path)?)?;
    Ok(Sound(sound::to_rate(&decoded.samples, decoded.rate)?))
}

fn well_heard(who: &str, said: &Sound, heard: &Sound, pesq: f64) -> Result<()> {
    let quality = sound::quality(said, heard)?;
    println!("{who} heard {quality:?}");
    ensure!(quality.pesq >= pesq && quality.stretch_s.abs() < 0.1, "{who} heard {quality:?}");
    Ok(())
}

async fn browser_heard(browser: &mut Browser) -> Result<Sound> {
    Ok(Sound(sound::to_rate(&browser.heard(PATIENCE).await?, browser::RATE)?))
}

#[tokio::test]
async fn a_browser_calls_the_app() -> Result<()> {
    let world = World::new().await?;
    let (alices_words, bobs_words) = (sound::sentence()?, sound::reply()?);
    let play = world.save("bob.wav", &Sound::silence(LEAD_S).then(&bobs_words).then(&Sound::silence(5.0)))?;
    let record = world.folder.path().join("heard.wav");
    let mut bob = world.terminal(&["wait", "--answer", "--play", text(&play), "--record", text(&record), "--for", "11s"])?;
    event(&mut bob, "registered").await?;
    let says = Sound::silence(LEAD_S).then(&alices_words).then(&Sound::silence(20.0));
    let mut alice = world.browser(&says, None, false).await?;
    alice.order(json!({"do": "call", "target": format!("sip:1002@{DOMAIN}")}));
    assert_eq!(event(&mut bob, "incoming").await?["from"], "1001");
    let established = alice.happening("established", &[], PATIENCE).await?;
    assert_eq!(established["codec"], "opus", "{established}");
    let quality = event(&mut bob, "quality").await?;
    assert_eq!((&quality["codec"], &quality["path"], &quality["one_way"]), (&"opus".into(), &"direct".into(), &false.into()));
    event(&mut bob, "ended").await?;
    alice.happening("terminated", &[], PATIENCE).await?;
    well_heard("the browser", &bobs_words, &browser_heard(&mut alice).await?, HEARD_LIVE)?;
    well_heard("the app", &alices_words, &load(&record)?, HEARD_LIVE)?;
    world.hosted.stop().await
}

#[tokio::test]
async fn the_app_calls_a_browser_which_holds_resumes_and_presses_keys() -> Result<()> {
    let world = World::new().await?;
    let says = Sound::silence(30.0);
    let mut alice = world.browser(&says, None, false).await?;
    let bobs_words = sound::sentence()?;
    let play = world.save("bob.wav", &Sound::silence(LEAD_S).then(&bobs_words).then(&Sound::silence(8.0)))?;
    let mut bob = world.terminal(&["call", "1001", "--play", text(&play)])?;
    assert_eq!(alice.happening("invited", &[], PATIENCE).await?["from"], "1002");
    alice.order(json!({"do": "answer"}));
    alice.happening("established", &[], PATIENCE).await?;
    event(&mut bob, "answered").await?;
    tokio::time::sleep(Duration::from_secs_f64(LEAD_S + bobs_words.seconds() + 1.0)).await;
    alice.order(json!({"do": "hold", "on": true}));
    assert_eq!(alice.happening("held", &[], PATIENCE).await?["on"], true);
    alice.order(json!({"do": "hold", "on": false}));
    assert_eq!(alice.happening("held", &[], PATIENCE).await?["on"], false);
    alice.order(json!({"do": "digit", "digit": "5"}));
    event(&mut bob, "ended").await?;
    alice.happening("terminated", &[], PATIENCE).await?;
    well_heard("the browser", &bobs_words, &browser_heard(&mut alice).await?, HEARD_LIVE)?;
    world.hosted.stop().await
}

/// The browser calls Bob's window and is called by it; in the first call both speak.
#[tokio::test]
async fn a_browser_and_the_window_call_each_other() -> Result<()> {
    let world = World::new().await?;
    let desktop = Desktop::start().await?;
    let link = world.hosted.admin(&["invite", BOB.name, "--server", &world.hosted.http], "").await?;
    let link = link.lines().find(|line| line.starts_with("aftertone://")).context("no link")?.to_owned();
    let profile = desktop.folder().join("bob");
    let window =
        Window::open(&desktop, &["--profile", text(&profile), "--invite", &link], &world.folder.path().join("window.log"))
            .await?;
    window.wait_for(CONNECTED).await?;
    let (alices_words, bobs_words) = (sound::sentence()?, sound::reply()?);
    let says = Sound::silence(LEAD_S).then(&alices_words).then(&Sound::silence(60.0));
    let mut alice = world.browser(&says, None, false).await?;

    let listening = desktop.listen().await?;
    alice.order(json!({"do": "call", "target": format!("sip:1002@{DOMAIN}")}));
    window.click("answer").await?;
    alice.happening("established", &[], PATIENCE).await?;
    let speaking = desktop.say(&Sound::silence(LEAD_S).then(&bobs_words))?;
    tokio::time::sleep(Duration::from_secs_f64(LEAD_S + alices_words.seconds().max(bobs_words.seconds()) + 2.0)).await;
    window.click("hang-up").await?;
    alice.happening("terminated", &[], PATIENCE).await?;
    drop(speaking);
    well_heard("the window", &alices_words, &listening.stop().await?, HEARD_BY_WINDOW)?;
    well_heard("the browser", &bobs_words, &browser_heard(&mut alice).await?, HEARD_LIVE)?;

    window.click("nav-calls").await?;
    window.wait_for("[data-testid=\"dial-number\"]").await?;
    window.type_into("dial-number", "1001").await?;
    window.type_into("dial-number", &String::from(char::from(Key::Enter))).await?;
    assert_eq!(alice.happening("invited", &[], PATIENCE).await?["from"], "1002");
    alice.order(json!({"do": "answer"}));
    alice.happening("established", &[], PATIENCE).await?;
    window.wait_for("[data-testid=\"call\"][data-state=\"connected\"]").await?;
    alice.order(json!({"do": "hang_up"}));
    window.wait_for("[data-testid=\"call\"][data-state=\"ended\"]").await?;
    window.close().await?;
    world.hosted.stop().await
}

/// Also in G.711, which a browser sends only where it offers nothing else.
async fn message(codec: Option<&str>, trickles: bool, pesq: f64) -> Result<()> {
    let world = World::new().await?;
    let words = sound::sentence()?;
    // The greeting is skipped by a key; what is said then begins some seconds after the call.
    let mut alice = world.browser(&Sound::silence(4.5).then(&words).then(&Sound::silence(30.0)), codec, trickles).await?;
    alice.order(json!({"do": "call", "target": format!("sip:1002@{DOMAIN}")}));
    alice.happening("established", &[], PATIENCE).await?;
    if trickles {
        let trickled = alice.happening("trickled", &[], PATIENCE).await?;
        ensure!(trickled["candidates"].as_u64() > Some(0), "{trickled}");
    }
    alice.order(json!({"do": "digit", "digit": "#"}));
    tokio::time::sleep(Duration::from_secs_f64(words.seconds() + 7.0)).await;
    alice.order(json!({"do": "hang_up"}));
    alice.happening("terminated", &[], PATIENCE).await?;
    let message = world.bob.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!(message["caller"]["number"], "1001", "{message}");
    let bytes = world.bob.bytes(&format!("messages/{}/audio", message["id"].as_str().context("no id")?)).await?;
    let stored = world.folder.path().join("stored");
    std::fs::write(&stored, bytes)?;
    well_heard(&format!("the mailbox ({codec:?})"), &words, &load(&stored)?, pesq)?;
    world.hosted.stop().await
}

#[tokio::test]
async fn a_browser_leaves_a_message_in_opus() -> Result<()> {
    message(None, false, 3.6).await
}

#[tokio::test]
async fn a_browser_leaves_a_message_in_g711() -> Result<()> {
    message(Some("PCMU"), false, 3.3).await
}

#[tokio::test]
async fn a_browser_that_tells_its_addresses_late_leaves_a_message_too() -> Result<()> {
    message(None, true, 3.6).await
}

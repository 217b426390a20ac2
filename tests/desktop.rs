//! The real window: calls with other people's phones, and what a person does with a message.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::time::Duration;

use aftertone_tests::{
    baresip::{Baresip, Setup},
    desktop::Desktop,
    hosted::Hosted,
    process,
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, MutexGuard};

const PATIENCE: Duration = Duration::from_secs(30);

/// One person sits at one machine: two windows that talk at once would measure the machine.
static DESK: Mutex<()> = Mutex::const_new(());

struct World {
    _desk: MutexGuard<'static, ()>,
    desktop: Desktop,
    hosted: Hosted,
    window: Window,
    folder: tempfile::TempDir,
}

impl World {
    /// Alice at her desk: her app is signed in by an invitation and connected.
    async fn new() -> Result<Self> {
        let desk = DESK.lock().await;
        let folder = tempfile::tempdir()?;
        let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
        hosted.add_user("alice", "1001", "Alice Adler", 30).await?;
        let desktop = Desktop::start().await?;
        let link = hosted.admin(&["invite", "alice", "--server", &hosted.http], "").await?;
        let link = link.lines().find(|line| line.starts_with("aftertone://")).context("no link")?;
        let profile = desktop.folder().join("alice");
        let arguments = ["--profile", &profile.to_string_lossy(), "--invite", link];
        let window = Window::open(&desktop, &arguments, &folder.path().join("app.log")).await?;
        window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await?;
        Ok(Self { _desk: desk, desktop, hosted, window, folder })
    }

    /// Somebody outside with a phone of another make, who says `speech` once the call is answered.
    async fn caller(&self, codec: &str, speech: &Sound) -> Result<Baresip> {
        let path = self.folder.path().join("speech.wav");
        speech.save(&path)?;
        let account = format!("\"Caller\" <sip:+4930901821@caller.example>;regint=0;audio_codecs={codec}");
        Baresip::start(&Setup { account, speech: path, rate: sound::RATE }).await
    }

    async fn end(self) -> Result<()> {
        self.window.close().await?;
        self.hosted.stop().await
    }

    async fn wait_for(&self, what: &str, css: &str) -> Result<()> {
        process::eventually(what, PATIENCE, || async { Ok(self.window.has(css).await?.then_some(())) }).await
    }

    async fn wait_until_gone(&self, css: &str) -> Result<()> {
        let what = format!("{css} is gone");
        process::eventually(&what, PATIENCE, || async { Ok((!self.window.has(css).await?).then_some(())) }).await
    }
}

/// baresip calls, the window answers, both hear each other, the window hangs up.
async fn talk(codec: &str, pesq: f64) -> Result<()> {
    let world = World::new().await?;
    let (theirs, ours) = (sound::speech()?, sound::speech()?.part(1.0, 7.0));
    let mut caller = world.caller(codec, &Sound::silence(2.0).then(&theirs).then(&Sound::silence(20.0))).await?;
    caller.command(&format!("dial sip:1001@{};transport=udp", world.hosted.sip_udp)).await?;
    world.window.find("ringing").await?;
    let listening = world.desktop.listen().await?;
    world.window.click("answer").await?;
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let speaking = world.desktop.say(&ours)?;
    let enough = listening.so_far()?.seconds() + 2.0 + theirs.seconds() + 3.0;
    process::eventually("all was said", PATIENCE + Duration::from_secs(30), || async {
        Ok((listening.so_far()?.seconds() >= enough).then_some(()))
    })
    .await?;
    world.window.click("hang-up").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    drop(speaking);
    let heard_here = sound::quality(&theirs, &listening.stop().await?)?;
    let heard_there = sound::quality(&ours, &Sound::load(&caller.heard()?)?)?;
    println!("{codec}: in the window {heard_here:?}, at baresip {heard_there:?}");
    assert!(heard_here.pesq >= pesq, "{codec}, in the window: {heard_here:?}");
    assert!(heard_there.pesq >= pesq, "{codec}, at baresip: {heard_there:?}");
    world.end().await
}

#[tokio::test]
async fn the_window_and_baresip_talk_in_g711() -> Result<()> {
    talk("PCMU", 3.0).await
}

#[tokio::test]
async fn the_window_and_baresip_talk_in_opus() -> Result<()> {
    talk("opus/48000/2", 3.0).await
}

#[tokio::test]
async fn a_declined_caller_reaches_the_mailbox() -> Result<()> {
    let world = World::new().await?;
    let mut caller = world.caller("PCMU", &Sound::silence(30.0)).await?;
    caller.command(&format!("dial sip:1001@{};transport=udp", world.hosted.sip_udp)).await?;
    world.window.click("decline").await?;
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    world.wait_until_gone("[data-testid=\"answer\"]").await?;
    caller.command("hangup").await?;
    world.end().await
}

/// The button in the empty mailbox, and what one does with a message: play it from the notification, delete it, undo.
#[tokio::test]
async fn a_test_message_is_left_played_deleted_and_brought_back() -> Result<()> {
    let world = World::new().await?;
    world.window.click("leave-test-message").await?;
    let row = world.window.find_css("[data-testid=\"message-row\"][data-state=\"new\"]").await?;
    let id = row.attr("data-message-id").await?.context("no id")?;
    let shown = process::eventually("a notification", PATIENCE, || async {
        let shown = world.desktop.notifications.shown();
        Ok(shown.into_iter().find(|one| one.actions.iter().any(|action| action == "play")))
    })
    .await?;
    let listening = world.desktop.listen().await?;
    world.desktop.notifications.press(shown.id, "play").await?;
    let loud = process::eventually("it is heard", PATIENCE, || async {
        let heard = listening.so_far()?;
        let last = heard.part(heard.seconds() - 1.0, 1.0);
        Ok((last.level() > -45.0).then_some(last.level()))
    })
    .await?;
    ensure!(loud > -45.0, "only {loud} dBFS");
    world.window.click("folder-all").await?;
    world.wait_for("it counts as heard", &format!("[data-message-id=\"{id}\"][data-state=\"heard\"]")).await?;

    world.window.find_css(&format!("[data-testid=\"message-row\"][data-message-id=\"{id}\"]")).await?.click().await?;
    world.window.click("delete").await?;
    world.wait_until_gone(&format!("[data-testid=\"message-row\"][data-message-id=\"{id}\"]")).await?;
    world.window.click("undo").await?;
    world.wait_for("it is back", &format!("[data-testid=\"message-row\"][data-message-id=\"{id}\"]")).await?;
    world.end().await
}

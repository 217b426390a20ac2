//! The real window: calls with other people's phones, and what a person does with a message.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::time::Duration;

use aftertone_tests::{
    baresip::{Baresip, Setup},
    desktop::Desktop,
    hosted::{self, Hosted},
    process::{self, PATIENCE},
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, MutexGuard};

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

    /// A message in Alice's mailbox, by a call of its own.
    async fn message(&self, nth: usize) -> Result<()> {
        let mut caller = self.caller("PCMU", &sound::speech()?.then(&Sound::silence(60.0))).await?;
        let (udp, domain) = (self.hosted.sip_udp, &self.hosted.domain);
        caller.command(&format!("dial sip:voicemail@{udp};transport=udp;target=sip:1001@{domain}")).await?;
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        caller.hears(0.4, PATIENCE).await?;
        caller.command("sndcode #").await?;
        process::eventually("some seconds are recorded", PATIENCE, || async {
            Ok((self.hosted.recorded_bytes()? > 24_000).then_some(()))
        })
        .await?;
        caller.command("hangup").await?;
        process::eventually("it has a row", PATIENCE, || async {
            Ok((self.window.all("message-row").await?.len() >= nth).then_some(()))
        })
        .await
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

/// What is done without the server is done there once it is back: heard, deleted, forwarded with a note.
#[tokio::test]
async fn what_is_done_without_the_server_reaches_it_later() -> Result<()> {
    let mut world = World::new().await?;
    world.hosted.add_user("bob", "1002", "Bob Brandt", 30).await?;
    // The people of the account are known from then on.
    world.window.click("nav-people").await?;
    world.window.find_css("[data-testid=\"person\"][data-user=\"bob\"]").await?;
    world.window.click("nav-mailbox").await?;
    world.message(1).await?;
    world.message(2).await?;
    let ports = world.hosted.ports()?;
    world.hosted.stop().await?;
    world.window.find_css("[data-testid=\"connection\"][data-reason=\"connect\"]").await?;

    let listening = world.desktop.listen().await?;
    world.window.click("play").await?;
    process::eventually("it is heard without the server", PATIENCE, || async {
        let heard = listening.so_far()?;
        Ok((heard.part(heard.seconds() - 1.0, 1.0).level() > -45.0).then_some(()))
    })
    .await?;
    world.window.click("forward").await?;
    world.window.type_into("forward-to", "1002").await?;
    world.window.find_css("[data-testid=\"forward-option\"][data-user=\"bob\"]").await?.click().await?;
    world.window.type_into("forward-note", "Please call back").await?;
    world.window.click("forward-send").await?;
    world.window.find_css("[data-testid=\"toast\"][data-about=\"forward_waits\"]").await?;
    world.window.click("folder-all").await?;
    world.window.find_css("[data-testid=\"message-row\"][data-state=\"heard\"]").await?;
    world.window.find_css("[data-testid=\"message-row\"][data-state=\"new\"]").await?.click().await?;
    world.window.click("delete").await?;

    let data = world.folder.path().join("account");
    world.hosted = Hosted::start(&data, &ports.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    world.window.click("reconnect").await?;
    world.window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await?;
    let (alice, bob) = (world.hosted.sign_in("alice").await?, world.hosted.sign_in("bob").await?);
    let forwarded = bob.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!(forwarded["forwarded"]["note"], "Please call back");
    process::eventually("both are as they were left", PATIENCE, || async {
        let mut states: Vec<_> = alice.messages().await?.iter().map(|message| message["state"].to_string()).collect();
        states.sort();
        Ok((states == ["\"deleted\"", "\"heard\""]).then_some(()))
    })
    .await?;
    world.end().await
}

/// Without a keyring the window says so, keeps the sign-in in a file if that is wanted, and signs the device out for good.
#[tokio::test]
async fn without_a_keyring_a_file_may_be_chosen_and_signing_out_revokes_the_device() -> Result<()> {
    let _desk = DESK.lock().await;
    let folder = tempfile::tempdir()?;
    let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
    hosted.add_user("alice", "1001", "Alice Adler", 30).await?;
    let desktop = Desktop::without_keyring().await?;
    let profile = desktop.folder().join("alice");
    let window = Window::open(&desktop, &["--profile", &profile.to_string_lossy()], &folder.path().join("app.log")).await?;
    let sign_in = async |server: &str, password: &str| {
        for (field, text) in [("server", server), ("user", "alice"), ("password", password)] {
            window.find(field).await?.clear().await?;
            window.type_into(field, text).await?;
        }
        window.click("submit").await
    };
    let failed =
        async |code: &str| window.find_css(&format!("[data-testid=\"sign-in-error\"][data-code=\"{code}\"]")).await.map(drop);
    sign_in("http://phone.example.com", "wrong").await?;
    failed("not_encrypted").await?;
    sign_in(&hosted.http, &hosted::password("alice")).await?;
    window.click("use-file-secrets").await?;
    sign_in(&hosted.http, "wrong").await?;
    failed("wrong_credentials").await?;
    sign_in(&hosted.http, &hosted::password("alice")).await?;
    window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await?;

    let alice = hosted.sign_in("alice").await?;
    let devices = async || -> Result<usize> { Ok(alice.get("devices").await?.as_array().context("no list")?.len()) };
    assert_eq!(devices().await?, 2);
    window.click("nav-settings").await?;
    window.click("sign-out").await?;
    window.click("sign-out-confirm").await?;
    window.find("sign-in").await?;
    assert_eq!(devices().await?, 1, "the server knows the device no more");
    window.close().await?;
    hosted.stop().await
}

//! The app with its window closed: it goes on taking calls and messages, and its notifications do what they offer.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    desktop::{Desktop, mark_set_up},
    hosted::{self, ALICE, Api, BOB, Hosted},
    notifications::Shown,
    office::Office,
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;

struct World {
    desktop: Desktop,
    hosted: Hosted,
    alice: Api,
    bob: Baresip,
    app: Running,
    profile: PathBuf,
    folder: tempfile::TempDir,
}

impl World {
    /// Alice's app runs without its window, and Bob's desk phone stands by.
    async fn new(settings: &serde_json::Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        hosted::add_person(&data, &ALICE).await?;
        hosted::add_person(&data, &BOB).await?;
        let phone = hosted::add_phone(&data, BOB.name).await?;
        let hosted = Hosted::start_wary(&data, &[]).await?;
        let speech = folder.path().join("speech.wav");
        sound::speech()?.then(&Sound::silence(60.0)).save(&speech)?;
        let account = phone.account(&BOB, hosted.sip_udp, ";audio_codecs=PCMU;answermode=manual");
        let mut bob = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        bob.registered().await?;
        let desktop = Desktop::start().await?;
        let profile = desktop.folder().join("alice");
        std::fs::create_dir(&profile)?;
        std::fs::write(profile.join("settings.json"), settings.to_string())?;
        mark_set_up(&profile)?;
        let link = hosted.admin(&["invite", ALICE.name, "--server", &hosted.http], "").await?;
        let mut command = desktop.command(&process::built("aftertone")?);
        command.arg("--profile").arg(&profile).args(["--invite", link.trim()]).env("NO_COLOR", "1");
        let app = process::start(&mut command, &folder.path().join("app.log"))?;
        let alice = hosted.sign_in(ALICE.name).await?;
        let world = Self { desktop, hosted, alice, bob, app, profile, folder };
        world.logged("the account is online").await?;
        world.close_window().await?;
        Ok(world)
    }

    async fn logged(&self, line: &str) -> Result<()> {
        self.logged_times(line, 1).await
    }

    async fn logged_times(&self, line: &str, times: usize) -> Result<()> {
        let log = self.folder.path().join("app.log");
        process::eventually(line, PATIENCE, || async {
            Ok((std::fs::read_to_string(&log)?.matches(line).count() >= times).then_some(()))
        })
        .await
    }

    /// The app, with the profile that is signed in.
    fn start(&mut self) -> Result<()> {
        let mut command = self.desktop.command(&process::built("aftertone")?);
        command.arg("--profile").arg(&self.profile).env("NO_COLOR", "1");
        self.app = process::start(&mut command, &self.folder.path().join("app.log"))?;
        Ok(())
    }

    async fn quit(&mut self) -> Result<()> {
        self.start_again(&["--quit"]).await?;
        anyhow::ensure!(self.app.ended(PATIENCE).await?.success(), "the app did not end well");
        Ok(())
    }

    /// Somebody outside leaves `count` messages in Alice's mailbox, at whatever server stands behind `hosted` now.
    async fn strangers_leave(&self, count: usize) -> Result<()> {
        let speech = self.folder.path().join("stranger.wav");
        sound::speech()?.then(&Sound::silence(60.0)).save(&speech)?;
        let account = "\"Stranger\" <sip:+4930901821@caller.example>;regint=0;audio_codecs=PCMU".to_owned();
        let mut stranger = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
        let (udp, domain) = (self.hosted.sip_udp, &self.hosted.domain);
        let before = self.alice.messages().await?.len();
        for nth in 1..=count {
            stranger.command(&format!("dial sip:voicemail@{udp};transport=udp;target=sip:1001@{domain}")).await?;
            stranger.happening("CALL_ESTABLISHED", PATIENCE).await?;
            stranger.hears(0.4, PATIENCE).await?;
            stranger.command("sndcode #").await?;
            process::eventually("some seconds are recorded", PATIENCE, || async {
                Ok((self.hosted.recorded_bytes()? > 24_000).then_some(()))
            })
            .await?;
            stranger.command("hangup").await?;
            stranger.happening("CALL_CLOSED", PATIENCE).await?;
            self.alice.wait_for_messages(before + nth, PATIENCE).await?;
        }
        Ok(())
    }

    /// The one notification that is on the screen now.
    async fn only_one(&self, summary: &str) -> Result<Shown> {
        // The app comes back in its own time.
        let shown = process::eventually(summary, PATIENCE * 3, || async {
            let shown: Vec<_> = self.desktop.notifications.shown().into_iter().filter(|one| !one.closed).collect();
            Ok(shown.iter().any(|one| one.summary == summary).then_some(shown))
        })
        .await?;
        let [one] = shown.as_slice() else { anyhow::bail!("one for all was expected: {shown:?}") };
        Ok(one.clone())
    }

    async fn all_are_heard(&self) -> Result<()> {
        for message in self.alice.messages().await? {
            self.alice.act(&message, "heard").await?;
        }
        Ok(())
    }

    async fn window(&self, there: bool) -> Result<()> {
        let what = if there { "the window is there" } else { "the window is gone" };
        process::eventually(what, PATIENCE, || async { Ok((has_window(&self.desktop).await? == there).then_some(())) }).await
    }

    /// As a person does it: by the window's own close button, here its key.
    async fn close_window(&self) -> Result<()> {
        self.window(true).await?;
        let xdotool = async |arguments: &[&str]| -> Result<Option<()>> {
            let done = self.desktop.command("xdotool".as_ref()).args(arguments).stderr(Stdio::null()).status().await?;
            Ok(done.success().then_some(()))
        };
        // The window manager takes a new window into its care in its own time.
        let activate = ["search", "--onlyvisible", "--name", "^Aftertone$", "windowactivate", "--sync"];
        process::eventually("the window is active", PATIENCE, || xdotool(&activate)).await?;
        anyhow::ensure!(xdotool(&["key", "alt+F4"]).await?.is_some(), "the key can't be pressed");
        self.window(false).await
    }

    /// A second start of the app, which hands its arguments to the one that runs.
    async fn start_again(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.desktop.command(&process::built("aftertone")?);
        let status = command.arg("--profile").arg(&self.profile).args(arguments).status().await?;
        anyhow::ensure!(status.success(), "the second start ended with {status}");
        Ok(())
    }

    async fn notified(&self, action: &str, but: &[u32]) -> Result<Shown> {
        process::eventually(&format!("a notification with {action}"), PATIENCE, || async {
            let shown = self.desktop.notifications.shown();
            Ok(shown.into_iter().find(|one| one.actions.iter().any(|key| key == action) && !but.contains(&one.id)))
        })
        .await
    }

    async fn closed(&self, id: u32) -> Result<()> {
        process::eventually("the notification is closed", PATIENCE, || async {
            Ok(self.desktop.notifications.shown().iter().any(|one| one.id == id && one.closed).then_some(()))
        })
        .await
    }

    async fn call(&mut self) -> Result<()> {
        let target = format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp);
        self.bob.command(&target).await
    }

    /// Bob, who reached the mailbox, goes straight to the beep and leaves some seconds.
    async fn leave_message(&mut self, nth: usize) -> Result<()> {
        self.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
        self.bob.hears(0.4, PATIENCE).await?;
        self.bob.command("sndcode #").await?;
        let before = self.hosted.recorded_bytes()?;
        process::eventually("some seconds are recorded", PATIENCE, || async {
            Ok((self.hosted.recorded_bytes()? > before + 24_000).then_some(()))
        })
        .await?;
        self.bob.command("hangup").await?;
        self.alice.wait_for_messages(nth, PATIENCE).await?;
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        self.quit().await?;
        self.hosted.stop().await
    }

    /// The same account anew, perhaps at the same ports. Whoever calls from this machine is trusted: strangers get to the mailbox.
    async fn served_again(mut self, ports: &[String]) -> Result<Self> {
        self.hosted.stop().await?;
        let more: Vec<_> = ["--trust", "127.0.0.1/32"].into_iter().chain(ports.iter().map(String::as_str)).collect();
        self.hosted = Hosted::start_wary(&self.folder.path().join("account"), &more).await?;
        self.alice = self.hosted.sign_in(ALICE.name).await?;
        Ok(self)
    }

    /// Somebody leaves messages while this app can't reach the server, which is at its place again then.
    async fn after_time_away(self, count: usize) -> Result<Self> {
        let ports = self.hosted.ports()?;
        let elsewhere = self.served_again(&[]).await?;
        elsewhere.strangers_leave(count).await?;
        elsewhere.served_again(&ports).await
    }
}

async fn has_window(desktop: &Desktop) -> Result<bool> {
    let mut search = desktop.command("xdotool".as_ref());
    let found = search.args(["search", "--onlyvisible", "--name", "^Aftertone$"]).output().await?;
    Ok(!found.stdout.is_empty())
}

/// What a desktop entry starts.
fn entry(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)?;
    text.lines().find_map(|line| line.strip_prefix("Exec=")).map(str::to_owned).context("it starts nothing")
}

/// The session's start of an app.
fn session(desktop: &Desktop, exec: &str, more: &str) -> tokio::process::Command {
    let mut command = desktop.command("sh".as_ref());
    command.arg("-c").arg(format!("exec {exec} {more}")).env("NO_COLOR", "1");
    command
}

#[tokio::test]
async fn with_the_window_closed_notifications_answer_play_and_call_back() -> Result<()> {
    let mut world = World::new(&json!({})).await?;
    world.call().await?;
    let ringing = world.notified("answer", &[]).await?;
    assert!(ringing.summary.contains(BOB.display_name), "{ringing:?}");
    assert!(ringing.urgent && ringing.desktop_entry.as_deref() == Some("Aftertone"), "{ringing:?}");
    world.desktop.notifications.press(ringing.id, "answer").await?;
    world.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    world.closed(ringing.id).await?;
    world.bob.command("hangup").await?;
    world.close_window().await?;

    world.call().await?;
    let ringing = world.notified("decline", &[ringing.id]).await?;
    world.desktop.notifications.press(ringing.id, "decline").await?;
    world.leave_message(1).await?;
    world.close_window().await?;
    let told = world.notified("call_back", &[]).await?;
    assert!(told.summary.contains(BOB.display_name) && told.actions.iter().any(|key| key == "play"), "{told:?}");
    world.desktop.notifications.press(told.id, "call_back").await?;
    world.bob.happening("CALL_INCOMING", PATIENCE).await?;
    world.window(true).await?;
    world.bob.command("hangup").await?;
    world.bob.happening("CALL_CLOSED", PATIENCE).await?;
    world.end().await
}

/// A message that was heard on another device takes its notification with it; in quiet hours nobody is told at all.
#[tokio::test]
async fn a_message_heard_elsewhere_is_told_no_more() -> Result<()> {
    let mut world = World::new(&json!({})).await?;
    world.call().await?;
    let ringing = world.notified("decline", &[]).await?;
    world.desktop.notifications.press(ringing.id, "decline").await?;
    world.leave_message(1).await?;
    let told = world.notified("play", &[]).await?;
    let message = world.alice.messages().await?.pop().context("no message")?;
    world.alice.act(&message, "heard").await?;
    world.closed(told.id).await?;
    let about_it = |one: &&Shown| one.actions.iter().any(|key| key == "play");
    assert_eq!(world.desktop.notifications.shown().iter().filter(about_it).count(), 1, "told once");
    world.end().await
}

#[tokio::test]
async fn in_quiet_hours_nobody_is_told_of_messages() -> Result<()> {
    let always = json!({ "from_minute": 0, "to_minute": 0, "days": [0, 1, 2, 3, 4, 5, 6] });
    let mut world = World::new(&json!({
        "notifications": { "messages": true, "calls": true, "missed_calls": true, "quiet": always },
    }))
    .await?;
    world.call().await?;
    let ringing = world.notified("decline", &[]).await?;
    world.desktop.notifications.press(ringing.id, "decline").await?;
    world.leave_message(1).await?;
    world.logged("a new message").await?;
    // Calls are told even then; what was told of the message would have been told before this.
    world.call().await?;
    world.notified("answer", &[ringing.id]).await?;
    let about_it = |one: &Shown| one.actions.iter().any(|key| key == "play");
    assert!(!world.desktop.notifications.shown().iter().any(about_it), "it is quiet");
    world.end().await
}

/// Whoever was away is not buried in notifications: one for all, gone when all are heard.
#[tokio::test]
async fn after_time_without_the_server_one_notification_tells_of_all() -> Result<()> {
    let world = World::new(&json!({})).await?.after_time_away(3).await?;
    let told = world.only_one("3 new messages").await?;
    world.all_are_heard().await?;
    world.closed(told.id).await?;
    world.end().await
}

/// Whoever put it away is not told of the same again.
#[tokio::test]
async fn the_one_for_all_that_was_put_away_is_not_told_again() -> Result<()> {
    let world = World::new(&json!({})).await?.after_time_away(2).await?;
    let told = world.only_one("2 new messages").await?;
    world.desktop.notifications.dismiss(told.id).await?;
    world.closed(told.id).await?;
    let world = world.after_time_away(3).await?;
    let next = world.only_one("3 new messages").await?;
    assert_ne!(next.id, told.id);
    world.end().await
}

#[tokio::test]
async fn what_came_while_the_app_did_not_run_is_one_notification_and_none_outlives_the_app() -> Result<()> {
    let mut world = World::new(&json!({})).await?;
    world.call().await?;
    let ringing = world.notified("decline", &[]).await?;
    world.desktop.notifications.press(ringing.id, "decline").await?;
    world.leave_message(1).await?;
    let told = world.notified("play", &[]).await?;
    world.quit().await?;
    world.closed(told.id).await?;

    let ports = world.hosted.ports()?;
    let mut world = world.served_again(&ports).await?;
    world.strangers_leave(2).await?;
    world.start()?;
    world.only_one("2 new messages").await?;
    world.end().await
}

#[tokio::test]
async fn a_greeting_that_is_about_to_end_is_told_of_once() -> Result<()> {
    let mut world = World::new(&json!({})).await?;
    let greeting = world.alice.announce(&Sound::tone(440.0, 2.0)).await?;
    let ends = jiff::Timestamp::now() + Duration::from_secs(30 * 3600);
    let body = json!({"kind": "greeting", "title": "Holiday", "text": "", "language": "en", "expires_at": ends.to_string()});
    world.alice.send(Method::PUT, &format!("greetings/{greeting}"), Some(&body)).await?.error_for_status()?;
    world.alice.change_plan(json!({"standard": greeting})).await?;
    let told = world.only_one("Greeting: Holiday").await?;
    assert!(told.body.starts_with("Its time ends "), "{told:?}");
    world.desktop.notifications.press(told.id, "default").await?;
    world.window(true).await?;
    world.quit().await?;
    world.start()?;
    world.logged_times("the account is online", 2).await?;
    world.call().await?;
    world.notified("decline", &[]).await?;
    let times = world.desktop.notifications.shown().iter().filter(|one| one.summary == told.summary).count();
    assert_eq!(times, 1, "the restarted app remembers that it has told of it");
    world.bob.command("hangup").await?;
    world.end().await
}

/// Whoever quits hangs up; and who is cut off in mid-word is not left with silence.
#[tokio::test]
async fn the_other_end_hears_of_it_when_the_app_quits_or_is_killed_in_a_call() -> Result<()> {
    let mut world = World::new(&json!({})).await?;
    world.call().await?;
    let ringing = world.notified("answer", &[]).await?;
    world.desktop.notifications.press(ringing.id, "answer").await?;
    world.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    world.quit().await?;
    world.bob.happening("CALL_CLOSED", PATIENCE).await?;

    world.start()?;
    world.logged_times("the account is online", 2).await?;
    world.call().await?;
    let ringing = world.notified("answer", &[ringing.id]).await?;
    world.desktop.notifications.press(ringing.id, "answer").await?;
    world.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let World { app, mut bob, hosted, .. } = world;
    app.kill().await?;
    bob.happening("CALL_CLOSED", Duration::from_secs(90)).await?;
    hosted.stop().await
}

/// The session starts the app without its window; calls ring by notification, and the window comes when it is wanted.
#[tokio::test]
async fn what_the_session_starts_takes_calls_without_its_window() -> Result<()> {
    let mut office = Office::open(sound::speech()?.then(&Sound::silence(60.0))).await?;
    let window = office.alice("alice").await?;
    window.click("nav-settings").await?;
    window.click("with-the-session").await?;
    window.wait_for("[data-testid=\"with-the-session\"][aria-checked=\"true\"]").await?;
    let entries = office.desktop.folder().join("home/.config/autostart");
    let [path] = &std::fs::read_dir(&entries)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?[..] else {
        anyhow::bail!("one entry was expected")
    };
    let exec = entry(path)?;
    anyhow::ensure!(session(&office.desktop, &exec, "--quit").status().await?.success(), "it can't be quit");
    drop(window);
    process::eventually("the window is gone", PATIENCE, || async { Ok((!has_window(&office.desktop).await?).then_some(())) })
        .await?;

    let log = office.file("session.log");
    let _app = process::start(&mut session(&office.desktop, &exec, ""), &log)?;
    process::eventually("the app is online", PATIENCE, || async {
        Ok(std::fs::read_to_string(&log)?.contains("the account is online").then_some(()))
    })
    .await?;
    // The session may start it once more, as when somebody logs in again: it stays as it is.
    anyhow::ensure!(session(&office.desktop, &exec, "").status().await?.success(), "the second start failed");
    assert!(!has_window(&office.desktop).await?, "the window stays away");
    office.bob_calls().await?;
    let ringing = process::eventually("a notification rings", PATIENCE, || async {
        Ok(office.desktop.notifications.shown().into_iter().find(|one| one.urgent))
    })
    .await?;
    office.desktop.notifications.press(ringing.id, "answer").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    process::eventually("the window is there", PATIENCE, || async { Ok(has_window(&office.desktop).await?.then_some(())) })
        .await?;
    anyhow::ensure!(session(&office.desktop, &exec, "--quit").status().await?.success(), "it can't be quit");
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;
    office.close().await
}

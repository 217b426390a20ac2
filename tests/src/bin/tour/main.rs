//! The tour: a caller leaves a message, a real window shows it, plays it and sends it on. Nothing in it is a double but
//! the screen, the sound card and the notification daemon: baresip calls, the server records, the app plays.
//!
//! `aftertone-tour FOLDER` writes `FOLDER/NN-STEP.png` and `FOLDER/report.json`.

mod report;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    desktop::{Desktop, Listening},
    hosted::{Api, Hosted},
    notifications::Shown,
    process::{self, PATIENCE},
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::report::{Report, say};

/// How long the desktop of 1001 rings.
const RING_S: u16 = 5;
/// Silence before the speech: longer than the cut greeting and the beep.
const LEAD_S: f64 = 4.0;
/// Pitch of the server's beep in Hz.
const BEEP_HZ: f64 = 1000.0;
const NOTE: &str = "Could you call her back, please?";

#[tokio::main]
async fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("target/tour"), PathBuf::from);
    match run(folder).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: PathBuf) -> Result<bool> {
    let mut report = Report::new(folder.clone())?;
    let outcome = match Tour::begin(folder).await {
        Ok(mut tour) => {
            let outcome = tour.steps(&mut report).await;
            tour.end().await;
            outcome
        }
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        report.broke_off(&error)?;
    }
    report.write()?;
    Ok(report.ok)
}

struct Tour {
    desktop: Desktop,
    hosted: Hosted,
    _server_folder: tempfile::TempDir,
    logs: PathBuf,
    speech: Sound,
    first: Option<Window>,
    second: Option<Window>,
}

/// What the caller did and when.
struct Left {
    sent_s: f64,
    listed: Value,
}

impl Tour {
    async fn begin(logs: PathBuf) -> Result<Self> {
        say("starting a display, a bus, a keyring, a sound card and a server");
        let server_folder = tempfile::tempdir()?;
        let hosted = Hosted::start(&server_folder.path().join("account"), &[]).await?;
        hosted.add_user("alice", "1001", "Alice Adler", RING_S).await?;
        hosted.add_user("bob", "1002", "Bob Brandt", RING_S).await?;
        let desktop = Desktop::start().await?;
        let speech = sound::speech()?;
        Ok(Self { desktop, hosted, _server_folder: server_folder, logs, speech, first: None, second: None })
    }

    async fn end(self) {
        for window in [self.first, self.second].into_iter().flatten() {
            if let Err(error) = window.close().await {
                say(&format!("closing a window: {error:#}"));
            }
        }
        if let Err(error) = self.hosted.stop().await {
            say(&format!("stopping the server: {error:#}"));
        }
    }

    async fn steps(&mut self, report: &mut Report) -> Result<()> {
        let signed_in = self.sign_in("alice").await;
        self.first = Some(self.note_window(report, "signed-in", signed_in).await?);
        let api = self.hosted.sign_in("alice").await?;

        let mut caller = self.caller().await?;
        let ringing = self.ring(&mut caller).await;
        self.note(report, "ringing", ringing).await?;
        let missed = self.miss(&mut caller).await;
        let greeted = self.note(report, "missed", missed).await?;
        let left = self.leave(&mut caller, greeted, &api).await;
        let left = self.note(report, "message-listed", left).await?;
        let notified = self.notified().await;
        self.note(report, "notified", notified).await?;
        let played = self.play(report, &left, &api).await;
        self.note(report, "played", played).await?;
        let forwarded = self.forward().await;
        self.note(report, "forwarded", forwarded).await?;
        let received = self.receive().await;
        self.second = Some(self.note_window(report, "received", received).await?);
        Ok(())
    }

    /// Notes a step with a picture of the window that it happened in.
    async fn note<T>(&self, report: &mut Report, name: &str, result: Result<T>) -> Result<T> {
        let picture = match &self.first {
            Some(window) => window.screenshot().await.ok(),
            None => None,
        };
        let error = result.as_ref().err().map(|error| format!("{error:#}"));
        report.step(name, picture.as_deref(), error)?;
        result
    }

    /// The same for a step that opens a window.
    async fn note_window(&self, report: &mut Report, name: &str, result: Result<Window>) -> Result<Window> {
        let picture = match &result {
            Ok(window) => Some(window.screenshot().await?),
            Err(_) => None,
        };
        let error = result.as_ref().err().map(|error| format!("{error:#}"));
        report.step(name, picture.as_deref(), error)?;
        result
    }

    /// Opens the app of a person with an invitation, as an administrator would send it.
    async fn sign_in(&self, user: &str) -> Result<Window> {
        let link = self.hosted.admin(&["invite", user, "--server", &self.hosted.http], "").await?;
        let link = link.lines().find(|line| line.starts_with("aftertone://")).context("no link")?.to_owned();
        let profile = self.desktop.folder().join(user);
        let profile = profile.to_string_lossy();
        let log = self.logs.join(format!("{user}.log"));
        let window = Window::open(&self.desktop, &["--profile", &profile, "--invite", &link], &log).await?;
        window.find("signed-in").await?;
        window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await?;
        Ok(window)
    }

    fn window(&self) -> Result<&Window> {
        self.first.as_ref().context("the window is gone")
    }

    async fn caller(&self) -> Result<Baresip> {
        let path = self.desktop.folder().join("speech.wav");
        // A second of silence at the end: the speech is over before baresip hangs up.
        Sound::silence(LEAD_S).then(&self.speech).then(&Sound::silence(1.0)).save(&path)?;
        let account = "\"Main office, billing\" <sip:+4930901821@caller.example>;regint=0;audio_codecs=PCMU".to_owned();
        Baresip::start(&Setup { account, speech: path, rate: sound::RATE }).await
    }

    async fn ring(&self, caller: &mut Baresip) -> Result<()> {
        caller.command(&format!("dial sip:1001@{};transport=udp", self.hosted.sip_udp)).await?;
        let card = self.window()?.find("ringing").await?;
        let text = card.text().await?;
        ensure!(text.contains("Main office, billing"), "the ringing card doesn't say who calls: {text}");
        Ok(())
    }

    /// Nobody answers: the mailbox does, and the window no longer rings.
    async fn miss(&self, caller: &mut Baresip) -> Result<tokio::time::Instant> {
        caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
        // The first packet of the greeting: what baresip heard begins here.
        let greeted = caller.happening("CALL_RTPESTAB", PATIENCE).await?.at;
        let window = self.window()?;
        process::eventually("the ringing card is gone", PATIENCE, || async {
            let rings = window.has("[data-testid=\"answer\"]").await?;
            Ok((!rings).then_some(()))
        })
        .await?;
        Ok(greeted)
    }

    /// The caller skips the greeting, speaks and hangs up; the message is in the window's list.
    async fn leave(&self, caller: &mut Baresip, greeted: tokio::time::Instant, api: &Api) -> Result<Left> {
        tokio::time::sleep_until(greeted + Duration::from_millis(700)).await;
        caller.command("sndcode #").await?;
        let closed = caller.happening("CALL_CLOSED", Duration::from_secs(60)).await?;
        let heard = Sound::load(&caller.heard()?)?;
        let beep_end = sound::tone_end(&heard, BEEP_HZ).context("the caller heard no beep")?;
        ensure!(beep_end < LEAD_S, "the beep came too late: after {beep_end:.2} s");
        let sent_s = closed.at.duration_since(greeted).as_secs_f64() - beep_end;
        let row = self.window()?.find_css("[data-testid=\"message-row\"][data-state=\"new\"]").await?;
        let text = row.prop("textContent").await?.unwrap_or_default();
        ensure!(text.contains("Main office, billing"), "the row doesn't say who called: {text}");
        let listed = api.wait_for_messages(1, PATIENCE).await?.remove(0);
        Ok(Left { sent_s, listed })
    }

    async fn notified(&self) -> Result<Shown> {
        let about = |shown: &Shown| shown.actions.iter().any(|action| action == "play");
        let notification = process::eventually("a notification of the message", PATIENCE, || async {
            Ok(self.desktop.notifications.shown().into_iter().find(about))
        })
        .await?;
        ensure!(notification.summary.contains("Main office, billing"), "it doesn't say who called: {notification:?}");
        ensure!(notification.actions.iter().any(|action| action == "call_back"), "it can't call back: {notification:?}");
        let all = self.desktop.notifications.shown();
        ensure!(all.iter().filter(|shown| about(shown)).count() == 1, "more than one notification: {all:?}");
        Ok(notification)
    }

    /// Presses Play and listens at the sound card.
    async fn play(&self, report: &mut Report, left: &Left, api: &Api) -> Result<()> {
        let window = self.window()?;
        // Once it is heard it is no longer among the new ones.
        window.click("folder-all").await?;
        window.click("message-row").await?;
        window.find("play").await?;
        let listening = self.desktop.listen().await?;
        window.click("play").await?;
        window.find("pause").await.context("it doesn't play")?;
        let stored_s = left.listed["duration_ms"].as_f64().context("no duration")? / 1000.0;
        let heard = self.heard_whole(&listening, stored_s).await?;
        drop(listening);

        let id = left.listed["id"].as_str().context("no id")?;
        let stored = decode(&api.bytes(&format!("messages/{id}/audio")).await?)?;
        let (stored_quality, played_quality) = (sound::quality(&self.speech, &stored)?, sound::quality(&self.speech, &heard)?);
        report.sound.stored_pesq = stored_quality.pesq;
        report.sound.played_pesq = played_quality.pesq;
        report.sound.sent_s = left.sent_s;
        report.sound.stored_s = stored_s;
        report.sound.played_s = stored.seconds() + played_quality.stretch_s - stored_quality.stretch_s;
        let measured = report.sound;
        report.at_least("PESQ of the stored message", measured.stored_pesq, 4.0);
        report.at_least("PESQ of the played message", measured.played_pesq, 3.0);
        report.about("sent and stored", measured.sent_s, measured.stored_s, 0.2);
        report.about("stored and played", measured.stored_s, measured.played_s, 0.2);
        window.find_css("[data-testid=\"message-row\"][data-state=\"heard\"]").await.map(|_row| ())
    }

    /// Waits until the window says that the message has been played, and gives what was heard.
    async fn heard_whole(&self, listening: &Listening, seconds: f64) -> Result<Sound> {
        let window = self.window()?;
        let limit = PATIENCE + Duration::from_secs_f64(seconds);
        process::eventually("the message is played to its end", limit, || async {
            Ok(window.has("[data-testid=\"play\"]").await?.then_some(()))
        })
        .await?;
        // The monitor lags behind the loudspeaker.
        let enough = listening.so_far()?.seconds() + 0.5;
        process::eventually("the monitor has caught up", PATIENCE, || async {
            let heard = listening.so_far()?;
            Ok((heard.seconds() >= enough).then_some(heard))
        })
        .await
    }

    async fn forward(&self) -> Result<()> {
        let window = self.window()?;
        window.click("forward").await?;
        window.type_into("forward-to", "1002").await?;
        window.find_css("[data-testid=\"forward-option\"][data-user=\"bob\"]").await?.click().await?;
        window.find_css("[data-testid=\"forward-chosen\"][data-user=\"bob\"]").await?;
        window.type_into("forward-note", NOTE).await?;
        window.click("forward-send").await?;
        window.find("toast").await.map(|_toast| ())
    }

    /// A second app, signed in as 1002, shows the message with its note.
    async fn receive(&self) -> Result<Window> {
        let window = self.sign_in("bob").await?;
        window.click("message-row").await?;
        let note = window.find("note").await?;
        process::eventually("the note is shown", PATIENCE, || async { Ok(note.text().await?.contains(NOTE).then_some(())) })
            .await?;
        Ok(window)
    }
}

/// The stored sound, whatever its container.
fn decode(bytes: &[u8]) -> Result<Sound> {
    let decoded = aftertone_media::container::decode(bytes).context("the stored sound can't be decoded")?;
    Ok(Sound(sound::to_rate(&decoded.samples, decoded.rate)?))
}

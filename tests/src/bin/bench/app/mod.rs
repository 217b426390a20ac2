//! What the benchmarks of the desktop app share: a person at a desktop, with a mailbox of any size.

mod processes;
mod screen;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_client_store::Mailbox;
use aftertone_model::{CallId, Caller, Envelope, Message, MessageId, MessageState, Reason, SubscriberId, Timestamp};
use aftertone_sync::{Change, ChangeBody, ChangesPage};
use aftertone_tests::{
    desktop::{Desktop, mark_set_up},
    hosted::Hosted,
    process::{self, PATIENCE, Running},
    window::Window,
};
use anyhow::{Context, Result, ensure};

pub(crate) use self::{
    processes::Processes,
    screen::{Screen, Wanted},
};

pub(crate) const PAGE: u64 = 500;

/// A hosted account, a desktop, and the profile of the app that is signed in on it.
pub(crate) struct Desk {
    pub(crate) hosted: Hosted,
    pub(crate) desktop: Desktop,
    profile: PathBuf,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Desk {
    /// Alice's, whose app was signed in and ended again; its mailbox has `messages` messages.
    pub(crate) async fn with_messages(messages: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
        hosted.add_user("alice", "1001", "Alice Adler", 30).await?;
        let desktop = Desktop::start().await?;
        let (profile, log) = (desktop.folder().join("alice"), folder.path().join("app.log"));
        let desk = Self { hosted, desktop, profile, log, _folder: folder };
        let link = desk.hosted.admin(&["invite", "alice", "--server", &desk.hosted.http], "").await?;
        let link = link.lines().find(|line| line.starts_with("aftertone://")).context("no link")?;
        mark_set_up(&desk.profile)?;
        let app = desk.start(&["--invite", link])?;
        desk.online(1).await?;
        desk.quit(app).await?;
        fill(&desk.profile.join("mailbox"), messages).await?;
        Ok(desk)
    }

    /// Starts the app as a person does, without anybody driving its window.
    pub(crate) fn start(&self, more: &[&str]) -> Result<Running> {
        let mut command = self.desktop.command(&process::built("aftertone")?);
        command.arg("--profile").arg(&self.profile).args(more).env("NO_COLOR", "1");
        process::start(&mut command, &self.log)
    }

    /// Starts the app and takes hold of its window.
    pub(crate) async fn open(&self) -> Result<Window> {
        let window = Window::open(&self.desktop, &["--profile", &self.profile.to_string_lossy()], &self.log).await?;
        window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await?;
        Ok(window)
    }

    /// Waits until the app was online for the `nth` time since the desk was made.
    pub(crate) async fn online(&self, nth: usize) -> Result<()> {
        process::eventually("the app is online", PATIENCE, || async {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            Ok((said.matches("the account is online").count() >= nth).then_some(()))
        })
        .await
    }

    /// Ends the app as a person does.
    pub(crate) async fn quit(&self, mut app: Running) -> Result<()> {
        let mut command = self.desktop.command(&process::built("aftertone")?);
        ensure!(command.arg("--profile").arg(&self.profile).arg("--quit").status().await?.success(), "--quit failed");
        ensure!(app.ended(PATIENCE).await?.success(), "the app did not end well");
        Ok(())
    }

    /// Closes its window by the window's own close button; the app goes on.
    pub(crate) async fn close_window(&self) -> Result<()> {
        self.xdotool(&["search", "--onlyvisible", "--name", "^Aftertone$", "windowactivate", "--sync"]).await?;
        self.xdotool(&["key", "alt+F4"]).await?;
        process::eventually("the window is gone", PATIENCE, || async {
            let mut search = self.desktop.command("xdotool".as_ref());
            let found = search.args(["search", "--onlyvisible", "--name", "^Aftertone$"]).output().await?;
            Ok(found.stdout.is_empty().then_some(()))
        })
        .await
    }

    async fn xdotool(&self, arguments: &[&str]) -> Result<()> {
        let status = self.desktop.command("xdotool".as_ref()).args(arguments).status().await?;
        ensure!(status.success(), "xdotool {arguments:?} ended with {status}");
        Ok(())
    }
}

/// Puts messages into the app's copy of the mailbox, as if the feed had told of them: what is measured is the app, and it
/// shows its copy.
async fn fill(folder: &Path, count: u64) -> Result<()> {
    let mailbox = Mailbox::open(folder).await?;
    let cursor = mailbox.cursor().await?.context("the app has never synchronised")?;
    for first in (0..count).step_by(PAGE as usize) {
        let change = |n| Ok(Change { n: cursor.n, body: ChangeBody::Message { message: Box::new(message(count - n)?) } });
        let changes = (first..count.min(first + PAGE)).map(change).collect::<Result<_>>()?;
        mailbox.apply(ChangesPage { cursor, changes, more: false }).await?;
    }
    let filled = mailbox.messages().await?.len() as u64;
    ensure!(filled == count, "{filled} messages instead of {count}");
    mailbox.close().await;
    Ok(())
}

/// What the caller of a message is called; the number in it names the message alone.
pub(crate) fn caller_name(nth: u64) -> String {
    const FIRST: [&str; 8] = ["Amelie", "Bruno", "Clara", "Deniz", "Elif", "Frieda", "Georg", "Hanna"];
    const LAST: [&str; 7] = ["Brandt", "Fischer", "Hartwig", "Keller", "Lindner", "Novak", "Raman"];
    format!("{} {} {nth:05}", FIRST[nth as usize % FIRST.len()], LAST[nth as usize % LAST.len()])
}

/// The `nth` last message: the first forty are new.
fn message(nth: u64) -> Result<Message> {
    let received_at = Timestamp::now().checked_sub(Duration::from_secs(nth * 420))?;
    let state = match nth {
        0..40 => MessageState::New,
        n if n % 9 == 0 => MessageState::Saved,
        _ => MessageState::Heard,
    };
    let peak = |at: u64| ((nth * 37 + at * 53) % 200 + 20) as u8;
    Ok(Message {
        envelope: Envelope {
            // Above the bits that say what kind of id it is.
            id: MessageId::from_random(u128::from(nth) << 80 | 1),
            call: CallId::from_random(u128::from(nth) << 80 | 2),
            mailbox: SubscriberId::from_random(3),
            caller: Caller { number: format!("+49309{nth:06}"), name: Some(caller_name(nth)) },
            received_at,
            reason: Reason::NoAnswer,
            urgent: nth % 50 == 7,
            private: false,
            call_back: None,
            test: false,
        },
        duration_ms: 4_000 + nth % 60 * 1_000,
        state,
        peaks: (0..80).map(peak).collect(),
        media_type: "audio/wav".into(),
        forwarded: None,
        interrupted: false,
    })
}

/// The value below which `percent` of the values lie (nearest rank).
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// To a tenth: more digits would say more than was measured.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

//! sipp as the phones.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use aftertone_tests::{
    peers::Peers,
    process::{self, Running},
};
use anyhow::{Context, Result, ensure};

use super::{Account, Subject};

/// What came of a load.
pub(super) struct Done {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) took_s: f64,
}

/// Phones that wait for an answer at once: enough to keep a server busy, few enough that none is lost in its queues.
const AT_ONCE: &str = "60";
const LIMIT: Duration = Duration::from_secs(600);

/// All phones register but the two that will talk: they do so from where they are called, and have no second contact where
/// nobody is.
pub(super) async fn register(subject: &Subject) -> Result<Done> {
    let folder = tempfile::tempdir()?;
    let port = process::free_port()?;
    let silent = subject.accounts.get(2..).unwrap_or_default();
    run(&folder, subject.sip, REGISTER, silent, silent.len(), port).await
}

/// Calls from the first phone to the second, which answers each.
pub(super) async fn call(subject: &Subject, calls: usize) -> Result<Done> {
    let (caller, callee) = (subject.accounts[0].clone(), subject.accounts[1].clone());
    let (folder, callee_folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (port, callee_port) = (process::free_port()?, process::free_port()?);
    // The phones register from where they will call and be called.
    for (account, port) in [(&caller, port), (&callee, callee_port)] {
        let once = tempfile::tempdir()?;
        let done = run(&once, subject.sip, REGISTER, std::slice::from_ref(account), 1, port).await?;
        ensure!(done.succeeded == 1, "a phone could not register");
    }
    let _callee = start(callee_folder.path(), None, ANSWER, callee_port, &[])?;
    let called = CALL.replace("@CALLEE@", &callee.number);
    run(&folder, subject.sip, &called, &[caller], calls, port).await
}

async fn run(
    folder: &tempfile::TempDir,
    server: SocketAddr,
    scenario: &str,
    accounts: &[Account],
    count: usize,
    port: u16,
) -> Result<Done> {
    let lines = accounts.iter().map(|Account { number, username, password }| {
        format!("{number};[authentication username={username} password={password}]\n")
    });
    std::fs::write(folder.path().join("accounts.csv"), format!("SEQUENTIAL\n{}", lines.collect::<String>()))?;
    let count = count.to_string();
    let more = ["-inf", "accounts.csv", "-m", &count, "-l", AT_ONCE, "-r", "20000", "-timeout", "600s"];
    let began = Instant::now();
    let mut running = start(folder.path(), Some(server), scenario, port, &more)?;
    let status = running.ended(LIMIT).await?;
    let took_s = began.elapsed().as_secs_f64();
    let (succeeded, failed) = counts(folder.path())?;
    ensure!(
        succeeded > 0 && failed * 50 <= succeeded,
        "{succeeded} succeeded, {failed} failed ({status}): {}",
        errors(folder.path())
    );
    Ok(Done { succeeded, failed, took_s })
}

fn start(folder: &Path, server: Option<SocketAddr>, scenario: &str, port: u16, more: &[&str]) -> Result<Running> {
    // Process numbers and calls are counted from one in each run, and neither a Call-ID nor a branch may ever come again:
    // Asterisk takes a known branch for a retransmission, whoever it comes from.
    let run_name = folder.file_name().unwrap_or_default().to_string_lossy().replace('.', "");
    std::fs::write(folder.join("scenario.xml"), scenario.replace("@RUN@", &run_name))?;
    let mut command = Peers::find()?.command("/usr/bin/env");
    command.arg("-C").arg(folder).arg("/usr/bin/sipp").args(server.map(|server| server.to_string()));
    command.args(["-sf", "scenario.xml", "-i", "127.0.0.1", "-p", &port.to_string(), "-t", "u1", "-nostdin"]);
    command.args(["-cid_str", &format!("%u-{port}-{run_name}@%s")]);
    command.args(["-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err", "-error_file", "errors.log"]);
    command.args(["-trace_screen", "-screen_file", "screen.log", "-buff_size", "4194304"]).args(more);
    let mut running = process::start(&mut command, &folder.join("sipp.log"))?;
    running.ignore_output();
    Ok(running)
}

/// Of the last line of its statistics.
fn counts(folder: &Path) -> Result<(u64, u64)> {
    let text = std::fs::read_to_string(folder.join("stat.csv")).with_context(|| errors(folder))?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().context("no statistics")?.split(';').collect();
    let last: Vec<&str> = lines.next_back().context("no statistics")?.split(';').collect();
    let number = |name: &str| {
        let at = names.iter().position(|known| *known == name).with_context(|| format!("sipp counts no {name}"))?;
        last.get(at).and_then(|text| text.parse::<u64>().ok()).context("no number")
    };
    Ok((number("SuccessfulCall(C)")?, number("FailedCall(C)")?))
}

fn errors(folder: &Path) -> String {
    let said = ["errors.log", "sipp.log"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default());
    let said = said.map(|bytes| String::from_utf8_lossy(&bytes).lines().take(8).collect::<Vec<_>>().join(" | "));
    said.join(" | ")
}

const REGISTER: &str = include_str!("register.xml");
const CALL: &str = include_str!("call.xml");
const ANSWER: &str = include_str!("answer.xml");

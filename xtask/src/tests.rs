//! Every test of the repository, and one line that sums them up.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{build, packages, peers, python, say};

#[derive(Debug, Clone, Default)]
struct Count {
    passed: u64,
    failed: u64,
    /// What the failed ones said first, for it stands far above the end of the output.
    reasons: Vec<String>,
    /// A runner could not run: nothing is said of the tests that it has.
    broken: bool,
}

/// Lines that are told again of a failed test: its name and what it said first.
const WORDS_OF_A_FAILURE: usize = 4;

/// Installs what the tests need and this machine lacks.
pub(crate) fn set_up() -> Result<()> {
    packages::install(packages::Need::Test)?;
    build::packages_of("tests/browser")?;
    python::install()?;
    peers::install()
}

/// Sets up and runs them all; fails where one does.
pub(crate) fn run() -> Result<()> {
    set_up()?;
    build::interface()?;
    build::programs()?;
    let parts = [interface()?, screens()?, workspace()?];
    let passed: u64 = parts.iter().map(|part| part.passed).sum();
    let failed: u64 = parts.iter().map(|part| part.failed).sum();
    for reason in parts.iter().flat_map(|part| &part.reasons) {
        show(reason);
    }
    sum_up(passed, failed);
    if failed > 0 || parts.iter().any(|part| part.broken) {
        bail!("not every test passed");
    }
    Ok(())
}

/// The line that tools look for.
#[expect(clippy::print_stdout, reason = "this is a command for a terminal")]
fn sum_up(passed: u64, failed: u64) {
    println!("{passed} passed, {failed} failed");
}

fn interface() -> Result<Count> {
    say("testing the interface");
    let report = std::env::current_dir()?.join("target/interface-tests.json");
    std::fs::create_dir_all("target")?;
    let output = format!("--outputFile={}", report.display());
    let ran = build::npm(&["run", "--silent", "test", "--", "--reporter=default", "--reporter=json", &output]);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).context("the interface's tests left no report")?)?;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    Ok(Count { passed: number("numPassedTests"), failed: number("numFailedTests"), broken: ran.is_err(), ..Count::default() })
}

/// Every view in a real browser, where contrast can be measured and lines can be too long.
fn screens() -> Result<Count> {
    say("looking at every view of the interface");
    let report = std::env::current_dir()?.join("target/interface-screens.json");
    let ran = build::npm(&["run", "--silent", "test:screens", "--", "--report", &report.display().to_string()]);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).context("the views were not looked at")?)?;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    Ok(Count { passed: number("passed"), failed: number("failed"), broken: ran.is_err(), ..Count::default() })
}

fn workspace() -> Result<Count> {
    say("testing the workspace");
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast", "--features", "aftertone/custom-protocol"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let mut count = Count::default();
    let mut tells = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        show(&line);
        if line.starts_with("---- ") {
            tells = WORDS_OF_A_FAILURE;
        }
        if tells > 0 && !line.is_empty() {
            tells -= 1;
            count.reasons.push(line.clone());
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            count.passed += number_before(rest, " passed");
            count.failed += number_before(rest, " failed");
        }
    }
    count.broken = !child.wait()?.success();
    Ok(count)
}

#[expect(clippy::print_stdout, reason = "this is a command for a terminal")]
fn show(line: &str) {
    println!("{line}");
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

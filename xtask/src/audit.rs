//! Whether something is known against what we depend on. Who knows is elsewhere: without a network nothing is audited, and that is said.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::say;

/// Asks about crates and npm packages; fails where something serious is known.
pub(crate) fn run() -> Result<()> {
    say("known weaknesses of dependencies");
    crates()?;
    ["ui", "tests/browser"].into_iter().try_for_each(packages)
}

/// By cargo-deny, against RustSec's database; what isn't wanted at all is held by the architecture's test.
fn crates() -> Result<()> {
    let asked = Command::new("cargo").args(["deny", "--all-features", "check", "advisories"]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&asked.stderr);
    if asked.status.success() {
        return Ok(());
    }
    if said.contains("no such command") {
        say("crates are NOT audited: `cargo install --locked cargo-deny` installs what does it");
    } else if said.contains("advisory database") && said.contains("failed to") {
        say("crates are NOT audited: RustSec's database can't be reached");
    } else {
        bail!("something is known against a crate:\n{said}");
    }
    Ok(())
}

fn packages(folder: &str) -> Result<()> {
    let asked = Command::new("npm").args(["--prefix", folder, "audit", "--json"]).stdin(Stdio::null()).output()?;
    let report: Value = serde_json::from_slice(&asked.stdout).context("npm audit gives no report")?;
    let Some(weak) = report["vulnerabilities"].as_object() else {
        say(&format!("the packages of {folder} are NOT audited: the registry answers no such question"));
        return Ok(());
    };
    let serious = |of: &Value| matches!(of["severity"].as_str(), Some("high" | "critical"));
    let names: Vec<&str> = weak.iter().filter(|(_, of)| serious(of)).map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        bail!("something serious is known against {} (npm --prefix {folder} audit tells what)", names.join(", "));
    }
    Ok(())
}

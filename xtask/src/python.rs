//! A tool of the tests that is written in Python, in an environment of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{peers, say};

/// Asks an HTTP API everything that its OpenAPI document allows, and more (MIT).
const SCHEMATHESIS: (&str, &str) = ("schemathesis", "4.32.5");

/// Makes the environment if it is missing or has another version.
pub(crate) fn install() -> Result<()> {
    let (name, version) = SCHEMATHESIS;
    let folder = peers::cache()?.join(name);
    if has(&folder, name, version) {
        return Ok(());
    }
    say(&format!("installing {name} {version} into {} (once)", folder.display()));
    let folder = folder.to_string_lossy();
    call("python3", &["-m", "venv", "--clear", &folder])?;
    call(&format!("{folder}/bin/pip"), &["install", "--quiet", "--disable-pip-version-check", &format!("{name}=={version}")])
}

fn has(folder: &Path, name: &str, version: &str) -> bool {
    let asked = Command::new(folder.join("bin").join(name)).arg("--version").stdin(Stdio::null()).output();
    asked.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim_end().ends_with(version))
}

fn call(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    ensure!(status.success(), "{program} {} ended with {status}", arguments.first().unwrap_or(&""));
    Ok(())
}

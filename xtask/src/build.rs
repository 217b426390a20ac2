//! Building the interface and the programs.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::say;

/// Runs a command to its end, its output shown.
pub(crate) fn call(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{program} can't be started"))?;
    if !status.success() {
        bail!("{program} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a script of the interface's.
pub(crate) fn npm(arguments: &[&str]) -> Result<()> {
    call("npm", &[&["--prefix", "ui"][..], arguments].concat()).context("Node 20 with npm is needed for the interface")
}

/// Fetches the interface's packages if they changed since the last time, and builds it.
pub(crate) fn interface() -> Result<()> {
    interface_packages()?;
    say("building the interface");
    npm(&["run", "--silent", "build"])
}

/// Fetches the interface's packages if they changed since the last time.
pub(crate) fn interface_packages() -> Result<()> {
    packages_of("ui")
}

/// Fetches the npm packages of a folder if they changed since the last time.
pub(crate) fn packages_of(folder: &str) -> Result<()> {
    let lock_file = format!("{folder}/package-lock.json");
    let lock = std::fs::read(&lock_file).with_context(|| format!("reading {lock_file}"))?;
    let mark = PathBuf::from(format!("{folder}/node_modules/.fetched-package-lock.json"));
    if std::fs::read(&mark).is_ok_and(|fetched| fetched == lock) {
        return Ok(());
    }
    say(&format!("fetching the packages of {folder}"));
    call("npm", &["--prefix", folder, "ci", "--no-audit", "--no-fund"])
        .context("Node 20 with npm is needed for the interface")?;
    Ok(std::fs::write(&mark, lock)?)
}

/// Builds every program, the app with its interface inside.
pub(crate) fn programs() -> Result<()> {
    say("building the programs (the first time takes some minutes)");
    call("cargo", &["build", "--workspace", "--bins", "--features", "aftertone/custom-protocol"])
}

/// A program that [`programs`] built.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("debug").join(name))
}

/// Builds the programs that a user would run, for release, and measures them.
pub(crate) fn bench(name: &str, arguments: &[&str]) -> Result<()> {
    crate::tests::set_up()?;
    crate::packages::install(crate::packages::Need::Bench)?;
    interface()?;
    say("building for release (the first time takes some minutes)");
    let what = ["-p", "aftertone", "-p", "aftertone-server", "-p", "aftertone-client", "-p", "aftertone-tests", "--bins"];
    let what = [&what[..], &["--features", "aftertone/custom-protocol"]].concat();
    call("cargo", &[&["build", "--release"][..], &what].concat())?;
    let program = target()?.join("release/aftertone-bench");
    call(&program.to_string_lossy(), &[&[name][..], arguments].concat())
}

fn target() -> Result<PathBuf> {
    let output = Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target directory")
}

/// Makes the packages that people install.
pub(crate) fn package() -> Result<()> {
    crate::packages::install(crate::packages::Need::Build)?;
    interface_packages()?;
    say("building the packages");
    call("ui/node_modules/.bin/tauri", &["build", "--bundles", "deb,rpm"])?;
    say(&format!("they are in {}", target()?.join("release/bundle").display()));
    Ok(())
}

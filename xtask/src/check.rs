//! What is checked without running anything: form, lints, documentation, dependencies, generated files.

use anyhow::{Context, Result};

use crate::{build, packages, say};

/// All checks, the quick ones first.
pub(crate) fn run() -> Result<()> {
    packages::install(packages::Need::Test)?;
    say("formatting");
    build::call("cargo", &["fmt", "--all", "--check"]).context("cargo fmt --all mends it")?;
    build::interface()?;
    say("types and lints of the interface");
    build::npm(&["run", "--silent", "check"])?;
    build::npm(&["run", "--silent", "lint"])?;
    say("walls and dependencies");
    build::call("cargo", &["test", "--quiet", "--package", "aftertone-tests", "--test", "architecture"])?;
    say("lints");
    let features = ["--features", "aftertone/custom-protocol"];
    build::call(
        "cargo",
        &[&["clippy", "--quiet", "--workspace", "--all-targets"][..], &features, &["--", "-D", "warnings"]].concat(),
    )?;
    say("documentation");
    // The desktop's crate is a program; what it offers to nobody needs no pages.
    build::call("cargo", &["doc", "--quiet", "--workspace", "--no-deps", "--exclude", "aftertone"])?;
    say("generated types");
    build::call("cargo", &["test", "--quiet", "--package", "aftertone-view"])?;
    build::call("git", &["diff", "--exit-code", "--", "ui/src/host/generated"]).context("commit the generated types")
}

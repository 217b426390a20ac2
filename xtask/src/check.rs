//! What is checked without running anything: form, lints, documentation, dependencies, generated files.

use anyhow::{Context, Result};

use crate::{audit, build, packages, say};

/// As the programs and all tests are built: a package alone has other features, and would be compiled anew for them.
const WHOLE: [&str; 3] = ["--workspace", "--features", "aftertone/custom-protocol"];

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
    one_test("architecture")?;
    audit::run()?;
    say("lints");
    let lints = [&["clippy", "--quiet", "--all-targets"][..], &WHOLE, &["--", "-D", "warnings"]].concat();
    build::call("cargo", &lints)?;
    say("documentation");
    // The desktop's crate is a program; what it offers to nobody needs no pages.
    build::call("cargo", &["doc", "--quiet", "--workspace", "--no-deps", "--exclude", "aftertone"])?;
    say("generated types");
    one_test("contract")?;
    build::call("git", &["diff", "--exit-code", "--", "ui/src/host/generated"]).context("commit the generated types")
}

fn one_test(name: &str) -> Result<()> {
    build::call("cargo", &[&["test", "--quiet", "--test", name][..], &WHOLE].concat())
}

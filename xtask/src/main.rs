//! `cargo xtask COMMAND`: everything that is done with this repository, from setting up to measuring.
//!
//! It imports nothing of the workspace, so that it builds in seconds and can set up what the rest needs.

mod audit;
mod build;
mod check;
mod demo;
mod fuzz;
mod packages;
mod peers;
mod python;
mod tests;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND
  run [--tour]   sets up, builds, and opens the app beside a hosted account; without a display, or with --tour,
                 drives the window through a call and its message and writes target/tour/
  test           sets up and runs every test
  bench NAME     builds for release and measures (docs/benchmarks.md); the last line of its output is JSON
  check          formatting, lints, documentation, dependencies, generated types, and the interface's checks
  audit          asks what is known against dependencies; part of check
  fuzz [SECONDS [TARGET]]
                 runs every fuzz target so long (600 by default)
  setup          installs the system packages that are missing, and the outside exchanges of the tests
  package        makes the packages to install (.deb, .rpm)";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    std::env::set_current_dir(root()?)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["setup"] => tests::set_up(),
        ["run"] if demo::has_display() => demo::run(),
        ["run"] => {
            say("there is no display: taking the tour instead");
            demo::tour()
        }
        ["run", "--tour"] => demo::tour(),
        ["test"] => tests::run(),
        ["bench", name, arguments @ ..] => build::bench(name, arguments),
        ["fuzz"] => fuzz::run(600, None),
        ["fuzz", seconds] => fuzz::run(seconds.parse()?, None),
        ["fuzz", seconds, target] => fuzz::run(seconds.parse()?, Some(target)),
        ["audit"] => audit::run(),
        ["check"] => check::run(),
        ["package"] => build::package(),
        _ => bail!("{USAGE}"),
    }
}

fn root() -> Result<PathBuf> {
    // Not what was compiled in: a target folder may be shared with another checkout.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(here.parent().context("xtask stands alone")?.to_owned())
}

/// A line for the person who waits.
#[expect(clippy::print_stdout, reason = "this is a command for a terminal")]
fn say(line: &str) {
    println!("xtask: {line}");
}

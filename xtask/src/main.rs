//! `cargo xtask COMMAND`: everything that is done with this repository, from setting up to measuring.

mod packages;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND
  setup    installs the system packages that are missing";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["setup"] => packages::install(packages::Need::Test),
        _ => bail!("{USAGE}"),
    }
}

/// A line for the person who waits.
#[expect(clippy::print_stdout, reason = "this is a command for a terminal")]
fn say(line: &str) {
    println!("xtask: {line}");
}

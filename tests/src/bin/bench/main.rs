//! `cargo xtask bench NAME`: what the programs can do, measured on release builds beside other people's programs.
//!
//! Each benchmark is a module with `async fn run(arguments: &[String]) -> Result<Value>`. It says what it does on standard
//! error; the last line on standard output is its result as JSON. docs/benchmarks.md says how each measures, and what was
//! seen.

mod app;
mod cpu;
mod deposit;
mod handset;
mod latency;
mod list;
mod notify;
mod pins;
mod quality;
mod sip;
mod start;

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::Value;

const USAGE: &str = "usage: aftertone-bench NAME [ARGUMENTS]
  cpu [SECONDS]   what a call takes of the processor in each codec, ours beside baresip
  deposit [CALLS [SECONDS [MOST]]]
                   callers who leave messages at once, ours beside Asterisk's voicemail
  latency [RUNS]   from mouth to ear over virtual sound devices, ours beside baresip
  list    a mailbox of 50,000 messages: opening, searching, scrolling
  notify  from the caller's hang-up to the notification and the row
  pins [TRIES]     guessing a mailbox's PIN by phone, with the right one among the guesses
  quality [RUNS]   speech in Opus on bad networks, ours beside baresip
  sip     registrations and calls per second, ours beside Asterisk and Kamailio
  start   from starting the app to its first rows, its memory and its idling; Linphone beside it";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(result) => {
            show(&result);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<Value> {
    let Some((name, arguments)) = arguments.split_first() else { bail!("{USAGE}") };
    match name.as_str() {
        // One phone of the latency benchmark, which starts it.
        "card" => latency::run_card(arguments).await,
        "cpu" => cpu::run(arguments).await,
        "deposit" => deposit::run(arguments).await,
        "latency" => latency::run(arguments).await,
        "list" => list::run(arguments).await,
        "notify" => notify::run(arguments).await,
        "pins" => pins::run(arguments).await,
        "quality" => quality::run(arguments).await,
        "sip" => sip::run(arguments).await,
        "start" => start::run(arguments).await,
        _ => bail!("{USAGE}"),
    }
}

#[expect(clippy::print_stdout, reason = "the result, for whoever reads it")]
fn show(result: &Value) {
    println!("{result}");
}

/// A line for the person who waits.
fn say(line: &str) {
    eprintln!("bench: {line}");
}

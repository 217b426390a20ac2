//! Registrations and calls per second over UDP, against our server, Asterisk and Kamailio in one run: `sip [PHONES [CALLS]]`.
//!
//! The same sipp scenarios go at each: PHONES phones register with digest, then CALLS calls go from one registered phone to
//! another, each authenticated, answered and hung up. What counts most is what the server's own processes took of the
//! processor, for sipp takes its share of the machine.

mod asterisk;
mod kamailio;
mod load;
mod ours;
pub(crate) mod usage;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::{load::Done, usage::Usage};
use crate::say;

/// One server under load.
struct Subject {
    sip: SocketAddr,
    usage: Usage,
    accounts: Vec<Account>,
    /// Whatever lives as long as the server.
    _holds: Box<dyn std::any::Any>,
}

/// A phone's.
#[derive(Debug, Clone)]
struct Account {
    /// What is called, and what it registers as.
    number: String,
    username: String,
    password: String,
}

struct Size {
    phones: usize,
    calls: usize,
}

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse().context("a number is expected"));
    let size = Size { phones: number(0, 10_000)?.max(3), calls: number(1, 3_000)?.max(1) };
    say(&format!("{} phones, {} calls", size.phones, size.calls));
    let ours = measure("ours", &size, ours::start(size.phones).await?).await?;
    let asterisk = measure("asterisk", &size, asterisk::start(size.phones).await?).await?;
    let kamailio = measure("kamailio", &size, kamailio::start(size.phones).await?).await?;
    Ok(json!({
        "bench": "sip", "phones": size.phones, "calls": size.calls,
        "ours": ours, "asterisk": asterisk, "kamailio": kamailio,
    }))
}

async fn measure(name: &str, size: &Size, subject: Subject) -> Result<Value> {
    let (idle_kb, idle_cpu) = (subject.usage.memory_kb()?, subject.usage.cpu_s()?);
    let registered = load::register(&subject).await.with_context(|| format!("{name}: registering"))?;
    let register_cpu = subject.usage.cpu_s()? - idle_cpu;
    let full_kb = subject.usage.memory_kb()?;
    let before = subject.usage.cpu_s()?;
    let called = load::call(&subject, size.calls).await.with_context(|| format!("{name}: calling"))?;
    let call_cpu = subject.usage.cpu_s()? - before;
    let result = json!({
        "registrations_per_s": rate(&registered, registered.took_s),
        "calls_per_s": rate(&called, called.took_s),
        "registrations_per_cpu_s": rate(&registered, register_cpu),
        "calls_per_cpu_s": rate(&called, call_cpu),
        "kb_per_binding": round((full_kb - idle_kb).max(0.0) / registered.succeeded as f64),
        "memory_mb_registered": round(full_kb / 1024.0),
        "failed": registered.failed + called.failed,
    });
    say(&format!("{name}: {result}"));
    Ok(result)
}

fn rate(done: &Done, seconds: f64) -> f64 {
    round(done.succeeded as f64 / seconds.max(0.01))
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

//! dnsmasq, as the name server of an account.

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::peers::{is_root, text};

/// One that runs, on an address of its own of this machine's, for systems ask name servers at one port alone.
#[derive(Debug)]
pub struct NameServer {
    folder: tempfile::TempDir,
    _running: Child,
    _said: Lines<BufReader<ChildStderr>>,
}

impl NameServer {
    /// Starts one that knows these records and nothing else, each an option of dnsmasq's such as `--srv-host=…`.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(records: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = free_address()?;
        std::fs::write(folder.path().join("resolv.conf"), format!("nameserver {at}\noptions timeout:2 attempts:2\n"))?;
        let mut command = as_root("/usr/sbin/dnsmasq");
        command
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/", "--bind-interfaces"])
            .args(["--pid-file=", "--user=", "--group=", "--port=53", &format!("--listen-address={at}")])
            .args(records)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut running = command.spawn().context("starting dnsmasq")?;
        // It listens before it says anything.
        let mut said = BufReader::new(running.stderr.take().context("it has no standard error")?).lines();
        let first = said.next_line().await?.context("dnsmasq says nothing")?;
        ensure!(first.contains("started"), "{first}");
        Ok(Self { folder, _running: running, _said: said })
    }

    /// The same command on a machine that asks this name server.
    #[must_use]
    pub fn asked_by(&self, command: &Command) -> Command {
        let inner = command.as_std();
        let mut outer = as_root("unshare");
        let mounted = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
        outer.args(["--mount", "--", "sh", "-c", mounted, "sh", &text(&self.resolv_conf())]);
        outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
        outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        outer
    }

    fn resolv_conf(&self) -> PathBuf {
        self.folder.path().join("resolv.conf")
    }
}

/// A loopback address whose port for names is free.
fn free_address() -> Result<Ipv4Addr> {
    for last in 1..255 {
        let [high, low, ..] = std::process::id().to_le_bytes();
        let at = Ipv4Addr::new(127, 1 + high % 250, low, last);
        // Who may not take that port can't see whether somebody else has.
        if !is_root() || UdpSocket::bind((at, 53)).is_ok() {
            return Ok(at);
        }
    }
    bail!("no address is free for a name server")
}

fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "--preserve-env", program]);
    command
}

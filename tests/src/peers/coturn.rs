//! coturn, Debian's TURN server, as an account's relay.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::process::{self, Running};

/// What its console takes.
pub const CONSOLE_PASSWORD: &str = "a console's password";

/// One that runs.
#[derive(Debug)]
pub struct Coturn {
    /// Where it takes requests.
    pub address: SocketAddr,
    /// Where an administrator looks after it.
    pub console: SocketAddr,
    log: PathBuf,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Coturn {
    /// Starts one at `address`, which relays from the same address and shares `secret`.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(address: SocketAddr, secret: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("coturn.log");
        let console = SocketAddr::from(([127, 0, 0, 1], process::free_port()?));
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let database = folder.path().join("turndb");
        let mut command = Command::new("turnserver");
        // Without -c it would read the machine's own configuration.
        command.args(["-n", "--listening-ip", &ip, "--relay-ip", &ip, "--listening-port", &port]);
        command.args(["--min-port", "30000", "--max-port", "30999", "--realm", "example.test", "--fingerprint"]);
        command.args(["--use-auth-secret", "--static-auth-secret", secret, "--no-tls", "--no-dtls", "--allow-loopback-peers"]);
        command.args(["--cli-ip", "127.0.0.1", "--cli-port", &console.port().to_string(), "--cli-password", CONSOLE_PASSWORD]);
        command.args(["--simple-log", "--no-stdout-log", "--verbose", "--log-file"]).arg(&log);
        command.arg("--pidfile").arg(folder.path().join("pid")).arg("--userdb").arg(database);
        let mut running = process::start(&mut command, &folder.path().join("stderr.log"))?;
        running.ignore_output();
        let coturn = Self { address, console, log, running, _folder: folder };
        let listens = || async { Ok(coturn.log().contains("UDP listener opened on").then_some(())) };
        let listens = process::eventually("coturn listens", Duration::from_secs(15), listens).await;
        listens.with_context(|| coturn.log())?;
        Ok(coturn)
    }

    /// All that it said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How many packets it relayed to peers and from them, in sessions that have ended.
    #[must_use]
    pub fn relayed(&self) -> (u64, u64) {
        let log = self.log();
        let of = |line: &str, name: &str| -> u64 {
            let value = line.split(name).nth(1).and_then(|rest| rest.split(',').next());
            value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        let peers = log.lines().filter(|line| line.contains("peer usage:"));
        peers.fold((0, 0), |(sent, received), line| (sent + of(line, " sp="), received + of(line, " rp=")))
    }

    /// Starts coturn's own client: two sessions that send each other packets for minutes, if they may.
    ///
    /// # Errors
    /// Where it doesn't start.
    pub fn client(&self, username: &str, password: &str, log: &Path) -> Result<Running> {
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let mut command = Command::new("turnutils_uclient");
        command.args(["-y", "-u", username, "-w", password, "-p", &port, "-m", "1", "-n", "10000", &ip]);
        let mut running = process::start(&mut command, log)?;
        running.ignore_output();
        Ok(running)
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it doesn't end.
    pub async fn stop(self) -> Result<()> {
        self.running.kill().await
    }
}

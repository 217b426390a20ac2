//! Packet captures, kept where a test fails.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::peers::is_root;

/// A running capture of an interface. Dropped without [`Capture::passed`] it leaves
/// `NAME.pcap` in the folder of artefacts: `AFTERTONE_ARTEFACTS`, or `target/artefacts` of the repository.
#[derive(Debug)]
pub struct Capture {
    child: Option<Child>,
    file: PathBuf,
    passed: bool,
    _folder: tempfile::TempDir,
    kept: PathBuf,
}

impl Capture {
    /// Starts one of the loopback interface for the test `name` with a filter such as `port 5060 or port 5062`; empty: everything but HTTP's bulk.
    ///
    /// # Errors
    /// Where tcpdump can't capture.
    pub async fn start(name: &str, filter: &str) -> Result<Self> {
        Self::start_at("lo", name, filter).await
    }

    /// The same on every interface of this machine.
    ///
    /// # Errors
    /// Where tcpdump can't.
    pub async fn everywhere(name: &str, filter: &str) -> Result<Self> {
        Self::start_at("any", name, filter).await
    }

    /// The same of another interface.
    ///
    /// # Errors
    /// Where tcpdump can't capture.
    pub async fn start_at(interface: &str, name: &str, filter: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("capture.pcap");
        let mut command = Command::new(if is_root() { "tcpdump" } else { "sudo" });
        if !is_root() {
            command.args(["-n", "tcpdump"]);
        }
        command.args(["-i", interface, "--immediate-mode", "-U", "-s", "2048", "-Z", "root", "-w"]).arg(&file).arg(filter);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let listening = async {
            while let Some(line) = said.next_line().await? {
                if line.contains("listening on") {
                    return Ok(());
                }
            }
            anyhow::bail!("tcpdump ended")
        };
        timeout(Duration::from_secs(10), listening).await.context("tcpdump doesn't listen")??;
        tokio::spawn(async move { while matches!(said.next_line().await, Ok(Some(_))) {} });
        let kept = artefacts().join(format!("{name}.pcap"));
        Ok(Self { child: Some(child), file, passed: false, _folder: folder, kept })
    }

    /// How many packets passed so far.
    ///
    /// # Errors
    /// Where what was captured can't be read.
    pub async fn packets(&self) -> Result<usize> {
        let mut command = Command::new(if is_root() { "tcpdump" } else { "sudo" });
        if !is_root() {
            command.args(["-n", "tcpdump"]);
        }
        let output = command.args(["-n", "-r"]).arg(&self.file).stdin(Stdio::null()).output().await?;
        // The last packet may be half written; the others are told before that is.
        Ok(String::from_utf8_lossy(&output.stdout).lines().count())
    }

    /// The test has passed: nothing is kept.
    pub fn passed(mut self) {
        self.passed = true;
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone_already = child.start_kill();
        }
        if !self.passed {
            let _unwritable = std::fs::create_dir_all(artefacts());
            let _unwritable = std::fs::copy(&self.file, &self.kept);
        }
    }
}

/// Where what remains of failures is kept.
#[must_use]
pub fn artefacts() -> PathBuf {
    let repository = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/artefacts");
    std::env::var_os("AFTERTONE_ARTEFACTS").map_or_else(repository, PathBuf::from)
}

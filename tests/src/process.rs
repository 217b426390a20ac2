//! Processes that end with the test, and the waiting for what they do.

use std::{
    ffi::OsStr,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long is waited for what happens at once where nothing hangs: long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed, and only it, when the test lets go of it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Open as long as the process lives, as a terminal's is.
    _stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    log: PathBuf,
}

/// Starts `command`; its standard error is added to `log`, its standard output is read line by line.
///
/// # Errors
/// Where the program isn't there.
pub fn start(command: &mut Command, log: &Path) -> Result<Running> {
    spawn(command, Stdio::null(), log)
}

/// The same, with a line on its standard input, which stays open after it.
///
/// # Errors
/// Where the program isn't there or doesn't read.
pub async fn start_with_line(command: &mut Command, line: &str, log: &Path) -> Result<Running> {
    let mut running = spawn(command, Stdio::piped(), log)?;
    let mut stdin = running.child.stdin.take().context("it has no standard input")?;
    stdin.write_all(format!("{line}\n").as_bytes()).await?;
    Ok(Running { _stdin: Some(stdin), ..running })
}

fn spawn(command: &mut Command, stdin: Stdio, log: &Path) -> Result<Running> {
    let file = std::fs::File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("creating {}", log.display()))?;
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let stdout = child.stdout.take().map(|out| BufReader::new(out).lines());
    Ok(Running { child, _stdin: None, stdout, log: log.to_owned() })
}

impl Running {
    /// The next line of standard output.
    ///
    /// # Errors
    /// Where none comes within `limit` or the process ends first; what it said last is in the error.
    pub async fn line(&mut self, limit: Duration) -> Result<String> {
        let Some(stdout) = self.stdout.as_mut() else { bail!("its output is read elsewhere") };
        match timeout(limit, stdout.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(_) => bail!("it ended; its last words: {}", last_words(&self.log)),
            Err(_) => bail!("no line within {limit:?}; its last words: {}", last_words(&self.log)),
        }
    }

    /// The next line of standard output, or `None` at its end.
    ///
    /// # Errors
    /// Where neither comes within `limit`.
    pub async fn line_or_end(&mut self, limit: Duration) -> Result<Option<String>> {
        let Some(stdout) = self.stdout.as_mut() else { bail!("its output is read elsewhere") };
        let line = timeout(limit, stdout.next_line()).await;
        Ok(line.with_context(|| format!("no line within {limit:?}; its last words: {}", last_words(&self.log)))??)
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// Where it doesn't within `limit`.
    pub async fn terminate(mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let id = self.child.id().context("it has ended already")?;
        let signalled = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status()?;
        anyhow::ensure!(signalled.success(), "kill failed");
        Ok(timeout(limit, self.child.wait()).await.context("it did not end after SIGTERM")??)
    }

    /// Ends it at once (SIGKILL), so that it can't do anything more, and waits until it is gone.
    ///
    /// # Errors
    /// Where the system refuses.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it is still running after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let waited = timeout(limit, self.child.wait()).await;
        Ok(waited.with_context(|| format!("still running after {limit:?}; {}", last_words(&self.log)))??)
    }

    /// Its id.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Takes its standard output, for somebody who reads all of it.
    pub fn take_output(&mut self) -> Option<Lines<BufReader<ChildStdout>>> {
        self.stdout.take()
    }

    /// Reads its standard output and forgets it, so that the process never waits for somebody to read.
    pub fn ignore_output(&mut self) {
        if let Some(mut output) = self.take_output() {
            tokio::spawn(async move { while matches!(output.next_line().await, Ok(Some(_))) {} });
        }
    }
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Asks `look` again and again until it sees something: for what another program does, in its own time.
///
/// # Errors
/// Where it has seen nothing within `limit`; `what` says what was expected.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    let watch = async {
        loop {
            tick.tick().await;
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
        }
    };
    timeout(limit, watch).await.with_context(|| format!("{what}: not within {limit:?}"))?
}

/// A port that nothing listens on now, for TCP and UDP.
///
/// # Errors
/// Where the system has none left.
pub fn free_port() -> Result<u16> {
    for _ in 0..64 {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// A program of this workspace, built beside the running one.
///
/// # Errors
/// Where it was not built.
pub fn built(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.exists());
    found.with_context(|| format!("{name} is not built: cargo build --workspace --bins --features aftertone/custom-protocol"))
}

/// A `Command` that sees of our environment only what programs need to start.
#[must_use]
pub fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "LANG", "LC_ALL", "TERM", "USER", "LOGNAME", "AFTERTONE_LOG", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

//! The main job: a hosted account on this machine, and the app beside it.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{build, packages, say};

/// Where the account listens: its port stands in what the app remembers, so it stays the same from run to run.
const HTTP: &str = "127.0.0.1:8480";
const PEOPLE: [(&str, &str, &str); 2] = [("alice", "1001", "Alice Adler"), ("bob", "1002", "Bob Brandt")];

/// Whether a window can be shown.
pub(crate) fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Sets up, builds, starts the account and the app, and waits until the app is quit.
pub(crate) fn run() -> Result<()> {
    packages::install(packages::Need::Build)?;
    build::interface()?;
    build::programs()?;
    let folder = std::env::current_dir()?.join("target/demo");
    std::fs::create_dir_all(&folder)?;
    let server = Server::start(&folder.join("account"))?;
    let mut app = Command::new(build::program("aftertone")?);
    // The demo's token is worth as much as the demo: it needs no keyring, which a bare machine doesn't have.
    app.args(["--secrets", "file", "--profile"]).arg(folder.join("desktop"));
    if !folder.join("desktop/account.json").exists() {
        app.arg("--invite").arg(server.invite(PEOPLE[0].0)?);
    }
    say("the app opens, signed in as 1001 (closing the window leaves it running; quit it in its tray, or press Ctrl+C here)");
    let mut app = app.spawn().context("starting the app")?;
    let id = app.id().to_string();
    // The app ends in its own way, and then the account; whoever presses Ctrl+C has told the app already.
    ctrlc::set_handler(move || {
        let _ended_already = Command::new("kill").arg(&id).stderr(Stdio::null()).status();
    })?;
    let status = app.wait()?;
    ensure!(status.success() || status.code().is_none(), "the app ended with {status}");
    Ok(())
}

/// Sets up, builds, and drives the real window through the whole path.
pub(crate) fn tour() -> Result<()> {
    packages::install(packages::Need::Test)?;
    build::interface()?;
    build::programs()?;
    let folder = std::env::current_dir()?.join("target/tour");
    build::call(&build::program("aftertone-tour")?.to_string_lossy(), &[&folder.to_string_lossy()])?;
    say("the tour is complete: target/tour/report.json");
    Ok(())
}

struct Server {
    child: Child,
    data: PathBuf,
}

impl Server {
    fn start(data: &Path) -> Result<Self> {
        let mut child = Command::new(build::program("aftertone-server")?)
            .args(["serve", "--http", HTTP, "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting aftertone-server")?;
        let output = child.stdout.take().context("aftertone-server has no output")?;
        let mut ready = String::new();
        BufReader::new(output).read_line(&mut ready)?;
        let server = Self { child, data: data.to_owned() };
        ensure!(!ready.is_empty(), "the hosted account did not start; its words are above");
        say(&format!("the hosted account runs: {}", ready.trim()));
        server.make_people()?;
        Ok(server)
    }

    /// Makes the two demo accounts at the first start, with random secrets that nobody needs to know: people come in by
    /// invitation.
    fn make_people(&self) -> Result<()> {
        let known = self.admin(&["user", "list", "--json"], "")?;
        for (user, extension, name) in PEOPLE {
            if known.contains(&format!("\"{extension}\"")) {
                continue;
            }
            let arguments = ["user", "add", user, "--extension", extension, "--display-name", name, "--password-stdin"];
            self.admin(&arguments, &random_secret()?)?;
            say(&format!("made the account {extension}, {name}"));
        }
        Ok(())
    }

    fn invite(&self, user: &str) -> Result<String> {
        let output = self.admin(&["invite", user, "--server", &format!("http://{HTTP}")], "")?;
        let link = output.lines().find(|line| line.starts_with("aftertone://")).context("the server gave no invitation")?;
        Ok(link.trim().to_owned())
    }

    fn admin(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(build::program("aftertone-server")?)
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("aftertone-server {} ended with {}", arguments.join(" "), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By its own id, and politely: a message that is being recorded is finished.
        let ended = Command::new("kill").arg(self.child.id().to_string()).status().and_then(|_| self.child.wait());
        if let Err(error) = ended {
            say(&format!("the hosted account did not end: {error}"));
        }
    }
}

/// 128 random bits in hexadecimal.
fn random_secret() -> Result<String> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! baresip, somebody else's phone: a real caller and a real callee without a screen.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::process::{self, Running};

/// How a baresip is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its address of record with parameters, as a line of its `accounts` file.
    pub account: String,
    /// A WAV file that it speaks; it hangs up at its end.
    pub speech: PathBuf,
    /// Sampling rate of the speech file in Hz.
    pub rate: u32,
}

/// What happened in baresip, with the moment it told us.
#[derive(Debug, Clone)]
pub struct Happening {
    /// Its name: `CALL_ESTABLISHED`, `CALL_CLOSED`, `MWI_NOTIFY`, …
    pub kind: String,
    /// Its parameter, if it has one.
    pub parameter: String,
    /// When.
    pub at: Instant,
}

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    _running: Running,
    control: tokio::net::tcp::OwnedWriteHalf,
    happenings: mpsc::UnboundedReceiver<Happening>,
    folder: tempfile::TempDir,
}

impl Baresip {
    /// Starts one and waits until it can be commanded.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (sip_port, control_port) = (process::free_port()?, process::free_port()?);
        let dumps = folder.path().join("dumps");
        std::fs::create_dir(&dumps)?;
        let speech = setup.speech.display();
        let (dumps, rate) = (dumps.display(), setup.rate);
        let modules = ["g711.so", "opus.so", "aufile.so", "sndfile.so"].map(|name| format!("module {name}\n")).concat();
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{sip_port}\nnet_interface 127.0.0.1\ncall_local_timeout 120\n\
             call_max_calls 10\naudio_path /usr/share/baresip\naudio_source aufile,{speech}\nausrc_srate {rate}\n\
             auplay_srate {rate}\nausrc_channels 1\nauplay_channels 1\naudio_buffer 20-160\nrtp_ports 32000-32700\n\
             rtcp_mux no\njitter_buffer_delay 5-10\nmodule_path /usr/lib/baresip/modules\n{modules}\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app mwi.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control_port}\nsnd_path {dumps}\n"
        );
        std::fs::write(folder.path().join("config"), config)?;
        std::fs::write(folder.path().join("accounts"), format!("{}\n", setup.account))?;
        let log = folder.path().join("stderr.log");
        let running = process::start(Command::new("baresip").arg("-4").arg("-f").arg(folder.path()), &log)?;
        let control = process::eventually("baresip listens", Duration::from_secs(10), || async {
            Ok(TcpStream::connect(("127.0.0.1", control_port)).await.ok())
        })
        .await?;
        let (read, control) = control.into_split();
        let (tell, happenings) = mpsc::unbounded_channel();
        tokio::spawn(listen(read, tell));
        Ok(Self { _running: running, control, happenings, folder })
    }

    /// Gives it a command, as its menu module knows them: `dial sip:…`, `hangup`, `accept`, or a digit.
    ///
    /// # Errors
    /// Where it is gone.
    pub async fn command(&mut self, command: &str) -> Result<()> {
        let (verb, parameters) = command.split_once(' ').unwrap_or((command, ""));
        let body = json!({"command": verb, "params": parameters, "token": "t"}).to_string();
        self.control.write_all(format!("{}:{body},", body.len()).as_bytes()).await.context("baresip is gone")
    }

    /// The next happening of that kind; others are passed over.
    ///
    /// # Errors
    /// Where it doesn't come within `limit`.
    pub async fn happening(&mut self, kind: &str, limit: Duration) -> Result<Happening> {
        let mut seen = Vec::new();
        let wait = async {
            while let Some(happening) = self.happenings.recv().await {
                if happening.kind == kind {
                    return Ok(happening);
                }
                seen.push(format!("{} {}", happening.kind, happening.parameter));
            }
            bail!("baresip ended")
        };
        match timeout(limit, wait).await {
            Ok(result) => result,
            Err(_) => bail!("baresip told no {kind} within {limit:?}, but {seen:?}"),
        }
    }

    /// What it heard in its last call.
    ///
    /// # Errors
    /// Where it heard nothing.
    pub fn heard(&self) -> Result<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path().join("dumps"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with("dec.wav"))
            .collect();
        files.sort();
        files.pop().context("baresip heard nothing")
    }
}

async fn listen(mut read: tokio::net::tcp::OwnedReadHalf, tell: mpsc::UnboundedSender<Happening>) {
    let mut buffer = Vec::new();
    while matches!(read.read_buf(&mut buffer).await, Ok(n) if n > 0) {
        while let Some((frame, used)) = netstring(&buffer) {
            if let Ok(value) = serde_json::from_slice::<Value>(frame)
                && let Some(kind) = value["type"].as_str()
            {
                let parameter = value["param"].as_str().unwrap_or_default().to_owned();
                let _gone = tell.send(Happening { kind: kind.to_owned(), parameter, at: Instant::now() });
            }
            buffer.drain(..used);
        }
    }
}

/// The first whole netstring of `bytes` (`LENGTH:DATA,`) and how many bytes it takes.
fn netstring(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let data = bytes.get(colon + 1..colon + 1 + length)?;
    bytes.get(colon + 1 + length)?;
    Some((data, colon + length + 2))
}

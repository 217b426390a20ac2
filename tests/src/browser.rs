//! Debian's Chromium as a WebRTC phone: SIP.js in a page that is served from here, told what to do over HTTP.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use crate::process::{self, Running};

/// What the page hears is sent at this rate.
pub const RATE: u32 = 48_000;

/// What the phone is.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// `wss://…/sip`.
    pub server: String,
    /// Its address of record.
    pub uri: String,
    /// For digest authentication.
    pub username: &'a str,
    /// For digest authentication.
    pub password: &'a str,
    /// What it says: a WAV file, played once from the moment a call begins.
    pub speech: &'a Path,
    /// The only codec of its offers (`PCMU`, `PCMA`, `G722`), or what Chromium likes.
    pub codec: Option<&'a str>,
    /// Its offers name no candidates; they follow in an INFO (trickle ICE, RFC 8840).
    pub trickles: bool,
}

/// A browser with the page open. It ends with this.
#[derive(Debug)]
pub struct Browser {
    orders: mpsc::UnboundedSender<Value>,
    happened: mpsc::UnboundedReceiver<Value>,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
    serving: JoinHandle<()>,
    /// What happened so far, for whoever wonders why something else didn't.
    seen: Vec<Value>,
    _running: Running,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Browser {
    /// Opens the page; certificates of this machine's tests are believed.
    ///
    /// # Errors
    /// Where Chromium or SIP.js is missing.
    pub async fn start(setup: &Setup<'_>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let page = json!({"server": setup.server, "uri": setup.uri, "username": setup.username, "password": setup.password,
            "codec": setup.codec, "trickles": setup.trickles});
        let ((orders, waiting), (tell, happened), (sound, heard)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let site = Site { folder: pages()?, setup: page.to_string(), tell, sound };
        let serving = tokio::spawn(site.serve(listener, waiting));
        let profile = tempfile::tempdir()?;
        let mut command = process::clean_command("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors"]);
        command.args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]);
        command.args(["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"]);
        command.arg(format!("--use-file-for-fake-audio-capture={}%noloop", setup.speech.display()));
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(format!("http://{address}/"));
        command.env("HOME", profile.path());
        let running = process::start(&mut command, &profile.path().join("chromium.log"))?;
        Ok(Self { orders, happened, heard, serving, seen: Vec::new(), _running: running, _profile: profile })
    }

    /// Tells the page to do something.
    pub fn order(&self, order: Value) {
        // A page that is gone is noticed by whoever waits for what it does.
        let _gone = self.orders.send(order);
    }

    /// Waits until `event` happens, with these fields.
    ///
    /// # Errors
    /// Where it doesn't in time, or something fails.
    pub async fn happening(&mut self, event: &str, fields: &[(&str, &str)], limit: Duration) -> Result<Value> {
        let wait = async {
            while let Some(told) = self.happened.recv().await {
                self.seen.push(told.clone());
                if told["event"] == "error" {
                    bail!("{told}");
                }
                if told["event"] == event && fields.iter().all(|(name, value)| told[name] == *value) {
                    return Ok(told);
                }
            }
            bail!("the page is gone")
        };
        let result = timeout(limit, wait).await.map_err(anyhow::Error::from).and_then(|result| result);
        result.with_context(|| format!("waiting for {event} {fields:?} of {:?}", self.seen))
    }

    /// What it heard in the call that ended, at [`RATE`].
    ///
    /// # Errors
    /// Where there was none.
    pub async fn heard(&mut self, limit: Duration) -> Result<Vec<i16>> {
        let bytes = timeout(limit, self.heard.recv()).await.context("nothing was heard")?.context("the page is gone")?;
        Ok(bytes.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect())
    }
}

/// The folder of the page, with the library beside it.
fn pages() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    ensure!(folder.join("node_modules/sip.js").is_dir(), "SIP.js is missing: cargo xtask setup fetches it");
    Ok(folder)
}

/// What is served to the page, and what it serves us.
#[derive(Clone)]
struct Site {
    folder: PathBuf,
    setup: String,
    tell: mpsc::UnboundedSender<Value>,
    sound: mpsc::UnboundedSender<Vec<u8>>,
}

impl Site {
    async fn serve(self, listener: TcpListener, waiting: mpsc::UnboundedReceiver<Value>) {
        let waiting = std::sync::Arc::new(tokio::sync::Mutex::new(waiting));
        while let Ok((socket, _)) = listener.accept().await {
            let (site, waiting) = (self.clone(), std::sync::Arc::clone(&waiting));
            tokio::spawn(async move {
                // A browser closes connections as it likes.
                let _closed = site.answer(socket, &waiting).await;
            });
        }
    }

    /// One request, then the connection ends.
    async fn answer(&self, socket: TcpStream, waiting: &tokio::sync::Mutex<mpsc::UnboundedReceiver<Value>>) -> Result<()> {
        let mut socket = BufReader::new(socket);
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        let path = line.split(' ').nth(1).context("no request")?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            socket.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let (kind, answer) = match path.as_str() {
            "/setup" => ("application/json", self.setup.clone().into_bytes()),
            "/order" => {
                let order = waiting.lock().await.recv().await.context("the test is over")?;
                ("application/json", order.to_string().into_bytes())
            }
            "/event" => {
                self.tell.send(serde_json::from_slice(&body)?)?;
                ("text/plain", Vec::new())
            }
            "/heard" => {
                self.sound.send(body)?;
                ("text/plain", Vec::new())
            }
            file => self.file(file).unwrap_or(("text/plain", Vec::new())),
        };
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&answer).await?;
        Ok(socket.shutdown().await?)
    }

    fn file(&self, path: &str) -> Result<(&'static str, Vec<u8>)> {
        let path = match path {
            "/" => self.folder.join("phone.html"),
            "/phone.js" => self.folder.join("phone.js"),
            other => {
                ensure!(!other.contains(".."), "no way out");
                self.folder.join("node_modules").join(other.trim_start_matches('/'))
            }
        };
        let kind = if path.extension().is_some_and(|ending| ending == "js") { "text/javascript" } else { "text/html" };
        Ok((kind, std::fs::read(path)?))
    }
}

//! baresip, somebody else's phone: a real caller and a real callee without a screen.

use std::{
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    peers::Peers,
    process::{self, PATIENCE, Running},
    sound,
};

/// How a baresip is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its address of record with parameters, as a line of its `accounts` file.
    pub account: String,
    /// A WAV file that it speaks in each call; it hangs up at its end.
    pub speech: PathBuf,
    /// Sampling rate of the speech file in Hz.
    pub rate: u32,
}

/// Which baresip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The system's: 1.0 on Debian 12.
    System,
    /// That of the outside programs: 1.1 or newer.
    Newer,
}

/// The sound card of a baresip, in place of files.
#[derive(Debug, Clone)]
pub struct Card {
    /// ALSA's name of its microphone.
    pub microphone: String,
    /// ALSA's name of its loudspeaker.
    pub loudspeaker: String,
    /// What its process needs to know to find them.
    pub environment: Vec<(String, String)>,
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

/// Kind of the happening that follows a command.
const ANSWER: &str = "ANSWER";

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    running: Running,
    control: tokio::net::tcp::OwnedWriteHalf,
    happenings: mpsc::UnboundedReceiver<Happening>,
    folder: tempfile::TempDir,
    sip_port: u16,
}

impl Baresip {
    /// Starts one and waits until it can be commanded.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(setup: &Setup) -> Result<Self> {
        // Without a jitter buffer every packet is heard when it comes: a buffer would keep the last ones until more come.
        Self::start_as(setup, "0-0", Version::System, None, None, false).await
    }

    /// The same with a jitter buffer of so many packets, such as `5-10`.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_with(setup: &Setup, jitter_buffer: &str) -> Result<Self> {
        Self::start_as(setup, jitter_buffer, Version::System, None, None, false).await
    }

    /// Starts one of a version, which trusts the certificate `trusted` alone.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_version(setup: &Setup, version: Version, trusted: Option<&Path>) -> Result<Self> {
        Self::start_as(setup, "0-0", version, trusted, None, false).await
    }

    /// Starts one in a network of IPv6 alone.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_v6(setup: &Setup) -> Result<Self> {
        Self::start_as(setup, "0-0", Version::System, None, None, true).await
    }

    /// Starts one that speaks and hears by a sound card, with a jitter buffer of so many packets.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_at(setup: &Setup, jitter_buffer: &str, card: &Card) -> Result<Self> {
        Self::start_as(setup, jitter_buffer, Version::System, None, Some(card), false).await
    }

    async fn start_as(
        setup: &Setup,
        jitter_buffer: &str,
        version: Version,
        trusted: Option<&Path>,
        card: Option<&Card>,
        over_v6: bool,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (sip_port, control_port) = ports()?;
        let dumps = folder.path().join("dumps");
        std::fs::create_dir(&dumps)?;
        let (source, player) = match card {
            Some(card) => {
                (format!("alsa,{}", card.microphone), format!("module alsa.so\naudio_player alsa,{}\n", card.loudspeaker))
            }
            None => (format!("aufile,{}", setup.speech.display()), String::new()),
        };
        let (dumps, rate) = (dumps.display(), setup.rate);
        // WebRTC has one port for both (RFC 8834 section 4.5), and without it baresip encrypts reports on their own.
        let mux = if setup.account.contains("dtls_srtp") { "yes" } else { "no" };
        let modules = ["g711.so", "g722.so", "opus.so", "srtp.so", "dtls_srtp.so", "ice.so", "aufile.so", "sndfile.so"]
            .map(|name| format!("module {name}\n"))
            .concat();
        let (here, family) = if over_v6 { ("[::1]", "-6") } else { ("127.0.0.1", "-4") };
        let interface = here.trim_matches(['[', ']']);
        let config = format!(
            "poll_method epoll\nsip_listen {here}:{sip_port}\nnet_interface {interface}\ncall_local_timeout 120\n\
             call_max_calls 10\naudio_path /usr/share/baresip\naudio_source {source}\nausrc_srate {rate}\n\
             auplay_srate {rate}\nausrc_channels 1\nauplay_channels 1\naudio_buffer 20-160\nrtp_ports 32000-32700\n\
             rtcp_mux {mux}\njitter_buffer_delay {jitter_buffer}\nmodule_path /usr/lib/baresip/modules\n{modules}{player}\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app mwi.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control_port}\nsnd_path {dumps}\n"
        );
        let tls = trusted.map(|cert| format!("sip_cafile {}\nsip_verify_server yes\n", cert.display())).unwrap_or_default();
        std::fs::write(folder.path().join("config"), config + &tls)?;
        std::fs::write(folder.path().join("accounts"), "# made by command\n")?;
        let log = folder.path().join("stderr.log");
        let mut command = match version {
            Version::System => Command::new("baresip"),
            Version::Newer => Peers::find()?.command("/usr/bin/baresip"),
        };
        command.envs(card.into_iter().flat_map(|card| card.environment.clone()));
        let mut running = process::start(command.arg(family).arg("-f").arg(folder.path()), &log)?;
        running.ignore_output();
        let control = process::eventually("baresip listens", PATIENCE, || async {
            Ok(TcpStream::connect(("127.0.0.1", control_port)).await.ok())
        })
        .await?;
        let (read, control) = control.into_split();
        let (tell, happenings) = mpsc::unbounded_channel();
        tokio::spawn(listen(read, tell));
        let mut baresip = Self { running, control, happenings, folder, sip_port };
        // Not from the file: nothing that happens to the account may happen before anybody listens.
        baresip.command(&format!("uanew {}", setup.account)).await?;
        baresip.happening(ANSWER, PATIENCE).await?;
        Ok(baresip)
    }

    /// The id of its process.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn process(&self) -> Result<u32> {
        self.running.id()
    }

    /// Where it listens for SIP.
    #[must_use]
    pub fn sip_port(&self) -> u16 {
        self.sip_port
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
        self.one_of(&[kind], limit).await
    }

    /// The next happening of one of these kinds; others are passed over.
    ///
    /// # Errors
    /// Where none comes within `limit`.
    pub async fn one_of(&mut self, kinds: &[&str], limit: Duration) -> Result<Happening> {
        let mut seen = Vec::new();
        let wait = async {
            while let Some(happening) = self.happenings.recv().await {
                if kinds.contains(&happening.kind.as_str()) {
                    return Ok(happening);
                }
                seen.push(format!("{} {}", happening.kind, happening.parameter));
            }
            bail!("baresip ended")
        };
        match timeout(limit, wait).await {
            Ok(result) => result,
            Err(_) => bail!("baresip told no {} within {limit:?}, but {seen:?}", kinds.join(" and no ")),
        }
    }

    /// Waits until it is registered.
    ///
    /// # Errors
    /// Where it is refused, or not in time.
    pub async fn registered(&mut self) -> Result<()> {
        self.happening("REGISTER_OK", PATIENCE).await.map(drop)
    }

    /// Waits until it has heard so much of its call, in seconds.
    ///
    /// # Errors
    /// Where it doesn't in time.
    pub async fn hears(&self, seconds: f64, limit: Duration) -> Result<()> {
        let heard = || async {
            // The file is there with the first packet, and its header is whole with the first sample.
            let heard = self.heard().ok().map(|path| sound::seconds_so_far(&path)).transpose()?;
            Ok(heard.filter(|heard| *heard >= seconds).map(drop))
        };
        process::eventually(&format!("{seconds} s are heard"), limit, heard).await
    }

    /// What it heard in its last call.
    ///
    /// # Errors
    /// Where it heard nothing.
    pub fn heard(&self) -> Result<PathBuf> {
        self.dump("dec.wav").context("baresip heard nothing")
    }

    /// What it said in its last call.
    ///
    /// # Errors
    /// Where it said nothing.
    pub fn said(&self) -> Result<PathBuf> {
        self.dump("enc.wav").context("baresip said nothing")
    }

    fn dump(&self, ending: &str) -> Result<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path().join("dumps"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        files.sort();
        files.pop().context("no such file")
    }
}

/// Ports for a baresip: for SIP, whose successor it takes for TLS, and for its control.
///
/// Below the ranges that the system and our server give away by themselves, and never twice in one process: between here and the moment
/// when baresip binds them, nobody else takes them.
fn ports() -> Result<(u16, u16)> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs run one after the other, but two checkouts may test beside each other.
    let start = u16::try_from(std::process::id() % 500).unwrap_or_default() * 4;
    for _ in 0..500 {
        let first = 10_000 + (start + NEXT.fetch_add(4, Ordering::Relaxed)) % 6_000;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if (first..first + 3).all(is_free) {
            return Ok((first, first + 2));
        }
    }
    bail!("no free ports")
}

async fn listen(mut read: tokio::net::tcp::OwnedReadHalf, tell: mpsc::UnboundedSender<Happening>) {
    let mut buffer = Vec::new();
    while matches!(read.read_buf(&mut buffer).await, Ok(n) if n > 0) {
        while let Some((frame, used)) = netstring(&buffer) {
            if let Ok(value) = serde_json::from_slice::<Value>(frame) {
                let kind = value["type"].as_str().unwrap_or(ANSWER).to_owned();
                let parameter = value["param"].as_str().or(value["data"].as_str()).unwrap_or_default().to_owned();
                let _gone = tell.send(Happening { kind, parameter, at: Instant::now() });
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

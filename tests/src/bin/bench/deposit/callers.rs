//! Callers who all leave a message at once: SIP over one UDP socket, sound as PCMU from a few, nothing else, so that most of the
//! machine is left to who is called.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::words::Words;

/// One packet.
const FRAME: Duration = Duration::from_millis(20);
/// From the answer until the caller speaks: greeting and beep are over by then.
const BREATH: Duration = Duration::from_millis(2_500);
/// So many calls begin in a second.
const PER_SECOND: u32 = 100;
/// RFC 3261 section 17.1.1.2: T1, without its doubling, for nothing is far away.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;
/// Sockets that the callers' sound comes from.
const SOCKETS: usize = 32;
/// Who takes longer than that is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom they call, and for how long they speak.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) server: SocketAddr,
    /// User parts that are called in turn.
    pub(super) targets: Vec<String>,
    pub(super) calls: usize,
    pub(super) seconds: u64,
}

/// How it goes, while it goes.
#[derive(Debug, Default)]
pub(super) struct Going {
    pub(super) speaking: AtomicUsize,
    /// Refused, or failed.
    pub(super) turned_away: AtomicUsize,
    pub(super) told_to_come_back: AtomicUsize,
    pub(super) hung_up: Mutex<Vec<Instant>>,
    failed: AtomicBool,
}

impl Going {
    pub(super) fn hang_ups(&self) -> Vec<Instant> {
        self.hung_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Whose sound goes where from when on.
struct Speaker {
    call: usize,
    to: SocketAddr,
    begins: Instant,
    sent: usize,
}

/// Calls, speaks and hangs up; returns when every call is over.
pub(super) fn run(load: &Load, words: &Arc<Words>, going: &Arc<Going>) -> Result<()> {
    let sockets: Vec<_> = (0..SOCKETS).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    let ports: Vec<u16> = sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<io::Result<_>>()?;
    let (answered, to_speak) = mpsc::channel();
    let (over, hang_up) = mpsc::channel();
    let (speaker_words, speaker_going) = (Arc::clone(words), Arc::clone(going));
    let speakers = thread::spawn(move || {
        if let Err(error) = speak(&sockets, &to_speak, &over, &speaker_words, &speaker_going) {
            eprintln!("bench: a caller's sound can't be sent: {error}");
            speaker_going.failed.store(true, Ordering::Relaxed);
        }
    });
    let done = Line::new(load.clone(), ports, Arc::clone(going))?.run(&answered, &hang_up);
    drop(answered);
    let _ended = speakers.join();
    done
}

/// Sends what is due, until nobody calls any more.
fn speak(
    sockets: &[UdpSocket],
    answered: &mpsc::Receiver<Speaker>,
    over: &mpsc::Sender<usize>,
    words: &Words,
    going: &Going,
) -> io::Result<()> {
    let mut speakers: Vec<Speaker> = Vec::new();
    let mut packet = [0; 12 + 160];
    loop {
        loop {
            match answered.try_recv() {
                Ok(speaker) => speakers.push(speaker),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let now = Instant::now();
        for speaker in &mut speakers {
            while speaker.sent < words.packets() && speaker.begins + FRAME * u32::try_from(speaker.sent).unwrap_or(0) <= now {
                if speaker.sent == 0 {
                    going.speaking.fetch_add(1, Ordering::Relaxed);
                }
                words.packet(speaker.call, speaker.sent, &mut packet);
                match sockets[speaker.call % SOCKETS].send_to(&packet, speaker.to) {
                    Ok(_) => speaker.sent += 1,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        speakers.retain(|speaker| {
            let speaks = speaker.sent < words.packets();
            // Nobody listens any more at the end.
            speaks || over.send(speaker.call).is_err()
        });
        thread::sleep(Duration::from_millis(1));
    }
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Inviting { again_at: Instant, tries: u32 },
    Ringing,
    Connected,
    HangingUp { again_at: Instant, tries: u32 },
    Over,
}

#[derive(Debug)]
struct Call {
    stage: Stage,
    /// Of the answer: where requests in the dialog go, and its To.
    contact: String,
    to: String,
}

/// The signalling of all calls.
struct Line {
    load: Load,
    ports: Vec<u16>,
    going: Arc<Going>,
    socket: UdpSocket,
    local: SocketAddr,
    run: u64,
    calls: BTreeMap<usize, Call>,
}

impl Line {
    fn new(load: Load, ports: Vec<u16>, going: Arc<Going>) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        let local = socket.local_addr()?;
        Ok(Self { load, ports, going, socket, local, run: rand::random(), calls: BTreeMap::new() })
    }

    fn run(mut self, answered: &mpsc::Sender<Speaker>, hang_up: &mpsc::Receiver<usize>) -> Result<()> {
        let began = Instant::now();
        let last = began + Duration::from_secs(self.load.seconds) + PATIENCE + Duration::from_secs(self.load.calls as u64 / 50);
        let mut buffer = vec![0; 65_536];
        while self.calls.len() < self.load.calls || self.calls.values().any(|call| call.stage != Stage::Over) {
            let now = Instant::now();
            anyhow::ensure!(now < last && !self.going.has_failed(), "the calls don't end: {:?}", self.stages());
            let due = (now - began).as_secs_f64() * f64::from(PER_SECOND);
            while self.calls.len() < self.load.calls && (self.calls.len() as f64) < due {
                let call = self.calls.len();
                self.calls.insert(call, Call { stage: Stage::Ringing, contact: String::new(), to: String::new() });
                self.invite(call, now, 0)?;
            }
            while let Ok(call) = hang_up.try_recv() {
                self.going.hung_up.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                self.bye(call, now, 0)?;
            }
            match self.socket.recv_from(&mut buffer) {
                Ok((length, _)) => self.received(&String::from_utf8_lossy(&buffer[..length]), answered)?,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => self.again(now)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stages(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls.values() {
            let stage = format!("{:?}", call.stage);
            *counts.entry(stage.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }

    fn target(&self, call: usize) -> String {
        format!("sip:{}@{}", self.load.targets[call % self.load.targets.len()], self.load.server)
    }

    fn id(&self, call: usize) -> String {
        format!("{call}-{:x}@bench", self.run)
    }

    fn from(&self, call: usize) -> String {
        format!("<sip:+4930{call:06}@{}>;tag={call}-{:x}", self.local, self.run)
    }

    fn invite(&mut self, call: usize, now: Instant, tries: u32) -> Result<()> {
        let (port, target) = (self.ports[call % SOCKETS], self.target(call));
        let sdp = format!(
            "v=0\r\no=- {call} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
        );
        let contact = format!("Contact: <sip:{call}@{}>\r\nContent-Type: application/sdp\r\n", self.local);
        self.request("INVITE", 1, call, &target, &format!("<{target}>"), &contact, &sdp)?;
        self.stage(call, Stage::Inviting { again_at: now + AGAIN, tries })
    }

    fn bye(&mut self, call: usize, now: Instant, tries: u32) -> Result<()> {
        let Some(Call { contact, to, .. }) = self.calls.get(&call) else { return Ok(()) };
        let (contact, to) = (contact.clone(), to.clone());
        self.request("BYE", 2, call, &contact, &to, "", "")?;
        self.stage(call, Stage::HangingUp { again_at: now + AGAIN, tries })
    }

    fn stage(&mut self, call: usize, stage: Stage) -> Result<()> {
        self.calls.get_mut(&call).context("no such call")?.stage = stage;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of a request")]
    fn request(&self, method: &str, cseq: u32, call: usize, uri: &str, to: &str, more: &str, body: &str) -> Result<()> {
        let (from, id, local, run) = (self.from(call), self.id(call), self.local, self.run);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{call}x{run:x};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.send_to(text.as_bytes(), self.load.server)?;
        Ok(())
    }

    fn again(&mut self, now: Instant) -> Result<()> {
        for call in 0..self.calls.len() {
            match self.calls.get(&call).map(|call| call.stage) {
                Some(Stage::Inviting { again_at, tries }) if again_at <= now => {
                    anyhow::ensure!(tries < TRIES, "an INVITE is not answered");
                    self.invite(call, now, tries + 1)?;
                }
                Some(Stage::HangingUp { again_at, tries }) if again_at <= now => {
                    anyhow::ensure!(tries < TRIES, "a BYE is not answered");
                    self.bye(call, now, tries + 1)?;
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    fn received(&mut self, text: &str, answered: &mpsc::Sender<Speaker>) -> Result<()> {
        let id = header(text, "Call-ID").unwrap_or_default();
        let Some(call) = id.split('-').next().and_then(|number| number.parse::<usize>().ok()) else { return Ok(()) };
        let Some(stage) = self.calls.get(&call).map(|call| call.stage) else { return Ok(()) };
        let Some(status) = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok()) else {
            return self.asked(call, text);
        };
        let is_invite = header(text, "CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"));
        match (status, is_invite) {
            (100..200, true) if matches!(stage, Stage::Inviting { .. }) => self.stage(call, Stage::Ringing),
            (100..200, _) => Ok(()),
            (200..300, true) => self.answered(call, text, answered),
            (_, true) => self.refused(call, text, stage),
            (_, false) => self.stage(call, Stage::Over),
        }
    }

    /// Something else than an answer: the other end hangs up.
    fn asked(&mut self, call: usize, text: &str) -> Result<()> {
        if !text.starts_with("BYE ") {
            return Ok(());
        }
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let lines = copied.iter().filter_map(|name| Some(format!("{name}: {}\r\n", header(text, name)?)));
        let answer = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", lines.collect::<String>());
        self.socket.send_to(answer.as_bytes(), self.load.server)?;
        self.stage(call, Stage::Over)
    }

    fn answered(&mut self, call: usize, text: &str, answered: &mpsc::Sender<Speaker>) -> Result<()> {
        let to = header(text, "To").context("an answer without To")?.to_owned();
        let contact = header(text, "Contact").context("an answer without Contact")?;
        let contact = contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned();
        self.request("ACK", 1, call, &contact, &to, "", "")?;
        let known = self.calls.get_mut(&call).context("no such call")?;
        if matches!(known.stage, Stage::Inviting { .. } | Stage::Ringing) {
            *known = Call { stage: Stage::Connected, contact, to };
            let port = text.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse::<u16>().ok());
            let to = SocketAddr::new(self.load.server.ip(), port.context("an answer without sound")?);
            answered.send(Speaker { call, to, begins: Instant::now() + BREATH, sent: 0 }).context("nobody speaks")?;
        }
        Ok(())
    }

    fn refused(&mut self, call: usize, text: &str, stage: Stage) -> Result<()> {
        let (target, to) = (self.target(call), header(text, "To").unwrap_or_default().to_owned());
        // In the INVITE's own transaction (RFC 3261 section 17.1.1.3).
        let ack = format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKINVITE{call}x{:x};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            self.local,
            self.run,
            self.from(call),
            self.id(call)
        );
        self.socket.send_to(ack.as_bytes(), self.load.server)?;
        if stage != Stage::Over {
            self.going.turned_away.fetch_add(1, Ordering::Relaxed);
            if header(text, "Retry-After").is_some() {
                self.going.told_to_come_back.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.stage(call, Stage::Over)
    }
}

/// The value of a header field, by its long name.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

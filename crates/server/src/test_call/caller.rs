//! The phone that makes a test call: a user agent at the exchange, and a socket for its packets.
//!
//! ```text
//!  Calling --200, and the mailbox says so--> Listening --beep--> Speaking --all is said--> HungUp --committed--> done
//! ```

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftertone_exchange::{CALL_HEADER, Sound};
use aftertone_media::{
    codec::alaw_encode,
    container::Pcm,
    rtp::{RtpPacket, RtpSender, is_rtcp},
    sdp::{self, Crypto, Direction, RtpOffer, Suite},
};
use aftertone_model::{Fullness, Language, MessageId, Reason, Subscriber};
use aftertone_sip::{
    Event, Flow, Headers, Invite, NameAddr, Output, RequestFailure, Response, SessionId, UaConfig, Uri, UserAgent,
};
use aftertone_sync::{TestCallFailure, TestCallGreeting, TestCallStage};
use aftertone_voicemail::prompt::Phrase;
use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{
    News, TestCalls,
    ear::{CODEC, Ear, measured},
};
use crate::{
    VERSION,
    config::Encryption,
    media::{speech, srtp::Srtp},
    run::{SocketEvent, socket_flow},
};

/// Who calls. The user part is nobody's, in the account's own domain, where nobody else can claim it.
const CALLER: &str = "test-call";
/// A packet of sound.
const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// The mailbox that has answered says so within this; a person's device does not.
const MAILBOX_WITHIN: Duration = Duration::from_secs(5);
/// Something of the greeting is heard so soon.
const HEARD_WITHIN: Duration = Duration::from_secs(15);
/// Between the beep's end and the first word, and after the last one.
const PAUSE_FRAMES: usize = 15;
/// What was said is a message by then.
const COMMITTED_WITHIN: Duration = Duration::from_secs(20);
/// What the exchange's last answer may take.
const LEAVING: Duration = Duration::from_secs(2);
const QUEUE: usize = 64;

/// Calls the owner's number and leaves the message, for so long at most. How it went is told before the session is ended: whoever
/// hears of it may begin the next one.
pub(super) async fn place(calls: &TestCalls, owner: &Subscriber, told: mpsc::UnboundedReceiver<News>, at_most: Duration) {
    let begun = Caller::begin(calls, owner, told).await;
    let Ok((mut caller, mut wires)) = begun.inspect_err(|error| tracing::error!("a test call can't begin: {error:#}")) else {
        return calls.end(owner.id, Some(TestCallFailure::Failed));
    };
    let talked = timeout(at_most, caller.talk(&mut wires)).await;
    calls.end(owner.id, talked.unwrap_or(Err(TestCallFailure::TooLong)).err());
    caller.leave(&mut wires).await;
}

/// How far it is.
enum Step {
    Calling,
    /// Who has answered isn't known yet.
    Answered {
        since: Instant,
    },
    Listening {
        since: Instant,
        ear: Box<Ear>,
    },
    Speaking,
    HungUp {
        since: Instant,
    },
    Done,
}

struct Caller<'a> {
    calls: &'a TestCalls,
    owner: &'a Subscriber,
    ua: UserAgent,
    flow: Flow,
    session: SessionId,
    crypto: Option<Crypto>,
    srtp: Option<Srtp>,
    /// Where the packets go, once that is agreed.
    remote: Option<SocketAddr>,
    rtp: RtpSender,
    step: Step,
    /// The session is over.
    ended: bool,
    greeting: Option<Sound>,
    speech: Vec<u8>,
    said: usize,
}

/// Where inputs come from.
struct Wires {
    sip: mpsc::Receiver<Bytes>,
    rtp: UdpSocket,
    told: mpsc::UnboundedReceiver<News>,
}

impl<'a> Caller<'a> {
    async fn begin(
        calls: &'a TestCalls,
        owner: &'a Subscriber,
        told: mpsc::UnboundedReceiver<News>,
    ) -> anyhow::Result<(Self, Wires)> {
        let address = calls.world.address();
        let rtp = UdpSocket::bind((address, 0)).await?;
        let local = rtp.local_addr()?;
        let (sender, sip) = mpsc::channel(QUEUE);
        // Nobody listens at these ports: the bytes never leave the process.
        let (exchange, here) = (SocketAddr::new(address, 5060), SocketAddr::new(address, local.port()));
        let flow = socket_flow(exchange, here, false, calls.world.numbers.next());
        calls.world.sockets.send(SocketEvent::TestCaller { flow, sender }).await?;
        let crypto = (calls.world.encryption == Encryption::Require).then(new_key).flatten();
        let mut ua = UserAgent::new(UaConfig::new(format!("Aftertone/{VERSION} test call"), rand::random()));
        let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
        let session = ua.invite(invite(owner, &calls.world.domain, local, crypto.as_ref()), flow, Instant::now());
        let speech = speech(owner.language).await?;
        let rtp_out = RtpSender::new(rand::random(), rand::random(), rand::random());
        let caller = Self {
            calls,
            owner,
            ua,
            flow,
            session,
            crypto,
            srtp: None,
            remote: None,
            rtp: rtp_out,
            step: Step::Calling,
            ended: false,
            greeting: None,
            speech,
            said: 0,
        };
        Ok((caller, Wires { sip, rtp, told }))
    }

    async fn talk(&mut self, wires: &mut Wires) -> Result<(), TestCallFailure> {
        let mut ticks = interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut datagram = [0; 2048];
        while !matches!(self.step, Step::Done) {
            let wake = self.drain().await?;
            let wake = async {
                match wake {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                bytes = wires.sip.recv() => {
                    // The exchange has closed the connection: it ends.
                    let bytes = bytes.ok_or(TestCallFailure::Failed)?;
                    self.ua.handle_received(self.flow, &bytes, Instant::now());
                }
                Ok(length) = wires.rtp.recv(&mut datagram) => self.hear(&datagram[..length]),
                Some(news) = wires.told.recv() => self.learn(news).await?,
                _ = ticks.tick() => {
                    self.speak(&wires.rtp).await;
                    self.look().await?;
                }
                () = wake => self.ua.handle_timeout(Instant::now()),
            }
        }
        Ok(())
    }

    /// Sends what the user agent wants to be sent; the result is when it wants to be woken.
    async fn drain(&mut self) -> Result<Option<Instant>, TestCallFailure> {
        loop {
            match self.ua.poll_output() {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit { bytes, .. } => self.send(bytes).await,
                Output::Event(event) => self.event(event).await?,
            }
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        let flow = Flow { local: self.flow.remote, remote: self.flow.local, ..self.flow };
        // An exchange that is gone closes the connection.
        let _gone = self.calls.world.sockets.send(SocketEvent::Received { flow, bytes: bytes.into() }).await;
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a phone that only calls has no use for the rest of what a user agent tells"
    )]
    async fn event(&mut self, event: Event) -> Result<(), TestCallFailure> {
        match event {
            Event::Progress { response, .. } => {
                self.progressed(&response);
                Ok(())
            }
            Event::Answered { response, sdp, .. } => {
                self.progressed(&response);
                self.agree(sdp.as_deref())?;
                self.step = Step::Answered { since: Instant::now() };
                Ok(())
            }
            Event::Rejected { failure, .. } => {
                self.ended = true;
                let status = match failure {
                    RequestFailure::Refused(response) => Some(response.status),
                    RequestFailure::Timeout | RequestFailure::Transport => None,
                };
                self.change(|view| view.status = status);
                Err(TestCallFailure::Unreachable)
            }
            Event::Ended { .. } => {
                self.ended = true;
                self.hung_up_on().await
            }
            Event::Reinvited { session, .. } => {
                self.ua.reject_reinvite(session, 488, Instant::now());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn progressed(&self, response: &Response) {
        let call = response.headers.get(CALL_HEADER).and_then(|id| id.parse().ok());
        let rings = response.status == 180;
        self.change(|view| {
            view.call = view.call.or(call);
            view.rang |= rings;
            if rings {
                view.stage = TestCallStage::Ringing;
            }
        });
    }

    fn agree(&mut self, sdp: Option<&str>) -> Result<(), TestCallFailure> {
        let session = sdp.and_then(|sdp| sdp::parse(sdp).ok()).ok_or(TestCallFailure::Failed)?;
        let agreed = sdp::accept_answer(&session, &[CODEC]).map_err(|_| TestCallFailure::Failed)?;
        self.remote = Some(agreed.remote);
        if let Some(ours) = self.crypto.clone() {
            let theirs = agreed.crypto.ok_or(TestCallFailure::Failed)?;
            self.srtp = Some(Srtp::new(ours, theirs).ok_or(TestCallFailure::Failed)?);
        }
        Ok(())
    }

    /// What it means that the other side ended the call.
    async fn hung_up_on(&mut self) -> Result<(), TestCallFailure> {
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::Calling | Step::Answered { .. } => Err(TestCallFailure::Answered),
            Step::Listening { ear, .. } => {
                let heard = ear.heard_something();
                self.keep(ear).await;
                Err(self.why_no_beep(heard).await)
            }
            Step::Speaking => Err(TestCallFailure::CutOff),
            step @ (Step::HungUp { .. } | Step::Done) => {
                self.step = step;
                Ok(())
            }
        }
    }

    async fn why_no_beep(&mut self, heard: bool) -> TestCallFailure {
        match self.calls.world.store.fullness(self.owner.id).await {
            Ok(Fullness::Full) => TestCallFailure::MailboxFull,
            Ok(_) | Err(_) if heard => TestCallFailure::NoRoom,
            Ok(_) | Err(_) => TestCallFailure::Silent,
        }
    }

    async fn learn(&mut self, news: News) -> Result<(), TestCallFailure> {
        match news {
            News::Answered { call, reason, greeting } => {
                self.answered(reason).await;
                self.change(|view| view.call = Some(call));
                self.greeting = greeting;
                if matches!(self.step, Step::Calling | Step::Answered { .. }) {
                    self.step = Step::Listening { since: Instant::now(), ear: Box::new(Ear::new()) };
                }
                Ok(())
            }
            News::Committed { message } => self.committed(message),
        }
    }

    async fn answered(&mut self, reason: Reason) {
        let rang = self.calls.of(self.owner.id).is_some_and(|view| view.rang);
        let quiet = if rang { None } else { Some(self.calls.quiet(self.owner.id, reason).await) };
        self.change(|view| {
            (view.stage, view.reason, view.quiet) = (TestCallStage::Greeting, Some(reason), quiet);
        });
    }

    fn committed(&mut self, message: Option<MessageId>) -> Result<(), TestCallFailure> {
        // Before the caller has hung up it is told by the end of the session.
        if !matches!(self.step, Step::HungUp { .. }) {
            return Ok(());
        }
        self.step = Step::Done;
        self.change(|view| view.message = message);
        message.map(drop).ok_or(TestCallFailure::NotStored)
    }

    fn hear(&mut self, datagram: &[u8]) {
        if is_rtcp(datagram) {
            return;
        }
        let plain = match &mut self.srtp {
            Some(srtp) => srtp.decrypt(datagram).map(|bytes| bytes.freeze()),
            None => Some(Bytes::copy_from_slice(datagram)),
        };
        let packet = plain.and_then(|bytes| RtpPacket::parse_bytes(&bytes).ok());
        if let (Step::Listening { ear, .. }, Some(packet)) = (&mut self.step, packet) {
            ear.hear(&packet, Instant::now());
        }
    }

    /// The packet of the next 20 ms: a part of the sentence, or silence, so that the way stays open.
    async fn speak(&mut self, socket: &UdpSocket) {
        let Some(remote) = self.remote.filter(|_| !self.ended) else { return };
        let is_speaking = matches!(self.step, Step::Speaking);
        let frame = if is_speaking { self.speech.get(self.said..self.said + FRAME_SAMPLES) } else { None };
        let silence = [CODEC.silence().unwrap_or_default(); FRAME_SAMPLES];
        let payload = Bytes::copy_from_slice(frame.unwrap_or(&silence));
        if is_speaking {
            self.said += FRAME_SAMPLES;
        }
        let packet = self.rtp.audio(CODEC.payload_type(), payload, CODEC.frame_ticks()).to_bytes();
        let packet = match &mut self.srtp {
            Some(srtp) => srtp.encrypt(&packet).map(|bytes| bytes.freeze()),
            None => Some(packet),
        };
        if let Some(packet) = packet
            && let Err(error) = socket.send_to(&packet, remote).await
        {
            tracing::debug!(%error, "a packet of a test call is lost");
        }
    }

    /// Whether it is time for the next step.
    async fn look(&mut self) -> Result<(), TestCallFailure> {
        let now = Instant::now();
        match &self.step {
            Step::Answered { since } if now > *since + MAILBOX_WITHIN => Err(TestCallFailure::Answered),
            Step::Listening { ear, since } if !ear.heard_something() && now > *since + HEARD_WITHIN => {
                Err(TestCallFailure::Silent)
            }
            Step::Listening { ear, .. } if ear.beep_is_over(now) => {
                if let Step::Listening { ear, .. } = std::mem::replace(&mut self.step, Step::Speaking) {
                    self.keep(ear).await;
                }
                self.change(|view| view.stage = TestCallStage::Speaking);
                Ok(())
            }
            Step::Speaking if self.said >= self.speech.len() => {
                self.hang_up();
                self.change(|view| view.stage = TestCallStage::HungUp);
                self.step = Step::HungUp { since: now };
                Ok(())
            }
            Step::HungUp { since } if now > *since + COMMITTED_WITHIN => Err(TestCallFailure::NotStored),
            Step::Calling
            | Step::Answered { .. }
            | Step::Listening { .. }
            | Step::Speaking
            | Step::HungUp { .. }
            | Step::Done => Ok(()),
        }
    }

    /// Keeps what was heard.
    async fn keep(&mut self, ear: Box<Ear>) {
        let (file, sound) = ear.finish();
        let own = self.greeting.is_some();
        let lost = match self.greeting.clone() {
            Some(Sound::File(path)) => !tokio::task::spawn_blocking(move || is_readable(&path)).await.unwrap_or(false),
            Some(Sound::HoldMusic | Sound::RingBack | Sound::Busy | Sound::Beep) | None => false,
        };
        self.calls.keep_heard(self.owner.id, file);
        self.change(|view| view.greeting = sound.map(|sound| TestCallGreeting { sound, own, lost }));
        let spoken = self.speech.iter().map(|byte| aftertone_media::codec::alaw_decode(*byte)).collect();
        self.change(|view| view.spoken = measured(Pcm { samples: spoken, rate: CODEC.sample_rate() }));
    }

    fn hang_up(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.ua.hang_up(self.session, Headers::new(), Instant::now());
        }
    }

    /// Ends the session in whatever state, and the connection when the exchange has said its last word on it.
    async fn leave(&mut self, wires: &mut Wires) {
        self.hang_up();
        let last = async {
            while self.drain().await.is_ok() && !self.ua.is_idle() {
                let Some(bytes) = wires.sip.recv().await else { return };
                self.ua.handle_received(self.flow, &bytes, Instant::now());
            }
        };
        // The rest of a transaction's time is of no use on a connection that loses nothing.
        let _in_time = timeout(LEAVING, last).await;
        if let Some(connection) = self.flow.connection {
            // Nobody there means that the exchange has ended.
            let _gone = self.calls.world.sockets.send(SocketEvent::Closed { connection }).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut aftertone_sync::TestCall)) {
        self.calls.change(self.owner.id, change);
    }
}

fn invite(owner: &Subscriber, domain: &str, rtp: SocketAddr, crypto: Option<&Crypto>) -> Invite {
    let name = match owner.language {
        Language::De => "Testanruf",
        Language::En => "Test call",
    };
    let number = Uri::sip(owner.extension.as_str(), domain);
    let offer = RtpOffer {
        local: rtp,
        session_id: u64::from(rtp.port()),
        version: 0,
        codecs: &[CODEC],
        direction: Direction::Sendrecv,
        secure: crypto.is_some(),
        crypto: crypto.map_or(&[], std::slice::from_ref),
    };
    Invite {
        uri: number.clone(),
        from: NameAddr::new(Uri::sip(CALLER, domain)).with_display(name),
        to: NameAddr::new(number),
        contact: NameAddr::new(Uri::sip(CALLER, "caller.invalid").with_param("transport", Some("ws"))),
        headers: Headers::new(),
        sdp: Some(offer.to_sdp()),
        credentials: None,
    }
}

fn new_key() -> Option<Crypto> {
    let random: [u8; 46] = rand::random();
    Crypto::new(1, Suite::AesCm128Sha1_80, &random)
}

/// The sentence, with a pause before and after it, encoded.
async fn speech(language: Language) -> anyhow::Result<Vec<u8>> {
    let rate = CODEC.sample_rate();
    let said = tokio::task::spawn_blocking(move || speech::sound(Phrase::TestCall.into(), language, rate)).await??;
    let pause = vec![0; PAUSE_FRAMES * FRAME_SAMPLES];
    let mut pcm = [pause.clone(), said, pause].concat();
    pcm.resize(pcm.len().next_multiple_of(FRAME_SAMPLES), 0);
    Ok(pcm.into_iter().map(alaw_encode).collect())
}

fn is_readable(path: &std::path::Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| aftertone_media::container::decode(&bytes).is_ok_and(|pcm| !pcm.samples.is_empty()))
}

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

use std::{
    net::UdpSocket,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aftertone_media::{dtmf::DtmfReceiver, rtp::RtpPacket};
use tokio::time::{sleep, timeout};

use super::*;
use crate::Frame;

/// Says a tone, and remembers what is heard.
#[derive(Clone)]
struct Tone {
    hertz: f64,
    said: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<i16>>>,
}

impl Tone {
    fn new(hertz: f64) -> Self {
        Self { hertz, said: Arc::default(), heard: Arc::default() }
    }

    /// How much of the last second is a tone of that pitch, 0 to 1, and how loud it all is.
    fn hears(&self, hertz: f64) -> (f64, f64) {
        let heard = self.heard.lock().unwrap();
        let last = &heard[heard.len().saturating_sub(48_000)..];
        let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
        for (n, sample) in last.iter().enumerate() {
            let angle = n as f64 * hertz * std::f64::consts::TAU / 48_000.0;
            let x = f64::from(*sample);
            re += x * angle.cos();
            im += x * angle.sin();
            power += x * x;
        }
        let count = last.len().max(1) as f64;
        (2.0 * (re * re + im * im) / (count * power.max(1.0)), (power / count).sqrt())
    }
}

impl AudioIo for Tone {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(self.clone())
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(self.clone())
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(self.clone())
    }
}

impl AudioSource for Tone {
    fn read(&mut self, frame: &mut Frame) -> bool {
        let at = self.said.fetch_add(FRAME_SAMPLES, Ordering::Relaxed);
        for (n, sample) in frame.iter_mut().enumerate() {
            *sample = (((at + n) as f64 * self.hertz * std::f64::consts::TAU / 48_000.0).sin() * 8_000.0) as i16;
        }
        true
    }
}

impl AudioSink for Tone {
    fn write(&mut self, frame: &Frame) {
        self.heard.lock().unwrap().extend_from_slice(frame);
    }
}

fn here() -> Way {
    Way { server: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), ..Way::default() }
}

fn call() -> CallId {
    CallId::from_random(1)
}

type Events = mpsc::UnboundedReceiver<PeerEvent>;

async fn described(events: &mut Events) -> String {
    match timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap() {
        PeerEvent::Described { result, .. } => result.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Two peers that have described themselves to each other; the first one offered.
async fn pair(narrow: impl Fn(&str) -> String) -> ([Peer; 2], [Events; 2], [String; 2]) {
    let (a_events, mut a_told) = mpsc::unbounded_channel();
    let (b_events, mut b_told) = mpsc::unbounded_channel();
    let a = Peer::open(MediaRequestId(1), Describe::Offer, here(), Silenced::default(), a_events);
    let offer = narrow(&described(&mut a_told).await);
    let b = Peer::open(MediaRequestId(2), Describe::Answer { offer: offer.clone() }, here(), Silenced::default(), b_events);
    let answer = described(&mut b_told).await;
    a.apply(answer.clone());
    match timeout(Duration::from_secs(5), a_told.recv()).await.unwrap().unwrap() {
        PeerEvent::Applied { result, .. } => result.unwrap(),
        other => panic!("{other:?}"),
    }
    ([a, b], [a_told, b_told], [offer, answer])
}

/// Waits until `done`, for ten seconds at most.
async fn until(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..200 {
        if done() {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}

async fn hear_each_other(narrow: impl Fn(&str) -> String) -> [String; 2] {
    let ([a, b], _events, descriptions) = pair(narrow).await;
    let (high, low) = (Tone::new(1_000.0), Tone::new(400.0));
    a.start(Arc::new(high.clone()), call());
    b.start(Arc::new(low.clone()), call());
    let pure = |(purity, loudness): (f64, f64)| purity > 0.9 && loudness > 4_000.0;
    assert!(
        until(|| pure(high.hears(400.0)) && pure(low.hears(1_000.0))).await,
        "{:?} {:?}",
        high.hears(400.0),
        low.hears(1_000.0)
    );
    a.close().await;
    b.close().await;
    descriptions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_hear_each_other_with_opus() {
    let [offer, answer] = hear_each_other(str::to_owned).await;
    assert_eq!(work_around::codecs(&offer), Codec::ALL);
    assert_eq!(work_around::payloads(&answer).unwrap().codec, Codec::Opus);
    assert!(work_around::payloads(&answer).unwrap().dtmf_payload_type.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_hear_each_other_with_g711_where_nothing_else_is_offered() {
    let only_alaw =
        |offer: &str| {
            let lines = offer.lines().filter(|line| !["111", "0"].iter().any(|pt| line.starts_with(&format!("a=rtpmap:{pt} "))));
            let kept = lines.filter(|line| !line.starts_with("a=fmtp:111"));
            kept.map(|line| {
                if line.starts_with("m=audio") { "m=audio 9 UDP/TLS/RTP/SAVPF 8 110\r\n".into() } else { format!("{line}\r\n") }
            })
            .collect()
        };
    let [_, answer] = hear_each_other(only_alaw).await;
    assert_eq!(work_around::payloads(&answer).unwrap().all, [(Codec::Pcma, 8)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_muted_phone_is_silent_and_heard_again_after_that() {
    let ([a, b], _events, _) = pair(str::to_owned).await;
    let (high, low) = (Tone::new(1_000.0), Tone::new(400.0));
    a.start(Arc::new(high.clone()), call());
    b.start(Arc::new(low.clone()), call());
    assert!(until(|| low.hears(1_000.0).1 > 4_000.0).await);
    a.mute(true);
    assert!(until(|| low.hears(1_000.0).1 < 100.0).await, "{:?}", low.hears(1_000.0));
    assert!(high.hears(400.0).1 > 4_000.0, "the other way goes on");
    a.mute(false);
    assert!(until(|| low.hears(1_000.0).1 > 4_000.0).await);
    a.close().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_arrive_in_their_order() {
    let (events, mut told) = mpsc::unbounded_channel();
    let mut other = Link::open(&here(), Vec::new(), &Codec::ALL).await.unwrap();
    let offer = other.describe(Describe::Offer).await.unwrap();
    let peer = Peer::open(MediaRequestId(1), Describe::Answer { offer }, here(), Silenced::default(), events);
    let answer = described(&mut told).await;
    other.apply(&answer).await.unwrap();
    let dtmf = work_around::payloads(&answer).unwrap().dtmf_payload_type.unwrap();
    assert!("15".chars().all(|key| peer.press(key)), "before there is a connection");
    peer.start(Arc::new(crate::Silence), call());

    let mut packets = other.take_packets().unwrap();
    let mut receiver = DtmfReceiver::default();
    let mut keys = String::new();
    let mut pressed = false;
    while keys.len() < 4 {
        let (packet, _): (RtpPacket, _) = timeout(Duration::from_secs(10), packets.recv()).await.unwrap().unwrap();
        if !pressed {
            pressed = "*#".chars().all(|key| peer.press(key));
            assert!(pressed && !peer.press('x'));
        }
        if packet.payload_type == dtmf {
            keys.extend(receiver.receive(&packet).map(Digit::as_char));
        }
    }
    assert_eq!(keys, "15*#");
    peer.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_offer_is_answered_with_the_right_direction() {
    let (events, mut told) = mpsc::unbounded_channel();
    let mut other = Link::open(&here(), Vec::new(), &Codec::ALL).await.unwrap();
    let offer = other.describe(Describe::Offer).await.unwrap().replace("a=sendrecv", "a=sendonly");
    let peer = Peer::open(MediaRequestId(1), Describe::Answer { offer }, here(), Silenced::default(), events);
    let answer = described(&mut told).await;
    assert!(answer.contains("a=recvonly"), "{answer}");
    peer.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_gives_the_socket_back() {
    let (events, mut told) = mpsc::unbounded_channel();
    let peer = Peer::open(MediaRequestId(1), Describe::Offer, here(), Silenced::default(), events);
    let offer = described(&mut told).await;
    let candidate = offer.lines().find(|line| line.starts_with("a=candidate")).unwrap();
    let port: u16 = candidate.split(' ').nth(5).unwrap().parse().unwrap();
    let bind = || UdpSocket::bind(("127.0.0.1", port));
    assert!(bind().is_err(), "it is in use");
    peer.close().await;
    assert!(until(|| bind().is_ok()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_no_offer() {
    let (events, mut told) = mpsc::unbounded_channel();
    let _peer = Peer::open(MediaRequestId(1), Describe::Answer { offer: "nonsense".into() }, here(), Silenced::default(), events);
    let event = timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert!(matches!(event, PeerEvent::Described { result: Err(_), .. }), "{event:?}");
}

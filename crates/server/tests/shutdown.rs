//! A caller is speaking when the server is told to stop.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aftertone_model::{Language, Message};
use aftertone_server::{
    Config, Server,
    admin::{self, AddUser},
};
use aftertone_server_store::{Disk, SqliteStore, Store};
use tokio::{
    net::UdpSocket,
    sync::oneshot,
    time::{interval, sleep, timeout},
};

const CALL: &str = "call-under-test";

/// A phone that is nobody's, over UDP.
struct Caller {
    sip: UdpSocket,
    rtp: Arc<UdpSocket>,
    server: SocketAddr,
}

impl Caller {
    async fn new(server: SocketAddr) -> Self {
        let bind = async || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { sip: bind().await, rtp: Arc::new(bind().await), server }
    }

    async fn send(&self, method: &str, cseq: &str, to_tag: &str, call: &str, body: &str) {
        let from = self.sip.local_addr().unwrap();
        let request = format!(
            "{method} sip:1001@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {from};branch=z9hG4bK{call}{cseq}{method}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+4930901820@caller.example>;tag=c\r\n\
             To: <sip:1001@{server}>{to_tag}\r\n\
             Call-ID: {call}\r\n\
             CSeq: {cseq}\r\n\
             Contact: <sip:caller@{from}>\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {length}\r\n\r\n{body}",
            server = self.server,
            length = body.len(),
        );
        self.sip.send_to(request.as_bytes(), self.server).await.unwrap();
    }

    async fn invite(&self, call: &str) {
        let port = self.rtp.local_addr().unwrap().port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
        );
        self.send("INVITE", "1 INVITE", "", call, &sdp).await;
    }

    /// The next message that begins with this.
    async fn receive(&self, start: &str) -> String {
        let mut buffer = [0; 4096];
        let found = async {
            loop {
                let length = self.sip.recv(&mut buffer).await.unwrap();
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if message.starts_with(start) {
                    return message;
                }
            }
        };
        timeout(Duration::from_secs(10), found).await.unwrap_or_else(|_| panic!("no {start}"))
    }

    /// Speaks for as long as the task runs; presses the hash key as soon as the greeting is heard, and says so.
    fn speak(&self, to: SocketAddr) -> (tokio::task::JoinHandle<()>, oneshot::Receiver<()>) {
        let socket = Arc::clone(&self.rtp);
        let (pressed, told) = oneshot::channel();
        let speaking = tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(20));
            let (mut heard, mut pressed) = (None, Some(pressed));
            for number in 0..u16::MAX {
                tick.tick().await;
                let mut buffer = [0; 256];
                while let Ok(length) = socket.try_recv(&mut buffer) {
                    // In µ-law, silence is 0xFF and 0x7F.
                    let sounds = buffer[12..length].iter().any(|sample| sample & 0x7F < 0x70);
                    heard = heard.or(sounds.then_some(number));
                }
                let place = heard.map(|heard| number - heard).filter(|place| *place < 6);
                let packet = place.map_or_else(|| speech(number), |place| key_press(number, place));
                socket.send_to(&packet, to).await.unwrap();
                if place == Some(5) {
                    pressed.take().map(|pressed| pressed.send(()));
                }
            }
        });
        (speaking, told)
    }
}

fn header(number: u16, payload_type: u8, timestamp: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(number.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet
}

/// Loud, and different from sample to sample.
fn speech(number: u16) -> Vec<u8> {
    let mut packet = header(number, 0, u32::from(number) * 160);
    packet.extend((0..160_u8).map(|n| if n % 20 < 10 { 0x10 } else { 0x90 }));
    packet
}

/// RFC 4733: event 11 is the hash key; three of the six packets carry its end.
fn key_press(number: u16, place: u16) -> Vec<u8> {
    let mut packet = header(number, 101, u32::from(number - place) * 160);
    packet[1] |= u8::from(place == 0) << 7;
    packet.extend([11, if place >= 3 { 0x8A } else { 0x0A }]);
    packet.extend((160 * (place.min(3) + 1)).to_be_bytes());
    packet
}

fn media_of(answer: &str) -> SocketAddr {
    let port = answer.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap();
    (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into()
}

fn to_tag(answer: &str) -> String {
    let to = answer.lines().find(|line| line.to_lowercase().starts_with("to:")).unwrap();
    format!(";tag={}", to.split(";tag=").nth(1).unwrap())
}

async fn messages_of(store: &dyn Store) -> Vec<Message> {
    let owner = store.find_subscriber("ada").await.unwrap().unwrap().id;
    store.messages(owner, None, 10).await.unwrap()
}

#[tokio::test]
async fn a_running_recording_is_a_message_after_the_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let add = AddUser {
        user: "ada".into(),
        extension: "1001".into(),
        display_name: "Ada".into(),
        language: Language::En,
        ring_s: 20,
        password: None,
    };
    admin::add_user(folder.path(), add).await.unwrap();
    let mut config = Config::on_free_ports(folder.path());
    config.media_workers = 1;
    config.trust = vec!["127.0.0.0/8".parse().unwrap()];
    config.grace = Duration::from_secs(2);
    let server = Server::start(config).await.unwrap();

    let caller = Caller::new(server.addresses.sip_udp.unwrap()).await;
    caller.invite(CALL).await;
    let answer = caller.receive("SIP/2.0 200").await;
    caller.send("ACK", "1 ACK", &to_tag(&answer), CALL, "").await;
    let (speaking, pressed) = caller.speak(media_of(&answer));
    timeout(Duration::from_secs(30), pressed).await.expect("a greeting").unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(messages_of(server.store().as_ref()).await, [], "still speaking");

    let late = Caller::new(caller.server).await;
    let stopping = tokio::spawn(server.shutdown());
    sleep(Duration::from_millis(200)).await;
    late.invite("late").await;
    late.receive("SIP/2.0 503").await;
    caller.receive("BYE ").await;
    timeout(Duration::from_secs(15), stopping).await.unwrap().unwrap().unwrap();
    speaking.abort();

    let store = SqliteStore::open(folder.path(), Arc::new(Disk)).await.unwrap();
    let messages = messages_of(&store).await;
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message.envelope.caller.number, "+4930901820");
    assert!((1000..=8000).contains(&message.duration_ms), "{} ms", message.duration_ms);
}

//! Input that means harm, over the real sockets of a real server: each gets a clear answer, and everybody else is served on.

use std::{fmt::Write as _, net::SocketAddr};

use aftertone_media::container;
use aftertone_net::Frame;
use aftertone_server::{Config, Server};
use aftertone_sync::{Problem, ProblemCode};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use crate::world::{Phone, World, soon};

/// A server that takes calls from this machine.
async fn called() -> (World, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    crate::world::add_user(folder.path(), "ada", "1001", Some(crate::world::PASSWORD)).await;
    let mut config = Config::on_free_ports(folder.path());
    config.media_workers = 1;
    config.trust = vec!["127.0.0.1/32".parse().unwrap()];
    let server = Server::start(config).await.unwrap();
    let (base, sip) = (server.addresses.url().unwrap(), server.addresses.sip_udp.unwrap());
    (World { server, base, folder, http: crate::world::plain_http() }, sip)
}

fn invite(number: usize, local: SocketAddr, transport: &str, sdp: &str) -> String {
    format!(
        "INVITE sip:*981001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK-{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+4930{number}@127.0.0.1>;tag={number}\r\nTo: <sip:*981001@127.0.0.1>\r\n\
         Call-ID: hostile-{number}@127.0.0.1\r\nCSeq: 1 INVITE\r\nContact: <sip:x@{local};transport={transport}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
const AUDIO: &str = "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// Descriptions that are long, deep, contradictory or of another world, each small enough to be let in.
fn bombs() -> Vec<String> {
    let many = |line: &str, count: usize| format!("{HEAD}{}", line.repeat(count));
    let mut formats = String::from("m=audio 40000 RTP/AVP");
    (0..12_000).for_each(|_| formats.push_str(" 96"));
    let mut maps = String::from("m=audio 40000 RTP/AVP 96\r\n");
    (0..2_000).for_each(|n| _ = write!(maps, "a=rtpmap:96 x{n}/8000\r\n"));
    vec![
        many("m=audio 40000 RTP/AVP 0\r\n", 2_000),
        many("m=video 1 UDP/TLS/RTP/SAVPF 96\r\na=group:BUNDLE x\r\n", 1_000),
        many("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 1_000) + AUDIO,
        format!("{HEAD}{formats}\r\n"),
        format!("{HEAD}{maps}"),
        format!("{HEAD}m=audio 99999999999999999999 RTP/AVP 0\r\n"),
        format!("{HEAD}m=audio 40000/65535 RTP/AVP 0\r\na=ptime:0\r\na=maxptime:-1\r\n"),
        format!("{HEAD}{AUDIO}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", "A".repeat(30_000)),
        "v=0\r\n".repeat(6_000),
        "\u{0}".repeat(30_000),
        HEAD.replace("127.0.0.1", "999.999.999.999") + AUDIO,
    ]
}

/// The final answer to a call, over a connection of its own.
async fn answer(sip: SocketAddr, number: usize, sdp: &str) -> u16 {
    let mut stream = TcpStream::connect(sip).await.unwrap();
    let local = stream.local_addr().unwrap();
    stream.write_all(invite(number, local, "TCP", sdp).as_bytes()).await.unwrap();
    let (mut text, mut buffer) = (String::new(), vec![0; 65_536]);
    loop {
        let length = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(length > 0, "call {number} got no final answer: {text:.200}");
        text += &String::from_utf8_lossy(&buffer[..length]);
        let statuses = text.match_indices("SIP/2.0 ").filter_map(|(at, _)| text.get(at + 8..at + 11)?.parse::<u16>().ok());
        if let Some(status) = statuses.into_iter().find(|status| *status >= 200) {
            return status;
        }
    }
}

#[tokio::test]
async fn descriptions_that_mean_harm_are_refused_and_the_next_caller_is_answered() {
    let (world, _) = called().await;
    let sip = world.server.addresses.sip_tcp.unwrap();
    for (number, bomb) in bombs().iter().enumerate() {
        let status = answer(sip, number, bomb).await;
        // What can be read is taken for what it says; what can't is refused, and none of it is a failure of the server's.
        assert!(status < 500, "{status} for description {number}: {bomb:.80}");
    }
    assert_eq!(answer(sip, 100, &format!("{HEAD}{AUDIO}")).await, 200, "the next caller");
    assert_eq!(world.http.get(format!("{}/v1/health", world.base)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn datagrams_of_any_kind_leave_the_port_open() {
    let (world, sip) = called().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    let whole = invite(7, local, "UDP", &format!("{HEAD}{AUDIO}"));
    for length in (0..whole.len()).step_by(7) {
        socket.send_to(&whole.as_bytes()[..length], sip).await.unwrap();
    }
    for n in 0..2_000_u32 {
        let noise: Vec<u8> = (0..n % 600).map(|byte| (byte.wrapping_mul(n).wrapping_add(n >> 3) & 0xff) as u8).collect();
        socket.send_to(&noise, sip).await.unwrap();
    }
    let lying = whole.replace("Content-Length: ", "Content-Length: 9999");
    socket.send_to(lying.as_bytes(), sip).await.unwrap();
    let asks = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = asks.local_addr().unwrap();
    let mut buffer = vec![0; 65_536];
    // Datagrams may be lost in the flood; what was asked is asked again, as phones do.
    let answered = async {
        for number in 200.. {
            asks.send_to(invite(number, local, "UDP", &format!("{HEAD}{AUDIO}")).as_bytes(), sip).await.unwrap();
            let wait = std::time::Duration::from_millis(500);
            if let Ok(Ok(length)) = tokio::time::timeout(wait, asks.recv(&mut buffer)).await {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
        }
        unreachable!("it is asked for ever")
    };
    let answer = soon(answered).await;
    assert!(answer.starts_with("SIP/2.0 "), "{answer:.80}");
    assert_eq!(world.http.get(format!("{}/v1/health", world.base)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_flood_on_a_web_socket_is_read_and_hurts_nobody_else() {
    let world = World::start().await;
    let (ada, bob) = (world.sign_in("ada").await, world.sign_in("bob").await);
    let flooded = ada.socket("/v1/doorbell", None).await;
    let calls = ada.socket("/sip", Some("sip")).await;
    let mut at_bobs = bob.socket("/v1/doorbell", None).await;
    for n in 0..5_000 {
        // It may be closed by the server, which is an answer, too.
        let _closed = flooded.sender.send(Frame::Text(format!("{{\"n\":{n}}}"))).await;
        let _closed = calls.sender.send(Frame::Text("REGISTER sip:x SIP/2.0\r\n\r\n".into())).await;
    }
    let _closed = flooded.sender.send(Frame::Binary(vec![0; 1 << 20].into())).await;
    let message = world.leave_message(&bob, b"sound").await;
    let path = format!("/v1/messages/{}/actions", message.envelope.id);
    assert_eq!(soon(bob.post(&path, &json!({"action": "heard"}), "k")).await.status(), 200);
    assert!(soon(at_bobs.receiver.recv()).await.is_some(), "his doorbell rings");
    // And she may come again.
    ada.socket("/v1/doorbell", None).await;
}

async fn upload(phone: &Phone, id: &str, sound: Vec<u8>) -> reqwest::Response {
    phone.request(Method::PUT, &format!("/v1/greetings/{id}/audio")).body(sound).send().await.unwrap()
}

#[tokio::test]
async fn uploads_that_lie_or_break_off_get_a_clear_answer_and_store_nothing() {
    let world = World::start().await;
    let ada = world.sign_in("ada").await;
    let id = "00000000-0000-4000-8000-0000000000aa";
    let body = json!({"kind": "greeting", "title": "t", "text": "", "language": "de", "expires_at": null});
    let path = format!("/v1/greetings/{id}");
    assert!(ada.request(Method::PUT, &path).json(&body).send().await.unwrap().status().is_success());
    let tone: Vec<i16> = (0..16_000).map(|n| if n / 20 % 2 == 0 { 9_000 } else { -9_000 }).collect();
    let whole = container::wav_pcm16(&tone, 8_000);
    let lie = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    // Of the WAV header: channels, samples a second, bits, and a length of 4 GB.
    let lies = [
        lie(22, &[0, 0]),
        lie(22, &[0xff, 0xff]),
        lie(24, &[0, 0, 0, 0]),
        lie(24, &[0xff, 0xff, 0xff, 0xff]),
        lie(34, &[0xff, 0xff]),
        whole[..30].to_vec(),
        b"OggS".repeat(1_000),
        [&b"fLaC"[..], &[0xff; 4_000]].concat(),
        [&[0, 0, 0, 24][..], b"ftypM4A ", &[0xff; 4_000]].concat(),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let answer = soon(upload(&ada, id, lie)).await;
        assert_eq!(answer.status(), 422, "{number}");
        // A rate that makes two seconds three minutes is believed, and refused for that.
        let Problem { code, detail, .. } = answer.json().await.unwrap();
        assert!(matches!(code, ProblemCode::UnsupportedSound | ProblemCode::SoundTooLong), "{number}: {detail}");
    }
    // A length of 4 GB: what is there is taken, or it is refused; it is not waited for, and no memory is taken for it.
    let status = soon(upload(&ada, id, lie(40, &[0xff, 0xff, 0xff, 0xff]))).await.status().as_u16();
    assert!(matches!(status, 200 | 422), "{status}");
    assert!(upload(&ada, id, whole.clone()).await.status().is_success(), "the next one is taken");

    // Half of what was announced, and then nothing more: the connection is closed, and nothing hangs on it.
    let host = world.base.strip_prefix("http://").unwrap();
    let head = format!(
        "PUT {path}/audio HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        ada.signed_in.token,
        whole.len()
    );
    let mut socket = TcpStream::connect(host).await.unwrap();
    socket.write_all(&[head.as_bytes(), &whole[..whole.len() / 2]].concat()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut said = Vec::new();
    let _closed = soon(socket.read_to_end(&mut said)).await;
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said:.80}");
    assert_eq!(ada.json("/v1/greetings").await.as_array().unwrap().len(), 1);
}

//! What comes over a stream: cut anywhere, framed by lengths, or no SIP at all.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::net::SocketAddr;

use aftertone_sip::{ConnectionId, Event, Flow, Output, Transport, UaConfig, UserAgent};

use common::{OFFER, any_time, in_dialog, invite, stranger};

struct Stream {
    ua: UserAgent,
    flow: Flow,
    now: std::time::Instant,
}

impl Stream {
    fn new() -> Self {
        let (local, connection) = (SocketAddr::from(([127, 0, 0, 2], 5060)), Some(ConnectionId(1)));
        let flow = Flow { transport: Transport::Tcp, local, remote: stranger(), connection };
        Self { ua: UserAgent::new(UaConfig::new("Test/1", [1; 32])), flow, now: any_time() }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.ua.handle_received(self.flow, bytes, self.now);
        std::iter::from_fn(|| match self.ua.poll_output() {
            Output::Timeout(_) => None,
            other => Some(other),
        })
        .collect()
    }
}

fn sent(output: &Output) -> &[u8] {
    match output {
        Output::Transmit { bytes, .. } => bytes,
        _ => panic!("{output:?}"),
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let via = "SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK-";
    let one = invite(&format!("{via}1"), OFFER);
    let two = invite(&format!("{via}2"), "").replace("1-2@", "2-2@");
    let all = format!("\r\n\r\n{one}\r\n{two}");
    for chunk in [1, 2, 3, 7, 64, 1000, all.len()] {
        let mut stream = Stream::new();
        let outputs: Vec<_> = all.as_bytes().chunks(chunk).flat_map(|chunk| stream.feed(chunk)).collect();
        assert_eq!(sent(&outputs[0]), b"\r\n", "a keepalive is answered");
        let offers: Vec<_> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Event(Event::Incoming { request, .. }) => Some(request.sdp()),
                _ => None,
            })
            .collect();
        assert_eq!(offers, [Some(OFFER.to_owned()), None], "pieces of {chunk}");
        assert_eq!(stream.ua.counts().partial_messages, 0);
    }
}

#[test]
fn a_stream_that_can_not_be_framed_is_given_up() {
    let good = invite("SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK-1", OFFER);
    let huge = good.replace("Max-Forwards", &format!("X: {}\r\nMax-Forwards", "x".repeat(70_000)));
    let long = good.replace("Content-Length: ", "Content-Length: 9999");
    let odd = good.replace("Content-Length: ", "Content-Length: x");
    for (text, expected) in [(huge, "SIP/2.0 513"), (long, "SIP/2.0 513"), (odd, "SIP/2.0 400")] {
        let mut stream = Stream::new();
        let outputs: Vec<_> = text.as_bytes().chunks(1000).flat_map(|chunk| stream.feed(chunk)).collect();
        assert!(sent(&outputs[0]).starts_with(expected.as_bytes()), "{expected}");
        assert_eq!(outputs[1..], [Output::Event(Event::Unframeable { connection: ConnectionId(1) })]);
        assert!(stream.feed(good.as_bytes()).is_empty());
    }
}

#[test]
fn what_is_no_sip_is_given_up_at_its_first_line() {
    for text in ["GET / HTTP/1.1\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "v=0\n", "\0", "\rX"]
    {
        let mut stream = Stream::new();
        let outputs: Vec<_> = text.as_bytes().chunks(3).flat_map(|chunk| stream.feed(chunk)).collect();
        assert_eq!(outputs.last(), Some(&Output::Event(Event::Unframeable { connection: ConnectionId(1) })), "{text:?}");
        assert_eq!(stream.ua.counts().partial_messages, 0);
    }
    let mut stream = Stream::new();
    let endless = "x".repeat(10_000);
    let outputs: Vec<_> = endless.as_bytes().chunks(100).flat_map(|chunk| stream.feed(chunk)).collect();
    assert_eq!(outputs.len(), 1, "a first line without end");
    // A body of unknown length, where only lengths tell the messages apart (RFC 3261 18.3).
    let text = invite("SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK-1", OFFER);
    let text: String = text.split_inclusive("\r\n").filter(|line| !line.starts_with("Content-Length")).collect();
    let outputs = Stream::new().feed(text.as_bytes());
    assert!(sent(&outputs[0]).starts_with(b"SIP/2.0 400"), "{outputs:?}");
    assert_eq!(outputs[1..], [Output::Event(Event::Unframeable { connection: ConnectionId(1) })]);
    // Without one, a request needs no length.
    let ask = in_dialog("OPTIONS", 1, "z9hG4bK-1", "<sip:bob@127.0.0.2>").replace("Content-Length: 0\r\n", "");
    let outputs = Stream::new().feed(ask.as_bytes());
    assert!(matches!(outputs[..], [Output::Event(Event::Request { .. })]), "{outputs:?}");
    // Line ends without CR, from a sloppy peer.
    let outputs = Stream::new().feed(invite("SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK-1", "").replace("\r\n", "\n").as_bytes());
    assert!(matches!(outputs[..], [Output::Event(Event::Incoming { .. })]), "{outputs:?}");
}

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

/// What the crates answer to a browser: 110 twice.
const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110 110\r\na=mid:0\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-16\r\na=rtpmap:110 telephone-event/48000\r\n\
    a=fmtp:110 0-16\r\na=ice-ufrag:abcd\r\na=sendrecv\r\n";

#[test]
fn a_payload_type_stands_once() {
    let clean = drop_duplicate_payload_types(ANSWER);
    assert!(clean.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110\r\n"), "{clean}");
    assert_eq!(clean.matches("a=rtpmap:110 ").count(), 1);
    assert_eq!(clean.matches("a=fmtp:110 ").count(), 1);
    assert_eq!(clean.matches("a=rtpmap:").count(), 5);
    assert_eq!(drop_duplicate_payload_types(&clean), clean);
}

#[test]
fn what_is_missing_is_added_and_the_rest_stays() {
    let bare = "o=x 1 1 IN IP4 192.0.2.1\na=ice-lite\nm=audio 9 UDP/TLS/RTP/SAVPF 0\nm=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:0\na=recvonly\n";
    let expected = "v=0\r\no=x 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:m0\r\na=sendrecv\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\n";
    assert_eq!(normalise(bare), expected);
    assert_eq!(normalise(expected), expected);
    assert_eq!(normalise(ANSWER), ANSWER);
    assert!(normalise("a=sendonly\nm=audio 9 RTP/AVP 0\n").ends_with("a=mid:0\r\na=sendonly\r\n"));
}

#[test]
fn the_negotiated_payloads_are_found() {
    let payloads = payloads(ANSWER).unwrap();
    assert_eq!((payloads.codec, payloads.payload_type, payloads.dtmf_payload_type), (Codec::Opus, 111, Some(110)));
    assert_eq!(payloads.all, [(Codec::Opus, 111), (Codec::G722, 9), (Codec::Pcmu, 0), (Codec::Pcma, 8)]);
    assert_eq!(codecs(ANSWER), [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma]);
    assert_eq!(ice_ufrag(ANSWER).as_deref(), Some("abcd"));
    assert!(matches!(super::payloads("v=0\r\n"), Err(PayloadsError::Sdp(_))));
    assert!(matches!(super::payloads("m=audio 0 RTP/AVP 0\r\n"), Err(PayloadsError::NoAudio)));
    assert!(matches!(super::payloads("m=audio 9 RTP/AVP 3\r\n"), Err(PayloadsError::NoCodec)));
}

#[test]
fn an_answer_never_promises_what_the_offer_refuses() {
    use Direction::{Inactive, Recvonly, Sendonly, Sendrecv};
    let check = |offered, wish, expected| assert_eq!(answer_direction(offered, wish), expected);
    check(Sendonly, Sendrecv, Recvonly);
    check(Recvonly, Sendrecv, Sendonly);
    check(Inactive, Sendrecv, Inactive);
    check(Sendrecv, Sendrecv, Sendrecv);
    check(Sendrecv, Sendonly, Sendonly);
    check(Sendonly, Sendonly, Inactive);
    assert_eq!(offered_direction(ANSWER), Sendrecv);
    assert_eq!(offered_direction("garbage"), Inactive);
}

#[test]
fn preferred_codecs_come_first() {
    use Codec::{Opus, Pcma, Pcmu};
    assert_eq!(order_codecs(&[Opus, Pcma, Pcmu], &[Pcmu, Opus]), [Pcmu, Opus, Pcma]);
    assert_eq!(order_codecs(&[Pcma], &[Opus]), [Pcma]);
    assert_eq!(order_codecs(&[Opus, Opus], &[Opus]), [Opus]);
}

#[test]
fn the_first_candidate_is_the_destination() {
    let section = "m=audio 9 UDP/TLS/RTP/SAVPF 96 9\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 opus/48000/2\r\n";
    let candidates = "a=candidate:1 2 udp 7 192.0.2.1 4001 typ host\r\na=candidate:1 1 tcp 7 192.0.2.1 9 typ host\r\n\
                      a=candidate:1 1 UDP 7 2001:db8::1 4000 typ host\r\na=candidate:2 1 udp 6 192.0.2.1 4002 typ host\r\n";
    let expected = "v=0\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 96 9\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:96 opus/48000/2\r\n";
    assert_eq!(with_destination(&format!("v=0\r\n{section}{candidates}")), format!("{expected}{candidates}"));
    let without = format!("v=0\r\n{section}");
    assert_eq!(with_destination(&without), without);
    let refused = format!("v=0\r\n{}{candidates}", section.replace("audio 9 ", "audio 0 "));
    assert_eq!(with_destination(&refused), refused);
}

#[test]
fn a_hash_in_capitals_becomes_small_wherever_it_stands() {
    let offer = "v=0\r\na=fingerprint:SHA-256 AB:CD\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:SHA-1 EF\r\n";
    let normal = normalise(offer);
    assert!(normal.contains("a=fingerprint:sha-256 AB:CD\r\n") && normal.contains("a=fingerprint:sha-1 EF\r\n"), "{normal}");
}

#[test]
fn candidates_for_tcp_are_told_from_others() {
    let udp = "a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host";
    let tcp = "a=candidate:2 1 tcp 1671430143 192.0.2.1 4000 typ host tcptype passive";
    let description = format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{udp}\r\n{tcp}\r\na=end-of-candidates\r\n");
    assert_eq!(tcp_candidates(&description), [&tcp[2..]]);
    assert_eq!(without_tcp_candidates(&description), description.replace(&format!("{tcp}\r\n"), ""));
    assert!(tcp_candidates(&description.replace(" tcp ", " UDP ")).is_empty());
}

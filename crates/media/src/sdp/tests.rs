#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// A desk phone's offer, without `s=` and `t=`, lines ended by LF.
const PHONE: &str = "v=0\no=root 5 5 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\nm=audio 11780 RTP/AVP 9 8 0 3 101\n\
    a=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\na=sendrecv\n";

const BROWSER: &str = "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
    c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
    a=fingerprint:sha-256 D2:FA\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";

fn local() -> std::net::SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

fn agree(offer: &str, prefer: &[Codec]) -> Result<Negotiated, NegotiateError> {
    negotiate(&parse(offer).unwrap(), prefer)
}

#[test]
fn a_phones_offer_is_negotiated_by_our_preference() {
    let negotiated = agree(PHONE, &[Codec::Opus, Codec::Pcmu, Codec::Pcma]).unwrap();
    let expected = Negotiated {
        codec: Codec::Pcmu,
        payload_type: 0,
        dtmf_payload_type: Some(101),
        comfort_payload_type: None,
        packet_time: PacketTime { wanted: Some(Duration::from_millis(20)), most: None },
        remote: "192.0.2.7:11780".parse().unwrap(),
        remote_rtcp: "192.0.2.7:11781".parse().unwrap(),
        direction: Direction::Sendrecv,
        media_index: 0,
        secure: false,
        crypto: None,
    };
    assert_eq!(negotiated, expected);
    assert_eq!(agree(PHONE, &[Codec::Opus]), Err(NegotiateError::NoCodec));
}

#[test]
fn our_offer_and_answer_agree_with_each_other() {
    for codec in Codec::ALL {
        let codecs = [codec];
        let offer = RtpOffer {
            local: local(),
            session_id: 7,
            version: 1,
            codecs: &codecs,
            direction: Direction::Sendonly,
            secure: false,
            crypto: &[],
        }
        .to_sdp();
        let session = parse(&offer).unwrap();
        let chosen = negotiate(&session, &Codec::ALL).unwrap();
        assert_eq!((chosen.codec, chosen.payload_type, chosen.direction), (codec, codec.payload_type(), Direction::Recvonly));
        assert_eq!(chosen.dtmf_payload_type, Some(if codec == Codec::Opus { 110 } else { 101 }));
        let answer = RtpAnswer {
            local: "127.0.0.1:50000".parse().unwrap(),
            session_id: 8,
            version: 1,
            offer: &session,
            negotiated: &chosen,
            direction: chosen.direction,
            crypto: None,
        };
        let accepted = accept_answer(&parse(&answer.to_sdp()).unwrap(), &codecs).unwrap();
        assert_eq!((accepted.codec, accepted.direction), (codec, Direction::Sendonly));
        assert_eq!(accepted.remote, answer.local);
        assert_eq!(accepted.dtmf_payload_type, chosen.dtmf_payload_type);
    }
}

#[test]
fn an_offer_reads_as_the_grammar_wants_it() {
    let sdp = RtpOffer {
        local: "[2001:db8::1]:40000".parse().unwrap(),
        session_id: 7,
        version: 2,
        codecs: &[Codec::Opus, Codec::Pcma],
        direction: Direction::Sendrecv,
        secure: false,
        crypto: &[],
    }
    .to_sdp();
    let expected = "v=0\r\no=- 7 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 111 8 13 110 101\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n\
        a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-15\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(sdp, expected);
}

#[test]
fn all_media_lines_are_answered_and_all_but_one_refused() {
    let offer = parse(
        "v=0\r\nc=IN IP4 192.0.2.7\r\nm=video 5000 RTP/AVP 96\r\nm=audio 5002 RTP/SAVP 0\r\nm=audio 5004 RTP/AVP 8\r\nm=image 5006 udptl t38\r\n",
    )
    .unwrap();
    let negotiated = negotiate(&offer, &Codec::ALL).unwrap();
    assert_eq!((negotiated.media_index, negotiated.remote.port()), (2, 5004));
    let answer = RtpAnswer {
        local: local(),
        session_id: 1,
        version: 1,
        offer: &offer,
        negotiated: &negotiated,
        direction: negotiated.direction,
        crypto: None,
    };
    let lines: Vec<String> = answer.to_sdp().lines().filter(|l| l.starts_with("m=")).map(str::to_owned).collect();
    assert_eq!(lines, ["m=video 0 RTP/AVP 96", "m=audio 0 RTP/SAVP 0", "m=audio 40000 RTP/AVP 8", "m=image 0 udptl t38"]);
}

#[test]
fn other_profiles_are_refused_by_name() {
    let check = |protocol: &str| {
        let sdp = format!("c=IN IP4 192.0.2.7\nm=audio 5000 {protocol} 0\n");
        assert_eq!(agree(&sdp, &Codec::ALL), Err(NegotiateError::Protocol(protocol.to_owned())));
    };
    ["UDP/TLS/RTP/SAVPF", "udp", "TCP/RTP/AVP"].into_iter().for_each(check);
    assert_eq!(agree("c=IN IP4 192.0.2.7\nm=audio 0 RTP/AVP 0\n", &Codec::ALL), Err(NegotiateError::NoAudio));
    assert_eq!(agree("m=audio 5000 RTP/AVP 0\n", &Codec::ALL), Err(NegotiateError::NoAddress));
    assert_eq!(agree("c=IN IP4 phone.example\nm=audio 5000 RTP/AVP 0\n", &Codec::ALL), Err(NegotiateError::NoAddress));
}

#[test]
fn hold_in_all_its_forms() {
    let check = |lines: &str, address: &str, expected| {
        let sdp = format!("c=IN IP4 {address}\nm=audio 5000 RTP/AVP 0\n{lines}");
        assert_eq!(agree(&sdp, &Codec::ALL).unwrap().direction, expected, "{lines} {address}");
    };
    check("", "192.0.2.7", Direction::Sendrecv);
    check("a=sendonly\n", "192.0.2.7", Direction::Recvonly);
    check("a=recvonly\n", "192.0.2.7", Direction::Sendonly);
    check("a=inactive\n", "192.0.2.7", Direction::Inactive);
    check("", "0.0.0.0", Direction::Recvonly);
    check("a=recvonly\n", "0.0.0.0", Direction::Inactive);
    let session_level = parse("a=inactive\nc=IN IP4 1.2.3.4\nm=audio 5000 RTP/AVP 0\n").unwrap();
    assert_eq!(session_level.direction(&session_level.media[0]), Direction::Inactive);
}

#[test]
fn rtcp_goes_where_it_is_asked_to() {
    let check = |line: &str, expected: &str| {
        let sdp = format!("c=IN IP4 192.0.2.7\nm=audio 5000 RTP/AVP 0\n{line}\n");
        assert_eq!(agree(&sdp, &Codec::ALL).unwrap().remote_rtcp, expected.parse().unwrap());
    };
    check("", "192.0.2.7:5001");
    check("a=rtcp:6000", "192.0.2.7:6000");
    check("a=rtcp:6000 IN IP4 192.0.2.8", "192.0.2.8:6000");
    check("a=rtcp-mux", "192.0.2.7:5000");
}

#[test]
fn browsers_are_recognised() {
    assert!(is_webrtc(BROWSER));
    assert!(!is_webrtc(PHONE));
    assert!(!is_webrtc("nonsense"));
    assert!(is_webrtc("a=fingerprint:sha-256 AA\na=ice-ufrag:x\nm=audio 9 RTP/SAVPF 0\n"));
}

#[test]
fn an_answer_may_not_choose_what_was_not_offered() {
    let answer = parse("c=IN IP4 192.0.2.7\nm=audio 5000 RTP/AVP 8\n").unwrap();
    assert_eq!(accept_answer(&answer, &[Codec::Pcmu]), Err(NegotiateError::NoCodec));
    let refused = parse("c=IN IP4 192.0.2.7\nm=audio 0 RTP/AVP 0\n").unwrap();
    assert_eq!(accept_answer(&refused, &[Codec::Pcmu]), Err(NegotiateError::NoAudio));
}

#[test]
fn opus_under_another_number_and_other_spelling() {
    let sdp = "c=IN IP4 192.0.2.7/127\nm=audio 5000/2 RTP/AVP 96 97 98\na=rtpmap:96 OPUS/48000/2\na=rtpmap:97 telephone-event/8000\na=rtpmap:98 Telephone-Event/48000\n";
    let negotiated = agree(sdp, &Codec::ALL).unwrap();
    assert_eq!((negotiated.codec, negotiated.payload_type, negotiated.dtmf_payload_type), (Codec::Opus, 96, Some(98)));
    // A codec of that name with another clock isn't ours.
    assert_eq!(agree(&sdp.replace("OPUS/48000", "OPUS/8000"), &Codec::ALL), Err(NegotiateError::NoCodec));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "([vosctma]=[ -~]{0,40}[\r\n]{1,2}){0,12}") {
        if let Ok(session) = parse(&text) {
            let _ = negotiate(&session, &Codec::ALL);
        }
    }

    #[test]
    fn damaged_descriptions_do_no_harm(at in 0usize..900, byte: u8) {
        let mut bytes = BROWSER.as_bytes().to_vec();
        let index = at % bytes.len();
        bytes[index] = byte;
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text).map(|session| negotiate(&session, &Codec::ALL));
        let _ = crate::webrtc::drop_duplicate_payload_types(&crate::webrtc::normalise(&text));
        let _ = crate::webrtc::payloads(&text);
    }
}

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

#[test]
fn keys_are_taken_demanded_or_opportunistic_and_answered_under_their_tag() {
    for (protocol, secure) in [("RTP/SAVP", true), ("RTP/AVP", false), ("RTP/SAVPF", true)] {
        let text = format!(
            "c=IN IP4 192.0.2.7\nm=audio 5000 {protocol} 8\na=crypto:1 AES_CM_128_HMAC_SHA1_32 {KEY}\n\
             a=crypto:2 AES_CM_128_HMAC_SHA1_80 {KEY}|2^31\na=crypto:3 F8_128_HMAC_SHA1_80 {KEY}\n\
             a=crypto:4 AES_256_CM_HMAC_SHA1_80 {KEY}\na=crypto:5 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4\n"
        );
        let offer = parse(&text).unwrap();
        let negotiated = negotiate(&offer, &Codec::ALL).unwrap();
        let chosen = negotiated.crypto.clone().unwrap();
        assert_eq!((negotiated.secure, chosen.tag, chosen.suite), (secure, 2, Suite::AesCm128Sha1_80), "{protocol}");
        assert_eq!((chosen.secret().0.len(), chosen.secret().1.len()), (16, 14));
        let ours = Crypto::new(chosen.tag, chosen.suite, &[7; 46]).unwrap();
        let direction = negotiated.direction;
        let answer = RtpAnswer {
            local: local(),
            session_id: 1,
            version: 1,
            offer: &offer,
            negotiated: &negotiated,
            direction,
            crypto: Some(&ours),
        };
        let answer = parse(&answer.to_sdp()).unwrap();
        assert_eq!((answer.media[0].protocol.as_str(), answer.media[0].crypto()), (protocol, vec![ours]));
    }
    assert_eq!(agree("c=IN IP4 1.2.3.4\nm=audio 5000 RTP/SAVP 0\n", &Codec::ALL), Err(NegotiateError::NoCrypto));
    let hidden = format!("{:?}", Crypto::new(1, Suite::AesCm128Sha1_80, &[7; 46]));
    assert!(!hidden.contains('7'), "a key is not for a log: {hidden}");
}

#[test]
fn a_description_has_a_size_beyond_which_it_is_refused() {
    let sections = |count| "m=audio 5004 RTP/AVP 0\r\n".repeat(count);
    let formats = |count| format!("m=audio 5004 RTP/AVP{}\r\n", " 96".repeat(count));
    let attributes = |count| format!("m=audio 5004 RTP/AVP 96\r\n{}", "a=rtpmap:97 x/1\r\n".repeat(count));
    let makers: [(&dyn Fn(usize) -> String, usize); 3] = [(&sections, 64), (&formats, 128), (&attributes, 512)];
    for (too_large, most) in makers {
        assert!(parse(&too_large(most)).is_ok());
        for count in [most + 1, 10_000] {
            assert_eq!(parse(&too_large(count)), Err(SdpError::TooLarge));
        }
    }
    // The largest that is read: every format looks at every attribute.
    let lines: String = (0..512).map(|n| format!("a=rtpmap:{} nothing/8000\r\n", n % 128)).collect();
    let types: String = (0..128).map(|n| format!(" {n}")).collect();
    let largest = format!("c=IN IP4 192.0.2.1\r\n{}m=audio 5004 RTP/AVP{types}\r\n{lines}", sections(63).replace('0', "1"));
    let session = parse(&largest).unwrap();
    assert_eq!(session.media[63].formats().len(), 128);
    assert_eq!(negotiate(&session, &Codec::ALL), Err(NegotiateError::NoCodec));
}

#[test]
fn comfort_noise_is_agreed_on_beside_g711_alone() {
    let with = PHONE.replace("3 101", "3 13 101");
    let number = |offer: &str, codec| agree(offer, &[codec]).unwrap().comfort_payload_type;
    assert_eq!([number(&with, Codec::Pcmu), number(PHONE, Codec::Pcmu)], [Some(13), None]);
    let dynamic = with.replace("3 13 101", "3 98 101") + "a=rtpmap:98 CN/8000\n";
    assert_eq!(number(&dynamic, Codec::Pcma), Some(98), "under whatever number");
    assert_eq!(number(BROWSER.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP").as_str(), Codec::Opus), None, "Opus has its own");
    let offer = |codecs: &[Codec]| {
        let (session_id, version, direction) = (7, 1, Direction::Sendrecv);
        RtpOffer { local: local(), session_id, version, codecs, direction, secure: false, crypto: &[] }.to_sdp()
    };
    assert!(offer(&[Codec::Opus, Codec::Pcmu]).contains("a=rtpmap:13 CN/8000"));
    assert!(!offer(&[Codec::Opus]).contains("CN/"));
    let session = parse(&with).unwrap();
    let negotiated = negotiate(&session, &[Codec::Pcmu]).unwrap();
    let (local, direction) = (local(), negotiated.direction);
    let answer =
        RtpAnswer { local, session_id: 7, version: 1, offer: &session, negotiated: &negotiated, direction, crypto: None };
    assert!(answer.to_sdp().contains("RTP/AVP 0 13 101\r\n"), "{}", answer.to_sdp());
}

#[test]
fn the_length_of_packets_is_read_as_it_is_written() {
    let time = |ptime: &str| {
        let session = parse(&PHONE.replace("a=ptime:20", ptime)).unwrap();
        let time = session.audio().unwrap().1.packet_time();
        [time.wanted, time.most].map(|time| time.map(|time| time.as_millis()))
    };
    assert_eq!(time("a=ptime:30\na=maxptime:60"), [Some(30), Some(60)]);
    assert_eq!(time("a=ptime: 40.0"), [Some(40), None]);
    assert_eq!(time("a=ptime:0\na=maxptime:nonsense"), [None, None]);
    assert_eq!(time("a=ptime:200\na=maxptime:5"), [Some(60), Some(10)], "no phone means that");
}

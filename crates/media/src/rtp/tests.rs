#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn a_packet_with_everything_is_read() {
    // Padding, extension, two contributing sources, marker, PT 111.
    let mut bytes = vec![0xB2, 0xEF, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4];
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0x10, 0xFF, 0, 0]);
    bytes.extend_from_slice(&[7, 8, 9, 0, 0, 3]);
    let packet = RtpPacket::parse(&bytes).unwrap();
    let expected = RtpPacket {
        marker: true,
        payload_type: 111,
        sequence: 0x1234,
        timestamp: 9,
        ssrc: 0x0102_0304,
        payload: Bytes::from_static(&[7, 8, 9]),
    };
    assert_eq!(packet, expected);
    assert_eq!(RtpPacket::parse_bytes(&bytes.into()).unwrap(), expected);
}

#[test]
fn what_is_no_rtp_is_refused() {
    let check = |bytes: &[u8], expected| assert_eq!(RtpPacket::parse(bytes), Err(expected));
    check(&[], RtpError::Truncated);
    check(b"INVITE sip:x", RtpError::Version);
    check(&[0x80; 11], RtpError::Truncated);
    check(&[0x8F; 20], RtpError::Truncated);
    let padding = |n| [0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n];
    check(&padding(0), RtpError::Padding);
    check(&padding(2), RtpError::Padding);
    assert!(is_rtcp(&[0x80, 200, 0, 6]) && !is_rtcp(&[0x80, 111, 0, 6]) && !is_rtcp(&[0x80]));
}

#[test]
fn one_counter_for_audio_and_dtmf_and_a_marker_after_silence() {
    let mut sender = RtpSender::new(7, 0xFFFF, 100);
    let first = sender.audio(0, vec![1], 160);
    let second = sender.audio(0, vec![1], 160);
    let event = sender.event(true, 101, sender.timestamp(), vec![1]);
    sender.pause(320);
    let after = sender.audio(0, vec![1], 160);
    assert_eq!([first.marker, second.marker, after.marker], [true, false, true]);
    assert_eq!([first.timestamp, second.timestamp, event.timestamp, after.timestamp], [100, 260, 420, 740]);
    assert_eq!([first.sequence, second.sequence, event.sequence, after.sequence], [0x7FFF, 0x8000, 0x8001, 0x8002]);
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = RtpPacket::parse(&bytes);
    }

    #[test]
    fn built_packets_parse_back(marker: bool, pt in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32, payload in proptest::collection::vec(any::<u8>(), 0..40)) {
        let packet = RtpPacket { marker, payload_type: pt, sequence, timestamp, ssrc, payload: payload.into() };
        prop_assert_eq!(RtpPacket::parse(&packet.to_bytes()).unwrap(), packet);
    }
}

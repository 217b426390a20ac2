#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn press(key: char, clock: u32, ms: u64, rtp: &mut RtpSender) -> Vec<RtpPacket> {
    let mut sender = DtmfSender::new(Digit::from_char(key).unwrap(), 101, clock, Duration::from_millis(ms));
    std::iter::from_fn(|| sender.tick(rtp)).flatten().collect()
}

fn heard(packets: &[RtpPacket]) -> String {
    let mut receiver = DtmfReceiver::default();
    packets.iter().filter_map(|p| receiver.receive(p)).map(Digit::as_char).collect()
}

#[test]
fn a_press_reads_as_the_rfc_wants_it() {
    let mut rtp = RtpSender::new(1, 10, 1_000);
    let packets = press('5', 8_000, 100, &mut rtp);
    let durations: Vec<u16> = packets.iter().map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    let ends: Vec<bool> = packets.iter().map(|p| p.payload[1] & 0x80 != 0).collect();
    assert_eq!(ends, [false, false, false, false, true, true, true]);
    assert!(packets.iter().all(|p| p.timestamp == 1_000 && p.payload[0] == 5));
    assert!(packets[0].marker && packets[1..].iter().all(|p| !p.marker));
    assert_eq!(packets.iter().map(|p| p.sequence).collect::<Vec<_>>(), (10..17).collect::<Vec<_>>());
    // The clock ran on, and the sound after it is marked.
    let audio = rtp.audio(0, vec![0; 160], 160);
    assert_eq!((audio.timestamp, audio.sequence, audio.marker), (1_800, 17, true));
}

#[test]
fn each_press_is_told_once() {
    let mut rtp = RtpSender::new(1, 0, 0);
    let packets: Vec<RtpPacket> = "1590*#A".chars().flat_map(|key| press(key, 48_000, 160, &mut rtp)).collect();
    assert_eq!(heard(&packets), "1590*#A");
}

#[test]
fn the_same_key_twice_is_two_presses() {
    let mut rtp = RtpSender::new(1, 0, 0);
    let packets: Vec<RtpPacket> = "77".chars().flat_map(|key| press(key, 8_000, 100, &mut rtp)).collect();
    assert_eq!(heard(&packets), "77");
}

#[test]
fn lost_ends_and_lost_beginnings_do_no_harm() {
    let mut rtp = RtpSender::new(1, 0, u32::MAX - 300);
    let (one, two) = (press('1', 8_000, 100, &mut rtp), press('2', 8_000, 100, &mut rtp));
    let without_ends: Vec<RtpPacket> = one[..3].iter().chain(&two[..2]).cloned().collect();
    assert_eq!(heard(&without_ends), "12");
    let only_ends: Vec<RtpPacket> = one[6..].iter().chain(&two[4..]).cloned().collect();
    assert_eq!(heard(&only_ends), "12");
    let reordered: Vec<RtpPacket> = one[..5].iter().chain(&two[..2]).chain(&one[5..]).chain(&two[2..]).cloned().collect();
    assert_eq!(heard(&reordered), "12");
}

#[test]
fn a_gateway_whose_timestamp_runs_on_is_understood() {
    let mut rtp = RtpSender::new(1, 0, 0);
    let mut packets = press('3', 8_000, 100, &mut rtp);
    for (n, packet) in packets.iter_mut().enumerate() {
        packet.timestamp += 160 * n.min(4) as u32;
    }
    assert_eq!(heard(&packets), "3");
}

#[test]
fn flash_and_garbage_are_no_keys() {
    let packet = |payload: &[u8]| RtpPacket {
        marker: true,
        payload_type: 101,
        sequence: 0,
        timestamp: 0,
        ssrc: 0,
        payload: payload.to_vec().into(),
    };
    assert_eq!(heard(&[packet(&[16, 0, 0, 1]), packet(&[1, 0]), packet(&[])]), "");
    assert_eq!(Digit::from_char('E'), None);
    assert_eq!(Digit::from_char('ä'), None);
    assert_eq!(Digit::from_char('d').unwrap().event(), 15);
}

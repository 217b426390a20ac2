#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::Codec;

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

/// 70 ms of a key's tones and 50 ms of pause for each, in payloads.
fn sounded(keys: &str, codec: Codec, off_by: f32) -> Vec<Vec<u8>> {
    const TONES: [(char, f32, f32); 16] = [
        ('1', 697.0, 1209.0),
        ('2', 697.0, 1336.0),
        ('3', 697.0, 1477.0),
        ('A', 697.0, 1633.0),
        ('4', 770.0, 1209.0),
        ('5', 770.0, 1336.0),
        ('6', 770.0, 1477.0),
        ('B', 770.0, 1633.0),
        ('7', 852.0, 1209.0),
        ('8', 852.0, 1336.0),
        ('9', 852.0, 1477.0),
        ('C', 852.0, 1633.0),
        ('*', 941.0, 1209.0),
        ('0', 941.0, 1336.0),
        ('#', 941.0, 1477.0),
        ('D', 941.0, 1633.0),
    ];
    let rate = codec.sample_rate() as usize;
    let mut pcm = vec![0; rate / 10];
    for key in keys.chars() {
        let (_, low, high) = *TONES.iter().find(|(of, ..)| *of == key).unwrap();
        let wave = |tone: f32, n: usize| (std::f32::consts::TAU * tone * off_by * n as f32 / rate as f32).sin();
        pcm.extend((0..rate * 7 / 100).map(|n| (3_000.0 * wave(low, n) + 4_000.0 * wave(high, n)) as i16));
        pcm.resize(pcm.len() + rate / 20, 0);
    }
    pcm.resize(pcm.len() + rate / 10, 0);
    let mut encoder = crate::codec::Encoder::new(codec).unwrap();
    pcm.chunks_exact(codec.frame()).map(|frame| encoder.encode(frame).unwrap()).collect()
}

fn heard_in(payloads: &[Vec<u8>], codec: Codec) -> String {
    let mut receiver = ToneReceiver::new(codec).unwrap();
    payloads.iter().filter_map(|payload| receiver.receive(payload)).map(Digit::as_char).collect()
}

#[test]
fn keys_are_heard_in_the_sound_of_every_codec() {
    for codec in Codec::ALL {
        for off_by in [0.986, 1.0, 1.014] {
            let keys = "1234567890*#ABCD55";
            assert_eq!(heard_in(&sounded(keys, codec, off_by), codec), keys, "{codec:?}, {off_by}");
        }
    }
}

#[test]
fn voices_press_no_keys() {
    let voices = [
        &include_bytes!("../../../../assets/greeting-de.wav")[..],
        &include_bytes!("../../../../assets/greeting-en.wav")[..],
        &include_bytes!("../../../../assets/test-message.wav")[..],
    ];
    for voice in voices {
        let pcm = crate::container::decode(voice).unwrap();
        let pcm = crate::resample::resample(&pcm.samples, pcm.rate, 8_000).unwrap();
        let mut encoder = crate::codec::Encoder::new(Codec::Pcma).unwrap();
        let payloads: Vec<Vec<u8>> = pcm.chunks_exact(160).map(|frame| encoder.encode(frame).unwrap()).collect();
        assert_eq!(heard_in(&payloads, Codec::Pcma), "");
    }
}

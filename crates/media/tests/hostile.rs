//! What comes from strangers: whatever the bytes are, nothing panics, and memory stays within bounds. Deterministic, so that
//! a failure comes again; a longer run: `AFTERTONE_HOSTILE_ROUNDS=100000 cargo test -p aftertone-media --test hostile`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests; an Instant can't be made otherwise, only differences count"
)]

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    codec::Encoder,
    container, dtmf,
    import::{ImportLimits, import},
    jitter::JitterConfig,
    playout::Playout,
    rtcp,
    rtp::{RtpPacket, RtpSender},
    sdp, webrtc,
};

/// Dice that fall the same way each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// Some bytes changed, doubled, cut out or put in.
    fn harm(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut harmed = bytes.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(harmed.len());
            match self.below(5) {
                0 if !harmed.is_empty() => harmed[at] = self.below(256) as u8,
                1 if !harmed.is_empty() => harmed[at] ^= 1 << self.below(8),
                2 => harmed.truncate(at),
                3 => harmed.insert(at, [0, 0xFF, 0x80, b'\n', b'='][self.below(5)]),
                _ => {
                    let piece = harmed[at..harmed.len().min(at + self.below(40))].to_vec();
                    harmed.splice(at..at, piece);
                }
            }
        }
        harmed
    }
}

fn rounds() -> usize {
    std::env::var("AFTERTONE_HOSTILE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 111 9 8 0 101\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\na=ice-ufrag:abcd\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\na=rtcp:4001\r\na=sendrecv\r\n";

#[test]
fn descriptions() {
    let mut dice = Dice(1);
    for _ in 0..rounds() {
        let text = String::from_utf8_lossy(&dice.harm(OFFER.as_bytes())).into_owned();
        if let Ok(session) = sdp::parse(&text) {
            let _ = sdp::negotiate(&session, &Codec::ALL).map(|n| n.crypto.map(|c| c.secret().0.len()));
        }
        let _ = webrtc::payloads(&webrtc::drop_duplicate_payload_types(&webrtc::normalise(&text)));
    }
    // A bomb: very many sections, attributes and formats.
    let bomb =
        format!("{OFFER}{}", format!("m=audio 9 RTP/AVP{}\r\n{}", " 0".repeat(500), "a=rtpmap:0 x/1\r\n".repeat(50)).repeat(50));
    assert_eq!(sdp::parse(&bomb), Err(sdp::SdpError::TooLarge));
    let _ = webrtc::normalise(&bomb);
}

#[test]
fn datagrams() {
    let mut dice = Dice(2);
    let whole = RtpSender::new(1, 2, 3).audio(8, vec![0x55; 160], 160).to_bytes();
    let report = rtcp::compound(1, None, None, "name", Duration::from_secs(1));
    let mut keys = dtmf::DtmfReceiver::default();
    for _ in 0..rounds() * 10 {
        if let Ok(packet) = RtpPacket::parse(&dice.harm(&whole)) {
            assert!(packet.payload.len() <= 400);
            let _ = keys.receive(&packet);
        }
        assert!(rtcp::blocks(&dice.harm(&report)).len() < 32);
    }
    // The largest extension that a header can announce, in a packet that doesn't hold it.
    assert!(RtpPacket::parse(&[0x9F, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xFF, 0xFF]).is_err());
}

#[test]
fn streams() {
    let mut dice = Dice(3);
    for codec in Codec::ALL {
        let start = Instant::now();
        let mut playout = Playout::new(16_000, &[(codec, 96)], JitterConfig::default()).unwrap();
        let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(1, 0, 0));
        for n in 0..rounds() {
            let now = start + Duration::from_millis(n as u64 * 20);
            let payload = encoder.encode(&vec![dice.below(2_000) as i16; codec.frame()]).unwrap();
            let packet = rtp.audio(96, payload, codec.frame_ticks());
            // A flood of harmed copies, and now and then a good one.
            for _ in 0..dice.below(8) {
                if let Ok(harmed) = RtpPacket::parse(&dice.harm(&packet.to_bytes())) {
                    playout.receive(harmed, now).unwrap();
                }
            }
            playout.receive(packet, now).unwrap();
            let mut pcm = [0; 320];
            playout.pull(&mut pcm, now);
        }
        assert!(playout.target() <= JitterConfig::default().max);
    }
}

#[test]
fn files() {
    let mut dice = Dice(4);
    let limits = ImportLimits { duration: Duration::from_secs(20), ..ImportLimits::default() };
    let sounds: [&[u8]; 4] = [
        include_bytes!("sounds/tone.mp3"),
        include_bytes!("sounds/tone.m4a"),
        include_bytes!("sounds/tone.flac"),
        include_bytes!("sounds/tone.ogg"),
    ];
    let wav = container::wav_pcm16(&[7; 4_000], 8_000);
    for n in 0..rounds() {
        let file = dice.harm(sounds.get(n % 5).copied().unwrap_or(&wav));
        if let Ok(pcm) = import(&file, limits) {
            assert!(pcm.duration() <= limits.duration);
        }
    }
}

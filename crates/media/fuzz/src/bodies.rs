//! Each takes any bytes and panics only if something is wrong.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec, container,
    dtmf::{DtmfReceiver, ToneReceiver},
    import::{ImportLimits, import},
    jitter::JitterConfig,
    playout::Playout,
    quality::Reception,
    rtcp,
    rtp::{RtpPacket, is_rtcp},
    sdp::{self, RtpAnswer},
    webrtc,
};

/// An offer: read, answered, and made acceptable to the WebRTC crates. What we write we can read.
pub fn description(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let normal = webrtc::normalise(&text);
    let _ = (webrtc::payloads(&normal), webrtc::ice_ufrag(&normal), webrtc::offered_direction(&normal));
    let single = webrtc::drop_duplicate_payload_types(&normal);
    assert_eq!(webrtc::drop_duplicate_payload_types(&single), single);
    let _ = webrtc::with_destination(&single);
    let Ok(session) = sdp::parse(&text) else { return };
    let Ok(negotiated) = sdp::negotiate(&session, &Codec::ALL) else { return };
    let local = ([192, 0, 2, 1], 4000).into();
    let (direction, crypto) = (negotiated.direction, negotiated.crypto.as_ref());
    let answer = RtpAnswer { local, session_id: 1, version: 1, offer: &session, negotiated: &negotiated, direction, crypto };
    let answer = answer.to_sdp();
    let read = sdp::parse(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert_eq!(read.media.len(), session.media.len(), "{answer}");
    let accepted = sdp::accept_answer(&read, &[negotiated.codec]).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert_eq!((accepted.codec, accepted.payload_type), (negotiated.codec, negotiated.payload_type), "{answer}");
}

/// A datagram: RTP or reports. What is read is written so that it reads the same.
pub fn packet(data: &[u8]) {
    assert!(rtcp::blocks(data).len() <= data.len() / 24);
    let _ = is_rtcp(data);
    let Ok(packet) = RtpPacket::parse(data) else { return };
    assert_eq!(RtpPacket::parse(&packet.to_bytes()).as_ref(), Ok(&packet));
    let mut keys = DtmfReceiver::default();
    assert!(keys.receive(&packet).is_none() || keys.receive(&packet).is_none(), "a key is pressed once");
    for codec in Codec::ALL {
        let _ = codec.duration_of(&packet.payload);
        if let Ok(mut tones) = ToneReceiver::new(codec) {
            let _ = tones.receive(&packet.payload);
        }
    }
}

/// A call: the first byte is the codec, then packets, each of five bytes and a payload: how many milliseconds after the last
/// one it comes, how sequence and timestamp go on (in packets, signed), its payload type, and its length. Sound comes out
/// as time passes, and the delay stays within its bounds.
pub fn call(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let codec = Codec::ALL[usize::from(first) % Codec::ALL.len()];
    let other = Codec::ALL[(usize::from(first) + 1) % Codec::ALL.len()];
    let Ok(mut playout) = Playout::new(16_000, &[(codec, 96), (other, 97)], JitterConfig::default()) else { return };
    let (mut reception, mut now) = (Reception::default(), Instant::now());
    let (mut sequence, mut timestamp) = (0u16, 0u32);
    for _ in 0..500 {
        let [step, number, ticks, kind, length, payload @ ..] = rest else { break };
        let (payload, after) = payload.split_at(usize::from(*length).min(payload.len()));
        rest = after;
        sequence = sequence.wrapping_add_signed(i16::from(number.cast_signed()));
        timestamp = timestamp.wrapping_add_signed(i32::from(ticks.cast_signed()) * codec.frame_ticks().cast_signed());
        let (payload, ssrc) = (bytes::Bytes::copy_from_slice(payload), u32::from(kind >> 7));
        let packet = RtpPacket { marker: false, payload_type: kind & 0x7f, sequence, timestamp, ssrc, payload };
        for _ in 0..step / 10 {
            now += Duration::from_millis(10);
            playout.pull(&mut [0; 160], now);
        }
        now += Duration::from_millis(u64::from(step % 10));
        reception.receive(&packet, codec.clock_rate(), now);
        let _ = playout.receive(packet, now);
        let config = JitterConfig::default();
        assert!((config.min..=config.max).contains(&playout.target()), "{:?}", playout.target());
    }
    assert!(reception.look().loss_permille <= 1_000);
}

/// A file of sound: ours, or anybody's. No more comes out than was allowed.
pub fn file(data: &[u8]) {
    let _ = container::decode(data);
    let _ = container::repair_wav(data, data.len() as u64);
    if let Some((length, _)) = container::repair_ogg(data) {
        assert!(length <= data.len());
    }
    let limits = ImportLimits { duration: Duration::from_secs(5), ..ImportLimits::default() };
    if let Ok(pcm) = import(data, limits) {
        assert!(pcm.duration() <= limits.duration);
    }
}

use std::{cell::Cell, time::Duration};

use aftertone_exchange::{LegId, LegMedia, MediaCommand, Sound};
use aftertone_media::{
    Codec,
    codec::Decoder,
    level::dbfs,
    rtcp::Block,
    rtp::RtpPacket,
    sdp::{self, Direction},
};

use super::plane::{FRAME, Phone, Plane, call, speech};

/// Caller (answered by us) and callee (offered by us), bridged.
async fn bridged(plane: &mut Plane, caller: &[Codec], callee: &[Codec]) -> (Phone, Phone) {
    let mut b = Phone::new(callee).await;
    let offered = plane.offer(call(1), 2, LegMedia::Rtp, caller).await.unwrap();
    let coded: Vec<_> = caller.iter().copied().filter(|codec| codec.is_coded()).collect();
    assert_eq!(offered.codecs[..coded.len()], coded, "the caller's codecs come first");
    let answer = b.answer(&offered.sdp);
    let codec = plane.apply(2, answer).await.unwrap();
    let a = plane.phone(call(1), 1, caller, &[codec]).await.unwrap();
    plane.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
    (a, b)
}

/// What one says and the other hears meanwhile, and until nothing more comes.
async fn listen(speaker: &mut Phone, listener: &Phone, payloads: &[bytes::Bytes]) -> Vec<RtpPacket> {
    let is_spoken = Cell::new(false);
    let hearing = async {
        let mut heard = Vec::new();
        loop {
            match listener.hear(Duration::from_millis(400)).await {
                Some((packet, _)) => heard.push(packet),
                None if is_spoken.get() => return heard,
                None => {}
            }
        }
    };
    let speaking = async {
        speaker.speak(payloads).await;
        is_spoken.set(true);
    };
    tokio::join!(hearing, speaking).0
}

#[tokio::test]
async fn the_same_codec_is_relayed_to_the_bit_both_ways() {
    let mut plane = Plane::start(30_000..=30_009).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcma, Codec::Pcmu], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..50].to_vec();
    for direction in 0..2 {
        let (speaker, listener) = if direction == 0 { (&mut a, &b) } else { (&mut b, &a) };
        let heard = listen(speaker, listener, &payloads).await;
        assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()));
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        assert!(heard.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp.wrapping_add(160)));
    }
}

#[tokio::test]
async fn each_phone_gets_packets_as_long_as_it_asks_for() {
    let mut plane = Plane::start(30_200..=30_209).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..48].to_vec();
    for (asks, each) in [(30, 240), (60, 480), (20, 160)] {
        let offer = a.offer(Direction::Sendrecv).replace("a=ptime:20", &format!("a=ptime:{asks}"));
        let described = plane.answer(call(1), 1, LegMedia::Rtp, offer, &[]).await.unwrap();
        a.take(&described.sdp);
        let heard = listen(&mut b, &a, &payloads).await;
        assert!(heard.iter().all(|packet| packet.payload.len() == each), "{asks} ms");
        assert_eq!(heard.iter().flat_map(|packet| packet.payload.to_vec()).count(), 48 * 160, "{asks} ms: nothing is missing");
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)), "{asks} ms: one stream");
        assert_eq!(listen(&mut a, &b, &payloads).await.len(), 48, "the other one asked for nothing else");
    }
}

#[tokio::test]
async fn different_codecs_are_transcoded_both_ways() {
    let mut plane = Plane::start(30_010..=30_019).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcmu], &[Codec::Opus]).await;
    assert_eq!((a.codec, b.codec), (Codec::Pcmu, Codec::Opus));
    for direction in 0..2 {
        let (speaker, listener) = if direction == 0 { (&mut a, &b) } else { (&mut b, &a) };
        let heard = listen(speaker, listener, &speech(speaker.codec)[..100]).await;
        assert!((97..=100).contains(&heard.len()), "{}", heard.len());
        let mut decoder = Decoder::new(listener.codec).unwrap();
        let pcm: Vec<i16> = heard.iter().flat_map(|packet| decoder.decode(&packet.payload).unwrap()).collect();
        assert!(dbfs(&pcm) > -35.0, "speech is heard: {}", dbfs(&pcm));
    }
}

#[tokio::test]
async fn what_nobody_here_can_decode_is_passed_on_to_the_bit() {
    let mut plane = Plane::start(30_210..=30_219).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcmu, Codec::G729], &[Codec::G729]).await;
    assert_eq!((a.codec, b.codec), (Codec::G729, Codec::G729));
    let payloads: Vec<bytes::Bytes> = (0..50u8).map(|n| vec![n; 20].into()).collect();
    for direction in 0..2 {
        let (speaker, listener) = if direction == 0 { (&mut a, &b) } else { (&mut b, &a) };
        let heard = listen(speaker, listener, &payloads).await;
        assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()));
        assert!(heard.iter().all(|packet| packet.payload_type == 18));
    }
    listen(&mut a, &b, &payloads[..2]).await;
    a.press(7).await;
    let (event, _) = b.hear(Duration::from_millis(200)).await.unwrap();
    assert_eq!((Some(event.payload_type), event.payload[0]), (b.event, 7));
}

#[tokio::test]
async fn what_nobody_here_can_decode_is_not_offered_to_a_browser() {
    let mut plane = Plane::start(30_220..=30_229).await;
    assert!(plane.offer(call(1), 1, LegMedia::WebRtc, &[Codec::G729]).await.is_err());
    let offered = plane.offer(call(1), 2, LegMedia::WebRtc, &[Codec::Pcmu, Codec::G729]).await.unwrap();
    assert!(!offered.sdp.contains("G729"), "{}", offered.sdp);
}

#[tokio::test]
async fn keys_are_relayed_under_the_other_ends_number() {
    let mut plane = Plane::start(30_020..=30_029).await;
    let (mut a, b) = bridged(&mut plane, &[Codec::Pcmu], &[Codec::Pcmu]).await;
    let payloads = speech(Codec::Pcmu);
    listen(&mut a, &b, &payloads[..10]).await;
    a.press(5).await;
    let mut events = Vec::new();
    while let Some((packet, _)) = b.hear(Duration::from_millis(200)).await {
        events.push(packet);
    }
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|packet| Some(packet.payload_type) == b.event && packet.payload[0] == 5));
    assert!(events.iter().all(|packet| packet.timestamp == events[0].timestamp));
    assert!(events[0].marker && events[6].payload[1] & 0x80 != 0);
}

#[tokio::test]
async fn who_is_silent_on_purpose_is_heard_to_be_silent() {
    for (index, codec) in [Codec::Pcmu, Codec::Opus].into_iter().enumerate() {
        let first = 30_100 + 10 * u16::try_from(index).unwrap();
        let mut plane = Plane::start(first..=first + 9).await;
        let (mut a, b) = bridged(&mut plane, &[Codec::Pcmu], &[codec]).await;
        let payloads = speech(Codec::Pcmu)[..20].to_vec();
        let before = listen(&mut a, &b, &payloads).await;
        // One packet of comfort noise, and nothing for 3 s.
        a.rest().await;
        (0..150).for_each(|_| a.skip());
        let (mut heard, mut decoder) = (before, Decoder::new(codec).unwrap());
        for _ in 0..3 {
            let (packet, _) = b.hear(Duration::from_millis(2_000)).await.expect("a sign of life");
            if codec == Codec::Pcmu {
                assert_eq!((packet.payload_type, &packet.payload[..]), (13, &[60][..]), "as it came: it was agreed on");
            } else {
                assert_eq!(packet.payload_type, b.payload_type, "in a codec that the other end knows");
                assert!(dbfs(&decoder.decode(&packet.payload).unwrap()) < -60.0);
            }
            heard.push(packet);
        }
        heard.extend(listen(&mut a, &b, &payloads).await);
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)), "{codec}: one stream");
        let steps = heard.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed());
        assert!(steps.min() > Some(0), "{codec}: with one clock");
        assert_eq!(b.hear(Duration::from_millis(1_500)).await.map(|_| ()), None, "who speaks rests no more");
    }
}

#[tokio::test]
async fn a_held_leg_is_not_spoken_to_until_it_is_resumed() {
    let mut plane = Plane::start(30_030..=30_039).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..20].to_vec();
    for (direction, answered, passes) in
        [(Direction::Sendonly, Direction::Recvonly, false), (Direction::Sendrecv, Direction::Sendrecv, true)]
    {
        let offer = a.offer(direction);
        let described = plane.answer(call(1), 1, LegMedia::Rtp, offer, &[]).await.unwrap();
        let session = sdp::parse(&described.sdp).unwrap();
        assert_eq!(session.direction(&session.media[0]), answered);
        a.take(&described.sdp);
        assert_eq!(listen(&mut b, &a, &payloads).await.is_empty(), !passes);
        assert_eq!(listen(&mut a, &b, &payloads).await.len(), 20, "who holds may play music");
    }
}

#[tokio::test]
async fn a_phone_that_moves_by_a_new_offer_is_followed() {
    let mut plane = Plane::start(30_040..=30_049).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..10].to_vec();
    listen(&mut a, &b, &payloads).await;
    let mut moved = Phone::new(&[Codec::Pcma]).await;
    let described = plane.answer(call(1), 1, LegMedia::Rtp, moved.offer(Direction::Sendrecv), &[]).await.unwrap();
    moved.take(&described.sdp);
    assert_eq!(moved.server, a.server, "the plane's own address stays");
    assert_eq!(listen(&mut b, &moved, &payloads).await.len(), 10);
    assert_eq!(listen(&mut moved, &b, &payloads).await.len(), 10);
    // The old one is a stranger now.
    assert!(listen(&mut a, &b, &payloads).await.is_empty());
}

#[tokio::test]
async fn what_a_stranger_sends_is_not_heard() {
    let mut plane = Plane::start(30_050..=30_059).await;
    let (mut a, b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..5].to_vec();
    assert_eq!(listen(&mut a, &b, &payloads).await.len(), 5);
    let mut stranger = Phone::new(&[Codec::Pcma]).await;
    stranger.server = a.server;
    assert!(listen(&mut stranger, &b, &payloads).await.is_empty());
    tokio::time::sleep(FRAME).await;
    assert_eq!(listen(&mut a, &b, &payloads).await.len(), 5);
}

#[tokio::test]
async fn music_on_hold_takes_the_place_of_the_other_end_until_it_is_stopped() {
    let mut plane = Plane::start(30_060..=30_069).await;
    let (mut a, b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..20].to_vec();
    plane.media.send(MediaCommand::Play { leg: LegId(2), sound: Sound::HoldMusic, repeat: true });
    let mut music = Vec::new();
    while music.len() < 25 {
        a.send(payloads[music.len() % 20].clone()).await;
        music.push(b.hear(Duration::from_secs(10)).await.expect("music").0);
    }
    assert!(music.iter().all(|packet| !payloads.contains(&packet.payload)), "the other end is not heard");
    assert!(music.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    let mut decoder = Decoder::new(Codec::Pcma).unwrap();
    let pcm: Vec<i16> = music.iter().flat_map(|packet| decoder.decode(&packet.payload).unwrap()).collect();
    assert!(dbfs(&pcm) > -40.0, "{}", dbfs(&pcm));
    plane.media.send(MediaCommand::StopPlaying { leg: LegId(2) });
    while b.hear(Duration::from_millis(200)).await.is_some() {}
    let heard = listen(&mut a, &b, &payloads).await;
    assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()));
}

#[tokio::test]
async fn a_closed_leg_says_what_was_measured_of_it() {
    let mut plane = Plane::start(30_070..=30_079).await;
    let (mut a, mut b) = bridged(&mut plane, &[Codec::Pcma], &[Codec::Pcma]).await;
    let payloads = speech(Codec::Pcma)[..45].to_vec();
    let heard = listen(&mut a, &b, &payloads[..25]).await;
    (0..5).for_each(|_| a.lose());
    listen(&mut a, &b, &payloads[25..]).await;
    b.report(Block { ssrc: heard[0].ssrc, lost: 5, jitter: 80, ..Block::default() }).await;
    // What comes after the report is heard after it.
    listen(&mut b, &a, &payloads[..10]).await;
    for leg in [1, 2, 3] {
        plane.close(leg);
    }
    let callers = plane.measured(1).await.expect("figures");
    assert_eq!((callers.codec, callers.encrypted, callers.outbound), (Codec::Pcma, false, None));
    assert_eq!((callers.inbound.packets, callers.inbound.lost), (45, 5));
    let others = plane.measured(2).await.expect("figures");
    assert_eq!((others.inbound.packets, others.inbound.lost), (10, 0));
    let there = others.outbound.expect("it has reported");
    assert_eq!((there.packets, there.lost, there.jitter_ms), (40, 5, 10));
    assert!(there.mos_centi < others.inbound.mos_centi, "{others:?}");
    assert_eq!(plane.measured(3).await, None, "there was no such leg");
}

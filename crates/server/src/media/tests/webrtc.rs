use std::time::Duration;

use aftertone_exchange::{LegId, LegMedia, MediaCommand};
use aftertone_media::{Codec, container, sdp::Direction};
use bytes::Bytes;

use super::{
    desktop::Desktop,
    plane::{Phone, Plane, call, message, patience, speech},
};

/// A caller with a phone, and a called desktop: offered by us.
async fn phone_calls_desktop(plane: &mut Plane, codecs: &[Codec]) -> (Phone, Desktop) {
    let mut desktop = Desktop::new(&Codec::ALL).await;
    let offered = plane.offer(call(1), 2, LegMedia::WebRtc, codecs).await.unwrap();
    assert!(offered.sdp.contains("a=ice-lite"), "{}", offered.sdp);
    let answer = desktop.answer(&offered.sdp).await;
    let codec = plane.apply(2, answer).await.unwrap();
    assert_eq!(codec, codecs[0]);
    let phone = plane.phone(call(1), 1, codecs, &[codec]).await.unwrap();
    plane.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
    desktop.connected().await;
    (phone, desktop)
}

/// A calling desktop: answered by us, with the codec of the called phone.
async fn desktop_calls_phone(plane: &mut Plane, codecs: &[Codec]) -> (Desktop, Phone) {
    let (mut desktop, mut phone) = (Desktop::new(&Codec::ALL).await, Phone::new(codecs).await);
    let offer = desktop.offer().await;
    let offered = plane.offer(call(2), 2, LegMedia::Rtp, &Codec::ALL).await.unwrap();
    let answer = phone.answer(&offered.sdp);
    let codec = plane.apply(2, answer).await.unwrap();
    let described = plane.answer(call(2), 1, LegMedia::WebRtc, offer, &[codec]).await.unwrap();
    assert_eq!(described.codecs, [codec]);
    desktop.apply(&described.sdp).await;
    plane.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
    desktop.connected().await;
    (desktop, phone)
}

/// So many packets, and what comes within 300 ms after them.
async fn hear_all(phone: &Phone, expected: usize) -> Vec<aftertone_media::rtp::RtpPacket> {
    let mut heard = Vec::new();
    while let Some((packet, _)) = phone.hear(patience(heard.len() < expected)).await {
        heard.push(packet);
    }
    heard
}

async fn check_both_ways(phone: &mut Phone, desktop: &mut Desktop) {
    assert_eq!(phone.codec, desktop.codec());
    let payloads: Vec<Bytes> = speech(phone.codec)[10..60].to_vec();
    let (heard, ()) = tokio::join!(hear_all(phone, 50), desktop.speak(&payloads));
    assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()), "{} of 50 packets to the phone", heard.len());
    let (heard, ()) = tokio::join!(desktop.hear_all(50), phone.speak(&payloads));
    assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()), "{} of 50 packets to the desktop", heard.len());
    assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));

    desktop.press(5).await;
    let events = hear_all(phone, 7).await;
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|packet| Some(packet.payload_type) == phone.event && packet.payload[0] == 5));
    phone.press(9).await;
    let events = desktop.hear_all(7).await;
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|packet| packet.payload_type == desktop.event() && packet.payload[0] == 9));
}

#[tokio::test]
async fn a_phone_calls_a_desktop_in_opus() {
    let mut plane = Plane::start(30_100..=30_109).await;
    let (mut phone, mut desktop) = phone_calls_desktop(&mut plane, &[Codec::Opus, Codec::Pcma]).await;
    check_both_ways(&mut phone, &mut desktop).await;
    desktop.close().await;
}

#[tokio::test]
async fn a_phone_calls_a_desktop_in_g711() {
    let mut plane = Plane::start(30_110..=30_119).await;
    let (mut phone, mut desktop) = phone_calls_desktop(&mut plane, &[Codec::Pcma]).await;
    check_both_ways(&mut phone, &mut desktop).await;
    desktop.close().await;
}

#[tokio::test]
async fn a_desktop_calls_a_phone_in_opus() {
    let mut plane = Plane::start(30_120..=30_129).await;
    let (mut desktop, mut phone) = desktop_calls_phone(&mut plane, &[Codec::Opus]).await;
    check_both_ways(&mut phone, &mut desktop).await;
    desktop.close().await;
}

#[tokio::test]
async fn a_desktop_calls_a_phone_in_g711() {
    let mut plane = Plane::start(30_130..=30_139).await;
    let (mut desktop, mut phone) = desktop_calls_phone(&mut plane, &[Codec::Pcmu]).await;
    check_both_ways(&mut phone, &mut desktop).await;
    desktop.close().await;
}

#[tokio::test]
async fn a_desktop_calls_a_desktop() {
    let mut plane = Plane::start(30_140..=30_149).await;
    let (mut a, mut b) = (Desktop::new(&Codec::ALL).await, Desktop::new(&Codec::ALL).await);
    let offer = a.offer().await;
    let offered = plane.offer(call(3), 2, LegMedia::WebRtc, &[Codec::Opus, Codec::Pcma]).await.unwrap();
    let codec = plane.apply(2, b.answer(&offered.sdp).await).await.unwrap();
    let described = plane.answer(call(3), 1, LegMedia::WebRtc, offer, &[codec]).await.unwrap();
    a.apply(&described.sdp).await;
    plane.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
    tokio::join!(a.connected(), b.connected());
    let payloads = speech(Codec::Opus)[..50].to_vec();
    let (heard, ()) = tokio::join!(b.hear_all(50), a.speak(&payloads));
    assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()), "{}", heard.len());
    let (heard, ()) = tokio::join!(a.hear_all(50), b.speak(&payloads));
    assert!(heard.iter().map(|packet| &packet.payload).eq(payloads.iter()), "{}", heard.len());
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn a_desktop_leaves_a_message() {
    let payloads = speech(Codec::Opus);
    let mut plane = Plane::start(30_150..=30_159).await;
    let mut desktop = Desktop::new(&Codec::ALL).await;
    let offer = desktop.offer().await;
    let described = plane.answer(call(4), 1, LegMedia::WebRtc, offer, &[]).await.unwrap();
    assert_eq!(described.codecs, [Codec::Opus]);
    plane.deposit(call(4), 1, message(4));
    desktop.apply(&described.sdp).await;
    assert!(desktop.hear(Duration::from_secs(10)).await.is_some(), "the greeting");
    let prompts = desktop.hear_all(24 + 20).await;
    assert_eq!(1 + prompts.len(), 25 + 20, "the greeting waits for the connection");
    desktop.speak(&payloads[..150]).await;
    plane.close(1);
    assert_eq!(plane.deposited(call(4)).await, Some(message(4)));
    let (duration, file) = plane.sound(message(4)).await;
    let length = duration.as_secs_f64();
    assert!((3.2..3.7).contains(&length), "300 ms of listening and 3 s of speech: {length}");
    assert!((container::decode(&file).unwrap().duration().as_secs_f64() - length).abs() < 0.03);
    desktop.close().await;
}

/// Trickle ICE (RFC 8838): where its addresses are not in the offer, they are learned from its checks.
#[tokio::test]
async fn who_names_no_address_yet_is_connected_all_the_same() {
    let mut plane = Plane::start(30_180..=30_189).await;
    let mut desktop = Desktop::new(&Codec::ALL).await;
    let offer = desktop.offer().await;
    let offer: String = offer.split_inclusive('\n').filter(|line| !line.contains("candidate")).collect();
    let described = plane.answer(call(5), 1, LegMedia::WebRtc, offer, &[]).await.unwrap();
    plane.deposit(call(5), 1, message(5));
    desktop.apply(&described.sdp).await;
    assert!(desktop.hear(Duration::from_secs(10)).await.is_some(), "the greeting");
    desktop.close().await;
}

#[tokio::test]
async fn a_desktop_holds_and_resumes_on_its_connection() {
    let mut plane = Plane::start(30_160..=30_169).await;
    let (mut desktop, mut phone) = desktop_calls_phone(&mut plane, &[Codec::Opus]).await;
    let payloads = speech(Codec::Opus)[..25].to_vec();
    let steps = [(Direction::Sendonly, 0, 25), (Direction::Inactive, 0, 0), (Direction::Sendrecv, 25, 25)];
    for (direction, heard, said) in steps {
        let offer = desktop.offer_again(direction).await;
        let described = plane.answer(call(2), 1, LegMedia::WebRtc, offer, &[]).await.unwrap();
        desktop.apply(&described.sdp).await;
        let (came, ()) = tokio::join!(desktop.hear_all(heard), phone.speak(&payloads));
        assert_eq!(came.len(), heard, "{direction:?}");
        let (came, ()) = tokio::join!(hear_all(&phone, said), desktop.speak(&payloads));
        assert_eq!(came.len(), said, "{direction:?}");
    }
    desktop.close().await;
}

#[tokio::test]
async fn a_desktop_moves_to_a_new_connection() {
    let mut plane = Plane::start(30_170..=30_179).await;
    let (old, mut phone) = desktop_calls_phone(&mut plane, &[Codec::Opus]).await;
    let mut desktop = Desktop::new(&Codec::ALL).await;
    let offer = desktop.offer().await;
    let described = plane.answer(call(2), 1, LegMedia::WebRtc, offer, &[Codec::Opus]).await.unwrap();
    desktop.apply(&described.sdp).await;
    desktop.connected().await;
    check_both_ways(&mut phone, &mut desktop).await;
    old.close().await;
    desktop.close().await;
}

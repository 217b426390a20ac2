use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::MediaFailure;
use aftertone_media::{
    Codec,
    codec::alaw_decode,
    container::{self, WAV_HEADER_LEN},
    rtp::RtpPacket,
    sdp::Direction,
};
use aftertone_model::{Fullness, MessageAction, OwnKeeping, Timestamp};
use bytes::Bytes;
use tokio::{
    task::yield_now,
    time::{sleep, sleep_until},
};

use super::plane::{FRAME, Phone, Plane, Room, call, message, speech, tone_greetings};
use crate::media::{
    Greetings,
    deposit::DepositRun,
    describe::{Agreed, read_rtp_offer},
    stream::SendStream,
};

/// Half a second of greeting, and the beep of 400 ms.
const PROMPTS: usize = 25 + 20;

fn close_to(left: Duration, right: Duration, within_ms: u64) {
    assert!(left.abs_diff(right) <= Duration::from_millis(within_ms), "{left:?} instead of {right:?}");
}

/// The sound of a WAV file: what its header says, which is all but the padding.
fn wav_data(file: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(file[WAV_HEADER_LEN - 4..WAV_HEADER_LEN].try_into().unwrap()) as usize;
    assert!((WAV_HEADER_LEN + length).next_multiple_of(2) == file.len(), "the header fits the file");
    &file[WAV_HEADER_LEN..WAV_HEADER_LEN + length]
}

#[tokio::test]
async fn a_caller_leaves_a_message_that_is_kept_to_the_bit() {
    let payloads = speech(Codec::Pcmu);
    let mut plane = Plane::start(31_000..=31_009).await;
    let mut phone = plane.phone(call(1), 1, &[Codec::Pcmu, Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(1), 1, message(1));
    let (heard, begun) = phone.hear_prompts(PROMPTS).await;
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
    // The caller takes a breath, speaks, and hangs up.
    sleep_until((begun + Duration::from_millis(300)).into()).await;
    let breath = begun.elapsed();
    phone.speak(&payloads).await;
    let hung_up = Instant::now();
    plane.close(1);
    assert_eq!(plane.deposited(call(1)).await, Some(message(1)));
    let (duration, file) = plane.sound(message(1)).await;
    close_to(duration, hung_up - begun, 200);
    let (sound, spoken) = (wav_data(&file), payloads.concat());
    assert!(sound.ends_with(&spoken), "every byte of it");
    let at = sound.len() - spoken.len();
    assert!(sound[..at].iter().all(|byte| *byte == 0xff), "silence before it");
    close_to(Duration::from_micros(at as u64 * 125), breath, 200);
    assert_eq!(container::decode(&file).unwrap().samples.len(), sound.len());
}

/// The hang-up comes by another socket than the sound, and may be read first.
#[tokio::test]
async fn the_last_packets_are_kept_though_the_hang_up_overtakes_them() {
    const CALLS: u64 = 8;
    let payloads = speech(Codec::Pcmu);
    let (said, last) = payloads[..60].split_at(55);
    let mut plane = Plane::start(32_100..=32_119).await;
    let mut phones = Vec::new();
    for leg in 1..=CALLS {
        phones.push(plane.phone(call(leg.into()), leg, &[Codec::Pcmu], &[]).await.unwrap());
        plane.deposit(call(leg.into()), leg, message(leg.into()));
    }
    futures_util::future::join_all(phones.iter_mut().map(async |phone| {
        phone.hear_prompts(PROMPTS).await;
        phone.speak(said).await;
    }))
    .await;
    for (leg, phone) in (1..=CALLS).zip(&mut phones) {
        for payload in last {
            phone.send(payload.clone()).await;
        }
        plane.close(leg);
        assert_eq!(plane.deposited(call(leg.into())).await, Some(message(leg.into())));
        let (_, file) = plane.sound(message(leg.into())).await;
        assert!(wav_data(&file).ends_with(&last.concat()), "every byte of call {leg}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_before_the_greeting_and_the_owner_sees_it() {
    let greetings = tone_greetings(25);
    let mut plane = Plane::start_on(31_160..=31_169, 1, greetings.clone(), Room::None).await;
    let phone = plane.phone(call(20), 1, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(20), 1, message(20));
    let wav = container::decode(&greetings.unavailable_en).unwrap();
    let pcm = aftertone_media::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let expected = crate::media::prompts::frames(Codec::Pcmu, pcm).unwrap();
    let (heard, _) = phone.hear_prompts(expected.len()).await;
    let heard: Vec<_> = heard.into_iter().map(|packet| packet.payload).collect();
    assert!(heard[..] == expected[..], "the announcement, whole, and nothing else");
    plane.deposit_over(1).await;
    assert_eq!(plane.deposited(call(20)).await, None);
    let record = plane.store.call_records(plane.mailbox, None, 9).await.unwrap().remove(0);
    assert_eq!((record.end, record.message), (aftertone_model::EndReason::NoRoom, None));
    assert!(record.is_missed());
}

#[tokio::test]
async fn a_full_mailbox_is_said_before_the_greeting_and_what_runs_is_not_cut_short() {
    let payloads = speech(Codec::Pcmu);
    let greetings = tone_greetings(25);
    let mut plane = Plane::start_with(31_170..=31_179, 2, greetings.clone()).await;
    let quota = |quota_s| OwnKeeping { quota_s: Some(quota_s), ..OwnKeeping::default() };
    plane.store.put_own_keeping(plane.mailbox, quota(2), Timestamp::now()).await.unwrap();
    // Two callers at once: there is room when both begin, and the second ends long after the first has filled it.
    let mut first = plane.phone(call(21), 1, &[Codec::Pcmu], &[]).await.unwrap();
    let mut second = plane.phone(call(22), 2, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(21), 1, message(21));
    plane.deposit(call(22), 2, message(22));
    first.hear_prompts(PROMPTS).await;
    first.speak(&payloads).await;
    plane.close(1);
    assert_eq!(plane.deposited(call(21)).await, Some(message(21)));
    assert_eq!(plane.store.room(plane.mailbox).await.unwrap().fullness, Fullness::Full);
    second.speak(&payloads).await;
    plane.close(2);
    assert_eq!(plane.deposited(call(22)).await, Some(message(22)));
    let (_, file) = plane.sound(message(22)).await;
    assert!(wav_data(&file).ends_with(&payloads.concat()), "every byte of it, beyond the quota");

    let third = plane.phone(call(23), 3, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(23), 3, message(23));
    let wav = container::decode(&greetings.full_en).unwrap();
    let pcm = aftertone_media::resample::resample(&wav.samples, wav.rate, 8_000).unwrap();
    let expected = crate::media::prompts::frames(Codec::Pcmu, pcm).unwrap();
    let (heard, _) = third.hear_prompts(expected.len()).await;
    let heard: Vec<_> = heard.into_iter().map(|packet| packet.payload).collect();
    assert!(heard[..] == expected[..], "the announcement of a full mailbox, whole, and nothing else");
    plane.deposit_over(3).await;
    assert_eq!(plane.deposited(call(23)).await, None);
    let log = plane.store.call_records(plane.mailbox, None, 9).await.unwrap();
    let record = log.into_iter().find(|record| record.call == call(23)).unwrap();
    assert_eq!((record.end, record.message), (aftertone_model::EndReason::MailboxFull, None));
    assert!(record.is_missed());

    // Somebody deletes, and the next one gets in at once.
    let delete = MessageAction::Delete;
    plane.store.act(plane.mailbox, message(21), delete, &"k1".parse().unwrap(), Timestamp::now()).await.unwrap();
    plane.store.act(plane.mailbox, message(22), delete, &"k2".parse().unwrap(), Timestamp::now()).await.unwrap();
    let mut fourth = plane.phone(call(24), 4, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(24), 4, message(24));
    fourth.hear_prompts(PROMPTS).await;
    fourth.speak(&payloads).await;
    plane.close(4);
    assert_eq!(plane.deposited(call(24)).await, Some(message(24)));
}

/// Whoever finds the port, be it on the caller's own machine: packets that look like theirs, of no format, and empty ones.
#[tokio::test]
async fn what_strangers_send_into_a_deposit_is_not_recorded_and_a_flood_hurts_nobody() {
    let payloads = speech(Codec::Pcmu);
    let mut plane = Plane::start_with(31_180..=31_189, 1, tone_greetings(25)).await;
    let mut phone = plane.phone(call(25), 1, &[Codec::Pcmu], &[]).await.unwrap();
    let mut neighbour = plane.phone(call(26), 2, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(25), 1, message(25));
    plane.deposit(call(26), 2, message(26));
    // As phones do, it sends its silence from the answer on: it is known by then.
    phone.send(Bytes::from(vec![0xff; 160])).await;
    phone.hear_prompts(PROMPTS).await;
    let (_, begun) = neighbour.hear_prompts(PROMPTS).await;
    sleep_until((begun + Duration::from_millis(300)).into()).await;
    let at = phone.server;
    // As much as sixty callers send, for as long as this one speaks.
    let flood = tokio::spawn(async move {
        let mut stranger = Phone::new(&[Codec::Pcmu]).await;
        stranger.server = at;
        let noise = [Bytes::from(vec![0x55; 160]), Bytes::from(vec![0; 1_400]), Bytes::new()];
        let mut pace = tokio::time::interval(FRAME);
        loop {
            pace.tick().await;
            for n in 0..30 {
                stranger.send(noise[n % 3].clone()).await;
                stranger.socket.send_to(&noise[1], at).await.unwrap();
            }
        }
    });
    tokio::join!(phone.speak(&payloads), neighbour.speak(&payloads));
    flood.abort();
    plane.close(1);
    plane.close(2);
    for number in [25, 26] {
        assert_eq!(plane.deposited(call(number)).await, Some(message(number)));
        let (_, file) = plane.sound(message(number)).await;
        let (sound, spoken) = (wav_data(&file), payloads.concat());
        let heard = payloads.iter().filter(|payload| sound.windows(payload.len()).any(|part| part == &payload[..])).count();
        assert_eq!(heard, payloads.len(), "every packet of {number}");
        assert!(sound.ends_with(&spoken), "every byte of {number}, in {} bytes of {}", sound.len(), spoken.len());
        let before = &sound[..sound.len() - spoken.len()];
        assert!(before.iter().all(|byte| *byte == 0xff), "and nothing of anybody else's");
    }
}

#[tokio::test]
async fn the_greeting_keeps_its_pace() {
    let mut plane = Plane::start_with(31_010..=31_019, 1, Greetings::bundled()).await;
    let phone = plane.phone(call(2), 1, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(2), 1, message(2));
    let (first, start) = phone.hear(Duration::from_secs(10)).await.unwrap();
    let mut worst = Duration::ZERO;
    let mut packets = 1_u32;
    while let Some((packet, at)) = phone.hear(Duration::from_millis(200)).await {
        assert_eq!(packet.timestamp.wrapping_sub(first.timestamp), packets * 160);
        worst = worst.max((at - start).abs_diff(FRAME * packets));
        packets += 1;
    }
    assert!(packets > 370 + 20, "{packets}");
    // On a machine that does other things too: a pace that drifts is off by far more after 390 packets.
    assert!(worst < Duration::from_millis(300), "{worst:?} off in {packets} packets");
    plane.close(1);
    assert_eq!(plane.deposited(call(2)).await, None, "nothing was said");
}

#[tokio::test]
async fn who_speaks_before_the_greeting_does_not_delay_it() {
    let mut plane = Plane::start(31_070..=31_079).await;
    let first = plane.phone(call(8), 1, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(8), 1, message(8));
    first.hear_prompts(1).await;
    // The prompts are ready now, and the second caller sends more often than anybody looks at the time.
    let mut second = plane.phone(call(9), 2, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(9), 2, message(9));
    let start = Instant::now();
    let greeted = loop {
        second.send(Bytes::from(vec![0xd5; 160])).await;
        match second.hear(Duration::from_millis(5)).await {
            Some((_, at)) => break at - start,
            None => assert!(start.elapsed() < Duration::from_secs(3), "no greeting"),
        }
    };
    close_to(greeted, Duration::from_millis(310), 500);
}

/// A file of a tone of almost two seconds, after whose 100 packets the beep comes.
#[tokio::test]
async fn a_greeting_of_ones_own_is_played_or_else_that_of_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("greeting.ogg");
    let tone = |n: i32| ((f64::from(n) * 700.0 * std::f64::consts::TAU / 8_000.0).sin() * 9_000.0) as i16;
    let pcm = container::Pcm { samples: (0..15_920).map(tone).collect(), rate: 8_000 };
    std::fs::write(&file, container::encode_ogg_opus(&pcm).unwrap()).unwrap();
    std::fs::write(folder.path().join("broken.ogg"), b"OggS and nothing more").unwrap();
    // The account's greeting has ten packets, and the beep twenty.
    for (name, packets) in [("greeting.ogg", 100 + 20), ("gone.ogg", 10 + 20), ("broken.ogg", 10 + 20)] {
        let mut plane = Plane::start_with(31_080..=31_089, 1, tone_greetings(10)).await;
        plane.greeting = Some(aftertone_exchange::Sound::File(folder.path().join(name)));
        let mut phone = plane.phone(call(10), 1, &[Codec::Pcma], &[]).await.unwrap();
        plane.deposit(call(10), 1, message(10));
        let (heard, _) = phone.hear_prompts(packets).await;
        assert!(phone.hear(Duration::from_millis(300)).await.is_none(), "{name}: more than {packets} packets");
        let greeting: Vec<i16> =
            heard[..packets - 20].iter().flat_map(|packet| packet.payload.iter().map(|b| alaw_decode(*b))).collect();
        let turns = greeting.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        let is_own = turns.abs_diff(2_800) < 60;
        assert_eq!(is_own, name == "greeting.ogg", "{name}: {turns} zero crossings");
        phone.press(11).await;
        plane.deposit_over(1).await;
        plane.close(1);
        assert_eq!(plane.deposited(call(10)).await, None);
        assert!(plane.media.shutdown(Duration::from_secs(5)).await);
    }
}

/// The account's greeting of ten packets comes after a name of forty, which comes before no other.
#[tokio::test]
async fn the_spoken_name_is_said_before_the_greeting_of_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let tone = |n: i32| ((f64::from(n) * 700.0 * std::f64::consts::TAU / 8_000.0).sin() * 9_000.0) as i16;
    for (name, samples) in [("name.ogg", 6_320), ("greeting.ogg", 15_920)] {
        let pcm = container::Pcm { samples: (0..samples).map(tone).collect(), rate: 8_000 };
        std::fs::write(folder.path().join(name), container::encode_ogg_opus(&pcm).unwrap()).unwrap();
    }
    let file = |name: &str| Some(aftertone_exchange::Sound::File(folder.path().join(name)));
    let greetings = [(None, "name.ogg", 40 + 10), (None, "gone.ogg", 10), (file("greeting.ogg"), "name.ogg", 100)];
    for (greeting, name, packets) in greetings {
        let mut plane = Plane::start_with(31_190..=31_199, 1, tone_greetings(10)).await;
        (plane.greeting, plane.spoken_name) = (greeting, file(name));
        let mut phone = plane.phone(call(11), 1, &[Codec::Pcma], &[]).await.unwrap();
        plane.deposit(call(11), 1, message(11));
        // The beep has twenty.
        phone.hear_prompts(packets + 20).await;
        assert!(phone.hear(Duration::from_millis(300)).await.is_none(), "more than {packets} packets and the beep");
        phone.press(11).await;
        plane.deposit_over(1).await;
        plane.close(1);
        assert_eq!(plane.deposited(call(11)).await, None);
        assert!(plane.media.shutdown(Duration::from_secs(5)).await);
    }
}

#[tokio::test]
async fn the_hash_key_skips_the_greeting_and_ends_the_message() {
    let payloads = speech(Codec::Opus);
    let mut plane = Plane::start_with(31_020..=31_029, 1, tone_greetings(500)).await;
    let mut phone = plane.phone(call(3), 1, &[Codec::Opus], &[]).await.unwrap();
    assert_eq!(phone.codec, Codec::Opus);
    plane.deposit(call(3), 1, message(3));
    let (_, _) = phone.hear_prompts(10).await;
    phone.press(11).await;
    let start = Instant::now();
    while phone.hear(Duration::from_millis(300)).await.is_some() {}
    assert!(start.elapsed() < Duration::from_secs(3), "the greeting of ten seconds was skipped");
    let begun = Instant::now() - Duration::from_millis(300);
    phone.speak(&payloads[..150]).await;
    phone.press(11).await;
    plane.deposit_over(1).await;
    let ended = Instant::now();
    assert_eq!(plane.deposited(call(3)).await, Some(message(3)));
    plane.close(1);
    let (duration, file) = plane.sound(message(3)).await;
    close_to(duration, ended - begun, 300);
    let pcm = container::decode(&file).unwrap();
    close_to(pcm.duration(), duration, 30);
}

#[tokio::test]
async fn who_presses_the_hash_key_at_once_hears_the_beep_and_leaves_a_message() {
    let payloads = speech(Codec::Pcmu);
    let mut plane = Plane::start_with(31_080..=31_089, 1, tone_greetings(500)).await;
    let mut phone = plane.phone(call(10), 1, &[Codec::Pcmu], &[]).await.unwrap();
    plane.deposit(call(10), 1, message(10));
    phone.press(11).await;
    let start = Instant::now();
    phone.hear_prompts(20).await;
    assert_eq!(phone.hear(Duration::from_millis(300)).await.map(|_| ()), None, "only the beep, after {:?}", start.elapsed());
    phone.speak(&payloads[..150]).await;
    plane.close(1);
    assert_eq!(plane.deposited(call(10)).await, Some(message(10)));
}

/// A worker that was held up over the end of the beep sends that late; the recording begins after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_held_up_adds_no_silence() {
    let mut plane = Plane::start(31_090..=31_099).await;
    let shared = Arc::clone(&plane.media.shared);
    while shared.prompts.get(Codec::Pcmu).is_none() {
        yield_now().await;
    }
    let mut run = DepositRun::new(plane.order(call(11), message(11)), Codec::Pcmu, shared).unwrap();
    let offer = Phone::new(&[Codec::Pcmu]).await.offer(Direction::Sendrecv);
    let agreed = Agreed::answered(&read_rtp_offer(&offer, &[]).unwrap().1);
    let (mut stream, mut now, mut sent) = (SendStream::new(5), Instant::now(), 0);
    while sent < PROMPTS {
        let packets = run.handle_timeout(true, &agreed, &mut stream, now).packets.len();
        // Between greeting and beep it waits for the disk, and no time passes here.
        if packets == 0 && sent > 0 {
            yield_now().await;
        } else {
            now += FRAME;
        }
        sent += packets;
    }
    now += Duration::from_millis(170);
    run.handle_timeout(true, &agreed, &mut stream, now);
    for (n, payload) in (0..100).zip(speech(Codec::Pcmu)) {
        now += FRAME;
        let packet = RtpPacket { marker: false, payload_type: 0, sequence: n, timestamp: u32::from(n) * 160, ssrc: 4, payload };
        run.handle_packet(&packet, &agreed, &mut stream, now);
    }
    run.end(false, now);
    assert_eq!(plane.deposited(call(11)).await, Some(message(11)));
    assert_eq!(plane.sound(message(11)).await.0, Duration::from_secs(2), "what was said, and nothing before it");
}

#[tokio::test]
async fn less_than_a_second_of_sound_is_a_call_and_no_message() {
    let mut plane = Plane::start(31_030..=31_039).await;
    let mut phone = plane.phone(call(4), 1, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(4), 1, message(4));
    phone.hear_prompts(PROMPTS).await;
    phone.speak(&vec![Bytes::from(vec![0xd5; 160]); 100]).await;
    plane.close(1);
    assert_eq!(plane.deposited(call(4)).await, None);
    let records = plane.store.call_records(plane.mailbox, None, 10).await.unwrap();
    assert_eq!((records.len(), records[0].message), (1, None));
}

#[tokio::test]
async fn who_hangs_up_in_the_greeting_leaves_a_missed_call() {
    let mut plane = Plane::start(31_040..=31_049).await;
    let phone = plane.phone(call(5), 1, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(5), 1, message(5));
    phone.hear_prompts(5).await;
    plane.close(1);
    assert_eq!(plane.deposited(call(5)).await, None);
    assert_eq!(plane.store.call_records(plane.mailbox, None, 10).await.unwrap().len(), 1);
    assert!(plane.store.messages(plane.mailbox, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_shutdown_keeps_what_was_said_so_far() {
    let payloads = speech(Codec::Pcma);
    let mut plane = Plane::start(31_050..=31_059).await;
    let mut phone = plane.phone(call(6), 1, &[Codec::Pcma], &[]).await.unwrap();
    plane.deposit(call(6), 1, message(6));
    phone.hear_prompts(PROMPTS).await;
    phone.speak(&payloads[..150]).await;
    assert!(plane.media.shutdown(Duration::from_secs(5)).await);
    let messages = plane.store.messages(plane.mailbox, None, 10).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].interrupted);
    close_to(Duration::from_millis(messages[0].duration_ms), Duration::from_secs(3), 200);
}

#[tokio::test]
async fn fifty_callers_leave_messages_at_once() {
    const CALLERS: u64 = 50;
    // Room for fifty, and not for one more.
    let mut plane = Plane::start_with(32_000..=32_099, 2, tone_greetings(25)).await;
    let mut phones = Vec::new();
    for n in 0..CALLERS {
        phones.push(plane.phone(call(100 + u128::from(n)), n, &[Codec::Pcmu], &[]).await.unwrap());
    }
    assert_eq!(plane.phone(call(99), 99, &[Codec::Pcmu], &[]).await.map(|_| ()), Err(MediaFailure::Exhausted));
    let payloads = speech(Codec::Pcmu);
    for n in 0..CALLERS {
        plane.deposit(call(100 + u128::from(n)), n, message(u128::from(n)));
    }
    let callers = phones.into_iter().enumerate().map(|(n, mut phone)| {
        // Everybody says something else.
        let said: Vec<Bytes> = payloads[n..n + 150].to_vec();
        tokio::spawn(async move {
            phone.hear_prompts(PROMPTS).await;
            sleep(Duration::from_millis(100)).await;
            phone.speak(&said).await;
            said.concat()
        })
    });
    let callers: Vec<_> = callers.collect();
    for (n, caller) in (0..CALLERS).zip(callers) {
        let said = caller.await.unwrap();
        plane.close(n);
        let id = message(u128::from(n));
        assert_eq!(plane.deposited(call(100 + u128::from(n))).await, Some(id));
        let (_, file) = plane.sound(id).await;
        assert!(wav_data(&file).ends_with(&said), "caller {n}: every byte of it");
    }
    assert!(plane.phone(call(99), 99, &[Codec::Pcmu], &[]).await.is_ok(), "the ports are free again");
}

#[tokio::test]
async fn an_offer_without_a_common_codec_is_refused() {
    let mut plane = Plane::start(31_060..=31_069).await;
    let mut phone = Phone::new(&[Codec::Pcmu]).await;
    let offer = phone.offer(Direction::Sendrecv).replace("RTP/AVP 0", "RTP/AVP 18").replace("0 PCMU/8000", "18 G729/8000");
    let answer = plane.answer(call(7), 1, aftertone_exchange::LegMedia::Rtp, offer, &[]).await;
    assert!(matches!(answer, Err(MediaFailure::Unacceptable(_))), "{answer:?}");
    assert!(plane.phone(call(7), 2, &[Codec::Pcmu], &[]).await.is_ok());
}

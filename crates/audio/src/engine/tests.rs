use std::sync::{Mutex, PoisonError};

use super::*;
use crate::{Clip, Frame, Microphone, Player, SAMPLE_RATE, Speaker, double::Desk};

/// An engine on the double's devices, in virtual time.
struct World {
    now: Instant,
    desk: Desk,
    engine: Engine,
    failures: Arc<Mutex<Vec<Failure>>>,
    events: Vec<SoundEvent>,
}

impl World {
    /// A headset, plugged in first and so the default, and a loudspeaker; the microphones alike.
    fn new() -> Self {
        let desk = Desk::default();
        desk.plug_in(Use::Speaker, "headset");
        desk.plug_in(Use::Speaker, "loudspeaker");
        desk.plug_in(Use::Microphone, "headset-mic");
        desk.plug_in(Use::Microphone, "webcam");
        let failures = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&failures);
        let report: Report = Arc::new(move |failure| told.lock().unwrap_or_else(PoisonError::into_inner).push(failure));
        let now = Instant::now();
        let engine = Engine::new(Box::new(desk.host()), report, now);
        Self { now, desk, engine, failures, events: Vec::new() }
    }

    fn play(&mut self, usage: Use, clip: Clip) -> Player {
        let (player, source) = Player::new(clip, self.engine.interest(usage));
        self.engine.handle_source(usage, source, self.now);
        player
    }

    fn speaker(&mut self) -> Speaker {
        let (speaker, source) = Speaker::new(self.engine.interest(Use::Speaker));
        self.engine.handle_source(Use::Speaker, source, self.now);
        speaker
    }

    fn microphone(&mut self) -> Microphone {
        let (microphone, ring) = Microphone::new(self.engine.interest(Use::Microphone));
        self.engine.handle_listener(ring, self.now);
        microphone
    }

    /// Lets time pass in steps of 10 ms.
    fn pass(&mut self, ms: u64) {
        self.pass_with(ms, || {});
    }

    fn pass_with(&mut self, ms: u64, mut each: impl FnMut()) {
        for _ in 0..ms / 10 {
            each();
            self.now += Duration::from_millis(10);
            self.desk.pass(Duration::from_millis(10));
            let failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
            failures.into_iter().for_each(|failure| self.engine.handle_failed(failure, self.now));
            if self.now >= self.engine.poll_timeout() {
                self.engine.handle_timeout(self.now);
            }
            self.events.extend(self.engine.poll_events());
        }
    }

    fn opened(&mut self) -> Vec<(Use, Option<String>, bool)> {
        let events = std::mem::take(&mut self.events);
        let opened = events.into_iter().filter_map(|event| match event {
            SoundEvent::Opened { usage, device, fallback, name: _ } => Some((usage, device, fallback)),
            SoundEvent::Devices(_) | SoundEvent::Lost { .. } | SoundEvent::Unavailable { .. } => None,
        });
        opened.collect()
    }
}

fn tone(ms: usize) -> Vec<i16> {
    let step = std::f32::consts::TAU * 440.0 / SAMPLE_RATE as f32;
    (0..ms * 48).map(|i| (8_000.0 * (step * i as f32).sin()) as i16).collect()
}

fn frame(value: i16) -> Frame {
    [value; crate::FRAME_SAMPLES]
}

fn is_loud(pcm: &[i16]) -> bool {
    aftertone_media::level::dbfs(pcm) > -20.0
}

#[test]
fn a_device_is_open_while_it_is_used_and_a_moment_longer() {
    let mut world = World::new();
    assert!(world.desk.open().is_empty());
    let player = world.play(Use::Speaker, Clip::new(tone(500)));
    assert_eq!(world.desk.open(), ["headset"]);
    world.pass(600);
    assert!(player.is_over());
    drop(player);
    world.pass(2_400);
    assert_eq!(world.desk.open(), ["headset"]);
    world.pass(2_700);
    assert!(world.desk.open().is_empty());
}

#[test]
fn a_message_is_heard_whole_and_says_how_much_was() {
    let mut world = World::new();
    let samples = tone(1_000);
    let player = world.play(Use::Speaker, Clip::new(samples.clone()));
    world.pass(400);
    assert_eq!((player.position(), player.heard()), (Duration::from_millis(400), Duration::from_millis(400)));
    world.pass(700);
    assert_eq!((player.position(), player.heard(), player.is_over()), (Duration::from_secs(1), Duration::from_secs(1), true));
    let heard = world.desk.heard("headset");
    // After the fade-in of 5 ms it is the same, sample by sample.
    assert_eq!(heard[240..48_000], samples[240..]);
    assert!(heard[48_000..].iter().all(|&s| s == 0));
}

#[test]
fn pausing_and_seeking_without_clicks() {
    let mut world = World::new();
    let player = world.play(Use::Speaker, Clip::new(tone(10_000)));
    world.pass(500);
    player.pause();
    world.pass(300);
    let paused = player.position();
    assert!(paused > Duration::from_millis(500) && paused < Duration::from_millis(510), "{paused:?}");
    world.pass(300);
    assert_eq!((player.position(), player.is_paused()), (paused, true));
    player.seek(Duration::from_secs(8));
    assert_eq!(player.position(), Duration::from_secs(8));
    world.pass(100);
    assert_eq!(player.position(), Duration::from_secs(8));
    player.resume();
    world.pass(1_000);
    assert_eq!(player.position(), Duration::from_secs(9));
    player.seek(Duration::from_secs(2));
    world.pass(500);
    assert!(
        player.position() > Duration::from_millis(2_480) && player.position() <= Duration::from_millis(2_500),
        "{:?}",
        player.position()
    );
    assert!(
        player.heard() > Duration::from_millis(1_990) && player.heard() < Duration::from_millis(2_020),
        "{:?}",
        player.heard()
    );
    let heard = world.desk.heard("headset");
    let jump = heard.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max();
    assert!(jump.is_some_and(|jump| jump < 600), "{jump:?}");
}

#[test]
fn a_muted_message_was_not_heard() {
    let mut world = World::new();
    let player = world.play(Use::Speaker, Clip { volume: 0, ..Clip::new(tone(1_000)) });
    world.pass(300);
    assert_eq!((player.heard(), player.position()), (Duration::ZERO, Duration::from_millis(300)));
    player.set_volume(50);
    world.pass(300);
    assert_eq!(player.heard(), Duration::from_millis(300));
    let heard = world.desk.heard("headset");
    let level = |pcm: &[i16]| aftertone_media::level::dbfs(pcm);
    let expected = level(&tone(1_000)) - 6.02;
    assert!((level(&heard[15_000..]) - expected).abs() < 0.1, "{} {expected}", level(&heard[15_000..]));
}

#[test]
fn a_ringtone_repeats_on_its_own_device_until_it_is_stopped() {
    let mut world = World::new();
    world.engine.handle_choice(Use::Ringer, Some("loudspeaker".into()), world.now);
    let ring = world.play(Use::Ringer, Clip::repeating(crate::ringtone()));
    world.pass(9_500);
    assert_eq!(world.desk.open(), ["loudspeaker"]);
    let heard = world.desk.heard("loudspeaker");
    let seconds: Vec<bool> = heard.chunks(24_000).map(|half| aftertone_media::level::dbfs(half) > -25.0).collect();
    assert_eq!(seconds[..6], [true, true, false, false, false, false]);
    assert_eq!(seconds[6..12], seconds[..6]);
    assert!(!ring.is_over());
    drop(ring);
    world.pass(500);
    let after = world.desk.heard("loudspeaker");
    assert!(after[480..].iter().all(|&s| s == 0));
}

#[test]
fn sounds_are_added_and_never_wrap_around() {
    let mut world = World::new();
    let loud = Clip::new(vec![30_000; 48_000]);
    let _first = world.play(Use::Speaker, loud.clone());
    let _second = world.play(Use::Speaker, loud);
    world.pass(100);
    assert!(world.desk.heard("headset")[480..].iter().all(|&s| s == i16::MAX));
}

#[test]
fn a_call_is_heard_and_spoken_in_frames() {
    let mut world = World::new();
    let (mut speaker, mut microphone) = (world.speaker(), world.microphone());
    world.desk.speak("headset-mic", &tone(2_000));
    let (mut captured, mut silent) = (Vec::new(), 0);
    let sent = tone(1_000);
    let mut frames = sent.chunks_exact(480);
    world.pass_with(1_000, || {
        if let Some(frame) = frames.next() {
            assert!(speaker.write(frame.try_into().unwrap_or(&[0; 480])));
        }
        let mut frame = frame(1);
        silent += usize::from(!microphone.read(&mut frame));
        captured.extend_from_slice(&frame);
    });
    assert!(silent <= 4, "{silent} frames until the microphone began");
    assert!(is_loud(&captured[9_600..]));
    let heard = world.desk.heard("headset");
    assert!(is_loud(&heard[9_600..45_000]));
    assert_eq!(speaker.dropped(), 0);
}

#[test]
fn several_listen_to_one_microphone() {
    let mut world = World::new();
    let mut microphones = [world.microphone(), world.microphone()];
    world.desk.speak("headset-mic", &[5_000; 48_000]);
    world.pass(100);
    let mut frame = frame(0);
    assert!(microphones.iter_mut().all(|m| m.read(&mut frame) && m.read(&mut frame) && frame[400] == 5_000));
    assert_eq!(world.desk.open(), ["headset-mic"]);
}

#[test]
fn pulling_the_headset_out_moves_the_call_to_the_loudspeaker_and_back() {
    let mut world = World::new();
    world.engine.handle_choice(Use::Speaker, Some("headset".into()), world.now);
    let player = world.play(Use::Speaker, Clip::new(tone(60_000)));
    world.pass(1_000);
    assert_eq!(world.opened(), [(Use::Speaker, Some("headset".into()), false)]);
    world.desk.pull_out("headset");
    world.pass(1_000);
    assert_eq!(world.desk.open(), ["loudspeaker"]);
    assert_eq!(world.opened(), [(Use::Speaker, None, true)]);
    assert!(is_loud(&world.desk.heard("loudspeaker")));
    // It went on where it was.
    assert!((1_980..=2_000).contains(&player.position().as_millis()), "{:?}", player.position());
    world.desk.plug_in(Use::Speaker, "headset");
    world.pass(2_500);
    assert_eq!(world.desk.open(), ["headset"]);
    assert_eq!(world.opened(), [(Use::Speaker, Some("headset".into()), false)]);
    assert!((4_400..=4_500).contains(&player.position().as_millis()), "{:?}", player.position());
}

#[test]
fn a_device_that_vanishes_without_a_word_is_noticed() {
    let mut world = World::new();
    world.engine.handle_choice(Use::Microphone, Some("webcam".into()), world.now);
    let _microphone = world.microphone();
    assert_eq!(world.desk.open(), ["webcam"]);
    world.engine.devices.inputs.retain(|d| d.id != "webcam");
    // As a host that lists it no more but tells no stream.
    world.engine.tend(world.now);
    assert_eq!(world.desk.open(), ["headset-mic"]);
}

#[test]
fn without_any_device_it_waits_for_one() {
    let mut world = World::new();
    world.desk.pull_out("headset");
    world.desk.pull_out("loudspeaker");
    let player = world.play(Use::Speaker, Clip::new(tone(5_000)));
    world.pass(3_000);
    assert_eq!(player.position(), Duration::ZERO);
    let unavailable = SoundEvent::Unavailable { usage: Use::Speaker, error: OpenError::NotThere };
    assert_eq!(world.events.iter().filter(|e| **e == unavailable).count(), 1);
    world.desk.plug_in(Use::Speaker, "monitor");
    world.pass(2_000);
    assert!(is_loud(&world.desk.heard("monitor")) && player.position() > Duration::from_millis(900));
}

#[test]
fn what_was_stopped_without_a_device_is_not_heard_later() {
    let mut world = World::new();
    world.desk.pull_out("headset");
    world.desk.pull_out("loudspeaker");
    for _ in 0..100 {
        let player = world.play(Use::Speaker, Clip::new(tone(100)));
        world.pass(50);
        drop(player);
    }
    world.pass(1_100);
    world.desk.plug_in(Use::Speaker, "monitor");
    world.pass(3_000);
    assert!(world.desk.open().is_empty() && world.desk.heard("monitor").is_empty());
    let _player = world.play(Use::Speaker, Clip::new(tone(1_000)));
    world.pass(500);
    assert!(is_loud(&world.desk.heard("monitor")));
}

#[test]
fn a_busy_device_is_replaced_and_tried_again() {
    let mut world = World::new();
    world.desk.set_broken("loudspeaker", true);
    world.engine.handle_choice(Use::Speaker, Some("loudspeaker".into()), world.now);
    let _player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    assert_eq!(world.desk.open(), ["headset"]);
    world.desk.set_broken("loudspeaker", false);
    world.pass(5_000);
    assert_eq!(world.desk.open(), ["headset"]);
    world.pass(8_000);
    assert_eq!(world.desk.open(), ["loudspeaker"]);
}

#[test]
fn choosing_moves_what_plays_at_once() {
    let mut world = World::new();
    let _player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    world.pass(100);
    world.engine.handle_choice(Use::Speaker, Some("loudspeaker".into()), world.now);
    assert_eq!(world.desk.open(), ["loudspeaker"]);
    world.engine.handle_choice(Use::Speaker, None, world.now);
    assert_eq!(world.desk.open(), ["headset"]);
}

#[test]
fn a_failure_of_an_earlier_stream_does_no_harm() {
    let mut world = World::new();
    let _player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    world.engine.handle_failed((Use::Speaker, 0), world.now);
    assert!(!world.engine.poll_events().contains(&SoundEvent::Lost { usage: Use::Speaker }));
    world.desk.fail("headset");
    world.pass(20);
    assert!(world.events.contains(&SoundEvent::Lost { usage: Use::Speaker }));
    assert_eq!(world.desk.open(), ["headset"]);
}

#[test]
fn a_stream_that_stands_still_is_opened_anew() {
    let mut world = World::new();
    let player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    let mut microphone = world.microphone();
    world.pass(1_000);
    world.desk.freeze("headset");
    world.desk.freeze("headset-mic");
    let before = player.heard();
    world.pass(4_000);
    assert!(player.heard() > before + Duration::from_millis(900), "{:?}", player.heard());
    assert!(world.events.contains(&SoundEvent::Lost { usage: Use::Microphone }));
    world.desk.speak("headset-mic", &[5_000; 9_600]);
    world.pass(100);
    let mut frame = frame(0);
    assert!(microphone.read(&mut frame));
}

#[test]
fn a_device_that_always_fails_does_not_keep_the_machine_busy() {
    let mut world = World::new();
    let _player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    for _ in 0..100 {
        world.desk.fail("headset");
        world.pass(10);
    }
    let opened = world.events.iter().filter(|e| matches!(e, SoundEvent::Opened { .. })).count();
    assert!((4..=6).contains(&opened), "{opened} times");
    world.pass(1_500);
    assert_eq!(world.desk.open(), ["headset"]);
}

#[test]
fn plugging_is_told() {
    let mut world = World::new();
    world.desk.plug_in(Use::Speaker, "monitor");
    world.pass(2_100);
    let told = world.events.iter().any(|e| matches!(e, SoundEvent::Devices(devices) if devices.has(Use::Ringer, "monitor")));
    assert!(told, "{:?}", world.events);
}

#[test]
fn the_systems_default_is_followed_as_it_changes() {
    let mut world = World::new();
    let player = world.play(Use::Speaker, Clip::repeating(tone(1_000)));
    assert_eq!(world.desk.open(), ["headset"]);
    world.desk.set_default(Use::Speaker, "loudspeaker");
    world.engine.handle_change(world.now);
    assert_eq!(world.desk.open(), ["loudspeaker"]);
    world.pass(500);
    assert!(is_loud(&world.desk.heard("loudspeaker")));
    let named = world.events.iter().filter_map(|event| match event {
        SoundEvent::Opened { name, .. } => name.clone(),
        SoundEvent::Devices(_) | SoundEvent::Lost { .. } | SoundEvent::Unavailable { .. } => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), ["The headset", "The loudspeaker"]);
    // A chosen device stays, whatever the default is.
    world.engine.handle_choice(Use::Speaker, Some("headset".into()), world.now);
    world.desk.set_default(Use::Speaker, "headset");
    world.desk.set_default(Use::Speaker, "loudspeaker");
    world.engine.handle_change(world.now);
    assert_eq!(world.desk.open(), ["headset"]);
    drop(player);
}

#[test]
fn ringing_has_a_volume_of_its_own_and_levels_are_shown() {
    let mut world = World::new();
    let (_ring, _call) =
        (world.play(Use::Ringer, Clip::repeating(tone(1_000))), world.play(Use::Speaker, Clip::repeating(tone(1_000))));
    world.engine.handle_choice(Use::Ringer, Some("loudspeaker".into()), world.now);
    world.engine.handle_volume(Use::Ringer, 25);
    world.pass(200);
    let (loud, soft) = (world.desk.heard("headset"), world.desk.heard("loudspeaker"));
    let (loud, soft) = (aftertone_media::level::dbfs(&loud[4_800..]), aftertone_media::level::dbfs(&soft[4_800..]));
    assert!((loud - soft - 12.0).abs() < 0.5, "{loud} and {soft}");
    let meters = world.engine.meters();
    assert!(meters.speaker.take() > meters.ringer.take());
}

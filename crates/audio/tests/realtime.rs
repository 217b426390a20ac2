//! What runs in a device's callback neither allocates nor frees nor logs nor locks. The allocator and the log of this program
//! count what happens while a callback runs; locks are looked for in the source of what runs there.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aftertone_audio::{Clip, FRAME_SAMPLES, Sound, Use, cues, double::Desk};

/// Counts what is asked of it while a callback runs.
struct Watchful;

static ASKED: AtomicUsize = AtomicUsize::new(0);
static LOGGED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

fn note(count: &AtomicUsize) {
    if IN_CALLBACK.try_with(Cell::get).unwrap_or(false) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator can't be written without")]
// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(&ASKED);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(&ASKED);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(&ASKED);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watchful = Watchful;

/// Takes every line of the log.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        note(&LOGGED);
        false
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }
}

/// A desk whose callbacks are watched; its devices have these rates and as many channels.
fn desk(rate: u32, channels: u16) -> Desk {
    let desk = Desk::with_formats(rate, channels, |callback| {
        IN_CALLBACK.set(true);
        callback();
        IN_CALLBACK.set(false);
    });
    desk.plug_in(Use::Speaker, "headset");
    desk.plug_in(Use::Microphone, "headset-mic");
    desk
}

/// Waits for the audio thread to have done what it was asked to.
fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it never happened");
}

#[test]
fn a_callback_neither_allocates_nor_frees_nor_logs() {
    tracing::subscriber::set_global_default(Log).unwrap();
    for (rate, channels) in [(48_000, 1), (44_100, 2), (16_000, 2), (96_000, 6), (8_000, 1)] {
        let desk = desk(rate, channels);
        let host = desk.host();
        let sound = Sound::with_host(move || Box::new(host), |_| {}).unwrap();
        let ring = sound.play(Use::Ringer, cues::ringback(cues::Region::Germany));
        let keys: Vec<_> = "147*".chars().map(|key| sound.play(Use::Speaker, cues::key(key).unwrap())).collect();
        let mut speaker = sound.speaker(Use::Speaker);
        let (mut call, mut raw) = (sound.call_microphone(), sound.microphone());
        until(|| desk.open().len() == 3);
        let mut frame = [0; FRAME_SAMPLES];
        for n in 0..120 {
            desk.speak("headset-mic", &[1_000; FRAME_SAMPLES]);
            speaker.write(&frame);
            desk.pass(Duration::from_millis(10));
            call.read(&mut frame);
            raw.read(&mut frame);
            if n == 60 {
                ring.pause();
                ring.set_volume(50);
                sound.set_volume(Use::Speaker, 70);
            }
        }
        assert!(keys.iter().all(aftertone_audio::Player::is_over), "the keys were played at {rate} Hz");
        // What ends in the middle is freed by somebody else.
        drop((ring, keys, speaker, call, raw));
        let last = sound.play(Use::Speaker, Clip::new(vec![5_000; 4_800]));
        until(|| {
            desk.pass(Duration::from_millis(10));
            last.is_over()
        });
    }
    assert_eq!((ASKED.load(Ordering::Relaxed), LOGGED.load(Ordering::Relaxed)), (0, 0), "in callbacks");
    // The watch works.
    IN_CALLBACK.set(true);
    drop(std::hint::black_box(Box::new(1)));
    IN_CALLBACK.set(false);
    assert_eq!(ASKED.load(Ordering::Relaxed), 2);
}

#[test]
fn nothing_that_runs_in_a_callback_locks() {
    const INSIDE: [(&str, &str); 5] = [
        ("adapter", include_str!("../src/adapter.rs")),
        ("elastic", include_str!("../src/elastic.rs")),
        ("meter", include_str!("../src/meter.rs")),
        ("mixer", include_str!("../src/mixer.rs")),
        ("splitter", include_str!("../src/splitter.rs")),
    ];
    for (name, text) in INSIDE {
        let body = text.split("#[cfg(test)]").next().unwrap();
        for word in ["Mutex", "RwLock", "Condvar", "Barrier", "mpsc", "tracing::", "println!", "sleep"] {
            assert!(!body.contains(word), "{name} has {word}");
        }
    }
}

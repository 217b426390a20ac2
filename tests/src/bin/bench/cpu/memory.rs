//! How often a call asks for memory: two sessions of the desktop app in this process call each other, and everything that they
//! ask the allocator for is counted.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aftertone_client::{AudioIo, AudioSink, AudioSource, FRAME_SAMPLES, Frame};
use aftertone_media::resample::resample;
use aftertone_model::CallId;
use aftertone_tests::{hosted::Hosted, sound};
use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::SETTLES;
use crate::handset::Handset;

struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator can't be written without")]
// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of one end of a call in Opus, in its steady state, each second.
pub(crate) async fn allocations_per_s(lasts: Duration) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let hosted = Hosted::start(&folder.path().join("account"), &[]).await?;
    for (name, number) in [("alice", "1001"), ("bob", "1002")] {
        hosted.add_user(name, number, name, 30).await?;
    }
    let voice: Arc<[i16]> = resample(&sound::speech()?.0, sound::RATE, aftertone_client::SAMPLE_RATE)?.into();
    let audio = Arc::new(Voice(voice));
    let mut bob = Handset::start(&hosted.http, "bob", folder.path(), audio.clone()).await?;
    let mut alice = Handset::start(&hosted.http, "alice", folder.path(), audio).await?;
    let call = alice.dial("1002").await?;
    bob.answer().await?;
    alice.talks().await?;
    bob.talks().await?;
    sleep(SETTLES).await;
    let (before, begun) = (ASKED.load(Ordering::Relaxed), Instant::now());
    sleep(lasts).await;
    let asked = ASKED.load(Ordering::Relaxed) - before;
    let per_s = asked as f64 / begun.elapsed().as_secs_f64() / 2.0;
    alice.hang_up(call).await?;
    bob.over().await?;
    hosted.stop().await?;
    Ok(per_s)
}

/// Says the same words for ever.
struct Voice(Arc<[i16]>);

impl AudioIo for Voice {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Mouth { voice: Arc::clone(&self.0), at: 0 })
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(aftertone_client::Silence)
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(aftertone_client::Silence)
    }
}

struct Mouth {
    voice: Arc<[i16]>,
    at: usize,
}

impl AudioSource for Mouth {
    fn read(&mut self, frame: &mut Frame) -> bool {
        if self.at + FRAME_SAMPLES > self.voice.len() {
            self.at = 0;
        }
        frame.copy_from_slice(&self.voice[self.at..self.at + FRAME_SAMPLES]);
        self.at += FRAME_SAMPLES;
        true
    }
}

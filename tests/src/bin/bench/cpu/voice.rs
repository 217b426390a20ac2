//! What echo cancellation, noise suppression and gain control take for one microphone, in real speech and with an echo.

use std::time::{Duration, Instant};

use aftertone_audio::{FRAME_SAMPLES, Sound, Use, double::Desk};
use aftertone_media::resample::resample;
use aftertone_tests::{process::PATIENCE, sound};
use anyhow::{Context, Result, ensure};

/// So much sound goes through it.
const SECONDS: usize = 60;
const FRAMES: usize = SECONDS * 100;

/// In per cent of one core: the processor time of this thread, in which a call's microphone is read.
pub(crate) fn percent() -> Result<f64> {
    let [clean, bare] = [true, false].map(spent);
    Ok((clean? - bare?).max(0.0) * 100.0 / SECONDS as f64)
}

/// Seconds of the processor for reading the microphone, with its voice cleaned or as it comes.
fn spent(cleaned: bool) -> Result<f64> {
    let voice = resample(&sound::speech()?.0, sound::RATE, aftertone_audio::SAMPLE_RATE)?;
    let desk = Desk::default();
    desk.plug_in(Use::Speaker, "loudspeaker");
    desk.plug_in(Use::Microphone, "microphone");
    let host = desk.host();
    let sound = Sound::with_host(move || Box::new(host), |_| {})?;
    let mut speaker = sound.speaker(Use::Speaker);
    let mut microphone = if cleaned { sound.call_microphone() } else { sound.microphone() };
    let begun = Instant::now();
    while desk.open().len() < 2 {
        ensure!(begun.elapsed() < PATIENCE, "the devices are not opened");
        std::thread::yield_now();
    }
    let mut total = 0.0;
    let frames = voice.chunks_exact(FRAME_SAMPLES).cycle().zip(voice.chunks_exact(FRAME_SAMPLES).skip(70).cycle());
    for (near, far) in frames.take(FRAMES) {
        let mut played = [0; FRAME_SAMPLES];
        played.copy_from_slice(far);
        let _heard = speaker.write(&played);
        // What the loudspeaker says is heard a quarter as loud.
        let there: Vec<i16> = near.iter().zip(far).map(|(near, far)| (near / 2).saturating_add(far / 4)).collect();
        desk.speak("microphone", &there);
        desk.pass(Duration::from_millis(10));
        let before = thread_cpu_s()?;
        let _spoken = microphone.read(&mut played);
        total += thread_cpu_s()? - before;
    }
    Ok(total)
}

/// Processor time of this thread (Linux counts it to the nanosecond).
fn thread_cpu_s() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split_whitespace().next().context("no processor time")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use rtrb::Consumer;
use sonora::{
    AudioProcessing, Config, StreamConfig,
    config::{AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, NoiseSuppression, NoiseSuppressionLevel},
};

use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE};

/// What is done to a voice on its way from the microphone to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processing {
    /// Takes out what the loudspeaker plays.
    pub echo_cancellation: bool,
    /// Takes out fans, keyboards and streets.
    pub noise_suppression: bool,
    /// Makes quiet voices louder and loud ones quieter.
    pub gain_control: bool,
}

impl Default for Processing {
    fn default() -> Self {
        Self { echo_cancellation: true, noise_suppression: true, gain_control: true }
    }
}

impl Processing {
    /// Nothing: the voice as the microphone hears it.
    pub const OFF: Self = Self { echo_cancellation: false, noise_suppression: false, gain_control: false };

    /// What a voice goes through once it is free of echo.
    fn cleaning(self) -> Config {
        // The default begins 15 dB too loud, and lets an own silence be pumped up to a rustle.
        let adaptive = AdaptiveDigital { initial_gain_db: 0.0, max_gain_db: 24.0, ..AdaptiveDigital::default() };
        let noise = NoiseSuppression { level: NoiseSuppressionLevel::Moderate, ..NoiseSuppression::default() };
        Config {
            high_pass_filter: (self != Self::OFF).then(HighPassFilter::default),
            noise_suppression: self.noise_suppression.then_some(noise),
            gain_controller2: self
                .gain_control
                .then(|| GainController2 { adaptive_digital: Some(adaptive), ..GainController2::default() }),
            ..Config::default()
        }
    }

    fn bits(self) -> u8 {
        u8::from(self.echo_cancellation) | u8::from(self.noise_suppression) << 1 | u8::from(self.gain_control) << 2
    }

    fn of_bits(bits: u8) -> Self {
        Self { echo_cancellation: bits & 1 != 0, noise_suppression: bits & 2 != 0, gain_control: bits & 4 != 0 }
    }
}

/// What the person switched on and off; calls that go on follow it.
#[derive(Debug)]
pub(crate) struct Switches(AtomicU8);

impl Default for Switches {
    fn default() -> Self {
        Self(AtomicU8::new(Processing::default().bits()))
    }
}

impl Switches {
    pub(crate) fn set(&self, processing: Processing) {
        self.0.store(processing.bits(), Ordering::Relaxed);
    }

    fn get(&self) -> Processing {
        Processing::of_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Cleans a voice, frame by frame, in the thread of whoever reads the microphone.
pub(crate) struct VoiceProcessing {
    echo: EchoRemoval,
    cleaner: AudioProcessing,
    applied: Processing,
    switches: Arc<Switches>,
    /// What the loudspeaker plays.
    played: Consumer<i16>,
}

impl VoiceProcessing {
    pub(crate) fn new(switches: Arc<Switches>, played: Consumer<i16>) -> Self {
        let applied = switches.get();
        Self { echo: EchoRemoval::new(), cleaner: cleaner(applied), applied, switches, played }
    }

    pub(crate) fn process(&mut self, frame: &mut Frame) {
        let wanted = self.switches.get();
        if wanted != self.applied {
            self.cleaner = cleaner(wanted);
            self.applied = wanted;
        }
        self.hear_played();
        if self.applied.echo_cancellation {
            self.echo.process(frame);
        }
        if self.applied != Processing::OFF {
            capture(&mut self.cleaner, frame);
        }
    }

    fn hear_played(&mut self) {
        while let Ok(chunk) = self.played.read_chunk(FRAME_SAMPLES) {
            let mut frame = [0; FRAME_SAMPLES];
            frame.iter_mut().zip(chunk).for_each(|(sample, played)| *sample = played);
            if self.applied.echo_cancellation {
                self.echo.hear_played(&frame);
            }
        }
    }
}

/// How long sound is said to take from the loudspeaker to the microphone until that was found out, in milliseconds.
const SUPPOSED_DELAY_MS: i32 = 40;
/// The reduction of the echo, in dB, that shows that there is one: with a voice alone in the room it comes to 2 at most, with an
/// echo of 20 dB below the loudspeaker to 10 and more within a second of speech.
const REDUCTION_OF_AN_ECHO_DB: f64 = 3.0;

/// Takes the loudspeaker's sound out of the microphone's, once it was heard there.
///
/// The canceller takes its time to learn that there is nothing to cancel, and until then it damages a voice that speaks at the
/// same time as the other side, which is what every headset would suffer from. So what it does counts from the moment on at
/// which it found an echo: it learns from the first frame on, and that takes it about a second of the other side's speech.
struct EchoRemoval {
    engine: AudioProcessing,
    found: bool,
}

impl EchoRemoval {
    fn new() -> Self {
        let config = Config { echo_canceller: Some(EchoCanceller::default()), ..Config::default() };
        Self { engine: engine(config), found: false }
    }

    fn hear_played(&mut self, frame: &Frame) {
        let mut out = [0; FRAME_SAMPLES];
        if let Err(error) = self.engine.process_render_i16(frame, &mut out) {
            tracing::debug!(%error, "the loudspeaker's sound isn't known");
        }
    }

    fn process(&mut self, frame: &mut Frame) {
        let _clamped = self.engine.set_stream_delay_ms(SUPPOSED_DELAY_MS);
        let mut freed = *frame;
        capture(&mut self.engine, &mut freed);
        if self.found {
            *frame = freed;
        } else if self.finds() {
            self.found = true;
            fade(frame, &freed);
        }
    }

    /// Whether something was taken out by now: then there is an echo.
    fn finds(&self) -> bool {
        let told = self.engine.statistics();
        told.echo_return_loss_enhancement.is_some_and(|reduction| reduction >= REDUCTION_OF_AN_ECHO_DB)
    }
}

/// From one sound to another within a frame.
fn fade(from: &mut Frame, to: &Frame) {
    for (n, (sample, next)) in from.iter_mut().zip(to).enumerate() {
        let share = n as f32 / FRAME_SAMPLES as f32;
        *sample = (f32::from(*sample) * (1.0 - share) + f32::from(*next) * share) as i16;
    }
}

fn engine(config: Config) -> AudioProcessing {
    let stream = StreamConfig::new(SAMPLE_RATE, 1);
    AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build()
}

/// Two seconds, in which the noise suppressor learns what is noise.
const LEARNING_FRAMES: usize = 200;

/// A cleaner that supposes a quiet room: what it hears first would else be noise to it, and if that is speech, it is damaged for
/// some seconds. A louder room it learns as it goes.
fn cleaner(processing: Processing) -> AudioProcessing {
    let mut cleaner = engine(processing.cleaning());
    if processing.noise_suppression {
        // Steady noise of 4 of 32,768, 83 dB below full scale.
        let mut noise = 1_u32;
        for _ in 0..LEARNING_FRAMES {
            let mut frame = std::array::from_fn(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 29) as i16 - 4
            });
            capture(&mut cleaner, &mut frame);
        }
    }
    cleaner
}

fn capture(engine: &mut AudioProcessing, frame: &mut Frame) {
    let said = *frame;
    if let Err(error) = engine.process_capture_i16(&said, frame) {
        tracing::debug!(%error, "a voice isn't processed");
        *frame = said;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aftertone_media::level::dbfs;
    use rtrb::RingBuffer;

    use super::*;

    /// Noise that sounds and pauses like speech, the same every time.
    struct Babble(u32, usize);

    impl Babble {
        fn next(&mut self) -> i16 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.1 += 1;
            let envelope = if (self.1 / 9_600) % 3 == 2 { 0.0 } else { 0.25 };
            (f64::from((self.0 >> 16) as i16) * envelope) as i16
        }
    }

    /// Level of what is left of an echo in the last of ten seconds.
    fn echo_left(processing: Processing) -> f32 {
        let switches = Arc::new(Switches::default());
        switches.set(processing);
        let (mut speaker, played) = RingBuffer::new(48_000);
        let mut voice = VoiceProcessing::new(switches, played);
        let mut babble = Babble(1, 0);
        // 60 ms from the loudspeaker to the microphone, half as loud.
        let mut air: std::collections::VecDeque<i16> = std::iter::repeat_n(0, 2_880).collect();
        let mut last = Vec::new();
        for n in 0..1_000 {
            let mut frame = [0; FRAME_SAMPLES];
            for sample in &mut frame {
                let played = babble.next();
                speaker.push(played).unwrap();
                air.push_back(played / 2);
                *sample = air.pop_front().unwrap();
            }
            voice.process(&mut frame);
            if n >= 900 {
                last.extend(frame);
            }
        }
        dbfs(&last)
    }

    #[test]
    fn an_echo_is_taken_out_unless_it_is_switched_off() {
        let with = echo_left(Processing { echo_cancellation: true, ..Processing::OFF });
        let without = echo_left(Processing::OFF);
        assert!(without > -25.0, "{without}");
        assert!(with < without - 25.0, "{with} of {without}");
    }

    /// Frames of one of the product's recordings, so of real speech.
    fn speech(wav: &[u8]) -> Vec<Frame> {
        let pcm = aftertone_media::container::decode(wav).unwrap();
        let mut resampler = aftertone_media::resample::Resampler::new(pcm.rate, SAMPLE_RATE).unwrap();
        resampler.process(&pcm.samples).as_chunks().0.to_vec()
    }

    fn level(frames: &[Frame]) -> f32 {
        dbfs(frames.as_flattened())
    }

    /// What becomes of somebody's first words while the other side says `theirs`, which the microphone doesn't hear.
    fn sent_beside(processing: Processing, theirs: &[Frame], mine: &[Frame]) -> Vec<Frame> {
        let switches = Arc::new(Switches::default());
        switches.set(processing);
        let (mut speaker, played) = RingBuffer::new(48_000);
        let mut voice = VoiceProcessing::new(switches, played);
        let sent = mine.iter().zip(theirs).map(|(mine, theirs)| {
            theirs.iter().for_each(|sample| speaker.push(*sample).unwrap());
            let mut frame = *mine;
            voice.process(&mut frame);
            frame
        });
        sent.collect()
    }

    #[test]
    fn with_a_headset_two_who_speak_at_once_do_not_damage_each_other() {
        let mine = speech(include_bytes!("../../../assets/test-message.wav"));
        let theirs = speech(include_bytes!("../../../assets/greeting-de.wav"));
        let sent = sent_beside(Processing { echo_cancellation: true, ..Processing::OFF }, &theirs, &mine);
        let (said, sent) = (level(&mine[..sent.len()]), level(&sent));
        assert!((said - sent).abs() < 0.5, "{said} became {sent}");
    }

    #[test]
    fn the_first_words_are_no_noise() {
        let mine = speech(include_bytes!("../../../assets/test-message.wav"));
        let silence = vec![[0; FRAME_SAMPLES]; mine.len()];
        let sent = sent_beside(Processing { noise_suppression: true, ..Processing::OFF }, &silence, &mine);
        let (said, sent) = (level(&mine[..150]), level(&sent[..150]));
        assert!((said - sent).abs() < 1.0, "{said} became {sent}");
    }

    #[test]
    fn switched_off_nothing_is_changed_and_switches_work_in_the_middle() {
        let switches = Arc::new(Switches::default());
        switches.set(Processing::OFF);
        let (_speaker, played) = RingBuffer::new(480);
        let mut voice = VoiceProcessing::new(Arc::clone(&switches), played);
        let mut babble = Babble(7, 0);
        let said: Frame = std::array::from_fn(|_| babble.next());
        let mut frame = said;
        voice.process(&mut frame);
        assert_eq!(frame, said);
        switches.set(Processing { noise_suppression: true, ..Processing::OFF });
        let mut level = 0.0;
        for _ in 0..300 {
            // A steady hiss, which is noise.
            frame = std::array::from_fn(|_| {
                babble.1 = 0;
                babble.next() / 8
            });
            level = dbfs(&frame);
            voice.process(&mut frame);
        }
        assert!(dbfs(&frame) < level - 6.0, "{} of {level}", dbfs(&frame));
    }
}

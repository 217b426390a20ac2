//! What a test call's caller hears: recorded as it comes, until the beep is over.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    codec::alaw_decode,
    container::{Pcm, Recording, decode},
    import::trim_silence,
    level::dbfs,
    rtp::RtpPacket,
};
use aftertone_sync::TestCallSound;
use bytes::Bytes;

/// What the caller speaks and understands: what every exchange of the outside does.
pub(super) const CODEC: Codec = Codec::Pcma;
const RATE: u32 = 8_000;
/// The beep (`tones::beep`) is 1000 Hz for 400 ms; half of it is enough, and speech is not so pure for so long.
const BEEP_HZ: f32 = 1_000.0;
const BEEP_PACKETS: u32 = 10;
/// How much of a packet's energy the tone has.
const PURE: f32 = 0.9;
const AUDIBLE_DBFS: f32 = -45.0;
/// Without the tone for so long, the beep is over.
const BEEP_OVER: Duration = Duration::from_millis(100);

pub(super) struct Ear {
    recording: Recording,
    file: Vec<u8>,
    first: Option<u32>,
    /// Packets of the tone in a row, the timestamp of their first, and when the last of them came.
    tone: Option<(u32, u32, Instant)>,
    something: bool,
}

impl Ear {
    pub(super) fn new() -> Self {
        let mut recording = Recording::new(CODEC, 0);
        let file = recording.start();
        Self { recording, file, first: None, tone: None, something: false }
    }

    pub(super) fn hear(&mut self, packet: &RtpPacket, now: Instant) {
        if packet.payload_type != CODEC.payload_type() || self.beep_began().is_some_and(|_| self.beep_is_over(now)) {
            return;
        }
        self.first.get_or_insert(packet.timestamp);
        self.file.extend(self.recording.push(packet));
        let pcm: Vec<i16> = packet.payload.iter().map(|byte| alaw_decode(*byte)).collect();
        let is_audible = dbfs(&pcm) > AUDIBLE_DBFS;
        self.something |= is_audible;
        if !(is_audible && purity(&pcm) > PURE) {
            // A beep that was heard stays one.
            self.tone = self.tone.filter(|(packets, ..)| *packets >= BEEP_PACKETS);
            return;
        }
        let (packets, since) = self.tone.map_or((0, packet.timestamp), |(packets, since, _)| (packets, since));
        self.tone = Some((packets + 1, since, now));
    }

    /// Whether anything was heard at all.
    pub(super) fn heard_something(&self) -> bool {
        self.something
    }

    /// The beep was heard, and has ended.
    pub(super) fn beep_is_over(&self, now: Instant) -> bool {
        self.tone.is_some_and(|(packets, _, last)| packets >= BEEP_PACKETS && now >= last + BEEP_OVER)
    }

    /// The file of it all, and how the part before the beep sounded; `None` where there was none.
    pub(super) fn finish(mut self) -> (Bytes, Option<TestCallSound>) {
        let beep = self.beep_began();
        let end = self.recording.finish();
        self.file.extend(end.tail);
        if let Some(header) = end.header {
            self.file[..header.len()].copy_from_slice(&header);
        }
        let before = decode(&self.file).ok().map(|mut pcm| {
            pcm.samples.truncate(beep.unwrap_or(usize::MAX));
            pcm
        });
        (self.file.into(), before.and_then(measured))
    }

    /// After how many samples the beep began.
    fn beep_began(&self) -> Option<usize> {
        let (packets, since, _) = self.tone?;
        let samples = since.wrapping_sub(self.first?);
        (packets >= BEEP_PACKETS).then_some(samples as usize)
    }
}

/// How a sound is without the silence around it; `None` where nothing is to be heard.
pub(super) fn measured(mut pcm: Pcm) -> Option<TestCallSound> {
    trim_silence(&mut pcm, Duration::ZERO);
    let level = dbfs(&pcm.samples);
    let duration_ms = u32::try_from(pcm.duration().as_millis()).unwrap_or(u32::MAX);
    (level > AUDIBLE_DBFS).then_some(TestCallSound { duration_ms, level: (level * 10.0).round() as i32 })
}

/// How much of the energy lies at the beep's frequency, 0 to 1 (Goertzel's algorithm over whole periods).
fn purity(pcm: &[i16]) -> f32 {
    let omega = std::f32::consts::TAU * BEEP_HZ / RATE as f32;
    let (mut before, mut last, mut energy) = (0.0_f32, 0.0_f32, 0.0_f32);
    for sample in pcm.iter().map(|sample| f32::from(*sample)) {
        (before, last) = (last, sample + 2.0 * omega.cos() * last - before);
        energy += sample * sample;
    }
    let power = before * before + last * last - 2.0 * omega.cos() * before * last;
    if energy == 0.0 { 0.0 } else { 2.0 * power / (energy * pcm.len() as f32) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use aftertone_media::{codec::Encoder, resample::resample, rtp::RtpSender, tones};

    use super::*;

    /// Plays sound to an ear, a packet each 20 ms; the moment when the beep was over, in milliseconds.
    fn play(ear: &mut Ear, pcm: &[i16]) -> Option<u64> {
        let (mut encoder, mut rtp) = (Encoder::new(CODEC).unwrap(), RtpSender::new(7, 0, u32::MAX - 1_000));
        let (start, mut over) = (Instant::now(), None);
        let silence = vec![0; RATE as usize / 2];
        for (number, frame) in (0_u64..).zip([pcm, &silence].concat().chunks_exact(160)) {
            let now = start + Duration::from_millis(20 * number);
            let packet = rtp.audio(CODEC.payload_type(), encoder.encode(frame).unwrap(), 160);
            ear.hear(&packet, now);
            over = over.or_else(|| ear.beep_is_over(now).then_some(20 * number));
        }
        over
    }

    fn greeting() -> Vec<i16> {
        let pcm = decode(include_bytes!("../../../../assets/greeting-en.wav")).unwrap();
        resample(&pcm.samples, pcm.rate, RATE).unwrap()
    }

    #[test]
    fn a_greeting_is_told_from_its_beep() {
        let (mut ear, mut pcm) = (Ear::new(), greeting());
        let spoken = measured(Pcm { samples: pcm.clone(), rate: RATE }).unwrap();
        let beep_at = pcm.len() as u64 / 8;
        pcm.extend(tones::beep(RATE));
        let over = play(&mut ear, &pcm).expect("the beep");
        assert!((beep_at + 400..beep_at + 560).contains(&over), "{over} ms, the beep began at {beep_at}");
        let (file, heard) = ear.finish();
        let heard = heard.unwrap();
        assert!(heard.duration_ms.abs_diff(spoken.duration_ms) < 60, "{heard:?} of {spoken:?}");
        assert!(heard.level.abs_diff(spoken.level) < 5, "{heard:?} of {spoken:?}");
        let whole = decode(&file).unwrap().duration().as_millis() as u64;
        assert!((beep_at + 400..beep_at + 560).contains(&whole), "{whole} ms");
    }

    #[test]
    fn speech_is_no_beep_and_silence_is_nothing() {
        let mut ear = Ear::new();
        assert_eq!(play(&mut ear, &greeting()), None);
        assert!(ear.heard_something());
        let mut ear = Ear::new();
        assert_eq!(play(&mut ear, &[0; 8_000]), None);
        assert!(!ear.heard_something());
        assert_eq!(ear.finish().1, None);
    }
}

//! Makes a recording whole that broke off, for the spool.

use aftertone_media::{
    container::{Pcm, WAV_HEADER_LEN, decode, repair_ogg, repair_wav},
    level::{Peaks, SoundDetector},
};
use aftertone_server_store::{Recovered, RepairedSound, SoundFormat};
use aftertone_sync::Repaired;
use aftertone_voicemail::{DepositLimits, Tally};

/// Says in the log what a start found in the spool, and counts it for `/v1/health`.
pub(crate) fn report(recovered: &Recovered) -> Repaired {
    let Recovered { interrupted, completed, too_short, cleared, failed } = recovered;
    let kinds = [
        (interrupted, "it broke off, and is a message now, marked as interrupted"),
        (completed, "it was finished but not committed, and is a message now"),
        (too_short, "it had too little sound for a message: only the call is logged"),
        (cleared, "its message is there or was expunged: leftovers were cleared away"),
    ];
    for (messages, what) in kinds {
        for message in messages {
            tracing::warn!(%message, "a recording of an earlier run: {what}");
        }
    }
    for (file, error) in failed {
        tracing::error!(file, error, "a recording of an earlier run could not be dealt with: it is where it was");
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Repaired {
        interrupted: count(interrupted.len()),
        completed: count(completed.len()),
        too_short: count(too_short.len()),
        cleared: count(cleared.len()),
        failed: count(failed.len()),
    }
}

/// The detector judges frames of 20 ms, so a deposit is judged 20 ms at a time, running or broken off.
const PACKETS_PER_SECOND: usize = 50;

/// Completes the container and takes the sound's measure. `None` when less is heard in it than a message needs: the same
/// measure as of a deposit whose end was seen.
pub(crate) fn repair(format: &SoundFormat, bytes: Vec<u8>) -> Option<RepairedSound> {
    let (bytes, header_bytes) = if format.media_type == "audio/wav" { wav(bytes)? } else { (ogg(bytes), 0) };
    let pcm = decode(&bytes).ok().filter(is_message)?;
    let duration_ms = u64::try_from(pcm.duration().as_millis()).unwrap_or(u64::MAX);
    Some(RepairedSound { bytes, header_bytes, duration_ms, peaks: peaks(&pcm) })
}

fn wav(mut bytes: Vec<u8>) -> Option<(Vec<u8>, u64)> {
    let header = repair_wav(&bytes, bytes.len() as u64)?;
    // Chunks have even lengths (RIFF); the header counts the sound without the padding.
    if (bytes.len() - WAV_HEADER_LEN.min(bytes.len())) % 2 == 1 {
        bytes.push(0);
    }
    bytes.get_mut(..WAV_HEADER_LEN)?.copy_from_slice(&header);
    Some((bytes, WAV_HEADER_LEN as u64))
}

fn ogg(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((kept, end)) = repair_ogg(&bytes) {
        bytes.truncate(kept);
        bytes.extend_from_slice(&end);
    }
    bytes
}

fn is_message(pcm: &Pcm) -> bool {
    let (limits, mut tally, mut detector) = (DepositLimits::default(), Tally::default(), SoundDetector::new(pcm.rate));
    for packet in pcm.samples.chunks((pcm.rate as usize / PACKETS_PER_SECOND).max(1)) {
        let (heard, duration) = detector.hear(packet, pcm.rate);
        tally.count(heard, duration, &limits);
    }
    tally.is_enough(&limits)
}

fn peaks(pcm: &Pcm) -> Vec<u8> {
    let mut peaks = Peaks::new(pcm.rate);
    peaks.push(&pcm.samples);
    peaks.finish()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aftertone_media::{
        Codec,
        codec::Encoder,
        container::{OggOpusWriter, WavG711Writer},
    };

    use super::*;

    fn format(media_type: &str, codec: &str) -> SoundFormat {
        SoundFormat { media_type: media_type.into(), codec: codec.into() }
    }

    #[test]
    fn a_wav_that_was_cut_off_is_complete_again() {
        let mut writer = WavG711Writer::new(Codec::Pcmu).unwrap();
        let mut file = writer.start().to_vec();
        for packet in 0..100 {
            file.extend(writer.push(1, packet * 160, &[0x10; 160]));
        }
        file.truncate(file.len() - 7);
        let repaired = repair(&format("audio/wav", "PCMU"), file).unwrap();
        assert_eq!(repaired.duration_ms, 1999);
        assert_eq!(repaired.bytes.len() % 2, 0);
        assert!(!repaired.peaks.is_empty() && repaired.peaks.iter().all(|peak| *peak > 100), "{:?}", repaired.peaks);
        let length = u32::from_le_bytes(repaired.bytes[4..8].try_into().unwrap());
        assert_eq!(length as usize + 8, repaired.bytes.len());
    }

    #[test]
    fn an_ogg_that_was_cut_off_is_complete_again() {
        let mut writer = OggOpusWriter::new(7);
        let mut file = writer.start();
        let mut encoder = Encoder::new(Codec::Opus).unwrap();
        for packet in 0..250_u32 {
            file.extend(writer.push(1, packet * 960, &encoder.encode(&tone(packet)).unwrap()));
        }
        let whole = file.len();
        file.truncate(whole - 3);
        let repaired = repair(&format("audio/ogg", "opus"), file).unwrap();
        assert!((3000..=5000).contains(&repaired.duration_ms), "{}", repaired.duration_ms);
    }

    #[test]
    fn what_was_no_message_with_an_end_is_none_without() {
        // (seconds of sound, seconds of silence after it)
        for (sound, silence, expect) in [(0, 5, false), (1, 3, true), (2, 0, true)] {
            let mut writer = WavG711Writer::new(Codec::Pcma).unwrap();
            let mut encoder = Encoder::new(Codec::Pcma).unwrap();
            let mut file = writer.start().to_vec();
            for packet in 0..(sound + silence) * 50_u32 {
                let pcm = if packet < sound * 50 { tone(packet)[..160].to_vec() } else { vec![0; 160] };
                file.extend(writer.push(1, packet * 160, &encoder.encode(&pcm).unwrap()));
            }
            assert_eq!(repair(&format("audio/wav", "PCMA"), file).is_some(), expect, "{sound} s and {silence} s");
        }
    }

    /// 20 ms at 48 kHz.
    fn tone(packet: u32) -> Vec<i16> {
        (0..960).map(|n| ((packet * 960 + n) as f32 * 0.04).sin() * 8_000.0).map(|sample| sample as i16).collect()
    }

    #[test]
    fn rubbish_is_nothing_to_be_heard() {
        for bytes in [vec![], vec![0; 10], b"RIFF".to_vec(), b"OggS".to_vec(), vec![b'R'; 5000]] {
            assert_eq!(repair(&format("audio/wav", "PCMU"), bytes.clone()), None);
            assert_eq!(repair(&format("audio/ogg", "opus"), bytes), None);
        }
    }
}

//! Makes a recording whole that broke off, for the spool.

use aftertone_media::{
    container::{Pcm, WAV_HEADER_LEN, decode, repair_ogg, repair_wav},
    level::Peaks,
};
use aftertone_server_store::{RepairedSound, SoundFormat};

/// Completes the container and takes the sound's measure. `None` when nothing in it can be heard.
pub(crate) fn repair(format: &SoundFormat, bytes: Vec<u8>) -> Option<RepairedSound> {
    let (bytes, header_bytes) = if format.media_type == "audio/wav" { wav(bytes)? } else { (ogg(bytes), 0) };
    let pcm = decode(&bytes).ok().filter(|pcm| !pcm.samples.is_empty())?;
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
        // Empty frames of 20 ms: the decoder fills them.
        for packet in 0..250_u32 {
            file.extend(writer.push(1, packet * 960, &[0xF8, 0xFF, 0xFE]));
        }
        let whole = file.len();
        file.truncate(whole - 3);
        let repaired = repair(&format("audio/ogg", "opus"), file).unwrap();
        assert!((3000..=5000).contains(&repaired.duration_ms), "{}", repaired.duration_ms);
    }

    #[test]
    fn rubbish_is_nothing_to_be_heard() {
        for bytes in [vec![], vec![0; 10], b"RIFF".to_vec(), b"OggS".to_vec(), vec![b'R'; 5000]] {
            assert_eq!(repair(&format("audio/wav", "PCMU"), bytes.clone()), None);
            assert_eq!(repair(&format("audio/ogg", "opus"), bytes), None);
        }
    }
}

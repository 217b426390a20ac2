//! A call as both of its ends heard it: Ogg-Opus (RFC 7845) of two channels, one person on each.

use std::time::Duration;

use super::{
    DecodeError, Pcm,
    ogg::{PageWriter, pages},
    ogg_opus::headers,
};
use crate::codec::{CodecError, TwoSidesDecoder, TwoSidesEncoder};

/// Samples of a packet, of each side: 20 ms at 48 kHz.
const PACKET: usize = 960;
/// What libopus is behind without its speech coder: 2.5 ms.
const PRE_SKIP: u16 = 120;
/// A page is closed after so much sound: a crash loses no more.
const PAGE_SAMPLES: u64 = 48_000;
/// Nobody was there for longer, since the machine slept: the recording goes on where it was.
const LONGEST_GAP: u64 = 60 * 48_000;

/// Writes what is said (left) and heard (right), each at its time.
pub struct TwoSidesWriter {
    pages: PageWriter,
    encoder: TwoSidesEncoder,
    /// Samples of both sides in turn that are no whole packet yet.
    waiting: Vec<i16>,
    /// Samples of each side so far.
    position: u64,
    /// Of those, what is in packets.
    encoded: u64,
    page_start: u64,
    /// Samples of time that were left out.
    left_out: u64,
}

impl std::fmt::Debug for TwoSidesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwoSidesWriter").field("position", &self.position).finish_non_exhaustive()
    }
}

impl TwoSidesWriter {
    /// A writer of the logical stream `serial`.
    ///
    /// # Errors
    /// When the Opus library can't be set up.
    pub fn new(serial: u32) -> Result<Self, CodecError> {
        Ok(Self {
            pages: PageWriter::new(serial),
            encoder: TwoSidesEncoder::new()?,
            waiting: Vec::with_capacity(PACKET * 4),
            position: 0,
            encoded: 0,
            page_start: 0,
            left_out: 0,
        })
    }

    /// The two header pages.
    pub fn start(&mut self) -> Vec<u8> {
        headers(&mut self.pages, 2, PRE_SKIP)
    }

    /// Bytes to append for what was said and heard from `at` on, counted from the beginning of the recording; both at 48 kHz
    /// and equally long. A page about once a second. Time that was left out is silent, and what overlaps with what was
    /// written is dropped.
    ///
    /// # Errors
    /// When the Opus library refuses.
    pub fn push(&mut self, at: Duration, said: &[i16], heard: &[i16]) -> Result<Vec<u8>, CodecError> {
        let at = (at.as_micros() as u64 * 48 / 1_000).saturating_sub(self.left_out);
        let mut out = Vec::new();
        let gap = at.saturating_sub(self.position);
        if gap > LONGEST_GAP {
            self.left_out += gap;
        } else {
            for _ in 0..gap {
                self.sample(0, 0, &mut out)?;
            }
        }
        let overlap = usize::try_from(self.position.saturating_sub(at)).unwrap_or(usize::MAX);
        for (said, heard) in said.iter().zip(heard).skip(overlap) {
            self.sample(*said, *heard, &mut out)?;
        }
        Ok(out)
    }

    /// The last page. The length is kept to the sample.
    ///
    /// # Errors
    /// When the Opus library refuses.
    pub fn finish(&mut self) -> Result<Vec<u8>, CodecError> {
        let end = self.position + u64::from(PRE_SKIP);
        let mut out = Vec::new();
        // The encoder is behind by as much as is skipped.
        while self.encoded < end {
            self.sample(0, 0, &mut out)?;
        }
        self.pages.end_at(end);
        out.extend(self.pages.page(true));
        Ok(out)
    }

    /// How much of the call there is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.position * 1_000 / 48)
    }

    fn sample(&mut self, said: i16, heard: i16, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.waiting.extend([said, heard]);
        self.position += 1;
        if self.waiting.len() < PACKET * 2 {
            return Ok(());
        }
        let packet = self.encoder.encode(&self.waiting)?;
        self.waiting.clear();
        self.encoded += PACKET as u64;
        if self.encoded - self.page_start > PAGE_SAMPLES {
            self.page_start = self.encoded - PACKET as u64;
            out.extend(self.pages.page(false));
        }
        out.extend(self.pages.add(&packet, self.encoded));
        Ok(())
    }
}

/// What was said and what was heard, at 48 kHz, of a file that [`TwoSidesWriter`] wrote; of one that ends early as far as it goes.
///
/// # Errors
/// When it is none.
pub fn decode_two_sides(bytes: &[u8]) -> Result<[Pcm; 2], DecodeError> {
    let (mut packets, mut end) = (Vec::new(), None);
    for page in pages(bytes) {
        packets.extend(page.pieces().into_iter().map(|(packet, _)| packet));
        end = page.is_last.then_some(page.granule).or(end);
    }
    let [head, _, packets @ ..] = &packets[..] else { return Err(DecodeError::Header) };
    if !head.starts_with(b"OpusHead\x01\x02") {
        return Err(DecodeError::Channels);
    }
    let (mut decoder, mut both) = (TwoSidesDecoder::new()?, Vec::new());
    for packet in packets {
        both.extend(decoder.decode(packet)?);
    }
    let end = end.map_or(both.len() / 2, |end| usize::try_from(end).unwrap_or(usize::MAX));
    let heard = |side: usize| {
        let samples = both.iter().skip(side).step_by(2).take(end).skip(usize::from(PRE_SKIP)).copied().collect();
        Pcm { samples, rate: 48_000 }
    };
    Ok([heard(0), heard(1)])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{container::repair_ogg, level::dbfs};

    const TICK: Duration = Duration::from_millis(10);

    fn tone(hertz: f64, tick: u32) -> Vec<i16> {
        let at = |i: u32| f64::from(tick * 480 + i) / 48_000.0;
        (0..480).map(|i| (9_000.0 * (std::f64::consts::TAU * hertz * at(i)).sin()) as i16).collect()
    }

    /// A call of so many ticks: `says` and `hears` name the ticks with a tone.
    fn call(ticks: std::ops::Range<u32>, says: impl Fn(u32) -> bool, hears: impl Fn(u32) -> bool) -> (TwoSidesWriter, Vec<u8>) {
        let mut writer = TwoSidesWriter::new(7).unwrap();
        let mut file = writer.start();
        let sound = |is: bool, hertz, tick| if is { tone(hertz, tick) } else { vec![0; 480] };
        for tick in ticks {
            let (said, heard) = (sound(says(tick), 440.0, tick), sound(hears(tick), 1_000.0, tick));
            file.extend(writer.push(TICK * tick, &said, &heard).unwrap());
        }
        (writer, file)
    }

    /// The first millisecond that is loud.
    fn begins(pcm: &Pcm) -> usize {
        pcm.samples.chunks(48).position(|chunk| dbfs(chunk) > -30.0).unwrap()
    }

    #[test]
    fn each_side_is_on_its_own_channel_and_at_its_own_time() {
        let (mut writer, mut file) = call(0..300, |tick| (50..100).contains(&tick), |tick| (120..250).contains(&tick));
        assert_eq!(writer.duration(), Duration::from_secs(3));
        file.extend(writer.finish().unwrap());
        let [said, heard] = decode_two_sides(&file).unwrap();
        assert_eq!((said.samples.len(), heard.samples.len()), (144_000, 144_000), "to the sample");
        assert!(
            (499..=503).contains(&begins(&said)) && (1_199..=1_203).contains(&begins(&heard)),
            "{} {}",
            begins(&said),
            begins(&heard)
        );
        for (side, loud, silent) in [(&said, 26_400..45_600, 60_000..118_000), (&heard, 60_000..118_000, 26_400..45_600)] {
            assert!((dbfs(&side.samples[loud]) + 14.2).abs() < 0.5);
            assert!(dbfs(&side.samples[silent.clone()]) < -60.0, "the other one is not heard: {}", dbfs(&side.samples[silent]));
        }
    }

    #[test]
    fn what_was_left_out_is_silent_and_what_overlaps_is_there_once() {
        let (mut writer, mut file) = call(0..100, |_| true, |_| false);
        // New media begin half a second later, at a moment of their own, and once the old ones had not ended yet.
        let later = Duration::from_micros(1_503_300);
        file.extend(writer.push(later, &tone(440.0, 0), &[0; 480]).unwrap());
        file.extend(writer.push(later + Duration::from_millis(5), &tone(440.0, 0), &[0; 480]).unwrap());
        assert_eq!(writer.duration().as_micros(), 1_518_291, "to the sample");
        // Nobody was there for an hour.
        file.extend(writer.push(Duration::from_secs(3_600), &tone(440.0, 0), &[0; 480]).unwrap());
        file.extend(writer.push(Duration::from_secs(3_600) + TICK, &tone(440.0, 1), &[0; 480]).unwrap());
        assert_eq!(writer.duration().as_millis(), 1_538);
        file.extend(writer.finish().unwrap());
        let [said, _] = decode_two_sides(&file).unwrap();
        assert!(dbfs(&said.samples[50_000..70_000]) < -60.0 && dbfs(&said.samples[72_300..72_800]) > -20.0);
    }

    #[test]
    fn a_crash_loses_a_second_at_most() {
        let (_, file) = call(0..550, |_| true, |_| true);
        let [said, heard] = decode_two_sides(&file).unwrap();
        assert!(said.samples.len() >= 48_000 * 4 && said.samples.len() == heard.samples.len());
        let (kept, end) = repair_ogg(&file).unwrap();
        let repaired = [&file[..kept], &end].concat();
        assert_eq!(decode_two_sides(&repaired).unwrap()[0].samples.len(), said.samples.len());
    }

    #[test]
    fn nothing_is_a_file_too_and_something_else_is_none() {
        let mut writer = TwoSidesWriter::new(7).unwrap();
        let file = [writer.start(), writer.finish().unwrap()].concat();
        assert_eq!(decode_two_sides(&file).unwrap()[0].samples.len(), 0);
        assert!(decode_two_sides(b"RIFF").is_err());
    }
}

//! What the phone itself lets a person hear: tones of the line, by country, and keys.
//!
//! ITU-T E.180 supplement 2 (various tones used in national networks); ETSI TR 101 041-2 for European ones.

use std::f32::consts::TAU;

use crate::{Clip, SAMPLE_RATE};

/// -14 dBFS for one frequency.
const LEVEL: f32 = 0.2;
/// Rising and falling in 5 ms, so that nothing clicks.
const RAMP: f32 = 0.005;

/// Whose tones are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Region {
    /// Germany, and most of the continent: 425 Hz.
    #[default]
    Germany,
    /// Austria: 420 Hz.
    Austria,
    /// Switzerland.
    Switzerland,
    /// France: 440 Hz.
    France,
    /// The United Kingdom and Ireland: 400 and 450 Hz, twice.
    UnitedKingdom,
    /// The United States and Canada.
    NorthAmerica,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Germany, Self::Austria, Self::Switzerland, Self::France, Self::UnitedKingdom, Self::NorthAmerica];

    /// The region of an ISO 3166 country; where it isn't known, the continental tones.
    #[must_use]
    pub fn of_country(country: &str) -> Self {
        match country.to_ascii_uppercase().as_str() {
            "AT" => Self::Austria,
            "CH" | "LI" => Self::Switzerland,
            "FR" => Self::France,
            "GB" | "IE" | "AU" | "NZ" => Self::UnitedKingdom,
            "US" | "CA" => Self::NorthAmerica,
            _ => Self::Germany,
        }
    }
}

/// A piece of a tone: which frequencies in hertz, and how many milliseconds. No frequency is a pause.
type Piece = (&'static [f32], u32);

/// It rings at the other end.
#[must_use]
pub fn ringback(region: Region) -> Clip {
    repeating(match region {
        Region::Germany => &[(&[425.0], 1_000), (&[], 4_000)],
        Region::Austria => &[(&[420.0], 1_000), (&[], 5_000)],
        Region::Switzerland => &[(&[425.0], 1_000), (&[], 4_000)],
        Region::France => &[(&[440.0], 1_500), (&[], 3_500)],
        Region::UnitedKingdom => &[(&[400.0, 450.0], 400), (&[], 200), (&[400.0, 450.0], 400), (&[], 2_000)],
        Region::NorthAmerica => &[(&[440.0, 480.0], 2_000), (&[], 4_000)],
    })
}

/// The other end is busy.
#[must_use]
pub fn busy(region: Region) -> Clip {
    repeating(match region {
        Region::Germany => &[(&[425.0], 480), (&[], 480)],
        Region::Austria => &[(&[420.0], 400), (&[], 400)],
        Region::Switzerland => &[(&[425.0], 500), (&[], 500)],
        Region::France => &[(&[440.0], 500), (&[], 500)],
        Region::UnitedKingdom => &[(&[400.0], 375), (&[], 375)],
        Region::NorthAmerica => &[(&[480.0, 620.0], 500), (&[], 500)],
    })
}

/// The call can't be put through.
#[must_use]
pub fn congestion(region: Region) -> Clip {
    repeating(match region {
        Region::Germany => &[(&[425.0], 240), (&[], 240)],
        Region::Austria => &[(&[420.0], 200), (&[], 200)],
        Region::Switzerland => &[(&[425.0], 200), (&[], 200)],
        Region::France => &[(&[440.0], 250), (&[], 250)],
        Region::UnitedKingdom => &[(&[400.0], 400), (&[], 350), (&[400.0], 225), (&[], 525)],
        Region::NorthAmerica => &[(&[480.0, 620.0], 250), (&[], 250)],
    })
}

/// Another call waits.
#[must_use]
pub fn call_waiting(region: Region) -> Clip {
    repeating(match region {
        Region::Germany => &[(&[425.0], 200), (&[], 200), (&[425.0], 200), (&[], 5_000)],
        Region::Austria => &[(&[420.0], 40), (&[], 1_950)],
        Region::Switzerland => &[(&[425.0], 200), (&[], 200), (&[425.0], 200), (&[], 4_000)],
        Region::France => &[(&[440.0], 300), (&[], 10_000)],
        Region::UnitedKingdom => &[(&[400.0], 100), (&[], 2_500)],
        Region::NorthAmerica => &[(&[440.0], 300), (&[], 9_700)],
    })
}

/// A key was pressed: its two tones (ITU-T Q.23), short. `None` for what is no key.
#[must_use]
pub fn key(key: char) -> Option<Clip> {
    const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
    let at = "123A456B789C*0#D".find(key.to_ascii_uppercase())?;
    let pair = [ROWS[at / 4], COLUMNS[at % 4]];
    Some(Clip::new(tone(&pair, 120)))
}

/// What a test of a loudspeaker plays: three rising notes.
#[must_use]
pub fn test_sound() -> Clip {
    let notes: [Piece; 5] = [(&[523.25], 250), (&[], 40), (&[659.26], 250), (&[], 40), (&[783.99], 500)];
    Clip::new(pieces(&notes))
}

fn repeating(of: &[Piece]) -> Clip {
    Clip::repeating(pieces(of))
}

fn pieces(of: &[Piece]) -> Vec<i16> {
    of.iter().flat_map(|(frequencies, ms)| tone(frequencies, *ms)).collect()
}

fn tone(frequencies: &[f32], ms: u32) -> Vec<i16> {
    let length = (SAMPLE_RATE / 1_000 * ms) as usize;
    let ramp = RAMP * SAMPLE_RATE as f32;
    let sample = |at: usize| {
        let edge = (at.min(length - 1 - at) as f32 / ramp).min(1.0);
        let seconds = at as f64 / f64::from(SAMPLE_RATE);
        // The phase in whole periods first: f32 has too few digits for a long tone.
        let wave = |hertz: &f32| ((seconds * f64::from(*hertz)).fract() as f32 * TAU).sin();
        (frequencies.iter().map(wave).sum::<f32>() * LEVEL * edge * 32_767.0) as i16
    };
    (0..length).map(sample).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The part of the energy that one frequency has (Goertzel).
    fn share(pcm: &[i16], frequency: f64) -> f64 {
        let w = std::f64::consts::TAU * frequency / f64::from(SAMPLE_RATE);
        let (mut re, mut im, mut all) = (0.0, 0.0, 1.0);
        for (i, &sample) in pcm.iter().enumerate() {
            let sample = f64::from(sample);
            re += sample * (w * i as f64).cos();
            im += sample * (w * i as f64).sin();
            all += sample * sample;
        }
        2.0 * (re * re + im * im) / (pcm.len() as f64 * all)
    }

    #[test]
    fn a_german_line_rings_a_second_in_five() {
        let clip = ringback(Region::Germany);
        assert!(clip.repeat);
        assert_eq!(clip.samples.len(), 5 * 48_000);
        assert!(share(&clip.samples[..48_000], 425.0) > 0.95);
        assert!(clip.samples[48_000..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn a_british_line_rings_twice_with_two_notes() {
        let clip = ringback(Region::of_country("gb"));
        assert_eq!(clip.samples.len(), 3 * 48_000);
        let ring = &clip.samples[..19_200];
        assert!(share(ring, 400.0) > 0.4 && share(ring, 450.0) > 0.4);
    }

    #[test]
    fn keys_sound_as_they_are_sent() {
        for (name, row, column) in [('1', 697.0, 1_209.0), ('#', 941.0, 1_477.0), ('d', 941.0, 1_633.0)] {
            let clip = key(name).unwrap();
            assert!(share(&clip.samples, row) > 0.4 && share(&clip.samples, column) > 0.4, "{name}");
        }
        assert!(key('x').is_none());
    }

    #[test]
    fn no_tone_clips_and_every_region_has_all() {
        for region in Region::ALL {
            for clip in [ringback(region), busy(region), congestion(region), call_waiting(region)] {
                assert!(clip.repeat && clip.samples.iter().any(|sample| *sample > 5_000), "{region:?}");
                assert_eq!((clip.samples[0], clip.samples[clip.samples.len() - 1]), (0, 0));
            }
        }
    }
}

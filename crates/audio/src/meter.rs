use std::sync::atomic::{AtomicU32, Ordering};

/// The quietest level that a meter shows, in dBFS.
const FLOOR: f32 = -60.0;

/// The loudest sample since somebody looked; written in callbacks, read anywhere.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU32);

impl Meter {
    pub(crate) fn hear(&self, pcm: &[i16]) {
        let loudest = pcm.iter().map(|sample| u32::from(sample.unsigned_abs())).max().unwrap_or(0);
        self.0.fetch_max(loudest, Ordering::Relaxed);
    }

    /// 0 to 100, in steps of 0.6 dB from -60 dBFS to the loudest that there is.
    pub(crate) fn take(&self) -> u8 {
        let peak = self.0.swap(0, Ordering::Relaxed);
        if peak == 0 {
            return 0;
        }
        let dbfs = 20.0 * (peak as f32 / 32_768.0).log10();
        ((dbfs - FLOOR) / -FLOOR * 100.0).round().clamp(0.0, 100.0) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_counts_until_somebody_looks() {
        let meter = Meter::default();
        meter.hear(&[5, -32_768, 9]);
        meter.hear(&[100]);
        assert_eq!(meter.take(), 100);
        assert_eq!(meter.take(), 0);
        meter.hear(&[1_036, -1_036]);
        assert_eq!(meter.take(), 50, "-30 dBFS is half way");
    }
}

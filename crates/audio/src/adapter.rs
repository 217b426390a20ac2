//! Between 48 kHz mono and what a device really does: its rate, its channels, its sample format.

use std::collections::VecDeque;

use aftertone_media::resample::{ResampleError, Resampler};
use cpal::{FromSample, Sample, SizedSample};

use crate::{FRAME_SAMPLES, Fill, Frame, SAMPLE_RATE, Take};

/// So much may wait between a device and ourselves without room being made for it: the longest period of a device.
const ROOM: usize = 16_384;

/// Fills a device's interleaved buffers, in its callback: everything is as large as it ever gets from the start.
pub(crate) struct OutputAdapter {
    fill: Fill,
    channels: usize,
    resampler: Resampler,
    /// At the device's rate.
    ready: VecDeque<i16>,
    converted: Vec<i16>,
    block: Frame,
}

impl OutputAdapter {
    pub(crate) fn new(fill: Fill, rate: u32, channels: u16) -> Result<Self, ResampleError> {
        let resampler = Resampler::new(SAMPLE_RATE, rate)?;
        let (ready, converted) = (VecDeque::with_capacity(ROOM), Vec::with_capacity(ROOM));
        Ok(Self { fill, channels: usize::from(channels.max(1)), resampler, ready, converted, block: [0; FRAME_SAMPLES] })
    }

    pub(crate) fn fill<T: SizedSample + FromSample<i16>>(&mut self, buffer: &mut [T]) {
        let converts = self.resampler.from_rate() != self.resampler.to_rate();
        for piece in buffer.chunks_mut(self.channels * FRAME_SAMPLES) {
            let frames = piece.len() / self.channels;
            if converts {
                self.convert(frames);
                spread(piece, self.channels, self.ready.drain(..frames));
            } else {
                (self.fill)(&mut self.block[..frames]);
                spread(piece, self.channels, self.block[..frames].iter().copied());
            }
        }
    }

    fn convert(&mut self, frames: usize) {
        while self.ready.len() < frames {
            (self.fill)(&mut self.block);
            self.converted.clear();
            self.resampler.process_into(&self.block, &mut self.converted);
            self.ready.extend(&self.converted);
        }
    }
}

/// The same on the first two channels, silence on the others: nobody wants a caller's voice from the subwoofer.
fn spread<T: SizedSample + FromSample<i16>>(buffer: &mut [T], channels: usize, samples: impl Iterator<Item = i16>) {
    for (frame, sample) in buffer.chunks_mut(channels).zip(samples) {
        let (front, others) = frame.split_at_mut(channels.min(2));
        front.fill(T::from_sample(sample));
        others.fill(T::EQUILIBRIUM);
    }
}

/// Takes a device's interleaved buffers, in its callback.
pub(crate) struct InputAdapter {
    take: Take,
    channels: usize,
    resampler: Resampler,
    converted: Vec<i16>,
    block: Frame,
}

impl InputAdapter {
    pub(crate) fn new(take: Take, rate: u32, channels: u16) -> Result<Self, ResampleError> {
        let resampler = Resampler::new(rate, SAMPLE_RATE)?;
        let (converted, block) = (Vec::with_capacity(ROOM), [0; FRAME_SAMPLES]);
        Ok(Self { take, channels: usize::from(channels.max(1)), resampler, converted, block })
    }

    pub(crate) fn take<T: SizedSample>(&mut self, buffer: &[T])
    where
        i16: FromSample<T>,
    {
        for piece in buffer.chunks(self.channels * FRAME_SAMPLES) {
            let frames = piece.len() / self.channels;
            self.block.iter_mut().zip(piece.chunks_exact(self.channels)).for_each(|(sample, frame)| *sample = mix(frame));
            if self.resampler.from_rate() == self.resampler.to_rate() {
                (self.take)(&self.block[..frames]);
                continue;
            }
            self.converted.clear();
            self.resampler.process_into(&self.block[..frames], &mut self.converted);
            if !self.converted.is_empty() {
                (self.take)(&self.converted);
            }
        }
    }
}

/// One of two: a microphone on one channel only isn't halved by the silence on the other.
fn mix<T: SizedSample>(frame: &[T]) -> i16
where
    i16: FromSample<T>,
{
    let samples = frame.iter().take(2).map(|&sample| i32::from(i16::from_sample(sample)));
    let (sum, loudest) =
        samples.fold((0, 0), |(sum, loudest): (i32, i32), s| (sum + s, if s.abs() > loudest.abs() { s } else { loudest }));
    let is_one_sided = frame.len() >= 2 && sum == loudest;
    (if is_one_sided || frame.len() < 2 { sum } else { sum / 2 }).clamp(-32_768, 32_767) as i16
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_stereo_float_device_plays_on_both_sides() {
        let mut adapter = OutputAdapter::new(Box::new(|pcm| pcm.fill(16_384)), 48_000, 2).unwrap();
        let mut buffer = [0f32; 64];
        adapter.fill(&mut buffer);
        assert!(buffer.iter().all(|&s| (s - 0.5).abs() < 0.001));
    }

    #[test]
    fn a_surround_device_plays_in_front_only() {
        let mut adapter = OutputAdapter::new(Box::new(|pcm| pcm.fill(100)), 48_000, 6).unwrap();
        let mut buffer = [1i16; 12];
        adapter.fill(&mut buffer);
        assert_eq!(buffer, [100, 100, 0, 0, 0, 0, 100, 100, 0, 0, 0, 0]);
    }

    #[test]
    fn a_device_of_44100_hz_gets_as_much_as_it_asks_for() {
        let mut asked = 0usize;
        let (sender, receiver) = std::sync::mpsc::channel();
        let fill = Box::new(move |pcm: &mut [i16]| sender.send(pcm.len()).unwrap());
        let mut adapter = OutputAdapter::new(fill, 44_100, 1).unwrap();
        (0..100).for_each(|_| adapter.fill(&mut [0i32; 441]));
        while let Ok(length) = receiver.try_recv() {
            asked += length;
        }
        assert!((48_000..50_500).contains(&asked), "{asked}");
    }

    #[test]
    fn inputs_are_mixed_and_resampled() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let heard = move |pcm: &[i16]| sender.send(pcm.to_vec()).unwrap();
        let mut adapter = InputAdapter::new(Box::new(heard), 48_000, 2).unwrap();
        adapter.take(&[100i16, 300, 500, 0, 0, -500]);
        assert_eq!(receiver.recv().unwrap(), [200, 500, -500]);

        let (sender, receiver) = std::sync::mpsc::channel();
        let heard = move |pcm: &[i16]| sender.send(pcm.len()).unwrap();
        let mut adapter = InputAdapter::new(Box::new(heard), 16_000, 1).unwrap();
        (0..100).for_each(|_| adapter.take(&[0.25f32; 160]));
        let total: usize = receiver.try_iter().sum();
        assert!((46_000..=48_000).contains(&total), "{total}");
    }
}

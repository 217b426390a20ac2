//! Changing the rate of a stream of sound.

use rubato::{Fft, FixedSync, Resampler as _, WindowFunction, audioadapter_buffers::direct::SequentialSlice};

/// Why two rates can't be converted into each other.
#[derive(Debug, thiserror::Error)]
#[error("can't convert {from} Hz to {to} Hz")]
pub struct ResampleError {
    from: u32,
    to: u32,
    #[source]
    source: rubato::ResamplerConstructionError,
}

/// Converts mono sound from one rate to another, piece by piece and of any length; about 20 ms late.
pub struct Resampler {
    from: u32,
    to: u32,
    /// Absent when there is nothing to convert.
    engine: Option<Engine>,
}

struct Engine {
    fft: Fft<f32>,
    waiting: Vec<f32>,
    output: Vec<f32>,
    /// How many samples at the start of the output are the filter's delay.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A stream from `from` Hz to `to` Hz.
    ///
    /// # Errors
    /// When a rate is 0.
    pub fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        let engine = if from == to && from != 0 { None } else { Some(Engine::new(from, to)?) };
        Ok(Self { from, to, engine })
    }

    /// The rate of what goes in.
    #[must_use]
    pub fn from_rate(&self) -> u32 {
        self.from
    }

    /// The rate of what comes out.
    #[must_use]
    pub fn to_rate(&self) -> u32 {
        self.to
    }

    /// Takes a piece and gives what is ready; the pieces that come out vary in length.
    pub fn process(&mut self, pcm: &[i16]) -> Vec<i16> {
        let mut out = Vec::new();
        self.process_into(pcm, &mut out);
        out
    }

    /// The same, put behind what `out` holds. It allocates nothing where `out` has room and `pcm` is at most 20 ms: a
    /// device's callback may call it.
    pub fn process_into(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        match &mut self.engine {
            None => out.extend_from_slice(pcm),
            Some(engine) => engine.process(pcm, out),
        }
    }

    /// Gives the rest at the end of a stream.
    pub fn finish(mut self) -> Vec<i16> {
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        let Some(engine) = &mut self.engine else { return Vec::new() };
        let due = engine.taken * to / from;
        let mut rest = Vec::new();
        let silence = vec![0; engine.fft.input_frames_next()];
        while engine.given < due {
            engine.process(&silence, &mut rest);
        }
        let surplus = usize::try_from(engine.given - due).unwrap_or(0);
        rest.truncate(rest.len().saturating_sub(surplus));
        rest
    }
}

impl Engine {
    fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        // 20 ms at a time: shorter blocks have too soft a filter at 8 kHz.
        let chunk = (from / 50).max(1) as usize;
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(from as usize, to as usize, chunk, 1, 1, window, FixedSync::Both)
            .map_err(|source| ResampleError { from, to, source })?;
        let output = vec![0.0; fft.output_frames_max()];
        let delay = fft.output_delay();
        let waiting = Vec::with_capacity(fft.input_frames_max() + chunk);
        Ok(Self { fft, waiting, output, delay, taken: 0, given: 0 })
    }

    fn process(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.taken += pcm.len() as u64;
        self.waiting.extend(pcm.iter().map(|&s| f32::from(s)));
        let before = out.len();
        let mut used = 0;
        while self.waiting.len() - used >= self.fft.input_frames_next() {
            let block = self.fft.input_frames_next();
            self.block(used, block, out);
            used += block;
        }
        self.waiting.drain(..used);
        self.given += (out.len() - before) as u64;
    }

    fn block(&mut self, start: usize, length: usize, out: &mut Vec<i16>) {
        let room = self.output.len();
        let Ok(input) = SequentialSlice::new(&self.waiting[start..start + length], 1, length) else { return };
        let Ok(mut output) = SequentialSlice::new_mut(&mut self.output, 1, room) else { return };
        // The sizes are the resampler's own, so it has nothing to refuse.
        let Ok((_, made)) = self.fft.process_into_buffer(&input, &mut output, None) else { return };
        let skipped = self.delay.min(made);
        self.delay -= skipped;
        out.extend(self.output[skipped..made].iter().map(|&s| s.round().clamp(-32_768.0, 32_767.0) as i16));
    }
}

/// Converts a whole recording; what comes out is as long as what went in.
///
/// # Errors
/// When a rate is 0.
pub fn resample(pcm: &[i16], from: u32, to: u32) -> Result<Vec<i16>, ResampleError> {
    let mut stream = Resampler::new(from, to)?;
    let mut out = stream.process(pcm);
    out.extend(stream.finish());
    Ok(out)
}

#[cfg(test)]
mod tests;

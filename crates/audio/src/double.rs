//! Devices that exist in memory only, with a clock of their own: what tests play on and record from.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    AudioDevice, AudioHost, Devices, Failed, Fill, OpenError, OpenStream, SAMPLE_RATE, Take, Use,
    adapter::{InputAdapter, OutputAdapter},
};

/// Runs a device's callback, and whatever a test does around it.
type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// A person's hands on the double: plugs devices in and out, speaks, listens, and lets time pass.
#[derive(Clone, Default)]
pub struct Desk(Arc<Mutex<Bench>>);

struct Bench {
    rate: u32,
    channels: u16,
    around: Around,
    devices: Devices,
    broken: Vec<String>,
    frozen: Vec<u64>,
    streams: BTreeMap<u64, Stream>,
    opened: u64,
    heard: BTreeMap<String, Vec<i16>>,
    spoken: BTreeMap<String, Vec<i16>>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            rate: SAMPLE_RATE,
            channels: 1,
            around: Arc::new(|callback| callback()),
            devices: Devices::default(),
            broken: Vec::new(),
            frozen: Vec::new(),
            streams: BTreeMap::new(),
            opened: 0,
            heard: BTreeMap::new(),
            spoken: BTreeMap::new(),
        }
    }
}

struct Stream {
    device: String,
    end: End,
    failed: Failed,
}

enum End {
    Output(Box<OutputAdapter>),
    Input(Box<InputAdapter>),
}

/// The host to give to [`crate::Sound::with_host`].
pub struct DoubleHost(Desk);

/// Ends the stream when it is dropped.
struct Plug {
    desk: Desk,
    stream: u64,
}

impl Drop for Plug {
    fn drop(&mut self) {
        let removed = self.desk.bench().streams.remove(&self.stream);
        // Its callback goes without the lock: what it lent may come back through anything.
        drop(removed);
    }
}

impl Desk {
    /// Devices of this rate and with so many channels, whose callbacks run inside `around`.
    #[must_use]
    pub fn with_formats(rate: u32, channels: u16, around: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Mutex::new(Bench { rate, channels, around: Arc::new(around), ..Bench::default() })))
    }

    /// A host for these devices.
    #[must_use]
    pub fn host(&self) -> DoubleHost {
        DoubleHost(self.clone())
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes another device the system's default.
    pub fn set_default(&self, usage: Use, id: &str) {
        self.bench().list(usage).iter_mut().for_each(|device| device.is_default = device.id == id);
    }

    /// Plugs a device in; the first one of its kind is the default.
    pub fn plug_in(&self, usage: Use, id: &str) {
        let mut bench = self.bench();
        let list = bench.list(usage);
        let is_default = list.is_empty();
        list.push(AudioDevice { id: id.to_owned(), name: format!("The {id}"), is_default });
    }

    /// Pulls a device out: its streams fail, and the next one becomes the default.
    pub fn pull_out(&self, id: &str) {
        for usage in [Use::Speaker, Use::Microphone] {
            let mut bench = self.bench();
            let list = bench.list(usage);
            list.retain(|device| device.id != id);
            if let Some(first) = list.first_mut() {
                first.is_default = true;
            }
        }
        self.fail(id);
    }

    /// Makes a device refuse to be opened, though it is listed, or work again.
    pub fn set_broken(&self, id: &str, broken: bool) {
        let mut bench = self.bench();
        bench.broken.retain(|known| known != id);
        if broken {
            bench.broken.push(id.to_owned());
        }
    }

    /// Makes a device stand still without a word; streams that are opened later work.
    pub fn freeze(&self, id: &str) {
        let mut bench = self.bench();
        let stalled: Vec<u64> = bench.streams.iter().filter(|(_, s)| s.device == id).map(|(&number, _)| number).collect();
        bench.frozen.extend(stalled);
    }

    /// The streams of a device fail; they deliver nothing from then on.
    pub fn fail(&self, id: &str) {
        let mut bench = self.bench();
        bench.streams.values_mut().filter(|stream| stream.device == id).for_each(|stream| (stream.failed)());
    }

    /// What an input will hear, at the device's rate.
    pub fn speak(&self, id: &str, pcm: &[i16]) {
        self.bench().spoken.entry(id.to_owned()).or_default().extend_from_slice(pcm);
    }

    /// What an output played on its first channel since the last time somebody asked, at the device's rate.
    #[must_use]
    pub fn heard(&self, id: &str) -> Vec<i16> {
        self.bench().heard.remove(id).unwrap_or_default()
    }

    /// The devices that have a stream open, one entry each.
    #[must_use]
    pub fn open(&self) -> Vec<String> {
        self.bench().streams.values().map(|stream| stream.device.clone()).collect()
    }

    /// Lets the devices' clocks run on.
    pub fn pass(&self, time: Duration) {
        let mut bench = self.bench();
        let Bench { rate, channels, around, devices, streams, heard, spoken, frozen, .. } = &mut *bench;
        let (samples, channels) = ((time.as_millis() * u128::from(*rate) / 1_000) as usize, usize::from(*channels));
        for (number, Stream { device, end, .. }) in streams {
            if frozen.contains(number) || devices.inputs.iter().chain(&devices.outputs).all(|d| d.id != *device) {
                continue;
            }
            let mut pcm = vec![0i16; samples * channels];
            match end {
                End::Output(adapter) => {
                    around(&mut || adapter.fill(&mut pcm));
                    heard.entry(device.clone()).or_default().extend(pcm.iter().step_by(channels));
                }
                End::Input(adapter) => {
                    let waiting = spoken.entry(device.clone()).or_default();
                    let ready = waiting.len().min(samples);
                    pcm.chunks_mut(channels).zip(waiting.drain(..ready)).for_each(|(frame, spoken)| frame.fill(spoken));
                    around(&mut || adapter.take(&pcm));
                }
            }
        }
    }
}

impl Bench {
    fn list(&mut self, usage: Use) -> &mut Vec<AudioDevice> {
        match usage {
            Use::Microphone => &mut self.devices.inputs,
            Use::Speaker | Use::Ringer => &mut self.devices.outputs,
        }
    }
}

impl DoubleHost {
    fn format(&self) -> (u32, u16) {
        let bench = self.0.bench();
        (bench.rate, bench.channels)
    }

    fn open(&mut self, usage: Use, device: Option<&str>, end: End, failed: Failed) -> Result<OpenStream, OpenError> {
        let mut bench = self.0.bench();
        let fits = |d: &&mut AudioDevice| device.map_or(d.is_default, |id| d.id == id);
        let device = bench.list(usage).iter_mut().find(fits).map(|d| d.id.clone()).ok_or(OpenError::NotThere)?;
        if bench.broken.contains(&device) {
            return Err(OpenError::Busy);
        }
        bench.opened += 1;
        let stream = bench.opened;
        bench.streams.insert(stream, Stream { device, end, failed });
        Ok(OpenStream::new(Plug { desk: self.0.clone(), stream }))
    }
}

impl AudioHost for DoubleHost {
    fn devices(&mut self) -> Devices {
        self.0.bench().devices.clone()
    }

    fn open_output(&mut self, device: Option<&str>, fill: Fill, failed: Failed) -> Result<OpenStream, OpenError> {
        let (rate, channels) = self.format();
        let adapter = OutputAdapter::new(fill, rate, channels).map_err(|e| OpenError::Unusable(e.to_string()))?;
        self.open(Use::Speaker, device, End::Output(Box::new(adapter)), failed)
    }

    fn open_input(&mut self, device: Option<&str>, take: Take, failed: Failed) -> Result<OpenStream, OpenError> {
        let (rate, channels) = self.format();
        let adapter = InputAdapter::new(take, rate, channels).map_err(|e| OpenError::Unusable(e.to_string()))?;
        self.open(Use::Microphone, device, End::Input(Box::new(adapter)), failed)
    }
}

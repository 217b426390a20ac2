use cpal::{
    BufferSize, Device, ErrorKind, FromSample, I24, SampleFormat, SizedSample, StreamConfig, SupportedBufferSize,
    SupportedStreamConfigRange,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use crate::{
    AudioDevice, AudioHost, Devices, Failed, Fill, OpenError, OpenStream, SAMPLE_RATE, Take,
    adapter::{InputAdapter, OutputAdapter},
};

/// The system's devices through cpal: ALSA (and whatever stands behind its `default`), WASAPI, Core Audio.
pub struct CpalHost {
    host: cpal::Host,
}

impl Default for CpalHost {
    fn default() -> Self {
        Self { host: cpal::default_host() }
    }
}

/// The sample formats that we can convert to, the likeliest first.
const FORMATS: [SampleFormat; 8] = [
    SampleFormat::I16,
    SampleFormat::F32,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::U16,
    SampleFormat::U8,
    SampleFormat::I8,
];

/// Starts a stream of the type that belongs to the format.
macro_rules! start_in {
    ($open:ident, $format:ident, $config:ident) => {
        if $format == SampleFormat::I16 {
            $open.start::<i16>($config)
        } else if $format == SampleFormat::F32 {
            $open.start::<f32>($config)
        } else if $format == SampleFormat::I32 {
            $open.start::<i32>($config)
        } else if $format == SampleFormat::I24 {
            $open.start::<I24>($config)
        } else if $format == SampleFormat::F64 {
            $open.start::<f64>($config)
        } else if $format == SampleFormat::U16 {
            $open.start::<u16>($config)
        } else if $format == SampleFormat::U8 {
            $open.start::<u8>($config)
        } else if $format == SampleFormat::I8 {
            $open.start::<i8>($config)
        } else {
            Err(OpenError::Unusable(format!("sample format {}", $format)))
        }
    };
}

/// Which way a device is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl AudioHost for CpalHost {
    fn devices(&mut self) -> Devices {
        let found: Vec<Device> = match self.host.devices() {
            Ok(devices) => devices.collect(),
            Err(error) => {
                tracing::debug!(%error, "devices can't be listed");
                Vec::new()
            }
        };
        Devices { inputs: self.list(&found, Way::In), outputs: self.list(&found, Way::Out) }
    }

    fn open_output(&mut self, device: Option<&str>, fill: Fill, failed: Failed) -> Result<OpenStream, OpenError> {
        let device = self.find(device, Way::Out)?;
        let range = best(device.supported_output_configs().map_err(refused)?)?;
        let (format, config) = settle(&range);
        let adapter =
            OutputAdapter::new(fill, config.sample_rate, config.channels).map_err(|e| OpenError::Unusable(e.to_string()))?;
        let open = Output { device, adapter, failed };
        start_in!(open, format, config)
    }

    fn open_input(&mut self, device: Option<&str>, take: Take, failed: Failed) -> Result<OpenStream, OpenError> {
        let device = self.find(device, Way::In)?;
        let range = best(device.supported_input_configs().map_err(refused)?)?;
        let (format, config) = settle(&range);
        let adapter =
            InputAdapter::new(take, config.sample_rate, config.channels).map_err(|e| OpenError::Unusable(e.to_string()))?;
        let open = Input { device, adapter, failed };
        start_in!(open, format, config)
    }
}

impl CpalHost {
    fn default_device(&self, way: Way) -> Option<Device> {
        match way {
            Way::In => self.host.default_input_device(),
            Way::Out => self.host.default_output_device(),
        }
    }

    fn find(&self, id: Option<&str>, way: Way) -> Result<Device, OpenError> {
        let Some(id) = id else { return self.default_device(way).ok_or(OpenError::NotThere) };
        let id = id.parse().map_err(|_| OpenError::NotThere)?;
        self.host.device_by_id(&id).ok_or(OpenError::NotThere)
    }

    fn list(&self, found: &[Device], way: Way) -> Vec<AudioDevice> {
        let default = self.default_device(way).and_then(|device| device.id().ok());
        let mut devices: Vec<AudioDevice> = Vec::new();
        for device in found {
            let (Ok(id), Ok(description)) = (device.id(), device.description()) else { continue };
            let matches = match way {
                Way::In => description.supports_input(),
                Way::Out => description.supports_output(),
            };
            let is_default = default.as_ref() == Some(&id);
            let known = devices.iter().any(|known| known.id == id.to_string());
            if (matches || is_default) && !known && (is_default || is_for_people(id.id())) {
                devices.push(AudioDevice { id: id.to_string(), name: description.name().to_owned(), is_default });
            }
        }
        devices
    }
}

/// ALSA lists each card a dozen times, and converters that aren't devices at all. A card's shareable form is kept, and
/// what somebody configured; other systems list devices only.
fn is_for_people(id: &str) -> bool {
    const CONVERTERS: [&str; 12] = [
        "null",
        "lavrate",
        "samplerate",
        "speexrate",
        "speex",
        "jack",
        "oss",
        "upmix",
        "vdownmix",
        "a52",
        "sysdefault",
        "arcam_av",
    ];
    const FORMS: [&str; 14] = [
        "hw:",
        "plughw:",
        "default:",
        "front:",
        "rear:",
        "center_lfe:",
        "side:",
        "surround",
        "iec958:",
        "spdif:",
        "hdmi:",
        "dmix:",
        "dsnoop:",
        "usbstream:",
    ];
    let is_alsa = cfg!(target_os = "linux");
    !is_alsa || !(CONVERTERS.contains(&id) || FORMS.iter().any(|form| id.starts_with(form)))
}

/// 48 kHz if that is possible, few channels, a common format.
fn best(ranges: impl Iterator<Item = SupportedStreamConfigRange>) -> Result<SupportedStreamConfigRange, OpenError> {
    let rate = |range: &SupportedStreamConfigRange| rate_of(range).abs_diff(SAMPLE_RATE);
    let format = |range: &SupportedStreamConfigRange| FORMATS.iter().position(|&known| known == range.sample_format());
    // Stereo first: some devices play mono on one side only.
    let channels = |range: &SupportedStreamConfigRange| match range.channels() {
        2 => 0,
        1 => 1,
        more => more,
    };
    let cost = |range: &SupportedStreamConfigRange| (rate(range), channels(range), format(range));
    ranges
        .filter(|range| format(range).is_some())
        .min_by_key(cost)
        .ok_or_else(|| OpenError::Unusable("it supports nothing".into()))
}

/// The rate nearest to ours that a range allows.
fn rate_of(range: &SupportedStreamConfigRange) -> u32 {
    SAMPLE_RATE.clamp(range.min_sample_rate(), range.max_sample_rate())
}

fn settle(range: &SupportedStreamConfigRange) -> (SampleFormat, StreamConfig) {
    let sample_rate = rate_of(range);
    // Periods of 10 ms; no more than a wish on most systems.
    let wish = sample_rate / 100;
    let buffer_size = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wish.clamp(min, max)),
        SupportedBufferSize::Unknown => BufferSize::Default,
    };
    (range.sample_format(), StreamConfig { channels: range.channels(), sample_rate, buffer_size })
}

struct Output {
    device: Device,
    adapter: OutputAdapter,
    failed: Failed,
}

impl Output {
    fn start<T: SizedSample + FromSample<i16>>(self, config: StreamConfig) -> Result<OpenStream, OpenError> {
        let Self { device, mut adapter, failed } = self;
        let stream = device
            .build_output_stream(config, move |buffer: &mut [T], _: &_| adapter.fill(buffer), on_error(failed), None)
            .map_err(refused)?;
        stream.play().map_err(refused)?;
        Ok(OpenStream::new(stream))
    }
}

struct Input {
    device: Device,
    adapter: InputAdapter,
    failed: Failed,
}

impl Input {
    fn start<T: SizedSample>(self, config: StreamConfig) -> Result<OpenStream, OpenError>
    where
        i16: FromSample<T>,
    {
        let Self { device, mut adapter, failed } = self;
        let stream = device
            .build_input_stream(config, move |buffer: &[T], _: &_| adapter.take(buffer), on_error(failed), None)
            .map_err(refused)?;
        stream.play().map_err(refused)?;
        Ok(OpenStream::new(stream))
    }
}

/// Some errors are only told; after the others the stream is dead. ALSA goes on telling the same without a pause until
/// the stream is dropped, so the first one counts.
fn on_error(failed: Failed) -> impl FnMut(cpal::Error) + Send + 'static {
    let mut failed = Some(failed);
    move |error| {
        if matches!(error.kind(), ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged) {
            tracing::debug!(%error, "sound stream");
        } else if let Some(mut failed) = failed.take() {
            tracing::info!(%error, "a sound stream failed");
            failed();
        }
    }
}

fn refused(error: cpal::Error) -> OpenError {
    let kind = error.kind();
    if matches!(kind, ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable) {
        OpenError::NotThere
    } else if kind == ErrorKind::DeviceBusy {
        OpenError::Busy
    } else if kind == ErrorKind::PermissionDenied {
        OpenError::Denied
    } else {
        OpenError::Unusable(error.to_string())
    }
}

//! PulseAudio's protocol, which PipeWire speaks too: what most Linux desktops have. One connection lists the devices and
//! hears of changes, and each stream has a connection and a thread of its own, so that its sound waits for nothing else.

use std::{
    ffi::{CStr, CString},
    io::{self, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use pulseaudio::protocol::{
    AuthParams, AuthReply, ChannelMap, ChannelVolume, Command, CommandReply, CreatePlaybackStreamReply, CreateRecordStreamReply,
    DEFAULT_SINK, DEFAULT_SOURCE, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags, MAX_VERSION, PlaybackStreamParams, Prop, Props,
    ProtocolError, PulseError, RecordStreamParams, SampleFormat, SampleSpec, ServerInfo, SetClientNameReply, SinkInfo,
    SourceInfo, SubscriptionMask, encode_descriptor, read_ack_message, read_descriptor, read_reply_message,
    stream::{BufferAttr, StreamFlags},
    write_command_message,
};

use crate::{AudioDevice, AudioHost, Devices, FRAME_SAMPLES, Failed, Fill, OpenError, OpenStream, SAMPLE_RATE, Take};

/// A server that says nothing for so long is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Two bytes a sample.
const FRAME_BYTES: u32 = FRAME_SAMPLES as u32 * 2;
/// So much waits to be played, the device's own buffer included, where the device can do it.
const OUTPUT_BYTES: u32 = FRAME_BYTES * 3;
/// What the server may ask for at once: a second.
const LARGEST_REQUEST: usize = SAMPLE_RATE as usize * 2;

/// The devices of a PulseAudio or PipeWire server.
pub struct PulseHost {
    control: Option<Connection>,
    watcher: Option<Watcher>,
    changed: Arc<dyn Fn() + Send + Sync>,
    known: Devices,
}

impl PulseHost {
    /// A host, if there is a server now.
    #[must_use]
    pub fn connect() -> Option<Self> {
        let control = Connection::open().inspect_err(|error| tracing::debug!(%error, "no PulseAudio")).ok()?;
        Some(Self { control: Some(control), watcher: None, changed: Arc::new(|| {}), known: Devices::default() })
    }

    /// The devices, asked for anew; an empty list while the server is away.
    fn ask(&mut self) -> Result<Devices, ProtocolError> {
        let control = match &mut self.control {
            Some(control) => control,
            None => self.control.insert(Connection::open()?),
        };
        control.devices()
    }

    /// Hears of changes, so that the list is asked for only then.
    fn watch_again(&mut self) {
        if self.watcher.as_ref().is_none_or(Watcher::is_over) {
            self.watcher = Watcher::start(Arc::clone(&self.changed))
                .inspect_err(|error| tracing::debug!(%error, "changes of sound devices aren't told"))
                .ok();
        }
    }
}

impl AudioHost for PulseHost {
    fn devices(&mut self) -> Devices {
        let was_watched = self.watcher.as_ref().is_some_and(|watcher| !watcher.is_over() && !watcher.take_changed());
        if was_watched {
            return self.known.clone();
        }
        self.watch_again();
        let asked = self.ask();
        if let Err(error) = &asked {
            tracing::debug!(%error, "the sound server doesn't answer");
            (self.control, self.watcher) = (None, None);
        }
        self.known = asked.unwrap_or_default();
        self.known.clone()
    }

    fn watch(&mut self, changed: Arc<dyn Fn() + Send + Sync>) {
        self.changed = changed;
        self.watcher = None;
    }

    fn open_output(&mut self, device: Option<&str>, fill: Fill, failed: Failed) -> Result<OpenStream, OpenError> {
        let mut connection = Connection::open().map_err(|error| refused(&error))?;
        let params = PlaybackStreamParams {
            sample_spec: SAMPLES,
            channel_map: ChannelMap::mono(),
            sink_name: Some(name_of(device, DEFAULT_SINK)?),
            buffer_attr: BufferAttr {
                target_length: OUTPUT_BYTES,
                minimum_request_length: FRAME_BYTES,
                pre_buffering: 0,
                ..BufferAttr::default()
            },
            cvolume: Some(ChannelVolume::norm(1)),
            flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
            props: stream_props(),
            ..PlaybackStreamParams::default()
        };
        let reply: CreatePlaybackStreamReply =
            connection.ask(&Command::CreatePlaybackStream(params)).map_err(|error| refused(&error))?;
        let mut player = PlayingStream { fill, pcm: [0; FRAME_SAMPLES], bytes: vec![0; DESCRIPTOR_SIZE + FRAME_BYTES as usize] };
        let (channel, first) = (reply.channel, reply.requested_bytes as usize);
        connection.stream(failed, move |connection| player.run(connection, channel, first))
    }

    fn open_input(&mut self, device: Option<&str>, mut take: Take, failed: Failed) -> Result<OpenStream, OpenError> {
        let mut connection = Connection::open().map_err(|error| refused(&error))?;
        let params = RecordStreamParams {
            sample_spec: SAMPLES,
            channel_map: ChannelMap::mono(),
            source_name: Some(name_of(device, DEFAULT_SOURCE)?),
            buffer_attr: BufferAttr { fragment_size: FRAME_BYTES, ..BufferAttr::default() },
            cvolume: Some(ChannelVolume::norm(1)),
            flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
            props: stream_props(),
            ..RecordStreamParams::default()
        };
        let _reply: CreateRecordStreamReply =
            connection.ask(&Command::CreateRecordStream(params)).map_err(|error| refused(&error))?;
        connection.stream(failed, move |connection| record(connection, &mut take))
    }
}

const SAMPLES: SampleSpec = SampleSpec { format: SampleFormat::S16Le, channels: 1, sample_rate: SAMPLE_RATE };

fn name_of(device: Option<&str>, default: &CStr) -> Result<CString, OpenError> {
    device.map_or_else(|| Ok(default.to_owned()), |id| CString::new(id).map_err(|_| OpenError::NotThere))
}

fn stream_props() -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"Aftertone");
    props.set(Prop::MediaRole, c"phone");
    props
}

fn refused(error: &ProtocolError) -> OpenError {
    if matches!(error, ProtocolError::ServerError(PulseError::NoEntity) | ProtocolError::Io(_)) {
        OpenError::NotThere
    } else if matches!(error, ProtocolError::ServerError(PulseError::AccessDenied)) {
        OpenError::Denied
    } else if matches!(error, ProtocolError::ServerError(PulseError::Busy)) {
        OpenError::Busy
    } else {
        OpenError::Unusable(error.to_string())
    }
}

/// A connection to the server.
struct Connection {
    socket: BufReader<UnixStream>,
    version: u16,
    asked: u32,
}

impl Connection {
    fn open() -> Result<Self, ProtocolError> {
        let path = pulseaudio::socket_path_from_env().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self { socket: BufReader::new(socket), version: MAX_VERSION, asked: 0 };
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let auth = AuthParams { version: MAX_VERSION, supports_shm: false, supports_memfd: false, cookie };
        let reply: AuthReply = connection.ask(&Command::Auth(auth))?;
        connection.version = reply.version.min(MAX_VERSION);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"Aftertone");
        let _client: SetClientNameReply = connection.ask(&Command::SetClientName(props))?;
        Ok(connection)
    }

    fn send(&mut self, command: &Command) -> Result<(), ProtocolError> {
        self.asked += 1;
        write_command_message(self.socket.get_mut(), self.asked, command, self.version)
    }

    fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, ProtocolError> {
        self.send(command)?;
        let (_, reply) = read_reply_message(&mut self.socket, self.version)?;
        Ok(reply)
    }

    fn devices(&mut self) -> Result<Devices, ProtocolError> {
        let server: ServerInfo = self.ask(&Command::GetServerInfo)?;
        let sinks: Vec<SinkInfo> = self.ask(&Command::GetSinkInfoList)?;
        let sources: Vec<SourceInfo> = self.ask(&Command::GetSourceInfoList)?;
        let device = |name: &CStr, description: Option<&CString>, default: Option<&CString>| AudioDevice {
            id: name.to_string_lossy().into_owned(),
            name: description.map_or(name, CString::as_c_str).to_string_lossy().into_owned(),
            is_default: default.is_some_and(|default| default.as_c_str() == name),
        };
        let sink = |sink: &SinkInfo| device(&sink.name, sink.description.as_ref(), server.default_sink_name.as_ref());
        let source = |source: &SourceInfo| device(&source.name, source.description.as_ref(), server.default_source_name.as_ref());
        let outputs = sinks.iter().filter(|sink| !is_stand_in(&sink.name)).map(sink).collect();
        let inputs = sources.iter().map(|info| (info.monitor_of_sink_index.is_some(), source(info)));
        // What is being played is no microphone, unless the person made it one.
        let inputs = inputs.filter(|(is_monitor, device)| !is_monitor || device.is_default).map(|(_, device)| device);
        Ok(Devices { inputs: inputs.filter(|device| !device.id.starts_with("auto_null")).collect(), outputs })
    }

    /// Runs a stream on a thread of its own until it is dropped; what goes wrong before that is a failure.
    fn stream(
        self,
        mut failed: Failed,
        mut run: impl FnMut(&mut Connection) -> Result<(), ProtocolError> + Send + 'static,
    ) -> Result<OpenStream, OpenError> {
        let unusable = |error: io::Error| OpenError::Unusable(error.to_string());
        let mut connection = self;
        let socket = connection.socket.get_ref().try_clone().map_err(unusable)?;
        socket.set_read_timeout(None).map_err(unusable)?;
        let ending = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ending);
        let body = move || {
            let ended = run(&mut connection);
            // The callback goes home before anybody is told.
            drop(run);
            if !ends.load(Ordering::Acquire) {
                tracing::info!(error = ended.err().map(|e| e.to_string()), "a sound stream failed");
                failed();
            }
        };
        let thread = thread::Builder::new().name("sound".into()).spawn(body).map_err(unusable)?;
        Ok(OpenStream::new(RunningStream { socket, ending, thread: Some(thread) }))
    }
}

/// Sinks that stand in where there is no device at all.
fn is_stand_in(name: &CStr) -> bool {
    name.to_bytes().starts_with(b"auto_null")
}

struct RunningStream {
    socket: UnixStream,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RunningStream {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

struct PlayingStream {
    fill: Fill,
    pcm: [i16; FRAME_SAMPLES],
    bytes: Vec<u8>,
}

impl PlayingStream {
    /// Gives the server what it asks for, until it has enough of us.
    fn run(&mut self, connection: &mut Connection, channel: u32, first: usize) -> Result<(), ProtocolError> {
        self.give(connection, channel, first)?;
        loop {
            match next_command(connection)? {
                Some(Command::Request(request)) if request.channel == channel => {
                    self.give(connection, channel, request.length as usize)?;
                }
                Some(Command::PlaybackStreamKilled(_)) => return Ok(()),
                Some(_) | None => {}
            }
        }
    }

    fn give(&mut self, connection: &mut Connection, channel: u32, asked: usize) -> Result<(), ProtocolError> {
        let mut left = asked.min(LARGEST_REQUEST);
        while left > 1 {
            let length = left.min(FRAME_BYTES as usize) & !1;
            let pcm = &mut self.pcm[..length / 2];
            (self.fill)(pcm);
            let (head, body) = self.bytes.split_at_mut(DESCRIPTOR_SIZE);
            let descriptor = Descriptor { length: length as u32, channel, offset: 0, flags: DescriptorFlags::empty() };
            if let Ok(head) = <&mut [u8; DESCRIPTOR_SIZE]>::try_from(head) {
                encode_descriptor(head, &descriptor);
            }
            for (two, sample) in body.chunks_exact_mut(2).zip(pcm.iter()) {
                two.copy_from_slice(&sample.to_le_bytes());
            }
            connection.socket.get_mut().write_all(&self.bytes[..DESCRIPTOR_SIZE + length])?;
            left -= length;
        }
        Ok(())
    }
}

/// The next message if it is a command; `None` for anything else.
fn next_command(connection: &mut Connection) -> Result<Option<Command>, ProtocolError> {
    let descriptor = read_descriptor(&mut connection.socket)?;
    let version = connection.version;
    let mut body = (&mut connection.socket).take(u64::from(descriptor.length));
    let command = (descriptor.channel == u32::MAX).then(|| Command::read_tag_prefixed(&mut body, version));
    io::copy(&mut body, &mut io::sink())?;
    // A command that this version of the protocol doesn't have is nobody's.
    Ok(command.and_then(Result::ok).map(|(_, command)| command))
}

fn record(connection: &mut Connection, take: &mut Take) -> Result<(), ProtocolError> {
    let (mut bytes, mut pcm) = ([0u8; FRAME_SAMPLES * 2], [0i16; FRAME_SAMPLES]);
    loop {
        let descriptor = read_descriptor(&mut connection.socket)?;
        let version = connection.version;
        let mut body = (&mut connection.socket).take(u64::from(descriptor.length));
        if descriptor.channel == u32::MAX {
            let command = Command::read_tag_prefixed(&mut body, version);
            io::copy(&mut body, &mut io::sink())?;
            if matches!(command, Ok((_, Command::RecordStreamKilled(_)))) {
                return Ok(());
            }
            continue;
        }
        let mut left = descriptor.length as usize;
        while left > 0 {
            let length = left.min(bytes.len());
            body.read_exact(&mut bytes[..length])?;
            for (sample, two) in pcm.iter_mut().zip(bytes[..length].chunks_exact(2)) {
                *sample = i16::from_le_bytes([two[0], two[1]]);
            }
            take(&pcm[..length / 2]);
            left -= length;
        }
    }
}

/// Listens for changes of devices and defaults.
struct Watcher {
    socket: UnixStream,
    changed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn start(tell: Arc<dyn Fn() + Send + Sync>) -> Result<Self, ProtocolError> {
        let mut connection = Connection::open()?;
        let mask = SubscriptionMask::SINK | SubscriptionMask::SOURCE | SubscriptionMask::SERVER;
        connection.send(&Command::Subscribe(mask))?;
        read_ack_message(&mut connection.socket)?;
        let socket = connection.socket.get_ref().try_clone()?;
        socket.set_read_timeout(None)?;
        let changed = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&changed);
        let listen = move || {
            while let Ok(command) = next_command(&mut connection) {
                if matches!(command, Some(Command::SubscribeEvent(_))) && !flag.swap(true, Ordering::AcqRel) {
                    tell();
                }
            }
            tell();
        };
        let thread = thread::Builder::new().name("sound changes".into()).spawn(listen)?;
        Ok(Self { socket, changed, thread: Some(thread) })
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Whether something changed since the last time.
    fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

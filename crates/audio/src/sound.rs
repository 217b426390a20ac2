use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Instant,
};

use rtrb::Producer;

use crate::{
    AudioHost, Clip, Devices, Microphone, Player, Processing, SAMPLE_RATE, SoundEvent, Speaker, SystemHost, Use,
    engine::{Engine, Failure, Interest, Meters},
    mixer::Source,
    voice::{Switches, VoiceProcessing},
};

/// What the loudspeaker plays waits so long at most for whoever cancels its echo: 200 ms.
const PLAYED: usize = SAMPLE_RATE as usize / 5;

/// The machine's sound. A handle: clones control the same devices, and the last one to be dropped closes them all.
#[derive(Clone)]
pub struct Sound(Arc<Handle>);

struct Handle {
    commands: Sender<Command>,
    devices: Arc<Mutex<Devices>>,
    interests: [Weak<Interest>; 3],
    meters: Meters,
    switches: Arc<Switches>,
}

enum Command {
    Source(Use, Box<dyn Source>),
    Listener(Producer<i16>),
    Tap(Producer<i16>),
    Volume(Use, u32),
    Choose(Use, Option<String>),
    Changed,
    Failed(Failure),
    End,
}

/// Why there is no sound at all.
#[derive(Debug, thiserror::Error)]
#[error("the audio thread can't be started")]
pub struct StartError(#[source] std::io::Error);

impl Sound {
    /// The system's devices. `listener` is told what happens to them, on the audio thread: it must not wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(listener: impl FnMut(SoundEvent) + Send + 'static) -> Result<Self, StartError> {
        Self::with_host(|| Box::new(SystemHost::default()), listener)
    }

    /// The devices of another host, which is made and lives on the audio thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn with_host(
        host: impl FnOnce() -> Box<dyn AudioHost> + Send + 'static,
        listener: impl FnMut(SoundEvent) + Send + 'static,
    ) -> Result<Self, StartError> {
        let (commands, inbox) = channel();
        let (ready, started) = channel();
        let (failures, changes) = (commands.clone(), commands.clone());
        let run = move || {
            let report = Arc::new(move |failure| drop(failures.send(Command::Failed(failure))));
            let mut host = host();
            let changes = Mutex::new(changes);
            host.watch(Arc::new(move || {
                let _ended = changes.lock().unwrap_or_else(PoisonError::into_inner).send(Command::Changed);
            }));
            let engine = Engine::new(host, report, Instant::now());
            let devices = Arc::new(Mutex::new(engine.devices().clone()));
            let interests = [Use::Microphone, Use::Speaker, Use::Ringer].map(|usage| Arc::downgrade(&engine.interest(usage)));
            let _ = ready.send((Arc::clone(&devices), interests, engine.meters()));
            serve(engine, &inbox, &devices, listener);
        };
        thread::Builder::new().name("audio".into()).spawn(run).map_err(StartError)?;
        let (devices, interests, meters) = started.recv().map_err(|e| StartError(std::io::Error::other(e)))?;
        Ok(Self(Arc::new(Handle { commands, devices, interests, meters, switches: Arc::default() })))
    }

    /// The devices as they were found last, at most a few seconds ago.
    #[must_use]
    pub fn devices(&self) -> Devices {
        self.0.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Chooses a device by its id, or the system's default. A device that isn't there now is used as soon as it is, and
    /// the default until then.
    pub fn choose(&self, usage: Use, device: Option<String>) {
        self.send(Command::Choose(usage, device));
    }

    /// A place to write frames to: a call, or a message whose player is elsewhere. On [`Use::Microphone`] it is mute.
    #[must_use]
    pub fn speaker(&self, usage: Use) -> Speaker {
        let (speaker, source) = Speaker::new(self.interest(usage));
        self.send(Command::Source(usage, source));
        speaker
    }

    /// Listens to the microphone; several may.
    #[must_use]
    pub fn microphone(&self) -> Microphone {
        let (microphone, ring) = Microphone::new(self.interest(Use::Microphone));
        self.send(Command::Listener(ring));
        microphone
    }

    /// Listens to the microphone as a call does: echo, noise and level are taken care of, as [`Self::set_processing`] says.
    #[must_use]
    pub fn call_microphone(&self) -> Microphone {
        let (played, heard) = rtrb::RingBuffer::new(PLAYED);
        self.send(Command::Tap(played));
        self.microphone().with_voice(VoiceProcessing::new(Arc::clone(&self.0.switches), heard))
    }

    /// What is done to the voice of calls, those that go on included.
    pub fn set_processing(&self, processing: Processing) {
        self.0.switches.set(processing);
    }

    /// How loud everything on a use's device is, in per cent, 0 to 200. The microphone has no such knob.
    pub fn set_volume(&self, usage: Use, percent: u32) {
        self.send(Command::Volume(usage, percent.min(200)));
    }

    /// The loudest moment since this was asked last: 0 (silence, or -60 dBFS) to 100 (as loud as can be).
    #[must_use]
    pub fn level(&self, usage: Use) -> u8 {
        let meters = &self.0.meters;
        match usage {
            Use::Microphone => meters.microphone.take(),
            Use::Speaker => meters.speaker.take(),
            Use::Ringer => meters.ringer.take(),
        }
    }

    /// Plays a message, a tone or a ringtone. On [`Use::Microphone`] it is mute.
    #[must_use = "dropping the player stops it"]
    pub fn play(&self, usage: Use, clip: Clip) -> Player {
        let (player, source) = Player::new(clip, self.interest(usage));
        self.send(Command::Source(usage, source));
        player
    }

    fn interest(&self, usage: Use) -> Arc<Interest> {
        let index = match usage {
            Use::Microphone => 0,
            Use::Speaker => 1,
            Use::Ringer => 2,
        };
        // The engine outlives its handles; a fresh one would do no harm.
        self.0.interests[index].upgrade().unwrap_or_default()
    }

    fn send(&self, command: Command) {
        // The thread ends after its handles only, unless it panicked; then all is silent.
        let _ = self.0.commands.send(command);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::End);
    }
}

fn serve(mut engine: Engine, inbox: &Receiver<Command>, devices: &Mutex<Devices>, mut listener: impl FnMut(SoundEvent)) {
    loop {
        for event in engine.poll_events() {
            if let SoundEvent::Devices(found) = &event {
                devices.lock().unwrap_or_else(PoisonError::into_inner).clone_from(found);
            }
            tracing::debug!(?event, "sound devices");
            listener(event);
        }
        let wait = engine.poll_timeout().saturating_duration_since(Instant::now());
        match inbox.recv_timeout(wait) {
            Ok(Command::Source(usage, source)) => engine.handle_source(usage, source, Instant::now()),
            Ok(Command::Listener(ring)) => engine.handle_listener(ring, Instant::now()),
            Ok(Command::Tap(ring)) => engine.handle_tap(ring),
            Ok(Command::Volume(usage, percent)) => engine.handle_volume(usage, percent),
            Ok(Command::Changed) => engine.handle_change(Instant::now()),
            Ok(Command::Choose(usage, device)) => engine.handle_choice(usage, device, Instant::now()),
            Ok(Command::Failed(failure)) => engine.handle_failed(failure, Instant::now()),
            Ok(Command::End) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => engine.handle_timeout(Instant::now()),
        }
    }
}

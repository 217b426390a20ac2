//! The sound card for the phone: calls and messages on the chosen devices, ringing, the tones of the line, and the tests of
//! the settings.

pub(crate) mod recorder;
mod test;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aftertone_audio::{Clip, Devices, Microphone, Player, Processing, SoundEvent, Speaker, Use, cues, ringtone};
use aftertone_client::{AudioIo, AudioSink, AudioSource, Frame, Silence};
use aftertone_model::CallId;
use aftertone_view::{
    AudioDeviceView, AudioDevicesView, AudioInUse, AudioLevels, AudioNotice, AudioNoticeAbout, AudioUse, Event, ToneRegion,
};
use tauri::async_runtime::JoinHandle;

use self::{
    recorder::{Progress, Recorder},
    test::MicrophoneTest,
};
use crate::{
    settings::Settings,
    shell::{Input, Inputs},
};

/// How often the meters are shown.
const LEVELS: Duration = Duration::from_millis(100);
/// A waiting call is told to somebody who speaks: quietly.
const WAITING_VOLUME: u32 = 40;
/// How often the busy tone sounds after a call that found somebody busy.
const BUSY_PERIODS: usize = 3;

/// The sound card; without one the phone is deaf and mute, and everything else works.
pub(crate) struct Sound {
    card: Option<aftertone_audio::Sound>,
    ringtone: Arc<[i16]>,
    /// What sounds because of calls.
    cue: Option<(Cue, Player)>,
    /// Keys and tests, while they sound.
    short: Option<Player>,
    in_use: BTreeMap<Use, AudioInUse>,
    inputs: Inputs,
    levels: Option<JoinHandle<()>>,
    test: Option<MicrophoneTest>,
}

/// What is to be heard because of the calls that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// A call comes in.
    Ring,
    /// A call comes in while another one is connected.
    Waiting,
    /// It rings at the other end.
    Ringback,
}

impl Sound {
    pub(crate) fn start(settings: &Settings, inputs: &Inputs) -> Self {
        let told = inputs.clone();
        let card = aftertone_audio::Sound::start(move |event| {
            tracing::debug!(?event, "sound devices");
            told.send(Input::Sound(event));
        });
        let card = card.inspect_err(|error| tracing::error!(%error, "there is no sound")).ok();
        let sound = Self {
            card,
            ringtone: ringtone().into(),
            cue: None,
            short: None,
            in_use: BTreeMap::new(),
            inputs: inputs.clone(),
            levels: None,
            test: None,
        };
        sound.choose(settings);
        sound
    }

    /// Takes the devices that the person chose, and how they are used.
    pub(crate) fn choose(&self, settings: &Settings) {
        let Some(card) = &self.card else { return };
        card.choose(Use::Microphone, settings.microphone.clone());
        card.choose(Use::Speaker, settings.speaker.clone());
        card.choose(Use::Ringer, settings.ringer.clone());
        card.set_volume(Use::Speaker, settings.speaker_volume.into());
        card.set_volume(Use::Ringer, settings.ringer_volume.into());
        let wanted = settings.voice;
        card.set_processing(Processing {
            echo_cancellation: wanted.echo_cancellation,
            noise_suppression: wanted.noise_suppression,
            gain_control: wanted.gain_control,
        });
    }

    /// What the phone plays on and listens to.
    pub(crate) fn io(&self) -> Arc<dyn AudioIo> {
        match &self.card {
            Some(card) => Arc::new(Card(card.clone())),
            None => Arc::new(Silence),
        }
    }

    /// Lets be heard what the calls ask for, and nothing else of the kind.
    pub(crate) fn sound(&mut self, cue: Option<Cue>, settings: &Settings) {
        let region = region(settings.region);
        if self.cue.as_ref().map(|(cue, _)| *cue) == cue {
            return;
        }
        self.cue = None;
        let (Some(card), Some(cue)) = (&self.card, cue) else { return };
        let player = match cue {
            Cue::Ring => card.play(Use::Ringer, Clip::repeating(Arc::clone(&self.ringtone))),
            Cue::Waiting => card.play(Use::Speaker, Clip { volume: WAITING_VOLUME, ..cues::call_waiting(region) }),
            Cue::Ringback => card.play(Use::Speaker, cues::ringback(region)),
        };
        self.cue = Some((cue, player));
    }

    /// The other end is busy.
    pub(crate) fn busy(&mut self, settings: &Settings) {
        let tone = cues::busy(region(settings.region));
        let samples: Vec<i16> = std::iter::repeat_n(&*tone.samples, BUSY_PERIODS).flatten().copied().collect();
        self.short = self.card.as_ref().map(|card| card.play(Use::Speaker, Clip::new(samples)));
    }

    /// A key was pressed in a call.
    pub(crate) fn key(&mut self, key: char) {
        let played = self.card.as_ref().zip(cues::key(key)).map(|(card, clip)| card.play(Use::Speaker, clip));
        self.short = played.or(self.short.take());
    }

    /// Plays the test sound on a use's device.
    pub(crate) fn test_speaker(&mut self, usage: AudioUse) {
        self.short = self.card.as_ref().map(|card| card.play(usage_of(usage), cues::test_sound()));
    }

    /// Listens to the microphone, or plays what it heard.
    pub(crate) fn test_microphone(&mut self, on: bool) {
        let Some(card) = &self.card else { return };
        match (on, self.test.take()) {
            (true, _) => self.test = Some(MicrophoneTest::start(card.call_microphone())),
            (false, Some(test)) => self.short = Some(card.play(Use::Speaker, Clip::new(test.finish()))),
            (false, None) => {}
        }
    }

    /// Records the microphone for so many seconds at most, as it is: nobody talks back, and the server sees to the loudness. None without a sound card.
    pub(crate) fn record(&self, longest_s: usize, tell: impl Fn(Progress) + Send + 'static) -> Option<Recorder> {
        self.card.as_ref().map(|card| Recorder::start(card.microphone(), longest_s, tell))
    }

    /// Shows the meters while somebody can be heard; `calls` says whether a call is connected, or a recording goes on.
    pub(crate) fn show_levels(&mut self, calls: bool) {
        let wanted = calls || self.test.is_some();
        if !wanted {
            if let Some(levels) = self.levels.take() {
                levels.abort();
                self.inputs.send(Input::Tell(Box::new(Event::AudioLevels(AudioLevels::default()))));
            }
            return;
        }
        let Some(card) = self.card.clone().filter(|_| self.levels.is_none()) else { return };
        let inputs = self.inputs.clone();
        self.levels = Some(tauri::async_runtime::spawn(async move {
            let mut ticks = tokio::time::interval(LEVELS);
            loop {
                ticks.tick().await;
                let levels = AudioLevels { microphone: card.level(Use::Microphone), speaker: card.level(Use::Speaker) };
                inputs.send(Input::Tell(Box::new(Event::AudioLevels(levels))));
            }
        }));
    }

    /// Takes note of what happened to the devices; what a person should know of it.
    pub(crate) fn happened(&mut self, event: SoundEvent) -> Option<AudioNotice> {
        match event {
            SoundEvent::Opened { usage, name, fallback, device: _ } => {
                let state = self.in_use.entry(usage).or_default();
                let was_fallback = std::mem::replace(&mut state.fallback, fallback);
                state.name.clone_from(&name);
                let about = match (was_fallback, fallback) {
                    (false, true) => AudioNoticeAbout::Fallback,
                    (true, false) => AudioNoticeAbout::Returned,
                    (false, false) | (true, true) => return None,
                };
                Some(AudioNotice { usage: view_of(usage), about, device: name })
            }
            SoundEvent::Unavailable { usage, error: _ } => {
                let device = self.in_use.entry(usage).or_default().name.take();
                Some(AudioNotice { usage: view_of(usage), about: AudioNoticeAbout::Unavailable, device })
            }
            SoundEvent::Devices(_) | SoundEvent::Lost { .. } => None,
        }
    }

    /// The name of the device that calls and messages are heard on.
    pub(crate) fn speaker_name(&self, settings: &Settings) -> Option<String> {
        let devices = self.devices();
        let chosen = settings.speaker.as_ref().and_then(|id| devices.find(Use::Speaker, id));
        chosen.or_else(|| devices.default_of(Use::Speaker)).map(|device| device.name.clone())
    }

    pub(crate) fn devices_view(&self, settings: &Settings) -> AudioDevicesView {
        let devices = self.devices();
        let in_use = |usage: Use, chosen: &Option<String>| AudioInUse {
            missing: chosen.as_ref().filter(|id| !devices.has(usage, id)).map(|id| settings.device_name(id)),
            ..self.in_use.get(&usage).cloned().unwrap_or_default()
        };
        AudioDevicesView {
            inputs: devices.inputs.iter().map(device_view).collect(),
            outputs: devices.outputs.iter().map(device_view).collect(),
            microphone: settings.microphone.clone(),
            speaker: settings.speaker.clone(),
            ringer: settings.ringer.clone(),
            microphone_in_use: in_use(Use::Microphone, &settings.microphone),
            speaker_in_use: in_use(Use::Speaker, &settings.speaker),
            ringer_in_use: in_use(Use::Ringer, &settings.ringer),
            speaker_volume: settings.speaker_volume,
            ringer_volume: settings.ringer_volume,
            processing: settings.voice,
            region: settings.region,
        }
    }

    /// What a device is called, while it is there.
    pub(crate) fn name_of(&self, usage: AudioUse, id: &str) -> Option<String> {
        self.devices().find(usage_of(usage), id).map(|device| device.name.clone())
    }

    fn devices(&self) -> Devices {
        self.card.as_ref().map(aftertone_audio::Sound::devices).unwrap_or_default()
    }
}

fn region(region: ToneRegion) -> cues::Region {
    match region {
        ToneRegion::Germany => cues::Region::Germany,
        ToneRegion::Austria => cues::Region::Austria,
        ToneRegion::Switzerland => cues::Region::Switzerland,
        ToneRegion::France => cues::Region::France,
        ToneRegion::UnitedKingdom => cues::Region::UnitedKingdom,
        ToneRegion::NorthAmerica => cues::Region::NorthAmerica,
    }
}

fn usage_of(usage: AudioUse) -> Use {
    match usage {
        AudioUse::Microphone => Use::Microphone,
        AudioUse::Speaker => Use::Speaker,
        AudioUse::Ringer => Use::Ringer,
    }
}

fn view_of(usage: Use) -> AudioUse {
    match usage {
        Use::Microphone => AudioUse::Microphone,
        Use::Speaker => AudioUse::Speaker,
        Use::Ringer => AudioUse::Ringer,
    }
}

fn device_view(device: &aftertone_audio::AudioDevice) -> AudioDeviceView {
    AudioDeviceView { id: device.id.clone(), name: device.name.clone(), system_default: device.is_default }
}

struct Card(aftertone_audio::Sound);

impl AudioIo for Card {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Source(self.0.call_microphone()))
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(Sink { speaker: self.0.speaker(Use::Speaker), heard: true })
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(Sink { speaker: self.0.speaker(Use::Speaker), heard: true })
    }
}

struct Source(Microphone);

impl AudioSource for Source {
    fn read(&mut self, frame: &mut Frame) -> bool {
        self.0.read(frame)
    }
}

struct Sink {
    speaker: Speaker,
    heard: bool,
}

impl AudioSink for Sink {
    fn write(&mut self, frame: &Frame) {
        // A device that stands still drops what it can't take; the call goes on.
        self.heard = self.speaker.write(frame);
    }

    fn is_heard(&self) -> bool {
        self.heard
    }
}

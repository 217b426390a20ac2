//! The sound card for the phone: calls and messages on the chosen devices, and ringing.

use std::sync::Arc;

use aftertone_audio::{Clip, Devices, Microphone, Player, Speaker, Use, ringtone};
use aftertone_client::{AudioIo, AudioSink, AudioSource, Frame, Silence};
use aftertone_model::CallId;
use aftertone_view::{AudioDeviceView, AudioDevicesView};

use crate::{
    settings::Settings,
    shell::{Input, Inputs},
};

/// The sound card; without one the phone is deaf and mute, and everything else works.
pub(crate) struct Sound {
    card: Option<aftertone_audio::Sound>,
    ringtone: Arc<[i16]>,
    ringing: Option<Player>,
}

impl Sound {
    pub(crate) fn start(settings: &Settings, inputs: &Inputs) -> Self {
        let inputs = inputs.clone();
        let card = aftertone_audio::Sound::start(move |event| {
            tracing::debug!(?event, "sound devices");
            inputs.send(Input::SoundDevices);
        });
        let card = card.inspect_err(|error| tracing::error!(%error, "there is no sound")).ok();
        let sound = Self { card, ringtone: ringtone().into(), ringing: None };
        sound.choose(settings);
        sound
    }

    /// Takes the devices that the person chose.
    pub(crate) fn choose(&self, settings: &Settings) {
        let Some(card) = &self.card else { return };
        card.choose(Use::Microphone, settings.microphone.clone());
        card.choose(Use::Speaker, settings.speaker.clone());
        card.choose(Use::Ringer, settings.ringer.clone());
    }

    /// What the phone plays on and listens to.
    pub(crate) fn io(&self) -> Arc<dyn AudioIo> {
        match &self.card {
            Some(card) => Arc::new(Card(card.clone())),
            None => Arc::new(Silence),
        }
    }

    /// Rings, until [`Sound::stop_ringing`].
    pub(crate) fn ring(&mut self) {
        let Some(card) = self.card.as_ref().filter(|_| self.ringing.is_none()) else { return };
        self.ringing = Some(card.play(Use::Ringer, Clip::repeating(Arc::clone(&self.ringtone))));
    }

    pub(crate) fn stop_ringing(&mut self) {
        self.ringing = None;
    }

    /// The name of the device that calls and messages are heard on.
    pub(crate) fn speaker_name(&self, settings: &Settings) -> Option<String> {
        let devices = self.devices();
        let chosen = settings.speaker.as_ref().and_then(|id| devices.outputs.iter().find(|device| device.id == *id));
        chosen.or_else(|| devices.outputs.iter().find(|device| device.is_default)).map(|device| device.name.clone())
    }

    pub(crate) fn devices_view(&self, settings: &Settings) -> AudioDevicesView {
        let devices = self.devices();
        AudioDevicesView {
            inputs: devices.inputs.iter().map(device_view).collect(),
            outputs: devices.outputs.iter().map(device_view).collect(),
            microphone: settings.microphone.clone(),
            speaker: settings.speaker.clone(),
            ringer: settings.ringer.clone(),
        }
    }

    fn devices(&self) -> Devices {
        self.card.as_ref().map(aftertone_audio::Sound::devices).unwrap_or_default()
    }
}

fn device_view(device: &aftertone_audio::AudioDevice) -> AudioDeviceView {
    AudioDeviceView { id: device.id.clone(), name: device.name.clone(), system_default: device.is_default }
}

struct Card(aftertone_audio::Sound);

impl AudioIo for Card {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Source(self.0.microphone()))
    }

    fn call_sink(&self, _call: CallId) -> Box<dyn AudioSink> {
        Box::new(Sink(self.0.speaker(Use::Speaker)))
    }

    fn playback_sink(&self) -> Box<dyn AudioSink> {
        Box::new(Sink(self.0.speaker(Use::Speaker)))
    }
}

struct Source(Microphone);

impl AudioSource for Source {
    fn read(&mut self, frame: &mut Frame) -> bool {
        self.0.read(frame)
    }
}

struct Sink(Speaker);

impl AudioSink for Sink {
    fn write(&mut self, frame: &Frame) {
        // A device that stands still drops what it can't take; the call goes on.
        let _taken = self.0.write(frame);
    }
}

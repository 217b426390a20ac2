//! One phone of ours on a sound card, as a process of its own: `card SERVER USER FOLDER MICROPHONE LOUDSPEAKER [TARGET]`.
//! With a target it calls, otherwise it answers; SIGTERM hangs up.

use std::{path::Path, sync::Arc};

use aftertone_audio::{Microphone, Sound, Speaker, Use};
use aftertone_client::{AudioIo, AudioSink, AudioSource, Frame};
use aftertone_model::CallId;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::handset::Handset;

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let [server, user, folder, microphone, loudspeaker, target @ ..] = arguments else { bail!("arguments are missing") };
    let mut end = signal(SignalKind::terminate())?;
    let sound = Sound::start(|_| {})?;
    sound.choose(Use::Microphone, Some(microphone.clone()));
    sound.choose(Use::Speaker, Some(loudspeaker.clone()));
    let mut phone = Handset::start(server, user, Path::new(folder), Arc::new(Card(sound))).await?;
    crate::show(&json!("registered"));
    let call = match target.first() {
        Some(target) => phone.dial(target).await?,
        None => phone.answer().await?,
    };
    phone.talks().await?;
    crate::show(&json!("talking"));
    tokio::select! {
        _ = end.recv() => phone.hang_up(call).await?,
        over = phone.over() => over?,
    }
    Ok(json!("over"))
}

/// The sound card, as the desktop app uses it.
struct Card(Sound);

impl AudioIo for Card {
    fn call_source(&self, _call: CallId) -> Box<dyn AudioSource> {
        Box::new(Source(self.0.call_microphone()))
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
        let _heard = self.0.write(frame);
    }
}

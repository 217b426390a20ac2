//! Recordings of calls: where they go, and what is told of them.

use std::path::PathBuf;

use aftertone_client::{CallRecording, RecordingState};
use aftertone_model::{CallId, Timestamp};
use aftertone_view::{Code, ToastAbout};
use tauri::Manager;

use super::{
    Shell,
    messages::{in_file_names, unused},
    perform::command_code,
};

impl Shell {
    /// Records a call, or stops that.
    pub(super) async fn record(&mut self, call: CallId, on: bool) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let file = if on { Some(self.recording_file(call).await?) } else { None };
        session.record(call, file).await.map_err(|error| command_code(&error))
    }

    /// In the person's folder of sound, or where that is none in the app's own: `Aftertone/2026-11-20 14.32 Ada Adler.ogg`.
    async fn recording_file(&self, call: CallId) -> Result<PathBuf, Code> {
        let sound = self.app.path().audio_dir().unwrap_or_else(|_| self.folder.clone());
        let folder = sound.join("Aftertone");
        tokio::fs::create_dir_all(&folder).await.map_err(|error| {
            tracing::warn!(%error, "there is no folder for recordings");
            Code::FileFailed
        })?;
        let party = self.calls.party(call).ok_or(Code::NoSuchCall)?;
        let at = jiff::tz::TimeZone::system().to_datetime(Timestamp::now()).strftime("%Y-%m-%d %H.%M.%S").to_string();
        let name = in_file_names(party.name.as_deref().unwrap_or(&party.number));
        Ok(unused(&folder.join(format!("{at} {name}.ogg").replace(" .", "."))).await)
    }

    /// A recording began or ended.
    pub(super) fn recording(&mut self, recording: CallRecording) {
        let CallRecording { call, file, state } = recording;
        let place = file.to_string_lossy().into_owned();
        self.calls.recorded(call, state == RecordingState::Running);
        match state {
            RecordingState::Running => {}
            RecordingState::Done => self.toast(ToastAbout::Recorded { place }),
            RecordingState::Failed { detail } => {
                tracing::warn!(detail, place, "a call is not recorded");
                self.toast(ToastAbout::Failed { code: Code::FileFailed });
            }
        }
        self.tell_app();
    }
}

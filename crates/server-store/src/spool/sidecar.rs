use std::{io, path::PathBuf};

use aftertone_model::{CallRecord, MessageId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{NewRecording, Shared, SoundFormat};
use crate::{FinishedRecording, Sound};

/// What is written when a recording is finished: all that the commit needs, so that a crash between the hang-up and
/// the commit changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) recording: NewRecording,
    pub(super) record: CallRecord,
    pub(super) interrupted: bool,
    /// None if it was too short for a message.
    pub(super) sound: Option<Sound>,
}

impl Done {
    pub(super) fn into_finished(self, sound: Sound) -> FinishedRecording {
        let Self { recording, record, interrupted, sound: _ } = self;
        FinishedRecording { envelope: recording.envelope, sound, record, interrupted, jobs: recording.jobs }
    }
}

/// The files of one recording.
pub(super) struct Names<'a> {
    shared: &'a Shared,
    id: MessageId,
}

impl<'a> Names<'a> {
    pub(super) fn new(shared: &'a Shared, id: MessageId) -> Self {
        Self { shared, id }
    }

    /// The sidecar: a [`NewRecording`].
    pub(super) fn begun(&self) -> PathBuf {
        self.shared.path(&format!("{}.json", self.id))
    }

    /// The second sidecar: a [`Done`].
    pub(super) fn done(&self) -> PathBuf {
        self.shared.path(&format!("{}.done", self.id))
    }

    pub(super) fn sound(&self, format: &SoundFormat) -> PathBuf {
        self.shared.path(&format!("{}.{}", self.id, extension(format)))
    }

    /// Where the sound goes among the blobs, relative to their folder. The name is the message's, not the content's: an
    /// unlink of an old blob can then never hit a new one of equal content.
    pub(super) fn blob(&self, format: &SoundFormat) -> String {
        let id = self.id.to_string();
        format!("{}/{id}.{}", &id[..2], extension(format))
    }

    /// Removes every file of the recording but its blob.
    pub(super) fn clear(&self) -> io::Result<()> {
        let files = &self.shared.files;
        for ending in ["wav", "ogg", "tmp", "json", "done"] {
            files.remove(&self.shared.path(&format!("{}.{ending}", self.id)))?;
        }
        Ok(())
    }

    /// Writes a file that is either wholly there after a crash, or not at all.
    pub(super) fn write_whole(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let files = &self.shared.files;
        let aside = self.shared.path(&format!("{}.tmp", self.id));
        files.remove(&aside)?;
        let mut file = files.create(&aside)?;
        file.append(bytes)?;
        file.sync()?;
        drop(file);
        files.rename(&aside, path)?;
        files.sync_dir(&self.shared.config.spool_dir)
    }

    /// Reads a sidecar: `None` if it isn't there or was never completely written.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &std::path::Path) -> io::Result<Option<T>> {
        if !self.shared.files.exists(path)? {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&self.shared.files.read(path)?).ok())
    }
}

fn extension(format: &SoundFormat) -> &'static str {
    if format.media_type == "audio/ogg" { "ogg" } else { "wav" }
}

use std::{collections::BTreeSet, io};

use aftertone_model::MessageId;

use super::{
    FinishError, Finished, NewRecording, Recovered,
    finish::Finisher,
    sidecar::{Done, Names},
};
use crate::Fate;

/// What became of one recording in the spool.
pub(super) enum Outcome {
    Interrupted,
    Completed,
    TooShort,
    Cleared,
}

impl Finisher {
    /// Scans the folder and deals with every recording that nobody is working on.
    pub(super) fn recover(&self) -> io::Result<Recovered> {
        let mut recovered = Recovered::default();
        let mut ids = BTreeSet::new();
        for name in self.shared.files.list(&self.shared.config.spool_dir)? {
            match name.split_once('.').and_then(|(stem, _)| stem.parse::<MessageId>().ok()) {
                Some(id) => _ = ids.insert(id),
                None => recovered.failed.push((name, "not a file of the spool".into())),
            }
        }
        let mut left = 0;
        for id in ids {
            if self.shared.is_active(id) || !self.shared.claim(id) {
                continue;
            }
            let outcome = self.recover_one(id);
            self.shared.release(id);
            match outcome {
                Ok(Outcome::Interrupted) => recovered.interrupted.push(id),
                Ok(Outcome::Completed) => recovered.completed.push(id),
                Ok(Outcome::TooShort) => recovered.too_short.push(id),
                Ok(Outcome::Cleared) => recovered.cleared.push(id),
                Err(error) => {
                    tracing::error!(message = %id, error = &error as &dyn std::error::Error, "a recording can't be recovered");
                    left += 1;
                    recovered.failed.push((id.to_string(), error.to_string()));
                }
            }
        }
        self.shared.gauges.left(left);
        if left > 0 {
            self.retry_later();
        }
        Ok(recovered)
    }

    pub(super) fn recover_one(&self, id: MessageId) -> Result<Outcome, FinishError> {
        let names = Names::new(&self.shared, id);
        match self.wait(self.store().fate(id))? {
            Fate::Unknown => {}
            Fate::Held | Fate::Expunged => {
                names.clear().map_err(FinishError::File)?;
                return Ok(Outcome::Cleared);
            }
        }
        if let Some(done) = names.read::<Done>(&names.done()).map_err(FinishError::File)? {
            let interrupted = done.interrupted;
            return Ok(match self.complete(done)? {
                Finished::Message(_) if interrupted => Outcome::Interrupted,
                Finished::Message(_) => Outcome::Completed,
                Finished::TooShort => Outcome::TooShort,
                Finished::Expunged => Outcome::Cleared,
            });
        }
        match names.read::<NewRecording>(&names.begun()).map_err(FinishError::File)? {
            Some(recording) => self.recover_begun(&names, recording),
            None => self.recover_nameless(&names, id),
        }
    }

    /// It broke off after the beep.
    fn recover_begun(&self, names: &Names<'_>, recording: NewRecording) -> Result<Outcome, FinishError> {
        let sound = names.sound(&recording.format);
        if !self.shared.files.exists(&sound).map_err(FinishError::File)? {
            // The crash took the empty file, or a short recording was being cleared: the call is all there is.
            if !recording.envelope.test {
                self.wait(self.store().commit_call_record_if_absent(&recording.record))?;
            }
            names.clear().map_err(FinishError::File)?;
            return Ok(Outcome::TooShort);
        }
        let record = recording.record.clone();
        Ok(match self.repair(recording, record)? {
            Finished::Message(_) => Outcome::Interrupted,
            Finished::TooShort => Outcome::TooShort,
            Finished::Expunged => Outcome::Cleared,
        })
    }

    /// Without a whole sidecar the beep was never heard, so there is no sound; if there is, a person must look at it.
    fn recover_nameless(&self, names: &Names<'_>, id: MessageId) -> Result<Outcome, FinishError> {
        for ending in ["wav", "ogg"] {
            let path = self.shared.path(&format!("{id}.{ending}"));
            let files = &self.shared.files;
            if files.exists(&path).map_err(FinishError::File)? && !files.read(&path).map_err(FinishError::File)?.is_empty() {
                return Err(FinishError::Unreadable);
            }
        }
        names.clear().map_err(FinishError::File)?;
        Ok(Outcome::Cleared)
    }
}

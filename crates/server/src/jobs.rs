//! What is done after a message is there: its sound is made small. Nothing here can lose a message: the original stays until a
//! verified rendition is durable and has taken its place.

use std::{sync::Arc, time::Duration};

use aftertone_media::{compact::compact, container::decode, import::loudness};
use aftertone_model::{MessageId, Timestamp};
use aftertone_server_store::{Job, NewJob, Rendition, Replaced, SpoolMonitor, Store, StoredSound};
use anyhow::Context;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::sleep,
};

use crate::{listen::stopped, run::Notice};

/// The kind of job that makes a message's sound small.
const COMPACT: &str = "compact";
/// Not at once: the owner's devices fetch what was left, and need not do so twice. And at the hang-up there is better to do.
const AFTER: Duration = Duration::from_secs(3600);
/// How often due jobs are looked for.
const LOOK: Duration = Duration::from_secs(5);
/// A job that isn't finished by then was cut off by a stop or a crash.
const HELD: Duration = Duration::from_secs(600);
/// The pause after the first failure; each further one is twice as long, up to a day.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// Then the original stays for good.
const MOST_ATTEMPTS: u32 = 12;
/// With more messages being left at once than this, jobs wait: those who speak come first.
const BUSY: usize = 50;

/// The work for a message that is being left.
pub(crate) fn compact_later(message: MessageId, now: Timestamp) -> NewJob {
    NewJob { kind: COMPACT.into(), payload: message.to_string(), due_at: now.checked_add(AFTER).unwrap_or(now) }
}

/// The worker: one job after the other.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) spool: SpoolMonitor,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
}

impl Jobs {
    /// Works until `stopping`.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<bool>) {
        loop {
            let worked = self.spool.recordings() <= BUSY && self.next().await;
            let pause = if worked { Duration::ZERO } else { LOOK };
            tokio::select! {
                () = stopped(&mut stopping) => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Does one job, if one is due.
    async fn next(&self) -> bool {
        let now = Timestamp::now();
        let held_until = now.checked_add(HELD).unwrap_or(now);
        let job = match self.store.take_jobs(COMPACT, now, held_until, 1).await {
            Ok(jobs) => jobs.into_iter().next(),
            Err(error) => {
                tracing::error!(%error, "can't look for jobs");
                None
            }
        };
        let Some(job) = job else { return false };
        let outcome = match self.compact(&job).await {
            Ok(()) => self.store.finish_job(job.id).await,
            Err(error) if job.attempts >= MOST_ATTEMPTS => {
                tracing::error!(message = job.payload, "a sound stays as it was recorded: {error:#}");
                self.store.finish_job(job.id).await
            }
            Err(error) => {
                let pause = pause_after(job.attempts);
                tracing::warn!(
                    message = job.payload,
                    attempts = job.attempts,
                    ?pause,
                    "a sound is not made small yet: {error:#}"
                );
                self.store.retry_job(job.id, now.checked_add(pause).unwrap_or(now)).await
            }
        };
        if let Err(error) = outcome {
            // It is held for a while, and due again then; doing it twice changes nothing.
            tracing::warn!(%error, "can't note what became of a job");
        }
        true
    }

    async fn compact(&self, job: &Job) -> anyhow::Result<()> {
        let message: MessageId = job.payload.parse().context("no message id")?;
        let Some(StoredSound { content, media_type, path, bytes: length }) = self.store.sound_of(message).await? else {
            return Ok(());
        };
        let bytes = tokio::fs::read(&path).await.with_context(|| format!("can't read {}", path.display()))?;
        let is_small = media_type == "audio/ogg";
        let serial = rand::random();
        let work = move || {
            let sound = decode(&bytes)?;
            anyhow::Ok(if is_small {
                (None, loudness(&sound))
            } else {
                let small = compact(&sound, serial)?;
                (Some(small.bytes), small.loudness)
            })
        };
        let (small, loudness) = spawn_blocking(work).await??;
        let loudness_clufs = loudness.map(|lufs| (lufs * 100.0).round() as i32);
        let Some(bytes) = small.filter(|small| (small.len() as u64) < length) else {
            return Ok(self.store.note_loudness(&content, loudness_clufs).await?);
        };
        tracing::debug!(%message, was = length, now = bytes.len(), "a sound was made small");
        let rendition = Rendition { bytes, codec: "opus".into(), media_type: "audio/ogg".into(), loudness_clufs };
        if let Replaced::Done(mailboxes) = self.store.replace_sound(message, &content, rendition).await? {
            for mailbox in mailboxes {
                // Nobody listens any more at the end.
                let _ = self.notices.send(Notice::FeedGrew(mailbox));
            }
        }
        Ok(())
    }
}

fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_day() {
        let minutes: Vec<_> = (1..=MOST_ATTEMPTS).map(|attempts| pause_after(attempts).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440]);
    }
}

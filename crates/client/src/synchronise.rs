//! Keeps the stored mailbox as the server has it: sends the outbox, pulls the feed, fetches sounds.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aftertone_model::{Message, Timestamp};
use aftertone_sync::{Pending, PendingWrite, ProblemCode, SendFailure, Settled, settle};
use rand::RngExt;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    Event, News,
    http::{Api, ApiError, FetchError},
    run::Input,
    store::{Applied, Mailbox, StoreError},
};

/// Without a doorbell the feed is asked that often.
const POLL: Duration = Duration::from_secs(60);
/// The first pause after a failure; each further one is twice as long, up to [`POLL`].
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);

/// Sounds take so much of the disk at most: about ten hours of speech.
const SOUND_BYTES: u64 = 512 * 1024 * 1024;
const MISSING_AT_ONCE: u32 = 50;

/// What the synchroniser tells the loop.
#[derive(Debug)]
pub(crate) enum SyncEvent {
    Told(Box<Event>),
    /// The server doesn't take the token (any more).
    Unauthorized,
}

/// Two tasks: one for the outbox and the feed, one for the sounds.
pub(crate) struct Synchroniser {
    bell: Arc<Notify>,
    gaps: Arc<AtomicU64>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Synchroniser {
    pub(crate) fn start(api: Api, mailbox: Mailbox, parts: PathBuf, inputs: mpsc::UnboundedSender<Input>) -> Self {
        let (bell, sounds) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gaps = Arc::<AtomicU64>::default();
        let puller = Puller {
            api: api.clone(),
            mailbox: mailbox.clone(),
            inputs: inputs.clone(),
            gaps: Arc::clone(&gaps),
            caught_up_in: None,
        };
        let pulling = tokio::spawn(puller.run(Arc::clone(&bell), Arc::clone(&sounds)));
        let fetching = tokio::spawn(fetch_sounds(api, mailbox, parts, sounds, inputs));
        Self { bell, gaps, tasks: [pulling, fetching] }
    }

    /// The connection broke: what comes next may be old.
    pub(crate) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Something may have changed, here or there.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Stops. What was stored stays whole: every step is one transaction.
    pub(crate) async fn close(self) {
        for task in self.tasks {
            task.abort();
            let _cancelled = task.await;
        }
    }
}

struct Puller {
    api: Api,
    mailbox: Mailbox,
    inputs: mpsc::UnboundedSender<Input>,
    /// How often the connection broke.
    gaps: Arc<AtomicU64>,
    /// After which gap the feed's end was reached last.
    caught_up_in: Option<u64>,
}

impl Puller {
    async fn run(mut self, bell: Arc<Notify>, sounds: Arc<Notify>) {
        let mut failures = 0;
        loop {
            let pause = match self.synchronise().await {
                Ok(()) => {
                    failures = 0;
                    sounds.notify_one();
                    POLL
                }
                Err(e) => {
                    failures += 1;
                    self.failed(&e);
                    let full = SHORTEST_PAUSE.saturating_mul(1 << (failures - 1).min(10)).min(POLL);
                    full.mul_f64(rand::rng().random_range(0.5..=1.0))
                }
            };
            tokio::select! {
                () = bell.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    fn failed(&self, error: &SyncError) {
        match error {
            SyncError::Api(e) if e.code() == Some(ProblemCode::Unauthorized) => self.tell(SyncEvent::Unauthorized),
            SyncError::Api(ApiError::Offline { .. }) => tracing::debug!(%error, "the mailbox could not be synchronised"),
            SyncError::Api(ApiError::Refused { .. }) | SyncError::Store(_) => {
                tracing::warn!(%error, "the mailbox could not be synchronised");
            }
        }
    }

    async fn synchronise(&mut self) -> Result<(), SyncError> {
        // What can't be sent now must not keep away what can be had.
        let pushed = self.push().await;
        self.pull().await?;
        pushed
    }

    /// Sends what waits, the oldest first. A write leaves the outbox only when the server has spoken.
    async fn push(&self) -> Result<(), SyncError> {
        for pending in self.mailbox.outbox().await? {
            let sent = self.send(&pending).await;
            let result = sent.as_ref().copied().map_err(|e| e.code().map_or(SendFailure::Unreachable, SendFailure::Refused));
            match settle(result) {
                Settled::Done => self.mailbox.answered(&pending.key).await?,
                Settled::Retry => return Ok(sent?),
                Settled::DropMessage => {
                    self.mailbox.drop_message(pending.message).await?;
                    self.tell(SyncEvent::Told(Box::new(Event::MessageExpunged(pending.message))));
                }
                Settled::GiveUp => self.give_up(&pending, sent).await?,
            }
        }
        Ok(())
    }

    async fn send(&self, pending: &Pending) -> Result<(), ApiError> {
        match &pending.write {
            PendingWrite::Action { action } => self.api.act(pending.message, *action, &pending.key).await,
            PendingWrite::Forward { forward } => self.api.forward(pending.message, forward, &pending.key).await.map(drop),
        }
    }

    /// The message is shown as the server has it again.
    async fn give_up(&self, pending: &Pending, sent: Result<(), ApiError>) -> Result<(), SyncError> {
        self.mailbox.finish(&pending.key).await?;
        if let Some(message) = self.mailbox.message(pending.message).await? {
            self.tell(SyncEvent::Told(Box::new(Event::MessageChanged(message))));
        }
        let code = sent.err().and_then(|e| e.code()).unwrap_or(ProblemCode::Unknown);
        self.tell(SyncEvent::Told(Box::new(Event::ActionRefused { message: pending.message, code })));
        Ok(())
    }

    async fn pull(&mut self) -> Result<(), SyncError> {
        let mut since = self.mailbox.cursor().await?;
        let gap = self.gaps.load(Ordering::Relaxed);
        let news = match since {
            None => News::Known,
            Some(_) if self.caught_up_in == Some(gap) => News::Fresh,
            Some(_) => News::Away,
        };
        // A first synchronisation is a snapshot, and so is one after a reset.
        let mut snapshot = since.is_none().then(Vec::new);
        loop {
            let page = match self.api.changes(since).await {
                Err(e) if e.code() == Some(ProblemCode::CursorReset) && since.is_some() => {
                    since = None;
                    snapshot = Some(Vec::new());
                    continue;
                }
                page => page?,
            };
            let (more, cursor) = (page.more, page.cursor);
            match &mut snapshot {
                // Nothing is stored before all of it is here, so that a mailbox is never half replaced.
                Some(pages) => {
                    pages.push(page);
                    if !more {
                        let changed = self.mailbox.replace(std::mem::take(pages)).await?;
                        snapshot = None;
                        self.applied(changed, news);
                    }
                }
                None => {
                    let changed = self.mailbox.apply(page).await?;
                    self.applied(changed, news);
                }
            }
            if !more {
                self.caught_up_in = Some(gap);
                self.tell(SyncEvent::Told(Box::new(Event::CaughtUp)));
                return Ok(());
            }
            since = Some(cursor);
        }
    }

    fn applied(&self, changed: Vec<Applied>, news: News) {
        for change in changed {
            self.apply(change, news);
        }
    }

    fn apply(&self, change: Applied, news: News) {
        let event = match change {
            Applied::Arrived(message) => Event::MessageArrived { message, news },
            Applied::Changed(message) => Event::MessageChanged(message),
            Applied::Expunged(id) => Event::MessageExpunged(id),
            Applied::CallRecord(record) => Event::CallRecord { record, news },
        };
        self.tell(SyncEvent::Told(Box::new(event)));
    }

    fn tell(&self, event: SyncEvent) {
        let _over = self.inputs.send(Input::Sync(event));
    }
}

/// Fetches the sounds that are not stored yet, the newest message first.
async fn fetch_sounds(api: Api, mailbox: Mailbox, parts: PathBuf, wanted: Arc<Notify>, inputs: mpsc::UnboundedSender<Input>) {
    loop {
        wanted.notified().await;
        if let Err(e) = fetch_missing(&api, &mailbox, &parts, &inputs).await {
            // Tried again after the next synchronisation.
            tracing::debug!(error = %e, "a sound could not be fetched");
        }
    }
}

async fn fetch_missing(
    api: &Api,
    mailbox: &Mailbox,
    parts: &Path,
    inputs: &mpsc::UnboundedSender<Input>,
) -> Result<(), SoundError> {
    mailbox.drop_orphaned_sounds().await?;
    let mut refused = BTreeSet::new();
    loop {
        // Asked anew each time: what arrives meanwhile is newer, and comes first.
        let missing = mailbox.missing_sounds(MISSING_AT_ONCE).await?;
        let Some(message) = missing.into_iter().find(|message| !refused.contains(&message.envelope.id)) else { return Ok(()) };
        let id = message.envelope.id;
        match fetch_sound(api, mailbox, parts, &message).await {
            Ok(()) => {
                let _over = inputs.send(Input::Sync(SyncEvent::Told(Box::new(Event::AudioCached(id)))));
            }
            Err(SoundError::Fetch(FetchError::Api(e))) if !e.is_passing() => {
                tracing::info!(message = %id, error = %e, "no sound for a message");
                refused.insert(id);
            }
            Err(e) => return Err(e),
        }
    }
}

/// Why a sound is not on this device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoundError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches the sound of one message. Those that were not heard for the longest time make room for it.
pub(crate) async fn fetch_sound(api: &Api, mailbox: &Mailbox, parts: &Path, message: &Message) -> Result<(), SoundError> {
    let path = mailbox.sound_path(message);
    if !tokio::fs::try_exists(&path).await.map_err(FetchError::from)? {
        api.audio(message.envelope.id, &path, parts).await?;
    }
    Ok(mailbox.sound_fetched(message, SOUND_BYTES, Timestamp::now()).await?)
}

//! Keeps the stored mailbox as the server has it: sends the outbox, pulls the feed, fetches sounds.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aftertone_model::{Message, Timestamp};
use aftertone_sync::{
    Backoff, FetchFailure, Pending, PendingWrite, ProblemCode, PullOutput, Puller, SendFailure, Settled, settle,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::sleep_until,
};

use crate::{
    Event, News,
    http::{Api, ApiError, FetchError},
    run::Input,
    store::{Applied, Mailbox, StoreError},
};

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
        let pulling = Pulling {
            api: api.clone(),
            mailbox: mailbox.clone(),
            inputs: inputs.clone(),
            gaps: Arc::clone(&gaps),
            caught_up_in: None,
        };
        let pulling = tokio::spawn(pulling.run(Arc::clone(&bell), Arc::clone(&sounds)));
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

/// Does what the sans-IO [`Puller`] wants, and sends the outbox before each pull.
struct Pulling {
    api: Api,
    mailbox: Mailbox,
    inputs: mpsc::UnboundedSender<Input>,
    /// How often the connection broke.
    gaps: Arc<AtomicU64>,
    /// After which gap the feed's end was reached last.
    caught_up_in: Option<u64>,
}

impl Pulling {
    async fn run(mut self, bell: Arc<Notify>, sounds: Arc<Notify>) {
        let mut opening = Backoff::new(rand::random());
        let cursor = loop {
            match self.mailbox.cursor().await {
                Ok(cursor) => break cursor,
                Err(e) => {
                    self.failed(&e.into());
                    sleep_until(opening.failed(Instant::now()).into()).await;
                }
            }
        };
        let mut puller = Puller::new(cursor, rand::random());
        let mut sending = Backoff::new(rand::random());
        loop {
            // What can't be sent now must not keep away what can be had.
            let send_again = match self.push().await {
                Ok(()) => {
                    sending.worked();
                    None
                }
                Err(e) => {
                    self.failed(&e);
                    Some(sending.failed(Instant::now()))
                }
            };
            puller.handle_doorbell();
            let until = self.pull(&mut puller, &sounds).await;
            let wake = async {
                match [until, send_again].into_iter().flatten().min() {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = bell.notified() => {}
                () = wake => {}
            }
        }
    }

    /// The feed has no plan before somebody changes it; and a copy that was made before plans and greetings were kept has
    /// passed their place.
    async fn missing_plan(&self) -> Result<(), SyncError> {
        if self.mailbox.plan().await?.is_some() {
            return Ok(());
        }
        let (greetings, plan) = (self.api.greetings().await?, self.api.plan().await?);
        self.mailbox.keep_greetings(&greetings, &plan).await?;
        self.tell(SyncEvent::Told(Box::new(Event::GreetingsChanged)));
        Ok(())
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

    /// Sends what waits, the oldest first. A write leaves the outbox only when the server has spoken.
    async fn push(&self) -> Result<(), SyncError> {
        let mut skipped = BTreeSet::new();
        let mut result = Ok(());
        for pending in self.mailbox.outbox().await? {
            if skipped.contains(&pending.message) {
                continue;
            }
            let sent = self.send(&pending).await;
            let answer = sent.as_ref().copied().map_err(|e| e.code().map_or(SendFailure::Unreachable, SendFailure::Refused));
            match settle(answer) {
                Settled::Done => self.mailbox.answered(&pending.key).await?,
                Settled::Skip => {
                    skipped.insert(pending.message);
                    result = sent.map_err(SyncError::from);
                }
                Settled::Retry => return Ok(sent?),
                Settled::DropMessage => {
                    self.mailbox.drop_message(pending.message).await?;
                    self.tell(SyncEvent::Told(Box::new(Event::MessageExpunged(pending.message))));
                }
                Settled::GiveUp => self.give_up(&pending, sent).await?,
            }
        }
        result
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

    /// To the end of the feed or to a failure; when to ask again.
    async fn pull(&mut self, puller: &mut Puller, sounds: &Notify) -> Option<Instant> {
        let gap = self.gaps.load(Ordering::Relaxed);
        loop {
            match puller.poll_output() {
                PullOutput::Timeout(until) => return until,
                PullOutput::Fetch { fetch, since } => {
                    let page = self.api.changes(since).await;
                    puller.handle_fetched(fetch, page.map_err(|e| self.not_fetched(e)), Instant::now());
                }
                PullOutput::Apply(page) => {
                    let changed = self.mailbox.apply(page).await;
                    puller.handle_stored(self.stored(changed, self.news(puller, gap)), Instant::now());
                }
                PullOutput::Replace(pages) => {
                    let changed = self.mailbox.replace(pages).await;
                    puller.handle_stored(self.stored(changed, self.news(puller, gap)), Instant::now());
                }
                PullOutput::CaughtUp => {
                    self.caught_up_in = Some(gap);
                    if let Err(e) = self.missing_plan().await {
                        self.failed(&e);
                    }
                    self.tell(SyncEvent::Told(Box::new(Event::CaughtUp)));
                    sounds.notify_one();
                }
            }
        }
    }

    fn news(&self, puller: &Puller, gap: u64) -> News {
        if !puller.has_cursor() {
            // The first synchronisation: it was all there before this device.
            News::Known
        } else if self.caught_up_in == Some(gap) {
            News::Fresh
        } else {
            News::Away
        }
    }

    fn not_fetched(&self, error: ApiError) -> FetchFailure {
        if error.code() == Some(ProblemCode::CursorReset) {
            return FetchFailure::Reset;
        }
        self.failed(&error.into());
        FetchFailure::Failed
    }

    /// Tells what changed, and whether it is stored.
    fn stored(&self, changed: Result<Vec<Applied>, StoreError>, news: News) -> bool {
        match changed {
            Ok(changed) => {
                changed.into_iter().for_each(|change| self.apply(change, news));
                true
            }
            Err(e) => {
                self.failed(&e.into());
                false
            }
        }
    }

    fn apply(&self, change: Applied, news: News) {
        let event = match change {
            Applied::Arrived(message) => Event::MessageArrived { message, news },
            Applied::Changed(message) => Event::MessageChanged(message),
            Applied::Expunged(id) => Event::MessageExpunged(id),
            Applied::CallRecord(record) => Event::CallRecord { record, news },
            // Who was told of the call is not told again.
            Applied::CallMeasured(record) => Event::CallRecord { record, news: News::Known },
            Applied::Greetings => Event::GreetingsChanged,
            Applied::Room(room) => Event::RoomChanged(room),
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

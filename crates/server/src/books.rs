//! The bookkeeping: what the exchange and the API have for the store, the doorbells and the lamps; and what other programs
//! have written to the store meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use aftertone_exchange::{Directory, MessageCounts, Person, PhoneCredentials, TrunkAccount};
use aftertone_model::{CallRecord, DeviceId, GreetingId, MeasuredCall, MessageId, SubscriberId, Timestamp};
use aftertone_rules::{Answering, Shelved};
use aftertone_server_store::{
    Audited, Calling, Commits, Committed, Fate, FinishedRecording, Retained, Store, StoreError, StoredAnswering,
};
use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    bells::{Doorbells, Revocation, Revocations},
    listen::stopped,
    run::{Command, Notice},
    settings,
    trunks::accounts,
};

/// What the bookkeeping works with.
pub(crate) struct Books {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bells: Arc<Doorbells>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) domain: String,
    /// Trunks beside those of the store.
    pub(crate) trunks: Vec<TrunkAccount>,
    pub(crate) data: PathBuf,
}

/// How soon a running server sees what `user add`, `device add` and the like have written.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is written who was heard of.
const SEEN_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked for messages whose time is over.
const RETAIN: Duration = Duration::from_secs(3600);
/// And how soon again where there were more than are done at once: who calls meanwhile comes first.
const RETAIN_MORE: Duration = Duration::from_secs(1);
const TIDY: Duration = Duration::from_secs(24 * 3600);
/// A device may repeat a write for so long.
const KEYS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

impl Books {
    /// Works off notices until their senders are gone.
    pub(crate) async fn keep(self: Arc<Self>, mut notices: mpsc::UnboundedReceiver<Notice>) {
        let (mut seen, mut write) = (BTreeSet::new(), interval(SEEN_EVERY));
        loop {
            let notice = tokio::select! {
                notice = notices.recv() => match notice {
                    Some(notice) => notice,
                    None => return self.note_seen(&mut seen).await,
                },
                _ = write.tick() => {
                    self.note_seen(&mut seen).await;
                    continue;
                }
            };
            match notice {
                Notice::Logged(record) => self.log(&record).await,
                Notice::Measured(measured) => self.measure(&measured).await,
                Notice::TrunkChanged(states) => {
                    if let Err(error) = settings::write_trunk_states(&self.data, &states) {
                        tracing::warn!(%error, "can't note how the trunks are");
                    }
                }
                Notice::CountsWanted(mailbox) => self.push_counts(mailbox).await,
                Notice::FeedGrew(mailbox) => {
                    self.bells.ring(mailbox);
                    self.push_counts(mailbox).await;
                }
                Notice::Seen(device) => {
                    seen.insert(device);
                }
            }
        }
    }

    /// Every phone registers every few minutes: what they cost is one transaction in a while, not one each.
    async fn note_seen(&self, seen: &mut BTreeSet<DeviceId>) {
        let devices: Vec<_> = std::mem::take(seen).into_iter().collect();
        if devices.is_empty() {
            return;
        }
        if let Err(error) = self.store.seen_all(&devices, Timestamp::now()).await {
            tracing::warn!(%error, "can't note that devices were seen");
        }
    }

    /// Looks for people and phones that were added or taken away from outside, until `stopping`.
    pub(crate) async fn follow_directory(
        self: Arc<Self>,
        mut known: Directory,
        mut trunks: Vec<TrunkAccount>,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let (mut version, mut audited) = (None, None);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asking = tokio::select! {
                () = stopped(&mut stopping) => return,
                _ = look.tick() => None,
                Some(asking) = asked.recv() => Some(asking),
            };
            // Whatever is read below has to be counted by the store's version.
            match self.store.directory_version().await {
                Ok(found) if Some(found) == version => {
                    if !self.known(asking).await {
                        return;
                    }
                    continue;
                }
                Ok(found) => version = Some(found),
                Err(error) => {
                    tracing::error!(%error, "can't look for changes of the directory");
                    continue;
                }
            }
            self.tell_audit(&mut audited).await;
            match accounts(self.store.as_ref(), &self.trunks).await {
                Ok(found) if found != trunks => {
                    tracing::info!(trunks = found.len(), "the trunks have changed");
                    trunks.clone_from(&found);
                    if self.commands.send(Command::Trunks(found)).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "can't read the trunks");
                    version = None;
                }
            }
            let directory = match directory(self.store.as_ref(), &self.domain).await {
                Ok(directory) => directory,
                Err(error) => {
                    tracing::error!(%error, "can't read the directory");
                    version = None;
                    continue;
                }
            };
            if directory != known {
                tracing::info!(people = directory.people().count(), "the directory has changed");
                known = directory.clone();
                self.revocations.tell(Revocation::LookAgain);
                if self.commands.send(Command::Directory(directory)).await.is_err() {
                    return;
                }
            }
            if !self.known(asking).await {
                return;
            }
        }
    }

    /// Writes into the log what administrators did to mailboxes, and tells their owners' devices. What was done before this
    /// server began is in the log of its time, or on the administrator's screen.
    async fn tell_audit(&self, last: &mut Option<i64>) {
        let entries = match self.store.audit(last.unwrap_or(0)).await {
            Ok(entries) => entries,
            Err(error) => return tracing::error!(%error, "can't read what administrators did"),
        };
        for Audited { id, at, mailbox, what } in entries {
            if last.is_some() {
                tracing::info!(target: "audit", entry = id, %at, %mailbox, what, "an administrator changed a mailbox");
                self.bells.ring(mailbox);
            }
            *last = (*last).max(Some(id));
        }
        *last = (*last).or(Some(0));
    }

    /// Tells who asked once the exchange knows everything so far; false if there is no exchange any more.
    async fn known(&self, asking: Option<oneshot::Sender<()>>) -> bool {
        match asking {
            Some(asking) => self.commands.send(Command::Known(asking)).await.is_ok(),
            None => true,
        }
    }

    /// Lets the store forget what it keeps only for a while, now and daily, until `stopping`.
    pub(crate) async fn tidy(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut daily = interval(TIDY);
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => return,
                _ = daily.tick() => {}
            }
            let now = Timestamp::now();
            let Ok(keys_before) = now.checked_sub(KEYS_KEPT) else { continue };
            if let Err(error) = self.store.tidy(now, keys_before).await {
                tracing::error!(%error, "tidying the store failed");
            }
        }
    }

    /// Expunges what was long enough in the trash, and throws away what was heard long enough ago; now and hourly, until
    /// `stopping`.
    pub(crate) async fn retain(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            let more = match self.store.retain(Timestamp::now()).await {
                Ok(done) => {
                    let Retained { expunged, trashed, mailboxes, more } = done;
                    if expunged + trashed > 0 {
                        tracing::info!(expunged, trashed, mailboxes = mailboxes.len(), "the time of messages was over");
                    }
                    for mailbox in mailboxes {
                        self.bells.ring(mailbox);
                        self.push_counts(mailbox).await;
                    }
                    more
                }
                Err(error) => {
                    tracing::error!(%error, "can't look for messages whose time is over");
                    false
                }
            };
            tokio::select! {
                () = stopped(&mut stopping) => return,
                () = sleep(if more { RETAIN_MORE } else { RETAIN }) => {}
            }
        }
    }

    /// A call log entry must not get lost because the database is busy for a moment.
    async fn log(&self, record: &CallRecord) {
        for pause in [100, 500, 2000, 0] {
            match self.store.commit_call_record(record).await {
                Ok(()) => {
                    self.bells.ring(record.owner);
                    return;
                }
                Err(error) if pause == 0 => tracing::error!(%error, call = %record.call, "a call could not be logged"),
                Err(error) => {
                    tracing::warn!(%error, call = %record.call, "a call could not be logged yet");
                    sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    /// Whoever can't read how a call sounded misses less than a call.
    async fn measure(&self, measured: &MeasuredCall) {
        match self.store.note_figures(measured).await {
            Ok(true) => self.bells.ring(measured.owner),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, call = %measured.call, "how a call sounded could not be noted"),
        }
    }

    async fn push_counts(&self, mailbox: SubscriberId) {
        match self.store.counts(mailbox).await {
            Ok(counts) => {
                let counts = MessageCounts { new: counts.new, old: counts.old };
                // The exchange gone means that nobody has a lamp any more.
                let _ = self.commands.send(Command::MessageWaiting(mailbox, counts)).await;
            }
            Err(error) => tracing::error!(%error, "can't count a mailbox's messages"),
        }
    }
}

/// The spool's way to the store. It commits by itself too, when an earlier try failed: devices are told even then.
pub(crate) struct TellingCommits {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
}

impl TellingCommits {
    fn feed_grew(&self, mailbox: SubscriberId) {
        if self.notices.send(Notice::FeedGrew(mailbox)).is_err() {
            tracing::debug!("a commit after the end of the bookkeeping");
        }
    }
}

#[async_trait]
impl Commits for TellingCommits {
    async fn commit_recording(&self, recording: FinishedRecording) -> Result<Committed, StoreError> {
        let mailbox = recording.envelope.mailbox;
        let committed = self.store.commit_recording(recording).await?;
        self.feed_grew(mailbox);
        Ok(committed)
    }

    async fn commit_call_record(&self, record: &CallRecord) -> Result<(), StoreError> {
        self.store.commit_call_record(record).await?;
        self.feed_grew(record.owner);
        Ok(())
    }

    async fn commit_call_record_if_absent(&self, record: &CallRecord) -> Result<bool, StoreError> {
        let written = self.store.commit_call_record_if_absent(record).await?;
        if written {
            self.feed_grew(record.owner);
        }
        Ok(written)
    }

    async fn fate(&self, message: MessageId) -> Result<Fate, StoreError> {
        self.store.fate(message).await
    }
}

/// The account's people with their phones. Phones whose credentials were made for another domain can't sign in.
pub(crate) async fn directory(store: &dyn Store, domain: &str) -> Result<Directory, StoreError> {
    let mut phones: BTreeMap<SubscriberId, Vec<PhoneCredentials>> = BTreeMap::new();
    for phone in store.phone_credentials().await?.into_iter().filter(|phone| phone.realm.eq_ignore_ascii_case(domain)) {
        phones.entry(phone.subscriber).or_default().push(credentials(phone));
    }
    let calling = store.calling().await?;
    let (mut answering, dialling) = (store.answering().await?, store.menu_dials().await?);
    let zone = jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
    let people = store.subscribers().await?.into_iter().map(|subscriber| {
        let Calling { rights, do_not_disturb } = calling.get(&subscriber.id).copied().unwrap_or_default();
        let phones = phones.remove(&subscriber.id).unwrap_or_default();
        let mut stored = answering.remove(&subscriber.id).unwrap_or_default();
        let spoken_name = stored.name.take();
        let (answering, greetings) = answering_of(stored, &zone);
        let dials_from_menu = dialling.contains(&subscriber.id);
        Person { subscriber, phones, rights, do_not_disturb, dials_from_menu, answering, greetings, spoken_name }
    });
    Ok(Directory::new(people.collect::<Vec<_>>()))
}

/// As the exchange wants it; who hasn't named a time zone has the machine's.
fn answering_of(stored: StoredAnswering, zone: &str) -> (Answering, BTreeMap<GreetingId, PathBuf>) {
    let StoredAnswering { mut plan, greetings, name: _ } = stored;
    if plan.zone.is_empty() {
        zone.clone_into(&mut plan.zone);
    }
    let shelved = greetings.iter().map(|(greeting, file)| {
        let shelved = Shelved { title: greeting.title.clone(), has_sound: file.is_some(), expires_at: greeting.expires_at };
        (greeting.id, shelved)
    });
    let answering = Answering { plan, greetings: shelved.collect() };
    (answering, greetings.into_iter().filter_map(|(greeting, file)| Some((greeting.id, file?))).collect())
}

fn credentials(phone: aftertone_server_store::PhoneCredentials) -> PhoneCredentials {
    PhoneCredentials {
        device: phone.device,
        user: phone.username,
        ha1_sha256: phone.ha1_sha256,
        ha1_sha512_256: phone.ha1_sha512_256,
        ha1_md5: phone.ha1_md5,
    }
}

//! The person's greetings: what is asked of the server, and recordings that wait to be sent to it.
//!
//! A recording is a file beside a description, in a folder of the account's. It is there before anybody is told that it is
//! kept, and goes when the server has it: neither a restart nor days without a network lose it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aftertone_model::{
    AnsweringRule, CallerGroup, Greeting, GreetingId, GreetingKey, GreetingKind, GreetingRule, OwnDay, Plan, Temporary,
};
use aftertone_sync::{GreetingBody, MeBody, PlanView, ProblemCode};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    CommandError,
    http::{Api, ApiError, FetchError},
    run::Input,
    store::{Mailbox, StoreError},
};

/// What could not be sent is tried again so often, and whenever the device is online again.
const AGAIN: Duration = Duration::from_secs(30);
/// Somebody may change the plan elsewhere at the same moment; hardly more often.
const PLAN_TRIES: usize = 3;

/// The greetings of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greetings {
    /// As the server has them.
    pub stored: Vec<Greeting>,
    /// How calls are answered; none before the server told it.
    pub plan: Option<PlanView>,
    /// Those that wait to be sent.
    pub waiting: Vec<WaitingGreeting>,
}

/// What a greeting is used for as soon as the server has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Purpose {
    /// Nothing yet.
    Keep,
    /// Callers hear it when no rule fits.
    Standard,
    /// Callers hear it whatever the rules say.
    Temporary {
        /// Until then, or until it is taken away.
        until: Option<aftertone_model::Timestamp>,
    },
}

/// A greeting with its sound, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGreeting {
    /// What it is.
    pub waiting: WaitingGreeting,
    /// A sound file that the server takes.
    pub sound: Vec<u8>,
}

/// A greeting that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingGreeting {
    /// Chosen at random.
    pub id: GreetingId,
    /// What is said of it.
    pub body: GreetingBody,
    /// What happens with it then.
    pub purpose: Purpose,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// Its loudness over time.
    pub peaks: Vec<u8>,
    /// The server doesn't take it.
    pub refused: Option<ProblemCode>,
}

/// What was taken out of one of a plan's lists, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedPart {
    /// A rule of which greeting is played.
    Greeting(usize, GreetingRule),
    /// A rule of who rings, and how long.
    Answering(usize, AnsweringRule),
    /// A group of callers.
    Group(usize, CallerGroup),
    /// A day that counts as a holiday.
    OwnDay(usize, OwnDay),
    /// What callers get by a key.
    Key(usize, GreetingKey),
}

impl RemovedPart {
    fn put_back(self, plan: &mut Plan) {
        match self {
            Self::Greeting(index, rule) => insert(&mut plan.greetings, index, rule),
            Self::Answering(index, rule) => insert(&mut plan.answering, index, rule),
            Self::Group(index, group) => insert(&mut plan.groups, index, group),
            Self::OwnDay(index, day) => insert(&mut plan.own_days, index, day),
            Self::Key(index, key) => insert(&mut plan.keys, index, key),
        }
    }
}

/// Puts it where it stood, or at the end where there are fewer now.
fn insert<T>(list: &mut Vec<T>, index: usize, item: T) {
    list.insert(index.min(list.len()), item);
}

/// What is asked about greetings.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Describe(GreetingId, GreetingBody),
    Remove(GreetingId),
    Restore(GreetingId),
    Standard(Option<GreetingId>),
    Temporary(Option<Temporary>),
    Plan(PlanView),
    PutBack(RemovedPart),
    RingTime(u16),
}

/// A greeting that can be played, and where its sound is or belongs.
#[derive(Debug, Clone)]
pub(crate) struct Sounding {
    pub(crate) id: GreetingId,
    pub(crate) duration_ms: u64,
    file: PathBuf,
}

/// Why the sound of a greeting can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetingSoundError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the greeting's sound can't be read")]
    Io(#[from] io::Error),
}

/// The folder of recordings that wait, and of sounds that were heard. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Drafts {
    waiting: PathBuf,
    heard: PathBuf,
    /// What this session removed, as it was.
    removed: Arc<Mutex<BTreeMap<GreetingId, WaitingGreeting>>>,
    bell: Arc<Notify>,
}

impl Drafts {
    pub(crate) fn open(mailbox: &Path) -> io::Result<Self> {
        let folder = mailbox.join("greetings");
        let (waiting, heard) = (folder.join("waiting"), folder.join("heard"));
        std::fs::create_dir_all(&waiting)?;
        std::fs::create_dir_all(&heard)?;
        remove_orphans(&waiting)?;
        Ok(Self { waiting, heard, removed: Arc::default(), bell: Arc::default() })
    }

    /// Something may have to be sent.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Those that wait, in no order that means anything.
    pub(crate) async fn all(&self) -> io::Result<Vec<WaitingGreeting>> {
        let folder = self.waiting.clone();
        blocking(move || read_all(&folder)).await
    }

    pub(crate) async fn add(&self, new: NewGreeting) -> io::Result<()> {
        let folder = self.waiting.clone();
        blocking(move || {
            // The description comes last: without it there is nothing that waits.
            write(&sound_file(&folder, new.waiting.id), &new.sound)?;
            describe(&folder, &new.waiting)?;
            if new.waiting.body.kind == GreetingKind::Name { forget_other_names(&folder, new.waiting.id) } else { Ok(()) }
        })
        .await
    }

    async fn get(&self, id: GreetingId) -> Option<WaitingGreeting> {
        self.all().await.ok()?.into_iter().find(|waiting| waiting.id == id)
    }

    async fn change(&self, waiting: WaitingGreeting) -> io::Result<()> {
        let folder = self.waiting.clone();
        blocking(move || describe(&folder, &waiting)).await
    }

    async fn sound(&self, id: GreetingId) -> io::Result<Vec<u8>> {
        tokio::fs::read(sound_file(&self.waiting, id)).await
    }

    async fn done(&self, id: GreetingId) -> io::Result<()> {
        let folder = self.waiting.clone();
        blocking(move || remove_both(&folder, id)).await
    }

    pub(crate) async fn sounding(&self, id: GreetingId) -> Option<Sounding> {
        let waiting = self.get(id).await?;
        Some(Sounding { id, duration_ms: waiting.duration_ms, file: sound_file(&self.waiting, id) })
    }

    pub(crate) fn stored_sounding(&self, greeting: &Greeting) -> Option<Sounding> {
        let sound = greeting.sound.as_ref()?;
        let name: String = sound.content.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        Some(Sounding { id: greeting.id, duration_ms: sound.duration_ms, file: self.heard.join(format!("{name}.sound")) })
    }

    fn removed(&self) -> std::sync::MutexGuard<'_, BTreeMap<GreetingId, WaitingGreeting>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file with a greeting's sound, fetched if it isn't here.
pub(crate) async fn sound(api: &Api, greeting: &Sounding, parts: &Path) -> Result<PathBuf, GreetingSoundError> {
    if !tokio::fs::try_exists(&greeting.file).await? {
        api.greeting_audio(greeting.id, &greeting.file, parts).await?;
    }
    Ok(greeting.file.clone())
}

pub(crate) async fn perform(api: &Api, mailbox: &Mailbox, drafts: &Drafts, parts: &Path, ask: Ask) -> Result<(), CommandError> {
    match ask {
        Ask::Describe(id, body) => match drafts.get(id).await {
            Some(waiting) => drafts.change(WaitingGreeting { body, refused: None, ..waiting }).await.map_err(storage),
            None => {
                let greeting = api.put_greeting(id, &body).await?;
                mailbox.keep_greeting(&greeting).await.map_err(storage)
            }
        },
        Ask::Remove(id) => remove(api, mailbox, drafts, parts, id).await,
        Ask::Restore(id) => {
            let removed = drafts.removed().remove(&id).ok_or(CommandError::NoSuchMessage)?;
            drafts.change(removed).await.map_err(storage)
        }
        Ask::Standard(standard) => Ok(change_plan(api, mailbox, |plan| plan.standard = standard).await?),
        Ask::Temporary(temporary) => Ok(change_plan(api, mailbox, |plan| plan.temporary.clone_from(&temporary)).await?),
        Ask::Plan(wanted) => Ok(put_plan(api, mailbox, &wanted).await?),
        Ask::PutBack(rule) => Ok(change_plan(api, mailbox, |plan| rule.clone().put_back(plan)).await?),
        Ask::RingTime(ring_s) => {
            let language = api.me().await?.subscriber.language;
            api.put_me(&MeBody { language, ring_s }).await?;
            Ok(())
        }
    }
}

/// Puts a whole plan in the place of the version that it was made of. Where there is a later one that is kept, so that
/// whoever repeats the change begins with it.
async fn put_plan(api: &Api, mailbox: &Mailbox, wanted: &PlanView) -> Result<(), ChangeError> {
    match api.put_plan(&wanted.plan, wanted.version).await {
        Ok(plan) => Ok(mailbox.keep_plan(&plan).await?),
        Err(error) => {
            if error.code() == Some(ProblemCode::Conflict) {
                mailbox.keep_plan(&api.plan().await?).await?;
            }
            Err(error.into())
        }
    }
}

/// Takes a greeting away; its sound lies where those that wait have theirs, and only a description is missing.
async fn remove(api: &Api, mailbox: &Mailbox, drafts: &Drafts, parts: &Path, id: GreetingId) -> Result<(), CommandError> {
    if let Some(waiting) = drafts.get(id).await {
        tokio::fs::remove_file(description(&drafts.waiting, id)).await.map_err(storage)?;
        drafts.removed().insert(id, waiting);
        return Ok(());
    }
    let stored = mailbox.greetings().await.map_err(storage)?;
    let greeting = stored.into_iter().find(|greeting| greeting.id == id).ok_or(CommandError::NoSuchMessage)?;
    let kept = match drafts.stored_sounding(&greeting) {
        Some(sounding) => {
            let file = sound(api, &sounding, parts).await.map_err(unfetched)?;
            tokio::fs::copy(&file, sound_file(&drafts.waiting, id)).await.map_err(storage)?;
            true
        }
        None => false,
    };
    match api.remove_greeting(id).await {
        Ok(()) => {}
        // Another device was faster.
        Err(error) if error.code() == Some(ProblemCode::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    mailbox.forget_greeting(id).await.map_err(storage)?;
    if kept {
        drafts.removed().insert(id, described(greeting));
    }
    Ok(())
}

/// What would bring it back. What named it goes on doing so, and finds it again.
fn described(greeting: Greeting) -> WaitingGreeting {
    let Greeting { id, kind, title, text, language, expires_at, sound, changed_at: _ } = greeting;
    let (duration_ms, peaks) = sound.map(|sound| (sound.duration_ms, sound.peaks)).unwrap_or_default();
    let body = GreetingBody { kind, title, text, language, expires_at };
    WaitingGreeting { id, body, purpose: Purpose::Keep, duration_ms, peaks, refused: None }
}

/// Why a plan could not be changed.
#[derive(Debug, thiserror::Error)]
enum ChangeError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError> for CommandError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Api(error) => error.into(),
            ChangeError::Store(error) => storage(error),
        }
    }
}

/// Changes the plan as the server has it at this moment, not as it was here: another device may have changed another part.
async fn change_plan(api: &Api, mailbox: &Mailbox, change: impl Fn(&mut Plan)) -> Result<(), ChangeError> {
    for _ in 1..PLAN_TRIES {
        match try_to_change_plan(api, mailbox, &change).await {
            Err(ChangeError::Api(error)) if error.code() == Some(ProblemCode::Conflict) => {}
            result => return result,
        }
    }
    try_to_change_plan(api, mailbox, &change).await
}

async fn try_to_change_plan(api: &Api, mailbox: &Mailbox, change: &impl Fn(&mut Plan)) -> Result<(), ChangeError> {
    let PlanView { version, mut plan } = api.plan().await?;
    change(&mut plan);
    let plan = api.put_plan(&plan, version).await?;
    Ok(mailbox.keep_plan(&plan).await?)
}

/// Sends what waits, whenever that is possible.
pub(crate) struct Uploader(JoinHandle<()>);

impl Uploader {
    pub(crate) fn start(api: Api, mailbox: Mailbox, drafts: Drafts, inputs: mpsc::UnboundedSender<Input>) -> Self {
        Self(tokio::spawn(async move {
            loop {
                match upload_all(&api, &mailbox, &drafts, &inputs).await {
                    Ok(true) => _ = timeout(AGAIN, drafts.bell.notified()).await,
                    Ok(false) => drafts.bell.notified().await,
                    Err(error) => {
                        tracing::warn!(%error, "recordings that wait can't be read");
                        _ = timeout(AGAIN, drafts.bell.notified()).await;
                    }
                }
            }
        }))
    }

    /// Stops. What waits stays.
    pub(crate) async fn close(self) {
        self.0.abort();
        let _cancelled = self.0.await;
    }
}

/// Whether something waits that may go later.
async fn upload_all(api: &Api, mailbox: &Mailbox, drafts: &Drafts, inputs: &mpsc::UnboundedSender<Input>) -> io::Result<bool> {
    let mut waits = false;
    for waiting in drafts.all().await?.into_iter().filter(|waiting| waiting.refused.is_none()) {
        let id = waiting.id;
        match upload(api, mailbox, drafts, &waiting).await {
            Ok(()) => drafts.done(id).await?,
            Err(ChangeError::Api(error)) if !error.is_passing() => {
                tracing::info!(greeting = %id, %error, "the server doesn't take a greeting");
                let refused = Some(error.code().unwrap_or(ProblemCode::Unknown));
                drafts.change(WaitingGreeting { refused, ..waiting }).await?;
            }
            Err(error) => {
                tracing::debug!(greeting = %id, %error, "a greeting could not be sent");
                waits = true;
                continue;
            }
        }
        let _over = inputs.send(Input::GreetingSent);
    }
    Ok(waits)
}

/// Every step may be done twice.
async fn upload(api: &Api, mailbox: &Mailbox, drafts: &Drafts, waiting: &WaitingGreeting) -> Result<(), ChangeError> {
    let sound = drafts.sound(waiting.id).await.map_err(StoreError::from)?;
    let id = id_at_server(api, waiting).await?;
    api.put_greeting(id, &waiting.body).await?;
    let greeting = api.put_greeting_audio(id, sound).await?;
    match &waiting.purpose {
        Purpose::Keep => {}
        Purpose::Standard => change_plan(api, mailbox, |plan| plan.standard = Some(id)).await?,
        Purpose::Temporary { until } => {
            let temporary = Some(Temporary { greeting: id, until: *until });
            change_plan(api, mailbox, |plan| plan.temporary.clone_from(&temporary)).await?;
        }
    }
    Ok(mailbox.keep_greeting(&greeting).await?)
}

/// A mailbox has one spoken name: the one that is there, perhaps recorded by phone, gets the new sound.
async fn id_at_server(api: &Api, waiting: &WaitingGreeting) -> Result<GreetingId, ApiError> {
    if waiting.body.kind != GreetingKind::Name {
        return Ok(waiting.id);
    }
    let known = api.greetings().await?.into_iter().find(|greeting| greeting.kind == GreetingKind::Name);
    Ok(known.map_or(waiting.id, |name| name.id))
}

/// Of names that wait only the last one is wanted.
fn forget_other_names(folder: &Path, last: GreetingId) -> io::Result<()> {
    let is_other = |waiting: &WaitingGreeting| waiting.body.kind == GreetingKind::Name && waiting.id != last;
    read_all(folder)?.iter().filter(|waiting| is_other(waiting)).try_for_each(|name| remove_both(folder, name.id))
}

fn remove_both(folder: &Path, id: GreetingId) -> io::Result<()> {
    std::fs::remove_file(description(folder, id))?;
    std::fs::remove_file(sound_file(folder, id))
}

fn read_all(folder: &Path) -> io::Result<Vec<WaitingGreeting>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match serde_json::from_slice(&std::fs::read(&path)?) {
            Ok(waiting) => all.push(waiting),
            Err(error) => tracing::warn!(%error, "what is said of a recording can't be read"),
        }
    }
    Ok(all)
}

/// Sounds that no description speaks of: of greetings that were removed in an earlier session, and of one that was cut off.
fn remove_orphans(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is = |ending: &str| path.extension().is_some_and(|extension| extension == ending);
        if is("part") || is("sound") && !path.with_extension("json").exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn describe(folder: &Path, waiting: &WaitingGreeting) -> io::Result<()> {
    write(&description(folder, waiting.id), &serde_json::to_vec(waiting)?)
}

/// The file is whole or not there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(part, path)
}

fn description(folder: &Path, id: GreetingId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn sound_file(folder: &Path, id: GreetingId) -> PathBuf {
    folder.join(format!("{id}.sound"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn storage(error: impl std::fmt::Display) -> CommandError {
    CommandError::Storage(error.to_string())
}

fn unfetched(error: GreetingSoundError) -> CommandError {
    match error {
        GreetingSoundError::Fetch(FetchError::Api(error)) => error.into(),
        GreetingSoundError::Fetch(FetchError::Io(error)) | GreetingSoundError::Io(error) => storage(error),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aftertone_model::Language;

    use super::*;

    fn new(number: u128, title: &str) -> NewGreeting {
        let body = GreetingBody {
            kind: GreetingKind::Greeting,
            title: title.into(),
            text: String::new(),
            language: Language::De,
            expires_at: None,
        };
        let id = GreetingId::from_random(number);
        let waiting = WaitingGreeting { id, body, purpose: Purpose::Standard, duration_ms: 2_000, peaks: vec![9], refused: None };
        NewGreeting { waiting, sound: vec![1, 2, 3] }
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let recorded = new(1, "Office");
        Drafts::open(folder.path()).unwrap().add(recorded.clone()).await.unwrap();
        let drafts = Drafts::open(folder.path()).unwrap();
        assert_eq!(drafts.all().await.unwrap(), std::slice::from_ref(&recorded.waiting));
        assert_eq!(drafts.sound(recorded.waiting.id).await.unwrap(), [1, 2, 3]);
        drafts.done(recorded.waiting.id).await.unwrap();
        assert_eq!(drafts.all().await.unwrap(), []);
    }

    #[tokio::test]
    async fn of_names_the_last_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let drafts = Drafts::open(folder.path()).unwrap();
        let named = |number| {
            let mut name = new(number, "Name");
            name.waiting.body.kind = GreetingKind::Name;
            name
        };
        for recorded in [new(1, "Office"), named(2), named(3)] {
            drafts.add(recorded).await.unwrap();
        }
        let mut ids: Vec<_> = drafts.all().await.unwrap().into_iter().map(|waiting| waiting.id).collect();
        ids.sort();
        assert_eq!(ids, [1, 3].map(GreetingId::from_random));
        assert!(drafts.sound(GreetingId::from_random(2)).await.is_err());
    }

    #[tokio::test]
    async fn a_sound_without_a_description_is_nothing_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let drafts = Drafts::open(folder.path()).unwrap();
        std::fs::write(sound_file(&drafts.waiting, GreetingId::from_random(7)), [1]).unwrap();
        std::fs::write(drafts.waiting.join("broken.json"), "{").unwrap();
        assert_eq!(drafts.all().await.unwrap(), []);
        let drafts = Drafts::open(folder.path()).unwrap();
        assert!(drafts.sound(GreetingId::from_random(7)).await.is_err(), "it takes no room after the next start");
    }
}

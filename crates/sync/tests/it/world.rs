//! A server that keeps the rules of the feed, and devices that are built of this crate's parts as the client is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aftertone_model::{
    CallId, Caller, Envelope, Message, MessageAction, MessageId, MessageState, Reason, Standing, SubscriberId, Timestamp,
};
use aftertone_sync::{
    Change, ChangeBody, ChangesPage, Cursor, FetchFailure, FetchId, IdempotencyKey, Pending, PendingWrite, ProblemCode,
    PullOutput, Puller, SendFailure, Settled, overlay, settle,
};

/// A mailbox on the server.
#[derive(Clone)]
pub(crate) struct Server {
    epoch: u32,
    n: u64,
    held: BTreeMap<MessageId, Standing>,
    expunged: BTreeMap<MessageId, ()>,
    /// Where each message was last changed.
    feed: BTreeMap<u64, MessageId>,
    keys: BTreeMap<IdempotencyKey, (MessageId, MessageAction)>,
    /// How often each key changed something.
    pub(crate) done: BTreeMap<IdempotencyKey, u32>,
    /// What was done to each message, in the order in which it first reached the server.
    pub(crate) history: BTreeMap<MessageId, Vec<MessageAction>>,
    pub(crate) page: usize,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 1,
            n: 0,
            held: BTreeMap::new(),
            expunged: BTreeMap::new(),
            feed: BTreeMap::new(),
            keys: BTreeMap::new(),
            done: BTreeMap::new(),
            history: BTreeMap::new(),
            page: 2,
        }
    }

    pub(crate) fn deposit(&mut self, number: u128) {
        let id = id(number);
        if !self.expunged.contains_key(&id) && !self.held.contains_key(&id) {
            self.held.insert(id, Standing::NEW);
            self.history.insert(id, Vec::new());
            self.changed(id);
        }
    }

    fn changed(&mut self, id: MessageId) {
        self.n += 1;
        self.feed.retain(|_, other| *other != id);
        self.feed.insert(self.n, id);
    }

    pub(crate) fn act(&mut self, pending: &Pending) -> Result<(), ProblemCode> {
        let PendingWrite::Action { action } = pending.write else { panic!("only actions here") };
        let id = pending.message;
        if let Some(known) = self.keys.get(&pending.key) {
            assert_eq!(*known, (id, action), "a key was used twice");
            return if self.held.contains_key(&id) || action == MessageAction::Expunge { Ok(()) } else { Err(ProblemCode::Gone) };
        }
        let Some(standing) = self.held.get(&id).copied() else {
            return Err(if self.expunged.contains_key(&id) { ProblemCode::Gone } else { ProblemCode::NotFound });
        };
        self.keys.insert(pending.key.clone(), (id, action));
        *self.done.entry(pending.key.clone()).or_default() += 1;
        self.history.entry(id).or_default().push(action);
        match standing.after(action) {
            Some(after) => _ = self.held.insert(id, after),
            None => {
                self.held.remove(&id);
                self.expunged.insert(id, ());
            }
        }
        self.changed(id);
        Ok(())
    }

    pub(crate) fn changes(&self, since: Option<Cursor>) -> Result<ChangesPage, FetchFailure> {
        let since = since.unwrap_or(Cursor { epoch: self.epoch, n: 0 });
        if since.epoch != self.epoch || since.n > self.n {
            return Err(FetchFailure::Reset);
        }
        let mut rows = self.feed.range(since.n + 1..);
        let changes: Vec<Change> = rows.by_ref().take(self.page).map(|(n, id)| Change { n: *n, body: self.body(*id) }).collect();
        let n = changes.last().map_or(since.n, |change| change.n);
        Ok(ChangesPage { cursor: Cursor { epoch: self.epoch, n }, changes, more: rows.next().is_some() })
    }

    fn body(&self, id: MessageId) -> ChangeBody {
        match self.held.get(&id) {
            Some(standing) => ChangeBody::Message { message: Box::new(message(id, standing.state())) },
            None => ChangeBody::Expunged { message: id },
        }
    }

    fn end(&self) -> Cursor {
        Cursor { epoch: self.epoch, n: self.n }
    }

    /// Whether what this key stands for was done, or came too late for its message.
    pub(crate) fn has_settled(&self, key: &IdempotencyKey, message: MessageId) -> bool {
        self.keys.contains_key(key) || !self.held.contains_key(&message)
    }

    /// Goes back to what a backup knew, as a new life.
    pub(crate) fn restore(&mut self, backup: Self) {
        let epoch = self.epoch + 1;
        *self = Self { epoch, done: BTreeMap::new(), ..backup };
    }

    pub(crate) fn view(&self) -> BTreeMap<MessageId, MessageState> {
        self.held.iter().map(|(id, standing)| (*id, standing.state())).collect()
    }
}

/// What becomes of one exchange with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Works,
    LosesRequest,
    LosesAnswer,
}

/// A device: its copy, its outbox, its puller.
pub(crate) struct Device {
    copy: BTreeMap<MessageId, Message>,
    cursor: Option<Cursor>,
    outbox: Vec<(Pending, bool)>,
    puller: Puller,
    /// A page on its way.
    on_its_way: Option<(FetchId, Result<ChangesPage, FetchFailure>)>,
    now: Instant,
    keys: u128,
    /// Everything that its user ever did on it.
    pub(crate) acted: Vec<(IdempotencyKey, MessageId)>,
    number: u128,
    pub(crate) fetches: u32,
    pub(crate) caught_up: u32,
}

impl Device {
    pub(crate) fn new(number: u128) -> Self {
        Self {
            copy: BTreeMap::new(),
            cursor: None,
            outbox: Vec::new(),
            puller: Puller::new(None, 1),
            on_its_way: None,
            now: start(),
            keys: 0,
            acted: Vec::new(),
            number,
            fetches: 0,
            caught_up: 0,
        }
    }

    /// The user does something, online or not. Only what is seen can be acted on.
    pub(crate) fn act(&mut self, number: u128, action: MessageAction) {
        if !self.view().contains_key(&id(number)) {
            return;
        }
        self.keys += 1;
        let key = IdempotencyKey::from_random(self.number << 64 | self.keys);
        self.acted.push((key.clone(), id(number)));
        self.outbox.push((Pending { key, message: id(number), write: PendingWrite::Action { action } }, false));
    }

    /// Sends the oldest write that waits.
    pub(crate) fn send(&mut self, server: &mut Server, network: Network) {
        let Some(index) = self.outbox.iter().position(|(_, answered)| !answered) else { return };
        let pending = self.outbox[index].0.clone();
        let answer = (network != Network::LosesRequest).then(|| server.act(&pending));
        let result = match (network, answer) {
            (Network::Works, Some(answer)) => answer.map_err(SendFailure::Refused),
            (Network::Works | Network::LosesRequest | Network::LosesAnswer, _) => Err(SendFailure::Unreachable),
        };
        match settle(result) {
            Settled::Done => self.outbox[index].1 = true,
            Settled::DropMessage => {
                self.copy.remove(&pending.message);
                self.outbox.retain(|(other, _)| other.message != pending.message);
            }
            Settled::GiveUp => _ = self.outbox.remove(index),
            Settled::Skip | Settled::Retry => {}
        }
    }

    pub(crate) fn ring(&mut self) {
        self.puller.handle_doorbell();
    }

    /// Does what the puller wants, but leaves a page on its way.
    pub(crate) fn pull(&mut self, server: &Server, network: Network) {
        loop {
            match self.puller.poll_output() {
                PullOutput::Timeout(_) => return,
                PullOutput::Fetch { fetch, since } => {
                    self.fetches += 1;
                    let works = network == Network::Works;
                    let page = if works { server.changes(since) } else { Err(FetchFailure::Failed) };
                    self.on_its_way = Some((fetch, page));
                }
                PullOutput::Apply(page) => {
                    self.apply(&page);
                    self.puller.handle_stored(true, self.now);
                }
                PullOutput::Replace(pages) => {
                    self.copy.clear();
                    pages.iter().for_each(|page| self.apply(page));
                    self.puller.handle_stored(true, self.now);
                }
                PullOutput::CaughtUp => self.caught_up += 1,
            }
        }
    }

    /// The page arrives.
    pub(crate) fn arrive(&mut self) {
        if let Some((fetch, result)) = self.on_its_way.take() {
            self.puller.handle_fetched(fetch, result, self.now);
        }
    }

    /// With a network that works, to the end of the feed.
    pub(crate) fn hear(&mut self, server: &Server) {
        self.ring();
        self.pull(server, Network::Works);
        while self.on_its_way.is_some() {
            self.arrive();
            self.pull(server, Network::Works);
        }
    }

    pub(crate) fn wait(&mut self) {
        self.now += Duration::from_secs(60);
        self.puller.handle_timeout(self.now);
    }

    /// The program starts again: what is stored is all there is.
    pub(crate) fn restart(&mut self) {
        self.puller = Puller::new(self.cursor, 2);
        self.on_its_way = None;
        self.ring();
    }

    /// With a network that works, until nothing is left to do.
    pub(crate) fn settle(&mut self, server: &mut Server) {
        for _ in 0..100 {
            self.send(server, Network::Works);
            self.hear(server);
            if self.outbox.is_empty() && self.cursor == Some(server.end()) {
                return;
            }
            self.wait();
        }
        panic!("device {} does not settle", self.number);
    }

    fn apply(&mut self, page: &ChangesPage) {
        for change in &page.changes {
            match &change.body {
                ChangeBody::Message { message } => _ = self.copy.insert(message.envelope.id, (**message).clone()),
                ChangeBody::Expunged { message } => {
                    self.copy.remove(message);
                    self.outbox.retain(|(pending, _)| pending.message != *message);
                }
                ChangeBody::CallRecord { .. }
                | ChangeBody::Greeting { .. }
                | ChangeBody::GreetingRemoved { .. }
                | ChangeBody::Plan { .. }
                | ChangeBody::Room { .. }
                | ChangeBody::Unknown => {}
            }
        }
        self.cursor = Some(page.cursor);
        if !page.more {
            self.outbox.retain(|(_, answered)| !answered);
        }
    }

    /// What the user sees.
    pub(crate) fn view(&self) -> BTreeMap<MessageId, MessageState> {
        let shown = |message: &Message| overlay(message, self.outbox.iter().map(|(pending, _)| pending));
        self.copy.iter().filter_map(|(id, message)| Some((*id, shown(message)?.state))).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }
}

pub(crate) fn start() -> Instant {
    // Virtual from here on; the clock's own reading never matters.
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
        Instant::now()
    })
}

pub(crate) fn id(number: u128) -> MessageId {
    MessageId::from_random(number << 64)
}

pub(crate) fn message(id: MessageId, state: MessageState) -> Message {
    let envelope = Envelope {
        id,
        call: CallId::from_random(1),
        mailbox: SubscriberId::from_random(1),
        caller: Caller { number: "1002".into(), name: None },
        received_at: Timestamp::UNIX_EPOCH,
        reason: Reason::NoAnswer,
        urgent: false,
        private: false,
        call_back: None,
        test: false,
    };
    Message {
        envelope,
        duration_ms: 1,
        state,
        peaks: vec![],
        media_type: "audio/wav".into(),
        forwarded: None,
        interrupted: false,
    }
}

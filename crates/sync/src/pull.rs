use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Backoff, ChangesPage, Cursor, backoff::LONGEST_PAUSE};

/// Without a doorbell the feed is asked that often: a doorbell may be lost.
const POLL: Duration = LONGEST_PAUSE;

/// One fetch; what answers an older one is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchId(u64);

/// Why a fetch brought no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailure {
    /// The cursor is not of this feed ([`crate::ProblemCode::CursorReset`]).
    Reset,
    /// Anything else: it is tried again.
    Failed,
}

/// What a puller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullOutput {
    /// Call [`Puller::handle_timeout`] then, if at all.
    Timeout(Option<Instant>),
    /// Ask `GET /v1/changes`, and answer by [`Puller::handle_fetched`].
    Fetch {
        /// Names the answer.
        fetch: FetchId,
        /// After which change; `None` for a snapshot.
        since: Option<Cursor>,
    },
    /// Store the page with its cursor, in one transaction, and answer by [`Puller::handle_stored`].
    Apply(ChangesPage),
    /// Put these pages in the place of the copy, in one transaction, keep the outbox, and answer by
    /// [`Puller::handle_stored`].
    Replace(Vec<ChangesPage>),
    /// The copy is what the server had when it was last asked.
    CaughtUp,
}

/// Keeps a device's copy up with the feed.
///
/// ```text
///         doorbell, timeout             page                    stored, more
///  Idle ───────────────────> Fetching ───────────> Storing ───────────────────┐
///   ^                         │    ^   (a snapshot collects its pages first)   │
///   └──── failed: a pause ────┘    └───────────────────────────────────────────┤
///   └──────────────── stored, no more; at once again if it rang meanwhile ─────┘
/// ```
///
/// A doorbell that rings while something is on its way makes one more fetch, however often it rang. A snapshot (at the
/// first time, and after a reset) is stored only when all of it is there, so that a mailbox is never half replaced.
#[derive(Debug)]
pub struct Puller {
    cursor: Option<Cursor>,
    state: State,
    rung: bool,
    backoff: Backoff,
    fetches: u64,
    outputs: VecDeque<PullOutput>,
}

#[derive(Debug)]
enum State {
    Idle {
        until: Option<Instant>,
    },
    Fetching {
        fetch: FetchId,
        since: Option<Cursor>,
        /// The pages of a snapshot so far.
        snapshot: Option<Vec<ChangesPage>>,
    },
    Storing {
        cursor: Cursor,
        more: bool,
    },
}

impl Puller {
    /// A puller for a copy that stands at `cursor`. It does nothing before the first doorbell or timeout: ring once at the
    /// start. `seed` spreads the pauses of many devices after a failure of the server.
    #[must_use]
    pub fn new(cursor: Option<Cursor>, seed: u64) -> Self {
        let state = State::Idle { until: None };
        Self { cursor, state, rung: false, backoff: Backoff::new(seed), fetches: 0, outputs: VecDeque::new() }
    }

    /// Whether the copy was ever stored.
    #[must_use]
    pub fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// Something may have changed: a doorbell, a connection that came back, a write that was answered.
    pub fn handle_doorbell(&mut self) {
        match self.state {
            State::Idle { .. } => self.fetch(self.cursor, self.cursor.is_none().then(Vec::new)),
            State::Fetching { .. } | State::Storing { .. } => self.rung = true,
        }
    }

    /// What a fetch brought.
    pub fn handle_fetched(&mut self, fetch: FetchId, result: Result<ChangesPage, FetchFailure>, now: Instant) {
        let State::Fetching { fetch: current, since, snapshot } = &mut self.state else { return };
        if *current != fetch {
            return;
        }
        let (since, snapshot) = (*since, snapshot.take());
        match result {
            Ok(page) if is_next(since, &page) => self.fetched(page, snapshot),
            // The device's place is unknown to the server: a snapshot, at once. Within a snapshot the server itself has
            // begun a new life; that is no reason to hurry.
            Err(FetchFailure::Reset) if snapshot.is_none() => self.fetch(None, Some(Vec::new())),
            Ok(_) | Err(FetchFailure::Reset | FetchFailure::Failed) => self.pause(now),
        }
    }

    /// Whether the copy was stored.
    pub fn handle_stored(&mut self, stored: bool, now: Instant) {
        let State::Storing { cursor, more } = self.state else { return };
        if !stored {
            return self.pause(now);
        }
        self.cursor = Some(cursor);
        self.backoff.worked();
        if more {
            return self.fetch(self.cursor, None);
        }
        self.outputs.push_back(PullOutput::CaughtUp);
        self.state = State::Idle { until: Some(now + POLL) };
        if std::mem::take(&mut self.rung) {
            self.handle_doorbell();
        }
    }

    /// The time has come, or it hasn't.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Idle { until: Some(until) } = self.state
            && now >= until
        {
            self.handle_doorbell();
        }
    }

    /// What to do next; a timeout when there is nothing else.
    #[must_use]
    pub fn poll_output(&mut self) -> PullOutput {
        let timeout = match self.state {
            State::Idle { until } => until,
            State::Fetching { .. } | State::Storing { .. } => None,
        };
        self.outputs.pop_front().unwrap_or(PullOutput::Timeout(timeout))
    }

    fn fetch(&mut self, since: Option<Cursor>, snapshot: Option<Vec<ChangesPage>>) {
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        self.rung = false;
        self.state = State::Fetching { fetch, since, snapshot };
        self.outputs.push_back(PullOutput::Fetch { fetch, since });
    }

    fn fetched(&mut self, page: ChangesPage, snapshot: Option<Vec<ChangesPage>>) {
        let (cursor, more) = (page.cursor, page.more);
        let output = match snapshot {
            None => PullOutput::Apply(page),
            Some(mut pages) => {
                pages.push(page);
                if more {
                    let rung = self.rung;
                    self.fetch(Some(cursor), Some(pages));
                    self.rung = rung;
                    return;
                }
                PullOutput::Replace(pages)
            }
        };
        self.outputs.push_back(output);
        self.state = State::Storing { cursor, more };
    }

    fn pause(&mut self, now: Instant) {
        self.rung = false;
        self.state = State::Idle { until: Some(self.backoff.failed(now)) };
    }
}

/// Whether a page can follow: of the same life, not behind, and one that promises more has moved on.
fn is_next(since: Option<Cursor>, page: &ChangesPage) -> bool {
    let Some(since) = since else { return !page.more || page.cursor.n > 0 };
    page.cursor.epoch == since.epoch && page.cursor.n >= since.n && (!page.more || page.cursor.n > since.n)
}

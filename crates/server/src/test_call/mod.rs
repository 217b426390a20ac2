//! Test calls: somebody wants to hear what callers hear, and to see their message arrive.
//!
//! The caller is a phone of its own inside the server ([`caller`]), with a session at the exchange as a call from outside has one
//! and with real packets to the media workers. What becomes of its call is seen at three places: by the caller, by the exchange's
//! loop (which mailbox answered), and where the message is committed. Nothing of it is stored: after a crash the message, if there
//! is one, says by its envelope that it is a test, and nobody waits for the rest.

mod caller;
mod ear;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aftertone_exchange::{DepositOrder, Sound};
use aftertone_model::{CallId, MessageId, Reason, Subscriber, SubscriberId, Timestamp};
use aftertone_net::ConnectionNumbers;
use aftertone_server_store::Store;
use aftertone_sync::{TestCall, TestCallFailure, TestCallQuiet, TestCallStage};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{config::Encryption, run::SocketEvent};

/// One person may have so many at once in a row, and then one in so long.
const AT_ONCE: u32 = 6;
const ONE_IN: Duration = Duration::from_secs(60);
/// Of all people together, at the same time.
const MOST_RUNNING: usize = 8;
/// What a test call may take beside the ringing: the longest greeting, and what is said.
const AT_MOST: Duration = Duration::from_secs(240);
/// How a call went, and what was heard, is remembered for so long.
const KEPT: Duration = Duration::from_secs(3600);

/// The account's test calls: one at most for each person.
pub(crate) struct TestCalls {
    world: World,
    calls: Mutex<BTreeMap<SubscriberId, Kept>>,
}

/// What a caller needs of the server.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) domain: String,
    /// To the exchange's loop.
    pub(crate) sockets: mpsc::Sender<SocketEvent>,
    pub(crate) numbers: ConnectionNumbers,
    /// Where the media workers listen.
    pub(crate) media: IpAddr,
    pub(crate) encryption: Encryption,
}

impl World {
    /// The address of both ends: the call stays on this machine.
    fn address(&self) -> IpAddr {
        if self.media.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { self.media }
    }
}

struct Kept {
    view: TestCall,
    began: Instant,
    /// How many there may be now; filled up again with time.
    left: f64,
    news: mpsc::UnboundedSender<News>,
    heard: Option<Bytes>,
}

/// What the caller can't see.
#[derive(Debug)]
enum News {
    /// The mailbox answered.
    Answered { call: CallId, reason: Reason, greeting: Option<Sound> },
    /// What was said is a message, or isn't.
    Committed { message: Option<MessageId> },
}

/// Why there is no test call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// One is under way.
    Running,
    /// There were too many.
    TooMany(Duration),
}

impl TestCalls {
    pub(crate) fn new(world: World) -> Self {
        Self { world, calls: Mutex::default() }
    }

    /// Calls this person, as somebody from outside would.
    pub(crate) fn start(self: &Arc<Self>, owner: Subscriber) -> Result<TestCall, Refusal> {
        let (news, told) = mpsc::unbounded_channel();
        let view = admit(&mut self.calls(), owner.id, news, Instant::now())?;
        let calls = Arc::clone(self);
        tokio::spawn(async move { calls.run(owner, told).await });
        Ok(view)
    }

    /// How this person's last one gets on.
    pub(crate) fn of(&self, owner: SubscriberId) -> Option<TestCall> {
        self.calls().get(&owner).map(|kept| kept.view.clone())
    }

    /// What its caller heard before the beep, and the beep: a WAV file.
    pub(crate) fn heard(&self, owner: SubscriberId) -> Option<Bytes> {
        self.calls().get(&owner)?.heard.clone()
    }

    /// The mailbox answers a call.
    pub(crate) fn answered(&self, order: &DepositOrder) {
        if order.envelope.test {
            let (call, reason) = (order.envelope.call, order.envelope.reason);
            self.tell(order.envelope.mailbox, News::Answered { call, reason, greeting: order.greeting.clone() });
        }
    }

    /// A deposit is over.
    pub(crate) fn committed(&self, mailbox: SubscriberId, call: CallId, message: Option<MessageId>) {
        let is_test = self.calls().get(&mailbox).is_some_and(|kept| kept.view.call == Some(call));
        if is_test {
            self.tell(mailbox, News::Committed { message });
        }
    }

    async fn run(&self, owner: Subscriber, told: mpsc::UnboundedReceiver<News>) {
        let at_most = AT_MOST + Duration::from_secs(owner.ring_s.into());
        caller::place(self, &owner, told, at_most).await;
    }

    fn end(&self, owner: SubscriberId, failure: Option<TestCallFailure>) {
        tracing::info!(subscriber = %owner, ?failure, "a test call is over");
        self.change(owner, |view| {
            view.failure = failure;
            view.stage = TestCallStage::Over;
        });
    }

    fn tell(&self, owner: SubscriberId, news: News) {
        if let Some(kept) = self.calls().get(&owner) {
            // A caller that is gone needs no news.
            let _over = kept.news.send(news);
        }
    }

    fn change(&self, owner: SubscriberId, change: impl FnOnce(&mut TestCall)) {
        if let Some(kept) = self.calls().get_mut(&owner) {
            change(&mut kept.view);
        }
    }

    fn keep_heard(&self, owner: SubscriberId, wav: Bytes) {
        if let Some(kept) = self.calls().get_mut(&owner) {
            kept.heard = Some(wav);
        }
    }

    /// Why no device rang.
    async fn quiet(&self, owner: SubscriberId, reason: Reason) -> TestCallQuiet {
        match reason {
            Reason::Dnd => {
                let calling = self.world.store.calling().await.unwrap_or_default();
                let is_on = calling.get(&owner).is_some_and(|calling| calling.do_not_disturb);
                if is_on { TestCallQuiet::DoNotDisturb } else { TestCallQuiet::Rule }
            }
            Reason::NoAnswer => TestCallQuiet::NoRingTime,
            Reason::Offline => TestCallQuiet::NoDevice,
            Reason::Busy | Reason::Declined | Reason::Direct => TestCallQuiet::Other,
        }
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<SubscriberId, Kept>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_over(&self) -> bool {
        self.view.stage == TestCallStage::Over
    }
}

/// A new call of this person's, unless there is one or there were too many.
fn admit(
    calls: &mut BTreeMap<SubscriberId, Kept>,
    owner: SubscriberId,
    news: mpsc::UnboundedSender<News>,
    now: Instant,
) -> Result<TestCall, Refusal> {
    calls.retain(|_, kept| !kept.is_over() || now.saturating_duration_since(kept.began) < KEPT);
    let left = match calls.get(&owner) {
        Some(kept) if !kept.is_over() => return Err(Refusal::Running),
        Some(kept) => {
            let passed = now.saturating_duration_since(kept.began);
            (kept.left + passed.as_secs_f64() / ONE_IN.as_secs_f64()).min(f64::from(AT_ONCE))
        }
        None => f64::from(AT_ONCE),
    };
    if left < 1.0 {
        return Err(Refusal::TooMany(ONE_IN.mul_f64(1.0 - left)));
    }
    if calls.values().filter(|kept| !kept.is_over()).count() >= MOST_RUNNING {
        return Err(Refusal::TooMany(ONE_IN));
    }
    let view = new_view();
    calls.insert(owner, Kept { view: view.clone(), began: now, left: left - 1.0, news, heard: None });
    Ok(view)
}

fn new_view() -> TestCall {
    TestCall {
        started_at: Timestamp::now(),
        stage: TestCallStage::Calling,
        call: None,
        rang: false,
        quiet: None,
        reason: None,
        greeting: None,
        spoken: None,
        message: None,
        failure: None,
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(calls: &mut BTreeMap<SubscriberId, Kept>, person: u128, now: Instant) -> Result<(), Refusal> {
        admit(calls, SubscriberId::from_random(person), mpsc::unbounded_channel().0, now).map(drop)
    }

    fn end_all(calls: &mut BTreeMap<SubscriberId, Kept>) {
        calls.values_mut().for_each(|kept| kept.view.stage = TestCallStage::Over);
    }

    #[test]
    fn one_at_a_time_and_six_in_a_row_and_then_one_a_minute() {
        let (mut calls, mut now) = (BTreeMap::new(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(ask(&mut calls, 1, now), Ok(()));
            assert_eq!(ask(&mut calls, 1, now), Err(Refusal::Running));
            end_all(&mut calls);
        }
        assert_eq!(ask(&mut calls, 1, now), Err(Refusal::TooMany(ONE_IN)));
        assert_eq!(ask(&mut calls, 2, now), Ok(()), "others have their own");
        now += ONE_IN.mul_f64(0.75);
        assert_eq!(ask(&mut calls, 1, now), Err(Refusal::TooMany(ONE_IN.mul_f64(0.25))));
        now += ONE_IN.mul_f64(0.25);
        assert_eq!(ask(&mut calls, 1, now), Ok(()));
        end_all(&mut calls);
        assert!(matches!(ask(&mut calls, 1, now), Err(Refusal::TooMany(_))));
        // What was long ago is forgotten.
        assert_eq!(ask(&mut calls, 1, now + KEPT), Ok(()));
    }

    #[test]
    fn all_people_together_have_a_limit_too() {
        let (mut calls, now) = (BTreeMap::new(), Instant::now());
        for person in 0..MOST_RUNNING as u128 {
            assert_eq!(ask(&mut calls, person, now), Ok(()));
        }
        assert_eq!(ask(&mut calls, 99, now), Err(Refusal::TooMany(ONE_IN)));
        end_all(&mut calls);
        assert_eq!(ask(&mut calls, 99, now), Ok(()));
    }
}

use aftertone_model::MessageId;
use aftertone_sync::{TestCall, TestCallFailure, TestCallQuiet, TestCallSound, TestCallStage};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::Code;

/// A test call, as a list whose steps come true one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct TestCallView {
    /// Where it stands.
    pub state: TestCallState,
    /// The steps, in order.
    pub steps: Vec<TestStepView>,
    /// What the caller heard can be played.
    pub can_be_heard: bool,
    /// The message that it left, while it is here.
    #[ts(type = "string | null")]
    pub message: Option<MessageId>,
    /// Why it could not begin.
    pub code: Option<Code>,
}

/// Where a test call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum TestCallState {
    /// Nobody asked for one.
    Idle,
    /// It goes on: whoever hears it ring leaves it so.
    Running,
    /// Every step is done, or is not to be as things are set.
    Passed,
    /// A step failed, and its note says which and why.
    Failed,
}

/// A step of a test call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct TestStepView {
    /// Which.
    pub step: TestStep,
    /// How far.
    pub state: TestStepState,
    /// What is to be said of it.
    pub note: Option<TestNote>,
}

/// What has to come true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum TestStep {
    /// Who calls the number gets through to the account.
    Reachable,
    /// This app rang.
    Rang,
    /// The mailbox answered.
    Answered,
    /// The caller heard the greeting.
    Greeting,
    /// The message is on this device.
    Arrived,
    /// It sounds as it was spoken.
    Sound,
    /// The desktop showed the notification.
    Notified,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum TestStepState {
    /// Its turn has not come.
    Waiting,
    /// It is being waited for.
    Running,
    /// It came true.
    Done,
    /// It is not to happen, as it was set: the note says how.
    Skipped,
    /// It did not come true: the note says why.
    Failed,
}

/// What is to be said of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum TestNote {
    /// It rings, and is not to be answered.
    LeaveIt,
    /// Do not disturb is on, so nothing rings.
    DoNotDisturb,
    /// A rule sends this caller to the mailbox, so nothing rings.
    Rule,
    /// The time to ring is none.
    NoRingTime,
    /// No device was connected.
    NoDevice,
    /// The devices were busy, or one declined.
    Busy,
    /// Another device rang, and this one did not.
    OnlyElsewhere,
    /// The exchange refused the call, with this status of SIP.
    Refused {
        /// None where it gave no answer.
        status: Option<u16>,
    },
    /// Somebody answered the call.
    SomebodyAnswered,
    /// Of one's own greeting, as the caller heard it.
    OwnGreeting {
        /// In milliseconds.
        duration_ms: u32,
    },
    /// Of the account's.
    AccountGreeting {
        /// In milliseconds.
        duration_ms: u32,
    },
    /// One's own greeting is missing on the server.
    GreetingLost,
    /// Nothing was heard of the mailbox.
    Silent,
    /// The mailbox is full.
    MailboxFull,
    /// The server could take no message.
    NoRoom,
    /// The mailbox hung up while the caller spoke.
    CutOff,
    /// What was spoken is no message.
    NotStored,
    /// The message is at the server, and did not come here.
    NotHere,
    /// The sound of the message can't be had.
    NoSound,
    /// Length and level, both of what was spoken and of what arrived.
    Measured {
        /// In milliseconds.
        spoken_ms: u32,
        /// In milliseconds.
        arrived_ms: u32,
        /// By how much it is louder, in tenths of a dB.
        louder: i32,
    },
    /// Notifications of messages are off.
    NotificationsOff,
    /// It is quiet at this hour.
    QuietHours,
    /// The desktop did not say that it showed it.
    NotShown,
    /// It took too long.
    TooLong,
    /// The server failed.
    ServerFailed,
}

/// The sound of a message can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unplayable;

/// What this device has seen of a test call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestCallSeen {
    /// This app rang for it.
    pub rang: bool,
    /// The message is here.
    pub message: Option<MessageId>,
    /// How it sounds.
    pub sound: Option<Result<TestCallSound, Unplayable>>,
    /// The desktop showed the notification of the message.
    pub notified: bool,
    /// There is none, because of this.
    pub quiet: Option<TestNote>,
    /// What has not happened by now, won't.
    pub over: bool,
}

/// So much of the length may be lost at the ends, and so much of the level may differ: G.711 takes less of either.
const LENGTH_MS: u32 = 400;
const LEVEL: u32 = 30;

impl Default for TestCallView {
    fn default() -> Self {
        Self::not_begun(None)
    }
}

impl TestCallView {
    /// None was made; `code` says why, where one was wanted.
    #[must_use]
    pub fn not_begun(code: Option<Code>) -> Self {
        Self { state: TestCallState::Idle, steps: Vec::new(), can_be_heard: false, message: None, code }
    }

    /// As far as the server and this device know of it.
    #[must_use]
    pub fn new(call: &TestCall, seen: &TestCallSeen) -> Self {
        let mut verdicts = verdicts(call, seen);
        // What has not happened by now is not waited for any more.
        let broken_off = call.failure.is_some() || seen.over;
        if let Some(note) = call.failure.and_then(anywhere)
            && let Some((_, open)) = verdicts.iter_mut().find(|(_, verdict)| matches!(verdict, Verdict::Open(_)))
        {
            *open = Verdict::Failed(note);
        }
        let failed = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
        let open = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Open(_)));
        let goes_on = call.stage != TestCallStage::Over || (open && !broken_off);
        let state = match (failed, goes_on) {
            (_, true) => TestCallState::Running,
            (true, false) => TestCallState::Failed,
            (false, false) => TestCallState::Passed,
        };
        let mut is_next = !broken_off;
        let steps = verdicts.into_iter().map(|(step, verdict)| {
            let (state, note) = verdict.shown(&mut is_next);
            TestStepView { step, state, note }
        });
        let steps = steps.collect();
        Self { state, steps, can_be_heard: call.greeting.is_some(), message: seen.message, code: None }
    }
}

/// What is known of a step.
enum Verdict {
    Open(Option<TestNote>),
    Done(Option<TestNote>),
    Skipped(TestNote),
    Failed(TestNote),
}

impl Verdict {
    /// The first open step is the one that is waited for.
    fn shown(self, is_next: &mut bool) -> (TestStepState, Option<TestNote>) {
        match self {
            Self::Open(note) if std::mem::take(is_next) => (TestStepState::Running, note),
            Self::Open(_) => (TestStepState::Waiting, None),
            Self::Done(note) => (TestStepState::Done, note),
            Self::Skipped(note) => (TestStepState::Skipped, Some(note)),
            Self::Failed(note) => (TestStepState::Failed, Some(note)),
        }
    }
}

fn verdicts(call: &TestCall, seen: &TestCallSeen) -> [(TestStep, Verdict); 7] {
    [
        (TestStep::Reachable, reachable(call)),
        (TestStep::Rang, rang(call, seen)),
        (TestStep::Answered, answered(call)),
        (TestStep::Greeting, greeting(call)),
        (TestStep::Arrived, arrived(call, seen)),
        (TestStep::Sound, sound(call, seen)),
        (TestStep::Notified, notified(seen)),
    ]
}

/// What may end a test call at any step.
fn anywhere(failure: TestCallFailure) -> Option<TestNote> {
    match failure {
        TestCallFailure::TooLong => Some(TestNote::TooLong),
        TestCallFailure::Failed => Some(TestNote::ServerFailed),
        TestCallFailure::Unreachable
        | TestCallFailure::Answered
        | TestCallFailure::Silent
        | TestCallFailure::MailboxFull
        | TestCallFailure::NoRoom
        | TestCallFailure::CutOff
        | TestCallFailure::NotStored => None,
    }
}

fn reachable(call: &TestCall) -> Verdict {
    match call.failure {
        Some(TestCallFailure::Unreachable) => Verdict::Failed(TestNote::Refused { status: call.status }),
        _ if call.call.is_some() => Verdict::Done(None),
        _ => Verdict::Open(None),
    }
}

fn rang(call: &TestCall, seen: &TestCallSeen) -> Verdict {
    let rings = call.stage == TestCallStage::Ringing;
    match call.quiet {
        _ if seen.rang => Verdict::Done(rings.then_some(TestNote::LeaveIt)),
        Some(TestCallQuiet::DoNotDisturb) => Verdict::Skipped(TestNote::DoNotDisturb),
        Some(TestCallQuiet::Rule) => Verdict::Skipped(TestNote::Rule),
        Some(TestCallQuiet::NoRingTime) => Verdict::Skipped(TestNote::NoRingTime),
        Some(TestCallQuiet::NoDevice) => Verdict::Failed(TestNote::NoDevice),
        Some(TestCallQuiet::Other) => Verdict::Failed(TestNote::Busy),
        None if call.rang && call.reason.is_some() => Verdict::Failed(TestNote::OnlyElsewhere),
        None => Verdict::Open(None),
    }
}

fn answered(call: &TestCall) -> Verdict {
    match (call.reason, call.failure) {
        (Some(_), _) => Verdict::Done(None),
        (None, Some(TestCallFailure::Answered)) => Verdict::Failed(TestNote::SomebodyAnswered),
        (None, _) => Verdict::Open(None),
    }
}

fn greeting(call: &TestCall) -> Verdict {
    let refusal = call.failure.and_then(|failure| match failure {
        TestCallFailure::MailboxFull => Some(TestNote::MailboxFull),
        TestCallFailure::NoRoom => Some(TestNote::NoRoom),
        TestCallFailure::Silent => Some(TestNote::Silent),
        TestCallFailure::Unreachable
        | TestCallFailure::Answered
        | TestCallFailure::CutOff
        | TestCallFailure::NotStored
        | TestCallFailure::TooLong
        | TestCallFailure::Failed => None,
    });
    match (refusal, call.greeting) {
        (Some(note), _) => Verdict::Failed(note),
        (None, Some(heard)) if heard.lost => Verdict::Failed(TestNote::GreetingLost),
        (None, Some(heard)) => {
            let duration_ms = heard.sound.duration_ms;
            let own = TestNote::OwnGreeting { duration_ms };
            Verdict::Done(Some(if heard.own { own } else { TestNote::AccountGreeting { duration_ms } }))
        }
        // The beep was heard, and nothing before it.
        (None, None) if call.stage > TestCallStage::Greeting && call.spoken.is_some() => Verdict::Failed(TestNote::Silent),
        (None, None) => Verdict::Open(None),
    }
}

fn arrived(call: &TestCall, seen: &TestCallSeen) -> Verdict {
    match (seen.message, call.failure) {
        (Some(_), _) => Verdict::Done(None),
        (None, Some(TestCallFailure::CutOff)) => Verdict::Failed(TestNote::CutOff),
        (None, Some(TestCallFailure::NotStored)) => Verdict::Failed(TestNote::NotStored),
        (None, _) if seen.over && call.message.is_some() => Verdict::Failed(TestNote::NotHere),
        (None, _) => Verdict::Open(None),
    }
}

fn sound(call: &TestCall, seen: &TestCallSeen) -> Verdict {
    match (seen.sound, call.spoken) {
        (Some(Ok(arrived)), Some(spoken)) => compared(spoken, arrived),
        (Some(Ok(_) | Err(Unplayable)), _) => Verdict::Failed(TestNote::NoSound),
        (None, _) if seen.over && call.message.is_some() => Verdict::Failed(TestNote::NoSound),
        (None, _) => Verdict::Open(None),
    }
}

fn compared(spoken: TestCallSound, arrived: TestCallSound) -> Verdict {
    let louder = arrived.level - spoken.level;
    let note = TestNote::Measured { spoken_ms: spoken.duration_ms, arrived_ms: arrived.duration_ms, louder };
    let is_alike = spoken.duration_ms.abs_diff(arrived.duration_ms) <= LENGTH_MS && louder.unsigned_abs() <= LEVEL;
    if is_alike { Verdict::Done(Some(note)) } else { Verdict::Failed(note) }
}

fn notified(seen: &TestCallSeen) -> Verdict {
    match seen.quiet {
        _ if seen.notified => Verdict::Done(None),
        Some(note) => Verdict::Skipped(note),
        None if seen.over && seen.message.is_some() => Verdict::Failed(TestNote::NotShown),
        None => Verdict::Open(None),
    }
}

#[cfg(test)]
mod tests {
    use aftertone_model::{Reason, Timestamp};
    use aftertone_sync::TestCallGreeting;

    use super::*;
    use TestStepState::{Done, Failed, Running, Skipped, Waiting};

    const SPOKEN: TestCallSound = TestCallSound { duration_ms: 5_500, level: -200 };

    fn call(stage: TestCallStage) -> TestCall {
        let from = |least: TestCallStage| stage >= least;
        let greeting = TestCallGreeting { sound: TestCallSound { duration_ms: 7_400, level: -195 }, own: false, lost: false };
        TestCall {
            started_at: Timestamp::UNIX_EPOCH,
            stage,
            call: from(TestCallStage::Ringing).then(|| aftertone_model::CallId::from_random(1)),
            rang: from(TestCallStage::Ringing),
            quiet: None,
            reason: from(TestCallStage::Greeting).then_some(Reason::NoAnswer),
            greeting: from(TestCallStage::Speaking).then_some(greeting),
            spoken: from(TestCallStage::Speaking).then_some(SPOKEN),
            message: from(TestCallStage::Over).then(|| MessageId::from_random(2)),
            failure: None,
            status: None,
        }
    }

    fn seen(arrived: bool) -> TestCallSeen {
        TestCallSeen { rang: true, message: arrived.then(|| MessageId::from_random(2)), ..TestCallSeen::default() }
    }

    fn check(call: &TestCall, seen: &TestCallSeen, state: TestCallState, steps: [TestStepState; 7]) -> TestCallView {
        let view = TestCallView::new(call, seen);
        let found: Vec<_> = view.steps.iter().map(|step| step.state).collect();
        assert_eq!((view.state, found.as_slice()), (state, steps.as_slice()), "{view:?}");
        view
    }

    fn note(view: &TestCallView, at: usize) -> Option<TestNote> {
        view.steps[at].note
    }

    #[test]
    fn steps_come_true_one_after_another() {
        let state = TestCallState::Running;
        let none = TestCallSeen::default();
        check(&call(TestCallStage::Calling), &none, state, [Running, Waiting, Waiting, Waiting, Waiting, Waiting, Waiting]);
        check(&call(TestCallStage::Ringing), &none, state, [Done, Running, Waiting, Waiting, Waiting, Waiting, Waiting]);
        let view =
            check(&call(TestCallStage::Ringing), &seen(false), state, [Done, Done, Running, Waiting, Waiting, Waiting, Waiting]);
        assert_eq!(note(&view, 1), Some(TestNote::LeaveIt));
        check(&call(TestCallStage::Greeting), &seen(false), state, [Done, Done, Done, Running, Waiting, Waiting, Waiting]);
        let view =
            check(&call(TestCallStage::Speaking), &seen(false), state, [Done, Done, Done, Done, Running, Waiting, Waiting]);
        assert_eq!((note(&view, 3), view.can_be_heard), (Some(TestNote::AccountGreeting { duration_ms: 7_400 }), true));
        check(&call(TestCallStage::Over), &seen(true), state, [Done, Done, Done, Done, Done, Running, Waiting]);
        // The notification may come before the sound.
        let told = TestCallSeen { notified: true, ..seen(true) };
        check(&call(TestCallStage::Over), &told, state, [Done, Done, Done, Done, Done, Running, Done]);
        let all = TestCallSeen { sound: Some(Ok(TestCallSound { duration_ms: 5_480, level: -203 })), ..told };
        let view = check(&call(TestCallStage::Over), &all, TestCallState::Passed, [Done; 7]);
        assert_eq!(note(&view, 5), Some(TestNote::Measured { spoken_ms: 5_500, arrived_ms: 5_480, louder: -3 }));
    }

    #[test]
    fn what_is_set_so_is_skipped_and_no_failure() {
        for (quiet, expected) in [
            (TestCallQuiet::DoNotDisturb, TestNote::DoNotDisturb),
            (TestCallQuiet::Rule, TestNote::Rule),
            (TestCallQuiet::NoRingTime, TestNote::NoRingTime),
        ] {
            let call = TestCall { rang: false, quiet: Some(quiet), ..call(TestCallStage::Over) };
            let seen = TestCallSeen { rang: false, sound: Some(Ok(SPOKEN)), quiet: Some(TestNote::QuietHours), ..seen(true) };
            let view = check(&call, &seen, TestCallState::Passed, [Done, Skipped, Done, Done, Done, Done, Skipped]);
            assert_eq!((note(&view, 1), note(&view, 6)), (Some(expected), Some(TestNote::QuietHours)));
        }
    }

    #[test]
    fn what_breaks_it_off_stands_at_its_step_and_nothing_is_said_of_the_rest() {
        let broken =
            |stage, failure| TestCall { failure: Some(failure), message: None, stage: TestCallStage::Over, ..call(stage) };
        let refused = TestCall { status: Some(503), ..broken(TestCallStage::Calling, TestCallFailure::Unreachable) };
        let failed = TestCallState::Failed;
        let none = TestCallSeen::default();
        let view = check(&refused, &none, failed, [Failed, Waiting, Waiting, Waiting, Waiting, Waiting, Waiting]);
        assert_eq!(note(&view, 0), Some(TestNote::Refused { status: Some(503) }));
        let answered = broken(TestCallStage::Ringing, TestCallFailure::Answered);
        let view = check(&answered, &seen(false), failed, [Done, Done, Failed, Waiting, Waiting, Waiting, Waiting]);
        assert_eq!(note(&view, 2), Some(TestNote::SomebodyAnswered));
        for (failure, expected) in [
            (TestCallFailure::MailboxFull, TestNote::MailboxFull),
            (TestCallFailure::NoRoom, TestNote::NoRoom),
            (TestCallFailure::Silent, TestNote::Silent),
            (TestCallFailure::TooLong, TestNote::TooLong),
        ] {
            let call = broken(TestCallStage::Greeting, failure);
            let view = check(&call, &seen(false), failed, [Done, Done, Done, Failed, Waiting, Waiting, Waiting]);
            assert_eq!(note(&view, 3), Some(expected));
        }
        for (failure, expected) in
            [(TestCallFailure::CutOff, TestNote::CutOff), (TestCallFailure::NotStored, TestNote::NotStored)]
        {
            let call = broken(TestCallStage::HungUp, failure);
            let view = check(&call, &seen(false), failed, [Done, Done, Done, Done, Failed, Waiting, Waiting]);
            assert_eq!(note(&view, 4), Some(expected));
        }
    }

    #[test]
    fn a_step_that_fails_on_its_own_lets_the_others_go_on() {
        let lost = TestCallGreeting { own: true, lost: true, sound: SPOKEN };
        let call = TestCall { greeting: Some(lost), ..call(TestCallStage::Over) };
        let elsewhere = TestCallSeen { rang: false, ..seen(true) };
        let view = check(&call, &elsewhere, TestCallState::Running, [Done, Failed, Done, Failed, Done, Running, Waiting]);
        assert_eq!((note(&view, 1), note(&view, 3)), (Some(TestNote::OnlyElsewhere), Some(TestNote::GreetingLost)));
        let quieter = TestCallSound { duration_ms: 2_000, level: -400 };
        let over = TestCallSeen { sound: Some(Ok(quieter)), over: true, ..elsewhere };
        let view = check(&call, &over, TestCallState::Failed, [Done, Failed, Done, Failed, Done, Failed, Failed]);
        assert_eq!(note(&view, 5), Some(TestNote::Measured { spoken_ms: 5_500, arrived_ms: 2_000, louder: -200 }));
        assert_eq!(note(&view, 6), Some(TestNote::NotShown));
        let nothing = TestCallSeen { over: true, ..seen(false) };
        let view = check(&call, &nothing, TestCallState::Failed, [Done, Done, Done, Failed, Failed, Failed, Waiting]);
        assert_eq!(note(&view, 4), Some(TestNote::NotHere));
    }
}

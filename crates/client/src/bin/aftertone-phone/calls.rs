//! Making and taking calls.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_client::{CallPhase, CallSnapshot, CommandError, Connection, Event, EventStream, News, Session, TestMessage};
use aftertone_model::CallId;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    Sound,
    files::Files,
    lines::{self, Failure, Teller, reason_code},
};

/// How long to wait for the registration.
const ONLINE_WITHIN: Duration = Duration::from_secs(20);
/// After the last word, so that it is heard at the other end.
const TAIL: Duration = Duration::from_millis(400);

/// What to do with a call that comes.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Answer { length: Option<Duration>, record: Option<PathBuf> },
    Decline,
    Ignore,
}

/// Calls `target` and waits for the end.
pub(crate) async fn call(
    session: &Session,
    events: &mut EventStream,
    files: &Files,
    target: &str,
    sound: &Sound,
    press: Option<&str>,
) -> Result<(), Failure> {
    let length = sound.length;
    let mut teller = online(events).await?;
    let call = session.dial(target).await?;
    let (mut hang_up_at, mut answered) = (None, false);
    loop {
        let Some(event) = next(session, events, files, &mut teller, call, length, hang_up_at).await? else { continue };
        teller.tell(&event);
        let Event::Call(snapshot) = event else { continue };
        if snapshot.id != call {
            continue;
        }
        match snapshot.phase {
            // Told again when the other end holds and resumes: the time runs from the answer on.
            CallPhase::Active if answered => {}
            CallPhase::Active => {
                answered = true;
                hang_up_at = length.map(|length| Instant::now() + length);
                record(session, call, sound.record_call.as_deref()).await?;
                if let Some(keys) = press {
                    tokio::spawn(press_keys(session.clone(), call, keys.to_owned()));
                }
            }
            CallPhase::Ended(_) => return Ok(()),
            CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting => {}
        }
    }
}

/// As a person would: not before the other end can listen. A mailbox plays its greeting first.
async fn press_keys(session: Session, call: CallId, keys: String) {
    sleep(Duration::from_secs(1)).await;
    for key in keys.chars() {
        if let Err(e) = session.press(call, key).await {
            lines::error(&e.into());
        }
    }
}

/// Waits for one call and deals with it.
pub(crate) async fn wait(session: &Session, events: &mut EventStream, files: &Files, what: What) -> Result<(), Failure> {
    let mut teller = online(events).await?;
    let incoming = loop {
        let event = events.next().await.ok_or_else(over)?;
        teller.tell(&event);
        if let Event::Call(call @ CallSnapshot { phase: CallPhase::Ringing, .. }) = event {
            break call;
        }
    };
    let (length, mut file) = match what {
        What::Answer { length, record } => {
            too_late_is_told(session.answer(incoming.id).await)?;
            (length, record)
        }
        What::Decline => {
            too_late_is_told(session.decline(incoming.id).await)?;
            (None, None)
        }
        What::Ignore => (None, None),
    };
    let mut hang_up_at = None;
    loop {
        let Some(event) = next(session, events, files, &mut teller, incoming.id, length, hang_up_at).await? else { continue };
        teller.tell(&event);
        let Event::Call(call) = event else { continue };
        if call.id != incoming.id {
            continue;
        }
        match call.phase {
            CallPhase::Active => {
                hang_up_at = hang_up_at.or_else(|| length.map(|length| Instant::now() + length));
                record(session, call.id, file.take().as_deref()).await?;
            }
            CallPhase::Ended(_) => return Ok(()),
            CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting => {}
        }
    }
}

/// Records both sides from now on, where that is wanted.
async fn record(session: &Session, call: CallId, file: Option<&Path>) -> Result<(), Failure> {
    match file {
        Some(file) => too_late_is_told(session.record(call, Some(file.to_owned())).await),
        None => Ok(()),
    }
}

/// A call that ended meanwhile is no failure: its end comes as an event.
fn too_late_is_told(done: Result<(), CommandError>) -> Result<(), Failure> {
    match done {
        Err(CommandError::NoSuchCall) => Ok(()),
        done => Ok(done?),
    }
}

/// Lets the built-in second phone leave a message, and waits until it is in the mailbox.
pub(crate) async fn test_message(session: &Session, events: &mut EventStream) -> Result<(), Failure> {
    let mut teller = online(events).await?;
    session.place_test_message();
    let mut hung_up = false;
    loop {
        let event =
            timeout(Duration::from_secs(120), events.next()).await.map_err(|_| Failure::new("timeout", "no message came"))?;
        let event = event.ok_or_else(over)?;
        teller.tell(&event);
        if let Event::TestMessage(TestMessage::HungUp { .. }) = event {
            hung_up = true;
        } else if let Event::TestMessage(TestMessage::Failed { detail }) = event {
            return Err(Failure::new("test_message", detail));
        } else if let Event::MessageArrived { message, news: News::Fresh } = event
            && hung_up
        {
            lines::message(&message);
            return Ok(());
        }
    }
}

/// The next event; `None` where the call was hung up instead, because its time or what was to be said is over.
async fn next(
    session: &Session,
    events: &mut EventStream,
    files: &Files,
    teller: &mut Teller,
    call: CallId,
    length: Option<Duration>,
    hang_up_at: Option<Instant>,
) -> Result<Option<Event>, Failure> {
    let said = async {
        // With `--for` what is said may end earlier or be cut off.
        if length.is_some() || files.length().is_none() {
            std::future::pending::<()>().await;
        }
        while !files.is_said() {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(TAIL).await;
    };
    let over_at = async {
        match hang_up_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        event = events.next() => return event.map(Some).ok_or_else(over),
        () = said => {}
        () = over_at => {}
    }
    // It may have ended by itself just now.
    let _ended = session.hang_up(call).await;
    loop {
        let event = events.next().await.ok_or_else(over)?;
        if let Event::Call(CallSnapshot { id, phase: CallPhase::Ended(_), .. }) = &event
            && *id == call
        {
            return Ok(Some(event));
        }
        teller.tell(&event);
    }
}

/// Waits until the device can be called.
pub(crate) async fn online(events: &mut EventStream) -> Result<Teller, Failure> {
    let mut teller = Teller::default();
    let mut last = Failure::new("connect", "not connected in time");
    let wait = async {
        while let Some(event) = events.next().await {
            if let Event::Connection(Connection::Online) = event {
                teller.tell(&event);
                return Ok(());
            } else if let Event::Connection(Connection::Offline { reason, detail, .. }) = event {
                last = Failure::new(reason_code(reason), detail);
            }
        }
        Err(())
    };
    match timeout(ONLINE_WITHIN, wait).await {
        Ok(Ok(())) => Ok(teller),
        Ok(Err(())) | Err(_) => Err(last),
    }
}

pub(crate) fn over() -> Failure {
    Failure::new("credentials", "the server signed this device out")
}

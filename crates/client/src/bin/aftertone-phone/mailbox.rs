//! Looking into the mailbox.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_client::{Connection, Event, EventStream, ForwardOutcome, PlaybackState, Played, Session};
use aftertone_model::{MessageAction, MessageId};
use clap::Subcommand;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    calls::over,
    lines::{self, Failure, Teller, reason_code},
};

/// How long to wait for the server's feed, and for the server to have what was done here.
const SYNCHRONISED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Subcommand)]
pub(crate) enum Action {
    /// One line for each message, the newest first.
    List,
    /// Play a message; it counts as heard then.
    Play {
        /// Which.
        id: MessageId,
        /// Where to write its sound: a WAV file, 48 kHz.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Give a message to others.
    Forward {
        /// Which.
        id: MessageId,
        /// User names or extensions.
        #[arg(long, value_delimiter = ',', required = true)]
        to: Vec<String>,
        /// A note for them.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Move a message to the trash.
    Delete {
        /// Which.
        id: MessageId,
    },
    /// Take a message out of the trash.
    Restore {
        /// Which.
        id: MessageId,
    },
    /// Tell what comes and changes, until the program is ended.
    Watch,
}

impl Action {
    pub(crate) fn record(&self) -> Option<&Path> {
        match self {
            Self::Play { record, .. } => record.as_deref(),
            Self::List | Self::Forward { .. } | Self::Delete { .. } | Self::Restore { .. } | Self::Watch => None,
        }
    }
}

pub(crate) async fn perform(session: &Session, events: &mut EventStream, action: Action) -> Result<(), Failure> {
    if let Action::Watch = action {
        return watch(events).await;
    }
    caught_up(events).await?;
    match action {
        Action::List => {
            session.messages().await?.iter().for_each(lines::message);
            Ok(())
        }
        Action::Play { id, .. } => play(session, events, id).await,
        Action::Forward { id, to, note } => {
            match session.forward(id, to, note).await? {
                ForwardOutcome::Delivered(forwarded) => {
                    for (party, message) in forwarded.delivered {
                        let told = json!({ "id": id.to_string(), "to": party.number, "message": message.to_string() });
                        lines::line("forwarded", told);
                    }
                }
                ForwardOutcome::Waits => lines::line("forward_waits", json!({ "id": id.to_string() })),
            }
            Ok(())
        }
        Action::Delete { id } => act(session, events, id, MessageAction::Delete).await,
        Action::Restore { id } => act(session, events, id, MessageAction::Restore).await,
        Action::Watch => Ok(()),
    }
}

/// What is there at the start is not told, only what comes after it.
async fn watch(events: &mut EventStream) -> Result<(), Failure> {
    let (mut caught_up, mut teller) = (false, Teller::default());
    loop {
        let event = events.next().await.ok_or_else(over)?;
        teller.tell(&event);
        if !caught_up {
            if let Event::CaughtUp = event {
                caught_up = true;
                lines::line("connected", json!({}));
            }
        } else if let Event::MessageArrived { message, .. } = event {
            lines::message(&message);
        } else if let Event::MessageChanged(message) = event {
            lines::changed(&message);
        } else if let Event::MessageExpunged(id) = event {
            lines::line("changed", json!({ "id": id.to_string(), "state": "expunged" }));
        }
    }
}

async fn play(session: &Session, events: &mut EventStream, id: MessageId) -> Result<(), Failure> {
    session.play(id, 0).await?;
    loop {
        let event = events.next().await.ok_or_else(over)?;
        if let Event::MessageChanged(message) = event {
            lines::changed(&message);
        } else if let Event::Playback(playback) = event
            && playback.played == Played::Message(id)
        {
            match playback.state {
                PlaybackState::Ended => break,
                PlaybackState::Failed => return Err(Failure::new("play", "the sound can't be had or not be decoded")),
                PlaybackState::NoDevice => return Err(Failure::new("play", "no sound device takes the sound")),
                PlaybackState::Loading | PlaybackState::Playing | PlaybackState::Paused => {}
            }
        }
    }
    sent(session, events, id).await
}

async fn act(session: &Session, events: &mut EventStream, id: MessageId, action: MessageAction) -> Result<(), Failure> {
    session.act(id, action).await?;
    if let Some(message) = session.message(id).await? {
        lines::changed(&message);
    }
    sent(session, events, id).await
}

/// Waits until the server has what was done here.
async fn sent(session: &Session, events: &mut EventStream, id: MessageId) -> Result<(), Failure> {
    let sent = async {
        while session.snapshot().waiting > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SYNCHRONISED_WITHIN, sent).await.map_err(|_| Failure::new("timeout", "the server doesn't take the action"))?;
    // The refusal, if there is one, was told before the outbox was empty.
    while let Ok(Some(event)) = timeout(Duration::from_millis(50), events.next()).await {
        if let Event::ActionRefused { message, code } = event
            && message == id
        {
            return Err(Failure::new("refused", format!("{code:?}")));
        }
    }
    Ok(())
}

async fn caught_up(events: &mut EventStream) -> Result<(), Failure> {
    let mut last = Failure::new("connect", "the mailbox could not be fetched in time");
    let wait = async {
        while let Some(event) = events.next().await {
            if let Event::CaughtUp = event {
                return Ok(());
            } else if let Event::Connection(Connection::Offline { reason, detail, .. }) = event {
                last = Failure::new(reason_code(reason), detail);
            }
        }
        Err(())
    };
    match timeout(SYNCHRONISED_WITHIN, wait).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) | Err(_) => Err(last),
    }
}

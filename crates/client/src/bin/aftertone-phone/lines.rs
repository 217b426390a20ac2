//! The lines on standard output.

use std::{collections::BTreeSet, fmt::Display, io::Write};

use aftertone_client::{
    CallPhase, CallQuality, CallRecording, CallSnapshot, CommandError, Connection, Event, MediaPath, OfflineReason,
    RecordingState, SignInError, TestMessage,
};
use aftertone_model::{CallId, Direction, Message, Timestamp};
use serde_json::{Value, json};

/// What ends the program with a failure.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    detail: String,
}

impl Failure {
    pub(crate) fn new(code: &str, detail: impl Display) -> Self {
        Self { code: code.into(), detail: detail.to_string() }
    }
}

impl From<SignInError> for Failure {
    fn from(error: SignInError) -> Self {
        let code = match &error {
            SignInError::Server(_) => "invalid_server",
            SignInError::WrongCredentials => "wrong_credentials",
            SignInError::RateLimited(_) => "rate_limited",
            SignInError::Unreachable { reason, .. } => reason_code(*reason),
            SignInError::Secret(_) | SignInError::Storage(_) => "storage",
        };
        Self::new(code, error)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::Over => "over".into(),
            CommandError::Offline { reason, .. } => reason_code(*reason).into(),
            CommandError::NoSuchCall => "no_such_call".into(),
            CommandError::NotAllowed => "not_allowed".into(),
            CommandError::InvalidTarget => "invalid_target".into(),
            CommandError::NoSuchMessage => "no_such_message".into(),
            CommandError::Refused { code, .. } => word(code),
            CommandError::Storage(_) => "storage".into(),
            CommandError::NoSound(_) => "no_sound".into(),
        };
        Self { code, detail: error.to_string() }
    }
}

pub(crate) fn reason_code(reason: OfflineReason) -> &'static str {
    match reason {
        OfflineReason::Dns => "dns",
        OfflineReason::Connect => "connect",
        OfflineReason::Tls => "tls",
        OfflineReason::Credentials => "credentials",
        OfflineReason::Server => "server",
    }
}

/// Writes one event. A reader that is gone ends nothing: the program still has to sign out.
pub(crate) fn line(event: &str, fields: Value) {
    let mut line = json!({ "event": event, "at": Timestamp::now().to_string() });
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
        line.extend(fields);
    }
    let mut out = std::io::stdout().lock();
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub(crate) fn error(failure: &Failure) {
    line("error", json!({ "code": failure.code, "detail": failure.detail }));
}

/// Tells what calls go through, and the connection.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    /// A call is answered once, however often it is held, muted or moved after that.
    answered: BTreeSet<CallId>,
}

impl Teller {
    pub(crate) fn tell(&mut self, event: &Event) {
        match event {
            Event::Connection(Connection::Online) => line("registered", json!({})),
            Event::Connection(Connection::Offline { reason, detail, .. }) => {
                error(&Failure::new(reason_code(*reason), detail));
            }
            Event::Call(call) => self.call(call),
            Event::Quality(quality) => quality_line(quality),
            Event::Recording(recording) => recording_line(recording),
            Event::SignedOut { by_us: false } => error(&Failure::new("credentials", "the server signed this device out")),
            Event::TestMessage(state) => test_line(state),
            Event::Connection(Connection::Connecting)
            | Event::MessageArrived { .. }
            | Event::MessageChanged(_)
            | Event::MessageExpunged(_)
            | Event::CallRecord { .. }
            | Event::GreetingsChanged
            | Event::RoomChanged(_)
            | Event::CaughtUp
            | Event::AudioCached(_)
            | Event::ActionRefused { .. }
            | Event::Playback(_)
            | Event::SignedOut { by_us: true } => {}
        }
    }

    fn call(&mut self, call: &CallSnapshot) {
        let id = call.id.to_string();
        match (call.direction, call.phase) {
            (Direction::Incoming, CallPhase::Ringing) => {
                line("incoming", json!({ "call": id, "from": call.party.number, "name": call.party.name }));
            }
            (Direction::Outgoing, CallPhase::Dialing) => line("dialing", json!({ "call": id, "to": call.party.number })),
            (Direction::Outgoing, CallPhase::Ringing) => line("ringing", json!({ "call": id })),
            (_, CallPhase::Active) => {
                if self.answered.insert(call.id) {
                    line("answered", json!({ "call": id }));
                }
            }
            (_, CallPhase::Ended(reason)) => {
                if call.is_missed() {
                    line("missed", json!({ "call": id, "from": call.party.number, "name": call.party.name }));
                }
                line("ended", json!({ "call": id, "reason": word(&reason) }));
            }
            (_, CallPhase::Connecting | CallPhase::Dialing) => {}
        }
    }
}

/// The figures of the last second.
fn quality_line(quality: &CallQuality) {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let path = match quality.path {
        MediaPath::Direct => "direct",
        MediaPath::Relayed => "relayed",
    };
    let sent = quality
        .sent
        .map(|sent| json!({ "loss_permille": sent.loss_permille, "jitter_ms": ms(sent.jitter), "bitrate": sent.bitrate }));
    line(
        "quality",
        json!({
            "call": quality.call.to_string(), "codec": quality.codec.to_string(), "path": path,
            "loss_permille": quality.loss_permille, "jitter_ms": ms(quality.jitter),
            "round_trip_ms": quality.round_trip.map(ms), "delay_ms": ms(quality.delay),
            "mos": (quality.mos * 100.0).round() / 100.0, "one_way": quality.one_way,
            "unheard": quality.unheard, "sent": sent,
        }),
    );
}

fn recording_line(recording: &CallRecording) {
    let (state, detail) = match &recording.state {
        RecordingState::Running => ("running", None),
        RecordingState::Done => ("done", None),
        RecordingState::Failed { detail } => ("failed", Some(detail)),
    };
    line("recording", json!({ "call": recording.call.to_string(), "file": recording.file, "state": state, "detail": detail }));
}

fn test_line(state: &TestMessage) {
    let (state, call) = match state {
        TestMessage::Calling => ("calling", None),
        TestMessage::Greeting => ("greeting", None),
        TestMessage::Speaking => ("speaking", None),
        TestMessage::HungUp { call } => ("hung_up", *call),
        TestMessage::Failed { .. } => ("failed", None),
    };
    line("test_message", json!({ "state": state, "call": call.map(|call| call.to_string()) }));
}

pub(crate) fn message(message: &Message) {
    let envelope = &message.envelope;
    line(
        "message",
        json!({
            "id": envelope.id.to_string(),
            "from": envelope.caller.number,
            "name": envelope.caller.name,
            "duration_s": message.duration_ms as f64 / 1_000.0,
            "state": word(&message.state),
            "reason": word(&envelope.reason),
            "received_at": envelope.received_at.to_string(),
            "call": envelope.call.to_string(),
            "urgent": envelope.urgent,
            "private": envelope.private,
            "call_back": envelope.call_back,
            "interrupted": message.interrupted,
            "forwarded": message.forwarded.as_ref().map(|note| json!({ "from": note.from.number, "note": note.note })),
        }),
    );
}

pub(crate) fn changed(message: &Message) {
    line("changed", json!({ "id": message.envelope.id.to_string(), "state": word(&message.state) }));
}

/// The word that the wire has for it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

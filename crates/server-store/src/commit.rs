//! The writes that touch several tables. Each runs in one transaction, which its caller opens and commits.

use aftertone_model::{
    CallFigures, CallId, CallRecord, ForwardNote, MeasuredCall, MediaPath, Message, MessageAction, MessageId, MessageState,
    SubscriberId, Timestamp,
};
use aftertone_sync::{FiguresBody, Forwarded, IdempotencyKey};
use sqlx::SqliteConnection;

use crate::{
    Acted, Committed, Fate, FinishedRecording, ForwardOrder, ForwardOutcome, Lookup, Replaced, Reported, Sound, StoreError,
    blobs, call_records,
    columns::word,
    feed, holds,
    idempotency::{self, Known},
    jobs, keeping,
    messages::{self, StoredMessage},
    store::as_caller,
    users,
};

/// {blob, message, call record, their changes, jobs}
pub(crate) async fn recording(connection: &mut SqliteConnection, recording: FinishedRecording) -> Result<Committed, StoreError> {
    let FinishedRecording { envelope, sound, mut record, interrupted, jobs: work } = recording;
    let (id, mailbox) = (envelope.id, envelope.mailbox);
    match messages::fate(connection, id).await? {
        Fate::Unknown => {}
        Fate::Expunged => return Ok(Committed::Expunged),
        Fate::Held => {
            let held = messages::get(connection, mailbox, id).await?.found();
            return held.map(|stored| Committed::Already(stored.message)).ok_or(StoreError::Corrupt("mailbox"));
        }
    }
    blobs::add(connection, &sound).await?;
    let message = Message {
        envelope,
        duration_ms: sound.duration_ms,
        state: MessageState::New,
        peaks: sound.peaks,
        media_type: sound.media_type,
        forwarded: None,
        interrupted,
    };
    messages::insert(connection, &message, &sound.content).await?;
    feed::message_changed(connection, mailbox, id).await?;
    // Nobody called whose call could have been missed.
    if !message.envelope.test {
        record.message = Some(id);
        call_record(connection, &record).await?;
    }
    jobs::add(connection, &work).await?;
    keeping::tell(connection, mailbox).await?;
    Ok(Committed::Added(message))
}

/// {call record, its figures if they are known by then, the change}
pub(crate) async fn call_record(connection: &mut SqliteConnection, record: &CallRecord) -> Result<(), StoreError> {
    let CallRecord { call, owner, direction, figures, .. } = record;
    call_records::upsert(&mut *connection, record).await?;
    if let Some(figures) = figures.clone() {
        let measured = MeasuredCall { call: *call, owner: *owner, direction: *direction, figures };
        call_records::note_figures(&mut *connection, &measured).await?;
    }
    feed::call_record_changed(connection, *owner, &call_records::thing(*call, *direction)).await
}

/// {figures, the change of their record}; whether that is there.
pub(crate) async fn figures(connection: &mut SqliteConnection, measured: &MeasuredCall) -> Result<bool, StoreError> {
    call_records::note_figures(&mut *connection, measured).await?;
    let thing = call_records::thing(measured.call, measured.direction);
    let is_logged = call_records::get(connection, measured.owner, &thing).await?.is_some();
    if is_logged {
        feed::call_record_changed(connection, measured.owner, &thing).await?;
    }
    Ok(is_logged)
}

/// {figures, the change of their record}, where the record says that the sound went directly.
pub(crate) async fn reported_figures(
    connection: &mut SqliteConnection,
    owner: SubscriberId,
    call: CallId,
    body: FiguresBody,
) -> Result<Reported, StoreError> {
    let FiguresBody { direction, inbound, outbound, round_trip_ms } = body;
    let record = call_records::get(connection, owner, &call_records::thing(call, direction)).await?;
    let Some(record) = record else { return Ok(Reported::NotFound) };
    let known = record.figures.filter(|figures| figures.path == MediaPath::Direct);
    let Some(known) = known else { return Ok(Reported::Measured) };
    let reported = CallFigures { inbound, outbound, round_trip_ms, ..known };
    figures(connection, &MeasuredCall { call, owner, direction, figures: reported }).await?;
    Ok(Reported::Noted)
}

pub(crate) async fn act(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    id: MessageId,
    action: MessageAction,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Acted, StoreError> {
    let request = format!("{} {id}", word(action));
    let known = idempotency::look_up(&mut *connection, mailbox, key, &request).await?;
    let stored = match (known, messages::get(connection, mailbox, id).await?) {
        (Known::Other, _) => return Ok(Acted::KeyReused),
        (Known::Repeated(_), Lookup::Found(stored)) => return Ok(Acted::Message(stored.message)),
        (Known::Repeated(_), Lookup::Gone) if action == MessageAction::Expunge => return Ok(Acted::Expunged),
        (Known::Fresh | Known::Repeated(_), Lookup::Gone) => return Ok(Acted::Gone),
        (Known::Fresh | Known::Repeated(_), Lookup::NotFound) => return Ok(Acted::NotFound),
        (Known::Fresh, Lookup::Found(stored)) => stored,
    };
    idempotency::remember(&mut *connection, mailbox, key, &request, "", now).await?;
    let standing = stored.standing;
    let Some(after) = standing.after(action) else {
        expunge(connection, stored, now).await?;
        keeping::tell(connection, mailbox).await?;
        return Ok(Acted::Expunged);
    };
    if after != standing {
        messages::set_standing(&mut *connection, id, after, now).await?;
        feed::message_changed(connection, mailbox, id).await?;
        keeping::tell(connection, mailbox).await?;
    }
    Ok(Acted::Message(Message { state: after.state(), ..stored.message }))
}

/// Ends a message, for its owner at least: what is held is put aside.
pub(crate) async fn expunge(connection: &mut SqliteConnection, stored: StoredMessage, now: Timestamp) -> Result<(), StoreError> {
    let (mailbox, id) = (stored.message.envelope.mailbox, stored.message.envelope.id);
    holds::withhold(connection, &stored, now).await?;
    messages::expunge(connection, mailbox, id, now).await?;
    blobs::release(connection, &stored.content).await?;
    feed::message_changed(connection, mailbox, id).await
}

pub(crate) async fn forward(
    connection: &mut SqliteConnection,
    order: ForwardOrder,
    sound: Option<&Sound>,
    now: Timestamp,
) -> Result<ForwardOutcome, StoreError> {
    let ForwardOrder { mailbox, message, mut to, note, key, sound: _ } = order;
    to.sort();
    to.dedup();
    let request = serde_json::to_string(&("forward", message, &to, &note)).map_err(|_| StoreError::Corrupt("request"))?;
    match idempotency::look_up(&mut *connection, mailbox, &key, &request).await? {
        Known::Other => return Ok(ForwardOutcome::KeyReused),
        Known::Repeated(response) => {
            let first = serde_json::from_str(&response).map_err(|_| StoreError::Corrupt("response"))?;
            return Ok(ForwardOutcome::Done(first));
        }
        Known::Fresh => {}
    }
    let mut stored = match messages::get(connection, mailbox, message).await? {
        Lookup::Found(stored) => stored,
        Lookup::Gone => return Ok(ForwardOutcome::Gone),
        Lookup::NotFound => return Ok(ForwardOutcome::NotFound),
    };
    if stored.message.envelope.private {
        return Ok(ForwardOutcome::Private);
    }
    let mut recipients = Vec::with_capacity(to.len());
    for id in to {
        let Some(recipient) = users::get(&mut *connection, id).await? else { return Ok(ForwardOutcome::UnknownRecipient) };
        recipients.push(recipient);
    }
    let owner = users::get(&mut *connection, mailbox).await?.ok_or(StoreError::Corrupt("mailbox"))?;
    if let Some(sound) = sound {
        blobs::add(connection, sound).await?;
        stored.content.clone_from(&sound.content);
        stored.message.peaks.clone_from(&sound.peaks);
        stored.message.media_type.clone_from(&sound.media_type);
        stored.message.duration_ms = sound.duration_ms;
    }
    let note = ForwardNote { from: as_caller(&owner), at: now, note };
    let mut delivered = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let id = deliver(connection, &stored, recipient.id, note.clone()).await?;
        delivered.push((as_caller(&recipient), id));
    }
    let done = Forwarded { delivered };
    let response = serde_json::to_string(&done).map_err(|_| StoreError::Corrupt("response"))?;
    idempotency::remember(&mut *connection, mailbox, &key, &request, &response, now).await?;
    Ok(ForwardOutcome::Done(done))
}

/// A copy in another mailbox, of the same blob.
async fn deliver(
    connection: &mut SqliteConnection,
    stored: &StoredMessage,
    to: SubscriberId,
    note: ForwardNote,
) -> Result<MessageId, StoreError> {
    let id = MessageId::from_random(rand::random());
    let mut copy = stored.message.clone();
    copy.envelope.id = id;
    copy.envelope.mailbox = to;
    copy.state = MessageState::New;
    copy.forwarded = Some(note);
    messages::insert(connection, &copy, &stored.content).await?;
    feed::message_changed(connection, to, id).await?;
    keeping::tell(connection, to).await?;
    Ok(id)
}

/// The announced file becomes the sound of every message of `from`, unless `message` has gone or has another one by now, or
/// a legal hold keeps what was recorded.
pub(crate) async fn replace_sound(
    connection: &mut SqliteConnection,
    message: MessageId,
    from: &str,
    sound: &Sound,
    loudness_clufs: Option<i32>,
) -> Result<Replaced, StoreError> {
    if messages::content(&mut *connection, message).await?.as_deref() != Some(from) || sound.content == from {
        return Ok(Replaced::Gone);
    }
    if holds::holds_content(&mut *connection, from).await? {
        return Ok(Replaced::Gone);
    }
    blobs::unlinked(&mut *connection, &sound.file).await?;
    blobs::add(connection, sound).await?;
    blobs::set_loudness(&mut *connection, &sound.content, loudness_clufs).await?;
    let mut mailboxes = Vec::new();
    for (mailbox, id) in messages::change_content(&mut *connection, from, &sound.content, &sound.media_type).await? {
        feed::message_changed(connection, mailbox, id).await?;
        mailboxes.push(mailbox);
    }
    blobs::release(connection, from).await?;
    Ok(Replaced::Done(mailboxes))
}

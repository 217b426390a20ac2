use aftertone_model::{Caller, Envelope, Message, MessageId, MessageState, Standing, SubscriberId, Timestamp};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    Fate, Lookup, MailboxCounts, StoreError,
    columns::{Columns, int, json, ns, word},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE messages (
        id TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL REFERENCES subscribers (id),
        call TEXT NOT NULL,
        caller_number TEXT NOT NULL,
        caller_name TEXT NOT NULL,
        received_ns INTEGER NOT NULL,
        arrived_ns INTEGER NOT NULL, -- in this mailbox: of a forwarded one, when it was forwarded
        reason TEXT NOT NULL,
        urgent INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,
        kept TEXT NOT NULL,          -- new, heard or saved: also what lies under a deletion
        deleted INTEGER NOT NULL,
        peaks BLOB NOT NULL,
        content TEXT NOT NULL REFERENCES blobs (content),
        media_type TEXT NOT NULL,
        forwarded TEXT NOT NULL,     -- JSON of the note, or ''
        interrupted INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_mailbox ON messages (mailbox, arrived_ns, id);
    CREATE INDEX messages_by_content ON messages (content);
    -- What was expunged. It stays, so that no crash and no late device brings a message back.
    CREATE TABLE tombstones (
        message TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL,
        expunged_ns INTEGER NOT NULL
    ) STRICT;
";

/// What callers say of their messages once they are spoken.
pub(crate) const SCHEMA_MARKS: &str = "
    ALTER TABLE messages ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN call_back TEXT NOT NULL DEFAULT ''; -- the number to call back, or ''
";

/// Test calls leave messages too.
pub(crate) const SCHEMA_TESTS: &str = "
    ALTER TABLE messages ADD COLUMN test INTEGER NOT NULL DEFAULT 0;
";

/// A message with what its owner doesn't see.
pub(crate) struct StoredMessage {
    pub(crate) message: Message,
    pub(crate) standing: Standing,
    pub(crate) content: String,
}

pub(crate) fn from_row(row: &SqliteRow) -> Result<StoredMessage, StoreError> {
    let standing = Standing::stored(row.word_as::<MessageState>("kept")?, row.flag("deleted")?);
    let envelope = Envelope {
        id: row.parsed("id")?,
        call: row.parsed("call")?,
        mailbox: row.parsed("mailbox")?,
        caller: Caller { number: row.string("caller_number")?, name: row.maybe_string("caller_name")? },
        received_at: row.time("received_ns")?,
        reason: row.word_as("reason")?,
        urgent: row.flag("urgent")?,
        private: row.flag("private")?,
        call_back: row.maybe_string("call_back")?,
        test: row.flag("test")?,
    };
    let message = Message {
        envelope,
        duration_ms: row.count("duration_ms")?,
        state: standing.state(),
        peaks: row.get_as("peaks")?,
        media_type: row.string("media_type")?,
        forwarded: row.maybe_json("forwarded")?,
        interrupted: row.flag("interrupted")?,
    };
    Ok(StoredMessage { message, standing, content: row.string("content")? })
}

pub(crate) async fn insert(connection: &mut SqliteConnection, message: &Message, content: &str) -> Result<(), StoreError> {
    let Message { envelope, duration_ms, state: _, peaks, media_type, forwarded, interrupted } = message;
    let arrived = forwarded.as_ref().map_or(envelope.received_at, |note| note.at);
    sqlx::query(
        "INSERT INTO messages (id, mailbox, call, caller_number, caller_name, received_ns, arrived_ns, reason, urgent,
            duration_ms, kept, deleted, peaks, content, media_type, forwarded, interrupted,
            private, call_back, test)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(envelope.id.to_string())
    .bind(envelope.mailbox.to_string())
    .bind(envelope.call.to_string())
    .bind(&envelope.caller.number)
    .bind(envelope.caller.name.as_deref().unwrap_or_default())
    .bind(ns(envelope.received_at))
    .bind(ns(arrived))
    .bind(word(envelope.reason))
    .bind(i64::from(envelope.urgent))
    .bind(int(*duration_ms))
    .bind(word(MessageState::New))
    .bind(peaks.as_slice())
    .bind(content)
    .bind(media_type)
    .bind(json(forwarded.as_ref()))
    .bind(i64::from(*interrupted))
    .bind(i64::from(envelope.private))
    .bind(envelope.call_back.as_deref().unwrap_or_default())
    .bind(i64::from(envelope.test))
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn get(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    id: MessageId,
) -> Result<Lookup<StoredMessage>, StoreError> {
    let row = sqlx::query("SELECT * FROM messages WHERE id = ? AND mailbox = ?")
        .bind(id.to_string())
        .bind(mailbox.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = row {
        return from_row(&row).map(Lookup::Found);
    }
    let tombstone = sqlx::query("SELECT 1 FROM tombstones WHERE message = ? AND mailbox = ?")
        .bind(id.to_string())
        .bind(mailbox.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(if tombstone.is_some() { Lookup::Gone } else { Lookup::NotFound })
}

pub(crate) async fn fate(connection: &mut SqliteConnection, id: MessageId) -> Result<Fate, StoreError> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1) AS held,
                EXISTS (SELECT 1 FROM tombstones WHERE message = ?1) AS expunged",
    )
    .bind(id.to_string())
    .fetch_one(connection)
    .await?;
    Ok(match (row.flag("held")?, row.flag("expunged")?) {
        (true, _) => Fate::Held,
        (false, true) => Fate::Expunged,
        (false, false) => Fate::Unknown,
    })
}

pub(crate) async fn set_standing(
    executor: impl SqliteExecutor<'_>,
    id: MessageId,
    standing: Standing,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE messages SET kept = ?, deleted = ?, since_ns = ? WHERE id = ?")
        .bind(word(standing.kept()))
        .bind(i64::from(standing.state() == MessageState::Deleted))
        .bind(ns(now))
        .bind(id.to_string())
        .execute(executor)
        .await?;
    Ok(())
}

/// The tombstone is written in the same transaction, and before the sound is unlinked.
pub(crate) async fn expunge(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    id: MessageId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO tombstones (message, mailbox, expunged_ns) VALUES (?, ?, ?)")
        .bind(id.to_string())
        .bind(mailbox.to_string())
        .bind(ns(now))
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM messages WHERE id = ?").bind(id.to_string()).execute(connection).await?;
    Ok(())
}

/// The content of a message, whoever's it is.
pub(crate) async fn content(executor: impl SqliteExecutor<'_>, id: MessageId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT content FROM messages WHERE id = ?").bind(id.to_string()).fetch_optional(executor).await?;
    row.map(|row| row.string("content")).transpose()
}

/// Gives every message of one content another one; which they are.
pub(crate) async fn change_content(
    executor: impl SqliteExecutor<'_>,
    from: &str,
    to: &str,
    media_type: &str,
) -> Result<Vec<(SubscriberId, MessageId)>, StoreError> {
    let rows = sqlx::query("UPDATE messages SET content = ?, media_type = ? WHERE content = ? RETURNING mailbox, id")
        .bind(to)
        .bind(media_type)
        .bind(from)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| Ok((row.parsed("mailbox")?, row.parsed("id")?))).collect()
}

pub(crate) async fn page(
    executor: impl SqliteExecutor<'_>,
    mailbox: SubscriberId,
    before: Option<(Timestamp, MessageId)>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let (before_ns, before_id) = before.map_or((i64::MAX, String::from("~")), |(at, id)| (ns(at), id.to_string()));
    let rows = sqlx::query(
        "SELECT * FROM messages WHERE mailbox = ? AND (arrived_ns, id) < (?, ?) ORDER BY arrived_ns DESC, id DESC LIMIT ?",
    )
    .bind(mailbox.to_string())
    .bind(before_ns)
    .bind(before_id)
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    rows.iter().map(|row| Ok(from_row(row)?.message)).collect()
}

pub(crate) async fn counts(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId) -> Result<MailboxCounts, StoreError> {
    let row = sqlx::query(
        "SELECT coalesce(sum(kept = ?2), 0) AS new, coalesce(sum(kept <> ?2), 0) AS old,
                coalesce(sum(kept = ?2 AND urgent), 0) AS new_urgent, coalesce(sum(kept <> ?2 AND urgent), 0) AS old_urgent
         FROM messages WHERE mailbox = ?1 AND deleted = 0",
    )
    .bind(mailbox.to_string())
    .bind(word(MessageState::New))
    .fetch_one(executor)
    .await?;
    let count = |column| Ok::<_, StoreError>(u32::try_from(row.count(column)?).unwrap_or(u32::MAX));
    Ok(MailboxCounts {
        new: count("new")?,
        old: count("old")?,
        new_urgent: count("new_urgent")?,
        old_urgent: count("old_urgent")?,
    })
}

//! Legal holds: while one is on a mailbox or on a message, nothing of it is lost. Its owner sees what they expunge as gone; the
//! row and the sound are put aside here, and go when the hold is lifted.

use aftertone_model::{Message, MessageId, SubscriberId, Timestamp};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError, blobs,
    columns::{Columns, json, ns},
    keeping,
    messages::StoredMessage,
};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE holds (
        mailbox TEXT NOT NULL REFERENCES subscribers (id),
        message TEXT NOT NULL, -- '' for everything in it
        placed_ns INTEGER NOT NULL,
        PRIMARY KEY (mailbox, message)
    ) STRICT;
    -- What a hold keeps of messages that are expunged for everybody else.
    CREATE TABLE withheld (
        id TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL,
        content TEXT NOT NULL REFERENCES blobs (content),
        message TEXT NOT NULL, -- JSON, as its owner saw it last
        expunged_ns INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX withheld_by_mailbox ON withheld (mailbox, id);
    CREATE INDEX withheld_by_content ON withheld (content);
";

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// Everything in a mailbox, now and later.
    Mailbox,
    /// One message.
    Message(MessageId),
}

/// A message that only a hold keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// As its owner saw it last.
    pub message: Message,
    /// When it went for its owner.
    pub expunged_at: Timestamp,
    /// Its sound, relative to the folder of the blobs.
    pub file: String,
}

fn column(held: Held) -> String {
    match held {
        Held::Mailbox => String::new(),
        Held::Message(id) => id.to_string(),
    }
}

/// Whether a message is held, by itself or with its mailbox.
pub(crate) async fn holds(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId, id: MessageId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM holds WHERE mailbox = ? AND message IN ('', ?)")
        .bind(mailbox.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    Ok(row.is_some())
}

/// Whether the sound of a content is that of a held message: then it stays as it is.
pub(crate) async fn holds_content(executor: impl SqliteExecutor<'_>, content: &str) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM withheld WHERE content = ?1)
            OR EXISTS (SELECT 1 FROM messages JOIN holds ON holds.mailbox = messages.mailbox
                        AND holds.message IN ('', messages.id) WHERE messages.content = ?1) AS held",
    )
    .bind(content)
    .fetch_one(executor)
    .await?;
    row.flag("held")
}

/// What is held of a mailbox.
pub(crate) async fn of(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId) -> Result<Vec<Held>, StoreError> {
    let rows = sqlx::query("SELECT message FROM holds WHERE mailbox = ? ORDER BY message")
        .bind(mailbox.to_string())
        .fetch_all(executor)
        .await?;
    let read = |row: &SqliteRow| match row.maybe_string("message")? {
        None => Ok(Held::Mailbox),
        Some(_) => row.parsed("message").map(Held::Message),
    };
    rows.iter().map(read).collect()
}

/// Puts aside what is about to be expunged, if it is held.
pub(crate) async fn withhold(
    connection: &mut SqliteConnection,
    stored: &StoredMessage,
    now: Timestamp,
) -> Result<(), StoreError> {
    let envelope = &stored.message.envelope;
    if !holds(&mut *connection, envelope.mailbox, envelope.id).await? {
        return Ok(());
    }
    tracing::info!(message = %envelope.id, mailbox = %envelope.mailbox, "an expunged message is kept by a legal hold");
    sqlx::query("INSERT INTO withheld (id, mailbox, content, message, expunged_ns) VALUES (?, ?, ?, ?, ?)")
        .bind(envelope.id.to_string())
        .bind(envelope.mailbox.to_string())
        .bind(&stored.content)
        .bind(json(Some(&stored.message)))
        .bind(ns(now))
        .execute(connection)
        .await?;
    Ok(())
}

/// Places a hold; false if it is there already.
pub(crate) async fn place(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    held: Held,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT INTO holds (mailbox, message, placed_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(mailbox.to_string())
        .bind(column(held))
        .bind(ns(now))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    keeping::note(&mut *connection, mailbox, &format!("legal hold placed on {}", named(held)), now).await?;
    Ok(true)
}

/// Lifts a hold, and lets go what it alone kept; false if there is none.
pub(crate) async fn lift(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    held: Held,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM holds WHERE mailbox = ? AND message = ?")
        .bind(mailbox.to_string())
        .bind(column(held))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let rows = sqlx::query(
        "DELETE FROM withheld WHERE mailbox = ?1
            AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.mailbox = ?1 AND holds.message IN ('', withheld.id))
         RETURNING content",
    )
    .bind(mailbox.to_string())
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        blobs::release(connection, &row.string("content")?).await?;
    }
    let what = format!("legal hold lifted from {}; {} expunged messages are gone by that", named(held), rows.len());
    keeping::note(&mut *connection, mailbox, &what, now).await?;
    Ok(true)
}

fn named(held: Held) -> String {
    match held {
        Held::Mailbox => "the mailbox".into(),
        Held::Message(id) => format!("the message {id}"),
    }
}

/// What only holds keep of a mailbox, in the order in which it was expunged.
pub(crate) async fn withheld(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId) -> Result<Vec<Withheld>, StoreError> {
    let rows = sqlx::query(
        "SELECT withheld.message, withheld.expunged_ns, blobs.file FROM withheld JOIN blobs ON blobs.content = withheld.content
         WHERE mailbox = ? ORDER BY expunged_ns, withheld.id",
    )
    .bind(mailbox.to_string())
    .fetch_all(executor)
    .await?;
    let read = |row: &SqliteRow| {
        let message = row.maybe_json("message")?.ok_or(StoreError::Corrupt("message"))?;
        Ok(Withheld { message, expunged_at: row.time("expunged_ns")?, file: row.string("file")? })
    };
    rows.iter().map(read).collect()
}

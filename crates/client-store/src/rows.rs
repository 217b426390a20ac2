//! The tables, and their rows. Things are kept as the wire gave them (JSON), with what is searched and sorted by beside.

use aftertone_model::{CallId, CallRecord, Message, MessageId};
use aftertone_sync::{IdempotencyKey, Pending};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::StoreError;

/// Made where they aren't there yet; later versions only add.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS messages (
    id TEXT NOT NULL PRIMARY KEY,
    received_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (received_at DESC, id);
CREATE TABLE IF NOT EXISTS call_records (
    call TEXT NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS call_records_by_time ON call_records (started_at DESC, call);
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    message TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS kept (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

type Result<T> = std::result::Result<T, StoreError>;

fn from_json<T: DeserializeOwned>(row: &SqliteRow) -> Result<T> {
    Ok(serde_json::from_str(row.try_get("body")?)?)
}

pub(crate) async fn message(db: &mut SqliteConnection, id: MessageId) -> Result<Option<Message>> {
    let row = sqlx::query("SELECT body FROM messages WHERE id = ?").bind(id.to_string()).fetch_optional(db).await?;
    row.as_ref().map(from_json).transpose()
}

/// The newest first.
pub(crate) async fn messages(db: &mut SqliteConnection) -> Result<Vec<Message>> {
    let rows = sqlx::query("SELECT body FROM messages ORDER BY received_at DESC, id").fetch_all(db).await?;
    rows.iter().map(from_json).collect()
}

pub(crate) async fn message_ids(db: &mut SqliteConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("SELECT id FROM messages").fetch_all(db).await?)
}

pub(crate) async fn put_message(db: &mut SqliteConnection, message: &Message) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO messages (id, received_at, body) VALUES (?, ?, ?)")
        .bind(message.envelope.id.to_string())
        .bind(message.envelope.received_at.as_millisecond())
        .bind(serde_json::to_string(message)?)
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn remove_message(db: &mut SqliteConnection, id: MessageId) -> Result<bool> {
    let removed = sqlx::query("DELETE FROM messages WHERE id = ?").bind(id.to_string()).execute(&mut *db).await?;
    sqlx::query("DELETE FROM outbox WHERE message = ?").bind(id.to_string()).execute(db).await?;
    Ok(removed.rows_affected() > 0)
}

pub(crate) async fn call_record(db: &mut SqliteConnection, call: CallId) -> Result<Option<CallRecord>> {
    let row = sqlx::query("SELECT body FROM call_records WHERE call = ?").bind(call.to_string()).fetch_optional(db).await?;
    row.as_ref().map(from_json).transpose()
}

/// The newest first.
pub(crate) async fn call_records(db: &mut SqliteConnection, limit: u32) -> Result<Vec<CallRecord>> {
    let rows =
        sqlx::query("SELECT body FROM call_records ORDER BY started_at DESC, call LIMIT ?").bind(limit).fetch_all(db).await?;
    rows.iter().map(from_json).collect()
}

pub(crate) async fn put_call_record(db: &mut SqliteConnection, record: &CallRecord) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO call_records (call, started_at, body) VALUES (?, ?, ?)")
        .bind(record.call.to_string())
        .bind(record.started_at.as_millisecond())
        .bind(serde_json::to_string(record)?)
        .execute(db)
        .await?;
    Ok(())
}

/// In the order in which they were done.
pub(crate) async fn outbox(db: &mut SqliteConnection) -> Result<Vec<Pending>> {
    let rows = sqlx::query("SELECT body FROM outbox ORDER BY place").fetch_all(db).await?;
    rows.iter().map(from_json).collect()
}

pub(crate) async fn put_pending(db: &mut SqliteConnection, pending: &Pending) -> Result<()> {
    sqlx::query("INSERT INTO outbox (key, message, body) VALUES (?, ?, ?)")
        .bind(pending.key.as_str())
        .bind(pending.message.to_string())
        .bind(serde_json::to_string(pending)?)
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn remove_pending(db: &mut SqliteConnection, key: &IdempotencyKey) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE key = ?").bind(key.as_str()).execute(db).await?;
    Ok(())
}

/// The cursor, the directory, and whatever else there is one of.
pub(crate) async fn kept<T: DeserializeOwned>(db: &mut SqliteConnection, name: &str) -> Result<Option<T>> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM kept WHERE name = ?").bind(name).fetch_optional(db).await?;
    value.map(|value| Ok(serde_json::from_str(&value)?)).transpose()
}

pub(crate) async fn keep<T: Serialize>(db: &mut SqliteConnection, name: &str, value: &T) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO kept (name, value) VALUES (?, ?)")
        .bind(name)
        .bind(serde_json::to_string(value)?)
        .execute(db)
        .await?;
    Ok(())
}

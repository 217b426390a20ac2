use aftertone_model::MessageId;
use aftertone_sync::{IdempotencyKey, Pending};
use sqlx::{Row, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError,
    columns::{json, to_json},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE outbox (
        sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        message TEXT NOT NULL,
        pending TEXT NOT NULL,     -- as JSON
        answered INTEGER NOT NULL DEFAULT 0 -- the server did it, and the feed has not been pulled to its end since
    ) STRICT;
    CREATE INDEX outbox_by_message ON outbox (message);
";

pub(crate) async fn add(executor: impl SqliteExecutor<'_>, pending: &Pending) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO outbox (key, message, pending) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING")
        .bind(pending.key.as_str())
        .bind(pending.message.to_string())
        .bind(to_json(pending)?)
        .execute(executor)
        .await?;
    Ok(())
}

fn read(rows: &[SqliteRow]) -> Result<Vec<Pending>, StoreError> {
    rows.iter().map(|row| json(row, "pending")).collect()
}

/// What is to be sent, the oldest first.
pub(crate) async fn unanswered(executor: impl SqliteExecutor<'_>) -> Result<Vec<Pending>, StoreError> {
    read(&sqlx::query("SELECT pending FROM outbox WHERE answered = 0 ORDER BY sequence").fetch_all(executor).await?)
}

/// What is overlaid.
pub(crate) async fn all(executor: impl SqliteExecutor<'_>) -> Result<Vec<Pending>, StoreError> {
    read(&sqlx::query("SELECT pending FROM outbox ORDER BY sequence").fetch_all(executor).await?)
}

pub(crate) async fn waiting(executor: impl SqliteExecutor<'_>) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT count(*) AS waiting FROM outbox WHERE answered = 0").fetch_one(executor).await?;
    crate::columns::count(&row, "waiting")
}

pub(crate) async fn answered(executor: impl SqliteExecutor<'_>, key: &IdempotencyKey) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET answered = 1 WHERE key = ?").bind(key.as_str()).execute(executor).await?;
    Ok(())
}

/// Takes out what was answered, and tells which messages that was about.
pub(crate) async fn remove_answered(executor: impl SqliteExecutor<'_>) -> Result<Vec<MessageId>, StoreError> {
    ids(&sqlx::query("DELETE FROM outbox WHERE answered = 1 RETURNING message").fetch_all(executor).await?)
}

/// Takes one out, and tells which message that was about.
pub(crate) async fn remove(executor: impl SqliteExecutor<'_>, key: &IdempotencyKey) -> Result<Option<MessageId>, StoreError> {
    let rows = sqlx::query("DELETE FROM outbox WHERE key = ? RETURNING message").bind(key.as_str()).fetch_all(executor).await?;
    Ok(ids(&rows)?.first().copied())
}

pub(crate) async fn remove_of(executor: impl SqliteExecutor<'_>, message: MessageId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE message = ?").bind(message.to_string()).execute(executor).await?;
    Ok(())
}

fn ids(rows: &[SqliteRow]) -> Result<Vec<MessageId>, StoreError> {
    rows.iter().map(|row| row.try_get::<&str, _>("message")?.parse().map_err(|_| StoreError::Corrupt("message"))).collect()
}

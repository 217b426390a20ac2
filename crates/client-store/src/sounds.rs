use aftertone_model::{Message, MessageId, Timestamp};
use sqlx::{Row, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError,
    columns::{count, json, ns},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE sounds (
        message TEXT NOT NULL PRIMARY KEY,
        file TEXT NOT NULL,     -- in the folder of the sounds
        bytes INTEGER NOT NULL, -- 0: it was dropped to make room, and is fetched again only to be heard
        used_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

pub(crate) async fn put(
    executor: impl SqliteExecutor<'_>,
    message: MessageId,
    file: &str,
    bytes: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sounds (message, file, bytes, used_ns) VALUES (?, ?, ?, ?)
         ON CONFLICT (message) DO UPDATE SET file = excluded.file, bytes = excluded.bytes, used_ns = excluded.used_ns",
    )
    .bind(message.to_string())
    .bind(file)
    .bind(i64::try_from(bytes.max(1)).unwrap_or(i64::MAX))
    .bind(ns(now))
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn used(executor: impl SqliteExecutor<'_>, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE sounds SET used_ns = max(used_ns, ?) WHERE message = ?")
        .bind(ns(now))
        .bind(message.to_string())
        .execute(executor)
        .await?;
    Ok(())
}

pub(crate) async fn bytes(executor: impl SqliteExecutor<'_>) -> Result<u64, StoreError> {
    count(&sqlx::query("SELECT coalesce(sum(bytes), 0) AS bytes FROM sounds").fetch_one(executor).await?, "bytes")
}

/// Those that were used longest ago, as many as are over the limit.
pub(crate) async fn over(executor: impl SqliteExecutor<'_>, limit: u64) -> Result<Vec<(MessageId, String)>, StoreError> {
    let rows = sqlx::query(
        "SELECT message, file FROM (
            SELECT message, file, used_ns, sum(bytes) OVER (ORDER BY used_ns DESC, message) AS so_far FROM sounds WHERE bytes > 0
         ) WHERE so_far > ? ORDER BY used_ns, message",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(executor)
    .await?;
    rows.iter().map(|row| Ok((id(row)?, row.try_get("file")?))).collect()
}

pub(crate) async fn dropped(executor: impl SqliteExecutor<'_>, message: MessageId) -> Result<(), StoreError> {
    sqlx::query("UPDATE sounds SET bytes = 0 WHERE message = ?").bind(message.to_string()).execute(executor).await?;
    Ok(())
}

/// Forgets the sounds of messages that are gone.
pub(crate) async fn forget_orphans(executor: impl SqliteExecutor<'_>) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sounds WHERE message NOT IN (SELECT id FROM messages)").execute(executor).await?;
    Ok(())
}

/// Messages outside the trash whose sound was never fetched, the newest first.
pub(crate) async fn missing(executor: impl SqliteExecutor<'_>, limit: u32) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query(
        "SELECT message FROM messages WHERE shown IN ('new', 'heard', 'saved') AND id NOT IN (SELECT message FROM sounds)
         ORDER BY received_ns DESC, id DESC LIMIT ?",
    )
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    rows.iter().map(|row| json(row, "message")).collect()
}

fn id(row: &SqliteRow) -> Result<MessageId, StoreError> {
    row.try_get::<&str, _>("message")?.parse().map_err(|_| StoreError::Corrupt("message"))
}

use aftertone_model::{SubscriberId, Timestamp};
use aftertone_sync::IdempotencyKey;
use sqlx::SqliteExecutor;

use crate::{
    StoreError,
    columns::{Columns, ns},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE idempotency (
        mailbox TEXT NOT NULL,
        key TEXT NOT NULL,
        request TEXT NOT NULL,  -- what was asked: the same key for something else is a mistake
        response TEXT NOT NULL, -- what can't be told from the state of things
        created_ns INTEGER NOT NULL,
        PRIMARY KEY (mailbox, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_by_age ON idempotency (created_ns);
";

/// What is known of a key.
pub(crate) enum Known {
    /// Never seen.
    Fresh,
    /// The same write was done before, with this response.
    Repeated(String),
    /// It named another write.
    Other,
}

pub(crate) async fn look_up(
    executor: impl SqliteExecutor<'_>,
    mailbox: SubscriberId,
    key: &IdempotencyKey,
    request: &str,
) -> Result<Known, StoreError> {
    let row = sqlx::query("SELECT request, response FROM idempotency WHERE mailbox = ? AND key = ?")
        .bind(mailbox.to_string())
        .bind(key.as_str())
        .fetch_optional(executor)
        .await?;
    let Some(row) = row else { return Ok(Known::Fresh) };
    Ok(if row.string("request")? == request { Known::Repeated(row.string("response")?) } else { Known::Other })
}

pub(crate) async fn remember(
    executor: impl SqliteExecutor<'_>,
    mailbox: SubscriberId,
    key: &IdempotencyKey,
    request: &str,
    response: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO idempotency (mailbox, key, request, response, created_ns) VALUES (?, ?, ?, ?, ?)")
        .bind(mailbox.to_string())
        .bind(key.as_str())
        .bind(request)
        .bind(response)
        .bind(ns(now))
        .execute(executor)
        .await?;
    Ok(())
}

pub(crate) async fn forget(executor: impl SqliteExecutor<'_>, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE created_ns < ?").bind(ns(before)).execute(executor).await?;
    Ok(())
}

use aftertone_model::{SubscriberId, Timestamp};
use sqlx::SqliteExecutor;

use crate::{
    Secret, StoreError,
    columns::{Columns, ns},
    secrets,
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE invitations (
        token_hash BLOB NOT NULL PRIMARY KEY,
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        expires_ns INTEGER NOT NULL
    ) STRICT;
";

pub(crate) async fn add(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    expires_at: Timestamp,
) -> Result<Secret, StoreError> {
    let token = Secret::token();
    sqlx::query("INSERT INTO invitations (token_hash, subscriber, expires_ns) VALUES (?, ?, ?)")
        .bind(secrets::token_hash(token.expose()))
        .bind(subscriber.to_string())
        .bind(ns(expires_at))
        .execute(executor)
        .await?;
    Ok(token)
}

/// Uses an invitation up, and tells whom it was for.
pub(crate) async fn take(
    executor: impl SqliteExecutor<'_>,
    token: &str,
    now: Timestamp,
) -> Result<Option<SubscriberId>, StoreError> {
    let row = sqlx::query("DELETE FROM invitations WHERE token_hash = ? AND expires_ns > ? RETURNING subscriber")
        .bind(secrets::token_hash(token))
        .bind(ns(now))
        .fetch_optional(executor)
        .await?;
    row.map(|row| row.parsed("subscriber")).transpose()
}

pub(crate) async fn forget_expired(executor: impl SqliteExecutor<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM invitations WHERE expires_ns <= ?").bind(ns(now)).execute(executor).await?;
    Ok(())
}

pub(crate) async fn forget_all(executor: impl SqliteExecutor<'_>) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM invitations").execute(executor).await?;
    Ok(())
}

use sqlx::{Row, SqliteExecutor};

use crate::StoreError;

pub(crate) const SCHEMA_1: &str = "
    -- Small things by name: the user's settings, and our own under names that begin with a dot.
    CREATE TABLE settings (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Where the device stands in the feed; none before the first snapshot.
pub(crate) const CURSOR: &str = ".cursor";
/// How calls are answered, with its version, as JSON; none before it was first told.
pub(crate) const PLAN: &str = ".plan";
/// How much room the mailbox has, as JSON; none before it was first told.
pub(crate) const ROOM: &str = ".room";
/// The directory as it was last fetched, as JSON.
pub(crate) const DIRECTORY: &str = ".directory";

pub(crate) async fn get(executor: impl SqliteExecutor<'_>, name: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT value FROM settings WHERE name = ?").bind(name).fetch_optional(executor).await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

pub(crate) async fn set(executor: impl SqliteExecutor<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(executor)
        .await?;
    Ok(())
}

/// Whether there was one.
pub(crate) async fn remove(executor: impl SqliteExecutor<'_>, name: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query("DELETE FROM settings WHERE name = ?").bind(name).execute(executor).await?.rows_affected() > 0)
}

use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    Sound, StoreError,
    columns::{Columns, int},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE blobs (
        content TEXT NOT NULL PRIMARY KEY, -- CODEC-SHA256 of the sound without its header
        file TEXT NOT NULL UNIQUE,         -- relative to the folder of the blobs
        bytes INTEGER NOT NULL,
        media_type TEXT NOT NULL
    ) STRICT;
    -- Files that nobody holds and that are still to be unlinked.
    CREATE TABLE blob_trash (
        file TEXT NOT NULL PRIMARY KEY
    ) STRICT;
";

/// How loud a sound is, in hundredths of LUFS; 0 where that isn't known, for nothing that is recorded is as loud.
pub(crate) const SCHEMA_LOUDNESS: &str = "
    ALTER TABLE blobs ADD COLUMN loudness_clufs INTEGER NOT NULL DEFAULT 0;
";

/// A file that is about to be written: until it is a blob it is rubbish, also after a crash.
pub(crate) async fn announce(executor: impl SqliteExecutor<'_>, file: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO blob_trash (file) VALUES (?) ON CONFLICT DO NOTHING").bind(file).execute(executor).await?;
    Ok(())
}

pub(crate) async fn set_loudness(executor: impl SqliteExecutor<'_>, content: &str, clufs: Option<i32>) -> Result<(), StoreError> {
    sqlx::query("UPDATE blobs SET loudness_clufs = ? WHERE content = ?")
        .bind(i64::from(clufs.unwrap_or(0)))
        .bind(content)
        .execute(executor)
        .await?;
    Ok(())
}

/// Notes a blob. If there is one of the same content, that one is kept, and the new file goes to the trash.
pub(crate) async fn add(connection: &mut SqliteConnection, sound: &Sound) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT file FROM blobs WHERE content = ?").bind(&sound.content).fetch_optional(&mut *connection).await?;
    if let Some(row) = row {
        return if row.string("file")? == sound.file { Ok(()) } else { discard(connection, &sound.file).await };
    }
    sqlx::query("INSERT INTO blobs (content, file, bytes, media_type) VALUES (?, ?, ?, ?)")
        .bind(&sound.content)
        .bind(&sound.file)
        .bind(int(sound.bytes))
        .bind(&sound.media_type)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether a file is a blob's.
pub(crate) async fn is_held(executor: impl SqliteExecutor<'_>, file: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query("SELECT 1 FROM blobs WHERE file = ?").bind(file).fetch_optional(executor).await?.is_some())
}

/// Gives a blob up if no message, no legal hold and no greeting has it any more: each table that refers to blobs stands here.
pub(crate) async fn release(connection: &mut SqliteConnection, content: &str) -> Result<(), StoreError> {
    let row = sqlx::query(
        "DELETE FROM blobs WHERE content = ?
            AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.content = blobs.content)
            AND NOT EXISTS (SELECT 1 FROM withheld WHERE withheld.content = blobs.content)
            AND NOT EXISTS (SELECT 1 FROM greetings WHERE greetings.content = blobs.content)
         RETURNING file",
    )
    .bind(content)
    .fetch_optional(&mut *connection)
    .await?;
    match row {
        Some(row) => discard(connection, &row.string("file")?).await,
        None => Ok(()),
    }
}

pub(crate) async fn discard(connection: &mut SqliteConnection, file: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO blob_trash (file) VALUES (?) ON CONFLICT DO NOTHING").bind(file).execute(connection).await?;
    Ok(())
}

/// The files to be unlinked.
pub(crate) async fn trash(executor: impl SqliteExecutor<'_>) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("SELECT file FROM blob_trash ORDER BY file LIMIT 1000").fetch_all(executor).await?;
    rows.iter().map(|row| row.string("file")).collect()
}

pub(crate) async fn unlinked(executor: impl SqliteExecutor<'_>, file: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM blob_trash WHERE file = ?").bind(file).execute(executor).await?;
    Ok(())
}

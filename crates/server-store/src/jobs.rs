use aftertone_model::Timestamp;
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    Job, NewJob, StoreError,
    columns::{Columns, ns},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE jobs (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        due_ns INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX jobs_by_due ON jobs (kind, due_ns);
";

pub(crate) async fn add(connection: &mut SqliteConnection, jobs: &[NewJob]) -> Result<(), StoreError> {
    for job in jobs {
        sqlx::query("INSERT INTO jobs (kind, payload, due_ns) VALUES (?, ?, ?)")
            .bind(&job.kind)
            .bind(&job.payload)
            .bind(ns(job.due_at))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn take(
    executor: impl SqliteExecutor<'_>,
    kind: &str,
    now: Timestamp,
    held_until: Timestamp,
    limit: u32,
) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query(
        "UPDATE jobs SET due_ns = ?, attempts = attempts + 1
         WHERE id IN (SELECT id FROM jobs WHERE kind = ? AND due_ns <= ? ORDER BY due_ns, id LIMIT ?)
         RETURNING id, kind, payload, attempts",
    )
    .bind(ns(held_until))
    .bind(kind)
    .bind(ns(now))
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    let job = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Job {
            id: row.get_as("id")?,
            kind: row.string("kind")?,
            payload: row.string("payload")?,
            attempts: u32::try_from(row.count("attempts")?).unwrap_or(u32::MAX),
        })
    };
    let mut jobs: Vec<Job> = rows.iter().map(job).collect::<Result<_, StoreError>>()?;
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

pub(crate) async fn finish(executor: impl SqliteExecutor<'_>, id: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM jobs WHERE id = ?").bind(id).execute(executor).await?;
    Ok(())
}

pub(crate) async fn retry(executor: impl SqliteExecutor<'_>, id: i64, due_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET due_ns = ? WHERE id = ?").bind(ns(due_at)).bind(id).execute(executor).await?;
    Ok(())
}

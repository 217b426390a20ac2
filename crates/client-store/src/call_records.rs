use aftertone_model::{CallId, CallRecord, Direction};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    Applied, StoreError,
    columns::{count, json, ns, to_json},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE call_records (
        call TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        started_ns INTEGER NOT NULL,
        record TEXT NOT NULL, -- as the server told it, as JSON
        PRIMARY KEY (call, outgoing)
    ) STRICT;
    CREATE INDEX call_records_by_time ON call_records (started_ns, call);
";

fn outgoing(record: &CallRecord) -> i64 {
    match record.direction {
        Direction::Incoming => 0,
        Direction::Outgoing => 1,
    }
}

/// What that changes.
pub(crate) async fn put(connection: &mut SqliteConnection, record: &CallRecord) -> Result<Option<Applied>, StoreError> {
    let known = sqlx::query("SELECT record FROM call_records WHERE call = ? AND outgoing = ?")
        .bind(record.call.to_string())
        .bind(outgoing(record))
        .fetch_optional(&mut *connection)
        .await?;
    let known = known.map(|row| json::<CallRecord>(&row, "record")).transpose()?;
    if known.as_ref() == Some(record) {
        return Ok(None);
    }
    let is_told = known.is_some_and(|known| CallRecord { figures: record.figures.clone(), ..known } == *record);
    sqlx::query(
        "INSERT INTO call_records (call, outgoing, started_ns, record) VALUES (?, ?, ?, ?)
         ON CONFLICT (call, outgoing) DO UPDATE SET started_ns = excluded.started_ns, record = excluded.record",
    )
    .bind(record.call.to_string())
    .bind(outgoing(record))
    .bind(ns(record.started_at))
    .bind(to_json(record)?)
    .execute(connection)
    .await?;
    let record = record.clone();
    Ok(Some(if is_told { Applied::CallMeasured(record) } else { Applied::CallRecord(record) }))
}

/// Removes those that a snapshot doesn't have.
pub(crate) async fn keep_only(connection: &mut SqliteConnection, kept: &[&CallRecord]) -> Result<(), StoreError> {
    sqlx::query("CREATE TEMP TABLE IF NOT EXISTS kept_records (call TEXT, outgoing INTEGER)").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM kept_records").execute(&mut *connection).await?;
    for record in kept {
        sqlx::query("INSERT INTO kept_records (call, outgoing) VALUES (?, ?)")
            .bind(record.call.to_string())
            .bind(outgoing(record))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("DELETE FROM call_records WHERE (call, outgoing) NOT IN (SELECT call, outgoing FROM kept_records)")
        .execute(connection)
        .await?;
    Ok(())
}

/// The incoming call of that id.
pub(crate) async fn incoming(executor: impl SqliteExecutor<'_>, call: CallId) -> Result<Option<CallRecord>, StoreError> {
    let row = sqlx::query("SELECT record FROM call_records WHERE call = ? AND outgoing = 0")
        .bind(call.to_string())
        .fetch_optional(executor)
        .await?;
    row.map(|row| json(&row, "record")).transpose()
}

pub(crate) async fn total(executor: impl SqliteExecutor<'_>) -> Result<u64, StoreError> {
    count(&sqlx::query("SELECT count(*) AS total FROM call_records").fetch_one(executor).await?, "total")
}

pub(crate) async fn page(executor: impl SqliteExecutor<'_>, offset: u32, limit: u32) -> Result<Vec<CallRecord>, StoreError> {
    let rows = sqlx::query("SELECT record FROM call_records ORDER BY started_ns DESC, call DESC LIMIT ? OFFSET ?")
        .bind(i64::from(limit))
        .bind(i64::from(offset))
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| json(row, "record")).collect()
}

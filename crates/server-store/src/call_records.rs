use aftertone_model::{CallId, CallRecord, Caller, Direction, MeasuredCall, SubscriberId, Timestamp};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError,
    columns::{Columns, json, ns, word},
};

pub(crate) const SCHEMA_1: &str = "
    -- A person who calls their own number has the call twice: once out, once in.
    CREATE TABLE call_records (
        owner TEXT NOT NULL REFERENCES subscribers (id),
        call TEXT NOT NULL,
        direction TEXT NOT NULL,
        party_number TEXT NOT NULL,
        party_name TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        answered_ns INTEGER NOT NULL, -- 0: nobody answered
        ended_ns INTEGER NOT NULL,
        ending TEXT NOT NULL,
        diverted TEXT NOT NULL,       -- '': the mailbox did not answer
        message TEXT NOT NULL,        -- '': none was left
        PRIMARY KEY (owner, call, direction)
    ) STRICT;
    CREATE INDEX call_records_by_owner ON call_records (owner, started_ns);
";

pub(crate) const SCHEMA_FIGURES: &str = "
    -- How calls sounded. What the media plane has measured may be here before the record of a deposit is.
    CREATE TABLE call_figures (
        owner TEXT NOT NULL REFERENCES subscribers (id),
        call TEXT NOT NULL,
        direction TEXT NOT NULL,
        figures TEXT NOT NULL,        -- JSON
        PRIMARY KEY (owner, call, direction)
    ) STRICT;
";

/// A record with its figures, or '' for none.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT call_records.*, coalesce(figures, '') AS figures
             FROM call_records LEFT JOIN call_figures USING (owner, call, direction) ",
            $rest
        )
    };
}

pub(crate) fn from_row(row: &SqliteRow) -> Result<CallRecord, StoreError> {
    let message = row.maybe_string("message")?.map(|id| id.parse().map_err(|_| StoreError::Corrupt("message"))).transpose()?;
    Ok(CallRecord {
        call: row.parsed("call")?,
        owner: row.parsed("owner")?,
        direction: row.word_as("direction")?,
        party: Caller { number: row.string("party_number")?, name: row.maybe_string("party_name")? },
        started_at: row.time("started_ns")?,
        answered_at: row.maybe_time("answered_ns")?,
        ended_at: row.time("ended_ns")?,
        end: row.word_as("ending")?,
        diverted: row.maybe_word("diverted")?,
        message,
        figures: row.maybe_json("figures")?,
    })
}

/// Where the feed finds a record: `CALL/DIRECTION`.
pub(crate) fn thing(call: CallId, direction: Direction) -> String {
    format!("{call}/{}", word(direction))
}

pub(crate) async fn note_figures(executor: impl SqliteExecutor<'_>, measured: &MeasuredCall) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO call_figures (owner, call, direction, figures) VALUES (?, ?, ?, ?)
         ON CONFLICT (owner, call, direction) DO UPDATE SET figures = excluded.figures",
    )
    .bind(measured.owner.to_string())
    .bind(measured.call.to_string())
    .bind(word(measured.direction))
    .bind(json(Some(&measured.figures)))
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn upsert(executor: impl SqliteExecutor<'_>, record: &CallRecord) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO call_records (owner, call, direction, party_number, party_name, started_ns, answered_ns, ended_ns,
            ending, diverted, message)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (owner, call, direction) DO UPDATE SET
            party_number = excluded.party_number, party_name = excluded.party_name, started_ns = excluded.started_ns,
            answered_ns = excluded.answered_ns, ended_ns = excluded.ended_ns, ending = excluded.ending,
            diverted = excluded.diverted,
            message = CASE excluded.message WHEN '' THEN call_records.message ELSE excluded.message END",
    )
    .bind(record.owner.to_string())
    .bind(record.call.to_string())
    .bind(word(record.direction))
    .bind(&record.party.number)
    .bind(record.party.name.as_deref().unwrap_or_default())
    .bind(ns(record.started_at))
    .bind(record.answered_at.map_or(0, ns))
    .bind(ns(record.ended_at))
    .bind(word(record.end))
    .bind(record.diverted.map(word).unwrap_or_default())
    .bind(record.message.map(|id| id.to_string()).unwrap_or_default())
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn exists(executor: impl SqliteExecutor<'_>, record: &CallRecord) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM call_records WHERE owner = ? AND call = ? AND direction = ?")
        .bind(record.owner.to_string())
        .bind(record.call.to_string())
        .bind(word(record.direction))
        .fetch_optional(executor)
        .await?;
    Ok(row.is_some())
}

pub(crate) async fn get(
    connection: &mut SqliteConnection,
    owner: SubscriberId,
    thing: &str,
) -> Result<Option<CallRecord>, StoreError> {
    let Some((call, direction)) = thing.split_once('/') else { return Err(StoreError::Corrupt("thing")) };
    let row = sqlx::query(select!("WHERE owner = ? AND call = ? AND direction = ?"))
        .bind(owner.to_string())
        .bind(call)
        .bind(direction)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(from_row).transpose()
}

pub(crate) async fn page(
    executor: impl SqliteExecutor<'_>,
    owner: SubscriberId,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<CallRecord>, StoreError> {
    let rows = sqlx::query(select!("WHERE owner = ? AND started_ns < ? ORDER BY started_ns DESC, call LIMIT ?"))
        .bind(owner.to_string())
        .bind(before.map_or(i64::MAX, ns))
        .bind(i64::from(limit))
        .fetch_all(executor)
        .await?;
    rows.iter().map(from_row).collect()
}

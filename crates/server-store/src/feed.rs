use aftertone_model::{GreetingId, MessageId, SubscriberId};
use aftertone_sync::{Change, ChangeBody, ChangesPage, Cursor};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Changes, Lookup, StoreError, call_records,
    columns::{Columns, int},
    greetings, keeping, messages,
};

pub(crate) const SCHEMA_1: &str = "
    -- The last change of each mailbox.
    CREATE TABLE feed_ends (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id),
        n INTEGER NOT NULL
    ) STRICT;
    -- One row per thing: where it was last changed. What it is now stands in its own table.
    CREATE TABLE feed (
        mailbox TEXT NOT NULL,
        n INTEGER NOT NULL,
        kind TEXT NOT NULL, -- message, call_record, greeting, plan, room
        thing TEXT NOT NULL,
        PRIMARY KEY (mailbox, n)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX feed_by_thing ON feed (mailbox, kind, thing);
";

/// The most changes of one page.
const MOST: u32 = 1_000;

const MESSAGE: &str = "message";
const CALL_RECORD: &str = "call_record";
const GREETING: &str = "greeting";
const PLAN: &str = "plan";
const ROOM: &str = "room";

/// A message came, changed or went. To be called in the transaction that does it, which is the only writer: so `n` is
/// visible before `n + 1`.
pub(crate) async fn message_changed(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    id: MessageId,
) -> Result<(), StoreError> {
    changed(connection, mailbox, MESSAGE, &id.to_string()).await
}

/// A call record came or changed.
pub(crate) async fn call_record_changed(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    thing: &str,
) -> Result<(), StoreError> {
    changed(connection, mailbox, CALL_RECORD, thing).await
}

/// A greeting came, changed or went.
pub(crate) async fn greeting_changed(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    id: GreetingId,
) -> Result<(), StoreError> {
    changed(connection, mailbox, GREETING, &id.to_string()).await
}

/// How calls are answered was changed.
pub(crate) async fn plan_changed(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<(), StoreError> {
    changed(connection, mailbox, PLAN, "").await
}

/// The mailbox is fuller, or less full.
pub(crate) async fn room_changed(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<(), StoreError> {
    changed(connection, mailbox, ROOM, "").await
}

async fn changed(connection: &mut SqliteConnection, mailbox: SubscriberId, kind: &str, thing: &str) -> Result<(), StoreError> {
    let mailbox = mailbox.to_string();
    let row =
        sqlx::query("INSERT INTO feed_ends (mailbox, n) VALUES (?, 1) ON CONFLICT (mailbox) DO UPDATE SET n = n + 1 RETURNING n")
            .bind(&mailbox)
            .fetch_one(&mut *connection)
            .await?;
    sqlx::query("DELETE FROM feed WHERE mailbox = ? AND kind = ? AND thing = ?")
        .bind(&mailbox)
        .bind(kind)
        .bind(thing)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO feed (mailbox, n, kind, thing) VALUES (?, ?, ?, ?)")
        .bind(&mailbox)
        .bind(row.get_as::<i64>("n")?)
        .bind(kind)
        .bind(thing)
        .execute(connection)
        .await?;
    Ok(())
}

/// A page of the feed. To be called in a transaction, so that all of it is of one moment.
pub(crate) async fn page(
    connection: &mut SqliteConnection,
    epoch: u32,
    mailbox: SubscriberId,
    since: Option<Cursor>,
    limit: u32,
) -> Result<Changes, StoreError> {
    let end = sqlx::query("SELECT n FROM feed_ends WHERE mailbox = ?")
        .bind(mailbox.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let end = end.map_or(Ok(0), |row| row.count("n"))?;
    let since = since.unwrap_or(Cursor { epoch, n: 0 });
    if since.epoch != epoch || since.n > end {
        return Ok(Changes::Reset);
    }
    let limit = limit.clamp(1, MOST);
    let mut rows = sqlx::query("SELECT n, kind, thing FROM feed WHERE mailbox = ? AND n > ? ORDER BY n LIMIT ?")
        .bind(mailbox.to_string())
        .bind(int(since.n))
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *connection)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        changes.push(Change { n: row.count("n")?, body: body(connection, mailbox, row).await? });
    }
    let n = changes.last().map_or(since.n, |change| change.n);
    Ok(Changes::Page(ChangesPage { cursor: Cursor { epoch, n }, changes, more }))
}

async fn body(connection: &mut SqliteConnection, mailbox: SubscriberId, row: &SqliteRow) -> Result<ChangeBody, StoreError> {
    match row.string("kind")?.as_str() {
        CALL_RECORD => {
            let record = call_records::get(connection, mailbox, &row.string("thing")?).await?;
            let record = record.ok_or(StoreError::Corrupt("thing"))?;
            return Ok(ChangeBody::CallRecord { record: Box::new(record) });
        }
        GREETING => {
            let id: GreetingId = row.parsed("thing")?;
            let greeting = greetings::get(connection, mailbox, id).await?;
            return Ok(greeting.map_or(ChangeBody::GreetingRemoved { greeting: id }, |greeting| ChangeBody::Greeting {
                greeting: Box::new(greeting),
            }));
        }
        PLAN => {
            let stored = greetings::plan(connection, mailbox).await?;
            return Ok(ChangeBody::Plan { version: stored.version, plan: Box::new(stored.plan) });
        }
        ROOM => return Ok(ChangeBody::Room { room: keeping::room(connection, mailbox).await? }),
        _ => {}
    }
    let id: MessageId = row.parsed("thing")?;
    match messages::get(connection, mailbox, id).await? {
        Lookup::Found(stored) => Ok(ChangeBody::Message { message: Box::new(stored.message) }),
        Lookup::Gone => Ok(ChangeBody::Expunged { message: id }),
        Lookup::NotFound => Err(StoreError::Corrupt("thing")),
    }
}

//! Greetings, spoken names and plans.

use std::{collections::BTreeMap, path::Path};

use aftertone_model::{Greeting, GreetingId, GreetingKind, GreetingSound, Plan, SubscriberId, Timestamp};
use aftertone_sync::GreetingBody;
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    Sound, StoreError, StoredSound, blobs,
    columns::{Columns, int, ns, word},
    feed,
    store::{PutGreeting, StoredAnswering, StoredPlan},
};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE greetings (
        id TEXT NOT NULL PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        language TEXT NOT NULL,
        expires_ns INTEGER NOT NULL, -- 0: never
        changed_ns INTEGER NOT NULL,
        content TEXT NOT NULL,       -- a blob's, or '' without sound
        duration_ms INTEGER NOT NULL,
        peaks BLOB NOT NULL,
        media_type TEXT NOT NULL
    ) STRICT;
    CREATE INDEX greetings_by_owner ON greetings (owner, changed_ns, id);
    CREATE INDEX greetings_by_content ON greetings (content);
    CREATE UNIQUE INDEX one_name_each ON greetings (owner) WHERE kind = 'name';
    CREATE TABLE plans (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        plan TEXT NOT NULL -- JSON
    ) STRICT;
    -- The exchange is to know of all of it.
    CREATE TRIGGER directory_greetings_added AFTER INSERT ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_greetings_changed AFTER UPDATE ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_greetings_removed AFTER DELETE ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_plans_added AFTER INSERT ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_plans_changed AFTER UPDATE ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_plans_removed AFTER DELETE ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
";

/// More are not kept for one person.
const MOST: i64 = 200;

fn from_row(row: &SqliteRow) -> Result<Greeting, StoreError> {
    let sound = row.maybe_string("content")?.map(|content| {
        let (duration_ms, peaks, media_type) = (row.count("duration_ms")?, row.get_as("peaks")?, row.string("media_type")?);
        Ok::<_, StoreError>(GreetingSound { content, duration_ms, peaks, media_type })
    });
    Ok(Greeting {
        id: row.parsed("id")?,
        kind: row.word_as("kind")?,
        title: row.string("title")?,
        text: row.string("text")?,
        language: row.word_as("language")?,
        expires_at: row.maybe_time("expires_ns")?,
        changed_at: row.time("changed_ns")?,
        sound: sound.transpose()?,
    })
}

pub(crate) async fn of(executor: impl SqliteExecutor<'_>, owner: SubscriberId) -> Result<Vec<Greeting>, StoreError> {
    let rows = sqlx::query("SELECT * FROM greetings WHERE owner = ? ORDER BY title, id")
        .bind(owner.to_string())
        .fetch_all(executor)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn get(
    executor: impl SqliteExecutor<'_>,
    owner: SubscriberId,
    id: GreetingId,
) -> Result<Option<Greeting>, StoreError> {
    let row = sqlx::query("SELECT * FROM greetings WHERE owner = ? AND id = ?")
        .bind(owner.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Makes a greeting, or changes what is said of it; its sound stays.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    owner: SubscriberId,
    id: GreetingId,
    body: &GreetingBody,
    now: Timestamp,
) -> Result<PutGreeting, StoreError> {
    let others =
        sqlx::query("SELECT count(*) AS n, coalesce(sum(kind = 'name'), 0) AS names FROM greetings WHERE owner = ? AND id <> ?")
            .bind(owner.to_string())
            .bind(id.to_string())
            .fetch_one(&mut *connection)
            .await?;
    if others.get_as::<i64>("n")? >= MOST {
        return Ok(PutGreeting::TooMany);
    }
    if body.kind == GreetingKind::Name && others.get_as::<i64>("names")? > 0 {
        return Ok(PutGreeting::NameTaken);
    }
    let done = sqlx::query(
        "INSERT INTO greetings (id, owner, kind, title, text, language, expires_ns, changed_ns, content, duration_ms, peaks, media_type)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, x'', '')
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, title = excluded.title, text = excluded.text,
            language = excluded.language, expires_ns = excluded.expires_ns, changed_ns = excluded.changed_ns
         WHERE owner = excluded.owner",
    )
    .bind(id.to_string())
    .bind(owner.to_string())
    .bind(word(body.kind))
    .bind(&body.title)
    .bind(&body.text)
    .bind(word(body.language))
    .bind(body.expires_at.map_or(0, ns))
    .bind(ns(now))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(PutGreeting::Foreign);
    }
    feed::greeting_changed(connection, owner, id).await?;
    Ok(get(&mut *connection, owner, id).await?.map_or(PutGreeting::Foreign, PutGreeting::Done))
}

/// Gives a greeting its sound, whose file lies among the blobs.
pub(crate) async fn put_sound(
    connection: &mut SqliteConnection,
    owner: SubscriberId,
    id: GreetingId,
    sound: &Sound,
    now: Timestamp,
) -> Result<Option<Greeting>, StoreError> {
    let Some(before) = get(&mut *connection, owner, id).await? else { return Ok(None) };
    blobs::add(connection, sound).await?;
    sqlx::query("UPDATE greetings SET content = ?, duration_ms = ?, peaks = ?, media_type = ?, changed_ns = ? WHERE id = ?")
        .bind(&sound.content)
        .bind(int(sound.duration_ms))
        .bind(&sound.peaks)
        .bind(&sound.media_type)
        .bind(ns(now))
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    if let Some(old) = before.sound {
        blobs::release(connection, &old.content).await?;
    }
    feed::greeting_changed(connection, owner, id).await?;
    get(&mut *connection, owner, id).await
}

/// Whether there was one.
pub(crate) async fn remove(connection: &mut SqliteConnection, owner: SubscriberId, id: GreetingId) -> Result<bool, StoreError> {
    let row = sqlx::query("DELETE FROM greetings WHERE owner = ? AND id = ? RETURNING content")
        .bind(owner.to_string())
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(false) };
    if let Some(content) = row.maybe_string("content")? {
        blobs::release(connection, &content).await?;
    }
    feed::greeting_changed(connection, owner, id).await?;
    Ok(true)
}

pub(crate) async fn sound(
    executor: impl SqliteExecutor<'_>,
    blobs_dir: &Path,
    owner: SubscriberId,
    id: GreetingId,
) -> Result<Option<StoredSound>, StoreError> {
    let row = sqlx::query(
        "SELECT blobs.* FROM greetings JOIN blobs ON blobs.content = greetings.content WHERE greetings.owner = ? AND greetings.id = ?",
    )
    .bind(owner.to_string())
    .bind(id.to_string())
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(StoredSound {
        content: row.string("content")?,
        bytes: row.count("bytes")?,
        media_type: row.string("media_type")?,
        path: blobs_dir.join(row.string("file")?),
    }))
}

/// Somebody who never said anything has the plan of version 0.
pub(crate) async fn plan(executor: impl SqliteExecutor<'_>, subscriber: SubscriberId) -> Result<StoredPlan, StoreError> {
    let row =
        sqlx::query("SELECT * FROM plans WHERE subscriber = ?").bind(subscriber.to_string()).fetch_optional(executor).await?;
    row.as_ref().map_or_else(|| Ok(StoredPlan::default()), plan_of)
}

fn plan_of(row: &SqliteRow) -> Result<StoredPlan, StoreError> {
    Ok(StoredPlan { version: row.count("version")?, plan: row.maybe_json("plan")?.unwrap_or_default() })
}

/// Replaces a plan if it still has this version, whatever version it has if that isn't said. The version as it is now is the
/// error.
pub(crate) async fn put_plan(
    connection: &mut SqliteConnection,
    subscriber: SubscriberId,
    plan: &Plan,
    expected: Option<u64>,
) -> Result<Result<u64, u64>, StoreError> {
    let found = self::plan(&mut *connection, subscriber).await?.version;
    if expected.is_some_and(|expected| expected != found) {
        return Ok(Err(found));
    }
    let text = serde_json::to_string(plan).map_err(|_| StoreError::Corrupt("plan"))?;
    sqlx::query(
        "INSERT INTO plans (subscriber, version, plan) VALUES (?, ?, ?)
         ON CONFLICT (subscriber) DO UPDATE SET version = excluded.version, plan = excluded.plan",
    )
    .bind(subscriber.to_string())
    .bind(int(found + 1))
    .bind(text)
    .execute(&mut *connection)
    .await?;
    feed::plan_changed(connection, subscriber).await?;
    Ok(Ok(found + 1))
}

/// How everybody's calls are answered, of whom anything is known.
pub(crate) async fn answering(
    connection: &mut SqliteConnection,
    blobs_dir: &Path,
) -> Result<BTreeMap<SubscriberId, StoredAnswering>, StoreError> {
    let mut all: BTreeMap<SubscriberId, StoredAnswering> = BTreeMap::new();
    for row in &sqlx::query("SELECT * FROM plans").fetch_all(&mut *connection).await? {
        all.entry(row.parsed("subscriber")?).or_default().plan = plan_of(row)?.plan;
    }
    let rows = sqlx::query(
        "SELECT greetings.*, blobs.file AS file FROM greetings LEFT JOIN blobs ON blobs.content = greetings.content
         ORDER BY greetings.id",
    )
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let file = row.get_as::<Option<String>>("file")?.map(|file| blobs_dir.join(file));
        let (answering, recorded) = (all.entry(row.parsed("owner")?).or_default(), from_row(row)?);
        match recorded.kind {
            GreetingKind::Greeting => answering.greetings.push((recorded, file)),
            GreetingKind::Name => answering.name = file,
        }
    }
    Ok(all)
}

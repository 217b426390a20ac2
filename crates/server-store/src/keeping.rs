//! How much is kept of each mailbox and for how long: quota, retention, and the log of what administrators did to them.

use std::{collections::BTreeSet, time::Duration};

use aftertone_model::{Fullness, Keeping, MessageAction, MessageState, OwnKeeping, SubscriberId, Timestamp};
use aftertone_sync::MailboxRoom;
use async_trait::async_trait;
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    Held, StoreError, Withheld,
    columns::{Columns, ns, word},
    commit, feed, messages, users,
};

pub(crate) const SCHEMA: &str = "
    -- One row: what holds for every mailbox of which nothing else was said. 0 is no limit, and never.
    CREATE TABLE account_keeping (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        quota_s INTEGER NOT NULL,
        trash_days INTEGER NOT NULL,
        heard_days INTEGER NOT NULL
    ) STRICT;
    INSERT INTO account_keeping (id, quota_s, trash_days, heard_days) VALUES (1, 0, 30, 0);
    -- What an administrator said of a mailbox; -1 leaves it to the account.
    CREATE TABLE own_keeping (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        quota_s INTEGER NOT NULL,
        trash_days INTEGER NOT NULL,
        heard_days INTEGER NOT NULL
    ) STRICT;
    -- How full each mailbox was when its owner was told last.
    CREATE TABLE fullness (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        told TEXT NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_length ON messages (mailbox, deleted, duration_ms);
    -- When its owner last changed its state; 0: never. Of those that were changed before anybody noted it: now, so that
    -- nothing goes sooner than it should.
    ALTER TABLE messages ADD COLUMN since_ns INTEGER NOT NULL DEFAULT 0;
    UPDATE messages SET since_ns = unixepoch() * 1000000000 WHERE kept <> 'new' OR deleted = 1;
    -- What administrators did to mailboxes. Nothing is ever deleted from it.
    CREATE TABLE audit (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        mailbox TEXT NOT NULL,
        what TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER directory_audit_added AFTER INSERT ON audit BEGIN
        UPDATE directory SET version = version + 1;
    END;
";

/// At most so many messages of a mailbox go in one transaction: calls that end meanwhile wait for it.
const AT_ONCE: u32 = 500;

/// What an administrator did to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Grows with each entry.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// To whose.
    pub mailbox: SubscriberId,
    /// What, in English.
    pub what: String,
}

/// What retention did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retained {
    /// So many messages were expunged from the trash, those that a hold keeps among them.
    pub expunged: usize,
    /// So many that had been heard went to the trash.
    pub trashed: usize,
    /// Whose feeds grew.
    pub mailboxes: BTreeSet<SubscriberId>,
    /// There may be more to do at once.
    pub more: bool,
}

/// What is kept of mailboxes, and for how long: a part of the store.
#[async_trait]
pub trait MailboxKeeping: Send + Sync + 'static {
    /// Says what holds for every mailbox of which nothing else was said. Whose feeds grew by that.
    async fn put_account_keeping(&self, keeping: Keeping) -> Result<Vec<SubscriberId>, StoreError>;
    /// What holds for a mailbox.
    async fn keeping(&self, mailbox: SubscriberId) -> Result<Keeping, StoreError>;
    /// What an administrator said of it.
    async fn own_keeping(&self, mailbox: SubscriberId) -> Result<OwnKeeping, StoreError>;
    /// Says what is kept of a mailbox; noted in the audit log.
    async fn put_own_keeping(&self, mailbox: SubscriberId, own: OwnKeeping, now: Timestamp) -> Result<(), StoreError>;
    /// How full a mailbox is; where it has no limit, nothing is counted.
    async fn fullness(&self, mailbox: SubscriberId) -> Result<Fullness, StoreError>;
    /// How much room a mailbox has.
    async fn room(&self, mailbox: SubscriberId) -> Result<MailboxRoom, StoreError>;
    /// Expunges what was long enough in the trash, and puts there what was heard long enough ago: of each mailbox a few
    /// hundred messages at once.
    async fn retain(&self, now: Timestamp) -> Result<Retained, StoreError>;
    /// Places or lifts a legal hold; noted in the audit log. False if it was so already.
    async fn hold(&self, mailbox: SubscriberId, held: Held, on: bool, now: Timestamp) -> Result<bool, StoreError>;
    /// What is held of a mailbox.
    async fn holds(&self, mailbox: SubscriberId) -> Result<Vec<Held>, StoreError>;
    /// What is expunged for its owner, and kept by a hold.
    async fn withheld(&self, mailbox: SubscriberId) -> Result<Vec<Withheld>, StoreError>;
    /// What administrators did to mailboxes after the entry `since`; 0 for everything.
    async fn audit(&self, since: i64) -> Result<Vec<Audited>, StoreError>;
}

pub(crate) async fn account(executor: impl SqliteExecutor<'_>) -> Result<Keeping, StoreError> {
    let row = sqlx::query("SELECT * FROM account_keeping WHERE id = 1").fetch_one(executor).await?;
    let number = |column| u32::try_from(row.count(column)?).map_err(|_| StoreError::Corrupt(column));
    Ok(Keeping { quota_s: number("quota_s")?, trash_days: number("trash_days")?, heard_days: number("heard_days")? })
}

/// What holds for every mailbox of which nothing else was said. Whose mailboxes are fuller by that, or less full.
pub(crate) async fn put_account(connection: &mut SqliteConnection, keeping: Keeping) -> Result<Vec<SubscriberId>, StoreError> {
    if account(&mut *connection).await? == keeping {
        return Ok(Vec::new());
    }
    sqlx::query("UPDATE account_keeping SET quota_s = ?, trash_days = ?, heard_days = ? WHERE id = 1")
        .bind(i64::from(keeping.quota_s))
        .bind(i64::from(keeping.trash_days))
        .bind(i64::from(keeping.heard_days))
        .execute(&mut *connection)
        .await?;
    let mut told = Vec::new();
    for person in users::all(&mut *connection).await? {
        if tell(connection, person.id).await? {
            told.push(person.id);
        }
    }
    Ok(told)
}

pub(crate) async fn own(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId) -> Result<OwnKeeping, StoreError> {
    let row =
        sqlx::query("SELECT * FROM own_keeping WHERE mailbox = ?").bind(mailbox.to_string()).fetch_optional(executor).await?;
    let Some(row) = row else { return Ok(OwnKeeping::default()) };
    // What is left to the account is no number of days or seconds.
    let number = |column| Ok::<_, StoreError>(u32::try_from(row.get_as::<i64>(column)?).ok());
    Ok(OwnKeeping { quota_s: number("quota_s")?, trash_days: number("trash_days")?, heard_days: number("heard_days")? })
}

/// Says what is kept of a mailbox.
pub(crate) async fn put_own(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    own: OwnKeeping,
    now: Timestamp,
) -> Result<(), StoreError> {
    let number = |value: Option<u32>| value.map_or(-1, i64::from);
    sqlx::query(
        "INSERT INTO own_keeping (mailbox, quota_s, trash_days, heard_days) VALUES (?, ?, ?, ?)
         ON CONFLICT (mailbox) DO UPDATE SET quota_s = excluded.quota_s, trash_days = excluded.trash_days,
            heard_days = excluded.heard_days",
    )
    .bind(mailbox.to_string())
    .bind(number(own.quota_s))
    .bind(number(own.trash_days))
    .bind(number(own.heard_days))
    .execute(&mut *connection)
    .await?;
    let said = |value: Option<u32>| value.map_or("the account's".into(), |value| value.to_string());
    let (quota, trash, heard) = (said(own.quota_s), said(own.trash_days), said(own.heard_days));
    note(&mut *connection, mailbox, &format!("quota_s {quota}, trash_days {trash}, heard_days {heard}"), now).await?;
    tell(connection, mailbox).await?;
    Ok(())
}

/// What holds for a mailbox.
pub(crate) async fn of(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<Keeping, StoreError> {
    Ok(own(&mut *connection, mailbox).await?.over(account(connection).await?))
}

/// How full a mailbox is; where it has no limit, nothing is counted.
pub(crate) async fn fullness(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<Fullness, StoreError> {
    match of(connection, mailbox).await?.quota_s {
        0 => Ok(Fullness::Roomy),
        quota_s => Ok(Fullness::of(used_ms(connection, mailbox).await?, quota_s)),
    }
}

/// How much room a mailbox has.
pub(crate) async fn room(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<MailboxRoom, StoreError> {
    let quota_s = of(connection, mailbox).await?.quota_s;
    let used_ms = used_ms(connection, mailbox).await?;
    Ok(MailboxRoom { used_s: used_ms / 1_000, quota_s, fullness: Fullness::of(used_ms, quota_s) })
}

/// Milliseconds of sound outside the trash.
async fn used_ms(executor: impl SqliteExecutor<'_>, mailbox: SubscriberId) -> Result<u64, StoreError> {
    sqlx::query("SELECT coalesce(sum(duration_ms), 0) AS used_ms FROM messages WHERE mailbox = ? AND deleted = 0")
        .bind(mailbox.to_string())
        .fetch_one(executor)
        .await?
        .count("used_ms")
}

/// Puts into the feed how full a mailbox is, if that isn't what was told last; whether it wasn't. To be called in every
/// transaction that changes what a mailbox holds outside the trash, or may hold.
pub(crate) async fn tell(connection: &mut SqliteConnection, mailbox: SubscriberId) -> Result<bool, StoreError> {
    let told = sqlx::query("SELECT told FROM fullness WHERE mailbox = ?")
        .bind(mailbox.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let told: Fullness = told.map(|row| row.word_as("told")).transpose()?.unwrap_or_default();
    let fullness = fullness(connection, mailbox).await?;
    if fullness == told {
        return Ok(false);
    }
    sqlx::query("INSERT INTO fullness (mailbox, told) VALUES (?, ?) ON CONFLICT (mailbox) DO UPDATE SET told = excluded.told")
        .bind(mailbox.to_string())
        .bind(word(fullness))
        .execute(&mut *connection)
        .await?;
    feed::room_changed(connection, mailbox).await?;
    Ok(true)
}

/// Does what retention wants of one mailbox.
pub(crate) async fn retain(
    connection: &mut SqliteConnection,
    mailbox: SubscriberId,
    now: Timestamp,
) -> Result<Retained, StoreError> {
    let Keeping { quota_s: _, trash_days, heard_days } = of(connection, mailbox).await?;
    let mut done = Retained::default();
    if let Some(before) = days_ago(trash_days, now) {
        let due = due(&mut *connection, mailbox, "deleted = 1", before).await?;
        for row in &due {
            commit::expunge(connection, messages::from_row(row)?, now).await?;
        }
        done.expunged = due.len();
    }
    if let Some(before) = days_ago(heard_days, now) {
        let due =
            due(&mut *connection, mailbox, &format!("deleted = 0 AND kept = '{}'", word(MessageState::Heard)), before).await?;
        for row in &due {
            let stored = messages::from_row(row)?;
            if let Some(after) = stored.standing.after(MessageAction::Delete) {
                let id = stored.message.envelope.id;
                messages::set_standing(&mut *connection, id, after, now).await?;
                feed::message_changed(connection, mailbox, id).await?;
            }
        }
        done.trashed = due.len();
    }
    done.more = done.expunged.max(done.trashed) >= AT_ONCE as usize;
    if done.expunged + done.trashed > 0 {
        tell(connection, mailbox).await?;
        done.mailboxes.insert(mailbox);
    }
    Ok(done)
}

/// The messages of this kind that nothing was done to since `before`, the oldest first.
async fn due(
    executor: impl SqliteExecutor<'_>,
    mailbox: SubscriberId,
    which: &str,
    before: Timestamp,
) -> Result<Vec<SqliteRow>, StoreError> {
    let sql = format!(
        "SELECT * FROM messages WHERE mailbox = ? AND {which} AND max(since_ns, arrived_ns) <= ?
         ORDER BY max(since_ns, arrived_ns), id LIMIT {AT_ONCE}"
    );
    Ok(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(mailbox.to_string()).bind(ns(before)).fetch_all(executor).await?)
}

/// `None` for never.
fn days_ago(days: u32, now: Timestamp) -> Option<Timestamp> {
    let span = Duration::from_secs(u64::from(days) * 24 * 3600);
    (days > 0).then(|| now.checked_sub(span).unwrap_or(Timestamp::MIN))
}

/// An administrator did something.
pub(crate) async fn note(
    executor: impl SqliteExecutor<'_>,
    mailbox: SubscriberId,
    what: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO audit (at_ns, mailbox, what) VALUES (?, ?, ?)")
        .bind(ns(now))
        .bind(mailbox.to_string())
        .bind(what)
        .execute(executor)
        .await?;
    Ok(())
}

/// What administrators did after the entry `since`.
pub(crate) async fn audit(executor: impl SqliteExecutor<'_>, since: i64) -> Result<Vec<Audited>, StoreError> {
    let rows = sqlx::query("SELECT * FROM audit WHERE id > ? ORDER BY id").bind(since).fetch_all(executor).await?;
    let read = |row: &SqliteRow| {
        let (id, what) = (row.get_as("id")?, row.string("what")?);
        Ok(Audited { id, at: row.time("at_ns")?, mailbox: row.parsed("mailbox")?, what })
    };
    rows.iter().map(read).collect()
}

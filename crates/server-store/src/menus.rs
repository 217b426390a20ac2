//! The phone menu of each person: PIN, layout of the keys, and whether it calls numbers of the outside from foreign phones.

use std::collections::BTreeSet;

use aftertone_model::{MenuLayout, Subscriber, SubscriberId, WrongPins};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    HashedPassword, StoreError,
    columns::{Columns, ns, word},
    users,
};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE menus (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        pin TEXT NOT NULL,    -- argon2id; '' opens the mailbox from devices of one's own alone
        layout TEXT NOT NULL,
        dials INTEGER NOT NULL
    ) STRICT;
    -- The exchange is to know who may call from the menu.
    CREATE TRIGGER directory_menus_added AFTER INSERT ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_menus_changed AFTER UPDATE OF dials ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_menus_removed AFTER DELETE ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
";

pub(crate) const SCHEMA_WRONG_PINS: &str = "
    CREATE TABLE wrong_pins (
        who TEXT NOT NULL PRIMARY KEY, -- a mailbox as it was entered, or a caller
        count INTEGER NOT NULL,
        until_ns INTEGER NOT NULL,
        last_ns INTEGER NOT NULL
    ) STRICT;
";

/// How somebody listens by phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhoneMenu {
    /// There is a PIN.
    pub has_pin: bool,
    /// What the keys mean.
    pub layout: MenuLayout,
    /// Numbers of the outside may be called from it on foreign phones.
    pub dials: bool,
}

pub(crate) async fn get(executor: impl SqliteExecutor<'_>, subscriber: SubscriberId) -> Result<PhoneMenu, StoreError> {
    let row =
        sqlx::query("SELECT * FROM menus WHERE subscriber = ?").bind(subscriber.to_string()).fetch_optional(executor).await?;
    let Some(row) = row else { return Ok(PhoneMenu::default()) };
    let has_pin = row.maybe_string("pin")?.is_some();
    Ok(PhoneMenu { has_pin, layout: row.word_as("layout")?, dials: row.flag("dials")? })
}

pub(crate) async fn set_layout(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    layout: MenuLayout,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO menus (subscriber, pin, layout, dials) VALUES (?, '', ?, 0)
         ON CONFLICT (subscriber) DO UPDATE SET layout = excluded.layout",
    )
    .bind(subscriber.to_string())
    .bind(word(layout))
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn set_dials(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    dials: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO menus (subscriber, pin, layout, dials) VALUES (?, '', ?, ?)
         ON CONFLICT (subscriber) DO UPDATE SET dials = excluded.dials",
    )
    .bind(subscriber.to_string())
    .bind(word(MenuLayout::default()))
    .bind(i64::from(dials))
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn set_pin(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    pin: Option<&HashedPassword>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO menus (subscriber, pin, layout, dials) VALUES (?, ?, ?, 0)
         ON CONFLICT (subscriber) DO UPDATE SET pin = excluded.pin",
    )
    .bind(subscriber.to_string())
    .bind(pin.map_or("", HashedPassword::as_str))
    .bind(word(MenuLayout::default()))
    .execute(executor)
    .await?;
    Ok(())
}

/// The person of this extension, with their PIN's hash if there is one.
pub(crate) async fn find_with_pin(
    executor: impl SqliteExecutor<'_>,
    extension: &str,
) -> Result<Option<(Subscriber, HashedPassword)>, StoreError> {
    let row = sqlx::query(
        "SELECT subscribers.*, menus.pin AS menu_pin FROM subscribers JOIN menus ON menus.subscriber = subscribers.id
         WHERE extension = ? AND menus.pin <> ''",
    )
    .bind(extension)
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((users::from_row(&row)?, HashedPassword::from_stored(row.string("menu_pin")?))))
}

pub(crate) async fn wrong_pins(executor: impl SqliteExecutor<'_>) -> Result<Vec<WrongPins>, StoreError> {
    let rows = sqlx::query("SELECT * FROM wrong_pins ORDER BY who").fetch_all(executor).await?;
    let wrong = |row: &SqliteRow| {
        let count = u32::try_from(row.count("count")?).unwrap_or(u32::MAX);
        Ok::<_, StoreError>(WrongPins {
            who: row.string("who")?,
            count,
            until: row.time("until_ns")?,
            last: row.time("last_ns")?,
        })
    };
    rows.iter().map(wrong).collect()
}

pub(crate) async fn put_wrong_pins(
    connection: &mut SqliteConnection,
    kept: &[WrongPins],
    forgotten: &[String],
) -> Result<(), StoreError> {
    for WrongPins { who, count, until, last } in kept {
        sqlx::query("INSERT OR REPLACE INTO wrong_pins (who, count, until_ns, last_ns) VALUES (?, ?, ?, ?)")
            .bind(who)
            .bind(i64::from(*count))
            .bind(ns(*until))
            .bind(ns(*last))
            .execute(&mut *connection)
            .await?;
    }
    for who in forgotten {
        sqlx::query("DELETE FROM wrong_pins WHERE who = ?").bind(who).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Who may call numbers of the outside from the menu on foreign phones.
pub(crate) async fn dialling(executor: impl SqliteExecutor<'_>) -> Result<BTreeSet<SubscriberId>, StoreError> {
    let rows = sqlx::query("SELECT subscriber FROM menus WHERE dials = 1").fetch_all(executor).await?;
    rows.iter().map(|row| row.parsed("subscriber")).collect()
}

//! What the exchange keeps over a restart: trunks, who may call what, do-not-disturb, and the bindings of phones.

use std::collections::BTreeMap;

use aftertone_model::{CallingRights, DeviceId, SubscriberId, Timestamp, Trunk};
use sqlx::{Row, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    Secret, StoreError,
    columns::{Columns, ns, word},
    secrets::ServerKey,
};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE trunks (
        name TEXT NOT NULL PRIMARY KEY,
        settings TEXT NOT NULL, -- JSON
        sealed BLOB NOT NULL    -- the password, encrypted with the server's key
    ) STRICT;
    CREATE TABLE calling (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        rights TEXT NOT NULL,
        do_not_disturb INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE bindings (
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        device TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
        contact TEXT NOT NULL,
        way TEXT NOT NULL, -- JSON of the exchange's
        expires_ns INTEGER NOT NULL,
        PRIMARY KEY (subscriber, device, contact)
    ) STRICT;
";

/// One row, which counts the changes of what a running server knows of people, phones and trunks.
pub(crate) const SCHEMA_2: &str = "
    CREATE TABLE directory (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL
    ) STRICT;
    INSERT INTO directory (id, version) VALUES (1, 0);
    CREATE TRIGGER directory_subscribers_added AFTER INSERT ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_subscribers_changed AFTER UPDATE ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_subscribers_removed AFTER DELETE ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_devices_added AFTER INSERT ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_devices_changed AFTER UPDATE OF subscriber, username, sealed ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_devices_removed AFTER DELETE ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_calling_added AFTER INSERT ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_calling_changed AFTER UPDATE ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_calling_removed AFTER DELETE ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_trunks_added AFTER INSERT ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_trunks_changed AFTER UPDATE ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
    CREATE TRIGGER directory_trunks_removed AFTER DELETE ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
";

pub(crate) async fn directory_version(executor: impl SqliteExecutor<'_>) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT version FROM directory WHERE id = 1").fetch_one(executor).await?;
    Ok(row.try_get("version")?)
}

/// How somebody may call and be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calling {
    /// Whom they may call over trunks.
    pub rights: CallingRights,
    /// Their devices don't ring.
    pub do_not_disturb: bool,
}

/// A phone's binding at the registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBinding {
    /// The phone.
    pub device: DeviceId,
    /// Its contact, a SIP URI.
    pub contact: String,
    /// How it is reached, as the exchange writes it.
    pub way: String,
    /// When it is over.
    pub expires_at: Timestamp,
}

pub(crate) async fn put_trunk(
    executor: impl SqliteExecutor<'_>,
    key: &ServerKey,
    trunk: &Trunk,
    password: &str,
) -> Result<(), StoreError> {
    let settings = serde_json::to_string(trunk).map_err(|_| StoreError::Corrupt("settings"))?;
    let sealed = key.seal(&owner(&trunk.name), password.as_bytes()).ok_or(StoreError::Corrupt("sealed"))?;
    sqlx::query(
        "INSERT INTO trunks (name, settings, sealed) VALUES (?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, sealed = excluded.sealed",
    )
    .bind(&trunk.name)
    .bind(settings)
    .bind(sealed)
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn trunks(executor: impl SqliteExecutor<'_>, key: &ServerKey) -> Result<Vec<(Trunk, Secret)>, StoreError> {
    let rows = sqlx::query("SELECT * FROM trunks ORDER BY name").fetch_all(executor).await?;
    rows.iter().map(|row| trunk(row, key)).collect()
}

fn trunk(row: &SqliteRow, key: &ServerKey) -> Result<(Trunk, Secret), StoreError> {
    let trunk: Trunk = row.maybe_json("settings")?.ok_or(StoreError::Corrupt("settings"))?;
    let clear = key.open(&owner(&trunk.name), row.get_as("sealed")?).ok_or(StoreError::Corrupt("sealed"))?;
    let password = String::from_utf8(clear).map_err(|_| StoreError::Corrupt("sealed"))?;
    Ok((trunk, Secret::given(password)))
}

/// What a trunk's secret is bound to.
fn owner(name: &str) -> String {
    format!("trunk {name}")
}

pub(crate) async fn remove_trunk(executor: impl SqliteExecutor<'_>, name: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query("DELETE FROM trunks WHERE name = ?").bind(name).execute(executor).await?.rows_affected() > 0)
}

pub(crate) async fn put_calling(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    calling: Calling,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO calling (subscriber, rights, do_not_disturb) VALUES (?, ?, ?)
         ON CONFLICT (subscriber) DO UPDATE SET rights = excluded.rights, do_not_disturb = excluded.do_not_disturb",
    )
    .bind(subscriber.to_string())
    .bind(word(calling.rights))
    .bind(i64::from(calling.do_not_disturb))
    .execute(executor)
    .await?;
    Ok(())
}

pub(crate) async fn calling(executor: impl SqliteExecutor<'_>) -> Result<BTreeMap<SubscriberId, Calling>, StoreError> {
    let rows = sqlx::query("SELECT * FROM calling").fetch_all(executor).await?;
    let read = |row: &SqliteRow| {
        let calling = Calling { rights: row.word_as("rights")?, do_not_disturb: row.flag("do_not_disturb")? };
        Ok((row.parsed("subscriber")?, calling))
    };
    rows.iter().map(read).collect()
}

/// Replaces what is known of a person's phones.
pub(crate) async fn put_bindings(
    connection: &mut SqliteConnection,
    subscriber: SubscriberId,
    bindings: &[StoredBinding],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM bindings WHERE subscriber = ?").bind(subscriber.to_string()).execute(&mut *connection).await?;
    for binding in bindings {
        // A phone that was revoked meanwhile has no row to refer to, and needs no binding.
        sqlx::query(
            "INSERT OR REPLACE INTO bindings (subscriber, device, contact, way, expires_ns)
             SELECT ?, id, ?, ?, ? FROM devices WHERE id = ?",
        )
        .bind(subscriber.to_string())
        .bind(&binding.contact)
        .bind(&binding.way)
        .bind(ns(binding.expires_at))
        .bind(binding.device.to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(crate) async fn bindings(
    executor: impl SqliteExecutor<'_>,
    now: Timestamp,
) -> Result<Vec<(SubscriberId, StoredBinding)>, StoreError> {
    let rows = sqlx::query("SELECT * FROM bindings WHERE expires_ns > ?").bind(ns(now)).fetch_all(executor).await?;
    let read = |row: &SqliteRow| {
        let binding = StoredBinding {
            device: row.parsed("device")?,
            contact: row.string("contact")?,
            way: row.string("way")?,
            expires_at: row.time("expires_ns")?,
        };
        Ok((row.parsed("subscriber")?, binding))
    };
    rows.iter().map(read).collect()
}

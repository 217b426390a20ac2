use aftertone_model::{DeviceId, SubscriberId, Timestamp};
use aftertone_sync::DeviceKind;
use serde::{Deserialize, Serialize};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    NewApp, NewPhone, PhoneCredentials, Secret, StoreError, StoredDevice,
    columns::{Columns, ns, word},
    secrets::{self, ServerKey},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE devices (
        id TEXT NOT NULL PRIMARY KEY,
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        last_seen_ns INTEGER NOT NULL,
        token_hash BLOB NOT NULL DEFAULT x'', -- an app's
        username TEXT NOT NULL DEFAULT '',    -- a phone's
        sealed BLOB NOT NULL DEFAULT x''      -- a phone's digest hashes, encrypted with the server's key
    ) STRICT;
    CREATE INDEX devices_by_subscriber ON devices (subscriber, created_ns);
    CREATE UNIQUE INDEX devices_by_token ON devices (token_hash) WHERE token_hash <> x'';
    CREATE UNIQUE INDEX devices_by_username ON devices (username) WHERE username <> '';
";

/// Between two writes of the time a device was seen.
const SEEN_EVERY_S: i64 = 60;

/// What a phone's row holds encrypted.
#[derive(Serialize, Deserialize)]
struct DigestHashes {
    realm: String,
    ha1_md5: String,
    ha1_sha256: String,
    #[serde(default)]
    ha1_sha512_256: String,
}

fn from_row(row: &SqliteRow) -> Result<StoredDevice, StoreError> {
    Ok(StoredDevice {
        id: row.parsed("id")?,
        subscriber: row.parsed("subscriber")?,
        name: row.string("name")?,
        kind: row.word_as("kind")?,
        created_at: row.time("created_ns")?,
        last_seen_at: row.time("last_seen_ns")?,
    })
}

fn new_device(subscriber: SubscriberId, name: &str, kind: DeviceKind, now: Timestamp) -> StoredDevice {
    let name = name.chars().take(100).collect();
    StoredDevice { id: DeviceId::from_random(rand::random()), subscriber, name, kind, created_at: now, last_seen_at: now }
}

pub(crate) async fn add_app(
    connection: &mut SqliteConnection,
    subscriber: SubscriberId,
    name: &str,
    now: Timestamp,
) -> Result<NewApp, StoreError> {
    let device = new_device(subscriber, name, DeviceKind::App, now);
    let token = Secret::token();
    insert(connection, &device, &secrets::token_hash(token.expose()), "", &[]).await?;
    Ok(NewApp { device, token })
}

pub(crate) async fn add_phone(
    connection: &mut SqliteConnection,
    key: &ServerKey,
    subscriber: SubscriberId,
    name: &str,
    realm: &str,
    now: Timestamp,
) -> Result<NewPhone, StoreError> {
    let device = new_device(subscriber, name, DeviceKind::Phone, now);
    // 31^10 names: random enough to be unique, and to be no hint at the extension for those who guess.
    let username = format!("phone-{}", secrets::pick(10));
    let password = Secret::password();
    let hashes = DigestHashes {
        realm: realm.to_owned(),
        ha1_md5: secrets::ha1_md5(&username, realm, password.expose()),
        ha1_sha256: secrets::ha1_sha256(&username, realm, password.expose()),
        ha1_sha512_256: secrets::ha1_sha512_256(&username, realm, password.expose()),
    };
    let clear = serde_json::to_vec(&hashes).map_err(|_| StoreError::Corrupt("realm"))?;
    let sealed = key.seal(&device.id.to_string(), &clear).ok_or(StoreError::Corrupt("sealed"))?;
    insert(connection, &device, &[], &username, &sealed).await?;
    Ok(NewPhone { device, username, password })
}

async fn insert(
    connection: &mut SqliteConnection,
    device: &StoredDevice,
    token_hash: &[u8],
    username: &str,
    sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO devices (id, subscriber, name, kind, created_ns, last_seen_ns, token_hash, username, sealed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(device.id.to_string())
    .bind(device.subscriber.to_string())
    .bind(&device.name)
    .bind(word(device.kind))
    .bind(ns(device.created_at))
    .bind(ns(device.last_seen_at))
    .bind(token_hash)
    .bind(username)
    .bind(sealed)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn of(executor: impl SqliteExecutor<'_>, subscriber: SubscriberId) -> Result<Vec<StoredDevice>, StoreError> {
    let rows = sqlx::query("SELECT * FROM devices WHERE subscriber = ? ORDER BY created_ns, id")
        .bind(subscriber.to_string())
        .fetch_all(executor)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn phones(executor: impl SqliteExecutor<'_>, key: &ServerKey) -> Result<Vec<PhoneCredentials>, StoreError> {
    let rows = sqlx::query("SELECT * FROM devices WHERE kind = ? ORDER BY username")
        .bind(word(DeviceKind::Phone))
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| credentials(row, key)).collect()
}

fn credentials(row: &SqliteRow, key: &ServerKey) -> Result<PhoneCredentials, StoreError> {
    let device: DeviceId = row.parsed("id")?;
    let clear = key.open(&device.to_string(), row.get_as("sealed")?).ok_or(StoreError::Corrupt("sealed"))?;
    let hashes: DigestHashes = serde_json::from_slice(&clear).map_err(|_| StoreError::Corrupt("sealed"))?;
    Ok(PhoneCredentials {
        device,
        subscriber: row.parsed("subscriber")?,
        username: row.string("username")?,
        realm: hashes.realm,
        ha1_md5: hashes.ha1_md5,
        ha1_sha256: hashes.ha1_sha256,
        ha1_sha512_256: hashes.ha1_sha512_256,
    })
}

pub(crate) async fn by_token(executor: impl SqliteExecutor<'_>, token: &str) -> Result<Option<StoredDevice>, StoreError> {
    let row = sqlx::query("SELECT * FROM devices WHERE token_hash = ?")
        .bind(secrets::token_hash(token))
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Whether the time should be written: the device is known, and was last seen a while ago.
pub(crate) async fn is_stale(executor: impl SqliteExecutor<'_>, device: DeviceId, now: Timestamp) -> Result<bool, StoreError> {
    let row =
        sqlx::query("SELECT last_seen_ns FROM devices WHERE id = ?").bind(device.to_string()).fetch_optional(executor).await?;
    let Some(row) = row else { return Ok(false) };
    Ok(now.as_second().saturating_sub(row.time("last_seen_ns")?.as_second()) >= SEEN_EVERY_S)
}

pub(crate) async fn seen(executor: impl SqliteExecutor<'_>, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET last_seen_ns = max(last_seen_ns, ?) WHERE id = ?")
        .bind(ns(now))
        .bind(device.to_string())
        .execute(executor)
        .await?;
    Ok(())
}

/// The same, unless it was seen less than a minute before.
pub(crate) async fn seen_if_stale(executor: impl SqliteExecutor<'_>, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET last_seen_ns = ? WHERE id = ? AND last_seen_ns <= ?")
        .bind(ns(now))
        .bind(device.to_string())
        .bind(ns(now).saturating_sub(SEEN_EVERY_S * 1_000_000_000))
        .execute(executor)
        .await?;
    Ok(())
}

pub(crate) async fn is_of(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    device: DeviceId,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM devices WHERE id = ? AND subscriber = ?")
        .bind(device.to_string())
        .bind(subscriber.to_string())
        .fetch_optional(executor)
        .await?;
    Ok(row.is_some())
}

/// Takes these away, whosever they are.
pub(crate) async fn forget(connection: &mut SqliteConnection, devices: &[DeviceId]) -> Result<(), StoreError> {
    for device in devices {
        sqlx::query("DELETE FROM devices WHERE id = ?").bind(device.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(crate) async fn revoke(
    executor: impl SqliteExecutor<'_>,
    subscriber: SubscriberId,
    device: DeviceId,
) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM devices WHERE id = ? AND subscriber = ?")
        .bind(device.to_string())
        .bind(subscriber.to_string())
        .execute(executor)
        .await?;
    Ok(done.rows_affected() > 0)
}

use aftertone_model::{Subscriber, SubscriberId};
use sqlx::{SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    HashedPassword, NewSubscriber, StoreError, SubscriberError, SubscriberSettings,
    columns::{Columns, word},
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE subscribers (
        id TEXT NOT NULL PRIMARY KEY,
        user TEXT NOT NULL UNIQUE,
        extension TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        language TEXT NOT NULL,
        ring_s INTEGER NOT NULL,
        password TEXT NOT NULL DEFAULT '' -- argon2id; '' signs in by invitation alone
    ) STRICT;
";

pub(crate) fn from_row(row: &SqliteRow) -> Result<Subscriber, StoreError> {
    Ok(Subscriber {
        id: row.parsed("id")?,
        user: row.parsed("user")?,
        extension: row.parsed("extension")?,
        display_name: row.string("display_name")?,
        language: row.word_as("language")?,
        ring_s: u16::try_from(row.count("ring_s")?).map_err(|_| StoreError::Corrupt("ring_s"))?,
    })
}

pub(crate) async fn add(connection: &mut SqliteConnection, new: NewSubscriber) -> Result<Subscriber, SubscriberError> {
    let NewSubscriber { user, extension, display_name, language, ring_s, password } = new;
    if find(&mut *connection, user.as_str()).await?.is_some() {
        return Err(SubscriberError::UserTaken);
    }
    if find(&mut *connection, extension.as_str()).await?.is_some() {
        return Err(SubscriberError::ExtensionTaken);
    }
    let id = SubscriberId::from_random(rand::random());
    sqlx::query(
        "INSERT INTO subscribers (id, user, extension, display_name, language, ring_s, password)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(user.as_str())
    .bind(extension.as_str())
    .bind(&display_name)
    .bind(word(language))
    .bind(i64::from(ring_s))
    .bind(password.as_ref().map_or("", HashedPassword::as_str))
    .execute(connection)
    .await?;
    Ok(Subscriber { id, user, extension, display_name, language, ring_s })
}

pub(crate) async fn change(
    connection: &mut SqliteConnection,
    id: SubscriberId,
    settings: &SubscriberSettings,
) -> Result<Option<Subscriber>, StoreError> {
    sqlx::query("UPDATE subscribers SET display_name = ?, language = ?, ring_s = ? WHERE id = ?")
        .bind(&settings.display_name)
        .bind(word(settings.language))
        .bind(i64::from(settings.ring_s))
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    get(connection, id).await
}

pub(crate) async fn set_password(
    executor: impl SqliteExecutor<'_>,
    id: SubscriberId,
    password: Option<&HashedPassword>,
) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE subscribers SET password = ? WHERE id = ?")
        .bind(password.map_or("", HashedPassword::as_str))
        .bind(id.to_string())
        .execute(executor)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn all(executor: impl SqliteExecutor<'_>) -> Result<Vec<Subscriber>, StoreError> {
    let rows = sqlx::query("SELECT * FROM subscribers ORDER BY length(extension), extension").fetch_all(executor).await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn get(executor: impl SqliteExecutor<'_>, id: SubscriberId) -> Result<Option<Subscriber>, StoreError> {
    let row = sqlx::query("SELECT * FROM subscribers WHERE id = ?").bind(id.to_string()).fetch_optional(executor).await?;
    row.as_ref().map(from_row).transpose()
}

/// User names begin with a letter and extensions have digits alone, so that one text can only mean one of them.
pub(crate) async fn find(executor: impl SqliteExecutor<'_>, name: &str) -> Result<Option<Subscriber>, StoreError> {
    Ok(find_with_password(executor, name).await?.map(|(subscriber, _)| subscriber))
}

pub(crate) async fn find_with_password(
    executor: impl SqliteExecutor<'_>,
    name: &str,
) -> Result<Option<(Subscriber, Option<HashedPassword>)>, StoreError> {
    let name = name.trim().to_ascii_lowercase();
    let row = sqlx::query("SELECT * FROM subscribers WHERE user = ? OR extension = ?")
        .bind(&name)
        .bind(&name)
        .fetch_optional(executor)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((from_row(&row)?, row.maybe_string("password")?.map(HashedPassword::from_stored))))
}

use aftertone_model::{Greeting, GreetingId};
use sqlx::{SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError,
    columns::{json, to_json},
};

pub(crate) const SCHEMA_1: &str = "
    -- As the server last told them; what is recorded here and waits to be sent isn't among them.
    CREATE TABLE greetings (
        id TEXT NOT NULL PRIMARY KEY,
        greeting TEXT NOT NULL -- as JSON
    ) STRICT, WITHOUT ROWID;
";

pub(crate) async fn all(executor: impl SqliteExecutor<'_>) -> Result<Vec<Greeting>, StoreError> {
    let rows = sqlx::query("SELECT greeting FROM greetings ORDER BY id").fetch_all(executor).await?;
    rows.iter().map(|row: &SqliteRow| json(row, "greeting")).collect()
}

/// Whether it looks different now.
pub(crate) async fn put(executor: impl SqliteExecutor<'_>, greeting: &Greeting) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO greetings (id, greeting) VALUES (?, ?)
         ON CONFLICT (id) DO UPDATE SET greeting = excluded.greeting WHERE greeting <> excluded.greeting",
    )
    .bind(greeting.id.to_string())
    .bind(to_json(greeting)?)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether there was one.
pub(crate) async fn remove(executor: impl SqliteExecutor<'_>, id: GreetingId) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM greetings WHERE id = ?").bind(id.to_string()).execute(executor).await?;
    Ok(done.rows_affected() > 0)
}

/// Whether there were any.
pub(crate) async fn clear(executor: impl SqliteExecutor<'_>) -> Result<bool, StoreError> {
    Ok(sqlx::query("DELETE FROM greetings").execute(executor).await?.rows_affected() > 0)
}

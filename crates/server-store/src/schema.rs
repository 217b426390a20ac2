use sqlx::{Row, SqliteConnection};

use crate::{
    StoreError, blobs, call_records, devices, exchange, feed, greetings, holds, idempotency, invitations, jobs, keeping, menus,
    messages, users,
};

/// Every step that the schema ever took, in order. A step that was released is never edited: add another.
const STEPS: &[&[&str]] = &[
    &[
        LIFE,
        users::SCHEMA_1,
        devices::SCHEMA_1,
        invitations::SCHEMA_1,
        blobs::SCHEMA_1,
        messages::SCHEMA_1,
        call_records::SCHEMA_1,
        feed::SCHEMA_1,
        jobs::SCHEMA_1,
        idempotency::SCHEMA_1,
    ],
    &[exchange::SCHEMA],
    &[exchange::SCHEMA_2],
    &[blobs::SCHEMA_LOUDNESS],
    &[greetings::SCHEMA],
    &[menus::SCHEMA],
    &[keeping::SCHEMA, holds::SCHEMA],
    &[messages::SCHEMA_MARKS],
    &[messages::SCHEMA_TESTS],
    &[menus::SCHEMA_WRONG_PINS],
    &[call_records::SCHEMA_FIGURES],
];

/// One row: which life of the database this is. A copy that was made as a backup says so, and gets a new epoch when it
/// is opened, since devices may have seen changes that it doesn't know.
const LIFE: &str = "
    CREATE TABLE life (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        is_backup INTEGER NOT NULL
    ) STRICT;
    INSERT INTO life (id, epoch, is_backup) VALUES (1, 0, 1);
";

/// Brings the schema up to this program's version.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?.try_get(0)?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
        // The version is set in the same transaction, so a step is done once.
        let mut sql = String::from("BEGIN IMMEDIATE;\n");
        step.iter().for_each(|part| sql.push_str(part));
        sql.push_str(&format!("PRAGMA user_version = {number};\nCOMMIT;"));
        if let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await {
            // Fails if the step never began; the error of the step is the one to tell.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
            return Err(error.into());
        }
    }
    Ok(())
}

/// The epoch of a database, and whether it is a new one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) epoch: u32,
    pub(crate) is_new: bool,
}

/// The epoch, a new one if this file was made as a backup (or just now).
pub(crate) async fn begin_life(connection: &mut SqliteConnection) -> Result<Life, StoreError> {
    let row = sqlx::query("SELECT epoch, is_backup FROM life WHERE id = 1").fetch_one(&mut *connection).await?;
    let (epoch, is_backup): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if is_backup == 0 {
        let epoch = u32::try_from(epoch).map_err(|_| StoreError::Corrupt("epoch"))?;
        return Ok(Life { epoch, is_new: false });
    }
    let mut fresh = rand::random_range(1..=u32::MAX);
    if i64::from(fresh) == epoch {
        fresh = fresh.wrapping_add(1).max(1);
    }
    sqlx::query("UPDATE life SET epoch = ?, is_backup = 0 WHERE id = 1").bind(i64::from(fresh)).execute(connection).await?;
    Ok(Life { epoch: fresh, is_new: true })
}

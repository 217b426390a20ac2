use sqlx::{Row, SqliteConnection};

use crate::{StoreError, call_records, greetings, messages, outbox, settings, sounds};

/// Every step that the schema ever took, in order. A step that was released is never edited: add another.
const STEPS: &[&[&str]] = &[
    &[settings::SCHEMA_1, messages::SCHEMA_1, call_records::SCHEMA_1, outbox::SCHEMA_1, sounds::SCHEMA_1],
    &[messages::SCHEMA_2],
    &[greetings::SCHEMA_1],
];

/// Brings the schema up to this program's version.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?.try_get(0)?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
        // The version is set in the same transaction, so a step is done once.
        let sql = format!("BEGIN IMMEDIATE;\n{}PRAGMA user_version = {number};\nCOMMIT;", step.concat());
        if let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await {
            // Fails if the step never began; the error of the step is the one to tell.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
            return Err(error.into());
        }
    }
    Ok(())
}

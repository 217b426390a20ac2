use std::path::Path;

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::StoreError;

/// Copies the database as it is at one moment, and marks the copy, so that it begins a new epoch when it is opened.
/// The mark is made aside: a file that has the final name is complete.
pub(crate) async fn backup(connection: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let taken = || std::io::Error::new(std::io::ErrorKind::AlreadyExists, "the backup's file exists");
    if std::fs::exists(to)? {
        return Err(taken().into());
    }
    let mut aside = to.as_os_str().to_owned();
    aside.push(".part");
    let aside = Path::new(&aside);
    let Some(name) = aside.to_str() else {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the backup's name is not Unicode").into());
    };
    if std::fs::exists(aside)? {
        std::fs::remove_file(aside)?;
    }
    sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await?;
    let options =
        SqliteConnectOptions::new().filename(aside).journal_mode(SqliteJournalMode::Delete).synchronous(SqliteSynchronous::Full);
    let mut copy = options.connect().await?;
    sqlx::query("UPDATE life SET is_backup = 1 WHERE id = 1").execute(&mut copy).await?;
    copy.close().await?;
    std::fs::rename(aside, to)?;
    crate::disk::sync_dir(to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(())
}

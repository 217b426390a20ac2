use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use aftertone_model::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{StoreError, columns::Columns, disk::sync_dir};

/// Written last: a folder without it is no complete backup.
const MARK: &str = "backup.json";
/// What a backup takes along if it is there, beside the database and the sounds.
const BESIDE: [&str; 3] = ["key", "domain", "revoked"];

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// When it was begun.
    pub made_at: Timestamp,
    /// How many sounds.
    pub sounds: u64,
    /// How many bytes all of it has.
    pub bytes: u64,
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder has no mark of a complete backup.
    #[error("{0} is no complete backup: {MARK} is missing or unreadable")]
    Incomplete(PathBuf),
    /// There is an account already.
    #[error("there is an account in {0}: it is only replaced when that is asked for")]
    Taken(PathBuf),
    /// The files.
    #[error("a file can't be read or written")]
    File(#[from] io::Error),
}

/// A sound of the database: its file below the folder of blobs, and its length.
pub(crate) struct SoundFile {
    file: String,
    bytes: u64,
}

pub(crate) fn make_empty(to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    if fs::read_dir(to)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the backup's folder is not empty"));
    }
    Ok(())
}

pub(crate) async fn sounds_of(copy: &Path) -> Result<Vec<SoundFile>, StoreError> {
    let mut database = SqliteConnectOptions::new().filename(copy).read_only(true).connect().await?;
    let rows = sqlx::query("SELECT file, bytes FROM blobs ORDER BY file").fetch_all(&mut database).await?;
    let sounds = rows.iter().map(|row| Ok(SoundFile { file: row.string("file")?, bytes: row.count("bytes")? })).collect();
    database.close().await?;
    sounds
}

/// Copies what belongs to the database that is in `to` already, and marks the folder as complete.
pub(crate) fn copy_all(from: &Path, to: &Path, sounds: &[SoundFile], now: Timestamp) -> io::Result<BackedUp> {
    let mut bytes = fs::metadata(to.join("aftertone.db"))?.len();
    for SoundFile { file, bytes: length } in sounds {
        let copied = copy(&from.join("blobs").join(file), &to.join("blobs").join(file))?;
        if copied != *length {
            return Err(io::Error::other(format!("the sound {file} has {copied} bytes instead of {length}")));
        }
        bytes += copied;
    }
    for name in BESIDE {
        if fs::exists(from.join(name))? {
            bytes += copy(&from.join(name), &to.join(name))?;
        }
    }
    let backed_up = BackedUp { made_at: now, sounds: sounds.len() as u64, bytes };
    let part = to.join("backup.part");
    fs::write(&part, serde_json::to_vec(&backed_up).map_err(io::Error::other)?)?;
    File::open(&part)?.sync_all()?;
    fs::rename(part, to.join(MARK))?;
    sync_dir(to)?;
    Ok(backed_up)
}

/// Puts a backup into a data folder that no server uses. With `replace` an account that is there makes room: its database and
/// key are kept in a folder `replaced-SECONDS`, its sounds and unfinished recordings stay. Devices notice a new epoch. Those
/// that were revoked, by either of the two accounts, stay out.
///
/// # Errors
/// Where the backup isn't complete, there is an account and `replace` isn't said, or a file fails. The database comes last:
/// before it nothing of an account that was there is lost.
pub fn restore(backup: &Path, data: &Path, replace: bool, now: Timestamp) -> Result<BackedUp, RestoreError> {
    let incomplete = || RestoreError::Incomplete(backup.to_owned());
    let mark = fs::read(backup.join(MARK)).map_err(|_| incomplete())?;
    let backed_up: BackedUp = serde_json::from_slice(&mark).map_err(|_| incomplete())?;
    let is_taken = fs::exists(data.join("aftertone.db"))?;
    if is_taken && !replace {
        return Err(RestoreError::Taken(data.to_owned()));
    }
    copy_tree(&backup.join("blobs"), &data.join("blobs"))?;
    let mut revoked = crate::revoked::all(data)?;
    revoked.extend(crate::revoked::all(backup)?);
    if is_taken {
        set_aside(data, &data.join(format!("replaced-{}", now.as_second())))?;
    }
    crate::revoked::replace(data, &revoked)?;
    for name in ["key", "domain"] {
        if fs::exists(backup.join(name))? {
            copy(&backup.join(name), &data.join(name))?;
        }
    }
    let part = data.join("aftertone.db.part");
    copy(&backup.join("aftertone.db"), &part)?;
    fs::rename(part, data.join("aftertone.db"))?;
    sync_dir(data)?;
    Ok(backed_up)
}

fn set_aside(data: &Path, aside: &Path) -> io::Result<()> {
    fs::create_dir(aside)?;
    for name in ["aftertone.db", "aftertone.db-wal", "aftertone.db-shm", "key", "domain"] {
        if fs::exists(data.join(name))? {
            fs::rename(data.join(name), aside.join(name))?;
        }
    }
    sync_dir(aside)?;
    sync_dir(data)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::exists(from)? {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if fs::metadata(&target).map(|there| there.len()).ok() != Some(entry.metadata()?.len()) {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies a file durably, with its permissions; how long it is.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let dir = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let length = fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    sync_dir(dir)?;
    Ok(length)
}

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

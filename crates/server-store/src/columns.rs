//! How values stand in columns: ids, addresses and words as text, times as nanoseconds, absent texts as empty ones.

use std::str::FromStr;

use aftertone_model::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};

use crate::StoreError;

/// A time as nanoseconds since 1970; good for the years 1677 to 2262.
pub(crate) fn ns(time: Timestamp) -> i64 {
    let clamped = time.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(clamped).unwrap_or(i64::MAX)
}

/// The word that the API uses for a value of one of our plain enums.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// A value as JSON in a column; empty when there is none.
pub(crate) fn json<T: Serialize>(value: Option<&T>) -> String {
    value.and_then(|value| serde_json::to_string(value).ok()).unwrap_or_default()
}

/// Typed reading of a row.
pub(crate) trait Columns {
    /// A number, a text or bytes.
    fn get_as<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &'static str) -> Result<T, StoreError>;

    fn string(&self, column: &'static str) -> Result<String, StoreError> {
        self.get_as(column)
    }

    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.get_as::<i64>(column)? != 0)
    }

    /// Something never negative.
    fn count(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.get_as::<i64>(column)?).map_err(|_| StoreError::Corrupt(column))
    }

    /// An id or an address.
    fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.string(column)?.parse().map_err(|_| StoreError::Corrupt(column))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_nanosecond(i128::from(self.get_as::<i64>(column)?)).map_err(|_| StoreError::Corrupt(column))
    }

    /// Zero is no time.
    fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        if self.get_as::<i64>(column)? == 0 { Ok(None) } else { self.time(column).map(Some) }
    }

    /// The empty text is no text.
    fn maybe_string(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(Some(self.string(column)?).filter(|text| !text.is_empty()))
    }

    fn word_as<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_value(serde_json::Value::String(self.string(column)?)).map_err(|_| StoreError::Corrupt(column))
    }

    fn maybe_word<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        if self.string(column)?.is_empty() { Ok(None) } else { self.word_as(column).map(Some) }
    }

    fn maybe_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.maybe_string(column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| StoreError::Corrupt(column))
    }
}

impl Columns for SqliteRow {
    fn get_as<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &'static str) -> Result<T, StoreError> {
        self.try_get(column).map_err(|_| StoreError::Corrupt(column))
    }
}

/// A length or a number for a column.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

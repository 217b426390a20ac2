use aftertone_model::{Message, MessageId, MessageState};
use aftertone_sync::{Pending, overlay};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use crate::{
    StoreError,
    columns::{count, json, ns, to_json},
    outbox,
};

pub(crate) const SCHEMA_1: &str = "
    CREATE TABLE messages (
        row INTEGER NOT NULL PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        received_ns INTEGER NOT NULL,
        shown TEXT NOT NULL,   -- its state with the outbox applied; '' while an expunge waits
        number TEXT NOT NULL,
        text TEXT NOT NULL,    -- what is searched, in lower case
        message TEXT NOT NULL  -- as the server told it, as JSON
    ) STRICT;
    CREATE INDEX messages_by_time ON messages (received_ns, id);
    CREATE INDEX messages_by_shown ON messages (shown, received_ns, id);
    -- Parts of words are found too, as is the middle of a number.
    CREATE VIRTUAL TABLE search USING fts5 (text, tokenize = 'trigram case_sensitive 1');
";

/// So that counting, and going far down a folder, reads no message that isn't shown.
pub(crate) const SCHEMA_2: &str = "
    DROP INDEX messages_by_time;
    CREATE INDEX messages_by_time ON messages (received_ns, id, shown);
    CREATE INDEX messages_by_number ON messages (number, shown);
";

/// Fewer digits mean too many numbers.
const SHORTEST_NUMBER: usize = 4;

/// Trigrams find nothing shorter.
const TRIGRAM: usize = 3;

/// A view of the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Folder {
    /// Nobody listened yet.
    New,
    /// All but the trash.
    #[default]
    All,
    /// Kept on purpose.
    Saved,
    /// Deleted.
    Trash,
}

/// A part of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Which folder.
    pub folder: Folder,
    /// Every word of it must be in the caller's name or number, the note, or the name of who forwarded it; in whatever
    /// case, also as a part of a word. Digits match a number however they are set apart, and as they are dialled. Empty for
    /// all.
    pub query: String,
    /// Index of the first message.
    pub offset: u32,
    /// How many messages.
    pub limit: u32,
}

/// What a window shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The messages, the newest first, with the outbox applied.
    pub messages: Vec<Message>,
    /// How many the folder has for this query.
    pub total: u32,
}

/// How many messages are in each folder, with the outbox applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FolderCounts {
    /// In [`Folder::New`].
    pub new: u32,
    /// In [`Folder::All`].
    pub all: u32,
    /// In [`Folder::Saved`].
    pub saved: u32,
    /// In [`Folder::Trash`].
    pub trash: u32,
}

/// The message as its owner sees it: `shown` stands for the outbox.
fn from_row(row: &SqliteRow) -> Result<Message, StoreError> {
    let message: Message = json(row, "message")?;
    Ok(Message { state: state(row.try_get("shown")?)?, ..message })
}

fn word(state: MessageState) -> &'static str {
    match state {
        MessageState::New => "new",
        MessageState::Heard => "heard",
        MessageState::Saved => "saved",
        MessageState::Deleted => "deleted",
    }
}

fn state(word: &str) -> Result<MessageState, StoreError> {
    match word {
        "new" => Ok(MessageState::New),
        "heard" => Ok(MessageState::Heard),
        "saved" => Ok(MessageState::Saved),
        "deleted" => Ok(MessageState::Deleted),
        _ => Err(StoreError::Corrupt("shown")),
    }
}

fn shown(message: &Message, pending: &[Pending]) -> &'static str {
    overlay(message, pending).map_or("", |shown| word(shown.state))
}

/// Stores a message as the server told it.
pub(crate) async fn put(connection: &mut SqliteConnection, message: &Message, pending: &[Pending]) -> Result<(), StoreError> {
    let id = message.envelope.id.to_string();
    remove(connection, message.envelope.id).await?;
    let text = searched(message);
    let done = sqlx::query("INSERT INTO messages (id, received_ns, shown, number, text, message) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(&id)
        .bind(ns(message.envelope.received_at))
        .bind(shown(message, pending))
        .bind(&message.envelope.caller.number)
        .bind(&text)
        .bind(to_json(message)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO search (rowid, text) VALUES (?, ?)")
        .bind(done.last_insert_rowid())
        .bind(&text)
        .execute(connection)
        .await?;
    Ok(())
}

/// Applies the outbox to one message again.
pub(crate) async fn overlay_again(connection: &mut SqliteConnection, id: MessageId) -> Result<(), StoreError> {
    let pending = outbox::all(&mut *connection).await?;
    overlay_with(connection, id, &pending).await
}

/// Applies the outbox, which is `pending`, to one message.
pub(crate) async fn overlay_with(
    connection: &mut SqliteConnection,
    id: MessageId,
    pending: &[Pending],
) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT message FROM messages WHERE id = ?").bind(id.to_string()).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(()) };
    sqlx::query("UPDATE messages SET shown = ? WHERE id = ?")
        .bind(shown(&json::<Message>(&row, "message")?, pending))
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether it was there.
pub(crate) async fn remove(connection: &mut SqliteConnection, id: MessageId) -> Result<bool, StoreError> {
    let row = sqlx::query("DELETE FROM messages WHERE id = ? RETURNING row")
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(false) };
    sqlx::query("DELETE FROM search WHERE rowid = ?").bind(row.try_get::<i64, _>("row")?).execute(connection).await?;
    Ok(true)
}

pub(crate) async fn ids(executor: impl SqliteExecutor<'_>) -> Result<Vec<MessageId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM messages ORDER BY id").fetch_all(executor).await?;
    rows.iter().map(|row| row.try_get::<&str, _>("id")?.parse().map_err(|_| StoreError::Corrupt("id"))).collect()
}

pub(crate) async fn get(executor: impl SqliteExecutor<'_>, id: MessageId) -> Result<Option<Message>, StoreError> {
    let row = sqlx::query("SELECT message, shown FROM messages WHERE id = ? AND shown <> ''")
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Those of `ids` that are there, in no order.
pub(crate) async fn some(executor: impl SqliteExecutor<'_>, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT message, shown FROM messages WHERE shown <> '' AND id IN (");
    let mut list = sql.separated(", ");
    ids.iter().for_each(|id| _ = list.push_bind(id.to_string()));
    list.push_unseparated(")");
    sql.build().fetch_all(executor).await?.iter().map(from_row).collect()
}

/// How many of `number` nobody listened to.
pub(crate) async fn new_from(executor: impl SqliteExecutor<'_>, number: &str) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT count(*) AS new FROM messages WHERE number = ? AND shown = 'new'");
    count(&row.bind(number).fetch_one(executor).await?, "new")
}

/// How many nobody listened to.
pub(crate) async fn new(executor: impl SqliteExecutor<'_>) -> Result<u64, StoreError> {
    count(&sqlx::query("SELECT count(*) AS new FROM messages WHERE shown = 'new'").fetch_one(executor).await?, "new")
}

pub(crate) async fn all(executor: impl SqliteExecutor<'_>) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query("SELECT message, shown FROM messages WHERE shown <> '' ORDER BY received_ns DESC, id DESC")
        .fetch_all(executor)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn counts(executor: impl SqliteExecutor<'_>) -> Result<FolderCounts, StoreError> {
    let row = sqlx::query(
        "SELECT coalesce(sum(shown = 'new'), 0) AS new, coalesce(sum(shown IN ('new', 'heard', 'saved')), 0) AS 'all',
                coalesce(sum(shown = 'saved'), 0) AS saved, coalesce(sum(shown = 'deleted'), 0) AS trash
         FROM messages",
    )
    .fetch_one(executor)
    .await?;
    let number = |column| Ok::<_, StoreError>(u32::try_from(count(&row, column)?).unwrap_or(u32::MAX));
    Ok(FolderCounts { new: number("new")?, all: number("all")?, saved: number("saved")?, trash: number("trash")? })
}

/// To be called in a transaction, so that rows and total are of one moment.
pub(crate) async fn window(connection: &mut SqliteConnection, window: &Window) -> Result<Listing, StoreError> {
    let mut total = QueryBuilder::new("SELECT count(*) AS total FROM messages WHERE ");
    push_conditions(&mut total, window);
    let row = total.build().fetch_one(&mut *connection).await?;
    let total = u32::try_from(count(&row, "total")?).unwrap_or(u32::MAX);

    let mut page = QueryBuilder::new("SELECT message, shown FROM messages WHERE ");
    push_conditions(&mut page, window);
    page.push(" ORDER BY received_ns DESC, id DESC LIMIT ").push_bind(i64::from(window.limit));
    page.push(" OFFSET ").push_bind(i64::from(window.offset));
    let rows = page.build().fetch_all(connection).await?;
    Ok(Listing { messages: rows.iter().map(from_row).collect::<Result<_, _>>()?, total })
}

fn push_conditions(sql: &mut QueryBuilder<Sqlite>, window: &Window) {
    sql.push(match window.folder {
        Folder::New => "shown = 'new'",
        Folder::All => "shown IN ('new', 'heard', 'saved')",
        Folder::Saved => "shown = 'saved'",
        Folder::Trash => "shown = 'deleted'",
    });
    let query = window.query.to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    if words.is_empty() {
        return;
    }
    let parts = parts_of_number(&query);
    let is_long = |text: &&str| text.chars().count() >= TRIGRAM;
    if words.iter().copied().chain(parts.iter().map(String::as_str)).all(|text| is_long(&text)) {
        // One question to the index, and nothing but what it finds is looked at.
        let words = words.iter().map(|word| phrase(word)).collect::<Vec<_>>().join(" AND ");
        let wanted = std::iter::once(format!("({words})")).chain(parts.iter().map(|part| phrase(part))).collect::<Vec<_>>();
        sql.push(" AND row IN (SELECT rowid FROM search WHERE search MATCH ").push_bind(wanted.join(" OR ")).push(")");
        return;
    }
    sql.push(" AND (");
    for part in parts {
        sql.push("instr(number, ").push_bind(part).push(") > 0 OR ");
    }
    sql.push("(");
    for (number, word) in words.into_iter().enumerate() {
        if number > 0 {
            sql.push(" AND ");
        }
        push_word(sql, word);
    }
    sql.push("))");
}

/// Quoted, it is a text and no expression of the search language.
fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What a number holds that somebody means with these digits, none if they are none: as they are, and without the zeros
/// that are dialled before an area or a country, which numbers with a plus don't have.
fn parts_of_number(query: &str) -> Vec<String> {
    let between = |c: char| c.is_whitespace() || matches!(c, '-' | '/' | '(' | ')' | '.');
    let digits: String = query.chars().filter(|c| !between(*c)).collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '+') {
        return Vec::new();
    }
    let bare = digits.trim_start_matches('0').to_owned();
    let is_dialled = bare.len() < digits.len() && bare.len() >= SHORTEST_NUMBER;
    if is_dialled { vec![digits, bare] } else { vec![digits] }
}

fn push_word(sql: &mut QueryBuilder<Sqlite>, word: &str) {
    if word.chars().count() < TRIGRAM {
        sql.push("instr(text, ").push_bind(word.to_owned()).push(") > 0");
    } else {
        sql.push("row IN (SELECT rowid FROM search WHERE search MATCH ").push_bind(phrase(word)).push(")");
    }
}

fn searched(message: &Message) -> String {
    let caller = &message.envelope.caller;
    let forwarded = message.forwarded.as_ref();
    let texts = [
        Some(caller.number.as_str()),
        caller.name.as_deref(),
        forwarded.map(|forwarded| forwarded.note.as_str()),
        forwarded.and_then(|forwarded| forwarded.from.name.as_deref()),
    ];
    texts.into_iter().flatten().collect::<Vec<_>>().join("\n").to_lowercase()
}

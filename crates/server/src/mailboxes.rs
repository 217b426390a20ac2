//! What an administrator says of people's mailboxes: how much they take, how long messages are kept, and legal holds. Whatever
//! is done here stands in the audit log, and in the log of the server that runs.

use std::path::Path;

use aftertone_model::{Keeping, MessageId, OwnKeeping, Subscriber, Timestamp};
use aftertone_server_store::{Audited, Held, Lookup, MailboxKeeping, SqliteStore, Store, Withheld};
use aftertone_sync::MailboxRoom;
use anyhow::ensure;
use serde_json::json;

use crate::admin::{find, open, table};

/// What `mailbox set` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Keep {
    /// Seconds of messages, those in the trash not counted; 0 for no limit, `account` for what holds for everybody
    #[arg(long, value_name = "SECONDS|account", value_parser = number_or_account)]
    pub quota: Option<Choice>,
    /// Messages are expunged after so many days in the trash; 0 for never, `account` for what holds for everybody
    #[arg(long, value_name = "DAYS|account", value_parser = number_or_account)]
    pub trash_days: Option<Choice>,
    /// Messages go to the trash so many days after they were heard, unless they are saved; 0 for never, `account` for what holds
    /// for everybody
    #[arg(long, value_name = "DAYS|account", value_parser = number_or_account)]
    pub heard_days: Option<Choice>,
}

/// A number of this mailbox, or the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// What holds for everybody.
    Account,
    /// For this one.
    Own(u32),
}

impl Choice {
    fn stored(self) -> Option<u32> {
        match self {
            Self::Account => None,
            Self::Own(number) => Some(number),
        }
    }
}

fn number_or_account(text: &str) -> Result<Choice, String> {
    if text == "account" {
        return Ok(Choice::Account);
    }
    text.parse().map(Choice::Own).map_err(|_| "a number or account is expected".into())
}

/// How full a mailbox is, what is kept of it, and what was done to it.
///
/// # Errors
/// Where there is no such person.
pub async fn show(data: &Path, name: &str, as_json: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let person = find(&store, name).await?;
    let (room, keeping) = (store.room(person.id).await?, store.keeping(person.id).await?);
    let (holds, withheld) = (store.holds(person.id).await?, store.withheld(person.id).await?.len());
    let audit: Vec<_> = store.audit(0).await?.into_iter().filter(|entry| entry.mailbox == person.id).collect();
    let held: Vec<_> = holds.iter().map(|held| named(*held)).collect();
    if as_json {
        let audit: Vec<_> = audit.iter().map(|entry| json!({ "at": entry.at, "what": entry.what })).collect();
        let shown = json!({
            "room": room, "keeping": keeping, "holds": held, "withheld": withheld, "audit": audit,
        });
        return Ok(serde_json::to_string_pretty(&shown)? + "\n");
    }
    Ok(described(&person, room, keeping, &held, withheld) + &audit.iter().map(entry).collect::<String>())
}

fn described(person: &Subscriber, room: MailboxRoom, keeping: Keeping, held: &[String], withheld: usize) -> String {
    let limit = |number: u32, unit: &str, none: &str| if number == 0 { none.to_owned() } else { format!("{number} {unit}") };
    let holds = if held.is_empty() { "none".into() } else { held.join(", ") };
    format!(
        "mailbox      {} ({})\nroom         {} s of {}\ntrash        {}\nheard        {}\nlegal holds  {holds}\nwithheld     {withheld}\n",
        person.user,
        person.extension,
        room.used_s,
        limit(room.quota_s, "s", "any number"),
        limit(keeping.trash_days, "days, then expunged", "never expunged"),
        limit(keeping.heard_days, "days, then into the trash", "kept"),
    )
}

fn entry(Audited { id: _, at, mailbox: _, what }: &Audited) -> String {
    format!("{at}  {what}\n")
}

/// Says how much a mailbox takes, and how long its messages are kept.
///
/// # Errors
/// Where there is no such person, or nothing is said.
pub async fn keep(data: &Path, name: &str, keep: Keep) -> anyhow::Result<String> {
    let Keep { quota, trash_days, heard_days } = keep;
    ensure!(quota.or(trash_days).or(heard_days).is_some(), "say --quota, --trash-days or --heard-days");
    let store = open(data).await?;
    let person = find(&store, name).await?;
    let known = store.own_keeping(person.id).await?;
    let own = OwnKeeping {
        quota_s: quota.map_or(known.quota_s, Choice::stored),
        trash_days: trash_days.map_or(known.trash_days, Choice::stored),
        heard_days: heard_days.map_or(known.heard_days, Choice::stored),
    };
    store.put_own_keeping(person.id, own, Timestamp::now()).await?;
    let (room, keeping) = (store.room(person.id).await?, store.keeping(person.id).await?);
    let held: Vec<_> = store.holds(person.id).await?.into_iter().map(named).collect();
    Ok(described(&person, room, keeping, &held, store.withheld(person.id).await?.len()))
}

/// Places or lifts a legal hold on a mailbox, or on one message of it.
///
/// # Errors
/// Where there is no such person or message, or it is so already.
pub async fn hold(data: &Path, name: &str, message: Option<MessageId>, on: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let person = find(&store, name).await?;
    if let Some(message) = message.filter(|_| on) {
        let is_there = is_there(&store, &person, message).await?;
        ensure!(is_there, "there is no message {message} in this mailbox: what is gone can't be held any more");
    }
    let held = message.map_or(Held::Mailbox, Held::Message);
    let changed = store.hold(person.id, held, on, Timestamp::now()).await?;
    let (is, was) = if on { ("held", "held already") } else { ("not held any more", "not held") };
    ensure!(changed, "{} of {} is {was}", named(held), person.user);
    Ok(format!("{} of {} is {is}\n", named(held), person.user))
}

async fn is_there(store: &SqliteStore, person: &Subscriber, message: MessageId) -> anyhow::Result<bool> {
    let is_withheld = store.withheld(person.id).await?.iter().any(|withheld| withheld.message.envelope.id == message);
    Ok(is_withheld || matches!(store.message(person.id, message).await?, Lookup::Found(_)))
}

fn named(held: Held) -> String {
    match held {
        Held::Mailbox => "the mailbox".into(),
        Held::Message(id) => format!("the message {id}"),
    }
}

/// What only a hold keeps.
///
/// # Errors
/// Where there is no such person.
pub async fn withheld(data: &Path, name: &str, as_json: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let person = find(&store, name).await?;
    let withheld = store.withheld(person.id).await?;
    let file = |withheld: &Withheld| store.blobs_dir().join(&withheld.file).display().to_string();
    if as_json {
        let all = withheld.iter().map(|one| json!({ "message": one.message, "expunged_at": one.expunged_at, "file": file(one) }));
        return Ok(serde_json::to_string_pretty(&all.collect::<Vec<_>>())? + "\n");
    }
    let mut rows = vec![["MESSAGE", "FROM", "RECEIVED", "EXPUNGED", "FILE"].map(str::to_owned)];
    for one in &withheld {
        let envelope = &one.message.envelope;
        let (received, expunged) = (envelope.received_at.to_string(), one.expunged_at.to_string());
        rows.push([envelope.id.to_string(), envelope.caller.number.clone(), received, expunged, file(one)]);
    }
    Ok(table(&rows))
}

//! What an administrator does from the command line. It works while the server runs, which notices within a second.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use aftertone_model::{Extension, Language, Subscriber, Timestamp, UserName};
use aftertone_net::Fingerprint;
use aftertone_server_store::{Disk, HashedPassword, NewSubscriber, SqliteStore, Store};
use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::{
    lock::{FolderLock, make_folder},
    qr, settings,
};

/// A person to be added.
#[derive(Debug, Clone)]
pub struct AddUser {
    /// What the person signs in with.
    pub user: String,
    /// The number.
    pub extension: String,
    /// For people.
    pub display_name: String,
    /// Of the prompts.
    pub language: Language,
    /// Seconds before the mailbox answers.
    pub ring_s: u16,
    /// Without one only invitations sign in.
    pub password: Option<String>,
}

/// Adds a person and says so.
///
/// # Errors
/// Where the name or extension is malformed or taken.
pub async fn add_user(data: &Path, add: AddUser) -> anyhow::Result<String> {
    let (user, extension) = (UserName::from_str(&add.user)?, Extension::from_str(&add.extension)?);
    let display_name = add.display_name.trim().to_owned();
    ensure!(!display_name.is_empty() && display_name.chars().count() <= 100, "a display name has 1 to 100 characters");
    ensure!((5..=300).contains(&add.ring_s), "the ring time must be 5 to 300 seconds");
    let password = add.password.map(|password| HashedPassword::new(&password)).transpose()?;
    let how = if password.is_some() { "the password or an invitation signs in" } else { "only an invitation signs in" };
    let store = open_or_make(data).await?;
    let new = NewSubscriber { user, extension, display_name, language: add.language, ring_s: add.ring_s, password };
    let added = store.add_subscriber(new).await?;
    Ok(format!("added {} with extension {}; {how}\n", added.user, added.extension))
}

/// Everybody, as a table or as JSON.
///
/// # Errors
/// Where the store can't be read.
pub async fn list_users(data: &Path, as_json: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let people = store.subscribers().await?;
    if as_json {
        return Ok(serde_json::to_string_pretty(&people)? + "\n");
    }
    let mut rows = vec![["EXTENSION", "NAME", "DISPLAY NAME", "LANGUAGE", "RING", "DEVICES", "NEW"].map(str::to_owned)];
    for person in &people {
        let devices = store.devices(person.id).await?.len();
        let counts = store.counts(person.id).await?;
        rows.push(row(person, devices, counts.new));
    }
    Ok(table(&rows))
}

/// Where an invitation's server is found.
#[derive(Debug, Clone, Default)]
pub struct InviteTo {
    /// The server's URL; without it, where the account is being served.
    pub server: Option<String>,
    /// The server's certificate, for its fingerprint; without it, that of the running server.
    pub cert: Option<PathBuf>,
    /// A new file for the invitation's QR code, a PNG.
    pub qr: Option<PathBuf>,
}

/// Makes an invitation, one-time and good for seven days.
///
/// # Errors
/// Where there is no such person, the server's URL isn't known, or the QR code's file can't be made.
pub async fn invite(data: &Path, user: &str, to: InviteTo) -> anyhow::Result<String> {
    let store = open(data).await?;
    let person = find(&store, user).await?;
    let serving = settings::serving(data);
    let known = serving.as_ref().and_then(|serving| serving.url());
    let server = to.server.or(known).context("the server doesn't run, so its address isn't known: --server URL says it")?;
    let server = server.trim_end_matches('/');
    ensure!(server.starts_with("https://") || server.starts_with("http://"), "--server must be https://HOST[:PORT]");
    let fingerprint = match to.cert {
        Some(cert) => Some(Fingerprint::of_pem_file(&cert)?.to_string()),
        None => serving.and_then(|serving| serving.fingerprint),
    };
    let expires_at = Timestamp::now().checked_add(INVITATION)?;
    let token = store.invite(person.id, expires_at).await?;
    let mut link = format!("aftertone://invite?server={}&token={}", percent_encoded(server), percent_encoded(token.expose()));
    if let Some(fingerprint) = fingerprint.filter(|_| server.starts_with("https://")) {
        let _ = write!(link, "&fingerprint={fingerprint}");
    }
    if let Some(file) = to.qr {
        qr::write(&link, &file).with_context(|| format!("{} can't be made", file.display()))?;
    }
    Ok(link + "\n")
}

/// Adds a phone that is not ours, and shows its credentials this once.
///
/// # Errors
/// Where there is no such person, or the domain isn't the account's.
pub async fn add_device(data: &Path, user: &str, name: &str, domain: Option<String>, as_json: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let person = find(&store, user).await?;
    let domain = domain_of(data, domain)?;
    let phone = store.add_phone(person.id, name, &domain, Timestamp::now()).await?;
    let (username, password) = (&phone.username, phone.password.expose());
    if as_json {
        let credentials = json!({
            "id": phone.device.id, "name": phone.device.name,
            "username": username, "password": password, "domain": domain,
        });
        return Ok(serde_json::to_string_pretty(&credentials)? + "\n");
    }
    Ok(format!(
        "SIP user name  {username}\nSIP password   {password}\nSIP domain     {domain}\nThe password is shown this once.\n"
    ))
}

/// Makes a backup in a new folder, while the server runs or not.
///
/// # Errors
/// Where there is no account, or the backup could not be completed.
pub async fn back_up(data: &Path, to: &Path) -> anyhow::Result<String> {
    let store = open(data).await?;
    let made = store.back_up(to, Timestamp::now()).await.with_context(|| format!("no backup was made in {}", to.display()))?;
    Ok(format!("{}: {} sounds, {} bytes\n", to.display(), made.sounds, made.bytes))
}

/// Puts a backup into a data folder that no server is running on.
///
/// # Errors
/// Where a server runs on it, there is an account that isn't to be replaced, or the backup isn't complete.
pub fn restore(data: &Path, from: &Path, replace: bool) -> anyhow::Result<String> {
    make_folder(data)?;
    let _lock = FolderLock::take(data)?;
    let made = aftertone_server_store::restore(from, data, replace, Timestamp::now())
        .with_context(|| format!("{} was not restored", from.display()))?;
    Ok(format!(
        "{} is as it was at {}: {} sounds. Passwords are those of that time; invitations of before are void.\n",
        data.display(),
        made.made_at,
        made.sounds
    ))
}

const INVITATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// The account in a folder; only adding somebody makes one.
pub(crate) async fn open(data: &Path) -> anyhow::Result<SqliteStore> {
    ensure!(data.join("aftertone.db").is_file(), "there is no account in {}: add somebody or serve it once", data.display());
    open_or_make(data).await
}

pub(crate) async fn open_or_make(data: &Path) -> anyhow::Result<SqliteStore> {
    make_folder(data)?;
    SqliteStore::open(data, Arc::new(Disk)).await.with_context(|| format!("can't open the store in {}", data.display()))
}

pub(crate) async fn find(store: &SqliteStore, user: &str) -> anyhow::Result<Subscriber> {
    store.find_subscriber(user).await?.with_context(|| format!("nobody is called {user:?} here"))
}

/// Phones' credentials are made for a domain, so it must be known, and is fixed from then on.
fn domain_of(data: &Path, wanted: Option<String>) -> anyhow::Result<String> {
    match (settings::stored_domain(data)?, wanted) {
        (Some(stored), Some(wanted)) if !stored.eq_ignore_ascii_case(&wanted) => {
            bail!("the data folder belongs to the domain {stored}, not {wanted}")
        }
        (Some(stored), _) => Ok(stored),
        (None, Some(wanted)) => {
            let wanted = wanted.to_ascii_lowercase();
            settings::store_domain(data, &wanted)?;
            Ok(wanted)
        }
        // What a server on this machine alone takes at its first start.
        (None, None) => {
            settings::store_domain(data, crate::config::LOCAL_DOMAIN)?;
            Ok(crate::config::LOCAL_DOMAIN.to_owned())
        }
    }
}

fn row(person: &Subscriber, devices: usize, new: u32) -> [String; 7] {
    let language = match person.language {
        Language::En => "en",
        Language::De => "de",
    };
    [
        person.extension.to_string(),
        person.user.to_string(),
        person.display_name.clone(),
        language.to_owned(),
        format!("{} s", person.ring_s),
        devices.to_string(),
        new.to_string(),
    ]
}

pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// For a value in a URL's query: everything but the unreserved characters of RFC 3986 section 2.3.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let rows = [["A", "B"], ["Jürgen", "x"], ["z", "yy"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A       B\nJürgen  x\nz       yy\n");
    }

    #[test]
    fn a_url_survives_in_a_query() {
        assert_eq!(percent_encoded("https://a.example:8443/"), "https%3A%2F%2Fa.example%3A8443%2F");
    }
}

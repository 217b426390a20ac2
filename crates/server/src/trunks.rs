//! Trunks and the dial plan, as an administrator gives them: in the configuration's file, or to the store by command.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use aftertone_exchange::{DialPlan, Network, TrunkAccount, TrunkState};
use aftertone_model::{CallingRights, NumberFormat, Trunk};
use aftertone_server_store::{Calling, SqliteStore, Store, StoreError};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    admin::{find, open, table},
    settings,
};

/// How numbers are dialled: flags, environment, or the table `[dial-plan]` of the file.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DialPlanOptions {
    /// The own country's code, such as 49
    #[arg(long, env = "AFTERTONE_COUNTRY", value_name = "DIGITS")]
    pub country: Option<String>,
    /// The own area's code, such as 30, for numbers dialled without one
    #[arg(long, env = "AFTERTONE_AREA", value_name = "DIGITS")]
    pub area: Option<String>,
    /// What is dialled for the plus (default: 00)
    #[arg(skip)]
    pub international_prefix: Option<String>,
    /// What is dialled before an area's code (default: 0)
    #[arg(skip)]
    pub national_prefix: Option<String>,
    /// What is dialled for an outside line (default: nothing)
    #[arg(long, env = "AFTERTONE_OUTSIDE_PREFIX", value_name = "DIGITS")]
    pub outside_prefix: Option<String>,
    /// Emergency numbers (default: 112, 110, 911, 999)
    #[arg(long, env = "AFTERTONE_EMERGENCY", value_name = "NUMBERS", value_delimiter = ',')]
    pub emergency: Vec<String>,
    /// The trunk that they go over
    #[arg(long, env = "AFTERTONE_EMERGENCY_TRUNK", value_name = "NAME")]
    pub emergency_trunk: Option<String>,
    /// Beginnings of numbers (E.164) that nobody may dial
    #[arg(long, env = "AFTERTONE_BARRED", value_name = "NUMBERS", value_delimiter = ',')]
    pub barred: Vec<String>,
    /// What is dialled before an extension to leave a message without ringing, or off (default: *98)
    #[arg(long, env = "AFTERTONE_MAILBOX_PREFIX", value_name = "DIGITS|off")]
    pub mailbox_prefix: Option<String>,
    /// What people dial on a device of their own to listen by phone, or off (default: *97)
    #[arg(long, env = "AFTERTONE_MENU_NUMBER", value_name = "DIGITS|off")]
    pub menu_number: Option<String>,
    /// What everybody dials to listen by phone, with mailbox and PIN, or off (default: *98)
    #[arg(long, env = "AFTERTONE_MAILBOX_NUMBER", value_name = "DIGITS|off")]
    pub mailbox_number: Option<String>,
    /// Numbers that take a message for an extension without ringing; in the file only, a table
    #[arg(skip)]
    pub mailbox_numbers: BTreeMap<String, String>,
}

impl DialPlanOptions {
    /// These, and what they leave open from `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            country: self.country.or(others.country),
            area: self.area.or(others.area),
            international_prefix: self.international_prefix.or(others.international_prefix),
            national_prefix: self.national_prefix.or(others.national_prefix),
            outside_prefix: self.outside_prefix.or(others.outside_prefix),
            emergency: if self.emergency.is_empty() { others.emergency } else { self.emergency },
            emergency_trunk: self.emergency_trunk.or(others.emergency_trunk),
            barred: if self.barred.is_empty() { others.barred } else { self.barred },
            mailbox_prefix: self.mailbox_prefix.or(others.mailbox_prefix),
            menu_number: self.menu_number.or(others.menu_number),
            mailbox_number: self.mailbox_number.or(others.mailbox_number),
            mailbox_numbers: if self.mailbox_numbers.is_empty() { others.mailbox_numbers } else { self.mailbox_numbers },
        }
    }

    /// The plan.
    ///
    /// # Errors
    /// Where a code or prefix isn't one.
    pub fn complete(self) -> anyhow::Result<DialPlan> {
        let default = DialPlan::default();
        for (what, value) in [("country", &self.country), ("area", &self.area), ("outside prefix", &self.outside_prefix)] {
            let digits = value.as_deref().unwrap_or("0");
            ensure!(
                !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
                "the {what} must be digits, not {digits:?}"
            );
        }
        ensure!(!self.country.as_deref().unwrap_or_default().starts_with('0'), "a country's code is written without zeros: 49");
        Ok(DialPlan {
            country: self.country,
            area: self.area,
            international_prefix: self.international_prefix.unwrap_or(default.international_prefix),
            national_prefix: self.national_prefix.unwrap_or(default.national_prefix),
            outside_prefix: self.outside_prefix,
            emergency: if self.emergency.is_empty() { default.emergency } else { self.emergency },
            emergency_trunk: self.emergency_trunk,
            barred: self.barred,
            mailbox_prefix: dialled("mailbox prefix", self.mailbox_prefix, default.mailbox_prefix)?,
            menu_number: dialled("menu number", self.menu_number, default.menu_number)?,
            mailbox_number: dialled("mailbox number", self.mailbox_number, default.mailbox_number)?,
            mailbox_numbers: self.mailbox_numbers,
        })
    }
}

/// What is dialled, with `off` for nothing.
fn dialled(what: &str, said: Option<String>, default: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(said) = said else { return Ok(default) };
    if said.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let is_dialled = !said.is_empty() && said.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'));
    ensure!(is_dialled, "the {what} must be of digits, * and #, not {said:?}");
    Ok(Some(said))
}

/// A trunk in the configuration's file: `[[trunk]]`.
#[derive(Debug, Clone, Deserialize)]
pub struct TrunkOptions {
    #[serde(flatten)]
    trunk: Trunk,
    /// A file that holds the password alone.
    #[serde(rename = "password-file")]
    password_file: Option<PathBuf>,
}

impl TrunkOptions {
    /// The trunk with its password.
    ///
    /// # Errors
    /// Where it makes no sense, or the file can't be read.
    pub fn complete(self) -> anyhow::Result<TrunkAccount> {
        check(&self.trunk)?;
        let password = match &self.password_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
                text.trim().to_owned()
            }
            None => String::new(),
        };
        Ok(TrunkAccount { trunk: self.trunk, password })
    }
}

/// A trunk on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct AddTrunk {
    /// What it is called here
    name: String,
    /// Where it is: HOST, HOST:PORT, or a URI such as "sip:HOST;transport=tls"
    #[arg(long)]
    server: String,
    /// Register there, as providers want it; without this it is a peer by address
    #[arg(long)]
    register: bool,
    /// Our name there
    #[arg(long, default_value = "")]
    user: String,
    /// The name for authentication, where it is another
    #[arg(long)]
    auth_user: Option<String>,
    /// The domain in our addresses there (default: the server)
    #[arg(long)]
    domain: Option<String>,
    /// Read the password from the standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// The smallest is tried first
    #[arg(long, default_value_t = 0)]
    order: u16,
    /// A number and who has it, such as +4930123456=anna; may be given several times
    #[arg(long = "number", value_name = "NUMBER=USER", value_parser = number_and_user)]
    numbers: Vec<(String, String)>,
    /// Who gets calls to any other number
    #[arg(long, value_name = "USER")]
    default_to: Option<String>,
    /// What people without a number of their own show
    #[arg(long, value_name = "NUMBER")]
    caller_number: Option<String>,
    /// How it wants numbers: e164, digits, national or dialled
    #[arg(long, default_value = "e164", value_parser = number_format)]
    format: NumberFormat,
    /// Send the caller's number as P-Asserted-Identity
    #[arg(long)]
    asserted_identity: bool,
    /// A further address or network that its calls come from; may be given several times
    #[arg(long = "peer", value_name = "CIDR")]
    peers: Vec<String>,
    /// How long a registration shall hold, in seconds
    #[arg(long, default_value_t = 600)]
    expires: u32,
    /// Tell it of waiting messages of the people who have a number there
    #[arg(long)]
    lamps: bool,
    /// Over TLS: the SHA-256 of its certificate, where no authority vouches for it
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
}

impl AddTrunk {
    fn trunk(self) -> Trunk {
        Trunk {
            name: self.name,
            server: self.server,
            domain: self.domain,
            user: self.user,
            auth_user: self.auth_user,
            register: self.register,
            order: self.order,
            numbers: self.numbers.into_iter().collect(),
            default_to: self.default_to,
            caller_number: self.caller_number,
            format: self.format,
            asserted_identity: self.asserted_identity,
            peers: self.peers,
            expires: self.expires,
            lamps: self.lamps,
            fingerprint: self.fingerprint,
        }
    }
}

fn number_and_user(text: &str) -> Result<(String, String), String> {
    let (number, user) = text.split_once('=').ok_or("NUMBER=USER is expected, such as +4930123456=anna")?;
    Ok((number.trim().to_owned(), user.trim().to_owned()))
}

fn number_format(text: &str) -> Result<NumberFormat, String> {
    match text {
        "e164" => Ok(NumberFormat::E164),
        "digits" => Ok(NumberFormat::Digits),
        "national" => Ok(NumberFormat::National),
        "dialled" => Ok(NumberFormat::Dialled),
        _ => Err("e164, digits, national or dialled is expected".into()),
    }
}

/// Adds a trunk, or replaces the one of this name.
///
/// # Errors
/// Where it makes no sense, or names people that don't exist.
pub async fn add_trunk(data: &Path, add: AddTrunk, password: String) -> anyhow::Result<String> {
    let trunk = add.trunk();
    check(&trunk)?;
    let store = open(data).await?;
    for name in trunk.numbers.values().chain(&trunk.default_to) {
        find(&store, name).await?;
    }
    store.put_trunk(&trunk, &password).await?;
    let how = if trunk.register { "it is registered at" } else { "a peer by address" };
    Ok(format!("added the trunk {}: {how} {}\n", trunk.name, trunk.server))
}

pub(crate) fn check(trunk: &Trunk) -> anyhow::Result<()> {
    let Trunk { name, server, .. } = trunk;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ensure!(!name.is_empty() && name.len() <= 64 && name.bytes().all(allowed), "{name:?} is no name for a trunk");
    let uri = if server.starts_with("sip:") || server.starts_with("sips:") { server.clone() } else { format!("sip:{server}") };
    let uri: aftertone_sip::Uri = uri.parse().with_context(|| format!("{server:?} is no server"))?;
    ensure!(!uri.host().is_empty() && uri.user().is_none(), "{server:?} is no server: HOST or HOST:PORT is expected");
    ensure!(!trunk.register || !trunk.user.is_empty(), "a trunk that is registered at needs --user");
    ensure!((30..=86_400).contains(&trunk.expires), "a registration holds 30 to 86400 seconds");
    if let Some(fingerprint) = &trunk.fingerprint {
        fingerprint.parse::<aftertone_net::Fingerprint>().context("the fingerprint")?;
    }
    for peer in &trunk.peers {
        peer.parse::<Network>().with_context(|| format!("{peer:?}"))?;
    }
    Ok(())
}

/// Every trunk of the store, as a table or as JSON, with what a running server says of it.
///
/// # Errors
/// Where the store can't be read.
pub async fn list_trunks(data: &Path, as_json: bool) -> anyhow::Result<String> {
    let store = open(data).await?;
    let trunks = store.trunks().await?;
    let states = settings::trunk_states(data);
    let state = |trunk: &Trunk| states.get(&trunk.name).cloned().unwrap_or_else(|| "unknown".into());
    if as_json {
        let listed: Vec<_> = trunks.iter().map(|(trunk, _)| Listed { trunk, state: state(trunk) }).collect();
        return Ok(serde_json::to_string_pretty(&listed)? + "\n");
    }
    let mut rows = vec![["NAME", "SERVER", "USER", "ORDER", "NUMBERS", "STATE"].map(str::to_owned)];
    for (trunk, _) in &trunks {
        let numbers = trunk.numbers.len().to_string();
        rows.push([trunk.name.clone(), trunk.server.clone(), trunk.user.clone(), trunk.order.to_string(), numbers, state(trunk)]);
    }
    Ok(table(&rows))
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    trunk: &'a Trunk,
    state: String,
}

/// Takes a trunk away; calls that run over it go on.
///
/// # Errors
/// Where there is none of this name.
pub async fn remove_trunk(data: &Path, name: &str) -> anyhow::Result<String> {
    let store = open(data).await?;
    if !store.remove_trunk(name).await? {
        bail!("there is no trunk {name:?}");
    }
    Ok(format!("removed the trunk {name}\n"))
}

/// Says whom somebody may call over trunks.
///
/// # Errors
/// Where there is no such person.
pub async fn allow(data: &Path, name: &str, rights: Option<CallingRights>, from_menu: Option<bool>) -> anyhow::Result<String> {
    ensure!(rights.is_some() || from_menu.is_some(), "say --calls or --calls-from-menu");
    let mut said = String::new();
    if let Some(rights) = rights {
        change(data, name, |calling| calling.rights = rights).await?;
        said = format!("{name} may call {}\n", serde_json::to_value(rights)?.as_str().unwrap_or_default());
    }
    if let Some(may) = from_menu {
        let store: SqliteStore = open(data).await?;
        store.set_menu_dials(find(&store, name).await?.id, may).await?;
        said += &format!("{name} {} call numbers of the outside from foreign phones\n", if may { "may" } else { "may not" });
    }
    Ok(said)
}

/// Turns somebody's do-not-disturb on or off.
///
/// # Errors
/// Where there is no such person.
pub async fn do_not_disturb(data: &Path, name: &str, is_on: bool) -> anyhow::Result<String> {
    change(data, name, |calling| calling.do_not_disturb = is_on).await?;
    Ok(format!("{name}: do not disturb is {}\n", if is_on { "on" } else { "off" }))
}

async fn change(data: &Path, name: &str, change: impl FnOnce(&mut Calling)) -> anyhow::Result<()> {
    let store: SqliteStore = open(data).await?;
    let person = find(&store, name).await?;
    let mut calling = store.calling().await?.remove(&person.id).unwrap_or_default();
    change(&mut calling);
    Ok(store.put_calling(person.id, calling).await?)
}

/// The trunks of the store, and those of the file, which win.
pub(crate) async fn accounts(store: &dyn Store, configured: &[TrunkAccount]) -> Result<Vec<TrunkAccount>, StoreError> {
    let stored = store.trunks().await?.into_iter();
    let stored = stored.map(|(trunk, password)| TrunkAccount { trunk, password: password.expose().to_owned() });
    let all = stored.chain(configured.iter().cloned());
    let by_name: BTreeMap<_, _> = all.map(|account| (account.trunk.name.clone(), account)).collect();
    Ok(by_name.into_values().collect())
}

/// A trunk's state as a word.
pub(crate) fn state_word(state: TrunkState) -> &'static str {
    match state {
        TrunkState::Up => "up",
        TrunkState::Connecting => "connecting",
        TrunkState::Unreachable => "unreachable",
        TrunkState::Refused => "refused",
    }
}

//! What the data folder says about the account itself: its domain, and where it is being served.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use aftertone_server_store::Store;
use anyhow::{Context, ensure};

use crate::{config::Config, server::Addresses};

/// The account's domain. It is fixed once a phone has credentials, for they are made for it.
pub(crate) async fn domain(config: &Config, store: &dyn Store) -> anyhow::Result<String> {
    let stored = stored_domain(&config.data)?;
    let wanted = config.domain.as_ref().map(|domain| domain.to_ascii_lowercase());
    let domain = match (stored, wanted) {
        (Some(stored), None) => return Ok(stored),
        (Some(stored), Some(wanted)) if stored == wanted => return Ok(stored),
        (Some(stored), Some(wanted)) => {
            let phones = store.phone_credentials().await?;
            ensure!(
                phones.iter().all(|phone| phone.realm == wanted),
                "the data folder {} belongs to the domain {stored}, and phones have credentials for it: {wanted} is refused \
                 (revoke those phones first, and add them again for the new domain)",
                config.data.display()
            );
            wanted
        }
        (None, wanted) => wanted.unwrap_or_else(|| config.default_domain()),
    };
    store_domain(&config.data, &domain)?;
    Ok(domain)
}

/// The domain of a data folder, if it has one yet.
pub(crate) fn stored_domain(data: &Path) -> anyhow::Result<Option<String>> {
    let path = data.join("domain");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_ascii_lowercase()).filter(|domain| !domain.is_empty())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}

pub(crate) fn store_domain(data: &Path, domain: &str) -> anyhow::Result<()> {
    replace(&data.join("domain"), domain.as_bytes())
}

/// What tells this account's server from another one at the same provider, made at the first start.
pub(crate) fn instance(data: &Path) -> anyhow::Result<String> {
    let path = data.join("instance");
    let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<uuid::Uuid>().ok());
    let id = known.unwrap_or_else(uuid::Uuid::new_v4);
    if known.is_none() {
        replace(&path, id.to_string().as_bytes())?;
    }
    Ok(format!("urn:uuid:{id}"))
}

/// Notes where the account is being served, for `invite`.
pub(crate) fn write_serving(data: &Path, addresses: &Addresses) -> anyhow::Result<()> {
    replace(&serving_file(data), &serde_json::to_vec(addresses)?)
}

pub(crate) fn remove_serving(data: &Path) {
    if let Err(error) = std::fs::remove_file(serving_file(data)) {
        tracing::debug!(%error, "serving.json");
    }
}

/// Where the account is being served, or was when its server crashed.
pub(crate) fn serving(data: &Path) -> Option<Addresses> {
    serde_json::from_slice(&std::fs::read(serving_file(data)).ok()?).ok()
}

/// Notes how the trunks are, for `trunk list`.
pub(crate) fn write_trunk_states(data: &Path, states: &BTreeMap<String, String>) -> anyhow::Result<()> {
    replace(&trunks_file(data), &serde_json::to_vec(states)?)
}

/// How the trunks are, if the account is being served.
pub(crate) fn trunk_states(data: &Path) -> BTreeMap<String, String> {
    let known = || serde_json::from_slice(&std::fs::read(trunks_file(data)).ok()?).ok();
    serving(data).and_then(|_| known()).unwrap_or_default()
}

fn trunks_file(data: &Path) -> PathBuf {
    data.join("trunks.json")
}

fn serving_file(data: &Path) -> PathBuf {
    data.join("serving.json")
}

fn replace(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    let write = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

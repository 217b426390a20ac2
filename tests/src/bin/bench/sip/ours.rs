//! Our server, as it is started by default.

use std::sync::Arc;

use aftertone_model::Timestamp;
use aftertone_server_store::{Disk, NewSubscriber, SqliteStore, Store};
use aftertone_tests::hosted::{DOMAIN, Hosted};
use anyhow::Result;

use super::{Account, Subject, Usage};
use crate::say;

pub(super) async fn start(phones: usize) -> Result<Subject> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    say("ours: adding people and phones");
    let accounts = people(&data, phones).await?;
    let hosted = Hosted::start_wary(&data, &[]).await?;
    let usage = Usage::of(hosted.process()?);
    Ok(Subject { sip: hosted.sip_udp, usage, accounts, _holds: Box::new((hosted, folder)) })
}

/// One phone each, as the administrator's commands add them.
async fn people(data: &std::path::Path, count: usize) -> Result<Vec<Account>> {
    std::fs::create_dir_all(data)?;
    let store = SqliteStore::open(data, Arc::new(Disk)).await?;
    let mut accounts = Vec::with_capacity(count);
    for number in 0..count {
        let extension = (100_000 + number).to_string();
        let person = NewSubscriber {
            user: format!("user{extension}").parse()?,
            extension: extension.parse()?,
            display_name: format!("Person {extension}"),
            language: aftertone_model::Language::En,
            ring_s: 20,
            password: None,
        };
        let person = store.add_subscriber(person).await?;
        let phone = store.add_phone(person.id, "a phone", DOMAIN, Timestamp::now()).await?;
        let password = phone.password.expose().to_owned();
        accounts.push(Account { number: extension, username: phone.username, password });
    }
    Ok(accounts)
}

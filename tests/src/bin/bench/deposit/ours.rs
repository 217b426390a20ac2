//! Our server, as it is started by default; people have a short greeting of their own.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use aftertone_model::SubscriberId;
use aftertone_server_store::{Disk, SqliteStore, Store};
use aftertone_tests::{
    hosted::{self, Hosted, Person},
    sound::Sound,
};
use anyhow::{Context, Result};
use serde_json::json;

use super::{MAILBOXES, Voicemail};
use crate::say;

/// Before and after what a caller says: the limit of a message is not what is measured.
const PAUSES_S: u64 = 60;

pub(super) struct Ours {
    hosted: Hosted,
    /// The same files, read by another program, so that looking costs the server nothing.
    store: SqliteStore,
    people: Vec<SubscriberId>,
    _folder: tempfile::TempDir,
}

impl Ours {
    pub(super) fn process(&self) -> Result<u32> {
        self.hosted.process()
    }
}

impl Voicemail for Ours {
    async fn count(&self) -> Result<usize> {
        let mut count = 0;
        for person in &self.people {
            count += self.store.counts(*person).await?.new as usize;
        }
        Ok(count)
    }

    async fn sounds(&self) -> Result<Vec<PathBuf>> {
        let mut sounds = Vec::new();
        for person in &self.people {
            for message in self.store.messages(*person, None, 9_999).await? {
                let sound = self.store.sound(*person, message.envelope.id).await?.found();
                sounds.push(sound.context("a message without a sound")?.path);
            }
        }
        Ok(sounds)
    }
}

/// The server, which takes `most` calls at once or as many as it would by itself, and messages of so many seconds with what a
/// caller says nothing in; where it is called, and which mailboxes.
pub(super) async fn start(most: Option<usize>, seconds: u64) -> Result<(Ours, SocketAddr, Vec<String>)> {
    say("ours: starting with its people");
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let names: Vec<_> = (1..=MAILBOXES).map(|number| (format!("person{number}"), (1_000 + number).to_string())).collect();
    for (name, extension) in &names {
        hosted::add_person(&data, &Person { name, extension, display_name: name, ring_s: 20, language: "en" }).await?;
    }
    let longest = seconds + PAUSES_S;
    let limit = longest.to_string();
    let hosted = Hosted::start(&data, &["--longest-message", &limit]).await?;
    for (name, _) in &names {
        let api = hosted.sign_in(name).await?;
        api.greet(&Sound::tone(440.0, 0.6)).await?;
        api.change_plan(json!({"longest_s": longest})).await?;
    }
    // What checking passwords needed for a moment would hide what the calls need.
    hosted.stop().await?;
    let most = most.map(|most| most.to_string());
    let mut options = vec!["--longest-message", &limit];
    options.extend(most.iter().flat_map(|most| ["--max-calls", most.as_str()]));
    let hosted = Hosted::start(&data, &options).await?;
    let store = SqliteStore::open(&data, Arc::new(Disk)).await?;
    let people = store.subscribers().await?.into_iter().map(|person| person.id).collect();
    let (sip, targets) = (hosted.sip_udp, names.into_iter().map(|(_, extension)| format!("*98{extension}")).collect());
    Ok((Ours { hosted, store, people, _folder: folder }, sip, targets))
}

//! What the app is started with.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use clap::{Parser, ValueEnum};

/// Where a device's token is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Secrets {
    /// In the system's keyring.
    Keyring,
    /// In a file that only this user can read.
    File,
}

/// Aftertone: calls, and a mailbox that you can see.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Keeps account and mailbox in this folder; an app with a folder of its own runs beside others.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) profile: Option<PathBuf>,
    /// Signs in with this invitation if nobody is signed in.
    #[arg(long, value_name = "LINK")]
    pub(crate) invite: Option<String>,
    /// Where to keep the account's token, if not as chosen in the window.
    #[arg(long, value_enum)]
    pub(crate) secrets: Option<Secrets>,
    /// Ends the app that runs.
    #[arg(long)]
    pub(crate) quit: bool,
    /// A link to open: aftertone://invite?…, tel:… or sip:….
    pub(crate) link: Option<String>,
}

impl Arguments {
    /// The name under which one running app of this profile finds another.
    pub(crate) fn instance(&self) -> String {
        match &self.profile {
            None => "org.aftertone.desktop".into(),
            Some(folder) => format!("org.aftertone.desktop.p{:016x}", hash(folder)),
        }
    }
}

fn hash(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).hash(&mut hasher);
    hasher.finish()
}

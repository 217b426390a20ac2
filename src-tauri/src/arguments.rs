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
    /// Starts without its window, as with the session; it comes if somebody has to sign in.
    #[arg(long)]
    pub(crate) hidden: bool,
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

    /// How the session starts this profile's app: what it is called there, and with which arguments.
    pub(crate) fn with_the_session(&self) -> (String, Vec<String>) {
        let hidden = "--hidden".to_owned();
        match &self.profile {
            None => ("Aftertone".into(), vec![hidden]),
            Some(folder) => {
                let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                // Quoted, for what starts it splits a line at its spaces (Desktop Entry Specification 1.5, "The Exec key").
                let quoted = format!("\"{}\"", absolute.display());
                (format!("Aftertone-{:016x}", hash(folder)), vec![hidden, "--profile".into(), quoted])
            }
        }
    }
}

fn hash(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).hash(&mut hasher);
    hasher.finish()
}

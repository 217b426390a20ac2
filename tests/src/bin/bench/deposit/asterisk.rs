//! Asterisk's voicemail (app_voicemail), which writes WAV files; nobody hears more than its beep.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use aftertone_tests::peers::asterisk::{Asterisk, Setup};
use anyhow::Result;

use super::{MAILBOXES, Voicemail};
use crate::say;

pub(super) struct Other {
    asterisk: Asterisk,
    mailboxes: Vec<String>,
}

impl Other {
    pub(super) fn process(&self) -> Result<u32> {
        self.asterisk.process()
    }

    /// Files of messages that are whole: their description is written last.
    fn files(&self, ending: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for mailbox in &self.mailboxes {
            let Ok(entries) = std::fs::read_dir(self.asterisk.inbox(mailbox)) else { continue };
            for entry in entries {
                let path = entry?.path();
                let is_one = path.extension().is_some_and(|found| found == ending);
                if is_one {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

impl Voicemail for Other {
    async fn count(&self) -> Result<usize> {
        Ok(self.files("txt")?.len())
    }

    async fn sounds(&self) -> Result<Vec<PathBuf>> {
        self.files("wav")
    }
}

/// The server, where it is called, and which mailboxes.
pub(super) async fn start(calls: usize) -> Result<(Other, SocketAddr, Vec<String>)> {
    say("asterisk: starting with its mailboxes");
    let names: Vec<_> = (1..=MAILBOXES).map(|number| (700 + number).to_string()).collect();
    let (mut mailboxes, most) = (String::new(), calls.max(100));
    for name in &names {
        writeln!(mailboxes, "{name} => 1234,Phone,,,maxmsg={most}")?;
    }
    let pjsip =
        "[callers](endpoint)\naors=callers\n[callers](aor)\n[callers]\ntype=identify\nendpoint=callers\nmatch=127.0.0.1\n";
    let extensions = "exten => _7XX,1,Answer()\nsame => n,VoiceMail(${EXTEN}@default,s)\nsame => n,Hangup()\n".to_owned();
    let setup = Setup { pjsip: pjsip.to_owned(), extensions, mailboxes, rtp_ports: Some((28_000, 35_999)) };
    let asterisk = Asterisk::start(&setup).await?;
    let sip = asterisk.sip;
    Ok((Other { asterisk, mailboxes: names.clone() }, sip, names))
}

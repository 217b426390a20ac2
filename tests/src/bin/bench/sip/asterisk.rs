//! Asterisk with as many endpoints; its contacts are kept in its database and its sound has 10,000 ports, as by default.

use std::fmt::Write as _;

use aftertone_tests::peers::asterisk::{Asterisk, Setup};
use anyhow::Result;

use super::{Account, Subject, Usage};
use crate::say;

pub(super) async fn start(phones: usize) -> Result<Subject> {
    say("asterisk: starting with its endpoints");
    let mut pjsip = String::new();
    let mut accounts = Vec::with_capacity(phones);
    for number in 0..phones {
        let name = (100_000 + number).to_string();
        let password = format!("p{name}");
        writeln!(
            pjsip,
            "[{name}](endpoint)\nauth={name}\naors={name}\n[{name}](auth)\nusername={name}\npassword={password}\n[{name}](aor)"
        )?;
        accounts.push(Account { number: name.clone(), username: name, password });
    }
    let extensions = "exten => _X.,1,Dial(PJSIP/${EXTEN},20)\n".to_owned();
    let asterisk = Asterisk::start(&Setup { pjsip, extensions, rtp_ports: Some((10_000, 20_000)), ..Setup::default() }).await?;
    let usage = Usage::of(asterisk.process()?);
    Ok(Subject { sip: asterisk.sip, usage, accounts, _holds: Box::new(asterisk) })
}

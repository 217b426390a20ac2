//! Kamailio as registrar and proxy; its bindings are written to SQLite by its usual timer.

use aftertone_tests::peers::{Peers, kamailio::Kamailio};
use anyhow::Result;

use super::{Account, Subject, Usage};
use crate::say;

pub(super) async fn start(phones: usize) -> Result<Subject> {
    say("kamailio: starting");
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("kamailio.db").to_string_lossy().into_owned();
    let schema = "/usr/share/kamailio/db_sqlite";
    let make = format!("cat {schema}/standard-create.sql {schema}/usrloc-create.sql | sqlite3 {database}");
    Peers::find()?.output("/bin/sh", &["-c", &make]).await?;
    let kamailio = Kamailio::start(&SCRIPT.replace("@DATABASE@", &database)).await?;
    let accounts = (0..phones).map(|number| {
        let name = (100_000 + number).to_string();
        Account { password: format!("p{name}"), username: name.clone(), number: name }
    });
    let usage = Usage::of(kamailio.process()?);
    Ok(Subject { sip: kamailio.sip, usage, accounts: accounts.collect(), _holds: Box::new((kamailio, folder)) })
}

const SCRIPT: &str = r#"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "db_sqlite.so"
modparam("usrloc", "db_mode", 2)
modparam("usrloc", "db_url", "sqlite://@DATABASE@")
modparam("auth", "nonce_expire", 300)

request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }
    t_check_trans();
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("example.test", "p$fU", "0")) { www_challenge("example.test", "1"); exit; }
        if (!save("location")) sl_reply_error();
        exit;
    }
    if (!pv_proxy_authenticate("example.test", "p$fU", "0")) { proxy_challenge("example.test", "1"); exit; }
    consume_credentials();
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    t_relay();
}
"#;

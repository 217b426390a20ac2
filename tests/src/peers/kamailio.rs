//! Kamailio 6 as a proxy in front of our exchange.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use crate::{
    peers::{Peers, keys::Keys, text},
    process::{self, Running},
};

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    /// SIP over UDP and TCP.
    pub sip: SocketAddr,
    /// SIP over TLS.
    pub sip_tls: SocketAddr,
    /// What it shows over TLS.
    pub keys: Keys,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Kamailio {
    /// Starts a proxy that passes everything to `server`: it stays in each dialog by Record-Route and leads calls to
    /// registered phones back through itself by Path (RFC 3327).
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn in_front_of(server: SocketAddr, transport: &str) -> Result<Self> {
        Self::start(&PROXY.replace("@SERVER@", &format!("sip:{server};transport={transport}"))).await
    }

    /// The id of the process that all of its own descend from.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn process(&self) -> Result<u32> {
        self.running.id()
    }

    /// Starts one with a routing script, which is put after the listening addresses and the modules that a proxy needs.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(script: &str) -> Result<Self> {
        let peers = Peers::find()?;
        let folder = tempfile::tempdir()?;
        let keys = Keys::make(folder.path(), "kamailio")?;
        let (sip, tls) = (process::free_port()?, process::free_port()?);
        let tls_conf = folder.path().join("tls.cfg");
        let (cert, key) = (text(&keys.cert), text(&keys.key));
        let both = format!(
            "method = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\ncertificate = {cert}\nprivate_key = {key}\n"
        );
        std::fs::write(&tls_conf, format!("[server:default]\n{both}[client:default]\n{both}"))?;
        let head = HEAD.replace("@SIP@", &sip.to_string()).replace("@TLS@", &tls.to_string());
        let head = head.replace("@TLS_CONF@", &text(&tls_conf));
        let configuration = folder.path().join("kamailio.cfg");
        std::fs::write(&configuration, format!("{head}{script}"))?;
        let mut command = peers.command("/usr/sbin/kamailio");
        command.args(["-DD", "-E", "-m", "64", "-M", "8", "-Y"]).arg(folder.path()).arg("-f").arg(&configuration);
        let mut running = process::start(&mut command, &folder.path().join("stderr.log"))?;
        running.ignore_output();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listens = || async { Ok(tokio::net::TcpStream::connect(at(tls)).await.ok()) };
        let listens = process::eventually("Kamailio listens", Duration::from_secs(15), listens).await;
        listens.with_context(|| std::fs::read_to_string(folder.path().join("stderr.log")).unwrap_or_default())?;
        Ok(Self { sip: at(sip), sip_tls: at(tls), keys, running, _folder: folder })
    }
}

const HEAD: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
enable_tls=yes
listen=udp:127.0.0.1:@SIP@
listen=tcp:127.0.0.1:@SIP@
listen=tls:127.0.0.1:@TLS@
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "path.so"
loadmodule "nathelper.so"
loadmodule "tls.so"
modparam("tls", "config", "@TLS_CONF@")
modparam("rr", "enable_double_rr", 1)
modparam("path", "use_received", 1)
"#;

const PROXY: &str = r#"
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    force_rport();
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) {
        if (!loose_route()) { if (is_method("ACK") && t_check_trans()) { t_relay(); exit; } sl_send_reply("404", "Not Here"); exit; }
        t_relay();
        exit;
    }
    t_check_trans();
    if (is_method("REGISTER")) {
        if (!add_path_received()) { sl_send_reply("503", "Path"); exit; }
        $du = "@SERVER@";
        t_relay();
        exit;
    }
    # What our exchange sends along a Path comes with our address as its Route.
    if ($route_uri =~ "received=") {
        $var(phone) = $(route_uri{uri.param,received});
        loose_route();
        record_route();
        $du = $var(phone);
        t_relay();
        exit;
    }
    record_route();
    $du = "@SERVER@";
    t_relay();
}
"#;

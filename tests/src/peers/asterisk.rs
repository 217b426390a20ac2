//! Asterisk 22 as an exchange beside ours.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::{
    hosted::{DOMAIN, Person, Phone},
    namespace::Namespace,
    peers::{Peers, keys::Keys, text},
    process::{self, Running},
};

/// What one Asterisk is configured with, beside its transports `udp`, `tcp`, `tls`, `ws` and `wss`.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// More of `pjsip.conf`. The templates `endpoint`, `auth` and `aor` may be used: `[alice](endpoint)`.
    pub pjsip: String,
    /// More of `extensions.conf`; calls of the template's endpoints begin in the context `internal`.
    pub extensions: String,
    /// Mailboxes of the context `default` in `voicemail.conf`, such as `700 => 1234,Phone One`.
    pub mailboxes: String,
    /// The first and the last port of its sound; without, a few of its own, so that several can run at once.
    pub rtp_ports: Option<(u16, u16)>,
}

impl Setup {
    /// One that is a phone of ours: registered over `transport` with its credentials, `ours` is the way to us. What `trusted`
    /// holds is believed over TLS. What happens in its calls is for the caller to add.
    #[must_use]
    pub fn phone(person: &Person<'_>, phone: &Phone, at: SocketAddr, transport: &str, trusted: Option<&Path>) -> Self {
        let extension = person.extension;
        let (user, password) = (&phone.username, &phone.password);
        let ca = trusted.map(|cert| format!("[{transport}](+)\nca_list_file={}\n", cert.display())).unwrap_or_default();
        let proxy = format!("sip:{at}\\;transport={transport}\\;lr");
        let pjsip = format!(
            "{ca}[ours](endpoint)\ntransport={transport}\naors=ours\noutbound_auth=ours\nfrom_user={extension}\n\
             from_domain={DOMAIN}\noutbound_proxy={proxy}\nidentify_by=username\n\
             [ours](aor)\ncontact=sip:{DOMAIN}\n\
             [ours](auth)\nusername={user}\npassword={password}\n\
             [ours]\ntype=identify\nendpoint=ours\nmatch=127.0.0.1\n\
             [phone]\ntype=registration\ntransport={transport}\noutbound_auth=ours\noutbound_proxy={proxy}\n\
             server_uri=sip:{DOMAIN}\nclient_uri=sip:{extension}@{DOMAIN}\ncontact_user={extension}\nline=yes\nendpoint=ours\n\
             retry_interval=2\n"
        );
        Self { pjsip, ..Self::default() }
    }
}

/// A running Asterisk.
#[derive(Debug)]
pub struct Asterisk {
    /// SIP over UDP and TCP.
    pub sip: SocketAddr,
    /// SIP over TLS.
    pub sip_tls: SocketAddr,
    /// SIP over WebSocket: `ws://127.0.0.1:PORT/ws`.
    pub ws: String,
    /// What it shows over TLS.
    pub keys: Keys,
    peers: Peers,
    running: Running,
    folder: tempfile::TempDir,
}

impl Asterisk {
    /// Starts one and waits until it has booted.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(setup: &Setup) -> Result<Self> {
        Self::start_at(setup, Ipv4Addr::LOCALHOST, None).await
    }

    /// Starts one on another machine, at an address of its own.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_on(setup: &Setup, machine: &Namespace, ip: Ipv4Addr) -> Result<Self> {
        Self::start_at(setup, ip, Some(machine)).await
    }

    async fn start_at(setup: &Setup, ip: Ipv4Addr, machine: Option<&Namespace>) -> Result<Self> {
        let peers = Peers::find()?;
        let folder = tempfile::tempdir()?;
        let keys = Keys::make(folder.path(), "asterisk")?;
        let (sip, tls, http) = (process::free_port()?, process::free_port()?, process::free_port()?);
        for name in ["run", "spool", "log", "db"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        write_configuration(&folder, &keys, setup, ip, [sip, tls, http])?;
        let mut command = peers.command("/usr/sbin/asterisk");
        command.args(["-f", "-C"]).arg(folder.path().join("asterisk.conf"));
        if let Some(machine) = machine {
            command = machine.enter(&command);
        }
        let mut running = process::start(&mut command, &folder.path().join("stderr.log"))?;
        running.ignore_output();
        let at = |port| SocketAddr::from((ip, port));
        let ws = format!("ws://{ip}:{http}/ws");
        let asterisk = Self { sip: at(sip), sip_tls: at(tls), ws, keys, peers, running, folder };
        process::eventually("Asterisk has booted", Duration::from_secs(30), || async {
            Ok(asterisk.cli("core waitfullybooted").await.ok().filter(|said| said.contains("booted")))
        })
        .await?;
        Ok(asterisk)
    }

    /// The id of the process that all of its own descend from.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn process(&self) -> Result<u32> {
        self.running.id()
    }

    /// Where the new messages of a mailbox of the context `default` lie.
    #[must_use]
    pub fn inbox(&self, mailbox: &str) -> PathBuf {
        self.folder.path().join("spool/voicemail/default").join(mailbox).join("INBOX")
    }

    /// Runs a command of its console; what it says.
    ///
    /// # Errors
    /// Where it doesn't answer.
    pub async fn cli(&self, command: &str) -> Result<String> {
        let configuration = text(&self.folder.path().join("asterisk.conf"));
        self.peers.output("/usr/sbin/asterisk", &["-C", &configuration, "-rx", command]).await
    }

    /// Waits until what `command` says contains `words`.
    ///
    /// # Errors
    /// Where it doesn't in time.
    pub async fn says(&self, command: &str, words: &str, limit: Duration) -> Result<String> {
        let mut last = String::new();
        let what = format!("{command:?} of Asterisk's says {words:?}");
        let seen = process::eventually(&what, limit, || {
            let asked = self.cli(command);
            async { Ok(asked.await.ok().filter(|said| said.contains(words))) }
        })
        .await;
        if seen.is_err() {
            last = self.cli(command).await.unwrap_or_default();
        }
        seen.map_err(|error| error.context(format!("it says: {last}\nits log: {}", self.log())))
    }

    /// Its log so far, warnings and SIP included where `pjsip set logger on` was said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log/full")
    }

    /// Ends it, its calls too, and waits.
    ///
    /// # Errors
    /// Where it doesn't end.
    pub async fn stop(mut self) -> Result<()> {
        let said = self.cli("core stop now").await;
        let status = self.running.ended(Duration::from_secs(10)).await?;
        ensure!(said.is_ok() || status.success(), "Asterisk ended with {status}");
        Ok(())
    }
}

fn write_configuration(folder: &tempfile::TempDir, keys: &Keys, setup: &Setup, ip: Ipv4Addr, ports: [u16; 3]) -> Result<()> {
    let here = text(folder.path());
    let [sip, tls, http] = ports;
    let (cert, key) = (text(&keys.cert), text(&keys.key));
    let few = 36_000 + sip % 100 * 40;
    let (first_rtp, last_rtp) = setup.rtp_ports.unwrap_or((few, few + 38));
    let (pjsip, extensions, mailboxes) = (&setup.pjsip, &setup.extensions, &setup.mailboxes);
    let files = [
        (
            "asterisk.conf",
            format!(
                "{DIRECTORIES}astetcdir => {here}\nastdbdir => {here}/db\nastkeydir => {here}/db\n\
            astspooldir => {here}/spool\nastrundir => {here}/run\nastlogdir => {here}/log\n[options]\ntransmit_silence = yes\n"
            ),
        ),
        ("modules.conf", MODULES.to_owned()),
        ("logger.conf", "[general]\n[logfiles]\nfull => notice,warning,error,verbose\n".to_owned()),
        ("extensions.conf", format!("[internal]\n{extensions}\n")),
        (
            "voicemail.conf",
            format!("[general]\nformat=wav\nminsecs=1\nmaxsilence=0\npollmailboxes=yes\npollfreq=1\n[default]\n{mailboxes}\n"),
        ),
        ("rtp.conf", format!("[general]\nrtpstart={first_rtp}\nrtpend={last_rtp}\nicesupport=yes\n")),
        ("http.conf", format!("[general]\nenabled=yes\nbindaddr={ip}\nbindport={http}\n")),
        (
            "pjsip.conf",
            format!(
                "[udp]\ntype=transport\nprotocol=udp\nbind={ip}:{sip}\n[tcp]\ntype=transport\nprotocol=tcp\nbind={ip}:{sip}\n\
             [tls]\ntype=transport\nprotocol=tls\nbind={ip}:{tls}\ncert_file={cert}\npriv_key_file={key}\nmethod=tlsv1_2\n\
             [ws]\ntype=transport\nprotocol=ws\nbind={ip}\n{TEMPLATES}{pjsip}\n"
            ),
        ),
    ];
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents)?;
    }
    // What has no configuration of ours gets an empty one: Asterisk's modules insist on the file.
    for name in ["acl", "ccss", "cdr", "cel", "codecs", "features", "indications", "manager", "musiconhold", "udptl", "stasis"] {
        std::fs::write(folder.path().join(format!("{name}.conf")), DEFAULTS.iter().find(|d| d.0 == name).map_or("", |d| d.1))?;
    }
    Ok(())
}

const DIRECTORIES: &str = "[directories]\nastmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules\n\
    astvarlibdir => /var/lib/asterisk\nastdatadir => /usr/share/asterisk\nastagidir => /usr/share/asterisk/agi-bin\n";

const MODULES: &str = "[modules]\nautoload=yes\nnoload => chan_iax2.so\nnoload => chan_unistim.so\nnoload => chan_motif.so\n\
    noload => chan_console.so\nnoload => res_xmpp.so\nnoload => res_snmp.so\nnoload => res_hep.so\nnoload => res_odbc.so\n\
    noload => res_config_pgsql.so\nnoload => res_config_odbc.so\nnoload => res_config_ldap.so\nnoload => res_phoneprov.so\n\
    noload => res_calendar.so\nnoload => cdr_radius.so\nnoload => cel_radius.so\nnoload => cdr_pgsql.so\nnoload => cel_pgsql.so\n\
    noload => cdr_tds.so\nnoload => cel_tds.so\nnoload => app_voicemail_odbc.so\nnoload => pbx_dundi.so\nnoload => pbx_lua.so\n\
    noload => pbx_ael.so\nnoload => cdr_sqlite3_custom.so\nnoload => cel_sqlite3_custom.so\nnoload => chan_websocket.so\n\
    noload => res_stir_shaken.so\nnoload => res_geolocation.so\nnoload => app_jack.so\nnoload => res_resolver_unbound.so\n";

const DEFAULTS: &[(&str, &str)] =
    &[("manager", "[general]\nenabled=no\n"), ("musiconhold", "[default]\nmode=files\ndirectory=/usr/share/asterisk/moh\n")];

const TEMPLATES: &str = "[endpoint](!)\ntype=endpoint\ncontext=internal\ndisallow=all\nallow=ulaw,alaw,g722\ndirect_media=no\n\
    rtp_symmetric=yes\nforce_rport=yes\nrewrite_contact=yes\ndtmf_mode=rfc4733\n\
    [auth](!)\ntype=auth\nauth_type=digest\n[aor](!)\ntype=aor\nmax_contacts=5\nqualify_frequency=0\n";

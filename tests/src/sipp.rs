//! sipp, somebody else's load: many callers at once who leave a message each.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{
    hosted::{DOMAIN, Phone},
    process::{self, Running},
    sound::{self, Sound},
};

/// Many calls to one extension, each of which speaks the same.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Where the server listens for UDP.
    pub server: SocketAddr,
    /// Who is called.
    pub extension: &'a str,
    /// How many calls.
    pub calls: u32,
    /// What each caller says, over and over, from the moment the call is answered.
    pub speech: &'a Sound,
    /// How long each stays after the answer.
    pub hold: Duration,
}

/// Lets them call, and waits until all have hung up. How long each was connected, by its number: as sipp's own clock says.
///
/// # Errors
/// Where a call fails.
pub async fn run(load: &Load<'_>) -> Result<BTreeMap<String, Duration>> {
    let folder = with_speech(load.speech)?;
    let log = folder.path().join("times.log");
    let calls = load.calls.to_string();
    let mut command = Command::new("sipp");
    command
        .args(["-s", load.extension, "-m", &calls, "-l", &calls, "-r", "50", "-d", &load.hold.as_millis().to_string()])
        .args(["-trace_logs", "-log_file", &text(&log)]);
    let port = process::free_port()?;
    let running = start(command, SCENARIO, load.server, port, folder.path())?;
    ended(running, folder.path(), Duration::from_secs(120)).await?;
    connected(&std::fs::read_to_string(log)?)
}

/// Callers who come one after the other, and who are gone when this is let go.
#[derive(Debug)]
pub struct Calling {
    _running: Running,
    _folder: tempfile::TempDir,
}

/// Lets them call, three a second; their numbers begin with `prefix`.
///
/// # Errors
/// Where sipp can't be started.
pub fn begin(load: &Load<'_>, prefix: &str) -> Result<Calling> {
    let folder = with_speech(load.speech)?;
    let mut command = Command::new("sipp");
    command.args(["-s", load.extension, "-m", &load.calls.to_string(), "-r", "3", "-d", &load.hold.as_millis().to_string()]);
    let scenario = SCENARIO.replace("+4930555", prefix);
    let running = start(command, &scenario, load.server, process::free_port()?, folder.path())?;
    Ok(Calling { _running: running, _folder: folder })
}

/// How a caller without telephone events presses keys.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// As part of what it says.
    Sounding,
    /// This key by SIP INFO (`application/dtmf-relay`), so long after the answer and so long after that.
    Info(char, &'a [Duration]),
}

/// One caller who leaves a message and waits for the server to hang up, with nothing but PCMU.
///
/// # Errors
/// Where the server does not hang up.
pub async fn leave(server: SocketAddr, extension: &str, speech: &Sound, keys: Keys<'_>) -> Result<()> {
    let folder = with_speech(speech)?;
    let (head, _) = SCENARIO.split_once("<pause/>").context("the scenario has no pause")?;
    let mut scenario = head.to_owned();
    if let Keys::Info(key, pauses) = keys {
        for (n, pause) in pauses.iter().enumerate() {
            let fields = [("PAUSE", pause.as_millis().to_string()), ("NUMBER", (n + 2).to_string()), ("KEY", key.to_string())];
            let fill = |text: String, (name, value): &(&str, String)| text.replace(&format!("@{name}@"), value);
            scenario.push_str(&fields.iter().fold(INFO.to_owned(), fill));
        }
    }
    scenario.push_str(HUNG_UP);
    let mut command = Command::new("sipp");
    command.args(["-s", extension, "-m", "1"]);
    let running = start(command, &scenario, server, process::free_port()?, folder.path())?;
    ended(running, folder.path(), Duration::from_secs(60)).await
}

/// How quick those are who press keys.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many of them call at the same time, and as many begin in a second.
    pub at_once: u32,
    /// Before each key.
    pub pause: Duration,
    /// From the last key to the hang-up.
    pub hold: Duration,
    /// All of them have to be done by then.
    pub limit: Duration,
}

impl Default for Pace {
    /// Ten, as fast as a person with a list.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { at_once: 10, pause: ms(80), hold: ms(1_500), limit: Duration::from_secs(60) }
    }
}

/// Callers who press these keys by SIP INFO, each with a number of their own, and then hang up.
///
/// # Errors
/// Where a call fails.
pub async fn press(server: SocketAddr, target: &str, calls: u32, keys: &str, pace: Pace) -> Result<()> {
    let folder = with_speech(&Sound::silence(1.0))?;
    let mut infos = String::new();
    for (n, key) in keys.chars().enumerate() {
        let fields = [("PAUSE", pace.pause.as_millis().to_string()), ("NUMBER", (n + 2).to_string()), ("KEY", key.to_string())];
        let fill = |text: String, (name, value): &(&str, String)| text.replace(&format!("@{name}@"), value);
        infos.push_str(&fields.iter().fold(INFO.to_owned(), fill));
    }
    let goodbye = format!("CSeq: {} BYE", keys.len() + 2);
    let scenario = SCENARIO.replace("<pause/>", &format!("{infos}<pause/>")).replace("CSeq: 2 BYE", &goodbye);
    let (calls, at_once, hold) = (calls.to_string(), pace.at_once.to_string(), pace.hold.as_millis().to_string());
    let mut command = Command::new("sipp");
    command.args(["-s", target, "-m", &calls, "-l", &at_once, "-r", &at_once, "-d", &hold]);
    let running = start(command, &scenario, server, process::free_port()?, folder.path())?;
    ended(running, folder.path(), pace.limit).await
}

/// A desk phone that rings and then refuses one call.
#[derive(Debug)]
pub struct Refusing {
    running: Running,
    folder: tempfile::TempDir,
}

impl Refusing {
    /// Registers the phone and waits for a call, which it will refuse with `status`, such as `603 Decline`.
    ///
    /// # Errors
    /// Where it can't register.
    pub async fn start(server: SocketAddr, phone: &Phone, extension: &str, status: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = process::free_port()?;
        let fill = |scenario: &str| {
            let (user, password) = (phone.username.as_str(), phone.password.as_str());
            let fields =
                [("EXTENSION", extension), ("DOMAIN", DOMAIN), ("USER", user), ("PASSWORD", password), ("STATUS", status)];
            let scenario = scenario.to_owned();
            fields.iter().fold(scenario, |scenario, (name, value)| scenario.replace(&format!("@{name}@"), value))
        };
        let once = || {
            let mut command = Command::new("sipp");
            command.args(["-m", "1"]);
            command
        };
        let register = start(once(), &fill(REGISTER), server, port, folder.path())?;
        ended(register, folder.path(), Duration::from_secs(20)).await?;
        let running = start(once(), &fill(REFUSE), server, port, folder.path())?;
        Ok(Self { running, folder })
    }

    /// Waits until it has refused.
    ///
    /// # Errors
    /// Where nobody called, or the call went another way.
    pub async fn refused(self) -> Result<()> {
        ended(self.running, self.folder.path(), Duration::from_secs(60)).await
    }
}

/// A phone that shows whether a colleague is on the phone, and acknowledges whatever it is told.
#[derive(Debug)]
pub struct Watching {
    running: Running,
    folder: tempfile::TempDir,
}

impl Watching {
    /// Subscribes to the calls of `watched`, and waits for the first NOTIFY: the whole state.
    ///
    /// # Errors
    /// Where it is not allowed to, or is told something else.
    pub async fn start(server: SocketAddr, phone: &Phone, extension: &str, watched: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (user, password) = (phone.username.as_str(), phone.password.as_str());
        let fields = [("EXTENSION", extension), ("WATCHED", watched), ("DOMAIN", DOMAIN), ("USER", user), ("PASSWORD", password)];
        let fill = |text: String, (name, value): &(&str, &str)| text.replace(&format!("@{name}@"), value);
        let until = |state, next| TOLD.replace("@STATE@", state).replace("@NEXT@", next).repeat(MOST_TOLD);
        let scenario = WATCH.replace("@LIT@", &until("confirmed", "2")).replace("@OUT@", &until("terminated", "3"));
        let scenario = fields.iter().fold(scenario, fill);
        let mut command = Command::new("sipp");
        command.args(["-m", "1"]);
        let running = start(command, &scenario, server, process::free_port()?, folder.path())?;
        let told = folder.path().join("told");
        process::eventually("the first NOTIFY came", Duration::from_secs(20), || async { Ok(told.exists().then_some(())) })
            .await?;
        Ok(Self { running, folder })
    }

    /// Waits until it was told that the watched one is on the phone, and then that the call is over.
    ///
    /// # Errors
    /// Where either is not told.
    pub async fn lit_and_out(self) -> Result<()> {
        ended(self.running, self.folder.path(), Duration::from_secs(60)).await
    }
}

/// A folder with the file that scenarios speak.
fn with_speech(speech: &Sound) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let raw: Vec<u8> = speech.0.iter().map(|sample| sound::mu_law(*sample)).collect();
    std::fs::write(folder.path().join("speech.ul"), raw)?;
    Ok(folder)
}

fn start(mut command: Command, scenario: &str, server: SocketAddr, port: u16, folder: &Path) -> Result<Running> {
    let file = folder.join("scenario.xml");
    std::fs::write(&file, scenario.replace("@OK@", OK))?;
    command
        .current_dir(folder)
        .arg(server.to_string())
        .args(["-sf", &text(&file), "-i", "127.0.0.1", "-p", &port.to_string(), "-t", "u1", "-nostdin"])
        .args(["-timeout", "100s", "-timeout_error", "-trace_err", "-error_file", &text(&folder.join("errors.log"))]);
    let mut running = process::start(&mut command, &folder.join("sipp.log"))?;
    // sipp paints its screen on standard output.
    running.ignore_output();
    Ok(running)
}

async fn ended(mut running: Running, folder: &Path, limit: Duration) -> Result<()> {
    let status = running.ended(limit).await?;
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    ensure!(status.success(), "sipp: {status}; {}", errors.lines().take(5).collect::<Vec<_>>().join("; "));
    Ok(())
}

/// Reads the lines `answered NUMBER MS` and `over NUMBER MS`.
fn connected(log: &str) -> Result<BTreeMap<String, Duration>> {
    let mut answered = BTreeMap::new();
    let mut connected = BTreeMap::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [what, number, ms] = words[..] else { continue };
        let at: u64 = ms.parse().with_context(|| format!("no time: {line}"))?;
        if what == "answered" {
            // A repeated 200 counts once.
            answered.entry(number).or_insert(at);
        } else {
            let from = *answered.get(number).with_context(|| format!("{number} was never answered"))?;
            connected.insert(number.to_owned(), Duration::from_millis(at - from));
        }
    }
    Ok(connected)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const SCENARIO: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="leave a message">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
User-Agent: sipp
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=ptime:20
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true">
<action><log message="answered +4930555[call_number] [clock_tick]"/></action>
</recv>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
User-Agent: sipp
Content-Length: 0

]]></send>
<nop><action><exec rtp_stream="speech.ul,-1,0,PCMU/8000"/></action></nop>
<pause/>
<nop><action><exec rtp_stream="pause"/><log message="over +4930555[call_number] [clock_tick]"/></action></nop>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
User-Agent: sipp
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

const INFO: &str = r#"<pause milliseconds="@PAUSE@"/>
<send retrans="500"><![CDATA[
INFO [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: @NUMBER@ INFO
Max-Forwards: 70
User-Agent: sipp
Content-Type: application/dtmf-relay
Content-Length: [len]

Signal=@KEY@
Duration=160
]]></send>
<recv response="200"/>
"#;

/// What `@OK@` in a scenario stands for.
const OK: &str = "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n";

const HUNG_UP: &str = r#"<recv request="BYE"/>
<send><![CDATA[
@OK@]]></send>
</scenario>
"#;

const REGISTER: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="register">
<send retrans="500"><![CDATA[
REGISTER sip:@DOMAIN@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@EXTENSION@@@DOMAIN@>;tag=[call_number]
To: <sip:@EXTENSION@@@DOMAIN@>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:refusing@[local_ip]:[local_port]>
Max-Forwards: 70
User-Agent: sipp
Expires: 120
Content-Length: 0

]]></send>
<recv response="401" auth="true"/>
<send retrans="500"><![CDATA[
REGISTER sip:@DOMAIN@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@EXTENSION@@@DOMAIN@>;tag=[call_number]
To: <sip:@EXTENSION@@@DOMAIN@>
Call-ID: [call_id]
CSeq: 2 REGISTER
Contact: <sip:refusing@[local_ip]:[local_port]>
[authentication username=@USER@ password=@PASSWORD@]
Max-Forwards: 70
User-Agent: sipp
Expires: 120
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

const REFUSE: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="refuse">
<recv request="INVITE"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:refusing@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 @STATUS@
[last_Via:]
[last_From:]
[last_To:];tag=[pid]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<recv request="ACK"/>
</scenario>
"#;

/// More NOTIFYs than a call causes. In a loop there would be a step between two of them at which sipp takes none.
const MOST_TOLD: usize = 12;

/// Is told something; once it is @STATE@, on to the label @NEXT@.
const TOLD: &str = r#"<recv request="NOTIFY"><action>
<ereg regexp="&lt;state>@STATE@" search_in="msg" check_it="false" assign_to="@STATE@"/>
</action></recv>
<send next="@NEXT@" test="@STATE@"><![CDATA[
@OK@]]></send>
"#;

const WATCH: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="watch">
<send retrans="500"><![CDATA[
SUBSCRIBE sip:@WATCHED@@@DOMAIN@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@EXTENSION@@@DOMAIN@>;tag=[call_number]
To: <sip:@WATCHED@@@DOMAIN@>
Call-ID: [call_id]
CSeq: 1 SUBSCRIBE
Contact: <sip:watching@[local_ip]:[local_port]>
Event: dialog
Accept: application/dialog-info+xml
Max-Forwards: 70
User-Agent: sipp
Expires: 120
Content-Length: 0

]]></send>
<recv response="401" auth="true"/>
<send retrans="500"><![CDATA[
SUBSCRIBE sip:@WATCHED@@@DOMAIN@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@EXTENSION@@@DOMAIN@>;tag=[call_number]
To: <sip:@WATCHED@@@DOMAIN@>
Call-ID: [call_id]
CSeq: 2 SUBSCRIBE
Contact: <sip:watching@[local_ip]:[local_port]>
[authentication username=@USER@ password=@PASSWORD@]
Event: dialog
Accept: application/dialog-info+xml
Max-Forwards: 70
User-Agent: sipp
Expires: 120
Content-Length: 0

]]></send>
<recv response="200"/>
<recv request="NOTIFY"><action>
<ereg regexp="state=.full" search_in="msg" check_it="true" assign_to="full"/>
<exec command="touch told"/>
</action></recv>
<send><![CDATA[
@OK@]]></send>
@LIT@<label id="2"/>
@OUT@<label id="3"/>
<nop/>
<Reference variables="full"/>
</scenario>
"#;

#[cfg(test)]
mod tests {
    use super::connected;

    #[test]
    fn the_time_connected_is_read() -> anyhow::Result<()> {
        let read = connected("answered +1 100\nanswered +2 200\nanswered +1 600\nover +1 1100\nover +2 1300\n")?;
        let ms: Vec<_> = read.values().map(std::time::Duration::as_millis).collect();
        assert_eq!(ms, [1000, 1100]);
        Ok(())
    }
}

//! sipp, somebody else's load: many callers at once who leave a message each.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{process, sound::Sound};

/// Many calls to one extension, each of which speaks the same.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Where the server listens for UDP.
    pub server: SocketAddr,
    /// Who is called.
    pub extension: &'a str,
    /// How many calls.
    pub calls: u32,
    /// What each caller says, from the moment the call is answered.
    pub speech: &'a Sound,
    /// How long each stays after the answer, in milliseconds.
    pub hold_ms: u64,
}

/// Lets them call, and waits until all have hung up.
///
/// # Errors
/// Where a call fails.
pub async fn run(load: &Load<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let raw: Vec<u8> = load.speech.0.iter().map(|sample| mu_law(*sample)).collect();
    std::fs::write(folder.path().join("speech.ul"), raw)?;
    let scenario = folder.path().join("deposit.xml");
    std::fs::write(&scenario, SCENARIO)?;
    let log = folder.path().join("sipp.log");
    let mut command = Command::new("sipp");
    command
        .current_dir(folder.path())
        .arg(load.server.to_string())
        .args(["-sf", &text(&scenario), "-s", load.extension, "-i", "127.0.0.1", "-t", "u1", "-nostdin"])
        .args(["-p", &process::free_port()?.to_string(), "-m", &load.calls.to_string(), "-l", &load.calls.to_string()])
        .args(["-r", "50", "-d", &load.hold_ms.to_string(), "-timeout", "120s", "-timeout_error"])
        .args(["-min_rtp_port", "34000", "-max_rtp_port", "35999"])
        .args(["-trace_err", "-error_file", &text(&folder.path().join("errors.log"))]);
    let mut running = process::start(&mut command, &log)?;
    // sipp paints its screen on standard output; somebody has to read it.
    let mut screen = running.take_output().context("sipp has no output")?;
    tokio::spawn(async move { while matches!(screen.next_line().await, Ok(Some(_))) {} });
    let status = running.ended(Duration::from_secs(150)).await?;
    let errors = std::fs::read_to_string(folder.path().join("errors.log")).unwrap_or_default();
    ensure!(status.success(), "sipp: {status}; {}", errors.lines().take(5).collect::<Vec<_>>().join("; "));
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// ITU-T G.711, µ-law: one linear sample as its code.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = i32::from(sample).unsigned_abs().min(32635) + 132;
    let exponent = 24u32.saturating_sub(magnitude.leading_zeros()).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
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
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><exec rtp_stream="speech.ul,-1,0,PCMU/8000"/></action></nop>
<pause/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Caller [call_number]" <sip:+4930555[call_number]@sipp.example>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

#[cfg(test)]
mod tests {
    use super::mu_law;

    #[test]
    fn codes_are_those_of_g711() {
        assert_eq!([mu_law(0), mu_law(32767), mu_law(-32768), mu_law(1000)], [0xff, 0x80, 0x00, 0xce]);
    }
}

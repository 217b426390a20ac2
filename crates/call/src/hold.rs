//! Hold and resume in descriptions (RFC 3264 section 8.4, RFC 6337 section 5.3).

use aftertone_media::sdp;

/// Our description while we hold the call: nothing is wanted of the other end.
pub(crate) fn held(sdp: &str) -> String {
    let line = |line: &str| match line.trim_end() {
        "a=sendrecv" => "a=sendonly\r\n".to_owned(),
        "a=recvonly" => "a=inactive\r\n".to_owned(),
        other => format!("{other}\r\n"),
    };
    sdp.lines().map(line).collect()
}

/// Whether whoever offers this holds the call.
pub(crate) fn is_hold(offer: &str) -> bool {
    let Ok(session) = sdp::parse(offer) else { return false };
    session.audio().is_some_and(|(_, audio)| !session.direction(audio).receives())
}

//! What descriptions need on their way to and from the `webrtc` and `rtc` crates (0.21), which share these habits:
//!
//! | the crates | so |
//! |---|---|
//! | refuse an offer without `s=` or `a=mid`, skip a section without a direction, know no hash in capitals | [`normalise`] what comes from others |
//! | don't intersect an answer's direction with the offer's | set [`answer_direction`] on each transceiver before every answer |
//! | match codecs without their clock, so an answer lists a payload type twice | [`drop_duplicate_payload_types`] in what is sent |
//! | offer only the track's own codec | set the preferences to [`order_codecs`] |
//! | name no destination in `m=` and `c=`, only candidates | [`with_destination`] in what is sent |
//! | name their own sockets for TCP, which only dial | [`without_tcp_candidates`] in what is sent |
//! | dial nobody over TCP who is only named in a description | give them the [`tcp_candidates`] one by one |
//! | always answer `a=setup:active` | let them answer as the DTLS server; nothing to do here |
//! | keep the other end's reports to themselves | put a [`ReportListener`] among the interceptors |
//!
//! All functions are pure, from text to text.

mod reports;

use std::{collections::BTreeSet, net::SocketAddr};

use crate::{
    Codec,
    sdp::{self, Direction, SdpError, Session},
};

pub use reports::{ReportListener, Told};

/// The payload type of DTMF events in our offers. Exactly one is registered: two become the same number twice.
pub const DTMF_PAYLOAD_TYPE: u8 = 110;
/// Its clock in `a=rtpmap`. The durations in its packets count in the AUDIO codec's clock nevertheless.
pub const DTMF_CLOCK_RATE: u32 = 48_000;

/// What an answer settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payloads {
    /// The audio codec: the first of the answer.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of DTMF events, if both sides take them.
    pub dtmf_payload_type: Option<u8>,
    /// All codecs that the answer allows, with their payload types: browsers send whichever they like of them.
    pub all: Vec<(Codec, u8)>,
    /// What the WRITER of the answer does.
    pub direction: Direction,
}

/// Why an answer settled nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadsError {
    /// It can't be parsed.
    #[error("the description can't be read")]
    Sdp(#[from] SdpError),
    /// Its audio is refused or missing.
    #[error("no audio is described")]
    NoAudio,
    /// None of its formats is a codec of ours.
    #[error("no common codec")]
    NoCodec,
}

/// Reads codec and payload types out of a description, usually an answer.
///
/// # Errors
/// When it has no audio of ours.
pub fn payloads(description: &str) -> Result<Payloads, PayloadsError> {
    let session = sdp::parse(description)?;
    let (_, media) = session.audio().ok_or(PayloadsError::NoAudio)?;
    let formats = media.formats();
    let mut all: Vec<(Codec, u8)> = Vec::new();
    for (codec, payload_type) in formats.iter().filter_map(|f| Some((f.codec()?, f.payload_type))) {
        if !all.iter().any(|&(known, _)| known == codec) {
            all.push((codec, payload_type));
        }
    }
    let &(codec, payload_type) = all.first().ok_or(PayloadsError::NoCodec)?;
    let dtmf_payload_type = sdp::dtmf_payload_type(&formats, codec);
    Ok(Payloads { codec, payload_type, dtmf_payload_type, all, direction: session.direction(media) })
}

/// The codecs that a description's audio names, in its order; empty if it has none of ours or can't be parsed.
#[must_use]
pub fn codecs(description: &str) -> Vec<Codec> {
    payloads(description).map(|p| p.all.into_iter().map(|(codec, _)| codec).collect()).unwrap_or_default()
}

/// `supported`, those of `prefer` first and in its order.
#[must_use]
pub fn order_codecs(supported: &[Codec], prefer: &[Codec]) -> Vec<Codec> {
    let mut ordered: Vec<Codec> = prefer.iter().copied().filter(|c| supported.contains(c)).collect();
    ordered.extend(supported.iter().filter(|c| !prefer.contains(c)));
    let mut seen = Vec::new();
    ordered.retain(|c| {
        !seen.contains(c) && {
            seen.push(*c);
            true
        }
    });
    ordered
}

/// The direction that the answer to an offer may have (RFC 3264 section 6.1), with our own `wish`, `Sendrecv` or, to
/// hold, `Sendonly` or `Inactive`.
#[must_use]
pub fn answer_direction(offered: Direction, wish: Direction) -> Direction {
    offered.reversed().and(wish)
}

/// The direction that an offer's audio has: `Inactive` if there is none.
#[must_use]
pub fn offered_direction(offer: &str) -> Direction {
    let direction = |session: &Session| session.audio().map(|(_, media)| session.direction(media));
    sdp::parse(offer).ok().as_ref().and_then(direction).unwrap_or(Direction::Inactive)
}

/// The ICE user name fragment of a description: STUN requests to it begin with ours, which tells calls on one port apart.
#[must_use]
pub fn ice_ufrag(description: &str) -> Option<String> {
    lines(description).find_map(|line| line.strip_prefix("a=ice-ufrag:")).map(|ufrag| ufrag.trim().to_owned())
}

/// Completes a foreign description: `v=`, `o=`, `s=` and `t=` where they are missing, `a=mid` and a direction in each section.
#[must_use]
pub fn normalise(description: &str) -> String {
    let (head, sections) = split(description);
    let mut out: Vec<String> = Vec::new();
    complete_head(&head, &mut out);
    let inherited = head.iter().find(|line| is_direction(line));
    let mids: BTreeSet<&str> = sections.iter().flatten().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    for (index, section) in sections.iter().enumerate() {
        out.extend(section.iter().map(|line| lower_hash(line)));
        if !section.iter().any(|line| line.starts_with("a=mid:")) {
            out.push(format!("a=mid:{}", free_mid(&mids, index)));
        }
        if !section.iter().any(|line| is_direction(line)) {
            out.push(inherited.map_or_else(|| "a=sendrecv".to_owned(), ToString::to_string));
        }
    }
    join(&out)
}

/// A fingerprint's hash function in small letters, as which alone the crates know it (RFC 8122 section 5: in any).
fn lower_hash(line: &str) -> String {
    match line.strip_prefix("a=fingerprint:").and_then(|value| value.split_once(' ')) {
        Some((hash, value)) => format!("a=fingerprint:{} {value}", hash.to_ascii_lowercase()),
        None => line.to_owned(),
    }
}

/// Removes payload types that stand twice in an `m=` line, and all but the first `a=rtpmap` and `a=fmtp` of each.
#[must_use]
pub fn drop_duplicate_payload_types(description: &str) -> String {
    let (head, sections) = split(description);
    let mut out: Vec<String> = head.iter().map(ToString::to_string).collect();
    for section in &sections {
        let mut seen: Vec<&str> = Vec::new();
        for &line in section {
            if line.starts_with("m=") {
                out.push(without_repeated_words(line));
                continue;
            }
            let mapping = line.strip_prefix("a=rtpmap:").or_else(|| line.strip_prefix("a=fmtp:"));
            let Some(payload_type) = mapping.and_then(|rest| rest.split(' ').next()) else {
                out.push(line.to_owned());
                continue;
            };
            let key = &line[..line.len() - mapping.map_or(0, str::len) + payload_type.len()];
            if !seen.contains(&key) {
                seen.push(key);
                out.push(line.to_owned());
            }
        }
    }
    join(&out)
}

/// Names the first candidate as where packets go unless something better is found (RFC 8839 section 4.2.1): agents of the
/// older ICE take a description whose `m=` and `c=` lines name no candidate for one without ICE.
#[must_use]
pub fn with_destination(description: &str) -> String {
    let (head, sections) = split(description);
    let mut out: Vec<String> = head.iter().map(ToString::to_string).collect();
    for section in &sections {
        let destination = section.iter().find_map(|line| destination(line)).filter(|_| {
            // Port 9, "discard", stands for none (RFC 8840 section 4.1.1).
            section.first().is_some_and(|media| media.split(' ').nth(1) == Some("9"))
        });
        out.extend(section.iter().map(|line| match (destination, line.split_once(' ')) {
            (Some(to), Some((media, rest))) if media.starts_with("m=") => {
                format!("{media} {}{}", to.port(), rest.strip_prefix('9').unwrap_or(rest))
            }
            (Some(to), Some(_)) if line.starts_with("c=") => {
                format!("c=IN {} {}", if to.is_ipv4() { "IP4" } else { "IP6" }, to.ip())
            }
            _ => (*line).to_owned(),
        }));
    }
    join(&out)
}

/// Whether the writer of a description has a fixed address and answers checks only (RFC 8445 section 2.5): the server, and no
/// device.
#[must_use]
pub fn is_ice_lite(description: &str) -> bool {
    lines(description).any(|line| line == "a=ice-lite")
}

/// The candidates for TCP (RFC 6544 section 4.5), without their `a=`.
#[must_use]
pub fn tcp_candidates(description: &str) -> Vec<String> {
    let of_tcp = |line: &&str| is_tcp_candidate(line);
    lines(description).filter(of_tcp).filter_map(|line| line.strip_prefix("a=")).map(str::to_owned).collect()
}

/// The description without candidates for TCP.
#[must_use]
pub fn without_tcp_candidates(description: &str) -> String {
    let kept: Vec<String> = lines(description).filter(|line| !is_tcp_candidate(line)).map(str::to_owned).collect();
    join(&kept)
}

fn is_tcp_candidate(line: &str) -> bool {
    let mut words = line.strip_prefix("a=candidate:").unwrap_or_default().split(' ');
    words.nth(2).is_some_and(|protocol| protocol.eq_ignore_ascii_case("tcp"))
}

/// Where a candidate for packets over UDP is.
fn destination(line: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    let [_, "1", protocol, _, address, port, ..] = words[..] else { return None };
    protocol.eq_ignore_ascii_case("udp").then_some(())?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

fn lines(description: &str) -> impl Iterator<Item = &str> {
    description.split(['\r', '\n']).map(str::trim).filter(|line| line.len() > 1 && line.as_bytes()[1] == b'=')
}

fn split(description: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let (mut head, mut sections) = (Vec::new(), Vec::<Vec<&str>>::new());
    for line in lines(description) {
        match sections.last_mut() {
            _ if line.starts_with("m=") => sections.push(vec![line]),
            Some(section) => section.push(line),
            None => head.push(line),
        }
    }
    (head, sections)
}

fn join(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect()
}

/// `v o s` must stand first and `t` before the attributes (RFC 8866 section 5).
fn complete_head(head: &[&str], out: &mut Vec<String>) {
    let defaults = [("v=", "v=0"), ("o=", "o=- 0 0 IN IP4 0.0.0.0"), ("s=", "s=-")];
    for (kind, default) in defaults {
        let present = head.iter().find(|line| line.starts_with(kind) && line.len() > 2);
        out.push(present.unwrap_or(&default).to_string());
    }
    let is_default = |line: &&&str| defaults.iter().any(|(kind, _)| line.starts_with(kind));
    let (attributes, others): (Vec<&&str>, Vec<&&str>) =
        head.iter().filter(|l| !is_default(l)).partition(|l| l.starts_with("a="));
    let has_time = others.iter().any(|line| line.starts_with("t="));
    out.extend(others.into_iter().map(ToString::to_string));
    if !has_time {
        out.push("t=0 0".to_owned());
    }
    out.extend(attributes.into_iter().map(|line| lower_hash(line)));
}

fn is_direction(line: &str) -> bool {
    matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive")
}

/// The section's place as its mid, unless another section took that name.
fn free_mid(taken: &BTreeSet<&str>, index: usize) -> String {
    let plain = index.to_string();
    if taken.contains(plain.as_str()) { format!("m{index}") } else { plain }
}

fn without_repeated_words(media_line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for (at, word) in media_line.split_whitespace().enumerate() {
        // Kind, port and protocol may well equal a payload type.
        if at < 3 || !words[3..].contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;

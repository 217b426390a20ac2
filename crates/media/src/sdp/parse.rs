use std::net::IpAddr;

use super::{Attribute, Media, SdpError, Session};

/// No phone describes more; reading grows with the product of formats and attributes.
const MOST_SECTIONS: usize = 64;
/// In a section; there are 128 payload types.
const MOST_FORMATS: usize = 128;
/// In all: a browser's offer of sound and video has less than half of it.
const MOST_ATTRIBUTES: usize = 512;

/// Parses a description leniently: any line end, no `v=`, `o=`, `s=` or `t=` needed, unknown lines skipped.
///
/// # Errors
/// When no medium is described, an `m=` line makes no sense, or there is more than any phone says.
pub fn parse(text: &str) -> Result<Session, SdpError> {
    let (mut session, mut attributes) = (Session::default(), 0);
    for line in text.split(['\r', '\n']) {
        let Some((kind, value)) = line.trim_start().split_once('=') else { continue };
        let value = value.trim_end();
        attributes += usize::from(kind == "a");
        if attributes > MOST_ATTRIBUTES || (kind == "m" && session.media.len() == MOST_SECTIONS) {
            return Err(SdpError::TooLarge);
        }
        match (kind, session.media.last_mut()) {
            ("m", _) => session.media.push(media_line(value)?),
            ("c", Some(media)) => media.connection = address(value),
            ("c", None) => session.connection = address(value),
            ("a", Some(media)) => media.attributes.push(attribute(value)),
            ("a", None) => session.attributes.push(attribute(value)),
            ("o", None) => session.origin = Some(value.to_owned()),
            _ => {}
        }
    }
    if session.media.is_empty() { Err(SdpError::NoMedia) } else { Ok(session) }
}

fn media_line(value: &str) -> Result<Media, SdpError> {
    let mut words = value.split_ascii_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return Err(SdpError::MediaLine(value.to_owned()));
    };
    // `49170/2` announces several ports; the first counts.
    let port = port.split('/').next().unwrap_or(port).parse().map_err(|_| SdpError::MediaLine(value.to_owned()))?;
    if words.clone().nth(MOST_FORMATS).is_some() {
        return Err(SdpError::TooLarge);
    }
    Ok(Media {
        kind: kind.to_ascii_lowercase(),
        port,
        protocol: protocol.to_owned(),
        formats: words.map(str::to_owned).collect(),
        connection: None,
        attributes: Vec::new(),
    })
}

/// `IN IP4 192.0.2.1`, perhaps with `/TTL` behind it.
fn address(value: &str) -> Option<IpAddr> {
    let word = value.split_ascii_whitespace().nth(2)?;
    word.split('/').next()?.parse().ok()
}

fn attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((name, value)) => Attribute { name: name.trim().to_ascii_lowercase(), value: Some(value.trim().to_owned()) },
        None => Attribute { name: value.trim().to_ascii_lowercase(), value: None },
    }
}

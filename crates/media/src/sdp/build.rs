use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use super::{Crypto, Direction, Media, Negotiated, Session};
use crate::Codec;

/// The events that we take: the sixteen keys (RFC 4733 section 3.2).
pub const DTMF_EVENTS: &str = "0-15";
/// The payload types that we offer for DTMF events: 101 is what every phone expects at 8 kHz.
const DTMF_8K: u8 = 101;
const DTMF_48K: u8 = 110;
/// Comfort noise at 8 kHz, a static payload type (RFC 3551 section 6).
const COMFORT_NOISE: u8 = 13;

/// An offer of plain RTP with DTMF events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpOffer<'a> {
    /// Where we receive RTP; RTCP is expected one port higher.
    pub local: SocketAddr,
    /// The session's number, kept for its life (RFC 8866 section 5.2).
    pub session_id: u64,
    /// Raised by one with every changed description of this session.
    pub version: u64,
    /// Favourite first.
    pub codecs: &'a [Codec],
    /// What we want to do.
    pub direction: Direction,
    /// Encryption is demanded (`RTP/SAVP`); otherwise keys are an offer that may be passed over (RFC 8643).
    pub secure: bool,
    /// Our keys, best first, each with a tag of its own; none for plain RTP.
    pub crypto: &'a [Crypto],
}

/// An answer to an offer of plain RTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpAnswer<'a> {
    /// Where we receive RTP.
    pub local: SocketAddr,
    /// As in [`RtpOffer`].
    pub session_id: u64,
    /// As in [`RtpOffer`].
    pub version: u64,
    /// The offer; every one of its `m=` lines is answered, all but one refused with port 0 (RFC 3264 section 6).
    pub offer: &'a Session,
    /// What [`super::negotiate`] chose of it.
    pub negotiated: &'a Negotiated,
    /// What we do; use `negotiated.direction`, narrowed by [`Direction::and`] for an own hold.
    pub direction: Direction,
    /// Our key, with the tag and suite of `negotiated.crypto`; none for plain RTP.
    pub crypto: Option<&'a Crypto>,
}

impl RtpOffer<'_> {
    /// The description's text.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mut sdp = head(self.local.ip(), self.session_id, self.version);
        let mut lines = String::new();
        let mut types = Vec::new();
        for codec in self.codecs {
            types.push(codec.payload_type());
            format_lines(&mut lines, codec.payload_type(), codec.rtpmap(), codec.fmtp());
        }
        if self.codecs.iter().any(|codec| matches!(codec, Codec::Pcmu | Codec::Pcma)) {
            types.push(COMFORT_NOISE);
            format_lines(&mut lines, COMFORT_NOISE, "CN/8000", "");
        }
        for (payload_type, clock) in [(DTMF_48K, 48_000), (DTMF_8K, 8_000)] {
            if self.codecs.iter().any(|c| c.clock_rate() == clock) {
                types.push(payload_type);
                format_lines(&mut lines, payload_type, &format!("telephone-event/{clock}"), DTMF_EVENTS);
            }
        }
        lines.extend(self.crypto.iter().map(Crypto::to_line));
        let protocol = if self.secure { "RTP/SAVP" } else { "RTP/AVP" };
        media(&mut sdp, self.local.port(), protocol, &types, &lines, self.direction);
        sdp
    }
}

impl RtpAnswer<'_> {
    /// The description's text.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mut sdp = head(self.local.ip(), self.session_id, self.version);
        for (index, offered) in self.offer.media.iter().enumerate() {
            if index == self.negotiated.media_index {
                self.accepted(&mut sdp, offered);
            } else {
                refused(&mut sdp, offered);
            }
        }
        sdp
    }

    fn accepted(&self, sdp: &mut String, offered: &Media) {
        let Negotiated { codec, payload_type, dtmf_payload_type, comfort_payload_type, .. } = *self.negotiated;
        let mut lines = String::new();
        let mut types = vec![payload_type];
        format_lines(&mut lines, payload_type, codec.rtpmap(), codec.fmtp());
        if let Some(comfort) = comfort_payload_type {
            types.push(comfort);
            format_lines(&mut lines, comfort, &format!("CN/{}", codec.clock_rate()), "");
        }
        if let Some(dtmf) = dtmf_payload_type {
            types.push(dtmf);
            // The clock as it was offered for this number: an answer may not map it anew.
            let clock =
                offered.formats().into_iter().find(|f| f.payload_type == dtmf).map_or(codec.clock_rate(), |f| f.clock_rate);
            format_lines(&mut lines, dtmf, &format!("telephone-event/{clock}"), DTMF_EVENTS);
        }
        lines.extend(self.crypto.map(Crypto::to_line));
        media(sdp, self.local.port(), &offered.protocol, &types, &lines, self.direction);
    }
}

// `write!` to a String can't fail, so its result says nothing.

fn head(address: IpAddr, session_id: u64, version: u64) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("v=0\r\no=- {session_id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n")
}

fn media(sdp: &mut String, port: u16, protocol: &str, types: &[u8], lines: &str, direction: Direction) {
    let types: String = types.iter().map(|pt| format!(" {pt}")).collect();
    let direction = direction.as_str();
    let _ = write!(sdp, "m=audio {port} {protocol}{types}\r\n{lines}a=ptime:20\r\na={direction}\r\n");
}

fn format_lines(lines: &mut String, payload_type: u8, rtpmap: &str, fmtp: &str) {
    let _ = write!(lines, "a=rtpmap:{payload_type} {rtpmap}\r\n");
    if !fmtp.is_empty() {
        let _ = write!(lines, "a=fmtp:{payload_type} {fmtp}\r\n");
    }
}

fn refused(sdp: &mut String, offered: &Media) {
    // At least one format must stand there (RFC 3264 section 6).
    let formats = if offered.formats.is_empty() { "0".to_owned() } else { offered.formats.join(" ") };
    let _ = write!(sdp, "m={} 0 {} {formats}\r\n", offered.kind, offered.protocol);
}

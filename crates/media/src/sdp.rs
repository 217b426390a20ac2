//! Session descriptions (RFC 8866) of audio, and offer/answer (RFC 3264) for plain RTP.
//!
//! Parsing is lenient, since exchanges and gateways leave out what the grammar asks for; building is strict.

mod build;
mod crypto;
mod negotiate;
mod parse;

use std::{net::IpAddr, time::Duration};

pub use build::{DTMF_EVENTS, RtpAnswer, RtpOffer};
pub use crypto::{Crypto, Suite};
pub(crate) use negotiate::dtmf_payload_type;
pub use negotiate::{NegotiateError, Negotiated, accept_answer, negotiate};
pub use parse::parse;

use crate::Codec;

/// Who sends, seen from the side that wrote the description (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both; also when nothing is said.
    #[default]
    Sendrecv,
    /// The writer only sends: it holds the call.
    Sendonly,
    /// The writer only listens: it is held.
    Recvonly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// From what the writer does with each way.
    #[must_use]
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::Sendrecv,
            (true, false) => Self::Sendonly,
            (false, true) => Self::Recvonly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Sendonly)
    }

    /// Whether the writer listens.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Recvonly)
    }

    /// The same, seen from the other side: the widest answer (RFC 3264 section 6.1).
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name: `sendrecv`, …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sendrecv => "sendrecv",
            Self::Sendonly => "sendonly",
            Self::Recvonly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_attribute(name: &str) -> Option<Self> {
        [Self::Sendrecv, Self::Sendonly, Self::Recvonly, Self::Inactive].into_iter().find(|d| d.as_str() == name)
    }
}

/// Why a text is no description. Very little is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// There is no `m=` line.
    #[error("no media is described")]
    NoMedia,
    /// An `m=` line can't be read.
    #[error("the media line can't be read: {0:?}")]
    MediaLine(String),
    /// More sections, formats or attributes than any phone has.
    #[error("the description is too large")]
    TooLarge,
}

/// One `a=` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Before the colon.
    pub name: String,
    /// Behind it.
    pub value: Option<String>,
}

/// A parsed description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// `o=` as it stands, without `o=`.
    pub origin: Option<String>,
    /// The session's `c=` address, if it is numeric.
    pub connection: Option<IpAddr>,
    /// Attributes before the first `m=`.
    pub attributes: Vec<Attribute>,
    /// In the order of the `m=` lines; an answer must keep it.
    pub media: Vec<Media>,
}

/// One `m=` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`, …
    pub kind: String,
    /// Zero refuses or ends the stream.
    pub port: u16,
    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, …
    pub protocol: String,
    /// Payload types, preferred first; other words for other protocols.
    pub formats: Vec<String>,
    /// The section's own `c=` address, if it is numeric.
    pub connection: Option<IpAddr>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A payload type with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// The encoding's name as it was written.
    pub name: String,
    /// Hertz.
    pub clock_rate: u32,
    /// The parameters of `a=fmtp`, or an empty text.
    pub parameters: String,
}

impl Format {
    /// Our codec of this format.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        self.name.parse().ok().filter(|codec: &Codec| codec.clock_rate() == self.clock_rate)
    }

    /// Whether it is comfort noise (RFC 3389).
    #[must_use]
    pub fn is_comfort_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case("CN")
    }

    /// Whether these are DTMF events (RFC 4733).
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }
}

/// How long the packets are that an end wants to get (RFC 8866 section 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketTime {
    /// `a=ptime`: what it likes best, 10 to 60 ms.
    pub wanted: Option<Duration>,
    /// `a=maxptime`: it takes none that is longer.
    pub most: Option<Duration>,
}

impl PacketTime {
    /// How long a packet is to be, where packets of that length come.
    #[must_use]
    pub fn of(self, comes: Duration) -> Duration {
        let wanted = self.wanted.unwrap_or(comes);
        self.most.map_or(wanted, |most| wanted.min(most))
    }
}

impl Session {
    /// The first audio section that isn't refused, and its place among the `m=` lines.
    #[must_use]
    pub fn audio(&self) -> Option<(usize, &Media)> {
        self.media.iter().enumerate().find(|(_, m)| m.kind == "audio" && m.port != 0)
    }

    /// Where a section's packets go, if it is said in numbers.
    #[must_use]
    pub fn address(&self, media: &Media) -> Option<IpAddr> {
        media.connection.or(self.connection)
    }

    /// A section's direction; the session's if it says nothing itself.
    #[must_use]
    pub fn direction(&self, media: &Media) -> Direction {
        let find = |attributes: &[Attribute]| attributes.iter().rev().find_map(|a| Direction::from_attribute(&a.name));
        find(&media.attributes).or_else(|| find(&self.attributes)).unwrap_or_default()
    }

    /// Whether the description is of a WebRTC peer: DTLS-SRTP with ICE.
    #[must_use]
    pub fn is_webrtc(&self) -> bool {
        let Some((_, media)) = self.audio() else { return false };
        let has = |name| media.attribute(name).is_some() || self.attributes.iter().any(|a| a.name == name);
        media.protocol.to_ascii_uppercase().contains("TLS/RTP/SAVP") || (has("fingerprint") && has("ice-ufrag"))
    }
}

impl Media {
    /// The value of an attribute's first line; an empty text when it has none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == name).map(|a| a.value.as_deref().unwrap_or_default())
    }

    /// The payload types with their meaning, in the order of the `m=` line. Static types need no `a=rtpmap`
    /// (RFC 3551 section 6); types that nobody explains are left out.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        let mut formats = Vec::new();
        for payload_type in self.formats.iter().filter_map(|f| f.parse::<u8>().ok()).filter(|&pt| pt < 128) {
            let known = self.mapping(payload_type).or_else(|| static_format(payload_type));
            if let Some((name, clock_rate)) = known {
                let parameters = self.of_type("fmtp", payload_type).unwrap_or_default().to_owned();
                formats.push(Format { payload_type, name, clock_rate, parameters });
            }
        }
        formats
    }

    /// How long packets are to be; what makes no sense is passed over.
    #[must_use]
    pub fn packet_time(&self) -> PacketTime {
        let of = |name| {
            // Some phones write 20.0.
            let ms: f64 = self.attribute(name)?.trim().parse().ok().filter(|ms| (1.0..1_000.0).contains(ms))?;
            Some(Duration::from_millis((ms as u64).clamp(10, 60)))
        };
        PacketTime { wanted: of("ptime"), most: of("maxptime") }
    }

    /// Whether its packets must be encrypted (`RTP/SAVP`, `RTP/SAVPF`).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.protocol.to_ascii_uppercase().starts_with("RTP/SAVP")
    }

    /// The SDES keys that we can use, in their order.
    #[must_use]
    pub fn crypto(&self) -> Vec<Crypto> {
        let values = self.attributes.iter().filter(|a| a.name == "crypto").filter_map(|a| a.value.as_deref());
        values.filter_map(Crypto::parse).collect()
    }

    fn mapping(&self, payload_type: u8) -> Option<(String, u32)> {
        let mut parts = self.of_type("rtpmap", payload_type)?.split('/');
        Some((parts.next()?.trim().to_owned(), parts.next()?.trim().parse().ok()?))
    }

    /// What follows `a=NAME:PT `.
    fn of_type(&self, name: &str, payload_type: u8) -> Option<&str> {
        let values = self.attributes.iter().filter(|a| a.name == name).filter_map(|a| a.value.as_deref());
        values.filter_map(|v| v.split_once(' ')).find(|(pt, _)| pt.parse() == Ok(payload_type)).map(|(_, rest)| rest.trim())
    }
}

fn static_format(payload_type: u8) -> Option<(String, u32)> {
    let (name, rate) = match payload_type {
        0 => ("PCMU", 8_000),
        3 => ("GSM", 8_000),
        8 => ("PCMA", 8_000),
        9 => ("G722", 8_000),
        13 => ("CN", 8_000),
        18 => ("G729", 8_000),
        _ => return None,
    };
    Some((name.to_owned(), rate))
}

/// Whether an offer is of a WebRTC peer (UDP/TLS/RTP/SAVPF, a fingerprint, ICE); false too when it can't be parsed.
#[must_use]
pub fn is_webrtc(offer: &str) -> bool {
    parse(offer).is_ok_and(|session| session.is_webrtc())
}

#[cfg(test)]
mod tests;

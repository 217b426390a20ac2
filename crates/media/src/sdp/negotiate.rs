use std::net::{IpAddr, SocketAddr};

use super::{Crypto, Direction, Format, Media, PacketTime, Session};
use crate::Codec;

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec to send and expect.
    pub codec: Codec,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// The payload type of DTMF events (RFC 4733), if the other side takes them; its clock is the codec's.
    pub dtmf_payload_type: Option<u8>,
    /// The payload type of comfort noise (RFC 3389) at the codec's clock, if the other side takes it; never beside Opus, which
    /// has its own.
    pub comfort_payload_type: Option<u8>,
    /// How long the other side wants our packets.
    pub packet_time: PacketTime,
    /// Where our packets go. After the first packet came, its source is the better address: the other side may be
    /// behind a NAT.
    pub remote: SocketAddr,
    /// Where RTCP goes: the next port unless `a=rtcp` or `a=rtcp-mux` says otherwise (RFC 3550 section 11).
    pub remote_rtcp: SocketAddr,
    /// What WE do, the widest that the other side allows; see [`Direction::and`] for an own hold.
    pub direction: Direction,
    /// Which of the `m=` lines it is.
    pub media_index: usize,
    /// Packets must be encrypted; otherwise they are if there is `crypto` (opportunistic SRTP, RFC 8643).
    pub secure: bool,
    /// The other side's key, of the best suite that both know; absent in a description without encryption.
    pub crypto: Option<Crypto>,
}

/// Why there is no common ground.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NegotiateError {
    /// No audio, or only refused audio.
    #[error("no audio is described")]
    NoAudio,
    /// The other side wants another transport than RTP, such as DTLS.
    #[error("the media protocol is {0}, not RTP")]
    Protocol(String),
    /// Encryption is demanded, and there is no key of a suite that we know.
    #[error("no common encryption")]
    NoCrypto,
    /// No codec is common.
    #[error("no common codec")]
    NoCodec,
    /// There is no numeric address to send to.
    #[error("no address to send to")]
    NoAddress,
}

/// Reads an offer of RTP: the first audio section of `RTP/AVP` or (with SDES keys) `RTP/SAVP` with a codec of `prefer`, our
/// favourite first.
///
/// # Errors
/// When nothing fits; 488 (Not Acceptable Here) is the answer then.
pub fn negotiate(offer: &Session, prefer: &[Codec]) -> Result<Negotiated, NegotiateError> {
    let mut reason = NegotiateError::NoAudio;
    for (index, media) in offer.media.iter().enumerate().filter(|(_, m)| m.kind == "audio" && m.port != 0) {
        match agree(offer, index, media, |formats| best_of(prefer, formats)) {
            Ok(negotiated) => return Ok(negotiated),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Reads the answer to our offer: the other side's favourite among what we `offered`.
///
/// # Errors
/// When it refused the audio, or chose something that wasn't offered.
pub fn accept_answer(answer: &Session, offered: &[Codec]) -> Result<Negotiated, NegotiateError> {
    let (index, media) = answer.audio().ok_or(NegotiateError::NoAudio)?;
    agree(answer, index, media, |formats| first_of(offered, formats))
}

fn agree(
    session: &Session,
    media_index: usize,
    media: &Media,
    choose: impl Fn(&[Format]) -> Option<(Codec, u8)>,
) -> Result<Negotiated, NegotiateError> {
    let protocol = media.protocol.to_ascii_uppercase();
    if !matches!(protocol.as_str(), "RTP/AVP" | "RTP/AVPF" | "RTP/SAVP" | "RTP/SAVPF") {
        return Err(NegotiateError::Protocol(media.protocol.clone()));
    }
    let crypto = media.crypto().into_iter().min_by_key(|c| super::Suite::ALL.iter().position(|suite| *suite == c.suite));
    if media.is_secure() && crypto.is_none() {
        return Err(NegotiateError::NoCrypto);
    }
    let formats = media.formats();
    let (codec, payload_type) = choose(&formats).ok_or(NegotiateError::NoCodec)?;
    let address = session.address(media).ok_or(NegotiateError::NoAddress)?;
    let remote = SocketAddr::new(address, media.port);
    Ok(Negotiated {
        codec,
        payload_type,
        dtmf_payload_type: dtmf_payload_type(&formats, codec),
        comfort_payload_type: formats
            .iter()
            .find(|format| format.is_comfort_noise() && format.clock_rate == codec.clock_rate())
            .map(|format| format.payload_type),
        packet_time: media.packet_time(),
        remote,
        remote_rtcp: rtcp_address(media, remote),
        direction: rtp_direction(session.direction(media), address).reversed(),
        media_index,
        secure: media.is_secure(),
        crypto,
    })
}

fn best_of(prefer: &[Codec], formats: &[Format]) -> Option<(Codec, u8)> {
    prefer.iter().find_map(|&codec| first_of(&[codec], formats))
}

fn first_of(allowed: &[Codec], formats: &[Format]) -> Option<(Codec, u8)> {
    formats.iter().find_map(|f| f.codec().filter(|c| allowed.contains(c)).map(|codec| (codec, f.payload_type)))
}

/// The events whose clock is the codec's, as RFC 4733 section 2.1 asks for; failing that whichever there are, since some
/// phones announce 8000 beside Opus and then count in the codec's clock.
pub(crate) fn dtmf_payload_type(formats: &[Format], codec: Codec) -> Option<u8> {
    let events = || formats.iter().filter(|f| f.is_telephone_event());
    let same_clock = events().find(|f| f.clock_rate == codec.clock_rate());
    same_clock.or_else(|| events().next()).map(|f| f.payload_type)
}

/// `c=0.0.0.0` is hold as it was before RFC 3264: the writer doesn't want to hear us.
fn rtp_direction(written: Direction, address: IpAddr) -> Direction {
    if address.is_unspecified() { written.and(Direction::Sendonly) } else { written }
}

fn rtcp_address(media: &Media, rtp: SocketAddr) -> SocketAddr {
    if media.attribute("rtcp-mux").is_some() {
        return rtp;
    }
    // RFC 3605: `a=rtcp:53020 IN IP4 126.16.64.4`, the address optional.
    let mut words = media.attribute("rtcp").unwrap_or_default().split_ascii_whitespace();
    let port = words.next().and_then(|p| p.parse().ok()).unwrap_or(rtp.port().saturating_add(1));
    let ip = words.nth(2).and_then(|ip| ip.parse().ok()).unwrap_or(rtp.ip());
    SocketAddr::new(ip, port)
}

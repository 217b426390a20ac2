//! The little of STUN (RFC 8489) that keeps a flow over UDP open and tells what address a NAT gives it (RFC 5626 section
//! 4.4.2): binding requests and their answers. What media need of STUN is the WebRTC library's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const COOKIE: u32 = 0x2112_A442;
const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Ties an answer to its request.
pub type TransactionId = [u8; 12];

/// A binding request.
#[must_use]
pub fn request(id: TransactionId) -> Vec<u8> {
    header(BINDING_REQUEST, 0, id).to_vec()
}

/// Whether this is a STUN message, which no SIP message can be.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == COOKIE.to_be_bytes()
}

/// The answer to a binding request that came from `source`; `None` to anything else.
#[must_use]
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    if !is_stun(datagram) || word(datagram, 0)? != BINDING_REQUEST {
        return None;
    }
    let id: TransactionId = datagram.get(8..HEADER)?.try_into().ok()?;
    let (family, address) = match source.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let value: Vec<u8> = address.iter().zip(mask(id)).map(|(byte, mask)| byte ^ mask).collect();
    let length = u16::try_from(value.len() + 4).ok()?;
    let mut message = header(BINDING_SUCCESS, length + 4, id).to_vec();
    for field in [XOR_MAPPED_ADDRESS, length, family, source.port() ^ (COOKIE >> 16) as u16] {
        message.extend(field.to_be_bytes());
    }
    message.extend(value);
    Some(message)
}

/// What a successful answer says of our address, and which request it answers.
#[must_use]
pub fn mapped(datagram: &[u8]) -> Option<(TransactionId, SocketAddr)> {
    if !is_stun(datagram) || word(datagram, 0)? != BINDING_SUCCESS {
        return None;
    }
    let id: TransactionId = datagram.get(8..HEADER)?.try_into().ok()?;
    let mut attributes = datagram.get(HEADER..)?;
    while attributes.len() >= 4 {
        let (kind, length) = (word(attributes, 0)?, usize::from(word(attributes, 2)?));
        let value = attributes.get(4..4 + length)?;
        if kind == XOR_MAPPED_ADDRESS {
            return Some((id, xor_address(value, id)?));
        }
        // Attributes are padded to four bytes.
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}

fn xor_address(value: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let port = word(value, 2)? ^ (COOKIE >> 16) as u16;
    let plain: Vec<u8> = value.get(4..)?.iter().zip(mask(id)).map(|(byte, mask)| byte ^ mask).collect();
    let ip: IpAddr = match value.get(1)? {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn mask(id: TransactionId) -> impl Iterator<Item = u8> {
    COOKIE.to_be_bytes().into_iter().chain(id)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn header(kind: u16, length: u16, id: TransactionId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&kind.to_be_bytes());
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..8].copy_from_slice(&COOKIE.to_be_bytes());
    header[8..].copy_from_slice(&id);
    header
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ID: TransactionId = *b"0123456789ab";

    #[test]
    fn an_answer_tells_the_address_that_was_seen() {
        for source in ["192.0.2.1:5060", "[2001:db8::7]:49152"] {
            let source: SocketAddr = source.parse().unwrap();
            assert_eq!(mapped(&answer(&request(ID), source).unwrap()), Some((ID, source)));
        }
    }

    /// RFC 5769 section 2.2, without its integrity: software, then the address.
    #[test]
    fn the_sample_of_the_rfc_is_read() {
        let mut sample = vec![1, 1, 0, 28, 0x21, 0x12, 0xa4, 0x42];
        sample.extend([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        sample.extend(*b"\x80\x22\x00\x0btest vector ");
        sample.extend([0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        assert_eq!(mapped(&sample).unwrap().1, "192.0.2.1:32853".parse().unwrap());
    }

    #[test]
    fn sip_and_rubbish_are_not_answered() {
        let source = "192.0.2.1:5060".parse().unwrap();
        for other in [&b"\r\n\r\n"[..], b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", b"\0\x01\0\0", &[0; 64]] {
            assert_eq!(answer(other, source), None);
            assert_eq!(mapped(other), None);
        }
        assert_eq!(mapped(&request(ID)), None);
    }
}

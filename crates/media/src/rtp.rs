//! RTP packets (RFC 3550 section 5.1) and the one counter that a stream's packets share.

use bytes::{BufMut, Bytes, BytesMut};

/// Why a datagram is no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Too short for what its header announces.
    #[error("the packet ends early")]
    Truncated,
    /// The first two bits aren't 2.
    #[error("not RTP version 2")]
    Version,
    /// The padding's length is zero or more than the packet has.
    #[error("its padding is impossible")]
    Padding,
}

/// One packet. Contributing sources and header extensions are skipped when parsing and never written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// The first packet after silence, and of a DTMF event.
    pub marker: bool,
    /// Which codec, by the negotiated number (7 bits).
    pub payload_type: u8,
    /// Rises by one per packet.
    pub sequence: u16,
    /// In ticks of the codec's clock.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// The codec's bytes.
    pub payload: Bytes,
}

impl RtpPacket {
    /// Parses a datagram.
    ///
    /// # Errors
    /// When it isn't RTP; see also [`is_rtcp`], which comes over the same port with rtcp-mux.
    pub fn parse(datagram: &[u8]) -> Result<Self, RtpError> {
        let range = payload_range(datagram)?;
        Ok(Self::with_payload(datagram, Bytes::copy_from_slice(&datagram[range])))
    }

    /// Parses a datagram without copying its payload.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_bytes(datagram: &Bytes) -> Result<Self, RtpError> {
        let range = payload_range(datagram)?;
        Ok(Self::with_payload(datagram, datagram.slice(range)))
    }

    fn with_payload(datagram: &[u8], payload: Bytes) -> Self {
        let word = |at: usize| u32::from_be_bytes([datagram[at], datagram[at + 1], datagram[at + 2], datagram[at + 3]]);
        Self {
            marker: datagram[1] & 0x80 != 0,
            payload_type: datagram[1] & 0x7F,
            sequence: u16::from_be_bytes([datagram[2], datagram[3]]),
            timestamp: word(4),
            ssrc: word(8),
            payload,
        }
    }

    /// The packet as a datagram.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(12 + self.payload.len());
        bytes.put_u8(0x80);
        bytes.put_u8(u8::from(self.marker) << 7 | self.payload_type & 0x7F);
        bytes.put_u16(self.sequence);
        bytes.put_u32(self.timestamp);
        bytes.put_u32(self.ssrc);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }
}

fn payload_range(datagram: &[u8]) -> Result<std::ops::Range<usize>, RtpError> {
    let &[first, ..] = datagram else { return Err(RtpError::Truncated) };
    if first >> 6 != 2 {
        return Err(RtpError::Version);
    }
    let mut start = 12 + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        let length = datagram.get(start + 2..start + 4).ok_or(RtpError::Truncated)?;
        start += 4 + usize::from(u16::from_be_bytes([length[0], length[1]])) * 4;
    }
    let mut end = datagram.len();
    if start > end {
        return Err(RtpError::Truncated);
    }
    if first & 0x20 != 0 {
        let padding = usize::from(datagram[end - 1]);
        if padding == 0 || padding > end - start {
            return Err(RtpError::Padding);
        }
        end -= padding;
    }
    Ok(start..end)
}

/// Whether a datagram of a port that carries both is RTCP (RFC 5761 section 4: packet types 192 to 223).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Numbers the packets of one outgoing stream. Audio and DTMF share it, since SRTP takes a second counter of the same
/// SSRC for a replay.
#[derive(Debug, Clone)]
pub struct RtpSender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    silent: bool,
}

impl RtpSender {
    /// A stream that begins with these numbers, which should be random (RFC 3550 section 5.1).
    #[must_use]
    pub fn new(ssrc: u32, first_sequence: u16, first_timestamp: u32) -> Self {
        // Far from a wrap at the start: a receiver that sees the wrap before it knows the stream guesses SRTP's rollover wrong.
        Self { ssrc, sequence: first_sequence & 0x7FFF, timestamp: first_timestamp, silent: true }
    }

    /// The stream's id.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of the next packet.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// A packet of sound that lasts `ticks` of the codec's clock; the marker is set after silence.
    pub fn audio(&mut self, payload_type: u8, payload: impl Into<Bytes>, ticks: u32) -> RtpPacket {
        let marker = std::mem::take(&mut self.silent);
        let packet = self.packet(marker, payload_type, self.timestamp, payload.into());
        self.timestamp = self.timestamp.wrapping_add(ticks);
        packet
    }

    /// Nothing is sent for `ticks`: discontinuous transmission, mute or hold.
    pub fn pause(&mut self, ticks: u32) {
        self.silent = true;
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// A packet at a timestamp of its own, as DTMF events need (RFC 4733 section 2.2.1); the clock stays.
    pub fn event(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: impl Into<Bytes>) -> RtpPacket {
        self.packet(marker, payload_type, timestamp, payload.into())
    }

    /// Forwards a packet of another stream as one of this: own SSRC and sequence, the given marker, type and timestamp.
    pub fn relay(&mut self, packet: &RtpPacket, payload_type: u8, timestamp: u32) -> RtpPacket {
        self.timestamp = timestamp;
        self.silent = false;
        self.packet(packet.marker, payload_type, timestamp, packet.payload.clone())
    }

    fn packet(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: Bytes) -> RtpPacket {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }
}

#[cfg(test)]
mod tests;

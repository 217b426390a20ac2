use super::MAX_MESSAGE;
use super::parse::read_length;

/// Cuts messages out of a stream by their Content-Length (RFC 3261 18.3). Linear in what comes in.
#[derive(Debug, Default)]
pub(crate) struct StreamBuffer {
    bytes: Vec<u8>,
    /// Up to here the end of the headers has been looked for.
    scanned: usize,
    /// Framing is lost; nothing more is read.
    broken: bool,
}

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// A whole message.
    Message(Vec<u8>),
    /// A double CRLF, to be answered by a single one (RFC 5626 3.5.1).
    Ping,
    /// The headers of a message that is too large. Only `Broken` comes after.
    TooLarge(Vec<u8>),
    /// The stream can't be understood any more. Nothing comes after.
    Broken,
}

impl StreamBuffer {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Framed> {
        let mut pieces = Vec::new();
        if self.broken {
            return pieces;
        }
        self.bytes.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(piece) = self.next_piece(&mut start) {
            pieces.push(piece);
            if self.broken {
                pieces.push(Framed::Broken);
                self.bytes = Vec::new();
                return pieces;
            }
        }
        self.bytes.drain(..start);
        self.scanned = self.scanned.saturating_sub(start);
        pieces
    }

    /// Whether part of a message waits for the rest.
    pub(crate) fn is_partial(&self) -> bool {
        self.bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    fn next_piece(&mut self, start: &mut usize) -> Option<Framed> {
        if let Some(ping) = self.skip_line_ends(start) {
            return Some(ping);
        }
        let rest = &self.bytes[*start..];
        if rest.is_empty() {
            return None;
        }
        let from = self.scanned.saturating_sub(*start).saturating_sub(3);
        let Some(head) = head_length(rest, from) else {
            self.scanned = self.bytes.len();
            self.broken = rest.len() > MAX_MESSAGE;
            return self.broken.then(|| Framed::TooLarge(rest[..MAX_MESSAGE].to_vec()));
        };
        let Some(body) = body_length(&rest[..head]) else {
            // It is passed on once, so that it gets its 400.
            self.broken = true;
            return Some(Framed::Message(rest[..head].to_vec()));
        };
        let Some(total) = head.checked_add(body).filter(|total| *total <= MAX_MESSAGE) else {
            self.broken = true;
            return Some(Framed::TooLarge(rest[..head].to_vec()));
        };
        let message = rest.get(..total)?.to_vec();
        *start += total;
        self.scanned = *start;
        Some(Framed::Message(message))
    }

    fn skip_line_ends(&self, start: &mut usize) -> Option<Framed> {
        while self.bytes[*start..].starts_with(b"\r\n") || self.bytes[*start..].starts_with(b"\n") {
            if self.bytes[*start..].starts_with(b"\r\n\r\n") {
                *start += 4;
                return Some(Framed::Ping);
            }
            // A single one may be the first half of a ping.
            if matches!(&self.bytes[*start..], b"\r\n" | b"\r\n\r") {
                return None;
            }
            *start += if self.bytes[*start] == b'\r' { 2 } else { 1 };
        }
        None
    }
}

/// How long the headers are, with the empty line; the search begins at `from`.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        let after = &bytes[at..];
        if after.starts_with(b"\r\n") {
            return Some(at + 2);
        }
        if after.starts_with(b"\n") {
            return Some(at + 1);
        }
    }
    None
}

/// What Content-Length says, 0 if there is none; `None` if it makes no sense.
fn body_length(head: &[u8]) -> Option<usize> {
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = line[..colon].trim_ascii();
        if !(name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l")) {
            continue;
        }
        let this = read_length(std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()?)?;
        if length.is_some_and(|other| other != this) {
            return None;
        }
        length = Some(this);
    }
    Some(length.unwrap_or(0))
}

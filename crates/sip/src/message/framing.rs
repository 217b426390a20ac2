use super::MAX_MESSAGE;
use super::parse::read_length;
use crate::grammar::is_token_byte;

/// Cuts messages out of a stream by their Content-Length (RFC 3261 18.3). Linear in what comes in.
#[derive(Debug, Default)]
pub(crate) struct StreamBuffer {
    bytes: Vec<u8>,
    /// Up to here the end of the headers has been looked for.
    scanned: usize,
    /// The length of the message whose body is still coming.
    awaited: Option<usize>,
    /// The start line of what comes now is one of SIP.
    is_begun: bool,
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
    /// The headers of a message of unknown length. Only `Broken` comes after.
    Unmeasured(Vec<u8>),
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
            let is_last = piece == Framed::Broken;
            pieces.push(piece);
            if self.broken {
                pieces.extend((!is_last).then_some(Framed::Broken));
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
        let is_half_a_ping = matches!(rest, b"\r" | b"\r\n" | b"\r\n\r");
        if rest.is_empty() || is_half_a_ping || self.awaited.is_some_and(|total| rest.len() < total) {
            return None;
        }
        let from = self.scanned.saturating_sub(*start).saturating_sub(3);
        match if self.is_begun { Beginning::Sip } else { beginning(rest, from) } {
            Beginning::Sip => self.is_begun = true,
            Beginning::Open => {
                self.scanned = self.bytes.len();
                return None;
            }
            Beginning::Other => {
                self.broken = true;
                return Some(Framed::Broken);
            }
        }
        let Some(head) = head_length(rest, from) else {
            self.scanned = self.bytes.len();
            self.broken = rest.len() > MAX_MESSAGE;
            return self.broken.then(|| Framed::TooLarge(rest[..MAX_MESSAGE].to_vec()));
        };
        let Some(body) = body_length(&rest[..head]) else {
            self.broken = true;
            return Some(Framed::Unmeasured(rest[..head].to_vec()));
        };
        let Some(total) = head.checked_add(body).filter(|total| *total <= MAX_MESSAGE) else {
            self.broken = true;
            return Some(Framed::TooLarge(rest[..head].to_vec()));
        };
        let Some(message) = rest.get(..total).map(<[u8]>::to_vec) else {
            self.awaited = Some(total);
            return None;
        };
        *start += total;
        (self.scanned, self.awaited, self.is_begun) = (*start, None, false);
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

/// Longer first lines are not waited for.
const MAX_START_LINE: usize = 8 * 1024;

/// What a start line shows.
enum Beginning {
    /// It is one of SIP.
    Sip,
    /// It may become one.
    Open,
    /// It never will.
    Other,
}

/// Whether this is, or may become, the start line of a message; no line ends before `from`. Other protocols (HTTP, TLS,
/// noise) show at once: no need to wait for the end of what will never be a message.
fn beginning(bytes: &[u8], from: usize) -> Beginning {
    if !bytes.first().is_some_and(|byte| is_token_byte(*byte)) {
        return Beginning::Other;
    }
    let Some(end) = line_end(&bytes[..bytes.len().min(MAX_START_LINE)], from) else {
        return if bytes.len() < MAX_START_LINE { Beginning::Open } else { Beginning::Other };
    };
    let line = bytes[..end].trim_ascii_end();
    let has_prefix = |text: &[u8]| text.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    let version = line.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    if has_prefix(line) || has_prefix(version) { Beginning::Sip } else { Beginning::Other }
}

/// Where the first line after `from` ends. All search is done here, where the tests count it.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.iter().position(|byte| *byte == b'\n');
    #[cfg(test)]
    tests::looked_at(found.map_or(bytes.len() - from, |found| found + 1));
    found.map(|found| from + found)
}

/// How long the headers are, with the empty line; the search begins at `from`.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = line_end(bytes, at) {
        at = found + 1;
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

/// What Content-Length says; 0 if there is none and no sign of a body. `None` if it makes no sense.
fn body_length(head: &[u8]) -> Option<usize> {
    let (mut length, mut has_type) = (None, false);
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = line[..colon].trim_ascii();
        has_type |= name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c");
        if !(name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l")) {
            continue;
        }
        let this = read_length(std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()?)?;
        if length.is_some_and(|other| other != this) {
            return None;
        }
        length = Some(this);
    }
    // RFC 3261 18.3: over streams a body needs its length.
    length.or((!has_type).then_some(0))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static WORK: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn looked_at(bytes: usize) {
        WORK.set(WORK.get() + bytes);
    }

    /// How many bytes are looked at, and how many messages come out, when a stream comes in pieces of `size`.
    fn work(stream: &[u8], size: usize) -> (usize, usize) {
        WORK.set(0);
        let mut buffer = StreamBuffer::default();
        let messages: usize = stream.chunks(size).map(|piece| buffer.push(piece).len()).sum();
        assert!(!buffer.is_partial());
        (WORK.get(), messages)
    }

    fn message(uri: usize, headers: usize, body: usize) -> Vec<u8> {
        let mut text = format!("OPTIONS sip:{} SIP/2.0\r\n", "a".repeat(uri));
        text.push_str(&"X-Filling: of one line\r\n".repeat(headers));
        text.push_str(&format!("Content-Length: {body}\r\n\r\n{}", "\n".repeat(body)));
        text.into_bytes()
    }

    #[test]
    fn every_byte_is_looked_at_a_few_times_however_it_comes() {
        let kinds = [message(20, 2, 0), message(7_000, 0, 0), message(20, 2_000, 0), message(20, 2, 60_000)];
        for (kind, one) in kinds.iter().enumerate() {
            let stream = one.repeat(20);
            for size in [1, 2, 3, 7, 100, 1_500, stream.len()] {
                let (work, messages) = work(&stream, size);
                assert_eq!(messages, 20);
                // The last three bytes of each piece are looked at again: the empty line may be cut.
                let most = stream.len() * 3 + stream.len() / size * 6;
                assert!(work <= most, "kind {kind} in pieces of {size}: {work} bytes looked at in {}", stream.len());
            }
        }
    }

    #[test]
    fn what_never_ends_costs_no_more_than_it_brings() {
        WORK.set(0);
        let mut buffer = StreamBuffer::default();
        let pieces: Vec<_> = (0..MAX_MESSAGE * 2).flat_map(|_| buffer.push(b"a")).collect();
        assert_eq!(pieces, [Framed::Broken]);
        assert!(WORK.get() <= MAX_START_LINE * 4, "{}", WORK.get());
    }
}

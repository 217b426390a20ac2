use thiserror::Error;

use crate::grammar;
use crate::message::{Headers, Message, Request, Response};
use crate::method::Method;
use crate::uri::{InvalidUri, Uri};

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The first line is neither a request line nor a status line.
    #[error("no request line or status line")]
    StartLine,
    /// The version is another one than 2.0.
    #[error("not sip version 2.0")]
    Version,
    /// The Request-URI is malformed.
    #[error("the request-uri is malformed")]
    Uri(#[source] InvalidUri),
    /// What stands in Content-Length is no length, or several differ.
    #[error("content-length is malformed")]
    ContentLength,
    /// The body is shorter than Content-Length.
    #[error("the body is cut off")]
    Truncated,
}

/// Reads one whole message, as in a datagram. Total, and linear in the length.
///
/// Tolerant where nothing is at stake: folded lines, compact names, line ends without CR, blanks around colons, lines
/// that are no headers, bytes that are Latin-1 and not UTF-8, a missing Content-Length. Which headers must be there is not checked here.
pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
    let raw = RawMessage::read(bytes).ok_or(ParseError::StartLine)?;
    if let Some(error) = raw.flaw {
        return Err(error);
    }
    Ok(raw.message)
}

/// A message as far as it could be read: enough to answer a request that is refused.
#[derive(Debug)]
pub(crate) struct RawMessage {
    pub(crate) message: Message,
    /// The first thing wrong with it.
    pub(crate) flaw: Option<ParseError>,
}

impl RawMessage {
    /// `None` if the first line is not SIP's.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let mut lines = Lines { rest: &bytes[blank..] };
        let start = StartLine::read(&lines.next_line()?)?;
        let mut headers = read_headers(&mut lines);
        let length = content_length(&headers);
        headers.remove("Content-Length");
        let (body, body_flaw) = cut_body(lines.rest, length);
        let (message, flaw) = start.into_message(headers, body);
        Some(Self { message, flaw: flaw.or(body_flaw) })
    }
}

enum StartLine {
    Request { method: Method, uri: Result<Uri, InvalidUri>, is_version_2: bool },
    Response { status: u16, reason: String, is_version_2: bool },
}

impl StartLine {
    fn read(line: &str) -> Option<Self> {
        let (first, rest) = line.trim().split_once([' ', '\t'])?;
        let rest = rest.trim_start();
        if is_version(first) {
            let (status, reason) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
            let status = status.parse().ok().filter(|status| digits && (100..700).contains(status))?;
            return Some(Self::Response {
                status,
                reason: grammar::one_line(reason).trim().to_owned(),
                is_version_2: is_version_2(first),
            });
        }
        let (uri, version) = rest.rsplit_once([' ', '\t'])?;
        if !is_version(version) || !grammar::is_token(first) {
            return None;
        }
        Some(Self::Request { method: first.into(), uri: uri.trim().parse(), is_version_2: is_version_2(version) })
    }

    fn into_message(self, headers: Headers, body: Vec<u8>) -> (Message, Option<ParseError>) {
        match self {
            Self::Request { method, uri, is_version_2 } => {
                let flaw = if is_version_2 { uri.as_ref().err().map(|e| ParseError::Uri(*e)) } else { Some(ParseError::Version) };
                // Only written into the answer's log, if at all: a request with this flaw goes no further.
                let uri = uri.unwrap_or_else(|_| Uri::sip("", "invalid"));
                (Message::Request(Request { method, uri, headers, body }), flaw)
            }
            Self::Response { status, reason, is_version_2 } => {
                let flaw = (!is_version_2).then_some(ParseError::Version);
                (Message::Response(Response { status, reason, headers, body }), flaw)
            }
        }
    }
}

fn is_version(text: &str) -> bool {
    text.split_at_checked(4).is_some_and(|(name, _)| name.eq_ignore_ascii_case("SIP/"))
}

fn is_version_2(text: &str) -> bool {
    text.eq_ignore_ascii_case("SIP/2.0")
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl Lines<'_> {
    /// The next line without its end; `None` when there are no more bytes.
    fn next_line(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(decode(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// UTF-8 if it is, else Latin-1: old exchanges send names in that.
fn decode(line: &[u8]) -> String {
    match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => line.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Reads up to and with the empty line.
fn read_headers(lines: &mut Lines<'_>) -> Headers {
    let mut headers = Headers::new();
    let mut unfolded = String::new();
    while let Some(line) = lines.next_line().filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            unfolded.push(' ');
            unfolded.push_str(line.trim());
        } else {
            push_header(&mut headers, &unfolded);
            unfolded = line;
        }
    }
    push_header(&mut headers, &unfolded);
    headers
}

fn push_header(headers: &mut Headers, line: &str) {
    if let Some((name, value)) = line.split_once(':')
        && grammar::is_token(name.trim_end())
    {
        headers.push(name, value);
    }
}

/// The one length that all Content-Length headers tell.
fn content_length(headers: &Headers) -> Result<Option<usize>, ParseError> {
    let mut length = None;
    for value in headers.all("Content-Length") {
        let this = read_length(value).ok_or(ParseError::ContentLength)?;
        if length.is_some_and(|other| other != this) {
            return Err(ParseError::ContentLength);
        }
        length = Some(this);
    }
    Ok(length)
}

pub(crate) fn read_length(value: &str) -> Option<usize> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().ok())?
}

/// RFC 3261 18.3: what follows the body in a datagram is dropped, a datagram that is too short is an error.
fn cut_body(rest: &[u8], length: Result<Option<usize>, ParseError>) -> (Vec<u8>, Option<ParseError>) {
    match length {
        Ok(None) => (rest.to_vec(), None),
        Ok(Some(length)) => match rest.get(..length) {
            Some(body) => (body.to_vec(), None),
            None => (rest.to_vec(), Some(ParseError::Truncated)),
        },
        Err(flaw) => (Vec::new(), Some(flaw)),
    }
}

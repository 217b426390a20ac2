//! Messages: their headers, reading and writing them.

mod framing;
mod headers;
mod parse;
mod validate;
mod via;

pub(crate) use framing::{Framed, StreamBuffer};
pub use headers::{CSeq, Header, Headers, InvalidHeader};
pub use parse::{ParseError, parse};
pub(crate) use validate::{Received, receive};
pub use via::Via;

use std::fmt;

use crate::method::Method;
use crate::uri::Uri;

/// The largest message that is taken from a stream or a WebSocket; larger ones are answered 513.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of whom: the Request-URI.
    pub uri: Uri,
    /// All headers but Content-Length, which is written from the body.
    pub headers: Headers,
    /// The body, often empty.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: Headers::new(), body: Vec::new() }
    }

    /// The session description: the body if it is `application/sdp`, or that part of a multipart body.
    #[must_use]
    pub fn sdp(&self) -> Option<String> {
        sdp_of(&self.headers, &self.body)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} SIP/2.0\r\n", self.method, self.uri).into_bytes();
        write_rest(&mut bytes, &self.headers, &self.body);
        bytes
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase, for people.
    pub reason: String,
    /// All headers but Content-Length, which is written from the body.
    pub headers: Headers,
    /// The body, often empty.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without headers and body, with the usual reason phrase.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, reason: reason_phrase(status).to_owned(), headers: Headers::new(), body: Vec::new() }
    }

    /// 100 to 199.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The session description: the body if it is `application/sdp`, or that part of a multipart body.
    #[must_use]
    pub fn sdp(&self) -> Option<String> {
        sdp_of(&self.headers, &self.body)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("SIP/2.0 {:03} {}\r\n", self.status, crate::grammar::one_line(&self.reason)).into_bytes();
        write_rest(&mut bytes, &self.headers, &self.body);
        bytes
    }
}

/// What came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The headers of either.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn write_rest(bytes: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    for Header { name, value } in headers.iter() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
}

fn sdp_of(headers: &Headers, body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let content_type = headers.get("Content-Type").unwrap_or("application/sdp");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let text = String::from_utf8_lossy(body);
    if media_type.eq_ignore_ascii_case("application/sdp") {
        return Some(text.into_owned());
    }
    if !media_type.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let params = crate::Params::parse(content_type.split_once(';')?.1);
    let delimiter = format!("--{}", params.get("boundary")?);
    text.split(delimiter.as_str()).find_map(sdp_part)
}

/// The content of a part of a multipart body, if it is a session description.
fn sdp_part(part: &str) -> Option<String> {
    let part = part.trim_start_matches(['\r', '\n']);
    let (head, content) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
    let is_sdp = |line: &str| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("content-type") && value.trim().to_ascii_lowercase().starts_with("application/sdp")
        })
    };
    head.lines().any(is_sdp).then(|| format!("{}\r\n", content.trim_end_matches(['\r', '\n'])))
}

/// The reason phrase that RFC 3261 21 and its extensions give a status; "Unknown" for others.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        _ => "Unknown",
    }
}

use crate::grammar;
use crate::message::parse::{ParseError, RawMessage};
use crate::message::{Headers, Message, Request, Response};
use crate::method::Method;
use crate::uri::Scheme;

/// A request that is refused before anybody looks at its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    /// Says what is wrong, for whoever reads the trace.
    pub(crate) reason: String,
}

/// What a whole message turned out to be.
#[derive(Debug)]
pub(crate) enum Received {
    Request(Request),
    /// Can be answered, but not served.
    BadRequest(Request, Rejection),
    Response(Response),
    /// Nothing that could or should be answered.
    Garbage,
}

/// Reads a whole message and checks what RFC 3261 8.1.1, 8.2 and 18 ask of it.
pub(crate) fn receive(bytes: &[u8]) -> Received {
    let Some(raw) = RawMessage::read(bytes) else { return Received::Garbage };
    match raw.message {
        Message::Request(request) => judge_request(request, raw.flaw),
        Message::Response(response) => {
            // RFC 3261 8.1.3.3: with another Via below ours it was meant for somebody else.
            let usable = raw.flaw.is_none()
                && response.headers.top_via().is_ok()
                && response.headers.list("Via").len() == 1
                && has_essentials(&response.headers).is_ok();
            if usable { Received::Response(response) } else { Received::Garbage }
        }
    }
}

fn judge_request(request: Request, flaw: Option<ParseError>) -> Received {
    // Without a Via there is no way back, and ACK is never answered (RFC 3261 17.2.1).
    let is_answerable = request.headers.top_via().is_ok() && request.method != Method::Ack;
    match check_request(&request, flaw) {
        Ok(()) if request.headers.top_via().is_ok() => Received::Request(request),
        Err(rejection) if is_answerable => Received::BadRequest(request, rejection),
        Ok(()) | Err(_) => Received::Garbage,
    }
}

fn check_request(request: &Request, flaw: Option<ParseError>) -> Result<(), Rejection> {
    match flaw {
        Some(ParseError::Version) => return Err(refuse(505, "Version Not Supported")),
        Some(flaw) => return Err(refuse(400, &format!("Bad Request: {flaw}"))),
        None => {}
    }
    has_essentials(&request.headers)?;
    let cseq = request.headers.cseq().map_err(|e| refuse(400, &format!("Bad Request: {e}")))?;
    if cseq.method != request.method {
        return Err(refuse(400, "Bad Request: CSeq names another method"));
    }
    if request.headers.contains("Max-Forwards") && request.headers.max_forwards().is_none() {
        return Err(refuse(400, "Bad Request: header Max-Forwards is malformed"));
    }
    if let Some(name) = ["Via", "From", "To", "Contact"].into_iter().find(|name| has_stray_separators(&request.headers, name)) {
        return Err(refuse(400, &format!("Bad Request: header {name} is malformed")));
    }
    if !request.headers.is_contact_star() && request.headers.list("Contact").len() != request.headers.contacts().len() {
        return Err(refuse(400, "Bad Request: header Contact is malformed"));
    }
    if matches!(request.uri.scheme(), Scheme::Other(_)) {
        return Err(refuse(416, "Unsupported URI Scheme"));
    }
    Ok(())
}

/// The headers that every message has, each once.
fn has_essentials(headers: &Headers) -> Result<(), Rejection> {
    let missing = |e| refuse(400, &format!("Bad Request: {e}"));
    headers.from().map_err(missing)?;
    headers.to().map_err(missing)?;
    headers.call_id().map_err(missing)?;
    headers.cseq().map_err(missing)?;
    match ["From", "To", "Call-ID", "CSeq", "Max-Forwards"].into_iter().find(|name| headers.count(name) > 1) {
        Some(name) => Err(refuse(400, &format!("Bad Request: header {name} stands there twice"))),
        None => Ok(()),
    }
}

/// Separators with nothing between them (RFC 4475 3.1.2.1). A single one at the end is a common slip, and harmless.
fn has_stray_separators(headers: &Headers, name: &str) -> bool {
    headers.all(name).any(|line| {
        let elements = grammar::split_top_level(line, b',');
        elements.into_iter().any(|element| {
            let after_uri = element.rsplit_once('>').map_or(element, |(_, after)| after);
            let mut params = grammar::split_outside_quotes(after_uri, b';').into_iter().skip(1).map(str::trim).peekable();
            let mut is_stray = false;
            while let Some(param) = params.next() {
                is_stray |= param.is_empty() && params.peek().is_some();
            }
            is_stray
        })
    })
}

fn refuse(status: u16, reason: &str) -> Rejection {
    Rejection { status, reason: reason.to_owned() }
}

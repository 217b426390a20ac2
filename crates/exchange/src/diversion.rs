//! What an exchange in front of us says of a call that it forwards: Diversion (RFC 5806), History-Info (RFC 7044) and the
//! cause of RFC 4458. To be asked only of peers that are believed.

use aftertone_model::Reason;
use aftertone_sip::{
    Request, Uri,
    origin::{self, HistoryEntry},
};

/// One forwarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diversion {
    /// Who did not take the call.
    pub(crate) by: Uri,
    /// Why; `None` if it was forwarded at once, or nothing is said.
    pub(crate) reason: Option<Reason>,
}

/// All that is said, the latest forwarding first.
pub(crate) fn diversions(request: &Request) -> Vec<Diversion> {
    let told = origin::Diversion::all(&request.headers).into_iter();
    let told: Vec<_> = told.map(|told| Diversion { reason: diversion_reason(&told.reason), by: told.from.uri }).collect();
    if told.is_empty() { history(request) } else { told }
}

/// RFC 4458 section 2: why a call is sent to the mailbox.
pub(crate) fn reason_of(cause: &str) -> Option<Reason> {
    match cause {
        "486" | "600" => Some(Reason::Busy),
        "408" => Some(Reason::NoAnswer),
        "487" | "603" => Some(Reason::Declined),
        "404" | "480" | "503" => Some(Reason::Offline),
        _ => None,
    }
}

/// RFC 5806 section 4, and as Asterisk writes it: with underscores, or short.
fn diversion_reason(text: &str) -> Option<Reason> {
    match text.trim_matches('"').to_ascii_lowercase().replace('_', "-").as_str() {
        "no-answer" | "cfnr" => Some(Reason::NoAnswer),
        "user-busy" | "cfb" => Some(Reason::Busy),
        "do-not-disturb" => Some(Reason::Dnd),
        "deflection" => Some(Reason::Declined),
        "unavailable" | "away" | "out-of-service" | "out-of-order" => Some(Reason::Offline),
        _ => None,
    }
}

/// Each entry was forwarded to the next, the last one to where the request goes now, unless it says that itself. The cause
/// stands with the one that failed (RFC 7044 section 5.1), or with its successor (RFC 4458).
fn history(request: &Request) -> Vec<Diversion> {
    let mut entries = HistoryEntry::all(&request.headers);
    entries.sort_by(|one, other| one.index.cmp(&other.index));
    let mut targets: Vec<_> = entries.iter().map(|entry| &entry.target.uri).collect();
    if targets.last().is_some_and(|last| last.user() != request.uri.user()) {
        targets.push(&request.uri);
    }
    let told = entries.iter().zip(targets.iter().skip(1));
    let told = told.map(|(entry, next)| Diversion {
        by: entry.target.uri.bare(),
        reason: failure_of(entry).or_else(|| next.param("cause").and_then(|cause| reason_of(&cause))),
    });
    let mut told: Vec<_> = told.collect();
    told.reverse();
    told
}

/// Why the entry's own target failed. A `cause` of its URI says how the call came there, and nothing of what followed.
fn failure_of(entry: &HistoryEntry) -> Option<Reason> {
    let reason = entry.reason.as_ref()?;
    let cause = reason.cause?.to_string();
    let is_of_arrival = reason.text.is_none() && entry.target.uri.param("cause").is_some_and(|own| *own == *cause);
    if is_of_arrival { None } else { reason_of(&cause) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use aftertone_sip::Method;

    use super::*;

    fn check(headers: &[(&str, &str)], expect: &[(&str, Option<Reason>)]) {
        let mut request = Request::new(Method::Invite, "sip:voicemail@example.org".parse().unwrap());
        headers.iter().for_each(|(name, value)| request.headers.push(name, value));
        let told = diversions(&request);
        let told: Vec<_> = told.iter().map(|told| (told.by.user().unwrap().into_owned(), told.reason)).collect();
        let expect: Vec<_> = expect.iter().map(|(user, reason)| ((*user).to_owned(), *reason)).collect();
        assert_eq!(told, expect, "{headers:?}");
    }

    #[test]
    fn the_latest_diversion_is_the_topmost() {
        check(
            &[
                ("Diversion", "\"Anna\" <sip:1001@pbx.example>;reason=no-answer;counter=1"),
                ("Diversion", "<sip:1002@pbx.example>;reason=\"user-busy\", <sip:1003@pbx.example>;reason=unconditional"),
            ],
            &[("1001", Some(Reason::NoAnswer)), ("1002", Some(Reason::Busy)), ("1003", None)],
        );
        check(&[("Diversion", "<sip:1001@pbx.example>;reason=no_answer")], &[("1001", Some(Reason::NoAnswer))]);
    }

    #[test]
    fn history_is_read_by_its_index() {
        check(
            &[(
                "History-Info",
                "<sip:1001@pbx.example?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1, <sip:voicemail@example.org>;index=1.1",
            )],
            &[("1001", Some(Reason::Busy))],
        );
        check(
            &[
                ("History-Info", "<sip:voicemail@example.org;cause=408>;index=1.10"),
                ("History-Info", "<sip:1002@pbx.example>;index=1"),
                ("History-Info", "<sip:1001@pbx.example;cause=302>;index=1.9"),
            ],
            &[("1001", Some(Reason::NoAnswer)), ("1002", None)],
        );
    }

    #[test]
    fn a_single_entry_was_forwarded_to_where_the_request_goes() {
        let busy = "<sip:1001@pbx.example?Reason=SIP%3Bcause%3D486>;index=1";
        check(&[("History-Info", busy)], &[("1001", Some(Reason::Busy))]);
        check(&[("History-Info", "<sip:1001@pbx.example>;index=1")], &[("1001", None)]);
    }

    #[test]
    fn the_cause_of_an_arrival_says_nothing_of_what_followed() {
        check(
            &[("History-Info", "<sip:1002@pbx.example>;index=1, <sip:1001@pbx.example;cause=486>;index=1.1")],
            &[("1001", None), ("1002", Some(Reason::Busy))],
        );
    }

    #[test]
    fn nothing_said_is_nothing_known() {
        check(&[], &[]);
        check(&[("History-Info", "<sip:voicemail@example.org>;index=1")], &[]);
    }
}

//! What an exchange in front of us says of a call that it forwards: Diversion (RFC 5806), History-Info (RFC 7044) and the
//! cause of RFC 4458. To be asked only of peers that are believed.

use aftertone_model::Reason;
use aftertone_sip::{Request, Uri};

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
    let headers = &request.headers;
    let told: Vec<_> = headers
        .addresses("Diversion")
        .into_iter()
        .map(|entry| Diversion { reason: entry.params.get("reason").and_then(diversion_reason), by: entry.uri })
        .collect();
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

/// RFC 5806 section 4.
fn diversion_reason(text: &str) -> Option<Reason> {
    match text.trim_matches('"').to_ascii_lowercase().as_str() {
        "no-answer" => Some(Reason::NoAnswer),
        "user-busy" => Some(Reason::Busy),
        "do-not-disturb" => Some(Reason::Dnd),
        "deflection" => Some(Reason::Declined),
        "unavailable" | "away" | "out-of-service" => Some(Reason::Offline),
        _ => None,
    }
}

/// Each entry but the last was forwarded to the next; the cause stands with the one that failed (RFC 7044 section 5.1), or
/// with its successor (RFC 4458).
fn history(request: &Request) -> Vec<Diversion> {
    let mut entries = request.headers.addresses("History-Info");
    entries.sort_by_key(|entry| index_of(entry.params.get("index").unwrap_or_default()));
    let cause = |uri: &Uri| uri.param("cause").and_then(|cause| reason_of(&cause));
    let pairs = entries.iter().zip(entries.iter().skip(1));
    let told = pairs.map(|(entry, next)| Diversion {
        by: entry.uri.bare(),
        reason: entry.uri.headers().and_then(embedded_cause).or_else(|| cause(&next.uri)),
    });
    let mut told: Vec<_> = told.collect();
    told.reverse();
    told
}

/// `1.2.1` as numbers, for 1.10 comes after 1.9.
fn index_of(index: &str) -> Vec<u32> {
    index.split('.').map_while(|part| part.trim().parse().ok()).collect()
}

/// The cause in `?Reason=SIP%3Bcause%3D486`.
fn embedded_cause(headers: &str) -> Option<Reason> {
    let reason = headers.split('&').find_map(|header| {
        let (name, value) = header.split_once('=')?;
        name.eq_ignore_ascii_case("Reason")
            .then(|| value.replace("%3B", ";").replace("%3b", ";").replace("%3D", "=").replace("%3d", "="))
    })?;
    let cause = reason.split(';').find_map(|part| part.trim().strip_prefix("cause="))?;
    let digits: String = cause.chars().take_while(char::is_ascii_digit).collect();
    reason_of(&digits)
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
    fn nothing_said_is_nothing_known() {
        check(&[], &[]);
        check(&[("History-Info", "<sip:1001@pbx.example>;index=1")], &[]);
    }
}

//! How a caller is shown.

use aftertone_model::{Caller, Subscriber};
use aftertone_sip::{NameAddr, Request, Uri};

/// One of our people.
pub(crate) fn person(subscriber: &Subscriber) -> Caller {
    let name = Some(subscriber.display_name.clone()).filter(|name| !name.is_empty());
    Caller { number: subscriber.extension.as_str().to_owned(), name }
}

/// What `From` says.
pub(crate) fn outsider(from: &NameAddr) -> Caller {
    if is_anonymous(from) {
        return withheld();
    }
    let number = number(&from.uri);
    let name = from.display.as_deref().map(str::trim).filter(|name| !name.is_empty() && *name != number);
    Caller { name: name.map(str::to_owned), number }
}

/// What a trusted peer says: whom it names beside `From`, unless the caller wants privacy (RFC 3323).
pub(crate) fn vouched(request: &Request, from: &NameAddr) -> Caller {
    if wants_privacy(request) {
        return withheld();
    }
    named(request).unwrap_or_else(|| outsider(from))
}

/// Whom a trusted peer names as the sender of a request: its asserted identity (RFC 3325), or what older peers write instead,
/// Remote-Party-ID (draft-ietf-sip-privacy-04). To be asked only of peers that are believed.
pub(crate) fn named(request: &Request) -> Option<Caller> {
    if let Some(asserted) = request.headers.addresses("P-Asserted-Identity").first() {
        return Some(if wants_privacy(request) { withheld() } else { outsider(asserted) });
    }
    // In the midst of a call either of its parties may be the sender.
    let in_call = request.headers.to().is_ok_and(|to| to.tag().is_some());
    let is = |party: &NameAddr, name: &str, value: &str| party.params.get(name).is_none_or(|own| own.eq_ignore_ascii_case(value));
    let is_sender = |party: &NameAddr| (in_call || is(party, "party", "calling")) && is(party, "id-type", "subscriber");
    let told = request.headers.addresses("Remote-Party-ID").into_iter().find(is_sender)?;
    let hides = |what: &str| {
        let privacy = told.params.get("privacy").unwrap_or_default();
        privacy.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word.eq_ignore_ascii_case(what))
    };
    Some(if wants_privacy(request) || hides("full") || hides("uri") {
        withheld()
    } else {
        let known = outsider(&told);
        Caller { name: known.name.filter(|_| !hides("name")), ..known }
    })
}

/// Whether the caller wants not to be shown (RFC 3323 section 4.2, RFC 3325 section 9.3).
pub(crate) fn wants_privacy(request: &Request) -> bool {
    request.headers.all("Privacy").flat_map(|line| line.split(';')).any(|value| {
        let value = value.trim();
        value.eq_ignore_ascii_case("id") || value.eq_ignore_ascii_case("user")
    })
}

/// The same as an address that a device can show and call back.
pub(crate) fn address(caller: &Caller, from: &NameAddr, domain: &str) -> NameAddr {
    let uri = match caller.number.as_str() {
        "" => return anonymous(),
        number if number.contains('@') => from.uri.bare(),
        number => Uri::sip(number, domain),
    };
    NameAddr::new(uri).with_display(caller.name.as_deref().unwrap_or_default())
}

/// What somebody dialled, for their own call log.
pub(crate) fn dialled(uri: &Uri) -> Caller {
    Caller { number: number(uri), name: None }
}

/// The user part; with the host, when it is a name that says nothing without it.
fn number(uri: &Uri) -> String {
    let user = uri.user().unwrap_or_default();
    if user.is_empty() {
        return uri.host().to_owned();
    }
    let is_alone = !uri.is_sip() || uri.host_ip().is_some() || is_telephone_number(&user);
    if is_alone { user.into_owned() } else { format!("{user}@{}", uri.host()) }
}

fn is_telephone_number(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'))
}

/// The address of who is not shown (RFC 3323 section 4.1.1.3).
pub(crate) fn anonymous() -> NameAddr {
    NameAddr::new(Uri::sip("anonymous", "anonymous.invalid")).with_display("Anonymous")
}

pub(crate) fn is_anonymous(from: &NameAddr) -> bool {
    let host = from.uri.host().to_ascii_lowercase();
    host == "anonymous.invalid" || from.uri.user().is_some_and(|user| user.eq_ignore_ascii_case("anonymous"))
}

pub(crate) fn withheld() -> Caller {
    Caller { number: String::new(), name: None }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn check(from: &str, number: &str, name: Option<&str>) {
        let caller = outsider(&from.parse().unwrap());
        assert_eq!((caller.number.as_str(), caller.name.as_deref()), (number, name), "{from}");
    }

    #[test]
    fn outsiders_are_shown_by_number_and_name() {
        check("\"Ada Byron\" <sip:+4930123456@provider.example>", "+4930123456", Some("Ada Byron"));
        check("<sip:ada@example.com>", "ada@example.com", None);
        check("\"sipp\" <sip:sipp@127.0.0.1:5061>;tag=1", "sipp", None);
        check("\"Ada\" <sip:ada@[2001:db8::1]>", "ada", Some("Ada"));
        check("\"1001\" <sip:1001@example.com>", "1001", None);
        check("\"Anonymous\" <sip:anonymous@anonymous.invalid>", "", None);
        check("<tel:+4930123456>", "+4930123456", None);
        check("<sip:gateway.example.com>", "gateway.example.com", None);
    }

    #[test]
    fn what_older_peers_say_of_the_caller_is_understood() {
        let check = |headers: &[(&str, &str)], expect: Option<(&str, Option<&str>)>| {
            let mut request = Request::new(aftertone_sip::Method::Invite, "sip:1001@example.org".parse().unwrap());
            headers.iter().for_each(|(name, value)| request.headers.push(name, value));
            let told = named(&request).map(|caller| (caller.number, caller.name));
            assert_eq!(told, expect.map(|(number, name)| (number.to_owned(), name.map(str::to_owned))), "{headers:?}");
        };
        let party = "\"Ada\" <sip:+4930123@pbx.example>;party=calling";
        check(&[("Remote-Party-ID", &format!("{party};screen=yes;privacy=off"))], Some(("+4930123", Some("Ada"))));
        check(&[("Remote-Party-ID", &format!("{party};privacy=name"))], Some(("+4930123", None)));
        check(&[("Remote-Party-ID", &format!("{party};privacy=full;screen=yes"))], Some(("", None)));
        check(&[("Remote-Party-ID", &format!("{party};privacy=\"name,uri\""))], Some(("", None)));
        check(&[("Remote-Party-ID", party), ("Privacy", "id")], Some(("", None)));
        check(&[("Remote-Party-ID", "<sip:1@pbx.example>")], Some(("1", None)));
        // Of the called one, or of a terminal, says nothing of the caller; in a call either may be the sender.
        check(&[("Remote-Party-ID", "<sip:1@pbx.example>;party=called")], None);
        check(&[("Remote-Party-ID", "<sip:1@pbx.example>;id-type=term")], None);
        check(&[("Remote-Party-ID", "<sip:1@pbx.example>;party=called"), ("To", "<sip:2@x.example>;tag=1")], Some(("1", None)));
        // What is standard counts for more.
        check(&[("Remote-Party-ID", party), ("P-Asserted-Identity", "<sip:+4940@pbx.example>")], Some(("+4940", None)));
        check(&[], None);
    }

    #[test]
    fn devices_can_call_outsiders_back() {
        let shown = |from: &str| {
            let from: NameAddr = from.parse().unwrap();
            address(&outsider(&from), &from, "example.org").to_string()
        };
        assert_eq!(shown("\"Ada\" <sip:ada@example.com>;tag=1"), "\"Ada\" <sip:ada@example.com>");
        assert_eq!(shown("<sip:0301234@192.0.2.1>"), "<sip:0301234@example.org>");
        assert_eq!(shown("<sip:anonymous@anonymous.invalid>"), "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    }
}

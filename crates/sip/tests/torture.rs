//! The situations of RFC 4475 and RFC 5118, each with the reaction on the wire that the RFC asks for.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::SocketAddr;
use std::time::Instant;

use aftertone_sip::{
    ConnectionId, Event, Flow, Headers, Invite, Message, Method, NameAddr, OutgoingRequest, Output, Request, RequestFailure,
    Response, Transport, UaConfig, Uri, UserAgent,
};

use common::{OFFER, any_time, read};

/// A user agent at 192.0.2.1 and a stranger at 192.0.2.7 who sends what it likes.
struct Desk {
    ua: UserAgent,
    flow: Flow,
    now: Instant,
}

#[derive(Debug, Default)]
struct Reaction {
    responses: Vec<Response>,
    events: Vec<Event>,
}

impl Desk {
    fn new() -> Self {
        Self::between("192.0.2.1:5060", "192.0.2.7:5060")
    }

    fn between(local: &str, remote: &str) -> Self {
        let flow = Flow::udp(local.parse().unwrap(), remote.parse().unwrap());
        Self { ua: UserAgent::new(UaConfig::new("Test/1", [1; 32])), flow, now: any_time() }
    }

    fn receive(&mut self, bytes: &[u8]) -> Reaction {
        self.ua.handle_received(self.flow, bytes, self.now);
        let mut reaction = Reaction::default();
        loop {
            match self.ua.poll_output() {
                Output::Timeout(_) => return reaction,
                Output::Event(event) => reaction.events.push(event),
                Output::Transmit { flow, bytes } => {
                    assert_eq!(flow.remote, self.flow.remote);
                    if let Message::Response(response) = read(&bytes) {
                        reaction.responses.push(response);
                    }
                }
            }
        }
    }

    /// Sends OPTIONS and returns it as it went out.
    fn ask(&mut self) -> Request {
        let me = NameAddr::new(Uri::sip("me", "192.0.2.1"));
        let you = Uri::sip("you", "192.0.2.7");
        let options = OutgoingRequest::new(Method::Options, you.clone(), me, you.into());
        self.ua.request(options, self.flow, None, self.now);
        loop {
            match self.ua.poll_output() {
                Output::Transmit { bytes, .. } => match read(&bytes) {
                    Message::Request(request) => return request,
                    Message::Response(_) => {}
                },
                Output::Timeout(_) => panic!("nothing was sent"),
                Output::Event(_) => {}
            }
        }
    }
}

impl Reaction {
    fn status(&self) -> Option<u16> {
        self.responses.first().map(|response| response.status)
    }

    /// The request that reached whoever decides.
    fn request(&self) -> &Request {
        match &self.events[..] {
            [Event::Incoming { request, .. } | Event::Request { request, .. }] => request,
            other => panic!("{other:?} {:?}", self.responses),
        }
    }
}

/// A message of the usual headers. A line of `changes` takes the place of the header of that name, or is added; `-Name` takes
/// one away, `+` adds one more.
fn message(start: &str, changes: &[&str], body: &str) -> String {
    let method = start.split_whitespace().next().unwrap();
    let mut lines = vec![
        "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK77".to_owned(),
        "From: <sip:caller@example.net>;tag=1".to_owned(),
        "To: <sip:user@example.com>".to_owned(),
        "Call-ID: 7@192.0.2.7".to_owned(),
        format!("CSeq: 1 {method}"),
        "Max-Forwards: 70".to_owned(),
        "Contact: <sip:caller@192.0.2.7>".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    if !body.is_empty() {
        lines.push("Content-Type: application/sdp".to_owned());
    }
    for change in changes {
        if let Some(name) = change.strip_prefix('-') {
            lines.retain(|line| !line.starts_with(&format!("{name}:")));
        } else if let Some(line) = change.strip_prefix('+') {
            lines.push(line.to_owned());
        } else {
            let name = change.split_once(':').unwrap().0;
            match lines.iter_mut().find(|line| line.starts_with(&format!("{name}:"))) {
                Some(line) => *line = (*change).to_owned(),
                None => lines.push((*change).to_owned()),
            }
        }
    }
    format!("{start}\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn status(start: &str, changes: &[&str], body: &str) -> Option<u16> {
    let reaction = Desk::new().receive(message(start, changes, body).as_bytes());
    assert!(reaction.status().is_none() || reaction.events.is_empty(), "{reaction:?}");
    reaction.status()
}

fn taken(start: &str, changes: &[&str], body: &str) -> Request {
    Desk::new().receive(message(start, changes, body).as_bytes()).request().clone()
}

const INVITE: &str = "INVITE sip:user@example.com SIP/2.0";
const OPTIONS: &str = "OPTIONS sip:user@example.com SIP/2.0";
const REGISTER: &str = "REGISTER sip:example.com SIP/2.0";

// RFC 4475 3.1.1: valid, however odd.

#[test]
fn odd_but_valid_syntax_is_served() {
    // 3.1.1.1: everything that may be folded, spaced, escaped, abbreviated or spelt otherwise.
    let text = "INVITE sip:user@example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:user@example.com ;   tag    = \r\n\
        from   : \"A \\\\\\\"\"       <sip:caller@example.net>\r\n  ;\r\n  tag = 9\r\nMaX-fOrWaRdS: 0068\r\nCall-ID: odd.7@192.0.2.7\r\n\
        Content-Length   : 0\r\ncseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.7;branch=390skd\r\ns :\r\n\
        NewHeader:   one\r\n two\r\nUnknownWithUnusualValue: ;;,,;;,;\r\nRoute:\r\n <sip:services.example.com;lr;unknown=value;flag>\r\n\
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30\r\n\
        m:\"Quoted \\\"\\\"\" <sip:caller@192.0.2.7> ; new =\r\n      value ;\r\n  second ; q = 0.33\r\n\r\n";
    let mut desk = Desk::new();
    let reaction = desk.receive(text.as_bytes());
    let Event::Incoming { session, request, .. } = &reaction.events[0] else { panic!("{reaction:?}") };
    assert_eq!(request.headers.get("NewHeader"), Some("one two"));
    desk.ua.reject(*session, 486, Headers::new(), desk.now);
    let busy = desk.receive(b"");
    let busy = &busy.responses[0];
    assert_eq!(busy.headers.list("Via").len(), 3);
    assert_eq!(busy.headers.cseq().unwrap().number, 9);
}

#[test]
fn every_character_that_a_method_may_have() {
    // 3.1.1.2: known by no one, so 501; the URI and the names are as odd.
    let method = "!odd-Method0123456789_*+`.%indeed'~";
    let start = format!(
        "{method} sip:1_odd.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0"
    );
    let to = "To: \"BEL:\\\u{7} NUL:\\\u{1} DEL:\\\u{7f}\" <sip:1_odd.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>";
    let changes = [
        to,
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{440}\u{430}\";tag=_token~1'+`*%!-.",
    ];
    let reaction = Desk::new().receive(message(&start, &changes, "").as_bytes());
    assert_eq!(reaction.status(), Some(501));
    assert!(reaction.responses[0].headers.lists("Allow", "INVITE"));
}

#[test]
fn escapes_are_read_and_kept() {
    // 3.1.1.3: what is escaped is a user's name and no scheme, and stays escaped on the wire.
    let start = "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0";
    let request = taken(start, &["Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"], OFFER);
    assert_eq!(request.uri.user().unwrap(), "sips:user@example.com");
    assert_eq!(request.headers.contact().unwrap().uri.host(), "host5.example.net");
    // 3.1.1.4: a NUL in a name is one more character.
    let to = "To: sip:null-%00-null@example.com";
    let mut desk = Desk::new();
    let reaction = desk.receive(
        message(REGISTER, &[to, "Contact: <sip:%00@host5.example.com>", "+Contact: <sip:%00%00@host5.example.com>"], "")
            .as_bytes(),
    );
    let Event::Request { id, request, .. } = &reaction.events[0] else { panic!("{reaction:?}") };
    assert_eq!(request.headers.to().unwrap().uri.user().unwrap(), "null-\0-null");
    assert_eq!(request.headers.contacts().len(), 2);
    desk.ua.respond(*id, aftertone_sip::ResponseParts::new(200), desk.now);
    assert!(desk.receive(b"").responses[0].headers.get("To").unwrap().starts_with("sip:null-%00-null@example.com;tag="));
    // 3.1.1.5: % is a character of a method, and this is not REGISTER.
    assert_eq!(status("RE%47IST%45R sip:example.com SIP/2.0", &[], ""), Some(501));
}

#[test]
fn names_lists_and_long_values() {
    // 3.1.1.6: no blank between name and address.
    let request = taken(OPTIONS, &["From: caller<sip:caller@example.com>;tag=323"], "");
    assert_eq!(request.headers.from().unwrap().display.as_deref(), Some("caller"));
    // 3.1.1.7: long values, of the URI too.
    let long = "amazinglylongcallername".repeat(40);
    let start = format!("INVITE sip:user@example.com;{}=x SIP/2.0", "unknownparam".repeat(40));
    let changes =
        [format!("From: <sip:{long}@example.net>;tag={}", "8".repeat(500)), format!("Call-ID: {}", "really".repeat(100))];
    let mut changes: Vec<_> = changes.iter().map(String::as_str).collect();
    let vias: Vec<_> = (0..40).map(|n| format!("+Via: SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{n}")).collect();
    changes.extend(vias.iter().map(String::as_str));
    let request = taken(&start, &changes, OFFER);
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), long);
    assert_eq!(request.headers.list("Via").len(), 41);
    // 3.1.1.8: what follows the body in a datagram is nothing.
    let text = message(REGISTER, &[], "") + &message(INVITE, &[], "");
    assert_eq!(Desk::new().receive(text.as_bytes()).request().method, Method::Register);
    // 3.1.1.9: semicolons in the user are the user's.
    let request = taken("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", &[], "");
    assert_eq!((request.uri.user().unwrap().as_ref(), request.uri.host()), ("user;par=u@example.net", "example.com"));
    // 3.1.1.10: transports nobody knows, below our own.
    let more = ["+Via: SIP/2.0/SCTP a.example.com;branch=z9hG4bK1", "+Via: SIP/2.0/UNKNOWN b.example.com;branch=z9hG4bK2"];
    assert_eq!(taken(OPTIONS, &more, "").headers.list("Via").len(), 3);
}

#[test]
fn bodies_of_several_parts_and_of_bytes_are_kept() {
    // 3.1.1.11
    let head = message(
        "MESSAGE sip:user@example.com SIP/2.0",
        &["Content-Type: multipart/mixed;boundary=7a9cbec02ceef655", "-Content-Length"],
        "",
    );
    let mut text = head.into_bytes();
    let body = [&b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n"[..],
        &[0, 1, 255, 13, 10, 0][..], b"\r\n--7a9cbec02ceef655--"].concat();
    text.extend_from_slice(&body);
    assert_eq!(Desk::new().receive(&text).request().body, body);
}

#[test]
fn reason_phrases_of_all_kinds_and_none() {
    for reason in [" = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}", " ", ""] {
        // 3.1.1.12 and 3.1.1.13
        let mut desk = Desk::new();
        let answer = answer_to(&desk.ask(), &format!("SIP/2.0 200{reason}"), &[]);
        let reaction = desk.receive(answer.as_bytes());
        assert!(matches!(&reaction.events[..], [Event::Response { result: Ok(_), .. }]), "{reaction:?}");
    }
}

fn answer_to(request: &Request, start: &str, more: &[&str]) -> String {
    let line = |name: &str| format!("{name}: {}\r\n", request.headers.get(name).unwrap());
    let head: String = ["Via", "From", "To", "Call-ID", "CSeq"].into_iter().map(line).collect();
    let more: String = more.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{start}\r\n{head}{more}Content-Length: 0\r\n\r\n")
}

// RFC 4475 3.1.2: invalid.

#[test]
fn malformed_requests_get_400() {
    let separators = ["Via: SIP/2.0/UDP 192.0.2.7;;,;,,", "Contact: \"Joe\" <sip:joe@example.org>;;;;"];
    let cases: &[(&str, &[&str], &str)] = &[
        (INVITE, &separators, "3.1.2.1 separators with nothing between them"),
        (INVITE, &["Content-Length: 9999"], "3.1.2.2 a body that is cut off"),
        (INVITE, &["Content-Length: -999"], "3.1.2.3 a negative length"),
        (REGISTER, &["CSeq: 36893488147419103232 REGISTER"], "3.1.2.4 a number too large"),
        (REGISTER, &["Max-Forwards: 300"], "3.1.2.4 more hops than a byte holds"),
        (INVITE, &["To: \"Mr. J. User <sip:j.user@example.com>"], "3.1.2.6 a quote without end"),
        ("INVITE <sip:user@example.com> SIP/2.0", &[], "3.1.2.7 brackets around the URI"),
        ("INVITE sip:user@example.com; lr SIP/2.0", &[], "3.1.2.8 a blank within the URI"),
        (
            REGISTER,
            &["Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"],
            "3.1.2.13 a question mark outside of brackets",
        ),
        (OPTIONS, &["CSeq: 1 INVITE"], "3.1.2.17 CSeq of another method"),
        ("NEWMETHOD sip:user@example.com SIP/2.0", &["CSeq: 1 INVITE"], "3.1.2.18 the same with an unknown one"),
        (INVITE, &["-From"], "3.3.1 no From"),
        (INVITE, &["-To"], "3.3.1 no To"),
        (INVITE, &["-Call-ID"], "3.3.1 no Call-ID"),
        (INVITE, &["-CSeq"], "3.3.1 no CSeq"),
        (INVITE, &["-From", "-To", "-Call-ID"], "3.3.1 none of them"),
        (INVITE, &["+CSeq: 59 INVITE"], "3.3.8 two CSeq"),
        (INVITE, &["+Call-ID: other"], "3.3.8 two Call-ID"),
        (INVITE, &["+From: <sip:other@example.net>;tag=2"], "3.3.8 two From"),
        (INVITE, &["+To: <sip:other@example.net>"], "3.3.8 two To"),
        (INVITE, &["+Max-Forwards: 5"], "3.3.8 two Max-Forwards"),
        (OPTIONS, &["Content-Length: 13", "+l: 5"], "3.3.9 lengths that differ"),
    ];
    for (start, changes, situation) in cases {
        assert_eq!(status(start, changes, ""), Some(400), "{situation}");
    }
}

#[test]
fn slips_that_harm_nobody_are_forgiven() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("INVITE  sip:user@example.com  SIP/2.0", &[], "3.1.2.9 blanks between the parts of the first line"),
        ("OPTIONS sip:remote-target@example.com SIP/2.0  ", &[], "3.1.2.10 blanks at its end"),
        (INVITE, &["Date: Fri, 01 Jan 2010 16:00:00 EST"], "3.1.2.12 another time zone"),
        (OPTIONS, &["To: \"Watson, Thomas\" < sip:t.watson@example.org >"], "3.1.2.14 blanks around an address"),
        (OPTIONS, &["From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"], "3.1.2.15 a comma in a name without quotes"),
        (INVITE, &["Contact: <sip:caller@192.0.2.7>;"], "a semicolon at the end"),
    ];
    for (start, changes, situation) in cases {
        let reaction = Desk::new().receive(message(start, changes, "").as_bytes());
        assert_eq!((reaction.responses.len(), reaction.events.len()), (0, 1), "{situation}: {reaction:?}");
    }
    // 3.1.2.11: headers in a Request-URI are not obeyed.
    let request = taken("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", &[], OFFER);
    assert!(!request.headers.contains("Route"));
}

#[test]
fn other_versions_and_schemes_get_their_own_answer() {
    assert_eq!(
        status("OPTIONS sip:t.watson@example.org SIP/7.0", &["Via: SIP/7.0/UDP 192.0.2.7;branch=z9hG4bK1"], ""),
        None,
        "no way back is known"
    );
    assert_eq!(status("OPTIONS sip:t.watson@example.org SIP/7.0", &[], ""), Some(505), "3.1.2.16");
    assert_eq!(status("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", &[], ""), Some(416), "3.3.2");
    assert_eq!(status("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", &[], ""), Some(416), "3.3.3");
}

#[test]
fn responses_that_make_no_sense_are_dropped() {
    let drop = |start: &str, more: &[&str], change: &dyn Fn(String) -> String| {
        let mut desk = Desk::new();
        let asked = desk.ask();
        let reaction = desk.receive(change(answer_to(&asked, start, more)).as_bytes());
        assert!(reaction.events.is_empty() && reaction.responses.is_empty(), "{start} {more:?}: {reaction:?}");
        // The right one still counts.
        let reaction = desk.receive(answer_to(&asked, "SIP/2.0 200 OK", &[]).as_bytes());
        assert_eq!(reaction.events.len(), 1);
    };
    let same = |text: String| text;
    // 3.1.2.5: a number too large.
    drop("SIP/2.0 503 Service Unavailable", &["Retry-After: 949302838503028349304023988"], &|text| {
        text.replace("CSeq: 1 ", "CSeq: 9292394834772304023312 ")
    });
    // 3.1.2.19: a status too large.
    drop("SIP/2.0 4294967301 better not break the receiver", &[], &same);
    // 3.3.10: a Via below ours, and one of somebody else's above.
    drop("SIP/2.0 200 OK", &["Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23"], &same);
    drop("SIP/2.0 200 OK", &[], &|text| text.replace("Via: ", "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923, "));
}

#[test]
fn a_response_to_a_huge_retry_after_is_still_a_response() {
    let mut desk = Desk::new();
    let answer = answer_to(&desk.ask(), "SIP/2.0 503 Service Unavailable", &["Retry-After: 949302838503028349304023988"]);
    let reaction = desk.receive(answer.as_bytes());
    let [Event::Response { result: Err(RequestFailure::Refused(response)), .. }] = &reaction.events[..] else {
        panic!("{reaction:?}")
    };
    assert_eq!(response.status, 503);
}

// RFC 4475 3.2 to 3.4.

#[test]
fn a_branch_that_is_the_cookie_alone_tells_nothing() {
    // 3.2.1: other headers have to tell the transactions apart.
    let via = "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK";
    let mut desk = Desk::new();
    let one = message(OPTIONS, &[via], "");
    let other = message(OPTIONS, &[via, "Call-ID: another@192.0.2.7"], "");
    let events: usize = [&one, &other, &one].into_iter().map(|text| desk.receive(text.as_bytes()).events.len()).sum();
    assert_eq!(events, 2, "two requests, one of them again");
}

#[test]
fn what_is_not_understood_is_named() {
    // 3.3.5: Proxy-Require is none of a user agent's business.
    let changes = ["Require: nothingSupportsThis, nothingSupportsThisEither", "Proxy-Require: noProxiesSupportThis"];
    let reaction = Desk::new().receive(message(OPTIONS, &changes, "").as_bytes());
    assert_eq!(reaction.status(), Some(420));
    assert_eq!(reaction.responses[0].headers.list("Unsupported"), ["nothingSupportsThis", "nothingSupportsThisEither"]);
    // 3.3.6: a body of another kind.
    let reaction = Desk::new().receive(message(INVITE, &["Content-Type: application/unknownformat"], "<audio/>").as_bytes());
    assert_eq!(reaction.status(), Some(415));
    assert!(reaction.responses[0].headers.lists("Accept", "application/sdp"));
    // 3.3.15: no description of ours is wanted.
    assert_eq!(status(INVITE, &["Accept: text/nobodyKnowsThis"], ""), Some(406));
    assert_eq!(status(INVITE, &["Accept: application/sdp, text/plain"], ""), None);
}

#[test]
fn what_the_registrar_decides_reaches_it() {
    // 3.3.4: schemes that no registrar has.
    let changes = ["To: isbn:2983792873", "From: <http://www.example.com>;tag=3", "Contact: <name:John_Smith>"];
    assert_eq!(taken(REGISTER, &changes, "").headers.contact().unwrap().uri.host(), "");
    // 3.3.7: credentials of a kind that nobody knows.
    let request = taken(REGISTER, &["Authorization: NoOneKnowsThisScheme opaque-data=here"], "");
    assert!(request.headers.get("Authorization").and_then(aftertone_sip::digest::Authorization::parse).is_none());
    // 3.3.12 to 3.3.14: parameters outside, inside, and headers in the URI.
    let contact = |line: &str| taken(REGISTER, &[line], "").headers.contact().unwrap();
    let outside = contact("Contact: sip:+19725552222@gw1.example.net;unknownparam");
    assert_eq!((outside.params.contains("unknownparam"), outside.uri.params().is_empty()), (true, true));
    let inside = contact("Contact: <sip:+19725552222@gw1.example.net;unknownparam>");
    assert_eq!((inside.params.is_empty(), inside.uri.params().contains("unknownparam")), (true, true));
    let escaped = contact("Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>");
    assert_eq!(escaped.uri.header_fields(), [("Route".to_owned(), "<sip:sip.example.com>".to_owned())]);
}

#[test]
fn no_hops_left_is_enough_for_the_last_one_and_old_callers_are_served() {
    // 3.3.11
    assert_eq!(taken(OPTIONS, &["Max-Forwards: 0"], "").headers.max_forwards(), Some(0));
    // 3.4.1: no branch, no tag, no Max-Forwards.
    let changes = ["Via: SIP/2.0/UDP 192.0.2.7", "From: <sip:+13035551111@iftgw.there.com>", "-Max-Forwards"];
    let mut desk = Desk::new();
    let reaction = desk.receive(message(INVITE, &changes, OFFER).as_bytes());
    let Event::Incoming { session, .. } = &reaction.events[0] else { panic!("{reaction:?}") };
    desk.ua.reject(*session, 480, Headers::new(), desk.now);
    assert_eq!(desk.receive(b"").status(), Some(480));
    // The ACK of those days ends it.
    let ack = message("ACK sip:user@example.com SIP/2.0", &changes, "");
    assert!(desk.receive(ack.as_bytes()).responses.is_empty());
}

/// RFC 3261 8.1.1.8.
#[test]
fn who_wants_a_dialog_says_where_to_go_on_with_it() {
    for (method, changes) in [("INVITE", vec![]), ("SUBSCRIBE", vec!["Event: dialog"]), ("REFER", vec!["Refer-To: <sip:a@b>"])] {
        for contact in ["-Contact", "Contact: *"] {
            let changes = [&changes[..], &[contact]].concat();
            let mut desk = Desk::new();
            let reaction = desk.receive(message(&format!("{method} sip:user@example.com SIP/2.0"), &changes, "").as_bytes());
            assert_eq!((reaction.status(), reaction.events.len()), (Some(400), 0), "{method} {contact}");
            assert_eq!(desk.ua.counts().sessions, 0);
        }
    }
    assert_eq!(taken("MESSAGE sip:user@example.com SIP/2.0", &["-Contact"], "").headers.contact(), None);
}

/// RFC 3261 12.1.1: whoever came by `sips` is told that it goes on by `sips`.
#[test]
fn a_secure_call_is_answered_with_a_secure_contact() {
    let route = "Record-Route: <sips:edge.example.com;lr>";
    let cases = [
        ("sips:user@example.com", vec![], "sips:user@192.0.2.1:5061"),
        ("sip:user@example.com", vec!["Contact: <sips:caller@192.0.2.7>"], "sips:user@192.0.2.1:5061"),
        ("sip:user@example.com", vec![route], "sips:user@192.0.2.1:5061"),
        (
            "sip:user@example.com",
            vec!["Contact: <sips:c@192.0.2.7>", "Record-Route: <sip:edge;lr>"],
            "sip:user@192.0.2.1:5061;transport=tls",
        ),
        ("sip:user@example.com", vec![], "sip:user@192.0.2.1:5061;transport=tls"),
    ];
    for (called, changes, expected) in cases {
        let mut desk = Desk::between("192.0.2.1:5061", "192.0.2.7:5061");
        desk.flow = Flow { transport: Transport::Tls, connection: Some(ConnectionId(1)), ..desk.flow };
        let reaction = desk.receive(message(&format!("INVITE {called} SIP/2.0"), &changes, OFFER).as_bytes());
        let [Event::Incoming { session, .. }] = &reaction.events[..] else { panic!("{reaction:?}") };
        desk.ua.ring(*session, Headers::new(), desk.now);
        let contact: NameAddr = "<sip:user@192.0.2.1:5061;transport=tls>".parse().unwrap();
        desk.ua.accept(*session, contact, OFFER.to_owned(), Headers::new(), desk.now);
        let responses = desk.receive(b"").responses;
        assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [180, 200]);
        for response in responses {
            assert_eq!(response.headers.contact().unwrap().uri.to_string(), expected, "{called} {changes:?} {}", response.status);
        }
    }
}

/// RFC 3261 8.1.1.8, the other way.
#[test]
fn who_is_called_securely_is_shown_a_secure_contact() {
    for (called, route, expected) in [
        ("sips:user@example.com", None, "sips:me@192.0.2.1:5061"),
        ("sip:user@example.com", Some("<sips:edge.example.com;lr>"), "sips:me@192.0.2.1:5061"),
        ("sip:user@example.com", None, "sip:me@192.0.2.1:5061;transport=tls"),
    ] {
        let mut desk = Desk::between("192.0.2.1:5061", "192.0.2.7:5061");
        desk.flow = Flow { transport: Transport::Tls, connection: Some(ConnectionId(1)), ..desk.flow };
        let me: NameAddr = "<sip:me@192.0.2.1:5061;transport=tls>".parse().unwrap();
        let to: Uri = called.parse().unwrap();
        let headers = route.map_or_else(Headers::new, |route| Headers::new().with("Route", route));
        let invite =
            Invite { uri: to.clone(), from: me.clone(), to: to.into(), contact: me, headers, sdp: None, credentials: None };
        desk.ua.invite(invite, desk.flow, desk.now);
        let Output::Transmit { bytes, .. } = desk.ua.poll_output() else { panic!("nothing was sent") };
        assert_eq!(read(&bytes).headers().contact().unwrap().uri.to_string(), expected);
    }
}

// RFC 5118: IPv6.

fn ipv6(start: &str, changes: &[&str], body: &str) -> Reaction {
    let mut all = vec!["Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111"];
    all.extend_from_slice(changes);
    Desk::between("[2001:db8::10]:5060", "[2001:db8::9:1]:5060").receive(message(start, &all, body).as_bytes())
}

#[test]
fn ipv6_addresses_are_understood_where_they_stand_in_brackets() {
    // 4.1
    let reaction = ipv6("REGISTER sip:[2001:db8::10] SIP/2.0", &["Contact: <sip:caller@[2001:db8::1]>"], "");
    assert_eq!(reaction.request().uri.host_ip().unwrap().to_string(), "2001:db8::10");
    // 4.2
    assert_eq!(ipv6("REGISTER sip:2001:db8::10 SIP/2.0", &[], "").status(), Some(400));
    // 4.3 and 4.4: what looks like a port may be part of the address.
    let reaction = ipv6("REGISTER sip:[2001:db8::10:5070] SIP/2.0", &[], "");
    assert_eq!((reaction.request().uri.port(), reaction.request().uri.host()), (None, "[2001:db8::10:5070]"));
    let reaction = ipv6("REGISTER sip:[2001:db8::10]:5070 SIP/2.0", &[], "");
    assert_eq!(reaction.request().uri.port(), Some(5070));
    // 4.6 and 4.9: in descriptions they have no brackets, of both kinds side by side.
    let sdp = "v=0\r\no=a 1 1 IN IP6 2001:db8::20\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\nc=IN IP6 2001:db8::20\r\nm=audio 6002 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\n";
    assert_eq!(ipv6(INVITE, &[], sdp).request().sdp().as_deref(), Some(sdp));
    // 4.8: both kinds in one message.
    let changes = [
        "+Via: SIP/2.0/UDP 192.0.2.1:5060;received=192.0.2.30;branch=z9hG4bK1",
        "Contact: <sip:a@192.0.2.1>, <sip:a@[2001:db8::1]>",
    ];
    let reaction = ipv6("BYE sip:user@[2001:db8::10] SIP/2.0", &changes, "");
    assert_eq!(reaction.status(), Some(481), "it is understood; there is no such dialog");
    assert_eq!(reaction.responses[0].headers.list("Via").len(), 2);
    // 4.10: an IPv4 address in IPv6's clothes.
    let reaction = ipv6("INVITE sip:user@[::ffff:192.0.2.10] SIP/2.0", &[], "");
    assert_eq!(reaction.request().uri.host_ip().unwrap().to_canonical().to_string(), "192.0.2.10");
    // 4.11: three colons, which RFC 3261's grammar lets through by mistake.
    assert_eq!(ipv6("OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0", &[], "").status(), Some(400));
}

/// A zone names a network card of the sender's, and nobody else's.
#[test]
fn a_zone_in_an_address_harms_nobody_and_is_not_told() {
    for zone in ["%25eth0", "%eth0", "%25eth%2D0"] {
        let host = format!("[fe80::9:1{zone}]");
        let via = format!("Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK1");
        let contact = format!("Contact: <sip:caller@{host}:5070;transport=udp>");
        let mut desk = Desk::between("[fe80::10%2]:5060", "[fe80::9:1%2]:5060");
        let reaction = desk.receive(message(&format!("INVITE sip:user@{host} SIP/2.0"), &[&via, &contact], "").as_bytes());
        let request = reaction.request();
        assert_eq!(request.uri.host_ip().unwrap().to_string(), "fe80::9:1");
        let contact = request.headers.contact().unwrap().uri;
        assert_eq!((contact.host(), contact.port()), (host.as_str(), Some(5070)), "written as it was read");
        assert_eq!(request.headers.top_via().unwrap().params.get("received"), None, "it is where it says it is");
    }
    for host in ["[fe80::1%]", "[fe80::1%25eth0 ]", "[%25eth0]", "[fe80::1%25/]"] {
        assert_eq!(ipv6(&format!("OPTIONS sip:user@{host} SIP/2.0"), &[], "").status(), Some(400), "{host}");
    }
    let asked = Desk::between("[fe80::10%2]:5060", "[fe80::9:1%2]:5060").ask();
    assert!(asked.headers.get("Via").unwrap().starts_with("SIP/2.0/UDP [fe80::10]:5060;"));
}

#[test]
fn received_is_read_with_and_without_brackets() {
    // 4.5
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let mut desk = Desk::between("[2001:db8::10]:5060", "[2001:db8::9:1]:5060");
        let asked = desk.ask();
        let via = asked.headers.get("Via").unwrap();
        assert!(via.starts_with("SIP/2.0/UDP [2001:db8::10]:5060;"), "{via}");
        let answer = answer_to(&asked, "SIP/2.0 200 OK", &[]).replace(via, &format!("{via};received={received}"));
        let reaction = desk.receive(answer.as_bytes());
        assert!(matches!(&reaction.events[..], [Event::Response { result: Ok(_), .. }]), "{reaction:?}");
    }
}

#[test]
fn a_reply_over_ipv6_goes_where_the_request_came_from() {
    let remote: SocketAddr = "[2001:db8::9:1]:40000".parse().unwrap();
    let mut desk = Desk::between("[2001:db8::10]:5060", &remote.to_string());
    let via = "Via: SIP/2.0/UDP [2001:db8::ffff]:5060;rport;branch=z9hG4bK1";
    let reaction = desk.receive(message("OPTIONS tel:+1 SIP/2.0", &[via, "-To"], "").as_bytes());
    let via = reaction.responses[0].headers.top_via().unwrap();
    assert_eq!((via.params.get("received"), via.params.get("rport")), (Some("2001:db8::9:1"), Some("40000")));
}

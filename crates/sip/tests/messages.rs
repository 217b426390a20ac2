//! Reading and writing messages: RFC 4475's situations, and properties.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use aftertone_sip::{Headers, Message, Method, NameAddr, Request, Response, Uri, Via, parse};
use proptest::prelude::*;

fn request(text: &str) -> Request {
    match parse(text.as_bytes()).unwrap() {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

fn with_header(line: &str) -> Headers {
    request(&format!("OPTIONS sip:x@y SIP/2.0\r\n{line}\r\n\r\n")).headers
}

#[test]
fn a_short_torturous_invite() {
    // The situations of RFC 4475 3.1.1.1: folding, odd case, blanks, escapes, compact names, unknown headers.
    let text = "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
        from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\n\
        Call-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 3\r\ncseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n\
        s :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\nUnknownHeaderWithUnusualValue: ;;,,;;,;\r\n\
        Content-Type: application/sdp\r\nRoute:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
        m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\nv=0 and more";
    let request = request(text);
    let headers = &request.headers;
    assert_eq!(headers.to().unwrap().tag(), Some("1918181833n"));
    let from = headers.from().unwrap();
    assert_eq!((from.display.as_deref(), from.tag()), (Some("J Rosenberg \\\""), Some("98asjd8")));
    assert_eq!(headers.max_forwards(), Some(68));
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
    assert_eq!(headers.get("NewFangledHeader"), Some("newfangled value continued newfangled value"));
    assert_eq!(headers.get("subject"), Some(""));
    let vias: Vec<Via> = headers.list("Via").into_iter().map(|via| via.parse().unwrap()).collect();
    let seen: Vec<_> = vias.iter().map(|via| (via.transport.as_str(), via.host.as_str(), via.branch())).collect();
    let expected = [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ];
    assert_eq!(seen, expected);
    let contact = headers.contact().unwrap();
    assert_eq!((contact.display.as_deref(), contact.q()), (Some("Quoted string \"\""), Some(330)));
    assert_eq!((contact.params.get("newparam"), contact.params.contains("secondparam")), (Some("newvalue"), true));
    assert_eq!(headers.addresses("Route")[0].uri.params().get("unknownwith"), Some("value"));
    assert_eq!(request.body, b"v=0", "the rest of the datagram is no part of it");
}

#[test]
fn methods_uris_and_names_of_all_kinds() {
    // RFC 4475 3.1.1.2 to 3.1.1.9
    let odd = request(
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n\r\n",
    );
    assert_eq!(odd.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(odd.uri.host(), "example.com");
    let escaped: Uri = "sip:sips%3Auser%40example.com@example.net".parse().unwrap();
    assert_eq!((escaped.user().as_deref(), escaped.host()), (Some("sips:user@example.com"), "example.net"));
    assert_eq!(escaped.to_string(), "sip:sips%3Auser%40example.com@example.net");
    let semicolon: Uri = "sip:user;par=u%40example.net@example.com".parse().unwrap();
    assert_eq!(semicolon.user().as_deref(), Some("user;par=u@example.net"));
    let not_escaped: Uri = "sip:%Z%45@example.com;a%6Db=1".parse().unwrap();
    assert_eq!(not_escaped.user().as_deref(), Some("%ZE"));
    let wide: NameAddr = "\"\u{65e5}\u{672c} <x>, \\\"y\\\"\" <sip:user@[2001:db8::1]:5061;transport=tls>;tag=1".parse().unwrap();
    assert_eq!(wide.display.as_deref(), Some("\u{65e5}\u{672c} <x>, \"y\""));
    assert_eq!(wide.uri.socket_addr(5060).unwrap().to_string(), "[2001:db8::1]:5061");
    let tel: Uri = "tel:+49-30-123;phone-context=example.com".parse().unwrap();
    assert_eq!((tel.user().as_deref(), tel.host()), (Some("+49-30-123"), ""));
    let bare: NameAddr = "sip:user@host;tag=1".parse().unwrap();
    assert_eq!((bare.tag(), bare.uri.to_string()), (Some("1"), "sip:user@host".to_owned()));
    for broken in
        ["", "sip:", "sip:a b@c", "sip:user@", "sip:user@host:99999", "sip:[::1", "no scheme", "1a:b", "sip:u@ho\"st", "sip:x@y:"]
    {
        assert!(broken.parse::<Uri>().is_err(), "{broken}");
    }
    for broken in ["\"unterminated <sip:a@b>", "<sip:a@b", "\"x\" sip:a@b", ""] {
        assert!(broken.parse::<NameAddr>().is_err(), "{broken}");
    }
}

#[test]
fn lists_are_split_at_the_right_commas() {
    let headers = with_header(
        "Contact: \"a, b\" <sip:a@x;p=1,2>;q=0.5, <sip:b@x>, sip:c@x\r\nm: *, <broken, <sip:d@x>\r\nContact: <sip:e@x>",
    );
    let users: Vec<_> = headers.contacts().iter().map(|contact| contact.uri.user().unwrap().into_owned()).collect();
    assert_eq!(users, ["a", "b", "c", "e"]);
    assert!(with_header("Contact: *").is_contact_star());
    let headers = with_header("k: 100rel , timer\r\nSupported: path");
    assert!(headers.lists("Supported", "TIMER") && headers.lists("k", "path") && !headers.lists("Supported", "gruu"));
}

#[test]
fn numbers_too_large_or_odd_are_not_taken_for_others() {
    // RFC 4475 3.1.2.4, 3.1.2.5
    assert_eq!(with_header("Expires: 10000000000000").expires(), Some(u32::MAX));
    assert_eq!(with_header("Expires: soon").expires(), Some(3600));
    assert_eq!(with_header("Max-Forwards: 300").max_forwards(), None);
    assert!(with_header("CSeq: 36893488147419103232 OPTIONS").cseq().is_err());
    assert!(parse(b"SIP/2.0 4294967301 better not break the receiver\r\n\r\n").is_err());
    assert!(parse(b"SIP/2.0 99 Low\r\n\r\n").is_err());
}

#[test]
fn lengths_are_believed_only_if_they_make_sense() {
    let message = |length: &str| format!("OPTIONS sip:x@y SIP/2.0\r\n{length}\r\nbody").into_bytes();
    let body = |length: &str| {
        parse(&message(length)).map(|message| match message {
            Message::Request(request) => String::from_utf8(request.body).unwrap(),
            Message::Response(_) => unreachable!(),
        })
    };
    assert_eq!(body("").unwrap(), "body");
    assert_eq!(body("Content-Length: 2\r\n").unwrap(), "bo");
    assert_eq!(body("l: 4\r\nContent-Length: 4\r\n").unwrap(), "body");
    for broken in [
        "l: 4\r\nContent-Length: 3\r\n",
        "l: 5\r\n",
        "l: -1\r\n",
        "l: +4\r\n",
        "l:\r\n",
        "l: 4, 4\r\n",
        "l: 99999999999999999999\r\n",
    ] {
        assert!(body(broken).is_err(), "{broken}");
    }
}

#[test]
fn latin_1_utf_8_and_bare_line_feeds_are_read() {
    let text = b"OPTIONS sip:x@y SIP/2.0\nFrom: \"J\xfcrgen\" <sip:j@x>;tag=1\nTo: \"J\xc3\xbcrgen\" <sip:j@x>\n this is\n folded\nno header at all\nCall-ID: after\n\nbody";
    let Message::Request(request) = parse(text).unwrap() else { panic!() };
    assert_eq!(request.headers.from().unwrap().display.as_deref(), Some("J\u{fc}rgen"));
    assert_eq!(request.headers.call_id().unwrap(), "after");
    assert!(request.headers.get("To").unwrap().starts_with("\"J\u{fc}rgen\""));
    assert_eq!(request.body, b"body");
}

#[test]
fn a_value_from_outside_never_becomes_a_header() {
    let mut response = Response::new(486);
    response.reason = "Busy\r\nInjected: 1".to_owned();
    response.headers.push("Reason", "x\r\nInjected: 2");
    response.headers.push("X\r\nInjected", "3");
    response.headers.push("Contact", NameAddr::new(Uri::sip("a\r\nInjected: 4", "x")).with_display("b\r\nInjected: 5"));
    let text = String::from_utf8(response.to_bytes()).unwrap();
    assert!(text.lines().all(|line| !line.starts_with("Injected")), "{text}");
}

#[test]
fn a_session_description_is_found_in_a_multipart_body() {
    let text = "INVITE sip:x@y SIP/2.0\r\nContent-Type: multipart/mixed;boundary=\"b1\"\r\n\r\n\
        --b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1\r\ncontent-type: application/sdp\r\n\r\nv=0\r\ns=-\r\n--b1--\r\n";
    assert_eq!(request(text).sdp().as_deref(), Some("v=0\r\ns=-\r\n"));
    assert_eq!(request("INVITE sip:x@y SIP/2.0\r\nContent-Type: text/plain\r\n\r\nhello").sdp(), None);
}

#[test]
fn a_message_is_written_like_this() {
    let mut request = Request::new(Method::Invite, Uri::sip("j\u{fc}rgen <x>", "2001:db8::1").with_port(5070));
    request.headers.push("v", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport");
    request
        .headers
        .push("t", NameAddr::new(Uri::sip("+4930", "example.com").with_param("user", Some("phone"))).with_display("A \"B\" \\"));
    request.headers.push("x-odd", "  trimmed ");
    request.body = b"v=0\r\n".to_vec();
    let expected = "INVITE sip:j%C3%BCrgen%20%3Cx%3E@[2001:db8::1]:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport\r\n\
        To: \"A \\\"B\\\" \\\\\" <sip:+4930@example.com;user=phone>\r\nx-odd: trimmed\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(String::from_utf8(request.to_bytes()).unwrap(), expected);
}

#[test]
fn a_diversion_target_survives_in_a_uri() {
    let uri =
        Uri::sip("voicemail", "example.com").with_param("target", Some("sip:1001@example.com")).with_param("cause", Some("486"));
    assert_eq!(uri.to_string(), "sip:voicemail@example.com;target=sip:1001%40example.com;cause=486");
    let raw: Uri = "sip:voicemail@example.com;target=sip:1001@example.com".parse().unwrap();
    for uri in [uri, raw] {
        assert_eq!(uri.param("target").as_deref(), Some("sip:1001@example.com"));
    }
}

#[test]
fn addresses_are_compared_as_rfc_3261_wants() {
    let same = |a: &str, b: &str| a.parse::<Uri>().unwrap().is_equivalent(&b.parse().unwrap());
    assert!(same("sip:%61lice@AtLanTa.CoM;Transport=udp", "sip:alice@atlanta.com;transport=UDP"));
    assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
    assert!(!same("sip:alice@atlanta.com", "sip:ALICE@atlanta.com"));
    assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
    assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
    assert!(!same("sip:bob@biloxi.com", "sips:bob@biloxi.com"));
}

fn header_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Contact".to_owned()),
        Just("m".to_owned()),
        "[A-Za-z][A-Za-z0-9-]{0,12}".prop_filter("not the length", |name| {
            !name.eq_ignore_ascii_case("l") && !name.eq_ignore_ascii_case("content-length")
        })
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let headers = proptest::collection::vec((header_name(), "[^\r\n\0]{0,40}"), 0..8);
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    let start = prop_oneof![
        ("[A-Z]{1,10}", "\\PC{0,12}", "[a-z][a-z0-9.-]{0,20}", proptest::option::of(any::<u16>())).prop_map(
            |(method, user, host, port)| {
                let uri = Uri::sip(&user, &host);
                let uri = port.map_or(uri.clone(), |port| uri.with_port(port));
                Message::Request(Request::new(method.as_str().into(), uri))
            }
        ),
        (100_u16..700, "[!-~]{0,10}")
            .prop_map(|(status, reason)| Message::Response(Response { reason, ..Response::new(status) })),
    ];
    (start, headers, body).prop_map(|(mut message, lines, data)| {
        let (headers, body) = match &mut message {
            Message::Request(request) => (&mut request.headers, &mut request.body),
            Message::Response(response) => (&mut response.headers, &mut response.body),
        };
        for (name, value) in lines {
            headers.push(&name, value);
        }
        *body = data;
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn reading_something_like_a_message_never_panics(
        lines in proptest::collection::vec("[A-Za-z:;,<>\"\\\\@=/ \t0-9%\\[\\]\u{e4}]{0,40}", 0..10),
    ) {
        let text = format!("INVITE sip:x@y SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n"));
        if let Ok(Message::Request(request)) = parse(text.as_bytes()) {
            let headers = &request.headers;
            let _ = (headers.from(), headers.to(), headers.cseq(), headers.top_via(), headers.contacts(), headers.expires());
        }
        for line in &lines {
            let _ = (line.parse::<Uri>(), line.parse::<NameAddr>(), line.parse::<Via>());
            let _ = aftertone_sip::digest::Challenge::parse_all(line);
            let _ = aftertone_sip::digest::Authorization::parse(&format!("Digest {line}"));
            let _ = aftertone_sip::mwi::MessageSummary::parse(line);
        }
    }

    #[test]
    fn what_is_written_is_read_and_written_alike(message in message()) {
        let bytes = message.to_bytes();
        let again = parse(&bytes).unwrap();
        prop_assert_eq!(&again, &message);
        prop_assert_eq!(again.to_bytes(), bytes);
    }

    #[test]
    fn a_uri_that_is_read_is_written_as_it_was(text in "sips?:([a-z0-9%;?&=+$,/-]{1,12}@)?[a-z0-9.-]{1,12}(:[1-9][0-9]{0,3})?(;[a-z]{1,4}(=[a-z0-9]{1,4})?){0,3}") {
        if let Ok(uri) = text.parse::<Uri>() {
            prop_assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn a_user_agent_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), stream in any::<bool>()) {
        let now = common::any_time();
        let mut ua = aftertone_sip::UserAgent::new(aftertone_sip::UaConfig::new("Test/1", [1; 32]));
        let (local, remote) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let transport = if stream { aftertone_sip::Transport::Tcp } else { aftertone_sip::Transport::Udp };
        let connection = stream.then_some(aftertone_sip::ConnectionId(1));
        ua.handle_received(aftertone_sip::Flow { transport, local, remote, connection }, &bytes, now);
    }
}

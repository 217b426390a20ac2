//! Where calls come from: what peers write, read; and what we write, byte for byte.

#![expect(clippy::unwrap_used, reason = "tests")]

use aftertone_sip::dialog_info::{DialogEntry, DialogInfo, DialogState, Participant};
use aftertone_sip::origin::{Diversion, HistoryEntry, Reason, SignedIdentity, VoicemailTarget, asserted, wants_privacy};
use aftertone_sip::{Headers, Uri};

#[test]
fn reasons_of_several_protocols() {
    let headers = Headers::new().with("Reason", "Q.850;cause=16;text=\"Terminated\", SIP ;cause=600 ;text=\"Busy \\\"all\\\"\"");
    let all = Reason::all(&headers);
    assert_eq!((all.len(), all[0].protocol.as_str(), all[0].cause), (2, "Q.850", Some(16)));
    assert_eq!(all[1].text.as_deref(), Some("Busy \"all\""));
    assert_eq!(all[1].to_string(), "SIP;cause=600;text=\"Busy \\\"all\\\"\"");
    assert_eq!(Reason::sip_cause(&headers), Some(600));
    assert_eq!(Reason::sip(200, "Call completed elsewhere").to_string(), "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert!("; cause=1".parse::<Reason>().is_err());
}

#[test]
fn diversions_latest_first() {
    let headers = Headers::new()
        .with("Diversion", "\"Bob, B\" <sip:bob@example.com;x=y>;reason=\"user-busy\";counter=1;privacy=off, <tel:+4930>;reason=unconditional;counter=7")
        .with("Diversion", "sip:carol@example.com");
    let all = Diversion::all(&headers);
    let seen: Vec<_> =
        all.iter().map(|one| (one.from.uri.user().unwrap().into_owned(), one.reason.as_str(), one.counter)).collect();
    let expected = [("bob", "user-busy", 1), ("+4930", "unconditional", 7), ("carol", "unknown", 1)];
    assert_eq!(seen, expected.map(|(user, reason, counter)| (user.to_owned(), reason, counter)));
    assert_eq!(all[0].to_string(), "\"Bob, B\" <sip:bob@example.com;x=y>;reason=user-busy;privacy=off");
}

#[test]
fn the_history_of_a_call() {
    let headers = Headers::new().with(
        "History-Info",
        "<sip:bob@example.com?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22&Privacy=history>;index=1, \
         <sip:carol@example.com;cause=408>;index=1.1;mp=1, <sip:vm@example.com>;index=1.1.2;rc=1.1",
    );
    let all = HistoryEntry::all(&headers);
    assert_eq!(all[0].target.uri.to_string(), "sip:bob@example.com");
    assert_eq!((all[0].reason.clone().unwrap().cause, all[0].is_private), (Some(486), true));
    assert_eq!((all[1].reason.clone().unwrap().cause, all[1].hop.as_deref()), (Some(408), Some("mp")));
    assert_eq!((all[2].index.as_slice(), all[2].reason.clone(), all[2].is_private), (&[1, 1, 2][..], None, false));
}

#[test]
fn a_mailbox_in_an_address() {
    let target = VoicemailTarget { target: "sip:bob@example.com".parse().unwrap(), cause: Some(486) };
    let uri = target.write(Uri::sip("voicemail", "example.com"));
    assert_eq!(uri.to_string(), "sip:voicemail@example.com;target=sip:bob%40example.com;cause=486");
    assert_eq!(VoicemailTarget::of(&uri), Some(target));
    assert_eq!(VoicemailTarget::of(&Uri::sip("bob", "example.com")), None);
}

#[test]
fn who_is_asserted_and_who_hides() {
    let headers = Headers::new()
        .with("P-Asserted-Identity", "\"A\" <sip:a@example.com>, tel:+49301")
        .with("P-Asserted-Identity", "<sip:second@example.com>")
        .with("Privacy", "none");
    assert_eq!(
        asserted(&headers).iter().map(|addr| addr.uri.to_string()).collect::<Vec<_>>(),
        ["sip:a@example.com", "tel:+49301"]
    );
    assert!(!wants_privacy(&headers));
    assert!(wants_privacy(&Headers::new().with("Privacy", "critical; ID")));
}

#[test]
fn signed_identities_are_kept_as_they_came() {
    // {"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://c.example/p.cer"}
    // {"attest":"A","iat":1443208345,"orig":{"tn":"12155551212"}}
    let raw = "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jLmV4YW1wbGUvcC5jZXIifQ.\
               eyJhdHRlc3QiOiJBIiwiaWF0IjoxNDQzMjA4MzQ1LCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0.c2ln;info=<https://d.example/q.cer>;alg=ES256;ppt=shaken";
    let headers = Headers::new().with("Identity", raw).with("Identity", "nonsense");
    let all = SignedIdentity::all(&headers);
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!((one.raw.as_str(), one.info.as_deref()), (raw, Some("https://d.example/q.cer")));
    assert_eq!(
        (one.attestation.as_deref(), one.origin.as_deref(), one.issued_at),
        (Some("A"), Some("12155551212"), Some(1_443_208_345))
    );
    assert_eq!(one.extension.as_deref(), Some("shaken"));
    let compact = "..c2ln;info=<https://d.example/q.cer>".parse::<SignedIdentity>().unwrap();
    assert_eq!((compact.attestation, compact.info.as_deref()), (None, Some("https://d.example/q.cer")));
}

#[test]
fn who_is_on_the_phone() {
    let remote = Participant {
        display: Some("A & \"B\"".to_owned()),
        identity: "sip:b@example.com".to_owned(),
        target: Some("sip:b@h?x&y".to_owned()),
    };
    let entry = DialogEntry {
        id: "1".to_owned(),
        call_id: Some("c<1>".to_owned()),
        local_tag: Some("l".to_owned()),
        remote_tag: None,
        is_initiator: Some(false),
        state: DialogState::Early,
        local: None,
        remote: Some(remote),
    };
    let info = DialogInfo { version: 3, entity: "sip:a@example.com".to_owned(), is_full: true, dialogs: vec![entry] };
    insta::assert_snapshot!(info.to_body(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="3" state="full" entity="sip:a@example.com">
    <dialog id="1" call-id="c&lt;1&gt;" local-tag="l" direction="recipient"><state>early</state><remote><identity display="A &amp; &quot;B&quot;">sip:b@example.com</identity><target uri="sip:b@h?x&amp;y"/></remote></dialog>
    </dialog-info>
    "#);
    assert_eq!(DialogInfo::parse(&info.to_body()), Some(info));
    // As other phones write it: a prefix, an event, unknown elements, an unknown state.
    let other = "<?xml version='1.0'?><d:dialog-info xmlns:d='urn:ietf:params:xml:ns:dialog-info' version='0' state='partial' entity='sip:x@y'>\
        <d:dialog id='7' direction='initiator'><d:state event='rejected' code='486'> terminated </d:state><d:duration>7</d:duration></d:dialog>\
        <d:dialog id='8'><d:state>dreaming</d:state></d:dialog></d:dialog-info>";
    let info = DialogInfo::parse(other).unwrap();
    assert_eq!((info.is_full, info.dialogs.len(), info.dialogs[0].state), (false, 1, DialogState::Terminated));
    let bomb = "<!DOCTYPE a [<!ENTITY x \"aaaaaaaaaa\"><!ENTITY y \"&x;&x;&x;&x;\">]><dialog-info entity='&y;'/>";
    assert_eq!(DialogInfo::parse(bomb), None);
    assert_eq!(DialogInfo::parse(&format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000))), None);
}

#[test]
fn a_reason_in_quotes_is_written_so_that_it_stays_one() {
    let headers = Headers::new().with("Diversion", "<sip:1001@example.com>;reason=\"out, of \\\"office\\\"\";privacy=\"a;b\"");
    let [diversion] = &Diversion::all(&headers)[..] else { panic!("not one") };
    assert_eq!((diversion.reason.as_str(), diversion.privacy.as_deref()), ("out, of \"office\"", Some("a;b")));
    assert_eq!(Diversion::all(&Headers::new().with("Diversion", diversion)), std::slice::from_ref(diversion));
}

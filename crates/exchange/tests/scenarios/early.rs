//! What the network says before the answer.

use aftertone_exchange::{MediaCommand, MediaFailure};
use aftertone_media::Codec;
use aftertone_sip::{Body, Event, Flow, Headers, Message, Response, ResponseParts, SessionId, parse};

use crate::world::{PhoneId, World, codecs_of, text};

impl World {
    /// The provider's network says something before the answer.
    fn announces(&mut self, provider: PhoneId, session: SessionId) {
        let now = self.now.mono;
        let phone = &mut self.phones[provider.0];
        let (contact, body) = (phone.contact(), Some(Body::sdp(phone.sdp())));
        let headers = Headers::new().with("Contact", contact);
        phone.ua.progress(session, ResponseParts { headers, body, ..ResponseParts::new(183) }, now);
        self.settle();
    }
}

/// The descriptions that a caller got, each with its status.
fn described(world: &World, phone: PhoneId) -> Vec<(u16, Option<String>)> {
    let of = |event: &Event| match event {
        Event::Progress { response, .. } if response.status > 180 => Some((response.status, response.sdp())),
        Event::Answered { response, sdp, .. } => Some((response.status, sdp.clone())),
        _ => None,
    };
    world.phones[phone.0].events.iter().filter_map(of).collect()
}

#[test]
fn an_announcement_before_the_answer_reaches_the_caller() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    let early = described(&world, anna);
    assert_eq!((early.len(), early[0].0), (1, 183));
    assert!(early[0].1.as_ref().is_some_and(|sdp| sdp.contains("s=leg-")), "{early:?}");
    assert_eq!(world.plane.bridges.len(), 1);
    // Said twice, it is done once.
    world.announces(provider, leg);
    assert_eq!(world.plane.answers().len(), 1);
    world.answer(provider, leg);
    let all = described(&world, anna);
    let last = all.last().unwrap();
    assert_eq!((last.0, &last.1), (200, &early[0].1), "the answer is the same (RFC 3261 section 13.2.1)");
    assert_eq!(world.plane.answers().len(), 1);
    let (a, b) = world.plane.bridges[0];
    assert!(world.plane.bridges.iter().all(|bridge| *bridge == (a, b)));
    world.hang_up(anna, session);
    world.check_clean();
}

#[test]
fn a_call_that_is_refused_after_an_announcement_leaves_nothing() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    world.reject(provider, leg, 404);
    assert_eq!(world.story(anna, session).last().unwrap(), "404");
    world.check_clean();
}

#[test]
fn devices_of_ours_ring_by_themselves() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered_app("anna", 50);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    assert!(described(&world, anna).iter().all(|(_, sdp)| sdp.is_none()), "no provisional description");
    assert!(!world.plane.commands.iter().any(|command| matches!(command, MediaCommand::Apply { .. })));
    world.answer(provider, leg);
    assert_eq!(described(&world, anna).last().unwrap().0, 200);
    world.hang_up(anna, session);
    world.check_clean();
}

/// An UPDATE in the dialog of a message that the exchange has sent; what is answered.
fn updates(world: &mut World, phone: PhoneId, sent: &str, number: u32, sdp: &str) -> Response {
    let flow = world.phones[phone.0].flow;
    let (_, last) = world.sent.iter().rfind(|(to, text)| *to == flow.local && text.contains(sent)).unwrap();
    let header = |name: &str| last.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
    let (from, to) = if last.starts_with("SIP/2.0") { ("From", "To") } else { ("To", "From") };
    let text = format!(
        "UPDATE sip:call@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKearly{number}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: {number} UPDATE\r\nContact: {}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        flow.local,
        header(from),
        header(to),
        header("Call-ID"),
        world.phones[phone.0].contact(),
        sdp.len()
    );
    let back = Flow { local: flow.remote, remote: flow.local, ..flow };
    world.exchange.handle_received(back, text.as_bytes(), world.now);
    world.settle();
    let (_, answer) = world.sent.iter().rfind(|(_, text)| text.contains(&format!("CSeq: {number} UPDATE"))).unwrap();
    match parse(answer.as_bytes()).unwrap() {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{request:?}"),
    }
}

#[test]
fn a_caller_may_describe_itself_anew_before_the_answer() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    let changed = text("elsewhere", false, &[Codec::Pcmu]);
    let answer = updates(&mut world, anna, "SIP/2.0 183", 90, &changed);
    assert_eq!((answer.status, codecs_of(&answer.sdp().unwrap())), (200, vec![Codec::Pcmu]));
    world.plane.refuses = Some(Box::new(|_| Some(MediaFailure::Unacceptable("no codec".into()))));
    let refused = updates(&mut world, anna, "SIP/2.0 183", 91, &text("nowhere", false, &[Codec::Pcmu]));
    assert_eq!(refused.status, 488);
    world.plane.refuses = None;
    world.answer(provider, leg);
    let accepted = described(&world, anna).pop().unwrap();
    assert_eq!(accepted.0, 200);
    assert!(!world.wire.iter().any(|line| line.starts_with("-> INVITE sip:anna@")), "all is said: {:?}", world.wire);
    world.hang_up(provider, leg);
    assert!(world.story(anna, session).last().unwrap().starts_with("ended"));
    world.check_clean();
}

#[test]
fn a_trunk_may_move_its_announcement() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.announces(provider, leg);
    let changed = text("elsewhere", false, &[Codec::Pcmu]);
    let answer = updates(&mut world, provider, "PRACK sip:", 1, &changed);
    assert_eq!((answer.status, codecs_of(&answer.sdp().unwrap())), (200, vec![Codec::Pcmu]));
    let applied = |world: &World| world.plane.commands.iter().filter(|c| matches!(c, MediaCommand::Apply { .. })).count();
    assert_eq!(applied(&world), 1, "the announcement");
    world.answer(provider, leg);
    assert_eq!(applied(&world), 1, "its answer says nothing new");
    assert_eq!(described(&world, anna).pop().unwrap().0, 200);
    world.hang_up(anna, session);
    world.check_clean();
}

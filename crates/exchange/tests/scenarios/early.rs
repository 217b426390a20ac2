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

/// Somebody who has called 030555123, which rings.
struct Outside {
    world: World,
    provider: PhoneId,
    caller: PhoneId,
    session: SessionId,
    leg: SessionId,
}

impl Outside {
    fn called_by(caller: impl FnOnce(&mut World) -> PhoneId) -> Self {
        let (mut world, provider) = World::with_provider();
        let caller = caller(&mut world);
        let session = world.call(caller, "030555123");
        let leg = world.rings(provider);
        Self { world, provider, caller, session, leg }
    }

    /// Called by a desk phone, and the network has said something before the answer.
    fn announced() -> Self {
        let mut outside = Self::called_by(|world| world.registered("anna", 11));
        outside.world.announces(outside.provider, outside.leg);
        outside
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
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
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
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
    world.reject(provider, leg, 404);
    assert_eq!(world.story(anna, session).last().unwrap(), "404");
    world.check_clean();
}

#[test]
fn devices_of_ours_ring_by_themselves() {
    let Outside { mut world, provider, caller: anna, session, leg } =
        Outside::called_by(|world| world.registered_app("anna", 50));
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
    updates_as(world, phone, (sent, "<sip:+4930555123@provider.example>"), number, sdp)
}

/// The same by somebody else.
fn updates_as(world: &mut World, phone: PhoneId, (sent, identity): (&str, &str), number: u32, sdp: &str) -> Response {
    let flow = world.phones[phone.0].flow;
    let (_, last) = world.sent.iter().rfind(|(to, text)| *to == flow.local && text.contains(sent)).unwrap();
    let header = |name: &str| last.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
    let (from, to) = if last.starts_with("SIP/2.0") { ("From", "To") } else { ("To", "From") };
    let text = format!(
        "UPDATE sip:call@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKearly{number}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: {number} UPDATE\r\nContact: {}\r\nP-Asserted-Identity: {identity}\r\n\
         Content-Type: application/sdp\r\n\
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
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
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
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
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

#[test]
fn who_is_called_in_the_end_is_told_with_the_answer() {
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
    let changed = text("elsewhere", false, &[Codec::Pcmu]);
    let yan = "\"Yan\" <sip:030999@provider.example>";
    assert_eq!(updates_as(&mut world, provider, ("PRACK sip:", yan), 1, &changed).status, 200);
    world.answer(provider, leg);
    let told = world.phones[anna.0].events.iter().find_map(|event| match event {
        Event::Answered { response, .. } => response.headers.get("P-Asserted-Identity").map(str::to_owned),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some("\"Yan\" <sip:+4930999@example.org>"));
    world.hang_up(anna, session);
    world.check_clean();
}

/// A second branch behind the provider's proxy describes itself, reliably.
fn forks(world: &mut World, provider: PhoneId, tag: &str) {
    let flow = world.phones[provider.0].flow;
    let (_, invite) = world.sent.iter().rfind(|(to, text)| *to == flow.local && text.starts_with("INVITE")).unwrap();
    let header = |name: &str| invite.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
    let sdp = text("other", false, &[Codec::Pcma]);
    let progress = format!(
        "SIP/2.0 183 Session Progress\r\n{}\r\n{}\r\n{};tag={tag}\r\n{}\r\n{}\r\nContact: {}\r\nRequire: 100rel\r\nRSeq: 1\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        header("Via"),
        header("From"),
        header("To"),
        header("Call-ID"),
        header("CSeq"),
        world.phones[provider.0].contact(),
        sdp.len()
    );
    let back = Flow { local: flow.remote, remote: flow.local, ..flow };
    world.exchange.handle_received(back, progress.as_bytes(), world.now);
    world.settle();
}

#[test]
fn a_branch_that_is_not_heard_does_not_move_the_sound_to_itself() {
    let Outside { mut world, provider, caller: anna, session, leg } = Outside::announced();
    let first = world.sent.iter().rfind(|(_, text)| text.starts_with("PRACK sip:")).unwrap().1.clone();
    let tag = first.lines().find_map(|line| line.strip_prefix("To: ")?.split_once("tag=")).unwrap().1.to_owned();
    forks(&mut world, provider, "other");
    let (described, bridged) = (world.plane.answers().len(), world.plane.bridges.len());
    let changed = text("elsewhere", false, &[Codec::Pcmu]);
    assert_eq!(updates(&mut world, provider, "tag=other", 1, &changed).status, 488);
    assert_eq!(
        (world.plane.answers().len(), world.plane.bridges.len()),
        (described, bridged),
        "the media plane hears nothing of it"
    );
    // The one that is heard may.
    assert_eq!(updates(&mut world, provider, &format!("tag={tag}"), 2, &changed).status, 200);
    assert_eq!(world.plane.answers().len(), described + 1);
    world.answer(provider, leg);
    assert_eq!(described_last(&world, anna), 200);
    world.hang_up(anna, session);
    world.check_clean();
}

fn described_last(world: &World, phone: PhoneId) -> u16 {
    described(world, phone).last().unwrap().0
}

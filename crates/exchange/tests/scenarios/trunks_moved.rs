//! Trunks behind a NAT, and calls that go on when their trunk is reached another way.

use std::net::IpAddr;

use aftertone_exchange::{LegId, MediaCommand, Towards, Way};
use aftertone_model::Trunk;
use aftertone_sip::{ConnectionId, Event, Flow, Method, NameAddr, ResponseParts, SessionId, Transport, Uri};

use crate::{
    trunks::{PROVIDER, account, contact_of, provider, way},
    world::{PhoneId, World, flow_of},
};

const NAT: &str = "203.0.113.77:40123";

impl World {
    fn contact_in(&self, to: &str, is: impl Fn(&str) -> bool) -> Uri {
        let (_, bytes) = self.sent.iter().rev().find(|(remote, bytes)| remote.to_string() == to && is(bytes)).expect("sent");
        let line = bytes.lines().find_map(|line| line.strip_prefix("Contact:")).expect("a contact");
        line.trim().parse::<NameAddr>().unwrap().uri
    }

    /// Whom the descriptions for trunks were made for, in order.
    fn towards(&self, peer: &str) -> Vec<(LegId, Towards)> {
        let peer: IpAddr = peer.parse().unwrap();
        let of = |command: &MediaCommand| match command {
            MediaCommand::Offer { leg, peer, .. } | MediaCommand::Answer { leg, peer, .. } => Some((*leg, *peer)),
            _ => None,
        };
        self.plane.commands.iter().filter_map(of).filter(|(_, towards)| towards.ip == peer).collect()
    }

    /// Anna talks to somebody who called over the trunk.
    fn talk_over(&mut self, provider: PhoneId) -> (PhoneId, SessionId, SessionId) {
        let contact = contact_of(self);
        let anna = self.registered("anna", 11);
        let session = self.provider_calls(provider, &contact, "+49301001", "<sip:+4930555123@provider.example>");
        let annas = self.rings(anna);
        self.answer(anna, annas);
        assert_eq!(self.story(provider, session).last().unwrap(), "200");
        (anna, annas, session)
    }

    /// The peer is offered the call's sound anew, and agrees.
    fn agrees_anew(&mut self, peer: PhoneId, of: SessionId) {
        let events = &mut self.phones[peer.0].events;
        let at = events.iter().position(|event| matches!(event, Event::Reinvited { session, .. } if *session == of));
        events.remove(at.expect("a re-INVITE"));
        let (now, sdp) = (self.now.mono, self.phones[peer.0].sdp());
        self.phones[peer.0].ua.accept_reinvite(of, sdp, now);
        self.settle();
        assert!(matches!(self.plane.commands.last(), Some(MediaCommand::Apply { .. })), "its answer is applied");
    }

    fn is_hung_up(&mut self, phone: PhoneId, session: SessionId) -> bool {
        self.story(phone, session).last().is_some_and(|last| last.starts_with("ended"))
    }
}

fn check_nat(trunk: Trunk, method: &Method) {
    let mut world = World::with_trunks(vec![trunk], &[PROVIDER]);
    let provider = world.phone_at("provider", PROVIDER);
    world.nat = Some(NAT.parse().unwrap());
    world.settle();
    if *method == Method::Register {
        world.takes_registration(provider, 600);
        world.takes_registration(provider, 600);
    } else {
        world.answers(provider, method.clone(), |_| ResponseParts::new(200));
    }
    let anna = world.registered("anna", 11);
    let seen_as = Some("203.0.113.77".parse().unwrap());
    // In: the provider's ACK and BYE, and its sound, come to where it sees us.
    let called = if *method == Method::Register { contact_of(&world) } else { "sip:49301001@203.0.113.77".parse().unwrap() };
    let session = world.provider_calls(provider, &called, "+49301001", "<sip:+4930555123@provider.example>");
    let annas = world.rings(anna);
    world.answer(anna, annas);
    for status in ["SIP/2.0 180", "SIP/2.0 200"] {
        let contact = world.contact_in(PROVIDER, |bytes| bytes.starts_with(status) && bytes.contains("INVITE"));
        assert_eq!(contact.socket_addr(5060).unwrap().to_string(), NAT, "{status}");
    }
    assert_eq!(world.towards("198.51.100.1").last().unwrap().1.seen_as, seen_as);
    assert_eq!(world.towards("10.0.0.11").last().unwrap().1.seen_as, None, "a phone on this side of the NAT");
    world.hang_up(provider, session);
    assert!(world.is_hung_up(anna, annas));
    // Out.
    let session = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.answer(provider, leg);
    let contact = world.contact_in(PROVIDER, |bytes| bytes.starts_with("INVITE"));
    assert_eq!(contact.socket_addr(5060).unwrap().to_string(), NAT);
    assert_eq!(world.towards("198.51.100.1").last().unwrap().1.seen_as, seen_as);
    world.hang_up(anna, session);
    // What we ask of it later goes on coming from there.
    let before = world.sent.len();
    world.wait(26.0);
    assert!(world.sent[before..].iter().any(|(to, bytes)| to.to_string() == PROVIDER && bytes == "\r\n\r\n"));
}

#[test]
fn behind_a_nat_calls_in_and_out_carry_what_a_provider_sees() {
    check_nat(provider(), &Method::Register);
}

#[test]
fn behind_a_nat_a_peer_by_address_is_told_what_it_sees() {
    check_nat(Trunk { register: false, ..provider() }, &Method::Options);
}

#[test]
fn a_call_over_a_trunk_goes_on_from_another_address() {
    let (mut world, provider) = World::with_provider();
    let (anna, annas, session) = world.talk_over(provider);
    let leg = world.towards("198.51.100.1").last().unwrap().0;
    world.home = "10.0.0.77:5060".parse().unwrap();
    world.phones[provider.0].flow.remote = world.home;
    world.exchange.handle_network_changed(world.now);
    world.settle();
    world.takes_registration(provider, 600);
    world.agrees_anew(provider, session);
    let contact = world.contact_in(PROVIDER, |bytes| bytes.starts_with("INVITE"));
    assert_eq!(contact.socket_addr(5060).unwrap().to_string(), "10.0.0.77:5060");
    assert_eq!(world.towards("198.51.100.1").last().unwrap().0, leg, "the same leg's sound");
    world.wait(60.0);
    world.hang_up(provider, session);
    assert!(world.is_hung_up(anna, annas));
    world.check_clean();
}

#[test]
fn a_registration_that_is_only_renewed_disturbs_no_call() {
    let (mut world, provider) = World::with_provider();
    world.talk_over(provider);
    let before = world.wire.len();
    world.wait(560.0);
    world.takes_registration(provider, 600);
    world.wait(1.0);
    let asked = world.wire[before..].iter().filter(|line| line.starts_with("-> INVITE")).count();
    assert_eq!(asked, 0, "{:?}", &world.wire[before..]);
}

/// A provider over TCP, who has taken the registration.
fn over_tcp() -> (World, PhoneId) {
    let mut world = World::with_trunks(Vec::new(), &[]);
    world.ways = vec![Way { transport: Transport::Tcp, ..way(PROVIDER) }];
    let provider_phone = world.phone_at("provider", PROVIDER);
    world.phones[provider_phone.0].flow = flow_of(PROVIDER, Transport::Tcp, Some(5060));
    world.exchange.handle_trunks(vec![account(provider())], world.now);
    world.settle();
    world.takes_registration(provider_phone, 600);
    (world, provider_phone)
}

#[test]
fn a_call_goes_on_over_the_next_connection() {
    let (mut world, provider) = over_tcp();
    let (anna, annas, session) = world.talk_over(provider);
    world.close(provider);
    // The provider is there again, over another connection.
    let phone = &mut world.phones[provider.0];
    (phone.gone, phone.deaf) = (false, false);
    phone.flow = Flow { connection: Some(ConnectionId(105_060)), ..phone.flow };
    let (flow, now) = (phone.flow, world.now.mono);
    world.phones[provider.0].ua.handle_closed(ConnectionId(5060), now);
    world.wait(8.0);
    assert!(!world.is_hung_up(anna, annas), "longer than a phone would have");
    world.phones[provider.0].ua.move_session(session, flow, None);
    world.takes_registration(provider, 600);
    world.agrees_anew(provider, session);
    world.wait(60.0);
    world.hang_up(provider, session);
    assert!(world.is_hung_up(anna, annas));
    world.check_clean();
}

#[test]
fn a_call_ends_whose_trunk_does_not_come_back() {
    let (mut world, provider) = over_tcp();
    let (anna, annas, _) = world.talk_over(provider);
    world.closed = vec![PROVIDER.parse().unwrap()];
    world.close(provider);
    world.wait(30.0);
    assert!(!world.is_hung_up(anna, annas));
    world.wait(3.0);
    assert!(world.is_hung_up(anna, annas));
    world.check_clean();
}

#[test]
fn nobody_outside_is_rung_for_ever() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let session = world.call(anna, "030555123");
    world.rings(provider);
    world.wait(179.0);
    assert_eq!(world.story(anna, session), ["180"]);
    world.wait(2.0);
    assert_eq!(world.story(anna, session), ["480"]);
    world.check_clean();
}

//! Both sides do whatever comes to mind over a bad network: nothing panics, each session ends once, nothing is left.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aftertone_sip::{
    Body, ConnectionId, Credentials, Event, Headers, IncomingId, Refer, ReferTo, ReferralId, ResponseParts, SessionId,
    SubscriptionState, Transport, Watch, WatchId,
};
use proptest::prelude::*;

use common::{ALICE, ANSWER, BOB, Network, OFFER, World};

#[derive(Debug, Clone, Copy)]
enum Deed {
    Call { from: usize, late_offer: bool },
    Ring,
    Accept,
    Reject,
    Cancel,
    HangUp,
    Acknowledge,
    Reinvite,
    AcceptChange,
    RefuseChange,
    Info,
    Update { with_offer: bool },
    EarlyMedia,
    Refer,
    AcceptReferral,
    Report(u16),
    Replace,
    Watch,
    Unwatch,
    Subscribed,
    Close,
    Move,
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0..2_usize, prop::bool::weighted(0.2)).prop_map(|(from, late_offer)| Deed::Call { from, late_offer }),
        2 => Just(Deed::Ring),
        6 => Just(Deed::Accept),
        1 => Just(Deed::Reject),
        1 => Just(Deed::Cancel),
        2 => Just(Deed::HangUp),
        3 => Just(Deed::Acknowledge),
        4 => Just(Deed::Reinvite),
        5 => Just(Deed::AcceptChange),
        1 => Just(Deed::RefuseChange),
        1 => Just(Deed::Info),
        2 => any::<bool>().prop_map(|with_offer| Deed::Update { with_offer }),
        3 => Just(Deed::EarlyMedia),
        2 => Just(Deed::Refer),
        3 => Just(Deed::AcceptReferral),
        3 => prop::sample::select(vec![180, 200, 486]).prop_map(Deed::Report),
        1 => Just(Deed::Replace),
        1 => Just(Deed::Watch),
        1 => Just(Deed::Unwatch),
        1 => Just(Deed::Subscribed),
        1 => Just(Deed::Close),
        1 => Just(Deed::Move),
        12 => (0..3000_u64).prop_map(Deed::Wait),
    ]
}

#[derive(Default)]
struct Ledger {
    known: BTreeMap<usize, Vec<SessionId>>,
    over: BTreeSet<(usize, SessionId)>,
    /// REFER and SUBSCRIBE that wait for an answer.
    asked: BTreeMap<usize, Vec<IncomingId>>,
    referrals: BTreeMap<usize, Vec<ReferralId>>,
    /// REFER of ours whose end was told.
    referred: BTreeSet<(usize, ReferralId)>,
    watches: BTreeMap<usize, Vec<WatchId>>,
}

impl Ledger {
    /// Takes what was told; nothing may be told of a session that is over.
    fn settle(&mut self, world: &mut World) {
        for agent in [ALICE, BOB] {
            while let Some(event) = world.agents[agent].events.pop_front() {
                let (session, ends) = match &event {
                    Event::Incoming { session, .. } => {
                        self.known.entry(agent).or_default().push(*session);
                        (*session, false)
                    }
                    Event::Rejected { session, .. } | Event::Cancelled { session, .. } | Event::Ended { session, .. } => {
                        (*session, true)
                    }
                    Event::Progress { session, .. }
                    | Event::Answered { session, .. }
                    | Event::Confirmed { session, .. }
                    | Event::Reinvited { session, .. }
                    | Event::ReinviteConfirmed { session, .. }
                    | Event::ReinviteAnswered { session, .. }
                    | Event::EarlyOffered { session, .. }
                    | Event::Updated { session, .. }
                    | Event::Info { session, .. } => (*session, false),
                    Event::Referred { session, id, .. } | Event::Message { session, id, .. } => {
                        self.asked.entry(agent).or_default().push(*id);
                        (*session, false)
                    }
                    Event::Request { id, .. } => {
                        self.asked.entry(agent).or_default().push(*id);
                        continue;
                    }
                    Event::ReferProgress { referral, .. } => {
                        assert!(!self.referred.contains(&(agent, *referral)), "{event:?} after the end");
                        continue;
                    }
                    Event::ReferEnded { referral, .. } => {
                        assert!(self.referred.insert((agent, *referral)), "{event:?} twice");
                        continue;
                    }
                    Event::Reopen { closed, remote, .. } => {
                        // Half of the callers can be reached.
                        let flow = self.over.len().is_multiple_of(2).then(|| world.flow(agent, 1 - agent));
                        world.act(agent, |ua, now| ua.handle_reopened(*closed, *remote, flow, now));
                        continue;
                    }
                    Event::Notified { .. }
                    | Event::Unwatched { .. }
                    | Event::Resubscribed { .. }
                    | Event::Unsubscribed { .. } => continue,
                    other => panic!("{other:?}"),
                };
                assert!(!self.over.contains(&(agent, session)), "{event:?} after the end\n{}", world.dump());
                if ends {
                    self.over.insert((agent, session));
                }
            }
        }
    }

    fn close(&mut self, agent: usize, session: SessionId) {
        self.over.insert((agent, session));
    }
}

fn run(transport: Transport, seed: u64, deeds: &[(usize, usize, Deed)]) {
    let network = Network { loss: 100, doubled: 100, jitter: 100 };
    let mut world = World::with_configs(transport, network, seed, |config| {
        (config.session_expires, config.takes_refer) = (Some(90), true);
        config.supported.push("replaces".to_owned());
    });
    let mut ledger = Ledger::default();
    for (agent, pick, deed) in deeds {
        let sessions = ledger.known.get(agent).cloned().unwrap_or_default();
        let session = sessions.get(pick % sessions.len().max(1)).copied().unwrap_or(SessionId(u64::MAX));
        perform(&mut world, &mut ledger, *agent, session, *deed);
        ledger.settle(&mut world);
    }
    for (agent, sessions) in ledger.known.clone() {
        for session in sessions {
            ledger.close(agent, session);
            world.act(agent, |ua, now| ua.hang_up(session, Headers::new(), now));
        }
        ledger.settle(&mut world);
    }
    for (agent, watches) in ledger.watches.clone() {
        watches.into_iter().for_each(|id| world.act(agent, |ua, now| ua.unwatch(id, now)));
    }
    world.network = Network::default();
    // What still comes in is refused.
    for _ in 0..100 {
        world.run(Duration::from_secs(2));
        for agent in [ALICE, BOB] {
            let asked: Vec<_> = world.agents[agent].events.iter().filter_map(wants_response).collect();
            asked.into_iter().for_each(|id| world.act(agent, |ua, now| ua.respond(id, ResponseParts::new(404), now)));
            let open: Vec<_> = world.agents[agent].events.iter().filter_map(incoming).collect();
            for session in open {
                world.act(agent, |ua, now| ua.reject(session, 480, Headers::new(), now));
            }
        }
    }
    world.assert_idle_later();
}

fn incoming(event: &Event) -> Option<SessionId> {
    match event {
        Event::Incoming { session, .. } => Some(*session),
        _ => None,
    }
}

fn wants_response(event: &Event) -> Option<IncomingId> {
    match event {
        Event::Request { id, .. } | Event::Referred { id, .. } => Some(*id),
        _ => None,
    }
}

fn perform(world: &mut World, ledger: &mut Ledger, agent: usize, session: SessionId, deed: Deed) {
    let other = 1 - agent;
    let contact = world.contact("x", agent);
    match deed {
        Deed::Call { from, late_offer } => {
            let mut invite = world.invite_to_bob(Some(Credentials::new("a", "b")));
            invite.uri = world.uri("x", 1 - from);
            invite.contact = world.contact("x", from);
            invite.sdp = (!late_offer).then(|| OFFER.to_owned());
            let flow = world.flow(from, 1 - from);
            let id = world.act(from, |ua, now| ua.invite(invite, flow, now));
            ledger.known.entry(from).or_default().push(id);
        }
        Deed::Ring => world.act(agent, |ua, now| ua.progress(session, ResponseParts::new(183), now)),
        Deed::Accept => world.act(agent, |ua, now| ua.accept(session, contact, ANSWER.to_owned(), Headers::new(), now)),
        Deed::Reject => world.act(agent, |ua, now| ua.reject(session, 486, Headers::new(), now)),
        Deed::Cancel => {
            ledger.settle(world);
            ledger.close(agent, session);
            world.act(agent, |ua, now| ua.cancel(session, Headers::new(), now));
        }
        Deed::HangUp => {
            ledger.settle(world);
            ledger.close(agent, session);
            world.act(agent, |ua, now| ua.hang_up(session, Headers::new(), now));
        }
        Deed::Acknowledge => world.act(agent, |ua, now| ua.acknowledge(session, ANSWER.to_owned(), now)),
        Deed::Reinvite => world.act(agent, |ua, now| ua.reinvite(session, OFFER.to_owned(), now)),
        Deed::AcceptChange => world.act(agent, |ua, now| ua.accept_reinvite(session, ANSWER.to_owned(), now)),
        Deed::RefuseChange => world.act(agent, |ua, now| ua.reject_reinvite(session, 488, now)),
        Deed::Info => world.act(agent, |ua, now| ua.info(session, Body::new("text/plain", "x"), now)),
        Deed::Update { with_offer } => {
            let headers = Headers::new().with("P-Asserted-Identity", "<sip:z@example.com>");
            world.act(agent, |ua, now| ua.update(session, with_offer.then(|| OFFER.to_owned()), headers, now));
        }
        Deed::EarlyMedia => {
            let parts = ResponseParts { body: Some(Body::sdp(ANSWER)), ..ResponseParts::new(183) };
            world.act(agent, |ua, now| ua.progress(session, parts, now));
        }
        Deed::Refer => {
            let to = ReferTo::new(world.uri("carol", 2));
            world.act(agent, |ua, now| ua.refer(session, Refer::new(to), now));
        }
        Deed::AcceptReferral => {
            let id = ledger.asked.entry(agent).or_default().pop();
            let taken = id.and_then(|id| world.act(agent, |ua, now| ua.accept_referral(id, now)));
            ledger.referrals.entry(agent).or_default().extend(taken);
        }
        Deed::Report(status) => {
            let id = ledger.referrals.get(&agent).and_then(|all| all.last()).copied();
            id.into_iter().for_each(|id| world.act(agent, |ua, now| ua.report_referral(id, status, now)));
        }
        Deed::Replace => {
            let Some(replaces) = world.agents[agent].ua.replaces(session) else { return };
            let mut invite = world.invite_to_bob(None);
            (invite.uri, invite.contact) = (world.uri("x", other), contact);
            invite.headers.push("Replaces", replaces);
            let flow = world.flow(agent, other);
            let id = world.act(agent, |ua, now| ua.invite(invite, flow, now));
            ledger.known.entry(agent).or_default().push(id);
        }
        Deed::Watch => {
            let uri = world.uri("x", other);
            let (from, to) = (contact.clone(), uri.clone().into());
            let (event, accept, headers) = ("message-summary".to_owned(), Vec::new(), Headers::new());
            let watch = Watch { uri, from, to, contact, event, accept, expires: 120, headers, credentials: None };
            let flow = world.flow(agent, other);
            let id = world.act(agent, |ua, now| ua.watch(watch, flow, now));
            ledger.watches.entry(agent).or_default().push(id);
        }
        Deed::Unwatch => {
            let id = ledger.watches.entry(agent).or_default().pop();
            id.into_iter().for_each(|id| world.act(agent, |ua, now| ua.unwatch(id, now)));
        }
        Deed::Subscribed => {
            let id = ledger.asked.entry(agent).or_default().pop();
            let Some(id) = id.and_then(|id| world.act(agent, |ua, now| ua.accept_subscription(id, contact, 60, now))) else {
                return;
            };
            world.act(agent, |ua, now| ua.notify(id, SubscriptionState::Active, None, now));
        }
        Deed::Close => world.act(agent, |ua, now| ua.handle_closed(ConnectionId(1), now)),
        Deed::Move => {
            let flow = world.flow(agent, other);
            world.act(agent, |ua, _| ua.move_session(session, flow, Some(contact)));
        }
        Deed::Wait(millis) => world.run(Duration::from_millis(millis)),
    }
}

/// `AFTERTONE_STORMS` asks for more.
fn cases() -> u32 {
    std::env::var("AFTERTONE_STORMS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn nothing_is_told_twice_and_nothing_is_left(
        seed in 1..10_000_u64,
        transport in proptest::sample::select(vec![Transport::Udp, Transport::Tcp, Transport::Ws]),
        deeds in proptest::collection::vec((0..2_usize, 0..4_usize, deed()), 1..60),
    ) {
        run(transport, seed, &deeds);
    }
}

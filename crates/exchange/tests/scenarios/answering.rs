//! How a person's plan answers calls: ring time, do-not-disturb, greetings, the longest message, the live mailbox.

use std::{path::PathBuf, time::Duration};

use aftertone_exchange::{Directory, Person, Sound, TrunkAccount, Way};
use aftertone_model::{
    Answer, AnsweringRule, CallerGroup, Callers, GreetingId, GreetingRule, Reason, RingTime, Temporary, Trunk, When,
};
use aftertone_rules::Shelved;
use aftertone_sip::{NameAddr, Transport, Uri};

use crate::world::{DOMAIN, PhoneId, World, id, person};

fn greeting(number: u128) -> GreetingId {
    GreetingId::from_random(number)
}

fn file(number: u128) -> Sound {
    Sound::File(PathBuf::from(format!("/blobs/{number}.ogg")))
}

fn when(callers: Callers) -> When {
    When { callers: vec![callers], ..When::default() }
}

fn answer(callers: Callers, answer: Answer) -> AnsweringRule {
    AnsweringRule { title: "rule".into(), on: true, when: when(callers), answer }
}

/// Ben has greetings 1 to 4: 1 for Anna, 2 when he is busy, 3 on do-not-disturb, 4 otherwise.
fn ben() -> Person {
    let mut ben = person("ben");
    let rule = |number, when| GreetingRule { title: "rule".into(), on: true, when, greeting: Some(greeting(number)) };
    let reason = |reason| When { reasons: vec![reason], ..When::default() };
    let plan = &mut ben.answering.plan;
    plan.groups = vec![CallerGroup { id: "urgent".into(), title: "Urgent".into(), members: vec!["1003".into()] }];
    plan.greetings = vec![
        rule(1, when(Callers::Number { number: "1001".into() })),
        rule(2, reason(Reason::Busy)),
        rule(3, reason(Reason::Dnd)),
    ];
    plan.standard = Some(greeting(4));
    for number in 1..=4 {
        let shelved = Shelved { title: String::new(), has_sound: true, expires_at: None };
        ben.answering.greetings.insert(greeting(number), shelved);
        ben.greetings.insert(greeting(number), PathBuf::from(format!("/blobs/{number}.ogg")));
    }
    ben
}

fn know(world: &mut World, ben: Person) {
    world.exchange.handle_directory(Directory::new([person("anna"), ben, person("cleo")]), world.now);
    world.settle();
}

/// The deposit that this phone's call of Ben leads to: its greeting and reason.
fn heard(world: &mut World, phone: PhoneId) -> (Option<Sound>, Reason) {
    let call = world.call(phone, "ben");
    world.wait(21.0);
    let (_, order) = world.plane.deposits.pop().expect("a deposit");
    world.hang_up(phone, call);
    (order.greeting, order.envelope.reason)
}

#[test]
fn each_caller_hears_the_greeting_that_is_meant_for_them() {
    let mut world = World::new();
    let (anna, cleo) = (world.registered("anna", 11), world.registered("cleo", 13));
    assert_eq!(heard(&mut world, anna), (None, Reason::Offline), "without a plan that of the account");
    know(&mut world, ben());
    assert_eq!(heard(&mut world, anna), (Some(file(1)), Reason::Offline));
    assert_eq!(heard(&mut world, cleo), (Some(file(4)), Reason::Offline));
    know(&mut world, Person { do_not_disturb: true, ..ben() });
    assert_eq!(heard(&mut world, cleo), (Some(file(3)), Reason::Dnd));
    let mut temporary = ben();
    let until = world.now.wall + Duration::from_secs(3600);
    temporary.answering.plan.temporary = Some(Temporary { greeting: greeting(2), until: Some(until) });
    know(&mut world, temporary);
    assert_eq!(heard(&mut world, anna), (Some(file(2)), Reason::Offline));
    world.wait(3600.0);
    let anna = world.registered("anna", 14);
    assert_eq!(heard(&mut world, anna).0, Some(file(1)), "the hour is over");
    world.check_clean();
}

#[test]
fn a_greeting_whose_sound_is_gone_is_not_asked_for() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let mut ben = ben();
    ben.greetings.clear();
    know(&mut world, ben);
    assert_eq!(heard(&mut world, anna).0, None);
    world.check_clean();
}

#[test]
fn the_spoken_name_goes_before_the_greeting_of_the_account_alone() {
    let mut world = World::new();
    let (anna, cleo) = (world.registered("anna", 11), world.registered("cleo", 13));
    let named = |world: &mut World, phone| {
        let call = world.call(phone, "ben");
        world.wait(21.0);
        let (_, order) = world.plane.deposits.pop().expect("a deposit");
        world.hang_up(phone, call);
        (order.greeting, order.spoken_name)
    };
    let name = Some(Sound::File(PathBuf::from("/blobs/name.ogg")));
    let mut ben = Person { spoken_name: Some(PathBuf::from("/blobs/name.ogg")), ..ben() };
    know(&mut world, ben.clone());
    assert_eq!(named(&mut world, anna), (Some(file(1)), None), "their own greeting says who they are");
    ben.answering.plan.standard = None;
    know(&mut world, ben.clone());
    assert_eq!(named(&mut world, cleo), (None, name.clone()), "no rule fits");
    ben.greetings.clear();
    know(&mut world, ben.clone());
    assert_eq!(named(&mut world, anna), (None, name), "the greeting that was chosen is gone");
    know(&mut world, Person { spoken_name: None, ..ben });
    assert_eq!(named(&mut world, anna), (None, None));
    world.check_clean();
}

/// After how many seconds the mailbox has taken a call of this phone.
fn rang(world: &mut World, phone: PhoneId) -> u32 {
    let call = world.call(phone, "ben");
    let mut seconds = 0;
    while world.plane.deposits.is_empty() {
        world.wait(1.0);
        seconds += 1;
        assert!(seconds < 120, "it rings for ever");
    }
    world.plane.deposits.clear();
    world.hang_up(phone, call);
    seconds
}

#[test]
fn it_rings_as_long_as_is_wanted_for_this_caller() {
    let mut world = World::new();
    let (anna, cleo, _ben) = (world.registered("anna", 11), world.registered("cleo", 13), world.registered("ben", 12));
    assert_eq!(rang(&mut world, anna), 20);
    let mut plan = ben();
    plan.answering.plan.answering = vec![
        answer(Callers::Number { number: "1001".into() }, Answer::Ring { time: RingTime::Seconds(7) }),
        answer(Callers::Group { id: "urgent".into() }, Answer::Ring { time: RingTime::Rings(8) }),
    ];
    know(&mut world, plan);
    assert_eq!(rang(&mut world, anna), 7);
    assert_eq!(rang(&mut world, cleo), 40, "eight rings of five seconds");
    world.check_clean();
}

#[test]
fn urgent_callers_ring_through_and_others_go_to_the_mailbox_at_once() {
    let mut world = World::new();
    let (anna, cleo, bens) = (world.registered("anna", 11), world.registered("cleo", 13), world.registered("ben", 12));
    let mut plan = Person { do_not_disturb: true, ..ben() };
    plan.answering.plan.answering =
        vec![answer(Callers::Group { id: "urgent".into() }, Answer::Through { time: RingTime::Seconds(9) })];
    know(&mut world, plan);
    assert_eq!(rang(&mut world, cleo), 9);
    assert_eq!(rang(&mut world, anna), 0);
    let mut plan = ben();
    plan.answering.plan.answering = vec![answer(Callers::Internal, Answer::Mailbox)];
    know(&mut world, plan);
    let before = world.phones[bens.0].events.len();
    assert_eq!(heard(&mut world, cleo), (Some(file(3)), Reason::Dnd));
    assert_eq!(world.phones[bens.0].events.len(), before, "nothing rang");
    world.check_clean();
}

#[test]
fn messages_are_as_long_as_is_wanted_and_allowed() {
    for (wanted, most, expect) in [(None, 300, 300), (Some(60), 300, 60), (Some(900), 300, 300), (Some(900), 1_800, 900)] {
        let mut world = World::with(|config| config.longest_message = Duration::from_secs(most));
        let anna = world.registered("anna", 11);
        let mut ben = ben();
        ben.answering.plan.longest_s = wanted;
        know(&mut world, ben);
        let call = world.call(anna, "ben");
        assert_eq!(world.deposit().1.longest, Duration::from_secs(expect), "{wanted:?} of {most}");
        world.hang_up(anna, call);
        world.check_clean();
    }
}

/// The mailbox that takes a call of this at once, if one does.
fn live(world: &mut World, phone: PhoneId, number: &str) -> Option<(aftertone_model::SubscriberId, Reason)> {
    let call = world.call_as(phone, NameAddr::new(Uri::sip("anna", DOMAIN)), Uri::sip(number, DOMAIN));
    let (_, order) = world.plane.deposits.pop()?;
    world.hang_up(phone, call);
    Some((order.envelope.mailbox, order.envelope.reason))
}

#[test]
fn a_live_mailbox_takes_a_message_without_ringing() {
    let mut world = World::with(|config| _ = config.dial_plan.mailbox_numbers.insert("1900".into(), "cleo".into()));
    let (anna, ben, cleo) = (world.registered("anna", 11), world.registered("ben", 12), world.registered("cleo", 13));
    assert_eq!(live(&mut world, anna, "*981002"), Some((id("ben"), Reason::Direct)));
    assert_eq!(live(&mut world, anna, "*98ben"), Some((id("ben"), Reason::Direct)));
    assert_eq!(live(&mut world, anna, "1900"), Some((id("cleo"), Reason::Direct)));
    assert_eq!(live(&mut world, anna, "*981001"), Some((id("anna"), Reason::Direct)), "a note to oneself");
    assert_eq!(live(&mut world, anna, "*984711"), None);
    assert!(world.incoming(ben).is_none() && world.incoming(cleo).is_none());
    world.check_clean();
}

#[test]
fn the_prefix_can_be_another_or_none() {
    let mut world = World::with(|config| config.dial_plan.mailbox_prefix = Some("*7".into()));
    let anna = world.registered("anna", 11);
    assert_eq!(live(&mut world, anna, "*71002"), Some((id("ben"), Reason::Direct)));
    assert_eq!(live(&mut world, anna, "*981002"), None);
    let mut world = World::with(|config| config.dial_plan.mailbox_prefix = None);
    let anna = world.registered("anna", 11);
    assert_eq!(live(&mut world, anna, "*981002"), None);
}

#[test]
fn a_number_of_the_outside_can_be_a_live_mailbox() {
    let mut world = World::new();
    let peer = world.phone_at("provider", "203.0.113.5:5060");
    world.phones[peer.0].credentials = None;
    let address = "203.0.113.5:5060".parse().unwrap();
    world.ways = vec![Way { transport: Transport::Udp, address, name: "provider.example".into(), fingerprint: None }];
    let trunk = Trunk {
        user: "4930".into(),
        numbers: [("+49301002".into(), "ben".into()), ("+49309".into(), "*98ben".into())].into(),
        ..Trunk::new("peer", "203.0.113.5")
    };
    world.exchange.handle_trunks(vec![TrunkAccount { trunk, password: String::new() }], world.now);
    world.settle();
    let ben = world.registered("ben", 12);
    let contact: Uri = "sip:4930@10.0.0.1".parse().unwrap();
    let call = world.provider_calls(peer, &contact, "+49309", "<sip:+4940777@provider.example>");
    let (_, order) = world.plane.deposits.pop().expect("a deposit");
    assert_eq!((order.envelope.mailbox, order.envelope.reason), (id("ben"), Reason::Direct));
    assert_eq!(order.envelope.caller.number, "+4940777");
    assert!(world.incoming(ben).is_none());
    world.hang_up(peer, call);
    let call = world.provider_calls(peer, &contact, "+49301002", "<sip:+4940777@provider.example>");
    assert!(world.incoming(ben).is_some(), "the other number rings");
    world.hang_up(peer, call);
    world.check_clean();
}

//! Who gets into the phone menu, with a PIN or without, and whom one calls out of it.

use aftertone_exchange::{
    Directory, ExchangeConfig, LegId, MediaCommand, MenuAccess, MenuCaller, MenuOrder, Person, TrunkAccount,
};
use aftertone_model::{Direction, EndReason, Language, Trunk};
use aftertone_sip::{NameAddr, ReferTo, Uri};

use crate::{
    trunks::{PROVIDER, account, plan, provider, way},
    world::{DOMAIN, PhoneId, World, id, person},
};

/// The one menu that was ordered, with its leg.
fn menu(world: &World) -> (LegId, MenuOrder) {
    match world.plane.menus.as_slice() {
        [(leg, order)] => (*leg, order.clone()),
        other => panic!("{} menus", other.len()),
    }
}

fn known(name: &str) -> MenuCaller {
    MenuCaller::Known(name.into())
}

fn person_of(name: &str) -> MenuCaller {
    known(&format!("person {}", id(name)))
}

fn dialled(world: &mut World, leg: LegId, owner: &str, number: &str) -> bool {
    let before = world.plane.commands.len();
    world.exchange.handle_dialled(leg, id(owner), number, world.now);
    world.settle();
    let taken = world.plane.commands[before..].iter().find_map(|command| match command {
        MediaCommand::Dialled { taken, .. } => Some(*taken),
        _ => None,
    });
    taken.expect("an answer")
}

fn anonymous_peer(world: &mut World) -> PhoneId {
    let peer = world.phone("pbx", 99);
    world.phones[peer.0].credentials = None;
    peer
}

#[test]
fn an_own_device_needs_no_pin_be_it_a_phone_or_the_app() {
    for is_app in [false, true] {
        let mut world = World::new();
        let anna = if is_app { world.registered_app("anna", 50) } else { world.registered("anna", 11) };
        let call = world.call(anna, "*97");
        let (leg, order) = menu(&world);
        assert_eq!(order.access, MenuAccess::Device(id("anna")));
        assert_eq!(order.language, Language::En);
        assert!(world.plane.deposits.is_empty());
        world.exchange.handle_deposit_over(leg, world.now);
        world.settle();
        assert!(world.story(anna, call).last().unwrap().starts_with("ended by Remote"));
        assert!(world.logged.is_empty(), "listening is no call: {:?}", world.logged);
        world.check_clean();
    }
}

#[test]
fn the_mailbox_number_asks_everybody_for_mailbox_and_pin() {
    let mut world = World::new();
    let cleo = world.registered("cleo", 13);
    let call = world.call(cleo, "*98");
    let (_, order) = menu(&world);
    let expected = MenuOrder { access: MenuAccess::Anybody, language: Language::De, caller: person_of("cleo") };
    assert_eq!(order, expected);
    world.hang_up(cleo, call);
    world.check_clean();
    // With an extension behind it a message is left, as ever.
    let mut live = World::new();
    let anna = live.registered("anna", 11);
    live.call(anna, "*981002");
    assert_eq!(live.deposit().1.envelope.mailbox, id("ben"));
    assert!(live.plane.menus.is_empty());
}

#[test]
fn a_callers_number_opens_no_mailbox() {
    let trusting = |config: &mut ExchangeConfig| config.trusted = vec!["10.0.0.0/8".parse().unwrap()];
    let mut world = World::with(trusting);
    let peer = anonymous_peer(&mut world);
    let annas: NameAddr = "<sip:1001@example.org>".parse().unwrap();
    let call = world.call_as(peer, annas.clone(), Uri::sip("*97", DOMAIN));
    assert_eq!(world.story(peer, call), ["401"], "whoever has the number shows that it is theirs");
    assert!(world.plane.menus.is_empty());
    // The number of mailboxes asks for the PIN, whoever calls it; and an exchange's own people have other domains.
    world.call_as(peer, annas, Uri::sip("*98", DOMAIN));
    assert_eq!(world.plane.menus.pop().unwrap().1.access, MenuAccess::Anybody);
    world.call_as(peer, "<sip:1001@pbx.example>".parse().unwrap(), Uri::sip("*97", DOMAIN));
    let (_, order) = world.plane.menus.pop().unwrap();
    assert_eq!((order.access, order.caller), (MenuAccess::Anybody, known("1001 by peer 10.0.0.99")));
}

/// Nobody is made to wait for what somebody else says in their name, and whoever says nothing waits with those of their way.
#[test]
fn a_number_counts_with_who_says_it() {
    let trusting = |config: &mut ExchangeConfig| config.trusted = vec!["10.0.0.99/32".parse().unwrap()];
    let mut world = World::with(trusting);
    let (anna, peer) = (world.registered("anna", 11), anonymous_peer(&mut world));
    let mut callers = Vec::new();
    let mut calls = |world: &mut World, phone, from: &str| {
        world.call_as(phone, from.parse().unwrap(), Uri::sip("*98", DOMAIN));
        callers.push(world.plane.menus.pop().unwrap().1.caller);
    };
    calls(&mut world, anna, "<sip:1001@example.org>");
    calls(&mut world, peer, "<sip:1001@example.org>");
    calls(&mut world, peer, "<sip:anonymous@anonymous.invalid>");
    let nameless = MenuCaller::Nameless("peer 10.0.0.99".into());
    assert_eq!(callers, [person_of("anna"), known("1001 by peer 10.0.0.99"), nameless]);
}

#[test]
fn strangers_are_known_by_their_address_and_not_by_what_they_say() {
    let mut world = World::with(|config| config.open = true);
    let mallory = world.phone_at("mallory", "203.0.113.9:5060");
    world.phones[mallory.0].credentials = None;
    world.call_as(mallory, "<sip:+49301001@elsewhere.example>".parse().unwrap(), Uri::sip("*98", DOMAIN));
    let (_, order) = menu(&world);
    assert_eq!((order.access, order.caller), (MenuAccess::Anybody, known("address 203.0.113.9")));
    // Whoever has a network has all addresses of it.
    for (address, network) in [("[2001:db8:1:2:3:4:5:6]:5060", "2001:db8:1:2::"), ("[2001:db8:1:2::9]:5060", "2001:db8:1:2::")] {
        let mut world = World::with(|config| config.open = true);
        let mallory = world.phone_at("mallory", address);
        world.phones[mallory.0].credentials = None;
        world.call_as(mallory, "<sip:+49301001@elsewhere.example>".parse().unwrap(), Uri::sip("*98", DOMAIN));
        assert_eq!(menu(&world).1.caller, known(&format!("address {network}")));
    }
}

#[test]
fn whoever_is_connected_with_the_menus_number_enters_mailbox_and_pin() {
    for number in ["*98", "*97"] {
        let (mut world, provider) = with_provider(&[], everybody());
        let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
        let call = world.call(anna, "ben");
        let at_ben = world.rings(ben);
        world.answer(ben, at_ben);
        let referral = world.refers(anna, call, ReferTo::new(Uri::sip(number, DOMAIN)));
        assert_eq!(menu(&world).1.access, MenuAccess::Anybody);
        assert!(world.told(anna, referral).contains(&"final 200".to_owned()), "{:?}", world.told(anna, referral));
        assert!(world.incoming(provider).is_none(), "it is no number of the outside");
        world.hang_up(ben, at_ben);
        world.check_clean();
    }
}

/// With a provider where a number stands for the menu.
fn with_provider(numbers: &[(&str, &str)], people: [Person; 3]) -> (World, PhoneId) {
    let numbers = numbers.iter().map(|(number, name)| ((*number).to_owned(), (*name).to_owned())).collect();
    let mut world = World::with(plan);
    world.exchange.handle_directory(Directory::new(people), world.now);
    world.ways = vec![way(PROVIDER)];
    let trunks: Vec<TrunkAccount> = vec![account(Trunk { numbers, ..provider() })];
    world.exchange.handle_trunks(trunks, world.now);
    let provider = world.phone_at("provider", PROVIDER);
    world.settle();
    world.takes_registration(provider, 600);
    (world, provider)
}

fn everybody() -> [Person; 3] {
    ["anna", "ben", "cleo"].map(person)
}

#[test]
fn a_number_of_a_trunk_leads_to_the_menu_and_never_past_the_pin() {
    for name in ["*97", "*98"] {
        let (mut world, provider) = with_provider(&[("+49301099", name)], everybody());
        let contact = Uri::sip("4930", "10.0.0.1");
        let call = world.provider_calls(provider, &contact, "+49301099", "<sip:+49301001@provider.example>");
        let (_, order) = menu(&world);
        let MenuCaller::Known(caller) = order.caller else { panic!("{:?}", order.caller) };
        assert_eq!(order.access, MenuAccess::Anybody, "{name}");
        assert!(caller.starts_with("+49301001 by trunk "), "{caller}");
        world.hang_up(provider, call);
    }
}

#[test]
fn the_star_key_has_a_way_from_each_greeting_unless_there_is_no_menu() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    world.call(anna, "cleo");
    let order = world.deposit().1.menu.clone().expect("a way into the menu");
    assert_eq!(order.access, MenuAccess::Mailbox("1003".parse().unwrap()));
    assert_eq!((order.language, order.caller), (Language::De, person_of("anna")));
    let mut off = World::with(|config| (config.dial_plan.menu_number, config.dial_plan.mailbox_number) = (None, None));
    let anna = off.registered("anna", 11);
    off.call(anna, "cleo");
    assert_eq!(off.deposit().1.menu, None);
    let call = off.call(anna, "*97");
    assert_eq!(off.story(anna, call), ["404"]);
}

#[test]
fn a_colleague_is_called_back_in_the_name_of_the_mailboxs_owner() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    let call = world.call(anna, "*97");
    let (leg, _) = menu(&world);
    assert!(dialled(&mut world, leg, "anna", "1002"));
    let (at_ben, request) = world.incoming(ben).expect("it rings");
    assert_eq!(request.headers.from().unwrap().uri.user().unwrap(), "1001");
    assert!(world.plane.commands.iter().any(|command| matches!(command, MediaCommand::Play { repeat: true, .. })));
    world.answer(ben, at_ben);
    assert_eq!(world.plane.bridges.len(), 1);
    assert_eq!(world.plane.bridges[0].0, leg);
    world.wait(5.0);
    world.hang_up(anna, call);
    let log = world.log_of("anna");
    assert_eq!((log.len(), log[0].direction, log[0].party.number.as_str()), (1, Direction::Outgoing, "1002"));
    assert_eq!(log[0].end, EndReason::LocalHangup);
    assert_eq!(world.log_of("ben")[0].party.number, "1001");
    world.check_clean();
}

#[test]
fn who_does_not_answer_has_a_mailbox() {
    let mut world = World::new();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "*97");
    let (leg, _) = menu(&world);
    assert!(dialled(&mut world, leg, "anna", "1002"));
    let (at, order) = world.deposit();
    assert_eq!((at, order.envelope.mailbox, order.envelope.caller.number.as_str()), (leg, id("ben"), "1001"));
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn on_the_own_device_one_calls_whom_one_may_call_anyway() {
    let (mut world, provider) = with_provider(&[("+49301001", "anna")], everybody());
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "*97");
    let (leg, _) = menu(&world);
    assert!(!dialled(&mut world, leg, "anna", "+43155512"), "no rights for other countries");
    assert!(!dialled(&mut world, leg, "anna", "09001234567"), "somebody earns at it, though nobody has barred it");
    assert!(!dialled(&mut world, leg, "anna", "anna@elsewhere.example"));
    assert!(dialled(&mut world, leg, "anna", "030555123"));
    let (_, request) = world.incoming(provider).expect("over the trunk");
    assert_eq!(request.uri.user().unwrap(), "+4930555123");
    assert!(!dialled(&mut world, leg, "anna", "030555124"), "one call at a time");
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn a_pin_is_worth_no_money_unless_that_is_allowed_and_never_premium_numbers() {
    for is_allowed in [false, true] {
        let people = everybody().map(|person| Person { dials_from_menu: is_allowed, ..person });
        let (mut world, provider) = with_provider(&[("+49301099", "*98")], people);
        let contact = Uri::sip("4930", "10.0.0.1");
        let call = world.provider_calls(provider, &contact, "+49301099", "<sip:+4930666@provider.example>");
        let (leg, _) = menu(&world);
        assert!(!dialled(&mut world, leg, "anna", "09001234567"));
        assert!(!dialled(&mut world, leg, "anna", "0043155512"));
        assert_eq!(dialled(&mut world, leg, "anna", "030555123"), is_allowed);
        assert_eq!(world.incoming(provider).is_some(), is_allowed);
        world.hang_up(provider, call);
        world.check_clean();
    }
    // Nor does somebody else's device make it the owner's: Ben listens to Anna's mailbox from his phone.
    let (mut world, provider) = with_provider(&[], everybody());
    let (ben, cleo) = (world.registered("ben", 12), world.registered("cleo", 13));
    let call = world.call(ben, "*98");
    let (leg, _) = menu(&world);
    assert!(!dialled(&mut world, leg, "anna", "030555123"));
    assert!(world.incoming(provider).is_none());
    assert!(dialled(&mut world, leg, "anna", "1003"), "extensions cost nothing");
    // And whoever was called that way is not handed on at Anna's cost.
    let at_cleo = world.rings(cleo);
    world.answer(cleo, at_cleo);
    let referral = world.refers(ben, call, ReferTo::new(Uri::sip("030555123", DOMAIN)));
    assert_eq!(world.told(ben, referral), ["refused 403"]);
    assert!(world.incoming(provider).is_none());
}

#[test]
fn nothing_is_dialled_for_a_leg_that_is_in_no_menu() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    world.call(anna, "ben");
    let at_ben = world.rings(ben);
    world.answer(ben, at_ben);
    let (leg, _) = world.plane.bridges[0];
    assert!(!dialled(&mut world, leg, "anna", "1003"));
    assert!(!dialled(&mut world, LegId(999), "anna", "1003"));
}

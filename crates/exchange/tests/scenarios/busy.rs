//! Busy lamps (RFC 4235): who is on the phone, for colleagues' phones.

use aftertone_exchange::{Directory, Exchange, ExchangeConfig};
use aftertone_model::EndReason;
use aftertone_sip::{
    Event, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Replaces, Request, RequestFailure, Response, ResponseParts,
    SessionId, Uri,
    dialog_info::{self, DialogInfo, DialogState},
    mwi,
};

use crate::world::{DOMAIN, PhoneId, World, person, status_of};

fn request(world: &World, phone: PhoneId, from: &str, to: &str, expires: u32) -> OutgoingRequest {
    let at = |name: &str| NameAddr::new(Uri::sip(name, DOMAIN));
    let mut request = OutgoingRequest::new(Method::Subscribe, Uri::sip(to, DOMAIN), at(from), at(to));
    let contact = world.phones[phone.0].contact();
    request.headers = Headers::new().with("Contact", contact).with("Event", dialog_info::EVENT).with("Expires", expires);
    request
}

fn watch(world: &mut World, phone: PhoneId, to: &str, expires: u32) -> Result<Response, RequestFailure> {
    let from = world.phones[phone.0].name.clone();
    let request = request(world, phone, &from, to, expires);
    world.request(phone, request)
}

/// A NOTIFY that came, not answered yet.
fn pending(world: &mut World, phone: PhoneId) -> Option<(IncomingId, Request)> {
    let events = &mut world.phones[phone.0].events;
    let at =
        events.iter().position(|event| matches!(event, Event::Request { request, .. } if request.method == Method::Notify))?;
    let Event::Request { id, request, .. } = events.remove(at) else { unreachable!() };
    Some((id, request))
}

fn acknowledge(world: &mut World, phone: PhoneId, id: IncomingId) {
    let now = world.now.mono;
    world.phones[phone.0].ua.respond(id, ResponseParts::new(200), now);
    world.settle();
}

fn read(request: &Request) -> DialogInfo {
    assert_eq!(request.headers.content_type().as_deref(), Some(dialog_info::CONTENT_TYPE));
    DialogInfo::parse(std::str::from_utf8(&request.body).unwrap()).unwrap()
}

/// A document's version, whether it is full, and the direction and state of each dialog.
type Summary = (u32, bool, Vec<(bool, DialogState)>);

fn summary(info: &DialogInfo) -> Summary {
    let dialogs = info.dialogs.iter().map(|dialog| (dialog.is_initiator.unwrap(), dialog.state)).collect();
    (info.version, info.is_full, dialogs)
}

/// Answers every NOTIFY; what they said.
fn told(world: &mut World, phone: PhoneId) -> Vec<Summary> {
    let mut all = Vec::new();
    while let Some((id, request)) = pending(world, phone) {
        all.push(summary(&read(&request)));
        acknowledge(world, phone, id);
    }
    all
}

const OUT: bool = true;
const IN: bool = false;

#[test]
fn a_colleague_sees_a_call_begin_ring_run_and_end() {
    let mut world = World::new();
    let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    assert_eq!(watch(&mut world, cleo, "1002", 600).unwrap().headers.expires(), Some(600));
    let (id, first) = pending(&mut world, cleo).unwrap();
    assert_eq!(read(&first).entity, "sip:1002@example.org");
    assert_eq!(summary(&read(&first)), (0, true, vec![]));
    assert!(first.headers.get("Subscription-State").unwrap().starts_with("active;expires="));
    acknowledge(&mut world, cleo, id);

    let session = world.call(anna, "ben");
    assert_eq!(told(&mut world, cleo), [(1, false, vec![(IN, DialogState::Trying)])]);
    let ringing = world.rings(ben);
    assert_eq!(told(&mut world, cleo), [(2, false, vec![(IN, DialogState::Early)])]);
    world.answer(ben, ringing);
    assert_eq!(told(&mut world, cleo), [(3, false, vec![(IN, DialogState::Confirmed)])]);
    world.hang_up(anna, session);
    assert_eq!(told(&mut world, cleo), [(4, false, vec![(IN, DialogState::Terminated)])]);
    world.wait(30.0);
    assert_eq!(told(&mut world, cleo), []);
}

#[test]
fn who_calls_is_busy_too_and_a_mailbox_is_not() {
    let mut world = World::new();
    let [anna, cleo] = [("anna", 11), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    for name in ["anna", "ben"] {
        watch(&mut world, cleo, name, 600).unwrap();
    }
    assert_eq!(told(&mut world, cleo).len(), 2);
    // Ben has no phone: his mailbox answers.
    let session = world.call(anna, "ben");
    let states: Vec<_> = told(&mut world, cleo).into_iter().flat_map(|(_, _, dialogs)| dialogs).collect();
    assert_eq!(states.last(), Some(&(OUT, DialogState::Confirmed)));
    assert!(states.iter().all(|(is_initiator, _)| *is_initiator == OUT), "nothing of Ben's: {states:?}");
    world.hang_up(anna, session);
    assert_eq!(told(&mut world, cleo).pop().unwrap().2, [(OUT, DialogState::Terminated)]);
}

#[test]
fn with_whom_somebody_talks_is_their_own_business() {
    let mut world = World::new();
    let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    watch(&mut world, cleo, "ben", 600).unwrap();
    watch(&mut world, ben, "ben", 600).unwrap();
    let (cleos, bens) = (told(&mut world, cleo), told(&mut world, ben));
    assert_eq!((cleos.len(), bens.len()), (1, 1));
    world.call(anna, "ben");
    let remote = |world: &mut World, phone| read(&pending(world, phone).unwrap().1).dialogs.remove(0).remote;
    assert_eq!(remote(&mut world, cleo), None);
    assert_eq!(remote(&mut world, ben).unwrap().identity, "sip:1001@example.org");
}

/// What is said while an earlier NOTIFY is under way may be left out, so nothing may depend on it.
#[test]
fn a_slow_phone_gets_the_whole_state() {
    let mut world = World::new();
    let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    watch(&mut world, cleo, "ben", 600).unwrap();
    let (first, _) = pending(&mut world, cleo).unwrap();
    world.call(anna, "ben");
    let ringing = world.rings(ben);
    world.answer(ben, ringing);
    assert!(pending(&mut world, cleo).is_none());
    acknowledge(&mut world, cleo, first);
    assert_eq!(told(&mut world, cleo), [(3, true, vec![(IN, DialogState::Confirmed)])]);
    world.hang_up(ben, ringing);
    assert_eq!(told(&mut world, cleo), [(4, false, vec![(IN, DialogState::Terminated)])]);
}

#[test]
fn a_refresh_tells_everything_again_and_an_end_is_confirmed() {
    let mut world = World::new();
    let [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    let granted = watch(&mut world, cleo, "ben", 600).unwrap();
    told(&mut world, cleo);
    world.call(anna, "ben");
    let ringing = world.rings(ben);
    assert_eq!(told(&mut world, cleo).len(), 2);
    world.wait(2.0);
    for (expires, expected) in [(300, vec![(3, true, vec![(IN, DialogState::Early)])]), (0, vec![])] {
        let mut refresh = request(&world, cleo, "cleo", "ben", expires);
        (refresh.from, refresh.to) = (granted.headers.from().unwrap(), granted.headers.to().unwrap());
        refresh.call_id = Some(granted.headers.call_id().unwrap().to_owned());
        refresh.uri = granted.headers.contact().unwrap().uri;
        assert_eq!(status_of(&world.request(cleo, refresh)), 200);
        if expires == 0 {
            let (_, last) = pending(&mut world, cleo).unwrap();
            assert_eq!(last.headers.get("Subscription-State"), Some("terminated;reason=timeout"));
        } else {
            assert_eq!(told(&mut world, cleo), expected);
        }
    }
    world.answer(ben, ringing);
    assert!(pending(&mut world, cleo).is_none());
}

#[test]
fn one_look_is_enough_for_who_asks_for_no_time() {
    let mut world = World::new();
    let cleo = world.registered("cleo", 13);
    watch(&mut world, cleo, "ben", 0).unwrap();
    let (_, request) = pending(&mut world, cleo).unwrap();
    assert!(request.headers.get("Subscription-State").unwrap().starts_with("terminated"));
    assert_eq!(summary(&read(&request)), (0, true, vec![]));
}

#[test]
fn only_people_of_the_account_and_believed_peers_watch() {
    let mut world = World::with(|config| config.trusted = vec!["10.9.9.0/24".parse().unwrap()]);
    let anna = world.registered("anna", 11);
    assert_eq!(status_of(&watch(&mut world, anna, "nobody", 600)), 404);
    let as_ben = request(&world, anna, "ben", "cleo", 600);
    assert_eq!(status_of(&world.request(anna, as_ben)), 403);
    let mallory = world.phone_at("mallory", "203.0.113.9:5060");
    for name in ["anna", "nobody"] {
        assert_eq!(status_of(&watch(&mut world, mallory, name, 600)), 401, "{name}");
    }
    let peer = world.phone_at("exchange", "10.9.9.1:5060");
    assert_eq!(status_of(&watch(&mut world, peer, "anna", 600)), 200);
    let mut picky = request(&world, anna, "anna", "ben", 600);
    picky.headers.push("Accept", "application/pidf+xml");
    assert_eq!(status_of(&world.request(anna, picky)), 406);
}

#[test]
fn a_lamp_goes_out_with_its_time_its_owner_or_whom_it_shows() {
    let mut world = World::new();
    let [anna, ben] = [("anna", 11), ("ben", 12)].map(|(name, host)| world.registered(name, host));
    watch(&mut world, anna, "cleo", 60).unwrap();
    watch(&mut world, anna, "cleo", 600).unwrap();
    watch(&mut world, ben, "anna", 600).unwrap();
    assert_eq!((told(&mut world, anna).len(), told(&mut world, ben).len()), (2, 1));
    let end = |world: &mut World, phone| {
        pending(world, phone).map(|(_, last)| last.headers.get("Subscription-State").unwrap().to_owned())
    };
    world.wait(61.0);
    assert_eq!(end(&mut world, anna).as_deref(), Some("terminated;reason=timeout"));
    world.exchange.handle_directory(Directory::new(["anna", "ben"].map(person)), world.now);
    world.settle();
    assert_eq!(end(&mut world, anna).as_deref(), Some("terminated;reason=noresource"));
    world.exchange.hang_up_all(world.now);
    world.settle();
    assert_eq!(end(&mut world, ben).as_deref(), Some("terminated;reason=deactivated"));
}

/// What a phone that watches learns of a restart: of an orderly one at once (RFC 6665 section 4.1.3), so that it comes back
/// by itself; of any other by its next refresh. Both lamps the same.
#[test]
fn a_restart_is_told_to_who_watches() {
    for is_orderly in [true, false] {
        let mut world = World::new();
        let anna = world.registered("anna", 11);
        let mut subscriptions = Vec::new();
        for (event, whose) in [(dialog_info::EVENT, "ben"), (mwi::EVENT, "anna")] {
            let mut asked = request(&world, anna, "anna", whose, 600);
            asked.headers.set("Event", event);
            let call_id = format!("{event}-anna");
            asked.call_id = Some(call_id.clone());
            asked.from.params.set("tag", Some("mine"));
            let granted = world.request(anna, asked.clone()).unwrap();
            world.wait(1.0);
            let (id, _) = pending(&mut world, anna).unwrap();
            acknowledge(&mut world, anna, id);
            subscriptions.push(OutgoingRequest { to: granted.headers.to().unwrap(), ..asked });
        }
        if is_orderly {
            world.exchange.hang_up_all(world.now);
            world.settle();
            let last = |world: &mut World| {
                pending(world, anna).map(|(_, last)| last.headers.get("Subscription-State").unwrap().to_owned())
            };
            assert_eq!([last(&mut world), last(&mut world)], [(); 2].map(|()| Some("terminated;reason=deactivated".to_owned())));
        }
        world.exchange = Exchange::new(ExchangeConfig::new(DOMAIN, [8; 32]));
        world.exchange.handle_directory(Directory::new(["anna", "ben", "cleo"].map(person)), world.now);
        for refresh in &subscriptions {
            assert_eq!(status_of(&world.request(anna, refresh.clone())), 481);
        }
        assert_eq!(watch(&mut world, anna, "ben", 600).unwrap().status, 200, "and subscribes anew");
        assert_eq!(told(&mut world, anna), [(0, true, vec![])]);
    }
}

/// The dialog of a document as whoever gets the INVITE has to look for it (RFC 3891 section 3).
fn replaces(info: &DialogInfo) -> Option<Replaces> {
    let dialog = info.dialogs.first()?;
    let (to_tag, from_tag) = (dialog.remote_tag.clone()?, dialog.local_tag.clone()?);
    Some(Replaces { call_id: dialog.call_id.clone()?, to_tag, from_tag, early_only: false })
}

/// Ben's phone rings; what Cleo's lamp says of it, and the sessions of Anna and Ben.
fn ringing_at_ben(world: &mut World, [anna, ben, cleo]: [PhoneId; 3]) -> (Replaces, SessionId, SessionId) {
    watch(world, cleo, "ben", 600).unwrap();
    told(world, cleo);
    let annas = world.call(anna, "ben");
    told(world, cleo);
    let bens = world.rings(ben);
    let (id, request) = pending(world, cleo).unwrap();
    acknowledge(world, cleo, id);
    (replaces(&read(&request)).unwrap(), annas, bens)
}

#[test]
fn a_colleague_picks_up_a_call_that_rings() {
    let mut world = World::new();
    let phones @ [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    let (dialog, annas, bens) = ringing_at_ben(&mut world, phones);
    let cleos = world.replaces_call(cleo, "ben", &dialog);
    assert_eq!(world.story(ben, bens), ["cancelled (SIP;cause=200;text=\"Call completed elsewhere\")"]);
    assert_eq!((world.story(cleo, cleos).pop().unwrap(), world.story(anna, annas).pop().unwrap()), ("200".into(), "200".into()));
    assert_eq!(world.plane.bridges.len(), 1);
    world.hang_up(cleo, cleos);
    assert!(world.story(anna, annas).pop().unwrap().starts_with("ended"));
    let ends = ["ben", "cleo"].map(|name| world.log_of(name)[0].end);
    assert_eq!(ends, [EndReason::AnsweredElsewhere, EndReason::LocalHangup]);
    world.check_clean();
}

#[test]
fn nobody_takes_a_running_call_from_a_colleague() {
    let mut world = World::new();
    let phones @ [anna, ben, cleo] = [("anna", 11), ("ben", 12), ("cleo", 13)].map(|(name, host)| world.registered(name, host));
    let (dialog, annas, bens) = ringing_at_ben(&mut world, phones);
    world.answer(ben, bens);
    let (_, request) = pending(&mut world, cleo).unwrap();
    assert_eq!(replaces(&read(&request)), None, "what runs is no colleague's business");
    let cleos = world.replaces_call(cleo, "ben", &dialog);
    assert_eq!(world.story(cleo, cleos), ["403"]);
    world.hang_up(anna, annas);
    let late = world.replaces_call(cleo, "ben", &dialog);
    assert_eq!(world.story(cleo, late), ["481"]);
    world.check_clean();
}

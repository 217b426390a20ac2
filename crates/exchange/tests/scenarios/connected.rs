//! Connected lines: who is at the other end by now.

use aftertone_model::EndReason;
use aftertone_sip::{Event, Headers, SessionId, Uri};

use crate::{
    trunks::{contact_of, plan},
    world::{DOMAIN, PhoneId, World},
};

impl World {
    /// A party says who it is now, with or without describing itself anew.
    fn says_who(&mut self, phone: PhoneId, session: SessionId, headers: Headers, describes: bool) {
        let now = self.now.mono;
        let phone = &mut self.phones[phone.0];
        let sdp = describes.then(|| phone.sdp());
        phone.ua.update(session, sdp, headers, now);
        self.settle();
    }

    /// What a party was told of who is at the other end: P-Asserted-Identity and Privacy.
    fn told_who(&mut self, phone: PhoneId) -> Vec<(String, Option<String>)> {
        let events = std::mem::take(&mut self.phones[phone.0].events);
        let value = |headers: &Headers, name: &str| headers.get(name).map(str::to_owned);
        let told = |headers: &Headers| Some((value(headers, "P-Asserted-Identity")?, value(headers, "Privacy")));
        let of = |event: &Event| match event {
            Event::Updated { request, .. } => told(&request.headers),
            Event::Answered { response, .. } => told(&response.headers),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    }
}

fn asserting(identity: &str) -> Headers {
    Headers::new().with("P-Asserted-Identity", identity)
}

const ZOE: &str = "<sip:+4930555123@provider.example>";
const YAN: &str = "\"Yan\" <sip:030999@provider.example>";

#[test]
fn who_takes_over_outside_is_shown_on_the_phone_inside() {
    let (mut world, provider) = World::with_provider();
    let (contact, anna) = (contact_of(&world), world.registered("anna", 11));
    let call = world.provider_calls(provider, &contact, "+49301001", ZOE);
    let leg = world.rings(anna);
    world.answer(anna, leg);
    // The same again, as in each refresh, is no news.
    world.says_who(provider, call, asserting(ZOE), false);
    assert_eq!(world.told_who(anna), []);
    world.says_who(provider, call, asserting(YAN), false);
    let yan = ("\"Yan\" <sip:+4930999@example.org>".to_owned(), None);
    assert_eq!(world.told_who(anna), [yan], "as she can call them back");
    world.says_who(provider, call, asserting(YAN), true);
    assert_eq!(world.told_who(anna), []);
    // With a new description, in the older way, and withheld.
    world.says_who(provider, call, Headers::new().with("Remote-Party-ID", format!("{ZOE};party=calling")), true);
    assert_eq!(world.told_who(anna), [("<sip:+4930555123@example.org>".to_owned(), None)]);
    world.says_who(provider, call, asserting(YAN).with("Privacy", "id"), false);
    let nobody = "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
    assert_eq!(world.told_who(anna), [(nobody, Some("id".to_owned()))]);
    world.hang_up(provider, call);
    let log = world.log_of("anna");
    assert_eq!((log[0].party.number.as_str(), log[0].end), ("+4930555123", EndReason::RemoteHangup), "who called, called");
    world.check_clean();
}

#[test]
fn who_has_answered_outside_is_shown() {
    let (mut world, provider) = World::with_provider();
    let anna = world.registered("anna", 11);
    let call = world.call(anna, "030555123");
    let leg = world.rings(provider);
    world.answer(provider, leg);
    world.says_who(provider, leg, asserting(ZOE), false);
    assert_eq!(world.told_who(anna), [], "it is whom she has dialled");
    world.says_who(provider, leg, asserting(YAN), false);
    assert_eq!(world.told_who(anna), [("\"Yan\" <sip:+4930999@example.org>".to_owned(), None)]);
    world.hang_up(anna, call);
    assert_eq!(world.log_of("anna")[0].party.number, "+4930555123", "what she has dialled");
    world.check_clean();
}

#[test]
fn an_exchange_in_front_says_who_has_taken_over_there() {
    let mut world = World::with(|config| {
        plan(config);
        config.trusted = vec!["192.0.2.9".parse().unwrap()];
    });
    let (pbx, anna) = (world.phone_at("pbx", "192.0.2.9:5060"), world.registered("anna", 11));
    let call = world.call_as(pbx, "<sip:030777@pbx.example>".parse().unwrap(), Uri::sip("anna", DOMAIN));
    let leg = world.rings(anna);
    world.answer(anna, leg);
    world.says_who(pbx, call, asserting("<sip:030777@pbx.example>"), false);
    assert_eq!(world.told_who(anna), [], "it is who called");
    world.says_who(pbx, call, asserting("\"Yan\" <sip:4711@pbx.example>"), true);
    assert_eq!(world.told_who(anna), [("\"Yan\" <sip:4711@example.org>".to_owned(), None)]);
    world.hang_up(anna, leg);
    world.check_clean();
}

#[test]
fn a_phone_of_ours_is_who_it_has_shown_to_be() {
    let mut world = World::new();
    let (anna, ben) = (world.registered("anna", 11), world.registered("ben", 12));
    let call = world.call(anna, "ben");
    let leg = world.rings(ben);
    world.answer(ben, leg);
    world.says_who(anna, call, asserting(YAN), false);
    world.says_who(ben, leg, asserting(YAN), true);
    assert_eq!((world.told_who(anna), world.told_who(ben)), (vec![], vec![]));
    world.hang_up(anna, call);
    world.check_clean();
}

#[test]
fn why_somebody_hangs_up_is_told_to_the_other_side() {
    let (mut world, provider) = World::with_provider();
    let (contact, anna) = (contact_of(&world), world.registered("anna", 11));
    let reason = "Q.850;cause=31;text=\"Normal, unspecified\"";
    let bye = |world: &World, to: PhoneId| {
        let at = world.phones[to.0].flow.local;
        let (_, text) = world.sent.iter().rfind(|(remote, text)| *remote == at && text.starts_with("BYE")).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("Reason: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    for by_caller in [true, false] {
        let call = world.provider_calls(provider, &contact, "+49301001", ZOE);
        let leg = world.rings(anna);
        world.answer(anna, leg);
        let (from, session, to) = if by_caller { (provider, call, anna) } else { (anna, leg, provider) };
        let now = world.now.mono;
        let headers = Headers::new().with("Reason", reason).with("Reason", "SIP;cause=200").with("X-Secret", "x");
        world.phones[from.0].ua.hang_up(session, headers, now);
        world.settle();
        assert_eq!(bye(&world, to), [reason, "SIP;cause=200"]);
        world.wait(1.0);
    }
    // Who says nothing has said nothing.
    let call = world.provider_calls(provider, &contact, "+49301001", ZOE);
    let leg = world.rings(anna);
    world.answer(anna, leg);
    world.hang_up(provider, call);
    assert!(bye(&world, anna).is_empty());
    world.check_clean();
}

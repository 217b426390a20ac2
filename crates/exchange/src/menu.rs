//! The phone menu's number, and calls that are made out of it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use aftertone_model::{CallId, Language, Now, SubscriberId};
use aftertone_sip::{Flow, Request, ResponseParts};

use crate::{
    Exchange, LegId, MediaCommand, MenuAccess, MenuCaller, MenuOrder, Sound,
    call::{Call, Called, Partner, State, Tally},
    incoming::Sender,
    party,
};

/// Who came to the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Somebody on a device of their own, who has shown that it is theirs.
    Owner(SubscriberId),
    /// Anybody, who has to enter mailbox and PIN.
    Anybody,
}

impl Exchange {
    /// Whether the menu is called: by its own number (`own`) or by that of mailboxes.
    pub(crate) fn menu_number(&self, request: &Request, sender: Sender, flow: Flow) -> Option<bool> {
        let is = |number: &str| self.names_menu(number);
        match sender {
            // A number of the trunk may stand for it.
            Sender::Trunk(line) => self.trunk_meaning(line, request, is),
            Sender::Person(_) | Sender::Trusted | Sender::Stranger => {
                is(&request.uri.user()?).filter(|_| self.is_local(&request.uri, flow))
            }
        }
    }

    /// The menu's own number (`true`), or that of mailboxes.
    pub(crate) fn names_menu(&self, number: &str) -> Option<bool> {
        let plan = &self.config.dial_plan;
        let own = plan.menu_number.as_deref() == Some(number);
        (own || plan.mailbox_number.as_deref() == Some(number)).then_some(own)
    }

    /// Who may do without a PIN: never by a caller's number, but by credentials or a device's connection.
    pub(crate) fn visitor(own: bool, sender: Sender) -> Visitor {
        match sender {
            Sender::Person(identity) if own => Visitor::Owner(identity.person),
            Sender::Person(_) | Sender::Trusted | Sender::Trunk(_) | Sender::Stranger => Visitor::Anybody,
        }
    }

    pub(crate) fn menu_order(&self, call: &Call, visitor: Visitor) -> MenuOrder {
        let access = match visitor {
            Visitor::Owner(person) => MenuAccess::Device(person),
            Visitor::Anybody => MenuAccess::Anybody,
        };
        let person = call.origin.and_then(|person| self.directory.person(person));
        let language = person.map_or_else(|| self.usual_language(), |person| person.subscriber.language);
        MenuOrder { access, language, caller: who(call) }
    }

    /// The way from the greeting of a mailbox into its menu.
    pub(crate) fn menu_of_mailbox(&self, call: &Call) -> Option<MenuOrder> {
        let plan = &self.config.dial_plan;
        let callee = call.callee().filter(|_| plan.menu_number.is_some() || plan.mailbox_number.is_some())?;
        let access = MenuAccess::Mailbox(callee.extension.clone());
        Some(MenuOrder { access, language: callee.language, caller: who(call) })
    }

    /// The language that most people of the account have.
    fn usual_language(&self) -> Language {
        let count = |language| self.directory.people().filter(|person| person.subscriber.language == language).count();
        if count(Language::De) > count(Language::En) { Language::De } else { Language::En }
    }

    /// Whoever listens in the menu calls somebody: the call goes on without the menu, in the name of the mailbox's owner.
    pub(crate) fn dial_from_menu(&mut self, leg: LegId, owner: SubscriberId, number: &str, now: Now) {
        let found = self.leg_calls.get(&leg).copied();
        let person = self.directory.person(owner).map(|person| person.subscriber.clone());
        let taken = found.zip(person).and_then(|(id, person)| Some((id, person, self.called_from_menu(id, owner, number).ok()?)));
        self.command(MediaCommand::Dialled { leg, taken: taken.is_some() });
        let Some((id, person, called)) = taken else { return };
        let party = party::person(&person);
        let shown = party::address(&party, &party::anonymous(), &self.config.domain);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.by_pin = !is_own_device(call, owner);
        (call.party, call.shown, call.origin) = (party, shown, Some(owner));
        (call.called, call.state, call.tally) = (called, State::Ringing, Tally::default());
        (call.legs, call.started_at, call.caller.is_answered) = (BTreeMap::new(), now.wall, true);
        self.command(MediaCommand::Play { leg, sound: Sound::RingBack, repeat: true });
        self.begin(id, None, now);
    }

    /// Extensions are open to whoever opened the mailbox. Numbers of the outside are open with the owner's own rights from their
    /// own device, and from any other phone only where that is allowed on top: a PIN must not be worth money.
    fn called_from_menu(&self, id: CallId, owner: SubscriberId, number: &str) -> Result<Called, ResponseParts> {
        let refused = || ResponseParts::new(403);
        let call = self.calls.get(&id).ok_or_else(refused)?;
        if !matches!(call.state, State::Running(Partner::Mailbox { .. })) {
            return Err(refused());
        }
        if let Some(person) = self.directory.find(number) {
            return Ok(Called::Person(Box::new(person.subscriber.clone())));
        }
        let may = is_own_device(call, owner) || self.directory.person(owner).is_some_and(|person| person.dials_from_menu);
        let plan = &self.config.dial_plan;
        // The number is a caller's word, and may have been left to be called.
        let number = plan.number(number).filter(|_| may).ok_or_else(refused)?;
        Ok(Called::Outside(self.way_back(owner, number)?))
    }
}

fn is_own_device(call: &Call, owner: SubscriberId) -> bool {
    matches!(call.called, Called::Menu(Visitor::Owner(person)) if person == owner)
}

/// Who tries PINs. Of a caller whom nobody vouches for only the address counts, of our people only whom they have proved to be;
/// a number is somebody else's with each trunk or peer that says it.
fn who(call: &Call) -> MenuCaller {
    if let Some(address) = call.stranger {
        return MenuCaller::Known(format!("address {}", network(address)));
    }
    if let Some(person) = call.origin.filter(|_| call.is_proven) {
        return MenuCaller::Known(format!("person {person}"));
    }
    let way = match call.caller.line {
        Some(line) => format!("trunk {}", line.0),
        None => format!("peer {}", network(call.caller.flow.remote.ip())),
    };
    if call.party.number.is_empty() {
        MenuCaller::Nameless(way)
    } else {
        MenuCaller::Known(format!("{} by {way}", call.party.number))
    }
}

/// What one subscriber of a network has: an address of IPv4, or 64 bits of one of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

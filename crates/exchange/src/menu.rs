//! The phone menu's number, and calls that are made out of it.

use std::collections::BTreeMap;

use aftertone_model::{CallId, Language, Now, SubscriberId};
use aftertone_sip::{Flow, Request, ResponseParts};

use crate::{
    Exchange, LegId, MediaCommand, MenuAccess, MenuOrder, Sound,
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
        let plan = &self.config.dial_plan;
        let is = |number: &str| {
            let own = plan.menu_number.as_deref() == Some(number);
            (own || plan.mailbox_number.as_deref() == Some(number)).then_some(own)
        };
        match sender {
            // A number of the trunk may stand for it.
            Sender::Trunk(line) => self.trunk_meaning(line, request, is),
            Sender::Person(_) | Sender::Trusted | Sender::Stranger => {
                is(&request.uri.user()?).filter(|_| self.is_local(&request.uri, flow))
            }
        }
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
        let number = plan.number(number).filter(|number| may && !plan.costs_extra(number)).ok_or_else(refused)?;
        Ok(Called::Outside(self.way_out(owner, number)?))
    }
}

fn is_own_device(call: &Call, owner: SubscriberId) -> bool {
    matches!(call.called, Called::Menu(Visitor::Owner(person)) if person == owner)
}

/// Who tries PINs: an address that nobody vouches for, a number, or one of our people who shows none.
fn who(call: &Call) -> Option<String> {
    let number = Some(&call.party.number).filter(|number| !number.is_empty());
    let address = call.stranger.map(|address| address.to_string());
    address.or_else(|| number.cloned()).or_else(|| call.origin.map(|person| person.to_string()))
}

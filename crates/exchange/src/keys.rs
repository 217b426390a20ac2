//! Where callers are led from a greeting by a key: to a colleague, to a colleague's mailbox, or to a number of the outside.

use std::collections::BTreeMap;

use aftertone_media::dtmf::Digit;
use aftertone_model::{KeyTarget, Now, Reason, Subscriber, SubscriberId};

use crate::{
    Exchange, KeyOrder, LegId, MediaCommand, Sound,
    call::{Called, Forward, Outside, Partner, RING_OUTSIDE, State, Tally},
    dialplan::Reach,
    ended::End,
    timers::Timer,
};

/// Whom a key leads to.
enum Lead {
    Person { person: Box<Subscriber>, direct: Option<Reason> },
    Outside(Outside),
}

impl Exchange {
    /// The keys of a mailbox, without those that lead nowhere now.
    pub(crate) fn keys_of(&self, owner: SubscriberId) -> BTreeMap<Digit, KeyOrder> {
        let Some(person) = self.directory.person(owner) else { return BTreeMap::new() };
        let order = |target: &KeyTarget| match target {
            KeyTarget::Announcement { greeting } => {
                person.greetings.get(greeting).map(|file| KeyOrder::Announce(Sound::File(file.clone())))
            }
            KeyTarget::Person { .. } | KeyTarget::Mailbox { .. } | KeyTarget::Number { .. } => {
                self.lead_of(owner, target).map(|_| KeyOrder::Leave)
            }
        };
        let keys = person.answering.plan.keys.iter();
        keys.filter_map(|key| Some((Digit::from_char(key.key)?, order(&key.target)?))).collect()
    }

    /// Numbers of the outside are open with the rights of the mailbox's owner, who pays; never those that cost extra, and never an
    /// emergency's, for whom others call is no reason to send help.
    fn lead_of(&self, owner: SubscriberId, target: &KeyTarget) -> Option<Lead> {
        let colleague = |extension: &str| {
            let person = &self.directory.find(extension)?.subscriber;
            (person.id != owner).then(|| Box::new(person.clone()))
        };
        match target {
            KeyTarget::Person { extension } => Some(Lead::Person { person: colleague(extension)?, direct: None }),
            KeyTarget::Mailbox { extension } => {
                Some(Lead::Person { person: colleague(extension)?, direct: Some(Reason::Direct) })
            }
            KeyTarget::Number { number } => {
                let plan = &self.config.dial_plan;
                let may = |number: &crate::dialplan::Number| number.reach != Reach::Emergency && !plan.costs_extra(number);
                Some(Lead::Outside(self.way_out(owner, plan.number(number).filter(may)?).ok()?))
            }
            KeyTarget::Announcement { .. } => None,
        }
    }

    /// A caller has left the mailbox by a key. Where that leads nowhere any more, there is nothing to wait for.
    pub(crate) fn lead_away(&mut self, leg: LegId, digit: Digit, now: Now) {
        let Some(id) = self.leg_calls.get(&leg).copied() else { return };
        let Some(call) = self.calls.get(&id).filter(|call| matches!(call.state, State::Running(Partner::Mailbox { .. }))) else {
            return;
        };
        let owner = call.callee().map(|callee| callee.id);
        let lead = owner.and_then(|owner| {
            let keys = &self.directory.person(owner)?.answering.plan.keys;
            let key = keys.iter().find(|key| Digit::from_char(key.key) == Some(digit))?;
            Some((owner, self.lead_of(owner, &key.target)?))
        });
        let Some((owner, lead)) = lead else { return self.finish(id, End::DepositOver, now) };
        let Some(call) = self.calls.get_mut(&id) else { return };
        // The deposit has logged the call for its owner, with the message if there is one.
        call.logged.insert(owner);
        (call.state, call.tally, call.forward) = (State::Ringing, Tally::default(), None);
        (call.legs, call.caller.is_answered) = (BTreeMap::new(), true);
        let ringing = MediaCommand::Play { leg, sound: Sound::RingBack, repeat: true };
        match lead {
            Lead::Person { person, direct } => {
                // Nobody rings themselves.
                let direct = direct.or((call.origin == Some(person.id)).then_some(Reason::Direct));
                (call.called, call.started_at) = (Called::Person(person), now.wall);
                self.command(ringing);
                self.begin(id, direct, now);
            }
            // As if the owner's phone had forwarded it: their mailbox takes the caller back if nobody answers.
            Lead::Outside(outside) => {
                call.forward = Some(Forward { by: owner, outside, reason: "deflection".to_owned() });
                self.command(ringing);
                self.timers.set(now.mono + RING_OUTSIDE, Timer::RingTime(id));
                self.dial_out(id, now);
            }
        }
    }
}

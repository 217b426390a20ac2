//! How a person's plan answers a call.

use std::time::Duration;

use aftertone_model::{Now, Reason, SubscriberId};
use aftertone_rules::{Action, Occasion, greeting, limit, screening};

use crate::{Exchange, Sound, call::Call};

/// The longest message of who didn't say.
const USUAL_MESSAGE: Duration = Duration::from_secs(300);

impl Exchange {
    /// Whether the call rings, and how long.
    pub(crate) fn screened(&self, call: &Call, owner: SubscriberId, ring: Duration, now: Now) -> Action {
        let Some(person) = self.directory.person(owner) else { return Action::Ring(ring) };
        screening(&person.answering, &occasion(call, now), person.do_not_disturb, ring).action
    }

    /// What the caller hears before the beep, and how long they may speak.
    pub(crate) fn answer_of(&self, call: &Call, owner: SubscriberId, reason: Reason, now: Now) -> (Option<Sound>, Duration) {
        let most = self.config.longest_message;
        let Some(person) = self.directory.person(owner) else { return (None, USUAL_MESSAGE.min(most)) };
        let chosen = greeting(&person.answering, &occasion(call, now), reason).greeting;
        let file = chosen.and_then(|greeting| person.greetings.get(&greeting));
        (file.cloned().map(Sound::File), limit(&person.answering.plan, USUAL_MESSAGE, most))
    }

    /// The owner's name in their own voice, where they have recorded it.
    pub(crate) fn spoken_name_of(&self, owner: SubscriberId) -> Option<Sound> {
        self.directory.person(owner)?.spoken_name.clone().map(Sound::File)
    }

    /// Whose mailbox a number stands for, which takes messages without ringing.
    pub(crate) fn live_mailbox(&self, number: &str) -> Option<SubscriberId> {
        let plan = &self.config.dial_plan;
        let by_prefix = plan.mailbox_prefix.as_deref().and_then(|prefix| number.strip_prefix(prefix));
        let name = by_prefix.or_else(|| plan.mailbox_numbers.get(number).map(String::as_str))?;
        Some(self.directory.find(name)?.subscriber.id)
    }
}

fn occasion(call: &Call, now: Now) -> Occasion<'_> {
    Occasion { at: now.wall, number: &call.party.number, internal: call.origin.is_some() }
}

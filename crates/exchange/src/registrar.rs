//! Bindings: where a person's devices can be reached (RFC 3261 section 10).

use std::{collections::BTreeMap, time::Instant};

use aftertone_model::{DeviceId, SubscriberId};
use aftertone_sip::{ConnectionId, Flow, Uri};

use crate::Directory;

/// One device's contact.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) device: DeviceId,
    /// A phone that is not ours, authenticated by digest; otherwise a device of ours, by its connection.
    pub(crate) is_phone: bool,
    pub(crate) contact: Uri,
    /// Where requests to it go: the connection it registered over, or its address.
    pub(crate) flow: Flow,
    /// RFC 5626 section 4.1: `+sip.instance`.
    pub(crate) instance: Option<String>,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) expires_at: Instant,
}

impl Binding {
    /// Whether `new` stands for the same thing: the same contact, the same instance, or the same device of ours. A device of
    /// ours is one program, so an older connection of it is dead, whether we have noticed or not.
    fn is_replaced_by(&self, new: &Self) -> bool {
        let same_instance = self.instance.is_some() && self.instance == new.instance && self.device == new.device;
        let same_program = !self.is_phone && self.device == new.device;
        same_instance || same_program || self.contact.is_equivalent(&new.contact)
    }
}

/// All bindings of the account.
#[derive(Debug, Default)]
pub(crate) struct Bindings(BTreeMap<SubscriberId, Vec<Binding>>);

impl Bindings {
    pub(crate) fn of(&self, owner: SubscriberId) -> &[Binding] {
        self.0.get(&owner).map_or(&[], Vec::as_slice)
    }

    /// Adds or refreshes; whether the set of devices' contacts changed.
    pub(crate) fn put(&mut self, owner: SubscriberId, new: Binding) -> bool {
        let bindings = self.0.entry(owner).or_default();
        let known = bindings.iter().any(|old| old.contact == new.contact && old.flow == new.flow);
        let before = bindings.len();
        bindings.retain(|old| !old.is_replaced_by(&new));
        bindings.push(new);
        !known || bindings.len() != before
    }

    /// Removes those of `owner` that match; whether there were any.
    pub(crate) fn remove(&mut self, owner: SubscriberId, matches: impl Fn(&Binding) -> bool) -> bool {
        let Some(bindings) = self.0.get_mut(&owner) else { return false };
        let before = bindings.len();
        bindings.retain(|binding| !matches(binding));
        let changed = bindings.len() != before;
        if bindings.is_empty() {
            self.0.remove(&owner);
        }
        changed
    }

    /// Removes everybody's that are over at `now`; whose changed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<SubscriberId> {
        self.sweep(|_, binding| binding.expires_at <= now)
    }

    /// Removes those over a connection; whose changed.
    pub(crate) fn drop_connection(&mut self, connection: ConnectionId) -> Vec<SubscriberId> {
        self.sweep(|_, binding| binding.flow.connection == Some(connection))
    }

    /// Removes those of people and phones that are gone; whose changed.
    pub(crate) fn keep_known(&mut self, directory: &Directory) -> Vec<SubscriberId> {
        let is_known = |owner, binding: &Binding| {
            if binding.is_phone { directory.has_phone(owner, binding.device) } else { directory.person(owner).is_some() }
        };
        self.sweep(|owner, binding| !is_known(owner, binding))
    }

    fn sweep(&mut self, is_over: impl Fn(SubscriberId, &Binding) -> bool) -> Vec<SubscriberId> {
        let owners: Vec<_> = self.0.keys().copied().collect();
        owners.into_iter().filter(|owner| self.remove(*owner, |binding| is_over(*owner, binding))).collect()
    }
}

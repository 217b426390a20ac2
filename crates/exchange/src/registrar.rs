//! Bindings: where a person's devices can be reached (RFC 3261 section 10).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftertone_model::{DeviceId, Now, SubscriberId, Timestamp};
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
    /// RFC 5626 section 4.2: which of an instance's flows.
    pub(crate) reg_id: Option<u32>,
    /// RFC 3327: the proxies on the way to it, first to last.
    pub(crate) path: Vec<String>,
    /// It takes MESSAGE.
    pub(crate) takes_texts: bool,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) expires_at: Instant,
}

impl Binding {
    /// Whether `new` stands for the same thing: the same contact, the same instance, or the same device of ours. A device of
    /// ours is one program, so an older connection of it is dead, whether we have noticed or not.
    fn is_replaced_by(&self, new: &Self) -> bool {
        let same_flow = self.reg_id == new.reg_id || new.reg_id.is_none();
        let same_instance = self.instance.is_some() && self.instance == new.instance && self.device == new.device && same_flow;
        let same_program = !self.is_phone && self.device == new.device;
        let other_flow = self.reg_id.is_some() && new.reg_id.is_some() && self.reg_id != new.reg_id;
        same_instance || same_program || (self.contact.is_equivalent(&new.contact) && !other_flow)
    }
}

/// A phone's binding as it is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedBinding {
    /// The phone.
    pub device: DeviceId,
    /// Its contact, a SIP URI.
    pub contact: String,
    /// Our end of the way to it.
    pub local: SocketAddr,
    /// Its end, or the next proxy's.
    pub remote: SocketAddr,
    /// `+sip.instance`, if it has one.
    pub instance: Option<String>,
    /// Which of an instance's flows.
    pub reg_id: Option<u32>,
    /// The proxies on the way.
    pub path: Vec<String>,
    /// Of its registration.
    pub call_id: String,
    /// Of its last REGISTER.
    pub cseq: u32,
    /// When it is over.
    pub expires_at: Timestamp,
}

impl SavedBinding {
    pub(crate) fn of(binding: &Binding, now: Now) -> Option<Self> {
        // A connection doesn't survive a restart, and devices of ours come back by themselves.
        if binding.flow.connection.is_some() || !binding.is_phone {
            return None;
        }
        let left = binding.expires_at.saturating_duration_since(now.mono);
        Some(Self {
            device: binding.device,
            contact: binding.contact.to_string(),
            local: binding.flow.local,
            remote: binding.flow.remote,
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            path: binding.path.clone(),
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            expires_at: now.wall.checked_add(left).ok()?,
        })
    }

    pub(crate) fn restored(self, now: Now) -> Option<Binding> {
        let left = Duration::try_from(self.expires_at.duration_since(now.wall)).ok().filter(|left| !left.is_zero())?;
        Some(Binding {
            device: self.device,
            is_phone: true,
            contact: self.contact.parse().ok()?,
            flow: Flow::udp(self.local, self.remote),
            instance: self.instance,
            reg_id: self.reg_id,
            path: self.path,
            // It may say no by itself, until it registers again.
            takes_texts: true,
            call_id: self.call_id,
            cseq: self.cseq,
            expires_at: now.mono + left,
        })
    }
}

/// All bindings of the account.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    by_owner: BTreeMap<SubscriberId, Vec<Binding>>,
    /// When somebody's next one is over.
    ends: BTreeSet<(Instant, SubscriberId)>,
    /// Whose hang on a connection.
    connections: BTreeSet<(ConnectionId, SubscriberId)>,
}

impl Bindings {
    pub(crate) fn of(&self, owner: SubscriberId) -> &[Binding] {
        self.by_owner.get(&owner).map_or(&[], Vec::as_slice)
    }

    /// Whether somebody's hang on this connection.
    pub(crate) fn holds(&self, connection: ConnectionId) -> bool {
        self.connections.range((connection, SubscriberId::from_random(0))..).next().is_some_and(|(id, _)| *id == connection)
    }

    /// The ways to all of them.
    pub(crate) fn flows(&self) -> impl Iterator<Item = Flow> {
        self.by_owner.values().flatten().map(|binding| binding.flow)
    }

    /// When the next one is over.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Where the person's devices are rung: of each device once, over its newest flow.
    pub(crate) fn to_ring(&self, owner: SubscriberId) -> Vec<Binding> {
        let bindings = self.of(owner);
        let is_newer = |older: &Binding, newer: &Binding| {
            older.instance.is_some() && older.reg_id.is_some() && older.instance == newer.instance && older.device == newer.device
        };
        let newest = |(at, binding): &(usize, &Binding)| !bindings[at + 1..].iter().any(|newer| is_newer(binding, newer));
        bindings.iter().enumerate().filter(newest).map(|(_, binding)| binding.clone()).collect()
    }

    /// Adds or refreshes; whether the set of devices' contacts changed.
    pub(crate) fn put(&mut self, owner: SubscriberId, new: Binding) -> bool {
        self.change(owner, |bindings| {
            let known = bindings.iter().any(|old| old.contact == new.contact && old.flow == new.flow && old.reg_id == new.reg_id);
            let before = bindings.len();
            bindings.retain(|old| !old.is_replaced_by(&new));
            bindings.push(new);
            !known || bindings.len() != before
        })
    }

    /// Removes those of `owner` that match; whether there were any.
    pub(crate) fn remove(&mut self, owner: SubscriberId, matches: impl Fn(&Binding) -> bool) -> bool {
        self.change(owner, |bindings| {
            let before = bindings.len();
            bindings.retain(|binding| !matches(binding));
            bindings.len() != before
        })
    }

    /// Removes everybody's that are over at `now`; whose changed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<SubscriberId> {
        let mut changed = Vec::new();
        while let Some((_, owner)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            if self.remove(owner, |binding| binding.expires_at <= now) {
                changed.push(owner);
            }
        }
        changed
    }

    /// Removes those over a connection; whose changed.
    pub(crate) fn drop_connection(&mut self, connection: ConnectionId) -> Vec<SubscriberId> {
        let all = (connection, SubscriberId::from_random(0))..;
        let owners: Vec<_> =
            self.connections.range(all).take_while(|(id, _)| *id == connection).map(|(_, owner)| *owner).collect();
        owners.into_iter().filter(|owner| self.remove(*owner, |binding| binding.flow.connection == Some(connection))).collect()
    }

    /// Removes those of people and phones that are gone; whose changed.
    pub(crate) fn keep_known(&mut self, directory: &Directory) -> Vec<SubscriberId> {
        let is_known = |owner, binding: &Binding| {
            if binding.is_phone { directory.has_phone(owner, binding.device) } else { directory.person(owner).is_some() }
        };
        let owners: Vec<_> = self.by_owner.keys().copied().collect();
        owners.into_iter().filter(|owner| self.remove(*owner, |binding| !is_known(*owner, binding))).collect()
    }

    /// The one place where somebody's bindings change.
    fn change<T>(&mut self, owner: SubscriberId, change: impl FnOnce(&mut Vec<Binding>) -> T) -> T {
        let bindings = self.by_owner.entry(owner).or_default();
        for binding in bindings.iter() {
            self.ends.remove(&(binding.expires_at, owner));
            binding.flow.connection.map(|connection| self.connections.remove(&(connection, owner)));
        }
        let result = change(bindings);
        for binding in bindings.iter() {
            self.ends.insert((binding.expires_at, owner));
            binding.flow.connection.map(|connection| self.connections.insert((connection, owner)));
        }
        if bindings.is_empty() {
            self.by_owner.remove(&owner);
        }
        result
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests; time has to begin somewhere")]
mod tests {
    use super::*;

    fn binding(device: u128, connection: Option<u64>, expires_at: Instant) -> Binding {
        let flow = Flow::udp("10.0.0.1:5060".parse().unwrap(), "10.0.0.2:5060".parse().unwrap());
        Binding {
            device: DeviceId::from_random(device),
            is_phone: true,
            contact: format!("sip:{device}@10.0.0.2").parse().unwrap(),
            flow: Flow { connection: connection.map(ConnectionId), ..flow },
            instance: None,
            reg_id: None,
            path: Vec::new(),
            takes_texts: false,
            call_id: String::new(),
            cseq: 1,
            expires_at,
        }
    }

    #[test]
    fn a_phone_that_refreshes_leaves_nothing_behind() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let [anna, ben] = [1, 2].map(SubscriberId::from_random);
        for second in 0..100 {
            bindings.put(anna, binding(1, Some(7), now + Duration::from_secs(60 + second)));
        }
        bindings.put(anna, binding(2, Some(7), now + Duration::from_secs(90)));
        bindings.put(ben, binding(3, None, now + Duration::from_secs(70)));
        assert_eq!((bindings.ends.len(), bindings.connections.len()), (3, 1));
        assert_eq!(bindings.next_end(), Some(now + Duration::from_secs(70)));
        assert_eq!(bindings.expire(now + Duration::from_secs(100)), [ben, anna]);
        assert_eq!(bindings.of(anna).len(), 1);
        assert_eq!(bindings.drop_connection(ConnectionId(6)), []);
        assert_eq!(bindings.drop_connection(ConnectionId(7)), [anna]);
        assert!(bindings.by_owner.is_empty() && bindings.ends.is_empty() && bindings.connections.is_empty());
    }
}

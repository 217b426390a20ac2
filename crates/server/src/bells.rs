//! Who is to be told at once: devices whose mailbox changed, connections whose token is dead.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aftertone_model::{DeviceId, SubscriberId};
use tokio::sync::{broadcast, watch};

/// The doorbells: content-free, and several rings before somebody looks are one.
#[derive(Debug, Default)]
pub(crate) struct Doorbells {
    rings: Mutex<HashMap<SubscriberId, watch::Sender<u64>>>,
}

impl Doorbells {
    /// Changes at each ring from now on.
    pub(crate) fn listen(&self, mailbox: SubscriberId) -> watch::Receiver<u64> {
        self.lock().entry(mailbox).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub(crate) fn ring(&self, mailbox: SubscriberId) {
        let mut rings = self.lock();
        let Some(bell) = rings.get(&mailbox) else { return };
        if bell.is_closed() {
            rings.remove(&mailbox);
        } else {
            bell.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriberId, watch::Sender<u64>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an open connection should look whether it may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// This device was revoked.
    Device(DeviceId),
    /// Somebody else wrote to the store: look again.
    LookAgain,
}

/// Tells open connections about revoked tokens.
#[derive(Debug)]
pub(crate) struct Revocations(broadcast::Sender<Revocation>);

impl Default for Revocations {
    fn default() -> Self {
        Self(broadcast::Sender::new(64))
    }
}

impl Revocations {
    pub(crate) fn tell(&self, revocation: Revocation) {
        // Nobody listening is fine.
        let _ = self.0.send(revocation);
    }

    pub(crate) fn listen(&self) -> RevocationListener {
        RevocationListener(self.0.subscribe())
    }
}

/// One connection's ear.
#[derive(Debug)]
pub(crate) struct RevocationListener(broadcast::Receiver<Revocation>);

impl RevocationListener {
    /// Waits for the next one that may concern this device. Missing some means to look again. Cancel-safe.
    pub(crate) async fn next(&mut self, device: DeviceId) -> Revocation {
        loop {
            match self.0.recv().await {
                Ok(Revocation::Device(other)) if other != device => {}
                Ok(revocation) => return revocation,
                Err(broadcast::error::RecvError::Lagged(_)) => return Revocation::LookAgain,
                Err(broadcast::error::RecvError::Closed) => return Revocation::Device(device),
            }
        }
    }

    /// Waits until any device was revoked, or many were. Cancel-safe.
    pub(crate) async fn any(&mut self) {
        if let Err(broadcast::error::RecvError::Closed) = self.0.recv().await {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_coalesce_and_reach_only_their_mailbox() {
        let bells = Doorbells::default();
        let (ada, bob) = (SubscriberId::from_random(1), SubscriberId::from_random(2));
        let (mut at_adas, at_bobs) = (bells.listen(ada), bells.listen(bob));
        bells.ring(ada);
        bells.ring(ada);
        assert!(at_adas.has_changed().expect("open"));
        at_adas.mark_unchanged();
        assert!(!at_adas.has_changed().expect("open") && !at_bobs.has_changed().expect("open"));
        drop(at_bobs);
        bells.ring(bob);
        assert!(!bells.lock().contains_key(&bob), "nobody listens there any more");
    }

    #[tokio::test]
    async fn a_revocation_reaches_its_device() {
        let revocations = Revocations::default();
        let (ours, other) = (DeviceId::from_random(1), DeviceId::from_random(2));
        let mut listener = revocations.listen();
        revocations.tell(Revocation::Device(other));
        revocations.tell(Revocation::Device(ours));
        assert_eq!(listener.next(ours).await, Revocation::Device(ours));
        (0..200).for_each(|_| revocations.tell(Revocation::Device(other)));
        assert_eq!(listener.next(ours).await, Revocation::LookAgain, "too many to have heard them all");
    }
}

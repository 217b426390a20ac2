//! The address that the outside reaches this server at: configured, or learned from a STUN server. What a trunk's
//! peer sees is that trunk's alone.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

/// Shared by signalling and media, so that both say the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Public {
    configured: Option<IpAddr>,
    learned: Arc<RwLock<Option<IpAddr>>>,
}

impl Public {
    /// What is configured stays, whatever is learned.
    pub(crate) fn new(configured: Option<IpAddr>) -> Self {
        Self { configured, learned: Arc::default() }
    }

    pub(crate) fn get(&self) -> Option<IpAddr> {
        self.configured.or_else(|| *self.learned.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if it is news.
    pub(crate) fn learn(&self, address: IpAddr) -> bool {
        let before = self.get();
        *self.learned.write().unwrap_or_else(PoisonError::into_inner) = Some(address.to_canonical());
        self.get() != before
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_not_overruled() {
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let learning = Public::default();
        let same = learning.clone();
        assert!(learning.learn(one) && !learning.learn(one));
        assert_eq!(same.get(), Some(one));
        let fixed = Public::new(Some(other));
        assert!(!fixed.learn(one));
        assert_eq!(fixed.get(), Some(other));
    }
}

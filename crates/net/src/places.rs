use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Places of which there are so many, and so many for each holder: an address, a device.
pub struct Places<K: Eq + Hash + Clone>(Arc<Shared<K>>);

struct Shared<K> {
    all: usize,
    of_one: usize,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    all: usize,
    by_holder: HashMap<K, usize>,
}

/// One place; given back when it is dropped.
pub struct Place<K: Eq + Hash + Clone> {
    places: Places<K>,
    holder: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// So many, and so many for one holder.
    #[must_use]
    pub fn new(all: usize, of_one: usize) -> Self {
        let taken = Mutex::new(Taken { all: 0, by_holder: HashMap::new() });
        Self(Arc::new(Shared { all, of_one, taken }))
    }

    /// A place for this holder, if there is one left for it.
    #[must_use]
    pub fn take(&self, holder: K) -> Option<Place<K>> {
        self.take_up_to(holder, self.0.of_one)
    }

    fn take_up_to(&self, holder: K, of_one: usize) -> Option<Place<K>> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_holder = taken.by_holder.get(&holder).copied().unwrap_or(0);
        if taken.all >= self.0.all || of_holder >= of_one {
            return None;
        }
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), of_holder + 1);
        drop(taken);
        Some(Place { places: Self(Arc::clone(&self.0)), holder })
    }
}

impl Places<IpAddr> {
    /// A place for a connection from this address. This machine itself may take them all: a proxy on it speaks for many.
    #[must_use]
    pub fn take_for(&self, remote: IpAddr) -> Option<Place<IpAddr>> {
        let remote = remote.to_canonical();
        self.take_up_to(remote, if remote.is_loopback() { self.0.all } else { self.0.of_one })
    }
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(count) = taken.by_holder.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.by_holder.remove(&self.holder);
            }
        }
    }
}

impl<K: Eq + Hash + Clone> fmt::Debug for Places<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("all", &self.0.all).field("of_one", &self.0.of_one).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_their_share_and_all_together_no_more_than_there_are() {
        let places = Places::new(5, 2);
        let taken: Vec<_> = [1, 1, 1, 2, 2, 3, 3].map(|holder| places.take(holder)).into();
        assert_eq!(taken.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true, true, true, false]);
        drop(taken);
        assert!(places.take(1).is_some());
        assert!(places.0.taken.lock().unwrap_or_else(PoisonError::into_inner).by_holder.is_empty(), "nobody is remembered");
    }

    #[test]
    fn this_machine_may_take_them_all() {
        let places = Places::new(10, 1);
        let (far, here) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([127, 0, 0, 1]));
        let _first = places.take_for(far);
        assert!(places.take_for(far).is_none());
        let rest: Vec<_> = std::iter::from_fn(|| places.take_for(here)).collect();
        assert_eq!(rest.len(), 9);
    }
}

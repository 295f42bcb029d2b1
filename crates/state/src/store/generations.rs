//! A bounded map that forgets what has not been asked for lately.

use std::{borrow::Borrow, hash::Hash, mem};

use zvm_core::map::HashMap;

/// Entries live in two generations. What is used moves to the young one; when that is half of the
/// bound it becomes the old one, and the old one before it is dropped.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    bytes_max: usize,
    /// Bytes of an entry, roughly.
    weigh: fn(&K, &V) -> usize,
    young: HashMap<K, V>,
    young_bytes: usize,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Generations<K, V> {
    pub(super) fn new(bytes_max: usize, weigh: fn(&K, &V) -> usize) -> Self {
        Self {
            bytes_max,
            weigh,
            young: HashMap::default(),
            young_bytes: 0,
            old: HashMap::default(),
        }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.young_bytes += (self.weigh)(&key, &value);
        if let Some((key, before)) = self.young.remove_entry(&key) {
            self.young_bytes = self.young_bytes.saturating_sub((self.weigh)(&key, &before));
        }
        self.young.insert(key, value);
        if self.young_bytes > self.bytes_max / 2 {
            self.young_bytes = 0;
            self.old = mem::take(&mut self.young);
        }
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((key, value)) = self.young.remove_entry(key) {
            self.young_bytes = self.young_bytes.saturating_sub((self.weigh)(&key, &value));
        }
        self.old.remove(key);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max, self.weigh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = Generations::new(20, |_: &u32, _: &u32| 1);
        for number in 0..100 {
            cache.insert(number, number);
            assert_eq!(cache.get(&0), Some(0), "used all the time");
        }
        assert_eq!(cache.get(&99), Some(99));
        assert_eq!(cache.get(&50), None);
        assert!(cache.young.len() + cache.old.len() <= 21);
    }

    #[test]
    fn an_entry_is_replaced_and_removed_in_both_generations() {
        let mut cache = Generations::new(4, |_: &u32, _: &u32| 1);
        for value in 0..50 {
            cache.insert(7, value);
            assert_eq!(cache.get(&7), Some(value));
        }
        assert_eq!(cache.young_bytes, 1, "one entry, however often it was replaced");
        for number in 0..3 {
            cache.insert(number, 0);
        }
        cache.remove(&7);
        assert_eq!(cache.get(&7), None);
        cache.insert(8, 8);
        cache.clear();
        assert_eq!(cache.get(&8), None);
    }
}

//! A map that forgets: what the simulator remembers is bounded, whatever a test does to it.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// At most so many entries; the oldest makes room for the next one.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    max_len: usize,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn with_max_len(max_len: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), max_len }
    }

    /// Adds an entry, or gives the one of this key another value; its age stays.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some(found) = self.entries.get_mut(&key) {
            *found = value;
            return;
        }
        if self.order.len() >= self.max_len {
            self.forget_oldest();
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, value);
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }

    /// The value of this key, added if there is none.
    pub(super) fn get_or_insert_default<Q: ToOwned<Owned = K> + Eq + Hash + ?Sized>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q>,
        V: Default,
    {
        if !self.entries.contains_key(key) {
            self.insert(key.to_owned(), V::default());
        }
        self.entries.entry(key.to_owned()).or_default()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    /// Forgets the oldest entries up to the first one that is not `stale`.
    pub(super) fn forget_while(&mut self, stale: impl Fn(&V) -> bool) {
        while self.order.front().and_then(|oldest| self.entries.get(oldest)).is_some_and(&stale) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
impl<K, V> Recent<K, V> {
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room_for_the_next() {
        let mut recent = Recent::with_max_len(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            recent.insert(key, value);
        }
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (None, Some(&2), Some(&4)));
        assert_eq!(recent.len(), 2);
    }

    #[test]
    fn stale_entries_are_forgotten_from_the_oldest_on() {
        let mut recent = Recent::with_max_len(9);
        for value in [1, 2, 9, 1] {
            recent.insert(recent.len(), value);
        }
        recent.forget_while(|value| *value < 5);
        assert_eq!((recent.len(), recent.get(&2), recent.get(&3)), (2, Some(&9), Some(&1)));
        recent.forget_while(|_| true);
        assert_eq!(recent.len(), 0);
    }
}

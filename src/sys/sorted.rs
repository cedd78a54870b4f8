//! A map in order, for keys that mostly come in order and mostly go from the front.
//!
//! The standard library's `BTreeMap` is 6 kB of code for each pair of types.

use std::collections::VecDeque;

/// Values by their keys, the least in front.
#[derive(Debug)]
pub struct Sorted<K, V>(VecDeque<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Sorted<K, V> {
        Sorted(VecDeque::new())
    }
}

impl<K: Copy + Ord, V> Sorted<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts one in the place of that which was there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.find(*key).ok()?;
        self.0.remove(place).map(|(_, value)| value)
    }

    /// One of them.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(*key).ok().map(|place| &self.0[place].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.find(*key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Takes out the key's and all behind it.
    pub fn split_off(&mut self, key: &K) -> Sorted<K, V> {
        let (Ok(place) | Err(place)) = self.find(*key);
        Sorted(self.0.split_off(place))
    }

    /// The first.
    pub fn first(&self) -> Option<&(K, V)> {
        self.0.front()
    }

    /// Keeps those of which this holds.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&V) -> bool) {
        self.0.retain(|(_, value)| is_kept(value));
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(K, V)> {
        self.0.iter()
    }

    /// The same, without their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Where a key is, or would be. The newest is looked at first.
    fn find(&self, key: K) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last < key => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&key, |(key, _)| *key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_standard_librarys_map_is() {
        let mut sorted = Sorted::default();
        let mut map = std::collections::BTreeMap::new();
        let mut random = 1_u64;
        for step in 0..3000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = random >> 57;
            match random % 3 {
                0 => assert_eq!(sorted.remove(&key), map.remove(&key)),
                _ => {
                    sorted.insert(key, step);
                    map.insert(key, step);
                }
            }
            assert_eq!(sorted.get(&key), map.get(&key));
            assert_eq!(sorted.get_mut(&key), map.get_mut(&key));
            assert_eq!(
                sorted.first().copied(),
                map.iter().next().map(|(&k, &v)| (k, v))
            );
            assert!(sorted.iter().map(|(key, _)| key).eq(map.keys()));
            assert!(sorted.values().rev().eq(map.values().rev()));
        }
        assert_eq!(sorted.len(), map.len());
        assert!(
            sorted
                .split_off(&100)
                .values()
                .eq(map.split_off(&100).values())
        );
        sorted.retain(|step| step % 2 == 0);
        map.retain(|_, step| *step % 2 == 0);
        assert!(sorted.values_mut().eq(map.values_mut()));
    }
}

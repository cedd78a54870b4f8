//! Streams that follow every job whose name begins alike.

use std::collections::HashMap;
use std::sync::Arc;

/// How many streams follow each prefix.
#[derive(Default)]
pub(super) struct Prefixes {
    streams: HashMap<Arc<str>, usize>,
    /// How many of the prefixes have each length, in bytes: a name is looked up once for
    /// each, however many prefixes there are.
    lengths: Vec<usize>,
}

impl Prefixes {
    /// Counts streams in.
    pub fn join(&mut self, prefix: &Arc<str>, count: usize) {
        if count == 0 {
            return;
        }
        let streams = self.streams.entry(prefix.clone()).or_insert(0);
        *streams += count;
        if *streams == count {
            let lengths = self.lengths.len().max(prefix.len() + 1);
            self.lengths.resize(lengths, 0);
            self.lengths[prefix.len()] += 1;
        }
    }

    /// Counts streams out.
    pub fn leave(&mut self, prefix: &Arc<str>, count: usize) {
        let Some(streams) = self.streams.get_mut(prefix) else {
            return;
        };
        *streams = streams.saturating_sub(count);
        if *streams > 0 {
            return;
        }
        self.streams.remove(prefix);
        if let Some(prefixes) = self.lengths.get_mut(prefix.len()) {
            *prefixes -= 1;
        }
    }

    /// The prefixes that are followed.
    pub fn all(&self) -> impl Iterator<Item = Arc<str>> {
        self.streams.keys().cloned()
    }

    /// How many streams follow a prefix.
    pub fn count(&self, prefix: &str) -> usize {
        self.streams.get(prefix).copied().unwrap_or(0)
    }

    /// How many streams follow a prefix that the name begins with.
    pub fn streams_of(&self, name: &str) -> usize {
        let lengths = self.lengths.iter().enumerate();
        let lengths = lengths.filter(|&(_, &prefixes)| prefixes > 0);
        let beginnings = lengths.map_while(|(length, _)| name.get(..length));
        let streams = beginnings.filter_map(|beginning| self.streams.get(beginning));
        streams.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_followed_by_all_its_beginnings_as_long_as_their_streams_are_there() {
        let mut prefixes = Prefixes::default();
        let all: Vec<Arc<str>> = ["", "a", "ab", "ab", "b", "abcd"].map(Arc::from).into();
        all.iter().for_each(|prefix| prefixes.join(prefix, 1));
        assert_eq!(prefixes.streams_of("abc"), 4);
        assert_eq!(prefixes.streams_of("abcd"), 5);
        assert_eq!(prefixes.streams_of("b"), 2);
        assert_eq!(prefixes.streams_of("c"), 1);
        prefixes.leave(&all[2], 1);
        assert_eq!(prefixes.streams_of("abc"), 3);
        all[..2].iter().for_each(|prefix| prefixes.leave(prefix, 1));
        all[3..].iter().for_each(|prefix| prefixes.leave(prefix, 1));
        assert_eq!(prefixes.streams_of("abcd"), 0);
        assert!(prefixes.streams.is_empty() && prefixes.lengths.iter().all(|&it| it == 0));
    }
}

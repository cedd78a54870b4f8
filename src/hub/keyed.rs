//! Changes that came with keys: which of them are remembered, and by what.
//!
//! The invariant: whether a key is remembered depends on the entries before it and the times
//! that they carry alone. So what is let go of early is let go of in front only, where it
//! counts for none of the others.

use std::collections::VecDeque;

use super::entry::Once;
use super::error::Refusal;
use crate::event::job::EventId;

/// The keys that are remembered of a job. Beyond it the first goes.
pub const KEYS_MAX: usize = 1024;

/// A change that was made, and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Its key, what it said, and until when that is remembered.
    pub once: Once,
    /// Its number.
    pub id: EventId,
}

/// The changes of a job that came with keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyedChanges {
    /// The first in front.
    all: VecDeque<Keyed>,
    /// None is remembered longer.
    until_ms: u64,
}

impl Keyed {
    /// What becomes of a change with this key after this one, at this millisecond.
    ///
    /// # Errors
    /// It is this one again, or another with the same key.
    pub fn check(&self, once: &Once, now_ms: u64) -> Result<(), Refusal> {
        if self.once.key != once.key || self.once.until_ms <= now_ms {
            Ok(())
        } else if self.once.content == once.content {
            Err(Refusal::Again(self.id))
        } else {
            Err(Refusal::OtherContent)
        }
    }
}

impl KeyedChanges {
    /// What becomes of a change with a key at this millisecond, where `newer` keys will have
    /// come to these.
    ///
    /// # Errors
    /// It was made already, or another with the same key was.
    pub fn check(&self, once: &Once, now_ms: u64, newer: usize) -> Result<(), Refusal> {
        let remembered = self.all.iter().rev().take(KEYS_MAX.saturating_sub(newer));
        let mut remembered = remembered.filter(|keyed| keyed.once.key == once.key);
        // Of two with one key the first is forgotten.
        remembered
            .next()
            .map_or(Ok(()), |it| it.check(once, now_ms))
    }

    /// A change was made with a key.
    pub fn add(&mut self, keyed: Keyed, now_ms: u64) {
        if self.all.len() == KEYS_MAX {
            self.all.pop_front();
        }
        while self
            .all
            .front()
            .is_some_and(|first| first.once.until_ms <= now_ms)
        {
            self.all.pop_front();
        }
        self.all.push_back(keyed);
        self.until_ms = self.until_ms.max(keyed.once.until_ms);
    }

    /// Lets go of all of them.
    pub fn clear(&mut self) {
        *self = KeyedChanges::default();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Keyed> {
        self.all.iter()
    }

    /// Until when any of them may be remembered, and the number of the newest, which is no
    /// other job's. None where there are none.
    pub fn end(&self) -> Option<(u64, EventId)> {
        let last = self.all.back()?;
        Some((self.until_ms, last.id))
    }
}

impl FromIterator<Keyed> for KeyedChanges {
    fn from_iter<I: IntoIterator<Item = Keyed>>(keys: I) -> KeyedChanges {
        let mut all: VecDeque<Keyed> = keys.into_iter().collect();
        all.drain(..all.len().saturating_sub(KEYS_MAX));
        let until_ms = all.iter().map(|keyed| keyed.once.until_ms).max();
        KeyedChanges {
            all,
            until_ms: until_ms.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Content;

    fn once(key: &str, content: &str, until_ms: u64) -> Once {
        Once {
            key: key.parse().unwrap(),
            content: Content::of([content.as_bytes()]),
            until_ms,
        }
    }

    fn keyed(id: u64, once: Once) -> Keyed {
        let id = EventId(id);
        Keyed { once, id }
    }

    #[test]
    fn the_same_is_known_again_and_something_else_is_not_taken_for_it() {
        let mut keys = KeyedChanges::default();
        keys.add(keyed(7, once("k", "a", 100)), 0);
        let check = |key: &str, content: &str| keys.check(&once(key, content, 0), 50, 0);
        assert_eq!(check("k", "a"), Err(Refusal::Again(EventId(7))));
        assert_eq!(check("k", "b"), Err(Refusal::OtherContent));
        assert_eq!(check("l", "a"), Ok(()));
    }

    #[test]
    fn a_key_is_remembered_until_its_time_has_come_and_is_free_then() {
        let mut keys = KeyedChanges::default();
        keys.add(keyed(7, once("k", "a", 100)), 0);
        let again = once("k", "b", 200);
        assert_eq!(keys.check(&again, 99, 0), Err(Refusal::OtherContent));
        assert_eq!(keys.check(&again, 100, 0), Ok(()));
        keys.add(keyed(9, again), 100);
        assert_eq!(keys.check(&again, 150, 0), Err(Refusal::Again(EventId(9))));
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn of_a_job_the_newest_keys_are_remembered_whichever_have_ended() {
        let mut keys = KeyedChanges::default();
        let name = |number: usize| format!("k{number}");
        for number in 0..KEYS_MAX {
            // Those behind the first end before it.
            let until_ms = if number == 0 { 1000 } else { 10 };
            keys.add(keyed(number as u64, once(&name(number), "a", until_ms)), 0);
        }
        let first = once("k0", "a", 0);
        assert_eq!(keys.check(&first, 500, 0), Err(Refusal::Again(EventId(0))));
        assert_eq!(keys.check(&first, 500, 1), Ok(()), "one more is to come");
        keys.add(keyed(5000, once("new", "a", 1000)), 500);
        assert_eq!(keys.check(&first, 500, 0), Ok(()));
        assert_eq!(keys.len(), 1, "what has ended is let go of in front");
        assert_eq!(keys.end(), Some((1000, EventId(5000))));
    }
}

//! How many there are of something. What is let in is decided by these, and not by what
//! monitoring is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there are of something.
#[derive(Clone, Debug, Default)]
pub struct Headcount(Arc<AtomicUsize>);

/// One of them, counted for as long as it lives.
#[derive(Debug)]
pub struct Presence(Option<Arc<AtomicUsize>>);

impl Headcount {
    /// One more.
    pub fn one(&self) -> Presence {
        self.0.fetch_add(1, Ordering::AcqRel);
        Presence(Some(self.0.clone()))
    }

    /// One more, where there are fewer than `most`.
    pub fn one_below(&self, most: usize) -> Option<Presence> {
        let more = |count: usize| (count < most).then(|| count + 1);
        let counted = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        counted.is_ok().then(|| Presence(Some(self.0.clone())))
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One that [`Presence::leave`] has left counted.
    pub fn take_back(&self) -> Presence {
        Presence(Some(self.0.clone()))
    }
}

impl Presence {
    /// Leaves it counted, for who has no room to keep it: [`Headcount::take_back`] ends that.
    pub fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_counted_out_when_it_goes_and_only_then() {
        let count = Headcount::default();
        let first = count.one_below(2);
        let second = count.one();
        assert_eq!(count.get(), 2);
        assert!(count.one_below(2).is_none());
        drop(first);
        assert!(count.one_below(2).is_some());
        second.leave();
        assert_eq!(count.get(), 1);
        drop(count.take_back());
        assert_eq!(count.get(), 0);
    }
}

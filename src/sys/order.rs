//! Sorting. The standard library's sorts are code anew for each type, some 5 kB each time; this
//! one is there once.

use std::cmp::Ordering;

/// Sorts by `compare`. What is equal stays in its order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut sources = sources(items.len(), &|a, b| compare(&items[a], &items[b]));
    for place in 0..items.len() {
        let mut source = sources[place];
        // What was there has been swapped away, and its place knows where to.
        while source < place {
            source = sources[source];
        }
        sources[place] = source;
        items.swap(place, source);
    }
}

/// The same by a key.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Where what comes to each place is now.
fn sources(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut sources: Vec<usize> = (0..count).collect();
    let mut run = 1;
    // What is sorted in runs is merged to runs of twice that length.
    while run < count {
        let mut merged = Vec::with_capacity(count);
        for both in sources.chunks(2 * run) {
            let (mut left, mut right) = both.split_at(run.min(both.len()));
            while let (&[first, ..], &[second, ..]) = (left, right) {
                let is_second = compare(second, first).is_lt();
                merged.push(if is_second { second } else { first });
                let taken = if is_second { &mut right } else { &mut left };
                *taken = &taken[1..];
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        sources = merged;
        run *= 2;
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        let mut random = 1_u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 40
        };
        for count in (0..60).chain([1_000]) {
            let items: Vec<_> = (0..count).map(|place| (next() % 20, place)).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|&(key, _)| key);
            let mut sorted = items;
            sort_by_key(&mut sorted, |&(key, _)| key);
            assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn the_last_one_that_comes_first_costs_no_walk_for_each() {
        let count = 1_000_000;
        let mut items: Vec<_> = (1..=count).chain([0]).collect();
        sort_by_key(&mut items, |&item| item);
        assert!(items.into_iter().eq(0..=count));
    }
}

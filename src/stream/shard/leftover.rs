//! What slow readers have left of frames: bounded for all of a shard's together, and for those
//! of one address.

use std::collections::HashMap;
use std::time::Instant;

use crate::access::quota::Slot;
use crate::sys::limit::Limit;

/// What a row has yet to be sent before anything else.
pub(super) struct Leftover {
    pub bytes: Vec<u8>,
    pub sent: usize,
    /// When the socket last took something.
    pub since: Instant,
    /// What its address is counted by.
    address: Option<Slot>,
}

/// Those of all rows.
#[derive(Default)]
pub(super) struct Leftovers {
    of_rows: HashMap<u32, Box<Leftover>>,
    bytes: usize,
    by_address: HashMap<Slot, usize>,
}

impl Leftovers {
    pub fn get(&self, row: u32) -> Option<&Leftover> {
        self.of_rows.get(&row).map(|leftover| &**leftover)
    }

    pub fn get_mut(&mut self, row: u32) -> Option<&mut Leftover> {
        self.of_rows.get_mut(&row).map(|leftover| &mut **leftover)
    }

    /// Adds to what a row has, which is of that address.
    pub fn add(&mut self, row: u32, address: Option<Slot>, bytes: &[u8], now: Instant) {
        let leftover = self.of_rows.entry(row).or_insert_with(|| {
            Box::new(Leftover {
                bytes: Vec::new(),
                sent: 0,
                since: now,
                address,
            })
        });
        leftover.bytes.extend_from_slice(bytes);
        let address = leftover.address;
        self.bytes += bytes.len();
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += bytes.len();
        }
    }

    pub fn remove(&mut self, row: u32) {
        let Some(leftover) = self.of_rows.remove(&row) else {
            return;
        };
        self.bytes -= leftover.bytes.len();
        if let Some(address) = leftover.address
            && let Some(bytes) = self.by_address.get_mut(&address)
        {
            *bytes -= leftover.bytes.len();
            if *bytes == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// The limit that is passed with `more` bytes of an address, if one is.
    pub fn limit(
        &self,
        address: Option<Slot>,
        more: usize,
        most: usize,
        each: Option<usize>,
    ) -> Option<Limit> {
        let of_address = address.and_then(|address| self.by_address.get(&address));
        let of_address = of_address.copied().unwrap_or_default() + more;
        if address.is_some() && each.is_some_and(|each| of_address > each) {
            Some(Limit::StallMemoryPerAddress)
        } else {
            (self.bytes + more > most).then_some(Limit::StallMemory)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_share_and_nothing_is_left_of_what_is_gone() {
        let now = Instant::now();
        let [a, b] = [1, 2].map(Slot::new);
        let mut leftovers = Leftovers::default();
        leftovers.add(1, a, b"12345", now);
        leftovers.add(2, a, b"123", now);
        leftovers.add(1, a, b"6", now);
        leftovers.add(3, None, b"1234", now);
        let limit =
            |leftovers: &Leftovers, address, more| leftovers.limit(address, more, 20, Some(10));
        assert_eq!(limit(&leftovers, a, 1), None);
        assert_eq!(limit(&leftovers, a, 2), Some(Limit::StallMemoryPerAddress));
        assert_eq!(limit(&leftovers, b, 7), None);
        assert_eq!(limit(&leftovers, b, 8), Some(Limit::StallMemory));
        assert_eq!(limit(&leftovers, None, 7), None);
        assert_eq!(leftovers.limit(a, 7, 20, None), None);
        for row in 1..4 {
            leftovers.remove(row);
            leftovers.remove(row);
        }
        assert!(leftovers.bytes == 0 && leftovers.by_address.is_empty());
        assert!(leftovers.of_rows.is_empty());
    }
}

//! What has happened, for whoever has to find out why.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Steps that are told of where a seed fails.
const LAST: usize = 40;

/// The steps of one world.
pub struct Trace {
    /// Every step is printed.
    is_loud: bool,
    last: RefCell<VecDeque<String>>,
    /// What all of it comes to: the same for the same seed.
    digest: RefCell<u32>,
}

impl Trace {
    pub fn new(is_loud: bool) -> Trace {
        Trace {
            is_loud,
            last: RefCell::default(),
            digest: RefCell::default(),
        }
    }

    pub fn note(&self, step: u64, what: impl FnOnce() -> String) {
        let line = format!("{step}: {}", what());
        if self.is_loud {
            println!("{line}");
        }
        let mut digest = self.digest.borrow_mut();
        *digest = crc32c::crc32c_append(*digest, line.as_bytes());
        let mut last = self.last.borrow_mut();
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(line);
    }

    pub fn digest(&self) -> u32 {
        *self.digest.borrow()
    }

    pub fn last(&self) -> String {
        let last: Vec<String> = self.last.borrow().iter().cloned().collect();
        last.join("\n")
    }
}

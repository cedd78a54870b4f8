//! Reads as far as that is done without waiting, as a coroutine may. The rest is left to a step.

use std::sync::atomic::Ordering;

use super::super::store::{Body, Fault, Heard, Item};
use super::{LITTLE, PATIENCE, Reader, Stop, WAIT};
use crate::sys::clock;

/// So many reads in a row that bring little are a calm.
const CALM: u32 = 4;

impl Reader {
    /// What a coroutine does of it between two waits.
    #[cfg(test)]
    pub fn read_now(&mut self) {
        if self.ask_now() {
            self.hear_now();
        }
    }

    /// Whether nothing is to be done but to read, and little has come of late.
    pub fn is_calm(&self) -> bool {
        let is_to_look = self.must_look || self.shared.looks_again.load(Ordering::Acquire);
        let has_all = self.has_caught_up && self.link.is_some() && self.brought.is_none();
        has_all && !is_to_look && self.calm >= CALM && !self.shared.is_over()
    }

    /// Asks for what follows. Never waits. False where that has failed, which is left for a step.
    pub(super) fn ask_now(&mut self) -> bool {
        let asked = self.ask(WAIT);
        let is_asked = asked.is_ok();
        if let Err(fault) = asked {
            self.leave(Err(fault.into()));
        }
        is_asked
    }

    /// Takes in what is there of what was asked for, where that is done without waiting; what
    /// isn't, a step is left for. False where nothing is there yet.
    pub(super) fn hear_now(&mut self) -> bool {
        let Some(link) = &mut self.link else {
            return true;
        };
        let items = match link.items_now() {
            Heard::All(Ok(items)) => items,
            Heard::All(Err(fault)) => {
                self.leave(Err(fault.into()));
                return true;
            }
            Heard::NotYet if self.reads_until.is_some_and(|until| clock::now() < until) => {
                return false;
            }
            Heard::NotYet => {
                let why = format!("it says nothing within {:?}", WAIT + PATIENCE);
                self.leave(Err(Fault::Broken(why).into()));
                return true;
            }
            Heard::Much => {
                self.calm = 0;
                return true;
            }
        };
        let is_plain = |item: &Item| matches!(item.what, Body::Entry(_));
        if !(1..=LITTLE).contains(&items.len()) || !items.iter().all(is_plain) {
            self.leave(Ok(items));
            return true;
        }
        self.reads_until = None;
        if let Err(stop) = self.take_in(&items) {
            self.leave(Err(stop));
        } else if self.is_house_to_be_kept() {
            self.must_look = true;
        }
        true
    }

    /// Leaves it to the next step.
    fn leave(&mut self, brought: Result<Vec<Item>, Stop>) {
        self.reads_until = None;
        self.brought = Some(brought);
    }
}

//! Reads as far as that is done without waiting, as a coroutine may. The rest is left to a step.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::store::{Body, Heard, Item, StoreFault};
use super::super::writer::LogWriter;
use super::{LogReader, PATIENCE, ReadStop, WAIT};
use crate::sys::clock;

/// Items that are little to read at a time, so that a coroutine may.
pub(super) const LITTLE: usize = if cfg!(test) { 3 } else { 8 };
/// So many reads in a row that bring little are a calm.
const CALM: u32 = 4;
/// Where this node's events are read back so shortly one after the other, the next brings what is to
/// be read.
const DENSE: Duration = Duration::from_millis(if cfg!(test) { 5000 } else { 3 });
pub(super) const GAP_MAX: Duration = DENSE.saturating_mul(2);
/// How long it is waited for.
pub(super) const LENT: Duration = Duration::from_millis(if cfg!(test) { 1000 } else { 5 });

impl LogReader {
    /// What a coroutine does of it between two waits.
    #[cfg(test)]
    pub fn read_now(&mut self, writer: &mut LogWriter) {
        let is_heard = match self.lent_at {
            Some(_) => self.take_back(writer),
            None => self.ask_now() && self.hear_now(),
        };
        if is_heard && self.is_calm() {
            self.lend(writer);
        }
    }

    /// Whether the writer has the connection.
    #[cfg(test)]
    pub fn is_lent(&self) -> bool {
        self.lent_at.is_some()
    }

    /// Leaves the connection to the writer where the next append is near, which then brings what is
    /// to be read. False where the reader has to ask for it.
    pub(super) fn lend(&mut self, writer: &mut LogWriter) -> bool {
        let is_worth_it = self.gap < DENSE && self.reads_until.is_none();
        if !is_worth_it || !writer.borrow(&mut self.link, self.replica.at) {
            return false;
        }
        self.lent_at = Some(clock::now());
        true
    }

    /// Takes in what an append has brought; where there is none for long, just the connection.
    /// What can't be done without waiting, a step is left for. False where it isn't time yet.
    pub(super) fn take_back(&mut self, writer: &mut LogWriter) -> bool {
        let now = clock::now();
        let is_over = self.lent_at.is_none_or(|at| now - at >= LENT);
        let Some((link, brought)) = writer.give_back(is_over || !self.is_calm()) else {
            return false;
        };
        self.lent_at = None;
        self.link = Some(link);
        match brought {
            Some(Ok(items)) => self.take_in_now(items),
            Some(Err(StoreFault::Broken(why))) => self.leave(Err(StoreFault::Broken(why).into())),
            // What was refused, the writer sees to.
            Some(Err(_)) => {}
            // The next is further than it seemed.
            None if is_over => self.gap = GAP_MAX,
            None => {}
        }
        true
    }

    /// Whether nothing is to be done but to read, and little has come of late.
    pub fn is_calm(&self) -> bool {
        let is_to_look = self.must_look || self.shared.looks_again.load(Ordering::Acquire);
        let is_linked = self.link.is_some() || self.lent_at.is_some();
        let has_all = self.has_caught_up && is_linked && self.brought.is_none();
        has_all && !is_to_look && self.calm >= CALM && !self.shared.is_over()
    }

    /// Something of this process's was read.
    pub(super) fn note_own(&mut self) {
        let now = clock::now();
        let gap = (now - self.own_at).min(GAP_MAX);
        (self.gap, self.own_at) = ((self.gap * 3 + gap) / 4, now);
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
                self.leave(Err(StoreFault::Broken(why).into()));
                return true;
            }
            Heard::Much => {
                self.calm = 0;
                return true;
            }
        };
        self.take_in_now(items);
        true
    }

    fn take_in_now(&mut self, items: Vec<Item>) {
        let is_plain = |item: &Item| matches!(item.what, Body::Entry(_));
        if !(1..=LITTLE).contains(&items.len()) || !items.iter().all(is_plain) {
            self.leave(Ok(items));
            return;
        }
        self.reads_until = None;
        if let Err(stop) = self.take_in(&items) {
            self.leave(Err(stop));
        } else if self.is_house_to_be_kept() {
            self.must_look = true;
        }
    }

    /// Leaves it to the next step.
    fn leave(&mut self, brought: Result<Vec<Item>, ReadStop>) {
        self.reads_until = None;
        self.brought = Some(brought);
    }
}

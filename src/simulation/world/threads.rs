//! What the server's threads do, a step at a time, and what the disk and the clock do to them.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::sequencer::journal::by_hand::JournalByHand;
use crate::simulation::disk::Fault;

impl World<'_> {
    /// One of the journal's threads does something.
    pub(super) fn work(&mut self) {
        let Some(journal) = self.server.journal.clone() else {
            return;
        };
        let which = self.random.below(13);
        let (what, works) = match which {
            0..5 => ("the writer writes", journal.write()),
            5 | 6 => ("the medium has it", journal.sync()),
            7 => ("the writer hears of the medium", journal.tell_synced()),
            8 => ("the writer's time has come", journal.tick()),
            9 => ("a piece is read", journal.read_one()),
            10 if !journal.calls_keeper() => return,
            10 | 11 => ("the keeper looks", self.keep()),
            _ => ("the medium begins", journal.begin_sync()),
        };
        self.note(|| format!("{what}: {works}"));
    }

    /// The keeper looks, and the writer goes on meanwhile.
    pub fn keep(&mut self) -> bool {
        let Some(journal) = self.server.journal.clone() else {
            return false;
        };
        if self.random.one_in(2) {
            self.disk.interrupt_with(Some(Box::new(journal.helper())));
        }
        journal.keep();
        self.disk.interrupt_with(None);
        true
    }

    pub(super) fn break_disk(&mut self) {
        let fault = match self.disk.fault() {
            Some(_) => None,
            None => Some(self.random.pick(&Fault::ALL)),
        };
        self.note(|| format!("the disk fails: {fault:?}"));
        self.disk.fail(fault);
    }

    /// The shard's thread does what there is, for a while.
    pub fn turn(&mut self) {
        let has_more = self.server.shard.turn();
        self.note(|| format!("the shard's turn; it has more to do: {has_more}"));
    }

    /// Jobs end of which nobody has said anything for too long.
    pub(super) fn end_overdue(&mut self) {
        let next = self.server.jobs.end_overdue();
        self.note(|| format!("leases run out; others do: {}", next.is_some()));
    }

    pub(super) fn pass_time(&mut self) {
        let time = Duration::from_millis(self.random.pick(&[1, 50, 300, 3000, 20_000, 4_000_000]));
        if self.random.one_in(8) {
            self.set_back(time)
        } else {
            self.pass(time)
        }
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.note(|| format!("{time:?} pass"));
        self.time.pass(time);
    }

    /// Somebody sets the unix clock back.
    pub fn set_back(&mut self, time: Duration) {
        self.note(|| format!("the unix clock is set back by {time:?}"));
        self.time.set_back(time);
        self.set_back += time;
        self.puts.set_back(&self.model);
    }

    /// The writer's thread does what there is, for a while.
    pub fn write(&mut self) -> bool {
        self.journal().write()
    }

    /// What is to be brought to the medium is, and the writer doesn't know yet.
    pub fn sync(&mut self) -> bool {
        self.journal().sync()
    }

    /// The medium begins with what it is given; what is written later isn't part of that.
    pub fn begin_sync(&mut self) -> bool {
        self.journal().begin_sync()
    }

    /// The writer hears what has become of that.
    pub fn hear_of_sync(&mut self) -> bool {
        let heard = self.journal().tell_synced();
        self.settle();
        heard
    }

    /// A piece is read for a stream.
    pub fn read_piece(&mut self) -> bool {
        self.journal().read_one()
    }

    /// The writer does all that there is.
    pub fn step_all(&mut self) {
        let journal = self.journal();
        while journal.write() || journal.sync() || journal.tell_synced() {}
        self.take_applied();
    }

    fn journal(&self) -> Arc<JournalByHand> {
        let journal = self.server.journal.clone();
        journal.expect("it has a journal")
    }
}

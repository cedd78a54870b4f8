//! A server ends, and another begins.

use std::time::Duration;

use super::World;
use crate::sequencer::journal::Files;
use crate::sequencer::journal::by_hand::Contents;
use crate::simulation::disk::Disk;
use crate::simulation::model::Model;
use crate::simulation::options::Options;
use crate::simulation::reader::Reader;
use crate::simulation::restart::{self, Left};
use crate::simulation::server::Server;

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Closed,
    /// The process ends.
    Killed,
    /// The host loses its power.
    Unpowered,
}

impl World<'_> {
    /// The server ends, and begins again.
    pub fn restart(&mut self, end: End) {
        self.note(|| format!("the server is started anew: {end:?}"));
        if end == End::Closed && self.server.journal.is_some() {
            self.server.jobs.order().close();
            self.take_applied();
            self.take_answers();
        }
        self.read_all();
        self.readers.iter_mut().for_each(Reader::drop_connection);
        self.waiting.clear();
        if self.options.journal.is_some() {
            self.restart_journal(end);
        } else {
            self.restart_memory();
        }
    }

    /// The same where a disk may have ended the process already.
    pub fn end_with(&mut self, end: End) {
        self.take_applied();
        self.restart(end);
    }

    pub(super) fn restart_memory(&mut self) {
        // Numbers are of microseconds, of a clock that is right again by then.
        let set_back = std::mem::take(&mut self.set_back);
        self.time.pass(set_back + Duration::from_secs(1));
        self.server = start(&self.options, &self.disk);
        let before = self.model.newest;
        let abandoned_ms = self.model.abandoned_ms;
        self.model = Model::new(&self.options.names);
        self.model.newest = self.server.published();
        self.model.abandoned_ms = abandoned_ms;
        self.lives.clear();
        self.puts.clear();
        assert!(self.model.newest > before, "numbers begin again");
    }

    pub(super) fn restart_journal(&mut self, end: End) {
        let kept = (end == End::Unpowered).then(|| Contents::of(&self.disk.kept(), None));
        self.disk.restart();
        if end == End::Unpowered {
            self.disk.lose_power();
        }
        let left = Left {
            seen: Contents::of(&self.disk.seen(), Some(self.disk.boot())),
            kept,
        };
        let uncertain = left.reconcile(&mut self.model, &mut self.puts);
        self.server = start(&self.options, &self.disk);
        restart::check(&mut self.model, self.server.jobs.hub(), &uncertain);
        left.check_gone(&self.server);
    }
}

/// Starts a server on what there is.
pub(super) fn start(options: &Options, disk: &Disk) -> Server {
    match &options.journal {
        None => Server::in_memory(options.hub.clone()),
        Some(journal) => Server::with_journal(options.hub.clone(), journal.clone(), disk)
            .expect("what there is can be read"),
    }
}

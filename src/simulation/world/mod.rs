//! A made-up world: publishers, readers and a server, a step at a time.

mod clients;
mod ends;
mod publishers;
mod threads;

use std::time::Duration;

use super::disk::Disk;
use super::model::Model;
use super::options::Options;
use super::puts::{Answer, Puts};
use super::random::Random;
use super::reader::Reader;
use super::server::Server;
use super::trace::Trace;
use crate::event::job::LifeId;
use crate::hub::Change;
use crate::sequencer::Health;
use crate::sequencer::journal::by_hand::JournalWaiting;
use crate::sys::clock;
use crate::sys::clock::simulated::Simulated;
pub use ends::End;
use ends::start;

/// When the worlds begin, in seconds of the unix clock.
const BEGINNING: u64 = 1_800_000_000;
/// Turns after which everything must have come to rest.
const TURNS_MAX: usize = 100_000;
/// How often nothing has to happen in a row, and how much time passes between.
const REST_TURNS: usize = 30;
const REST: Duration = Duration::from_millis(100);

/// A world.
pub struct World<'a> {
    pub options: Options,
    random: Random,
    time: Simulated,
    /// How far the unix clock was set back.
    set_back: Duration,
    pub disk: Disk,
    pub server: Server,
    pub model: Model,
    puts: Puts,
    last_answer: Option<Answer>,
    /// Publishers that wait for their answers.
    waiting: Vec<(u64, JournalWaiting)>,
    readers: Vec<Reader>,
    /// Lives that somebody still works for, most of them over.
    lives: Vec<(usize, LifeId)>,
    /// Changes that were asked for with keys, and may be again.
    keyed: Vec<(usize, Change)>,
    step: u64,
    next_event: u64,
    trace: &'a Trace,
}

impl World<'_> {
    /// The world of a seed.
    pub fn new(seed: u64, trace: &Trace) -> World<'_> {
        let mut random = Random::new(seed);
        let options = Options::of(&mut random);
        let mut world = World::with(options, random, trace);
        for _ in 0..world.options.readers {
            let reader = world.new_reader();
            world.readers.push(reader);
        }
        world
    }

    /// A world in which nothing has happened, and without readers.
    pub fn with(options: Options, mut random: Random, trace: &Trace) -> World<'_> {
        let time = Simulated::beginning(Duration::from_secs(BEGINNING));
        trace.note(0, || format!("{options:?}"));
        let disk = Disk::new(Random::new(random.next()));
        let server = start(&options, &disk);
        let mut model = Model::new(&options.names);
        model.newest = server.published();
        model.abandoned_ms = options.hub.abandoned_after.as_millis() as u64;
        World {
            options,
            random,
            time,
            set_back: Duration::ZERO,
            disk,
            server,
            model,
            puts: Puts::default(),
            last_answer: None,
            waiting: Vec::new(),
            readers: Vec::new(),
            lives: Vec::new(),
            keyed: Vec::new(),
            step: 0,
            next_event: 0,
            trace,
        }
    }

    /// Goes through all of it.
    pub fn run(&mut self) {
        for _ in 0..self.options.steps {
            self.step += 1;
            self.take_step();
            self.settle();
        }
        self.come_to_rest();
    }

    fn take_step(&mut self) {
        let comes = |random: &mut Random, rate| rate > 0 && random.one_in(rate);
        if comes(&mut self.random, self.options.restarts) {
            let end = self
                .random
                .pick(&[End::Closed, End::Killed, End::Unpowered]);
            return self.restart(end);
        }
        if self.options.journal.is_some() {
            if comes(&mut self.random, self.options.faults) {
                return self.break_disk();
            }
            if comes(&mut self.random, self.options.crashes) {
                let operations = self.random.below(12);
                self.note(|| format!("the process ends in {operations} operations"));
                return self.disk.end_in(Some(operations));
            }
            if self.random.one_in(3) {
                return self.work();
            }
        }
        match self.random.below(100) {
            0..35 => self.publish(),
            35..39 => self.begin(),
            39..42 => self.delete(),
            42..46 => self.upload(),
            46..54 => self.work_for_a_life(),
            54..57 => self.renew(),
            57 => self.end_overdue(),
            58..60 => self.cancel(),
            60..62 => self.repeat(),
            62..76 => self.turn(),
            76..86 => self.connect(),
            86..89 => self.disconnect(),
            89..95 => self.read_slowly(),
            95..98 => self.pass_time(),
            98 => self.model.check_all(self.server.jobs.hub()),
            _ => self.come_to_rest(),
        }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.trace.note(self.step, what);
    }

    /// What is done after every step.
    pub fn settle(&mut self) {
        self.take_applied();
        self.take_answers();
        self.read_all();
        if self.disk.is_down() {
            let end = self.random.pick(&[End::Killed, End::Unpowered]);
            self.restart(end);
        }
    }

    /// Everything that is under way comes to its end.
    pub fn come_to_rest(&mut self) {
        self.note(|| "everything comes to rest".into());
        self.disk.fail(None);
        self.disk.end_in(None);
        let mut rest = 0;
        for _ in 0..TURNS_MAX {
            self.step += 1;
            let published = self.server.published();
            let mut has_more = self.server.shard.turn();
            let next_due = self.server.jobs.end_overdue();
            assert!(
                next_due.is_none_or(|due| due > clock::now()),
                "a lease has run out"
            );
            if let Some(journal) = self.server.journal.clone() {
                has_more |= journal.write();
                has_more |= journal.sync();
                has_more |= journal.tell_synced();
                has_more |= journal.tick();
                has_more |= journal.read_one();
                if journal.calls_keeper() {
                    journal.keep();
                }
            }
            self.take_applied();
            self.take_answers();
            for index in 0..self.readers.len() {
                has_more |= self.read(index, usize::MAX);
            }
            if has_more || self.server.published() != published {
                rest = 0;
                continue;
            }
            rest += 1;
            if rest > REST_TURNS {
                break;
            }
            // Replays are let in at a rate.
            self.time.pass(REST);
        }
        assert!(rest > REST_TURNS, "it doesn't come to rest");
        self.puts.check_rest();
        if !self.options.is_tight() {
            let health = self.server.jobs.order().health();
            assert_eq!(health, Health::Good, "the disk works");
        }
        self.model.check_all(self.server.jobs.hub());
        for (index, reader) in self.readers.iter().enumerate() {
            self.note(|| format!("reader {index} ({:?}) has all", reader.follows));
            reader.check_rest(&self.server, &self.model);
        }
    }
}

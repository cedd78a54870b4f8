//! A made-up world: publishers, readers and a server, a step at a time.

use std::time::Duration;

use super::disk::{Disk, Fault};
use super::model::Model;
use super::options::Options;
use super::puts::{Answer, Circumstances, Puts};
use super::random::Random;
use super::reader::{Follows, Reader};
use super::restart::{self, Left};
use super::server::Server;
use super::trace::Trace;
use crate::event::Event;
use crate::event::job::{EventId, LifeId};
use crate::hub::{After, Change, Only, Owner, Terms};
use crate::sequencer::journal::SyncPolicy;
use crate::sequencer::journal::by_hand::{Contents, Waiting};
use crate::sequencer::{Health, Proposal, PublishError};
use crate::sys::clock::simulated::Simulated;

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
    /// Publishers that wait for their answers.
    waiting: Vec<(u64, Waiting)>,
    readers: Vec<Reader>,
    /// Lives that somebody still works for, most of them over.
    lives: Vec<(usize, LifeId)>,
    step: u64,
    next_event: u64,
    trace: &'a Trace,
}

/// What answers are held against. The puts are borrowed beside it.
macro_rules! circumstances {
    ($world:ident) => {
        Circumstances {
            model: &$world.model,
            failures: $world.disk.failures(),
            is_healthy: $world.server.jobs.order().health() == Health::Good,
            is_tight: $world.options.is_tight(),
        }
    };
}

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
            waiting: Vec::new(),
            readers: Vec::new(),
            lives: Vec::new(),
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
            46..56 => self.work_for_a_life(),
            56..76 => self.turn(),
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

    fn job(&mut self) -> usize {
        self.random.below(self.options.names.len() as u64) as usize
    }

    fn event(&mut self, job: usize) -> Event {
        self.next_event += 1;
        let name = self.random.pick(&[
            "progress", "progress", "progress", "progress", "progress", "progress", "log", "log",
            "done", "error",
        ]);
        let padding = match self.random.below(10) {
            0 => self.random.below(2000),
            _ => self.random.below(40),
        };
        let padding = "x".repeat(padding as usize);
        let job = if self.random.one_in(5) {
            format!(",\"jobId\":\"{}\"", self.options.names[job])
        } else {
            String::new()
        };
        let data = format!("{{\"n\":{},\"p\":\"{padding}\"{job}}}", self.next_event);
        Event::new(name, &data).expect("it is an event")
    }

    fn publish(&mut self) {
        let count = match self.random.below(10) {
            0 => self.random.between(2, 12),
            _ => 1,
        };
        let mut proposals = Vec::new();
        for _ in 0..count {
            let number = self.job();
            let event = self.event(number);
            let job = self.options.names[number].clone();
            let change = Change::Event {
                event,
                only: None,
                terms: Terms::default(),
            };
            proposals.push(Proposal { job, change });
        }
        self.put(proposals);
    }

    fn begin(&mut self) {
        let job = self.job();
        let after = self
            .random
            .pick(&[After::Ended, After::Ended, After::Running]);
        let owner = Owner::Worker;
        let terms = Terms::default();
        let begin = Change::Begin {
            owner,
            after,
            terms,
        };
        self.ask(job, begin);
    }

    fn delete(&mut self) {
        let job = self.job();
        let only = match self.random.below(3) {
            0 => self.some_life(job),
            _ => None,
        };
        let deletion = self.server.jobs.deletion(only);
        self.ask(job, deletion);
    }

    /// An upload lands, or one that has failed is tried again.
    fn upload(&mut self) {
        let job = self.job();
        let after = match self.some_life(job) {
            Some(life) if self.random.one_in(3) => After::Failed(life),
            _ => self
                .random
                .pick(&[After::FailedUpload, After::FailedUpload, After::Ended]),
        };
        let owner = Owner::Upload;
        let terms = Terms::default();
        let begin = Change::Begin {
            owner,
            after,
            terms,
        };
        self.ask(job, begin);
    }

    /// A stage says how far it is, of a life that may be long over.
    fn work_for_a_life(&mut self) {
        if self.lives.is_empty() {
            return;
        }
        let index = self.random.below(self.lives.len() as u64) as usize;
        let (job, life) = self.lives[index];
        let event = self.event(job);
        let change = Change::Event {
            event,
            only: Some(Only::Life(life)),
            terms: Terms::default(),
        };
        self.ask(job, change);
    }

    fn some_life(&mut self, job: usize) -> Option<LifeId> {
        let lives = self.lives.iter().rev().filter(|(of, _)| *of == job);
        let lives: Vec<_> = lives.take(3).map(|(_, life)| *life).collect();
        (!lives.is_empty()).then(|| self.random.pick(&lives))
    }

    fn ask(&mut self, job: usize, change: Change) {
        let job = self.options.names[job].clone();
        self.put(vec![Proposal { job, change }]);
    }

    /// Asks for changes. Without a journal they are answered at once.
    fn put(&mut self, proposals: Vec<Proposal>) {
        let number = self.puts.begin(&proposals, &circumstances!(self));
        self.note(|| format!("put {number}: {}", told(&proposals)));
        if let Some(journal) = &self.server.journal {
            self.waiting.push((number, journal.submit(proposals)));
            return;
        }
        let order = self.server.jobs.order();
        let (ids, error) = match proposals.len() {
            1 => match order.put_one(proposals.into_iter().next().expect("there is one")) {
                Ok(id) => (vec![id], None),
                Err(error) => (Vec::new(), Some(error)),
            },
            _ => order.put(proposals),
        };
        self.take_applied();
        self.answered(&Answer { number, ids, error });
    }

    fn answered(&mut self, answer: &Answer) {
        let Answer { number, ids, error } = answer;
        self.note(|| format!("put {number} is answered {ids:?} {error:?}"));
        let now = circumstances!(self);
        let promised = self.puts.answered(answer, &now);
        self.model.promised.extend(promised);
    }

    /// Asks for a change of a job, and waits for the answer.
    pub fn put_one(&mut self, job: usize, change: Change) -> Result<EventId, PublishError> {
        let name = self.options.names[job].clone();
        let before = self.server.jobs.hub().published();
        self.ask(job, change);
        for _ in 0..100 {
            self.work();
            self.settle();
            if !self.puts.has_open() {
                break;
            }
            self.time.pass(REST);
        }
        let hub = self.server.jobs.hub();
        let newest = hub.life(&name).map(|life| life.last);
        match newest.filter(|&newest| newest > before) {
            Some(id) => Ok(id),
            None => Err(PublishError::Full),
        }
    }

    /// Deletes a job.
    pub fn delete_one(&mut self, job: usize) -> Result<EventId, PublishError> {
        let deletion = self.server.jobs.deletion(None);
        self.put_one(job, deletion)
    }

    /// Has the model know what was applied.
    fn take_applied(&mut self) {
        for (id, entry, refusal) in self.server.jobs.hub().drain_tap() {
            if refusal.is_some() {
                // Nothing is written that isn't taken.
                assert!(
                    self.server.journal.is_none(),
                    "{id} is refused: {refusal:?}"
                );
                continue;
            }
            self.model.apply(id, &entry, self.step);
            self.model.settled = None;
            self.puts.applied(id, &entry);
            if self
                .options
                .journal
                .as_ref()
                .is_some_and(|it| it.sync == SyncPolicy::Always)
            {
                self.model.promised.insert(id.0);
            }
            let job = self.model.number_of(&entry.job);
            if let Change::Begin { .. } = entry.change {
                self.lives.push((job, LifeId(id)));
            }
        }
    }

    /// Has publishers know what they are answered.
    fn take_answers(&mut self) {
        if self.disk.is_down() {
            return;
        }
        for (number, waiting) in std::mem::take(&mut self.waiting) {
            match waiting.take() {
                None => self.waiting.push((number, waiting)),
                Some(answer) => {
                    let (ids, error) = answer.expect("a journal that goes on answers");
                    self.answered(&Answer { number, ids, error });
                }
            }
        }
    }

    /// One of the journal's threads does something.
    fn work(&mut self) {
        let Some(journal) = self.server.journal.clone() else {
            return;
        };
        let which = self.random.below(12);
        let (what, works) = match which {
            0..5 => ("the writer writes", journal.write()),
            5 | 6 => ("the medium has it", journal.sync()),
            7 => ("the writer hears of the medium", journal.tell_synced()),
            8 => ("the writer's time has come", journal.tick()),
            9 => ("a piece is read", journal.read_one()),
            10 if !journal.calls_keeper() => return,
            _ => ("the keeper looks", self.keep()),
        };
        self.note(|| format!("{what}: {works}"));
    }

    /// The keeper looks, and the writer goes on meanwhile.
    fn keep(&mut self) -> bool {
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

    fn break_disk(&mut self) {
        let fault = match self.disk.fault() {
            Some(_) => None,
            None => Some(self.random.pick(&Fault::ALL)),
        };
        self.note(|| format!("the disk fails: {fault:?}"));
        self.disk.fail(fault);
    }

    fn turn(&mut self) {
        let has_more = self.server.shard.turn();
        self.note(|| format!("the shard's turn; it has more to do: {has_more}"));
    }

    fn new_reader(&mut self) -> Reader {
        let follows = match self.random.below(4) {
            0 | 1 => Follows::One(self.job()),
            2 => {
                let mut listed = Vec::new();
                for job in 0..self.options.names.len() {
                    if self.random.one_in(2) || listed.is_empty() {
                        listed.push((job, None));
                    }
                }
                Follows::Listed(listed)
            }
            _ => Follows::Matching(self.random.pick(&["", "a.", "b."]).into()),
        };
        let replay = self.random.pick(&["", "", "", "latest", "none"]);
        let is_slow = self.random.one_in(4);
        Reader::new(follows, replay, is_slow)
    }

    fn reader(&mut self) -> usize {
        self.random.below(self.readers.len() as u64) as usize
    }

    fn connect(&mut self) {
        let index = self.reader();
        if self.readers[index].is_connected() {
            return;
        }
        if self.random.one_in(10) {
            self.readers[index] = self.new_reader();
        }
        if self.random.one_in(30) {
            let strange =
                self.random
                    .pick(&["x", "-1", "9007199254740991", "99999999999999999999"]);
            self.readers[index].last = Some(strange.into());
        }
        self.resume(index);
    }

    /// A reader asks for its stream.
    pub fn resume(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let said = reader.connect(&self.server, &self.model, self.step);
        self.note(|| format!("reader {index} asks for {said}"));
    }

    /// Adds a reader, and has it connect.
    pub fn follow(&mut self, follows: Follows) -> usize {
        self.readers.push(Reader::new(follows, "", false));
        let index = self.readers.len() - 1;
        self.resume(index);
        index
    }

    fn disconnect(&mut self) {
        let index = self.reader();
        self.drop_reader(index);
    }

    /// A reader goes away.
    pub fn drop_reader(&mut self, index: usize) {
        self.note(|| format!("reader {index} goes away"));
        self.readers[index].drop_connection();
    }

    fn read_slowly(&mut self) {
        let index = self.reader();
        let most = self.random.between(1, 3000) as usize;
        self.read(index, most);
    }

    /// Whether anything came.
    fn read(&mut self, index: usize, most: usize) -> bool {
        let reader = &mut self.readers[index];
        let before = reader.bytes();
        let said = reader.read(most, self.step);
        for said in &said {
            self.note(|| {
                let follows = &self.readers[index].follows;
                format!("reader {index} ({follows:?}) gets {said:?}")
            });
        }
        self.readers[index].take(&said, &self.server, &self.model);
        self.readers[index].bytes() != before
    }

    fn pass_time(&mut self) {
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
    }

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

    fn restart_memory(&mut self) {
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

    fn restart_journal(&mut self, end: End) {
        let kept = (end == End::Unpowered).then(|| Contents::of(&self.disk.kept()));
        self.disk.restart();
        if end == End::Unpowered {
            self.disk.lose_power();
        }
        let left = Left {
            seen: Contents::of(&self.disk.seen()),
            kept,
        };
        let uncertain = left.reconcile(&mut self.model, &mut self.puts);
        self.server = start(&self.options, &self.disk);
        restart::check(&mut self.model, self.server.jobs.hub(), &uncertain);
    }

    /// What is done after every step.
    fn settle(&mut self) {
        self.take_applied();
        self.take_answers();
        self.read_all();
        if self.disk.is_down() {
            let end = self.random.pick(&[End::Killed, End::Unpowered]);
            self.restart(end);
        }
    }

    /// Who reads all that comes does.
    fn read_all(&mut self) {
        for index in 0..self.readers.len() {
            if !self.readers[index].is_slow {
                self.read(index, usize::MAX);
            }
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
            let mut has_more = self.server.shard.turn();
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
            if has_more {
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

fn start(options: &Options, disk: &Disk) -> Server {
    match &options.journal {
        None => Server::in_memory(options.hub.clone()),
        Some(journal) => Server::with_journal(options.hub.clone(), journal.clone(), disk)
            .expect("what there is can be read"),
    }
}

fn told(proposals: &[Proposal]) -> String {
    let each = proposals.iter().map(|proposal| {
        let change = match &proposal.change {
            Change::Event { event, only, terms } => {
                let data = &event.data()[..event.data().len().min(12)];
                format!("{} {data} {only:?} {terms:?}", event.name())
            }
            other => format!("{other:?}"),
        };
        format!("{} {change}", proposal.job)
    });
    each.collect::<Vec<_>>().join(", ")
}

//! A made-up world: publishers, readers and a server, a step at a time.

use std::time::Duration;

use super::model::Model;
use super::options::Options;
use super::puts::Puts;
use super::random::Random;
use super::reader::{Follows, Reader};
use super::server::Server;
use super::trace::Trace;
use crate::event::Event;
use crate::event::job::{EventId, LifeId};
use crate::hub::{After, Change, Only, Owner, Terms};
use crate::sequencer::{Proposal, PublishError};
use crate::stream::ShardConfig;
use crate::sys::clock::simulated::Simulated;

/// When the worlds begin, in seconds of the unix clock.
const BEGINNING: u64 = 1_800_000_000;
/// Turns of the shard after which it must have come to rest.
const TURNS_MAX: usize = 100_000;
/// How often nothing has to happen in a row, and how much time passes between.
const REST_TURNS: usize = 20;
const REST: Duration = Duration::from_millis(2);

/// A world.
pub struct World<'a> {
    options: Options,
    random: Random,
    time: Simulated,
    /// How far the unix clock was set back.
    set_back: Duration,
    server: Server,
    model: Model,
    puts: Puts,
    readers: Vec<Reader>,
    /// Lives that somebody still works for, most of them over.
    lives: Vec<(usize, LifeId)>,
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
    pub fn with(options: Options, random: Random, trace: &Trace) -> World<'_> {
        let time = Simulated::beginning(Duration::from_secs(BEGINNING));
        trace.note(0, || format!("{options:?}"));
        let server = Server::in_memory(options.hub.clone(), ShardConfig::default());
        let mut model = Model::new(&options.names);
        model.newest = server.published();
        World {
            options,
            random,
            time,
            set_back: Duration::ZERO,
            server,
            model,
            puts: Puts::default(),
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
            _ if self.random.one_in(self.options.restarts / 50) => self.restart(),
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
        let _ = self.put(proposals);
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
        let _ = self.put_one(job, begin);
    }

    fn delete(&mut self) {
        let job = self.job();
        let only = match self.random.below(3) {
            0 => self.some_life(job),
            _ => None,
        };
        let deletion = self.server.jobs.deletion(only);
        let _ = self.put_one(job, deletion);
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
        let _ = self.put_one(job, begin);
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
        let _ = self.put_one(job, change);
    }

    fn some_life(&mut self, job: usize) -> Option<LifeId> {
        let lives = self.lives.iter().rev().filter(|(of, _)| *of == job);
        let lives: Vec<_> = lives.take(3).map(|(_, life)| *life).collect();
        (!lives.is_empty()).then(|| self.random.pick(&lives))
    }

    /// Asks for a change of a job.
    pub fn put_one(&mut self, job: usize, change: Change) -> Result<EventId, PublishError> {
        let job = self.options.names[job].clone();
        let (ids, error) = self.put(vec![Proposal { job, change }]);
        error.map_or_else(|| Ok(ids[0]), Err)
    }

    /// Deletes a job.
    pub fn delete_one(&mut self, job: usize) -> Result<EventId, PublishError> {
        let deletion = self.server.jobs.deletion(None);
        self.put_one(job, deletion)
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

    /// Adds a reader, and has it connect.
    pub fn follow(&mut self, follows: Follows) -> usize {
        self.readers.push(Reader::new(follows, "", false));
        let index = self.readers.len() - 1;
        self.resume(index);
        index
    }

    /// A reader goes away.
    pub fn drop_reader(&mut self, index: usize) {
        self.note(|| format!("reader {index} goes away"));
        self.readers[index].drop_connection();
    }

    fn put(&mut self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        let number = self.puts.begin(&proposals, &self.model);
        self.note(|| format!("put {number}: {}", told(&proposals)));
        let order = self.server.jobs.order();
        let (ids, error) = match proposals.len() {
            1 => match order.put_one(proposals.into_iter().next().expect("there is one")) {
                Ok(id) => (vec![id], None),
                Err(error) => (Vec::new(), Some(error)),
            },
            _ => order.put(proposals),
        };
        self.take_applied();
        self.answered(number, &ids, error);
        (ids, error)
    }

    fn answered(&mut self, number: u64, ids: &[EventId], error: Option<PublishError>) {
        self.note(|| format!("put {number} is answered {ids:?} {error:?}"));
        self.puts.answered(number, ids, error, &self.model);
    }

    /// Has the model know what was applied.
    fn take_applied(&mut self) {
        for (id, entry, refusal) in self.server.jobs.hub().drain_tap() {
            if refusal.is_some() {
                continue;
            }
            self.model.apply(id, &entry, self.step);
            self.puts.bind(id, &entry);
            let job = self.model.number_of(&entry.job);
            if let Change::Begin { .. } = entry.change {
                self.lives.push((job, LifeId(id)));
            }
        }
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
        let said = reader.connect(&self.server.front, &self.server, &self.model, self.step);
        self.note(|| format!("reader {index} asks for {said}"));
    }

    fn disconnect(&mut self) {
        let index = self.reader();
        self.drop_reader(index);
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
                format!(
                    "reader {index} ({:?}) gets {said:?}",
                    self.readers[index].follows
                )
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

    fn restart(&mut self) {
        self.note(|| "the server is started anew".into());
        self.readers.iter_mut().for_each(Reader::drop_connection);
        // Numbers are of microseconds, of a clock that is right again by then.
        let set_back = std::mem::take(&mut self.set_back);
        self.time.pass(set_back + Duration::from_secs(1));
        self.server = Server::in_memory(self.options.hub.clone(), ShardConfig::default());
        let before = self.model.newest;
        self.model = Model::new(&self.options.names);
        self.model.newest = self.server.published();
        self.lives.clear();
        assert!(self.model.newest > before, "numbers begin again");
    }

    /// What is done after every step.
    fn settle(&mut self) {
        self.take_applied();
        for index in 0..self.readers.len() {
            if !self.readers[index].is_slow {
                self.read(index, usize::MAX);
            }
        }
    }

    /// Everything that is under way comes to its end.
    pub fn come_to_rest(&mut self) {
        self.note(|| "everything comes to rest".into());
        let mut rest = 0;
        for _ in 0..TURNS_MAX {
            let mut has_more = self.server.shard.turn();
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
        self.model.check_all(self.server.jobs.hub());
        for (index, reader) in self.readers.iter().enumerate() {
            self.note(|| format!("reader {index} ({:?}) has all", reader.follows));
            reader.check_rest(&self.server, &self.model);
        }
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

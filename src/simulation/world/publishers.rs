//! What publishers ask for, and what they are answered.

use std::time::Duration;

use super::World;
use crate::access::places::Occupant;
use crate::event::job::{EventId, LifeId};
use crate::event::{Content, Event, Lease};
use crate::hub::{After, Change, Once, Only, Owner, Terms};
use crate::sequencer::journal::SyncPolicy;
use crate::sequencer::{Health, Proposal, PublishError};
use crate::simulation::puts::{Answer, Circumstances};
use crate::sys::clock;

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

impl World<'_> {
    pub(super) fn job(&mut self) -> usize {
        self.random.below(self.options.names.len() as u64) as usize
    }

    pub(super) fn event(&mut self, job: usize) -> Event {
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

    pub(super) fn terms(&mut self) -> Terms {
        let lease = self.random.one_in(4).then(|| self.lease());
        let once = self.random.one_in(4).then(|| {
            self.next_event += 1;
            Box::new(self.once(self.next_event))
        });
        Terms {
            lease,
            once,
            ..Terms::default()
        }
    }

    /// A key, and what it stands for.
    fn once(&mut self, number: u64) -> Once {
        let window_ms = self.random.pick(&[300, 20_000, 600_000]);
        Once {
            key: format!("k{number}").parse().expect("it is a key"),
            content: Content::of([number.to_string().as_bytes()]),
            until_ms: clock::now_ms().max(self.model.time_ms) + window_ms,
        }
    }

    /// Somebody who may not have had an answer asks again, or uses a key for something else.
    pub(super) fn repeat(&mut self) {
        if self.keyed.is_empty() {
            return;
        }
        let last = self.keyed.len() as u64;
        let index = last - 1 - self.random.below(last.min(8));
        let (job, mut change) = self.keyed[index as usize].clone();
        let mut once = self.once(0);
        if let (Some(first), Change::Event { terms, .. } | Change::Begin { terms, .. }) =
            (change.once().copied(), &mut change)
        {
            once.key = first.key;
            if !self.random.one_in(4) {
                once.content = first.content;
            }
            terms.once = Some(Box::new(once));
        }
        self.ask(job, change);
    }

    pub(super) fn lease(&mut self) -> Lease {
        let seconds = self.random.pick(&[1, 30, 3600]);
        Lease::new(Duration::from_secs(seconds)).expect("it is a lease")
    }

    pub(super) fn publish(&mut self) {
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
                terms: self.terms(),
            };
            proposals.push(Proposal { job, change });
        }
        self.put(proposals);
    }

    pub(super) fn begin(&mut self) {
        let job = self.job();
        let after = self
            .random
            .pick(&[After::Ended, After::Ended, After::Running]);
        let owner = Owner::Worker;
        let terms = self.terms();
        let begin = Change::Begin {
            owner,
            after,
            terms,
        };
        self.ask(job, begin);
    }

    pub(super) fn delete(&mut self) {
        let job = self.job();
        let only = match self.random.below(3) {
            0 => self.some_life(job),
            _ => None,
        };
        let deletion = self.server.jobs.deletion(only);
        self.ask(job, deletion);
    }

    /// An upload lands, or one that has failed is tried again.
    pub(super) fn upload(&mut self) {
        let job = self.job();
        let after = match self.some_life(job) {
            Some(life) if self.random.one_in(3) => After::Failed(life),
            _ => self
                .random
                .pick(&[After::FailedUpload, After::FailedUpload, After::Ended]),
        };
        let owner = Owner::Upload;
        let client = Occupant {
            network: None,
            token: Some(self.random.below(3)),
        };
        let terms = Terms {
            client: Some(Box::new(client)),
            ..self.terms()
        };
        let begin = Change::Begin {
            owner,
            after,
            terms,
        };
        self.ask(job, begin);
    }

    /// A stage says how far it is, of a life that may be long over.
    pub(super) fn work_for_a_life(&mut self) {
        if self.lives.is_empty() {
            return;
        }
        let index = self.random.below(self.lives.len() as u64) as usize;
        let (job, life) = self.lives[index];
        let event = self.event(job);
        let change = Change::Event {
            event,
            only: Some(Only::Life(life)),
            terms: self.terms(),
        };
        self.ask(job, change);
    }

    /// A worker says that it is still there, perhaps of a life that is long over.
    pub(super) fn renew(&mut self) {
        let job = self.job();
        let lease = self.lease();
        let only = self.random.one_in(2).then(|| self.some_life(job)).flatten();
        self.ask(
            job,
            Change::Renew {
                lease,
                only,
                once: None,
            },
        );
    }

    /// Somebody has a worker end its job, perhaps of a life that is long over.
    pub(super) fn cancel(&mut self) {
        let job = self.job();
        let grace_ms = self.random.pick(&[1, 1000, 30_000]);
        let only = self.random.one_in(2).then(|| self.some_life(job)).flatten();
        self.ask(job, Change::Cancel { grace_ms, only });
    }

    pub(super) fn some_life(&mut self, job: usize) -> Option<LifeId> {
        let lives = self.lives.iter().rev().filter(|(of, _)| *of == job);
        let lives: Vec<_> = lives.take(3).map(|(_, life)| *life).collect();
        (!lives.is_empty()).then(|| self.random.pick(&lives))
    }

    /// Asks for a change of a job, and doesn't wait.
    pub fn ask(&mut self, job: usize, change: Change) {
        let job = self.options.names[job].clone();
        self.put(vec![Proposal { job, change }]);
    }

    /// Asks for changes. Without a journal they are answered at once.
    pub(super) fn put(&mut self, proposals: Vec<Proposal>) {
        for proposal in proposals.iter().filter(|it| it.change.once().is_some()) {
            let job = self.model.number_of(&proposal.job);
            self.keyed.push((job, proposal.change.clone()));
        }
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
        self.answered(Answer { number, ids, error });
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { number, ids, error } = &answer;
        self.note(|| format!("put {number} is answered {ids:?} {error:?}"));
        let now = circumstances!(self);
        let promised = self.puts.answered(&answer, &now);
        // What was written before it is on the medium, too.
        let newest = promised.iter().max().copied().unwrap_or_default();
        let entries = self.model.entries.iter().map(|(id, _)| id.0);
        let before: Vec<u64> = entries.take_while(|&id| id <= newest).collect();
        self.model.promised.extend(before);
        self.last_answer = Some(answer);
    }

    /// Asks for a change of a job, and waits for the answer: its number.
    pub fn put_one(&mut self, job: usize, change: Change) -> Result<EventId, PublishError> {
        self.ask(job, change);
        self.answer_all();
        let answer = self.last_answer.take().expect("it is answered");
        answer.error.map_or_else(|| Ok(answer.ids[0]), Err)
    }

    /// Everything that was asked for is answered.
    pub fn answer_all(&mut self) {
        self.settle();
        while self.puts.has_open() {
            let journal = self.server.journal.clone().expect("memory answers at once");
            let works = journal.write() || journal.sync() || journal.tell_synced();
            assert!(works, "nobody works, and somebody waits");
            self.settle();
        }
    }

    /// Deletes a job.
    pub fn delete_one(&mut self, job: usize) -> Result<EventId, PublishError> {
        let deletion = self.server.jobs.deletion(None);
        self.put_one(job, deletion)
    }

    /// Has the model know what was applied.
    pub(super) fn take_applied(&mut self) {
        for (id, entry, refusal) in self.server.jobs.hub().drain_tap() {
            if refusal.is_some() {
                // Nothing is written that isn't taken, but that a job is to be forgotten, which may
                // have been deleted meanwhile.
                assert!(
                    self.server.journal.is_none() || matches!(entry.change, Change::Forget { .. }),
                    "{id} is refused: {refusal:?}: {entry:?}"
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
    pub(super) fn take_answers(&mut self) {
        if self.disk.is_down() {
            return;
        }
        for (number, waiting) in std::mem::take(&mut self.waiting) {
            match waiting.take() {
                None => self.waiting.push((number, waiting)),
                Some(answer) => {
                    let (ids, error) = answer.expect("a journal that goes on answers");
                    self.answered(Answer { number, ids, error });
                }
            }
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

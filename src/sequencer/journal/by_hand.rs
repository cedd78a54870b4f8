//! A journal without threads, for a simulation: whoever has it does their work, a step at a
//! time.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::checkpoint::{self, OpenedCheckpoint};
use super::desk::{WriterDesk, ask};
use super::keeper::Keeper;
pub use super::record::RESERVED;
use super::record::{ChangeRecord, EntryRecord, MAGIC, Record, SegmentNumber, decode};
use super::reply::{AwaitedReply, pair};
use super::restore::has_begun_in;
use super::scan::{Scan, SegmentPiece};
use super::segment::{parse_file_name, parse_unnamed_file};
use super::writer::{JournalCommand, JournalWriter, Put, SyncJob, Synced, Syncer};
use super::{Files, JournalConfig, JournalShared, restore};
use crate::event::Event;
use crate::event::job::{EventId, JobId};
use crate::hub::{After, Change, Entry, Hub, Once};
use crate::sequencer::history::ReplayRequest;
use crate::sequencer::{Health, Order, Proposal, PublishError};
use crate::sys::channel::{self, Receiver, Sender};

/// What the writer's thread would have.
struct Bench {
    writer: JournalWriter,
    commands: Receiver<JournalCommand>,
}

/// What the syncer's thread would have.
struct Medium {
    shared: Arc<JournalShared>,
    jobs: Receiver<SyncJob>,
    synced: Sender<Synced>,
    /// What it has begun with.
    begun: Mutex<Option<SyncJob>>,
}

/// Hands commands over, and has them carried out where somebody waits.
#[derive(Clone)]
struct Hand {
    commands: Sender<JournalCommand>,
    bench: Arc<Mutex<Bench>>,
    medium: Arc<Medium>,
}

/// A journal without threads.
pub struct JournalByHand {
    shared: Arc<JournalShared>,
    hand: Hand,
    keeper: Mutex<Keeper<Hand>>,
    calls: Receiver<()>,
    asked: Mutex<VecDeque<ReplayRequest>>,
}

/// Somebody waits for this.
pub struct JournalWaiting(AwaitedReply<Put>);

/// An entry, as it stands in a segment.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: EventId,
    pub time_ms: u64,
    pub job: String,
    /// What it changes, of any life, and after any.
    pub change: Change,
    /// The number of the job's event before it, or zero, where it is an event.
    pub previous: Option<EventId>,
    /// Whether what comes after it is another life, which follows on nothing.
    pub is_end: bool,
}

impl JournalByHand {
    /// Opens a journal, as [`Journal::open_in`] does.
    pub fn open(
        files: Arc<dyn Files>,
        config: JournalConfig,
        hub: &Hub,
    ) -> io::Result<JournalByHand> {
        let shared = Arc::new(JournalShared::new(config, files));
        let found = restore::restore(&shared, hub)?;
        let (commands, received) = channel::unbounded();
        let (call, calls) = channel::bounded(1);
        let next_checkpoint = found.next_checkpoint;
        let (mut syncer, jobs, synced) = Syncer::without_thread();
        let medium = Arc::new(Medium {
            shared: shared.clone(),
            jobs,
            synced,
            begun: Mutex::default(),
        });
        let awaited = medium.clone();
        syncer.before_wait = Some(Box::new(move || {
            awaited.end_sync();
        }));
        let bench = Bench {
            writer: JournalWriter::new(shared.clone(), hub.clone(), found, call, syncer),
            commands: received,
        };
        let hand = Hand {
            commands,
            bench: Arc::new(Mutex::new(bench)),
            medium,
        };
        Ok(JournalByHand {
            keeper: Mutex::new(Keeper::new(
                shared.clone(),
                hub.clone(),
                hand.clone(),
                next_checkpoint,
            )),
            shared,
            hand,
            calls,
            asked: Mutex::default(),
        })
    }

    /// Asks for changes, and doesn't wait.
    pub fn submit(&self, proposals: Vec<Proposal>) -> JournalWaiting {
        let (reply, answer) = pair();
        self.hand.hand(JournalCommand::Put(proposals, reply));
        JournalWaiting(answer)
    }

    /// What the writer does about what there is. False where there is nothing.
    pub fn write(&self) -> bool {
        self.hand.bench.lock().write()
    }

    /// The medium begins with what is to be brought there. False where nothing is.
    pub fn begin_sync(&self) -> bool {
        self.hand.medium.begin_sync()
    }

    /// Brings to the medium what is to be brought there; that it is, the writer doesn't know
    /// yet. False where nothing is.
    pub fn sync(&self) -> bool {
        self.hand.medium.end_sync()
    }

    /// Tells the writer what has become of that. False where there is nothing to tell.
    pub fn tell_synced(&self) -> bool {
        self.hand.bench.lock().tell_synced()
    }

    /// What the writer does when it is time. False where it isn't.
    pub fn tick(&self) -> bool {
        let mut bench = self.hand.bench.lock();
        let is_due = bench.writer.until_tick().is_zero();
        if is_due {
            bench.writer.tick();
        }
        is_due
    }

    /// Whether the keeper is called for.
    pub fn calls_keeper(&self) -> bool {
        self.calls.try_recv().is_ok()
    }

    /// What the keeper does when it looks.
    pub fn keep(&self) {
        self.keeper.lock().look();
    }

    /// Reads one piece for a stream. False where none is asked for, or the shard has to take
    /// others first.
    pub fn read_one(&self) -> bool {
        let mut asked = self.asked.lock();
        if asked.front().is_none_or(|next| next.reply.is_full()) {
            return false;
        }
        let Some(request) = asked.pop_front() else {
            return false;
        };
        drop(asked);
        let (reply, mailbox) = (request.reply.clone(), request.mailbox.clone());
        let replay = self.shared.answer(request);
        if reply.try_send(replay).is_ok() {
            mailbox.post_any();
            mailbox.wake();
        }
        true
    }

    /// Whatever does the writer's work while the keeper is at its own.
    pub fn helper(&self) -> impl FnMut() + Send + 'static {
        let bench = self.hand.bench.clone();
        move || {
            // The keeper may wait for the writer right now.
            if let Some(mut bench) = bench.try_lock() {
                bench.write();
            }
        }
    }
}

impl Bench {
    fn write(&mut self) -> bool {
        let Ok(command) = self.commands.try_recv() else {
            return false;
        };
        if let Some(reply) = self.writer.turn(command, &self.commands) {
            self.writer.close();
            reply.answer(());
        }
        true
    }

    fn tell_synced(&mut self) -> bool {
        let Ok(synced) = self.writer.syncer.results.try_recv() else {
            return false;
        };
        self.writer.synced(synced);
        true
    }
}

impl Medium {
    fn begin_sync(&self) -> bool {
        let Ok(job) = self.jobs.try_recv() else {
            return false;
        };
        job.begin();
        *self.begun.lock() = Some(job);
        true
    }

    fn end_sync(&self) -> bool {
        let begun = self.begun.lock().take();
        let Some(job) = begun.or_else(|| self.jobs.try_recv().ok()) else {
            return false;
        };
        let sent = self.synced.try_send(job.carry_out(&self.shared));
        assert!(sent.is_ok(), "the writer asks for one at a time");
        true
    }
}

impl WriterDesk for Hand {
    fn hand(&self, command: JournalCommand) -> bool {
        self.commands.send(command).is_ok()
    }

    fn wait<T>(&self, answer: AwaitedReply<T>) -> Option<T> {
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            let mut bench = self.bench.lock();
            let works = bench.write() || self.medium.end_sync() || bench.tell_synced();
            assert!(
                works,
                "somebody waits for an answer, and nobody works on it"
            );
        }
    }
}

impl JournalWaiting {
    /// The answer, where there is one; the inner one is none where nobody will give one.
    pub fn take(&self) -> Option<Option<Put>> {
        self.0.take()
    }
}

impl Order for JournalByHand {
    fn put(&self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        let waiting = self.submit(proposals);
        loop {
            if let Some(answer) = waiting.take() {
                return answer.unwrap_or((Vec::new(), Some(PublishError::DiskFailing)));
            }
            if self.write() || self.sync() || self.tell_synced() || self.tick() {
                continue;
            }
            assert!(self.calls_keeper(), "somebody waits, and nobody works");
            self.keep();
        }
    }

    fn history(&self, job: &JobId) -> Option<EventId> {
        self.shared.history(job)
    }

    fn kept_from(&self) -> EventId {
        self.shared.segments.kept_from()
    }

    fn is_current(&self, sources: &[(JobId, EventId)]) -> bool {
        self.shared.index.lock().are_current(sources)
    }

    fn read(&self, request: ReplayRequest) {
        self.asked.lock().push_back(request);
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn close(&self) {
        ask(&self.hand, JournalCommand::Close);
    }
}

/// What checkpoints tell of, whether or not a segment has it.
#[derive(Default)]
pub struct ToldOf {
    /// All up to this number, ...
    upto: EventId,
    /// ... and of a job, maybe, more.
    jobs: BTreeMap<String, EventId>,
}

impl ToldOf {
    /// Whether they tell of an entry of this job.
    pub fn has(&self, job: &str, id: EventId) -> bool {
        id <= self.upto || self.jobs.get(job).is_some_and(|&last| id <= last)
    }
}

/// What stands in a journal's files.
#[derive(Default)]
pub struct Contents {
    /// The entries, in their order.
    pub entries: Vec<Written>,
    /// What came up to this number isn't in any segment any more: checkpoints tell of it.
    pub dropped: EventId,
    /// What checkpoints tell of.
    pub told: ToldOf,
}

impl Contents {
    /// What the next life finds in these, where the host has this boot by then; without one,
    /// what is there for sure.
    pub fn of(files: &[(String, Vec<u8>)], boot: Option<[u8; 16]>) -> Contents {
        let mut contents = Contents::default();
        let mut is_first = true;
        let mut last = None;
        for (name, content) in files {
            if let Some(number) = checkpoint::parse_file_name(name)
                && let OpenedCheckpoint::Whole(whole) = checkpoint::open(content, number)
            {
                contents.told.upto = contents.told.upto.max(whole.head.newest);
                let jobs = whole.jobs().map(|it| (it.job.to_owned(), it.life.last));
                contents.told.jobs.extend(jobs);
            }
            let goes_on = |segment: &SegmentNumber| {
                let is_next = last == segment.0.checked_sub(1).map(SegmentNumber);
                is_next && boot.is_some_and(|boot| has_begun_in(boot, content, *segment))
            };
            let unnamed = parse_unnamed_file(name).filter(goes_on);
            let Some(segment) = parse_file_name(name).or(unnamed) else {
                continue;
            };
            last = Some(segment);
            for piece in Scan::new(content, segment, MAGIC, decode) {
                match piece {
                    SegmentPiece::Record {
                        record: Record::Entry(entry),
                        ..
                    } => contents.entries.extend(Written::of(&entry)),
                    SegmentPiece::Record {
                        record: Record::Open { newest, .. },
                        ..
                    } if is_first => {
                        contents.dropped = newest;
                        is_first = false;
                    }
                    _ => {}
                }
            }
        }
        contents
    }
}

/// Whether the server itself says it: a lease has run out, or a grace.
fn is_own(data: &str) -> bool {
    data.contains(r#""reason":"stalled""#) || data.contains(r#""reason":"cancelled""#)
}

impl Written {
    /// None where it can't have been accepted.
    fn of(entry: &EntryRecord<'_>) -> Option<Written> {
        let previous = match entry.change {
            ChangeRecord::Event { previous, .. } => Some(previous),
            _ => None,
        };
        let is_end = match entry.change {
            ChangeRecord::Begin { replaces, .. } => replaces,
            ChangeRecord::Delete { .. } | ChangeRecord::Forget { .. } => true,
            _ => false,
        };
        let change = match entry.change.clone() {
            ChangeRecord::Event {
                name,
                data,
                names_its_job,
                terms,
                ..
            } => Change::Event {
                event: Event::restored(name, data, names_its_job, &entry.job.parse().ok()?)?,
                only: None,
                terms,
            },
            ChangeRecord::Begin { owner, terms, .. } => Change::Begin {
                owner,
                after: After::Ended,
                terms,
            },
            ChangeRecord::Renew { lease, once } => Change::Renew {
                lease,
                only: None,
                once,
            },
            ChangeRecord::Cancel { grace_ms } => Change::Cancel {
                grace_ms,
                only: None,
            },
            ChangeRecord::Delete { until_ms } => Change::Delete {
                until_ms,
                only: None,
            },
            ChangeRecord::Forget { last } => Change::Forget { last },
        };
        Some(Written {
            id: entry.id,
            time_ms: entry.time_ms,
            job: entry.job.to_owned(),
            change,
            previous,
            is_end,
        })
    }

    /// The entry, where the server itself has asked for it: it lets go of a job, or a lease
    /// has run out.
    pub fn own(&self) -> Option<Entry> {
        match &self.change {
            Change::Forget { .. } => {}
            Change::Event { event, .. } if is_own(event.data()) => {}
            _ => return None,
        }
        Some(Entry {
            job: self.job.parse().ok()?,
            time_ms: self.time_ms,
            change: self.change.clone(),
        })
    }

    /// Whether it is what somebody has asked for with this.
    pub fn is(&self, change: &Change) -> bool {
        // One whose time had come by then is written as one whose time has come.
        let late = |once: &mut Option<Box<Once>>| {
            if let Some(once) = once {
                once.until_ms = once.until_ms.max(self.time_ms);
            }
        };
        let mut asked = change.clone();
        match &mut asked {
            Change::Event { only, terms, .. } => {
                *only = None;
                late(&mut terms.once);
            }
            Change::Begin { after, terms, .. } => {
                *after = After::Ended;
                late(&mut terms.once);
            }
            Change::Renew { only, once, .. } => {
                *only = None;
                late(once);
            }
            Change::Cancel { only, .. } | Change::Delete { only, .. } => *only = None,
            Change::Forget { .. } => {}
        }
        self.change == asked
    }
}

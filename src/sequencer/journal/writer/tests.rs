//! The writer beside a medium that stands still, and beside a keeper that finds no room.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::{Condvar, Mutex};

use crate::event::Event;
use crate::event::job::EventId;
use crate::hub::{Change, Hub, HubConfig, Terms};
use crate::sequencer::journal::by_hand::{JournalByHand, JournalWaiting};
use crate::sequencer::journal::{Directory, File, Files, Journal, JournalConfig, SyncPolicy};
use crate::sequencer::{Proposal, PublishError, Sequencer};
use crate::sys::clock::simulated::Simulated;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the medium is waited for behind.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut is_shut = self.is_shut.lock();
        self.opened.wait_while(&mut is_shut, |is_shut| *is_shut);
    }

    fn shut(&self) {
        *self.is_shut.lock() = true;
    }

    fn open(&self) {
        *self.is_shut.lock() = false;
        self.opened.notify_all();
    }
}

/// A directory on a medium that stands still while the gate is shut.
struct Gated(Directory, Arc<Gate>);
struct GatedFile(Arc<dyn File>, Arc<Gate>);

impl Files for Gated {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.0.list()
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        let file = self.0.open(name, new)?;
        Ok(Arc::new(GatedFile(file, self.1.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_names()
    }
}

impl File for GatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
}

/// Jobs with segments of 1 KiB.
fn open(path: &Path, gate: &Arc<Gate>) -> Sequencer {
    let hub = Hub::new(HubConfig::default(), EventId(0));
    let config = JournalConfig {
        sync: SyncPolicy::Interval(Duration::from_millis(1)),
        bytes: 32 << 10,
        ..JournalConfig::default()
    };
    let files = Gated(Directory::new(path).unwrap(), gate.clone());
    let journal = Journal::open_in(Arc::new(files), config, &hub).unwrap();
    Sequencer::new(hub, Arc::new(journal))
}

/// Has another thread publish an event.
fn publish(jobs: &Sequencer, name: &str, event: &str) -> Receiver<Result<EventId, PublishError>> {
    let (sender, answer) = bounded(1);
    let (jobs, job) = (jobs.clone(), name.parse().unwrap());
    let data = format!("{{\"p\":\"{}\"}}", "x".repeat(200));
    let event = Event::new(event, &data).unwrap();
    std::thread::spawn(move || sender.send(jobs.publish(&job, event)));
    answer
}

#[test]
fn events_go_on_into_the_next_segment_while_the_medium_stands_still_and_ends_wait() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let jobs = open(folder.path(), &gate);
    gate.shut();
    for number in 1..=8 {
        let id = publish(&jobs, "a", "progress").recv_timeout(PATIENCE);
        assert_eq!(id.expect("nobody waits"), Ok(EventId(number)));
    }
    let done = publish(&jobs, "a", "done");
    let job = "a".parse().unwrap();
    let is_over = || {
        jobs.snapshot(&job)
            .is_some_and(|it| it.last_event_id == Some(EventId(9)))
    };
    let began = std::time::Instant::now();
    while !is_over() {
        assert!(began.elapsed() < PATIENCE, "the end isn't seen");
        std::thread::yield_now();
    }
    let has = |name: &str| folder.path().join(name).exists();
    assert!(done.is_empty(), "the medium hasn't got it");
    assert!(has("0000000002.journal.new"));
    assert!(!has("0000000002.journal"), "the one before it isn't whole");
    gate.open();
    assert_eq!(done.recv_timeout(PATIENCE).unwrap(), Ok(EventId(9)));
    assert!(has("0000000002.journal"));
    jobs.close();
    let again = open(folder.path(), &gate);
    assert_eq!(
        again.snapshot(&job).unwrap().last_event_id,
        Some(EventId(9))
    );
}

/// A journal that running jobs have filled, and how many they are. It has no threads: the keeper
/// looks where somebody waits for it, or is told to.
fn full(path: &Path) -> (Sequencer, Arc<JournalByHand>, usize) {
    let hub = Hub::new(HubConfig::default(), EventId(0));
    let config = JournalConfig {
        bytes: 256 << 10,
        ..JournalConfig::default()
    };
    let files = Arc::new(Directory::new(path).unwrap());
    let journal = Arc::new(JournalByHand::open(files, config, &hub).unwrap());
    let jobs = Sequencer::new(hub, journal.clone());
    let count = fill(&jobs, 0);
    (jobs, journal, count)
}

/// Begins jobs from this number on while there is room, and says up to which.
fn fill(jobs: &Sequencer, from: usize) -> usize {
    let mut number = from;
    while say(jobs, number, "progress").is_ok() {
        number += 1;
    }
    assert_eq!(say(jobs, number, "progress"), Err(PublishError::DiskFull));
    number
}

fn say(jobs: &Sequencer, number: usize, name: &str) -> Result<EventId, PublishError> {
    jobs.publish(
        &format!("job{number}").parse().unwrap(),
        event(number, name),
    )
}

/// When one of the first jobs ends there isn't room yet for what others say: when it is
/// forgotten there is.
fn event(number: usize, name: &str) -> Event {
    let bytes = match name {
        "done" => 0,
        _ if number < 5 => 3000,
        _ => 600,
    };
    Event::new(name, &format!("{{\"p\":\"{}\"}}", "x".repeat(bytes))).unwrap()
}

/// Asks for an event, and doesn't wait.
fn submit(journal: &JournalByHand, number: usize, name: &str) -> JournalWaiting {
    let job = format!("job{number}").parse().unwrap();
    let change = Change::Event {
        event: event(number, name),
        only: None,
        terms: Terms::default(),
    };
    journal.submit(vec![Proposal { job, change }])
}

/// The error that it was answered with, where it was answered.
fn answer(waiting: &JournalWaiting) -> Option<Option<PublishError>> {
    let put = waiting.take()?;
    Some(put.expect("somebody answers").1)
}

#[test]
fn a_job_that_ends_makes_room_whatever_the_keeper_has_found_before() {
    let folder = tempfile::tempdir().unwrap();
    let (jobs, _journal, mut count) = full(folder.path());
    for number in 0..5 {
        assert!(say(&jobs, number, "done").is_ok(), "{number}");
        let next = say(&jobs, count, "progress");
        assert!(next.is_ok(), "{number}: {next:?}");
        count = fill(&jobs, count + 1);
    }
}

#[test]
fn a_keeper_that_has_looked_before_a_job_ended_has_nobody_refused_who_came_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let (_jobs, journal, count) = full(folder.path());
    let ends = submit(&journal, 0, "done");
    journal.keep();
    let comes = submit(&journal, count, "progress");
    // The end, what the keeper says, and who came after that.
    while journal.write() {}
    while journal.sync() || journal.tell_synced() {}
    assert_eq!(answer(&ends), Some(None));
    assert_eq!(answer(&comes), None, "it waits for the keeper");
    assert!(journal.calls_keeper());
    journal.keep();
    while journal.write() || journal.sync() || journal.tell_synced() {}
    assert_eq!(answer(&comes), Some(None));
}

#[test]
fn each_that_waits_for_room_has_its_own_time_for_it() {
    let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
    let folder = tempfile::tempdir().unwrap();
    let (jobs, journal, count) = full(folder.path());
    // What the keeper has found is over with this, and it doesn't look again.
    assert!(say(&jobs, 0, "done").is_ok());
    let first = submit(&journal, count, "progress");
    while journal.write() {}
    time.pass(Duration::from_secs(3));
    let second = submit(&journal, count + 1, "progress");
    while journal.write() {}
    time.pass(Duration::from_secs(3));
    let third = submit(&journal, count + 2, "progress");
    while journal.write() || journal.tick() {}
    assert_eq!(answer(&first), Some(Some(PublishError::DiskFull)));
    assert_eq!((answer(&second), answer(&third)), (None, None));
    journal.keep();
    while journal.write() || journal.sync() || journal.tell_synced() {}
    assert_eq!(answer(&second), Some(None));
}

//! The writer's thread beside a medium that stands still.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::{Condvar, Mutex};

use crate::event::Event;
use crate::event::job::EventId;
use crate::hub::{Hub, HubConfig};
use crate::sequencer::journal::{Directory, File, Files, Journal, JournalConfig, SyncPolicy};
use crate::sequencer::{PublishError, Sequencer};

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

//! A file layer below the journal at which its writer comes to a fault.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use landfall::internals::hub::Hub;
use landfall::internals::sequencer::journal::{File, Files, Journal, JournalConfig};
use landfall::{Event, EventId, HubConfig};

/// Files in this folder.
pub struct Faulty(pub PathBuf);

struct Open(fs::File);

/// Publishes, which doesn't return.
pub fn publish(files: Faulty) {
    let hub = Hub::new(HubConfig::default(), EventId(0));
    let journal = Journal::open_in(Arc::new(files), JournalConfig::default(), &hub).unwrap();
    let jobs = landfall::internals::sequencer(hub, Arc::new(journal));
    let answer = jobs.publish(&"job".parse().unwrap(), Event::done());
    panic!("{answer:?} of a writer with a fault");
}

impl Files for Faulty {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(new).truncate(new);
        Ok(Arc::new(Open(options.open(self.0.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

impl File for Open {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // What is written at the start isn't written by the writer's own thread.
        let thread = std::thread::current();
        assert!(thread.name() != Some("journal"), "a fault on purpose");
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, into, offset)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

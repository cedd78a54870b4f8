//! A disk for tests: it remembers what was done to it, and can fail.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use landfall::internals::sequencer::journal::{File, Files};

/// What is done to a disk. Files have numbers, as names change.
#[derive(Clone, Debug)]
pub enum Operation {
    Create(String, usize),
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Sync(usize),
    Rename(String, String),
    Remove(String),
    SyncNames,
    /// Something that the test wants to know the time of.
    Mark(usize),
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write takes half of what it is given, and says that there is no room.
    Full,
    /// A write fails.
    Write,
    /// A sync fails.
    Sync,
    /// Nothing can be changed.
    ReadOnly,
}

#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    boot: [u8; 16],
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    log: Vec<Operation>,
    fault: Option<Fault>,
}

impl Disk {
    /// A disk with these files, after the boot of that number.
    pub fn with(boot: u8, files: &BTreeMap<String, Vec<u8>>) -> Disk {
        let disk = Disk::default();
        let mut state = disk.state();
        state.boot = [boot; 16];
        for (name, content) in files {
            let file = state.files.len();
            state.files.push(content.clone());
            state.names.insert(name.clone(), file);
        }
        drop(state);
        disk
    }

    pub fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let files = state.names.iter();
        files
            .map(|(name, &file)| (name.clone(), state.files[file].clone()))
            .collect()
    }

    pub fn log(&self) -> Vec<Operation> {
        self.state().log.clone()
    }

    pub fn mark(&self, mark: usize) {
        self.state().log.push(Operation::Mark(mark));
    }

    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, operation: Operation) -> io::Result<()> {
        let mut state = self.state();
        match (state.fault, &operation) {
            (Some(Fault::ReadOnly), _) => return Err(ErrorKind::ReadOnlyFilesystem.into()),
            (Some(Fault::Sync), Operation::Sync(_) | Operation::SyncNames)
            | (Some(Fault::Write), Operation::Write(..)) => {
                return Err(io::Error::from_raw_os_error(5));
            }
            (Some(Fault::Full), Operation::Write(file, offset, bytes)) => {
                let half = Operation::Write(*file, *offset, bytes[..bytes.len() / 2].to_vec());
                state.apply(&half);
                return Err(ErrorKind::StorageFull.into());
            }
            _ => {}
        }
        state.apply(&operation);
        state.log.push(operation);
        Ok(())
    }
}

impl State {
    fn apply(&mut self, operation: &Operation) {
        apply(operation, &mut self.names, &mut self.files);
    }
}

fn apply(operation: &Operation, names: &mut BTreeMap<String, usize>, files: &mut Vec<Vec<u8>>) {
    match operation {
        Operation::Create(name, file) => {
            names.insert(name.clone(), *file);
            if files.len() <= *file {
                files.resize(*file + 1, Vec::new());
            }
        }
        Operation::Write(file, offset, bytes) => {
            let (content, offset) = (&mut files[*file], *offset as usize);
            if content.len() < offset + bytes.len() {
                content.resize(offset + bytes.len(), 0);
            }
            content[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        Operation::Truncate(file, bytes) => files[*file].resize(*bytes as usize, 0),
        Operation::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Operation::Remove(name) => {
            names.remove(name);
        }
        Operation::Sync(_) | Operation::SyncNames | Operation::Mark(_) => {}
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let content = self.content();
        let files = content.into_iter();
        Ok(files
            .map(|(name, bytes)| (name, bytes.len() as u64))
            .collect())
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        let (there, next) = {
            let state = self.state();
            (state.names.get(name).copied(), state.files.len())
        };
        let file = match there {
            Some(file) if !new => file,
            None if !new => return Err(ErrorKind::NotFound.into()),
            _ => {
                self.change(Operation::Create(name.to_owned(), next))?;
                next
            }
        };
        Ok(Arc::new(OpenFile {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Operation::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Operation::Remove(name.to_owned()))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.change(Operation::SyncNames)
    }

    fn boot(&self) -> [u8; 16] {
        self.state().boot
    }
}

struct OpenFile {
    disk: Disk,
    file: usize,
}

impl File for OpenFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let write = Operation::Write(self.file, offset, bytes.to_vec());
        self.disk.change(write)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let content = &state.files[self.file];
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.disk.change(Operation::Truncate(self.file, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(Operation::Sync(self.file))
    }
}

/// What is left of a disk that loses its power after these operations: what was synced,
/// and of the rest, as `chance` says, each write whole, in part or not at all. Names
/// change in their order, but may not have come to the last one.
pub fn after_power_loss(
    log: &[Operation],
    mut chance: impl FnMut(u64) -> u64,
) -> BTreeMap<String, Vec<u8>> {
    let last = |wanted: &dyn Fn(&Operation) -> bool| log.iter().rposition(wanted);
    let names_synced = last(&|o| matches!(o, Operation::SyncNames));
    let unsynced_names: Vec<usize> = (0..log.len())
        .filter(|&at| names_synced.is_none_or(|synced| at > synced))
        .filter(|&at| {
            matches!(
                log[at],
                Operation::Create(..) | Operation::Rename(..) | Operation::Remove(..)
            )
        })
        .collect();
    let lost_names = chance(unsynced_names.len() as u64 + 1) as usize;
    let kept_names = unsynced_names.len() - lost_names;
    let first_lost = unsynced_names.get(kept_names).copied();
    let (mut names, mut files) = (BTreeMap::new(), Vec::new());
    for (at, operation) in log.iter().enumerate() {
        match operation {
            Operation::Create(name, file) if first_lost.is_some_and(|lost| at >= lost) => {
                // The file is there, and nobody finds it.
                apply(operation, &mut BTreeMap::new(), &mut files);
                let _ = (name, file);
            }
            Operation::Rename(..) | Operation::Remove(_)
                if first_lost.is_some_and(|lost| at >= lost) => {}
            Operation::Write(file, offset, bytes) => {
                let is_synced = log[at..]
                    .iter()
                    .any(|later| matches!(later, Operation::Sync(synced) if synced == file));
                let kept = match is_synced {
                    true => bytes.len(),
                    false => match chance(3) {
                        0 => 0,
                        1 => chance(bytes.len() as u64) as usize,
                        _ => bytes.len(),
                    },
                };
                let part = Operation::Write(*file, *offset, bytes[..kept].to_vec());
                if kept > 0 {
                    apply(&part, &mut names, &mut files);
                }
            }
            other => apply(other, &mut names, &mut files),
        }
    }
    names
        .into_iter()
        .map(|(name, file)| (name, files[file].clone()))
        .collect()
}

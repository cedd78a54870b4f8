//! A disk that fails when it is told to, and forgets what it wasn't told to keep.
//!
//! A file has what a process sees of it, and what is on the medium. What was written and not
//! synced may come to the medium in any part when the power is lost, and so it may when a
//! sync fails: then the kernel takes it for written all the same. Names come to the medium
//! in their order.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::random::Random;
use crate::sequencer::journal::{File, Files};

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write takes some of what it is given, and says that there is no room; no file can be
    /// created.
    Full,
    /// A write takes some of what it is given, and fails.
    Write,
    /// A sync of a file fails.
    Sync,
    /// A sync of the names fails.
    Names,
    /// Nothing can be changed.
    ReadOnly,
}

impl Fault {
    pub const ALL: [Fault; 5] = [
        Fault::Full,
        Fault::Write,
        Fault::Sync,
        Fault::Names,
        Fault::ReadOnly,
    ];
}

/// What happens amid something else.
type Interrupt = Box<dyn FnMut() + Send>;

/// A disk. A clone is the same one.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<DiskState>>);

struct DiskState {
    random: Random,
    boot: u8,
    names: BTreeMap<String, usize>,
    files: Vec<Content>,
    /// The names on the medium, and what was done to them since.
    kept_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    fault: Option<Fault>,
    /// How often it has failed.
    failures: u64,
    /// The process ends amid the operation that is so many from here.
    ends_in: Option<u64>,
    is_down: bool,
    interrupt: Option<Interrupt>,
}

#[derive(Default)]
struct Content {
    seen: Vec<u8>,
    kept: Vec<u8>,
    pending: Vec<Change>,
    /// How many of those are part of the sync that has begun.
    begun: Option<usize>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Disk {
    pub fn new(random: Random) -> Disk {
        Disk(Arc::new(Mutex::new(DiskState {
            random,
            boot: 1,
            names: BTreeMap::new(),
            files: Vec::new(),
            kept_names: BTreeMap::new(),
            pending_names: Vec::new(),
            fault: None,
            failures: 0,
            ends_in: None,
            is_down: false,
            interrupt: None,
        })))
    }

    /// It fails so from here on, or not any more.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    /// How often it has failed.
    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    /// The process is to end amid the operation that is so many from here.
    pub fn end_in(&self, operations: Option<u64>) {
        self.state().ends_in = operations;
    }

    /// Whether the process has ended so.
    pub fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Whatever is to happen before each operation.
    pub fn interrupt_with(&self, interrupt: Option<Interrupt>) {
        self.state().interrupt = interrupt;
    }

    /// Another process has it.
    pub fn restart(&self) {
        let mut state = self.state();
        state.ends_in = None;
        state.is_down = false;
        state.interrupt = None;
        state.files.iter_mut().for_each(|file| file.begun = None);
    }

    /// The power goes, and comes back.
    pub fn lose_power(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.boot = state.boot.wrapping_add(1);
        let kept = state.random.below(state.pending_names.len() as u64 + 1);
        for change in state.pending_names.drain(..).take(kept as usize) {
            change.apply(&mut state.kept_names);
        }
        state.names = state.kept_names.clone();
        for file in &mut state.files {
            file.keep_some(&mut state.random);
            file.pending.clear();
            file.seen = file.kept.clone();
        }
    }

    /// The files that a process sees.
    pub fn seen(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let names = state.names.iter();
        names
            .map(|(name, &file)| (name.clone(), state.files[file].seen.clone()))
            .collect()
    }

    /// The files that are on the medium for sure.
    pub fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let names = state.kept_names.iter();
        names
            .map(|(name, &file)| (name.clone(), state.files[file].kept.clone()))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock()
    }

    /// Before an operation.
    fn enter(&self) -> MutexGuard<'_, DiskState> {
        let interrupt = self.state().interrupt.take();
        if let Some(mut interrupt) = interrupt {
            interrupt();
            self.state().interrupt.get_or_insert(interrupt);
        }
        self.state()
    }
}

/// How an operation goes.
enum Way {
    Whole,
    /// As much of it as chance has it, and then an error.
    Part(io::Error),
}

impl DiskState {
    fn way(&mut self, faults: &[Fault]) -> Way {
        if self.is_down {
            return Way::Part(gone());
        }
        if let Some(left) = self.ends_in {
            self.ends_in = left.checked_sub(1);
            if left == 0 {
                self.is_down = true;
                return Way::Part(gone());
            }
        }
        let Some(fault) = self.fault.filter(|fault| faults.contains(fault)) else {
            return Way::Whole;
        };
        self.failures += 1;
        Way::Part(match fault {
            Fault::Full => ErrorKind::StorageFull.into(),
            Fault::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
            Fault::Write | Fault::Sync | Fault::Names => io::Error::from_raw_os_error(5),
        })
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        let was_down = self.is_down;
        let way = self.way(&[Fault::ReadOnly]);
        let is_done = match way {
            Way::Whole => true,
            // It ends with this.
            Way::Part(_) => self.is_down && !was_down && self.random.one_in(2),
        };
        if is_done {
            change.apply(&mut self.names);
            self.pending_names.push(change);
        }
        match way {
            Way::Whole => Ok(()),
            Way::Part(error) => Err(error),
        }
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    /// What was changed comes to the medium in any part, or not at all, and no more of it will;
    /// but for its length, which is no data.
    fn keep_some(&mut self, random: &mut Random) {
        self.begun = None;
        let fates = if random.one_in(4) { 1 } else { 3 };
        for change in std::mem::take(&mut self.pending) {
            match (random.below(fates), &change) {
                (0, Change::Truncate(_)) => self.pending.push(change),
                (0, Change::Write(..)) => {}
                (1, _) => change.part(random).apply(&mut self.kept),
                _ => change.apply(&mut self.kept),
            }
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(offset, bytes) => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
            Change::Truncate(bytes) => content.resize(*bytes, 0),
        }
    }

    fn part(&self, random: &mut Random) -> Change {
        match self {
            Change::Write(offset, bytes) => {
                let most = random.below(bytes.len() as u64) as usize;
                Change::Write(*offset, bytes[..most].to_vec())
            }
            whole @ Change::Truncate(_) => whole.clone(),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.seen().into_iter();
        Ok(files
            .map(|(name, bytes)| (name, bytes.len() as u64))
            .collect())
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        let mut state = self.enter();
        let there = state.names.get(name).copied();
        let file = match there {
            Some(file) if !new => file,
            None if !new => return Err(ErrorKind::NotFound.into()),
            there => {
                if let Way::Part(error) = state.way(&[Fault::Full, Fault::ReadOnly]) {
                    return Err(error);
                }
                match there {
                    Some(file) => {
                        state.files[file].change(Change::Truncate(0));
                        file
                    }
                    None => {
                        let file = state.files.len();
                        state.files.push(Content::default());
                        let create = NameChange::Create(name.to_owned(), file);
                        create.apply(&mut state.names);
                        state.pending_names.push(create);
                        file
                    }
                }
            }
        };
        drop(state);
        Ok(Arc::new(Open {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        self.enter().change_names(change)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.enter();
        if !state.names.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change_names(NameChange::Remove(name.to_owned()))
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.enter();
        let state = &mut *state;
        match state.way(&[Fault::Names, Fault::ReadOnly]) {
            Way::Whole => {
                for change in state.pending_names.drain(..) {
                    change.apply(&mut state.kept_names);
                }
                Ok(())
            }
            Way::Part(error) => Err(error),
        }
    }

    fn boot(&self) -> [u8; 16] {
        [self.state().boot; 16]
    }
}

/// A file that is open.
struct Open {
    disk: Disk,
    file: usize,
}

impl File for Open {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.enter();
        let change = Change::Write(offset as usize, bytes.to_vec());
        let was_down = state.is_down;
        match state.way(&[Fault::Full, Fault::Write, Fault::ReadOnly]) {
            Way::Whole => {
                state.files[self.file].change(change);
                Ok(())
            }
            Way::Part(error) => {
                if !was_down && error.kind() != ErrorKind::ReadOnlyFilesystem {
                    let part = change.part(&mut state.random);
                    state.files[self.file].change(part);
                }
                Err(error)
            }
        }
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.enter();
        if state.is_down {
            return Err(gone());
        }
        let content = &state.files[self.file].seen;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.enter();
        match state.way(&[Fault::ReadOnly]) {
            Way::Whole => {
                state.files[self.file].change(Change::Truncate(bytes as usize));
                Ok(())
            }
            Way::Part(error) => Err(error),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.enter();
        let state = &mut *state;
        let way = state.way(&[Fault::Sync, Fault::ReadOnly]);
        let file = &mut state.files[self.file];
        match way {
            Way::Whole => {
                let synced = file.begun.take().unwrap_or(file.pending.len());
                for change in file.pending.drain(..synced) {
                    change.apply(&mut file.kept);
                }
                Ok(())
            }
            Way::Part(error) => {
                if !state.is_down {
                    file.keep_some(&mut state.random);
                }
                Err(error)
            }
        }
    }

    fn begin_sync(&self) {
        let file = &mut self.disk.enter().files[self.file];
        file.begun = Some(file.pending.len());
    }
}

fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

//! What a stage has to do its work with, and what comes of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::attempt::Attempt;
use super::config::Stage;
use super::environment;
use super::scratch::Scratches;
use super::state::Facts;
use crate::command::follow::Guard;
use crate::command::leftover::LeftoverMark;
use crate::command::{self, Child, CommandEnd, Keeping, Progress, Signal};
use crate::progress::{Reader, Throttle, Update};
use crate::sys::durable;

/// How much of a file is in memory at once.
const PIECE_BYTES: usize = 128 * 1024;
/// A disk with less room than this is full, to a command that failed on it.
const FULL_BELOW_BYTES: u64 = 1 << 20;

/// A stage that an attempt has come to.
#[derive(Clone, Copy)]
pub struct Passage<'a> {
    /// Whose.
    pub attempt: &'a Attempt,
    /// The stage's place; the first is 0.
    pub index: usize,
    /// The stage.
    pub stage: &'a Stage,
    /// The data directory.
    pub data: &'a Path,
    /// Where stages work.
    pub scratches: &'a Scratches,
}

/// A stage at work on a file.
pub struct Task<'a> {
    /// For whom.
    pub passage: Passage<'a>,
    /// What it works on.
    pub input: &'a Path,
    /// A folder of its own for what it makes, which is empty.
    pub folder: &'a Path,
    /// What the stages before have found, and what this one adds.
    pub facts: &'a mut Facts,
    /// When it must be done.
    pub deadline: Instant,
    throttle: Throttle,
    /// The part of the stage, in percent, that is told as a whole now.
    part: (f64, f64),
}

/// How a stage ended well.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file stays what it was.
    Same,
    /// The next stage works on this file, in the stage's folder.
    Made(PathBuf),
    /// There was nothing for it to do, for this reason.
    Skipped(String),
}

/// How it didn't.
#[derive(Debug, PartialEq, Eq)]
pub enum StageFailure {
    /// It was told to stop.
    Stopped,
    /// It failed, for a reason that may pass: it is worth another try.
    Passing(String),
    /// It failed, and will again until a person changes something here.
    Lasting(String),
    /// It failed, and always will: it is the file that would have to be another.
    Unfit(String),
    /// The file is one to be kept away from everyone.
    Infected(String),
}

impl StageFailure {
    /// The same failure in other words.
    pub fn map(self, words: impl FnOnce(String) -> String) -> StageFailure {
        match self {
            StageFailure::Stopped => StageFailure::Stopped,
            StageFailure::Passing(why) => StageFailure::Passing(words(why)),
            StageFailure::Lasting(why) => StageFailure::Lasting(words(why)),
            StageFailure::Unfit(why) => StageFailure::Unfit(words(why)),
            StageFailure::Infected(why) => StageFailure::Infected(words(why)),
        }
    }
}

/// How a command of a stage ended.
pub enum Ran {
    /// It isn't installed.
    Missing,
    /// Well. What it wrote to stdout, of which as much is kept as was asked for.
    Well(Vec<u8>),
    /// With a failure.
    Badly(Crash),
}

/// A command's failure.
#[derive(Debug)]
pub struct Crash {
    /// The exit status, or what killed it.
    pub how: String,
    /// Whether something did.
    pub is_killed: bool,
    /// What it said last on stderr.
    pub last_line: String,
    /// Whether its disk has no room.
    pub disk_is_full: bool,
}

impl<'a> Task<'a> {
    /// A task of which nothing is done yet.
    pub fn new(
        passage: Passage<'a>,
        input: &'a Path,
        folder: &'a Path,
        facts: &'a mut Facts,
    ) -> Task<'a> {
        let stage = passage.stage;
        Task {
            passage,
            input,
            folder,
            facts,
            deadline: Instant::now() + stage.timeout,
            throttle: Throttle::new(Some(stage.name.clone())),
            part: (0.0, 100.0),
        }
    }

    /// What is told from now on is that part of the stage, in percent.
    #[cfg(feature = "s3")]
    pub fn tell_part(&mut self, from: f64, to: f64) {
        self.part = (from, to);
    }

    /// Tells how far it is, as often as watchers can use.
    pub fn tell(&mut self, done: u64, of: u64) {
        let (from, to) = self.part;
        let within = (done as f64 / of.max(1) as f64).min(1.0);
        let percent = ((from + within * (to - from)) * 10.0).floor() / 10.0;
        let update = Update::percent(percent);
        if let Some(update) = self.throttle.offer(update, Instant::now()) {
            self.passage
                .attempt
                .progress(self.passage.index, &self.passage.stage.name, update);
        }
    }

    /// Whether it is to go on.
    ///
    /// # Errors
    /// It was told to stop, or has had its time.
    pub fn check(&self) -> Result<(), StageFailure> {
        if self.passage.attempt.stop.said().is_some() {
            return Err(StageFailure::Stopped);
        }
        if Instant::now() >= self.deadline {
            return Err(self.timed_out());
        }
        Ok(())
    }

    /// Compares what was read with what was scanned.
    ///
    /// # Errors
    /// The upload isn't any more what was scanned.
    pub fn check_digest(&self, digest: &str) -> Result<(), StageFailure> {
        let is_original = self.input == self.passage.attempt.landed.path;
        match &self.facts.original_digest {
            Some(scanned) if is_original && scanned != digest => Err(StageFailure::Unfit(
                "the file has changed since it was scanned: something else writes to the data \
                 directory, or its disk is failing; send it again"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Reads the input once, calls `each` with every piece, and returns its size and its
    /// SHA-256 in hex.
    ///
    /// # Errors
    /// It can't be read, `each` fails, or as [`Task::check`].
    pub fn digest(
        &mut self,
        mut each: impl FnMut(&mut Task<'a>, &[u8]) -> Result<(), StageFailure>,
    ) -> Result<(u64, String), StageFailure> {
        let mut file = File::open(self.input).map_err(|error| self.unreadable(&error))?;
        let size = file
            .metadata()
            .map_err(|error| self.unreadable(&error))?
            .len();
        let mut sha = Sha256::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        loop {
            self.check()?;
            let length = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(&error)),
            };
            sha.update(&piece[..length]);
            each(self, &piece[..length])?;
            done += length as u64;
            self.tell(done, size);
        }
        Ok((done, hex(&sha.finalize())))
    }

    /// Runs a command in the stage's folder, reads its progress, and keeps at most
    /// `keep_bytes` of what it writes to stdout. It gets no stdin, and what it leaves running
    /// is killed.
    ///
    /// # Errors
    /// It can't be started, writes too much, is told to stop, or has had its time.
    pub fn run(
        &mut self,
        mut command: std::process::Command,
        reader: Reader,
        keep_bytes: usize,
        max_output_bytes: u64,
    ) -> Result<Ran, StageFailure> {
        let name = Path::new(command.get_program())
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        command.current_dir(self.folder);
        self.describe(&mut command);
        let cage = self
            .passage
            .stage
            .cage
            .of_command(self.folder, self.input, max_output_bytes);
        let keeping = Keeping::Custody(LeftoverMark::new(self.folder), cage);
        let child = match Child::start(command, keeping) {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ran::Missing),
            Err(error) => {
                let why = command::start_failure(&error);
                return Err(StageFailure::Lasting(format!(
                    "{name} can't be started: {why}"
                )));
            }
        };
        let is_too_much = || size_of_folder(self.folder) > max_output_bytes;
        let guard = Guard {
            deadline: Some(self.deadline),
            stop: self.passage.attempt.stop.receiver().clone(),
            grace: self.passage.stage.grace,
            kill: self.passage.attempt.hurry.clone(),
            is_too_much: Some(&is_too_much),
        };
        let (attempt, index) = (self.passage.attempt, self.passage.index);
        let stage = &self.passage.stage.name;
        let mut progress = Progress::new(reader, Some(stage.clone()), |update| {
            attempt.progress(index, stage, update);
        });
        progress.keep(keep_bytes);
        let end = command::follow(&child, &mut progress, &guard).map_err(|error| {
            StageFailure::Passing(format!("{name}: {}", durable::in_words(&error)))
        })?;
        progress.tell_last();
        let too_much = || {
            StageFailure::Unfit(format!(
                "{name} wrote more than {max_output_bytes} bytes: send a smaller file, or raise \
                 max_output in landfall.toml"
            ))
        };
        match end {
            CommandEnd::Stopped => Err(StageFailure::Stopped),
            CommandEnd::TimedOut => Err(self.timed_out()),
            CommandEnd::TooMuch => Err(too_much()),
            CommandEnd::Exited(status) if status.signal() == Some(Signal::XFSZ.as_raw()) => {
                Err(too_much())
            }
            CommandEnd::Exited(status) => Ok(match command::failure(status) {
                None => {
                    progress.end_well();
                    Ran::Well(progress.kept())
                }
                Some(how) => {
                    let last_line = progress.last_error_line().to_owned();
                    debug!(
                        "{}: {name}: {how}: {last_line}",
                        self.passage.attempt.landed.job
                    );
                    Ran::Badly(Crash {
                        how,
                        is_killed: status.signal().is_some(),
                        last_line,
                        disk_is_full: self.disk_is_full(),
                    })
                }
            }),
        }
    }

    /// Adds to what `done` tells.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        self.facts.notes.insert(key.to_owned(), value.into());
    }

    /// A failure to read the input.
    pub fn unreadable(&self, error: &io::Error) -> StageFailure {
        let why = durable::in_words(error);
        StageFailure::Passing(format!("the file can't be read: {why}"))
    }

    fn timed_out(&self) -> StageFailure {
        let (name, timeout) = (&self.passage.stage.name, self.passage.stage.timeout);
        let timeout = humantime::format_duration(timeout);
        StageFailure::Lasting(format!(
            "{name} took longer than {timeout}: raise its timeout in landfall.toml, or send a \
             smaller file"
        ))
    }

    fn describe(&self, command: &mut std::process::Command) {
        let landed = &self.passage.attempt.landed;
        environment::clear(command, &self.passage.stage.env);
        command
            .env("LANDFALL_JOB", landed.job.as_str())
            .env("LANDFALL_STAGE", &self.passage.stage.name)
            .env("LANDFALL_NAME", self.facts.name.replace('\0', ""))
            .env("LANDFALL_ATTEMPT", self.passage.attempt.number.to_string())
            // Where it can read what it has written.
            .env("TMPDIR", self.folder);
        if let Some(kind) = &self.facts.content_type {
            command.env("LANDFALL_CONTENT_TYPE", kind);
        }
    }

    fn disk_is_full(&self) -> bool {
        let disk = rustix::fs::statvfs(self.folder);
        disk.is_ok_and(|disk| disk.f_bavail * disk.f_frsize < FULL_BELOW_BYTES)
    }
}

/// What the files in a folder hold, in bytes. How deep it goes is bounded by how long a path
/// may be.
fn size_of_folder(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => size_of_folder(&entry.path()),
        Ok(it) => it.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// The wait before another try: it doubles from 1 s to 30 s.
pub fn backoff(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(5)).min(Duration::from_secs(30))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! A command as a child process: started, listened to, signalled, and its end.

pub mod cage;
mod family;
pub mod follow;
pub mod leftover;
pub mod limits;
mod output;
mod sockets;
mod terminal;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustix::process::{Pid, WaitId, WaitIdOptions};

pub use follow::{CommandEnd, Progress, follow};
pub use rustix::process::Signal;

use crate::progress::Source;
use crate::sys::channel::{Receiver, Sender, bounded};
use crate::sys::thread;
use cage::Cage;
pub use family::Family;
use leftover::LeftoverMark;
use terminal::Terminal;

/// How many chunks of output wait to be read for progress; beyond it the command
/// waits, for this process and never for the hub.
const MESSAGES_MAX: usize = 64;

/// Where commands are looked for if nobody says.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a running command does.
pub enum CommandMessage {
    /// It printed something, which has been passed on where it is to be.
    Output(Source, Vec<u8>),
    /// One of its outputs is closed.
    Closed,
    /// It has ended.
    Exited(io::Result<ExitStatus>),
}

/// How a command is run.
pub enum Keeping {
    /// With this process's stdin, its output passed on, in the same process group: what
    /// a terminal's Ctrl-C reaches, and what outlives the command lives on.
    Company,
    /// The same, with a terminal for both outputs, which are one then: this process's stdout.
    CompanyOnTerminal,
    /// Without stdin, its output only read, in a process group of its own, and in a cage.
    /// Whatever of it is left when it ends is killed: its group, and what left that and bears
    /// the mark.
    Custody(LeftoverMark, Cage),
}

/// A running command.
pub struct Child {
    /// What it does, as it does it.
    pub messages: Receiver<CommandMessage>,
    handle: Handle,
    /// How many outputs it has.
    outputs: usize,
    passing_on: Arc<AtomicUsize>,
    lost: Arc<OnceLock<io::Error>>,
}

/// A way to signal a command while it runs.
#[derive(Clone)]
pub struct Handle {
    pid: Pid,
    is_group: bool,
    running: Arc<Mutex<bool>>,
    /// The end of its terminal that is read, where it was given one.
    terminal: Option<Arc<OwnedFd>>,
}

impl Child {
    /// Starts the command, and threads that read its outputs and wait for its end.
    ///
    /// # Errors
    /// It can't be started: see [`start_failure`].
    pub fn start(mut command: Command, keeping: Keeping) -> io::Result<Child> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut terminal = None;
        let (mut child, mark) = match keeping {
            Keeping::Company => (command.spawn()?, None),
            Keeping::CompanyOnTerminal => {
                let Terminal { here, there } = Terminal::open()?;
                terminal::name_for(&mut command);
                command.stdout(there.try_clone()?).stderr(there);
                terminal = Some(here);
                (command.spawn()?, None)
            }
            Keeping::Custody(mark, cage) => {
                mark.put_on(&mut command);
                command.stdin(Stdio::null()).process_group(0);
                (cage.start(&mut command)?, Some(mark))
            }
        };
        // Its own end of a terminal is the command's alone, so that it closes with it.
        drop(command);
        let (sender, messages) = bounded(MESSAGES_MAX);
        let passing_on = Arc::new(AtomicUsize::new(0));
        let has_company = mark.is_none();
        let own = |fd: io::Result<_>| fd.ok().filter(|_| has_company).map(File::from);
        let outputs = if terminal.is_some() { 1 } else { 2 };
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let handle = Handle {
            pid: Pid::from_child(&child),
            is_group: mark.is_some(),
            running: Arc::new(Mutex::new(true)),
            // It does without where there is no file to be had for it.
            terminal: terminal
                .as_ref()
                .and_then(|here| Some(Arc::new(here.try_clone().ok()?.into()))),
        };
        let (also, its) = (handle.clone(), sender.clone());
        let waiting = thread::start("wait", move || wait(child, &also, mark.as_ref(), &its));
        let (out, err) = (io::stdout(), io::stderr());
        let reading = [
            // What a command shows on a terminal is what it says.
            (
                Source::Stderr,
                terminal.map(OwnedFd::from),
                out.as_fd(),
                true,
            ),
            (Source::Stdout, stdout, out.as_fd(), true),
            (Source::Stderr, stderr, err.as_fd(), false),
        ];
        let lost = Arc::<OnceLock<io::Error>>::default();
        let reading = (reading.into_iter()).try_for_each(|(source, from, to, is_result)| {
            let Some(from) = from else { return Ok(()) };
            let to = own(to.try_clone_to_owned());
            let lost = is_result.then(|| Arc::clone(&lost));
            output::read(
                source,
                from,
                to,
                sender.clone(),
                Arc::clone(&passing_on),
                lost,
            )
        });
        if let Err(error) = waiting.and(reading) {
            handle.signal(Signal::KILL);
            return Err(error);
        }
        Ok(Child {
            messages,
            handle,
            outputs,
            passing_on,
            lost,
        })
    }

    /// A way to signal it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Why what it printed on stdout could not be written where it was to go. A reader who
    /// leaves is no reason.
    pub fn lost(&self) -> Option<&io::Error> {
        self.lost.get()
    }

    /// Whether some of its output is being passed on to a reader that takes its time.
    pub fn is_passing_on(&self) -> bool {
        self.passing_on.load(Ordering::Relaxed) > 0
    }
}

impl Handle {
    /// Sends a signal to the command, or to its whole group where it has its own. False:
    /// it has ended.
    pub fn signal(&self, signal: Signal) -> bool {
        let running = self.running.lock();
        if *running {
            // It can only fail where the command has ended, which is being noticed.
            let _ = if self.is_group {
                rustix::process::kill_process_group(self.pid, signal)
            } else {
                rustix::process::kill_process(self.pid, signal)
            };
        }
        *running
    }

    /// Makes the terminal that it was given, if it was, as large as this process's own is now.
    pub fn resize(&self) {
        if let Some(terminal) = &self.terminal {
            terminal::resize(terminal);
            // The kernel tells those only whose terminal in control it is.
            self.signal(Signal::WINCH);
        }
    }

    /// Whether it is in this process's group, so that what is sent to all of that reaches it.
    pub fn is_beside(&self) -> bool {
        let group = rustix::process::getpgid(Some(self.pid));
        group.is_ok_and(|group| group == rustix::process::getpgrp())
    }

    /// Whether its end hasn't been seen.
    pub fn is_running(&self) -> bool {
        *self.running.lock()
    }

    /// Has `family` know what the command has started, and what that has.
    pub fn introduce(&self, family: &mut Family) {
        // The lock keeps the command's number from becoming another's.
        let running = self.running.lock();
        family.look(running.then_some(self.pid));
    }
}

/// Whether there is such a program: at this path, or in a directory of `PATH`.
pub fn exists(program: &OsStr) -> bool {
    let path = Path::new(program);
    if path.components().count() != 1 || program.as_bytes().contains(&b'/') {
        return path.exists();
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(path).is_file())
}

/// Whether a stage can run a program: an absolute path, or a name in a directory of `PATH`.
///
/// # Errors
/// Why it can't.
pub fn find(program: &str) -> Result<(), &'static str> {
    let is_program = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    let path = Path::new(program);
    if path.is_absolute() {
        return match path.exists() {
            false => Err("it isn't there"),
            true if is_program(path) => Ok(()),
            true => Err("it can't be run"),
        };
    }
    if program.contains('/') {
        return Err("stages work in folders of their own: give the whole path, from / on");
    }
    let directories = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    if std::env::split_paths(&directories).any(|it| is_program(&it.join(path))) {
        Ok(())
    } else {
        Err("it isn't installed")
    }
}

/// Why a command couldn't be started, in words.
pub fn start_failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "command not found".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// What went wrong, in words; `None` where nothing did.
pub fn failure(status: ExitStatus) -> Option<String> {
    if status.success() {
        return None;
    }
    Some(match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {signal}"),
        },
        (None, None) => "ended without a status".into(),
    })
}

/// Waits for the end. The child is collected only under the lock, so that its number, and
/// its group's, can't have become another's when a signal is sent to it.
fn wait(
    mut child: std::process::Child,
    handle: &Handle,
    mark: Option<&LeftoverMark>,
    sender: &Sender<CommandMessage>,
) {
    let id = WaitId::Pid(handle.pid);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(id.clone(), options) {}
    let mut running = handle.running.lock();
    if let Some(mark) = mark {
        let _ = rustix::process::kill_process_group(handle.pid, Signal::KILL);
        mark.kill_bearers();
    }
    let status = child.wait();
    *running = false;
    drop(running);
    let _ = sender.send(CommandMessage::Exited(status));
}

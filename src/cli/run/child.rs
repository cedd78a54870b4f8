//! The command as a child process: started, listened to, signalled, and its end.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::mailbox::Mailbox;
use super::output;
use crate::progress::Source;

/// How many chunks of output wait to be read for progress; beyond it the command
/// waits, for this process and never for the hub.
const MESSAGES_MAX: usize = 64;

/// What a running command does.
pub enum Message {
    /// It printed something, which has been passed on.
    Output(Source, Vec<u8>),
    /// One of its two outputs is closed.
    Closed,
    /// It has ended.
    Exited(io::Result<ExitStatus>),
}

/// A running command.
pub struct Child {
    /// What it does, as it does it.
    pub messages: Receiver<Message>,
    passing_on: Arc<AtomicUsize>,
}

impl Child {
    /// Starts the command with this process's stdin and passes its output on. Signals
    /// go to the command while it runs; after that they hurry the mailbox.
    pub fn start(command: &[OsString], mailbox: Arc<Mailbox>) -> io::Result<Child> {
        // Before the command is there, so that none is missed in between: they wait.
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, messages) = bounded(MESSAGES_MAX);
        let passing_on = Arc::new(AtomicUsize::new(0));
        if let Some(stdout) = child.stdout.take() {
            let to = io::stdout().as_fd().try_clone_to_owned();
            output::pass_on(
                Source::Stdout,
                stdout,
                to,
                sender.clone(),
                Arc::clone(&passing_on),
            );
        }
        if let Some(stderr) = child.stderr.take() {
            let to = io::stderr().as_fd().try_clone_to_owned();
            output::pass_on(
                Source::Stderr,
                stderr,
                to,
                sender.clone(),
                Arc::clone(&passing_on),
            );
        }
        let pid = Pid::from_child(&child);
        let running = Arc::new(Mutex::new(true));
        let also_running = Arc::clone(&running);
        thread::spawn(move || wait(child, pid, &also_running, &sender));
        thread::spawn(move || forward(signals, pid, &running, &mailbox));
        Ok(Child {
            messages,
            passing_on,
        })
    }

    /// Whether some of its output is being passed on to a reader that takes its time.
    pub fn is_passing_on(&self) -> bool {
        self.passing_on.load(Ordering::Relaxed) > 0
    }
}

/// The exit code that a shell would give: the command's own, or 128 and the number
/// of the signal that killed it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The exit code that a shell would give where a command can't be started, and why
/// it can't.
pub fn start_failure(error: &io::Error) -> (u8, String) {
    match error.kind() {
        io::ErrorKind::NotFound => (127, "command not found".into()),
        io::ErrorKind::PermissionDenied => (126, "permission denied".into()),
        _ => (126, error.to_string()),
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

/// Waits for the end. The child is collected only under the lock, so that its number
/// can't have become another process's when a signal is sent to it.
fn wait(mut child: std::process::Child, pid: Pid, running: &Mutex<bool>, sender: &Sender<Message>) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
    let mut running = running.lock();
    let status = child.wait();
    *running = false;
    drop(running);
    let _ = sender.send(Message::Exited(status));
}

fn forward(mut signals: Signals, pid: Pid, running: &Mutex<bool>, mailbox: &Mailbox) {
    for signal in signals.forever() {
        let signal = match signal {
            SIGINT => Signal::INT,
            SIGHUP => Signal::HUP,
            _ => Signal::TERM,
        };
        let running = running.lock();
        if *running {
            // It can only fail where the child has ended, which is being noticed.
            let _ = rustix::process::kill_process(pid, signal);
        } else {
            mailbox.hurry();
        }
    }
}

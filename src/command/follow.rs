//! A command followed to its end, its output turned into progress on the way.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use super::{Child, CommandMessage, Signal};
use crate::progress::{Outlook, Reader, Source, Throttle, Update};
use crate::sys::channel::{self, Receiver, never};

/// How long the command must be silent before its open line is read.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the loop sleeps where nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// How long outputs may stay open and silent after the command has ended: a child of
/// its own may have inherited them and live on.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether the command has done too much.
const LOOK: Duration = Duration::from_millis(500);

/// From output to what is to be told.
pub struct Progress<'a> {
    reader: Reader,
    throttle: Throttle,
    teller: Teller<'a>,
    percent_read: bool,
    kept: Vec<u8>,
    keep_bytes: usize,
}

/// Tells what is to be told, and how long the rest will take, where that can be known.
struct Teller<'a> {
    tell: Box<dyn FnMut(Update) + 'a>,
    stage: Option<String>,
    outlook: Outlook,
}

/// What ends a command before its time.
pub struct Guard<'a> {
    /// When it has had its time.
    pub deadline: Option<Instant>,
    /// Closed, by its sender's drop, when the command is to stop.
    pub stop: Receiver<()>,
    /// What SIGTERM gives it before SIGKILL.
    pub grace: Duration,
    /// Closed, by its sender's drop, when it is given no more of that.
    pub kill: Receiver<()>,
    /// Looked at twice a second: whether it has done too much.
    pub is_too_much: Option<&'a dyn Fn() -> bool>,
}

/// How a command ended.
#[derive(Debug)]
pub enum CommandEnd {
    /// By itself.
    Exited(ExitStatus),
    /// It was stopped.
    Stopped,
    /// It had had its time.
    TimedOut,
    /// It did too much.
    TooMuch,
}

impl Guard<'_> {
    /// Nothing does.
    pub fn none() -> Guard<'static> {
        Guard {
            deadline: None,
            stop: never(),
            grace: Duration::ZERO,
            kill: never(),
            is_too_much: None,
        }
    }
}

/// Reads the command's output until it has ended. Blocks until then; stopped by the guard
/// it gets SIGTERM, and SIGKILL after the grace, with its group where it has its own.
///
/// # Errors
/// The command's end can't be seen, which the system never does to a child.
pub fn follow(
    child: &Child,
    progress: &mut Progress<'_>,
    guard: &Guard<'_>,
) -> io::Result<CommandEnd> {
    let mut following = Following {
        child,
        guard,
        exited: None,
        stopped: None,
        open_outputs: child.outputs,
        is_unread: false,
        kill: guard.kill.clone(),
        look_at: guard.is_too_much.map(|_| Instant::now() + LOOK),
    };
    while following.goes_on() {
        if following.wait(progress)? || following.act(Instant::now()) {
            break;
        }
        progress.tell_due();
    }
    progress.read(|reader, each| reader.finish(each));
    match (following.stopped, following.exited) {
        (Some(stopped), _) => Ok(stopped.end),
        (None, Some((status, _))) => Ok(CommandEnd::Exited(status)),
        (None, None) => Err(io::Error::other("the command's end was not seen")),
    }
}

/// A command that is being followed.
struct Following<'a> {
    child: &'a Child,
    guard: &'a Guard<'a>,
    exited: Option<(ExitStatus, Instant)>,
    stopped: Option<Stopped>,
    open_outputs: usize,
    /// There is output that may be the beginning of a line.
    is_unread: bool,
    kill: Receiver<()>,
    look_at: Option<Instant>,
}

impl Following<'_> {
    fn goes_on(&self) -> bool {
        self.open_outputs > 0 || self.exited.is_none()
    }

    fn runs(&self) -> bool {
        self.exited.is_none() && self.stopped.is_none()
    }

    /// When there is something to do, whatever comes of the command.
    fn due(&self, begin: Instant) -> Option<Instant> {
        let next = match (&self.exited, &self.stopped) {
            (Some(_), _) => Some(begin + OUTPUT_GRACE),
            (None, Some(stopped)) => Some(stopped.kill_at),
            (None, None) => self.guard.deadline,
        };
        let pause = self.is_unread.then(|| begin + PAUSE);
        let look_at = self.look_at.filter(|_| self.runs());
        [next, pause, look_at].into_iter().flatten().min()
    }

    /// Waits for what comes next. Says whether nothing more is to be waited for.
    fn wait(&mut self, progress: &mut Progress<'_>) -> io::Result<bool> {
        let begin = Instant::now();
        let dues = [self.due(begin), progress.throttle.due()];
        let due = dues.into_iter().flatten().min();
        let wait = due.map_or(IDLE, |due| due.saturating_duration_since(begin));
        let stop = if self.runs() {
            self.guard.stop.clone()
        } else {
            never()
        };
        select! {
            recv(self.child.messages.parcels()) -> message => match message.map(channel::Receiver::open) {
                Ok(CommandMessage::Output(source, bytes)) => {
                    progress.keep_of(source, &bytes);
                    progress.read(|reader, each| reader.feed(source, &bytes, each));
                    self.is_unread = true;
                }
                Ok(CommandMessage::Closed) => self.open_outputs -= 1,
                Ok(CommandMessage::Exited(status)) => self.exited = Some((status?, Instant::now())),
                Err(_) => return Ok(true),
            },
            recv(stop.parcels()) -> _ => self.stop(CommandEnd::Stopped),
            recv(self.kill.parcels()) -> _ => {
                self.kill = never();
                if self.stopped.is_none() {
                    self.stop(CommandEnd::Stopped);
                }
                if let Some(stopped) = &mut self.stopped {
                    stopped.kill_at = Instant::now();
                }
            }
            default(wait) => {
                if self.is_unread && begin.elapsed() >= PAUSE {
                    progress.read(|reader, each| reader.pause(each));
                    self.is_unread = false;
                }
                let is_silent = begin.elapsed() >= OUTPUT_GRACE;
                return Ok(self.exited.is_some() && is_silent && !self.child.is_passing_on());
            }
        }
        Ok(false)
    }

    /// Does what is due. Says whether nothing more is to be waited for.
    fn act(&mut self, now: Instant) -> bool {
        if let Some((_, at)) = &self.exited {
            // What left its custody unseen may flood for ever.
            return self.child.handle.is_group && now >= *at + OUTPUT_GRACE;
        }
        if let Some(stopped) = &mut self.stopped {
            if stopped.kill_at <= now {
                stopped.kill(self.child);
            }
        } else if self.guard.deadline.is_some_and(|deadline| deadline <= now) {
            self.stop(CommandEnd::TimedOut);
        } else if let Some(is_too_much) = self.guard.is_too_much
            && self.look_at.is_some_and(|at| at <= now)
        {
            self.look_at = Some(now + LOOK);
            if is_too_much() {
                self.stop(CommandEnd::TooMuch);
            }
        }
        false
    }

    fn stop(&mut self, end: CommandEnd) {
        self.stopped = Some(Stopped::begin(self.child, end, self.guard));
    }
}

/// A command that is being ended before its time.
struct Stopped {
    end: CommandEnd,
    kill_at: Instant,
}

impl Stopped {
    fn begin(child: &Child, end: CommandEnd, guard: &Guard<'_>) -> Stopped {
        child.handle.signal(Signal::TERM);
        // A stopped process takes no signal but this until it goes on.
        child.handle.signal(Signal::CONT);
        Stopped {
            end,
            kill_at: Instant::now() + guard.grace,
        }
    }

    fn kill(&mut self, child: &Child) {
        child.handle.signal(Signal::KILL);
        self.kill_at = Instant::now() + OUTPUT_GRACE;
    }
}

impl<'a> Progress<'a> {
    /// Progress that is read by `reader` and told to `tell`, in `stage` until the command
    /// names another.
    pub fn new(
        reader: Reader,
        stage: Option<String>,
        tell: impl FnMut(Update) + 'a,
    ) -> Progress<'a> {
        Progress {
            reader: reader.of_stage(stage.clone()),
            throttle: Throttle::new(stage),
            teller: Teller {
                tell: Box::new(tell),
                stage: None,
                outlook: Outlook::default(),
            },
            percent_read: false,
            kept: Vec::new(),
            keep_bytes: 0,
        }
    }

    /// Keeps so many of the first bytes on stdout.
    pub fn keep(&mut self, bytes: usize) {
        self.keep_bytes = bytes;
    }

    /// What was kept.
    pub fn kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Tells an update that the command didn't make.
    pub fn tell(&mut self, update: Update) {
        if let Some(update) = self.throttle.offer(update, Instant::now()) {
            self.teller.tell(update);
        }
    }

    /// Tells what waited, due or not.
    pub fn tell_last(&mut self) {
        if let Some(last) = self.throttle.take_last(Instant::now()) {
            self.teller.tell(last);
        }
    }

    /// A command that told how far it was and ended well has done all of it, though
    /// the last it said may be 98.8 %.
    pub fn end_well(&mut self) {
        self.tell_last();
        if self.percent_read && self.throttle.shown_percent() != Some(100.0) {
            self.tell(Update::percent(100.0));
            self.tell_last();
        }
    }

    /// What the command said last on stderr.
    pub fn last_error_line(&self) -> &str {
        self.reader.last_error_line()
    }

    fn read(&mut self, read: impl FnOnce(&mut Reader, &mut dyn FnMut(Update))) {
        let now = Instant::now();
        read(&mut self.reader, &mut |update| {
            self.percent_read |= update.percent.is_some();
            if let Some(update) = self.throttle.offer(update, now) {
                self.teller.tell(update);
            }
        });
    }

    fn keep_of(&mut self, source: Source, bytes: &[u8]) {
        if source == Source::Stdout {
            let room = self.keep_bytes - self.kept.len();
            self.kept.extend(&bytes[..bytes.len().min(room)]);
        }
    }

    fn tell_due(&mut self) {
        if let Some(due) = self.throttle.take_due(Instant::now()) {
            self.teller.tell(due);
        }
    }
}

impl Teller<'_> {
    fn tell(&mut self, mut update: Update) {
        if self.stage != update.stage {
            self.stage.clone_from(&update.stage);
            self.outlook = Outlook::default();
        }
        let now = Instant::now();
        if let Some(percent) = update.percent {
            self.outlook.add(now, percent);
            let left = self.outlook.left(now, 100.0).filter(|_| percent < 100.0);
            if let Some(left) = left
                && !update.extra.contains_key("etaMs")
            {
                let left_ms = left.as_millis() as u64;
                update.extra.insert("etaMs".into(), left_ms.into());
            }
        }
        (self.tell)(update);
    }
}

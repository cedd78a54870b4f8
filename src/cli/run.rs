//! `landfall run`: a command whose output becomes progress.

mod child;
mod mailbox;
mod output;
mod publisher;

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::RecvTimeoutError;
use lexopt::{Arg, Parser};

use super::flags::{self, DEFAULT_HUB, Outcome};
use crate::client::{Address, Client};
use crate::job::JobId;
use crate::progress::{Format, Reader, STAGE_MAX_BYTES, Throttle, Update};
use child::{Child, Message};
use mailbox::{Ending, Mailbox};
use publisher::Publisher;

/// How long the command must be silent before its open line is read.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the loop sleeps where nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// How long outputs may stay open and silent after the command has ended: a child of
/// its own may have inherited them and live on.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

const HELP: &str = "\
Runs a command and publishes what it prints about its progress.

Usage: landfall run [FLAGS] [--] CMD [ARG]...

Understands ffmpeg (with or without -progress), percentages such as 43% or 43.5%
(rsync, curl, wget, 7z, ...), and JSON lines {\"percent\":43,\"stage\":\"scanning\"}.
The command's output is passed on unchanged and its exit code is kept (128 + N where
signal N killed it, 127 where it is not found, 126 where it can't be run). SIGINT,
SIGTERM and SIGHUP are passed on to it. Publishes `progress` at most 10 times a
second, then `done` or `error`. The command never waits for the hub.

  --job ID          the job's name [a new one, told on stderr]
  --stage NAME      the stage until the command names one [the command's name]
  --hub ADDR        the hub: http://HOST:PORT or unix:PATH [http://127.0.0.1:8081]
  --key FILE        a file with the publishing key, or a token, where the hub wants one
  --format FORMAT   auto, or number: a line that is nothing but a number from 0 to
                    100 is a percentage as well, as of pv -n [auto]
  --hub-wait DUR    how long to try to publish the end after the command has ended,
                    such as 500ms or 1m; a second signal ends it [10s]
  --help            this text

Each flag can be given in the environment as well: LANDFALL_JOB, LANDFALL_STAGE,
LANDFALL_HUB, LANDFALL_KEY, LANDFALL_FORMAT, LANDFALL_HUB_WAIT.
";

struct Options {
    job: Option<JobId>,
    stage: Option<Stage>,
    hub: Option<Address>,
    key: Option<PathBuf>,
    format: FormatName,
    hub_wait: Wait,
    command: Vec<OsString>,
}

/// Runs the command with what is left of the arguments.
pub fn main(args: &mut Parser) -> Outcome {
    let Some(options) = parse(args)? else {
        return flags::help(HELP);
    };
    let Some(program) = options.command.first() else {
        return Err("which command? landfall run [FLAGS] -- CMD [ARG]...".into());
    };
    let name = Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned();
    let job = options.job.unwrap_or_else(|| {
        let job = new_job();
        eprintln!("landfall: job {job}");
        job
    });
    let hub = options.hub.map_or_else(|| DEFAULT_HUB.parse(), Ok)?;
    let mailbox = Arc::new(Mailbox::new());
    let client = Client::new(hub).with_token(flags::credential(options.key)?);
    let publisher = Publisher::start(client, job, Arc::clone(&mailbox));

    let started = Instant::now();
    let stage = options
        .stage
        .map_or_else(|| name.chars().take(32).collect(), |stage| stage.0);
    let mut progress = Progress {
        reader: Reader::new(options.format.0),
        throttle: Throttle::new(Some(stage)),
        mailbox: Arc::clone(&mailbox),
        percent_read: false,
    };
    progress.tell(Update::percent(0.0));
    let (code, ending) = match Child::start(&options.command, Arc::clone(&mailbox)) {
        Ok(child) => {
            let status = follow(child, &mut progress)?;
            let ending = match child::failure(status) {
                None => progress.end_well(started.elapsed()),
                Some(failure) => {
                    progress.tell_last();
                    Ending::error(&name, &failure, progress.reader.last_error_line())
                }
            };
            (child::exit_code(status), ending)
        }
        Err(error) => {
            let (code, failure) = child::start_failure(&error);
            eprintln!("landfall: {name}: {failure}");
            (code, Ending::error(&name, &failure, ""))
        }
    };
    publisher.finish(ending, options.hub_wait.0);
    Ok(ExitCode::from(code))
}

/// Reads the command's output until it has ended.
fn follow(
    child: Child,
    progress: &mut Progress,
) -> Result<std::process::ExitStatus, Box<dyn Error>> {
    let mut status = None;
    let mut open_outputs = 2;
    let mut unread = false;
    while open_outputs > 0 || status.is_none() {
        let now = Instant::now();
        let mut wait = progress
            .throttle
            .due()
            .map_or(IDLE, |due| due.saturating_duration_since(now));
        if unread {
            wait = wait.min(PAUSE);
        }
        if status.is_some() {
            wait = wait.min(OUTPUT_GRACE);
        }
        let waited_from = now;
        match child.messages.recv_timeout(wait) {
            Ok(Message::Output(source, bytes)) => {
                progress.read(|reader, each| reader.feed(source, &bytes, each));
                unread = true;
            }
            Ok(Message::Closed) => open_outputs -= 1,
            Ok(Message::Exited(result)) => status = Some(result?),
            Err(RecvTimeoutError::Timeout) => {
                if unread && waited_from.elapsed() >= PAUSE {
                    progress.read(|reader, each| reader.pause(each));
                    unread = false;
                }
                let silent = waited_from.elapsed() >= OUTPUT_GRACE;
                if status.is_some() && silent && !child.is_passing_on() {
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.tell_due();
    }
    progress.read(|reader, each| reader.finish(each));
    status.ok_or_else(|| "the command's end was not seen".into())
}

/// From output to what the publisher is to send.
struct Progress {
    reader: Reader,
    throttle: Throttle,
    mailbox: Arc<Mailbox>,
    percent_read: bool,
}

impl Progress {
    fn read(&mut self, read: impl FnOnce(&mut Reader, &mut dyn FnMut(Update))) {
        let now = Instant::now();
        let (throttle, mailbox, percent_read) =
            (&mut self.throttle, &self.mailbox, &mut self.percent_read);
        read(&mut self.reader, &mut |update| {
            *percent_read |= update.percent.is_some();
            throttle
                .offer(update, now)
                .into_iter()
                .for_each(|update| mailbox.put(update));
        });
    }

    fn tell(&mut self, update: Update) {
        let told = self.throttle.offer(update, Instant::now());
        told.into_iter().for_each(|update| self.mailbox.put(update));
    }

    fn tell_due(&mut self) {
        let due = self.throttle.take_due(Instant::now());
        due.into_iter().for_each(|update| self.mailbox.put(update));
    }

    fn tell_last(&mut self) {
        let last = self.throttle.take_last(Instant::now());
        last.into_iter().for_each(|update| self.mailbox.put(update));
    }

    /// A command that told how far it was and ended well has done all of it, though
    /// the last it said may be 98.8 %.
    fn end_well(&mut self, elapsed: Duration) -> Ending {
        self.tell_last();
        if self.percent_read && self.throttle.shown_percent() != Some(100.0) {
            self.tell(Update::percent(100.0));
            self.tell_last();
        }
        Ending::done(elapsed)
    }
}

fn parse(args: &mut Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        job: flags::from_env("job")?,
        stage: flags::from_env("stage")?,
        hub: flags::from_env("hub")?,
        key: flags::from_env("key")?,
        format: flags::from_env("format")?.unwrap_or_default(),
        hub_wait: flags::from_env("hub-wait")?.unwrap_or_default(),
        command: Vec::new(),
    };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("job") => options.job = Some(flags::value("job", args)?),
            Arg::Long("stage") => options.stage = Some(flags::value("stage", args)?),
            Arg::Long("hub") => options.hub = Some(flags::value("hub", args)?),
            Arg::Long("key") => options.key = Some(flags::value("key", args)?),
            Arg::Long("format") => options.format = flags::value("format", args)?,
            Arg::Long("hub-wait") => options.hub_wait = flags::value("hub-wait", args)?,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(program) => {
                options.command.push(program);
                // From here on everything is the command's.
                options.command.extend(args.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

struct Stage(String);

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Stage, String> {
        if text.is_empty() || text.len() > STAGE_MAX_BYTES {
            return Err(format!("a stage is 1 to {STAGE_MAX_BYTES} bytes"));
        }
        Ok(Stage(text.to_owned()))
    }
}

#[derive(Default)]
struct FormatName(Format);

impl FromStr for FormatName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<FormatName, &'static str> {
        match text {
            "auto" => Ok(FormatName(Format::Auto)),
            "number" => Ok(FormatName(Format::Number)),
            _ => Err("it is auto or number"),
        }
    }
}

struct Wait(Duration);

impl Default for Wait {
    fn default() -> Wait {
        Wait(Duration::from_secs(10))
    }
}

impl FromStr for Wait {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Wait, humantime::DurationError> {
        humantime::parse_duration(text).map(Wait)
    }
}

/// A name that a person can say and no other run has: when it began, and which
/// process it is.
fn new_job() -> JobId {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).collect();
    let (date, rest) = digits.split_at(8);
    let (time, millis) = rest.split_at(6);
    let name = format!("job_{date}-{time}.{millis}-{}", std::process::id());
    name.parse()
        .expect("letters, digits and punctuation that a job's name may have")
}

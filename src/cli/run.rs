//! `landfall run`: a command whose output becomes progress.

mod deletion;
mod mailbox;
mod publisher;
mod signals;

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lexopt::{Arg, Parser};

use super::flags::{self, DEFAULT_HUB, Outcome};
use crate::client::{Address, Client};
use crate::command::follow::Guard;
use crate::command::{self, Child, End, Keeping, Progress};
use crate::event::job::JobId;
use crate::progress::{Format, Reader, STAGE_MAX_BYTES, Update};
use mailbox::{Ending, Mailbox};
use publisher::Publisher;
use signals::Forwarding;

const HELP: &str = "\
Runs a command and publishes what it prints about its progress.

Usage: landfall run [FLAGS] [--] CMD [ARG]...

Understands ffmpeg (with or without -progress), percentages such as 43% or 43.5%
(rsync, curl, wget, 7z, ...), and JSON lines {\"percent\":43,\"stage\":\"scanning\"}.
The command's output is passed on unchanged and its exit code is kept (128 + N where
signal N killed it, 127 where it is not found, 126 where it can't be run). SIGINT,
SIGTERM and SIGHUP are passed on to it. Publishes `progress` at most 10 times a
second, then `done` or `error`. The command never waits for the hub. When the job is
deleted meanwhile, the command gets SIGTERM, and SIGKILL 10 s later.

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
    let (notice, watchman) = deletion::watch();
    let publisher = Publisher::start(client, job, Arc::clone(&mailbox), notice);

    let started = Instant::now();
    let stage = options
        .stage
        .map_or_else(|| name.chars().take(32).collect(), |stage| stage.0);
    let reader = Reader::new(options.format.0);
    let mut progress = Progress::new(reader, Some(stage), |update| mailbox.put(update));
    progress.tell(Update::percent(0.0));
    // Before the command is there, so that no signal is missed in between: they wait.
    let forwarding = Forwarding::new()?;
    let mut command = Command::new(program);
    command.args(&options.command[1..]);
    let (code, ending) = match Child::start(command, Keeping::Company) {
        Ok(child) => {
            forwarding.start(child.handle().clone(), Arc::clone(&mailbox));
            watchman.start(child.handle().clone());
            let End::Exited(status) = command::follow(&child, &mut progress, &Guard::none())?
            else {
                return Err("nothing stops the command".into());
            };
            let ending = match command::failure(status) {
                None => {
                    progress.end_well();
                    Ending::done(started.elapsed())
                }
                Some(failure) => {
                    progress.tell_last();
                    Ending::error(&name, &failure, progress.last_error_line())
                }
            };
            (exit_code(status), ending)
        }
        Err(error) => {
            let failure = command::start_failure(&error);
            eprintln!("landfall: {name}: {failure}");
            let code = match error.kind() {
                io::ErrorKind::NotFound => 127,
                _ => 126,
            };
            (code, Ending::error(&name, &failure, ""))
        }
    };
    drop(progress);
    publisher.finish(ending, options.hub_wait.0);
    Ok(ExitCode::from(code))
}

/// The exit code that a shell would give: the command's own, or 128 and the number
/// of the signal that killed it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
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

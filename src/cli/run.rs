//! `landfall run`: a command whose output becomes progress.

mod amount;
mod deletion;
mod mailbox;
mod publisher;
mod renewal;
mod signals;
mod target;
mod unmeasured;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::call::{Call, Command};
use super::error::{Failure, Usage};
use super::hub::RunSettings;
use super::output;
use crate::command::follow::Guard;
use crate::command::{self, Child, CommandEnd, Keeping, Progress};
use crate::event::Lease;
use crate::event::job::JobId;
use crate::progress::{Known, Reader, Update, commands};
use mailbox::{JobEnding, UpdateQueue};
use publisher::Publisher;
use signals::Forwarding;
use target::RunTarget;

/// How long the hub may take to hear of a command that can't be started.
const UNSTARTED_WAIT: Duration = Duration::from_secs(1);

/// The command.
pub const COMMAND: Command = Command {
    name: "run",
    about: "runs a command and publishes its progress",
    usage: &["[FLAGS] [--] CMD [ARG]..."],
    text: &[
        "For example: landfall run --job nightly --begin -- restic backup --json /srv",
        "It understands ffmpeg (with or without -progress), percentages such as 43% or 43.5% \
         (rsync, curl, wget, 7z and others), and JSON lines such as \
         {\"percent\":43,\"stage\":\"scanning\"}. It publishes progress up to 10 times a \
         second, then done or error. The command never waits for the hub. If the job is \
         cancelled, deleted or begun anew meanwhile, the command gets SIGTERM, and SIGKILL 10 s \
         later, and then whatever it leaves running.",
        "The command's output passes through unchanged. The exit code is the command's own: 128 \
         + N if signal N killed it, 127 if there is no such command, 126 if it can't be run, 2 \
         if the call is wrong. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed \
         on to it. What a key of the terminal sends, as ^C does, reaches it once.",
    ],
    runs_another: true,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let Call {
        settings, words, ..
    } = call;
    let [program, arguments @ ..] = &words[..] else {
        let what = "no command to run: give it behind --, as landfall run -- CMD";
        return Err(Usage::Wrong(what).into());
    };
    let client = settings.hub.client()?;
    let RunSettings {
        job,
        begin,
        lease,
        stage,
        format,
        pattern,
        pty,
        hub_wait,
    } = settings.run;
    let name = Path::new(program).file_name().unwrap_or(program);
    let name = name.to_string_lossy().into_owned();
    let job = job.unwrap_or_else(|| {
        let job = new_job();
        output::say(&format!("landfall: job {job}"));
        job
    });
    let mailbox = Arc::new(UpdateQueue::new());
    let mut target = RunTarget {
        hub: settings.hub,
        client,
        job,
        lease: Lease::new(lease).expect("the flag has its bounds"),
        is_to_begin: begin,
    };
    // What isn't there is told of at once, and its job after that.
    if command::exists(program) {
        target.begin();
    }
    // Before the command is there, so that no signal is missed in between: they wait.
    let forwarding = Forwarding::new()?;
    let mut command = process::Command::new(program);
    command.args(arguments);
    let started = Instant::now();
    let keeping = if pty {
        Keeping::CompanyOnTerminal
    } else {
        Keeping::Company
    };
    let child = match Child::start(command, keeping) {
        Ok(child) => child,
        Err(error) => return Ok(not_started(&error, &name, target, hub_wait)),
    };
    let (notice, watchman) = deletion::watch();
    let publisher = Publisher::start(target, Arc::clone(&mailbox), notice)?;
    let stage = stage.map_or_else(|| name.chars().take(32).collect(), |stage| stage.0);
    let reader = Reader::knowing(format, known(&words)).with_pattern(pattern);
    let mut progress = Progress::new(reader, Some(stage), |it| mailbox.put(it));
    progress.tell(Update::percent(0.0));
    forwarding.start(child.handle().clone(), Arc::clone(&mailbox))?;
    let watch = watchman.start(child.handle().clone())?;
    let CommandEnd::Exited(status) = command::follow(&child, &mut progress, &Guard::none())? else {
        unreachable!("nothing stops the command");
    };
    let lost = child
        .lost()
        .map(|error| format!("its output can't be written: {error}"));
    if let Some(lost) = &lost {
        output::say(&format!("landfall run: {name}: {lost}"));
    }
    let is_lost = lost.is_some();
    let ending = match lost.or_else(|| command::failure(status)) {
        None => {
            progress.end_well();
            JobEnding::done(started.elapsed())
        }
        Some(failure) => {
            progress.tell_last();
            JobEnding::error(&name, &failure, progress.last_error_line())
        }
    };
    drop(progress);
    watch.finish();
    publisher.finish(ending, hub_wait);
    // What it printed isn't there: no script must take that for success.
    let code = exit_code(status).max(u8::from(is_lost));
    Ok(ExitCode::from(code))
}

/// Says that a command can't be started, and why.
fn not_started(error: &io::Error, name: &str, target: RunTarget, hub_wait: Duration) -> ExitCode {
    let failure = command::start_failure(error);
    output::say(&format!("landfall run: {name}: {failure}"));
    // Once: there was no progress, so that nobody waits for an end.
    let deadline = Instant::now() + hub_wait.min(UNSTARTED_WAIT);
    target.publish_once(&JobEnding::error(name, &failure, ""), deadline);
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    })
}

/// What the words of a command tell of how much there is to do.
fn known(words: &[OsString]) -> Known {
    let texts: Vec<String> = words
        .iter()
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    let known = amount::known(&texts);
    // A script may write what is read itself, or be elsewhere then.
    if commands(&texts).len() == 1 {
        unmeasured::measure(known.unmeasured());
    }
    known
}

/// The exit code that a shell would give: the command's own, or 128 and the number
/// of the signal that killed it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A name that a person can say and no other run has: when it began, and which
/// process it is.
fn new_job() -> JobId {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).collect();
    let (date, rest) = digits.split_at(8);
    let (time, millis) = rest.split_at(6);
    let name = format!("job_{date}-{time}.{millis}-{}", process::id());
    name.parse()
        .expect("letters, digits and punctuation that a job's name may have")
}

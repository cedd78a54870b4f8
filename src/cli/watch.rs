//! `landfall watch`: jobs followed in the terminal.

mod view;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Map, Value};

use super::flags::{self, DEFAULT_HUB, Outcome};
use crate::client::{Address, Backoff, Client, Error, ServerEvent};
use crate::event::job::JobId;
use view::View;

/// The waits between attempts to connect, where the hub has not asked for another.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

const HELP: &str = "\
Follows jobs until they end: with progress bars in a terminal, else a line per change.

Usage: landfall watch [FLAGS] JOB...

Begins with the oldest event that the hub keeps. After a drop it connects again, as
often as it takes, and resumes where it was.

  --hub ADDR   the hub: http://HOST:PORT or unix:PATH [http://127.0.0.1:8081]
  --key FILE   a file with the publishing key, or a token, where the hub wants one
  --help       this text

A job that is deleted has ended as well. A flag can be given in the environment as well: LANDFALL_HUB, LANDFALL_KEY.
The exit code is 0 where every job ended with `done`, 1 where one did not or the hub
refuses, 2 where the call is wrong.
";

/// Runs the command with what is left of the arguments.
pub fn main(args: &mut Parser) -> Outcome {
    let mut hub: Option<Address> = flags::from_env("hub")?;
    let mut key = flags::from_env("key")?;
    let mut jobs: Vec<JobId> = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("hub") => hub = Some(flags::value("hub", args)?),
            Arg::Long("key") => key = Some(flags::value("key", args)?),
            Arg::Long("help") | Arg::Short('h') => return flags::help(HELP),
            Arg::Value(job) => {
                let job = job.string()?.parse()?;
                if !jobs.contains(&job) {
                    jobs.push(job);
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if jobs.is_empty() {
        return Err("which job? landfall watch JOB...".into());
    }
    let hub = hub.map_or_else(|| DEFAULT_HUB.parse(), Ok)?;
    let view = View::new(&jobs, std::io::stdout().is_terminal());
    let mut watch = Watch {
        client: Client::new(hub).with_token(flags::credential(key)?),
        standings: vec![Standing::Running; jobs.len()],
        jobs,
        view,
    };
    Ok(match watch.follow() {
        Ok(()) if watch.are_all(|it| it == Standing::Done) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("landfall: {}: {error}", watch.client.address());
            ExitCode::FAILURE
        }
    })
}

struct Watch {
    client: Client,
    jobs: Vec<JobId>,
    standings: Vec<Standing>,
    view: View,
}

/// Where a job stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It goes on, or has yet to begin.
    Running,
    Done,
    /// It ended with an error, or was deleted.
    Failed,
}

impl Watch {
    /// Follows the jobs over as many connections as it takes.
    fn follow(&mut self) -> Result<(), Error> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut last_event_id = String::new();
        let mut asked_wait = None;
        loop {
            let mut failure = None;
            match self.client.events(&self.jobs, &last_event_id) {
                Ok(None) => return self.settle(),
                Ok(Some(mut stream)) => {
                    let ended = loop {
                        let mut heard = false;
                        let result = stream.wait(|event| {
                            heard = true;
                            self.show(&event);
                        });
                        if heard {
                            backoff.succeeded();
                        }
                        if self.are_all(|it| it != Standing::Running) {
                            return Ok(());
                        }
                        match result {
                            Ok(true) => {}
                            Ok(false) => break None,
                            Err(error) => break Some(error),
                        }
                    };
                    failure = ended.or(failure);
                    if let Some(id) = stream.last_event_id() {
                        id.clone_into(&mut last_event_id);
                    }
                    asked_wait = stream.retry().or(asked_wait);
                }
                Err(error) if error.is_temporary() => failure = Some(error),
                Err(error) => return Err(error),
            }
            // What the hub asks for is the least; it grows while the hub is away.
            let wait = backoff.failed().max(asked_wait.unwrap_or_default());
            let why = failure.map_or_else(|| "the stream ended".to_owned(), |e| e.to_string());
            self.view.say(&format!(
                "{why}; connecting again in {:.1} s",
                wait.as_secs_f64()
            ));
            thread::sleep(wait);
        }
    }

    fn are_all(&self, fits: impl Fn(Standing) -> bool) -> bool {
        self.standings.iter().all(|standing| fits(*standing))
    }

    fn show(&mut self, event: &ServerEvent) {
        let data: Map<String, Value> = serde_json::from_str(&event.data).unwrap_or_default();
        let job = data.get("jobId").and_then(Value::as_str);
        // A stream for one job is about that job, whatever it says.
        let index = match (self.jobs.len(), job) {
            (1, _) => Some(0),
            (_, Some(job)) => self.jobs.iter().position(|known| known.as_str() == job),
            (_, None) => None,
        };
        match index {
            Some(index) => self.show_of(index, &event.event, &data),
            None if event.event == "reset" => self.view.say("some events are no longer kept"),
            None => {}
        }
    }

    fn show_of(&mut self, index: usize, event: &str, data: &Map<String, Value>) {
        self.standings[index] = match event {
            "done" => Standing::Done,
            "error" | "deleted" => Standing::Failed,
            "reset" => self.standings[index],
            // Also what follows an end: the name has begun anew.
            _ => Standing::Running,
        };
        self.view.show(index, event, data);
    }

    /// The hub says that there is nothing more to come. What was missed of it, if the
    /// end of a job was, its snapshot tells.
    fn settle(&mut self) -> Result<(), Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Snapshot {
            last_event: Option<Last>,
        }
        #[derive(serde::Deserialize)]
        struct Last {
            event: String,
            data: Map<String, Value>,
        }
        for index in 0..self.jobs.len() {
            if self.standings[index] != Standing::Running {
                continue;
            }
            let body = match self.client.snapshot(&self.jobs[index]) {
                // Deleted, and maybe so long ago that nobody remembers.
                Err(Error::Refused {
                    status: 404 | 410, ..
                }) => {
                    self.show_of(index, "deleted", &Map::new());
                    continue;
                }
                answer => answer?,
            };
            let snapshot: Snapshot = serde_json::from_slice(&body)
                .map_err(|_| Error::Malformed("a snapshot that can't be read"))?;
            if let Some(last) = snapshot.last_event {
                self.show_of(index, &last.event, &last.data);
            }
        }
        Ok(())
    }
}

//! `landfall watch`: jobs followed in the terminal.

mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

use super::call::{Call, Command};
use super::error::{Failure, Usage};
use super::output;
use super::settings::HubSettings;
use crate::client::{Backoff, Client, ClientError, ServerEvent};
use crate::event::job::JobId;
use view::View;

/// The waits between attempts to connect, where the hub has not asked for another.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The command.
pub const COMMAND: Command = Command {
    name: "watch",
    about: "follows jobs in the terminal",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "It shows progress bars in a terminal, else a line for each change, until every job has \
         ended; one that is deleted has ended too. It begins with the oldest event that the hub keeps. After a drop it connects \
         again, as often as it takes, and resumes where it was.",
        "The exit code is 0 where every job ended with done, 1 where one did not, the hub \
         refuses, or nobody reads what it prints any more, 2 where the call is wrong.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let jobs = call.jobs()?;
    if jobs.is_empty() {
        return Err(Usage::Wrong("no job: name one or more, as landfall watch JOB").into());
    }
    let is_terminal = io::stdout().is_terminal();
    if !is_terminal {
        output::end_with_reader();
    }
    let hub = call.settings.hub;
    let mut watch = Watch {
        client: hub.client()?,
        standings: vec![Standing::Running; jobs.len()],
        view: View::new(&jobs, is_terminal),
        jobs,
        hub,
    };
    let done = watch.follow();
    done.map_err(|error| Failure::Hub(watch.hub.failure(error)))?;
    Ok(if watch.are_all(|it| it == Standing::Done) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Watch {
    hub: HubSettings,
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
    fn follow(&mut self) -> Result<(), ClientError> {
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
            let why = match failure {
                Some(error) => self.hub.failure(error).to_string(),
                None => "the stream ended".to_owned(),
            };
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
    fn settle(&mut self) -> Result<(), ClientError> {
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
                Err(ClientError::Refused {
                    status: 404 | 410, ..
                }) => {
                    self.show_of(index, "deleted", &Map::new());
                    continue;
                }
                answer => answer?,
            };
            let snapshot: Snapshot = serde_json::from_slice(&body)
                .map_err(|_| ClientError::Malformed("a snapshot that can't be read"))?;
            if let Some(last) = snapshot.last_event {
                self.show_of(index, &last.event, &last.data);
            }
        }
        Ok(())
    }
}

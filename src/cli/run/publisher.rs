//! The thread that takes from the mailbox and brings it to the hub.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use serde_json::value::RawValue;

use super::deletion::Notice;
use super::mailbox::{Ending, Mail, Mailbox};
use crate::cli::output;
use crate::cli::settings::HubSettings;
use crate::client::{Backoff, Client, ClientError};
use crate::event::job::JobId;

/// The waits between attempts while the hub is away.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How much longer than it should the thread may take to give up, when a name is
/// slow to resolve.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Publishes in the background, as well as the hub lets it.
pub struct Publisher {
    hub: HubSettings,
    mailbox: Arc<Mailbox>,
    finished: Receiver<Result<(), ClientError>>,
}

impl Publisher {
    /// Starts the thread.
    pub fn start(
        hub: HubSettings,
        client: Client,
        job: JobId,
        mailbox: Arc<Mailbox>,
        deletion: Notice,
    ) -> Publisher {
        let (sender, finished) = bounded(1);
        let worker = Worker {
            hub: hub.clone(),
            client,
            job,
            mailbox: Arc::clone(&mailbox),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            away: false,
            refused: false,
            ending_tried: false,
            deletion,
            is_accepted: false,
            is_deleted: false,
        };
        thread::spawn(move || {
            let _ = sender.send(worker.run());
        });
        Publisher {
            hub,
            mailbox,
            finished,
        }
    }

    /// Publishes the end and waits until that is done, `wait` at most. A failure is a
    /// warning on stderr: what the command did stands.
    pub fn finish(self, ending: Ending, wait: Duration) {
        let event = ending.event;
        // A wait beyond what a clock can hold is as good as one of a year.
        let wait = wait.min(Duration::from_secs(365 * 24 * 3600));
        self.mailbox.end(ending, Instant::now() + wait);
        let result = self
            .finished
            .recv_timeout(wait + LATE_MAX)
            .unwrap_or(Err(ClientError::TimedOut));
        warn(&self.hub, event, result);
    }
}

/// Publishes the end of what has not begun, where the hub takes it by the deadline.
pub fn publish_once(
    hub: &HubSettings,
    mut client: Client,
    job: &JobId,
    ending: &Ending,
    deadline: Instant,
) {
    let name = ending.event.parse().expect("an event's name");
    let result = client.publish(job, &name, &ending.data, Some(deadline));
    warn(hub, ending.event, result);
}

struct Worker {
    hub: HubSettings,
    client: Client,
    job: JobId,
    mailbox: Arc<Mailbox>,
    backoff: Backoff,
    away: bool,
    refused: bool,
    ending_tried: bool,
    deletion: Notice,
    /// Whether the job was there for anything of this run.
    is_accepted: bool,
    is_deleted: bool,
}

impl Worker {
    fn run(mut self) -> Result<(), ClientError> {
        loop {
            let mail = self.mailbox.take();
            let (event, data) = match &mail {
                Mail::Progress(update) => ("progress", raw(update.to_json())),
                Mail::Ending(ending) => (ending.event, ending.data.clone()),
            };
            let name = event.parse().expect("an event's name");
            let deadline = self.mailbox.deadline();
            let result = self.client.publish(&self.job, &name, &data, deadline);
            let failure = match (mail, result) {
                (Mail::Progress(_), Ok(())) => {
                    self.back();
                    continue;
                }
                (Mail::Ending(_), Ok(())) => return Ok(()),
                (mail, Err(ClientError::Refused { status: 410, .. })) if self.is_accepted => {
                    self.delete();
                    match mail {
                        Mail::Progress(_) => continue,
                        Mail::Ending(_) => return Ok(()),
                    }
                }
                // An earlier attempt got through, and only its answer was lost.
                (Mail::Ending(_), Err(ClientError::Refused { status: 409, .. }))
                    if self.ending_tried =>
                {
                    return Ok(());
                }
                (Mail::Progress(update), Err(error)) if error.is_temporary() => {
                    self.mailbox.put_back(update);
                    error
                }
                (Mail::Progress(_), Err(error)) => {
                    self.refuse(&error);
                    continue;
                }
                (Mail::Ending(_), Err(error)) if error.is_temporary() => {
                    self.ending_tried = true;
                    error
                }
                (Mail::Ending(_), Err(error)) => return Err(error),
            };
            self.lose(&failure);
            let wait = self.backoff.failed();
            if self.mailbox.wait(wait) {
                return Err(failure);
            }
        }
    }

    /// The job was there, and was deleted since.
    fn delete(&mut self) {
        if !std::mem::replace(&mut self.is_deleted, true) {
            say("the job was deleted: the command is ended");
        }
        self.deletion.give();
    }

    fn back(&mut self) {
        self.is_accepted = true;
        if std::mem::take(&mut self.away) {
            say(&format!("the hub is back at {}", self.client.address()));
        }
        self.backoff.succeeded();
    }

    /// Said once for each time that the hub is away.
    fn lose(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.away, true) {
            let why = self.hub.failure(error.clone());
            say(&format!("{why}; trying again meanwhile"));
        }
    }

    /// Said once: what is refused now will be refused ten times a second.
    fn refuse(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.refused, true) {
            let why = self.hub.failure(error.clone());
            say(&format!("progress is refused: {why}"));
        }
    }
}

fn warn(hub: &HubSettings, event: &str, result: Result<(), ClientError>) {
    if let Err(error) = result {
        let why = hub.failure(error);
        say(&format!("the event `{event}` is not published: {why}"));
    }
}

fn say(text: &str) {
    output::say(&format!("landfall run: {text}"));
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("an update is written as JSON")
}

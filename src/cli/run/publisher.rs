//! The thread that takes from the mailbox and brings it to the hub.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::deletion::DeletionNotice;
use super::mailbox::{JobEnding, Mail, UpdateQueue};
use super::renewal::Renewal;
use super::target::{RunTarget, say, warn, why};
use crate::cli::hub::HubSettings;
use crate::client::{Backoff, ClientError, Heard};
use crate::event::json::Object;
use crate::sys;
use crate::sys::channel::{Receiver, bounded};

/// The waits between attempts while the hub is away.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked whether the job is still the one that this run publishes to, and
/// is to go on.
const LOOK: Duration = Duration::from_secs(2);
/// How much longer than it should the thread may take to give up, when a name is
/// slow to resolve.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Publishes in the background, as well as the hub lets it.
pub struct Publisher {
    hub: HubSettings,
    mailbox: Arc<UpdateQueue>,
    finished: Receiver<Result<(), ClientError>>,
}

impl Publisher {
    /// Starts the thread.
    pub fn start(
        target: RunTarget,
        mailbox: Arc<UpdateQueue>,
        deletion: DeletionNotice,
    ) -> io::Result<Publisher> {
        let (sender, finished) = bounded(1);
        let hub = target.hub.clone();
        let worker = Worker {
            renewal: Renewal::new(target.lease),
            target,
            mailbox: Arc::clone(&mailbox),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            away: false,
            refused: false,
            ending_tried: false,
            deletion,
            is_accepted: false,
            is_deleted: false,
            is_cancelled: false,
            life: None,
            published_at: None,
            look_at: Instant::now() + LOOK,
        };
        sys::thread::start("publish", move || {
            let _ = sender.send(worker.run());
        })?;
        Ok(Publisher {
            hub,
            mailbox,
            finished,
        })
    }

    /// Publishes the end and waits until that is done, `wait` at most. A failure is a
    /// warning on stderr: what the command did stands.
    pub fn finish(self, ending: JobEnding, wait: Duration) {
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

struct Worker {
    target: RunTarget,
    renewal: Renewal,
    mailbox: Arc<UpdateQueue>,
    backoff: Backoff,
    away: bool,
    refused: bool,
    ending_tried: bool,
    deletion: DeletionNotice,
    /// Whether the job was there for anything of this run.
    is_accepted: bool,
    is_deleted: bool,
    /// Whether the job is to end.
    is_cancelled: bool,
    /// The life that is published to, as far as it is known.
    life: Option<HeardLife>,
    /// When an event was published last.
    published_at: Option<Instant>,
    /// When it is looked again whether it is still there.
    look_at: Instant,
}

/// A life of the job: when it began, and on which connection that was heard.
#[derive(PartialEq)]
struct HeardLife {
    created_at: String,
    heard_on: u64,
}

impl Worker {
    fn run(mut self) -> Result<(), ClientError> {
        while self.target.is_to_begin && !self.begin()? {}
        loop {
            let mail = self.mailbox.take(self.look_at);
            if self.look_at <= Instant::now() {
                self.look();
            }
            let Some(mail) = mail else {
                continue;
            };
            // Whoever has the name now is told nothing of this.
            if self.is_deleted {
                match mail {
                    Mail::Progress(_) => continue,
                    Mail::Ending(_) => return Ok(()),
                }
            }
            let failure = match self.publish(mail) {
                (Mail::Progress(_), Ok(())) => {
                    self.published_at = Some(Instant::now());
                    self.renewal.begin_anew();
                    self.back();
                    continue;
                }
                (Mail::Ending(_), Ok(())) => return Ok(()),
                (mail, Err(ClientError::Refused { status: 410, .. })) if self.is_accepted => {
                    self.delete("was deleted");
                    match mail {
                        Mail::Progress(_) => continue,
                        Mail::Ending(_) => return Ok(()),
                    }
                }
                // An earlier attempt got through, and only its answer was lost; or the hub has
                // ended the job already.
                (Mail::Ending(_), Err(ClientError::Refused { status: 409, .. }))
                    if self.ending_tried || self.is_cancelled =>
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
            self.wait(failure)?;
        }
    }

    /// Publishes it, and hears whether the job is to end.
    fn publish(&mut self, mail: Mail) -> (Mail, Result<(), ClientError>) {
        let mail = match mail {
            Mail::Ending(_) if self.is_cancelled => Mail::Ending(JobEnding::cancelled()),
            mail => mail,
        };
        let (event, data, lease) = match &mail {
            Mail::Progress(update) => {
                let lease = Some(self.renewal.lease);
                ("progress", raw(update.to_json()), lease)
            }
            Mail::Ending(ending) => (ending.event, ending.data.clone(), None),
        };
        let name = event.parse().expect("an event's name");
        let deadline = self.mailbox.deadline();
        let RunTarget { client, job, .. } = &mut self.target;
        let heard = client.say(job, &name, &data, lease, deadline);
        // A job that had been cancelled before this run came is no reason to end its command.
        let is_own = self.is_accepted || heard.result.is_ok();
        if heard.is_cancelled && is_own && matches!(mail, Mail::Progress(_)) {
            self.cancel();
        }
        (mail, heard.result)
    }

    /// Begins the job anew, now that the command runs already. True: it has begun, or never
    /// will.
    fn begin(&mut self) -> Result<bool, ClientError> {
        let deadline = self.mailbox.deadline();
        let RunTarget {
            client, job, lease, ..
        } = &mut self.target;
        match client.begin_anew(job, Some(*lease), deadline) {
            Ok(()) => {
                self.back();
                Ok(true)
            }
            Err(error) if error.is_temporary() => self.wait(error).map(|()| false),
            Err(error) => {
                self.refuse(&error);
                Ok(true)
            }
        }
    }

    /// Waits before the next attempt. The error is what becomes of the last.
    fn wait(&mut self, failure: ClientError) -> Result<(), ClientError> {
        self.lose(&failure);
        let wait = self.backoff.failed();
        if self.mailbox.wait(wait) {
            return Err(failure);
        }
        Ok(())
    }

    /// Looks whether the job is still the one that this run has begun or gone on with: a
    /// command that says nothing for hours would hear of nothing. What else may be wrong, a
    /// publish will tell.
    fn look(&mut self) {
        self.look_at = Instant::now() + LOOK.min(self.renewal.interval());
        if !self.is_accepted || self.is_deleted || self.away {
            return;
        }
        let RunTarget { client, job, .. } = &mut self.target;
        let answer = client.snapshot(job);
        let heard_on = client.opened();
        match answer {
            Ok(snapshot) => {
                let Some(created_at) = created_at(&snapshot) else {
                    return;
                };
                let life = HeardLife {
                    created_at,
                    heard_on,
                };
                // A hub that forgot everything begins a life, too, with what comes next; but
                // that is heard on another connection.
                let is_other = |known: &HeardLife| {
                    known.heard_on == heard_on && known.created_at != life.created_at
                };
                if self.life.as_ref().is_some_and(is_other) {
                    self.delete("was begun anew by another");
                }
                self.life = Some(life);
            }
            Err(ClientError::Refused { status: 410, .. }) => self.delete("was deleted"),
            // It is away, and would be for what comes next.
            Err(error) if error.is_temporary() => return,
            Err(_) => {}
        }
        self.renew();
    }

    /// Keeps the lease of a command that says nothing, and hears whether it is to end.
    fn renew(&mut self) {
        let has_just_heard = |at: Instant| at.elapsed() < LOOK.min(self.renewal.interval());
        if self.is_deleted || self.published_at.is_some_and(has_just_heard) {
            return;
        }
        let RunTarget { client, job, .. } = &mut self.target;
        let Heard {
            result,
            is_cancelled,
        } = client.renew(job, self.renewal.lease, &self.renewal.key());
        if is_cancelled {
            self.cancel();
        }
        match result {
            Err(ClientError::Refused { status: 410, .. }) => self.delete("was deleted"),
            // It is no more with a hub that keeps nothing and was started anew: what comes
            // next begins it again.
            Ok(()) | Err(ClientError::Refused { status: 404, .. }) => {}
            Err(error) if error.is_temporary() || is_cancelled => {}
            Err(error) => self.refuse(&error),
        }
    }

    /// Somebody wants the job to end.
    fn cancel(&mut self) {
        if !std::mem::replace(&mut self.is_cancelled, true) {
            say("the job was cancelled: the command gets SIGTERM");
        }
        self.deletion.give();
    }

    /// The job was there, and is another's now, or nobody's.
    fn delete(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_deleted, true) {
            say(&format!("the job {what}: the command gets SIGTERM"));
        }
        self.deletion.give();
    }

    fn back(&mut self) {
        if !std::mem::replace(&mut self.is_accepted, true) {
            self.look();
        }
        if std::mem::take(&mut self.away) {
            let address = self.target.client.address();
            say(&format!("the hub is back at {address}"));
        }
        self.backoff.succeeded();
    }

    /// Said once for each time that the hub is away.
    fn lose(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.away, true) {
            let why = self.target.hub.failure(error.clone());
            say(&format!("{why}; trying again meanwhile"));
        }
    }

    /// Said once: what is refused now will be refused ten times a second.
    fn refuse(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.refused, true) {
            let why = why(&self.target.hub, error.clone());
            say(&format!("progress is refused: {why}"));
        }
    }
}

/// When the life began that a snapshot is of.
fn created_at(snapshot: &[u8]) -> Option<String> {
    Object::read(snapshot).ok()?.text("createdAt").ok()?
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("an update is written as JSON")
}

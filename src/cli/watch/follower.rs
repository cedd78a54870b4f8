//! Follows jobs over as many connections as it takes, and tells what it hears.

use std::io;
use std::thread;
use std::time::Duration;

use crate::cli::hub::HubSettings;
use crate::cli::snapshot::JobSnapshot;
use crate::client::{Backoff, Client, ClientError, ServerEvent, Subscription};
use crate::event::job::JobId;
use crate::event::json::Object;
use crate::sys;
use crate::sys::channel::{Receiver, Sender, bounded};

/// The waits between attempts to connect, where the hub has not asked for another.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What is told and not yet heard: beyond it the hub waits.
const NEWS_MAX: usize = 1024;
/// Jobs that are asked for at once.
const PAGE_JOBS: usize = 500;

/// The jobs that are followed.
#[derive(Clone, Debug)]
pub enum WatchSelection {
    /// These, to their end.
    Named(Vec<JobId>),
    /// Every one there is and will be whose name begins so.
    Matching(String),
}

/// What is heard.
pub enum WatchNews {
    /// A job has been there for as long as this says; its stream tells the rest.
    Began(JobId, JobSnapshot),
    /// A job stands so; none where there is no such job, or it was deleted.
    Stands(JobId, Option<JobSnapshot>),
    /// These are all that run.
    Running(Vec<JobSnapshot>),
    /// Something has happened, or was missed.
    Event(ServerEvent),
    /// Something about the connection.
    Said(String),
    /// There is nothing more to come; or it can't be followed.
    Over(Result<(), ClientError>),
}

/// Follows jobs in a thread of its own, which ends when nobody hears it any more.
pub fn start(
    hub: HubSettings,
    client: Client,
    selection: WatchSelection,
) -> io::Result<Receiver<WatchNews>> {
    let (sender, news) = bounded(NEWS_MAX);
    let mut follower = Follower {
        hub,
        client,
        selection,
        news: sender,
        last_event_id: String::new(),
        is_listed: false,
        asked_wait: None,
    };
    sys::thread::start("follow", move || {
        let over = follower.follow();
        follower.tell(WatchNews::Over(over));
    })?;
    Ok(news)
}

struct Follower {
    hub: HubSettings,
    client: Client,
    selection: WatchSelection,
    news: Sender<WatchNews>,
    last_event_id: String,
    /// Whether what is heard from here on is all there is to hear.
    is_listed: bool,
    /// The wait that the hub has asked for.
    asked_wait: Option<Duration>,
}

impl Follower {
    fn follow(&mut self) -> Result<(), ClientError> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let failure = match self.connect() {
                Ok(None) => return self.settle(),
                Ok(Some(stream)) => self.read(stream, &mut backoff),
                Err(error) if error.is_temporary() => Some(error),
                Err(error) => return Err(error),
            };
            // What the hub asks for is the least; it grows while the hub is away.
            let wait = backoff.failed().max(self.asked_wait.unwrap_or_default());
            let why = match failure {
                Some(error) => self.hub.failure(error).to_string(),
                None => "the stream ended".to_owned(),
            };
            let seconds = wait.as_secs_f64();
            self.tell(WatchNews::Said(format!(
                "{why}; connecting again in {seconds:.1} s"
            )));
            thread::sleep(wait);
        }
    }

    /// A stream that goes on where it was. None where there is nothing more to come.
    fn connect(&mut self) -> Result<Option<Subscription>, ClientError> {
        match &self.selection {
            WatchSelection::Named(jobs) => {
                let jobs = jobs.clone();
                if !std::mem::replace(&mut self.is_listed, true) {
                    for job in &jobs {
                        if let Some(snapshot) = self.snapshot(job)? {
                            self.tell(WatchNews::Began(job.clone(), snapshot));
                        }
                    }
                }
                self.client.events(&jobs, &self.last_event_id)
            }
            WatchSelection::Matching(prefix) => {
                let prefix = prefix.clone();
                if !self.is_listed {
                    self.list(&prefix)?;
                    self.is_listed = true;
                }
                self.client.events_matching(&prefix, &self.last_event_id)
            }
        }
    }

    /// Tells what comes, to the end of the stream. Returns what cut it off.
    fn read(&mut self, mut stream: Subscription, backoff: &mut Backoff) -> Option<ClientError> {
        let mut events = Vec::new();
        let mut failure = None;
        let mut goes_on = true;
        while goes_on {
            match stream.wait(|event| events.push(event)) {
                Ok(more) => goes_on = more,
                Err(error) => {
                    failure = Some(error);
                    goes_on = false;
                }
            }
            if !events.is_empty() {
                backoff.succeeded();
            }
            for event in events.drain(..) {
                goes_on &= self.hear(event);
            }
        }
        if let Some(id) = stream.last_event_id() {
            id.clone_into(&mut self.last_event_id);
        }
        self.asked_wait = stream.retry().or(self.asked_wait);
        failure
    }

    /// Tells an event. False: what there was before it has to be looked at anew.
    fn hear(&mut self, event: ServerEvent) -> bool {
        if event.event != "reset" {
            self.tell(WatchNews::Event(event));
            return true;
        }
        let data = Object::read(event.data.as_bytes());
        let job = data.and_then(|mut data| data.text("jobId"));
        let job = job.ok().flatten();
        let job = job.and_then(|job| job.parse().ok());
        self.tell(WatchNews::Event(event));
        // What was missed may have been its end.
        match (&self.selection, job) {
            (WatchSelection::Named(_), Some(job)) => {
                let _ = self.look_at(&job);
                true
            }
            (WatchSelection::Named(_), None) => true,
            (WatchSelection::Matching(_), _) => {
                self.is_listed = false;
                false
            }
        }
    }

    /// Tells where a job stands.
    fn look_at(&mut self, job: &JobId) -> Result<(), ClientError> {
        let snapshot = self.snapshot(job)?;
        self.tell(WatchNews::Stands(job.clone(), snapshot));
        Ok(())
    }

    /// Where it stands. None where there is none, or it was deleted.
    fn snapshot(&mut self, job: &JobId) -> Result<Option<JobSnapshot>, ClientError> {
        match self.client.snapshot(job) {
            Ok(body) => Object::read(&body)
                .and_then(JobSnapshot::of_json)
                .map(Some)
                .map_err(|_| ClientError::Malformed("a snapshot that can't be read")),
            Err(ClientError::Refused {
                status: 404 | 410, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells which jobs run. A stream goes on from there.
    fn list(&mut self, prefix: &str) -> Result<(), ClientError> {
        let query = format!("limit={PAGE_JOBS}&state=running&prefix={prefix}");
        let mut running = Vec::new();
        let mut after = String::new();
        let mut at = None;
        loop {
            let body = self.client.list(&format!("{query}{after}"))?;
            let mut next = || {
                let mut page = Object::read(&body)?;
                at.get_or_insert(page.needed_number("at")?);
                for job in page.objects("jobs")? {
                    running.push(JobSnapshot::of_json(job)?);
                }
                page.number("next")
            };
            match next().map_err(|_| ClientError::Malformed("a list that can't be read"))? {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        // Those that come later will stand below.
        running.reverse();
        self.last_event_id = at.unwrap_or_default().to_string();
        self.tell(WatchNews::Running(running));
        Ok(())
    }

    /// The hub says that there is nothing more to come. What was missed of it, if the end of
    /// a job was, its snapshot tells.
    fn settle(&mut self) -> Result<(), ClientError> {
        if let WatchSelection::Named(jobs) = &self.selection {
            for job in jobs.clone() {
                self.look_at(&job)?;
            }
        }
        Ok(())
    }

    fn tell(&self, news: WatchNews) {
        // Nobody hears it: the command is over.
        let _ = self.news.send(news);
    }
}

//! One attempt to bring an upload through the stages: who it is for, and what it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::stop::{Stop, Why};
use crate::event::Event;
use crate::hub::Refusal;
use crate::progress::{Update, overall};
use crate::sequencer::{PublishError, Sequencer};
use crate::sys::channel::Receiver;
use crate::upload::Landed;

/// How long an end is tried to be told where there is no room for it.
const END_PATIENCE: Duration = Duration::from_secs(30);
const END_PAUSE: Duration = Duration::from_millis(250);

/// One attempt. What it tells goes to the life of the job that it is: once that is over, by
/// whatever ended it, nothing that is still said reaches anyone, and the attempt is cancelled.
pub struct Attempt {
    /// The upload.
    pub landed: Arc<Landed>,
    /// Counts from 1.
    pub number: u32,
    /// How it is told to stop.
    pub stop: Stop,
    /// Closed when it is to stop at once.
    pub hurry: Receiver<()>,
    is_ending: AtomicBool,
    jobs: Sequencer,
    /// How many parts there are to the whole: the upload and each stage.
    parts: usize,
    /// The stage that it waits for. Held while its position is told, so that none is told
    /// once the stage has begun.
    waits_for: Mutex<Option<usize>>,
    /// What was told last, which isn't told again.
    told: Mutex<String>,
}

/// What comes of telling an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is told.
    Told,
    /// It isn't, and the next process is to tell it.
    Untold,
    /// The life was over already.
    Refused,
}

impl Attempt {
    /// An attempt, of which nothing is told yet.
    pub fn new(
        landed: Arc<Landed>,
        number: u32,
        jobs: &Sequencer,
        stages: usize,
        hurry: Receiver<()>,
    ) -> Attempt {
        Attempt {
            landed,
            number,
            stop: Stop::new(),
            is_ending: AtomicBool::new(false),
            hurry,
            waits_for: Mutex::new(None),
            told: Mutex::new(String::new()),
            jobs: jobs.clone(),
            parts: stages + 1,
        }
    }

    /// Tells how far a stage is; the first is 0. Says nothing twice in a row. Blocks for the
    /// journal.
    pub fn progress(&self, stage: usize, name: &str, mut update: Update) {
        // What a command calls its own part.
        if let Some(step) = update
            .stage
            .replace(name.to_owned())
            .filter(|step| step != name)
        {
            update.extra.insert("step".into(), step.into());
        }
        update.extra.remove("jobId");
        let within = update.percent.unwrap_or(0.0) / 100.0;
        let overall = overall(stage + 1, within, self.parts);
        update.extra.insert("overall".into(), overall);
        update.extra.insert("attempt".into(), self.number.into());
        // A list of jobs has the newest event alone.
        let name = self.landed.name.as_str();
        update.extra.insert("name".into(), name.into());
        let data = update.to_json();
        if *self.told.lock() == data {
            return;
        }
        match Event::new("progress", &data) {
            Ok(event) => {
                if self.publish(event).is_ok() {
                    *self.told.lock() = data;
                }
            }
            Err(error) => debug!("{}: {error}", self.landed.job),
        }
    }

    /// It waits for a stage from now on.
    pub fn wait_for(&self, stage: usize) {
        *self.waits_for.lock() = Some(stage);
    }

    /// It waits no more.
    pub fn begin(&self) {
        *self.waits_for.lock() = None;
    }

    /// Tells that it waits for a stage, and its position: 1 is the next. Tells nothing where
    /// it waits no more. Blocks for the journal.
    pub fn queued(&self, stage: usize, name: &str, position: usize) {
        let waits_for = self.waits_for.lock();
        if *waits_for != Some(stage) {
            return;
        }
        let mut update = Update::default();
        update.extra.insert("for".into(), name.into());
        update.extra.insert("position".into(), position.into());
        self.progress(stage, "queued", update);
    }

    /// Tells the end: `done` or `error`. Blocks for the journal, and for room in it.
    pub fn end(&self, event: &str, data: &Map<String, Value>) -> Ending {
        let job = &self.landed.job;
        let text = Value::Object(data.clone()).to_string();
        let event = match Event::new(event, &text) {
            Ok(event) => event,
            Err(error) => {
                error!("{job}: {error}");
                return Ending::Told;
            }
        };
        self.begin_to_end();
        let deadline = Instant::now() + END_PATIENCE;
        loop {
            match self.publish(event.clone()) {
                Ok(()) => return Ending::Told,
                Err(PublishError::Refused(_)) => return Ending::Refused,
                Err(error) if Instant::now() >= deadline || self.stop.said().is_some() => {
                    error!("{job}: its end can't be told: {error}");
                    return Ending::Untold;
                }
                Err(_) => {
                    let _ = self.stop.receiver().recv_timeout(END_PAUSE);
                }
            }
        }
    }

    /// Whether it has told its end, or is about to: whoever else ends its job ends it, too.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// It is about to tell its end, or has told it.
    pub fn begin_to_end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    fn publish(&self, event: Event) -> Result<(), PublishError> {
        if self.stop.said() == Some(Why::Cancelled) {
            return Err(PublishError::Refused(Refusal::Over));
        }
        let Landed { job, life, .. } = &*self.landed;
        let published = self.jobs.publish_in(job, *life, event);
        if let Err(PublishError::Refused(why)) = published {
            info!("{job}: its upload is let go of: {why}");
            self.stop.say(Why::Cancelled);
        }
        published.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::{JobId, LifeId};
    use crate::hub::{After, HubConfig, Owner};

    fn job() -> JobId {
        "job".parse().unwrap()
    }

    fn jobs() -> Sequencer {
        Sequencer::in_memory(HubConfig::default())
    }

    fn begin(jobs: &Sequencer) -> LifeId {
        jobs.begin(&job(), Owner::Upload, After::Ended).unwrap()
    }

    fn attempt(jobs: &Sequencer, life: LifeId) -> Attempt {
        let landed = Landed {
            job: job(),
            life,
            upload: "00".repeat(16).parse().unwrap(),
            name: "a".into(),
            declared_type: None,
            size: 1,
            path: "/nowhere/up_1/data".into(),
        };
        Attempt::new(Arc::new(landed), 2, jobs, 3, crate::sys::channel::never())
    }

    fn last(jobs: &Sequencer) -> String {
        jobs.snapshot(&job()).unwrap().last_event.unwrap().1
    }

    #[test]
    fn the_whole_is_made_of_the_upload_and_every_stage_alike() {
        let jobs = jobs();
        let attempt = attempt(&jobs, begin(&jobs));
        attempt.progress(1, "transcoding", Update::percent(50.0));
        assert_eq!(
            last(&jobs),
            r#"{"jobId":"job","stage":"transcoding","percent":50,"attempt":2,"name":"a","overall":62.5}"#
        );
        attempt.progress(2, "storing", Update::percent(100.0));
        assert!(last(&jobs).ends_with(r#""overall":100}"#));
        attempt.wait_for(0);
        attempt.queued(0, "scanning", 3);
        assert_eq!(
            last(&jobs),
            r#"{"jobId":"job","stage":"queued","attempt":2,"for":"scanning","name":"a","overall":25,"position":3}"#
        );
        attempt.begin();
        attempt.queued(0, "scanning", 2);
        assert!(last(&jobs).ends_with(r#""position":3}"#));
    }

    #[test]
    fn nothing_is_told_twice_in_a_row() {
        let jobs = jobs();
        let attempt = attempt(&jobs, begin(&jobs));
        let tell = |percent| {
            attempt.progress(0, "scanning", Update::percent(percent));
            jobs.snapshot(&job()).unwrap().last_event_id
        };
        let first = tell(100.0);
        assert_eq!(tell(100.0), first);
        assert!(tell(0.0) > first, "as where a stage begins again");
    }

    #[test]
    fn a_command_can_not_speak_for_the_pipeline() {
        let jobs = jobs();
        let mut update = Update::percent(10.0);
        update.stage = Some("done".into());
        for (key, value) in [("jobId", "x"), ("attempt", "9"), ("name", "y")] {
            update.extra.insert(key.into(), value.into());
        }
        attempt(&jobs, begin(&jobs)).progress(0, "mine", update);
        assert_eq!(
            last(&jobs),
            r#"{"jobId":"job","stage":"mine","percent":10,"attempt":2,"name":"a","overall":27.5,"step":"done"}"#
        );
    }

    #[test]
    fn what_an_old_attempt_says_is_heard_by_nobody_and_cancels_it() {
        let jobs = jobs();
        let old = attempt(&jobs, begin(&jobs));
        old.progress(0, "scanning", Update::percent(1.0));
        jobs.delete(&job(), None).unwrap();
        let new = attempt(&jobs, begin(&jobs));
        new.progress(0, "scanning", Update::percent(2.0));
        let told = jobs.snapshot(&job()).unwrap().last_event_id;
        assert_eq!(old.stop.said(), None);
        old.progress(0, "scanning", Update::percent(3.0));
        assert_eq!(old.stop.said(), Some(Why::Cancelled));
        assert_eq!(old.end("done", &Map::new()), Ending::Refused);
        assert_eq!(jobs.snapshot(&job()).unwrap().last_event_id, told);
        assert_eq!(new.end("done", &Map::new()), Ending::Told);
    }

    #[test]
    fn an_attempt_whose_job_somebody_else_has_ended_is_cancelled() {
        let jobs = jobs();
        let attempt = attempt(&jobs, begin(&jobs));
        jobs.publish(&job(), Event::done()).unwrap();
        assert_eq!(attempt.end("error", &Map::new()), Ending::Refused);
        assert_eq!(attempt.stop.said(), Some(Why::Cancelled));
    }
}

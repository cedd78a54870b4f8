//! One attempt to bring an upload through the stages: who it is for, and what it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::stop::{Stop, Why};
use crate::event::Event;
use crate::hub::{Hub, Job, PublishError};
use crate::progress::{Update, overall};
use crate::upload::Landed;

/// How long an end is tried to be told to a hub that has no room.
const END_PATIENCE: Duration = Duration::from_secs(30);
const END_PAUSE: Duration = Duration::from_millis(250);

/// One attempt. What it tells goes to the job as it was when the attempt began: once that
/// is forgotten, by a cancel or a retry, nothing that is still said reaches anyone.
pub struct Attempt {
    /// The upload.
    pub landed: Arc<Landed>,
    /// Counts from 1.
    pub number: u32,
    /// How it is told to stop.
    pub stop: Stop,
    is_over: AtomicBool,
    hub: Hub,
    /// How many parts there are to the whole: the upload and each stage.
    parts: usize,
    job: Mutex<Option<Arc<Job>>>,
    /// The stage that it waits for. Held while its position is told, so that none is told
    /// once the stage has begun.
    waits_for: Mutex<Option<usize>>,
}

impl Attempt {
    /// An attempt, of which nothing is told yet.
    pub fn new(landed: Arc<Landed>, number: u32, hub: &Hub, stages: usize) -> Attempt {
        Attempt {
            job: Mutex::new(hub.open(&landed.job)),
            landed,
            number,
            stop: Stop::new(),
            is_over: AtomicBool::new(false),
            waits_for: Mutex::new(None),
            hub: hub.clone(),
            parts: stages + 1,
        }
    }

    /// Tells how far a stage is; the first is 0. May block for the hub.
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
        match Event::new("progress", &update.to_json()) {
            Ok(event) => {
                let _ = self.publish(&event);
            }
            Err(error) => log::debug!("{}: {error}", self.landed.job),
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
    /// it waits no more. May block for the hub.
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

    /// Tells the end: `done` or `error`. May block for the hub, and for room in it. False:
    /// it isn't told, and the next life is to tell it.
    pub fn end(&self, event: &str, data: &Map<String, Value>) -> bool {
        let job = &self.landed.job;
        let text = Value::Object(data.clone()).to_string();
        let event = match Event::new(event, &text) {
            Ok(event) => event,
            Err(error) => {
                log::error!("{job}: {error}");
                return true;
            }
        };
        // Before it is told: whoever hears of it may act at once.
        self.is_over.store(true, Ordering::Release);
        let deadline = Instant::now() + END_PATIENCE;
        loop {
            match self.publish(&event) {
                Ok(()) => return true,
                Err(PublishError::Ended(_)) => {
                    log::warn!("{job}: somebody else has ended it");
                    return true;
                }
                Err(error) if Instant::now() >= deadline || self.stop.said().is_some() => {
                    log::error!("{job}: its end can't be told: {error}");
                    return false;
                }
                Err(_) => {
                    let _ = self.stop.receiver().recv_timeout(END_PAUSE);
                }
            }
        }
    }

    /// Whether its end is being told, or was.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn publish(&self, event: &Event) -> Result<(), PublishError> {
        let mut job = self.job.lock();
        loop {
            if self.stop.said() == Some(Why::Cancelled) {
                return Ok(());
            }
            let of = match &*job {
                Some(of) => of.clone(),
                None => self.hub.open(&self.landed.job).ok_or(PublishError::Full)?,
            };
            *job = Some(of.clone());
            match self.hub.publish_to(&of, event.clone()) {
                // Forgotten to make room, or by whoever didn't know of this attempt.
                Err(PublishError::Forgotten) => *job = None,
                result => return result.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubConfig;

    fn attempt(hub: &Hub) -> Attempt {
        let landed = Landed {
            job: "job".parse().unwrap(),
            upload: "00".repeat(16).parse().unwrap(),
            name: "a".into(),
            declared_type: None,
            size: 1,
            path: "/nowhere/up_1/data".into(),
        };
        Attempt::new(Arc::new(landed), 2, hub, 3)
    }

    fn last(hub: &Hub) -> String {
        let snapshot = hub.snapshot(&"job".parse().unwrap()).unwrap();
        snapshot.last_event.unwrap().1
    }

    #[test]
    fn the_whole_is_made_of_the_upload_and_every_stage_alike() {
        let hub = Hub::new(HubConfig::default());
        let attempt = attempt(&hub);
        attempt.progress(1, "transcoding", Update::percent(50.0));
        assert_eq!(
            last(&hub),
            r#"{"jobId":"job","stage":"transcoding","percent":50,"attempt":2,"overall":62.5}"#
        );
        attempt.progress(2, "storing", Update::percent(100.0));
        assert!(last(&hub).ends_with(r#""overall":100}"#));
        attempt.wait_for(0);
        attempt.queued(0, "scanning", 3);
        assert_eq!(
            last(&hub),
            r#"{"jobId":"job","stage":"queued","attempt":2,"for":"scanning","overall":25,"position":3}"#
        );
        attempt.begin();
        attempt.queued(0, "scanning", 2);
        assert!(last(&hub).ends_with(r#""position":3}"#));
    }

    #[test]
    fn a_command_can_not_speak_for_the_pipeline() {
        let hub = Hub::new(HubConfig::default());
        let mut update = Update::percent(10.0);
        update.stage = Some("done".into());
        for (key, value) in [("jobId", "x"), ("attempt", "9"), ("overall", "1")] {
            update.extra.insert(key.into(), value.into());
        }
        attempt(&hub).progress(0, "mine", update);
        assert_eq!(
            last(&hub),
            r#"{"jobId":"job","stage":"mine","percent":10,"attempt":2,"overall":27.5,"step":"done"}"#
        );
    }

    #[test]
    fn what_an_old_attempt_says_is_heard_by_nobody() {
        let hub = Hub::new(HubConfig::default());
        let job = "job".parse().unwrap();
        let old = attempt(&hub);
        old.progress(0, "scanning", Update::percent(1.0));
        old.stop.say(Why::Cancelled);
        hub.forget(&job);
        let new = attempt(&hub);
        new.progress(0, "scanning", Update::percent(2.0));
        let told = hub.snapshot(&job).unwrap().last_event_id;
        old.progress(0, "scanning", Update::percent(3.0));
        old.end("done", &Map::new());
        assert_eq!(hub.snapshot(&job).unwrap().last_event_id, told);
    }

    #[test]
    fn a_job_that_was_forgotten_to_make_room_goes_on() {
        let hub = Hub::new(HubConfig::default());
        let attempt = attempt(&hub);
        hub.forget(&"job".parse().unwrap());
        attempt.progress(0, "scanning", Update::percent(7.0));
        assert!(last(&hub).contains(r#""percent":7"#));
    }
}

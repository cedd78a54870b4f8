//! What waits to be published, between the command and a hub that may be slow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::value::RawValue;

use crate::progress::Update;

/// How many updates wait at most: one for each stage that was entered meanwhile.
/// Beyond it the oldest goes.
const WAITING_MAX: usize = 64;

/// How a job ends: a terminal event.
#[derive(Clone, Debug)]
pub struct JobEnding {
    /// `done` or `error`.
    pub event: &'static str,
    /// Its data.
    pub data: Box<RawValue>,
}

/// What is to be published next.
pub enum Mail {
    /// The command is somewhere.
    Progress(Update),
    /// The command has ended.
    Ending(JobEnding),
}

/// A bounded queue that never makes the one who puts wait.
pub struct UpdateQueue {
    state: Mutex<Unsent>,
    changed: Condvar,
}

#[derive(Default)]
struct Unsent {
    waiting: VecDeque<Update>,
    ending: Option<(JobEnding, Instant)>,
}

impl JobEnding {
    /// The command ended well.
    pub fn done(elapsed: Duration) -> JobEnding {
        JobEnding::new(
            "done",
            &serde_json::json!({ "elapsedMs": elapsed.as_millis() as u64 }),
        )
    }

    /// It did not; `last_line` is what it said last on stderr.
    pub fn error(name: &str, failure: &str, last_line: &str) -> JobEnding {
        let mut message = format!("{name}: {failure}");
        if !last_line.is_empty() {
            message = format!("{message}: {last_line}");
        }
        JobEnding::new("error", &serde_json::json!({ "message": message }))
    }

    /// Somebody wanted it to end before it would have.
    pub fn cancelled() -> JobEnding {
        let message = "the job was cancelled";
        JobEnding::new(
            "error",
            &serde_json::json!({ "message": message, "reason": "cancelled", "retryable": false }),
        )
    }

    fn new(event: &'static str, data: &serde_json::Value) -> JobEnding {
        let data = RawValue::from_string(data.to_string()).expect("a JSON value is JSON");
        JobEnding { event, data }
    }
}

impl UpdateQueue {
    /// An empty one.
    pub fn new() -> UpdateQueue {
        UpdateQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds an update. It takes the place of one for the same stage that still waits.
    pub fn put(&self, update: Update) {
        let mut state = self.state.lock();
        if state
            .waiting
            .back()
            .is_some_and(|last| last.stage == update.stage)
        {
            state.waiting.pop_back();
        }
        if state.waiting.len() == WAITING_MAX {
            state.waiting.pop_front();
        }
        state.waiting.push_back(update);
        self.changed.notify_all();
    }

    /// Adds the end, to be tried until `deadline`.
    pub fn end(&self, ending: JobEnding, deadline: Instant) {
        self.state.lock().ending = Some((ending, deadline));
        self.changed.notify_all();
    }

    /// Gives up trying to publish the end.
    pub fn hurry(&self) {
        if let Some((_, deadline)) = &mut self.state.lock().ending {
            *deadline = Instant::now();
        }
        self.changed.notify_all();
    }

    /// Waits for something to publish, until then at most. The end comes last, and stays.
    pub fn take(&self, until: Instant) -> Option<Mail> {
        let mut state = self.state.lock();
        loop {
            if let Some(update) = state.waiting.pop_front() {
                return Some(Mail::Progress(update));
            }
            if let Some((ending, _)) = &state.ending {
                return Some(Mail::Ending(ending.clone()));
            }
            if self.changed.wait_until(&mut state, until).timed_out() {
                return None;
            }
        }
    }

    /// Takes back an update that could not be published. While the hub is away only
    /// the newest counts.
    pub fn put_back(&self, update: Update) {
        let mut state = self.state.lock();
        let newest = state.waiting.pop_back().unwrap_or(update);
        state.waiting.clear();
        state.waiting.push_back(newest);
    }

    /// Waits before the next attempt, and not beyond the deadline of the end. True:
    /// that has passed.
    pub fn wait(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let deadline = state.ending.as_ref().map(|(_, deadline)| *deadline);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return true;
            }
            let until = deadline.map_or(until, |deadline| deadline.min(until));
            if until <= now {
                return false;
            }
            self.changed.wait_until(&mut state, until);
        }
    }

    /// The deadline of the end, where it has come.
    pub fn deadline(&self) -> Option<Instant> {
        self.state
            .lock()
            .ending
            .as_ref()
            .map(|(_, deadline)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(stage: &str, percent: f64) -> Update {
        Update {
            stage: Some(stage.into()),
            ..Update::percent(percent)
        }
    }

    fn progress(mailbox: &UpdateQueue) -> Update {
        match mailbox.take(Instant::now()) {
            Some(Mail::Progress(update)) => update,
            Some(Mail::Ending(_)) => panic!("the end came first"),
            None => panic!("nothing came"),
        }
    }

    #[test]
    fn the_newest_of_each_stage_waits_and_the_end_comes_last() {
        let mailbox = UpdateQueue::new();
        mailbox.end(JobEnding::done(Duration::from_millis(5)), Instant::now());
        for (stage, percent) in [("a", 1.0), ("a", 2.0), ("b", 0.0), ("b", 9.0)] {
            mailbox.put(update(stage, percent));
        }
        assert_eq!(progress(&mailbox), update("a", 2.0));
        assert_eq!(progress(&mailbox), update("b", 9.0));
        let Some(Mail::Ending(ending)) = mailbox.take(Instant::now()) else {
            panic!("no end")
        };
        assert_eq!(
            (ending.event, ending.data.get()),
            ("done", r#"{"elapsedMs":5}"#)
        );
    }

    #[test]
    fn nothing_is_waited_for_no_longer_than_asked() {
        assert!(UpdateQueue::new().take(Instant::now()).is_none());
    }

    #[test]
    fn what_could_not_be_published_gives_way_to_what_is_newer() {
        let mailbox = UpdateQueue::new();
        mailbox.put_back(update("a", 1.0));
        assert_eq!(progress(&mailbox), update("a", 1.0));
        mailbox.put(update("b", 1.0));
        mailbox.put(update("c", 1.0));
        mailbox.put_back(update("a", 1.0));
        assert_eq!(progress(&mailbox), update("c", 1.0));
    }

    #[test]
    fn a_flood_of_stages_is_bounded() {
        let mailbox = UpdateQueue::new();
        for stage in 0..1000 {
            mailbox.put(update(&stage.to_string(), 0.0));
        }
        assert_eq!(mailbox.state.lock().waiting.len(), WAITING_MAX);
        assert_eq!(
            progress(&mailbox),
            update(&(1000 - WAITING_MAX).to_string(), 0.0)
        );
    }

    #[test]
    fn a_wait_ends_with_the_deadline_and_at_once_in_a_hurry() {
        let mailbox = UpdateQueue::new();
        assert!(!mailbox.wait(Duration::ZERO));
        mailbox.end(
            JobEnding::done(Duration::ZERO),
            Instant::now() + Duration::from_secs(600),
        );
        mailbox.hurry();
        assert!(mailbox.wait(Duration::from_secs(600)));
    }

    #[test]
    fn an_error_tells_the_command_its_status_and_its_last_line() {
        let ending = JobEnding::error("ffmpeg", "exit status 1", "in.mp4: No such file");
        let expected = r#"{"message":"ffmpeg: exit status 1: in.mp4: No such file"}"#;
        assert_eq!(ending.data.get(), expected);
        let silent = JobEnding::error("false", "exit status 1", "");
        assert_eq!(silent.data.get(), r#"{"message":"false: exit status 1"}"#);
    }
}

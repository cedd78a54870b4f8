//! What is known of the jobs that are watched.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use super::follower::WatchSelection;
use crate::cli::snapshot::JobSnapshot;
use crate::cli::words::{describe, printable};
use crate::client::ServerEvent;
use crate::event::json::Object;
use crate::progress::Outlook;
use crate::sys::sorted::Sorted;

/// The most jobs that are known at once; beyond it none is added.
const JOBS_MAX: usize = 100_000;

/// The jobs, in the order that they came in.
pub struct Roster {
    rows: Sorted<u64, Box<RosterRow>>,
    numbers: HashMap<String, u64>,
    next: u64,
    /// Whether those that are to come are unknown.
    is_open: bool,
}

/// A job.
#[derive(Debug)]
pub struct RosterRow {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub standing: JobStanding,
    /// Its newest event in words.
    pub text: String,
    /// The same beside its percentage.
    pub brief: String,
    /// What it is in.
    stage: String,
    /// How far it is, where somebody knows.
    pub percent: Option<f64>,
    /// When it began, as far as it is known.
    began: Option<Instant>,
    /// How long it took, where it has ended.
    took: Option<Duration>,
    /// When it ends, as it says.
    end: Option<Instant>,
    outlook: Outlook,
    /// The number of its newest event.
    last_id: u64,
    /// The number of its end, and how long it took, where that is known before.
    known_end: Option<(u64, Duration)>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStanding {
    /// It has yet to begin.
    Waiting,
    Running,
    Done,
    /// It ended with an error, or was deleted.
    Failed,
}

impl Roster {
    /// Jobs of which nothing is known.
    pub fn new(selection: &WatchSelection) -> Roster {
        let mut roster = Roster {
            rows: Sorted::default(),
            numbers: HashMap::new(),
            next: 0,
            is_open: matches!(selection, WatchSelection::Matching(_)),
        };
        if let WatchSelection::Named(jobs) = selection {
            for job in jobs {
                roster.add(job.as_str());
            }
        }
        roster
    }

    /// The jobs.
    pub fn rows(&self) -> impl Iterator<Item = &RosterRow> {
        self.rows.values().map(|row| &**row)
    }

    /// Takes an event. Returns the job, where it tells something new of one.
    pub fn hear(&mut self, event: &ServerEvent, now: Instant) -> Option<&RosterRow> {
        let data = Object::read(event.data.as_bytes());
        let data = data.map(Object::rest).unwrap_or_default();
        let name = data.get("jobId").and_then(Value::as_str);
        let number = match name {
            // A stream of one job is about that job, whatever it says.
            _ if !self.is_open && self.rows.len() == 1 => self.rows.first()?.0,
            Some(name) => match self.numbers.get(name) {
                Some(number) => *number,
                None if self.is_open && !matches!(&*event.event, "deleted" | "reset") => {
                    self.add(name)?
                }
                None => return None,
            },
            None => return None,
        };
        let row = self.rows.get_mut(&number)?;
        row.hear(event, &data, now).then_some(&*row)
    }

    /// When a job began, and ended if it has, as far as a snapshot tells.
    pub fn began(&mut self, job: &str, snapshot: &JobSnapshot) {
        let number = self.numbers.get(job);
        if let Some(row) = number.and_then(|number| self.rows.get_mut(number)) {
            row.began = since(&snapshot.created_at, Instant::now());
            row.known_end = snapshot.took().map(|took| (snapshot.id(), took));
        }
    }

    /// A job stands so, as it was found out. Returns it, where that is new.
    pub fn stands(&mut self, job: &str, snapshot: Option<&JobSnapshot>) -> Option<&RosterRow> {
        let number = match self.numbers.get(job) {
            Some(number) => *number,
            None => self.add(job)?,
        };
        let row = self.rows.get_mut(&number)?;
        let is_new = match snapshot {
            Some(snapshot) => row.be(snapshot),
            // It was there, and is no more.
            None if row.standing == JobStanding::Running => {
                row.tell("deleted", &Map::new(), Instant::now())
            }
            None => false,
        };
        is_new.then_some(&*row)
    }

    /// Only these run. Returns those that ended unseen.
    pub fn keep(&mut self, running: &[JobSnapshot]) -> Vec<String> {
        let names: std::collections::HashSet<&str> = running.iter().map(|it| &*it.job_id).collect();
        let gone = self.rows.values().map(|row| &row.name);
        let gone = gone.filter(|name| !names.contains(&***name));
        let gone: Vec<String> = gone.cloned().collect();
        // After a gap, numbers may be those of another server.
        self.rows.values_mut().for_each(|row| row.last_id = 0);
        gone.iter().for_each(|name| drop(self.remove(name)));
        gone
    }

    /// Lets a job go.
    pub fn remove(&mut self, job: &str) -> Option<RosterRow> {
        self.rows.remove(&self.numbers.remove(job)?).map(|row| *row)
    }

    fn add(&mut self, job: &str) -> Option<u64> {
        if self.rows.len() >= JOBS_MAX {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(job.to_owned(), number);
        self.rows.insert(number, Box::new(RosterRow::new(job)));
        Some(number)
    }
}

impl RosterRow {
    fn new(name: &str) -> RosterRow {
        RosterRow {
            name: printable(name),
            standing: JobStanding::Waiting,
            text: String::new(),
            brief: String::new(),
            stage: String::new(),
            percent: None,
            began: None,
            took: None,
            end: None,
            outlook: Outlook::default(),
            last_id: 0,
            known_end: None,
        }
    }

    /// Whether nothing more comes of it, unless it begins anew.
    pub fn has_ended(&self) -> bool {
        matches!(self.standing, JobStanding::Done | JobStanding::Failed)
    }

    /// How long it has gone on, or did.
    pub fn elapsed(&self, now: Instant) -> Option<Duration> {
        let goes_on = || Some(now.saturating_duration_since(self.began?));
        self.took.or_else(goes_on)
    }

    /// How long it will go on.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        if self.standing != JobStanding::Running {
            return None;
        }
        let said = self.end.map(|end| end.saturating_duration_since(now));
        said.or_else(|| self.outlook.left(now, 100.0))
    }

    /// Takes an event of its stream. Returns whether it says something new.
    fn hear(&mut self, event: &ServerEvent, data: &Map<String, Value>, now: Instant) -> bool {
        let id = event.id.parse().unwrap_or(0);
        if event.event == "reset" {
            // Those that follow may be another server's.
            self.last_id = 0;
        } else if id != 0 && id <= self.last_id {
            // A snapshot has told it.
            return false;
        } else {
            self.last_id = id;
        }
        let is_new = self.tell(&event.event, data, now);
        // The snapshot may have been of a job that went on.
        if self.has_ended()
            && let Some((_, took)) = self.known_end.filter(|(end, _)| *end == id)
        {
            self.took = Some(took);
        }
        is_new
    }

    /// Takes an event. Returns whether it says something new.
    fn tell(&mut self, event: &str, data: &Map<String, Value>, now: Instant) -> bool {
        if self.has_ended() && !matches!(event, "reset" | "deleted") {
            // The name has begun anew.
            *self = RosterRow {
                last_id: self.last_id,
                known_end: self.known_end,
                ..RosterRow::new(&self.name)
            };
        }
        let number = |key| data.get(key).and_then(Value::as_f64);
        match event {
            "reset" => {}
            "done" | "error" | "deleted" => {
                let took = number("elapsedMs").and_then(milliseconds);
                self.took = took.or_else(|| self.elapsed(now));
                self.standing = JobStanding::Failed;
                if event == "done" {
                    self.standing = JobStanding::Done;
                    self.percent = Some(100.0);
                }
            }
            _ => {
                self.began = self.began.or(Some(now));
                self.standing = JobStanding::Running;
                let stage = data.get("stage").and_then(Value::as_str);
                let is_whole = number("overall");
                if stage.is_some_and(|stage| stage != self.stage) && is_whole.is_none() {
                    self.percent = None;
                    self.outlook = Outlook::default();
                }
                if let Some(stage) = stage {
                    self.stage = printable(stage);
                }
                if let Some(percent) = is_whole.or(number("percent")) {
                    self.percent = Some(percent);
                    self.outlook.add(now, percent);
                }
                let left = number("etaMs").and_then(milliseconds);
                self.end = left.and_then(|left| now.checked_add(left));
            }
        }
        let text = describe(event, data);
        let is_told = event == "progress" && number("overall").is_none();
        self.brief = match number("percent").filter(|_| is_told) {
            Some(_) => self.stage.clone(),
            None => text.clone(),
        };
        let is_new = text != self.text;
        self.text = text;
        is_new
    }

    /// Stands as its snapshot says, which may be older than what was heard.
    fn be(&mut self, snapshot: &JobSnapshot) -> bool {
        let now = Instant::now();
        let began = since(&snapshot.created_at, now);
        let Some(last) = snapshot
            .last_event
            .as_ref()
            .filter(|_| snapshot.id() > self.last_id)
        else {
            self.began = self.began.or(began);
            return false;
        };
        let is_new = self.tell(&last.event, &last.data, now);
        self.last_id = snapshot.id();
        self.began = began;
        if self.has_ended() {
            self.took = snapshot.took().or(self.took);
        }
        is_new
    }
}

/// The instant that a date was, as this host's clock has it.
fn since(date: &str, now: Instant) -> Option<Instant> {
    let date = humantime::parse_rfc3339(date).ok()?;
    let passed = SystemTime::now().duration_since(date).unwrap_or_default();
    now.checked_sub(passed)
}

fn milliseconds(count: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(count / 1000.0).ok()
}

//! A client that follows jobs: it drops its stream, and resumes with the last id that it has
//! seen. It knows what it is owed, and says so where it doesn't get that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::connection::{Connection, Said};
use super::front::Answer;
use super::model::{Model, Told};
use super::server::Server;
use crate::event::Pace;
use crate::event::job::EventId;
use crate::sys::clock;

/// What a client follows.
#[derive(Clone, Debug)]
pub enum Follows {
    One(usize),
    /// Jobs, some with numbers of their own.
    Listed(Vec<(usize, Option<u64>)>),
    /// The jobs whose names begin so.
    Matching(String),
}

/// A client.
pub struct Reader {
    pub follows: Follows,
    /// What it asks to begin with, where it has nothing yet: a word for `?replay=`.
    replay: &'static str,
    /// What it asks for with `?maxRate=`, where it does.
    rate: Option<&'static str>,
    /// The last id that it has seen; or what it makes up.
    pub last: Option<String>,
    /// It reads a little at a time.
    pub is_slow: bool,
    connection: Option<Connection>,
    account: Account,
}

/// What a client has, and what it is owed.
#[derive(Default)]
struct Account {
    /// It has, or was told of, everything up to here.
    has: u64,
    /// What isn't owed: a job's events up to a number.
    excused: HashMap<usize, u64>,
    /// Forgotten jobs' events up to this number aren't owed: all of them, or one job's.
    told_forgotten: u64,
    told_forgotten_of: HashMap<usize, u64>,
    /// What it has sent as its last id is no number that was given: a `reset` comes first.
    owes_unknown: bool,
    has_sent_unknown: bool,
    /// An event has come on this connection.
    has_event: bool,
    /// The stream ends with what came last.
    is_at_end: bool,
    has_last_chunk: bool,
    /// The step after which nothing was on its way any more.
    drained_at: u64,
    /// Part of a frame is on its way.
    is_amid: bool,
    reads_at: u64,
    /// What was read last was all, and whether it ends amid a frame.
    drains: Option<bool>,
    /// When progress of a life came.
    progress: HashMap<EventId, Vec<Instant>>,
}

impl Reader {
    pub fn new(follows: Follows, replay: &'static str, is_slow: bool) -> Reader {
        Reader {
            follows,
            replay,
            rate: None,
            last: None,
            is_slow,
            connection: None,
            account: Account::default(),
        }
    }

    /// It wants so much progress a second at most.
    pub fn paced(self, rate: Option<&'static str>) -> Reader {
        Reader { rate, ..self }
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// How many bytes have come to it on this connection.
    pub fn bytes(&self) -> u64 {
        self.connection.as_ref().map_or(0, Connection::bytes)
    }

    /// Goes away.
    pub fn drop_connection(&mut self) {
        self.connection = None;
    }

    fn follows(&self, model: &Model, job: usize) -> bool {
        match &self.follows {
            Follows::One(one) => *one == job,
            Follows::Listed(listed) => listed.iter().any(|(it, _)| *it == job),
            Follows::Matching(prefix) => model.jobs[job].name.as_str().starts_with(prefix),
        }
    }

    fn jobs(&self, model: &Model) -> Vec<usize> {
        let all = 0..model.jobs.len();
        all.filter(|&job| self.follows(model, job)).collect()
    }

    fn target(&self, model: &Model) -> String {
        let mut query = Vec::new();
        let path = match &self.follows {
            Follows::One(job) => format!("/api/jobs/{}/events", model.jobs[*job].name),
            Follows::Listed(listed) => {
                for (job, own) in listed {
                    let name = &model.jobs[*job].name;
                    query.push(match own {
                        Some(own) => format!("job={name}:{own}"),
                        None => format!("job={name}"),
                    });
                }
                "/api/events".into()
            }
            Follows::Matching(prefix) if prefix.is_empty() => "/api/events".into(),
            Follows::Matching(prefix) => {
                query.push(format!("jobs={prefix}*"));
                "/api/events".into()
            }
        };
        if !self.replay.is_empty() {
            query.push(format!("replay={}", self.replay));
        }
        if let Some(rate) = self.rate {
            query.push(format!("maxRate={rate}"));
        }
        let sign = if query.is_empty() { "" } else { "?" };
        format!("{path}{sign}{}", query.join("&"))
    }

    /// Asks for its stream. Says what it got.
    pub fn connect(&mut self, server: &Server, model: &Model, step: u64) -> String {
        let target = self.target(model);
        let buffer_bytes = if self.is_slow { 1 } else { 64 * 1024 };
        let known = self.last.as_deref().map(|last| {
            let number = last.parse().ok();
            number.filter(|&number| server.was_given(number))
        });
        let answer = server
            .front
            .get(&target, self.last.as_deref(), buffer_bytes);
        let said = format!("{target} after {:?}", self.last);
        self.account = Account {
            drained_at: step,
            ..Account::default()
        };
        match answer {
            Answer::Stream(socket) => {
                self.connection = Some(Connection::new(socket));
                match known {
                    Some(Some(number)) => self.resume(number, server),
                    Some(None) => self.owe_unknown(),
                    None => self.begin(server, model),
                }
                format!("{said}: a stream")
            }
            Answer::Busy => format!("{said}: busy"),
            Answer::NoContent => {
                self.check_end(known.flatten(), model);
                format!("{said}: nothing more")
            }
        }
    }

    fn resume(&mut self, number: u64, server: &Server) {
        self.account.has = number;
        if let Follows::Listed(listed) = &self.follows {
            for (job, own) in listed {
                if let Some(own) = own.filter(|&own| server.was_given(own)) {
                    self.account.excused.insert(*job, own);
                }
            }
        }
    }

    fn begin(&mut self, server: &Server, model: &Model) {
        for job in self.jobs(model) {
            let gone = server.gone(&model.jobs[job].name);
            let floor = gone.of_the_job.max(gone.of_lives);
            let newest = model.jobs[job].newest().unwrap_or(0);
            let excused = match self.replay {
                "none" => server.published(),
                "latest" => floor.max(newest.saturating_sub(1)),
                _ => floor,
            };
            self.account.excused.insert(job, excused);
        }
        let mut owes_unknown = false;
        if let Follows::Listed(listed) = &self.follows {
            for (job, own) in listed {
                let Some(own) = own else { continue };
                if server.was_given(*own) {
                    self.account.excused.insert(*job, *own);
                } else {
                    owes_unknown = true;
                }
            }
        }
        if owes_unknown {
            self.owe_unknown();
        }
    }

    fn owe_unknown(&mut self) {
        self.account.owes_unknown = true;
        self.account.has_sent_unknown = true;
    }

    /// It was told that nothing more will come.
    fn check_end(&self, last: Option<u64>, model: &Model) {
        let Some(last) = last else {
            // Numbers of its own for each job.
            assert!(matches!(self.follows, Follows::Listed(_)) || self.replay == "none");
            return;
        };
        for job in self.jobs(model) {
            let job = &model.jobs[job];
            let Some(life) = job.life().filter(|life| life.is_over()) else {
                panic!("{} hasn't ended, and its stream has", job.name);
            };
            let own = match &self.follows {
                Follows::Listed(listed) => listed
                    .iter()
                    .find(|(it, _)| model.jobs[*it].name == job.name)
                    .and_then(|(_, own)| *own),
                _ => None,
            };
            let has = last.max(own.unwrap_or(0));
            assert!(
                has >= job.newest().unwrap_or(0).min(life.last.0),
                "{} has more than {has}, and its stream has ended",
                job.name
            );
        }
    }

    /// Reads up to so many bytes.
    pub fn read(&mut self, most: usize, step: u64) -> Vec<Said> {
        let Some(connection) = &mut self.connection else {
            return Vec::new();
        };
        let (said, is_drained) = connection.read(most);
        self.account.reads_at = step;
        if is_drained {
            self.account.drains = Some(connection.is_amid_a_frame());
        }
        said
    }

    /// Holds what it has read against what it is owed. Panics where it isn't that.
    pub fn take(&mut self, said: &[Said], server: &Server, model: &Model) {
        for said in said {
            match said {
                Said::Frame { event, data, id } => {
                    assert!(
                        !self.account.has_last_chunk,
                        "{id} comes behind the stream's end"
                    );
                    if event == "reset" {
                        self.reset(data, *id, server, model);
                    } else {
                        self.frame(event, data, *id, server, model);
                    }
                    self.last = Some(id.to_string());
                    self.account.is_amid = false;
                }
                Said::LastChunk => self.account.has_last_chunk = true,
                Said::Closed => {
                    // Who takes nothing for a while is cut off.
                    assert!(
                        self.account.has_last_chunk || self.is_slow,
                        "a stream ends without its last chunk"
                    );
                    self.connection = None;
                }
            }
        }
        if let Some(is_amid) = self.account.drains.take() {
            self.account.drained_at = self.account.reads_at;
            self.account.is_amid = is_amid;
        }
    }

    fn frame(&mut self, event: &str, data: &str, id: u64, server: &Server, model: &Model) {
        let told = model.told.get(&id);
        let told = told.unwrap_or_else(|| panic!("nobody has published {id}: {event} {data}"));
        assert_eq!((event, data), (&*told.event, &*told.data), "what {id} is");
        assert!(self.follows(model, told.job), "{id} isn't of its jobs");
        assert!(!self.account.owes_unknown, "{id} comes without a reset");
        let has = self.account.has;
        assert!(id > has, "{id} comes behind {has}");
        assert!(!self.account.is_at_end, "{id} comes behind the end");
        let is_certain = id > model.jobs[told.job].uncertain;
        if let Some(since) = told.void_since.filter(|_| is_certain) {
            let may_be_old = self.account.drained_at < since || self.account.is_amid;
            assert!(may_be_old, "{id} is of a life that is no more");
        }
        self.check_owed(has + 1..id, model);
        if event == "progress" {
            // After a restart the newest progress may lie further back than the ring, and what is
            // read behind that is all.
            let job = server.jobs.hub().find(&model.jobs[told.job].name);
            if job.is_some_and(|job| job.lock().ring().newest_progress() > EventId(0)) {
                self.check_rate(told.life);
            }
        }
        self.account.has = id;
        self.account.has_event = true;
        let is_terminal = ["done", "error", "deleted"].contains(&event);
        self.account.is_at_end = is_terminal && matches!(self.follows, Follows::One(_));
    }

    /// Progress of a life has come: not more often than it may.
    fn check_rate(&mut self, life: EventId) {
        let Some(rate) = self.rate.filter(|_| !self.is_slow) else {
            return;
        };
        let (second, now) = (Duration::from_secs(1), clock::now());
        let interval = rate.parse::<Pace>().expect("it is a rate").interval();
        let came = self.account.progress.entry(life).or_default();
        came.retain(|&then| now - then < second);
        came.push(now);
        // At the beginning, at the end, and in between.
        let most = 2 + second.as_millis().div_ceil(interval.as_millis());
        assert!(
            came.len() <= most as usize,
            "progress comes too often: {came:?}"
        );
    }

    /// Whether it has all of these numbers that it is owed.
    fn check_owed(&self, numbers: std::ops::Range<u64>, model: &Model) {
        for (id, told) in model.told.range(numbers) {
            assert!(
                !self.is_owed(*id, told, model),
                "{id} of {} is skipped without a word: {told:?}",
                model.jobs[told.job].name
            );
        }
    }

    fn is_owed(&self, id: u64, told: &Told, model: &Model) -> bool {
        let account = &self.account;
        let upto = |upto: Option<&u64>| upto.is_some_and(|&upto| id <= upto);
        let is_excused =
            upto(account.excused.get(&told.job)) || id <= model.jobs[told.job].uncertain;
        let is_told =
            id <= account.told_forgotten || upto(account.told_forgotten_of.get(&told.job));
        let is_forgotten = is_told && model.is_forgotten(told);
        let is_owed = told.void_since.is_none() && !is_excused && !is_forgotten;
        let is_replaced = || self.rate.is_some() && model.is_replaced(id, told);
        self.follows(model, told.job) && is_owed && !is_replaced()
    }

    fn reset(&mut self, data: &str, id: u64, server: &Server, model: &Model) {
        let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
        let job = data["jobId"].as_str().expect("it names a job");
        let is_unknown = data["reason"] == "unknown";
        if is_unknown {
            assert!(self.account.has_sent_unknown, "its number is known");
            assert!(
                !self.account.has_event,
                "a number is unknown at once or never"
            );
        } else {
            assert_eq!(data["reason"], "expired");
        }
        let is_matching = matches!(self.follows, Follows::Matching(_));
        let jobs = match job {
            "*" => {
                assert!(is_matching, "a reset of all on a stream of some");
                self.account.told_forgotten = server.forgotten();
                self.jobs(model)
            }
            name => {
                let job = model.number_of(&name.parse().expect("it is a name"));
                assert!(self.follows(model, job), "a reset of another job");
                vec![job]
            }
        };
        let is_one = matches!(self.follows, Follows::One(_));
        for job in jobs.iter().copied() {
            let gone = server.gone(&model.jobs[job].name);
            let upto = if is_unknown || is_one {
                gone.of_the_job.max(gone.of_lives)
            } else {
                gone.of_the_job
            };
            // What is said of all of them is of those that are no more.
            if job_is(model, job, &data) || is_unknown {
                let excused = self.account.excused.entry(job).or_insert(0);
                *excused = (*excused).max(upto);
                self.account
                    .told_forgotten_of
                    .insert(job, server.forgotten());
            }
        }
        if is_unknown || is_one && !self.account.has_event && id < self.account.has {
            assert!(
                !self.account.has_event,
                "a stream goes back amid its events"
            );
            self.account.has = id;
            self.account.owes_unknown = false;
            if is_unknown {
                self.account.told_forgotten = server.forgotten();
            }
            return;
        }
        let has = self.account.has;
        assert!(id >= has, "a reset goes back from {has} to {id}");
        self.check_owed(has + 1..id + 1, model);
        self.account.has = id;
    }

    /// Whether it has all that there is for it, when everything has come to rest.
    pub fn check_rest(&self, server: &Server, model: &Model) {
        if self.connection.is_none() {
            return;
        }
        assert!(!self.account.owes_unknown, "a reset is owed");
        self.check_owed(self.account.has + 1..server.published() + 1, model);
        let is_over = |job: &usize| {
            let life = model.jobs[*job].life();
            life.is_some_and(|life| life.is_over() && !life.is_forgotten_at(clock::now_ms()))
        };
        let has_ended = match &self.follows {
            Follows::One(_) => self.account.is_at_end,
            Follows::Listed(_) => self.jobs(model).iter().all(is_over),
            Follows::Matching(_) => false,
        };
        assert!(!has_ended, "everything has ended, and the stream hasn't");
    }
}

fn job_is(model: &Model, job: usize, data: &serde_json::Value) -> bool {
    data["jobId"] == model.jobs[job].name.as_str()
}

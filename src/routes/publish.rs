//! `POST /api/jobs/{job}/events` and `POST /api/events`.

use std::borrow::Cow;
use std::sync::Arc;

use super::gate::{INVALID, OUT_OF_SCOPE, Pass};
use super::quotas::CountedPublisher;
use super::{Answer, Caller, Context, Intake, Plan, Request, key_of, may_pass, publish_status};
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::{IdempotencyKey, Publication, Word};
use crate::http::{BodyLength, Response, Status};
use crate::sequencer::{PublishError, Saying};
use crate::sys::limit::Limit;
use crate::sys::order;

/// What a line or a body may be longer than its event's data: names and punctuation.
const EVENT_OVERHEAD_BYTES: usize = 4096;

/// A body that is being published. An NDJSON one is published line by line as it
/// comes; of it only the line that isn't whole is held.
struct Publications {
    context: Arc<Context>,
    job: Option<JobId>,
    /// The life that the job which the path names had when the request came, or has begun with
    /// it: the rest of a body isn't of the next one.
    life: Option<LifeId>,
    pass: Pass,
    publisher: Option<CountedPublisher>,
    is_ndjson: bool,
    /// What the whole request is known by.
    key: Option<IdempotencyKey>,
    part: Vec<u8>,
    body_bytes: usize,
    lines: usize,
    ids: Vec<EventId>,
    /// What was said was an event, and not only that the worker is there.
    is_event: bool,
    /// Jobs that it spoke for and whose worker is asked to end them.
    cancelled: Vec<JobId>,
    /// How many streams get the event that it is.
    streams: usize,
    /// What the NDJSON said last, and its lines. It is published together.
    gathered: Vec<Saying>,
    gathered_lines: Vec<usize>,
}

/// Begins to read the events for a job.
pub fn one(request: Request<'_>, job: JobId) -> Answer {
    begin(request, Some(job))
}

/// Begins to read the events for the jobs that the lines name.
pub fn many(request: Request<'_>) -> Answer {
    begin(request, None)
}

fn begin(request: Request<'_>, job: Option<JobId>) -> Answer {
    let Request {
        context,
        head,
        caller: Caller { pass, peer, .. },
    } = request;
    let kind = head.content_type.unwrap_or_default();
    let kind = kind
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let is_ndjson = kind.eq_ignore_ascii_case(b"application/x-ndjson");
    let is_json = kind.eq_ignore_ascii_case(b"application/json");
    if !(is_ndjson || is_json && job.is_some()) {
        let message = match job {
            Some(_) => {
                "send Content-Type: application/json for one event, or application/x-ndjson \
                 for one event a line"
            }
            None => "send Content-Type: application/x-ndjson, one event with its \"job\" a line",
        };
        return Err(Response::error(Status::UnsupportedMediaType, message));
    }
    let key = key_of(head)?;
    if is_ndjson && key.is_some() {
        let message = "Idempotency-Key is for one event: give each line a \"key\" of its own";
        return Err(Response::error(Status::BadRequest, message));
    }
    match head.length {
        BodyLength::None => {
            let message = "the body's length is missing: send Content-Length, or chunks";
            return Err(Response::error(Status::LengthRequired, message));
        }
        BodyLength::Length(length) if length > context.rules().body_bytes as u64 => {
            context.jobs.hub().metrics().refused(Limit::Body);
            return Err(too_large(context.rules().body_bytes));
        }
        _ => {}
    }
    let life = job.as_ref().and_then(|job| context.jobs.hub().life(job));
    // A deleted one takes nothing, and is gone once its deletion is remembered no more: then
    // this begins another.
    let life = life.filter(|life| !life.is_deleted());
    Ok(Plan::Intake(Box::new(Publications {
        context: context.clone(),
        life: life.map(|life| life.id()),
        job,
        publisher: pass.publisher(peer),
        pass,
        is_ndjson,
        key,
        part: Vec::new(),
        body_bytes: 0,
        lines: 0,
        ids: Vec::new(),
        streams: 0,
        is_event: true,
        cancelled: Vec::new(),
        gathered: Vec::new(),
        gathered_lines: Vec::new(),
    })))
}

/// Why nothing more of a body is wanted.
struct LineRefusal {
    status: Status,
    message: String,
    /// The line that it is about.
    line: usize,
    field: Option<(&'static str, Cow<'static, str>)>,
}

impl Intake for Publications {
    fn push(&mut self, piece: &[u8]) -> Result<(), Response> {
        let read = self.read(piece);
        self.publish_gathered(read)
    }

    fn finish(mut self: Box<Self>) -> Response {
        let last = std::mem::take(&mut self.part);
        let read = if self.is_ndjson {
            self.line(&last)
        } else {
            self.publish(&last)
        };
        match self.publish_gathered(read) {
            Err(response) => response,
            Ok(()) if self.is_ndjson => {
                self.look_at_its_job();
                let mut json = String::from("{");
                self.write_ids(&mut json);
                self.write_cancelled(&mut json);
                json.push('}');
                Response::json(Status::Created, json)
            }
            Ok(()) => {
                let id = self.ids.first().map_or(0, |id| id.0);
                let mut json = format!("{{\"id\":{id},\"streams\":{}", self.streams);
                self.write_cancelled(&mut json);
                json.push('}');
                let status = if self.is_event {
                    Status::Created
                } else {
                    Status::Ok
                };
                Response::json(status, json)
            }
        }
    }

    fn break_off(&mut self, why: Response) -> Response {
        // The line that was on its way.
        self.lines += 1;
        self.look_at_its_job();
        self.response(self.refusal(why.status, why.message()))
    }
}

impl Publications {
    fn read(&mut self, mut piece: &[u8]) -> Result<(), LineRefusal> {
        self.body_bytes += piece.len();
        if self.body_bytes > self.context.rules().body_bytes {
            // Of the line that is being read, or comes.
            self.lines += 1;
            self.context.jobs.hub().metrics().refused(Limit::Body);
            let message = too_large_message(self.context.rules().body_bytes);
            return Err(self.refusal(Status::BodyTooLarge, message));
        }
        while self.is_ndjson
            && let Some(end) = memchr::memchr(b'\n', piece)
        {
            let (line, rest) = piece.split_at(end);
            piece = &rest[1..];
            if self.part.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.part);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                whole.clear();
                self.part = whole;
            }
        }
        let max = self.context.jobs.hub().config().event_bytes + EVENT_OVERHEAD_BYTES;
        if self.part.len() + piece.len() > max {
            self.lines += 1;
            self.context.jobs.hub().metrics().refused(Limit::Event);
            return Err(self.refusal(Status::BodyTooLarge, too_large_message(max)));
        }
        self.part.extend_from_slice(piece);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), LineRefusal> {
        self.lines += 1;
        match line.trim_ascii() {
            b"" => Ok(()),
            line => self.publish(line),
        }
    }

    fn publish(&mut self, text: &[u8]) -> Result<(), LineRefusal> {
        let Publication { job, word, key } = Publication::from_json(text)
            .map_err(|error| self.refusal(Status::BadRequest, error.to_string()))?;
        let job = match (&self.job, job) {
            (Some(path), Some(line)) if *path != line => {
                let message = format!("\"job\" is {line}, but the path names {path}: leave it out");
                return Err(self.refusal(Status::BadRequest, message));
            }
            (Some(path), _) => path.clone(),
            (None, Some(line)) => line,
            (None, None) => {
                let message = "\"job\" is missing: every line names its job here";
                return Err(self.refusal(Status::BadRequest, message));
            }
        };
        let key = match (self.key, key) {
            (Some(of_all), Some(own)) if of_all != own => {
                let message = "\"key\" is another than Idempotency-Key: send one of them";
                return Err(self.refusal(Status::BadRequest, message));
            }
            (of_all, own) => own.or(of_all),
        };
        // What the path names was judged before the body was read.
        if self.job.is_none()
            && let Err(why) = self.pass.publish(&job)
        {
            let mut refusal = self.refusal(Status::Forbidden, why);
            refusal.field = Some(("WWW-Authenticate", OUT_OF_SCOPE.into()));
            return Err(refusal);
        }
        if self.pass.has_ended() {
            let message = "the token has expired meanwhile: get a new one";
            let mut refusal = self.refusal(Status::Unauthorized, message);
            refusal.field = Some(("WWW-Authenticate", INVALID.into()));
            return Err(refusal);
        }
        if let Some(publisher) = self.publisher
            && let Err(wait) = self.context.quotas.event(publisher)
        {
            let limit = Limit::EventRate;
            self.context.jobs.hub().metrics().refused(limit);
            let mut refusal = self.refusal(Status::TooManyRequests, limit.to_string());
            let seconds = wait.as_secs() + 1;
            refusal.field = Some(("Retry-After", seconds.to_string().into()));
            return Err(refusal);
        }
        let life = self.life;
        if self.is_ndjson {
            self.gathered.push(Saying {
                job,
                word,
                key,
                life,
            });
            self.gathered_lines.push(self.lines);
            return Ok(());
        }
        // One alone is delivered at once.
        self.is_event = matches!(word, Word::Event(..));
        // Counted before: those of a job that ends with this are gone behind it.
        self.streams = self.context.jobs.hub().streams(&job);
        let published = self.context.jobs.say(Saying {
            job: job.clone(),
            word,
            key,
            life,
        });
        self.look_for_cancellation(job);
        let id = published.map_err(|error| self.unpublished(&error, self.lines))?;
        self.ids.push(id);
        Ok(())
    }

    /// Publishes what was gathered before something was `read` or refused: what comes
    /// before a bad line stays published.
    fn publish_gathered(&mut self, read: Result<(), LineRefusal>) -> Result<(), Response> {
        let mut refused = None;
        if !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            let jobs: Vec<JobId> = match &self.job {
                Some(job) => vec![job.clone()],
                None => gathered.iter().map(|saying| saying.job.clone()).collect(),
            };
            let (ids, error) = self.context.jobs.say_all(gathered);
            // Of what was published, or refused. Of what is behind that nothing was said.
            for job in jobs.into_iter().take(ids.len() + 1) {
                self.look_for_cancellation(job);
            }
            let line = self.gathered_lines.get(ids.len()).copied();
            self.gathered_lines.clear();
            self.ids.extend(ids);
            self.find_life();
            refused = error.map(|error| self.unpublished(&error, line.unwrap_or(self.lines)));
        }
        let refusal = match refused.map_or(read, Err) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        self.look_at_its_job();
        Err(self.response(refusal))
    }

    /// Keeps the life that the first line has begun, or was said in, for those that follow.
    fn find_life(&mut self) {
        if let (None, Some(job), Some(&first)) = (self.life, &self.job, self.ids.first()) {
            let life = self.context.jobs.hub().life(job).map(|life| life.id());
            // A later one has begun meanwhile: that isn't meant.
            let is_meant = |life: &LifeId| life.0 <= first;
            self.life = Some(life.filter(is_meant).unwrap_or(LifeId(first)));
        }
    }

    /// Whatever the answer, and however long ago the last line came: the worker hears that it is
    /// asked to end the job.
    fn look_at_its_job(&mut self) {
        if let Some(job) = self.job.clone() {
            self.look_for_cancellation(job);
        }
    }

    /// Notes that a job's worker is asked to end it.
    fn look_for_cancellation(&mut self, job: JobId) {
        if self.context.jobs.hub().is_cancelled(&job) {
            self.cancelled.push(job);
        }
    }

    fn unpublished(&self, error: &PublishError, line: usize) -> LineRefusal {
        let status = publish_status(error);
        LineRefusal {
            status,
            message: error.to_string(),
            line,
            field: may_pass(status).then_some(("Retry-After", "5".into())),
        }
    }

    fn refusal(&self, status: Status, message: impl Into<String>) -> LineRefusal {
        LineRefusal {
            status,
            message: message.into(),
            line: self.lines,
            field: None,
        }
    }

    /// An error answer, which for NDJSON names the line and what was published before.
    fn response(&self, refusal: LineRefusal) -> Response {
        let LineRefusal {
            status,
            message,
            line,
            field,
        } = refusal;
        let response = if self.is_ndjson {
            let message = serde_json::Value::from(format!("line {line}: {message}"));
            let mut json = format!("{{\"error\":{message},\"line\":{line},");
            self.write_ids(&mut json);
            self.write_cancelled(&mut json);
            json.push('}');
            Response::json(status, json)
        } else if self.cancelled.is_empty() {
            Response::error(status, &message)
        } else {
            let message = serde_json::Value::from(message);
            let json = format!("{{\"error\":{message},\"cancelled\":true}}");
            Response::json(status, json)
        };
        match field {
            Some((name, value)) => response.with(name, value),
            None => response,
        }
    }

    fn write_ids(&self, json: &mut String) {
        json.push_str("\"ids\":[");
        for (index, id) in self.ids.iter().enumerate() {
            json.push_str(if index > 0 { "," } else { "" });
            json.push_str(itoa::Buffer::new().format(id.0));
        }
        json.push(']');
    }

    /// That the path's job is cancelled, or which of those that the lines name.
    fn write_cancelled(&self, json: &mut String) {
        if self.cancelled.is_empty() {
            return;
        }
        if self.job.is_some() {
            json.push_str(",\"cancelled\":true");
            return;
        }
        let mut jobs: Vec<_> = self.cancelled.iter().collect();
        order::sort_by(&mut jobs, |a, b| a.cmp(b));
        jobs.dedup();
        json.push_str(",\"cancelled\":[");
        for (index, job) in jobs.into_iter().enumerate() {
            json.push_str(if index > 0 { ",\"" } else { "\"" });
            // A job's name needs no escapes.
            json.push_str(job.as_str());
            json.push('"');
        }
        json.push(']');
    }
}

/// 413.
pub fn too_large(max_bytes: usize) -> Response {
    Response::error(Status::BodyTooLarge, &too_large_message(max_bytes))
}

fn too_large_message(max_bytes: usize) -> String {
    format!("too large: at most {max_bytes} bytes")
}

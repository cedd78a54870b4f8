//! What a request gets: the decision, without a socket.

mod answers;
mod begin;
mod cancel;
mod delete;
#[cfg(feature = "uploads")]
mod elsewhere;
#[cfg(feature = "uploads")]
mod file;
mod gate;
mod list;
mod openapi;
mod packed;
mod publish;
mod quotas;
#[cfg(feature = "uploads")]
mod retry;
mod snapshot;
mod stream;
mod table;
#[cfg(feature = "uploads")]
mod upload;
#[cfg(not(feature = "uploads"))]
#[path = "upload/none.rs"]
mod upload;
mod web;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::access::cors::CorsLines;
use crate::access::places::{Occupant, Places};
use crate::event::job::{JobId, LifeId};
use crate::event::{IdempotencyKey, Malformed};
use crate::http::{BasePath, Head, Method, Response, Status};
use crate::hub::Refusal;
use crate::pipeline::Pipeline;
use crate::sequencer::{PublishError, Sequencer};
use crate::stream::Stream;
use crate::stream::opening::Opening;
use crate::sys::headcount::Headcount;
use crate::upload::spool::Spool;
pub use answers::{Answers, Label};
#[cfg(feature = "uploads")]
pub use file::Download;
use gate::out_of_scope;
pub use gate::{AuthConfig, Gate, Pass};
pub use quotas::{Peer, QuotaConfig, Quotas};
#[cfg(feature = "internals")]
pub use snapshot::to_json as snapshot_json;
pub use snapshot::with_holder as snapshot_with_holder;
use table::{Handler, Matched, Right, Route, Subject};
#[cfg(not(feature = "uploads"))]
pub use upload::Download;
pub use upload::UploadIntake;
#[cfg(feature = "internals")]
pub use upload::file_name;

/// Which listener a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The one for browsers.
    Public,
    /// The one for the backend's workers: it has everything that is public as well.
    Publish,
}

/// What the routes need of the server around them.
pub struct Context {
    /// The jobs.
    pub jobs: Sequencer,
    /// Who may do what.
    pub gate: RwLock<Arc<Gate>>,
    /// The path below which everything is served.
    pub base: BasePath,
    /// Where uploads arrive. None where nothing is kept on disk.
    pub spool: Option<Spool>,
    /// What becomes of them. None where there is no spool.
    pub pipeline: Option<Pipeline>,
    /// What downloads may take.
    pub downloads: Arc<Places>,
    /// Where files are kept.
    pub data: Option<PathBuf>,
    /// What one client may have.
    pub quotas: Quotas,
    /// The streams that there are.
    pub streams: Headcount,
    /// What may change while the server runs.
    pub rules: RwLock<Rules>,
    /// What a client is asked to wait before it reconnects, before jitter.
    pub retry: Duration,
    /// The server is stopping.
    pub draining: AtomicBool,
}

/// What may change while the server runs.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The most streams.
    pub streams_max: usize,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// What a client is asked to wait when there is no room for its stream, before jitter.
    pub busy_retry: Duration,
    /// Whether what jobs come to may be downloaded.
    pub has_downloads: bool,
}

/// What is done about a request.
pub enum Plan {
    /// It is answered.
    Answer(Response),
    /// Its body is read into the intake, which then answers.
    Intake(Box<dyn Intake>),
    /// The same for the bytes of a file.
    Upload(Box<UploadIntake>),
    /// It is answered, and a file follows.
    Download(Response, Box<Download>),
    /// It becomes a stream: what it begins with, and what follows.
    Stream(Opening, Stream),
    /// A stream that ends with its head: these bytes, and a close.
    EmptyStream(Vec<u8>),
}

/// A request's body, as it comes.
pub trait Intake {
    /// Takes the next piece.
    ///
    /// # Errors
    /// The answer to a body of which no more is wanted.
    fn push(&mut self, piece: &[u8]) -> Result<(), Response>;

    /// Answers the whole body.
    fn finish(self: Box<Self>) -> Response;

    /// Answers a body that broke off, for which this is the answer where nothing came of it.
    fn break_off(&mut self, why: Response) -> Response {
        why
    }
}

/// What is made of a request. An error is the answer to one that is refused.
type Answer = Result<Plan, Response>;

/// A request that is let in.
struct Request<'a> {
    context: &'a Arc<Context>,
    head: &'a Head<'a>,
    caller: Caller<'a>,
}

/// Who asks, and where.
struct Caller<'a> {
    peer: &'a Peer,
    /// Where it asks.
    access: Access,
    pass: Pass,
    /// The header lines for a page of another origin.
    cors: Option<CorsLines>,
}

impl Caller<'_> {
    /// Whom what it has is counted for.
    fn client(&self) -> Occupant {
        Occupant {
            network: self.peer.network(),
            token: self.pass.fingerprint(),
        }
    }
}

impl Context {
    /// Decides on a request, and says what its answer is counted under.
    pub fn plan(self: &Arc<Self>, head: &Head<'_>, access: Access, peer: &Peer) -> (Label, Plan) {
        let (name, decided) = self.decide(head, access, peer);
        if let Err(response) = &decided
            && matches!(response.status, Status::Unauthorized | Status::Forbidden)
        {
            let unwelcome = &self.jobs.hub().metrics().unwelcome;
            unwelcome.add_with(|| format!("from {peer}: {}", response.message()));
        }
        (name, decided.unwrap_or_else(Plan::Answer))
    }

    /// Who may do what.
    pub fn gate(&self) -> Arc<Gate> {
        self.gate.read().clone()
    }

    /// What may change while the server runs.
    pub fn rules(&self) -> Rules {
        *self.rules.read()
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The server is stopping from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Has everything go that is there for a life of a job, if that is over. Suspends its
    /// coroutine for the disk.
    fn clear_up_after(&self, job: &JobId, life: Option<LifeId>) {
        let (Some(life), Some(spool)) = (life, &self.spool) else {
            return;
        };
        if !self.jobs.hub().is_current(job, life) {
            self.remove_upload(spool, job, life);
        }
    }

    /// Has everything go that is there for an upload's life, which has ended. Suspends its
    /// coroutine for the disk.
    fn break_off(&self, job: &JobId, life: LifeId) {
        if let Some(spool) = &self.spool {
            self.remove_upload(spool, job, life);
        }
    }

    #[cfg_attr(not(feature = "uploads"), allow(unreachable_code, unused_variables))]
    fn remove_upload(&self, spool: &Spool, job: &JobId, life: LifeId) {
        let (job, pipeline, uploads) = (job.clone(), self.pipeline.clone(), spool.clone());
        spool.disk().run(move || {
            uploads.cancel(life);
            if let Some(pipeline) = pipeline {
                pipeline.cancel(&job, life);
            }
        });
    }

    fn decide(self: &Arc<Self>, head: &Head<'_>, access: Access, peer: &Peer) -> (Label, Answer) {
        let found = match Matched::of(head, &self.base) {
            Ok(found) => found,
            Err(response) => return (Label::NONE, Err(response)),
        };
        if head.method == Method::Options {
            let preflight = self.gate().preflight(head, access, found.allow(access));
            let response = if found.is_of_tus() {
                upload::tus::describe(self, preflight)
            } else {
                preflight
            };
            return (Label::PREFLIGHT, Ok(Plan::Answer(response)));
        }
        let is_of_tus = found.is_of_tus();
        let (label, answer) = match found.route(head.method, access) {
            Err(response) => (Label::NONE, Err(response)),
            Ok((index, route)) => {
                let answer = self.answer(route, found.named, head, access, peer);
                (Label::of(index), answer)
            }
        };
        let answer = answer.map_err(|response| {
            if is_of_tus {
                upload::of_tus(response)
            } else {
                response
            }
        });
        (label, answer)
    }

    fn answer(
        self: &Arc<Self>,
        route: &Route,
        named: Subject<'_>,
        head: &Head<'_>,
        access: Access,
        peer: &Peer,
    ) -> Answer {
        if let (Handler::File(get), Subject::Last(name)) = (route.handler, &named) {
            return get(head, &self.base, name);
        }
        check_coding(head)?;
        let gate = self.gate();
        let caller = Caller {
            peer,
            access,
            pass: gate.admit(head, access)?,
            cors: gate.cors_lines(head, access),
        };
        if let Subject::Job(job) = &named {
            match route.right {
                Right::Follow => caller.pass.follow(job)?,
                Right::Publish => caller.pass.publish(job).map_err(|why| out_of_scope(&why))?,
                Right::Cancel => caller.pass.cancel(job, caller.access)?,
                Right::Nothing | Right::Named => {}
            }
        }
        let request = Request {
            context: self,
            head,
            caller,
        };
        match (route.handler, named) {
            (Handler::Job(answer) | Handler::Stream(answer), Subject::Job(job)) => {
                answer(request, job)
            }
            (Handler::Jobs(answer) | Handler::Streams(answer) | Handler::Tus(answer), _) => {
                answer(request)
            }
            (Handler::TusUpload(answer), Subject::Upload(id)) => answer(request, id),
            // The table's tests see that there is no such line.
            _ => Err(web::not_found()),
        }
    }
}

/// Whether a request is one for a stream, as nearly all are.
pub fn is_for_stream(head: &Head<'_>, access: Access, base: &BasePath) -> bool {
    let found = Matched::of(head, base).ok();
    let route = found.and_then(|found| found.route(head.method, access).ok());
    head.method == Method::Get && route.is_some_and(|(_, route)| route.is_stream())
}

/// What is packed is nowhere unpacked: neither what a stage reads nor an event may be gzip
/// that says so in a header field only.
fn check_coding(head: &Head<'_>) -> Result<(), Response> {
    if !head.is_encoded || matches!(head.method, Method::Get | Method::Head) {
        return Ok(());
    }
    let message = "a body with Content-Encoding isn't taken here: send it as it is";
    let response = Response::error(Status::UnsupportedMediaType, message);
    Err(response.with("Accept-Encoding", "identity"))
}

/// The value of a parameter of the query: where it is there twice, nobody could say which is meant.
///
/// # Errors
/// 400: it is there twice, or the query can't be read.
fn parameter<'a>(head: &Head<'a>, wanted: &str) -> Result<Option<Cow<'a, str>>, Response> {
    let mut found = None;
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(bad_query)?;
        if name == wanted && found.replace(value).is_some() {
            return Err(given_twice(wanted));
        }
    }
    Ok(found)
}

fn given_twice(name: &str) -> Response {
    let message = format!("{name} is given twice: give it once");
    Response::error(Status::BadRequest, &message)
}

fn bad_query() -> Response {
    let message = "the query's percent-encoding is broken: % and two digits, of UTF-8";
    Response::error(Status::BadRequest, message)
}

/// What a request is known by when it is made again.
///
/// # Errors
/// 400: it is no key.
fn key_of(head: &Head<'_>) -> Result<Option<IdempotencyKey>, Response> {
    let Some(value) = head.field("idempotency-key") else {
        return Ok(None);
    };
    let key = std::str::from_utf8(value).unwrap_or_default().parse();
    key.map(Some)
        .map_err(|error: Malformed| Response::error(Status::BadRequest, &error.to_string()))
}

/// The answer to a change that is refused, with when to try again where that may help.
fn refused(error: &PublishError) -> Response {
    let status = publish_status(error);
    let response = Response::error(status, &error.to_string());
    if may_pass(status) {
        response.with("Retry-After", "5")
    } else {
        response
    }
}

/// Whether what was refused so may be taken later.
fn may_pass(status: Status) -> bool {
    matches!(status, Status::Unavailable | Status::InsufficientStorage)
}

/// The status for a refused event.
fn publish_status(error: &PublishError) -> Status {
    match error {
        PublishError::Refused(refusal) => refusal_status(*refusal),
        PublishError::ForeignJob => Status::BadRequest,
        PublishError::Full
        | PublishError::Share
        | PublishError::DiskFailing
        | PublishError::Away
        | PublishError::NoRoom
        | PublishError::Denied => Status::Unavailable,
        PublishError::DiskFull => Status::InsufficientStorage,
        PublishError::TooLarge { .. } => Status::BodyTooLarge,
    }
}

/// The status for what the entries before it refuse.
fn refusal_status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Running | Refusal::Ended(_) | Refusal::Over => Status::Conflict,
        Refusal::Deleted => Status::Gone,
        Refusal::NoJob => Status::NotFound,
        Refusal::OtherContent => Status::Unprocessable,
        // Who asks is answered as the first time, so nobody sees this.
        Refusal::Again(_) => Status::Conflict,
    }
}

//! What a request gets: the decision, without a socket.

mod delete;
mod file;
mod gate;
mod openapi;
mod publish;
mod put;
mod quotas;
mod retry;
mod snapshot;
mod stream;
mod upload;
mod web;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::access::cors::Lines;
use crate::access::quota::Share;
use crate::event::EventError;
use crate::event::job::{JobId, LifeId};
use crate::http::{Head, Method, Response, Status};
use crate::hub::Refusal;
use crate::pipeline::Pipeline;
use crate::sequencer::{PublishError, Sequencer};
use crate::stream::opening::Opening;
use crate::stream::{Adoption, ShardHandle, Stream};
use crate::sys::metrics::RouteName;
use crate::sys::socket::Socket;
use crate::upload::UploadId;
use crate::upload::spool::Spool;
pub use file::{Download, Downloads};
pub use gate::{AuthConfig, Gate, Pass};
pub use publish::Intake;
pub use quotas::{Peer, QuotaConfig, Quotas};
pub use snapshot::to_json as snapshot_json;
pub use upload::Intake as UploadIntake;
use web::WebFile;

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
    pub gate: Gate,
    /// Where uploads arrive. None where nothing is kept on disk.
    pub spool: Option<Spool>,
    /// What becomes of them. None where there is no spool.
    pub pipeline: Option<Pipeline>,
    /// What may be downloaded.
    pub downloads: Downloads,
    /// Where files are kept.
    pub data: Option<PathBuf>,
    /// What one client may have.
    pub quotas: Quotas,
    /// Where streams are parked.
    pub shards: Vec<ShardHandle>,
    /// The next shard to be given a stream.
    pub next_shard: AtomicUsize,
    /// The most streams.
    pub streams_max: usize,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// What a client is asked to wait before it reconnects, before jitter.
    pub retry: Duration,
    /// What it is asked to wait when there is no room for its stream, before jitter.
    pub busy_retry: Duration,
    /// The server is stopping.
    pub draining: AtomicBool,
    /// Another server has taken its place.
    pub is_succeeded: AtomicBool,
}

/// What is done about a request.
pub enum Plan {
    /// It is answered.
    Answer(Response),
    /// Its body is read into the intake, which then answers.
    Intake(Box<Intake>),
    /// The same for the bytes of a file.
    Upload(Box<UploadIntake>),
    /// It is answered, and a file follows.
    Download(Response, Box<Download>),
    /// It becomes a stream: what it begins with, and what follows.
    Stream(Opening, Stream),
    /// A stream that ends with its head: these bytes, and a close.
    EmptyStream(Vec<u8>),
}

/// Who asks, and where.
struct Caller<'a> {
    peer: &'a Peer,
    pass: Pass,
    /// The header lines for a page of another origin.
    cors: Option<Lines>,
}

/// A path that is served.
enum Route {
    Events(JobId),
    ManyEvents,
    Job(JobId),
    Retry(JobId),
    File(JobId),
    Uploads,
    Tus,
    TusUpload(Option<UploadId>),
    Openapi,
    Web(&'static WebFile),
    Anything,
}

impl Context {
    /// Decides on a request.
    pub fn plan(
        self: &Arc<Self>,
        head: &Head<'_>,
        access: Access,
        peer: &Peer,
    ) -> (RouteName, Plan) {
        match self.decide(head, access, peer) {
            Ok(decided) => decided,
            Err((name, response)) => (name, Plan::Answer(response)),
        }
    }

    /// Stops what writes below the data directory, for another process to have it. Blocks,
    /// `patience` at most for commands that take their time to end.
    pub fn put_away(&self, patience: Duration) {
        if let Some(pipeline) = &self.pipeline
            && !pipeline.stop(Instant::now() + patience)
        {
            log::warn!("stages are still at work: they begin anew when the server is back");
        }
        self.jobs.order().close();
    }

    /// Has everything go that is there for a life of a job, if that is over. Suspends its
    /// coroutine for the disk.
    fn clear_up_after(&self, job: &JobId, life: Option<LifeId>) {
        let (Some(life), Some(spool)) = (life, &self.spool) else {
            return;
        };
        if self.jobs.hub().is_current(job, life) {
            return;
        }
        let (job, pipeline, uploads) = (job.clone(), self.pipeline.clone(), spool.clone());
        spool.disk().run(move || {
            uploads.cancel(life);
            if let Some(pipeline) = pipeline {
                pipeline.cancel(&job, life);
            }
        });
    }

    /// Gives a stream to the next shard.
    pub fn park(&self, socket: Socket, peer: Peer, mut opening: Opening, stream: Stream) {
        opening.address = peer.into_share().and_then(Share::into_place);
        let next = self.next_shard.fetch_add(1, Ordering::Relaxed);
        self.shards[next % self.shards.len()].adopt(Adoption {
            socket,
            opening,
            stream,
        });
    }

    /// Lets go of a stream that is not going to be parked.
    pub fn abandon(&self, opening: &Opening, stream: Stream) {
        stream.leave(self.jobs.hub());
        if let Some(place) = opening.token {
            self.quotas.tokens().give_back(place);
        }
        self.jobs.hub().metrics().streams_open.add(-1);
    }

    fn decide(
        self: &Arc<Self>,
        head: &Head<'_>,
        access: Access,
        peer: &Peer,
    ) -> Result<(RouteName, Plan), (RouteName, Response)> {
        let route = Route::of(head, access).map_err(|response| (RouteName::None, response))?;
        let is_get = matches!(head.method, Method::Get | Method::Head);
        let name = match (&route, head.method) {
            (_, Method::Options) => RouteName::Preflight,
            (Route::Events(_), Method::Post) => RouteName::Publish,
            (Route::ManyEvents, Method::Post) => RouteName::PublishMany,
            (Route::Job(_), Method::Delete) => RouteName::Delete,
            (Route::Job(_), Method::Put) => RouteName::Begin,
            (Route::Events(_), _) => RouteName::Stream,
            (Route::ManyEvents, _) => RouteName::Consolidated,
            (Route::Job(_), _) => RouteName::Snapshot,
            (Route::Retry(_), _) => RouteName::Retry,
            (Route::File(_), _) => RouteName::File,
            (Route::Uploads, _) => RouteName::Upload,
            (Route::Tus | Route::TusUpload(_), _) => RouteName::Tus,
            (Route::Openapi, _) => RouteName::Openapi,
            (Route::Web(_), _) => RouteName::Web,
            (Route::Anything, _) => RouteName::None,
        };
        let publishes = access == Access::Publish;
        let caller = || {
            Ok(Caller {
                peer,
                pass: self.gate.admit(head, access)?,
                cors: self.gate.cors_lines(head, access),
            })
        };
        let plan = match (route, head.method) {
            (route, Method::Options) => {
                let preflight = self.gate.preflight(head, access, route.allow(access));
                Ok(Plan::Answer(match route {
                    Route::Tus | Route::TusUpload(_) => upload::tus::describe(self, preflight),
                    _ => preflight,
                }))
            }
            (Route::File(job), _) if is_get => {
                caller().and_then(|caller| file::get(self, head, &job, &caller))
            }
            (Route::Uploads, Method::Post) => {
                caller().and_then(|caller| upload::post::begin(self, head, caller))
            }
            (Route::Tus, method) => caller()
                .and_then(|caller| upload::tus::collection(self, head, method, caller))
                .map_err(upload::of_tus),
            (Route::TusUpload(id), method) => caller()
                .and_then(|caller| upload::tus::one(self, head, method, id, caller))
                .map_err(upload::of_tus),
            (Route::Events(job), _) if is_get => {
                caller().and_then(|caller| stream::one(self, head, &job, &caller))
            }
            (Route::ManyEvents, _) if is_get => {
                caller().and_then(|caller| stream::many(self, head, &caller))
            }
            (Route::Job(job), _) if is_get => {
                caller().and_then(|caller| snapshot::get(self.jobs.hub(), &job, &caller.pass))
            }
            (Route::Openapi, _) if is_get => Ok(Plan::Answer(openapi::get())),
            (Route::Web(file), _) if is_get => Ok(file.get(head)),
            (Route::Events(job), Method::Post) if publishes => {
                caller().and_then(|caller| publish::begin(self, head, Some(job), caller))
            }
            (Route::ManyEvents, Method::Post) if publishes => {
                caller().and_then(|caller| publish::begin(self, head, None, caller))
            }
            (Route::Job(job), Method::Put) if publishes => {
                caller().and_then(|caller| put::put(self, head, &job, &caller.pass))
            }
            (Route::Job(job), Method::Delete) if publishes => {
                caller().and_then(|caller| delete::delete(self, &job, &caller.pass))
            }
            (Route::Retry(job), Method::Post) if publishes => {
                caller().and_then(|caller| retry::retry(self, &job, &caller.pass))
            }
            (route, method) => {
                let message = format!("{} isn't served here", method.as_str());
                Err(Response::error(Status::MethodNotAllowed, &message)
                    .with("Allow", route.allow(access)))
            }
        };
        plan.map(|plan| (name, plan))
            .map_err(|response| (name, response))
    }
}

impl Route {
    fn of(head: &Head<'_>, access: Access) -> Result<Route, Response> {
        if head.target.path() == "*" {
            return Ok(Route::Anything);
        }
        let bad_escape = || {
            let message = "the path's percent-encoding is broken: % and two digits, of UTF-8";
            Response::error(Status::BadRequest, message)
        };
        let not_found = || {
            let message = "nothing is served at this path: see the README for the paths there are";
            Response::error(Status::NotFound, message)
        };
        let mut segments: [Cow<'_, str>; 4] = Default::default();
        let mut count = 0;
        for segment in head.target.segments() {
            let segment = segment.ok_or_else(bad_escape)?;
            *segments.get_mut(count).ok_or_else(not_found)? = segment;
            count += 1;
        }
        let [first, second, third, fourth] = &segments;
        let job = |name: &str| {
            name.parse()
                .map_err(|error| Response::error(Status::BadRequest, &format!("{error}")))
        };
        let job = |name: &str| -> Result<JobId, Response> { job(name) };
        match (count, &**first, &**second) {
            (2, "api", "events") => Ok(Route::ManyEvents),
            (3, "api", "jobs") => Ok(Route::Job(job(third)?)),
            (4, "api", "jobs") if fourth == "file" => Ok(Route::File(job(third)?)),
            (2, "api", "uploads") => Ok(Route::Uploads),
            (2, "api", "tus") => Ok(Route::Tus),
            (3, "api", "tus") if third.is_empty() => Ok(Route::Tus),
            (3, "api", "tus") => Ok(Route::TusUpload(third.parse().ok())),
            (4, "api", "jobs") if fourth == "events" => Ok(Route::Events(job(third)?)),
            (4, "api", "jobs") if fourth == "retry" => Ok(Route::Retry(job(third)?)),
            (1, "openapi.json", _) if access == Access::Publish => Ok(Route::Openapi),
            (1, path, _) => WebFile::at(path).map(Route::Web).ok_or_else(not_found),
            _ => Err(not_found()),
        }
    }

    fn allow(&self, access: Access) -> &'static str {
        match (self, access) {
            (Route::Retry(_), Access::Public) => "OPTIONS",
            (Route::Uploads | Route::Retry(_), _) => "POST, OPTIONS",
            (Route::File(_), _) => "GET, HEAD, OPTIONS",
            (Route::Tus, _) => "POST, OPTIONS",
            (Route::TusUpload(_), _) => "HEAD, PATCH, DELETE, POST, OPTIONS",
            (Route::Openapi | Route::Web(_), _) | (_, Access::Public) => "GET, HEAD, OPTIONS",
            (Route::Events(_) | Route::ManyEvents, _) => "GET, HEAD, POST, OPTIONS",
            (Route::Job(_), _) => "GET, HEAD, PUT, DELETE, OPTIONS",
            (Route::Anything, _) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        }
    }
}

/// The status for a refused event.
fn publish_status(error: &PublishError) -> Status {
    match error {
        PublishError::Refused(refusal) => refusal_status(*refusal),
        PublishError::ForeignJob => Status::BadRequest,
        PublishError::Full | PublishError::DiskFailing => Status::Unavailable,
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
    }
}

/// The status for what is no event.
fn event_status(_: &EventError) -> Status {
    Status::BadRequest
}

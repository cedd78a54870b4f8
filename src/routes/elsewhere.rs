//! What is on another server of the fleet alone: an upload, and the file that has come of it.

use std::time::Duration;

use super::{Answer, Context, Plan, Request, refused, snapshot};
use crate::event::job::{JobId, LifeId};
use crate::event::json::Object;
use crate::http::{Response, Status};
use crate::sequencer::{Errand, Neighbour};
use crate::sys::{clock, coroutine};
use crate::upload::UploadId;

/// How long another server may take to try a job again, and how often it is looked for that.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The other server that holds a job's upload. None where that is this one, or nobody.
pub fn holder(context: &Context, job: &JobId) -> Option<(Neighbour, LifeId)> {
    let neighbours = context.jobs.order().neighbours()?;
    let life = context.jobs.hub().life(job)?.id();
    Some((neighbours.elsewhere(job, life)?, life))
}

/// The other server that an upload's address was given by.
pub fn giver(context: &Context, id: UploadId) -> Option<Neighbour> {
    let neighbours = context.jobs.order().neighbours()?;
    let is_here = id.is_of(&neighbours.here().name);
    let mut all = neighbours.all().into_iter();
    all.find(|node| !is_here && id.is_of(&node.name))
}

/// What stands before the path of an upload that begins here.
pub fn home(context: &Context) -> String {
    let neighbours = context.jobs.order().neighbours();
    let url = neighbours.map(|it| &*it.here().url);
    let url = url.filter(|url| !url.is_empty());
    url.unwrap_or(context.base.as_str()).to_owned()
}

/// The answer to a request for what is there: it is led there, where that says where it is.
pub fn lead(request: &Request<'_>, node: &Neighbour) -> Response {
    let Neighbour { name, url } = node;
    let target = request.head.target.below(&request.context.base);
    match target.filter(|_| !url.is_empty()) {
        Some(target) => Response::empty(Status::TemporaryRedirect)
            .with("Location", format!("{url}{target}"))
            .with("Cache-Control", "no-store"),
        None => {
            let message = format!(
                "this is on node {name} of the fleet, and nowhere else: send the request there, \
                 or start that node with --node-url, and it is led there"
            );
            Response::error(Status::Conflict, &message)
        }
    }
}

/// Whether the upload of a job that has failed may be there still, so that it is worth asking. One
/// that was cancelled isn't, nor is one that was broken off: they say no attempt. One whose server
/// wasn't heard of may be.
pub fn may_be_kept(context: &Context, job: &JobId) -> bool {
    let newest = context.jobs.hub().snapshot(job);
    let data = newest.and_then(|it| it.last_event).map(|(_, data)| data);
    let is_stalled = |data: &str| {
        let reason = Object::read(data.as_bytes()).and_then(|mut it| it.text("reason"));
        reason.is_ok_and(|reason| reason.as_deref() == Some("stalled"))
    };
    data.is_some_and(|data| attempt_of(&data).is_some() || is_stalled(&data))
}

/// Has the server that holds a failed job's upload try it again. Suspends its coroutine.
pub fn retry(context: &Context, node: &Neighbour, job: JobId, life: LifeId) -> Answer {
    let hub = context.jobs.hub();
    let Some(neighbours) = context.jobs.order().neighbours() else {
        return Err(snapshot::missing(hub, &job));
    };
    let errand = Errand {
        job: job.clone(),
        life,
    };
    neighbours.ask(errand).map_err(|error| refused(&error))?;
    let deadline = clock::now() + PATIENCE;
    while clock::now() < deadline {
        let now = hub.life(&job).filter(|now| now.id() != life);
        let attempt = hub
            .snapshot(&job)
            .and_then(|it| attempt_of(&it.last_event?.1));
        if let (Some(now), Some(attempt)) = (now, attempt) {
            let id = now.id().0;
            // A job's name needs no escapes.
            let json = format!(r#"{{"jobId":"{job}","attempt":{attempt},"id":{id}}}"#);
            return Ok(Plan::Answer(Response::json(Status::Accepted, json)));
        }
        coroutine::pause(POLL);
    }
    let message = format!(
        "node {} has the upload, and hasn't tried it again: it doesn't run, or doesn't keep the \
         upload any more; see its log, and try it later",
        node.name
    );
    Err(Response::error(Status::Unavailable, &message).with("Retry-After", "5"))
}

/// Which attempt an event is of.
fn attempt_of(data: &str) -> Option<u64> {
    Object::read(data.as_bytes()).ok()?.number("attempt").ok()?
}

//! `GET /api/jobs/{job}/events` and `GET /api/events`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Caller, Context, Opening, Plan};
use crate::frame;
use crate::http::{Head, Method, Response, Status};
use crate::job::JobId;
use crate::random::Random;
use crate::resume::{LastEventId, Start};
use crate::shard::{Consolidated, Listed, Stream};

/// A stream's head, to which the lines for other origins are added.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store, no-transform\r\n\
    X-Accel-Buffering: no\r\n\
    Connection: close\r\n";

/// A stream of one job.
pub fn one(
    context: &Context,
    head: &Head<'_>,
    id: &JobId,
    caller: &Caller,
) -> Result<Plan, Response> {
    caller.pass.follow(id)?;
    let start = start(head)?;
    if head.method == Method::Head {
        return Ok(Plan::EmptyStream(response_head(caller)));
    }
    if !admit(context) {
        return Ok(busy(context, caller));
    }
    loop {
        let Some(job) = context.hub.open(id) else {
            context.hub.metrics().streams_open.add(-1);
            return Ok(busy(context, caller));
        };
        let mut core = job.lock();
        if core.is_forgotten() {
            // It was deleted between the look-up and the lock.
            continue;
        }
        let beginning = core.kept().begin(&start);
        if beginning.reset.is_none()
            && core.ended().is_some()
            && beginning.after >= core.newest_id()
        {
            context.hub.metrics().streams_open.add(-1);
            return Ok(Plan::Answer(Response::empty(Status::NoContent)));
        }
        core.join();
        drop(core);
        let mut first = opening(context.retry, caller);
        if let (Some(reason), Start::After(last)) = (beginning.reset, &start) {
            let last = last.to_string();
            frame::write_reset(&mut first, id.as_str(), reason, &last, beginning.after);
            context.hub.metrics().resets_sent.add(1);
        }
        return Ok(Plan::Stream(
            Opening {
                bytes: first,
                ends_at: caller.pass.ends_at(),
            },
            Stream::Job {
                job,
                after: beginning.after,
            },
        ));
    }
}

/// A stream of the jobs that the query names, or of all.
pub fn many(context: &Context, head: &Head<'_>, caller: &Caller) -> Result<Plan, Response> {
    let start = start(head)?;
    let mut ids = BTreeMap::new();
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(bad_query)?;
        if name == "job" {
            // A name holds no colon.
            let (name, own) = value.split_once(':').unwrap_or((&value, ""));
            let id: JobId = name
                .parse()
                .map_err(|error| Response::error(Status::BadRequest, &format!("job: {error}")))?;
            caller.pass.follow(&id)?;
            ids.entry(id)
                .or_insert_with(|| LastEventId::parse(own.as_bytes()));
        }
    }
    if ids.is_empty() {
        caller.pass.follow_all()?;
    }
    if head.method == Method::Head {
        return Ok(Plan::EmptyStream(response_head(caller)));
    }
    if !admit(context) {
        return Ok(busy(context, caller));
    }
    let jobs = match ids.is_empty() {
        true => None,
        false => match join_all(context, ids) {
            Some(jobs) => Some(jobs),
            None => {
                context.hub.metrics().streams_open.add(-1);
                return Ok(busy(context, caller));
            }
        },
    };
    let stream = Consolidated::new(&context.hub, jobs, &start);
    if stream.is_over() {
        stream.leave(&context.hub);
        context.hub.metrics().streams_open.add(-1);
        return Ok(Plan::Answer(Response::empty(Status::NoContent)));
    }
    Ok(Plan::Stream(
        Opening {
            bytes: opening(context.retry, caller),
            ends_at: caller.pass.ends_at(),
        },
        Stream::Consolidated(Box::new(stream)),
    ))
}

/// Opens the jobs and counts a stream in at each. None where there is no room.
fn join_all(context: &Context, ids: BTreeMap<JobId, Option<LastEventId>>) -> Option<Vec<Listed>> {
    let mut jobs = Vec::with_capacity(ids.len());
    for (id, own) in ids {
        loop {
            let Some(job) = context.hub.open(&id) else {
                Consolidated::new(&context.hub, Some(jobs), &Start::Next).leave(&context.hub);
                return None;
            };
            let mut core = job.lock();
            if !core.is_forgotten() {
                core.join();
                drop(core);
                jobs.push((job, own));
                break;
            }
        }
    }
    Some(jobs)
}

fn start(head: &Head<'_>) -> Result<Start, Response> {
    let mut start = Start::Oldest;
    let mut last = head.last_event_id.and_then(LastEventId::parse);
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(bad_query)?;
        match (&*name, &*value) {
            ("lastEventId", value) if last.is_none() => last = LastEventId::parse(value.as_bytes()),
            ("replay", "latest") => start = Start::Newest,
            ("replay", "none") => start = Start::Next,
            ("replay", "all") => start = Start::Oldest,
            ("replay", _) => {
                let message = "replay is one of latest, none and all";
                return Err(Response::error(Status::BadRequest, message));
            }
            _ => {}
        }
    }
    Ok(last.map_or(start, Start::After))
}

/// Counts a stream in, if there is room for one.
fn admit(context: &Context) -> bool {
    let open = &context.hub.metrics().streams_open;
    if open.add(1) < context.streams_max as i64 && !context.draining.load(Ordering::Acquire) {
        return true;
    }
    open.add(-1);
    false
}

/// EventSource gives up for good at any status but 200, so a stream that has no room is
/// asked to come back later.
fn busy(context: &Context, caller: &Caller) -> Plan {
    Plan::EmptyStream(opening(context.busy_retry, caller))
}

/// A stream's head, and room for a little more.
fn response_head(caller: &Caller) -> Vec<u8> {
    let cors = caller.cors.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(HEAD.len() + cors.len() + 18);
    for part in [HEAD, cors.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
    out
}

fn opening(retry: Duration, caller: &Caller) -> Vec<u8> {
    let mut out = response_head(caller);
    frame::write_retry(&mut out, Random::new().jitter(retry));
    out
}

fn bad_query() -> Response {
    let message = "the query's percent-encoding is broken: % and two digits, of UTF-8";
    Response::error(Status::BadRequest, message)
}

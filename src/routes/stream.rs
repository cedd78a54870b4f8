//! `GET /api/jobs/{job}/events` and `GET /api/events`.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Caller, Context, Plan};
use crate::access::quota::Share;
use crate::event::frame;
use crate::event::job::JobId;
use crate::event::resume::{LastEventId, Start};
use crate::http::{Head, Method, Response, Status};
use crate::hub::job::Core;
use crate::stream::opening::Opening;
use crate::stream::{Consolidated, Listed, Stream};
use crate::sys::random::Random;

/// A stream of one job.
pub fn one(
    context: &Context,
    head: &Head<'_>,
    id: &JobId,
    caller: &Caller<'_>,
) -> Result<Plan, Response> {
    caller.pass.follow(id)?;
    let start = start(head)?;
    if head.method == Method::Head {
        let there = context.hub.find(id);
        let is_over = there.is_some_and(|job| has_seen_the_end(&job.lock(), &start));
        return Ok(head_of(is_over, context, caller));
    }
    let Some(token) = admit(context, caller) else {
        return Ok(busy(context, caller));
    };
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
        if has_seen_the_end(&core, &start) {
            context.hub.metrics().streams_open.add(-1);
            return Ok(Plan::Answer(Response::empty(Status::NoContent)));
        }
        if !context.quotas.has_room_at_job(core.streams()) {
            context.hub.metrics().streams_open.add(-1);
            return Ok(busy(context, caller));
        }
        let beginning = core.kept().begin(&start);
        core.join();
        drop(core);
        let mut first = Opening {
            token: token.into_place(),
            ..opening(context.retry, caller)
        };
        if let (Some(reason), Start::After(last)) = (beginning.reset, &start) {
            let last = last.to_string();
            let mut reset = Vec::new();
            frame::write_reset(&mut reset, id.as_str(), reason, &last, beginning.after);
            first.reset = reset.into();
            context.hub.metrics().resets_sent.add(1);
        }
        return Ok(Plan::Stream(
            first,
            Stream::Job {
                job,
                after: beginning.after,
            },
        ));
    }
}

/// A stream of the jobs that the query names, or of all.
pub fn many(context: &Context, head: &Head<'_>, caller: &Caller<'_>) -> Result<Plan, Response> {
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
        // A job that isn't there yet isn't begun by a question.
        let find = |(id, own)| Some((context.hub.find(&id)?, own));
        let there: Option<Vec<_>> = ids.into_iter().map(find).collect();
        let there = there.filter(|jobs| !jobs.is_empty());
        let is_over =
            there.is_some_and(|jobs| Consolidated::new(&context.hub, Some(jobs), &start).is_over());
        return Ok(head_of(is_over, context, caller));
    }
    let Some(token) = admit(context, caller) else {
        return Ok(busy(context, caller));
    };
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
            token: token.into_place(),
            ..opening(context.retry, caller)
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
            if !context.quotas.has_room_at_job(core.streams()) {
                drop(core);
                Consolidated::new(&context.hub, Some(jobs), &Start::Next).leave(&context.hub);
                return None;
            }
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

/// Counts a stream in, if there is room for one: its place among those of its token.
fn admit(context: &Context, caller: &Caller<'_>) -> Option<Share> {
    let token = context
        .quotas
        .stream(caller.peer, caller.pass.fingerprint())?;
    let open = &context.hub.metrics().streams_open;
    if open.add(1) < context.streams_max as i64 && !context.draining.load(Ordering::Acquire) {
        return Some(token);
    }
    open.add(-1);
    None
}

/// Whether a client that begins so gets 204.
fn has_seen_the_end(core: &Core, start: &Start) -> bool {
    let beginning = core.kept().begin(start);
    beginning.reset.is_none() && core.ended().is_some() && beginning.after >= core.newest_id()
}

/// What HEAD gets: the head that GET would get (RFC 9110 section 9.3.2).
fn head_of(is_over: bool, context: &Context, caller: &Caller<'_>) -> Plan {
    match is_over {
        true => Plan::Answer(Response::empty(Status::NoContent)),
        false => Plan::EmptyStream(opening(context.retry, caller).head()),
    }
}

/// EventSource gives up for good at any status but 200, so a stream that has no room is
/// asked to come back later.
fn busy(context: &Context, caller: &Caller<'_>) -> Plan {
    // A server that stops has a successor soon, or has one already.
    let wait = match context.draining.load(Ordering::Acquire) {
        true => context.retry,
        false => context.busy_retry,
    };
    Plan::EmptyStream(opening(wait, caller).to_bytes())
}

fn opening(retry: Duration, caller: &Caller<'_>) -> Opening {
    Opening {
        ends_at: caller.pass.ends_at().and_then(NonZeroU64::new),
        ..Opening::new(caller.cors.clone(), Random::new().jitter(retry))
    }
}

fn bad_query() -> Response {
    let message = "the query's percent-encoding is broken: % and two digits, of UTF-8";
    Response::error(Status::BadRequest, message)
}

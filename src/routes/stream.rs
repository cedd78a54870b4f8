//! `GET /api/jobs/{job}/events` and `GET /api/events`.

use std::num::NonZeroU64;
use std::time::Duration;

use super::{Answer, Caller, Context, Plan, Request, bad_query, given_twice, parameter};
use crate::access::quota::Share;
use crate::event::Pace;
use crate::event::frame;
use crate::event::job::{EventId, JobId};
use crate::event::resume::{LastEventId, Resumption, Start};
use crate::http::{Head, Method, Response, Status};
use crate::hub::Job;
use crate::stream::opening::Opening;
use crate::stream::{Consolidated, Listed, Stream};
use crate::sys::clock;
use crate::sys::coroutine;
use crate::sys::headcount::Presence;
use crate::sys::limit::Limit;
use crate::sys::order;
use crate::sys::random::Random;

/// How long a stream waits for what its client has seen elsewhere, and how often it looks.
const LATE_PATIENCE: Duration = Duration::from_secs(5);
const LATE_PAUSE: Duration = Duration::from_millis(20);

/// A stream of one job.
pub fn one(request: Request<'_>, id: JobId) -> Answer {
    let Request {
        context,
        head,
        caller,
    } = &request;
    let (start, pace) = wished(head)?;
    let hub = context.jobs.hub();
    if head.method == Method::Head {
        let there = hub.find(&id);
        let is_over = there.is_some_and(|job| has_seen_the_end(context, &job, &start));
        return Ok(head_of(is_over, head, context, caller));
    }
    if !has_come(context, &start) {
        return Ok(busy(Refused::Late, head, context, caller));
    }
    let (open, token, job) = match admit(context, caller).and_then(|(open, token)| {
        let job = hub.join(&id, context.quotas.streams_per_job(), caller.client())?;
        Ok((open, token, job))
    }) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(busy(refused, head, context, caller)),
    };
    if has_seen_the_end(context, &job, &start) {
        hub.leave(&job);
        return Ok(Plan::Answer(Response::empty(Status::NoContent)));
    }
    let beginning = begin(context, &job, &start, pace);
    let mut first = Opening {
        open: Some(open),
        token: Some(token),
        ..opening(context.retry, head, caller)
    };
    if let (Some(reason), Start::After(last)) = (beginning.reset, &start) {
        let last = last.to_string();
        let mut reset = Vec::new();
        frame::write_reset(&mut reset, id.as_str(), reason, &last, beginning.after);
        first.reset = reset.into();
        hub.metrics().resets_sent.add(1);
    }
    let after = beginning.after;
    Ok(Plan::Stream(first, Stream::Job { job, after, pace }))
}

/// Why a stream isn't let in.
enum Refused {
    /// The server stops.
    Draining,
    /// It hasn't heard yet of what the client has.
    Late,
    /// There is no room for it.
    Full(Limit),
}

impl From<Limit> for Refused {
    fn from(limit: Limit) -> Refused {
        Refused::Full(limit)
    }
}

/// What a consolidated stream is asked to follow.
enum StreamQuery {
    /// These jobs, some after numbers of their own.
    Listed(Vec<(JobId, Option<LastEventId>)>),
    /// Every job whose name begins so.
    Matching(String),
}

/// A stream of the jobs that the query names, or of all.
pub fn many(request: Request<'_>) -> Answer {
    let Request {
        context,
        head,
        caller,
    } = &request;
    let (start, pace) = wished(head)?;
    let asked = asked(head, caller)?;
    let hub = context.jobs.hub();
    if head.method == Method::Head {
        let is_over = is_over(context, caller, asked, &start);
        return Ok(head_of(is_over, head, context, caller));
    }
    if !has_come(context, &start) {
        return Ok(busy(Refused::Late, head, context, caller));
    }
    let admitted = admit(context, caller).and_then(|(open, token)| {
        let stream = match asked {
            StreamQuery::Matching(prefix) => Consolidated::matching(&context.jobs, &prefix, &start),
            StreamQuery::Listed(ids) => {
                let jobs = join_all(context, caller, ids)?;
                Consolidated::listed(&context.jobs, jobs, &start)
            }
        };
        Ok((open, token, stream))
    });
    let (open, token, mut stream) = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(busy(refused, head, context, caller)),
    };
    if stream.is_over() {
        stream.leave(hub);
        return Ok(Plan::Answer(Response::empty(Status::NoContent)));
    }
    if let Some(pace) = pace {
        stream.set_pace(pace);
    }
    Ok(Plan::Stream(
        Opening {
            open: Some(open),
            token: Some(token),
            ..opening(context.retry, head, caller)
        },
        Stream::Consolidated(Box::new(stream)),
    ))
}

fn asked(head: &Head<'_>, caller: &Caller<'_>) -> Result<StreamQuery, Response> {
    let bad = |message: &str| Response::error(Status::BadRequest, message);
    let mut ids = Vec::new();
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(bad_query)?;
        if name != "job" {
            continue;
        }
        // A name holds no colon.
        let (name, own) = value.split_once(':').unwrap_or((&value, ""));
        let id: JobId = name
            .parse()
            .map_err(|error| bad(&format!("job: {error}")))?;
        caller.pass.follow(&id)?;
        ids.push((id, LastEventId::parse(own.as_bytes())));
    }
    order::sort_by(&mut ids, |(a, _), (b, _)| a.cmp(b));
    // Twice the same means the same.
    ids.dedup();
    if let Some(two) = ids.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(given_twice(&format!("job={}", two[0].0)));
    }
    let Some(pattern) = parameter(head, "jobs")? else {
        if ids.is_empty() {
            caller.pass.follow_all()?;
            return Ok(StreamQuery::Matching(String::new()));
        }
        return Ok(StreamQuery::Listed(ids));
    };
    if !ids.is_empty() {
        return Err(bad(
            "give either job=NAME, as often as needed, or jobs=PREFIX*",
        ));
    }
    let prefix = pattern
        .strip_suffix('*')
        .ok_or_else(|| bad("jobs is a prefix and a star, as jobs=user42.*"))?;
    if !prefix.is_empty() {
        prefix
            .parse::<JobId>()
            .map_err(|error| bad(&format!("jobs: {error}")))?;
    }
    caller.pass.follow_matching(prefix)?;
    Ok(StreamQuery::Matching(prefix.to_owned()))
}

/// Whether a client that asks so gets 204. A question begins nothing.
fn is_over(context: &Context, caller: &Caller<'_>, asked: StreamQuery, start: &Start) -> bool {
    let StreamQuery::Listed(ids) = asked else {
        return false;
    };
    let hub = context.jobs.hub();
    if ids.iter().any(|(id, _)| hub.find(id).is_none()) {
        return false;
    }
    let Ok(jobs) = join_all(context, caller, ids) else {
        return false;
    };
    let mut stream = Consolidated::listed(&context.jobs, jobs, start);
    let is_over = stream.is_over();
    stream.leave(hub);
    is_over
}

/// Counts a stream in at each name.
fn join_all(
    context: &Context,
    caller: &Caller<'_>,
    ids: Vec<(JobId, Option<LastEventId>)>,
) -> Result<Vec<Listed>, Refused> {
    let hub = context.jobs.hub();
    let most = context.quotas.streams_per_job();
    let mut jobs = Vec::with_capacity(ids.len());
    for (id, own) in ids {
        match hub.join(&id, most, caller.client()) {
            Ok(job) => jobs.push((job, own)),
            Err(limit) => {
                jobs.iter().for_each(|(job, _)| hub.leave(job));
                return Err(limit.into());
            }
        }
    }
    Ok(jobs)
}

fn begin(context: &Context, job: &Job, start: &Start, pace: Option<Pace>) -> Resumption {
    let hub = context.jobs.hub();
    let history = match job.lock().ring().gone() {
        EventId(0) => None,
        _ => Some(()),
    };
    let history = history.and_then(|()| context.jobs.order().history(job.id()));
    hub.begin(job, start, history, pace.is_some())
}

/// Where a client wants its stream to begin, and how often it wants progress.
fn wished(head: &Head<'_>) -> Result<(Start, Option<Pace>), Response> {
    let bad = |message: &str| Response::error(Status::BadRequest, message);
    let start = match parameter(head, "replay")?.as_deref() {
        None | Some("all") => Start::Oldest,
        Some("latest") => Start::Newest,
        Some("none") => Start::Next,
        Some(_) => return Err(bad("replay is one of latest, none and all")),
    };
    let pace = match parameter(head, "maxRate")? {
        Some(rate) => {
            let pace = rate.parse::<Pace>();
            Some(pace.map_err(|error| bad(&format!("maxRate: {error}")))?)
        }
        None => None,
    };
    let asked = parameter(head, "lastEventId")?;
    let asked = || asked.and_then(|id| LastEventId::parse(id.as_bytes()));
    let last = head.last_event_id.and_then(LastEventId::parse);
    Ok((last.or_else(asked).map_or(start, Start::After), pace))
}

/// Whether what the client has is here. Where the order may have come to it elsewhere, it is
/// waited for.
fn has_come(context: &Context, start: &Start) -> bool {
    let Start::After(LastEventId::Number(number)) = start else {
        return true;
    };
    let (hub, id) = (context.jobs.hub(), EventId(*number));
    if id <= hub.published() || !context.jobs.order().may_come(id) {
        return true;
    }
    let until = clock::now() + LATE_PATIENCE;
    while clock::now() < until {
        coroutine::pause(LATE_PAUSE);
        if id <= hub.published() {
            return true;
        }
    }
    false
}

/// Counts a stream in, if there is room for one, in all and among those of its token.
fn admit(context: &Context, caller: &Caller<'_>) -> Result<(Presence, Share), Refused> {
    let fingerprint = caller.pass.fingerprint();
    let token = context.quotas.stream(caller.peer, fingerprint)?;
    let open = context.streams.one_below(context.rules().streams_max);
    let open = open.ok_or(Limit::Streams)?;
    if context.is_draining() {
        Err(Refused::Draining)
    } else {
        Ok((open, token))
    }
}

/// Whether a client that begins so gets 204.
fn has_seen_the_end(context: &Context, job: &Job, start: &Start) -> bool {
    let beginning = begin(context, job, start, None);
    let core = job.lock();
    beginning.reset.is_none() && core.is_over() && beginning.after >= core.newest()
}

/// What HEAD gets: the head that GET would get (RFC 9110 section 9.3.2).
fn head_of(is_over: bool, head: &Head<'_>, context: &Context, caller: &Caller<'_>) -> Plan {
    if is_over {
        Plan::Answer(Response::empty(Status::NoContent))
    } else {
        Plan::EmptyStream(opening(context.retry, head, caller).head())
    }
}

/// EventSource gives up for good at any status but 200, so a stream that has no room is
/// asked to come back later.
fn busy(refused: Refused, head: &Head<'_>, context: &Context, caller: &Caller<'_>) -> Plan {
    if let Refused::Full(limit) = refused {
        context.jobs.hub().metrics().refused(limit);
    }
    // A server that stops has a successor soon, or has one already.
    let wait = if context.is_draining() {
        context.retry
    } else {
        context.rules().busy_retry
    };
    Plan::EmptyStream(opening(wait, head, caller).to_end())
}

fn opening(retry: Duration, head: &Head<'_>, caller: &Caller<'_>) -> Opening {
    Opening {
        is_plain: head.is_1_0,
        ends_at: caller.pass.ends_at().and_then(NonZeroU64::new),
        ..Opening::new(caller.cors.clone(), Random::new().jitter(retry))
    }
}

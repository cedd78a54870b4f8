//! `GET /api/jobs`.

use super::{Answer, Plan, Request, parameter, snapshot};
use crate::event::job::{EventId, JobId, JobState};
use crate::http::{Head, Response, Status};
use crate::hub::Listing;

/// Jobs in a page where the query doesn't say.
const LIMIT: usize = 100;
/// The most that it may say.
const LIMIT_MAX: usize = 1000;
/// A page ends where its events have more data than this, in bytes.
const PAGE_MAX_BYTES: usize = 512 * 1024;

/// A page of the list of jobs.
pub fn get(request: Request<'_>) -> Answer {
    let asked = ListQuery::read(request.head)?;
    request.caller.pass.follow_matching(&asked.prefix)?;
    let page = request.context.jobs.hub().list(&Listing {
        prefix: &asked.prefix,
        state: asked.state,
        after: asked.after,
        limit: asked.limit,
        bytes: PAGE_MAX_BYTES,
    });
    let jobs: Vec<String> = page
        .jobs
        .iter()
        .map(|it| snapshot::with_holder(&request.context.jobs, it))
        .collect();
    let next = page.next.map_or("null".to_owned(), |id| id.to_string());
    let json = format!(
        r#"{{"at":{},"jobs":[{}],"next":{next}}}"#,
        page.at,
        jobs.join(",")
    );
    let response = Response::json(Status::Ok, json);
    Ok(Plan::Answer(response.with("Cache-Control", "no-store")))
}

/// What a list is to have.
struct ListQuery {
    prefix: String,
    state: Option<JobState>,
    after: Option<EventId>,
    limit: usize,
}

impl ListQuery {
    /// What the query says.
    fn read(head: &Head<'_>) -> Result<ListQuery, Response> {
        let text = |name| parameter(head, name).map(Option::unwrap_or_default);
        Ok(ListQuery {
            prefix: prefix(&text("prefix")?)?,
            state: state(&text("state")?)?,
            after: after(&text("after")?)?,
            limit: parameter(head, "limit")?.map_or(Ok(LIMIT), |text| limit(&text))?,
        })
    }
}

fn prefix(text: &str) -> Result<String, Response> {
    if text.ends_with('*') {
        return Err(bad(
            "prefix is how names begin, without a star, as prefix=user42.",
        ));
    }
    if !text.is_empty() {
        let name = text.parse::<JobId>();
        name.map_err(|error| bad(&format!("prefix: {error}")))?;
    }
    Ok(text.to_owned())
}

fn state(text: &str) -> Result<Option<JobState>, Response> {
    let states = [JobState::Running, JobState::Done, JobState::Failed];
    let found = states.into_iter().find(|state| state.as_str() == text);
    match found {
        None if !text.is_empty() => Err(bad("state is running, done or error")),
        found => Ok(found),
    }
}

fn after(text: &str) -> Result<Option<EventId>, Response> {
    if text.is_empty() {
        return Ok(None);
    }
    match number(text) {
        Some(number) => Ok(Some(EventId(number))),
        None => Err(bad("after is what the page before has as next: a number")),
    }
}

fn limit(text: &str) -> Result<usize, Response> {
    let number = number(text).and_then(|number| usize::try_from(number).ok());
    let number = number.filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| bad(&format!("limit is a number from 1 to {LIMIT_MAX}")))
}

/// A number as this server writes them.
fn number(text: &str) -> Option<u64> {
    let is_one = text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok())?
}

fn bad(message: &str) -> Response {
    Response::error(Status::BadRequest, message)
}

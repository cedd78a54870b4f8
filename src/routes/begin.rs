//! `PUT /api/jobs/{job}`.

use std::sync::Arc;

use super::{Answer, Context, Intake, Plan, Request, key_of, parameter, refused};
use crate::event::job::JobId;
use crate::event::{Beginning, IdempotencyKey};
use crate::http::{BodyLength, Head, Response, Status};
use crate::hub::{After, Life};

/// The largest body.
const BODY_MAX_BYTES: usize = 4096;

/// Begins a life of a job, and ends one that is running where that is asked for. Suspends
/// its coroutine for the disk.
pub fn put(request: Request<'_>, job: JobId) -> Answer {
    let Request { context, head, .. } = request;
    let body = BeginBody {
        context: context.clone(),
        job,
        after: if replaces(head)? {
            After::Running
        } else {
            After::Ended
        },
        key: key_of(head)?,
        text: Vec::new(),
    };
    if matches!(head.length, BodyLength::None | BodyLength::Length(0)) {
        return body.begin().map(Plan::Answer);
    }
    if !is_json(head) {
        let message = "PUT takes no body, or {\"lease\":\"30s\"} as application/json";
        return Err(Response::error(Status::UnsupportedMediaType, message));
    }
    Ok(Plan::Intake(Box::new(body)))
}

/// A life that is to begin when all has been read.
struct BeginBody {
    context: Arc<Context>,
    job: JobId,
    after: After,
    key: Option<IdempotencyKey>,
    text: Vec<u8>,
}

impl Intake for BeginBody {
    fn push(&mut self, piece: &[u8]) -> Result<(), Response> {
        if self.text.len() + piece.len() > BODY_MAX_BYTES {
            return Err(super::publish::too_large(BODY_MAX_BYTES));
        }
        self.text.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Response {
        self.begin().unwrap_or_else(|answer| answer)
    }
}

impl BeginBody {
    fn begin(&self) -> Result<Response, Response> {
        let BeginBody {
            context,
            job,
            after,
            key,
            text,
        } = self;
        let beginning = Beginning::from_json(text)
            .map_err(|error| Response::error(Status::BadRequest, &error.to_string()))?;
        let before = context.jobs.hub().life(job);
        let life = context.jobs.begin_with(job, *after, beginning, *key);
        let life = life.map_err(|error| refused(&error))?;
        context.clear_up_after(job, before.as_ref().map(Life::id));
        // A job's name needs no escapes.
        let json = format!(r#"{{"jobId":"{job}","id":{}}}"#, life.0);
        Ok(Response::json(Status::Created, json))
    }
}

fn is_json(head: &Head<'_>) -> bool {
    let Some(kind) = head.content_type else {
        return true;
    };
    let kind = kind.split(|&byte| byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

fn replaces(head: &Head<'_>) -> Result<bool, Response> {
    match parameter(head, "replace")?.as_deref() {
        Some("true") => Ok(true),
        None | Some("false") => Ok(false),
        Some(_) => {
            let message = "replace is true or false";
            Err(Response::error(Status::BadRequest, message))
        }
    }
}

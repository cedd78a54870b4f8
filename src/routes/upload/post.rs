//! `POST /api/uploads`.

use super::form::Form;
use super::{UploadIntake, UploadQuery, file_name, job, may_follow, refusal, spool};
use crate::http::multipart::{self, Multipart};
use crate::http::{BodyLength, Response, Status};
use crate::routes::{Answer, Plan, Request, bad_query};
use crate::upload::spool::{NewUpload, SpoolError};

/// What a form is longer than its file, at most, for its fields and boundaries.
const FORM_OVERHEAD_BYTES: u64 = 64 * 1024;

/// Begins to receive a file.
pub fn post(request: Request<'_>) -> Answer {
    let Request {
        context,
        head,
        caller,
    } = request;
    let spool = spool(context)?;
    let mut asked = UploadQuery::default();
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(bad_query)?;
        asked.take(&name, &value)?;
    }
    let length = match head.length {
        BodyLength::None => {
            let message = "the file's length is missing: send Content-Length, or chunks";
            return Err(Response::error(Status::LengthRequired, message));
        }
        BodyLength::Length(length) => Some(length),
        BodyLength::Chunked => None,
    };
    let cors = caller.cors.is_some();
    let kind = head.content_type.unwrap_or_default();
    if multipart::is_form(kind) {
        let max_bytes = spool.config().upload_bytes;
        if length.is_some_and(|length| length > max_bytes.saturating_add(FORM_OVERHEAD_BYTES)) {
            return Err(refusal(&SpoolError::TooLarge { max_bytes }));
        }
        let parser = Multipart::new(kind)
            .map_err(|error| Response::error(Status::BadRequest, &error.to_string()))?;
        let client = caller.client();
        let form = Form::new(spool.clone(), client, caller.pass, parser, asked, length);
        return Ok(Plan::Upload(Box::new(UploadIntake::form(
            form,
            cors,
            context.base.clone(),
        ))));
    }
    // What curl says of any body that it is given.
    let is_told = !kind.is_empty() && kind != b"application/x-www-form-urlencoded";
    let job = job(asked.job.as_deref(), &caller.pass)?;
    let order = NewUpload {
        client: caller.client(),
        after: may_follow(&job, &caller.pass),
        job,
        name: file_name(asked.name.as_deref())?,
        declared_type: is_told.then(|| String::from_utf8_lossy(kind).into_owned()),
        size: length,
        estimate: None,
        metadata: None,
    };
    let receiver = spool.begin(order, None).map_err(|error| refusal(&error))?;
    Ok(Plan::Upload(Box::new(UploadIntake::raw(
        receiver,
        cors,
        context.base.clone(),
    ))))
}

//! `/api/tus/`: resumable uploads, as the tus protocol 1.0 has them.

use std::time::SystemTime;

use super::{UploadIntake, created, exposed, file_name, job, may_follow, of_tus, refusal, spool};
use crate::event::job::JobId;
use crate::http::tus::{ALGORITHMS, Checksum, EXTENSIONS, Metadata, TusError, VERSION, number};
use crate::http::{BasePath, BodyLength, Head, Response, Status};
use crate::routes::{Answer, Context, Plan, Request, elsewhere, web};
use crate::upload::UploadId;
use crate::upload::spool::{Finished, NewUpload, NextPiece, Spool, SpoolError, Standing};

/// The type that a piece of an upload has.
const PIECE_TYPE: &[u8] = b"application/offset+octet-stream";

/// What is served here, for OPTIONS.
pub fn describe(context: &Context, preflight: Response) -> Response {
    let response = of_tus(preflight)
        .with("Tus-Version", VERSION)
        .with("Tus-Extension", EXTENSIONS)
        .with("Tus-Checksum-Algorithm", ALGORITHMS);
    match &context.spool {
        Some(spool) => response.with("Tus-Max-Size", spool.config().upload_bytes.to_string()),
        None => response,
    }
}

/// Begins an upload.
pub fn post(request: Request<'_>) -> Answer {
    let Request {
        context,
        head,
        caller,
    } = request;
    check_version(head)?;
    check_is_one(head)?;
    let cors = caller.cors.is_some();
    let spool = spool(context)?;
    let metadata = head.field("Upload-Metadata").unwrap_or_default();
    let metadata = Metadata::parse(metadata).map_err(bad)?;
    let size = size(head)?;
    let is_deferred = head.field("Upload-Defer-Length");
    match (size, is_deferred) {
        (Some(_), None) | (None, Some(b"1")) => {}
        _ => {
            let message = "send Upload-Length, or Upload-Defer-Length: 1 where it isn't known yet";
            return Err(Response::error(Status::BadRequest, message));
        }
    }
    let has_body = !matches!(head.length, BodyLength::None | BodyLength::Length(0));
    if has_body {
        check_type(head)?;
    }
    if let (Some(size), BodyLength::Length(length)) = (size, head.length)
        && length > size
    {
        return Err(refusal(&SpoolError::LongerThanSaid));
    }
    let job = job(metadata.get("job").as_deref(), &caller.pass)?;
    let order = NewUpload {
        client: caller.client(),
        after: may_follow(&job, &caller.pass),
        job,
        name: file_name(metadata.get("filename").or(metadata.get("name")).as_deref())?,
        declared_type: metadata.get("filetype").or(metadata.get("type")),
        size,
        estimate: None,
        metadata: Some(metadata.as_str().to_owned()),
    };
    let checksum = checksum(head).map(|checksum| checksum.filter(|_| has_body))?;
    let receiver = spool
        .begin(order, checksum)
        .map_err(|error| refusal(&error))?;
    let home = elsewhere::home(context);
    let answer = move |finished: &Finished, base: &BasePath| begun(finished, base, &home);
    let intake = UploadIntake::tus(answer, receiver, cors, context.base.clone());
    Ok(if has_body {
        Plan::Upload(Box::new(intake))
    } else {
        Plan::Answer(intake.finish())
    })
}

/// Says how far an upload has come.
pub fn head(request: Request<'_>, id: Option<UploadId>) -> Answer {
    let (_, _, standing) = find(&request, id)?;
    let respond = progress(&standing.job, standing.offset, standing.expires);
    let response = respond(Response::empty(Status::Ok)).with("Cache-Control", "no-store");
    let mut response = match standing.size {
        Some(size) => response.with("Upload-Length", size.to_string()),
        None => response.with("Upload-Defer-Length", "1"),
    };
    if !standing.metadata.is_empty() {
        response = response.with("Upload-Metadata", standing.metadata);
    }
    Ok(answered(response, &request))
}

/// Goes on with an upload.
pub fn patch(request: Request<'_>, id: Option<UploadId>) -> Answer {
    let (spool, id, standing) = find(&request, id)?;
    let head = request.head;
    check_type(head)?;
    let offset = head.field("Upload-Offset").ok_or_else(|| {
        let message = "Upload-Offset is missing: it is where the piece belongs";
        Response::error(Status::BadRequest, message)
    })?;
    let offset = number("Upload-Offset", offset).map_err(bad)?;
    let piece = NextPiece {
        offset,
        size: size(head)?,
        checksum: checksum(head)?,
    };
    let length = match head.length {
        BodyLength::None => Some(0),
        BodyLength::Length(length) => Some(length),
        BodyLength::Chunked => None,
    };
    let is_over = length == Some(0) && standing.expires.is_none() && standing.offset == offset;
    if is_over {
        let respond = progress(&standing.job, offset, None);
        let response = respond(Response::empty(Status::NoContent));
        return Ok(answered(response, &request));
    }
    // Before it is noted: what is refused changes nothing.
    if standing.size.is_none()
        && standing.offset == offset
        && let (Some(size), Some(length)) = (piece.size, length)
        && offset.saturating_add(length) > size
    {
        return Err(refusal(&SpoolError::LongerThanSaid));
    }
    let receiver = spool
        .resume(id, request.caller.client(), piece)
        .map_err(|error| refusal(&error))?;
    if length.is_some_and(|length| length > receiver.left()) {
        let error = receiver.too_long();
        receiver.break_off("");
        return Err(refusal(&error));
    }
    let cors = request.caller.cors.is_some();
    let intake = UploadIntake::tus(gone_on, receiver, cors, request.context.base.clone());
    Ok(Plan::Upload(Box::new(intake)))
}

/// Gives an upload up.
pub fn delete(request: Request<'_>, id: Option<UploadId>) -> Answer {
    let (spool, id, _) = find(&request, id)?;
    spool.terminate(id).map_err(|error| refusal(&error))?;
    Ok(answered(Response::empty(Status::NoContent), &request))
}

/// Does what the client means, which can't send that method.
pub fn overridden(request: Request<'_>, id: Option<UploadId>) -> Answer {
    match request.head.field("X-HTTP-Method-Override") {
        Some(b"PATCH") => patch(request, id),
        Some(b"DELETE") => delete(request, id),
        Some(b"HEAD") => head(request, id),
        _ => {
            let message = "POST to an upload takes X-HTTP-Method-Override: PATCH, DELETE or HEAD";
            Err(Response::error(Status::BadRequest, message))
        }
    }
}

/// The upload that a request is about, and how far it has come.
fn find<'a>(
    request: &Request<'a>,
    id: Option<UploadId>,
) -> Result<(&'a Spool, UploadId, Standing), Response> {
    check_version(request.head)?;
    let id = id.ok_or_else(|| refusal(&SpoolError::NotFound))?;
    if let Some(node) = elsewhere::giver(request.context, id) {
        return Err(elsewhere::lead(request, &node));
    }
    let spool = spool(request.context)?;
    let standing = spool.find(id).map_err(|error| refusal(&error))?;
    request.caller.pass.upload(&standing.job)?;
    // It has no tag, which would change with each byte: Upload-Offset is held to instead.
    let tags = request.head.field("If-Match");
    if tags.is_some_and(|tags| !web::names_exactly(tags, None)) {
        let message = "an upload has no ETag: leave If-Match out, or send If-Match: *";
        return Err(Response::error(Status::PreconditionFailed, message));
    }
    Ok((spool, id, standing))
}

fn answered(response: Response, request: &Request<'_>) -> Plan {
    Plan::Answer(exposed(of_tus(response), request.caller.cors.is_some()))
}

/// The answer to the piece that began an upload.
fn begun(finished: &Finished, base: &BasePath, home: &str) -> Response {
    let respond = progress(&finished.job, finished.offset, finished.expires);
    let location = format!("{home}/api/tus/{}", finished.id);
    respond(created(finished, base)).with("Location", location)
}

/// The answer to one that went on with it.
fn gone_on(finished: &Finished, _: &BasePath) -> Response {
    let respond = progress(&finished.job, finished.offset, finished.expires);
    respond(Response::empty(Status::NoContent))
}

/// Says in an answer how far an upload has come.
fn progress(
    job: &JobId,
    offset: u64,
    expires: Option<SystemTime>,
) -> impl FnOnce(Response) -> Response {
    let job = job.to_string();
    move |response| {
        let response = response
            .with("Upload-Offset", offset.to_string())
            .with("Landfall-Job", job);
        match expires {
            Some(time) => response.with("Upload-Expires", httpdate::fmt_http_date(time)),
            None => response,
        }
    }
}

/// Clients that send a file in several uploads at once don't ask whether that is served. Each would
/// be a job here, of a part.
fn check_is_one(head: &Head<'_>) -> Result<(), Response> {
    if head.field("Upload-Concat").is_none() {
        return Ok(());
    }
    let message = "uploads aren't put together here (concatenation): send the file as one, as with \
                   parallelUploads: 1";
    Err(Response::error(Status::BadRequest, message))
}

fn check_version(head: &Head<'_>) -> Result<(), Response> {
    match head.field("Tus-Resumable") {
        Some(version) if version == VERSION.as_bytes() => Ok(()),
        _ => {
            let message = "Tus-Resumable is missing or another version: send 1.0.0";
            let response = Response::error(Status::PreconditionFailed, message);
            Err(response.with("Tus-Version", VERSION))
        }
    }
}

fn check_type(head: &Head<'_>) -> Result<(), Response> {
    match head.content_type {
        Some(kind) if kind.eq_ignore_ascii_case(PIECE_TYPE) => Ok(()),
        _ => {
            let message = "send Content-Type: application/offset+octet-stream";
            Err(Response::error(Status::UnsupportedMediaType, message))
        }
    }
}

fn size(head: &Head<'_>) -> Result<Option<u64>, Response> {
    let length = head.field("Upload-Length");
    length
        .map(|value| number("Upload-Length", value).map_err(bad))
        .transpose()
}

fn checksum(head: &Head<'_>) -> Result<Option<Checksum>, Response> {
    let field = head.field("Upload-Checksum");
    field.map(Checksum::parse).transpose().map_err(bad)
}

fn bad(error: TusError) -> Response {
    Response::error(Status::BadRequest, &error.to_string())
}

//! `GET /api/jobs/{job}/file`: what a job has come to, as a file.
//!
//! It is what somebody uploaded, so no browser may take it for a page of this origin: it
//! is an attachment, of the type that it has by its bytes and no other, and sandboxed.

use std::fs::File;
use std::io;
use std::ops::Range as Bytes;
use std::path::{Component, Path};
use std::sync::Arc;

use super::snapshot::{missing, refuse_deleted};
use super::upload::{exposed, spool};
use super::{Answer, Context, Plan, Request, elsewhere, web};
use crate::access::places::{Full, Place};
use crate::event::job::{JobId, LifeId};
use crate::http::disposition::attachment;
use crate::http::{Head, Range, Response, Status};
use crate::pipeline::StoredRecord;
use crate::sys::limit::Limit;
use crate::upload::disk::Disk;

/// What pages of other origins may read of the answer.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Range, ETag";

/// A file that is being downloaded.
pub struct Download {
    /// The file.
    pub file: Arc<File>,
    /// What of it is sent.
    pub bytes: Bytes<u64>,
    /// Who reads it.
    pub disk: Disk,
    _place: Place,
}

/// Opens the file that a job has come to.
pub fn get(request: Request<'_>, job: JobId) -> Answer {
    let (context, head) = (request.context, request.head);
    refuse_deleted(context.jobs.hub(), &job)?;
    if !context.rules().has_downloads {
        let message = "downloads are off: start the server with --downloads";
        return Err(Response::error(Status::NotFound, message));
    }
    if let Some((node, _)) = elsewhere::holder(context, &job) {
        return Err(elsewhere::lead(&request, &node));
    }
    let disk = spool(context)?.disk().clone();
    let place = place(&request)?;
    let (record, file) = open(context, &disk, &job)?;
    let cors = request.caller.cors.is_some();
    let tag = format!("\"{}\"", record.digest.trim_start_matches("sha256:"));
    if let Some(tags) = head.field("If-Match")
        && !web::names_exactly(tags, Some(tag.as_bytes()))
    {
        let message = "the file isn't the one that If-Match names: its ETag is another";
        let response = Response::error(Status::PreconditionFailed, message);
        return Err(dressed(response, tag, cors));
    }
    if let Some(tags) = head.field("If-None-Match")
        && web::names(tags, tag.as_bytes())
    {
        let response = Response::empty(Status::NotModified);
        return Ok(Plan::Answer(dressed(response, tag, cors)));
    }
    let (bytes, response) = match asked_for(head, &tag, record.size) {
        Range::Whole => (0..record.size, Response::empty(Status::Ok)),
        Range::Part(part) => {
            let has = format!("bytes {}-{}/{}", part.start, part.end - 1, record.size);
            let response = Response::empty(Status::PartialContent);
            (part, response.with("Content-Range", has))
        }
        Range::Unsatisfiable => {
            let message = format!("the file has {} bytes: ask for some of them", record.size);
            let response = Response::error(Status::RangeNotSatisfiable, &message);
            let has = format!("bytes */{}", record.size);
            return Err(exposed(response.with("Content-Range", has), cors));
        }
    };
    let response = dressed(response, tag, cors)
        .with("Content-Type", media_type(&record.content_type))
        .with("Content-Disposition", attachment(&record.name))
        .with("Content-Security-Policy", "sandbox; default-src 'none'")
        .with_length(bytes.end - bytes.start);
    let download = Download {
        file: Arc::new(file),
        bytes,
        disk,
        _place: place,
    };
    Ok(Plan::Download(response, Box::new(download)))
}

fn place(request: &Request<'_>) -> Result<Place, Response> {
    let place = request.context.downloads.take(request.caller.client());
    place.map_err(|full| {
        let limit = match full {
            Full::All => Limit::Downloads,
            Full::Share => Limit::DownloadsPerAddress,
        };
        request.context.jobs.hub().metrics().refused(limit);
        Response::error(Status::Unavailable, &limit.to_string()).with("Retry-After", "5")
    })
}

/// The file of a job's life, and what is known of it. Suspends its coroutine for the disk.
fn open(context: &Context, disk: &Disk, job: &JobId) -> Result<(StoredRecord, File), Response> {
    let hub = context.jobs.hub();
    let life = hub.life(job).filter(|life| !life.is_deleted());
    let life = life.ok_or_else(|| missing(hub, job))?.id();
    let (data, its_job) = (context.data.clone().unwrap_or_default(), job.clone());
    let found = disk.run(move || find(&data, &its_job, life));
    // Deleted since, nothing of it is given out.
    if !hub.is_current(job, life) {
        return Err(missing(hub, job));
    }
    found.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let message = "the job has no file here: it has one when it is done, if a stage \
                           \"storing\" kept it on this host";
            return Response::error(Status::NotFound, message);
        }
        error!("{job}: its file can't be read: {error}");
        let message = "the job's file can't be read: see the server's log";
        Response::error(Status::InternalError, message)
    })
}

/// What of the file is asked for.
fn asked_for(head: &Head<'_>, tag: &str, size: u64) -> Range {
    // A part of another version would be of no use.
    let is_same = head
        .field("If-Range")
        .is_none_or(|other| other == tag.as_bytes());
    match head.field("Range").filter(|_| is_same && !head.is_head()) {
        Some(value) => Range::parse(value, size),
        None => Range::Whole,
    }
}

/// What every answer says that is about the file.
fn dressed(response: Response, tag: String, cors: bool) -> Response {
    let response = response
        .with("ETag", tag)
        .with("Cache-Control", "private, no-cache")
        .with("Accept-Ranges", "bytes");
    if cors {
        response.with("Access-Control-Expose-Headers", EXPOSED)
    } else {
        response
    }
}

/// What is known of a job's file, and the file. Blocks.
fn find(data: &Path, job: &JobId, life: LifeId) -> io::Result<(StoredRecord, File)> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let record = StoredRecord::read(data, job, life)?.ok_or_else(none)?;
    let path = record.path.as_ref().ok_or_else(none)?;
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !path.components().all(is_plain) {
        return Err(io::Error::other("its record leads out of the directory"));
    }
    let file = File::open(data.join(path))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != record.size {
        return Err(io::Error::other("it isn't as long as its record says"));
    }
    Ok((record, file))
}

/// The type, where it is one that can stand in a head.
fn media_type(text: &str) -> String {
    let is_fit = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if !text.is_empty() && text.bytes().all(is_fit) {
        text.to_owned()
    } else {
        "application/octet-stream".to_owned()
    }
}

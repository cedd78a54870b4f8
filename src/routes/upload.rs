//! `POST /api/uploads`, and the bodies of all uploads.

use std::sync::Arc;

use super::{Caller, Context, Pass, Plan, publish_status, tus};
use crate::access::quota::Share;
use crate::event::job::JobId;
use crate::http::multipart::{self, Found, Multipart};
use crate::http::{BodyLength, Head, Response, Status};
use crate::hub::After;
use crate::upload::UploadId;
use crate::upload::spool::{Finished, Order, Receiver, Spool, SpoolError};

/// The longest name of a file, in bytes, as most file systems have it.
const NAME_MAX_BYTES: usize = 255;
/// What a form is longer than its file, at most, for its fields and boundaries.
const FORM_OVERHEAD_BYTES: u64 = 64 * 1024;
/// When an upload that finds no place is to be tried again.
const RETRY_SECONDS: &str = "5";
/// What a file is called whose client gives no name.
const NAMELESS: &str = "upload";
/// What pages of other origins may read of the answers to uploads.
const EXPOSED: &str = "Location, Landfall-Job, Upload-Offset, Upload-Length, Upload-Metadata, \
                       Upload-Defer-Length, Upload-Expires, Tus-Resumable, Tus-Version, \
                       Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm";

/// The body of an upload, on its way to the disk.
pub struct Intake {
    kind: Kind,
    /// Its place among those of its address. It is given back before the upload is, so that
    /// who takes over an upload finds room.
    share: Option<Share>,
    receiver: Option<Receiver>,
    cors: bool,
}

enum Kind {
    /// The body is the file.
    Raw,
    /// The file is in a form.
    Form(Box<Form>),
    /// The body is a piece of an upload by tus.
    Tus(tus::Piece),
}

/// A form that is being taken apart.
struct Form {
    spool: Spool,
    pass: Pass,
    parser: Multipart,
    /// What has come and can't be understood yet.
    held: Vec<u8>,
    name: Option<String>,
    job: Option<String>,
    length: Option<u64>,
    is_whole: bool,
}

/// Begins to receive a file.
pub fn begin(context: &Arc<Context>, head: &Head<'_>, caller: Caller) -> Result<Plan, Response> {
    let spool = spool(context)?;
    let mut asked = Asked::default();
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(|| {
            let message = "the query's percent-encoding is broken: % and two digits";
            Response::error(Status::BadRequest, message)
        })?;
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
    let share = share(context, &caller)?;
    let cors = caller.cors.is_some();
    let kind = head.content_type.unwrap_or_default();
    if multipart::is_form(kind) {
        let max_bytes = spool.config().upload_bytes;
        if length.is_some_and(|length| length > max_bytes.saturating_add(FORM_OVERHEAD_BYTES)) {
            return Err(refusal(&SpoolError::TooLarge { max_bytes }));
        }
        let parser = Multipart::new(kind)
            .map_err(|error| Response::error(Status::BadRequest, &error.to_string()))?;
        let form = Form {
            spool: spool.clone(),
            pass: caller.pass,
            parser,
            held: Vec::new(),
            name: asked.name,
            job: asked.job,
            length,
            is_whole: false,
        };
        return Ok(Plan::Upload(Box::new(Intake {
            kind: Kind::Form(Box::new(form)),
            share: Some(share),
            receiver: None,
            cors,
        })));
    }
    // What curl says of any body that it is given.
    let is_told = !kind.is_empty() && kind != b"application/x-www-form-urlencoded";
    let job = job(asked.job.as_deref(), &caller.pass)?;
    let order = Order {
        after: may_follow(&job, &caller.pass),
        job,
        name: file_name(asked.name.as_deref())?,
        declared_type: is_told.then(|| String::from_utf8_lossy(kind).into_owned()),
        size: length,
        estimate: None,
        metadata: None,
    };
    let receiver = spool.begin(order, None).map_err(|error| refusal(&error))?;
    Ok(Plan::Upload(Box::new(Intake {
        kind: Kind::Raw,
        share: Some(share),
        receiver: Some(receiver),
        cors,
    })))
}

/// What a request asks for besides its body.
#[derive(Default)]
struct Asked {
    name: Option<String>,
    job: Option<String>,
}

impl Asked {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Response> {
        let place = match name {
            "name" => &mut self.name,
            "job" => &mut self.job,
            _ => return Ok(()),
        };
        match place.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => {
                let message = format!("{name} is given twice: give it once");
                Err(Response::error(Status::BadRequest, &message))
            }
        }
    }
}

impl Intake {
    /// A piece of an upload by tus.
    pub fn tus(piece: tus::Piece, receiver: Receiver, cors: bool, share: Share) -> Intake {
        Intake {
            kind: Kind::Tus(piece),
            share: Some(share),
            receiver: Some(receiver),
            cors,
        }
    }

    /// Whether what it has isn't lost if it breaks off.
    pub fn is_resumable(&self) -> bool {
        matches!(self.kind, Kind::Tus(_))
    }

    /// The answer where it should be broken off.
    pub fn unwanted(&self) -> Option<Response> {
        let error = self.receiver.as_ref().and_then(Receiver::unwanted)?;
        Some(refusal(&error))
    }

    /// Where bytes of the file can be put, where the body is nothing else. `left` is what
    /// there is to come.
    pub fn space(&mut self, left: u64) -> Option<&mut [u8]> {
        let receiver = self.receiver.as_mut()?;
        if matches!(self.kind, Kind::Form(_)) || receiver.left() == 0 {
            return None;
        }
        let space = receiver.space();
        let length = space.len().min(left.min(usize::MAX as u64) as usize);
        Some(&mut space[..length])
    }

    /// Takes so many bytes that were put there. May wait for the disk.
    ///
    /// # Errors
    /// The answer to an upload of which no more is wanted.
    pub fn advance(&mut self, count: usize) -> Result<(), Response> {
        let result = match &mut self.receiver {
            Some(receiver) => receiver.advance(count),
            None => Ok(()),
        };
        result.map_err(|error| self.fail(error))
    }

    /// Takes more of the body. May wait for the disk.
    ///
    /// # Errors
    /// The answer to an upload of which no more is wanted.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Response> {
        let pushed = match (&mut self.kind, &mut self.receiver) {
            (Kind::Form(form), receiver) => form.push(piece, receiver),
            (_, Some(receiver)) => receiver.push(piece).map_err(Stop::Spool),
            (_, None) => Ok(()),
        };
        pushed.map_err(|stop| match stop {
            Stop::Spool(error) => self.fail(error),
            Stop::Answer(response) => self.break_off(response),
        })
    }

    /// Answers the whole body, when everything is on disk.
    pub fn finish(mut self) -> Response {
        if let Kind::Form(form) = &self.kind
            && !(form.is_whole && self.receiver.is_some())
        {
            let message = match self.receiver {
                Some(_) => "the form ended before its last boundary",
                None => "the form has no file: give it an input of the type file",
            };
            return self.break_off(Response::error(Status::BadRequest, message));
        }
        let Some(receiver) = self.receiver.take() else {
            let message = "the upload has ended already";
            return Response::error(Status::InternalError, message);
        };
        let response = match (receiver.finish(), &self.kind) {
            (Ok(finished), Kind::Tus(piece)) => piece.answer(&finished),
            (Ok(finished), _) => {
                created(&finished).with("Location", format!("/api/jobs/{}", finished.job))
            }
            (Err(error), _) => refusal(&error),
        };
        self.dressed(response)
    }

    /// The body can't be read further, which is answered so.
    pub fn break_off(&mut self, response: Response) -> Response {
        drop(self.share.take());
        if let Some(receiver) = self.receiver.take() {
            receiver.break_off(&response.message());
        }
        self.dressed(response)
    }

    fn fail(&mut self, error: SpoolError) -> Response {
        let response = refusal(&error);
        if let Some(receiver) = self.receiver.take() {
            receiver.fail(error);
        }
        self.dressed(response)
    }

    fn dressed(&self, response: Response) -> Response {
        let response = exposed(response, self.cors);
        match self.kind {
            Kind::Tus(_) => tus::dressed(response),
            _ => response,
        }
    }
}

/// Why a form isn't read further.
enum Stop {
    Spool(SpoolError),
    Answer(Response),
}

impl Form {
    fn push(&mut self, piece: &[u8], receiver: &mut Option<Receiver>) -> Result<(), Stop> {
        let mut held = std::mem::take(&mut self.held);
        let input = match held.is_empty() {
            true => piece,
            false => {
                held.extend_from_slice(piece);
                &held[..]
            }
        };
        let mut at = 0;
        loop {
            let parsed = self.parser.parse(&input[at..]);
            let (used, found) = parsed.map_err(|error| bad(&error.to_string()))?;
            at += used;
            match found {
                None => break,
                Some(Found::Value { name, value }) => {
                    self.value(name, value, receiver.is_some())?
                }
                Some(Found::File {
                    file_name,
                    content_type,
                }) => {
                    if receiver.is_some() {
                        return Err(bad("the form has more than one file: upload one at a time"));
                    }
                    *receiver = Some(self.begin(&file_name, content_type)?);
                }
                Some(Found::Data(bytes)) => {
                    if let Some(receiver) = receiver {
                        receiver.push(bytes).map_err(Stop::Spool)?;
                    }
                }
                Some(Found::FileEnd) => {}
                Some(Found::End) => self.is_whole = true,
            }
        }
        let rest = input.len() - at;
        self.held = match held.is_empty() {
            true => piece[piece.len() - rest..].to_vec(),
            false => {
                held.drain(..at);
                held
            }
        };
        Ok(())
    }

    fn value(&mut self, name: String, value: String, is_late: bool) -> Result<(), Stop> {
        let place = match name.as_str() {
            "job" => &mut self.job,
            "name" => &mut self.name,
            _ => return Ok(()),
        };
        if is_late {
            let message = format!("the form's field {name} comes after the file: put it before");
            return Err(bad(&message));
        }
        // An empty input counts as none.
        if !value.is_empty() {
            *place = Some(value);
        }
        Ok(())
    }

    fn begin(&mut self, file: &str, declared_type: Option<String>) -> Result<Receiver, Stop> {
        let name = self.name.as_deref().unwrap_or(file);
        if file.is_empty() && name.is_empty() {
            return Err(bad("no file was chosen in the form"));
        }
        let job = job(self.job.as_deref(), &self.pass).map_err(Stop::Answer)?;
        let order = Order {
            after: may_follow(&job, &self.pass),
            job,
            name: file_name(Some(name)).map_err(Stop::Answer)?,
            declared_type,
            size: None,
            estimate: self.length,
            metadata: None,
        };
        let begun = self.spool.begin(order, None);
        begun.map_err(|error| Stop::Answer(refusal(&error)))
    }
}

fn bad(message: &str) -> Stop {
    Stop::Answer(Response::error(Status::BadRequest, message))
}

/// The spool.
///
/// # Errors
/// The answer where there is none.
pub fn spool(context: &Context) -> Result<&Spool, Response> {
    context.spool.as_ref().ok_or_else(|| {
        let message = "uploads need a place on disk: start the server with --data DIR and \
                       without --memory-only";
        Response::error(Status::NotImplemented, message)
    })
}

/// A place among the uploads of the caller's address.
///
/// # Errors
/// The answer where they are all taken.
pub fn share(context: &Context, caller: &Caller) -> Result<Share, Response> {
    context.quotas.upload(caller.peer).ok_or_else(|| {
        let message = "this address has too many uploads on their way: wait for one of them, or \
                       raise --max-uploads-per-address";
        // Clients of tus try again after a 503, and not after a 429.
        Response::error(Status::Unavailable, message).with("Retry-After", RETRY_SECONDS)
    })
}

/// The job that is asked for, or a new one.
///
/// # Errors
/// The name is none, or the caller mayn't begin it.
pub fn job(asked: Option<&str>, pass: &Pass) -> Result<JobId, Response> {
    let job = match asked {
        Some(name) => name
            .parse::<JobId>()
            .map_err(|error| Response::error(Status::BadRequest, &error.to_string()))?,
        None => UploadId::random()
            .map_err(SpoolError::from)
            .map_err(|error| refusal(&error))?
            .as_job(),
    };
    pass.upload(&job)?;
    Ok(job)
}

/// What the upload's life may come after: who may publish to a job may begin it anew.
pub fn may_follow(job: &JobId, pass: &Pass) -> After {
    if pass.publishes(job) {
        After::Ended
    } else {
        After::FailedUpload
    }
}

/// What a file is called: the last part of what may be a path with its client.
///
/// # Errors
/// It is too long.
pub fn file_name(asked: Option<&str>) -> Result<String, Response> {
    let last = asked.unwrap_or_default().rsplit(['/', '\\']).next();
    match last.unwrap_or_default() {
        "" | "." | ".." => Ok(NAMELESS.to_owned()),
        name if name.len() > NAME_MAX_BYTES => {
            let message = format!("the file's name is too long: at most {NAME_MAX_BYTES} bytes");
            Err(Response::error(Status::BadRequest, &message))
        }
        name => Ok(name.to_owned()),
    }
}

/// 201, which says where to follow the job.
pub fn created(finished: &Finished) -> Response {
    let job = &finished.job;
    // Names need no escapes.
    let json = format!(
        r#"{{"jobId":"{job}","events":"/api/jobs/{job}/events","snapshot":"/api/jobs/{job}"}}"#
    );
    Response::json(Status::Created, json)
}

/// The answer to an upload that is refused, or fails.
pub fn refusal(error: &SpoolError) -> Response {
    let status = match error {
        SpoolError::TooLarge { .. } | SpoolError::LongerThanSaid => Status::BodyTooLarge,
        SpoolError::DiskFull | SpoolError::SpoolFull => Status::InsufficientStorage,
        SpoolError::Busy | SpoolError::Unfinished { .. } => Status::Unavailable,
        SpoolError::TooOften { .. } => Status::TooManyRequests,
        SpoolError::Landed
        | SpoolError::Offset { .. }
        | SpoolError::SizeKnown
        | SpoolError::TakenOver => Status::Conflict,
        SpoolError::Cancelled => Status::Gone,
        SpoolError::NotFound => Status::NotFound,
        SpoolError::Locked => Status::Locked,
        SpoolError::Checksum => Status::ChecksumMismatch,
        SpoolError::Publish(error) => publish_status(error),
        SpoolError::Io(_) => Status::InternalError,
    };
    let response = Response::error(status, &error.to_string());
    let seconds = match error {
        SpoolError::TooOften { retry_after } => retry_after.as_secs() + 1,
        _ if status == Status::Unavailable => return response.with("Retry-After", RETRY_SECONDS),
        _ => return response,
    };
    response.with("Retry-After", seconds.to_string())
}

/// The answer, of which pages of other origins may read what they need.
pub fn exposed(response: Response, cors: bool) -> Response {
    match cors {
        true => response.with("Access-Control-Expose-Headers", EXPOSED),
        false => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_the_last_part_of_its_path_and_never_by_a_path() {
        for (asked, name) in [
            ("clip.mp4", "clip.mp4"),
            ("C:\\fakepath\\clip.mp4", "clip.mp4"),
            ("../../etc/passwd", "passwd"),
            ("..", "upload"),
            ("a/..", "upload"),
            ("a/", "upload"),
            ("", "upload"),
            ("-rf \"\n\0é", "-rf \"\n\0é"),
        ] {
            assert_eq!(file_name(Some(asked)).unwrap(), name, "{asked:?}");
        }
        assert_eq!(file_name(None).unwrap(), "upload");
        assert!(file_name(Some(&"x".repeat(255))).is_ok());
        assert!(file_name(Some(&"x".repeat(256))).is_err());
    }
}

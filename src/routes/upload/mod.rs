//! Uploads: whole ones, and by tus. What both have in common is here.

mod form;
mod intake;
pub mod post;
pub mod tus;

use super::{Context, Pass, given_twice, publish_status};
use crate::event::job::JobId;
use crate::http::tus::VERSION;
use crate::http::{BasePath, Response, Status};
use crate::hub::After;
use crate::sys::character::is_printable;
use crate::sys::limit::Limit;
use crate::upload::UploadId;
use crate::upload::spool::{Finished, Spool, SpoolError};
pub use intake::UploadIntake;

/// The longest name of a file, in bytes: no path of a server has it, and 255 characters of any
/// script fit.
const NAME_MAX_BYTES: usize = 1024;
/// When an upload that finds no place is to be tried again.
const RETRY_SECONDS: &str = "5";
/// What a file is called whose client gives no name.
const NAMELESS: &str = "upload";
/// What pages of other origins may read of the answers to uploads.
const EXPOSED: &str = "Location, Landfall-Job, Upload-Offset, Upload-Length, Upload-Metadata, \
                       Upload-Defer-Length, Upload-Expires, Tus-Resumable, Tus-Version, \
                       Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm";

/// What a request asks for besides its body.
#[derive(Default)]
pub struct UploadQuery {
    /// What the file is called.
    pub name: Option<String>,
    /// The job's name.
    pub job: Option<String>,
}

impl UploadQuery {
    /// Takes a pair of the query, or a field of a form.
    ///
    /// # Errors
    /// The answer where one is given twice.
    pub fn take(&mut self, name: &str, value: &str) -> Result<(), Response> {
        let place = match name {
            "name" => &mut self.name,
            "job" => &mut self.job,
            _ => return Ok(()),
        };
        match place.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(given_twice(name)),
        }
    }
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

/// What a file is called: the last part of what may be a path with its client, without the
/// spaces around it. What would end a
/// line, or turn others around it, is an underscore.
///
/// # Errors
/// It is too long.
pub fn file_name(asked: Option<&str>) -> Result<String, Response> {
    let last = asked.unwrap_or_default().rsplit(['/', '\\']).next();
    let name: String = last
        .unwrap_or_default()
        .chars()
        .map(|c| if is_printable(c) { c } else { '_' })
        .collect();
    let name = match name.trim() {
        "" | "." | ".." => NAMELESS.to_owned(),
        name => name.to_owned(),
    };
    if name.len() > NAME_MAX_BYTES {
        let message = format!("the file's name is too long: at most {NAME_MAX_BYTES} bytes");
        return Err(Response::error(Status::BadRequest, &message));
    }
    Ok(name)
}

/// 201, which says where to follow the job.
pub fn created(finished: &Finished, base: &BasePath) -> Response {
    let (job, base, stages) = (&finished.job, base.as_str(), finished.stages);
    // Names need no escapes.
    let json = format!(
        r#"{{"jobId":"{job}","events":"{base}/api/jobs/{job}/events","snapshot":"{base}/api/jobs/{job}","stages":{stages}}}"#
    );
    Response::json(Status::Created, json)
}

/// The answer to an upload that is refused, or fails.
pub fn refusal(error: &SpoolError) -> Response {
    let status = match error {
        SpoolError::TooLarge { .. } | SpoolError::LongerThanSaid => Status::BodyTooLarge,
        SpoolError::DiskFull | SpoolError::Full(Limit::Spool | Limit::SpoolPerAddress) => {
            Status::InsufficientStorage
        }
        // Clients of tus try again after a 503, and not after a 429.
        SpoolError::Full(_) | SpoolError::Closed => Status::Unavailable,
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
        SpoolError::TooOften { retry_after, .. } => retry_after.as_secs() + 1,
        _ if status == Status::Unavailable => return response.with("Retry-After", RETRY_SECONDS),
        _ => return response,
    };
    response.with("Retry-After", seconds.to_string())
}

/// The answer, of which pages of other origins may read what they need.
pub fn exposed(response: Response, cors: bool) -> Response {
    if cors {
        response.with("Access-Control-Expose-Headers", EXPOSED)
    } else {
        response
    }
}

/// The answer, as all of tus are.
pub fn of_tus(response: Response) -> Response {
    response.with("Tus-Resumable", VERSION)
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
            (" \u{a0} ", "upload"),
            (" a b ", "a b"),
            ("-rf \"\n\0\u{7f}\u{9b}é", "-rf \"____é"),
            ("a\u{202e}gpj.exe", "a_gpj.exe"),
            ("\u{200f}\u{2066}\u{61c}\u{2028}", "____"),
            ("\u{feff}a\u{200b}.txt", "_a_.txt"),
            (
                "👩\u{200d}🚀 می\u{200c}خواهم.txt",
                "👩\u{200d}🚀 می\u{200c}خواهم.txt",
            ),
            ("👩\u{200d}🔬 שלום.mp4", "👩\u{200d}🔬 שלום.mp4"),
        ] {
            assert_eq!(file_name(Some(asked)).unwrap(), name, "{asked:?}");
        }
        assert_eq!(file_name(None).unwrap(), "upload");
        assert!(file_name(Some(&"あ".repeat(255))).is_ok());
        assert!(file_name(Some(&"x".repeat(1024))).is_ok());
        assert!(file_name(Some(&"x".repeat(1025))).is_err());
    }
}

//! Storing in an S3-compatible store: one `PutObject`, signed as Signature Version 4 has it.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusty_s3::Credentials;
use rusty_s3::actions::{PutObject, S3Action};
use ureq::SendBody;
use ureq::http::{Response, StatusCode};

use crate::pipeline::config::S3Store;
use crate::pipeline::kind;
use crate::pipeline::state::Stored;
use crate::pipeline::task::{StageFailure, Task};

/// The largest object that one request may put.
const OBJECT_MAX_BYTES: u64 = 5 << 30;
/// How much of an answer that refuses is told.
const ANSWER_MAX_BYTES: u64 = 300;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts the task's input there, under the address of its content.
pub fn put(options: &S3Store, task: &mut Task<'_>) -> Result<Stored, StageFailure> {
    let Some(credentials) = Credentials::from_env() else {
        return Err(StageFailure::Lasting(
            "there is no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the server's \
             environment: set them, and start it again"
                .to_owned(),
        ));
    };
    task.tell_part(0.0, 50.0);
    let mut sum = Vec::new();
    let (size, digest) = task.digest(|_, _| Ok(()))?;
    for pair in 0..digest.len() / 2 {
        sum.extend(u8::from_str_radix(&digest[2 * pair..2 * pair + 2], 16));
    }
    task.check_digest(&digest)?;
    if size > OBJECT_MAX_BYTES {
        return Err(StageFailure::Lasting(format!(
            "the file has {size} bytes, and an S3 store takes {OBJECT_MAX_BYTES} in a request"
        )));
    }
    task.tell_part(50.0, 100.0);
    let key = format!("{}{}/{digest}", options.prefix, &digest[..2]);
    let sum = STANDARD.encode(sum);
    let kind = task
        .facts
        .content_type
        .as_deref()
        .unwrap_or(kind::UNKNOWN)
        .to_owned();
    let mut action = PutObject::new(&options.bucket, Some(&credentials), &key);
    // The store compares it with what it received.
    action
        .headers_mut()
        .insert("x-amz-checksum-sha256", sum.as_str());
    action.headers_mut().insert("content-type", kind.as_str());
    let left = task.deadline.saturating_duration_since(Instant::now());
    let url = action.sign(left.max(Duration::from_secs(60)));
    let answer = send(task, url.as_str(), &sum, &kind, size, left)?;
    if answer.status().is_success() {
        return Ok(Stored {
            path: None,
            location: Some(format!("s3://{}/{key}", options.bucket.name())),
            size,
            digest,
        });
    }
    Err(refused(answer))
}

/// Sends the task's input, and returns what the store says.
fn send(
    task: &mut Task<'_>,
    url: &str,
    sum: &str,
    kind: &str,
    size: u64,
    left: Duration,
) -> Result<Response<ureq::Body>, StageFailure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(left))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let file = File::open(task.input).map_err(|error| task.unreadable(&error))?;
    let mut body = FileBody {
        file,
        task,
        done: 0,
        size,
        failure: None,
    };
    let answer = agent
        .put(url)
        .header("x-amz-checksum-sha256", sum)
        .header("content-type", kind)
        .header("content-length", size.to_string())
        .send(SendBody::from_reader(&mut body));
    if let Some(failure) = body.failure {
        return Err(failure);
    }
    answer.map_err(|error| StageFailure::Passing(format!("the S3 store: {error}")))
}

/// What an answer makes of the stage that isn't one of success.
fn refused(mut answer: Response<ureq::Body>) -> StageFailure {
    let mut text = String::new();
    let reader = answer.body_mut().as_reader();
    let _ = reader.take(ANSWER_MAX_BYTES).read_to_string(&mut text);
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let message = format!("the S3 store answers {}: {text}", answer.status());
    let may_pass = answer.status().is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&answer.status());
    if may_pass {
        StageFailure::Passing(message)
    } else {
        StageFailure::Lasting(message)
    }
}

/// The file as it goes out.
struct FileBody<'a, 'b> {
    file: File,
    task: &'a mut Task<'b>,
    done: u64,
    size: u64,
    failure: Option<StageFailure>,
}

impl Read for FileBody<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(failure) = self.task.check() {
            self.failure = Some(failure);
            return Err(io::Error::other("it is to stop"));
        }
        let length = self.file.read(buffer)?;
        self.done += length as u64;
        self.task.tell(self.done, self.size);
        Ok(length)
    }
}

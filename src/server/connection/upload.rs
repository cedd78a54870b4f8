//! The body of an upload: read into the buffers that are written to disk, where nothing
//! has to be taken out of it first.

use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::{Connection, TIMEOUT_STEP, too_slow};
use crate::http::{BodyPace, Decoder, PaceLimits, Response, Status};
use crate::routes::UploadIntake;

/// What is read at a time where the bytes have to be taken out of chunks or a form.
const READ_BYTES: usize = 64 * 1024;
/// How often an upload that brings nothing is asked whether it is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How an upload ended before its body did.
enum Halt {
    /// It was refused, and knows.
    Refused(Response),
    /// It can't be read further, for this reason.
    Broken(Response),
    /// The client is gone.
    Gone(io::Error),
}

impl Connection<'_> {
    /// Reads a body into `intake`. Returns the answer, and whether the body was read to
    /// its end.
    pub(super) fn receive_upload(
        &mut self,
        mut intake: Box<UploadIntake>,
        decoder: &mut Decoder,
        expects_continue: bool,
    ) -> io::Result<(Response, bool)> {
        if expects_continue && self.received.is_empty() {
            self.answers
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let read = catch_unwind(AssertUnwindSafe(|| self.fill(&mut intake, decoder)));
        let answered = match read {
            Ok(Ok(())) => catch_unwind(AssertUnwindSafe(|| (intake.finish(), true))),
            Ok(Err(Halt::Refused(response))) => return Ok((response, false)),
            Ok(Err(Halt::Broken(response))) => {
                catch_unwind(AssertUnwindSafe(|| (intake.break_off(response), false)))
            }
            Ok(Err(Halt::Gone(error))) => {
                let response = ended();
                let _ = catch_unwind(AssertUnwindSafe(|| intake.break_off(response)));
                return Err(error);
            }
            Err(panic) => Err(panic),
        };
        Ok(answered.unwrap_or_else(|_| (self.panic_response(), false)))
    }

    fn fill(&mut self, intake: &mut UploadIntake, decoder: &mut Decoder) -> Result<(), Halt> {
        // However large it is: as long as it comes at a good pace it may take its time.
        let mut pace = BodyPace::new(PaceLimits {
            part: self.config.body_timeout,
            bytes_per_second: self.config.body_bytes_per_second,
            whole: Duration::MAX,
        });
        while !decoder.is_done() {
            if !self.received.is_empty() {
                self.take_apart(intake, decoder)?;
                continue;
            }
            // Where the body is the file, what is read needs no copy: it is written as it is.
            let read = self.wait_for_more(intake, decoder.plain_left(), &mut pace)?;
            if read > 0 {
                decoder.skip(read as u64);
                intake.advance(read).map_err(Halt::Refused)?;
            }
        }
        Ok(())
    }

    /// Reads more, of which `left` is to come where that is known. Returns how many bytes
    /// have been put into the intake's own space; others have been received.
    fn wait_for_more(
        &mut self,
        intake: &mut UploadIntake,
        left: Option<u64>,
        pace: &mut BodyPace,
    ) -> Result<usize, Halt> {
        self.flush().map_err(Halt::Gone)?;
        let asked_at = Instant::now();
        loop {
            if self.house.context.is_draining() && intake.is_resumable() {
                let message = "the server is stopping: go on with the upload in a moment";
                let response = Response::error(Status::Unavailable, message);
                return Err(Halt::Broken(response.with("Retry-After", "5")));
            }
            if let Some(response) = intake.unwanted() {
                return Err(Halt::Broken(response));
            }
            let patience = pace.patience().saturating_sub(asked_at.elapsed());
            if patience.is_zero() {
                return Err(Halt::Broken(too_slow(pace.timed_out())));
            }
            let steps = patience.min(LOOK_INTERVAL).as_millis();
            let steps = steps.div_ceil(TIMEOUT_STEP.as_millis()) as u32;
            let timeout = Some(TIMEOUT_STEP * steps);
            self.io.set_read_timeout(timeout).map_err(Halt::Gone)?;
            let (read, is_direct) = match left.and_then(|left| intake.space(left)) {
                Some(space) => (self.io.read(space), true),
                None => {
                    self.received.resize(READ_BYTES, 0);
                    let read = self.io.read(&mut self.received);
                    self.received.truncate(read.as_ref().map_or(0, |&n| n));
                    (read, false)
                }
            };
            match read {
                Ok(0) => return Err(Halt::Broken(ended())),
                Ok(read) => {
                    if let Err(why) = pace.take(read, asked_at.elapsed()) {
                        return Err(Halt::Broken(too_slow(why)));
                    }
                    return Ok(if is_direct { read } else { 0 });
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(error) => return Err(Halt::Gone(error)),
            }
        }
    }

    /// Takes what was received out of its framing.
    fn take_apart(&mut self, intake: &mut UploadIntake, decoder: &mut Decoder) -> Result<(), Halt> {
        let mut at = 0;
        while at < self.received.len() && !decoder.is_done() {
            let (used, piece) = decoder.decode(&self.received[at..]).map_err(|error| {
                let message = format!("the upload broke off: {error}");
                Halt::Broken(Response::error(Status::BadRequest, &message))
            })?;
            intake.push(piece).map_err(Halt::Refused)?;
            at += used;
        }
        self.received.drain(..at);
        Ok(())
    }
}

fn ended() -> Response {
    let message = "the upload broke off: the connection ended before its body was whole";
    Response::error(Status::BadRequest, message)
}

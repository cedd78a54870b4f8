//! A form with a file.

use super::{Asked, file_name, job as job_of, may_follow, refusal};
use crate::access::places::Occupant;
use crate::http::multipart::{Found, Multipart, MultipartError};
use crate::http::{Response, Status};
use crate::routes::Pass;
use crate::upload::spool::{NewUpload, Receiver, Spool, SpoolError};

/// A form that is being taken apart.
pub struct Form {
    spool: Spool,
    client: Occupant,
    pass: Pass,
    parser: Multipart,
    /// What has come and can't be understood yet.
    held: Vec<u8>,
    asked: Asked,
    /// What the form itself asks for.
    said: Asked,
    length: Option<u64>,
    is_whole: bool,
}

/// Why a form isn't read further.
pub enum Stop {
    Spool(SpoolError),
    Answer(Response),
}

impl Form {
    /// A form of which nothing has come yet. What the request asks for besides counts where
    /// the form says nothing else.
    pub fn new(
        spool: Spool,
        client: Occupant,
        pass: Pass,
        parser: Multipart,
        asked: Asked,
        length: Option<u64>,
    ) -> Form {
        Form {
            spool,
            client,
            pass,
            parser,
            held: Vec::new(),
            asked,
            said: Asked::default(),
            length,
            is_whole: false,
        }
    }

    /// Whether it has come to its end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Takes more of the form, and begins `receiver` where its file does.
    ///
    /// # Errors
    /// It isn't read further.
    pub fn push(&mut self, piece: &[u8], receiver: &mut Option<Receiver>) -> Result<(), Stop> {
        let mut held = std::mem::take(&mut self.held);
        let input = if held.is_empty() {
            piece
        } else {
            held.extend_from_slice(piece);
            &held[..]
        };
        let mut at = 0;
        loop {
            let parsed = self.parser.parse(&input[at..]);
            let (used, found) = parsed.map_err(refused)?;
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
        self.held = if held.is_empty() {
            piece[piece.len() - rest..].to_vec()
        } else {
            held.drain(..at);
            held
        };
        Ok(())
    }

    fn value(&mut self, name: String, value: String, is_late: bool) -> Result<(), Stop> {
        if is_late && ["job", "name"].contains(&&*name) {
            let message = format!("the form's field {name} comes after the file: put it before");
            return Err(bad(&message));
        }
        // An empty input counts as none.
        if value.is_empty() {
            return Ok(());
        }
        self.said.take(&name, &value).map_err(Stop::Answer)
    }

    fn begin(&mut self, file: &str, declared_type: Option<String>) -> Result<Receiver, Stop> {
        let (said, asked) = (&self.said, &self.asked);
        let name = said.name.as_deref().or(asked.name.as_deref());
        let name = name.unwrap_or(file);
        if file.is_empty() && name.is_empty() {
            return Err(bad("no file was chosen in the form: choose one"));
        }
        let job = said.job.as_deref().or(asked.job.as_deref());
        let job = job_of(job, &self.pass).map_err(Stop::Answer)?;
        let order = NewUpload {
            client: self.client,
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

fn refused(error: MultipartError) -> Stop {
    let status = match error {
        MultipartError::Encoded => Status::UnsupportedMediaType,
        _ => Status::BadRequest,
    };
    Stop::Answer(Response::error(status, &error.to_string()))
}

fn bad(message: &str) -> Stop {
    Stop::Answer(Response::error(Status::BadRequest, message))
}

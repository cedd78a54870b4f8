//! A form with a file.

use super::{UploadQuery, file_name, job as job_of, may_follow, refusal};
use crate::access::places::Occupant;
use crate::http::multipart::{FormItem, Multipart, MultipartError};
use crate::http::{Response, Status};
use crate::routes::Pass;
use crate::upload::spool::{NewUpload, Spool, SpoolError, UploadReceiver};

const NOT_CHOSEN: &str = "no file was chosen in the form: choose one";
const TWO_FILES: &str = "the form has more than one file: upload one at a time";

/// A form that is being taken apart.
pub struct Form {
    spool: Spool,
    client: Occupant,
    pass: Pass,
    parser: Multipart,
    /// What has come and can't be understood yet.
    held: Vec<u8>,
    asked: UploadQuery,
    /// What the form itself asks for.
    said: UploadQuery,
    length: Option<u64>,
    /// An input in which no file was chosen is gone through, or was.
    unchosen: Option<Unchosen>,
    is_whole: bool,
}

/// An input in which no file was chosen: a browser sends it without a name, and empty.
#[derive(Clone, Copy, PartialEq)]
enum Unchosen {
    Now,
    Before,
}

/// Why a form isn't read further.
pub enum FormStop {
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
        asked: UploadQuery,
        length: Option<u64>,
    ) -> Form {
        Form {
            spool,
            client,
            pass,
            parser,
            held: Vec::new(),
            asked,
            said: UploadQuery::default(),
            length,
            unchosen: None,
            is_whole: false,
        }
    }

    /// Whether it has come to its end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What it lacks, where it has no file.
    pub fn lack(&self) -> &'static str {
        match self.unchosen {
            Some(_) => NOT_CHOSEN,
            None => "the form has no file: give it an input of the type file",
        }
    }

    /// Takes more of the form, and begins `receiver` where its file does.
    ///
    /// # Errors
    /// It isn't read further.
    pub fn push(
        &mut self,
        piece: &[u8],
        receiver: &mut Option<UploadReceiver>,
    ) -> Result<(), FormStop> {
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
                Some(FormItem::Value { name, value }) => {
                    self.value(name, value, receiver.is_some())?
                }
                Some(FormItem::File {
                    file_name,
                    content_type,
                }) => {
                    let is_named = !file_name.is_empty() || self.name().is_some();
                    if file_name.is_empty() && (receiver.is_some() || !is_named) {
                        self.unchosen = Some(Unchosen::Now);
                        continue;
                    }
                    if receiver.is_some() {
                        return Err(bad(TWO_FILES));
                    }
                    *receiver = Some(self.begin(&file_name, content_type)?);
                }
                Some(FormItem::Data(_)) if self.unchosen == Some(Unchosen::Now) => {
                    let is_second = receiver.is_some();
                    return Err(bad(if is_second { TWO_FILES } else { NOT_CHOSEN }));
                }
                Some(FormItem::Data(bytes)) => {
                    if let Some(receiver) = receiver {
                        receiver.push(bytes).map_err(FormStop::Spool)?;
                    }
                }
                Some(FormItem::FileEnd) => self.unchosen = self.unchosen.map(|_| Unchosen::Before),
                Some(FormItem::End) => self.is_whole = true,
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

    fn value(&mut self, name: String, value: String, is_late: bool) -> Result<(), FormStop> {
        if is_late && ["job", "name"].contains(&&*name) {
            let message = format!("the form's field {name} comes after the file: put it before");
            return Err(bad(&message));
        }
        // An empty input counts as none.
        if value.is_empty() {
            return Ok(());
        }
        self.said.take(&name, &value).map_err(FormStop::Answer)
    }

    /// What the file is to be called, where that is said.
    fn name(&self) -> Option<&str> {
        let name = self.said.name.as_deref().or(self.asked.name.as_deref());
        name.filter(|name| !name.is_empty())
    }

    fn begin(
        &mut self,
        file: &str,
        declared_type: Option<String>,
    ) -> Result<UploadReceiver, FormStop> {
        let (said, asked) = (&self.said, &self.asked);
        let name = self.name().unwrap_or(file);
        let job = said.job.as_deref().or(asked.job.as_deref());
        let job = job_of(job, &self.pass).map_err(FormStop::Answer)?;
        let order = NewUpload {
            client: self.client,
            after: may_follow(&job, &self.pass),
            job,
            name: file_name(Some(name)).map_err(FormStop::Answer)?,
            declared_type,
            size: None,
            estimate: self.length,
            metadata: None,
        };
        let begun = self.spool.begin(order, None);
        begun.map_err(|error| FormStop::Answer(refusal(&error)))
    }
}

fn refused(error: MultipartError) -> FormStop {
    let status = match error {
        MultipartError::Encoded => Status::UnsupportedMediaType,
        _ => Status::BadRequest,
    };
    FormStop::Answer(Response::error(status, &error.to_string()))
}

fn bad(message: &str) -> FormStop {
    FormStop::Answer(Response::error(Status::BadRequest, message))
}

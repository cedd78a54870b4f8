//! The body of an upload.

use super::form::{Form, FormStop};
use super::{created, exposed, of_tus, refusal};
use crate::http::{BasePath, Response, Status};
use crate::upload::spool::{Finished, SpoolError, UploadReceiver};

/// The body of an upload, on its way to the disk.
pub struct UploadIntake {
    kind: UploadBody,
    receiver: Option<UploadReceiver>,
    cors: bool,
    base: BasePath,
}

/// What answers a piece of an upload by tus.
type TusAnswer = dyn Fn(&Finished, &BasePath) -> Response + Send;

enum UploadBody {
    /// The body is the file.
    Raw,
    /// The file is in a form.
    Form(Box<Form>),
    /// The body is a piece of an upload by tus, which is answered so.
    Tus(Box<TusAnswer>),
}

impl UploadIntake {
    /// The body is the file.
    pub fn raw(receiver: UploadReceiver, cors: bool, base: BasePath) -> UploadIntake {
        UploadIntake {
            kind: UploadBody::Raw,
            receiver: Some(receiver),
            cors,
            base,
        }
    }

    /// The file is in a form.
    pub fn form(form: Form, cors: bool, base: BasePath) -> UploadIntake {
        UploadIntake {
            kind: UploadBody::Form(Box::new(form)),
            receiver: None,
            cors,
            base,
        }
    }

    /// A piece of an upload by tus.
    pub fn tus(
        answer: impl Fn(&Finished, &BasePath) -> Response + Send + 'static,
        receiver: UploadReceiver,
        cors: bool,
        base: BasePath,
    ) -> UploadIntake {
        UploadIntake {
            kind: UploadBody::Tus(Box::new(answer)),
            receiver: Some(receiver),
            cors,
            base,
        }
    }

    /// Whether what it has isn't lost if it breaks off.
    pub fn is_resumable(&self) -> bool {
        self.receiver
            .as_ref()
            .is_some_and(UploadReceiver::is_resumable)
    }

    /// The answer where it should be broken off.
    pub fn unwanted(&self) -> Option<Response> {
        let error = self.receiver.as_ref().and_then(UploadReceiver::unwanted)?;
        Some(refusal(&error))
    }

    /// Where bytes of the file can be put, where the body is nothing else. `left` is what
    /// there is to come.
    pub fn space(&mut self, left: u64) -> Option<&mut [u8]> {
        let receiver = self.receiver.as_mut()?;
        if matches!(self.kind, UploadBody::Form(_)) || receiver.left() == 0 {
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
            (UploadBody::Form(form), receiver) => form.push(piece, receiver),
            (_, Some(receiver)) => receiver.push(piece).map_err(FormStop::Spool),
            (_, None) => Ok(()),
        };
        pushed.map_err(|stop| match stop {
            FormStop::Spool(error) => self.fail(error),
            FormStop::Answer(response) => self.break_off(response),
        })
    }

    /// Answers the whole body, when everything is on disk.
    pub fn finish(mut self) -> Response {
        if let UploadBody::Form(form) = &self.kind
            && !(form.is_whole() && self.receiver.is_some())
        {
            let message = match self.receiver {
                Some(_) => "the form ended before its last boundary: send it whole",
                None => form.lack(),
            };
            return self.break_off(Response::error(Status::BadRequest, message));
        }
        let Some(receiver) = self.receiver.take() else {
            let message = "the upload has ended already";
            return Response::error(Status::InternalError, message);
        };
        let response = match (receiver.finish(), &self.kind) {
            (Ok(finished), UploadBody::Tus(answer)) => answer(&finished, &self.base),
            (Ok(finished), _) => {
                let base = self.base.as_str();
                let location = format!("{base}/api/jobs/{}", finished.job);
                let response = created(&finished, &self.base).with("Location", location);
                response.with("Landfall-Job", finished.job.to_string())
            }
            (Err(error), _) => refusal(&error),
        };
        self.dressed(response)
    }

    /// The body can't be read further, which is answered so.
    pub fn break_off(&mut self, response: Response) -> Response {
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
            UploadBody::Tus(_) => of_tus(response),
            _ => response,
        }
    }
}

//! A build without uploads: no file comes or goes.

use std::io;

use super::Connection;
use crate::http::{Decoder, Response};
use crate::routes::{Download, UploadIntake};

impl Connection<'_> {
    #[allow(clippy::boxed_local)]
    pub(super) fn receive_upload(
        &mut self,
        intake: Box<UploadIntake>,
        _decoder: &mut Decoder,
        _expects_continue: bool,
    ) -> io::Result<(Response, bool)> {
        match *intake {}
    }

    pub(super) fn send_file(&mut self, download: &Download) -> io::Result<()> {
        match *download {}
    }
}

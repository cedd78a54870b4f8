//! Uploads by the tus protocol, piece by piece.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::connection::Connection;
use super::response::AnswerHead;
use super::{CONNECT_TIMEOUT, Client, ClientError, refusal};
use crate::http::Address;

/// What is read of a file and sent at once, in bytes.
const BLOCK_BYTES: usize = 64 * 1024;
/// How long the hub may take nothing of a piece.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take from a piece's end to its answer: it writes the file to disk.
const LANDING_TIMEOUT: Duration = Duration::from_secs(120);
const VERSION: &str = "Tus-Resumable: 1.0.0\r\n";

/// An upload that has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadPlace {
    /// Where its pieces go: a path at the hub, or an address of its own.
    pub location: String,
    /// Its job's name.
    pub job: String,
}

/// Why a piece wasn't taken.
#[derive(Debug)]
pub enum PieceError {
    /// The file can't be read.
    File(io::Error),
    /// The hub is away, or refuses.
    Hub(ClientError),
}

impl Client {
    /// Begins an upload of so many bytes. The metadata's values may be any text.
    pub(crate) fn begin_upload(
        &mut self,
        size: u64,
        metadata: &[(&str, &str)],
    ) -> Result<UploadPlace, ClientError> {
        let encoded = metadata
            .iter()
            .map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
        let encoded = encoded.collect::<Vec<_>>().join(",");
        let fields = format!(
            "{VERSION}Upload-Length: {size}\r\nUpload-Metadata: {encoded}\r\nContent-Length: 0\r\n"
        );
        let request = self.request("POST", "/api/tus/", &fields);
        let (head, _) = self.ask(request.as_bytes(), None)?;
        let field = |name| head.field(name).unwrap_or_default().to_owned();
        let place = UploadPlace {
            location: field("location"),
            job: field("landfall-job"),
        };
        if place.location.is_empty() || place.job.is_empty() {
            Err(ClientError::Malformed("an upload without an address"))
        } else {
            Ok(place)
        }
    }

    /// How many bytes of an upload the hub has, and how many it is to have.
    pub(crate) fn find_upload(
        &mut self,
        place: &UploadPlace,
    ) -> Result<(u64, Option<u64>), ClientError> {
        let (mut other, path) = self.at(&place.location)?;
        let client = other.as_mut().unwrap_or(self);
        let request = client.request_at("HEAD", &path, VERSION);
        let (head, _) = client.ask(request.as_bytes(), None)?;
        Ok((offset(&head)?, head.number("upload-length")))
    }

    /// Gives an upload up, with which nobody can go on.
    pub(crate) fn end_upload(&mut self, place: &UploadPlace) -> Result<(), ClientError> {
        let (mut other, path) = self.at(&place.location)?;
        let client = other.as_mut().unwrap_or(self);
        let request = client.request_at("DELETE", &path, VERSION);
        client.ask(request.as_bytes(), None).map(drop)
    }

    /// Sends `length` bytes of `data` as the piece that belongs at `from`, and calls `sent`
    /// with how many of them are on their way. Returns how many bytes the hub has then.
    pub(crate) fn send_piece(
        &mut self,
        place: &UploadPlace,
        from: u64,
        length: u64,
        data: &mut dyn Read,
        sent: &mut dyn FnMut(u64),
    ) -> Result<u64, PieceError> {
        let (other, path) = self.at(&place.location).map_err(PieceError::Hub)?;
        let client = other.as_ref().unwrap_or(self);
        let fields = format!(
            "{VERSION}Content-Type: application/offset+octet-stream\r\nUpload-Offset: {from}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n"
        );
        let request = client.request_at("PATCH", &path, &fields);
        let connected = Connection::open(client.address(), Instant::now() + CONNECT_TIMEOUT);
        let mut connection = connected.map_err(PieceError::Hub)?;
        let by = Instant::now() + STALL_TIMEOUT;
        let mut broken = connection.send(request.as_bytes(), by).err();
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = length;
        // A hub that answers before it has the whole piece refuses it.
        while left > 0 && broken.is_none() && connection.is_idle() {
            let most = left.min(BLOCK_BYTES as u64) as usize;
            let count = data.read(&mut block[..most]).map_err(PieceError::File)?;
            if count == 0 {
                let error = io::Error::other("it has become shorter meanwhile");
                return Err(PieceError::File(error));
            }
            let by = Instant::now() + STALL_TIMEOUT;
            broken = connection.send(&block[..count], by).err();
            left -= count as u64;
            sent(length - left);
        }
        match (answer(&mut connection), broken) {
            (Ok(head), _) => offset(&head).map_err(PieceError::Hub),
            (Err(error @ ClientError::Refused { .. }), _) => Err(PieceError::Hub(error)),
            (Err(error), broken) => Err(PieceError::Hub(broken.unwrap_or(error))),
        }
    }

    /// A client for an upload's address, where that is another than the hub's, and the path
    /// there.
    fn at(&self, location: &str) -> Result<(Option<Client>, String), ClientError> {
        let fits = |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        const SCHEME: &str = "http://";
        let Some(rest) = location.strip_prefix(SCHEME) else {
            return if fits(location) {
                Ok((None, location.to_owned()))
            } else {
                Err(ClientError::Malformed("the address of an upload"))
            };
        };
        let end = SCHEME.len() + rest.find('/').unwrap_or(rest.len());
        let (authority, path) = location.split_at(end);
        let address: Result<Address, _> = authority.parse();
        match address {
            Ok(address) if fits(path) => {
                let client = Client::new(address).with_token(self.token.clone());
                Ok((Some(client), path.to_owned()))
            }
            _ => Err(ClientError::Malformed("the address of an upload")),
        }
    }
}

/// What the hub answers to a piece.
fn answer(connection: &mut Connection) -> Result<AnswerHead, ClientError> {
    let deadline = Instant::now() + LANDING_TIMEOUT;
    let head = connection.head(deadline)?;
    if head.status == 204 {
        return Ok(head);
    }
    let body = connection.body(&head, deadline).unwrap_or_default();
    Err(refusal(&head, &body))
}

fn offset(head: &AnswerHead) -> Result<u64, ClientError> {
    let offset = head.number("upload-offset");
    offset.ok_or(ClientError::Malformed("an upload without an offset"))
}

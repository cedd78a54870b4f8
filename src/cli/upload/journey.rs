//! One file's way to the hub, over as many connections as it takes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::thread;
use std::time::{Duration, Instant};

use super::memory::UploadMemory;
use super::view::UploadView;
use crate::cli::error::Failure;
use crate::cli::hub::HubSettings;
use crate::client::{Backoff, Client, ClientError, PieceError, UploadPlace};

/// The waits between attempts.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the hub may take nothing before the file is given up; a later call goes on.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is sent, and where.
pub struct Journey<'a> {
    pub hub: &'a HubSettings,
    pub client: &'a mut Client,
    pub file: &'a mut File,
    pub size: u64,
    /// What the hub is told of the file.
    pub metadata: &'a [(&'a str, &'a str)],
    pub memory: UploadMemory,
    pub view: &'a mut UploadView,
}

/// How far it is.
struct Distance {
    place: Option<UploadPlace>,
    /// Whether that is known to be this file's.
    is_certain: bool,
    /// The bytes that were sent.
    sent: u64,
    moved_at: Instant,
}

/// Why a step wasn't taken.
enum Obstacle {
    /// It may be later.
    Temporary(ClientError),
    Final(Failure),
}

impl Journey<'_> {
    /// Sends what the hub hasn't. Returns the job's name.
    pub fn travel(&mut self) -> Result<String, Failure> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut way = Distance {
            place: self.memory.recall(),
            is_certain: false,
            sent: 0,
            moved_at: Instant::now(),
        };
        loop {
            let error = match self.step(&mut way) {
                Ok(job) => {
                    self.memory.forget();
                    return Ok(job);
                }
                Err(Obstacle::Final(failure)) => return Err(failure),
                Err(Obstacle::Temporary(error)) => error,
            };
            // A hub that was never there isn't waited for.
            let is_there = way.is_certain || matches!(error, ClientError::Refused { .. });
            let failure = self.hub.failure(error);
            if !is_there || way.moved_at.elapsed() > PATIENCE {
                return Err(Failure::Hub(failure));
            }
            if way.moved_at.elapsed() < FIRST_WAIT {
                backoff.succeeded();
            }
            let wait = backoff.failed();
            let seconds = wait.as_secs_f64();
            self.view
                .say(&format!("{failure}; going on in {seconds:.1} s"));
            thread::sleep(wait);
        }
    }

    /// Finds out how far it is, and sends the rest.
    fn step(&mut self, way: &mut Distance) -> Result<String, Obstacle> {
        let (place, from) = self.find(way)?;
        self.view.begin(from);
        if from < self.size || self.size == 0 {
            self.send(way, &place, from)?;
        }
        Ok(place.job)
    }

    /// Where the upload is, and how many bytes are there; it begins where there is none.
    fn find(&mut self, way: &mut Distance) -> Result<(UploadPlace, u64), Obstacle> {
        if let Some(place) = way.place.clone() {
            match self.client.find_upload(&place) {
                Ok((from, size)) if size == Some(self.size) => {
                    way.is_certain = true;
                    return Ok((place, from));
                }
                // All of it was there, and its job is over meanwhile.
                Err(ClientError::Refused { status: 404, .. })
                    if way.is_certain && way.sent == self.size =>
                {
                    return Ok((place, self.size));
                }
                // What was remembered is no more, or is of something else.
                Ok(_)
                | Err(ClientError::Refused {
                    status: 403 | 404 | 410,
                    ..
                }) if !way.is_certain => {}
                Ok(_) => {
                    let what = ClientError::Malformed("an upload of another size");
                    return Err(self.obstacle(what, way));
                }
                Err(error) => return Err(self.obstacle(error, way)),
            }
        }
        let begun = self.client.begin_upload(self.size, self.metadata);
        let place = begun.map_err(|error| self.obstacle(error, way))?;
        self.memory.keep(&place);
        way.place = Some(place.clone());
        way.is_certain = true;
        way.moved_at = Instant::now();
        Ok((place, 0))
    }

    fn send(&mut self, way: &mut Distance, place: &UploadPlace, from: u64) -> Result<(), Obstacle> {
        let system = |error: std::io::Error| Obstacle::Final(error.into());
        self.file.seek(SeekFrom::Start(from)).map_err(system)?;
        let mut sent = |bytes: u64| {
            way.sent = from + bytes;
            way.moved_at = Instant::now();
            self.view.sent(way.sent);
        };
        let length = self.size - from;
        let sending = self
            .client
            .send_piece(place, from, length, self.file, &mut sent);
        match sending {
            Ok(offset) if offset == self.size => Ok(()),
            Ok(_) => {
                let what = ClientError::Malformed("a piece that was taken in part");
                Err(self.obstacle(what, way))
            }
            Err(PieceError::File(error)) => {
                // It isn't what was begun any more. Who follows it hears of its end.
                let _ = self.client.end_upload(place);
                self.memory.forget();
                Err(system(error))
            }
            Err(PieceError::Hub(error)) => Err(self.obstacle(error, way)),
        }
    }

    fn obstacle(&self, error: ClientError, way: &Distance) -> Obstacle {
        let is_temporary = match &error {
            // Uploads aren't served there, or there is no room for this one.
            ClientError::Refused {
                status: 501 | 507, ..
            } => false,
            // A connection that is dead by now still has it; or it is further than it was.
            ClientError::Refused { status: 423, .. } => true,
            ClientError::Refused { status: 409, .. } => way.is_certain,
            error => error.is_temporary(),
        };
        if is_temporary {
            Obstacle::Temporary(error)
        } else {
            Obstacle::Final(Failure::Hub(self.hub.failure(error)))
        }
    }
}

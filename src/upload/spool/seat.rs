//! What an upload takes of the places that there are, for as long as it takes it.

use std::sync::Arc;

use super::{SpoolConfig, SpoolError};
use crate::access::places::{Full, Occupant, Place, Places};
use crate::sys::limit::Limit;

/// The places of a spool.
pub struct Seats {
    receiving: Arc<Places>,
    unfinished: Arc<Places>,
    waiting: Arc<Places>,
}

/// One of the uploads that are being received, and with it the place that it will have among
/// those that wait: so none that is whole is ever one too many.
pub struct Seat {
    _receiving: Place,
    waiting: Option<Place>,
}

impl Seats {
    /// As many as may be.
    pub fn new(config: &SpoolConfig) -> Seats {
        Seats {
            receiving: Places::new(config.uploads, config.uploads_per_address),
            unfinished: Places::new(config.unfinished, config.unfinished_per_address),
            waiting: Places::new(config.waiting, config.waiting_per_address),
        }
    }

    /// As many from now on.
    pub fn limit(&self, config: &SpoolConfig) {
        self.receiving
            .limit(config.uploads, config.uploads_per_address);
        self.unfinished
            .limit(config.unfinished, config.unfinished_per_address);
        self.waiting
            .limit(config.waiting, config.waiting_per_address);
    }

    /// A place among the uploads that are being received.
    ///
    /// # Errors
    /// There is none for this client.
    pub fn take(&self, client: Occupant) -> Result<Seat, SpoolError> {
        let receiving = self.receiving.take(client);
        let waiting = self.waiting.take(client);
        Ok(Seat {
            _receiving: receiving.map_err(full(Limit::Uploads, Limit::UploadsPerAddress))?,
            waiting: Some(waiting.map_err(full(Limit::Waiting, Limit::WaitingPerAddress))?),
        })
    }

    /// A place among the resumable uploads that aren't whole.
    ///
    /// # Errors
    /// There is none for this client.
    pub fn unfinished(&self, client: Occupant) -> Result<Place, SpoolError> {
        let unfinished = self.unfinished.take(client);
        unfinished.map_err(full(Limit::Unfinished, Limit::UnfinishedPerAddress))
    }

    /// The same for one that an earlier process left, whatever the limits are now.
    pub fn left_unfinished(&self, client: Occupant) -> Place {
        self.unfinished.keep(client)
    }

    /// A place among those that wait, for one that an earlier process left, likewise.
    pub fn left_waiting(&self, client: Occupant) -> Place {
        self.waiting.keep(client)
    }

    /// How many resumable uploads aren't whole.
    pub fn taken_unfinished(&self) -> usize {
        self.unfinished.taken()
    }

    /// How many uploads are being received.
    pub fn receiving(&self) -> usize {
        self.receiving.taken()
    }
}

impl Seat {
    /// The place among those that wait: the upload is whole.
    pub fn wait(&mut self) -> Option<Place> {
        self.waiting.take()
    }
}

fn full(all: Limit, share: Limit) -> impl FnOnce(Full) -> SpoolError {
    move |full| {
        SpoolError::Full(match full {
            Full::All => all,
            Full::Share => share,
        })
    }
}

//! The places of uploads that are being received.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inner, SpoolError};

/// One of the uploads that are being received.
pub struct Place(Arc<Inner>);

impl Place {
    /// One more.
    ///
    /// # Errors
    /// They are all taken, or the spool is closed.
    pub fn take(inner: &Arc<Inner>) -> Result<Place, SpoolError> {
        let place = Place(inner.clone());
        let is_closed = inner.is_closed.load(Ordering::Acquire);
        inner.metrics().uploads_open.add(1);
        let before = inner.receiving.fetch_add(1, Ordering::AcqRel);
        match before < inner.config.uploads && !is_closed {
            true => Ok(place),
            false => Err(SpoolError::Busy),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics().uploads_open.add(-1);
        self.0.receiving.fetch_sub(1, Ordering::AcqRel);
    }
}

//! A build without uploads: there is nothing to be processed.

use std::time::Instant;

use crate::event::job::{JobId, LifeId};

/// There is none.
#[derive(Clone)]
pub enum Pipeline {}

impl Pipeline {
    pub fn cancel(&self, _job: &JobId, _life: LifeId) {
        match *self {}
    }

    pub fn halt(&self) {
        match *self {}
    }

    pub fn hurry(&self) {
        match *self {}
    }

    pub fn stop(&self, _deadline: Instant) -> bool {
        match *self {}
    }
}

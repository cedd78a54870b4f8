//! The rooms, for the crate's own tests, fuzz targets and benchmarks. Nothing here is
//! promised to anybody else.

use std::sync::Arc;

use crate::hub::Hub;
use crate::sequencer::{Order, Sequencer};

macro_rules! rooms {
    ($($room:ident)*) => {$(
        #[allow(missing_docs)]
        pub mod $room {
            pub use crate::$room::*;
        }
    )*};
}

rooms! {
    access client event http hub pipeline progress routes sequencer upload
}

pub use crate::sys::channel;

/// What is wrong with the flags in a configuration file that is called so.
pub fn wrong_flags(name: &str, text: &str) -> Vec<String> {
    crate::cli::wrong_flags(name, text)
}

/// Jobs in an order of any kind, by which `hub` is kept.
pub fn sequencer(hub: Hub, order: Arc<dyn Order>) -> Sequencer {
    Sequencer::new(hub, order)
}

/// What the jobs have come to.
pub fn hub(jobs: &Sequencer) -> &Hub {
    jobs.hub()
}

/// What puts the changes to them in order.
pub fn order(jobs: &Sequencer) -> &dyn Order {
    jobs.order()
}

//! The same as one subscriber, one publisher, where the server keeps all events on disk: they
//! are so large that its files are full, and others begin, while it is measured.

use super::{Scale, single};
use crate::failure::Result;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};

const EVENT_BYTES: usize = 2000;

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let setup = Setup {
        is_kept: true,
        ..Setup::default()
    };
    single::run_with(peer, &setup, scale.of(20_000, 2_000), |job, n, now_ns| {
        peer::wide_data(job, n, now_ns, EVENT_BYTES)
    })
}

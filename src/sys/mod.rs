//! The ground: clocks, sockets, coroutines, random bits, counters.

pub(crate) mod clock;
pub(crate) mod coroutine;
pub mod metrics;
pub(crate) mod random;
pub(crate) mod socket;

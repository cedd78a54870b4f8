//! The ground: clocks, sockets, coroutines, random bits, counters, units,
//! characters, names, directories, files.

#[macro_use]
pub(crate) mod log;

pub(crate) mod blocker;
#[cfg(feature = "server")]
pub(crate) mod busy;
pub mod channel;
pub(crate) mod character;
pub(crate) mod clock;
pub(crate) mod config;
#[cfg(feature = "server")]
pub(crate) mod coroutine;
pub(crate) mod durable;
pub(crate) mod headcount;
pub(crate) mod histogram;
pub(crate) mod limit;
pub mod metrics;
pub(crate) mod nearest;
pub(crate) mod notice;
pub(crate) mod order;
pub(crate) mod private;
pub(crate) mod process;
pub(crate) mod random;
#[cfg(feature = "server")]
pub(crate) mod raw;
pub(crate) mod socket;
pub(crate) mod sorted;
pub(crate) mod thread;
#[cfg(any(feature = "serve", feature = "uploads"))]
pub(crate) mod toml;
pub(crate) mod units;
pub(crate) mod vital;

//! Who follows jobs: subscribers on connections, which shards serve, and those within the
//! process.

mod consolidated;
mod paced;
#[cfg(feature = "server")]
mod send_memory;
#[cfg(feature = "server")]
mod shard;
pub mod subscribers;

#[cfg(feature = "server")]
pub use consolidated::{Consolidated, Listed};
#[cfg(feature = "server")]
pub use send_memory::SendMemory;
#[cfg(test)]
pub(crate) use shard::by_hand;
#[cfg(feature = "server")]
pub use shard::{Adoption, Counted, ShardConfig, ShardHandle, Stream, opening};

/// The most bytes read out of a ring at a time: what one send may carry.
const BATCH_MAX_BYTES: usize = 128 * 1024;
/// Pieces that wait for a shard, or for subscribers. At it the readers wait.
const PIECES: usize = 4;

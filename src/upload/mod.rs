//! Uploads: how they arrive, and how they lie on disk.

pub mod disk;
mod folder;
pub mod spool;

pub use folder::*;
pub use spool::SpoolConfig;

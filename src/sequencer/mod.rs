//! What gives events their order, and keeps them.

pub mod journal;

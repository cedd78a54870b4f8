//! Guides, as pages of the documentation.

#[doc = include_str!("design.md")]
pub mod design {}

#[doc = include_str!("simulation.md")]
pub mod simulation {}

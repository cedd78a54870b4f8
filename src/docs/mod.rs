//! Guides, as pages of the documentation.

#[doc = include_str!("design.md")]
pub mod design {}

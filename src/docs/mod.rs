//! Guides, as pages of the documentation.
//!
//! Where a link leads stands twice: at the end of each guide for whoever reads the files, and in `links.md`, which
//! comes before it here, so that it counts here.

#[doc = include_str!("links.md")]
#[doc = include_str!("publishing.md")]
pub mod publishing {}

#[doc = include_str!("links.md")]
#[doc = include_str!("browser.md")]
pub mod browser {}

#[doc = include_str!("links.md")]
#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("links.md")]
#[doc = include_str!("http.md")]
pub mod http {}

#[doc = include_str!("links.md")]
#[doc = include_str!("uploads.md")]
pub mod uploads {}

#[doc = include_str!("links.md")]
#[doc = include_str!("webhooks.md")]
pub mod webhooks {}

#[doc = include_str!("links.md")]
#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("links.md")]
#[doc = include_str!("fleet.md")]
pub mod fleet {}

#[doc = include_str!("links.md")]
#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("links.md")]
#[doc = include_str!("measured.md")]
pub mod measured {}

#[doc = include_str!("links.md")]
#[doc = include_str!("design.md")]
pub mod design {}

#[doc = include_str!("links.md")]
#[doc = include_str!("simulation.md")]
pub mod simulation {}

#[doc = include_str!("links.md")]
#[doc = include_str!("changes.md")]
pub mod changes {}

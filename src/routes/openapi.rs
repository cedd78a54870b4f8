//! `GET /openapi.json`.

use super::packed::Packed;
use super::{Answer, Plan};
use crate::http::Head;

/// Its text.
pub static DESCRIPTION: Packed =
    Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")));

/// The description of the HTTP API (OpenAPI 3.1).
pub fn get(head: &Head<'_>, _: &str) -> Answer {
    Ok(Plan::Answer(DESCRIPTION.answer(head, "application/json")))
}

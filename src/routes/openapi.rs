//! `GET /openapi.json`.

use super::{Answer, Plan};
use crate::http::{Head, Response, Status};

/// Its text.
pub const DESCRIPTION: &str = include_str!("openapi.json");

/// The description of the HTTP API (OpenAPI 3.1).
pub fn get(_: &Head<'_>, _: &str) -> Answer {
    Ok(Plan::Answer(Response::json(Status::Ok, DESCRIPTION)))
}

//! `GET /openapi.json`.

use crate::http::{Response, Status};

const DESCRIPTION: &str = include_str!("openapi.json");

/// The description of the HTTP API (OpenAPI 3.1).
pub fn get() -> Response {
    Response::json(Status::Ok, DESCRIPTION)
}

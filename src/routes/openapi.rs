//! `GET /openapi.json`.

use super::packed::Packed;
use super::{Answer, Plan};
use crate::http::{BasePath, Head, Response, Status};

const JSON: &str = "application/json";
/// What the addresses of its servers end with.
const PORTS: [&str; 2] = [":8080", ":8081"];

/// Its text.
pub static DESCRIPTION: Packed =
    Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")));

/// The description of the HTTP API (OpenAPI 3.1), whose servers are at the base path.
pub fn get(head: &Head<'_>, base: &BasePath, _: &str) -> Answer {
    let base = base.as_str();
    if base.is_empty() {
        return Ok(Plan::Answer(DESCRIPTION.answer(head, JSON)));
    }
    let text = String::from_utf8_lossy(&DESCRIPTION.unpack()).into_owned();
    let text = PORTS.iter().fold(text, |text, port| {
        text.replace(&format!("{port}\""), &format!("{port}{base}\""))
    });
    Ok(Plan::Answer(Response::text(Status::Ok, JSON, text)))
}

//! Nodes, and what they are asked.

use super::binary::Binary;
use super::http::{Answer, post};
pub use super::http::{get, wait_until};
pub use super::stream::Stream;

/// A node of a fleet.
pub fn node(url: &str, name: &str) -> Binary {
    Binary::serve(&["--redis", url, "--node", name, "--retry", "50ms"])
}

/// What a node says of a job, and the status.
pub fn snapshot(node: &Binary, job: &str) -> Answer {
    get(node.public, &format!("/api/jobs/{job}"))
}

/// One event, whatever comes of it.
pub fn try_to_publish(node: &Binary, job: &str, event: &str) -> Answer {
    let body = format!(r#"{{"event":"{event}","data":{{}}}}"#);
    let target = format!("/api/jobs/{job}/events");
    post(node.publish, &target, "application/json", &body)
}

pub fn is_ready(node: &Binary) -> bool {
    get(node.ops, "/readyz").status == 200
}

/// A value of a metric.
pub fn metric(node: &Binary, name: &str) -> f64 {
    super::http::metric(node.ops, name)
}

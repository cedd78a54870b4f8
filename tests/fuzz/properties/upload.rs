//! What an upload says of itself. Each input is all that it can be: a header field and a body.

use super::{multipart, tus};

/// The input's first line is a header field's value, the rest is a body.
pub fn check(input: &[u8]) {
    multipart::check(input);
    tus::check(input);
}

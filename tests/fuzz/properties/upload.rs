//! What an upload and a download say of a file. Each input is all that it can be: a header
//! field and a body.

use super::{multipart, range, tus};

/// The input's first line is a header field's value, the rest is a body.
pub fn check(input: &[u8]) {
    multipart::check(input);
    tus::check(input);
    range::check(input);
}

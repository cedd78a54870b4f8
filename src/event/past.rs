//! Events that were accepted before, as they stand in what is kept of them.

use super::job::EventName;

/// An event that was accepted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastEvent<'a> {
    name: &'a str,
    data: &'a str,
    names_its_job: bool,
}

impl<'a> PastEvent<'a> {
    /// None where it can't have been accepted: its data would break a frame.
    pub fn new(name: &'a str, data: &'a str, names_its_job: bool) -> Option<PastEvent<'a>> {
        let is_line = memchr::memchr2(b'\r', b'\n', data.as_bytes()).is_none();
        let is_object = matches!(data.as_bytes(), [b'{', .., b'}']);
        let is_common = matches!(name.as_bytes(), b"progress" | b"done" | b"error");
        let is_name = is_common || EventName::check(name).is_ok();
        (is_line && is_object && is_name).then_some(PastEvent {
            name,
            data,
            names_its_job,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its data: a JSON object.
    pub fn data(&self) -> &'a str {
        self.data
    }

    /// Whether the data has a `jobId` of its own.
    pub fn names_its_job(&self) -> bool {
        self.names_its_job
    }
}

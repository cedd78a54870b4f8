//! How requests were answered, by what they were for.

use std::fmt::Write;

use super::table::ROUTES;
use crate::http::Status;
use crate::sys::metrics::{Counter, head};

/// What answers are counted under: a line of the table, or one of the two besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// The answers that were given.
#[derive(Debug)]
pub struct Answers([[Counter; Status::ALL.len()]; Label::COUNT]);

impl Label {
    /// What isn't served, or no request at all.
    pub const NONE: Label = Label(ROUTES.len());
    /// OPTIONS, of whichever path.
    pub const PREFLIGHT: Label = Label(ROUTES.len() + 1);
    const COUNT: usize = ROUTES.len() + 2;

    /// A line of the table.
    pub(super) fn of(line: usize) -> Label {
        Label(line.min(ROUTES.len()))
    }

    fn method_and_route(self) -> (&'static str, &'static str) {
        match ROUTES.get(self.0) {
            Some(route) => (route.method.as_str(), route.path),
            None if self == Label::PREFLIGHT => ("OPTIONS", "any"),
            None => ("any", "none"),
        }
    }
}

impl Default for Answers {
    fn default() -> Answers {
        // An array's own Default goes to 32.
        Answers(std::array::from_fn(|_| {
            std::array::from_fn(|_| Counter::default())
        }))
    }
}

impl Answers {
    /// Counts an answer.
    pub fn count(&self, label: Label, status: Status) {
        let status = Status::ALL.iter().position(|&known| known == status);
        self.0[label.0][status.unwrap_or_default()].add(1);
    }

    /// Appends them in Prometheus' text format. HEAD counts as GET where it is answered as
    /// that.
    pub fn write(&self, out: &mut String) {
        let help = "Requests answered, by what they asked for and the status.";
        head(out, "http_requests_total", help, "counter");
        for (index, by_status) in self.0.iter().enumerate() {
            let (method, route) = Label(index).method_and_route();
            for (status, counter) in Status::ALL.iter().zip(by_status) {
                let (code, count) = (status.code(), counter.get());
                if count > 0 {
                    let _ = writeln!(
                        out,
                        "landfall_http_requests_total{{method=\"{method}\",route=\"{route}\",\
                         code=\"{code}\"}} {count}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_written_by_method_route_and_code() {
        let answers = Answers::default();
        answers.count(Label::of(0), Status::Created);
        answers.count(Label::of(0), Status::Created);
        answers.count(Label::NONE, Status::NotFound);
        let mut text = String::new();
        answers.write(&mut text);
        assert!(text.starts_with("# HELP landfall_http_requests_total "));
        for line in [
            r#"{method="POST",route="/api/jobs/{job}/events",code="201"} 2"#,
            r#"{method="any",route="none",code="404"} 1"#,
        ] {
            let line = format!("\nlandfall_http_requests_total{line}\n");
            assert!(text.contains(&line), "{line} {text}");
        }
    }
}

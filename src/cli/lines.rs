//! Lines of stdin, each an event.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::event::job::EventName;
use crate::event::{Event, EventError, Publication};

/// The longest line that is taken, in bytes; a longer one ends the command.
const LINE_MAX_BYTES: usize = 1024 * 1024;

/// An event, as a line of NDJSON, and the number of the line that it was; or the number
/// of the one that is none.
pub type NumberedLine = Result<(u64, String), (u64, LineError)>;

/// Why a line is no event, or no data of one: it is told by its number in the whole input.
#[derive(Debug)]
pub enum LineError {
    /// It can't be read.
    Unreadable(io::Error),
    /// It is longer than a line may be.
    TooLong,
    /// It isn't UTF-8.
    NotText,
    /// It is no event.
    Event(EventError),
}

/// Reads events from lines, blank ones left out. Ends after the first failure.
pub struct EventLines<R> {
    input: R,
    event: Option<EventName>,
    number: u64,
}

impl<R: BufRead> EventLines<R> {
    /// With an event's name each line is its data, without one a whole event.
    pub fn new(input: R, event: Option<EventName>) -> EventLines<R> {
        EventLines {
            input,
            event,
            number: 0,
        }
    }

    fn read(&mut self) -> Result<Option<String>, LineError> {
        let mut line = Vec::new();
        let limit = LINE_MAX_BYTES as u64 + 1;
        let mut input = self.input.by_ref().take(limit);
        let count = input
            .read_until(b'\n', &mut line)
            .map_err(LineError::Unreadable)?;
        if count == 0 {
            return Ok(None);
        }
        if line.len() > LINE_MAX_BYTES {
            return Err(LineError::TooLong);
        }
        let line = String::from_utf8(line).map_err(|_| LineError::NotText)?;
        let line = line.trim();
        if line.is_empty() {
            return Ok(Some(String::new()));
        }
        let line = match &self.event {
            Some(name) => {
                let event = Event::new(name.as_str(), line).map_err(LineError::Event)?;
                format!(r#"{{"event":"{name}","data":{}}}"#, event.data())
            }
            None => {
                Publication::from_json(line.as_bytes()).map_err(LineError::Event)?;
                line.to_owned()
            }
        };
        Ok(Some(line))
    }
}

impl<R: BufRead> Iterator for EventLines<R> {
    type Item = NumberedLine;

    fn next(&mut self) -> Option<NumberedLine> {
        loop {
            self.number += 1;
            match self.read() {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => return Some(Ok((self.number, line))),
                Ok(None) => return None,
                Err(why) => return Some(Err((self.number, why))),
            }
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Unreadable(error) => error.fmt(f),
            LineError::TooLong => write!(f, "too long: use {LINE_MAX_BYTES} bytes at most"),
            LineError::NotText => f.write_str("not UTF-8: use text"),
            LineError::Event(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, event: Option<&str>) -> Vec<NumberedLine> {
        let event = event.map(|name| name.parse().unwrap());
        let mut failed = false;
        let lines = EventLines::new(input.as_bytes(), event);
        let until_failure = |line: &NumberedLine| !std::mem::replace(&mut failed, line.is_err());
        lines.take_while(until_failure).collect()
    }

    fn good(input: &str, event: Option<&str>) -> Vec<(u64, String)> {
        let lines = lines(input, event).into_iter();
        lines.map(Result::unwrap).collect()
    }

    #[test]
    fn with_an_event_name_each_line_is_its_data() {
        assert_eq!(
            good("{\"percent\": 5}\r\n\n{}", Some("progress")),
            [
                (1, r#"{"event":"progress","data":{"percent":5}}"#.into()),
                (3, r#"{"event":"progress","data":{}}"#.into()),
            ]
        );
    }

    #[test]
    fn without_one_each_line_is_a_whole_event() {
        let line = r#"{"data":{},"event":"done"}"#;
        assert_eq!(good(line, None), [(1, line.into())]);
        for as_the_hub_takes_it in [
            r#"{"event":"done"}"#,
            r#"{"event":"progress","lease":"30s","key":"k"}"#,
            r#"{"lease":"30s"}"#,
        ] {
            let line = (1, as_the_hub_takes_it.to_owned());
            assert_eq!(good(as_the_hub_takes_it, None), [line]);
        }
        for bad in [
            "{}",
            "5",
            r#"{"event":"a b","data":{}}"#,
            r#"{"event":"a","data":5}"#,
            r#"{"event":"reset"}"#,
            r#"{"event":"a","lease":"30"}"#,
            r#"["a","progress"]"#,
            "{",
        ] {
            let seen = lines(&format!("{line}\n{bad}\n{line}\n"), None);
            assert_eq!(seen.len(), 2, "{bad}");
            assert_eq!(seen[1].as_ref().unwrap_err().0, 2);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let endless = io::repeat(b'x');
        let mut lines = EventLines::new(io::BufReader::new(endless), None);
        let (number, why) = lines.next().unwrap().unwrap_err();
        assert!(matches!((number, why), (1, LineError::TooLong)));
    }
}

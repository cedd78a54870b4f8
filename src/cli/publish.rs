//! `landfall publish`: events from the command line or from stdin.

use std::io::{self, BufRead, Read};
use std::process::ExitCode;

use crossbeam_channel::{Receiver, bounded};
use lexopt::{Arg, Parser, ValueExt};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::flags::{self, DEFAULT_HUB, Outcome};
use crate::client::{Address, Client};
use crate::event::job::{EventName, JobId};

/// The longest line that is taken from stdin, in bytes; a longer one ends the command.
const LINE_MAX_BYTES: usize = 1024 * 1024;
/// How much is sent to the hub at once, in events and in bytes, whichever is
/// reached first. A batch never waits to become full.
const BATCH_MAX_LINES: usize = 256;
const BATCH_MAX_BYTES: usize = 32 * 1024;
/// How many lines are read ahead while the hub answers.
const READ_AHEAD_LINES: usize = 64;

const HELP: &str = "\
Publishes events of a job.

Usage: landfall publish [FLAGS] JOB EVENT JSON   one event
       landfall publish [FLAGS] JOB EVENT        each line of stdin is the data of one
       landfall publish [FLAGS] JOB              each line of stdin is a whole one:
                                                 {\"event\":\"progress\",\"data\":{\"percent\":30}}

JOB is 1 to 128 of A-Z a-z 0-9 . _ ~ -, EVENT 1 to 64 of A-Z a-z 0-9 . _ -, and data
is a JSON object. `done` and `error` end the job. Lines are sent as they come, up to
256 or 32 KiB at once; a line is at most 1 MiB. It ends at the first line that is
refused; what came before it stays published.

  --hub ADDR   the hub: http://HOST:PORT or unix:PATH [http://127.0.0.1:8081]
  --key FILE   a file with the publishing key, or a token, where the hub wants one
  --help       this text

A flag can be given in the environment as well: LANDFALL_HUB, LANDFALL_KEY.
The exit code is 0, 1 where the hub refuses or is away, 2 where the call is wrong.
";

/// A line of stdin: its number, and the event that it is.
type NumberedLine = Result<(u64, String), String>;

/// Runs the command with what is left of the arguments.
pub fn main(args: &mut Parser) -> Outcome {
    let mut hub: Option<Address> = flags::from_env("hub")?;
    let mut key = flags::from_env("key")?;
    let mut words = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("hub") => hub = Some(flags::value("hub", args)?),
            Arg::Long("key") => key = Some(flags::value("key", args)?),
            Arg::Long("help") | Arg::Short('h') => return flags::help(HELP),
            Arg::Value(word) if words.len() < 3 => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let job: JobId = words
        .next()
        .ok_or("which job? landfall publish JOB EVENT [JSON]")?
        .parse()?;
    let event: Option<EventName> = words.next().map(|name| name.parse()).transpose()?;
    let hub = hub.map_or_else(|| DEFAULT_HUB.parse(), Ok)?;
    let mut client = Client::new(hub).with_token(flags::credential(key)?);
    let result = match (event, words.next()) {
        (Some(event), Some(json)) => {
            let data = object(&json).map_err(|why| format!("the data: {why}"))?;
            client
                .publish(&job, &event, data, None)
                .map_err(|error| format!("{}: {error}", client.address()))
        }
        (event, _) => publish_stdin(&mut client, &job, event.as_ref()),
    };
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("landfall: {message}");
            ExitCode::FAILURE
        }
    })
}

fn publish_stdin(
    client: &mut Client,
    job: &JobId,
    event: Option<&EventName>,
) -> Result<(), String> {
    let (sender, lines) = bounded(READ_AHEAD_LINES);
    let event = event.cloned();
    std::thread::spawn(move || {
        for line in Lines::new(io::stdin().lock(), event) {
            let failed = line.is_err();
            if sender.send(line).is_err() || failed {
                break;
            }
        }
    });
    while let Some(batch) = next_batch(&lines) {
        if !batch.text.is_empty() {
            client
                .publish_lines(job, batch.text.as_bytes())
                .map_err(|error| {
                    let (first, last) = (batch.first, batch.last);
                    format!(
                        "stdin, lines {first} to {last}: {}: {error}",
                        client.address()
                    )
                })?;
        }
        if let Some(failure) = batch.failure {
            return Err(failure);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Batch {
    text: String,
    first: u64,
    last: u64,
    /// Why nothing comes after it, where that is not the end of the input.
    failure: Option<String>,
}

/// Waits for a line and takes the others that are there already.
fn next_batch(lines: &Receiver<NumberedLine>) -> Option<Batch> {
    let mut batch = Batch::default();
    let mut next = lines.recv().ok();
    next.as_ref()?;
    for _ in 0..BATCH_MAX_LINES {
        match next {
            Some(Ok((number, line))) => {
                if batch.text.is_empty() {
                    batch.first = number;
                }
                batch.last = number;
                batch.text.push_str(&line);
                batch.text.push('\n');
            }
            Some(Err(failure)) => {
                batch.failure = Some(failure);
                break;
            }
            None => break,
        }
        if batch.text.len() >= BATCH_MAX_BYTES {
            break;
        }
        next = lines.try_recv().ok();
    }
    Some(batch)
}

/// Reads events from lines, blank ones left out. Ends after the first failure.
struct Lines<R> {
    input: R,
    event: Option<EventName>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R, event: Option<EventName>) -> Lines<R> {
        Lines {
            input,
            event,
            number: 0,
        }
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        let mut line = Vec::new();
        let limit = LINE_MAX_BYTES as u64 + 1;
        let mut input = self.input.by_ref().take(limit);
        let count = input
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(None);
        }
        if line.len() > LINE_MAX_BYTES {
            return Err(format!("longer than {LINE_MAX_BYTES} bytes"));
        }
        let line = String::from_utf8(line).map_err(|_| "not UTF-8")?;
        let line = line.trim();
        if line.is_empty() {
            return Ok(Some(String::new()));
        }
        match &self.event {
            Some(event) => Ok(Some(format!(
                r#"{{"event":"{event}","data":{}}}"#,
                object(line)?
            ))),
            None => whole_event(line).map(|()| Some(line.to_owned())),
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = NumberedLine;

    fn next(&mut self) -> Option<NumberedLine> {
        loop {
            self.number += 1;
            match self.read() {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => return Some(Ok((self.number, line))),
                Ok(None) => return None,
                Err(why) => return Some(Err(format!("stdin, line {}: {why}", self.number))),
            }
        }
    }
}

/// Checked here, so that a wrong line is told by its number in the whole input.
fn object(text: &str) -> Result<&RawValue, String> {
    let data: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // A line of its own on the way to the hub: newlines between tokens would break it.
    if data.get().contains(['\n', '\r']) {
        return Err("JSON on one line is wanted".into());
    }
    if data.get().starts_with('{') {
        Ok(data)
    } else {
        Err("a JSON object is wanted".into())
    }
}

fn whole_event(line: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        event: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let whole: Whole<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    whole
        .event
        .parse::<EventName>()
        .map_err(|error| error.to_string())?;
    object(whole.data.get()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, event: Option<&str>) -> Vec<NumberedLine> {
        let event = event.map(|name| name.parse().unwrap());
        let mut failed = false;
        let lines = Lines::new(input.as_bytes(), event);
        let until_failure = |line: &NumberedLine| !std::mem::replace(&mut failed, line.is_err());
        lines.take_while(until_failure).collect()
    }

    #[test]
    fn with_an_event_name_each_line_is_its_data() {
        assert_eq!(
            lines("{\"percent\": 5}\r\n\n{}", Some("progress")),
            [
                Ok((1, r#"{"event":"progress","data":{"percent": 5}}"#.into())),
                Ok((3, r#"{"event":"progress","data":{}}"#.into())),
            ]
        );
    }

    #[test]
    fn without_one_each_line_is_a_whole_event() {
        let line = r#"{"data":{},"event":"done"}"#;
        assert_eq!(lines(line, None), [Ok((1, line.into()))]);
        for bad in [
            "{}",
            "5",
            r#"{"event":"a b","data":{}}"#,
            r#"{"event":"a","data":5}"#,
            "{",
        ] {
            let seen = lines(&format!("{line}\n{bad}\n{line}\n"), None);
            assert_eq!(seen.len(), 2, "{bad}");
            let why = seen[1].as_ref().unwrap_err();
            assert!(why.starts_with("stdin, line 2: "), "{why}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let endless = io::repeat(b'x');
        let mut lines = Lines::new(io::BufReader::new(endless), None);
        assert!(lines.next().unwrap().unwrap_err().contains("longer than"));
    }

    #[test]
    fn a_batch_is_what_is_there_and_ends_at_a_failure() {
        let (sender, receiver) = bounded(10);
        for line in [Ok((3, "a".into())), Ok((5, "b".into())), Err("why".into())] {
            sender.send(line).unwrap();
        }
        let batch = next_batch(&receiver).unwrap();
        assert_eq!(
            (batch.text.as_str(), batch.first, batch.last),
            ("a\nb\n", 3, 5)
        );
        assert_eq!(batch.failure.as_deref(), Some("why"));
        drop(sender);
        assert!(next_batch(&receiver).is_none());
    }
}

//! `landfall publish`: events from the command line or from stdin.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::str::FromStr;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use super::hub::HubSettings;
use super::lines::{EventLines, LineError, NumberedLine};
use crate::client::Client;
use crate::event::job::{EventName, JobId};
use crate::event::{Event, EventError};
use crate::sys::channel::{Receiver, bounded};
use crate::sys::thread;

/// How much is sent to the hub at once, in events and in bytes, whichever is
/// reached first. A batch never waits to become full.
const BATCH_MAX_LINES: usize = 256;
const BATCH_MAX_BYTES: usize = 32 * 1024;
/// How many lines are read ahead while the hub answers.
const READ_AHEAD_LINES: usize = 64;

/// The command.
pub const COMMAND: Command = Command {
    name: "publish",
    about: "publishes one event, or those on stdin",
    usage: &[
        "[FLAGS] JOB EVENT [JSON]",
        "[FLAGS] JOB EVENT -",
        "[FLAGS] JOB -",
    ],
    text: &[
        "For example: landfall publish job_8f3a progress '{\"percent\":30}'",
        "JSON is the event's data, an object; without it the data is {}. With - in its place, \
         each line of stdin is the data of one event. With - in place of EVENT, each line is a \
         whole event, such as {\"event\":\"progress\",\"data\":{\"percent\":30}}.",
        "JOB is 1 to 128 of A-Z a-z 0-9 . _ ~ -, EVENT 1 to 64 of A-Z a-z 0-9 . _ -. done and \
         error end the job. Lines are sent as they come, up to 256 or 32 KiB at once; a line is \
         1 MiB at most. The first line that is refused ends it; the lines before stay \
         published.",
        "The exit code is 0; 1 if the hub refuses or is away; 2 if the call is wrong.",
    ],
    runs_another: false,
    main,
};

/// What is published.
enum EventInput<'a> {
    One(EventName, &'a str),
    /// With a name, each line is data for it.
    Stdin(Option<EventName>),
}

fn main(call: Call) -> Result<ExitCode, Failure> {
    let words = call.texts(3)?;
    let job = words.first().ok_or(Usage::Wrong(
        "no job and no event: give them, as landfall publish JOB EVENT",
    ))?;
    let job: JobId = named("JOB", job)?;
    let events = match words[1..] {
        [] if io::stdin().is_terminal() => {
            return Err(Usage::Wrong("no event: give its name, or - for events from stdin").into());
        }
        [] | ["-"] => EventInput::Stdin(None),
        [event] => EventInput::One(event_name(event)?, "{}"),
        [event, "-"] => EventInput::Stdin(Some(event_name(event)?)),
        [event, json, ..] => EventInput::One(event_name(event)?, json),
    };
    let hub = &call.settings.hub;
    match events {
        EventInput::One(event, json) => {
            let event = Event::new(event.as_str(), json);
            let event = event.map_err(|why| wrong("JSON", json, &why))?;
            let done = hub.client()?.publish(&job, &event);
            done.map_err(|error| Failure::Hub(hub.failure(error)))?;
        }
        EventInput::Stdin(event) => publish_stdin(hub, &mut hub.client()?, &job, event)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn event_name(text: &str) -> Result<EventName, Usage> {
    let name: EventName = named("EVENT", text)?;
    if name.is_reserved() {
        return Err(wrong("EVENT", text, &EventError::Reserved));
    }
    Ok(name)
}

fn named<T: FromStr<Err: Display>>(what: &'static str, text: &str) -> Result<T, Usage> {
    text.parse().map_err(|why| wrong(what, text, &why))
}

fn wrong(what: &'static str, text: &str, why: &dyn Display) -> Usage {
    Usage::Value {
        place: ValuePlace::Word(what),
        value: text.to_owned(),
        why: why.to_string(),
    }
}

fn publish_stdin(
    hub: &HubSettings,
    client: &mut Client,
    job: &JobId,
    event: Option<EventName>,
) -> Result<(), Failure> {
    let (sender, lines) = bounded(READ_AHEAD_LINES);
    thread::start("stdin", move || {
        for line in EventLines::new(io::stdin().lock(), event) {
            let failed = line.is_err();
            if sender.send(line).is_err() || failed {
                break;
            }
        }
    })?;
    while let Some(batch) = next_batch(&lines) {
        if !batch.text.is_empty() {
            let done = client.post_lines(job, batch.text.as_bytes());
            done.map_err(|error| Failure::Lines {
                first: batch.first,
                last: batch.last,
                why: hub.failure(error),
            })?;
        }
        if let Some((number, why)) = batch.failure {
            return Err(Failure::Line { number, why });
        }
    }
    Ok(())
}

#[derive(Default)]
struct LineBatch {
    text: String,
    first: u64,
    last: u64,
    /// Why nothing comes after it, where that is not the end of the input.
    failure: Option<(u64, LineError)>,
}

/// Waits for a line and takes the others that are there already.
fn next_batch(lines: &Receiver<NumberedLine>) -> Option<LineBatch> {
    let mut batch = LineBatch::default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_is_there_and_ends_at_a_failure() {
        let (sender, receiver) = bounded(10);
        for line in [
            Ok((3, "a".into())),
            Ok((5, "b".into())),
            Err((6, LineError::TooLong)),
        ] {
            sender.send(line).unwrap();
        }
        let batch = next_batch(&receiver).unwrap();
        assert_eq!(
            (batch.text.as_str(), batch.first, batch.last),
            ("a\nb\n", 3, 5)
        );
        assert!(matches!(batch.failure, Some((6, LineError::TooLong))));
        drop(sender);
        assert!(next_batch(&receiver).is_none());
    }
}

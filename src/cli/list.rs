//! `landfall list`: the jobs there are.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Call, Command};
use super::error::Failure;
use super::hub::{HubSettings, SelectionSettings};
use super::output;
use super::snapshot::JobSnapshot;
use super::words::{age, describe, printable};
use crate::client::{self, Client};
use crate::event::json::Object;

/// Jobs that are asked for at once.
const PAGE_JOBS: usize = 500;
/// What stands between two columns.
const GAP: &str = "  ";

/// The command.
pub const COMMAND: Command = Command {
    name: "list",
    about: "lists jobs, newest first",
    usage: &["[FLAGS]"],
    text: &[
        "For example: landfall list --prefix user42. --state running",
        "Each job is a line: its name, its state, how many streams get its events, the age of \
         its newest event, and what that event says. --json prints what GET /api/jobs answers, \
         all pages in one, a line for each job. To go on from there, open a stream with its at \
         as Last-Event-ID.",
        "The exit code is 0; 1 if the hub refuses or is away; 2 if the call is wrong.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    call.texts(0)?;
    let mut list = ListPages::new(call.settings.hub, &call.settings.selection)?;
    let out = BufWriter::new(io::stdout().lock());
    let done = if call.settings.selection.json {
        print_json(&mut list, out)
    } else {
        print_table(&mut list, out)
    };
    match done {
        // A reader who has had enough.
        Err(Failure::System(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        done => done?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages of the list, one after the other.
struct ListPages {
    hub: HubSettings,
    client: Client,
    /// What all of them are asked for.
    query: String,
    /// What the next comes after; none where there is none.
    next: Option<u64>,
    has_begun: bool,
}

#[derive(Deserialize)]
struct ListPage<'a> {
    at: u64,
    #[serde(borrow)]
    jobs: Vec<&'a RawValue>,
    next: Option<u64>,
}

impl ListPages {
    fn new(hub: HubSettings, selection: &SelectionSettings) -> Result<ListPages, Failure> {
        let mut query = format!("limit={PAGE_JOBS}");
        if let Some(prefix) = &selection.prefix {
            query += &format!("&prefix={prefix}");
        }
        if let Some(state) = selection.state {
            query += &format!("&state={}", state.as_str());
        }
        Ok(ListPages {
            client: hub.client()?,
            hub,
            query,
            next: None,
            has_begun: false,
        })
    }

    /// The next page, as it came. None behind the last.
    fn page(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let query = match self.next {
            None if self.has_begun => return Ok(None),
            None => self.query.clone(),
            Some(next) => format!("{}&after={next}", self.query),
        };
        let body = self.client.list(&query);
        let body = body.map_err(|error| self.failure(error))?;
        self.has_begun = true;
        self.next = self.read(&body)?.next;
        Ok(Some(body))
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<ListPage<'a>, Failure> {
        let what = "a list that can't be read";
        serde_json::from_slice(body).map_err(|_| self.failure(client::ClientError::Malformed(what)))
    }

    fn failure(&self, error: client::ClientError) -> Failure {
        Failure::Hub(self.hub.failure(error))
    }
}

fn print_json(list: &mut ListPages, mut out: impl Write) -> Result<(), Failure> {
    let mut before = "\n";
    let mut has_begun = false;
    while let Some(body) = list.page()? {
        let page = list.read(&body)?;
        if !std::mem::replace(&mut has_begun, true) {
            write!(out, "{{\"at\":{},\"jobs\":[", page.at)?;
        }
        for job in page.jobs {
            write!(out, "{before}{job}")?;
            before = ",\n";
        }
    }
    writeln!(out, "\n],\"next\":null}}")?;
    Ok(out.flush()?)
}

/// A line's cells but the last, which may be as long as it is.
type Cells = ([String; 4], String);

fn print_table(list: &mut ListPages, mut out: impl Write) -> Result<(), Failure> {
    let mut widths = [0; 4];
    let titles = ["JOB", "STATE", "STREAMS", "AGO"].map(str::to_owned);
    let mut rows: Vec<Cells> = vec![(titles, "NEWEST EVENT".to_owned())];
    let width = io::stdout().is_terminal().then(output::width);
    while let Some(body) = list.page()? {
        let now = SystemTime::now();
        for job in list.read(&body)?.jobs {
            let job = Object::read(job.get().as_bytes()).and_then(JobSnapshot::of_json);
            let what = "a snapshot that can't be read";
            let job = job.map_err(|_| list.failure(client::ClientError::Malformed(what)))?;
            rows.push(row(&job, now));
        }
        // A page's columns stand in line with those before, unless its names are longer.
        for (cells, _) in &rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (cells, last) in rows.drain(..) {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(cells) {
                line += &format!("{cell:width$}{GAP}");
            }
            line += &last;
            if let Some(width) = width {
                line = line.chars().take(width).collect();
            }
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    Ok(out.flush()?)
}

fn row(snapshot: &JobSnapshot, now: SystemTime) -> Cells {
    let updated = humantime::parse_rfc3339(&snapshot.updated_at).ok();
    let passed = updated.map(|updated| now.duration_since(updated).unwrap_or(Duration::ZERO));
    let event = snapshot.last_event.as_ref();
    let cells = [
        printable(&snapshot.job_id),
        printable(&snapshot.state),
        snapshot.streams.to_string(),
        passed.map(age).unwrap_or_default(),
    ];
    let last = event.map(|last| describe(&last.event, &last.data));
    (cells, last.unwrap_or_default())
}

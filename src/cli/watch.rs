//! `landfall watch`: jobs followed in the terminal.

mod follower;
mod roster;
mod view;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::call::{Call, Command};
use super::error::{Failure, Usage};
use super::output;
use crate::client::ClientError;
use crate::sys::channel::{Receiver, RecvTimeoutError};
use follower::{WatchNews, WatchSelection};
use roster::{JobStanding, Roster};
use view::WatchView;

/// How often bars are drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often they are drawn though nothing happens: time passes.
const TICK: Duration = Duration::from_secs(1);

/// The command.
pub const COMMAND: Command = Command {
    name: "watch",
    about: "follows jobs in the terminal",
    usage: &["[FLAGS] JOB...", "[FLAGS] --prefix PREFIX", "[FLAGS] --all"],
    text: &[
        "For example: landfall watch job_8f3a, or landfall watch --prefix user42.",
        "In a terminal each job has a bar, with the time so far and the time that is left. \
         Elsewhere each change is a line. Named jobs are followed from the oldest event that \
         the hub keeps until all have ended; a deleted job has ended too. With --prefix or \
         --all, jobs that run now and jobs that come later are followed until you interrupt it; \
         ended jobs stay above the bars. After a lost connection it resumes where it was, as \
         often as it takes.",
        "The exit code is 0 if every job ended with done; 1 if one didn't, if the hub refuses, \
         or if nobody reads the output any more; 2 if the call is wrong. With NO_COLOR set \
         there are no colours.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let jobs = call.jobs()?;
    let prefix = call.settings.selection.prefix.as_ref();
    let selection = match (jobs.is_empty(), prefix, call.settings.selection.all) {
        (false, None, false) => WatchSelection::Named(jobs),
        (true, Some(prefix), false) => WatchSelection::Matching(prefix.to_string()),
        (true, None, true) => WatchSelection::Matching(String::new()),
        (true, None, false) => {
            let what = "no job: name one or more, as landfall watch JOB, or give --prefix or --all";
            return Err(Usage::Wrong(what).into());
        }
        _ => {
            let what = "give either names, or --prefix, or --all";
            return Err(Usage::Wrong(what).into());
        }
    };
    let hub = call.settings.hub;
    let client = hub.client()?;
    let view = WatchView::new();
    if !view.is_live() {
        output::end_with_reader();
    }
    let roster = Roster::new(&selection);
    let news = follower::start(hub.clone(), client, selection.clone())?;
    let mut watch = Watch {
        is_open: matches!(selection, WatchSelection::Matching(_)),
        view,
        roster,
        drawn_at: None,
        is_stale: true,
    };
    match watch.hear(&news) {
        Ok(over) => over.map_err(|error| Failure::Hub(hub.failure(error)))?,
        // Nobody is reading any more.
        Err(_) => return Ok(ExitCode::FAILURE),
    }
    let are_done = watch
        .roster
        .rows()
        .all(|it| it.standing == JobStanding::Done);
    Ok(if are_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Watch {
    view: WatchView,
    roster: Roster,
    /// Jobs come and go.
    is_open: bool,
    drawn_at: Option<Instant>,
    /// Whether something is known that isn't drawn.
    is_stale: bool,
}

impl Watch {
    /// Shows what is heard, until there is nothing more to come.
    ///
    /// # Errors
    /// Nobody is reading any more.
    fn hear(&mut self, news: &Receiver<WatchNews>) -> io::Result<Result<(), ClientError>> {
        loop {
            let over = match news.recv_timeout(self.until_draw()) {
                Ok(WatchNews::Over(over)) => Some(over),
                Ok(news) => {
                    self.is_stale = true;
                    self.take(news)?;
                    self.are_over().then_some(Ok(()))
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.is_stale = true;
                    None
                }
                Err(RecvTimeoutError::Disconnected) => Some(Ok(())),
            };
            if let Some(over) = over {
                self.view.end(&self.roster)?;
                return Ok(over);
            }
            if self.is_stale && self.until_draw().is_zero() {
                self.view.draw(&self.roster)?;
                self.drawn_at = Some(Instant::now());
                self.is_stale = false;
            }
        }
    }

    /// How long the next draw may wait.
    fn until_draw(&self) -> Duration {
        let wait = if self.is_stale { DRAW_EVERY } else { TICK };
        match self.drawn_at {
            None => Duration::ZERO,
            Some(drawn) => wait.saturating_sub(drawn.elapsed()),
        }
    }

    fn take(&mut self, news: WatchNews) -> io::Result<()> {
        let Watch { roster, view, .. } = self;
        match news {
            WatchNews::Began(job, snapshot) => roster.began(job.as_str(), &snapshot),
            WatchNews::Stands(job, snapshot) => {
                if let Some(row) = roster.stands(job.as_str(), snapshot.as_ref()) {
                    view.change(row)?;
                }
            }
            WatchNews::Running(running) => {
                for name in roster.keep(&running) {
                    view.say(&format!("{name} has ended unseen"), roster)?;
                }
                for snapshot in &running {
                    if let Some(row) = roster.stands(&snapshot.job_id, Some(snapshot)) {
                        view.change(row)?;
                    }
                }
            }
            WatchNews::Event(event) => {
                let Some(row) = roster.hear(&event, Instant::now()) else {
                    if event.event == "reset" {
                        view.say("some events are no longer kept", roster)?;
                    }
                    return Ok(());
                };
                view.change(row)?;
                if self.is_open && row.has_ended() {
                    let name = row.name.clone();
                    if let Some(row) = roster.remove(&name) {
                        view.leave(&row, roster)?;
                    }
                }
            }
            WatchNews::Said(text) => view.say(&text, roster)?,
            WatchNews::Over(_) => {}
        }
        Ok(())
    }

    /// Whether all has been seen: then it isn't waited for what the hub says of it.
    fn are_over(&self) -> bool {
        !self.is_open && self.roster.rows().all(roster::RosterRow::has_ended)
    }
}

//! How watched jobs look: a bar each at the end of the terminal, or a line for each change.

use std::io::{self, Stdout, Write};
use std::time::{Duration, Instant};

use super::roster::{JobStanding, Roster, RosterRow};
use crate::cli::bar::{bar, clock};
use crate::cli::output;
use crate::cli::screen::{Colour, Screen, ScreenLine, Size, cut, width};
use crate::cli::words::printable;

/// Narrower than this a terminal has no bars, only figures.
const BARS_FROM: usize = 60;
/// How wide a bar is.
const BAR_WIDTHS: (usize, usize) = (10, 32);
/// The columns of a job's name at most.
const NAME_MAX: usize = 40;

/// What is shown of the jobs.
pub enum WatchView {
    /// Bars.
    Bars(Screen<Stdout>),
    /// Lines, for programs.
    Lines,
}

impl WatchView {
    /// Bars where there is a terminal for them.
    pub fn new() -> WatchView {
        Screen::on(io::stdout()).map_or(WatchView::Lines, WatchView::Bars)
    }

    /// Whether time is seen to pass in it.
    pub fn is_live(&self) -> bool {
        matches!(self, WatchView::Bars(_))
    }

    /// Something new is known of a job.
    ///
    /// # Errors
    /// Nobody is reading any more.
    pub fn change(&mut self, row: &RosterRow) -> io::Result<()> {
        match self {
            WatchView::Bars(_) => Ok(()),
            WatchView::Lines => writeln!(io::stdout(), "{} {}", row.name, row.text),
        }
    }

    /// Draws where all jobs stand.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, roster: &Roster) -> io::Result<()> {
        match self {
            WatchView::Bars(screen) => screen.draw(&fitting(roster, screen.size(), Instant::now())),
            WatchView::Lines => Ok(()),
        }
    }

    /// A job that is seen no more has ended: that stays above the others.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn leave(&mut self, row: &RosterRow, roster: &Roster) -> io::Result<()> {
        match self {
            WatchView::Bars(screen) => {
                let (size, now) = (screen.size(), Instant::now());
                let ended = line(row, name_width([row].into_iter(), size), size, now);
                screen.print_line(&ended, &fitting(roster, size, now))
            }
            WatchView::Lines => Ok(()),
        }
    }

    /// Draws all jobs, however many there are: nothing comes after it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn end(&mut self, roster: &Roster) -> io::Result<()> {
        match self {
            WatchView::Bars(screen) => {
                let (size, now) = (screen.size(), Instant::now());
                let name = name_width(roster.rows(), size);
                let lines = roster.rows().map(|row| line(row, name, size, now));
                screen.draw(&lines.collect::<Vec<_>>())
            }
            WatchView::Lines => Ok(()),
        }
    }

    /// Says something about the connection, on stderr where lines are for programs.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn say(&mut self, text: &str, roster: &Roster) -> io::Result<()> {
        match self {
            WatchView::Bars(screen) => {
                let mut said = ScreenLine::default();
                said.push(Colour::Dim, printable(text));
                screen.print_line(&said, &fitting(roster, screen.size(), Instant::now()))
            }
            WatchView::Lines => {
                output::say(&format!("landfall watch: {text}"));
                Ok(())
            }
        }
    }
}

/// As many jobs as there are rows for, those that go on first, and how many there are
/// besides.
fn fitting(roster: &Roster, size: Size, now: Instant) -> Vec<ScreenLine> {
    // The cursor stands in the last.
    let room = size.rows.saturating_sub(1).max(1);
    let mut rows: Vec<&RosterRow> = roster.rows().collect();
    if rows.len() > room {
        let rank = |row: &RosterRow| match row.standing {
            JobStanding::Running => 0,
            JobStanding::Waiting => 1,
            JobStanding::Done | JobStanding::Failed => 2,
        };
        let of_rank = |wanted| roster.rows().filter(move |row| rank(row) == wanted);
        rows = (0..3).flat_map(of_rank).collect();
    }
    let rest = if rows.len() > room {
        rows.split_off(room - 1)
    } else {
        Vec::new()
    };
    let name = name_width(rows.iter().copied(), size);
    let mut lines: Vec<ScreenLine> = rows.iter().map(|row| line(row, name, size, now)).collect();
    if !rest.is_empty() {
        let mut line = ScreenLine::default();
        line.push(Colour::Dim, more(&rest));
        lines.push(line);
    }
    lines
}

/// `and 14 more: 3 running, 11 done`.
fn more(rest: &[&RosterRow]) -> String {
    let kinds = [
        (JobStanding::Running, "running"),
        (JobStanding::Waiting, "waiting"),
        (JobStanding::Done, "done"),
        (JobStanding::Failed, "failed"),
    ];
    let counts = kinds.map(|(standing, name)| {
        let count = rest.iter().filter(|row| row.standing == standing).count();
        (count > 0).then(|| format!("{count} {name}"))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    format!("and {} more: {}", rest.len(), counts.join(", "))
}

fn name_width<'a>(rows: impl Iterator<Item = &'a RosterRow>, size: Size) -> usize {
    let longest = rows.map(|row| width(&row.name)).max().unwrap_or(0);
    longest.min(NAME_MAX).min((size.columns / 3).max(8))
}

/// A job: its name, its bar, its percentage, how long it has gone on and will, and its
/// newest event.
fn line(row: &RosterRow, name_width: usize, size: Size, now: Instant) -> ScreenLine {
    let mut line = ScreenLine::default();
    let shown = if width(&row.name) > name_width {
        format!("{}…", cut(&row.name, name_width.saturating_sub(1)))
    } else {
        row.name.clone()
    };
    let padding = " ".repeat(name_width.saturating_sub(width(&shown)));
    line.push(Colour::Plain, shown + &padding);
    let colour = match row.standing {
        JobStanding::Waiting => Colour::Dim,
        JobStanding::Running => Colour::Cyan,
        JobStanding::Done => Colour::Green,
        JobStanding::Failed => Colour::Red,
    };
    if size.columns >= BARS_FROM {
        let columns = (size.columns / 4).clamp(BAR_WIDTHS.0, BAR_WIDTHS.1);
        let bar = match row.percent {
            Some(percent) => bar(percent, columns),
            None => format!("[{}]", " ".repeat(columns - 2)),
        };
        line.push(Colour::Plain, " ");
        line.push(colour, bar);
    }
    let percent = row.percent.map(|percent| format!("{}%", percent.floor()));
    line.push(
        Colour::Plain,
        format!(" {:>4}", percent.unwrap_or_default()),
    );
    let clock = |span: Option<Duration>| span.map(clock).unwrap_or_default();
    line.push(Colour::Plain, format!(" {:>7}", clock(row.elapsed(now))));
    if let Some(left) = row.left(now) {
        line.push(Colour::Dim, format!(" ETA {}", clock(Some(left))));
    }
    line.push(Colour::Plain, " ");
    match row.standing {
        JobStanding::Waiting => line.push(Colour::Dim, "waiting"),
        JobStanding::Running => line.push(Colour::Plain, row.brief.clone()),
        JobStanding::Done => line.push(Colour::Green, format!("✓ {}", row.text)),
        JobStanding::Failed => line.push(Colour::Red, format!("✗ {}", row.text)),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snapshot::JobSnapshot;
    use crate::cli::watch::follower::WatchSelection;
    use crate::client::ServerEvent;
    use crate::event::json::Object;

    const SIZE: Size = Size {
        columns: 80,
        rows: 6,
    };

    fn text(line: &ScreenLine, columns: usize) -> String {
        let mut out = String::new();
        line.write(&mut out, columns, false);
        out
    }

    fn drawn(roster: &Roster, size: Size, now: Instant) -> Vec<String> {
        let lines = fitting(roster, size, now);
        lines.iter().map(|line| text(line, size.columns)).collect()
    }

    fn named(names: &[&str]) -> Roster {
        let names = names.iter().map(|name| name.parse().unwrap());
        Roster::new(&WatchSelection::Named(names.collect()))
    }

    fn tell(roster: &mut Roster, id: u64, job: &str, event: &str, data: &str, now: Instant) {
        let rest = data.strip_prefix('{').unwrap();
        let comma = if rest == "}" { "" } else { "," };
        let event = ServerEvent {
            event: event.to_owned(),
            data: format!("{{\"jobId\":\"{job}\"{comma}{rest}"),
            id: id.to_string(),
        };
        roster.hear(&event, now);
    }

    #[test]
    fn a_job_is_a_bar_with_its_figures_and_its_newest_event() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut roster = named(&["a", "long-name"]);
        assert_eq!(
            drawn(&roster, SIZE, begin)[0],
            "a         [                  ]              waiting"
        );
        for second in 0..=30 {
            let data = format!(r#"{{"stage":"encoding","percent":{}}}"#, second * 2);
            tell(&mut roster, second + 1, "a", "progress", &data, at(second));
        }
        assert_eq!(
            drawn(&roster, SIZE, at(30))[0],
            "a         [==========>       ]  60%    0:30 ETA 0:20 encoding"
        );
        // Time passes also where nothing comes.
        assert_eq!(
            drawn(&roster, SIZE, at(35))[0],
            "a         [==========>       ]  60%    0:35 ETA 0:19 encoding"
        );
        // What the worker says of its end goes before.
        let data = r#"{"stage":"encoding","percent":70,"etaMs":60000}"#;
        tell(&mut roster, 40, "a", "progress", data, at(40));
        assert!(drawn(&roster, SIZE, at(41))[0].contains(" 0:41 ETA 0:59 "));
        tell(&mut roster, 41, "a", "done", "{}", at(50));
        assert_eq!(
            drawn(&roster, SIZE, at(99))[0],
            "a         [==================] 100%    0:50 ✓ done"
        );
        tell(
            &mut roster,
            42,
            "long-name",
            "error",
            r#"{"message":"no","elapsedMs":5000}"#,
            at(50),
        );
        assert_eq!(
            drawn(&roster, SIZE, at(99))[1],
            "long-name [                  ]         0:05 ✗ error: no"
        );
        // The whole counts where somebody knows it.
        let data = r#"{"stage":"storing","percent":5,"overall":67.5}"#;
        tell(&mut roster, 43, "a", "progress", data, at(60));
        let row = &drawn(&roster, SIZE, at(61))[0];
        assert!(row.contains("  67%    0:01 storing 5%"), "{row}");
    }

    #[test]
    fn time_passes_where_a_snapshot_was_of_the_newest_event() {
        let mut roster = named(&["a"]);
        let snapshot = r#"{"jobId":"a","state":"running","lastEvent":null,"lastEventId":"1",
            "createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z","streams":1}"#;
        let snapshot = Object::read(snapshot.as_bytes()).and_then(JobSnapshot::of_json);
        roster.began("a", &snapshot.unwrap());
        let begin = Instant::now();
        tell(&mut roster, 1, "a", "progress", r#"{"percent":1}"#, begin);
        let row = roster.rows().next().unwrap();
        let passed = |seconds| row.elapsed(begin + Duration::from_secs(seconds)).unwrap();
        assert!(passed(9) > passed(4));
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal_and_a_narrow_one_has_no_bars() {
        let now = Instant::now();
        let mut roster = named(&[&"x".repeat(128), "b"]);
        let data = format!(r#"{{"stage":"{}","percent":5}}"#, "日本".repeat(30));
        tell(&mut roster, 1, "b", "progress", &data, now);
        for columns in [1, 8, 20, 40, 59, 60, 80, 200] {
            let size = Size { columns, rows: 9 };
            for line in drawn(&roster, size, now) {
                assert!(width(&line) <= columns, "{columns}: {line}");
                assert_eq!(line.contains('['), columns >= 60, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn where_rows_end_those_that_go_on_are_shown_and_the_others_counted() {
        let now = Instant::now();
        let names: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut roster = named(&names);
        for (id, n) in (0..6).enumerate() {
            tell(&mut roster, id as u64 + 1, names[n], "done", "{}", now);
        }
        for (id, n) in [(20, 7), (21, 11)] {
            tell(
                &mut roster,
                id,
                names[n],
                "progress",
                r#"{"percent":1}"#,
                now,
            );
        }
        tell(&mut roster, 30, names[6], "error", "{}", now);
        let lines = drawn(&roster, SIZE, now);
        assert_eq!(lines.len(), 5);
        let shown: Vec<&str> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(shown, ["job-7", "job-11", "job-8", "job-9", "and"]);
        assert_eq!(lines[4], "and 8 more: 1 waiting, 6 done, 1 failed");
        let one = Size {
            columns: 80,
            rows: 1,
        };
        assert_eq!(
            drawn(&roster, one, now),
            ["and 12 more: 2 running, 3 waiting, 6 done, 1 failed"]
        );
    }
}

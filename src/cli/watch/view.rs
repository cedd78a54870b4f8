//! How watched jobs look: bars, or lines.

use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use crate::cli::output;
use crate::cli::words::describe;
use crate::event::job::JobId;

/// A bar's length: tenths of a percent.
const BAR_LENGTH: u64 = 1000;

/// What the terminal shows of the jobs.
pub struct View {
    jobs: Vec<Job>,
    /// Holds the bars together; none where lines are printed.
    bars: Option<MultiProgress>,
}

struct Job {
    name: String,
    bar: ProgressBar,
    /// What was shown last, which is not printed twice.
    shown: String,
}

impl View {
    /// A view of jobs nothing is known of.
    pub fn new(jobs: &[JobId], with_bars: bool) -> View {
        let target = ProgressDrawTarget::stdout();
        let bars = with_bars.then(|| MultiProgress::with_draw_target(target));
        let width = jobs.iter().map(|job| job.as_str().len()).max().unwrap_or(0);
        let jobs = jobs.iter().map(|job| {
            let bar = match &bars {
                Some(bars) => bars.add(ProgressBar::new(BAR_LENGTH)),
                None => ProgressBar::hidden(),
            };
            let name = job.as_str().to_owned();
            bar.set_style(style());
            bar.set_prefix(format!("{name:width$}"));
            bar.set_message("waiting");
            Job {
                name,
                bar,
                shown: String::new(),
            }
        });
        View {
            jobs: jobs.collect(),
            bars,
        }
    }

    /// Shows an event of the job at `index`.
    pub fn show(&mut self, index: usize, event: &str, data: &Map<String, Value>) {
        let job = &mut self.jobs[index];
        let text = describe(event, data);
        if text == job.shown {
            return;
        }
        if self.bars.is_none() {
            // Nobody may be reading any more; the exit code is still worth having.
            let _ = writeln!(std::io::stdout(), "{} {text}", job.name);
        }
        match event {
            "done" => {
                job.bar.set_position(BAR_LENGTH);
                job.bar.finish_with_message("✓ done");
            }
            "error" | "deleted" => job.bar.abandon_with_message(format!("✗ {text}")),
            _ => {
                if job.bar.is_finished() {
                    job.bar.reset();
                }
                if let Some(percent) = data.get("percent").and_then(Value::as_f64) {
                    job.bar.set_position((percent * 10.0) as u64);
                }
                job.bar.set_message(text.clone());
            }
        }
        job.shown = text;
    }

    /// Says something about the connection, on stderr where lines are for programs.
    pub fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => output::say(&format!("landfall watch: {text}")),
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}");
    style.expect("a fixed template").progress_chars("=> ")
}

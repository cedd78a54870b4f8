//! How watched jobs look: bars, or lines.

use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use crate::cli::output;
use crate::event::job::JobId;

/// A bar's length: tenths of a percent.
const BAR_LENGTH: u64 = 1000;
/// How much of a text from the hub is shown, in characters.
const TEXT_MAX_CHARS: usize = 200;

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

/// An event in words: `transcoding 43%`, `done`, `error: what went wrong`.
fn describe(event: &str, data: &Map<String, Value>) -> String {
    let text = |key| data.get(key).and_then(Value::as_str).map(printable);
    let words = match event {
        "progress" => {
            let percent = data
                .get("percent")
                .and_then(Value::as_f64)
                .map(|p| format!("{p}%"));
            let seconds = data.get("timeSeconds").and_then(Value::as_f64);
            let measure = percent.or_else(|| seconds.map(|seconds| format!("{seconds} s")));
            [text("stage"), measure]
        }
        "done" | "deleted" => [Some(event.into()), None],
        "error" => [
            text("message")
                .map(|m| format!("error: {m}"))
                .or(Some("error".into())),
            None,
        ],
        "reset" => {
            let reason = text("reason").unwrap_or_default();
            [
                Some(format!(
                    "reset: events before this are no longer kept ({reason})"
                )),
                None,
            ]
        }
        _ => [
            Some(printable(event)),
            Some(printable(&Value::from(data.clone()).to_string())),
        ],
    };
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() {
        "progress".into()
    } else {
        words.join(" ")
    }
}

/// A text that can't do anything to a terminal, and not too much of it.
fn printable(text: &str) -> String {
    let safe = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    safe.take(TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(event: &str, data: &str) -> String {
        describe(event, &serde_json::from_str(data).unwrap())
    }

    #[test]
    fn an_event_is_told_in_a_few_words() {
        for (event, data, words) in [
            (
                "progress",
                r#"{"stage":"transcoding","percent":43}"#,
                "transcoding 43%",
            ),
            (
                "progress",
                r#"{"stage":"transcoding","percent":43.5}"#,
                "transcoding 43.5%",
            ),
            (
                "progress",
                r#"{"stage":"transcoding","timeSeconds":3.2}"#,
                "transcoding 3.2 s",
            ),
            ("progress", r#"{"percent":5}"#, "5%"),
            ("progress", "{}", "progress"),
            ("done", r#"{"elapsedMs":5}"#, "done"),
            ("error", r#"{"message":"disk full"}"#, "error: disk full"),
            ("error", "{}", "error"),
            ("deleted", r#"{"jobId":"a"}"#, "deleted"),
            ("note", r#"{"a":1}"#, r#"note {"a":1}"#),
        ] {
            assert_eq!(described(event, data), words);
        }
    }

    #[test]
    fn what_a_hub_says_can_not_drive_the_terminal() {
        let words = described("error", r#"{"message":"\u001b[2J\r\n\u0007boo\u009b"}"#);
        assert!(!words.contains(char::is_control), "{words:?}");
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(10_000));
        assert!(described("error", &long).len() <= TEXT_MAX_CHARS + 7);
    }
}
